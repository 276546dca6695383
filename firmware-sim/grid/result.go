package grid

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// lineLossE4 is the loss of the line between two meters, in 1e-4. The genesis
// declares it.
const lineLossE4 = 200

// report reads the result of the run from the stores of the data aggregators,
// which are closed by now, and from the world's counters.
func (g *grid) report(page *console.Snapshot) (*Report, error) {
	r := &Report{
		DAs: g.cfg.DAs, Agents: g.cfg.Agents, Buyers: g.cfg.Buyers, Simulated: true, Composed: g.composed,
		Alerts: make(map[string]int), Trust: make(map[string]int64), FoundOut: []string{},
		Tree: g.cfg.Tree, Settlement: g.cfg.Settlement, Credit: g.cfg.credit(), Relay: g.relay(), Unanswered: uint64(g.unansweredAtEnd), Forged: g.forgedRefused.Load(),
		MoneyConserved: true, EnergyConserved: true, ChainVerified: true,
	}
	honest := g.alive()
	state, counts, err := g.verifyChains(r, honest)
	if err != nil {
		return nil, err
	}
	r.Height, r.Epochs = state.Height(), state.Epoch()
	for _, da := range state.Aggregators() {
		if w, ok := state.Why(da.ID); ok {
			r.Trust[da.ID] = w.TrustE4
			if w.Condemned {
				r.FoundOut = append(r.FoundOut, da.ID)
			}
		}
	}
	for _, n := range honest {
		r.ViewChanges = max(r.ViewChanges, n.da.Stats().ViewChanges)
	}
	if g.killed.root != "" {
		if at, ok := g.watch.firstOtherAfter(g.killed.root, g.killed.at); ok {
			r.ViewChangeMs = max(1, at.Sub(g.killed.at).Milliseconds())
		}
	}
	g.countTrades(r, state)
	g.countSlots(r, state, counts)
	g.countHarm(r, state, counts)
	g.checkMoney(r, state)
	g.checkEnergy(r, state)
	if err := g.askRelays(r); err != nil {
		return nil, err
	}
	g.countAgents(r)
	r.Storm = g.stormReport(page)
	r.Door = Door{Accepted: page.Counters.Accepted, Refused: page.Counters.Refused}
	r.Dropped += uint64(g.broker.Dropped.Load())
	g.reportMembers(r, state, honest)
	var ids []string
	for _, n := range honest {
		if !n.joins { // it has old blocks late
			ids = append(ids, n.id)
		}
	}
	r.ATCTMs = percentiles(g.watch.confirmationTimes(ids))
	return r, nil
}

// problem makes one of the report's promises false and notes the reason.
func (r *Report) problem(promise *bool, format string, args ...any) {
	*promise = false
	if len(r.Problems) < 20 {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// verifyChains executes the chain of every data aggregator again from the
// genesis, as `aggregator chain verify` does, and returns the longest one's
// state and what its blocks did. Chains that disagree are a problem.
func (g *grid) verifyChains(r *Report, honest []*aggregatorNode) (*ledger.State, *tally, error) {
	var longest *ledger.State
	var most *tally
	hashes := make(map[uint64][32]byte)
	for _, n := range honest {
		counts := newTally()
		state, err := ledger.NewState(g.community.Genesis)
		if err != nil {
			return nil, nil, err
		}
		err = g.eachBlock(n, func(_ uint64, cb *fairwattpb.CertifiedBlock) error {
			staged, err := state.VerifyCertified(cb)
			if err != nil {
				return err
			}
			height := staged.Header().GetHeight()
			if seen, ok := hashes[height]; ok && seen != staged.HeaderHash() {
				return fmt.Errorf("block %d differs between data aggregators", height)
			}
			hashes[height] = staged.HeaderHash()
			if err := counts.add(staged); err != nil {
				return err
			}
			return state.Commit(staged)
		})
		if err != nil {
			r.problem(&r.ChainVerified, "chain of %s: %v", n.id, err)
			continue
		}
		if longest == nil || state.Height() > longest.Height() {
			longest, most = state, counts
			r.Records, r.Refused, r.AccountingNodes = counts.records, counts.refused, counts.accounting
		}
	}
	if longest == nil {
		return nil, nil, errors.New("no data aggregator has a chain that verifies: " + fmt.Sprint(r.Problems))
	}
	return longest, most, nil
}

// A tally counts the contents of one chain's blocks.
type tally struct {
	records, refused uint64
	accounting       map[string]uint64 // blocks by accounting node
	stands           map[[32]byte]bool // the records so far
	moves            []ledger.Move     // of money
	broken           []Broken
	cleared          int            // promises that counted as broken until a verdict
	fined            map[string]int // by participant
	excused          map[string]int // by cause
	pays             []payment
	slots            Slots
}

func newTally() *tally {
	return &tally{accounting: make(map[string]uint64), stands: make(map[[32]byte]bool), fined: make(map[string]int), excused: make(map[string]int), slots: Slots{Refused: make(map[string]int)}}
}

// add counts a block. A record that stands twice is an error: it was replayed.
func (t *tally) add(staged *ledger.Staged) error {
	for _, id := range staged.RecordIDs() {
		if t.stands[id] {
			return fmt.Errorf("record %x stands twice", id)
		}
		t.stands[id] = true
	}
	t.moves = append(t.moves, staged.Moves()...)
	t.note(staged)
	t.accounting[staged.Header().GetAccountingNode()]++
	for _, o := range staged.Outcomes() {
		t.records++
		if !o.GetApplied() {
			t.refused++
		}
	}
	return nil
}

func (g *grid) eachBlock(n *aggregatorNode, fn func(uint64, *fairwattpb.CertifiedBlock) error) (err error) {
	db, err := store.Open(filepath.Join(n.dir, aggregator.StoreFile), g.community.Genesis.ChainID())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Blocks(1, db.Height(), fn)
}

func (g *grid) countTrades(r *Report, state *ledger.State) {
	for _, t := range state.Trades(nil) {
		r.Trades.Requested++
		if t.Held {
			r.Trades.Held++
		}
		switch t.Status {
		case wire.StatusSettled:
			r.Trades.Settled++
		case wire.StatusSettledPartly:
			r.Trades.SettledPartly++
		case wire.StatusRefunded:
			r.Trades.Refunded++
		case wire.StatusDisputed:
			r.Trades.Disputed++
		case wire.StatusFailed:
			r.Trades.Failed++
		default:
			r.Trades.Open++
		}
	}
	r.Trades.Requested += unansweredRequests(state)
}

// unansweredRequests counts the requests without a Token. There is no trade for
// them.
func unansweredRequests(state *ledger.State) int {
	n := 0
	for _, q := range state.Requests() {
		if !q.Answered {
			n++
		}
	}
	return n
}

// checkMoney compares what was deposited with what wallets and escrow hold.
func (g *grid) checkMoney(r *Report, state *ledger.State) {
	deposited := int64(g.cfg.Buyers) * openingBalance
	if g.cfg.credit() == ledger.CreditRobust {
		deposited += int64(len(g.people)) * openingBond
	}
	for _, c := range g.culprits {
		wallet, bond := g.openingOf(c)
		deposited += wallet + bond
	}
	if what := moneyProblem(state.Totals(), deposited); what != "" {
		r.problem(&r.MoneyConserved, "%s", what)
	}
}

// moneyProblem says what is wrong with the money, if anything: all of it was
// deposited, and all of it is in a wallet, an escrow, a bond or the fund.
func moneyProblem(t ledger.Totals, wantMicro int64) string {
	if t.DepositedMicro == wantMicro && t.WalletsMicro+t.EscrowMicro+t.BondsMicro+t.FundMicro == wantMicro {
		return ""
	}
	return fmt.Sprintf("money: deposited %d, in wallets %d, in escrow %d, in bonds %d, in the fund %d, want %d in all",
		t.DepositedMicro, t.WalletsMicro, t.EscrowMicro, t.BondsMicro, t.FundMicro, wantMicro)
}

// checkEnergy holds every honest trade through which energy flowed against its bill.
func (g *grid) checkEnergy(r *Report, state *ledger.State) {
	honest := func(t *ledger.Trade) bool { return g.culprit(t.Seller) == nil }
	for _, t := range state.Trades(honest) {
		if _, ok := ledger.SlotOf(t.ID); ok {
			continue // countSlots holds a slot's trades against what flowed
		}
		sold, received, counted := g.world.delivered(t.ID)
		var problems []string
		switch t.Status {
		case wire.StatusBilled, wire.StatusSettled, wire.StatusSettledPartly, wire.StatusDisputed:
			problems = energyProblems(t.BilledWh, sold, received, counted, g.community.Genesis.Params)
		case wire.StatusRefunded, wire.StatusFailed:
			problems = unbilledProblems(sold)
		}
		for _, what := range problems {
			r.problem(&r.EnergyConserved, "trade %s: %s", t.ID, what)
		}
	}
}

// unbilledProblems says what is wrong with a trade that ended without a bill: a
// pulse may flow that no register has counted.
func unbilledProblems(soldWh float64) []string {
	if soldWh <= 1 {
		return nil
	}
	return []string{fmt.Sprintf("%.1f Wh left the seller and were never billed", soldWh)}
}

// energyProblems says what is wrong with a bill, if anything: billed is no more
// than what left the seller, no less than what the seller's register counted but
// for a pulse, and differs from what reached the buyer by no more than loss and
// both meters' class (a pulse at either end is cut off).
func energyProblems(billedWh int64, soldWh, receivedWh float64, countedWh int64, p ledger.Params) (problems []string) {
	billed := float64(billedWh)
	if billed > soldWh+1 {
		problems = append(problems, fmt.Sprintf("billed %d Wh, %.1f Wh left the seller", billedWh, soldWh))
	}
	if billedWh < countedWh-1 {
		problems = append(problems, fmt.Sprintf("billed %d Wh, the seller's register counted %d Wh", billedWh, countedWh))
	}
	tolerance := billed*float64(p.LossE4+2*gridMeterClassE4)/10_000 + 2*float64(p.RegisterStepWh)
	if d := billed - receivedWh; d > tolerance || d < -tolerance {
		problems = append(problems, fmt.Sprintf("billed %d Wh, %.1f Wh reached the buyer", billedWh, receivedWh))
	}
	return problems
}

// askRelays counts what the relays' own logs have against their agents.
func (g *grid) askRelays(r *Report) error {
	for _, p := range g.people {
		if p.witnessed == nil {
			continue
		}
		log, err := p.board.RelayLog(contactorPin)
		if err != nil {
			return fmt.Errorf("relay of %s: %w", p.id, err)
		}
		n := violations(log, p.witnessed.gates.all(), time.Now(), p.config.Tick)
		if r.ContactorViolations += n; n > 0 {
			g.log.Error("contactor closed while the gate was not open", "agent", p.id, "times", n)
		}
	}
	return nil
}

// countAgents adds the agents' counters.
func (g *grid) countAgents(r *Report) {
	closedS := 0.0
	for _, p := range g.people {
		status := p.agent.Status()
		r.Dropped += status.Outbox.Dropped
		if !p.seller {
			continue
		}
		closedS += status.Summary.BlockedS()
		for k := range model.NumKinds {
			r.Alerts[k.String()] += status.Summary.Alerts[k]
		}
	}
	r.GateClosedS = int64(closedS)
}
