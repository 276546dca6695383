package nnet

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// drawnNet is a network of random weights.
func drawnNet(rng *rand.Rand, shapes ...int) mlp {
	m := newMLP(shapes)
	for l := range m {
		for i := range m[l].W {
			m[l].W[i] = float32(rng.NormFloat64())
		}
		for i := range m[l].B {
			m[l].B[i] = float32(rng.NormFloat64())
		}
	}
	return m
}

// A file holds the weights within each member and no zero between them, and what is
// read has them all.
func TestMembersAreStoredWithoutTheZeros(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := untrained(t)
	h := w.Heads[0]
	in := 2 * len(h.inputs)
	size := func(n mlp) int {
		h.net = n
		h.prepare()
		h.test = newSelfTest(h)
		b := marshal(t, w)
		back, err := ParseWeights(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, marshal(t, back)) {
			t.Error("what was read is written otherwise")
		}
		for l := range n {
			for i, v := range n[l].W {
				if back.Heads[0].net[l].W[i] != v {
					t.Fatalf("layer %d, weight %d: %g became %g", l, i, v, back.Heads[0].net[l].W[i])
				}
			}
		}
		return len(b)
	}
	four := make([]mlp, 4)
	for k := range four {
		four[k] = drawnNet(rng, in, 6, 5, 1)
	}
	apart := size(mean(four))
	if dense := size(drawnNet(rng, in, 24, 20, 1)); dense-apart < 3*120*5 {
		t.Errorf("%d bytes with members, %d without", apart, dense)
	}
	h.net = mean(four)
	h.prepare()
	h.test = newSelfTest(h)
	b := marshal(t, w)
	for _, n := range []string{"-4", "1", "2", "3", "5", "17", "1000000000"} {
		if _, err := ParseWeights(resealed(t, b, `"members": 4`, `"members": `+n)); err == nil {
			t.Errorf("%s members are accepted", n)
		}
	}
	if !strings.Contains(string(b), `"members": 4`) {
		t.Error("the file does not say its members")
	}
}
