package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// lm75 is the chip (SNOS808P), or one of its kin whose resolution can be set
// (TMP75, SBOS288). It converts continuously; its alarm is not simulated.
type lm75 struct {
	cfg LM75
	f   *faults

	present           bool
	t                 float64
	pointer, config   byte
	hysteresis, limit uint16
	up                time.Duration // when it was powered up
	shownC            float64
}

const (
	lmConversion = 300 * time.Millisecond // of the first value, at most
	lmHysteresis = 0x4B00
	lmLimit      = 0x5000
)

func newLM75(cfg LM75, f *faults) *lm75 {
	return &lm75{cfg: cfg, f: f, up: longAgo, hysteresis: lmHysteresis, limit: lmLimit}
}

func (c *lm75) info() Part {
	return Part{Chip: "lm75", Address: c.cfg.Address, Channels: []model.Channel{c.cfg.Channel}}
}

func (c *lm75) feed(s *model.Sample) { c.t, c.present = s.Get(c.cfg.Channel) }

func (c *lm75) powerUp(now time.Duration) {
	c.pointer, c.config, c.hysteresis, c.limit = 0, 0, lmHysteresis, lmLimit
	c.up, c.shownC = now, 0
}

// fine says whether the resolution can be set.
func (c *lm75) fine() bool { return c.cfg.Bits > 9 }

// bits is the resolution that is set.
func (c *lm75) bits() int {
	if c.fine() {
		return min(9+int(c.config>>5&3), c.cfg.Bits)
	}
	return 9
}

func (c *lm75) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) == 2 && c.pointer == 1 {
		c.config = w[1] & 0x1F
		if c.fine() {
			c.config = w[1] & 0x7F
		}
	}
	if len(w) >= 3 {
		v := uint16(w[1])<<8 | uint16(w[2])
		mask := uint16(0xFFFF) << (16 - max(c.cfg.Bits, 9))
		switch c.pointer {
		case 2:
			c.hysteresis = v & mask
		case 3:
			c.limit = v & mask
		}
	}
	v := c.register(now)
	for i := range r {
		r[i] = byte(v >> (8 * (1 - i%2)))
	}
	return true
}

func (c *lm75) register(now time.Duration) uint16 {
	switch c.pointer {
	case 1:
		return uint16(c.config) << 8
	case 2:
		return c.hysteresis
	case 3:
		if c.f.wrongChip {
			return 0xFFFF
		}
		return c.limit
	}
	if now-c.up >= lmConversion && !c.f.stuckValue {
		c.shownC = c.t
	}
	bits := c.bits()
	half := math.Exp2(float64(bits - 1))
	code := math.Round(c.shownC / 128 * half)
	return uint16(int16(min(max(code, -half), half-1))) << (16 - bits)
}
