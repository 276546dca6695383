package consensus

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// relayKey is the place a block is proposed for.
type relayKey struct{ epoch, view, seq uint64 }

// blockStore keeps the newest blocks on their way, for those who pull them. It
// outlives instances: a child may miss the last block of an epoch.
type blockStore struct {
	mu     sync.Mutex
	blocks map[relayKey]*relayed
	order  []relayKey
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
// whether it is the same.
func (s *blockStore) add(key relayKey, b *relayed) (added, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.blocks[key]; ok {
		return false, have.hash == b.hash
	}
	if s.blocks == nil {
		s.blocks = make(map[relayKey]*relayed)
	}
	s.blocks[key] = b
	s.order = append(s.order, key)
	if len(s.order) > keptBlocks {
		delete(s.blocks, s.order[0])
		s.order = s.order[1:]
	}
	return true, true
}

func (s *blockStore) get(key relayKey) *relayed {
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
	sealed, err := seal.Seal(n.cfg.Key, n.cfg.Self, seal.DomainRelay, n.cfg.ChainID, header)
	if err != nil {
		i.finish(&faultError{fmt.Errorf("sign block: %w", err), true})
		return
	}
	relay := &peerpb.Relay{Seal: sealed, Message: raw}
	key := relayKey{i.epoch.Number, pp.GetView(), pp.GetSeq()}
	n.blocks.add(key, &relayed{relay: relay, hash: hash, digest: digestOf(pp), msg: m})
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Relay{Relay: relay}})
	for _, to := range i.tree(pp.GetView()).receivers(n.cfg.Self) {
		n.count.relaysSent.Add(1)
		n.send(to, frame)
	}
}

func digestOf(pp *protos.PrePrepare) string {
	p := pp.GetProposal()
	return types.Proposal{
		Header: p.GetHeader(), Payload: p.GetPayload(), Metadata: p.GetMetadata(), VerificationSequence: int64(p.GetVerificationSequence()),
	}.Digest()
}

// takeRelay takes a block that came down the tree or, with the digest asked
// for, by a pull. It forwards as soon as the origin's signature holds, before
// anything in the block is looked at: a bad block costs its origin, not time
// on every level of the tree.
func (i *instance) takeRelay(from string, r *peerpb.Relay, asked string) error {
	n := i.node
	key, hash, err := i.openRelay(r)
	if err != nil {
		return err
	}
	if key.view < i.view.Load() || key.seq <= i.last.Load() {
		return errOutdated
	}
	if have := n.blocks.get(key); have != nil {
		if have.hash != hash {
			return i.equivocation(key)
		}
		return nil
	}
	if asked == "" {
		i.forward(key.view, r)
	}
	m := &protos.Message{}
	if err := proto.Unmarshal(r.GetMessage(), m); err != nil {
		return refuse("block_malformed", "%v", err)
	}
	pp := m.GetPrePrepare()
	if pp == nil || pp.GetProposal() == nil || pp.GetView() != key.view || pp.GetSeq() != key.seq || len(pp.GetPrevCommitSignatures()) > 0 {
		return refuse("block_malformed", "no pre-prepare for view %d, sequence %d", key.view, key.seq)
	}
	digest := digestOf(pp)
	if asked != "" && digest != asked {
		return refuse("block_digest", "pulled %.8s, got %.8s", asked, digest)
	}
	added, same := n.blocks.add(key, &relayed{relay: r, hash: hash, digest: digest, msg: m})
	if !added {
		if !same {
			return i.equivocation(key)
		}
		return nil
	}
	if asked != "" {
		i.bookMiss(key.view)
		i.forward(key.view, r)
	}
	leader := i.leader(key.view)
	i.keep(leader, m)
	if key.view == i.view.Load() {
		i.feed(leader, m)
	}
	return nil
}

// openRelay verifies that a block is from the leader of its view.
func (i *instance) openRelay(r *peerpb.Relay) (relayKey, [32]byte, error) {
	n := i.node
	var none [32]byte
	if len(r.GetMessage()) > 4*MaxBlockBytes {
		return relayKey{}, none, refuse("oversized", "block of %d bytes", len(r.GetMessage()))
	}
	origin, payload, err := seal.Open(r.GetSeal(), seal.DomainRelay, n.cfg.ChainID, n.key)
	if err != nil {
		return relayKey{}, none, refuse("block_signature", "%v", err)
	}
	h := &peerpb.RelayHeader{}
	if err := proto.Unmarshal(payload, h); err != nil {
		return relayKey{}, none, refuse("block_malformed", "header: %v", err)
	}
	hash := sha256.Sum256(r.GetMessage())
	switch {
	case h.GetEpoch() != i.epoch.Number:
		return relayKey{}, none, refuse("block_epoch", "of epoch %d in epoch %d", h.GetEpoch(), i.epoch.Number)
	case i.name(i.leader(h.GetView())) != origin:
		return relayKey{}, none, refuse("block_origin", "%s does not lead view %d", origin, h.GetView())
	case origin == n.cfg.Self:
		return relayKey{}, none, errOutdated // an own block come back
	case !bytes.Equal(hash[:], h.GetMessageSha256()):
		return relayKey{}, none, refuse("block_hash", "of %s", origin)
	case h.GetSeq() > i.last.Load()+keptBlocks/2 || h.GetView() > i.view.Load()+i.n():
		return relayKey{}, none, errOutdated // too far ahead to keep: there is catch-up
	}
	return relayKey{h.GetEpoch(), h.GetView(), h.GetSeq()}, hash, nil
}

func (i *instance) equivocation(key relayKey) error {
	i.node.count.equivocated.Add(1)
	return refuse("equivocation", "two blocks of %s for view %d, sequence %d", i.name(i.leader(key.view)), key.view, key.seq)
}

// forward sends a block to the children.
func (i *instance) forward(view uint64, r *peerpb.Relay) {
	n := i.node
	children := i.tree(view).receivers(n.cfg.Self)
	if len(children) == 0 {
		return
	}
	frame := n.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Relay{Relay: r}})
	for _, to := range children {
		n.send(to, frame)
		n.count.forwarded.Add(1)
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
