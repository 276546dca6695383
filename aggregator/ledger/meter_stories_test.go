package ledger_test

import "fairwatt/proto/fairwattpb"

// meterStories are told with settlement by meters.
var meterStories = []story{
	{"a trade that is held, and settles", nil, (*world).toPaid, func(w *teller) {
		w.send("start", seller, start(w.attest(open, 1), 1000))
		w.send("seller's reading", seller, readingOf("seller-1-meter", 1200))
		w.send("gate closes", seller, gate(2, blocked))
		w.send("reading of the hold", seller, hold(2, 1500))
		w.send("gate opens again", seller, gate(3, open))
		w.NowMs += 60_000
		w.send("resume, a minute later", seller, resume(w.attest(open, 3), 1700))
		w.send("bill", seller, w.bill(3200, 2000, 400_000))
		w.send("confirmation", buyer, confirm(2080, 1980))
	}},
	{"a start that brings its gate change", nil, (*world).toPaid, func(w *teller) {
		w.send("start", seller, carrying(start(w.attest(open, 2), 1000), w.sealed(seller, 90, gate(2, open))))
	}},
	{"a hold that lasts", nil, (*world).toDelivering, func(w *teller) {
		w.send("gate closes", seller, gate(2, blocked))
		w.pass("billed by the meter", w.Genesis.Params.ResumeByMs)
	}},
	{"the meters differ", nil, (*world).toBilled, func(w *teller) { w.send("confirmation", buyer, confirm(1100, 1000)) }},
	{"a buyer's meter that comes back", nil, (*world).toBilled, func(w *teller) {
		w.pass("the wait begins", w.Genesis.Params.ConfirmByMs)
		w.send("reading", buyer, readingOf("buyer-1-meter", 2090))
	}},
	{"a buyer's meter that does not", nil, (*world).toBilled, func(w *teller) {
		w.pass("the wait begins", w.Genesis.Params.ConfirmByMs)
		w.pass("settled by the seller's", w.Genesis.Params.SilenceMs)
	}},
	{"a block that comes late", nil, (*world).toBilled, func(w *teller) {
		w.pass("both ends", w.Genesis.Params.ConfirmByMs+w.Genesis.Params.SilenceMs)
	}},
	{"a silent seller", nil, (*world).toDelivering, func(w *teller) {
		w.send("reading", seller, readingOf("seller-1-meter", 2000))
		w.pass("billed by it", w.Genesis.Params.DeliverByMs)
	}},
	{"nothing drawn", nil, (*world).toDelivering, func(w *teller) {
		r := w.bill(1000, 0, 0)
		r.GetBill().AvailableWh = 2000
		w.send("bill", seller, r)
	}},
	{"the next payment settles", nil, func(w *world) { w.toBilled(); w.toSecondToken() }, func(w *teller) {
		w.send("payment", buyer, pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter", 2100) }))
	}},
	{"meters come and go", nil, nil, func(w *teller) {
		w.send("a meter is put up", mc, meterAdded(meterOf(seller, "seller-1-more")))
		w.send("another one in its place", mc, meterChanged("seller-1-more", 70, meterOf(seller, "seller-1-next")))
		w.send("taken out of use", mc, meterRetired("seller-1-next", 0))
	}},
}

// paperStories are told with the paper's literal settlement.
var paperStories = []story{
	{"confirmed", nil, (*world).toBilled, func(w *teller) { w.send("confirmation", buyer, confirm(100, 0)) }},
	{"not confirmed", nil, (*world).toBilled, func(w *teller) { w.pass("the end", w.Genesis.Params.ConfirmByMs) }},
	{"refused", nil, (*world).toBilled, func(w *teller) {
		r := confirm(2100, 2000)
		r.GetConfirm().Accepted, r.GetConfirm().Reason = false, "no"
		w.send("confirmation", buyer, r)
	}},
}
