package wct

import "fmt"

// A Hysteresis says how much better a rebuilt tree must be before the one in
// use is given up for it. Measured overheads and trust move a little all the
// time, and every edge that moves is a connection to be made. The zero value
// gives a tree up for any gain.
type Hysteresis struct {
	TimePercent   int64 // less exact time, for the overhead-aware tree
	TrustPercent  int64 // more trust sum or coverage that the WCT has
	TrustMarginE4 int64 // trust that a forwarder may lack to the threshold
}

// DefaultHysteresis asks for 10 % of time or 1 % of trust, and bears with a
// forwarder that is up to 0.02 below the threshold.
func DefaultHysteresis() Hysteresis {
	return Hysteresis{TimePercent: 10, TrustPercent: 1, TrustMarginE4: 200}
}

// A Reason says why Update kept a tree or not.
type Reason string

// The reasons.
const (
	ReasonKept      Reason = "kept"      // nothing gained enough
	ReasonLinks     Reason = "links"     // a node has more children than links now
	ReasonSpan      Reason = "span"      // the new tree reaches nodes that the old one does not
	ReasonUntrusted Reason = "untrusted" // a forwarder fell below the threshold and the margin
	ReasonTime      Reason = "time"      // the new tree is so much faster
	ReasonTrust     Reason = "trust"     // the WCT is so much more trusted than the old tree
)

// Update returns the tree to use for an input in which trust, links or
// overheads of the same nodes have changed since t was built: t itself, or the
// one that Build gives now, and why. A kept tree may be a little worse than the
// WCT of the changed input, by no more than the hysteresis.
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

// judge compares the tree in use with those that Build gives now.
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
	// Where trusted links do not suffice, a rebuilt tree has untrusted
	// forwarders too: that alone is no reason.
	if untrusted(t, h.TrustMarginE4) > untrusted(rebuilt, 0) {
		return ReasonUntrusted
	}
	w := in.overheads()
	old, fresh, base := newShape(in, w), newShape(in, w), newShape(in, w)
	old.set(int32(t.Root), t.parent)
	fresh.set(int32(rebuilt.Root), rebuilt.parent)
	base.set(int32(wct.Root), wct.parent)
	// Trust is compared with the WCT's, which is the least we want: what our
	// tree has beyond that comes and goes by chance.
	if old.sum+old.sum*h.TrustPercent/100 < base.sum ||
		old.reach[t.Root]+old.reach[t.Root]/100*uint64(h.TrustPercent) < base.reach[wct.Root] {
		return ReasonTrust
	}
	// The other trees are not built for their time: that, too, is chance.
	is, was := fresh.below[rebuilt.Root], old.below[t.Root]
	if t.Algorithm == OCT && is+is*h.TimePercent/100 < was {
		return ReasonTime
	}
	return ReasonKept
}
