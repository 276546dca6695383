package wct

import "math/big"

// exactCoverageNodes is the most nodes for which two coverages are compared
// exactly if the fixed point cannot tell them apart. A larger tree is refused
// then.
const exactCoverageNodes = 4096

// A floor holds the metrics of the WCT. Our tree of the same input is never worse
// in any of them.
type floor struct {
	attached         int
	trustSum         int64
	reach            uint64 // covered nodes, in 1/one, each node rounded down
	rounded          uint64 // reach may be too low by so much
	covered          *big.Rat
	over             int
	doubtful         int32 // edges from untrusted nodes
	exactUs, levelUs int64
	concurrencyLevel int
	concurrencyExact int
}

// newFloor measures the shape of the WCT.
func newFloor(s *shape) *floor {
	f := &floor{
		attached: s.size, trustSum: s.sum, reach: s.reach[s.root], rounded: s.rounded(),
		over: s.over, doubtful: s.doubtful, exactUs: s.below[s.root],
	}
	if s.size <= exactCoverageNodes {
		f.covered = s.covered()
	}
	var p profile
	s.levels(&p)
	f.levelUs, f.concurrencyLevel, f.concurrencyExact = p.levelUs, p.width, p.atOnce(s.size)
	return f
}

// allows says whether no metric of the shape is worse than the floor's. It is
// exact: no rounding lets a worse tree through. It fills the profile only if
// nothing cheaper to check refuses the shape.
func (f *floor) allows(s *shape, p *profile) bool {
	if s.size < f.attached || s.sum < f.trustSum || s.over > f.over || s.doubtful > f.doubtful || s.below[s.root] > f.exactUs {
		return false
	}
	s.levels(p)
	return p.levelUs <= f.levelUs && p.width >= f.concurrencyLevel && p.atOnce(f.concurrencyExact) >= f.concurrencyExact && f.coveredBy(s)
}

func (f *floor) coveredBy(s *shape) bool {
	reach := s.reach[s.root]
	switch {
	case reach >= f.reach+f.rounded:
		return true
	case reach+s.rounded() < f.reach || f.covered == nil || s.size > exactCoverageNodes:
		return false
	}
	s.work += 32 * s.size
	return s.covered().Cmp(f.covered) >= 0
}

// rounded bounds how far reach is below the true value: every division that left
// a remainder took less than one unit, and the loss only shrinks on its way up
// the tree.
func (s *shape) rounded() (units uint64) {
	for _, u := range s.order() {
		var sum uint64
		for c := s.first[u]; c >= 0; c = s.next[c] {
			sum += s.one + s.reach[c]
		}
		if sum*s.trust[u]%FullTrustE4 != 0 {
			units++
		}
	}
	return units
}

// covered is the expected number of nodes that get the block, exactly.
func (s *shape) covered() *big.Rat {
	// The sum over the levels d of (sum of the products of d trusts)/1e4^d,
	// computed from the deepest level up (Horner).
	chance := make([]*big.Int, len(s.parent))
	chance[s.root] = big.NewInt(1)
	var levels []*big.Int
	depth := make([]int, len(s.parent))
	for _, p := range s.order() {
		for c := s.first[p]; c >= 0; c = s.next[c] {
			chance[c] = new(big.Int).Mul(chance[p], new(big.Int).SetUint64(s.trust[p]))
			if depth[c] = depth[p] + 1; depth[c] > len(levels) {
				levels = append(levels, new(big.Int))
			}
			levels[depth[p]].Add(levels[depth[p]], chance[c])
		}
	}
	sum, unit := new(big.Int), big.NewInt(1)
	full := big.NewInt(FullTrustE4)
	for d := range levels {
		sum.Mul(sum, full).Add(sum, levels[d])
		unit.Mul(unit, full)
	}
	return new(big.Rat).SetFrac(sum, unit)
}
