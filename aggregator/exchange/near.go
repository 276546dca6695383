package exchange

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"fairwatt/model/neighbours"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A parcel is what one device is to be handed.
type parcel struct {
	to   wire.Topics
	list []nowcast.Vouched
}

// deliveries makes what is due, by device, and takes it as handed.
func (e *Exchange) deliveries() []parcel {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.Now()
	e.forget(now)
	var out []parcel
	for _, id := range slices.Sorted(maps.Keys(e.senders)) {
		to := e.senders[id]
		if !to.all && len(to.due) == 0 {
			continue
		}
		ids := maps.Keys(to.due)
		if to.all {
			ids = maps.Keys(e.senders)
		}
		to.all, to.due = false, make(map[string]bool)
		if to.newest == nil || to.newest.Counts(now.UnixMilli()) != nil {
			continue // no one knows where it is
		}
		var found []near
		for other := range ids {
			s := e.senders[other]
			if other == id || s == nil || s.newest == nil || s.newest.Counts(now.UnixMilli()) != nil {
				continue
			}
			if km := to.newest.Position.KM(s.newest.Position); km <= e.cfg.DistanceKM {
				found = append(found, near{s, km})
			}
		}
		if list := vouched(spread(found, neighbours.MaxNeighbours)); len(list) > 0 {
			out = append(out, parcel{to.newest.From, list})
		}
	}
	return out
}

// A near is a sender and its distance from the device that is to be handed its
// nowcast.
type near struct {
	*sender
	km float64
}

// spread keeps at most so many: of each place the first by name, the nearest place
// first, then of each place the second, and so on.
func spread(all []near, most int) []near {
	slices.SortFunc(all, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.km, b.km), cmp.Compare(a.newest.Sender, b.newest.Sender))
	})
	if len(all) <= most {
		return all
	}
	turns := make(map[neighbours.Position]int)
	turn := make(map[string]int, len(all))
	for _, n := range all {
		turn[n.newest.Sender] = turns[n.newest.Position]
		turns[n.newest.Position]++
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(turn[a.newest.Sender], turn[b.newest.Sender]) })
	return all[:most]
}

func vouched(list []near) []nowcast.Vouched {
	out := make([]nowcast.Vouched, len(list))
	for i, n := range list {
		out[i] = nowcast.Vouched{Key: seal.FormatKey(n.key), Sealed: n.newest.Sealed}
	}
	return out
}

// Stats count what came in since the start.
type Stats struct {
	Taken      uint64            // nowcasts that held and were new
	Duplicates uint64            // the very same again
	Refused    map[string]uint64 // by code of package nowcast
	Dropped    uint64            // not looked at: the queue was full
	Deliveries uint64            // messages to devices
	Handed     uint64            // nowcasts in them
	Senders    int               // whose newest nowcast counts now
	Last       Refused           // the newest refusal
}

// A Refused is one refusal.
type Refused struct {
	Code, Text string
	At         time.Time
}

// Stats returns a copy of the counters.
func (e *Exchange) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Refused = maps.Clone(e.stats.Refused)
	now := e.cfg.Now().UnixMilli()
	for _, one := range e.senders {
		if one.newest != nil && one.newest.Counts(now) == nil {
			s.Senders++
		}
	}
	return s
}

// Newest returns the nowcasts that count now, by sender.
func (e *Exchange) Newest() []*nowcast.Signed {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.Now().UnixMilli()
	var out []*nowcast.Signed
	for _, id := range slices.Sorted(maps.Keys(e.senders)) {
		if n := e.senders[id].newest; n != nil && n.Counts(now) == nil {
			out = append(out, n)
		}
	}
	return out
}
