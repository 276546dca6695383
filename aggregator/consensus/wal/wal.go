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
)

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
func Whole(dir string, epoch uint64) (bool, error) {
	s, err := inspect(dir, Folder(dir, epoch))
	if err != nil || !s.log && !s.fresh {
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
		later, err := inspect(dir, filepath.Join(dir, e.Name()))
		if err != nil || later.log {
			return false, err
		}
	}
	return true, nil
}

// Open opens or makes the log of an epoch. entered says that the node came
// into the epoch from an earlier one in which it knew all that it had said, by
// storing the last block there: that proves that it has not voted in this one.
// A log that is there and cannot be read is lost, too.
func Open(log api.Logger, dir string, epoch, height uint64, entered bool) (*wal.WriteAheadLogFile, [][]byte, error) {
	own := Folder(dir, epoch)
	state, err := inspect(dir, own)
	if err != nil {
		return nil, nil, err
	}
	first := epoch == 1 && height == 0 && state.epochs == 0
	if !state.log && !state.fresh && !entered && !first {
		return nil, nil, ErrLost
	}
	if err := Prepare(dir, epoch+1); err != nil {
		return nil, nil, err
	}
	if state.fresh {
		// The mark must be gone before the log exists: the library takes a
		// folder that is not empty for one with a log.
		if err := os.Remove(filepath.Join(own, freshMark)); err != nil {
			return nil, nil, fmt.Errorf("begin log: %w", err)
		}
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
	return file, content, removeOlder(dir, epoch)
}

type logState struct {
	log, fresh bool
	epochs     int // folders of any epoch
}

func inspect(dir, own string) (logState, error) {
	var s logState
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("open log: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "epoch-") {
			s.epochs++
		}
	}
	entries, err = os.ReadDir(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("open log: %w", err)
	}
	for _, e := range entries {
		s.fresh = s.fresh || e.Name() == freshMark
		s.log = s.log || strings.HasSuffix(e.Name(), ".wal")
	}
	return s, nil
}

// Prepare marks an epoch as one this node has not voted in.
func Prepare(dir string, epoch uint64) error {
	next := Folder(dir, epoch)
	s, err := inspect(dir, next)
	if err != nil || s.log || s.fresh {
		return err
	}
	if err := os.MkdirAll(next, 0o700); err != nil {
		return fmt.Errorf("prepare log: %w", err)
	}
	if err := os.WriteFile(filepath.Join(next, freshMark), nil, 0o600); err != nil {
		return fmt.Errorf("prepare log: %w", err)
	}
	return syncDir(dir, next)
}

func syncDir(dirs ...string) error {
	for _, dir := range dirs {
		d, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		err = errors.Join(d.Sync(), d.Close())
		if err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
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
