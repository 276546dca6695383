package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/outbox"
	"fairwatt/agent/receipt/receipttest"
	"fairwatt/agent/sensor"
	"fairwatt/agent/trade"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

var errLine = errors.New("the line does not answer")

// A moodyLine is a contactor whose commands may fail, before or after they acted.
type moodyLine struct {
	*drive.Line
	before, after bool
}

func (m *moodyLine) tell(act func() error) error {
	if m.before {
		return errLine
	}
	if err := act(); err != nil || m.after {
		return errors.Join(err, errLine)
	}
	return nil
}

func (m *moodyLine) Close(d trade.Delivery) error {
	return m.tell(func() error { return m.Line.Close(d) })
}

func (m *moodyLine) Open(id string) error { return m.tell(func() error { return m.Line.Open(id) }) }

// A randomSite is an agent that a property test leads by the hand.
type randomSite struct {
	t      *rapid.T
	db     string
	board  *board.Board
	nowMs  int64
	blind  bool // the required sensor gives nothing
	refuse atomic.Bool
	line   *moodyLine
	agent  *Agent
	box    *outbox.Outbox
	trades int
}

// start composes an agent on what the last one left.
func (s *randomSite) start() {
	cfg := DefaultConfig()
	cfg.Site, cfg.Device, cfg.Simulated, cfg.Network = "farm-1", "pv-1", true, "none"
	cfg.Judge.SetNominal(230, 50)
	cfg.Judge.Gate, cfg.Judge.Limits.EnterServiceS = model.GateTimes{MaxReopens: 16}, 0.1
	cfg.Judge.Required = []model.Channel{model.WindGustMPS}
	cfg.Judge.Channels = cfg.Judge.Required
	cfg.Judge.StuckS = 0
	cfg.Judge.Latch = []string{"E16"} // not E17: the first stuck contactor would end the test
	cfg.Sell = &SellConfig{Meter: "sold", PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 0.01, OfferTTL: time.Hour}
	wind := &fakeSensor{name: "wind", channels: cfg.Judge.Required, read: func(_ context.Context, sample *model.Sample) error {
		if s.blind {
			sample.Fail(model.WindGustMPS, model.SensorError)
			return errBus
		}
		sample.Set(model.WindGustMPS, 5)
		return nil
	}}
	meter, err := sensor.New(sensor.Config{Kind: sensor.KindS0, Name: "sold", Opts: sensor.S0Opts{Pin: "S0-1"}}, s.board)
	if err != nil {
		s.t.Fatal(err)
	}
	line, err := drive.New(drive.Config{Pin: coilPin, Feedback: feedbackPin}, s.board)
	if err != nil {
		s.t.Fatal(err)
	}
	judge, err := NewJudge(cfg.Judge, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.box, err = outbox.Open(s.db, cfg.Outbox); err != nil {
		s.t.Fatal(err)
	}
	s.line = &moodyLine{Line: line}
	_, keys := receipttest.DAs(4)
	s.agent, err = New(cfg, Deps{
		Key: moodySigner{testKey(1), &s.refuse}, Sensors: []sensor.Sensor{wind, meter}, Judge: judge, Outbox: s.box, Contactor: s.line, Version: "test",
		Chain: &Chain{ID: receipttest.Chain, DAs: keys, Params: ChainParams{
			LossE4: 300, RegisterStepWh: 1, StartByMs: 60_000, DeliverByMs: 30_000, ResumeByMs: 20_000, ConfirmByMs: 20_000, AttestationMaxMs: 90_000,
		}},
		Clock: Clock{SensingMs: func() int64 { return s.nowMs }, Wall: func() time.Time { return time.UnixMilli(1_700_000_000_000 + s.nowMs) }},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.agent.open() // as Run does
}

// stop ends the agent: killed, or cleanly.
func (s *randomSite) stop(killed bool) {
	if killed {
		s.board.ReleasePins()
	} else if err := s.agent.rest(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.box.Close(1_700_000_000_000 + s.nowMs); err != nil {
		s.t.Fatal(err)
	}
}

// answer has the chain say something, or nothing, of each trade.
func (s *randomSite) answer() {
	for _, sale := range s.agent.trade.seller.Trades {
		id := sale.TradeID
		out := trade.Outcome{ID: [32]byte{byte(s.trades)}, Own: true, Height: 7, Applied: rapid.IntRange(0, 3).Draw(s.t, "applied") > 0}
		switch say := rapid.IntRange(0, 9).Draw(s.t, "chain says"); {
		case say < 2:
			continue
		case say == 9:
			out = trade.Outcome{Height: 7, Applied: true, Trade: &fairwattpb.TradeNotice{TradeId: id, Status: wire.StatusFailed}}
		case sale.Phase == "starting":
			out.Record = &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: id}}}
		case sale.Phase == "resuming":
			out.Record = &fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{TradeId: id}}}
		case sale.Phase == "billed":
			out.Record = &fairwattpb.Record{Body: &fairwattpb.Record_Bill{Bill: &fairwattpb.Bill{TradeId: id}}}
		default:
			continue
		}
		s.agent.outcomes = append(s.agent.outcomes, out)
	}
}

// say has a person say something, between two ticks.
func (s *randomSite) say() {
	s.agent.now = s.agent.clock.read()
	c := rapid.SampledFrom([]wire.Command{
		{Do: "block", By: "Ada", Why: "x", ForMs: 3000}, {Do: "unblock", By: "Ada"}, {Do: "ack", Rule: "E16", By: "Ada"}, {Do: "ack", Rule: "E17", By: "Ada"},
	}).Draw(s.t, "word")
	if _, err := s.agent.obey(&c, speaker{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *randomSite) pay() {
	s.trades++
	s.agent.outcomes = append(s.agent.outcomes, trade.Outcome{
		ID: [32]byte{byte(s.trades)}, Height: 5, Applied: true, Record: payRecord(fmt.Sprint("token-", s.trades), "o", 800),
	})
}

// check holds the contact against gate and trades.
func (s *randomSite) check(after string) {
	closed, err := s.board.Relay(coilPin)
	if err != nil {
		s.t.Fatal(err)
	}
	if !closed || s.line.before {
		return // what cannot be commanded cannot be opened
	}
	delivering := s.agent.trade.seller.Delivering()
	if state := s.agent.judge.State(); state != model.StateOpen || len(delivering) != 1 || delivering[0] != s.agent.power.sw.Trade() {
		s.t.Fatalf("after %s: closed for %q, gate %v, delivering %v", after, s.agent.power.sw.Trade(), state, delivering)
	}
}

// deliver brings the agent to its first delivery.
func (s *randomSite) deliver() {
	tick := func() {
		s.nowMs += 1000
		if err := s.agent.tick(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
	for range 4 { // until the gate is open
		tick()
	}
	s.pay()
	tick()
	s.agent.outcomes = append(s.agent.outcomes, trade.Outcome{
		Own: true, Height: 6, Applied: true, Record: &fairwattpb.Record{Body: &fairwattpb.Record_Start{Start: &fairwattpb.Start{TradeId: "token-1"}}},
	})
	tick()
	if closed, err := s.board.Relay(coilPin); !closed || err != nil {
		s.t.Fatalf("it does not deliver: %v", err)
	}
}

// In random steps with people's words, restarts and faults of sensor, disk, line,
// relay and judge, the contact is closed only while the gate is OPEN and exactly one trade
// delivers: the one that it was closed for.
func TestContactClosedMeansOpenGateAndOneTrade(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		b, err := board.New(board.Config{
			Meters: []board.Meter{{Pin: "S0-1", ImpPerKWh: 1000}}, Relays: []board.Relay{{Pin: coilPin, Feedback: feedbackPin}},
		})
		if err != nil {
			rt.Fatal(err)
		}
		s := &randomSite{t: rt, db: filepath.Join(dir, fmt.Sprint(n, ".db")), board: b}
		defer func() { _ = os.Remove(s.db) }() // the folder goes anyway
		s.start()
		defer func() { s.stop(true) }()
		s.deliver()
		for range rapid.IntRange(3, 25).Draw(rt, "steps") {
			event := rapid.SampledFrom([]string{
				"tick", "tick", "tick", "tick", "answer", "answer", "answer", "pay", "blind", "disk", "line", "late line", "no pull-in", "lost judge", "kill", "stop", "flow", "time", "word", "word",
			}).Draw(rt, "event")
			switch event {
			case "pay":
				s.pay()
			case "answer":
				s.answer()
			case "blind":
				s.blind = !s.blind
			case "disk":
				s.refuse.Store(!s.refuse.Load())
			case "line":
				s.line.before = !s.line.before
			case "late line":
				s.line.after = !s.line.after
			case "no pull-in":
				if err := b.Inject(board.Fault{Part: coilPin, Kind: board.NoPullIn}); err != nil {
					rt.Fatal(err)
				}
			case "lost judge":
				s.agent.power.lose(time.Second)
			case "kill", "stop":
				s.line.before, s.line.after = false, false
				s.refuse.Store(false)
				s.stop(event == "kill")
				s.start()
				s.check("a " + event)
			case "word":
				s.say()
			case "flow":
				if err := b.AddEnergyWh("S0-1", float64(rapid.IntRange(0, 400).Draw(rt, "wh"))); err != nil {
					rt.Fatal(err)
				}
			case "time":
				s.nowMs += rapid.Int64Range(0, 40_000).Draw(rt, "ms")
			}
			var err error
			if event == "answer" || event == "pay" || event == "word" { // between two ticks
				s.agent.now = s.agent.clock.read()
				err = s.agent.act(rt.Context())
			} else {
				s.nowMs += 1000
				err = s.agent.tick(rt.Context())
			}
			if err != nil {
				rt.Fatal(err)
			}
			s.check(event)
		}
	})
}
