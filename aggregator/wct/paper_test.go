package wct

import (
	"math"
	"slices"
	"testing"
)

// uniform is an input whose edges all cost 1 ms, with thresholds 0.8 and 8 ms
// and weights 1:1.
func uniform(trust []int64, links []int) *Input {
	in := &Input{
		N: len(trust), TrustE4: trust, Links: links, OverheadUs: make([][]int64, len(trust)),
		TrustWeight: 1, LinkWeight: 1, TrustThresholdE4: 8000, OverheadThresholdUs: 8000,
	}
	for i := range in.OverheadUs {
		in.OverheadUs[i] = slices.Repeat([]int64{1000}, in.N)
		in.OverheadUs[i][i] = 0
	}
	return in
}

func build(t *testing.T, in *Input, a Algorithm) *Tree {
	t.Helper()
	tree, err := Build(in, a)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func wantSequence(t *testing.T, tree *Tree, want ...int) {
	t.Helper()
	if !slices.Equal(tree.Sequence, want) {
		t.Errorf("sequence %v, want %v", tree.Sequence, want)
	}
}

// R41: a tree follows from the number of nodes, their trust and links, the
// overheads, two weights and two thresholds, all whole numbers; nothing else.
// Reference: section 3.2, inputs.
func TestR41InputsDecideTheTree(t *testing.T) {
	a := uniform([]int64{9000, 8500, 9500, 100}, []int{1, 2, 2, 1})
	first := build(t, a, WCT)
	for range 3 {
		if again := build(t, a, WCT); !slices.Equal(again.Edges, first.Edges) {
			t.Error("the same input gave another tree")
		}
	}
}

// R42: nodes of at least the threshold's trust come first; those below it
// follow in the order in which they were given. A trust equal to the threshold
// is enough. Reference: section 3.2, step 1.
func TestR42TrustedFirstOthersInOrder(t *testing.T) {
	tree := build(t, uniform([]int64{10, 7999, 8000, 5000}, []int{9, 9, 1, 9}), WCT)
	wantSequence(t, tree, 2, 0, 1, 3)
	if tree.J != 1 {
		t.Errorf("j = %d, want 1", tree.J)
	}
}

// R43: the trusted nodes are ordered by weighted trust plus weighted links,
// best first; of equal ones the lower index leads. The others are not ordered.
// Reference: section 3.2, step 2.
func TestR43TrustedByScore(t *testing.T) {
	tree := build(t, uniform([]int64{8500, 9000, 8500, 9900, 10, 20}, []int{1, 1, 1, 2, 1, 9}), WCT)
	wantSequence(t, tree, 3, 1, 0, 2, 4, 5)
}

// R44: trusted nodes that the best node reaches only above the overhead
// threshold go behind the other trusted ones and before the untrusted, keeping
// their order. The overhead is that of sending from the best node.
// Reference: section 3.2, step 3.
func TestR44ExpensiveBehindTrusted(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700, 9600, 9500, 10}, []int{2, 1, 1, 1, 1, 1})
	in.OverheadUs[0][1], in.OverheadUs[0][2] = 8001, 9000
	in.OverheadUs[0][4] = 8000 // equal to the threshold: kept
	in.OverheadUs[3][0] = 9000 // the way back does not count
	tree := build(t, in, WCT)
	wantSequence(t, tree, 0, 3, 4, 1, 2, 5)
	if tree.ExpensiveDemoted != 2 {
		t.Errorf("%d demoted, want 2", tree.ExpensiveDemoted)
	}
}

// R45: the root takes as many of the next nodes as it has links, then the node
// after it in the sequence does, until all are in. Reference: section 3.2, step 4.
func TestR45BreadthFirst(t *testing.T) {
	edges, unattached := Attach([]int{4, 2, 0, 1, 3}, []int{1, 1, 2, 5, 2})
	if want := [][2]int{{4, 2}, {4, 0}, {2, 1}, {2, 3}}; !slices.Equal(edges, want) || len(unattached) != 0 {
		t.Errorf("edges %v, unattached %v", edges, unattached)
	}
}

// R46: if no node is trusted, nothing is ordered or demoted: the given order
// stands and the first node is the root. Reference: section 3.2, steps 2 and 3.
func TestR46NobodyTrusted(t *testing.T) {
	tree := build(t, uniform([]int64{10, 7000, 20}, []int{1, 9, 1}), WCT)
	wantSequence(t, tree, 0, 1, 2)
	if tree.J != 0 || tree.Root != 0 {
		t.Errorf("j = %d, root %d", tree.J, tree.Root)
	}
}

// R47: if the best node is expensive to all, all are demoted alike and nothing
// changes: the root still sends over expensive edges.
// Reference: section 3.2, step 3.
func TestR47RootExpensiveToAll(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700}, []int{2, 1, 1})
	in.OverheadUs[0][1], in.OverheadUs[0][2] = 9000, 9000
	tree := build(t, in, WCT)
	wantSequence(t, tree, 0, 1, 2)
	if m := Measure(in, tree); tree.ExpensiveDemoted != 2 || m.EdgesOverThreshold != 2 {
		t.Errorf("%d demoted, %d edges over", tree.ExpensiveDemoted, m.EdgesOverThreshold)
	}
}

// R48: a node without links is a leaf. When links run out, the nodes left over
// are listed; the text would loop for ever. Reference: section 3.2, step 4.
func TestR48LinksRunOut(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700, 9600}, []int{1, 0, 3, 3})
	in.LinkWeight = 0
	tree := build(t, in, WCT)
	if !slices.Equal(tree.Unattached, []int{2, 3}) || len(tree.Edges) != 1 {
		t.Errorf("edges %v, unattached %v", tree.Edges, tree.Unattached)
	}
	in.Links[0] = 0
	tree = build(t, in, WCT)
	if m := Measure(in, tree); len(tree.Unattached) != 3 || m.TimeBusyUs != nil {
		t.Errorf("a root without links reached a node: %v", tree.Edges)
	}
}

// R49: only the root's edges are checked against the overhead threshold; any
// other may exceed it, and is counted. Reference: section 3.2, step 3.
func TestR49OtherEdgesUnchecked(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700}, []int{1, 1, 1})
	in.OverheadUs[1][2] = 9000
	tree := build(t, in, WCT)
	if m := Measure(in, tree); tree.ExpensiveDemoted != 0 || m.EdgesOverThreshold != 1 {
		t.Errorf("%d demoted, %d edges over", tree.ExpensiveDemoted, m.EdgesOverThreshold)
	}
}

// R50: untrusted nodes come last, and forward when the trusted nodes' links do
// not suffice. Reference: section 3.2, step 4.
func TestR50UntrustedForwardIfNeeded(t *testing.T) {
	tree := build(t, uniform([]int64{9900, 100, 200}, []int{1, 1, 1}), WCT)
	if want := [][2]int{{0, 1}, {1, 2}}; !slices.Equal(tree.Edges, want) {
		t.Errorf("edges %v, want %v", tree.Edges, want)
	}
}

// R51: with raw link counts, a step of one link outweighs any difference of
// trust above the threshold, so the weights 1:1 and 3:2 give the same tree.
// Reference: section 3.2, step 2; section 4, weights.
func TestR51WeightsInert(t *testing.T) {
	rng := newSplitMix(51)
	for range 200 {
		in := randomInput(rng, 50)
		a := build(t, in, WCT)
		in.TrustWeight, in.LinkWeight = 3, 2
		if b := build(t, in, WCT); !slices.Equal(a.Edges, b.Edges) {
			t.Fatal("the weights changed the tree")
		}
	}
	// They do act where trust may outweigh a link.
	in := uniform([]int64{9900, 8000}, []int{1, 2})
	in.TrustWeight = 9
	wantSequence(t, build(t, in, WCT), 0, 1)
}

// R52: the text has no rule for rebuilding: a tree is a value that later
// changes of its input do not touch. Reference: section 3.2.
func TestR52TreeIsAValue(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700}, []int{2, 1, 1})
	tree := build(t, in, WCT)
	in.TrustE4[0], in.Links[0] = 0, 0
	wantSequence(t, tree, 0, 1, 2)
	if !slices.Equal(tree.Children(0), []int{1, 2}) {
		t.Errorf("children %v", tree.Children(0))
	}
}

// R53: the baselines order all nodes by links or by trust alone, without
// thresholds, ties by index. Reference: section 4, LFT and TFT.
func TestR53Baselines(t *testing.T) {
	in := uniform([]int64{100, 9000, 8500, 9000}, []int{3, 1, 3, 2})
	in.OverheadUs[0][2] = 99_000
	wantSequence(t, build(t, in, LFT), 0, 2, 3, 1)
	wantSequence(t, build(t, in, TFT), 1, 3, 2, 0)
}

// R54: a node with the block sends to all its children at once; level time adds
// each level's slowest edge, exact time follows each path, busy time lets any
// free link take the next node. Reference: section 3.2, data communication.
func TestR54CommunicationTimes(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700, 9600}, []int{2, 1, 1, 1})
	in.OverheadUs[0][1], in.OverheadUs[0][2] = 1000, 5000
	in.OverheadUs[1][3], in.OverheadUs[0][3] = 2000, 3000
	m := Measure(in, build(t, in, WCT))
	// Busy: at 1 ms the root's own free link takes node 3, for 3 ms.
	if m.TimeLevelUs != 7000 || m.TimeExactUs != 5000 || m.TimeBusyUs == nil || *m.TimeBusyUs != 5000 {
		t.Errorf("times %d, %d, %v", m.TimeLevelUs, m.TimeExactUs, m.TimeBusyUs)
	}
}

// R54: a node without a link takes nothing over, however early it has the block.
// Reference: section 3.2, data communication.
func TestR54NoLinkSendsNothing(t *testing.T) {
	in := uniform([]int64{9900, 9800, 9700, 9600}, []int{1, 0, 1, 1})
	in.OverheadUs[0][2] = 5000
	// At 1 ms node 1 has the block; node 3 waits for the root, which is busy
	// with node 2 until 6 ms.
	if m := Measure(in, NewTree(WCT, []int{0, 1, 2, 3}, in.Links)); m.TimeBusyUs == nil || *m.TimeBusyUs != 7000 {
		t.Errorf("busy time %v, want 7000", m.TimeBusyUs)
	}
}

// R55: overall trust weighs each node's trust by the children it serves;
// concurrency is the widest level, or the most transfers at one moment, where
// one that ends when another starts does not overlap it.
// Reference: formula 13; section 4, node concurrency.
func TestR55TrustAndConcurrency(t *testing.T) {
	in := uniform([]int64{9000, 8500, 8400, 8300}, []int{2, 1, 1, 1})
	in.OverheadUs[0][2] = 5000
	m := Measure(in, build(t, in, WCT)) // 0->1, 0->2, 1->3
	if m.TrustSumE4 != 2*9000+8500 || math.Abs(*m.Trust-0.8833333333) > 1e-9 {
		t.Errorf("trust sum %d, trust %v", m.TrustSumE4, *m.Trust)
	}
	// 0->1 ends at 1 ms when 1->3 begins; 0->2 lasts throughout.
	if m.ConcurrencyLevel != 2 || m.ConcurrencyExact != 2 || m.Depth != 2 {
		t.Errorf("concurrency %d and %d, depth %d", m.ConcurrencyLevel, m.ConcurrencyExact, m.Depth)
	}
}

// R56: overall trust is a mean and no reliability: the share of nodes expected
// to be reached is the mean product of the trust on the way.
// Reference: formula 13.
func TestR56CoverageIsLower(t *testing.T) {
	in := uniform([]int64{9000, 9000, 9000}, []int{1, 1, 1})
	m := Measure(in, build(t, in, WCT))
	if math.Abs(*m.Trust-0.9) > 1e-12 || math.Abs(*m.Coverage-(0.9+0.81)/2) > 1e-12 {
		t.Errorf("trust %v, coverage %v", *m.Trust, *m.Coverage)
	}
}

// R57: with the parameters of section 4 (50 nodes, links 3/2/1 for 5/15/80 %,
// eight honest of ten) WCT trusts more than LFT and TFT is the best there is.
func TestR57PaperParameters(t *testing.T) {
	rng := newSplitMix(57)
	for range 200 {
		in := randomInput(rng, 50)
		var sum [3]int64
		for k, a := range []Algorithm{LFT, WCT, TFT} {
			tree := build(t, in, a)
			if len(tree.Unattached) != 0 {
				t.Fatalf("%s leaves %v", a, tree.Unattached)
			}
			sum[k] = Measure(in, tree).TrustSumE4
		}
		if sum[0] >= sum[1] || sum[1] > sum[2] {
			t.Fatalf("trust sums LFT %d, WCT %d, TFT %d", sum[0], sum[1], sum[2])
		}
	}
}
