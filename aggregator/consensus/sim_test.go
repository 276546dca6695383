package consensus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// The simulation: members in one bubble, and all that can go wrong by the draws of a
// seed. Frames are delayed, lost, doubled and late; machines die at any write, and come
// back; disks are slow; logs are lost and backups put back; up to f members lie. For
// as long as that goes on no two blocks may stand at a height and no honest member
// may vote twice for a place; once it ends, new records must be decided everywhere.
//
// A seed draws the plan of a run. The order of goroutines is not drawn, so runs of one
// seed differ in details: a seed that fails is tried several times.
//
//	FAIRWATT_SEEDS=200 go test -run TestSimulation ./aggregator/consensus
//	FAIRWATT_SEED=17 go test -count=20 -run TestSimulation ./aggregator/consensus
func TestSimulation(t *testing.T) {
	first, seeds := uint64(1), number(t, "FAIRWATT_SEEDS", 8)
	if seed := number(t, "FAIRWATT_SEED", 0); seed > 0 {
		first, seeds = seed, number(t, "FAIRWATT_SEEDS", 1)
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newSimulation(t, seed).run() })
		})
	}
}

func number(t *testing.T, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

type simulation struct {
	*cluster
	seed     uint64
	deadly   float64    // chance that a write is the last of a machine
	plan     *rand.Rand // of deeds, drawn by one goroutine
	lies     string     // what the faulty members do
	lost     bool       // logs are lost and backups put back
	changing bool       // members come and go
	machines map[string]*simNode

	mu      sync.Mutex
	rng     *rand.Rand // of everything else
	rage    bool       // frames are mistreated and machines die
	heights map[uint64][32]byte
	second  time.Time                    // when the counting of frames began
	frames  map[string]int               // of honest machines since then
	slow    map[string]time.Duration     // disks, by machine
	marks   map[string]map[uint64]uint64 // how much an honest member has said, by epoch
	said    map[string]string            // what an honest member said of a place
	wrong   []string
	did     map[string]int // by the goroutine of the plan
}

// simNode is a machine: its disks outlive its runs.
type simNode struct {
	name, alias string // a twin has another alias
	disk        *memDisk
	app         *simApp
	retired     atomic.Bool
	node        *Node
	stop        func()
	died        chan struct{}
	up          bool
	kept        *backup
}

// The lies. A twin is a second machine with the key of the first: together they
// equivocate, vote twice and forge whatever an honest program can be made to say.
var lies = []string{"misvote", "none", "none", "none", "none", "none", "twins", "twins", "silent", "withhold", "garble", "replay", "forge", "bend", "drop", "flood"}

func newSimulation(t *testing.T, seed uint64) *simulation { return newSimulationOf(t, seed, 0) }

func newSimulationOf(t *testing.T, seed uint64, machines int) *simulation {
	plan := rand.New(rand.NewPCG(seed, 1))
	n := []int{4, 4, 4, 7}[plan.IntN(4)]
	if machines > 0 {
		n = machines
	}
	every := []uint64{3, 10, 40, 100_000}[plan.IntN(4)]
	most := time.Duration(1+plan.IntN(40)) * time.Millisecond
	s := &simulation{
		seed: seed, plan: plan, lies: lies[plan.IntN(len(lies))], rng: rand.New(rand.NewPCG(seed, 2)), rage: true,
		heights: make(map[uint64][32]byte), said: make(map[string]string), marks: make(map[string]map[uint64]uint64), machines: make(map[string]*simNode), slow: make(map[string]time.Duration), did: make(map[string]int),
	}
	s.cluster = newCluster(t, n, every, peer.MemoryConfig{Seed: seed, MinDelay: time.Millisecond / 2, MaxDelay: most, Between: s.slowness})
	s.wait = 2 * time.Minute
	s.deadly = []float64{0, 0.002, 0.02}[plan.IntN(3)]
	s.evil = make(map[string]bool)
	s.lost = s.lies == "none" && plan.IntN(3) > 0
	if s.lies != "none" {
		for _, k := range plan.Perm(n)[:wire.Faulty(n)] {
			s.evil[s.names[k]] = true
		}
	}
	for _, name := range s.names {
		s.machines[name] = s.machine(name, name, s.apps[name])
		if s.evil[name] && s.lies == "twins" {
			s.machines[name+"b"] = s.machine(name, name+"b", s.fresh(name))
		}
	}
	return s
}

func (s *simulation) machine(name, alias string, app *fakeApp) *simNode {
	m := &simNode{name: name, alias: alias, app: &simApp{fakeApp: app}, died: make(chan struct{}, 1)}
	m.disk = &memDisk{epochs: make(map[uint64]*memEpoch)}
	write := func(string) (before, after error) {
		if !s.chance(s.deadly) {
			return nil, nil
		}
		if s.chance(0.5) {
			return errCrash, nil
		}
		return nil, errCrash
	}
	m.disk.write, m.app.write = write, write
	if s.evil[name] && s.lies == "bend" {
		m.app.bend = bent
	}
	return m
}

// slowness is that of the sender's disk: what it signs leaves late. (The write itself
// cannot wait for the bubble's clock, under locks as it is.)
func (s *simulation) slowness(from, _ string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slow[from]
}

// chance is true with a probability, and never once the rage is over.
func (s *simulation) chance(p float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rage && s.rng.Float64() < p
}

func (s *simulation) draw(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

func (s *simulation) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// start starts a machine.
func (s *simulation) boot(m *simNode) {
	if m.up {
		return
	}
	link := s.net.Join(m.alias)
	s.mu.Lock()
	before := maps.Clone(s.marks[m.name])
	s.mu.Unlock()
	outer := &simLink{sim: s, of: m, inner: link, before: before}
	cfg := s.config(m.name, outer)
	cfg.App, cfg.Dir = m.app, "memory"
	cfg.TreeVotes = 4
	cfg.Equivocated = s.accused
	if s.seed%3 == 0 { // votes go to all
		cfg.TreeVotes = 100
	}
	n, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	outer.node.Store(n)
	n.logs, n.adjust = m.disk, s.hastenLibrary
	if !s.evil[m.name] {
		m.app.fakeApp.mu.Lock()
		m.app.onBlock = func(height uint64, _ int) { s.decided(m.name, m.app.fakeApp.blocks[height-1], height) }
		m.app.fakeApp.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	h := handlers(n)
	receive := h.Frame
	h.Frame = func(from string, raw []byte) {
		if !s.storm(from) {
			receive(strings.TrimSuffix(from, "b"), raw)
		}
	}
	wg.Go(func() {
		if err := link.Run(ctx, h); err != nil {
			s.fail("%s: link: %v", m.alias, err)
		}
	})
	synctest.Wait()
	wg.Go(func() {
		switch err := n.Run(ctx); {
		case err == nil:
		case errors.Is(err, errCrash):
			m.died <- struct{}{}
		case errors.Is(err, ErrRetired):
			m.retired.Store(true)
		case s.evil[m.name]: // a twin may see the fork of its own making
		default:
			s.fail("%s ended: %v", m.alias, err)
		}
	})
	m.node, m.up = n, true
	m.stop = func() {
		cancel()
		wg.Wait()
		select {
		case <-m.died:
		default:
		}
		m.up = false
	}
	if m.alias == m.name {
		s.cluster.mu.Lock()
		s.nodes[m.name] = n
		s.cluster.mu.Unlock()
	}
}

func (s *simulation) halt(m *simNode) {
	if !m.up {
		return
	}
	if m.alias == m.name {
		s.cluster.mu.Lock()
		delete(s.nodes, m.name)
		s.cluster.mu.Unlock()
	}
	m.stop()
}

// decided is the oracle of blocks; the application's lock is held.
func (s *simulation) decided(name string, cb *fairwattpb.CertifiedBlock, height uint64) {
	hash := seal.ID(cb.GetBlock())
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.heights[height]; ok && have != hash {
		s.wrong = append(s.wrong, fmt.Sprintf("FORK: %s has another block %d", name, height))
	}
	s.heights[height] = hash
}

// heard is the oracle of votes: an honest member says one thing of a place.
func (s *simulation) heard(l *simLink, f *peerpb.Frame, m *protos.Message) {
	name := l.of.name
	var place, what string
	switch {
	case m.GetPrepare() != nil && !m.GetPrepare().GetAssist():
		p := m.GetPrepare()
		place, what = fmt.Sprintf("prepare of %s, epoch %d, view %d, sequence %d", name, f.GetEpoch(), p.GetView(), p.GetSeq()), p.GetDigest()
	case m.GetCommit() != nil && !m.GetCommit().GetAssist():
		p := m.GetCommit()
		place, what = fmt.Sprintf("vote of %s, epoch %d, view %d, sequence %d", name, f.GetEpoch(), p.GetView(), p.GetSeq()), p.GetDigest()
	case f.GetBundle() != nil:
		s.heardVoices(l.node.Load(), f.GetEpoch(), f.GetBundle())
		return
	case f.GetRelay() != nil:
		origin, payload, err := seal.Peek(f.GetRelay().GetSeal())
		h := &peerpb.RelayHeader{}
		if err != nil || origin != name || proto.Unmarshal(payload, h) != nil {
			return
		}
		place, what = fmt.Sprintf("block of %s, epoch %d, view %d, sequence %d", name, h.GetEpoch(), h.GetView(), h.GetSeq()), string(h.GetMessageSha256())
	default:
		return
	}
	s.saidOnce(place, what)
}

func (s *simulation) saidOnce(place, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.said[place]; ok && have != what {
		s.wrong = append(s.wrong, "twice: "+place)
	}
	s.said[place] = what
}

// accused is the oracle of evidence: none is against an honest member, and each has two
// signatures of the liar for one place.
func (s *simulation) accused(e *fairwattpb.Equivocation) bool {
	if err := shown(e, s.pubs[e.GetDa()]); err != nil || !s.evil[e.GetDa()] {
		s.fail("evidence against %s: %v", e.GetDa(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did["found out"]++
	return true
}

// heardVoices is the oracle of votes that others carry: an honest carrier hands on what
// the signer gave, and an honest signer gave one.
func (s *simulation) heardVoices(carrier *Node, epoch uint64, b *peerpb.Bundle) {
	i := carrier.instance()
	if i == nil || i.epoch.Number != epoch {
		return
	}
	kind := "prepare"
	if b.GetCommit() {
		kind = "vote"
	}
	for _, v := range b.GetVoices() {
		if signer := i.name(v.GetSigner()); signer != "" && !s.evil[signer] {
			s.saidOnce(fmt.Sprintf("%s of %s, epoch %d, view %d, sequence %d", kind, signer, epoch, b.GetView(), b.GetSeq()), b.GetDigest())
		}
	}
}

// counted is the oracle of logs: after a restart an honest member goes on where it
// was, or says nothing in that epoch.
func (s *simulation) counted(l *simLink, sealed []byte) {
	if len(sealed) == 0 {
		return
	}
	_, payload, err := seal.Peek(sealed)
	mark := &peerpb.Mark{}
	if err := errors.Join(err, proto.Unmarshal(payload, mark)); err != nil {
		s.fail("mark of %s: %v", l.of.name, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if said := l.before[mark.GetEpoch()]; mark.GetSaid() < said {
		s.wrong = append(s.wrong, fmt.Sprintf("old log: %s votes in epoch %d after %d entries, it had said %d", l.of.name, mark.GetEpoch(), mark.GetSaid(), said))
	}
	all := s.marks[l.of.name]
	if all == nil {
		all = make(map[uint64]uint64)
		s.marks[l.of.name] = all
	}
	all[mark.GetEpoch()] = max(all[mark.GetEpoch()], mark.GetSaid())
}

// run is a run: a time of rage, then peace.
func (s *simulation) run() {
	var all []*simNode
	for _, name := range s.names {
		all = append(all, s.machines[name])
		if twin := s.machines[name+"b"]; twin != nil {
			all = append(all, twin)
		}
	}
	defer func() {
		for _, m := range all {
			s.halt(m)
		}
	}()
	for _, m := range all {
		s.boot(m)
	}
	for end := time.Now().Add(time.Duration(4+s.plan.IntN(8)) * time.Second); time.Now().Before(end); {
		s.deed(all)
		time.Sleep(time.Duration(1+s.plan.IntN(300)) * time.Millisecond)
	}
	s.peace(all)
	what := fmt.Sprintf("seed %d: %d members, epochs of %d, lies %q by %v, logs lost %v", s.seed, len(s.names), s.apps["da1"].every, s.lies, s.evil, s.lost)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong {
		s.t.Errorf("%s\n%s", what, w)
	}
	for _, name := range s.names {
		if m := s.machines[name]; m.up {
			s.did["view changes"] += int(m.node.Stats().ViewChanges)
		}
	}
	s.t.Logf("%s; %d blocks, %v", what, len(s.heights), s.did)
}

// deed is one thing that goes wrong, or a record.
func (s *simulation) deed(all []*simNode) {
	for _, m := range all { // machines that died come back
		select {
		case <-m.died:
			s.did["died at a write"]++
			s.halt(m)
		default:
		}
		if !m.up && s.plan.IntN(3) == 0 {
			s.boot(m)
		}
	}
	m := all[s.plan.IntN(len(all))]
	if s.changing && s.plan.IntN(4) == 0 {
		s.changeMembers()
	}
	switch s.plan.IntN(20) {
	case 0, 1:
		s.halt(m)
	case 2:
		s.partition(s.groups()...)
	case 3, 4:
		s.heal()
	case 5:
		s.net.SetLoss(s.plan.Float64() * 0.3)
	case 6:
		s.net.SetLoss(0)
	case 7:
		s.keep(m)
	case 10:
		s.mu.Lock()
		s.slow[m.alias] = time.Duration(s.plan.IntN(2)*s.plan.IntN(400)) * time.Millisecond
		s.mu.Unlock()
	case 8, 9, 11, 12:
		s.loseSome(all)
	case 13:
		s.keep(m)
	default:
		for range 1 + s.plan.IntN(4) {
			s.record(m)
			time.Sleep(time.Duration(s.plan.IntN(20)) * time.Millisecond)
		}
	}
}

func (s *simulation) record(m *simNode) {
	if !m.up || s.evil[m.name] {
		return
	}
	s.cluster.mu.Lock()
	sealed := fmt.Appendf(nil, "record %d of %s", len(s.sent), m.name)
	s.sent = append(s.sent, recordID(sealed))
	s.cluster.mu.Unlock()
	if err := m.node.Submit(context.Background(), sealed); err != nil && !errors.Is(err, ErrStopped) {
		s.fail("submit to %s: %v", m.name, err)
	}
}

// mostFrames is how many frames one honest machine may send in a second. They send some
// hundred; those that answer one another without an end send as many as the processor lets
// them.
const mostFrames = 20000

// storm counts a frame, and reports whether its sender has gone mad: its frames are then
// let fall, or the simulation would not end.
func (s *simulation) storm(from string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.frames = now, make(map[string]int)
	}
	s.frames[from]++
	if s.frames[from] == mostFrames && !s.evil[strings.TrimSuffix(from, "b")] {
		s.wrong = append(s.wrong, fmt.Sprintf("%s sent %d frames in a second", from, mostFrames))
	}
	return s.frames[from] >= mostFrames
}

// groups cuts the members into two.
func (s *simulation) groups() [][]string {
	var groups [2][]string
	for _, name := range s.names {
		k := s.plan.IntN(2)
		groups[k] = append(groups[k], name)
		if s.machines[name+"b"] != nil {
			groups[1-k] = append(groups[1-k], name+"b")
		}
	}
	return groups[:]
}

// keep makes a backup of a machine that is down.
func (s *simulation) keep(m *simNode) {
	if !s.lost || !m.up {
		return
	}
	s.halt(m)
	m.app.fakeApp.mu.Lock()
	m.kept = &backup{epochs: m.disk.copyOf(), blocks: append([]*fairwattpb.CertifiedBlock{}, m.app.blocks...), at: time.Now()}
	m.app.fakeApp.mu.Unlock()
	s.boot(m)
}

// loseSome takes a log away or puts a backup back. That machine counts as faulty, so
// all others vote. What they know of it outlasts their own restarts.
func (s *simulation) loseSome(all []*simNode) {
	if !s.lost || !s.calm(all) {
		return
	}
	m := all[s.plan.IntN(len(all))]
	if m.kept == nil || s.plan.IntN(3) == 0 {
		s.halt(m)
		m.disk.forget()
		s.did["logs lost"]++
		s.boot(m)
		return
	}
	for range 3 { // it says more than the backup knows of
		s.record(m)
		time.Sleep(200 * time.Millisecond)
	}
	if !s.calm(all) {
		return
	}
	s.halt(m)
	app := s.fresh(m.name)
	for _, cb := range m.kept.blocks {
		if _, err := app.Commit(cb); err != nil {
			s.fail("backup of %s: %v", m.name, err)
		}
	}
	m.app.fakeApp, m.disk.epochs, m.disk.marks = app, m.kept.epochs, [2]map[string][]byte{}
	s.cluster.mu.Lock()
	s.apps[m.name] = app
	s.cluster.mu.Unlock()
	m.kept = nil
	s.did["backups"]++
	s.boot(m)
}

// calm waits until all machines vote, or reports that one does not for a while.
func (s *simulation) calm(all []*simNode) bool {
	s.heal()
	s.net.SetLoss(0)
	for _, m := range all {
		s.boot(m)
	}
	for range 100 {
		voting := 0
		for _, m := range all {
			select {
			case <-m.died:
				s.halt(m)
				s.boot(m)
			default:
			}
			if m.node.Stats().Voting {
				voting++
			}
		}
		if voting == len(all) {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

// peace ends the rage. Faulty members go on; the honest must decide new records.
func (s *simulation) peace(all []*simNode) {
	s.mu.Lock()
	s.rage = false
	clear(s.slow)
	s.mu.Unlock()
	s.heal()
	s.net.SetLoss(0)
	for _, m := range all {
		select {
		case <-m.died:
			s.halt(m)
		default:
		}
		s.boot(m)
	}
	begin := time.Now()
	var honest []string
	for _, name := range s.names {
		if !s.evil[name] && !s.changing {
			honest = append(honest, name)
		}
	}
	if s.changing {
		honest = s.settled()
	}
	var fresh []string
	for _, name := range honest {
		s.record(s.machines[name])
		fresh = append(fresh, s.sent[len(s.sent)-1])
	}
	for _, name := range honest {
		for _, id := range fresh {
			s.until("records of peace at "+name, func() bool { return s.machines[name].app.has(id) || len(s.complaint()) > 0 })
		}
	}
	if took := time.Since(begin); took > 60*time.Second {
		s.fail("%v until records were decided in peace", took)
	}
	s.sameChain(honest...)
}

func (s *simulation) complaint() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}
