package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/model/faultdoc"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// observe waits until the gate is not open, at most limit, and says what
// happened.
func (s *liveSite) observe(limit time.Duration) string {
	said := ""
	for after := time.Duration(0); after < limit; after += time.Second {
		s.wait(time.Second)
		rules := s.rules()
		if state := s.agent.Status().Gate; state != model.StateOpen {
			when := "with the next sample"
			if after > 0 {
				when = fmt.Sprintf("after %d s", int(after.Seconds()))
			}
			return fmt.Sprintf("%s by %s %s", state, rules, when)
		}
		if said == "" {
			said = rules
		}
	}
	if said == "" {
		return "stays OPEN, nothing is said"
	}
	return "stays OPEN, warns " + said
}

// reopens waits until the gate is open again.
func (s *liveSite) reopens() string {
	for after := range 4 * 3600 {
		if s.agent.Status().Gate == model.StateOpen {
			return fmt.Sprintf("; OPEN %d s after the fault is over", after)
		}
		s.wait(time.Second)
	}
	return "; does not open again"
}

// cured ends a fault of a sensor.
func (s *liveSite) cured(name string, read func(context.Context, *model.Sample) error) string {
	s.sensor(name).become(read)
	return s.reopens()
}

var errBus = errors.New("remote I/O error")

// A pulledLine is a serial line with a PZEM whose adapter can be pulled.
type pulledLine struct {
	*board.Board
	gone atomic.Bool
}

type pulledPort struct {
	io.ReadWriteCloser
	line *pulledLine
}

func (l *pulledLine) Serial(name string) (io.ReadWriteCloser, error) {
	if l.gone.Load() {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	}
	p, err := l.Board.Serial(name)
	return pulledPort{p, l}, err
}

func (p pulledPort) Read(b []byte) (int, error) {
	if p.line.gone.Load() {
		return 0, syscall.EIO
	}
	return p.ReadWriteCloser.Read(b)
}

func (p pulledPort) SetReadTimeout(d time.Duration) error {
	return p.ReadWriteCloser.(interface{ SetReadTimeout(time.Duration) error }).SetReadTimeout(d)
}

// A moodyScorer fails while told to.
type moodyScorer struct{ broken atomic.Bool }

func (m *moodyScorer) Kinds() []model.Kind { return []model.Kind{model.KindWind} }

func (m *moodyScorer) Score(*model.Features) (s model.Scores, err error) {
	s.Has[model.KindWind] = true
	if m.broken.Load() {
		return s, errors.New("weights do not match their checksum")
	}
	return s, nil
}

// sensorFaults are those of chips, buses and drivers.
func sensorFaults() []agentFault {
	wind := model.WindGustMPS
	return []agentFault{
		{"chip missing at the start", func(s *liveSite) string {
			s.missing = []MissingSensor{{Name: "wind", Err: errBus}}
			s.sensors = s.sensors[:2]
			s.cfg.Judge.Channels = []model.Channel{wind}
			s.start()
			s.wait(10 * time.Minute)
			last := s.agent.Status().Sensors[2]
			return fmt.Sprintf("the agent starts and says so (%s: %s); %s by %s", last.Name, last.Error, s.agent.Status().Gate, s.rules())
		}},
		{"chip missing at the start, no input required", func(s *liveSite) string {
			s.missing = []MissingSensor{{Name: "lightning", Err: errBus}}
			s.cfg.Judge.Required = []model.Channel{}
			s.open()
			return s.observe(time.Minute)
		}},
		{"bus error: a driver that worked returns an error", func(s *liveSite) string {
			s.open()
			s.sensor("wind").become(broken(wind, errBus))
			got := s.observe(time.Minute)
			return got + s.cured("wind", steadily(wind, 6))
		}},
		{"slow bus: a reading takes 2 s", func(s *liveSite) string {
			s.open()
			calm := steadily(wind, 6)
			s.sensor("wind").become(func(ctx context.Context, sample *model.Sample) error {
				time.Sleep(2 * time.Second)
				return calm(ctx, sample)
			})
			got := s.observe(10 * time.Minute)
			return fmt.Sprintf("%s; a sample every %.0f s", got, s.agent.Status().Sensors[2].TookMS/1000)
		}},
		{"slow bus: a reading takes longer than 3 s", func(s *liveSite) string {
			s.open()
			s.sensor("wind").become(func(ctx context.Context, sample *model.Sample) error {
				<-ctx.Done()
				sample.Fail(wind, model.SensorError)
				return ctx.Err()
			})
			got := s.observe(time.Minute)
			return "the reading is cut off (" + s.agent.Status().Sensors[2].Error + "); " + got + s.cured("wind", steadily(wind, 6))
		}},
		{"a driver hangs and cannot be cut off: the loop stands still", func(s *liveSite) string {
			return s.hang(func() (undo func()) {
				release := make(chan struct{})
				s.sensor("wind").become(hung(release))
				return func() {
					s.sensor("wind").become(broken(wind, errBus))
					close(release)
				}
			})
		}},
		{"a publication never ends: a loop to a broker stands still", func(s *liveSite) string {
			pipe := &stuckPipe{Pipe: s.broker.Pipe(WillOf(&s.cfg))}
			s.pipe = pipe
			return s.hang(func() (undo func()) {
				stuck := make(chan struct{})
				pipe.stick(stuck)
				return func() { pipe.stick(nil); close(stuck) }
			})
		}},
		{"two sensors of a kind disagree, one calm, one at 12 m/s", func(s *liveSite) string {
			s.sensors = append(s.sensors, steady("wind-2", wind, 6))
			s.open()
			s.sensor("wind-2").become(steadily(wind, 12))
			return s.observe(time.Minute)
		}},
		{"two sensors of a kind disagree, one calm, one at 30 m/s", func(s *liveSite) string {
			s.sensors = append(s.sensors, steady("wind-2", wind, 6))
			s.open()
			s.sensor("wind-2").become(steadily(wind, 30))
			got := s.observe(time.Minute)
			return got + s.cured("wind-2", steadily(wind, 6))
		}},
		{"one of three sensors of a kind fails to 40 m/s", func(s *liveSite) string {
			s.sensors = append(s.sensors, steady("wind-2", wind, 6), steady("wind-3", wind, 6))
			s.open()
			s.sensor("wind-3").become(steadily(wind, 40))
			got := s.observe(time.Minute)
			return fmt.Sprintf("%s; telemetry names %s", got, s.agent.senses.Votes()[0].Outlier)
		}},
		{"one of two sensors of a kind gives an error", func(s *liveSite) string {
			s.sensors = append(s.sensors, steady("wind-2", wind, 6))
			s.open()
			s.sensor("wind").become(broken(wind, errBus))
			got := s.observe(2 * time.Minute)
			return fmt.Sprintf("%s: the other one counts; telemetry has %d failures", got, s.agent.Status().Sensors[2].Failures)
		}},
		{"one of two thermometers of equipment, at several places, gives an error", func(s *liveSite) string {
			c := model.EquipmentTemperatureC
			s.cfg.Judge.Required = append(slices.Clone(s.cfg.Judge.Required), c)
			s.sensors = append(s.sensors, steady("bearing-1", c, 30), steady("bearing-2", c, 35))
			s.open()
			s.sensor("bearing-2").become(broken(c, errBus))
			got := s.observe(time.Minute)
			return got + s.cured("bearing-2", steadily(c, 35))
		}},
		{"serial port gone (adapter pulled)", func(s *liveSite) string {
			return s.pullAdapter()
		}},
	}
}

// hang makes a loop stand still for two minutes and tells what the watchdog
// saw of it.
func (s *liveSite) hang(begin func() (undo func())) string {
	d := &dog{}
	s.super = NewSupervisor(15*time.Second, time.Now, d.kick, s.agentLog())
	s.open()
	undo := begin()
	s.wait(2 * time.Minute)
	silent := time.Since(d.last)
	gate := retainedGate(s.t, s.broker)
	undo()
	s.wait(5 * time.Second)
	return fmt.Sprintf("no kick for %d s of the %d s: a watchdog of 15 s restarts; the retained gate expired %d s ago", int(silent.Seconds()),
		120, int((time.Since(gate.TS) - 5*time.Second - gate.ValidUntil.Sub(gate.TS)).Seconds()))
}

// pullAdapter has a PZEM on a serial line give voltage and frequency.
func (s *liveSite) pullAdapter() string {
	b, err := board.New(board.Config{PZEM: []board.PZEM{{Port: "RS485", Address: 1}}})
	if err != nil {
		s.t.Fatal(err)
	}
	line := &pulledLine{Board: b}
	feed := func(n int) {
		var world model.Sample
		world.Set(model.VoltageV, 230+float64(n%5)/10)
		world.Set(model.FrequencyHz, 50+float64(n%2)/10)
		world.Set(model.CurrentA, 1)
		world.Set(model.PowerFactor, 1)
		world.Set(model.PowerW, 230)
		b.Feed(&world)
	}
	feed(0)
	pzem, err := sensor.New(sensor.Config{Kind: sensor.KindPZEM, Name: "pzem", Opts: sensor.PZEMOpts{Port: "RS485"}}, line)
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	meter := &fakeSensor{name: "meter", channels: pzem.Channels(), read: func(ctx context.Context, sample *model.Sample) error {
		n++
		feed(n)
		b.Advance(time.Second)
		return pzem.Read(ctx, sample)
	}}
	s.sensors = []sensor.Sensor{meter, s.sensors[2]}
	s.open()
	line.gone.Store(true)
	got := s.observe(time.Minute)
	said := s.agent.Status().Sensors[0].Error
	line.gone.Store(false)
	return fmt.Sprintf("%s; tried again at each sample (%s)%s", got, said, s.reopens())
}

// surroundingFaults are those of everything else.
func surroundingFaults() []agentFault {
	wind := model.WindGustMPS
	return []agentFault{
		{"network's weights refused at the start", func(s *liveSite) string {
			s.scorer = nil // what agent run goes on with then
			s.open()
			return s.observe(time.Minute) + "; the rules judge alone, info has no model_sha256"
		}},
		{"network fails while it runs", func(s *liveSite) string {
			scorer := &moodyScorer{}
			s.scorer = scorer
			s.open()
			scorer.broken.Store(true)
			return s.observe(10 * time.Minute)
		}},
		{"wall clock leaps ahead by an hour", func(s *liveSite) string {
			var ahead atomic.Int64
			begin := time.Now() // without a monotonic reading, as all times of a bubble
			s.wall = func() time.Time {
				return leap(s.t, processStart.Add(time.Since(begin)), time.Duration(ahead.Load()))
			}
			s.open()
			ahead.Store(int64(time.Hour))
			got := s.observe(10 * time.Minute)
			return fmt.Sprintf("%s; logged and counted (%d)", got, s.agent.counters.clockSteps)
		}},
		{"broker gone", func(s *liveSite) string {
			alerts := s.collect("alert")
			s.open()
			s.broker.SetDown(true)
			s.sensor("wind").become(steadily(wind, 35))
			got := s.observe(time.Minute)
			before, waiting := len(alerts()), s.outbox.Stats().Events
			s.broker.SetDown(false)
			s.wait(5 * time.Second)
			return fmt.Sprintf("the gate goes on: %s; %d alert waits, %d comes late when the broker is back", got, waiting, len(alerts())-before)
		}},
		{"disk refuses to write", func(s *liveSite) string {
			var refuse atomic.Bool
			w := newTown(s.t, s.broker.Pipe(mqtt.Will{}))
			w.open()
			defer w.pipe.Close()
			s.chain, s.key = w.chain, moodySigner{testKey(1), &refuse}
			s.open()
			before := len(w.kinds())
			refuse.Store(true)
			s.sensor("wind").become(steadily(wind, 35))
			got := s.observe(time.Minute)
			s.wait(10 * time.Second)
			during, failures := len(w.kinds())-before, s.agent.Status().Failures
			refuse.Store(false)
			s.wait(10 * time.Second)
			if failures == 0 {
				s.t.Error("the disk did not refuse")
			}
			return fmt.Sprintf("the gate goes on: %s; %d records sent meanwhile, counted in commit_failures, %d sent when it writes again", got, during, len(w.kinds())-before)
		}},
		{"kill -9 during a block by a gust", func(s *liveSite) string {
			s.open()
			s.sensor("wind").become(steadily(wind, 30))
			s.wait(time.Minute)
			// What is on disk at the moment of the kill is all that the next has.
			b, err := os.ReadFile(s.db)
			if err != nil {
				s.t.Fatal(err)
			}
			s.pipe.(*mqtttest.Pipe).Kill()
			status := string(s.broker.Retained("fairwatt/v1/farm-1/pv-1/status"))
			s.end()
			s.db = filepath.Join(s.t.TempDir(), "after.db")
			if err := os.WriteFile(s.db, b, 0o600); err != nil {
				s.t.Fatal(err)
			}
			s.sensor("wind").become(steadily(wind, 5))
			s.start()
			s.wait(1500 * time.Millisecond)
			rules := s.rules()
			return fmt.Sprintf("the broker says %s; restarted in a calm it is %s by %s%s", status, s.agent.Status().Gate, rules, s.reopens())
		}},
		{"kept state of meters is damaged", func(s *liveSite) string {
			s.open()
			s.end()
			o, err := outbox.Open(s.db, outbox.DefaultLimits())
			if err == nil {
				_, err = o.Commit(0, outbox.Commit{State: map[string][]byte{stateMeters: []byte("{")}})
			}
			if err == nil {
				err = o.Close(0)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			s.start()
			s.wait(30 * time.Minute)
			return fmt.Sprintf("put aside and told; after half an hour %s by %s", s.agent.Status().Gate, s.rules())
		}},
		{"wall clock not synchronised: a grave official warning of 3 h that is over by this clock", func(s *liveSite) string {
			path := filepath.Join(s.t.TempDir(), "w.xml")
			writeFile(s.t, path, nil)
			s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 24 * time.Hour}
			s.synced = func() bool { return false }
			s.open()
			writeFile(s.t, path, graveFile(time.Now().Add(-24*time.Hour), 3*time.Hour, 0))
			got := s.observe(time.Minute)
			return got + s.reopens() + ", its own length"
		}},
		{"official warning with an onset in 4 h: a restart after 1 h", func(s *liveSite) string {
			path := filepath.Join(s.t.TempDir(), "w.xml")
			writeFile(s.t, path, graveFile(time.Now(), 10*time.Hour, 4*time.Hour))
			s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 24 * time.Hour}
			s.open()
			said := s.rules()
			s.end()
			s.wait(53 * time.Minute)
			s.start()
			s.wait(time.Hour)
			return fmt.Sprintf("warns %s; an hour later %s; then %s", said, s.agent.Status().Gate, s.observe(3*time.Hour))
		}},
		{"official warnings: none heard for 15 min", func(s *liveSite) string {
			s.cfg.Warnings = &WarningsConfig{Topic: "met/cap", StaleAfter: 15 * time.Minute}
			s.open()
			return s.observe(20 * time.Minute)
		}},
		{"official warnings: a file with entities, or too large", func(s *liveSite) string {
			path := filepath.Join(s.t.TempDir(), "w.xml")
			writeFile(s.t, path, nil)
			s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 15 * time.Minute}
			s.open()
			writeFile(s.t, path, []byte(`<!DOCTYPE a [<!ENTITY x "y">]><alert/>`))
			got := s.observe(10 * time.Second)
			writeFile(s.t, path, make([]byte, 2<<20))
			s.wait(5 * time.Second)
			return fmt.Sprintf("%d refused, each told once; %s; silence counts on", s.agent.feed.refused, got)
		}},
	}
}

var processStart = time.Now()

// leap returns now as a clock gives it that was set ahead by d: the wall time
// moved, the monotonic reading did not. No function of package time makes such a
// value, so the seconds are put where Time keeps them; it checks that they are.
func leap(t *testing.T, now time.Time, d time.Duration) time.Time {
	out := now
	*(*uint64)(unsafe.Pointer(&out)) += uint64(d/time.Second) << 30
	if out.Sub(now) != 0 || out.Round(0).Sub(now.Round(0)) != d {
		t.Fatalf("no leap: %v after %v", out, now)
	}
	return out
}

type agentFault struct {
	name string
	run  func(s *liveSite) string
}

// Every row of the page's second table is a fault that this test makes, and
// what it then saw.
func TestAgentFaultTable(t *testing.T) {
	var rows []faultdoc.Row
	for _, f := range append(sensorFaults(), surroundingFaults()...) {
		synctest.Test(t, func(t *testing.T) {
			s := newLiveSite(t)
			rows = append(rows, faultdoc.Row{Fault: f.name, Reaction: f.run(s)})
			s.end()
		})
	}
	if err := faultdoc.Check("../docs/fail-safe.md", "agent", rows); err != nil {
		t.Error(err)
	}
}
