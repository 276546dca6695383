package model

import (
	"fmt"
	"slices"
)

// A Generator says what the agent guards; some add rules.
type Generator string

// The kinds of generators. A meter has no machine; a wind turbine adds the
// cut-out rule T01.
const (
	GeneratorPV    Generator = "pv"
	GeneratorWind  Generator = "wind"
	GeneratorMeter Generator = "meter"
)

// A Position is where the site is, in degrees north and east.
type Position struct {
	Latitude  float64 `yaml:"latitude"`
	Longitude float64 `yaml:"longitude"`
}

// Blocks of the configuration that several hazards share, by the file's names.
type (
	// WeatherLimits are the thresholds of W03 to W07 and T01.
	WeatherLimits struct {
		WindLimits   `yaml:",inline"`
		SquallLimits `yaml:",inline"`
		FallLimits   `yaml:",inline"`
	}
	// EquipmentLimits are the thresholds of E08, E13, E14 and T02.
	EquipmentLimits struct {
		OverloadLimits  `yaml:",inline"`
		HeatLimits      `yaml:",inline"`
		VibrationLimits `yaml:",inline"`
		InverterLimits  `yaml:",inline"`
	}
	// QualityLimits are the thresholds of E03 and E05 to E07, and how many
	// readings E01, E04 and E13 ask for; the same for both grid profiles.
	QualityLimits struct {
		PowerLimits       `yaml:",inline"`
		PersistLimits     `yaml:",inline"`
		HeatPersistLimits `yaml:",inline"`
	}
)

// A Config is all the judge needs to know about a site. Every threshold may be
// changed per site; the defaults are those of the rule table.
type Config struct {
	// Prefix stands before alert ids ("farm1-pv3"); empty: none.
	Prefix          string          `yaml:"-"`
	Grid            GridProfile     `yaml:"grid"`
	Generator       Generator       `yaml:"generator"`
	NominalVoltageV float64         `yaml:"nominal_voltage_v"`
	NominalFreqHz   float64         `yaml:"nominal_frequency_hz"` // informs; the limits are the profile's
	RatedCurrentA   float64         `yaml:"rated_current_a"`      // 0: E08 cannot be served
	RatedPowerW     float64         `yaml:"rated_power_w"`        // of the PV array at 1000 W/m2; 0: P01 cannot be served
	IntervalS       float64         `yaml:"interval_s"`           // between samples
	Required        []Channel       `yaml:"required"`             // nil: whoever knows the channels says; empty: none
	Redundant       []Channel       `yaml:"redundant"`            // whose several sensors all stand at one place
	Limits          GridLimits      `yaml:"limits"`
	Weather         WeatherLimits   `yaml:"weather"`
	Equipment       EquipmentLimits `yaml:"equipment"`
	Quality         QualityLimits   `yaml:"quality"`
	Earth           EarthLimits     `yaml:"earth"`
	Yield           YieldLimits     `yaml:"yield"`
	Meter           MeterLimits     `yaml:"meter"`
	Lightning       LightningLimits `yaml:"lightning"`
	Cyclone         CycloneLimits   `yaml:"cyclone"`
	Icing           IcingLimits     `yaml:"icing"`
	Position        *Position       `yaml:"position"` // nil: W08 and the night check cannot be served
	Stale           StaleLimits     `yaml:"stale"`
	StuckS          float64         `yaml:"stuck_s"`        // pressure, voltage, frequency unchanged this long; 0: off
	StuckReadings   int             `yaml:"stuck_readings"` // and over this many readings
	StuckCalmS      float64         `yaml:"stuck_calm_s"`   // wind or gust zero this long; 0: off
	StuckWindS      float64         `yaml:"stuck_wind_s"`   // wind or gust unchanged this long and not zero; 0: off
	StuckSlowS      float64         `yaml:"stuck_slow_s"`   // temperatures, rain, light, vibration; 0: off
	Gate            GateTimes       `yaml:"gate"`
	Score           ScoreLimits     `yaml:"score"`
	Latch           []string        `yaml:"latch"`  // rules that stay until a person acknowledges them
	IKnow           bool            `yaml:"i_know"` // settings that hardly close the gate are meant
	Channels        []Channel       `yaml:"-"`      // what the site has; nil: unknown, all rules are kept
}

// DefaultConfig returns the rule table's values: IEEE 1547 at 120 V and 60 Hz,
// a PV generator, one sample a second, no input required.
func DefaultConfig() Config {
	c := Config{
		Grid: GridIEEE1547, Generator: GeneratorPV,
		NominalVoltageV: 120, NominalFreqHz: 60, IntervalS: 1,
		Gate: GateTimes{MinBlockS: 300, ValidS: 60, MaxReopens: 3, ReopenClearS: 3600},
	}
	for i := range hazards {
		if defaults := hazards[i].defaults; defaults != nil {
			defaults(&c)
		}
	}
	return c
}

// SetNominal adopts a grid's nominal values: the profile follows the frequency
// (50 Hz: eu-50, 60 Hz: ieee1547-60). Zero leaves a value as it is.
func (c *Config) SetNominal(voltageV, frequencyHz float64) {
	if voltageV > 0 {
		c.NominalVoltageV = voltageV
	}
	switch {
	case frequencyHz >= 49 && frequencyHz <= 51:
		c.Grid, c.NominalFreqHz = GridEU50, frequencyHz
	case frequencyHz >= 59 && frequencyHz <= 61:
		c.Grid, c.NominalFreqHz = GridIEEE1547, frequencyHz
	}
}

// RequiredOf returns which of a trace's channels a replay requires when the
// configuration names none: all but those that may be empty while all is well
// (lightning distance and count between strokes, wind direction in a calm or
// where it is variable) and waveform samples.
func RequiredOf(channels []Channel) []Channel {
	var out []Channel
	for _, c := range channels {
		if g := c.Info().Group; g != GroupLightning && g != GroupWaveform && c != WindDirectionDeg {
			out = append(out, c)
		}
	}
	return out
}

// GridLimits returns the limits in force: the profile's, with what Limits
// overrides.
func (c *Config) GridLimits() (GridLimits, error) {
	if _, ok := c.Grid.Limits(); !ok {
		return GridLimits{}, fmt.Errorf("grid: unknown profile %q (known: %s, %s)", c.Grid, GridIEEE1547, GridEU50)
	}
	return c.limitsInForce(), nil
}

// limitsInForce is GridLimits of a known profile.
func (c *Config) limitsInForce() GridLimits {
	l, _ := c.Grid.Limits()
	l.override(c.Limits)
	return l
}

// A field is one number of the configuration with its allowed range.
type field struct {
	name   string
	value  float64
	lo, hi float64
}

// An order says that one number must not be above another: a clear threshold
// beyond its set threshold would clear a cause that is still there.
type order struct {
	name      string
	low, high float64
}

func (o order) check() error {
	if !(o.low <= o.high) { // NaN fails too: no value would ever cross it
		return fmt.Errorf("%s: %v must not be above %v", o.name, o.low, o.high)
	}
	return nil
}

// week bounds every time of the configuration, so that no sum of them can
// overflow.
const week = 7 * 86400

// Validate checks every field and names the first that is wrong.
func (c *Config) Validate() error {
	if _, err := c.GridLimits(); err != nil {
		return err
	}
	if !slices.Contains([]Generator{GeneratorPV, GeneratorWind, GeneratorMeter}, c.Generator) {
		return fmt.Errorf("generator: unknown kind %q (known: pv, wind, meter)", c.Generator)
	}
	for _, f := range c.fields() {
		if !(f.value >= f.lo && f.value <= f.hi) { // NaN fails too
			return fmt.Errorf("%s: %v is outside %v to %v", f.name, f.value, f.lo, f.hi)
		}
	}
	for _, o := range c.orders() {
		if err := o.check(); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		name string
		of   []Channel
	}{{"required", c.Required}, {"redundant", c.Redundant}} {
		for _, ch := range list.of {
			if ch >= NumChannels {
				return fmt.Errorf("%s: no such channel %d", list.name, ch)
			}
		}
	}
	for _, id := range c.Latch {
		if !canLatch(id) {
			return fmt.Errorf("latch: no rule %q that can be latched", id)
		}
	}
	return c.Score.check()
}

// fields lists the numbers that have a range of their own.
func (c *Config) fields() []field {
	out := []field{
		{"nominal_voltage_v", c.NominalVoltageV, 1, 1e6},
		{"nominal_frequency_hz", c.NominalFreqHz, 1, 500},
		{"interval_s", c.IntervalS, 1e-5, week},
		{"gate.min_block_s", c.Gate.MinBlockS, 0, week},
		{"gate.valid_s", c.Gate.ValidS, 0, week},
		{"gate.max_reopens", float64(c.Gate.MaxReopens), 1, maxReopens},
		{"gate.reopen_clear_s", c.Gate.ReopenClearS, 0, week},
	}
	if c.Position != nil {
		out = append(out, field{"position.latitude", c.Position.Latitude, -90, 90},
			field{"position.longitude", c.Position.Longitude, -180, 180})
	}
	for i := range hazards {
		if fields := hazards[i].fields; fields != nil {
			out = append(out, fields(c)...)
		}
	}
	return out
}

func (c *Config) orders() []order {
	var out []order
	for i := range hazards {
		if orders := hazards[i].orders; orders != nil {
			out = append(out, orders(c)...)
		}
	}
	return out
}

// canLatch reports whether a rule may wait for a person. A network's rules are
// known by their kind, whether or not a network scores it.
func canLatch(id string) bool {
	if i, ok := ruleIndex(rules, id); ok {
		return i != ruleInit
	}
	for k := range NumKinds {
		if id == networkRuleID(k) {
			return true
		}
	}
	return false
}
