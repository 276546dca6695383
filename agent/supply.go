package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// PowerCycleConfig is a pin that takes the supply away from the chips of the I2C
// buses: the one way to free a bus that a chip holds down where the adapter cannot
// clock it free, as on a Raspberry Pi, and to wake a chip that has hung.
type PowerCycleConfig struct {
	Pin string `yaml:"pin"`
	// Active is the level that cuts the supply: high (default) or low.
	Active string `yaml:"active"`
	// Off is how long it is away, at least; default 1s.
	Off time.Duration `yaml:"off"`
	// After is how many readings of a sensor have to fail before; default 5.
	After int `yaml:"after"`
	// Every is the time between two cycles, at least; default 5m. Each cycle that
	// helps nothing doubles it, up to a day.
	Every time.Duration `yaml:"every"`
}

func (p *PowerCycleConfig) fill() {
	if p.Active == "" {
		p.Active = drive.High
	}
	if p.Off == 0 {
		p.Off = time.Second
	}
	if p.After == 0 {
		p.After = 5
	}
	if p.Every == 0 {
		p.Every = 5 * time.Minute
	}
}

const longestEvery = 24 * time.Hour

func (p *PowerCycleConfig) validate(c *Config) error {
	switch {
	case p.Pin == "":
		return &ConfigError{"power_cycle.pin", "missing; name the GPIO that cuts the supply of the chips, or leave power_cycle out"}
	case p.Active != drive.High && p.Active != drive.Low:
		return &ConfigError{"power_cycle.active", fmt.Sprintf("%.60q; use high or low", p.Active)}
	case p.Off < 100*time.Millisecond || p.Off > 10*time.Second:
		return &ConfigError{"power_cycle.off", fmt.Sprintf("%s; use 100ms to 10s", p.Off)}
	case p.After < 3 || p.After > 1000:
		return &ConfigError{"power_cycle.after", fmt.Sprintf("%d; use 3 to 1000 readings", p.After)}
	case p.Every < time.Minute || p.Every > longestEvery:
		return &ConfigError{"power_cycle.every", fmt.Sprintf("%s; use 1m to 24h", p.Every)}
	}
	if k := c.Contactor; k != nil && (p.Pin == k.Pin || p.Pin == k.Feedback) {
		return &ConfigError{"power_cycle.pin", fmt.Sprintf("%.60q belongs to contactor; use another one", p.Pin)}
	}
	onI2C := false
	for i, s := range c.Sensors {
		onI2C = onI2C || s.OnI2C()
		for _, pin := range s.Pins() {
			if pin == p.Pin {
				return &ConfigError{"power_cycle.pin", fmt.Sprintf("%.60q belongs to sensors[%d]; use another one", pin, i)}
			}
		}
	}
	if !onI2C {
		return &ConfigError{"power_cycle", "no sensor is on an I2C bus; leave it out"}
	}
	return nil
}

// A Supply is the switch of the chips' supply.
type Supply interface {
	// Cut takes the supply away, Restore gives it back.
	Cut() error
	Restore() error
}

// errUnpowered is why a chip gives nothing while its supply is away.
var errUnpowered = errors.New("its supply is away: power_cycle")

// supply decides when the supply of the chips is cut. The loop owns it.
type supply struct {
	cfg  PowerCycleConfig
	line Supply
	log  *slog.Logger
	on   []bool // by sensor: it hangs on this supply
	runs []run  // by sensor

	cut     bool
	settles bool // restored in this round: read from the next one on
	sinceMs int64
	nextMs  int64 // no cycle before
	gap     time.Duration
	cycles  uint64
}

// A run is the readings of a sensor that failed one after the other.
type run struct {
	failed int
	locked bool // the last one: the bus is locked
	first  bool // there was no good reading since the last cycle
}

func newSupply(cfg PowerCycleConfig, line Supply, on []bool, log *slog.Logger) *supply {
	return &supply{cfg: cfg, line: line, log: log, on: on, runs: make([]run, len(on)), gap: cfg.Every}
}

// begin is called before the sensors are read. open says that the gate is open.
func (s *supply) begin(nowMs int64, open bool) {
	s.settles = false
	switch {
	case s.cut && nowMs-s.sinceMs >= s.cfg.Off.Milliseconds():
		s.restore()
	case !s.cut && nowMs >= s.nextMs:
		if i := s.needs(open); i >= 0 {
			s.take(i, nowMs)
		}
	}
}

// needs finds a sensor for which the supply has to be cut; -1 for none. A silent chip
// alone is no reason while the gate is open: without its supply the others would be
// silent too, and close it. A locked bus is one, since nothing on it can be read.
func (s *supply) needs(open bool) int {
	for i, r := range s.runs {
		if s.on[i] && r.failed >= s.cfg.After && (r.locked || !open) {
			return i
		}
	}
	return -1
}

func (s *supply) take(i int, nowMs int64) {
	if s.runs[i].first { // the last cycle did not help
		s.gap = min(2*s.gap, longestEvery)
	} else {
		s.gap = s.cfg.Every
	}
	s.nextMs = nowMs + s.gap.Milliseconds()
	err := s.line.Cut()
	s.log.Warn("supply of the sensors is cut", "failed_readings", s.runs[i].failed, "bus_locked", s.runs[i].locked, "for", s.cfg.Off, "next_not_before", s.gap, "err", err)
	for j := range s.runs {
		s.runs[j] = run{first: true}
	}
	if err != nil {
		return
	}
	s.cut, s.sinceMs = true, nowMs
	s.cycles++
}

// restore gives the supply back. If that fails it is tried again in the next round.
func (s *supply) restore() {
	if err := s.line.Restore(); err != nil {
		s.log.Error("give the sensors their supply back", "err", err)
		return
	}
	s.cut, s.settles = false, true
	s.log.Info("sensors have their supply back")
}

// away says whether sensor i cannot be read now.
func (s *supply) away(i int) bool { return s != nil && s.on[i] && (s.cut || s.settles) }

// note takes the outcome of a reading of sensor i.
func (s *supply) note(i int, err error) {
	if s == nil || !s.on[i] {
		return
	}
	if err == nil || !passing(err) { // what a chip says of its input, it says
		s.runs[i] = run{}
		return
	}
	s.runs[i].failed++
	s.runs[i].locked = errors.Is(err, sensor.ErrBusLocked)
}

// end gives the supply back at the end of everything.
func (s *supply) end() error {
	if s == nil || !s.cut {
		return nil
	}
	s.cut = false
	return s.line.Restore()
}

// read reads sensor i, unless its supply is away.
func (s *Senses) read(ctx context.Context, i int, into *model.Sample) error {
	if s.supply.away(i) {
		for _, c := range s.sensors[i].Channels() {
			into.Fail(c, model.SensorError)
		}
		return errUnpowered
	}
	err := s.readPatiently(ctx, i, into)
	s.supply.note(i, err)
	return err
}

// powerCycle has the supply of the sensors on an I2C bus cut when they do not
// answer.
func (s *Senses) powerCycle(cfg *Config, line Supply) {
	on := make([]bool, len(s.sensors))
	for _, c := range cfg.Sensors {
		for i, one := range s.sensors {
			on[i] = on[i] || c.OnI2C() && c.Describe().Name == one.Name()
		}
	}
	s.supply = newSupply(*cfg.PowerCycle, line, on, s.log)
}
