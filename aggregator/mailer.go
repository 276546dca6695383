package aggregator

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Limits and times of receipts.
const (
	mailWorkers    = 8
	mailQueue      = 4096 // receipts waiting, a worker
	maxEntries     = 256  // of one receipt
	maxEntryBytes  = 256 << 10
	keptReceipts   = 32 // a device
	keptFor        = 10 * time.Minute
	againEvery     = 5 * time.Second
	refusalsPerS   = 20
	refusalsAtOnce = 100
	retryMail      = 200 * time.Millisecond
)

// A mailer seals receipts and brings them to the brokers. One worker serves a
// device, so that a device's receipts go out in the order of the blocks.
type mailer struct {
	da     *DA
	queues [mailWorkers]chan mail

	sent, dropped atomic.Uint64 // entries

	mu       sync.Mutex
	boxes    map[string]*mailbox // by site/device
	refusals map[string]*bucket  // by device
}

// A mailbox is what a device was sent lately.
type mailbox struct {
	kept    []keptReceipt
	againAt time.Time
}

type keptReceipt struct {
	at     time.Time
	sealed []byte
}

type mail struct {
	site, device string
	height       uint64
	entries      []*fairwattpb.ReceiptEntry
	sealed       []byte // set when it was sealed before
}

func newMailer(d *DA) *mailer {
	m := &mailer{da: d, boxes: make(map[string]*mailbox), refusals: make(map[string]*bucket)}
	for i := range m.queues {
		m.queues[i] = make(chan mail, mailQueue)
	}
	return m
}

func (m *mailer) run(ctx context.Context) error {
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
func (m *mailer) post(one mail) {
	if len(m.da.deps.Pipes) == 0 {
		return
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(one.site + "/" + one.device)) // a hash never fails
	select {
	case m.queues[h.Sum32()%mailWorkers] <- one:
	default:
		m.dropped.Add(uint64(max(1, len(one.entries))))
	}
}

// block answers everybody whom a committed block concerns: one receipt each,
// or more when it is large.
func (m *mailer) block(st *ledger.Staged) {
	if len(m.da.deps.Pipes) == 0 {
		return
	}
	byDevice := make(map[string][]*fairwattpb.ReceiptEntry)
	records, ids := st.Records(), st.RecordIDs()
	for i, r := range records {
		if a, ok := m.da.answers.get(ids[i]); ok {
			to := r.Record.GetSender()
			byDevice[to] = append(byDevice[to], a.entry(ids[i]))
		}
	}
	outcomes := st.Outcomes()
	for _, n := range st.Notices() {
		e := &fairwattpb.ReceiptEntry{Trade: n.Trade}
		if n.Index >= 0 && n.Index < len(records) {
			r := records[n.Index]
			if n.To == r.Record.GetSender() {
				continue // in the answer to its record
			}
			e.RecordId, e.Sender, e.Counter = r.ID[:], r.Record.GetSender(), r.Record.GetCounter()
			e.Outcome, e.Record = outcomes[n.Index], r.Sealed
		}
		byDevice[n.To] = append(byDevice[n.To], e)
	}
	height := st.Header().GetHeight()
	for to, entries := range byDevice {
		p, ok := m.da.state.Participant(to)
		if !ok || p.Site == "" {
			continue // the management centre follows the chain itself
		}
		for len(entries) > 0 {
			n := chunk(entries)
			m.post(mail{site: p.Site, device: to, height: height, entries: entries[:n]})
			entries = entries[n:]
		}
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

// final answers a record again that was final before.
func (m *mailer) final(it item) {
	a, ok := m.da.answers.get(it.id)
	if !ok || a.sender != it.topic.Device {
		return
	}
	m.post(mail{site: it.topic.Site, device: it.topic.Device, height: a.height, entries: []*fairwattpb.ReceiptEntry{a.entry(it.id)}})
}

// refuse answers a record that did not pass the door. The topic is the only
// address there is; it is the broker's to let only its owner write there.
// Answers are limited, or a flood of bad records would become one of receipts.
func (m *mailer) refuse(it item, code, reason string) {
	now := m.da.now()
	m.mu.Lock()
	b := m.refusals[it.topic.Device]
	if b == nil {
		if len(m.refusals) >= maxDevices {
			clear(m.refusals)
		}
		b = &bucket{at: now, tokens: refusalsAtOnce}
		m.refusals[it.topic.Device] = b
	}
	ok := b.take(now, refusalsPerS, refusalsAtOnce)
	m.mu.Unlock()
	if !ok {
		m.dropped.Add(1)
		return
	}
	e := &fairwattpb.ReceiptEntry{
		RecordId: it.id[:], Sender: it.topic.Device,
		Outcome: &fairwattpb.Outcome{Code: code, Reason: reason},
	}
	if it.rec != nil {
		e.Sender, e.Counter = it.rec.Record.GetSender(), it.rec.Record.GetCounter()
	}
	m.post(mail{site: it.topic.Site, device: it.topic.Device, entries: []*fairwattpb.ReceiptEntry{e}})
}

// again sends a device's newest receipts once more.
func (m *mailer) again(site, device string) {
	now := m.da.now()
	m.mu.Lock()
	box := m.boxes[site+"/"+device]
	var list []keptReceipt
	if box != nil && now.Sub(box.againAt) >= againEvery {
		box.againAt = now
		list = append(list, box.kept...)
	}
	m.mu.Unlock()
	for _, k := range list {
		if now.Sub(k.at) < keptFor {
			m.post(mail{site: site, device: device, sealed: k.sealed})
		}
	}
}

// deliver seals a receipt and publishes it. Without any broker it waits: the
// queue behind it is bounded.
func (m *mailer) deliver(ctx context.Context, one mail) {
	sealed := one.sealed
	if sealed == nil {
		var err error
		if sealed, err = m.seal(one); err != nil {
			m.da.log.Error("seal receipt", "err", err)
			return
		}
		if one.height > 0 {
			m.keep(one, sealed)
		}
	}
	topic := wire.Topics{Site: one.site, Device: one.device}.Receipt(m.da.cfg.ID)
	for {
		sent := false
		for _, p := range m.da.deps.Pipes {
			err := p.Publish(ctx, topic, 1, false, sealed)
			sent = sent || err == nil
			if err != nil && ctx.Err() == nil && !errors.Is(err, mqtt.ErrNotConnected) {
				m.da.log.Warn("publish receipt", "to", one.device, "err", err)
			}
		}
		if sent {
			m.sent.Add(uint64(len(one.entries)))
			return
		}
		t := time.NewTimer(retryMail)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (m *mailer) seal(one mail) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Receipt{
		ChainId: m.da.chain[:], Da: m.da.cfg.ID, TimeMs: m.da.now().UnixMilli(), Height: one.height, Entries: one.entries,
	})
	if err != nil {
		return nil, err
	}
	return seal.Seal(m.da.deps.Key, m.da.cfg.ID, seal.DomainReceipt, m.da.chain, payload)
}

func (m *mailer) keep(one mail, sealed []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := one.site + "/" + one.device
	box := m.boxes[key]
	if box == nil {
		box = &mailbox{}
		m.boxes[key] = box
	}
	if len(box.kept) >= keptReceipts {
		box.kept = append(box.kept[:0:0], box.kept[1:]...)
	}
	box.kept = append(box.kept, keptReceipt{at: m.da.now(), sealed: sealed})
}
