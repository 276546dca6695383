package soak

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"google.golang.org/protobuf/proto"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// How devices send. What is not final is sent again, in order, as agents do.
const (
	resendAfter = 3 * time.Second
	resendBatch = 64
	mostWaiting = 400 // of one device; beyond it the device makes no more
	gateForMs   = 60_000
	brokerWait  = 10 * time.Second
)

// site is where all devices stand.
const site = "harbour"

// A record is one that was sent, and what became of it.
type record struct {
	id      [32]byte
	counter uint64
	sealed  []byte
	made    time.Time
	sent    time.Time
	said    map[string]verdict // by data aggregator
	height  uint64             // 0: not final yet
}

type verdict struct {
	height  uint64
	applied bool
	code    string
}

// A device makes records, and takes those for final of which enough data aggregators
// say so.
type device struct {
	id     string
	key    ed25519.PrivateKey
	chain  [32]byte
	das    map[string]ed25519.PublicKey
	enough int // equal receipts
	client paho.Client
	final  func(r *record, now time.Time)

	mu      sync.Mutex
	counter uint64
	records map[[32]byte]*record
	waiting []*record // in order
	refused map[string]uint64
	odd     []string // receipts that no honest data aggregator writes
}

func newDevice(id string) (*device, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of %s: %w", id, err)
	}
	return &device{id: id, key: key, records: make(map[[32]byte]*record), refused: make(map[string]uint64)}, nil
}

func (d *device) public() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }

func (d *device) connect(url string, config *tls.Config) error {
	d.client = paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(d.id).SetTLSConfig(config).SetOrderMatters(false))
	if err := settled(d.client.Connect()); err != nil {
		return fmt.Errorf("%s: connect: %w", d.id, err)
	}
	topic := fmt.Sprintf("fairwatt/v1/%s/%s/down/receipt/+", site, d.id)
	if err := settled(d.client.Subscribe(topic, 1, d.receipt)); err != nil {
		return fmt.Errorf("%s: subscribe: %w", d.id, err)
	}
	return nil
}

var errSlowBroker = errors.New("the broker does not answer")

func settled(t paho.Token) error {
	if !t.WaitTimeout(brokerWait) {
		return errSlowBroker
	}
	return t.Error()
}

// run makes records until ctx ends, and sends again until over is closed.
func (d *device) run(ctx context.Context, every time.Duration, over <-chan struct{}) error {
	fresh, again := time.NewTicker(every), time.NewTicker(resendAfter/3)
	defer fresh.Stop()
	defer again.Stop()
	for {
		var err error
		select {
		case <-over:
			return nil
		case <-again.C:
			err = d.resend(time.Now())
		case now := <-fresh.C:
			if ctx.Err() != nil {
				fresh.Stop()
				continue
			}
			err = d.make(now)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.id, err)
		}
	}
}

func (d *device) make(now time.Time) error {
	d.mu.Lock()
	if len(d.waiting) >= mostWaiting {
		d.mu.Unlock()
		return nil
	}
	d.counter++
	r := &record{counter: d.counter, made: now, sent: now, said: make(map[string]verdict)}
	sealed, err := d.seal(r.counter, now)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	r.sealed, r.id = sealed, seal.ID(sealed)
	d.records[r.id] = r
	d.waiting = append(d.waiting, r)
	d.mu.Unlock()
	return d.publish([][]byte{sealed})
}

func (d *device) seal(counter uint64, now time.Time) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: d.chain[:], Sender: d.id, Counter: counter, TimeMs: now.UnixMilli(), Simulated: true,
		Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: counter, State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: now.UnixMilli() + gateForMs,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return seal.Seal(d.key, d.id, seal.DomainRecord, d.chain, payload)
}

func (d *device) publish(sealed [][]byte) error {
	batch, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: sealed})
	if err != nil {
		return fmt.Errorf("encode batch: %w", err)
	}
	if err := settled(d.client.Publish(wire.Topics{Site: site, Device: d.id}.Of(wire.ClassRecord), 1, false, batch)); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// resend sends what has waited long enough again, the oldest first.
func (d *device) resend(now time.Time) error {
	d.mu.Lock()
	var late [][]byte
	for _, r := range d.waiting {
		if now.Sub(r.sent) < resendAfter || len(late) == resendBatch {
			break
		}
		r.sent = now
		late = append(late, r.sealed)
	}
	d.mu.Unlock()
	if len(late) == 0 {
		return nil
	}
	return d.publish(late)
}

// receipt takes what one data aggregator says.
func (d *device) receipt(_ paho.Client, m paho.Message) {
	now := time.Now()
	da := m.Topic()[strings.LastIndex(m.Topic(), "/")+1:]
	signer, payload, err := seal.Open(m.Payload(), seal.DomainReceipt, d.chain, func(id string) (ed25519.PublicKey, bool) {
		key, ok := d.das[id]
		return key, ok
	})
	r := &fairwattpb.Receipt{}
	if err == nil {
		err = proto.Unmarshal(payload, r)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || signer != da {
		d.odd = append(d.odd, fmt.Sprintf("%s: a receipt by %.64q on the topic of %s: %v", d.id, signer, da, err))
		return
	}
	for _, e := range r.GetEntries() {
		if e.GetSender() != d.id {
			continue
		}
		if r.GetHeight() == 0 {
			d.refused[e.GetOutcome().GetCode()]++
			continue
		}
		d.say([32]byte(e.GetRecordId()), da, verdict{r.GetHeight(), e.GetOutcome().GetApplied(), e.GetOutcome().GetCode()}, now)
	}
}

// say notes a data aggregator's word of a record in a block; d.mu is held.
func (d *device) say(id [32]byte, da string, v verdict, now time.Time) {
	r := d.records[id]
	if r == nil || r.height != 0 {
		return
	}
	r.said[da] = v
	same := 0
	for _, other := range r.said {
		if other == v {
			same++
		}
	}
	if same < d.enough {
		return
	}
	r.height = v.height
	for k, w := range d.waiting {
		if w == r {
			d.waiting = append(d.waiting[:k:k], d.waiting[k+1:]...)
			break
		}
	}
	d.final(r, now)
}

// open is how many records are not final.
func (d *device) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// A vandal is a device with a good certificate that sends what it should not.
type vandal struct {
	*device
	victim *device
	rages  chan bool
	sent   int
}

const (
	vandalEvery = 50 * time.Millisecond
	vandalBurst = 25
)

func (v *vandal) run(ctx context.Context) error {
	every := time.NewTicker(vandalEvery)
	defer every.Stop()
	rages, old := false, []byte(nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case rages = <-v.rages:
		case now := <-every.C:
			if !rages {
				continue
			}
			batch, err := v.batch(now, &old)
			if err == nil {
				err = v.publish(batch)
			}
			if err != nil {
				return fmt.Errorf("hostile device: %w", err)
			}
		}
	}
}

// batch is a mix of bytes that are no record, another's name, a broken signature, an
// old record again and a flood of good ones.
func (v *vandal) batch(now time.Time, old *[]byte) ([][]byte, error) {
	var batch [][]byte
	for k := range vandalBurst {
		v.sent++
		v.counter++
		sealed, err := v.seal(v.counter, now)
		if err != nil {
			return nil, err
		}
		switch k % 5 {
		case 0:
			sealed = []byte("no record")
		case 1:
			thief := device{id: v.victim.id, key: v.key, chain: v.chain}
			if sealed, err = thief.seal(1<<40+v.counter, now); err != nil {
				return nil, err
			}
		case 2:
			sealed[len(sealed)-1] ^= 1
		case 3:
			if *old != nil {
				sealed = *old
			}
		default:
			*old = sealed
		}
		batch = append(batch, sealed)
	}
	return batch, nil
}
