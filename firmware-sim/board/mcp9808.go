package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// mcp9808 is the chip (Microchip DS25095A). It converts continuously; its alert is
// not simulated.
type mcp9808 struct {
	cfg MCP9808
	f   *faults

	present bool
	t       float64
	pointer byte
	config  uint16
	up      time.Duration // when it was powered up
	shownC  float64
}

const mcpConversion = 250 * time.Millisecond

func (c *mcp9808) info() Part {
	return Part{Chip: "mcp9808", Address: c.cfg.Address, Channels: []model.Channel{c.cfg.Channel}}
}

func (c *mcp9808) feed(s *model.Sample) { c.t, c.present = s.Get(c.cfg.Channel) }

func (c *mcp9808) powerUp(now time.Duration) {
	c.pointer, c.config, c.up, c.shownC = 0, 0, now, 0
}

func (c *mcp9808) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if len(w) > 0 {
		c.pointer = w[0] & 15
	}
	if len(w) >= 3 && c.pointer == 1 {
		c.config = (uint16(w[1])<<8 | uint16(w[2])) & 0x07FF
	}
	v := c.register(now)
	for i := range r {
		r[i] = byte(v >> (8 * (1 - i%2)))
	}
	return true
}

func (c *mcp9808) register(now time.Duration) uint16 {
	switch c.pointer {
	case 1:
		return c.config
	case 5:
		// Nothing is converted within a conversion of the power-up.
		if now-c.up >= mcpConversion && !c.f.stuckValue {
			c.shownC = c.t
		}
		code := math.Round(min(max(c.shownC, -40), 125.9375) / 0.0625)
		return uint16(int16(code)) & 0x1FFF
	case 6:
		if c.f.wrongChip {
			return 0
		}
		return 0x0054
	case 7:
		return 0x0400
	}
	return 0
}
