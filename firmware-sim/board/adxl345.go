package board

import (
	"encoding/binary"
	"math"
	"time"

	"fairwatt/model"
)

// adxl345 is the chip (Analog Devices, rev. G) on a machine that stands upright: the
// world's vibration is a sine of 37 Hz along x and one of 53 Hz along y, gravity
// lies along z, and each axis has the noise of about a step.
type adxl345 struct {
	cfg ADXL345
	f   *faults

	present bool
	rms     float64 // m/s2
	pointer byte
	regs    [0x40]byte
	taken   int64 // samples since the board's start that were taken or lost
	held    [3]int16
}

const (
	adxlKept      = 32
	adxlGravity   = 256
	adxlStepMPS2  = 9.80665 / 256
	adxlMeasuring = 0x08
)

func (c *adxl345) info() Part {
	return Part{Chip: "adxl345", Address: c.cfg.Address, Channels: []model.Channel{model.VibrationMPS2}}
}

func (c *adxl345) feed(s *model.Sample) { c.rms, c.present = s.Get(model.VibrationMPS2) }

func (c *adxl345) powerUp(now time.Duration) {
	c.regs = [0x40]byte{0: 0xE5, 0x2C: 0x0A}
	c.pointer, c.taken, c.held = 0, c.made(now), [3]int16{}
}

// period is the time between two samples: 3200 Hz at the highest rate.
func (c *adxl345) period() time.Duration {
	return time.Second / 3200 << (15 - c.regs[0x2C]&15)
}

// made is how many samples there have been since the board's start.
func (c *adxl345) made(now time.Duration) int64 { return int64(now / c.period()) }

// waiting is how many samples the queue holds; without a queue, or at rest, none.
func (c *adxl345) waiting(now time.Duration) int64 {
	if c.regs[0x2D]&adxlMeasuring == 0 || c.regs[0x38]>>6 == 0 || c.f.stuckStatus {
		return 0
	}
	n := c.made(now) - c.taken
	if n > adxlKept { // the oldest are lost
		c.taken, n = c.taken+n-adxlKept, adxlKept
	}
	return n
}

// next takes the oldest sample.
func (c *adxl345) next(now time.Duration) [3]int16 {
	if c.waiting(now) == 0 || c.f.stuckValue {
		c.taken = min(c.taken+1, c.made(now))
		return c.held
	}
	c.taken++
	at := time.Duration(c.taken) * c.period()
	noise := func(kind uint64) float64 {
		k := Kernel{Seed: uint64(c.cfg.Address)}
		return 2*k.moment(kind, uint64(c.taken)) - 1
	}
	wave := func(hz float64) float64 {
		// Half of the power on each of two axes.
		return c.rms * math.Sin(2*math.Pi*hz*at.Seconds()) / adxlStepMPS2
	}
	for i, v := range [3]float64{wave(37), wave(53), adxlGravity} {
		c.held[i] = int16(min(max(math.Round(v+noise(uint64(10+i))), -4096), 4095))
	}
	return c.held
}

func (c *adxl345) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if c.regs[0] == 0 {
		c.powerUp(now)
	}
	if len(w) > 0 {
		c.pointer = w[0] & 0x3F
	}
	for i, v := range w[min(1, len(w)):] {
		c.write(now, c.pointer+byte(i), v)
	}
	var data [6]byte
	if len(r) > 0 && c.pointer == 0x32 {
		for i, v := range c.next(now) {
			binary.LittleEndian.PutUint16(data[2*i:], uint16(v))
		}
	}
	for i := range r {
		switch reg := (c.pointer + byte(i)) & 0x3F; {
		case reg >= 0x32 && reg < 0x38:
			r[i] = data[reg-0x32]
		case reg == 0x39:
			r[i] = byte(c.waiting(now))
		case reg == 0 && c.f.wrongChip:
			r[i] = 0xE6
		default:
			r[i] = c.regs[reg]
		}
	}
	return true
}

func (c *adxl345) write(now time.Duration, reg, v byte) {
	if reg < 0x1D || reg > 0x38 || reg == 0x2B || reg == 0x30 || reg >= 0x32 && reg < 0x38 {
		return // read-only
	}
	c.regs[reg] = v
	if reg == 0x2C || reg == 0x2D || reg == 0x38 {
		c.taken = c.made(now)
	}
}
