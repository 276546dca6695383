package ledger_test

import (
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func (w *world) account(id string, wallet int64, kept, broken uint64) {
	w.t.Helper()
	a, ok := w.State.Account(id)
	if !ok || a.WalletMicro != wallet || a.Kept != kept || a.Broken != broken {
		w.t.Errorf("account of %s: %+v, want wallet %d, kept %d, broken %d", id, a, wallet, kept, broken)
	}
}

func TestTradeSettles(t *testing.T) {
	w := newWorld(t, nil)
	w.toEscrowed()
	w.status(wire.StatusEscrowed)
	w.account(buyer, 400_000, 0, 0)
	w.must(buyer, pay(nil))
	w.account(buyer, 600_000, 0, 0) // what the price leaves of the escrow is back
	if offers := w.State.Offers(); len(offers) != 1 || offers[0].VolumeWh != 3000 {
		t.Errorf("offers after a part was paid: %+v", offers)
	}
	w.must(seller, start(w.attest(open, 1), 1000))
	w.must(seller, w.bill(3000, 2000, 400_000))
	w.must(buyer, confirm(2060, 1960)) // 2 % were lost on the line
	trade := w.status(wire.StatusSettled)
	if trade.PaidMicro != 400_000 || trade.ReturnedMicro != 200_000 || trade.EscrowMicro != 0 || !trade.Ended() {
		t.Errorf("%+v", trade)
	}
	w.account(buyer, 600_000, 1, 0)
	w.account(seller, 400_000, 1, 0)
	// credit ± w·volume: 10,000 a kWh, 2 kWh (paper, formula 8)
	if got := w.State.Credit(seller); got != 1_020_000 {
		t.Errorf("seller's credit %d", got)
	}
}

func TestHoldResumeAndPartlySettled(t *testing.T) {
	w := newWorld(t, nil)
	w.toDelivering()
	w.must(seller, gate(2, blocked))
	w.must(seller, hold(2, 1500))
	trade := w.status(wire.StatusHeld)
	if !trade.Held || trade.SellerMeteredWh != 500 {
		t.Errorf("%+v", trade)
	}
	if code := w.send(seller, resume(w.attest(open, 2), 1700)); code != wire.CodeGateNotOpen {
		t.Errorf("resume against a blocked gate: %q", code)
	}
	w.must(seller, gate(3, open))
	w.must(seller, resume(w.attest(open, 3), 1700))
	w.status(wire.StatusDelivering)
	// 500 before the hold, 300 after; the 200 between are not the trade's.
	if code := w.send(seller, w.bill(2000, 1000, 200_000)); code != wire.CodeEnergyNotMetered {
		t.Errorf("bill for energy of the hold: %q", code)
	}
	w.must(seller, w.bill(2000, 800, 160_000))
	w.must(buyer, confirm(890, 790))
	w.status(wire.StatusSettledPartly)
	w.account(seller, 160_000, 0, 0) // forgiven: a hazard
	w.account(buyer, 840_000, 1, 0)
}

func TestHoldThatLastsSettlesTheMetered(t *testing.T) {
	w := newWorld(t, nil)
	w.toDelivering()
	w.must(seller, hold(2, 1500))
	w.wait(w.Genesis.Params.ResumeByMs)
	trade := w.status(wire.StatusBilled)
	if trade.BilledWh != 500 || trade.BilledMicro != 100_000 {
		t.Errorf("%+v", trade)
	}
	w.wait(w.Genesis.Params.ConfirmByMs)
	w.status(wire.StatusSettledPartly)
	w.account(seller, 100_000, 0, 0)
	w.account(buyer, 900_000, 0, 1) // was silent
}

func TestMuteBuyerHarmsNobody(t *testing.T) {
	w := newWorld(t, nil)
	w.toBilled()
	w.wait(w.Genesis.Params.ConfirmByMs)
	w.status(wire.StatusSettled)
	w.account(seller, 400_000, 1, 0)
	w.account(buyer, 600_000, 0, 1)
}

func TestExpiries(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     func(*world)
		wait   func(*ledger.Params) int64
		status string
		broken uint64
	}{
		{"token", (*world).toEscrowed, func(*ledger.Params) int64 { return 600_000 }, wire.StatusRefunded, 0},
		{"start", (*world).toPaid, func(p *ledger.Params) int64 { return p.StartByMs }, wire.StatusFailed, 1},
		{"start, gate closed", func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, func(p *ledger.Params) int64 { return p.StartByMs }, wire.StatusRefunded, 0},
		{"bill", (*world).toDelivering, func(p *ledger.Params) int64 { return p.DeliverByMs }, wire.StatusFailed, 1},
		{"hold before any energy", func(w *world) { w.toDelivering(); w.must(seller, hold(2, 1000)) }, func(p *ledger.Params) int64 { return p.ResumeByMs }, wire.StatusRefunded, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.to(w)
			w.wait(c.wait(&w.Genesis.Params))
			w.status(c.status)
			w.account(buyer, 1_000_000, 0, 0)
			w.account(seller, 0, 0, c.broken)
			if w.wait(1); len(w.State.Trades(func(t *ledger.Trade) bool { return !t.Ended() })) != 0 {
				t.Error("trade has not ended")
			}
		})
	}
}

func TestHazardQuota(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.HoldQuota = 0 })
	w.toDelivering()
	w.must(seller, hold(2, 1500))
	w.must(seller, w.bill(1500, 500, 100_000))
	w.must(buyer, confirm(600, 500))
	w.status(wire.StatusSettledPartly)
	w.account(seller, 100_000, 0, 1)
}

func TestDisputeIsSplitByProof(t *testing.T) {
	w := newWorld(t, nil)
	w.toBilled()
	w.must(buyer, confirm(1100, 1000)) // the bill says 2000
	trade := w.status(wire.StatusDisputed)
	if trade.Ended() || trade.EscrowMicro != 400_000 {
		t.Errorf("%+v", trade)
	}
	w.wait(w.Genesis.Params.DisputeMs)
	trade = w.status(wire.StatusDisputed)
	if !trade.Ended() || trade.PaidMicro != 300_000 { // 200,000 agreed, half of the rest
		t.Errorf("%+v", trade)
	}
	w.account(buyer, 700_000, 0, 1)
	w.account(seller, 300_000, 0, 1)
}

func TestBlacklist(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.BlacklistBelowE6 = g.Params.CreditStartE6 })
	w.toPaid()
	w.wait(w.Genesis.Params.StartByMs)
	if a, _ := w.State.Account(seller); !a.Blacklisted {
		t.Fatalf("%+v", a)
	}
	if len(w.State.Offers()) != 0 {
		t.Error("a blacklisted seller's offer is on the market")
	}
	if code := w.send(seller, w.offer(5000, 1)); code != wire.CodeBlacklisted {
		t.Errorf("offer: %q", code)
	}
}

// TestRefusals has one case for each rule of the market: what leads up to it,
// the record that breaks it, and the code.
func TestRefusals(t *testing.T) {
	mc := ledgertest.Centre
	registration := func(id, key string) *fairwattpb.Record {
		return &fairwattpb.Record{Body: &fairwattpb.Record_Registration{Registration: &fairwattpb.Registration{
			Id: id, Site: "site", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}, PublicKey: string(ledgertest.PublicKey(key)),
		}}}
	}
	type record = *fairwattpb.Record
	for _, c := range []struct {
		name, code string
		to         func(*world)
		sender     string
		record     func(*world) record
	}{
		{"register a taken id", wire.CodeAlreadyRegistered, nil, mc, func(*world) record { return registration(buyer, "new") }},
		{"register a taken key", wire.CodeAlreadyRegistered, nil, mc, func(*world) record { return registration("new", buyer) }},
		{"register an aggregator's key", wire.CodeAlreadyRegistered, nil, mc, func(*world) record { return registration("new", "da-1") }},
		{"deposit to nobody", wire.CodeUnknownParticipant, nil, mc, func(*world) record { return deposit("nobody", 1, "r") }},
		{"deposit twice", wire.CodeReferenceUsed, (*world).toRequested, mc, func(*world) record { return deposit(buyer, 1, "deposit-1") }},
		{"deposit too much", wire.CodeMoneyLimit, (*world).toRequested, mc, func(*world) record { return deposit(buyer, ledger.MaxMoneyMicro, "r") }},
		{"old gate change", wire.CodeGateSeqOld, (*world).toRequested, seller, func(*world) record { return gate(1, open) }},
		{"request without money", wire.CodeInsufficientFunds, nil, buyer, func(w *world) record { return w.request(1, 1) }},
		{"request twice", wire.CodeRequestExists, (*world).toRequested, buyer, func(w *world) record { return w.request(1, 1) }},
		{"offer for ever", wire.CodeTooFar, nil, seller, func(w *world) record { w.NowMs += 1e9; r := w.offer(1, 1); w.NowMs -= 1e9; return r }},
		{"expired offer", wire.CodeExpired, nil, seller, func(w *world) record { w.NowMs -= 1e7; r := w.offer(1, 1); w.NowMs += 1e7; return r }},
		{"answer nothing", wire.CodeRequestUnknown, nil, mc, func(w *world) record { return w.response(nil) }},
		{"answer twice", wire.CodeRequestAnswered, (*world).toEscrowed, mc, func(w *world) record { return w.response(nil) }},
		{"volume over the request", wire.CodeVolumeWrong, (*world).toRequested, mc, func(w *world) record {
			return w.response(func(r *fairwattpb.Response) { r.Token.VolumeWh = 2001 })
		}},
		{"escrow too small", wire.CodeEscrowWrong, (*world).toRequested, mc, func(w *world) record {
			return w.response(func(r *fairwattpb.Response) { r.Token.EscrowMicro-- })
		}},
		{"invented compliance", wire.CodeComplianceWrong, (*world).toRequested, mc, func(w *world) record {
			return w.response(func(r *fairwattpb.Response) { r.Token.Kept = 1 })
		}},
		{"overspend", wire.CodeInsufficientFunds, func(w *world) {
			w.must(mc, deposit(buyer, 599_999, "r"))
			w.must(buyer, w.request(2000, 300_000))
		}, mc, func(w *world) record { return w.response(nil) }},
		{"pay without Token", wire.CodeTradeUnknown, (*world).toRequested, buyer, func(*world) record { return pay(nil) }},
		{"pay with another's Token", wire.CodeNotYours, (*world).toEscrowed, "buyer-2", func(*world) record { return pay(nil) }},
		{"pay twice", wire.CodeAlreadyPaid, (*world).toPaid, buyer, func(*world) record { return pay(nil) }},
		{"pay late", wire.CodeExpired, func(w *world) { w.toEscrowed(); w.wait(600_000) }, buyer, func(*world) record { return pay(nil) }},
		{"pay another seller", wire.CodeOfferUnknown, (*world).toEscrowed, buyer, func(*world) record {
			return pay(func(p *fairwattpb.Pay) { p.Seller = "seller-2" })
		}},
		{"pay for too much", wire.CodeVolumeWrong, (*world).toEscrowed, buyer, func(*world) record {
			return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 2001, 400_200 })
		}},
		{"pay another price", wire.CodePriceWrong, (*world).toEscrowed, buyer, func(*world) record {
			return pay(func(p *fairwattpb.Pay) { p.PriceMicroPerKwh, p.AmountMicro = 199_999, 399_998 })
		}},
		{"pay another amount", wire.CodeAmountWrong, (*world).toEscrowed, buyer, func(*world) record {
			return pay(func(p *fairwattpb.Pay) { p.AmountMicro++ })
		}},
		{"start unpaid", wire.CodeNotYours, (*world).toEscrowed, seller, func(w *world) record { return start(w.attest(open, 1), 1) }},
		{"start by another", wire.CodeNotYours, (*world).toPaid, "seller-2", func(w *world) record { return start(w.attest(open, 1), 1) }},
		{"start twice", wire.CodeWrongStatus, (*world).toDelivering, seller, func(w *world) record { return start(w.attest(open, 1), 1000) }},
		{"start without attestation", wire.CodeAttestationInvalid, (*world).toPaid, seller, func(*world) record { return start([]byte("word of honour"), 1) }},
		{"start with another's attestation", wire.CodeAttestationInvalid, (*world).toPaid, seller, func(w *world) record {
			a, _ := w.Attest("seller-2", 1, open, 1000)
			return start(a, 1)
		}},
		{"start with a blocked attestation", wire.CodeGateNotOpen, (*world).toPaid, seller, func(w *world) record { return start(w.attest(blocked, 2), 1) }},
		{"start against a blocked gate", wire.CodeAttestationOld, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, seller, func(w *world) record { return start(w.attest(open, 1), 1) }},
		{"start against the same gate", wire.CodeGateNotOpen, func(w *world) { w.toPaid(); w.must(seller, gate(2, blocked)) }, seller, func(w *world) record { return start(w.attest(open, 2), 1) }},
		{"stale attestation", wire.CodeAttestationExpired, (*world).toPaid, seller, func(w *world) record {
			a := w.attest(open, 1)
			w.NowMs += 61_000
			return start(a, 1)
		}},
		{"attestation for ever", wire.CodeAttestationExpired, (*world).toPaid, seller, func(w *world) record {
			a, _ := w.Attest(seller, 1, open, 90_001)
			return start(a, 1)
		}},
		{"hold without hazard", wire.CodeHoldWithoutHazard, (*world).toDelivering, seller, func(*world) record { return hold(1, 1000) }},
		{"hold on an open gate", wire.CodeHoldWithoutHazard, func(w *world) { w.toDelivering(); w.must(seller, gate(2, open)) }, seller, func(*world) record { return hold(2, 1000) }},
		{"register falls", wire.CodeRegisterBack, (*world).toDelivering, seller, func(*world) record { return hold(2, 999) }},
		{"another meter", wire.CodeMeterNotYours, (*world).toDelivering, seller, func(w *world) record {
			r := w.bill(3000, 1, 200)
			r.GetBill().Reading.Meter = "other"
			return r
		}},
		{"bill more than metered", wire.CodeEnergyNotMetered, (*world).toDelivering, seller, func(w *world) record { return w.bill(2999, 2000, 400_000) }},
		{"bill more than paid", wire.CodeVolumeWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3001, 2001, 400_200) }},
		{"bill another amount", wire.CodeAmountWrong, (*world).toDelivering, seller, func(w *world) record { return w.bill(3000, 1000, 200_001) }},
		{"bill another payment", wire.CodePayIDWrong, (*world).toDelivering, seller, func(w *world) record {
			r := w.bill(3000, 1000, 200_000)
			r.GetBill().PayId[0] ^= 1
			return r
		}},
		{"confirm unbilled", wire.CodeWrongStatus, (*world).toDelivering, buyer, func(*world) record { return confirm(2100, 2000) }},
		{"confirm another's", wire.CodeNotYours, (*world).toBilled, "buyer-2", func(*world) record { return confirm(2100, 2000) }},
		{"confirm unmetered", wire.CodeEnergyNotMetered, (*world).toBilled, buyer, func(*world) record { return confirm(2100, 1999) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			if c.to != nil {
				c.to(w)
			}
			before := entries(w)
			if code := w.send(c.sender, c.record(w)); code != c.code {
				t.Fatalf("code %q, want %q", code, c.code)
			}
			after := entries(w)
			for key, v := range after {
				if old := before[key]; old != v && key != "meta" && key != "window/"+c.sender {
					t.Errorf("a refused record changed %q", key)
				}
			}
		})
	}
}

func entries(w *world) map[string]string {
	m := make(map[string]string)
	for _, e := range w.State.Entries() {
		m[string(e.Key)] = string(e.Value)
	}
	return m
}
