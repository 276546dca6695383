package consensus

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// shown tells whether two statements of evidence are signed, and differ.
func shown(e *fairwattpb.Equivocation, key ed25519.PublicKey) error {
	var what [2]string
	for k, s := range []*fairwattpb.Statement{e.GetFirst(), e.GetSecond()} {
		if len(s.GetProposal()) > 0 {
			signer, payload, err := seal.Open(s.GetProposal(), seal.DomainRelay, testChain, func(string) (ed25519.PublicKey, bool) { return key, true })
			h := &fairwattpb.ProposalHeader{}
			if err = errors.Join(err, proto.Unmarshal(payload, h)); err != nil || signer != e.GetDa() {
				return fmt.Errorf("block of %s: %w", signer, err)
			}
			what[k] = fmt.Sprintf("%x", h.GetMessageSha256())
			continue
		}
		payload := wire.VotePayloadOf(sha256.Sum256(s.GetHeader()), [32]byte(s.GetMetadataHash()), s.GetAux())
		if !seal.Verify(key, seal.DomainVote, testChain, e.GetDa(), payload, s.GetSignature()) {
			return errors.New("a vote is not signed")
		}
		what[k] = string(s.GetHeader())
	}
	if what[0] == what[1] {
		return errors.New("both say the same")
	}
	return nil
}

// toldOf collects evidence.
func toldOf(into *[]*fairwattpb.Equivocation, take bool) func(*Config) {
	return func(cfg *Config) {
		if cfg.Self == "da3" {
			cfg.Equivocated = func(e *fairwattpb.Equivocation) bool {
				*into = append(*into, e)
				return take
			}
		}
	}
}

// Two blocks that a leader has signed for one place are told of, once an epoch, also
// where the second comes when the place is decided.
func TestTwoBlocksAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []*fairwattpb.Equivocation
		c, i := newIdle(t, toldOf(&got, true))
		if err := i.takeRelay("", relayOf(c, "x"), ""); err != nil || len(got) > 0 {
			t.Fatal(err, got)
		}
		if err := i.takeRelay("", relayOf(c, "x"), ""); err != nil || len(got) > 0 {
			t.Fatal("one block twice: ", err, got)
		}
		i.last.Store(2) // decided meanwhile
		if err := i.takeRelay("", relayOf(c, "y"), ""); !errors.Is(err, guard.ErrOutdated) {
			t.Error(err)
		}
		if len(got) != 1 || got[0].GetDa() != "da1" {
			t.Fatalf("%v", got)
		}
		if err := shown(got[0], c.pubs["da1"]); err != nil {
			t.Error(err)
		}
		i.last.Store(1)
		var r *guard.Refusal
		if err := i.takeRelay("", relayOf(c, "z"), ""); !errors.As(err, &r) || r.Rule != "equivocation" || len(got) != 1 {
			t.Errorf("again: %v, %d pieces of evidence", err, len(got))
		}
	})
}

// Evidence that the application does not take is followed by other evidence. A block that
// someone has changed on its way is none.
func TestEvidenceThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []*fairwattpb.Equivocation
		c, i := newIdle(t, toldOf(&got, false))
		first := relayOf(c, "x")
		if err := i.takeRelay("", first, ""); err != nil {
			t.Fatal(err)
		}
		if err := i.takeRelay("", &peerpb.Relay{Seal: first.GetSeal(), Message: []byte("changed")}, ""); err == nil || len(got) > 0 {
			t.Errorf("changed on its way: %v, %v", err, got)
		}
		for k, text := range []string{"y", "z"} {
			if err := i.takeRelay("", relayOf(c, text), ""); err == nil || len(got) != k+1 {
				t.Errorf("%s: %v, %d pieces of evidence", text, err, len(got))
			}
		}
	})
}

// One vote for each place is an honest member's. Two for one place, in one view or where
// a later view brought a block along, are evidence; a vote without its round is none.
func TestTwoVotesAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type place struct{ view, round uint64 }
		for name, row := range map[string]struct {
			first, second place
			block         string // of the second; the first is for "a"
			silent        bool   // the second without auxiliary data
			want          int
		}{
			"one block":                  {place{0, 0}, place{0, 0}, "a", false, 0},
			"two blocks":                 {place{0, 0}, place{0, 0}, "b", false, 1},
			"in two views":               {place{0, 0}, place{1, 0}, "b", false, 0},
			"brought along to two views": {place{0, 1}, place{0, 2}, "b", false, 0},
			"brought along and new":      {place{0, 2}, place{2, 0}, "b", false, 1},
			"without a round":            {place{0, 0}, place{0, 0}, "b", true, 0},
		} {
			var got []*fairwattpb.Equivocation
			c, i := newIdle(t, toldOf(&got, true))
			vote := func(at place, block string, silent bool) {
				metadata, err := proto.Marshal(&protos.ViewMetadata{ViewId: at.view, LatestSequence: 2})
				if err != nil {
					t.Fatal(err)
				}
				aux := []byte("aux")
				if at.round > 0 {
					aux = wire.RoundAux(at.round)
				}
				if silent {
					aux = nil
				}
				sign := func(payload []byte) []byte {
					return ed25519.Sign(c.keys["da4"], seal.Preimage(seal.DomainVote, testChain, "da4", payload))
				}
				s := types.Signature{ID: i.ids["da4"], Msg: aux, Value: sign(guard.VotePayload([]byte(block), metadata, aux))}
				if _, err := i.VerifyConsenterSig(s, types.Proposal{Header: []byte(block), Metadata: metadata}); err != nil {
					t.Fatal(err)
				}
			}
			vote(row.first, "a", false)
			vote(row.second, row.block, row.silent)
			if len(got) != row.want {
				t.Errorf("%s: %d pieces of evidence", name, len(got))
			}
			for _, e := range got {
				if err := shown(e, c.pubs["da4"]); err != nil || e.GetDa() != "da4" {
					t.Errorf("%s: of %s: %v", name, e.GetDa(), err)
				}
			}
			c.stopAll()
		}
	})
}

// What is remembered of votes is bounded: by sequences, and by members.
func TestVotesThatAreRemembered(t *testing.T) {
	var e evidence
	paper := func(header string) ballotPaper { return ballotPaper{header: []byte(header)} }
	at := func(view, seq uint64) votingPlace { return votingPlace{"da1", view, seq} }
	for view := range uint64(100) {
		e.note(1, at(view, 5), paper("a"))
	}
	e.note(1, votingPlace{"da2", 0, 5}, paper("a"))
	if len(e.votes) != 16+1 {
		t.Errorf("%d votes of two members", len(e.votes))
	}
	for range 2 { // the second does not take the place of the first
		if have, other := e.note(1, at(0, 5), paper("b")); !other || string(have.header) != "a" {
			t.Error("the first is forgotten")
		}
	}
	e.note(1, votingPlace{"da2", 0, 8}, paper("a"))
	if _, other := e.note(1, at(0, 5), paper("b")); !other {
		t.Error("forgotten three sequences later")
	}
	e.note(1, votingPlace{"da2", 0, 9}, paper("a"))
	e.note(1, at(0, 5), paper("a"))
	if _, other := e.note(1, at(0, 5), paper("b")); other || len(e.votes) != 2 {
		t.Errorf("remembered four sequences later, %d votes", len(e.votes))
	}
	e.note(1, at(0, 9), paper("a"))
	if _, other := e.note(1, at(0, 9), paper("b")); !other {
		t.Error("no room again for who had filled its own")
	}
	if _, other := e.note(2, at(0, 9), paper("b")); other {
		t.Error("of another epoch")
	}
}

// A leader shows one half one block and the other half another, and each half votes. Who
// hears a vote for a block that it has not, asks the voter for it, once a place.
func TestTheOtherBlockIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []*fairwattpb.Equivocation
		link := &answering{}
		tell := toldOf(&got, true)
		c, i := newIdle(t, func(cfg *Config) {
			if tell(cfg); cfg.Self == "da3" {
				link.Link = cfg.Link
				cfg.Link = link
			}
		})
		if err := i.takeRelay("", relayOf(c, "x"), ""); err != nil {
			t.Fatal(err)
		}
		other := relayOf(c, "y")
		digest := guard.Digest(blockOf(t, other))
		vote := prepare(0, 2, digest)
		i.suspect(i.ids["da2"], prepare(0, 2, guard.Digest(blockOf(t, relayOf(c, "x")))))
		i.suspect(i.ids["da2"], prepare(0, 3, digest))
		i.suspect(i.ids["da2"], prepare(1, 2, digest))
		link.relay.Store(other)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("asked without cause: %v", got)
		}
		link.relay.Store(relayOf(c, "x")) // the voter answers with something else, and is not asked again
		i.suspect(i.ids["da2"], vote)
		time.Sleep(time.Second)
		synctest.Wait()
		link.relay.Store(other)
		i.suspect(i.ids["da2"], vote)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("asked twice: %v", got)
		}
		i.suspect(i.ids["da4"], vote)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != 1 || got[0].GetDa() != "da1" {
			t.Fatalf("%v", got)
		}
		if err := shown(got[0], c.pubs["da1"]); err != nil {
			t.Error(err)
		}
	})
}
