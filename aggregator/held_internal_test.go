package aggregator

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// What agreement has checked is not checked again as a block is stored: the application
// looks into the memory that agreement fills.
func TestCommitKnowsTheVotesOfAgreement(t *testing.T) {
	g := ledgertest.Genesis(4, 1, 1)
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := c.State.Build(c.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := c.Certify(st)
	if err != nil {
		t.Fatal(err)
	}
	cert := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.Certificate, cert); err != nil {
		t.Fatal(err)
	}
	// A signature that does not hold: only the memory can let it pass.
	vote := cert.Votes[0]
	vote.Signature[40] ^= 1
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	bad := &fairwattpb.CertifiedBlock{Block: cb.Block, Certificate: raw}
	a := &app{state: c.State, held: new(consensus.Held), verified: intake.NewRecent[uint64](1), staged: make(map[[32]byte]*ledger.Staged)}
	if err := a.VerifyCertified(bad); err == nil {
		t.Fatal("a vote that does not hold")
	}
	keys, err := g.Keys()
	if err != nil {
		t.Fatal(err)
	}
	a.held.Put(seal.Mark(keys[vote.Da], seal.DomainVote, g.ChainID(), vote.Da, wire.VotePayload(st.HeaderHash(), cert.Metadata, vote.Aux), vote.Signature))
	if err := a.VerifyCertified(bad); err != nil {
		t.Errorf("a vote that agreement has found good: %v", err)
	}
}
