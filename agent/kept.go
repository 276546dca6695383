package agent

import (
	"fmt"

	"fairwatt/agent/outbox"
)

// damaged is the key under which a state is kept that could not be read, for
// whoever looks into it.
func damaged(key string) string { return key + ".damaged" }

// readState gives a kept state to parse, which must change nothing if it fails. One
// that is there and cannot be read is put aside: the agent runs on, its gate closed
// by S04 until a person acknowledges it, for what the run before knew is lost.
func (a *Agent) readState(key string, parse func([]byte) error) error {
	b, err := a.deps.Outbox.State(key)
	if err != nil || len(b) == 0 {
		return err
	}
	why := parse(b)
	if why == nil {
		return nil
	}
	a.log.Error("kept state is damaged; the gate stays closed until S04 is acknowledged", "state", key, "err", why)
	a.judge.LostState()
	if _, err := a.deps.Outbox.Commit(a.now.wall.UnixMilli(), outbox.Commit{State: map[string][]byte{damaged(key): b}}); err != nil {
		return fmt.Errorf("put the damaged state aside: %w", err)
	}
	return nil
}

// restoreJudge gives the judge back its past. When the outbox was damaged and begins
// again, its latches are not known, and S04 closes the gate.
func (a *Agent) restoreJudge() error {
	if a.deps.Outbox.Damaged() != "" {
		a.log.Error("agent.db was damaged and begins again; the gate stays closed until S04 is acknowledged", "aside", a.deps.Outbox.Damaged())
		a.judge.LostState()
		return nil
	}
	return a.readState(stateJudge, func(b []byte) error { return a.judge.Restore(b, a.now.sensingMs) })
}
