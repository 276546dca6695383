package model

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// A leaning says in which direction a setting makes the gate open more easily, and
// how far that may go before it has to be meant.
type leaning struct {
	less bool    // a smaller number is looser; else a greater one
	end  float64 // beyond this it needs i_know; 0: it never does
	off  bool    // 0 is off, and so the loosest
	bits bool    // it is a set of bits that do not block: one more is looser
}

func more(end float64) leaning   { return leaning{end: end} }
func less(end float64) leaning   { return leaning{less: true, end: end} }
func orZero(end float64) leaning { return leaning{end: end, off: true} }

// leanings are those of all settings that are thresholds or times. The ends lie
// where no standard, maker or textbook goes: a gust of 60 m/s is a hurricane of
// category 4, 1.5 pu breaks what hangs on the line, a reading of an hour ago is none.
var leanings = map[string]leaning{
	"limits.voltage_low_pu": less(0.7), "limits.voltage_high_pu": more(1.3),
	"limits.voltage_far_low_pu": less(0), "limits.voltage_far_high_pu": more(1.5), "limits.voltage_lost_pu": less(0),
	"limits.frequency_low_hz": less(45), "limits.frequency_high_hz": more(65),
	"limits.enter_voltage_low_pu": less(0), "limits.enter_voltage_high_pu": more(0),
	"limits.enter_frequency_low_hz": less(0), "limits.enter_frequency_high_hz": more(0), "limits.enter_service_s": less(0),

	"weather.gust_block_mps": more(60), "weather.gust_armed_mps": more(60), "weather.gust_clear_mps": more(60), "weather.gust_hold_s": less(0),
	"weather.mean_warn_mps": more(0), "weather.mean_warn_clear_mps": more(0), "weather.mean_warn_hold_s": less(0),
	"weather.mean_block_mps": more(45), "weather.mean_block_clear_mps": more(45), "weather.mean_block_hold_s": less(0),
	"weather.cut_out_mean_mps": more(45), "weather.cut_out_gust_mps": more(70), "weather.cut_in_mean_mps": more(45), "weather.cut_in_hold_s": less(0),
	"weather.squall_rise_hpa": more(10), "weather.squall_cooling_k": more(20), "weather.squall_gust_mps": more(60),
	"weather.squall_gust_rise_mps": more(60), "weather.squall_hold_s": less(0),
	"weather.fall_warn_hpa": more(0), "weather.fall_clear_hpa": more(0),

	"equipment.overload_ratio": more(2), "equipment.overload_s": more(3600), "equipment.far_overload_ratio": more(3),
	"equipment.far_overload_s": more(600), "equipment.overload_hold_s": less(0),
	"equipment.temperature_warn_c": more(0), "equipment.temperature_limit_c": more(150), "equipment.hysteresis_k": less(0),
	"equipment.temperature_hold_s": less(0), "equipment.vibration_warn_mps2": more(0), "equipment.vibration_limit_mps2": more(100),
	"equipment.vibration_clear_ratio": more(0), "equipment.vibration_hold_s": less(0),

	"quality.mean_high_pu": more(1.3), "quality.mean_high_clear_pu": more(1.3), "quality.rocof_hz_per_s": more(10),
	"quality.rocof_clear_hz_per_s": more(10), "quality.rocof_window_s": more(0), "quality.rocof_hold_s": less(0),
	"quality.unbalance_warn_pct": more(0), "quality.unbalance_block_pct": more(20), "quality.unbalance_hysteresis_pct": less(0),
	"quality.thd_warn_pct": more(0), "quality.thd_clear_pct": more(0),
	"quality.persist_readings": more(0), "quality.persist_of": less(0), "quality.temperature_persist_times": more(0),

	"earth.leakage_warn_ma": more(0), "earth.leakage_limit_ma": more(3000), "earth.leakage_step_ma": more(300),
	"earth.leakage_step_s": less(0), "earth.leakage_hold_s": less(0), "earth.insulation_min_kohm": less(10),
	"earth.insulation_clear_ratio": less(0), "earth.insulation_hold_s": less(0), "earth.reversed_dc_v": more(100), "earth.dc_hold_s": less(0),

	"equipment.inverter_quiet_bits": {bits: true},

	"yield.shortfall_warn_pct": more(0), "yield.shortfall_clear_pct": more(0), "yield.min_irradiance_wpm2": more(0), "yield.window_s": more(0),
	"meter.error_warn_pct": more(0), "meter.error_clear_pct": more(0), "meter.min_power_w": more(0),

	"lightning.near_km": less(5), "lightning.far_km": less(5), "lightning.hold_s": less(0),
	"lightning.confirm_strikes": more(10), "lightning.confirm_s": less(0),
	"cyclone.anomaly_hpa": more(20), "cyclone.anomaly_clear_hpa": more(20), "cyclone.mean_wind_mps": more(30), "cyclone.set_s": more(7200),
	"cyclone.hold_s": less(0), "cyclone.dew_point_c": more(0), "cyclone.gale_mps": more(0), "cyclone.calm_s": less(0), "cyclone.min_days": more(0), "cyclone.max_latitude_deg": less(0),
	"icing.low_c": more(0), "icing.high_c": less(0), "icing.humidity_pct": more(0), "icing.set_s": more(0),
	"icing.clear_c": less(0), "icing.humidity_clear_pct": more(0), "icing.hold_s": less(0),

	"stale.electrical_s": more(3600), "stale.temperature_s": more(7200), "stale.wind_s": more(7200), "stale.rain_s": more(7200), "stale.lightning_s": more(3600),
	"stuck_s": orZero(86_400), "stuck_readings": more(100_000), "stuck_calm_s": orZero(3 * 86_400), "stuck_wind_s": orZero(3 * 86_400), "stuck_slow_s": orZero(0),
	"gate.min_block_s": less(0), "gate.valid_s": less(0), "gate.max_reopens": more(0), "gate.reopen_clear_s": less(0),
	"score.windows": more(0), "score.period_s": more(0), "score.clear_ratio": more(0), "score.hold_s": less(0),
}

// aSite are the settings that describe a site rather than judge it.
var aSite = []string{
	"nominal_voltage_v", "nominal_frequency_hz", "rated_current_a", "rated_power_w", "interval_s", "earth.max_dc_voltage_v", "cyclone.max_days",
}

// A Loosened setting lets the gate open more easily than the grid profile's.
type Loosened struct {
	Setting string
	Value   string
	Default string
}

// String is the setting with both values.
func (l Loosened) String() string { return l.Setting + " " + l.Value + " (default " + l.Default + ")" }

// Loosened lists the settings that are looser than those of the grid profile, in
// the order of the configuration.
func (c *Config) Loosened() []Loosened {
	def := DefaultConfig()
	def.Grid = c.Grid
	ours, profile := c.numbers(), def.numbers()
	var out []Loosened
	for i, n := range ours {
		l, judges := leanings[n.name]
		if judges && l.looser(n.value, profile[i].value) {
			out = append(out, Loosened{n.name, number(n.value), number(profile[i].value)})
		}
	}
	for _, id := range def.Latch {
		if !slices.Contains(c.Latch, id) {
			out = append(out, Loosened{"latch", "without " + id, "with it"})
		}
	}
	if c.Required != nil && len(c.Required) == 0 {
		out = append(out, Loosened{"required", "none", "every configured channel"})
	}
	return out
}

// Extreme returns an error that names the first setting which is so loose that it
// must be meant, unless i_know says that it is.
func (c *Config) Extreme() error {
	if c.IKnow {
		return nil
	}
	for _, n := range c.numbers() {
		if l, judges := leanings[n.name]; judges && l.end != 0 && l.looser(n.value, l.end) {
			word := "above"
			if l.less {
				word = "below"
			}
			if l.off && n.value == 0 {
				continue // off is told, not refused
			}
			return fmt.Errorf("%s: %s is %s %s and hardly closes the gate; if you mean it, add i_know: true", n.name, number(n.value), word, number(l.end))
		}
	}
	return nil
}

// looser reports whether a value lets the gate open more easily than another.
func (l leaning) looser(v, than float64) bool {
	if l.bits {
		return uint64(v)&^uint64(than) != 0
	}
	if l.off && v == 0 {
		v = math.Inf(1)
	}
	if l.off && than == 0 {
		than = math.Inf(1)
	}
	if l.less {
		return v < than
	}
	return v > than
}

// A setting is one number of a configuration by its name in the file.
type setting struct {
	name  string
	value float64
}

// numbers lists every number of a configuration, with the limits in force.
func (c *Config) numbers() (out []setting) {
	full := *c
	full.Limits = c.limitsInForce()
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name, inline, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			f := v.Field(i)
			switch {
			case inline == "inline":
				walk(prefix, f)
			case name == "" || name == "-":
			case f.Kind() == reflect.Struct:
				walk(prefix+name+".", f)
			case f.Kind() == reflect.Float64:
				out = append(out, setting{prefix + name, f.Float()})
			case f.Kind() == reflect.Int:
				out = append(out, setting{prefix + name, float64(f.Int())})
			}
		}
	}
	walk("", reflect.ValueOf(full))
	return out
}
