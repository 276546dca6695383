package ledger_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// votesHeld is a memory of signatures. It counts the votes that it knew.
type votesHeld map[[32]byte]int

func (m votesHeld) Has(mark [32]byte) bool {
	if _, ok := m[mark]; ok {
		m[mark]++
		return true
	}
	return false
}

func (m votesHeld) Put(mark [32]byte) { m[mark] = 0 }

// A vote that the memory knows is not checked again, and a memory makes no other vote
// hold: one byte off, the same votes for another block, and those of before a fault.
func TestVotesAreCheckedOnce(t *testing.T) {
	w := newWorld(t, nil)
	st, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := w.Certify(st)
	if err != nil {
		t.Fatal(err)
	}
	m := make(votesHeld)
	for round := range 3 {
		c, err := w.State.VerifyCertificate(st, cb.Certificate, ledger.WithHeld(m))
		if err != nil || len(m) != len(c.GetVotes()) {
			t.Fatalf("%v, %d votes are known", err, len(m))
		}
		for mark, hits := range m {
			if hits != round {
				t.Errorf("vote %x: known %d times in round %d", mark[:4], hits, round)
			}
		}
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.Certificate, c); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*fairwattpb.Certificate){
		"a bit of a signature": func(c *fairwattpb.Certificate) { c.Votes[1].Signature[63] ^= 1 },
		"another aux":          func(c *fairwattpb.Certificate) { c.Votes[1].Aux = append(c.Votes[1].Aux, 0) },
		"other metadata":       func(c *fairwattpb.Certificate) { c.Metadata = append(c.Metadata, 0) },
		"two votes exchanged": func(c *fairwattpb.Certificate) {
			c.Votes[0].Signature, c.Votes[1].Signature = c.Votes[1].Signature, c.Votes[0].Signature
		},
	} {
		bad := proto.Clone(c).(*fairwattpb.Certificate)
		change(bad)
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		known := len(m)
		for range 2 { // the second time too: what did not hold is not remembered
			if _, err := w.State.VerifyCertificate(st, raw, ledger.WithHeld(m)); err == nil {
				t.Errorf("%s: verifies", name)
			}
		}
		if name == "a bit of a signature" && len(m) != known {
			t.Errorf("%s: %d signatures are known, %d before", name, len(m), known)
		}
	}
}
