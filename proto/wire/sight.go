package wire

import (
	"fmt"
	"slices"
	"time"
)

// GateValid is how long a gate view may be believed, GateEvery how often it is
// repeated.
const (
	GateValid = 90 * time.Second
	GateEvery = 30 * time.Second
)

// What a gate counts as where its own word cannot be relied on. All of them
// count as closed.
const (
	GateOffline = "OFFLINE" // the agent is gone
	GateExpired = "EXPIRED" // its last word is too old
	GateUnknown = "UNKNOWN" // nothing is known, or the observer itself is cut off
)

// SeenStates are all states that an observer may show.
var SeenStates = append(slices.Clone(GateStates), GateOffline, GateExpired, GateUnknown)

// skew is how far the clock of a device may be ahead of an observer's before a
// word that the observer did not hear live is refused for it.
const skew = 5 * time.Second

// A Sight is what an observer knows of a device's gate. Every screen judges it
// by [Sight.At], so that all say the same. The zero value knows nothing.
type Sight struct {
	// The device's newest gate view: its state, and when by the device's clock
	// it was written and how long it may be believed.
	State          string
	TS, ValidUntil time.Time
	Seq            uint64
	// Heard is when the observer got that view first, by its own clock.
	// Retained: it came from the broker's memory then, not from the device.
	Heard    time.Time
	Retained bool
	// Status is the device's own, online or offline, and StatusAt when the
	// observer learned it; empty: none has come.
	Status   string
	StatusAt time.Time
	// Lost says what the observer's own way to the device lacks, such as "no
	// connection to the broker", and LostAt since when; empty: it stands.
	Lost   string
	LostAt time.Time
}

// Hear takes a gate view that the observer got at now, and says whether it is
// newer than what was known or the same. A broker gives out what it has kept at
// every connection: the same view again makes it no younger. A view that is
// older by its number and its time, as a broker may repeat it, is passed over.
func (s *Sight) Hear(state string, ts, validUntil time.Time, seq uint64, retained bool, now time.Time) bool {
	if seq < s.Seq && ts.Before(s.TS) {
		return false
	}
	again := s.State == state && s.Seq == seq && s.TS.Equal(ts)
	s.State, s.TS, s.ValidUntil, s.Seq = state, ts, validUntil, seq
	switch {
	case !again:
		s.Heard, s.Retained = now, retained
	case !retained && s.Retained:
		s.Retained = false // it was under way when the observer connected
	}
	return true
}

// Told takes the device's status.
func (s *Sight) Told(status string, now time.Time) {
	if s.Status != status {
		s.Status, s.StatusAt = status, now
	}
}

// Seen is what an observer may say of a gate at one moment.
type Seen struct {
	// State is one of SeenStates. Only OPEN is open.
	State string
	// Why says why State is not the device's own word; empty where it is.
	Why string
	// Since is when that began, where it is known.
	Since time.Time
	// Until is when State lapses if nothing more is heard; zero if it does not.
	Until time.Time
}

// Open says whether energy may be traded, as far as the observer knows.
func (s *Seen) Open() bool { return s.State == GateOpen }

// At says what the gate counts as at now. It is the device's own word only if
// the observer's way to the device stands, the device is online, the word is
// within its validity and the observer heard it no longer than GateValid ago.
func (s *Sight) At(now time.Time) Seen {
	age := now.Sub(s.Heard)
	switch {
	case s.Lost != "":
		return Seen{State: GateUnknown, Why: s.Lost, Since: s.LostAt}
	case s.State == "" && s.Status == Offline:
		return Seen{State: GateOffline, Why: "the agent is offline", Since: s.StatusAt}
	case s.State == "":
		return Seen{State: GateUnknown, Why: "no gate message has come yet"}
	case !slices.Contains(GateStates, s.State):
		return Seen{State: GateUnknown, Why: fmt.Sprintf("its state %.20q is not known here", s.State)}
	case s.Status == Offline:
		return Seen{State: GateOffline, Why: "the agent is offline; it last said " + s.State, Since: s.StatusAt}
	case s.Status != Online:
		return Seen{State: GateUnknown, Why: "it has not said whether it is online"}
	case s.ValidUntil.IsZero():
		return Seen{State: GateExpired, Why: "its message does not say until when it holds"}
	case now.After(s.ValidUntil) && !s.Retained && age >= 0 && age < skew:
		return Seen{State: GateExpired, Why: "its clock is " + now.Sub(s.TS).Round(time.Second).String() + " behind this one", Since: s.ValidUntil}
	case now.After(s.ValidUntil):
		return Seen{State: GateExpired, Why: "its last message is past its validity; it said " + s.State, Since: s.ValidUntil}
	case s.Heard.IsZero() || age < 0 || age > GateValid:
		return Seen{State: GateExpired, Why: "nothing has been heard of it for more than " + GateValid.String() + "; it last said " + s.State, Since: s.Heard}
	case s.Retained && s.TS.After(now.Add(skew)):
		return Seen{State: GateUnknown, Why: "its last message is dated ahead of this clock"}
	}
	until := s.Heard.Add(GateValid)
	if s.ValidUntil.Before(until) {
		until = s.ValidUntil
	}
	return Seen{State: s.State, Until: until}
}
