//go:build !lite

package nnet

import (
	"bytes"
	"context"
	"hash/fnv"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/neighbours"
)

// squalls are made-up hours at sites 40 km apart in a row. A squall passes all of
// them, an hour each; nothing but the neighbour to the west says that it comes.
func squalls(hours int) []*Series {
	rng := rand.New(rand.NewPCG(5, 6))
	names := []string{"a", "b", "c", "d"}
	out := make([]*Series, len(names))
	for k, name := range names {
		out[k] = NewSeries(name)
		out[k].SetPlace(model.Position{Latitude: 25, Longitude: 121 + 0.4*float64(k)})
	}
	gone := -100
	for h := range hours {
		if h-gone > 12 && rng.Float64() < 0.03 {
			gone = h
		}
		for k, s := range out {
			sample := model.Sample{TimeMs: int64(h) * 3_600_000}
			sample.Set(model.TemperatureC, 15+rng.NormFloat64())
			sample.Set(model.HumidityPct, 60)
			sample.Set(model.PressureHPa, 1000+rng.NormFloat64())
			gust, thunder := 6+rng.Float64(), int8(0)
			if h == gone+k {
				gust, thunder = 24, 1
			}
			sample.Set(model.WindGustMPS, gust)
			s.Add(&sample, thunder)
		}
	}
	Region{}.Meet(out)
	return out
}

func nearConfig() Config {
	cfg := tinyConfig()
	cfg.Heads[0].Split = Split{TrainSites: []string{"a", "b"}, ValidateSites: []string{"c"}, TestSites: []string{"d"}}
	cfg.Heads[1].Hidden = []int{4, 3}
	thunder, wind := cfg.Heads[0], cfg.Heads[1]
	thunder.Name, thunder.Base, thunder.Hidden = "thunder-near", "thunder-base", []int{4, 3}
	thunder.Inputs, thunder.Required = []string{"neighbour_thunder_3h", "neighbour_thunder_6h"}, []string{"neighbour_thunder_3h"}
	wind.Name, wind.Base = "wind-near", "wind"
	wind.Inputs, wind.Required = []string{"neighbour_gust_ratio_highest"}, []string{"neighbour_gust_ratio_highest"}
	cfg.Heads = append(cfg.Heads, thunder, wind)
	return cfg
}

func trainedNear(t *testing.T, cfg Config, series []*Series) *Weights {
	t.Helper()
	w, err := Train(context.Background(), cfg, series, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What only neighbours see is learnt from them, the same way each time.
func TestNearHeadsLearnFromNeighbours(t *testing.T) {
	series, cfg := squalls(2500), nearConfig()
	cfg.RowsPerEpoch = 2048
	w := trainedNear(t, cfg, series)
	for _, name := range []string{"thunder", "wind"} {
		near, base := w.named(name+"-near"), w.named(map[string]string{"thunder": "thunder-base", "wind": "wind"}[name])
		if gain := near.Validation.AP - base.Validation.AP; !(gain > 0.1) {
			t.Errorf("%s: AP %.3f with neighbours, %.3f without", name, near.Validation.AP, base.Validation.AP)
		}
	}
	b := marshal(t, w)
	if !bytes.Equal(b, marshal(t, trainedNear(t, cfg, series))) {
		t.Error("the same seed gives other bytes")
	}
	back, err := ParseWeights(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, marshal(t, back)) {
		t.Error("what was read is written otherwise")
	}
	c, err := back.Community(series, Question{Task: TaskThunder, Part: PartTest}, Region{})
	if err != nil {
		t.Fatal(err)
	}
	if !(c.APGain.Low > 0.1) || c.Heard < 0.9 {
		t.Errorf("on the test site neighbours add AP %+v, heard in a share of %.2f", c.APGain, c.Heard)
	}
	deaf, err := back.Community(series, Question{Task: TaskThunder, Part: PartTest}, Region{From: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	if deaf.Heard != 0 || deaf.Near.AP != deaf.Alone.AP || deaf.ECE != deaf.AloneECE {
		t.Errorf("without neighbours the community differs from each alone: %+v", deaf)
	}
}

// The joined network is the base's calibrated logit and the small one's, and where
// neighbours are silent the base answers.
func TestJoinedIsTheSum(t *testing.T) {
	for _, hidden := range [][]int{{8, 4}, {}} {
		joinedIsTheSum(t, hidden)
	}
}

func joinedIsTheSum(t *testing.T, hidden []int) {
	t.Helper()
	series := squalls(600)
	cfg := nearConfig()
	cfg.Heads[0].Hidden, cfg.Heads[2].Hidden = hidden, hidden
	cfg.Epochs, cfg.RowsPerEpoch, cfg.Members = 1, 512, 2
	cfg.Heads = []HeadConfig{cfg.Heads[0], cfg.Heads[2]}
	w := trainedNear(t, cfg, series)
	near := w.named("thunder-near")
	base, small := near.base, near.small
	n, err := newNetwork(w)
	if err != nil {
		t.Fatal(err)
	}
	heard := 0
	for _, s := range series {
		for i := range s.Features {
			f := &s.Features[i]
			if !near.ready(f) {
				continue
			}
			heard++
			xb, xs := make([]float32, 2*len(base.inputs)), make([]float32, 2*len(small.inputs))
			base.encode(f, xb)
			small.encode(f, xs)
			z := base.a*base.net.logit(xb) + base.b + small.net.logit(xs)
			want := near.calibrated(z)
			if got, _ := near.Probability(f); math.Abs(got-want) > 1e-5 {
				t.Fatalf("joined %g, the sum %g", got, want)
			}
			live, err := n.Score(f)
			if err != nil {
				t.Fatal(err)
			}
			if got := live.P[model.KindThunderstorm]; math.Abs(got-want) > 1e-5 {
				t.Fatalf("%s says %g, the sum %g", Engine, got, want)
			}
			silent := *f
			(&six{}).apply(&silent)
			live, err = n.Score(&silent)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := base.Probability(&silent); math.Abs(live.P[model.KindThunderstorm]-want) > 1e-5 {
				t.Fatalf("without neighbours %g, the base %g", live.P[model.KindThunderstorm], want)
			}
		}
	}
	if heard == 0 {
		t.Fatal("nobody was heard")
	}
}

func TestRegions(t *testing.T) {
	series := squalls(300)
	count := func(r Region) (heard int) {
		for _, all := range r.hear(series, nil) {
			for k := range all {
				if all[k].has[0] {
					heard++
				}
			}
		}
		return heard
	}
	all := count(Region{})
	if got := count(Region{Keep: 0.3, Seed: 1}); !(got > all/5 && got < all) {
		t.Errorf("with a third of the agents working %d rows hear, of %d", got, all)
	}
	if a, b := count(Region{Keep: 0.3, Seed: 1}), count(Region{Keep: 0.3, Seed: 1}); a != b {
		t.Errorf("the same seed gives %d and %d", a, b)
	}
	if got := count(Region{WithinKM: 30}); got != 0 {
		t.Errorf("within 30 km %d rows hear a neighbour 40 km away", got)
	}
	if n := len(Region{Most: 2}.near(series, 0)); n != 2 {
		t.Errorf("%d neighbours, want the 2 nearest", n)
	}
	highest := func(l Lie) float32 {
		m := float32(0)
		for _, rows := range (Region{Lie: l, Most: 1}).hear(series, nil) {
			for _, h := range rows {
				m = max(m, h.x[0])
			}
		}
		return m
	}
	if a, b, c := highest(Honest), highest(CriesStorm), highest(SaysCalm); b != 10 || c != 0 || a == b || a == c {
		t.Errorf("highest gust ratio: honest %g, cries %g, calm %g", a, b, c)
	}
	alone := NewSeries("nowhere")
	if got := (Region{}).near(append(series, alone), len(series)); got != nil {
		t.Errorf("a site without a position hears %v", got)
	}
}

// heardPlainly is hear row by row through a set that is made anew for each.
func heardPlainly(r Region, series []*Series) [][]six {
	out := make([][]six, len(series))
	for i, s := range series {
		out[i] = make([]six, len(s.TimeMs))
		near := r.near(series, i)
		if len(near) == 0 {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(SiteKey(s.Site)))
		rng := rand.New(rand.NewPCG(r.Seed, h.Sum64()))
		for k, at := range s.TimeMs {
			share := r.Keep
			if r.Practice {
				share = min(1.25*rng.Float64(), 1)
			}
			var told []neighbours.Nowcast
			for _, j := range near {
				works := share == 0 && !r.Practice || rng.Float64() < share
				if row := slices.Index(series[j].TimeMs, at); row >= 0 && works {
					told = append(told, series[j].nowcast(row))
				}
			}
			if r.Lie != Honest && len(told) > 0 {
				told[0].Weather = r.Lie.weather(told[0].Weather)
			}
			heard := neighbours.Listen("", *s.place, at+1, told)
			for n, has := range heard.Has {
				out[i][k].x[n], out[i][k].has[n] = float32(heard.X[n]), has
			}
		}
	}
	return out
}

// Rows that are heard together give what each gives alone: with gaps, with a neighbour
// that tells what cannot be, with two of one name, and where few rows are wanted.
func TestRowsAreHeardAsOneByOne(t *testing.T) {
	for name, r := range map[string]Region{
		"all": {}, "near": {WithinKM: 50}, "one": {Most: 1}, "half": {Keep: 0.5, Seed: 2}, "practice": {Practice: true, Seed: 3},
		"storm": {Lie: CriesStorm}, "calm": {Lie: SaysCalm, Keep: 0.7}, "two speak": {From: func(site string) bool { return site == "b" || site == "d" }},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				series := squalls(rapid.IntRange(1, 40).Draw(t, "hours"))
				for _, s := range series {
					gone := rapid.SliceOfN(rapid.IntRange(0, len(s.TimeMs)-1), 0, 5).Draw(t, "gone")
					slices.Sort(gone)
					for _, k := range slices.Backward(slices.Compact(gone)) {
						s.TimeMs, s.Features = slices.Delete(s.TimeMs, k, k+1), slices.Delete(s.Features, k, k+1)
						s.weather, s.absurd = slices.Delete(s.weather, k, k+1), slices.Delete(s.absurd, k, k+1)
					}
				}
				if rapid.Bool().Draw(t, "two of one name") {
					series[1].Site = series[2].Site
				}
				want, got := heardPlainly(r, series), r.hear(series, nil)
				if !reflect.DeepEqual(got, want) {
					t.Fatal("rows heard together differ from rows heard alone")
				}
				var wanted [][]bool
				for i, s := range series {
					marks := make([]bool, len(s.TimeMs))
					for k := range marks {
						if marks[k] = rapid.Bool().Draw(t, "wanted"); !marks[k] {
							want[i][k] = six{}
						}
					}
					wanted = append(wanted, marks)
				}
				if !reflect.DeepEqual(r.hear(series, wanted), want) {
					t.Fatal("rows that are not wanted change the others")
				}
			})
		})
	}
}

func TestAbsurdNowcastsAreNotHeard(t *testing.T) {
	series := []*Series{NewSeries("a"), NewSeries("b")}
	for k, s := range series {
		s.SetPlace(model.Position{Latitude: 25, Longitude: 121 + 0.4*float64(k)})
		sample := model.Sample{TimeMs: -3_600_000} // before Unix time: nobody takes it
		sample.Set(model.TemperatureC, 15)
		s.Add(&sample, 1)
		sample.TimeMs = 3_600_000
		s.Add(&sample, 1)
	}
	heard := (Region{}).hear(series, nil)
	if heard[0][0].has[neighbours.Thunder3h] || !heard[0][1].has[neighbours.Thunder3h] {
		t.Errorf("of a row that cannot be and one that can, heard %+v", heard[0])
	}
}

func TestBasesAreChecked(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"no head before":           func(c *Config) { c.Heads[2].Base = "x" },
		"answers another question": func(c *Config) { c.Heads[2].HorizonH = 4 },
		"as many are wanted":       func(c *Config) { c.Heads[2].Hidden = []int{3} },
		"without which the base":   func(c *Config) { c.Heads[2].Required = nil },
		"with base":                func(c *Config) { c.Heads[2].Hidden = []int{250, 3} },
		"no base itself":           func(c *Config) { c.Heads[3].Base = "wind-near" },
	} {
		cfg := nearConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A file whose head stands on no base, or on one that does not fit, is refused.
func TestForgedBaseIsRefused(t *testing.T) {
	cfg := nearConfig()
	cfg.Epochs, cfg.RowsPerEpoch = 1, 512
	b := marshal(t, trainedNear(t, cfg, squalls(2500)))
	if _, err := ParseWeights(resealed(t, b, `"base": "thunder-base"`, `"base": "thunder-base"`)); err != nil {
		t.Fatalf("resealing itself fails: %v", err)
	}
	for _, name := range []string{"nobody", "wind", "thunder-near", "thunder-base/logistic"} {
		if _, err := ParseWeights(resealed(t, b, `"base": "thunder-base"`, `"base": "`+name+`"`)); err == nil {
			t.Errorf("base %s: accepted", name)
		}
	}
}

func TestCrossValidation(t *testing.T) {
	cfg := nearConfig()
	cfg.Epochs, cfg.RowsPerEpoch = 3, 1024
	cfg.Heads[1].Split.Sites, cfg.Heads[3].Split.Sites = []string{"a", "b", "c", "d"}, []string{"a", "b", "c", "d"}
	for _, i := range []int{1, 3} {
		cfg.Heads[i].Split.ValidateFrom, cfg.Heads[i].Split.TestFrom = "1970-05-01T00:00:00Z", "1970-07-01T00:00:00Z"
	}
	v, err := CrossValidate(context.Background(), cfg, squalls(24*200), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if v.Blocks != 3 || v.Positive == 0 || !(v.NearOverAlone.Low > 0) {
		t.Errorf("%+v", v)
	}
	if _, err := CrossValidate(context.Background(), tinyConfig(), squalls(100), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a configuration without wind-near is accepted")
	}
}

// Blocks do not overlap, and every hour before the test is judged once.
func TestBlocksJudgeEachHourOnce(t *testing.T) {
	b := blocks{fromMs: 0, toMs: 300 * 24 * 3_600_000, purgeMs: 12 * 3_600_000, n: 5}
	for at := int64(-3_600_000); at < b.toMs+3_600_000; at += 3_600_000 {
		judged := 0
		for k := range b.n {
			if b.split(Split{}, k, (k+1)%b.n).cut(at) == PartTest {
				judged++
			}
		}
		if want := map[bool]int{true: 1}[at >= 0 && at < b.toMs]; judged != want {
			t.Fatalf("hour %d is judged %d times", at/3_600_000, judged)
		}
	}
}
