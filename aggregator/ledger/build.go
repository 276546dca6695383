package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// HeaderFields are what the accounting node chooses of a header; the rest
// follows from the state and the records.
type HeaderFields struct {
	Epoch          uint64
	View           uint64
	AccountingNode string
	TimeMs         int64
}

// A Dropped is a record that [State.Build] left out of the block.
type Dropped struct {
	ID      [32]byte
	Sealed  []byte
	Refusal *Refusal // why; nil when there was only no room
}

// An Option changes how Build and Verify go about their work, never what they
// find.
type Option func(*options)

type options struct {
	verified func(id [32]byte) bool
	held     seal.Memory
}

func optionsOf(opts []Option) (o options) {
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithHeld hands in the caller's memory of signatures of votes: one that holds is not
// checked again.
func WithHeld(m seal.Memory) Option { return func(o *options) { o.held = m } }

// WithVerified hands in the caller's memory of signatures: verified reports
// whether the sealed record of this id passed [State.CheckRecord] of this
// chain before. Such a record's signature is not checked again.
func WithVerified(verified func(id [32]byte) bool) Option {
	return func(o *options) { o.verified = verified }
}

// Build makes the next block of this state out of records, in their order, as
// the accounting node does. What may not stand in a block is left out and
// returned with the reason; what the market's rules refuse stays in, with its
// outcome. It fails when the header fields are not those of the next block.
func (s *State) Build(h HeaderFields, records [][]byte, opts ...Option) (*Staged, []Dropped, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	header := &fairwattpb.BlockHeader{
		ChainId: s.chain[:], Height: s.meta.Height + 1, Epoch: h.Epoch, View: h.View,
		AccountingNode: h.AccountingNode, PrevHash: s.headerHash[:], TimeMs: h.TimeMs,
	}
	if err := s.checkHeader(header); err != nil {
		return nil, nil, fmt.Errorf("build block: %w", err)
	}
	checked, refusals := s.checkAll(records, opts)
	x := s.newExecution(h.TimeMs)
	x.sweep()
	st := &Staged{genesis: s.genesis, base: s.headerHash, header: header}
	var dropped []Dropped
	var sealed [][]byte
	for i, c := range checked {
		if refusals[i] != nil {
			dropped = append(dropped, Dropped{seal.ID(records[i]), records[i], refusals[i]})
			continue
		}
		if len(st.records) >= s.genesis.Params.MaxRecordsPerBlock {
			dropped = append(dropped, Dropped{c.ID, c.Sealed, nil})
			continue
		}
		refusal := x.apply(len(st.records), c)
		if refusal != nil && refusal.Code == wire.CodeReplayed {
			dropped = append(dropped, Dropped{c.ID, c.Sealed, refusal})
			continue
		}
		st.records, sealed = append(st.records, c), append(sealed, c.Sealed)
		st.outcomes = append(st.outcomes, outcome(refusal))
	}
	if err := s.finish(x, st, sealed); err != nil {
		return nil, nil, fmt.Errorf("build block: %w", err)
	}
	encoded, err := marshal(header)
	if err != nil {
		return nil, nil, fmt.Errorf("build block: %w", err)
	}
	st.headerHash = sha256.Sum256(encoded)
	st.block = encodeBlock(encoded, sealed)
	return st, dropped, nil
}

// Verify stages a block that another DA built. It checks the encoding, the
// header, every record, that no record is replayed, and by running the block
// that all roots are right. It does not look at a clock
// ([Params.CheckSkew]) or at a certificate ([State.VerifyCertified]).
func (s *State) Verify(block []byte, opts ...Option) (*Staged, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, err := decode(block)
	if err != nil {
		return nil, err
	}
	return s.verify(d, opts)
}

// VerifyCertified is [State.Verify] for a block that claims to be final: its
// certificate must be one of this very block.
func (s *State) VerifyCertified(cb *fairwattpb.CertifiedBlock, opts ...Option) (*Staged, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, err := decode(cb.GetBlock())
	if err != nil {
		return nil, err
	}
	if _, err := certify(s.roster.members, d.header, d.hash, cb.GetCertificate(), optionsOf(opts).held); err != nil {
		return nil, err
	}
	return s.verify(d, opts)
}

// VerifyCertificate checks that cert makes a staged block final: it is one for
// this very block, of the members that vote for the next block of this state.
func (s *State) VerifyCertificate(st *Staged, cert []byte, opts ...Option) (*fairwattpb.Certificate, error) {
	return certify(s.Members(), st.header, st.headerHash, cert, optionsOf(opts).held)
}

func certify(v *members.Set, header *fairwattpb.BlockHeader, hash [32]byte, cert []byte, held seal.Memory) (*fairwattpb.Certificate, error) {
	c, err := verifyCertificate(v, hash, cert, held)
	if err != nil {
		return nil, err
	}
	if c.Height != header.Height {
		return nil, fmt.Errorf("%w: height %d, the block's is %d", errCertificate, c.Height, header.Height)
	}
	return c, nil
}

// decoded is a block taken apart once.
type decoded struct {
	block   []byte
	header  *fairwattpb.BlockHeader
	hash    [32]byte
	records [][]byte
}

func decode(block []byte) (*decoded, error) {
	header, hash, records, err := DecodeBlock(block)
	if err != nil {
		return nil, err
	}
	return &decoded{block, header, hash, records}, nil
}

func (s *State) verify(d *decoded, opts []Option) (*Staged, error) {
	header, records := d.header, d.records
	if err := s.checkHeader(header); err != nil {
		return nil, fmt.Errorf("%w: %w", errBlock, err)
	}
	if len(records) > s.genesis.Params.MaxRecordsPerBlock {
		return nil, fmt.Errorf("%w: %d records, at most %d", errBlock, len(records), s.genesis.Params.MaxRecordsPerBlock)
	}
	checked, refusals := s.checkAll(records, opts)
	x := s.newExecution(header.TimeMs)
	x.sweep()
	st := &Staged{genesis: s.genesis, base: s.headerHash, block: d.block, headerHash: d.hash, records: checked}
	for i, c := range checked {
		refusal := refusals[i]
		if refusal == nil {
			refusal = x.apply(i, c)
			st.outcomes = append(st.outcomes, outcome(refusal))
		}
		if refusal != nil && (refusals[i] != nil || refusal.Code == wire.CodeReplayed) {
			return nil, fmt.Errorf("%w: record %d may not stand in a block: %w", errBlock, i, refusal)
		}
	}
	// What the header says of the block's effect is compared with what
	// happened: finish fills in our own header.
	ours := &fairwattpb.BlockHeader{
		ChainId: header.ChainId, Height: header.Height, Epoch: header.Epoch, View: header.View,
		AccountingNode: header.AccountingNode, PrevHash: header.PrevHash, TimeMs: header.TimeMs,
	}
	st.header = ours
	if err := s.finish(x, st, records); err != nil {
		return nil, fmt.Errorf("%w: %w", errBlock, err)
	}
	for _, root := range []struct {
		name       string
		ours, said []byte
	}{
		{"records_root", ours.RecordsRoot, header.RecordsRoot},
		{"outcomes_root", ours.OutcomesRoot, header.OutcomesRoot},
		{"state_root", ours.StateRoot, header.StateRoot},
		{"next_members", ours.NextMembers, header.NextMembers},
	} {
		if !bytes.Equal(root.ours, root.said) {
			return nil, fmt.Errorf("%w: %s is %x, the block says %x", errBlock, root.name, root.ours, root.said)
		}
	}
	return st, nil
}

func outcome(r *Refusal) *fairwattpb.Outcome {
	if r == nil {
		return &fairwattpb.Outcome{Applied: true}
	}
	return &fairwattpb.Outcome{Code: r.Code, Reason: r.Reason}
}

// checkHeader checks those fields of a header that the state before it fixes.
func (s *State) checkHeader(h *fairwattpb.BlockHeader) error {
	leader := s.orderID(int(h.View % uint64(len(s.meta.Order))))
	switch {
	case !bytes.Equal(h.ChainId, s.chain[:]):
		return fmt.Errorf("chain_id is of another chain")
	case h.Height != s.meta.Height+1:
		return fmt.Errorf("height: %d, want %d", h.Height, s.meta.Height+1)
	case !bytes.Equal(h.PrevHash, s.headerHash[:]):
		return fmt.Errorf("prev_hash: %x, the block below is %x", h.PrevHash, s.headerHash)
	case h.Epoch != s.meta.Epoch:
		return fmt.Errorf("epoch: %d, want %d", h.Epoch, s.meta.Epoch)
	case h.AccountingNode != leader:
		return fmt.Errorf("accounting_node: %q, in view %d of epoch %d it is %q", h.AccountingNode, h.View, h.Epoch, leader)
	case h.TimeMs <= s.meta.TimeMs || h.TimeMs > MaxTimeMs:
		return fmt.Errorf("time_ms: %d, want more than %d", h.TimeMs, s.meta.TimeMs)
	}
	return nil
}

// checkAll checks many records: element i of either result is that of
// records[i]. Signatures not verified before are verified in one batch. Keys
// are those of the state below the block.
func (s *State) checkAll(records [][]byte, opts []Option) ([]*Checked, []*Refusal) {
	o := optionsOf(opts)
	checked, refusals := make([]*Checked, len(records)), make([]*Refusal, len(records))
	var unverified [][]byte
	var at []int
	for i, sealed := range records {
		checked[i], refusals[i] = s.decodeRecord(sealed)
		if refusals[i] == nil && recoveryKey(checked[i].Record) != nil {
			refusals[i] = s.checkSignature(checked[i]) // rare, and by a key of its own
			continue
		}
		if refusals[i] == nil && (o.verified == nil || !o.verified(checked[i].ID)) {
			unverified, at = append(unverified, sealed), append(at, i)
		}
	}
	for n, opened := range seal.OpenBatch(unverified, seal.DomainRecord, s.chain, s.key) {
		if opened.Err != nil {
			i := at[n]
			refusals[i] = s.badSignature(checked[i])
		}
	}
	return checked, refusals
}

// finish ends the execution: the epoch, the roots, and the effect on the tree.
func (s *State) finish(x *execution, st *Staged, sealed [][]byte) error {
	h := st.header
	x.meta.Height, x.meta.TimeMs = h.Height, h.TimeMs
	if x.endsEpoch || h.Height+1-x.meta.EpochFirst >= s.genesis.Params.EpochBlocks {
		st.endsEpoch = true
		s.endEpoch(x, st)
	} else if st.roster = s.roster; x.seated() {
		var err error
		if st.roster, err = s.rosterOf(x.get, x.admittedIDs()); err != nil {
			return err
		}
	}
	st.reseats = x.newKeys || x.seated()
	st.newKeys = st.reseats || x.newMember
	x.put(keyMeta, &x.meta)
	if x.err != nil {
		return x.err
	}
	var err error
	h.RecordCount = uint32(len(sealed)) // bounded by max_records_per_block
	if h.RecordsRoot, err = merkleRoot(sealed); err != nil {
		return err
	}
	outcomes := make([][]byte, len(st.outcomes))
	for i, o := range st.outcomes {
		if outcomes[i], err = marshal(o); err != nil {
			return err
		}
	}
	if h.OutcomesRoot, err = merkleRoot(outcomes); err != nil {
		return err
	}
	st.meta, st.notices, st.steps = x.meta, x.notices, x.steps
	st.moves = x.moves
	st.changes = x.changes()
	if err := s.conserves(&x.meta, st.changes); err != nil {
		return err
	}
	st.update = s.tree.stage(st.changes)
	h.StateRoot = st.update.root[:]
	return nil
}

// endEpoch makes members and order of the next epoch.
func (s *State) endEpoch(x *execution, st *Staged) {
	h := st.header
	st.roster = x.nextMembers()
	sequence := x.nextSequence(st.roster)
	nextOrder(&x.meta, h.View, sequence, st.roster, x.guilty(st.roster.all))
	x.meta.Epoch++
	x.meta.EpochFirst = h.Height + 1
	x.nextSpan()
	if next := st.roster.members; !next.Same(s.roster.members) {
		hash := next.Hash()
		h.NextMembers = hash[:]
		x.putBytes(turnKey(h.Height), encodeMembers(next))
	}
}
