package wct

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawChange(t *rapid.T, in *Input) Change {
	c := Change{
		Kind: ChangeKind(rapid.IntRange(0, 2).Draw(t, "change")),
		Node: rapid.IntRange(0, in.N-1).Draw(t, "node"), TrustE4: rapid.Int64Range(0, FullTrustE4).Draw(t, "trust"),
	}
	c.To = (c.Node + rapid.IntRange(1, in.N-1).Draw(t, "to")) % in.N
	return c
}

// TestRepairedEqualsRebuilt in the paper's mode.
func TestRepairedEqualsRebuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, 30)
		if in.N < 2 {
			return
		}
		a := rapid.SampledFrom([]Algorithm{WCT, LFT, TFT}).Draw(t, "algorithm")
		tree, err := Build(in, a)
		if err != nil {
			t.Fatal(err)
		}
		after, repaired, moved, err := Repair(in, tree, drawChange(t, in))
		if err != nil {
			t.Fatal(err)
		}
		rebuilt, err := Build(after, a)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(repaired.Edges, rebuilt.Edges) || moved > len(rebuilt.Edges) {
			t.Fatalf("repaired %v, rebuilt %v, %d moved", repaired.Edges, rebuilt.Edges, moved)
		}
	})
}

// TestOCTRepairCostsAtMostTenPerCent: a repaired tree is at most 10 % slower than
// a rebuilt one, allowed by the floor, and moves no more edges than a rebuild.
func TestOCTRepairCostsAtMostTenPerCent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, 12)
		if in.N < 2 {
			return
		}
		if rapid.Bool().Draw(t, "named") {
			for _, i := range rapid.Permutation(countUp(in.N)).Draw(t, "ids") {
				in.IDs = append(in.IDs, string(rune('A'+i)))
			}
		}
		tree, err := Build(in, OCT)
		if err != nil {
			t.Fatal(err)
		}
		c := drawChange(t, in)
		after, repaired, moved, err := Repair(in, tree, c)
		if err != nil {
			t.Fatal(err)
		}
		checkTree(t, after, repaired)
		rebuilt, err := Build(after, OCT)
		if err != nil {
			t.Fatal(err)
		}
		was, is := Measure(after, rebuilt).TimeExactUs, Measure(after, repaired).TimeExactUs
		if is > was+was/RepairSlack {
			t.Fatalf("repaired takes %d us, rebuilt %d", is, was)
		}
		base, err := Build(after, WCT)
		if err != nil {
			t.Fatal(err)
		}
		if what := worse(after, repaired, base); what != "" {
			t.Fatalf("repaired is worse than the WCT in %s", what)
		}
		if all := countMoved(parentsAfter(tree, c), rebuilt); moved > all {
			t.Fatalf("repairing moved %d edges, rebuilding %d", moved, all)
		}
	})
}

// TestRepairMovesFewEdges: a repair moves at most half the edges of a rebuild.
func TestRepairMovesFewEdges(t *testing.T) {
	var moved, all int
	for seed := range uint64(6) {
		in := randomInput(newSplitMix(seed), 50)
		tree := buildOCTOf(t, in)
		c := Change{Kind: NodeRemoved, Node: tree.Sequence[3]}
		after, repaired, m, err := Repair(in, tree, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d: %d moved, %d us; rebuilt %d, %d us", seed, m, Measure(after, repaired).TimeExactUs,
			countMoved(parentsAfter(tree, c), buildOCTOf(t, after)), Measure(after, buildOCTOf(t, after)).TimeExactUs)
		moved += m
		all += countMoved(parentsAfter(tree, c), buildOCTOf(t, after))
	}
	if moved*2 > all {
		t.Errorf("repairing moved %d edges, rebuilding %d", moved, all)
	}
}

func TestChangesThatCannotBe(t *testing.T) {
	in := uniform([]int64{9000}, []int{1})
	two := uniform([]int64{9000, 9000}, []int{1, 1})
	for _, c := range []struct {
		in *Input
		c  Change
	}{
		{in, Change{Kind: NodeRemoved}},
		{in, Change{Kind: TrustChanged, Node: 1}},
		{in, Change{Kind: TrustChanged, TrustE4: 10_001}},
		{two, Change{Kind: EdgeRemoved, Node: 1, To: 1}},
		{two, Change{Kind: EdgeRemoved, Node: 0, To: 2}},
		{two, Change{Kind: 9}},
	} {
		if _, err := c.in.Apply(c.c); err == nil {
			t.Errorf("%+v was taken", c.c)
		}
	}
	if _, _, _, err := Repair(two, build(t, in, OCT), Change{}); err == nil {
		t.Error("a tree of another network was repaired")
	}
}
