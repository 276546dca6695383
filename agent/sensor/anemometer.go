package sensor

import (
	"context"
	"fmt"
	"time"

	"fairwatt/model"
)

// gustWindow is the averaging time of a gust (WMO-No. 8, part I, 5.8.3).
const gustWindow = 3 * time.Second

const gustBins = int(gustWindow / BinWidth)

var windChannels = []model.Channel{model.WindSpeedMPS, model.WindGustMPS}

// KindAnemometer is the kind of an [Anemometer].
const KindAnemometer = "anemometer"

// AnemometerOpts are the settings of an anemometer.
type AnemometerOpts struct {
	// Pin is the GPIO with the pulses.
	Pin string `yaml:"pin,omitempty"`
	// Debounce ignores edges closer than this. Default 10 ms, for a reed contact, or
	// the time between two pulses at 60 m/s where that is shorter. More than that
	// time is refused: a storm would read as a breeze.
	Debounce time.Duration `yaml:"debounce,omitempty"`
	// MPSPerHz and OffsetMPS: speed = MPSPerHz * f + OffsetMPS while it turns.
	// Default 0.667 (2.4 km/h a hertz) and 0.
	MPSPerHz  float64 `yaml:"mps_per_hz,omitempty"`
	OffsetMPS float64 `yaml:"offset_mps,omitempty"`
	// Window is the least time averaged, default 10 s, 3 s to 1 h.
	Window time.Duration `yaml:"window,omitempty"`
}

func (o AnemometerOpts) withDefaults() Opts {
	orDefault(&o.MPSPerHz, 2.4/3.6)
	orDefault(&o.Debounce, min(reedBounces, o.longestDebounce()))
	orDefault(&o.Window, 10*time.Second)
	return o
}

// What a debounce has to do, and what it must not hide: T01 cuts out at 30 m/s, and
// W03 blocks at 25.7.
const (
	reedBounces = 10 * time.Millisecond
	fullWindMPS = 60
)

// longestDebounce is the time between two pulses at fullWindMPS.
func (o AnemometerOpts) longestDebounce() time.Duration {
	return max(0, time.Duration(o.MPSPerHz/fullWindMPS*float64(time.Second)).Truncate(time.Microsecond))
}

func (o AnemometerOpts) place() place { return atPin(o.Pin) }

func (o AnemometerOpts) check() error {
	if err := checkDebounce(o.Debounce); err != nil {
		return err
	}
	if !within(o.MPSPerHz, 1e-3, 100) {
		return fmt.Errorf("mps_per_hz: %g is not within 0.001 and 100", o.MPSPerHz)
	}
	if most := o.longestDebounce(); o.Debounce > most {
		return fmt.Errorf("debounce: %v hides pulses of a wind of %d m/s; at most %v at mps_per_hz %g", o.Debounce, fullWindMPS, most, o.MPSPerHz)
	}
	if !within(o.OffsetMPS, -5, 5) {
		return fmt.Errorf("offset_mps: %g is not within -5 and 5", o.OffsetMPS)
	}
	if o.Window < gustWindow || o.Window > time.Hour {
		return fmt.Errorf("window: %v is not within 3s and 1h", o.Window)
	}
	return nil
}

func (o AnemometerOpts) open(cfg Config, buses Buses) (Sensor, error) {
	return newAnemometer(o, cfg.Name, buses)
}

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

func newAnemometer(o AnemometerOpts, name string, buses Buses) (*Anemometer, error) {
	c, stop, err := counterOf(KindAnemometer, o.Pin, o.Debounce, buses)
	if err != nil {
		return nil, err
	}
	clock := clockOf(buses)
	return &Anemometer{
		name: name, pin: o.Pin, counters: c, stop: stop, clock: clock,
		factor: o.MPSPerHz, shift: o.OffsetMPS, window: o.Window, lastRead: clock.Now(),
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
