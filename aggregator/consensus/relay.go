package consensus

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// blockStore keeps the newest blocks on their way, for those who pull them. It
// outlives instances: a child may miss the last block of an epoch.
type blockStore struct {
	mu     sync.Mutex
	blocks map[guard.Place]*relayed
	order  []guard.Place
}

type relayed struct {
	relay  *peerpb.Relay
	hash   [32]byte
	digest string
	msg    *protos.Message
}

// keptBlocks bounds the store.
const keptBlocks = 32

// add stores a block unless there is one for its place; then it reports
// whether it is the same. Where the store is full, the oldest block up to the newest decision,
// done, goes. If it has none, the one farthest from it does: leaders that lie can fill the store
// with blocks for later places, and must not push out the first of two that they sign for one.
func (s *blockStore) add(key guard.Place, b *relayed, done guard.Place) (added, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.blocks[key]; ok {
		return false, have.hash == b.hash
	}
	if s.blocks == nil {
		s.blocks = make(map[guard.Place]*relayed)
	}
	s.blocks[key] = b
	s.order = append(s.order, key)
	if len(s.order) > keptBlocks {
		out := slices.IndexFunc(s.order, func(p guard.Place) bool { return p.Epoch < done.Epoch || p.Epoch == done.Epoch && p.Seq <= done.Seq })
		if out < 0 {
			out = slices.Index(s.order, slices.MaxFunc(s.order, func(p, q guard.Place) int {
				return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq), cmp.Compare(p.View, q.View))
			}))
		}
		delete(s.blocks, s.order[out])
		s.order = slices.Delete(s.order, out, out+1)
	}
	return true, true
}

// done is the place of the newest decision.
func (i *instance) done() guard.Place { return guard.Place{Epoch: i.epoch.Number, Seq: i.last.Load()} }

func (s *blockStore) get(key guard.Place) *relayed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocks[key]
}

// originate signs a block of this node and sends it down the tree. What is
// signed is a hash of it: SHA-256 once is cheaper than SHA-512 thrice.
func (i *instance) originate(m *protos.Message) {
	n, pp := i.node, m.GetPrePrepare()
	raw, err := proto.Marshal(m)
	if err != nil {
		i.fault(fmt.Errorf("encode block: %w", err))
		return
	}
	hash := sha256.Sum256(raw)
	header, err := proto.Marshal(&peerpb.RelayHeader{Epoch: i.epoch.Number, View: pp.GetView(), Seq: pp.GetSeq(), MessageSha256: hash[:]})
	if err != nil {
		i.fault(fmt.Errorf("encode block: %w", err))
		return
	}
	sealed, err := seal.Seal(i.key, n.cfg.Self, seal.DomainRelay, n.cfg.ChainID, header)
	if err != nil {
		i.finish(&faultError{fmt.Errorf("sign block: %w", err), true})
		return
	}
	relay := &peerpb.Relay{Seal: sealed, Message: raw}
	key := guard.Place{Epoch: i.epoch.Number, View: pp.GetView(), Seq: pp.GetSeq()}
	n.blocks.add(key, &relayed{relay: relay, hash: hash, digest: guard.Digest(pp), msg: m}, i.done())
	// A block is said as a vote is: who gets it knows that.
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Mark: i.mark(), Body: &peerpb.Frame_Relay{Relay: relay}})
	for _, to := range i.tree(pp.GetView()).receivers(n.cfg.Self) {
		n.count.relaysSent.Add(1)
		n.send(to, frame)
		n.sights.gave(to)
	}
}

// takeRelay takes a block that came from a member, down the tree or, with the digest
// asked for, by a pull. It forwards as soon as the origin's signature holds, before
// anything in the block is looked at: a bad block costs its origin, not time
// on every level of the tree.
func (i *instance) takeRelay(from string, r *peerpb.Relay, asked string) error {
	n, g := i.node, i.guard()
	at, hash, ruling := g.Relay(r)
	have := n.blocks.get(at)
	if have != nil && have.hash == hash && asked == "" {
		n.sights.came(at, from) // also where it is of no use any more
	}
	if have != nil && have.hash != hash && ruling.Action != guard.Refuse && i.leader(at.View) != i.self {
		i.twoBlocks(at, have.relay, r) // also where it is late
	}
	if err := ruling.Err(); err != nil {
		return err
	}
	if have != nil {
		if have.hash != hash {
			return i.equivocation(at)
		}
		return nil
	}
	if asked == "" {
		i.forward(at.View, r)
	}
	m, digest, ruling := g.Block(at, r, asked)
	if err := ruling.Err(); err != nil {
		return err
	}
	added, same := n.blocks.add(at, &relayed{relay: r, hash: hash, digest: digest, msg: m}, i.done())
	if !added {
		if !same {
			if other := n.blocks.get(at); other != nil {
				i.twoBlocks(at, other.relay, r)
			}
			return i.equivocation(at)
		}
		return nil
	}
	n.sights.expect(at, i.feeders(at.View), asked != "", time.Now())
	if asked == "" {
		n.sights.came(at, from)
	} else {
		i.bookMiss(at.View)
		i.forward(at.View, r)
	}
	leader := i.leader(at.View)
	i.keep(leader, m)
	if at.View == i.view.Load() {
		i.feed(leader, m)
	}
	i.unpark(at)
	return nil
}

func (i *instance) equivocation(at guard.Place) error {
	i.node.count.equivocated.Add(1)
	return guard.Refused("equivocation", "two blocks of %s for view %d, sequence %d", i.name(i.leader(at.View)), at.View, at.Seq)
}

// forward sends a block to the children.
func (i *instance) forward(view uint64, r *peerpb.Relay) {
	n := i.node
	children := i.tree(view).receivers(n.cfg.Self)
	if to := i.probe(view); to != "" && !slices.Contains(children, to) {
		children = append(slices.Clone(children), to)
	}
	if len(children) == 0 {
		return
	}
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Relay{Relay: r}})
	for _, to := range children {
		n.send(to, frame)
		n.count.forwarded.Add(1)
		n.sights.gave(to)
		n.mu.Lock()
		n.edge(to).forwarded++
		n.mu.Unlock()
	}
}

// bookMiss counts a block that the parent should have forwarded.
func (i *instance) bookMiss(view uint64) {
	n := i.node
	n.count.pulled.Add(1)
	parent := i.tree(view).parent[n.cfg.Self]
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.edge(parent)
	e.pulled++
	e.missed++
}
