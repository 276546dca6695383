package guard

import (
	"crypto/sha256"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// DomainPrepare is for a DA's word that it has taken a block, where others carry it.
const DomainPrepare seal.Domain = "prepare"

// PreparePayload is what a carried prepare signs.
func PreparePayload(epoch, view, seq uint64, digest string) ([]byte, error) {
	place, err := proto.MarshalOptions{Deterministic: true}.Marshal(&peerpb.Bundle{View: view, Seq: seq, Digest: digest})
	if err != nil {
		return nil, err
	}
	return ViewDataPayload(epoch, place), nil
}

// keptSeqs is for how many decided blocks a bundle is still looked at: its sender may
// ask for the votes.
const keptSeqs = 2

// Bundle looks at a bundle before its signatures: whether it is of use and of sound
// form.
func (g Guard) Bundle(b *peerpb.Bundle) Ruling {
	switch {
	case len(b.GetDigest()) != digestLen:
		return refuse("bad_bundle", "digest of %d bytes", len(b.GetDigest()))
	case len(b.GetVoices()) > len(g.Order) || len(b.GetHolders()) > len(g.Order):
		return refuse("bad_bundle", "%d votes and %d holders of %d members", len(b.GetVoices()), len(b.GetHolders()), len(g.Order))
	case b.GetView() > g.View+maxViewsAhead || b.GetSeq() > g.Last+maxSeqsAhead:
		return refuse("vote_ahead", "bundle of view %d, sequence %d", b.GetView(), b.GetSeq())
	}
	last := uint64(0)
	for _, v := range b.GetVoices() {
		if v.GetSigner() <= last || g.Name(v.GetSigner()) == "" {
			return refuse("bad_bundle", "vote of node %d behind that of node %d", v.GetSigner(), last)
		}
		if wire.VoteRound(v.GetAux()) > 0 {
			return refuse("bad_bundle", "vote of node %d for a block that a view brought along", v.GetSigner())
		}
		last = v.GetSigner()
	}
	for _, id := range b.GetHolders() {
		if g.Name(id) == "" {
			return refuse("bad_bundle", "node %d is to have the block", id)
		}
	}
	if b.GetView() != g.View || b.GetSeq() > g.Last+2 || b.GetSeq()+keptSeqs <= g.Last {
		return drop
	}
	return take
}

// VerifyVoices checks votes of one bundle, all at once: of the block with this header
// and metadata if they are commits. Each result answers one vote.
func (g Guard) VerifyVoices(b *peerpb.Bundle, voices []*peerpb.Voice, header, metadata []byte) ([]bool, error) {
	payload, err := PreparePayload(g.Epoch, b.GetView(), b.GetSeq(), b.GetDigest())
	if err != nil {
		return nil, err
	}
	domain, hash := DomainPrepare, sha256.Sum256(header)
	batch := seal.NewBatch(len(voices))
	batch.Remember(g.Held)
	for _, v := range voices {
		if b.GetCommit() {
			domain, payload = seal.DomainVote, wire.VotePayload(hash, metadata, v.GetAux())
		}
		da := g.Name(v.GetSigner())
		batch.Add(g.Keys[da], domain, g.ChainID, da, payload, v.GetSignature())
	}
	return batch.Verify(), nil
}
