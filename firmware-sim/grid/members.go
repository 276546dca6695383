package grid

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/store"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// This file changes who the data aggregators are while they run (--members), as operators
// do: one more joins, one signs with another key, one leaves.

// Who does what.
const (
	rekeyed = "da-3"
	leaver  = "da-2"
)

// What may change.
const (
	joins  = "joins"
	newKey = "signs with another key"
	leaves = "leaves"
)

// A MemberChange is one change of the data aggregators in a run.
type MemberChange struct {
	What   string `json:"what"`
	DA     string `json:"da"`
	Height uint64 `json:"height"`  // of the block behind which it holds
	Epoch  uint64 `json:"epoch"`   // the first with it
	TookMs int64  `json:"took_ms"` // from the centre's word until it held, and who joins or has another key voted
}

// Members says how a run's data aggregators changed, and who followed.
type Members struct {
	Changes []MemberChange `json:"changes"`
	Voters  []string       `json:"voters"` // at the end
	// AgentsFollowed are the agents, of all, that know the members of the end by the
	// certificates that they were told.
	AgentsFollowed int `json:"agents_followed"`
	// LightFollowed: who has the genesis, the certificates at the changes and that of the
	// newest block knows the members of the end and believes the block.
	LightFollowed bool `json:"light_followed"`
}

// A newcomer is the data aggregator that joins, and the key that another one is to have.
type newcomer struct {
	node    *aggregatorNode
	join    *mc.Join
	nextKey ed25519.PrivateKey
	next    *mc.Join
	changes []MemberChange // those that hold
}

// proven makes a key for an id, with what a centre wants to see of it.
func (g *grid) proven(id string) (ed25519.PrivateKey, *mc.Join, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	proof, err := members.Prove(key, g.community.Genesis.ChainID(), id)
	return key, &mc.Join{ID: id, PublicKey: seal.FormatKey(pub), Proof: proof}, err
}

// makeNewcomer composes the data aggregator that joins. It runs when it is its time.
func (g *grid) makeNewcomer(memory *peer.Memory) error {
	id := fmt.Sprintf("da-%d", g.cfg.DAs+1)
	key, join, err := g.proven(id)
	if err != nil {
		return err
	}
	tls, err := g.community.Authority.IssueTLS(id, mc.RoleDA, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for %s: %w", id, err)
	}
	join.Address, join.Links = listener.Addr().String(), g.community.Genesis.Aggregators[0].Links
	g.broker.Admit(id, roleDA)
	node, err := g.makeAggregator(mc.Identity{ID: id, Role: mc.RoleDA, Key: key, TLS: tls}, listener, memory)
	if err != nil {
		return err
	}
	node.joins, node.killed = true, true // it is not there yet
	g.newcomer.node, g.newcomer.join = node, join
	return nil
}

// changeMembers has one join, one change its key and one leave, each when the one before
// holds. The data aggregators run until running ends.
func (g *grid) changeMembers(ctx, running context.Context) error {
	if !g.cfg.Members || !after(ctx, max(g.cfg.For/6, time.Second)) {
		return nil
	}
	n := &g.newcomer
	state := g.nodes[0].da.State() // it stays
	for _, c := range []struct {
		what, da string
		do       func() error
		holds    func() bool
	}{
		{joins, n.join.ID, func() error {
			g.runAggregator(running, n.node)
			return g.centre.Admit(ctx, n.join, mc.Terms{TrustE4: g.community.Genesis.Aggregators[0].TrustE4, OverheadUs: 1000})
		}, func() bool { return hasKey(state, n.join) && n.node.da.Stats().Voting }},
		{newKey, rekeyed, func() error { return g.centre.Rekey(ctx, n.next) },
			func() bool { return hasKey(state, n.next) && g.nodeOf(rekeyed).da.Stats().Voting }},
		{leaves, leaver, func() error {
			g.nodeOf(leaver).setKilled(true) // nobody may count on it any more
			return g.centre.Retire(ctx, leaver)
		}, func() bool { _, still := state.Members().Key(leaver); return !still }},
	} {
		began := time.Now()
		err := c.do()
		for err == nil && !c.holds() && after(ctx, 20*time.Millisecond) {
		}
		switch {
		case ctx.Err() != nil:
			return nil // the run is over: the report says how far it came
		case err != nil:
			return fmt.Errorf("members: %w", err)
		}
		n.changes = append(n.changes, MemberChange{What: c.what, DA: c.da, TookMs: time.Since(began).Milliseconds()})
		g.log.Info("the members have changed", "da", c.da, "what", c.what, "height", state.Height())
		if c.what == joins {
			n.node.setKilled(false)
		}
	}
	return nil
}

func hasKey(state *ledger.State, j *mc.Join) bool {
	key, ok := state.Members().Key(j.ID)
	return ok && seal.FormatKey(key) == j.PublicKey
}

func (g *grid) nodeOf(id string) *aggregatorNode {
	for _, n := range g.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// moreKeys are keys that a data aggregator is to have in the run.
func (g *grid) moreKeys(id string) ([]crypto.Signer, error) {
	if !g.cfg.Members || id != rekeyed {
		return nil, nil
	}
	var err error
	g.newcomer.nextKey, g.newcomer.next, err = g.proven(id)
	return []crypto.Signer{g.newcomer.nextKey}, err
}

// held is a data aggregator as the centre has it: the grid ends it, not the centre.
type held struct{ mc.Chain }

// dial reaches a data aggregator as the chain names it.
func (g *grid) dial(da ledger.DA) (mc.Chain, error) {
	if g.cfg.Links == "memory" {
		if n := g.nodeOf(da.ID); n != nil {
			return held{n.da}, nil
		}
		return nil, fmt.Errorf("no data aggregator %q", da.ID)
	}
	return peer.Dial(da.Address, mc.PeerTLS(g.community.Centre.TLS, g.community.Authority.Pool()))
}

// reportMembers tells the changes, and who knows the members of the end.
func (g *grid) reportMembers(r *Report, state *ledger.State, honest []*aggregatorNode) {
	if !g.cfg.Members {
		return
	}
	now := state.Members()
	m := &Members{Changes: g.newcomer.changes, Voters: now.Names(), LightFollowed: true}
	r.Members = m
	var behind uint64 // which block the members of the end vote
	for _, n := range honest {
		sets, err := g.followLight(n, now)
		if err != nil {
			r.problem(&m.LightFollowed, "members, by the certificates that %s keeps: %v", n.id, err)
			continue
		}
		for i, set := range sets[:min(len(sets), len(m.Changes))] { // one at a time
			m.Changes[i].Height, m.Changes[i].Epoch = set.Height(), set.Epoch()
		}
		if len(sets) > 0 {
			behind = sets[len(sets)-1].Height()
		}
	}
	for _, p := range g.people {
		if p.agent.Status().MembersBehind == behind {
			m.AgentsFollowed++
		}
	}
}

// followLight follows the members from the genesis by what one data aggregator keeps of
// their changes, and has those that vote for its newest block certify it. It returns the
// members behind each change.
func (g *grid) followLight(n *aggregatorNode, want *members.Set) (sets []*members.Set, err error) {
	set, err := g.community.Genesis.FirstMembers()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(filepath.Join(n.dir, aggregator.StoreFile), g.community.Genesis.ChainID())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	state, err := db.LoadState(g.community.Genesis)
	if err != nil {
		return nil, err
	}
	newest, err := db.Block(state.Height())
	if err != nil {
		return nil, err
	}
	turns, err := state.TurnsBelow(state.Height()+1, db.Turn)
	if err != nil {
		return nil, err
	}
	voters := set // for the newest block
	for _, t := range turns {
		voters = set
		if set, err = set.Follow(t); err != nil {
			return nil, err
		}
		if sets = append(sets, set); set.Height() < state.Height() {
			voters = set
		}
	}
	t, err := ledger.TurnOf(newest, set)
	if err != nil {
		return nil, err
	}
	if _, err := voters.Certify(t.GetHeader(), t.GetCertificate()); err != nil {
		return nil, err
	}
	if !set.Same(want) {
		return nil, fmt.Errorf("they lead to %v, the chain has %v", set.Names(), want.Names())
	}
	return sets, nil
}
