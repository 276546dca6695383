package agent

import (
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// Status is a copy of the agent's state for its host.
type Status struct {
	Gate     model.State
	GateSeq  uint64
	Reason   string // of the gate's state, for people
	Causes   []model.Cause
	Sensors  []wire.Sensor
	Outbox   wire.Outbox
	Online   bool
	Closed   string // the trade that the contactor is told closed for; empty: open
	Selling  int    // trades at the seller that have not ended
	Buying   int    // circuits that are not idle
	Final    uint64
	Refused  uint64
	Failures uint64        // commits that the disk refused
	Summary  model.Summary // of the judgement since the start
	// MembersBehind is the height of the block behind which the data aggregators vote whose
	// word the agent takes; 0 for those of the genesis.
	MembersBehind uint64
	// Cost is what rules have cost since CostSince, by the newest gate view. It is not
	// to be changed.
	Cost      []wire.Cost
	CostSince wire.Time
}

// Status returns the state of the last step. It is safe to call from any
// goroutine.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

func (a *Agent) updateStatus() {
	view := a.judge.View()
	s := Status{
		Gate: view.State, Reason: view.Reason, GateSeq: a.saved.GateSeq, Causes: append([]model.Cause(nil), view.Causes...),
		Sensors: append([]wire.Sensor(nil), a.senses.status...), Outbox: a.deps.Outbox.Stats(), Online: a.online,
		Final: a.counters.final, Refused: a.counters.refused, Failures: a.counters.commitFailures,
		Cost: a.viewer.Spent, CostSince: a.viewer.SpentSince,
		Summary: a.summary, Closed: a.power.sw.Trade(),
	}
	if a.receipts != nil {
		s.MembersBehind = a.receipts.behind.Load()
	}
	if a.trade.seller != nil {
		s.Selling = len(a.trade.seller.Trades)
	}
	if a.trade.buyer != nil {
		for _, c := range a.trade.buyer.Circuits {
			if !c.Idle() {
				s.Buying++
			}
		}
	}
	a.mu.Lock()
	a.status = s
	a.mu.Unlock()
}
