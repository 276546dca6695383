package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// desk is an Intake between a test's ledger, agreement and receipts.
type desk struct {
	*Intake
	t     *testing.T
	chain *ledgertest.Chain
	now   time.Time

	submitted [][]byte
	submit    func(sealed []byte) error // nil: accepted
	final     map[[32]byte]bool
	said      []string // what senders heard: "to: repeat", "to: code"
}

const topic = "fairwatt/v1/site-seller-1/seller-1/up/record"

func newDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	chain, err := ledgertest.New(ledgertest.Genesis(1, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, chain: chain, now: time.Unix(1_800_000_000, 0), final: make(map[[32]byte]bool)}
	cfg := Config{
		QueueMessages: 16, RecordsPerS: 1000, Burst: 1000, Now: func() time.Time { return d.now }, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	d.Intake = New(cfg, Needs{Check: chain.State.CheckRecord, Receipts: d, Submit: func(_ context.Context, sealed []byte) error {
		if d.submit != nil {
			if err := d.submit(sealed); err != nil {
				return err
			}
		}
		d.submitted = append(d.submitted, sealed)
		return nil
	}})
	return d
}

func (d *desk) Has(id [32]byte) bool { return d.final[id] }

func (d *desk) Repeat(to wire.Topics, _ [32]byte) {
	d.said = append(d.said, to.Device+": repeat")
}

func (d *desk) Refuse(to wire.Topics, _ [32]byte, _ *ledger.Checked, code, _ string) {
	d.said = append(d.said, to.Device+": "+code)
}

func (d *desk) RefuseSender(sender string, _ [32]byte, code, _ string) {
	d.said = append(d.said, sender+": "+code)
}

func (d *desk) PutOff(to wire.Topics, from uint64, after time.Duration) {
	d.said = append(d.said, fmt.Sprintf("%s: from %d after %v", to.Device, from, after))
}

// gate seals a gate change of seller-1 under a counter.
func (d *desk) gate(counter uint64) []byte {
	d.t.Helper()
	sealed, err := d.chain.SealAs("seller-1", counter, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
		GateChange: &fairwattpb.GateChange{GateSeq: counter, State: fairwattpb.GateState_GATE_STATE_OPEN},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	return sealed
}

func batch(t testing.TB, sealed ...[]byte) []byte {
	t.Helper()
	payload, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: sealed})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// bring passes one message through, as Run does.
func (d *desk) bring(m mqtt.Message) {
	d.t.Helper()
	items := d.sift(d.unpack(m))
	if err := d.check(items); err != nil {
		d.t.Fatal(err)
	}
	for i := range items {
		d.pass(d.t.Context(), &items[i])
	}
}

func (d *desk) brings(sealed ...[]byte) {
	d.t.Helper()
	d.bring(mqtt.Message{Topic: topic, Payload: batch(d.t, sealed...)})
}

// heard returns what was said since it was last asked.
func (d *desk) heard() string {
	out := strings.Join(d.said, ", ")
	d.said = nil
	return out
}

// TestUnpackRefuses: a message that breaks a rule is counted as malformed, and
// none of its records gets in. A retained one would come again with each
// reconnect.
func TestUnpackRefuses(t *testing.T) {
	many := func(n int) []byte { return batch(t, slices.Repeat([][]byte{{1}}, n)...) }
	good := newDesk(t, nil)
	for name, c := range map[string]struct {
		m     mqtt.Message
		taken int
	}{
		"one record":             {mqtt.Message{Topic: topic, Payload: batch(t, good.gate(1))}, 1},
		"as many as may be":      {mqtt.Message{Topic: topic, Payload: many(wire.MaxBatchRecords)}, wire.MaxBatchRecords},
		"one too many":           {mqtt.Message{Topic: topic, Payload: many(wire.MaxBatchRecords + 1)}, 0},
		"none":                   {mqtt.Message{Topic: topic}, 0},
		"retained":               {mqtt.Message{Topic: topic, Payload: batch(t, good.gate(1)), Retained: true}, 0},
		"no batch":               {mqtt.Message{Topic: topic, Payload: []byte{0xff}}, 0},
		"another topic":          {mqtt.Message{Topic: "other/v1/a/b/up/record", Payload: batch(t, good.gate(1))}, 0},
		"as large as may be":     {mqtt.Message{Topic: topic, Payload: batch(t, make([]byte, wire.MaxBatchBytes-4))}, 1},
		"larger than may be":     {mqtt.Message{Topic: topic, Payload: batch(t, make([]byte, wire.MaxBatchBytes-3))}, 0},
		"an id that is no name":  {mqtt.Message{Topic: "fairwatt/v1/site/PV/up/record", Payload: batch(t, good.gate(1))}, 0},
		"an id that is a filter": {mqtt.Message{Topic: "fairwatt/v1/site/+/up/record", Payload: batch(t, good.gate(1))}, 0},
	} {
		d := newDesk(t, nil)
		items := d.unpack(c.m)
		malformed := d.Stats().Refused[wire.CodeMalformed]
		if len(items) != c.taken || (malformed == 1) != (c.taken == 0) {
			t.Errorf("%s: %d records, %d refused; want %d", name, len(items), malformed, c.taken)
		}
	}
}

// TestWaitingRecordsComeOnce: a record that waits for its block is not handed on
// again, until its mark is half a minute old.
func TestWaitingRecordsComeOnce(t *testing.T) {
	d := newDesk(t, nil)
	sealed := d.gate(1)
	for _, c := range []struct {
		after     time.Duration // since the first
		submitted int
		duplicate uint64
	}{{0, 1, 0}, {time.Second, 1, 1}, {waitingFor - 1, 1, 2}, {waitingFor, 2, 2}} {
		d.now = time.Unix(1_800_000_000, 0).Add(c.after)
		d.brings(sealed)
		if s := d.Stats(); len(d.submitted) != c.submitted || s.Duplicates != c.duplicate || s.Pending != 1 {
			t.Errorf("after %v: %d submitted, %+v; want %+v", c.after, len(d.submitted), s, c)
		}
	}
	if said := d.heard(); said != "" {
		t.Errorf("a record that waits was answered: %s", said)
	}
	// Past the brokers it is the same.
	if err := d.Submit(t.Context(), sealed); err != nil || len(d.submitted) != 2 {
		t.Errorf("submitted again: %v", err)
	}
}

// TestForgetTakesTheMark: a record that no block took may come again.
func TestForgetTakesTheMark(t *testing.T) {
	d := newDesk(t, nil)
	d.brings(d.gate(1))
	d.now = d.now.Add(waitingFor)
	if d.Forget(); d.Stats().Pending != 1 {
		t.Error("a mark went too early")
	}
	d.now = d.now.Add(1)
	if d.Forget(); d.Stats().Pending != 0 {
		t.Error("a mark stays")
	}
	d.now = d.now.Add(time.Hour)
	if d.Forget(); len(d.lines) != 0 {
		t.Error("a line stays")
	}
}

// TestFinalRecordsAreAnsweredAgain: a sender repeats itself when it missed the
// receipt.
func TestFinalRecordsAreAnsweredAgain(t *testing.T) {
	d := newDesk(t, nil)
	sealed := d.gate(1)
	d.final[seal.ID(sealed)] = true
	d.brings(sealed)
	if said := d.heard(); said != "seller-1: repeat" || len(d.submitted) != 0 || d.Stats().Duplicates != 1 {
		t.Errorf("heard %q, %d submitted, %+v", said, len(d.submitted), d.Stats())
	}
	if err := d.Submit(t.Context(), sealed); err != nil || len(d.submitted) != 0 {
		t.Errorf("submitted: %v", err)
	}
}

// TestRefused: what the check, the topic or agreement refuses is answered and
// counted by its code; what only finds no room is dropped without an answer.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, heard string
		bring       func(*desk)
		dropped     uint64
	}{
		{"a bad signature", "seller-1: " + wire.CodeBadSignature, func(d *desk) {
			sealed := d.gate(1)
			sealed[len(sealed)-1] ^= 1
			d.brings(sealed)
		}, 0},
		{"another's topic", "seller-2: " + wire.CodeWrongTopic, func(d *desk) {
			d.bring(mqtt.Message{Topic: "fairwatt/v1/site-seller-2/seller-2/up/record", Payload: batch(d.t, d.gate(1))})
		}, 0},
		{"refused by agreement", "seller-1: " + wire.CodeReplayed, func(d *desk) {
			d.submit = func([]byte) error {
				return fmt.Errorf("pool: %w", &ledger.Refusal{Code: wire.CodeReplayed, Reason: "used"})
			}
			d.brings(d.gate(1))
		}, 0},
		{"given up by agreement", "seller-1: " + wire.CodeReplayed, func(d *desk) {
			sealed := d.gate(1)
			d.brings(sealed)
			d.Discarded(sealed, &ledger.Refusal{Code: wire.CodeReplayed, Reason: "used"})
		}, 0},
		{"given up for a reason without a code", "seller-1: refused", func(d *desk) { d.Discarded(d.gate(1), errors.New("no")) }, 0},
		{"given up, but final", "", func(d *desk) {
			sealed := d.gate(1)
			d.final[seal.ID(sealed)] = true
			d.Discarded(sealed, errors.New("no"))
		}, 0},
		{"an error without a code", "", func(d *desk) { d.submit = func([]byte) error { return errors.New("broken") }; d.brings(d.gate(1)) }, 1},
		{"agreement has ended", "", func(d *desk) {
			d.submit = func([]byte) error { return fmt.Errorf("%w: bye", ErrStopped) }
			d.brings(d.gate(1))
		}, 0},
	} {
		d := newDesk(t, nil)
		c.bring(d)
		s := d.Stats()
		if said := d.heard(); said != c.heard || s.Dropped != c.dropped || s.Pending != 0 {
			t.Errorf("%s: heard %q, %+v; want %q and %d dropped", c.name, said, s, c.heard, c.dropped)
		}
		if _, code, ok := strings.Cut(c.heard, ": "); ok && s.Refused[code] != 1 {
			t.Errorf("%s: counted %v", c.name, s.Refused)
		}
	}
}

// TestRate: a device may burst and is held to its rate, and hears from where and
// when to go on; another is not held up. A large record counts as several.
func TestRate(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.RecordsPerS, c.Burst = 1, 2 })
	d.brings(d.gate(1), d.gate(2), d.gate(3), d.gate(4))
	if s := d.Stats(); len(d.submitted) != 2 || s.Dropped != 2 || s.Received != 4 || s.PutOff != 1 {
		t.Errorf("%d submitted, %+v", len(d.submitted), s)
	}
	if said := d.heard(); said != "seller-1: from 3 after 1s" {
		t.Errorf("heard %q", said)
	}
	d.now = d.now.Add(time.Second)
	d.brings(d.gate(3), d.gate(4))
	if len(d.submitted) != 3 {
		t.Errorf("%d submitted a second later", len(d.submitted))
	}
	d.heard()
	other := mqtt.Message{Topic: "fairwatt/v1/site-seller-2/seller-2/up/record", Payload: batch(t, d.gate(9))}
	if d.bring(other); d.heard() != "seller-2: "+wire.CodeWrongTopic {
		t.Error("another device was held up")
	}
	d.now = d.now.Add(time.Minute)
	d.brings(make([]byte, 2*tokenBytes+1)) // three tokens, and there are two
	if said := d.heard(); said != "seller-1: from 0 after 1s" {
		t.Errorf("of a large record: heard %q", said)
	}
	d.now = d.now.Add(time.Minute)
	d.brings(make([]byte, 2*tokenBytes)) // two
	if said := d.heard(); said != "seller-1: "+wire.CodeMalformed {
		t.Errorf("of a smaller one: heard %q", said)
	}
}

// in sends records the way an agent does: with the oldest counter it still holds.
func (d *desk) in(oldest uint64, counters ...uint64) {
	d.t.Helper()
	b := &fairwattpb.RecordBatch{Oldest: oldest}
	for _, c := range counters {
		b.Sealed = append(b.Sealed, d.gate(c))
	}
	payload, err := proto.Marshal(b)
	if err != nil {
		d.t.Fatal(err)
	}
	d.now = d.now.Add(time.Second) // what was told is told again
	d.bring(mqtt.Message{Topic: topic, Payload: payload})
}

// TestGap: what comes behind a missing record is not taken, and its sender hears
// which one is missing. What the sender does not have any more is not missing.
func TestGap(t *testing.T) {
	d := newDesk(t, nil)
	final := uint64(0)
	d.needs.Last = func(sender string) uint64 {
		if sender != "seller-1" {
			t.Errorf("asked of %q", sender)
		}
		return final
	}
	for _, c := range []struct {
		what      string
		final     uint64
		oldest    uint64
		counters  []uint64
		submitted int
		heard     string
	}{
		{"the first", 0, 1, []uint64{1, 2}, 2, ""},
		{"one is missing", 0, 1, []uint64{4, 5}, 0, "seller-1: from 3 after 100ms"},
		{"it comes, and the others behind it", 0, 1, []uint64{3, 4, 5}, 3, ""},
		{"one is missing within a message", 0, 1, []uint64{6, 8}, 1, "seller-1: from 7 after 100ms"},
		{"it has no such record any more", 0, 8, []uint64{8}, 1, ""},
		{"others have taken what is missing here", 20, 8, []uint64{21}, 1, ""},
		{"the sender does not say", 20, 0, []uint64{40}, 1, ""},
		{"an old one again", 40, 30, []uint64{31}, 1, ""},
	} {
		final, d.submitted = c.final, nil
		d.in(c.oldest, c.counters...)
		if said := d.heard(); len(d.submitted) != c.submitted || said != c.heard {
			t.Errorf("%s: %d submitted, heard %q; want %d and %q", c.what, len(d.submitted), said, c.submitted, c.heard)
		}
	}
}

type busy struct{}

func (busy) Error() string   { return "busy" }
func (busy) Temporary() bool { return true }

// TestFullPoolPutsOff: a full pool holds up no one but the sender whose record
// found no room; none of its records passes that one.
func TestFullPoolPutsOff(t *testing.T) {
	d := newDesk(t, nil)
	full := true
	d.submit = func([]byte) error {
		if full && len(d.submitted) == 1 {
			return fmt.Errorf("pool: %w", busy{})
		}
		return nil
	}
	d.in(1, 1, 2, 3, 4)
	if s, said := d.Stats(), d.heard(); len(d.submitted) != 1 || s.Dropped != 3 || s.Pending != 1 || said != "seller-1: from 2 after 500ms" {
		t.Errorf("%d submitted, %+v, heard %q", len(d.submitted), s, said)
	}
	d.in(1, 5)
	if said := d.heard(); len(d.submitted) != 1 || said != "seller-1: from 2 after 100ms" {
		t.Errorf("behind it %d submitted, heard %q", len(d.submitted), said)
	}
	full = false
	d.in(1, 2, 3, 4, 5)
	if said := d.heard(); len(d.submitted) != 5 || said != "" {
		t.Errorf("with room %d submitted, heard %q", len(d.submitted), said)
	}
}

// TestFullPool: a record that comes past the brokers waits for a block that makes
// room, and not for ever.
func TestFullPool(t *testing.T) {
	d := newDesk(t, nil)
	tried := make(chan struct{}, 16)
	var full atomic.Bool
	full.Store(true)
	d.submit = func([]byte) error {
		now := full.Load()
		tried <- struct{}{}
		if now {
			return fmt.Errorf("pool: %w", busy{})
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Submit(t.Context(), d.gate(1)); err != nil {
			t.Error(err)
		}
	}()
	<-tried
	full.Store(false)
	st, err := d.chain.Advance()
	if err != nil {
		t.Fatal(err)
	}
	d.Final(st)
	<-done
	if s := d.Stats(); len(d.submitted) != 1 || s.Accepted != 1 || s.Dropped != 0 {
		t.Errorf("%d submitted, %+v", len(d.submitted), s)
	}
	full.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Submit(ctx, d.gate(2)); !errors.As(err, new(busy)) || d.Stats().Pending != 1 {
		t.Errorf("no room: %v, %+v", err, d.Stats())
	}
}

// TestQueue: Take never blocks; what does not fit is counted, and its sender hears
// so. Run hands records on in order.
func TestQueue(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.QueueMessages = 2 })
	var want [][]byte
	for i := range uint64(3) {
		sealed := d.gate(i + 1)
		d.Take(mqtt.Message{Topic: topic, Payload: batch(t, sealed)})
		want = append(want, sealed)
	}
	if s := d.Stats(); s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.submit = func(sealed []byte) error {
		if len(d.submitted) == 2 {
			cancel()
		}
		return nil
	}
	heard := make(chan string, 1)
	d.needs.Receipts = told{d, func(s string) { heard <- s; cancel() }}
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if said := <-heard; len(d.submitted) != 2 || string(d.submitted[0]) != string(want[0]) || string(d.submitted[1]) != string(want[1]) || said != "seller-1: from 3" {
		t.Errorf("%d submitted, heard %q", len(d.submitted), said)
	}
}

// told tells of what is put off.
type told struct {
	*desk
	putOff func(string)
}

func (d told) PutOff(to wire.Topics, from uint64, _ time.Duration) {
	d.putOff(fmt.Sprintf("%s: from %d", to.Device, from))
}

// TestQueueIsShared: a device that floods fills its own line only, and one message
// of each device is looked at in turn.
func TestQueueIsShared(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.QueueMessages = 100 })
	message := func(device string, size int) mqtt.Message {
		return mqtt.Message{Topic: "fairwatt/v1/site-" + device + "/" + device + "/up/record", Payload: make([]byte, size)}
	}
	for range 1000 {
		d.Take(message("flood", 1000))
	}
	if d.queued != deviceMessages {
		t.Errorf("%d messages of one device wait, want %d", d.queued, deviceMessages)
	}
	for k := range 60 { // more than the rest of the room, each with less than the flood
		d.Take(message(fmt.Sprint("dev-", k), 500))
	}
	if d.queued > 100 || len(d.lines["dev-59"].messages) != 1 || len(d.lines["flood"].messages) != 40 {
		t.Errorf("%d wait, of them %d of the flood", d.queued, len(d.lines["flood"].messages))
	}
	messages, lost := d.round()
	if len(messages) != 61 || len(lost) != 0 {
		t.Errorf("a round of %d messages, %d lost", len(messages), len(lost))
	}
	for range 2 * deviceBytes / wire.MaxBatchBytes {
		d.Take(message("large", wire.MaxBatchBytes))
	}
	if got := d.lines["large"].bytes; got > deviceBytes {
		t.Errorf("%d bytes of one device wait", got)
	}
	for d.queued > 0 {
		d.round()
	}
	if d.queuedBytes != 0 || len(d.ring) != 0 {
		t.Errorf("%d bytes, %d lines left", d.queuedBytes, len(d.ring))
	}
}

// TestFinalIsCounted: a block's records are no longer waiting, the time they
// took is kept, and what the market refused is counted by its code.
func TestFinalIsCounted(t *testing.T) {
	d := newDesk(t, nil)
	first, again := d.gate(7), d.gate(8)
	old, err := d.chain.SealAs("seller-1", 9, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{
		GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN},
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.brings(first, again, old)
	d.now = d.now.Add(250 * time.Millisecond)
	st, err := d.chain.Advance(d.submitted...)
	if err != nil {
		t.Fatal(err)
	}
	d.Final(st)
	s := d.Stats()
	if s.Pending != 0 || s.Accepted != 3 || s.Refused[wire.CodeGateSeqOld] != 1 || len(s.FinalMs) != 3 || s.Quantile(0.5) != 250 {
		t.Errorf("%+v", s)
	}
}

// TestCodesAreBounded: no sender can fill the counters with codes.
func TestCodesAreBounded(t *testing.T) {
	s := Stats{Refused: make(map[string]uint64)}
	for i := range 2 * maxCodes {
		s.refuse(fmt.Sprint(i))
	}
	s.refuse("0")
	if len(s.Refused) != maxCodes+1 || s.Refused["other"] != maxCodes || s.Refused["0"] != 2 {
		t.Errorf("%d codes, %d others", len(s.Refused), s.Refused["other"])
	}
}

// Whatever a device publishes as records, the intake survives it, and what it
// lets pass is within its limits.
func FuzzUnpack(f *testing.F) {
	f.Add(topic, []byte{0x0a, 3, 'a', 'b', 'c'}, false)
	f.Add(topic, []byte{}, true)
	f.Add("x", []byte{0xff}, false)
	f.Fuzz(func(t *testing.T, name string, payload []byte, retained bool) {
		in := New(Config{QueueMessages: 1, Log: slog.New(slog.DiscardHandler)}, Needs{})
		items := in.unpack(mqtt.Message{Topic: name, Payload: payload, Retained: retained})
		if len(items) > wire.MaxBatchRecords || len(items) > 0 && (retained || len(payload) > wire.MaxBatchBytes) {
			t.Fatalf("%d records from %d bytes on %q", len(items), len(payload), name)
		}
		if len(items) == 0 && in.Stats().Refused[wire.CodeMalformed] != 1 {
			t.Fatal("a message was neither taken nor counted")
		}
	})
}

// Refusals are logged at the first, second, fourth and so on of their code, whoever
// sends them: no sender fills the log.
func TestRefusalsAreLoggedBounded(t *testing.T) {
	var log bytes.Buffer
	d := newDesk(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 9 {
		d.bring(mqtt.Message{Topic: topic, Payload: []byte("no batch")})
	}
	if n := strings.Count(log.String(), "level=WARN msg=\"record refused\" from="+topic+" code=malformed"); n != 4 {
		t.Errorf("%d lines of 9 refusals:\n%s", n, log.String())
	}
}

// Records that no block took are told with how many and how old they are, once in a
// minute at most, and none is told where none is lost.
func TestUnansweredIsLogged(t *testing.T) {
	var log bytes.Buffer
	d := newDesk(t, func(c *Config) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	bring := func(counters ...uint64) {
		for _, counter := range counters {
			d.bring(mqtt.Message{Topic: topic, Payload: batch(t, d.gate(counter))})
		}
	}
	bring(1, 2)
	for _, c := range []struct {
		after time.Duration
		bring []uint64
		says  string
	}{
		{waitingFor, nil, ""},
		{time.Second, nil, `"count":2,"oldest_s":31}`},
		{time.Second, []uint64{3}, ""},
		{waitingFor + time.Second, nil, ""}, // within the minute
		{unansweredEvery - waitingFor - 2*time.Second, nil, `"count":1,"oldest_s":31}`},
		{time.Hour, nil, ""},
	} {
		log.Reset()
		d.now = d.now.Add(c.after)
		d.Forget()
		bring(c.bring...)
		if got := log.String(); (c.says == "") != (got == "") || !strings.Contains(got, c.says) {
			t.Errorf("after %v: %q, want %q", c.after, got, c.says)
		}
	}
}
