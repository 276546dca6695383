package modbusdevice

import (
	"math"

	"fairwatt/model"
)

// An entry is a quantity in a device's registers: how many there are to a unit of the
// channel, at which register of the maker's table, and as what kind of number.
type entry struct {
	register int
	channel  model.Channel
	as       func(v float64, ok bool) []uint16
}

// A table is a device's registers: which functions read them, and what the maker's
// numbers begin with.
type table struct {
	input, holding bool
	first          int // the number of the register whose address is 0
	entries        []entry
}

// split cuts a number into words, the high one first.
func split(u uint64, words int) []uint16 {
	out := make([]uint16, words)
	for i := range out {
		out[words-1-i] = uint16(u >> (16 * i))
	}
	return out
}

func turned(w []uint16) []uint16 { return []uint16{w[1], w[0]} }

// real32 and real64 are IEEE 754 numbers.
func real32(perUnit float64) func(float64, bool) []uint16 {
	return func(v float64, ok bool) []uint16 {
		if !ok {
			return split(0x7fc00000, 2)
		}
		return split(uint64(math.Float32bits(float32(v*perUnit))), 2)
	}
}

func real64(perUnit float64) func(float64, bool) []uint16 {
	return func(v float64, ok bool) []uint16 {
		if !ok {
			return split(math.Float64bits(math.NaN()), 4)
		}
		return split(math.Float64bits(v*perUnit), 4)
	}
}

// whole are integers; none is what the maker writes where there is no value.
func whole(words int, perUnit float64, none uint64) func(float64, bool) []uint16 {
	return func(v float64, ok bool) []uint16 {
		if !ok {
			return split(none, words)
		}
		return split(uint64(int64(math.Round(v*perUnit))), words)
	}
}

// lowFirst has the low word of 32 bits first.
func lowFirst(perUnit float64) func(float64, bool) []uint16 {
	of := whole(2, perUnit, 0x7fffffff)
	return func(v float64, ok bool) []uint16 { return turned(of(v, ok)) }
}

const (
	none16, none32, none64 = 0xffff, 0xffffffff, math.MaxUint64
	noneS16, noneS32       = 0x7fff, 0x7fffffff
)

// phases are three registers of the three phases, so many apart.
func phases(register, apart int, a, b, c model.Channel, as func(float64, bool) []uint16) []entry {
	return []entry{{register, a, as}, {register + apart, b, as}, {register + 2*apart, c, as}}
}

func volts(register, apart int, as func(float64, bool) []uint16) []entry {
	return phases(register, apart, model.VoltageAV, model.VoltageBV, model.VoltageCV, as)
}

func amperes(register, apart int, as func(float64, bool) []uint16) []entry {
	return phases(register, apart, model.CurrentAA, model.CurrentBA, model.CurrentCA, as)
}

func watts(register, apart int, as func(float64, bool) []uint16) []entry {
	return phases(register, apart, model.PowerAW, model.PowerBW, model.PowerCW, as)
}

func factors(register, apart int, as func(float64, bool) []uint16) []entry {
	return phases(register, apart, model.PowerFactorA, model.PowerFactorB, model.PowerFactorC, as)
}

func join(parts ...[]entry) (out []entry) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// tables are the devices, by the name of their map.
var tables = map[string]table{
	// Eastron, SDM120-Modbus Protocol V2.3: 3X registers from 30001.
	"eastron-sdm120": {input: true, first: 30001, entries: []entry{
		{30001, model.VoltageV, real32(1)}, {30007, model.CurrentA, real32(1)}, {30013, model.PowerW, real32(1)},
		{30031, model.PowerFactor, real32(1)}, {30071, model.FrequencyHz, real32(1)},
		{30073, model.EnergyImportWh, real32(1e-3)}, {30075, model.EnergyExportWh, real32(1e-3)},
	}},
	// Eastron, SDM630 Modbus Protocol V1.8: 3X registers from 30001.
	"eastron-sdm630": {input: true, first: 30001, entries: join(
		volts(30001, 2, real32(1)), amperes(30007, 2, real32(1)), watts(30013, 2, real32(1)), factors(30031, 2, real32(1)),
		[]entry{
			{30053, model.PowerW, real32(1)}, {30063, model.PowerFactor, real32(1)}, {30071, model.FrequencyHz, real32(1)},
			{30073, model.EnergyImportWh, real32(1e-3)}, {30075, model.EnergyExportWh, real32(1e-3)},
		},
		phases(30235, 2, model.THDAPct, model.THDBPct, model.THDCPct, real32(1)),
	)},
	// Carlo Gavazzi, EM330/EM340/ET330/ET340 Communication Protocol: 300001 and on;
	// the low word first; both functions.
	"carlo-gavazzi-em340": {input: true, holding: true, first: 300001, entries: join(
		volts(300001, 2, lowFirst(10)), amperes(300013, 2, lowFirst(1000)), watts(300019, 2, lowFirst(10)),
		[]entry{{300041, model.PowerW, lowFirst(10)}}, factors(300047, 1, whole(1, 1000, noneS16)),
		[]entry{
			{300050, model.PowerFactor, whole(1, 1000, noneS16)}, {300052, model.FrequencyHz, whole(1, 10, noneS16)},
			{300053, model.EnergyImportWh, lowFirst(1e-2)}, {300079, model.EnergyExportWh, lowFirst(1e-2)},
		},
	)},
	// ABB, B23/B24 User Manual, mapping tables: resolutions 0.01 kWh, 0.1 V, 0.01 A,
	// 0.01 W, 0.01 Hz, 0.001.
	"abb-b23": {holding: true, entries: join(
		[]entry{{0x5000, model.EnergyImportWh, whole(4, 0.1, none64)}, {0x5004, model.EnergyExportWh, whole(4, 0.1, none64)}},
		volts(0x5B00, 2, whole(2, 10, none32)), amperes(0x5B0C, 2, whole(2, 100, none32)),
		[]entry{{0x5B14, model.PowerW, whole(2, 100, noneS32)}}, watts(0x5B16, 2, whole(2, 100, noneS32)),
		[]entry{{0x5B2C, model.FrequencyHz, whole(1, 100, none16)}, {0x5B3A, model.PowerFactor, whole(1, 1000, noneS16)}},
		factors(0x5B3B, 1, whole(1, 1000, noneS16)),
	)},
	// Schneider Electric, DOCA0005EN, register list: numbers from 1; kW and Wh.
	"schneider-iem3155": {holding: true, first: 1, entries: join(
		amperes(3000, 2, real32(1)), volts(3028, 2, real32(1)), watts(3054, 2, real32(1e-3)),
		[]entry{
			{3060, model.PowerW, real32(1e-3)}, {3110, model.FrequencyHz, real32(1)},
			{3204, model.EnergyImportWh, whole(4, 1, 1<<63)}, {3208, model.EnergyExportWh, whole(4, 1, 1<<63)},
		},
	)},
	// Siemens, 7KM PAC2200 System Manual, measured variables by offset.
	"siemens-pac2200": {input: true, holding: true, entries: join(
		volts(1, 2, real32(1)), amperes(13, 2, real32(1)), watts(25, 2, real32(1)), factors(37, 2, real32(1)),
		[]entry{
			{65, model.PowerW, real32(1)}, {69, model.PowerFactor, real32(1)},
			{801, model.EnergyImportWh, real64(1)}, {809, model.EnergyExportWh, real64(1)},
		},
	)},
	// Chint, DTSU666/DSSU666 User Manual, table of registers: U x 0.1 V, I x 0.001 A,
	// P x 0.1 W, PF x 0.001, Freq x 0.01 Hz, energy in kWh.
	"chint-dtsu666": {holding: true, entries: join(
		[]entry{{0x101E, model.EnergyImportWh, real32(1e-3)}, {0x1028, model.EnergyExportWh, real32(1e-3)}},
		volts(0x2000, 2, real32(10)), amperes(0x200C, 2, real32(1000)),
		[]entry{{0x2012, model.PowerW, real32(10)}}, watts(0x2014, 2, real32(10)),
		[]entry{{0x202A, model.PowerFactor, real32(1000)}}, factors(0x202C, 2, real32(1000)),
		[]entry{{0x2044, model.FrequencyHz, real32(100)}},
	)},
	// Huawei, Solar Inverter Modbus Interface Definitions, 3.1: gains 10, 100, 1000.
	"huawei-sun2000": {holding: true, entries: join(
		[]entry{{32016, model.DCVoltageV, whole(1, 10, noneS16)}, {32017, model.DCCurrentA, whole(1, 100, noneS16)}},
		volts(32069, 1, whole(1, 10, none16)), amperes(32072, 2, whole(2, 1000, noneS32)),
		[]entry{
			{32080, model.PowerW, whole(2, 1, noneS32)}, {32084, model.PowerFactor, whole(1, 1000, noneS16)},
			{32085, model.FrequencyHz, whole(1, 100, none16)}, {32087, model.EquipmentTemperatureC, whole(1, 10, noneS16)},
			{32088, model.InsulationKOhm, whole(1, 1, none16)}, {32106, model.EnergyExportWh, whole(2, 0.1, none32)},
		},
	)},
	// Kipp & Zonen, SMP Instruction Manual, appendix A: device type, data model,
	// mode, status, scale factor, then the radiation; both functions.
	"kipp-zonen-smp": {input: true, holding: true, entries: []entry{
		{0, model.NumChannels, whole(1, 0, 603)}, {1, model.NumChannels, whole(1, 0, 104)}, {2, model.NumChannels, whole(1, 0, 1)},
		{3, model.NumChannels, whole(1, 0, 0)}, {4, model.NumChannels, whole(1, 0, 0)},
		{5, model.IrradianceWPM2, whole(1, 1, 0x8000)},
	}},
}
