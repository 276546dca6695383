package book

import (
	"errors"
	"fmt"
	"slices"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The library's entries are SavedMessages. Entries of the book have fields that
// a SavedMessage has not, so neither can be taken for the other.
const (
	fieldPromise = 1001 // varint: the view promised
	fieldUnder   = 1002 // varint: the view that brought a block along
	fieldBlock   = 1003 // bytes: a SavedMessage with its ProposedRecord
	fieldVote    = 1004 // bytes: a SavedMessage with the vote for it
	fieldResumed = 1005 // varint: the view in which the member resumed
	fieldSaid    = 1006 // varint, at the end of every entry: how many were written
	fieldProof   = 1008 // bytes: behind the entry of a view or block, the new view of Prove
	fieldProofAt = 1009 // varint: the sequence that came next
	fieldForget  = 1010 // varint: the view by which the block of a sequence was overruled
	fieldAbove   = 1007 // varint: the sequence above which the member resumed, or that was overruled

	// Of a SavedMessage, and of its ProposedRecord.
	savedProposed    = 1
	proposedPrepare  = 2
	maxEntriesToRead = 1 << 20
)

// A Kind says what an entry of the library means to the book.
type Kind uint8

// The kinds.
const (
	// Nothing: the book knows it already. It need not be written.
	Nothing Kind = iota
	// Fresh: a block of a new place. All before it may go from the log.
	Fresh
	// More: to be written after what is there.
	More
)

// Note takes in an entry that the library wants written down. An error means
// that the library is about to break a promise: nothing may be sent.
func (b *Book) Note(entry []byte) (Kind, error) {
	if proposed := field(entry, savedProposed); proposed != nil {
		return b.noteBlock(entry, proposed)
	}
	m := &protos.SavedMessage{}
	if err := proto.Unmarshal(entry, m); err != nil {
		return Nothing, fmt.Errorf("decode log entry: %w", err)
	}
	switch c := m.GetContent().(type) {
	case *protos.SavedMessage_Commit:
		return b.noteVote(entry, c.Commit.GetCommit())
	case *protos.SavedMessage_NewView:
		if c.NewView.GetViewId() <= b.entered {
			return Nothing, nil
		}
		b.enter(c.NewView.GetViewId())
		return More, nil
	case *protos.SavedMessage_ViewChange:
		return Nothing, nil // the promise is made with the view data
	}
	return Nothing, fmt.Errorf("unknown log entry of %d bytes", len(entry))
}

func (b *Book) enter(view uint64) {
	b.entered = max(b.entered, view)
	b.promised = max(b.promised, view)
}

// noteBlock reads of a ProposedRecord only its prepare, which names the block.
func (b *Book) noteBlock(entry, proposed []byte) (Kind, error) {
	p := &protos.Prepare{}
	if err := proto.Unmarshal(field(proposed, proposedPrepare), p); err != nil {
		return Nothing, fmt.Errorf("decode log entry: %w", err)
	}
	if err := b.MayTake(p.GetView(), p.GetSeq(), p.GetDigest()); err != nil {
		return Nothing, err
	}
	t := b.taken
	if t != nil && t.seq == p.GetSeq() && t.digest == p.GetDigest() && t.under >= p.GetView() {
		return Nothing, nil // taken again by a view begun anew
	}
	b.taken = &block{under: p.GetView(), view: p.GetView(), seq: p.GetSeq(), digest: p.GetDigest(), entry: entry}
	b.enter(p.GetView())
	return Fresh, nil
}

func (b *Book) noteVote(entry []byte, c *protos.Commit) (Kind, error) {
	t := b.at(c.GetSeq())
	switch {
	case t == nil || t.digest != c.GetDigest() || t.signed == nil:
		return Nothing, fmt.Errorf("vote for %.8s in view %d, sequence %d: it was not signed here", c.GetDigest(), c.GetView(), c.GetSeq())
	case t.vote != nil:
		return Nothing, nil
	}
	t.vote = entry
	return More, nil
}

// Stamp counts an entry that is about to be written, and puts the count behind it.
func (b *Book) Stamp(entry []byte) []byte {
	b.said++
	return appendNumber(slices.Clip(entry), fieldSaid, b.said)
}

// maxProof bounds the new view that goes into the log. With many members and large
// blocks it is large.
const maxProof = 8 << 20

// Carry puts the new view behind an entry that makes the log forget it: that of the
// view, or of the first block there.
func (b *Book) Carry(entry []byte) []byte {
	newView := b.Proof()
	if newView == nil || len(newView) > maxProof {
		return entry
	}
	entry = protowire.AppendBytes(protowire.AppendTag(slices.Clip(entry), fieldProof, protowire.BytesType), newView)
	return appendNumber(entry, fieldProofAt, b.proof.seq)
}

// Resume forgets what the member has said and begins again, in a view far above
// all others and above a sequence: what it said before can decide nothing any
// more. round is 1 for the first time in an epoch. The entry, stamped, is to be
// written down before anything else is said.
func (b *Book) Resume(view, seq, round uint64) (entry []byte) {
	*b = Book{promised: view, entered: view, floor: seq, said: max(b.said, round<<40)}
	return appendNumber(appendNumber(nil, fieldResumed, view), fieldAbove, seq)
}

// Read makes the book of a log. Entries are facts: they are not judged again.
func Read(entries [][]byte) (*Book, error) {
	if len(entries) > maxEntriesToRead {
		return nil, fmt.Errorf("read log: %d entries", len(entries))
	}
	b := &Book{}
	for k, entry := range entries {
		if err := b.read(entry); err != nil {
			return nil, fmt.Errorf("read log: entry %d of %d: %w", k, len(entries), err)
		}
	}
	return b, nil
}

func (b *Book) read(entry []byte) error {
	b.said++ // versions before the count wrote none
	if said, ok := find(entry, fieldSaid); ok {
		b.said = max(b.said, said)
	}
	if view, ok := number(entry, fieldResumed); ok {
		seq, _ := find(entry, fieldAbove)
		*b = Book{promised: view, entered: view, floor: seq, said: b.said}
		return nil
	}
	if view, ok := number(entry, fieldPromise); ok {
		b.promised = max(b.promised, view)
		return nil
	}
	if view, ok := number(entry, fieldForget); ok {
		seq, _ := find(entry, fieldAbove)
		b.forget(view, max(seq, 1))
		return nil
	}
	if under, ok := number(entry, fieldUnder); ok {
		return b.readAdopted(entry, under)
	}
	m := &protos.SavedMessage{}
	if err := proto.Unmarshal(entry, m); err != nil {
		return err
	}
	switch c := m.GetContent().(type) {
	case *protos.SavedMessage_ProposedRecord:
		p := c.ProposedRecord.GetPrepare()
		t := b.taken
		if t == nil || t.seq != p.GetSeq() || t.digest != p.GetDigest() || t.under < p.GetView() {
			b.taken = &block{under: p.GetView(), view: p.GetView(), seq: p.GetSeq(), digest: p.GetDigest(), entry: entry}
		}
		b.enter(p.GetView())
		b.readProof(entry, b.entered)
	case *protos.SavedMessage_Commit:
		v := c.Commit.GetCommit()
		// A vote behind a view change, too, is one for the block before it.
		if t := b.taken; t != nil && t.seq == v.GetSeq() && t.digest == v.GetDigest() && t.vote == nil {
			t.vote, t.signed = entry, v.GetSignature()
		}
	case *protos.SavedMessage_NewView:
		b.enter(c.NewView.GetViewId())
		b.readProof(entry, b.entered)
	case *protos.SavedMessage_ViewChange:
		// Versions before the book wrote the view that was given up.
		b.promised = max(b.promised, c.ViewChange.GetNextView()+1)
	default:
		return errors.New("it is of no known kind")
	}
	return nil
}

func (b *Book) readProof(entry []byte, view uint64) {
	if newView := field(entry, fieldProof); newView != nil {
		seq, _ := find(entry, fieldProofAt)
		b.proof = proof{view, seq, newView}
	}
}

func (b *Book) readAdopted(entry []byte, under uint64) error {
	t := &block{under: under, entry: field(entry, fieldBlock), vote: field(entry, fieldVote)}
	proposed, voted := &protos.SavedMessage{}, &protos.SavedMessage{}
	if err := errors.Join(proto.Unmarshal(t.entry, proposed), proto.Unmarshal(t.vote, voted)); err != nil {
		return err
	}
	p, c := proposed.GetProposedRecord().GetPrepare(), voted.GetCommit().GetCommit()
	if p == nil || c.GetSignature() == nil {
		return errors.New("a block brought along without a vote")
	}
	t.view, t.seq, t.digest, t.signed = p.GetView(), p.GetSeq(), p.GetDigest(), c.GetSignature()
	b.taken, b.promised = t, max(b.promised, under)
	b.readProof(entry, under)
	return nil
}

// make gives a block that a new view brought the entries it would have if it
// had been taken and voted for in its own view.
func (t *block) make(p *protos.Proposal) error {
	entry, err := proto.Marshal(&protos.SavedMessage{Content: &protos.SavedMessage_ProposedRecord{ProposedRecord: &protos.ProposedRecord{
		PrePrepare: &protos.PrePrepare{View: t.view, Seq: t.seq, Proposal: p},
		Prepare:    &protos.Prepare{View: t.view, Seq: t.seq, Digest: t.digest},
	}}})
	if err != nil {
		return fmt.Errorf("encode block: %w", err)
	}
	vote, err := proto.Marshal(&protos.SavedMessage{Content: &protos.SavedMessage_Commit{Commit: &protos.Message{
		Content: &protos.Message_Commit{Commit: &protos.Commit{View: t.view, Seq: t.seq, Digest: t.digest, Signature: t.signed}},
	}}})
	if err != nil {
		return fmt.Errorf("encode vote: %w", err)
	}
	t.entry, t.vote = entry, vote
	return nil
}

func (t *block) adoptEntry() []byte {
	raw := appendNumber(nil, fieldUnder, t.under)
	raw = protowire.AppendBytes(protowire.AppendTag(raw, fieldBlock, protowire.BytesType), t.entry)
	return protowire.AppendBytes(protowire.AppendTag(raw, fieldVote, protowire.BytesType), t.vote)
}

func promiseEntry(view uint64) []byte { return appendNumber(nil, fieldPromise, view) }

func appendNumber(raw []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(raw, field, protowire.VarintType), v)
}

// field finds a field of bytes, without a copy; nil if it is not there.
func field(raw []byte, want protowire.Number) (found []byte) {
	walk(raw, func(num protowire.Number, kind protowire.Type, value []byte) bool {
		if num == want && kind == protowire.BytesType {
			found, _ = protowire.ConsumeBytes(value)
		}
		return found == nil
	})
	return found
}

// find finds a field of a varint.
func find(raw []byte, want protowire.Number) (v uint64, found bool) {
	walk(raw, func(num protowire.Number, kind protowire.Type, value []byte) bool {
		if num == want && kind == protowire.VarintType {
			v, _ = protowire.ConsumeVarint(value)
			found = true
		}
		return !found
	})
	return v, found
}

// walk shows the fields of a message, each with what follows its tag, until visit
// has enough or they end.
func walk(raw []byte, visit func(protowire.Number, protowire.Type, []byte) bool) {
	for len(raw) > 0 {
		num, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(num, kind, raw); n < 0 || !visit(num, kind, raw[:n]) {
			return
		}
		raw = raw[n:]
	}
}

// number is the first field of an entry, if it is this one.
func number(raw []byte, want protowire.Number) (uint64, bool) {
	num, kind, n := protowire.ConsumeTag(raw)
	if n < 0 || num != want || kind != protowire.VarintType {
		return 0, false
	}
	value, n := protowire.ConsumeVarint(raw[n:])
	return value, n >= 0
}
