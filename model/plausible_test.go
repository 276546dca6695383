package model

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func readings(values ...float64) []Reading {
	out := make([]Reading, len(values))
	for i, v := range values {
		out[i] = Reading{Value: v, Validity: Valid}
		if math.IsInf(v, -1) {
			out[i] = Reading{Validity: SensorError}
		}
	}
	return out
}

func TestVote(t *testing.T) {
	dead := math.Inf(-1)
	for _, c := range []struct {
		name     string
		channel  Channel
		values   []float64
		want     float64
		validity Validity
		disagree bool
		outlier  int
	}{
		{"one", WindGustMPS, []float64{5}, 5, Valid, false, -1},
		{"none", WindGustMPS, nil, 0, Absent, false, -1},
		{"two agree", WindGustMPS, []float64{20, 21}, 21, Valid, false, -1},
		{"two disagree", WindGustMPS, []float64{30, 5}, 30, Valid, true, -1},
		{"low is unsafe", InsulationKOhm, []float64{900, 20}, 20, Valid, true, -1},
		{"far from nominal is unsafe", VoltageV, []float64{231, 200}, 200, Valid, true, -1},
		{"far above nominal is unsafe", VoltageV, []float64{225, 260}, 260, Valid, true, -1},
		{"one dead", WindGustMPS, []float64{dead, 5}, 5, Valid, false, -1},
		{"both dead", WindGustMPS, []float64{dead, dead}, 0, SensorError, false, -1},
		{"out of range does not vote", TemperatureC, []float64{900, 5}, 5, Valid, false, -1},
		{"beyond the range where a hazard goes on votes", WindGustMPS, []float64{900, 5}, 900, Saturated, true, -1},
		{"three, one alone", WindGustMPS, []float64{5, 30, 5.5}, 5.5, Valid, true, 1},
		{"three agree", WindGustMPS, []float64{5, 5.5, 6}, 5.5, Valid, false, -1},
		{"four, unsafe middle", WindGustMPS, []float64{5, 6, 20, 21}, 20, Valid, true, 0},
		{"directions agree across north", WindDirectionDeg, []float64{355, 5}, 5, Valid, false, -1},
		{"the middle direction across north", WindDirectionDeg, []float64{350, 10, 1}, 1, Valid, false, -1},
		{"a direction alone", WindDirectionDeg, []float64{350, 180, 355}, 350, Valid, true, 1},
		{"power factors of two meters", PowerFactor, []float64{0.98, 0.99}, 0.99, Valid, false, -1},
		{"NaN does not vote", PressureHPa, []float64{math.NaN(), 1000}, 1000, Valid, false, -1},
	} {
		got := Vote(c.channel, 230, readings(c.values...))
		if got.Validity != c.validity || got.Value != c.want || got.Disagree != c.disagree || got.Outlier != c.outlier {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// The value that counts is one that was read, and the order of sensors does
// not matter to it; of two none is more dangerous.
func TestVoteProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]Channel{WindGustMPS, PressureHPa, VoltageV}).Draw(t, "channel")
		info := c.Info()
		values := rapid.SliceOfN(rapid.Float64Range(max(info.Min, 0), min(info.Max, 1100)), 1, 6).Draw(t, "values")
		got := Vote(c, 230, readings(values...))
		found := false
		for _, v := range values {
			found = found || v == got.Value
			if b := defaultBallot(c, 230); len(values) == 2 && b.unsafer(v, got.Value) {
				t.Fatalf("of %v %v counts", values, got.Value)
			}
		}
		if !found {
			t.Fatalf("%v was not read", got.Value)
		}
		if again := Vote(c, 230, readings(rapid.Permutation(values).Draw(t, "order")...)); c == WindGustMPS && again.Value != got.Value {
			t.Fatalf("in another order %v instead of %v", again.Value, got.Value)
		}
	})
}

func TestDisagreementWarns(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(301, map[Channel]float64{WindGustMPS: 5})
	s := Sample{TimeMs: r.now + 1000}
	s.SetVote(WindGustMPS, Vote(WindGustMPS, 0, readings(5, 12)))
	r.j.Step(&s)
	r.wantOpen()
	if a := r.j.View().Alerts; len(a) != 1 || a[0].Causes[0].Rule != "S01" || a[0].Level != LevelWarn {
		t.Errorf("alerts %+v", a)
	}
	s = Sample{TimeMs: r.now + 2000}
	s.SetVote(WindGustMPS, Vote(WindGustMPS, 0, readings(5, 30)))
	r.j.Step(&s)
	r.wantBlockedBy("W03") // the unsafe one counts
}

func TestCrossChecks(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  map[Channel]float64
		want Channel
	}{
		{"more power than volts and amperes", map[Channel]float64{PowerW: 2000, VoltageV: 230, CurrentA: 5}, PowerW},
		{"less than the power factor says", map[Channel]float64{PowerW: 300, VoltageV: 230, CurrentA: 5, PowerFactor: 0.95}, PowerW},
		{"phases add up to something else", map[Channel]float64{PowerW: 3000, PowerAW: 500, PowerBW: 500, PowerCW: 500}, PowerW},
		{"gust below the mean", map[Channel]float64{WindSpeedMPS: 12, WindGustMPS: 9}, WindGustMPS},
		{"sun at night", map[Channel]float64{IrradianceWPM2: 300}, IrradianceWPM2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, func(cfg *Config) {
				cfg.Required, cfg.Position, cfg.StuckS = []Channel{c.want}, &Position{Latitude: 50, Longitude: 8}, 0
			})
			midnight := time.Date(2026, 7, 1, 23, 30, 0, 0, time.UTC)
			if err := r.j.SetWall(midnight.UnixMilli(), 0); err != nil {
				t.Fatal(err)
			}
			r.run(crossTimes-1, c.bad)
			if got := r.j.Sample().Validity[c.want]; got != Valid {
				t.Fatalf("%v after two readings", got)
			}
			r.run(1, c.bad)
			if got := r.j.Sample().Validity[c.want]; got != Disagrees {
				t.Fatalf("%v, want disagrees", got)
			}
			r.wantBlockedBy("E16")
		})
	}
	good := map[Channel]float64{
		PowerW: 1100, VoltageV: 230, CurrentA: 5, PowerFactor: 0.95, PowerAW: 400, PowerBW: 400, PowerCW: 300,
		WindSpeedMPS: 12, WindGustMPS: 12, IrradianceWPM2: 0,
	}
	r := newRig(t, nil, func(cfg *Config) { cfg.StuckS = 0 })
	r.run(20, good)
	for c := range good {
		if got := r.j.Sample().Validity[c]; got != Valid {
			t.Errorf("%v is %v", c, got)
		}
	}
}

func TestSunSine(t *testing.T) {
	for _, c := range []struct {
		at       string
		lat, lon float64
		deg      float64 // height of the sun, from almanacs
	}{
		{"2026-06-21T12:00:00Z", 51.5, 0, 61.9},
		{"2026-12-21T12:00:00Z", 51.5, 0, 15.1},
		{"2026-03-20T12:00:00Z", 0, 0, 88},
		{"2026-06-21T00:00:00Z", 51.5, 0, -15},
		{"2026-06-21T04:00:00Z", 23.4, 120, 89.5},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got := math.Asin(new(sun).sine(&Position{c.lat, c.lon}, at.UnixMilli())) * 180 / math.Pi
		if math.Abs(got-c.deg) > 1.5 {
			t.Errorf("%s at %v, %v: %.1f degrees, want about %v", c.at, c.lat, c.lon, got, c.deg)
		}
	}
	for d := -720.0; d <= 720; d += 0.7 {
		if got, want := sinDeg(d), math.Sin(d*math.Pi/180); math.Abs(got-want) > 1e-6 {
			t.Fatalf("sinDeg(%v) = %v, want %v", d, got, want)
		}
	}
}

// Whatever fails, in whatever order: while a required sensor says that it
// fails the gate is not open, so no fault opens it. (A sensor that says nothing
// keeps its last reading until that is stale: see the invariants.)
func TestSensorFaultsNeverOpenTheGate(t *testing.T) {
	faults := []Validity{OutOfRange, Stale, Stuck, Jumped, SensorError, Disagrees}
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 50)
		fd := newFeed(t, ms, rapid.Bool().Draw(t, "network"), 0)
		for _, m := range ms {
			fd.now += m.dtMs
			s := Sample{TimeMs: fd.now}
			broken := false
			for _, c := range drawn {
				s.Set(c, m.values[c])
				if rapid.IntRange(0, 5).Draw(t, "breaks") == 0 {
					broken = true
					s.Fail(c, rapid.SampledFrom(faults).Draw(t, "fault"))
				}
			}
			for _, e := range fd.j.Step(&s) {
				if broken && e.Type == EventGate && e.State == StateOpen && e.TimeMs == fd.now {
					t.Fatal("a fault opened the gate")
				}
			}
			if broken && fd.state() == StateOpen {
				t.Fatalf("open with a faulty sensor: %s", fd.j.View().Reason)
			}
		}
	})
}
