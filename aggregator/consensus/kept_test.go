package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// What one member has handed over and no one has looked at is bounded in frames and in
// bytes. Another member has its own room, and what was looked at makes room.
func TestHandedOverIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ size, most int }{"frames": {1, handedFrames}, "bytes": {handedBytes / 4, 4}} {
		h, sealed, n := newHanded(), [][]byte{make([]byte, c.size)}, 0
		for n <= c.most && h.put("da1", sealed) {
			n++
		}
		if n != c.most {
			t.Errorf("%s: %d wait of one member, want %d", name, n, c.most)
		}
		if !h.put("da2", sealed) {
			t.Errorf("%s: another member has no room", name)
		}
		line, _ := h.take()
		h.done(line)
		if !h.put("da1", sealed) || h.put("da1", sealed) {
			t.Errorf("%s: one that was looked at makes room for one", name)
		}
	}
}

// forgedApp finds every record forged.
type forgedApp struct{ *fakeApp }

type forgery struct{ error }

func (forgery) Forged() bool { return true }

func (forgedApp) CheckRecord([]byte) (string, string, error) {
	return "", "", forgery{errors.New("not its key")}
}

// Too many records in a frame, one that is too large and one that is forged are booked
// against the member that hands them over: so one that goes on with it is cut off.
func TestBadRecordsAreBooked(t *testing.T) {
	c := newCluster(t, 4, 1000, lan)
	cfg := c.config("da1", c.net.Join("da1"))
	cfg.App = forgedApp{c.apps["da1"]}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	booked := func(rule string, want uint64, of func()) {
		t.Helper()
		of()
		if got := n.refused[rule]; got != want {
			t.Errorf("%d times %s, want %d", got, rule, want)
		}
	}
	booked("oversized", 0, func() { n.queueRecords("da2", make([][]byte, chunkRecords)) })
	booked("oversized", 1, func() { n.queueRecords("da2", make([][]byte, chunkRecords+1)) })
	booked("forged_record", 1, func() { n.keepRecord("da2", make([]byte, n.cfg.RecordBytes)) })
	booked("oversized", 2, func() { n.keepRecord("da2", make([]byte, n.cfg.RecordBytes+1)) })
}

// What is held of a member until its turn comes is bounded in frames and in bytes, the
// first stay, and no member takes another's part.
func TestHeldFramesAreBounded(t *testing.T) {
	frame := &peerpb.Frame{Epoch: 1, Sender: "da2", Body: &peerpb.Frame_Message{Message: make([]byte, 1000)}}
	size := proto.Size(frame)
	for name, c := range map[string]struct{ most, want int }{"frames": {heldBytes, heldFrames}, "bytes": {10*size + size - 1, 10}} {
		ps := &peerState{}
		for range c.want + 10 {
			ps.hold(frame, c.most)
		}
		if len(ps.held) != c.want || ps.bytes != c.want*size {
			t.Errorf("%s: %d frames of %d bytes are held, want %d", name, len(ps.held), ps.bytes, c.want)
		}
	}
}

// The memory of signatures is bounded and forgets the oldest: those of the last
// generation are all there.
func TestMemoryOfSignaturesIsBounded(t *testing.T) {
	var h Held
	key := func(n int) (k [32]byte) {
		binary.BigEndian.PutUint64(k[:], uint64(n))
		return k
	}
	const all = 5 * heldMost / 2
	for n := range all {
		h.Put(key(n))
	}
	if most := len(h.now) + len(h.old); most > 2*heldMost {
		t.Errorf("%d signatures are remembered, at most %d may be", most, 2*heldMost)
	}
	for n := range heldMost {
		if !h.Has(key(all - 1 - n)) {
			t.Fatalf("of the last %d signatures number %d is forgotten", heldMost, n+1)
		}
	}
	if h.Has(key(0)) {
		t.Error("the first is remembered for ever")
	}
}

// A message that the library prints comes into the log by its size alone, whatever the
// level, and into the reason for which an instance ends.
func TestLinesOfTheLibraryAreBounded(t *testing.T) {
	var out bytes.Buffer
	var fault error
	l := &logger{
		log:  slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		fail: func(err error) { fault = err },
	}
	big := []byte(strings.Repeat("x", 1<<20))
	l.Warnf("warned of %v", big)
	l.Errorf("failed for %v", big)
	var panicked sync.WaitGroup
	panicked.Go(func() { l.Panicf("cannot be: %v", big) })
	panicked.Wait()
	if n := strings.Count(out.String(), "1048576 bytes"); n != 2 || out.Len() > 500 {
		t.Errorf("%d of two lines name the size, in %d bytes of log", n, out.Len())
	}
	if fault == nil || len(fault.Error()) > 100 {
		t.Errorf("the fault has %d bytes: %.100v", len(fault.Error()), fault)
	}
}

// Of the messages that may come too early those for the next two places are kept, and of
// as many views as there are members.
func TestWhatIsFarAheadIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, i := newIdle(t)
		last, view := i.last.Load(), i.view.Load()
		for _, c := range []struct {
			view, seq uint64
			want      bool
		}{{view, last, false}, {view, last + 1, true}, {view, last + 2, true}, {view, last + 3, false}, {view + 4, last + 1, true}, {view + 5, last + 1, false}} {
			i.keep(77, prepare(c.view, c.seq, otherDigest))
			i.keepMu.Lock()
			if got := i.kept[keptKey{sender: 77, view: c.view, seq: c.seq, kind: 1}] != nil; got != c.want {
				t.Errorf("view %d, sequence %d after view %d, sequence %d: kept %v", c.view, c.seq, view, last, got)
			}
			i.keepMu.Unlock()
		}
	})
}

// votedLink counts to whom a vote for a digest goes.
type votedLink struct {
	Link
	mu   sync.Mutex
	sent map[string]int
}

func (l *votedLink) Send(to string, raw []byte) {
	f, m := &peerpb.Frame{}, &protos.Message{}
	if proto.Unmarshal(raw, f) == nil && proto.Unmarshal(f.GetMessage(), m) == nil && m.GetPrepare().GetDigest() == otherDigest {
		l.mu.Lock()
		l.sent[to]++
		l.mu.Unlock()
	}
	l.Link.Send(to, raw)
}

// After a stall the own votes that are undecided and old go to all once more, straight: they
// may have been lost, or kept back by who was to carry them.
func TestOwnVotesGoOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := &votedLink{sent: make(map[string]int)}
		_, i := newIdle(t, func(cfg *Config) {
			if cfg.Self == "da3" {
				link.Link, cfg.Link = cfg.Link, link
			}
		})
		last := i.last.Load()
		vote := prepare(i.view.Load(), last+1, otherDigest)
		i.sendMu.Lock()
		i.noteOwn(ballotKey{view: i.view.Load(), seq: last + 1}, vote)
		i.sendMu.Unlock()
		after := func(what string, resend bool, stall time.Duration, want int) {
			t.Helper()
			i.again(resend, stall)
			link.mu.Lock()
			defer link.mu.Unlock()
			for _, da := range []string{"da1", "da2", "da4"} {
				if link.sent[da] != want {
					t.Errorf("%s: sent to %s %d times, want %d", what, da, link.sent[da], want)
				}
			}
		}
		after("it is young", true, time.Hour, 0)
		after("the view has just begun", false, 0, 0)
		after("it is old", true, 0, 1)
		i.last.Store(last + 1)
		after("it is decided", true, 0, 1)
	})
}
