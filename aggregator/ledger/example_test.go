package ledger_test

import (
	"errors"
	"fmt"

	"fairwatt/aggregator/ledger"
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

// Where the ledger answers, a request waits until someone sells, everyone can see the
// answer that it would have, and one payment becomes a trade with each of two sellers.
func ExampleState_Answerable() {
	g := ledgertest.Genesis(4, 2, 1)
	g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	c, err := ledgertest.New(g)
	if err != nil {
		panic(err)
	}
	send := func(sender string, r *fairwattpb.Record) {
		if o, err := c.Send(sender, r); err != nil || !o.Applied {
			panic(fmt.Sprint(o, err))
		}
	}
	later := c.NowMs + 600_000
	send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{
		Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "receipt-1"}}})
	send("buyer-1", &fairwattpb.Record{Body: &fairwattpb.Record_Request{
		Request: &fairwattpb.Request{RequestId: "r-1", VolumeWh: 2000, MaxPriceMicroPerKwh: 300_000, ExpiresMs: later}}})
	_, why := c.State.Answerable("buyer-1", "r-1", c.NowMs)
	fmt.Println(why)

	var choices []*fairwattpb.Choice
	for i, price := range []int64{200_000, 250_000} {
		seller := fmt.Sprintf("seller-%d", i+1)
		send(seller, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
			GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: later}}})
		send(seller, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{
			Offer: &fairwattpb.Offer{OfferId: "o-1", VolumeWh: 1000, PriceMicroPerKwh: price, ExpiresMs: later}}})
		choices = append(choices, &fairwattpb.Choice{OfferId: "o-1", Seller: seller, PriceMicroPerKwh: price, MaxWh: 1000})
	}
	answer, _ := c.State.Answerable("buyer-1", "r-1", c.NowMs)
	for _, q := range answer.GetQuotes() {
		fmt.Println(q.Seller, "has", q.VolumeWh, "Wh at", q.PriceMicroPerKwh)
	}
	send("buyer-1", &fairwattpb.Record{Body: &fairwattpb.Record_Response{
		Response: &fairwattpb.Response{RequestId: "r-1", Buyer: "buyer-1"}}})
	send("buyer-1", &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: answer.GetToken().GetTokenId(), Choices: choices,
		BuyerReading: &fairwattpb.MeterReading{Meter: "buyer-1-meter"},
		MoreReadings: []*fairwattpb.MeterReading{{Meter: "buyer-1-meter-2"}},
	}}})
	for _, t := range c.State.Trades(nil) {
		fmt.Println(t.Seller, "is", t.Status, t.EscrowMicro)
	}
	fmt.Println("wallet", c.State.Balance("buyer-1"))
	// Output:
	// no one who may deliver now sells at 300000 micro per kWh or less
	// seller-1 has 1000 Wh at 200000
	// seller-2 has 1000 Wh at 250000
	// seller-1 is paid 200000
	// seller-2 is paid 250000
	// wallet 550000
}

// A member changes its key itself. From the next block on only the new one is good, and
// what the old one has signed can stand in no block any more.
func Example_keyChange() {
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 0))
	if err != nil {
		panic(err)
	}
	gate := &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
		GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: c.NowMs + 60_000}}}
	before, err := c.Seal("seller-1", gate)
	if err != nil {
		panic(err)
	}
	o, err := c.Send("seller-1", c.KeyChange("seller-1", "seller-1-2"))
	fmt.Println("changed:", o.GetApplied(), err)
	var r *ledger.Refusal
	if _, err = c.State.CheckRecord(before); errors.As(err, &r) {
		fmt.Println("by the old key:", r.Code)
	}
	o, err = c.Send("seller-1", gate)
	fmt.Println("by the new key:", o.GetApplied(), err)
	// Output:
	// changed: true <nil>
	// by the old key: key_changed
	// by the new key: true <nil>
}
