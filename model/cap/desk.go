package cap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// A Site says for which alerts a desk is open.
type Site struct {
	Position *Point   // nil: unknown
	Places   []string // own names: areaDesc texts and geocode values, case ignored
	Statuses []string // accepted; empty: Actual only
	// DefaultValidity is how long a message without expiry lasts from when it
	// was sent; 0: 24 h. MaxValidity bounds every message from when it comes in;
	// 0: 7 days.
	DefaultValidity time.Duration
	MaxValidity     time.Duration
}

// An Order is what one message asks of the judge: to withdraw a warning, or,
// where Withdraw is empty, to take one.
type Order struct {
	Withdraw string
	Warning  model.Warning
}

// A Desk turns messages into orders for one site. It is a state machine with
// one owner and no clock.
type Desk struct {
	// Unsure says that the wall clock cannot be trusted now. A message then stands
	// for its own length from when it is handed in, and a grave one blocks at once:
	// neither its onset nor its end can be told.
	Unsure bool

	site  Site
	gone  []string             // cancelled or replaced, oldest first: a late copy stays gone
	dark  []string             // keys of messages that could not be read and warn, oldest first
	known map[string]*standing // by key, what was read and may be in force
	rev   int                  // rises with each change
}

// maxGone bounds what a desk remembers of cancelled messages.
const maxGone = 1024

// NewDesk checks the site and returns a desk.
func NewDesk(site Site) (*Desk, error) {
	if site.Position != nil {
		if err := site.Position.validate(); err != nil {
			return nil, fmt.Errorf("position: %w", err)
		}
	}
	for _, s := range site.Statuses {
		if err := oneOf("statuses", s, statuses); err != nil {
			return nil, err
		}
	}
	if site.DefaultValidity < 0 || site.MaxValidity < 0 {
		return nil, fmt.Errorf("validity: a negative time")
	}
	if len(site.Statuses) == 0 {
		site.Statuses = []string{"Actual"}
	}
	if site.DefaultValidity == 0 {
		site.DefaultValidity = 24 * time.Hour
	}
	if site.MaxValidity == 0 {
		site.MaxValidity = 7 * 24 * time.Hour
	}
	return &Desk{site: site, known: make(map[string]*standing)}, nil
}

// key names a message for the judge in at most 128 bytes.
func key(sender, identifier string) string {
	k := sender + "," + identifier
	if len(k) <= 128 {
		return k
	}
	sum := sha256.Sum256([]byte(k))
	return hex.EncodeToString(sum[:])
}

// Handle returns what a message asks at the wall time now, which is sensingMs
// on the judge's clock, and in words what became of it. The orders stand in
// the order in which the judge must get them: a replacement comes before the
// withdrawal of what it replaces, so that no gap opens between them.
func (d *Desk) Handle(a *Alert, now time.Time, sensingMs int64) (orders []Order, note string) {
	if note := d.idle(a.Status, a.MsgType); note != "" {
		return nil, note
	}
	own := key(a.Sender, a.Identifier)
	replaces := a.MsgType == "Cancel" || a.MsgType == "Update"
	note = "cancelled what it names"
	if a.MsgType != "Cancel" {
		w, why, void := d.standing(a, now)
		note = why
		switch {
		case slices.Contains(d.gone, own):
			note = "passed over: it was cancelled or replaced before"
		case w != nil:
			w.w.ID = own
			d.remember(own, w)
			if d.time(w, now, sensingMs) {
				orders = append(orders, Order{Warning: w.w})
				break
			}
			note, void = "passed over: it expired at "+formatTime(w.expires), true
			fallthrough
		default:
			if void { // by this clock, which may be wrong, nothing stands in for what it replaces
				replaces = false
			}
		}
	}
	for _, r := range a.References {
		// Only who warned may end the warning.
		if k := key(r.Sender, r.Identifier); replaces && r.Sender == a.Sender && k != own && !slices.Contains(d.gone, k) {
			orders = append(orders, Order{Withdraw: k})
			d.forget(k)
		}
	}
	return orders, note
}

// idle says why a message of that status and type asks nothing; empty: it may.
func (d *Desk) idle(status, msgType string) string {
	switch {
	case !slices.Contains(d.site.Statuses, status):
		return "passed over: status " + status
	case msgType == "Ack" || msgType == "Error":
		return "passed over: message type " + msgType
	}
	return ""
}

func (d *Desk) forget(k string) {
	if len(d.gone) == maxGone {
		d.gone = slices.Delete(d.gone, 0, 1)
	}
	d.gone = append(d.gone, k)
	delete(d.known, k)
	d.rev++
}

// standing returns what the message's infos say for the site together: the
// strongest level, from the earliest moment on, to the latest. Without one it is
// nil, and void says that the message does not speak of the site at all, rather
// than say that it is over or elsewhere.
func (d *Desk) standing(a *Alert, now time.Time) (best *standing, note string, void bool) {
	note, void = "passed over: no info", true
	for i := range a.Infos {
		in := &a.Infos[i]
		level, from, why := d.level(in)
		if level == model.LevelNone {
			if best == nil {
				note, void = "passed over: "+why, false
			}
			continue
		}
		expires := in.Expires
		if expires.IsZero() {
			expires = a.Sent.Add(d.site.DefaultValidity)
		}
		w := &standing{
			w:    model.Warning{Sender: a.Sender, Event: in.Event, Severity: in.Severity, Urgency: in.Urgency, Level: level},
			sent: a.Sent, from: from, expires: expires,
		}
		switch {
		case best == nil || w.w.Level > best.w.Level || w.w.Level == best.w.Level && w.expires.After(best.expires):
			if best != nil && best.w.Level == w.w.Level && best.expires.After(now) {
				w.from = earlier(w.from, best.from)
			}
			best, note = w, why
		case w.w.Level == best.w.Level && w.expires.After(now):
			best.from = earlier(w.from, best.from)
		}
	}
	return best, note, void
}

// lead is how long before its onset a grave message blocks: no front keeps to a
// timetable.
const lead = 30 * time.Minute

// level says what an info does to this site, and from when on it blocks; the zero
// time is at once. Severity Severe or Extreme blocks where the area holds the site:
// at once with urgency Immediate, and with Expected from half an hour before its
// onset if it names one. What is Unlikely, or of another urgency but for Past,
// blocks only where it names its onset, from then on. The rest warns.
func (d *Desk) level(in *Info) (level model.Level, from time.Time, why string) {
	if slices.Contains(in.ResponseTypes, "AllClear") || in.Urgency == "Past" {
		return model.LevelNone, from, "it is over"
	}
	here := d.match(in)
	if here == matchNo {
		return model.LevelNone, from, "its area does not hold the site"
	}
	if !in.Onset.IsZero() {
		from = in.Onset.Add(-lead)
	}
	soon := (in.Urgency == "Immediate" || in.Urgency == "Expected") && in.Certainty != "Unlikely"
	switch {
	case in.Severity != "Severe" && in.Severity != "Extreme", !soon && in.Onset.IsZero():
		return model.LevelWarn, time.Time{}, "warns: " + in.Severity + ", " + in.Urgency + ", " + in.Certainty
	case here != matchYes:
		return model.LevelWarn, time.Time{}, "warns: whether its area holds the site is not known"
	case soon && (in.Urgency == "Immediate" || in.Onset.IsZero()):
		return model.LevelBlock, time.Time{}, "blocks"
	}
	return model.LevelBlock, from, "blocks from " + formatTime(from) + " on"
}

type match uint8

const (
	matchNo match = iota
	matchUnknown
	matchYes
)

// match compares the areas with the site. Geometry decides where both sides
// have it, else names do, else it is not known.
func (d *Desk) match(in *Info) match {
	if len(in.Areas) == 0 {
		return matchUnknown
	}
	best := matchNo
	for i := range in.Areas {
		best = max(best, d.matchArea(&in.Areas[i]))
	}
	return best
}

func (d *Desk) matchArea(a *Area) match {
	own := func(s string) bool {
		return slices.ContainsFunc(d.site.Places, func(p string) bool { return strings.EqualFold(p, s) })
	}
	if own(a.Desc) || slices.ContainsFunc(a.Geocodes, func(g Pair) bool { return own(g.Value) }) {
		return matchYes
	}
	geometry := len(a.Polygons)+len(a.Circles) > 0
	switch {
	case geometry && d.site.Position != nil:
		at := *d.site.Position
		if slices.ContainsFunc(a.Polygons, func(p Polygon) bool { return p.Contains(at) }) ||
			slices.ContainsFunc(a.Circles, func(c Circle) bool { return c.Contains(at) }) {
			return matchYes
		}
		return matchNo
	case !geometry && len(d.site.Places) > 0:
		return matchNo
	}
	return matchUnknown
}
