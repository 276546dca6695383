package ledger_test

import (
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// The world of each row is the trade of helpers_test.go: 2000 Wh at 200,000
// micro/kWh out of an offer of 5000 Wh and a Token for 600,000 micro.
var marketRows = []marketRow{
	{"register a taken id", ledger.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration(buyer, "new") }},
	{"register an aggregator's id", ledger.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("da-4", "new") }},
	{"register a taken key", ledger.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("new", buyer) }},
	{"register an aggregator's key", ledger.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("new", "da-4") }},
	{"deposit to a stranger", ledger.CodeUnknownParticipant, nil, mc, func(*world) record { return deposit("stranger", 1, "r") }},
	{"deposit to a centre", ledger.CodeUnknownParticipant, nil, mc, func(*world) record { return deposit(mc, 1, "r") }},
	{"deposit twice", ledger.CodeReferenceUsed, (*world).toRequested, mc, func(*world) record { return deposit(buyer, 1, "deposit-1") }},
	{"deposit over the limit", ledger.CodeMoneyLimit, (*world).toRequested, mc, func(*world) record {
		return deposit(buyer, ledger.MaxMoneyMicro-1_000_000+1, "r")
	}},
	{"gate change repeated", ledger.CodeGateSeqOld, (*world).toRequested, seller, func(*world) record { return gate(1, blocked) }},
	{"gate change of before", ledger.CodeGateSeqOld, func(w *world) { w.must(seller, gate(7, open)) }, seller, func(*world) record { return gate(6, blocked) }},

	{"expired offer", ledger.CodeExpired, nil, seller, func(w *world) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 // the next block's time
		return r
	}},
	{"offer for ever", ledger.CodeTooFar, nil, seller, func(w *world) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 + w.Genesis.Params.MaxStandingMs + 1
		return r
	}},
	{"blacklisted seller's offer", ledger.CodeBlacklisted, strict(func(w *world) { w.toPaid(); w.wait(w.Genesis.Params.StartByMs) }), seller,
		func(w *world) record { return w.offer(1, 1) }},

	{"blacklisted buyer's request", ledger.CodeBlacklisted, strict(func(w *world) { w.toBilled(); w.wait(w.Genesis.Params.ConfirmByMs) }), buyer,
		func(w *world) record { return w.request2() }},
	{"expired request", ledger.CodeExpired, (*world).toRequested, buyer, func(w *world) record {
		r := w.request2()
		r.GetRequest().ExpiresMs = w.NowMs + 1
		return r
	}},
	{"request twice", ledger.CodeRequestExists, (*world).toRequested, buyer, func(w *world) record { return w.request(1, 1) }},
	{"request without money", ledger.CodeInsufficientFunds, nil, buyer, func(w *world) record { return w.request(1, 1) }},

	{"answer nothing", ledger.CodeRequestUnknown, nil, mc, func(w *world) record { return w.response(nil) }},
	{"answer twice", ledger.CodeRequestAnswered, (*world).toEscrowed, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.TokenId = "token-2" })
	}},
	{"answer a blacklisted buyer", ledger.CodeBlacklisted, strict(func(w *world) {
		w.toBilled()
		w.must(buyer, w.request2())
		w.wait(w.Genesis.Params.ConfirmByMs)
	}), mc, func(w *world) record { return w.response2() }},
	{"a Token's id twice", ledger.CodeTokenExists, func(w *world) { w.toEscrowed(); w.must(buyer, w.request2()) }, mc, func(w *world) record {
		r := w.response2()
		r.GetResponse().Token.TokenId = "token-1"
		return r
	}},
	{"expired Token", ledger.CodeExpired, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.ValidUntilMs = w.NowMs + 1 })
	}},
	{"volume over the request", ledger.CodeVolumeWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.VolumeWh, r.Token.EscrowMicro = 2001, 600_300 })
	}},
	{"escrow too small", ledger.CodeEscrowWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro-- })
	}},
	{"escrow too large", ledger.CodeEscrowWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro++ })
	}},
	{"overspend by a millionth", ledger.CodeInsufficientFunds, func(w *world) {
		w.must(mc, deposit(buyer, 599_999, "r"))
		w.must(buyer, w.request(2000, 300_000))
	}, mc, func(w *world) record { return w.response(nil) }},
	{"invented kept promise", ledger.CodeComplianceWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.Kept = 1 })
	}},
	{"invented broken promise", ledger.CodeComplianceWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.Broken = 1 })
	}},
	{"quote a stranger", ledger.CodeUnknownParticipant, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Quotes[0].Seller = "stranger" })
	}},
	{"quote a buyer", ledger.CodeUnknownParticipant, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Quotes[0].Seller = "buyer-2" })
	}},

	{"pay without a Token", ledger.CodeTradeUnknown, (*world).toRequested, buyer, func(*world) record { return pay(nil) }},
	{"pay with another's Token", ledger.CodeNotYours, (*world).toEscrowed, "buyer-2", func(*world) record { return pay(nil) }},
	{"pay twice", ledger.CodeAlreadyPaid, (*world).toPaid, buyer, func(*world) record { return pay(nil) }},
	{"pay late", ledger.CodeExpired, func(w *world) { w.toEscrowed(); w.wait(600_000) }, buyer, func(*world) record { return pay(nil) }},
	{"blacklisted buyer pays", ledger.CodeBlacklisted, strict(func(w *world) {
		w.toPaid()
		w.toSecondToken()
		w.must(seller, start(w.attest(open, 1), 1000))
		w.must(seller, w.bill(3000, 2000, 400_000))
		w.wait(w.Genesis.Params.ConfirmByMs)
	}), buyer, func(*world) record { return pay2(nil) }},
	{"pay a blacklisted seller", ledger.CodeBlacklisted, strict(func(w *world) {
		w.toPaid()
		w.toSecondToken()
		w.wait(w.Genesis.Params.StartByMs)
	}), buyer, func(*world) record { return pay2(nil) }},
	{"pay one who offers nothing", ledger.CodeOfferUnknown, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.Seller = "seller-2" })
	}},
	{"pay an offer of before", ledger.CodeOfferUnknown, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.OfferId = "offer-0" })
	}},
	{"pay oneself", ledger.CodeOwnOffer, func(w *world) {
		g := ledgertest.Genesis(4, 2, 2)
		g.Members[2].Roles = []string{"seller", "buyer"} // buyer-1
		*w = *newWorld(w.t, func(to *ledger.Genesis) { *to = *g })
		w.toEscrowed()
		w.must(buyer, w.offer(5000, 200_000))
	}, buyer, func(*world) record { return pay(func(p *fairwattpb.Pay) { p.Seller = buyer }) }},
	{"pay for more than the Token", ledger.CodeVolumeWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 2001, 400_200 })
	}},
	{"pay for more than is offered", ledger.CodeVolumeWrong, func(w *world) { w.toEscrowed(); w.must(seller, w.offer(1999, 200_000)) }, buyer,
		func(*world) record { return pay(nil) }},
	{"pay another price", ledger.CodePriceWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 199_999, 399_998 })
	}},
	{"pay over the highest price", ledger.CodePriceWrong, func(w *world) { w.toEscrowed(); w.must(seller, w.offer(5000, 300_001)) }, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.VolumeWh, p.AmountMicro = 300_001, 1, 300 })
	}},
	{"pay too much", ledger.CodeAmountWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.AmountMicro++ })
	}},
	{"pay too little", ledger.CodeAmountWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.AmountMicro-- })
	}},
	{"pay by another's meter", ledger.CodeMeterNotYours, func(w *world) { w.toDelivering(); w.toSecondToken() }, buyer, func(*world) record {
		return pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("seller-1-meter", 5000) })
	}},
	{"pay by a busy meter", ledger.CodeMeterBusy, func(w *world) { w.toPaid(); w.toSecondToken() }, buyer, func(*world) record { return pay2(nil) }},
}

// deliveryRows are the rules from the start to the confirmation.
var deliveryRows = []marketRow{
	{"start unpaid", ledger.CodeNotYours, (*world).toEscrowed, seller, func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start by another", ledger.CodeNotYours, (*world).toPaid, "seller-2", func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start no trade", ledger.CodeTradeUnknown, (*world).toPaid, seller, func(w *world) record { return of(start(w.attest(open, 1), 1), "token-9") }},
	{"start twice", ledger.CodeWrongStatus, (*world).toDelivering, seller, func(w *world) record { return start(w.attest(open, 1), 1000) }},
	{"start without attestation", ledger.CodeAttestationInvalid, (*world).toPaid, seller, func(*world) record { return start([]byte("word of honour"), 1) }},
	{"start with a word that is none", ledger.CodeAttestationInvalid, (*world).toPaid, seller, func(w *world) record { return start(w.word(seller, []byte("open")), 1) }},
	{"start with another's word on its own gate", ledger.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith("seller-2", func(_ *world, a *fairwattpb.GateAttestation) { a.Device = "seller-2" })},
	{"start with another's word on this gate", ledger.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith("seller-2", func(*world, *fairwattpb.GateAttestation) {})},
	{"start with one's word on another's gate", ledger.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) { a.Device = "seller-2" })},
	{"start with a word for another chain", ledger.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) { a.ChainId = make([]byte, 32) })},
	{"start with a blocked attestation", ledger.CodeGateNotOpen, (*world).toPaid, seller, func(w *world) record { return start(w.attest(blocked, 2), 1) }},
	{"attestation of before time", ledger.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) {
			a.IssuedMs, a.ValidUntilMs = -1, w.Genesis.Params.AttestationMaxMs-1
		})},
	{"attestation until after time", ledger.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) {
			a.IssuedMs, a.ValidUntilMs = ledger.MaxTimeMs, ledger.MaxTimeMs+1
		})},
	{"attestation for too long", ledger.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) {
			a.ValidUntilMs = a.IssuedMs + w.Genesis.Params.AttestationMaxMs + 1
		})},
	{"stale attestation", ledger.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) { a.ValidUntilMs = w.NowMs })}, // block time is 1 ms later
	{"attestation issued in the future", ledger.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) { a.IssuedMs = w.NowMs + 1 + w.Genesis.Params.SkewMs + 1 })},
	{"start against a newer gate change", ledger.CodeAttestationOld, func(w *world) { w.toPaid(); w.must(seller, gate(2, open)) }, seller,
		func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start against the same gate", ledger.CodeGateNotOpen, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, seller,
		func(w *world) record { return start(w.attest(open, 2), 1) }},
	{"start on the buyer's meter", ledger.CodeMeterNotYours, (*world).toPaid, seller,
		func(w *world) record { return on(start(w.attest(open, 1), 1000), "buyer-1-meter") }},

	{"hold by another", ledger.CodeNotYours, (*world).toDelivering, "seller-2", func(*world) record { return hold(2, 1000) }},
	{"hold before the start", ledger.CodeWrongStatus, (*world).toPaid, seller, func(*world) record { return hold(2, 1000) }},
	{"hold with the start's gate", ledger.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(1, 1000) }},
	{"hold with an older gate", ledger.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(0, 1000) }},
	{"hold with an open gate", ledger.CodeHoldWithoutHazard, func(w *world) { w.toDelivering(); w.must(seller, gate(2, open)) }, seller,
		func(*world) record { return hold(2, 1000) }},
	{"hold by another meter", ledger.CodeMeterNotYours, (*world).toDelivering, seller, func(*world) record { return on(hold(2, 1000), "other") }},
	{"register falls", ledger.CodeRegisterBack, (*world).toDelivering, seller, func(*world) record { return hold(2, 999) }},

	{"resume by another", ledger.CodeNotYours, (*world).toHeld, "seller-2", func(w *world) record { return resume(w.attest(open, 3), 1500) }},
	{"resume what runs", ledger.CodeWrongStatus, (*world).toDelivering, seller, func(w *world) record { return resume(w.attest(open, 1), 1500) }},
	{"resume against a blocked gate", ledger.CodeGateNotOpen, (*world).toHeld, seller, func(w *world) record { return resume(w.attest(open, 2), 1500) }},
	{"resume by another meter", ledger.CodeMeterNotYours, (*world).toHeld, seller, func(w *world) record { return on(resume(w.attest(open, 3), 1500), "other") }},
	{"resume with a register that falls", ledger.CodeRegisterBack, (*world).toHeld, seller, func(w *world) record { return resume(w.attest(open, 3), 1499) }},

	{"read no trade", ledger.CodeTradeUnknown, (*world).toDelivering, seller, func(*world) record { return of(readingOf("seller-1-meter", 1000), "token-9") }},
	{"read another's trade", ledger.CodeNotYours, (*world).toDelivering, "seller-2", func(*world) record { return readingOf("seller-1-meter", 1000) }},
	{"buyer reads before the payment", ledger.CodeWrongStatus, (*world).toEscrowed, buyer, func(*world) record { return readingOf("buyer-1-meter", 100) }},
	{"buyer reads after the end", ledger.CodeWrongStatus, func(w *world) { w.toBilled(); w.must(buyer, confirm(2100, 2000)) }, buyer,
		func(*world) record { return readingOf("buyer-1-meter", 3000) }},
	{"seller reads before the start", ledger.CodeWrongStatus, (*world).toPaid, seller, func(*world) record { return readingOf("seller-1-meter", 1000) }},
	{"seller reads after the bill", ledger.CodeWrongStatus, (*world).toBilled, seller, func(*world) record { return readingOf("seller-1-meter", 5000) }},
	{"seller reads another meter", ledger.CodeMeterNotYours, (*world).toDelivering, seller, func(*world) record { return readingOf("other", 1000) }},
	{"seller's reading falls", ledger.CodeRegisterBack, (*world).toDelivering, seller, func(*world) record { return readingOf("seller-1-meter", 999) }},
	{"buyer reads another meter", ledger.CodeMeterNotYours, (*world).toDelivering, buyer, func(*world) record { return readingOf("other", 100) }},
	{"buyer's reading falls", ledger.CodeRegisterBack, (*world).toDelivering, buyer, func(*world) record { return readingOf("buyer-1-meter", 99) }},

	{"bill by another", ledger.CodeNotYours, (*world).toDelivering, "seller-2", func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill before the start", ledger.CodeWrongStatus, (*world).toPaid, seller, func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill twice", ledger.CodeWrongStatus, (*world).toBilled, seller, func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill another payment", ledger.CodePayIDWrong, (*world).toDelivering, seller, func(w *world) record {
		r := w.bill(3000, 1000, 200_000)
		r.GetBill().PayId[0] ^= 1
		return r
	}},
	{"bill by another meter", ledger.CodeMeterNotYours, (*world).toDelivering, seller, func(w *world) record { return on(w.bill(3000, 1, 200), "other") }},
	{"bill more than metered", ledger.CodeEnergyNotMetered, (*world).toDelivering, seller, func(w *world) record { return w.bill(2999, 2000, 400_000) }},
	{"bill what the meter counted in the hold", ledger.CodeEnergyNotMetered, (*world).toHeld, seller, func(w *world) record { return w.bill(1600, 501, 100_200) }},
	{"bill more than paid", ledger.CodeVolumeWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3001, 2001, 400_200) }},
	{"bill another amount", ledger.CodeAmountWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3000, 1000, 200_001) }},
	{"bill rounded up above a payment rounded down", ledger.CodeInsufficientFunds, func(w *world) {
		w.toEscrowed()
		w.must(seller, w.offer(5000, 1500))
		w.must(buyer, pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.PriceMicroPerKwh, p.AmountMicro = 1, 1500, 1 }))
		w.must(seller, start(w.attest(open, 1), 1000))
	}, seller, func(w *world) record { return w.bill(1001, 1, 2) }},

	{"confirm another's", ledger.CodeNotYours, (*world).toBilled, "buyer-2", func(*world) record { return confirm(2100, 2000) }},
	{"confirm unbilled", ledger.CodeWrongStatus, (*world).toDelivering, buyer, func(*world) record { return confirm(2100, 2000) }},
	{"confirm by another meter", ledger.CodeMeterNotYours, (*world).toBilled, buyer, func(*world) record { return on(confirm(2100, 2000), "other") }},
	{"confirm with a register that falls", ledger.CodeRegisterBack, (*world).toBilled, buyer, func(*world) record { return confirm(99, 0) }},
	{"confirm less than metered", ledger.CodeEnergyNotMetered, (*world).toBilled, buyer, func(*world) record { return confirm(2100, 1999) }},
	{"confirm more than metered", ledger.CodeEnergyNotMetered, (*world).toBilled, buyer, func(*world) record { return confirm(2100, 2001) }},
}
