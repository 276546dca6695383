package mc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/snapshot"
	"fairwatt/proto/members"
	"fairwatt/proto/peerpb"
)

// This file keeps to the members: a centre follows, and submits to, the data aggregators
// that take part now, wherever they are.

// A seat is a data aggregator as it was reached last.
type seat struct {
	id, address string
	chain       Chain
}

// chains are the data aggregators to follow and to submit to; never none.
func (c *Centre) chains() []Chain {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seated
}

// reseat reaches the members of now; c.mu is held. Who is at the same place stays as it
// is, and who has left is let go. Where no one could be reached all stays as it was.
func (c *Centre) reseat() {
	if c.cfg.Dial == nil {
		return
	}
	var seats []seat
	for _, da := range c.state.Aggregators() {
		if da.Status != ledger.StatusMember {
			continue
		}
		if at := slices.IndexFunc(c.seats, func(s seat) bool { return s.id == da.ID && s.address == da.Address }); at >= 0 {
			seats = append(seats, c.seats[at])
			continue
		}
		chain, err := c.cfg.Dial(da.DA)
		if err != nil {
			c.cfg.Logger.Warn("a data aggregator cannot be reached", "da", da.ID, "address", da.Address, "err", err)
			continue
		}
		seats = append(seats, seat{da.ID, da.Address, chain})
	}
	if len(seats) == 0 {
		return
	}
	for _, old := range c.seats {
		if !slices.Contains(seats, old) {
			c.let(old)
		}
	}
	c.seats, c.seated = seats, make([]Chain, len(seats))
	for i, s := range seats {
		c.seated[i] = s.chain
	}
}

// let ends the connection to a data aggregator, if it is one.
func (c *Centre) let(s seat) {
	if closer, ok := s.chain.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			c.cfg.Logger.Debug("close connection", "da", s.id, "err", err)
		}
	}
}

// Close ends the connections that were made by Dial.
func (c *Centre) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seats {
		c.let(s)
	}
	c.seats = nil
	return nil
}

// pieces is a chain that hands out snapshots.
type pieces interface {
	SnapshotPiece(ctx context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error)
}

// leap goes on from the snapshot of a data aggregator that keeps the next block no more.
// The snapshot is checked from the genesis: who hands it out is not believed.
func (c *Centre) leap(ctx context.Context, from Chain) error {
	source, ok := from.(pieces)
	if !ok {
		return errors.New("it hands out no snapshot")
	}
	offer, err := source.SnapshotPiece(ctx, &peerpb.SnapshotRequest{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fairwatt-snapshot-")
	if err != nil {
		return fmt.Errorf("fetch snapshot: %w", err)
	}
	defer os.RemoveAll(dir) // nothing in it is needed any more
	path := filepath.Join(dir, "snapshot")
	if err := snapshot.Fetch(ctx, source.SnapshotPiece, offer.GetHeight(), path, func(uint64, uint64) {}); err != nil {
		return err
	}
	s, err := snapshot.Open(path, c.chain)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var own *members.Set
	if c.state.Height() > 0 {
		own = c.state.Members()
	}
	state, err := s.Verify(c.cfg.Genesis, own, c.state.Height())
	if err != nil {
		return err
	}
	c.cfg.Logger.Info("going on from a snapshot: no older block is kept there", "block", state.Height(), "was_at_block", c.state.Height())
	c.state, c.changed, c.lastNew = state, true, c.cfg.Now()
	clear(c.open)
	for _, r := range state.Requests() {
		if !r.Answered {
			c.open[requestKey{r.Buyer, r.ID}] = &asked{}
		}
	}
	c.reseat()
	return nil
}
