package trade

import (
	"cmp"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// SellerConfig is the selling side of a device. Times named Ms are of the
// wall clock but for DeliveryMs, which is of the sensing clock.
type SellerConfig struct {
	Device           string
	Meter            string // id of the meter whose register bills
	PriceMicroPerKWh int64
	Contactor        fairwattpb.Contactor // told with each offer
	MinWh, MaxWh     int64                // offers below MinWh are not made
	DeliveryMs       int64                // how long one delivery is meant to last
	OfferTTLMs       int64
	StartWindowMs    int64 // after the Pay was seen; then the trade is given up
	DeliverWindowMs  int64 // after the start; then what was metered is billed
	ResumeWindowMs   int64 // after a hold; then what was metered is billed
	RetryMs          int64 // between attempts at a refused record
	GiveUpMs         int64 // after the bill; then the trade is forgotten
}

// SellerInput is what the seller sees at one step.
type SellerInput struct {
	SensingMs, WallMs int64
	ClockSynced       bool // without it nothing with a time limit is signed
	GateOpen          bool
	// Interrupted is the delivering trade whose contactor is open although the
	// seller did not ask for that; empty for none.
	Interrupted string
	GateSeq     uint64
	Causes      []*fairwattpb.Cause // why the gate is not open
	RegisterWh  int64
	MeterOK     bool
	ExpectedWh  int64 // forecast over one delivery
	Outcomes    []Outcome
	Terms       Terms
	Day         int64 // number of the local day
}

// The phases of a trade at the seller.
const (
	sellPaid       = "paid"       // waits for an open gate
	sellStarting   = "starting"   // Start sent
	sellDelivering = "delivering" // contactor closed
	sellStopping   = "stopping"   // contactor opened, the last pulses are counted
	sellHeld       = "held"       // hazard; Hold sent
	sellResuming   = "resuming"   // Resume sent
	sellBilled     = "billed"     // Bill sent
)

// A Sale is one trade at the seller.
type Sale struct {
	Delivery
	PayID            []byte `json:"pay_id"`
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	Phase            string `json:"phase"`
	SinceWallMs      int64  `json:"since_wall_ms"` // of the phase
	RetryWallMs      int64  `json:"retry_wall_ms,omitempty"`
	RanMs            int64  `json:"ran_ms"`                    // sensing time delivered so far
	DeliveredWh      int64  `json:"delivered_wh"`              // counted while the contactor was closed
	RunFromWh        int64  `json:"run_from_wh"`               // register up to which DeliveredWh counts
	StartedWallMs    int64  `json:"started_wall_ms,omitempty"` // the first Start was sent
	Bills            int    `json:"bills,omitempty"`
	AvailableWhMs    int64  `json:"available_wh_ms,omitempty"` // forecast of a delivery times the time delivered
	ReadWallMs       int64  `json:"read_wall_ms,omitempty"`    // of the last Start, Resume or Reading
	lastSensingMs    int64  // of the present run; 0 outside one
	begun            bool   // in this step
	opened           bool   // the phase began with its contactor opening
}

// holdAgainMs is how long a refused reading of a hold is stated again.
const holdAgainMs = 30_000

// readEveryMs is how often a running delivery states its register: a seller that
// falls silent is billed by the last reading.
// Where the chain gives little time it does so at least readTimes in it.
const (
	readEveryMs = 60_000
	readTimes   = 6
)

// maxAvailableWh is the most that a record may say: 1 GWh.
const maxAvailableWh = 1_000_000_000

// maxBills bounds the attempts at a refused Bill.
const maxBills = 5

// A Seller is the seller's side of trades as a state machine: no clock, no
// I/O. Its exported fields are its whole state, kept by the agent in the same
// transaction as the records it asks for. One trade delivers at a time;
// others that were paid wait their turn.
type Seller struct {
	cfg SellerConfig

	Counter     uint64  `json:"counter"` // of offers
	OfferID     string  `json:"offer_id,omitempty"`
	OfferWh     int64   `json:"offer_wh,omitempty"`
	OfferEndMs  int64   `json:"offer_end_ms,omitempty"`
	OfferTerms  Terms   `json:"offer_terms,omitzero"` // under which it was made
	NextOfferMs int64   `json:"next_offer_ms,omitempty"`
	Trades      []*Sale `json:"trades,omitempty"`
	Today       Day     `json:"today,omitzero"` // billed
	Outlook     outlook `json:"outlook"`

	dryMs int64 // when a dry run says the next offer
	out   []Action
}

// NewSeller returns a seller without trades; unmarshal a kept state into it.
func NewSeller(cfg SellerConfig) *Seller { return &Seller{cfg: cfg} }

// Restarted is called once after a kept state was read: no contactor is
// closed now, whatever the state says. What the meter counted since is the
// trade's, as the contactor may have stayed closed while the agent was away.
func (s *Seller) Restarted(registerWh int64) {
	for _, t := range s.Trades {
		if t.Phase == sellDelivering {
			t.count(registerWh)
			t.lastSensingMs = 0
		}
	}
}

// Step takes what happened and returns what to do, in order. The caller opens
// the contactor of a running delivery itself, before Step, when the gate is
// not open: RegisterWh is then the reading the Hold states.
func (s *Seller) Step(in SellerInput) []Action {
	s.out = nil
	s.Today.turn(in.Day, in.ClockSynced)
	for _, v := range in.Outcomes {
		s.outcome(in, v)
	}
	s.Outlook.step(in.SensingMs, s.cfg.DeliveryMs, in.ExpectedWh)
	s.offer(in)
	busy := false
	for _, t := range s.Trades {
		if busy && t.Phase == sellPaid {
			s.expire(in, t)
			continue
		}
		s.step(in, t)
		busy = busy || t.Phase != sellBilled
	}
	kept := s.Trades[:0]
	for _, t := range s.Trades {
		if t.begun && t.Phase == sellDelivering && in.GateOpen {
			// Last, and only if nothing in this step has ended it again.
			s.out = append(s.out, Action{CloseFor: &t.Delivery})
		}
		if t.begun = false; t.Phase != "" {
			kept = append(kept, t)
		}
	}
	s.Trades = kept
	return s.out
}

func (s *Seller) send(record *fairwattpb.Record, attest bool) {
	s.out = append(s.out, Action{Record: record, Attest: attest})
}

// trade finds a trade by id; nil for none.
func (s *Seller) trade(id string) *Sale {
	for _, t := range s.Trades {
		if t.TradeID == id && t.Phase != "" {
			return t
		}
	}
	return nil
}

// outcome takes one outcome.
func (s *Seller) outcome(in SellerInput, v Outcome) {
	s.lot(in, v)
	switch body := v.Record.GetBody().(type) {
	case *fairwattpb.Record_Pay:
		if v.Applied && v.Height > 0 {
			s.paid(in, v, body.Pay)
		}
	case *fairwattpb.Record_Offer:
		if v.Own && !v.Applied && body.Offer.GetOfferId() == s.OfferID {
			s.OfferID, s.NextOfferMs = "", in.WallMs+s.cfg.RetryMs
		}
	case *fairwattpb.Record_Start:
		s.began(in, v, s.trade(body.Start.GetTradeId()), sellStarting, sellPaid)
	case *fairwattpb.Record_Resume:
		s.began(in, v, s.trade(body.Resume.GetTradeId()), sellResuming, sellHeld)
	case *fairwattpb.Record_Hold:
		s.holdRefused(in, v, body.Hold)
	case *fairwattpb.Record_Bill:
		t := s.trade(body.Bill.GetTradeId())
		if t != nil && v.Own && !v.Applied && t.Phase == sellBilled {
			t.Phase, t.RetryWallMs = sellStopping, in.WallMs+s.cfg.RetryMs
		}
	}
	if n := v.Trade; n != nil && wire.Ended(n.GetStatus()) {
		if t := s.trade(n.GetTradeId()); t != nil {
			s.open(t)
			t.Phase = ""
			e := ended(v, wire.SideSell, t.Buyer, t.VolumeWh, t.PriceMicroPerKWh)
			if t.Bills == 0 {
				s.Today.Wh += e.EnergyWh // the ledger billed it
			}
			s.out = append(s.out, Action{Ended: e})
		}
	}
}

// holdRefused states the reading of a hold again when its record stood in front of
// the gate change that holds the delivery. The chain takes it for a minute.
func (s *Seller) holdRefused(in SellerInput, v Outcome, h *fairwattpb.Hold) {
	t := s.trade(h.GetTradeId())
	if t == nil || !v.Own || v.Applied || v.Code != wire.CodeHoldWithoutHazard ||
		t.Phase != sellHeld && t.Phase != sellResuming || in.WallMs-t.SinceWallMs >= holdAgainMs {
		return
	}
	s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Hold{Hold: &fairwattpb.Hold{
		TradeId: h.GetTradeId(), GateSeq: h.GetGateSeq(), Causes: h.GetCauses(), Reading: h.GetReading(),
	}}}, false)
}

// paid admits a trade: the Pay stands in a block.
func (s *Seller) paid(in SellerInput, v Outcome, pay *fairwattpb.Pay) {
	if pay.GetSeller() != s.cfg.Device || pay.GetVolumeWh() <= 0 || s.trade(pay.GetTokenId()) != nil {
		return
	}
	s.Trades = append(s.Trades, &Sale{
		Delivery: Delivery{
			TradeID: pay.GetTokenId(), Buyer: v.Record.GetSender(),
			BuyerMeter: pay.GetBuyerReading().GetMeter(), VolumeWh: pay.GetVolumeWh(),
		},
		PayID: append([]byte(nil), v.ID[:]...), PriceMicroPerKWh: pay.GetPriceMicroPerKwh(),
		Phase: sellPaid, SinceWallMs: in.WallMs,
	})
	if pay.GetOfferId() == s.OfferID {
		s.OfferWh -= pay.GetVolumeWh()
	}
}

// began handles the outcome of a Start or Resume.
func (s *Seller) began(in SellerInput, v Outcome, t *Sale, waiting, back string) {
	if t == nil || !v.Own || t.Phase != waiting {
		return
	}
	if !v.Applied {
		t.Phase, t.RetryWallMs = back, in.WallMs+s.cfg.RetryMs
		return
	}
	t.enter(sellDelivering, in.WallMs)
	if t.StartedWallMs == 0 {
		t.StartedWallMs = in.WallMs
	}
	t.RunFromWh, t.lastSensingMs, t.begun = in.RegisterWh, in.SensingMs, true
	t.ReadWallMs = in.WallMs
}

func (t *Sale) enter(phase string, wallMs int64) {
	t.Phase, t.SinceWallMs, t.RetryWallMs, t.opened = phase, wallMs, 0, false
}

// count adds what the meter counted since the last count.
func (t *Sale) count(registerWh int64) {
	if registerWh > t.RunFromWh {
		t.DeliveredWh += registerWh - t.RunFromWh
		t.RunFromWh = registerWh
	}
}

// open ends the flow of a delivery.
func (s *Seller) open(t *Sale) {
	if t.Phase == sellDelivering {
		t.lastSensingMs = 0
		s.out = append(s.out, Action{OpenFor: t.TradeID})
	}
}

// offer keeps the one standing offer in step with the gate, the forecast and the
// owner's terms.
func (s *Seller) offer(in SellerInput) {
	busy := false
	for _, t := range s.Trades {
		busy = busy || (t.Phase != sellBilled && t.Phase != "")
	}
	if s.OfferID != "" && in.WallMs >= s.OfferEndMs {
		s.OfferID = ""
	}
	if s.OfferID != "" && (busy || !in.GateOpen || in.Terms != s.OfferTerms) {
		// Volume 0 withdraws: what is taken, unsafe, or meant otherwise is not for sale.
		s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
			OfferId: s.OfferID, PriceMicroPerKwh: s.price(s.OfferTerms), ExpiresMs: s.OfferEndMs,
		}}}, false)
		s.OfferID, s.OfferWh = "", 0
	}
	volume := s.forSale(in)
	if s.OfferID != "" || busy || in.Terms.Stop || !in.GateOpen || !in.MeterOK || !in.ClockSynced ||
		volume < s.cfg.MinWh || volume <= 0 || in.WallMs < s.NextOfferMs {
		return
	}
	if in.Terms.DryRun {
		if in.WallMs < s.dryMs {
			return
		}
		s.dryMs = in.WallMs + s.cfg.OfferTTLMs
		s.out = append(s.out, Action{Would: &Would{wire.SideSell, volume, s.price(in.Terms)}})
		return
	}
	s.Counter++
	s.OfferID, s.OfferTerms = fmt.Sprintf("%s-offer-%d", s.cfg.Device, s.Counter), in.Terms
	s.OfferWh, s.OfferEndMs = volume, in.WallMs+s.cfg.OfferTTLMs
	s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: s.OfferID, VolumeWh: volume, PriceMicroPerKwh: s.price(in.Terms), ExpiresMs: s.OfferEndMs, Contactor: s.cfg.Contactor,
	}}}, false)
}

// price is that of an offer made under terms.
func (s *Seller) price(t Terms) int64 { return cmp.Or(t.PriceMicroPerKWh, s.cfg.PriceMicroPerKWh) }

// forSale is how much of the forecast the owner lets go.
func (s *Seller) forSale(in SellerInput) int64 {
	volume := min(s.Outlook.promise(in.ExpectedWh)-in.Terms.ReserveW*s.cfg.DeliveryMs/3_600_000, s.cfg.MaxWh)
	if in.Terms.DailyWh > 0 {
		volume = min(volume, in.Terms.DailyWh-s.Today.Wh)
	}
	return volume
}

// expire gives a paid trade up that could not start in time; its escrow goes
// back by the ledger's own rule.
func (s *Seller) expire(in SellerInput, t *Sale) {
	if in.WallMs-t.SinceWallMs >= s.cfg.StartWindowMs {
		t.Phase = ""
	}
}

// step moves one trade by time, gate and meter.
func (s *Seller) step(in SellerInput, t *Sale) {
	switch t.Phase {
	case sellPaid:
		s.expire(in, t)
		if t.Phase == sellPaid && s.mayBegin(in, t) {
			// The chain's time to deliver begins with the block of the Start, which is no
			// earlier than this; its receipt may be much later.
			t.Phase, t.StartedWallMs = sellStarting, in.WallMs
			s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{
				TradeId: t.TradeID, Reading: s.reading(in),
			}}}, true)
		}
	case sellStarting, sellResuming:
		if in.WallMs-t.SinceWallMs >= s.cfg.StartWindowMs+s.cfg.ResumeWindowMs+s.cfg.GiveUpMs {
			t.Phase = "" // the ledger has long ended it
		}
	case sellDelivering:
		s.deliver(in, t)
	case sellStopping:
		if in.MeterOK && in.WallMs >= t.RetryWallMs {
			if t.opened && in.WallMs == t.SinceWallMs {
				// The reading right after the contactor opened. A later one
				// may hold what flowed for others.
				t.count(in.RegisterWh)
			}
			s.bill(in, t)
		}
	case sellHeld:
		if in.WallMs-t.SinceWallMs >= s.cfg.ResumeWindowMs {
			t.enter(sellStopping, in.WallMs)
			s.step(in, t)
		} else if s.mayBegin(in, t) {
			t.Phase = sellResuming
			s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{
				TradeId: t.TradeID, Reading: s.reading(in),
			}}}, true)
		}
	case sellBilled:
		if in.WallMs-t.SinceWallMs >= s.cfg.GiveUpMs {
			t.Phase = ""
		}
	}
}

// mayBegin is the gate in front of every Start and Resume.
func (s *Seller) mayBegin(in SellerInput, t *Sale) bool {
	return in.GateOpen && in.MeterOK && in.ClockSynced && in.WallMs >= t.RetryWallMs
}

// deliver counts a running delivery and ends it when it is complete, or puts
// it on hold. Power that drops makes a delivery longer, not smaller: what was
// promised is a volume. One that stood ready for all of it ends after its time,
// drawn or not.
func (s *Seller) deliver(in SellerInput, t *Sale) {
	if t.lastSensingMs != 0 {
		ran := max(0, in.SensingMs-t.lastSensingMs)
		t.RanMs += ran
		t.AvailableWhMs += min(in.ExpectedWh, s.cfg.MaxWh) * min(ran, s.cfg.DeliveryMs)
	}
	t.lastSensingMs = in.SensingMs
	if in.MeterOK {
		t.count(in.RegisterWh)
	}
	switch {
	case !in.GateOpen:
		s.open(t)
		t.enter(sellHeld, in.WallMs)
		s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Hold{Hold: &fairwattpb.Hold{
			TradeId: t.TradeID, GateSeq: in.GateSeq, Causes: in.Causes, Reading: s.reading(in),
		}}}, false)
	case t.DeliveredWh >= t.VolumeWh, t.RanMs >= s.cfg.DeliveryMs && s.available(t) >= t.VolumeWh, in.WallMs-t.StartedWallMs >= s.cfg.DeliverWindowMs,
		in.Interrupted == t.TradeID: // the ledger knows no Hold without a hazard
		s.open(t)
		t.enter(sellStopping, in.WallMs)
		t.opened = true
	case in.MeterOK && in.WallMs-t.ReadWallMs >= min(readEveryMs, s.cfg.DeliverWindowMs/readTimes):
		t.ReadWallMs = in.WallMs
		s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Reading{Reading: &fairwattpb.Reading{
			TradeId: t.TradeID, Reading: s.reading(in),
		}}}, false)
	}
}

// available is the energy that the seller could have delivered while its gate was
// open and its contactor closed: power that stood by counts, drawn or not.
func (s *Seller) available(t *Sale) int64 {
	return max(t.DeliveredWh, t.AvailableWhMs/max(1, s.cfg.DeliveryMs))
}

// bill claims what was metered, never more than was paid for.
func (s *Seller) bill(in SellerInput, t *Sale) {
	t.Bills++
	if t.Bills > maxBills {
		t.Phase = ""
		return
	}
	t.enter(sellBilled, in.WallMs)
	energy := min(t.DeliveredWh, t.VolumeWh)
	if t.Bills == 1 {
		s.Today.Wh += energy
	}
	s.send(&fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{
		TradeId: t.TradeID, Reading: s.reading(in), EnergyWh: energy,
		AmountMicro: AmountMicro(energy, t.PriceMicroPerKWh), PayId: t.PayID, AvailableWh: min(s.available(t), maxAvailableWh),
	}}}, false)
}

func (s *Seller) reading(in SellerInput) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: s.cfg.Meter, RegisterWh: in.RegisterWh, TimeMs: in.WallMs}
}

// Delivering returns the trades whose contactor may be closed: one at most.
func (s *Seller) Delivering() []string {
	var out []string
	for _, t := range s.Trades {
		if t.Phase == sellDelivering {
			out = append(out, t.TradeID)
		}
	}
	return out
}

// Active returns the trade that delivers; nil for none.
func (s *Seller) Active() *Sale {
	for _, t := range s.Trades {
		if t.Phase == sellDelivering {
			return t
		}
	}
	return nil
}
