package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// asked is a buyer's request with a number, which ends at a time.
func (w *world) asked(n int, expiresMs int64) record {
	r := w.request(2000, 300_000)
	r.GetRequest().RequestId, r.GetRequest().ExpiresMs = fmt.Sprint("request-", n), expiresMs
	return r
}

// As many requests of one buyer stand unanswered as may, whatever is answered or
// runs out meanwhile, and the others have their own.
func TestABuyerMayAskSoOften(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(outer, func(g *ledger.Genesis) { g.Params.MaxRequests, g.Params.MaxSweep = 3, 2 })
		w.must(ledgertest.Centre, deposit(buyer, 1_000_000_000, "much"))
		w.must(ledgertest.Centre, deposit("buyer-2", 1_000_000, "some"))
		ends := make(map[int]int64) // of those unanswered
		for n := range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"ask", "ask", "ask", "answer", "wait"}).Draw(t, "step") {
			case "ask":
				until := w.NowMs + rapid.Int64Range(10_000, 100_000).Draw(t, "for")
				want := ""
				if len(ends) == 3 {
					want = wire.CodeTooManyRequests
				} else {
					ends[n] = until
				}
				if code := w.send(buyer, w.asked(n, until)); code != want {
					t.Fatalf("%d stand: %q, want %q", len(ends), code, want)
				}
			case "answer":
				for k := range ends {
					w.must(ledgertest.Centre, w.response(func(r *fairwattpb.Response) {
						r.RequestId, r.Token.TokenId = fmt.Sprint("request-", k), fmt.Sprint("token-", k)
						r.Quotes = nil
					}))
					delete(ends, k)
					break
				}
			case "wait":
				w.NowMs += rapid.Int64Range(0, 50_000).Draw(t, "ms")
				for range 30 { // a block ends two of them
					w.wait(1)
				}
			}
			for k, until := range ends {
				if until <= w.State.TimeMs() {
					delete(ends, k)
				}
			}
		}
		w.must("buyer-2", w.request(1, 1))
	})
}

// The first rules know no bound: a chain made with them verifies as it did.
func TestTheFirstRulesBoundNoRequests(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
	w.must(ledgertest.Centre, deposit(buyer, 1_000_000, "some"))
	for n := range 20 {
		w.must(buyer, w.asked(n, w.NowMs+3_600_000))
	}
}

// A damaged count is no count: the block that would rest on it is not made.
func TestADamagedCountOfRequests(t *testing.T) {
	w := newWorld(t, nil)
	w.must(ledgertest.Centre, deposit(buyer, 1_000_000, "some"))
	w.must(buyer, w.asked(1, w.NowMs+3_600_000))
	entries, found := w.State.Entries(), false
	for i := range entries {
		if string(entries[i].Key) == "asking/"+buyer {
			entries[i].Value, found = entries[i].Value[:7], true
		}
	}
	if !found {
		t.Fatal("no count of requests")
	}
	s, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), entries)
	if err != nil {
		t.Fatal(err)
	}
	w.State = s
	if _, err := w.Send(buyer, w.asked(2, w.NowMs+3_600_000)); err == nil || !strings.Contains(err.Error(), "count of 7 bytes, want 8") {
		t.Errorf("a request on a damaged count: %v", err)
	}
}
