package nnet

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var everyLogit = [2]float64{math.Inf(-1), math.Inf(1)}

// drawNetwork is a mean of 1 to 4 networks with up to three hidden layers, some
// weights 0.
func drawNetwork(t *rapid.T, inputs int) mlp {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	shapes := []int{inputs}
	for range rapid.IntRange(0, maxLayers-1).Draw(t, "hidden layers") {
		shapes = append(shapes, rapid.IntRange(1, 9).Draw(t, "width"))
	}
	nets := make([]mlp, rapid.IntRange(1, 4).Draw(t, "members"))
	empty := rapid.Float64Range(0, 1).Draw(t, "share of weights that are 0")
	for k := range nets {
		nets[k] = newMLP(append(shapes[:len(shapes):len(shapes)], 1))
		initialise(nets[k], rng)
		for l := range nets[k] {
			for i := range nets[k][l].W {
				if rng.Float64() < empty {
					nets[k][l].W[i] = 0
				}
			}
			for j := range nets[k][l].B {
				nets[k][l].B[j] = float32(rng.NormFloat64())
			}
		}
	}
	return mean(nets)
}

// drawRow is a row of inputs, some of them 0.
func drawRow(t *rapid.T, inputs int) []float32 {
	x := make([]float32, inputs)
	for i := range x {
		if rapid.Bool().Draw(t, "has input") {
			x[i] = rapid.Float32Range(-clip, clip).Draw(t, "input")
		}
	}
	return x
}

// The plain pass leaves out what is 0 and keeps members apart, and gives the
// reference's answer. Where a unit of one part stands between those of another,
// the order of the last sum is another, and so may be the last bits.
func TestPlainPassIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNetwork(t, 7)
		p, x := newPlain(m), drawRow(t, 7)
		got, want := p.logit(x, everyLogit[0], everyLogit[1]), m.logit(x)
		if math.Abs(got-want) > 1e-13*(1+math.Abs(want)) {
			t.Fatalf("%v: %v, want %v", m.shapes(), got, want)
		}
	})
}

// The shipped heads are scored bit for bit as in training, and their
// members are taken apart: half of the weights are not touched.
func TestShippedMembersAreKeptApart(t *testing.T) {
	w, err := ShippedWeights()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, h := range w.Heads {
		want := map[string]int{RoleLogistic: 0, RoleNetwork: 5}[h.Role]
		switch h.Name {
		case "wind":
			want = 1
		case "wind-ratio", "wind-near": // linear
			want = 0
		case "thunder-near": // three beside the base's five
			want = 8
		}
		if len(h.plain.members) != want {
			t.Errorf("%s: %d members, want %d", h.Name, len(h.plain.members), want)
		}
		kept, all := 0, 0
		for _, m := range h.plain.members {
			for _, l := range m.hidden {
				kept += len(l.w)
			}
		}
		for _, d := range h.net[:len(h.net)-1] {
			all += len(d.W)
		}
		if want == 5 && kept*3 > all*2 {
			t.Errorf("%s: %d of %d weights are kept", h.Name, kept, all)
		}
		x := make([]float32, 2*len(h.inputs))
		for range 200 {
			for i := range x {
				x[i] = float32(rng.NormFloat64()) * float32(rng.IntN(2))
			}
			if got, want := h.plain.logit(x, everyLogit[0], everyLogit[1]), h.net.logit(x); got != want {
				t.Fatalf("%s: %v, want %v", h.Name, got, want)
			}
		}
	}
}

// A pass that stops early lies beyond the logits it was given, as the whole one
// does; and it does stop.
func TestEarlyStopChangesNothingBefore(t *testing.T) {
	stopped := 0
	rapid.Check(t, func(t *rapid.T) {
		m := drawNetwork(t, 5)
		m[len(m)-1].B[0] = rapid.Float32Range(-4, 4).Draw(t, "bias")
		low := rapid.Float64Range(-3, 3).Draw(t, "low")
		high := low + rapid.Float64Range(0, 3).Draw(t, "between")
		p, x := newPlain(m), drawRow(t, 5)
		got, whole := p.logit(x, low, high), p.logit(x, everyLogit[0], everyLogit[1])
		if got == whole {
			return
		}
		stopped++
		if !(got < low && whole < low || got > high && whole > high) {
			t.Fatalf("%v: stopped at %v, the whole pass gives %v; %v to %v matter", m.shapes(), got, whole, low, high)
		}
	})
	if stopped == 0 {
		t.Error("no pass stopped early")
	}
}

// slopeOf is d logit / d x at x by plain back-propagation over all weights.
func slopeOf(m mlp, x []float64) []float64 {
	act := [][]float64{x}
	for l := range m {
		d := &m[l]
		out := make([]float64, d.Out)
		for j := range out {
			out[j] = float64(d.B[j])
			for i, v := range act[l] {
				out[j] += v * float64(d.W[i*d.Out+j])
			}
			if l < len(m)-1 {
				out[j] = math.Tanh(out[j])
			}
		}
		act = append(act, out)
	}
	up := []float64{1}
	for l := len(m) - 1; l >= 0; l-- {
		d := &m[l]
		down := make([]float64, d.In)
		for i := range down {
			for j, w := range d.W[i*d.Out : (i+1)*d.Out] {
				down[i] += up[j] * float64(w)
			}
			if l > 0 {
				a := act[l][i]
				down[i] *= 1 - a*a
			}
		}
		up = down
	}
	return up
}

// An attribution is the mean of the gradients along the line, times the input.
func TestAttributionsAreMeanGradients(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNetwork(t, 6)
		x := drawRow(t, 6)
		want := make([]float64, len(x))
		for s := range steps {
			on := make([]float64, len(x))
			for i, v := range x {
				on[i] = float64(v) * (float64(s) + 0.5) / steps
			}
			for i, g := range slopeOf(m, on) {
				want[i] += g * float64(x[i]) / steps
			}
		}
		for i, got := range newPlain(m).integratedGradients(x) {
			if math.Abs(got-want[i]) > 1e-12*(1+math.Abs(want[i])) {
				t.Fatalf("%v: input %d: %v, want %v", m.shapes(), i, got, want[i])
			}
		}
	})
}
