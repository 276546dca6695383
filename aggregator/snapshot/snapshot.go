package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
)

// Magic is what a snapshot begins with.
const Magic = "fairwatt-snapshot-1\n"

// Bounds of what a snapshot may hold. Each protects who reads one of a stranger.
const (
	// MaxBytes bounds a whole snapshot: the state of some million trades.
	MaxBytes      = 1 << 30
	maxTurns      = 100_000
	maxTurnBytes  = 8 << 20
	maxBlockBytes = 64 << 20
	maxKeyBytes   = 1 << 12
	maxValueBytes = 1 << 20
)

// A Snapshot is a state behind the last block of an epoch, with what proves it.
type Snapshot struct {
	// Chain is the id of the chain.
	Chain [32]byte
	// Turns lead from the genesis to the members that have voted for the block.
	Turns []*fairwattpb.Turn
	// Block is the last block of an epoch, with its certificate.
	Block *fairwattpb.CertifiedBlock
	// Entries are the whole state behind it, by key.
	Entries []ledger.Entry
}

var errSnapshot = errors.New("snapshot")

// castagnoli is the polynomial of the checksum.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type writer struct {
	w   *bufio.Writer
	sum hash.Hash32
	err error
}

func (w *writer) bytes(b []byte) {
	if w.err == nil {
		w.sum.Write(b) // never an error
		_, w.err = w.w.Write(b)
	}
}

func (w *writer) u32(n int) { w.bytes(binary.BigEndian.AppendUint32(nil, uint32(n))) }

func (w *writer) field(b []byte) {
	w.u32(len(b))
	w.bytes(b)
}

func (w *writer) message(m proto.Message) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if w.err == nil {
		w.err = err
	}
	w.field(b)
}

// Write writes the snapshot.
func (s *Snapshot) Write(to io.Writer) error {
	w := &writer{w: bufio.NewWriterSize(to, 1<<16), sum: crc32.New(castagnoli)}
	w.bytes([]byte(Magic))
	w.bytes(s.Chain[:])
	w.u32(len(s.Turns))
	for _, t := range s.Turns {
		w.message(t)
	}
	w.message(s.Block)
	w.u32(len(s.Entries))
	for _, e := range s.Entries {
		w.field(e.Key)
		w.field(e.Value)
	}
	w.bytes(w.sum.Sum(nil))
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err != nil {
		return fmt.Errorf("write snapshot: %w", w.err)
	}
	return nil
}

type reader struct {
	r   *bufio.Reader
	sum hash.Hash32
}

// fill reads exactly so many bytes, in steps: a length that is claimed and not there
// costs no memory.
func (r *reader) fill(what string, n int) ([]byte, error) {
	const step = 1 << 16
	var out []byte
	for len(out) < n {
		from := len(out)
		out = slices.Grow(out, min(step, n-from))[:from+min(step, n-from)]
		if _, err := io.ReadFull(r.r, out[from:]); err != nil {
			return nil, fmt.Errorf("%w: %s: cut off", errSnapshot, what)
		}
	}
	r.sum.Write(out)
	return out, nil
}

func (r *reader) u32(what string, most int) (int, error) {
	b, err := r.fill(what, 4)
	if err != nil {
		return 0, err
	}
	if n := binary.BigEndian.Uint32(b); uint64(n) <= uint64(most) {
		return int(n), nil
	}
	return 0, fmt.Errorf("%w: %s: %d, at most %d", errSnapshot, what, binary.BigEndian.Uint32(b), most)
}

func (r *reader) field(what string, most int) ([]byte, error) {
	n, err := r.u32(what, most)
	if err != nil {
		return nil, err
	}
	return r.fill(what, n)
}

// message reads a message in its one encoding.
func (r *reader) message(what string, most int, m proto.Message) error {
	b, err := r.field(what, most)
	if err != nil {
		return err
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %s: %w", errSnapshot, what, err)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: %s: not in canonical form", errSnapshot, what)
	}
	return nil
}

// Read reads a snapshot of the chain of an id. It says nothing of whether its content is
// true: see [Snapshot.Verify].
func Read(from io.Reader, chain [32]byte) (*Snapshot, error) {
	r := &reader{r: bufio.NewReaderSize(io.LimitReader(from, MaxBytes+1), 1<<16), sum: crc32.New(castagnoli)}
	head, err := r.fill("begin", len(Magic)+len(chain))
	switch {
	case err != nil:
		return nil, err
	case string(head[:len(Magic)]) != Magic:
		return nil, fmt.Errorf("%w: it does not begin with %q", errSnapshot, Magic)
	case !bytes.Equal(head[len(Magic):], chain[:]):
		return nil, fmt.Errorf("%w: it is of chain %x, not %x", errSnapshot, head[len(Magic):], chain)
	}
	s := &Snapshot{Chain: chain, Block: &fairwattpb.CertifiedBlock{}}
	turns, err := r.u32("changes of members", maxTurns)
	if err != nil {
		return nil, err
	}
	for range turns {
		t := &fairwattpb.Turn{}
		if err := r.message("change of members", maxTurnBytes, t); err != nil {
			return nil, err
		}
		s.Turns = append(s.Turns, t)
	}
	if err := r.message("block", maxBlockBytes, s.Block); err != nil {
		return nil, err
	}
	if s.Entries, err = r.entries(); err != nil {
		return nil, err
	}
	want := r.sum.Sum(nil)
	sum, err := r.fill("checksum", len(want))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(sum, want) {
		return nil, fmt.Errorf("%w: checksum %x, its bytes give %x", errSnapshot, sum, want)
	}
	if _, err := r.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: bytes behind its end", errSnapshot)
	}
	return s, nil
}

func (r *reader) entries() ([]ledger.Entry, error) {
	n, err := r.u32("entries", MaxBytes/8)
	if err != nil {
		return nil, err
	}
	var out []ledger.Entry
	for range n {
		var e ledger.Entry
		if e.Key, err = r.field("key", maxKeyBytes); err == nil {
			e.Value, err = r.field("value", maxValueBytes)
		}
		if err != nil {
			return nil, err
		}
		if len(out) > 0 && bytes.Compare(out[len(out)-1].Key, e.Key) >= 0 {
			return nil, fmt.Errorf("%w: entry %d stands out of order", errSnapshot, len(out))
		}
		out = append(out, e)
	}
	return out, nil
}

// Verify checks everything of a snapshot and returns its state. own are the members that
// vote behind the newest block of who asks, and height is that of the block; own is nil
// where there is none.
func (s *Snapshot) Verify(g *ledger.Genesis, own *members.Set, height uint64) (*ledger.State, error) {
	header, hash, records, err := ledger.DecodeBlock(s.Block.GetBlock())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if header.GetHeight() <= height {
		return nil, fmt.Errorf("%w: it is of block %d, and block %d is here already", errSnapshot, header.GetHeight(), height)
	}
	set, err := s.follow(g, own, height, header)
	if err != nil {
		return nil, err
	}
	encoded, err := ledger.TurnOf(s.Block, set) // its header
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if _, err := set.Certify(encoded.GetHeader(), s.Block.GetCertificate()); err != nil {
		return nil, fmt.Errorf("%w: block %d: %w", errSnapshot, header.GetHeight(), err)
	}
	root, err := treeHash(records)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if !bytes.Equal(root, header.GetRecordsRoot()) {
		return nil, fmt.Errorf("%w: the records of block %d are not those of its header", errSnapshot, header.GetHeight())
	}
	state, err := ledger.Restore(g, header.GetHeight(), hash, s.Entries)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if root := state.Root(); !bytes.Equal(root[:], header.GetStateRoot()) {
		return nil, fmt.Errorf("%w: the root of its entries is %x, the header of block %d says %x", errSnapshot, root, header.GetHeight(), header.GetStateRoot())
	}
	return state, s.fits(state)
}

// follow returns the members that vote for the block of a header.
func (s *Snapshot) follow(g *ledger.Genesis, own *members.Set, height uint64, header *fairwattpb.BlockHeader) (*members.Set, error) {
	set, err := g.FirstMembers()
	if err != nil {
		return nil, err
	}
	same := func() error {
		if own != nil && !set.Same(own) {
			return fmt.Errorf("%w: at block %d it leads to the members %v, here they are %v", errSnapshot, height, set.Names(), own.Names())
		}
		return nil
	}
	known := own == nil
	for i, t := range s.Turns {
		next, err := set.Follow(t)
		if err != nil {
			return nil, fmt.Errorf("%w: change %d of the members: %w", errSnapshot, i+1, err)
		}
		if next.Height() >= header.GetHeight() {
			return nil, fmt.Errorf("%w: change %d of the members is of block %d, and the snapshot of block %d", errSnapshot, i+1, next.Height(), header.GetHeight())
		}
		if !known && next.Height() > height {
			if known, err = true, same(); err != nil {
				return nil, err
			}
		}
		set = next
	}
	if !known {
		return set, same()
	}
	return set, nil
}

// fits checks that the block ends an epoch, and that no change of members is left out:
// who begins with the snapshot hands them on.
func (s *Snapshot) fits(state *ledger.State) error {
	if state.EpochFirstHeight() != state.Height()+1 {
		return fmt.Errorf("%w: block %d is not the last of its epoch", errSnapshot, state.Height())
	}
	sets, err := state.Turns()
	if err != nil {
		return fmt.Errorf("%w: %w", errSnapshot, err)
	}
	var want []uint64
	for _, to := range sets {
		if to.Height() < state.Height() {
			want = append(want, to.Height())
		}
	}
	if len(want) != len(s.Turns) {
		return fmt.Errorf("%w: %d changes of members, the state knows %d", errSnapshot, len(s.Turns), len(want))
	}
	for i, t := range s.Turns {
		h, _, err := ledger.DecodeHeader(t.GetHeader())
		if err != nil || h.GetHeight() != want[i] {
			return fmt.Errorf("%w: change %d of the members is not that of block %d", errSnapshot, i+1, want[i])
		}
	}
	return nil
}

// treeHash is the RFC 6962 tree hash over records.
func treeHash(records [][]byte) ([]byte, error) {
	hasher := rfc6962.DefaultHasher
	if len(records) == 0 {
		return hasher.EmptyRoot(), nil
	}
	factory := compact.RangeFactory{Hash: hasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	for _, r := range records {
		if err := tree.Append(hasher.HashLeaf(r), nil); err != nil {
			return nil, fmt.Errorf("merkle tree: %w", err)
		}
	}
	return tree.GetRootHash(nil)
}
