package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// bh1750 is the chip (ROHM, 2011.11 rev. D): one-time measurements in high
// resolution.
type bh1750 struct {
	cfg BH1750
	f   *faults

	present bool
	light   float64 // W/m2
	on      bool
	mtreg   byte
	raw     uint16
	ready   time.Duration
	pending bool
}

const bhDefault = 69

func (c *bh1750) info() Part {
	return Part{Chip: "bh1750", Address: c.cfg.Address, Channels: []model.Channel{model.IrradianceWPM2}}
}

func (c *bh1750) feed(s *model.Sample) { c.light, c.present = s.Get(model.IrradianceWPM2) }

func (c *bh1750) powerUp(time.Duration) {
	c.on, c.mtreg, c.raw, c.pending = false, bhDefault, 0, false
}

func (c *bh1750) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if c.mtreg == 0 {
		c.powerUp(now)
	}
	if c.pending && now >= c.ready {
		c.pending, c.on = false, false
		if !c.f.stuckValue {
			counts := max(c.light, 0) * c.cfg.LuxPerWPM2 * 1.2 * float64(c.mtreg) / bhDefault
			c.raw = uint16(min(math.Round(counts), math.MaxUint16))
		}
	}
	if len(w) > 0 {
		c.command(now, w[0])
	}
	for i := range r {
		r[i] = byte(c.raw >> (8 * (1 - i%2)))
	}
	return true
}

func (c *bh1750) command(now time.Duration, cmd byte) {
	switch {
	case cmd == 0x00:
		c.on = false
	case cmd == 0x01:
		c.on = true
	case cmd == 0x07 && c.on:
		c.raw = 0
	case cmd == 0x20 && c.on:
		c.pending = true
		c.ready = now + 150*time.Millisecond*time.Duration(c.mtreg)/bhDefault
	case cmd>>3 == 0x08:
		c.mtreg = c.mtreg&0x1F | cmd<<5
	case cmd>>5 == 0x03:
		c.mtreg = c.mtreg&0xE0 | cmd&0x1F
	}
}
