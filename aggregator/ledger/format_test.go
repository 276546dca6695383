package ledger_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

const formatFile = "../../docs/ledger-format.md"

// TestFormatDocument keeps the tables and the worked example in
// docs/ledger-format.md true. FAIRWATT_UPDATE=1 writes them anew.
func TestFormatDocument(t *testing.T) {
	b, err := os.ReadFile(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, want := range map[string]string{
		"codes": codeTable(t), "values": valueTable(), "example": workedExample(t),
	} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		_, rest, ok := strings.Cut(text, begin)
		got, _, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("no section %q in %s", name, formatFile)
		}
		if got != want && os.Getenv("FAIRWATT_UPDATE") == "" {
			t.Errorf("section %q is not what the code says; run with FAIRWATT_UPDATE=1 and look at the difference", name)
		}
		text = strings.Replace(text, begin+got+end, begin+want+end, 1)
	}
	if os.Getenv("FAIRWATT_UPDATE") != "" && text != string(b) {
		if err := os.WriteFile(formatFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// codeTable lists the constants of proto/wire/code.go with their comments.
func codeTable(t *testing.T) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../proto/wire/code.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString("| code | refused at | when |\n| --- | --- | --- |\n")
	place, seen := "door", map[string]bool{}
	for _, d := range f.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.ValueSpec)
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || seen[code] {
				t.Fatalf("code %q stands twice or is no string", code)
			}
			seen[code] = true
			when, ok := strings.CutPrefix(strings.TrimSpace(spec.Doc.Text()), spec.Names[0].Name+": ")
			if !ok {
				t.Fatalf("%s has no doc line", spec.Names[0].Name)
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", code, place, strings.ReplaceAll(when, "\n", " "))
		}
		place = "market"
	}
	return out.String()
}

func valueTable() string {
	var out strings.Builder
	out.WriteString("| key | value |\n| --- | --- |\n")
	for _, v := range ledger.StateValues() {
		fmt.Fprintf(&out, "| `%s` | %s |\n", v[0], v[1])
	}
	return out.String()
}

// workedExample is a chain of one block with one record and one vote.
func workedExample(t *testing.T) string {
	t.Helper()
	c, err := ledgertest.New(ledgertest.Genesis(1, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Genesis.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	before := c.State.Root()
	sealed, err := c.Seal(ledgertest.Centre, deposit(buyer, 5_000_000, "receipt-17"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Advance(sealed)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBufferString("```\n")
	line := func(name string, b []byte) {
		text := hex.EncodeToString(b)
		fmt.Fprintf(out, "%s\n", name)
		for len(text) > 96 {
			fmt.Fprintf(out, "  %s\n", text[:96])
			text = text[96:]
		}
		fmt.Fprintf(out, "  %s\n", text)
	}
	fmt.Fprintf(out, "genesis (one line, here as text)\n  %s\n", g)
	id, hash := c.State.ChainID(), st.HeaderHash()
	line("chain id", id[:])
	line("state root before the first block", before[:])
	line("sealed record: deposit of 5 units to buyer-1", sealed)
	recordID := st.RecordIDs()[0]
	line("record id", recordID[:])
	outcome, err := ledger.EncodeOutcome(st.Outcomes()[0])
	if err != nil {
		t.Fatal(err)
	}
	line("outcome", outcome)
	line("block", c.Blocks[0].Block)
	line("header hash", hash[:])
	line("records root", st.Header().RecordsRoot)
	line("outcomes root", st.Header().OutcomesRoot)
	line("state root", st.Header().StateRoot)
	fmt.Fprint(out, "entries the block changed\n")
	for _, change := range st.Changes() {
		fmt.Fprintf(out, "  %s = %x\n", change.Key, change.Value)
	}
	line("bytes da-1 signs as its vote", ledger.VoteBytes(id, "da-1", hash, []byte("metadata"), []byte("aux")))
	line("certificate", c.Blocks[0].Certificate)
	out.WriteString("```\n")
	return out.String()
}
