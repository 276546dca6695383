package agent

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"slices"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

func daKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func setOf(chain [32]byte, names ...string) *members.Set {
	keys := make(map[string]ed25519.PublicKey)
	for _, name := range names {
		keys[name] = daKey(name).Public().(ed25519.PublicKey)
	}
	return members.New(chain, keys)
}

// turnTo is a change of members, signed by those named.
func turnTo(t *testing.T, chain [32]byte, height uint64, next *members.Set, signers ...string) *fairwattpb.Turn {
	t.Helper()
	hash := next.Hash()
	header, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.BlockHeader{ChainId: chain[:], Height: height, Epoch: height, NextMembers: hash[:]})
	if err != nil {
		t.Fatal(err)
	}
	block := sha256.Sum256(header)
	c := &fairwattpb.Certificate{Height: height, HeaderHash: block[:]}
	for _, name := range signers {
		signature, err := daKey(name).Sign(nil, seal.Preimage(seal.DomainVote, chain, name, wire.VotePayload(block, nil, nil)), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		c.Votes = append(c.Votes, &fairwattpb.Vote{Da: name, Signature: signature})
	}
	certificate, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return &fairwattpb.Turn{Header: header, Certificate: certificate, Members: next.List()}
}

// TestTheCheckerFollowsTheMembers: who answers changes as a quorum of those before has
// signed, and by no one's word alone.
func TestTheCheckerFollowsTheMembers(t *testing.T) {
	chain := [32]byte{7}
	first := setOf(chain, "da-1", "da-2", "da-3", "da-4")
	c := newChecker(&Chain{ID: chain, DAs: first.Keys()}, nil, slog.New(slog.DiscardHandler))
	five := setOf(chain, "da-1", "da-2", "da-3", "da-4", "da-5")
	later := setOf(chain, "da-2", "da-3", "da-4", "da-5")
	encode := func(turns ...*fairwattpb.Turn) []byte {
		b, err := members.AppendTurns(nil, turns)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	joins := turnTo(t, chain, 5, five, "da-1", "da-2", "da-3")
	if err := c.follow(encode(turnTo(t, chain, 5, five, "da-1", "da-2"))); err == nil {
		t.Fatal("two of four change the members")
	}
	if err := c.follow(encode(joins)[:40]); err == nil {
		t.Fatal("half a message is believed")
	}
	if err := c.follow(encode(joins, turnTo(t, chain, 9, later, "da-2", "da-3", "da-4", "da-5"))); err != nil {
		t.Fatal(err)
	}
	if err := c.follow(encode(joins)); err != nil { // one that is behind
		t.Errorf("what is known already: %v", err)
	}
	if !slices.Equal(c.das, later.Names()) || !c.members.Same(later) {
		t.Fatalf("the checker hears %v, want %v", c.das, later.Names())
	}
	if keys := c.chain.keys(); keys["da-1"] != nil || !keys["da-5"].Equal(daKey("da-5").Public()) || len(keys) != 4 {
		t.Errorf("the chain's data aggregators are %d", len(keys))
	}
	receipt := func(da string) []byte {
		payload, err := proto.Marshal(&fairwattpb.Receipt{ChainId: chain[:], Da: da, Height: 10})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := seal.Seal(daKey(da), da, seal.DomainReceipt, chain, payload)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	if _, err := c.check("da-5", receipt("da-5")); err != nil {
		t.Errorf("a receipt of one that has joined: %v", err)
	}
	if _, err := c.check("da-1", receipt("da-1")); err == nil {
		t.Error("a receipt of one that has left counts")
	}
}
