package model

import "testing"

// A stroke of before a restart confirms one of after it, as it would have without.
func TestStrokesOutliveARestart(t *testing.T) {
	t.Parallel()
	near := map[Channel]float64{LightningKM: 7, LightningCount: 1}
	for _, c := range []struct {
		name    string
		first   map[Channel]float64
		second  map[Channel]float64
		gapMs   int64
		confirm int
		blocks  bool
	}{
		{"near and near", near, near, 30_000, 2, true},
		{"near and unknown", near, map[Channel]float64{LightningCount: 1}, 30_000, 2, true},
		{"near and far", near, map[Channel]float64{LightningKM: 19, LightningCount: 1}, 30_000, 2, true},
		{"far and near", map[Channel]float64{LightningKM: 15, LightningCount: 1}, near, 30_000, 2, true},
		{"unknown and near", map[Channel]float64{LightningCount: 1}, near, 30_000, 2, true},
		{"two and one of three", map[Channel]float64{LightningCount: 2}, near, 30_000, 3, true},
		{"one and one of three", near, near, 30_000, 3, false},
		{"just within the time", near, near, 899_000, 2, true},
		{"too long ago", near, near, 901_000, 2, false},
	} {
		set := func(cfg *Config) {
			cfg.Lightning.ConfirmStrikes, cfg.Stale = c.confirm, StaleLimits{week, week, week, week, week}
		}
		for _, restart := range []bool{false, true} {
			r := newRig(t, nil, set)
			r.step(1000, c.first)
			if restart {
				r = r.again(nil, set)
			}
			r.step(c.gapMs, c.second)
			if got := r.levelOf("W01") == LevelBlock; got != c.blocks {
				t.Errorf("%s, restart %v: blocks %v", c.name, restart, got)
			}
		}
	}
}

// Any number of strokes is kept in few bytes; none grows older by it, and none
// that was confirmed confirms again.
func TestManyStrokesAreKept(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	for range 1200 {
		r.step(1000, map[Channel]float64{LightningKM: 18, LightningCount: 3})
	}
	before := r.j.ev.lightning.recent(r.now, strokeWindowMs)
	snap := r.j.Snapshot()
	if len(snap) > 1024 {
		t.Errorf("a snapshot of %d bytes", len(snap))
	}
	again := r.again(nil, nil)
	if after := again.j.ev.lightning.recent(again.now, strokeWindowMs); before != 2700 || after != before {
		t.Errorf("%d strokes before the restart, %d after", before, after)
	}
	r = quietRig(t, nil)
	for range 2 {
		r.step(1000, map[Channel]float64{LightningKM: 4.5, LightningCount: 1})
	}
	again = r.again(nil, nil)
	l := &again.j.ev.lightning
	if l.nearKM != 4.5 || l.nearMs != r.now || l.confirmed != l.nearMs || l.blockMs != longAgo {
		t.Errorf("the near stroke is %+v", l)
	}
}
