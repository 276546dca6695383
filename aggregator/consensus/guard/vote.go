package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

const (
	// DomainViewData is for what a DA says of itself in a view change.
	DomainViewData seal.Domain = "view-data"
	// DomainMark is for how much a DA has said in an epoch.
	DomainMark seal.Domain = "agreement-mark"
	// DomainResumption is for a DA's word from where on it takes part again.
	DomainResumption seal.Domain = "resumption"
)

// VotePayload is what a vote for the block of a header states. The header holds
// chain, height, epoch and view. A view change leaves the auxiliary data out.
func VotePayload(header, metadata, aux []byte) []byte {
	return wire.VotePayload(sha256.Sum256(header), metadata, aux)
}

// ViewDataPayload binds view data to its epoch.
func ViewDataPayload(epoch uint64, viewData []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, epoch), viewData...)
}

// VerifyVote checks a member's vote for a block. Every vote is checked here.
func (g Guard) VerifyVote(id uint64, header, metadata, aux, signature []byte) error {
	return g.verify(id, seal.DomainVote, VotePayload(header, metadata, aux), signature)
}

// VerifyViewData checks a member's signature over its view data.
func (g Guard) VerifyViewData(id uint64, viewData, signature []byte) error {
	return g.verify(id, DomainViewData, ViewDataPayload(g.Epoch, viewData), signature)
}

func (g Guard) verify(id uint64, d seal.Domain, payload, signature []byte) error {
	da := g.Name(id)
	key, ok := g.Keys[da]
	if !ok {
		return fmt.Errorf("%s signature of node %d, which is no member", d, id)
	}
	var mark [32]byte
	if g.Held != nil {
		if mark = seal.Mark(key, d, g.ChainID, da, payload, signature); g.Held.Has(mark) {
			return nil
		}
	}
	if !seal.Verify(key, d, g.ChainID, da, payload, signature) {
		return fmt.Errorf("invalid %s signature of %s", d, da)
	}
	if g.Held != nil {
		g.Held.Put(mark)
	}
	return nil
}
