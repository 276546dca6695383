package wct

import (
	"testing"
)

// noisy returns the input with every overhead off by up to so many percent and
// every trust by up to so many 1e-4.
func noisy(in *Input, rng *splitMix, percent, trustE4 int) *Input {
	n := *in
	n.OverheadUs, n.TrustE4 = nil, nil
	for _, row := range in.OverheadUs {
		var copied []int64
		for _, us := range row {
			copied = append(copied, us+us*int64(rng.below(2*percent+1)-percent)/100)
		}
		n.OverheadUs = append(n.OverheadUs, copied)
	}
	for _, t := range in.TrustE4 {
		n.TrustE4 = append(n.TrustE4, max(0, min(FullTrustE4, t+int64(rng.below(2*trustE4+1)-trustE4))))
	}
	return &n
}

// TestNoiseDoesNotReshape: noise of 2 % in overheads and 0.0005 in trust, drawn
// ten times, changes neither the WCT nor ours, though a rebuild would move edges
// nearly every time.
func TestNoiseDoesNotReshape(t *testing.T) {
	for _, a := range []Algorithm{WCT, OCT} {
		in := randomInput(newSplitMix(3), 40)
		tree := build(t, in, a)
		rng := newSplitMix(4)
		moved := 0
		for range 10 {
			now := noisy(in, rng, 2, 5)
			kept, reason, err := Update(now, tree, DefaultHysteresis())
			if err != nil {
				t.Fatal(err)
			}
			if kept != tree || reason != ReasonKept {
				t.Errorf("%s: noise reshaped the tree: %s", a, reason)
			}
			moved += countMoved(tree.parent, build(t, now, a))
		}
		if moved == 0 {
			t.Errorf("%s: a rebuild moved nothing, so this shows nothing", a)
		}
	}
}

func TestUpdateReshapesForAReason(t *testing.T) {
	fresh := func() *Input {
		return uniform([]int64{9900, 9800, 9700, 9600, 9500, 9400}, []int{2, 2, 1, 1, 1, 1})
	}
	for _, c := range []struct {
		want   Reason
		change func(in *Input)
	}{
		{ReasonKept, func(in *Input) { in.TrustE4[3] += 10 }},
		{ReasonLinks, func(in *Input) { in.Links[0] = 1 }},
		{ReasonUntrusted, func(in *Input) { in.TrustE4[1] = 7000 }},
		{ReasonKept, func(in *Input) { in.TrustThresholdE4 = 9850 }},
		{ReasonTime, func(in *Input) { in.OverheadUs[0][2] = 9000 }},
		{ReasonTrust, func(in *Input) { in.TrustE4[0], in.TrustE4[4] = 8050, 10_000 }},
	} {
		in := fresh()
		tree := build(t, in, OCT)
		c.change(in)
		got, reason, err := Update(in, tree, DefaultHysteresis())
		if err != nil {
			t.Fatal(err)
		}
		if reason != c.want || (got == tree) != (c.want == ReasonKept) {
			t.Errorf("%s, want %s", reason, c.want)
		}
	}
	if _, _, err := Update(uniform([]int64{1}, []int{1}), build(t, fresh(), WCT), Hysteresis{}); err == nil {
		t.Error("a tree of another network was taken")
	}
}

// byTrust is a uniform input in which links have no weight: the sequence
// follows trust.
func byTrust(trust []int64, links ...int) *Input {
	in := uniform(trust, links)
	in.LinkWeight = 0
	return in
}

// A tree that reaches fewer nodes than a rebuilt one is given up, however much
// a rebuilt tree must gain in anything else.
func TestUpdateSpansWhatCanBeSpanned(t *testing.T) {
	unmoved := Hysteresis{TimePercent: 1000, TrustPercent: 1000, TrustMarginE4: FullTrustE4}
	in := byTrust([]int64{9900, 9800, 9700, 9600}, 1, 0, 1, 1)
	tree := build(t, in, WCT)
	if len(tree.Unattached) != 2 {
		t.Fatalf("%v unattached, want two nodes", tree.Unattached)
	}
	if _, reason, err := Update(in, tree, unmoved); err != nil || reason != ReasonKept {
		t.Errorf("nothing changed: %s, %v", reason, err)
	}
	in.Links[1] = 1
	now, reason, err := Update(in, tree, unmoved)
	if err != nil || reason != ReasonSpan || len(now.Unattached) != 0 {
		t.Errorf("links for all: %s, %v, unattached %v", reason, err, now.Unattached)
	}
}

// A forwarder may lack the margin of trust to the threshold, and no more.
func TestUpdateBearsWithTheMargin(t *testing.T) {
	h := DefaultHysteresis()
	h.TrustPercent = 50
	for trust, want := range map[int64]Reason{7800: ReasonKept, 7799: ReasonUntrusted} {
		in := uniform([]int64{9900, 9800, 9700, 9600, 9500, 9400}, []int{2, 2, 1, 1, 1, 1})
		tree := build(t, in, OCT)
		in.TrustE4[1] = trust
		if _, reason, err := Update(in, tree, h); err != nil || reason != want {
			t.Errorf("forwarder of trust %d: %s, %v, want %s", trust, reason, err, want)
		}
	}
}

// The overhead-aware tree is given up when a rebuilt one is faster by more than
// the hysteresis. The other trees are not built for time and stay.
func TestUpdateWeighsTime(t *testing.T) {
	chain := func() *Input { return byTrust([]int64{10_000, 10_000, 10_000}, 1, 1, 1) }
	for _, c := range []struct {
		was  int64 // time of the tree in use; a rebuilt one takes 1000
		h    Hysteresis
		want Reason
	}{
		{1100, DefaultHysteresis(), ReasonKept},
		{1101, DefaultHysteresis(), ReasonTime},
		{1000, Hysteresis{}, ReasonKept},
		{1001, Hysteresis{}, ReasonTime},
	} {
		in := chain()
		tree := build(t, in, OCT)
		a, b, d := tree.Sequence[0], tree.Sequence[1], tree.Sequence[2]
		for i := range in.N {
			in.OverheadUs[i] = []int64{7000, 7000, 7000}
		}
		in.OverheadUs[a][b], in.OverheadUs[b][d] = c.was-500, 500
		in.OverheadUs[d][b], in.OverheadUs[b][a] = 500, 500
		if _, reason, err := Update(in, tree, c.h); err != nil || reason != c.want {
			t.Errorf("%d us against 1000, hysteresis %+v: %s, %v, want %s", c.was, c.h, reason, err, c.want)
		}
	}
	in := byTrust([]int64{9900, 9800, 9700}, 1, 1, 1)
	in.OverheadUs = [][]int64{{0, 5000, 1000}, {1000, 0, 5000}, {1000, 1000, 0}}
	tree := build(t, in, TFT)
	in.TrustE4[1] = 9699
	if rebuilt := build(t, in, TFT); Measure(in, rebuilt).TimeExactUs*5 != Measure(in, tree).TimeExactUs {
		t.Fatal("the rebuilt tree is not faster, so this shows nothing")
	}
	if _, reason, err := Update(in, tree, DefaultHysteresis()); err != nil || reason != ReasonKept {
		t.Errorf("tft: %s, %v", reason, err)
	}
}

// A tree is given up when the WCT has more trust or more coverage than it, by
// more than the hysteresis; either is enough.
func TestUpdateWeighsTrust(t *testing.T) {
	for _, c := range []struct {
		name        string
		before, now int64 // trust of node 0, which has four links; the others have 0.95 and one
		linkWeight  int64
		percent     int64
		want        Reason
	}{
		// A star of 0.90 has trust sum 3.60 and coverage 3.60, the chain that
		// the WCT has now 3.80 and 3.52.
		{"trust sum", 9600, 9000, 0, 5, ReasonTrust},
		{"trust sum", 9600, 9000, 0, 6, ReasonKept},
		// The chain has coverage 3.52, the star of 0.94 that the WCT has now
		// 3.76, and no more trust.
		{"coverage", 7000, 9400, 1, 6, ReasonTrust},
		{"coverage", 7000, 9400, 1, 7, ReasonKept},
	} {
		in := byTrust([]int64{c.before, 9500, 9500, 9500, 9500}, 4, 1, 1, 1, 1)
		in.LinkWeight = c.linkWeight
		tree := build(t, in, WCT)
		in.TrustE4[0] = c.now
		if _, reason, err := Update(in, tree, Hysteresis{TrustPercent: c.percent}); err != nil || reason != c.want {
			t.Errorf("%s, %d %%: %s, %v, want %s", c.name, c.percent, reason, err, c.want)
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	in := byTrust([]int64{9000}, 1)
	tree := build(t, in, WCT)
	in.TrustE4[0] = -1
	if _, _, err := Update(in, tree, Hysteresis{}); err == nil {
		t.Error("an input that is not valid was taken")
	}
}
