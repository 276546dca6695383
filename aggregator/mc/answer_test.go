package mc

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

const hourMs = 3_600_000

// desk is a centre that a test hands the blocks and the time.
type desk struct {
	*Centre
	t     *testing.T
	chain *ledgertest.Chain
	now   time.Time
}

func newDesk(t *testing.T, change func(*ledger.Genesis)) *desk {
	t.Helper()
	g := ledgertest.Genesis(4, 3, 1)
	if change != nil {
		change(g)
	}
	chain, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, chain: chain, now: time.UnixMilli(ledgertest.StartMs)}
	d.Centre, err = NewCentre(CentreConfig{
		ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: g,
		Chains: make([]Chain, 1), Now: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// on puts a record on the chain and shows the block to the centre.
func (d *desk) on(sender string, r *fairwattpb.Record) {
	d.t.Helper()
	if o, err := d.chain.Send(sender, r); err != nil || !o.GetApplied() {
		d.t.Fatalf("%v, %v", o, err)
	}
	if _, err := d.block(d.chain.Blocks[len(d.chain.Blocks)-1]); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) deposit(amountMicro int64, reference string) {
	d.t.Helper()
	d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: amountMicro, Reference: reference}}})
}

func (d *desk) seller(id string, price int64, state fairwattpb.GateState) {
	d.t.Helper()
	d.on(id, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 1, State: state}}})
	d.on(id, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
		OfferId: "o-" + id, VolumeWh: 5000, PriceMicroPerKwh: price, ExpiresMs: d.chain.NowMs + hourMs,
	}}})
}

func (d *desk) asks(buyer string, price int64) {
	d.t.Helper()
	d.on(buyer, &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{
		RequestId: "q", VolumeWh: 1000, MaxPriceMicroPerKwh: price, ExpiresMs: d.chain.NowMs + hourMs,
	}}})
}

// answers returns the responses the centre sends now.
func (d *desk) answers() []*fairwattpb.Response {
	d.t.Helper()
	due, err := d.due(true)
	if err != nil {
		d.t.Fatal(err)
	}
	var out []*fairwattpb.Response
	for _, p := range due {
		_, payload, err := seal.Peek(p.sealed)
		if err != nil {
			d.t.Fatal(err)
		}
		var r fairwattpb.Record
		if err := proto.Unmarshal(payload, &r); err != nil {
			d.t.Fatal(err)
		}
		if r.GetResponse() != nil {
			out = append(out, r.GetResponse())
		}
	}
	return out
}

const (
	gateOpen    = fairwattpb.GateState_GATE_STATE_OPEN
	gateBlocked = fairwattpb.GateState_GATE_STATE_BLOCKED
)

// TestAnswerNeedsTheMoney: the wallet must hold the whole escrow, 1000 Wh at
// 200,000; a request waits until it does.
func TestAnswerNeedsTheMoney(t *testing.T) {
	for money, answered := range map[int64]int{199_999: 0, 200_000: 1, 200_001: 1} {
		d := newDesk(t, nil)
		d.seller("seller-1", 150_000, gateOpen)
		d.deposit(money, "r")
		d.asks("buyer-1", 200_000)
		if got := len(d.answers()); got != answered {
			t.Errorf("wallet of %d: %d answers, want %d", money, got, answered)
		}
		if waiting := d.Stats().Waiting; waiting != 1-answered {
			t.Errorf("wallet of %d: %d wait", money, waiting)
		}
		if answered == 1 {
			continue
		}
		d.deposit(1, "s")
		got := d.answers()
		if len(got) != 1 || got[0].GetToken().GetEscrowMicro() != 200_000 || got[0].GetToken().GetVolumeWh() != 1000 {
			t.Errorf("after the deposit: %v", got)
		}
	}
}

// TestAnswerQuotes: only sellers whose gate is open and who ask no more than
// the highest price are quoted, the cheapest first, and never the buyer itself.
func TestAnswerQuotes(t *testing.T) {
	d := newDesk(t, func(g *ledger.Genesis) { g.Members[2].Roles = []string{"seller", "buyer"} }) // seller-3
	d.seller("seller-1", 200_000, gateOpen)
	d.seller("seller-2", 100_000, gateBlocked)
	d.seller("seller-3", 150_000, gateOpen)
	d.deposit(1_000_000, "r")
	d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "seller-3", AmountMicro: 1_000_000, Reference: "s"}}})
	for _, c := range []struct {
		buyer string
		price int64
		want  string
	}{
		{"buyer-1", 200_000, "seller-3 seller-1"},
		{"buyer-1", 199_999, "seller-3"},
		{"buyer-1", 149_999, ""},
		{"seller-3", 200_000, "seller-1"},
		{"seller-3", 199_999, ""},
	} {
		resp, why := d.answer(ledger.Request{ID: "q", Buyer: c.buyer, VolumeWh: 1000, MaxPriceMicroPerKWh: c.price}, d.sellers(ledgertest.StartMs))
		var got []string
		for _, q := range resp.GetQuotes() {
			got = append(got, q.GetSeller())
		}
		if strings.Join(got, " ") != c.want || (resp == nil) != (c.want == "") || (why == "") != (resp != nil) {
			t.Errorf("%s at %d: %v (%s), want %q", c.buyer, c.price, got, why, c.want)
		}
	}
	// An offer is quoted while a payment can still come in time.
	end := d.state.Offers()[0].ExpiresMs - payMs
	if n := len(d.sellers(end - 1)); n != 2 {
		t.Errorf("a millisecond before the first offer is too old: %d sellers", n)
	}
	if n := len(d.sellers(end)); n != 1 {
		t.Errorf("when the first offer is too old: %d sellers", n)
	}
}

// TestAnswerOnce: a request is answered by one record, and an expired one by
// none.
func TestAnswerOnce(t *testing.T) {
	d := newDesk(t, nil)
	d.seller("seller-1", 150_000, gateOpen)
	d.deposit(1_000_000, "r")
	d.asks("buyer-1", 200_000)
	if n := len(d.answers()); n != 1 {
		t.Fatalf("%d answers", n)
	}
	if n := len(d.answers()); n != 0 {
		t.Errorf("%d answers more", n)
	}
	if len(d.pending) != 1 {
		t.Errorf("%d records on their way", len(d.pending))
	}
	late := newDesk(t, nil)
	late.seller("seller-1", 150_000, gateOpen)
	late.deposit(1_000_000, "r")
	late.asks("buyer-1", 200_000)
	late.now = time.UnixMilli(late.chain.NowMs + 2*hourMs)
	if n := len(late.answers()); n != 0 || len(late.open) != 0 {
		t.Errorf("%d answers to an expired request, %d open", n, len(late.open))
	}
}

// TestCounterFollowsTheChain: a counter given out is above every counter of
// this centre on the chain, so that a lost or old file repeats none.
func TestCounterFollowsTheChain(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "counter.db")} {
		c, err := openCounter(path)
		if err != nil {
			t.Fatal(err)
		}
		c.sawOnChain(500)
		c.sawOnChain(40) // an older record of a block that is read again
		for want := uint64(501); want < 501+2*reserve; want++ {
			if got, err := c.next(); err != nil || got != want {
				t.Fatalf("%q: %d, %v; want %d", path, got, err, want)
			}
		}
	}
}

// TestCounterNeverRepeats: neither a crash nor a second process gives out a
// counter again.
func TestCounterNeverRepeats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counter.db")
	seen := make(map[uint64]bool)
	take := func(c *counter, n int) {
		t.Helper()
		for range n {
			v, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if v == 0 || seen[v] {
				t.Fatalf("%d was given out before", v)
			}
			seen[v] = true
		}
	}
	open := func() *counter {
		t.Helper()
		c, err := openCounter(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := open(), open()
	take(a, reserve-1)
	take(b, reserve+1)
	take(a, 2)         // over the end of its span
	take(open(), 3)    // after a crash
	take(a, reserve+5) // the first goes on
}

// Open requests are looked at when the chain has changed, and now and then because
// they run out; not ten times a second.
func TestRequestsAreLookedAtOnChange(t *testing.T) {
	d := newDesk(t, nil)
	d.deposit(1_000_000, "r")
	d.asks("buyer-1", 100_000) // no one sells: it waits
	due := func(want uint64) {
		t.Helper()
		if _, err := d.due(true); err != nil {
			t.Fatal(err)
		}
		if d.stats.Looks != want {
			t.Errorf("looked %d times, want %d", d.stats.Looks, want)
		}
	}
	due(1)
	for range 40 {
		d.now = d.now.Add(tick)
		due(1)
	}
	d.seller("seller-1", 100_000, fairwattpb.GateState_GATE_STATE_OPEN)
	due(2)
	if len(d.pending) != 1 {
		t.Errorf("%d answers under way after an offer came", len(d.pending))
	}
	d.now = d.now.Add(lookEvery)
	due(3)
}

// More requests than the centre has answers under way wait; the centre goes on.
func TestManyRequestsDoNotEndTheCentre(t *testing.T) {
	d := newDesk(t, nil)
	d.deposit(1_000_000, "r")
	d.seller("seller-1", 1, fairwattpb.GateState_GATE_STATE_OPEN)
	d.asks("buyer-1", 100_000)
	for i := range maxAnswers {
		d.pending[[32]byte{byte(i), byte(i >> 8), 1}] = &pending{sentAt: d.now}
	}
	if _, err := d.due(true); err != nil || len(d.pending) != maxAnswers {
		t.Fatalf("%d on their way, %v", len(d.pending), err)
	}
	clear(d.pending)
	if _, err := d.due(true); err != nil || len(d.pending) != 1 {
		t.Errorf("with room %d on their way, %v", len(d.pending), err)
	}
}

// With robust credit a seller is quoted for as much as its bond bears, and not at all
// without one; a buyer's Token is no larger than its own bond bears.
func TestAnswersWithinTheBonds(t *testing.T) {
	d := newDesk(t, ledgertest.Robust)
	d.deposit(10_000_000, "r")
	bond := func(to string, amountMicro int64) {
		d.on(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
			To: to, AmountMicro: amountMicro, Reference: "bond-" + to, Bond: true}}})
	}
	bond("seller-1", 100_000) // bears 200,000: 1000 Wh at its price
	bond("seller-2", 900_000)
	for _, id := range []string{"seller-1", "seller-2", "seller-3"} {
		d.seller(id, 200_000, fairwattpb.GateState_GATE_STATE_OPEN)
	}
	sellers := d.sellers(d.chain.NowMs)
	if len(sellers) != 2 || sellers[1].GetSeller() != "seller-1" || sellers[1].GetVolumeWh() != 1000 || sellers[0].GetVolumeWh() != 5000 {
		t.Fatalf("%v", sellers)
	}
	req := ledger.Request{ID: "q", Buyer: "buyer-1", VolumeWh: 4000, MaxPriceMicroPerKWh: 250_000, ExpiresMs: d.chain.NowMs + hourMs}
	if r, why := d.answer(req, sellers); r != nil || !strings.Contains(why, "bond more") {
		t.Errorf("without a bond: %v, %q", r, why)
	}
	bond("buyer-1", 300_000) // bears 600,000: 2400 Wh at the most it pays
	r, why := d.answer(req, sellers)
	if r.GetToken().GetVolumeWh() != 2400 || r.GetToken().GetEscrowMicro() != 600_000 {
		t.Errorf("%v, %q", r, why)
	}
}
