package mc

import (
	"time"

	"fairwatt/proto/fairwattpb"
)

// reservedFor is how long an offer is kept for the buyer that it was quoted to first,
// at most. A payment takes a second or two.
const reservedFor = 15 * time.Second

// A reservation is an offer that was quoted to one buyer first. Nobody else is quoted it
// until that one has paid, or could have: two that choose the same offer would have one of
// them refused.
type reservation struct {
	token   string
	buyer   string
	untilMs int64
}

// reserve keeps the offer that a response names first, for its buyer, who takes the first
// one too. A buyer that let its last one lapse keeps none: it may ask and pay as anyone,
// and holds nothing up for others.
func (c *Centre) reserve(r *fairwattpb.Response, nowMs int64) {
	token := r.GetToken()
	if len(r.GetQuotes()) == 0 || c.lapsed[token.GetBuyer()] {
		return
	}
	until := min(token.GetValidUntilMs(), nowMs+reservedFor.Milliseconds())
	if until > nowMs {
		c.reserved[offerKey(r.GetQuotes()[0])] = reservation{token.GetTokenId(), token.GetBuyer(), until}
	}
}

// kept tells whether an offer is kept for someone's payment.
func (c *Centre) kept(q *fairwattpb.Quote) bool {
	_, kept := c.reserved[offerKey(q)]
	return kept
}

// lapse ends the reservations whose time is over.
func (c *Centre) lapse(nowMs int64) {
	for offer, r := range c.reserved {
		if nowMs >= r.untilMs {
			delete(c.reserved, offer)
			c.lapsed[r.buyer] = true
		}
	}
}

// offerKey tells offers of the same id apart, which two sellers may choose.
func offerKey(q *fairwattpb.Quote) string { return q.GetSeller() + "/" + q.GetOfferId() }

// free ends the reservations of a token: it was paid with, or never came to be.
func (c *Centre) free(token string) {
	for offer, r := range c.reserved {
		if r.token == token {
			delete(c.reserved, offer)
		}
	}
}

// pays takes a payment that stands in a block, whatever became of it.
func (c *Centre) pays(buyer string, p *fairwattpb.Pay) {
	c.free(p.GetTokenId())
	delete(c.lapsed, buyer)
}
