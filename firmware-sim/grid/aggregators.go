package grid

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/aggregator/wct"
	"fairwatt/model/neighbours"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/nowcast"
)

// An aggregatorNode is one data aggregator of the grid while it runs.
type aggregatorNode struct {
	id   string
	dir  string
	da   *aggregator.DA
	stop context.CancelFunc
	done chan struct{} // closed when Run returned
	err  error         // of Run, valid after done

	joins bool // in the run: no member of the genesis

	mu     sync.Mutex
	killed bool // or has left, or is not there yet
}

func (n *aggregatorNode) isKilled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.killed
}

func (n *aggregatorNode) setKilled(killed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.killed = killed
}

// kill ends the node. To the others it looks like a crash: its links close.
func (n *aggregatorNode) kill() {
	n.setKilled(true)
	n.stop()
}

// newCommunity opens a loopback listener for every data aggregator, and makes
// keys, certificates and the genesis, all fresh.
func newCommunity(cfg *Config, params ledger.Params, arbiters ...ledger.Arbiter) (*mc.Community, []net.Listener, error) {
	listeners := make([]net.Listener, 0, cfg.DAs)
	specs := mc.DefaultDAs(cfg.DAs, "127.0.0.1", 1)
	for i := range specs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("listen for %s: %w", specs[i].ID, err), closeAll(listeners))
		}
		listeners = append(listeners, l)
		specs[i].Address = l.Addr().String()
	}
	options := mc.Options{Name: "grid", DAs: specs, Centre: "mc-1", Params: &params, Arbiters: arbiters, Now: time.Now()}
	if cfg.Links == "memory" {
		options.OverheadUs = drawOverheads(cfg.DAs, cfg.Seed)
	}
	community, err := mc.NewCommunity(options)
	if err != nil {
		return nil, nil, errors.Join(err, closeAll(listeners))
	}
	return community, listeners, nil
}

// drawOverheads places the data aggregators on a square of 3 ms and returns the
// time of sending between each two: half a millisecond and the distance. Links in
// memory take this long. For gRPC on loopback nothing is drawn.
func drawOverheads(das int, seed uint64) [][]int64 {
	rng := rand.New(rand.NewPCG(seed, 0x7472656573))
	points := make([][2]float64, das)
	for i := range points {
		points[i] = [2]float64{3000 * rng.Float64(), 3000 * rng.Float64()}
	}
	w := make([][]int64, das)
	for i, a := range points {
		for j, b := range points {
			us := int64(0)
			if i != j {
				us = 500 + int64(math.Hypot(a[0]-b[0], a[1]-b[1]))
			}
			w[i] = append(w[i], us)
		}
	}
	return w
}

func closeAll(listeners []net.Listener) error {
	var all error
	for _, l := range listeners {
		all = errors.Join(all, l.Close())
	}
	return all
}

// suited are numbers of a chain with the rules of the configuration.
func (c *Config) suited(p ledger.Params) ledger.Params {
	p.Tree, p.Settlement, p.Possession = c.Tree, c.Settlement, true
	p = p.WithCredit(c.credit()).WithExcuses(c.excuses())
	if c.credit() == ledger.CreditRobust { // months in minutes
		p.CreditPeriodMs, p.VerdictMs, p.ListMs = 60_000, 30_000, 30_000
	}
	p = p.WithAnswers(c.answers())
	if c.bySlots() {
		p = p.WithMechanism(c.Mechanism)
		p.SlotMs, p.GateClosureMs, p.SlotReadingsMs = slotMs, slotClosureMs, slotReadingsMs
	}
	return p
}

// gridParams are the chain's numbers where an hour of weather is a second:
// short epochs, and deadlines in seconds instead of hours. They bear an outage of the
// broker, and a machine that does other things too.
func gridParams(cfg *Config) ledger.Params {
	p := ledger.DefaultParams()
	p.EpochBlocks = 20
	p.MaxStandingMs = 10 * 60_000
	p.StartByMs = 30_000
	p.DeliverByMs = 60_000
	p.ResumeByMs = 10_000
	p.ConfirmByMs = 15_000
	p.DisputeMs = 30_000
	p.SilenceMs = 45_000
	if cfg.Storm != "" { // an hour of it is six seconds
		p.DeliverByMs *= 2
	}
	p.LossE4 = lineLossE4
	return p
}

// makeAggregators composes every data aggregator.
func (g *grid) makeAggregators(listeners []net.Listener) error {
	memory := peer.NewMemory(peer.MemoryConfig{Seed: g.cfg.Seed, Between: g.delay()})
	forwarder, err := firstForwarder(g.community.Genesis)
	if err != nil {
		return err
	}
	if forwarder == "" && g.cfg.misbehaves(DropBlocks) {
		return fmt.Errorf("misbehave: %s: in the first tree only the root passes blocks on", DropBlocks)
	}
	if g.cfg.misbehaves(DropBlocks) {
		g.dropper = &dropper{self: forwarder}
	}
	for i, who := range g.community.DAs {
		node, err := g.makeAggregator(who, listeners[i], memory)
		if err != nil {
			return err
		}
		g.nodes = append(g.nodes, node)
	}
	if !g.cfg.Members {
		return nil
	}
	if err := g.makeNewcomer(memory); err != nil {
		return err
	}
	g.nodes = append(g.nodes, g.newcomer.node)
	return nil
}

// makeAggregator composes one data aggregator.
func (g *grid) makeAggregator(who mc.Identity, listener net.Listener, memory *peer.Memory) (*aggregatorNode, error) {
	node := &aggregatorNode{id: who.ID, dir: filepath.Join(g.dataDir, who.ID), done: make(chan struct{})}
	link, err := g.link(who, listener, memory)
	if err != nil {
		return nil, err
	}
	if g.dropper != nil && g.dropper.self == who.ID {
		g.dropper.Link = link
		link = g.dropper
	}
	pipe, err := mqtt.New(aggregator.MQTTOf(who.ID, mqtt.Config{
		URL: g.broker.URL(), TLS: g.clientTLS(who.TLS), Logger: g.log,
	}))
	if err != nil {
		return nil, err
	}
	more, err := g.moreKeys(who.ID)
	if err != nil {
		return nil, err
	}
	node.da, err = aggregator.New(
		g.aggregatorConfig(node),
		aggregator.Deps{
			Genesis: g.community.Genesis, Key: who.Key, MoreKeys: more, Link: link, Pipes: []mqtt.Pipe{pipe},
			Logger: g.log,
		})
	return node, err
}

// aggregatorConfig lets nowcasts be handed on in a storm: every ten minutes of it.
func (g *grid) aggregatorConfig(node *aggregatorNode) aggregator.Config {
	c := aggregator.Config{ID: node.id, Dir: node.dir, Software: g.software, FromBlocks: true}
	if g.cfg.Storm != "" {
		c.NowcastKM = neighbours.RegionKM
		c.NowcastEvery = time.Duration(nowcast.EveryMs / g.cfg.Speed * float64(time.Millisecond))
	}
	return c
}

// runAggregators starts the data aggregators. Each ends with the context, or
// earlier if it is killed.
func (g *grid) runAggregators(ctx context.Context) {
	for _, node := range g.nodes {
		if !node.joins {
			g.runAggregator(ctx, node)
		}
	}
}

func (g *grid) runAggregator(ctx context.Context, node *aggregatorNode) {
	var running context.Context
	running, node.stop = context.WithCancel(ctx)
	go func() {
		defer close(node.done)
		node.err = node.da.Run(running)
		if errors.Is(node.err, aggregator.ErrRetired) {
			node.err = nil
		}
		if node.err != nil {
			g.log.Error("data aggregator ended", "da", node.id, "err", node.err)
		}
	}()
}

// link makes the links of one data aggregator: gRPC over mutual TLS on
// loopback, or memory.
func (g *grid) link(who mc.Identity, listener net.Listener, memory *peer.Memory) (aggregator.Link, error) {
	if g.cfg.Links == "memory" {
		if err := listener.Close(); err != nil {
			return nil, err
		}
		return memory.Join(who.ID), nil
	}
	peers := make(map[string]string)
	for _, da := range g.community.Genesis.DAs() {
		if da.ID != who.ID {
			peers[da.ID] = da.Address
		}
	}
	return peer.NewGRPC(peer.Config{
		Self: who.ID, Listener: listener, Peers: peers, TLS: mc.PeerTLS(who.TLS, g.community.Authority.Pool()),
		Observers: []string{g.community.Centre.ID}, Logger: g.log,
	})
}

// delay is the time that a frame takes between two data aggregators in memory:
// the overhead in the genesis.
func (g *grid) delay() func(from, to string) time.Duration {
	place := make(map[string]int)
	for i, da := range g.community.Genesis.Aggregators {
		place[da.ID] = i
	}
	return func(from, to string) time.Duration {
		return time.Duration(g.community.Genesis.OverheadUs[place[from]][place[to]]) * time.Microsecond
	}
}

// firstForwarder returns the first data aggregator below the root that passes
// blocks on in the first tree. That one drops them. "" if there is none.
func firstForwarder(genesis *ledger.Genesis) (string, error) {
	state, err := ledger.NewState(genesis)
	if err != nil {
		return "", err
	}
	network, _ := state.Network()
	sequence := make([]int, network.N)
	for k := range sequence {
		sequence[k] = k
	}
	t, err := wct.BuildLed(network, wct.Algorithm(genesis.Params.Tree), sequence)
	if err != nil {
		return "", fmt.Errorf("first tree: %w", err)
	}
	for _, e := range t.Edges {
		if e[0] != t.Root {
			return network.IDs[e[0]], nil
		}
	}
	return "", nil
}

// chains returns the data aggregators as the management centre reaches them.
func (g *grid) chains() ([]mc.Chain, error) {
	var chains []mc.Chain
	for _, node := range g.nodes {
		if node.joins {
			continue
		}
		if g.cfg.Links == "memory" {
			chains = append(chains, node.da)
			continue
		}
		address := ""
		for _, da := range g.community.Genesis.DAs() {
			if da.ID == node.id {
				address = da.Address
			}
		}
		client, err := peer.Dial(address, mc.PeerTLS(g.community.Centre.TLS, g.community.Authority.Pool()))
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", node.id, err)
		}
		g.clients = append(g.clients, client)
		chains = append(chains, client)
	}
	return chains, nil
}

// clientTLS is the broker connection's TLS for the holder of a certificate.
func (g *grid) clientTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: g.community.Authority.Pool()}
}

// brokerTLS is the broker's side: no client without a certificate.
func brokerTLS(c *mc.Community) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.Broker},
		ClientCAs: c.Authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// alive returns the data aggregators that were not killed, in order.
func (g *grid) alive() []*aggregatorNode {
	var nodes []*aggregatorNode
	for _, n := range g.nodes {
		if !n.isKilled() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
