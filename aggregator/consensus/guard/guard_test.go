package guard

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The guard of da3, in epoch 5 and agreement view 4, which da1 leads. Its newest
// decision is sequence 9. The next leader is da2.
var (
	chain   = sha256.Sum256([]byte("a chain for tests"))
	members = []string{"da1", "da2", "da3", "da4"}
	keys    = make(map[string]ed25519.PrivateKey)
	publics = make(map[string]ed25519.PublicKey)
	da3     = Guard{BlockBytes: 1 << 20, ChainID: chain, Self: "da3", Keys: publics, Epoch: 5, Running: true, Order: members, View: 4, Last: 9}
)

func init() {
	for k, name := range append([]string{"da9"}, members...) { // da9 is known, and no member now
		keys[name] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(k + 1)}, 32))
		publics[name] = keys[name].Public().(ed25519.PublicKey)
	}
}

// check compares a ruling with what is wanted: an action, or for a refusal the
// beginning of its text.
func check(t *testing.T, got Ruling, want any) {
	t.Helper()
	switch want := want.(type) {
	case Action:
		if got.Action != want || got.Refusal != (Refusal{}) {
			t.Errorf("action %d (%v), want %d", got.Action, got.Err(), want)
		}
	case string:
		if got.Action != Refuse || !strings.HasPrefix(got.Refusal.Error(), want) {
			t.Errorf("action %d, refusal %q, want refusal %q", got.Action, got.Refusal.Error(), want)
		}
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestFrame(t *testing.T) {
	message := &peerpb.Frame_Message{Message: []byte{1}}
	idle := da3
	idle.Running = false
	frame := func(sender string, epoch uint64) *peerpb.Frame {
		return &peerpb.Frame{Sender: sender, Epoch: epoch, Body: message}
	}
	status := &peerpb.Frame{Sender: "da1", Epoch: 1, Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}}
	records := &peerpb.Frame{Sender: "da1", Epoch: 9, Body: &peerpb.Frame_Records{Records: &peerpb.Records{}}}
	number := protowire.AppendVarint(protowire.AppendTag(nil, status.ProtoReflect().Descriptor().Fields().ByName("status").Number(), protowire.VarintType), 1)
	marked := func(own, yours int) *peerpb.Frame {
		return &peerpb.Frame{Sender: "da1", Epoch: 5, Mark: make([]byte, own), Body: &peerpb.Frame_Status{Status: &peerpb.Status{Yours: make([]byte, yours)}}}
	}
	relay := &peerpb.Frame{Sender: "da1", Epoch: 4, Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{}}}
	for _, tc := range []struct {
		name string
		g    Guard
		from string
		raw  []byte
		want any
	}{
		{"of the running epoch", da3, "da1", marshal(t, frame("da1", 5)), Take},
		{"of the epoch that does not run yet", idle, "da1", marshal(t, frame("da1", 5)), Hold},
		{"of the next epoch", da3, "da1", marshal(t, frame("da1", 6)), Hold},
		{"of the epoch after the next", da3, "da1", marshal(t, frame("da1", 7)), Drop},
		{"of an earlier epoch", da3, "da1", marshal(t, frame("da1", 4)), Drop},
		{"a block of an earlier epoch", da3, "da1", marshal(t, relay), Drop},
		{"a status of any epoch", da3, "da1", marshal(t, status), Take},
		{"records of any epoch", idle, "da1", marshal(t, records), Take},
		{"from a known DA that is no member", da3, "da9", marshal(t, frame("da9", 5)), "non_member"},
		{"of the next epoch, from one that may be a member then", da3, "da9", marshal(t, frame("da9", 6)), Hold},
		{"a status of no member", da3, "da9", marshal(t, &peerpb.Frame{Sender: "da9", Epoch: 5, Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}}), Take},
		{"records of no member", da3, "da9", marshal(t, &peerpb.Frame{Sender: "da9", Epoch: 5, Body: &peerpb.Frame_Records{Records: &peerpb.Records{}}}), Take},
		{"from this node's own link", da3, "da3", marshal(t, frame("da3", 5)), "own_sender"},
		{"from a stranger's link", da3, "da7", marshal(t, frame("da7", 5)), "unknown_sender"},
		{"in another's name", da3, "da1", marshal(t, frame("da2", 5)), "forged_sender"},
		{"in this node's name", da3, "da1", marshal(t, frame("da3", 5)), "forged_sender"},
		{"without a body", da3, "da1", marshal(t, &peerpb.Frame{Sender: "da1", Epoch: 5}), "malformed"},
		{"of garbage", da3, "da1", []byte{0xff}, "malformed"},
		{"as large as may be", da3, "da1", make([]byte, 64<<20), "malformed"},
		{"too large", da3, "da1", make([]byte, 64<<20+1), "oversized"},
		{"of a body that is a number", da3, "da1", append(marshal(t, &peerpb.Frame{Sender: "da1", Epoch: 5}), number...), "malformed"},
		{"of a body cut off", da3, "da1", marshal(t, frame("da1", 5))[:len(marshal(t, frame("da1", 5)))-1], "malformed"},
		{"with the longest mark", da3, "da1", marshal(t, marked(maxMarkBytes, 0)), Take},
		{"with a longer mark", da3, "da1", marshal(t, marked(maxMarkBytes+1, 0)), "oversized: mark"},
		{"with the longest mark of the other", da3, "da1", marshal(t, marked(0, maxMarkBytes)), Take},
		{"with a longer mark of the other", da3, "da1", marshal(t, marked(0, maxMarkBytes+1)), "oversized: mark"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, ruling := tc.g.Frame(tc.from, tc.raw)
			check(t, ruling, tc.want)
			if (f == nil) != (ruling.Action == Refuse) || f != nil && f.GetSender() != tc.from {
				t.Errorf("frame %v with action %d", f, ruling.Action)
			}
		})
	}
}

func prepare(view, seq uint64, digest string) *protos.Message {
	return &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{View: view, Seq: seq, Digest: digest}}}
}

func commit(view, seq, signer uint64, digest string) *protos.Message {
	return &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{
		View: view, Seq: seq, Digest: digest, Signature: &protos.Signature{Signer: signer},
	}}}
}

func viewChange(next uint64) *protos.Message {
	return &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: next}}}
}

func TestMessage(t *testing.T) {
	digest := strings.Repeat("0", digestLen)
	for _, tc := range []struct {
		name   string
		sender uint64
		msg    *protos.Message
		want   any
	}{
		{"prepare", 2, prepare(4, 10, digest), Take},
		{"prepare of the first member", 1, prepare(4, 10, digest), Take},
		{"prepare of the last member", 4, prepare(4, 10, digest), Take},
		{"prepare of node 0", 0, prepare(4, 10, digest), "non_member"},
		{"prepare of node 5 of 4", 5, prepare(4, 10, digest), "non_member"},
		{"prepare from oneself", 3, prepare(4, 10, digest), "own_sender"},
		{"prepare with a short digest", 2, prepare(4, 10, digest[1:]), "bad_vote"},
		{"prepare with a long digest", 2, prepare(4, 10, digest+"0"), "bad_vote"},
		{"prepare of an earlier view", 2, prepare(3, 10, digest), Drop},
		{"prepare of the next view", 2, prepare(5, 10, digest), Take},
		{"prepare of the last view that is kept", 2, prepare(4+1<<16, 10, digest), Take},
		{"prepare of a view too far ahead", 2, prepare(5+1<<16, 10, digest), "vote_ahead"},
		{"prepare of the last sequence that is kept", 2, prepare(4, 9+1<<20, digest), Take},
		{"prepare of a sequence too far ahead", 2, prepare(4, 10+1<<20, digest), "vote_ahead"},
		{"commit", 4, commit(4, 10, 4, digest), Take},
		{"commit with another's signature", 2, commit(4, 10, 4, digest), "forged_vote"},
		{"commit with a short digest", 4, commit(4, 10, 4, ""), "bad_vote"},
		{"commit of an earlier view", 4, commit(3, 10, 4, digest), Drop},
		{"view change", 2, viewChange(5), Take},
		{"view change to the last view that is kept", 2, viewChange(4 + 1<<16), Take},
		{"view change too far ahead", 2, viewChange(5 + 1<<16), "view_ahead"},
		{"pre-prepare outside the tree", 1, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{}}}, "unsigned_block"},
		{"heartbeat", 1, &protos.Message{Content: &protos.Message_HeartBeat{HeartBeat: &protos.HeartBeat{}}}, Take},
		{"answer to a heartbeat", 1, &protos.Message{Content: &protos.Message_HeartBeatResponse{}}, Take},
		{"question for the state", 1, &protos.Message{Content: &protos.Message_StateTransferRequest{}}, Take},
		{"answer with the state", 1, &protos.Message{Content: &protos.Message_StateTransferResponse{}}, Take},
		{"nothing", 2, &protos.Message{}, "unknown_message"},
	} {
		t.Run(tc.name, func(t *testing.T) { check(t, da3.Message(tc.sender, tc.msg), tc.want) })
	}
}

// A vote for a block that a new view brings along counts for who has been in a later view
// than the block's, but not once that new view is entered, and never below the block's own.
func TestVotesForABlockBroughtAlong(t *testing.T) {
	for name, tc := range map[string]struct {
		at, view, round uint64
		want            any
	}{
		"in the view of the block":            {0, 0, 3, Take},
		"in a view between":                   {2, 0, 3, Take},
		"in the view that brought it":         {3, 0, 3, Drop},
		"in a later one":                      {4, 0, 3, Drop},
		"brought by the view of the block":    {0, 3, 3, "bad_vote"},
		"brought by a view before the block":  {0, 4, 3, "bad_vote"},
		"brought by a view far ahead":         {0, 0, maxViewsAhead + 1, "vote_ahead"},
		"not brought, in the view":            {2, 2, 0, Take},
		"not brought, in the first view":      {0, 0, 0, Take},
		"not brought, of an earlier view":     {2, 1, 0, Drop},
		"not brought, of a view far ahead":    {2, maxViewsAhead + 3, 0, "vote_ahead"},
		"brought by the furthest one allowed": {0, 0, maxViewsAhead, Take},
	} {
		t.Run(name, func(t *testing.T) {
			g := da3
			g.View, g.Last = tc.at, 0
			var aux []byte
			if tc.round > 0 {
				aux = wire.RoundAux(tc.round)
			}
			check(t, g.Message(1, &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{
				View: tc.view, Seq: 1, Digest: strings.Repeat("a", digestLen), Signature: &protos.Signature{Signer: 1, Msg: aux},
			}}}), tc.want)
		})
	}
}

// signVote is a member's vote for a proposal.
func signVote(t *testing.T, name string, id uint64, p *protos.Proposal) *protos.Signature {
	t.Helper()
	return signVoteWith(t, name, id, p, []byte("aux"))
}

func signVoteWith(t *testing.T, name string, id uint64, p *protos.Proposal, aux []byte) *protos.Signature {
	t.Helper()
	sig, err := keys[name].Sign(nil, seal.Preimage(seal.DomainVote, chain, name, VotePayload(p.Header, p.Metadata, aux)), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return &protos.Signature{Signer: id, Value: sig, Msg: aux}
}

// decided is a proposal of a sequence with the votes of all four members.
func decided(t *testing.T, seq uint64) (*protos.Proposal, []*protos.Signature) {
	t.Helper()
	p := &protos.Proposal{Header: []byte("header"), Payload: []byte("block"), Metadata: marshal(t, &protos.ViewMetadata{LatestSequence: seq})}
	var votes []*protos.Signature
	for k, name := range members {
		votes = append(votes, signVote(t, name, uint64(k+1), p))
	}
	return p, votes
}

// signed is view data under a member's signature.
func signed(t *testing.T, name string, id, epoch uint64, raw []byte) *protos.SignedViewData {
	t.Helper()
	sig, err := keys[name].Sign(nil, seal.Preimage(DomainViewData, chain, name, ViewDataPayload(epoch, raw)), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return &protos.SignedViewData{RawViewData: raw, Signer: id, Signature: sig}
}

func TestViewData(t *testing.T) {
	p, votes := decided(t, 9)
	next, nextVotes := decided(t, 10)
	later, laterVotes := decided(t, 11)
	spoilt := proto.Clone(votes[0]).(*protos.Signature)
	spoilt.Value[3] ^= 1
	stranger := signVote(t, "da9", 5, p)
	garbled := proto.Clone(p).(*protos.Proposal)
	garbled.Metadata = []byte{0xff}
	data := func(p *protos.Proposal, votes ...*protos.Signature) *protos.ViewData {
		return &protos.ViewData{NextView: 5, LastDecision: p, LastDecisionSignatures: votes}
	}
	inFlight := func(metadata []byte) *protos.ViewData {
		vd := data(p, votes...)
		vd.InFlightProposal = &protos.Proposal{Metadata: metadata}
		return vd
	}
	twice := inFlight(nil)
	twice.LastDecisionSignatures = votes[:2]
	of := func(vd *protos.ViewData) *protos.SignedViewData { return signed(t, "da2", 2, 5, marshal(t, vd)) }
	broken := of(data(p, votes...))
	broken.Signature[3] ^= 1
	for _, tc := range []struct {
		name   string
		svd    *protos.SignedViewData
		want   any
		checks []uint64 // sequences the application is to look at
	}{
		{"all votes", of(data(p, votes...)), Take, nil},
		{"a quorum of votes", of(data(p, votes[:3]...)), Take, nil},
		{"one vote too few", of(data(p, votes[:2]...)), "view_data_decision: 2 votes", nil},
		{"one vote thrice", of(data(p, votes[0], votes[0], votes[0])), "view_data_decision: 1 votes", nil},
		{"a vote again, spoilt", of(data(p, votes[0], spoilt, votes[1], votes[2])), Take, nil},
		{"a spoilt vote", of(data(p, spoilt, votes[1], votes[2], votes[3])), "view_data_decision: invalid", nil},
		{"votes of two rounds", of(data(p, votes[0], votes[1], signVoteWith(t, members[2], 3, p, wire.RoundAux(2)))), "view_data_decision: the votes for sequence", nil},
		{"a spoilt vote after a quorum", of(data(p, votes[1], votes[2], votes[3], spoilt)), "view_data_decision: invalid", nil},
		{"a vote of no member", of(data(p, votes[0], votes[1], votes[2], stranger)), "view_data_decision", nil},
		{"nothing decided yet", of(data(&protos.Proposal{})), Take, nil},
		{"no decision named", of(data(nil)), "view_data_decision: node 2 names", nil},
		{"garbled metadata", of(data(garbled, votes...)), "view_data_decision: metadata", nil},
		{"one decision ahead", of(data(next, nextVotes...)), Take, []uint64{10}},
		{"one ahead without votes", of(data(next)), "view_data_decision: 0 votes", nil},
		{"two decisions ahead", of(data(later, laterVotes...)), Take, nil},
		{"a block in flight", of(inFlight(p.Metadata)), Take, nil},
		{"a block in flight without metadata", of(inFlight(nil)), "view_data_in_flight", nil},
		{"a block in flight with garbled metadata", of(inFlight([]byte{0xff})), "view_data_in_flight", nil},
		{"a spoilt vote and a block in flight without metadata", of(&protos.ViewData{
			LastDecision: p, LastDecisionSignatures: []*protos.Signature{spoilt}, InFlightProposal: &protos.Proposal{},
		}), "view_data_decision", nil},
		{"a vote too few, and a block in flight without metadata", of(twice), "view_data_decision: 2 votes", nil}, // the first fault is named
		{"of another member", signed(t, "da4", 4, 5, marshal(t, data(p, votes...))), "view_data_signer", nil},
		{"in the sender's name by another", signed(t, "da4", 2, 5, marshal(t, data(p, votes...))), "view_data_signature", nil},
		{"of another epoch", signed(t, "da2", 2, 4, marshal(t, data(p, votes...))), "view_data_signature", nil},
		{"with a spoilt signature", broken, "view_data_signature", nil},
		{"garbled", signed(t, "da2", 2, 5, []byte{0xff}), "view_data_malformed", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ruling := da3.Message(2, &protos.Message{Content: &protos.Message_ViewData{ViewData: tc.svd}})
			check(t, ruling, tc.want)
			checkDecisions(t, ruling, tc.checks...)
		})
	}
}

// checkDecisions compares the decisions that the application is to look at.
func checkDecisions(t *testing.T, r Ruling, seqs ...uint64) {
	t.Helper()
	var got []uint64
	for _, d := range r.Check {
		got = append(got, d.Seq)
		if string(d.Proposal.GetPayload()) != "block" || len(d.Votes) != 4 {
			t.Errorf("decision %d: block %q with %d votes", d.Seq, d.Proposal.GetPayload(), len(d.Votes))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(seqs) {
		t.Errorf("the application is to look at %v, want %v", got, seqs)
	}
}

func TestNewView(t *testing.T) {
	p, votes := decided(t, 9)
	next, nextVotes := decided(t, 10)
	entry := func(k int, view uint64, p *protos.Proposal, votes []*protos.Signature) *protos.SignedViewData {
		vd := &protos.ViewData{NextView: view, LastDecision: p, LastDecisionSignatures: votes}
		return signed(t, members[k], uint64(k+1), 5, marshal(t, vd))
	}
	var e []*protos.SignedViewData // for view 5, of each member
	for k := range members {
		e = append(e, entry(k, 5, p, votes))
	}
	forged := proto.Clone(e[2]).(*protos.SignedViewData)
	forged.Signature[3] ^= 1
	outsider := signed(t, "da9", 5, 5, marshal(t, &protos.ViewData{NextView: 5, LastDecision: &protos.Proposal{}}))
	for _, tc := range []struct {
		name    string
		sender  uint64
		entries []*protos.SignedViewData
		want    any
		checks  []uint64
	}{
		{"of a quorum", 2, e[:3], Take, nil},
		{"of all members", 2, e, Take, nil},
		{"of too few", 2, e[:2], "new_view_quorum: 2 members", nil},
		{"of no one", 2, nil, "new_view_quorum: 0 members", nil},
		{"with one twice", 2, []*protos.SignedViewData{e[0], e[1], e[1]}, "new_view_entries: node 2 twice", nil},
		{"with more entries than members", 2, append(e[:4:4], e[0]), "new_view_entries: 5 entries", nil},
		{"for two views", 2, []*protos.SignedViewData{e[0], e[1], entry(3, 6, p, votes)}, "new_view_entries: for views 5 and 6", nil},
		{"by another than its leader", 4, e[:3], "new_view_leader", nil},
		{"with a forged entry", 2, []*protos.SignedViewData{e[0], e[1], forged}, "view_data_signature", nil},
		{"with a forged entry after a quorum", 2, []*protos.SignedViewData{e[0], e[1], e[3], forged}, "view_data_signature", nil},
		{"with an entry of no member", 2, []*protos.SignedViewData{e[0], e[1], e[2], outsider}, "view_data_signature", nil},
		{"with an entry without its votes", 2, []*protos.SignedViewData{e[0], e[1], entry(2, 5, p, votes[:2])}, "view_data_decision: 2 votes", nil},
		{"with entries one decision ahead", 2, []*protos.SignedViewData{e[0], entry(1, 5, next, nextVotes), entry(3, 5, next, nextVotes)}, Take, []uint64{10, 10}},
		{"of the view that the node is in", 1, []*protos.SignedViewData{entry(0, 4, p, votes), entry(1, 4, p, votes), entry(3, 4, p, votes)}, Drop, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{SignedViewData: tc.entries}}}
			ruling := da3.Message(tc.sender, m)
			check(t, ruling, tc.want)
			checkDecisions(t, ruling, tc.checks...)
		})
	}
	m := &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{SignedViewData: e}}}
	for last, want := range map[uint64]Action{8: Take, 9: Take, 10: Drop} {
		g := da3
		g.Last = last
		if ruling := g.Message(2, m); ruling.Action != want {
			t.Errorf("a new view with decision 9 at one with decision %d: action %d, want %d", last, ruling.Action, want)
		}
	}
	for promised, want := range map[uint64]Action{5: Take, 6: Drop} {
		g := da3
		g.Promised = promised
		check(t, g.Message(2, m), want)
	}
}

// sealRelay makes a block on its way: message under a seal over the hash of
// hashed.
func sealRelay(t *testing.T, by string, d seal.Domain, at Place, message, hashed []byte) *peerpb.Relay {
	t.Helper()
	hash := sha256.Sum256(hashed)
	header := marshal(t, &peerpb.RelayHeader{Epoch: at.Epoch, View: at.View, Seq: at.Seq, MessageSha256: hash[:]})
	sealed, err := seal.Seal(keys[by], by, d, chain, header)
	if err != nil {
		t.Fatal(err)
	}
	return &peerpb.Relay{Seal: sealed, Message: message}
}

func TestRelay(t *testing.T) {
	raw := []byte("a block")
	by := func(name string, view, seq uint64) *peerpb.Relay {
		return sealRelay(t, name, seal.DomainRelay, Place{5, view, seq}, raw, raw)
	}
	garbled, err := seal.Seal(keys["da1"], "da1", seal.DomainRelay, chain, []byte{0xff})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		relay *peerpb.Relay
		want  any
	}{
		{"the next block", by("da1", 4, 10), Take},
		{"the last block that is kept", by("da1", 4, 9+16), Take},
		{"a block too far ahead", by("da1", 4, 10+16), Drop},
		{"a block that is decided", by("da1", 4, 9), Drop},
		{"a block of an earlier view", by("da4", 3, 10), Drop},
		{"a block of the next view", by("da2", 5, 10), Take},
		{"a block of the last view that is kept", by("da1", 8, 10), Take},
		{"a block of a view too far ahead", by("da2", 9, 10), Drop},
		{"an own block come back", by("da3", 6, 10), Drop},
		{"not by the leader", by("da2", 4, 10), "block_origin"},
		{"by no member", by("da9", 4, 10), "block_origin"},
		{"of another epoch", sealRelay(t, "da1", seal.DomainRelay, Place{6, 4, 10}, raw, raw), "block_epoch"},
		{"signed as something else", sealRelay(t, "da1", seal.DomainVote, Place{5, 4, 10}, raw, raw), "block_signature"},
		{"changed on the way", sealRelay(t, "da1", seal.DomainRelay, Place{5, 4, 10}, []byte("another"), raw), "block_hash"},
		{"unsigned", &peerpb.Relay{Message: raw}, "block_signature"},
		{"with a garbled header", &peerpb.Relay{Seal: garbled, Message: raw}, "block_malformed"},
		{"with a signature of 512 bytes", &peerpb.Relay{Seal: make([]byte, 512), Message: raw}, "block_signature"},
		{"with a longer one", &peerpb.Relay{Seal: make([]byte, 513), Message: raw}, "oversized"},
		{"as large as may be, unsigned", &peerpb.Relay{Message: make([]byte, 1<<20+64<<10)}, "block_signature"},
		{"too large", &peerpb.Relay{Message: make([]byte, 1<<20+64<<10+1)}, "oversized"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, hash, ruling := da3.Relay(tc.relay)
			check(t, ruling, tc.want)
			if ruling.Action == Take && (at.Epoch != 5 || at.View < 4 || at.Seq < 10 || hash != sha256.Sum256(raw)) {
				t.Errorf("place %+v, hash %x", at, hash)
			}
		})
	}
}

func TestBlock(t *testing.T) {
	at := Place{5, 4, 10}
	good := &protos.PrePrepare{View: 4, Seq: 10, Proposal: &protos.Proposal{
		Header: []byte("h"), Payload: []byte("p"), Metadata: []byte("m"), VerificationSequence: 1,
	}}
	of := func(change func(*protos.PrePrepare)) []byte {
		pp := proto.Clone(good).(*protos.PrePrepare)
		change(pp)
		return marshal(t, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: pp}})
	}
	for _, tc := range []struct {
		name  string
		raw   []byte
		asked string
		want  any
	}{
		{"down the tree", of(func(*protos.PrePrepare) {}), "", Take},
		{"pulled", of(func(*protos.PrePrepare) {}), Digest(good), Take},
		{"pulled, of another digest", of(func(pp *protos.PrePrepare) { pp.Proposal.Payload = []byte("q") }), Digest(good), "block_digest"},
		{"of another view", of(func(pp *protos.PrePrepare) { pp.View = 5 }), "", "block_malformed: no pre-prepare"},
		{"of another sequence", of(func(pp *protos.PrePrepare) { pp.Seq = 11 }), "", "block_malformed: no pre-prepare"},
		{"without a proposal", of(func(pp *protos.PrePrepare) { pp.Proposal = nil }), "", "block_malformed: no pre-prepare"},
		{"with votes for the block before", of(func(pp *protos.PrePrepare) { pp.PrevCommitSignatures = []*protos.Signature{{}} }), "", "block_malformed: no pre-prepare"},
		{"that is a vote", marshal(t, prepare(4, 10, "")), "", "block_malformed: no pre-prepare"},
		{"garbled", []byte{0xff}, "", "block_malformed: proto"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, digest, ruling := da3.Block(at, &peerpb.Relay{Message: tc.raw}, tc.asked)
			check(t, ruling, tc.want)
			if taken := ruling.Action == Take; taken != (m != nil) || taken && (digest != Digest(m.GetPrePrepare()) || digest != Digest(good)) {
				t.Errorf("message %v with digest %q", m, digest)
			}
		})
	}
}

// A digest names everything of a proposal.
func TestDigest(t *testing.T) {
	seen := make(map[string]string)
	for name, p := range map[string]*protos.Proposal{
		"empty": {}, "header": {Header: []byte("x")}, "payload": {Payload: []byte("x")}, "metadata": {Metadata: []byte("x")},
		"verification sequence": {VerificationSequence: 1},
	} {
		d := Digest(&protos.PrePrepare{Proposal: p})
		if len(d) != digestLen || seen[d] != "" {
			t.Errorf("%s: digest %q, also of %q", name, d, seen[d])
		}
		seen[d] = name
	}
}

// A vote counts for one member, chain, block, metadata and auxiliary data.
func TestVerifyVote(t *testing.T) {
	p, votes := decided(t, 9)
	other := da3
	other.ChainID[0] ^= 1
	for _, tc := range []struct {
		name                  string
		g                     Guard
		id                    uint64
		header, metadata, aux string
		want                  string
	}{
		{"as signed", da3, 2, "header", string(p.Metadata), "aux", ""},
		{"of another member", da3, 1, "header", string(p.Metadata), "aux", "invalid block-vote signature of da1"},
		{"of another block", da3, 2, "other", string(p.Metadata), "aux", "invalid"},
		{"with other metadata", da3, 2, "header", "", "aux", "invalid"},
		{"with other auxiliary data", da3, 2, "header", string(p.Metadata), "", "invalid"},
		{"on another chain", other, 2, "header", string(p.Metadata), "aux", "invalid"},
		{"of node 0", da3, 0, "header", string(p.Metadata), "aux", "no member"},
		{"of node 5 of 4", da3, 5, "header", string(p.Metadata), "aux", "no member"},
	} {
		err := tc.g.VerifyVote(tc.id, []byte(tc.header), []byte(tc.metadata), []byte(tc.aux), votes[1].Value)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// The quorum is the library's: any two share an honest member, and the honest
// members are enough for one.
func TestQuorum(t *testing.T) {
	for _, tc := range []struct{ n, quorum int }{{4, 3}, {5, 4}, {6, 4}, {7, 5}, {8, 6}, {10, 7}, {13, 9}, {100, 67}} {
		g := Guard{Order: make([]string, tc.n)}
		if g.Quorum() != tc.quorum {
			t.Errorf("%d members: quorum %d, want %d", tc.n, g.Quorum(), tc.quorum)
		}
	}
}

func TestLeader(t *testing.T) {
	for view, want := range []string{"da1", "da2", "da3", "da4", "da1"} {
		if got := da3.Name(da3.Leader(uint64(view))); got != want {
			t.Errorf("view %d: %s, want %s", view, got, want)
		}
	}
}

func TestErr(t *testing.T) {
	if take.Err() != nil || hold.Err() != nil {
		t.Error("an error where there is none")
	}
	if !errors.Is(drop.Err(), ErrOutdated) {
		t.Errorf("drop: %v", drop.Err())
	}
	var r *Refusal
	if err := refuse("rule", "node %d", 7).Err(); !errors.As(err, &r) || *r != (Refusal{"rule", "node 7"}) {
		t.Errorf("refuse: %v", err)
	}
	if (Ruling{}).Err() == nil {
		t.Error("an empty ruling lets a message pass")
	}
}

// Whatever comes in, the guard answers; what it takes is the link's DA's.
func FuzzFrame(f *testing.F) {
	message := marshal(f, prepare(4, 10, strings.Repeat("0", digestLen)))
	f.Add(marshal(f, &peerpb.Frame{Epoch: 5, Sender: "da2", Body: &peerpb.Frame_Message{Message: message}}))
	f.Add(marshal(f, &peerpb.Frame{Epoch: 5, Sender: "da2", Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{Seal: []byte{1}, Message: message}}}))
	f.Add(marshal(f, &peerpb.Frame{Epoch: 6, Sender: "da2", Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: [][]byte{{1}}}}}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, ruling := da3.Frame("da2", raw)
		if ruling.Action != Refuse && frame.GetSender() != "da2" {
			t.Fatalf("a frame of %q passed for one of da2", frame.GetSender())
		}
		if r := frame.GetRelay(); r != nil {
			at, _, ruling := da3.Relay(r)
			if ruling.Action == Take {
				da3.Block(at, r, "")
			}
		}
		m := &protos.Message{}
		if proto.Unmarshal(frame.GetMessage(), m) == nil {
			da3.Message(2, m)
		}
	})
}
