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
