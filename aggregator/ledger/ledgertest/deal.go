package ledgertest

import (
	"errors"
	"fmt"

	"fairwatt/proto/fairwattpb"
)

// A Deal is a trade that a test plays step by step: each step is a block, and an error
// when the chain refuses its record. The seller's meter is NAME-meter-2, the buyer's
// NAME-meter; registers rise by what the steps say. The seller's newest gate change
// must be OPEN.
type Deal struct {
	*Chain
	ID, Seller, Buyer          string
	VolumeWh, PriceMicroPerKWh int64

	payID []byte
}

func (d *Deal) send(sender string, r *fairwattpb.Record) error {
	o, err := d.Send(sender, r)
	if err == nil && !o.Applied {
		err = fmt.Errorf("%s: %s", o.Code, o.Reason)
	}
	return err
}

func (d *Deal) read(meter string, byWh int64) *fairwattpb.MeterReading {
	if d.registers == nil {
		d.registers = make(map[string]int64)
	}
	d.registers[meter] += byWh
	return &fairwattpb.MeterReading{Meter: meter, RegisterWh: d.registers[meter]}
}

// Pay offers, requests, answers and pays.
func (d *Deal) Pay() error {
	later := d.NowMs + 600_000
	escrow := (d.VolumeWh*d.PriceMicroPerKWh + 999) / 1000
	a, _ := d.State.Account(d.Buyer)
	err := errors.Join(
		d.send(d.Seller, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
			OfferId: "o-" + d.ID, VolumeWh: d.VolumeWh, PriceMicroPerKwh: d.PriceMicroPerKWh, ExpiresMs: later}}}),
		d.send(d.Buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
			RequestId: d.ID, VolumeWh: d.VolumeWh, MaxPriceMicroPerKwh: d.PriceMicroPerKWh, ExpiresMs: later}}}),
		d.send(Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{RequestId: d.ID, Token: &fairwattpb.Token{
			TokenId: d.ID, Buyer: d.Buyer, EscrowMicro: escrow, VolumeWh: d.VolumeWh, ValidUntilMs: later, Kept: a.Kept, Broken: a.Broken}}}}),
	)
	if err != nil {
		return err
	}
	err = d.PayAgain()
	t, _ := d.State.Trade(d.ID)
	d.payID = []byte(t.PayID)
	return err
}

// PayAgain sends the payment alone, as Pay does last.
func (d *Deal) PayAgain() error {
	return d.send(d.Buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: d.ID, OfferId: "o-" + d.ID, Seller: d.Seller, VolumeWh: d.VolumeWh, PriceMicroPerKwh: d.PriceMicroPerKWh,
		AmountMicro: d.VolumeWh * d.PriceMicroPerKWh / 1000, BuyerReading: d.read(d.Buyer+"-meter", 0)}}})
}

// Start begins the delivery.
func (d *Deal) Start() error {
	g, _ := d.State.GateOf(d.Seller)
	a, err := d.Attest(d.Seller, g.Seq, g.State, 60_000)
	if err != nil {
		return err
	}
	return d.send(d.Seller, &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{
		TradeId: d.ID, Attestation: a, Reading: d.read(d.Seller+"-meter-2", 0)}}})
}

// Bill claims energy that the seller's meter counted, and says how much was there to
// be taken.
func (d *Deal) Bill(wh, availableWh int64) error {
	return d.send(d.Seller, &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{
		TradeId: d.ID, Reading: d.read(d.Seller+"-meter-2", wh), EnergyWh: wh, AmountMicro: wh * d.PriceMicroPerKWh / 1000,
		PayId: d.payID, AvailableWh: availableWh}}})
}

// Confirm says what the buyer's meter counted.
func (d *Deal) Confirm(wh int64) error {
	t, _ := d.State.Trade(d.ID)
	r := d.read(d.Buyer+"-meter", wh)
	return d.send(d.Buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
		TradeId: d.ID, Reading: r, EnergyWh: r.RegisterWh - t.BuyerStartWh, Accepted: wh >= t.BilledWh}}})
}

// Whole plays all of it, honestly.
func (d *Deal) Whole() error {
	for _, step := range []func() error{d.Pay, d.Start, func() error { return d.Bill(d.VolumeWh, 0) }, func() error { return d.Confirm(d.VolumeWh) }} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
