package aggregator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

const (
	open    = fairwattpb.GateState_GATE_STATE_OPEN
	blocked = fairwattpb.GateState_GATE_STATE_BLOCKED
)

func applied(t *testing.T, what string, o *fairwattpb.Outcome) {
	t.Helper()
	if !o.GetApplied() {
		t.Fatalf("%s: %s: %s", what, o.GetCode(), o.GetReason())
	}
}

func refusedWith(t *testing.T, what, code string, o *fairwattpb.Outcome) {
	t.Helper()
	if o.GetApplied() || o.GetCode() != code || o.GetReason() == "" {
		t.Errorf("%s: applied %v, code %q, reason %q; want a refusal %q with its reason", what, o.GetApplied(), o.GetCode(), o.GetReason(), code)
	}
}

func testGenesis() *ledger.Genesis {
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 10
	return g
}

// bought is what a trade needs up to the payment.
type bought struct {
	seller, buyer *device
	token         *fairwattpb.Token
	quote         *fairwattpb.Quote
	payID         []byte
}

// buy drives seller and buyer to a paid trade of 2 kWh.
func buy(t *testing.T, w *town, seller, buyer *device, requestID string) *bought {
	t.Helper()
	later := time.Now().Add(time.Hour).UnixMilli()
	applied(t, "offer", seller.send(&fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: "o-" + requestID, VolumeWh: 5000, PriceMicroPerKwh: 150_000, ExpiresMs: later}}}))
	applied(t, "request", buyer.send(&fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: requestID, VolumeWh: 2000, MaxPriceMicroPerKwh: 200_000, ExpiresMs: later}}}))
	resp := awaitResponse(t, w, buyer, requestID)
	q := resp.GetQuotes()[0]
	b := &bought{seller: seller, buyer: buyer, token: resp.GetToken(), quote: q}
	buyer.counter++
	pay := buyer.seal(buyer.id, buyer.counter, b.pay())
	id := seal.ID(pay)
	b.payID = id[:]
	buyer.publish(pay)
	e, _ := buyer.wait(idOf(pay))
	applied(t, "pay", e.GetOutcome())
	return b
}

func (b *bought) pay() *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{TokenId: b.token.GetTokenId(), OfferId: b.quote.GetOfferId(),
		Seller: b.seller.id, VolumeWh: 2000, PriceMicroPerKwh: b.quote.GetPriceMicroPerKwh(), AmountMicro: 300_000,
		BuyerReading: reading(b.buyer.id+"-meter", 7000)}}}
}

func (b *bought) start(attestation []byte) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: b.token.GetTokenId(), Attestation: attestation,
		Reading: reading(b.seller.id+"-meter", 100)}}}
}

// awaitResponse finds the centre's response among the records that receipts
// brought.
func awaitResponse(t *testing.T, w *town, buyer *device, requestID string) *fairwattpb.Response {
	t.Helper()
	deadline := time.After(patience)
	for {
		buyer.mu.Lock()
		records, heard := buyer.records, buyer.heard
		buyer.mu.Unlock()
		for _, sealed := range records {
			_, payload, err := seal.Open(sealed, seal.DomainRecord, w.chain, w.das["da-1"].State().Key)
			if err != nil {
				t.Fatal(err)
			}
			var r fairwattpb.Record
			if err := proto.Unmarshal(payload, &r); err != nil {
				t.Fatal(err)
			}
			if resp := r.GetResponse(); resp.GetRequestId() == requestID {
				return resp
			}
		}
		select {
		case <-heard:
		case <-deadline:
			t.Fatalf("no response to %s", requestID)
		}
	}
}

// One trade through every seam, and each kind of bad record on its way: the
// issue's list of refusals with receipts of f+1 aggregators.
func TestTradeFromRegistrationToSettlement(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
	w := newTown(t, testGenesis())
	var asText, asJSON bytes.Buffer // read when the town has ended
	w.log = map[string]slog.Handler{"da-1": slog.NewTextHandler(&asText, nil), "da-2": slog.NewJSONHandler(&asJSON, nil)}
	t.Run("town", func(t *testing.T) { w.t = t; w.startAll(); trade(t, w); measured(t, w) })
	logged(t, asText.String(), asJSON.String())
}

// measured sees that each measure of a data aggregator has something to measure.
func measured(t *testing.T, w *town) {
	t.Helper()
	answer := httptest.NewRecorder()
	console.New(w.das["da-1"], console.Options{}).Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
	for _, name := range []string{
		"fairwatt_da_block_commit_seconds_count", "fairwatt_da_record_to_block_seconds_count", "fairwatt_da_broker_delivery_seconds_count",
		`fairwatt_da_broker_up{broker="1"}`, `fairwatt_da_data_bytes{file="chain.db"}`, `fairwatt_da_data_bytes{file="agreement"}`,
		"process_io_storage_written_bytes_total",
	} {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(answer.Body.String())
		if m == nil || m[1] == "0" {
			if runtime.GOOS != "linux" && strings.HasPrefix(name, "process_") {
				continue // the kernel does not say
			}
			t.Errorf("%s: %q", name, m)
		}
	}
}

// logged sees that an operator can follow a trade, an admission and what was refused in
// the log of each form.
func logged(t *testing.T, asText, asJSON string) {
	t.Helper()
	for _, what := range [][]string{
		{"participant registered", "id", "pv-9", "site", "harbour"}, {"meter registered", "meter", "pv-9-meter", "owner", "pv-9"},
		{"deposit", "to", "buyer-1"}, {"trade", "status", "escrowed"}, {"trade", "status", "paid", "seller", "pv-9", "buyer", "buyer-1"},
		{"trade", "status", "delivering"}, {"trade", "status", "billed"}, {"trade", "status", "settled"},
		{"record refused", "from", "pv-9", "code", wire.CodeBadSignature}, {"record refused", "from", "buyer-1", "code", wire.CodeAlreadyPaid},
	} {
		name := what[0]
		if strings.Contains(name, " ") {
			name = strconv.Quote(name)
		}
		text, json := " msg="+name, `"msg":`+strconv.Quote(what[0])
		has := func(lines, begin, form string) bool {
			for line := range strings.Lines(lines) {
				all := strings.Contains(line, begin)
				for i := 1; i < len(what); i += 2 {
					all = all && strings.Contains(line, fmt.Sprintf(form, what[i], what[i+1]))
				}
				if all {
					return true
				}
			}
			return false
		}
		if !has(asText, text, " %s=%s") {
			t.Errorf("no line of %v in the text log:\n%s", what, asText)
		}
		if !has(asJSON, json, `"%s":"%s"`) {
			t.Errorf("no line of %v in the JSON log:\n%s", what, asJSON)
		}
	}
}

func trade(t *testing.T, w *town) {
	centre, _ := w.centre(filepath.Join(w.dir, "counter.db"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reg := &fairwattpb.Registration{Id: "pv-9", Site: "harbour", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER},
		PublicKey: string(ledgertest.PublicKey("pv-9")), MeterClassE4: 100, Simulated: true}
	seller, buyer := w.device("pv-9", "harbour"), w.device("buyer-1", "site-buyer-1")
	stranger := w.device("stranger", "harbour")

	// Before it is registered no one knows it.
	early := seller.seal("pv-9", 1, seller.gate(1, open))
	seller.publish(early)
	e, height := seller.wait(idOf(early))
	refusedWith(t, "an unknown sender", wire.CodeUnknownSigner, e.GetOutcome())
	if height != 0 {
		t.Errorf("a record refused at the intake has height %d", height)
	}
	if err := centre.Register(ctx, reg); err != nil {
		t.Fatal(err)
	}
	if err := centre.Register(ctx, reg); err == nil {
		t.Error("a second registration of one id went through")
	}
	meter := &fairwattpb.MeterRegistration{Meter: "pv-9-meter", Owner: "pv-9", Site: "harbour", Serial: "no-9", RatedW: ledger.MaxRatedW,
		Direction: fairwattpb.MeterDirection_METER_DIRECTION_EXPORT, ClassE4: 100}
	if err := centre.RegisterMeter(ctx, meter); err != nil {
		t.Fatal(err)
	}
	if err := centre.RegisterMeter(ctx, meter); !errors.Is(err, mc.ErrRefused) || !strings.Contains(err.Error(), wire.CodeMeterExists) {
		t.Errorf("a second registration of one meter: %v", err)
	}
	if err := centre.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "r-1"}); err != nil {
		t.Fatal(err)
	}
	if err := centre.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "r-1"}); err == nil {
		t.Error("one payment was credited twice")
	}

	applied(t, "gate", seller.send(seller.gate(1, open)))
	b := buy(t, w, seller, buyer, "q1")
	if b.token.GetEscrowMicro() != 400_000 || b.quote.GetSeller() != "pv-9" {
		t.Errorf("token %v, quote %v", b.token, b.quote)
	}
	refusedWith(t, "a second pay for one Token", wire.CodeAlreadyPaid, buyer.send(b.pay()))

	// A start without an OPEN word, and against a newer BLOCKED on the chain.
	refusedWith(t, "a start on a blocked gate's word", wire.CodeGateNotOpen, seller.send(b.start(seller.attest(1, blocked))))
	applied(t, "gate blocked", seller.send(seller.gate(2, blocked)))
	refusedWith(t, "a start with an old OPEN", wire.CodeAttestationOld, seller.send(b.start(seller.attest(1, open))))
	refusedWith(t, "a start against a BLOCKED on the chain", wire.CodeGateNotOpen, seller.send(b.start(seller.attest(2, open))))
	applied(t, "gate open", seller.send(seller.gate(3, open)))
	applied(t, "start", seller.send(b.start(seller.attest(3, open))))

	// Bad records at the intake.
	forged := seller.seal("stranger", 90, seller.gate(4, blocked))
	seller.publish(forged)
	e, _ = seller.wait(idOf(forged))
	refusedWith(t, "a wrong signature", wire.CodeBadSignature, e.GetOutcome())
	replay := seller.seal("pv-9", 1, seller.gate(9, blocked))
	seller.publish(replay)
	e, _ = seller.wait(idOf(replay))
	refusedWith(t, "a counter used before", wire.CodeReplayed, e.GetOutcome())
	seller.counter++
	elsewhere := seller.seal("pv-9", seller.counter, seller.gate(9, blocked))
	stranger.publish(elsewhere)
	e, _ = stranger.wait(idOf(elsewhere))
	refusedWith(t, "a record on another's topic", "wrong_topic", e.GetOutcome())

	applied(t, "bill", seller.send(&fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: b.token.GetTokenId(),
		Reading: reading("pv-9-meter", 2100), EnergyWh: 2000, AmountMicro: 300_000, PayId: b.payID}}}))
	applied(t, "confirm", buyer.send(&fairwattpb.Record{Body: &fairwattpb.Record_Confirm{Confirm: &fairwattpb.Confirm{
		TradeId: b.token.GetTokenId(), Reading: reading("buyer-1-meter", 8980), EnergyWh: 1980, Accepted: true}}}))
	n, _ := seller.wait(b.token.GetTokenId() + "/settled")
	if n.GetTrade().GetPaidMicro() != 297_000 || n.GetTrade().GetReturnedMicro() != 103_000 || len(n.GetRecord()) == 0 {
		t.Errorf("the seller was told %v", n.GetTrade())
	}
	buyer.wait(b.token.GetTokenId() + "/settled")
	refusedWith(t, "a request of an empty wallet's worth", wire.CodeInsufficientFunds, overspend(t, w, buyer))
	checkTown(t, w, b.token.GetTokenId())
}

// overspend answers a request as if the wallet held what it does not: the chain
// does not believe its centre.
func overspend(t *testing.T, w *town, buyer *device) *fairwattpb.Outcome {
	t.Helper()
	applied(t, "request", buyer.send(&fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: "q-rich", VolumeWh: 1_000_000, MaxPriceMicroPerKwh: 200_000, ExpiresMs: time.Now().Add(time.Hour).UnixMilli()}}}))
	centre := &device{w: w, id: ledgertest.Centre}
	sealed := centre.seal(ledgertest.Centre, 1000, &fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{
		RequestId: "q-rich", Token: &fairwattpb.Token{TokenId: "t-rich", Buyer: buyer.id, EscrowMicro: 200_000_000, VolumeWh: 1_000_000,
			ValidUntilMs: time.Now().Add(time.Hour).UnixMilli()},
		Quotes: []*fairwattpb.Quote{{OfferId: "o-q1", Seller: "pv-9", PriceMicroPerKwh: 150_000, VolumeWh: 3000, CreditE6: 1}}}}})
	outcome := make(chan *fairwattpb.Outcome, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() {
		state, err := ledger.NewState(w.g)
		if err != nil {
			t.Error(err)
			return
		}
		_ = w.da("da-2").Follow(ctx, 1, func(cb *fairwattpb.CertifiedBlock) error {
			st, err := state.VerifyCertified(cb)
			if err != nil {
				return err
			}
			for i, id := range st.RecordIDs() {
				if id == seal.ID(sealed) {
					outcome <- st.Outcomes()[i]
				}
			}
			return state.Commit(st)
		})
	}()
	if err := w.da("da-1").Submit(ctx, sealed); err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-outcome:
		return o
	case <-ctx.Done():
		t.Fatal("the response did not come to stand on the chain")
		return nil
	}
}

// toldOf are the refusals that each aggregator counts.
var toldOf = []string{wire.CodeUnknownSigner, wire.CodeBadSignature, wire.CodeReplayed, wire.CodeAlreadyPaid, "wrong_topic"}

// checkTown compares what the pages of all aggregators say. What two have answered, the
// others may have yet to see.
func checkTown(t *testing.T, w *town, tradeID string) {
	t.Helper()
	for _, da := range w.g.DAs() {
		w.until(da.ID+" to show the end of the trade and what was refused", func() bool {
			trade, _ := w.da(da.ID).Trade(tradeID)
			refused := w.da(da.ID).Snapshot().Counters.Refused
			return trade.Status == wire.StatusSettled && !slices.ContainsFunc(toldOf, func(code string) bool { return refused[code] == 0 })
		})
		s := w.da(da.ID).Snapshot()
		trade, ok := w.da(da.ID).Trade(tradeID)
		if !ok || trade.Status != wire.StatusSettled || trade.EnergyWh != 2000 {
			t.Errorf("%s shows trade %+v", da.ID, trade)
		}
		if s.Chain.Height == 0 || len(s.Chain.Blocks) == 0 || s.Chain.Blocks[0].Votes < w.g.Quorum() || s.Chain.Records == 0 {
			t.Errorf("%s shows chain %+v", da.ID, s.Chain)
		}
		if len(s.Tree.Nodes) != 4 || len(s.Tree.Edges) != 3 {
			t.Errorf("%s shows tree %+v", da.ID, s.Tree)
		}
		if picture, err := w.da(da.ID).TreeSVG(); err != nil || !bytes.Contains(picture, []byte("(oct), 4 nodes")) || !bytes.Contains(picture, []byte("this one</text>")) {
			t.Errorf("%s draws %.200s, %v", da.ID, picture, err)
		}
		if s.Counters.Dropped != 0 || s.Counters.ATCT.N == 0 {
			t.Errorf("%s: %+v", da.ID, s.Counters)
		}
		if !w.da(da.ID).State().Totals().Conserved {
			t.Errorf("%s: money was made or lost", da.ID)
		}
	}
}

func TestRestartAndMissedReceipts(t *testing.T) {
	w := newTown(t, testGenesis())
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, open)))

	// A record sent again is answered again, with the same outcome.
	seller.counter++
	sealed := seller.seal(seller.id, seller.counter, seller.gate(2, blocked))
	seller.publish(sealed)
	first, height := seller.wait(idOf(sealed))
	seller.forgetReceipts()
	seller.publish(sealed)
	second, again := seller.wait(idOf(sealed))
	if height != again || !proto.Equal(first, second) {
		t.Errorf("first %v at %d, then %v at %d", first, height, second, again)
	}

	// An agent that comes online hears its newest receipts once more.
	seller.forgetReceipts()
	if err := w.broker.publish("fairwatt/v1/site-seller-1/seller-1/status", false, []byte("online")); err != nil {
		t.Fatal(err)
	}
	if e, h := seller.wait(idOf(sealed)); h != height || !proto.Equal(first, e) {
		t.Errorf("after online: %v at %d", e, h)
	}

	// Also after all of them were away at once.
	for _, da := range w.g.DAs() {
		w.halt(da.ID)
	}
	for _, da := range w.g.DAs() {
		w.start(da.ID)
	}
	seller.forgetReceipts()
	seller.publish(sealed)
	if e, h := seller.wait(idOf(sealed)); h != height || !proto.Equal(first, e) {
		t.Errorf("after all were away: %v at %d, want %v at %d", e, h, first, height)
	}

	// Three of four go on; the fourth catches up.
	w.halt("da-3")
	for seq := uint64(3); seq < 30; seq++ { // over at least one epoch's end
		applied(t, "gate", seller.send(seller.gate(seq, open)))
	}
	w.start("da-3")
	deadline := time.Now().Add(patience)
	target := w.da("da-1").State().Height()
	for w.da("da-3").State().Height() < target {
		if time.Now().After(deadline) {
			t.Fatalf("da-3 is at %d of %d", w.da("da-3").State().Height(), target)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = w.da("da-3").Wait(ctx, w.da("da-3").Snapshot().Version)
		cancel()
	}
	applied(t, "gate", seller.send(seller.gate(40, open)))
	if s := w.da("da-1").Snapshot(); s.Chain.Epoch < 2 {
		t.Errorf("epoch %d after %d blocks", s.Chain.Epoch, s.Chain.Height)
	}
}

// Receipts wait for a broker that is away; none is lost.
func TestBrokerAway(t *testing.T) {
	w := newTown(t, testGenesis())
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, open)))
	seller.counter++
	sealed := seller.seal(seller.id, seller.counter, seller.gate(2, open))
	w.broker.setDown(true)
	if err := w.da("da-1").Submit(context.Background(), sealed); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.da("da-2").Follow(ctx, 2, func(*fairwattpb.CertifiedBlock) error { cancel(); return nil }); err == nil {
		t.Fatal("Follow ended by itself")
	}
	w.broker.setDown(false)
	e, _ := seller.wait(idOf(sealed))
	applied(t, "gate", e.GetOutcome())

	// The page shows generators that are registered, and no others.
	w.together()
	for _, who := range []string{"site-seller-1/seller-1", "site-buyer-1/buyer-1", "nowhere/seller-1", "site-x/ghost"} {
		if err := w.broker.publish("fairwatt/v1/"+who+"/gate", false, []byte(`{"state":"OPEN"}`)); err != nil {
			t.Fatal(err)
		}
	}
	list := w.da("da-4").Snapshot().Generators
	if len(list) != 1 || list[0].ID != "seller-1" || list[0].State != "UNKNOWN" || list[0].OnChain != "OPEN" || !list[0].Simulated {
		t.Errorf("shown: %+v", list)
	}
}

// The page shows a gate as open while its agent is there and heard of, and no
// longer: not when the agent dies, and not when the broker does not answer.
func TestPageShowsNoGoneAgentOpen(t *testing.T) {
	w := newTown(t, testGenesis())
	w.startAll()
	da := w.da("da-1")
	say := func(class, payload string) {
		t.Helper()
		if err := w.broker.publish("fairwatt/v1/site-seller-1/seller-1/"+class, false, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(state string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			s := da.Snapshot()
			if len(s.Generators) == 1 && s.Generators[0].State == state {
				return
			}
			if err := da.Wait(ctx, s.Version); err != nil {
				t.Fatalf("want %s, shown: %+v", state, s.Generators)
			}
		}
	}
	seq := 0
	speak := func() {
		seq++
		now := time.Now()
		say("status", "online")
		say("gate", fmt.Sprintf(`{"schema":"gate/1","seq":%d,"state":"OPEN","ts":%q,"valid_until":%q}`, seq, now.Format(time.RFC3339Nano), now.Add(wire.GateValid).Format(time.RFC3339Nano)))
	}
	speak()
	shows("OPEN")
	w.broker.setDown(true)
	shows("UNKNOWN")
	w.broker.setDown(false)
	shows("OPEN")
	say("status", "offline") // its last will
	shows("OFFLINE")
	speak()
	shows("OPEN")
}
