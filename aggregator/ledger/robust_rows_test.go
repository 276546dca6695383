package ledger_test

import (
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/wire"
)

// robustly begins again on a chain with robust credit whose members have bonds.
func robustly(change func(*ledger.Genesis), to func(*world)) func(*world) {
	return func(w *world) {
		*w = *newRobust(w.t, change)
		if to != nil {
			to(w)
		}
	}
}

// toDisputed is a trade whose meters differ by all of it.
func (w *world) toDisputed() { w.toBilled(); w.must(buyer, confirm(100, 0)) }

func harsh(g *ledger.Genesis) { g.Params.ListBelowE6 = 499_999 }

// robustRows are the refusals of robust credit.
var robustRows = []marketRow{
	{"bond what is not there", wire.CodeInsufficientFunds, robustly(nil, nil), buyer, func(*world) record { return bond(1) }},
	{"ask back more than the bond", wire.CodeBondWrong, robustly(nil, nil), buyer, func(*world) record { return unbond(aBond + 1) }},
	{"ask back what bears a promise", wire.CodeBondWrong, robustly(nil, (*world).toPaid), seller, func(*world) record { return unbond(800_001) }},
	{"promise too much", wire.CodeExposure, func(w *world) {
		*w = *newWorld(w.t, ledgertest.Robust)
		w.must(mc, bonded(seller, 199_999, "b"))
		w.toEscrowed()
	}, buyer, func(*world) record { return pay(nil) }},
	{"offer with fines to pay", wire.CodeFinesDue, func(w *world) { *w = *newWorld(w.t, ledgertest.Robust); w.toDues(); w.wait(1 << 33) }, seller,
		func(w *world) record { return w.offer(1, 1) }},
	{"a listed seller's offer", wire.CodeBlacklisted, robustly(harsh, func(w *world) { w.toPaid(); w.wait(w.Genesis.Params.StartByMs) }), seller,
		func(w *world) record { return w.offer(1, 1) }},

	{"appeal no trade", wire.CodeTradeUnknown, robustly(nil, nil), buyer, func(*world) record { return appeal("token-1") }},
	{"appeal another's trade", wire.CodeNotYours, robustly(nil, (*world).toDisputed), "buyer-2", func(*world) record { return appeal("token-1") }},
	{"appeal a running trade", wire.CodeAppealWrong, robustly(nil, (*world).toBilled), buyer, func(*world) record { return appeal("token-1") }},
	{"appeal an unused Token", wire.CodeAppealWrong, robustly(nil, func(w *world) { w.toEscrowed(); w.wait(600_000) }), buyer,
		func(*world) record { return appeal("token-1") }},
	{"appeal twice", wire.CodeAppealWrong, robustly(nil, func(w *world) { w.toDisputed(); w.must(seller, appeal("token-1")) }), buyer,
		func(*world) record { return appeal("token-1") }},
	{"appeal what is decided", wire.CodeAppealWrong, robustly(nil, func(w *world) { w.toDisputed(); w.decided(neither) }), buyer,
		func(*world) record { return appeal("token-1") }},
	{"appeal late", wire.CodeAppealWrong, robustly(nil, func(w *world) {
		w.toBilled()
		w.must(buyer, confirm(2100, 2000))
		w.NowMs = w.State.TimeMs() + w.Genesis.Params.VerdictMs - 1
	}), buyer, func(*world) record { return appeal("token-1") }},
	{"appeal to no one", wire.CodeAppealWrong, robustly(func(g *ledger.Genesis) { g.Arbiters = nil }, (*world).toDisputed), buyer,
		func(*world) record { return appeal("token-1") }},

	{"a verdict of nothing", wire.CodeCaseUnknown, robustly(nil, (*world).toBilled), "judge-1", func(*world) record { return verdict("token-1", neither) }},
	{"a verdict when it is over", wire.CodeCaseUnknown, robustly(nil, func(w *world) { w.toDisputed(); w.wait(w.Genesis.Params.VerdictMs) }), "judge-1",
		func(*world) record { return verdict("token-1", neither) }},
	{"a second word of one arbiter", wire.CodeVerdictGiven, robustly(nil, func(w *world) { w.toDisputed(); w.must("judge-1", verdict("token-1", neither)) }), "judge-1",
		func(*world) record { return verdict("token-1", neither) }},

	{"grant to a stranger", wire.CodeUnknownParticipant, robustly(nil, nil), "judge-1", func(*world) record { return granted("g", "stranger", 1) }},
	{"grant what a case is about", wire.CodeInsufficientFunds, robustly(nil, (*world).toDisputed), "judge-1", func(*world) record { return granted("g", buyer, 1) }},
	{"grant alone", wire.CodeVerdictGiven, robustly(nil, (*world).toGranting), "judge-1", func(*world) record { return granted("g", buyer, 1) }},
	{"grant another amount", wire.CodeVerdictGiven, robustly(nil, (*world).toGranting), "judge-2", func(*world) record { return granted("g", buyer, 2) }},
	{"grant twice", wire.CodeReferenceUsed, robustly(nil, func(w *world) { w.toGranting(); w.must("judge-2", granted("g", buyer, 1)) }), "judge-3",
		func(*world) record { return granted("g", buyer, 1) }},

	{"register an arbiter's id", wire.CodeAlreadyRegistered, robustly(nil, nil), mc, func(w *world) record { return w.registration("judge-1", "new") }},
	{"register an arbiter's key", wire.CodeAlreadyRegistered, robustly(nil, nil), mc, func(w *world) record { return w.registration("new", "judge-1") }},
}

// toGranting has one arbiter say that the buyer gets a millionth of the fund.
func (w *world) toGranting() {
	w.toDisputed()
	w.wait(w.Genesis.Params.VerdictMs)
	w.must("judge-1", granted("g", buyer, 1))
}
