package board

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor/simbus"
)

// A Relay is a contactor behind an output pin: a coil, a main contact, and a
// feedback contact that moves with it.
type Relay struct {
	Pin       string // of the coil
	ActiveLow bool   // low energises the coil
	// Feedback is the pin of the feedback contact, "" if it is not wired. It is
	// high while the main contact is closed; with Mirror it is high while that is
	// open (a mirror contact). A cut wire reads low.
	Feedback string
	Mirror   bool
	// PullIn and DropOut are how long the contact takes, on the board's clock.
	PullIn, DropOut time.Duration
}

// A RelayEvent is one move of a relay's main contact.
type RelayEvent struct {
	At        time.Duration // on the board's clock
	Wall      time.Time
	Closed    bool
	Energised bool // the coil, at that moment
}

// maxRelayEvents bounds a relay's log; the oldest events go first.
const maxRelayEvents = 1 << 16

// bouncePeriod is how often a bouncing contact moves.
const bouncePeriod = 2 * time.Millisecond

type relay struct {
	cfg       Relay
	f         *faults
	client    any // who drives the pin, nil if it floats
	energised bool
	closed    bool // the main contact
	due       bool // the contact moves at dueAt
	dueAt     time.Duration
	bounces   int // moves still to come after that
	log       []RelayEvent
}

func (b *Board) addRelay(c Relay) error {
	if c.Pin == "" {
		return fmt.Errorf("relay: no pin named")
	}
	if c.Pin == c.Feedback || b.hasPin(c.Pin) || b.relays[c.Pin] != nil {
		return fmt.Errorf("pin %s: two parts", c.Pin)
	}
	if c.PullIn < 0 || c.DropOut < 0 {
		return fmt.Errorf("relay on %s: times must not be negative", c.Pin)
	}
	r := &relay{cfg: c, f: &faults{}}
	if c.Feedback != "" {
		if b.hasPin(c.Feedback) || b.relays[c.Feedback] != nil {
			return fmt.Errorf("pin %s: two parts", c.Feedback)
		}
		b.feedbacks[c.Feedback] = r
	}
	b.relays[c.Pin], b.faults[c.Pin] = r, r.f
	b.parts = append(b.parts, Part{Chip: "relay", Pin: c.Pin})
	b.runners = append(b.runners, r)
	return nil
}

// PinOut returns the output that drives a relay, or the switch of the supply. In one process no connection
// ends: call [Board.ReleasePins] for that.
func (b *Board) PinOut(name string) (gpio.PinOut, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isSupply(name) {
		return b.supplyOut(name), nil
	}
	if b.relays[name] == nil {
		return nil, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, name)
	}
	return simbus.NewPinOut(name, func(name string, l gpio.Level) error { return b.setPin(b, name, l) }), nil
}

// setPin drives the coil of a relay, or the switch of the supply, for a client.
func (b *Board) setPin(client any, name string, l gpio.Level) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isSupply(name) {
		b.driveSupply(client, l)
		return nil
	}
	r := b.relays[name]
	if r == nil {
		return fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, name)
	}
	r.client = client
	r.coil(b.now, bool(l) != r.cfg.ActiveLow)
	return nil
}

// release lets the outputs float that a client drove: their relays drop out.
func (b *Board) release(client any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.relays {
		if r.client == client {
			r.client = nil
			r.coil(b.now, false)
		}
	}
	if s := b.supply; s != nil && s.client == client {
		s.set(b, nil, false)
	}
	for _, q := range b.opened[client] {
		q.end()
	}
	delete(b.opened, client)
}

// ReleasePins lets all outputs float that were driven in this process, as a
// machine's pins do when it resets.
func (b *Board) ReleasePins() { b.release(b) }

// Relay tells whether the main contact of the relay on a pin is closed.
func (b *Board) Relay(pin string) (closed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.relays[pin]
	if r == nil {
		return false, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, pin)
	}
	return r.closed, nil
}

// RelayLog returns every move of the main contact of the relay on a pin, oldest
// first. The contact is open before the first.
func (b *Board) RelayLog(pin string) ([]RelayEvent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.relays[pin]
	if r == nil {
		return nil, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, pin)
	}
	return append([]RelayEvent(nil), r.log...), nil
}

// coil sets the coil; the contact follows in its time.
func (r *relay) coil(now time.Duration, energised bool) {
	if energised == r.energised {
		return
	}
	r.energised = energised
	r.settle(now)
}

// settle starts the contact towards where coil and faults want it.
func (r *relay) settle(now time.Duration) {
	r.bounces = 0
	if r.due = r.wants() != r.closed; !r.due {
		return
	}
	takes := r.cfg.DropOut
	if r.wants() {
		takes = r.cfg.PullIn
	}
	if r.dueAt = now + takes; takes == 0 {
		r.arrive(now)
	}
}

// wants says where the contact goes: where the coil pulls it, unless it is
// welded or does not pull in.
func (r *relay) wants() bool {
	return r.closed && r.f.welded || r.energised && !r.f.noPullIn
}

// arrive moves the contact. A bouncing one goes to and fro before it rests.
func (r *relay) arrive(at time.Duration) {
	if r.bounces == 0 && r.f.bounces > 0 && r.due {
		r.bounces = 2 * int(max(1, r.f.bounces/(2*bouncePeriod)))
	} else if r.bounces > 0 {
		r.bounces--
	}
	r.move(at, !r.closed)
	if r.due = r.bounces > 0; r.due {
		r.dueAt = at + bouncePeriod
	}
}

func (r *relay) move(at time.Duration, closed bool) {
	r.closed = closed
	if len(r.log) == maxRelayEvents {
		r.log = append(r.log[:0], r.log[1:]...)
	}
	r.log = append(r.log, RelayEvent{At: at, Wall: time.Now(), Closed: closed, Energised: r.energised})
}

// run implements runner.
func (r *relay) run(_, to time.Duration) {
	for r.due && r.dueAt <= to {
		r.arrive(r.dueAt)
	}
}

// feedback is the level of the feedback's pin.
func (r *relay) feedback() gpio.Level {
	return gpio.Level(!r.f.feedbackLost && r.closed != r.cfg.Mirror)
}
