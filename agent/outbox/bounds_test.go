package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"fairwatt/proto/seal"
)

func openWith(t testing.TB, path string, change func(*Limits)) *Outbox {
	t.Helper()
	limits := DefaultLimits()
	change(&limits)
	o, err := Open(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close(0) }) // a test may have closed it
	return o
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "o.db") }

func TestDefaultLimits(t *testing.T) {
	want := Limits{MaxRecords: 20000, MaxBytes: 16 << 20, MaxAge: 168 * time.Hour, Resend: 30 * time.Second}
	if got := DefaultLimits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A commit is empty only when nothing of it is to be written.
func TestCommitEmpty(t *testing.T) {
	for name, c := range map[string]Commit{
		"a state": {State: map[string][]byte{"a": nil}}, "an event": {Events: []Event{{}}}, "a record": {Record: []Entry{{}}},
	} {
		if c.Empty() {
			t.Errorf("%s is nothing", name)
		}
	}
	if c := (Commit{}); !c.Empty() {
		t.Error("nothing is something")
	}
}

// What Commit returns is what Due and Get return.
func TestRecordFields(t *testing.T) {
	o := openOutbox(t, temp(t))
	sealed := commit(t, o, entryOf("a", false), entryOf("b", true))
	if len(sealed) != 1 {
		t.Fatalf("commit returns %d records: a bulk one waits", len(sealed))
	}
	if err := o.Flush(2000); err != nil {
		t.Fatal(err)
	}
	due, err := o.Due(time.Unix(0, 0))
	if err != nil || len(due) != 2 {
		t.Fatalf("due %v, %v", due, err)
	}
	for i, want := range []Record{
		{Counter: 1, CreatedMs: 1000, Sealed: append(binary.BigEndian.AppendUint64(nil, 1), 'a')},
		{Counter: 2, CreatedMs: 2000, Bulk: true, Sealed: append(binary.BigEndian.AppendUint64(nil, 2), 'b')},
	} {
		want.ID = seal.ID(want.Sealed)
		got, ok, err := o.Get(want.ID)
		if !ok || err != nil {
			t.Fatalf("get %d: %v, %v", want.Counter, ok, err)
		}
		for from, r := range map[string]Record{"due": due[i], "get": got} {
			if r.Counter != want.Counter || r.ID != want.ID || r.CreatedMs != want.CreatedMs || r.Bulk != want.Bulk || !bytes.Equal(r.Sealed, want.Sealed) {
				t.Errorf("%s: %+v, want %+v", from, r, want)
			}
		}
	}
	if s := sealed[0]; s.Counter != 1 || s.ID != due[0].ID || s.CreatedMs != 1000 || !bytes.Equal(s.Sealed, due[0].Sealed) {
		t.Errorf("commit: %+v, due: %+v", s, due[0])
	}
	if _, ok, err := o.Get([32]byte{1}); ok || err != nil {
		t.Errorf("an unknown record: %v, %v", ok, err)
	}
	if o.Done([32]byte{1}) {
		t.Error("an unknown record is done")
	}
}

// The figures for status and telemetry follow every change, over a restart too.
func TestStats(t *testing.T) {
	path := temp(t)
	o := openOutbox(t, path)
	if s := o.Stats(); s.Records != 0 || s.OldestMs != 0 || s.Bytes != 0 {
		t.Errorf("empty: %+v", s)
	}
	first := commit(t, o, entryOf("a", false))
	if _, err := o.Commit(5000, Commit{Record: []Entry{entryOf("bc", false)}, Events: []Event{{Topic: "x"}, {Topic: "y"}}}); err != nil {
		t.Fatal(err)
	}
	const one, two = recordHeader + 9, recordHeader + 10
	if s := o.Stats(); s.Records != 2 || s.Bytes != one+two || s.Events != 2 || s.Counter != 2 || s.Dropped != 0 || s.OldestMs != 1000 {
		t.Errorf("two records: %+v", s)
	}
	o.Done(first[0].ID)
	if s := o.Stats(); s.Records != 1 || s.Bytes != two || s.OldestMs != 5000 || s.Counter != 2 {
		t.Errorf("one done: %+v", s)
	}
	if err := o.Close(6000); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(0)
	if s := again.Stats(); s.Records != 1 || s.Bytes != two || s.Events != 2 || s.Counter != 2 || s.OldestMs != 5000 {
		t.Errorf("after a restart: %+v", s)
	}
}

// The caps hold at their value: the last byte, record and moment fit.
func TestCapsAtTheirValue(t *testing.T) {
	const size = recordHeader + 9 // of a record with a text of one byte
	for _, c := range []struct {
		name   string
		change func(*Limits)
		wallMs int64 // of the third record; the first two are of 1000
		want   []string
	}{
		{"three records fit", func(l *Limits) { l.MaxRecords = 3 }, 1000, []string{"a", "b", "c"}},
		{"two do", func(l *Limits) { l.MaxRecords = 2 }, 1000, []string{"b", "c"}},
		{"all bytes fit", func(l *Limits) { l.MaxBytes = 3 * size }, 1000, []string{"a", "b", "c"}},
		{"a byte less does not", func(l *Limits) { l.MaxBytes = 3*size - 1 }, 1000, []string{"b", "c"}},
		{"the last moment of the age", func(l *Limits) { l.MaxAge = time.Minute }, 61_000, []string{"a", "b", "c"}},
		{"a moment later", func(l *Limits) { l.MaxAge = time.Minute }, 61_001, []string{"c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := temp(t)
			o := openWith(t, path, c.change)
			commit(t, o, entryOf("a", false))
			commit(t, o, entryOf("b", false))
			if _, err := o.Commit(c.wallMs, Commit{Record: []Entry{entryOf("c", false)}}); err != nil {
				t.Fatal(err)
			}
			if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, c.want) {
				t.Errorf("kept %v, want %v", got, c.want)
			}
			if s := o.Stats(); s.Dropped != uint64(3-len(c.want)) || s.Bytes != int64(len(c.want)*size) {
				t.Errorf("stats %+v", s)
			}
			// What was dropped is gone from the disk as well, and still counted.
			after := openOutbox(t, copyFile(t, path))
			if got := texts(t, after, time.Unix(0, 0)); !slices.Equal(got, c.want) || after.Stats().Dropped != uint64(3-len(c.want)) {
				t.Errorf("on disk %v, stats %+v", got, after.Stats())
			}
		})
	}
}

// A record that is too old goes before a bulk one that is not.
func TestAgeGoesBeforeBulk(t *testing.T) {
	o := openWith(t, temp(t), func(l *Limits) { l.MaxRecords, l.MaxAge = 2, time.Minute })
	commit(t, o, entryOf("old", false))
	if _, err := o.Commit(60_000, Commit{Record: []Entry{entryOf("bulk", true)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Commit(61_001, Commit{Record: []Entry{entryOf("new", false)}}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"bulk", "new"}) {
		t.Errorf("kept %v", got)
	}
}

// A record that goes for its age is counted once: the caps hold for what is left.
func TestAgeCountsOnce(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		o := openWith(t, temp(t), func(l *Limits) { l.MaxRecords, l.MaxAge = 3, time.Minute })
		commit(t, o, entryOf("old", bulk))
		if err := o.Flush(1000); err != nil {
			t.Fatal(err)
		}
		var entries []Entry
		for _, text := range []string{"a", "b", "c", "d", "e"} {
			entries = append(entries, entryOf(text, false))
		}
		if _, err := o.Commit(61_001, Commit{Record: entries}); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"c", "d", "e"}) {
			t.Errorf("bulk %v: kept %v", bulk, got)
		}
	}
}

// The wait doubles with each attempt, up to 16 times, and begins again after a
// reconnect.
func TestBackOff(t *testing.T) {
	o := openWith(t, temp(t), func(l *Limits) { l.Resend = time.Second })
	records := commit(t, o, entryOf("a", false))
	now := time.Unix(1000, 0)
	next := func() time.Duration {
		t.Helper()
		o.Sent(records, now)
		at, waits := o.NextDue()
		if !waits {
			t.Fatal("nothing waits")
		}
		return at.Sub(now)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 16, 16} {
		if got := next(); got != want*time.Second {
			t.Errorf("attempt %d waits %s, want %d s", i+1, got, want)
		}
	}
	o.ResendAll()
	if at, _ := o.NextDue(); !at.IsZero() {
		t.Errorf("after a reconnect due at %v", at)
	}
	if got := next(); got != time.Second {
		t.Errorf("after a reconnect it waits %s", got)
	}
	if got := texts(t, o, now.Add(time.Second-1)); len(got) != 0 {
		t.Errorf("sent a moment early: %v", got)
	}
	if got := texts(t, o, now.Add(time.Second)); len(got) != 1 {
		t.Errorf("not sent in time: %v", got)
	}
	o.Sent([]Record{{ID: [32]byte{1}}}, now) // an unknown one is passed over
}

// The next to be sent is the earliest, wherever it stands in the queue.
func TestNextDueIsTheEarliest(t *testing.T) {
	o := openOutbox(t, temp(t))
	if _, waits := o.NextDue(); waits {
		t.Error("an empty outbox has something to send")
	}
	records := commit(t, o, entryOf("a", false), entryOf("b", false), entryOf("c", false))
	now := time.Unix(1000, 0)
	o.Sent(records[:1], now.Add(2*time.Second))
	o.Sent(records[1:2], now)
	o.Sent(records[2:], now.Add(time.Second))
	if at, waits := o.NextDue(); !waits || !at.Equal(now.Add(30*time.Second)) {
		t.Errorf("next at %v", at)
	}
}

// What is done leaves the disk with the next transaction, and a flush of
// nothing writes nothing.
func TestDoneLeavesTheDisk(t *testing.T) {
	path := temp(t)
	o := openOutbox(t, path)
	records := commit(t, o, entryOf("a", false), entryOf("b", false))
	o.Done(records[0].ID)
	if err := o.Flush(0); err != nil {
		t.Fatal(err)
	}
	after := openOutbox(t, copyFile(t, path))
	if got := texts(t, after, time.Unix(0, 0)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("on disk: %v", got)
	}
	before := o.db.Stats()
	if err := o.Flush(0); err != nil {
		t.Fatal(err)
	}
	stats := o.db.Stats()
	if n := stats.TxStats.GetWrite() - before.TxStats.GetWrite(); n != 0 {
		t.Errorf("a flush of nothing wrote %d pages", n)
	}
	// The next transaction does not delete it again.
	if len(o.deleted) != 0 {
		t.Errorf("to be deleted: %v", o.deleted)
	}
}

// A bulk entry that could not be written waits on, and so does what is done.
func TestFailedWriteChangesNothing(t *testing.T) {
	o := openOutbox(t, temp(t))
	records := commit(t, o, entryOf("a", false))
	commit(t, o, entryOf("bulk", true))
	o.Done(records[0].ID)
	broken := errors.New("no key")
	if _, err := o.Commit(0, Commit{Record: []Entry{entryOf("later", true), {Build: func(uint64) ([]byte, error) { return nil, broken }}}}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if len(o.bulk) != 1 || len(o.deleted) != 1 || o.Stats().Counter != 1 {
		t.Errorf("bulk %d, deleted %d, stats %+v", len(o.bulk), len(o.deleted), o.Stats())
	}
	if _, err := o.Commit(0, Commit{Record: []Entry{entryOf("urgent", false), entryOf("later", true)}}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"bulk", "urgent"}) || len(o.bulk) != 1 {
		t.Errorf("after the disk agreed: %v, %d waiting", got, len(o.bulk))
	}
}

// The counter stands above the newest record, whatever the file says of it.
func TestCounterIsAboveTheNewestRecord(t *testing.T) {
	path := temp(t)
	o := openOutbox(t, path)
	commit(t, o, entryOf("a", false), entryOf("b", false))
	err := o.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyCounter, counterKey(1)) })
	if err != nil {
		t.Fatal(err)
	}
	after := openOutbox(t, copyFile(t, path))
	if got := commit(t, after, entryOf("c", false)); got[0].Counter != 3 {
		t.Errorf("counter %d is given out twice", got[0].Counter)
	}
}

// A file that is damaged is put aside, and one is begun whose counter has not been
// given out.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(*bolt.Tx) error{
		"a key of seven bytes": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketRecords).Put(make([]byte, 7), make([]byte, recordHeader))
		},
		"a key of nine bytes": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketRecords).Put(make([]byte, 9), make([]byte, recordHeader))
		},
		"a record without a header": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketRecords).Put(counterKey(1), make([]byte, recordHeader-1))
		},
	} {
		path := temp(t)
		o := openOutbox(t, path)
		if err := o.db.Update(damage); err != nil {
			t.Fatal(err)
		}
		bad := copyFile(t, path)
		after, err := Open(bad, DefaultLimits())
		if err != nil || after.Damaged() != bad+".damaged" {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := os.Stat(after.Damaged()); err != nil {
			t.Error(err)
		}
		if got := commit(t, after, entryOf("a", false)); got[0].Counter < 1_700_000_000 {
			t.Errorf("%s: counter %d may have been given out before", name, got[0].Counter)
		}
		if err := after.Close(0); err != nil {
			t.Error(err)
		}
		again, err := Open(bad, DefaultLimits())
		if err != nil || again.Damaged() != "" {
			t.Fatalf("%s: the new file: %v", name, err)
		}
		if err := again.Close(0); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "such", "folder"), DefaultLimits()); err == nil {
		t.Error("a folder that does not exist")
	}
	if _, err := Open(t.TempDir(), DefaultLimits()); err == nil {
		t.Error("a folder is an outbox")
	}
	file := temp(t)
	if err := os.WriteFile(file, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "o.db"), DefaultLimits()); err == nil {
		t.Error("a file in a file is an outbox")
	}
}

// A record whose bytes are gone from the disk is an error, not silence.
func TestRecordGoneFromDisk(t *testing.T) {
	o := openOutbox(t, temp(t))
	records := commit(t, o, entryOf("a", false))
	if err := o.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketRecords).Delete(counterKey(1)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Due(time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "record 1 is not on disk") {
		t.Errorf("due: %v", err)
	}
	if _, ok, err := o.Get(records[0].ID); ok || err == nil || !strings.Contains(err.Error(), "record 1 is not on disk") {
		t.Errorf("get: %v, %v", ok, err)
	}
	if err := o.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketRecords).Put(counterKey(1), make([]byte, recordHeader))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Due(time.Unix(0, 0)); err != nil {
		t.Errorf("a header alone is on disk: %v", err)
	}
	if _, ok, err := o.Get(records[0].ID); !ok || err != nil {
		t.Errorf("a header alone is on disk: %v, %v", ok, err)
	}
}

// Events come back as they were, oldest first and no more than asked for.
func TestEvents(t *testing.T) {
	o := openOutbox(t, temp(t))
	for i, topic := range []string{"", "alert", strings.Repeat("t", 300)} {
		if _, err := o.Commit(int64(i), Commit{Events: []Event{{Topic: topic, Payload: []byte(topic + "!")}}}); err != nil {
			t.Fatal(err)
		}
	}
	two, err := o.Events(2)
	if err != nil || len(two) != 2 {
		t.Fatalf("%d events, %v", len(two), err)
	}
	all, err := o.Events(9)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d events, %v", len(all), err)
	}
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.CreatedMs != int64(i) || string(e.Payload) != e.Topic+"!" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(all[2].Topic) != 300 {
		t.Errorf("a topic of %d bytes", len(all[2].Topic))
	}
	if err := o.EventDone(77); err != nil || o.Stats().Events != 3 {
		t.Errorf("an unknown event: %v, %+v", err, o.Stats())
	}
	if err := o.EventDone(2); err != nil {
		t.Fatal(err)
	}
	if left, err := o.Events(9); err != nil || len(left) != 2 || left[1].Seq != 3 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestDamagedEvent(t *testing.T) {
	good := encodeEvent(5, Event{Topic: "abc", Payload: []byte("p")})
	for n, want := range map[int]bool{0: false, 9: false, 10: false, 12: false, 13: true, 14: true} {
		if _, err := decodeEvent(good[:n]); (err == nil) != want {
			t.Errorf("%d bytes of an event: %v", n, err)
		}
	}
	if e, err := decodeEvent(make([]byte, 10)); err != nil || e.Topic != "" || len(e.Payload) != 0 {
		t.Errorf("an empty event: %+v, %v", e, err)
	}
	o := openOutbox(t, temp(t))
	if err := o.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketEvents).Put(counterKey(1), []byte("x")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Events(1); !errors.Is(err, errEvent) || !strings.Contains(err.Error(), "event 1") {
		t.Errorf("read: %v", err)
	}
}

func TestReadUint64(t *testing.T) {
	for n, want := range map[int]uint64{0: 0, 7: 0, 8: 0x0101010101010101, 9: 0} {
		if got := readUint64(bytes.Repeat([]byte{1}, n)); got != want {
			t.Errorf("%d bytes: %x", n, got)
		}
	}
}

// States are replaced one by one and survive what comes after.
func TestStates(t *testing.T) {
	o := openOutbox(t, temp(t))
	for _, state := range []map[string][]byte{{"a": []byte("1"), "b": []byte("2")}, {"a": []byte("3")}} {
		if _, err := o.Commit(0, Commit{State: state}); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{"a": "3", "b": "2", "c": ""} {
		if got, err := o.State(key); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}

// After Close every call is an error, and says so.
func TestClosed(t *testing.T) {
	path := temp(t)
	o := openWith(t, path, func(*Limits) {})
	commit(t, o, entryOf("bulk", true))
	if err := o.Close(7); err != nil {
		t.Fatal(err)
	}
	if _, err := o.State("a"); err == nil {
		t.Error("a state of a closed file")
	}
	if _, err := o.Commit(0, Commit{State: map[string][]byte{"a": nil}}); err == nil {
		t.Error("a commit to a closed file")
	}
	if err := o.EventDone(1); err == nil {
		t.Error("an event done in a closed file")
	}
	if _, err := o.Events(1); err == nil {
		t.Error("events of a closed file")
	}
	// Close flushed the bulk record.
	after := openOutbox(t, path)
	if got := texts(t, after, time.Unix(0, 0)); !slices.Equal(got, []string{"bulk"}) {
		t.Errorf("after Close: %v", got)
	}
}

// grown returns a file of more than compactAboveBytes with n of 100 large
// records left in it.
func grown(t *testing.T, n int) string {
	t.Helper()
	path := temp(t)
	o := openWith(t, path, func(*Limits) {})
	large := strings.Repeat("x", 64<<10)
	var records []Record
	for range 10 {
		var entries []Entry
		for range 10 {
			entries = append(entries, entryOf(large, false))
		}
		records = append(records, commit(t, o, entries...)...)
	}
	for _, r := range records[n:] {
		o.Done(r.ID)
	}
	if err := o.Close(0); err != nil {
		t.Fatal(err)
	}
	return path
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A file that is mostly free pages is rewritten when it is opened, with all
// that is in it; one that is mostly records is left as it is.
func TestCompaction(t *testing.T) {
	for _, c := range []struct {
		left           int
		crash, compact bool
	}{{3, true, true}, {3, false, true}, {97, true, false}} {
		path := grown(t, c.left)
		before := sizeOf(t, path)
		if before < compactAboveBytes {
			t.Fatalf("the file has %d bytes only", before)
		}
		if c.crash {
			if err := os.WriteFile(path+".compact", []byte("left by a crash"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := openOutbox(t, path)
		if got := sizeOf(t, path) < before/2; got != c.compact {
			t.Errorf("%d records left: from %d to %d bytes", c.left, before, sizeOf(t, path))
		}
		if s := o.Stats(); s.Records != c.left || s.Counter != 100 {
			t.Errorf("after opening: %+v", s)
		}
		if _, err := os.Stat(path + ".compact"); errors.Is(err, os.ErrNotExist) != c.compact {
			t.Errorf("the file of the crash: %v", err)
		}
	}
}

// A file just large enough is looked at, and a second process is told of the
// first there too.
func TestCompactionOfAFileInUse(t *testing.T) {
	path := grown(t, 3)
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := Open(path, DefaultLimits()); err == nil || !strings.Contains(err.Error(), "compact outbox") {
		t.Errorf("opened twice: %v", err)
	}
}

// A bulk record is one after a restart too: it goes before the others when a
// cap is reached.
func TestBulkSurvivesARestart(t *testing.T) {
	path := temp(t)
	o := openOutbox(t, path)
	commit(t, o, entryOf("trade", false))
	commit(t, o, entryOf("bulk", true))
	if err := o.Flush(1000); err != nil {
		t.Fatal(err)
	}
	after := openWith(t, copyFile(t, path), func(l *Limits) { l.MaxRecords = 2 })
	due, err := after.Due(time.Unix(0, 0))
	if err != nil || len(due) != 2 || due[0].Bulk || !due[1].Bulk {
		t.Fatalf("after the restart: %+v, %v", due, err)
	}
	commit(t, after, entryOf("new", false))
	if got := texts(t, after, time.Unix(0, 0)); !slices.Equal(got, []string{"trade", "new"}) {
		t.Errorf("kept %v", got)
	}
}

// A record that is done is unknown from then on.
func TestDoneIsForgotten(t *testing.T) {
	o := openOutbox(t, temp(t))
	r := commit(t, o, entryOf("a", false))[0]
	o.Done(r.ID)
	if _, ok, err := o.Get(r.ID); ok || err != nil {
		t.Errorf("still there: %v, %v", ok, err)
	}
}
