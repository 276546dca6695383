package agent

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/model"
	"fairwatt/model/cap"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// A fakeSensor gives what its function sets; nothing hides behind it.
type fakeSensor struct {
	name     string
	channels []model.Channel
	mu       sync.Mutex
	read     func(ctx context.Context, s *model.Sample) error
}

func (f *fakeSensor) Name() string              { return f.name }
func (f *fakeSensor) Channels() []model.Channel { return f.channels }
func (f *fakeSensor) Halt() error               { return nil }

func (f *fakeSensor) Read(ctx context.Context, s *model.Sample) error {
	f.mu.Lock()
	read := f.read
	f.mu.Unlock()
	err := read(ctx, s)
	f.mu.Lock() // see wait: a slow reading began before what the test did meanwhile
	defer f.mu.Unlock()
	return err
}

func (f *fakeSensor) become(read func(ctx context.Context, s *model.Sample) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = read
}

// steady is a sensor of one value whose last digit moves, as a live one's does.
func steady(name string, c model.Channel, v float64) *fakeSensor {
	return &fakeSensor{name: name, channels: []model.Channel{c}, read: steadily(c, v)}
}

func steadily(c model.Channel, v float64) func(context.Context, *model.Sample) error {
	n := 0
	return func(_ context.Context, s *model.Sample) error {
		n++
		s.Set(c, v+float64(n%7)/1000)
		return nil
	}
}

// broken fails its one channel as a driver does.
func broken(c model.Channel, err error) func(context.Context, *model.Sample) error {
	return func(_ context.Context, s *model.Sample) error {
		s.Fail(c, model.SensorError)
		return err
	}
}

// A liveSite is an agent on fake sensors, in quiet weather: voltage, frequency
// and gust are required.
type liveSite struct {
	t       *testing.T
	cfg     Config
	sensors []sensor.Sensor
	missing []MissingSensor
	broker  *mqtttest.Broker
	pipe    mqtt.Pipe
	db      string
	scorer  model.Scorer
	super   *Supervisor
	chain   *Chain
	key     crypto.Signer
	wall    func() time.Time // nil: time.Now
	synced  func() bool      // nil: always
	onGate  func(model.State)
	outbox  *outbox.Outbox
	log     *logLines

	agent *Agent
	stop  context.CancelFunc
	done  chan error
}

// logLines keeps what was logged, by message.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logLines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func newLiveSite(t *testing.T) *liveSite {
	s := &liveSite{t: t, broker: &mqtttest.Broker{}, db: filepath.Join(t.TempDir(), "a.db"), log: &logLines{}}
	s.cfg = testConfig(t, "pv-1")
	s.cfg.Sensors = nil
	s.cfg.Judge.Required = []model.Channel{model.VoltageV, model.FrequencyHz, model.WindGustMPS}
	s.cfg.Location = &LocationConfig{Latitude: 20, Longitude: 0}
	s.cfg.Judge.Position = &model.Position{Latitude: 20, Longitude: 0}
	s.sensors = []sensor.Sensor{
		steady("meter", model.VoltageV, 230), steady("frequency", model.FrequencyHz, 50), steady("wind", model.WindGustMPS, 6),
	}
	return s
}

func (s *liveSite) sensor(name string) *fakeSensor {
	i := slices.IndexFunc(s.sensors, func(one sensor.Sensor) bool { return one.Name() == name })
	return s.sensors[i].(*fakeSensor)
}

// start composes the agent and runs it.
func (s *liveSite) start() {
	s.t.Helper()
	cfg := s.cfg
	for _, one := range s.sensors {
		cfg.Judge.Channels = append(cfg.Judge.Channels, one.Channels()...)
	}
	judge, err := model.NewJudge(cfg.Judge, s.scorer)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.outbox, err = outbox.Open(s.db, cfg.Outbox); err != nil {
		s.t.Fatal(err)
	}
	if s.pipe == nil {
		s.pipe = s.broker.Pipe(WillOf(&cfg))
	}
	clock := LiveClock(s.synced)
	if s.wall != nil {
		clock.Wall = s.wall
	}
	s.agent, err = New(cfg, Deps{
		Chain: s.chain, Key: s.key,
		Sensors: s.sensors, Missing: s.missing, Judge: judge, Outbox: s.outbox, Pipes: []mqtt.Pipe{s.pipe},
		Clock: clock, Version: "test", Supervisor: s.super, OnGate: s.onGate, Logger: s.agentLog(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop, s.done = cancel, make(chan error, 1)
	go func(a *Agent) { s.done <- a.Run(ctx) }(s.agent)
}

func (s *liveSite) agentLog() *slog.Logger { return slog.New(slog.NewTextHandler(s.log, nil)) }

// wait lets time pass. What the test has read of the agent lies before what its
// loop writes next: the loop takes a sensor's lock first, in each tick.
func (s *liveSite) wait(d time.Duration) {
	for _, one := range s.sensors {
		if f, ok := one.(*fakeSensor); ok {
			f.become(f.read)
		}
	}
	time.Sleep(d)
	synctest.Wait()
}

// open starts the agent and waits until the gate is open.
func (s *liveSite) open() {
	s.t.Helper()
	s.start()
	s.wait(7*time.Minute + 500*time.Millisecond) // half a tick past a sample
	if got := s.agent.Status(); got.Gate != model.StateOpen {
		s.t.Fatalf("in quiet weather %v: %+v", got.Gate, got.Causes)
	}
}

func (s *liveSite) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("Run: %v", err)
	}
	s.pipe = nil
}

// rules names what blocks, else what warns.
func (s *liveSite) rules() string {
	var ids []string
	for _, c := range s.agent.Status().Causes {
		ids = append(ids, c.Rule)
	}
	if ids == nil { // the loop waits: synctest.Wait has returned
		for _, alert := range s.agent.judge.View().Alerts {
			for _, c := range alert.Causes {
				ids = append(ids, c.Rule)
			}
		}
	}
	return strings.Join(ids, ", ")
}

// collect keeps the messages of a topic of the device.
func (s *liveSite) collect(class string) func() []string {
	s.t.Helper()
	var mu sync.Mutex
	var seen []string
	watcher := s.broker.Pipe(mqtt.Will{})
	watcher.Subscribe("fairwatt/v1/farm-1/pv-1/"+class, func(m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, string(m.Payload))
	})
	if err := watcher.Open(); err != nil {
		s.t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestVotingInTheSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.sensors = append(s.sensors, steady("wind-2", model.WindGustMPS, 6.2))
		telemetry := s.collect("telemetry")
		s.open()
		s.sensor("wind-2").become(steadily(model.WindGustMPS, 12))
		s.wait(15 * time.Second)
		if got := s.agent.Status(); got.Gate != model.StateOpen || s.rules() != "S01" {
			t.Errorf("two that disagree below the limit: %v by %s", got.Gate, s.rules())
		}
		last := telemetry()[len(telemetry())-1]
		for _, want := range []string{`"votes":{"wind_gust_mps":{"value":12`, `"disagree":true`, `"sensors":{"wind":6`, `"wind-2":12`} {
			if !strings.Contains(last, want) {
				t.Errorf("telemetry %s\nlacks %s", last, want)
			}
		}
		s.sensor("wind").become(broken(model.WindGustMPS, sensor.ErrNoChip))
		s.sensor("wind-2").become(steadily(model.WindGustMPS, 6))
		s.wait(15 * time.Second)
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("one of two fails: %v by %s", got.Gate, s.rules())
		}
		s.sensor("wind-2").become(broken(model.WindGustMPS, sensor.ErrNoChip))
		s.wait(15 * time.Second)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "E16" {
			t.Errorf("both fail: %v by %s", got.Gate, s.rules())
		}
		s.end()
	})
}

func TestVotesNameTheOutlier(t *testing.T) {
	log := &logLines{}
	sensors := []sensor.Sensor{steady("a", model.TemperatureC, 20), steady("b", model.TemperatureC, 50), steady("c", model.TemperatureC, 20.5)}
	senses, err := NewSenses(sensors, nil, model.DefaultConfig(), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var sample model.Sample
		senses.Read(t.Context(), &sample)
		if v, ok := sample.Get(model.TemperatureC); !ok || v < 20.5 || v > 20.6 {
			t.Fatalf("%v counts", v)
		}
	}
	if v := senses.Votes(); len(v) != 1 || v[0].Outlier != "b" || v[0].String() != "b stands alone" || log.count("stands alone") != 1 {
		t.Errorf("%+v, logged %d times", v, log.count("stands alone"))
	}
	var many []sensor.Sensor
	for i := range model.MaxVoters + 1 {
		many = append(many, steady(fmt.Sprint(i), model.TemperatureC, 20))
	}
	if _, err := NewSenses(many, nil, model.DefaultConfig(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "temperature_c") {
		t.Errorf("nine voters: %v", err)
	}
}

// A start raises no alert about a sensor that has only not counted long enough,
// and does about one that never comes to: by E16, and by S03 after a minute.
func TestStartWaitsForCounters(t *testing.T) {
	for warm, want := range map[time.Duration]int{3 * time.Second: 0, time.Hour: 2} {
		synctest.Test(t, func(t *testing.T) {
			s := newLiveSite(t)
			from := time.Now().Add(warm)
			calm := steadily(model.WindGustMPS, 6)
			s.sensor("wind").become(func(ctx context.Context, sample *model.Sample) error {
				if time.Now().Before(from) {
					sample.Fail(model.WindGustMPS, model.SensorError)
					return fmt.Errorf("count pulses: %w", sensor.ErrTooFewSamples)
				}
				return calm(ctx, sample)
			})
			alerts := s.collect("alert")
			s.start()
			s.wait(time.Minute)
			if got := alerts(); len(got) != want || s.agent.Status().Gate == model.StateOpen {
				t.Errorf("warm after %s: alerts %v, want %d", warm, got, want)
			}
			s.end()
		})
	}
}

// W08 compares with the usual pressure of the hour of past days: it is served
// live, and the past comes along over a restart.
func TestCycloneRuleIsServedLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.cfg.Tick, s.cfg.Telemetry, s.cfg.Judge.IntervalS = 10*time.Minute, 10*time.Minute, 600
		pressure := steady("barometer", model.PressureHPa, 1010)
		s.sensors = append(s.sensors, pressure, steady("mean wind", model.WindSpeedMPS, 4))
		s.start()
		for _, u := range s.agent.judge.Unserved() {
			if u.Rule == "W08" {
				t.Errorf("W08 is not served: %s", u.Why)
			}
		}
		s.wait(5 * 24 * time.Hour)
		s.end()
		s.start()
		s.wait(2 * time.Hour)
		pressure.become(steadily(model.PressureHPa, 998))
		s.sensor("mean wind").become(steadily(model.WindSpeedMPS, 14))
		s.wait(6 * time.Hour)
		if got := s.rules(); !strings.Contains(got, "W08") {
			t.Errorf("12 hPa below the usual pressure in a gale: %v by %s", s.agent.Status().Gate, got)
		}
		s.end()
	})
}

// capMessage is an official warning of now for the site, valid for two hours.
func capMessage(t *testing.T, id string, change func(a *cap.Alert)) []byte {
	t.Helper()
	a := &cap.Alert{
		Identifier: id, Sender: "met@example.org", Sent: time.Now(), Status: "Actual", MsgType: "Alert", Scope: "Public",
		Infos: []cap.Info{{
			Categories: []string{"Met"}, Event: "Severe gusts", Urgency: "Immediate", Severity: "Severe", Certainty: "Likely",
			Expires: time.Now().Add(2 * time.Hour), Areas: []cap.Area{{Desc: "here", Circles: []cap.Circle{{Center: cap.Point{Lat: 20, Lon: 0}, RadiusKM: 30}}}},
		}},
	}
	if change != nil {
		change(a)
	}
	b, err := a.AppendXML(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	// The bubble's clock is not the file system's.
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestWarningsFromAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		path := filepath.Join(t.TempDir(), "warning.xml")
		writeFile(t, path, nil)
		s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 15 * time.Minute}
		s.open()
		writeFile(t, path, capMessage(t, "w-1", nil))
		s.wait(2 * time.Second)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "W09" {
			t.Fatalf("a severe warning: %v by %s", got.Gate, s.rules())
		}
		// What cannot be read never opens the gate, is told once, and counted.
		writeFile(t, path, []byte(`<!DOCTYPE x [<!ENTITY a "b">]><alert/>`))
		s.wait(time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.agent.feed.refused != 1 || s.log.count("official warning refused") != 1 {
			t.Errorf("a bad file: %v, %d refused, log %v", got.Gate, s.agent.feed.refused, s.log.lines)
		}
		writeFile(t, path, make([]byte, cap.MaxBytes+2))
		s.wait(2 * time.Second)
		if s.agent.feed.refused != 2 || s.log.count("more than 1048576") != 1 {
			t.Errorf("a large file: %d refused, log %v", s.agent.feed.refused, s.log.lines)
		}
		// A restart keeps what is in force although the file has gone.
		s.end()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.wait(20 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || !strings.Contains(s.rules(), "W09") || s.log.count("no such file") != 1 {
			t.Errorf("after a restart: %v by %s, log %v", got.Gate, s.rules(), s.log.lines)
		}
		writeFile(t, path, capMessage(t, "w-2", func(a *cap.Alert) {
			a.MsgType, a.References = "Cancel", []cap.Reference{{Sender: a.Sender, Identifier: "w-1", Sent: a.Sent}}
		}))
		s.wait(10 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateOpen || s.rules() != "" {
			t.Errorf("after the cancel: %v by %s", got.Gate, s.rules())
		}
		s.end()
	})
}

func TestWarningsByMQTTAndTheirSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.cfg.Warnings = &WarningsConfig{Topic: "met/+", StaleAfter: 15 * time.Minute}
		s.open()
		met := s.broker.Pipe(mqtt.Will{})
		if err := met.Open(); err != nil {
			t.Fatal(err)
		}
		tell := func(b []byte) {
			t.Helper()
			if err := met.Publish(t.Context(), "met/cap", 1, false, b); err != nil {
				t.Fatal(err)
			}
			s.wait(2 * time.Second)
		}
		tell(nil) // a sign of life
		s.wait(14 * time.Minute)
		if got := s.rules(); got != "" {
			t.Errorf("within a quarter of an hour: %s", got)
		}
		s.wait(2 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateOpen || s.rules() != "W09" {
			t.Errorf("silent for more: %v by %q", got.Gate, s.rules())
		}
		tell([]byte("no XML at all"))
		if s.rules() != "W09" || s.agent.feed.refused != 1 {
			t.Error("what cannot be read was a sign of life")
		}
		tell(capMessage(t, "test-1", func(a *cap.Alert) { a.Status = "Test" }))
		if got := s.agent.Status(); got.Gate != model.StateOpen || s.rules() != "" {
			t.Errorf("heard again: %v by %s", got.Gate, s.rules())
		}
		tell(capMessage(t, "w-1", nil))
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "W09" {
			t.Errorf("a severe warning: %v by %s", got.Gate, s.rules())
		}
		s.end()
		met.Close()
	})
}

// A warning that stood when the agent went and is gone when it comes back is
// cancelled.
func TestCAPOfBeforeARestartIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.cfg.CAPAlerts = &CAPAlertsConfig{}
		s.cfg.CAPAlerts.fill(&s.cfg)
		s.cfg.Simulated = false
		told := s.collect("alert/cap")
		s.sensors = append(s.sensors, steady("wind-2", model.WindGustMPS, 12))
		s.open()
		s.end()
		s.cfg.Judge.Gate.ValidS = 1
		s.sensor("wind-2").become(steadily(model.WindGustMPS, 6))
		s.start()
		s.wait(time.Hour)
		s.end()
		var kinds []string
		for _, m := range told() {
			a, err := cap.Parse([]byte(m))
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, a.MsgType)
		}
		if len(kinds) < 2 || kinds[0] != "Alert" || kinds[len(kinds)-1] != "Cancel" || len(s.agent.saved.CAP) != 0 {
			t.Errorf("%v, kept %v", kinds, s.agent.saved.CAP)
		}
	})
}

// Alerts as CAP: an Alert, and a Cancel that names it, also over a restart.
func TestAlertsAsCAP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.cfg.CAPAlerts = &CAPAlertsConfig{}
		s.cfg.CAPAlerts.fill(&s.cfg)
		if err := s.cfg.CAPAlerts.validate(&s.cfg); err != nil {
			t.Fatal(err)
		}
		told := s.collect("alert/cap")
		s.open()
		s.sensor("wind").become(steadily(model.WindGustMPS, 35))
		s.wait(10 * time.Second)
		s.end()
		s.start()
		s.sensor("wind").become(steadily(model.WindGustMPS, 5))
		s.wait(2 * time.Hour)
		s.end()
		var alerts []*cap.Alert
		for _, m := range told() {
			a, err := cap.Parse([]byte(m))
			if err != nil {
				t.Fatalf("%v in\n%s", err, m)
			}
			alerts = append(alerts, a)
			if a.Status != "Test" || a.Scope != "Private" || a.Addresses != "farm-1" || len(a.Infos[0].Areas[0].Circles) != 1 {
				t.Errorf("%+v", a)
			}
		}
		if len(alerts) < 2 {
			t.Fatalf("%d messages: %v", len(alerts), told())
		}
		first, last := alerts[0], alerts[len(alerts)-1]
		if first.MsgType != "Alert" || first.Infos[0].Severity != "Severe" || first.Sender != "fairwatt:farm-1:pv-1" {
			t.Errorf("first %+v", first)
		}
		before := alerts[len(alerts)-2]
		if last.MsgType != "Cancel" || len(last.References) != 1 || last.References[0].Identifier != before.Identifier {
			t.Errorf("last %+v, before it %s", last, before.Identifier)
		}
		if len(s.agent.saved.CAP) != 0 {
			t.Errorf("kept of alerts that are over: %v", s.agent.saved.CAP)
		}
	})
}
