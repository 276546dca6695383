package book

import (
	"errors"
	"fmt"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// A Book is what a member has said in an epoch. The zero value is that of a
// member that has said nothing. It has one owner at a time.
type Book struct {
	promised, entered uint64
	taken             *block // nil before the first
	floor             uint64 // the sequence above which the member resumed
	proof             proof  // of the view entered
	said              uint64
}

// block is the newest block taken, with the vote for it.
type block struct {
	under  uint64 // the agreement view it counts in; later than its own for one that a new view brought
	view   uint64
	seq    uint64
	digest string
	entry  []byte // the library's: a ProposedRecord
	signed *protos.Signature
	vote   []byte // the library's entry of the vote, once it is written down
}

// proof is the new view by which the member has entered a view, or taken over a
// block, and the sequence that came next. Others that missed it need it while that one is not decided.
type proof struct {
	view, seq uint64
	newView   []byte
}

// The refusals. Each names a promise that would be broken.
var (
	// ErrBelow: of an agreement view below one promised.
	ErrBelow = errors.New("below a view for which this DA has given view data")
	// ErrSecond: a second block, or a second vote, for one place.
	ErrSecond = errors.New("a second block for one place")
	// ErrPast: of a sequence that is decided.
	ErrPast = errors.New("of a sequence before the newest block taken")
	// ErrSilent: view data that does not tell of the vote given last.
	ErrSilent = errors.New("view data is silent about a vote given")
	// ErrStale: view data that tells of a block that the view entered has
	// overruled, or of a vote not given.
	ErrStale = errors.New("view data tells of a block that does not count any more")
)

// Promised is the view below which no block is taken and no vote given.
func (b *Book) Promised() uint64 { return b.promised }

// Entered is the newest view the member was in.
func (b *Book) Entered() uint64 { return b.entered }

// Seq is that of the newest block taken; where there is none, the one above which
// the member resumed, or 0.
func (b *Book) Seq() uint64 {
	if b.taken == nil {
		return b.floor
	}
	return b.taken.seq
}

// Said counts the entries ever written in the epoch. A book that others know to
// have said more is an old one.
func (b *Book) Said() uint64 { return b.said }

// at returns the block taken for a sequence, unless the view entered since then
// has overruled it.
func (b *Book) at(seq uint64) *block {
	if b.taken == nil || b.taken.seq != seq || b.taken.under < b.entered {
		return nil
	}
	return b.taken
}

// MayTake reports whether the member may take a block: prepare it.
func (b *Book) MayTake(view, seq uint64, digest string) error {
	switch {
	case seq == 0:
		return errors.New("block of sequence 0: they count from 1")
	case view < b.promised:
		return fmt.Errorf("block of view %d, sequence %d: %w (%d)", view, seq, ErrBelow, b.promised)
	case seq < b.Seq():
		return fmt.Errorf("block of view %d, sequence %d: %w (%d)", view, seq, ErrPast, b.Seq())
	case b.taken != nil && seq == b.taken.seq && view <= b.taken.under && digest != b.taken.digest:
		return fmt.Errorf("block %.8s of view %d, sequence %d, after %.8s: %w", digest, view, seq, b.taken.digest, ErrSecond)
	}
	return nil
}

// Taken returns the block taken in a view for a sequence, nil if there is none.
func (b *Book) Taken(view, seq uint64) (*protos.PrePrepare, error) {
	t := b.at(seq)
	if t == nil || t.view != view {
		return nil, nil
	}
	return t.prePrepare()
}

// Newest returns the newest block taken if it is of the sequence after last.
func (b *Book) Newest(last uint64) (*protos.PrePrepare, error) {
	t := b.at(last + 1)
	if t == nil {
		return nil, nil
	}
	return t.prePrepare()
}

// UnderWay reports whether the block after a decision was taken, and counts still.
func (b *Book) UnderWay(last uint64) bool { return b.at(last+1) != nil }

func (t *block) prePrepare() (*protos.PrePrepare, error) {
	m := &protos.SavedMessage{}
	if err := proto.Unmarshal(t.entry, m); err != nil {
		return nil, fmt.Errorf("read the block taken: %w", err)
	}
	return m.GetProposedRecord().GetPrePrepare(), nil
}

// Sign reports whether the member may vote for a block that it has taken in its
// view, and notes the vote. sign makes the signature. For a vote given before it
// returns that one again, so that there is one signature a place.
func (b *Book) Sign(view, seq uint64, digest string, sign func() *protos.Signature) (*protos.Signature, error) {
	t := b.at(seq)
	switch {
	case t == nil || t.under != view || t.view != view:
		return nil, fmt.Errorf("vote in view %d, sequence %d: no block was taken there", view, seq)
	case t.digest != digest:
		return nil, fmt.Errorf("vote for %.8s in view %d, sequence %d, after %.8s: %w", digest, view, seq, t.digest, ErrSecond)
	case t.signed != nil:
		return t.signed, nil
	case view < b.promised:
		return nil, fmt.Errorf("vote in view %d, sequence %d: %w (%d)", view, seq, ErrBelow, b.promised)
	}
	t.signed = sign()
	return t.signed, nil
}

// Promise reports whether the member may sign view data: it must tell of the
// vote given last, and of nothing older. From then on the member keeps out of
// all views below. entry is to be written down first, nil if nothing new is
// promised.
func (b *Book) Promise(vd *protos.ViewData) (entry []byte, err error) {
	last, err := sequence(vd.GetLastDecision())
	if err != nil {
		return nil, err
	}
	told, err := sequence(vd.GetInFlightProposal())
	if err != nil {
		return nil, err
	}
	if b.Seq() > last+1 {
		return nil, fmt.Errorf("last decision %d, sequence %d taken: %w", last, b.Seq(), ErrSilent)
	}
	t := b.at(last + 1)
	voted := t != nil && t.signed != nil
	if vd.GetInFlightProposal() == nil {
		if voted {
			return nil, fmt.Errorf("view %d: %w: sequence %d", vd.GetNextView(), ErrSilent, t.seq)
		}
	} else {
		digest := Digest(vd.GetInFlightProposal())
		switch same := t != nil && told == t.seq && digest == t.digest; {
		case voted && !(same && vd.GetInFlightPrepared()):
			return nil, fmt.Errorf("view %d: %w: sequence %d", vd.GetNextView(), ErrSilent, t.seq)
		case !same || vd.GetInFlightPrepared() && !voted:
			return nil, fmt.Errorf("view %d: %w: sequence %d", vd.GetNextView(), ErrStale, told)
		}
	}
	if vd.GetNextView() <= b.promised {
		return nil, nil
	}
	b.promised = vd.GetNextView()
	return promiseEntry(b.promised), nil
}

// Adopt reports whether the member may vote for a block that a new view brings
// along, and notes the vote: it counts as one of that view. sign makes the
// signature. entry is to be written down before the signature leaves, nil if
// that was done before.
func (b *Book) Adopt(under uint64, p *protos.Proposal, sign func() *protos.Signature) (vote *protos.Signature, entry []byte, err error) {
	md := &protos.ViewMetadata{}
	if err := proto.Unmarshal(p.GetMetadata(), md); err != nil {
		return nil, nil, fmt.Errorf("metadata of a block that view %d brings: %w", under, err)
	}
	digest, seq := Digest(p), md.GetLatestSequence()
	fail := func(err error) (*protos.Signature, []byte, error) {
		return nil, nil, fmt.Errorf("vote for sequence %d, which view %d brings: %w", seq, under, err)
	}
	switch t := b.taken; {
	case under < b.promised:
		return fail(ErrBelow)
	case under <= b.entered:
		return fail(errors.New("this DA is in that view already"))
	case seq == 0 || seq < b.Seq():
		return fail(ErrPast)
	case t != nil && seq == t.seq && t.under == under && t.digest != digest:
		return fail(ErrSecond)
	case t != nil && seq == t.seq && t.under == under && t.signed != nil:
		return t.signed, nil, nil
	}
	t := &block{under: under, view: md.GetViewId(), seq: seq, digest: digest, signed: sign()}
	if err := t.make(p); err != nil {
		return fail(err)
	}
	b.taken, b.promised = t, max(b.promised, under)
	return t.signed, t.adoptEntry(), nil
}

// Prove keeps the new view that lets members enter a view, whose next sequence is
// seq. It goes into the log with the entry of the view and of the first block there,
// or of the block that it brings along.
func (b *Book) Prove(view, seq uint64, newView []byte) {
	if view >= b.proof.view {
		b.proof = proof{view, seq, newView}
	}
}

// Proof is the new view of the newest view, nil if it is not known or a block has
// been decided since.
func (b *Book) Proof() []byte {
	if b.proof.view < b.entered || b.proof.seq < b.Seq() {
		return nil
	}
	return b.proof.newView
}

// Overrule takes note of a new view that the member has missed, of which seq came
// next; last is the newest decision here. What the member took for seq in an earlier
// view was never decided, unless it is the block that the new view brings along: of
// that digest, empty if it brings none. It returns what is to be written down, nil if
// there is nothing to gain.
//
// A new view without a block is entered. One with a block is not: who is in a view
// tells others that all before its place is decided. Nor is anything forgotten while a
// decision is missing here: this member may be the only one that tells of its vote.
func (b *Book) Overrule(view, seq, last uint64, digest string, newView []byte) (entry []byte, err error) {
	t := b.at(seq)
	switch {
	case seq != last+1 || seq < b.Seq() || view <= b.entered || t != nil && (t.under >= view || t.digest == digest):
		return nil, nil
	case t == nil && (digest != "" || view < b.promised):
		return nil, nil // nothing to forget, and no way in
	case digest != "":
		b.forget(view, seq)
		return appendNumber(appendNumber(nil, fieldForget, view), fieldAbove, seq), nil
	}
	entry, err = proto.Marshal(&protos.SavedMessage{Content: &protos.SavedMessage_NewView{
		NewView: &protos.ViewMetadata{ViewId: view, LatestSequence: last},
	}})
	if err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	b.enter(view)
	b.Prove(view, seq, newView)
	return b.Carry(entry), nil
}

// forget drops the block taken for a sequence.
func (b *Book) forget(view, seq uint64) {
	b.taken, b.floor, b.promised = nil, seq-1, max(b.promised, view)
}

// Content is what the library is to find in its log, given the newest decision
// that is stored. It makes the library know what the member has said and does
// not let it forget by what it wrote down later.
func (b *Book) Content(last, lastView uint64) ([][]byte, error) {
	if t := b.at(last + 1); t != nil {
		if t.vote == nil {
			return [][]byte{t.entry}, nil
		}
		return [][]byte{t.entry, t.vote}, nil
	}
	if b.entered <= lastView {
		return nil, nil
	}
	entry, err := proto.Marshal(&protos.SavedMessage{Content: &protos.SavedMessage_NewView{
		NewView: &protos.ViewMetadata{ViewId: b.entered, LatestSequence: last},
	}})
	if err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	return [][]byte{entry}, nil
}

// sequence is that of a proposal, 0 for none and for the one before the first.
func sequence(p *protos.Proposal) (uint64, error) {
	md := &protos.ViewMetadata{}
	if err := proto.Unmarshal(p.GetMetadata(), md); err != nil {
		return 0, fmt.Errorf("metadata in view data: %w", err)
	}
	return md.GetLatestSequence(), nil
}

// Digest is how votes name a block.
func Digest(p *protos.Proposal) string {
	return types.Proposal{
		Header: p.GetHeader(), Payload: p.GetPayload(), Metadata: p.GetMetadata(), VerificationSequence: int64(p.GetVerificationSequence()),
	}.Digest()
}

// Brought is a block that a view brought along, and that view: votes for it count if they
// were given there.
type Brought struct {
	View, Seq, Under uint64
	Digest           string
}

// Brought is the block taken last, if a view brought it along.
func (b *Book) Brought() (Brought, bool) {
	t := b.taken
	if t == nil || t.under == t.view {
		return Brought{}, false
	}
	return Brought{View: t.view, Seq: t.seq, Under: t.under, Digest: t.digest}, true
}

// Counts reports whether a vote for a block of a view and sequence counts that was given in
// a round (0: in the view itself).
func (br Brought) Counts(view, seq uint64, digest string, round uint64) bool {
	if view == br.View && seq == br.Seq && digest == br.Digest {
		return round == br.Under
	}
	return round == 0
}
