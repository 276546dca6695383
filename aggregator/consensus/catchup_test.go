package consensus

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// What f + 1 others claim is vouched for: one of them is honest. What only f
// claim may be the claim of liars, however high it is.
func TestVouched(t *testing.T) {
	for _, tc := range []struct {
		name          string
		epochs        []uint64 // claimed by da2, da3, ...
		heights       []uint64
		epoch, height uint64
	}{
		{"one liar of four", []uint64{99, 1, 1}, []uint64{1000, 5, 3}, 1, 5},
		{"two of four agree", []uint64{7, 1, 7}, []uint64{40, 3, 50}, 7, 40},
		{"two liars of seven", []uint64{99, 98, 2, 2, 1, 1}, []uint64{900, 800, 30, 20, 10, 5}, 2, 30},
		{"three of seven agree", []uint64{9, 1, 9, 1, 9, 1}, []uint64{70, 1, 80, 1, 90, 1}, 9, 70},
		{"no one heard of yet", []uint64{0, 0, 0}, []uint64{0, 0, 0}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, len(tc.epochs)+1, 10, peer.MemoryConfig{})
			n, err := New(c.config("da1", c.net.Join("da1")))
			if err != nil {
				t.Fatal(err)
			}
			n.peer("da1").note(500, 5000, time.Now()) // a node does not vouch for itself
			for k := range tc.epochs {
				n.peer(fmt.Sprintf("da%d", k+2)).note(tc.epochs[k], tc.heights[k], time.Now())
			}
			if epoch, height := n.vouched(c.apps["da1"].Epoch()); epoch != tc.epoch || height != tc.height {
				t.Errorf("epoch %d, height %d, want %d and %d", epoch, height, tc.epoch, tc.height)
			}
		})
	}
}

// A liar that claims a far epoch and height ends no instance; with a second one
// of four the claim is true as far as a node can know.
func TestOneLiarEndsNoInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.startAll()
		claim := func(from string) {
			raw, err := proto.Marshal(&peerpb.Frame{
				Epoch: 90, Height: 9000, Sender: from, Body: &peerpb.Frame_Status{Status: &peerpb.Status{}},
			})
			if err != nil {
				t.Fatal(err)
			}
			c.node("da1").Receive(from, raw)
		}
		running := c.node("da1").instance()
		claim("da2")
		time.Sleep(10 * time.Second)
		if c.node("da1").instance() != running || running.failure() != nil {
			t.Error("one liar's claim ended the instance")
		}
		claim("da3")
		c.until("the instance to end", func() bool { return running.failure() != nil })
		c.submit("da4", 100)
		c.allDecided(c.names...)
	})
}

// muteLink is a link on which one member never answers a question for blocks, and the
// others give theirs up to a height.
type muteLink struct {
	Link
	mute  string
	app   *fakeApp
	upTo  uint64
	asked map[string]int
}

func (l *muteLink) Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	l.asked[from]++
	if from == l.mute {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.app.give(lo, min(hi, l.upTo), fn)
}

// give hands blocks over, as a member that is asked for them does.
func (a *fakeApp) give(lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	for h := lo; h <= hi; h++ {
		cb, err := a.Block(h)
		if err != nil {
			return err
		}
		if err := fn(cb); err != nil {
			return err
		}
	}
	return nil
}

// A liar that claims the most blocks and gives none costs one question, not one each time.
func TestALiarDelaysCatchUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1", "da2", "da3")
		for range 8 {
			c.submit("da1", 100)
			c.allDecided("da1", "da2", "da3")
		}
		link := &muteLink{Link: c.net.Join("da4"), mute: "da2", app: c.apps["da1"], upTo: 1, asked: make(map[string]int)}
		n, err := New(c.config("da4", link))
		if err != nil {
			t.Fatal(err)
		}
		catchUp := func() time.Duration {
			n.peer("da2").note(1, 1_000_000, time.Now())
			for _, da := range []string{"da1", "da3"} {
				n.peer(da).note(1, link.upTo, time.Now())
			}
			began := time.Now()
			if err := n.catchUp(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if got := c.apps["da4"].Height(); got != link.upTo {
				t.Errorf("at height %d, want %d", got, link.upTo)
			}
			return time.Since(began)
		}
		if took := catchUp(); took < fetchTimeout {
			t.Errorf("the first time took %v, less than one question", took)
		}
		for link.upTo < 6 {
			link.upTo++
			before := c.apps["da4"].Height()
			if took := catchUp(); took > 0 {
				t.Errorf("block %d took %v", link.upTo, took)
			}
			if order := n.sources(n.enter()); order[len(order)-1] != "da2" {
				t.Errorf("asked in the order %v above height %d", order, before)
			}
		}
		// After a while it gets another chance.
		time.Sleep(doubtFor)
		if order := n.sources(n.enter()); order[0] != "da2" {
			t.Errorf("asked in the order %v after a while", order)
		}
	})
}

// hushedLink is a link on which one member never answers a question for blocks; the others
// give what they have.
type hushedLink struct {
	Link
	hushed string
	app    *fakeApp
}

func (l hushedLink) Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	if from == l.hushed {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.app.give(lo, min(hi, l.app.Height()), fn)
}

// Within an epoch too, one that is known to give nothing is not asked for what the others
// have given.
func TestALiarIsNotAskedForWhatOthersGave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var cut atomic.Bool
		c.sieved(func(_, to string, _ *peerpb.Frame, _ *protos.Message) bool { return to != "da3" || !cut.Load() })
		sieve := c.tweak
		c.tweak = func(cfg *Config) {
			if sieve(cfg); cfg.Self == "da3" {
				cfg.Link = hushedLink{cfg.Link, "da2", c.apps["da1"]}
			}
		}
		c.startAll()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		n := c.node("da3")
		c.until("it to run", func() bool { return n.instance() != nil })
		cut.Store(true)
		c.submit("da1", 100)
		c.allDecided("da1", "da2", "da4")
		liar, now := n.peer("da2"), time.Now()
		liar.note(1, 1_000_000, now)
		liar.mu.Lock()
		liar.withheld = now
		liar.mu.Unlock()
		for _, da := range []string{"da1", "da4"} {
			n.peer(da).note(1, 2, now)
		}
		if h := c.apps["da3"].Height(); h != 1 {
			t.Fatalf("at height %d, want 1: the test shows nothing", h)
		}
		if err := n.fetchMissing(t.Context(), n.instance()); err != nil {
			t.Fatal(err)
		}
		if h, took := c.apps["da3"].Height(), time.Since(now); h != 2 || took > 0 {
			t.Errorf("at height %d after %v, want 2 at once", h, took)
		}
	})
}
