package sensor

import (
	"context"
	"time"

	"fairwatt/model"
)

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

func newS0(cfg Config, buses Buses) (*S0, error) {
	c, stop, err := counterOf(cfg.Kind, cfg.Pin, cfg.Debounce, buses)
	if err != nil {
		return nil, err
	}
	d := &S0{name: cfg.Name, pin: cfg.Pin, counters: c, stop: stop, clock: clockOf(buses), imp: uint64(cfg.ImpPerKWh)}
	d.channels = []model.Channel{model.EnergyExportWh}
	if cfg.Direction == "import" {
		d.channels[0] = model.EnergyImportWh
	}
	if cfg.Power {
		d.channels = append(d.channels, model.PowerW)
	}
	// A counter that ran before counted for someone else: this register starts
	// where the caller says. Read reports a pin that cannot be read yet.
	if total, _, err := c.PulseCount(cfg.Pin); err == nil {
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
