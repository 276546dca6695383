package board

import (
	"math"
	"time"

	"fairwatt/model"
)

// sht4x is the chip (Sensirion, datasheet version 6.6): commands of one byte,
// and no acknowledge to a read while it is busy.
type sht4x struct {
	cfg SHT4x
	f   *faults

	present   bool
	t, h      float64
	answer    [6]byte
	answered  bool          // there is an answer to fetch
	busyUntil time.Duration // after a command
}

func (c *sht4x) powerUp(now time.Duration) { c.busyUntil, c.answered = now+time.Millisecond, false }

func (c *sht4x) info() Part {
	return Part{Chip: "sht4x", Address: c.cfg.Address, Channels: []model.Channel{model.TemperatureC, model.HumidityPct}}
}

func (c *sht4x) feed(s *model.Sample) {
	t, okT := s.Get(model.TemperatureC)
	h, okH := s.Get(model.HumidityPct)
	c.present = okT && okH
	if c.present && !c.f.stuckValue {
		c.t, c.h = t, h
	}
}

func (c *sht4x) tx(now time.Duration, w, r []byte) bool {
	if !c.present || now < c.busyUntil || c.f.stuckStatus && len(w) == 0 {
		return false
	}
	if len(w) > 0 && !c.command(now, w[0]) {
		return false
	}
	if len(r) == 0 {
		return true
	}
	if !c.answered || now < c.busyUntil {
		return false
	}
	for i := range r {
		r[i] = 0xFF // beyond the answer nothing drives the line
		if i < len(c.answer) {
			r[i] = c.answer[i]
		}
	}
	c.answered = false
	if c.f.garbled {
		r[0] ^= 0x10
	}
	return true
}

func (c *sht4x) command(now time.Duration, cmd byte) bool {
	switch {
	case c.f.wrongChip && cmd != 0x89 && cmd != 0x94:
		return false
	case c.f.wrongChip:
		c.answer, c.answered = [6]byte{}, cmd == 0x89
	case cmd == 0xFD, cmd == 0xF6, cmd == 0xE0:
		takes := map[byte]time.Duration{0xFD: 6900, 0xF6: 3700, 0xE0: 1300}[cmd] * time.Microsecond
		c.busyUntil, c.answered = now+takes, true
		c.words(shtCode((c.t+45)/175), shtCode((c.h+6)/125))
	case cmd == 0x89:
		c.busyUntil, c.answered = now+100*time.Microsecond, true
		c.words(uint16(c.cfg.Serial>>16), uint16(c.cfg.Serial))
	case cmd == 0x94:
		c.busyUntil, c.answered = now+time.Millisecond, false
	default:
		return false
	}
	return true
}

func shtCode(part float64) uint16 { return uint16(math.Round(min(max(part, 0), 1) * 65535)) }

func (c *sht4x) words(a, b uint16) {
	c.answer = [6]byte{byte(a >> 8), byte(a), 0, byte(b >> 8), byte(b), 0}
	c.answer[2], c.answer[5] = crc8(c.answer[0:2]), crc8(c.answer[3:5])
}

// crc8 is by division, polynomial x^8+x^5+x^4+1, initially 0xFF. It differs from
// the driver's code on purpose.
func crc8(b []byte) byte {
	rest := uint32(b[0])<<16 | uint32(b[1])<<8
	rest ^= 0xFF0000
	for bit := 23; bit >= 8; bit-- {
		if rest>>bit&1 != 0 {
			rest ^= 0x131 << (bit - 8)
		}
	}
	return byte(rest)
}
