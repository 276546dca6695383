package wire

import "crypto/sha256"

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
	m, a := sha256.Sum256(metadata), sha256.Sum256(aux)
	out := make([]byte, 0, 3*sha256.Size)
	out = append(out, headerHash[:]...)
	out = append(out, m[:]...)
	return append(out, a[:]...)
}
