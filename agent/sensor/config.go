package sensor

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// The kinds of sensors.
const (
	KindBME280     = "bme280"
	KindINA219     = "ina219"
	KindADS1115    = "ads1115"
	KindAnemometer = "anemometer"
	KindS0         = "s0"
	KindTMP102     = "tmp102"
	KindSHT4x      = "sht4x"
	KindRain       = "rain"
	KindAS3935     = "as3935"
	KindPZEM       = "pzem"
	KindSunSpec    = "sunspec"
)

// A place is where a kind of sensor hangs, and so which settings locate it.
type place uint8

const (
	onI2C place = iota + 1
	onPin
	onSerial
	onNetwork
)

var places = map[string]place{
	KindBME280: onI2C, KindINA219: onI2C, KindADS1115: onI2C, KindTMP102: onI2C, KindSHT4x: onI2C,
	KindAS3935:     onI2C,
	KindAnemometer: onPin, KindS0: onPin, KindRain: onPin,
	KindPZEM: onSerial, KindSunSpec: onNetwork,
}

// A Config describes one sensor. Which fields matter depends on Kind; zero
// means the default. A field that belongs to another kind is an error.
type Config struct {
	Kind string `yaml:"kind"`
	// Name stands in messages; default kind@address or kind@pin.
	Name string `yaml:"name,omitempty"`
	// Bus is the I2C bus, as the application's Buses name it: "1" for
	// /dev/i2c-1, "sim://ADDR" for a board behind a socket.
	Bus string `yaml:"bus,omitempty"`
	// Address is the 7-bit I2C address. Defaults: bme280 0x76, ina219 0x40,
	// ads1115 0x48, tmp102 0x48, sht4x 0x44, as3935 0x03. Of a pzem it is the
	// Modbus address, 1 (default) to 247, or 248 for the only one on its line; of
	// a sunspec device its unit, 1 (default) to 247, often 126.
	Address uint16 `yaml:"address,omitempty"`

	// ShuntOhm (ina219) is the shunt, default 0.1.
	ShuntOhm float64 `yaml:"shunt_ohm,omitempty"`
	// MaxCurrentA (ina219) sets the current's resolution, max/32768. Default:
	// what 320 mV drive through the shunt.
	MaxCurrentA float64 `yaml:"max_current_a,omitempty"`
	// VoltageScale (ina219) is the ratio of a divider before the bus pin,
	// default 1 (26 V absolute maximum at the chip).
	VoltageScale float64 `yaml:"voltage_scale,omitempty"`

	// Inputs (ads1115) are what hangs on AIN0..AIN3. One of voltage_* gives the
	// frequency.
	Inputs []InputConfig `yaml:"inputs,omitempty"`
	// ReadyPin (ads1115) is the GPIO wired to ALERT/RDY. With it the chip runs
	// continuously and each conversion is timed by its edge; without it each
	// conversion is started and polled (about 650 a second on a 400 kHz bus).
	ReadyPin string `yaml:"ready_pin,omitempty"`
	// Cycles (ads1115) is the measuring window, default 10 (200 ms at 50 Hz,
	// IEC 61000-4-30).
	Cycles int `yaml:"cycles,omitempty"`
	// NominalHz (ads1115) sizes the window: 50 (default) or 60.
	NominalHz float64 `yaml:"nominal_frequency_hz,omitempty"`

	// Pin (anemometer, s0, rain) is the GPIO with the pulses.
	Pin string `yaml:"pin,omitempty"`
	// Debounce (anemometer, s0, rain) ignores edges closer than this: default
	// 1 ms, 15 ms (an S0 pulse lasts 30 ms or more, IEC 62053-31) and 100 ms (a
	// bucket's reed closes for about that).
	Debounce time.Duration `yaml:"debounce,omitempty"`
	// MPSPerHz and OffsetMPS (anemometer): speed = MPSPerHz * f + OffsetMPS
	// while it turns. Default 0.667 (2.4 km/h a hertz) and 0.
	MPSPerHz  float64 `yaml:"mps_per_hz,omitempty"`
	OffsetMPS float64 `yaml:"offset_mps,omitempty"`
	// Window (anemometer) is the least time averaged, default 10 s, 3 s to 1 h.
	Window time.Duration `yaml:"window,omitempty"`
	// ImpPerKWh (s0) is printed on the meter, default 1000.
	ImpPerKWh int `yaml:"imp_per_kwh,omitempty"`
	// Direction (s0, pzem) is "export" (default) or "import".
	Direction string `yaml:"direction,omitempty"`
	// Power (s0) also gives power_w, from the time between pulses.
	Power bool `yaml:"power,omitempty"`

	// Measures (tmp102) is "equipment" (default, equipment_temperature_c) or
	// "air" (temperature_c).
	Measures string `yaml:"measures,omitempty"`
	// MMPerTip (rain) is the rain that tips the bucket once, default 0.2794
	// (0.011 inch).
	MMPerTip float64 `yaml:"mm_per_tip,omitempty"`
	// WetFor (rain) is how long after a tip it counts as raining, default 15
	// minutes: 1 mm/h tips the default bucket about every 17.
	WetFor time.Duration `yaml:"wet_for,omitempty"`

	// TuningCap (as3935) is the antenna's tuning in steps of 8 pF, 0 to 15, as
	// the module's maker prints it.
	TuningCap int `yaml:"tuning_cap,omitempty"`
	// Indoor (as3935) is the more sensitive setting for a detector in a house.
	Indoor bool `yaml:"indoor,omitempty"`
	// IRQPin (as3935) is the GPIO wired to IRQ. Recommended: without it an event
	// that comes within 2 ms of a Read may be lost.
	IRQPin string `yaml:"irq_pin,omitempty"`
	// MinStrikes (as3935) within 15 minutes before the first is reported: 1
	// (default), 5, 9 or 16.
	MinStrikes int `yaml:"min_strikes,omitempty"`

	// Port (pzem) is the serial line, as the application's Buses name it:
	// "/dev/ttyUSB0".
	Port string `yaml:"port,omitempty"`
	// Phase (pzem) is "a", "b" or "c" where three meters measure three phases:
	// voltage_a_v and so on, the frequency from phase a, no energy.
	Phase string `yaml:"phase,omitempty"`

	// Endpoint (sunspec) is "host:port"; port 502 if left out.
	Endpoint string `yaml:"endpoint,omitempty"`
	// Channels (sunspec) are those to be read of what the device has. Default
	// power_w, frequency_hz and energy_export_wh.
	Channels []model.Channel `yaml:"channels,omitempty"`
	// Timeout (sunspec) of one exchange, default 1 s, 50 ms to 10 s.
	Timeout time.Duration `yaml:"timeout,omitempty"`
}

// An InputConfig is one input of an ADS1115.
type InputConfig struct {
	// Channel is what is measured: voltage_v, current_a or one of a phase.
	Channel model.Channel `yaml:"channel"`
	// Input is "0" to "3" against ground, or "0-1", "0-3", "1-3", "2-3".
	Input string `yaml:"input"`
	// Scale is volts (or amperes) at the line for a volt at the input, so that
	// a clamp of 100 A : 1 V has 100.
	Scale float64 `yaml:"scale"`
	// RangeV is the converter's range: 6.144, 4.096, 2.048 (default), 1.024,
	// 0.512 or 0.256 V.
	RangeV float64 `yaml:"range_v,omitempty"`
}

var adsMux = map[string]uint16{"0-1": 0, "0-3": 1, "1-3": 2, "2-3": 3, "0": 4, "1": 5, "2": 6, "3": 7}

var adsRange = map[float64]uint16{6.144: 0, 4.096: 1, 2.048: 2, 1.024: 3, 0.512: 4, 0.256: 5}

// A Description says where a sensor sits.
type Description struct{ Name, Chip, Bus, Address string }

// Describe returns where the sensor is looked for; for a pulse sensor the
// address is its pin.
func (c Config) Describe() Description {
	c = c.withDefaults()
	d := Description{Name: c.Name, Chip: c.Kind, Bus: c.Bus, Address: fmt.Sprintf("0x%02x", c.Address)}
	if places[c.Kind] == onPin {
		d.Address = c.Pin
	}
	switch places[c.Kind] {
	case onSerial:
		d.Bus = c.Port
	case onNetwork:
		d.Bus = c.Endpoint
	}
	return d
}

// orDefault sets a value that was left out.
func orDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (c Config) withDefaults() Config {
	switch c.Kind {
	case KindBME280:
		orDefault(&c.Address, 0x76)
	case KindINA219:
		orDefault(&c.Address, 0x40)
		orDefault(&c.ShuntOhm, 0.1)
		orDefault(&c.MaxCurrentA, 0.32/c.ShuntOhm)
		orDefault(&c.VoltageScale, 1)
	case KindADS1115:
		orDefault(&c.Address, 0x48)
		orDefault(&c.Cycles, 10)
		orDefault(&c.NominalHz, 50)
		c.Inputs = append([]InputConfig(nil), c.Inputs...)
		for i := range c.Inputs {
			orDefault(&c.Inputs[i].RangeV, 2.048)
		}
	case KindTMP102:
		orDefault(&c.Address, 0x48)
		orDefault(&c.Measures, "equipment")
	case KindSHT4x:
		orDefault(&c.Address, 0x44)
	case KindAS3935:
		orDefault(&c.Address, 0x03)
		orDefault(&c.MinStrikes, 1)
	case KindPZEM:
		orDefault(&c.Address, 1)
		orDefault(&c.Direction, "export")
	case KindSunSpec:
		orDefault(&c.Address, 1)
		orDefault(&c.Timeout, time.Second)
		if len(c.Channels) == 0 {
			c.Channels = []model.Channel{model.PowerW, model.FrequencyHz, model.EnergyExportWh}
		}
		if c.Endpoint != "" && !strings.Contains(c.Endpoint, ":") {
			c.Endpoint += ":502"
		}
	case KindRain:
		orDefault(&c.Debounce, 100*time.Millisecond)
		orDefault(&c.MMPerTip, 0.2794)
		orDefault(&c.WetFor, 15*time.Minute)
	case KindAnemometer:
		orDefault(&c.Debounce, time.Millisecond)
		orDefault(&c.MPSPerHz, 2.4/3.6)
		orDefault(&c.Window, 10*time.Second)
	case KindS0:
		orDefault(&c.Debounce, 15*time.Millisecond)
		orDefault(&c.ImpPerKWh, 1000)
		orDefault(&c.Direction, "export")
	}
	switch {
	case c.Pin != "":
		orDefault(&c.Name, c.Kind+"@"+c.Pin)
	case c.Endpoint != "":
		orDefault(&c.Name, fmt.Sprintf("%s@%s/%d", c.Kind, c.Endpoint, c.Address))
	case c.Port != "":
		orDefault(&c.Name, fmt.Sprintf("%s@%s/0x%02x", c.Kind, c.Port, c.Address))
	default:
		orDefault(&c.Name, fmt.Sprintf("%s@0x%02x", c.Kind, c.Address))
	}
	return c
}

// Validate returns an error that names the first field that is wrong.
func (c Config) Validate() error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("sensor %s: %w", c.Name, err)
	}
	return nil
}

func (c Config) validate() error {
	if err := c.validatePlace(); err != nil {
		return err
	}
	if err := c.foreign(); err != nil {
		return err
	}
	switch c.Kind {
	case KindINA219:
		return c.validateINA219()
	case KindADS1115:
		return c.validateADS1115()
	case KindAnemometer:
		return c.validateAnemometer()
	case KindS0:
		return c.validateS0()
	case KindTMP102:
		if c.Measures != "equipment" && c.Measures != "air" {
			return fmt.Errorf("measures: %q is neither equipment nor air", c.Measures)
		}
	case KindRain:
		return c.validateRain()
	case KindAS3935:
		return c.validateAS3935()
	case KindSunSpec:
		return c.validateSunSpec()
	case KindPZEM:
		if _, ok := pzemPhases[c.Phase]; !ok {
			return fmt.Errorf("phase: %q is none of a, b, c", c.Phase)
		}
		return c.validateDirection()
	}
	return nil
}

// validatePlace checks where the sensor is looked for.
func (c Config) validatePlace() error {
	switch places[c.Kind] {
	case onI2C:
		// 0x00-0x07 and 0x78-0x7f are reserved (UM10204, table 3); the AS3935
		// uses three of them all the same.
		reserved := c.Address < 0x08 || c.Address > 0x77
		if c.Kind == KindAS3935 {
			reserved = c.Address < 0x01 || c.Address > 0x03
		}
		if reserved {
			return fmt.Errorf("address: 0x%02x is no 7-bit device address", c.Address)
		}
		if c.Pin != "" {
			return fmt.Errorf("pin: not for a chip on a bus")
		}
	case onPin:
		if c.Pin == "" {
			return fmt.Errorf("pin: missing")
		}
		if c.Address != 0 {
			return fmt.Errorf("address: not for a pulse sensor")
		}
		if c.Debounce < 0 || c.Debounce > time.Second {
			return fmt.Errorf("debounce: %v is not within 0 and 1s", c.Debounce)
		}
	case onSerial:
		if c.Port == "" {
			return fmt.Errorf("port: missing")
		}
		if c.Address < 1 || c.Address > modbusAnyone {
			return fmt.Errorf("address: %d is not within 1 and %d", c.Address, modbusAnyone)
		}
		if c.Pin != "" {
			return fmt.Errorf("pin: not for a meter on a serial line")
		}
	case onNetwork:
		if _, _, err := net.SplitHostPort(c.Endpoint); err != nil {
			return fmt.Errorf("endpoint: %q is no host:port", c.Endpoint)
		}
		if c.Address < 1 || c.Address > 247 {
			return fmt.Errorf("address: unit %d is not within 1 and 247", c.Address)
		}
		if c.Pin != "" {
			return fmt.Errorf("pin: not for a device on a network")
		}
	default:
		if c.Kind == "" {
			return fmt.Errorf("kind: missing")
		}
		return fmt.Errorf("kind: %q is none of %s", c.Kind, strings.Join(slices.Sorted(maps.Keys(places)), ", "))
	}
	return nil
}

// foreign refuses settings of another kind: they would be silently without
// effect.
func (c Config) foreign() error {
	for _, f := range []struct {
		field, kinds string
		set          bool
	}{
		{"shunt_ohm", KindINA219, c.ShuntOhm != 0},
		{"max_current_a", KindINA219, c.MaxCurrentA != 0},
		{"voltage_scale", KindINA219, c.VoltageScale != 0},
		{"inputs", KindADS1115, len(c.Inputs) != 0},
		{"ready_pin", KindADS1115, c.ReadyPin != ""},
		{"cycles", KindADS1115, c.Cycles != 0},
		{"nominal_frequency_hz", KindADS1115, c.NominalHz != 0},
		{"mps_per_hz", KindAnemometer, c.MPSPerHz != 0},
		{"offset_mps", KindAnemometer, c.OffsetMPS != 0},
		{"window", KindAnemometer, c.Window != 0},
		{"imp_per_kwh", KindS0, c.ImpPerKWh != 0},
		{"direction", KindS0 + " " + KindPZEM, c.Direction != ""},
		{"power", KindS0, c.Power},
		{"measures", KindTMP102, c.Measures != ""},
		{"mm_per_tip", KindRain, c.MMPerTip != 0},
		{"wet_for", KindRain, c.WetFor != 0},
		{"tuning_cap", KindAS3935, c.TuningCap != 0},
		{"indoor", KindAS3935, c.Indoor},
		{"irq_pin", KindAS3935, c.IRQPin != ""},
		{"min_strikes", KindAS3935, c.MinStrikes != 0},
		{"port", KindPZEM, c.Port != ""},
		{"phase", KindPZEM, c.Phase != ""},
		{"endpoint", KindSunSpec, c.Endpoint != ""},
		{"channels", KindSunSpec, len(c.Channels) != 0},
		{"timeout", KindSunSpec, c.Timeout != 0},
	} {
		if f.set && !slices.Contains(strings.Fields(f.kinds), c.Kind) {
			return fmt.Errorf("%s: not for %s", f.field, c.Kind)
		}
	}
	return nil
}

// within reports whether v is a number in [lo, hi].
func within(v, lo, hi float64) bool { return v >= lo && v <= hi && !math.IsNaN(v) }

func (c Config) validateINA219() error {
	if !within(c.ShuntOhm, 1e-5, 100) {
		return fmt.Errorf("shunt_ohm: %g is not within 0.00001 and 100", c.ShuntOhm)
	}
	if cal := inaCalibration(c.MaxCurrentA, c.ShuntOhm); !within(cal, 1, 65534) {
		return fmt.Errorf("max_current_a: %g A gives a calibration of %.0f, not within 1 and 65534", c.MaxCurrentA, cal)
	}
	if !within(c.VoltageScale, 1e-3, 1e5) {
		return fmt.Errorf("voltage_scale: %g is not within 0.001 and 100000", c.VoltageScale)
	}
	return nil
}

func (c Config) validateADS1115() error {
	if len(c.Inputs) == 0 || len(c.Inputs) > 4 {
		return fmt.Errorf("inputs: %d of them, not 1 to 4", len(c.Inputs))
	}
	seen := map[model.Channel]bool{}
	for i, in := range c.Inputs {
		if !isACVoltage(in.Channel) && !isACCurrent(in.Channel) {
			return fmt.Errorf("inputs[%d].channel: %s is no AC voltage or current", i, in.Channel)
		}
		if seen[in.Channel] {
			return fmt.Errorf("inputs[%d].channel: %s twice", i, in.Channel)
		}
		seen[in.Channel] = true
		if _, ok := adsMux[in.Input]; !ok {
			return fmt.Errorf("inputs[%d].input: %q is no input", i, in.Input)
		}
		if _, ok := adsRange[in.RangeV]; !ok {
			return fmt.Errorf("inputs[%d].range_v: the chip has no range of %g V", i, in.RangeV)
		}
		if !within(in.Scale, 1e-6, 1e6) {
			return fmt.Errorf("inputs[%d].scale: %g is not within 0.000001 and 1000000", i, in.Scale)
		}
	}
	if c.Cycles < 2 || c.Cycles > 100 {
		return fmt.Errorf("cycles: %d is not within 2 and 100", c.Cycles)
	}
	if !within(c.NominalHz, 10, 100) {
		return fmt.Errorf("nominal_frequency_hz: %g is not within 10 and 100", c.NominalHz)
	}
	return nil
}

func (c Config) validateAnemometer() error {
	if !within(c.MPSPerHz, 1e-3, 100) {
		return fmt.Errorf("mps_per_hz: %g is not within 0.001 and 100", c.MPSPerHz)
	}
	if !within(c.OffsetMPS, -5, 5) {
		return fmt.Errorf("offset_mps: %g is not within -5 and 5", c.OffsetMPS)
	}
	if c.Window < gustWindow || c.Window > time.Hour {
		return fmt.Errorf("window: %v is not within 3s and 1h", c.Window)
	}
	return nil
}

func (c Config) validateS0() error {
	if c.ImpPerKWh < 1 || c.ImpPerKWh > 1_000_000 {
		return fmt.Errorf("imp_per_kwh: %d is not within 1 and 1000000", c.ImpPerKWh)
	}
	return c.validateDirection()
}

func (c Config) validateDirection() error {
	if c.Direction != "export" && c.Direction != "import" {
		return fmt.Errorf("direction: %q is neither export nor import", c.Direction)
	}
	return nil
}

func (c Config) validateRain() error {
	if !within(c.MMPerTip, 0.001, 10) {
		return fmt.Errorf("mm_per_tip: %g is not within 0.001 and 10", c.MMPerTip)
	}
	if c.WetFor < time.Minute || c.WetFor > 24*time.Hour {
		return fmt.Errorf("wet_for: %v is not within 1m and 24h", c.WetFor)
	}
	return nil
}

func (c Config) validateAS3935() error {
	if c.TuningCap < 0 || c.TuningCap > 15 {
		return fmt.Errorf("tuning_cap: %d is not within 0 and 15", c.TuningCap)
	}
	if !slices.Contains([]int{1, 5, 9, 16}, c.MinStrikes) {
		return fmt.Errorf("min_strikes: %d is none of 1, 5, 9, 16", c.MinStrikes)
	}
	return nil
}

func (c Config) validateSunSpec() error {
	if c.Timeout < 50*time.Millisecond || c.Timeout > 10*time.Second {
		return fmt.Errorf("timeout: %v is not within 50ms and 10s", c.Timeout)
	}
	for i, ch := range c.Channels {
		if slices.Contains(c.Channels[:i], ch) {
			return fmt.Errorf("channels[%d]: %s twice", i, ch)
		}
		known := false
		for _, points := range sunModels {
			known = known || slices.ContainsFunc(points, func(p sunPoint) bool { return p.channel == ch })
		}
		if !known {
			return fmt.Errorf("channels[%d]: no SunSpec model read here gives %s", i, ch)
		}
	}
	return nil
}

// StandardConfigs are the sensors of the standard board: a weather chip, a DC
// shunt with a 25:1 divider, the mains through a transformer and a clamp, an
// anemometer, and meters for export and import.
func StandardConfigs() []Config {
	return []Config{
		{Kind: KindBME280, Address: 0x76},
		{Kind: KindINA219, Address: 0x40, ShuntOhm: 0.0015, VoltageScale: 25},
		{Kind: KindADS1115, Address: 0x48, Inputs: []InputConfig{
			{Channel: model.VoltageV, Input: "0-1", Scale: 325},
			{Channel: model.CurrentA, Input: "2-3", Scale: 100},
		}},
		{Kind: KindAnemometer, Pin: "ANEMO"},
		{Kind: KindS0, Pin: "S0-1", Direction: "export"},
		{Kind: KindS0, Pin: "S0-2", Direction: "import"},
	}
}
