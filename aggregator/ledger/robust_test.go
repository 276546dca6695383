package ledger_test

import (
	"fmt"
	"slices"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

const (
	sellerLied = fairwattpb.Finding_FINDING_SELLER
	buyerLied  = fairwattpb.Finding_FINDING_BUYER
	neither    = fairwattpb.Finding_FINDING_NEITHER
	// aBond bears open promises of 2 units at a newcomer's credit of a half.
	aBond = 1_000_000
)

func bond(amount int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bond{Bond: &fairwattpb.Bond{AmountMicro: amount}}}
}

func unbond(amount int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Unbond{Unbond: &fairwattpb.Unbond{AmountMicro: amount}}}
}

func appeal(trade string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Appeal{Appeal: &fairwattpb.Appeal{TradeId: trade, TextHash: make([]byte, 32)}}}
}

func verdict(trade string, finding fairwattpb.Finding) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Verdict{Verdict: &fairwattpb.Verdict{TradeId: trade, Finding: finding, TextHash: make([]byte, 32)}}}
}

func granted(reference, to string, amount int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Grant{Grant: &fairwattpb.Grant{Reference: reference, To: to, AmountMicro: amount}}}
}

func bonded(to string, amount int64, reference string) record {
	r := deposit(to, amount, reference)
	r.GetDeposit().Bond = true
	return r
}

// newRobust is a chain with robust credit whose members have bonds.
func newRobust(t testing.TB, change func(*ledger.Genesis)) *world {
	t.Helper()
	w := newWorld(t, func(g *ledger.Genesis) {
		ledgertest.Robust(g)
		if change != nil {
			change(g)
		}
	})
	for _, m := range w.Genesis.Members {
		w.must(mc, bonded(m.ID, aBond, "bond-"+m.ID))
	}
	return w
}

// of returns an account, and how much it may promise.
func (w *world) robust(id string) (a ledger.Account, limit int64) {
	w.t.Helper()
	a, limit, ok := w.State.AccountAt(id, w.State.TimeMs())
	if !ok {
		w.t.Fatalf("no account %q", id)
	}
	return a, limit
}

// worth is all that a participant has or has out.
func (w *world) worth(id string) int64 {
	a, _ := w.robust(id)
	return a.WalletMicro + a.BondMicro + a.LeavingMicro - a.FinesDueMicro
}

// decided has two arbiters find the same.
func (w *world) decided(finding fairwattpb.Finding) {
	w.t.Helper()
	w.must("judge-1", verdict("token-1", finding))
	w.must("judge-3", verdict("token-1", finding))
}

// nextPeriod lets the budgets of all bonds begin.
func (w *world) nextPeriod() { w.wait(w.Genesis.Params.CreditPeriodMs) }

// A newcomer's credit is a half; a trade that is kept adds the energy that the other
// side's bond vouches for: what was deposited there, or stood there when the period
// began.
func TestCreditIsVouchedFor(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(*ledger.Genesis)
		wallet         bool
		seller, buyer_ int64 // good
	}{
		{"by what was deposited", nil, false, 2000, 2000},
		{"not by what came out of a wallet in this period", nil, true, 0, 2000},
		{"as far as the bond vouches", func(g *ledger.Genesis) { g.Params.VouchWh = 1500 }, false, 1500, 1500},
		{"as much as a trade may add", func(g *ledger.Genesis) { g.Params.TradeCapWh = 700 }, false, 700, 700},
		{"as much as a pair may add", func(g *ledger.Genesis) { g.Params.PairCapWh = 2500 }, false, 500, 2000},
	} {
		w := newRobust(t, c.change)
		if c.wallet {
			// The buyer's bond leaves, and comes back out of its wallet.
			w.must(buyer, unbond(aBond))
			w.wait(2 * w.Genesis.Params.VerdictMs)
			w.nextPeriod()
			w.must(buyer, bond(aBond))
		}
		w.toBilled()
		w.must(buyer, confirm(2100, 2000))
		s, _ := w.robust(seller)
		b, _ := w.robust(buyer)
		p := &w.Genesis.Params
		if s.GoodWh != c.seller || b.GoodWh != c.buyer_ || s.Kept != 1 || b.Kept != 1 || s.CreditE6 != p.CreditOf(c.seller, 0) {
			t.Errorf("%s: seller %+v, buyer %+v", c.name, s, b)
		}
		if s.ExposureMicro != 0 || b.ExposureMicro != 0 {
			t.Errorf("%s: promises are still open: %d, %d", c.name, s.ExposureMicro, b.ExposureMicro)
		}
	}
}

// What is paid for counts in both sides' exposure until the trade has ended, and no
// promise passes what bond and credit bear.
func TestExposure(t *testing.T) {
	for _, c := range []struct {
		name         string
		seller, buyr int64 // bonds
		want         string
	}{
		{"enough", 200_000, 200_000, ""},
		{"the seller's bond a millionth short", 199_999, 200_000, wire.CodeExposure},
		{"the buyer's", 200_000, 199_999, wire.CodeExposure},
		{"no bond", 0, aBond, wire.CodeExposure},
	} {
		w := newWorld(t, ledgertest.Robust)
		for id, amount := range map[string]int64{seller: c.seller, buyer: c.buyr} {
			if amount > 0 {
				w.must(mc, bonded(id, amount, "bond-"+id))
			}
		}
		w.toEscrowed()
		if got := w.send(buyer, pay(nil)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.want != "" {
			continue
		}
		a, limit := w.robust(seller)
		if a.ExposureMicro != 400_000 || limit != 400_000 {
			t.Errorf("%d of %d are promised", a.ExposureMicro, limit)
		}
		w.wait(w.Genesis.Params.StartByMs)
		if a, _ = w.robust(seller); a.ExposureMicro != 0 {
			t.Errorf("%d are promised when the trade has ended", a.ExposureMicro)
		}
	}
}

// A seller pays for what it promised and did not deliver, by the Wh; one that leaves its
// part undone comes onto the list, one that says what is missing does not.
func TestFines(t *testing.T) {
	low := func(g *ledger.Genesis) { g.Params.ListBelowE6 = 499_999 } // any loss is below
	for _, c := range []struct {
		name   string
		play   func(*world)
		status string
		fine   int64
		bad    int64
		listed bool
	}{
		{"no start", func(w *world) { w.toPaid(); w.wait(w.Genesis.Params.StartByMs) }, wire.StatusFailed, 76_000, 9500, true},
		{"no bill", func(w *world) { w.toDelivering(); w.wait(w.Genesis.Params.DeliverByMs) }, wire.StatusFailed, 76_000, 9500, true},
		{"no bill, and half of it read", func(w *world) {
			w.toDelivering()
			w.must(seller, readingOf("seller-1-meter", 2000))
			w.wait(w.Genesis.Params.DeliverByMs)
			w.must(buyer, confirm(1100, 1000))
		}, wire.StatusSettledPartly, 36_000, 4500, true},
		{"half of it, and said so", func(w *world) {
			w.toDelivering()
			w.must(seller, w.bill(2000, 1000, 200_000))
			w.must(buyer, confirm(1100, 1000))
		}, wire.StatusSettledPartly, 36_000, 4500, false},
		{"nothing, and said so", func(w *world) { w.toDelivering(); w.must(seller, w.bill(1000, 0, 0)) }, wire.StatusFailed, 76_000, 9500, false},
		{"a Wh short of whole", func(w *world) {
			w.toDelivering()
			w.must(seller, w.bill(2899, 1899, 379_800))
			w.must(buyer, confirm(1999, 1899))
		}, wire.StatusSettledPartly, 40, 5, false},
		{"whole", func(w *world) {
			w.toDelivering()
			w.must(seller, w.bill(2900, 1900, 380_000))
			w.must(buyer, confirm(2000, 1900))
		}, wire.StatusSettled, 0, 0, false},
		{"ready for all of it", func(w *world) {
			w.toDelivering()
			r := w.bill(1500, 500, 100_000)
			r.GetBill().AvailableWh = 1900
			w.must(seller, r)
			w.must(buyer, confirm(600, 500))
		}, wire.StatusSettledPartly, 0, 0, false},
		{"ready for half of it", func(w *world) {
			w.toDelivering()
			r := w.bill(1500, 500, 100_000)
			r.GetBill().AvailableWh = 1000
			w.must(seller, r)
			w.must(buyer, confirm(600, 500))
		}, wire.StatusSettledPartly, 36_000, 4500, false},
		{"a hazard", func(w *world) { w.toStopped(); w.must(seller, w.bill(1000, 0, 0)) }, wire.StatusRefunded, 0, 0, false},
	} {
		w := newRobust(t, low)
		c.play(w)
		trade := w.trade()
		a, _ := w.robust(seller)
		if trade.Status != c.status || trade.FineMicro != c.fine || a.BadWh != c.bad || a.Blacklisted != c.listed {
			t.Errorf("%s: %s (%s), fine %d, %+v", c.name, trade.Status, trade.Reason, trade.FineMicro, a)
		}
		if a.BondMicro != aBond-c.fine {
			t.Errorf("%s: the bond is %d, the fine %d", c.name, a.BondMicro, c.fine)
		}
		if got := w.worth(buyer) - 1_000_000 - aBond + trade.PaidMicro; got != c.fine {
			t.Errorf("%s: the buyer has %d of a fine of %d", c.name, got, c.fine)
		}
	}
}

// A seller that a hazard kept from delivering is excused by the gate change that held the
// trade, or by its newest one where the trade could not begin.
func TestExcuseNamesItsGateChange(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*world) *ledger.Staged
		want uint64
	}{
		"no start": {func(w *world) *ledger.Staged {
			w.toPaid()
			w.must(seller, gate(2, blocked))
			return w.wait(w.Genesis.Params.StartByMs)
		}, 2},
		"held": {func(w *world) *ledger.Staged { w.toStopped(); return w.step(seller, w.bill(1000, 0, 0)) }, 2},
	} {
		var told []uint64
		for _, s := range c.play(newRobust(t, nil)).Steps() {
			if s.Kind == ledger.StepExcused && s.Who == seller {
				told = append(told, s.GateSeq)
			}
		}
		if !slices.Equal(told, []uint64{c.want}) {
			t.Errorf("%s: excused by gate changes %v, want %d", name, told, c.want)
		}
	}
}

// A seller that delivers one trade cannot start another one, and is not fined for it.
func TestBusySellerIsExcused(t *testing.T) {
	for name, free := range map[string]bool{"still delivering": false, "free too late": true} {
		w := newRobust(t, nil)
		w.must(mc, deposit(buyer, 1_000_000, "more"))
		w.toSecondPaid()
		if free {
			w.NowMs = w.State.TimeMs() + w.Genesis.Params.StartByMs - 100
			w.must(seller, w.bill(3000, 2000, 400_000))
			w.must(buyer, confirm(2100, 2000))
		}
		w.wait(w.Genesis.Params.StartByMs)
		two, _ := w.State.Trade("token-2")
		a, _ := w.robust(seller)
		if two.Status != wire.StatusRefunded || a.Broken != 0 || two.FineMicro != 0 {
			t.Errorf("%s: %s (%s), %+v", name, two.Status, two.Reason, a)
		}
	}
}

// What the meters differ by is held, and both bonds are charged a quarter of it. Two
// arbiters that find the same give it to whom they clear; without a verdict it stays in
// the fund, for two arbiters to grant.
func TestCases(t *testing.T) {
	const gap, charge = 400_000, 100_000
	begin := func(t *testing.T) *world {
		w := newRobust(t, nil)
		w.toBilled()
		w.must(buyer, confirm(100, 0))
		w.status(wire.StatusDisputed)
		if k := w.State.Cases(); len(k) != 1 || k[0].HeldMicro() != gap+2*charge || w.State.Totals().FundMicro != gap+2*charge {
			t.Fatalf("%+v", k)
		}
		return w
	}
	for _, c := range []struct {
		name                string
		then                func(*world)
		seller, buyer, fund int64 // gained
		broken              string
	}{
		{"not decided yet", func(*world) {}, -charge, -gap - charge, gap + 2*charge, ""},
		{"the seller lied", func(w *world) { w.decided(sellerLied) }, -charge, charge, 0, seller},
		{"the buyer lied", func(w *world) { w.decided(buyerLied) }, gap + charge, -gap - charge, 0, buyer},
		{"neither lied", func(w *world) { w.decided(neither) }, gap / 2, -gap / 2, 0, ""},
		{"arbiters disagree", func(w *world) {
			w.must("judge-1", verdict("token-1", sellerLied))
			w.must("judge-2", verdict("token-1", buyerLied))
		}, -charge, -gap - charge, gap + 2*charge, ""},
		{"the third decides", func(w *world) {
			w.must("judge-1", verdict("token-1", sellerLied))
			w.must("judge-2", verdict("token-1", buyerLied))
			w.must("judge-3", verdict("token-1", buyerLied))
		}, gap + charge, -gap - charge, 0, buyer},
		{"no verdict in time", func(w *world) { w.wait(w.Genesis.Params.VerdictMs) }, -charge, -gap - charge, gap + 2*charge, ""},
		{"after an appeal there is more time", func(w *world) {
			w.NowMs += w.Genesis.Params.VerdictMs - 1000
			w.must(buyer, appeal("token-1"))
			w.NowMs += w.Genesis.Params.VerdictMs - 1000
			w.decided(sellerLied)
		}, -charge, charge, 0, seller},
		{"granted in the end", func(w *world) {
			w.wait(w.Genesis.Params.VerdictMs)
			w.must("judge-2", granted("g-1", buyer, gap))
			w.must("judge-3", granted("g-1", buyer, gap))
		}, -charge, -charge, 2 * charge, ""},
	} {
		w := begin(t)
		c.then(w)
		s, b := w.worth(seller)-aBond, w.worth(buyer)-aBond-1_000_000
		if fund := w.State.Totals().FundMicro; s != c.seller || b != c.buyer || fund != c.fund {
			t.Errorf("%s: seller %d, buyer %d, fund %d; want %d, %d, %d", c.name, s, b, fund, c.seller, c.buyer, c.fund)
		}
		for _, id := range []string{seller, buyer} {
			if a, _ := w.robust(id); (a.Broken > 0) != (id == c.broken) {
				t.Errorf("%s: %s %+v", c.name, id, a)
			}
		}
	}
}

// A false word of readiness costs twice the fine that it saved; a buyer that drew
// nothing pays the fine itself. A fine that a verdict overturns goes back.
func TestAppeal(t *testing.T) {
	const fine = 76_000 // a fifth of what is missing from a whole delivery
	ready := func(w *world) {
		w.toDelivering()
		r := w.bill(1000, 0, 0)
		r.GetBill().AvailableWh = 2000
		w.must(seller, r)
	}
	short := func(w *world) { w.toDelivering(); w.must(seller, w.bill(1000, 0, 0)) }
	for _, c := range []struct {
		name    string
		play    func(*world)
		by      string
		finding fairwattpb.Finding
		buyer   int64 // gains, and the seller loses
	}{
		{"it was not ready", ready, buyer, sellerLied, 2 * fine},
		{"the buyer drew nothing", ready, seller, buyerLied, -fine},
		{"no one knows", ready, seller, neither, 0},
		{"it was to blame indeed", short, buyer, sellerLied, 2 * fine},
		{"it was not to blame", short, seller, buyerLied, -fine},
		{"neither was", short, seller, neither, 0},
	} {
		for _, asked := range []bool{false, true} {
			w := newRobust(t, nil)
			c.play(w)
			if !asked { // else an arbiter was asked by word of mouth
				w.must(c.by, appeal("token-1"))
			}
			w.decided(c.finding)
			if k := w.State.Cases(); len(k) != 0 {
				t.Errorf("%s: still open: %+v", c.name, k)
			}
			s, b := w.worth(seller)-aBond, w.worth(buyer)-aBond-1_000_000
			if b != c.buyer || s != -c.buyer || w.State.Totals().FundMicro != 0 {
				t.Errorf("%s: the buyer gains %d, the seller %d; want %d", c.name, b, s, c.buyer)
			}
		}
	}
}

// The way onto the list, its time, and the way back.
func TestList(t *testing.T) {
	w := newRobust(t, func(g *ledger.Genesis) { g.Params.ListBelowE6 = 499_999 })
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	list, version := w.State.List()
	if len(list) != 1 || list[0].ID != seller || list[0].Trade != "token-1" || list[0].Reason != "no start in time" || version != 1 {
		t.Fatalf("%+v, version %d", list, version)
	}
	first := list[0].UntilMs - list[0].SinceMs
	if first != w.Genesis.Params.ListMs {
		t.Errorf("listed for %d ms", first)
	}
	if code := w.send(seller, w.offer(1000, 1)); code != wire.CodeBlacklisted {
		t.Errorf("a listed seller's offer: %q", code)
	}
	w.NowMs = list[0].UntilMs - 2
	w.wait(0)
	if l, _ := w.State.List(); len(l) != 1 {
		t.Error("off the list a millisecond early")
	}
	w.wait(0)
	if l, v := w.State.List(); len(l) != 0 || v != 2 {
		t.Errorf("%+v, version %d", l, v)
	}
	w.must(seller, w.offer(5000, 200_000))
	// The second time lasts twice as long.
	w.toSecondToken()
	w.must(buyer, pay2(nil))
	w.wait(w.Genesis.Params.StartByMs)
	if l, v := w.State.List(); len(l) != 1 || l[0].UntilMs-l[0].SinceMs != 2*first || v != 3 {
		t.Errorf("%+v, version %d", l, v)
	}
}

// What a period made forget is told once, and only of whom there is something to forget.
func TestForgettingIsTold(t *testing.T) {
	w := newRobust(t, nil)
	w.toBilled()
	w.must(buyer, confirm(2100, 2000))
	w.nextPeriod()
	for k, c := range []struct {
		rule, who string
		want      []ledger.Step
	}{
		{"a seller that had credit", seller, []ledger.Step{{Who: seller, Kind: ledger.StepForgot, GoodWh: -200, CreditE6: w.Genesis.Params.CreditOf(1800, 0)}}},
		{"once a period", seller, nil},
		{"one that never traded", "seller-2", nil},
	} {
		var told []ledger.Step
		for _, s := range w.step(mc, bonded(c.who, 1, fmt.Sprint("b", k))).Steps() {
			if s.Kind == ledger.StepForgot {
				told = append(told, s)
			}
		}
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told %+v, want %+v", c.rule, told, c.want)
		}
	}
}

// Good and bad are forgotten by a tenth a period, whenever someone looks.
func TestOldPromisesCountLess(t *testing.T) {
	w := newRobust(t, nil)
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	a, _ := w.robust(seller)
	if a.BadWh != 9500 {
		t.Fatalf("%+v", a)
	}
	for _, want := range []int64{8550, 7695, 6925} {
		w.nextPeriod()
		if a, _ = w.robust(seller); a.BadWh != want || a.CreditE6 != w.Genesis.Params.CreditOf(0, want) {
			t.Errorf("%d is left, want %d", a.BadWh, want)
		}
	}
	w.must(mc, deposit(seller, 1, "r"))
	w.must(seller, bond(1)) // and when it is stored
	if stored, _ := w.State.Account(seller); stored.BadWh != 6925 || stored.CreditE6 != a.CreditE6 {
		t.Errorf("%+v", stored)
	}
	w.wait(500 * w.Genesis.Params.CreditPeriodMs)
	if a, _ = w.robust(seller); a.BadWh > 9 || a.BadWh < 0 {
		t.Errorf("%d is left of it for ever", a.BadWh)
	}
}

// A bond that is asked back bears no new promise at once, can be charged for as long as
// a verdict may come, and is then in the wallet.
func TestUnbond(t *testing.T) {
	w := newRobust(t, nil)
	w.must(seller, unbond(400_000))
	w.must(seller, unbond(200_000))
	a, limit := w.robust(seller)
	if a.BondMicro != 400_000 || a.LeavingMicro != 600_000 || limit != 800_000 {
		t.Errorf("%+v, limit %d", a, limit)
	}
	w.NowMs = a.LeavingMs - 2
	w.wait(0)
	if a, _ = w.robust(seller); a.WalletMicro != 0 {
		t.Errorf("%+v a millisecond early", a)
	}
	w.wait(0)
	if a, _ = w.robust(seller); a.WalletMicro != 600_000 || a.LeavingMicro != 0 {
		t.Errorf("%+v", a)
	}
}

// Who cannot pay a fine owes it: its next money goes there, and it may not trade until
// then.
func TestFinesThatAreDue(t *testing.T) {
	w := newWorld(t, ledgertest.Robust)
	w.toDues()
	a, _ := w.robust(seller)
	if a.FinesDueMicro != 28_000 || a.BondMicro != 0 || w.worth(buyer) != aBond+2_000_000+200_000 {
		t.Fatalf("%+v, the buyer has %d", a, w.worth(buyer))
	}
	w.wait(10 * w.Genesis.Params.ListMs)
	if code := w.send(seller, w.offer(1000, 1)); code != wire.CodeFinesDue {
		t.Errorf("an offer: %q", code)
	}
	w.must(mc, deposit(seller, 20_000, "d-1"))
	w.must(mc, deposit(seller, 9_000, "d-2"))
	if a, _ = w.robust(seller); a.FinesDueMicro != 0 || a.WalletMicro != 1_000 || w.State.Totals().FundMicro != 28_000 {
		t.Errorf("%+v", a)
	}
	w.must(seller, w.offer(1000, 1))
}

// toDues: of two trades, verdicts find that a seller with a bond of 200,000 said that it
// was ready and was not. The fines are 152,000 and 76,000.
func (w *world) toDues() {
	w.toTwoReady()
	w.foundNotReady("token-1")
	w.foundNotReady("token-2")
}

// toTwoReady has that seller say of two trades that it was ready.
func (w *world) toTwoReady() {
	w.toTwoPaid()
	t, _ := w.State.Trade("token-2")
	r := of(w.bill(1000, 0, 0), "token-2")
	r.GetBill().AvailableWh, r.GetBill().PayId = 2000, []byte(t.PayID)
	w.must(seller, r)
}

// toTwoPaid has that seller say of one trade that it was ready, and begin another.
func (w *world) toTwoPaid() {
	w.must(mc, bonded(seller, 200_000, "bond-seller"))
	w.must(mc, bonded(buyer, aBond, "bond-buyer"))
	w.must(mc, deposit(buyer, 1_000_000, "more"))
	w.toDelivering()
	w.toSecondToken()
	r := w.bill(1000, 0, 0)
	r.GetBill().AvailableWh = 2000
	w.must(seller, r)
	w.must(buyer, pay2(nil))
	w.must(seller, of(start(w.attest(open, 1), 1000), "token-2"))
}

// foundNotReady has two arbiters find that.
func (w *world) foundNotReady(trade string) {
	w.must(buyer, appeal(trade))
	w.must("judge-1", verdict(trade, sellerLied))
	w.must("judge-3", verdict(trade, sellerLied))
}
