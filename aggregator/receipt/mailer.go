package receipt

import (
	"context"
	"crypto"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Limits and times of receipts.
const (
	workers        = 8
	queued         = 4096 // receipts waiting, a worker
	maxEntries     = wire.MaxReceiptEntries
	maxEntryBytes  = 256 << 10
	keptReceipts   = 32 // a device
	keptFor        = 10 * time.Minute
	againEvery     = 5 * time.Second
	refusalsPerS   = 20
	refusalsAtOnce = 100
	maxDevices     = 20_000 // whose refusals are limited one by one
	retryAfter     = 200 * time.Millisecond
)

// Config is who signs receipts and which way they go.
type Config struct {
	DA    string
	Key   crypto.Signer // the key the genesis names for the DA
	Chain [32]byte
	Pipes []mqtt.Pipe
	// SiteOf returns the site of a registered device; none of a centre, which
	// follows the chain itself.
	SiteOf func(device string) (site string, ok bool)
	// Now is the wall clock.
	Now func() time.Time
	Log *slog.Logger
}

// A Mailer seals receipts and brings them to the brokers. It answers for the
// records whose outcomes it has.
type Mailer struct {
	*Outcomes
	cfg    Config
	queues [workers]chan outgoing

	sent, dropped atomic.Uint64 // entries

	mu       sync.Mutex
	boxes    map[wire.Topics]*box      // by device
	refusals map[string]*intake.Bucket // by device
}

// A box is what a device was sent lately.
type box struct {
	kept    []keptReceipt
	againAt time.Time
}

type keptReceipt struct {
	at     time.Time
	sealed []byte
}

// An outgoing receipt.
type outgoing struct {
	to      wire.Topics
	height  uint64
	entries []*fairwattpb.ReceiptEntry
	busy    *fairwattpb.Busy
	sealed  []byte // set when it was sealed before
}

// NewMailer returns a Mailer over the outcomes; Run makes it work.
func NewMailer(cfg Config, outcomes *Outcomes) *Mailer {
	m := &Mailer{Outcomes: outcomes, cfg: cfg, boxes: make(map[wire.Topics]*box), refusals: make(map[string]*intake.Bucket)}
	for i := range m.queues {
		m.queues[i] = make(chan outgoing, queued)
	}
	return m
}

// Sent returns how many entries of receipts a broker has acknowledged.
func (m *Mailer) Sent() uint64 { return m.sent.Load() }

// Run publishes until the context ends.
func (m *Mailer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, q := range m.queues {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case one := <-q:
					m.deliver(ctx, one)
				}
			}
		})
	}
	return g.Wait()
}

// post queues a receipt. Agreement must not wait for a broker, so what does not
// fit is dropped and counted: its reader asks again.
func (m *Mailer) post(one outgoing) {
	if len(m.cfg.Pipes) == 0 {
		return
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(one.to.Site + "/" + one.to.Device)) // a hash never fails
	select {
	case m.queues[h.Sum32()%workers] <- one:
	default:
		m.dropped.Add(uint64(max(1, len(one.entries))))
	}
}

// Block answers everyone whom a committed block concerns: one receipt each, or
// more when it is large. The block's outcomes are added already.
func (m *Mailer) Block(st *ledger.Staged) {
	if len(m.cfg.Pipes) == 0 {
		return
	}
	byDevice := make(map[string][]*fairwattpb.ReceiptEntry)
	records, ids := st.Records(), st.RecordIDs()
	for i, r := range records {
		if o, ok := m.byID.Get(ids[i]); ok {
			to := r.Record.GetSender()
			byDevice[to] = append(byDevice[to], o.entry(ids[i]))
		}
	}
	outcomes, told := st.Outcomes(), toldSenders(st)
	for _, n := range st.Notices() {
		e := &fairwattpb.ReceiptEntry{Trade: n.Trade}
		if n.Index >= 0 && n.Index < len(records) {
			r := records[n.Index]
			if n.To == r.Record.GetSender() {
				if n.Trade != nil && n.Trade != told[n.Index] {
					byDevice[n.To] = append(byDevice[n.To], e) // of another trade than the answer to its record
				}
				continue
			}
			e.RecordId, e.Sender, e.Counter = r.ID[:], r.Record.GetSender(), r.Record.GetCounter()
			e.Outcome, e.Record = outcomes[n.Index], r.Sealed
		}
		byDevice[n.To] = append(byDevice[n.To], e)
	}
	m.tellPurses(st, byDevice)
	height := st.Header().GetHeight()
	for to, entries := range byDevice {
		site, ok := m.cfg.SiteOf(to)
		if !ok {
			continue
		}
		for len(entries) > 0 {
			n := chunk(entries)
			m.post(outgoing{to: wire.Topics{Site: site, Device: to}, height: height, entries: entries[:n]})
			entries = entries[n:]
		}
	}
}

// tellPurses tells each whose money the block moved what it has now.
func (m *Mailer) tellPurses(st *ledger.Staged, byDevice map[string][]*fairwattpb.ReceiptEntry) {
	purses, err := st.Purses()
	if err != nil {
		m.cfg.Log.Error("tell balances", "err", err)
		return
	}
	for to, a := range purses {
		if a == nil { // what came in went out again
			continue
		}
		byDevice[to] = append(byDevice[to], &fairwattpb.ReceiptEntry{Sender: to, Account: &fairwattpb.AccountNotice{
			WalletMicro: a.WalletMicro, BondMicro: a.BondMicro, LeavingMicro: a.LeavingMicro, FinesDueMicro: a.FinesDueMicro,
		}})
	}
}

// chunk says how many entries fit one receipt; at least one does.
func chunk(entries []*fairwattpb.ReceiptEntry) int {
	bytes := 0
	for i, e := range entries {
		bytes += proto.Size(e)
		if i > 0 && (i == maxEntries || bytes > maxEntryBytes) {
			return i
		}
	}
	return len(entries)
}

// Repeat answers a record that is final already, to its sender only.
func (m *Mailer) Repeat(to wire.Topics, id [32]byte) {
	o, ok := m.byID.Get(id)
	if !ok || o.sender != to.Device {
		return
	}
	m.post(outgoing{to: to, height: o.height, entries: []*fairwattpb.ReceiptEntry{o.entry(id)}})
}

// RefuseSender is [Mailer.Refuse] where only the sender's name is known.
func (m *Mailer) RefuseSender(sender string, id [32]byte, code, reason string) {
	if site, ok := m.cfg.SiteOf(sender); ok {
		m.Refuse(wire.Topics{Site: site, Device: sender}, id, nil, code, reason)
	}
}

// Refuse answers a record that did not get in. The topic is the only address
// there is; the broker lets only its owner write there. Answers are limited, or
// a flood of bad records would become a flood of receipts.
func (m *Mailer) Refuse(to wire.Topics, id [32]byte, c *ledger.Checked, code, reason string) {
	now := m.cfg.Now()
	m.mu.Lock()
	b := m.refusals[to.Device]
	if b == nil {
		if len(m.refusals) >= maxDevices {
			clear(m.refusals)
		}
		b = intake.NewBucket(now, refusalsAtOnce)
		m.refusals[to.Device] = b
	}
	ok := b.Take(now, refusalsPerS, refusalsAtOnce)
	m.mu.Unlock()
	if !ok {
		m.dropped.Add(1)
		return
	}
	e := &fairwattpb.ReceiptEntry{
		RecordId: id[:], Sender: to.Device,
		Outcome: &fairwattpb.Outcome{Code: code, Reason: reason},
	}
	if c != nil {
		e.Sender, e.Counter = c.Record.GetSender(), c.Record.GetCounter()
	}
	m.post(outgoing{to: to, entries: []*fairwattpb.ReceiptEntry{e}})
}

// PutOff asks a sender to send its records from a counter on again, after a while.
// The caller limits how often it does.
func (m *Mailer) PutOff(to wire.Topics, from uint64, after time.Duration) {
	m.post(outgoing{to: to, busy: &fairwattpb.Busy{FromCounter: from, RetryAfterMs: after.Milliseconds()}})
}

// Again sends a device's newest receipts once more.
func (m *Mailer) Again(to wire.Topics) {
	now := m.cfg.Now()
	m.mu.Lock()
	var list []keptReceipt
	if b := m.boxes[to]; b != nil && now.Sub(b.againAt) >= againEvery {
		b.againAt = now
		list = append(list, b.kept...)
	}
	m.mu.Unlock()
	for _, k := range list {
		if now.Sub(k.at) < keptFor {
			m.post(outgoing{to: to, sealed: k.sealed})
		}
	}
}

// deliver seals a receipt and publishes it. Without any broker it waits: the
// queue behind it is bounded.
func (m *Mailer) deliver(ctx context.Context, one outgoing) {
	sealed := one.sealed
	if sealed == nil {
		var err error
		if sealed, err = m.seal(one); err != nil {
			m.cfg.Log.Error("seal receipt", "err", err)
			return
		}
		if one.height > 0 {
			m.keep(one, sealed)
		}
	}
	topic := one.to.Receipt(m.cfg.DA)
	for {
		sent := false
		for _, p := range m.cfg.Pipes {
			err := p.Publish(ctx, topic, 1, false, sealed)
			sent = sent || err == nil
			if err != nil && ctx.Err() == nil && !errors.Is(err, mqtt.ErrNotConnected) {
				m.cfg.Log.Warn("publish receipt", "to", one.to.Device, "err", err)
			}
		}
		if sent {
			m.sent.Add(uint64(len(one.entries)))
			return
		}
		t := time.NewTimer(retryAfter)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (m *Mailer) seal(one outgoing) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Receipt{
		ChainId: m.cfg.Chain[:], Da: m.cfg.DA, TimeMs: m.cfg.Now().UnixMilli(), Height: one.height, Entries: one.entries, Busy: one.busy,
	})
	if err != nil {
		return nil, err
	}
	return seal.Seal(m.cfg.Key, m.cfg.DA, seal.DomainReceipt, m.cfg.Chain, payload)
}

func (m *Mailer) keep(one outgoing, sealed []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[one.to]
	if b == nil {
		b = &box{}
		m.boxes[one.to] = b
	}
	if len(b.kept) >= keptReceipts {
		b.kept = append(b.kept[:0:0], b.kept[1:]...)
	}
	b.kept = append(b.kept, keptReceipt{at: m.cfg.Now(), sealed: sealed})
}
