package board

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
)

const (
	binWidth = 250 * time.Millisecond // sensor.BinWidth
	maxBins  = int(time.Hour / binWidth)
	maxEdges = 1024 // edges that a pin keeps until they are fetched
	gustSpan = 3 * time.Second
)

// pulsePin is an anemometer, a meter or a rain gauge.
type pulsePin struct {
	name     string
	f        *faults
	mpsPerHz float64 // anemometer if > 0
	mmPerTip float64 // rain gauge if > 0
	impPerWh float64
	follow   bool

	missing    bool // the world has no wind, or no rain gauge's reading
	mean, gust float64
	rain       amount
	powerW     float64

	part  float64 // of the next pulse
	total uint64
	last  time.Duration
	bins  []uint32 // ring over time/binWidth
	edges chan struct{}
	lines []*edgeQueue // readers of edges with their times
	// Each pulse has so many edges more, within bounceFor.
	bounces   int
	bounceFor time.Duration
}

func (p *pulsePin) feed(s *model.Sample) {
	if p.mmPerTip > 0 {
		p.missing = !p.rain.feed(s, model.RainMM)
		return
	}
	if p.mpsPerHz == 0 {
		p.powerW, _ = s.Get(model.PowerW)
		if math.IsNaN(p.powerW) || p.powerW < 0 || !p.follow {
			p.powerW = 0
		}
		return
	}
	mean, ok := s.Get(model.WindSpeedMPS)
	p.missing = !ok
	p.mean, p.gust = 0, 0
	if !ok {
		return
	}
	p.mean, p.gust = mean, mean
	if g, ok := s.Get(model.WindGustMPS); ok {
		p.gust = max(g, mean)
	}
}

// rate is pulses per second at a moment of the board's clock. Gusts come in
// bursts of 3 s, the shortest cycle that still allows the mean but at least
// every 6 s, so that a 10 s window seldom misses one.
func (p *pulsePin) rate(t time.Duration) float64 {
	if p.mpsPerHz == 0 {
		return p.powerW / 3600 * p.impPerWh
	}
	if p.gust <= p.mean || p.mean == 0 {
		return p.mean / p.mpsPerHz
	}
	cycle := 2 * gustSpan
	if need := time.Duration(float64(gustSpan) * min(p.gust/p.mean, 200)); need > cycle {
		cycle = (need + binWidth - 1) / binWidth * binWidth
	}
	if t%cycle < gustSpan {
		return p.gust / p.mpsPerHz
	}
	low := (p.mean*cycle.Seconds() - p.gust*gustSpan.Seconds()) / (cycle - gustSpan).Seconds()
	return max(0, low) / p.mpsPerHz
}

// meanRate is the rate over a span too long to walk through.
func (p *pulsePin) meanRate() float64 {
	if p.mpsPerHz == 0 {
		return p.rate(0)
	}
	return p.mean / p.mpsPerHz
}

// pulses returns the pulses in d at a rate a second; for rain, the tips of the
// rain that flows in d.
func (p *pulsePin) pulses(rate float64, d time.Duration) float64 {
	if p.mmPerTip > 0 {
		return p.rain.take(d) / p.mmPerTip
	}
	return rate * d.Seconds()
}

// run makes the pulses of [from, to).
func (p *pulsePin) run(from, to time.Duration) {
	if walked := time.Duration(maxBins) * binWidth; to-from > walked {
		// Older than the bins: only the count matters.
		skip := (to - from - walked) / binWidth * binWidth
		p.emit(p.pulses(p.meanRate(), skip), from, from+skip, false)
		from += skip
	}
	for from < to {
		end := min((from/binWidth+1)*binWidth, to)
		if from%binWidth == 0 {
			p.bins[int(from/binWidth)%maxBins] = 0
		}
		p.emit(p.pulses(p.rate(from), end-from), from, end, true)
		from = end
	}
}

// emit adds a number of pulses, spread evenly over [from, at]. Only whole pulses
// count; the count has the last of them at the end.
func (p *pulsePin) emit(pulses float64, from, at time.Duration, inBin bool) {
	if p.f.stuckValue {
		return
	}
	before := p.part
	p.part += pulses
	whole := math.Floor(p.part + 1e-9)
	if whole < 1 {
		return
	}
	p.part = max(0, p.part-whole)
	p.total += uint64(whole)
	p.last = at
	if inBin {
		// A moment at the end of a bin still belongs to it.
		p.bins[int((max(at, 1)-1)/binWidth)%maxBins] += uint32(whole)
	}
	for n := 1.0; n <= whole && len(p.lines) > 0; n++ {
		p.tell(from + time.Duration((n-before)/pulses*float64(at-from)))
	}
	for range int(min(whole, maxEdges)) {
		select {
		case p.edges <- struct{}{}:
		default: // as in a kernel's queue, edges are lost if none fetches them
			return
		}
	}
}

// tell gives a pulse's edges to those that read them.
func (p *pulsePin) tell(at time.Duration) {
	for _, q := range p.lines {
		q.push(at)
		for i := range p.bounces {
			q.push(at + p.bounceFor*time.Duration(i+1)/time.Duration(p.bounces))
		}
	}
}

func (p *pulsePin) err() error {
	if p.f.noAnswer || p.missing {
		return fmt.Errorf("pin %s: no signal: %w", p.name, syscall.ENXIO)
	}
	return nil
}

// AddEnergyWh lets energy flow through the meter on a pin. Fractions of a pulse
// are kept.
func (b *Board) AddEnergyWh(pin string, wh float64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pulses[pin]
	if p == nil || p.impPerWh == 0 {
		return fmt.Errorf("%w with a meter: %s", simbus.ErrNoSuchPin, pin)
	}
	if !(wh >= 0 && wh <= 1e9) {
		return fmt.Errorf("meter on %s: %g Wh is not within 0 and 1e9", pin, wh)
	}
	p.emit(wh*p.impPerWh, b.now, b.now, false)
	return nil
}

// PulseCount returns the pulses of a pin since the board was made, and the time of
// the newest. On an IRQ output they are the cycles of the antenna, shown there for
// tuning.
func (b *Board) PulseCount(pin string) (total uint64, last time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.irqs[pin]; a != nil {
		return a.count(b.now), b.now, nil
	}
	p := b.pulses[pin]
	if p == nil {
		return 0, 0, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, pin)
	}
	if b.kernel.EdgesOnly {
		return 0, 0, fmt.Errorf("pin %s: no counter: %w", pin, errors.ErrUnsupported)
	}
	return p.total, p.last, p.err()
}

// PulseBins returns the pulses in each whole 250 ms after since, oldest first,
// and where the last of them ends. The newest hour is kept.
func (b *Board) PulseBins(pin string, since time.Duration) (bins []uint32, end time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pulses[pin]
	if p == nil {
		return nil, 0, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, pin)
	}
	if err := p.err(); err != nil {
		return nil, 0, err
	}
	last := int64(b.now / binWidth) // this bin still runs
	from := max(int64((max(since, 0)+binWidth-1)/binWidth), last-int64(maxBins)+1)
	for i := from; i < last; i++ {
		bins = append(bins, p.bins[int(i)%maxBins])
	}
	return bins, time.Duration(last) * binWidth, nil
}

// waitEdge awaits a pulse in real time, or a ready output in the board's.
func (b *Board) waitEdge(name string, timeout time.Duration) bool {
	b.mu.Lock()
	if a := b.ready[name]; a != nil {
		defer b.mu.Unlock()
		if timeout < 0 {
			timeout = time.Second
		}
		if !a.line.awaitReady(timeout) {
			return false
		}
		_, _, ok, _ := a.line.take()
		return ok
	}
	if a := b.irqs[name]; a != nil {
		defer b.mu.Unlock()
		if timeout < 0 {
			timeout = time.Second
		}
		for end := b.now + timeout; !a.high(b.now); b.run(min(binWidth, end-b.now)) {
			if b.now >= end {
				return false
			}
		}
		return true
	}
	p := b.pulses[name]
	b.mu.Unlock()
	if p == nil { // the feedback of a relay is read, not awaited
		return false
	}
	edges := p.edges
	if timeout < 0 {
		<-edges
		return true
	}
	select { // an edge that has come beats a timeout of zero
	case <-edges:
		return true
	default:
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-edges:
		return true
	case <-t.C:
		return false
	}
}

// level is a pin's level. A pulse pin is always high: a pulse is too short to see.
// The feedback of a relay is where its contact is.
func (b *Board) level(name string) (gpio.Level, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.irqs[name]; a != nil {
		return gpio.Level(a.high(b.now)), nil
	}
	if r := b.feedbacks[name]; r != nil {
		return r.feedback(), nil
	}
	return gpio.High, nil
}
