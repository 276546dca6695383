package ledgertest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// VoteFor is what da signs as its vote, of a round (0: of the block's own view), for a
// block that is named by its records' root.
func (c *Chain) VoteFor(da string, epoch, view, height, round uint64, block string) *fairwattpb.Statement {
	chain, root := c.State.ChainID(), sha256.Sum256([]byte(block))
	header, err := canonical.Marshal(&fairwattpb.BlockHeader{
		ChainId: chain[:], Height: height, Epoch: epoch, View: view, AccountingNode: "da-1", RecordsRoot: root[:],
	})
	if err != nil {
		panic(err) // the header has no text that is not UTF-8
	}
	metadata, aux := sha256.Sum256([]byte("metadata of "+block)), []byte("aux")
	if round > 0 {
		aux = wire.RoundAux(round)
	}
	return signed(c.KeyOf(da), da, chain, &fairwattpb.Statement{Header: header, MetadataHash: metadata[:], Aux: aux})
}

// signed is a vote with da's signature by a key.
func signed(key ed25519.PrivateKey, da string, chain [32]byte, s *fairwattpb.Statement) *fairwattpb.Statement {
	payload := wire.VotePayloadOf(sha256.Sum256(s.Header), [32]byte(s.MetadataHash), s.Aux)
	signature, err := key.Sign(nil, seal.Preimage(seal.DomainVote, chain, da, payload), crypto.Hash(0))
	if err != nil {
		panic(err) // Key makes ed25519 keys
	}
	s.Signature = signature
	return s
}

// BlockOf is what da signs as the leader that makes a block.
func (c *Chain) BlockOf(da string, epoch, view, seq uint64, block string) *fairwattpb.Statement {
	hash := sha256.Sum256([]byte(block))
	payload, err := canonical.Marshal(&fairwattpb.ProposalHeader{Epoch: epoch, View: view, Seq: seq, MessageSha256: hash[:]})
	if err != nil {
		panic(err) // it has no text
	}
	sealed, err := seal.Seal(c.KeyOf(da), da, seal.DomainRelay, c.State.ChainID(), payload)
	if err != nil {
		panic(err) // Key makes ed25519 keys
	}
	return &fairwattpb.Statement{Proposal: sealed}
}

// Equivocation is the record that says that da has signed both.
func Equivocation(da string, first, second *fairwattpb.Statement) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Equivocation{Equivocation: &fairwattpb.Equivocation{Da: da, First: first, Second: second}}}
}
