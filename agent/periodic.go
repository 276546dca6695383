package agent

import (
	"time"

	"fairwatt/proto/wire"
)

// hazardsEvery is how often hazard views are published without a change of their level:
// their scores stand in each gate view, and nine views cost as much data as the rest.
const hazardsEvery = 2 * time.Minute

// flushEvery is how often bulk records, meters and the judge's state are
// written: what a power cut may cost.
const flushEvery = 30 * time.Second

// periodic does what is due by time alone.
func (a *Agent) periodic() error {
	if !a.online && anyValid(&a.sample) {
		a.online = true
		a.publisher.set(wire.ClassStatus, 1, true, []byte(wire.Online))
	}
	now := a.now.wall
	if due(now, &a.lastGate, wire.GateEvery) {
		if err := a.publishGate(); err != nil {
			return err
		}
		if due(now, &a.lastHazards, hazardsEvery) {
			if err := a.publishHazards(true); err != nil {
				return err
			}
		}
		if err := a.publishTrades(); err != nil { // an hour may have begun in which it sells
			return err
		}
	}
	if due(now, &a.lastTelemetry, a.cfg.Telemetry) {
		if err := a.publishTelemetry(); err != nil {
			return err
		}
	}
	if err := a.tellNeighbours(); err != nil {
		return err
	}
	if due(now, &a.lastFlush, flushEvery) {
		a.flush()
		a.tellUnanswered()
	}
	a.tellMetrics()
	a.updateStatus()
	return nil
}

// due says whether the time every has passed since last; if so, it sets last to
// now.
func due(now time.Time, last *time.Time, every time.Duration) bool {
	if !last.IsZero() && now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}
