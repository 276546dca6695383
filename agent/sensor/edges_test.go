package sensor

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"fairwatt/model"
)

// queuedLine is a line whose edges stand in its queue, and that no one fills while
// the counter waits.
type queuedLine struct {
	mu     sync.Mutex
	edges  []queuedEdge
	err    error
	closed chan struct{}
	awaits atomic.Int64
}

type queuedEdge struct {
	at  time.Duration
	seq uint32
}

func newQueuedLine(edges ...queuedEdge) *queuedLine {
	return &queuedLine{edges: edges, closed: make(chan struct{})}
}

func (q *queuedLine) Await(timeout time.Duration) error {
	q.awaits.Add(1)
	q.mu.Lock()
	there, err := len(q.edges) > 0, q.err
	q.mu.Unlock()
	if there || err != nil {
		return err
	}
	select {
	case <-q.closed:
		return os.ErrClosed
	case <-time.After(timeout):
		return nil
	}
}

func (q *queuedLine) Take() (at time.Duration, seq uint32, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil || len(q.edges) == 0 {
		return 0, 0, false, q.err
	}
	e := q.edges[0]
	q.edges = q.edges[1:]
	return e.at, e.seq, true, nil
}

func (q *queuedLine) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

func (q *queuedLine) Close() error { close(q.closed); return nil }

// linePin is Buses with one line.
type linePin struct {
	realPin
	line *queuedLine
}

func (l linePin) Edges(string) (EdgeLine, error) { return l.line, nil }

// Edges that queued up while the machine was away are pulses if their own times
// say so, and bounces if their own times say so.
func TestEdgesCountByTheirOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var edges []queuedEdge
		for i := range 10 { // ten pulses in a second, with two bounces each, all found at once
			at := time.Duration(i) * 100 * time.Millisecond
			for _, bounce := range []time.Duration{0, time.Millisecond, 9 * time.Millisecond} {
				edges = append(edges, queuedEdge{at + bounce, uint32(len(edges) + 1)})
			}
		}
		line := newQueuedLine(edges...)
		e := newEdgeCounter(line, 10*time.Millisecond, systemClock{time.Now()})
		defer e.stop()
		time.Sleep(2 * time.Second)
		if n, last, err := e.PulseCount(""); n != 10 || last != 900*time.Millisecond || err != nil {
			t.Errorf("%d pulses, the last at %v, %v", n, last, err)
		}
		bins, end, err := e.PulseBins("", 0)
		if err != nil || end != 2*time.Second || len(bins) != 8 || bins[0] != 3 || bins[1] != 2 || bins[2] != 3 || bins[3] != 2 || bins[4] != 0 {
			t.Errorf("bins %v to %v, %v", bins, end, err)
		}
	})
}

// What a full queue lost is counted by the edges' numbers. Bounces among them are
// as many as among those that were seen.
func TestLostEdgesAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bounce int // edges a pulse has besides
	}{{"clean", 0}, {"bouncing", 2}} {
		line := newQueuedLine()
		seq := uint32(0)
		for i := range 1000 {
			at := time.Duration(i) * 10 * time.Millisecond
			for b := range 1 + tt.bounce {
				seq++
				if seq%31 >= 19 { // twelve in a row, wherever in a pulse
					continue
				}
				line.edges = append(line.edges, queuedEdge{at + time.Duration(b)*time.Millisecond, seq})
			}
		}
		e := &edgeCounter{line: line, debounce: 5 * time.Millisecond, bins: make([]uint32, maxBins+1)}
		if err := e.drain(); err != nil {
			t.Fatal(err)
		}
		if e.total < 996 || e.total > 1004 {
			t.Errorf("%s: %d pulses of 1000", tt.name, e.total)
		}
		for i, n := range e.bins[:39] {
			if n < 23 || n > 27 {
				t.Errorf("%s: bin %d has %d of 25", tt.name, i, n)
			}
		}
	}
}

// A pin that breaks is an error of its sensor for as long as it is broken, and is
// asked at a walk, not in a race.
func TestBrokenPinIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newQueuedLine()
		d, err := New(Config{Kind: KindAnemometer, Opts: AnemometerOpts{Pin: "P"}}, linePin{line: line})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Halt()
		time.Sleep(10 * time.Second)
		var s model.Sample
		if err := d.Read(t.Context(), &s); err != nil {
			t.Errorf("a calm: %v", err)
		}
		broken := errors.New("gpio: input/output error")
		line.fail(broken)
		before := line.awaits.Load()
		time.Sleep(10 * time.Second)
		if err := d.Read(t.Context(), &s); !errors.Is(err, broken) || s.Validity[model.WindGustMPS] != model.SensorError {
			t.Errorf("a broken pin reads %v (%v)", s.Values[model.WindGustMPS], err)
		}
		if n := line.awaits.Load() - before; n > 120 {
			t.Errorf("asked %d times in 10 s", n)
		}
		line.fail(nil)
		time.Sleep(time.Second)
		if err := d.Read(t.Context(), &s); err != nil {
			t.Errorf("mended: %v", err)
		}
	})
}

// hastyPin is a pin whose wait for an edge fails at once, as periph's do when the
// kernel refuses.
type hastyPin struct {
	gpiotest.Pin
	waits atomic.Int64
}

func (p *hastyPin) WaitForEdge(time.Duration) bool { p.waits.Add(1); return false }
func (p *hastyPin) In(gpio.Pull, gpio.Edge) error  { return nil }

// hasty is Buses with such a pin.
type hasty struct {
	realPin
	pin *hastyPin
}

func (h hasty) Pin(string) (gpio.PinIn, error) { return h.pin, nil }

func TestPinThatCannotBeAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin := &hastyPin{}
		d, err := New(Config{Kind: KindS0, Opts: S0Opts{Pin: "P"}}, hasty{pin: pin})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Halt()
		time.Sleep(10 * time.Second)
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, errNoEdges) {
			t.Errorf("a pin without edges reads %g Wh, %v", s.Values[model.EnergyExportWh], err)
		}
		if n := pin.waits.Load(); n > 120 {
			t.Errorf("asked %d times in 10 s", n)
		}
	})
}

// The default leaves room for a gale, whatever the cups' factor; a debounce that
// would hide one is refused.
func TestAnemometerDebounce(t *testing.T) {
	for _, tt := range []struct {
		factor float64
		want   time.Duration
	}{{0, 10 * time.Millisecond}, {0.05, 833 * time.Microsecond}, {3, 10 * time.Millisecond}} {
		if got := (AnemometerOpts{MPSPerHz: tt.factor}).withDefaults().(AnemometerOpts).Debounce; got != tt.want {
			t.Errorf("at %g m/s a hertz the debounce is %v, want %v", tt.factor, got, tt.want)
		}
	}
}
