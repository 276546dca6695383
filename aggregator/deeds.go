package aggregator

import (
	"context"
	"log/slog"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
)

const (
	// newsFor is how old a block may be whose deeds are news. Those of blocks that are
	// fetched later, after a stop or a lost disk, are logged at debug.
	newsFor = 5 * time.Minute
	// maxDeeds bounds the lines of one block; one more counts the others.
	maxDeeds = 64
)

// logDeeds logs what a block did to trades and to who takes part: a line each.
func (d *DA) logDeeds(st *ledger.Staged) {
	level := slog.LevelInfo
	if d.deps.Now().UnixMilli()-st.Header().GetTimeMs() > newsFor.Milliseconds() {
		level = slog.LevelDebug
	}
	if !d.log.Enabled(context.Background(), level) {
		return
	}
	lines, left := 0, 0
	say := func(what string, args ...any) {
		if lines == maxDeeds {
			left++
			return
		}
		lines++
		d.log.Log(context.Background(), level, what, append(args, "height", st.Header().GetHeight())...)
	}
	for i, c := range st.Records() {
		if !st.Outcomes()[i].GetApplied() {
			continue
		}
		if what, args := admission(c.Record); what != "" {
			say(what, append(args, "by", c.Record.GetSender())...)
		}
	}
	told := make(map[string]bool) // both sides are told of one change
	for _, n := range st.Notices() {
		t := n.Trade
		if t == nil || told[t.GetTradeId()+"/"+t.GetStatus()] {
			continue
		}
		told[t.GetTradeId()+"/"+t.GetStatus()] = true
		args := []any{"trade", t.GetTradeId(), "status", t.GetStatus()}
		if now, ok := d.state.Trade(t.GetTradeId()); ok {
			args = append(args, "seller", now.Seller, "buyer", now.Buyer)
		}
		if t.GetPaidMicro() != 0 || t.GetReturnedMicro() != 0 {
			args = append(args, "paid_micro", t.GetPaidMicro(), "returned_micro", t.GetReturnedMicro())
		}
		if t.GetReason() != "" {
			args = append(args, "reason", brief.Text(t.GetReason()))
		}
		say("trade", args...)
	}
	if left > 0 {
		d.log.Log(context.Background(), level, "more deeds of this block are not logged", "count", left, "height", st.Header().GetHeight())
	}
}

// admission says what a record changes in who takes part and with what: an empty text
// for a record that changes nothing of it.
func admission(r *fairwattpb.Record) (what string, args []any) {
	switch b := r.GetBody().(type) {
	case *fairwattpb.Record_Registration:
		return "participant registered", []any{"id", b.Registration.GetId(), "site", b.Registration.GetSite()}
	case *fairwattpb.Record_MeterRegistration:
		return "meter registered", []any{"meter", b.MeterRegistration.GetMeter(), "owner", b.MeterRegistration.GetOwner()}
	case *fairwattpb.Record_MeterChange:
		return "meter changed", []any{"meter", b.MeterChange.GetOld(), "new", b.MeterChange.GetNew().GetMeter()}
	case *fairwattpb.Record_MeterRetire:
		return "meter retired", []any{"meter", b.MeterRetire.GetMeter()}
	case *fairwattpb.Record_Admit:
		return "member admitted", []any{"id", b.Admit.GetId()}
	case *fairwattpb.Record_Retire:
		return "member retired", []any{"id", b.Retire.GetId()}
	case *fairwattpb.Record_Rekey:
		return "key changed", []any{"id", b.Rekey.GetId()}
	case *fairwattpb.Record_KeyChange:
		return "member's key changed", []any{"id", r.GetSender()}
	case *fairwattpb.Record_Revoke:
		return "member's key revoked", []any{"id", b.Revoke.GetId(), "why", brief.Text(b.Revoke.GetReason())}
	case *fairwattpb.Record_Suspend:
		return "member suspended", []any{"id", b.Suspend.GetId(), "why", brief.Text(b.Suspend.GetReason())}
	case *fairwattpb.Record_Reinstate:
		return "member reinstated", []any{"id", b.Reinstate.GetId()}
	case *fairwattpb.Record_MemberChange:
		return "member changed", []any{"id", b.MemberChange.GetId()}
	case *fairwattpb.Record_Equivocation:
		return "two statements for one place", []any{"of", b.Equivocation.GetDa()}
	case *fairwattpb.Record_Move:
		return "member moved", []any{"id", b.Move.GetId(), "address", brief.Text(b.Move.GetAddress())}
	case *fairwattpb.Record_Deposit:
		return "deposit", []any{"to", b.Deposit.GetTo(), "amount_micro", b.Deposit.GetAmountMicro(), "bond", b.Deposit.GetBond()}
	case *fairwattpb.Record_Reversal:
		return "deposit reversed", []any{"reference", brief.Text(b.Reversal.GetDeposit())}
	case *fairwattpb.Record_WarningNotice:
		return "official warning", []any{"area", b.WarningNotice.GetArea(), "kind", b.WarningNotice.GetKind()}
	case *fairwattpb.Record_SharingTerms:
		return "energy is shared otherwise", []any{"price_micro_per_kwh", b.SharingTerms.GetPriceMicroPerKwh(), "shares", len(b.SharingTerms.GetShares())}
	case *fairwattpb.Record_Withdrawal:
		return "withdrawal", []any{"id", b.Withdrawal.GetWithdrawalId(), "amount_micro", b.Withdrawal.GetAmountMicro()}
	case *fairwattpb.Record_Payout:
		return "paid out", []any{"to", b.Payout.GetMember(), "id", b.Payout.GetWithdrawalId()}
	default:
		return "", nil
	}
}
