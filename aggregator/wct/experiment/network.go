package experiment

import (
	"container/heap"
	"math"
	"slices"

	"fairwatt/aggregator/wct"
)

// A Metric is one measure of a way to spread a block.
type Metric int

// The metrics; times in milliseconds.
const (
	Trust            Metric = iota // mean trust over the forwarding tasks
	Coverage                       // expected share of nodes reached if no node sends twice
	ExactMs                        // from the first send until the last node has the block
	LevelMs                        // the same if each level waits for the level above
	BusyMs                         // the same if any free link takes the next node
	ConcurrencyLevel               // nodes of the widest level
	ConcurrencyExact               // most transfers under way at once
	EdgesOver                      // edges over the overhead threshold
	Depth
	numMetrics
)

var metricNames = [numMetrics]string{"trust", "coverage", "time_exact_ms", "time_level_ms", "time_busy_ms",
	"concurrency_level", "concurrency_exact", "edges_over_w_thre", "depth"}

func (m Metric) String() string { return metricNames[m] }

// Values are the metrics of one run; NaN where a metric has no meaning.
type Values [numMetrics]float64

func noValues() (v Values) {
	for k := range v {
		v[k] = math.NaN()
	}
	return v
}

// valuesOf are the metrics of a tree.
func valuesOf(in *wct.Input, t *wct.Tree) Values {
	m := wct.Measure(in, t)
	v := noValues()
	if m.Trust != nil {
		v[Trust], v[Coverage] = *m.Trust, *m.Coverage
	}
	v[ExactMs], v[LevelMs] = float64(m.TimeExactUs)/1000, float64(m.TimeLevelUs)/1000
	if m.TimeBusyUs != nil && t.Algorithm != wct.OCT { // not built from a sequence
		v[BusyMs] = float64(*m.TimeBusyUs) / 1000
	}
	v[ConcurrencyLevel], v[ConcurrencyExact] = float64(m.ConcurrencyLevel), float64(m.ConcurrencyExact)
	v[EdgesOver], v[Depth] = float64(m.EdgesOverThreshold), float64(m.Depth)
	return v
}

// star lets the root send to all nodes at once, whatever its links.
func star(in *wct.Input, root int) Values {
	links := slices.Clone(in.Links)
	links[root] = in.N
	sequence := []int{root}
	for i := range in.N {
		if i != root {
			sequence = append(sequence, i)
		}
	}
	return valuesOf(in, wct.NewTree("star", sequence, links))
}

// randomTree attaches the nodes breadth first in a random order.
func randomTree(in *wct.Input, seed uint64) Values {
	rng := splitMix(seed ^ 0x72616e646f6d) // its own stream
	sequence := make([]int, in.N)
	for i := range sequence {
		sequence[i] = i
	}
	rng.shuffle(sequence)
	v := valuesOf(in, wct.NewTree("random", sequence, in.Links))
	return v
}

// A send is a block on its way.
type send struct {
	us       int64 // arrival
	from, to int
}

type sends []send

func (s sends) Len() int { return len(s) }
func (s sends) Less(a, b int) bool {
	if s[a].us != s[b].us {
		return s[a].us < s[b].us
	}
	if s[a].from != s[b].from {
		return s[a].from < s[b].from
	}
	return s[a].to < s[b].to
}
func (s sends) Swap(a, b int) { s[a], s[b] = s[b], s[a] }
func (s *sends) Push(x any)   { *s = append(*s, x.(send)) }
func (s *sends) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// gossip lets every node that has the block send it to random nodes, over all
// its links, one after the other on each, until all have it. Trust and coverage
// are those of the tree of first arrivals.
func gossip(in *wct.Input, root int, seed uint64) Values {
	v := noValues()
	if in.N < 2 {
		return v
	}
	rng := splitMix(seed ^ 0x676f73736970)
	var way sends
	reach := make([]float64, in.N) // 0: has no block yet
	reach[root] = 1
	start := func(from int, us int64) {
		to := rng.below(in.N - 1)
		if to >= from {
			to++
		}
		heap.Push(&way, send{us + in.OverheadUs[from][to], from, to})
	}
	for range in.Links[root] {
		start(root, 0)
	}
	var trust, covered, end float64
	most := len(way)
	for left := in.N - 1; left > 0 && len(way) > 0; {
		s := heap.Pop(&way).(send)
		if reach[s.to] == 0 {
			left--
			t := float64(in.TrustE4[s.from]) / wct.FullTrustE4
			reach[s.to] = max(reach[s.from]*t, math.SmallestNonzeroFloat64)
			trust += t
			covered += reach[s.to]
			end = float64(s.us) / 1000
			for range in.Links[s.to] {
				start(s.to, s.us)
			}
		}
		start(s.from, s.us)
		most = max(most, len(way))
	}
	n1 := float64(in.N - 1)
	v[Trust], v[Coverage], v[ExactMs], v[ConcurrencyExact] = trust/n1, covered/n1, end, float64(most)
	return v
}

// lowerBound is a time that no tree over these overheads can beat: the cheapest
// ways to all nodes from the best root, with no limit on links.
func lowerBound(in *wct.Input) Values {
	best := int64(math.MaxInt64)
	type distance struct {
		us   int64
		node int
	}
	left := make([]distance, in.N)
	for root := range in.N {
		left = left[:0]
		for i, us := range in.OverheadUs[root] {
			if i != root {
				left = append(left, distance{us, i})
			}
		}
		// Dijkstra: the nearest node left is final. A root is out as soon as it
		// is no better than the best.
		var last int64
		for len(left) > 0 && last < best {
			nearest := 0
			for k := range left {
				if left[k].us < left[nearest].us {
					nearest = k
				}
			}
			at := left[nearest]
			last = at.us
			left[nearest] = left[len(left)-1]
			left = left[:len(left)-1]
			row := in.OverheadUs[at.node]
			for k := range left {
				left[k].us = min(left[k].us, last+row[left[k].node])
			}
		}
		if len(left) == 0 {
			best = min(best, last)
		}
	}
	v := noValues()
	v[ExactMs] = float64(best) / 1000
	return v
}
