package receipt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/store"
	"fairwatt/proto/boltfile"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// office is a Mailer over a growing chain, and what devices hear of it.
type office struct {
	*Mailer
	t     *testing.T
	chain *ledgertest.Chain
	store *store.Store
	dir   string
	now   time.Time
	pipe  *mqtttest.Pipe
	heard chan heard
}

type heard struct {
	to      string
	receipt *fairwattpb.Receipt
}

func newOffice(t *testing.T) *office { return newOfficeOf(t, ledgertest.Genesis(1, 1, 1)) }

func newOfficeOf(t *testing.T, g *ledger.Genesis) *office {
	t.Helper()
	chain, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, chain: chain, dir: t.TempDir(), now: time.Unix(1_800_000_000, 0), heard: make(chan heard, 1024)}
	if o.store, err = store.Open(filepath.Join(o.dir, "chain.db"), chain.State.ChainID()); err != nil {
		t.Fatal(err)
	}
	broker := &mqtttest.Broker{}
	o.pipe = broker.Pipe(mqtt.Will{})
	ears := broker.Pipe(mqtt.Will{})
	ears.Subscribe(wire.EveryDevice(wire.ClassReceipt+"+"), o.hear)
	for _, p := range []*mqtttest.Pipe{ears, o.pipe} {
		if err := p.Open(); err != nil {
			t.Fatal(err)
		}
	}
	o.reopen()
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// reopen makes the mailer again, as a restarted DA does.
func (o *office) reopen() {
	o.t.Helper()
	if o.Mailer != nil {
		if err := o.Close(); err != nil {
			o.t.Fatal(err)
		}
	}
	outcomes, err := Open(filepath.Join(o.dir, File), o.store)
	if err != nil {
		o.t.Fatal(err)
	}
	o.Mailer = NewMailer(Config{
		DA: "da-1", Key: ledgertest.Key("da-1"), Chain: o.chain.State.ChainID(), Pipes: []mqtt.Pipe{o.pipe},
		SiteOf: func(id string) (string, bool) {
			p, ok := o.chain.State.Participant(id)
			return p.Site, ok && p.Site != ""
		},
		Now: func() time.Time { return o.now }, Log: slog.New(slog.DiscardHandler),
	}, outcomes)
}

func (o *office) hear(m mqtt.Message) {
	_, payload, err := seal.Open(m.Payload, seal.DomainReceipt, o.chain.State.ChainID(), func(id string) (ed25519.PublicKey, bool) {
		return ledgertest.Key(id).Public().(ed25519.PublicKey), id == "da-1"
	})
	r := &fairwattpb.Receipt{}
	if err == nil {
		err = proto.Unmarshal(payload, r)
	}
	t, topicErr := wire.ParseTopic(m.Topic)
	if err != nil || topicErr != nil || t.Class != wire.ClassReceipt+"da-1" {
		o.t.Errorf("receipt on %s: %v", m.Topic, err)
		return
	}
	o.heard <- heard{t.Device, r}
}

// commit puts a block of records on the chain, as a DA does, and queues its
// receipts.
func (o *office) commit(sealed ...[]byte) *ledger.Staged {
	o.t.Helper()
	st, err := o.chain.Advance(sealed...)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.store.Append(st, o.chain.Blocks[len(o.chain.Blocks)-1]); err != nil {
		o.t.Fatal(err)
	}
	if err := o.Write(st); err != nil {
		o.t.Fatal(err)
	}
	o.Add(st)
	o.Block(st)
	return st
}

func (o *office) gate(counter uint64, state fairwattpb.GateState) []byte {
	o.t.Helper()
	sealed, err := o.chain.SealAs("seller-1", counter, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
		GateChange: &fairwattpb.GateChange{GateSeq: counter, State: state},
	}})
	if err != nil {
		o.t.Fatal(err)
	}
	return sealed
}

// flush delivers what is queued, in order, and returns who heard how much.
func (o *office) flush() []heard {
	o.t.Helper()
	for _, q := range o.queues {
		for len(q) > 0 {
			o.deliver(o.t.Context(), <-q)
		}
	}
	var out []heard
	for len(o.heard) > 0 {
		out = append(out, <-o.heard)
	}
	return out
}

const open = fairwattpb.GateState_GATE_STATE_OPEN

var seller = wire.Topics{Site: "site-seller-1", Device: "seller-1"}

// TestOutcomesOutliveARestart: a record that is final is answered again with
// the same words, after a restart too, and only its sender is told.
func TestOutcomesOutliveARestart(t *testing.T) {
	o := newOffice(t)
	applied, refused := o.gate(5, open), o.gate(4, open) // gate_seq 4 comes late
	o.commit(applied, refused)
	first := o.flush()
	if len(first) != 1 || first[0].to != "seller-1" || len(first[0].receipt.GetEntries()) != 2 || first[0].receipt.GetHeight() != 1 {
		t.Fatalf("heard %+v", first)
	}
	said := first[0].receipt.GetEntries()
	if !said[0].GetOutcome().GetApplied() || said[1].GetOutcome().GetCode() != wire.CodeGateSeqOld || said[1].GetCounter() != 4 {
		t.Errorf("said %v", said)
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			o.reopen()
		}
		for i, sealed := range [][]byte{applied, refused} {
			id := seal.ID(sealed)
			if !o.Has(id) {
				t.Fatalf("restarted %v: record %d is not known", restarted, i)
			}
			o.Repeat(wire.Topics{Site: "site-buyer-1", Device: "buyer-1"}, id)
			if again := o.flush(); len(again) != 0 {
				t.Errorf("another was told: %+v", again)
			}
			o.Repeat(seller, id)
			again := o.flush()
			if len(again) != 1 || again[0].receipt.GetHeight() != 1 || len(again[0].receipt.GetEntries()) != 1 || !proto.Equal(again[0].receipt.GetEntries()[0], said[i]) {
				t.Errorf("restarted %v, record %d: %+v", restarted, i, again)
			}
		}
		if unknown := [32]byte{1}; o.Has(unknown) {
			t.Error("an unknown record is final")
		} else if o.Repeat(seller, unknown); len(o.flush()) != 0 {
			t.Error("an unknown record was answered")
		}
	}
}

// TestRefusalsAreLimited: a device that floods bad records hears so many
// answers at once and then so many a second; another is answered all the same.
func TestRefusalsAreLimited(t *testing.T) {
	o := newOffice(t)
	flood := func(n int, to wire.Topics) (heard int) {
		for i := range n {
			o.Refuse(to, [32]byte{byte(i), byte(i >> 8)}, nil, wire.CodeMalformed, "bad")
		}
		return len(o.flush())
	}
	if n := flood(refusalsAtOnce+7, seller); n != refusalsAtOnce || o.dropped.Load() != 7 {
		t.Errorf("%d answers at once, %d dropped; want %d and 7", n, o.dropped.Load(), refusalsAtOnce)
	}
	if n := flood(3, wire.Topics{Site: "site-buyer-1", Device: "buyer-1"}); n != 3 {
		t.Errorf("another device heard %d of 3", n)
	}
	o.now = o.now.Add(time.Second)
	if n := flood(2*refusalsPerS, seller); n != refusalsPerS {
		t.Errorf("%d answers a second later, want %d", n, refusalsPerS)
	}
}

// TestRefusalNamesTheRecord: height 0, the id, the code and the reason; sender
// and counter where the record could be read.
func TestRefusalNamesTheRecord(t *testing.T) {
	o := newOffice(t)
	sealed := o.gate(3, open)
	c, err := o.chain.State.CheckRecord(sealed)
	if err != nil {
		t.Fatal(err)
	}
	o.Refuse(seller, c.ID, c, wire.CodeWrongTopic, "why")
	o.Refuse(seller, [32]byte{9}, nil, wire.CodeMalformed, "bad")
	o.RefuseSender("seller-1", c.ID, wire.CodeReplayed, "used")
	o.RefuseSender(ledgertest.Centre, c.ID, wire.CodeReplayed, "a centre has no site")
	o.RefuseSender("stranger", c.ID, wire.CodeReplayed, "no one")
	got := o.flush()
	if len(got) != 3 {
		t.Fatalf("heard %+v", got)
	}
	for i, want := range []struct {
		id      [32]byte
		counter uint64
		code    string
	}{{c.ID, 3, wire.CodeWrongTopic}, {[32]byte{9}, 0, wire.CodeMalformed}, {c.ID, 0, wire.CodeReplayed}} {
		r := got[i].receipt
		e := r.GetEntries()[0]
		if r.GetHeight() != 0 || [32]byte(e.GetRecordId()) != want.id || e.GetSender() != "seller-1" || e.GetCounter() != want.counter ||
			e.GetOutcome().GetApplied() || e.GetOutcome().GetCode() != want.code || e.GetOutcome().GetReason() == "" {
			t.Errorf("answer %d: %v", i, r)
		}
	}
}

// TestAgain: a device that comes online hears its newest receipts once more, but
// not each time within a few seconds, and none that is old.
func TestAgain(t *testing.T) {
	o := newOffice(t)
	for i := range uint64(keptReceipts + 3) {
		o.commit(o.gate(i+1, open))
		o.flush() // it kept them as it sent them
	}
	o.Again(seller)
	got := o.flush()
	if len(got) != keptReceipts || got[0].receipt.GetHeight() != 4 {
		t.Fatalf("%d receipts again, want the newest %d", len(got), keptReceipts)
	}
	o.now = o.now.Add(againEvery - 1)
	if o.Again(seller); len(o.flush()) != 0 {
		t.Error("again at once")
	}
	o.now = o.now.Add(1)
	if o.Again(seller); len(o.flush()) != keptReceipts {
		t.Error("not again after a while")
	}
	o.now = time.Unix(1_800_000_000, 0).Add(keptFor)
	if o.Again(seller); len(o.flush()) != 0 {
		t.Error("old receipts again")
	}
	if o.Again(wire.Topics{Site: "site-buyer-1", Device: "buyer-1"}); len(o.flush()) != 0 {
		t.Error("a device that was sent nothing")
	}
}

// TestBlockTellsTheOthers: whom a record concerns hears of it with the record
// itself; a centre, which has no site, follows the chain.
func TestBlockTellsTheOthers(t *testing.T) {
	o := newOffice(t)
	sealed, err := o.chain.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{
		Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 5, Reference: "r"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	o.commit(sealed, o.gate(1, open))
	told := make(map[string]*fairwattpb.ReceiptEntry)
	for _, h := range o.flush() {
		want := 1
		if h.to == "buyer-1" { // whose money moved
			want = 2
			e := h.receipt.GetEntries()[1]
			if e.GetSender() != "buyer-1" || e.GetAccount().GetWalletMicro() != 5 || e.GetRecord() != nil || e.GetOutcome() != nil {
				t.Errorf("the account: %v", e)
			}
		}
		if len(h.receipt.GetEntries()) != want {
			t.Fatalf("%s heard %v", h.to, h.receipt)
		}
		told[h.to] = h.receipt.GetEntries()[0]
	}
	buyer := told["buyer-1"]
	if len(told) != 2 || string(buyer.GetRecord()) != string(sealed) || buyer.GetSender() != ledgertest.Centre || !buyer.GetOutcome().GetApplied() {
		t.Errorf("told %v", told)
	}
	if own := told["seller-1"]; len(own.GetRecord()) != 0 || own.GetCounter() != 1 {
		t.Errorf("the sender was told %v", own)
	}
	if o.Sent() != 3 {
		t.Errorf("%d entries sent", o.Sent())
	}
}

// A payment that becomes two trades tells its sender of both.
func TestAPaymentTellsItsSenderOfEveryLot(t *testing.T) {
	g := ledgertest.Genesis(1, 2, 1)
	g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
	o := newOfficeOf(t, g)
	later := o.chain.NowMs + 60_000
	send := func(sender string, r *fairwattpb.Record) {
		sealed, err := o.chain.Seal(sender, r)
		if err != nil {
			t.Fatal(err)
		}
		o.commit(sealed)
	}
	send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "r"}}})
	pay := &fairwattpb.Pay{BuyerReading: &fairwattpb.MeterReading{Meter: "buyer-1-meter"}, MoreReadings: []*fairwattpb.MeterReading{{Meter: "buyer-1-meter-2"}}}
	for _, id := range []string{"seller-1", "seller-2"} {
		send(id, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 1, State: open}}})
		send(id, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{OfferId: "o-" + id, VolumeWh: 100, PriceMicroPerKwh: 1000, ExpiresMs: later}}})
		pay.Choices = append(pay.Choices, &fairwattpb.Choice{OfferId: "o-" + id, Seller: id, PriceMicroPerKwh: 1000, MaxWh: 100})
	}
	o.flush()
	send("buyer-1", &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: "r", VolumeWh: 200, MaxPriceMicroPerKwh: 1000, ExpiresMs: later}}})
	pay.TokenId = o.flush()[0].receipt.GetEntries()[0].GetTrade().GetAnswer().GetToken().GetTokenId()
	send("buyer-1", &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: pay}})
	told := make(map[string]string)
	for _, h := range o.flush() {
		if h.to == "buyer-1" {
			for _, e := range h.receipt.GetEntries() {
				told[e.GetTrade().GetTradeId()] = e.GetTrade().GetLot().GetSeller()
			}
		}
	}
	if told[pay.TokenId] != "seller-1" || told[pay.TokenId+".2"] != "seller-2" {
		t.Errorf("the buyer was told %v", told)
	}
}

// TestChunk: a receipt is bounded in entries and bytes; one entry always goes.
func TestChunk(t *testing.T) {
	entries := func(n, bytes int) (list []*fairwattpb.ReceiptEntry) {
		for range n {
			list = append(list, &fairwattpb.ReceiptEntry{Sender: strings.Repeat("x", bytes)})
		}
		return list
	}
	size := proto.Size(entries(1, 1000)[0])
	for _, c := range []struct{ n, bytes, want int }{
		{1, 1, 1}, {maxEntries, 1, maxEntries}, {maxEntries + 1, 1, maxEntries}, {1, maxEntryBytes + 1, 1}, {2, maxEntryBytes + 1, 1},
		{maxEntries, 1000, min(maxEntries, maxEntryBytes/size)}, {10_000, 2000, maxEntryBytes / (proto.Size(entries(1, 2000)[0]))},
	} {
		if got := chunk(entries(c.n, c.bytes)); got != c.want {
			t.Errorf("%d entries of %d bytes: %d, want %d", c.n, c.bytes, got, c.want)
		}
	}
}

// TestFullQueue: agreement never waits for a broker.
func TestFullQueue(t *testing.T) {
	o := newOffice(t)
	for i := range queued + 5 {
		o.post(outgoing{to: seller, entries: []*fairwattpb.ReceiptEntry{{Counter: uint64(i)}}})
	}
	if n := o.dropped.Load(); n != 5 {
		t.Errorf("%d dropped, want 5", n)
	}
}

// TestDeliverWaitsForABroker: a receipt is not lost while no broker is there,
// and Run ends with its context all the same.
func TestDeliverWaitsForABroker(t *testing.T) {
	o := newOffice(t)
	o.pipe.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	o.Refuse(seller, [32]byte{1}, nil, wire.CodeMalformed, "bad")
	if err := o.pipe.Open(); err != nil {
		t.Fatal(err)
	}
	if h := <-o.heard; h.to != "seller-1" {
		t.Errorf("heard %+v", h)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A damaged file of answers is put aside and a new one begun: the blocks are in the store. Damage
// that is met later is an error, and no page of the file ends the program.
func TestDamagedAnswers(t *testing.T) {
	o := newOffice(t)
	var last *ledger.Staged
	for n := range uint64(40) {
		last = o.commit(o.gate(n+1, open))
		o.flush()
	}
	path := filepath.Join(o.dir, File)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	defer o.reopen() // it is closed once more at the end
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page, aside, later := os.Getpagesize(), 0, 0
	for at := 0; at < len(sound); at += page {
		garbled := bytes.Clone(sound)
		for k := at; k < at+page; k++ {
			garbled[k] = byte(k*7 + k/page)
		}
		damaged := filepath.Join(t.TempDir(), File)
		if err := os.WriteFile(damaged, garbled, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := Open(damaged, o.store)
		if err != nil {
			later++
			if !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("page %d: %v", at/page, err)
			}
			continue
		}
		if put := out.Damaged(); put != "" {
			aside++
			if _, err := os.Stat(put); err != nil {
				t.Errorf("page %d: %v", at/page, err)
			}
			if err := out.Write(last); err != nil {
				t.Errorf("page %d: the new file takes nothing: %v", at/page, err)
			}
		} else if err := out.Write(last); err != nil {
			later++
			if !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("page %d: %v", at/page, err)
			}
		}
		if err := out.db.Close(); err != nil && !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("page %d: close: %v", at/page, err)
		}
	}
	t.Logf("of %d pages %d were put aside, %d found later", len(sound)/page, aside, later)
	if aside == 0 {
		t.Error("no damage was noticed at the start")
	}
}
