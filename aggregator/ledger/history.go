package ledger

import (
	"fmt"
	"strings"
)

// The kinds of steps in a participant's history.
const (
	StepKept     = "kept"      // a promise: credit
	StepBroke    = "broke"     // a promise: credit lost
	StepExcused  = "excused"   // a promise, by a hazard or by another delivery
	StepForgot   = "forgot"    // a period passed
	StepFined    = "fined"     // paid the other side
	StepMadeGood = "made_good" // was paid by the other side, or by the fund
	StepCharged  = "charged"   // for a gap between two meters; held in the fund
	StepReturned = "returned"  // a charge, into the bond
	StepRestored = "restored"  // credit that a verdict gives back
	StepListed   = "listed"    // may not trade
	StepBack     = "back"      // may trade again
	StepBonded   = "bonded"    // money into the bond
	StepUnbonded = "unbonded"  // asked for money of the bond
	StepLeft     = "left"      // a bond that was asked back, into the wallet
	StepDuePaid  = "due_paid"  // a fine that was owed, into the fund
	StepCase     = "case"      // a case about a trade is open
	StepFound    = "found"     // two arbiters found
	StepClosed   = "closed"    // a case ended without a verdict
	StepGranted  = "granted"   // money of the fund
	StepCleared  = "cleared"   // an auction: the other side, and what of it
	StepLeftOut  = "left_out"  // an order took no part in its auction: why
	StepChose    = "chose"     // paid by choices: the other side, what for, and who was passed over

	StepKeyChanged = "key_changed"
	StepRevoked    = "revoked"    // its key; takes part in nothing new
	StepSuspended  = "suspended"  // likewise, until it is reinstated
	StepReinstated = "reinstated" // takes part again
	StepChanged    = "changed"    // its roles, its site, its payee or its recovery key
)

// A Step is one thing that happened to a participant's credit, bond, fines or listing.
// Steps are no part of the state: who replays the chain gets them again.
type Step struct {
	Who   string
	Kind  string
	Trade string // empty: of none
	Other string // the other side, or who vouched
	// Index is the record's place in the block; -1 when the block's time did it.
	Index       int
	GoodWh      int64 // added
	BadWh       int64 // added, weighted
	CreditE6    int64 // after it; 0 where credit is not concerned
	AmountMicro int64
	DueMicro    int64 // of a fine, what could not be paid
	UntilMs     int64
	GateSeq     uint64 // of what was excused by a hazard: the gate change that said so
	Text        string
}

// What moves a participant's money.
const (
	MoveDeposit   = "deposit"
	MoveEscrowed  = "escrowed" // wallet to escrow
	MoveReturned  = "returned" // escrow to wallet
	MoveBought    = "bought"   // out of the escrow
	MoveSold      = "sold"     // into the wallet
	MoveLot       = "lot"      // escrow of a Token to that of another trade paid with it
	MoveGap       = "gap"      // out of the escrow, into the fund
	MoveBonded    = "bonded"   // wallet to bond
	MoveUnbonded  = "unbonded" // bond to wallet
	MoveFined     = "fined"
	MoveCharged   = "charged"
	MoveChargeOff = "charge_back"
	MoveMadeGood  = "made_good"
	MoveGranted   = "granted"
	MoveDue       = "due" // a fine that was owed, out of what came in

	MoveReversed       = "reversed"        // a deposit, off the chain
	MoveWithdrawn      = "withdrawn"       // wallet to withdrawal
	MovePaidOut        = "paid_out"        // withdrawal to the bank
	MoveWithdrawalBack = "withdrawal_back" // withdrawal to wallet
)

// A Move is what one thing did to a participant's money. The moves of a participant add
// up to what it has: in its wallet, in escrow as a buyer, in its bond with what leaves
// it, and in withdrawals.
type Move struct {
	Who              string
	What             string
	Trade            string
	Other            string
	Index            int // as in a Step
	EnergyWh         int64
	PriceMicroPerKWh int64
	WalletMicro      int64
	EscrowMicro      int64
	BondMicro        int64
	OutMicro         int64 // in withdrawals
	// FeeMicro went to the grid and LevyMicro into the fund, of what was sold; the rest
	// came into the wallet.
	FeeMicro, LevyMicro int64
	Text                string // the bank's reference
}

// Purses returns what each participant has whose money the block moved, by id.
func (st *Staged) Purses() (map[string]*Account, error) {
	out := make(map[string]*Account)
	for _, m := range st.moves {
		out[m.Who] = nil
	}
	for _, c := range st.changes {
		id, is := strings.CutPrefix(string(c.Key), keyAccount)
		if _, moved := out[id]; !is || !moved || c.Delete {
			continue
		}
		a := &Account{}
		if err := decodeValue(c.Value, a); err != nil {
			return nil, fmt.Errorf("account of %s: %w", id, err)
		}
		out[id] = a
	}
	return out, nil
}

// Moves returns what the block did to participants' money, in the order it happened.
func (st *Staged) Moves() []Move { return st.moves }

func (x *execution) move(m Move) {
	if m.WalletMicro != 0 || m.EscrowMicro != 0 || m.BondMicro != 0 || m.OutMicro != 0 {
		m.Index = x.index
		x.moves = append(x.moves, m)
	}
}

func (x *execution) step(s Step) {
	s.Index = x.index
	x.steps = append(x.steps, s)
}

// Steps returns what the block did to participants' credit, bonds, fines and listings,
// in the order it happened.
func (st *Staged) Steps() []Step { return st.steps }

// tellOf shows a participant the record that did something to it. What block time did
// stands in the list and in the chain; a receipt has no record to show for it.
func (x *execution) tellOf(id string) {
	if x.index >= 0 {
		x.tell(id, nil)
	}
}
