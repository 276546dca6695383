package wct

import (
	"cmp"
	"container/heap"
	"slices"
)

// Metrics are the measures of one tree. Times are microseconds from the root's
// first send until the last attached node has the block. Verifying and voting do
// not count.
type Metrics struct {
	TimeLevelUs      int64  // each level waits for the level above: sum of the levels' largest overheads
	TimeExactUs      int64  // each node sends to its children as soon as it has the block
	TimeBusyUs       *int64 // free links take the next node of the sequence; nil if the root has no link
	ConcurrencyLevel int    // nodes in the widest level below the root
	ConcurrencyExact int    // most transfers under way at one time, in the model of TimeExactUs
	Depth            int    // edges on the longest way down

	EdgesOverThreshold int // edges whose overhead exceeds the threshold

	TrustSumE4 int64 // sum over nodes of trust times number of children

	// Trust is TrustSumE4 over the n-1 forwarding tasks, in 0..1 (formula 13).
	// Coverage is the expected share of nodes that a block reaches if no node
	// sends twice: the mean, over the nodes other than the root, of the product
	// of their ancestors' trust. An unattached node counts as not reached. Both
	// are nil for n = 1.
	Trust, Coverage *float64
}

// Measure measures a tree that Build made from the same input.
func Measure(in *Input, t *Tree) Metrics {
	w := in.overheads()
	var m Metrics
	depth, arrival := make([]int, in.N), make([]int64, in.N)
	reach := make([]float64, in.N) // chance that a node's own copy arrives
	reach[t.Root] = 1
	var widths []int
	var slowest []int64
	var covered float64
	// Edges come in order of attachment, so a parent is done before its children.
	for _, e := range t.Edges {
		p, c := e[0], e[1]
		us := w.us(p, c)
		depth[c], arrival[c] = depth[p]+1, arrival[p]+us
		if depth[c] > len(widths) {
			widths, slowest = append(widths, 0), append(slowest, 0)
		}
		widths[depth[c]-1]++
		slowest[depth[c]-1] = max(slowest[depth[c]-1], us)
		m.TimeExactUs = max(m.TimeExactUs, arrival[c])
		m.TrustSumE4 += in.TrustE4[p]
		if us > in.OverheadThresholdUs {
			m.EdgesOverThreshold++
		}
		reach[c] = reach[p] * float64(in.TrustE4[p]) / FullTrustE4
		covered += reach[c]
	}
	m.Depth = len(widths)
	for k := range widths {
		m.ConcurrencyLevel = max(m.ConcurrencyLevel, widths[k])
		m.TimeLevelUs += slowest[k]
	}
	m.ConcurrencyExact = mostAtOnce(t.Edges, arrival)
	m.TimeBusyUs = busyTime(in, t.Sequence, w)
	if in.N > 1 {
		trust := float64(m.TrustSumE4) / FullTrustE4 / float64(in.N-1)
		coverage := covered / float64(in.N-1)
		m.Trust, m.Coverage = &trust, &coverage
	}
	return m
}

// mostAtOnce counts transfers as half-open intervals: a transfer that ends when
// another begins does not overlap it.
func mostAtOnce(edges [][2]int, arrival []int64) int {
	type change struct {
		us   int64
		step int
	}
	changes := make([]change, 0, 2*len(edges))
	for _, e := range edges {
		changes = append(changes, change{arrival[e[0]], 1}, change{arrival[e[1]], -1})
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.us, b.us), cmp.Compare(a.step, b.step))
	})
	now, most := 0, 0
	for _, c := range changes {
		now += c.step
		most = max(most, now)
	}
	return most
}

// A sender stands for the links of one node that fall free at one moment.
type sender struct {
	us       int64 // the moment
	position int   // of the node in the sequence
	links    int
}

type senders []sender

func (s senders) Len() int { return len(s) }
func (s senders) Less(a, b int) bool {
	if s[a].us != s[b].us {
		return s[a].us < s[b].us
	}
	return s[a].position < s[b].position
}
func (s senders) Swap(a, b int) { s[a], s[b] = s[b], s[a] }
func (s *senders) Push(x any)   { *s = append(*s, x.(sender)) }
func (s *senders) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// busyTime is the moment at which the last node of the sequence has the block if
// each free link, the earliest first, takes the next node. It is nil if links
// run out.
func busyTime(in *Input, sequence []int, w *overheads) *int64 {
	var end int64
	free := &senders{}
	if l := in.Links[sequence[0]]; l > 0 {
		heap.Push(free, sender{0, 0, l})
	}
	for next := 1; next < len(sequence); next++ {
		if free.Len() == 0 {
			return nil
		}
		s := &(*free)[0]
		from, to := *s, sequence[next]
		if s.links--; s.links == 0 {
			heap.Pop(free)
		}
		done := from.us + w.us(sequence[from.position], to)
		end = max(end, done)
		heap.Push(free, sender{done, from.position, 1})
		if l := in.Links[to]; l > 0 {
			heap.Push(free, sender{done, next, l})
		}
	}
	return &end
}
