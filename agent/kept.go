package agent

import (
	"fmt"

	"fairwatt/agent/outbox"
)

// stateDamaged keeps a judge's state that could not be read, for whoever looks into
// it.
const stateDamaged = "judge.damaged"

// restoreJudge gives the judge back its past. One that is there and cannot be read
// is put aside: the agent runs on, its gate closed by S04 until a person
// acknowledges it, for the latches of the run before are not known. So it is when
// the outbox was damaged and begins again.
func (a *Agent) restoreJudge() error {
	b, err := a.deps.Outbox.State(stateJudge)
	if err != nil {
		return err
	}
	if a.deps.Outbox.Damaged() != "" {
		a.log.Error("agent.db was damaged and begins again; the gate stays closed until S04 is acknowledged", "aside", a.deps.Outbox.Damaged())
		a.judge.LostState()
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	why := a.judge.Restore(b, a.now.sensingMs)
	if why == nil {
		return nil
	}
	a.log.Error("kept state is damaged; the gate stays closed until S04 is acknowledged", "state", stateJudge, "err", why)
	a.judge.LostState()
	if _, err := a.deps.Outbox.Commit(a.now.wall.UnixMilli(), outbox.Commit{State: map[string][]byte{stateDamaged: b}}); err != nil {
		return fmt.Errorf("put the damaged state aside: %w", err)
	}
	return nil
}
