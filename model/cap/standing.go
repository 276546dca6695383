package cap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// A standing is a message that was read, with its times on the wall clock.
type standing struct {
	w                   model.Warning
	sent, from, expires time.Time // from is when it blocks; zero: at once
}

// maxKnown bounds what a desk remembers of messages that were read: more than a
// judge takes.
const maxKnown = 128

// earlier of two moments, where zero is before all others.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// remember keeps a message, also one that is over by this clock: a clock that was
// ahead may be set back. Where there is no room, the one that ends first goes.
func (d *Desk) remember(k string, s *standing) {
	if _, ok := d.known[k]; !ok && len(d.known) == maxKnown {
		first := ""
		for _, other := range slices.Sorted(maps.Keys(d.known)) {
			if first == "" || d.known[other].expires.Before(d.known[first].expires) {
				first = other
			}
		}
		delete(d.known, first)
	}
	d.known[k] = s
	d.rev++
}

// time puts a message's times on the judge's clock, and reports whether it is in
// force. A message lasts no longer than its own length, whatever the clock says.
func (d *Desk) time(s *standing, now time.Time, sensingMs int64) bool {
	own := s.expires.Sub(s.sent)
	left := own
	if !d.Unsure {
		left = min(s.expires.Sub(now), own)
	}
	left = min(left, d.site.MaxValidity)
	if left <= 0 {
		return false
	}
	s.w.UntilMs, s.w.BlockFromMs = sensingMs+roundedUp(left), 0
	if wait := s.from.Sub(now); !d.Unsure && wait > 0 && !s.from.IsZero() {
		s.w.BlockFromMs = sensingMs + wait.Milliseconds()
	}
	return true
}

func roundedUp(d time.Duration) int64 { return (d + time.Millisecond - 1).Milliseconds() }

// Rebase returns what the judge must be told after the wall clock became another
// one. After a start, or when the clock has become one that can be trusted, every
// message gets the times that it names. After a step of a clock that was trusted
// before, none ends earlier or blocks later than it would have: a step alone opens
// no gate. With a clock that cannot be trusted nothing changes.
func (d *Desk) Rebase(now time.Time, sensingMs int64, step bool) (orders []Order) {
	if d.Unsure {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(d.known)) {
		s := d.known[k]
		before := s.w
		live := d.time(s, now, sensingMs)
		if step && before.UntilMs > sensingMs {
			s.w.UntilMs = max(s.w.UntilMs, before.UntilMs)
			s.w.BlockFromMs = min(s.w.BlockFromMs, before.BlockFromMs)
			live = true
		}
		switch {
		case live:
			orders = append(orders, Order{Warning: s.w})
		case now.Sub(s.expires) > d.site.MaxValidity:
			delete(d.known, k) // no clock is that wrong
			orders = append(orders, Order{Withdraw: k})
		default:
			orders = append(orders, Order{Withdraw: k})
		}
	}
	d.rev++
	return orders
}

// Rev rises whenever State would give something else.
func (d *Desk) Rev() int { return d.rev }

// A deskState is what outlives a restart.
type deskState struct {
	Gone  []string                 `json:"gone,omitempty"`
	Dark  []string                 `json:"dark,omitempty"`
	Known map[string]standingState `json:"known,omitempty"`
}

type standingState struct {
	Sender   string    `json:"sender"`
	Event    string    `json:"event"`
	Severity string    `json:"severity"`
	Urgency  string    `json:"urgency"`
	Blocks   bool      `json:"blocks"`
	Sent     time.Time `json:"sent"`
	From     time.Time `json:"from"`
	Expires  time.Time `json:"expires"`
}

// State returns what RestoreState takes: which messages are gone, and the times of
// those that were read, on the wall clock.
func (d *Desk) State() ([]byte, error) {
	out := deskState{Gone: d.gone, Dark: d.dark, Known: make(map[string]standingState, len(d.known))}
	for k, s := range d.known {
		out.Known[k] = standingState{s.w.Sender, s.w.Event, s.w.Severity, s.w.Urgency, s.w.Level == model.LevelBlock, s.sent, s.from, s.expires}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write warnings: %w", err)
	}
	return b, nil
}

// RestoreState takes over a State. One that cannot be read is an error and changes
// nothing. The judge keeps what is in force itself; call Rebase when the clock can
// be trusted.
func (d *Desk) RestoreState(b []byte) error {
	var in deskState
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read warnings: %w", err)
	}
	if len(in.Gone) > maxGone || len(in.Dark) > maxDark || len(in.Known) > maxKnown {
		return fmt.Errorf("read warnings: %d gone, %d unread, %d known are more than %d, %d, %d",
			len(in.Gone), len(in.Dark), len(in.Known), maxGone, maxDark, maxKnown)
	}
	known := make(map[string]*standing, len(in.Known))
	for k, s := range in.Known {
		if k == "" || s.Event == "" || s.Expires.IsZero() || s.Sent.IsZero() {
			return fmt.Errorf("read warnings: %s has no event or no time", brief.Quote(k))
		}
		level := model.LevelWarn
		if s.Blocks {
			level = model.LevelBlock
		}
		known[k] = &standing{
			w:    model.Warning{ID: k, Sender: s.Sender, Event: s.Event, Severity: s.Severity, Urgency: s.Urgency, Level: level},
			sent: s.Sent, from: s.From, expires: s.Expires,
		}
	}
	d.gone, d.dark, d.known = in.Gone, in.Dark, known
	d.rev++
	return nil
}
