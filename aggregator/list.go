package aggregator

import (
	"context"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/wire"
)

// listAgain is how long after a failed publication of the list it is tried again.
const listAgain = 5 * time.Second

// listMoved wakes who publishes the list when a block has changed it, or other members or
// keys vote behind it: what is retained then counts for readers no more.
func (d *DA) listMoved(st *ledger.Staged) {
	if _, turned := st.Turn(); turned {
		d.wakeList()
		return
	}
	for _, s := range st.Steps() {
		if s.Kind == ledger.StepListed || s.Kind == ledger.StepBack {
			d.wakeList()
			return
		}
	}
}

func (d *DA) wakeList() {
	select {
	case d.listed <- struct{}{}:
	default: // it is awake
	}
}

// tellList keeps the signed list of those who may not trade on every broker, retained
// (R28). A broker may have lost it, so it is told again whenever one is there again.
func (d *DA) tellList(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.listed:
		case <-again:
		}
		again = nil
		if d.state.ListVersion() == 0 {
			continue // there is no list yet
		}
		sealed, version, err := d.state.SealList(d.cfg.ID, d.app.key)
		if err != nil {
			return err
		}
		for _, p := range d.deps.Pipes {
			if !p.Connected() {
				continue // it wakes this loop when it is there
			}
			if err := p.Publish(ctx, wire.ListOfDA(d.cfg.ID), 1, true, sealed); err != nil && ctx.Err() == nil {
				d.log.Warn("list not published", "version", version, "err", err)
				again = time.After(listAgain)
			}
		}
	}
}
