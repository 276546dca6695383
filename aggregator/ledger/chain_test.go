package ledger_test

import (
	"crypto"
	"fmt"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
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

// forge encodes a block of records under a header that the test bends.
func (w *world) forge(records [][]byte, change func(*fairwattpb.BlockHeader)) []byte {
	w.t.Helper()
	st, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	h := proto.Clone(st.Header()).(*fairwattpb.BlockHeader)
	h.RecordCount = uint32(len(records))
	if change != nil {
		change(h)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Block{Header: encoded, Records: records})
	if err != nil {
		w.t.Fatal(err)
	}
	return block
}

// TestHeaderRules changes one header field at a time of a valid block; the
// error names it.
func TestHeaderRules(t *testing.T) {
	w := newWorld(t, nil)
	w.wait(10)
	for name, change := range map[string]func(*fairwattpb.BlockHeader){
		"chain_id":        func(h *fairwattpb.BlockHeader) { h.ChainId = make([]byte, 32) },
		"height":          func(h *fairwattpb.BlockHeader) { h.Height++ },
		"epoch":           func(h *fairwattpb.BlockHeader) { h.Epoch++ },
		"accounting_node": func(h *fairwattpb.BlockHeader) { h.View++ },
		"prev_hash":       func(h *fairwattpb.BlockHeader) { h.PrevHash = make([]byte, 32) },
		"time_ms":         func(h *fairwattpb.BlockHeader) { h.TimeMs = w.State.TimeMs() },
		"record_count":    func(h *fairwattpb.BlockHeader) { h.RecordCount++ },
		"records_root":    func(h *fairwattpb.BlockHeader) { h.RecordsRoot = make([]byte, 32) },
		"outcomes_root":   func(h *fairwattpb.BlockHeader) { h.OutcomesRoot = make([]byte, 32) },
		"state_root":      func(h *fairwattpb.BlockHeader) { h.StateRoot = make([]byte, 32) },
	} {
		if _, err := w.State.Verify(w.forge(nil, change)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.State.Verify(w.forge(nil, nil)); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	other := func(h *fairwattpb.BlockHeader) { h.AccountingNode = w.State.Order()[1] }
	if _, err := w.State.Verify(w.forge(nil, other)); err == nil || !strings.Contains(err.Error(), "accounting_node") {
		t.Errorf("another leader: %v", err)
	}
}

// TestBlockTimeRises: a block is later than the one below it, the first than
// the genesis, and none is after the year 9999.
func TestBlockTimeRises(t *testing.T) {
	w := newWorld(t, nil)
	for _, below := range []int64{ledgertest.StartMs, ledgertest.StartMs + 1} {
		for ms, good := range map[int64]bool{below - 1: false, below: false, below + 1: true, ledger.MaxTimeMs: true, ledger.MaxTimeMs + 1: false} {
			f := w.Fields()
			f.TimeMs = ms
			if _, _, err := w.State.Build(f, nil); good != (err == nil) || !good && !strings.Contains(err.Error(), "time_ms") {
				t.Errorf("%d after %d: %v", ms, below, err)
			}
		}
		w.wait(0)
	}
}

// TestRecordsOfABlock: a block with one record that may not stand in it is no
// block, and it has no more than max_records_per_block.
func TestRecordsOfABlock(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxRecordsPerBlock = 2 })
	one, two, three := w.sealed(seller, 1, gate(1, open)), w.sealed(seller, 2, gate(2, open)), w.sealed(seller, 3, gate(3, open))
	bad := w.sealed(seller, 4, gate(4, open))
	bad[len(bad)-1] ^= 1
	for _, c := range []struct {
		name    string
		records [][]byte
		want    string
	}{
		{"a bad signature", [][]byte{one, bad}, "record 1 may not stand in a block: " + wire.CodeBadSignature},
		{"a replay", [][]byte{one, one}, "record 1 may not stand in a block: " + wire.CodeReplayed},
		{"garbage", [][]byte{[]byte("x")}, "record 0 may not stand in a block: " + wire.CodeMalformed},
		{"too many", [][]byte{one, two, three}, "3 records, at most 2"},
		{"as many as may be", [][]byte{one, two}, "records_root"}, // only the forged roots are wrong
	} {
		if _, err := w.State.Verify(w.forge(c.records, nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	// A record that the market refuses stands in its block.
	st, dropped, err := w.State.Build(w.Fields(), [][]byte{one, w.sealed(seller, 5, gate(1, blocked))})
	if err != nil || len(dropped) != 0 || st.Outcomes()[1].GetCode() != wire.CodeGateSeqOld {
		t.Fatalf("%v, %v, %v", st.Outcomes(), dropped, err)
	}
	if _, err := w.State.Verify(st.Block()); err != nil {
		t.Errorf("own block: %v", err)
	}
}

// TestVerifiedSignatures: a signature is checked once: not again when the
// caller remembers it, and always when it does not.
func TestVerifiedSignatures(t *testing.T) {
	w := newWorld(t, nil)
	bad := w.sealed(seller, 1, gate(1, open))
	bad[len(bad)-1] ^= 1
	for known, kept := range map[bool]int{true: 1, false: 0} {
		st, _, err := w.State.Build(w.Fields(), [][]byte{bad}, ledger.WithVerified(func([32]byte) bool { return known }))
		if err != nil || len(st.Records()) != kept {
			t.Errorf("remembered %v: %d records, %v", known, len(st.Records()), err)
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
	advance(9) // all but da-2 have failed
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
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.State.VerifyCertified(&fairwattpb.CertifiedBlock{Block: cb.Block, Certificate: encoded}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Votes that were given in different rounds decide nothing together: who voted in an early
// one may have been released since, and have voted for another block.
func TestCertificateOfTwoRounds(t *testing.T) {
	w := newWorld(t, nil)
	st, _, err := w.State.Build(w.Fields(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, voters := st.HeaderHash(), w.State.Members()
	certificate := func(auxes ...[]byte) []byte {
		c := &fairwattpb.Certificate{Height: st.Header().GetHeight(), HeaderHash: hash[:], Metadata: []byte("metadata")}
		for k, aux := range auxes {
			da := voters.Names()[k]
			vote := seal.Preimage(seal.DomainVote, w.State.ChainID(), da, wire.VotePayload(hash, c.Metadata, aux))
			signature, err := w.KeyOf(da).Sign(nil, vote, crypto.Hash(0))
			if err != nil {
				t.Fatal(err)
			}
			c.Votes = append(c.Votes, &fairwattpb.Vote{Da: da, Aux: aux, Signature: signature})
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first, second, own := wire.RoundAux(1), wire.RoundAux(2), []byte{0x0a, 1, 1}
	header, err := proto.Marshal(st.Header())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		auxes [][]byte
		good  bool
	}{
		"one round":                 {[][]byte{second, second, second}, true},
		"the block's own view":      {[][]byte{own, own, own}, true},
		"two rounds":                {[][]byte{first, second, second}, false},
		"a round, and the own view": {[][]byte{own, own, first}, false},
		"from before rounds":        {[][]byte{nil, own, nil}, true},
	} {
		raw := certificate(c.auxes...)
		if _, err := ledger.VerifyCertificate(w.Genesis, hash, raw); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := voters.Certify(header, raw); (err == nil) != c.good {
			t.Errorf("%s, to who follows the members: %v", name, err)
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
