package model

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestEventJSON(t *testing.T) {
	gate := Event{
		TimeMs: 1627070400123, Type: EventGate, State: StateBlocked, Reason: `W03: "gust"`, ClearInMs: -1,
		Causes: []Cause{{
			Rule: "W03", Kind: KindWind, Level: LevelBlock, Latched: true, Text: "gust 33.5 m/s (>= 25.7 m/s)",
			Inputs: []Input{
				{Name: "gust", Value: 33.5, Unit: "m/s", AgeS: 1.2, Threshold: 25.7, Op: ">=", State: Valid},
				{Name: "mean", Value: math.NaN(), Unit: "m/s", AgeS: 400, State: Stale},
			},
		}},
	}
	scores := Event{TimeMs: 0, Type: EventScore}
	scores.Scores.P[KindThunderstorm], scores.Scores.Has[KindThunderstorm] = 0.12349, true
	scores.Scores.P[KindWind], scores.Scores.Has[KindWind] = 1e-9, true
	for _, c := range []struct {
		event Event
		want  string
	}{
		{gate, `{"t":"2021-07-23T20:00:00.123Z","type":"gate","state":"BLOCKED","reason":"W03: \"gust\"","causes":[` +
			`{"rule":"W03","kind":"wind","level":"block","latched":true,"text":"gust 33.5 m/s (\u003e= 25.7 m/s)","inputs":[` +
			`{"name":"gust","value":33.5,"unit":"m/s","age_s":1.2,"op":"\u003e=","threshold":25.7},` +
			`{"name":"mean","value":null,"unit":"m/s","age_s":400,"state":"stale"}]}]}`},
		{
			Event{TimeMs: 0, Type: EventGate, State: StateOpen, Reason: "x"},
			`{"t":"1970-01-01T00:00:00.000Z","type":"gate","state":"OPEN","reason":"x","clear_in_s":0,"causes":[]}`,
		},
		{
			Event{Type: EventAlert, Action: ActionClear, Kind: KindLine, Level: LevelWarn, ID: "line-3", Rev: 2},
			`{"t":"1970-01-01T00:00:00.000Z","type":"alert","action":"clear","kind":"line","level":"warn","id":"line-3","rev":2,"causes":[]}`,
		},
		{scores, `{"t":"1970-01-01T00:00:00.000Z","type":"score","p":{"thunderstorm":0.123,"wind":0}}`},
	} {
		got := string(c.event.AppendJSON(nil))
		if want := strings.ReplaceAll(c.want, `\u003e`, ">"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func TestNumbersForPeopleAndFiles(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", -0.0001: "0", 1: "1", 25.7: "25.7", 33.5: "33.5", 1.0005: "1", 100: "100", -1.1000000000000227: "-1.1", math.Inf(1): "null",
	} {
		if got := string(appendNumber(nil, v)); got != want {
			t.Errorf("appendNumber(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 230: "230", 202.4: "202.4", 1.25: "1.25", 3600: "3600", 0.5: "0.5"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestStringsAreQuoted(t *testing.T) {
	for _, s := range []string{"plain", `a"b\c`, "tab\t", "über", "\xff", ""} {
		b := appendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || s != "\xff" && back != s {
			t.Errorf("%q became %s (%v)", s, b, err)
		}
	}
}

func TestSummary(t *testing.T) {
	var s Summary
	for _, tMs := range []int64{0, 60_000, 120_000, 180_000} {
		s.Sample(tMs)
		switch tMs {
		case 0:
			s.Event(&Event{TimeMs: 0, Type: EventGate, State: StateBlocked})
		case 60_000:
			s.Event(&Event{TimeMs: 30_000, Type: EventGate, State: StateOpen})
			s.Event(&Event{TimeMs: 30_000, Type: EventAlert, Action: ActionRaise, Kind: KindWind})
			s.Event(&Event{TimeMs: 60_000, Type: EventAlert, Action: ActionUpdate, Kind: KindWind})
		case 120_000:
			s.Event(&Event{TimeMs: 120_000, Type: EventGate, State: StateBlocked})
		}
	}
	want := `{"type":"summary","samples":4,"span_s":180,"blocked_s":90,"alerts":{"thunderstorm":0,"wind":1,"cyclone":0,` +
		`"rain":0,"heat":0,"line":0,"equipment":0,"sensor":0,"external":0},"events":5}`
	if got := string(s.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConfigFromYAMLKeepsDefaults(t *testing.T) {
	cfg := DefaultConfig()
	text := "grid: eu-50\nnominal_voltage_v: 230\nrequired: [voltage_v, wind_gust_mps]\nweather: {gust_block_mps: 24}\n" +
		"limits: {frequency_low_hz: 49.2}\nscore:\n  kinds:\n    thunderstorm: {warn: 0.4}\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &cfg, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	l, err := cfg.GridLimits()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Weather.GustBlockMPS != 24 || cfg.Weather.GustHoldS != 1800 || cfg.Gate.MinBlockS != 300 || len(cfg.Required) != 2 {
		t.Errorf("weather %+v, gate %+v, required %v", cfg.Weather, cfg.Gate, cfg.Required)
	}
	if l.FrequencyLowHz != 49.2 || l.FrequencyHighHz != 51 || l.EnterServiceS != 60 || cfg.Score.Windows != 2 {
		t.Errorf("limits %+v, score %+v", l, cfg.Score)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"grid: unknown profile":                       func(c *Config) { c.Grid = "dc" },
		"generator: unknown kind":                     func(c *Config) { c.Generator = "hydro" },
		"nominal_voltage_v":                           func(c *Config) { c.NominalVoltageV = 0 },
		"interval_s":                                  func(c *Config) { c.IntervalS = math.NaN() },
		"required: no such channel":                   func(c *Config) { c.Required = []Channel{NumChannels} },
		"weather.gust_clear_mps":                      func(c *Config) { c.Weather.GustClearMPS = 30 },
		"limits.voltage_low_pu":                       func(c *Config) { c.Limits.VoltageLowPU = 1.2 },
		"gate.max_reopens":                            func(c *Config) { c.Gate.MaxReopens = 0 },
		"score.kinds: unknown hazard kind \"ghosts\"": func(c *Config) { c.Score.Kinds = map[string]ScoreLimit{"ghosts": {}} },
		"score.kinds.wind: 2 is not a probability":    func(c *Config) { c.Score.Kinds = map[string]ScoreLimit{"wind": {Warn: 2}} },
		"latch: no rule \"X1\"":                       func(c *Config) { c.Latch = []string{"X1"} },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if _, err := NewJudge(cfg, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestHistory(t *testing.T) {
	h := newHistory(60_000, 600_000)
	if _, ok := h.over(600_000); ok {
		t.Error("an empty history has a mean")
	}
	for i := range int64(100) {
		h.push(i*60_000, float64(i))
	}
	if s, ok := h.over(600_000); !ok || s != (span{94.5, 90, 99}) {
		t.Errorf("last 10 minutes %+v %v", s, ok)
	}
	if v, ok := h.ago(300_000, 0); !ok || v != 94 {
		t.Errorf("5 minutes ago %v %v", v, ok)
	}
	h.push(50*60_000, -1) // late: left out
	h.push(200*60_000, 7) // after a gap the window holds the newest alone
	if s, ok := h.over(600_000); !ok || s != (span{7, 7, 7}) {
		t.Errorf("after a gap %+v %v", s, ok)
	}
	if _, ok := h.ago(300_000, 60_000); ok {
		t.Error("the gap has a value")
	}
}

// A summary with several things left out and several costs is one JSON object.
func TestSummaryLists(t *testing.T) {
	t.Parallel()
	s := Summary{LeftOut: []LeftOut{{What: "a", Count: 1}, {What: "b", Count: 2, Names: "x"}, {What: "c", Count: 3}}}
	var got struct {
		LeftOut []struct {
			What  string
			Count int
		} `json:"left_out"`
	}
	if err := json.Unmarshal(s.AppendJSON(nil), &got); err != nil || len(got.LeftOut) != 3 || got.LeftOut[2].Count != 3 {
		t.Errorf("%+v, %v: %s", got, err, s.AppendJSON(nil))
	}
}
