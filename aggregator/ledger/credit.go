package ledger

import (
	"fmt"
	"math/bits"
)

// The ways in which promises make credit.
const (
	// CreditFirst is that of chains made before there was a choice: the paper's
	// formula 8.
	CreditFirst = ""
	// CreditPaper is the same, chosen by name.
	CreditPaper = "paper"
	// CreditRobust: credit is a share of kept energy that forgets, that only a bond can
	// vouch for, and that bounds what a participant may promise.
	CreditRobust = "robust"
)

const (
	creditE6 = 1_000_000
	// lossWeight is how much heavier a Wh that was promised and not delivered weighs
	// than one that was.
	lossWeight = 5
	// Of good and bad, nine tenths are left after each period.
	fadeOf, fadeTo = 10, 9
	// After so many periods nothing is left of 1 PWh.
	fadeMost = 400
	// maxListings is how often the time on the list doubles.
	maxListings = 6
)

// A RobustCredit are the numbers of [CreditRobust]; they are left out of a genesis with
// another credit.
type RobustCredit struct {
	// CreditPriorWh is what a newcomer counts as good, and as bad: credit is
	// (good + prior) / (good + bad + 2 prior).
	CreditPriorWh int64 `json:"credit_prior_wh,omitempty"`
	// CreditPeriodMs is how long a tenth of good and bad takes to be forgotten, and how
	// long a vouching budget lasts.
	CreditPeriodMs int64 `json:"credit_period_ms,omitempty"`
	// VouchWh is the credit that one unit of a bond vouches for in a period.
	VouchWh int64 `json:"vouch_wh_per_unit,omitempty"`
	// TradeCapWh bounds what one trade adds, PairCapWh what two participants add to
	// each other in a period.
	TradeCapWh int64 `json:"trade_cap_wh,omitempty"`
	PairCapWh  int64 `json:"pair_cap_wh,omitempty"`
	// ChargeE4 is the part of a gap between two meters that is charged to both bonds;
	// FineE4 the part of what was promised and not delivered that the seller pays the
	// buyer. Open promises are at most bond times credit divided by ChargeE4, so that a
	// bond bears both, whatever happens.
	ChargeE4 int64 `json:"charge_e4,omitempty"`
	FineE4   int64 `json:"fine_e4,omitempty"`
	// ListBelowE6 is the credit below which a fault puts its participant on the list,
	// for ListMs, and each further time for twice as long.
	ListBelowE6 int64 `json:"list_below_e6,omitempty"`
	ListMs      int64 `json:"list_ms,omitempty"`
	// VerdictMs is how long after a trade's end it may be appealed, how long arbiters have
	// then, and how long a bond that was asked back may still be charged.
	VerdictMs int64 `json:"verdict_ms,omitempty"`
	// VerdictClears: a verdict gives whom it clears its credit back, too. Chains made before
	// go on without.
	VerdictClears bool `json:"verdict_clears,omitempty"`
}

func defaultRobust() RobustCredit {
	const day = 24 * 3_600_000
	return RobustCredit{
		CreditPriorWh: 10_000, CreditPeriodMs: 30 * day, VouchWh: 10_000, TradeCapWh: 20_000, PairCapWh: 50_000,
		ChargeE4: 2_500, FineE4: 2_000, ListBelowE6: 300_000, ListMs: 30 * day, VerdictMs: 14 * day,
		VerdictClears: true,
	}
}

// WithCredit returns the parameters with another credit, and the numbers that belong
// to it.
func (p Params) WithCredit(mode string) Params {
	p.Credit, p.RobustCredit = mode, RobustCredit{}
	if mode == CreditRobust {
		p.RobustCredit = defaultRobust()
	} else {
		p = p.WithExcuses(ExcusesFirst)
	}
	return p
}

func (p *Params) robust() bool { return p.Credit == CreditRobust }

func (p *Params) validateCredit(year int64) error {
	switch p.Credit {
	case CreditFirst, CreditPaper:
		if p.RobustCredit != (RobustCredit{}) {
			return fmt.Errorf("credit: %q, and numbers that belong to %q", p.Credit, CreditRobust)
		}
		if p.Credit == CreditPaper && p.Settlement == SettleFirst {
			return fmt.Errorf("credit: %q, want none with the first rules", p.Credit)
		}
		return nil
	case CreditRobust:
	default:
		return fmt.Errorf("credit: %.60q, want %q or %q", p.Credit, CreditRobust, CreditPaper)
	}
	if !p.byMeters() {
		return fmt.Errorf("credit: %q needs settlement %q, not %q", p.Credit, SettleByMeters, p.Settlement)
	}
	for _, c := range []struct {
		name           string
		value, low, up int64
	}{
		{"credit_prior_wh", p.CreditPriorWh, 1, MaxEnergyWh},
		{"credit_period_ms", p.CreditPeriodMs, 1, year},
		{"vouch_wh_per_unit", p.VouchWh, 0, MaxEnergyWh},
		{"trade_cap_wh", p.TradeCapWh, 1, MaxEnergyWh},
		{"pair_cap_wh", p.PairCapWh, 1, MaxEnergyWh},
		{"charge_e4", p.ChargeE4, 1, 10_000},
		{"fine_e4", p.FineE4, 0, p.ChargeE4},
		{"list_below_e6", p.ListBelowE6, 0, creditE6},
		{"list_ms", p.ListMs, 1, year},
		{"verdict_ms", p.VerdictMs, 1, year},
	} {
		if c.value < c.low || c.value > c.up {
			return fmt.Errorf("%s: %d, want %d to %d", c.name, c.value, c.low, c.up)
		}
	}
	return nil
}

// CreditOf is the robust credit in 1e-6 of so much that was kept, and five times as
// much as was not.
func (p *Params) CreditOf(goodWh, badWh int64) int64 {
	return mulDiv(goodWh+p.CreditPriorWh, creditE6, goodWh+badWh+2*p.CreditPriorWh)
}

// mulDiv returns a * b / c, rounded down; the product may pass 64 bits, the result
// not.
func mulDiv(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(high, low, uint64(c))
	return int64(min(q, 1<<63-1))
}

// newAccount is the account of a participant that has done nothing yet.
func (p *Params) newAccount() Account {
	if p.robust() {
		return Account{CreditE6: p.CreditOf(0, 0)}
	}
	return Account{CreditE6: p.CreditStartE6}
}

// period numbers the spans of credit_period_ms from 1.
func (g *Genesis) period(timeMs int64) int64 {
	return (timeMs-g.CreatedMs)/g.Params.CreditPeriodMs + 1
}

// fade brings an account into a period: what was good and bad is forgotten by a tenth
// in each one that has passed, and the vouching budget begins again.
func (p *Params) fade(a *Account, period int64) {
	if period <= a.Period {
		return
	}
	for range min(period-a.Period, fadeMost) {
		a.GoodWh, a.BadWh = a.GoodWh*fadeTo/fadeOf, a.BadWh*fadeTo/fadeOf
	}
	a.Period, a.VouchedWh, a.FreshMicro = period, 0, 0
	a.CreditE6 = p.CreditOf(a.GoodWh, a.BadWh)
}

// faded is an account in the present period.
func (x *execution) faded(id string) Account {
	a, ok := x.account(id)
	if !ok {
		return a
	}
	was, period := a, x.state.genesis.period(x.timeMs)
	x.params.fade(&a, period)
	if was.GoodWh+was.BadWh > 0 && was.Period != period {
		x.step(Step{Who: id, Kind: StepForgot, GoodWh: a.GoodWh - was.GoodWh, BadWh: a.BadWh - was.BadWh, CreditE6: a.CreditE6})
		x.put(keyAccount+id, &a)
	}
	return a
}

// VouchBudgetWh is the credit that an account may vouch for in its period: what was in
// its bond when the period began, or was deposited there since. What is bonded out of a
// wallet counts from the next period on, so a unit of money vouches once in a period, in
// whose hands it may be; all names of one person together gain no more from each other
// than their money vouches for. What a participant earned is not passed on: a ring could pass it round.
func (p *Params) VouchBudgetWh(a *Account) int64 {
	return mulDiv(max(0, a.BondMicro-a.FreshMicro), p.VouchWh, 1_000_000)
}

// A pair is what two participants have added to each other's credit in a period.
type pair struct {
	Period  int64
	AddedWh int64
}

func (p *pair) fields(c codec) {
	c.i64("period", &p.Period)
	c.i64("added_wh", &p.AddedWh)
}

func pairKey(a, b string) string { return keyPair + min(a, b) + "/" + max(a, b) }

// gain adds energy that was kept to id's credit, as far as the other side can vouch
// for it.
func (x *execution) gain(id, voucher string, t *Trade, energyWh int64) {
	if energyWh < creditSteps*x.params.RegisterStepWh {
		return
	}
	v := x.faded(voucher)
	a := x.faded(id)
	key, p := pairKey(id, voucher), pair{}
	if x.get(key, &p); p.Period != a.Period {
		p = pair{Period: a.Period}
	}
	gain := min(energyWh, x.params.TradeCapWh, x.params.PairCapWh-p.AddedWh, x.params.VouchBudgetWh(&v)-v.VouchedWh)
	a.Kept++
	if gain > 0 {
		v.VouchedWh += gain
		p.AddedWh += gain
		a.GoodWh += gain
		a.CreditE6 = x.params.CreditOf(a.GoodWh, a.BadWh)
		x.put(keyAccount+voucher, &v)
		x.put(key, &p)
	}
	x.put(keyAccount+id, &a)
	x.step(Step{Who: id, Other: voucher, Kind: StepKept, Trade: t.ID, GoodWh: max(0, gain), CreditE6: a.CreditE6})
}

// lose takes a promise that was not kept. A grave one, in which the participant left
// its part undone or lied, may put it on the list; energy that was missing, and said to
// be, never does by itself.
func (x *execution) lose(id string, t *Trade, missingWh int64, grave bool, why string) {
	a := x.faded(id)
	before, bad := a.BadWh, lossWeight*min(missingWh, x.params.TradeCapWh)
	a.Broken++
	a.BadWh = min(a.BadWh+bad, MaxRegisterWh)
	a.CreditE6 = x.params.CreditOf(a.GoodWh, a.BadWh)
	x.put(keyAccount+id, &a)
	x.step(Step{Who: id, Other: t.other(id), Kind: StepBroke, Trade: t.ID, BadWh: bad, CreditE6: a.CreditE6, Text: why})
	x.notes(id, t, func(l *loss) { l.BadWh, l.Period = a.BadWh-before, a.Period })
	if grave && a.CreditE6 < x.params.ListBelowE6 {
		x.list(id, t, why)
	}
}

// A Listing says that a participant may not trade, why, and until when.
type Listing struct {
	ID      string
	Trade   string
	Reason  string
	SinceMs int64
	UntilMs int64 // 0: for ever
}

func (l *Listing) fields(c codec) {
	c.str("id", &l.ID)
	c.str("trade", &l.Trade)
	c.str("reason", &l.Reason)
	c.i64("since_ms", &l.SinceMs)
	c.i64("until_ms", &l.UntilMs)
}

// listMs is how long a listing lasts that has so many before it.
func (p *Params) listMs(before uint64) int64 { return p.ListMs << min(before, maxListings) }

// list puts a participant on the list; running trades finish.
func (x *execution) list(id string, t *Trade, why string) {
	a := x.faded(id)
	var was Listing
	if a.Blacklisted {
		x.get(keyListed+id, &was)
		x.remove(deadlineKey(a.ListedUntilMs, dueListing, id))
	}
	x.notes(id, t, func(l *loss) { l.Listed, l.Was = true, was })
	a.ListedUntilMs = x.timeMs + x.params.listMs(a.Listings)
	a.Blacklisted = true
	a.Listings++
	x.put(keyAccount+id, &a)
	x.putBytes(deadlineKey(a.ListedUntilMs, dueListing, id), nil)
	l := Listing{ID: id, Trade: t.ID, Reason: why, SinceMs: x.timeMs, UntilMs: a.ListedUntilMs}
	x.put(keyListed+id, &l)
	x.meta.ListVersion++
	x.step(Step{Who: id, Kind: StepListed, Trade: t.ID, CreditE6: a.CreditE6, UntilMs: a.ListedUntilMs, Text: why})
	x.tellOf(id)
}

// unlist is the way back: the time is over. Fines that are due keep their participant
// from trading until they are paid, on the list or not, and without a bond it may
// promise nothing.
func (x *execution) unlist(id string, deadlineMs int64) {
	a := x.faded(id)
	if !a.Blacklisted || a.ListedUntilMs != deadlineMs {
		return
	}
	a.Blacklisted = false
	x.put(keyAccount+id, &a)
	x.remove(keyListed + id)
	x.meta.ListVersion++
	x.step(Step{Who: id, Kind: StepBack, CreditE6: a.CreditE6})
	x.tellOf(id)
}
