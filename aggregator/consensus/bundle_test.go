package consensus

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// tally counts the messages that blocks cost.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

// counting is a link that counts what is sent.
type counting struct {
	Link
	t *tally
}

func (l *counting) Send(to string, frame []byte) {
	if kind := kindOfFrame(frame); kind != "" {
		l.t.mu.Lock()
		l.t.counts[kind]++
		l.t.mu.Unlock()
	}
	l.Link.Send(to, frame)
}

func (l *counting) Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	l.t.mu.Lock()
	l.t.counts["pull"] += 2
	l.t.mu.Unlock()
	return l.Link.Pull(ctx, from, ref)
}

// kindOfFrame names what a frame does for a block; "" for one that does nothing for it.
func kindOfFrame(raw []byte) string {
	f, m := &peerpb.Frame{}, &protos.Message{}
	if proto.Unmarshal(raw, f) != nil {
		return "garbage"
	}
	switch b := f.GetBody().(type) {
	case *peerpb.Frame_Relay:
		return "block"
	case *peerpb.Frame_Bundle:
		switch {
		case b.Bundle.GetWant():
			return "want"
		case len(b.Bundle.GetVoices()) == 0:
			return "note"
		case b.Bundle.GetCommit():
			return "commits"
		}
		return "prepares"
	case *peerpb.Frame_Message:
		if proto.Unmarshal(b.Message, m) != nil {
			return "garbage"
		}
		if m.GetPrepare() != nil || m.GetCommit() != nil {
			if m.GetPrepare().GetAssist() || m.GetCommit().GetAssist() {
				return "assist"
			}
			return "vote"
		}
	}
	return ""
}

func (t *tally) sum() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.counts {
		n += c
	}
	return n
}

// With many members a block costs at most six messages a member, and none of them is a
// vote sent to each.
func TestMessagesOfABlock(t *testing.T) {
	sizes := []int{16}
	if os.Getenv("FAIRWATT_LONG") != "" {
		sizes = []int{10, 16, 32, 50}
	}
	for _, n := range sizes {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, n, 1000, lan)
			c.wait = time.Minute
			c.links(4)
			count := &tally{counts: make(map[string]int)}
			c.tweak = func(cfg *Config) { cfg.Link = &counting{cfg.Link, count} }
			c.startAll()
			const blocks = 20
			for range blocks {
				h := c.apps["da2"].Height()
				c.submit("da3", 200)
				c.until("a block", func() bool { return c.apps["da2"].Height() > h })
			}
			c.allDecided(c.names...)
			count.mu.Lock()
			t.Logf("%d members: %.1f messages a block and member: %v", n, float64(countAll(count.counts))/float64(blocks*n), count.counts)
			count.mu.Unlock()
			if count.sum() > 6*n*blocks {
				t.Errorf("%d messages for %d blocks of %d members", count.sum(), blocks, n)
			}
			if count.counts["vote"] > 0 {
				t.Errorf("%d votes were sent to all", count.counts["vote"])
			}
		})
	}
}

func countAll(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// carrier is a link that carries no votes: none of others, or none at all.
type carrier struct {
	Link
	drop func(b *peerpb.Bundle) bool
}

func (l *carrier) Send(to string, frame []byte) {
	f := &peerpb.Frame{}
	if proto.Unmarshal(frame, f) == nil && f.GetBundle() != nil && l.drop(f.GetBundle()) {
		return
	}
	l.Link.Send(to, frame)
}

// Members that carry no votes stop nothing, and are no reason to give a leader up: their
// children ask the leader. When the leader carries none, votes go to all; it may be given
// up for it.
func TestVotesThatAreNotCarried(t *testing.T) {
	for name, c := range map[string]struct {
		evil    []string
		drop    func(self uint64, b *peerpb.Bundle) bool
		changes uint64 // of the leader, at most
	}{
		"carriers drop all": {[]string{"da2", "da3"}, func(uint64, *peerpb.Bundle) bool { return true }, 0},
		"carriers drop of others": {[]string{"da2", "da3", "da4"}, func(self uint64, b *peerpb.Bundle) bool {
			return len(b.GetVoices()) != 1 || b.GetVoices()[0].GetSigner() != self
		}, 0},
		"the leader drops all":  {[]string{"da1"}, func(uint64, *peerpb.Bundle) bool { return true }, 3},
		"the leader drops down": {[]string{"da1"}, func(_ uint64, b *peerpb.Bundle) bool { return !b.GetCommit() }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 13, 1000, lan)
				cl.links(4)
				cl.tweak = func(cfg *Config) {
					if slices.Contains(c.evil, cfg.Self) {
						self := uint64(slices.Index(cl.names, cfg.Self) + 1)
						cfg.Link = &carrier{cfg.Link, func(b *peerpb.Bundle) bool { return c.drop(self, b) }}
					}
				}
				cl.startAll()
				var took []time.Duration
				for range 40 {
					h, began := cl.apps["da13"].Height(), time.Now()
					cl.submit("da5", 200)
					cl.until("a block", func() bool { return cl.apps["da13"].Height() > h })
					took = append(took, time.Since(began))
				}
				cl.allDecided(cl.names...)
				for _, name := range cl.names {
					s := cl.node(name).Stats()
					if s.ViewChanges > c.changes || c.changes == 0 && s.Complaints > 0 || s.Refused > 0 {
						t.Errorf("%s: %d changes of the leader, %d complaints, %d refusals", name, s.ViewChanges, s.Complaints, s.Refused)
					}
				}
				slices.Sort(took)
				if median := took[len(took)/2]; median > 100*time.Millisecond {
					t.Errorf("half of the blocks took %v and more: %v", median, took)
				}
				t.Logf("median %v, longest %v", took[len(took)/2], took[len(took)-1])
			})
		})
	}
}

// Words for a ballot that no vote bears out take no room: not votes of the receiver
// itself, which it does not look at, and not votes that do not hold.
func TestVotesThatDoNotHoldTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10, 1000, lan)
		c.startAll()
		c.submit("da3", 20)
		c.allDecided(c.names...)
		victim := c.node("da1")
		i := victim.instance()
		i.bundles.mu.Lock()
		before := len(i.bundles.of)
		i.bundles.mu.Unlock()
		for k := range 200 {
			signer := uint64(1) // da1 itself
			if k%2 == 1 {
				signer = 2
			}
			raw, err := proto.Marshal(&peerpb.Frame{Epoch: i.epoch.Number, Sender: "da2", Body: &peerpb.Frame_Bundle{Bundle: &peerpb.Bundle{
				View: i.view.Load(), Seq: i.last.Load() + 1, Digest: fmt.Sprintf("%064x", k), Voices: []*peerpb.Voice{{Signer: signer, Signature: make([]byte, 64)}},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			victim.Receive("da2", raw)
		}
		time.Sleep(time.Second)
		i.bundles.mu.Lock()
		after := len(i.bundles.of)
		i.bundles.mu.Unlock()
		if refused := victim.Stats().Refused; after > before || refused == 0 {
			t.Errorf("%d ballots, %d before; %d refusals", after, before, refused)
		}
	})
}

// slowLine is a link on which one ballot's votes stay in Send until they are let go.
type slowLine struct {
	Link
	digest        string
	entered, free chan struct{}
}

func (l *slowLine) Send(to string, frame []byte) {
	f := &peerpb.Frame{}
	if proto.Unmarshal(frame, f) == nil && f.GetBundle().GetDigest() == l.digest {
		close(l.entered)
		<-l.free
	}
	l.Link.Send(to, frame)
}

// A node that has stopped sends nothing any more: its end waits for votes that a timer
// is sending, and a timer that comes later sends none.
func TestNoTimerOutlivesItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10, 1000, lan)
		line := &slowLine{digest: strings.Repeat("ab", 32), entered: make(chan struct{}), free: make(chan struct{})}
		c.tweak = func(cfg *Config) {
			if cfg.Self == "da9" {
				line.Link = cfg.Link
				cfg.Link = line
			}
		}
		c.startAll()
		c.submit("da3", 20)
		c.allDecided(c.names...)
		i := c.node("da9").instance()
		key := ballotKey{i.view.Load(), i.last.Load() + 1, false, line.digest}
		i.bundles.mu.Lock()
		i.bundles.ballot(key).voices[5] = &peerpb.Voice{Signer: 5}
		i.bundles.mu.Unlock()
		go i.waited(key)
		<-line.entered
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			c.stop("da9")
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("the node has stopped while a timer of its sends votes")
		default:
		}
		close(line.free)
		<-stopped
		i.waited(key) // and closes line.entered a second time if it sends
	})
}
