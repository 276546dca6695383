package ledger_test

import (
	"fmt"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// A chain of one block: the accounting node builds it, a quorum certifies it,
// another aggregator verifies it and makes it its newest.
func Example() {
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		panic(err)
	}
	sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{
		Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 2_500_000, Reference: "receipt-1"},
	}})
	if err != nil {
		panic(err)
	}
	if _, err := c.State.CheckRecord(sealed); err != nil {
		panic(err)
	}
	built, _, err := c.State.Build(c.Fields(), [][]byte{sealed})
	if err != nil {
		panic(err)
	}
	certified, err := c.Certify(built)
	if err != nil {
		panic(err)
	}
	staged, err := c.State.VerifyCertified(certified)
	if err != nil {
		panic(err)
	}
	if err := c.State.Commit(staged); err != nil {
		panic(err)
	}
	fmt.Println("height", c.State.Height(), "balance", c.State.Balance("buyer-1"), "conserved", c.State.Totals().Conserved)
	// Output: height 1 balance 2500000 conserved true
}
