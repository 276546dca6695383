package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
)

// A Message is what a subscription delivers.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// A Pipe is one connection to one broker. Implementations reconnect by
// themselves and subscribe again when they do; all methods are safe for
// concurrent use. MQTT is the real one, MemoryBroker's the other.
type Pipe interface {
	// Subscribe adds a subscription at QoS 1. handle runs on a goroutine of
	// the pipe and may block.
	Subscribe(filter string, handle func(Message))
	// OnUp has f called after every successful connection, once all
	// subscriptions stand. Call it before Open.
	OnUp(f func())
	// Open starts connecting and returns at once; the pipe keeps trying until
	// Close.
	Open() error
	// Connected says whether a publication has a chance now.
	Connected() bool
	// Publish returns nil when the broker has the message (QoS 1:
	// acknowledged; QoS 0: written). It is bounded in time by the pipe.
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
	// Close disconnects without the last will being sent.
	Close()
}

// A Will is the message the broker publishes, retained, when the connection
// ends without a disconnect.
type Will struct {
	Topic   string
	Payload string
}

// ErrNotConnected is returned by Publish while a pipe has no broker.
var ErrNotConnected = errors.New("not connected to the broker")

// A MemoryBroker passes messages between pipes of one process, with retained
// messages and last wills: the broker of tests. The zero value is ready.
type MemoryBroker struct {
	mu       sync.Mutex
	down     bool
	retained map[string][]byte
	pipes    []*MemoryPipe
}

// A MemoryPipe is one client of a MemoryBroker.
type MemoryPipe struct {
	broker *MemoryBroker
	will   Will

	// guarded by broker.mu
	open bool
	subs []subscription
	onUp []func()
}

type subscription struct {
	filter string
	handle func(Message)
}

// Pipe returns a client that is not open yet.
func (b *MemoryBroker) Pipe(will Will) *MemoryPipe { return &MemoryPipe{broker: b, will: will} }

// Subscribe implements Pipe. Retained messages that match are handled before
// it returns when the pipe is open.
func (p *MemoryPipe) Subscribe(filter string, handle func(Message)) {
	p.broker.mu.Lock()
	p.subs = append(p.subs, subscription{filter, handle})
	var backlog []Message
	if p.open && !p.broker.down {
		backlog = p.broker.matchRetained(filter)
	}
	p.broker.mu.Unlock()
	for _, m := range backlog {
		handle(m)
	}
}

func (b *MemoryBroker) matchRetained(filter string) []Message {
	var out []Message
	for topic, payload := range b.retained {
		if TopicMatches(filter, topic) {
			out = append(out, Message{Topic: topic, Payload: payload, Retained: true})
		}
	}
	return out
}

// OnUp implements Pipe.
func (p *MemoryPipe) OnUp(f func()) {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	p.onUp = append(p.onUp, f)
}

// Open implements Pipe.
func (p *MemoryPipe) Open() error {
	p.broker.mu.Lock()
	p.open = true
	p.broker.pipes = append(p.broker.pipes, p)
	down := p.broker.down
	p.broker.mu.Unlock()
	if !down {
		p.up()
	}
	return nil
}

func (p *MemoryPipe) up() {
	p.broker.mu.Lock()
	type delivery struct {
		handle func(Message)
		m      Message
	}
	var backlog []delivery
	for _, s := range p.subs {
		for _, m := range p.broker.matchRetained(s.filter) {
			backlog = append(backlog, delivery{s.handle, m})
		}
	}
	ups := append([]func(){}, p.onUp...)
	p.broker.mu.Unlock()
	for _, d := range backlog {
		d.handle(d.m)
	}
	for _, f := range ups {
		f()
	}
}

// Connected implements Pipe.
func (p *MemoryPipe) Connected() bool {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	return p.open && !p.broker.down
}

// Publish implements Pipe; the handlers of all matching subscriptions have
// run when it returns.
func (p *MemoryPipe) Publish(ctx context.Context, topic string, _ byte, retained bool, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !p.Connected() {
		return ErrNotConnected
	}
	p.broker.deliver(topic, retained, payload)
	return nil
}

func (b *MemoryBroker) deliver(topic string, retained bool, payload []byte) {
	b.mu.Lock()
	payload = append([]byte(nil), payload...)
	if retained {
		if b.retained == nil {
			b.retained = make(map[string][]byte)
		}
		if len(payload) == 0 {
			delete(b.retained, topic)
		} else {
			b.retained[topic] = payload
		}
	}
	var handlers []func(Message)
	for _, p := range b.pipes {
		for _, s := range p.subs {
			if p.open && TopicMatches(s.filter, topic) {
				handlers = append(handlers, s.handle)
			}
		}
	}
	b.mu.Unlock()
	for _, handle := range handlers {
		handle(Message{Topic: topic, Payload: payload})
	}
}

// Close implements Pipe.
func (p *MemoryPipe) Close() { p.end() }

// Kill ends the connection as a crash does: the broker publishes the will.
func (p *MemoryPipe) Kill() {
	if p.end() && p.will.Topic != "" {
		p.broker.deliver(p.will.Topic, true, []byte(p.will.Payload))
	}
}

func (p *MemoryPipe) end() bool {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	was := p.open
	p.open = false
	for i, q := range p.broker.pipes {
		if q == p {
			p.broker.pipes = append(p.broker.pipes[:i], p.broker.pipes[i+1:]...)
			break
		}
	}
	return was
}

// SetDown stops or starts the broker for every pipe; what it retained is gone
// after a stop.
func (b *MemoryBroker) SetDown(down bool) {
	b.mu.Lock()
	b.down = down
	if down {
		b.retained = nil
	}
	pipes := append([]*MemoryPipe{}, b.pipes...)
	b.mu.Unlock()
	if down {
		return
	}
	for _, p := range pipes {
		p.up()
	}
}

// TopicMatches says whether an MQTT filter with + and # covers the topic.
func TopicMatches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || (level != "+" && level != t[i]) {
			return false
		}
	}
	return len(f) == len(t)
}
