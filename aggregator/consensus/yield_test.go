package consensus

import (
	"testing"
	"testing/synctest"

	"fairwatt/aggregator/consensus/guard"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// A member gives its block up only where it has not prepared it, and more others than
// can be faulty tell of one and the same other block for its place, one of them as
// prepared.
func TestWhenABlockIsGivenUp(t *testing.T) {
	mine, x, xPrepared := told{5, "mine", false}, told{5, "x", false}, told{5, "x", true}
	for _, c := range []struct {
		name   string
		own    told
		others map[uint64]told
		want   bool
	}{
		{"two tell of another one, one has prepared it", mine, map[uint64]told{1: x, 4: xPrepared}, true},
		{"all do", mine, map[uint64]told{1: xPrepared, 2: xPrepared, 4: xPrepared}, true},
		{"own is prepared", told{5, "mine", true}, map[uint64]told{1: xPrepared, 4: xPrepared}, false},
		{"one tells of it", mine, map[uint64]told{4: xPrepared}, false},
		{"no one has prepared it", mine, map[uint64]told{1: x, 4: x}, false},
		{"two tell of two others", mine, map[uint64]told{1: xPrepared, 4: {5, "y", true}}, false},
		{"they have the own one", mine, map[uint64]told{1: {5, "mine", true}, 4: {5, "mine", true}}, false},
		{"another place", mine, map[uint64]told{1: {4, "x", true}, 4: {4, "x", true}}, false},
		{"nothing told", mine, nil, false},
	} {
		i := &instance{epoch: Epoch{Order: []string{"da1", "da2", "da3", "da4"}}, told: c.others}
		if got := i.yields(c.own); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// proposalOf is a block for a sequence.
func proposalOf(t *testing.T, seq uint64, text string) *protos.Proposal {
	t.Helper()
	md, err := proto.Marshal(&protos.ViewMetadata{LatestSequence: seq})
	if err != nil {
		t.Fatal(err)
	}
	return &protos.Proposal{Payload: []byte(text), Metadata: md}
}

// View data without the block that is given up is signed as the other.
func TestViewDataWithoutABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newIdle(t)
		i := c.node("da3").instance()
		at := i.last.Load()
		block := func(seq uint64, text string) *protos.Proposal { return proposalOf(t, seq, text) }
		data := func(of *protos.Proposal, prepared bool) *protos.SignedViewData {
			raw, err := proto.Marshal(&protos.ViewData{NextView: 1, LastDecision: block(at, "decided"), InFlightProposal: of, InFlightPrepared: prepared})
			if err != nil {
				t.Fatal(err)
			}
			return &protos.SignedViewData{RawViewData: raw, Signer: i.self, Signature: i.signViewData(raw)}
		}
		own := &protos.Message{Content: &protos.Message_ViewData{ViewData: data(block(at+1, "mine"), false)}}
		if got := i.yielding(own); got != own {
			t.Fatal("given up although no one contradicts")
		}
		others := []uint64{1, 2, 3, 4}
		others = append(others[:i.self-1], others[i.self:]...)[:2]
		for _, id := range others {
			i.noteViewData(id, data(block(at+1, "another"), true))
		}
		svd, vd := i.yielding(own).GetViewData(), &protos.ViewData{}
		if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
			t.Fatal(err)
		}
		if vd.InFlightProposal != nil || vd.NextView != 1 || vd.LastDecision == nil {
			t.Errorf("%v", vd)
		}
		if err := i.seat.VerifyViewData(svd.Signer, svd.RawViewData, svd.Signature); err != nil {
			t.Error(err)
		}
		i.noteViewData(others[0], data(nil, false)) // it has given its own up
		if got := i.yielding(own); got != own {
			t.Error("given up although one alone contradicts")
		}
	})
}

// A member that has nothing under way tells of the block for the next sequence that an earlier
// view brought, as not prepared, and signs that; not where more others than can be faulty tell
// of another block, one of them as prepared.
func TestViewDataWithABlockThatAViewBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newIdle(t)
		i := c.node("da3").instance()
		at := i.last.Load()
		block := func(seq uint64, text string) *protos.Proposal { return proposalOf(t, seq, text) }
		raw, err := proto.Marshal(&protos.ViewData{NextView: 3, LastDecision: block(at, "decided")})
		if err != nil {
			t.Fatal(err)
		}
		own := &protos.Message{Content: &protos.Message_ViewData{ViewData: &protos.SignedViewData{RawViewData: raw, Signer: i.self, Signature: i.signViewData(raw)}}}
		tells := func() string {
			svd, vd := i.yielding(own).GetViewData(), &protos.ViewData{}
			if err := proto.Unmarshal(svd.GetRawViewData(), vd); err != nil {
				t.Fatal(err)
			}
			if err := i.seat.VerifyViewData(svd.Signer, svd.RawViewData, svd.Signature); err != nil {
				t.Error(err)
			}
			if vd.InFlightPrepared || vd.NextView != 3 || vd.LastDecision == nil {
				t.Errorf("%v", vd)
			}
			return string(vd.GetInFlightProposal().GetPayload())
		}
		for _, of := range []struct {
			name      string
			view, seq uint64
			brings    string
			want      string
		}{
			{"nothing was brought", 1, at + 1, "", ""},
			{"for a sequence before", 1, at, "old", ""},
			{"for the next one", 1, at + 1, "one", "one"},
			{"by an earlier view", 0, at + 1, "zero", "one"},
			{"by a later view", 2, at + 1, "two", "two"},
			{"by none", 2, at + 1, "", "two"},
			{"by the view to come", 3, at + 1, "three", ""},
			{"for a later sequence", 1, at + 2, "next", ""},
		} {
			p := guard.Proof{View: of.view, Seq: of.seq}
			if of.brings != "" {
				p.Brings = block(of.seq, of.brings)
			}
			i.noteBrings(p)
			if got := tells(); got != of.want {
				t.Errorf("%s: tells of %q, want %q", of.name, got, of.want)
			}
		}
		i.brings = guard.Proof{View: 1, Seq: at + 1, Brings: block(at+1, "one")}
		for _, id := range []uint64{1, 2} {
			raw, err := proto.Marshal(&protos.ViewData{InFlightProposal: block(at+1, "another"), InFlightPrepared: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := tells(); got != "one" {
				t.Errorf("%q although at most one tells of another", got)
			}
			i.noteViewData(id, &protos.SignedViewData{RawViewData: raw})
		}
		if got := tells(); got != "" {
			t.Errorf("tells of %q although two others tell of another", got)
		}
	})
}
