//go:build !lite

package nnet

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
)

// Members and noise give the same bits whichever member is
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
	cfg.Heads[1].Members = 2
	own := train()
	cfg.Heads[0].Noise = map[string]float64{"pressure_change_1h_hpa": 0.4}
	noise := train()
	for i, b := range [][]byte{alone, members, own} {
		if bytes.Equal(b, noise) {
			t.Errorf("training %d equals the last: a setting has no effect", i)
		}
	}
	if bytes.Equal(members, own) {
		t.Error("a head's own number of members has no effect")
	}
	if _, err := Load(noise); err != nil {
		t.Errorf("a network of members does not load: %v", err)
	}
}
