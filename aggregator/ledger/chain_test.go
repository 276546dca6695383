package ledger_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func code(err error) string {
	if r, ok := err.(*ledger.Refusal); ok {
		return r.Code
	}
	return fmt.Sprint(err)
}

func TestDoor(t *testing.T) {
	w := newWorld(t, nil)
	seal := func(sender string, counter uint64, r *fairwattpb.Record) []byte {
		t.Helper()
		b, err := w.SealAs(sender, counter, r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := seal(seller, 1, gate(1, open))
	if c, err := w.State.CheckRecord(good); err != nil || c.Record.GetSender() != seller {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	other := newWorld(t, func(g *ledger.Genesis) { g.Name = "other" })
	foreign, err := other.SealAs(seller, 1, gate(1, open))
	if err != nil {
		t.Fatal(err)
	}
	long := gate(1, open)
	for range wire.MaxCauses {
		long.GetGateChange().Causes = append(long.GetGateChange().Causes, &fairwattpb.Cause{Text: strings.Repeat("x", wire.MaxTextBytes)})
	}
	tooMany := gate(1, open)
	tooMany.GetGateChange().Causes = make([]*fairwattpb.Cause, wire.MaxCauses+1)
	for i := range tooMany.GetGateChange().Causes {
		tooMany.GetGateChange().Causes[i] = &fairwattpb.Cause{}
	}
	for name, c := range map[string]struct {
		sealed []byte
		code   string
	}{
		"garbage":        {[]byte("garbage"), wire.CodeMalformed},
		"bad signature":  {flipped, wire.CodeBadSignature},
		"another chain":  {foreign, wire.CodeWrongChain},
		"stranger":       {seal("stranger", 1, gate(1, open)), wire.CodeUnknownSigner},
		"an aggregator":  {seal("da-1", 1, gate(1, open)), wire.CodeUnknownSigner},
		"buyer's offer":  {seal(buyer, 1, w.offer(1, 1)), wire.CodeNotAllowed},
		"own deposit":    {seal(buyer, 1, deposit(buyer, 1, "r")), wire.CodeNotAllowed},
		"too large":      {seal(seller, 1, long), wire.CodeTooLarge},
		"counter zero":   {seal(seller, 0, gate(1, open)), wire.CodeMalformed},
		"no body":        {seal(seller, 1, &fairwattpb.Record{}), wire.CodeMalformed},
		"no such state":  {seal(seller, 1, gate(1, 9)), wire.CodeMalformed},
		"too many":       {seal(seller, 1, tooMany), wire.CodeMalformed},
		"negative money": {seal(ledgertest.Centre, 1, deposit(buyer, -1, "r")), wire.CodeMalformed},
		"huge volume":    {seal(seller, 1, w.offer(ledger.MaxEnergyWh+1, 1)), wire.CodeMalformed},
		"path in an id":  {seal(ledgertest.Centre, 1, deposit(buyer, 1, "a/b")), wire.CodeMalformed},
	} {
		if _, err := w.State.CheckRecord(c.sealed); code(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		if st, dropped, err := w.State.Build(w.Fields(), [][]byte{c.sealed}); err != nil || len(dropped) != 1 ||
			dropped[0].Refusal.Code != c.code || len(st.Records()) != 0 {
			t.Errorf("%s: a block was built of it: %v", name, err)
		}
	}
	if _, err := w.Advance(good); err != nil {
		t.Fatal(err)
	}
	if _, err := w.State.CheckRecord(good); code(err) != wire.CodeReplayed {
		t.Errorf("replay: %v", err)
	}
}

func TestReplayInOneBlock(t *testing.T) {
	w := newWorld(t, nil)
	r, err := w.Seal(seller, gate(1, open))
	if err != nil {
		t.Fatal(err)
	}
	st, dropped, err := w.State.Build(w.Fields(), [][]byte{r, r})
	if err != nil || len(st.Records()) != 1 || len(dropped) != 1 || dropped[0].Refusal.Code != wire.CodeReplayed {
		t.Errorf("%v, %v", dropped, err)
	}
}

func TestVerifyWithoutSignatures(t *testing.T) {
	w := newWorld(t, nil)
	r, err := w.Seal(seller, gate(1, open))
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := w.State.Build(w.Fields(), [][]byte{r})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	if _, err := w.State.Verify(st.Block(), ledger.WithVerified(func(id [32]byte) bool {
		asked++
		return id == st.RecordIDs()[0]
	})); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestFullBlockLeavesTheRestForLater(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxRecordsPerBlock = 1 })
	var records [][]byte
	for i := range 3 {
		r, err := w.Seal(seller, gate(uint64(i+1), open))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	st, dropped, err := w.State.Build(w.Fields(), records)
	if err != nil || len(st.Records()) != 1 || len(dropped) != 2 || dropped[0].Refusal != nil {
		t.Errorf("%v, %v", dropped, err)
	}
}

// TestHeaderRules changes one header field at a time of a valid block.
func TestHeaderRules(t *testing.T) {
	w := newWorld(t, nil)
	w.wait(10)
	st, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*fairwattpb.BlockHeader){
		"chain":         func(h *fairwattpb.BlockHeader) { h.ChainId = make([]byte, 32) },
		"height":        func(h *fairwattpb.BlockHeader) { h.Height++ },
		"epoch":         func(h *fairwattpb.BlockHeader) { h.Epoch++ },
		"view":          func(h *fairwattpb.BlockHeader) { h.View++ },
		"leader":        func(h *fairwattpb.BlockHeader) { h.AccountingNode = w.State.Order()[1] },
		"prev hash":     func(h *fairwattpb.BlockHeader) { h.PrevHash = make([]byte, 32) },
		"time":          func(h *fairwattpb.BlockHeader) { h.TimeMs = w.State.TimeMs() },
		"record count":  func(h *fairwattpb.BlockHeader) { h.RecordCount++ },
		"records root":  func(h *fairwattpb.BlockHeader) { h.RecordsRoot = make([]byte, 32) },
		"outcomes root": func(h *fairwattpb.BlockHeader) { h.OutcomesRoot = make([]byte, 32) },
		"state root":    func(h *fairwattpb.BlockHeader) { h.StateRoot = make([]byte, 32) },
	} {
		h := proto.Clone(st.Header()).(*fairwattpb.BlockHeader)
		change(h)
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		block, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Block{Header: encoded})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.State.Verify(block); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEpochOrder(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 2 })
	order := fmt.Sprint(w.State.Order())
	if order != "[da-1 da-2 da-3 da-4]" || w.State.EpochLastHeight() != 2 {
		t.Fatalf("order %s, last height %d", order, w.State.EpochLastHeight())
	}
	advance := func(view uint64) *ledger.Staged {
		t.Helper()
		f := w.Fields()
		f.View, f.AccountingNode = view, w.State.Order()[view%4]
		st, _, err := w.State.Build(f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.State.Commit(st); err != nil {
			t.Fatal(err)
		}
		w.NowMs = w.State.TimeMs()
		return st
	}
	if advance(0).EndsEpoch() {
		t.Error("epoch ends after one block of two")
	}
	if !advance(2).EndsEpoch() {
		t.Error("epoch does not end")
	}
	if got := fmt.Sprint(w.State.Order()); got != "[da-3 da-4 da-1 da-2]" || w.State.Epoch() != 2 {
		t.Errorf("epoch %d has order %s", w.State.Epoch(), got)
	}
	advance(0)
	advance(0)
	if got := fmt.Sprint(w.State.Order()); got != order {
		t.Errorf("the failure is not forgotten after one epoch: %s", got)
	}
	// The second failure in a row of da-1 costs it two epochs, the third four.
	for _, step := range []struct {
		view uint64
		want string
	}{
		{1, "[da-2 da-3 da-4 da-1]"}, {0, "[da-2 da-3 da-4 da-1]"}, {0, order},
		{1, "[da-2 da-3 da-4 da-1]"}, {0, "[da-2 da-3 da-4 da-1]"}, {0, "[da-2 da-3 da-4 da-1]"},
		{0, "[da-2 da-3 da-4 da-1]"}, {0, order},
		// It led this one to its end: all is forgotten.
		{0, order}, {1, "[da-2 da-3 da-4 da-1]"}, {0, order},
	} {
		advance(0)
		advance(step.view)
		if got := fmt.Sprint(w.State.Order()); got != step.want {
			t.Fatalf("epoch %d: order %s, want %s", w.State.Epoch(), got, step.want)
		}
	}
	advance(0)
	advance(9) // everybody but da-2 has failed
	if got := fmt.Sprint(w.State.Order()); got != "[da-2 da-1 da-3 da-4]" {
		t.Errorf("after view 9: %s", got)
	}
}

func TestCertificate(t *testing.T) {
	w := newWorld(t, nil)
	st, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := w.Certify(st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.VerifyCertificate(w.Genesis, st.HeaderHash(), cb.Certificate); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*fairwattpb.Certificate){
		"a vote too few":  func(c *fairwattpb.Certificate) { c.Votes = c.Votes[1:] },
		"a vote twice":    func(c *fairwattpb.Certificate) { c.Votes[1] = c.Votes[0] },
		"out of order":    func(c *fairwattpb.Certificate) { c.Votes[0], c.Votes[1] = c.Votes[1], c.Votes[0] },
		"a stranger":      func(c *fairwattpb.Certificate) { c.Votes[2].Da = "stranger" },
		"another's vote":  func(c *fairwattpb.Certificate) { c.Votes[2].Da = "da-4" },
		"other metadata":  func(c *fairwattpb.Certificate) { c.Metadata = nil },
		"other aux":       func(c *fairwattpb.Certificate) { c.Votes[0].Aux = nil },
		"a bad signature": func(c *fairwattpb.Certificate) { c.Votes[0].Signature[5] ^= 1 },
		"another block":   func(c *fairwattpb.Certificate) { c.HeaderHash[0] ^= 1 },
		"another height":  func(c *fairwattpb.Certificate) { c.Height++ },
	} {
		c := &fairwattpb.Certificate{}
		if err := proto.Unmarshal(cb.Certificate, c); err != nil {
			t.Fatal(err)
		}
		change(c)
		encoded, err := ledger.EncodeCertificate(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.State.VerifyCertified(&fairwattpb.CertifiedBlock{Block: cb.Block, Certificate: encoded}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAnyFlip damages blocks and certificates of a whole trade at random.
func TestAnyFlip(t *testing.T) {
	w := newWorld(t, nil)
	w.toBilled()
	rapid.Check(t, func(t *rapid.T) {
		s, err := ledger.NewState(w.Genesis)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, len(w.Blocks)-1).Draw(t, "block")
		for i, cb := range w.Blocks[:n+1] {
			damaged := i == n
			if damaged {
				cb = proto.Clone(cb).(*fairwattpb.CertifiedBlock)
				part := cb.Block
				if rapid.Bool().Draw(t, "certificate") {
					part = cb.Certificate
				}
				part[rapid.IntRange(0, len(part)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
			}
			st, err := s.VerifyCertified(cb)
			if damaged != (err != nil) {
				t.Fatalf("block %d, damaged %v: %v", i+1, damaged, err)
			}
			if err == nil {
				if err := s.Commit(st); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestNeverLosesMoney sends random records of every kind in random order,
// some of them twice, with random times between, and checks after each block
// that money is conserved, that no replay applies, and that another state that
// follows the blocks, and one restored from the entries, come to the same root.
func TestNeverLosesMoney(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		c, err := ledgertest.New(ledgertest.Genesis(1, 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		w := &world{c, outer}
		rapid.SampledFrom([]func(*world){
			func(*world) {}, (*world).toRequested, (*world).toEscrowed, (*world).toPaid, (*world).toDelivering, (*world).toBilled,
		}).Draw(t, "begins at")(w)
		var sent [][]byte
		for range rapid.IntRange(5, 40).Draw(t, "records") {
			sender, r := w.randomRecord(t)
			sealed, err := w.Seal(sender, r)
			if err != nil {
				t.Fatal(err)
			}
			block := [][]byte{sealed}
			if len(sent) > 0 && rapid.IntRange(0, 9).Draw(t, "replay") == 0 {
				block = append(block, rapid.SampledFrom(sent).Draw(t, "old"))
			}
			st, dropped, err := w.State.Build(w.Fields(), block)
			if err != nil {
				t.Fatal(err)
			}
			if len(dropped) != len(block)-1 || len(dropped) == 1 && dropped[0].Refusal.Code != wire.CodeReplayed {
				t.Fatalf("%d of %d dropped", len(dropped), len(block))
			}
			sent = append(sent, sealed)
			if err := w.State.Commit(st); err != nil {
				t.Fatal(err)
			}
			w.NowMs = w.State.TimeMs() + rapid.Int64Range(0, 20).Draw(t, "pause")*120_000
			if totals := w.State.Totals(); !totals.Conserved {
				t.Fatalf("%+v", totals)
			}
		}
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil || again.Root() != w.State.Root() {
			t.Fatalf("restored: %v", err)
		}
	})
}

func (w *world) randomRecord(t *rapid.T) (string, *fairwattpb.Record) {
	wh := rapid.Int64Range(0, 4000).Draw(t, "wh")
	attestation := func() []byte {
		a, err := w.Attest(seller, rapid.Uint64Range(1, 4).Draw(t, "seq"), open, 60_000)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		return ledgertest.Centre, deposit(buyer, rapid.Int64Range(1, 1_000_000).Draw(t, "amount"), fmt.Sprint("d", w.State.Height()))
	case 1:
		state := fairwattpb.GateState(rapid.IntRange(1, 4).Draw(t, "state"))
		return seller, gate(rapid.Uint64Range(1, 4).Draw(t, "seq"), state)
	case 2:
		return seller, w.offer(rapid.Int64Range(0, 5000).Draw(t, "volume"), 200_000)
	case 3:
		return buyer, w.request(2000, 300_000)
	case 4:
		return ledgertest.Centre, w.response(nil)
	case 5:
		return buyer, pay(nil)
	case 6:
		return seller, start(attestation(), wh)
	case 7:
		return seller, hold(rapid.Uint64Range(1, 5).Draw(t, "seq"), wh)
	case 8:
		return seller, resume(attestation(), wh)
	case 9:
		r := w.bill(wh, wh/2, wh/2*200)
		if id := r.GetBill(); len(id.PayId) == 0 {
			id.PayId = make([]byte, 32)
		}
		return seller, r
	case 10:
		return buyer, confirm(100+wh, wh)
	}
	return buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Reading{Reading: &fairwattpb.Reading{TradeId: "token-1", Reading: at("buyer-1-meter", wh)}}}
}
