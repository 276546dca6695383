package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"fairwatt/proto/boltfile"
)

// File is the name of the file in a data aggregator's folder.
const File = "history.db"

// noSync is set by tests that write thousands of slots and pull no plug.
var noSync bool

const version = "fairwatt-history-1"

var (
	bucketMeta    = []byte("meta")
	bucketDevices = []byte("devices") // name to number
	bucketFine    = []byte("fine")    // slot to rows
	bucketHours   = []byte("hours")
	bucketStory   = []byte("story") // height and place to entry
	bucketOf      = []byte("of")    // subject, 0, height and place

	metaVersion = []byte("version")
	metaHeight  = []byte("height") // of the newest block told
	metaEntries = []byte("entries")
)

// Bounds say how much is kept. The zero value is good.
type Bounds struct {
	FineSlots  int // of five minutes (576: two days)
	HourSlots  int // (9600: 400 days)
	FineBytes  int // (32 MiB)
	HourBytes  int // (64 MiB)
	Entries    int // of the chain (200,000)
	Unwritten  int // entries that may wait for the disk (2000)
	MaxDevices int // (10,000)
}

func (b *Bounds) defaults() {
	for _, d := range []struct {
		v    *int
		base int
	}{
		{&b.FineSlots, 576},
		{&b.HourSlots, 9600},
		{&b.FineBytes, 32 << 20},
		{&b.HourBytes, 64 << 20},
		{&b.Entries, 200_000},
		{&b.Unwritten, 2000},
		{&b.MaxDevices, 10_000},
	} {
		if *d.v == 0 {
			*d.v = d.base
		}
	}
}

// A History is an open file. Its methods may be called from several goroutines.
type History struct {
	db      *boltfile.DB
	bounds  Bounds
	damaged string

	mu      sync.Mutex
	numbers map[string]uint32 // of devices
	slot    int64             // the running one: Unix seconds over StepS
	now     map[uint32]*slotOf
	seen    map[uint32]*last

	waiting []Entry // told, and not on disk
	height  uint64  // of the newest block told
	flushed time.Time
}

// Open opens or makes the file. A damaged one, or one of another version, is put aside
// and a new one begun.
func Open(path string, b Bounds, now time.Time) (*History, error) {
	b.defaults()
	options := &bbolt.Options{NoSync: noSync, FreelistType: bbolt.FreelistMapType, Timeout: boltfile.LockTimeout}
	h := &History{bounds: b, flushed: now}
	db, err := boltfile.Open(path, options)
	if err == nil {
		if err = h.start(db); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if errors.Is(err, boltfile.ErrDamaged) || errors.Is(err, errVersion) {
		if h.damaged, err = boltfile.Aside(path); err == nil {
			if db, err = boltfile.Open(path, options); err == nil {
				err = h.start(db)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if err := h.resume(now); err != nil {
		return nil, errors.Join(fmt.Errorf("read history: %w", err), db.Close())
	}
	return h, nil
}

var errVersion = errors.New("it is of another version")

// start makes the buckets and reads what is small.
func (h *History) start(db *boltfile.DB) error {
	h.db = db
	h.numbers, h.now, h.seen = make(map[string]uint32), make(map[uint32]*slotOf), make(map[uint32]*last)
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketDevices, bucketFine, bucketHours, bucketStory, bucketOf} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		switch v := meta.Get(metaVersion); {
		case v == nil:
			if err := meta.Put(metaVersion, []byte(version)); err != nil {
				return err
			}
		case string(v) != version:
			return errVersion
		}
		h.height = number(meta.Get(metaHeight))
		return tx.Bucket(bucketDevices).ForEach(func(k, v []byte) error {
			h.numbers[string(k)] = uint32(number(v))
			return nil
		})
	})
}

// Damaged is where a file that could not be read was put; empty if there was none.
func (h *History) Damaged() string { return h.damaged }

// Turn ends the running slot when its time is over, and writes what waits. It is cheap
// when there is nothing to do.
func (h *History) Turn(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if slot := slotAt(now); slot > h.slot {
		err = h.writeSlot(slot)
	}
	if len(h.waiting) > 0 && (len(h.waiting) >= h.bounds.Unwritten || now.Sub(h.flushed) >= flushEvery || now.Before(h.flushed)) {
		h.flushed = now
		err = errors.Join(err, h.writeEntries())
	}
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// flushEvery is how long an entry may wait for the disk. The chain has it too.
const flushEvery = 20 * time.Second

// Close writes all that waits.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.writeEntries(), h.writeSlot(h.slot), h.db.Close()); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
