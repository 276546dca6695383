package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"fairwatt/proto/seal"
)

// DomainViewData is for what a DA says of itself in a view change.
const DomainViewData seal.Domain = "view-data"

// VotePayload is what a vote states: header (which holds chain, height, epoch
// and view), metadata of the agreement, and auxiliary data, which a view change
// leaves out. Package ledger verifies the same bytes offline.
func VotePayload(header, metadata, aux []byte) []byte {
	h, m, a := sha256.Sum256(header), sha256.Sum256(metadata), sha256.Sum256(aux)
	return append(append(h[:], m[:]...), a[:]...)
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
	if !seal.Verify(key, d, g.ChainID, da, payload, signature) {
		return fmt.Errorf("invalid %s signature of %s", d, da)
	}
	return nil
}
