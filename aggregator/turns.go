package aggregator

import (
	"context"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/members"
	"fairwatt/proto/wire"
)

// maxTold bounds the agents that wait to be told who the members are. One that is passed
// over is told when it comes online again.
const maxTold = 16_384

// tellTurns queues an agent that is to hear who the data aggregators are. It never waits.
func (d *DA) tellTurns(to wire.Topics) {
	select {
	case d.told <- to:
	default:
	}
}

// turned tells all agents of a change of members.
func (d *DA) turned(st *ledger.Staged) {
	if _, yes := st.Turn(); !yes {
		return
	}
	for _, p := range d.state.Participants() {
		if p.Site != "" {
			d.tellTurns(wire.Topics{Site: p.Site, Device: p.ID})
		}
	}
}

// handTurns hands agents the changes of members since the genesis, on the topic of this
// DA's receipts. They need no signature of its own: each is signed by a quorum.
func (d *DA) handTurns(ctx context.Context) error {
	var payload []byte
	var below uint64 // the height that the payload leads to
	for {
		var to wire.Topics
		select {
		case <-ctx.Done():
			return nil
		case to = <-d.told:
		}
		if height := d.state.Height() + 1; payload == nil || height != below {
			turns, err := d.state.TurnsBelow(height, d.store.Turn)
			if err == nil {
				payload, err = members.AppendTurns(nil, turns)
			}
			if err != nil {
				return err
			}
			below = height
		}
		if len(payload) == 0 {
			continue // they are those of the genesis
		}
		for _, p := range d.deps.Pipes {
			if !p.Connected() {
				continue
			}
			if err := p.Publish(ctx, to.Receipt(d.cfg.ID), 1, false, payload); err != nil && ctx.Err() == nil {
				d.log.Debug("members not told", "to", to.Device, "err", err)
			}
		}
	}
}
