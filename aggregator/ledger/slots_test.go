package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The two meters that every test of slots is about.
const sellerMeter, buyerMeter = "seller-1-meter", "buyer-1-meter"

const slotMs = 900_000

func ask(meter string, startMs, wh, price int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Ask{Ask: &fairwattpb.Ask{Meter: meter, SlotStartMs: startMs, EnergyWh: wh, PriceMicroPerKwh: price}}}
}

func bid(meter string, startMs, wh, price int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bid{Bid: &fairwattpb.Bid{Meter: meter, SlotStartMs: startMs, EnergyWh: wh, PriceMicroPerKwh: price}}}
}

func at2(meter string, ms, wh int64) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: meter, TimeMs: ms, RegisterWh: wh}
}

func slotReading(readings ...*fairwattpb.MeterReading) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_SlotReading{SlotReading: &fairwattpb.SlotReading{Readings: readings}}}
}

// slot is the start of a slot of the chain: the second that begins behind its creation is 1.
func (w *world) slot(n int64) int64 { return (ledgertest.StartMs/slotMs + 1 + n) * slotMs }

// newAuction is a chain with an auction whose members have bonds, wallets and open gates.
func newAuction(t testing.TB, change func(*ledger.Genesis)) *world {
	t.Helper()
	w := newRobust(t, func(g *ledger.Genesis) {
		g.Params = g.Params.WithMechanism(ledger.MechanismAuction)
		if change != nil {
			change(g)
		}
	})
	for _, m := range w.Genesis.Members {
		w.fund(mc, m.ID)
		w.must(m.ID, gate(1, open))
	}
	return w
}

// fund gives a member a unit.
func (w *world) fund(centre, id string) {
	w.t.Helper()
	w.must(centre, deposit(id, 1_000_000, "wallet-"+id))
	if w.Genesis.Money != nil {
		w.must(ledgertest.Auditor, approve("wallet-"+id))
	}
}

// until makes a block of just this time.
func (w *world) until(ms int64) *ledger.Staged {
	w.t.Helper()
	return w.wait(ms - 1 - w.NowMs)
}

// closure is when the gate of slot 1 closes.
func (w *world) closure() int64 { return w.slot(1) - w.Genesis.Params.GateClosureMs }

// toOrdered has 1000 Wh asked for at 100,000 micro/kWh, and bid for at 300,000.
func (w *world) toOrdered() {
	w.must(seller, ask(sellerMeter, w.slot(1), 1000, 100_000))
	w.must(buyer, bid(buyerMeter, w.slot(1), 1000, 300_000))
}

// toCleared has that traded at 200,000.
func (w *world) toCleared() { w.toOrdered(); w.until(w.closure()) }

// border is the reading of a meter at the begin of a slot, or the end of the one before, sent in
// a moment.
func (w *world) border(meter string, n, wh int64) {
	w.t.Helper()
	w.must(strings.TrimSuffix(meter, "-meter"), slotReading(at2(meter, w.slot(n), wh)))
}

// toRead has both meters read at the begin of the slot.
func (w *world) toRead() {
	w.toCleared()
	w.until(w.slot(1))
	w.border(sellerMeter, 1, 0)
	w.border(buyerMeter, 1, 0)
}

// onAuction begins a row on a chain with an auction.
func onAuction(to func(*world)) func(*world) {
	return func(w *world) { *w = *newAuction(w.t, nil); to(w) }
}

func nothing(*world) {}

// the refusals of orders and readings of slots.
var slotRows = []marketRow{
	{"ask for no slot", wire.CodeSlotWrong, onAuction(nothing), seller, func(w *world) record { return ask(sellerMeter, w.slot(1)+1000, 1000, 1) }},
	{"bid for a slot whose gate has closed", wire.CodeSlotClosed, onAuction(func(w *world) { w.until(w.closure() - 1) }), buyer, func(w *world) record { return bid(buyerMeter, w.slot(1), 1000, 1) }},
	{"take an ask back behind the gate closure", wire.CodeSlotClosed, onAuction((*world).toCleared), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 0, 0) }},
	{"ask too far ahead", wire.CodeTooFar, onAuction(nothing), seller, func(w *world) record { return ask(sellerMeter, w.slot(97), 1000, 1) }},
	{"ask on no meter", wire.CodeMeterUnknown, onAuction(nothing), seller, func(w *world) record { return ask("ghost", w.slot(1), 1000, 1) }},
	{"ask on another's meter", wire.CodeMeterNotYours, onAuction(nothing), seller, func(w *world) record { return ask(buyerMeter, w.slot(1), 1000, 1) }},
	{"take another's ask back", wire.CodeMeterNotYours, onAuction((*world).toOrdered), "seller-2", func(w *world) record { return ask(sellerMeter, w.slot(1), 0, 0) }},
	{"ask on a meter out of use", wire.CodeMeterRetired, onAuction(func(w *world) { w.must(mc, meterRetired(sellerMeter, 0)) }), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 1000, 1) }},
	{"ask on a meter that only takes", wire.CodeMeterDirection, onAuction(func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Meters[0].Direction = "import" })
	}), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 1000, 1) }},
	{"bid on a meter that only gives", wire.CodeMeterDirection, onAuction(func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Meters[4].Direction = "export" })
	}), buyer, func(w *world) record { return bid(buyerMeter, w.slot(1), 1000, 1) }},
	{"ask for less than a lot", wire.CodeVolumeWrong, onAuction(nothing), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 9, 1) }},
	{"ask for more than the branch bears", wire.CodeOverRatedPower, onAuction(func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Meters[0].RatedW = 4_000 })
		w.must(seller, ask(sellerMeter, w.slot(1), 1000, 1)) // just as much
	}), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 1001, 1) }},
	{"both sides on one meter", wire.CodeMeterBusy, func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Members[0].Roles = []string{"seller", "buyer"} })
		w.toOrdered()
	}, seller, func(w *world) record { return bid(sellerMeter, w.slot(1), 1000, 1) }},
	{"a bid that the wallet does not bear", wire.CodeInsufficientFunds, onAuction(nothing), buyer, func(w *world) record { return bid(buyerMeter, w.slot(1), 1001, 1_000_000) }},
	{"an ask that the bond does not bear", wire.CodeExposure, onAuction(nothing), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 2001, 1_000_000) }},
	{"an ask of one that is listed", wire.CodeBlacklisted, func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Params.ListBelowE6 = 500_000 })
		w.toCleared()
		w.until(w.slot(2) + 600_000) // the seller's meter was silent
	}, seller, func(w *world) record { return ask(sellerMeter, w.slot(9), 1000, 1) }},
	{"an order more than a slot bears", wire.CodeSlotFull, onAuction((*world).toFull), seller, func(w *world) record { return ask(sellerMeter, w.slot(1), 10, 1) }},

	{"take a meter out of use that trades in a slot", wire.CodeMeterBusy, onAuction((*world).toCleared), mc, func(*world) record { return meterRetired(sellerMeter, 0) }},
	{"begin a delivery with a meter that trades in a slot", wire.CodeMeterBusy, onAuction(func(w *world) {
		w.toRequested2()
		w.must(mc, w.response(nil))
		w.must(buyer, pay(nil))
		w.must(seller, ask(sellerMeter, w.slot(1), 1000, 100_000))
		w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 1000, 300_000))
		w.until(w.closure())
	}), seller, func(w *world) record { return start(w.attest(open, 1), 1000) }},
	{"a Token with the id of a slot's trade", wire.CodeTokenExists, onAuction((*world).toRequested2), mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.TokenId = ledger.SlotTradeID(w.slot(1), 1) })
	}},

	{"a reading of another's meter", wire.CodeMeterNotYours, onAuction((*world).toRead), "seller-2", func(w *world) record { return slotReading(at2(sellerMeter, w.slot(1), 0)) }},
	{"a reading between borders", wire.CodeReadingTime, onAuction((*world).toRead), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(1)+1, 0)) }},
	{"a reading of a border to come", wire.CodeReadingTime, onAuction((*world).toRead), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(2), 0)) }},
	{"a reading too late", wire.CodeExpired, onAuction(func(w *world) { w.toCleared(); w.until(w.slot(1) + 600_000) }), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(1), 0)) }},
	{"a reading of no slot", wire.CodeSlotUnknown, onAuction((*world).toRead), "seller-2", func(w *world) record { return slotReading(at2("seller-2-meter", w.slot(1), 0)) }},
	{"another word on a border", wire.CodeReadingExists, onAuction((*world).toRead), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(1), 1)) }},
	{"the same word on a border", wire.CodeReadingExists, onAuction((*world).toRead), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(1), 0)) }},
	{"another word on the end of a slot", wire.CodeReadingExists, onAuction(func(w *world) { w.toRead(); w.until(w.slot(2)); w.border(sellerMeter, 2, 900) }), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(2), 1000)) }},
	{"a register that falls", wire.CodeRegisterBack, onAuction(func(w *world) {
		w.toCleared()
		w.until(w.slot(1))
		w.border(sellerMeter, 1, 500)
		w.until(w.slot(2))
	}), seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(2), 499)) }},
	{"a register that rises by more than the branch bears", wire.CodeOverRatedPower, func(w *world) {
		*w = *newAuction(w.t, func(g *ledger.Genesis) { g.Meters[0].RatedW = 4_000 })
		w.toRead()
		w.until(w.slot(2))
	}, seller, func(w *world) record { return slotReading(at2(sellerMeter, w.slot(2), 1102)) }},
}

// toRequested2 is a request that waits, on a chain whose deposits are made.
func (w *world) toRequested2() {
	w.must(seller, w.offer(5000, 200_000))
	w.must(buyer, w.request(2000, 300_000))
}

// toFull has as many orders stand for slot 1 as may.
func (w *world) toFull() {
	var sealed [][]byte
	for i := range ledger.MaxSlotOrders {
		meter := fmt.Sprintf("m-%d", i)
		b, err := w.Seal(mc, meterAdded(meterOf("seller-2", meter)))
		if err != nil {
			w.t.Fatal(err)
		}
		o, err := w.Seal("seller-2", ask(meter, w.slot(1), 10, 1))
		if err != nil {
			w.t.Fatal(err)
		}
		sealed = append(sealed, b, o)
	}
	st, err := w.Advance(sealed...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range st.Outcomes() {
		if !o.Applied {
			w.t.Fatal(o)
		}
	}
	w.must("seller-2", ask("m-7", w.slot(1), 11, 1)) // in the place of one that stands
}

// slotTrade is the one trade of slot 1.
func (w *world) slotTrade() ledger.Trade {
	w.t.Helper()
	t, ok := w.State.Trade(ledger.SlotTradeID(w.slot(1), 1))
	if !ok {
		w.t.Fatal("nothing was traded")
	}
	return t
}

// The orders of a slot are matched in the first block behind its gate closure, at one price, and
// what a bid does not need goes back.
func TestASlotIsCleared(t *testing.T) {
	w := newAuction(t, nil)
	w.toOrdered()
	if a, _ := w.robust(buyer); a.WalletMicro != 700_000 || a.ExposureMicro != 300_000 {
		t.Errorf("with its bid: %+v", a)
	}
	if a, _ := w.robust(seller); a.ExposureMicro != 100_000 {
		t.Errorf("with its ask: %+v", a)
	}
	if at := w.State.NextDeadline(); at != w.closure() {
		t.Errorf("the next block is due %d ms from the closure", at-w.closure())
	}
	w.until(w.closure() - 1)
	if len(w.State.Trades(nil)) != 0 {
		t.Error("cleared a millisecond early")
	}
	st := w.until(w.closure())
	trade := w.slotTrade()
	if trade.Status != wire.StatusCleared || trade.VolumeWh != 1000 || trade.PriceMicroPerKWh != 200_000 || trade.EscrowMicro != 200_000 || trade.Ended() {
		t.Errorf("%+v", trade)
	}
	a, _ := w.robust(buyer)
	b, _ := w.robust(seller)
	if a.WalletMicro != 800_000 || a.ExposureMicro != 200_000 || b.ExposureMicro != 200_000 {
		t.Errorf("%+v, %+v", a, b)
	}
	head, ok := w.State.Slot(w.slot(1))
	if !ok || head.Trades != 1 || head.EnergyWh != 1000 || head.PriceMicroPerKWh != 200_000 || head.Waiting != 4 || head.SettleMs != w.slot(2)+600_000 {
		t.Errorf("%+v", head)
	}
	told := 0
	for _, n := range st.Notices() {
		if lot := n.Trade.GetLot(); lot != nil && lot.SellerMeter == sellerMeter && lot.BuyerMeter == buyerMeter && lot.SlotStartMs == w.slot(1) && lot.VolumeWh == 1000 && lot.PriceMicroPerKwh == 200_000 {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d are told of it", told)
	}
}

// An order takes the place of the one before, and 0 Wh takes it back; the money goes with it.
func TestAnOrderIsReplacedAndTakenBack(t *testing.T) {
	w := newAuction(t, nil)
	w.toOrdered()
	w.must(buyer, bid(buyerMeter, w.slot(1), 500, 200_000))
	w.must(seller, ask(sellerMeter, w.slot(1), 300, 150_000))
	a, _ := w.robust(buyer)
	b, _ := w.robust(seller)
	if a.WalletMicro != 900_000 || a.ExposureMicro != 100_000 || b.ExposureMicro != 45_000 {
		t.Errorf("%+v, %+v", a, b)
	}
	asks, bids := w.State.SlotOrders(w.slot(1))
	if len(asks) != 1 || len(bids) != 1 || asks[0].EnergyWh != 300 || bids[0].EnergyWh != 500 {
		t.Errorf("%+v, %+v", asks, bids)
	}
	// The earlier of two equal ones is served first, so the newer word waits behind.
	if h := w.State.Height(); asks[0].Height != h || bids[0].Height != h-1 {
		t.Errorf("at height %d: of %d and %d", h, asks[0].Height, bids[0].Height)
	}
	w.must(buyer, bid(buyerMeter, w.slot(1), 0, 0))
	w.must(seller, ask(sellerMeter, w.slot(1), 0, 0))
	w.must(seller, ask("seller-1-meter-2", w.slot(2), 0, 0)) // of nothing
	a, _ = w.robust(buyer)
	b, _ = w.robust(seller)
	if a.WalletMicro != 1_000_000 || a.ExposureMicro != 0 || b.ExposureMicro != 0 {
		t.Errorf("%+v, %+v", a, b)
	}
	w.until(w.closure())
	if slots := w.State.Slots(); len(slots) != 0 || w.State.NextDeadline() != 0 {
		t.Errorf("left: %+v", slots)
	}
}

// Who takes no part in a clearing has its money back, and is told why; the others trade.
func TestWhoIsLeftOut(t *testing.T) {
	both := func(g *ledger.Genesis) { g.Members[0].Roles = []string{"seller", "buyer"} }
	for _, c := range []struct {
		why    string
		change func(*ledger.Genesis)
		do     func(*world)
	}{
		{"the gate is not open", nil, func(w *world) { w.must(seller, gate(2, blocked)) }},
		{"its member takes no part now", nil, func(w *world) { w.must(mc, ledgertest.Suspend(seller)) }},
		{"its member takes no part now", both, func(w *world) {
			w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: seller, Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}}))
		}},
		{"the meter was taken out of use", nil, func(w *world) { w.must(mc, meterRetired(sellerMeter, 0)) }},
		{"the meter measures trade token-1", nil, func(w *world) {
			w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 100, 100_000)) // there is another
			w.toRequested2()
			w.must(mc, w.response(nil))
			w.must(buyer, pay(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter-2", 0) }))
			w.must(seller, start(w.attest(open, 1), 0))
		}},
		{"no block came before the slot began", nil, func(w *world) { w.until(w.slot(1)) }},
		{"bond and credit do not bear it at the slot's price", nil, func(w *world) {
			w.must("buyer-2", bid("buyer-2-meter", w.slot(1), 10, 100_000)) // the marginal one, if seller-2 is left out
			w.must(seller, ask(sellerMeter, w.slot(1), 1000, 1))
			w.must(seller, ask("seller-1-meter-2", w.slot(2), 1900, 1_000_000))
		}},
		{"it would trade with itself", both, func(w *world) {
			w.must(seller, bid("seller-1-meter-2", w.slot(1), 1000, 400_000))
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newAuction(t, c.change)
			w.toOrdered()
			c.do(w)
			var told string
			if now := w.NowMs; now < w.closure() {
				for _, s := range w.until(w.closure()).Steps() {
					if s.Kind == ledger.StepLeftOut {
						told += s.Text
					}
				}
			}
			for _, trade := range w.State.Trades(nil) {
				if trade.Seller == seller && trade.ID != "token-1" {
					t.Errorf("it trades: %+v", trade)
				}
			}
			if now := w.NowMs; now < w.slot(1) && !strings.Contains(told, c.why) {
				t.Errorf("told %q", told)
			}
			if asks, bids := w.State.SlotOrders(w.slot(1)); len(asks)+len(bids) != 0 {
				t.Errorf("orders stand still: %v, %v", asks, bids)
			}
			a, _ := w.robust(buyer)
			if a.WalletMicro+w.escrowOf(buyer) != 1_000_000 {
				t.Errorf("%+v", a)
			}
		})
	}
}

func (w *world) escrowOf(id string) (sum int64) {
	for _, t := range w.State.Trades(nil) {
		if t.Buyer == id {
			sum += t.EscrowMicro
		}
	}
	return sum
}

// What is paid, by what the meters showed and the gate was; who breaks its word loses credit,
// pays, or both. The seller sells 1000 Wh at 200,000 micro/kWh.
func TestWhatASlotPays(t *testing.T) {
	const silent = -1
	for _, c := range []struct {
		name               string
		exported, imported int64
		do                 func(*world)
		status             string
		paid, gap, fine    int64
		sellerBroke        uint64
		buyerBroke         uint64
	}{
		{"both did what they promised", 1000, 1000, nil, wire.StatusSettled, 200_000, 0, 0, 0, 0},
		{"more flows", 5000, 7000, nil, wire.StatusSettled, 200_000, 0, 0, 0, 0},
		{"the seller falls short", 400, 1000, nil, wire.StatusSettledPartly, 80_000, 0, 22_000, 1, 0},
		{"the seller delivers nearly all", 950, 1000, nil, wire.StatusSettled, 190_000, 0, 0, 0, 0},
		{"the seller delivers nothing", 0, 1000, nil, wire.StatusFailed, 0, 0, 38_000, 1, 0},
		{"the buyer draws less", 1000, 400, nil, wire.StatusSettledPartly, 80_000, 120_000, 0, 0, 1},
		{"the buyer draws nearly all", 1000, 950, nil, wire.StatusSettled, 190_000, 10_000, 0, 0, 0},
		{"the buyer draws nothing", 1000, 0, nil, wire.StatusRefunded, 0, 200_000, 0, 0, 1},
		{"both fall short", 600, 400, nil, wire.StatusSettledPartly, 80_000, 40_000, 14_000, 1, 1},
		{"the seller's meter is silent", silent, 1000, nil, wire.StatusFailed, 0, 0, 38_000, 1, 0},
		{"the buyer's meter is silent", 1000, silent, nil, wire.StatusSettled, 200_000, 0, 0, 0, 1},
		{"the buyer's meter is silent, and the seller falls short", 400, silent, nil, wire.StatusSettledPartly, 80_000, 0, 22_000, 1, 1},
		{"both are silent", silent, silent, nil, wire.StatusFailed, 0, 0, 38_000, 1, 0},
		{"the gate closes in the slot", 1000, 1000, func(w *world) { w.must(seller, gate(2, blocked)) }, wire.StatusRefunded, 0, 0, 0, 0, 0},
		{"the gate closes and opens in the slot", 1000, 1000, func(w *world) { w.must(seller, gate(2, blocked)); w.must(seller, gate(3, open)) }, wire.StatusRefunded, 0, 0, 0, 0, 0},
		{"one closure takes the place of another behind the slot", 1000, 1000, func(w *world) {
			w.until(w.slot(2) - 1000)
			w.must(seller, gate(2, blocked))
			w.until(w.slot(2) + 1000)
			w.must(seller, gate(3, blocked))
		}, wire.StatusRefunded, 0, 0, 0, 0, 0},
		{"the gate closes behind the slot", 1000, 1000, func(w *world) { w.until(w.slot(2)); w.must(seller, gate(2, blocked)) }, wire.StatusSettled, 200_000, 0, 0, 0, 0},
		{"the gate closes behind the slot, and opens", 1000, 1000, func(w *world) {
			w.until(w.slot(2))
			w.must(seller, gate(2, blocked))
			w.must(seller, gate(3, open))
		}, wire.StatusSettled, 200_000, 0, 0, 0, 0},
		{"a closure behind the slot excuses nothing in it", 400, 1000, func(w *world) { w.until(w.slot(2)); w.must(seller, gate(2, blocked)) }, wire.StatusSettledPartly, 80_000, 0, 22_000, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newAuction(t, nil)
			w.toCleared()
			w.until(w.slot(1))
			if c.exported != silent {
				w.border(sellerMeter, 1, 7)
			}
			w.border(buyerMeter, 1, 7)
			if c.do != nil {
				c.do(w)
			}
			if w.NowMs < w.slot(2) {
				w.until(w.slot(2))
			}
			if c.exported != silent {
				w.border(sellerMeter, 2, 7+c.exported)
			}
			if c.imported != silent {
				w.border(buyerMeter, 2, 7+c.imported)
			}
			if c.exported == silent || c.imported == silent {
				w.until(w.slot(2) + 600_000 - 1)
				if w.slotTrade().Status != wire.StatusCleared {
					t.Error("it does not wait")
				}
				w.until(w.slot(2) + 600_000)
			} else {
				w.wait(0)
				w.wait(0)
			}
			trade := w.slotTrade()
			if trade.Status != c.status || trade.PaidMicro != c.paid || trade.GapMicro != c.gap || trade.FineMicro != c.fine ||
				trade.ReturnedMicro != 200_000-c.paid-c.gap || trade.EscrowMicro != 0 {
				t.Errorf("%+v", trade)
			}
			a, _ := w.robust(seller)
			b, _ := w.robust(buyer)
			if a.Broken != c.sellerBroke || b.Broken != c.buyerBroke || a.ExposureMicro != 0 || b.ExposureMicro != 0 {
				t.Errorf("%+v, %+v", a, b)
			}
			if left := w.State.Slots(); len(left) != 0 {
				t.Errorf("left: %+v", left)
			}
			for _, e := range w.State.Entries() {
				if key := string(e.Key); strings.HasPrefix(key, "slot-") || strings.HasPrefix(key, "slotted/") || strings.HasPrefix(key, "inslots/") || strings.HasPrefix(key, "witness/") {
					t.Errorf("%s is left", key)
				}
			}
		})
	}
}
