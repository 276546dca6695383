package board

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"fairwatt/model"
)

// Times and limits of the AS3935 (ams datasheet 1-03).
const (
	asIRQSettle  = 2 * time.Millisecond // before it the INT field is not valid
	asDeafFor    = 1500 * time.Millisecond
	asStrokeGap  = time.Second // shortest gap between two strokes that are heard as two
	asMemory     = 15 * time.Minute
	asNoiseCheck = 100 * time.Millisecond
	asLCOHz      = 500_000.0
	asLCOStep    = 0.006 // of the antenna's frequency for a step of TUN_CAP
	asLCOBand    = 0.035
	asWalked     = time.Hour // of a longer span only this last part is simulated
	asOutOfReach = 0x3F
)

// The noise floors in microvolts, by NF_LEV.
var (
	asFloorIndoor  = [8]float64{28, 45, 62, 78, 95, 112, 130, 146}
	asFloorOutdoor = [8]float64{390, 630, 860, 1100, 1140, 1570, 1800, 2000}
	asSteps        = [...]byte{40, 37, 34, 31, 27, 24, 20, 17, 14, 12, 10, 8, 6, 5}
)

// as3935 is the chip with its surroundings: strokes of the world's
// lightning_count at lightning_km, disturbers at random, and noise. The share of
// strokes and disturbers that passes its filters is our model. It falls with WDTH
// and SREJ like the datasheet's figures; we know no measurement of a real chip.
type as3935 struct {
	cfg AS3935
	f   *faults
	rng *rand.Rand

	present    bool
	strokes    amount
	part       float64 // of the next stroke
	km         float64 // NaN: unknown
	nextBother time.Duration

	reg       [0x34]byte
	pointer   byte
	calStart  time.Duration
	calAsked  bool
	srcoShown bool // DISP_SRCO was set and taken back since
	deafUntil time.Duration
	lastHeard time.Duration
	memory    []asStroke // of the last 15 minutes
	pending   byte
	raised    time.Duration // when IRQ rose; valid if irq
	irq       bool
	quiet     time.Duration // noise is looked for from here on

	cycles float64       // of the antenna that IRQ has shown, until shown
	shown  time.Duration // divided by LCO_FDIV
}

type asStroke struct {
	at time.Duration
	km float64
}

func newAS3935(cfg AS3935, f *faults) (*as3935, error) {
	if cfg.BestCap < 0 || cfg.BestCap > 15 || !(cfg.NoiseUV >= 0) || !(cfg.DisturbersPerHour >= 0 && cfg.DisturbersPerHour <= 1e5) ||
		!(cfg.FalseShare >= 0 && cfg.FalseShare <= 1) {
		return nil, fmt.Errorf("as3935@0x%02x: tuning, noise, disturbers or false share out of bounds", cfg.Address)
	}
	c := &as3935{cfg: cfg, f: f, rng: rand.New(rand.NewPCG(cfg.Seed, 0x3935))}
	c.nextBother = -1
	c.reset()
	return c, nil
}

func (c *as3935) powerUp(now time.Duration) {
	c.count(now)
	c.reset()
	c.pointer, c.quiet = 0, now+asNoiseCheck
}

func (c *as3935) info() Part {
	return Part{Chip: "as3935", Address: c.cfg.Address, Channels: []model.Channel{model.LightningKM, model.LightningCount}}
}

// reset sets the chip back, as PRESET_DEFAULT and a lost supply do.
func (c *as3935) reset() {
	c.reg = [0x34]byte{0x24, 0x22, 0xC2, 0, 0, 0, 0, asOutOfReach}
	c.calAsked, c.srcoShown = false, false
	c.pending, c.irq, c.memory = 0, false, nil
}

// feed sets the strokes. A world without the two channels has none. That is no
// fault of the detector: it hears only what there is.
func (c *as3935) feed(s *model.Sample) {
	c.present = true
	km, ok := s.Get(model.LightningKM)
	c.km = math.NaN()
	if ok {
		c.km = km
	}
	if !c.strokes.feed(s, model.LightningCount) && ok {
		one := *s
		one.Set(model.LightningCount, 1)
		one.AgeMs[model.LightningCount] = s.AgeMs[model.LightningKM]
		c.strokes.feed(&one, model.LightningCount)
	}
}

// run lets strokes and disturbers come in [from, to).
func (c *as3935) run(from, to time.Duration) {
	if to-from > asWalked {
		c.part += c.strokes.take(to - from - asWalked)
		c.part -= math.Floor(c.part)
		from = to - asWalked
	}
	if c.f.noAnswer { // without supply
		c.reset()
	}
	if c.f.stuckValue { // its antenna is off
		c.strokes.take(to - from)
		return
	}
	for at := from; at < to; {
		next := min(to, at+binWidth)
		c.part += c.strokes.take(next - at)
		for ; c.part >= 1-1e-9; c.part-- {
			c.stroke(next, c.km)
		}
		for bother := c.bothered(at, next); bother; bother = c.bothered(at, next) {
			c.disturb(next)
		}
		at = next
	}
	c.forget(to)
}

// bothered draws the time of the next disturber and says whether it is before to.
func (c *as3935) bothered(from, to time.Duration) bool {
	perHour := c.cfg.DisturbersPerHour + c.f.disturbersPerHour
	if perHour == 0 {
		c.nextBother = -1
		return false
	}
	draw := func(at time.Duration) time.Duration {
		return at + time.Duration(c.rng.ExpFloat64()/perHour*float64(time.Hour))
	}
	if c.nextBother < from {
		c.nextBother = draw(from)
	}
	if c.nextBother >= to {
		return false
	}
	c.nextBother = draw(to)
	return true
}

func (c *as3935) hears(at time.Duration) bool {
	if c.reg[0]&1 != 0 || !c.calibrated(at) || at < c.deafUntil || c.noiseHigh() {
		return false
	}
	return c.lastHeard == 0 || at-c.lastHeard >= asStrokeGap
}

// passes is the share of events that passes a filter setting.
func (c *as3935) passes(perStep float64) bool {
	steps := float64(c.reg[1]&15) + float64(c.reg[2]&15)
	return c.rng.Float64() < 1-perStep*steps
}

func (c *as3935) stroke(at time.Duration, km float64) {
	if !c.hears(at) || !c.passes(0.02) {
		return
	}
	c.lastHeard = at
	if math.IsNaN(km) {
		km = 100
	}
	c.memory = append(c.memory, asStroke{at, km})
	energy := uint32(min(2e6/(1+km*km), 1<<21-1))
	c.reg[4], c.reg[5], c.reg[6] = byte(energy), byte(energy>>8), byte(energy>>16)&0x1F
	c.reg[7] = c.distance()
	if len(c.memory) >= [4]int{1, 5, 9, 16}[c.reg[2]>>4&3] {
		c.raise(at, 0x8)
	}
}

func (c *as3935) disturb(at time.Duration) {
	if !c.hears(at) || !c.passes(0.045) {
		return
	}
	if c.rng.Float64() < c.cfg.FalseShare {
		c.stroke(at, float64(asSteps[c.rng.IntN(len(asSteps))]))
		return
	}
	c.deafUntil = at + asDeafFor
	if c.reg[3]&0x20 == 0 {
		c.raise(at, 0x4)
	}
}

// distance is the estimate for the storm's nearest edge.
func (c *as3935) distance() byte {
	nearest := math.Inf(1)
	for _, s := range c.memory {
		nearest = min(nearest, s.km)
	}
	switch {
	case nearest > 42:
		return asOutOfReach
	case nearest < 3:
		return 1
	}
	best := asSteps[0]
	for _, v := range asSteps {
		if math.Abs(float64(v)-nearest) < math.Abs(float64(best)-nearest) {
			best = v
		}
	}
	return best
}

// forget purges old strokes; a changed estimate is an event without a bit.
func (c *as3935) forget(now time.Duration) {
	n := 0
	for n < len(c.memory) && now-c.memory[n].at > asMemory {
		n++
	}
	if n == 0 {
		return
	}
	c.memory = c.memory[n:]
	if d := c.distance(); d != c.reg[7] {
		c.reg[7] = d
		c.raise(now, 0)
	}
}

func (c *as3935) raise(at time.Duration, bits byte) {
	if !c.irq {
		c.raised = at
	}
	// One event at a time: a stroke is not overwritten by a disturber.
	c.pending, c.irq = max(c.pending, bits), true
}

func (c *as3935) noiseHigh() bool {
	floor := asFloorOutdoor
	if c.reg[0]>>1&31 == 0b10010 {
		floor = asFloorIndoor
	}
	return c.cfg.NoiseUV+c.f.noiseUV > floor[c.reg[1]>>4&7]
}

// high is the level at the end of the IRQ wire.
func (c *as3935) high(now time.Duration) bool { return !c.f.stuckStatus && c.waiting(now) }

// waiting says whether an event is there to be read.
func (c *as3935) waiting(now time.Duration) bool {
	if !c.present || c.f.noAnswer {
		return false
	}
	if !c.irq && now >= c.quiet && c.calibrated(now) && c.noiseHigh() {
		c.raise(max(c.quiet, now-asNoiseCheck), 0x1)
	}
	return c.irq
}

// tunedHz is the antenna's frequency.
func (c *as3935) tunedHz() float64 {
	return asLCOHz * (1 - asLCOStep*float64(int(c.reg[8]&15)-c.cfg.BestCap))
}

// count adds the antenna's cycles that IRQ shows while DISP_LCO is set.
func (c *as3935) count(now time.Duration) uint64 {
	if c.reg[8]&0x80 != 0 && !c.f.stuckStatus {
		c.cycles += c.tunedHz() / float64(int(16)<<(c.reg[3]>>6)) * (now - c.shown).Seconds()
	}
	c.shown = now
	return uint64(c.cycles)
}

func (c *as3935) calibrated(now time.Duration) bool {
	return c.calAsked && c.srcoShown && now-c.calStart >= 2*time.Millisecond &&
		math.Abs(c.tunedHz()-asLCOHz) <= asLCOBand*asLCOHz
}

func (c *as3935) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if len(w) > 0 {
		c.pointer = w[0]
		if len(w) > 1 { // one register a transfer; what follows is not taken
			c.write(now, w[0], w[1])
		}
	}
	for i := range r {
		r[i] = c.read(now, c.pointer+byte(i))
	}
	return true
}

func (c *as3935) write(now time.Duration, reg, v byte) {
	c.count(now) // with the settings up to now
	switch reg {
	case 0:
		c.reg[0] = v & 0x3F
	case 1:
		c.reg[1] = v & 0x7F
	case 2:
		if c.reg[2]&0x40 != 0 && v&0x40 == 0 {
			c.memory, c.reg[7] = nil, asOutOfReach
		}
		c.reg[2] = v | 0x80
	case 3:
		c.reg[3] = v & 0xE0
	case 8:
		if c.calAsked && c.reg[8]&0x40 != 0 && v&0x40 == 0 && now-c.calStart >= 2*time.Millisecond {
			c.srcoShown = true
		}
		c.reg[8] = v & 0xEF
	case 0x3C:
		if v == 0x96 {
			c.reset()
			c.quiet = now + asNoiseCheck
		}
	case 0x3D:
		if v == 0x96 {
			c.calAsked, c.srcoShown, c.calStart = true, false, now
		}
	}
}

func (c *as3935) read(now time.Duration, reg byte) byte {
	if c.f.wrongChip {
		return 0xFF
	}
	switch {
	case reg == 3:
		return c.reg[3] | c.take(now)
	case reg == 0x3A || reg == 0x3B:
		return c.calibration(now, reg)
	case int(reg) < len(c.reg):
		return c.reg[reg]
	}
	return 0
}

// take reads the INT field, which ends the event, valid or not yet.
func (c *as3935) take(now time.Duration) byte {
	if !c.waiting(now) {
		return 0
	}
	bits := c.pending
	c.pending, c.irq, c.quiet = 0, false, now+asNoiseCheck
	if now-c.raised < asIRQSettle {
		return 0
	}
	return bits
}

func (c *as3935) calibration(now time.Duration, reg byte) byte {
	switch {
	case c.f.stuckStatus || !c.calAsked || now-c.calStart < 2*time.Millisecond || reg == 0x3B && !c.srcoShown:
		return 0
	case !c.calibrated(now) && c.srcoShown:
		return 0xC0
	}
	return 0x80
}
