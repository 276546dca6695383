package model

import (
	"strconv"
	"time"
)

// An EventType says which fields of an Event are filled.
type EventType uint8

// The types of events.
const (
	EventGate  EventType = iota // State, Reason, Causes, ClearInMs
	EventAlert                  // Action, Kind, Level, ID, Rev, Causes
	EventScore                  // Scores
	// What a person said: Word, and of an acknowledgement Kind, Level, Causes, ID, Rev.
	EventAck
	EventBlock
	EventUnblock
	EventRefused // a word without effect: Word, Code, Reason
)

var eventTypeNames = [...]string{"gate", "alert", "score", "ack", "block", "unblock", "refused"}

// String returns the type's name in event lines.
func (t EventType) String() string { return eventTypeNames[t] }

// An Action is what an alert event does to the alert of its ID.
type Action uint8

// The actions. A consumer that knows ID and Rev may drop repeats.
const (
	ActionRaise Action = iota
	ActionUpdate
	ActionClear
	ActionAck // a person acknowledged a rule of it; it stands until its clear
)

var actionNames = [...]string{"raise", "update", "clear", "ack"}

// String returns the action's name in event lines.
func (a Action) String() string { return actionNames[a] }

// An Event is one change of the judgement. Gate events come when the state or
// the set of causes changes, alert events when a hazard kind's level or rules
// change, score events when the network has scored a window.
type Event struct {
	TimeMs int64 // sensing clock: Unix ms in a replay
	Type   EventType

	State     State
	Reason    string  // one sentence for people; never empty in a gate event
	Causes    []Cause // gate: what blocks or holds; alert: why it is up, or what went
	ClearInMs int64   // earliest opening from TimeMs; -1 while a cause is active, 0 when open

	Action Action
	Kind   Kind
	Level  Level  // the alert's level now; in a clear, the level it had
	ID     string // kind and counter: the same in raise, updates and clear
	Rev    int    // 1 at raise, rising by one

	Scores Scores

	Word Word   // what a person said; its Rule is that of the block, too
	Code string // why it has no effect, for programs
}

// AppendJSON appends the event as one JSON object without a newline. It uses
// no reflection; the same event gives the same bytes on every architecture.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"t":"`...)
	b = time.UnixMilli(e.TimeMs).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","type":"`...)
	b = append(b, e.Type.String()...)
	b = append(b, '"')
	switch e.Type {
	case EventGate:
		b = append(b, `,"state":"`...)
		b = append(b, e.State.String()...)
		b = append(b, `","reason":`...)
		b = appendString(b, e.Reason)
		if e.ClearInMs >= 0 {
			b = append(b, `,"clear_in_s":`...)
			b = appendNumber(b, float64(e.ClearInMs)/1000)
		}
		b = appendCauses(b, e.Causes)
	case EventAlert:
		b = append(b, `,"action":"`...)
		b = append(b, e.Action.String()...)
		b = append(b, `","kind":"`...)
		b = append(b, e.Kind.String()...)
		b = append(b, `","level":"`...)
		b = append(b, e.Level.String()...)
		b = append(b, `","id":`...)
		b = appendString(b, e.ID)
		b = append(b, `,"rev":`...)
		b = strconv.AppendInt(b, int64(e.Rev), 10)
		b = appendCauses(b, e.Causes)
	case EventScore:
		b = append(b, `,"p":`...)
		b = e.Scores.appendJSON(b)
	case EventAck, EventBlock, EventUnblock, EventRefused:
		b = e.appendWord(b)
	}
	return append(b, '}')
}

// appendWord writes what a person said and what came of it.
func (e *Event) appendWord(b []byte) []byte {
	text := func(name, v string) {
		if v != "" {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b = appendString(b, v)
		}
	}
	if e.Type == EventRefused {
		text("word", e.Word.Kind.String())
	}
	text("rule", e.Word.Rule)
	if e.Type != EventRefused {
		text("kind", e.Kind.String())
	}
	text("by", e.Word.By)
	text("why", e.Word.Why)
	b = e.Word.appendUntil(b)
	text("id", e.ID)
	if e.Rev > 0 {
		b = append(b, `,"rev":`...)
		b = strconv.AppendInt(b, int64(e.Rev), 10)
	}
	text("code", e.Code)
	text("reason", e.Reason)
	if e.Type == EventAck {
		b = appendCauses(b, e.Causes)
	}
	return b
}

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func appendCauses(b []byte, causes []Cause) []byte {
	b = append(b, `,"causes":[`...)
	for i := range causes {
		if i > 0 {
			b = append(b, ',')
		}
		b = causes[i].AppendJSON(b)
	}
	return append(b, ']')
}

// A Summary accumulates what a replay reports at its end. The zero value is
// ready.
type Summary struct {
	Samples int
	Alerts  [NumKinds]int // raised, by kind
	Events  int
	// LeftOut is what of the recording was not judged or not read.
	LeftOut []LeftOut
	// Cost is what each rule has cost, EnergyFrom what the energy was reckoned from,
	// as Judge.Tolls gives them; Price is money for a kWh, 0 for none.
	Cost       []Toll
	EnergyFrom string
	Price      float64

	firstMs, lastMs int64
	blockedMs       int64
	state           State
	stateMs         int64
}

// A LeftOut is a kind of thing that was not judged or read, how many there are, and
// the names of some.
type LeftOut struct {
	What  string // as "analog channels not judged"
	Count int
	Names string // some of them; may be empty
}

// Sample counts one judged sample at tMs.
func (s *Summary) Sample(tMs int64) {
	if s.Samples == 0 {
		s.firstMs, s.stateMs = tMs, tMs
	}
	s.Samples++
	s.lastMs = max(s.lastMs, tMs)
}

// Event counts one event.
func (s *Summary) Event(e *Event) {
	s.Events++
	switch e.Type {
	case EventGate:
		if s.state != StateOpen {
			s.blockedMs += e.TimeMs - s.stateMs
		}
		s.state, s.stateMs = e.State, e.TimeMs
	case EventAlert:
		if e.Action == ActionRaise {
			s.Alerts[e.Kind]++
		}
	}
}

// SpanS returns the seconds from the first sample to the last.
func (s *Summary) SpanS() float64 { return float64(s.lastMs-s.firstMs) / 1000 }

// BlockedS returns the seconds of the span in which the gate was not open.
func (s *Summary) BlockedS() float64 {
	ms := s.blockedMs
	if s.state != StateOpen && s.lastMs > s.stateMs {
		ms += s.lastMs - s.stateMs
	}
	return float64(ms) / 1000
}

// AppendJSON appends the summary line of a replay, without a newline.
func (s *Summary) AppendJSON(b []byte) []byte {
	b = append(b, `{"type":"summary","samples":`...)
	b = strconv.AppendInt(b, int64(s.Samples), 10)
	b = append(b, `,"span_s":`...)
	b = appendNumber(b, s.SpanS())
	b = append(b, `,"blocked_s":`...)
	b = appendNumber(b, s.BlockedS())
	b = append(b, `,"alerts":{`...)
	for k := range NumKinds {
		if k > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k.String())
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(s.Alerts[k]), 10)
	}
	b = append(b, `},"events":`...)
	b = strconv.AppendInt(b, int64(s.Events), 10)
	for i, l := range s.LeftOut {
		if i == 0 {
			b = append(b, `,"left_out":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"what":`...)
		b = appendString(b, l.What)
		b = append(b, `,"count":`...)
		b = strconv.AppendInt(b, int64(l.Count), 10)
		if l.Names != "" {
			b = append(b, `,"names":`...)
			b = appendString(b, l.Names)
		}
		b = append(b, '}')
	}
	if len(s.LeftOut) > 0 {
		b = append(b, ']')
	}
	b = appendTolls(b, s.Cost, s.EnergyFrom, s.Price)
	return append(b, '}')
}
