package ledger_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

const exportFile = "testdata/export.txt"

// TestExportForm pins the lines of an export, byte for byte: others read them.
// FAIRWATT_UPDATE=1 writes the file again.
func TestExportForm(t *testing.T) {
	w := newWorld(t, ledgertest.FirstRules)
	w.toHeld()
	lies := confirm(2, 1)
	lies.GetConfirm().Reason = "<\"é\u2028>"
	both := [][]byte{w.sealed(seller, 90, gate(3, open)), w.sealed(buyer, 91, lies)}
	if _, err := w.Advance(both...); err != nil {
		t.Fatal(err)
	}
	w.wait(0) // a block without records
	var out bytes.Buffer
	for i, cb := range w.Blocks {
		line, err := ledger.EncodeExportLine(cb)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := ledger.DecodedJSON(cb)
		if err != nil || !bytes.Contains(line, append([]byte(`,"decoded":`), decoded...)) {
			t.Fatalf("block %d: the decoded form is another than the line's: %v", i+1, err)
		}
		if back, err := ledger.DecodeExportLine(line); err != nil || !proto.Equal(back, cb) {
			t.Fatalf("block %d read back: %v", i+1, err)
		}
		out.Write(append(decoded, '\n'))
	}
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile(exportFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(exportFile)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	if len(got) != len(old) {
		t.Fatalf("%d lines, were %d", len(got), len(old))
	}
	for i := range got {
		if got[i] != old[i] {
			t.Errorf("block %d\n  now: %s\n  was: %s", i+1, got[i], old[i])
		}
	}
}

// TestExportRefuses: a line is read in one form only.
func TestExportRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.wait(0)
	line, err := ledger.EncodeExportLine(w.Blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"unknown field":           strings.Replace(string(line), `{"height":1,`, `{"height":1,"more":2,`, 1),
		"another height":          strings.Replace(string(line), `{"height":1,`, `{"height":2,`, 1),
		"a space":                 strings.Replace(string(line), `{"height":1,`, `{"height": 1,`, 1),
		"more behind":             string(line) + "{}",
		"another decoded":         strings.Replace(string(line), `"view"`, `"View"`, 1) + " ",
		"a block that is no text": strings.Replace(string(line), `"block":"`, `"block":"!`, 1),
		"a certificate of none":   strings.Replace(string(line), `"certificate":"`, `"certificate":"!`, 1),
		"no object":               "[]",
	} {
		if _, err := ledger.DecodeExportLine([]byte(bad)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// TestLastCounter: a sender's last counter is its greatest in blocks, and 0 before.
func TestLastCounter(t *testing.T) {
	w := newWorld(t, nil)
	for n := range uint64(3) {
		if got := w.State.LastCounter(mc); got != n {
			t.Errorf("after %d records: %d", n, got)
		}
		w.must(mc, deposit(buyer, 1, fmt.Sprint("r-", n)))
	}
	if got := w.State.LastCounter(buyer); got != 0 {
		t.Errorf("of one that has sent nothing: %d", got)
	}
}

// TestBlockID: the id of a block is the hash of its header, found without the
// rest; what has no header has none.
func TestBlockID(t *testing.T) {
	w := newWorld(t, nil)
	st := w.wait(0)
	if id, err := ledger.BlockID(st.Block()); err != nil || id != st.HeaderHash() {
		t.Errorf("%x, %v; want %x", id, err, st.HeaderHash())
	}
	for _, bad := range [][]byte{nil, {0x0a}, {0x0a, 5, 'x'}, {0x12, 1, 'x'}, {0x08, 1}, {0x08, 1, 'x'}, {0xff}} {
		if _, err := ledger.BlockID(bad); err == nil {
			t.Errorf("%x has an id", bad)
		}
	}
}

// TestRefusedLeavesTheBlockAlone: a record refused half way undoes its own
// changes and not those of the records before it in the block.
func TestRefusedLeavesTheBlockAlone(t *testing.T) {
	w := newWorld(t, nil)
	w.toDelivering() // the seller's register is at 1000
	seal := func(sender string, r record) []byte {
		w.NowMs += 1000
		sealed, err := w.Seal(sender, r)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	st, err := w.Advance(seal(seller, readingOf("seller-1-meter", 1500)), seal(seller, w.bill(1600, 900, 180_000)))
	if err != nil {
		t.Fatal(err)
	}
	if o := st.Outcomes(); !o[0].GetApplied() || o[1].GetCode() != wire.CodeEnergyNotMetered {
		t.Fatalf("%v", o)
	}
	if n := st.Notices(); len(n) != 1 || n[0].To != buyer {
		t.Errorf("told %+v", n)
	}
	// The register stands at 1500: not at the bill's 1600, nor back at 1000.
	if got := w.send(seller, readingOf("seller-1-meter", 1499)); got != wire.CodeRegisterBack {
		t.Errorf("1499 Wh: %q", got)
	}
	if got := w.send(seller, readingOf("seller-1-meter", 1500)); got != "" {
		t.Errorf("1500 Wh: %q", got)
	}
}

// TestDeadlinesOutliveARestart: a restored state ends the same trades in the
// same block as one that never stopped.
func TestDeadlinesOutliveARestart(t *testing.T) {
	w := newWorld(t, nil)
	w.toPaid()
	restored, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
	if err != nil {
		t.Fatal(err)
	}
	w.wait(w.Genesis.Params.StartByMs)
	w.status(wire.StatusFailed)
	st, err := restored.VerifyCertified(w.Blocks[len(w.Blocks)-1])
	if err != nil {
		t.Fatalf("the restored state: %v", err)
	}
	if err := restored.Commit(st); err != nil || restored.Root() != w.State.Root() {
		t.Errorf("the restored state comes to another root: %v", err)
	}
}

// TestRestoreRefuses: entries that are not those of a state, or of its height.
func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.toRequested()
	good := w.State.Entries()
	without := func(key string) (out []ledger.Entry) {
		for _, e := range good {
			if string(e.Key) != key {
				out = append(out, e)
			}
		}
		return out
	}
	with := func(key, value string) []ledger.Entry {
		return append(without(key), ledger.Entry{Key: []byte(key), Value: []byte(value)})
	}
	for name, c := range map[string]struct {
		height  uint64
		entries []ledger.Entry
		want    string
	}{
		"another height":        {w.State.Height() + 1, good, "entries are of height"},
		"a key twice":           {w.State.Height(), append(good[:len(good):len(good)], good[0]), "a key stands twice"},
		"no meta":               {w.State.Height(), without("meta"), "no meta entry"},
		"damaged meta":          {w.State.Height(), with("meta", "x"), "meta: "},
		"a damaged participant": {w.State.Height(), with("participant/buyer-1", "x"), "participant/buyer-1"},
		"a damaged deadline":    {w.State.Height(), with("deadline/x", ""), "malformed deadline"},
	} {
		if _, err := ledger.Restore(w.Genesis, c.height, w.State.HeaderHash(), c.entries); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), good); err != nil {
		t.Error(err)
	}
}

// A block of a fork is not committed, although its height is the next one.
func TestCommitRefusesAFork(t *testing.T) {
	w, fork := newWorld(t, nil), newWorld(t, nil)
	w.wait(5)
	fork.wait(7)
	st, _, err := fork.State.Build(fork.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.State.Commit(st); err == nil {
		t.Error("a block staged on another block of this height was committed")
	}
}

// TestCommitNeedsItsState: a block is committed to the state it was staged on.
func TestCommitNeedsItsState(t *testing.T) {
	w := newWorld(t, nil)
	first, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.wait(5)
	height, root := w.State.Height(), w.State.Root()
	if err := w.State.Commit(first); err == nil || w.State.Height() != height || w.State.Root() != root {
		t.Errorf("a block staged on the state below: %v", err)
	}
}

// TestQueries: what the state answers of those it does not know, and of a
// blacklisted seller's offer.
func TestQueries(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.BlacklistBelowE6 = g.Params.CreditStartE6 })
	if w.State.Balance("stranger") != 0 || w.State.Credit("stranger") != 0 || w.State.Credit(seller) != w.Genesis.Params.CreditStartE6 {
		t.Error("balance or credit")
	}
	if _, ok := w.State.Account(mc); ok {
		t.Error("a centre has an account")
	}
	if key, ok := w.State.Key(seller); !ok || !key.Equal(ledgertest.Key(seller).Public()) {
		t.Error("the seller's key")
	}
	if _, ok := w.State.Key("da-1"); ok {
		t.Error("an aggregator's key signs records")
	}
	if len(w.State.Participants()) != 5 || w.State.EpochFirstHeight() != 1 || w.State.EpochLastHeight() != 100 || w.State.TimeMs() != ledgertest.StartMs {
		t.Errorf("%d participants, epoch %d to %d", len(w.State.Participants()), w.State.EpochFirstHeight(), w.State.EpochLastHeight())
	}
	w.toPaid()
	if r, ok := w.State.Request(buyer, "request-1"); !ok || !r.Answered || len(w.State.Requests()) != 1 {
		t.Errorf("%+v", r)
	}
	if g, ok := w.State.GateOf(seller); !ok || g.Seq != 1 || g.State != open || g.ChangedMs == 0 {
		t.Errorf("%+v", g)
	}
	if totals := w.State.Totals(); totals.Records != 6 || totals.DepositedMicro != 1_000_000 || totals.WalletsMicro != 600_000 ||
		totals.EscrowMicro != 400_000 || totals.TradesByStatus[wire.StatusPaid] != 1 || !totals.Conserved {
		t.Errorf("%+v", totals)
	}
	if len(w.State.Offers()) != 1 || len(w.State.Trades(nil)) != 1 || len(w.State.Trades(func(*ledger.Trade) bool { return false })) != 0 {
		t.Error("offers or trades")
	}
	w.wait(w.Genesis.Params.StartByMs)
	if len(w.State.Offers()) != 0 {
		t.Error("a blacklisted seller's offer is shown")
	}
}

// TestNetworkMarksTheFailed: a leader that failed stands last and is marked.
func TestNetworkMarksTheFailed(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 1 })
	f := w.Fields()
	f.View, f.AccountingNode = 1, "da-2"
	st, _, err := w.State.Build(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.State.Commit(st); err != nil {
		t.Fatal(err)
	}
	network, failed := w.State.Network()
	if strings.Join(network.IDs, " ") != "da-2 da-3 da-4 da-1" || failed[0] || failed[1] || failed[2] || !failed[3] {
		t.Errorf("%v, failed %v", network.IDs, failed)
	}
	if network.Links[3] != 2 || network.OverheadUs[0][0] != 0 || network.OverheadUs[0][3] != 1000 {
		t.Errorf("%+v", network)
	}
}

// TestRootIsOfTheEntries: the root that blocks bring about step by step is that
// of the same entries hashed at once, with many keys in one bucket, and with
// keys that come, change and go.
func TestRootIsOfTheEntries(t *testing.T) {
	const sellers = 300 // so that many buckets hold several of their keys
	c, err := ledgertest.New(ledgertest.Genesis(1, sellers, 0))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{c, t}
	for round := range 3 {
		var block [][]byte
		for i := range sellers {
			if (i+round)%3 == 0 {
				continue // what stands in a bucket stays there untouched
			}
			id := fmt.Sprintf("seller-%d", i+1)
			r := w.offer(int64(1000*((round+i)%2)), 200_000) // 0 withdraws
			sealed, err := w.Seal(id, r)
			if err != nil {
				t.Fatal(err)
			}
			block = append(block, sealed)
		}
		st, _, err := w.State.Build(w.Fields(), block, ledger.WithVerified(known))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.State.Commit(st); err != nil {
			t.Fatal(err)
		}
		w.NowMs = w.State.TimeMs()
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil || again.Root() != w.State.Root() {
			t.Fatalf("round %d: another root at once: %v", round, err)
		}
	}
}
