package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

const (
	seller, buyer = "seller-1", "buyer-1"
	open          = fairwattpb.GateState_GATE_STATE_OPEN
	blocked       = fairwattpb.GateState_GATE_STATE_BLOCKED
)

// world is a chain under test with short ways to say things.
type world struct {
	*ledgertest.Chain
	t testing.TB
}

func newWorld(t testing.TB, change func(*ledger.Genesis)) *world {
	t.Helper()
	return newWorldOf(t, 4, change)
}

func newWorldOf(t testing.TB, das int, change func(*ledger.Genesis)) *world {
	t.Helper()
	g := ledgertest.Genesis(das, 2, 2)
	if change != nil {
		change(g)
	}
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	return &world{c, t}
}

// send returns the code of the record's outcome, "" when it applied.
func (w *world) send(sender string, r *fairwattpb.Record) string {
	w.t.Helper()
	o, err := w.Send(sender, r)
	if err != nil {
		w.t.Fatal(err)
	}
	if o.Applied != (o.Code == "") {
		w.t.Fatalf("outcome %v", o)
	}
	if totals := w.State.Totals(); !totals.Conserved {
		w.t.Fatalf("money not conserved: %+v", totals)
	}
	return o.Code
}

func (w *world) must(sender string, r *fairwattpb.Record) {
	w.t.Helper()
	if code := w.send(sender, r); code != "" {
		w.t.Fatalf("%s refused: %s", ledger.Kind(r), code)
	}
}

// wait lets ms pass and sweeps by an empty block.
func (w *world) wait(ms int64) *ledger.Staged {
	w.t.Helper()
	w.NowMs += ms
	st, err := w.Advance()
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

func (w *world) status(want string) ledger.Trade {
	w.t.Helper()
	t, ok := w.State.Trade("token-1")
	if !ok || t.Status != want {
		w.t.Fatalf("trade is %q (%s), want %q", t.Status, t.Reason, want)
	}
	return t
}

func (w *world) attest(state fairwattpb.GateState, seq uint64) []byte {
	w.t.Helper()
	a, err := w.Attest(seller, seq, state, 60_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// at is a reading of the moment in which it is sealed.
func at(meter string, wh int64) *fairwattpb.MeterReading {
	return &fairwattpb.MeterReading{Meter: meter, RegisterWh: wh}
}

// meterOf registers a meter that bears any power.
func meterOf(owner, meter string) *fairwattpb.MeterRegistration {
	return &fairwattpb.MeterRegistration{
		Meter: meter, Owner: owner, Site: "site", Direction: fairwattpb.MeterDirection_METER_DIRECTION_BOTH,
		Serial: "no-" + meter, RatedW: ledger.MaxRatedW, ClassE4: 100,
	}
}

func meterAdded(r *fairwattpb.MeterRegistration) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_MeterRegistration{MeterRegistration: r}}
}

func meterChanged(old string, endWh int64, to *fairwattpb.MeterRegistration) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_MeterChange{MeterChange: &fairwattpb.MeterChange{Old: old, OldEndWh: endWh, New: to}}}
}

func meterRetired(meter string, endWh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_MeterRetire{MeterRetire: &fairwattpb.MeterRetire{Meter: meter, EndWh: endWh}}}
}

func deposit(to string, amount int64, reference string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: to, AmountMicro: amount, Reference: reference}}}
}

func gate(seq uint64, state fairwattpb.GateState) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: seq, State: state}}}
}

func (w *world) offer(volume, price int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: "offer-1", VolumeWh: volume, PriceMicroPerKwh: price, ExpiresMs: w.NowMs + 3_600_000,
	}}}
}

func (w *world) request(volume, price int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: "request-1", VolumeWh: volume, MaxPriceMicroPerKwh: price, ExpiresMs: w.NowMs + 3_600_000,
	}}}
}

func (w *world) response(change func(*fairwattpb.Response)) *fairwattpb.Record {
	r := &fairwattpb.Response{
		RequestId: "request-1",
		Token: &fairwattpb.Token{
			TokenId: "token-1", Buyer: buyer, EscrowMicro: 600_000, VolumeWh: 2000, ValidUntilMs: w.NowMs + 600_000,
		},
		Quotes: []*fairwattpb.Quote{{OfferId: "offer-1", Seller: seller, PriceMicroPerKwh: 200_000, VolumeWh: 5000}},
	}
	if change != nil {
		change(r)
	}
	return &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: r}}
}

func pay(change func(*fairwattpb.Pay)) *fairwattpb.Record {
	p := &fairwattpb.Pay{
		TokenId: "token-1", OfferId: "offer-1", Seller: seller, VolumeWh: 2000, PriceMicroPerKwh: 200_000,
		AmountMicro: 400_000, BuyerReading: at("buyer-1-meter", 100),
	}
	if change != nil {
		change(p)
	}
	return &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: p}}
}

func start(attestation []byte, wh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{
		TradeId: "token-1", Attestation: attestation, Reading: at("seller-1-meter", wh),
	}}}
}

func hold(seq uint64, wh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Hold{Hold: &fairwattpb.Hold{
		TradeId: "token-1", GateSeq: seq, Reading: at("seller-1-meter", wh),
		Causes: []*fairwattpb.Cause{{Rule: "W03", Kind: "wind", Level: "block", Text: "gust"}},
	}}}
}

func resume(attestation []byte, wh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{
		TradeId: "token-1", Attestation: attestation, Reading: at("seller-1-meter", wh),
	}}}
}

func (w *world) bill(wh, energy, amount int64) *fairwattpb.Record {
	t, _ := w.State.Trade("token-1")
	return &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{
		TradeId: "token-1", Reading: at("seller-1-meter", wh), EnergyWh: energy, AmountMicro: amount, PayId: []byte(t.PayID),
	}}}
}

func confirm(wh, energy int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
		TradeId: "token-1", Reading: at("buyer-1-meter", wh), EnergyWh: energy, Accepted: true,
	}}}
}

// The stages of the one trade every test is about: 2000 Wh at 200,000
// micro/kWh, out of a Token for 600,000 micro.

func (w *world) toRequested() {
	w.must(ledgertest.Centre, deposit(buyer, 1_000_000, "deposit-1"))
	w.must(seller, gate(1, open))
	w.must(seller, w.offer(5000, 200_000))
	w.must(buyer, w.request(2000, 300_000))
}

func (w *world) toEscrowed() { w.toRequested(); w.must(ledgertest.Centre, w.response(nil)) }
func (w *world) toPaid()     { w.toEscrowed(); w.must(buyer, pay(nil)) }

func (w *world) toDelivering() {
	w.toPaid()
	w.must(seller, start(w.attest(open, 1), 1000))
}

// toStopped is held by its gate, and the seller has not said what its meter showed.
func (w *world) toStopped() { w.toDelivering(); w.must(seller, gate(2, blocked)) }

// toHeld has delivered 500 Wh before a hazard.
func (w *world) toHeld() {
	w.toStopped()
	w.must(seller, hold(2, 1500))
}

func (w *world) toBilled() { w.toDelivering(); w.must(seller, w.bill(3000, 2000, 400_000)) }

// toReopened is toHeld, and the gate is open again.
func (w *world) toReopened() { w.toHeld(); w.must(seller, gate(3, open)) }

// toSecondPaid is toDelivering, and a second trade of the seller is paid, to be
// measured by other meters.
func (w *world) toSecondPaid() {
	w.toDelivering()
	w.toSecondToken()
	w.must(buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter-2", 0) }))
}

// carrying puts a sealed gate change into a start or resume.
func carrying(r *fairwattpb.Record, sealed []byte) *fairwattpb.Record {
	set(r.ProtoReflect(), ledger.Kind(r)+".gate_change", sealed)
	return r
}

// sealedPayload seals bytes as if they were a record.
func (w *world) sealedPayload(signer string, payload []byte) []byte {
	w.t.Helper()
	sealed, err := seal.Seal(ledgertest.Key(signer), signer, seal.DomainRecord, w.State.ChainID(), payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return sealed
}
