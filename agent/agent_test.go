package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/agent/receipt/receipttest"
	"fairwatt/agent/sensor"
	"fairwatt/agent/trade"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A plant is a simulated board with the world it measures, moved on with the
// clock of the test.
type plant struct {
	board *board.Board
	mu    sync.Mutex
	world model.Sample
	more  []sensor.Config // beside the standard ones, on buses
	buses sensor.Buses
}

func newPlant(t testing.TB) *plant { return newPlantOn(t, board.Standard()) }

func newPlantOn(t testing.TB, layout board.Config) *plant {
	t.Helper()
	b, err := board.New(layout)
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{board: b}
	for c, v := range map[model.Channel]float64{
		model.VoltageV: 230, model.CurrentA: 10, model.FrequencyHz: 50, model.TemperatureC: 20, model.HumidityPct: 50,
		model.PressureHPa: 1013, model.WindSpeedMPS: 4, model.WindGustMPS: 5, model.DCVoltageV: 300, model.DCCurrentA: 8,
	} {
		p.world.Set(c, v)
	}
	p.board.Feed(&p.world)
	return p
}

func (p *plant) set(c model.Channel, v float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.world.Set(c, v)
	p.board.Feed(&p.world)
}

// run moves the board's clock with the test's until ctx ends.
func (p *plant) run(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.board.Advance(100 * time.Millisecond)
		}
	}
}

func (p *plant) sensors(t testing.TB) []sensor.Sensor {
	t.Helper()
	var out []sensor.Sensor
	for _, c := range sensor.StandardConfigs() {
		if o, ok := c.Opts.(sensor.ADS1115Opts); ok {
			o.ReadyPin = "RDY" // conversions timed by the chip, not by the test's scheduling
			c.Opts = o
		}
		s, err := sensor.New(c, p.board)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	for _, c := range p.more {
		s, err := sensor.New(c, p.buses)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// meterName is the standard board's first S0 meter.
func meterName(t testing.TB) string {
	t.Helper()
	for _, c := range sensor.StandardConfigs() {
		if c.Kind == sensor.KindS0 {
			return c.Describe().Name
		}
	}
	t.Fatal("the standard board has no meter")
	return ""
}

func testConfig(t testing.TB, device string) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Site, cfg.Device, cfg.Simulated = "farm-1", device, true
	cfg.Judge.SetNominal(230, 50)
	cfg.Judge.Prefix = "farm-1-" + device
	cfg.Judge.Required = []model.Channel{model.VoltageV, model.WindGustMPS, model.TemperatureC}
	cfg.Sensors = sensor.StandardConfigs()
	cfg.Network = "none"
	cfg.Tick = time.Second
	return cfg
}

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[31] = n
	return ed25519.NewKeyFromSeed(seed)
}

// liveAgent composes an agent on the plant over the pipes.
func liveAgent(t testing.TB, cfg Config, p *plant, db string, chain *Chain, contactor trade.Contactor, pipes ...mqtt.Pipe) *Agent {
	t.Helper()
	network, err := LoadNetwork(cfg.Network)
	if err != nil {
		t.Fatal(err)
	}
	judge, err := NewJudge(cfg.Judge, network)
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := outbox.Open(db, cfg.Outbox)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, Deps{
		Key: testKey(1), Chain: chain, Sensors: p.sensors(t), Judge: judge, Outbox: outbox, Pipes: pipes,
		Clock: LiveClock(nil), Contactor: contactor, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A town is four data aggregators that take every record as it comes and
// answer each with a signed receipt.
type town struct {
	t      testing.TB
	das    []receipttest.DA
	chain  *Chain
	took   func() // called after each message, if set
	mute   bool   // takes records, answers nothing
	pipe   mqtt.Pipe
	mu     sync.Mutex
	seen   map[[32]byte]bool
	height uint64
	log    []*fairwattpb.Record // in order of arrival, each once
	batch  int                  // messages taken
}

func newTown(t testing.TB, pipe mqtt.Pipe) *town {
	das, keys := receipttest.DAs(4)
	return &town{t: t, das: das, pipe: pipe, seen: map[[32]byte]bool{}, chain: &Chain{ID: receipttest.Chain, DAs: keys, Params: ChainParams{
		LossE4: 300, RegisterStepWh: 1, StartByMs: 900_000, DeliverByMs: 21_600_000, ResumeByMs: 3_600_000, ConfirmByMs: 900_000, AttestationMaxMs: 90_000,
	}}}
}

func (w *town) open() {
	w.pipe.Subscribe("fairwatt/v1/+/+/up/record", func(m mqtt.Message) {
		if w.take(m); w.took != nil {
			w.took()
		}
	})
	if err := w.pipe.Open(); err != nil {
		w.t.Error(err)
	}
}

func (w *town) take(m mqtt.Message) {
	var batch fairwattpb.RecordBatch
	if err := proto.Unmarshal(m.Payload, &batch); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batch++
	for _, sealed := range batch.GetSealed() {
		id := seal.ID(sealed)
		_, payload, err := seal.Open(sealed, seal.DomainRecord, w.chain.ID, func(string) (ed25519.PublicKey, bool) {
			return testKey(1).Public().(ed25519.PublicKey), true
		})
		var record fairwattpb.Record
		if err == nil {
			err = proto.Unmarshal(payload, &record)
		}
		if err != nil {
			w.t.Errorf("record: %v", err)
			continue
		}
		if w.seen[id] {
			continue
		}
		w.seen[id] = true
		w.height++
		w.log = append(w.log, &record)
		if !w.mute {
			w.answer(m.Topic, &fairwattpb.ReceiptEntry{
				RecordId: id[:], Sender: record.GetSender(), Counter: record.GetCounter(), Outcome: &fairwattpb.Outcome{Applied: true},
			})
		}
	}
}

// answer publishes one entry by two of the four aggregators: f+1.
func (w *town) answer(upTopic string, e *fairwattpb.ReceiptEntry) {
	down := strings.TrimSuffix(upTopic, "up/record") + "down/receipt/"
	for _, da := range w.das[:2] {
		receipt, topic := da.Receipt(w.t, w.height, e), down+da.ID
		go func() {
			if err := w.pipe.Publish(context.Background(), topic, 1, false, receipt); err != nil {
				w.t.Errorf("receipt: %v", err)
			}
		}()
	}
}

// tell sends the seller a record of another party.
func (w *town) tell(device string, record *fairwattpb.Record, trade *fairwattpb.TradeNotice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.height++
	e := &fairwattpb.ReceiptEntry{Outcome: &fairwattpb.Outcome{Applied: true}, Trade: trade}
	if record != nil {
		payload, err := proto.Marshal(record)
		if err != nil {
			w.t.Fatal(err)
		}
		sealed, err := seal.Seal(testKey(2), record.GetSender(), seal.DomainRecord, w.chain.ID, payload)
		if err != nil {
			w.t.Fatal(err)
		}
		id := seal.ID(sealed)
		e.RecordId, e.Record, e.Sender = id[:], sealed, record.GetSender()
	}
	w.answer("fairwatt/v1/farm-1/"+device+"/up/record", e)
}

// kinds names the records taken so far.
func (w *town) kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.log {
		name := fmt.Sprintf("%T", r.GetBody())[len("*fairwattpb.Record_"):]
		if g := r.GetGateChange(); g != nil {
			name = strings.TrimPrefix(g.GetState().String(), "GATE_STATE_")
		}
		out = append(out, name)
	}
	return out
}

// spyContactor routes the plant's power through the meter while closed.
type spyContactor struct {
	plant  *plant
	pin    string
	mu     sync.Mutex
	closed string
	log    []string
}

func (c *spyContactor) Close(d trade.Delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = d.TradeID
	c.log = append(c.log, "close")
	return nil
}

func (c *spyContactor) Open(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != "" {
		c.log = append(c.log, "open")
	}
	c.closed = ""
	return nil
}

// flow counts energy at the meter while the contactor is closed.
func (c *spyContactor) flow(t testing.TB, wh float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == "" {
		return
	}
	if err := c.plant.board.AddEnergyWh(c.pin, wh); err != nil {
		t.Error(err)
	}
}

// From chips to receipts: the gate opens after its timers, a gust closes it,
// every change is a record in order, views and alerts are there, and a clean
// stop says offline.
func TestAgentGatesReportsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		p := newPlant(t)
		w := newTown(t, broker.Pipe(mqtt.Will{}))
		w.open()
		cfg := testConfig(t, "pv-1")
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), w.chain, nil, broker.Pipe(WillOf(&cfg)))
		var mu sync.Mutex
		var alerts []string
		watcher := broker.Pipe(mqtt.Will{})
		watcher.Subscribe("fairwatt/v1/farm-1/pv-1/alert", func(m mqtt.Message) {
			var v wire.Alert[wire.Cause]
			if err := json.Unmarshal(m.Payload, &v); err != nil {
				t.Error(err)
			}
			mu.Lock()
			alerts = append(alerts, v.Action+" "+v.Kind+" "+v.Level)
			mu.Unlock()
		})
		if err := watcher.Open(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()

		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := a.Status(); s.Gate != model.StateOpen || !s.Online {
			t.Fatalf("after 10 minutes of good weather: gate %v, causes %+v, sensors %+v", s.Gate, s.Causes, s.Sensors)
		}
		p.set(model.WindGustMPS, 40)
		p.set(model.WindSpeedMPS, 30)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := a.Status(); s.Gate != model.StateBlocked || s.Outbox.Records != 0 {
			t.Fatalf("in the storm: %+v", s)
		}
		kinds := w.kinds()
		// While the chips warm up the gate may fall back; it opens once and the
		// storm closes it.
		if want := []string{"CLEARING", "OPEN", "BLOCKED"}; len(kinds) < 4 || kinds[0] != "BLOCKED" ||
			slices.Index(kinds, "OPEN") != len(kinds)-2 || !slices.Equal(kinds[len(kinds)-3:], want) {
			t.Errorf("records %v, want them to begin with BLOCKED and end with %v", kinds, want)
		}
		for i, r := range w.log {
			if r.GetCounter() != uint64(i+1) || r.GetGateChange().GetGateSeq() != uint64(i+1) || !r.GetSimulated() {
				t.Errorf("record %d: counter %d, gate_seq %d, simulated %v", i, r.GetCounter(), r.GetGateChange().GetGateSeq(), r.GetSimulated())
			}
		}
		if last := w.log[len(w.log)-1].GetGateChange(); !slices.ContainsFunc(last.GetCauses(), func(c *fairwattpb.Cause) bool { return c.GetRule() == "W03" }) {
			t.Errorf("causes of the block: %v", last.GetCauses())
		}
		gate := retainedGate(t, broker)
		if gate.State != "BLOCKED" || gate.ValidUntil.Sub(gate.TS) != 90*time.Second || time.Since(gate.TS) > 31*time.Second || len(gate.Causes) == 0 {
			t.Errorf("gate view %+v", gate)
		}
		mu.Lock()
		if !slices.Contains(alerts, "raise wind block") {
			t.Errorf("alerts %v", alerts)
		}
		mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := string(broker.Retained("fairwatt/v1/farm-1/pv-1/status")); got != "offline" {
			t.Errorf("status after a clean stop: %q", got)
		}
		watcher.Close()
		w.pipe.Close()
	})
}

type gateMessage struct {
	State      string    `json:"state"`
	TS         time.Time `json:"ts"`
	ValidUntil time.Time `json:"valid_until"`
	Causes     []struct {
		Rule string `json:"rule"`
	} `json:"causes"`
}

func retainedGate(t testing.TB, b *mqtttest.Broker) gateMessage {
	t.Helper()
	var v gateMessage
	if err := json.Unmarshal(b.Retained("fairwatt/v1/farm-1/pv-1/gate"), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A sale with a hazard in the middle, through the whole agent: the contactor
// opens with the gate, the hold states the reading, the bill is what the
// meter counted.
func TestAgentSellsAndHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		p := newPlant(t)
		w := newTown(t, broker.Pipe(mqtt.Will{}))
		w.open()
		cfg := testConfig(t, "pv-1")
		meter := meterName(t)
		cfg.Sell = &SellConfig{Meter: meter, PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
		contactor := &spyContactor{plant: p, pin: "S0-1"}
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), w.chain, contactor, broker.Pipe(WillOf(&cfg)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		offer := w.log[len(w.log)-1].GetOffer()
		if offer.GetVolumeWh() != 1000 {
			t.Fatalf("records %v, last %v", w.kinds(), w.log[len(w.log)-1])
		}
		w.tell("pv-1", payRecord("token-1", offer.GetOfferId(), 800), &fairwattpb.TradeNotice{TradeId: "token-1", Status: "paid"})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if contactor.closed != "token-1" {
			t.Fatalf("contactor closed for %q, records %v", contactor.closed, w.kinds())
		}
		contactor.flow(t, 300)
		p.set(model.VoltageV, 150) // a sag to 0.65 of nominal
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if contactor.closed != "" {
			t.Fatal("the contactor is closed while the gate is not open")
		}
		p.set(model.VoltageV, 230)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if contactor.closed != "token-1" {
			t.Fatalf("not resumed: gate %v, records %v", a.Status().Gate, w.kinds())
		}
		contactor.flow(t, 499)
		time.Sleep(2 * time.Second)
		contactor.flow(t, 500)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		kinds := w.kinds()
		want := []string{"Start", "BLOCKED", "Hold", "CLEARING", "OPEN", "Resume", "Bill"}
		at := make(map[string]int) // of each kind, after the one before it
		from := 0
		for _, kind := range want {
			i := slices.Index(kinds[from:], kind)
			if i < 0 {
				t.Fatalf("records %v: no %s after %v", kinds, kind, want)
			}
			at[kind] = from + i
			from += i + 1
		}
		start, hold, bill := w.log[at["Start"]].GetStart(), w.log[at["Hold"]].GetHold(), w.log[at["Bill"]].GetBill()
		if hold.GetReading().GetRegisterWh()-start.GetReading().GetRegisterWh() != 300 || len(hold.GetCauses()) == 0 {
			t.Errorf("hold %v", hold)
		}
		if bill.GetEnergyWh() != 800 || bill.GetAmountMicro() != 160_000 {
			t.Errorf("bill %v", bill)
		}
		var attestation fairwattpb.GateAttestation
		_, payload, err := seal.Open(start.GetAttestation(), seal.DomainAttestation, receipttest.Chain, func(string) (ed25519.PublicKey, bool) {
			return testKey(1).Public().(ed25519.PublicKey), true
		})
		if err == nil {
			err = proto.Unmarshal(payload, &attestation)
		}
		if err != nil || attestation.GetState() != fairwattpb.GateState_GATE_STATE_OPEN || attestation.GetValidUntilMs()-attestation.GetIssuedMs() != 90_000 {
			t.Errorf("attestation %v, %v", &attestation, err)
		}
		w.tell("pv-1", nil, &fairwattpb.TradeNotice{TradeId: "token-1", Status: "settled"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := a.Status(); s.Selling != 0 {
			t.Errorf("trades left: %+v", s)
		}
		if want := []string{"close", "open", "close", "open"}; !slices.Equal(contactor.log, want) {
			t.Errorf("contactor %v", contactor.log)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.pipe.Close()
	})
}

// A chip that is gone, a broker that is away, a disk that refuses.
func TestAgentGoesOnWithoutSensorAndBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		broker.SetDown(true)
		p := newPlant(t)
		w := newTown(t, broker.Pipe(mqtt.Will{}))
		w.open()
		if err := p.board.Inject(board.Fault{Part: "bme280@0x76", Kind: board.NoAnswer}); err != nil {
			t.Fatal(err)
		}
		cfg := testConfig(t, "pv-1")
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), w.chain, nil, broker.Pipe(WillOf(&cfg)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		s := a.Status()
		bad := slices.IndexFunc(s.Sensors, func(s wire.Sensor) bool { return !s.OK })
		if s.Gate != model.StateBlocked || bad < 0 || !strings.Contains(s.Sensors[bad].Error, "no chip answers") {
			t.Fatalf("gate %v, sensors %+v", s.Gate, s.Sensors)
		}
		if !slices.ContainsFunc(s.Causes, func(c model.Cause) bool { return c.Kind == model.KindSensor }) {
			t.Errorf("causes %+v", s.Causes)
		}
		if s.Outbox.Records == 0 || len(w.kinds()) != 0 {
			t.Fatalf("without a broker: %+v, town has %v", s.Outbox, w.kinds())
		}
		broker.SetDown(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := a.Status(); s.Outbox.Records != 0 || len(w.kinds()) == 0 || w.log[0].GetCounter() != 1 {
			t.Errorf("after the broker came: %+v, town has %v", s.Outbox, w.kinds())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.pipe.Close()
	})
}

// payRecord is a payment of home-1 for an offer of pv-1.
func payRecord(tradeID, offer string, volumeWh int64) *fairwattpb.Record {
	return &fairwattpb.Record{Sender: "home-1", Body: &fairwattpb.Record_Pay{Pay: &fairwattpb.Pay{
		TokenId: tradeID, OfferId: offer, Seller: "pv-1", VolumeWh: volumeWh, PriceMicroPerKwh: 200_000,
		AmountMicro: trade.AmountMicro(volumeWh, 200_000), BuyerReading: &fairwattpb.MeterReading{Meter: "home-1-kitchen"},
	}}}
}
