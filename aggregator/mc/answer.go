package mc

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// maxAnswers bounds the answers on their way; registrations and deposits have the
// rest of the room.
const maxAnswers = maxPending / 2

// answerAll answers every open request that can be answered. The caller holds
// mu.
func (c *Centre) answerAll(now time.Time) error {
	if len(c.open) == 0 {
		return nil
	}
	c.lapse(now.UnixMilli())
	// By price: a request is looked into only as far as it can pay.
	sellers := c.sellers(now.UnixMilli())
	for key, a := range c.open {
		if a.inFlight {
			continue
		}
		if len(c.pending) >= maxAnswers {
			c.changed = true // go on when some of them stand on the chain
			return nil
		}
		req, ok := c.state.Request(key.buyer, key.id)
		if !ok || req.Answered || req.ExpiresMs <= now.UnixMilli() {
			delete(c.open, key)
			continue
		}
		resp, why := c.answer(req, sellers)
		if resp == nil {
			if why != a.waitNote {
				a.waitNote = why
				c.cfg.Logger.Info("request waits", "buyer", key.buyer, "request", key.id, "why", why)
			}
			continue
		}
		body := &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: resp}}
		if err := c.enqueue(body, &requestKey{key.buyer, key.id}, nil); err != nil {
			return fmt.Errorf("answer request %s of %s: %w", key.id, key.buyer, err)
		}
		a.inFlight = true
		c.reserve(resp, now.UnixMilli())
	}
	return nil
}

// payMs is how long an offer has to stand yet to be quoted: a payment takes its time.
const payMs = 2_000

// sellers returns the standing offers of sellers that may deliver now, in the
// order in which they are quoted, which is the one in which a buyer takes them: price, then
// credibility, volume, id.
func (c *Centre) sellers(nowMs int64) []*fairwattpb.Quote {
	var out []*fairwattpb.Quote
	for _, o := range c.state.Offers() {
		gate, ok := c.state.GateOf(o.Seller)
		if !ok || gate.State != fairwattpb.GateState_GATE_STATE_OPEN || o.VolumeWh <= 0 || o.ExpiresMs <= nowMs+payMs {
			continue
		}
		acc, limit, ok := c.state.AccountAt(o.Seller, nowMs)
		if !ok || acc.Blacklisted || acc.FinesDueMicro > 0 {
			continue
		}
		volume := bears(&acc, limit, o.VolumeWh, o.PriceMicroPerKWh)
		if volume == 0 || volume < c.cfg.Genesis.Params.MinLotWh {
			continue
		}
		out = append(out, &fairwattpb.Quote{
			OfferId: o.ID, Seller: o.Seller, PriceMicroPerKwh: o.PriceMicroPerKWh,
			VolumeWh: volume, CreditE6: acc.CreditE6,
		})
	}
	slices.SortFunc(out, func(a, b *fairwattpb.Quote) int {
		return cmp.Or(cmp.Compare(a.PriceMicroPerKwh, b.PriceMicroPerKwh), cmp.Compare(b.CreditE6, a.CreditE6),
			cmp.Compare(b.VolumeWh, a.VolumeWh), cmp.Compare(a.OfferId, b.OfferId), cmp.Compare(a.Seller, b.Seller))
	})
	return out
}

// bears is the part of a volume that an account may promise at a price: with robust
// credit bond and credit bound it.
func bears(acc *ledger.Account, limitMicro, volumeWh, priceMicroPerKWh int64) int64 {
	if limitMicro < 0 {
		return volumeWh
	}
	left := max(0, limitMicro-acc.ExposureMicro)
	if left >= volumeWh*priceMicroPerKWh/1000+1 {
		return volumeWh
	}
	return left * 1000 / priceMicroPerKWh // less than the volume, so the product is bounded
}

// answer returns the response to a request, or nil and why it has to wait.
func (c *Centre) answer(req ledger.Request, sellers []*fairwattpb.Quote) (*fairwattpb.Response, string) {
	acc, limit, ok := c.state.AccountAt(req.Buyer, c.cfg.Now().UnixMilli())
	if !ok || acc.Blacklisted || acc.FinesDueMicro > 0 {
		return nil, "the buyer has no account, is blacklisted, or has fines to pay"
	}
	volume := bears(&acc, limit, req.VolumeWh, req.MaxPriceMicroPerKWh)
	if volume == 0 || limit >= 0 && volume < c.cfg.Genesis.Params.MinLotWh {
		return nil, fmt.Sprintf("a bond of %d micro at a credit of %d bears %d, and %d are promised: bond more", acc.BondMicro, acc.CreditE6, limit, acc.ExposureMicro)
	}
	escrow, err := ledger.EscrowFor(volume, req.MaxPriceMicroPerKWh)
	if err != nil {
		return nil, err.Error()
	}
	if acc.WalletMicro < escrow {
		return nil, fmt.Sprintf("the wallet holds %d micro, the escrow needs %d", acc.WalletMicro, escrow)
	}
	var quotes []*fairwattpb.Quote
	kept := 0
	for _, q := range sellers {
		if q.PriceMicroPerKwh > req.MaxPriceMicroPerKWh || len(quotes) == ledger.MaxQuotes {
			break // they stand in the order of price
		}
		// One identity may sell and buy, but never in one trade (R3).
		switch {
		case q.Seller == req.Buyer:
		case c.kept(q):
			kept++
		default:
			quotes = append(quotes, q)
		}
	}
	if len(quotes) == 0 && kept > 0 {
		return nil, fmt.Sprintf("all %d offers at %d micro per kWh or less are quoted to others, who may pay first", kept, req.MaxPriceMicroPerKWh)
	}
	if len(quotes) == 0 {
		return nil, fmt.Sprintf("none of %d open sellers asks %d micro per kWh or less", len(sellers), req.MaxPriceMicroPerKWh)
	}
	return &fairwattpb.Response{
		RequestId: req.ID,
		Token: &fairwattpb.Token{
			TokenId: tokenID(req), Buyer: req.Buyer, EscrowMicro: escrow, VolumeWh: volume,
			ValidUntilMs: req.ExpiresMs, Kept: acc.Kept, Broken: acc.Broken,
		},
		Quotes: quotes,
	}, ""
}

// tokenID is the same however often a request is answered, so that two answers
// can never stand for two Tokens; it names the buyer for people, and tells apart
// a later request of the same id by its expiry.
func tokenID(req ledger.Request) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", req.Buyer, req.ID, req.ExpiresMs))
	return fmt.Sprintf("t-%.40s-%x", req.Buyer, sum[:6])
}
