package agent

import (
	"encoding/hex"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/outbox"
	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

var gateStatePB = map[model.State]fairwattpb.GateState{
	model.StateInit:     fairwattpb.GateState_GATE_STATE_INIT,
	model.StateBlocked:  fairwattpb.GateState_GATE_STATE_BLOCKED,
	model.StateClearing: fairwattpb.GateState_GATE_STATE_CLEARING,
	model.StateOpen:     fairwattpb.GateState_GATE_STATE_OPEN,
}

// maxPending bounds the gate records that wait while the disk refuses. The newest
// state is the one that counts.
const maxPending = 1024

// gateEvent takes a change of the gate: a record when the state is another
// one, a view in any case.
func (a *Agent) gateEvent(e *model.Event) error {
	a.log.Info("gate", "state", e.State.String(), "reason", e.Reason)
	if int(e.State) != a.saved.GateState {
		a.saved.GateState = int(e.State)
		a.saved.GateSeq++
		a.viewer.GateWall = a.now.wall
		if a.deps.Chain != nil && !a.onlyBuys() && len(a.pending.Record) < maxPending {
			a.pending.Record = append(a.pending.Record, a.entry(&fairwattpb.Record{
				Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
					GateSeq: a.saved.GateSeq, State: gateStatePB[e.State], Causes: causesPB(e.Causes),
					ValidUntilMs: a.now.wallMs() + wire.GateValid.Milliseconds(),
				}},
			}, false))
		}
	}
	a.lastGate = a.now.wall
	return a.publishGate()
}

// onlyBuys says that the device is a household's meter. It delivers nothing, so
// the chain does not need its gate.
func (a *Agent) onlyBuys() bool { return a.cfg.Buy != nil && a.cfg.Sell == nil }

// publishGate publishes the retained gate view.
func (a *Agent) publishGate() error {
	judged := a.judge.View()
	a.putCosts(&judged)
	return a.viewer.Gate(a.now.view(), &judged, a.saved.GateSeq)
}

// publishHazards publishes the retained hazard views: those whose level
// changed, or all.
func (a *Agent) publishHazards(all bool) error {
	judged := a.judge.View()
	return a.viewer.Hazards(a.now.view(), &judged, all)
}

// set marshals and publishes a view.
func (a *Agent) set(class string, qos byte, retained bool, v any) error {
	return a.viewer.Show(class, qos, retained, v)
}

// alertEvent queues an alert message, so that it survives a broker that is away.
// Its hazard view follows.
func (a *Agent) alertEvent(e *model.Event) error {
	judged := a.judge.View()
	v := a.viewer.Alert(a.now.view(), e, judged.ClearInMs)
	b, err := view.Marshal(v)
	if err != nil {
		return err
	}
	a.log.Info("alert", "id", e.ID, "action", v.Action, "kind", v.Kind, "level", v.Level, "headline", v.Headline)
	if len(a.pending.Events) < maxPending {
		a.pending.Events = append(a.pending.Events, outbox.Event{Topic: a.publisher.topics.Of(wire.ClassAlert), Payload: b})
	}
	if err := a.capAlert(e); err != nil { // the alert itself is told all the same
		a.log.Error("tell alert as CAP", "id", e.ID, "err", err)
	}
	return a.viewer.Hazards(a.now.view(), &judged, false)
}

// publishTelemetry publishes the last sample. It is not kept for a broker that
// is away.
func (a *Agent) publishTelemetry() error {
	stats := a.deps.Outbox.Stats()
	v := wire.Telemetry{
		Schema: wire.SchemaTelemetry, Seq: a.viewer.Next(), TS: wire.Time{Time: a.now.wall}, Simulated: a.cfg.Simulated,
		Energy: make(map[string]int64), Outbox: &stats, Sensors: make(map[string]wire.SensorTelemetry),
		Votes: make(map[string]wire.Vote),
		Counters: map[string]uint64{
			"records_final": a.counters.final, "records_refused": a.counters.refused,
			"records_held":    a.counters.held,
			"records_doubted": a.counters.doubted, "records_put_off": a.counters.putOff,
			"commit_failures": a.counters.commitFailures,
			"clock_steps":     a.counters.clockSteps, "publish_failures": a.publisher.failures(),
			"words_done": a.words.done.Load(), "words_refused": a.words.refused.Load(),
		},
	}
	v.Counters["receipts_refused"], v.Counters["receipts_dropped"] = a.receipts.counts()
	a.countNeighbours(v.Counters)
	if a.senses.supply != nil {
		v.Counters["power_cycles"] = a.senses.supply.cycles
	}
	if a.feed != nil {
		v.Counters["warnings_read"], v.Counters["warnings_refused"] = a.feed.read, a.feed.refused
	}
	if a.deps.Supervisor != nil {
		v.Counters["watchdog_kicks"], v.Counters["watchdog_missed"] = a.deps.Supervisor.Counts()
	}
	if days, ok := a.certificateDays(); ok {
		v.Counters["certificate_days_left"] = uint64(max(days, 0))
	}
	for _, vote := range a.senses.Votes() {
		v.Votes[vote.Channel.String()] = vote.Vote
	}
	view.Fill(&v, a.judge.Sample())
	for name, wh := range a.registers() {
		v.Energy[name] = int64(wh)
	}
	for _, s := range a.senses.status {
		t := wire.SensorTelemetry{DurationMS: s.TookMS, Failures: s.Failures}
		if s.OK {
			t.Success = 1
		}
		v.Sensors[s.Name] = t
	}
	return a.set(wire.ClassTelemetry, 0, false, v)
}

// publishInfo publishes what does not change while the agent runs.
func (a *Agent) publishInfo() error {
	hash, err := a.cfg.Hash()
	if err != nil {
		return err
	}
	v := wire.Info{
		Schema: wire.SchemaInfo, Serial: a.cfg.Device, Site: a.cfg.Site, Device: a.cfg.Device, Version: a.deps.Version,
		ConfigHash: hash, ModelHash: a.deps.ModelHash, Capabilities: []string{"gate", "hazard", "alert", "telemetry"},
		Sensors: a.senses.status, Simulated: a.cfg.Simulated,
	}
	if a.deps.Chain != nil {
		v.ChainID = hex.EncodeToString(a.deps.Chain.ID[:])
		v.Capabilities = append(v.Capabilities, "record")
	}
	if a.region != nil {
		v.Capabilities = append(v.Capabilities, "nowcast")
	}
	if !a.words.none {
		v.Capabilities = append(v.Capabilities, "command")
	}
	if a.cfg.Sell != nil {
		v.Capabilities = append(v.Capabilities, "sell")
		v.Contactor = "none"
		if a.cfg.Contactor != nil {
			v.Contactor = a.cfg.Contactor.String()
		}
	}
	if a.cfg.Buy != nil {
		v.Capabilities = append(v.Capabilities, "buy")
	}
	for _, l := range a.cfg.Judge.Loosened() {
		v.Loosened = append(v.Loosened, l.String())
	}
	return a.set(wire.ClassInfo, 1, true, v)
}

// contactorPB is what an offer says that switches the power.
func contactorPB(c *drive.Config) fairwattpb.Contactor {
	switch {
	case c == nil || c.None:
		return fairwattpb.Contactor_CONTACTOR_NONE
	case c.Feedback == "" && c.FeedbackInput == nil:
		return fairwattpb.Contactor_CONTACTOR_UNWATCHED
	}
	return fairwattpb.Contactor_CONTACTOR_WATCHED
}

// publishTrades publishes the retained view of open trades.
func (a *Agent) publishTrades() error {
	if a.trade.seller == nil && a.trade.buyer == nil {
		return nil
	}
	v := view.Trades{Schema: wire.SchemaTrade, Seq: a.viewer.Next(), TS: wire.Time{Time: a.now.wall}, Selling: []*trade.Sale{}, Simulated: a.cfg.Simulated}
	if s := a.trade.seller; s != nil {
		v.OfferID, v.OfferWh = s.OfferID, s.OfferWh
		v.Selling = append(v.Selling, s.Trades...)
		v.Sell = a.side(wire.SideSell, &a.saved.Wishes.Sell, a.cfg.Sell.PriceMicroPerKWh, s.Today.Wh)
	}
	if b := a.trade.buyer; b != nil {
		v.Buying = b.Circuits
		v.Buy = a.side(wire.SideBuy, &a.saved.Wishes.Buy, 0, b.Today.Wh)
	}
	if t := a.trade.auction; t != nil {
		v.Orders, v.Deals = t.Orders, t.Deals
		if v.Sell != nil {
			v.Sell.TodayWh += t.Sold.Wh
		}
		if v.Buy != nil {
			v.Buy.TodayWh += t.Bought.Wh
		}
	}
	v.Purse = a.saved.Purse
	return a.set(wire.ClassTrade, 1, true, v)
}
