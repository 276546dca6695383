package ledger

import (
	"container/heap"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"

	"fairwatt/proto/seal"
)

// An Entry is a key of the state and the value under it.
type Entry struct{ Key, Value []byte }

// A Change is what a block does to one key.
type Change struct {
	Key, Value []byte
	Delete     bool
}

// A State is the state of a chain after some block. Blocks are staged on it
// ([State.Build], [State.Verify]) without changing it, and [State.Commit] makes
// a staged block its newest. All methods are safe for concurrent use; staged
// blocks and what queries return share nothing with the state.
type State struct {
	genesis  *Genesis
	chain    [32]byte
	arbiters map[string]ed25519.PublicKey // and auditors
	auditors map[string]bool

	mu           sync.RWMutex // guards what follows
	headerHash   [32]byte
	meta         meta
	tree         *stateTree
	due          deadlines // an index of the deadline keys; may hold stale ones
	keys         map[string]ed25519.PublicKey
	participants map[string]*Participant // replaced, never changed
	roster       *roster
	book         book // with answers by the ledger
}

// NewState returns the state before the first block: the genesis' participants
// are registered, no one has money, and the header hash is the chain's id.
func NewState(g *Genesis) (*State, error) {
	s, err := newState(g)
	if err != nil {
		return nil, err
	}
	none := func(string, value) bool { return false }
	first, err := s.rosterOf(none, nil)
	if err != nil {
		return nil, err
	}
	sequence, err := sequenceOf(g.network(), first.active())
	if err != nil {
		return nil, fmt.Errorf("communication tree of the genesis: %w", err)
	}
	order := make([]byte, len(sequence))
	for i, n := range sequence {
		order[i] = byte(n)
	}
	zeros := string(make([]byte, len(order)))
	m := meta{TimeMs: g.CreatedMs, Epoch: 1, EpochFirst: 1, Order: string(order), Strikes: zeros, Failed: zeros}
	entries := []Entry{{[]byte(keyMeta), encodeValue(&m)}}
	add := func(p *Participant) {
		entries = append(entries,
			Entry{[]byte(keyParticipant + p.ID), encodeValue(p)},
			Entry{[]byte(keyPublicKey + p.PublicKey), []byte(p.ID)})
		if !p.Centre {
			a := g.Params.newAccount()
			entries = append(entries, Entry{[]byte(keyAccount + p.ID), encodeValue(&a)})
		}
	}
	for _, c := range g.Centres {
		add(&Participant{ID: c.ID, Centre: true, PublicKey: string(c.PublicKey)})
	}
	for _, m := range g.Members {
		p := &Participant{ID: m.ID, Site: m.Site, PublicKey: string(m.PublicKey), Simulated: m.Simulated, MeterClassE4: m.MeterClassE4}
		for _, role := range m.Roles {
			p.Seller = p.Seller || role == "seller"
			p.Buyer = p.Buyer || role == "buyer"
		}
		add(p)
	}
	entries = append(append(entries, g.meterEntries()...), g.firstSpan()...)
	if err := s.load(entries); err != nil {
		return nil, err
	}
	s.headerHash = s.chain
	return s, nil
}

// Restore returns the state with the given entries, as they stood after the
// block of the given height and header hash. It checks that they decode and
// that they are of that height; that they are the right ones shows in the next
// block's state root, or at once by comparing [State.Root] with the block's.
func Restore(g *Genesis, height uint64, headerHash [32]byte, entries []Entry) (*State, error) {
	s, err := newState(g)
	if err != nil {
		return nil, err
	}
	if err := s.load(entries); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if s.meta.Height != height {
		return nil, fmt.Errorf("restore state: entries are of height %d, not %d", s.meta.Height, height)
	}
	s.headerHash = headerHash
	return s, nil
}

func newState(g *Genesis) (*State, error) {
	b, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	if g, err = ParseGenesis(b); err != nil { // our own copy
		return nil, err
	}
	s := &State{genesis: g, chain: g.ChainID()}
	s.arbiters = make(map[string]ed25519.PublicKey, len(g.Arbiters))
	for _, a := range g.Arbiters {
		if s.arbiters[a.ID], err = seal.ParseKey(string(a.PublicKey)); err != nil {
			return nil, err
		}
	}
	if err := s.second(g); err != nil {
		return nil, err
	}
	return s, nil
}

// load fills the tree and the indexes over it.
func (s *State) load(entries []Entry) error {
	s.tree = newStateTree(entries)
	if len(s.tree.items) != len(entries) {
		return errors.New("a key stands twice")
	}
	s.keys = make(map[string]ed25519.PublicKey)
	s.participants = make(map[string]*Participant)
	b, ok := s.tree.get(keyMeta)
	if !ok {
		return errors.New("no meta entry")
	}
	if err := decodeValue(b, &s.meta); err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	if err := s.seatAll(); err != nil {
		return err
	}
	for key, it := range s.tree.items {
		if err := s.index(key, it.value); err != nil {
			return fmt.Errorf("entry %q: %w", key, err)
		}
	}
	heap.Init(&s.due)
	if !s.genesis.Params.byLedger() {
		return nil
	}
	x := s.newExecution(s.meta.TimeMs)
	s.book = x.newBook()
	return x.err
}

// seatAll reads the roster from the tree.
func (s *State) seatAll() error {
	r, err := s.rosterOf(s.read, splitNames(s.tree.get(keySeats)))
	if err != nil {
		return err
	}
	order := s.meta.places()
	slices.Sort(order)
	if !slices.Equal(order, r.active()) {
		return fmt.Errorf("meta: the order of %d data aggregators is not one of the %d members", len(order), len(r.active()))
	}
	s.roster = r
	return nil
}

func hasPrefix(key, prefix string) bool {
	return len(key) > len(prefix) && key[:len(prefix)] == prefix
}

// index keeps what the state looks up outside the tree.
func (s *State) index(key string, value []byte) error {
	switch {
	case hasPrefix(key, keyParticipant):
		p := &Participant{}
		if err := decodeValue(value, p); err != nil {
			return err
		}
		pk, err := seal.ParseKey(p.PublicKey)
		if err != nil {
			return err
		}
		s.participants[p.ID], s.keys[p.ID] = p, pk
	case hasPrefix(key, keyDeadline):
		if _, _, _, err := parseDeadlineKey(key); err != nil {
			return err
		}
		s.due = append(s.due, key)
	}
	return nil
}

// deadlines is a min-heap of deadline keys, which sort by time.
type deadlines []string

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i] < d[j] }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(string)) }
func (d *deadlines) Pop() any {
	old := *d
	last := old[len(old)-1]
	*d = old[:len(old)-1]
	return last
}

// until collects the keys due at timeMs or before, without taking them out:
// it walks only those parts of the heap that are due.
func (d deadlines) until(timeMs int64) []string {
	limit := deadlineKey(timeMs+1, 0, "")
	var out []string
	walk := []int{0}
	for len(walk) > 0 {
		i := walk[len(walk)-1]
		walk = walk[:len(walk)-1]
		if i < len(d) && d[i] < limit {
			out = append(out, d[i])
			walk = append(walk, 2*i+1, 2*i+2)
		}
	}
	return out
}

// Commit makes a staged block the newest one. It fails when the block was
// staged on another state than the present one.
func (s *State) Commit(st *Staged) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.base != s.headerHash || st.header.Height != s.meta.Height+1 {
		return fmt.Errorf("commit block %d: staged on another state than that of height %d", st.header.Height, s.meta.Height)
	}
	s.tree.apply(st.update)
	s.meta = st.meta
	s.headerHash = st.headerHash
	if s.genesis.Params.byLedger() {
		x := s.newExecution(s.meta.TimeMs)
		if s.book = s.book.follow(x, st.changes); x.err != nil {
			return fmt.Errorf("commit block %d: %w", st.header.Height, x.err)
		}
	}
	for _, c := range st.changes {
		if c.Delete {
			continue
		}
		key := string(c.Key)
		if hasPrefix(key, keyDeadline) {
			heap.Push(&s.due, key)
		} else if err := s.index(key, c.Value); err != nil {
			return fmt.Errorf("commit block %d: entry %q: %w", st.header.Height, key, err)
		}
	}
	s.roster = st.roster
	limit := deadlineKey(s.meta.TimeMs+1, 0, "")
	for len(s.due) > 0 && s.due[0] < limit {
		if _, waits := s.tree.get(s.due[0]); waits {
			break // the sweep had no room for it: the next block's has
		}
		heap.Pop(&s.due)
	}
	return nil
}
