package consensus

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/peerpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	smart "github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// stuckWAL is a log that the library cannot write to for a while.
type stuckWAL struct{ api.WriteAheadLog }

var errStuck = errors.New("too slow")

func (stuckWAL) Append([]byte, bool) error { return errStuck }

// A node whose instance fails again and again goes on trying, ever more seldom,
// and votes when the cause is gone.
func TestFaultsEndNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.wait = 2 * time.Minute
		starts := 0
		c.mend = func(n *Node) {
			if n.cfg.Self != "da4" {
				return
			}
			hasten := n.adjust
			n.adjust = func(bft *smart.Consensus) {
				hasten(bft)
				if starts++; starts <= 11 {
					bft.WAL = stuckWAL{bft.WAL}
				}
			}
		}
		c.start(c.names...)
		begin := time.Now()
		for c.node("da4").Stats().Restarts < 11 {
			c.submit("da1", 100)
			c.allDecided("da1", "da2", "da3")
			pause := time.Now()
			c.until("a while", func() bool { return time.Since(pause) > 100*time.Millisecond })
		}
		if took := time.Since(begin); took < 10*time.Second {
			t.Errorf("11 starts in %v: a node that fails must not thrash", took)
		}
		c.until("da4 to vote", func() bool { return c.node("da4").Stats().Voting })
		c.submit("da2", 100)
		c.allDecided(c.names...)
	})
}

// A node that was away over the ends of epochs, with its folder whole, votes as
// soon as it has caught up. So the next failure stops nothing.
func TestVotesAfterLongAbsence(t *testing.T) {
	for name, again := range map[string]bool{"once": false, "and a crash on the way": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4, 10, lan)
				c.startAll()
				stop := c.feed("da1", "da2", "da3")
				c.until("blocks", func() bool { return c.apps["da4"].Height() > 2 })
				c.stop("da4")
				at := c.apps["da4"].Epoch().Number
				c.until("three epochs", func() bool { return c.apps["da1"].Epoch().Number > at+3 })
				stop()
				c.allDecided("da1", "da2", "da3")
				if again {
					// It fetches a few epochs and crashes before it votes.
					link := c.net.Join("da4")
					n, err := New(c.config("da4", link))
					if err != nil {
						t.Fatal(err)
					}
					if err := n.wholeAtBoot(); err != nil {
						t.Fatal(err)
					}
					for c.apps["da4"].Epoch().Number < at+2 {
						cb, err := c.apps["da1"].Block(c.apps["da4"].Height() + 1)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := n.adopt(cb); err != nil {
							t.Fatal(err)
						}
					}
				}
				c.start("da4")
				c.until("da4 to vote", func() bool { return c.node("da4").Stats().Voting })
				c.stop("da3")
				c.submit("da2", 100)
				c.allDecided("da1", "da2", "da4")
			})
		})
	}
}

// A node does not vote after an absence if its folder may not tell all: it is
// gone, or older than what the application holds.
func TestDoubtfulFolderDoesNotVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 10, lan)
		c.startAll()
		stop := c.feed("da1", "da2", "da3")
		c.until("blocks", func() bool { return c.apps["da4"].Height() > 2 })
		c.stop("da4")
		at := c.apps["da4"].Epoch().Number
		c.until("two epochs", func() bool { return c.apps["da1"].Epoch().Number > at+1 })
		stop()
		c.allDecided("da1", "da2", "da3")
		if err := os.RemoveAll(wal.Folder(c.dirs["da4"], at)); err != nil {
			t.Fatal(err)
		}
		c.start("da4")
		h := c.apps["da1"].Height()
		c.until("da4 to catch up", func() bool { return c.apps["da4"].Height() == h })
		c.submit("da2", 100)
		c.allDecided(c.names...)
		if s := c.node("da4").Stats(); s.Voting {
			t.Errorf("votes in epoch %d without the log of epoch %d", s.Epoch, at)
		}
	})
}

// A member that no one answers at its start has not been told yet that its log is an old one. It
// does not vote, however long that lasts: with fewer than a quorum in reach nothing is decided.
func TestOldBackupWaitsForWordOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.startAll()
		decide := func(n int) { c.decide(n, c.names...) }
		c.apps["da4"].noRejoin = true
		decide(2)
		old, height := c.backup("da4")
		decide(8)
		c.stop("da4")
		c.putBack("da4", old, height)
		c.partition([]string{"da1", "da2", "da3"}, []string{"da4"})
		c.start("da4")
		for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
			if s := c.node("da4").Stats(); s.Voting {
				t.Fatalf("it votes after %v: %+v", time.Since(begin), s)
			}
		}
		if why := c.node("da4").Stats().Following; !strings.Contains(why, "what this DA has said") {
			t.Errorf("it says that it follows because of %q", why)
		}
		c.heal()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		if s := c.node("da4").Stats(); s.Voting || !strings.Contains(s.Following, "an old one was put back") {
			t.Errorf("%+v", s)
		}
	})
}

// Where votes go up a tree, one member alone may have heard of the newest when its signer goes
// down. Put back from a backup at once, the signer waits for the answer of that one as well.
func TestOldBackupWaitsForTheLastToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 100_000, lan)
		var alone, deaf atomic.Bool // da3 alone hears what da4 says; da4 does not hear da3
		c.sieved(func(from, to string, f *peerpb.Frame, m *protos.Message) bool {
			switch {
			case from == "da4" && m.GetCommit() != nil:
				return false // so that no block shows its vote
			case from == "da4" && to != "da3" && alone.Load():
				return asked(f)
			}
			return from != "da3" || to != "da4" || !deaf.Load()
		})
		c.apps["da4"].noRejoin = true
		c.startAll()
		c.decide(1, "da1")
		old, height := c.backup("da4")
		alone.Store(true)
		c.decide(3, "da1")
		c.stop("da4")
		c.putBack("da4", old, height)
		deaf.Store(true)
		c.start("da4")
		for begin := time.Now(); time.Since(begin) < recallFor/2; time.Sleep(10 * time.Millisecond) {
			if c.node("da4").Stats().Voting {
				t.Fatalf("it votes after %v, before the last has answered", time.Since(begin))
			}
		}
		deaf.Store(false)
		c.untilItFollows("da4")
	})
}

// What a member asked before it went down may be answered after it was put back from a backup,
// and without what it said in between. Only answers to what this run of it asks count.
func TestAnswersToAnEarlierRunDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1")
		c.answerTo("da1", c.node("da1").question+1, "da2", "da3", "da4")
		for begin := time.Now(); time.Since(begin) < 3*recallFor; time.Sleep(100 * time.Millisecond) {
			if c.node("da1").Stats().Voting {
				t.Fatalf("it votes after %v", time.Since(begin))
			}
		}
		c.answer("da1", "da2", "da3")
		c.untilVoting("da1")
	})
}

// View data goes to the next leader alone. That it was given is told to all others at once: a
// member that is put back from a backup right afterwards may be answered by them alone, where
// that leader is down.
func TestAllAreToldOfViewData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var mu sync.Mutex
		given, told := map[string]time.Time{}, map[string]map[string]bool{}
		c.sieved(func(from, to string, f *peerpb.Frame, m *protos.Message) bool {
			mu.Lock()
			defer mu.Unlock()
			if len(f.GetMark()) == 0 {
				return true
			}
			key := from + string(f.GetMark())
			if m.GetViewData() != nil {
				given[key] = time.Now()
			}
			if at, ok := given[key]; ok && f.GetStatus() != nil && time.Since(at) == 0 {
				if told[key] == nil {
					told[key] = map[string]bool{}
				}
				told[key][to] = true
			}
			return true
		})
		c.startAll()
		c.submit("da1", 100)
		c.allDecided(c.names...)
		c.stop("da1")
		c.submit("da3", 100)
		c.allDecided("da2", "da3", "da4")
		mu.Lock()
		defer mu.Unlock()
		if len(given) == 0 {
			t.Fatal("no one gave view data")
		}
		for key := range given {
			if len(told[key]) != 3 {
				t.Errorf("the mark of view data of %s was told to %d others at once", key[:3], len(told[key]))
			}
		}
	})
}

// A member that some do not answer begins once a quorum with it has: of six, two may be away.
func TestAQuorumsWordsAreEnough(t *testing.T) {
	for n, gone := range map[int][]string{4: {"da4"}, 5: {"da5"}, 6: {"da5", "da6"}} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, n, 1000, lan)
				c.startAll()
				c.submit("da1", 100)
				c.allDecided(c.names...)
				for _, da := range gone {
					c.stop(da)
				}
				c.stop("da2")
				c.start("da2")
				begin := time.Now()
				c.until("da2 to vote", func() bool { return c.node("da2").Stats().Voting })
				if took := time.Since(begin); took > recallFor+time.Second {
					t.Errorf("it took %v", took)
				}
				c.submit("da2", 100)
				there := slices.DeleteFunc(slices.Clone(c.names), func(da string) bool { return slices.Contains(gone, da) })
				c.allDecided(there...)
			})
		})
	}
}

// An old folder put back is found out by votes of its own that it does not know
// of: the node follows. With the application put back as well, it learns of them
// by the blocks that it fetches.
func TestOldBackupDoesNotVote(t *testing.T) {
	for name, both := range map[string]bool{"log": false, "log and blocks": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4, 60, lan)
				c.startAll()
				decide := func(n int) { c.decide(n, c.names...) }
				c.apps["da4"].noRejoin = true
				decide(2)
				old, height := c.backup("da4")
				decide(8)
				c.stop("da4")
				c.dirs["da4"] = old
				if both {
					c.putBack("da4", old, height)
				}
				c.start("da4")
				decide(3)
				if s := c.node("da4").Stats(); s.Voting || s.Epoch != 1 {
					t.Errorf("an old backup votes: %+v", s)
				}
				stop := c.feed("da1", "da2", "da3")
				c.until("da4 to vote in the next epoch", func() bool { s := c.node("da4").Stats(); return s.Voting && s.Epoch > 1 })
				stop()
				c.allDecided(c.names...)
			})
		})
	}
}
