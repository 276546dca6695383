package sensor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// point is one conversion: when (s) and how much (V at the input).
type point struct{ t, v float64 }

// edgeSeen is an edge of ALERT/RDY: a conversion is done.
type edgeSeen struct {
	at    time.Duration
	seq   uint32
	known bool
}

// A conversion is a result of the chip. Without sure its moment is not known
// well enough to stand in a window.
type conversion struct {
	at   time.Duration
	seq  uint32
	code uint16
	sure bool
}

// sample fills d.samples with one window of an input.
func (d *ADS1115) sample(ctx context.Context, in InputConfig) error {
	config := adsMux[in.Input]<<12 | adsRange[in.RangeV]<<9 | adsRate860
	if err := d.begin(config); err != nil {
		return err
	}
	err := d.fill(ctx, in, config)
	// The chip rests whatever came of it; an error of before says more.
	if e := d.end(ctx, config); err == nil {
		err = e
	}
	return err
}

// fill reads conversions until they make a window. A busy machine leaves gaps.
// Over a quarter cycle, crossings are missed and the frequency would be false: the
// window begins again, unless half of its cycles are in it already.
func (d *ADS1115) fill(ctx context.Context, in InputConfig, config uint16) error {
	d.samples = d.samples[:0]
	seconds := func(cycles float64) time.Duration {
		return time.Duration(cycles / d.nominal * float64(time.Second))
	}
	whole, least, maxGap := seconds(1.1*(float64(d.cycles)+1.5)), seconds(d.leastCycles()+0.5), seconds(0.25)
	var first, last conversion
	var gap time.Duration
	lost := 0
	for n := 0; n < 2*adsMaxSamples && d.clock.Now()-d.begun < adsPatience*whole; n++ {
		c, err := d.next(ctx, config)
		if errors.Is(err, ErrNoChip) && lost < adsLost && ctx.Err() == nil {
			// A loose contact costs a conversion, not the window. The check of the
			// settings finds a chip that has lost its supply.
			lost++
			d.ready = true
			continue
		}
		if err != nil {
			return err
		}
		if !c.sure {
			continue
		}
		if c.code == 0x7FFF || c.code == 0x8000 {
			// The converter clips (9.3.3): no RMS can be formed. The chip is in
			// order, so it is not set up again.
			err := d.fail("read conversion", ErrSaturated)
			d.ready, d.low = true, c.code == 0x8000
			return err
		}
		if len(d.samples) > 0 && c.at-last.at > maxGap {
			gap = c.at - last.at
			if last.at-first.at >= least {
				break
			}
			d.samples = d.samples[:0]
		}
		if len(d.samples) == 0 {
			first = c
		}
		last = c
		d.samples = append(d.samples, point{(c.at - first.at).Seconds(), float64(int16(c.code)) * in.stepV()})
		if c.at-first.at >= whole || len(d.samples) == adsMaxSamples {
			break
		}
	}
	d.period = adsPeriod
	if d.rdy != nil && last.seq > first.seq {
		d.period = (last.at - first.at) / time.Duration(last.seq-first.seq)
	}
	return d.judge(in, last.at-first.at, least, gap)
}

// leastCycles is how many cycles without a gap make a window: half of those that
// are asked for.
func (d *ADS1115) leastCycles() float64 { return max(2, float64(d.cycles)/2) }

// judge says whether a window is one.
func (d *ADS1115) judge(in InputConfig, span, least, gap time.Duration) error {
	switch n := len(d.samples); {
	case gap > 0 && span < least:
		return d.fail("sample", fmt.Errorf("%w: a gap of %v, again and again", ErrTooFewSamples, gap))
	case n < 2 || float64(n) < 4*d.leastCycles() || span < least:
		return d.fail("sample", fmt.Errorf("%w: %d in %v", ErrTooFewSamples, n, span))
	case !isSteady(in.Channel) && stuck(d.samples, in.RangeV/100):
		return d.fail("sample", fmt.Errorf("%w: %d times %.4f V", ErrStuck, n, d.samples[0].v))
	}
	return nil
}

// stuck reports samples that are all the same and not about zero: a converter
// has noise, and a line without voltage has no such mean.
func stuck(p []point, zero float64) bool {
	for _, q := range p {
		if q.v != p[0].v {
			return false
		}
	}
	return p[0].v > zero || p[0].v < -zero
}

// begin sets the chip to an input. With a ready pin it converts on and on from
// here, and what stands in the pin's queue is of before.
func (d *ADS1115) begin(config uint16) error {
	d.quickest, d.carried = time.Hour, edgeSeen{}
	if d.rdy != nil {
		if err := d.write16("configure", adsConfig, config); err != nil {
			return err
		}
		if _, err := d.newest(); err != nil {
			return err
		}
	}
	d.begun = d.clock.Now()
	return nil
}

// end lets a chip with a ready pin rest until the next window, because 860 edges a
// second would fill the pin's queue with what no one reads, and waits for the last.
func (d *ADS1115) end(ctx context.Context, config uint16) error {
	if d.rdy == nil {
		return nil
	}
	if err := d.write16("power down", adsConfig, config|adsSingle); err != nil {
		return err
	}
	for range adsStale {
		if err := d.awaitEdge(ctx, 2*adsPeriod); err != nil {
			return err
		}
		if e, err := d.newest(); err != nil || !e.known {
			return err
		}
	}
	return d.fail("power down", fmt.Errorf("%w: the ready pin does not rest", ErrWrongChip))
}

// next gives the next conversion.
func (d *ADS1115) next(ctx context.Context, config uint16) (conversion, error) {
	if d.rdy != nil {
		return d.follow(ctx)
	}
	return d.convert(ctx, config|adsStart|adsSingle|adsNoAlert)
}

// convert starts one conversion, awaits it, and returns when it began. The
// instant is the host's own, so that the chip's oscillator (10 % tolerance)
// does not enter the frequency. It is sure if the transfer that started it was not
// held up.
func (d *ADS1115) convert(ctx context.Context, config uint16) (conversion, error) {
	before := d.clock.Now()
	if err := d.write16("start conversion", adsConfig, config); err != nil {
		return conversion{}, err
	}
	began := d.clock.Now()
	d.quickest = min(d.quickest, began-before)
	if err := d.clock.Sleep(ctx, adsPeriod); err != nil {
		return conversion{}, d.fail("await conversion", err)
	}
	err := d.poll(ctx, "await conversion", adsPause, adsLimit, func() (bool, error) {
		got, err := d.read16("read configuration", adsConfig)
		if err == nil && (got^config)&^adsStart != 0 {
			err = d.fail("read configuration", fmt.Errorf("%w: 0x%04x, was set to 0x%04x: the chip has restarted", ErrWrongChip, got, config))
		}
		return got&adsStart != 0, err
	})
	if err != nil {
		return conversion{}, err
	}
	code, err := d.read16("read conversion", adsConversion)
	return conversion{at: began, code: code, sure: began-before <= d.quickest+adsLate}, err
}

// follow gives the conversion of the next edge of ALERT/RDY, with the time of the
// edge. The chip keeps the newest result only. It belongs to the newest edge that
// came before the reading began; when another came while it was read, no one can
// tell whose it is.
func (d *ADS1115) follow(ctx context.Context) (conversion, error) {
	e := d.carried
	d.carried = edgeSeen{}
	for n := 0; !e.known; n++ {
		if n == 2 {
			return conversion{}, d.fail("await ready pin", fmt.Errorf("%w (%v)", ErrNotReady, adsLimit))
		}
		if err := d.awaitEdge(ctx, adsLimit); err != nil {
			return conversion{}, err
		}
		var err error
		if e, err = d.newest(); err != nil {
			return conversion{}, err
		}
		e.known = e.known && e.at > d.begun // else it is of another input
	}
	began := d.clock.Now()
	code, err := d.read16("read conversion", adsConversion)
	if err != nil {
		return conversion{}, err
	}
	later, err := d.newest()
	if err != nil {
		return conversion{}, err
	}
	sure := true
	if later.known {
		if later.at <= began {
			e = later
		} else {
			d.carried, sure = later, false
		}
	}
	return conversion{at: e.at, seq: e.seq, code: code, sure: sure}, nil
}

// awaitEdge awaits ALERT/RDY.
func (d *ADS1115) awaitEdge(ctx context.Context, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return d.fail("await ready pin", err)
	}
	if err := d.rdy.Await(limit); err != nil {
		return d.fail("await ready pin", err)
	}
	return nil
}

// newest takes all edges that have come, and returns the last.
func (d *ADS1115) newest() (e edgeSeen, err error) {
	for {
		at, seq, ok, err := d.rdy.Take()
		if err != nil {
			return e, d.fail("read ready pin", err)
		}
		if !ok {
			return e, nil
		}
		e = edgeSeen{at, seq, true}
	}
}

// droop is what a conversion's averaging takes off a sine of hz: the converter
// integrates over its whole period, 0.56 % at 50 Hz and 0.80 % at 60 Hz.
func (d *ADS1115) droop(hz float64) float64 {
	// The oscillator's tolerance is 10 %; what lies beyond is a lost edge.
	period := min(max(d.period, adsPeriod*9/10), adsPeriod*11/10)
	x := math.Pi * hz * period.Seconds()
	return math.Sin(x) / x
}
