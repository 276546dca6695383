package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func approve(reference string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Approval{Approval: &fairwattpb.Approval{Deposit: reference}}}
}

func approveOut(member, id string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Approval{Approval: &fairwattpb.Approval{Member: member, WithdrawalId: id}}}
}

func reversal(reference string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Reversal{Reversal: &fairwattpb.Reversal{Deposit: reference, Reason: "mistyped"}}}
}

func withdrawal(id string, amount int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Withdrawal{Withdrawal: &fairwattpb.Withdrawal{WithdrawalId: id, AmountMicro: amount, PayeeHash: make([]byte, 32)}}}
}

func payout(member, id string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Payout{Payout: &fairwattpb.Payout{Member: member, WithdrawalId: id, BankReference: "bank-9"}}}
}

// twoKeys begins again on a chain whose money comes and goes under two keys.
func twoKeys(change func(*ledger.Money), to func(*world)) func(*world) {
	return func(w *world) {
		*w = *newWorld(w.t, func(g *ledger.Genesis) {
			ledgertest.TwoKeys(g)
			if change != nil {
				change(g.Money)
			}
		})
		if to != nil {
			to(w)
		}
	}
}

// funded credits a member under two keys.
func (w *world) funded(r record) {
	w.t.Helper()
	w.must(mc, r)
	w.must(ledgertest.Auditor, approve(r.GetDeposit().GetReference()))
}

// moneyRows are the refusals of money under two keys.
var moneyRows = []marketRow{
	{"approve nothing", wire.CodeDepositWrong, twoKeys(nil, nil), ledgertest.Auditor, func(*world) record { return approve("d") }},
	{"approve twice", wire.CodeDepositWrong, twoKeys(nil, func(w *world) { w.funded(deposit(buyer, 5, "d")) }), ledgertest.Auditor, func(*world) record { return approve("d") }},
	{"approve late", wire.CodeDepositWrong, twoKeys(nil, func(w *world) {
		w.must(mc, deposit(buyer, 5, "d"))
		w.NowMs += w.Genesis.Money.ApprovalMs
	}), ledgertest.Auditor, func(*world) record { return approve("d") }},
	{"a reference that waits", wire.CodeReferenceUsed, twoKeys(nil, func(w *world) { w.must(mc, deposit(buyer, 5, "d")) }), mc, func(*world) record { return deposit(buyer, 5, "d") }},
	{"more than a day's", wire.CodeDayLimit, twoKeys(func(m *ledger.Money) { m.DayMicro = 9 }, func(w *world) {
		w.funded(deposit(buyer, 5, "d"))
		w.must(mc, deposit(buyer, 5, "e"))
	}), ledgertest.Auditor, func(*world) record { return approve("e") }},
	{"more than the chain bears", wire.CodeMoneyLimit, twoKeys(func(m *ledger.Money) { m.DayMicro = ledger.MaxMoneyMicro }, func(w *world) {
		w.funded(deposit(buyer, ledger.MaxMoneyMicro, "d"))
		w.NowMs += 86_400_000
		w.must(mc, deposit(buyer, 1, "e"))
	}), ledgertest.Auditor, func(*world) record { return approve("e") }},
	{"more than may ever come in", wire.CodeMoneyLimit, twoKeys(func(m *ledger.Money) { m.DayMicro = ledger.MaxMoneyMicro }, func(w *world) {
		for k := range 4 { // all that may, to the last millionth
			id := fmt.Sprint("d", k)
			w.funded(deposit(buyer, ledger.MaxMoneyMicro, id))
			w.must(mc, reversal(id))
			w.must(ledgertest.Auditor, approve(id))
			w.NowMs += 86_400_000
		}
		w.must(mc, deposit(buyer, 1, "e"))
	}), ledgertest.Auditor, func(*world) record { return approve("e") }},
	{"reverse what waits", wire.CodeDepositWrong, twoKeys(nil, func(w *world) { w.must(mc, deposit(buyer, 5, "d")) }), mc, func(*world) record { return reversal("d") }},
	{"reverse what is spent", wire.CodeInsufficientFunds, twoKeys(nil, func(w *world) {
		w.funded(deposit(buyer, 5, "d"))
		w.must(buyer, withdrawal("w", 1))
		w.must(mc, reversal("d"))
	}), ledgertest.Auditor, func(*world) record { return approve("d") }},
	{"reverse a bond that bears a promise", wire.CodeBondWrong, twoKeys(nil, func(w *world) {
		w.funded(bonded(seller, 200_000, "s"))
		w.funded(bonded(buyer, 200_000, "b"))
		w.funded(deposit(buyer, 1_000_000, "d"))
		w.toPaidFunded()
		w.must(mc, reversal("s"))
	}), ledgertest.Auditor, func(*world) record { return approve("s") }},
	{"withdraw twice", wire.CodeWithdrawalWrong, twoKeys(nil, func(w *world) {
		w.funded(deposit(buyer, 5, "d"))
		w.must(buyer, withdrawal("w", 1))
	}), buyer, func(*world) record { return withdrawal("w", 1) }},
	{"withdraw what is not there", wire.CodeInsufficientFunds, twoKeys(nil, nil), buyer, func(*world) record { return withdrawal("w", 1) }},
	{"fees that are not there", wire.CodeInsufficientFunds, twoKeys(nil, nil), mc, func(*world) record { return withdrawal("w", 1) }},
	{"approve no withdrawal", wire.CodeWithdrawalWrong, twoKeys(nil, nil), ledgertest.Auditor, func(*world) record { return approveOut(buyer, "w") }},
	{"pay out what no auditor approved", wire.CodeWithdrawalWrong, twoKeys(nil, func(w *world) {
		w.funded(deposit(buyer, 5, "d"))
		w.must(buyer, withdrawal("w", 1))
	}), mc, func(*world) record { return payout(buyer, "w") }},
}

// toPaidFunded is [world.toPaid] for members that have money already.
func (w *world) toPaidFunded() {
	w.t.Helper()
	d := ledgertest.Deal{Chain: w.Chain, ID: "token-1", Seller: seller, Buyer: buyer, VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	w.must(seller, gate(1, open))
	if err := d.Pay(); err != nil {
		w.t.Fatal(err)
	}
}

// Money without two keys: what a chain without auditors refuses, and who may send what.
func TestTwoKeysAreTwo(t *testing.T) {
	w := newWorld(t, ledgertest.Robust)
	for sender, r := range map[string]record{buyer: withdrawal("w", 1), mc: reversal("d")} {
		if _, err := w.State.CheckRecord(w.sealed(sender, 1, r)); err == nil || !strings.Contains(err.Error(), "names no auditors") {
			t.Errorf("without auditors: %v", err)
		}
	}
	w = newWorld(t, ledgertest.TwoKeys)
	for _, c := range []struct {
		sender string
		record record
	}{
		{mc, approve("d")}, {buyer, approve("d")}, {"judge-1", approve("d")}, {ledgertest.Auditor, deposit(buyer, 1, "d")}, {ledgertest.Auditor, payout(buyer, "w")},
		{ledgertest.Auditor, reversal("d")}, {ledgertest.Auditor, verdict("t", neither)}, {buyer, payout(buyer, "w")}, {ledgertest.Auditor, withdrawal("w", 1)},
	} {
		if _, err := w.State.CheckRecord(w.sealed(c.sender, 1, c.record)); err == nil || !strings.Contains(err.Error(), "may not send") {
			t.Errorf("%s: %v: %v", c.sender, c.record, err)
		}
	}
	both := approve("d")
	both.GetApproval().Member = buyer
	if _, err := w.State.CheckRecord(w.sealed(ledgertest.Auditor, 1, both)); err == nil || !strings.Contains(err.Error(), "member: want none beside a deposit") {
		t.Errorf("an approval of two things: %v", err)
	}
}

// Money comes in, is reversed, goes out, comes back: at each step the account says so, and
// the books balance (send looks at that after each record).
func TestMoneyComesAndGoes(t *testing.T) {
	w := newWorld(t, ledgertest.TwoKeys)
	has := func(want int64) {
		t.Helper()
		if a, _ := w.State.Account(buyer); a.WalletMicro != want {
			t.Errorf("the wallet holds %d, want %d", a.WalletMicro, want)
		}
	}
	totals := func(in, reversed, out, paid int64) {
		t.Helper()
		got := w.State.Totals()
		if got.DepositedMicro != in || got.ReversedMicro != reversed || got.OutMicro != out || got.PaidOutMicro != paid {
			t.Errorf("totals %+v, want %d in, %d reversed, %d on its way, %d paid", got, in, reversed, out, paid)
		}
	}
	w.must(mc, deposit(buyer, 100, "d"))
	has(0)
	w.must(ledgertest.Auditor, approve("d"))
	has(100)
	w.must(mc, deposit(buyer, 7, "late"))
	w.wait(w.Genesis.Money.ApprovalMs)
	w.funded(deposit(buyer, 7, "late")) // its reference is free again
	has(107)
	w.must(mc, reversal("late"))
	has(107)
	w.must(ledgertest.Auditor, approve("late"))
	has(100)
	totals(107, 7, 0, 0)
	w.must(buyer, withdrawal("w", 60))
	w.must(buyer, withdrawal("v", 30))
	has(10)
	totals(107, 7, 90, 0)
	w.must(ledgertest.Auditor, approveOut(buyer, "w"))
	w.must(mc, payout(buyer, "w"))
	totals(107, 7, 30, 60)
	if code := w.send(mc, payout(buyer, "w")); code != wire.CodeWithdrawalWrong {
		t.Errorf("paid twice: %q", code)
	}
	w.must(ledgertest.Auditor, approveOut(buyer, "v"))
	w.wait(w.Genesis.Money.PayoutMs) // and the bank does not pay
	has(40)
	totals(107, 7, 0, 60)
	if code := w.send(mc, payout(buyer, "v")); code != wire.CodeWithdrawalWrong {
		t.Errorf("paid after it came back: %q", code)
	}
	if code := w.send(buyer, withdrawal("w", 1)); code != wire.CodeWithdrawalWrong {
		t.Errorf("an id that was paid: %q", code)
	}
}

// Fees and levy come out of the seller's price: the buyer pays what was agreed. Between
// two sites the fee is another one.
func TestFeesAndLevy(t *testing.T) {
	for buyersSite, rate := range map[string]int64{"site-seller-1": 10_000, "site-buyer-1": 30_000} {
		w := newWorld(t, func(g *ledger.Genesis) {
			ledgertest.TwoKeys(g)
			for i := range g.Members {
				if g.Members[i].ID == buyer {
					g.Members[i].Site = buyersSite
				}
			}
			g.Money.FeeMicroPerKWh, g.Money.FeeBetweenMicroPerKWh, g.Money.LevyE4 = 10_000, 30_000, 100
		})
		w.funded(bonded(seller, 1_000_000, "s"))
		w.funded(bonded(buyer, 1_000_000, "b"))
		w.funded(deposit(buyer, 1_000_000, "d"))
		w.must(seller, gate(1, open))
		d := ledgertest.Deal{Chain: w.Chain, ID: "token-1", Seller: seller, Buyer: buyer, VolumeWh: 2000, PriceMicroPerKWh: 200_000}
		if err := d.Whole(); err != nil {
			t.Fatal(err)
		}
		fee, levy := 2*rate, int64(4_000)
		s, _ := w.State.Account(seller)
		b, _ := w.State.Account(buyer)
		got := w.State.Totals()
		if s.WalletMicro != 400_000-fee-levy || b.WalletMicro != 600_000 || got.FeesMicro != fee || got.FundMicro != levy || !got.Conserved {
			t.Errorf("to %s: seller %d, buyer %d, %+v", buyersSite, s.WalletMicro, b.WalletMicro, got)
		}
		w.must(mc, withdrawal("grid-0", fee))
		w.wait(w.Genesis.Money.PayoutMs) // and the bank does not pay
		if got := w.State.Totals(); got.FeesMicro != fee || got.OutMicro != 0 || !got.Conserved {
			t.Errorf("fees that came back: %+v", got)
		}
		w.must(mc, withdrawal("grid-1", fee))
		w.must(ledgertest.Auditor, approveOut(mc, "grid-1"))
		w.must(mc, payout(mc, "grid-1"))
		if got := w.State.Totals(); got.FeesMicro != 0 || got.PaidOutMicro != fee {
			t.Errorf("after the grid was paid: %+v", got)
		}
		w.must(seller, withdrawal("all", s.WalletMicro))
		w.wait(w.Genesis.Money.PayoutMs)
		if again, _ := w.State.Account(seller); again.WalletMicro != s.WalletMicro {
			t.Errorf("came back: %d of %d", again.WalletMicro, s.WalletMicro)
		}
	}
}

// A member hears of each record that is about its money, and each move names the record
// of the block that made it; what time did names none.
func TestMoneyIsTold(t *testing.T) {
	w := newWorld(t, ledgertest.TwoKeys)
	w.funded(deposit(buyer, 100, "d"))
	w.must(buyer, withdrawal("w", 60))
	if n := w.step(ledgertest.Auditor, approveOut(buyer, "w")).Notices(); len(n) != 1 || n[0].To != buyer || n[0].Record == nil {
		t.Errorf("an approved withdrawal tells %+v", n)
	}
	st, err := w.Advance(w.seal(buyer, withdrawal("v", 30)), w.seal(mc, payout(buyer, "w")))
	if err != nil {
		t.Fatal(err)
	}
	if m := st.Moves(); len(m) != 2 || m[0].What != ledger.MoveWithdrawn || m[0].Index != 0 || m[1].What != ledger.MovePaidOut || m[1].Index != 1 {
		t.Errorf("moves of two records: %+v", m)
	}
	if m := w.wait(w.Genesis.Money.PayoutMs).Moves(); len(m) != 1 || m[0].What != ledger.MoveWithdrawalBack || m[0].Index != -1 {
		t.Errorf("a move by time: %+v", m)
	}
}

// Whatever a centre, an auditor and members say of money, in whatever order and however
// late, no millionth is made or lost, and what left is no more than what came.
func TestMoneyUnderTwoKeysIsConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, func(g *ledger.Genesis) { ledgertest.TwoKeys(g); g.Money.DayMicro = 300 })
		moves := make(map[string]int64)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			ref, id := fmt.Sprint("d", rapid.IntRange(0, 3).Draw(rt, "ref")), fmt.Sprint("w", rapid.IntRange(0, 3).Draw(rt, "id"))
			who := rapid.SampledFrom([]string{buyer, seller}).Draw(rt, "who")
			amount := rapid.Int64Range(1, 120).Draw(rt, "amount")
			all := []struct {
				sender string
				record record
			}{
				{mc, deposit(who, amount, ref)}, {mc, bonded(who, amount, ref)}, {ledgertest.Auditor, approve(ref)}, {mc, reversal(ref)},
				{who, withdrawal(id, amount)}, {ledgertest.Auditor, approveOut(who, id)}, {mc, payout(who, id)}, {who, bond(amount)}, {who, unbond(amount)},
			}
			one := all[rapid.IntRange(0, len(all)-1).Draw(rt, "record")]
			w.NowMs += rapid.SampledFrom([]int64{1, 1, 1, 86_400_000, 15 * 86_400_000, 29 * 86_400_000}).Draw(rt, "later")
			sealed, err := w.Seal(one.sender, one.record)
			if err != nil {
				rt.Fatal(err)
			}
			st, err := w.Advance(sealed)
			if err != nil {
				rt.Fatal(err)
			}
			for _, m := range st.Moves() {
				moves[m.Who] += m.WalletMicro + m.BondMicro + m.OutMicro
			}
			if got := w.State.Totals(); !got.Conserved {
				rt.Fatalf("after %v: %+v", one.record, got)
			}
		}
		got, sum := w.State.Totals(), int64(0)
		for _, v := range moves {
			sum += v
		}
		if want := got.WalletsMicro + got.BondsMicro + got.OutMicro; sum != want {
			rt.Fatalf("the moves add up to %d, and members have %d", sum, want)
		}
	})
}
