package ledger_test

import (
	"slices"
	"strings"
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
	w := newWorld(t, ledgertest.FirstRules)
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
	w.must(buyer, confirm(900, 800))
	w.status(wire.StatusSettledPartly)
	w.account(seller, 160_000, 0, 0) // forgiven: a hazard
	w.account(buyer, 840_000, 1, 0)
}

func TestHoldThatLastsSettlesTheMetered(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
	w.toHeld()
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

func TestMuteBuyerHarmsOnlyItself(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
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
		{"hold before any energy", func(w *world) { w.toStopped(); w.must(seller, hold(2, 1000)) }, func(p *ledger.Params) int64 { return p.ResumeByMs }, wire.StatusRefunded, 0},
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
	w.toHeld()
	w.must(seller, w.bill(1500, 500, 100_000))
	w.must(buyer, confirm(600, 500))
	w.status(wire.StatusSettledPartly)
	w.account(seller, 100_000, 0, 1)
}

func TestDisputeIsSplitByProof(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
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

// A bill may be rounded down. What both meters counted is then no more than the
// bill, although rounded half to even it would be a millionth more.
func TestDisputePaysNoMoreThanTheBill(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
	w.toEscrowed()
	w.must(seller, w.offer(5000, 1500))
	w.must(buyer, pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.PriceMicroPerKwh, p.AmountMicro = 100, 1500, 150 }))
	w.must(seller, start(w.attest(open, 1), 1000))
	w.must(seller, w.bill(1001, 1, 1)) // 1.5 micro
	w.must(buyer, confirm(150, 50))
	w.wait(w.Genesis.Params.DisputeMs)
	if trade := w.status(wire.StatusDisputed); !trade.Ended() || trade.PaidMicro != 1 {
		t.Errorf("%+v", trade)
	}
}

// A sweep goes by the deadlines, whatever order its index keeps them in.
func TestSweepGoesByTheDeadlines(t *testing.T) {
	w := newWorld(t, nil)
	first := w.offer(1, 1)
	first.GetOffer().ExpiresMs = w.NowMs + 60_000
	w.must("seller-2", first)
	w.toEscrowed()
	w.toSecondToken()
	var ended []string
	for _, n := range w.wait(w.Genesis.Params.MaxStandingMs).Notices() {
		if n.Trade != nil {
			ended = append(ended, n.Trade.TradeId)
		}
	}
	if want := []string{"token-1", "token-2"}; !slices.Equal(ended, want) {
		t.Errorf("%v, want %v", ended, want)
	}
}

// No block is built on a damaged value.
func TestNoBlockOnADamagedValue(t *testing.T) {
	w := newWorld(t, nil)
	entries := w.State.Entries()
	for i, e := range entries {
		if string(e.Key) == "account/"+buyer {
			entries[i].Value = e.Value[:1]
		}
	}
	s, err := ledger.Restore(w.Genesis, 0, w.State.ChainID(), entries)
	if err != nil {
		t.Fatal(err)
	}
	sealed := w.sealed(mc, 1, deposit(buyer, 1, "reference"))
	if _, _, err := s.Build(w.Fields(), [][]byte{sealed}); err == nil || !strings.Contains(err.Error(), "account/"+buyer) {
		t.Errorf("%v, want an error that names the entry", err)
	}
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

func entries(w *world) map[string]string {
	m := make(map[string]string)
	for _, e := range w.State.Entries() {
		m[string(e.Key)] = string(e.Value)
	}
	return m
}
