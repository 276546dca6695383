package board

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
)

// A Config lists the parts of a board.
type Config struct {
	BME280      []BME280
	INA219      []INA219
	ADS1115     []ADS1115
	TMP102      []TMP102
	SHT4x       []SHT4x
	MCP9808     []MCP9808
	LM75        []LM75
	ADXL345     []ADXL345
	BH1750      []BH1750
	DS2482      []DS2482
	AS3935      []AS3935
	PZEM        []PZEM
	Anemometers []Anemometer
	Meters      []Meter
	RainGauges  []RainGauge
	Relays      []Relay
	Supply      Supply // none without a pin
	// NominalHz is the frequency of a line if the world has none; 50 if 0.
	NominalHz float64
	// Kernel is the machine under the drivers.
	Kernel Kernel
}

// A BME280 measures temperature_c, humidity_pct and pressure_hpa.
type BME280 struct{ Address uint16 }

// An INA219 measures dc_voltage_v through a divider and dc_current_a over a
// shunt.
type INA219 struct {
	Address      uint16
	ShuntOhm     float64
	VoltageScale float64 // volts of the world for a volt at the pin
}

// An ADS1115 has an AC signal on some of its inputs.
type ADS1115 struct {
	Address  uint16
	Inputs   []Input
	ReadyPin string // name of the ALERT/RDY output, "" if it is not wired
	// RateError is by what part its conversions are slower than the datasheet's
	// typical ones, within 0.1.
	RateError float64
}

// An Input is a signal on a pin of an ADS1115, AIN 0 to 3. Its negative end is
// ground, or the next pin if that carries no signal.
type Input struct {
	AIN     int
	Channel model.Channel // an RMS voltage or current
	Scale   float64       // volts or amperes of the world for a volt at the pin
}

// A TMP102 measures one temperature of the world.
type TMP102 struct {
	Address uint16
	Channel model.Channel // equipment_temperature_c or temperature_c
}

// An SHT4x measures temperature_c and humidity_pct.
type SHT4x struct {
	Address uint16
	Serial  uint32
}

// An MCP9808 measures one temperature of the world.
type MCP9808 struct {
	Address uint16
	Channel model.Channel // equipment_temperature_c or temperature_c
}

// An LM75 measures one temperature of the world.
type LM75 struct {
	Address uint16
	Channel model.Channel // equipment_temperature_c or temperature_c
	Bits    int           // the finest resolution that can be set; 9 if 0
}

// An ADXL345 measures vibration_mps2.
type ADXL345 struct{ Address uint16 }

// A BH1750 measures irradiance_wpm2 as daylight.
type BH1750 struct {
	Address    uint16
	LuxPerWPM2 float64
}

// An AS3935 hears the strokes of lightning_count and lightning_km.
type AS3935 struct {
	Address uint16
	IRQPin  string // name of the IRQ output, "" if it is not wired
	BestCap int    // TUN_CAP that tunes its antenna to 500 kHz
	// NoiseUV is the noise around the chip, in the microvolts of the floor's
	// table. DisturbersPerHour come at random, by Seed. The chip takes
	// FalseShare of those that pass its filters for lightning.
	NoiseUV           float64
	DisturbersPerHour float64
	FalseShare        float64
	Seed              uint64
}

// A PZEM measures voltage, current and power of a phase on a serial line.
type PZEM struct {
	Port    string
	Address byte   // 1 to 0xF7
	Phase   string // "a", "b" or "c", or "" for the channels without one
}

// A RainGauge gives a pulse for each MMPerTip of rain_mm.
type RainGauge struct {
	Pin      string
	MMPerTip float64
}

// An Anemometer gives one pulse for each MPSPerHz meters of wind.
type Anemometer struct {
	Pin      string
	MPSPerHz float64
	// Each pulse has so many edges more, within BounceFor: a reed contact.
	Bounces   int
	BounceFor time.Duration
}

// A Meter gives ImpPerKWh pulses a kWh.
type Meter struct {
	Pin       string
	ImpPerKWh int
	// FollowPower counts the world's power_w if it is positive. Do not call
	// AddEnergyWh then.
	FollowPower bool
	// Each pulse has so many edges more, within BounceFor.
	Bounces   int
	BounceFor time.Duration
}

// Standard returns the board of sensor.StandardConfigs.
func Standard() Config {
	return Config{
		BME280: []BME280{{0x76}},
		INA219: []INA219{{0x40, 0.0015, 25}},
		ADS1115: []ADS1115{{Address: 0x48, ReadyPin: "RDY", Inputs: []Input{
			{0, model.VoltageV, 325}, {2, model.CurrentA, 100},
		}}},
		Anemometers: []Anemometer{{Pin: "ANEMO", MPSPerHz: 2.4 / 3.6}},
		Meters:      []Meter{{Pin: "S0-1", ImpPerKWh: 1000}, {Pin: "S0-2", ImpPerKWh: 1000}},
	}
}

// A chip is one register-level simulation. All calls hold the board's lock.
type chip interface {
	info() Part
	// tx is one transfer at the board's time. ok is false if the chip does not
	// acknowledge.
	tx(now time.Duration, w, r []byte) (ok bool)
	feed(w *model.Sample)
	// powerUp sets the chip to what it is after a dip of its supply.
	powerUp(now time.Duration)
}

// A Part is a chip or a pin of a board, for listings and faults.
type Part = simbus.Part

// A Board is chips, pins, a world and a clock.
type Board struct {
	mu     sync.Mutex
	now    time.Duration // ahead of target while drivers have slept
	target time.Duration // sum of the Advances
	chips  map[uint16]chip
	faults map[string]*faults // by Part.Name
	pulses map[string]*pulsePin
	ready  map[string]*ads1115
	irqs   map[string]*as3935
	lines  map[string]*line
	relays map[string]*relay // by the pin of their coil
	// feedbacks are the same relays by the pin of their feedback.
	feedbacks map[string]*relay
	oneWire   map[string]*ds18b20 // by name
	parts     []Part
	// runners are the chips that change between transfers.
	runners []runner

	// opened are the edges that clients behind a socket read, by pin.
	opened map[any]map[string]*edgeQueue

	kernel    Kernel
	transfers uint64        // those that could meet a loose contact
	nackLeft  int           // of the present burst
	bus       faults        // of the I2C bus itself
	supply    *supplySwitch // nil: always on
}

// A runner lives through [from, to). All calls hold the board's lock.
type runner interface{ run(from, to time.Duration) }

// New builds the board. Errors: two parts at one place, and impossible values.
func New(cfg Config) (*Board, error) {
	b := &Board{
		chips: map[uint16]chip{}, faults: map[string]*faults{},
		pulses: map[string]*pulsePin{}, ready: map[string]*ads1115{}, irqs: map[string]*as3935{}, lines: map[string]*line{},
		relays: map[string]*relay{}, feedbacks: map[string]*relay{}, oneWire: map[string]*ds18b20{}, opened: map[any]map[string]*edgeQueue{},
	}
	b.faults[BusPart] = &b.bus
	if err := b.SetKernel(cfg.Kernel); err != nil {
		return nil, err
	}
	if cfg.NominalHz == 0 {
		cfg.NominalHz = 50
	}
	if !(cfg.NominalHz >= 1 && cfg.NominalHz <= 400) {
		return nil, fmt.Errorf("nominal frequency: %g Hz is not within 1 and 400", cfg.NominalHz)
	}
	if err := b.addChips(cfg); err != nil {
		return nil, err
	}
	for _, c := range cfg.PZEM {
		if err := b.addPZEM(c, cfg.NominalHz); err != nil {
			return nil, err
		}
	}
	if err := b.addPins(cfg); err != nil {
		return nil, err
	}
	for _, c := range cfg.Relays {
		if err := b.addRelay(c); err != nil {
			return nil, err
		}
	}
	if cfg.Supply.Pin != "" {
		if err := b.addSupply(cfg.Supply); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Board) addChips(cfg Config) error {
	for _, c := range cfg.BME280 {
		f := &faults{}
		if err := b.addChip(&bme280{addr: c.Address, f: f}, f); err != nil {
			return err
		}
	}
	for _, c := range cfg.INA219 {
		if !(c.ShuntOhm > 0 && c.VoltageScale > 0) {
			return fmt.Errorf("ina219@0x%02x: shunt and voltage scale must be positive", c.Address)
		}
		f := &faults{}
		if err := b.addChip(newINA219(c, f), f); err != nil {
			return err
		}
	}
	for _, c := range cfg.TMP102 {
		if c.Channel != model.EquipmentTemperatureC && c.Channel != model.TemperatureC {
			return fmt.Errorf("tmp102@0x%02x: %s is no temperature", c.Address, c.Channel)
		}
		f := &faults{}
		if err := b.addChip(newTMP102(c, f), f); err != nil {
			return err
		}
	}
	for _, c := range simpleChips(cfg) {
		if err := b.addChip(c.chip, c.f); err != nil {
			return err
		}
	}
	for _, c := range cfg.DS2482 {
		if err := b.addDS2482(c); err != nil {
			return err
		}
	}
	for _, c := range cfg.AS3935 {
		if err := b.addAS3935(c); err != nil {
			return err
		}
	}
	for _, c := range cfg.ADS1115 {
		if err := b.addADS1115(c, cfg.NominalHz); err != nil {
			return err
		}
	}
	return nil
}

// A madeChip is a chip with its faults.
type madeChip struct {
	chip chip
	f    *faults
}

// simpleChips makes those that need no check and no pin.
func simpleChips(cfg Config) (out []madeChip) {
	add := func(c chip, f *faults) { out = append(out, madeChip{c, f}) }
	for _, c := range cfg.SHT4x {
		f := &faults{}
		add(&sht4x{cfg: c, f: f}, f)
	}
	for _, c := range cfg.MCP9808 {
		f := &faults{}
		add(&mcp9808{cfg: c, f: f, up: longAgo}, f)
	}
	for _, c := range cfg.LM75 {
		f := &faults{}
		add(newLM75(c, f), f)
	}
	for _, c := range cfg.ADXL345 {
		f := &faults{}
		add(&adxl345{cfg: c, f: f}, f)
	}
	for _, c := range cfg.BH1750 {
		f := &faults{}
		add(&bh1750{cfg: c, f: f}, f)
	}
	return out
}

func (b *Board) addAS3935(c AS3935) error {
	f := &faults{}
	a, err := newAS3935(c, f)
	if err != nil {
		return err
	}
	if c.IRQPin != "" {
		if b.irqs[c.IRQPin] != nil {
			return fmt.Errorf("pin %s: two parts", c.IRQPin)
		}
		b.irqs[c.IRQPin] = a
	}
	return b.addChip(a, f)
}

func (b *Board) addADS1115(c ADS1115, nominalHz float64) error {
	f := &faults{}
	a, err := newADS1115(c, nominalHz, f)
	if err != nil {
		return err
	}
	if c.ReadyPin != "" {
		if b.ready[c.ReadyPin] != nil || b.irqs[c.ReadyPin] != nil {
			return fmt.Errorf("pin %s: two parts", c.ReadyPin)
		}
		b.ready[c.ReadyPin] = a
		a.line = &edgeQueue{b: b, pin: c.ReadyPin, chip: a}
	}
	return b.addChip(a, f)
}

func (b *Board) addPZEM(c PZEM, nominalHz float64) error {
	m, err := newPZEM(c, nominalHz)
	if err != nil {
		return err
	}
	part := m.info()
	if b.faults[part.Name()] != nil {
		return fmt.Errorf("%s: two meters at one address", part.Name())
	}
	if b.lines[c.Port] == nil {
		b.lines[c.Port] = &line{}
	}
	l := b.lines[c.Port]
	l.meters = append(l.meters, m)
	b.faults[part.Name()] = m.f
	b.parts = append(b.parts, part)
	b.runners = append(b.runners, m)
	return nil
}

func (b *Board) addPins(cfg Config) error {
	for _, c := range cfg.Anemometers {
		if !(c.MPSPerHz > 0) {
			return fmt.Errorf("anemometer on %s: wind per hertz must be positive", c.Pin)
		}
		channels := []model.Channel{model.WindSpeedMPS, model.WindGustMPS}
		p := &pulsePin{mpsPerHz: c.MPSPerHz, bounces: c.Bounces, bounceFor: c.BounceFor}
		if err := b.addPin(Part{Chip: "anemometer", Pin: c.Pin, Channels: channels}, p); err != nil {
			return err
		}
	}
	for _, c := range cfg.Meters {
		if c.ImpPerKWh <= 0 {
			return fmt.Errorf("meter on %s: impulses per kWh must be positive", c.Pin)
		}
		p := &pulsePin{impPerWh: float64(c.ImpPerKWh) / 1000, follow: c.FollowPower, bounces: c.Bounces, bounceFor: c.BounceFor}
		if err := b.addPin(Part{Chip: "s0", Pin: c.Pin}, p); err != nil {
			return err
		}
	}
	for _, c := range cfg.RainGauges {
		if !(c.MMPerTip > 0) {
			return fmt.Errorf("rain gauge on %s: rain per tip must be positive", c.Pin)
		}
		p := &pulsePin{mmPerTip: c.MMPerTip}
		if err := b.addPin(Part{Chip: "rain", Pin: c.Pin, Channels: []model.Channel{model.RainMM}}, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *Board) addChip(c chip, f *faults) error {
	p := c.info()
	reserved := p.Address < 0x08 || p.Address > 0x77
	if p.Chip == "as3935" { // its addresses are reserved ones
		reserved = p.Address < 0x01 || p.Address > 0x03
	}
	if reserved {
		return fmt.Errorf("%s: no 7-bit device address", p.Name())
	}
	if _, taken := b.chips[p.Address]; taken {
		return fmt.Errorf("%s: two chips at one address", p.Name())
	}
	b.chips[p.Address], b.faults[p.Name()] = c, f
	b.parts = append(b.parts, p)
	if r, ok := c.(runner); ok {
		b.runners = append(b.runners, r)
	}
	return nil
}

func (b *Board) hasPin(name string) bool {
	return b.pulses[name] != nil || b.ready[name] != nil || b.irqs[name] != nil || b.feedbacks[name] != nil
}

func (b *Board) addPin(part Part, p *pulsePin) error {
	if part.Pin == "" {
		return fmt.Errorf("%s: no pin named", part.Chip)
	}
	if b.hasPin(part.Pin) || b.relays[part.Pin] != nil {
		return fmt.Errorf("pin %s: two parts", part.Pin)
	}
	p.name, p.f, p.bins = part.Pin, &faults{}, make([]uint32, maxBins)
	b.faults[part.Name()] = p.f
	p.edges = make(chan struct{}, maxEdges)
	b.pulses[part.Pin] = p
	b.parts = append(b.parts, part)
	return nil
}

// Describe lists the parts, chips first.
func (b *Board) Describe() []Part { return slices.Clone(b.parts) }

// Feed sets the world until the next Feed. It does not keep the sample.
func (b *Board) Feed(s *model.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.chips {
		c.feed(s)
	}
	for _, p := range b.pulses {
		p.feed(s)
	}
	for _, l := range b.lines {
		for _, m := range l.meters {
			m.feed(s)
		}
	}
}

// Advance lets d pass, less the time that drivers slept since the last Advance. A
// negative d counts as 0.
func (b *Board) Advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target += max(d, 0)
	if b.target > b.now {
		b.run(b.target - b.now)
	}
}

// run moves the clock. Caller holds mu.
func (b *Board) run(d time.Duration) {
	for _, p := range b.pulses {
		p.run(b.now, b.now+d)
	}
	for _, c := range b.runners {
		c.run(b.now, b.now+d)
	}
	if b.kernel.brownOuts(b.now, b.now+d) {
		b.brownOut()
	}
	b.now += d
	for _, p := range b.pulses {
		for _, q := range p.lines {
			q.settle(b.now)
		}
	}
}

// Now is the board's clock: the time since it was made.
func (b *Board) Now() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// Sleep moves the board's clock by d and returns at once.
func (b *Board) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run(max(d, 0))
	b.preempt()
	return nil
}

// I2C returns the board's one bus; its name is "", "sim" or "sim://...".
func (b *Board) I2C(name string) (i2c.Bus, error) {
	if name != "" && name != "sim" && !strings.HasPrefix(name, "sim://") {
		return nil, fmt.Errorf("board has no bus %q", name)
	}
	return bus{b}, nil
}

// Pin returns a pulse pin, the ready output of an ADS1115, the IRQ of an AS3935
// or the feedback of a relay.
func (b *Board) Pin(name string) (gpio.PinIn, error) {
	if !b.hasPin(name) {
		return nil, fmt.Errorf("%w: %s", simbus.ErrNoSuchPin, name)
	}
	return simbus.NewPin(name, b.waitEdge, b.level), nil
}

type bus struct{ b *Board }

func (bus) String() string { return "sim" }

// SetSpeed implements i2c.Bus; the simulation has no speed.
func (bus) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus.
func (u bus) Tx(addr uint16, w, r []byte) error { return u.b.tx(addr, w, r) }

func (b *Board) tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.preempt()
	if b.unpowered() {
		return &simbus.NotAcknowledgedError{Address: addr}
	}
	if b.bus.locked {
		b.run(adapterTimeout)
		return errBusy
	}
	b.run(b.kernel.transferTime(len(w), len(r)))
	c, ok := b.chips[addr]
	if !ok || b.loose() {
		return &simbus.NotAcknowledgedError{Address: addr}
	}
	f := b.faults[c.info().Name()]
	b.run(f.delay())
	if a, ok := c.(*ads1115); ok && a.line != nil {
		a.line.collect(b.now)
	}
	if f.noAnswer || f.hung || !c.tx(b.now, w, r) {
		return &simbus.NotAcknowledgedError{Address: addr}
	}
	return nil
}
