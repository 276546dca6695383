package aggregator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// accusations is the evidence that this data aggregator has seen and the chain has not.
type accusations struct {
	wake chan struct{} // one is open

	mu   sync.Mutex
	open map[string]*accusation // by whom it is against: one a member
}

type accusation struct {
	evidence *fairwattpb.Equivocation
	seen     time.Time
	counter  uint64 // of the record that was filed, 0 for none; the filer's own
}

// takeEvidence keeps what agreement has seen until the chain has it.
func (d *DA) takeEvidence(e *fairwattpb.Equivocation) bool {
	if d.deps.Genesis.Params.Trust != ledger.TrustByReports || !d.isMember() {
		return false
	}
	if err := d.state.Proves(e); err != nil {
		d.log.Debug("two statements for one place", "of", e.GetDa(), "err", err)
		return false
	}
	d.log.Warn("two statements for one place: the chain will be told", "of", e.GetDa())
	a := &d.accusations
	defer a.look()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = make(map[string]*accusation)
	}
	a.open[e.GetDa()] = &accusation{evidence: e, seen: d.app.now()}
	return true
}

// look wakes who brings evidence to the chain while there is some.
func (a *accusations) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) == 0 {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// accuse brings evidence to the chain when it is woken, until the context ends.
func (d *DA) accuse(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.accusations.wake:
			if err := d.fileEvidence(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("no evidence is told", "err", err) // the next block asks again
			}
		}
	}
}

// fileEvidence makes records of what is open. All members may have seen the same, and
// one record is enough: of the first f + 1 of the sequence one is honest, and each behind
// them waits a second more.
func (d *DA) fileEvidence(ctx context.Context) error {
	for _, one := range d.accusations.due(d) {
		sealed, counter, err := d.app.sealEvidence(one.evidence)
		if err != nil {
			return err
		}
		if err := d.node.Submit(ctx, sealed); errors.Is(err, consensus.ErrBusy) {
			return nil // again with the next block
		} else if err != nil {
			return err
		}
		one.counter = counter
	}
	return nil
}

// due returns what is this data aggregator's to tell now, and forgets what the chain
// would take no more. Agreement waits for it: no record is made here.
func (a *accusations) due(d *DA) (out []*accusation) {
	order, now := d.state.Order(), d.app.now()
	place := slices.Index(order, d.cfg.ID) - wire.Faulty(len(order)) - 1 // the accused may stand first
	a.mu.Lock()
	defer a.mu.Unlock()
	for da, one := range a.open {
		switch {
		case d.state.Proves(one.evidence) != nil:
			delete(a.open, da) // told, or too old
		case now.Sub(one.seen) < time.Second*time.Duration(max(0, place)):
		case one.counter == 0 || one.counter <= d.state.LastCounter(d.cfg.ID): // else it is under way
			out = append(out, one)
		}
	}
	return out
}

// sealEvidence makes a record of evidence under this aggregator's next counter.
func (a *app) sealEvidence(e *fairwattpb.Equivocation) (sealed []byte, counter uint64, err error) {
	if counter, _, err = a.state.Rejoining(a.self); err != nil {
		return nil, 0, fmt.Errorf("evidence: %w", err)
	}
	chain := a.state.ChainID()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: a.self, Counter: counter, TimeMs: a.now().UnixMilli(),
		Body: &fairwattpb.Record_Equivocation{Equivocation: e},
	})
	if err != nil {
		return nil, 0, fmt.Errorf("encode evidence: %w", err)
	}
	if sealed, err = seal.Seal(a.key, a.self, seal.DomainRecord, chain, payload); err != nil {
		return nil, 0, fmt.Errorf("sign evidence: %w", err)
	}
	return sealed, counter, nil
}
