package nnet

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"fairwatt/model"
)

// generated is a year of made-up hours at one site: storms begin a few hours
// after pressure falls fast in humid air, with noise. What can be learnt is
// known, so learning can be tested without real data.
func generated(site string, seed uint64, hours int) *Series {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := NewSeries(site)
	p, rh, storm := 1010.0, 60.0, 0
	for h := range hours {
		fall := 0.0
		if rng.Float64() < 0.03 {
			fall = 3 + rng.Float64()
		}
		p += (1010-p)*0.1 - fall + rng.NormFloat64()*0.2
		rh = min(max(rh+(60-rh)*0.05+rng.NormFloat64()*4, 5), 100)
		if fall > 0 && rh > 55 {
			storm = h + 2
		}
		sample := model.Sample{TimeMs: int64(h) * 3_600_000}
		sample.Set(model.TemperatureC, 15+10*math.Sin(float64(h)/24*2*math.Pi))
		sample.Set(model.HumidityPct, rh)
		sample.Set(model.PressureHPa, p)
		sample.Set(model.WindSpeedMPS, 5)
		thunder := int8(0)
		gust := 7.0
		if h == storm && h > 0 {
			thunder, gust = 1, 24
		}
		sample.Set(model.WindGustMPS, gust)
		s.Add(&sample, thunder)
	}
	return s
}

func tinyConfig() Config {
	return Config{
		Name: "tiny", Version: 1, Seed: 42, Batch: 64, RowsPerEpoch: 4096, Epochs: 6, Patience: 3,
		LearnRate: 0.01, WeightDecay: 1e-4, InputDropout: 0.02, PositiveShare: 0.3,
		Heads: []HeadConfig{{
			Name: "thunder-base", Task: TaskThunder, HorizonH: 3, FalseAlarms: 0.2, Hidden: []int{8, 4},
			Inputs:   []string{"temperature_c", "humidity_pct", "pressure_change_1h_hpa", "pressure_change_3h_hpa"},
			Required: []string{"temperature_c", "humidity_pct"},
			Split:    Split{TrainSites: []string{"a", "b"}, ValidateSites: []string{"c"}, TestSites: []string{"d"}},
		}, {
			Name: "wind", Task: TaskWind, HorizonH: 6, GustMPS: 20.8, FalseAlarms: 0.2, Hidden: []int{4},
			Inputs:   []string{"wind_gust_1h_mps", "pressure_change_1h_hpa"},
			Required: []string{"wind_gust_1h_mps"},
			Split: Split{
				Sites:        []string{"a", "b", "c", "d"},
				ValidateFrom: "1970-03-01T00:00:00Z", TestFrom: "1970-04-01T00:00:00Z", PurgeH: 12,
			},
		}},
		Credits: []string{"generated"},
	}
}

func tinySeries() []*Series {
	return []*Series{generated("a", 1, 2500), generated("b", 2, 2500), generated("c", 3, 2500), generated("d", 4, 2500)}
}

func marshal(t testing.TB, w *Weights) []byte {
	t.Helper()
	b, err := w.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLabels(t *testing.T) {
	s := NewSeries("x")
	// hour:           0  1  2  3  4   5  6  7  8  9 10
	for h, th := range []int8{0, 0, 1, 1, 0, -1, 0, 0, 0, 0, 0} {
		s.TimeMs = append(s.TimeMs, int64(h)*3_600_000)
		s.Features = append(s.Features, model.Features{})
		s.Thunder = append(s.Thunder, th)
		s.Gust = append(s.Gust, float32(h))
	}
	task := Task{Name: TaskThunder, HorizonMs: 3 * 3_600_000}
	want := []int8{1, 1, -1, -1, 0, -1, 0, 0, -1, -1, -1}
	for i, l := range task.Labels(s) {
		if l != want[i] {
			t.Errorf("hour %d: label %d, want %d", i, l, want[i])
		}
	}
	if on := task.Onsets(s); len(on) != 1 || on[0] != 2*3_600_000 {
		t.Errorf("onsets %v", on)
	}
	// Wind at 8 m/s: hours 8 to 10 are windy, 5 to 7 quiet with it ahead.
	wind := Task{Name: TaskWind, HorizonMs: 3 * 3_600_000, GustMPS: 8}
	want = []int8{0, 0, 0, 0, 0, 1, 1, 1, -1, -1, -1}
	for i, l := range wind.Labels(s) {
		if l != want[i] {
			t.Errorf("wind, hour %d: label %d, want %d", i, l, want[i])
		}
	}
}

func TestSplitParts(t *testing.T) {
	h := int64(3_600_000)
	sp := tinyConfig().Heads[1].Split
	validate, test := int64(59*24)*h, int64(90*24)*h
	for _, tt := range []struct {
		at   int64
		want Part
	}{
		{validate - 13*h, PartTrain}, {validate - 12*h, PartPurged}, {validate - 1, PartPurged}, {validate, PartValidate},
		{test - 13*h, PartValidate}, {test - 12*h, PartPurged}, {test, PartTest},
	} {
		if got, err := sp.Part("A", tt.at); err != nil || got != tt.want {
			t.Errorf("%d h: part %d, %v, want %d", tt.at/h, got, err, tt.want)
		}
	}
	if got, _ := sp.Part("elsewhere", 0); got != PartOther {
		t.Errorf("unknown site is part %d", got)
	}
	cities := Split{TrainSites: []string{"New York"}, From: "2016-12-01T00:00:00Z"}
	if got, _ := cities.Part("new_york", 0); got != PartOther {
		t.Errorf("another year is part %d", got)
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"learn_rate":    func(c *Config) { c.LearnRate = math.NaN() },
		"batch":         func(c *Config) { c.Batch = 1 },
		"inputs":        func(c *Config) { c.Heads[0].Inputs[1] = "label_thunder" },
		"required":      func(c *Config) { c.Heads[0].Required = []string{"rain_1h_mm"} },
		"hidden":        func(c *Config) { c.Heads[0].Hidden = []int{1 << 20} },
		"validate_from": func(c *Config) { c.Heads[1].Split.TestFrom = "" },
		"task":          func(c *Config) { c.Heads[0].Task = "hail" },
		"members":       func(c *Config) { c.Members = maxMembers + 1 },
		"of width 64":   func(c *Config) { c.Members, c.Heads[0].Hidden = 8, []int{64} },
		"not an input":  func(c *Config) { c.Heads[0].Noise = map[string]float64{"rain_1h_mm": 1} },
		"noise":         func(c *Config) { c.Heads[0].Noise = map[string]float64{"temperature_c": math.NaN()} },
	} {
		c := tinyConfig()
		change(&c)
		if err := c.Validate(); err == nil || !bytes.Contains([]byte(err.Error()), []byte(name)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := tinyConfig().Validate(); err != nil {
		t.Error(err)
	}
}
