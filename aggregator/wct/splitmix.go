package wct

// splitMix is SplitMix64: the same numbers everywhere, from one word of state.
type splitMix uint64

func (s *splitMix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	return mix(uint64(*s))
}

// mix is SplitMix64's finaliser: it spreads every bit over the whole word.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws a number of 0..m-1 by multiplying; m is 1 to 2^31.
func (s *splitMix) below(m int) int { return int(s.next() >> 33 * uint64(m) >> 31) }

// surprise draws -log2 of a uniform number of (0, 1], in 1/256: exponentially
// distributed, straight lines between the powers of two.
func (s *splitMix) surprise() int64 {
	u := s.next() | 1
	whole := int64(0)
	for u < 1<<63 {
		u <<= 1
		whole++
	}
	return whole<<8 + int64(255-u<<1>>56)
}

// hash is a number that depends on everything in the input but its ids and
// weights.
func (in *Input) hash() uint64 {
	h := mix(uint64(in.N))
	add := func(v int64) { h = mix(h ^ uint64(v)) }
	for i := range in.N {
		add(in.TrustE4[i])
		add(int64(in.Links[i]))
	}
	for _, row := range in.OverheadUs {
		for _, us := range row {
			add(us)
		}
	}
	// The list's order must not count: a sum of hashes.
	var edges uint64
	for _, e := range in.SparseOverheadUs {
		edges += mix(mix(uint64(e.From)<<32|uint64(e.To)) ^ uint64(e.Us))
	}
	add(int64(edges))
	add(in.TrustThresholdE4)
	add(in.OverheadThresholdUs)
	return h
}
