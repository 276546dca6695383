package ledger_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

type statement = *fairwattpb.Statement

// twoVotes is evidence against a data aggregator: votes for two blocks of one place.
func (w *world) twoVotes(da string, epoch uint64) record {
	return ledgertest.Equivocation(da, w.VoteFor(da, epoch, 0, 1, 0, "a"), w.VoteFor(da, epoch, 0, 1, 0, "b"))
}

func (w *world) twoBlocks(da string, epoch uint64) record {
	return ledgertest.Equivocation(da, w.BlockOf(da, epoch, 0, 1, "a"), w.BlockOf(da, epoch, 0, 1, "b"))
}

// provesNothing is a row of evidence against da-3 that proves nothing.
func provesNothing(name string, first, second func(w *world) statement) marketRow {
	return marketRow{name, wire.CodeNoEquivocation, nil, "da-2", func(w *world) record {
		return ledgertest.Equivocation("da-3", first(w), second(w))
	}}
}

func vote(epoch, view, height, round uint64, block string) func(*world) statement {
	return func(w *world) statement { return w.VoteFor("da-3", epoch, view, height, round, block) }
}

func block(epoch, view, seq uint64, what string) func(*world) statement {
	return func(w *world) statement { return w.BlockOf("da-3", epoch, view, seq, what) }
}

func byAnother(w *world) statement { return w.VoteFor("da-4", 1, 0, 1, 0, "b") }

// onAnotherChain is da-3's vote where its key votes on another chain too.
func onAnotherChain(w *world) statement {
	return newWorld(w.t, func(g *ledger.Genesis) { g.Name = "other" }).VoteFor("da-3", 1, 0, 1, 0, "b")
}

// endEpochs lets epochs of one block go by until the present one is of a number.
func (w *world) endEpochs(until uint64) {
	for w.State.Epoch() < until {
		w.wait(1)
	}
}

func shortEpochs(w *world) {
	*w = *newWorld(w.t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 1 })
}

var equivocationRows = []marketRow{
	{"evidence against a stranger", wire.CodeMemberUnknown, nil, "da-2", func(w *world) record { return w.twoVotes("da-9", 1) }},
	{"evidence against a candidate", wire.CodeMemberUnknown, func(w *world) { w.must(mc, w.Admit("da-5")) }, "da-2", func(w *world) record { return w.twoVotes("da-5", 1) }},
	{"evidence of an epoch to come", wire.CodeEpochOver, nil, "da-2", func(w *world) record { return w.twoVotes("da-3", 2) }},
	{"evidence of 65 epochs ago", wire.CodeEpochOver, func(w *world) { shortEpochs(w); w.endEpochs(66) }, "da-2", func(w *world) record { return w.twoVotes("da-3", 1) }},
	{"evidence told before", wire.CodeEquivocationTold, func(w *world) { w.must("da-2", w.twoVotes("da-3", 1)) }, "da-4", func(w *world) record { return w.twoBlocks("da-3", 2) }},
	{"evidence by the key of before", wire.CodeNoEquivocation, nil, "da-2", func(w *world) record {
		r := w.twoVotes("da-3", 1)
		w.must("da-3", w.Rekey("da-3", "da-3-2"))
		w.must("da-4", rejoin(1))
		return r
	}},
	provesNothing("votes for one block", vote(1, 0, 1, 0, "a"), vote(1, 0, 1, 0, "a")),
	provesNothing("votes of two epochs", vote(1, 0, 1, 0, "a"), vote(0, 0, 1, 0, "b")),
	provesNothing("votes of two views", vote(1, 0, 1, 0, "a"), vote(1, 1, 1, 0, "b")),
	provesNothing("votes of two heights", vote(1, 0, 1, 0, "a"), vote(1, 0, 2, 0, "b")),
	provesNothing("votes of two rounds", vote(1, 0, 1, 2, "a"), vote(1, 0, 1, 3, "b")),
	provesNothing("blocks of two epochs", block(1, 0, 1, "a"), block(0, 0, 1, "b")),
	provesNothing("blocks of two views", block(1, 0, 1, "a"), block(1, 1, 1, "b")),
	provesNothing("blocks of two sequences", block(1, 0, 1, "a"), block(1, 0, 2, "b")),
	provesNothing("one block twice", block(1, 0, 1, "a"), block(1, 0, 1, "a")),
	provesNothing("a vote and a block", vote(1, 0, 1, 0, "a"), block(1, 0, 1, "b")),
	provesNothing("the first by another", byAnother, vote(1, 0, 1, 0, "a")),
	provesNothing("the second by another", vote(1, 0, 1, 0, "a"), byAnother),
	provesNothing("the second on another chain", vote(1, 0, 1, 0, "a"), onAnotherChain),
	provesNothing("a block by another", block(1, 0, 1, "a"), func(w *world) statement { return w.BlockOf("da-4", 1, 0, 1, "b") }),
	provesNothing("a block by another's key", block(1, 0, 1, "a"), func(w *world) statement {
		_, payload, err := seal.Peek(w.BlockOf("da-3", 1, 0, 1, "b").Proposal)
		if err != nil {
			w.t.Fatal(err)
		}
		sealed, err := seal.Seal(ledgertest.Key("da-4"), "da-3", seal.DomainRelay, w.State.ChainID(), payload)
		if err != nil {
			w.t.Fatal(err)
		}
		return &fairwattpb.Statement{Proposal: sealed}
	}),
	// The key is da-3's, and the seal speaks in another's name.
	provesNothing("a block in another's name", block(1, 0, 1, "a"), func(w *world) statement {
		_, payload, err := seal.Peek(w.BlockOf("da-3", 1, 0, 1, "b").Proposal)
		if err != nil {
			w.t.Fatal(err)
		}
		sealed, err := seal.Seal(ledgertest.Key("da-3"), "da-4", seal.DomainRelay, w.State.ChainID(), payload)
		if err != nil {
			w.t.Fatal(err)
		}
		return &fairwattpb.Statement{Proposal: sealed}
	}),
}

// Two signatures for one place take the trust of who gave them at once: it leads no
// longer, forwards to no one, and the chain has the record that it fell by.
func TestTwoStatementsForOnePlace(t *testing.T) {
	for name, evidence := range map[string]func(*world) record{
		"blocks, one of them in another form": func(w *world) record {
			hash := make([]byte, 32)
			long := append(canonicalOf(w.t, &fairwattpb.ProposalHeader{Epoch: 1, Seq: 1, MessageSha256: hash}), 0x10, 0, 0x50, 7)
			sealed, err := seal.Seal(ledgertest.Key("da-1"), "da-1", seal.DomainRelay, w.State.ChainID(), long)
			if err != nil {
				w.t.Fatal(err)
			}
			return ledgertest.Equivocation("da-1", w.BlockOf("da-1", 1, 0, 1, "a"), &fairwattpb.Statement{Proposal: sealed})
		},
		"votes":  func(w *world) record { return w.twoVotes("da-1", 1) },
		"blocks": func(w *world) record { return w.twoBlocks("da-1", 1) },
		"a vote that a view brought": func(w *world) record {
			return ledgertest.Equivocation("da-1", w.VoteFor("da-1", 1, 1, 1, 3, "a"), w.VoteFor("da-1", 1, 3, 1, 0, "b"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if first := w.State.Order()[0]; first != "da-1" || w.State.Guilty("da-1") {
				t.Fatalf("%s leads, guilty %v", first, w.State.Guilty("da-1"))
			}
			sealed := w.sealed("da-2", 1, evidence(w))
			if _, err := w.Advance(sealed); err != nil {
				t.Fatal(err)
			}
			id := seal.ID(sealed)
			why, _ := w.State.Why("da-1")
			if w.State.Epoch() != 2 || !w.State.Guilty("da-1") || why.TrustE4 != 0 || !why.Condemned || why.Place != 3 || why.GuiltyEpochs != 64 {
				t.Fatalf("epoch %d: %+v", w.State.Epoch(), why)
			}
			if s := why.Steps[0]; s.Cause != "equivocation" || s.Record != hex.EncodeToString(id[:]) || s.RecordHeight != 1 || s.Height != 1 || s.AfterE4 != 0 || s.Other != "" || s.Text == "" {
				t.Errorf("%+v", s)
			}
			_, children, err := w.State.FirstTree()
			if err != nil || len(children["da-1"]) > 0 {
				t.Errorf("it forwards to %v: %v", children["da-1"], err)
			}
			for _, id := range []string{"da-2", "da-3", "da-4"} {
				if other, _ := w.State.Why(id); other.TrustE4 != 8500 || w.State.Guilty(id) {
					t.Errorf("%s: %+v", id, other)
				}
			}
		})
	}
}

// The guilty one stands behind those that failed as accounting nodes, too.
func TestTheGuiltyStandLast(t *testing.T) {
	w := newWorld(t, nil)
	order := w.State.Order()
	guilty := order[2]
	fields := w.Fields()
	fields.View, fields.AccountingNode = 1, order[1]
	built, _, err := w.State.Build(fields, [][]byte{w.sealed("da-1", 1, w.twoVotes(guilty, 1))})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.State.Commit(built); err != nil {
		t.Fatal(err)
	}
	if now := w.State.Order(); now[2] != order[0] || now[3] != guilty {
		t.Errorf("order %v behind %v: %s failed, %s is guilty", now, order, order[0], guilty)
	}
}

// Evidence counts for 64 epochs.
func TestEvidenceGrowsOld(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 1 })
	w.endEpochs(65)
	w.must("da-2", w.twoVotes("da-3", 1))
}

// Guilt lasts for 64 epochs on which a quorum reports, each of which an epoch without
// reports does not shorten. Then trust is earned again, as a newcomer earns it, and what it does
// again is told anew.
func TestGuiltRunsOut(t *testing.T) {
	c := newCouncil(t, 4, nil)
	c.must("da-2", c.twoVotes("da-3", 1))
	c.end() // without a quorum of reports
	for left := 64; left > 0; left-- {
		if w := c.why("da-3"); w.TrustE4 != 0 || !w.Condemned || w.GuiltyEpochs != left || w.Place != 3 || w.ProbationTo != "" {
			t.Fatalf("%d left: %+v", left, w)
		}
		if err := c.State.Proves(c.twoBlocks("da-3", c.State.Epoch()).GetEquivocation()); code(err) != wire.CodeEquivocationTold {
			t.Errorf("%d left: %v", left, err)
		}
		if left == 1 {
			if got := c.send("da-2", c.twoBlocks("da-3", c.State.Epoch())); got != wire.CodeEquivocationTold {
				t.Errorf("evidence while it is guilty: %q", got)
			}
		}
		c.all()
		c.end()
	}
	w := c.why("da-3")
	if w.Condemned || w.GuiltyEpochs != 0 || w.TrustE4 == 0 || w.TrustE4 >= w.ThresholdE4 || w.Steps[0].Cause != "cleared" || w.ProbationTo == "" || c.State.Guilty("da-3") {
		t.Fatalf("paid for: %+v", w)
	}
	if got := c.send("da-2", c.twoBlocks("da-3", 1)); got != wire.CodeEpochOver {
		t.Errorf("what is paid for is told again: %q", got)
	}
	for epochs := 0; c.why("da-3").TrustE4 < w.ThresholdE4; epochs++ {
		if epochs == 40 {
			t.Fatalf("not trusted again: %+v", c.why("da-3"))
		}
		if to := c.why("da-3").ProbationTo; to != "" {
			c.forwards("da-3", to, 10, 0)
		}
		c.all()
		c.end()
	}
	c.must("da-2", c.twoVotes("da-3", c.State.Epoch()))
	if !c.State.Guilty("da-3") {
		t.Error("not guilty of what it did again")
	}
}

// An honest data aggregator signs one thing for a place. Of all pairs of what it signs
// none is evidence; of two things for one place each is.
func TestEvidenceIsTwoThingsForOnePlace(t *testing.T) {
	w := newWorld(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		one := func(label string) (s statement, place string, what string) {
			view, round := rapid.Uint64Range(0, 2).Draw(t, label+" view"), rapid.Uint64Range(0, 3).Draw(t, label+" round")
			at := rapid.Uint64Range(1, 2).Draw(t, label+" at")
			what = rapid.SampledFrom([]string{"a", "b"}).Draw(t, label+" block")
			if rapid.Bool().Draw(t, label+" leads") {
				return w.BlockOf("da-3", 1, view, at, what), fmt.Sprint("block ", view, at), what
			}
			// A block's id holds its view.
			return w.VoteFor("da-3", 1, view, at, round, what), fmt.Sprint("vote ", max(view, round), at), fmt.Sprint(what, view)
		}
		a, placeA, whatA := one("first")
		b, placeB, whatB := one("second")
		sealed := w.sealed("da-2", 1, ledgertest.Equivocation("da-3", a, b))
		st, _, err := w.State.Build(w.Fields(), [][]byte{sealed})
		if err != nil {
			t.Fatal(err)
		}
		want := placeA == placeB && whatA != whatB
		if err := w.State.Proves(ledgertest.Equivocation("da-3", a, b).GetEquivocation()); (err == nil) != want {
			t.Errorf("%s of %s and %s of %s: %v before the block", whatA, placeA, whatB, placeB, err)
		}
		if o := st.Outcomes()[0]; o.GetApplied() != want || !want && o.GetCode() != wire.CodeNoEquivocation || st.EndsEpoch() != want {
			t.Errorf("%s of %s and %s of %s: %v, ends the epoch %v", whatA, placeA, whatB, placeB, o, st.EndsEpoch())
		}
	})
}

// Statements have limits, each with the name of its field.
func TestStatementsHaveLimits(t *testing.T) {
	w := newWorld(t, nil)
	for _, field := range []string{"first", "second"} {
		path := func(of string) string { return "equivocation." + field + "." + of }
		w.allowed("equivocation", path("aux"), make([]byte, 1024))
		w.allowed("equivocation", path("aux"), []byte{1})
		for of, bad := range map[string][][]byte{
			"aux":           {{}, make([]byte, 1025)},
			"metadata_hash": {{}, make([]byte, 31), make([]byte, 33)},
			"signature":     {{}, make([]byte, 63), make([]byte, 65)},
			"header":        {{}, make([]byte, 1025), []byte("garbage")},
		} {
			for _, b := range bad {
				w.malformed("equivocation", path(of), field+"."+of, b)
			}
		}
		for _, b := range [][]byte{make([]byte, 513), make([]byte, 100), w.BlockOf("da-3", 1, 0, 1, "a").Proposal} {
			w.malformed("equivocation", path("proposal"), field+".proposal", b) // a vote stands beside it
		}
		for name, c := range map[string]struct {
			proposal []byte
			good     bool
		}{
			"a block": {w.BlockOf("da-3", 1, 0, 1, "a").Proposal, true}, "no seal": {[]byte("garbage"), false},
			"no header":    {sealedRelay(t, w, []byte("garbage")), false},
			"of 512 bytes": {padded(t, w, 512), true}, "of 513 bytes": {padded(t, w, 513), false},
		} {
			r := w.examples()["equivocation"]
			s := &fairwattpb.Statement{Proposal: c.proposal}
			if field == "first" {
				r.GetEquivocation().First = s
			} else {
				r.GetEquivocation().Second = s
			}
			if _, err := w.State.CheckRecord(sealRaw(t, w, r)); (err == nil) != c.good {
				t.Errorf("%s, %s: %v", field, name, err)
			}
		}
		r := w.examples()["equivocation"]
		if field == "first" {
			r.GetEquivocation().First = nil
		} else {
			r.GetEquivocation().Second = nil
		}
		if _, err := w.State.CheckRecord(sealRaw(t, w, r)); code(err) != wire.CodeMalformed {
			t.Errorf("no %s: %v", field, err)
		}
		if err := w.State.Proves(r.GetEquivocation()); err == nil {
			t.Errorf("no %s, and it proves something", field)
		}
	}
}

func sealedRelay(t *testing.T, w *world, payload []byte) []byte {
	sealed, err := seal.Seal(ledgertest.Key("da-3"), "da-3", seal.DomainRelay, w.State.ChainID(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// padded is a sealed header of so many bytes: its hash is longer than any.
func padded(t *testing.T, w *world, bytes int) []byte {
	of := func(n int) []byte {
		return sealedRelay(t, w, canonicalOf(t, &fairwattpb.ProposalHeader{Epoch: 1, Seq: 1, MessageSha256: make([]byte, n)}))
	}
	sealed := of(bytes - (len(of(200)) - 200))
	if len(sealed) != bytes {
		t.Fatalf("%d bytes, want %d", len(sealed), bytes)
	}
	return sealed
}

// A chain whose trust is that of its genesis knows no evidence, and only members bring it.
func TestWhoBringsEvidence(t *testing.T) {
	w := newWorld(t, nil)
	w.must(mc, w.Admit("da-5"))
	for sender, want := range map[string]string{"da-2": "<nil>", "da-3": "<nil>", "da-5": wire.CodeNotAllowed, seller: wire.CodeNotAllowed, mc: wire.CodeNotAllowed} {
		if _, err := w.State.CheckRecord(w.sealed(sender, 9, w.twoVotes("da-3", 1))); code(err) != want {
			t.Errorf("%s: %v, want %s", sender, err, want)
		}
	}
	fixed := newWorld(t, func(g *ledger.Genesis) { g.Params.Trust = ledger.TrustFixed })
	if _, err := fixed.State.CheckRecord(fixed.sealed("da-2", 1, fixed.twoVotes("da-3", 1))); code(err) != wire.CodeNotAllowed {
		t.Errorf("with the genesis' trust: %v", err)
	}
	if slices.Contains(w.State.Order(), "da-5") {
		t.Error("da-5 is a member")
	}
}
