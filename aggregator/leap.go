package aggregator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/snapshot"
	"fairwatt/aggregator/store"
	"fairwatt/proto/durable"
	"fairwatt/proto/members"
	"fairwatt/proto/peerpb"
)

// This file is for snapshots of the state. One is kept at the end of an epoch and handed
// out. A DA that has nothing, or that no one has the next block for, fetches one; then it
// ends with ErrLeap, and begins with the snapshot when it is made again.

// ErrLeap is in the error with which [DA.Run] ends once a snapshot is there to begin with:
// make the DA again.
var ErrLeap = consensus.ErrLeap

// A leapError ends a DA that is to begin anew.
type leapError struct{ liars []string }

func (e *leapError) Error() string { return ErrLeap.Error() }
func (e *leapError) Unwrap() error { return ErrLeap }

// Liars returns, of an error of [DA.Run] that is [ErrLeap], the other data aggregators
// that have handed out snapshots that did not hold: hand them to the DA that is made
// again, and it counts them.
func Liars(err error) []string {
	var leap *leapError
	if errors.As(err, &leap) {
		return leap.liars
	}
	return nil
}

// SnapshotFolder is the folder of snapshots in a DA's folder.
const SnapshotFolder = "snapshots"

// A SnapshotLink is a link over which snapshots can be fetched.
type SnapshotLink interface {
	Snapshot(ctx context.Context, from string, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error)
}

const (
	// offerWithin bounds the question who has which snapshot, pieceWithin the one for a
	// piece of it.
	offerWithin = 500 * time.Millisecond
	pieceWithin = 30 * time.Second
	// progressEvery is how often a long way is told.
	progressEvery = 5 * time.Second
)

// taken is a state to be kept.
type taken struct {
	height  uint64
	entries []ledger.Entry
}

// keepState hands the state over to be kept, if a snapshot is due and the one before is
// written. It is called behind the last block of an epoch.
func (d *DA) keepState() {
	if now := d.deps.Now(); d.kept.IsZero() || now.Sub(d.kept) >= d.cfg.SnapshotEvery || now.Before(d.kept) {
		select {
		case d.states <- taken{d.state.Height(), d.state.Entries()}:
			d.kept = now
		default:
		}
	}
}

// keepSnapshots writes them.
func (d *DA) keepSnapshots(ctx context.Context) error {
	for {
		var t taken
		select {
		case <-ctx.Done():
			return nil
		case t = <-d.states:
		}
		began := time.Now()
		if err := d.keepSnapshot(t); err != nil {
			d.log.Warn("no snapshot kept", "block", t.height, "err", err)
			continue
		}
		d.log.Info("snapshot kept", "block", t.height, "entries", len(t.entries), "took_ms", time.Since(began).Milliseconds())
	}
}

func (d *DA) keepSnapshot(t taken) error {
	s := &snapshot.Snapshot{Chain: d.state.ChainID(), Entries: t.entries}
	var err error
	if s.Block, err = d.store.Block(t.height); err != nil {
		return err
	}
	if s.Turns, err = d.state.TurnsBelow(t.height, d.store.Turn); err != nil {
		return err
	}
	return d.snapshots().Keep(t.height, s)
}

func (d *DA) snapshots() snapshot.Folder {
	return snapshot.Folder(filepath.Join(d.cfg.Dir, SnapshotFolder))
}

// servePiece answers other DAs, and centres.
func (d *DA) servePiece(req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	return d.snapshots().Piece(req)
}

// SnapshotPiece hands out a piece of a snapshot: with Follow it makes a DA a chain for the
// management centre in the same process.
func (d *DA) SnapshotPiece(_ context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	return d.servePiece(req)
}

// An offer is a snapshot that another DA says it has.
type offer struct {
	da     string
	height uint64
}

// offers asks all at once for the newest snapshot that each has. Those above a height
// are returned, the newest first.
func offers(ctx context.Context, link SnapshotLink, peers []string, above uint64) []offer {
	ctx, cancel := context.WithTimeout(ctx, offerWithin)
	defer cancel()
	found := make([]offer, len(peers))
	var all sync.WaitGroup
	for k, da := range peers {
		all.Go(func() {
			if p, err := link.Snapshot(ctx, da, &peerpb.SnapshotRequest{}); err == nil {
				found[k] = offer{da, p.GetHeight()}
			}
		})
	}
	all.Wait()
	found = slices.DeleteFunc(found, func(o offer) bool { return o.height <= above })
	slices.SortStableFunc(found, func(a, b offer) int { return cmp.Compare(b.height, a.height) })
	return found
}

// leap is consensus.Config.Leap: it puts a snapshot that holds where the DA finds it when
// it is made again.
func (d *DA) leap(ctx context.Context, peers []string, must bool, refused func(da string, err error)) (bool, error) {
	link, ok := d.deps.Link.(SnapshotLink)
	if !ok || d.cfg.FromBlocks && !must {
		return false, nil
	}
	have := d.state.Height()
	above := have
	if !must {
		above += d.cfg.SnapshotGain - 1
	}
	for _, o := range offers(ctx, link, peers, above) {
		began := time.Now()
		size, state, err := d.fetchSnapshot(ctx, link, o)
		var wrong *wrongSnapshot
		switch {
		case ctx.Err() != nil:
			return false, nil
		case errors.As(err, &wrong):
			d.log.Warn("snapshot refused: another data aggregator is asked", "from", o.da, "block", o.height, "err", err)
			refused(o.da, err)
			d.liars = append(d.liars, o.da)
		case err != nil:
			d.log.Warn("snapshot not fetched: another data aggregator is asked", "from", o.da, "block", o.height, "err", err)
		default:
			d.log.Info("snapshot fetched: the chain begins with it here", "from", o.da, "block", o.height, "epoch", state.Epoch(), "bytes", size,
				"records", state.Totals().Records, "was_at_block", have, "took_ms", time.Since(began).Milliseconds())
			return true, nil
		}
	}
	return false, nil
}

// wrongSnapshot is the error of a snapshot that no honest DA hands out.
type wrongSnapshot struct{ error }

func (w *wrongSnapshot) Unwrap() error { return w.error }

func (d *DA) fetchSnapshot(ctx context.Context, link SnapshotLink, o offer) (size uint64, state *ledger.State, err error) {
	if err := os.MkdirAll(string(d.snapshots()), 0o700); err != nil {
		return 0, nil, fmt.Errorf("fetch snapshot: %w", err)
	}
	path := d.snapshots().Incoming()
	aside := path + ".unchecked"
	defer os.Remove(aside) // gone where it was renamed
	told := time.Now()
	err = snapshot.Fetch(ctx, func(ctx context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
		ctx, cancel := context.WithTimeout(ctx, pieceWithin)
		defer cancel()
		return link.Snapshot(ctx, o.da, req)
	}, o.height, aside, func(have, all uint64) {
		if size = all; time.Since(told) >= progressEvery {
			told = time.Now()
			d.log.Info("fetching a snapshot", "from", o.da, "block", o.height, "bytes", have, "of", all)
		}
	})
	if errors.Is(err, snapshot.ErrBroken) {
		err = &wrongSnapshot{err}
	}
	if err != nil {
		return size, nil, err
	}
	if _, state, err = readSnapshot(aside, d.deps.Genesis, d.state); err != nil {
		return size, nil, blame(err)
	}
	if state.Height() != o.height {
		return size, nil, &wrongSnapshot{fmt.Errorf("it is of block %d, and was offered as of block %d", state.Height(), o.height)}
	}
	if err := durable.Rename(aside, path); err != nil {
		return size, nil, fmt.Errorf("fetch snapshot: %w", err)
	}
	return size, state, nil
}

// blame returns the error of reading a snapshot as one of who handed it out, unless it is
// of this machine's own disk.
func blame(err error) error {
	if own := (*fs.PathError)(nil); errors.As(err, &own) {
		return err
	}
	return &wrongSnapshot{err}
}

// readSnapshot reads a snapshot from a file and checks all of it for who has a state
// already.
func readSnapshot(path string, g *ledger.Genesis, have *ledger.State) (*snapshot.Snapshot, *ledger.State, error) {
	s, err := snapshot.Open(path, g.ChainID())
	if err != nil {
		return nil, nil, err
	}
	var own *members.Set
	if have.Height() > 0 {
		own = have.Members()
	}
	state, err := s.Verify(g, own, have.Height())
	return s, state, err
}

// beginAnew puts a snapshot that was fetched into the store. One that does not hold any
// more is taken away: the blocks that are stored go on.
func (d *DA) beginAnew() error {
	path := d.snapshots().Incoming()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	have, err := d.store.LoadState(d.deps.Genesis)
	if err != nil {
		return err
	}
	s, state, err := readSnapshot(path, d.deps.Genesis, have)
	if err != nil {
		d.log.Warn("a snapshot that waited here is not used", "err", err)
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("take a snapshot away: %w", err)
		}
		return nil
	}
	if err := d.store.Begin(&store.Start{State: state, Block: s.Block, Turns: s.Turns}); err != nil {
		return err
	}
	d.log.Info("the chain begins with a snapshot: older blocks are with the other data aggregators, or in an archive", "block", state.Height(),
		"epoch", state.Epoch(), "was_at_block", have.Height())
	return d.snapshots().Adopt(state.Height())
}
