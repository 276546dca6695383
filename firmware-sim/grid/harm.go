package grid

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A Culprit is what became of a kind of trader that lied, all its names together.
type Culprit struct {
	Kind   string `json:"kind"`
	What   string `json:"what"`
	ID     string `json:"id"`     // its first name
	Trades int    `json:"trades"` // that it paid for or was paid for
	// GainMicro is all that its trades brought it in money and energy, each Wh at the price
	// of its trade. Those with culprits of another kind are left out: in an auction no one
	// chooses whom it trades with, and one that is wronged is paid a fine.
	GainMicro int64 `json:"gain_micro"`
	// LossMicro is the most that one honest participant lost by its trades: -1 times what
	// it gained, where each of them gained.
	LossMicro int64 `json:"loss_micro"`
	// BrokenHonest are promises of honest participants in its trades that count as broken,
	// and that no verdict has cleared them of.
	BrokenHonest int   `json:"broken_honest"`
	Barred       bool  `json:"barred"`
	CreditE6     int64 `json:"credit_e6"` // at the end, the best of its names
	Open         int   `json:"open"`      // trades not ended, or without the verdict that is due
}

// An Honest is what became of a participant that kept the rules.
type Honest struct {
	ID       string `json:"id"`
	Trades   int    `json:"trades"` // that have ended
	NetMicro int64  `json:"net_micro"`
	// LossMicro is what it lost by all its trades together, in money and energy.
	LossMicro int64 `json:"loss_micro"`
	Fined     int   `json:"fined"`
	Barred    bool  `json:"barred"`
	CreditE6  int64 `json:"credit_e6"`
	Open      int   `json:"open"`
}

// A Broken is a promise of someone who keeps the rules that counts as broken.
type Broken struct {
	Who   string `json:"who"`
	Other string `json:"other"` // with whom the trade was
	Trade string `json:"trade"`
	Why   string `json:"why"`
}

// Payments counts what became of Pay records, and of Tokens.
type Payments struct {
	Sent    int            `json:"sent"` // by participants that keep the rules
	Refused int            `json:"refused"`
	Codes   map[string]int `json:"codes"`
	// UnusedTokens ran out without a payment.
	UnusedTokens int `json:"unused_tokens"`
	// TokensGivenBack were released by buyers that had no use for them.
	TokensGivenBack int `json:"tokens_given_back"`
}

// worthlessWh is by how much money and energy of a trade may differ where no one lies, in
// energy: a pulse that is cut off at the ends of both registers, and both meters' classes.
func worthlessWh(energyWh float64, p *ledger.Params) int64 {
	return int64(math.Ceil(energyWh*2*gridMeterClassE4/10_000)) + 2*p.RegisterStepWh + 1
}

// reckoning adds up money and energy by participant.
type reckoning struct {
	net    map[string]int64            // by participant
	by     map[string]map[string]int64 // by culprits' kind and honest participant
	trades map[string]int
	open   map[string]int
}

func newReckoning() *reckoning {
	return &reckoning{make(map[string]int64), make(map[string]map[string]int64), make(map[string]int), make(map[string]int)}
}

// reckon adds up what ended trades moved, with the energy that truly flowed.
func (g *grid) reckon(state *ledger.State, moves []ledger.Move) *reckoning {
	k := newReckoning()
	money := make(map[string]map[string]int64) // by trade and participant
	for _, m := range moves {
		if _, ofSlot := ledger.SlotOf(m.Trade); m.Trade == "" || ofSlot && m.What == ledger.MoveLot {
			continue // a bid's escrow becomes that of its trade: it costs nothing yet
		}
		if money[m.Trade] == nil {
			money[m.Trade] = make(map[string]int64)
		}
		money[m.Trade][m.Who] += m.WalletMicro + m.EscrowMicro + m.BondMicro
	}
	waiting := g.accused(state)
	for _, t := range state.Trades(func(t *ledger.Trade) bool { return t.Seller != "" }) {
		if _, due := waiting[t.ID]; due || !t.Ended() {
			k.open[t.Seller]++
			k.open[t.Buyer]++
			continue
		}
		g.add(k, &t, money[t.ID], &g.community.Genesis.Params)
	}
	return k
}

// add reckons one trade that has ended, by what it moved for each side.
func (g *grid) add(k *reckoning, t *ledger.Trade, money map[string]int64, p *ledger.Params) {
	sold, _, _ := g.world.delivered(t.ID)
	if _, ok := ledger.SlotOf(t.ID); ok {
		// countSlots holds it against what flowed. What no buyer drew its seller's supplier takes.
		sold = float64(min(t.BilledWh, t.BuyerMeteredWh))
	}
	worth := int64(math.Round(sold * float64(t.PriceMicroPerKWh) / 1000))
	least := worthlessWh(max(sold, float64(t.BilledWh)), p)*t.PriceMicroPerKWh/1000 + 1
	for _, side := range []struct {
		id, other string
		worth     int64
	}{{t.Seller, t.Buyer, -worth}, {t.Buyer, t.Seller, worth}} {
		net := money[side.id] + side.worth
		if net <= least && net >= -least {
			net = 0
		}
		k.trades[side.id]++
		c, own := g.culprit(side.other), g.culprit(side.id)
		if c == nil || own == nil || c.kind == own.kind {
			k.net[side.id] += net
		}
		if c != nil && own == nil {
			if k.by[c.kind] == nil {
				k.by[c.kind] = make(map[string]int64)
			}
			k.by[c.kind][side.id] += net
		}
	}
}

// countHarm reports who gained and who lost.
func (g *grid) countHarm(r *Report, state *ledger.State, counts *tally) {
	k := g.reckon(state, counts.moves)
	for _, kind := range crimes {
		if !g.cfg.misbehaves(kind.kind) {
			continue
		}
		out := Culprit{Kind: kind.kind, What: kind.what, CreditE6: math.MinInt64}
		for _, c := range g.culprits {
			if c.kind != kind.kind {
				continue
			}
			if out.ID == "" || c.seller && !c.idle {
				out.ID = c.id
			}
			a, _ := state.Account(c.id)
			out.GainMicro += k.net[c.id]
			out.Trades = max(out.Trades, k.trades[c.id])
			out.Open = max(out.Open, k.open[c.id])
			out.Barred = out.Barred || a.Blacklisted
			out.CreditE6 = max(out.CreditE6, a.CreditE6)
		}
		first := true
		for _, net := range k.by[kind.kind] {
			if first || -net > out.LossMicro {
				out.LossMicro, first = -net, false
			}
		}
		r.Culprits = append(r.Culprits, out)
	}
	for _, p := range g.people {
		a, _ := state.Account(p.id)
		r.Honest = append(r.Honest, Honest{
			ID: p.id, Trades: k.trades[p.id], NetMicro: k.net[p.id], LossMicro: max(0, -k.net[p.id]), Fined: counts.fined[p.id],
			Barred: a.Blacklisted, CreditE6: a.CreditE6, Open: k.open[p.id],
		})
	}
	r.Payments, r.Excused = counts.payments(g), counts.excused
	g.countBroken(r, counts)
	for _, t := range state.Trades(func(t *ledger.Trade) bool { return t.Seller == "" && t.Status == wire.StatusRefunded }) {
		switch {
		case g.culprit(t.Buyer) != nil:
		case t.Reason == ledger.ReasonGivenBack:
			r.Payments.TokensGivenBack++
		default:
			r.Payments.UnusedTokens++
		}
	}
}

// countBroken reports the promises of honest participants that count as broken, and whose
// trades did that.
func (g *grid) countBroken(r *Report, counts *tally) {
	for _, b := range counts.broken {
		if g.culprit(b.Who) != nil {
			continue
		}
		r.Broken = append(r.Broken, b)
		for i, c := range r.Culprits {
			if liar := g.culprit(b.Other); liar != nil && liar.kind == c.Kind {
				r.Culprits[i].BrokenHonest++
			}
		}
	}
	r.BrokenCleared = counts.cleared
}

// note counts what a block did to promises and payments.
func (t *tally) note(staged *ledger.Staged) {
	t.hear(staged.Steps())
	records := staged.Records()
	for i, o := range staged.Outcomes() {
		t.noteSlots(records[i].Record, o)
		if p := records[i].Record; p.GetPay() != nil {
			t.pays = append(t.pays, payment{p.GetSender(), o})
		}
	}
}

// hear counts what a block did to promises.
func (t *tally) hear(steps []ledger.Step) {
	for _, s := range steps {
		switch s.Kind {
		case ledger.StepBroke:
			t.broken = append(t.broken, Broken{Who: s.Who, Other: s.Other, Trade: s.Trade, Why: s.Text})
		case ledger.StepRestored:
			t.cleared++
			t.broken = slices.DeleteFunc(t.broken, func(b Broken) bool { return b.Who == s.Who && b.Trade == s.Trade })
		case ledger.StepFined:
			t.fined[s.Who]++
		case ledger.StepExcused:
			why := s.Text
			if s.GateSeq > 0 { // each has a number of its own
				why = "a gate change of the chain"
			}
			t.excused[why]++
		}
	}
}

// A payment is a Pay and what became of it.
type payment struct {
	by      string
	outcome *fairwattpb.Outcome
}

func (t *tally) payments(g *grid) Payments {
	out := Payments{Codes: make(map[string]int)}
	for _, p := range t.pays {
		if g.culprit(p.by) != nil {
			continue
		}
		if out.Sent++; !p.outcome.GetApplied() {
			out.Refused++
			out.Codes[p.outcome.GetCode()]++
		}
	}
	return out
}

// Market tells in lines for people who gained and who lost, in currency units.
func (r *Report) Market() string {
	var b strings.Builder
	units := func(micro int64) string { return fmt.Sprintf("%.3f", float64(micro)/1e6) }
	barred := func(b bool) string {
		if b {
			return "barred"
		}
		return ""
	}
	if r.Slots != nil {
		b.WriteString(r.Slots.String())
	}
	fmt.Fprintf(&b, "settlement %s, credit %s\n", r.Settlement, r.Credit)
	if len(r.Culprits) > 0 {
		fmt.Fprintf(&b, "%-16s %7s %9s %13s %6s %-7s %s\n", "culprit", "trades", "gains", "honest loses", "broken", "", "what it does")
	}
	for _, c := range r.Culprits {
		fmt.Fprintf(&b, "%-16s %7d %9s %13s %6d %-7s %s\n", c.Kind, c.Trades, units(c.GainMicro), units(max(0, c.LossMicro)), c.BrokenHonest, barred(c.Barred), c.What)
	}
	fmt.Fprintf(&b, "%-16s %7s %9s %13s\n", "honest", "trades", "gains", "loses")
	for _, h := range r.Honest {
		fmt.Fprintf(&b, "%-16s %7d %9s %13s %-7s\n", h.ID, h.Trades, units(max(0, h.NetMicro)), units(h.LossMicro), barred(h.Barred))
	}
	fmt.Fprintf(&b, "%d payments by honest buyers, %d refused; %d Tokens unused, %d given back; %d promises of honest participants broken, %d given back by verdicts, %d trades disputed\n",
		r.Payments.Sent, r.Payments.Refused, r.Payments.UnusedTokens, r.Payments.TokensGivenBack, len(r.Broken), r.BrokenCleared, r.Trades.Disputed)
	return b.String()
}
