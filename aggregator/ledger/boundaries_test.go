package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

const applies = "" // as a code: the record is not refused

// A boundary is a limit of the market, and the code of a record that is one
// below it, on it, and one above it.
type boundary struct {
	name             string
	to               func(*world)
	sender           string
	record           func(w *world, d int64) record
	below, on, above string
}

var boundaries = []boundary{
	{"deposits up to the limit", (*world).toRequested, mc, func(_ *world, d int64) record {
		return deposit(buyer, ledger.MaxMoneyMicro-1_000_000+d, "r")
	}, applies, applies, wire.CodeMoneyLimit},
	{"gate_seq above the newest", func(w *world) { w.must(seller, gate(5, open)) }, seller, func(_ *world, d int64) record {
		return gate(uint64(5+d), blocked)
	}, wire.CodeGateSeqOld, wire.CodeGateSeqOld, applies},
	{"offer that lasts past block time", nil, seller, func(w *world, d int64) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 + d
		return r
	}, wire.CodeExpired, wire.CodeExpired, applies},
	{"offer within max_standing_ms", nil, seller, func(w *world, d int64) record {
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 + w.Genesis.Params.MaxStandingMs + d
		return r
	}, applies, applies, wire.CodeTooFar},
	{"request with a wallet", nil, buyer, func(w *world, d int64) record {
		if d >= 0 {
			w.must(mc, deposit(buyer, 1+d, "r"))
		}
		return w.request(1, 1)
	}, wire.CodeInsufficientFunds, applies, applies},
	{"Token within the request", (*world).toRequested, mc, func(w *world, d int64) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.VolumeWh, r.Token.EscrowMicro = 2000+d, 600_000+300*d })
	}, applies, applies, wire.CodeVolumeWrong},
	{"escrow of the Token", (*world).toRequested, mc, func(w *world, d int64) record {
		return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro += d })
	}, wire.CodeEscrowWrong, applies, wire.CodeEscrowWrong},
	{"wallet for the escrow", nil, mc, func(w *world, d int64) record {
		w.must(mc, deposit(buyer, 600_000+d, "r"))
		w.must(buyer, w.request(2000, 300_000))
		return w.response(nil)
	}, wire.CodeInsufficientFunds, applies, applies},
	{"kept promises of the chain", func(w *world) {
		w.toBilled()
		w.must(buyer, w.request2())
		w.must(buyer, confirm(2100, 2000))
	}, mc, func(w *world, d int64) record {
		r := w.response2()
		r.GetResponse().Token.Kept = uint64(1 + d)
		return r
	}, applies, applies, wire.CodeComplianceWrong},
	{"broken promises of the chain", first(func(w *world) {
		w.toBilled()
		w.must(buyer, w.request2())
		w.wait(w.Genesis.Params.ConfirmByMs)
	}), mc, func(w *world, d int64) record {
		r := w.response2()
		r.GetResponse().Token.Broken = uint64(1 + d)
		return r
	}, applies, applies, wire.CodeComplianceWrong},

	{"volume of the Token", (*world).toEscrowed, buyer, func(_ *world, d int64) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 2000+d, 400_000+200*d })
	}, applies, applies, wire.CodeVolumeWrong},
	{"volume of the offer", func(w *world) { w.toEscrowed(); w.must(seller, w.offer(1000, 200_000)) }, buyer, func(_ *world, d int64) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 1000+d, 200_000+200*d })
	}, applies, applies, wire.CodeVolumeWrong},
	{"highest price of the request", (*world).toEscrowed, buyer, func(w *world, d int64) record {
		w.must(seller, w.offer(5000, 300_000+d))
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 300_000+d, 600_000+2*d })
	}, applies, applies, wire.CodePriceWrong},
	{"price of the offer", (*world).toEscrowed, buyer, func(_ *world, d int64) record {
		return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 200_000+d, 400_000+2*d })
	}, wire.CodePriceWrong, applies, wire.CodePriceWrong},
	{"amount of the payment", (*world).toEscrowed, buyer, func(_ *world, d int64) record {
		return pay(func(p *fairwattpb.Pay) { p.AmountMicro += d })
	}, wire.CodeAmountWrong, applies, wire.CodeAmountWrong},
	{"buyer's register", func(w *world) {
		w.toBilled()
		w.must(buyer, confirm(2100, 2000))
		w.toSecondToken()
	}, buyer, func(_ *world, d int64) record {
		return pay2(func(p *fairwattpb.Pay) { p.BuyerReading = at("buyer-1-meter", 2100+d) })
	}, wire.CodeRegisterBack, applies, applies},

	{"validity of an attestation", (*world).toPaid, seller, func(w *world, d int64) record {
		return start(w.attestation(seller, func(a *fairwattpb.GateAttestation) { a.ValidUntilMs = w.NowMs + w.Genesis.Params.AttestationMaxMs + d }), 1)
	}, applies, applies, wire.CodeAttestationExpired},
	{"attestation valid at block time", (*world).toPaid, seller, func(w *world, d int64) record {
		return start(w.attestation(seller, func(a *fairwattpb.GateAttestation) { a.ValidUntilMs = w.NowMs + 1 + d }), 1)
	}, wire.CodeAttestationExpired, applies, applies},
	{"attestation issued within the skew", (*world).toPaid, seller, func(w *world, d int64) record {
		return start(w.attestation(seller, func(a *fairwattpb.GateAttestation) { a.IssuedMs = w.NowMs + 1 + w.Genesis.Params.SkewMs + d }), 1)
	}, applies, applies, wire.CodeAttestationExpired},
	{"gate_seq of an attestation", func(w *world) { w.toPaid(); w.must(seller, gate(5, open)) }, seller, func(w *world, d int64) record {
		return start(w.attest(open, uint64(5+d)), 1)
	}, wire.CodeAttestationOld, applies, wire.CodeGateUnknown},
	{"gate_seq of a hold, first rules", first(func(w *world) { w.toPaid(); w.must(seller, start(w.attest(open, 5), 1000)) }), seller, func(_ *world, d int64) record {
		return hold(uint64(5+d), 1000)
	}, wire.CodeHoldWithoutHazard, wire.CodeHoldWithoutHazard, applies},
	{"gate_seq of a hold", func(w *world) { w.toDelivering(); w.must(seller, gate(5, blocked)) }, seller, func(_ *world, d int64) record {
		return hold(uint64(5+d), 1000)
	}, wire.CodeHoldWithoutHazard, applies, wire.CodeHoldWithoutHazard},
	{"time of a hold's reading", (*world).toStopped, seller, func(w *world, d int64) record {
		r := hold(2, 1000)
		r.GetHold().Reading.TimeMs = w.NowMs
		w.NowMs += w.Genesis.Params.HoldReadingMs - 1 + d // the block's time is one more
		return r
	}, applies, applies, wire.CodeExpired},
	{"own time of a hold's reading", (*world).toStopped, seller, func(w *world, d int64) record {
		r := hold(2, 1000)
		r.GetHold().Reading.TimeMs = w.NowMs + w.Genesis.Params.SkewMs + d
		return r
	}, applies, applies, wire.CodeReadingTime},
	{"a reading of before", (*world).toDelivering, seller, func(w *world, d int64) record {
		r := readingOf("seller-1-meter", 1000)
		r.GetReading().Reading.TimeMs = w.NowMs + 1 - w.Genesis.Params.ReadingSkewMs + d
		return r
	}, wire.CodeReadingTime, applies, applies},
	{"a reading of after", (*world).toDelivering, seller, func(w *world, d int64) record {
		r := readingOf("seller-1-meter", 1000)
		r.GetReading().Reading.TimeMs = w.NowMs + 1 + w.Genesis.Params.ReadingSkewMs + d
		return r
	}, applies, applies, wire.CodeReadingTime},
	{"rated power", slow((*world).toDelivering), seller, func(w *world, d int64) record { // 36 kW for a minute, a tenth, and a step
		w.NowMs += 60_000 - 1 // the reading of the start was 1 ms earlier
		return readingOf("seller-1-meter", 1000+660+1+d)
	}, applies, applies, wire.CodeOverRatedPower},
	{"last register of a meter", func(w *world) { w.toBilled(); w.must(buyer, confirm(2100, 2000)) }, mc, func(_ *world, d int64) record {
		return meterRetired("buyer-1-meter", 2100+d)
	}, wire.CodeRegisterBack, applies, applies},
	{"seller's register", (*world).toStopped, seller, func(_ *world, d int64) record { return hold(2, 1000+d) },
		wire.CodeRegisterBack, applies, applies},
	{"energy of the bill and the meter", (*world).toDelivering, seller, func(w *world, d int64) record { return w.bill(2000, 1000+d, 200_000+200*d) },
		applies, applies, wire.CodeEnergyNotMetered},
	{"energy of the bill and the payment", (*world).toDelivering, seller, func(w *world, d int64) record { return w.bill(4000, 2000+d, 400_000+200*d) },
		applies, applies, wire.CodeVolumeWrong},
	{"amount of the bill", (*world).toDelivering, seller, func(w *world, d int64) record { return w.bill(2000, 1000, 200_000+d) },
		wire.CodeAmountWrong, applies, wire.CodeAmountWrong},
	{"energy of the confirmation", (*world).toBilled, buyer, func(_ *world, d int64) record { return confirm(2100, 2000+d) },
		wire.CodeEnergyNotMetered, applies, wire.CodeEnergyNotMetered},
}

// slow gives the seller's meter a branch of 36 kW: 10 Wh a second.
func slow(to func(*world)) func(*world) {
	return func(w *world) {
		*w = *newWorld(w.t, func(g *ledger.Genesis) { g.Meters[0].RatedW, g.Meters[0].StartWh = 36_000, 1000 })
		to(w)
	}
}

// TestBoundaries takes each limit of the market from one below to one above.
func TestBoundaries(t *testing.T) {
	for _, c := range boundaries {
		for d, want := range map[int64]string{-1: c.below, 0: c.on, 1: c.above} {
			w := newWorld(t, nil)
			if c.to != nil {
				c.to(w)
			}
			if got := w.send(c.sender, c.record(w, d)); got != want {
				t.Errorf("%s, %+d: %q, want %q", c.name, d, got, want)
			}
		}
	}
}

// TestHoldNamesAGateChange: by the first rules, a hold stands on a gate change newer than the
// start's that is not OPEN, known to the chain or still to come.
func TestHoldNamesAGateChange(t *testing.T) {
	for _, c := range []struct {
		name string
		gate record // on the chain before the hold
		seq  uint64
		want string
	}{
		{"still to come", gate(1, open), 2, ""},
		{"known, blocked", gate(2, blocked), 2, ""},
		{"known, clearing", gate(2, fairwattpb.GateState_GATE_STATE_CLEARING), 2, ""},
		{"known, open", gate(2, open), 2, wire.CodeHoldWithoutHazard},
		{"newer than an open one", gate(2, open), 3, ""},
	} {
		w := newWorld(t, ledgertest.FirstRules)
		w.toPaid()
		w.must(seller, start(w.attest(open, 1), 1000))
		if c.gate.GetGateChange().GetGateSeq() > 1 {
			w.must(seller, c.gate)
		}
		if got := w.send(seller, hold(c.seq, 1000)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestMetersAgree takes, by the first rules, what the buyer's meter counted to the ends of the
// tolerance: 2000 Wh billed, 300 + 2 x 100 of 10,000 and two steps are 102 Wh.
func TestMetersAgree(t *testing.T) {
	for _, c := range []struct {
		billed, received int64
		want             string
	}{
		{2000, 1898, wire.StatusSettled},
		{2000, 1897, wire.StatusDisputed},
		{2000, 2103, wire.StatusSettled}, // more than the whole volume is the seller's gift
		{2000, 9999, wire.StatusSettled},
		{1999, 2101, wire.StatusSettled},
		{1999, 2102, wire.StatusDisputed}, // not the whole volume
		{1999, 1897, wire.StatusSettled},
		{1999, 1896, wire.StatusDisputed},
	} {
		w := newWorld(t, ledgertest.FirstRules)
		w.toDelivering()
		w.must(seller, w.bill(1000+c.billed, c.billed, c.billed*200))
		w.must(buyer, confirm(100+c.received, c.received))
		if trade := w.trade(); trade.Status != c.want {
			t.Errorf("billed %d, received %d: %s, want %s", c.billed, c.received, trade.Status, c.want)
		}
	}
	// The classes are those of the two meters: without them 2000 Wh may differ by 62.
	for _, c := range []struct {
		seller, buyer uint32
		received      int64
		want          string
	}{
		{0, 0, 1938, wire.StatusSettled}, {0, 0, 1937, wire.StatusDisputed},
		{50, 0, 1928, wire.StatusSettled}, {50, 0, 1927, wire.StatusDisputed},
		{0, 200, 1898, wire.StatusSettled}, {0, 200, 1897, wire.StatusDisputed},
	} {
		w := newWorld(t, func(g *ledger.Genesis) {
			ledgertest.FirstRules(g)
			g.Members[0].MeterClassE4, g.Members[2].MeterClassE4 = c.seller, c.buyer
		})
		w.toBilled()
		w.must(buyer, confirm(100+c.received, c.received))
		if trade := w.trade(); trade.Status != c.want {
			t.Errorf("classes %d and %d, received %d: %s, want %s", c.seller, c.buyer, c.received, trade.Status, c.want)
		}
	}
}

func (w *world) trade() ledger.Trade {
	w.t.Helper()
	t, ok := w.State.Trade("token-1")
	if !ok {
		w.t.Fatal("no trade")
	}
	return t
}

// TestWholeDelivery: settle_whole_e4 of the volume is a whole delivery; a Wh
// less is a part, which costs the seller credit without a hazard.
func TestWholeDelivery(t *testing.T) {
	for billed, want := range map[int64]string{1899: wire.StatusSettledPartly, 1900: wire.StatusSettled, 1901: wire.StatusSettled} {
		w := newWorld(t, nil) // 9500 of 10,000
		w.toDelivering()
		w.must(seller, w.bill(1000+billed, billed, billed*200))
		w.must(buyer, confirm(100+billed, billed))
		if trade := w.trade(); trade.Status != want {
			t.Errorf("%d of 2000 Wh: %s, want %s", billed, trade.Status, want)
		}
		a, _ := w.State.Account(seller)
		if whole := want == wire.StatusSettled; whole != (a.Kept == 1) || whole == (a.Broken == 1) {
			t.Errorf("%d of 2000 Wh: %+v", billed, a)
		}
	}
}

// next makes another Token, number n, for 1000 Wh of the standing offer.
func (w *world) next(n int) (token string) {
	id := string(rune('a' + n))
	q := w.request(1000, 200_000)
	q.GetRequest().RequestId = "request-" + id
	w.must(buyer, q)
	r := w.response2()
	r.GetResponse().RequestId, r.GetResponse().Token.TokenId = "request-"+id, "token-"+id
	w.must(mc, r)
	w.must(seller, w.offer(1000, 200_000))
	w.must(mc, meterAdded(meterOf(buyer, "meter-"+id)))
	w.must(buyer, pay2(func(p *fairwattpb.Pay) {
		p.TokenId, p.BuyerReading = "token-"+id, at("meter-"+id, 0)
	}))
	return "token-" + id
}

// TestQuotaPeriod: of every hold_quota_trades sales hold_quota may fall short
// by a hazard; the next sale begins a new period.
func TestQuotaPeriod(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.HoldQuota, g.Params.HoldQuotaTrades = 2, 4 })
	w.must(mc, deposit(buyer, 10_000_000, "r"))
	w.must(seller, gate(1, blocked)) // a hazard excuses every sale, within the quota
	for n, want := range []struct {
		status       string
		trades, used uint64
		broken       uint64
	}{
		{wire.StatusRefunded, 1, 1, 0},
		{wire.StatusRefunded, 2, 2, 0},
		{wire.StatusFailed, 3, 2, 1},
		{wire.StatusFailed, 4, 2, 2},
		{wire.StatusRefunded, 1, 1, 2}, // a new period
		{wire.StatusRefunded, 2, 2, 2},
		{wire.StatusFailed, 3, 2, 3},
	} {
		token := w.next(n)
		w.wait(w.Genesis.Params.StartByMs)
		trade, _ := w.State.Trade(token)
		a, _ := w.State.Account(seller)
		if trade.Status != want.status || a.QuotaTrades != want.trades || a.QuotaUsed != want.used || a.Broken != want.broken {
			t.Errorf("sale %d: %s, %+v; want %+v", n+1, trade.Status, a, want)
		}
	}
}

// TestBlacklistLimit: credit at the limit is good enough, one step below is not.
func TestBlacklistLimit(t *testing.T) {
	for limit, want := range map[int64]bool{979_999: false, 980_000: false, 980_001: true} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.BlacklistBelowE6 = limit }) // a broken sale of 2 kWh leaves 980,000
		w.toPaid()
		w.wait(w.Genesis.Params.StartByMs)
		if a, _ := w.State.Account(seller); a.Blacklisted != want || a.CreditE6 != 980_000 {
			t.Errorf("limit %d: %+v", limit, a)
		}
	}
}

// TestCreditStep rounds weight times volume half even to the millionth.
func TestCreditStep(t *testing.T) {
	for _, c := range []struct{ weight, volume, step int64 }{{1, 500, 0}, {1, 501, 1}, {1, 1500, 2}, {3, 500, 2}, {7, 1000, 7}} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.CreditWeightE6 = c.weight })
		w.toEscrowed()
		w.must(buyer, pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = c.volume, c.volume*200 }))
		w.wait(w.Genesis.Params.StartByMs)
		if got := w.State.Credit(seller); got != ledgertest.Genesis(1, 0, 0).Params.CreditStartE6-c.step {
			t.Errorf("%d a kWh, %d Wh: credit %d, want a step of %d", c.weight, c.volume, got, c.step)
		}
	}
}

// TestDeadlines: a status ends in the first block at its deadline, not before.
func TestDeadlines(t *testing.T) {
	p := ledger.DefaultParams()
	for _, c := range []struct {
		name    string
		to      func(*world)
		afterMs int64 // after the block that began the status
		before  string
	}{
		{"start", (*world).toPaid, p.StartByMs, wire.StatusPaid},
		{"bill", (*world).toDelivering, p.DeliverByMs, wire.StatusDelivering},
		{"resume", (*world).toStopped, p.ResumeByMs, wire.StatusHeld},
		{"confirmation", (*world).toBilled, p.ConfirmByMs, wire.StatusBilled},
	} {
		w := newWorld(t, nil)
		c.to(w)
		if trade := w.trade(); trade.DeadlineMs != w.State.TimeMs()+c.afterMs {
			t.Errorf("%s: deadline %d ms after its block, want %d", c.name, trade.DeadlineMs-w.State.TimeMs(), c.afterMs)
		}
		w.wait(c.afterMs - 2) // the block's time is one more
		if got := w.trade().Status; got != c.before {
			t.Errorf("%s: a millisecond before the deadline it is %s", c.name, got)
		}
		w.wait(0)
		if got := w.trade(); got.Status == c.before && !got.Late {
			t.Errorf("%s: at the deadline it is still %s", c.name, got.Status)
		}
	}
}
