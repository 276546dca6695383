package model

import (
	"errors"
	"testing"
)

// The lowest threshold of a kind is the lower one of those that are set.
func TestLowestScoreLimit(t *testing.T) {
	for _, c := range []struct {
		limit ScoreLimit
		want  float64
	}{
		{ScoreLimit{}, 0},
		{ScoreLimit{Warn: 0.5}, 0.5},
		{ScoreLimit{Block: 0.75}, 0.75},
		{ScoreLimit{Warn: 0.5, Block: 0.75}, 0.5},
		{ScoreLimit{Warn: 0.9, Block: 0.5}, 0.5},
	} {
		if got := c.limit.lowest(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.limit, got, c.want)
		}
	}
}

// A window that does not score a kind leaves what is known of the kind alone, and a
// score exactly at the clear line is not below it.
func TestWindowsAreTallied(t *testing.T) {
	n := network{firstMs: 60, mostMs: 60}
	n.limits[KindWind] = ScoreLimit{Warn: 0.25, Block: 0.5}
	now := int64(0)
	take := func(p float64, has bool) {
		var s Scores
		s.P[KindWind], s.Has[KindWind] = p, has
		now += 60
		n.take(now, &s, &s, 0.5)
	}
	take(0.5, true)
	take(0, false)
	if n.overBlock[KindWind] != 60 || n.overWarn[KindWind] != 60 || n.under[KindWind] != 0 || n.blockLow[KindWind] != 0 {
		t.Errorf("after a window without a score: %+v", n)
	}
	take(0.25, true)
	if n.overWarn[KindWind] != 120 || n.overBlock[KindWind] != 0 {
		t.Errorf("a window without a score counts, or a lower one for the block: %+v", n)
	}
	if n.blockLow[KindWind] != 0 || n.under[KindWind] != 0 {
		t.Errorf("at the clear line of the block: %+v", n)
	}
	take(0.125, true)
	if n.blockLow[KindWind] != 60 || n.under[KindWind] != 0 {
		t.Errorf("at the clear line of the warning: %+v", n)
	}
	take(down(0.125), true)
	if n.blockLow[KindWind] != 120 || n.under[KindWind] != 60 {
		t.Errorf("below the clear line of the warning: %+v", n)
	}
}

// Windows count time, not samples: whatever the interval, a warning takes
// score.windows times score.period_s, and one row of ten minutes or more is
// enough if it stands for that long. It clears in the same time.
func TestWindowsCountTime(t *testing.T) {
	for _, c := range []struct {
		intervalS       float64
		windows, period float64
		samples         int // over the threshold, until it warns
	}{
		{1, 2, 60, 61}, // the second window begins with the 61st sample
		{10, 2, 60, 7},
		{60, 2, 60, 2},
		{300, 2, 60, 2},
		{599, 2, 60, 2},
		{600, 2, 60, 1},
		{3600, 2, 60, 1},
		{60, 10, 60, 10},
		{300, 10, 60, 3}, // 1 minute, 6 and 11
		{600, 10, 60, 1},
		{600, 11, 60, 2},
		{3600, 61, 60, 2},
		{3600, 1, 60, 1},
		{1, 3, 0, 3},
		{3600, 2, 7200, 3}, // two hours apart at least
	} {
		f := &fakeScorer{}
		r := newRig(t, f, func(cfg *Config) {
			cfg.IntervalS, cfg.Score.PeriodS, cfg.Score.Windows = c.intervalS, c.period, int(c.windows)
			cfg.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.5}}
		})
		until := func(p float64, want Level) int {
			f.p = p
			for n := 1; n <= 100; n++ {
				r.step(seconds(c.intervalS), map[Channel]float64{TemperatureC: 20})
				if r.levelOf("M-thunderstorm") == want {
					return n
				}
			}
			return 0
		}
		r.step(seconds(c.intervalS), map[Channel]float64{TemperatureC: 20})
		for r.now < r.j.ev.network.nextMs-seconds(c.intervalS) { // the next sample is a window
			r.step(seconds(c.intervalS), map[Channel]float64{TemperatureC: 20})
		}
		if got := until(1, LevelWarn); got != c.samples {
			t.Errorf("every %v s, %v windows of %v s: warns after %d samples, want %d", c.intervalS, c.windows, c.period, got, c.samples)
		}
		for r.now < r.j.ev.network.nextMs-seconds(c.intervalS) {
			r.step(seconds(c.intervalS), map[Channel]float64{TemperatureC: 20})
		}
		if got := until(0, LevelNone); got != c.samples {
			t.Errorf("every %v s, %v windows of %v s: clears after %d samples, want %d", c.intervalS, c.windows, c.period, got, c.samples)
		}
	}
}

// Time without a score is not time over the threshold.
func TestTimeWithoutScoreIsOneWindowAtMost(t *testing.T) {
	f := &fakeScorer{p: 1}
	r := newRig(t, f, func(cfg *Config) {
		cfg.IntervalS, cfg.Score.Windows = 60, 3
		cfg.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.5}}
	})
	step := func() Level {
		r.step(60_000, map[Channel]float64{TemperatureC: 20})
		return r.levelOf("M-thunderstorm")
	}
	step()
	f.err = errors.New("weights are damaged")
	for range 10 {
		step()
	}
	f.err = nil
	if got := step(); got != LevelNone {
		t.Errorf("two windows in ten minutes: %v", got)
	}
	if got := step(); got != LevelWarn {
		t.Errorf("three windows: %v", got)
	}
}

// A restart may bring back a level that the thresholds of today do not give.
func TestLevelWithoutItsThreshold(t *testing.T) {
	for _, c := range []struct {
		limit ScoreLimit
		was   Level
		want  Level
	}{
		{ScoreLimit{Warn: 0.5}, LevelBlock, LevelWarn},
		{ScoreLimit{Block: 0.75}, LevelWarn, LevelNone},
		{ScoreLimit{Block: 0.75}, LevelBlock, LevelBlock},
		{ScoreLimit{}, LevelBlock, LevelNone},
	} {
		n := network{needMs: 120_000}
		n.limits[KindWind] = c.limit
		if got := n.level(KindWind, c.was); got != c.want {
			t.Errorf("%+v, was %v: %v, want %v", c.limit, c.was, got, c.want)
		}
	}
}

// A block is explained by its own threshold, for as long as it is held.
func TestScoreIsExplainedByTheThresholdThatStands(t *testing.T) {
	for _, c := range []struct {
		state ruleState
		want  string
	}{
		{ruleState{}, "0.5"},
		{ruleState{level: LevelWarn, held: LevelWarn}, "0.5"},
		{ruleState{level: LevelWarn, held: LevelBlock}, "0.9"},
		{ruleState{level: LevelBlock, held: LevelBlock}, "0.9"},
	} {
		b := newBare(t, func(cfg *Config) { cfg.Score.Kinds = map[string]ScoreLimit{"wind": {Warn: 0.5, Block: 0.9}} })
		x := explainer{e: b.evidence, tMs: bareMs, state: &c.state, cause: &Cause{}}
		x.score(KindWind)
		if want := "network: wind likely (threshold " + c.want + ")"; len(x.texts) != 1 || x.texts[0] != want {
			t.Errorf("%+v: %q, want %q", c.state, x.texts, want)
		}
	}
}

// windowScorer keeps what it was asked.
type windowScorer struct {
	fakeScorer
	asked []Features
}

func (w *windowScorer) Score(f *Features) (Scores, error) {
	w.asked = append(w.asked, *f)
	return w.fakeScorer.Score(f)
}

// The network is asked once a period, with the features of what was measured; a
// score is told, a failure says why.
func TestNetworkIsAskedOncePerPeriod(t *testing.T) {
	for _, failure := range []error{nil, errors.New("weights are damaged")} {
		w := &windowScorer{fakeScorer: fakeScorer{p: 0.25, err: failure}}
		r := newRig(t, w, nil)
		for range 60 {
			r.step(1000, map[Channel]float64{TemperatureC: 20})
		}
		if len(w.asked) != 1 {
			t.Errorf("failure %v: asked %d times in a minute", failure, len(w.asked))
		}
		r.step(1000, map[Channel]float64{TemperatureC: 20})
		if len(w.asked) != 2 {
			t.Fatalf("failure %v: asked %d times, the minute is over", failure, len(w.asked))
		}
		var want Features
		e := &Extractor{}
		for i := range 61 {
			s := Sample{TimeMs: int64(i+1) * 1000}
			s.Set(TemperatureC, 20)
			e.Push(&s)
		}
		e.Features(&want)
		if w.asked[1] != want {
			t.Errorf("failure %v: the network got other features", failure)
		}
		told := 0
		for _, e := range r.ev {
			if e.Type == EventScore && e.Scores.P[KindThunderstorm] == 0.25 {
				told++
			}
		}
		if want := 2; failure == nil && told != want || failure != nil && told != 0 {
			t.Errorf("failure %v: %d scores are told", failure, told)
		}
		if failure != nil {
			if text := r.textOf("M00"); text != "hazard network failed: weights are damaged" {
				t.Errorf("text %q", text)
			}
		}
	}
}

// A block ends by what the network says alone. Without such a score nothing counts
// towards its end, however low the score with the neighbours is.
func TestNeighboursEndNoBlock(t *testing.T) {
	n := network{firstMs: 60, mostMs: 60}
	n.limits[KindWind] = ScoreLimit{Block: 0.5}
	var with, alone Scores
	with.Has[KindWind], with.P[KindWind] = true, 0.01
	n.take(60, &with, &alone, 0.5)
	if n.blockLow[KindWind] != 0 || n.overBlock[KindWind] != 0 {
		t.Errorf("counted towards the end of a block: %v, towards one: %v", n.blockLow[KindWind], n.overBlock[KindWind])
	}
	alone = with
	n.take(120, &with, &alone, 0.5)
	if n.blockLow[KindWind] == 0 {
		t.Error("a low score of its own does not count")
	}
}
