package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/boltfile"
	"fairwatt/proto/fairwattpb"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/proto"
)

// ErrFork is returned (wrapped, with the height) by [Store.Append] for a block
// that differs from the one stored at its height.
var ErrFork = errors.New("store: fork: a different certified block stands at this height")

// ErrNotFound is returned (wrapped) by [Store.Block] for a height that is not
// stored.
var ErrNotFound = errors.New("store: no such block")

var errDamaged = errors.New("store: damaged file")

const version = "fairwatt-store-1"

var (
	bucketMeta   = []byte("meta")
	bucketBlocks = []byte("blocks")
	bucketState  = []byte("state")

	metaVersion = []byte("version")
	metaChain   = []byte("chain")
	metaHeight  = []byte("height")
	metaHeader  = []byte("header")
	metaWhole   = []byte("whole")
)

// A Store is an open chain file. Its methods may be called from several
// goroutines; Appends wait for each other.
type Store struct {
	db     *boltfile.DB
	path   string
	height atomic.Uint64 // of the newest block
	first  atomic.Uint64 // of the oldest that is kept
}

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = 2 * time.Second

// Open opens or makes the file at path for the chain of the given id. It fails
// when another process has it open, when it belongs to another chain, and when
// it is damaged or no store at all.
func Open(path string, chainID [32]byte) (*Store, error) {
	s, err := open(path, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return nil, err
	}
	if err = s.init(chainID); err == nil {
		err = s.readHeight()
	}
	return s.opened(err)
}

// OpenReadOnly opens an existing file to read, whichever chain it is of.
func OpenReadOnly(path string) (*Store, error) {
	s, err := open(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	if _, err = s.ChainID(); err == nil {
		err = s.readHeight()
	}
	return s.opened(err)
}

// opened returns the store unless err says that it cannot be used.
func (s *Store) opened(err error) (*Store, error) {
	if err == nil {
		return s, nil
	}
	return nil, errors.Join(fmt.Errorf("open store %s: %w", s.path, err), s.db.Close())
}

func open(path string, options *bbolt.Options) (*Store, error) {
	db, err := boltfile.OpenUnread(path, options)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("open store %s: another process has it open", path)
	case err != nil:
		return nil, fmt.Errorf("open store %s: %w", path, damage(err))
	}
	return &Store{db: db, path: path}, nil
}

// damage adds what a person can do to the error of a damaged file.
func damage(err error) error {
	if errors.Is(err, boltfile.ErrDamaged) || errors.Is(err, errDamaged) {
		return fmt.Errorf("%w; move it away, and this data aggregator fetches its blocks from the others", err)
	}
	return err
}

func (s *Store) init(chainID [32]byte) error {
	return s.update(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			have, err := chainOf(meta)
			if err != nil {
				return err
			}
			if have != chainID {
				return fmt.Errorf("it holds chain %x, not %x", have, chainID)
			}
			return nil
		}
		for _, name := range [][]byte{bucketMeta, bucketBlocks, bucketState} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			meta.Put(metaVersion, []byte(version)),
			meta.Put(metaChain, chainID[:]),
			meta.Put(metaHeight, heightKey(0)),
			meta.Put(metaHeader, chainID[:]),
		)
	})
}

func chainOf(meta *bbolt.Bucket) (id [32]byte, err error) {
	if v := meta.Get(metaVersion); string(v) != version {
		return id, fmt.Errorf("%w: version %q, want %q", errDamaged, v, version)
	}
	chain := meta.Get(metaChain)
	if len(chain) != len(id) {
		return id, fmt.Errorf("%w: chain id of %d bytes", errDamaged, len(chain))
	}
	return [32]byte(chain), nil
}

// ChainID returns the id of the chain the file holds.
func (s *Store) ChainID() (id [32]byte, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil || tx.Bucket(bucketBlocks) == nil || tx.Bucket(bucketState) == nil {
			return fmt.Errorf("%w: not a chain file", errDamaged)
		}
		id, err = chainOf(meta)
		return err
	})
	return id, err
}

// view is a read transaction in which a damaged page is an error.
func (s *Store) view(fn func(tx *bbolt.Tx) error) error { return damage(s.db.View(fn)) }

// update is a write transaction, likewise.
func (s *Store) update(fn func(tx *bbolt.Tx) error) error { return damage(s.db.Update(fn)) }

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func heightKey(h uint64) []byte { return binary.BigEndian.AppendUint64(nil, h) }

func newest(tx *bbolt.Tx) (height uint64, header [32]byte, err error) {
	meta := tx.Bucket(bucketMeta)
	h, b := meta.Get(metaHeight), meta.Get(metaHeader)
	if len(h) != 8 || len(b) != 32 {
		return 0, header, fmt.Errorf("%w: no height", errDamaged)
	}
	return binary.BigEndian.Uint64(h), [32]byte(b), nil
}

// Height returns the height of the newest block, 0 when there is none.
func (s *Store) Height() uint64 { return s.height.Load() }

func (s *Store) readHeight() error {
	return s.view(func(tx *bbolt.Tx) error {
		height, _, err := newest(tx)
		if err != nil {
			return err
		}
		oldest, err := first(tx)
		s.height.Store(height)
		s.first.Store(oldest)
		return err
	})
}

// Append stores a staged block with its certificate and its changes to the
// state, in one transaction that is on disk when Append returns nil. cb is the
// same block and was verified. A block that is already there is not stored
// again and is no error; one that differs from what is there is [ErrFork].
func (s *Store) Append(st *ledger.Staged, cb *fairwattpb.CertifiedBlock) error {
	header, hash := st.Header(), st.HeaderHash()
	height := header.GetHeight()
	if !bytes.Equal(st.Block(), cb.GetBlock()) {
		return fmt.Errorf("append block %d: the certificate comes with another block", height)
	}
	encoded, err := proto.Marshal(cb)
	if err != nil {
		return fmt.Errorf("append block %d: %w", height, err)
	}
	err = s.update(func(tx *bbolt.Tx) error {
		last, lastHash, err := newest(tx)
		if err != nil {
			return err
		}
		blocks := tx.Bucket(bucketBlocks)
		switch {
		case height < s.First():
			return ErrArchived
		case height <= last:
			have := blocks.Get(heightKey(height))
			if len(have) < 32 || !bytes.Equal(have[:32], hash[:]) {
				return ErrFork
			}
			return nil
		case height != last+1:
			return fmt.Errorf("the newest is %d", last)
		case !bytes.Equal(header.GetPrevHash(), lastHash[:]):
			return fmt.Errorf("%w: its prev_hash is not the stored block below", ErrFork)
		}
		// Keys come in order, so pages fill up whole.
		blocks.FillPercent = 0.95
		if err := blocks.Put(heightKey(height), append(hash[:], encoded...)); err != nil {
			return err
		}
		state := tx.Bucket(bucketState)
		if err := makeWhole(tx, st.Genesis()); err != nil {
			return err
		}
		for _, c := range st.Changes() {
			if c.Delete {
				err = state.Delete(c.Key)
			} else {
				err = state.Put(c.Key, c.Value)
			}
			if err != nil {
				return fmt.Errorf("state key %q: %w", c.Key, err)
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(metaHeight, heightKey(height)), meta.Put(metaHeader, hash[:]))
	})
	if err != nil {
		return fmt.Errorf("append block %d to %s: %w", height, s.path, err)
	}
	s.height.Store(max(s.height.Load(), height))
	return nil
}

// makeWhole puts those entries of the genesis into the file that no block has set. From
// then on what a block removes stays away: laid under the file's entries at each start,
// an entry of the genesis would come back.
func makeWhole(tx *bbolt.Tx, g *ledger.Genesis) error {
	meta, state := tx.Bucket(bucketMeta), tx.Bucket(bucketState)
	if meta.Get(metaWhole) != nil {
		return nil
	}
	base, err := ledger.NewState(g)
	if err != nil {
		return err
	}
	for _, e := range base.Entries() {
		if state.Get(e.Key) != nil {
			continue
		}
		if err := state.Put(e.Key, e.Value); err != nil {
			return fmt.Errorf("state key %q: %w", e.Key, err)
		}
	}
	return meta.Put(metaWhole, []byte{1})
}

// Block returns the certified block of a height.
func (s *Store) Block(height uint64) (*fairwattpb.CertifiedBlock, error) {
	var cb *fairwattpb.CertifiedBlock
	err := s.archived(height)
	if err == nil {
		err = s.view(func(tx *bbolt.Tx) (err error) {
			cb, err = decode(tx.Bucket(bucketBlocks).Get(heightKey(height)))
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("block %d of %s: %w", height, s.path, err)
	}
	return cb, nil
}

func decode(b []byte) (*fairwattpb.CertifiedBlock, error) {
	if b == nil {
		return nil, ErrNotFound
	}
	if len(b) < 32 {
		return nil, fmt.Errorf("%w: block of %d bytes", errDamaged, len(b))
	}
	cb := &fairwattpb.CertifiedBlock{}
	if err := proto.Unmarshal(b[32:], cb); err != nil { // copies
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return cb, nil
}

// Blocks calls fn for the blocks of the heights from to to, both included, as
// far as they are stored, in order, and returns the first error. Each block is
// read in its own transaction, so fn may take its time.
func (s *Store) Blocks(from, to uint64, fn func(height uint64, cb *fairwattpb.CertifiedBlock) error) error {
	last := s.Height()
	for h := max(from, 1); h <= min(to, last); h++ {
		cb, err := s.Block(h)
		if err != nil {
			return err
		}
		if err := fn(h, cb); err != nil {
			return err
		}
	}
	return nil
}

// LoadState returns the state after the newest block; that of the genesis when
// there is none. It fails when the stored state's root is not the one that
// block says.
func (s *Store) LoadState(g *ledger.Genesis) (*ledger.State, error) {
	base, err := ledger.NewState(g)
	if err != nil {
		return nil, err
	}
	have, err := s.ChainID()
	if err != nil {
		return nil, fmt.Errorf("load state of %s: %w", s.path, err)
	}
	if have != g.ChainID() {
		return nil, fmt.Errorf("load state: the store holds chain %x, the genesis is of %x", have, g.ChainID())
	}
	var height uint64
	var hash [32]byte
	var entries []ledger.Entry
	var cb *fairwattpb.CertifiedBlock
	err = s.view(func(tx *bbolt.Tx) (err error) {
		if height, hash, err = newest(tx); err != nil || height == 0 {
			return err
		}
		if cb, err = decode(tx.Bucket(bucketBlocks).Get(heightKey(height))); err != nil {
			return err
		}
		changed := make(map[string]bool)
		err = tx.Bucket(bucketState).ForEach(func(k, v []byte) error {
			entries = append(entries, ledger.Entry{Key: bytes.Clone(k), Value: append([]byte{}, v...)})
			changed[string(k)] = true
			return nil
		})
		if err != nil || tx.Bucket(bucketMeta).Get(metaWhole) != nil {
			return err
		}
		for _, e := range base.Entries() {
			if !changed[string(e.Key)] {
				entries = append(entries, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load state of %s: %w", s.path, err)
	}
	if height == 0 {
		return base, nil
	}
	state, err := ledger.Restore(g, height, hash, entries)
	if err != nil {
		return nil, damage(fmt.Errorf("load state of %s: %w: %w", s.path, errDamaged, err))
	}
	header, headerHash, _, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return nil, damage(fmt.Errorf("load state of %s: %w: block %d: %w", s.path, errDamaged, height, err))
	}
	if root := state.Root(); headerHash != hash || !bytes.Equal(root[:], header.GetStateRoot()) {
		return nil, damage(fmt.Errorf("load state of %s: %w: state root after block %d is %x, its header says %x", s.path, errDamaged, height, root, header.GetStateRoot()))
	}
	return state, nil
}
