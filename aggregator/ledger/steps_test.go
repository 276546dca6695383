package ledger_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// TestSteps follows every kind of record and every deadline and compares what
// each block did, to the last field of the state and to each notice, with
// a file in testdata. FAIRWATT_UPDATE=1 writes that file again: read the
// difference, for it is a change of the rules. The file of the first rules may
// never change: chains were made by them.
func TestSteps(t *testing.T) {
	t.Run("meters", func(t *testing.T) { testSteps(t, "testdata/steps-meters.txt", meterStories, func(*ledger.Genesis) {}) })
	t.Run("paper", func(t *testing.T) { testSteps(t, "testdata/steps-paper.txt", paperStories, paper) })
	t.Run("first", func(t *testing.T) { testSteps(t, "testdata/steps.txt", stories, ledgertest.FirstRules) })
}

func testSteps(t *testing.T, stepsFile string, stories []story, rules func(*ledger.Genesis)) {
	var out strings.Builder
	for _, story := range stories {
		fmt.Fprintf(&out, "== %s\n", story.name)
		w := newWorld(t, func(g *ledger.Genesis) {
			rules(g)
			g.Members[2].Simulated = false
			if story.genesis != nil {
				story.genesis(g)
			}
		})
		tell := &teller{world: w, out: &out}
		if story.to != nil {
			story.to(w)
		}
		story.play(tell)
	}
	want, err := os.ReadFile(stepsFile)
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		err = os.WriteFile(stepsFile, []byte(out.String()), 0o644)
		want = []byte(out.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(old)) {
		now, was := "(the end)", "(the end)"
		if i < len(got) {
			now = got[i]
		}
		if i < len(old) {
			was = old[i]
		}
		if now != was {
			t.Fatalf("line %d of %s\n  now: %s\n  was: %s", i+1, stepsFile, now, was)
		}
	}
}

// A teller writes down what each of its steps does.
type teller struct {
	*world
	out *strings.Builder
}

func (w *teller) send(what, sender string, r record) {
	w.t.Helper()
	before := w.State.Entries()
	w.write(before, what, w.step(sender, r))
}

func (w *teller) pass(what string, ms int64) {
	w.t.Helper()
	before := w.State.Entries()
	w.write(before, what, w.wait(ms))
}

func (w *teller) write(before []ledger.Entry, what string, st *ledger.Staged) {
	w.t.Helper()
	for _, o := range st.Outcomes() {
		if !o.GetApplied() {
			w.t.Errorf("%s: %s: %s", what, o.GetCode(), o.GetReason())
		}
	}
	fmt.Fprintf(w.out, "-- %s (at %s)\n", what, since(st.Header().GetTimeMs()))
	old := make(map[string][]byte, len(before))
	for _, e := range before {
		old[string(e.Key)] = e.Value
	}
	for _, c := range st.Changes() {
		key := string(c.Key)
		if strings.HasPrefix(key, "window/") {
			continue
		}
		was, had := old[key]
		if had && c.Delete != (c.Value == nil) {
			w.t.Errorf("%s: deleted %v with the value %x", key, c.Delete, c.Value)
		}
		if line := ledger.DescribeChange(key, was, c.Value, had, c.Delete, since); line != "" {
			fmt.Fprintf(w.out, "   %s\n", line)
		}
	}
	for _, n := range st.Notices() {
		fmt.Fprintf(w.out, "   tells %s", n.To)
		if n.Index >= 0 && n.Record == nil {
			fmt.Fprint(w.out, ", the sender")
		}
		if n.Index < 0 {
			fmt.Fprint(w.out, ", by time")
		}
		if tr := n.Trade; tr != nil {
			fmt.Fprintf(w.out, ": %s %s, paid %d, returned %d", tr.GetTradeId(), tr.GetStatus(), tr.GetPaidMicro(), tr.GetReturnedMicro())
			if tr.GetReason() != "" {
				fmt.Fprintf(w.out, " (%s)", tr.GetReason())
			}
		}
		fmt.Fprintln(w.out)
	}
}

// since writes a time after the chain's start.
func since(ms int64) string { return fmt.Sprintf("+%d ms", ms-ledgertest.StartMs) }

// A story is one way a trade can go; to leads up to what is told.
type story struct {
	name    string
	genesis func(*ledger.Genesis)
	to      func(*world)
	play    func(*teller)
}

// stories are those of the first rules.
var stories = []story{
	{"a trade that settles", nil, nil, func(w *teller) {
		w.send("deposit", mc, deposit(buyer, 1_000_000, "deposit-1"))
		w.send("gate opens", seller, gate(1, open))
		w.send("offer", seller, w.offer(5000, 200_000))
		w.send("request", buyer, w.request(2000, 300_000))
		w.send("response", mc, w.response(nil))
		w.send("payment", buyer, pay(nil))
		w.send("start", seller, start(w.attest(open, 1), 1000))
		w.send("seller's reading", seller, readingOf("seller-1-meter", 1200))
		w.send("buyer's reading", buyer, readingOf("buyer-1-meter", 290))
		w.send("gate closes", seller, gate(2, blocked))
		w.send("hold", seller, hold(2, 1500))
		w.send("seller's reading in the hold", seller, readingOf("seller-1-meter", 1550))
		w.send("gate opens again", seller, gate(3, open))
		w.NowMs += 60_000
		w.send("resume, a minute later", seller, resume(w.attest(open, 3), 1700))
		w.send("bill", seller, w.bill(3200, 2000, 400_000))
		w.send("buyer's reading after the bill", buyer, readingOf("buyer-1-meter", 2000))
		w.send("confirmation", buyer, confirm(2060, 1960))
	}},
	{"registration", nil, nil, func(w *teller) {
		r := w.registration("new", "new")
		r.GetRegistration().Roles = []fairwattpb.Role{1, 2}
		r.GetRegistration().MeterClassE4, r.GetRegistration().Simulated = 50, true
		w.send("registration of one who sells and buys", mc, r)
		w.send("registration of a buyer", mc, w.registration("next", "next"))
	}},
	{"offers and requests that end", nil, func(w *world) { w.must(mc, deposit(buyer, 1, "r")) }, func(w *teller) {
		w.send("offer", seller, w.offer(5000, 200_000))
		w.send("offer in its place", seller, w.offer(4000, 100_000))
		w.send("withdrawn", seller, w.offer(0, 1))
		w.send("withdrawn again", seller, w.offer(0, 1))
		w.send("offer", seller, w.offer(5000, 200_000))
		w.send("request", buyer, w.request(2000, 300_000))
		w.pass("a millisecond before the offer ends", 3_600_000-4)
		w.pass("the offer ends", 0)
		w.pass("the request ends", 0)
	}},
	{"the whole offer is paid", nil, (*world).toEscrowed, func(w *teller) {
		w.send("offer", seller, w.offer(2000, 200_000))
		w.send("payment", buyer, pay(nil))
	}},
	{"a Token for the exact amount", nil, (*world).toEscrowed, func(w *teller) {
		w.send("offer", seller, w.offer(2000, 300_000))
		w.send("payment", buyer, pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 300_000, 600_000 }))
	}},
	{"a Token not used", nil, (*world).toEscrowed, func(w *teller) {
		w.pass("a millisecond before the end", 600_000-3)
		w.pass("the end", 0)
		w.pass("an hour later", 3_600_000)
	}},
	{"no start", nil, (*world).toPaid, func(w *teller) { w.pass("the end", w.Genesis.Params.StartByMs) }},
	{"no start, gate closed", nil, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, func(w *teller) {
		w.pass("the end", w.Genesis.Params.StartByMs)
	}},
	{"no bill", nil, (*world).toDelivering, func(w *teller) { w.pass("the end", w.Genesis.Params.DeliverByMs) }},
	{"a bill of nothing", nil, (*world).toDelivering, func(w *teller) { w.send("bill", seller, w.bill(1000, 0, 0)) }},
	{"a bill in the hold", nil, (*world).toHeld, func(w *teller) {
		w.send("bill", seller, w.bill(1700, 500, 100_000))
		w.send("confirmation", buyer, confirm(580, 480))
	}},
	{"a hold that lasts", nil, (*world).toHeld, func(w *teller) {
		w.pass("billed by the meter", w.Genesis.Params.ResumeByMs)
		w.pass("settled by the meter", w.Genesis.Params.ConfirmByMs)
	}},
	{"a hold that lasts, more metered than paid", nil, (*world).toDelivering, func(w *teller) {
		w.send("hold", seller, hold(2, 4000))
		w.pass("billed by the meter", w.Genesis.Params.ResumeByMs)
	}},
	{"a hold that lasts, without causes", nil, (*world).toDelivering, func(w *teller) {
		r := hold(2, 1000)
		r.GetHold().Causes = nil
		w.send("hold", seller, r)
		w.pass("nothing was delivered", w.Genesis.Params.ResumeByMs)
	}},
	{"a silent buyer", nil, (*world).toBilled, func(w *teller) { w.pass("the end", w.Genesis.Params.ConfirmByMs) }},
	{"a dispute", nil, (*world).toBilled, func(w *teller) {
		r := confirm(1100, 1000)
		r.GetConfirm().Accepted, r.GetConfirm().Reason = false, "half of it"
		w.send("confirmation", buyer, r)
		w.pass("divided", w.Genesis.Params.DisputeMs)
	}},
	{"a dispute over an odd amount", nil, (*world).toDelivering, func(w *teller) {
		w.send("bill", seller, w.bill(2001, 1001, 200_200))
		w.send("confirmation", buyer, confirm(100, 0))
		w.pass("divided", w.Genesis.Params.DisputeMs)
	}},
	{"the blacklist", func(g *ledger.Genesis) { g.Params.BlacklistBelowE6 = g.Params.CreditStartE6 }, (*world).toPaid, func(w *teller) {
		w.pass("no start", w.Genesis.Params.StartByMs)
	}},
}
