package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"

	"pgregory.net/rapid"
)

// toShort has the seller bill nothing, and pay a fine for it.
func (w *world) toShort() { w.toDelivering(); w.must(seller, w.bill(1000, 0, 0)) }

// toLate has the buyer's meter silent to the end.
func (w *world) toLate() {
	w.toBilled()
	w.wait(w.Genesis.Params.ConfirmByMs)
	w.wait(w.Genesis.Params.SilenceMs)
}

// A verdict gives credit back to whom it clears, and to no one else.
func TestAVerdictGivesCreditBack(t *testing.T) {
	const sellerLost, buyerLost = 5 * 1900, 5 * 2000 // weighted
	old := func(g *ledger.Genesis) { g.Params.VerdictClears = false }
	for _, c := range []struct {
		name          string
		change        func(*ledger.Genesis)
		play          func(*world)
		finding       fairwattpb.Finding
		seller, buyer int64 // bad
		broken        [2]uint64
		noted         string // losses that the state knows still
	}{
		{"the buyer drew nothing", nil, (*world).toShort, buyerLied, 0, sellerLost, [2]uint64{0, 1}, ""},
		{"no one is to blame", nil, (*world).toShort, neither, 0, 0, [2]uint64{}, ""},
		{"it is to blame indeed", nil, (*world).toShort, sellerLied, 2 * sellerLost, 0, [2]uint64{2, 0}, "loss/seller-1/token-1"},
		{"the seller lied of a silent buyer", nil, (*world).toLate, sellerLied, 0, 0, [2]uint64{1, 0}, ""},
		{"the silent buyer lied", nil, (*world).toLate, buyerLied, 0, buyerLost, [2]uint64{0, 2}, "loss/buyer-1/token-1"},
		{"silence was no one's fault", nil, (*world).toLate, neither, 0, 0, [2]uint64{}, ""},
		{"a chain made before", old, (*world).toShort, buyerLied, sellerLost, sellerLost, [2]uint64{1, 1}, ""},
		{"a chain made before, no one's fault", old, (*world).toLate, neither, 0, buyerLost, [2]uint64{0, 1}, ""},
	} {
		w := newRobust(t, c.change)
		c.play(w)
		w.decided(c.finding)
		s, _ := w.robust(seller)
		b, _ := w.robust(buyer)
		p := &w.Genesis.Params
		if s.BadWh != c.seller || b.BadWh != c.buyer || s.Broken != c.broken[0] || b.Broken != c.broken[1] ||
			s.CreditE6 != p.CreditOf(0, c.seller) || b.CreditE6 != p.CreditOf(0, c.buyer) {
			t.Errorf("%s: seller %+v, buyer %+v", c.name, s, b)
		}
		var noted []string
		for _, e := range w.State.Entries() {
			if strings.HasPrefix(string(e.Key), "loss/") {
				noted = append(noted, string(e.Key))
			}
		}
		if got := strings.Join(noted, " "); got != c.noted {
			t.Errorf("%s: known still: %q, want %q", c.name, got, c.noted)
		}
	}
}

// What is given back is told, with the verdict's record, and is no more than is not
// forgotten yet: of another trade's loss nothing is given back with it.
func TestWhatIsGivenBackIsTold(t *testing.T) {
	w := newRobust(t, func(g *ledger.Genesis) { g.Params.VerdictMs = 2 * g.Params.CreditPeriodMs })
	w.must(mc, deposit(buyer, 1_000_000, "more"))
	w.toShort() // 9500
	w.toSecondToken()
	w.must(buyer, pay2(nil))
	w.wait(w.Genesis.Params.StartByMs) // of 1000 Wh, never started: 4750
	w.nextPeriod()
	w.must("judge-1", verdict("token-1", buyerLied))
	var told []ledger.Step
	for _, s := range w.step("judge-2", verdict("token-1", buyerLied)).Steps() {
		if s.Who == seller && s.Kind == ledger.StepRestored {
			told = append(told, s)
		}
	}
	p := &w.Genesis.Params
	const left = 14_250*9/10 - 8550
	want := []ledger.Step{{
		Who: seller, Kind: ledger.StepRestored, Trade: "token-1", BadWh: -8550, CreditE6: p.CreditOf(0, left), Text: "the arbiters find: the buyer is at fault",
	}}
	if !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	if a, _ := w.robust(seller); a.BadWh != left || a.Broken != 1 {
		t.Errorf("%+v", a)
	}
}

// Whom a trade put on the list is off it when a verdict clears it of that trade, at once,
// and may trade; the next listing does not last longer for it.
func TestTheClearedLeaveTheList(t *testing.T) {
	w := newRobust(t, harsh)
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	if l, _ := w.State.List(); len(l) != 1 {
		t.Fatalf("%+v", l)
	}
	w.must("judge-1", verdict("token-1", neither))
	told := w.step("judge-2", verdict("token-1", neither)).Steps()
	if l, v := w.State.List(); len(l) != 0 || v != 2 {
		t.Errorf("%+v, version %d", l, v)
	}
	if !slices.ContainsFunc(told, func(s ledger.Step) bool {
		return s.Kind == ledger.StepBack && s.Who == seller && s.Trade == "token-1" && s.CreditE6 == 500_000
	}) {
		t.Errorf("told %+v", told)
	}
	w.must(seller, w.offer(5000, 200_000))
	w.toSecondToken()
	w.must(buyer, pay2(nil))
	w.wait(w.Genesis.Params.StartByMs)
	if l, v := w.State.List(); len(l) != 1 || l[0].UntilMs-l[0].SinceMs != w.Genesis.Params.ListMs || v != 3 {
		t.Errorf("%+v, version %d", l, v)
	}
}

// Of two listings, the later lasts as if the earlier had not been when its trade is cleared:
// it is told until when, and is over at once where that has passed.
func TestALaterListingIsShorter(t *testing.T) {
	for _, c := range []struct {
		name  string
		later int64 // the verdict, behind the later listing
		want  func(untilMs int64) []ledger.Step
	}{
		{"it lasts on", -1, func(untilMs int64) []ledger.Step {
			return []ledger.Step{{Who: seller, Kind: ledger.StepListed, Trade: "token-2", UntilMs: untilMs, Text: "no start in time"}}
		}},
		{"it would end just now", 0, func(int64) []ledger.Step {
			return []ledger.Step{{Who: seller, Kind: ledger.StepBack, Trade: "token-1", Text: "the arbiters find: neither has lied"}}
		}},
	} {
		w := newRobust(t, func(g *ledger.Genesis) { harsh(g); g.Params.ListMs = 3_600_000 })
		w.must(mc, deposit(buyer, 1_000_000, "more"))
		w.toPaid()
		w.toSecondToken()
		w.wait(60_000)
		w.must(buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter-2", 0) }))
		w.wait(w.Genesis.Params.StartByMs)
		w.wait(0) // both failed
		list, _ := w.State.List()
		if len(list) != 1 || list[0].Trade != "token-2" || list[0].UntilMs-list[0].SinceMs != 2*3_600_000 {
			t.Fatalf("%s: %+v", c.name, list)
		}
		until := list[0].SinceMs + 3_600_000
		w.must("judge-1", verdict("token-1", neither))
		w.NowMs = until + c.later - 1
		var told []ledger.Step
		for _, s := range w.step("judge-2", verdict("token-1", neither)).Steps() {
			if s.Kind == ledger.StepListed || s.Kind == ledger.StepBack {
				s.CreditE6 = 0
				told = append(told, s)
			}
		}
		if want := c.want(until); !slices.Equal(told, want) {
			t.Errorf("%s: told %+v, want %+v", c.name, told, want)
		}
		if list, _ := w.State.List(); (len(list) == 1) != (c.later < 0) {
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}

// A hold that no one bears out used up the quota of excuses, and the buyer drew nothing
// after it: with the verdict the quota is what it was.
func TestTheQuotaOfExcusesComesBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		late    bool // a whole period of excuses later
		finding fairwattpb.Finding
		want    string
	}{
		{"the buyer is at fault", false, buyerLied, "excused 1900 of 1900 Wh, 100 Wh are left"},
		{"a period later", true, buyerLied, "excused 1900 of 1900 Wh, 99 Wh are left"},
		{"the seller is", false, sellerLied, "excused 100 of 1900 Wh, 0 Wh are left"},
	} {
		h := newHill(t, ledger.ExcusesWitnessed, func(g *ledger.Genesis) { g.Params.VerdictMs = 2 * g.Params.CreditPeriodMs })
		period := h.Genesis.Params.CreditPeriodMs
		if c.late { // near its end, so that all of what was delivered counts still in the next
			h.NowMs += period - h.NowMs%period - 3_600_000
		}
		h.earns(10)
		d := h.begin()
		h.change(closes(0, "wind"))
		if told, fine := h.end(d, 0); fine != 0 || !strings.Contains(told, "excused 1900 of 1900 Wh, 100 Wh are left") {
			t.Fatalf("%s: %q, a fine of %d", c.name, told, fine)
		}
		if c.late {
			h.NowMs += period - h.NowMs%period
		}
		h.must("judge-1", verdict(d.ID, c.finding))
		h.must("judge-2", verdict(d.ID, c.finding))
		if a, _ := h.robust(seller); (a.Broken > 0) != (c.finding == sellerLied) {
			t.Errorf("%s: %+v", c.name, a)
		}
		d = h.begin()
		h.change(closes(0, "wind"))
		if told, _ := h.end(d, 0); !strings.Contains(told, c.want) {
			t.Errorf("%s: %q, want %q", c.name, told, c.want)
		}
	}
}

// A listed is a seller whose trades fail, and of whom verdicts clear it later, in any
// order. It keeps the failures that it was not cleared of; by what the list is for, the
// newest of them is all that matters.
type listed struct {
	*world
	r      *rapid.T
	trades int
	failed []failure
}

type failure struct {
	trade   string
	sinceMs int64
}

// took reads what a block did to the seller.
func (w *listed) took(st *ledger.Staged) {
	for _, s := range st.Steps() {
		if s.Who == seller && s.Kind == ledger.StepBroke {
			w.failed = append(w.failed, failure{s.Trade, w.State.TimeMs()})
		}
	}
}

func (w *listed) pass(ms int64) { w.took(w.wait(ms)) }

// pays has a buyer that waits for nothing pay for what the seller never delivers.
func (w *listed) pays() {
	if a, _ := w.robust(seller); a.Blacklisted {
		return
	}
	busy := w.State.Trades(func(t *ledger.Trade) bool { return !t.Ended() })
	for _, m := range w.Genesis.Members {
		if m.ID == seller || slices.ContainsFunc(busy, func(t ledger.Trade) bool { return t.Buyer == m.ID }) {
			continue
		}
		w.trades++
		d := ledgertest.Deal{Chain: w.Chain, ID: fmt.Sprintf("t-%d", w.trades), Seller: seller, Buyer: m.ID, VolumeWh: 100, PriceMicroPerKWh: 100_000}
		if err := d.Pay(); err != nil {
			w.r.Fatal(err)
		}
		return
	}
}

func (w *listed) clears(at int) {
	trade := w.failed[at].trade
	w.took(w.step("judge-1", verdict(trade, neither)))
	w.took(w.step("judge-2", verdict(trade, neither)))
	w.failed = slices.DeleteFunc(w.failed, func(f failure) bool { return f.trade == trade })
}

func (w *listed) check() {
	w.r.Helper()
	p := &w.Genesis.Params
	a, _ := w.robust(seller)
	n := len(w.failed)
	if a.Broken != uint64(n) || a.Listings != uint64(n) || a.BadWh != int64(n)*5*95 {
		w.r.Fatalf("%+v, want %v alone", a, w.failed)
	}
	list, _ := w.State.List()
	var want []ledger.Listing
	if n > 0 {
		last := w.failed[n-1]
		if until := last.sinceMs + p.ListMs<<min(n-1, 6); until > w.State.TimeMs() {
			want = []ledger.Listing{{ID: seller, Trade: last.trade, Reason: "no start in time", SinceMs: last.sinceMs, UntilMs: until}}
		}
	}
	if !slices.Equal(list, want) || a.Blacklisted != (len(want) > 0) {
		w.r.Fatalf("the list is %+v, want %+v of %+v", list, want, w.failed)
	}
	deadlines := 0
	for _, e := range w.State.Entries() {
		if key, is := strings.CutPrefix(string(e.Key), "deadline/"); is && key[8:] == "l"+seller {
			deadlines++
		}
	}
	if deadlines != len(want) {
		w.r.Fatalf("%d deadlines of %d listings", deadlines, len(want))
	}
}

// Whatever trades a seller is cleared of, and in whatever order, the list, how often it
// was on it, and its credit are those of one that had the others alone.
func TestClearedAsIfItHadNotBeen(outer *testing.T) {
	most, replaced, runs := 0, 0, 0
	rapid.Check(outer, func(t *rapid.T) {
		runs++
		g := ledgertest.Genesis(1, 1, 5)
		ledgertest.Robust(g)
		harsh(g)
		p := &g.Params
		p.ListMs, p.VerdictMs, p.CreditPeriodMs = 2*p.StartByMs, 300*24*3_600_000, 350*24*3_600_000
		c, err := ledgertest.New(g)
		if err != nil {
			t.Fatal(err)
		}
		w := &listed{world: &world{c, outer}, r: t}
		for _, m := range g.Members {
			w.must(mc, deposit(m.ID, 100_000_000, "d-"+m.ID))
			w.must(mc, bonded(m.ID, 100_000_000, "b-"+m.ID))
		}
		w.must(seller, gate(1, open))
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch k := rapid.IntRange(0, 5).Draw(t, "step"); {
			case k < 3:
				w.pays()
				w.pass(rapid.Int64Range(1, p.StartByMs/4).Draw(t, "soon"))
			case k == 3:
				w.pass(rapid.Int64Range(1, 3*p.ListMs).Draw(t, "later"))
			case len(w.failed) > 0:
				at := rapid.IntRange(0, len(w.failed)-1).Draw(t, "of which")
				if a, _ := w.robust(seller); a.Blacklisted && at == len(w.failed)-1 && at > 0 {
					replaced++
				}
				w.clears(at)
			}
			w.check()
			most = max(most, len(w.failed))
		}
	})
	if enough(runs) && (most < 4 || replaced == 0) {
		outer.Errorf("%d listings at most, %d times one behind another was cleared", most, replaced)
	}
}
