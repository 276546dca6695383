package sensor

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"fairwatt/model"
)

// A sunType is how SunSpec stores a number (device information model
// specification 1.1, section 6.4), each with its own way to say "not
// implemented".
type sunType uint8

const (
	sunInt16   sunType = iota // 0x8000
	sunUint16                 // 0xFFFF
	sunUint32                 // 0xFFFFFFFF
	sunAcc32                  // 0
	sunUint64                 // all ones
	sunFloat32                // NaN
)

// registers is how many a type takes.
func (t sunType) registers() int {
	switch t {
	case sunInt16, sunUint16:
		return 1
	case sunUint64:
		return 4
	}
	return 2
}

// A sunPoint is where a channel stands in a model. Several points of a channel
// are places of the same kind (temperatures, strings): the greatest counts. Only the
// currents of strings add up.
type sunPoint struct {
	channel model.Channel
	offset  int // from the model's ID register
	form    sunType
	scale   int     // offset of the scale factor's register, 0 without
	unit    float64 // one of the point in units of the channel
	abs     bool    // the channel has no sign
}

// sunModels are the models that can be read. 1 is read for the identity only.
// Power factors of the 10x and 20x models are per cent.
var sunModels = map[uint16][]sunPoint{
	101: append([]sunPoint{
		{model.VoltageV, 10, sunUint16, 13, 1, false},
		{model.CurrentA, 2, sunUint16, 6, 1, false},
	}, sunInverter...),
	102: append([]sunPoint{
		{model.VoltageAV, 10, sunUint16, 13, 1, false}, {model.VoltageBV, 11, sunUint16, 13, 1, false},
		{model.CurrentAA, 3, sunUint16, 6, 1, false}, {model.CurrentBA, 4, sunUint16, 6, 1, false},
	}, sunInverter...),
	103: append([]sunPoint{
		{model.VoltageAV, 10, sunUint16, 13, 1, false}, {model.VoltageBV, 11, sunUint16, 13, 1, false}, {model.VoltageCV, 12, sunUint16, 13, 1, false},
		{model.CurrentAA, 3, sunUint16, 6, 1, false}, {model.CurrentBA, 4, sunUint16, 6, 1, false}, {model.CurrentCA, 5, sunUint16, 6, 1, false},
	}, sunInverter...),
	111: append([]sunPoint{
		{model.VoltageV, 16, sunFloat32, 0, 1, false}, {model.CurrentA, 2, sunFloat32, 0, 1, false},
	}, sunInverterFloat...),
	112: append([]sunPoint{
		{model.VoltageAV, 16, sunFloat32, 0, 1, false}, {model.VoltageBV, 18, sunFloat32, 0, 1, false},
		{model.CurrentAA, 4, sunFloat32, 0, 1, false}, {model.CurrentBA, 6, sunFloat32, 0, 1, false},
	}, sunInverterFloat...),
	113: append([]sunPoint{
		{model.VoltageAV, 16, sunFloat32, 0, 1, false}, {model.VoltageBV, 18, sunFloat32, 0, 1, false}, {model.VoltageCV, 20, sunFloat32, 0, 1, false},
		{model.CurrentAA, 4, sunFloat32, 0, 1, false}, {model.CurrentBA, 6, sunFloat32, 0, 1, false}, {model.CurrentCA, 8, sunFloat32, 0, 1, false},
	}, sunInverterFloat...),
	// The first of its inputs; the others follow, see sunInputs.
	sunMPPT: {
		{model.DCCurrentA, 19, sunUint16, 2, 1, false}, {model.DCVoltageV, 20, sunUint16, 3, 1, false},
		{model.EquipmentTemperatureC, 26, sunInt16, 0, 1, false},
	},
	201: append([]sunPoint{
		{model.VoltageV, 7, sunInt16, 15, 1, false}, {model.VoltageV, 8, sunInt16, 15, 1, false},
		{model.CurrentA, 2, sunInt16, 6, 1, true},
	}, sunMeter...),
	202: slices.Concat(sunMeter, sunMeterPhases[:2*sunPerPhase]),
	203: slices.Concat(sunMeter, sunMeterPhases),
	// In delta, of voltages those to neutral only, where the meter has one.
	204: slices.Concat(sunMeter, sunMeterPhases),
	// In the plane of the modules; the horizontal one is no measure of their yield.
	302: {{model.IrradianceWPM2, 3, sunUint16, 0, 1, false}},
	// Whole hPa and whole m/s: too coarse for rules on tendencies and squalls.
	307: {
		{model.TemperatureC, 2, sunInt16, 0, 0.1, false}, {model.HumidityPct, 3, sunInt16, 0, 1, false},
		{model.PressureHPa, 4, sunInt16, 0, 1, false}, {model.WindSpeedMPS, 5, sunInt16, 0, 1, false},
		{model.WindDirectionDeg, 6, sunInt16, 0, 1, false},
	},
	701: {
		{model.PowerW, 10, sunInt16, 116, 1, false}, {model.PowerFactor, 13, sunInt16, 117, 1, false},
		{model.CurrentA, 14, sunInt16, 113, 1, true}, {model.VoltageV, 16, sunUint16, 114, 1, false},
		{model.FrequencyHz, 17, sunUint32, 115, 1, false},
		{model.EnergyExportWh, 19, sunUint64, 120, 1, false}, {model.EnergyImportWh, 23, sunUint64, 120, 1, false},
		{model.EquipmentTemperatureC, 36, sunInt16, 122, 1, false}, {model.EquipmentTemperatureC, 37, sunInt16, 122, 1, false},
		{model.EquipmentTemperatureC, 38, sunInt16, 122, 1, false}, {model.EquipmentTemperatureC, 39, sunInt16, 122, 1, false},
		{model.EquipmentTemperatureC, 40, sunInt16, 122, 1, false},
		{model.PowerAW, 41, sunInt16, 116, 1, false}, {model.PowerFactorA, 44, sunInt16, 117, 1, false},
		{model.CurrentAA, 45, sunInt16, 113, 1, true}, {model.VoltageAV, 47, sunUint16, 114, 1, false},
		{model.PowerBW, 64, sunInt16, 116, 1, false}, {model.PowerFactorB, 67, sunInt16, 117, 1, false},
		{model.CurrentBA, 68, sunInt16, 113, 1, true}, {model.VoltageBV, 70, sunUint16, 114, 1, false},
		{model.PowerCW, 87, sunInt16, 116, 1, false}, {model.PowerFactorC, 90, sunInt16, 117, 1, false},
		{model.CurrentCA, 91, sunInt16, 113, 1, true}, {model.VoltageCV, 93, sunUint16, 114, 1, false},
	},
}

// sunInverter is what models 101 to 103 share, sunInverterFloat 111 to 113.
var (
	sunInverter = []sunPoint{
		{model.PowerW, 14, sunInt16, 15, 1, false}, {model.FrequencyHz, 16, sunUint16, 17, 1, false},
		{model.PowerFactor, 22, sunInt16, 23, 0.01, false}, {model.EnergyExportWh, 24, sunAcc32, 26, 1, false},
		{model.DCCurrentA, 27, sunUint16, 28, 1, false}, {model.DCVoltageV, 29, sunUint16, 30, 1, false},
		{model.EquipmentTemperatureC, 33, sunInt16, 37, 1, false}, {model.EquipmentTemperatureC, 34, sunInt16, 37, 1, false},
		{model.EquipmentTemperatureC, 35, sunInt16, 37, 1, false}, {model.EquipmentTemperatureC, 36, sunInt16, 37, 1, false},
	}
	sunInverterFloat = []sunPoint{
		{model.PowerW, 22, sunFloat32, 0, 1, false}, {model.FrequencyHz, 24, sunFloat32, 0, 1, false},
		{model.PowerFactor, 30, sunFloat32, 0, 0.01, false}, {model.EnergyExportWh, 32, sunFloat32, 0, 1, false},
		{model.DCCurrentA, 34, sunFloat32, 0, 1, false}, {model.DCVoltageV, 36, sunFloat32, 0, 1, false},
		{model.EquipmentTemperatureC, 40, sunFloat32, 0, 1, false}, {model.EquipmentTemperatureC, 42, sunFloat32, 0, 1, false},
		{model.EquipmentTemperatureC, 44, sunFloat32, 0, 1, false}, {model.EquipmentTemperatureC, 46, sunFloat32, 0, 1, false},
	}
)

// sunMeter is what models 201 to 204 share, sunMeterPhases the phases A, B and C.
var (
	sunMeter = []sunPoint{
		{model.FrequencyHz, 16, sunInt16, 17, 1, false}, {model.PowerW, 18, sunInt16, 22, 1, false},
		{model.PowerFactor, 33, sunInt16, 37, 0.01, false},
		{model.EnergyExportWh, 38, sunAcc32, 54, 1, false}, {model.EnergyImportWh, 46, sunAcc32, 54, 1, false},
	}
	sunMeterPhases = []sunPoint{
		{model.VoltageAV, 8, sunInt16, 15, 1, false}, {model.CurrentAA, 3, sunInt16, 6, 1, true},
		{model.PowerAW, 19, sunInt16, 22, 1, false}, {model.PowerFactorA, 34, sunInt16, 37, 0.01, false},
		{model.VoltageBV, 9, sunInt16, 15, 1, false}, {model.CurrentBA, 4, sunInt16, 6, 1, true},
		{model.PowerBW, 20, sunInt16, 22, 1, false}, {model.PowerFactorB, 35, sunInt16, 37, 0.01, false},
		{model.VoltageCV, 10, sunInt16, 15, 1, false}, {model.CurrentCA, 5, sunInt16, 6, 1, true},
		{model.PowerCW, 21, sunInt16, 22, 1, false}, {model.PowerFactorC, 36, sunInt16, 37, 0.01, false},
	}
)

// sunPerPhase is how many points of sunMeterPhases a phase has.
const sunPerPhase = 4

// Model 160: one input (MPPT) after another, each with a state and events.
const (
	sunMPPT      = 160
	sunMPPTFirst = 10 // register of the first input
	sunMPPTSize  = 20 // registers of one
	sunMPPTCount = 8  // how many inputs there are
	sunMPPTState = 17 // within an input
	sunMPPTBits  = 18
	sunMPPTFault = 7
	// sunMPPTNight is INPUT_UNDER_VOLTAGE: every evening, and no fault.
	sunMPPTNight = 1 << 21
)

// sunInputs are how many inputs a model 160 of so many registers can have.
func sunInputs(size int) int { return max(0, (size-sunMPPTFirst)/sunMPPTSize) }

// points are those of a model in the device.
func (m sunFound) points() []sunPoint {
	if m.id != sunMPPT {
		return sunModels[m.id]
	}
	var all []sunPoint
	for i := range sunInputs(m.size) {
		for _, p := range sunModels[sunMPPT] {
			p.offset += i * sunMPPTSize
			all = append(all, p)
		}
	}
	return all
}

// sunInputEvents are what the inputs of a model 160 say of themselves, as bits of
// inverter_events; false if none says anything. The bits mean what those of models 101
// to 103 mean; 15 is an arc.
func sunInputEvents(regs []uint16) (bits uint64, told bool) {
	say := func(state uint16, events uint64) {
		if events != sunNoEvents {
			bits, told = bits|events&^sunMPPTNight, true
		}
		if state != sunNoState {
			told = true
		}
		if state == sunMPPTFault {
			bits |= model.InverterFault
		}
	}
	if len(regs) < sunMPPTFirst {
		return 0, false
	}
	say(sunNoState, sunUint(regs[6:], 2))
	for i := range min(int(regs[sunMPPTCount]), sunInputs(len(regs))) {
		r := regs[sunMPPTFirst+i*sunMPPTSize:]
		say(r[sunMPPTState], sunUint(r[sunMPPTBits:], 2))
	}
	return bits, told
}

// sunEvents are where a model's state and first event bits stand, and which state
// is FAULT. In drafts of model 701 it was 7, which is STANDBY in the published one.
var sunEvents = map[uint16]struct {
	state, events int
	fault         uint16
}{
	101: {38, 40, 7}, 102: {38, 40, 7}, 103: {38, 40, 7}, 111: {48, 50, 7}, 112: {48, 50, 7}, 113: {48, 50, 7}, 701: {4, 6, 6},
}

// The ways to say "not implemented" of an enumeration and of a bit field.
const (
	sunNoState  = 0xFFFF
	sunNoEvents = 0xFFFFFFFF
)

var errScaleFactor = errors.New("scale factor out of bounds")

// A sunValue is a number with the step in which the device gives it, 0 for that of
// a float.
type sunValue struct{ v, step float64 }

// value reads the point out of a model's registers, which begin with its ID; ok
// is false where the device does not implement it.
func (p sunPoint) value(regs []uint16) (out sunValue, ok bool, err error) {
	if p.offset+p.form.registers() > len(regs) || p.scale >= len(regs) {
		return out, false, nil // an older, shorter revision of the model
	}
	v, ok := sunNumber(p.form, regs[p.offset:])
	if !ok {
		return out, false, nil
	}
	step := p.unit
	if p.form == sunFloat32 {
		step = 0
	}
	if p.scale > 0 {
		sf := int16(regs[p.scale])
		if sf == math.MinInt16 { // not implemented: the value is unusable (6.4.6)
			return out, false, nil
		}
		if sf < -10 || sf > 10 {
			return out, false, fmt.Errorf("%w: %d", errScaleFactor, sf)
		}
		v, step = v*math.Pow10(int(sf)), step*math.Pow10(int(sf))
	}
	if p.abs {
		v = math.Abs(v)
	}
	return sunValue{v * p.unit, step}, true, nil
}

// sunNumber is a raw number; false for its type's "not implemented".
func sunNumber(form sunType, r []uint16) (float64, bool) {
	switch form {
	case sunInt16:
		return float64(int16(r[0])), r[0] != 0x8000
	case sunUint16:
		return float64(r[0]), r[0] != 0xFFFF
	case sunUint32:
		v := sunUint(r, 2)
		return float64(v), v != math.MaxUint32
	case sunAcc32:
		v := sunUint(r, 2)
		return float64(v), v != 0
	case sunUint64:
		v := sunUint(r, 4)
		return float64(v), v != math.MaxUint64
	default:
		v := float64(math.Float32frombits(uint32(sunUint(r, 2))))
		return v, !math.IsNaN(v)
	}
}

func sunUint(r []uint16, n int) (v uint64) {
	for _, w := range r[:n] {
		v = v<<16 | uint64(w)
	}
	return v
}

// sunText is a string of two characters a register, ended by NUL.
func sunText(r []uint16) string {
	var b []byte
	for _, w := range r {
		for _, c := range [2]byte{byte(w >> 8), byte(w)} {
			if c == 0 {
				return string(b)
			}
			if c >= ' ' && c <= '~' {
				b = append(b, c)
			}
		}
	}
	return string(b)
}
