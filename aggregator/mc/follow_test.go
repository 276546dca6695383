package mc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

// behind is a data aggregator that never says of a block above a height, and takes
// records.
type behind struct {
	*quickChain
	to uint64
}

func (b behind) Follow(ctx context.Context, from uint64, f func(*fairwattpb.CertifiedBlock) error) error {
	for h := from; h <= b.to; h++ {
		b.mu.Lock()
		cb := b.c.Blocks[h-1]
		b.mu.Unlock()
		if err := f(cb); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// forging hands over a block that no quorum has signed.
type forging struct{ *quickChain }

func (g forging) Follow(ctx context.Context, from uint64, f func(*fairwattpb.CertifiedBlock) error) error {
	return g.quickChain.Follow(ctx, from, func(cb *fairwattpb.CertifiedBlock) error {
		return f(&fairwattpb.CertifiedBlock{Block: cb.GetBlock(), Certificate: []byte("none")})
	})
}

// TestCentreLeavesOneThatHidesBlocks: an aggregator that is silent, or stays behind, or forges, hides
// no request from the centre, though nothing of the centre's own waits: it hears of the
// next block from another.
func TestCentreLeavesOneThatHidesBlocks(t *testing.T) {
	for name, chains := range map[string]func(q *quickChain) []mc.Chain{
		"silent":      func(q *quickChain) []mc.Chain { return []mc.Chain{behind{q, 0}, q, q, q} },
		"left behind": func(q *quickChain) []mc.Chain { return []mc.Chain{behind{q, 2}, q, q, q} },
		"two of them": func(q *quickChain) []mc.Chain { return []mc.Chain{behind{q, 0}, behind{q, 3}, q, q} },
		"forging":     func(q *quickChain) []mc.Chain { return []mc.Chain{behind{q, 0}, forging{q}, q, q} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.UnixMilli(ledgertest.StartMs))) // a bubble's clock begins before the chain
				q := newQuickChain(t)
				q.send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
					To: "buyer-1", AmountMicro: 1_000_000, Reference: "r"}}})
				q.seller("seller-1", 180_000, fairwattpb.GateState_GATE_STATE_OPEN, 1)
				q.send("buyer-1", request("q1", 180_000))
				ctx, cancel := context.WithCancel(t.Context())
				c, err := mc.NewCentre(mc.CentreConfig{ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: q.c.Genesis, Chains: chains(q)})
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				begin := time.Now()
				for len(q.responses()) == 0 && time.Since(begin) < time.Minute {
					time.Sleep(100 * time.Millisecond) // in the bubble
				}
				if took := time.Since(begin); len(q.responses()) != 1 || took > 15*time.Second {
					t.Errorf("%d answers after %v", len(q.responses()), took)
				}
				// And it stays with the chain's end from then on.
				q.seller("seller-2", 180_000, fairwattpb.GateState_GATE_STATE_OPEN, 1) // the first offer waits for its payment
				q.send("buyer-1", request("q2", 180_000))
				begin = time.Now()
				for len(q.responses()) == 1 && time.Since(begin) < time.Minute {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(begin); len(q.responses()) != 2 || took > 5*time.Second {
					t.Errorf("a second answer after %v", took)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
