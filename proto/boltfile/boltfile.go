// Package boltfile opens bbolt files that may be damaged.
//
// bbolt maps its file and trusts it: on one that was cut or overwritten it faults or
// panics, in the middle of a run if not at once. [Open] looks at size and pages
// first and reads every key and value once. What it finds is [ErrDamaged], which
// a caller can act upon: refuse the file, or put it aside by [Aside].
//
// Open reads the whole file before use: it costs some milliseconds a megabyte.
// [OpenUnread] does not, for files that are too large for that. A file may also be
// damaged while it is in use: the transactions of [DB] return ErrDamaged then, where
// bbolt would end the program with a fault in mapped memory.
//
// A check by bbolt's own Tx.Check was refused: it runs in a goroutine of its own, whose
// panic cannot be caught.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"fairwatt/proto/durable"
)

// ErrDamaged is in the error of a file that is there and cannot be read.
var ErrDamaged = errors.New("the file is damaged")

// A DB is an open file. Its View, Update and Close are bbolt's, and bear damage.
type DB struct {
	*bbolt.DB
	// broken: a write met damage. bbolt may hold its locks ever since.
	broken atomic.Bool
}

// View runs a read transaction. What the file's damage makes bbolt or fn do is an
// error that wraps ErrDamaged.
func (d *DB) View(fn func(tx *bbolt.Tx) error) error {
	return Guard(func() error { return d.DB.View(fn) })
}

// Update runs a write transaction, as View does a read one. After damage no other one
// is begun.
func (d *DB) Update(fn func(tx *bbolt.Tx) error) error {
	if d.broken.Load() {
		return fmt.Errorf("%w: a write before met it", ErrDamaged)
	}
	ended := false
	defer func() {
		if !ended {
			d.broken.Store(true)
		}
	}()
	return Guard(func() error {
		err := d.DB.Update(fn)
		ended = true
		return err
	})
}

// Close closes the file. One in which a write met damage stays open until the process
// ends: bbolt would wait for a lock that no one gives back.
func (d *DB) Close() error {
	if d.broken.Load() {
		return nil
	}
	return Guard(d.DB.Close)
}

// Guard calls f and returns its error. A panic in it, or a fault in mapped memory, is an
// error that wraps ErrDamaged.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: a page of it cannot be read (%w)", ErrDamaged, p)
		default:
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// Open opens or makes a file, and reads it. Another process that has it open is bbolt's
// ErrTimeout.
func Open(path string, options *bbolt.Options) (*DB, error) {
	if err := checkSize(path); errors.Is(err, errEmpty) && !madeMeanwhile(path, options) {
		return nil, err
	}
	d, err := OpenUnread(path, options)
	if err != nil {
		return nil, err
	}
	if err := Guard(func() error { return read(d.DB) }); err != nil {
		if !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// OpenUnread is Open without the reading: only the file's size and first pages are
// looked at. An empty file is a new one to it.
func OpenUnread(path string, options *bbolt.Options) (*DB, error) {
	if err := checkSize(path); err != nil && !errors.Is(err, errEmpty) {
		return nil, err
	}
	var db *bbolt.DB
	err := Guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	switch {
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	return &DB{DB: db}, nil
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
	return to, durable.Rename(path, to)
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
