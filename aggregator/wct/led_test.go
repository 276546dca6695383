package wct

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A tree with a given root keeps that root and is never worse than the attachment
// of its sequence.
func TestLedTreeKeepsItsRootAndFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, 40)
		sequence := rapid.Permutation(countUp(in.N)).Draw(t, "sequence")
		led, err := BuildLed(in, OCT, sequence)
		if err != nil {
			t.Fatal(err)
		}
		if led.Root != sequence[0] {
			t.Fatalf("root %d, want %d", led.Root, sequence[0])
		}
		if what := worse(in, led, NewTree(WCT, sequence, in.Links)); what != "" {
			t.Fatalf("worse than the attachment of the sequence in %s", what)
		}
	})
}

// Led by its own sequence, the paper's tree is the paper's tree.
func TestLedByItsOwnSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, 40)
		for _, a := range []Algorithm{WCT, LFT, TFT} {
			want, err := Build(in, a)
			if err != nil {
				t.Fatal(err)
			}
			got, err := BuildLed(in, a, want.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			if got.Algorithm != a || !slices.Equal(got.Edges, want.Edges) || !slices.Equal(got.Unattached, want.Unattached) {
				t.Fatalf("%s: %v, want %v", a, got.Edges, want.Edges)
			}
		}
	})
}

func TestLedRefusesWhatIsNoSequence(t *testing.T) {
	in := randomInput(newSplitMix(1), 4)
	for name, sequence := range map[string][]int{
		"twice": {0, 1, 1, 2}, "negative": {-1, 0, 1, 2}, "beyond": {0, 1, 2, 4}, "short": {0, 1, 2},
	} {
		if _, err := BuildLed(in, OCT, sequence); err == nil || !strings.Contains(err.Error(), "sequence") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := BuildLed(in, "kruskal", []int{0, 1, 2, 3}); err == nil {
		t.Error("unknown algorithm accepted")
	}
}
