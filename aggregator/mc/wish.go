package mc

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// wishAll asks the ledger for the answers to requests that wait and can be answered now,
// where the ledger answers: those that end first, first. Of several that would be quoted
// the same seller first one is asked for, since the offer is kept for that one then. The
// caller holds mu.
func (c *Centre) wishAll(now time.Time) error {
	var waiting []ledger.Request
	wished := make(map[string]bool)
	for key, a := range c.open {
		if a.inFlight {
			wished[a.seller] = true
			continue
		}
		req, ok := c.state.Request(key.buyer, key.id)
		if !ok || req.Answered || req.ExpiresMs <= now.UnixMilli() {
			delete(c.open, key) // most are answered in their own block
			continue
		}
		if req.ExpiresMs > now.UnixMilli()+payMs { // its Token ends with it
			waiting = append(waiting, req)
		}
	}
	slices.SortFunc(waiting, func(a, b ledger.Request) int {
		return cmp.Or(cmp.Compare(a.ExpiresMs, b.ExpiresMs), cmp.Compare(a.Buyer, b.Buyer), cmp.Compare(a.ID, b.ID))
	})
	for _, req := range waiting {
		if len(c.pending) >= maxAnswers {
			c.changed = true // go on when some of them stand on the chain
			return nil
		}
		key := requestKey{req.Buyer, req.ID}
		a := c.open[key]
		answer, why := c.state.Answerable(req.Buyer, req.ID, max(now.UnixMilli(), c.state.TimeMs()+1))
		if answer == nil {
			if why != a.waitNote {
				a.waitNote = why
				c.cfg.Logger.Info("request waits", "buyer", req.Buyer, "request", req.ID, "why", why)
			}
			continue
		}
		seller := answer.GetQuotes()[0].GetSeller()
		if wished[seller] {
			continue
		}
		body := &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{RequestId: req.ID, Buyer: req.Buyer}}}
		if err := c.enqueue(body, &key, nil); err != nil {
			return fmt.Errorf("ask for the answer to request %s of %s: %w", req.ID, req.Buyer, err)
		}
		a.inFlight, a.seller, wished[seller] = true, seller, true
	}
	return nil
}
