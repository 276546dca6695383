package sensor

import (
	"context"
	"fmt"
	"time"

	"fairwatt/model"
)

var rainChannels = []model.Channel{model.RainMM, model.Raining}

// KindRain is the kind of a [RainGauge].
const KindRain = "rain"

// RainOpts are the settings of a rain gauge.
type RainOpts struct {
	// Pin is the GPIO with the pulses.
	Pin string `yaml:"pin,omitempty"`
	// Debounce ignores edges closer than this, default 100 ms (a bucket's reed
	// closes for about that).
	Debounce time.Duration `yaml:"debounce,omitempty"`
	// MMPerTip is the rain that tips the bucket once, default 0.2794 (0.011 inch).
	MMPerTip float64 `yaml:"mm_per_tip,omitempty"`
	// WetFor is how long after a tip it counts as raining, default 15 minutes: 1
	// mm/h tips the default bucket about every 17.
	WetFor time.Duration `yaml:"wet_for,omitempty"`
}

func (o RainOpts) withDefaults() Opts {
	orDefault(&o.Debounce, 100*time.Millisecond)
	orDefault(&o.MMPerTip, 0.2794)
	orDefault(&o.WetFor, 15*time.Minute)
	return o
}

func (o RainOpts) place() place { return atPin(o.Pin) }

func (o RainOpts) check() error {
	if err := checkDebounce(o.Debounce); err != nil {
		return err
	}
	if !within(o.MMPerTip, 0.001, 10) {
		return fmt.Errorf("mm_per_tip: %g is not within 0.001 and 10", o.MMPerTip)
	}
	if o.WetFor < time.Minute || o.WetFor > 24*time.Hour {
		return fmt.Errorf("wet_for: %v is not within 1m and 24h", o.WetFor)
	}
	return nil
}

func (o RainOpts) open(cfg Config, buses Buses) (Sensor, error) { return newRain(o, cfg.Name, buses) }

// A RainGauge counts the tips of a tipping bucket.
type RainGauge struct {
	name, pin string
	counters  Counters
	stop      func() error
	clock     Clock
	mmPerTip  float64
	wetFor    time.Duration

	known  bool
	counts uint64 // of the counter at the last Read
	tipped bool   // since New
}

func newRain(o RainOpts, name string, buses Buses) (*RainGauge, error) {
	c, stop, err := counterOf(KindRain, o.Pin, o.Debounce, buses)
	if err != nil {
		return nil, err
	}
	d := &RainGauge{
		name: name, pin: o.Pin, counters: c, stop: stop, clock: clockOf(buses),
		mmPerTip: o.MMPerTip, wetFor: o.WetFor,
	}
	if total, _, err := c.PulseCount(o.Pin); err == nil {
		d.counts, d.known = total, true
	}
	return d, nil
}

// Name implements Sensor.
func (d *RainGauge) Name() string { return d.name }

// Channels implements Sensor.
func (d *RainGauge) Channels() []model.Channel { return rainChannels }

// Halt implements Sensor.
func (d *RainGauge) Halt() error { return d.stop() }

// Read implements Sensor: rain_mm since the last good Read, so that nothing is
// lost or counted twice over a fault, and whether the bucket tipped of late.
// Drizzle that has not filled the bucket yet, a clogged funnel and a cut cable
// look like dry weather; snow comes when it melts.
func (d *RainGauge) Read(_ context.Context, s *model.Sample) error {
	total, last, err := d.counters.PulseCount(d.pin)
	if err != nil {
		return failAll(s, rainChannels, &Error{KindRain, d.pin, 0, "count tips", err})
	}
	switch {
	case !d.known: // not readable before: counted from here on
		d.counts, d.known = total, true
	case total < d.counts: // the counter began again from zero
		d.counts = 0
	}
	tips := total - d.counts
	d.counts = total
	d.tipped = d.tipped || tips > 0
	wet := 0.0
	if d.tipped && d.clock.Now()-last <= d.wetFor {
		wet = 1
	}
	s.Set(model.RainMM, float64(tips)*d.mmPerTip)
	s.Set(model.Raining, wet)
	return nil
}
