package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// entryOf seals a recognisable record: its counter and a text.
func entryOf(text string, bulk bool) Entry {
	return Entry{Bulk: bulk, Build: func(counter uint64) ([]byte, error) {
		return append(binary.BigEndian.AppendUint64(nil, counter), text...), nil
	}}
}

func openOutbox(t testing.TB, path string) *Outbox {
	t.Helper()
	o, err := OpenOutbox(path, DefaultOutboxLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(0); err != nil {
			t.Error(err)
		}
	})
	return o
}

func commit(t testing.TB, o *Outbox, entries ...Entry) []QueuedRecord {
	t.Helper()
	out, err := o.Commit(1000, Commit{Record: entries})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// texts returns the texts of the records due now, and checks the counters
// they were sealed with.
func texts(t testing.TB, o *Outbox, now time.Time) []string {
	t.Helper()
	due, err := o.Due(now)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	last := uint64(0)
	for _, r := range due {
		if sealed := binary.BigEndian.Uint64(r.Sealed); sealed != r.Counter || r.Counter <= last {
			t.Fatalf("record %d after %d was sealed with counter %d", r.Counter, last, sealed)
		}
		last = r.Counter
		out = append(out, string(r.Sealed[8:]))
	}
	return out
}

func TestOutboxSendsInOrderUntilTheReceipt(t *testing.T) {
	o := openOutbox(t, filepath.Join(t.TempDir(), "o.db"))
	now := time.Unix(1000, 0)
	records := commit(t, o, entryOf("a", false), entryOf("b", false), entryOf("c", false))
	if got := texts(t, o, now); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("due: %v", got)
	}
	o.Sent(records, now)
	if got := texts(t, o, now.Add(29*time.Second)); len(got) != 0 {
		t.Fatalf("sent again after 29 s: %v", got)
	}
	if !o.Done(records[1].ID) || o.Done(records[1].ID) {
		t.Fatal("Done must take a record out once")
	}
	at, any := o.NextDue()
	if !any || !at.Equal(now.Add(30*time.Second)) {
		t.Fatalf("next due %v, want 30 s after sending", at)
	}
	if got := texts(t, o, now.Add(30*time.Second)); !slices.Equal(got, []string{"a", "c"}) {
		t.Fatalf("due again: %v, want a and c", got)
	}
	o.Sent(records, now.Add(30*time.Second))
	if at, _ := o.NextDue(); !at.Equal(now.Add(90 * time.Second)) {
		t.Fatalf("second attempt next due %v, want the wait doubled", at)
	}
	o.ResendAll()
	if got := texts(t, o, now); !slices.Equal(got, []string{"a", "c"}) {
		t.Fatalf("after a reconnect: %v", got)
	}
}

func TestOutboxBatchIsAtMost64(t *testing.T) {
	o := openOutbox(t, filepath.Join(t.TempDir(), "o.db"))
	var entries []Entry
	for i := range 70 {
		entries = append(entries, entryOf(fmt.Sprint(i), false))
	}
	records := commit(t, o, entries...)
	due, err := o.Due(time.Unix(0, 0))
	if err != nil || len(due) != wire.MaxBatchRecords || due[0].Counter != 1 {
		t.Fatalf("due %d records, err %v", len(due), err)
	}
	o.Sent(records[:64], time.Unix(0, 0))
	if got := texts(t, o, time.Unix(0, 0)); len(got) != 6 || got[0] != "64" {
		t.Fatalf("rest: %v", got)
	}
}

// copyFile is what a crash leaves: the file as the disk has it, while the
// first process still has it open.
func copyFile(t testing.TB, from string) string {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestOutboxSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	o := openOutbox(t, path)
	records := commit(t, o, entryOf("a", false), entryOf("b", false))
	commit(t, o, entryOf("bulk", true)) // in memory only
	if _, err := o.Commit(1000, Commit{
		State:  map[string][]byte{"seller": []byte("state 1")},
		Events: []QueuedEvent{{Topic: "alert", Payload: []byte("{}")}},
	}); err != nil {
		t.Fatal(err)
	}
	o.Done(records[0].ID) // not on disk before the next transaction

	after := openOutbox(t, copyFile(t, path))
	if got := texts(t, after, time.Unix(0, 0)); !slices.Equal(got, []string{"a", "b", "bulk"}) {
		// The state's transaction took the bulk record along.
		t.Fatalf("after the kill: %v", got)
	}
	if state, err := after.State("seller"); err != nil || string(state) != "state 1" {
		t.Fatalf("state %q, %v", state, err)
	}
	events, err := after.Events(10)
	if err != nil || len(events) != 1 || events[0].Topic != "alert" || string(events[0].Payload) != "{}" || events[0].CreatedMs != 1000 {
		t.Fatalf("events %v, %v", events, err)
	}
	if next := commit(t, after, entryOf("c", false)); next[0].Counter != 4 {
		t.Fatalf("counter %d after the kill, want 4: a counter must never be used twice", next[0].Counter)
	}
}

func TestOutboxUnflushedBulkIsNeitherSentNorNumbered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	o := openOutbox(t, path)
	commit(t, o, entryOf("bulk", true))
	if got := texts(t, o, time.Unix(0, 0)); len(got) != 0 {
		t.Fatalf("sent before it is on disk: %v", got)
	}
	lost := openOutbox(t, copyFile(t, path))
	if got := commit(t, lost, entryOf("x", false)); got[0].Counter != 1 {
		t.Fatalf("counter %d, want 1: the lost record had none", got[0].Counter)
	}
	if err := o.Flush(1000); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"bulk"}) {
		t.Fatalf("after the flush: %v", got)
	}
}

func TestOutboxCommitIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	o := openOutbox(t, path)
	broken := errors.New("no key")
	_, err := o.Commit(1000, Commit{
		State:  map[string][]byte{"seller": []byte("new")},
		Events: []QueuedEvent{{Topic: "alert"}},
		Record: []Entry{entryOf("a", false), {Build: func(uint64) ([]byte, error) { return nil, broken }}},
	})
	if !errors.Is(err, broken) {
		t.Fatalf("err %v", err)
	}
	if s := o.Stats(); s.Records != 0 || s.Counter != 0 || s.Events != 0 {
		t.Fatalf("left behind: %+v", s)
	}
	if state, _ := o.State("seller"); state != nil {
		t.Fatalf("state %q was written", state)
	}
	if got := commit(t, o, entryOf("b", false)); got[0].Counter != 1 {
		t.Fatalf("counter %d", got[0].Counter)
	}
}

func TestOutboxCaps(t *testing.T) {
	limits := DefaultOutboxLimits()
	limits.MaxRecords, limits.MaxAge = 3, time.Minute
	o, err := OpenOutbox(filepath.Join(t.TempDir(), "o.db"), limits)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close(0)
	commit(t, o, entryOf("trade 1", false), entryOf("bulk 1", true))
	commit(t, o, entryOf("trade 2", false), entryOf("bulk 2", true))
	commit(t, o, entryOf("trade 3", false))
	// The bulk records go first, although trade 1 is older.
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"trade 1", "trade 2", "trade 3"}) {
		t.Fatalf("kept %v", got)
	}
	commit(t, o, entryOf("trade 4", false))
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"trade 2", "trade 3", "trade 4"}) {
		t.Fatalf("kept %v", got)
	}
	if s := o.Stats(); s.Dropped != 3 || s.Records != 3 {
		t.Fatalf("stats %+v, want 3 dropped", s)
	}
	if _, err := o.Commit(1000+61_000, Commit{Record: []Entry{entryOf("late", false)}}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, o, time.Unix(0, 0)); !slices.Equal(got, []string{"late"}) {
		t.Fatalf("kept past the age: %v", got)
	}
}

func TestOutboxIsRefusedToASecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	openOutbox(t, path)
	if _, err := OpenOutbox(path, DefaultOutboxLimits()); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("err %v", err)
	}
}

func TestOutboxEventsAreCappedAndCounted(t *testing.T) {
	o := openOutbox(t, filepath.Join(t.TempDir(), "o.db"))
	for range 3 {
		var events []QueuedEvent
		for range maxEvents / 2 {
			events = append(events, QueuedEvent{Topic: "alert"})
		}
		if _, err := o.Commit(0, Commit{Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	if s := o.Stats(); s.Events != maxEvents || s.Dropped != maxEvents/2 {
		t.Fatalf("stats %+v", s)
	}
	first, err := o.Events(1)
	if err != nil || first[0].Seq != maxEvents/2+1 {
		t.Fatalf("oldest event %v, %v", first, err)
	}
	if err := errors.Join(o.EventDone(first[0].Seq), o.EventDone(first[0].Seq)); err != nil {
		t.Fatal(err)
	}
	if s := o.Stats(); s.Events != maxEvents-1 {
		t.Fatalf("an event done twice counts twice: %+v", s)
	}
}

// The outbox against an oracle in memory, with crashes in between.
func TestOutboxAgainstOracle(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprintf("%d.db", run))
		o, err := OpenOutbox(path, DefaultOutboxLimits())
		if err != nil {
			r.Fatal(err)
		}
		defer func() { o.Close(0) }()
		type want struct {
			counter uint64
			text    string
		}
		var durable []want
		var waiting []string // bulk in memory
		done := map[uint64]bool{}
		counter, n := uint64(0), 0
		write := func(urgent []string) {
			for _, text := range append(waiting, urgent...) {
				counter++
				durable = append(durable, want{counter, text})
			}
			waiting = nil
		}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "op") {
			case 0, 1:
				n++
				bulk := rapid.Bool().Draw(r, "bulk")
				text := fmt.Sprint("r", n)
				if _, err := o.Commit(0, Commit{Record: []Entry{entryOf(text, bulk)}}); err != nil {
					r.Fatal(err)
				}
				if bulk {
					waiting = append(waiting, text)
				} else {
					write([]string{text})
				}
			case 2:
				if err := o.Flush(0); err != nil {
					r.Fatal(err)
				}
				write(nil)
			case 3:
				if len(durable) > 0 {
					w := durable[rapid.IntRange(0, len(durable)-1).Draw(r, "which")]
					o.Done(seal.ID(append(binary.BigEndian.AppendUint64(nil, w.counter), w.text...)))
					done[w.counter] = true
				}
			case 4: // kill -9
				b, err := os.ReadFile(path)
				if err != nil {
					r.Fatal(err)
				}
				o.Close(0)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					r.Fatal(err)
				}
				if o, err = OpenOutbox(path, DefaultOutboxLimits()); err != nil {
					r.Fatal(err)
				}
				waiting = nil
			}
		}
		o.ResendAll()
		due, err := o.Due(time.Unix(0, 0))
		if err != nil {
			r.Fatal(err)
		}
		have := map[uint64]string{}
		for _, d := range due {
			have[d.Counter] = string(d.Sealed[8:])
		}
		// What is not done is there; what is done may come again only after a
		// kill, with the same bytes.
		for _, w := range durable {
			if text, ok := have[w.counter]; ok && text != w.text || !ok && !done[w.counter] {
				r.Fatalf("record %d: have %q (%v), want %q", w.counter, text, ok, w.text)
			}
			delete(have, w.counter)
		}
		if diff := cmp.Diff(map[uint64]string{}, have); diff != "" {
			r.Fatalf("records nobody made: %s", diff)
		}
	})
}
