package grid

import (
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

// reckoned is a grid with one honest seller and buyer and one culprit of a kind.
func reckoned(t *testing.T, kind string) *grid {
	t.Helper()
	g := &grid{cfg: DefaultConfig(), world: newWorld(3600, nil)}
	g.world.slots = newSlotWorld(&ledger.Params{SlotRules: ledger.SlotRules{SlotMs: slotMs}})
	g.cfg.Misbehave = []string{kind}
	if err := g.makeCulprits(); err != nil || len(g.culprits) == 0 {
		t.Fatalf("%v, %v", g.culprits, err)
	}
	g.people = []*participant{{id: "pv-1", seller: true}, {id: "home-1"}}
	return g
}

// What a trade brought is money and the energy that truly flowed, whatever was billed.
func TestReckoning(t *testing.T) {
	const price = 100_000
	for _, c := range []struct {
		rule          string
		billedWh      int64
		soldWh        float64
		paid, fine    int64 // of the buyer's wallet, to the seller; and back
		seller, buyer int64
	}{
		{"energy for its price", 1000, 1000, 100_000, 0, 0, 0},
		{"a pulse at either end and both classes are nothing", 1000, 1023, 100_000, 0, 0, 0},
		{"more is something", 1000, 1040, 100_000, 0, -4_000, 4_000},
		{"nothing for the price", 1000, 0, 100_000, 0, 100_000, -100_000},
		{"energy for nothing", 0, 1000, 0, 0, -100_000, 100_000},
		{"nothing, and a fine", 0, 0, 0, 20_000, -20_000, 20_000},
	} {
		t.Run(c.rule, func(t *testing.T) {
			g := reckoned(t, Tamper)
			p := ledger.DefaultParams()
			g.world.flows["t"] = &flow{soldWh: c.soldWh}
			trade := ledger.Trade{ID: "t", Seller: "culprit-tamper", Buyer: "home-1", Status: wire.StatusSettled, BilledWh: c.billedWh, PriceMicroPerKWh: price}
			k := newReckoning()
			g.add(k, &trade, map[string]int64{"culprit-tamper": c.paid - c.fine, "home-1": c.fine - c.paid}, &p)
			if k.net["culprit-tamper"] != c.seller || k.net["home-1"] != c.buyer || k.by[Tamper]["home-1"] != c.buyer || k.trades["home-1"] != 1 {
				t.Errorf("%+v", k)
			}
		})
	}
}

// Every kind has names, and those that buy have houses; each name belongs to its kind.
func TestCulprits(t *testing.T) {
	for _, kind := range crimes {
		g := reckoned(t, kind.kind)
		sellers, buyers := 0, 0
		for _, c := range g.culprits {
			if c.idle {
				continue
			}
			if (c.witness != nil) != kind.second || c.witness != nil && (g.culprit(c.witness.id) != c.witness || c.witness.site != c.site || !c.witness.idle || c.witness.meter == c.meter) {
				t.Errorf("%s has the second name %+v", c.id, c.witness)
			}
			if c.seller {
				sellers++
			} else if buyers++; (c.house == nil) != c.amongItself || (g.world.houses[c.id] != nil) == c.amongItself {
				t.Errorf("%s has the house %v", c.id, c.house)
			}
			if g.culprit(c.id) != c || c.kind != kind.kind || g.culprit("home-1") != nil {
				t.Errorf("%+v", c)
			}
		}
		if (sellers == 1) != kind.sells || (buyers == 1) != kind.buys || sellers+buyers != len(g.culprits) && !kind.second {
			t.Errorf("%s: %d sellers, %d buyers", kind.kind, sellers, buyers)
		}
	}
}

// Who holds to be excused delivers nothing then, and all of it in the trades between.
func TestHolders(t *testing.T) {
	for kind, every := range map[string]int{HoldAbuse: 1, HoldOften: 2, OwnWitness: 2, FalseWarning: 2, Short: 0} {
		for trades := 1; trades <= 4; trades++ {
			c := &culprit{crime: crime{kind: kind}, trades: trades}
			want := every > 0 && trades%every == 0
			deliver, bill, available := c.flows(1000)
			if c.holds() != want || want && deliver+bill+available != 0 || !want && deliver == 0 {
				t.Errorf("%s in trade %d: holds %v, flows %d, %d, %d", kind, trades, c.holds(), deliver, bill, available)
			}
		}
	}
}

func TestMarketTable(t *testing.T) {
	r := &Report{
		Settlement: "meters", Credit: "robust", Trades: Trades{Disputed: 2}, Payments: Payments{Sent: 50, Refused: 1},
		Culprits: []Culprit{{Kind: Tamper, What: "invents", Trades: 3, GainMicro: -55_000, LossMicro: -200_000, BrokenHonest: 4, Barred: true}},
		Honest:   []Honest{{ID: "home-1", Trades: 7, NetMicro: -1_500_000, LossMicro: 1_500_000}},
		Broken:   []Broken{{Who: "pv-1"}}, BrokenCleared: 6,
	}
	got := r.Market()
	for _, want := range []string{
		"settlement meters, credit robust\n", "tamper                 3    -0.055         0.000      4 barred  invents\n",
		"home-1                 7     0.000         1.500", "50 payments by honest buyers, 1 refused; 0 Tokens unused, 0 given back; 1 promises of honest participants broken, 6 given back by verdicts, 2 trades disputed\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A promise that a verdict gave back counts as broken no more; of what is left it is told
// with whom the trade was, and a culprit of one kind answers for what honest parties broke
// in its trades.
func TestBrokenByWhom(t *testing.T) {
	g := reckoned(t, RefuseToTake)
	r := &Report{Culprits: []Culprit{{Kind: Tamper}, {Kind: RefuseToTake}}}
	counts := newTally()
	step := func(kind, who, other, trade string) ledger.Step {
		return ledger.Step{Kind: kind, Who: who, Other: other, Trade: trade, Text: "why"}
	}
	const liar = "culprit-refuse-to-take"
	counts.hear([]ledger.Step{
		step(ledger.StepBroke, "pv-1", liar, "t-1"), step(ledger.StepBroke, "pv-1", liar, "t-2"), step(ledger.StepBroke, "home-1", "pv-1", "t-3"),
		step(ledger.StepRestored, "pv-1", "", "t-1"), step(ledger.StepBroke, liar, "pv-1", "t-1"),
	})
	g.countBroken(r, counts)
	want := []Broken{{"pv-1", liar, "t-2", "why"}, {"home-1", "pv-1", "t-3", "why"}}
	if !slices.Equal(r.Broken, want) || r.BrokenCleared != 1 || r.Culprits[0].BrokenHonest != 0 || r.Culprits[1].BrokenHonest != 1 {
		t.Errorf("%+v", r)
	}
}
