package board

import (
	"fmt"
	"math"
	"time"

	"fairwatt/model"
)

// railV is the voltage of an input that nothing drives: beyond every range.
const railV = 10

// ads1115 is the chip (SBAS444D). Each conversion is the mean of the waveform over
// its whole period (9.3.1: the modulator integrates). The waveform is a fundamental
// and a fifth harmonic that together have the world's RMS; phases count from the
// board's start.
type ads1115 struct {
	cfg       ADS1115
	nominalHz float64
	f         *faults

	world    [model.NumChannels]float64 // NaN when missing
	present  bool
	hz       float64
	angle    float64 // of the fundamental at since, in turns
	since    time.Duration
	newHz    float64 // takes effect at the next transfer, and keeps the phase
	pointer  byte
	config   uint16
	low      uint16
	high     uint16
	started  time.Duration
	lastCode map[uint16]int16
	line     *edgeQueue // of the ready output, nil if it is not wired
}

func newADS1115(cfg ADS1115, nominalHz float64, f *faults) (*ads1115, error) {
	c := &ads1115{cfg: cfg, nominalHz: nominalHz, f: f, hz: nominalHz, newHz: nominalHz, started: longAgo, lastCode: map[uint16]int16{}}
	c.reset()
	if !(math.Abs(cfg.RateError) <= 0.1) {
		return nil, fmt.Errorf("ads1115@0x%02x: a rate error of %g is not within 0.1", cfg.Address, cfg.RateError)
	}
	used := map[int]bool{}
	for _, in := range cfg.Inputs {
		if in.AIN < 0 || in.AIN > 3 || used[in.AIN] {
			return nil, fmt.Errorf("ads1115@0x%02x: input %d is none of 0 to 3, or used twice", cfg.Address, in.AIN)
		}
		used[in.AIN] = true
		if in.Channel >= model.NumChannels || !(in.Scale > 0) {
			return nil, fmt.Errorf("ads1115@0x%02x: input %d needs a channel and a positive scale", cfg.Address, in.AIN)
		}
	}
	return c, nil
}

func (c *ads1115) reset() { c.config, c.low, c.high = 0x8583, 0x8000, 0x7FFF }

func (c *ads1115) powerUp(time.Duration) {
	c.reset()
	c.pointer, c.started, c.lastCode = 0, longAgo, map[uint16]int16{}
}

// longAgo is before every conversion that counts.
const longAgo = -time.Hour

func (c *ads1115) info() Part {
	p := Part{Chip: "ads1115", Address: c.cfg.Address}
	for _, in := range c.cfg.Inputs {
		p.Channels = append(p.Channels, in.Channel)
	}
	p.Channels = append(p.Channels, model.FrequencyHz)
	return p
}

func (c *ads1115) feed(s *model.Sample) {
	c.present = false
	for i := range c.world {
		c.world[i] = math.NaN()
	}
	for _, ch := range []model.Channel{model.THDPct, model.THDAPct, model.THDBPct, model.THDCPct} {
		if v, ok := s.Get(ch); ok {
			c.world[ch] = v
		}
	}
	for _, in := range c.cfg.Inputs {
		if v, ok := s.Get(in.Channel); ok {
			c.world[in.Channel], c.present = v, true
		}
	}
	c.newHz = c.nominalHz
	if hz, ok := s.Get(model.FrequencyHz); ok && hz > 0 {
		c.newHz = hz
	}
}

func (c *ads1115) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if c.hz != c.newHz {
		c.angle = c.phase(now)
		c.since, c.hz = now, c.newHz
	}
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) >= 3 {
		c.write(now, uint16(w[1])<<8|uint16(w[2]))
	}
	if len(r) > 0 {
		v := c.register(now)
		for i := range r {
			r[i] = byte(v >> (8 * (1 - i%2)))
		}
	}
	return true
}

func (c *ads1115) write(now time.Duration, v uint16) {
	switch c.pointer {
	case 1:
		// A start, a change of mode or of the input restarts the conversion.
		if v&0x8000 != 0 || v&0x0100 == 0 {
			c.started = now
		}
		c.config = v &^ 0x8000
	case 2:
		c.low = v
	case 3:
		c.high = v
	}
}

func (c *ads1115) single() bool { return c.config&0x0100 != 0 }

func (c *ads1115) period() time.Duration {
	typical := time.Second / [8]time.Duration{8, 16, 32, 64, 128, 250, 475, 860}[c.config>>5&7]
	return typical + time.Duration(c.cfg.RateError*float64(typical))
}

func (c *ads1115) register(now time.Duration) uint16 {
	if c.f.wrongChip {
		return 0xFFFF // nothing keeps what is written
	}
	switch c.pointer {
	case 1:
		// In continuous mode a conversion is always running.
		if c.single() && now-c.started >= c.period() && !c.f.stuckStatus {
			return c.config | 0x8000
		}
		return c.config
	case 2:
		return c.low
	case 3:
		return c.high
	}
	return uint16(c.conversion(now))
}

// tells says whether ALERT/RDY falls at the end of each conversion.
func (c *ads1115) tells() bool {
	return c.present && !c.f.noAnswer && !c.f.stuckStatus && c.config&3 != 3 && c.high&0x8000 != 0 && c.low&0x8000 == 0
}

// edges are those of ALERT/RDY in (from, to]: the first, how many, and how far
// apart.
func (c *ads1115) edges(from, to time.Duration) (first time.Duration, count int, period time.Duration) {
	period = c.period()
	begin := max((from-c.started)/period, 0) + 1
	end := (to - c.started) / period
	if c.single() {
		end = min(end, 1)
	}
	if !c.tells() || c.started < 0 || end < begin {
		return 0, 0, period
	}
	return c.started + begin*period, int(end - begin + 1), period
}

// nextEdge is the time until ALERT/RDY falls. False if it never does.
func (c *ads1115) nextEdge(now time.Duration) (time.Duration, bool) {
	if !c.tells() || c.started < 0 {
		return 0, false
	}
	p := c.period()
	n := (now-c.started)/p + 1
	if c.single() && n > 1 {
		return 0, false
	}
	return c.started + n*p - now, true
}

// conversion is the result of the newest finished conversion.
func (c *ads1115) conversion(now time.Duration) int16 {
	p, mux := c.period(), c.config>>12&7
	n := (now - c.started) / p
	if c.single() {
		n = min(n, 1)
	}
	if c.started < 0 { // none since power-up
		return 0
	}
	if n < 1 || c.f.stuckValue {
		return c.lastCode[mux]
	}
	volts := c.input(mux, c.started+n*p-p/2)
	full := [8]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256}[c.config>>9&7]
	code := int16(min(max(math.Round(volts/full*32768), -32768), 32767))
	c.lastCode[mux] = code
	return code
}

// input is the voltage at a multiplexer setting (table 8).
func (c *ads1115) input(mux uint16, at time.Duration) float64 {
	pair := [8][2]int{{0, 1}, {0, 3}, {1, 3}, {2, 3}, {0, -1}, {1, -1}, {2, -1}, {3, -1}}[mux]
	return c.signal(pair[0], at) - c.signal(pair[1], at)
}

func (c *ads1115) phase(at time.Duration) float64 {
	_, f := math.Modf(c.angle + c.hz*(at-c.since).Seconds())
	return f
}

// signal is the voltage at one pin. It floats to the rail if the world does not
// have the signal.
func (c *ads1115) signal(ain int, at time.Duration) float64 {
	for _, in := range c.cfg.Inputs {
		if in.AIN != ain {
			continue
		}
		if in.Channel == model.WindDirectionDeg {
			return vaneVolts(c.world[in.Channel])
		}
		rms := c.world[in.Channel]
		if math.IsNaN(rms) {
			return railV
		}
		thd := 0.0
		if v := c.world[thdOf(in.Channel)]; v > 0 {
			thd = v / 100
		}
		// U1^2 + (thd*U1)^2 = U^2 (IEC 61000-4-7, total distortion against the
		// fundamental).
		u1 := rms * math.Sqrt2 / math.Sqrt(1+thd*thd)
		turn := 2 * math.Pi * c.phase(at)
		x := math.Pi * c.hz * c.period().Seconds()
		return u1 * (mean(x)*math.Sin(turn) + thd*mean(5*x)*math.Sin(5*turn)) / in.Scale
	}
	return 0
}

// vaneOhm are the resistances of a wind vane from north on, clockwise (Argent Data
// Systems, "Weather Sensor Assembly p/n 80422").
var vaneOhm = map[float64]float64{
	0: 33e3, 22.5: 6570, 45: 8200, 67.5: 891, 90: 1e3, 112.5: 688, 135: 2200, 157.5: 1410,
	180: 3900, 202.5: 3140, 225: 16e3, 247.5: 14120, 270: 120e3, 292.5: 42120, 315: 64900, 337.5: 21880,
}

// vaneVolts is the voltage at a vane behind 10 kohm from 3.3 V. Without a direction
// its cable is cut.
func vaneVolts(deg float64) float64 {
	const supplyV, pullupOhm = 3.3, 10e3
	if math.IsNaN(deg) {
		return supplyV
	}
	ohm := vaneOhm[math.Mod(math.Round(deg/22.5)*22.5, 360)]
	return supplyV * ohm / (ohm + pullupOhm)
}

// mean is what is left of a sine, averaged over so much of its angle to both sides.
func mean(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(x) / x
}

// thdOf is the distortion of a channel. A current has the distortion of its
// phase's voltage.
func thdOf(ch model.Channel) model.Channel {
	switch ch {
	case model.VoltageAV, model.CurrentAA:
		return model.THDAPct
	case model.VoltageBV, model.CurrentBA:
		return model.THDBPct
	case model.VoltageCV, model.CurrentCA:
		return model.THDCPct
	}
	return model.THDPct
}
