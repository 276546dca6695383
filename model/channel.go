package model

import (
	"fmt"

	"fairwatt/proto/brief"
)

// A Channel is one measured quantity with its unit, as trace headers, drivers
// and rules name it ("wind_gust_mps"). Channels are small integers, so that a
// Sample is a flat array and judging allocates nothing.
type Channel uint8

// The channels of a trace (docs/trace-format.md). Electrical channels are RMS
// over the sample; the Inst ones are waveform samples. A, B, C are the phases.
const (
	VoltageV Channel = iota
	VoltageAV
	VoltageBV
	VoltageCV
	VoltageNV
	CurrentA
	CurrentAA
	CurrentBA
	CurrentCA
	CurrentNA
	FrequencyHz
	PowerW
	PowerAW
	PowerBW
	PowerCW
	EnergyImportWh
	EnergyExportWh
	PowerFactor
	PowerFactorA
	PowerFactorB
	PowerFactorC
	THDPct
	THDAPct
	THDBPct
	THDCPct
	VoltageVInst
	VoltageAVInst
	VoltageBVInst
	VoltageCVInst
	VoltageNVInst
	CurrentAInst
	CurrentAAInst
	CurrentBAInst
	CurrentCAInst
	CurrentNAInst
	DCVoltageV
	DCCurrentA
	InsulationKOhm
	LeakageMA
	EquipmentTemperatureC
	VibrationMPS2
	RotorRPM
	TemperatureC
	HumidityPct
	PressureHPa
	WindSpeedMPS
	WindGustMPS
	WindDirectionDeg
	RainMM
	Raining
	IrradianceWPM2
	LightningKM
	LightningCount
	InverterEvents
	NumChannels // how many there are; not a channel
)

// A Group says which staleness limit and which required-input rule apply.
type Group uint8

// The groups of channels.
const (
	GroupElectrical Group = iota
	GroupWaveform
	GroupEquipment
	GroupTemperature // air temperature and humidity
	GroupWind        // wind and pressure
	GroupRain
	GroupLight
	GroupLightning
)

// A ChannelInfo describes a channel: its name in files, its unit for people,
// and the physical range outside which a value is refused (section 4 of the
// hazard notes: implausible is a state, never a value), but for the ends at which
// a hazard goes on.
type ChannelInfo struct {
	Name     string
	Unit     string
	Group    Group
	Min, Max float64
}

var channels = [NumChannels]ChannelInfo{
	VoltageV:              {"voltage_v", "V", GroupElectrical, 0, 1e6},
	VoltageAV:             {"voltage_a_v", "V", GroupElectrical, 0, 1e6},
	VoltageBV:             {"voltage_b_v", "V", GroupElectrical, 0, 1e6},
	VoltageCV:             {"voltage_c_v", "V", GroupElectrical, 0, 1e6},
	VoltageNV:             {"voltage_n_v", "V", GroupElectrical, 0, 1e6},
	CurrentA:              {"current_a", "A", GroupElectrical, 0, 1e5},
	CurrentAA:             {"current_a_a", "A", GroupElectrical, 0, 1e5},
	CurrentBA:             {"current_b_a", "A", GroupElectrical, 0, 1e5},
	CurrentCA:             {"current_c_a", "A", GroupElectrical, 0, 1e5},
	CurrentNA:             {"current_n_a", "A", GroupElectrical, 0, 1e5},
	FrequencyHz:           {"frequency_hz", "Hz", GroupElectrical, 0, 500},
	PowerW:                {"power_w", "W", GroupElectrical, -1e9, 1e9},
	PowerAW:               {"power_a_w", "W", GroupElectrical, -1e9, 1e9},
	PowerBW:               {"power_b_w", "W", GroupElectrical, -1e9, 1e9},
	PowerCW:               {"power_c_w", "W", GroupElectrical, -1e9, 1e9},
	EnergyImportWh:        {"energy_import_wh", "Wh", GroupElectrical, 0, 1e13},
	EnergyExportWh:        {"energy_export_wh", "Wh", GroupElectrical, 0, 1e13},
	PowerFactor:           {"power_factor", "", GroupElectrical, -1, 1},
	PowerFactorA:          {"power_factor_a", "", GroupElectrical, -1, 1},
	PowerFactorB:          {"power_factor_b", "", GroupElectrical, -1, 1},
	PowerFactorC:          {"power_factor_c", "", GroupElectrical, -1, 1},
	THDPct:                {"thd_pct", "%", GroupElectrical, 0, 1000},
	THDAPct:               {"thd_a_pct", "%", GroupElectrical, 0, 1000},
	THDBPct:               {"thd_b_pct", "%", GroupElectrical, 0, 1000},
	THDCPct:               {"thd_c_pct", "%", GroupElectrical, 0, 1000},
	VoltageVInst:          {"voltage_v_inst", "V", GroupWaveform, -2e6, 2e6},
	VoltageAVInst:         {"voltage_a_v_inst", "V", GroupWaveform, -2e6, 2e6},
	VoltageBVInst:         {"voltage_b_v_inst", "V", GroupWaveform, -2e6, 2e6},
	VoltageCVInst:         {"voltage_c_v_inst", "V", GroupWaveform, -2e6, 2e6},
	VoltageNVInst:         {"voltage_n_v_inst", "V", GroupWaveform, -2e6, 2e6},
	CurrentAInst:          {"current_a_inst", "A", GroupWaveform, -2e5, 2e5},
	CurrentAAInst:         {"current_a_a_inst", "A", GroupWaveform, -2e5, 2e5},
	CurrentBAInst:         {"current_b_a_inst", "A", GroupWaveform, -2e5, 2e5},
	CurrentCAInst:         {"current_c_a_inst", "A", GroupWaveform, -2e5, 2e5},
	CurrentNAInst:         {"current_n_a_inst", "A", GroupWaveform, -2e5, 2e5},
	DCVoltageV:            {"dc_voltage_v", "V", GroupElectrical, -2000, 2000},
	DCCurrentA:            {"dc_current_a", "A", GroupElectrical, -1e4, 1e4},
	InsulationKOhm:        {"insulation_kohm", "kohm", GroupEquipment, 0, 1e7},
	LeakageMA:             {"leakage_ma", "mA", GroupEquipment, 0, 1e5},
	EquipmentTemperatureC: {"equipment_temperature_c", "C", GroupEquipment, -60, 400},
	VibrationMPS2:         {"vibration_mps2", "m/s2", GroupEquipment, 0, 1e4},
	RotorRPM:              {"rotor_rpm", "rpm", GroupEquipment, 0, 1e5},
	TemperatureC:          {"temperature_c", "C", GroupTemperature, -60, 65},
	HumidityPct:           {"humidity_pct", "%", GroupTemperature, 0, 100},
	PressureHPa:           {"pressure_hpa", "hPa", GroupWind, 300, 1100},
	WindSpeedMPS:          {"wind_speed_mps", "m/s", GroupWind, 0, 120},
	WindGustMPS:           {"wind_gust_mps", "m/s", GroupWind, 0, 150},
	WindDirectionDeg:      {"wind_direction_deg", "deg", GroupWind, 0, 360},
	RainMM:                {"rain_mm", "mm", GroupRain, 0, 500},
	Raining:               {"raining", "", GroupRain, 0, 1},
	IrradianceWPM2:        {"irradiance_wpm2", "W/m2", GroupLight, -20, 1600},
	LightningKM:           {"lightning_km", "km", GroupLightning, 0, 100},
	LightningCount:        {"lightning_count", "", GroupLightning, 0, 1e6},
	InverterEvents:        {"inverter_events", "", GroupElectrical, 0, inverterMost},
}

// A side says at which end of a channel's range a hazard goes on.
type side uint8

const (
	unsafeHigh side = 1 << iota
	unsafeLow
)

// unsafeSides are the ends beyond which a reading is no fault of the sensor but
// more of the hazard: a clamp that clips, a thermometer in a fire. All other ends
// lie beyond what nature or a plant can do (no air has 299 hPa), so a reading
// beyond them says that the sensor is broken. Every channel that a blocking rule
// compares stands here, or has an end that no plant reaches.
var unsafeSides = [NumChannels]side{
	VoltageV: unsafeHigh, VoltageAV: unsafeHigh, VoltageBV: unsafeHigh, VoltageCV: unsafeHigh, // E02
	CurrentA: unsafeHigh, CurrentAA: unsafeHigh, CurrentBA: unsafeHigh, CurrentCA: unsafeHigh, // E08
	FrequencyHz:           unsafeHigh,             // E04
	DCVoltageV:            unsafeHigh | unsafeLow, // E12
	InsulationKOhm:        unsafeLow,              // E10: an offset below zero is no insulation
	LeakageMA:             unsafeHigh,             // E09
	EquipmentTemperatureC: unsafeHigh,             // E13
	VibrationMPS2:         unsafeHigh,             // T02
	WindSpeedMPS:          unsafeHigh,             // W05
	WindGustMPS:           unsafeHigh,             // W03
	LightningCount:        unsafeHigh,             // W01, as strokes that confirm
}

// beyond reports whether a value lies beyond the range where a hazard goes on.
func (c Channel) beyond(v float64) bool {
	side, info := unsafeSides[c], &channels[c]
	return v > info.Max && side&unsafeHigh != 0 || v < info.Min && side&unsafeLow != 0
}

var channelByName = func() map[string]Channel {
	m := make(map[string]Channel, NumChannels)
	for c := range NumChannels {
		m[channels[c].Name] = c
	}
	return m
}()

// Info returns the channel's description; it panics on a number that is no
// channel, which only arithmetic on channels can make.
func (c Channel) Info() ChannelInfo { return channels[c] }

// String returns the channel's name in files.
func (c Channel) String() string {
	if c >= NumChannels {
		return fmt.Sprintf("channel(%d)", uint8(c))
	}
	return channels[c].Name
}

// ParseChannel returns the channel of that name.
func ParseChannel(name string) (Channel, error) {
	c, ok := channelByName[name]
	if !ok {
		return 0, brief.Errorf("unknown channel %q", name)
	}
	return c, nil
}

// MarshalText and UnmarshalText let channels stand by name in YAML and JSON.
func (c Channel) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Channel) UnmarshalText(text []byte) error {
	v, err := ParseChannel(string(text))
	if err != nil {
		return err
	}
	*c = v
	return nil
}
