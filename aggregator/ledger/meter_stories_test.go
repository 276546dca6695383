package ledger_test

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
}
