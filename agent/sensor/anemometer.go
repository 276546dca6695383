package sensor

import (
	"context"
	"time"

	"fairwatt/model"
)

// gustWindow is the averaging time of a gust (WMO-No. 8, part I, 5.8.3).
const gustWindow = 3 * time.Second

const gustBins = int(gustWindow / BinWidth)

var windChannels = []model.Channel{model.WindSpeedMPS, model.WindGustMPS}

// An Anemometer turns the pulses of a cup anemometer into mean wind and gust.
type Anemometer struct {
	name, pin     string
	counters      Counters
	stop          func() error
	clock         Clock
	factor, shift float64
	window        time.Duration
	lastRead      time.Duration
}

func newAnemometer(cfg Config, buses Buses) (*Anemometer, error) {
	c, stop, err := counterOf(cfg.Kind, cfg.Pin, cfg.Debounce, buses)
	if err != nil {
		return nil, err
	}
	clock := clockOf(buses)
	return &Anemometer{
		name: cfg.Name, pin: cfg.Pin, counters: c, stop: stop, clock: clock,
		factor: cfg.MPSPerHz, shift: cfg.OffsetMPS, window: cfg.Window, lastRead: clock.Now(),
	}, nil
}

// Name implements Sensor.
func (d *Anemometer) Name() string { return d.name }

// Channels implements Sensor.
func (d *Anemometer) Channels() []model.Channel { return windChannels }

// Halt implements Sensor.
func (d *Anemometer) Halt() error { return d.stop() }

// Read implements Sensor: mean and greatest 3-s mean since the last Read, or
// over the window if that is longer. In the first 3 s after the start there is
// nothing to say yet (ErrTooFewSamples). A rotor that stands still and a cut
// cable look alike here; a comparison with other stations must tell.
func (d *Anemometer) Read(_ context.Context, s *model.Sample) error {
	now := d.clock.Now()
	bins, end, err := d.counters.PulseBins(d.pin, min(d.lastRead, now-d.window))
	if err == nil && len(bins) < gustBins {
		err = ErrTooFewSamples
	}
	if err != nil {
		return failAll(s, windChannels, &Error{KindAnemometer, d.pin, 0, "count pulses", err})
	}
	d.lastRead = end
	var sum, run, most uint64
	for i, n := range bins {
		sum += uint64(n)
		run += uint64(n)
		if i >= gustBins {
			run -= uint64(bins[i-gustBins])
		}
		most = max(most, run)
	}
	s.Set(model.WindSpeedMPS, d.speed(sum, len(bins)))
	s.Set(model.WindGustMPS, d.speed(most, gustBins))
	return nil
}

// speed is the transfer function; a standing rotor is calm, whatever the offset.
func (d *Anemometer) speed(pulses uint64, bins int) float64 {
	if pulses == 0 {
		return 0
	}
	return max(0, d.factor*float64(pulses)/(float64(bins)*BinWidth.Seconds())+d.shift)
}
