// Package boltfile opens bbolt files that may be damaged.
//
// bbolt maps its file and trusts it: on one that was cut or overwritten it faults or
// panics, in the middle of a run if not at once. [Open] looks at size and pages
// first and reads every key and value once. What it finds is [ErrDamaged], which
// a caller can act upon: refuse the file, or put it aside by [Aside].
//
// Read the whole file before use: it costs some milliseconds a megabyte. A check by
// bbolt's own Tx.Check was refused: it runs in a goroutine of its own, whose panic
// cannot be caught.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is in the error of a file that is there and cannot be read.
var ErrDamaged = errors.New("the file is damaged")

// Open opens or makes a file. Another process that has it open is bbolt's
// ErrTimeout.
func Open(path string, options *bbolt.Options) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if db != nil {
				err = db.Close()
			}
			db, err = nil, errors.Join(fmt.Errorf("%w: %v", ErrDamaged, p), err)
		}
	}()
	if err := checkSize(path); err != nil {
		if !errors.Is(err, errEmpty) || !madeMeanwhile(path, options) {
			return nil, err
		}
		if err := checkSize(path); err != nil {
			return nil, err
		}
	}
	db, err = bbolt.Open(path, 0o600, options)
	switch {
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	if err := read(db); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrDamaged, err), db.Close())
	}
	return db, nil
}

var errEmpty = errors.New("it is empty")

// madeMeanwhile waits for an empty file to get its first pages: another
// process may be making it this moment, before it has the lock.
func madeMeanwhile(path string, options *bbolt.Options) bool {
	wait := LockTimeout
	if options != nil && options.Timeout > 0 {
		wait = options.Timeout
	}
	for end := time.Now().Add(wait); time.Now().Before(end); {
		if err := checkSize(path); !errors.Is(err, errEmpty) {
			return true
		}
		time.Sleep(lookEvery) // the file system tells of no change; bbolt waits for its lock in the same way
	}
	return false
}

const lookEvery = 20 * time.Millisecond

// Aside renames a damaged file, so that it can be looked into, and returns its new
// name. A former one of that name goes.
func Aside(path string) (string, error) {
	to := path + ".damaged"
	return to, os.Rename(path, to)
}

// read reads every key and value once.
func read(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return readBucket(b, 0) })
	})
}

// maxNested bounds buckets within buckets: a damaged page may name its own parent.
const maxNested = 8

func readBucket(b *bbolt.Bucket, depth int) error {
	if depth > maxNested {
		return fmt.Errorf("buckets nest deeper than %d", maxNested)
	}
	var sum byte
	var last []byte
	return b.ForEach(func(k, v []byte) error {
		if last != nil && string(k) <= string(last) {
			return errors.New("its keys are out of order")
		}
		last = append(last[:0], k...)
		if v == nil {
			inner := b.Bucket(k)
			if inner == nil {
				return errors.New("a bucket cannot be opened")
			}
			return readBucket(inner, depth+1)
		}
		for i := 0; i < len(v); i += 512 { // touch each page
			sum ^= v[i]
		}
		return nil
	})
}

// checkSize finds a file that was cut off: it is shorter than the pages its
// meta page counts. bbolt would map it and fault on the first missing page.
func checkSize(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a new file
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// Layout of bbolt's file format, version 2: a page header of 16 bytes,
	// then magic, version, page size, flags (4 bytes each), root bucket (16),
	// freelist, page count, transaction id, checksum (8 each).
	const magic, metaBytes = 0xED0CDAED, 16 + 64
	var pages, tx uint64
	pageSize := int64(os.Getpagesize())
	for i := range int64(2) {
		page := make([]byte, metaBytes)
		switch _, err := f.ReadAt(page, i*pageSize); {
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case err != nil && info.Size() == 0:
			return fmt.Errorf("%w: %w", ErrDamaged, errEmpty)
		case err != nil:
			return fmt.Errorf("%w: %d bytes are too short for it", ErrDamaged, info.Size())
		}
		meta := page[16:]
		if binary.NativeEndian.Uint32(meta) != magic {
			continue
		}
		pageSize = int64(binary.NativeEndian.Uint32(meta[8:]))
		if id := binary.NativeEndian.Uint64(meta[48:]); id >= tx {
			tx, pages = id, binary.NativeEndian.Uint64(meta[40:])
		}
	}
	switch {
	case pages == 0:
		return fmt.Errorf("%w: it is no bbolt file", ErrDamaged)
	case uint64(info.Size()) < pages*uint64(pageSize):
		return fmt.Errorf("%w: %d bytes, its pages need %d", ErrDamaged, info.Size(), pages*uint64(pageSize))
	}
	return nil
}

// LockTimeout is how long an Open waits for another process by default.
const LockTimeout = time.Second
