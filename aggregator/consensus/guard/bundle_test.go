package guard

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func voters() (Guard, []ed25519.PrivateKey) {
	g := Guard{Order: []string{"da-1", "da-2", "da-3", "da-4"}, Self: "da-1", Epoch: 7, View: 2, Last: 5, Keys: make(map[string]ed25519.PublicKey)}
	var keys []ed25519.PrivateKey
	for k, da := range g.Order {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(k + 1)}, 32))
		keys = append(keys, key)
		g.Keys[da] = key.Public().(ed25519.PublicKey)
	}
	return g, keys
}

// A bundle of a wrong form is refused before a signature is looked at, and one of
// another place is let go.
func TestBundleForm(t *testing.T) {
	g, _ := voters()
	digest := strings.Repeat("a", digestLen)
	voices := func(signers ...uint64) (out []*peerpb.Voice) {
		for _, s := range signers {
			out = append(out, &peerpb.Voice{Signer: s})
		}
		return out
	}
	for name, c := range map[string]struct {
		b    *peerpb.Bundle
		want Action
	}{
		"votes of all":            {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 2, 3, 4), Holders: []uint64{1, 2, 3, 4}}, Take},
		"the last view in reach":  {&peerpb.Bundle{View: 2 + maxViewsAhead, Seq: 6, Digest: digest}, Drop},
		"good":                    {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 3, 4)}, Take},
		"the next but one":        {&peerpb.Bundle{View: 2, Seq: 7, Digest: digest}, Take},
		"decided, may be asked":   {&peerpb.Bundle{View: 2, Seq: 4, Digest: digest, Want: true}, Take},
		"decided long ago":        {&peerpb.Bundle{View: 2, Seq: 3, Digest: digest, Want: true}, Drop},
		"too far ahead":           {&peerpb.Bundle{View: 2, Seq: 8, Digest: digest}, Drop},
		"an earlier view":         {&peerpb.Bundle{View: 1, Seq: 6, Digest: digest}, Drop},
		"a later view":            {&peerpb.Bundle{View: 3, Seq: 6, Digest: digest}, Drop},
		"a view out of reach":     {&peerpb.Bundle{View: 3 + maxViewsAhead, Seq: 6, Digest: digest}, Refuse},
		"a seq out of reach":      {&peerpb.Bundle{View: 2, Seq: 6 + maxSeqsAhead, Digest: digest}, Refuse},
		"no digest":               {&peerpb.Bundle{View: 2, Seq: 6}, Refuse},
		"a signer twice":          {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 3, 3)}, Refuse},
		"out of order":            {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(3, 1)}, Refuse},
		"no member":               {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 5)}, Refuse},
		"node 0":                  {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(0)}, Refuse},
		"more votes than nodes":   {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 2, 3, 4, 4)}, Refuse},
		"more holders than nodes": {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Holders: []uint64{1, 2, 3, 4, 1}}, Refuse},
		"a holder is no member":   {&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Holders: []uint64{5}}, Refuse},
	} {
		if got := g.Bundle(c.b); got.Action != c.want {
			t.Errorf("%s: %v (%v), want %v", name, got.Action, got.Err(), c.want)
		}
	}
	// A vote for a block that a view brought along goes to each: the tree may carry an earlier
	// one of the same member.
	brought := &peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Commit: true, Voices: []*peerpb.Voice{{Signer: 1, Aux: wire.RoundAux(3)}}}
	check(t, g.Bundle(brought), "bad_bundle: vote of node 1 for a block that a view brought along")
	// Their number is looked at first: a bundle of many costs no more than one of a few.
	check(t, g.Bundle(&peerpb.Bundle{View: 2, Seq: 6, Digest: digest, Voices: voices(1, 2, 3, 4, 4)}), "bad_bundle: 5 votes and 0 holders of 4")
}

// A carried vote holds for what its signer gave it for, and for nothing else.
func TestVoices(t *testing.T) {
	g, keys := voters()
	header, metadata, digest := []byte("header"), []byte("metadata"), strings.Repeat("a", digestLen)
	sign := func(k int, d seal.Domain, payload []byte) []byte {
		signature, err := keys[k].Sign(nil, seal.Preimage(d, g.ChainID, g.Order[k], payload), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	payload, err := PreparePayload(7, 2, 6, digest)
	if err != nil {
		t.Fatal(err)
	}
	prepare := &peerpb.Voice{Signer: 2, Signature: sign(1, DomainPrepare, payload)}
	commit := &peerpb.Voice{Signer: 3, Aux: []byte("aux"), Signature: sign(2, seal.DomainVote, VotePayload(header, metadata, []byte("aux")))}
	at := func(view, seq uint64, digest string, commit bool) *peerpb.Bundle {
		return &peerpb.Bundle{View: view, Seq: seq, Digest: digest, Commit: commit}
	}
	another := g
	another.Epoch = 8
	chain := g
	chain.ChainID[0] = 1
	for name, c := range map[string]struct {
		g                Guard
		b                *peerpb.Bundle
		v                *peerpb.Voice
		header, metadata []byte
		want             bool
	}{
		"prepare":                    {g, at(2, 6, digest, false), prepare, nil, nil, true},
		"prepare of another":         {g, at(2, 6, digest, false), &peerpb.Voice{Signer: 3, Signature: prepare.Signature}, nil, nil, false},
		"prepare, another view":      {g, at(3, 6, digest, false), prepare, nil, nil, false},
		"prepare, another seq":       {g, at(2, 7, digest, false), prepare, nil, nil, false},
		"prepare, another block":     {g, at(2, 6, strings.Repeat("b", digestLen), false), prepare, nil, nil, false},
		"prepare, another epoch":     {another, at(2, 6, digest, false), prepare, nil, nil, false},
		"prepare, another chain":     {chain, at(2, 6, digest, false), prepare, nil, nil, false},
		"prepare as a commit":        {g, at(2, 6, digest, true), prepare, header, metadata, false},
		"no signature":               {g, at(2, 6, digest, false), &peerpb.Voice{Signer: 2}, nil, nil, false},
		"commit":                     {g, at(2, 6, digest, true), commit, header, metadata, true},
		"commit as a prepare":        {g, at(2, 6, digest, false), commit, header, metadata, false},
		"commit, another block":      {g, at(2, 6, digest, true), commit, []byte("heades"), metadata, false},
		"commit, other metadata":     {g, at(2, 6, digest, true), commit, header, []byte("m"), false},
		"commit, other aux":          {g, at(2, 6, digest, true), &peerpb.Voice{Signer: 3, Signature: commit.Signature}, header, metadata, false},
		"a commit from another node": {g, at(2, 6, digest, true), &peerpb.Voice{Signer: 4, Aux: commit.Aux, Signature: commit.Signature}, header, metadata, false},
	} {
		// In company, as in a batch that does not hold as a whole.
		got, err := c.g.VerifyVoices(c.b, []*peerpb.Voice{{Signer: 4, Signature: make([]byte, 64)}, c.v}, c.header, c.metadata)
		if err != nil || got[0] || got[1] != c.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// A carried vote that held is not checked again, and one that did not is not remembered.
func TestVoicesAreRemembered(t *testing.T) {
	g, keys := voters()
	m := &memory{keys: make(map[[32]byte]bool)}
	g.Held = m
	b := &peerpb.Bundle{View: 2, Seq: 6, Digest: strings.Repeat("a", digestLen)}
	payload, err := PreparePayload(g.Epoch, b.View, b.Seq, b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := keys[1].Sign(nil, seal.Preimage(DomainPrepare, g.ChainID, "da-2", payload), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		got, err := g.VerifyVoices(b, []*peerpb.Voice{{Signer: 2, Signature: signature}, {Signer: 3, Signature: signature}}, nil, nil)
		if err != nil || !slices.Equal(got, []bool{true, false}) || m.hits != k || len(m.keys) != 1 {
			t.Errorf("round %d: %v, %v, %d hits, %d are remembered", k, got, err, m.hits, len(m.keys))
		}
	}
}
