package neighbours

import (
	"fmt"
	"slices"
	"strings"
)

// The six numbers, in the order of Heard.X.
const (
	GustHighest    = iota // highest gust ratio within WindKM
	GustMean              // mean gust ratio within WindKM
	PressureLowest        // lowest 3-hour pressure change within WindKM, hPa
	GustRegion            // highest gust ratio within RegionKM
	Thunder3h             // nearness of the nearest that had thunder within 3 hours, 0 where none had
	Thunder6h             // the same within 6 hours
	NumNumbers
)

// How far neighbours reach. Nearness falls from 1 to 1/e over FadeKM.
const (
	WindKM    = 150.0
	RegionKM  = 400.0
	ThunderKM = 600.0
	FadeKM    = 200.0
)

// crowd is from how many neighbours on the second highest counts: with fewer, the
// highest is all there is.
const crowd = 5

// maxNames is how many neighbours a number names.
const maxNames = 3

// Heard is what the neighbours say together. The zero value is silence.
type Heard struct {
	X   [NumNumbers]float64 // means nothing where Has is false
	Has [NumNumbers]bool
	// By names who spoke for a number, the strongest first: at most three ids.
	By       [NumNumbers][]string
	Speakers int // neighbours whose nowcast counts
}

// A Set keeps the newest nowcast of each of at most 64 neighbours, the nearest
// ones.
type Set struct {
	sender   string
	own      Position
	withinKM float64
	kept     []kept // by sender
}

type kept struct {
	Nowcast
	km float64
}

// NewSet returns an empty set for an agent of that id and place. It takes nothing
// from further than withinKM, and never the agent's own nowcast. A withinKM that is
// not in (0, ThunderKM] means ThunderKM: no number looks further.
func NewSet(sender string, own Position, withinKM float64) *Set {
	if !(withinKM > 0 && withinKM <= ThunderKM) {
		withinKM = ThunderKM
	}
	return &Set{sender: sender, own: own, withinKM: withinKM}
}

// Put takes a nowcast whose signature the caller has checked. nowMs is the trusted
// Unix time. Where it refuses, nothing changes.
func (s *Set) Put(n Nowcast, nowMs int64) error {
	if err := n.Check(); err != nil {
		return err
	}
	if n.Sender == s.sender {
		return ErrOwn
	}
	if err := n.Counts(nowMs); err != nil {
		return err
	}
	km := s.own.KM(n.Position)
	if !(km <= s.withinKM) {
		return fmt.Errorf("%w: %.0f km: %.0f km are allowed", ErrFar, km, s.withinKM)
	}
	at, known := s.find(n.Sender)
	if known {
		if n.MadeAtMs <= s.kept[at].MadeAtMs {
			return fmt.Errorf("%w: made_at %d", ErrReplayed, n.MadeAtMs)
		}
		s.kept[at] = kept{n, km}
		return nil
	}
	s.forget(nowMs)
	if len(s.kept) == MaxNeighbours {
		far := s.furthest()
		if !(km < s.kept[far].km) {
			return ErrFull
		}
		s.kept = slices.Delete(s.kept, far, far+1)
	}
	at, _ = s.find(n.Sender)
	s.kept = append(s.kept, kept{})
	copy(s.kept[at+1:], s.kept[at:])
	s.kept[at] = kept{n, km}
	return nil
}

// Len is how many nowcasts are kept, those that ran out since the last Put among
// them.
func (s *Set) Len() int { return len(s.kept) }

// All returns what is kept, by sender.
func (s *Set) All() []Nowcast {
	out := make([]Nowcast, len(s.kept))
	for i := range s.kept {
		out[i] = s.kept[i].Nowcast
	}
	return out
}

func (s *Set) find(sender string) (int, bool) {
	return slices.BinarySearchFunc(s.kept, sender, func(k kept, id string) int { return strings.Compare(k.Sender, id) })
}

// forget drops what does not count any more. What is only early stays.
func (s *Set) forget(nowMs int64) {
	s.kept = slices.DeleteFunc(s.kept, func(k kept) bool {
		return nowMs-k.MadeAtMs > FreshMs || nowMs >= k.ValidUntilMs
	})
}

func (s *Set) furthest() int {
	far := 0
	for i := range s.kept {
		if s.kept[i].km > s.kept[far].km {
			far = i
		}
	}
	return far
}

// Heard makes the six numbers of what counts at nowMs.
func (s *Set) Heard(nowMs int64) Heard {
	var voices voices
	speakers := 0
	for i := range s.kept {
		k := &s.kept[i]
		if k.Counts(nowMs) != nil {
			continue
		}
		speakers++
		voices.say(&k.Nowcast, k.km, nowMs)
	}
	return voices.heard(speakers)
}

// Listen makes the six numbers of any nowcasts, for an agent of that id and place.
// It is what a set does that is filled with all of them in order.
func Listen(sender string, own Position, nowMs int64, all []Nowcast) Heard {
	s := NewSet(sender, own, 0)
	for _, n := range all {
		_ = s.Put(n, nowMs) // what is refused does not speak
	}
	return s.Heard(nowMs)
}
