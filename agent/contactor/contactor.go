package contactor

import "slices"

// A Demand is what the loop knows in one step.
type Demand struct {
	GateOpen   bool
	Delivering []string // the trades that deliver now
}

// allows says whether the contactor may be closed for the trade.
func (d Demand) allows(trade string) bool {
	return d.GateOpen && trade != "" && slices.Equal(d.Delivering, []string{trade})
}

// A Fault is what the feedback says against the command.
type Fault uint8

// The faults.
const (
	// None: the feedback agrees.
	None Fault = iota
	// Unwatched: there is no feedback.
	Unwatched
	// Welded: told open, and the feedback says closed.
	Welded
	// Stuck: told closed, and the feedback says open.
	Stuck
	// Unable: a command failed, or the feedback cannot be read.
	Unable
)

// String names the fault.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "unknown"
}

var faultNames = [...]string{"none", "unwatched", "welded", "stuck", "unable"}

// FaultAfterMs is how long feedback must disagree before it is a fault, on the
// sensing clock: a contact that moves or bounces is no fault.
const FaultAfterMs = 1000

// A Feeling is one reading of the feedback.
type Feeling struct {
	Watched bool // there is feedback
	Known   bool // it could be read
	Closed  bool
}

// A Switch is the state machine. Its zero value does not know where the
// contactor is.
type Switch struct {
	trade string // told closed for this trade; "" for open
	sure  bool   // the last command worked

	wrong   Fault // what the feedback says since sinceMs
	sinceMs int64
	fault   Fault // wrong, once it has lasted
}

// Trade returns the trade that the contactor is told closed for, or "".
func (s *Switch) Trade() string { return s.trade }

// Fault returns what [Switch.Feel] found last.
func (s *Switch) Fault() Fault { return s.fault }

// MustOpen says that the contactor has to be opened now.
func (s *Switch) MustOpen(d Demand) bool {
	return !s.sure || s.trade != "" && !d.allows(s.trade)
}

// MayClose says that the contactor may be closed for the trade now.
func (s *Switch) MayClose(d Demand, trade string) bool {
	return s.sure && s.trade == "" && s.healthy() && d.allows(trade)
}

func (s *Switch) healthy() bool { return s.fault == None || s.fault == Unwatched }

// Told notes a command that was given, "" for opening, and whether it worked. A
// closing that failed may have closed all the same: it is opened again.
func (s *Switch) Told(trade string, worked bool) {
	s.sure = worked
	if !worked {
		trade = ""
	}
	s.trade = trade
	// The contact takes its time: the feedback is asked again.
	if s.wrong != Unable {
		s.wrong = None
	}
}

// Feel takes one reading of the feedback and returns the fault that stands. A
// fault goes when the feedback agrees again.
func (s *Switch) Feel(sensingMs int64, f Feeling) Fault {
	wrong := None
	switch {
	case !s.sure, f.Watched && !f.Known:
		wrong = Unable
	case f.Watched && f.Closed && s.trade == "":
		wrong = Welded
	case f.Watched && !f.Closed && s.trade != "":
		wrong = Stuck
	}
	if wrong != s.wrong {
		s.wrong, s.sinceMs = wrong, sensingMs
	}
	switch {
	case wrong != None && sensingMs-s.sinceMs >= FaultAfterMs:
		s.fault = wrong
	case wrong == None && f.Watched:
		s.fault = None
	case wrong == None:
		s.fault = Unwatched
	}
	return s.fault
}
