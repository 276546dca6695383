package model

import (
	"testing"

	"fairwatt/model/neighbours"
)

// An AS3935 says 63 km where nothing is in range (register 0x07 at 0x3F): no stroke,
// unless a count says that there was one.
func TestOutOfRangeIsNoStroke(t *testing.T) {
	for _, c := range []struct {
		name    string
		km      float64
		count   float64 // below 0: no count
		thunder bool
	}{
		{"out of range, no count", 63, -1, false},
		{"out of range, count of 0", 63, 0, false},
		{"out of range, a stroke counted", 63, 2, true},
		{"in range, no count", 12, -1, true},
		{"in range, count of 0", 12, 0, false},
		{"in range, a stroke counted", 12, 1, true},
		{"just inside what a chip can say", 62.9, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := NewExtractor()
			s := Sample{TimeMs: 60_000}
			s.Set(LightningKM, c.km)
			if c.count >= 0 {
				s.Set(LightningCount, c.count)
			}
			e.Push(&s)
			w := e.Weather()
			if had := w.ThunderAgoMs < neighbours.ThunderBackMs; !w.Thunder || had != c.thunder {
				t.Errorf("told to neighbours: detector %v, thunder %v, want true, %v", w.Thunder, had, c.thunder)
			}
			var f Features
			e.Features(&f)
			if got := f.X[FeatureLightning6h] == 1; f.Missing[FeatureLightning6h] || got != c.thunder {
				t.Errorf("lightning_6h is %g, missing %v, want %v", f.X[FeatureLightning6h], f.Missing[FeatureLightning6h], c.thunder)
			}
		})
	}
}

// What is out of range is no second witness of a stroke nearby; a counted stroke is.
func TestOutOfRangeConfirmsNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		second func(*Sample)
		blocks bool
	}{
		{"out of range", func(s *Sample) { s.Set(LightningKM, 63) }, false},
		{"far away", func(s *Sample) { s.Set(LightningKM, 40) }, true},
		{"counted out of range", func(s *Sample) { s.Set(LightningKM, 63); s.Set(LightningCount, 1) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, err := NewJudge(DefaultConfig(), nil)
			if err != nil {
				t.Fatal(err)
			}
			near := Sample{TimeMs: 1000}
			near.Set(LightningKM, 5)
			j.Step(&near)
			second := Sample{TimeMs: 2000}
			c.second(&second)
			blocks := false
			for _, e := range j.Step(&second) {
				blocks = blocks || e.Type == EventAlert && e.Kind == KindThunderstorm && e.Level == LevelBlock
			}
			if blocks != c.blocks {
				t.Errorf("W01 blocks: %v, want %v", blocks, c.blocks)
			}
		})
	}
}
