package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/agent/receipt/receipttest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// changing is a device's folder, a broker and data aggregators that answer a key change.
type changing struct {
	t      *testing.T
	dir    string
	broker *mqtttest.Broker
	das    []receipttest.DA
	chain  *Chain
	topics wire.Topics
	// answer is what they say of a record; nil for nothing.
	answer func(r *fairwattpb.Record) *fairwattpb.Outcome
	heard  sync.WaitGroup
}

func newChanging(t *testing.T, answer func(r *fairwattpb.Record) *fairwattpb.Outcome) *changing {
	das, keys := receipttest.DAs(4)
	c := &changing{t: t, dir: t.TempDir(), broker: new(mqtttest.Broker), das: das, answer: answer,
		chain: &Chain{ID: receipttest.Chain, DAs: keys}, topics: wire.Topics{Site: "harbour", Device: "pv-1"}}
	if _, err := Enroll(c.dir); err != nil {
		t.Fatal(err)
	}
	ears := c.broker.Pipe(mqtt.Will{})
	ears.Subscribe(c.topics.Of(wire.ClassRecord), func(m mqtt.Message) {
		batch := &fairwattpb.RecordBatch{}
		if err := proto.Unmarshal(m.Payload, batch); err != nil {
			t.Error(err)
			return
		}
		for _, sealed := range batch.Sealed {
			c.heard.Go(func() { c.hear(ears, sealed) })
		}
	})
	if err := ears.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.heard.Wait(); ears.Close() })
	return c
}

func (c *changing) hear(pipe mqtt.Pipe, sealed []byte) {
	r, err := recordOf(sealed)
	if err != nil {
		c.t.Error(err)
		return
	}
	o := c.answer(r)
	if o == nil {
		return
	}
	id := seal.ID(sealed)
	for _, da := range c.das {
		height := uint64(7)
		if o.Code == wire.CodeKeyChanged {
			height = 0
		}
		b := da.Receipt(c.t, height, &fairwattpb.ReceiptEntry{RecordId: id[:], Sender: "pv-1", Outcome: o})
		if err := pipe.Publish(context.Background(), c.topics.Receipt(da.ID), 1, false, b); err != nil {
			c.t.Error(err)
		}
	}
}

// run is one process of the command.
func (c *changing) run(ctx context.Context, before ...*fairwattpb.Record) (ed25519.PublicKey, error) {
	c.t.Helper()
	db, err := outbox.Open(filepath.Join(c.dir, "agent.db"), outbox.DefaultLimits())
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := db.Close(1); err != nil {
			c.t.Error(err)
		}
	}()
	cfg := DefaultConfig()
	cfg.Site, cfg.Device, cfg.Data = "harbour", "pv-1", c.dir
	for _, r := range before {
		if _, err := db.Commit(1, outbox.Commit{Record: []outbox.Entry{{Build: func(uint64) ([]byte, error) {
			return seal.Seal(ed25519.NewKeyFromSeed(make([]byte, 32)), "pv-1", seal.DomainRecord, c.chain.ID, append([]byte{0x12, 4}, "pv-1"...))
		}}}}); err != nil {
			c.t.Fatal(r, err)
		}
	}
	k := KeyChange{Config: cfg, Chain: c.chain, Pipes: []mqtt.Pipe{c.broker.Pipe(mqtt.Will{})}, Outbox: db, Wall: time.Now, Logger: slog.New(slog.DiscardHandler)}
	return k.Run(ctx)
}

func (c *changing) key(file string) ed25519.PublicKey {
	c.t.Helper()
	key, err := LoadKey(filepath.Join(c.dir, file))
	if err != nil {
		c.t.Fatal(err)
	}
	return key.Public().(ed25519.PublicKey)
}

// TestKeyChange: the record has the word of the new key, and the new key takes the old
// one's place when the chain has said so, readable by its owner only.
func TestKeyChange(t *testing.T) {
	var c *changing
	var old ed25519.PublicKey
	c = newChanging(t, func(r *fairwattpb.Record) *fairwattpb.Outcome {
		k := r.GetKeyChange()
		if !wire.Possesses(k.GetNewKey(), c.chain.ID, "pv-1", wire.Succession(string(seal.FormatKey(old))), k.GetPossession()) {
			t.Error("the new key has not signed")
		}
		return &fairwattpb.Outcome{Applied: true}
	})
	old = c.key(KeyFile)
	public, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now := c.key(KeyFile); !now.Equal(public) || now.Equal(old) || KeyChanging(c.dir) {
		t.Errorf("the file holds another key, or the change goes on: %v", KeyChanging(c.dir))
	}
	if info, err := os.Stat(filepath.Join(c.dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestKeyChangeCutOff: while the chain does not answer, the old key stays and the next one
// is kept; the same change goes on when the command is run again, and when the chain has
// changed the key meanwhile.
func TestKeyChangeCutOff(t *testing.T) {
	for _, o := range []*fairwattpb.Outcome{{Applied: true}, {Code: wire.CodeKeyChanged, Reason: "another key since block 7"}} {
		heard := make(chan string, 100)
		cut, cancel := context.WithCancel(t.Context())
		var answers atomic.Bool
		c := newChanging(t, nil)
		c.answer = func(r *fairwattpb.Record) *fairwattpb.Outcome {
			select {
			case heard <- r.GetKeyChange().GetNewKey():
			default:
			}
			if answers.Load() {
				return o
			}
			cancel()
			return nil
		}
		old := c.key(KeyFile)
		if _, err := c.run(cut); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		next := c.key(NextKeyFile)
		if !c.key(KeyFile).Equal(old) || !KeyChanging(c.dir) || <-heard != string(seal.FormatKey(next)) {
			t.Fatal("the change that was cut off has not left both keys")
		}
		answers.Store(true)
		public, err := c.run(t.Context())
		if err != nil || !public.Equal(next) || !c.key(KeyFile).Equal(next) || KeyChanging(c.dir) {
			t.Errorf("%v: %v, another key: %v", o, err, !c.key(KeyFile).Equal(next))
		}
	}
}

// TestKeyChangeRefused: what the chain refuses leaves the old key, and no other.
func TestKeyChangeRefused(t *testing.T) {
	c := newChanging(t, func(*fairwattpb.Record) *fairwattpb.Outcome {
		return &fairwattpb.Outcome{Code: wire.CodeKeyTooSoon, Reason: "wait"}
	})
	old := c.key(KeyFile)
	if _, err := c.run(t.Context()); err == nil || !c.key(KeyFile).Equal(old) || KeyChanging(c.dir) {
		t.Errorf("%v", err)
	}
}

// TestKeyChangeWaitsForRecords: a record that waits for its outcome would be void.
func TestKeyChangeWaitsForRecords(t *testing.T) {
	c := newChanging(t, func(*fairwattpb.Record) *fairwattpb.Outcome { t.Error("something was sent"); return nil })
	if _, err := c.run(t.Context(), &fairwattpb.Record{}); !errors.Is(err, ErrRecordsWait) || KeyChanging(c.dir) {
		t.Errorf("%v", err)
	}
}
