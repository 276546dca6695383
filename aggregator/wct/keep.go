package wct

import "fmt"

// A Hysteresis says how much better a rebuilt tree must be to replace the tree in
// use. Measured overheads and trust move a little all the time, and every edge
// that moves costs a new connection. With the zero value any gain is enough.
type Hysteresis struct {
	TimePercent   int64 // gain in exact time, for the overhead-aware tree
	TrustPercent  int64 // the WCT's lead in trust sum or coverage
	TrustMarginE4 int64 // how far a forwarder's trust may lie below the threshold
}

// DefaultHysteresis asks for 10 % of time or 1 % of trust, and tolerates a
// forwarder whose trust is up to 0.02 below the threshold.
func DefaultHysteresis() Hysteresis {
	return Hysteresis{TimePercent: 10, TrustPercent: 1, TrustMarginE4: 200}
}

// A Reason says why Update kept or replaced a tree.
type Reason string

// The reasons.
const (
	ReasonKept      Reason = "kept"      // nothing gained enough
	ReasonLinks     Reason = "links"     // a node has more children than links now
	ReasonSpan      Reason = "span"      // the new tree reaches more nodes than the old one
	ReasonUntrusted Reason = "untrusted" // a forwarder fell below the threshold by more than the margin
	ReasonTime      Reason = "time"      // the new tree is faster by more than the hysteresis
	ReasonTrust     Reason = "trust"     // the WCT has more trust or coverage by more than the hysteresis
)

// Update returns the tree to use after trust, links or overheads of t's nodes
// have changed to those of the input: t itself, or the tree that Build gives now;
// and why. A kept tree may be worse than the WCT of the changed input, by no more
// than the hysteresis.
func Update(in *Input, t *Tree, h Hysteresis) (*Tree, Reason, error) {
	rebuilt, err := Build(in, t.Algorithm)
	if err != nil {
		return nil, "", err
	}
	wct, err := Build(in, WCT)
	if err != nil {
		return nil, "", err
	}
	if len(t.parent) != in.N {
		return nil, "", fmt.Errorf("tree of %d nodes for n = %d", len(t.parent), in.N)
	}
	if r := h.judge(in, t, rebuilt, wct); r != ReasonKept {
		return rebuilt, r, nil
	}
	return t, ReasonKept, nil
}

// judge compares the tree in use with the trees that Build gives now.
func (h Hysteresis) judge(in *Input, t, rebuilt, wct *Tree) Reason {
	untrusted := func(t *Tree, margin int64) (forwarders int) {
		for i := range in.N {
			if t.last[i] > t.first[i] && in.TrustE4[i] < in.TrustThresholdE4-margin {
				forwarders++
			}
		}
		return forwarders
	}
	for i := range in.N {
		if int(t.last[i]-t.first[i]) > in.Links[i] {
			return ReasonLinks
		}
	}
	if len(rebuilt.Unattached) < len(t.Unattached) {
		return ReasonSpan
	}
	// If trusted links do not suffice, a rebuilt tree has untrusted forwarders
	// too: then they are no reason.
	if untrusted(t, h.TrustMarginE4) > untrusted(rebuilt, 0) {
		return ReasonUntrusted
	}
	w := in.overheads()
	old, fresh, base := newShape(in, w), newShape(in, w), newShape(in, w)
	old.set(int32(t.Root), t.parent)
	fresh.set(int32(rebuilt.Root), rebuilt.parent)
	base.set(int32(wct.Root), wct.parent)
	// The WCT's trust is the least we want. What our tree has beyond that comes
	// and goes by chance.
	if old.sum+old.sum*h.TrustPercent/100 < base.sum ||
		old.reach[t.Root]+old.reach[t.Root]/100*uint64(h.TrustPercent) < base.reach[wct.Root] {
		return ReasonTrust
	}
	// The other algorithms do not build for time: their times are chance, too.
	is, was := fresh.below[rebuilt.Root], old.below[t.Root]
	if t.Algorithm == OCT && is+is*h.TimePercent/100 < was {
		return ReasonTime
	}
	return ReasonKept
}
