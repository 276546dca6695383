package model

import (
	"fmt"
	"slices"
)

// A GridProfile names a set of voltage, frequency and return limits.
type GridProfile string

// The profiles. The limits are recalled from the standards named at
// GridProfile.Limits and may all be overridden: the grid operator decides, and
// nothing here claims conformity.
const (
	GridIEEE1547 GridProfile = "ieee1547-60"
	GridEU50     GridProfile = "eu-50"
)

// A Generator says what the agent guards, which adds rules of its own.
type Generator string

// The kinds of generators. A meter has no machine; a wind turbine adds the
// cut-out rule T01.
const (
	GeneratorPV    Generator = "pv"
	GeneratorWind  Generator = "wind"
	GeneratorMeter Generator = "meter"
)

// GridLimits are the electrical limits of the rules E01, E02, E04 and E15 and
// the criteria for coming back ("enter service"). A zero field means the
// profile's value.
type GridLimits struct {
	VoltageLowPU       float64 `yaml:"voltage_low_pu"`        // E01
	VoltageHighPU      float64 `yaml:"voltage_high_pu"`       // E01
	VoltageFarLowPU    float64 `yaml:"voltage_far_low_pu"`    // E02
	VoltageFarHighPU   float64 `yaml:"voltage_far_high_pu"`   // E02
	VoltageLostPU      float64 `yaml:"voltage_lost_pu"`       // E15
	FrequencyLowHz     float64 `yaml:"frequency_low_hz"`      // E04
	FrequencyHighHz    float64 `yaml:"frequency_high_hz"`     // E04
	EnterVoltageLowPU  float64 `yaml:"enter_voltage_low_pu"`  // enter service
	EnterVoltageHighPU float64 `yaml:"enter_voltage_high_pu"` // enter service
	EnterFreqLowHz     float64 `yaml:"enter_frequency_low_hz"`
	EnterFreqHighHz    float64 `yaml:"enter_frequency_high_hz"`
	EnterServiceS      float64 `yaml:"enter_service_s"` // all criteria true for this long
}

// Limits returns the profile's limits.
//
// ieee1547-60: continuous operation and enter-service defaults of IEEE
// 1547-2018. eu-50: voltage as above, 49.0 to 51.0 Hz, and the return criteria
// of EN 50549-1 (49.5 to 50.2 Hz for 60 s), its voltage band narrowed to the
// band in which the gate may be open at all.
func (g GridProfile) Limits() (GridLimits, bool) {
	switch g {
	case GridIEEE1547:
		return GridLimits{0.88, 1.10, 0.50, 1.20, 0.10, 58.8, 61.2, 0.917, 1.05, 59.5, 60.1, 300}, true
	case GridEU50:
		return GridLimits{0.88, 1.10, 0.50, 1.20, 0.10, 49.0, 51.0, 0.88, 1.10, 49.5, 50.2, 60}, true
	}
	return GridLimits{}, false
}

// WeatherLimits are the thresholds of the rules W03 to W07 and T01. Wind is in
// m/s, the mean over 10 minutes, the gust the highest 3-s mean.
type WeatherLimits struct {
	GustBlockMPS      float64 `yaml:"gust_block_mps"`       // W03
	GustArmedMPS      float64 `yaml:"gust_armed_mps"`       // W03 while W07 holds
	GustClearMPS      float64 `yaml:"gust_clear_mps"`       // W03
	GustHoldS         float64 `yaml:"gust_hold_s"`          // W03
	MeanWarnMPS       float64 `yaml:"mean_warn_mps"`        // W04
	MeanWarnClearMPS  float64 `yaml:"mean_warn_clear_mps"`  // W04
	MeanWarnHoldS     float64 `yaml:"mean_warn_hold_s"`     // W04
	MeanBlockMPS      float64 `yaml:"mean_block_mps"`       // W05
	MeanBlockClearMPS float64 `yaml:"mean_block_clear_mps"` // W05
	MeanBlockHoldS    float64 `yaml:"mean_block_hold_s"`    // W05
	SquallRiseHPa     float64 `yaml:"squall_rise_hpa"`      // W06, within 15 min
	SquallCoolingK    float64 `yaml:"squall_cooling_k"`     // W06, a fall, positive
	SquallGustMPS     float64 `yaml:"squall_gust_mps"`      // W06
	SquallGustRiseMPS float64 `yaml:"squall_gust_rise_mps"` // W06
	SquallHoldS       float64 `yaml:"squall_hold_s"`        // W06
	FallWarnHPa       float64 `yaml:"fall_warn_hpa"`        // W07, over 3 h, positive
	FallClearHPa      float64 `yaml:"fall_clear_hpa"`       // W07
	CutOutMeanMPS     float64 `yaml:"cut_out_mean_mps"`     // T01
	CutOutGustMPS     float64 `yaml:"cut_out_gust_mps"`     // T01
	CutInMeanMPS      float64 `yaml:"cut_in_mean_mps"`      // T01
	CutInHoldS        float64 `yaml:"cut_in_hold_s"`        // T01
}

// EquipmentLimits are the thresholds of E08, E13 and T02.
type EquipmentLimits struct {
	OverloadRatio     float64 `yaml:"overload_ratio"`      // E08: of the rating
	OverloadS         float64 `yaml:"overload_s"`          // for this long
	FarOverloadRatio  float64 `yaml:"far_overload_ratio"`  // E08: of the rating
	FarOverloadS      float64 `yaml:"far_overload_s"`      // for this long
	OverloadHoldS     float64 `yaml:"overload_hold_s"`     // below the rating
	TemperatureWarnC  float64 `yaml:"temperature_warn_c"`  // E13
	TemperatureLimitC float64 `yaml:"temperature_limit_c"` // E13
	HysteresisK       float64 `yaml:"hysteresis_k"`        // E13
	TemperatureHoldS  float64 `yaml:"temperature_hold_s"`  // E13

	VibrationWarnMPS2   float64 `yaml:"vibration_warn_mps2"`   // T02
	VibrationLimitMPS2  float64 `yaml:"vibration_limit_mps2"`  // T02
	VibrationClearRatio float64 `yaml:"vibration_clear_ratio"` // T02, of either
	VibrationHoldS      float64 `yaml:"vibration_hold_s"`      // T02
}

// StaleLimits are the ages beyond which a reading is worth nothing, by group of
// channels. In a trace the limit is never below 1.5 times the interval.
type StaleLimits struct {
	ElectricalS  float64 `yaml:"electrical_s"`
	TemperatureS float64 `yaml:"temperature_s"` // air and equipment
	WindS        float64 `yaml:"wind_s"`        // wind and pressure
	RainS        float64 `yaml:"rain_s"`        // rain and light
	LightningS   float64 `yaml:"lightning_s"`
}

// GateTimes are the gate's own timers.
type GateTimes struct {
	MinBlockS    float64 `yaml:"min_block_s"`    // shortest block
	ValidS       float64 `yaml:"valid_s"`        // required inputs valid, at start and after E16
	MaxReopens   int     `yaml:"max_reopens"`    // openings an hour before...
	ReopenClearS float64 `yaml:"reopen_clear_s"` // ...this much clear time is asked for
}

// A ScoreLimit says what a network score does for one hazard kind.
type ScoreLimit struct {
	Warn  float64 `yaml:"warn"`  // probability from which it warns; 0: never
	Block float64 `yaml:"block"` // probability from which it blocks; 0: never
}

// ScoreLimits bind the network's scores to alerts. By default the network
// warns and never blocks: a kind may block only where the network beat the
// rules on validation data at a stated price in blocked hours.
type ScoreLimits struct {
	Kinds      map[string]ScoreLimit `yaml:"kinds"`       // by kind name
	Windows    int                   `yaml:"windows"`     // consecutive windows over the threshold
	PeriodS    float64               `yaml:"period_s"`    // at most one window in this time
	ClearRatio float64               `yaml:"clear_ratio"` // cleared below ratio x threshold
	HoldS      float64               `yaml:"hold_s"`      // clear time of a block
	Require    bool                  `yaml:"require"`     // a failed network blocks instead of warning
}

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
	Required        []Channel       `yaml:"required"`
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
	Gate            GateTimes       `yaml:"gate"`
	Score           ScoreLimits     `yaml:"score"`
	Latch           []string        `yaml:"latch"` // rules that stay until a person acknowledges them
	Channels        []Channel       `yaml:"-"`     // what the site has; nil: unknown, all rules are kept
}

// DefaultConfig returns the rule table's values: IEEE 1547 at 120 V and 60 Hz,
// a PV generator, one sample a second, no input required.
func DefaultConfig() Config {
	return Config{
		Grid: GridIEEE1547, Generator: GeneratorPV,
		NominalVoltageV: 120, NominalFreqHz: 60, IntervalS: 1,
		Weather: WeatherLimits{
			GustBlockMPS: 25.7, GustArmedMPS: 20, GustClearMPS: 18, GustHoldS: 1800,
			MeanWarnMPS: 17.2, MeanWarnClearMPS: 13.9, MeanWarnHoldS: 1800,
			MeanBlockMPS: 24.5, MeanBlockClearMPS: 17.2, MeanBlockHoldS: 3600,
			SquallRiseHPa: 1, SquallCoolingK: 3, SquallGustMPS: 11, SquallGustRiseMPS: 8, SquallHoldS: 1800,
			FallWarnHPa: 6, FallClearHPa: 3.5,
			CutOutMeanMPS: 25, CutOutGustMPS: 30, CutInMeanMPS: 20, CutInHoldS: 600,
		},
		Equipment: EquipmentLimits{
			OverloadRatio: 1.10, OverloadS: 60, FarOverloadRatio: 1.25, FarOverloadS: 5, OverloadHoldS: 300,
			TemperatureWarnC: 80, TemperatureLimitC: 90, HysteresisK: 5, TemperatureHoldS: 600,
			VibrationWarnMPS2: 10, VibrationLimitMPS2: 16, VibrationClearRatio: 0.8, VibrationHoldS: 600,
		},
		Quality: defaultQuality(), Earth: defaultEarth(), Yield: defaultYield(), Meter: defaultMeter(), Lightning: defaultLightning(),
		Cyclone: defaultCyclone(), Icing: defaultIcing(),
		Latch:  []string{"E09", "E10", "E12"},
		Stale:  StaleLimits{ElectricalS: 5, TemperatureS: 60, WindS: 180, RainS: 180, LightningS: 60},
		StuckS: 1800, StuckReadings: 120,
		Gate:  GateTimes{MinBlockS: 300, ValidS: 60, MaxReopens: 3, ReopenClearS: 3600},
		Score: ScoreLimits{Windows: 2, PeriodS: 60, ClearRatio: 0.8, HoldS: 1800},
	}
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
	l, ok := c.Grid.Limits()
	if !ok {
		return l, fmt.Errorf("grid: unknown profile %q (known: %s, %s)", c.Grid, GridIEEE1547, GridEU50)
	}
	over := c.Limits
	for _, p := range []struct{ dst, src *float64 }{
		{&l.VoltageLowPU, &over.VoltageLowPU},
		{&l.VoltageHighPU, &over.VoltageHighPU},
		{&l.VoltageFarLowPU, &over.VoltageFarLowPU},
		{&l.VoltageFarHighPU, &over.VoltageFarHighPU},
		{&l.VoltageLostPU, &over.VoltageLostPU},
		{&l.FrequencyLowHz, &over.FrequencyLowHz},
		{&l.FrequencyHighHz, &over.FrequencyHighHz},
		{&l.EnterVoltageLowPU, &over.EnterVoltageLowPU},
		{&l.EnterVoltageHighPU, &over.EnterVoltageHighPU},
		{&l.EnterFreqLowHz, &over.EnterFreqLowHz},
		{&l.EnterFreqHighHz, &over.EnterFreqHighHz},
		{&l.EnterServiceS, &over.EnterServiceS},
	} {
		if *p.src != 0 {
			*p.dst = *p.src
		}
	}
	return l, nil
}

// A field is one number of the configuration with its allowed range.
type field struct {
	name   string
	value  float64
	lo, hi float64
}

// Validate checks every field and names the first that is wrong.
func (c *Config) Validate() error {
	l, err := c.GridLimits()
	if err != nil {
		return err
	}
	if !slices.Contains([]Generator{GeneratorPV, GeneratorWind, GeneratorMeter}, c.Generator) {
		return fmt.Errorf("generator: unknown kind %q (known: pv, wind, meter)", c.Generator)
	}
	for _, f := range slices.Concat(c.fields(&l), c.hazardFields(), c.conditionFields()) {
		if !(f.value >= f.lo && f.value <= f.hi) { // NaN fails too
			return fmt.Errorf("%s: %v is outside %v to %v", f.name, f.value, f.lo, f.hi)
		}
	}
	for _, o := range slices.Concat(c.orders(&l), c.hazardOrders(), c.conditionOrders()) {
		if o.low > o.high {
			return fmt.Errorf("%s: %v must not be above %v", o.name, o.low, o.high)
		}
	}
	for _, ch := range c.Required {
		if ch >= NumChannels {
			return fmt.Errorf("required: no such channel %d", ch)
		}
	}
	for _, id := range c.Latch {
		if i, ok := ruleIndex(id); !ok || i == ruleInit {
			return fmt.Errorf("latch: no rule %q that can be latched", id)
		}
	}
	for name, s := range c.Score.Kinds {
		if _, err := ParseKind(name); err != nil {
			return fmt.Errorf("score.kinds: %w", err)
		}
		for _, p := range []float64{s.Warn, s.Block} {
			if !(p >= 0 && p <= 1) {
				return fmt.Errorf("score.kinds.%s: %v is not a probability", name, p)
			}
		}
	}
	return nil
}

// fields lists the numbers that have a range of their own. Times are bounded
// by a week, so that no sum of them can overflow.
func (c *Config) fields(l *GridLimits) []field {
	const week = 7 * 86400
	w, e := &c.Weather, &c.Equipment
	return []field{
		{"nominal_voltage_v", c.NominalVoltageV, 1, 1e6},
		{"nominal_frequency_hz", c.NominalFreqHz, 1, 500},
		{"rated_current_a", c.RatedCurrentA, 0, 1e5},
		{"interval_s", c.IntervalS, 1e-5, week},
		{"limits.enter_service_s", l.EnterServiceS, 0, week},
		{"limits.voltage_lost_pu", l.VoltageLostPU, 0, 1},
		{"limits.voltage_far_high_pu", l.VoltageFarHighPU, 1, 10},
		{"limits.frequency_low_hz", l.FrequencyLowHz, 1, 500},
		{"limits.frequency_high_hz", l.FrequencyHighHz, 1, 500},
		{"weather.gust_clear_mps", w.GustClearMPS, 0, 150},
		{"weather.gust_block_mps", w.GustBlockMPS, 0, 150},
		{"weather.gust_armed_mps", w.GustArmedMPS, 0, 150},
		{"weather.gust_hold_s", w.GustHoldS, 0, week},
		{"weather.mean_warn_clear_mps", w.MeanWarnClearMPS, 0, 150},
		{"weather.mean_warn_hold_s", w.MeanWarnHoldS, 0, week},
		{"weather.mean_block_clear_mps", w.MeanBlockClearMPS, 0, 150},
		{"weather.mean_block_hold_s", w.MeanBlockHoldS, 0, week},
		{"weather.squall_rise_hpa", w.SquallRiseHPa, 0, 100},
		{"weather.squall_cooling_k", w.SquallCoolingK, 0, 100},
		{"weather.squall_gust_mps", w.SquallGustMPS, 0, 150},
		{"weather.squall_gust_rise_mps", w.SquallGustRiseMPS, 0, 150},
		{"weather.squall_hold_s", w.SquallHoldS, 0, week},
		{"weather.fall_clear_hpa", w.FallClearHPa, 0, 100},
		{"weather.cut_out_gust_mps", w.CutOutGustMPS, 0, 150},
		{"weather.cut_in_mean_mps", w.CutInMeanMPS, 0, 150},
		{"weather.cut_in_hold_s", w.CutInHoldS, 0, week},
		{"equipment.overload_ratio", e.OverloadRatio, 0.1, 100},
		{"equipment.overload_s", e.OverloadS, 0, week},
		{"equipment.far_overload_s", e.FarOverloadS, 0, week},
		{"equipment.overload_hold_s", e.OverloadHoldS, 0, week},
		{"equipment.hysteresis_k", e.HysteresisK, 0, 100},
		{"equipment.temperature_hold_s", e.TemperatureHoldS, 0, week},
		{"equipment.temperature_warn_c", e.TemperatureWarnC, -60, 400},
		{"stale.electrical_s", c.Stale.ElectricalS, 0.01, week},
		{"stale.temperature_s", c.Stale.TemperatureS, 0.01, week},
		{"stale.wind_s", c.Stale.WindS, 0.01, week},
		{"stale.rain_s", c.Stale.RainS, 0.01, week},
		{"stale.lightning_s", c.Stale.LightningS, 0.01, week},
		{"stuck_s", c.StuckS, 0, week},
		{"stuck_readings", float64(c.StuckReadings), 0, 1e9},
		{"gate.min_block_s", c.Gate.MinBlockS, 0, week},
		{"gate.valid_s", c.Gate.ValidS, 0, week},
		{"gate.max_reopens", float64(c.Gate.MaxReopens), 1, maxReopens},
		{"gate.reopen_clear_s", c.Gate.ReopenClearS, 0, week},
		{"score.windows", float64(c.Score.Windows), 1, 1000},
		{"score.period_s", c.Score.PeriodS, 0, week},
		{"score.clear_ratio", c.Score.ClearRatio, 0, 1},
		{"score.hold_s", c.Score.HoldS, 0, week},
	}
}

// An order says that one number must not be above another.
type order struct {
	name      string
	low, high float64
}

// orders lists what must hold between fields: a clear threshold beyond its set
// threshold would clear a cause that is still there.
func (c *Config) orders(l *GridLimits) []order {
	w, e := &c.Weather, &c.Equipment
	return []order{
		{"limits.voltage_low_pu", l.VoltageLowPU, l.VoltageHighPU},
		{"limits.voltage_far_low_pu", l.VoltageFarLowPU, l.VoltageLowPU},
		{"limits.voltage_lost_pu", l.VoltageLostPU, l.VoltageLowPU},
		{"limits.voltage_high_pu", l.VoltageHighPU, l.VoltageFarHighPU},
		{"limits.voltage_low_pu", l.VoltageLowPU, l.EnterVoltageLowPU},
		{"limits.enter_voltage_low_pu", l.EnterVoltageLowPU, l.EnterVoltageHighPU},
		{"limits.enter_voltage_high_pu", l.EnterVoltageHighPU, l.VoltageHighPU},
		{"limits.frequency_low_hz", l.FrequencyLowHz, l.EnterFreqLowHz},
		{"limits.enter_frequency_low_hz", l.EnterFreqLowHz, l.EnterFreqHighHz},
		{"limits.enter_frequency_high_hz", l.EnterFreqHighHz, l.FrequencyHighHz},
		{"weather.gust_armed_mps", w.GustArmedMPS, w.GustBlockMPS},
		{"weather.gust_clear_mps", w.GustClearMPS, w.GustArmedMPS},
		{"weather.mean_warn_clear_mps", w.MeanWarnClearMPS, w.MeanWarnMPS},
		{"weather.mean_block_clear_mps", w.MeanBlockClearMPS, w.MeanBlockMPS},
		{"weather.fall_clear_hpa", w.FallClearHPa, w.FallWarnHPa},
		{"weather.cut_in_mean_mps", w.CutInMeanMPS, w.CutOutMeanMPS},
		{"equipment.overload_ratio", e.OverloadRatio, e.FarOverloadRatio},
		{"equipment.temperature_warn_c", e.TemperatureWarnC, e.TemperatureLimitC},
	}
}
