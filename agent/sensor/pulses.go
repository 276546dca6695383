package sensor

import (
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// counterOf returns what counts the pin's pulses: the Buses themselves, or an
// edge counter on the pin. stop ends the counting.
func counterOf(kind, pin string, debounce time.Duration, buses Buses) (c Counters, stop func() error, err error) {
	if c, ok := buses.(Counters); ok {
		return c, func() error { return nil }, nil
	}
	p, err := buses.Pin(pin)
	if err != nil {
		return nil, nil, &Error{kind, pin, 0, "open pin", err}
	}
	// Both outputs pull the line down when they close: open collector (S0) or
	// reed contact (cup anemometer).
	if err := p.In(gpio.PullUp, gpio.FallingEdge); err != nil {
		return nil, nil, &Error{kind, pin, 0, "set up pin", err}
	}
	e := newEdgeCounter(p, debounce, clockOf(buses))
	return e, e.stop, nil
}

// edgeCounter counts edges of one pin in its own goroutine, because a GPIO line
// keeps few edges while no one listens.
type edgeCounter struct {
	pin      gpio.PinIn
	clock    Clock
	debounce time.Duration
	quit     chan struct{}
	done     chan struct{}

	mu    sync.Mutex
	total uint64
	last  time.Duration
	bins  []uint32 // ring, indexed by time/BinWidth modulo its length
	bin   int64    // newest bin begun
	first int64    // bin in which counting began
}

// edgeWait is how long a wait for an edge lasts, and so how long stop takes.
const edgeWait = 100 * time.Millisecond

func newEdgeCounter(pin gpio.PinIn, debounce time.Duration, clock Clock) *edgeCounter {
	now := int64(clock.Now() / BinWidth)
	e := &edgeCounter{
		pin: pin, clock: clock, debounce: debounce,
		quit: make(chan struct{}), done: make(chan struct{}),
		bins: make([]uint32, maxBins+1), bin: now, first: now,
	}
	go e.run()
	return e
}

func (e *edgeCounter) run() {
	defer close(e.done)
	for {
		edge := e.pin.WaitForEdge(edgeWait)
		select {
		case <-e.quit:
			return
		default:
		}
		if edge {
			e.count(e.clock.Now())
		}
	}
}

// stop ends the goroutine and waits for it.
func (e *edgeCounter) stop() error {
	close(e.quit)
	<-e.done
	return e.pin.Halt()
}

// roll opens the bins up to now. Caller holds mu.
func (e *edgeCounter) roll(now time.Duration) {
	target := int64(now / BinWidth)
	if target-e.bin > int64(len(e.bins)) {
		e.bin = target - int64(len(e.bins))
	}
	for e.bin < target {
		e.bin++
		e.bins[e.bin%int64(len(e.bins))] = 0
	}
}

func (e *edgeCounter) count(now time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.total > 0 && now-e.last < e.debounce {
		return
	}
	e.roll(now)
	e.total++
	e.last = now
	e.bins[e.bin%int64(len(e.bins))]++
}

// PulseCount implements Counters; the pin's name is not looked at.
func (e *edgeCounter) PulseCount(string) (uint64, time.Duration, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total, e.last, nil
}

// PulseBins implements Counters. The bin that is still running is left out.
func (e *edgeCounter) PulseBins(_ string, since time.Duration) ([]uint32, time.Duration, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roll(e.clock.Now())
	from := max(int64((since+BinWidth-1)/BinWidth), e.first, e.bin-int64(maxBins))
	var out []uint32
	for b := from; b < e.bin; b++ {
		out = append(out, e.bins[b%int64(len(e.bins))])
	}
	return out, time.Duration(e.bin) * BinWidth, nil
}
