package cap

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// maxDark bounds the warnings of messages that could not be read: they must not
// take the room of those that can.
const maxDark = 8

// Unread returns what to do about a message that Parse refused. Where it may be
// grave it warns, because a message that cannot be read is no calm: until the
// time that it names, or for the default validity. It never blocks, and its
// warning has an id of its own, so that it never takes the place of a block. Lit
// says which messages end it.
//
// Not grave is what says of itself that it is a test or a drill, an
// acknowledgement or a cancellation, or of no more than moderate severity, and
// what is no CAP message at all.
func (d *Desk) Unread(b []byte, now time.Time, sensingMs int64) (orders []Order, note string) {
	g, ok := glance(b)
	switch {
	case !ok:
		return nil, "passed over: it is no CAP message"
	case g.status != "" && slices.Contains(statuses, g.status) && !slices.Contains(d.site.Statuses, g.status):
		return nil, "passed over: status " + g.status
	case g.msgType == "Ack" || g.msgType == "Error" || g.msgType == "Cancel":
		return nil, "passed over: message type " + g.msgType
	case g.mild:
		return nil, "passed over: no severity above moderate"
	}
	left := d.site.DefaultValidity
	if !g.expires.IsZero() && !d.Unsure {
		left = min(g.expires.Sub(now), d.site.MaxValidity)
	}
	if left <= 0 {
		return nil, "passed over: it expired at " + formatTime(g.expires)
	}
	k := key(g.sender, g.identifier)
	if slices.Contains(d.gone, k) {
		return nil, "passed over: it was cancelled or replaced before"
	}
	if i := slices.Index(d.dark, k); i >= 0 {
		d.dark = slices.Delete(d.dark, i, i+1)
	} else if len(d.dark) == maxDark {
		orders = append(orders, Order{Withdraw: darkID(d.dark[0])})
		d.dark = slices.Delete(d.dark, 0, 1)
	}
	d.dark = append(d.dark, k)
	d.rev++
	event := "official warning that cannot be read"
	if g.event != "" {
		event += ": " + g.event
	}
	return append(orders, Order{Warning: model.Warning{
		ID: darkID(k), Sender: g.sender, Event: event, Severity: "Unknown", Urgency: "Unknown", Level: model.LevelWarn,
		UntilMs: sensingMs + (left + time.Millisecond - 1).Milliseconds(),
	}}), "warns: it cannot be read and may be grave"
}

// darkID is the judge's id of a message that could not be read.
func darkID(k string) string { return key("unread", k) }

// Lit returns the ids of the warnings that Unread may have made and that a message
// makes needless: of the same message unread, of those that it refers to, and of
// one that named no sender. Withdraw them after the message's own orders; a restart
// may have forgotten which of them stand.
func (d *Desk) Lit(a *Alert) (ids []string) {
	if d.idle(a.Status, a.MsgType) != "" {
		return nil
	}
	keys := []string{key(a.Sender, a.Identifier), key("", "")}
	for _, r := range a.References {
		if r.Sender == a.Sender {
			keys = append(keys, key(r.Sender, r.Identifier))
		}
	}
	for _, k := range keys {
		d.dark = slices.DeleteFunc(d.dark, func(dark string) bool { return dark == k })
		ids = append(ids, darkID(k))
	}
	return ids
}

// A glimpse is what can be seen of a message that cannot be read.
type glimpse struct {
	sender, identifier, status, msgType, event string
	mild                                       bool // every severity is known and none is grave
	expires                                    time.Time
}

var (
	alertTag = regexp.MustCompile(`(?i)<(?:[\w.-]+:)?alert[\s>/]`)
	// glanceText matches an element with text alone, with or without its end.
	glanceText = regexp.MustCompile(`(?i)<(?:[\w.-]+:)?(sender|identifier|status|msgType|event|severity|expires)\s*>([^<]{0,500})`)
)

// glance looks for the elements that say how grave a message is, in whatever
// order and however broken the rest is.
func glance(b []byte) (g glimpse, ok bool) {
	b = b[:min(len(b), MaxBytes)]
	text, err := toUTF8(b)
	if err != nil {
		text = b
	}
	if !alertTag.Match(text) {
		return g, false
	}
	severities, grave := 0, false
	for _, m := range glanceText.FindAllSubmatch(text, -1) {
		value := strings.ToValidUTF8(strings.TrimSpace(string(m[2])), "?")
		first := func(dst *string, of []string) {
			if *dst == "" {
				*dst = fold(value, of)
			}
		}
		switch strings.ToLower(string(m[1])) {
		case "sender":
			first(&g.sender, nil)
		case "identifier":
			first(&g.identifier, nil)
		case "status":
			first(&g.status, statuses)
		case "msgtype":
			first(&g.msgType, msgTypes)
		case "event":
			first(&g.event, nil)
		case "severity":
			severities++
			grave = grave || !strings.EqualFold(value, "Minor") && !strings.EqualFold(value, "Moderate")
		case "expires":
			if at, err := parseTime(value); err == nil && at.After(g.expires) {
				g.expires = at
			}
		}
	}
	g.mild = severities > 0 && !grave && strings.Contains(strings.ToLower(string(text)), "</alert")
	return g, true
}
