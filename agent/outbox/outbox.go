package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"fairwatt/proto/boltfile"
	"fairwatt/proto/durable"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Limits cap what the outbox keeps. When a cap is reached the oldest
// records go first, those of no trade before the others, and each is counted.
type Limits struct {
	MaxRecords int           `yaml:"max_records"`
	MaxBytes   int64         `yaml:"max_bytes"`
	MaxAge     time.Duration `yaml:"max_age"`
	// Resend is how long after a record was handed to the broker it is sent
	// again when no receipt has come; it doubles with each attempt up to
	// 16 times.
	Resend time.Duration `yaml:"resend"`
}

// DefaultLimits fit an SD card: 16 MiB, a week.
func DefaultLimits() Limits {
	return Limits{MaxRecords: 20000, MaxBytes: 16 << 20, MaxAge: 7 * 24 * time.Hour, Resend: 30 * time.Second}
}

// An Entry is one record to be sealed. Build gets the sender counter it must
// carry and returns the sealed bytes; it runs inside the transaction that
// makes the counter durable, so a counter never stands in two records.
type Entry struct {
	Build func(counter uint64) ([]byte, error)
	// Bulk records may wait in memory for the next Flush (a power cut loses
	// them, unsealed and unsent); the others are on disk when Commit returns.
	Bulk bool
}

// A Event is one MQTT message of the event kind (an alert), kept until
// the broker has acknowledged it.
type Event struct {
	Seq       uint64
	CreatedMs int64 // wall clock
	Topic     string
	Payload   []byte
}

// A Commit is what one step of the agent makes durable, all of it or nothing.
type Commit struct {
	State  map[string][]byte // replaces the named state
	Events []Event           // Seq is given by the outbox
	Record []Entry
}

// Empty says whether there is nothing to make durable.
func (c *Commit) Empty() bool { return len(c.State) == 0 && len(c.Events) == 0 && len(c.Record) == 0 }

// A Record is a sealed record that has no final receipt yet.
type Record struct {
	Counter   uint64
	ID        [32]byte
	CreatedMs int64 // wall clock
	Bulk      bool
	Sealed    []byte
}

// An Outbox is the agent's one durable file: records until their receipt,
// events until the broker has them, and the named states that must survive a
// restart together with them. It is safe for concurrent use.
type Outbox struct {
	limits  Limits
	db      *boltfile.DB
	damaged string // where a damaged file was put; empty: there was none

	mu      sync.Mutex
	queue   []*queued            // by counter
	byID    map[[32]byte]*queued // of queue
	bulk    []Entry              // waiting for Flush, in order
	deleted []uint64             // counters done, to be deleted with the next transaction
	bytes   int64
	events  int
	counter uint64
	dropped uint64
	quiet   time.Time // nothing is due before
}

// queued is the memory of one record on disk.
type queued struct {
	counter   uint64
	id        [32]byte
	createdMs int64
	size      int
	bulk      bool
	attempts  int
	due       time.Time // zero: at once
	doubt     bool      // see Doubt
}

var (
	bucketMeta    = []byte("meta")
	bucketState   = []byte("state")
	bucketRecords = []byte("records")
	bucketEvents  = []byte("events")
	keyCounter    = []byte("counter")
	keyDropped    = []byte("dropped")
)

// recordHeader is the prefix of a stored record: one byte of flags and eight
// of creation time.
const recordHeader = 9

// maxEvents caps the queued events; the oldest are dropped and counted.
const maxEvents = 4096

// Open opens or makes the file. A second process on the same file is
// refused after a second. The file is rewritten without its free pages when
// they are most of it, because bbolt files never shrink. A damaged file is put
// aside and a new one begun; Damaged says so.
func Open(path string, limits Limits) (*Outbox, error) {
	o, err := open(path, limits)
	if !errors.Is(err, boltfile.ErrDamaged) {
		return o, err
	}
	aside, moved := boltfile.Aside(path)
	if moved != nil {
		return nil, errors.Join(err, moved)
	}
	if o, err = open(path, limits); err != nil {
		return nil, err
	}
	o.damaged = aside
	// The counter of the damaged file is not known. A counter may leap but never
	// stand in two records: the seconds since 1970 are above what a device that
	// seals less than one record a second has reached.
	o.counter = max(o.counter, uint64(max(0, time.Now().Unix())))
	return o, nil
}

// Damaged is where Open put a damaged file, or empty.
func (o *Outbox) Damaged() string { return o.damaged }

func open(path string, limits Limits) (*Outbox, error) {
	if err := compact(path); err != nil {
		return nil, fmt.Errorf("compact outbox %s: %w", path, err)
	}
	db, err := boltfile.Open(path, &bolt.Options{Timeout: boltfile.LockTimeout})
	if err != nil {
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, fmt.Errorf("open outbox %s: in use by another process", path)
		}
		return nil, fmt.Errorf("open outbox %s: %w", path, err)
	}
	o := &Outbox{limits: limits, db: db, byID: make(map[[32]byte]*queued)}
	if err := o.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read outbox %s: %w", path, err), db.Close())
	}
	return o, nil
}

// compactAboveBytes is the file size below which compaction is not worth it.
const compactAboveBytes = 4 << 20

func compact(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && info.Size() < compactAboveBytes) {
		return nil
	}
	if err != nil {
		return err
	}
	old, err := boltfile.Open(path, &bolt.Options{Timeout: boltfile.LockTimeout})
	if err != nil {
		return err
	}
	free := int64(old.Stats().FreePageN+old.Stats().PendingPageN) * int64(old.Info().PageSize)
	if free < info.Size()/2 {
		return old.Close()
	}
	temp := path + ".compact"
	// A leftover of an interrupted compaction is no outbox: start again.
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, old.Close())
	}
	fresh, err := bolt.Open(temp, 0o600, nil)
	if err != nil {
		return errors.Join(err, old.Close())
	}
	err = boltfile.Guard(func() error { return bolt.Compact(fresh, old.DB, 1<<20) })
	if err := errors.Join(err, fresh.Sync(), fresh.Close(), old.Close()); err != nil {
		return err
	}
	return durable.Rename(temp, path)
}

// load reads the index of what a former run left.
func (o *Outbox) load() error {
	return o.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketState, bucketRecords, bucketEvents} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		o.counter = readUint64(meta.Get(keyCounter))
		o.dropped = readUint64(meta.Get(keyDropped))
		o.events = tx.Bucket(bucketEvents).Stats().KeyN
		return tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
			if len(k) != 8 || len(v) < recordHeader {
				return fmt.Errorf("record %x: %w", k, boltfile.ErrDamaged)
			}
			q := &queued{
				counter: binary.BigEndian.Uint64(k), id: seal.ID(v[recordHeader:]),
				createdMs: int64(binary.BigEndian.Uint64(v[1:])), size: len(v), bulk: v[0] == 1,
			}
			// A counter behind the newest record would be given out twice.
			o.counter = max(o.counter, q.counter)
			o.add(q)
			return nil
		})
	})
}

func (o *Outbox) add(q *queued) {
	o.queue = append(o.queue, q)
	o.byID[q.id] = q
	o.bytes += int64(q.size)
}

// Commit makes c durable in one synced transaction and returns the records it
// sealed, in order; bulk entries of c are only put aside for Flush. On an
// error nothing of c has happened.
func (o *Outbox) Commit(wallMs int64, c Commit) ([]Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var urgent, later []Entry
	for _, e := range c.Record {
		if e.Bulk {
			later = append(later, e)
		} else {
			urgent = append(urgent, e)
		}
	}
	if len(urgent) == 0 && len(c.State) == 0 && len(c.Events) == 0 {
		o.bulk = append(o.bulk, later...)
		return nil, nil
	}
	sealed, err := o.write(wallMs, Commit{State: c.State, Events: c.Events, Record: urgent})
	if err != nil {
		return nil, err
	}
	o.bulk = append(o.bulk, later...)
	return sealed, nil
}

// Flush makes the bulk records durable and deletes what is done. Without either
// it writes nothing.
func (o *Outbox) Flush(wallMs int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.bulk) == 0 && len(o.deleted) == 0 {
		return nil
	}
	_, err := o.write(wallMs, Commit{})
	return err
}

// write runs the one kind of transaction there is: bulk entries first (they
// are older), then c, deletions and caps. The memory follows only when the
// disk has it.
func (o *Outbox) write(wallMs int64, c Commit) ([]Record, error) {
	var fresh []*queued
	var out []Record
	counter, dropped, events := o.counter, o.dropped, o.events
	var dropping map[uint64]bool
	err := o.db.Update(func(tx *bolt.Tx) error {
		records, meta := tx.Bucket(bucketRecords), tx.Bucket(bucketMeta)
		for i, e := range append(o.bulk[:len(o.bulk):len(o.bulk)], c.Record...) {
			counter++
			sealed, err := e.Build(counter)
			if err != nil {
				return fmt.Errorf("seal record %d: %w", counter, err)
			}
			q := &queued{counter: counter, id: seal.ID(sealed), createdMs: wallMs, size: recordHeader + len(sealed), bulk: i < len(o.bulk)}
			if err := records.Put(counterKey(counter), encodeRecord(q, sealed)); err != nil {
				return err
			}
			fresh = append(fresh, q)
			if !q.bulk {
				out = append(out, Record{Counter: counter, ID: q.id, CreatedMs: wallMs, Sealed: sealed})
			}
		}
		for _, done := range o.deleted {
			if err := records.Delete(counterKey(done)); err != nil {
				return err
			}
		}
		for key, value := range c.State {
			if err := tx.Bucket(bucketState).Put([]byte(key), value); err != nil {
				return err
			}
		}
		n, err := putEvents(tx.Bucket(bucketEvents), wallMs, c.Events)
		if err != nil {
			return err
		}
		events += len(c.Events) - n
		dropped += uint64(n)
		dropping = o.overflow(wallMs, fresh)
		for counter := range dropping {
			if err := records.Delete(counterKey(counter)); err != nil {
				return err
			}
		}
		dropped += uint64(len(dropping))
		return errors.Join(meta.Put(keyCounter, counterKey(counter)), meta.Put(keyDropped, counterKey(dropped)))
	})
	if err != nil {
		return nil, fmt.Errorf("write outbox: %w", err)
	}
	for _, q := range fresh {
		o.add(q)
	}
	o.counter, o.dropped, o.events, o.bulk, o.deleted = counter, dropped, events, nil, o.deleted[:0]
	for counter := range dropping {
		o.forget(counter)
	}
	return out, nil
}

// overflow chooses what must go so that the caps hold: records past their
// age, then the oldest bulk ones, then the oldest.
func (o *Outbox) overflow(wallMs int64, fresh []*queued) map[uint64]bool {
	all := append(o.queue[:len(o.queue):len(o.queue)], fresh...)
	count, bytes := len(all), int64(0)
	for _, q := range all {
		bytes += int64(q.size)
	}
	drop := make(map[uint64]bool)
	take := func(q *queued) {
		drop[q.counter] = true
		count--
		bytes -= int64(q.size)
	}
	for _, q := range all {
		if wallMs-q.createdMs > o.limits.MaxAge.Milliseconds() {
			take(q)
		}
	}
	for _, bulkOnly := range []bool{true, false} {
		for _, q := range all {
			if count <= o.limits.MaxRecords && bytes <= o.limits.MaxBytes {
				return drop
			}
			if !drop[q.counter] && (q.bulk || !bulkOnly) {
				take(q)
			}
		}
	}
	return drop
}

// forget takes a record out of the memory; the caller sees to the disk.
func (o *Outbox) forget(counter uint64) bool {
	for i, q := range o.queue {
		if q.counter == counter {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			delete(o.byID, q.id)
			o.bytes -= int64(q.size)
			return true
		}
	}
	return false
}

// Due returns the oldest records that are to be sent now, at most a batch,
// in order. Those further than [InFlight] behind the oldest wait.
func (o *Outbox) Due(now time.Time) ([]Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.quiet.After(now) {
		return nil, nil
	}
	var out []Record
	err := o.db.View(func(tx *bolt.Tx) error {
		records := tx.Bucket(bucketRecords)
		for _, q := range o.window() {
			if len(out) == wire.MaxBatchRecords {
				return nil
			}
			if q.due.After(now) {
				continue
			}
			v := records.Get(counterKey(q.counter))
			if len(v) < recordHeader {
				return fmt.Errorf("record %d is not on disk", q.counter)
			}
			out = append(out, Record{
				Counter: q.counter, ID: q.id, CreatedMs: q.createdMs, Bulk: q.bulk,
				Sealed: append([]byte(nil), v[recordHeader:]...),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return out, nil
}

// NextDue returns when the next record is to be sent; false when none waits.
func (o *Outbox) NextDue() (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var at time.Time
	for i, q := range o.window() {
		if i == 0 || q.due.Before(at) {
			at = q.due
		}
	}
	if at.Before(o.quiet) {
		at = o.quiet
	}
	return at, len(o.queue) > 0
}

// Sent notes that the broker has the records; each comes again, later and
// later, until its receipt.
func (o *Outbox) Sent(records []Record, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range records {
		if q, ok := o.byID[r.ID]; ok {
			q.due = now.Add(o.limits.Resend << min(q.attempts, maxDoublings))
			q.attempts++
		}
	}
}

// ResendAll makes every record due at once: a broker that went away may have
// lost what it had acknowledged.
func (o *Outbox) ResendAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.queue {
		q.due, q.attempts = time.Time{}, 0
	}
}

// Get returns a record that is still queued.
func (o *Outbox) Get(id [32]byte) (Record, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q, ok := o.byID[id]
	if !ok {
		return Record{}, false, nil
	}
	r := Record{Counter: q.counter, ID: id, CreatedMs: q.createdMs, Bulk: q.bulk}
	err := o.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketRecords).Get(counterKey(q.counter))
		if len(v) < recordHeader {
			return fmt.Errorf("record %d is not on disk", q.counter)
		}
		r.Sealed = append([]byte(nil), v[recordHeader:]...)
		return nil
	})
	if err != nil {
		return Record{}, false, fmt.Errorf("read outbox: %w", err)
	}
	return r, true, nil
}

// Holds says whether a record is queued. It reads no disk.
func (o *Outbox) Holds(id [32]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.byID[id]
	return ok
}

// Done takes a record out: its outcome is known. It leaves the disk with the next
// transaction. A crash before that sends it once more, and the ledger refuses it
// as replayed.
func (o *Outbox) Done(id [32]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	q, ok := o.byID[id]
	if !ok {
		return false
	}
	o.deleted = append(o.deleted, q.counter)
	return o.forget(q.counter)
}

// Stats returns what status and telemetry show.
func (o *Outbox) Stats() wire.Outbox {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := wire.Outbox{Records: len(o.queue), Bytes: o.bytes, Events: o.events, Counter: o.counter, Dropped: o.dropped}
	if len(o.queue) > 0 {
		s.OldestMs = o.queue[0].createdMs
	}
	return s
}

// State returns a named state of the last Commit that held it; nil for none.
func (o *Outbox) State(key string) ([]byte, error) {
	var out []byte
	err := o.db.View(func(tx *bolt.Tx) error {
		out = append(out, tx.Bucket(bucketState).Get([]byte(key))...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read outbox state %s: %w", key, err)
	}
	return out, nil
}

// Close flushes what waits and closes the file.
func (o *Outbox) Close(wallMs int64) error {
	return errors.Join(o.Flush(wallMs), o.db.Close())
}

func counterKey(counter uint64) []byte { return binary.BigEndian.AppendUint64(nil, counter) }

func readUint64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func encodeRecord(q *queued, sealed []byte) []byte {
	v := make([]byte, recordHeader, recordHeader+len(sealed))
	if q.bulk {
		v[0] = 1
	}
	binary.BigEndian.PutUint64(v[1:], uint64(q.createdMs))
	return append(v, sealed...)
}
