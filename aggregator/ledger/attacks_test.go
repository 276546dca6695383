package ledger_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

const marketFile = "../../docs/market.md"

// The trade of every attack: 2000 Wh at 200,000 micro a kWh. Energy is worth its
// price, so an honest trade gains no one anything.
const (
	worthOfWh = 200
	atStake   = 2000 * worthOfWh
)

// gains returns what both sides have gained when soldWh truly left the seller, on a
// line without loss.
func (w *world) gains(soldWh int64) (ofSeller, ofBuyer int64) {
	w.t.Helper()
	s, _ := w.State.Account(seller)
	b, _ := w.State.Account(buyer)
	locked := w.trade().EscrowMicro
	return s.WalletMicro - soldWh*worthOfWh, b.WalletMicro + locked - 1_000_000 + soldWh*worthOfWh
}

// An attack is one trade in which one side lies, and what is true of it.
type attack struct {
	id, what string
	culprit  string
	soldWh   int64 // that truly left the seller
	play     func(*world)
	// refused notes the code with which the chain refuses what the attack needs.
	refused string
}

func (a attack) run(t *testing.T, rules func(*ledger.Genesis)) (gain, harm int64, w *world) {
	w = newWorld(t, rules)
	a.play(w)
	s, b := w.gains(a.soldWh)
	if a.culprit == seller {
		return s, -b, w
	}
	return b, -s, w
}

// confirmed is what an honest buyer says of the bill: it has looked at its meter.
func (w *world) confirmed(received int64) {
	w.t.Helper()
	trade := w.trade()
	if trade.Status != wire.StatusBilled {
		return
	}
	r := confirm(trade.BuyerStartWh+received, received)
	short := trade.BilledWh - received
	r.GetConfirm().Accepted = short*100 <= trade.BilledWh*2+200
	r.GetConfirm().Reason = "as measured"
	w.must(buyer, r)
}

// try sends a record that some rules refuse.
func (w *world) try(sender string, r record) bool { return w.send(sender, r) == "" }

// toEnd lets the trade end by time.
func (w *world) toEnd() {
	for range 6 {
		w.wait(w.Genesis.Params.MaxTradeMs())
	}
}

var attacks = []attack{
	{"A02", "the buyer takes the energy and stays silent for ever", buyer, 2000, func(w *world) { w.toBilled(); w.toEnd() }, ""},
	{"A03", "the seller delivers nothing and invents its register, the buyer is offline for an hour", seller, 0, func(w *world) {
		w.toBilled()
		w.wait(3_600_000)
		w.try(buyer, readingOf("buyer-1-meter", 100))
	}, ""},
	{"A04", "the seller starts and never bills", seller, 0, func(w *world) { w.toDelivering(); w.toEnd() }, ""},
	{"A05", "the seller delivers nothing and invents its register, the buyer says so", seller, 0, func(w *world) {
		w.toBilled()
		w.confirmed(0)
		w.toEnd()
	}, ""},
	{"A06", "the seller delivers 94.95 % and bills that", seller, 1899, func(w *world) {
		w.toDelivering()
		w.must(seller, w.bill(2899, 1899, 379_800))
		w.confirmed(1899)
	}, ""},
	{"A07", "the seller bills 2 % more than it delivers, within the tolerance", seller, 1960, func(w *world) {
		w.toBilled()
		w.confirmed(1960)
	}, ""},
	{"A09", "the buyer takes everything and reports nothing", buyer, 2000, func(w *world) {
		w.toBilled()
		w.confirmed(0)
		w.toEnd()
	}, ""},
	{"A11", "the buyer reports more than a bill for a part", buyer, 1900, func(w *world) {
		w.toDelivering()
		w.must(seller, w.bill(2900, 1900, 380_000))
		w.confirmed(2100)
		w.toEnd()
	}, ""},
	{"A18b", "a start on an own OPEN with a higher number, while the chain says BLOCKED; 2000 Wh are delivered", seller, 2000, func(w *world) {
		w.toPaid()
		w.must(seller, gate(2, blocked))
		if w.try(seller, start(w.attest(open, 3), 1000)) {
			w.must(seller, w.bill(3000, 2000, 400_000))
		}
		w.confirmed(2000)
		w.toEnd()
	}, wire.CodeGateUnknown},
	{"A18c", "a start with no gate change on the chain; 2000 Wh are delivered", seller, 2000, func(w *world) {
		w.must(mc, deposit(buyer, 1_000_000, "deposit-1"))
		w.must(seller, w.offer(5000, 200_000))
		w.must(buyer, w.request(2000, 300_000))
		w.must(mc, w.response(nil))
		w.must(buyer, pay(nil))
		if w.try(seller, start(w.attest(open, 1), 1000)) {
			w.must(seller, w.bill(3000, 2000, 400_000))
		}
		w.confirmed(2000)
		w.toEnd()
	}, wire.CodeGateUnknown},
	{"A18d", "the seller delivers on while its gate says BLOCKED", seller, 2000, func(w *world) {
		w.toDelivering()
		w.must(seller, readingOf("seller-1-meter", 1500))
		w.must(seller, gate(2, blocked))
		w.wait(120_000)
		if !w.try(seller, w.bill(3000, 2000, 400_000)) {
			w.must(seller, w.bill(3000, 500, 100_000))
		}
		w.confirmed(2000)
	}, wire.CodeEnergyNotMetered},
	{"A20", "the seller holds without a hazard and is excused", seller, 0, func(w *world) {
		w.toDelivering()
		w.try(seller, hold(9, 1000))
		w.toEnd()
	}, wire.CodeHoldWithoutHazard},
	{"A37", "the seller falls silent after the delivery, with readings of both meters on the chain", buyer, 2000, func(w *world) {
		w.toDelivering()
		w.must(seller, readingOf("seller-1-meter", 3000))
		w.must(buyer, readingOf("buyer-1-meter", 2100))
		w.wait(w.Genesis.Params.DeliverByMs)
		w.try(buyer, readingOf("buyer-1-meter", 2100))
		w.toEnd()
	}, ""},
}

// TestNoAttackPays plays each attack with settlement by meters: its culprit gains
// nothing. It writes what it gains by the paper's literal rule and by ours into
// docs/market.md (FAIRWATT_UPDATE=1).
func TestNoAttackPays(t *testing.T) {
	rows := "| id | attack | the paper's rule: culprit gains, other loses | ours: culprit gains, other loses | the chain refuses |\n| --- | --- | --- | --- | --- |\n"
	for _, a := range attacks {
		literalGain, literalHarm, _ := a.run(t, paper)
		gain, harm, w := a.run(t, nil)
		if gain > 0 {
			t.Errorf("%s pays: %s gains %d", a.id, a.culprit, gain)
		}
		if trade := w.trade(); !trade.Ended() {
			t.Errorf("%s: the trade is still %s", a.id, trade.Status)
		}
		honest := seller
		if a.culprit == seller {
			honest = buyer
		}
		if acc, _ := w.State.Account(honest); acc.Broken > 0 {
			t.Errorf("%s: %s has done nothing, and its record says broken", a.id, honest)
		}
		refused := "-"
		if a.refused != "" {
			refused = "`" + a.refused + "`"
			if !w.refusedWith(a.refused) {
				t.Errorf("%s: nothing was refused with %s", a.id, a.refused)
			}
		}
		rows += fmt.Sprintf("| %s | %s | %s, %s | %s, %s | %s |\n", a.id, a.what, units(literalGain), units(literalHarm), units(gain), units(harm), refused)
	}
	rows += lockedRow(t) + readyRow(t) + meterAttacks(t)
	writeSection(t, marketFile, "attacks", rows)
}

// refusedWith tells whether a block of the chain has a record refused so.
func (w *world) refusedWith(code string) bool {
	w.t.Helper()
	s, err := ledger.NewState(w.Genesis)
	if err != nil {
		w.t.Fatal(err)
	}
	found := false
	for _, cb := range w.Blocks {
		st, err := s.VerifyCertified(cb)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range st.Outcomes() {
			found = found || o.GetCode() == code
		}
		if err := s.Commit(st); err != nil {
			w.t.Fatal(err)
		}
	}
	return found
}

// lockedRow is A22: a seller that holds and resumes for ever.
func lockedRow(t *testing.T) string {
	lock := func(rules func(*ledger.Genesis)) float64 {
		w := newWorld(t, rules)
		w.toDelivering()
		begun, seq := w.State.TimeMs(), uint64(1)
		for range 100 {
			w.must(seller, gate(seq+1, blocked))
			w.try(seller, hold(seq+1, 1000))
			w.NowMs += w.Genesis.Params.ResumeByMs - 10
			w.must(seller, gate(seq+2, open))
			seq += 2
			if !w.try(seller, resume(w.attest(open, seq), 1000)) {
				break
			}
		}
		return float64(w.State.TimeMs()-begun) / 3_600_000
	}
	ours := lock(nil)
	if most := float64(newWorld(t, nil).Genesis.Params.MaxTradeMs()) / 3_600_000; ours > most {
		t.Errorf("A22 locks the escrow for %.1f h, at most %.1f", ours, most)
	}
	return fmt.Sprintf("| A22 | the seller holds and resumes a hundred times | money locked for %.0f h and on | money locked for %.1f h | `%s` |\n", lock(paper), ours, wire.CodeWrongStatus)
}

// readyRow is A36: a buyer that pays and draws nothing, time and again.
func readyRow(t *testing.T) string {
	broken := func(rules func(*ledger.Genesis)) uint64 {
		w := newWorld(t, rules)
		w.toDelivering()
		r := w.bill(1000, 0, 0)
		r.GetBill().AvailableWh = 2000
		w.must(seller, r)
		if trade := w.trade(); !trade.Ended() || trade.PaidMicro != 0 {
			t.Errorf("A36: %+v", trade)
		}
		a, _ := w.State.Account(seller)
		return a.Broken
	}
	if n := broken(nil); n != 0 {
		t.Errorf("A36: a ready seller's record says broken %d times", n)
	}
	return fmt.Sprintf("| A36 | the buyer pays, and draws nothing from a ready seller | the seller's record says broken %d times | %d times | - |\n", broken(paper), broken(nil))
}

func units(micro int64) string { return fmt.Sprintf("%.3f", float64(micro)/1e6) }

// writeSection keeps a generated part of a page true.
func writeSection(t *testing.T, file, name, want string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	head, rest, ok := strings.Cut(string(b), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("no section %q in %s", name, file)
	}
	if got == want {
		return
	}
	if os.Getenv("FAIRWATT_UPDATE") == "" {
		t.Errorf("section %q of %s is not what the code says; run with FAIRWATT_UPDATE=1 and look at the difference:\n%s", name, file, want)
		return
	}
	if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A play is what both sides report of one delivery. A silent side reports nothing
// in time; a buyer may then come back.
type play struct {
	sellerWh, buyerWh         int64
	sellerSilent, buyerSilent bool
	sellerReads               bool // a reading while it delivers
	buyerReturns              bool
	accepted                  bool
}

// pays plays a trade and returns what both sides have gained.
func pays(t testing.TB, lossE4, soldWh, receivedWh int64, p play) (ofSeller, ofBuyer int64, differ bool) {
	w := newWorld(t, func(g *ledger.Genesis) {
		*g = *ledgertest.Genesis(1, 1, 1)
		g.Params.LossE4 = lossE4
	})
	w.toDelivering()
	if p.sellerReads {
		w.must(seller, readingOf("seller-1-meter", 1000+p.sellerWh))
	}
	if p.sellerSilent {
		w.wait(w.Genesis.Params.DeliverByMs)
	} else {
		energy := min(p.sellerWh, 2000)
		w.must(seller, w.bill(1000+p.sellerWh, energy, energy*worthOfWh))
	}
	if w.trade().Status == wire.StatusBilled {
		if p.buyerSilent {
			w.NowMs = w.trade().DeadlineMs
			w.wait(0)
			if p.buyerReturns {
				w.must(buyer, readingOf("buyer-1-meter", 100+p.buyerWh))
			}
		} else {
			r := confirm(100+p.buyerWh, p.buyerWh)
			r.GetConfirm().Accepted = p.accepted
			w.must(buyer, r)
		}
	}
	w.toEnd()
	trade := w.trade()
	if !trade.Ended() || trade.PaidMicro+trade.ReturnedMicro+trade.GapMicro != 600_000 {
		t.Fatalf("%+v", trade)
	}
	s, _ := w.State.Account(seller)
	b, _ := w.State.Account(buyer)
	// The buyer values what reached it by what had to leave the seller for it.
	value := (receivedWh*10_000 + 9_999 - lossE4) / (10_000 - lossE4) * worthOfWh
	return s.WalletMicro - soldWh*worthOfWh, b.WalletMicro - 1_000_000 + value, trade.Status == wire.StatusDisputed
}

// TestNoLiePays: whatever was delivered, a side that alone departs from the truth, by
// what its meter says, by what it claims, or by silence, gains nothing by it. What
// two meters may differ by is all a buyer can make of a meter that lies within its
// class; beyond it the lie costs.
func TestNoLiePays(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		loss := rapid.SampledFrom([]int64{0, 200, 300}).Draw(t, "loss")
		sold := rapid.Int64Range(0, 2000).Draw(t, "sold")
		received := sold * (10_000 - loss) / 10_000
		truth := play{sellerWh: sold, buyerWh: received, sellerReads: true, accepted: true}
		honestSeller, honestBuyer, differ := pays(outer, loss, sold, received, truth)
		if differ {
			t.Fatalf("%d Wh sold, %d received: the truth is a dispute", sold, received)
		}
		lie := truth
		wh := rapid.OneOf(rapid.Int64Range(0, 4000), rapid.Int64Range(max(0, sold-60), sold+60)).Draw(t, "wh")
		silent := rapid.Bool().Draw(t, "silent")
		if rapid.Bool().Draw(t, "the seller lies") {
			lie.sellerWh, lie.sellerSilent, lie.sellerReads = wh, silent, rapid.Bool().Draw(t, "reads")
			got, _, _ := pays(outer, loss, sold, received, lie)
			if got > honestSeller+worthOfWh { // a Wh is rounded
				t.Fatalf("the seller gains %d instead of %d", got, honestSeller)
			}
			return
		}
		lie.buyerWh, lie.buyerSilent, lie.buyerReturns = wh, silent, rapid.Bool().Draw(t, "returns")
		lie.accepted = rapid.Bool().Draw(t, "accepted")
		_, got, differ := pays(outer, loss, sold, received, lie)
		most := honestBuyer + worthOfWh
		if !differ { // two meters of class 1, and two steps
			most += (sold*200/10_000 + 3) * worthOfWh
		}
		if got > most {
			t.Fatalf("the buyer gains %d instead of %d", got, honestBuyer)
		}
	})
}

// TestHarmIsNoGain: a lie that costs the other side something costs its own side
// something too, or gains it nothing.
func TestHarmIsNoGain(t *testing.T) {
	for _, c := range []struct {
		name           string
		sold           int64
		p              play
		seller, buyer_ int64
	}{
		{"the truth", 2000, play{sellerWh: 2000, buyerWh: 2000, accepted: true}, 0, 0},
		{"the seller invents 500 Wh", 1500, play{sellerWh: 2000, buyerWh: 1500}, 0, -500 * worthOfWh},
		{"the buyer hides 500 Wh", 2000, play{sellerWh: 2000, buyerWh: 1500}, -500 * worthOfWh, 0},
		{"the seller hides 500 Wh", 2000, play{sellerWh: 1500, buyerWh: 2000, accepted: true}, -500 * worthOfWh, 500 * worthOfWh},
		{"the buyer invents 500 Wh", 1500, play{sellerWh: 1500, buyerWh: 2000, accepted: true}, 0, 0},
	} {
		s, b, _ := pays(t, 0, c.sold, c.sold, c.p)
		if s != c.seller || b != c.buyer_ {
			t.Errorf("%s: the seller gains %d, the buyer %d; want %d, %d", c.name, s, b, c.seller, c.buyer_)
		}
	}
}
