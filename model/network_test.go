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
func TestWindowsAreCounted(t *testing.T) {
	n := network{}
	n.limits[KindWind] = ScoreLimit{Warn: 0.25, Block: 0.5}
	take := func(p float64, has bool) {
		var s Scores
		s.P[KindWind], s.Has[KindWind] = p, has
		n.take(s, 0.5)
	}
	take(0.5, true)
	take(0, false)
	if n.overBlock[KindWind] != 1 || n.overWarn[KindWind] != 1 || n.under[KindWind] != 0 || n.blockLow[KindWind] != 0 {
		t.Errorf("after a window without a score: %+v", n)
	}
	take(0.25, true)
	if n.blockLow[KindWind] != 0 || n.under[KindWind] != 0 {
		t.Errorf("at the clear line of the block: %+v", n)
	}
	take(0.125, true)
	if n.blockLow[KindWind] != 1 || n.under[KindWind] != 0 {
		t.Errorf("at the clear line of the warning: %+v", n)
	}
	take(down(0.125), true)
	if n.blockLow[KindWind] != 2 || n.under[KindWind] != 1 {
		t.Errorf("below the clear line of the warning: %+v", n)
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
		n := network{}
		n.limits[KindWind] = c.limit
		if got := n.level(KindWind, c.was, 2); got != c.want {
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
