package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// This file is for a chain whose old blocks are elsewhere: it began with a snapshot,
// or they were pruned.

// ErrArchived is in the error of [Store.Block] for a block below the oldest that is
// kept. The error matches [ErrNotFound] and [wire.ErrArchived] too.
var ErrArchived = fmt.Errorf("%w: %w; look into the archive, or ask a data aggregator that keeps all", ErrNotFound, wire.ErrArchived)

var (
	// bucketTurns maps a height to the header, with its certificate, of a block whose
	// records are not kept, and behind which other members vote.
	bucketTurns = []byte("turns")
	metaFirst   = []byte("first")
)

// First returns the height of the oldest block that is kept, 1 where all are.
func (s *Store) First() uint64 { return s.first.Load() }

func first(tx *bbolt.Tx) (uint64, error) {
	b := tx.Bucket(bucketMeta).Get(metaFirst)
	switch {
	case b == nil:
		return 1, nil
	case len(b) != 8:
		return 0, fmt.Errorf("%w: first height of %d bytes", errDamaged, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// archived says that a height is below those kept.
func (s *Store) archived(height uint64) error {
	if first := s.First(); height > 0 && height < first {
		return fmt.Errorf("%w (kept are blocks %d to %d)", ErrArchived, first, s.Height())
	}
	return nil
}

// Turn returns what is kept of a block behind which other members vote: the block, or
// its header and certificate without the records where it is older than those kept.
func (s *Store) Turn(height uint64) (*fairwattpb.CertifiedBlock, error) {
	if height >= s.First() {
		return s.Block(height)
	}
	var cb *fairwattpb.CertifiedBlock
	err := s.view(func(tx *bbolt.Tx) (err error) {
		if b := tx.Bucket(bucketTurns); b != nil {
			cb, err = decode(b.Get(heightKey(height)))
			return err
		}
		return ErrNotFound
	})
	if err != nil {
		return nil, fmt.Errorf("change of members at block %d of %s: %w", height, s.path, err)
	}
	return cb, nil
}

// A Start is where a chain begins without the blocks below.
type Start struct {
	// State is the state behind the block, checked by whoever made the start.
	State *ledger.State
	// Block is the newest block of State.
	Block *fairwattpb.CertifiedBlock
	// Turns lead from the genesis to the members that voted for the block.
	Turns []*fairwattpb.Turn
}

// Begin puts a start in the place of everything that is stored, in one synced
// transaction. The start must be above the newest block.
func (s *Store) Begin(st *Start) error {
	header, hash, _, err := ledger.DecodeBlock(st.Block.GetBlock())
	if err != nil {
		return fmt.Errorf("begin with a snapshot: %w", err)
	}
	height := header.GetHeight()
	root := st.State.Root()
	if st.State.Height() != height || st.State.HeaderHash() != hash || !bytes.Equal(root[:], header.GetStateRoot()) {
		return fmt.Errorf("begin with a snapshot: block %d is not that of the state (height %d)", height, st.State.Height())
	}
	encoded, err := proto.Marshal(st.Block)
	if err != nil {
		return fmt.Errorf("begin with a snapshot: %w", err)
	}
	err = s.update(func(tx *bbolt.Tx) error {
		last, _, err := newest(tx)
		if err != nil {
			return err
		}
		if height <= last {
			return fmt.Errorf("it is of block %d, and block %d is stored", height, last)
		}
		for _, name := range [][]byte{bucketBlocks, bucketState, bucketTurns} {
			if tx.Bucket(name) != nil {
				err = tx.DeleteBucket(name)
			}
			if err == nil {
				_, err = tx.CreateBucket(name)
			}
			if err != nil {
				return err
			}
		}
		for _, t := range st.Turns {
			if err := putTurn(tx, t.GetHeader(), t.GetCertificate()); err != nil {
				return err
			}
		}
		state := tx.Bucket(bucketState)
		state.FillPercent = 0.9 // the keys come in order
		for _, e := range st.State.Entries() {
			if err := state.Put(e.Key, e.Value); err != nil {
				return fmt.Errorf("state key %q: %w", e.Key, err)
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			tx.Bucket(bucketBlocks).Put(heightKey(height), append(hash[:], encoded...)),
			meta.Put(metaHeight, heightKey(height)), meta.Put(metaHeader, hash[:]), meta.Put(metaFirst, heightKey(height)), meta.Put(metaWhole, []byte{1}),
		)
	})
	if err != nil {
		return fmt.Errorf("begin with a snapshot in %s: %w", s.path, err)
	}
	s.height.Store(height)
	s.first.Store(height)
	return nil
}

// putTurn keeps the header and the certificate of a block.
func putTurn(tx *bbolt.Tx, header, certificate []byte) error {
	h, hash, err := ledger.DecodeHeader(header)
	if err != nil {
		return fmt.Errorf("change of members: %w", err)
	}
	block := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), header)
	encoded, err := proto.Marshal(&fairwattpb.CertifiedBlock{Block: block, Certificate: certificate})
	if err != nil {
		return fmt.Errorf("change of members: %w", err)
	}
	return tx.Bucket(bucketTurns).Put(heightKey(h.GetHeight()), append(hash[:], encoded...))
}

// headerOf returns the encoded header of a block.
func headerOf(block []byte) ([]byte, error) {
	_, _, n := protowire.ConsumeTag(block)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	header, m := protowire.ConsumeBytes(block[n:])
	return header, protowire.ParseError(min(m, 0))
}

// pruneStep bounds the blocks that one transaction takes out.
const pruneStep = 64

// Prune takes out the blocks below a height, and keeps of those among turns what
// [Store.Turn] needs. It goes from the oldest on in synced steps: what a crash leaves is
// a chain without gaps. The newest block stays in any case.
func (s *Store) Prune(below uint64, turns []uint64) error {
	below = min(below, s.Height())
	keep := make(map[uint64]bool, len(turns))
	for _, h := range turns {
		keep[h] = true
	}
	for from := s.First(); from < below; from = s.First() {
		to := min(below, from+pruneStep)
		err := s.update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists(bucketTurns); err != nil {
				return err
			}
			blocks := tx.Bucket(bucketBlocks)
			for h := from; h < to; h++ {
				if keep[h] {
					cb, err := decode(blocks.Get(heightKey(h)))
					if err != nil {
						return fmt.Errorf("block %d: %w", h, err)
					}
					header, err := headerOf(cb.GetBlock())
					if err != nil {
						return fmt.Errorf("%w: block %d: %w", errDamaged, h, err)
					}
					if err := putTurn(tx, header, cb.GetCertificate()); err != nil {
						return err
					}
				}
				if err := blocks.Delete(heightKey(h)); err != nil {
					return err
				}
			}
			return tx.Bucket(bucketMeta).Put(metaFirst, heightKey(to))
		})
		if err != nil {
			return fmt.Errorf("prune %s: %w", s.path, err)
		}
		s.first.Store(to)
	}
	return nil
}
