package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A creditAttack is played on a chain with the paper's credit and on one with robust
// credit, meters settling both. It returns what it brings its culprit and costs the
// honest side, in words for the table, and fails the test where robust credit lets it
// pay.
type creditAttack struct {
	id, what string
	play     func(t *testing.T, credit string) string
}

// traded plays the one trade of helpers_test.go with some credit and says what the
// culprit gains and the other side loses, all bonds and wallets counted.
func traded(culprit string, soldWh int64, play func(*world)) func(*testing.T, string) string {
	return func(t *testing.T, credit string) string {
		w := newWithCredit(t, credit)
		held := int64(0)
		if credit == ledger.CreditRobust {
			held = aBond
		}
		play(w)
		s := w.worth(seller) - held - soldWh*worthOfWh
		b := w.worth(buyer) - held - 1_000_000 + soldWh*worthOfWh + w.trade().EscrowMicro
		gain, harm := b, -s
		if culprit == seller {
			gain, harm = s, -b
		}
		if credit == ledger.CreditRobust && gain > 0 {
			t.Errorf("the %s gains %d", culprit, gain)
		}
		return units(gain) + ", " + units(harm)
	}
}

func newWithCredit(t *testing.T, credit string) *world {
	if credit == ledger.CreditRobust {
		return newRobust(t, nil)
	}
	return newWorld(t, nil)
}

// judged has two arbiters find, where there are any.
func judged(to func(*world), by string, finding fairwattpb.Finding) func(*world) {
	return func(w *world) {
		to(w)
		if len(w.Genesis.Arbiters) == 0 {
			return
		}
		if by != "" {
			w.must(by, appeal("token-1"))
		}
		w.decided(finding)
	}
}

func (w *world) toReadyClaimed() {
	w.toDelivering()
	r := w.bill(1000, 0, 0)
	r.GetBill().AvailableWh = 2000
	w.must(seller, r)
}

// noVerdict lets the time of a verdict pass.
func noVerdict(w *world) { w.toDisputed(); w.toEnd() }

var creditAttacks = []creditAttack{
	{"A02", "the buyer takes the energy and stays silent for ever", traded(buyer, 2000, func(w *world) { w.toBilled(); w.toEnd() })},
	{"A04a", "the seller never starts", traded(seller, 0, func(w *world) { w.toPaid(); w.toEnd() })},
	{"A04b", "the seller starts and never bills", traded(seller, 0, func(w *world) { w.toDelivering(); w.toEnd() })},
	{"A05", "the seller delivers nothing and invents its register; no verdict", traded(seller, 0, noVerdict)},
	{"A05v", "the same, and two arbiters find so", traded(seller, 0, judged((*world).toDisputed, "", sellerLied))},
	{"A09", "the buyer takes everything and reports nothing; no verdict", traded(buyer, 2000, noVerdict)},
	{"A09v", "the same, and two arbiters find so", traded(buyer, 2000, judged((*world).toDisputed, "", buyerLied))},
	{"A36a", "the seller delivers nothing and says that it was ready", traded(seller, 0, (*world).toReadyClaimed)},
	{"A36b", "the same, appealed, and two arbiters find so", traded(seller, 0, judged((*world).toReadyClaimed, buyer, sellerLied))},
	{"A36c", "the buyer draws nothing from a ready seller, which appeals, and two arbiters find so", traded(buyer, 0, judged((*world).toReadyClaimed, seller, buyerLied))},
	{"A36d", "the same after a hold that no one bore out, for which the seller is fined first", refusedAfterHold},
	{"A15", "two names of one person trade 1 GWh with each other on paper, for the credit of it", wash},
	{"A16", "six names of one person pass energy round in a ring 60 times", sybils},
	{"A17", "a seller earns credit with ten honest trades, then starts nothing any more", onOff},
	{"A35", "two buyers pay parts of one offer, and the seller can deliver one at a time", twoParts},
	{"A44", "an honest turbine has two calm days, and says so in its bills", calmDays},
}

// refusedAfterHold is a seller whose gate closes for a while; it is fined since its word
// that it was ready counts for nothing after a hold.
func refusedAfterHold(t *testing.T, credit string) string {
	w := newWithCredit(t, credit)
	if credit == ledger.CreditRobust {
		w = newRobust(t, func(g *ledger.Genesis) { g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed) })
	}
	before, _ := w.State.Account(seller)
	said := traded(buyer, 0, func(again *world) {
		*again = *w
		again.toDelivering()
		again.must(seller, gate(2, blocked))
		again.must(seller, hold(2, 1000))
		again.must(seller, gate(3, open))
		again.must(seller, resume(again.attest(open, 3), 1000))
		r := again.bill(1000, 0, 0)
		r.GetBill().AvailableWh = 2000
		judged(func(w *world) { w.must(seller, r) }, seller, buyerLied)(again)
	})(t, credit)
	after, _ := w.State.Account(seller)
	if credit == ledger.CreditRobust && (after.CreditE6 != before.CreditE6 || after.Broken != 0) {
		t.Errorf("the seller had a credit of %d, and has %d and %d broken promises", before.CreditE6, after.CreditE6, after.Broken)
	}
	return fmt.Sprintf("%s; the seller's credit %s to %s", said, units(before.CreditE6), units(after.CreditE6))
}

// wash is one large trade between two names of one person.
func wash(t *testing.T, credit string) string {
	r := newRing(t, 2, credit, aBond)
	before, _ := r.State.Account(r.names[0])
	d := r.deal(r.names[0], r.names[1], ledger.MaxEnergyWh)
	d.PriceMicroPerKWh = 1
	r.do(d.Pay())
	r.do(d.Start())
	r.NowMs += 60_000 // a TW for a minute
	r.do(d.Bill(d.VolumeWh, 0))
	r.do(d.Confirm(d.VolumeWh))
	a, _ := r.State.Account(r.names[0])
	if credit == ledger.CreditRobust && a.GoodWh > r.Genesis.Params.TradeCapWh {
		t.Errorf("a wash trade earns %d Wh", a.GoodWh)
	}
	return fmt.Sprintf("credit %s to %s", units(before.CreditE6), units(a.CreditE6))
}

// sybils trade round and round, with bonds and without.
func sybils(t *testing.T, credit string) string {
	r := newRing(t, 6, credit, 100_000)
	before, _ := r.State.Account(r.names[0])
	for n := range 60 {
		r.do(r.deal(r.names[n%6], r.names[(n+1)%6], 500).Whole())
	}
	after, _ := r.State.Account(r.names[0])
	if credit != ledger.CreditRobust {
		return fmt.Sprintf("each credit %s to %s, without limit", units(before.CreditE6), units(after.CreditE6))
	}
	money := 6 * int64(100_000)
	if got, most := r.good(), money*r.Genesis.Params.VouchWh/1_000_000; got > most {
		t.Errorf("the ring gains %d Wh, its money vouches for %d", got, most)
	}
	return fmt.Sprintf("%d Wh together, all that bonds of %s vouch for; without bonds no trade", r.good(), units(money))
}

// onOff is a seller that is honest until it is trusted.
func onOff(t *testing.T, credit string) string {
	r := newRing(t, 2, credit, aBond)
	s, b := r.names[0], r.names[1]
	for range 10 {
		r.do(r.deal(s, b, 2000).Whole())
	}
	failed, paid := 0, r.worth(b)
	for range 20 {
		if r.deal(s, b, 2000).Pay() != nil {
			break
		}
		failed++
		r.wait(r.Genesis.Params.StartByMs)
	}
	r.wait(600_000) // a Token that bought nothing is refunded
	paid = r.worth(b) - paid
	if credit == ledger.CreditRobust && (failed > 5 || paid != int64(failed)*76_000) {
		t.Errorf("on-off: %d trades fail, the buyer is paid %d", failed, paid)
	}
	if failed == 20 {
		return "twenty trades fail, and it may go on; the buyer has nothing for them"
	}
	return fmt.Sprintf("%d trades fail until it is barred; the buyer is paid %s for them", failed, units(paid))
}

// twoParts is A35.
func twoParts(t *testing.T, credit string) string {
	w := newWithCredit(t, credit)
	w.must(mc, deposit(buyer, 1_000_000, "more"))
	w.toSecondPaid()
	w.wait(w.Genesis.Params.StartByMs)
	a, _ := w.State.Account(seller)
	if credit == ledger.CreditRobust && a.Broken > 0 {
		t.Errorf("a busy seller: %+v", a)
	}
	return fmt.Sprintf("the seller's record says broken %d times", a.Broken)
}

// calmDays is A44.
func calmDays(t *testing.T, credit string) string {
	w := newWithCredit(t, credit)
	w.must(mc, deposit(buyer, 1_000_000, "more"))
	w.toDelivering()
	w.must(seller, w.bill(1000, 0, 0))
	if code := w.send(seller, w.offer(5000, 200_000)); code != "" {
		return "barred for ever after the first"
	}
	w.toSecondToken()
	w.must(buyer, pay2(nil))
	w.must(seller, of(start(w.attest(open, 1), 1000), "token-2"))
	t2, _ := w.State.Trade("token-2")
	r := of(w.bill(1000, 0, 0), "token-2")
	r.GetBill().PayId = []byte(t2.PayID)
	w.must(seller, r)
	a, _ := w.State.Account(seller)
	code := w.send(seller, w.offer(5000, 200_000))
	if credit == ledger.CreditRobust && code != "" {
		t.Errorf("an honest turbine is barred: %s", code)
	}
	if code == wire.CodeBlacklisted {
		return "barred for ever"
	}
	fined := w.worth(buyer) - 2_000_000
	if credit == ledger.CreditRobust {
		fined -= aBond
	}
	return fmt.Sprintf("pays %s, and trades on with a credit of %s", units(fined), units(a.CreditE6))
}

// TestNoCreditAttackPays plays what the paper's credit lets through, and writes the
// table of docs/market.md (FAIRWATT_UPDATE=1).
func TestNoCreditAttackPays(t *testing.T) {
	rows := "| id | attack | credit `paper` | credit `robust` |\n| --- | --- | --- | --- |\n"
	for _, a := range creditAttacks {
		t.Run(a.id, func(t *testing.T) {
			rows += fmt.Sprintf("| %s | %s | %s | %s |\n", a.id, a.what, a.play(t, ledger.CreditPaper), a.play(t, ledger.CreditRobust))
		})
	}
	writeSection(t, marketFile, "credit attacks", rows)
}
