package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/model/faultdoc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// boardEnv is the address of the parent's board, in the process of an agent.
const boardEnv = "FAIRWATT_TEST_BOARD"

// panicAboveC is the temperature at which the process panics.
const panicAboveC = 30

const processTick = 50 * time.Millisecond

// A panickingSensor does so above panicAboveC.
type panickingSensor struct{ sensor.Sensor }

func (p panickingSensor) Read(ctx context.Context, s *model.Sample) error {
	err := p.Sensor.Read(ctx, s)
	if t, ok := s.Get(model.TemperatureC); ok && t > panicAboveC {
		panic("a driver's mistake")
	}
	return err
}

// TestSellerProcess is an agent in a process of its own, which the parent ends.
// It sells through the board's relay, and prints "closed" when that is so.
func TestSellerProcess(t *testing.T) {
	address := os.Getenv(boardEnv)
	if address == "" {
		t.Skip("only as a process of TestContactorFaultTable")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	client, err := simbus.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, "pv-1")
	cfg.Tick, cfg.Judge.Required = processTick, []model.Channel{model.TemperatureC}
	cfg.Judge.Gate = model.GateTimes{MaxReopens: 16}
	cfg.Judge.IntervalS = processTick.Seconds()
	cfg.Judge.Channels = []model.Channel{model.TemperatureC, model.DCVoltageV, model.DCCurrentA}
	cfg.Judge.Limits.EnterServiceS = 0.1
	cfg.Contactor = &drive.Config{Pin: coilPin, Feedback: feedbackPin}
	cfg.Sell = &SellConfig{PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
	var sensors []sensor.Sensor
	for _, c := range sensor.StandardConfigs() {
		if c.Kind != sensor.KindBME280 && c.Kind != sensor.KindINA219 && c.Kind != sensor.KindS0 {
			continue
		}
		one, err := sensor.New(c, client)
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == sensor.KindS0 && cfg.Sell.Meter == "" {
			cfg.Sell.Meter = one.Name()
		}
		sensors = append(sensors, panickingSensor{one})
	}
	for i, s := range sensors { // the meter has to be found as one
		if p := s.(panickingSensor); p.Name() == cfg.Sell.Meter {
			sensors[i] = p.Sensor
		}
	}
	line, err := drive.New(*cfg.Contactor, client)
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
	broker := &mqtttest.Broker{}
	w := newTown(t, broker.Pipe(mqtt.Will{}))
	w.open()
	a, err := New(cfg, Deps{
		Key: testKey(1), Chain: w.chain, Sensors: sensors, Judge: judge, Outbox: box, Pipes: []mqtt.Pipe{broker.Pipe(WillOf(&cfg))},
		Clock: LiveClock(nil), Contactor: line, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	go sellOnce(ctx, a, w)
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
}

// sellOnce buys the agent's first offer, and prints when the contactor is closed.
func sellOnce(ctx context.Context, a *Agent, w *town) {
	paid, gate, records := false, model.StateInit, 0
	for ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		status := a.Status()
		if status.Gate != gate || len(w.kinds()) != records {
			gate, records = status.Gate, len(w.kinds())
			fmt.Println(gate, w.kinds(), status.Causes)
		}
		if status.Closed != "" {
			fmt.Println("closed")
			return
		}
		w.mu.Lock()
		id := ""
		for _, r := range w.log {
			if r.GetOffer().GetVolumeWh() >= 800 {
				id = r.GetOffer().GetOfferId()
			}
		}
		w.mu.Unlock()
		if id != "" && !paid {
			paid = true
			w.tell("pv-1", payRecord("token-1", id, 800), &fairwattpb.TradeNotice{TradeId: "token-1", Status: "paid"})
		}
	}
}

// processFaults end a process that sells, and look at the relay's own log.
func processFaults(t *testing.T) (rows []faultdoc.Row) {
	for _, f := range []struct {
		name  string
		end   func(p *os.Process, b *plant) error
		clean bool
	}{
		{"kill -9", func(p *os.Process, _ *plant) error { return p.Kill() }, false},
		{"SIGTERM", func(p *os.Process, _ *plant) error { return p.Signal(syscall.SIGTERM) }, true},
		{"a driver panics", func(_ *os.Process, b *plant) error { b.set(model.TemperatureC, panicAboveC+10); return nil }, false},
	} {
		rows = append(rows, faultdoc.Row{Fault: f.name, Reaction: endProcess(t, f.end, f.clean)})
	}
	return rows
}

func endProcess(t *testing.T, end func(*os.Process, *plant) error, clean bool) string {
	t.Helper()
	p := newPlantOn(t, relayLayout())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	served := make(chan error, 1)
	go func() { served <- board.Serve(ctx, l, p.board) }()
	go p.run(ctx)
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSellerProcess$", "-test.timeout=150s")
	cmd.Env = append(os.Environ(), boardEnv+"="+l.Addr().String())
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "closed" {
		fmt.Fprintln(&said, lines.Text())
	}
	for closed := false; !closed; time.Sleep(time.Millisecond) { // the contact takes its time
		if closed, err = p.board.Relay(coilPin); err != nil || ctx.Err() != nil {
			t.Fatalf("%v, %v, the process says: %s", err, ctx.Err(), &said)
		}
	}
	at := time.Now()
	if err := end(cmd.Process, p); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until its end
		fmt.Fprintln(&said, lines.Text())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if clean != (err == nil) || err != nil && !errors.As(err, &exit) {
		t.Errorf("the process ended with %v: %s", err, &said)
	}
	for closed := true; closed && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if closed, err = p.board.Relay(coilPin); err != nil {
			t.Fatal(err)
		}
	}
	if since := time.Since(at); ctx.Err() != nil {
		return fmt.Sprintf("the relay stays closed for %.0f s", since.Seconds())
	}
	return "the relay opens with the end of the process" // how soon is the machine's matter: real processes, real time
}
