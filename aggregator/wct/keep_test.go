package wct

import (
	"testing"
)

// noisy is the input with every overhead off by up to so many percent and
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

// TestNoiseDoesNotReshape: 2 % of overhead and 0.0005 of trust, ten times over,
// leave both the WCT and ours alone, though building anew would move edges
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
			t.Errorf("%s: building anew moved nothing, so this shows nothing", a)
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
