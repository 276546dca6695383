package model

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model/neighbours"
)

func TestSunOverThePlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at                    Position
		utc                   string
		height, hour, decl, f float64 // degrees; f: tolerance
	}{
		"Greenwich, noon in June":         {Position{51.48, 0}, "2021-06-21T12:02:00Z", 61.96, 0, 23.44, 1},
		"Greenwich, midnight in December": {Position{51.48, 0}, "2021-12-21T23:58:00Z", -61.9, 180, -23.44, 1},
		"Taipei, noon in March":           {Position{25.04, 121.5}, "2021-03-20T04:01:00Z", 65, 0, 0, 1.2},
		"Taipei, six in the evening":      {Position{25.04, 121.5}, "2021-03-20T10:01:00Z", 0, 90, 0, 1.2},
		"Sydney, noon in December":        {Position{-33.87, 151.2}, "2021-12-21T01:53:00Z", 79.6, 0, 23.44, 1},
	} {
		at, err := time.Parse(time.RFC3339, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		e := NewExtractor()
		e.SetPosition(c.at)
		e.SetClock(at.UnixMilli(), 5_000)
		pushAt(e, 5_000, map[Channel]float64{TemperatureC: 10})
		f := featuresOf(e)
		got := []float64{
			math.Asin(float64(f.X[FeatureSunSine])) * 180 / math.Pi,
			math.Atan2(float64(f.X[FeatureSolarTimeSin]), float64(f.X[FeatureSolarTimeCos])) * 180 / math.Pi,
			float64(f.X[FeatureDeclination]),
		}
		for i, want := range []float64{c.height, c.hour, c.decl} {
			d := math.Abs(got[i] - want)
			if i == 1 {
				d = min(d, 360-d)
			}
			if !(d <= c.f) {
				t.Errorf("%s: number %d is %.2f degrees, want %.2f", name, i, got[i], want)
			}
		}
	}
}

func TestWithoutPlaceOrClockTheSunIsUnknown(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(e *Extractor){
		"nothing":  func(*Extractor) {},
		"position": func(e *Extractor) { e.SetPosition(Position{25, 121}) },
		"clock":    func(e *Extractor) { e.SetClock(1_700_000_000_000, 0) },
	} {
		e := NewExtractor()
		tell(e)
		pushAt(e, 5_000, map[Channel]float64{TemperatureC: 10})
		f := featuresOf(e)
		for i := FeatureGustRatio; i < NumFeatures; i++ {
			if !f.Missing[i] {
				t.Errorf("told %s: %s is %g", name, FeatureNames()[i], f.X[i])
			}
		}
	}
}

func TestGustsAreComparedWithStrongHours(t *testing.T) {
	t.Parallel()
	e := NewExtractor()
	gust := func(h int, v float64) { pushAt(e, int64(h)*hourMs, map[Channel]float64{WindGustMPS: v}) }
	for h := range 400 {
		gust(h, float64(h%20))
	}
	gust(400, 38)
	if f := featuresOf(e); math.Abs(float64(f.X[FeatureGustRatio])-2) > 0.15 {
		t.Errorf("38 m/s where 19 m/s is strong is %g", f.X[FeatureGustRatio])
	}
	if w := e.Weather(); math.Abs(w.GustRatio.V-2) > 0.15 || w.PressureChange3hHPa.OK || w.Thunder {
		t.Errorf("tells %+v", w)
	}
}

func TestWeatherToTell(t *testing.T) {
	t.Parallel()
	e := NewExtractor()
	if w := e.Weather(); w.GustRatio.OK || w.Thunder {
		t.Errorf("tells %+v before the first sample", w)
	}
	for m := range 400 {
		v := map[Channel]float64{PressureHPa: 1000 - float64(m)/60, LightningCount: 0}
		if m == 100 || m == 260 {
			v[LightningCount] = 3
		}
		pushAt(e, int64(m)*60_000, v)
	}
	w := e.Weather()
	if ago := float64(w.ThunderAgoMs) / 60_000; !w.Thunder || math.Abs(ago-139) > 5 {
		t.Errorf("thunder %v, %.0f minutes ago, want 139", w.Thunder, ago)
	}
	if w.Strokes3h != 3 {
		t.Errorf("%d strokes in 3 h, want 3", w.Strokes3h)
	}
	if !w.PressureChange3hHPa.OK || math.Abs(w.PressureChange3hHPa.V+3) > 0.1 {
		t.Errorf("pressure changed by %v, want -3", w.PressureChange3hHPa)
	}
	// The detector falls silent.
	for m := 400; m < 480; m++ {
		pushAt(e, int64(m)*60_000, map[Channel]float64{PressureHPa: 990})
	}
	if w := e.Weather(); w.Thunder || w.Strokes3h != 0 || w.ThunderAgoMs != neighbours.ThunderBackMs {
		t.Errorf("without a detector it tells %+v", w)
	}
}

func heardGust(v float64, by ...string) *neighbours.Heard {
	h := &neighbours.Heard{Speakers: len(by)}
	h.X[neighbours.GustHighest], h.Has[neighbours.GustHighest], h.By[neighbours.GustHighest] = v, true, by
	return h
}

func TestWhatNeighboursSaidRunsOut(t *testing.T) {
	t.Parallel()
	e := NewExtractor()
	e.Hear(0, heardGust(2, "north"))
	for _, c := range []struct {
		ms      int64
		missing bool
	}{{0, false}, {heardForMs, false}, {heardForMs + 1, true}} {
		pushAt(e, c.ms, map[Channel]float64{TemperatureC: 10})
		f := featuresOf(e)
		if f.Missing[FeatureNeighbours] != c.missing || !f.Missing[FeatureNeighbourThunder3h] {
			t.Errorf("after %d ms: missing %v, want %v", c.ms, f.Missing[FeatureNeighbours], c.missing)
		}
	}
}

// listener is a scorer that believes its neighbours.
type listener struct{}

func (listener) Kinds() []Kind { return []Kind{KindWind, KindThunderstorm} }

func (listener) Score(f *Features) (s Scores, err error) {
	s.Has[KindWind], s.Has[KindThunderstorm] = true, true
	s.P[KindWind], s.P[KindThunderstorm] = float64(f.X[FeatureGust])/40, float64(f.X[FeatureWindSpeed])/35
	if !f.Missing[FeatureNeighbours] {
		s.P[KindWind] = float64(f.X[FeatureNeighbours]) / neighbours.MaxGustRatio
	}
	if !f.Missing[FeatureNeighbourThunder3h] {
		s.P[KindThunderstorm] = float64(f.X[FeatureNeighbourThunder3h])
	}
	s.Top = []Contribution{{FeatureNames()[FeatureNeighbours], float64(f.X[FeatureNeighbours]), "", 1}, {"pressure_change_1h_hpa", -1, "hPa", .5}}
	return s, nil
}

func TestCausesNameTheNeighboursThatSpoke(t *testing.T) {
	t.Parallel()
	r := newRig(t, listener{}, func(c *Config) {
		c.IntervalS = 60
		c.Score.Kinds = map[string]ScoreLimit{"wind": {Warn: 0.3}}
	})
	for range 5 {
		r.j.Hear(r.now, heardGust(5, "north", "east"))
		r.step(60_000, map[Channel]float64{TemperatureC: 20})
	}
	alerts := r.j.View().Alerts
	if len(alerts) != 1 || alerts[0].Level != LevelWarn {
		t.Fatalf("alerts %+v, want one warning", alerts)
	}
	for _, text := range []string{alerts[0].Causes[0].Text, alerts[0].Causes[0].Says} {
		if !strings.Contains(text, "as told by north, east") {
			t.Errorf("the cause %q does not name who spoke", text)
		}
	}
	// When they fall silent the warning ends and nobody is named.
	for range 30 {
		r.step(60_000, map[Channel]float64{TemperatureC: 20})
	}
	if alerts := r.j.View().Alerts; len(alerts) != 0 {
		t.Errorf("alerts %+v after the neighbours fell silent", alerts)
	}
}

func drawHeard(t *rapid.T) *neighbours.Heard {
	var all []neighbours.Nowcast
	for i := range rapid.IntRange(0, 8).Draw(t, "neighbours") {
		all = append(all, neighbours.Nowcast{
			Sender: fmt.Sprintf("n%d", i), Position: neighbours.Position{LatitudeDeg: 25 + rapid.Float64Range(0, 6).Draw(t, "lat"), LongitudeDeg: 121},
			MadeAtMs: 1e12 - rapid.Int64Range(-600_000, 3_600_000).Draw(t, "age"), ValidUntilMs: 1e12 + 600_000,
			Weather: neighbours.Weather{
				GustRatio:           neighbours.Optional{V: rapid.Float64Range(0, 12).Draw(t, "gust"), OK: rapid.Bool().Draw(t, "has gust")},
				PressureChange3hHPa: neighbours.Some(rapid.Float64Range(-70, 70).Draw(t, "change")),
				Thunder:             true, ThunderAgoMs: rapid.Int64Range(0, 8*hourMs).Draw(t, "ago"), Strokes3h: rapid.Int64Range(0, 99).Draw(t, "strokes"),
			},
		})
	}
	h := neighbours.Listen("me", neighbours.Position{LatitudeDeg: 25, LongitudeDeg: 121}, 1e12, all)
	return &h
}

// Whatever neighbours say, every rule but those of the network stands as without
// them, and the gate does the same at the same time, whether the site lets its
// network block or not. It is never open where it would not be without a network.
func TestInvariantNeighboursOnlyWarn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 40)
		block := rapid.SampledFrom([]float64{0, 0.4}).Draw(t, "block")
		judge := func(s Scorer) *feed {
			fd := newFeed(t, ms, false, 0)
			cfg := fd.j.ev.cfg
			cfg.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.2, Block: block}, "wind": {Warn: 0.2, Block: block}}
			j, err := NewJudge(cfg, s)
			if err != nil {
				t.Fatal(err)
			}
			fd.j = j
			return fd
		}
		hearing, deaf, alone := judge(listener{}), judge(listener{}), judge(nil)
		for _, m := range ms {
			hearing.j.Hear(hearing.now+m.dtMs, drawHeard(t))
			told, quiet := slices.Clone(hearing.step(m)), slices.Clone(deaf.step(m))
			alone.step(m)
			for i := range hearing.j.rules {
				a, b := &hearing.j.states[i], &deaf.j.states[i]
				if !hearing.j.rules[i].network && *a != *b {
					t.Fatalf("rule %s: %+v with neighbours, %+v without", hearing.j.rules[i].id, *a, *b)
				}
			}
			if hearing.state() == StateOpen && alone.state() != StateOpen {
				t.Fatalf("at %d the neighbours opened the gate", hearing.now)
			}
			gates := func(ev []Event) (lines string) { // all but the texts, which tell what moved a score
				for i := range ev {
					if e := &ev[i]; e.Type == EventGate {
						lines += fmt.Sprintln(e.TimeMs, e.State, e.ClearInMs)
						for _, c := range e.Causes {
							lines += fmt.Sprintln(c.Rule, c.Level, c.Latched, c.Holding)
						}
					}
				}
				return lines
			}
			if a, b := gates(told), gates(quiet); a != b {
				t.Fatalf("the gate says %s with neighbours, %s without", a, b)
			}
		}
	})
}

func TestStrongHoursOutliveARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, listener{}, func(c *Config) { c.IntervalS = 3600 })
	for h := range 300 {
		r.step(hourMs, map[Channel]float64{WindGustMPS: 3 + float64(h%10)})
	}
	want := r.j.Nowcast().GustRatio
	snap := r.j.Snapshot()
	again := newRig(t, listener{}, func(c *Config) { c.IntervalS = 3600 })
	if err := again.j.Restore(snap, 0); err != nil {
		t.Fatal(err)
	}
	again.step(hourMs, map[Channel]float64{WindGustMPS: 3 + 299%10})
	if got := again.j.Nowcast().GustRatio; !want.OK || !got.OK || math.Abs(got.V-want.V) > 0.02 {
		t.Errorf("gust ratio %v after the restart, %v before", got, want)
	}
	// A judge without a network passes it over, and nothing of the rest is lost.
	if err := newRig(t, nil, func(c *Config) { c.IntervalS = 3600 }).j.Restore(snap, 0); err != nil {
		t.Errorf("a judge without a network: %v", err)
	}
}
