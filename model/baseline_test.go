package model

import "testing"

// The usual pressure outlives starts without a wall clock, and what is measured
// meanwhile is put on its hours when the clock is known: no boot without a time
// server forgets a month.
func TestBaselineOutlivesABootWithoutClock(t *testing.T) {
	t.Parallel()
	const unix = 500_000
	r := cycloneRig(t, 20)
	if err := r.j.SetWall(unix*hourMs, 0); err != nil {
		t.Fatal(err)
	}
	h := int64(0)
	hours := func(n int64, depth, wind float64) {
		for range n {
			h++
			r.step(hourMs, tropicalHour(h, depth, wind))
		}
	}
	restart := func() {
		snap := r.j.Snapshot()
		r = cycloneRig(t, 20)
		if err := r.j.Restore(snap, 0); err != nil {
			t.Fatal(err)
		}
	}
	hours(24*5, 0, 5)
	for range 2 { // two starts without a clock
		restart()
		hours(5, 0, 5)
	}
	hours(1, 20, 12)
	r.wantOpen() // nothing is known to compare with
	if err := r.j.SetWall((unix+h)*hourMs+900_000, r.now); err != nil {
		t.Fatal(err)
	}
	hours(1, 20, 12)
	r.wantBlockedBy("W08")
	base := &r.j.ev.cyclone.base
	for hour := unix + h - 24*5; hour < unix+h; hour++ {
		known := hour <= unix+120 || hour >= unix+126 // not the five hours of the first start
		if got := *base.slot(hour) != 0; got != known {
			t.Errorf("the pressure %d h ago is known %v, want %v", unix+h-hour, got, known)
		}
	}
	if r.j.ev.cyclone.kept.any {
		t.Error("the pressure of before is kept twice")
	}
	if err := r.j.SetWall(0, r.now); err == nil {
		t.Error("the wall clock was set twice")
	}
}

// A baseline written under a clock that was ahead does not stop the present hours
// from being counted.
func TestBaselineOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	r := cycloneRig(t, 20)
	if err := r.j.SetWall(500_000*hourMs, 0); err != nil {
		t.Fatal(err)
	}
	for h := range int64(100) {
		r.step(hourMs, tropicalHour(h, 0, 5))
	}
	snap := r.j.Snapshot()
	again := cycloneRig(t, 20)
	if err := again.j.SetWall(500_050*hourMs, 0); err != nil {
		t.Fatal(err)
	}
	if err := again.j.Restore(snap, 0); err != nil {
		t.Fatal(err)
	}
	again.step(1000, tropicalHour(0, 0, 5))
	if b := &again.j.ev.cyclone.base; b.hour != 500_050 || b.n != 1 || *b.slot(500_049) == 0 {
		t.Errorf("the present hour is %d with %d readings", b.hour, b.n)
	}
}

// The calm that ends a cyclone begins with a mean wind that is known to be calm.
func TestCycloneCalmBeginsWithAKnownMean(t *testing.T) {
	t.Parallel()
	calmMs := func(mean figure) int64 {
		b := newBare(t, nil).set(map[Channel]float64{PressureHPa: 1000, WindSpeedMPS: 2})
		b.wind.mean, b.cyclone.calmMs = mean, never
		takeCyclone(b.evidence, nil, bareMs)
		return b.cyclone.calmMs
	}
	if got := calmMs(figure{}); got != never {
		t.Errorf("the mean is not known, and it is calm since %d", got)
	}
	if got := calmMs(figure{2, true}); got != bareMs {
		t.Errorf("a mean of 2 m/s: calm since %d, want %d", got, bareMs)
	}
}
