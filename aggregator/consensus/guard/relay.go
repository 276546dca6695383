package guard

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// A Place is what a block is proposed for.
type Place struct{ Epoch, View, Seq uint64 }

// Relay looks at the outside of a block on its way: that it is unchanged since
// the leader of its agreement view signed it. That is enough to forward it.
func (g Guard) Relay(r *peerpb.Relay) (at Place, hash [32]byte, ruling Ruling) {
	if len(r.GetMessage()) > g.most("relay") {
		return at, hash, refuse("oversized", "block of %d bytes", len(r.GetMessage()))
	}
	if len(r.GetSeal()) > maxSealBytes {
		return at, hash, refuse("oversized", "signature of a block of %d bytes", len(r.GetSeal()))
	}
	key := func(da string) (ed25519.PublicKey, bool) { k, ok := g.Keys[da]; return k, ok }
	origin, payload, err := seal.Open(r.GetSeal(), seal.DomainRelay, g.ChainID, key)
	if err != nil {
		return at, hash, refuse("block_signature", "%v", err)
	}
	h := &peerpb.RelayHeader{}
	if err := proto.Unmarshal(payload, h); err != nil {
		return at, hash, refuse("block_malformed", "header: %v", err)
	}
	hash = sha256.Sum256(r.GetMessage())
	at = Place{h.GetEpoch(), h.GetView(), h.GetSeq()}
	switch {
	case at.Epoch != g.Epoch:
		return at, hash, refuse("block_epoch", "of epoch %d in epoch %d", at.Epoch, g.Epoch)
	case g.Name(g.Leader(at.View)) != origin:
		return at, hash, refuse("block_origin", "%s does not lead view %d", origin, at.View)
	case origin == g.Self:
		return at, hash, drop // an own block come back
	case !bytes.Equal(hash[:], h.GetMessageSha256()):
		return at, hash, refuse("block_hash", "of %s", origin)
	case at.Seq > g.Last+maxRelayAhead || at.View > g.View+uint64(len(g.Order)):
		return at, hash, drop // too far ahead to keep: there is catch-up
	case at.View < g.View || at.Seq <= g.Last:
		return at, hash, drop
	}
	return at, hash, take
}

// Block looks into a block that Relay has let pass: it must be a pre-prepare for
// its place and, where it was asked for by its digest, that one.
func (g Guard) Block(at Place, r *peerpb.Relay, asked string) (m *protos.Message, digest string, ruling Ruling) {
	m = &protos.Message{}
	if err := proto.Unmarshal(r.GetMessage(), m); err != nil {
		return nil, "", refuse("block_malformed", "%v", err)
	}
	pp := m.GetPrePrepare()
	if pp == nil || pp.GetProposal() == nil || pp.GetView() != at.View || pp.GetSeq() != at.Seq || len(pp.GetPrevCommitSignatures()) > 0 {
		return nil, "", refuse("block_malformed", "no pre-prepare for view %d, sequence %d", at.View, at.Seq)
	}
	digest = Digest(pp)
	if asked != "" && digest != asked {
		return nil, "", refuse("block_digest", "pulled %.8s, got %.8s", asked, digest)
	}
	return m, digest, take
}

// Digest is how votes name a block.
func Digest(pp *protos.PrePrepare) string {
	p := pp.GetProposal()
	return types.Proposal{
		Header: p.GetHeader(), Payload: p.GetPayload(), Metadata: p.GetMetadata(), VerificationSequence: int64(p.GetVerificationSequence()),
	}.Digest()
}
