package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// live is a gate that is open and heard a second ago.
func live() Sight {
	return Sight{
		State: GateOpen, TS: noon.Add(-time.Second), ValidUntil: noon.Add(89 * time.Second), Heard: noon.Add(-time.Second),
		Status: Online, StatusAt: noon.Add(-time.Hour),
	}
}

func TestSight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Sight)
		state  string
		why    string
	}{
		{"live", func(*Sight) {}, GateOpen, ""},
		{"blocked", func(s *Sight) { s.State = GateBlocked }, GateBlocked, ""},
		{"clearing", func(s *Sight) { s.State = GateClearing }, GateClearing, ""},
		{"init", func(s *Sight) { s.State = GateInit }, GateInit, ""},
		{"offline", func(s *Sight) { s.Status = Offline }, GateOffline, "offline; it last said OPEN"},
		{"no status", func(s *Sight) { s.Status = "" }, GateUnknown, "has not said whether it is online"},
		{"odd status", func(s *Sight) { s.Status = "ONLINE" }, GateUnknown, "has not said whether it is online"},
		{"nothing", func(s *Sight) { *s = Sight{} }, GateUnknown, "no gate message"},
		{"only offline", func(s *Sight) { *s = Sight{Status: Offline} }, GateOffline, "offline"},
		{"odd state", func(s *Sight) { s.State = "open" }, GateUnknown, "not known here"},
		{"no validity", func(s *Sight) { s.ValidUntil = time.Time{} }, GateExpired, "until when"},
		{"at the end of its validity", func(s *Sight) { s.ValidUntil = noon }, GateOpen, ""},
		{"past it", func(s *Sight) { s.ValidUntil, s.Heard = noon.Add(-1), noon.Add(-time.Minute) }, GateExpired, "past its validity; it said OPEN"},
		{"a clock behind", func(s *Sight) { s.TS, s.ValidUntil = noon.Add(-time.Hour), noon.Add(-time.Hour+GateValid) }, GateExpired, "clock is 1h0m0s behind"},
		{"silent for as long as allowed", func(s *Sight) { s.Heard, s.ValidUntil = noon.Add(-GateValid), noon.Add(time.Hour) }, GateOpen, ""},
		{"silent for longer, valid for a year", func(s *Sight) { s.Heard, s.ValidUntil = noon.Add(-GateValid-1), noon.AddDate(1, 0, 0) }, GateExpired, "nothing has been heard"},
		{"heard never", func(s *Sight) { s.Heard = time.Time{} }, GateExpired, "nothing has been heard"},
		{"heard in the future", func(s *Sight) { s.Heard = noon.Add(time.Minute) }, GateExpired, "nothing has been heard"},
		{"kept by the broker", func(s *Sight) { s.Retained = true }, GateOpen, ""},
		{"kept, and ahead", func(s *Sight) { s.Retained, s.TS = true, noon.Add(skew+1) }, GateUnknown, "ahead of this clock"},
		{"lost", func(s *Sight) { s.Lost, s.LostAt = "no connection to the broker", noon.Add(-3) }, GateUnknown, "no connection to the broker"},
	} {
		s := live()
		c.change(&s)
		got := s.At(noon)
		if got.State != c.state || !strings.Contains(got.Why, c.why) || (got.Why == "") != (c.why == "") {
			t.Errorf("%s: %s, %q; want %s, %q", c.name, got.State, got.Why, c.state, c.why)
		}
		if got.Open() != (c.state == GateOpen) || !slices.Contains(SeenStates, got.State) {
			t.Errorf("%s: open %v", c.name, got.Open())
		}
	}
}

// The moment that a state lapses is the moment from which At says so.
func TestSightLapses(t *testing.T) {
	t.Parallel()
	for _, valid := range []time.Duration{time.Second, 30 * time.Second, time.Hour} {
		s := live()
		s.ValidUntil = noon.Add(valid)
		until := s.At(noon).Until
		if got := s.At(until); !got.Open() {
			t.Errorf("valid for %v: at its end %+v", valid, got)
		}
		if got := s.At(until.Add(1)); got.State != GateExpired || !got.Until.IsZero() {
			t.Errorf("valid for %v: after it %+v", valid, got)
		}
	}
}

// A broker that gives out what it has kept, again and again, makes nothing
// younger: an agent that is gone does not stay open by reconnections.
func TestSightIsNotRenewedByTheBroker(t *testing.T) {
	t.Parallel()
	s := Sight{Status: Online}
	for at := time.Duration(0); at <= GateValid; at += 10 * time.Second {
		s.Hear(GateOpen, noon, noon.AddDate(1, 0, 0), 7, true, noon.Add(at))
		if got := s.At(noon.Add(at)); !got.Open() {
			t.Fatalf("after %v: %+v", at, got)
		}
	}
	late := noon.Add(GateValid + time.Second)
	s.Hear(GateOpen, noon, noon.AddDate(1, 0, 0), 7, true, late)
	if got := s.At(late); got.State != GateExpired {
		t.Errorf("%+v", got)
	}
	if !s.Hear(GateBlocked, late, late.Add(GateValid), 9, false, late) || s.Hear(GateOpen, noon, late.Add(GateValid), 8, false, late) {
		t.Error("an old view counts, or a new one does not")
	}
	if got := s.At(late); got.State != GateBlocked {
		t.Errorf("an old view opens: %+v", got)
	}
	s.Hear(GateOpen, late, late.Add(GateValid), 10, false, late)
	if got := s.At(late); !got.Open() {
		t.Errorf("a new word: %+v", got)
	}
}

// Never OPEN unless all holds.
func TestSightOpensOnlyIfAllHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		around := func(name string) time.Time {
			d := rapid.OneOf(rapid.Int64Range(-200_000, 200_000), rapid.SampledFrom([]int64{0, 1, -1, 90_000, -90_000, 90_001, -90_001, 5000, 5001})).Draw(t, name)
			if rapid.IntRange(0, 9).Draw(t, name+" missing") == 0 {
				return time.Time{}
			}
			return noon.Add(time.Duration(d) * time.Millisecond)
		}
		s := Sight{
			State:  rapid.SampledFrom(append(slices.Clone(SeenStates), "", "open", "OPEN ", GateOpen, GateOpen, GateOpen)).Draw(t, "state"),
			Status: rapid.SampledFrom([]string{"", Online, Online, Online, Offline, "Online"}).Draw(t, "status"),
			Lost:   rapid.SampledFrom([]string{"", "", "", "no broker"}).Draw(t, "lost"),
			TS:     around("ts"), ValidUntil: around("valid_until"), Heard: around("heard"), Retained: rapid.Bool().Draw(t, "retained"),
		}
		age := noon.Sub(s.Heard)
		holds := s.State == GateOpen && s.Status == Online && s.Lost == "" && !s.ValidUntil.IsZero() && !noon.After(s.ValidUntil) &&
			!s.Heard.IsZero() && age >= 0 && age <= GateValid && !(s.Retained && s.TS.After(noon.Add(skew)))
		got := s.At(noon)
		if got.Open() != holds {
			t.Fatalf("%+v: %+v, want open %v", s, got, holds)
		}
		if own := got.State == s.State && slices.Contains(GateStates, s.State); own != (got.Why == "") {
			t.Fatalf("%+v: %+v: its own word needs no reason, and any other one does", s, got)
		}
	})
}
