package ledger_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// lengthened writes the length at byte i, which has to be one of two bytes, in
// three.
func lengthened(t *testing.T, block []byte, i int) []byte {
	t.Helper()
	if block[i] < 0x80 || block[i+1] >= 0x80 {
		t.Fatalf("no length of two bytes at byte %d", i)
	}
	return slices.Concat(block[:i+1], []byte{block[i+1] | 0x80, 0}, block[i+2:])
}

// A block has one form. Its id covers the header only, so whoever could write the
// lengths in another way could make other bytes of the same certified block.
func TestBlockHasOneForm(t *testing.T) {
	w := newWorld(t, nil)
	w.must(ledgertest.Centre, deposit(buyer, 5, "a"))
	cb := w.Blocks[len(w.Blocks)-1]
	block := cb.Block
	headerLength, n := protowire.ConsumeVarint(block[1:])
	if n != 2 {
		t.Fatalf("the header's length has %d bytes", n)
	}
	record := 1 + n + int(headerLength) // where the record's field begins
	for name, b := range map[string][]byte{
		"no bytes":                         nil,
		"long form of the header's length": lengthened(t, block, 1),
		"long form of a record's length":   lengthened(t, block, record+1),
		"a length without an end":          slices.Concat(block[:record+1], []byte{0xff, 0xff}),
		"a record without a length":        block[:record+1],
		"a record cut off":                 block[:len(block)-1],
		"an empty record":                  append(slices.Clone(block), 0x12, 0),
		"no header":                        block[record:],
		"two headers":                      slices.Concat(block[:record], block),
		"a field that no block has":        append(slices.Clone(block), 0x1a, 1, 'x'),
		"a header of nothing":              {0x0a, 0},
	} {
		if _, _, _, err := ledger.DecodeBlock(b); err == nil || !strings.HasPrefix(err.Error(), "block: ") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.State.Verify(b); err == nil {
			t.Errorf("%s: a block of the chain", name)
		}
	}
	if _, _, records, err := ledger.DecodeBlock(block); err != nil || len(records) != 1 {
		t.Errorf("the block itself: %d records, %v", len(records), err)
	}
	if _, _, records, err := ledger.DecodeBlock(block[:record]); err == nil {
		t.Errorf("a block with record_count 1 and %d records", len(records))
	}
}

// A header is small: its length is looked at before anything in it is.
func TestHeaderSize(t *testing.T) {
	header := func(n int) []byte {
		h := &fairwattpb.BlockHeader{Height: 1}
		for len(h.AccountingNode) < n {
			b, err := proto.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) == n {
				return append(protowire.AppendVarint([]byte{0x0a}, uint64(n)), b...)
			}
			h.AccountingNode += "x"
		}
		t.Fatalf("no header has %d bytes", n)
		return nil
	}
	if _, _, _, err := ledger.DecodeBlock(header(ledger.MaxHeaderBytes)); err != nil {
		t.Errorf("the largest header: %v", err)
	}
	if _, _, _, err := ledger.DecodeBlock(header(ledger.MaxHeaderBytes + 1)); err == nil {
		t.Error("a header of a byte more is decoded")
	}
}

// VerifyCertificate returns the certificate it has found good, and names what is
// wrong with another.
func TestVerifyCertificateNames(t *testing.T) {
	w := newWorld(t, nil)
	st, err := w.Advance()
	if err != nil {
		t.Fatal(err)
	}
	good := w.Blocks[len(w.Blocks)-1].Certificate
	c, err := ledger.VerifyCertificate(w.Genesis, st.HeaderHash(), good)
	if err != nil || c.GetHeight() != 1 || len(c.GetVotes()) != 3 {
		t.Fatalf("the block's certificate: %v, %v", c, err)
	}
	stranger := proto.Clone(c).(*fairwattpb.Certificate)
	stranger.Votes[2].Da = "stranger"
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(stranger)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		cert []byte
		want string
	}{
		"a stranger's vote":    {encoded, "who is no data aggregator"},
		"no certificate":       {nil, "for another block"},
		"a byte over the size": {make([]byte, ledger.MaxCertificateBytes+1), "bytes, at most"},
		"garbage of the size":  {make([]byte, ledger.MaxCertificateBytes), "decode Certificate"},
	} {
		if c, err := ledger.VerifyCertificate(w.Genesis, st.HeaderHash(), bad.cert); c != nil || err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", name, err, bad.want)
		}
	}
	broken := *w.Genesis
	broken.Aggregators = slices.Clone(broken.Aggregators)
	broken.Aggregators[0].PublicKey = "ed25519:"
	if c, err := ledger.VerifyCertificate(&broken, st.HeaderHash(), good); c != nil || err == nil {
		t.Errorf("a genesis without a key verifies: %v", err)
	}
}

// A record with two faults is refused for the first of them.
func TestFirstFaultIsNamed(t *testing.T) {
	w := newWorld(t, nil)
	for first, change := range map[string]func(*fairwattpb.Pay){
		"token_id": func(p *fairwattpb.Pay) { p.TokenId, p.OfferId = "", "" },
		"offer_id": func(p *fairwattpb.Pay) { p.OfferId, p.VolumeWh = "", -1 },
	} {
		r := pay(change)
		chain := w.State.ChainID()
		r.ChainId, r.Sender, r.Counter, r.TimeMs = chain[:], buyer, 1, w.NowMs
		_, err := w.State.CheckRecord(sealRaw(t, w, r))
		if err == nil || !strings.Contains(err.Error(), first+": want") {
			t.Errorf("%v, want a word on %s", err, first)
		}
	}
}

// A registration with two faults likewise.
func TestFirstFaultOfARegistration(t *testing.T) {
	w := newWorld(t, nil)
	for first, change := range map[string]func(*fairwattpb.Registration){
		"id":         func(r *fairwattpb.Registration) { r.Id, r.PublicKey = "", "" },
		"public_key": func(r *fairwattpb.Registration) { r.PublicKey, r.Roles = "", nil },
		"roles":      func(r *fairwattpb.Registration) { r.Roles, r.MeterClassE4 = nil, ledger.MaxMeterClassE4+1 },
	} {
		r := w.examples()["registration"]
		change(r.GetRegistration())
		_, err := w.State.CheckRecord(sealRaw(t, w, r))
		if err == nil || !strings.Contains(err.Error(), ": "+first+": ") {
			t.Errorf("%v, want a word on %s", err, first)
		}
	}
}

// The chain keeps what a seller says that switches its power. An offer that says
// nothing, as every one did before, leaves the state as it was then.
func TestContactorOfASeller(t *testing.T) {
	w, old := newWorld(t, nil), newWorld(t, nil)
	w.must(seller, w.offer(1, 1))
	old.must(seller, old.offer(1, 1))
	if w.State.Root() != old.State.Root() || w.State.ContactorOf(seller) != 0 {
		t.Errorf("an offer that says nothing: %v", w.State.ContactorOf(seller))
	}
	for _, c := range []fairwattpb.Contactor{
		fairwattpb.Contactor_CONTACTOR_WATCHED, fairwattpb.Contactor_CONTACTOR_NONE, fairwattpb.Contactor_CONTACTOR_UNWATCHED, 0,
	} {
		r := w.offer(1, 1)
		r.GetOffer().Contactor = c
		w.must(seller, r)
		want := c
		if c == 0 { // it has said so before
			want = fairwattpb.Contactor_CONTACTOR_UNWATCHED
		}
		if got := w.State.ContactorOf(seller); got != want {
			t.Errorf("said %v, kept %v", c, got)
		}
	}
	r := w.offer(1, 1)
	r.GetOffer().Contactor = 4
	if _, err := w.Send(seller, r); err == nil || !strings.Contains(err.Error(), "contactor: 4") {
		t.Errorf("an unknown contactor: %v", err)
	}
}

// What expires too early or too late is told how far off it is.
func TestExpiryIsTold(t *testing.T) {
	for ahead, want := range map[int64]string{
		-7: "expires_ms: 7 ms before block time", 0: "expires_ms: 0 ms before block time",
		ledgertest.Genesis(4, 2, 2).Params.MaxStandingMs + 7: "ms ahead, at most",
	} {
		w := newWorld(t, nil)
		r := w.offer(1, 1)
		r.GetOffer().ExpiresMs = w.NowMs + 1 + ahead
		o, err := w.Send(seller, r)
		if err != nil || !strings.Contains(o.GetReason(), want) {
			t.Errorf("%d ms ahead: %v, %v, want %q", ahead, o, err, want)
		}
		if ahead > 0 && !strings.Contains(o.GetReason(), "expires_ms: "+strconv.FormatInt(ahead, 10)+" ms ahead") {
			t.Errorf("%d ms ahead: %v", ahead, o)
		}
	}
}

// An attestation that is too old or too new is told how far off it is.
func TestAttestationIsToldHowFarOff(t *testing.T) {
	for want, change := range map[string]func(*world, *fairwattpb.GateAttestation){
		"ran out 7 ms before block time": func(w *world, a *fairwattpb.GateAttestation) { a.ValidUntilMs = w.NowMs + 1 - 7 },
		"issued 5007 ms after block time": func(w *world, a *fairwattpb.GateAttestation) {
			a.IssuedMs = w.NowMs + 1 + w.Genesis.Params.SkewMs + 7
		},
	} {
		w := newWorld(t, nil)
		w.toPaid()
		o, err := w.Send(seller, startWith(seller, change)(w))
		if err != nil || !strings.HasSuffix(o.GetReason(), want) {
			t.Errorf("%v, %v, want %q", o, err, want)
		}
	}
}

// Taking an offer back is never refused: not for a time that is over, and not to a
// seller who may not sell any more.
func TestWithdrawalAlwaysApplies(t *testing.T) {
	withdrawal := func(w *world) *fairwattpb.Record {
		r := w.offer(0, 200_000)
		r.GetOffer().ExpiresMs = 1
		return r
	}
	w := newWorld(t, nil)
	w.toRequested()
	w.must(seller, withdrawal(w))
	if offers := w.State.Offers(); len(offers) != 0 {
		t.Errorf("withdrawn, and still on the market: %+v", offers)
	}
	strict(func(w *world) {
		w.toPaid()
		w.wait(w.Genesis.Params.StartByMs)
		w.must(seller, withdrawal(w))
	})(newWorld(t, nil))
}

// Lists of the state are in the order of their keys, whatever the order in memory.
func TestListsAreInOrder(t *testing.T) {
	g := ledgertest.Genesis(4, 12, 12)
	s, err := ledger.NewState(g)
	if err != nil {
		t.Fatal(err)
	}
	all := s.Participants()
	if len(all) != 25 || !slices.IsSortedFunc(all, func(a, b ledger.Participant) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d participants: %+v", len(all), all)
	}
	if entries := s.Entries(); !slices.IsSortedFunc(entries, func(a, b ledger.Entry) int { return strings.Compare(string(a.Key), string(b.Key)) }) {
		t.Error("entries out of order")
	}
}

// A trade whose id is one letter runs out like any other.
func TestShortestTokenRunsOut(t *testing.T) {
	w := newWorld(t, nil)
	w.toRequested()
	w.must(ledgertest.Centre, w.response(func(r *fairwattpb.Response) { r.Token.TokenId = "t" }))
	w.wait(600_000)
	if trade, ok := w.State.Trade("t"); !ok || trade.Status != wire.StatusRefunded {
		t.Errorf("%+v", trade)
	}
}

// The decoded form in an export is JSON in which lists have all their elements,
// enums their names and numbers their digits.
func TestExportedForm(t *testing.T) {
	w := newWorld(t, nil)
	w.NowMs += 1
	var sealed [][]byte
	for _, r := range []record{deposit(buyer, 5, "a:b"), deposit(buyer, 6, "c")} {
		b, err := w.Seal(ledgertest.Centre, r)
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	shut, err := w.Seal(seller, gate(1, blocked))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Advance(append(sealed, shut)...); err != nil {
		t.Fatal(err)
	}
	decoded, err := ledger.DecodedJSON(w.Blocks[len(w.Blocks)-1])
	if err != nil {
		t.Fatal(err)
	}
	var view struct {
		Records []struct {
			ID     string
			Record json.RawMessage
		}
		Votes []string
	}
	if err := json.Unmarshal(decoded, &view); err != nil {
		t.Fatalf("%v in %s", err, decoded)
	}
	if len(view.Votes) != 3 || view.Votes[0] != "da-1" || len(view.Records) != 3 || len(view.Records[0].ID) != 64 {
		t.Errorf("votes %v, records %+v", view.Votes, view.Records)
	}
	for i, want := range []string{
		`"deposit":{"to":"buyer-1","amount_micro":5,"reference":"a:b"}}`,
		`"deposit":{"to":"buyer-1","amount_micro":6,"reference":"c"}}`,
		`"gate_change":{"gate_seq":1,"state":"GATE_STATE_BLOCKED"}}`,
	} {
		if got := string(view.Records[i].Record); !strings.HasSuffix(got, want) {
			t.Errorf("record %d: %s, want the end %s", i, got, want)
		}
	}
}

// An amount so large that a thousand times it wraps around 64 bits is no product.
func TestExactDoesNotWrap(t *testing.T) {
	const wraps = 1 << 61 // a thousand times this is 125 times 2^64
	for amount, want := range map[int64]bool{0: true, wraps: false, 2 * wraps: false, -wraps: false, 1: false, -1: false} {
		if ledger.Exact(amount, 0, 1) != want {
			t.Errorf("%d is 0 Wh at 1 micro/kWh: %v", amount, !want)
		}
	}
}

// The first sequence is that of the communication tree over the genesis: the best
// linked and most trusted lead, whatever their place in the list.
func TestFirstSequenceIsTheTrees(t *testing.T) {
	g := ledgertest.Genesis(4, 2, 2)
	for i, links := range []int{1, 1, 3, 1} {
		g.Aggregators[i].Links = links
	}
	g.Aggregators[2].TrustE4, g.Aggregators[3].TrustE4 = 9900, 9500
	in := &wct.Input{
		N: 4, OverheadUs: g.OverheadUs, TrustWeight: g.Params.WeightTrust, LinkWeight: g.Params.WeightLinks,
		TrustThresholdE4: g.Params.TThreE4, OverheadThresholdUs: g.Params.WThreUs,
	}
	for _, da := range g.Aggregators {
		in.TrustE4, in.Links = append(in.TrustE4, da.TrustE4), append(in.Links, da.Links)
	}
	tree, err := wct.Build(in, wct.WCT)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, i := range tree.Sequence {
		want = append(want, g.Aggregators[i].ID)
	}
	s, err := ledger.NewState(g)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Order(); !slices.Equal(got, want) || got[0] != "da-3" {
		t.Errorf("order %v, want %v", got, want)
	}
}
