package sensor

import (
	"errors"
	"os"
	"sync"
	"time"
)

// counterOf returns what counts the pin's pulses: the Buses themselves, or an
// edge counter on the pin. stop ends the counting.
func counterOf(kind, pin string, debounce time.Duration, buses Buses) (c Counters, stop func() error, err error) {
	if c, ok := buses.(Counters); ok {
		if _, _, err := c.PulseCount(pin); !errors.Is(err, errors.ErrUnsupported) {
			return c, func() error { return nil }, nil
		}
	}
	line, err := openEdges(kind, pin, buses)
	if err != nil {
		return nil, nil, err
	}
	e := newEdgeCounter(line, debounce, clockOf(buses))
	return e, e.stop, nil
}

// edgeCounter counts edges of one pin in its own goroutine, because a GPIO line
// keeps few edges while no one listens. It goes by the time of the edges, not by
// when it came to look at them: on a busy machine edges queue up, and those that
// are looked at together would pass for the bounces of one.
type edgeCounter struct {
	line     EdgeLine
	clock    Clock
	debounce time.Duration
	quit     chan struct{}
	done     chan struct{}

	mu    sync.Mutex
	err   error // why the pin cannot be counted now
	total uint64
	last  time.Duration
	bins  []uint32 // ring, indexed by time/BinWidth modulo its length
	bin   int64    // newest bin begun
	first int64    // bin in which counting began

	edge   time.Duration // the newest, a bounce too
	seq    uint32        // of it
	edges  uint64        // seen one after the other, with the bounces
	clear  uint64        // pulses among these
	missed float64       // part of a pulse among lost edges
}

// edgeWait is how long a wait for an edge lasts, and how long a broken pin is let
// alone.
const edgeWait = 100 * time.Millisecond

func newEdgeCounter(line EdgeLine, debounce time.Duration, clock Clock) *edgeCounter {
	now := int64(clock.Now() / BinWidth)
	e := &edgeCounter{
		line: line, clock: clock, debounce: debounce,
		quit: make(chan struct{}), done: make(chan struct{}),
		bins: make([]uint32, maxBins+1), bin: now, first: now,
	}
	go e.run()
	return e
}

func (e *edgeCounter) run() {
	defer close(e.done)
	for {
		err := e.line.Await(edgeWait)
		e.mu.Lock()
		if err == nil {
			err = e.drain()
		}
		e.err = err
		e.mu.Unlock()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err == nil {
			continue
		}
		// A broken pin is no reason to spin. The pause is the machine's, not the
		// measured world's.
		select {
		case <-e.quit:
			return
		case <-time.After(edgeWait):
		}
	}
}

// stop ends the goroutine and waits for it.
func (e *edgeCounter) stop() error {
	close(e.quit)
	err := e.line.Close()
	<-e.done
	return err
}

// drain counts what is in the queue. Caller holds mu.
func (e *edgeCounter) drain() error {
	for {
		at, seq, ok, err := e.line.Take()
		if err != nil || !ok {
			return err
		}
		e.take(at, seq)
	}
}

// take counts an edge. When the queue has lost some before it, no one can tell a
// pulse from a bounce: they and this edge hold as many pulses as the edges so far
// did, spread evenly up to it.
func (e *edgeCounter) take(at time.Duration, seq uint32) {
	lost := seq - e.seq - 1
	if e.edges == 0 || lost >= 1<<31 { // the first, or another count
		lost = 0
	}
	if lost == 0 {
		before := e.total
		e.count(at)
		e.edges, e.clear = e.edges+1, e.clear+e.total-before
	} else {
		e.missed += float64(lost+1) * float64(e.clear) / float64(e.edges)
		n := time.Duration(e.missed)
		for i := range n {
			e.add(e.edge + (at-e.edge)*(i+1)/n)
		}
		e.missed -= float64(n)
		e.last = at
	}
	e.edge, e.seq = at, seq
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

// count counts a pulse, unless it bounces. Caller holds mu.
func (e *edgeCounter) count(at time.Duration) {
	if e.total == 0 || at-e.last >= e.debounce {
		e.add(at)
	}
}

// add counts a pulse at its own time. Caller holds mu.
func (e *edgeCounter) add(at time.Duration) {
	e.roll(at)
	e.total++
	e.last = at
	if bin := int64(at / BinWidth); bin > e.bin-int64(len(e.bins)) {
		e.bins[bin%int64(len(e.bins))]++
	}
}

// PulseCount implements Counters; the pin's name is not looked at.
func (e *edgeCounter) PulseCount(string) (uint64, time.Duration, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.upToDate()
	return e.total, e.last, err
}

// upToDate counts what has come, because the goroutine that counts may not have
// had its turn. Caller holds mu.
func (e *edgeCounter) upToDate() error {
	if err := e.drain(); err != nil {
		return err
	}
	return e.err
}

// PulseBins implements Counters. The bin that is still running is left out.
func (e *edgeCounter) PulseBins(_ string, since time.Duration) ([]uint32, time.Duration, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock.Now()
	if err := e.upToDate(); err != nil {
		return nil, 0, err
	}
	e.roll(now)
	end := now / BinWidth * BinWidth
	from := max(int64((since+BinWidth-1)/BinWidth), e.first, e.bin-int64(maxBins))
	var out []uint32
	for b := from; b < int64(now/BinWidth); b++ {
		out = append(out, e.bins[b%int64(len(e.bins))])
	}
	return out, end, nil
}
