package trade

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// BuyerConfig is the buying side of a device. All times are of the wall clock.
type BuyerConfig struct {
	Device         string
	Circuits       []CircuitConfig
	RequestTTLMs   int64 // how long a request asks for an answer
	RequestEveryMs int64 // pause between the end of one trade and the next request of a circuit
	SettleMs       int64 // how long the own meter must stand still before it is believed
	DisputeAfterMs int64 // how long the own meter may lag behind a bill
	LossE4         int64 // of the line between seller and buyer, in 1e-4
	ClassE4        int64 // accuracy class of both meters together, in 1e-4
	ToleranceWh    int64 // pulses that may be cut off at either end
	RetryMs        int64
	GiveUpMs       int64 // after a payment; then the trade is forgotten
	ByLedger       bool  // the chain's ledger answers; a payment names choices
}

// A CircuitConfig is one circuit with its own meter: one trade at a time.
type CircuitConfig struct {
	Name                string
	Meter               string // id of its meter
	VolumeWh            int64
	MaxPriceMicroPerKWh int64
}

// BuyerInput is what the buyer sees at one step.
type BuyerInput struct {
	WallMs      int64
	ClockSynced bool
	NoRequests  bool             // finish what runs, begin nothing
	Registers   map[string]int64 // by circuit; a missing one cannot be read
	Outcomes    []Outcome
	Terms       Terms
	Day         int64  // number of the local day
	WalletMicro *int64 // nil: not known
}

// The phases of a circuit.
const (
	buyIdle       = "idle"
	buyRequesting = "requesting" // Request sent
	buyChoosing   = "choosing"   // has a Token and quotes
	buyPaying     = "paying"     // Pay sent
	buyPaid       = "paid"       // waits for the Bill
	buyBilled     = "billed"     // compares with the own meter
	buyConfirming = "confirming" // Confirm sent
)

// A Circuit is the state of one circuit's trade.
type Circuit struct {
	Phase       string            `json:"phase"`
	SinceWallMs int64             `json:"since_wall_ms"`
	RetryWallMs int64             `json:"retry_wall_ms,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	EndMs       int64             `json:"end_ms,omitempty"` // of the request, then of the token
	Token       *fairwattpb.Token `json:"token,omitempty"`
	Quotes      []Candidate       `json:"quotes,omitempty"`
	Tried       []string          `json:"tried,omitempty"` // offers that refused this token
	Offer       string            `json:"offer,omitempty"`
	Seller      string            `json:"seller,omitempty"` // of the lot that the ledger took
	PriceMicro  int64             `json:"price_micro,omitempty"`
	Passed      string            `json:"passed,omitempty"`   // which choices it passed over, and why
	StartWh     int64             `json:"start_wh,omitempty"` // register at the Pay
	PaidWh      int64             `json:"paid_wh,omitempty"`
	BilledWh    int64             `json:"billed_wh,omitempty"`
	SeenWh      int64             `json:"seen_wh,omitempty"` // register after the bill
	SeenMs      int64             `json:"seen_ms,omitempty"` // since when it shows that
	Confirms    int               `json:"confirms,omitempty"`
}

// Idle says whether the circuit has no trade.
func (c *Circuit) Idle() bool { return c.Phase == buyIdle }

// maxConfirms bounds the attempts at a refused Confirm; maxQuotes the quotes
// looked at.
const (
	maxConfirms = 5
	maxQuotes   = 256
)

// A Buyer is the buyer's side of trades as a state machine: no clock, no I/O.
// Its exported fields are its whole state.
type Buyer struct {
	cfg BuyerConfig

	Counter  uint64              `json:"counter"` // of requests
	Circuits map[string]*Circuit `json:"circuits"`
	Today    Day                 `json:"today,omitzero"` // billed

	out []Action
}

// NewBuyer returns a buyer without trades; unmarshal a kept state into it.
func NewBuyer(cfg BuyerConfig) *Buyer {
	return &Buyer{cfg: cfg, Circuits: make(map[string]*Circuit)}
}

// Step takes what happened and returns what to do, in order.
func (b *Buyer) Step(in BuyerInput) []Action {
	b.out = nil
	b.Today.turn(in.Day, in.ClockSynced)
	for _, v := range in.Outcomes {
		wanted := false
		for _, c := range b.Circuits {
			wanted = b.byLedger(in, v, c) || wanted
			b.outcome(in, v, c)
		}
		if t := v.Trade.GetAnswer().GetToken(); b.cfg.ByLedger && !wanted && t.GetBuyer() == b.cfg.Device {
			b.release(t.GetTokenId()) // the answer to a request that was given up
		}
	}
	for _, cfg := range b.cfg.Circuits {
		c := b.Circuits[cfg.Name]
		if c == nil {
			c = &Circuit{Phase: buyIdle}
			b.Circuits[cfg.Name] = c
		}
		b.step(in, cfg, c)
	}
	return b.out
}

func (b *Buyer) send(record *fairwattpb.Record, why *Choice) {
	b.out = append(b.out, Action{Record: record, Why: why})
}

func (c *Circuit) enter(phase string, wallMs int64) {
	c.Phase, c.SinceWallMs, c.RetryWallMs = phase, wallMs, 0
}

// free ends the circuit's trade; the next request comes after the pause.
func (b *Buyer) free(in BuyerInput, c *Circuit, pauseMs int64) {
	switch c.Phase {
	case buyBilled, buyConfirming:
		b.Today.Wh += c.BilledWh
	case buyPaying, buyPaid:
		b.Today.Wh += c.PaidWh // no one has said that less came
	}
	*c = Circuit{Phase: buyIdle, SinceWallMs: in.WallMs, RetryWallMs: in.WallMs + pauseMs}
}

// outcome takes one outcome for one circuit.
func (b *Buyer) outcome(in BuyerInput, v Outcome, c *Circuit) {
	refused := v.Own && !v.Applied
	switch body := v.Record.GetBody().(type) {
	case *fairwattpb.Record_Request:
		if refused && c.Phase == buyRequesting && body.Request.GetRequestId() == c.RequestID {
			b.free(in, c, b.cfg.RetryMs)
		}
	case *fairwattpb.Record_Response:
		if v.Applied && v.Height > 0 && c.Phase == buyRequesting && body.Response.GetRequestId() == c.RequestID {
			b.answered(in, c, body.Response)
		}
	case *fairwattpb.Record_Pay:
		if c.Phase != buyPaying || !v.Own || body.Pay.GetTokenId() != c.Token.GetTokenId() {
			break
		}
		switch {
		case v.Applied:
			c.took(v.Trade)
			c.enter(buyPaid, in.WallMs)
		case b.cfg.ByLedger:
			b.giveBack(in, c) // no choice is left: it asks again
		default:
			// The token is still ours: another quote may do.
			c.Tried = append(c.Tried, c.Offer)
			c.enter(buyChoosing, in.WallMs)
		}
	case *fairwattpb.Record_Bill:
		if v.Applied && v.Height > 0 && body.Bill.GetTradeId() == c.Token.GetTokenId() &&
			(c.Phase == buyPaid || c.Phase == buyPaying) {
			c.BilledWh = body.Bill.GetEnergyWh()
			c.enter(buyBilled, in.WallMs)
		}
	case *fairwattpb.Record_Confirm:
		if refused && c.Phase == buyConfirming && body.Confirm.GetTradeId() == c.Token.GetTokenId() {
			c.Phase, c.RetryWallMs = buyBilled, in.WallMs+b.cfg.RetryMs
		}
	}
	if n := v.Trade; n.GetStatus() == wire.StatusBilled && c.Token != nil && n.GetTradeId() == c.Token.GetTokenId() &&
		(c.Phase == buyPaid || c.Phase == buyPaying) {
		// Billed by the ledger: the seller fell silent, or its hazard lasted. What
		// the own meter counted is asked for all the same.
		c.enter(buyBilled, in.WallMs)
	}
	if n := v.Trade; n != nil && c.Token != nil && n.GetTradeId() == c.Token.GetTokenId() && wire.Ended(n.GetStatus()) {
		e := ended(v, wire.SideBuy, c.seller(), c.PaidWh, c.price())
		e.Passed = c.Passed
		b.out = append(b.out, Action{Ended: e})
		c.Phase, c.BilledWh = buyBilled, e.EnergyWh
		b.free(in, c, b.cfg.RequestEveryMs)
	}
}

// chosen is the quote that was paid; zero before.
func (c *Circuit) chosen() (out Candidate) {
	for _, q := range c.Quotes {
		if q.OfferID == c.Offer {
			out = q
		}
	}
	return out
}

func (c *Circuit) seller() string { return cmp.Or(c.Seller, c.chosen().Seller) }
func (c *Circuit) price() int64   { return cmp.Or(c.PriceMicro, c.chosen().PriceMicroPerKWh) }

// answered takes the MC's quotes.
func (b *Buyer) answered(in BuyerInput, c *Circuit, r *fairwattpb.Response) {
	if r.GetToken().GetBuyer() != b.cfg.Device || r.GetToken().GetTokenId() == "" {
		return
	}
	c.Token, c.EndMs, c.Quotes = r.GetToken(), r.GetToken().GetValidUntilMs(), nil
	for _, q := range r.GetQuotes()[:min(len(r.GetQuotes()), maxQuotes)] {
		c.Quotes = append(c.Quotes, Candidate{
			OfferID: q.GetOfferId(), Seller: q.GetSeller(), PriceMicroPerKWh: q.GetPriceMicroPerKwh(),
			CreditE6: q.GetCreditE6(), VolumeWh: q.GetVolumeWh(),
		})
	}
	c.enter(buyChoosing, in.WallMs)
}

// step moves one circuit by time and meter.
func (b *Buyer) step(in BuyerInput, cfg CircuitConfig, c *Circuit) {
	switch c.Phase {
	case buyIdle:
		b.request(in, cfg, c)
	case buyRequesting:
		if in.WallMs >= c.EndMs {
			b.free(in, c, 0)
			b.request(in, cfg, c)
		}
	case buyChoosing:
		b.choose(in, cfg, c)
	case buyPaying, buyPaid, buyConfirming:
		if in.WallMs-c.SinceWallMs >= b.cfg.GiveUpMs {
			b.free(in, c, 0)
		}
	case buyBilled:
		b.confirm(in, cfg, c)
	}
}

func (b *Buyer) request(in BuyerInput, cfg CircuitConfig, c *Circuit) {
	_, meterOK := in.Registers[cfg.Name]
	if in.NoRequests || in.Terms.Stop || !in.ClockSynced || !meterOK || in.WallMs < c.RetryWallMs || !b.within(in, cfg) {
		return
	}
	price := highest(in.Terms, cfg)
	if in.Terms.DryRun {
		c.RetryWallMs = in.WallMs + max(b.cfg.RequestEveryMs, dryEveryMs)
		b.out = append(b.out, Action{Would: &Would{wire.SideBuy, cfg.VolumeWh, price}})
		return
	}
	b.Counter++
	c.enter(buyRequesting, in.WallMs)
	c.RequestID = fmt.Sprintf("%s-request-%d", b.cfg.Device, b.Counter)
	c.EndMs = in.WallMs + b.cfg.RequestTTLMs
	b.send(&fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: c.RequestID, VolumeWh: cfg.VolumeWh,
		MaxPriceMicroPerKwh: price, ExpiresMs: c.EndMs,
	}}}, nil)
}

// dryEveryMs is how often a dry run says the same at most.
const dryEveryMs = 60_000

// highest is the highest price that a circuit pays.
func highest(t Terms, cfg CircuitConfig) int64 {
	return cmp.Or(t.PriceMicroPerKWh, cfg.MaxPriceMicroPerKWh)
}

// within says whether a request stays within the owner's daily amount and leaves the
// money that the wallet is to keep. What runs counts as if all of it came.
func (b *Buyer) within(in BuyerInput, cfg CircuitConfig) bool {
	wh, micro := b.Today.Wh+cfg.VolumeWh, AmountMicro(cfg.VolumeWh, highest(in.Terms, cfg))+1
	for _, other := range b.cfg.Circuits {
		c := b.Circuits[other.Name]
		switch {
		case c == nil || c.Idle():
		case c.Phase == buyRequesting: // its money is in the wallet still
			wh, micro = wh+other.VolumeWh, micro+AmountMicro(other.VolumeWh, highest(in.Terms, other))+1
		default:
			wh += max(c.PaidWh, c.BilledWh, c.Token.GetVolumeWh())
		}
	}
	if in.Terms.DailyWh > 0 && wh > in.Terms.DailyWh {
		return false
	}
	// Money that no one has told of yet keeps nothing.
	return in.Terms.ReserveMicro == 0 || in.WalletMicro != nil && *in.WalletMicro-micro >= in.Terms.ReserveMicro
}

// choiceRule is the order in which quotes are compared.
const choiceRule = "lowest price, then highest credit, then largest volume, then offer id"

// rank sorts the quotes best first and says why some cannot be chosen.
func (b *Buyer) rank(t Terms, cfg CircuitConfig, c *Circuit) []Candidate {
	quotes := slices.Clone(c.Quotes)
	for i := range quotes {
		q := &quotes[i]
		switch {
		case slices.Contains(c.Tried, q.OfferID):
			q.Refused = "already_refused"
		case q.PriceMicroPerKWh > highest(t, cfg):
			q.Refused = "over_max_price"
		case q.VolumeWh <= 0 || q.Seller == b.cfg.Device:
			q.Refused = "not_for_us"
		case AmountMicro(min(c.Token.GetVolumeWh(), q.VolumeWh), q.PriceMicroPerKWh) > c.Token.GetEscrowMicro():
			q.Refused = "over_escrow"
		}
	}
	sort.SliceStable(quotes, func(i, j int) bool {
		x, y := &quotes[i], &quotes[j]
		return cmp.Or(
			cmp.Compare(refusedRank(*x), refusedRank(*y)),
			cmp.Compare(x.PriceMicroPerKWh, y.PriceMicroPerKWh),
			cmp.Compare(y.CreditE6, x.CreditE6),
			cmp.Compare(y.VolumeWh, x.VolumeWh),
			cmp.Compare(x.OfferID, y.OfferID),
		) < 0
	})
	return quotes
}

// refusedRank puts the quotes that cannot be chosen last.
func refusedRank(c Candidate) int {
	if c.Refused != "" {
		return 1
	}
	return 0
}

// choose pays the best quote that has not refused yet.
func (b *Buyer) choose(in BuyerInput, cfg CircuitConfig, c *Circuit) {
	register, meterOK := in.Registers[cfg.Name]
	if in.WallMs >= c.EndMs {
		b.free(in, c, 0) // the ledger gives the escrow back
		return
	}
	quotes := b.rank(in.Terms, cfg, c)
	if b.cfg.ByLedger {
		b.payByChoices(in, cfg, c, quotes)
		return
	}
	if in.Terms.Stop || in.Terms.DryRun {
		return // to pay is to begin
	}
	if len(quotes) == 0 || quotes[0].Refused != "" || !meterOK || !in.ClockSynced {
		return // the token's end frees the circuit
	}
	best := quotes[0]
	why := &Choice{RequestID: c.RequestID, Rule: choiceRule, Chosen: best.OfferID, Candidates: quotes}
	volume := min(c.Token.GetVolumeWh(), best.VolumeWh)
	c.enter(buyPaying, in.WallMs)
	c.Offer, c.StartWh, c.PaidWh = best.OfferID, register, volume
	b.send(&fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: c.Token.GetTokenId(), OfferId: best.OfferID, Seller: best.Seller, VolumeWh: volume,
		PriceMicroPerKwh: best.PriceMicroPerKWh, AmountMicro: AmountMicro(volume, best.PriceMicroPerKWh),
		BuyerReading: &fairwattpb.MeterReading{Meter: cfg.Meter, RegisterWh: register, TimeMs: in.WallMs},
	}}}, why)
}

// confirm compares a bill with the own meter, read after the bill came. The last
// pulses may be on their way, so the meter is believed when it stands still, or
// after a quarter of the time to dispute if other loads keep it moving. A meter
// that shows too little gets all of that time.
func (b *Buyer) confirm(in BuyerInput, cfg CircuitConfig, c *Circuit) {
	register, meterOK := in.Registers[cfg.Name]
	waited := in.WallMs - c.SinceWallMs
	if waited <= 0 || in.WallMs < c.RetryWallMs {
		return
	}
	if register != c.SeenWh || c.SeenMs == 0 {
		c.SeenWh, c.SeenMs = register, in.WallMs
	}
	if in.WallMs-c.SeenMs < b.cfg.SettleMs && waited < b.cfg.DisputeAfterMs/4 {
		return
	}
	received := max(0, register-c.StartWh)
	due := c.BilledWh*(10000-b.cfg.LossE4-b.cfg.ClassE4)/10000 - b.cfg.ToleranceWh
	accepted := meterOK && received >= due
	if !accepted && waited < b.cfg.DisputeAfterMs {
		return
	}
	if c.Confirms++; c.Confirms > maxConfirms || !meterOK {
		b.free(in, c, b.cfg.RequestEveryMs) // the seller's reading settles
		return
	}
	reason := ""
	if !accepted {
		reason = fmt.Sprintf("own meter counted %d Wh of %d Wh billed, at least %d Wh expected", received, c.BilledWh, due)
	}
	since := c.SinceWallMs
	c.enter(buyConfirming, in.WallMs)
	c.SinceWallMs = since // the retry goes on where the wait was
	b.send(&fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
		TradeId:  c.Token.GetTokenId(),
		Reading:  &fairwattpb.MeterReading{Meter: cfg.Meter, RegisterWh: register, TimeMs: in.WallMs},
		EnergyWh: received, Accepted: accepted, Reason: reason,
	}}}, nil)
}
