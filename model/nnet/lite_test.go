//go:build lite

package nnet

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
)

// A program that only scores says so when it is asked to train.
func TestLiteDoesNotTrain(t *testing.T) {
	if _, err := Train(context.Background(), tinyConfig(), tinySeries(), slog.New(slog.DiscardHandler)); !errors.Is(err, errLite) {
		t.Errorf("training gives %v", err)
	}
}

// Where a member is left out, the probability does not change by more than 1e-7.
func TestSettledProbabilitiesStay(t *testing.T) {
	h := untrained(t).Heads[0]
	for _, bias := range []float32{-60, 60} {
		h.net[len(h.net)-1].B[0] = bias
		h.prepare()
		inf, err := newInferencer(h)
		if err != nil {
			t.Fatal(err)
		}
		for i := range inf.x {
			inf.x[i] = 1
		}
		z, err := inf.run()
		if err != nil {
			t.Fatal(err)
		}
		whole := h.plain.logit(inf.x, math.Inf(-1), math.Inf(1))
		if z == whole {
			t.Errorf("bias %g: nothing was left out", bias)
		}
		if d := math.Abs(h.calibrated(z) - h.calibrated(whole)); d > 1e-7 {
			t.Errorf("bias %g: the probability changes by %g", bias, d)
		}
	}
	inf, err := newInferencer(untrained(t).Heads[0])
	if err != nil {
		t.Fatal(err)
	}
	if sigmoid(1.5*inf.low-0.5) > 1e-7 || 1-sigmoid(1.5*inf.high-0.5) > 1e-7 {
		t.Errorf("settled from %g and %g", inf.low, inf.high)
	}
}
