package ledger_test

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// stamped is a record as its sender would sign it.
func (w *world) stamped(sender string, counter uint64, r record) record {
	chain := w.State.ChainID()
	r = proto.Clone(r).(record)
	r.ChainId, r.Sender, r.Counter, r.TimeMs = chain[:], sender, counter, w.NowMs
	return r
}

func threeCentres(g *ledger.Genesis) {
	for _, id := range []string{"mc-b", "mc-c"} {
		g.Centres = append(g.Centres, ledger.Centre{ID: id, PublicKey: ledgertest.PublicKey(id)})
	}
}

func withThree(then func(*world)) func(*world) {
	return func(w *world) {
		*w = *newWorld(w.t, threeCentres)
		if then != nil {
			then(w)
		}
	}
}

var memberRows = []marketRow{
	{"admit a seller's id", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.Admit(seller) }},
	{"admit a member", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.AdmitWith("da-2", "da-2-2") }},
	{"admit with another's proof", wire.CodeProofWrong, nil, mc, func(w *world) record {
		r := w.Admit("da-5")
		r.GetAdmit().Proof = w.Proof("da-6", "da-5")
		return r
	}},
	{"admit with an auditor's key", wire.CodeAlreadyRegistered, func(w *world) { *w = *newWorld(w.t, ledgertest.TwoKeys) }, mc,
		func(w *world) record { return w.AdmitWith("da-5", ledgertest.Auditor) }},
	{"admit with an arbiter's key", wire.CodeAlreadyRegistered, func(w *world) { *w = *newWorld(w.t, ledgertest.TwoKeys) }, mc,
		func(w *world) record { return w.AdmitWith("da-5", ledgertest.Arbiters[0]) }},
	{"admit with a member's key", wire.CodeAlreadyRegistered, nil, mc, func(w *world) record { return w.AdmitWith("da-5", "da-2") }},
	{"register a candidate's id", wire.CodeAlreadyRegistered, func(w *world) { w.must(mc, w.Admit("da-5")) }, mc,
		func(w *world) record { return w.registration("da-5", "new") }},
	{"admit beyond all places", wire.CodeMembersLimit, func(w *world) {
		for k := 5; k <= ledger.MaxDAs; k++ {
			w.must(mc, w.Admit(fmt.Sprintf("da-%d", k)))
		}
	}, mc, func(w *world) record { return w.Admit("da-201") }},
	{"admit a 17th centre", wire.CodeMembersLimit, func(w *world) {
		*w = *newWorld(w.t, func(g *ledger.Genesis) {
			for k := 2; k <= 16; k++ {
				id := fmt.Sprintf("mc-%d", k)
				g.Centres = append(g.Centres, ledger.Centre{ID: id, PublicKey: ledgertest.PublicKey(id)})
			}
		})
	}, mc, func(w *world) record { return w.AdmitCentre("mc-17") }},
	{"agree twice", wire.CodeChangeAgreed, withThree(func(w *world) { w.must(mc, w.Admit("da-5")) }), mc,
		func(w *world) record { return w.Admit("da-5") }},

	{"retire a stranger", wire.CodeMemberUnknown, nil, mc, func(w *world) record { return w.Retire("da-9") }},
	{"retire of four", wire.CodeMembersLimit, nil, "da-2", func(w *world) record { return w.Retire("da-2") }},
	{"retire two at once", wire.CodeMembersLimit, func(w *world) { w.fiveAndMore(6); w.must(mc, w.Retire("da-2")) }, mc,
		func(w *world) record { return w.Retire("da-3") }},
	{"retire one that leaves", wire.CodeChangePending, func(w *world) { w.fiveAndMore(6); w.must(mc, w.Retire("da-2")) }, mc,
		func(w *world) record { return w.Retire("da-2") }},
	{"retire the only centre", wire.CodeMembersLimit, nil, mc, func(w *world) record { return w.Retire(mc) }},
	{"a centre retires another twice", wire.CodeChangeAgreed, withThree(func(w *world) { w.must(mc, w.Retire("mc-b")) }), mc,
		func(w *world) record { return w.Retire("mc-b") }},

	{"rekey a stranger", wire.CodeMemberUnknown, nil, mc, func(w *world) record { return w.Rekey("da-9", "da-9-2") }},
	{"rekey a candidate", wire.CodeMemberUnknown, func(w *world) { w.must(mc, w.Admit("da-5")) }, mc,
		func(w *world) record { return w.Rekey("da-5", "da-5-2") }},
	{"rekey without a proof", wire.CodeProofWrong, nil, "da-2", func(w *world) record {
		r := w.Rekey("da-2", "da-2-2")
		r.GetRekey().PublicKey = string(ledgertest.PublicKey("da-2-3"))
		return r
	}},
	{"rekey to a key of before", wire.CodeAlreadyRegistered, func(w *world) { w.must("da-2", w.Rekey("da-2", "da-2-2")); w.must("da-3", rejoin(1)) }, mc,
		func(w *world) record { return w.Rekey("da-2", "da-2") }},
	{"rekey twice", wire.CodeChangePending, func(w *world) { w.must(mc, w.Rekey("da-2", "da-2-2")) }, mc,
		func(w *world) record { return w.Rekey("da-2", "da-2-3") }},
	{"rekey oneself again soon", wire.CodeTooSoon, func(w *world) { w.must("da-2", w.Rekey("da-2", "da-2-2")); w.must("da-3", rejoin(1)) }, "da-2",
		func(w *world) record { return w.Rekey("da-2", "da-2-3") }},
	{"a centre rekeys another twice", wire.CodeChangeAgreed, withThree(func(w *world) { w.must(mc, w.Rekey("mc-b", "mc-b-2")) }), mc,
		func(w *world) record { return w.Rekey("mc-b", "mc-b-2") }},

	{"move a stranger", wire.CodeMemberUnknown, nil, mc, func(w *world) record { return w.Move("da-9", "host:1") }},
	{"move one that leaves", wire.CodeChangePending, func(w *world) { w.fiveAndMore(6); w.must(mc, w.Retire("da-2")) }, mc,
		func(w *world) record { return w.Move("da-2", "host:1") }},
	{"a centre moves one twice", wire.CodeChangeAgreed, withThree(func(w *world) { w.must(mc, w.Move("da-2", "host:1")) }), mc,
		func(w *world) record { return w.Move("da-2", "host:1") }},
}

// fiveAndMore lets aggregators join, one after the other, until there are n.
func (w *world) fiveAndMore(n int) {
	w.t.Helper()
	for k := 5; k <= n; k++ {
		id := fmt.Sprintf("da-%d", k)
		w.must(mc, w.Admit(id))
		w.must(id, rejoin(w.State.Epoch()))
	}
	if got := w.State.Members().Len(); got != n {
		w.t.Fatalf("%d members, want %d", got, n)
	}
}

func (w *world) endEpoch() *ledger.Staged {
	w.t.Helper()
	for {
		if st := w.wait(1); st.EndsEpoch() {
			return st
		}
	}
}

func TestAMemberJoins(t *testing.T) {
	for _, trust := range []string{ledger.TrustByReports, ledger.TrustFixed} {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.Trust = trust; g.Params.EpochBlocks = 3 })
		w.must(mc, w.Admit("da-5"))
		if end := w.endEpoch(); len(end.Header().GetNextMembers()) != 0 || slices.Contains(w.State.Order(), "da-5") {
			t.Fatal("an admission alone changes the members")
		}
		st, err := w.Advance(w.seal("da-5", rejoin(w.State.Epoch())))
		if err != nil {
			t.Fatal(err)
		}
		hash := w.State.Members().Hash()
		if !st.EndsEpoch() || string(st.Header().GetNextMembers()) != string(hash[:]) || !st.NewKeys() {
			t.Fatalf("the candidate's rejoin: ends epoch %v, next_members %x, want %x", st.EndsEpoch(), st.Header().GetNextMembers(), hash)
		}
		if turn, turned := st.Turn(); !turned || turn.Height() != w.State.Height() || turn.Epoch() != w.State.Epoch() {
			t.Fatalf("turned %v behind block %d to epoch %d, the chain is at %d and %d", turned, turn.Height(), turn.Epoch(), w.State.Height(), w.State.Epoch())
		}
		network, failed := w.State.Network()
		if got := w.State.Members().Names(); len(got) != 5 || !slices.Contains(w.State.Order(), "da-5") || network.N != 5 || len(failed) != 5 {
			t.Fatalf("members %v, order %v, network of %d", got, w.State.Order(), network.N)
		}
		// The quorum of five is four: what four could do with three votes, five cannot.
		built, _, err := w.State.Build(w.Fields(), nil)
		if err != nil {
			t.Fatal(err)
		}
		cb, err := w.Certify(built)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.State.VerifyCertified(cb); err != nil {
			t.Fatal(err)
		}
		c := &fairwattpb.Certificate{}
		if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
			t.Fatal(err)
		}
		c.Votes = c.Votes[:3]
		cb.Certificate = canonicalOf(t, c)
		if _, err := w.State.VerifyCertified(cb); err == nil || !strings.Contains(err.Error(), "3 votes, the quorum is 4") {
			t.Fatalf("three votes of five: %v", err)
		}
		w.endEpoch() // with its votes
		if trust == ledger.TrustByReports {
			w.must("da-5", report(w.State.Epoch()))
		}
	}
}

func canonicalOf(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *world) seal(sender string, r record) []byte {
	w.t.Helper()
	sealed, err := w.Seal(sender, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return sealed
}

func TestAKeyIsChanged(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 3 })
	w.must("da-2", w.Rekey("da-2", "da-2-2"))
	if w.KeyOf("da-2").Equal(ledgertest.Key("da-2-2")) {
		t.Fatal("the key changes before the epoch ends")
	}
	if st := w.endEpoch(); len(st.Header().GetNextMembers()) == 0 {
		t.Fatal("no next_members where a key changes")
	}
	if !w.KeyOf("da-2").Equal(ledgertest.Key("da-2-2")) {
		t.Fatal("the key does not change when the epoch ends")
	}
	// A vote by the key of before counts for nothing.
	built, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := w.Certify(built)
	if err != nil {
		t.Fatal(err)
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Votes {
		if v.GetDa() == "da-2" {
			vote := seal.Preimage(seal.DomainVote, w.State.ChainID(), "da-2", wire.VotePayload(built.HeaderHash(), c.GetMetadata(), v.GetAux()))
			if v.Signature, err = ledgertest.Key("da-2").Sign(nil, vote, crypto.Hash(0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cb.Certificate = canonicalOf(t, c)
	if _, err := w.State.VerifyCertified(cb); err == nil || !strings.Contains(err.Error(), `vote of "da-2": invalid signature`) {
		t.Fatalf("a vote with the key of before: %v", err)
	}
	w.endEpoch()
}

// A next key that is none, as damage to a disk makes it, stops the block that ends the
// epoch: nobody votes by it.
func TestADamagedNextKeyStopsTheChain(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 2 })
	w.must("da-2", w.Rekey("da-2", "da-2-2"))
	next := string(ledgertest.PublicKey("da-2-2"))
	entries := w.State.Entries()
	for i, e := range entries {
		if string(e.Key) == "member/da-2" {
			entries[i].Value = bytes.Replace(e.Value, []byte(next), []byte(strings.Repeat("?", len(next))), 1)
			if bytes.Equal(entries[i].Value, e.Value) {
				t.Fatal("the seat has no next key")
			}
		}
	}
	s, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Build(w.Fields(), nil); err == nil || !strings.Contains(err.Error(), `data aggregator "da-2"`) {
		t.Errorf("the epoch ends with a damaged key: %v", err)
	}
}

// A member that has changed itself may do so again a hundred blocks later, and is told
// from which block on.
func TestWhenAMemberMayChangeAgain(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 10 })
	w.must("da-2", w.Rekey("da-2", "da-2-2"))
	first := w.State.Height() + ledger.RejoinBlocks
	for w.State.Height() < first-2 {
		w.wait(1)
	}
	want := fmt.Sprintf("from block %d on, this is block %d", first, first-1)
	if o, err := w.Send("da-2", w.Rekey("da-2", "da-2-3")); err != nil || o.GetCode() != wire.CodeTooSoon || !strings.Contains(o.GetReason(), want) {
		t.Errorf("a block too soon: %v (%v), want %s", o, err, want)
	}
	w.must("da-2", w.Rekey("da-2", "da-2-3"))
}

func TestAMemberRetires(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 3 })
	w.fiveAndMore(5)
	w.must("da-1", w.Retire("da-1"))
	if !slices.Contains(w.State.Order(), "da-1") {
		t.Fatal("it leaves before the epoch ends")
	}
	w.endEpoch()
	if a, _ := w.State.Aggregator("da-1"); slices.Contains(w.State.Order(), "da-1") || a.Status != ledger.StatusRetired {
		t.Fatalf("order %v, da-1 is %s", w.State.Order(), a.Status)
	}
	w.endEpoch()
	// It may come back, to its place, with another key.
	w.must(mc, w.AdmitWith("da-1", "da-1-2"))
	w.must("da-1", rejoin(w.State.Epoch()))
	if a, _ := w.State.Aggregator("da-1"); a.Status != ledger.StatusMember || a.Place != 0 || w.State.Members().Len() != 5 {
		t.Fatalf("da-1 is %s at place %d of %d members", a.Status, a.Place, w.State.Members().Len())
	}
	w.endEpoch()
}

func TestAMemberMoves(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 3 })
	w.must("da-3", w.Move("da-3", "[2001:db8::1]:9"))
	if a, _ := w.State.Aggregator("da-3"); a.Address == "[2001:db8::1]:9" || a.NextAddress != "[2001:db8::1]:9" {
		t.Fatalf("before the epoch's end: %+v", a)
	}
	if st := w.endEpoch(); len(st.Header().GetNextMembers()) > 0 {
		t.Fatal("an address changes who votes")
	}
	if a, _ := w.State.Aggregator("da-3"); a.Address != "[2001:db8::1]:9" || a.NextAddress != "" {
		t.Fatalf("behind the epoch's end: %+v", a)
	}
}

// TestCentresAgree: of three centres two must want the same change.
func TestCentresAgree(t *testing.T) {
	w := newWorld(t, threeCentres)
	w.must(mc, w.Admit("da-5"))
	if _, ok := w.State.Aggregator("da-5"); ok {
		t.Fatal("one of three centres admits alone")
	}
	other := w.Admit("da-5")
	other.GetAdmit().Address = "elsewhere:9"
	w.must("mc-b", other) // another wish takes the place of the first
	if _, ok := w.State.Aggregator("da-5"); ok {
		t.Fatal("two centres that want different things admit")
	}
	w.must(mc, other)
	if a, ok := w.State.Aggregator("da-5"); !ok || a.Address != "elsewhere:9" || a.Status != ledger.StatusCandidate {
		t.Fatalf("two of three centres: %+v", a)
	}
	// A centre that goes takes its words along.
	w.must("mc-b", w.Retire("da-5"))
	w.must("mc-b", w.Retire("mc-b"))
	w.must(mc, w.Retire("da-5"))
	if a, _ := w.State.Aggregator("da-5"); a.Status != ledger.StatusCandidate {
		t.Fatal("the word of a centre that is gone counts")
	}
	w.must("mc-c", w.Retire("da-5"))
	if a, _ := w.State.Aggregator("da-5"); a.Status != ledger.StatusRetired {
		t.Fatalf("both centres: da-5 is %s", a.Status)
	}
	if _, err := w.State.CheckRecord(w.seal("mc-b", deposit(buyer, 1, "late"))); code(err) != wire.CodeNotAllowed {
		t.Fatalf("a deposit of a retired centre: %v", err)
	}
	w.must(mc, w.AdmitCentre("mc-d"))
	w.must("mc-c", w.AdmitCentre("mc-d"))
	if got := w.State.Centres(); !slices.Equal(got, []string{"mc", "mc-c", "mc-d"}) {
		t.Fatalf("centres %v", got)
	}
	w.must("mc-d", w.Rekey("mc-d", "mc-d-2"))
	w.must("mc-d", deposit(buyer, 1, "by-the-new-key"))
}

// TestMembersAreFollowed: whoever has the genesis alone learns the members from the
// turns, and from nothing else.
func TestMembersAreFollowed(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 2 })
	w.fiveAndMore(6)
	w.must("da-2", w.Rekey("da-2", "da-2-2"))
	w.endEpoch()
	w.must(mc, w.Retire("da-1"))
	w.endEpoch()
	turns, err := w.State.Turns()
	if err != nil || len(turns) != 4 {
		t.Fatalf("%d turns (%v), want 4", len(turns), err)
	}
	now, err := w.Genesis.FirstMembers()
	if err != nil {
		t.Fatal(err)
	}
	for k, to := range turns {
		turn, err := ledger.TurnOf(w.Blocks[to.Height()-1], to)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*fairwattpb.Turn){
			"another key":      func(x *fairwattpb.Turn) { x.Members[0].PublicKey[0] ^= 1 },
			"one member less":  func(x *fairwattpb.Turn) { x.Members = x.Members[1:] },
			"a member twice":   func(x *fairwattpb.Turn) { x.Members = append(x.Members, x.Members[0]) },
			"another header":   func(x *fairwattpb.Turn) { x.Header[len(x.Header)-1] ^= 1 },
			"too few votes":    func(x *fairwattpb.Turn) { x.Certificate = fewer(t, x.Certificate) },
			"nothing":          func(x *fairwattpb.Turn) { proto.Reset(x) },
			"members in no id": func(x *fairwattpb.Turn) { x.Members[0].Da = "A" },
		} {
			bad := proto.Clone(turn).(*fairwattpb.Turn)
			if change(bad); bad != nil {
				if _, err := now.Follow(bad); err == nil {
					t.Errorf("turn %d with %s is believed", k, name)
				}
			}
		}
		next, err := now.Follow(turn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Follow(turn); err == nil {
			t.Error("a turn is believed twice")
		}
		now = next
	}
	if !now.Same(w.State.Members()) || now.Epoch() != w.State.Epoch() {
		t.Fatalf("followed to %v, the chain has %v", now.Names(), w.State.Members().Names())
	}
}

func fewer(t *testing.T, certificate []byte) []byte {
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(certificate, c); err != nil {
		t.Fatal(err)
	}
	c.Votes = c.Votes[1:]
	return canonicalOf(t, c)
}

// TestMembersChangeAtRandom: whatever is asked for, four remain, no more than f leave or
// have another key in one epoch, the entries give the same state again, and a follower
// of the turns knows the members.
func TestMembersChangeAtRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 4 })
		follower, err := w.Genesis.FirstMembers()
		if err != nil {
			rt.Fatal(err)
		}
		before := w.State.Members()
		for range rapid.IntRange(10, 40).Draw(rt, "blocks") {
			id := fmt.Sprintf("da-%d", rapid.IntRange(1, 9).Draw(rt, "id"))
			name := id + rapid.SampledFrom([]string{"", "-2", "-3"}).Draw(rt, "key")
			sender := rapid.SampledFrom([]string{mc, id}).Draw(rt, "sender")
			r := rapid.SampledFrom([]record{w.AdmitWith(id, name), w.Retire(id), w.Rekey(id, name), w.Move(id, name+":1"), rejoin(w.State.Epoch())}).Draw(rt, "record")
			var sealed [][]byte
			if b := w.seal(sender, r); func() bool { _, err := w.State.CheckRecord(b); return err == nil }() {
				sealed = append(sealed, b)
			}
			st, err := w.Advance(sealed...)
			if err != nil {
				rt.Fatal(err)
			}
			now := w.State.Members()
			turn, turned := st.Turn()
			if turned != !now.Same(before) || turned && (!turn.Same(now) || turn.Epoch() != w.State.Epoch()) {
				rt.Fatalf("the block says turned %v, members were %v and are %v", turned, before.Names(), now.Names())
			}
			gone := 0
			for _, da := range before.Names() {
				old, _ := before.Key(da)
				if key, ok := now.Key(da); !ok || !key.Equal(old) {
					gone++
				}
			}
			if now.Len() < ledger.MinMembers || gone > before.Faulty() {
				rt.Fatalf("%v became %v: %d left or have another key", before.Names(), now.Names(), gone)
			}
			if turned {
				told, err := ledger.TurnOf(w.Blocks[len(w.Blocks)-1], turn)
				if err == nil {
					follower, err = follower.Follow(told)
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
			if !follower.Same(now) {
				rt.Fatal("the follower knows other members")
			}
			before = now
		}
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil || again.Root() != w.State.Root() || !again.Members().Same(before) {
			rt.Fatalf("restored: %v", err)
		}
	})
}
