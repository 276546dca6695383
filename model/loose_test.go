package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// Every number of a configuration is a threshold with a looser side, or says what
// the site is.
func TestEverySettingLeans(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	seen := map[string]bool{}
	for _, n := range c.numbers() {
		seen[n.name] = true
		_, leans := leanings[n.name]
		if leans == slices.Contains(aSite, n.name) {
			t.Errorf("%s: which side is looser?", n.name)
		}
	}
	for name := range leanings {
		if !seen[name] {
			t.Errorf("%s is no setting", name)
		}
	}
}

// The defaults of both profiles are not loose, and what is beyond an end is refused
// by name until it is meant.
func TestLooseSettings(t *testing.T) {
	t.Parallel()
	for _, hz := range []float64{50, 60} {
		c := DefaultConfig()
		c.SetNominal(230, hz)
		if l := c.Loosened(); l != nil {
			t.Errorf("defaults at %v Hz: %v", hz, l)
		}
		if err := c.Extreme(); err != nil {
			t.Errorf("defaults at %v Hz: %v", hz, err)
		}
	}
	for _, c := range []struct {
		set  func(*Config)
		want string // of Loosened
		err  string // of Extreme
	}{
		{func(c *Config) { c.Weather.GustBlockMPS = 40 }, "weather.gust_block_mps 40 (default 25.7)", ""},
		{func(c *Config) { c.Weather.GustBlockMPS = 60 }, "weather.gust_block_mps 60 (default 25.7)", ""},
		{func(c *Config) { c.Weather.GustBlockMPS = 150 }, "weather.gust_block_mps 150 (default 25.7)", "weather.gust_block_mps: 150 is above 60 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.Weather.GustBlockMPS, c.Weather.GustArmedMPS = 22, 20 }, "", ""},
		{func(c *Config) { c.Lightning.NearKM = 0 }, "lightning.near_km 0 (default 10)", "lightning.near_km: 0 is below 5 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.Lightning.NearKM = 5 }, "lightning.near_km 5 (default 10)", ""},
		{func(c *Config) { c.Lightning.ConfirmStrikes = 1000 }, "lightning.confirm_strikes 1000 (default 2)", "lightning.confirm_strikes: 1000 is above 10 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.Limits.VoltageFarHighPU = 1.9 }, "limits.voltage_far_high_pu 1.9 (default 1.2)", "limits.voltage_far_high_pu: 1.9 is above 1.5 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.Equipment.TemperatureLimitC = 400 }, "equipment.temperature_limit_c 400 (default 90)", "equipment.temperature_limit_c: 400 is above 150 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.Stale.ElectricalS = week }, "stale.electrical_s 604800 (default 5)", "stale.electrical_s: 604800 is above 3600 and hardly closes the gate; if you mean it, add i_know: true"},
		{func(c *Config) { c.StuckCalmS = 0 }, "stuck_calm_s 0 (default 43200)", ""},
		{func(c *Config) { c.Latch = []string{"S04", "E09", "E10", "E11", "E17"} }, "latch without E12 (default with it)", ""},
		{func(c *Config) { c.Required = []Channel{} }, "required none (default every configured channel)", ""},
		{func(c *Config) { c.Equipment.InverterQuietBits = 1 << 1 }, "equipment.inverter_quiet_bits 2 (default 24576)", ""},
		{func(c *Config) { c.Equipment.InverterQuietBits = 1 << 13 }, "", ""},
		{func(c *Config) { c.Limits.EnterServiceS = 5 }, "limits.enter_service_s 5 (default 60)", ""},
		{func(c *Config) { c.RatedCurrentA, c.Earth.MaxDCVoltageV, c.IntervalS = 0, 2000, 3600 }, "", ""},
	} {
		cfg := DefaultConfig()
		cfg.SetNominal(230, 50)
		c.set(&cfg)
		var got []string
		for _, l := range cfg.Loosened() {
			got = append(got, l.String())
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("loosened %v, want %q", got, c.want)
		}
		err := cfg.Extreme()
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: %v, want %q", c.want, err, c.err)
		}
		if cfg.IKnow = true; cfg.Extreme() != nil {
			t.Errorf("%s: refused although it is meant", c.want)
		}
	}
}

// The ends of the ranges are looser than the defaults on one side and never on both.
func TestLeaningSides(t *testing.T) {
	t.Parallel()
	for name, l := range leanings {
		if l.bits {
			if l.looser(1, 3) || !l.looser(3, 1) || !l.looser(2, 1) || l.looser(1, 1) {
				t.Errorf("%s: more bits are looser", name)
			}
			continue
		}
		if l.looser(1, 1) || l.looser(1, 2) == l.looser(2, 1) {
			t.Errorf("%s: which side is looser?", name)
		}
		if l.off && (!l.looser(0, 1) || l.looser(1, 0) || l.looser(0, 0)) {
			t.Errorf("%s: off is not the loosest", name)
		}
		if math.IsNaN(l.end) {
			t.Errorf("%s: no end", name)
		}
	}
}
