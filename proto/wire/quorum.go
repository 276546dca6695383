package wire

import (
	"crypto/sha256"

	"google.golang.org/protobuf/encoding/protowire"
)

// Faulty returns f, the greatest number of Byzantine data aggregators that n
// of them tolerate.
func Faulty(n int) int { return (n - 1) / 3 }

// Quorum returns how many of n data aggregators make a block final:
// ceil((n+f+1)/2). Two quorums share at least one honest aggregator.
func Quorum(n int) int { return (n + Faulty(n) + 2) / 2 }

// Vouchers returns how many equal statements are needed to believe one of
// them: f+1, of which one is honest.
func Vouchers(n int) int { return Faulty(n) + 1 }

// VotePayload returns what a vote states, before package seal binds it to
// domain, chain and voter: the hash of the block's header (which holds chain,
// height, epoch and agreement view), the hash of the agreement's metadata, and
// the hash of the voter's auxiliary data.
func VotePayload(headerHash [32]byte, metadata, aux []byte) []byte {
	return VotePayloadOf(headerHash, sha256.Sum256(metadata), aux)
}

// VotePayloadOf is [VotePayload] for one that knows the metadata by its hash alone.
func VotePayloadOf(headerHash, metadataHash [32]byte, aux []byte) []byte {
	a := sha256.Sum256(aux)
	out := make([]byte, 0, 3*sha256.Size)
	out = append(out, headerHash[:]...)
	out = append(out, metadataHash[:]...)
	return append(out, a[:]...)
}

// fieldRound is a field that the agreement's own auxiliary data does not have.
const fieldRound = 15

// RoundAux is the auxiliary data of a vote for a block that a change of the view brought
// along: the view that brought it, from 1 on.
func RoundAux(round uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, fieldRound, protowire.VarintType), round)
}

// VoteRound reads what [RoundAux] wrote. It is 0 for a vote in the view of the block itself.
func VoteRound(aux []byte) uint64 {
	field, kind, n := protowire.ConsumeTag(aux)
	if n < 0 || field != fieldRound || kind != protowire.VarintType {
		return 0
	}
	round, m := protowire.ConsumeVarint(aux[n:])
	if m < 0 || n+m != len(aux) {
		return 0
	}
	return round
}

// OneRound reports whether votes for a block, told by their auxiliary data, may be counted
// together: all must be of one round. Votes of several rounds decide nothing, for who voted
// in an early one may have been released since, and have voted for another block. A vote
// without auxiliary data counts in every round: so did those of before rounds were told, and
// an honest data aggregator gives none any more.
func OneRound(auxes [][]byte) bool {
	round, known := uint64(0), false
	for _, aux := range auxes {
		if len(aux) == 0 {
			continue
		}
		r := VoteRound(aux)
		if known && r != round {
			return false
		}
		round, known = r, true
	}
	return true
}
