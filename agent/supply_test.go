package agent

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// supplyLine is a Supply on a board's pin.
type supplyLine struct{ gpio.PinOut }

func (s supplyLine) Cut() error     { return s.Out(gpio.High) }
func (s supplyLine) Restore() error { return s.Out(gpio.Low) }

// A cycledSite is an agent on a board whose chips' supply it can cut.
type cycledSite struct {
	*plant
	t     *testing.T
	agent *Agent
	stop  context.CancelFunc
	done  chan error
}

func newCycledSite(t *testing.T, required ...model.Channel) *cycledSite {
	t.Helper()
	layout := board.Standard()
	layout.Supply = board.Supply{Pin: "VCC"}
	s := &cycledSite{t: t, plant: newPlantOn(t, layout)}
	cfg := testConfig(t, "pv-1")
	cfg.Judge.Required = append([]model.Channel{}, required...)
	cfg.PowerCycle = &PowerCycleConfig{Pin: "VCC"}
	cfg.PowerCycle.fill()
	out, err := s.board.PinOut("VCC")
	if err != nil {
		t.Fatal(err)
	}
	judge, err := NewJudge(cfg.Judge, nil)
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(filepath.Join(t.TempDir(), "a.db"), cfg.Outbox)
	if err != nil {
		t.Fatal(err)
	}
	s.agent, err = New(cfg, Deps{
		Sensors: s.sensors(t), Judge: judge, Outbox: box, Pipes: []mqtt.Pipe{(&mqtttest.Broker{}).Pipe(mqtt.Will{})},
		Clock: LiveClock(nil), Supply: supplyLine{out}, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.stop, s.done = cancel, make(chan error, 1)
	go s.run(ctx)
	go func() { s.done <- s.agent.Run(ctx) }()
	s.wait(10 * time.Minute)
	if got := s.agent.Status(); got.Gate != model.StateOpen {
		t.Fatalf("the gate is %s: %v", got.Gate, got.Causes)
	}
	return s
}

func (s *cycledSite) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *cycledSite) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
	if log := s.board.SupplyLog(); len(log) > 0 && !log[len(log)-1].On {
		s.t.Error("the chips are left without supply")
	}
}

func (s *cycledSite) breaks(f board.Fault) {
	s.t.Helper()
	if err := s.board.Inject(f); err != nil {
		s.t.Fatal(err)
	}
}

// cycles counts how often the supply was cut, and sees that it was away for its time.
func (s *cycledSite) cycles() (n int) {
	s.t.Helper()
	log := s.board.SupplyLog()
	for i, e := range log {
		if e.On {
			continue
		}
		n++
		if i+1 < len(log) && log[i+1].Wall.Sub(e.Wall) < time.Second {
			s.t.Errorf("the supply was away for %v", log[i+1].Wall.Sub(e.Wall))
		}
	}
	return n
}

// A bus that a chip holds down, and a chip that has hung, come back by one cycle of
// the supply; the gate is closed by its own rules until all inputs are back.
func TestPowerCycleFreesTheBus(t *testing.T) {
	for _, f := range []board.Fault{{Part: board.BusPart, Kind: board.Locked}, {Part: "bme280@0x76", Kind: board.Hung}} {
		t.Run(string(f.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCycledSite(t, model.VoltageV, model.WindGustMPS, model.TemperatureC)
				defer s.end()
				s.breaks(f)
				closed := false
				for range 60 {
					s.wait(time.Second)
					if s.agent.Status().Gate != model.StateOpen {
						closed = true
					} else if closed {
						t.Fatal("the gate opens in the minute of the fault")
					}
				}
				status := s.agent.Status()
				if n := s.cycles(); n != 1 || !closed || status.Gate == model.StateOpen {
					t.Errorf("%d cycles; the gate is %s", n, status.Gate)
				}
				for _, one := range status.Sensors {
					if !one.OK {
						t.Errorf("%s is not back: %s", one.Name, one.Error)
					}
				}
				s.wait(10 * time.Minute)
				if got := s.agent.Status(); got.Gate != model.StateOpen || s.cycles() != 1 {
					t.Errorf("then the gate is %s, after %d cycles", got.Gate, s.cycles())
				}
			})
		})
	}
}

// A cycle that does not help is tried less and less often.
func TestPowerCycleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCycledSite(t, model.TemperatureC)
		defer s.end()
		s.breaks(board.Fault{Part: "bme280@0x76", Kind: board.NoAnswer})
		s.wait(6 * time.Hour) // at 0, 5, 15, 35, 75, 155, 315 minutes
		if n := s.cycles(); n != 7 {
			t.Errorf("%d cycles in 6 hours, want 7", n)
		}
		if got := s.agent.Status().Gate; got != model.StateBlocked {
			t.Errorf("the gate is %s", got)
		}
	})
}

// A chip that no one requires does not cost an open gate its other chips; a locked bus
// does, since none of them can be read.
func TestPowerCycleLeavesAnOpenGateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCycledSite(t, model.WindGustMPS)
		defer s.end()
		s.breaks(board.Fault{Part: "bme280@0x76", Kind: board.Hung})
		s.wait(time.Hour)
		if n, got := s.cycles(), s.agent.Status().Gate; n != 0 || got != model.StateOpen {
			t.Errorf("%d cycles, the gate is %s", n, got)
		}
		s.breaks(board.Fault{Part: board.BusPart, Kind: board.Locked})
		s.wait(time.Minute)
		if n := s.cycles(); n != 1 {
			t.Errorf("%d cycles on a locked bus", n)
		}
	})
}

// brokenSupply fails while told to.
type brokenSupply struct {
	broken bool
	log    string
}

func (b *brokenSupply) do(what string) error {
	if b.broken {
		what = strings.ToUpper(what)
	}
	if b.log += what; b.broken {
		return errors.New("no such device")
	}
	return nil
}

func (b *brokenSupply) Cut() error     { return b.do("c") }
func (b *brokenSupply) Restore() error { return b.do("r") }

// A pin that cannot be driven is tried again: the supply is given back in the first
// round in which that works, and at the end.
func TestPowerCycleWithABrokenPin(t *testing.T) {
	line := &brokenSupply{}
	cfg := PowerCycleConfig{Pin: "VCC"}
	cfg.fill()
	s := newSupply(cfg, line, []bool{true, false}, slog.New(slog.DiscardHandler))
	nowMs := int64(0)
	round := func(err error) {
		s.begin(nowMs, false)
		if !s.away(0) {
			s.note(0, err)
		}
		s.note(1, sensor.ErrBusLocked) // is on no bus of this supply
		nowMs += 1000
	}
	for range 4 {
		round(sensor.ErrSaturated)
	}
	for range 5 {
		round(sensor.ErrNoChip)
	}
	round(nil) // cut
	line.broken = true
	round(nil)
	round(nil)
	if !s.away(0) || s.away(1) {
		t.Error("the first sensor is read without supply, or the second is not read")
	}
	line.broken = false
	round(nil)
	if !s.away(0) {
		t.Error("read in the round in which the supply comes back")
	}
	round(nil)
	if s.away(0) || line.log != "cRRr" || s.cycles != 1 {
		t.Errorf("the pin was driven %s, %d cycles", line.log, s.cycles)
	}
	for range 5 {
		round(sensor.ErrNoChip)
	}
	nowMs += 600_000
	round(nil)
	if err := s.end(); err != nil || line.log != "cRRrcr" {
		t.Errorf("the pin was driven %s, %v", line.log, err)
	}
}
