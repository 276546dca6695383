package grid

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairwatt/agent"
	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/agent/trade"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/model/neighbours"
	"fairwatt/model/trace"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Prices and volumes of the market on one machine.
const (
	basePriceMicro   = 110_000    // a kWh
	maxPriceMicro    = 200_000    // the most that buyers pay
	sharePriceMicro  = 190_000    // where energy is shared
	openingBalance   = 50_000_000 // deposited for every buyer
	openingBond      = 20_000_000 // deposited as the bond of every participant, with robust credit
	requestVolumeWh  = 4_000
	circuitsPerHouse = 2
	gridMeterClassE4 = 100 // class 1
	siteRatedW       = 100_000
	houseTick        = 250 * time.Millisecond
)

// A participant is one agent of the grid.
type participant struct {
	id, site  string
	seller    bool
	key       ed25519.PrivateKey
	tls       tls.Certificate
	board     *board.Board
	sensors   []sensor.Sensor
	config    agent.Config
	clock     agent.Clock
	contactor trade.Contactor
	witnessed *site      // of a seller
	warned    []string   // kinds of hazards that the weather service warns of at its site
	ahead     *foresight // of a seller in a storm

	network *agent.Network // owned by this agent; nil for buyers
	outbox  *outbox.Outbox
	agent   *agent.Agent
	stop    context.CancelFunc // nil until it runs
	done    chan struct{}      // closed when it has ended
	err     error              // of its run, valid after done
}

// newParticipant makes keys and certificate.
func (g *grid) newParticipant(id, site string) (*participant, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of %s: %w", id, err)
	}
	cert, err := g.community.Authority.IssueTLS(id, mc.RoleAgent, nil, time.Now())
	if err != nil {
		return nil, err
	}
	return &participant{id: id, site: site, key: key, tls: cert, done: make(chan struct{})}, nil
}

// newGenerator makes the agent of generator i and its site in the world.
func (g *grid) newGenerator(i int, w weather) (*participant, *site, error) {
	kind := "solar"
	if i < g.sources {
		kind = "turbine"
	}
	id := fmt.Sprintf("%s-%d", kind, i+1)
	p, err := g.newParticipant(id, fmt.Sprintf("site-%d", i%g.sources+1))
	if err != nil {
		return nil, nil, err
	}
	p.seller = true
	layout, sensors := generatorBoard(w)
	if p.board, err = board.New(layout); err != nil {
		return nil, nil, fmt.Errorf("board of %s: %w", id, err)
	}
	rows, spanMs := w.samples()
	s := &site{id: id, board: p.board, meter: sellerPin, rows: rows, beginMs: rows[0].TimeMs, spanMs: spanMs, world: g.world}
	if p.contactor, err = newContactor(s); err != nil {
		return nil, nil, fmt.Errorf("contactor of %s: %w", id, err)
	}
	p.witnessed, p.warned = s, warnedOf[w.name]
	// The sensors' time of day is the trace's, not this machine's.
	sensingMs := func() int64 { return s.beginMs + g.world.sinceStart().Milliseconds() }
	p.clock = agent.Clock{SensingMs: sensingMs, Wall: time.Now, WorldMs: sensingMs, Speed: g.cfg.Speed}
	p.config = g.baseConfig(p, sensors)
	p.config.Tick = max(100*time.Millisecond, time.Duration(float64(w.intervalMs())/g.cfg.Speed)*time.Millisecond)
	if slot := g.community.Genesis.Params.SlotMs; slot > 0 { // a border is to be seen closely
		p.config.Tick = min(p.config.Tick, max(100*time.Millisecond, time.Duration(slot)*time.Millisecond/10))
	}
	p.config.Judge.RatedCurrentA = scenario.DefaultPlant(scenario.PV).RatedCurrentA()
	if kind == "turbine" {
		p.config.Judge.Generator = model.GeneratorWind
	}
	if w.tr.Meta.HasPosition {
		p.config.Location = &agent.LocationConfig{Latitude: w.tr.Meta.Latitude, Longitude: w.tr.Meta.Longitude}
		p.config.Judge.Position = &model.Position{Latitude: w.tr.Meta.Latitude, Longitude: w.tr.Meta.Longitude}
	}
	if g.cfg.Storm != "" {
		p.config.Neighbours = &agent.NeighboursConfig{Share: agent.ShareOn, StepDeg: 0.05, WithinKM: neighbours.ThunderKM}
		p.ahead = &foresight{past: w.past, fromH: w.from}
	}
	if err := g.makeSensors(p); err != nil {
		return nil, nil, err
	}
	for i, c := range sensors {
		if c.Kind != sensor.KindS0 {
			p.sensors[i] = steadySensor{p.sensors[i], s}
		}
	}
	trace.Configure(&p.config.Judge, w.tr.Meta, w.measured(p.sensors))
	p.config.Sell = &agent.SellConfig{
		Meter: sellerMeter, PriceMicroPerKWh: basePriceMicro + int64(i)*5_000, MinWh: 50, MaxWh: 20_000,
		DeliveryH: 1 + float64(i%3)/2, OfferTTL: time.Minute, Care: 6,
	}
	p.config.Contactor = &contactorConfig
	p.config.Network = "shipped"
	return p, s, nil
}

// newHouse makes the agent of a buyer: a board with a meter for each circuit.
func (g *grid) newHouse(i int) (*participant, *house, error) {
	id := fmt.Sprintf("home-%d", i+1)
	p, err := g.newParticipant(id, "village")
	if err != nil {
		return nil, nil, err
	}
	layout, sensors := houseBoard()
	if p.board, err = board.New(layout); err != nil {
		return nil, nil, fmt.Errorf("board of %s: %w", id, err)
	}
	h := &house{id: id, board: p.board, pins: make(map[string]string)}
	started := time.Now()
	p.clock = agent.Clock{
		SensingMs: func() int64 { return time.Since(started).Milliseconds() },
		Wall:      time.Now,
	}
	p.config = g.baseConfig(p, sensors)
	p.config.Network, p.config.Tick = "none", houseTick
	p.config.Buy = &agent.BuyConfig{
		RequestTTL: 6 * time.Second, RequestEvery: 200 * time.Millisecond, MeterClassE4: 2 * gridMeterClassE4,
	}
	for _, s := range sensors {
		p.config.Buy.Circuits = append(p.config.Buy.Circuits, agent.BuyCircuit{
			Name: s.Name, Meter: s.Name, VolumeWh: requestVolumeWh, MaxPriceMicroPerKWh: maxPriceMicro,
		})
		h.pins[agent.MeterID(id, s.Name)] = s.Describe().Address
	}
	return p, h, g.makeSensors(p)
}

func (g *grid) baseConfig(p *participant, sensors []sensor.Config) agent.Config {
	c := agent.DefaultConfig()
	c.Site, c.Device, c.Simulated = p.site, p.id, true
	c.Data = filepath.Join(g.dataDir, "agents", p.id)
	c.MQTT = []string{g.broker.URL()}
	c.Sensors = sensors
	c.Telemetry = 5 * time.Second
	c.Outbox.Resend = 2 * time.Second
	c.Judge.Prefix = p.site + "-" + p.id
	return c
}

// makeSensors opens the configured sensors on the participant's board.
func (g *grid) makeSensors(p *participant) error {
	for _, c := range p.config.Sensors {
		s, err := sensor.New(c, p.board)
		if err != nil {
			return fmt.Errorf("sensor of %s: %w", p.id, err)
		}
		p.sensors = append(p.sensors, s)
	}
	return nil
}

// composeAgent makes the agent from the same parts as `agent run`.
func (g *grid) composeAgent(p *participant) error {
	if err := os.MkdirAll(p.config.Data, 0o700); err != nil {
		return fmt.Errorf("make folder of %s: %w", p.id, err)
	}
	network, err := agent.LoadNetwork(p.config.Network)
	if err != nil {
		return fmt.Errorf("network of %s: %w", p.id, err)
	}
	p.network = network
	judge, err := agent.NewJudge(p.config.Judge, network)
	if err != nil {
		return fmt.Errorf("judgement of %s: %w", p.id, err)
	}
	if p.ahead != nil {
		if err := p.ahead.begin(p, judge); err != nil {
			return err
		}
	}
	if p.outbox, err = outbox.Open(filepath.Join(p.config.Data, "outbox.db"), p.config.Outbox); err != nil {
		return fmt.Errorf("outbox of %s: %w", p.id, err)
	}
	pipe, err := mqtt.New(mqtt.Config{
		URL: g.broker.URL(), ClientID: p.id, TLS: g.clientTLS(p.tls), Will: agent.WillOf(&p.config), Logger: g.log,
	})
	if err != nil {
		return err
	}
	genesis, err := g.community.Genesis.Marshal()
	if err != nil {
		return err
	}
	chain, err := agent.ParseChain(bytes.Clone(genesis))
	if err != nil {
		return err
	}
	p.agent, err = agent.New(p.config, agent.Deps{
		Key: p.key, Chain: chain, Sensors: p.sensors, Judge: judge, Outbox: p.outbox, Pipes: []mqtt.Pipe{pipe},
		Clock: p.clock, Contactor: p.contactor, OnGate: p.onGate, OnStep: p.ahead.onStep(), Version: g.software, ModelHash: network.Hash(), Logger: g.log.With("agent", p.id),
	})
	if err != nil {
		return fmt.Errorf("agent %s: %w", p.id, err)
	}
	return nil
}

// onGate notes a state of the gate of a seller.
func (p *participant) onGate(state model.State) {
	if p.witnessed != nil {
		p.witnessed.gates.add(state == model.StateOpen, time.Now())
	}
}

// register has the centre register a member by the word of its own key.
func (g *grid) register(ctx context.Context, r *fairwattpb.Registration, key ed25519.PrivateKey) (err error) {
	r.Simulated, r.MeterClassE4, r.PublicKey = true, gridMeterClassE4, string(seal.FormatKey(key.Public().(ed25519.PublicKey)))
	statement := wire.Enrolment(r.Roles[0] == fairwattpb.Role_ROLE_SELLER, r.Roles[0] == fairwattpb.Role_ROLE_BUYER, nil, nil)
	if r.Possession, err = wire.Possess(key, g.community.Genesis.ChainID(), r.Id, statement); err != nil {
		return err
	}
	return g.centre.Register(ctx, r)
}

// enrol registers a participant and, for a buyer, deposits its money.
func (g *grid) enrol(ctx context.Context, p *participant) error {
	role := fairwattpb.Role_ROLE_BUYER
	if p.seller {
		role = fairwattpb.Role_ROLE_SELLER
	}
	err := g.register(ctx, &fairwattpb.Registration{Id: p.id, Site: p.site, Roles: []fairwattpb.Role{role}}, p.key)
	if err != nil {
		return fmt.Errorf("register %s: %w", p.id, err)
	}
	if g.cfg.Settlement == ledger.SettleByMeters { // the paper's rule knows no registry
		if err := g.enrolMeters(ctx, p); err != nil {
			return err
		}
	}
	if g.cfg.credit() == ledger.CreditRobust {
		err = g.centre.Deposit(ctx, &fairwattpb.Deposit{To: p.id, AmountMicro: openingBond, Reference: "bond-" + p.id, Bond: true})
		if err != nil {
			return fmt.Errorf("bond of %s: %w", p.id, err)
		}
	}
	if p.seller {
		return nil
	}
	err = g.centre.Deposit(ctx, &fairwattpb.Deposit{To: p.id, AmountMicro: openingBalance, Reference: "opening-" + p.id})
	if err != nil {
		return fmt.Errorf("deposit for %s: %w", p.id, err)
	}
	return nil
}

// enrolMeters registers what a participant's traders read.
func (g *grid) enrolMeters(ctx context.Context, p *participant) error {
	var names []string
	way := fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
	if sell := p.config.Sell; sell != nil {
		names, way = []string{sell.Meter}, fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
	} else if buy := p.config.Buy; buy != nil { // the clients of a load trade nothing
		for _, c := range buy.Circuits {
			names = append(names, c.Meter)
		}
	}
	for _, name := range names {
		id := agent.MeterID(p.id, name)
		err := g.centre.RegisterMeter(ctx, &fairwattpb.MeterRegistration{
			Meter: id, Owner: p.id, Site: p.site, Direction: way, Serial: id, ClassE4: gridMeterClassE4,
			// An hour of weather passes in a second, and so does its energy.
			RatedW: max(1, min(int64(siteRatedW*g.cfg.Speed), ledger.MaxRatedW)),
		})
		if err != nil {
			return fmt.Errorf("meter of %s: %w", p.id, err)
		}
	}
	return nil
}
