package sensor

import (
	"context"
	"time"

	"fairwatt/model"
)

var rainChannels = []model.Channel{model.RainMM, model.Raining}

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

func newRain(cfg Config, buses Buses) (*RainGauge, error) {
	c, stop, err := counterOf(cfg.Kind, cfg.Pin, cfg.Debounce, buses)
	if err != nil {
		return nil, err
	}
	d := &RainGauge{
		name: cfg.Name, pin: cfg.Pin, counters: c, stop: stop, clock: clockOf(buses),
		mmPerTip: cfg.MMPerTip, wetFor: cfg.WetFor,
	}
	if total, _, err := c.PulseCount(cfg.Pin); err == nil {
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
