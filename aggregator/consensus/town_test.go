package consensus

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// A fakeTown lets the members of a fakeApp come and go by records: "record admit da5",
// "record retire da1", "record rekey da2".
type fakeTown struct {
	keys       map[string]ed25519.PublicKey // of all that were ever known
	candidates []string
	left       []string
	joining    []string
	leaving    []string
	rekeying   []string
}

// secondKey is the key that a member has after a change.
func secondKey(name string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, "second key of "+name)
	return ed25519.NewKeyFromSeed(seed)
}

func newFakeTown(keys map[string]ed25519.PublicKey, members []string) *fakeTown {
	town := &fakeTown{keys: make(map[string]ed25519.PublicKey)}
	for _, name := range members {
		town.keys[name] = keys[name]
	}
	return town
}

// seat puts what the town knows into the epoch; a.mu is held.
func (a *fakeApp) seat() {
	t := a.town
	a.epoch.Keys = maps.Clone(t.keys)
	a.epoch.Guests = slices.Concat(t.candidates, t.left)
	a.epoch.Left = slices.Contains(t.left, a.self)
}

// takeRecord books a record of the members; a.mu is held. It reports whether a seat has
// changed within the epoch.
func (a *fakeApp) takeRecord(sealed []byte, epoch uint64) bool {
	t, words := a.town, strings.Fields(string(sealed))
	if t == nil || len(words) < 3 {
		return false
	}
	name := words[2]
	member := slices.Contains(a.order, name)
	switch words[1] {
	case "admit":
		if t.keys[name] == nil && a.pubs[name] != nil {
			t.keys[name] = a.pubs[name]
			t.candidates = append(t.candidates, name)
			return true
		}
	case "rejoin":
		if by := words[4]; words[2] == fmt.Sprint(epoch) && slices.Contains(t.candidates, by) && !slices.Contains(t.joining, by) {
			t.joining = append(t.joining, by)
		}
	case "retire":
		if member && len(t.leaving)+len(t.rekeying) == 0 && len(a.order) > 4 {
			t.leaving = append(t.leaving, name)
		}
	case "rekey":
		second := secondKey(name).Public().(ed25519.PublicKey)
		if member && len(t.leaving)+len(t.rekeying) == 0 && !second.Equal(t.keys[name]) {
			t.rekeying = append(t.rekeying, name)
		}
	}
	return false
}

// turn makes the members of the next epoch; a.mu is held.
func (a *fakeApp) turn() {
	t := a.town
	if t == nil {
		return
	}
	for _, name := range t.rekeying {
		t.keys[name] = secondKey(name).Public().(ed25519.PublicKey)
	}
	a.order = slices.DeleteFunc(slices.Concat(a.order, t.joining), func(name string) bool { return slices.Contains(t.leaving, name) })
	t.candidates = slices.DeleteFunc(t.candidates, func(name string) bool { return slices.Contains(t.joining, name) })
	t.left = append(t.left, t.leaving...)
	t.joining, t.leaving, t.rekeying = nil, nil, nil
}

// living makes a cluster of n machines of which the first four are members, and the
// others may come in.
func living(c *cluster) {
	c.fresh = func(name string) *fakeApp {
		first := c.names[:4]
		app := newFakeApp(c.pubs, slices.Clone(first), c.apps[c.names[0]].links, c.apps[c.names[0]].every)
		app.self, app.pubs, app.town = name, c.pubs, newFakeTown(c.pubs, first)
		app.seat()
		return app
	}
	for _, name := range c.names {
		c.apps[name] = c.fresh(name)
	}
}

func (c *cluster) want(name, deed string) {
	c.mu.Lock()
	sealed := fmt.Appendf(nil, "record %s of mc %d", deed, len(c.sent))
	c.sent = append(c.sent, recordID(sealed))
	c.mu.Unlock()
	if err := c.node(name).Submit(c.t.Context(), sealed); err != nil {
		c.t.Fatal(err)
	}
}

// TestMembersComeAndGo: under load a fifth member joins, a key is changed, and a member
// leaves: nothing is lost or doubled, and no one votes by a key of before.
func TestMembersComeAndGo(t *testing.T) {
	for _, every := range []uint64{4, 50} {
		t.Run(fmt.Sprintf("epochs of %d", every), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testComeAndGo(t, every) }) })
	}
}

func testComeAndGo(t *testing.T, every uint64) {
	c := newCluster(t, 5, every, lan)
	living(c)
	c.start(c.names...)
	c.untilVoting(c.names[:4]...)
	load := func(n int) {
		t.Helper()
		for k := range n {
			c.submit(c.names[1+k%3], 100)
			time.Sleep(3 * time.Millisecond)
		}
	}
	load(20)
	c.until("da5 to say that it is no member", func() bool { return strings.Contains(c.node("da5").Stats().Following, errNotMember.Error()) })
	c.want("da2", "admit da5")
	load(20)
	c.untilVoting("da5")
	begin := c.apps["da5"].Height()
	load(40)
	c.allDecided(c.names...)
	if votes := c.votesOf("da5", begin); votes == 0 {
		t.Error("no certificate has a vote of da5")
	}
	c.want("da3", "rekey da2")
	for c.apps["da3"].Epoch().Keys["da2"].Equal(c.pubs["da2"]) {
		load(1)
	}
	c.until("da2 to vote with its second key", func() bool {
		return c.node("da2").Stats().Voting && c.apps["da2"].Epoch().Number >= c.apps["da3"].Epoch().Number
	})
	begin = c.apps["da3"].Height()
	load(40)
	c.allDecided(c.names...)
	if votes := c.votesOf("da2", begin); votes == 0 {
		t.Error("no certificate has a vote of da2 with its second key")
	}
	c.want("da3", "retire da1")
	for len(c.apps["da3"].Epoch().Order) != 4 {
		load(1)
	}
	c.until("da1 to end", func() bool { return errors.Is(c.ended("da1"), ErrRetired) })
	begin = c.apps["da3"].Height()
	load(40)
	c.allDecided("da2", "da3", "da4", "da5")
	if votes := c.votesOf("da1", begin+1); votes > 0 {
		t.Error("a certificate has a vote of da1, which has left")
	}
	c.untilVoting(c.names[1:]...) // the last block may have ended an epoch
	for _, name := range c.names[1:] {
		if others := len(c.node(name).Stats().Peers); others != 3 {
			t.Errorf("%s votes among %d others", name, others)
		}
	}
}

// votesOf counts the votes of a member in blocks above a height.
func (c *cluster) votesOf(name string, above uint64) int {
	app, count := c.apps["da3"], 0
	for h := above + 1; h <= app.Height(); h++ {
		for _, v := range app.votes(c.t, h) {
			if v == name {
				count++
			}
		}
	}
	return count
}

// TestAMemberWithoutItsKeyFollows: the others go on, and it says why it does not vote.
func TestAMemberWithoutItsKeyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 4, lan)
		living(c)
		c.tweak = func(cfg *Config) { cfg.MoreKeys = nil }
		c.startAll()
		c.want("da1", "rekey da2")
		for range 30 {
			c.submit("da3", 100)
			time.Sleep(3 * time.Millisecond)
		}
		c.allDecided(c.names...)
		c.until("da2 to say so", func() bool { return strings.Contains(c.node("da2").Stats().Following, errOtherKey.Error()) })
		c.stop("da2")
		c.tweak = nil
		c.start("da2")
		c.submit("da3", 100) // its rejoin ends an epoch
		c.untilVoting("da2")
		c.allDecided(c.names...)
	})
}

// TestCandidateBringsNoVotes: who is no data aggregator of the chain brings nothing in,
// and a candidate no votes.
func TestCandidateBringsNoVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, 100_000, lan)
		living(c)
		c.start(c.names[:4]...)
		c.untilVoting(c.names[:4]...)
		link := c.net.Join("da5")
		n := c.node("da1")
		vote, err := proto.Marshal(&peerpb.Frame{Epoch: 1, Sender: "da5", Body: &peerpb.Frame_Message{Message: []byte{1}}})
		if err != nil {
			t.Fatal(err)
		}
		link.Send("da1", vote)
		c.until("a stranger to be refused", func() bool { return n.Stats().RefusedBy["unknown_sender"] == 1 })
		c.want("da2", "admit da5")
		c.allDecided(c.names[:4]...)
		link.Send("da1", vote)
		c.until("a candidate to be refused", func() bool { return n.Stats().RefusedBy["non_member"] == 1 })
	})
}

// TestMembersSimulation changes the members while all goes wrong that can.
//
//	FAIRWATT_SEEDS=200 go test -run TestMembersSimulation ./aggregator/consensus
func TestMembersSimulation(t *testing.T) {
	first, seeds := uint64(1), number(t, "FAIRWATT_SEEDS", 4)
	if seed := number(t, "FAIRWATT_SEED", 0); seed > 0 {
		first, seeds = seed, number(t, "FAIRWATT_SEEDS", 1)
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newChangingSimulation(t, seed).run() })
		})
	}
}

// newChangingSimulation is a simulation of six machines, of which four are members at
// first.
func newChangingSimulation(t *testing.T, seed uint64) *simulation {
	s := newSimulationOf(t, seed, 6)
	s.changing, s.lost = true, false
	living(s.cluster)
	for _, m := range s.machines {
		m.app.fakeApp = s.fresh(m.name)
		if m.name == m.alias {
			s.apps[m.name] = m.app.fakeApp
		}
	}
	return s
}

// changeMembers asks for one change, by a machine that is up.
func (s *simulation) changeMembers() {
	by := s.machines[s.names[s.plan.IntN(len(s.names))]]
	name := s.names[s.plan.IntN(len(s.names))]
	deed := []string{"admit", "admit", "retire", "rekey"}[s.plan.IntN(4)]
	if !by.up || s.evil[by.name] || by.retired.Load() {
		return
	}
	s.cluster.mu.Lock()
	sealed := fmt.Appendf(nil, "record %s %s of mc %d", deed, name, len(s.sent))
	s.sent = append(s.sent, recordID(sealed))
	s.cluster.mu.Unlock()
	if err := by.node.Submit(s.t.Context(), sealed); err != nil && !errors.Is(err, ErrStopped) {
		s.fail("submit to %s: %v", by.name, err)
	}
	s.did[deed+" asked for"]++
}

// standing are the members of the newest epoch that any honest machine knows.
func (s *simulation) standing() []string {
	var newest Epoch
	for _, name := range s.names {
		if epoch := s.machines[name].app.Epoch(); !s.evil[name] && epoch.Number > newest.Number {
			newest = epoch
		}
	}
	return newest.Order
}

func quorumOf(votes map[string]bool, order []string) bool {
	n := 0
	for _, name := range order {
		if votes[name] {
			n++
		}
	}
	return n >= wire.Quorum(len(order))
}

// settled waits until the members are those that will stay: what was asked for is decided
// or has no one left that asks for it. It returns the honest ones.
func (s *simulation) settled() []string {
	var members []string
	since := time.Now()
	s.until("the members to settle", func() bool {
		now := slices.Sorted(slices.Values(s.standing()))
		voting := 0
		for _, name := range now {
			if m := s.machines[name]; m.up && !s.evil[name] && m.node.Stats().Voting {
				voting++
			}
		}
		if !slices.Equal(now, members) || voting+wire.Faulty(len(now)) < len(now) {
			members, since = now, time.Now()
		}
		return time.Since(since) > 3*time.Second || len(s.complaint()) > 0
	})
	s.did["members"] = len(members)
	return slices.DeleteFunc(members, func(name string) bool { return s.evil[name] })
}
