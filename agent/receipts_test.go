package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/agent/receipt"
	"fairwatt/agent/receipt/receipttest"
	"fairwatt/agent/sensor"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A timedSensor tells when it is read.
type timedSensor struct{ at chan time.Time }

func (timedSensor) Name() string              { return "timed" }
func (timedSensor) Channels() []model.Channel { return []model.Channel{model.VoltageV} }
func (timedSensor) Halt() error               { return nil }
func (s timedSensor) Read(_ context.Context, sample *model.Sample) error {
	sample.Set(model.VoltageV, 230)
	s.at <- time.Now()
	return nil
}

// A watchedAgent runs on one timed sensor and takes receipts from four data
// aggregators.
type watchedAgent struct {
	*Agent
	t    testing.TB
	das  []receipttest.DA
	pipe mqtt.Pipe
	read chan time.Time
	tick time.Duration
}

func newWatchedAgent(t testing.TB) *watchedAgent {
	t.Helper()
	broker := &mqtttest.Broker{}
	das, keys := receipttest.DAs(4)
	cfg := testConfig(t, "pv-1")
	judge, err := NewJudge(cfg.Judge, nil)
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(filepath.Join(t.TempDir(), "a.db"), cfg.Outbox)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchedAgent{t: t, das: das, pipe: broker.Pipe(mqtt.Will{}), read: make(chan time.Time, 1024), tick: cfg.Tick}
	w.Agent, err = New(cfg, Deps{
		Key: testKey(1), Chain: &Chain{ID: receipttest.Chain, DAs: keys}, Sensors: []sensor.Sensor{timedSensor{w.read}},
		Judge: judge, Outbox: box, Pipes: []mqtt.Pipe{broker.Pipe(WillOf(&cfg))}, Clock: LiveClock(nil), Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.pipe.Open(); err != nil {
		t.Fatal(err)
	}
	return w
}

// send publishes a receipt of a data aggregator.
func (w *watchedAgent) send(da receipttest.DA, sealed []byte) {
	w.t.Helper()
	if err := w.pipe.Publish(w.t.Context(), "fairwatt/v1/farm-1/pv-1/down/receipt/"+da.ID, 1, false, sealed); err != nil {
		w.t.Fatal(err)
	}
}

// latest is the longest wait for one of n readings after a time.
func (w *watchedAgent) latest(n int, since time.Time) (gap time.Duration) {
	for last := since; n > 0; {
		if at := <-w.read; at.After(since) {
			gap, last = max(gap, at.Sub(last)), at
			n--
		}
	}
	return gap
}

// One data aggregator signs receipts that take long to read: the samples come
// as before.
func TestHostileReceiptsDelayNoSample(t *testing.T) {
	w := newWatchedAgent(t)
	huge := w.das[0].Receipt(t, 1, slices.Repeat([]*fairwattpb.ReceiptEntry{{}}, 380_000)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-w.read
	began := time.Now()
	for range 60 {
		w.send(w.das[0], huge)
	}
	if gap := w.latest(4, began); gap > 2*w.tick {
		t.Errorf("%v between two samples, of which each is due after %v (receipts of %d bytes)", gap, w.tick, len(huge))
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// However long the check of a receipt takes, sensing does not wait for it, and
// another aggregator's receipt is checked in its turn.
func TestSlowReceiptsDelayNoSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchedAgent(t)
		check := w.receipts.check
		checked := make(chan string, 64)
		w.receipts.check = func(da string, sealed []byte) ([]receipt.Outcome, error) {
			time.Sleep(1300 * time.Millisecond)
			checked <- da
			return check(da, sealed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-w.read
		began := time.Now()
		for i := range 60 {
			w.send(w.das[0], w.das[0].Receipt(t, uint64(i+1), &fairwattpb.ReceiptEntry{}))
		}
		w.send(w.das[1], w.das[1].Receipt(t, 1, &fairwattpb.ReceiptEntry{}))
		if gap := w.latest(100, began); gap > w.tick {
			t.Errorf("%v between two samples, of which each is due after %v", gap, w.tick)
		}
		if turns := []string{<-checked, <-checked, <-checked}; !slices.Contains(turns, w.das[1].ID) {
			t.Errorf("the first checks were of %v: one aggregator's flood holds up another", turns)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.pipe.Close()
	})
}

// What waits is bounded for each data aggregator; the oldest goes first, and no
// one else's.
func TestCheckerDropsTheOldestOfTheOneThatFloods(t *testing.T) {
	_, keys := receipttest.DAs(4)
	for _, c := range []struct {
		name        string
		count, size int
		kept        int
	}{
		{"as many as may wait", maxReceiptsWaiting, 10, maxReceiptsWaiting},
		{"one more", maxReceiptsWaiting + 1, 10, maxReceiptsWaiting},
		{"as many bytes as may wait", 4, maxReceiptBytesWaiting / 4, 4},
		{"one more of that size", 5, maxReceiptBytesWaiting / 4, 4},
		{"the largest", 3, wire.MaxReceiptBytes, 1},
		{"one that is too large", 1, wire.MaxReceiptBytes + 1, 0},
	} {
		k := newChecker(&Chain{ID: receipttest.Chain, DAs: keys}, nil, nil)
		post := func(da string, payload []byte) { k.post(mqtt.Message{Topic: "x/down/receipt/" + da, Payload: payload}) }
		post("da-2", []byte("honest"))
		for i := range c.count {
			payload := make([]byte, c.size)
			copy(payload, fmt.Sprintf("%04d", i))
			post("da-1", payload)
		}
		post("no-such-da", []byte("x"))
		var kept []string
		honest := 0
		for da, sealed, ok := k.next(); ok; da, sealed, ok = k.next() {
			if da == "da-2" {
				honest++
				continue
			}
			kept = append(kept, string(sealed[:4]))
		}
		if len(kept) != c.kept || honest != 1 {
			t.Errorf("%s: %d kept, want %d; %d of the other aggregator", c.name, len(kept), c.kept, honest)
		}
		if n := len(kept); n > 0 && (kept[n-1] != fmt.Sprintf("%04d", c.count-1) || !slices.IsSorted(kept)) {
			t.Errorf("%s: kept %v, want the newest in order", c.name, kept)
		}
		if _, dropped := k.counts(); dropped != uint64(c.count-c.kept+1) {
			t.Errorf("%s: %d counted as dropped, want %d", c.name, dropped, c.count-c.kept+1)
		}
	}
}

// A liar and one that is behind refuse a record at the door: the agent keeps it
// and sends it again. A third that refuses makes it give the record up.
func TestAgentKeepsARecordThatSomeRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchedAgent(t)
		sent := w.listen()
		end := w.run()
		later(20 * time.Second)
		id := sent.any()
		before := sent.times(id)
		refuse := func(da receipttest.DA) {
			w.send(da, da.Receipt(t, 0, &fairwattpb.ReceiptEntry{
				RecordId: id[:], Sender: "pv-1", Outcome: &fairwattpb.Outcome{Code: wire.CodeUnknownSigner},
			}))
			later(2 * time.Second)
		}
		refuse(w.das[0])
		refuse(w.das[1])
		if s := w.Status(); !w.deps.Outbox.Holds(id) || s.Refused != 0 || w.counters.held != 1 {
			t.Errorf("after two refusals of four: held in the outbox %v, %d refused, %d told as held", w.deps.Outbox.Holds(id), s.Refused, w.counters.held)
		}
		later(2 * time.Minute)
		if n := sent.times(id); n <= before {
			t.Errorf("sent %d times, and not again after the refusals", n)
		}
		refuse(w.das[2])
		if s := w.Status(); w.deps.Outbox.Holds(id) || s.Refused != 1 {
			t.Errorf("after three refusals of four: held in the outbox %v, %d refused", w.deps.Outbox.Holds(id), s.Refused)
		}
		end()
	})
}

// A record of which all say at the door that its counter was used is kept: only a
// block's receipt ends it. It holds no other record back.
func TestAgentKeepsARecordThatIsCalledReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchedAgent(t)
		sent := w.listen()
		end := w.run()
		later(20 * time.Second)
		id := sent.any()
		say := func(height uint64, outcome *fairwattpb.Outcome) {
			for _, da := range w.das {
				w.send(da, da.Receipt(t, height, &fairwattpb.ReceiptEntry{RecordId: id[:], Sender: "pv-1", Outcome: outcome}))
			}
			later(2 * time.Second)
		}
		say(0, &fairwattpb.Outcome{Code: wire.CodeReplayed})
		if s := w.Status(); !w.deps.Outbox.Holds(id) || s.Refused != 0 || w.counters.doubted != 1 {
			t.Errorf("held %v, %d refused, %d doubted", w.deps.Outbox.Holds(id), s.Refused, w.counters.doubted)
		}
		before := sent.times(id)
		later(10 * time.Minute)
		if n := sent.times(id); n != before+1 {
			t.Errorf("sent %d times in ten minutes, want once", n-before)
		}
		say(7, &fairwattpb.Outcome{Applied: true})
		if s := w.Status(); w.deps.Outbox.Holds(id) || s.Final != 1 {
			t.Errorf("held %v, %d final", w.deps.Outbox.Holds(id), s.Final)
		}
		end()
	})
}

// What data aggregators say is counted where it may change something here: words about a
// record in the outbox, and, for one who trades, about trades, its own account, a payment to
// it, an answer to it, and bills. Words about others take no room, however many there are.
func TestWhatOfAReceiptIsMine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchedAgent(t)
		sent := w.listen()
		end := w.run()
		later(20 * time.Second)
		held := sent.any()
		end()
		of := func(r *fairwattpb.Record) *fairwattpb.ReceiptEntry {
			r.Sender = "other"
			payload, err := proto.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := seal.Seal(testKey(2), "other", seal.DomainRecord, receipttest.Chain, payload)
			if err != nil {
				t.Fatal(err)
			}
			return &fairwattpb.ReceiptEntry{Record: sealed}
		}
		pay := func(seller string) *fairwattpb.ReceiptEntry {
			return of(&fairwattpb.Record{Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{Seller: seller}}})
		}
		answer := func(buyer string) *fairwattpb.ReceiptEntry {
			return of(&fairwattpb.Record{Body: &fairwattpb.Record_Response{Response: &fairwattpb.Response{Token: &fairwattpb.Token{Buyer: buyer}}}})
		}
		other := held
		other[0] ^= 1
		for name, c := range map[string]struct {
			e               *fairwattpb.ReceiptEntry
			always, trading bool
		}{
			"a record in the outbox":          {&fairwattpb.ReceiptEntry{RecordId: held[:], Sender: "pv-1"}, true, true},
			"the same of another":             {&fairwattpb.ReceiptEntry{RecordId: held[:], Sender: "pv-2"}, false, false},
			"one that is not in it":           {&fairwattpb.ReceiptEntry{RecordId: other[:], Sender: "pv-1"}, false, false},
			"an id that is none":              {&fairwattpb.ReceiptEntry{RecordId: held[:8], Sender: "pv-1"}, false, false},
			"nothing":                         {&fairwattpb.ReceiptEntry{}, false, false},
			"a trade":                         {&fairwattpb.ReceiptEntry{Trade: &fairwattpb.TradeNotice{TradeId: "t"}}, false, true},
			"its account":                     {&fairwattpb.ReceiptEntry{Sender: "pv-1", Account: &fairwattpb.AccountNotice{}}, false, true},
			"another's account":               {&fairwattpb.ReceiptEntry{Sender: "pv-2", Account: &fairwattpb.AccountNotice{}}, false, false},
			"a payment to it":                 {pay("pv-1"), false, true},
			"a payment to another":            {pay("pv-2"), false, false},
			"an answer to it":                 {answer("pv-1"), false, true},
			"an answer to another":            {answer("pv-2"), false, false},
			"a bill":                          {of(&fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{}}}), false, true},
			"a deposit":                       {of(&fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "pv-1"}}}), false, false},
			"a record that cannot be decoded": {&fairwattpb.ReceiptEntry{Record: []byte{0xff}}, false, false},
		} {
			w.cfg.Sell = nil
			if got := w.mine(c.e); got != c.always {
				t.Errorf("%s, where it does not trade: %v", name, got)
			}
			w.cfg.Sell = &SellConfig{}
			if got := w.mine(c.e); got != c.trading {
				t.Errorf("%s, where it sells: %v", name, got)
			}
		}
	})
}

// Data aggregators that are busy put records off; one alone does not, and none for
// long.
func TestAgentIsPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchedAgent(t)
		sent := w.listen()
		end := w.run()
		later(20 * time.Second)
		id := sent.any()
		before := sent.times(id)
		busy := func(da receipttest.DA) { w.send(da, da.Busy(t, 0, 1, time.Hour.Milliseconds())) }
		busy(w.das[0])
		later(5 * time.Second)
		if n := sent.times(id); n != before {
			t.Errorf("one alone: sent %d times more", n-before)
		}
		busy(w.das[1])
		later(time.Second)
		if n := sent.times(id); n != before || w.counters.putOff != 1 {
			t.Errorf("sent %d times more within a second, put off %d times", n-before, w.counters.putOff)
		}
		later(2 * time.Second)
		if n := sent.times(id); n != before+1 {
			t.Errorf("sent %d times more, want once", n-before)
		}
		end()
	})
}

// sentRecords counts how often records came to the broker.
type sentRecords struct {
	t  testing.TB
	mu sync.Mutex
	by map[[32]byte]int
}

// listen counts records of the agent; call it before run.
func (w *watchedAgent) listen() *sentRecords {
	s := &sentRecords{t: w.t, by: make(map[[32]byte]int)}
	w.pipe.Subscribe("fairwatt/v1/farm-1/pv-1/up/record", func(m mqtt.Message) {
		var batch fairwattpb.RecordBatch
		if err := proto.Unmarshal(m.Payload, &batch); err != nil {
			w.t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, sealed := range batch.GetSealed() {
			s.by[seal.ID(sealed)]++
		}
	})
	return s
}

// any returns a record that was sent.
func (s *sentRecords) any() (id [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id = range s.by {
		return id
	}
	s.t.Fatal("no record was sent")
	return id
}

func (s *sentRecords) times(id [32]byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}

// run starts the agent; end stops it.
func (w *watchedAgent) run() (end func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		w.pipe.Close()
	}
}

// later lets time pass in the bubble.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
