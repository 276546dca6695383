package nnet

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
)

func randomNet(seed uint64, shapes ...int) mlp {
	m, rng := newMLP(shapes), rand.New(rand.NewPCG(seed, 7))
	initialise(m, rng)
	for l := range m {
		for i := range m[l].B {
			m[l].B[i] = float32(rng.NormFloat64())
		}
	}
	return m
}

// With a linear path a network answers the weighted mean of its own logit and
// the linear one, by plain loops and by the graph.
func TestLinearPath(t *testing.T) {
	const width = 9
	for _, hidden := range [][]int{{4}, {5, 3}, {6, 4, 2}} {
		net, linear := randomNet(1, append(append([]int{width}, hidden...), 1)...), randomNet(4, width, 1)
		both := net.withLinear(linear[0], 0.3)
		inf, err := newInferencer(both)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, 5))
		for range 100 {
			x := make([]float32, width)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * 2)
			}
			copy(inf.x, x)
			graph, err := inf.run()
			if err != nil {
				t.Fatal(err)
			}
			// The straight path bends by less than 1 % up to a logit of 10.
			z := linear.logit(x, nil)
			want, got := 0.7*net.logit(x, nil)+0.3*z, both.logit(x, nil)
			if math.Abs(got-want) > 0.01*math.Abs(z)+1e-4 || math.Abs(got-graph) > 1e-4 {
				t.Fatalf("hidden %v: %g, by graph %g, want %g", hidden, got, graph, want)
			}
		}
		if err := inf.close(); err != nil {
			t.Error(err)
		}
	}
}

// Members, noise and the linear path give the same bits whichever member is
// ready first, and reach what is learnt.
func TestMembersAreDeterministic(t *testing.T) {
	cfg := tinyConfig()
	cfg.Epochs = 2
	series := tinySeries()
	train := func() []byte {
		w, err := Train(context.Background(), cfg, series, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return marshal(t, w)
	}
	alone := train()
	cfg.Members = 3
	members := train()
	if !bytes.Equal(members, train()) {
		t.Error("the same seed gives other bytes")
	}
	cfg.Heads[1].LinearShare = 0.5
	linear := train()
	cfg.Heads[0].Noise = map[string]float64{"pressure_change_1h_hpa": 0.4}
	noise := train()
	for i, b := range [][]byte{alone, members, linear} {
		if bytes.Equal(b, noise) {
			t.Errorf("training %d equals the last: a setting has no effect", i)
		}
	}
	if bytes.Equal(members, linear) {
		t.Error("linear_share has no effect")
	}
	if _, err := Load(noise); err != nil {
		t.Errorf("a network of members does not load: %v", err)
	}
}
