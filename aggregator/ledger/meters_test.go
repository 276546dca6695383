package ledger_test

import (
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// one changes a valid registration of a new meter of the seller.
func one(change func(*fairwattpb.MeterRegistration)) func(*world) record {
	return func(*world) record {
		r := meterOf(seller, "new")
		change(r)
		return meterAdded(r)
	}
}

// meterRows are the rules of the registry.
var meterRows = []marketRow{
	{"register a stranger's meter", wire.CodeUnknownParticipant, nil, mc, one(func(r *fairwattpb.MeterRegistration) { r.Owner = "stranger" })},
	{"register a centre's meter", wire.CodeUnknownParticipant, nil, mc, one(func(r *fairwattpb.MeterRegistration) { r.Owner = mc })},
	{"register a meter twice", wire.CodeMeterExists, nil, mc, one(func(r *fairwattpb.MeterRegistration) { r.Meter = "seller-1-meter" })},
	{"register one meter under two names", wire.CodeMeterExists, nil, mc, one(func(r *fairwattpb.MeterRegistration) { r.Serial = "no-seller-1-meter" })},
	{"retire no meter", wire.CodeMeterUnknown, nil, mc, func(*world) record { return meterRetired("none", 1) }},
	{"retire a meter twice", wire.CodeMeterRetired, func(w *world) { w.must(mc, meterRetired("seller-1-meter", 1)) }, mc,
		func(*world) record { return meterRetired("seller-1-meter", 1) }},
	{"retire a meter in a trade", wire.CodeMeterBusy, (*world).toDelivering, mc, func(*world) record { return meterRetired("seller-1-meter", 5000) }},
	{"retire a meter below its register", wire.CodeRegisterBack, func(w *world) { w.toDelivering(); w.must(seller, w.bill(1000, 0, 0)) }, mc,
		func(*world) record { return meterRetired("seller-1-meter", 999) }},
	{"give a meter to another in its place", wire.CodeMeterNotYours, nil, mc, func(*world) record {
		return meterChanged("seller-1-meter", 1, meterOf("seller-2", "new"))
	}},

	{"pay by a meter that is not registered", wire.CodeMeterUnknown, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.BuyerReading = at("other", 0) })
	}},
	{"start by a meter out of use", wire.CodeMeterRetired, func(w *world) { w.toPaid(); w.must(mc, meterRetired("seller-1-meter", 1000)) }, seller,
		func(w *world) record { return start(w.attest(open, 1), 1000) }},
	{"pay by a meter that counts what is given", wire.CodeMeterDirection, func(w *world) {
		w.toEscrowed()
		r := meterOf(buyer, "roof")
		r.Direction = fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
		w.must(mc, meterAdded(r))
	}, buyer, func(*world) record { return pay(func(p *fairwattpb.Pay) { p.BuyerReading = at("roof", 0) }) }},
	{"start by a meter that counts what is taken", wire.CodeMeterDirection, func(w *world) {
		w.toPaid()
		r := meterOf(seller, "house")
		r.Direction = fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
		w.must(mc, meterAdded(r))
	}, seller, func(w *world) record { return on(start(w.attest(open, 1), 0), "house") }},
	{"a reading of 1970", wire.CodeReadingTime, (*world).toDelivering, seller, func(*world) record {
		r := readingOf("seller-1-meter", 1000)
		r.GetReading().Reading.TimeMs = 1
		return r
	}},
	{"a reading of the hold that was made later", wire.CodeReadingTime, (*world).toStopped, seller, func(w *world) record {
		w.NowMs += 30_000
		return hold(2, 1500)
	}},
	{"a GWh in a moment", wire.CodeOverRatedPower, slow((*world).toDelivering), seller, func(*world) record { return readingOf("seller-1-meter", 1_000_000_000) }},
	{"first rules: pay by a busy meter", wire.CodeMeterBusy, first(func(w *world) { w.toPaid(); w.toSecondToken() }), buyer, func(*world) record { return pay2(nil) }},
	{"first rules: pay by another's meter", wire.CodeMeterNotYours, first(func(w *world) { w.toDelivering(); w.toSecondToken() }), buyer, func(*world) record {
		return pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("seller-1-meter", 5000) })
	}},
}

// A meter is replaced by another of its owner, and the next trade goes on with that
// (A48). Its number may then be used again, its id may not.
func TestMeterIsReplaced(t *testing.T) {
	w := newWorld(t, nil)
	w.toPaid()
	again := meterOf(seller, "new")
	again.StartWh = 7
	w.must(mc, meterChanged("seller-1-meter", 1234, again))
	if code := w.send(seller, start(w.attest(open, 1), 1234)); code != wire.CodeMeterRetired {
		t.Errorf("start by the old meter: %q", code)
	}
	if code := w.send(seller, on(start(w.attest(open, 1), 6), "new")); code != wire.CodeRegisterBack {
		t.Errorf("start below the new meter's register: %q", code)
	}
	w.must(seller, on(start(w.attest(open, 1), 7), "new"))
	moved := meterOf("seller-2", "elsewhere")
	moved.Serial = "no-seller-1-meter"
	w.must(mc, meterAdded(moved))
	moved = meterOf("seller-2", "seller-1-meter")
	moved.Serial = "another"
	if code := w.send(mc, meterAdded(moved)); code != wire.CodeMeterExists {
		t.Errorf("an old meter's id: %q", code)
	}
}

// A34: no one comes to a meter by naming it first.
func TestNoOneSquatsAMeter(t *testing.T) {
	w := newWorld(t, nil)
	w.toEscrowed()
	if code := w.send(buyer, pay(func(p *fairwattpb.Pay) { p.BuyerReading = at("seller-1-meter", 0) })); code != wire.CodeMeterNotYours {
		t.Fatalf("%q", code)
	}
	w.must(buyer, pay(nil))
	w.must(seller, start(w.attest(open, 1), 1000))
}

// A38: what a meter's trades were billed together is no more than its register rose.
func TestAWattHourIsSoldOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.must(mc, deposit(buyer, 10_000_000, "more"))
	w.toBilled()
	w.must(buyer, confirm(2100, 2000))
	w.toSecondToken()
	w.must(seller, w.offer(5000, 200_000))
	w.must(buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter", 2100) }))
	if code := w.send(seller, of(start(w.attest(open, 1), 1000), "token-2")); code != wire.CodeRegisterBack {
		t.Fatalf("start at the first trade's register: %q", code)
	}
	w.must(seller, of(start(w.attest(open, 1), 3000), "token-2"))
	second, _ := w.State.Trade("token-2")
	r := w.bill(3400, 1000, 200_000)
	r.GetBill().TradeId, r.GetBill().PayId = "token-2", []byte(second.PayID)
	if code := w.send(seller, r); code != wire.CodeEnergyNotMetered {
		t.Errorf("a bill for more than the register rose: %q", code)
	}
}

// A genesis' meters are checked as the registry does, and stand in the first state.
func TestGenesisMeters(t *testing.T) {
	for want, change := range map[string]func(*ledger.Genesis){
		"meters[0]: owner":     func(g *ledger.Genesis) { g.Meters[0].Owner = "stranger" },
		"meters[1]: id":        func(g *ledger.Genesis) { g.Meters[1].ID = g.Meters[0].ID },
		"meters[1]: serial":    func(g *ledger.Genesis) { g.Meters[1].Serial = g.Meters[0].Serial },
		"meters[0]: direction": func(g *ledger.Genesis) { g.Meters[0].Direction = "up" },
		"meters[0]: rated_w":   func(g *ledger.Genesis) { g.Meters[0].RatedW = 0 },
		"meters[0]: class_e4":  func(g *ledger.Genesis) { g.Meters[0].ClassE4 = 501 },
		"meters[0]: public_k":  func(g *ledger.Genesis) { g.Meters[0].PublicKey = "none" },
		"meters: 8 of them":    func(g *ledger.Genesis) { g.Params.Settlement = ledger.SettleByPaper },
	} {
		g := ledgertest.Genesis(4, 2, 2)
		change(g)
		if err := g.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
