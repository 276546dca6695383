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
	site Site
	gone []string // cancelled or replaced, oldest first: a late copy stays gone
	dark []string // keys of messages that could not be read and warn, oldest first
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
	return &Desk{site: site}, nil
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
	known := slices.Contains(d.gone, own)
	note = "cancelled what it names"
	if a.MsgType != "Cancel" {
		var w model.Warning
		w, note = d.warning(a, now, sensingMs)
		switch {
		case known:
			note = "passed over: it was cancelled or replaced before"
		case w.Level != model.LevelNone:
			w.ID = own
			orders = append(orders, Order{Warning: w})
		}
	}
	for _, r := range a.References {
		// Only who warned may end the warning.
		if k := key(r.Sender, r.Identifier); r.Sender == a.Sender && k != own && !slices.Contains(d.gone, k) {
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
}

// warning returns the strongest of what the message's infos say for the site.
func (d *Desk) warning(a *Alert, now time.Time, sensingMs int64) (best model.Warning, note string) {
	note = "passed over: no info"
	for i := range a.Infos {
		in := &a.Infos[i]
		expires := in.Expires
		if expires.IsZero() {
			expires = a.Sent.Add(d.site.DefaultValidity)
		}
		left := min(expires.Sub(now), d.site.MaxValidity)
		level, why := d.level(in)
		switch {
		case level == model.LevelNone:
			if best.Level == model.LevelNone {
				note = "passed over: " + why
			}
			continue
		case left <= 0:
			if best.Level == model.LevelNone {
				note = "passed over: it expired at " + formatTime(expires)
			}
			continue
		}
		w := model.Warning{
			Sender: a.Sender, Event: in.Event, Severity: in.Severity, Urgency: in.Urgency, Level: level,
			UntilMs: sensingMs + (left + time.Millisecond - 1).Milliseconds(),
		}
		if w.Level > best.Level || w.Level == best.Level && w.UntilMs > best.UntilMs {
			best, note = w, why
		}
	}
	return best, note
}

// level says what an info does to this site: severity Severe or Extreme and
// urgency Immediate or Expected block where the area holds the site; the rest
// warns.
func (d *Desk) level(in *Info) (model.Level, string) {
	if slices.Contains(in.ResponseTypes, "AllClear") || in.Urgency == "Past" {
		return model.LevelNone, "it is over"
	}
	here := d.match(in)
	if here == matchNo {
		return model.LevelNone, "its area does not hold the site"
	}
	grave := (in.Severity == "Severe" || in.Severity == "Extreme") && (in.Urgency == "Immediate" || in.Urgency == "Expected")
	switch {
	case grave && here == matchYes:
		return model.LevelBlock, "blocks"
	case grave:
		return model.LevelWarn, "warns: whether its area holds the site is not known"
	}
	return model.LevelWarn, "warns: " + in.Severity + ", " + in.Urgency
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
