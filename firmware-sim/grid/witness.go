package grid

import (
	"sync"
	"time"

	"fairwatt/firmware-sim/board"
)

// A gateMoment is a change of an agent's gate.
type gateMoment struct {
	open bool
	at   time.Time
}

// A gateLog is every change of one agent's gate. The gate is not open before
// the first.
type gateLog struct {
	mu      sync.Mutex
	moments []gateMoment
}

func (l *gateLog) add(open bool, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moments = append(l.moments, gateMoment{open, at})
}

func (l *gateLog) all() []gateMoment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]gateMoment(nil), l.moments...)
}

// violations counts the spans in which a relay was closed, by its own log, while
// the gate of its agent was not open, until end. A span of at most grace is none:
// an agent acts within a tick.
func violations(relay []board.RelayEvent, gates []gateMoment, end time.Time, grace time.Duration) (n int) {
	closed, open := false, false
	var since time.Time // of a span in which closed and not open
	wrong := false
	step := func(at time.Time) {
		now := closed && !open
		if wrong && !now && at.Sub(since) > grace {
			n++
		}
		if now && !wrong {
			since = at
		}
		wrong = now
	}
	for len(relay) > 0 || len(gates) > 0 {
		// The gate first where both are at one moment.
		if len(gates) > 0 && (len(relay) == 0 || !gates[0].at.After(relay[0].Wall)) {
			open = gates[0].open
			step(gates[0].at)
			gates = gates[1:]
			continue
		}
		closed = relay[0].Closed
		step(relay[0].Wall)
		relay = relay[1:]
	}
	closed = false
	step(end)
	return n
}
