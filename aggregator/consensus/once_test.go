package consensus

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// Both kinds of writes are measured, and the time for a change of view follows them. It runs on
// the wall clock: in a bubble a write takes no time.
func TestOwnWritesAreMeasured(t *testing.T) {
	c := newCluster(t, 4, 1000, lan)
	c.wait, c.wall = time.Minute, true
	c.startAll()
	c.submit("da1", 100)
	c.allDecided(c.names...)
	n := c.node("da3")
	c.until("both to be measured", func() bool { // a block is there before its write has ended
		n.pace.mu.Lock()
		defer n.pace.mu.Unlock()
		return n.pace.entries.mean > 0 && n.pace.commits.mean > 0
	})
	n.pace.mu.Lock()
	n.pace.entries, n.pace.commits = average{mean: time.Minute}, average{}
	n.pace.mu.Unlock()
	i := &instance{node: n}
	if got, want := i.settings(false).ViewChangeTimeout, mostStretch*n.cfg.ViewChangeTimeout; got != want {
		t.Errorf("a change of view may take %v, want %v", got, want)
	}
}

// A record that its leader does not decide goes out again after the timeout for that, which is
// longer in proportion where a member's own writes are slow: no one could decide it sooner.
func TestOnSlowDisksRecordsWaitLonger(t *testing.T) {
	for name, c := range map[string]struct {
		entry, again time.Duration // how long an entry of the log takes, and when the record goes out again
	}{"quick": {0, 300 * time.Millisecond}, "as slow as counts": {time.Hour, mostStretch * 300 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 4, 1000, lan)
			var cut atomic.Bool
			cl.sieved(func(_, _ string, _ *peerpb.Frame, _ *protos.Message) bool { return !cut.Load() })
			sieve := cl.tweak
			cl.tweak = func(cfg *Config) {
				sieve(cfg)
				cfg.ForwardTimeout, cfg.ComplainTimeout, cfg.HeartbeatTimeout = 300*time.Millisecond, time.Minute, time.Minute
			}
			cl.startAll()
			cl.submit("da1", 100)
			cl.allDecided(cl.names...)
			n := cl.node("da3")
			cut.Store(true)
			n.pace.mu.Lock()
			n.pace.entries = average{mean: c.entry}
			n.pace.mu.Unlock()
			before, began := n.Stats().Resubmitted, time.Now()
			cl.submit("da3", 100)
			cl.until("the record to go out again", func() bool { return n.Stats().Resubmitted > before })
			if took := time.Since(began); took < c.again || took > c.again+1500*time.Millisecond {
				t.Errorf("%s: after %v, want %v", name, took, c.again)
			}
		})
	}
}

// The tree of the first view is there before its first block, and that of a view before
// anything comes of it: building one takes long with many members.
func TestTreesAreBuiltAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.startAll()
		c.until("it to run", func() bool { return c.node("da3").instance() != nil })
		i := c.node("da3").instance()
		synctest.Wait()
		there := func(view uint64) bool {
			i.forest.mu.Lock()
			defer i.forest.mu.Unlock()
			return i.forest.views[view] != nil
		}
		if !there(0) || there(3) {
			t.Errorf("at the start the first view's tree is there: %v, a later one's: %v", there(0), there(3))
		}
		i.entered(3)
		synctest.Wait()
		if !there(3) {
			t.Error("the tree of the view that has come is not there")
		}
	})
}

// A member's own votes come back in the view data and certificates of all others: it does
// not check them.
func TestOwnVotesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, i := newIdle(t)
		p := types.Proposal{Header: []byte("header"), Metadata: []byte{}}
		signature := i.signVote(p, nil)
		if !i.node.cfg.Held.Has(seal.Mark(i.seat.Keys["da3"], seal.DomainVote, i.seat.ChainID, "da3", guard.VotePayload(p.Header, p.Metadata, nil), signature)) {
			t.Error("its own vote is not remembered")
		}
	})
}

// checkingApp counts the certified blocks that it has to verify.
type checkingApp struct {
	*fakeApp
	verified *atomic.Int64
}

func (a checkingApp) VerifyCertified(cb *fairwattpb.CertifiedBlock) error {
	a.verified.Add(1)
	return a.fakeApp.VerifyCertified(cb)
}

// A block that agreement has checked vote by vote is not verified again when it is stored; one
// that is fetched is.
func TestDecidedBlocksAreVerifiedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		var of3, of4 atomic.Int64
		c.tweak = func(cfg *Config) {
			if count := map[string]*atomic.Int64{"da3": &of3, "da4": &of4}[cfg.Self]; count != nil {
				cfg.App = checkingApp{c.apps[cfg.Self], count}
			}
		}
		c.start("da1", "da2", "da3")
		for range 10 {
			c.submit("da1", 100)
			c.allDecided("da1", "da2", "da3")
		}
		if n, s := of3.Load(), c.node("da3").Stats(); n != int64(s.Fetched) || s.Blocks-s.Fetched < 5 {
			t.Errorf("%d blocks verified as they were stored: %d blocks, %d of them fetched", n, s.Blocks, s.Fetched)
		}
		c.start("da4")
		c.allDecided(c.names...)
		if s := c.node("da4").Stats(); of4.Load() < int64(s.Fetched) || s.Fetched == 0 {
			t.Errorf("%d of %d fetched blocks verified", of4.Load(), s.Fetched)
		}
	})
}

// A leader that is to propose for a place for which it has taken a block proposes that one
// again, whatever waits by then; for another place it makes one of what waits.
func TestLeaderProposesWhatItHasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newIdle(t)
		i := c.node("da1").instance()
		record := []byte("record of da1")
		metadata := func(seq uint64) []byte {
			raw, err := proto.Marshal(&protos.ViewMetadata{LatestSequence: seq})
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		taken := &protos.Proposal{Header: []byte("header"), Payload: []byte("payload"), Metadata: metadata(2)}
		pp := &protos.PrePrepare{Seq: 2, Proposal: taken}
		entry, err := proto.Marshal(&protos.SavedMessage{Content: &protos.SavedMessage_ProposedRecord{ProposedRecord: &protos.ProposedRecord{
			PrePrepare: pp, Prepare: &protos.Prepare{Seq: 2, Digest: guard.Digest(pp)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.log.Append(entry, true); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := i.AssembleProposal(metadata(2), [][]byte{record}); string(got.Payload) != "payload" || string(got.Header) != "header" {
				t.Errorf("it proposes %q with the header %q, and has taken another", got.Payload, got.Header)
			}
		}
		_, records, err := split(i.AssembleProposal(metadata(3), [][]byte{record}).Payload)
		if err != nil || len(records) != 1 || string(records[0]) != string(record) {
			t.Errorf("for the next place it proposes %q, %v", records, err)
		}
	})
}

// So is the time after which a leader is given up that leaves a record out: the others get the
// record after the one timeout, and bear its absence for another.
func TestOnSlowDisksACensorHasLonger(t *testing.T) {
	const timeout = 200 * time.Millisecond
	for name, c := range map[string]struct{ entry, given time.Duration }{"quick": {0, 2 * timeout}, "as slow as counts": {time.Hour, 2 * mostStretch * timeout}} {
		synctest.Test(t, func(t *testing.T) {
			cl := newCluster(t, 4, 100_000, lan)
			cl.tweak = func(cfg *Config) {
				cfg.ForwardTimeout, cfg.ComplainTimeout = timeout, time.Minute
				if cfg.Self == "da1" {
					cfg.App = &twisted{cl.apps["da1"], func(records [][]byte) ([][]byte, error) {
						return slices.DeleteFunc(slices.Clone(records), func(r []byte) bool { return strings.Contains(string(r), "of da3") }), nil
					}}
				}
			}
			cl.startAll()
			stop := cl.feed("da2", "da4")
			cl.until("blocks", func() bool { return cl.apps["da3"].Height() > 5 })
			began := time.Now()
			cl.submit("da3", 200)
			cl.until("the leader to be given up", func() bool {
				given := false
				for _, da := range cl.names[1:] {
					n := cl.node(da)
					n.pace.mu.Lock()
					n.pace.entries = average{mean: c.entry} // each block brings the mean down
					n.pace.mu.Unlock()
					given = given || n.Stats().Complaints > 0
				}
				return given
			})
			if took := time.Since(began); took < c.given || took > c.given+time.Second {
				t.Errorf("%s: after %v, want %v", name, took, c.given)
			}
			stop()
			cl.allDecided(cl.names...)
		})
	}
}
