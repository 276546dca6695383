package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// A publisher brings views, events and records to the brokers. Views (status,
// gate, hazards) go to every connected broker at its own pace, because people may
// watch any of them. Events and records go to the first connected broker, in
// order.
type publisher struct {
	pipes  []mqtt.Pipe
	outbox *outbox.Outbox
	topics wire.Topics
	log    *slog.Logger
	now    func() time.Time // monotonic, for resending

	mu      sync.Mutex
	views   map[string]latest
	dirty   []map[string]bool // topics not yet at broker i
	order   []string          // topics in order of their first view
	wakeups []chan struct{}   // one per view goroutine, then the queue's

	failed uint64 // publications that failed, guarded by mu

	// alive is called when every loop has gone round since the last ping.
	alive    func()
	pings    uint64   // guarded by mu, as are
	answered []uint64 // the last ping that each loop has seen
}

// A latest is the newest payload of a topic.
type latest struct {
	qos      byte
	retained bool
	payload  []byte
}

// retryAfter is the pause after a publication failed.
const retryAfter = time.Second

func newPublisher(pipes []mqtt.Pipe, outbox *outbox.Outbox, topics wire.Topics, log *slog.Logger) *publisher {
	p := &publisher{
		pipes: pipes, outbox: outbox, topics: topics, log: log, now: time.Now,
		views: make(map[string]latest),
	}
	for range pipes {
		p.dirty = append(p.dirty, make(map[string]bool))
		p.wakeups = append(p.wakeups, make(chan struct{}, 1))
	}
	p.wakeups = append(p.wakeups, make(chan struct{}, 1))
	p.answered = make([]uint64, len(p.wakeups))
	return p
}

// ping asks every loop for a sign of life.
func (p *publisher) ping() {
	p.mu.Lock()
	p.pings++
	p.mu.Unlock()
	p.wake(p.wakeups...)
}

// answer is loop i's sign of life. The last loop to answer a ping tells.
func (p *publisher) answer(i int) {
	p.mu.Lock()
	before := slices.Min(p.answered)
	p.answered[i] = p.pings
	tell := slices.Min(p.answered) > before && p.alive != nil
	p.mu.Unlock()
	if tell {
		p.alive()
	}
}

// set replaces the view of a class. A view that is not retained is dropped
// for brokers that are away: telemetry is of the moment.
func (p *publisher) set(class string, qos byte, retained bool, payload []byte) {
	p.setTopic(p.topics.Of(class), qos, retained, payload)
}

// setTopic is set for a topic outside the device's own.
func (p *publisher) setTopic(topic string, qos byte, retained bool, payload []byte) {
	p.mu.Lock()
	if _, known := p.views[topic]; !known {
		p.order = append(p.order, topic)
	}
	p.views[topic] = latest{qos, retained, payload}
	for i := range p.pipes {
		p.dirty[i][topic] = true
	}
	p.mu.Unlock()
	p.wake(p.wakeups...)
}

// again publishes a view once more as it is, if there is one.
func (p *publisher) again(topic string) {
	p.mu.Lock()
	if _, known := p.views[topic]; known {
		for i := range p.pipes {
			p.dirty[i][topic] = true
		}
	}
	p.mu.Unlock()
	p.wake(p.wakeups...)
}

// wakeQueue has the queue looked at: something was committed.
func (p *publisher) wakeQueue() { p.wake(p.wakeups[len(p.pipes)]) }

func (p *publisher) wake(wakeups ...chan struct{}) {
	for _, w := range wakeups {
		select {
		case w <- struct{}{}:
		default: // it is awake already
		}
	}
}

// attach subscribes to the pipes' connections; call it before they open.
func (p *publisher) attach() {
	for i, pipe := range p.pipes {
		pipe.OnUp(func() {
			p.mu.Lock()
			for topic, v := range p.views {
				if v.retained {
					p.dirty[i][topic] = true
				}
			}
			p.mu.Unlock()
			// The broker may have lost what it had acknowledged before.
			p.outbox.ResendAll()
			p.wake(p.wakeups...)
		})
	}
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range p.pipes {
		g.Go(func() error {
			return p.loop(ctx, i, func() (time.Duration, error) { return time.Hour, p.sendViews(ctx, i) })
		})
	}
	g.Go(func() error {
		return p.loop(ctx, len(p.pipes), func() (time.Duration, error) { return p.sendQueue(ctx) })
	})
	return g.Wait()
}

// loop calls send whenever it is woken or the wait it asked for is over.
func (p *publisher) loop(ctx context.Context, i int, send func() (time.Duration, error)) error {
	wake := p.wakeups[i]
	for {
		wait, err := send()
		if ctx.Err() != nil {
			return nil
		}
		p.answer(i)
		if err != nil {
			wait = retryAfter
			if !errors.Is(err, mqtt.ErrNotConnected) {
				p.mu.Lock()
				p.failed++
				p.mu.Unlock()
				p.log.Warn("publish", "err", err)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// sendViews brings broker i up to date.
func (p *publisher) sendViews(ctx context.Context, i int) error {
	for {
		topic, v, ok := p.nextView(i)
		if !ok {
			return nil
		}
		if !p.pipes[i].Connected() {
			return nil // its OnUp wakes us
		}
		if err := p.pipes[i].Publish(ctx, topic, v.qos, v.retained, v.payload); err != nil {
			p.mu.Lock()
			p.dirty[i][topic] = true
			p.mu.Unlock()
			return err
		}
	}
}

// nextView takes the first dirty view of broker i; views that are not
// retained are let go while the broker is away.
func (p *publisher) nextView(i int) (string, latest, bool) {
	connected := p.pipes[i].Connected()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, topic := range p.order {
		if !p.dirty[i][topic] {
			continue
		}
		v := p.views[topic]
		if !connected {
			if !v.retained {
				delete(p.dirty[i], topic)
			}
			continue
		}
		delete(p.dirty[i], topic)
		return topic, v, true
	}
	return "", latest{}, false
}

// idleWait bounds the wait when nothing is due.
const idleWait = time.Minute

// sendQueue publishes what waits in the outbox and returns when to look again.
func (p *publisher) sendQueue(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		pipe := p.connected()
		if pipe == nil {
			return idleWait, nil // OnUp wakes us
		}
		sent, err := p.sendEvents(ctx, pipe)
		if err != nil {
			return 0, err
		}
		records, err := p.outbox.Due(p.now())
		if err != nil {
			return 0, err
		}
		if len(records) > 0 {
			if err := p.sendRecords(ctx, pipe, records); err != nil {
				return 0, err
			}
		}
		if sent == 0 && len(records) == 0 {
			break
		}
	}
	at, any := p.outbox.NextDue()
	if !any {
		return idleWait, nil
	}
	return min(max(at.Sub(p.now()), time.Millisecond), idleWait), nil
}

func (p *publisher) connected() mqtt.Pipe {
	for _, pipe := range p.pipes {
		if pipe.Connected() {
			return pipe
		}
	}
	return nil
}

func (p *publisher) sendRecords(ctx context.Context, pipe mqtt.Pipe, records []outbox.Record) error {
	batch := &fairwattpb.RecordBatch{Oldest: p.outbox.Oldest()}
	for _, r := range records {
		batch.Sealed = append(batch.Sealed, r.Sealed)
	}
	payload, err := proto.Marshal(batch)
	if err != nil {
		return fmt.Errorf("marshal record batch: %w", err)
	}
	if err := pipe.Publish(ctx, p.topics.Of(wire.ClassRecord), 1, false, payload); err != nil {
		return err
	}
	p.outbox.Sent(records, p.now())
	return nil
}

// eventsAtOnce is how many events are read from the outbox at a time.
const eventsAtOnce = 64

// historicalAfter is the age at which an event is flagged as historical, so that
// no one takes it for news.
const historicalAfter = 5 * time.Second

func (p *publisher) sendEvents(ctx context.Context, pipe mqtt.Pipe) (int, error) {
	events, err := p.outbox.Events(eventsAtOnce)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		payload := e.Payload
		if p.now().UnixMilli()-e.CreatedMs > historicalAfter.Milliseconds() {
			payload = flagHistorical(payload)
		}
		if err := pipe.Publish(ctx, e.Topic, 1, false, payload); err != nil {
			return 0, err
		}
		if err := p.outbox.EventDone(e.Seq); err != nil {
			return 0, err
		}
	}
	return len(events), nil
}

// flagHistorical adds "historical":true to a JSON object.
func flagHistorical(object []byte) []byte {
	if len(object) < 3 || object[len(object)-1] != '}' {
		return object
	}
	return append(append([]byte(nil), object[:len(object)-1]...), `,"historical":true}`...)
}

// failures returns how many publications failed.
func (p *publisher) failures() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}
