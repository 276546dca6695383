package model

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// settingsOf lists the numbers and switches of a configuration by the names of
// the file.
func settingsOf(c *Config) (names []string, at map[string]reflect.Value) {
	at = map[string]reflect.Value{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag.Get("yaml")
			switch f := v.Field(i); {
			case tag == ",inline":
				walk(prefix, f)
			case tag == "-":
			case f.Kind() == reflect.Struct:
				walk(prefix+tag+".", f)
			case f.Kind() == reflect.Pointer && !f.IsNil():
				walk(prefix+tag+".", f.Elem())
			case f.CanFloat(), f.CanInt(), f.Kind() == reflect.Bool:
				names, at[prefix+tag] = append(names, prefix+tag), f
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return names, at
}

func setNumber(v reflect.Value, x float64) {
	if v.CanInt() {
		v.SetInt(int64(x))
		return
	}
	v.SetFloat(x)
}

func numberOf(v reflect.Value) float64 {
	if v.CanInt() {
		return float64(v.Int())
	}
	return v.Float()
}

func positioned(c *Config) { c.Position = &Position{Latitude: 20, Longitude: 120} }

// The defaults of every setting are those of testdata/defaults.txt, the limits
// of both grid profiles with them.
func TestDefaults(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, nominal := range [][2]float64{{120, 60}, {230, 50}} {
		c := DefaultConfig()
		c.SetNominal(nominal[0], nominal[1])
		l, err := c.GridLimits()
		if err != nil {
			t.Fatal(err)
		}
		c.Limits = l
		names, at := settingsOf(&c)
		fmt.Fprintf(&b, "%s %s latch %v required %v\n", c.Grid, c.Generator, c.Latch, c.Required)
		for _, name := range names {
			fmt.Fprintf(&b, "%s %v\n", name, at[name].Interface())
		}
	}
	golden(t, "defaults.txt", b.String())
}

// Every number with a range is accepted at both ends and refused a step beyond
// either, by its name. The ranges are those of testdata/ranges.txt.
func TestRanges(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	positioned(&c)
	ranges := c.fields()
	var b strings.Builder
	for _, f := range ranges {
		fmt.Fprintf(&b, "%s %v to %v\n", f.name, f.lo, f.hi)
		refused := func(x float64) bool {
			c := DefaultConfig()
			positioned(&c)
			_, at := settingsOf(&c)
			v, ok := at[f.name]
			if !ok {
				t.Fatalf("%s is no setting", f.name)
			}
			setNumber(v, x)
			if err := c.Validate(); err != nil {
				return strings.HasPrefix(err.Error(), f.name+": "+fmt.Sprint(numberOf(v))+" is outside ")
			}
			return false
		}
		below, above := down(f.lo), up(f.hi)
		if _, at := settingsOf(&c); at[f.name].CanInt() {
			below, above = f.lo-1, f.hi+1
		} else if !refused(math.NaN()) && f.name != "" {
			t.Errorf("%s may be NaN", f.name)
		}
		// A limit of the grid of 0 means the profile's.
		if refused(f.lo) || refused(f.hi) {
			t.Errorf("%s: refused at an end of %v to %v", f.name, f.lo, f.hi)
		}
		if !refused(below) || !refused(above) {
			t.Errorf("%s: accepted beyond %v to %v", f.name, f.lo, f.hi)
		}
	}
	golden(t, "ranges.txt", b.String())
}

// What must not be above what: accepted when equal, refused a step above.
func TestOrders(t *testing.T) {
	t.Parallel()
	pairs := [][2]string{
		{"limits.voltage_low_pu", "limits.voltage_high_pu"},
		{"limits.voltage_far_low_pu", "limits.voltage_low_pu"},
		{"limits.voltage_lost_pu", "limits.voltage_low_pu"},
		{"limits.voltage_high_pu", "limits.voltage_far_high_pu"},
		{"limits.voltage_low_pu", "limits.enter_voltage_low_pu"},
		{"limits.enter_voltage_low_pu", "limits.enter_voltage_high_pu"},
		{"limits.enter_voltage_high_pu", "limits.voltage_high_pu"},
		{"limits.frequency_low_hz", "limits.enter_frequency_low_hz"},
		{"limits.enter_frequency_low_hz", "limits.enter_frequency_high_hz"},
		{"limits.enter_frequency_high_hz", "limits.frequency_high_hz"},
		{"quality.persist_readings", "quality.persist_of"},
		{"weather.gust_armed_mps", "weather.gust_block_mps"},
		{"weather.gust_clear_mps", "weather.gust_armed_mps"},
		{"weather.mean_warn_clear_mps", "weather.mean_warn_mps"},
		{"weather.mean_block_clear_mps", "weather.mean_block_mps"},
		{"weather.cut_in_mean_mps", "weather.cut_out_mean_mps"},
		{"weather.fall_clear_hpa", "weather.fall_warn_hpa"},
		{"equipment.overload_ratio", "equipment.far_overload_ratio"},
		{"equipment.temperature_warn_c", "equipment.temperature_limit_c"},
		{"equipment.vibration_warn_mps2", "equipment.vibration_limit_mps2"},
		{"quality.mean_high_clear_pu", "quality.mean_high_pu"},
		{"quality.rocof_clear_hz_per_s", "quality.rocof_hz_per_s"},
		{"quality.unbalance_warn_pct", "quality.unbalance_block_pct"},
		{"quality.thd_clear_pct", "quality.thd_warn_pct"},
		{"earth.leakage_warn_ma", "earth.leakage_limit_ma"},
		{"yield.shortfall_clear_pct", "yield.shortfall_warn_pct"},
		{"meter.error_clear_pct", "meter.error_warn_pct"},
		{"lightning.near_km", "lightning.far_km"},
		{"cyclone.anomaly_clear_hpa", "cyclone.anomaly_hpa"},
		{"cyclone.mean_wind_mps", "cyclone.gale_mps"},
		{"cyclone.hold_s", "cyclone.calm_s"},
		{"cyclone.min_days", "cyclone.max_days"},
		{"icing.low_c", "icing.high_c"},
		{"icing.high_c", "icing.clear_c"},
		{"icing.humidity_clear_pct", "icing.humidity_pct"},
	}
	c := DefaultConfig()
	if n := len(c.orders()); n != len(pairs) {
		t.Errorf("%d orders, %d of them tested", n, len(pairs))
	}
	for _, p := range pairs {
		told := func(step func(v reflect.Value, high float64)) bool {
			c := DefaultConfig()
			l, err := c.GridLimits()
			if err != nil {
				t.Fatal(err)
			}
			c.Limits = l
			_, at := settingsOf(&c)
			step(at[p[0]], numberOf(at[p[1]]))
			_, at = settingsOf(&c)
			want := fmt.Sprintf("%s: %v must not be above %v", p[0], numberOf(at[p[0]]), numberOf(at[p[1]]))
			return slices.ContainsFunc(c.orders(), func(o order) bool {
				return o.check() != nil && o.check().Error() == want
			}) && c.Validate() != nil
		}
		if told(setNumber) {
			t.Errorf("%s equal to %s is refused", p[0], p[1])
		}
		if !told(func(v reflect.Value, high float64) {
			if v.CanInt() {
				high++
			}
			setNumber(v, up(high))
		}) {
			t.Errorf("%s above %s is accepted", p[0], p[1])
		}
		if _, at := settingsOf(&c); at[p[0]].CanFloat() && !told(func(v reflect.Value, _ float64) { v.SetFloat(math.NaN()) }) {
			t.Errorf("%s may be NaN", p[0])
		}
	}
}

// Each limit of the grid that is given replaces the profile's, and no other.
func TestGridLimitsAreOverridden(t *testing.T) {
	t.Parallel()
	base, _ := GridEU50.Limits()
	n := reflect.TypeFor[GridLimits]().NumField()
	for i := range n {
		c := DefaultConfig()
		c.Grid = GridEU50
		reflect.ValueOf(&c.Limits).Elem().Field(i).SetFloat(7)
		l, err := c.GridLimits()
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			want := reflect.ValueOf(base).Field(k).Float()
			if k == i {
				want = 7
			}
			if got := reflect.ValueOf(l).Field(k).Float(); got != want {
				t.Errorf("field %d given: field %d is %v, want %v", i, k, got, want)
			}
		}
	}
}

func TestSetNominal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v, hz         float64
		wantV, wantHz float64
		grid          GridProfile
	}{
		{0, 0, 120, 60, GridIEEE1547},
		{230, 49, 230, 49, GridEU50},
		{230, 51, 230, 51, GridEU50},
		{230, down(49), 230, 60, GridIEEE1547},
		{230, up(51), 230, 60, GridIEEE1547},
		{-1, 50, 120, 50, GridEU50},
	} {
		cfg := DefaultConfig()
		cfg.SetNominal(c.v, c.hz)
		if cfg.NominalVoltageV != c.wantV || cfg.NominalFreqHz != c.wantHz || cfg.Grid != c.grid {
			t.Errorf("%v V, %v Hz: %v V, %v Hz, %s", c.v, c.hz, cfg.NominalVoltageV, cfg.NominalFreqHz, cfg.Grid)
		}
	}
	for hz, want := range map[float64]GridProfile{59: GridIEEE1547, 61: GridIEEE1547, down(59): GridEU50, up(61): GridEU50} {
		cfg := DefaultConfig()
		cfg.SetNominal(230, 50)
		cfg.SetNominal(0, hz)
		if cfg.Grid != want {
			t.Errorf("%v Hz: %s", hz, cfg.Grid)
		}
	}
}

func TestRequiredOf(t *testing.T) {
	t.Parallel()
	got := RequiredOf([]Channel{VoltageV, LightningKM, LightningCount, WindDirectionDeg, VoltageVInst, RainMM, Raining})
	if want := []Channel{VoltageV, RainMM, Raining}; !slices.Equal(got, want) {
		t.Errorf("required %v, want %v", got, want)
	}
}

// What a configuration cannot serve is told, from the first value on that
// cannot.
func TestWhyRulesAreUnserved(t *testing.T) {
	t.Parallel()
	has := func(rule string, change func(*Config)) string {
		cfg := DefaultConfig()
		change(&cfg)
		j, err := NewJudge(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range j.Unserved() {
			if u.Rule == rule {
				return u.Why
			}
		}
		return ""
	}
	at := func(latitude float64) func(*Config) {
		return func(c *Config) { c.Position = &Position{Latitude: latitude} }
	}
	for _, c := range []struct {
		rule, want string
		change     func(*Config)
	}{
		{"E08", "no rated_current_a is configured", every(1)},
		{"E08", "", func(c *Config) { c.RatedCurrentA = 1 }},
		{"P01", "no rated_power_w is configured", every(1)},
		{"P01", "", func(c *Config) { c.RatedPowerW = 1 }},
		{"P01", "only for a generator of kind pv", func(c *Config) { c.RatedPowerW, c.Generator = 1, GeneratorMeter }},
		{"T01", "only for a generator of kind wind", every(1)},
		{"T01", "", turbine},
		{"W06", "", every(450)},
		{"W06", "needs samples less than 450 s apart", every(450.1)},
		{"E05", "", every(0.5)},
		{"E05", "needs a frequency at least every 0.5 s", every(0.51)},
		{"W08", "no position is configured", every(1)},
		{"W08", "", at(35)},
		{"W08", "", at(-35)},
		{"W08", "only within 35 degrees of the equator", at(35.1)},
		{"W08", "only within 35 degrees of the equator", at(-35.1)},
		{"E14", "no channel inverter_events", func(c *Config) { c.Channels = []Channel{InsulationKOhm} }},
		{"E10", "", func(c *Config) { c.Channels = []Channel{InverterEvents} }},
		{"T01", "", func(c *Config) { turbine(c); c.Channels = []Channel{WindGustMPS} }},
		{"T01", "no channel wind_speed_mps", func(c *Config) { turbine(c); c.Channels = []Channel{RainMM} }},
	} {
		if got := has(c.rule, c.change); got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
	var ids []string
	for _, u := range noChannel() {
		ids = append(ids, u.Rule)
	}
	if !slices.Equal(ids, []string{"E11", "E15", "W02", "W10"}) {
		t.Errorf("no channel for %v", ids)
	}
}

func TestLatchNamesARule(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{"W03": true, "M00": true, "M-wind": true, "M-external": true, "INIT": false, "M-": false, "": false} {
		c := DefaultConfig()
		c.Latch = []string{id}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("latch %s: %v", strconv.Quote(id), err)
		}
	}
	// A latch for a kind that no network scores does nothing.
	r := newRig(t, nil, func(c *Config) { c.Latch = []string{"M-wind"} })
	if r.j.latches != 0 {
		t.Errorf("latches %b", r.j.latches)
	}
}

func TestScoreThresholdsAreProbabilities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		l  ScoreLimit
		ok bool
	}{
		{ScoreLimit{0, 0}, true},
		{ScoreLimit{1, 1}, true},
		{ScoreLimit{up(1), 0}, false},
		{ScoreLimit{0, up(1)}, false},
		{ScoreLimit{down(0), 0}, false},
		{ScoreLimit{0, math.NaN()}, false},
	} {
		cfg := DefaultConfig()
		cfg.Score.Kinds = map[string]ScoreLimit{"wind": c.l}
		if err := cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.l, err)
		}
	}
}
