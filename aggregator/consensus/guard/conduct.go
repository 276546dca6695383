package guard

import "time"

// Bounds of what a member may do wrong before it is cut off.
const (
	borne     = 100.0 // broken rules at once
	forgivenS = 2.0   // broken rules a second
	cutOffFor = 30 * time.Second
)

// A Conduct counts the rules that each member breaks. Who breaks many in a short
// time is cut off for a while: what it sends is not looked at. Never more than
// faulty members are cut off at once: if more seem to misbehave, the fault is more
// likely here.
type Conduct struct {
	faulty  int
	newest  time.Time // a clock set back cuts no one off once more
	members map[string]*record
}

type record struct {
	broken float64 // that are not forgiven
	at     time.Time
	until  time.Time
}

// NewConduct returns one that knows nothing bad. faulty is how many members may be
// cut off at once.
func NewConduct(faulty int) *Conduct {
	return &Conduct{faulty: faulty, members: make(map[string]*record)}
}

// ofOthers are the rules that an honest member can seem to break: it passes a block
// on whose leader has signed nonsense or two blocks, or it is no member any more.
var ofOthers = map[string]bool{"equivocation": true, "block_malformed": true, "block_digest": true, "non_member": true, "unknown_sender": true}

// Broke books that a member broke a rule, and reports whether it is cut off for it
// now.
func (c *Conduct) Broke(da, rule string, now time.Time) bool {
	if ofOthers[rule] {
		return false
	}
	now = c.clock(now)
	r := c.members[da]
	if r == nil {
		r = &record{at: now}
		c.members[da] = r
	}
	r.broken = max(0, r.broken-forgivenS*max(0, now.Sub(r.at).Seconds())) + 1
	r.at = now
	if r.broken <= borne || now.Before(r.until) || c.cutOff(now) >= c.faulty {
		return false
	}
	r.until, r.broken = now.Add(cutOffFor), 0
	return true
}

func (c *Conduct) clock(now time.Time) time.Time {
	if now.After(c.newest) {
		c.newest = now
	}
	return c.newest
}

func (c *Conduct) cutOff(now time.Time) (n int) {
	for _, r := range c.members {
		if now.Before(r.until) {
			n++
		}
	}
	return n
}

// Until returns until when a member is cut off; zero when it is not.
func (c *Conduct) Until(da string, now time.Time) time.Time {
	now = c.clock(now)
	if r := c.members[da]; r != nil && now.Before(r.until) {
		return r.until
	}
	return time.Time{}
}
