package mc_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

// quickChain decides each submitted record at once: a chain of one block a
// record, as a centre sees it.
type quickChain struct {
	t  *testing.T
	mu sync.Mutex
	c  *ledgertest.Chain
	up chan struct{} // closed at the next block
	// mute makes submitted records vanish.
	mute bool
}

func newQuickChain(t *testing.T, change ...func(*ledger.Genesis)) *quickChain {
	t.Helper()
	g := ledgertest.Genesis(4, 3, 1)
	for _, c := range change {
		c(g)
	}
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	return &quickChain{t: t, c: c, up: make(chan struct{})}
}

func (q *quickChain) Follow(ctx context.Context, from uint64, f func(*fairwattpb.CertifiedBlock) error) error {
	for h := from; ; h++ {
		for {
			q.mu.Lock()
			up, have := q.up, uint64(len(q.c.Blocks)) >= h
			var cb *fairwattpb.CertifiedBlock
			if have {
				cb = q.c.Blocks[h-1]
			}
			q.mu.Unlock()
			if have {
				if err := f(cb); err != nil {
					return err
				}
				break
			}
			select {
			case <-up:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (q *quickChain) Submit(_ context.Context, sealed []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mute {
		return nil
	}
	if _, err := q.c.State.CheckRecord(sealed); err != nil {
		return err
	}
	q.advance(sealed)
	return nil
}

// advance makes a block at the wall clock; mu is held.
func (q *quickChain) advance(sealed []byte) {
	q.c.NowMs = max(q.c.NowMs, time.Now().UnixMilli())
	if _, err := q.c.Advance(sealed); err != nil {
		q.t.Error(err)
	}
	close(q.up)
	q.up = make(chan struct{})
}

// send puts a member's record on the chain.
func (q *quickChain) send(sender string, r *fairwattpb.Record) {
	q.t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.c.NowMs = max(q.c.NowMs, time.Now().UnixMilli())
	sealed, err := q.c.Seal(sender, r)
	if err != nil {
		q.t.Fatal(err)
	}
	st, err := q.c.Advance(sealed)
	if err != nil {
		q.t.Fatal(err)
	}
	if o := st.Outcomes()[0]; !o.GetApplied() {
		q.t.Fatalf("%s: %s", o.GetCode(), o.GetReason())
	}
	close(q.up)
	q.up = make(chan struct{})
}

// responses returns the applied responses on the chain.
func (q *quickChain) responses() []*fairwattpb.Response {
	q.mu.Lock()
	defer q.mu.Unlock()
	state, err := ledger.NewState(q.c.Genesis)
	if err != nil {
		q.t.Fatal(err)
	}
	var out []*fairwattpb.Response
	for _, cb := range q.c.Blocks {
		st, err := state.VerifyCertified(cb)
		if err == nil {
			err = state.Commit(st)
		}
		if err != nil {
			q.t.Fatal(err)
		}
		for i, r := range st.Records() {
			if resp := r.Record.GetResponse(); resp != nil && st.Outcomes()[i].GetApplied() {
				out = append(out, resp)
			}
		}
	}
	return out
}

func (q *quickChain) centre(file string) (*mc.Centre, func()) {
	q.t.Helper()
	c, err := mc.NewCentre(mc.CentreConfig{ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: q.c.Genesis,
		Chains: []mc.Chain{q}, CounterFile: file})
	if err != nil {
		q.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			q.t.Errorf("centre: %v", err)
		}
	}
}

// until waits for the chain, block by block, until a condition holds.
func (q *quickChain) until(what string, ok func() bool) {
	q.t.Helper()
	deadline := time.After(time.Minute)
	for {
		q.mu.Lock()
		up := q.up
		q.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-up:
		case <-deadline:
			q.t.Fatal(what)
		}
	}
}

func (q *quickChain) seller(id string, price int64, state fairwattpb.GateState, seq uint64) {
	later := time.Now().Add(time.Hour).UnixMilli()
	q.send(id, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: seq, State: state,
		ValidUntilMs: later}}})
	q.send(id, &fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{OfferId: "o-" + id, VolumeWh: 5000,
		PriceMicroPerKwh: price, ExpiresMs: later}}})
}

func request(id string, price int64) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Request{Request: &fairwattpb.Request{RequestId: id, VolumeWh: 1000,
		MaxPriceMicroPerKwh: price, ExpiresMs: time.Now().Add(time.Hour).UnixMilli()}}}
}

func TestCentreAnswersOnceOverRestarts(t *testing.T) {
	q := newQuickChain(t)
	file := filepath.Join(t.TempDir(), "counter.db")
	centre, stop := q.centre(file)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := centre.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "r"}); err != nil {
		t.Fatal(err)
	}
	if err := centre.Deposit(ctx, &fairwattpb.Deposit{To: "nobody", AmountMicro: 1, Reference: "s"}); !errors.Is(err, mc.ErrRefused) {
		t.Errorf("a deposit to nobody: %v", err)
	}
	q.seller("seller-1", 180_000, fairwattpb.GateState_GATE_STATE_OPEN, 1)
	q.seller("seller-2", 120_000, fairwattpb.GateState_GATE_STATE_BLOCKED, 1)
	q.seller("seller-3", 150_000, fairwattpb.GateState_GATE_STATE_OPEN, 1)
	q.send("buyer-1", request("q1", 180_000))
	q.until("no response", func() bool { return len(q.responses()) == 1 })
	quotes := q.responses()[0].GetQuotes()
	if len(quotes) != 2 || quotes[0].GetSeller() != "seller-3" || quotes[1].GetSeller() != "seller-1" {
		t.Errorf("quotes %v", quotes)
	}

	// What it signed vanishes, and so does it: the next one answers again, once.
	q.mu.Lock()
	q.mute = true
	q.mu.Unlock()
	q.send("buyer-1", request("q2", 180_000))
	waiting := func() bool { return centre.Stats().Waiting == 0 && centre.Stats().Height == uint64(len(q.c.Blocks)) }
	for deadline := time.Now().Add(time.Minute); !waiting(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the centre does not answer")
		}
	}
	stop()
	q.mu.Lock()
	q.mute = false
	q.mu.Unlock()
	_, stop = q.centre(file)
	q.until("no second response", func() bool { return len(q.responses()) == 2 })
	stop()
	centre, stop = q.centre(file)
	// A request that no one can serve waits until someone can.
	q.send("buyer-1", request("q3", 130_000))
	q.send("seller-2", &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 2,
		State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: time.Now().Add(time.Hour).UnixMilli()}}})
	q.until("no third response", func() bool { return len(q.responses()) == 3 })
	stop()
	if got := q.responses()[2].GetQuotes(); len(got) != 1 || got[0].GetSeller() != "seller-2" {
		t.Errorf("quotes %v", got)
	}
	if s := centre.Stats(); s.Responses != 1 || s.Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCentreOfAnotherChain(t *testing.T) {
	if _, err := mc.NewCentre(mc.CentreConfig{ID: "mc-77", Genesis: ledgertest.Genesis(4, 0, 0), Chains: []mc.Chain{&quickChain{}}}); err == nil {
		t.Error("a centre the genesis does not name")
	}
}

// An arbiter's record comes to the chain through a centre, signed by the arbiter and
// counted by its own numbers.
func TestArbitersThroughACentre(t *testing.T) {
	q := newQuickChain(t, ledgertest.Robust)
	centre, stop := q.centre(filepath.Join(t.TempDir(), "counter.db"))
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 2 {
		err := centre.Verdict(ctx, "judge-2", ledgertest.Key("judge-2"), &fairwattpb.Verdict{
			TradeId: "none", Finding: fairwattpb.Finding_FINDING_BUYER, TextHash: make([]byte, 32)})
		if !errors.Is(err, mc.ErrRefused) || !strings.Contains(err.Error(), "no case is open") {
			t.Errorf("%v", err)
		}
	}
	err := centre.Grant(ctx, "judge-1", ledgertest.Key("judge-1"), &fairwattpb.Grant{Reference: "g", To: "buyer-1", AmountMicro: 1})
	if !errors.Is(err, mc.ErrRefused) || !strings.Contains(err.Error(), "the fund holds 0") {
		t.Errorf("%v", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a, b := q.c.State.LastCounter("judge-1"), q.c.State.LastCounter("judge-2"); a != 1 || b != 2 {
		t.Errorf("counters %d, %d", a, b)
	}
}
