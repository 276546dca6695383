package sensor

import (
	"context"
	"fmt"
	"time"

	"fairwatt/model"
)

// KindS0 is the kind of an [S0].
const KindS0 = "s0"

// S0Opts are the settings of an S0 meter.
type S0Opts struct {
	// Pin is the GPIO with the pulses.
	Pin string `yaml:"pin,omitempty"`
	// Debounce ignores edges closer than this, default 15 ms (an S0 pulse lasts 30
	// ms or more, IEC 62053-31).
	Debounce time.Duration `yaml:"debounce,omitempty"`
	// ImpPerKWh is printed on the meter, default 1000.
	ImpPerKWh int `yaml:"imp_per_kwh,omitempty"`
	// Direction is "export" (default) or "import".
	Direction string `yaml:"direction,omitempty"`
	// Power also gives power_w, from the time between pulses.
	Power bool `yaml:"power,omitempty"`
}

func (o S0Opts) withDefaults() Opts {
	orDefault(&o.Debounce, 15*time.Millisecond)
	orDefault(&o.ImpPerKWh, 1000)
	orDefault(&o.Direction, "export")
	return o
}

func (o S0Opts) place() place { return atPin(o.Pin) }

func (o S0Opts) check() error {
	if err := checkDebounce(o.Debounce); err != nil {
		return err
	}
	if o.ImpPerKWh < 1 || o.ImpPerKWh > 1_000_000 {
		return fmt.Errorf("imp_per_kwh: %d is not within 1 and 1000000", o.ImpPerKWh)
	}
	return checkDirection(o.Direction)
}

func (o S0Opts) open(cfg Config, buses Buses) (Sensor, error) { return newS0(o, cfg.Name, buses) }

// An S0 counts the pulses of an energy meter (IEC 62053-31) into a register.
type S0 struct {
	name, pin string
	counters  Counters
	stop      func() error
	clock     Clock
	channels  []model.Channel
	imp       uint64

	restoredWh uint64
	base       uint64 // pulses of counters that have begun again since
	count      uint64 // pulses of the present counter
	start      uint64 // its value when we began to count

	known    bool
	lastRead struct {
		total uint64
		edge  time.Duration
		watt  float64
	}
}

func newS0(o S0Opts, name string, buses Buses) (*S0, error) {
	c, stop, err := counterOf(KindS0, o.Pin, o.Debounce, buses)
	if err != nil {
		return nil, err
	}
	d := &S0{name: name, pin: o.Pin, counters: c, stop: stop, clock: clockOf(buses), imp: uint64(o.ImpPerKWh)}
	d.channels = []model.Channel{model.EnergyExportWh}
	if o.Direction == "import" {
		d.channels[0] = model.EnergyImportWh
	}
	if o.Power {
		d.channels = append(d.channels, model.PowerW)
	}
	// A counter that ran before counted for someone else: this register starts
	// where the caller says. Read reports a pin that cannot be read yet.
	if total, _, err := c.PulseCount(o.Pin); err == nil {
		d.start, d.known = total, true
	}
	return d, nil
}

// Name implements Sensor.
func (d *S0) Name() string { return d.name }

// Channels implements Sensor.
func (d *S0) Channels() []model.Channel { return d.channels }

// Halt implements Sensor.
func (d *S0) Halt() error { return d.stop() }

// RestoreRegister sets the register to what it was when it was last persisted;
// pulses counted since New are added on top. A meter whose pulse is no whole
// number of Wh loses less than 1 Wh a restart, in favour of who pays.
func (d *S0) RestoreRegister(wh uint64) { d.restoredWh = wh }

// EnergyWh is the register in whole Wh as of the last Read. It never goes back.
func (d *S0) EnergyWh() uint64 { return d.restoredWh + (d.base+d.count)*1000/d.imp }

// Read implements Sensor.
func (d *S0) Read(_ context.Context, s *model.Sample) error {
	total, edge, err := d.counters.PulseCount(d.pin)
	if err != nil {
		return failAll(s, d.channels, &Error{KindS0, d.pin, 0, "count pulses", err})
	}
	switch {
	case !d.known: // not readable before: counted from here on
		d.start, d.known = total, true
	case total < d.start+d.count: // the counter began again from zero
		d.base += d.count
		d.start = 0
	}
	d.count = total - d.start
	s.Set(d.channels[0], float64(d.restoredWh)+float64(d.base+d.count)*1000/float64(d.imp))
	if len(d.channels) > 1 {
		s.Set(model.PowerW, d.power(total, edge))
	}
	return nil
}

// power is the energy of the pulses between the newest one of the last Read and
// the newest one now, over the time between these two. While no pulse comes, it
// can be at most one pulse in the time since.
func (d *S0) power(total uint64, edge time.Duration) float64 {
	l := &d.lastRead
	joule := 3.6e6 / float64(d.imp)
	switch {
	case total > l.total && l.edge > 0 && edge > l.edge:
		l.watt = joule * float64(total-l.total) / (edge - l.edge).Seconds()
	case l.edge > 0:
		if idle := (d.clock.Now() - l.edge).Seconds(); idle > 0 {
			l.watt = min(l.watt, joule/idle)
		}
	}
	l.total, l.edge = total, edge
	return l.watt
}
