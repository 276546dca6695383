package aggregator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// tickAfter is how long something may be due without a block. The accounting node
// of view 0 waits that long, each further one of the sequence as long again: one
// tick is enough, and one that is dead keeps no one's money locked.
const tickAfter = time.Second

// tick asks for a block when something has ended by time and no record makes one.
func (d *DA) tick(ctx context.Context) error {
	if d.state.Genesis().Params.Settlement == ledger.SettleFirst {
		return nil
	}
	now := d.app.now()
	place := slices.Index(d.state.Order(), d.cfg.ID)
	deadline := d.state.NextDeadline()
	if deadline == 0 || place < 0 || now.UnixMilli()-deadline < (tickAfter*time.Duration(1+place)).Milliseconds() ||
		now.Sub(d.tickedAt) < tickAfter*time.Duration(1+len(d.state.Order())) {
		return nil
	}
	sealed, err := d.app.sealTick()
	if err != nil {
		return err
	}
	d.tickedAt = now
	err = d.node.Submit(ctx, sealed)
	if errors.Is(err, consensus.ErrBusy) || ctx.Err() != nil {
		return nil // there are records enough for a block
	}
	return err
}

// sealTick makes a tick under this aggregator's next counter.
func (a *app) sealTick() ([]byte, error) {
	counter, _, err := a.state.Rejoining(a.self)
	if err != nil {
		return nil, fmt.Errorf("tick: %w", err)
	}
	chain := a.state.ChainID()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: a.self, Counter: counter, TimeMs: a.now().UnixMilli(),
		Body: &fairwattpb.Record_Tick{Tick: &fairwattpb.Tick{}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode tick: %w", err)
	}
	sealed, err := seal.Seal(a.key, a.self, seal.DomainRecord, chain, payload)
	if err != nil {
		return nil, fmt.Errorf("sign tick: %w", err)
	}
	return sealed, nil
}
