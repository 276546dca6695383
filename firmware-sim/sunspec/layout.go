package sunspec

import (
	"math"

	"fairwatt/model"
)

type form uint8

const (
	i16 form = iota
	u16
	u32
	acc32
	u64
	f32
)

// A point is a channel's place in a model. Offset and scale count from the ID.
type point struct {
	channel model.Channel
	form    form
	offset  int
	scale   int     // 0: none
	factor  float64 // from the channel's unit to the point's
}

type layout struct {
	length int // registers behind the header
	points []point
	unused []int // int16 registers that say "not implemented"
	events eventsAt
}

// eventsAt is where a model has its state and its event bits, and two of its
// states.
type eventsAt struct {
	state, bits    int // 0: it has none
	running, fault uint16
}

var layouts = map[uint16]layout{
	101: inverter(1), 102: inverter(2), 103: inverter(3),
	111: inverterFloat(1), 112: inverterFloat(2), 113: inverterFloat(3),
	160: inputs(2),
	201: meter(1), 202: meter(2), 203: meter(3), 204: meter(3),
	302: {5, []point{{model.IrradianceWPM2, u16, 3, 0, 1}}, []int{}, eventsAt{}},
	307: {11, []point{
		{model.TemperatureC, i16, 2, 0, 10}, {model.HumidityPct, i16, 3, 0, 1}, {model.PressureHPa, i16, 4, 0, 1},
		{model.WindSpeedMPS, i16, 5, 0, 1}, {model.WindDirectionDeg, i16, 6, 0, 1},
	}, []int{7, 8, 9, 10, 11, 12}, eventsAt{}},
	701: {153, []point{
		{model.PowerW, i16, 10, 116, 1}, {model.PowerFactor, i16, 13, 117, 1}, {model.CurrentA, i16, 14, 113, 1},
		{model.VoltageV, u16, 16, 114, 1}, {model.FrequencyHz, u32, 17, 115, 1},
		{model.EnergyExportWh, u64, 19, 120, 1}, {model.EnergyImportWh, u64, 23, 120, 1},
		{model.EquipmentTemperatureC, i16, 37, 122, 1},
		{model.PowerAW, i16, 41, 116, 1}, {model.CurrentAA, i16, 45, 113, 1}, {model.VoltageAV, u16, 47, 114, 1}, {model.PowerFactorA, i16, 44, 117, 1},
		{model.PowerBW, i16, 64, 116, 1}, {model.CurrentBA, i16, 68, 113, 1}, {model.VoltageBV, u16, 70, 114, 1}, {model.PowerFactorB, i16, 67, 117, 1},
		{model.PowerCW, i16, 87, 116, 1}, {model.CurrentCA, i16, 91, 113, 1}, {model.VoltageCV, u16, 93, 114, 1}, {model.PowerFactorC, i16, 90, 117, 1},
	}, []int{11, 12, 35, 36, 38, 39, 40}, eventsAt{4, 6, 3, 6}},
}

var phases = [3]struct{ voltage, current, power, factor model.Channel }{
	{model.VoltageAV, model.CurrentAA, model.PowerAW, model.PowerFactorA}, {model.VoltageBV, model.CurrentBA, model.PowerBW, model.PowerFactorB},
	{model.VoltageCV, model.CurrentCA, model.PowerCW, model.PowerFactorC},
}

// inverter is model 101, 102 or 103 by its phases.
func inverter(n int) layout {
	l := layout{50, []point{
		{model.PowerW, i16, 14, 15, 1}, {model.FrequencyHz, u16, 16, 17, 1}, {model.PowerFactor, i16, 22, 23, 100},
		{model.EnergyExportWh, acc32, 24, 26, 1}, {model.DCCurrentA, u16, 27, 28, 1}, {model.DCVoltageV, u16, 29, 30, 1},
		{model.EquipmentTemperatureC, i16, 33, 37, 1},
	}, []int{18, 19, 20, 21, 31, 32, 34, 35, 36}, eventsAt{38, 40, 4, 7}}
	if n == 1 {
		l.points = append(l.points, point{model.VoltageV, u16, 10, 13, 1}, point{model.CurrentA, u16, 2, 6, 1})
		return l
	}
	for i, p := range phases[:n] {
		l.points = append(l.points, point{p.voltage, u16, 10 + i, 13, 1}, point{p.current, u16, 3 + i, 6, 1})
	}
	return l
}

// inverterFloat is model 111, 112 or 113.
func inverterFloat(n int) layout {
	l := layout{60, []point{
		{model.PowerW, f32, 22, 0, 1}, {model.FrequencyHz, f32, 24, 0, 1}, {model.PowerFactor, f32, 30, 0, 100},
		{model.EnergyExportWh, f32, 32, 0, 1}, {model.DCCurrentA, f32, 34, 0, 1}, {model.DCVoltageV, f32, 36, 0, 1},
		{model.EquipmentTemperatureC, f32, 42, 0, 1},
		// Points without a channel: never valid.
		{model.VibrationMPS2, f32, 40, 0, math.NaN()}, {model.VibrationMPS2, f32, 44, 0, math.NaN()}, {model.VibrationMPS2, f32, 46, 0, math.NaN()},
	}, nil, eventsAt{48, 50, 4, 7}}
	if n == 1 {
		l.points = append(l.points, point{model.VoltageV, f32, 16, 0, 1}, point{model.CurrentA, f32, 2, 0, 1})
		return l
	}
	for i, p := range phases[:n] {
		l.points = append(l.points, point{p.voltage, f32, 16 + 2*i, 0, 1}, point{p.current, f32, 4 + 2*i, 0, 1})
	}
	return l
}

// meter is model 201, 202, 203 or 204 by its phases.
func meter(n int) layout {
	l := layout{105, []point{
		{model.FrequencyHz, i16, 16, 17, 1}, {model.PowerW, i16, 18, 22, 1}, {model.PowerFactor, i16, 33, 37, 100},
		{model.EnergyExportWh, acc32, 38, 54, 1}, {model.EnergyImportWh, acc32, 46, 54, 1},
	}, []int{11, 12, 13, 14, 23, 24, 25, 26, 28, 29, 30, 31}, eventsAt{}}
	if n == 1 {
		l.points = append(l.points, point{model.VoltageV, i16, 8, 15, 1}, point{model.CurrentA, i16, 2, 6, 1})
		l.unused = append(l.unused, 3, 4, 5, 7, 9, 10, 19, 20, 21, 34, 35, 36)
		return l
	}
	l.unused = append(l.unused, 2, 7)
	for i, p := range phases[:n] {
		l.points = append(l.points, point{p.voltage, i16, 8 + i, 15, 1}, point{p.current, i16, 3 + i, 6, 1},
			point{p.power, i16, 19 + i, 22, 1}, point{p.factor, i16, 34 + i, 37, 100})
	}
	for i := n; i < len(phases); i++ {
		l.unused = append(l.unused, 3+i, 8+i, 19+i, 34+i)
	}
	return l
}

// inputsShare is how the current is shared between the inputs of model 160: three
// parts and one.
var inputsShare = []float64{0.75, 0.25}

// inputs is model 160 with n inputs. The last one has the highest voltage and is the
// hottest.
func inputs(n int) layout {
	l := layout{length: 8 + 20*n}
	for i := range n {
		at := 10 + 20*i
		l.points = append(l.points, point{model.DCCurrentA, u16, at + 9, 2, inputsShare[i]},
			point{model.DCVoltageV, u16, at + 10, 3, 1 - 0.1*float64(n-1-i)}, point{model.EquipmentTemperatureC, i16, at + 16, 0, 1 / float64(n-i)})
	}
	return l
}

// limit is the greatest number of a form.
func (f form) limit() float64 {
	switch f {
	case i16:
		return math.MaxInt16
	case u16:
		return math.MaxUint16 - 1
	}
	return math.MaxUint32 - 1
}

// finest is the smallest scale factor, from -3 up, with which the value fits.
func (p point) finest(v float64) int {
	sf := -3
	for ; sf < 10 && math.Abs(v)/math.Pow10(sf) > p.form.limit(); sf++ {
	}
	return sf
}

// put stores a number, or the form's "not implemented" for NaN.
func (p point) put(r []uint16, v float64, sf int) {
	missing := math.IsNaN(v)
	raw := math.Round(v / math.Pow10(sf))
	switch p.form {
	case i16:
		r[0] = 0x8000
		if !missing {
			r[0] = uint16(int16(raw))
		}
	case u16:
		r[0] = 0xFFFF
		if !missing {
			r[0] = uint16(max(raw, 0))
		}
	case f32:
		bits := math.Float32bits(float32(v))
		r[0], r[1] = uint16(bits>>16), uint16(bits)
	case acc32:
		putUint(r[:2], max(raw, 0), missing, 0)
	case u32:
		putUint(r[:2], max(raw, 0), missing, math.MaxUint32)
	case u64:
		putUint(r[:4], max(raw, 0), missing, math.MaxUint64)
	}
}

func putUint(r []uint16, raw float64, missing bool, sentinel uint64) {
	n := sentinel
	if !missing {
		n = uint64(raw)
	}
	for i := range r {
		r[len(r)-1-i] = uint16(n >> (16 * i))
	}
}
