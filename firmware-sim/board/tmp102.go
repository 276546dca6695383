package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// tmp102 is the chip (SBOS397). Its thermostat has registers but does nothing.
type tmp102 struct {
	cfg TMP102
	f   *faults

	present   bool
	t         float64
	pointer   byte
	config    uint16
	low, high uint16
	started   time.Duration // of the one-shot conversion
	oneShot   bool
	shownC    float64 // what the temperature register holds
}

const (
	tmpReset  = 0x60A0
	tmpPeriod = 26 * time.Millisecond
)

func newTMP102(cfg TMP102, f *faults) *tmp102 {
	return &tmp102{cfg: cfg, f: f, config: tmpReset, low: 0x4B00, high: 0x5000}
}

func (c *tmp102) powerUp(time.Duration) {
	c.pointer, c.config, c.low, c.high = 0, tmpReset, 0x4B00, 0x5000
	c.oneShot, c.shownC = false, 0
}

func (c *tmp102) info() Part {
	return Part{Chip: "tmp102", Address: c.cfg.Address, Channels: []model.Channel{c.cfg.Channel}}
}

func (c *tmp102) feed(s *model.Sample) { c.t, c.present = s.Get(c.cfg.Channel) }

func (c *tmp102) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
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

func (c *tmp102) write(now time.Duration, v uint16) {
	switch c.pointer {
	case 1:
		// The resolution bits and AL are read-only.
		c.config = v&0x1FD0 | 0x6000 | 0x20
		if v&0x8000 != 0 && v&0x0100 != 0 {
			c.started, c.oneShot = now, true
		}
	case 2:
		c.low = v
	case 3:
		c.high = v
	}
}

func (c *tmp102) register(now time.Duration) uint16 {
	if c.f.wrongChip {
		return 0x00C0 // an LM75's settings after reset, with noise
	}
	shutDown := c.config&0x0100 != 0
	converted := !shutDown || c.oneShot && now-c.started >= tmpPeriod
	switch c.pointer {
	case 1:
		if shutDown && converted && !c.f.stuckStatus {
			return c.config | 0x8000
		}
		return c.config
	case 2:
		return c.low
	case 3:
		return c.high
	}
	if converted && !c.f.stuckValue {
		c.shownC = c.t
	}
	code := math.Round(c.shownC / 0.0625)
	if c.config&0x10 != 0 {
		return uint16(int16(min(max(code, -4096), 4095)))<<3 | 1
	}
	return uint16(int16(min(max(code, -2048), 2047))) << 4
}
