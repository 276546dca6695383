//go:build !lite

package nnet

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
)

func trainTiny(t testing.TB) *Weights {
	t.Helper()
	w, err := Train(context.Background(), tinyConfig(), tinySeries(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTrainLearnsAndRepeats(t *testing.T) {
	w := trainTiny(t)
	if again := trainTiny(t); !bytes.Equal(marshal(t, w), marshal(t, again)) {
		t.Error("the same seed gives other bytes")
	}
	series := tinySeries()
	e, err := w.Evaluate(series, Question{Task: TaskThunder, Inputs: "base", Part: PartTest})
	if err != nil {
		t.Fatal(err)
	}
	if e.Network.AUC < 0.75 || e.BaseRate < 0.01 {
		t.Errorf("test AUC %.3f at base rate %.3f: nothing was learnt", e.Network.AUC, e.BaseRate)
	}
	if e.Network.Events == 0 || e.Network.Caught == 0 {
		t.Errorf("no event caught: %+v", e.Network)
	}
	// Swapped labels are the control: the figure above comes from the data.
	for _, s := range series {
		rand.New(rand.NewPCG(9, 9)).Shuffle(len(s.Thunder), func(i, j int) {
			s.Thunder[i], s.Thunder[j] = s.Thunder[j], s.Thunder[i]
		})
	}
	c, err := w.Evaluate(series, Question{Task: TaskThunder, Inputs: "base", Part: PartTest})
	if err != nil {
		t.Fatal(err)
	}
	if c.Network.AUC > 0.6 {
		t.Errorf("AUC %.3f on shuffled truth", c.Network.AUC)
	}
}

func TestTrainStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(ctx, tinyConfig(), tinySeries(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("trained on although cancelled")
	}
}
