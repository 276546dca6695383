package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

// benchChain is a chain with 1000 sellers, and a block's worth of offers.
func benchChain(b *testing.B, n int) (*ledgertest.Chain, [][]byte) {
	b.Helper()
	c, err := ledgertest.New(ledgertest.Genesis(4, 1000, 0))
	if err != nil {
		b.Fatal(err)
	}
	w := &world{c, b}
	records := make([][]byte, n)
	for i := range records {
		if records[i], err = c.Seal(fmt.Sprintf("seller-%d", i%1000+1), w.offer(int64(1000+i), 200_000)); err != nil {
			b.Fatal(err)
		}
	}
	return c, records
}

func known([32]byte) bool { return true }

func perRecord(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/record")
}

func BenchmarkBuild(b *testing.B) {
	c, records := benchChain(b, 500)
	for b.Loop() {
		if _, dropped, err := c.State.Build(c.Fields(), records, ledger.WithVerified(known)); err != nil || len(dropped) > 0 {
			b.Fatal(err, len(dropped))
		}
	}
	perRecord(b, len(records))
}

func BenchmarkVerify(b *testing.B) {
	c, records := benchChain(b, 500)
	st, _, err := c.State.Build(c.Fields(), records)
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []struct {
		name string
		opts []ledger.Option
	}{{"signatures known", []ledger.Option{ledger.WithVerified(known)}}, {"with signatures", nil}} {
		b.Run(mode.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.State.Verify(st.Block(), mode.opts...); err != nil {
					b.Fatal(err)
				}
			}
			perRecord(b, len(records))
		})
	}
}

func BenchmarkCheckRecord(b *testing.B) {
	c, records := benchChain(b, 1)
	for b.Loop() {
		if _, err := c.State.CheckRecord(records[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyCertificate measures a certificate of 34 votes of 50: as it comes from
// another, and where agreement has checked its votes.
func BenchmarkVerifyCertificate(b *testing.B) {
	g := ledgertest.Genesis(50, 1, 1)
	c, err := ledgertest.New(g)
	if err != nil {
		b.Fatal(err)
	}
	st, _, err := c.State.Build(c.Fields(), nil)
	if err != nil {
		b.Fatal(err)
	}
	cb, err := c.Certify(st)
	if err != nil {
		b.Fatal(err)
	}
	for name, opts := range map[string][]ledger.Option{"new": nil, "known": {ledger.WithHeld(make(votesHeld))}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.State.VerifyCertificate(st, cb.GetCertificate(), opts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer is an answer of sixteen quotes where cheaper offers stand that no one can
// have, since their sellers' gates are closed.
func BenchmarkAnswer(b *testing.B) {
	g := ledgertest.Genesis(4, ledger.MaxLedgerQuotes, 1)
	g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	c, err := ledgertest.New(g)
	if err != nil {
		b.Fatal(err)
	}
	w := &world{c, b}
	w.must(mc, deposit(buyer, 10_000_000, "d"))
	w.must(buyer, w.asks(buyer, 1000, 300_000)) // it waits
	for i := range ledger.MaxLedgerQuotes {
		w.sells(fmt.Sprintf("seller-%d", i+1), 1000, 200_000)
	}
	for _, closed := range []int{0, 1000, 100_000} {
		entries := append(w.State.Entries(), ledger.ClosedOffers(g.Params, closed, w.NowMs+3_600_000)...)
		s, err := ledger.Restore(g, w.State.Height(), w.State.HeaderHash(), entries)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("closed=%d", closed), func(b *testing.B) {
			for b.Loop() {
				if r, why := s.Answerable(buyer, "r-"+buyer, w.NowMs); len(r.GetQuotes()) != ledger.MaxLedgerQuotes {
					b.Fatalf("%v: %s", r, why)
				}
			}
		})
	}
}
