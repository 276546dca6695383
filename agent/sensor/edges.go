package sensor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// An EdgeLine is the queue of a pin's edges. The machine keeps the edges that
// come while nobody listens, each with its own time; when the queue is full it
// drops the oldest. A Linux GPIO line does so, and the board of a simulator.
//
// Await and Take may be called by two goroutines at once. The type is an alias of
// its methods, so that a board need not know this package.
type EdgeLine = interface {
	// Await returns when an edge can be taken, and when timeout has passed. It is
	// an error when the pin cannot be awaited; os.ErrClosed after Close.
	Await(timeout time.Duration) error
	// Take takes the oldest edge without waiting; ok is false when there is none.
	// at is when it came, on the Clock of the Buses. seq numbers the edges of the
	// line, those too that a full queue has dropped.
	Take() (at time.Duration, seq uint32, ok bool, err error)
	// Close gives the pin back and ends an Await.
	Close() error
}

// EdgeLines is implemented by Buses that give a pin's edges with their times.
// Without it, or where it has errors.ErrUnsupported, an edge has the time at which
// it was noticed. A busy machine notices late.
type EdgeLines interface {
	// Edges gives the falling edges of a pin, with its pull-up.
	Edges(pin string) (EdgeLine, error)
}

// errNoEdges: a wait for edges that did not wait.
var errNoEdges = errors.New("the pin gives no edges: a wait for one ended at once")

// openEdges opens the falling edges of a pin.
func openEdges(kind, pin string, buses Buses) (EdgeLine, error) {
	if l, ok := buses.(EdgeLines); ok {
		line, err := l.Edges(pin)
		if !errors.Is(err, errors.ErrUnsupported) {
			if err != nil {
				return nil, &Error{kind, pin, 0, "open pin", err}
			}
			return line, nil
		}
	}
	p, err := buses.Pin(pin)
	if err != nil {
		return nil, &Error{kind, pin, 0, "open pin", err}
	}
	// The outputs pull the line down when they close: open collector (S0, ALERT) or
	// reed contact (cup anemometer).
	if err := p.In(gpio.PullUp, gpio.FallingEdge); err != nil {
		return nil, &Error{kind, pin, 0, "set up pin", err}
	}
	return &noticedEdges{pin: p, clock: clockOf(buses)}, nil
}

// noticedEdges are the edges of a pin that does not tell their times: each has the
// time at which it was noticed, and none is known to be lost.
type noticedEdges struct {
	pin   gpio.PinIn
	clock Clock

	mu      sync.Mutex
	waiting []time.Duration // noticed, not taken
	seq     uint32
	closed  bool
}

// Await implements EdgeLine.
func (n *noticedEdges) Await(timeout time.Duration) error {
	n.mu.Lock()
	there, closed := len(n.waiting) > 0, n.closed
	n.mu.Unlock()
	switch {
	case closed:
		return os.ErrClosed
	case there:
		return nil
	}
	start := n.clock.Now()
	edge := n.pin.WaitForEdge(timeout)
	now := n.clock.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return os.ErrClosed
	case edge:
		n.waiting = append(n.waiting, now)
	case now-start < timeout/2:
		return fmt.Errorf("%w (after %v of %v)", errNoEdges, now-start, timeout)
	}
	return nil
}

// Take implements EdgeLine.
func (n *noticedEdges) Take() (at time.Duration, seq uint32, ok bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return 0, n.seq, false, nil
	}
	at = n.waiting[0]
	n.waiting = n.waiting[1:]
	n.seq++
	return at, n.seq, true, nil
}

// Close implements EdgeLine.
func (n *noticedEdges) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	return n.pin.Halt()
}
