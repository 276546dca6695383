package mc_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

// A centre's warning stands on the chain when Warn returns, and one that is over is
// refused with what was asked.
func TestCentreWarns(t *testing.T) {
	q := newQuickChain(t, ledgertest.Witnessed)
	centre, stop := q.centre(filepath.Join(t.TempDir(), "counter.db"))
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	now := time.Now().UnixMilli()
	w := &fairwattpb.WarningNotice{Area: "hill", Kind: "wind", FromMs: now, UntilMs: now + 3_600_000, SourceHash: make([]byte, 32)}
	if err := centre.Warn(ctx, w); err != nil {
		t.Fatal(err)
	}
	w = &fairwattpb.WarningNotice{Area: "hill", Kind: "wind", FromMs: 1, UntilMs: 2, SourceHash: make([]byte, 32)}
	if err := centre.Warn(ctx, w); !errors.Is(err, mc.ErrRefused) {
		t.Errorf("a warning of 1970: %v", err)
	}
}

// How energy is shared stands on the chain when Share returns; a meter that there is not is
// refused with what was asked.
func TestCentreShares(t *testing.T) {
	q := newQuickChain(t, ledgertest.Sharing)
	centre, stop := q.centre(filepath.Join(t.TempDir(), "counter.db"))
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shares := func(meter string) *fairwattpb.SharingTerms {
		return &fairwattpb.SharingTerms{PriceMicroPerKwh: 150_000, Shares: []*fairwattpb.Share{{Meter: meter, ShareE4: 10_000}}}
	}
	if err := centre.Share(ctx, shares("buyer-1-meter")); err != nil {
		t.Fatal(err)
	}
	if err := centre.Share(ctx, shares("ghost")); !errors.Is(err, mc.ErrRefused) {
		t.Errorf("a meter that there is not: %v", err)
	}
}
