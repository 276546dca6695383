package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/encoding/protowire"
)

// MaxHeaderBytes bounds an encoded header.
const MaxHeaderBytes = 1 << 10

var errBlock = errors.New("block")

// encodeBlock writes the canonical fairwatt.v1.Block.
func encodeBlock(header []byte, records [][]byte) []byte {
	size := len(header) + 8
	for _, r := range records {
		size += len(r) + 8
	}
	out := make([]byte, 0, size)
	out = protowire.AppendTag(out, 1, protowire.BytesType)
	out = protowire.AppendBytes(out, header)
	for _, r := range records {
		out = protowire.AppendTag(out, 2, protowire.BytesType)
		out = protowire.AppendBytes(out, r)
	}
	return out
}

// splitBlock is the inverse of encodeBlock: header first, then the records,
// shortest lengths, nothing else. What it returns aliases block.
func splitBlock(block []byte) (header []byte, records [][]byte, err error) {
	for rest := block; len(rest) > 0; {
		number := protowire.Number(2)
		if header == nil {
			number = 1
		}
		if rest[0] != byte(protowire.EncodeTag(number, protowire.BytesType)) {
			return nil, nil, fmt.Errorf("%w: no field %d at byte %d", errBlock, number, len(block)-len(rest))
		}
		length, n := protowire.ConsumeVarint(rest[1:])
		if n < 0 || n != protowire.SizeVarint(length) {
			return nil, nil, fmt.Errorf("%w: malformed length at byte %d", errBlock, len(block)-len(rest)+1)
		}
		rest = rest[1+n:]
		if length == 0 || length > uint64(len(rest)) {
			return nil, nil, fmt.Errorf("%w: field at byte %d is empty or cut off", errBlock, len(block)-len(rest))
		}
		if header == nil {
			header = rest[:length:length]
		} else {
			records = append(records, rest[:length:length])
		}
		rest = rest[length:]
	}
	if header == nil {
		return nil, nil, fmt.Errorf("%w: empty", errBlock)
	}
	return header, records, nil
}

// BlockID returns the SHA-256 of a block's encoded header and looks at nothing
// else of it.
func BlockID(block []byte) ([32]byte, error) {
	number, kind, n := protowire.ConsumeTag(block)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		return [32]byte{}, fmt.Errorf("%w: no header", errBlock)
	}
	header, n := protowire.ConsumeBytes(block[n:])
	if n < 0 {
		return [32]byte{}, fmt.Errorf("%w: header is cut off", errBlock)
	}
	return sha256.Sum256(header), nil
}

// DecodeBlock takes a block apart without judging it: that its encoding and
// its header's are canonical and that the header counts its records is all it
// checks. The records alias block.
func DecodeBlock(block []byte) (header *fairwattpb.BlockHeader, headerHash [32]byte, records [][]byte, err error) {
	encoded, records, err := splitBlock(block)
	if err != nil {
		return nil, headerHash, nil, err
	}
	if header, headerHash, err = DecodeHeader(encoded); err != nil {
		return nil, headerHash, nil, err
	}
	if int64(header.RecordCount) != int64(len(records)) {
		return nil, headerHash, nil, fmt.Errorf("%w: record_count %d, the block has %d", errBlock, header.RecordCount, len(records))
	}
	return header, headerHash, records, nil
}

// merkleRoot is the RFC 6962 tree hash over leaves.
func merkleRoot(leaves [][]byte) ([]byte, error) {
	hasher := rfc6962.DefaultHasher
	if len(leaves) == 0 {
		return hasher.EmptyRoot(), nil
	}
	factory := compact.RangeFactory{Hash: hasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	for _, leaf := range leaves {
		if err := tree.Append(hasher.HashLeaf(leaf), nil); err != nil {
			return nil, fmt.Errorf("merkle tree: %w", err)
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("merkle tree: %w", err)
	}
	return root, nil
}

// DecodeHeader reads an encoded header, and its hash, without judging it.
func DecodeHeader(encoded []byte) (header *fairwattpb.BlockHeader, headerHash [32]byte, err error) {
	if len(encoded) > MaxHeaderBytes {
		return nil, headerHash, fmt.Errorf("%w: header of %d bytes, at most %d", errBlock, len(encoded), MaxHeaderBytes)
	}
	header = &fairwattpb.BlockHeader{}
	if err := unmarshal(encoded, header); err != nil {
		return nil, headerHash, fmt.Errorf("%w: %w", errBlock, err)
	}
	return header, sha256.Sum256(encoded), nil
}

// A Staged is a block that was built or verified on a state and can be
// committed to it. It is never changed.
type Staged struct {
	genesis    *Genesis
	base       [32]byte // header hash of the state it was staged on
	block      []byte
	header     *fairwattpb.BlockHeader
	headerHash [32]byte
	records    []*Checked
	outcomes   []*fairwattpb.Outcome
	notices    []Notice
	steps      []Step
	moves      []Move
	changes    []Change
	update     *treeUpdate
	meta       meta
	endsEpoch  bool
	newKeys    bool
	reseats    bool
	roster     *roster // behind the block
}

// Genesis returns the genesis of the block's chain; it must not be changed.
func (st *Staged) Genesis() *Genesis { return st.genesis }

// Block returns the canonical bytes of the block.
func (st *Staged) Block() []byte { return st.block }

// HeaderHash returns the SHA-256 of the encoded header: the block's id.
func (st *Staged) HeaderHash() [32]byte { return st.headerHash }

// Header returns the header; it must not be changed.
func (st *Staged) Header() *fairwattpb.BlockHeader { return st.header }

// Records returns the records in the block's order.
func (st *Staged) Records() []*Checked { return st.records }

// RecordIDs returns the records' ids in the block's order.
func (st *Staged) RecordIDs() [][32]byte {
	ids := make([][32]byte, len(st.records))
	for i, c := range st.records {
		ids[i] = c.ID
	}
	return ids
}

// Outcomes returns what the rules say of each record, in the block's order.
func (st *Staged) Outcomes() []*fairwattpb.Outcome { return st.outcomes }

// Changes returns what the block does to the state, in key order, each key at
// most once.
func (st *Staged) Changes() []Change { return st.changes }

// Notices returns whom to tell what, in the order it happened.
func (st *Staged) Notices() []Notice { return st.notices }

// EndsEpoch reports whether the block is the last of its epoch.
func (st *Staged) EndsEpoch() bool { return st.endsEpoch }

// NewKeys reports whether a signature that was good for this block may be none for the
// next: a signer has another key, or is one no more. What a caller remembers of
// signatures ([WithVerified]) it must forget then.
func (st *Staged) NewKeys() bool { return st.newKeys }

// Reseats reports whether the data aggregators, the candidates, the centres or their keys
// are others behind this block.
func (st *Staged) Reseats() bool { return st.reseats }

// Turn returns the members that vote behind the block, if they are others than before.
func (st *Staged) Turn() (*members.Set, bool) {
	m, h := st.roster.members, st.header
	return members.At(m.Chain(), m.Keys(), h.GetHeight(), h.GetEpoch()+1), len(h.GetNextMembers()) > 0
}
