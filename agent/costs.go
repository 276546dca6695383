package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/agent/view"
	"fairwatt/model"
)

// restoreCosts reads what rules have cost before. It is no part of the judgement:
// where it cannot be read it is put aside and begins again, and closes nothing.
func (a *Agent) restoreCosts() error {
	a.costs = &view.Costs{}
	b, err := a.deps.Outbox.State(stateCosts)
	if err != nil || len(b) == 0 {
		return err
	}
	kept, why := view.ParseCosts(b)
	if why == nil {
		a.costs = kept
		return nil
	}
	a.log.Error("what rules have cost before is damaged, and begins again", "err", why)
	if _, err := a.deps.Outbox.Commit(a.now.wall.UnixMilli(), outbox.Commit{State: map[string][]byte{damaged(stateCosts): b}}); err != nil {
		return fmt.Errorf("put the damaged state aside: %w", err)
	}
	return nil
}

// countCosts takes what the judge has told until now.
func (a *Agent) countCosts() {
	tolls, from := a.judge.Tolls()
	a.costs.Count(tolls, from, a.now.wallMs(), a.now.synced)
}

// spent is what rules have cost, to be kept.
func (a *Agent) spent() ([]byte, error) {
	a.countCosts()
	b, err := json.Marshal(a.costs)
	if err != nil {
		return nil, fmt.Errorf("marshal costs: %w", err)
	}
	return b, nil
}

// putCosts puts what rules have cost in the last days into a judgement that is shown.
func (a *Agent) putCosts(judged *model.View) {
	a.countCosts()
	judged.Tolls, judged.EnergyFrom = a.costs.Tolls(), a.costs.From
	a.viewer.CostSince = time.Time{}
	if ms := a.costs.FromMs(a.now.wallMs()); ms != 0 {
		a.viewer.CostSince = time.UnixMilli(ms)
	}
}
