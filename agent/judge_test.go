package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

const requiredSite = `site: farm-1
device: pv-1
sensors:
  - {kind: as3935, name: lightning, bus: "1"}
  - {kind: bme280, name: weather, bus: "1"}
  - {kind: sunspec, name: inverter, endpoint: "192.0.2.1:502", channels: [voltage_v, power_w]}
  - {kind: pzem, name: meter, port: /dev/ttyUSB0}
  - {kind: anemometer, name: wind, pin: GPIO5}
judge:
  grid: eu-50
`

// What is configured is required, whether or not it comes up, unless the file says
// otherwise; an empty list has to be written.
func TestRequiredIsWhatIsConfigured(t *testing.T) {
	configured := []model.Channel{
		model.LightningCount, model.TemperatureC, model.HumidityPct, model.PressureHPa, model.VoltageV, model.PowerW,
		model.CurrentA, model.FrequencyHz, model.PowerFactor, model.EnergyExportWh, model.WindSpeedMPS, model.WindGustMPS,
	}
	for text, want := range map[string][]model.Channel{
		"":                          configured,
		"  required: []\n":          {},
		"  required: [voltage_v]\n": {model.VoltageV},
	} {
		cfg, err := ParseConfig(strings.NewReader(requiredSite + text))
		if err != nil {
			t.Fatal(err)
		}
		judge, err := cfg.LiveJudge()
		if err != nil {
			t.Fatal(err)
		}
		got, want := slices.Sorted(slices.Values(judge.Required)), slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			t.Errorf("%q: required are %v, want %v", text, got, want)
		}
		if all := append([]model.Channel{model.LightningKM}, configured...); len(judge.Channels) != len(all) {
			t.Errorf("channels %v, want %v", judge.Channels, all)
		}
		if judge.Prefix != "farm-1-pv-1" || judge.IntervalS != 1 {
			t.Errorf("prefix %q, interval %v", judge.Prefix, judge.IntervalS)
		}
	}
}

// A setting that hardly closes the gate is refused until it is meant; one that is
// looser than the profile stands in info.
func TestLooseSettingsAreTold(t *testing.T) {
	text := strings.Replace(requiredSite, "  grid: eu-50\n", "  grid: eu-50\n  weather: {gust_block_mps: 150}\n", 1)
	var wrong *ConfigError
	if _, err := ParseConfig(strings.NewReader(text)); !errors.As(err, &wrong) || wrong.Field != "judge" || !strings.Contains(wrong.Fix, "i_know: true") {
		t.Errorf("a gust of 150 m/s: %v", err)
	}
	cfg, err := ParseConfig(strings.NewReader(text + "  i_know: true\n"))
	if err != nil || !cfg.Judge.IKnow {
		t.Errorf("meant: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.cfg.Judge.Weather.GustBlockMPS = 40
		s.start()
		s.wait(5 * time.Second)
		info := string(s.broker.Retained("fairwatt/v1/farm-1/pv-1/info"))
		if !strings.Contains(info, `"loosened":["weather.gust_block_mps 40 (default 25.7)"]`) {
			t.Errorf("info is %s", info)
		}
		s.end()
	})
}

// A detector that never answers keeps the gate closed where nothing is said of
// required inputs. Where none is required the gate opens, and S03 says what is deaf.
func TestMissingSensorIsSaid(t *testing.T) {
	for _, required := range [][]model.Channel{nil, {}} {
		synctest.Test(t, func(t *testing.T) {
			s := newLiveSite(t)
			s.cfg.Sensors = []sensor.Config{{Kind: sensor.KindAS3935, Name: "lightning"}}
			s.cfg.Judge.Required = required
			judge, err := s.cfg.LiveJudge()
			if err != nil {
				t.Fatal(err)
			}
			s.cfg.Judge = judge
			s.missing = []MissingSensor{{Name: "lightning", Err: sensor.ErrNoChip}}
			s.start()
			s.wait(20*time.Minute + 500*time.Millisecond)
			got, rules := s.agent.Status().Gate, s.rules()
			if required == nil && (got == model.StateOpen || !strings.Contains(rules, "E16")) {
				t.Errorf("nothing said: %v by %s", got, rules)
			}
			if required != nil && (got != model.StateOpen || rules != "S03") {
				t.Errorf("none required: %v, %s", got, rules)
			}
			if required != nil {
				text := s.agent.judge.View().Alerts[0].Causes[0].Text
				if text != "lightning gives nothing" {
					t.Errorf("S03 says %q", text)
				}
			}
			s.end()
		})
	}
}

// A sensor that falls silent is told after a minute, not at its first slip, and
// taken back when it gives something.
func TestSilentSensorIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.sensors = append(s.sensors, steady("roof", model.TemperatureC, 20))
		s.open()
		s.sensor("roof").become(broken(model.TemperatureC, errBus))
		for _, c := range []struct {
			after time.Duration
			rules string
		}{{50 * time.Second, ""}, {20 * time.Second, "S03"}} {
			s.wait(c.after)
			if got := s.rules(); got != c.rules {
				t.Errorf("%s later %q, want %q", c.after, got, c.rules)
			}
		}
		s.sensor("roof").become(steadily(model.TemperatureC, 20))
		s.wait(70 * time.Second)
		if got := s.rules(); got != "" {
			t.Errorf("heard again: %q", got)
		}
		s.end()
	})
}
