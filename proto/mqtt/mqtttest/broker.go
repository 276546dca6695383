// Package mqtttest is an MQTT broker in memory, for tests: pipes of one process
// with retained messages and last wills. Publish returns after every matching
// handler has run, so a test needs no wait. It checks no access rights.
package mqtttest

import (
	"context"
	"sync"

	"fairwatt/proto/mqtt"
)

var _ mqtt.Pipe = (*Pipe)(nil)

// A Broker passes messages between its pipes. The zero value is ready.
type Broker struct {
	mu       sync.Mutex
	down     bool
	retained map[string][]byte
	pipes    []*Pipe
}

// A Pipe is one client of a Broker; it implements mqtt.Pipe.
type Pipe struct {
	broker *Broker
	will   mqtt.Will

	// guarded by broker.mu
	open bool
	subs []subscription
	onUp []func()
}

type subscription struct {
	filter string
	handle func(mqtt.Message)
}

// Pipe returns a client that is not open yet.
func (b *Broker) Pipe(will mqtt.Will) *Pipe { return &Pipe{broker: b, will: will} }

// Subscribe implements mqtt.Pipe. Retained messages that match are handled before
// it returns when the pipe is open.
func (p *Pipe) Subscribe(filter string, handle func(mqtt.Message)) {
	p.broker.mu.Lock()
	p.subs = append(p.subs, subscription{filter, handle})
	var backlog []mqtt.Message
	if p.open && !p.broker.down {
		backlog = p.broker.matchRetained(filter)
	}
	p.broker.mu.Unlock()
	for _, m := range backlog {
		handle(m)
	}
}

func (b *Broker) matchRetained(filter string) []mqtt.Message {
	var out []mqtt.Message
	for topic, payload := range b.retained {
		if mqtt.TopicMatches(filter, topic) {
			out = append(out, mqtt.Message{Topic: topic, Payload: payload, Retained: true})
		}
	}
	return out
}

// OnUp implements mqtt.Pipe.
func (p *Pipe) OnUp(f func()) {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	p.onUp = append(p.onUp, f)
}

// Open implements mqtt.Pipe.
func (p *Pipe) Open() error {
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

func (p *Pipe) up() {
	p.broker.mu.Lock()
	type delivery struct {
		handle func(mqtt.Message)
		m      mqtt.Message
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

// Connected implements mqtt.Pipe.
func (p *Pipe) Connected() bool {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	return p.open && !p.broker.down
}

// Publish implements mqtt.Pipe; the handlers of all matching subscriptions have
// run when it returns.
func (p *Pipe) Publish(ctx context.Context, topic string, _ byte, retained bool, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !p.Connected() {
		return mqtt.ErrNotConnected
	}
	p.broker.deliver(topic, retained, payload)
	return nil
}

func (b *Broker) deliver(topic string, retained bool, payload []byte) {
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
	var handlers []func(mqtt.Message)
	for _, p := range b.pipes {
		for _, s := range p.subs {
			if p.open && mqtt.TopicMatches(s.filter, topic) {
				handlers = append(handlers, s.handle)
			}
		}
	}
	b.mu.Unlock()
	for _, handle := range handlers {
		handle(mqtt.Message{Topic: topic, Payload: payload})
	}
}

// Close implements mqtt.Pipe.
func (p *Pipe) Close() { p.end() }

// Kill ends the connection as a crash does: the broker publishes the will.
func (p *Pipe) Kill() {
	if p.end() && p.will.Topic != "" {
		p.broker.deliver(p.will.Topic, true, []byte(p.will.Payload))
	}
}

func (p *Pipe) end() bool {
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

// Retained returns the retained message of a topic; nil for none.
func (b *Broker) Retained(topic string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.retained[topic]
}

// SetDown stops or starts the broker for every pipe; what it retained is gone
// after a stop.
func (b *Broker) SetDown(down bool) {
	b.mu.Lock()
	b.down = down
	if down {
		b.retained = nil
	}
	pipes := append([]*Pipe{}, b.pipes...)
	b.mu.Unlock()
	if down {
		return
	}
	for _, p := range pipes {
		p.up()
	}
}
