package wct

import (
	"cmp"
	"fmt"
	"slices"
)

// An Algorithm names a way to build a tree.
type Algorithm string

// The algorithms.
const (
	WCT Algorithm = "wct" // the paper's weighted communication tree
	LFT Algorithm = "lft" // most links first, no thresholds
	TFT Algorithm = "tft" // most trust first, no thresholds
	OCT Algorithm = "oct" // the overhead-aware tree: faster than the WCT, never worse in any metric
)

// A Tree is a communication tree over the nodes of an Input.
type Tree struct {
	Algorithm  Algorithm
	Sequence   []int    // all nodes in the order of attachment; the first is the root
	Root       int      // the accounting node
	Edges      [][2]int // {parent, child}, in the order of attachment
	Unattached []int    // nodes for which no link was left, in sequence order; never nil

	// For WCT only: J is the number of trusted nodes (step 1), ExpensiveDemoted
	// the number of those that step 3 demoted.
	J                int
	ExpensiveDemoted int

	// By node: its parent or -1, and where its children begin and end in Edges.
	parent, first, last []int32
}

// NewTree attaches the sequence breadth first (step 4). The sequence is a
// permutation of 0..len(links)-1; it panics if an index is not in links.
func NewTree(algorithm Algorithm, sequence, links []int) *Tree {
	t := &Tree{Algorithm: algorithm, Sequence: slices.Clone(sequence)}
	if len(sequence) == 0 {
		t.Root, t.Unattached = -1, []int{}
		return t
	}
	t.Root = sequence[0]
	t.Edges, t.Unattached = Attach(sequence, links)
	t.index(len(links))
	return t
}

// index fills what Parent and Children look up, from Edges over n nodes. Edges
// holds the children of a node side by side.
func (t *Tree) index(n int) {
	t.parent = slices.Repeat([]int32{-1}, n)
	t.first, t.last = make([]int32, n), make([]int32, n)
	for k, e := range t.Edges {
		if t.last[e[0]] == 0 {
			t.first[e[0]] = int32(k)
		}
		t.last[e[0]] = int32(k) + 1
		t.parent[e[1]] = int32(e[0])
	}
}

// Attach gives each node of the sequence, root first, the next links[node]
// nodes of it as children, until all are attached or no link is left. Both
// results are never nil; edges are {parent, child} in order of attachment.
// Section 3.2, step 4.
func Attach(sequence, links []int) (edges [][2]int, unattached []int) {
	edges, unattached = make([][2]int, 0, len(sequence)), []int{}
	next := min(1, len(sequence)) // the first node without a parent
	for p := 0; p < next && next < len(sequence); p++ {
		parent := sequence[p]
		for free := links[parent]; free > 0 && next < len(sequence); free-- {
			edges = append(edges, [2]int{parent, sequence[next]})
			next++
		}
	}
	return edges, append(unattached, sequence[next:]...)
}

// Children returns the nodes to which i forwards, in order of attachment.
func (t *Tree) Children(i int) []int {
	if i < 0 || i >= len(t.parent) {
		return nil
	}
	var c []int
	for _, e := range t.Edges[t.first[i]:t.last[i]] {
		c = append(c, e[1])
	}
	return c
}

// Parent returns the node from which i receives. It is false for the root, for
// an unattached node and for a number that is no node.
func (t *Tree) Parent(i int) (int, bool) {
	if i < 0 || i >= len(t.parent) || t.parent[i] < 0 {
		return 0, false
	}
	return int(t.parent[i]), true
}

// Build validates the input and builds the tree. Errors: those of Validate, and
// the name of an unknown algorithm.
func Build(in *Input, algorithm Algorithm) (*Tree, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	sorted, order := in.sortedByID()
	t, err := buildSorted(sorted, algorithm)
	if err != nil {
		return nil, err
	}
	t.renumber(order)
	return t, nil
}

// BuildLed builds the tree of a given sequence. Its first node is the root. This
// is the tree of an agreement view: its leader is not chosen by score, and the
// caller moves failed leaders to the sequence's end (and gives them trust 0 in
// the input, so that they forward only where no other node can). WCT, LFT and
// TFT attach the sequence breadth first. OCT is never worse than that tree in
// any metric and keeps its root. Ties go to the node earlier in the sequence;
// ids do not count. Errors: those of Build, and a sequence that is no
// permutation of the nodes.
func BuildLed(in *Input, algorithm Algorithm, sequence []int) (*Tree, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	seen := make([]bool, in.N)
	for _, v := range sequence {
		if v < 0 || v >= in.N || seen[v] {
			return nil, fmt.Errorf("sequence: %d is no node of 0..%d or stands twice", v, in.N-1)
		}
		seen[v] = true
	}
	if len(sequence) != in.N {
		return nil, fmt.Errorf("sequence of %d nodes, want %d", len(sequence), in.N)
	}
	switch algorithm {
	case WCT, LFT, TFT:
		return NewTree(algorithm, sequence, in.Links), nil
	case OCT:
		led := in.picked(sequence)
		identity := make([]int, in.N)
		for i := range identity {
			identity[i] = i
		}
		b := newOCTBuilder(led, NewTree(WCT, identity, led.Links))
		b.search.rootStays = true
		t := b.build()
		t.renumber(sequence)
		return t, nil
	}
	return nil, unknownAlgorithm(algorithm)
}

func unknownAlgorithm(a Algorithm) error {
	return fmt.Errorf("unknown algorithm %q: want wct, lft, tft or oct", a)
}

// buildSorted builds the tree of a valid input whose order breaks ties.
func buildSorted(in *Input, algorithm Algorithm) (*Tree, error) {
	switch algorithm {
	case WCT:
		return buildWCT(in), nil
	case LFT:
		return NewTree(LFT, sortedBy(in.N, func(i int) int64 { return int64(in.Links[i]) }), in.Links), nil
	case TFT:
		return NewTree(TFT, sortedBy(in.N, func(i int) int64 { return in.TrustE4[i] }), in.Links), nil
	case OCT:
		return newOCTBuilder(in, buildWCT(in)).build(), nil
	}
	return nil, unknownAlgorithm(algorithm)
}

func buildWCT(in *Input) *Tree {
	sequence, j, demoted := weightedSequence(in)
	t := NewTree(WCT, sequence, in.Links)
	t.J, t.ExpensiveDemoted = j, demoted
	return t
}

// weightedSequence is steps 1 to 3 of section 3.2.
func weightedSequence(in *Input) (sequence []int, j, demoted int) {
	// Step 1: trusted nodes first. Both parts keep the given order.
	sequence = make([]int, 0, in.N)
	var untrusted []int
	for i := range in.N {
		if in.TrustE4[i] >= in.TrustThresholdE4 {
			sequence = append(sequence, i)
		} else {
			untrusted = append(untrusted, i)
		}
	}
	j = len(sequence)
	if j == 0 {
		return untrusted, 0, 0
	}
	// Step 2: by score, times 1e4 so that it is whole. Ties stay in index order.
	scored := make([]ranked, j)
	for k, i := range sequence {
		scored[k] = ranked{in.TrustWeight*in.TrustE4[i] + in.LinkWeight*int64(in.Links[i])*FullTrustE4, int32(i)}
	}
	rank(scored)
	for k, r := range scored {
		sequence[k] = int(r.node)
	}
	// Step 3: nodes expensive for the root go behind the others.
	over := in.from(sequence[0])
	kept, expensive := sequence[:1:1], []int(nil)
	for _, v := range sequence[1:] {
		if over(v) > in.OverheadThresholdUs {
			expensive = append(expensive, v)
		} else {
			kept = append(kept, v)
		}
	}
	return slices.Concat(kept, expensive, untrusted), j, len(expensive)
}

// sortedBy returns 0..n-1 with the largest key first, ties by index.
func sortedBy(n int, key func(int) int64) []int {
	all, s := make([]ranked, n), make([]int, n)
	for i := range all {
		all[i] = ranked{key(i), int32(i)}
	}
	rank(all)
	for k, r := range all {
		s[k] = int(r.node)
	}
	return s
}

// A ranked node carries its key: a sort that looks keys up elsewhere spends its
// time waiting for memory.
type ranked struct {
	key  int64
	node int32
}

// rank sorts by key, the largest first, ties by node.
func rank(r []ranked) {
	slices.SortFunc(r, func(a, b ranked) int {
		if a.key != b.key {
			return cmp.Compare(b.key, a.key)
		}
		return cmp.Compare(a.node, b.node)
	})
}
