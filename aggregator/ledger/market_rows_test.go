package ledger_test

import (
	"math"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// The world of each row is the trade of helpers_test.go: 2000 Wh at 200,000
// micro/kWh out of an offer of 5000 Wh and a Token for 600,000 micro.
var marketRows = []marketRow{
	{"register a taken id", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration(buyer, "new") }},
	{"register an aggregator's id", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("da-4", "new") }},
	{"register a taken key", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("new", buyer) }},
	{"register an aggregator's key", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.registration("new", "da-4") }},
	{"deposit to a stranger", wire.CodeUnknownParticipant, nil, mc, func(*world) record { return deposit("stranger", 1, "r") }},
	{"deposit to a centre", wire.CodeUnknownParticipant, nil, mc, func(*world) record { return deposit(mc, 1, "r") }},
	{"deposit twice", wire.CodeReferenceUsed, (*world).toRequested, mc, func(*world) record { return deposit(buyer, 1, "deposit-1") }},
	{"deposit over the limit", wire.CodeMoneyLimit, (*world).toRequested, mc, func(*world) record {
		return deposit(buyer, ledger.MaxMoneyMicro-1_000_000+1, "r")
	}},
	{"gate change repeated", wire.CodeGateSeqOld, (*world).toRequested, seller, func(*world) record { return gate(1, blocked) }},
	{"gate change of before", wire.CodeGateSeqOld, func(w *world) { w.must(seller, gate(7, open)) }, seller, func(*world) record { return gate(6, blocked) }},

	{"rejoin in an epoch that is over", wire.CodeEpochOver, func(w *world) { w.must("da-2", rejoin(1)) }, "da-3", func(*world) record { return rejoin(1) }},
	{"rejoin in an epoch to come", wire.CodeEpochOver, nil, "da-3", func(*world) record { return rejoin(2) }},
	{"report on an epoch that is over", wire.CodeEpochOver, func(w *world) { w.must("da-2", rejoin(1)) }, "da-3", func(*world) record { return report(1) }},
	{"report twice", wire.CodeReportExists, func(w *world) { w.must("da-3", report(1)) }, "da-3", func(*world) record { return report(1) }},
	{"report on a stranger", wire.CodeUnknownParticipant, nil, "da-3", func(*world) record { return report(1, saw("da-9", 1, 0, 0, 0)) }},
	{"rejoin again at once", wire.CodeTooSoon, func(w *world) { w.must("da-2", rejoin(1)) }, "da-2", func(*world) record { return rejoin(2) }},

	{"expired offer", wire.CodeExpired, nil, seller, func(w *world) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 // the next block's time
		return r
	}},
	{"offer for ever", wire.CodeTooFar, nil, seller, func(w *world) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 + w.Genesis.Params.MaxStandingMs + 1
		return r
	}},
	{"blacklisted seller's offer", wire.CodeBlacklisted, strict(func(w *world) { w.toPaid(); w.wait(w.Genesis.Params.StartByMs) }), seller,
		func(w *world) record { return w.offer(1, 1) }},

	{"blacklisted buyer's request", wire.CodeBlacklisted, strict(func(w *world) { w.toBilled(); w.wait(w.Genesis.Params.ConfirmByMs) }), buyer,
		func(w *world) record { return w.request2() }},
	{"expired request", wire.CodeExpired, (*world).toRequested, buyer, func(w *world) record {
		r := w.request2()
		r.GetRequest().ExpiresMs = w.NowMs + 1
		return r
	}},
	{"request too often", wire.CodeTooManyRequests, func(w *world) {
		w.toRequested()
		for n := range w.Genesis.Params.MaxRequests - 1 {
			w.must(buyer, w.asked(int(n)+2, w.NowMs+60_000))
		}
	}, buyer, func(w *world) record { return w.asked(100, w.NowMs+60_000) }},
	{"request twice", wire.CodeRequestExists, (*world).toRequested, buyer, func(w *world) record { return w.request(1, 1) }},
	{"request without money", wire.CodeInsufficientFunds, nil, buyer, func(w *world) record { return w.request(1, 1) }},

	{"answer nothing", wire.CodeRequestUnknown, nil, mc, func(w *world) record { return w.response(nil) }},
	{"answer twice", wire.CodeRequestAnswered, (*world).toEscrowed, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.TokenId = "token-2" })
	}},
	{"answer a blacklisted buyer", wire.CodeBlacklisted, strict(func(w *world) {
		w.toBilled()
		w.must(buyer, w.request2())
		w.wait(w.Genesis.Params.ConfirmByMs)
	}), mc, func(w *world) record { return w.response2() }},
	{"a Token's id twice", wire.CodeTokenExists, func(w *world) { w.toEscrowed(); w.must(buyer, w.request2()) }, mc, func(w *world) record {
		r := w.response2()
		r.GetResponse().Token.TokenId = "token-1"
		return r
	}},
	{"expired Token", wire.CodeExpired, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.ValidUntilMs = w.NowMs + 1 })
	}},
	{"volume over the request", wire.CodeVolumeWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.VolumeWh, r.Token.EscrowMicro = 2001, 600_300 })
	}},
	{"escrow too small", wire.CodeEscrowWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro-- })
	}},
	{"escrow too large", wire.CodeEscrowWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro++ })
	}},
	{"overspend by a millionth", wire.CodeInsufficientFunds, func(w *world) {
		w.must(mc, deposit(buyer, 599_999, "r"))
		w.must(buyer, w.request(2000, 300_000))
	}, mc, func(w *world) record { return w.response(nil) }},
	{"invented kept promise", wire.CodeComplianceWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.Kept = 1 })
	}},
	{"invented broken promise", wire.CodeComplianceWrong, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.Broken = 1 })
	}},
	{"quote a stranger", wire.CodeUnknownParticipant, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Quotes[0].Seller = "stranger" })
	}},
	{"quote a buyer", wire.CodeUnknownParticipant, (*world).toRequested, mc, func(w *world) record {
		return w.response(func(r *fairwattpb.Response) { r.Quotes[0].Seller = "buyer-2" })
	}},

	{"pay without a Token", wire.CodeTradeUnknown, (*world).toRequested, buyer, func(*world) record { return pay(nil) }},
	{"pay with another's Token", wire.CodeNotYours, (*world).toEscrowed, "buyer-2", func(*world) record { return pay(nil) }},
	{"pay twice", wire.CodeAlreadyPaid, (*world).toPaid, buyer, func(*world) record { return pay(nil) }},
	{"pay late", wire.CodeExpired, func(w *world) { w.toEscrowed(); w.wait(600_000) }, buyer, func(*world) record { return pay(nil) }},
	{"blacklisted buyer pays", wire.CodeBlacklisted, strict(func(w *world) {
		w.toPaid()
		w.toSecondToken()
		w.must(seller, start(w.attest(open, 1), 1000))
		w.must(seller, w.bill(3000, 2000, 400_000))
		w.wait(w.Genesis.Params.ConfirmByMs)
	}), buyer, func(*world) record { return pay2(nil) }},
	{"pay a blacklisted seller", wire.CodeBlacklisted, strict(func(w *world) {
		w.toPaid()
		w.toSecondToken()
		w.wait(w.Genesis.Params.StartByMs)
	}), buyer, func(*world) record { return pay2(nil) }},
	{"pay one who offers nothing", wire.CodeOfferUnknown, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.Seller = "seller-2" })
	}},
	{"pay an offer of before", wire.CodeOfferUnknown, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.OfferId = "offer-0" })
	}},
	{"pay oneself", wire.CodeOwnOffer, func(w *world) {
		g := ledgertest.Genesis(4, 2, 2)
		g.Members[2].Roles = []string{"seller", "buyer"} // buyer-1
		*w = *newWorld(w.t, func(to *ledger.Genesis) { *to = *g })
		w.toEscrowed()
		w.must(buyer, w.offer(5000, 200_000))
	}, buyer, func(*world) record { return pay(func(p *fairwattpb.Pay) { p.Seller = buyer }) }},
	{"pay for more than the Token", wire.CodeVolumeWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 2001, 400_200 })
	}},
	{"pay for more than is offered", wire.CodeVolumeWrong, func(w *world) { w.toEscrowed(); w.must(seller, w.offer(1999, 200_000)) }, buyer,
		func(*world) record { return pay(nil) }},
	{"pay another price", wire.CodePriceWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 199_999, 399_998 })
	}},
	{"pay over the highest price", wire.CodePriceWrong, func(w *world) { w.toEscrowed(); w.must(seller, w.offer(5000, 300_001)) }, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.VolumeWh, p.AmountMicro = 300_001, 1, 300 })
	}},
	{"pay too much", wire.CodeAmountWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.AmountMicro++ })
	}},
	{"pay too little", wire.CodeAmountWrong, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.AmountMicro-- })
	}},
	{"pay by another's meter", wire.CodeMeterNotYours, func(w *world) { w.toDelivering(); w.toSecondToken() }, buyer, func(*world) record {
		return pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("seller-1-meter", 5000) })
	}},
	{"pay by a busy meter", wire.CodeMeterBusy, func(w *world) { w.toPaid(); w.toSecondToken() }, buyer, func(*world) record { return pay2(nil) }},
}

// deliveryRows are the rules from the start to the confirmation.
var deliveryRows = []marketRow{
	{"start unpaid", wire.CodeNotYours, (*world).toEscrowed, seller, func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start by another", wire.CodeNotYours, (*world).toPaid, "seller-2", func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start no trade", wire.CodeTradeUnknown, (*world).toPaid, seller, func(w *world) record { return of(start(w.attest(open, 1), 1), "token-9") }},
	{"start twice", wire.CodeWrongStatus, (*world).toDelivering, seller, func(w *world) record { return start(w.attest(open, 1), 1000) }},
	{"start without attestation", wire.CodeAttestationInvalid, (*world).toPaid, seller, func(*world) record { return start([]byte("word of honour"), 1) }},
	{"start with a word that is none", wire.CodeAttestationInvalid, (*world).toPaid, seller, func(w *world) record { return start(w.word(seller, []byte("open")), 1) }},
	{"start with another's word on its own gate", wire.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith("seller-2", func(_ *world, a *fairwattpb.GateAttestation) { a.Device = "seller-2" })},
	{"start with another's word on this gate", wire.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith("seller-2", func(*world, *fairwattpb.GateAttestation) {})},
	{"start with one's word on another's gate", wire.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) { a.Device = "seller-2" })},
	{"start with a word for another chain", wire.CodeAttestationInvalid, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) { a.ChainId = make([]byte, 32) })},
	{"start with a blocked attestation", wire.CodeGateNotOpen, (*world).toPaid, seller, func(w *world) record { return start(w.attest(blocked, 2), 1) }},
	{"attestation of before time", wire.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) {
			a.IssuedMs = math.MinInt64 // so the validity does not fit 64 bits
		})},
	{"attestation until after time", wire.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(_ *world, a *fairwattpb.GateAttestation) {
			a.IssuedMs, a.ValidUntilMs = ledger.MaxTimeMs, ledger.MaxTimeMs+1
		})},
	{"attestation for too long", wire.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) {
			a.ValidUntilMs = a.IssuedMs + w.Genesis.Params.AttestationMaxMs + 1
		})},
	{"stale attestation", wire.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) { a.ValidUntilMs = w.NowMs })}, // block time is 1 ms later
	{"attestation issued in the future", wire.CodeAttestationExpired, (*world).toPaid, seller,
		startWith(seller, func(w *world, a *fairwattpb.GateAttestation) { a.IssuedMs = w.NowMs + 1 + w.Genesis.Params.SkewMs + 1 })},
	{"start against a newer gate change", wire.CodeAttestationOld, func(w *world) { w.toPaid(); w.must(seller, gate(2, open)) }, seller,
		func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start against the same gate", wire.CodeGateNotOpen, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, seller,
		func(w *world) record { return start(w.attest(open, 2), 1) }},
	{"start on the buyer's meter", wire.CodeMeterNotYours, (*world).toPaid, seller,
		func(w *world) record { return on(start(w.attest(open, 1), 1000), "buyer-1-meter") }},

	{"hold by another", wire.CodeNotYours, (*world).toDelivering, "seller-2", func(*world) record { return hold(2, 1000) }},
	{"hold before the start", wire.CodeWrongStatus, (*world).toPaid, seller, func(*world) record { return hold(2, 1000) }},
	{"start with no gate change on the chain", wire.CodeGateUnknown, func(w *world) {
		w.must(ledgertest.Centre, deposit(buyer, 1_000_000, "deposit-1"))
		w.must(seller, w.offer(5000, 200_000))
		w.must(buyer, w.request(2000, 300_000))
		w.must(mc, w.response(nil))
		w.must(buyer, pay(nil))
	}, seller, func(w *world) record { return start(w.attest(open, 1), 1) }},
	{"start with a gate change that is not on the chain", wire.CodeGateUnknown, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, seller,
		func(w *world) record { return start(w.attest(open, 3), 1) }},
	{"start with garbage for a gate change", wire.CodeGateChangeInvalid, (*world).toPaid, seller,
		func(w *world) record { return carrying(start(w.attest(open, 2), 1), []byte("open")) }},
	{"start with a gate change that is no record", wire.CodeGateChangeInvalid, (*world).toPaid, seller,
		func(w *world) record {
			return carrying(start(w.attest(open, 2), 1), w.sealedPayload(seller, []byte("open")))
		}},
	{"start with a gate change of no number", wire.CodeGateChangeInvalid, (*world).toPaid, seller,
		func(w *world) record {
			return carrying(start(w.attest(open, 2), 1), w.sealed(seller, 90, gate(0, open)))
		}},
	{"start with another's gate change", wire.CodeGateChangeInvalid, (*world).toPaid, seller,
		func(w *world) record {
			return carrying(start(w.attest(open, 2), 1), w.sealed("seller-2", 1, gate(2, open)))
		}},
	{"start with another record for a gate change", wire.CodeGateChangeInvalid, (*world).toPaid, seller,
		func(w *world) record {
			return carrying(start(w.attest(open, 2), 1), w.sealed(seller, 90, w.offer(1, 1)))
		}},
	{"start with a gate change that closes", wire.CodeGateNotOpen, (*world).toPaid, seller,
		func(w *world) record {
			return carrying(start(w.attest(open, 2), 1), w.sealed(seller, 90, gate(2, blocked)))
		}},
	{"start a second delivery", wire.CodeAlreadyDelivering, (*world).toSecondPaid, seller,
		func(w *world) record { return of(on(start(w.attest(open, 1), 1), "seller-1-meter-2"), "token-2") }},
	{"start a second delivery in the hold of the first", wire.CodeAlreadyDelivering, func(w *world) {
		w.toSecondPaid()
		w.must(seller, gate(2, blocked))
		w.must(seller, gate(3, open))
	}, seller, func(w *world) record { return of(on(start(w.attest(open, 3), 1), "seller-1-meter-2"), "token-2") }},

	{"hold with the start's gate", wire.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(1, 1000) }},
	{"first rules: hold with the start's gate", wire.CodeHoldWithoutHazard, first((*world).toDelivering), seller, func(*world) record { return hold(1, 1000) }},
	{"first rules: hold with a register that falls", wire.CodeRegisterBack, first((*world).toDelivering), seller, func(*world) record { return hold(2, 999) }},
	{"hold with a gate still to come", wire.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(2, 1000) }},
	{"hold with a gate of before the hold", wire.CodeHoldWithoutHazard, (*world).toStopped, seller, func(*world) record { return hold(1, 1000) }},
	{"hold twice", wire.CodeWrongStatus, (*world).toHeld, seller, func(*world) record { return hold(2, 1600) }},
	{"hold too late", wire.CodeExpired, func(w *world) { w.toStopped(); w.wait(w.Genesis.Params.HoldReadingMs) }, seller, func(*world) record { return hold(2, 1500) }},
	{"hold with an older gate", wire.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(0, 1000) }},
	{"hold with an open gate", wire.CodeHoldWithoutHazard, func(w *world) { w.toDelivering(); w.must(seller, gate(2, open)) }, seller,
		func(*world) record { return hold(2, 1000) }},
	{"hold by another meter", wire.CodeMeterNotYours, (*world).toStopped, seller, func(*world) record { return on(hold(2, 1000), "other") }},
	{"register falls", wire.CodeRegisterBack, (*world).toStopped, seller, func(*world) record { return hold(2, 999) }},

	{"resume by another", wire.CodeNotYours, (*world).toHeld, "seller-2", func(w *world) record { return resume(w.attest(open, 3), 1500) }},
	{"resume what runs", wire.CodeWrongStatus, (*world).toDelivering, seller, func(w *world) record { return resume(w.attest(open, 1), 1500) }},
	{"resume against a blocked gate", wire.CodeGateNotOpen, (*world).toHeld, seller, func(w *world) record { return resume(w.attest(open, 2), 1500) }},
	{"resume with no gate change that opens", wire.CodeGateUnknown, (*world).toHeld, seller, func(w *world) record { return resume(w.attest(open, 3), 1500) }},
	{"resume once more than may be", wire.CodeHoldLimit, func(w *world) {
		g := ledgertest.Genesis(4, 2, 2)
		g.Params.MaxHolds = 1
		*w = *newWorld(w.t, func(to *ledger.Genesis) { *to = *g })
		w.toReopened()
		w.must(seller, resume(w.attest(open, 3), 1500))
		w.must(seller, gate(4, blocked))
		w.must(seller, gate(5, open))
	}, seller, func(w *world) record { return resume(w.attest(open, 5), 1500) }},
	{"resume by another meter", wire.CodeMeterNotYours, (*world).toReopened, seller, func(w *world) record { return on(resume(w.attest(open, 3), 1500), "other") }},
	{"resume with a register that falls", wire.CodeRegisterBack, (*world).toReopened, seller, func(w *world) record { return resume(w.attest(open, 3), 1499) }},

	{"read no trade", wire.CodeTradeUnknown, (*world).toDelivering, seller, func(*world) record { return of(readingOf("seller-1-meter", 1000), "token-9") }},
	{"read another's trade", wire.CodeNotYours, (*world).toDelivering, "seller-2", func(*world) record { return readingOf("seller-1-meter", 1000) }},
	{"buyer reads before the payment", wire.CodeWrongStatus, (*world).toEscrowed, buyer, func(*world) record { return readingOf("buyer-1-meter", 100) }},
	{"buyer reads after the end", wire.CodeWrongStatus, func(w *world) { w.toBilled(); w.must(buyer, confirm(2100, 2000)) }, buyer,
		func(*world) record { return readingOf("buyer-1-meter", 3000) }},
	{"seller reads before the start", wire.CodeWrongStatus, (*world).toPaid, seller, func(*world) record { return readingOf("seller-1-meter", 1000) }},
	{"seller reads after the bill", wire.CodeWrongStatus, (*world).toBilled, seller, func(*world) record { return readingOf("seller-1-meter", 5000) }},
	{"seller reads another meter", wire.CodeMeterNotYours, (*world).toDelivering, seller, func(*world) record { return readingOf("other", 1000) }},
	{"seller's reading falls", wire.CodeRegisterBack, (*world).toDelivering, seller, func(*world) record { return readingOf("seller-1-meter", 999) }},
	{"buyer reads another meter", wire.CodeMeterNotYours, (*world).toDelivering, buyer, func(*world) record { return readingOf("other", 100) }},
	{"buyer's reading falls", wire.CodeRegisterBack, (*world).toDelivering, buyer, func(*world) record { return readingOf("buyer-1-meter", 99) }},

	{"bill by another", wire.CodeNotYours, (*world).toDelivering, "seller-2", func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill before the start", wire.CodeWrongStatus, (*world).toPaid, seller, func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill twice", wire.CodeWrongStatus, (*world).toBilled, seller, func(w *world) record { return w.bill(3000, 2000, 400_000) }},
	{"bill another payment", wire.CodePayIDWrong, (*world).toDelivering, seller, func(w *world) record {
		r := w.bill(3000, 1000, 200_000)
		r.GetBill().PayId[0] ^= 1
		return r
	}},
	{"bill by another meter", wire.CodeMeterNotYours, (*world).toDelivering, seller, func(w *world) record { return on(w.bill(3000, 1, 200), "other") }},
	{"bill more than metered", wire.CodeEnergyNotMetered, (*world).toDelivering, seller, func(w *world) record { return w.bill(2999, 2000, 400_000) }},
	{"bill what the meter counted in the hold", wire.CodeEnergyNotMetered, (*world).toHeld, seller, func(w *world) record { return w.bill(1600, 501, 100_200) }},
	{"bill more than paid", wire.CodeVolumeWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3001, 2001, 400_200) }},
	{"bill another amount", wire.CodeAmountWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3000, 1000, 200_001) }},
	{"bill rounded up above a payment rounded down", wire.CodeInsufficientFunds, first(func(w *world) {
		w.toEscrowed()
		w.must(seller, w.offer(5000, 1500))
		w.must(buyer, pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.PriceMicroPerKwh, p.AmountMicro = 1, 1500, 1 }))
		w.must(seller, start(w.attest(open, 1), 1000))
	}), seller, func(w *world) record { return w.bill(1001, 1, 2) }},

	{"confirm another's", wire.CodeNotYours, (*world).toBilled, "buyer-2", func(*world) record { return confirm(2100, 2000) }},
	{"confirm unbilled", wire.CodeWrongStatus, (*world).toDelivering, buyer, func(*world) record { return confirm(2100, 2000) }},
	{"confirm by another meter", wire.CodeMeterNotYours, (*world).toBilled, buyer, func(*world) record { return on(confirm(2100, 2000), "other") }},
	{"confirm with a register that falls", wire.CodeRegisterBack, (*world).toBilled, buyer, func(*world) record { return confirm(99, 0) }},
	{"confirm less than metered", wire.CodeEnergyNotMetered, (*world).toBilled, buyer, func(*world) record { return confirm(2100, 1999) }},
	{"confirm more than metered", wire.CodeEnergyNotMetered, (*world).toBilled, buyer, func(*world) record { return confirm(2100, 2001) }},
}
