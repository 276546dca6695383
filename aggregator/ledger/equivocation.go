package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// What two signatures prove needs no second accuser: trust is nothing at once, for
// guiltyEpochs epochs on which a quorum reports, and is earned again behind them as a
// newcomer earns it. Nobody can shorten that, a centre neither: the others do the work
// meanwhile, and a word that brings a liar back sooner would be one more thing to steal.
const (
	guiltyEpochs = 64
	// evidenceEpochs is how many epochs ago a statement may be of: fewer than it takes to
	// pay, so that nothing is paid for twice.
	evidenceEpochs = guiltyEpochs
	maxAuxBytes    = 1 << 10
	maxSealedBytes = 512 // of a ProposalHeader; consensus takes no longer one
)

// guilt is what a data aggregator was found out for.
type guilt struct {
	Epoch, Height uint64 // in which it was told
	ID            string // of the record, 32 bytes
	Left          uint32 // epochs in which its trust is nothing
	At            stand
}

func (g *guilt) fields(c codec) {
	c.u64("epoch", &g.Epoch)
	c.u64("height", &g.Height)
	c.str("record", &g.ID)
	c.u32("left", &g.Left)
	c.flag("of_block", &g.At.block)
	c.u64("at_epoch", &g.At.epoch)
	c.u64("at_view", &g.At.view)
	c.u64("at", &g.At.at)
}

// A stand is what a data aggregator may sign one thing for.
type stand struct {
	block           bool // a leader's block; else a vote
	epoch, view, at uint64
}

func (s stand) String() string {
	if s.block {
		return fmt.Sprintf("a block of epoch %d, view %d, sequence %d", s.epoch, s.view, s.at)
	}
	return fmt.Sprintf("a vote of epoch %d, view %d, height %d", s.epoch, s.view, s.at)
}

// claim is what a statement says.
type claim struct {
	stand
	what    [32]byte // names the block
	payload []byte   // what a vote's signature is over
}

// readStatement decodes a statement and checks no signature. A vote without auxiliary
// data does not tell its round, so it has no place.
func readStatement(s *fairwattpb.Statement) (claim, error) {
	var c claim
	if len(s.GetProposal()) > 0 {
		_, payload, err := seal.Peek(s.Proposal)
		if err != nil {
			return c, fmt.Errorf("proposal: %w", err)
		}
		h := &fairwattpb.ProposalHeader{}
		// In whatever form: its signer has chosen it, and the others have read it.
		if err := proto.Unmarshal(payload, h); err != nil {
			return c, fmt.Errorf("proposal: %w", err)
		}
		c.stand, c.what = stand{true, h.Epoch, h.View, h.Seq}, sha256.Sum256(h.MessageSha256)
		return c, nil
	}
	h, hash, err := DecodeHeader(s.GetHeader())
	if err != nil {
		return c, fmt.Errorf("header: %w", err)
	}
	c.stand, c.what = stand{false, h.Epoch, max(h.View, wire.VoteRound(s.Aux)), h.Height}, hash
	c.payload = wire.VotePayloadOf(hash, [32]byte(s.MetadataHash), s.Aux)
	return c, nil
}

// signed reports whether a statement has the signature of a data aggregator.
func (c *claim) signed(s *fairwattpb.Statement, chain [32]byte, da string, key ed25519.PublicKey) bool {
	if c.block {
		signer, _, err := seal.Open(s.Proposal, seal.DomainRelay, chain, func(string) (ed25519.PublicKey, bool) { return key, true })
		return err == nil && signer == da
	}
	return seal.Verify(key, seal.DomainVote, chain, da, c.payload, s.Signature)
}

// equivocation takes the trust of a data aggregator that has signed two things for one
// place, and ends the epoch, so that it leads no longer.
//
// Only the key of now proves anything. Who has stolen the key of before could sign with
// it whatever it likes, and another key is the cure for that.
func (x *execution) equivocation(e *fairwattpb.Equivocation) *Refusal {
	var before guilt
	x.get(keyGuilt+e.Da, &before)
	at, r := x.state.proven(e, x.meta.Epoch, &before)
	if r != nil {
		return r
	}
	x.put(keyGuilt+e.Da, &guilt{
		Epoch: x.meta.Epoch, Height: x.state.meta.Height + 1, ID: string(x.record.ID[:]), Left: guiltyEpochs, At: at,
	})
	x.endsEpoch = true
	return nil
}

// proven says for which place a data aggregator has signed two things, or why that is
// not shown.
func (s *State) proven(e *fairwattpb.Equivocation, epoch uint64, before *guilt) (stand, *Refusal) {
	r := s.roster
	if at, ok := r.places[e.Da]; !ok || !r.votes(at) {
		return stand{}, refuse(wire.CodeMemberUnknown, "da: %s is no member", brief.Quote(e.Da))
	}
	// The check has read both. Here an error could not be told: its text is no rule.
	first, _ := readStatement(e.First)
	second, _ := readStatement(e.Second)
	switch {
	case first.stand != second.stand:
		return stand{}, refuse(wire.CodeNoEquivocation, "of two places: %v, and %v", first.stand, second.stand)
	case first.what == second.what:
		return stand{}, refuse(wire.CodeNoEquivocation, "both say the same: %v", first.stand)
	case first.epoch > epoch || first.epoch+evidenceEpochs < epoch:
		return stand{}, refuse(wire.CodeEpochOver, "epoch: evidence of %d, the present one is %d", first.epoch, epoch)
	case before.Left > 0:
		return stand{}, refuse(wire.CodeEquivocationTold, "%q was found out in block %d", e.Da, before.Height)
	}
	key := r.signers[e.Da]
	if !first.signed(e.First, s.chain, e.Da, key) || !second.signed(e.Second, s.chain, e.Da, key) {
		return stand{}, refuse(wire.CodeNoEquivocation, "one of the two is not signed by %q's key", e.Da)
	}
	return first.stand, nil
}

// Proves returns nil if the next block may take a record with this evidence.
func (s *State) Proves(e *fairwattpb.Equivocation) error {
	l := &limits{}
	if l.equivocation(e); l.err != nil {
		return l.err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var before guilt
	s.read(keyGuilt+e.Da, &before)
	if _, r := s.proven(e, s.meta.Epoch, &before); r != nil {
		return r
	}
	return nil
}

// equivocation checks what can be seen on the record alone.
func (l *limits) equivocation(e *fairwattpb.Equivocation) {
	l.name("da", e.Da)
	l.statement("first", e.First)
	l.statement("second", e.Second)
}

func (l *limits) statement(field string, s *fairwattpb.Statement) {
	if len(s.GetProposal()) > 0 {
		l.check(len(s.Proposal) <= maxSealedBytes, field+".proposal", "at most 512 bytes")
		l.check(len(s.Header)+len(s.MetadataHash)+len(s.Aux)+len(s.Signature) == 0, field+".proposal", "nothing beside it")
		l.readable(field, s)
		return
	}
	l.check(len(s.GetHeader()) > 0 && len(s.GetHeader()) <= MaxHeaderBytes, field+".header", "a block's header, of 1024 bytes at most, or a proposal")
	l.check(len(s.GetMetadataHash()) == sha256.Size, field+".metadata_hash", "32 bytes")
	l.check(len(s.GetAux()) > 0 && len(s.GetAux()) <= maxAuxBytes, field+".aux", "1 to 1024 bytes")
	l.check(len(s.GetSignature()) == ed25519.SignatureSize, field+".signature", "64 bytes")
	l.readable(field, s)
}

func (l *limits) readable(field string, s *fairwattpb.Statement) {
	if l.err != nil {
		return
	}
	if _, err := readStatement(s); err != nil {
		l.err = fmt.Errorf("%s.%w", field, err)
	}
}

// guilty tells, by place, whose trust is nothing because of what it has signed.
func (x *execution) guilty(all []Aggregator) []bool {
	out := make([]bool, len(all))
	for i, da := range all {
		var g guilt
		out[i] = x.get(keyGuilt+da.ID, &g) && g.Left > 0
	}
	return out
}

// Guilty tells whether a data aggregator was found out for two statements for one place,
// and pays for it still: evidence against it is refused.
func (s *State) Guilty(da string) bool {
	var g guilt
	return s.lookup(keyGuilt+da, &g) && g.Left > 0
}
