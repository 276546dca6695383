package ledger

import (
	"encoding/binary"
	"fmt"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The kinds of keys of the state; a key is the kind's prefix and an id.
const (
	keyMeta        = "meta"
	keyParticipant = "participant/" // id
	keyAccount     = "account/"     // participant id
	keyWindow      = "window/"      // signer
	keyGate        = "gate/"        // device
	keyMeter       = "meter/"       // meter id
	keySerial      = "serial/"      // of a meter, as hex: the meter's id
	keyOffer       = "offer/"       // seller
	keyContactor   = "contactor/"   // seller: what switches its power, once it has said
	keyKept        = "kept/"        // seller: the Token that its offer is kept for
	keySelling     = "selling/"     // seller: the trade that it is paid for and has not delivered
	keyLapsed      = "lapsed/"      // buyer: that it let its newest Token lapse
	keyRequest     = "request/"     // buyer/request id
	keyAsking      = "asking/"      // buyer: how many of its requests stand unanswered
	keyTrade       = "trade/"       // trade id
	keyHazard      = "hazard/"      // device whose gate a hazard closed
	keySighting    = "sighting/"    // site/kind: whose gates that closed last
	keyWarning     = "warning/"     // area/kind
	keyWitness     = "witness/"     // trade: who bears its newest hold out
	keyEarned      = "earned/"      // seller: what it delivered, and what was excused
	keyRunning     = "running/"     // seller: the trade that it delivers, or that is held
	keyReference   = "reference/"   // of a deposit, as hex
	keyPublicKey   = "key/"         // public key, text form
	keyListed      = "listed/"      // participant: that it may not trade, and why
	keyLoss        = "loss/"        // participant/trade: what the trade took of its credit
	keyPair        = "pair/"        // two participants: what they added to each other's credit
	keyCase        = "case/"        // trade: what is open about it
	keyFinding     = "finding/"     // arbiter/trade: what it found, one byte
	keyGrant       = "grant/"       // reference, as hex
	keyWithdrawal  = "withdrawal/"  // member/withdrawal id
	keyRejoin      = "rejoin/"      // data aggregator: the height of its newest rejoin
	keyReport      = "report/"      // data aggregator
	keyTrust       = "trust/"       // data aggregator
	keyGuilt       = "guilt/"       // data aggregator that has signed two things for one place
	keyTree        = "tree/"        // data aggregator
	keyRebuilt     = "rebuilt"      // when the trees were last built anew, and why
	keyMember      = "member/"      // data aggregator that is not just as the genesis says
	keySeats       = "seats"        // ids of the data aggregators that the genesis does not know, by place
	keyCentres     = "centres"      // ids of the centres, once they are others than the genesis'
	keyChange      = "change/"      // data aggregator or centre: what waits for more centres
	keyTurn        = "turn/"        // 8 bytes of a height: the members that vote behind it
	keyEpochEnds   = "epoch_ends"   // 8 bytes of time, big endian: when this epoch ends by time
	keySlot        = "slot-"        // its start in milliseconds, then what of it: see slots.go
	keyTerms       = "terms"        // how energy is shared, once a centre has said so
	keySlotted     = "slotted/"     // meter: 8 bytes of the start of the newest slot in which it trades
	keyInSlots     = "inslots/"     // seller: 8 bytes of each start of a slot in which it sells and that is not settled
	keyDeadline    = "deadline/"    // 8 bytes of time, big endian, then what is due
)

// What a deadline ends: a letter and an id.
const (
	dueOffer   = 'o'
	dueRequest = 'r'
	dueTrade   = 't'
	dueListing = 'l'
	dueBond    = 'b'
	dueCase    = 'c'
	dueEpoch   = 'e' // its number
	dueOrders  = 'k' // start of a slot whose orders are cleared
	dueSlot    = 's' // start of a slot that is settled; in front of its trades, which are then due

	dueDeposit    = 'd' // its reference
	dueWithdrawal = 'w' // member/withdrawal id
)

func deadlineKey(timeMs int64, what byte, id string) string {
	b := make([]byte, 0, len(keyDeadline)+9+len(id))
	b = append(b, keyDeadline...)
	b = binary.BigEndian.AppendUint64(b, uint64(timeMs))
	b = append(b, what)
	return string(append(b, id...))
}

func parseDeadlineKey(key string) (timeMs int64, what byte, id string, err error) {
	rest, ok := strings.CutPrefix(key, keyDeadline)
	if !ok || len(rest) < 10 {
		return 0, 0, "", fmt.Errorf("malformed deadline key %q", key)
	}
	return int64(binary.BigEndian.Uint64([]byte(rest[:8]))), rest[8], rest[9:], nil
}

// meta is what the state knows of the chain as a whole.
type meta struct {
	Height, Records uint64
	TimeMs          int64
	Epoch           uint64
	EpochFirst      uint64 // height of the epoch's first block
	Order           string // the epoch's sequence: one byte per aggregator, its genesis index
	Strikes         string // by genesis index, one byte each: views it led and failed, in a row
	Failed          string // likewise: epochs, this one counted, for which it stands last
	DepositedMicro  int64
	WalletsMicro    int64
	EscrowMicro     int64
	FundMicro       int64 // what meters differed by, and no one was paid

	// With robust credit.
	BondsMicro  int64  // in bonds, and on their way out of them
	HeldMicro   int64  // the part of the fund that open cases are about
	ListVersion uint64 // rises when someone comes onto the list, or off it

	// With money under two keys.
	ReversedMicro int64 // of deposits
	PaidOutMicro  int64 // by the bank
	OutMicro      int64 // in withdrawals that are not paid yet
	FeesMicro     int64 // for the grid
	Day           int64 // of block time, UTC: the newest in which a deposit was credited
	DayMicro      int64 // credited in it
}

// places is the order as numbers.
func (m *meta) places() []int {
	order := make([]int, len(m.Order))
	for k := range order {
		order[k] = int(m.Order[k])
	}
	return order
}

func (m *meta) fields(c codec) {
	c.u64("height", &m.Height)
	c.u64("records", &m.Records)
	c.i64("time_ms", &m.TimeMs)
	c.u64("epoch", &m.Epoch)
	c.u64("epoch_first", &m.EpochFirst)
	c.str("order", &m.Order)
	c.str("strikes", &m.Strikes)
	c.str("benched", &m.Failed)
	c.i64("deposited_micro", &m.DepositedMicro)
	c.i64("wallets_micro", &m.WalletsMicro)
	c.i64("escrow_micro", &m.EscrowMicro)
	money := func() bool {
		return m.ReversedMicro > 0 || m.PaidOutMicro > 0 || m.OutMicro > 0 || m.FeesMicro > 0 || m.Day > 0
	}
	robust := func() bool { return m.BondsMicro > 0 || m.HeldMicro > 0 || m.ListVersion > 0 || money() }
	c.tail(func() bool { return m.FundMicro > 0 || robust() }, func() {
		c.i64("fund_micro", &m.FundMicro)
		c.tail(robust, func() {
			c.i64("bonds_micro", &m.BondsMicro)
			c.i64("held_micro", &m.HeldMicro)
			c.u64("list_version", &m.ListVersion)
			c.tail(money, func() {
				c.i64("reversed_micro", &m.ReversedMicro)
				c.i64("paid_out_micro", &m.PaidOutMicro)
				c.i64("out_micro", &m.OutMicro)
				c.i64("fees_micro", &m.FeesMicro)
				c.i64("day", &m.Day)
				c.i64("day_micro", &m.DayMicro)
			})
		})
	})
}

// A Participant is registered by the genesis or by a Registration.
type Participant struct {
	ID           string
	Site         string
	Seller       bool
	Buyer        bool
	Centre       bool // a management centre
	Aggregator   bool // a data aggregator; none stands in the state
	Arbiter      bool // likewise
	Auditor      bool // likewise
	Candidate    bool // likewise: a data aggregator that is not a member yet
	PublicKey    string
	Simulated    bool
	MeterClassE4 uint32 // accuracy class of its meter in 1e-4

	// Of a member whose key can be changed or revoked.
	OldKey       string         // the key before PublicKey
	KeyHeight    uint64         // block that changed it
	RecoveryHash string         // 32 bytes
	PayeeHash    string         // 32 bytes
	Standing     MemberStanding // whether it takes part
	StandingAt   uint64         // block that changed that
	Reason       string         // why
	Sold, Bought bool           // it had the role once: what it began so it may end
}

func (p *Participant) fields(c codec) {
	c.str("id", &p.ID)
	c.str("site", &p.Site)
	c.flag("seller", &p.Seller)
	c.flag("buyer", &p.Buyer)
	c.flag("centre", &p.Centre)
	c.str("public_key", &p.PublicKey)
	c.flag("simulated", &p.Simulated)
	c.u32("meter_class_e4", &p.MeterClassE4)
	c.tail(func() bool {
		return p.KeyHeight > 0 || p.RecoveryHash != "" || p.PayeeHash != "" || p.StandingAt > 0 || p.Sold || p.Bought
	}, func() {
		standing := uint32(p.Standing)
		c.str("old_key", &p.OldKey)
		c.u64("key_height", &p.KeyHeight)
		c.str("recovery_hash", &p.RecoveryHash)
		c.str("payee_hash", &p.PayeeHash)
		c.u32("standing", &standing)
		c.u64("standing_at", &p.StandingAt)
		c.str("reason", &p.Reason)
		c.flag("sold", &p.Sold)
		c.flag("bought", &p.Bought)
		p.Standing = MemberStanding(standing)
	})
}

// An Account is a participant's wallet and compliance record.
type Account struct {
	WalletMicro int64
	Kept        uint64 // s: promises kept
	Broken      uint64 // f: promises broken
	CreditE6    int64  // in 1e-6
	Blacklisted bool
	// Sales ended, and hazards forgiven, in the running quota period.
	QuotaTrades uint64
	QuotaUsed   uint64

	// With robust credit.
	BondMicro     int64 // stands for its promises
	FreshMicro    int64 // the part of it that came out of a wallet in this period, and vouches from the next on
	LeavingMicro  int64 // was asked back; can be charged still
	LeavingMs     int64 // when that is over
	ExposureMicro int64 // promised in open trades
	FinesDueMicro int64 // what it could not pay
	GoodWh        int64 // kept
	BadWh         int64 // not kept, weighted
	Period        int64 // the newest period that was forgotten in
	VouchedWh     int64 // for others, in this period
	FreeMs        int64 // when its newest delivery ended
	ListedUntilMs int64
	Listings      uint64 // how often it came onto the list
}

func (a *Account) fields(c codec) {
	c.i64("wallet_micro", &a.WalletMicro)
	c.u64("kept", &a.Kept)
	c.u64("broken", &a.Broken)
	c.i64("credit_e6", &a.CreditE6)
	c.flag("blacklisted", &a.Blacklisted)
	c.u64("quota_trades", &a.QuotaTrades)
	c.u64("quota_used", &a.QuotaUsed)
	robust := func() bool {
		b := *a
		b.WalletMicro, b.Kept, b.Broken, b.CreditE6, b.Blacklisted, b.QuotaTrades, b.QuotaUsed = 0, 0, 0, 0, false, 0, 0
		return b != Account{}
	}
	c.tail(robust, func() {
		c.i64("bond_micro", &a.BondMicro)
		c.i64("fresh_micro", &a.FreshMicro)
		c.i64("leaving_micro", &a.LeavingMicro)
		c.i64("leaving_ms", &a.LeavingMs)
		c.i64("exposure_micro", &a.ExposureMicro)
		c.i64("fines_due_micro", &a.FinesDueMicro)
		c.i64("good_wh", &a.GoodWh)
		c.i64("bad_wh", &a.BadWh)
		c.i64("period", &a.Period)
		c.i64("vouched_wh", &a.VouchedWh)
		c.i64("free_ms", &a.FreeMs)
		c.i64("listed_until_ms", &a.ListedUntilMs)
		c.u64("listings", &a.Listings)
	})
}

// A Gate is the newest gate change of a device.
type Gate struct {
	Seq       uint64
	State     fairwattpb.GateState
	ChangedMs int64 // time of the block that holds it
}

func (g *Gate) fields(c codec) {
	state := uint32(g.State)
	c.u64("seq", &g.Seq)
	c.u32("state", &state)
	c.i64("changed_ms", &g.ChangedMs)
	g.State = fairwattpb.GateState(state)
}

// meter is the newest reading of an energy meter, and the trade it measures.
type meter struct {
	Owner      string
	RegisterWh int64
	Trade      string // empty when it measures none

	// Of a registered meter.
	Site      string
	Direction uint32 // fairwattpb.MeterDirection
	PublicKey string
	Serial    string
	RatedW    int64
	ClassE4   uint32
	ReadMs    int64 // the newest reading's own time; at first, that of the registration
	Retired   bool
}

func (m *meter) fields(c codec) {
	c.str("owner", &m.Owner)
	c.i64("register_wh", &m.RegisterWh)
	c.str("trade", &m.Trade)
	c.tail(func() bool { return m.RatedW > 0 }, func() {
		c.str("site", &m.Site)
		c.u32("direction", &m.Direction)
		c.str("public_key", &m.PublicKey)
		c.str("serial", &m.Serial)
		c.i64("rated_w", &m.RatedW)
		c.u32("class_e4", &m.ClassE4)
		c.i64("read_ms", &m.ReadMs)
		c.flag("retired", &m.Retired)
	})
}

// An Offer is a seller's standing offer; VolumeWh is what is left of it.
type Offer struct {
	ID               string
	Seller           string
	VolumeWh         int64
	PriceMicroPerKWh int64
	ExpiresMs        int64
	MinLotWh         int64 // the least that is sold in one trade
}

func (o *Offer) fields(c codec) {
	c.str("id", &o.ID)
	c.str("seller", &o.Seller)
	c.i64("volume_wh", &o.VolumeWh)
	c.i64("price_micro_per_kwh", &o.PriceMicroPerKWh)
	c.i64("expires_ms", &o.ExpiresMs)
	c.tail(func() bool { return o.MinLotWh > 0 }, func() { c.i64("min_lot_wh", &o.MinLotWh) })
}

// A Request is a buyer's request; it stands until it expires, answered or not.
type Request struct {
	ID                  string
	Buyer               string
	VolumeWh            int64
	MaxPriceMicroPerKWh int64
	ExpiresMs           int64
	Answered            bool
}

func (r *Request) fields(c codec) {
	c.str("id", &r.ID)
	c.str("buyer", &r.Buyer)
	c.i64("volume_wh", &r.VolumeWh)
	c.i64("max_price_micro_per_kwh", &r.MaxPriceMicroPerKWh)
	c.i64("expires_ms", &r.ExpiresMs)
	c.flag("answered", &r.Answered)
}

// A Trade begins with the Response that puts a buyer's money in escrow; its id
// is the Token's.
type Trade struct {
	ID                  string
	Status              string
	Reason              string // of the newest status, for people
	Buyer               string
	Seller              string // from the payment on
	RequestID           string
	OfferID             string
	TokenVolumeWh       int64
	MaxPriceMicroPerKWh int64
	VolumeWh            int64 // paid for
	PriceMicroPerKWh    int64
	EscrowMicro         int64  // now in escrow
	PaidMicro           int64  // went to the seller
	ReturnedMicro       int64  // went back to the buyer
	PayID               string // record id of the payment, 32 bytes
	OpenedMs            int64  // block time of the response
	DeadlineMs          int64  // when the status ends by itself; 0: never

	SellerMeter     string
	SegmentWh       int64 // seller's register where the running segment began
	SellerMeteredWh int64 // of the closed segments
	GateSeq         uint64
	Held            bool // ever
	HeldMs          int64
	DeliverByMs     int64

	BuyerMeter     string
	BuyerStartWh   int64
	BuyerMeteredWh int64
	BilledWh       int64
	BilledMicro    int64

	// With settlement by meters.
	Holds       uint64 // how often it was held
	HeldTotalMs int64  // in the holds that are over
	HoldSeq     uint64 // gate change that began the newest hold
	HoldOwed    bool   // the seller has not said what its meter showed then
	AvailableWh int64  // what the seller says it could have delivered
	Late        bool   // the buyer's meter was not heard of in time
	BuyerReadMs int64  // block time of its newest reading since the bill
	GapMicro    int64  // went into the fund

	// With robust credit.
	EndedMs   int64 // block time
	FineMicro int64 // what the seller was to pay the buyer for what was missing
	MissingWh int64 // from a whole delivery
	Unbilled  bool  // the ledger made the bill, since the seller did not
	Judged    bool  // a case about it was open and is closed

	// With answers by the ledger.
	KeptSeller string // whose offer is kept for the Token
}

func (t *Trade) fields(c codec) {
	c.str("id", &t.ID)
	c.str("status", &t.Status)
	c.str("reason", &t.Reason)
	c.str("buyer", &t.Buyer)
	c.str("seller", &t.Seller)
	c.str("request_id", &t.RequestID)
	c.str("offer_id", &t.OfferID)
	c.i64("token_volume_wh", &t.TokenVolumeWh)
	c.i64("max_price_micro_per_kwh", &t.MaxPriceMicroPerKWh)
	c.i64("volume_wh", &t.VolumeWh)
	c.i64("price_micro_per_kwh", &t.PriceMicroPerKWh)
	c.i64("escrow_micro", &t.EscrowMicro)
	c.i64("paid_micro", &t.PaidMicro)
	c.i64("returned_micro", &t.ReturnedMicro)
	c.str("pay_id", &t.PayID)
	c.i64("opened_ms", &t.OpenedMs)
	c.i64("deadline_ms", &t.DeadlineMs)
	c.str("seller_meter", &t.SellerMeter)
	c.i64("segment_wh", &t.SegmentWh)
	c.i64("seller_metered_wh", &t.SellerMeteredWh)
	c.u64("gate_seq", &t.GateSeq)
	c.flag("held", &t.Held)
	c.i64("held_ms", &t.HeldMs)
	c.i64("deliver_by_ms", &t.DeliverByMs)
	c.str("buyer_meter", &t.BuyerMeter)
	c.i64("buyer_start_wh", &t.BuyerStartWh)
	c.i64("buyer_metered_wh", &t.BuyerMeteredWh)
	c.i64("billed_wh", &t.BilledWh)
	c.i64("billed_micro", &t.BilledMicro)
	answered := func() bool { return t.KeptSeller != "" }
	robust := func() bool {
		return answered() || t.EndedMs > 0 || t.FineMicro > 0 || t.MissingWh > 0 || t.Unbilled || t.Judged
	}
	said := func() bool {
		return robust() || t.Holds > 0 || t.AvailableWh > 0 || t.Late || t.BuyerReadMs > 0 || t.GapMicro > 0
	}
	c.tail(said, func() {
		c.u64("holds", &t.Holds)
		c.i64("held_total_ms", &t.HeldTotalMs)
		c.u64("hold_seq", &t.HoldSeq)
		c.flag("hold_owed", &t.HoldOwed)
		c.i64("available_wh", &t.AvailableWh)
		c.flag("late", &t.Late)
		c.i64("buyer_read_ms", &t.BuyerReadMs)
		c.i64("gap_micro", &t.GapMicro)
		c.tail(robust, func() {
			c.i64("ended_ms", &t.EndedMs)
			c.i64("fine_micro", &t.FineMicro)
			c.i64("missing_wh", &t.MissingWh)
			c.flag("unbilled", &t.Unbilled)
			c.flag("judged", &t.Judged)
			c.tail(answered, func() { c.str("kept_seller", &t.KeptSeller) })
		})
	})
}

// other is the other side of the trade.
func (t *Trade) other(id string) string {
	if id == t.Seller {
		return t.Buyer
	}
	return t.Seller
}

// Ended reports whether nothing can change the trade any more.
func (t *Trade) Ended() bool {
	switch t.Status {
	case wire.StatusSettled, wire.StatusSettledPartly, wire.StatusRefunded, wire.StatusFailed:
		return true
	case wire.StatusDisputed:
		return t.EscrowMicro == 0
	}
	return false
}
