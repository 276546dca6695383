package ledger

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
	Text        string
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
