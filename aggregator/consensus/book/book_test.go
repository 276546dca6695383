package book

import (
	"errors"
	"fmt"
	"testing"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func marshal(t fataler, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// proposal is a block of a view for a sequence; name tells it from others.
func proposal(t fataler, view, seq uint64, name string) *protos.Proposal {
	return &protos.Proposal{
		Header: []byte(name), Payload: []byte("payload of " + name),
		Metadata: marshal(t, &protos.ViewMetadata{ViewId: view, LatestSequence: seq}),
	}
}

func blockEntry(t fataler, view, seq uint64, p *protos.Proposal) []byte {
	return marshal(t, &protos.SavedMessage{Content: &protos.SavedMessage_ProposedRecord{ProposedRecord: &protos.ProposedRecord{
		PrePrepare: &protos.PrePrepare{View: view, Seq: seq, Proposal: p},
		Prepare:    &protos.Prepare{View: view, Seq: seq, Digest: Digest(p)},
	}}})
}

func voteEntry(t fataler, view, seq uint64, digest string, s *protos.Signature) []byte {
	return marshal(t, &protos.SavedMessage{Content: &protos.SavedMessage_Commit{Commit: &protos.Message{
		Content: &protos.Message_Commit{Commit: &protos.Commit{View: view, Seq: seq, Digest: digest, Signature: s}},
	}}})
}

func newViewEntry(t fataler, view, last uint64) []byte {
	return marshal(t, &protos.SavedMessage{Content: &protos.SavedMessage_NewView{NewView: &protos.ViewMetadata{ViewId: view, LatestSequence: last}}})
}

// viewData is for a view; last is the newest decision's sequence, 0 for none.
func viewData(t fataler, next, last uint64, inFlight *protos.Proposal, prepared bool) *protos.ViewData {
	vd := &protos.ViewData{NextView: next, LastDecision: &protos.Proposal{}, InFlightProposal: inFlight, InFlightPrepared: prepared}
	if last > 0 {
		vd.LastDecision = proposal(t, 0, last, "decided")
	}
	return vd
}

// What a log means to its writer after a crash, and what the library is told.
func TestReadLog(t *testing.T) {
	signed := &protos.Signature{Signer: 1, Value: []byte("signature")}
	block := func(view, seq uint64) []byte { return blockEntry(t, view, seq, proposal(t, view, seq, "a")) }
	vote := func(view, seq uint64) []byte {
		return voteEntry(t, view, seq, Digest(proposal(t, view, seq, "a")), signed)
	}
	change := func(from uint64) []byte {
		return marshal(t, &protos.SavedMessage{Content: &protos.SavedMessage_ViewChange{ViewChange: &protos.ViewChange{NextView: from}}})
	}
	b := &Book{}
	_, brought, err := b.Adopt(3, proposal(t, 0, 5, "a"), func() *protos.Signature { return signed })
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name              string
		log               [][]byte
		last              uint64
		gets              string // what the library gets: block, vote, view
		newest            bool
		promised, entered uint64
		seq               uint64
	}{
		{"empty", nil, 0, "", false, 0, 0, 0},
		{"a block under way", [][]byte{block(0, 5)}, 4, "block", true, 0, 0, 5},
		{"a block that is stored", [][]byte{block(0, 5)}, 5, "", false, 0, 0, 5},
		{"a vote for a stored block", [][]byte{block(0, 5), vote(0, 5)}, 5, "", false, 0, 0, 5},
		{"a vote for a block under way", [][]byte{block(0, 5), vote(0, 5)}, 4, "block vote", true, 0, 0, 5},
		{"a block far ahead of what is stored", [][]byte{block(0, 5)}, 2, "", false, 0, 0, 5},
		{"a new view", [][]byte{block(0, 5), vote(0, 5), newViewEntry(t, 2, 5)}, 5, "view", false, 2, 2, 5},
		{"a new view that did not bring the block voted for", [][]byte{block(0, 5), vote(0, 5), newViewEntry(t, 2, 4)}, 4, "view", false, 2, 2, 5},
		{"a block of a later view", [][]byte{block(3, 6)}, 5, "block", true, 3, 3, 6},
		{"a promise behind a vote", [][]byte{block(0, 5), vote(0, 5), promiseEntry(1)}, 4, "block vote", true, 1, 0, 5},
		{"a view change of an earlier version behind a vote", [][]byte{block(0, 5), vote(0, 5), change(0)}, 4, "block vote", true, 1, 0, 5},
		{"a vote behind a view change", [][]byte{block(0, 5), change(0), vote(0, 5)}, 4, "block vote", true, 1, 0, 5},
		{"a block that a new view brought", [][]byte{promiseEntry(3), brought}, 4, "block vote", true, 3, 0, 5},
		{"a block that a new view brought, and the view", [][]byte{brought, newViewEntry(t, 3, 5)}, 5, "view", false, 3, 3, 5},
		{"the block taken once more behind its vote", [][]byte{block(0, 5), vote(0, 5), block(0, 5)}, 4, "block vote", true, 0, 0, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := Read(tc.log)
			if err != nil {
				t.Fatal(err)
			}
			content, err := b.Content(tc.last, 0)
			if err != nil {
				t.Fatal(err)
			}
			pp, err := b.Newest(tc.last)
			if err != nil {
				t.Fatal(err)
			}
			if got := kinds(t, content); got != tc.gets || b.Promised() != tc.promised || b.Entered() != tc.entered || b.Seq() != tc.seq || (pp != nil) != tc.newest {
				t.Errorf("library gets %q, promised %d, entered %d, sequence %d, newest %v", got, b.Promised(), b.Entered(), b.Seq(), pp != nil)
			}
		})
	}
	for _, bad := range [][]byte{{0xff}, {}, marshal(t, &protos.Prepare{})} {
		if _, err := Read([][]byte{bad}); err == nil {
			t.Errorf("entry %x was accepted", bad)
		}
	}
}

func kinds(t *testing.T, content [][]byte) string {
	out := ""
	for _, entry := range content {
		m := &protos.SavedMessage{}
		if err := proto.Unmarshal(entry, m); err != nil {
			t.Fatal(err)
		}
		switch m.GetContent().(type) {
		case *protos.SavedMessage_ProposedRecord:
			out += " block"
		case *protos.SavedMessage_Commit:
			out += " vote"
		case *protos.SavedMessage_NewView:
			out += " view"
		default:
			t.Errorf("the library gets %T", m.GetContent())
		}
	}
	if out == "" {
		return ""
	}
	return out[1:]
}

// Each promise, and the refusal to break it.
func TestRefusals(t *testing.T) {
	sign := func() *protos.Signature { return &protos.Signature{Value: []byte("s")} }
	a, other := proposal(t, 1, 5, "a"), proposal(t, 1, 5, "other")
	// Each case begins in view 1 with block a of sequence 5.
	for _, tc := range []struct {
		name string
		do   func(b *Book) error
		want error
	}{
		{"the same block again", func(b *Book) error { return b.MayTake(1, 5, Digest(a)) }, nil},
		{"another block", func(b *Book) error { return b.MayTake(1, 5, Digest(other)) }, ErrSecond},
		{"another block of a later view", func(b *Book) error { return b.MayTake(2, 5, Digest(other)) }, nil},
		{"a block of an earlier view", func(b *Book) error { return b.MayTake(0, 6, Digest(other)) }, ErrBelow},
		{"a block of an earlier sequence", func(b *Book) error { return b.MayTake(1, 4, Digest(other)) }, ErrPast},
		{"a vote", func(b *Book) error { _, err := b.Sign(1, 5, Digest(a), sign); return err }, nil},
		{"a vote for another block", func(b *Book) error { _, err := b.Sign(1, 5, Digest(other), sign); return err }, ErrSecond},
		{"a vote after a promise", func(b *Book) error {
			if _, err := b.Promise(viewData(t, 2, 4, a, false)); err != nil {
				return fmt.Errorf("promise: %w", err)
			}
			_, err := b.Sign(1, 5, Digest(a), sign)
			return err
		}, ErrBelow},
		{"a block after a promise", func(b *Book) error {
			if _, err := b.Promise(viewData(t, 2, 4, a, false)); err != nil {
				return fmt.Errorf("promise: %w", err)
			}
			return b.MayTake(1, 6, Digest(other))
		}, ErrBelow},
		{"view data that says nothing after a vote", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			_, err := b.Promise(viewData(t, 2, 4, nil, false))
			return err
		}, ErrSilent},
		{"view data that says that the block was not prepared after a vote", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			_, err := b.Promise(viewData(t, 2, 4, a, false))
			return err
		}, ErrSilent},
		{"view data that tells of another block after a vote", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			_, err := b.Promise(viewData(t, 2, 4, other, true))
			return err
		}, ErrSilent},
		{"view data of an older decision", func(b *Book) error {
			_, err := b.Promise(viewData(t, 2, 3, nil, false))
			return err
		}, ErrSilent},
		{"view data that tells of the vote", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			_, err := b.Promise(viewData(t, 2, 4, a, true))
			return err
		}, nil},
		{"view data that claims a vote not given", func(b *Book) error {
			_, err := b.Promise(viewData(t, 2, 4, a, true))
			return err
		}, ErrStale},
		{"view data after the block was decided", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			_, err := b.Promise(viewData(t, 2, 5, nil, false))
			return err
		}, nil},
		{"view data that tells of a block that the view overruled", func(b *Book) error {
			_, _ = b.Sign(1, 5, Digest(a), sign)
			b.enter(2)
			_, err := b.Promise(viewData(t, 3, 4, a, true))
			return err
		}, ErrStale},
		{"a second block that one new view brought", func(b *Book) error {
			if _, _, err := b.Adopt(2, a, sign); err != nil {
				return fmt.Errorf("first: %w", err)
			}
			_, _, err := b.Adopt(2, other, sign)
			return err
		}, ErrSecond},
		{"a block in a view after one that the view brought", func(b *Book) error {
			if _, _, err := b.Adopt(2, a, sign); err != nil {
				return fmt.Errorf("first: %w", err)
			}
			return b.MayTake(2, 5, Digest(other))
		}, ErrSecond},
		{"a block that a view below a promise brought", func(b *Book) error {
			_, _ = b.Promise(viewData(t, 3, 4, a, false))
			_, _, err := b.Adopt(2, a, sign)
			return err
		}, ErrBelow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := Read([][]byte{blockEntry(t, 1, 5, a)})
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.do(b); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	b := &Book{}
	b.enter(2)
	if _, _, err := b.Adopt(2, a, sign); err == nil {
		t.Error("a new view for the view that it is in was obeyed")
	}
	if err := b.MayTake(2, 0, Digest(a)); err == nil {
		t.Error("a block of sequence 0 was taken")
	}
	if _, err := b.Note(voteEntry(t, 2, 5, Digest(a), sign())); err == nil {
		t.Error("a vote that was not signed was noted")
	}
}

// Each round of a change of view has a vote of its own: votes of several rounds decide
// nothing together.
func TestABlockBroughtAgainIsSignedAgain(t *testing.T) {
	a := proposal(t, 1, 5, "a")
	b, err := Read([][]byte{blockEntry(t, 1, 5, a)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Brought(); ok {
		t.Error("a block of the view itself was brought along")
	}
	signed := 0
	sign := func() *protos.Signature { signed++; return &protos.Signature{Value: []byte{byte(signed)}} }
	if _, err := b.Sign(1, 5, Digest(a), sign); err != nil {
		t.Fatal(err)
	}
	for round := uint64(2); round < 4; round++ {
		for range 2 { // asked twice in one round, it says the same
			vote, entry, err := b.Adopt(round, a, sign)
			if err != nil || len(vote.GetValue()) != 1 || uint64(vote.GetValue()[0]) != round {
				t.Fatalf("round %d: vote %v, %v", round, vote, err)
			}
			if entry == nil {
				continue
			}
			kept, err := Read([][]byte{entry})
			if err != nil {
				t.Fatal(err)
			}
			if br, ok := kept.Brought(); !ok || br != (Brought{View: 1, Seq: 5, Under: round, Digest: Digest(a)}) {
				t.Errorf("round %d, after a restart: %+v, %v", round, br, ok)
			}
		}
		br, ok := b.Brought()
		if !ok || br != (Brought{View: 1, Seq: 5, Under: round, Digest: Digest(a)}) {
			t.Fatalf("round %d: %+v, %v", round, br, ok)
		}
		for _, c := range []struct {
			view, seq, round uint64
			digest           string
			want             bool
		}{
			{1, 5, round, Digest(a), true}, {1, 5, round - 1, Digest(a), false}, {1, 5, round + 1, Digest(a), false}, {1, 5, 0, Digest(a), false},
			{2, 5, 0, Digest(a), true}, {1, 6, 0, Digest(a), true}, {1, 5, 0, "another", true},
			{2, 5, round, Digest(a), false}, {1, 6, round, Digest(a), false}, {1, 5, round, "another", false},
		} {
			if got := br.Counts(c.view, c.seq, c.digest, c.round); got != c.want {
				t.Errorf("round %d: a vote of round %d for view %d, sequence %d, %.8s counts: %v", round, c.round, c.view, c.seq, c.digest, got)
			}
		}
	}
}

// A model remembers every statement ever made, over crashes. Whatever the
// library asks for, in whatever order, the statements never contradict.
func TestBookAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{book: &Book{}, votes: make(map[[2]uint64]string)}
		t.Repeat(map[string]func(*rapid.T){
			"take":    w.take,
			"vote":    w.vote,
			"promise": w.promise,
			"adopt":   w.adopt,
			"enter":   w.enter,
			"decide":  w.decide,
			"crash":   w.crash,
			"":        w.check,
		})
	})
}

// world is a member, its log, and what it has ever stated.
type world struct {
	book *Book
	log  [][]byte
	last uint64 // decided

	promised uint64
	votes    map[[2]uint64]string // by view it counts in and sequence
	newest   struct {             // vote of the newest sequence
		under, seq uint64
		digest     string
	}
}

func (w *world) write(entry []byte, kind Kind) {
	switch kind {
	case Fresh:
		w.log = [][]byte{entry}
	case More:
		w.log = append(w.log, entry)
	}
}

// some is a view and a block of it, often the one taken.
func (w *world) some(t *rapid.T) (view uint64, p *protos.Proposal) {
	if have, err := w.book.Newest(w.last); err != nil {
		t.Fatal(err)
	} else if have != nil && rapid.Bool().Draw(t, "the one taken") {
		return have.GetView(), have.GetProposal()
	}
	view = rapid.Uint64Range(0, 5).Draw(t, "view")
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")
	return view, proposal(t, view, w.last+1, name)
}

func (w *world) take(t *rapid.T) {
	view, p := w.some(t)
	entry := blockEntry(t, view, w.last+1, p)
	may := w.book.MayTake(view, w.last+1, Digest(p))
	kind, err := w.book.Note(entry)
	if (may == nil) != (err == nil) {
		t.Fatalf("may take: %v, noted: %v", may, err)
	}
	if err != nil {
		return
	}
	if view < w.promised {
		t.Fatalf("took a block of view %d after view data for %d", view, w.promised)
	}
	w.write(entry, kind)
}

// give books a vote with the model.
func (w *world) give(t *rapid.T, under, seq uint64, digest string) {
	if under < w.promised {
		t.Fatalf("vote in view %d after view data for %d", under, w.promised)
	}
	at := [2]uint64{under, seq}
	if had, ok := w.votes[at]; ok && had != digest {
		t.Fatalf("two votes for sequence %d in view %d", seq, under)
	}
	w.votes[at] = digest
	w.newest.under, w.newest.seq, w.newest.digest = under, seq, digest
}

func (w *world) vote(t *rapid.T) {
	view, p := w.some(t)
	fresh := false
	s, err := w.book.Sign(view, w.last+1, Digest(p), func() *protos.Signature {
		fresh = true
		return &protos.Signature{Value: fmt.Append(nil, len(w.votes))}
	})
	if err != nil {
		return
	}
	if fresh {
		if _, had := w.votes[[2]uint64{view, w.last + 1}]; had {
			t.Fatalf("two signatures for sequence %d in view %d", w.last+1, view)
		}
		w.give(t, view, w.last+1, Digest(p))
	}
	// A crash here loses a signature that has not left. One that the book gave once more
	// had left before.
	if rapid.Bool().Draw(t, "crash") {
		if fresh {
			delete(w.votes, [2]uint64{view, w.last + 1})
			if w.newest.seq == w.last+1 && w.newest.under == view {
				w.newest.seq = 0
			}
		}
		w.crash(t)
		return
	}
	entry := voteEntry(t, view, w.last+1, Digest(p), s)
	kind, err := w.book.Note(entry)
	if err != nil {
		t.Fatalf("a vote that was signed: %v", err)
	}
	w.write(entry, kind)
}

func (w *world) promise(t *rapid.T) {
	next := rapid.Uint64Range(1, 6).Draw(t, "next")
	var inFlight *protos.Proposal
	if rapid.Bool().Draw(t, "in flight") {
		_, inFlight = w.some(t)
	}
	prepared := inFlight != nil && rapid.Bool().Draw(t, "prepared")
	entry, err := w.book.Promise(viewData(t, next, w.last, inFlight, prepared))
	if err != nil {
		return
	}
	if entry != nil {
		w.write(entry, More)
	}
	if w.newest.seq == w.last+1 && w.newest.under >= w.book.Entered() {
		if inFlight == nil || Digest(inFlight) != w.newest.digest || !prepared {
			t.Fatalf("view data for %d does not tell of the vote for sequence %d in view %d", next, w.newest.seq, w.newest.under)
		}
	}
	w.promised = max(w.promised, next)
}

func (w *world) adopt(t *rapid.T) {
	_, p := w.some(t)
	under := rapid.Uint64Range(0, 6).Draw(t, "under")
	vote, entry, err := w.book.Adopt(under, p, func() *protos.Signature { return &protos.Signature{Value: []byte("s")} })
	if err != nil {
		return
	}
	if vote == nil {
		t.Fatal("no vote and no refusal")
	}
	w.give(t, under, w.last+1, Digest(p))
	w.promised = max(w.promised, under)
	if entry != nil {
		w.write(entry, More)
	}
}

// enter is a new view that brings no block, or a state that others told of.
func (w *world) enter(t *rapid.T) {
	entry := newViewEntry(t, rapid.Uint64Range(0, 6).Draw(t, "view"), w.last)
	kind, err := w.book.Note(entry)
	if err != nil {
		t.Fatal(err)
	}
	w.write(entry, kind)
	w.promised = max(w.promised, w.book.Entered())
}

func (w *world) decide(*rapid.T) { w.last++ }

func (w *world) crash(t *rapid.T) {
	b, err := Read(w.log)
	if err != nil {
		t.Fatal(err)
	}
	w.book = b
}

func (w *world) check(t *rapid.T) {
	if w.book.Promised() < w.promised {
		t.Fatalf("promised %d, said to have promised %d", w.promised, w.book.Promised())
	}
	content, err := w.book.Content(w.last, 0)
	if err != nil {
		t.Fatal(err)
	}
	if w.newest.seq != w.last+1 || w.newest.under < w.book.Entered() {
		return
	}
	if len(content) != 2 || field(content[0], savedProposed) == nil {
		t.Fatalf("the library would forget the vote of view %d", w.newest.under)
	}
	if _, err := w.book.Promise(viewData(t, 1, w.last, nil, false)); err == nil {
		t.Fatalf("view data may be silent about the vote of view %d", w.newest.under)
	}
}

// Each entry counts what was written before it, over restarts and where older ones
// have gone from the log. Entries of versions without the count count as well.
func TestSaid(t *testing.T) {
	b := &Book{}
	entry := b.Stamp(blockEntry(t, 0, 1, proposal(t, 0, 1, "a")))
	second := b.Stamp(promiseEntry(1))
	if b.Said() != 2 {
		t.Fatalf("said %d", b.Said())
	}
	for what, tc := range map[string]struct {
		log  [][]byte
		want uint64
	}{
		"none": {nil, 0}, "one": {[][]byte{entry}, 1}, "both": {[][]byte{entry, second}, 2}, "cut at its head": {[][]byte{second}, 2},
		"not counted": {[][]byte{promiseEntry(1), promiseEntry(2), promiseEntry(3)}, 3},
	} {
		got, err := Read(tc.log)
		if err != nil || got.Said() != tc.want {
			t.Errorf("%s: said %d, %v, want %d", what, got.Said(), err, tc.want)
		}
	}
}

// A member that resumes has said nothing in the views from there on, and says
// nothing below or of blocks that are decided. It counts on.
func TestResume(t *testing.T) {
	b := &Book{}
	p := proposal(t, 3, 7, "a")
	first := b.Stamp(blockEntry(t, 3, 7, p))
	if kind, err := b.Note(blockEntry(t, 3, 7, p)); err != nil || kind != Fresh {
		t.Fatal(kind, err)
	}
	second := b.Stamp(b.Resume(1<<34, 6, 1))
	read, err := Read([][]byte{first, second})
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string]*Book{"itself": b, "read": read} {
		if b.Promised() != 1<<34 || b.Entered() != 1<<34 || b.Seq() != 6 || b.UnderWay(6) || b.Said() <= 1<<40 {
			t.Errorf("%s: promised %d, entered %d, sequence %d, said %d", what, b.Promised(), b.Entered(), b.Seq(), b.Said())
		}
		other := proposal(t, 1<<34, 7, "b")
		if err := b.MayTake(1<<34, 7, Digest(other)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := b.MayTake(3, 7, Digest(p)); !errors.Is(err, ErrBelow) {
			t.Errorf("%s: its old block: %v", what, err)
		}
		if err := b.MayTake(1<<34, 5, Digest(other)); !errors.Is(err, ErrPast) {
			t.Errorf("%s: a decided place: %v", what, err)
		}
		if content, err := b.Content(6, 3); err != nil || kinds(t, content) == "" {
			t.Errorf("%s: the library is told nothing of the view: %v", what, err)
		}
		if again := b.Resume(2<<34, 6, 2); b.Said() < 2<<40 || len(again) == 0 {
			t.Errorf("%s: said %d after round 2", what, b.Said())
		}
	}
}

// What a missed new view says of a block taken: it is forgotten where the view brings
// another or none, and never while a decision is missing or for the block it brings.
func TestOverrule(t *testing.T) {
	block := proposal(t, 1, 7, "mine")
	for name, tc := range map[string]struct {
		view, seq, last uint64
		brings          string
		promised        uint64
		forgets, enters bool
	}{
		"none brought":        {view: 3, seq: 7, last: 6, forgets: true, enters: true},
		"another brought":     {view: 3, seq: 7, last: 6, brings: "other", forgets: true},
		"this one brought":    {view: 3, seq: 7, last: 6, brings: Digest(block)},
		"a promise above":     {view: 3, seq: 7, last: 6, promised: 9, forgets: true, enters: true},
		"of its own view":     {view: 1, seq: 7, last: 6},
		"a decision missing":  {view: 3, seq: 8, last: 6},
		"of a decided place":  {view: 3, seq: 6, last: 6},
		"of what is decided":  {view: 3, seq: 8, last: 7, enters: true},
		"another of the next": {view: 3, seq: 8, last: 7, brings: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &Book{}
			log := [][]byte{b.Stamp(blockEntry(t, 1, 7, block))}
			if _, err := b.Note(blockEntry(t, 1, 7, block)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Sign(1, 7, Digest(block), func() *protos.Signature { return &protos.Signature{Signer: 1} }); err != nil {
				t.Fatal(err)
			}
			if tc.promised > 0 {
				b.promised = tc.promised
				log = append(log, b.Stamp(promiseEntry(tc.promised)))
			}
			entry, err := b.Overrule(tc.view, tc.seq, tc.last, tc.brings, []byte("signed by a quorum"))
			if err != nil || (entry != nil) != (tc.forgets || tc.enters) {
				t.Fatalf("%d bytes, %v", len(entry), err)
			}
			books := map[string]*Book{"itself": b}
			if entry != nil {
				if books["read"], err = Read(append(log, b.Stamp(entry))); err != nil {
					t.Fatal(err)
				}
			}
			for what, b := range books {
				if b.UnderWay(6) == tc.forgets && tc.last == 6 {
					t.Errorf("%s: the block counts: %v", what, b.UnderWay(6))
				}
				if tc.last == 6 && b.Seq() < 6 {
					t.Errorf("%s: sequence %d", what, b.Seq())
				}
				if (b.Entered() == 3) != tc.enters || b.Promised() < max(tc.promised, b.Entered()) || tc.forgets && b.Promised() < tc.view {
					t.Errorf("%s: entered %d, promised %d", what, b.Entered(), b.Promised())
				}
				if (b.Proof() != nil) != tc.enters {
					t.Errorf("%s: hands on %q", what, b.Proof())
				}
			}
		})
	}
}
