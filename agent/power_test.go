package agent

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/model/faultdoc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// The pins of the simulated contactor.
const (
	coilPin     = "K1"
	feedbackPin = "K1-FB"
)

// relayLayout is the standard board with a contactor.
func relayLayout() board.Config {
	layout := board.Standard()
	layout.Relays = []board.Relay{{Pin: coilPin, Feedback: feedbackPin, PullIn: 20 * time.Millisecond, DropOut: 10 * time.Millisecond}}
	return layout
}

// A sellingSite is an agent that sells through a relay.
type sellingSite struct {
	*plant
	t      *testing.T
	broker *mqtttest.Broker
	town   *town
	db     string
	hang   *hangingSensor
	agent  *Agent
	stop   context.CancelFunc
	done   chan error
	alerts []string
	mu     sync.Mutex
}

// A hangingSensor hangs while told to, and cannot be cut off.
type hangingSensor struct {
	sensor.Sensor
	mu   sync.Mutex
	hung chan struct{}
}

func (h *hangingSensor) Read(ctx context.Context, s *model.Sample) error {
	h.mu.Lock()
	hung := h.hung
	h.mu.Unlock()
	if hung != nil {
		<-hung
	}
	return h.Sensor.Read(ctx, s)
}

func (h *hangingSensor) become(hung chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hung = hung
}

func newSellingSite(t *testing.T) *sellingSite {
	t.Helper()
	s := &sellingSite{t: t, plant: newPlantOn(t, relayLayout()), broker: &mqtttest.Broker{}, db: filepath.Join(t.TempDir(), "a.db")}
	s.town = newTown(t, s.broker.Pipe(mqtt.Will{}))
	s.town.open()
	watcher := s.broker.Pipe(mqtt.Will{})
	watcher.Subscribe("fairwatt/v1/farm-1/pv-1/alert", func(m mqtt.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.alerts = append(s.alerts, string(m.Payload))
	})
	if err := watcher.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Close)
	return s
}

// start runs the agent.
func (s *sellingSite) start() {
	s.t.Helper()
	cfg := testConfig(s.t, "pv-1")
	cfg.Sell = &SellConfig{Meter: meterName(s.t), PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
	cfg.Contactor = &drive.Config{Pin: coilPin, Feedback: feedbackPin}
	line, err := drive.New(*cfg.Contactor, s.board)
	if err != nil {
		s.t.Fatal(err)
	}
	judge, err := NewJudge(cfg.Judge, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	box, err := outbox.Open(s.db, cfg.Outbox)
	if err != nil {
		s.t.Fatal(err)
	}
	sensors := s.sensors(s.t)
	s.hang = &hangingSensor{Sensor: sensors[0]}
	sensors[0] = s.hang
	s.agent, err = New(cfg, Deps{
		Key: testKey(1), Chain: s.town.chain, Sensors: sensors, Judge: judge, Outbox: box, Pipes: []mqtt.Pipe{s.broker.Pipe(WillOf(&cfg))},
		Clock: LiveClock(nil), Contactor: line, Version: "test",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop, s.done = cancel, make(chan error, 1)
	go s.run(ctx)
	go func(a *Agent) { s.done <- a.Run(ctx) }(s.agent)
}

// sell brings the agent to a delivery.
func (s *sellingSite) sell() {
	s.t.Helper()
	s.start()
	s.wait(10*time.Minute + 500*time.Millisecond) // half a tick past a sample
	s.town.mu.Lock()
	offer := s.town.log[len(s.town.log)-1].GetOffer()
	s.town.mu.Unlock()
	if offer.GetVolumeWh() != 1000 {
		s.t.Fatalf("no offer: records %v, gate %v", s.town.kinds(), s.agent.Status().Gate)
	}
	s.town.tell("pv-1", payRecord("token-1", offer.GetOfferId(), 800), &fairwattpb.TradeNotice{TradeId: "token-1", Status: "paid"})
	s.wait(5 * time.Second)
	if status := s.agent.Status(); !s.closed() || status.Closed != "token-1" {
		s.t.Fatalf("the relay is open, status %+v, records %v", status, s.town.kinds())
	}
}

func (s *sellingSite) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *sellingSite) closed() bool {
	closed, err := s.board.Relay(coilPin)
	if err != nil {
		s.t.Fatal(err)
	}
	return closed
}

// opened says how the relay came to be open since a moment, by its own log.
func (s *sellingSite) opened(since time.Time) string {
	s.t.Helper()
	return openedSince(s.t, s.board, since, time.Second)
}

// openedSince says when the last move of the relay was, by its own log.
func openedSince(t *testing.T, b *board.Board, since time.Time, tick time.Duration) string {
	t.Helper()
	log, err := b.RelayLog(coilPin)
	if err != nil || len(log) == 0 {
		t.Fatalf("relay log %v, %v", log, err)
	}
	switch last := log[len(log)-1]; {
	case last.Closed:
		return "the relay stays closed"
	case last.Wall.Sub(since) <= tick+100*time.Millisecond: // the board's time moves in steps of 100 ms
		return "the relay opens within a tick"
	default:
		// Rounded up: where in the tick a fault falls shifts it by a part of a second.
		return fmt.Sprintf("the relay opens within %.0f s", math.Ceil((last.Wall.Sub(since) - 150*time.Millisecond).Seconds()))
	}
}

// says is the gate with its rules, and the last record.
func (s *sellingSite) says() string {
	var rules []string
	for _, c := range s.agent.Status().Causes {
		rules = append(rules, c.Rule)
	}
	out := s.agent.Status().Gate.String()
	if rules != nil {
		out += " by " + strings.Join(rules, ", ")
	}
	if kinds := s.town.kinds(); slices.Contains(kinds, "Hold") {
		out += "; Hold"
	} else if slices.Contains(kinds, "Bill") {
		out += "; Bill"
	}
	return out
}

// told says whether an alert has the words.
func (s *sellingSite) told(words string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.alerts, func(a string) bool { return strings.Contains(a, words) }) {
		return "; the alert says: " + words
	}
	return "; no alert says: " + words
}

func (s *sellingSite) inject(k board.FaultKind, part string) {
	s.t.Helper()
	if err := s.board.Inject(board.Fault{Part: part, Kind: k, Delay: 50 * time.Millisecond}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sellingSite) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("Run: %v", err)
	}
	s.town.pipe.Close()
}

type contactorFault struct {
	name string
	run  func(s *sellingSite) string
}

func contactorFaults() []contactorFault {
	gust := func(s *sellingSite) time.Time {
		s.set(model.WindSpeedMPS, 30)
		s.set(model.WindGustMPS, 40)
		return time.Now()
	}
	return []contactorFault{
		{"a required chip resets and does not answer", func(s *sellingSite) string {
			s.sell()
			s.inject(board.NoAnswer, "bme280@0x76")
			at := time.Now()
			s.wait(5 * time.Second)
			return s.opened(at) + "; " + s.says()
		}},
		{"a voltage sag while the broker is gone", func(s *sellingSite) string {
			s.sell()
			s.broker.SetDown(true)
			s.wait(5 * time.Second)
			kept := "the broker alone opens nothing"
			if !s.closed() {
				kept = "the broker alone opens it"
			}
			s.set(model.VoltageV, 100)
			at := time.Now()
			s.wait(5 * time.Second)
			return fmt.Sprintf("%s; %s; %s", kept, s.opened(at), s.says())
		}},
		{"a driver hangs and cannot be cut off: the judge is lost", func(s *sellingSite) string {
			s.sell()
			hung := make(chan struct{})
			s.hang.become(hung)
			at := time.Now()
			s.wait(20 * time.Second)
			out := s.opened(at)
			s.hang.become(nil)
			close(hung)
			s.wait(5 * time.Second)
			return out + "; afterwards " + s.says()
		}},
		{"the contact welds, then a gust", func(s *sellingSite) string {
			s.sell()
			s.inject(board.Welded, coilPin)
			at := gust(s)
			s.wait(30 * time.Second)
			return s.opened(at) + "; " + s.says() + s.told("the contactor is welded: told open, its feedback says closed")
		}},
		{"the contact falls open and does not pull in again", func(s *sellingSite) string {
			s.sell()
			s.inject(board.NoPullIn, coilPin)
			at := time.Now()
			s.wait(5 * time.Second)
			return s.opened(at) + "; " + s.says() + s.told("the contactor is stuck: told closed, its feedback says open")
		}},
		{"the feedback's wire is cut", func(s *sellingSite) string {
			s.sell()
			s.inject(board.FeedbackLost, coilPin)
			at := time.Now()
			s.wait(5 * time.Second)
			return s.opened(at) + "; " + s.says()
		}},
		{"the contact bounces for 50 ms when it moves", func(s *sellingSite) string {
			s.inject(board.Bounces, coilPin)
			s.sell()
			at := time.Now()
			s.set(model.VoltageV, 100)
			s.wait(5 * time.Second)
			return s.opened(at) + "; " + s.says()
		}},
	}
}

// Every row of the page's third table is a fault that this test makes, and what
// the relay's own log then showed.
func TestContactorFaultTable(t *testing.T) {
	rows := processFaults(t)
	for _, f := range contactorFaults() {
		synctest.Test(t, func(t *testing.T) {
			s := newSellingSite(t)
			rows = append(rows, faultdoc.Row{Fault: f.name, Reaction: f.run(s)})
			s.end()
			if strings.Contains(f.name, "welds") {
				return // nothing opens it
			}
			if s.closed() {
				t.Errorf("%s: the relay is closed after the end", f.name)
			}
		})
	}
	if err := faultdoc.Check("../docs/fail-safe.md", "contactor", rows); err != nil {
		t.Errorf("%v\nobserved: %q", err, rows)
	}
}

// A clean stop opens the contactor before anything else, and so does the next
// start.
func TestContactorOpensAtStopAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSellingSite(t)
		s.sell()
		s.stop()
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		s.board.Advance(100 * time.Millisecond)
		if s.closed() {
			t.Fatal("closed after a clean stop")
		}
		// As a pin that kept its level while no one held it.
		out, err := s.board.PinOut(coilPin)
		if err == nil {
			err = out.Out(true)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.board.Advance(time.Second)
		s.start()
		s.wait(1500 * time.Millisecond)
		if s.closed() {
			t.Error("closed after a start")
		}
		s.end()
	})
}

// A panicSensor makes the loop panic.
type panicSensor struct{ sensor.Sensor }

func (panicSensor) Read(context.Context, *model.Sample) error { panic("a driver's mistake") }

// A loop that panics opens the contactor on its way out: at the reflex of the
// first round nothing is closed yet, so only the end can do it.
func TestContactorOpensWhenTheLoopPanics(t *testing.T) {
	s := newSellingSite(t)
	s.start()
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	out, err := s.board.PinOut(coilPin)
	if err == nil {
		err = out.Out(true)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.board.Advance(time.Second)
	s.agent.senses.sensors[0] = panicSensor{s.agent.senses.sensors[0]}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the loop did not panic")
			}
		}()
		t.Errorf("the loop ended with %v", s.agent.loop(t.Context()))
	}()
	s.board.Advance(time.Second)
	if s.closed() {
		t.Error("the contactor is closed after a panic")
	}
	s.town.pipe.Close()
}
