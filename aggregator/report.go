package aggregator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// reports is what a DA remembers of its own reports.
type reports struct {
	self string
	wake chan struct{} // one is due

	mu sync.Mutex
	// news: a block since the newest report had more than reports. Else reports would
	// make blocks, these would end epochs, and an idle chain would report for ever.
	news bool
	// The one under way: its record, and what it tells. epoch is 0 if there is none.
	epoch, counter uint64
	record         [32]byte
	seen           map[string]consensus.Sight
}

// added looks at a committed block: a report of this DA's own is in it, or is due now.
func (r *reports) added(d *DA, st *ledger.Staged) {
	if d.deps.Genesis.Params.Trust != ledger.TrustByReports || !d.isMember() {
		return
	}
	r.book(d, st)
	r.look(d)
}

func (r *reports) book(d *DA, st *ledger.Staged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range st.Records() {
		switch {
		case r.epoch > 0 && c.ID == r.record:
			if st.Outcomes()[i].GetApplied() {
				d.node.Reported(r.seen)
				r.news = false
			}
			r.epoch, r.seen = 0, nil
		case c.Record.GetReport() == nil && c.Record.GetTick() == nil: // those end epochs by themselves
			r.news = true
		}
	}
}

// look wakes who files reports when one is due. Where there are few blocks, the time
// makes it so and no block comes to tell.
func (r *reports) look(d *DA) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due(d.state, d.app.now().UnixMilli()) {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// due is true from the middle of an epoch on, once in each: then what is reported
// counts at the epoch's end. A report whose counter another record has used is made
// again.
func (r *reports) due(s *ledger.State, nowMs int64) bool {
	return r.news && s.HalfOver(nowMs) && (r.epoch != s.Epoch() || r.counter <= s.LastCounter(r.self))
}

// report files reports when they are due, until the context ends.
func (d *DA) report(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.reports.wake:
			err := d.fileReport(ctx)
			if err != nil && ctx.Err() == nil {
				d.log.Warn("no report", "err", err) // the next block asks again
			}
		}
	}
}

func (d *DA) fileReport(ctx context.Context) error {
	epoch := d.state.Epoch()
	counter, newest, err := d.state.Reporting(d.cfg.ID)
	if err != nil {
		return fmt.Errorf("report on epoch %d: %w", epoch, err)
	}
	seen := d.node.Sights()
	sealed, err := d.app.sealReport(epoch, counter, seen)
	if err != nil || newest == epoch {
		return err
	}
	r := &d.reports
	r.mu.Lock()
	r.epoch, r.counter, r.record, r.seen = epoch, counter, seal.ID(sealed), seen
	r.mu.Unlock()
	err = d.node.Submit(ctx, sealed)
	if errors.Is(err, consensus.ErrBusy) {
		r.mu.Lock()
		r.epoch = 0
		r.mu.Unlock()
	}
	return err
}

// sealReport makes a record of what was seen.
func (a *app) sealReport(epoch, counter uint64, seen map[string]consensus.Sight) ([]byte, error) {
	body := &fairwattpb.Report{Epoch: epoch}
	for da, v := range seen {
		body.Seen = append(body.Seen, &fairwattpb.Seen{
			Da: da, Taken: v.Taken, Late: v.Late, Missed: v.Missed, Given: v.Given, OverheadUs: v.OverheadUs,
		})
	}
	slices.SortFunc(body.Seen, func(x, y *fairwattpb.Seen) int { return strings.Compare(x.Da, y.Da) })
	chain := a.state.ChainID()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: a.self, Counter: counter, TimeMs: a.now().UnixMilli(),
		Body: &fairwattpb.Record_Report{Report: body},
	})
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	sealed, err := seal.Seal(a.key, a.self, seal.DomainRecord, chain, payload)
	if err != nil {
		return nil, fmt.Errorf("sign report: %w", err)
	}
	return sealed, nil
}
