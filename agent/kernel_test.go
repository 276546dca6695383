package agent

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// kernelEnv is the folder with a kernel and what runs on it (tools/check-kernel.sh).
const kernelEnv = "FAIRWATT_KERNEL"

// The pins of the machine.
const (
	windPin = 20 + iota
	meterPin
	guestCoilPin // low closes the contactor
	guestFeedbackPin
)

const guestConfig = `
site: farm-1
device: pv-1
simulated: true
data: data
genesis: genesis.json
mqtt: [tcp://10.0.2.2:%d]
clock: trusted
tick: 500ms
telemetry: 1s
network: none
sensors:
  - {kind: lm75, name: heatsink, bits: 12}
  - {kind: anemometer, name: wind, pin: %[2]s/20}
  - {kind: s0, name: meter, pin: %[2]s/21, power: true}
judge:
  limits: {enter_service_s: 1}
  gate: {min_block_s: 1, valid_s: 1, max_reopens: 16, reopen_clear_s: 1}
sell: {meter: meter, price_micro_per_kwh: 200000, min_wh: 10, max_wh: 1000}
contactor: {pin: %[2]s/22, active: low, feedback: %[2]s/23, feedback_active: low}
`

// anyone is a broker's hook that lets everyone do everything.
type anyone struct{ mochi.HookBase }

func (*anyone) ID() string { return "anyone" }

func (*anyone) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*anyone) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*anyone) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// startBroker starts a broker and gives its port.
func startBroker(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(anyone), nil); err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(listeners.NewNet("tcp", l)); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// openPipe connects to the broker of startBroker.
func openPipe(t *testing.T, port int, open func(mqtt.Pipe)) {
	t.Helper()
	pipe, err := mqtt.New(mqtt.Config{URL: fmt.Sprintf("tcp://127.0.0.1:%d", port)})
	if err != nil {
		t.Fatal(err)
	}
	open(pipe)
	t.Cleanup(pipe.Close)
}

// A guestSite is the agent on the machine, and the world around it.
type guestSite struct {
	*machine
	town *town
	seen struct { // with the machine's lock
		telemetry wire.Telemetry
		gate      wire.Gate[wire.Cause]
		fresh     int // telemetry seen
		openAfter int // moves before the first OPEN since it was last set to -1
	}
	pulsing sync.WaitGroup
}

func newGuestSite(t *testing.T, ctx context.Context, dir string) *guestSite {
	t.Helper()
	port := startBroker(t)
	s := &guestSite{}
	openPipe(t, port, func(p mqtt.Pipe) { s.town = newTown(t, p) })
	genesis := guestGenesis(t, s.town)
	s.town.took = func() { s.change(func() {}) }

	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	files := []guestFile{
		{"init", 0o755, read(filepath.Join(dir, "init"))},
		{"agent", 0o755, read(filepath.Join(dir, "agent"))},
		{"agent.yaml", 0o600, fmt.Appendf(nil, guestConfig, port, chip)},
		{"genesis.json", 0o600, genesis},
		{"data/" + KeyFile, 0o600, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: testKey(1).Seed()})},
	}
	files = append(files, modulesOf(t, filepath.Join(dir, "modules"), "i2c-imx", "i2c-dev", "gpio-mxc", "fec")...)
	s.machine = newMachine(ctx, t, dir, files)
	s.town.open()
	t.Cleanup(func() {
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Logf("the last telemetry: %s\nthe gate: %s\nmoves: %v", mustJSON(t, s.seen.telemetry), mustJSON(t, s.seen.gate), s.moves)
		}
	})
	for _, pin := range []int{windPin, meterPin, guestFeedbackPin} {
		s.drive(pin, true) // pulled up, the contactor open
	}
	openPipe(t, port, func(p mqtt.Pipe) {
		p.Subscribe("fairwatt/v1/farm-1/pv-1/telemetry", func(m mqtt.Message) {
			var v wire.Telemetry
			if err := json.Unmarshal(m.Payload, &v); err != nil {
				t.Error(err)
			}
			s.change(func() { s.seen.telemetry = v; s.seen.fresh++ })
		})
		p.Subscribe("fairwatt/v1/farm-1/pv-1/gate", func(m mqtt.Message) {
			var v wire.Gate[wire.Cause]
			if err := json.Unmarshal(m.Payload, &v); err != nil {
				t.Error(err)
			}
			s.change(func() {
				if s.seen.gate = v; v.State == wire.GateOpen && s.seen.openAfter < 0 {
					s.seen.openAfter = len(s.moves)
				}
			})
		})
		if err := p.Open(); err != nil {
			t.Fatal(err)
		}
	})
	return s
}

// guestGenesis is a chain of the town's, and makes the town that of the chain.
func guestGenesis(t *testing.T, w *town) []byte {
	t.Helper()
	type da struct {
		ID        string         `json:"id"`
		PublicKey seal.PublicKey `json:"public_key"`
	}
	genesis := struct {
		Version     int         `json:"version"`
		Params      ChainParams `json:"params"`
		Aggregators []da        `json:"aggregators"`
	}{Version: 1, Params: w.chain.Params}
	for _, d := range w.das {
		genesis.Aggregators = append(genesis.Aggregators, da{d.ID, seal.FormatKey(w.chain.DAs[d.ID])})
	}
	b := mustJSON(t, genesis)
	c, err := ParseChain(b)
	if err != nil {
		t.Fatal(err)
	}
	w.chain = c
	for i := range w.das {
		w.das[i].Chain = c.ID
	}
	return b
}

// wired is the contactor: its feedback follows its coil.
func (s *guestSite) wired(ctx context.Context) {
	closed := false
	for ctx.Err() == nil {
		s.mu.Lock()
		now, changed := s.closedNow(), s.changed
		s.mu.Unlock()
		if now != closed {
			closed = now
			s.drive(guestFeedbackPin, !closed)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// closedNow says whether the coil is told to close. A pin that was never driven is
// pulled up. Caller holds the lock.
func (s *guestSite) closedNow() bool {
	high, driven := s.level[guestCoilPin]
	return driven && !high
}

// closings counts the moves of the coil that close it, since the first n moves.
func (s *guestSite) closings(n int) (closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.moves[n:] {
		if m.pin == guestCoilPin && !m.high {
			closed++
		}
	}
	return closed
}

func (s *guestSite) moveCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.moves)
}

// pulse gives n pulses on a pin, one a period, or fewer where the machine is slow.
func (s *guestSite) pulse(pin, n int, period time.Duration) {
	for range n {
		s.drive(pin, false)
		s.taken(pin)
		time.Sleep(period / 2)
		s.drive(pin, true)
		time.Sleep(period / 2)
	}
}

// TestOnARealKernel runs the agent for ARM on Debian's kernel in an emulator. It
// reads a chip on the kernel's I2C bus, counts pulses on the kernel's GPIO lines and
// switches a contactor there.
func TestOnARealKernel(t *testing.T) {
	dir := os.Getenv(kernelEnv)
	if dir == "" {
		t.Skip("only by tools/check-kernel.sh, which fetches a kernel")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := newGuestSite(t, ctx, dir)
	began := time.Now()
	s.answer("the start", 0)
	t.Logf("the machine is up after %.0f s: %s, %s", time.Since(began).Seconds(), s.do("list /dev/i2c-*"), s.do("list /dev/gpiochip*"))

	var wires sync.WaitGroup
	wired, unwire := context.WithCancel(ctx)
	wires.Go(func() { s.wired(wired) })
	defer wires.Wait()
	defer unwire()

	s.do("time %d", time.Now().Unix()) // as a board's time service does
	s.heat(41_500)
	s.do("start /agent run --config /agent.yaml")
	s.reads()
	s.counts()
	s.sells()
	s.isKilled()
	s.opensForHeat()
	before := s.moveCount()
	if said := s.do("kill 15"); said != "exit 0" {
		t.Errorf("SIGTERM: %s", said)
	}
	if s.closings(before) != 0 {
		t.Error("SIGTERM: the contactor closes")
	}
}

// reads: the temperature of the chip on the I2C bus, and its changes.
func (s *guestSite) reads() {
	s.t.Helper()
	for _, milliC := range []int{41_500, -7_250, 55_063} {
		s.heat(milliC)
		s.await(fmt.Sprintf("%d mC in telemetry", milliC), time.Minute, func() bool {
			got, ok := s.seen.telemetry.Equipment[view.TelemetryName(model.EquipmentTemperatureC)]
			return ok && math.Abs(got-float64(milliC)/1000) <= 0.07
		})
	}
	s.t.Log("the chip at 41.5, -7.25 and 55.06 C reads so over /dev/i2c-0")
}

// counts: every pulse on a GPIO line is counted, slow ones and as fast as a meter
// gives them; the wind is that of its pulses.
func (s *guestSite) counts() {
	s.t.Helper()
	const slow, fast = 40, 100
	s.pulse(meterPin, slow, 100*time.Millisecond)
	s.pulse(meterPin, fast, 30*time.Millisecond)
	s.await("the register of the pulses", time.Minute, func() bool { return s.seen.telemetry.Energy["meter"] >= slow+fast })
	s.mu.Lock()
	fresh := s.seen.fresh
	s.mu.Unlock()
	s.await("a register that stays", time.Minute, func() bool { return s.seen.fresh >= fresh+2 })
	s.mu.Lock()
	got := s.seen.telemetry.Energy["meter"]
	s.mu.Unlock()
	if got != slow+fast {
		s.t.Errorf("%d pulses were counted as %d", slow+fast, got)
	}
	s.t.Logf("%d pulses at 10/s and 33/s on a GPIO line count as %d Wh", slow+fast, got)
}

// sells: the contactor's line is driven when a trade delivers, not before.
func (s *guestSite) sells() {
	s.t.Helper()
	if n := s.closings(0); n != 0 {
		s.t.Errorf("the contactor closed %d times before a trade", n)
	}
	flowing, stop := context.WithCancel(s.ctx)
	s.t.Cleanup(func() { stop(); s.pulsing.Wait() })
	s.pulsing.Go(func() { // there is something to sell
		for flowing.Err() == nil {
			s.pulse(meterPin, 1, 500*time.Millisecond)
		}
	})
	id := ""
	s.await("an offer", time.Minute, func() bool {
		s.town.mu.Lock()
		defer s.town.mu.Unlock()
		for _, r := range s.town.log {
			if r.GetOffer().GetVolumeWh() >= 800 {
				id = r.GetOffer().GetOfferId()
			}
		}
		return id != ""
	})
	s.town.tell("pv-1", payRecord("token-1", id, 800), &fairwattpb.TradeNotice{TradeId: "token-1", Status: "paid"})
	s.await("the contactor closes", time.Minute, s.closedNow)
	s.t.Log("the contactor's line closes when a trade delivers")
}

// isKilled: what docs/agent.md says of kill -9. The pin may keep its level; agent
// open, which the service's unit runs, opens the contactor; and the next run does not
// close it before its gate is open.
func (s *guestSite) isKilled() {
	s.t.Helper()
	if said := s.do("kill 9"); said != "exit -1" {
		s.t.Errorf("kill -9: %s", said)
	}
	s.mu.Lock()
	kept := s.closedNow()
	s.mu.Unlock()
	if said := s.do("run /agent open --config /agent.yaml"); said != "exit 0" {
		s.t.Errorf("agent open: %s", said)
	}
	s.await("agent open opens the contactor", time.Minute, func() bool { return !s.closedNow() })
	s.t.Logf("after kill -9 the line keeps its level: %v; agent open opens the contactor", kept)

	s.mu.Lock()
	from := len(s.moves)
	s.seen.openAfter = -1
	s.mu.Unlock()
	s.do("start /agent run --config /agent.yaml")
	s.await("the gate opens again", time.Minute, func() bool { return s.seen.openAfter >= 0 })
	s.await("the contactor closes again for the same trade", time.Minute, s.closedNow)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.moves[from:s.seen.openAfter] {
		if m.pin == guestCoilPin && !m.high {
			s.t.Error("the contactor closes before the gate is open")
		}
	}
}

// opensForHeat: a chip that is too hot closes the gate, and the contactor opens.
func (s *guestSite) opensForHeat() {
	s.t.Helper()
	at := time.Now()
	s.heat(124_000)
	s.await("the contactor opens", time.Minute, func() bool { return !s.closedNow() })
	s.await("the gate says why", time.Minute, func() bool {
		return s.seen.gate.State == wire.GateBlocked && strings.Contains(fmt.Sprint(s.seen.gate.Causes), "E13")
	})
	s.t.Logf("at 124 C the contactor's line opens after %.1f s, and the gate is BLOCKED by E13", time.Since(at).Seconds())
}
