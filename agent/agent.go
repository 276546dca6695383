package agent

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// Deps are the parts an agent is composed of.
type Deps struct {
	// Key signs records and attestations; nil only without a Chain.
	Key crypto.Signer
	// Chain is the chain that records are sealed for. With nil the agent judges
	// and publishes views, and trades nothing.
	Chain *Chain
	// Sensors are read in this order; Missing are those that could not be set
	// up, and are reported.
	Sensors []sensor.Sensor
	Missing []MissingSensor
	// Judge is owned by the agent from now on. Its kept state is restored by
	// New.
	Judge *model.Judge
	// Outbox is closed by Run.
	Outbox *outbox.Outbox
	// Pipes are the brokers, the preferred one first. Run opens and closes
	// them. Their will is Will(cfg).
	Pipes []mqtt.Pipe
	// CertificateEnds is when the agent's TLS certificate ends; nil: it has none.
	CertificateEnds func() time.Time
	Clock           Clock
	// Contactor lets a delivery flow; nil is trade.NoContactor. It has to be
	// safe for concurrent use. One that is a [Watched] is looked at in each tick.
	Contactor trade.Contactor
	// Supply cuts the supply of the chips; nil if that cannot be done. It is there if
	// the configuration has a power_cycle.
	Supply Supply
	// OnGate is told each state of the gate, before anything acts on it; nil for
	// no one.
	OnGate func(model.State)
	// OnStep is told each sample that was judged, when the loop acts on it, and what
	// came of it; nil for no one. Both are the agent's: they are to be read only.
	OnStep func(s *model.Sample, events []model.Event)
	// Supervisor is told what goes round, for a watchdog; nil for none.
	Supervisor *Supervisor
	// Version and ModelHash stand in info; an empty ModelHash means rules only.
	Version, ModelHash string
	Logger             *slog.Logger
}

// WillOf returns the last will of an agent's connections.
func WillOf(cfg *Config) mqtt.Will {
	return mqtt.Will{Topic: wire.Topics{Site: cfg.Site, Device: cfg.Device}.Of(wire.ClassStatus), Payload: wire.Offline}
}

// An Agent is the loop: tick, sense, judge, gate, seal, queue, publish; and
// the owner's side of a trade. One goroutine of Run owns all of its state.
type Agent struct {
	cfg       Config
	deps      Deps
	log       *slog.Logger
	clock     clockReader
	now       moment
	senses    *Senses
	waves     []waveWatch
	viewer    *view.Writer
	sample    model.Sample
	judge     *model.Judge
	publisher *publisher
	words     *words
	feed      *feed             // of official warnings; nil without
	warned    chan mqtt.Message // official warnings by MQTT
	stepped   bool              // the judge has had its first sample
	wallTold  bool              // the judge knows the time of day
	beganMs   int64             // sensing clock of the start
	worldMs   int64             // the world's time of day then, if it has its own
	receipts  *checker          // nil without a chain
	region    *region           // what neighbours say; nil where nothing is shared
	meters    []meter
	trade     trading
	power     *power

	costs    *view.Costs // what rules have cost lately
	saved    savedState
	pending  outbox.Commit   // gate records and alerts not on disk yet
	outcomes []trade.Outcome // not seen by the traders yet
	judged   bool            // the judge changed since its state was written
	online   bool            // status says online
	counters counters
	summary  model.Summary

	lastGate, lastHazards    time.Time
	lastTelemetry, lastFlush time.Time
	certWarned, silentSince  time.Time         // when the certificate's end, and records without an answer, were last logged
	textfile                 *textfile         // nil without
	described                map[string]string // what a former run described to Home Assistant: platform by entity

	noRequests atomic.Bool

	mu     sync.Mutex
	status Status
}

// savedState survives a restart, as traders, meters and judge do.
type savedState struct {
	GateSeq uint64 `json:"gate_seq"`
	// GateState is that of the newest gate record; -1 before the first.
	GateState int `json:"gate_state"`
	// SeqReserved is above every view sequence number ever published.
	SeqReserved uint64 `json:"seq_reserved"`
	// CAP are the newest CAP messages of the standing alerts, by kind.
	CAP map[string]capReference `json:"cap,omitempty"`
	// Commands are the owners' commands taken.
	Commands word.Guard `json:"commands,omitzero"`
	// Wishes are what the owner has said of trades.
	Wishes wire.Wishes `json:"wishes,omitzero"`
	// Purse is the newest that was heard of the account on the chain; nil: nothing.
	Purse *wire.Purse `json:"purse,omitempty"`
}

// counters are what went wrong, for telemetry.
type counters struct {
	refused, held, doubted, putOff, final, commitFailures, clockSteps uint64
}

// The keys of the outbox's named states.
const (
	stateAgent   = "agent"
	stateJudge   = "judge"
	stateHA      = "home_assistant"
	stateMeters  = "meters"
	stateSeller  = "seller"
	stateBuyer   = "buyer"
	stateAuction = "auction"
	stateEnded   = "ended"
	stateDesk    = "warnings"
	stateCosts   = "costs"
)

// seqBlock is how many view numbers are reserved with one write.
const seqBlock = 1 << 16

// New composes an agent and restores what a former run left in the outbox.
func New(cfg Config, deps Deps) (*Agent, error) {
	switch {
	case deps.Judge == nil || deps.Outbox == nil || deps.Clock.SensingMs == nil || deps.Clock.Wall == nil:
		return nil, errors.New("new agent: judge, outbox and both clocks are needed")
	case deps.Chain != nil && deps.Key == nil:
		return nil, errors.New("new agent: a chain needs a key to sign with")
	case deps.Chain == nil && (cfg.Sell != nil || cfg.Buy != nil):
		return nil, errors.New("new agent: trading needs a chain: name its genesis file")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Contactor == nil {
		deps.Contactor = trade.NoContactor{}
	}
	senses, err := NewSenses(deps.Sensors, deps.Missing, cfg.Judge, deps.Logger)
	if err != nil {
		return nil, fmt.Errorf("new agent: %w", err)
	}
	a := &Agent{
		cfg: cfg, deps: deps, log: deps.Logger, clock: clockReader{clock: deps.Clock},
		senses: senses, judge: deps.Judge,
		publisher: newPublisher(deps.Pipes, deps.Outbox, wire.Topics{Site: cfg.Site, Device: cfg.Device}, deps.Logger),
		warned:    make(chan mqtt.Message, 16),
		saved:     savedState{GateState: -1},
		power:     newPower(deps.Contactor, deps.Logger),
	}
	if cfg.PowerCycle != nil && deps.Supply != nil {
		senses.powerCycle(&cfg, deps.Supply)
	}
	if deps.Supervisor != nil {
		a.publisher.alive = func() { deps.Supervisor.Beat(StagePublish) }
	}
	a.viewer = &view.Writer{
		Device: cfg.Device, Simulated: cfg.Simulated, ModelHash: deps.ModelHash, Zone: time.Local,
		Set: func(class string, qos byte, retained bool, payload []byte) error {
			a.publisher.set(class, qos, retained, payload)
			return nil
		},
	}
	if cfg.Sell != nil {
		a.viewer.PriceMicro = cfg.Sell.PriceMicroPerKWh
	}
	// Behind an open contactor the meter shows nothing of what could be sold.
	deps.Judge.RateEnergy(cfg.Judge.RatedPowerW, cfg.Contactor == nil || cfg.Contactor.None)
	if l := cfg.Location; l != nil {
		a.viewer.Location = &wire.Location{Lat: l.Latitude, Lon: l.Longitude}
	}
	if deps.Chain != nil {
		a.receipts = newChecker(deps.Chain, a.mine, deps.Logger)
	}
	a.region = newRegion(&cfg, &deps)
	a.textfile = newTextfile(cfg.MetricsFile)
	if a.waves, err = newWaveWatches(deps.Sensors, cfg.Judge); err != nil {
		return nil, fmt.Errorf("new agent: %w", err)
	}
	a.now = a.clock.read()
	a.viewer.GateWall, a.beganMs = a.now.wall, a.now.sensingMs
	if cfg.Warnings != nil {
		if a.feed, err = newFeed(*cfg.Warnings, cfg.Location, a.now, deps.Logger); err != nil {
			return nil, fmt.Errorf("new agent: %w", err)
		}
	}
	if deps.Clock.WorldMs != nil {
		a.worldMs = deps.Clock.WorldMs()
	}
	if a.words, err = newWords(&cfg); err != nil {
		return nil, fmt.Errorf("new agent: %w", err)
	}
	if err := a.setWall(); err != nil {
		return nil, fmt.Errorf("new agent: %w", err)
	}
	if !a.wallTold {
		a.log.Warn("wall clock not synchronised: nothing is signed for a trade, and usual pressure (W08) and night are unknown until it is")
	}
	if err := a.restore(); err != nil {
		return nil, fmt.Errorf("new agent: %w", err)
	}
	return a, nil
}

// restore reads the kept states.
func (a *Agent) restore() error {
	if err := a.readState(stateAgent, func(b []byte) error {
		var saved savedState
		err := json.Unmarshal(b, &saved)
		if err == nil {
			a.saved = saved
		}
		return err
	}); err != nil {
		return err
	}
	a.viewer.Seq = a.saved.SeqReserved
	if err := a.restoreCosts(); err != nil {
		return err
	}
	if err := a.restoreJudge(); err != nil {
		return err
	}
	if err := a.restoreDesk(); err != nil {
		return err
	}
	if err := a.restoreDiscovery(); err != nil {
		return err
	}
	if err := a.restoreMeters(); err != nil {
		return err
	}
	return a.restoreTrading()
}

// StopRequests makes the buyer finish its trades and begin no new one. It is
// safe to call from any goroutine.
func (a *Agent) StopRequests() { a.noRequests.Store(true) }

// Run works until ctx ends, then says offline and closes pipes, sensors and
// outbox. It returns nil after a clean stop.
func (a *Agent) Run(ctx context.Context) error {
	a.open() // wherever a former run left it
	a.publisher.attach()
	publishing, stopPublishing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPublishing()
	for _, pipe := range a.deps.Pipes {
		if a.receipts != nil {
			pipe.Subscribe(a.publisher.topics.Receipt("+"), a.receipts.post)
		}
		if a.feed != nil && a.feed.cfg.Topic != "" {
			pipe.Subscribe(a.feed.cfg.Topic, func(m mqtt.Message) {
				select {
				case a.warned <- m:
				case <-publishing.Done():
				}
			})
		}
		if a.region != nil {
			pipe.Subscribe(a.publisher.topics.Neighbours("+"), a.region.listener.post)
		}
		a.subscribeWords(pipe)
		a.subscribeBirth(pipe)
		if err := pipe.Open(); err != nil {
			return errors.Join(err, a.close())
		}
	}
	g := new(errgroup.Group)
	g.Go(func() error { return a.publisher.run(publishing) })
	if a.receipts != nil {
		g.Go(func() error { return a.guarded(publishing, a.receipts.run) })
	}
	if a.region != nil {
		g.Go(func() error { return a.guarded(publishing, a.region.listener.run) })
	} else if a.deps.Chain != nil {
		a.withdraw()
	}
	if a.textfile != nil {
		g.Go(func() error { return a.guarded(publishing, a.writeMetrics) })
	}
	g.Go(func() error { return a.power.guard(publishing, a.judgeLostAfter()) })
	g.Go(func() error {
		defer stopPublishing()
		return a.loop(ctx)
	})
	return errors.Join(g.Wait(), a.close())
}

// loop is the one owner of the agent's state.
func (a *Agent) loop(ctx context.Context) (err error) {
	// Whatever ends the loop, a panic too: no energy flows for a trade.
	defer func() { err = errors.Join(err, a.power.open(), a.senses.supply.end()) }()
	if err := a.publishInfo(); err != nil {
		return err
	}
	if err := a.publishDiscovery(); err != nil {
		return err
	}
	ticker := time.NewTicker(a.cfg.Tick)
	defer ticker.Stop()
	for {
		if err := a.tick(ctx); err != nil {
			return err
		}
		if err := a.wait(ctx, ticker.C); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return a.rest()
		}
	}
}

// wait handles outcomes, warnings and people's words until the next tick. A
// tick that is due waits for one of them at most, however many there are.
func (a *Agent) wait(ctx context.Context, tick <-chan time.Time) error {
	for first := true; ; first = false {
		// The first turn goes to any: where a step takes longer than a tick, one is
		// always due, and a person would never be heard.
		if !first {
			select {
			case <-tick:
				return nil
			default:
			}
		}
		var warned, sealed <-chan mqtt.Message
		var spoken <-chan asked
		if a.stepped { // a judgement that begins with a warning would miss all sensors
			warned, sealed, spoken = a.warned, a.words.sealed, a.words.asked
		}
		select {
		case m := <-warned:
			a.now = a.clock.read()
			heardMs := a.now.sensingMs
			if m.Retained {
				heardMs = retainedMs
			}
			if err := a.warning(m.Payload, heardMs); err != nil {
				return err
			}
			if err := a.act(ctx); err != nil {
				return err
			}
		case m := <-sealed:
			a.now = a.clock.read()
			if err := a.command(m); err != nil {
				return err
			}
			if err := a.act(ctx); err != nil {
				return err
			}
			a.updateStatus()
		case ask := <-spoken:
			a.now = a.clock.read()
			reply, err := a.answer(ask)
			if err != nil {
				return err
			}
			if err := a.act(ctx); err != nil {
				return err
			}
			a.updateStatus()
			reply()
		case <-ctx.Done():
			return nil
		case <-tick:
			return nil
		case outcomes := <-a.settledBy():
			a.settle(outcomes)
			a.now = a.clock.read()
			if err := a.act(ctx); err != nil {
				return err
			}
		}
	}
}

// tick is one round of sensing and judging.
func (a *Agent) tick(ctx context.Context) error {
	a.now = a.clock.read()
	if a.now.steppedMs != 0 {
		a.counters.clockSteps++
		a.log.Warn("wall clock stepped", "step_ms", a.now.steppedMs, "clock_synced", a.now.synced)
	}
	a.sample = model.Sample{TimeMs: a.now.sensingMs}
	if s := a.senses.supply; s != nil {
		s.begin(a.now.sensingMs, a.judge.State() == model.StateOpen)
	}
	a.senses.Read(ctx, &a.sample)
	if ctx.Err() != nil {
		return nil // the stop cut the reading short; it says nothing of the world
	}
	a.beat(StageSense)
	a.feel()
	a.hear()
	if err := a.step(); err != nil {
		return err
	}
	if err := a.watchWaves(); err != nil {
		return err
	}
	a.power.judged()
	a.beat(StageJudge)
	if err := a.act(ctx); err != nil {
		return err
	}
	if err := a.periodic(); err != nil {
		return err
	}
	a.beat(StageGate)
	if a.deps.Supervisor != nil {
		a.publisher.ping()
	}
	return nil
}

func (a *Agent) beat(s Stage) {
	if a.deps.Supervisor != nil {
		a.deps.Supervisor.Beat(s)
	}
}

// warmUpMaxMs bounds how long the first judgement waits for sensors that count:
// an anemometer needs 3 s.
const warmUpMaxMs = 10_000

// step judges the sample and the official warnings. The first sample is kept
// back until every sensor has counted long enough, because every start would
// raise an alert otherwise. The gate is closed meanwhile.
func (a *Agent) step() error {
	if !a.stepped && a.senses.Warming() && a.now.sensingMs-a.beganMs < warmUpMaxMs {
		return nil
	}
	if err := a.setWall(); err != nil {
		return err
	}
	a.summary.Sample(a.sample.TimeMs)
	a.judge.Silent(a.senses.silent)
	a.tellClock()
	events := a.judge.Step(&a.sample)
	if a.deps.OnStep != nil {
		a.deps.OnStep(&a.sample, events)
	}
	if err := a.eventsOf(events); err != nil {
		return err
	}
	if !a.stepped {
		a.stepped = true
		if err := a.cancelOrphans(); err != nil {
			a.log.Error("cancel CAP alerts of before the restart", "err", err)
		}
	}
	return a.heed()
}

func (a *Agent) eventsOf(events []model.Event) error {
	for i := range events {
		if err := a.event(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

// event takes one change of the judgement.
func (a *Agent) event(e *model.Event) error {
	a.summary.Event(e)
	switch e.Type {
	case model.EventGate:
		a.judged = true
		if a.deps.OnGate != nil {
			a.deps.OnGate(e.State)
		}
		return a.gateEvent(e)
	case model.EventAlert:
		a.judged = true
		return a.alertEvent(e)
	case model.EventAck:
		a.judged = true
		return a.tellAck(e)
	case model.EventBlock, model.EventUnblock:
		a.judged = true // the alert and the gate tell it
	}
	return nil
}

// flush makes bulk records and states durable.
func (a *Agent) flush() {
	state, err := a.states()
	if err == nil {
		_, err = a.deps.Outbox.Commit(a.now.wallMs(), outbox.Commit{State: state})
	}
	if err == nil {
		err = a.deps.Outbox.Flush(a.now.wallMs())
	}
	if err != nil {
		a.diskRefused("outbox", err)
		return
	}
	a.publisher.wakeQueue()
}

// states returns meters, judge and counters for a commit.
func (a *Agent) states() (map[string][]byte, error) {
	if a.viewer.Seq >= a.saved.SeqReserved {
		a.saved.SeqReserved = a.viewer.Seq + seqBlock
	}
	agent, err := json.Marshal(&a.saved)
	if err != nil {
		return nil, fmt.Errorf("marshal agent state: %w", err)
	}
	meters, faces, err := a.marshalMeters()
	if err != nil {
		return nil, err
	}
	costs, err := a.spent()
	if err != nil {
		return nil, err
	}
	state := map[string][]byte{stateAgent: agent, stateMeters: meters, stateFaces: faces, stateJudge: a.judge.Snapshot(), stateCosts: costs}
	return state, a.deskState(state)
}
