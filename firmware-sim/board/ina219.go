package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// ina219 is the chip (SBOS448G). It converts continuously; a conversion ends
// every period of its settings.
type ina219 struct {
	cfg INA219
	f   *faults

	present bool
	v, a    float64

	pointer      byte
	config, cal  uint16
	shunt        int16
	bus          uint16 // in 4 mV
	cleared      time.Duration
	running      bool
	busV, shuntV float64 // stuck at these when the value is stuck
}

const inaReset = 0x399F

func newINA219(cfg INA219, f *faults) *ina219 { return &ina219{cfg: cfg, f: f, config: inaReset} }

func (c *ina219) powerUp(now time.Duration) {
	c.pointer, c.config, c.cal, c.cleared = 0, inaReset, 0, now
}

func (c *ina219) info() Part {
	return Part{Chip: "ina219", Address: c.cfg.Address, Channels: []model.Channel{model.DCVoltageV, model.DCCurrentA}}
}

func (c *ina219) feed(s *model.Sample) {
	v, okV := s.Get(model.DCVoltageV)
	a, okA := s.Get(model.DCCurrentA)
	c.v, c.a, c.present = v, a, okV && okA
}

func (c *ina219) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if !c.running {
		c.cleared, c.running = now, true
	}
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) >= 3 {
		c.write(now, uint16(w[1])<<8|uint16(w[2]))
	}
	if len(r) == 0 {
		return true
	}
	v := c.register(now)
	for i := range r {
		// Bytes beyond the register repeat it.
		r[i] = byte(v >> (8 * (1 - i%2)))
	}
	return true
}

func (c *ina219) write(now time.Duration, v uint16) {
	switch c.pointer {
	case 0:
		c.config, c.cleared = v, now
		if v&0x8000 != 0 {
			c.config, c.cal = inaReset, 0
		}
	case 5:
		c.cal = v &^ 1
	}
}

func (c *ina219) register(now time.Duration) uint16 {
	c.convert()
	current := int64(c.shunt) * int64(c.cal) / 4096
	overflow := current > math.MaxInt16 || current < math.MinInt16
	power := min(max(current, -current)*int64(c.bus)/5000, math.MaxUint16)
	switch c.pointer {
	case 0:
		if c.f.wrongChip {
			return 0x4127 // an INA226 after reset
		}
		return c.config
	case 1:
		return uint16(c.shunt)
	case 2:
		v := c.bus << 3
		if now-c.cleared >= c.period() && !c.f.stuckStatus {
			v |= 2
		}
		if overflow {
			v |= 1
		}
		return v
	case 3:
		c.cleared = now
		return uint16(power)
	case 4:
		return uint16(int16(current))
	case 5:
		return c.cal
	}
	return 0
}

// period is the time of a shunt and a bus conversion (table 5).
func (c *ina219) period() time.Duration {
	one := func(code uint16) time.Duration {
		if code&8 == 0 {
			return [4]time.Duration{84, 148, 276, 532}[code&3] * time.Microsecond
		}
		return 532 * time.Microsecond << (code & 7)
	}
	return one(c.config>>7&15) + one(c.config>>3&15)
}

func (c *ina219) convert() {
	if !c.f.stuckValue {
		c.busV, c.shuntV = c.v/c.cfg.VoltageScale, c.a*c.cfg.ShuntOhm
	}
	full := 8000.0 // of 4 mV: 32 V
	if c.config&(1<<13) == 0 {
		full = 4000
	}
	limit := float64(int(4000) << (c.config >> 11 & 3)) // of 10 uV: 40 to 320 mV
	c.bus = uint16(min(max(math.Round(c.busV/0.004), 0), full))
	c.shunt = int16(min(max(math.Round(c.shuntV/1e-5), -limit), limit))
}
