package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	"github.com/hyperledger-labs/SmartBFT/pkg/wal"

	"fairwatt/proto/durable"
)

// A Dir is the folder under which a node's logs lie, one folder an epoch.
type Dir string

// A Log takes entries, each on disk when Append returns. truncateTo says that
// what is older is not needed any more.
type Log interface {
	Append(entry []byte, truncateTo bool) error
	Close() error
}

// lostMark is a file that says that the log of the folder does not tell all that
// this node has said, and why. Peers told so, and may forget it.
const lostMark = "lost"

// freshMark is a file that says that this node has not voted in the epoch of
// the folder. It is made an epoch ahead and removed before the first vote, so
// that a folder with neither mark nor log was tampered with or lost.
const freshMark = "fresh"

// Folder is where the log of an epoch lies under dir.
func Folder(dir string, epoch uint64) string {
	return filepath.Join(dir, fmt.Sprintf("epoch-%08d", epoch))
}

// ErrLost means that this node may have voted in the epoch and does not
// know how.
var ErrLost = errors.New("the log of this epoch is missing or damaged: not voting before the next one")

// Whole reports whether the folder tells all that this node has said in an epoch,
// and that it has said nothing in a later one.
func (d Dir) Whole(epoch uint64) (bool, error) {
	dir := string(d)
	s, err := inspect(dir, epoch)
	if err != nil || s.lost != nil || !s.log && !s.fresh {
		return false, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("open log: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "epoch-") || e.Name() <= filepath.Base(Folder(dir, epoch)) {
			continue
		}
		var number uint64
		if _, err := fmt.Sscanf(e.Name(), "epoch-%d", &number); err != nil {
			continue // no folder of ours
		}
		later, err := inspect(dir, number)
		if err != nil || later.log && !later.fresh {
			return false, err
		}
	}
	return true, nil
}

// Open opens or makes the log of an epoch. entered says that the node came
// into the epoch from an earlier one in which it knew all that it had said, by
// storing the last block there: that proves that it has not voted in this one.
// A log that is there and cannot be read is lost, too.
func (d Dir) Open(log api.Logger, epoch, height uint64, entered bool) (Log, [][]byte, error) {
	dir := string(d)
	own := Folder(dir, epoch)
	state, err := inspect(dir, epoch)
	if err != nil {
		return nil, nil, err
	}
	if state.lost != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrLost, state.lost)
	}
	first := epoch == 1 && height == 0 && state.epochs == 0
	if !state.log && !state.fresh && !entered && !first {
		return nil, nil, ErrLost
	}
	begins := state.fresh || !state.log
	if begins {
		if err := d.begin(epoch); err != nil {
			return nil, nil, fmt.Errorf("begin log: %w", err)
		}
		state.log = false
	}
	if err := d.Prepare(epoch + 1); err != nil {
		return nil, nil, err
	}
	options := &wal.Options{BufferSizeBytes: 64 << 10}
	file, content, err := wal.InitializeAndReadAll(log, own, options)
	if err != nil && state.log {
		// A torn tail the library mends itself; an empty last file it does not.
		if repairErr := wal.Repair(log, own); repairErr == nil {
			file, content, err = wal.InitializeAndReadAll(log, own, options)
		} else {
			err = fmt.Errorf("%w; repair: %w", err, repairErr)
		}
	}
	var denied *fs.PathError
	switch {
	case err == nil:
	case state.log && !errors.As(err, &denied):
		return nil, nil, fmt.Errorf("%w: %w", ErrLost, err)
	default:
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	if begins {
		if err := d.begun(epoch); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("begin log: %w", err), file.Close())
		}
	}
	return file, content, removeOlder(dir, epoch)
}

// beginMark says that a log is being begun: nothing was said by it. The mark of a
// fresh folder must be gone before the log exists, since the library takes a folder
// that is not empty for one with a log; and a crash in between must not look like a
// lost log, of which a power cut would leave one at every node.
func beginMark(dir string, epoch uint64) string {
	return filepath.Join(dir, fmt.Sprintf("begin-%08d", epoch))
}

func (d Dir) begin(epoch uint64) error {
	dir := string(d)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(beginMark(dir, epoch), nil, 0o600); err != nil {
		return err
	}
	if err := durable.SyncDirs(dir); err != nil {
		return err
	}
	return os.RemoveAll(Folder(dir, epoch))
}

func (d Dir) begun(epoch uint64) error {
	if err := os.Remove(beginMark(string(d), epoch)); err != nil {
		return err
	}
	return durable.SyncDirs(string(d))
}

type logState struct {
	log, fresh bool
	lost       error
	epochs     int // folders of any epoch
}

func inspect(dir string, epoch uint64) (logState, error) {
	var s logState
	own := Folder(dir, epoch)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("open log: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "epoch-") {
			s.epochs++
		}
		s.fresh = s.fresh || e.Name() == filepath.Base(beginMark(dir, epoch))
	}
	entries, err = os.ReadDir(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("open log: %w", err)
	}
	for _, e := range entries {
		s.fresh = s.fresh || e.Name() == freshMark
		if e.Name() == lostMark {
			why, err := os.ReadFile(filepath.Join(own, lostMark))
			if err != nil {
				return s, fmt.Errorf("open log: %w", err)
			}
			s.lost = errors.New(string(why))
		}
		s.log = s.log || strings.HasSuffix(e.Name(), ".wal")
	}
	return s, nil
}

// Prepare marks an epoch as one this node has not voted in.
func (d Dir) Prepare(epoch uint64) error {
	dir := string(d)
	next := Folder(dir, epoch)
	s, err := inspect(dir, epoch)
	if err != nil || s.log || s.fresh || s.lost != nil {
		return err
	}
	if err := os.MkdirAll(next, 0o700); err != nil {
		return fmt.Errorf("prepare log: %w", err)
	}
	if err := os.WriteFile(filepath.Join(next, freshMark), nil, 0o600); err != nil {
		return fmt.Errorf("prepare log: %w", err)
	}
	return durable.SyncDirs(dir, next)
}

// Lose marks the log of an epoch as one that does not tell all.
func (d Dir) Lose(epoch uint64, why string) error {
	own := Folder(string(d), epoch)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return fmt.Errorf("give up log: %w", err)
	}
	why = strings.TrimPrefix(why, ErrLost.Error()+": ")
	if err := os.WriteFile(filepath.Join(own, lostMark), []byte(why), 0o600); err != nil {
		return fmt.Errorf("give up log: %w", err)
	}
	return durable.SyncDirs(string(d), own)
}

// Renew removes the log of an epoch, for a node that is sure by other means what
// it may say there.
func (d Dir) Renew(epoch uint64) error {
	if err := os.RemoveAll(Folder(string(d), epoch)); err != nil {
		return fmt.Errorf("begin log anew: %w", err)
	}
	return d.Prepare(epoch)
}

// resumeFile holds what lets a node take part again; resumedFile, what did.
const (
	resumeFile  = "resume"
	resumedFile = "resumed"
)

// Resumption is what PutResumption has put, nil if there is none.
func (d Dir) Resumption() ([]byte, error) { return d.read(resumeFile) }

// PastResumption is what Resumed has put aside last, nil if there is none.
func (d Dir) PastResumption() ([]byte, error) { return d.read(resumedFile) }

func (d Dir) read(name string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(string(d), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read resumption: %w", err)
	}
	return raw, nil
}

// PutResumption keeps what lets this node take part again. It is on disk when
// PutResumption returns.
func (d Dir) PutResumption(raw []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("write resumption: %w", err)
	}
	if err := durable.WriteBytes(filepath.Join(string(d), resumeFile), 0o600, raw); err != nil {
		return fmt.Errorf("write resumption: %w", err)
	}
	return nil
}

// Resumed puts the resumption aside: it counts once.
func (d Dir) Resumed() error {
	if err := durable.Rename(filepath.Join(string(d), resumeFile), filepath.Join(string(d), resumedFile)); err != nil {
		return fmt.Errorf("put resumption aside: %w", err)
	}
	return nil
}

func removeOlder(dir string, epoch uint64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("remove old logs: %w", err)
	}
	current := filepath.Base(Folder(dir, epoch))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "epoch-") && len(e.Name()) == len(current) && e.Name() < current {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove old logs: %w", err)
			}
		}
	}
	return nil
}
