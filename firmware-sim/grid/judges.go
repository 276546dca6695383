package grid

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// makeJudges gives a community with robust credit its arbiters.
func makeJudges(credit string) (arbiters []ledger.Arbiter, keys map[string]ed25519.PrivateKey, err error) {
	if credit != ledger.CreditRobust {
		return nil, nil, nil
	}
	keys = make(map[string]ed25519.PrivateKey)
	for _, id := range judges {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, fmt.Errorf("make an arbiter's key: %w", err)
		}
		keys[id] = key
		arbiters = append(arbiters, ledger.Arbiter{ID: id, PublicKey: seal.FormatKey(public)})
	}
	return arbiters, keys, nil
}

// arbitrate has both judges find what is true of the culprits' trades, until the context
// ends.
func (g *grid) arbitrate(ctx context.Context) error {
	if len(g.judgeKeys) == 0 || len(g.culprits) == 0 {
		return nil
	}
	tried := make(map[string]time.Time)
	for after(ctx, culpritEvery) {
		for id, finding := range g.accused(g.alive()[0].da.State()) {
			if time.Since(tried[id]) < culpritAnswer {
				continue
			}
			tried[id] = time.Now()
			for _, judge := range judges {
				v := &fairwattpb.Verdict{TradeId: id, Finding: finding, TextHash: make([]byte, 32)}
				limited, cancel := context.WithTimeout(ctx, culpritAnswer)
				if err := g.centre.Verdict(limited, judge, g.judgeKeys[judge], v); err != nil && ctx.Err() == nil {
					g.log.Debug("verdict", "err", err)
				}
				cancel()
			}
		}
	}
	return nil
}

// accused are the culprits' trades that need a verdict, of a gap or of a false word, and
// what is true of them.
func (g *grid) accused(state *ledger.State) map[string]fairwattpb.Finding {
	found := make(map[string]fairwattpb.Finding)
	if state.Genesis().Params.Credit != ledger.CreditRobust || len(g.culprits) == 0 {
		return found
	}
	kind := func(id string) string {
		if c := g.culprit(id); c != nil {
			return c.kind
		}
		return ""
	}
	for _, t := range state.Trades(func(t *ledger.Trade) bool { return t.EndedMs != 0 && !t.Judged }) {
		gap, unused := t.GapMicro > 0, t.BilledWh == 0 && t.AvailableWh > 0
		switch s, b := kind(t.Seller), kind(t.Buyer); {
		case gap && (s == Tamper || s == TamperHalf), unused && s == FalseReady:
			found[t.ID] = fairwattpb.Finding_FINDING_SELLER
		case gap && b == HidingBuyer, unused && b == RefuseToTake:
			found[t.ID] = fairwattpb.Finding_FINDING_BUYER
		}
	}
	return found
}
