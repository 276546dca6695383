package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fairwatt/proto/durable"
	"fairwatt/proto/peerpb"
)

// MaxPiece bounds what one answer carries.
const MaxPiece = 1 << 20

// Kept is how many snapshots a folder keeps: who fetches one has as long as the next two
// take to come.
const Kept = 2

const suffix = ".snapshot"

// incoming is where a fetched snapshot waits until the data aggregator begins with it.
const incoming = "incoming"

// A Folder keeps snapshots as files, by height. One goroutine writes.
type Folder string

func (f Folder) path(height uint64) string {
	return filepath.Join(string(f), fmt.Sprintf("%020d%s", height, suffix))
}

// Heights returns those of the snapshots that are kept, ascending.
func (f Folder) Heights() ([]uint64, error) {
	files, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshots: %w", err)
	}
	var out []uint64
	for _, file := range files {
		name, is := strings.CutSuffix(file.Name(), suffix)
		if h, err := strconv.ParseUint(name, 10, 64); is && err == nil && h > 0 && filepath.Base(f.path(h)) == file.Name() {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Newest returns the height of the newest one, 0 for none.
func (f Folder) Newest() (uint64, error) {
	heights, err := f.Heights()
	if err != nil || len(heights) == 0 {
		return 0, err
	}
	return heights[len(heights)-1], nil
}

// Keep writes the snapshot of a height, and takes out those beyond [Kept].
func (f Folder) Keep(height uint64, s *Snapshot) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("keep snapshot: %w", err)
	}
	if err := durable.Write(f.path(height), 0o600, s.Write); err != nil {
		return fmt.Errorf("keep snapshot of block %d: %w", height, err)
	}
	heights, err := f.Heights()
	if err != nil {
		return err
	}
	for ; len(heights) > Kept; heights = heights[1:] {
		if err := os.Remove(f.path(heights[0])); err != nil {
			return fmt.Errorf("remove old snapshot: %w", err)
		}
	}
	return nil
}

// Piece answers a question for a piece: of the newest snapshot where it names none. A
// snapshot that is not kept gives an empty one.
func (f Folder) Piece(req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	height := req.GetHeight()
	if height == 0 {
		var err error
		if height, err = f.Newest(); err != nil || height == 0 {
			return &peerpb.SnapshotPiece{}, err
		}
	}
	file, err := os.Open(f.path(height))
	if errors.Is(err, fs.ErrNotExist) {
		return &peerpb.SnapshotPiece{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	size := uint64(info.Size())
	if req.GetOffset() >= size {
		return &peerpb.SnapshotPiece{Height: height, Size: size}, nil
	}
	data := make([]byte, min(MaxPiece, size-req.GetOffset()))
	if _, err := file.ReadAt(data, int64(req.GetOffset())); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return &peerpb.SnapshotPiece{Height: height, Size: size, Data: data}, nil
}

// Ask asks one source for a piece.
type Ask func(ctx context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error)

// ErrBroken is in the error of [Fetch] for a source that answers what no honest one does.
var ErrBroken = errors.New("the source breaks the rules of snapshots")

// Fetch collects the snapshot of a height from one source into a file. told hears how far
// it is. Nothing of it is checked yet but its size.
func Fetch(ctx context.Context, ask Ask, height uint64, path string, told func(have, size uint64)) error {
	return durable.Write(path, 0o600, func(w io.Writer) error {
		var have, size uint64
		for {
			p, err := ask(ctx, &peerpb.SnapshotRequest{Height: height, Offset: have})
			if err != nil {
				return err
			}
			n := uint64(len(p.GetData()))
			switch {
			case p.GetHeight() == 0 && p.GetSize() == 0 && n == 0:
				return fmt.Errorf("the snapshot of block %d is there no more", height)
			case p.GetHeight() != height || have > 0 && p.GetSize() != size:
				return fmt.Errorf("%w: it hands out block %d with %d bytes, asked for was block %d with %d", ErrBroken, p.GetHeight(), p.GetSize(), height, size)
			case p.GetSize() > MaxBytes:
				return fmt.Errorf("%w: %d bytes, at most %d", ErrBroken, p.GetSize(), MaxBytes)
			case n == 0 || n > MaxPiece || have+n > p.GetSize():
				return fmt.Errorf("%w: a piece of %d bytes at %d of %d", ErrBroken, n, have, p.GetSize())
			}
			if _, err := w.Write(p.GetData()); err != nil {
				return fmt.Errorf("write snapshot: %w", err)
			}
			have, size = have+n, p.GetSize()
			told(have, size)
			if have == size {
				return nil
			}
		}
	})
}

// Incoming is the path of the snapshot that the data aggregator is to begin with.
func (f Folder) Incoming() string { return filepath.Join(string(f), incoming) }

// Adopt makes the incoming snapshot, of a height, one of those that are kept.
func (f Folder) Adopt(height uint64) error {
	if err := durable.Rename(f.Incoming(), f.path(height)); err != nil {
		return fmt.Errorf("keep snapshot of block %d: %w", height, err)
	}
	return nil
}

// Read reads the snapshot of a height.
func (f Folder) Read(height uint64, chain [32]byte) (*Snapshot, error) {
	return Open(f.path(height), chain)
}

// Open reads the snapshot in a file.
func Open(path string, chain [32]byte) (s *Snapshot, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return Read(file, chain)
}
