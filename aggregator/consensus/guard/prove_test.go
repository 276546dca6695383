package guard

import (
	"testing"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// What a new view proves of the sequence after the newest decision in it.
func TestProve(t *testing.T) {
	p, votes := decided(t, 9)
	inFlight := func(name string, seq uint64) *protos.Proposal {
		return &protos.Proposal{Header: []byte(name), Metadata: marshal(t, &protos.ViewMetadata{ViewId: 3, LatestSequence: seq})}
	}
	a, b, old := inFlight("a", 10), inFlight("b", 10), inFlight("old", 9)
	type told struct {
		block *protos.Proposal
		voted bool
	}
	none, took, voted := told{}, told{a, false}, told{a, true}
	for name, tc := range map[string]struct {
		told   []told
		brings *protos.Proposal
		want   string
	}{
		"nothing":                              {[]told{none, none, none}, nil, ""},
		"too few":                              {[]told{none, none}, nil, "new_view_quorum"},
		"one voted, no one else took it":       {[]told{none, none, voted}, nil, "new_view_undecided"},
		"the fourth tells of none":             {[]told{none, none, voted, none}, nil, ""},
		"one voted, another took it":           {[]told{none, took, voted}, a, ""},
		"one voted, and one took another":      {[]told{took, {b, false}, voted}, nil, "new_view_undecided"},
		"two voted, one for another":           {[]told{voted, voted, {b, true}}, nil, "new_view_undecided"},
		"two voted, one for another, one none": {[]told{voted, voted, {b, true}, none}, a, ""},
		"all took it, no one voted":            {[]told{took, took, took}, nil, ""},
		"of a place decided":                   {[]told{{old, true}, {old, true}, {old, true}}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			nv := &protos.NewView{}
			for k, one := range tc.told {
				nv.SignedViewData = append(nv.SignedViewData, signed(t, members[k], uint64(k+1), 5, marshal(t, &protos.ViewData{
					NextView: 7, LastDecision: p, LastDecisionSignatures: votes, InFlightProposal: one.block, InFlightPrepared: one.voted,
				})))
			}
			got, err := da3.Prove(nv)
			if tc.want != "" {
				check(t, ruled(err), tc.want)
				return
			}
			if err != nil || got.View != 7 || got.Seq != 10 || !proto.Equal(got.Brings, tc.brings) {
				t.Errorf("view %d, sequence %d, brings %v, %v", got.View, got.Seq, got.Brings, err)
			}
			for k := range nv.SignedViewData {
				spoilt := proto.Clone(nv).(*protos.NewView)
				spoilt.SignedViewData[k].Signature[3] ^= 1
				_, err := da3.Prove(spoilt)
				check(t, ruled(err), "view_data_signature")
			}
			nv.SignedViewData[0] = nv.SignedViewData[1]
			_, err = da3.Prove(nv)
			check(t, ruled(err), "new_view_entries")
		})
	}
}

// A new view proves something of one view, and has at most one entry of a member.
func TestProveOneView(t *testing.T) {
	p, votes := decided(t, 9)
	newView := func(views ...uint64) *protos.NewView {
		nv := &protos.NewView{}
		for k, view := range views {
			k %= len(members)
			nv.SignedViewData = append(nv.SignedViewData, signed(t, members[k], uint64(k+1), 5, marshal(t, &protos.ViewData{
				NextView: view, LastDecision: p, LastDecisionSignatures: votes,
			})))
		}
		return nv
	}
	for _, c := range []struct {
		views []uint64
		want  string
	}{
		{[]uint64{7, 7, 7}, ""},
		{[]uint64{7, 7, 7, 7}, ""},
		{[]uint64{7, 7, 8}, "new_view_entries: for views 7 and 8"},
		{[]uint64{8, 7, 7, 7}, "new_view_entries: for views 8 and 7"},
		{[]uint64{7, 7, 7, 7, 7}, "new_view_entries: 5 entries of 4 members"},
	} {
		_, err := da3.Prove(newView(c.views...))
		if c.want == "" && err != nil {
			t.Errorf("%v: %v", c.views, err)
		} else if c.want != "" {
			check(t, ruled(err), c.want)
		}
	}
}

func ruled(err error) Ruling {
	if r, ok := err.(*Refusal); ok {
		return Ruling{Action: Refuse, Refusal: *r}
	}
	return Ruling{Action: Take}
}
