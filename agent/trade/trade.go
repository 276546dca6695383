package trade

import (
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// An Outcome is what became of a record, decoded: what the traders see of the
// chain.
type Outcome struct {
	ID      [32]byte
	Own     bool   // this device sent the record
	Height  uint64 // 0: refused before any block
	Applied bool
	Code    string // of the refusal, machine-readable
	Reason  string
	Record  *fairwattpb.Record      // nil when the block changed a trade without a record
	Trade   *fairwattpb.TradeNotice // nil when no trade changed
}

// An Action is what a trader wants done; exactly one of Record, CloseFor, OpenFor,
// Ended and Would is set.
type Action struct {
	// Record is to be sealed; the agent adds chain, sender, counter and time.
	Record *fairwattpb.Record
	// Attest has the agent put its fresh gate attestation into the Start or
	// Resume of Record.
	Attest bool
	// CloseFor lets the energy of a trade flow, OpenFor ends it.
	CloseFor *Delivery
	OpenFor  string
	// Ended tells of a trade that has ended, Would what a dry run does not do. Both are
	// for the owner only.
	Ended *wire.PastTrade
	Would *Would
	// Why explains a choice, for log and view.
	Why *Choice
}

// A Delivery is what a Contactor is told of a trade.
type Delivery struct {
	TradeID    string `json:"trade_id"`
	Buyer      string `json:"buyer"`
	BuyerMeter string `json:"buyer_meter"` // as the Pay names it
	VolumeWh   int64  `json:"volume_wh"`
}

// A Contactor is the way a delivery takes to the buyer. A wired one drives a
// relay of the trade's metered branch; NoContactor does nothing, for plants
// where power flows into the grid anyway and the trade is an account of it.
// It is never a protection device: the agent opens it on a hazard, but forces
// no generator off the grid.
type Contactor interface {
	// Close lets the delivery's energy flow, from now on.
	Close(d Delivery) error
	// Open ends it. When it returns, the seller's meter no longer counts for
	// the trade. Opening what is open is no error.
	Open(tradeID string) error
}

// NoContactor is the Contactor of a plant without one.
type NoContactor struct{}

// Close implements Contactor.
func (NoContactor) Close(Delivery) error { return nil }

// Open implements Contactor.
func (NoContactor) Open(string) error { return nil }

// A Choice explains why a quote was chosen.
type Choice struct {
	RequestID  string      `json:"request_id"`
	Rule       string      `json:"rule"` // the order of comparison
	Chosen     string      `json:"chosen,omitempty"`
	Candidates []Candidate `json:"candidates"` // best first
}

// A Candidate is one quote of a Choice.
type Candidate struct {
	OfferID          string `json:"offer_id"`
	Seller           string `json:"seller"`
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	CreditE6         int64  `json:"credit_e6"`
	VolumeWh         int64  `json:"volume_wh"`
	Refused          string `json:"refused,omitempty"` // why it cannot be chosen
}

// AmountMicro is the price of an energy, rounded down to whole millionths, so
// that no rounding ever charges more than was metered.
func AmountMicro(energyWh, priceMicroPerKWh int64) int64 {
	// Split, so that 9e12 Wh at 1e9 does not overflow.
	return energyWh/1000*priceMicroPerKWh + energyWh%1000*priceMicroPerKWh/1000
}
