package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// provenBlock is a chain whose last block holds n deposits, of which the last is
// refused: its reference has been used.
func provenBlock(t rapid.TB, n int) (*ledgertest.Chain, *ledger.Staged, [][]byte) {
	t.Helper()
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	var sealed [][]byte
	for i := range n {
		reference := fmt.Sprintf("deposit-%d", i)
		if n > 1 && i == n-1 {
			reference = "deposit-0"
		}
		b, err := c.SealAs(ledgertest.Centre, uint64(i+1), deposit("buyer-1", 5, reference))
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	st, err := c.Advance(sealed...)
	if err != nil {
		t.Fatal(err)
	}
	return c, st, sealed
}

// Any record of any block can be proven, with its outcome, by the genesis alone.
func TestEveryRecordCanBeProven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 33).Draw(t, "records")
		k := rapid.IntRange(0, n-1).Draw(t, "which")
		c, st, sealed := provenBlock(t, n)
		raw, err := ledger.Prove(st, c.Blocks[0].GetCertificate(), seal.ID(sealed[k]))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ledger.VerifyProof(c.Genesis, raw)
		if err != nil {
			t.Fatal(err)
		}
		refused := n > 1 && k == n-1
		if p.RecordID != seal.ID(sealed[k]) || p.Header.GetHeight() != 1 || len(p.Voters) < 3 ||
			p.Record.GetDeposit().GetTo() != "buyer-1" || p.Outcome.GetApplied() == refused {
			t.Fatalf("proven: %+v", p)
		}
		if _, err := ledger.Prove(st, c.Blocks[0].GetCertificate(), [32]byte{1}); !errors.Is(err, ledger.ErrNoRecord) {
			t.Fatalf("a record that is not there: %v", err)
		}
	})
}

// What is changed in a proof is found, whatever it is.
func TestAChangedProofIsRefused(t *testing.T) {
	t.Parallel()
	c, st, sealed := provenBlock(t, 5)
	prove := func(k int) map[string]json.RawMessage {
		raw, err := ledger.Prove(st, c.Blocks[0].GetCertificate(), seal.ID(sealed[k]))
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		return fields
	}
	other := prove(4) // the refused one
	st2, err := c.Advance(func() []byte {
		b, err := c.SealAs(ledgertest.Centre, 6, deposit("buyer-1", 5, "later"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ledger.Prove(st2, c.Blocks[1].GetCertificate(), seal.ID(firstRecord(t, st2)))
	if err != nil {
		t.Fatal(err)
	}
	var later map[string]json.RawMessage
	if err := json.Unmarshal(raw, &later); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		field []string
		from  map[string]json.RawMessage
		want  string
	}{
		{"another record's outcome", []string{"outcome"}, other, "outcomes_root"},
		{"another record's outcome and path", []string{"outcome", "outcome_path"}, other, "outcomes_root"},
		{"another record", []string{"record"}, other, "records_root"},
		{"another record and path", []string{"record", "record_path"}, other, "records_root"},
		{"another place", []string{"index"}, other, "records_root"},
		{"another block's votes", []string{"certificate"}, later, "height"},
		{"another block's header", []string{"header", "height"}, later, "height"},
		{"another height", []string{"height"}, later, "height"},
		{"no such place", []string{"index"}, map[string]json.RawMessage{"index": json.RawMessage("5")}, "index"},
		{"another chain", []string{"chain"}, map[string]json.RawMessage{"chain": json.RawMessage(`"00"`)}, "chain"},
		{"another format", []string{"format"}, map[string]json.RawMessage{"format": json.RawMessage(`"v2"`)}, "format"},
		{"another view for people", []string{"decoded"}, other, "decoded form"},
		{"an unknown field", []string{"more"}, map[string]json.RawMessage{"more": json.RawMessage("1")}, "unknown field"},
		{"a short hash", []string{"record_path"}, map[string]json.RawMessage{"record_path": json.RawMessage(`["00"]`)}, "record_path: hash 0"},
	} {
		fields := prove(1)
		for _, name := range tc.field {
			fields[name] = tc.from[name]
		}
		if _, err := ledger.VerifyProof(c.Genesis, inOrder(t, fields, tc.field[0] != "decoded")); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	foreign := ledgertest.Genesis(4, 1, 1)
	foreign.Name = "another community"
	if _, err := ledger.VerifyProof(foreign, inOrder(t, prove(1), false)); err == nil || !strings.Contains(err.Error(), "genesis") {
		t.Errorf("another genesis: %v", err)
	}
	if _, err := ledger.VerifyProof(c.Genesis, append(inOrder(t, prove(1), false), '\n')); err != nil {
		t.Errorf("a newline at the end: %v", err)
	}
}

func firstRecord(t *testing.T, st *ledger.Staged) []byte {
	t.Helper()
	_, _, records, err := ledger.DecodeBlock(st.Block())
	if err != nil {
		t.Fatal(err)
	}
	return records[0]
}

// inOrder writes the fields as Prove does. With renew, the form for people is made to
// fit what was changed, as a forger would.
func inOrder(t *testing.T, fields map[string]json.RawMessage, renew bool) []byte {
	t.Helper()
	if renew {
		if view, err := ledger.ViewOfProof(join(fields)); err == nil {
			fields["decoded"] = view
		}
	}
	return join(fields)
}

func join(fields map[string]json.RawMessage) []byte {
	var b bytes.Buffer
	order := []string{"format", "chain", "height", "header", "certificate", "index", "record", "record_path", "outcome", "outcome_path", "decoded", "more"}
	for _, name := range order {
		if v, ok := fields[name]; ok {
			fmt.Fprintf(&b, ",%q:%s", name, v)
		}
	}
	return append(append([]byte("{"), b.Bytes()[1:]...), '}')
}

// A file that is longer than any proof is not read at all; one of that length is.
func TestAProofHasALength(t *testing.T) {
	t.Parallel()
	c, _, _ := provenBlock(t, 1)
	raw := bytes.Repeat([]byte(" "), ledger.MaxProofBytes+1)
	for n, want := range map[int]string{len(raw): "bytes, at most", len(raw) - 1: "not a JSON object"} {
		if _, err := ledger.VerifyProof(c.Genesis, raw[:n]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		}
	}
}

// A proof of too few votes shows nothing.
func TestAProofNeedsAQuorum(t *testing.T) {
	t.Parallel()
	c, st, sealed := provenBlock(t, 3)
	cert := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(c.Blocks[0].GetCertificate(), cert); err != nil {
		t.Fatal(err)
	}
	cert.Votes = cert.Votes[:2]
	weak, err := proto.MarshalOptions{Deterministic: true}.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ledger.Prove(st, weak, seal.ID(sealed[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.VerifyProof(c.Genesis, raw); err == nil || !strings.Contains(err.Error(), "quorum") {
		t.Errorf("two of four votes: %v", err)
	}
}

func FuzzVerifyProof(f *testing.F) {
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		f.Fatal(err)
	}
	b, err := c.Seal(ledgertest.Centre, deposit("buyer-1", 5, "d"))
	if err != nil {
		f.Fatal(err)
	}
	st, err := c.Advance(b)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := ledger.Prove(st, c.Blocks[0].GetCertificate(), seal.ID(b))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ledger.VerifyProof(c.Genesis, raw)
		if err == nil && p.RecordID != seal.ID(b) {
			t.Errorf("proves %x, a record that was never in a block", p.RecordID)
		}
	})
}
