// Package mc is the management centre: certificate authority, registrar and
// the one who answers requests with an escrow and a Token.
//
// # What a caller does
//
// [InitDir] writes a fresh community to a folder: the authority's certificate
// and key, genesis.json and one folder of keys for each data aggregator, the
// centre and the broker. [OpenDir] reads it again. [NewAuthority] does the same
// in memory. A [Centre] runs next to the aggregators: give it its key, the
// genesis and one [Chain] for each data aggregator, and call Run.
//
// The authority's key (ca.key) signs certificates and nothing else; keep it off
// the machines that run, with a copy in another place. Losing it means that no
// new participant can be given a certificate; a thief can connect as
// anyone, but can sign no record, since records are signed with other keys.
//
// # Design
//
// The centre keeps no ledger. It follows the chain from the genesis, verifies
// every block by its certificate and by executing it, and derives from that
// what has been asked and not yet answered. A restart therefore loses nothing
// and answers nothing twice: a response that was signed but not yet in a block
// is simply made again, and the rules let only one response to a request stand.
// Its one file is a record counter reserved ahead, so that a counter used
// before a crash is never used for something else after it.
//
// Where the chain's ledger answers, the centre decides nothing: it asks for the answers to
// requests that wait, as soon as the state has them, and the ledger makes them.
//
// Everything else that it decides it says on the chain: a response names the sellers it
// found and their offers, in an order anyone can recompute (price, then
// credibility, then id).
//
// What was refused: giving the buyer the private key of a shared wallet as the
// paper does (section 3.2, formula 3): its holder can drain it. Escrow is
// an entry of the ledger, bound by rules every aggregator executes. The register
// of real identities is not kept here at all; the chain carries pseudonyms, and
// who stands behind one is for the operator's own encrypted files.
//
// Source: Y. Yu et al., "A Distributed Power Trading Scheme Based on Blockchain
// and Artificial Intelligence in Smart Grids", IASC 37(1), 2023, sections 3.1-3.2.
package mc
