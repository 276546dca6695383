package ledger

import (
	"encoding/hex"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Money says how money comes onto a chain and leaves it, and what of a trade's price goes
// elsewhere. A chain without it credits deposits at once and lets none out, as chains did
// before there was a choice.
type Money struct {
	// Auditors are the second key: what a centre says of money takes effect when one of
	// them approves. No centre is one.
	Auditors []Arbiter `json:"auditors"`
	// ApprovalMs is how long a deposit waits for an approval; PayoutMs how long a
	// withdrawal waits for the bank before the money comes back.
	ApprovalMs int64 `json:"approval_ms"`
	PayoutMs   int64 `json:"payout_ms"`
	// DayMicro is the most that is credited in one day of block time, UTC.
	DayMicro int64 `json:"day_micro"`
	// Of the price of a delivery the seller pays a fee for the grid, by the energy: for
	// one within a site, and for one between two sites; and LevyE4 of the price, in 1e-4,
	// into the fund.
	FeeMicroPerKWh        int64 `json:"fee_micro_per_kwh,omitempty"`
	FeeBetweenMicroPerKWh int64 `json:"fee_between_micro_per_kwh,omitempty"`
	LevyE4                int64 `json:"levy_e4,omitempty"`
}

// DefaultMoney returns what `aggregator mc init` starts from: no fees.
func DefaultMoney() Money {
	const day = 24 * 3_600_000
	return Money{ApprovalMs: day, PayoutMs: 14 * day, DayMicro: 1_000_000_000_000}
}

func (g *Genesis) validateMoney(seen map[string]bool) error {
	m := g.Money
	if m == nil {
		return nil
	}
	if !g.Params.robust() {
		return fmt.Errorf("money: two keys go with credit %q, not %q", CreditRobust, g.Params.Credit)
	}
	if n := len(m.Auditors); n < 1 || n > 16 {
		return fmt.Errorf("money.auditors: %d of them, want 1 to 16", n)
	}
	for i, a := range m.Auditors {
		if err := validateIdentity(seen, a.ID, a.PublicKey); err != nil {
			return fmt.Errorf("money.auditors[%d]: %w", i, err)
		}
	}
	const year = 366 * 24 * 3_600_000
	l := &limits{}
	l.between("money.approval_ms", m.ApprovalMs, 1, year)
	l.between("money.payout_ms", m.PayoutMs, 1, year)
	l.between("money.day_micro", m.DayMicro, 1, MaxMoneyMicro)
	l.between("money.fee_micro_per_kwh", m.FeeMicroPerKWh, 0, MaxPriceMicroPerKWh)
	l.between("money.fee_between_micro_per_kwh", m.FeeBetweenMicroPerKWh, 0, MaxPriceMicroPerKWh)
	l.between("money.levy_e4", m.LevyE4, 0, 5_000)
	return l.err
}

// The statuses of a deposit under two keys.
const (
	depositWaits = iota + 1
	depositCredited
	depositContested // its reversal waits for an approval
	depositReversed
)

// An inflow is a deposit under two keys.
type inflow struct {
	To          string
	AmountMicro int64
	Bond        bool
	Status      uint32
	UntilMs     int64 // while it waits
}

func (d *inflow) fields(c codec) {
	c.str("to", &d.To)
	c.i64("amount_micro", &d.AmountMicro)
	c.flag("bond", &d.Bond)
	c.u32("status", &d.Status)
	c.i64("until_ms", &d.UntilMs)
}

// The statuses of a withdrawal.
const (
	outWaits = iota + 1
	outApproved
	outPaid
)

// An outflow is a withdrawal. What it holds is in no wallet.
type outflow struct {
	AmountMicro int64
	PayeeHash   string
	Status      uint32
	UntilMs     int64 // while it is not paid
	Fees        bool  // of the grid's fees, not of a wallet
}

func (o *outflow) fields(c codec) {
	c.i64("amount_micro", &o.AmountMicro)
	c.str("payee_hash", &o.PayeeHash)
	c.u32("status", &o.Status)
	c.i64("until_ms", &o.UntilMs)
	c.flag("fees", &o.Fees)
}

// heldMicro is what a withdrawal holds.
func (o *outflow) heldMicro() int64 {
	if o.Status == outPaid {
		return 0
	}
	return o.AmountMicro
}

// ofMoney tells whether a record is about money under two keys.
func ofMoney(r *fairwattpb.Record) bool {
	switch r.Body.(type) {
	case *fairwattpb.Record_Approval, *fairwattpb.Record_Reversal, *fairwattpb.Record_Withdrawal, *fairwattpb.Record_Payout:
		return true
	}
	return false
}

func (l *limits) money(r *fairwattpb.Record) {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Approval:
		if b.Approval.Deposit != "" {
			l.id("deposit", b.Approval.Deposit)
			l.check(b.Approval.Member == "" && b.Approval.WithdrawalId == "", "member", "none beside a deposit")
			return
		}
		l.name("member", b.Approval.Member)
		l.id("withdrawal_id", b.Approval.WithdrawalId)
	case *fairwattpb.Record_Reversal:
		l.id("deposit", b.Reversal.Deposit)
		l.text("reason", b.Reversal.Reason)
	case *fairwattpb.Record_Withdrawal:
		l.id("withdrawal_id", b.Withdrawal.WithdrawalId)
		l.between("amount_micro", b.Withdrawal.AmountMicro, 1, MaxMoneyMicro)
		l.check(len(b.Withdrawal.PayeeHash) == 32, "payee_hash", "32 bytes")
		l.memberOrNone(b.Withdrawal.Member)
	case *fairwattpb.Record_Payout:
		l.name("member", b.Payout.Member)
		l.id("withdrawal_id", b.Payout.WithdrawalId)
		l.id("bank_reference", b.Payout.BankReference)
	default:
		l.keys(r)
	}
}

func referenceKey(reference string) string {
	return keyReference + hex.EncodeToString([]byte(reference))
}

// announce lets a deposit wait for an approval. Without one its reference is free again.
func (x *execution) announce(d *fairwattpb.Deposit) {
	in := inflow{To: d.To, AmountMicro: d.AmountMicro, Bond: d.Bond, Status: depositWaits, UntilMs: x.timeMs + x.state.genesis.Money.ApprovalMs}
	x.put(referenceKey(d.Reference), &in)
	x.putBytes(deadlineKey(in.UntilMs, dueDeposit, d.Reference), nil)
	x.tell(d.To, nil)
}

// lapse forgets a deposit that no one approved.
func (x *execution) lapse(reference string, deadlineMs int64) {
	var in inflow
	if x.get(referenceKey(reference), &in) && in.Status == depositWaits && in.UntilMs == deadlineMs {
		x.remove(referenceKey(reference))
	}
}

// approve is the second key.
func (x *execution) approve(a *fairwattpb.Approval) *Refusal {
	if a.Deposit == "" {
		return x.approveOut(a)
	}
	var in inflow
	known := x.get(referenceKey(a.Deposit), &in)
	switch {
	case known && in.Status == depositContested:
		return x.reverse(a.Deposit, &in)
	case !known || in.Status != depositWaits || x.ranOut(in.UntilMs):
		return refuse(wire.CodeDepositWrong, "deposit: nothing waits for an approval under %q", a.Deposit)
	}
	if r := x.withinDay(in.AmountMicro); r != nil {
		return r
	}
	if net := x.meta.DepositedMicro - x.meta.ReversedMicro - x.meta.PaidOutMicro; in.AmountMicro > MaxMoneyMicro-net || in.AmountMicro > maxInflowMicro-x.meta.DepositedMicro {
		return refuse(wire.CodeMoneyLimit, "%d micro more than the %d on the chain would pass the limit", in.AmountMicro, net)
	}
	x.remove(deadlineKey(in.UntilMs, dueDeposit, a.Deposit))
	in.Status, in.UntilMs = depositCredited, 0
	x.put(referenceKey(a.Deposit), &in)
	x.credit(in.To, in.AmountMicro, in.Bond, a.Deposit)
	x.tell(in.To, nil)
	return nil
}

// maxInflowMicro bounds all that was ever deposited, so that no sum leaves 64 bits.
const maxInflowMicro = 4 * MaxMoneyMicro

// withinDay keeps what is credited in a day within its bound.
func (x *execution) withinDay(amountMicro int64) *Refusal {
	if day := x.timeMs / 86_400_000; day != x.meta.Day {
		x.meta.Day, x.meta.DayMicro = day, 0
	}
	if most := x.state.genesis.Money.DayMicro; amountMicro > most-x.meta.DayMicro {
		return refuse(wire.CodeDayLimit, "%d micro were credited today, and %d more would pass the %d of a day: approve it tomorrow", x.meta.DayMicro, amountMicro, most)
	}
	x.meta.DayMicro += amountMicro
	return nil
}

// contest asks for a deposit to be taken back.
func (x *execution) contest(r *fairwattpb.Reversal) *Refusal {
	var in inflow
	if !x.get(referenceKey(r.Deposit), &in) || in.Status != depositCredited {
		return refuse(wire.CodeDepositWrong, "deposit: none was credited under %q that is not reversed", r.Deposit)
	}
	in.Status = depositContested
	x.put(referenceKey(r.Deposit), &in)
	x.tell(in.To, nil)
	return nil
}

// reverse takes a deposit back, out of where it went.
func (x *execution) reverse(reference string, in *inflow) *Refusal {
	a := x.faded(in.To)
	has := &a.WalletMicro
	if in.Bond {
		has = &a.BondMicro
	}
	if *has < in.AmountMicro {
		return refuse(wire.CodeInsufficientFunds, "deposit: %q has %d micro left of %d where it went", in.To, *has, in.AmountMicro)
	}
	*has -= in.AmountMicro
	m := Move{Who: in.To, What: MoveReversed, WalletMicro: -in.AmountMicro}
	if in.Bond {
		a.FreshMicro = min(a.FreshMicro, a.BondMicro)
		if limit := x.params.ExposureLimitMicro(&a); a.ExposureMicro > limit {
			return refuse(wire.CodeBondWrong, "deposit: %q has promised %d micro, and what is left of its bond would bear %d", in.To, a.ExposureMicro, limit)
		}
		m.WalletMicro, m.BondMicro = 0, -in.AmountMicro
	}
	x.put(keyAccount+in.To, &a)
	x.meta.WalletsMicro += m.WalletMicro
	x.meta.BondsMicro += m.BondMicro
	x.meta.ReversedMicro += in.AmountMicro
	x.move(m)
	in.Status = depositReversed
	x.put(referenceKey(reference), in)
	x.tell(in.To, nil)
	return nil
}

func outKey(member, id string) string { return keyWithdrawal + member + "/" + id }

// withdraws puts money on its way to the bank: a member's of its wallet, a centre's of the
// fees for the grid, or of the wallet of a member that can send no record any more.
func (x *execution) withdraws(sender string, w *fairwattpb.Withdrawal) *Refusal {
	if w.Member != "" {
		if r := x.isRevoked(w.Member); r != nil {
			return r
		}
		sender = w.Member
	}
	if r := x.isPayee(sender, string(w.PayeeHash)); r != nil {
		return r
	}
	if _, used := x.bytes(outKey(sender, w.WithdrawalId)); used {
		return refuse(wire.CodeWithdrawalWrong, "withdrawal_id: %q was used before by %q", w.WithdrawalId, sender)
	}
	out := outflow{AmountMicro: w.AmountMicro, PayeeHash: string(w.PayeeHash), Status: outWaits, UntilMs: x.timeMs + x.state.genesis.Money.PayoutMs}
	a, member := x.account(sender)
	switch {
	case member && a.WalletMicro < w.AmountMicro:
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, the wallet of %q holds %d", w.AmountMicro, sender, a.WalletMicro)
	case member:
		a.WalletMicro -= w.AmountMicro
		x.put(keyAccount+sender, &a)
		x.meta.WalletsMicro -= w.AmountMicro
		x.move(Move{Who: sender, What: MoveWithdrawn, WalletMicro: -w.AmountMicro, OutMicro: w.AmountMicro})
	case x.meta.FeesMicro < w.AmountMicro:
		return refuse(wire.CodeInsufficientFunds, "amount_micro: %d, there are %d in fees", w.AmountMicro, x.meta.FeesMicro)
	default:
		x.meta.FeesMicro -= w.AmountMicro
		out.Fees = true
	}
	x.meta.OutMicro += w.AmountMicro
	x.put(outKey(sender, w.WithdrawalId), &out)
	x.putBytes(deadlineKey(out.UntilMs, dueWithdrawal, sender+"/"+w.WithdrawalId), nil)
	return nil
}

// approveOut lets the centre pay a withdrawal.
func (x *execution) approveOut(a *fairwattpb.Approval) *Refusal {
	var out outflow
	if !x.get(outKey(a.Member, a.WithdrawalId), &out) || out.Status != outWaits || x.ranOut(out.UntilMs) {
		return refuse(wire.CodeWithdrawalWrong, "withdrawal_id: no %q of %q waits for an approval", a.WithdrawalId, a.Member)
	}
	out.Status = outApproved
	x.put(outKey(a.Member, a.WithdrawalId), &out)
	x.tellMember(a.Member)
	return nil
}

// paidOut takes money off the chain that the bank has paid.
func (x *execution) paidOut(p *fairwattpb.Payout) *Refusal {
	var out outflow
	key := outKey(p.Member, p.WithdrawalId)
	if !x.get(key, &out) || out.Status != outApproved || x.ranOut(out.UntilMs) {
		return refuse(wire.CodeWithdrawalWrong, "withdrawal_id: no %q of %q is approved and not paid", p.WithdrawalId, p.Member)
	}
	x.remove(deadlineKey(out.UntilMs, dueWithdrawal, p.Member+"/"+p.WithdrawalId))
	out.Status, out.UntilMs = outPaid, 0
	x.put(key, &out)
	x.meta.OutMicro -= out.AmountMicro
	x.meta.PaidOutMicro += out.AmountMicro
	if !out.Fees {
		x.move(Move{Who: p.Member, What: MovePaidOut, OutMicro: -out.AmountMicro, Text: p.BankReference})
	}
	x.tellMember(p.Member)
	return nil
}

// comesBack gives back what no bank has paid in time.
func (x *execution) comesBack(id string, deadlineMs int64) {
	var out outflow
	if !x.get(keyWithdrawal+id, &out) || out.UntilMs != deadlineMs || out.Status == outPaid {
		return
	}
	x.remove(keyWithdrawal + id)
	x.meta.OutMicro -= out.AmountMicro
	if out.Fees {
		x.meta.FeesMicro += out.AmountMicro
		return
	}
	member := id
	for i := range id {
		if id[i] == '/' {
			member = id[:i]
			break
		}
	}
	x.toWallet(out.AmountMicro, Move{Who: member, What: MoveWithdrawalBack, OutMicro: -out.AmountMicro})
}

// tellMember shows a record to a member; a centre follows the chain itself.
func (x *execution) tellMember(id string) {
	if _, ok := x.account(id); ok {
		x.tellOf(id)
	}
}

// fees says what of the price of a delivery goes to the grid and into the fund.
func (x *execution) fees(t *Trade, amountMicro, energyWh int64) (feeMicro, levyMicro int64) {
	m := x.state.genesis.Money
	if m == nil {
		return 0, 0
	}
	rate := m.FeeMicroPerKWh
	var seller, buyer Participant
	if x.get(keyParticipant+t.Seller, &seller) && x.get(keyParticipant+t.Buyer, &buyer) && seller.Site != buyer.Site {
		rate = m.FeeBetweenMicroPerKWh
	}
	feeMicro = min(amountMicro, mulDiv(energyWh, rate, 1000))
	return feeMicro, min(amountMicro-feeMicro, mulDiv(amountMicro, m.LevyE4, 10_000))
}

// auditor stands for every auditor in the check.
var auditor = &Participant{Auditor: true}

// second adds the auditors' keys to those that a state knows.
func (s *State) second(g *Genesis) (err error) {
	if g.Money == nil {
		return nil
	}
	s.auditors = make(map[string]bool, len(g.Money.Auditors))
	for _, a := range g.Money.Auditors {
		s.auditors[a.ID] = true
		if s.arbiters[a.ID], err = seal.ParseKey(string(a.PublicKey)); err != nil {
			return err
		}
	}
	return nil
}
