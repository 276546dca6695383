package nnet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/model"
)

// untrained is a network of random weights: what does not depend on skill is
// tested with it, fast.
func untrained(t testing.TB) *Weights {
	t.Helper()
	w := &Weights{Name: "untrained", Version: 1}
	for i, hc := range tinyConfig().Heads {
		h, err := newHead(hc, RoleNetwork)
		if err != nil {
			t.Fatal(err)
		}
		n := len(h.inputs)
		h.mean, h.sd = make([]float32, n), make([]float32, n)
		for k := range n {
			h.mean[k], h.sd[k] = float32(k), 2
		}
		h.net = newMLP(append(append([]int{2 * n}, hc.Hidden...), 1))
		initialise(h.net, rand.New(rand.NewPCG(1, uint64(i))))
		h.prepare()
		h.a, h.b, h.Warn = 1.5, -0.5, 0.2
		h.test = newSelfTest(h)
		w.Heads = append(w.Heads, h)
	}
	return w
}

func drawFeatures(t *rapid.T) (f model.Features) {
	for i := range f.X {
		if f.Missing[i] = rapid.Bool().Draw(t, "missing"); !f.Missing[i] {
			f.X[i] = rapid.Float32Range(-1e6, 1e6).Draw(t, "x")
		}
	}
	return f
}

// What scores answers what the plain arithmetic does, always a probability, and
// nothing without its required inputs.
func TestScorerAgreesWithReference(t *testing.T) {
	w := untrained(t)
	n, err := newNetwork(w)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFeatures(t)
		s, err := n.Score(&f)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range w.Heads {
			want, ok := h.Probability(&f)
			if ok != s.Has[h.Kind] {
				t.Fatalf("%s: has %v, want %v", h.Name, s.Has[h.Kind], ok)
			}
			if got := s.P[h.Kind]; ok && (math.Abs(got-want) > 1e-5 || got < 0 || got > 1) {
				t.Fatalf("%s: score %g, reference %g", h.Name, got, want)
			}
		}
		if len(s.Top) > 3 {
			t.Fatalf("%d contributions", len(s.Top))
		}
		for _, c := range s.Top {
			if math.IsNaN(c.Contribution) {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// Integrated gradients are complete: contributions add up to the difference to
// the baseline (up to the 32-step sum).
func TestIntegratedGradientsAddUp(t *testing.T) {
	h := untrained(t).Heads[0]
	zero := make([]float32, 2*len(h.inputs))
	rng := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		x := make([]float32, len(zero))
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		sum := 0.0
		for _, c := range h.plain.integratedGradients(x) {
			sum += c
		}
		if want := h.net.logit(x) - h.net.logit(zero); math.Abs(sum-want) > 0.01 {
			t.Fatalf("contributions add to %g, want %g", sum, want)
		}
	}
}

func TestExplanationNamesPresentInputs(t *testing.T) {
	w := untrained(t)
	for _, h := range w.Heads {
		h.Warn = 1e-9 // always warns
	}
	n, err := newNetwork(w)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var f model.Features
	for i := range f.Missing {
		f.Missing[i] = true
	}
	f.X[model.FeatureGust], f.Missing[model.FeatureGust] = 25, false
	s, err := n.Score(&f)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Top) != 1 || s.Top[0].Name != "wind_gust_1h_mps" || s.Top[0].Value != 25 || s.Top[0].Unit != "m/s" {
		t.Errorf("top: %+v", s.Top)
	}
	if s.Has[model.KindThunderstorm] || !s.Has[model.KindWind] {
		t.Errorf("has: %v", s.Has)
	}
}

// A network says which file it is of.
func TestSumIsOfTheFile(t *testing.T) {
	b := marshal(t, untrained(t))
	n, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if n.Sum() != sha256.Sum256(b) || n.Version() != "untrained v1" {
		t.Errorf("%x, %s", n.Sum(), n.Version())
	}
}

func TestWeightsRoundTrip(t *testing.T) {
	b := marshal(t, untrained(t))
	w, err := ParseWeights(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := marshal(t, w); !bytes.Equal(b, again) {
		t.Error("a parsed file marshals to other bytes")
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	b := marshal(t, untrained(t))
	for i := range b {
		b[i] ^= 1 << (i % 8)
		if _, err := ParseWeights(b); err == nil {
			t.Fatalf("byte %d changed and accepted", i)
		}
		b[i] ^= 1 << (i % 8)
	}
	for _, n := range []int{0, 1, 15, 100, len(b) / 2, len(b) - 1} {
		if _, err := ParseWeights(b[:n]); err == nil {
			t.Errorf("cut to %d bytes and accepted", n)
		}
	}
}

// resealed changes the text and puts a right checksum under it: what the
// checksum cannot catch, the other checks must.
func resealed(t *testing.T, b []byte, old, new string) []byte {
	t.Helper()
	at := bytes.LastIndex(b, []byte("\n"+sha256Start)) + 1
	body := string(b[:at])
	if !strings.Contains(body, old) {
		t.Fatalf("%q is not in the file", old)
	}
	body = strings.Replace(body, old, new, 1)
	// The header's length has its own line.
	start := strings.Index(body, "{")
	end := strings.Index(body, "\ntensor 0 0 w") + 1
	body = fmt.Sprintf("%s\nheader %d\n%s", magic, end-start, body[start:])
	return fmt.Appendf([]byte(body), "%s%x\n", sha256Start, sha256.Sum256([]byte(body)))
}

func TestWrongWeightsAreRefused(t *testing.T) {
	w := untrained(t)
	b := marshal(t, w)
	if _, err := ParseWeights(resealed(t, b, "untrained", "renamed")); err != nil {
		t.Fatalf("resealing itself fails: %v", err)
	}
	schema := fmt.Sprintf("%x", model.FeatureSchemaHash())
	_, err := ParseWeights(resealed(t, b, schema, strings.Repeat("0", 64)))
	if !errors.Is(err, ErrSchema) {
		t.Errorf("foreign schema: %v", err)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"swapped inputs", "\"temperature_c\",\n    \"humidity_pct\"", "\"humidity_pct\",\n    \"temperature_c\""},
		{"another shape", "    8,\n    8,\n", "    8,\n    9,\n"},
		{"more than is there", "    8,\n    8,\n", "    8,\n    256,\n"},
		{"wide", "    8,\n    8,\n", "    8,\n    100000000,\n"},
		{"zero deviation", "\"sd\": [\n    2", "\"sd\": [\n    0"},
		{"calibration", "\"platt_a\": 1.5", "\"platt_a\": -1.5"},
		{"unknown key", "\"platt_a\"", "\"plat_a\""},
		{"tensor order", "tensor 0 0 b", "tensor 0 1 b"},
	} {
		if _, err := ParseWeights(resealed(t, b, tt.old, tt.new)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	w.Heads[0].net[0].W[3] = float32(math.NaN())
	if _, err := ParseWeights(marshal(t, w)); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("NaN weight: %v", err)
	}
	w.Heads[0].net[0].W[3] = float32(math.Inf(1))
	if _, err := ParseWeights(marshal(t, w)); err == nil {
		t.Error("infinite weight accepted")
	}
}

// The self-test catches a changed weight with a new checksum.
func TestSelfTestCatchesAnotherWeight(t *testing.T) {
	w := untrained(t)
	w.Heads[0].net[0].W[0] += 0.5
	if _, err := ParseWeights(marshal(t, w)); err == nil || !strings.Contains(err.Error(), "self-test") {
		t.Errorf("changed weight: %v", err)
	}
}

func FuzzParseWeights(f *testing.F) {
	f.Add(marshal(f, untrained(f)))
	f.Add([]byte(magic + "\nheader 2\n{}\nsha256 00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// With the checksum made right, the fuzzer reaches the parser behind it.
		if at := bytes.LastIndex(b, []byte("\n"+sha256Start)); at >= 0 {
			b = fmt.Appendf(b[:at+1:at+1], "%s%x\n", sha256Start, sha256.Sum256(b[:at+1]))
		}
		w, err := ParseWeights(b)
		if err != nil {
			return
		}
		if _, err := w.Marshal(); err != nil {
			t.Errorf("accepted, but does not marshal: %v", err)
		}
	})
}

// unusual is an hour with every input, all of them off their means.
func unusual(w *Weights) (f model.Features) {
	for _, h := range w.Heads {
		for k, i := range h.inputs {
			f.X[i] = h.mean[k] + (float32(k%5-2)*0.5+0.25)*h.sd[k]
		}
	}
	return f
}

func BenchmarkScore(b *testing.B) {
	n, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	w, err := ShippedWeights()
	if err != nil {
		b.Fatal(err)
	}
	f := unusual(w)
	f.Missing[model.FeatureLightning6h] = true
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Score(&f); err != nil {
			b.Fatal(err)
		}
	}
}

// What a head's plain pass costs, and its explanation.
func BenchmarkPlain(b *testing.B) {
	w, err := ShippedWeights()
	if err != nil {
		b.Fatal(err)
	}
	f := unusual(w)
	for _, h := range w.Heads {
		if h.EvaluationOnly {
			continue
		}
		b.Run("score/"+h.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := h.Probability(&f); !ok {
					b.Fatal("no score")
				}
			}
		})
		b.Run("explain/"+h.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(h.explain(&f)) != 3 {
					b.Fatal("not three inputs")
				}
			}
		})
	}
}

// The mean of networks has the mean of their logits, with hidden layers and
// without, by plain loops and by what scores.
func TestMeanOfNetworks(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, shapes := range [][]int{{6, 1}, {6, 5, 1}, {6, 5, 3, 1}} {
		for _, members := range []int{1, 2, 3, 4} {
			nets := make([]mlp, members)
			for k := range nets {
				nets[k] = newMLP(shapes)
				initialise(nets[k], rng)
				nets[k][len(nets[k])-1].B[0] = float32(k)
			}
			m := mean(nets)
			h := &Head{inputs: make([]int, 3), net: m, a: 1}
			h.prepare()
			inf, err := newInferencer(h)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				x, want := make([]float32, 6), 0.0
				for i := range x {
					x[i] = float32(rng.NormFloat64())
				}
				for _, n := range nets {
					want += n.logit(x) / float64(members)
				}
				copy(inf.x, x)
				graph, err := inf.run()
				if got := m.logit(x); err != nil || math.Abs(got-want) > 1e-5 || math.Abs(graph-want) > 1e-5 {
					t.Fatalf("%v, %d members: %g, by the scorer %g (%v), want %g", shapes, members, got, graph, err, want)
				}
			}
			if err := inf.close(); err != nil {
				t.Error(err)
			}
		}
	}
}
