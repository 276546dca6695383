package board

import (
	"encoding/binary"
	"math"
	"time"

	"fairwatt/model"
)

// bmeTrim is the calibration of the simulated chip, by the names of
// BST-BME280-DS002 table 16. Temperature and pressure are the worked example of
// BST-BMP280-DS001 (3.12), humidity is a typical chip.
var bmeTrim = struct {
	t1         uint16
	t2, t3     int16
	p1         uint16
	p          [8]int16 // P2..P9
	h1, h3     uint8
	h2, h4, h5 int16
	h6         int8
}{
	27504, 26435, -1000,
	36477, [8]int16{-10685, 3024, 2855, 140, -7, 15500, -14600, 6000},
	75, 0, 362, 313, 50, 30,
}

const (
	bmeSkippedTP = 0x80000
	bmeSkippedH  = 0x8000
	bmeConvert   = 10 * time.Millisecond
	bmeUpdate    = 2 * time.Millisecond
)

// bme280 is the chip. Its data registers change when a forced measurement ends,
// and at each reading in normal mode.
type bme280 struct {
	addr uint16
	f    *faults

	present bool
	t, h, p float64 // C, %, Pa; NaN when missing

	pointer            byte
	ctrlHum, humNext   byte // a write takes effect with the next ctrl_meas
	ctrlMeas, config   byte
	busyUntil, updated time.Duration
	pending            bool
	data               [8]byte
	begun              bool
}

var bmeChannels = []model.Channel{model.TemperatureC, model.HumidityPct, model.PressureHPa}

func (c *bme280) info() Part { return Part{Chip: "bme280", Address: c.addr, Channels: bmeChannels} }

func (c *bme280) feed(s *model.Sample) {
	get := func(ch model.Channel) float64 {
		if v, ok := s.Get(ch); ok {
			return v
		}
		return math.NaN()
	}
	c.t, c.h, c.p = get(model.TemperatureC), get(model.HumidityPct), get(model.PressureHPa)*100
	c.present = !math.IsNaN(c.t) || !math.IsNaN(c.h) || !math.IsNaN(c.p)
}

func (c *bme280) tx(now time.Duration, w, r []byte) bool {
	if !c.present {
		return false
	}
	if !c.begun {
		c.reset(now)
	}
	c.settle(now)
	if len(w) > 0 {
		c.pointer = w[0]
		// A write is pairs of register and value (6.2.1).
		for i := 1; i < len(w); i += 2 {
			c.write(now, c.pointer, w[i])
			if i+1 < len(w) {
				c.pointer = w[i+1]
			}
		}
	}
	if len(r) > 0 && c.ctrlMeas&3 == 3 {
		c.convert()
	}
	for i := range r {
		r[i] = c.register(now, c.pointer+byte(i))
	}
	return true
}

func (c *bme280) powerUp(now time.Duration) {
	c.reset(now)
	c.pointer, c.busyUntil = 0, now
}

func (c *bme280) reset(now time.Duration) {
	c.begun = true
	c.ctrlHum, c.humNext, c.ctrlMeas, c.config, c.pending = 0, 0, 0, 0, false
	c.updated = now + bmeUpdate
	c.data = [8]byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0}
}

func (c *bme280) write(now time.Duration, reg, v byte) {
	switch reg {
	case 0xE0:
		if v == 0xB6 {
			c.reset(now)
		}
	case 0xF2:
		c.humNext = v & 7
	case 0xF4:
		c.ctrlMeas, c.ctrlHum = v, c.humNext
		if m := v & 3; m == 1 || m == 2 {
			c.busyUntil, c.pending = now+bmeConvert, true
		}
	case 0xF5:
		c.config = v
	}
}

// settle ends a forced measurement whose time is over.
func (c *bme280) settle(now time.Duration) {
	if c.pending && now >= c.busyUntil {
		c.pending = false
		c.ctrlMeas &^= 3 // back to sleep
		c.convert()
	}
}

func (c *bme280) register(now time.Duration, reg byte) byte {
	switch {
	case reg >= 0x88 && reg <= 0xA1 || reg >= 0xE1 && reg <= 0xE7:
		return trimByte(reg)
	case reg >= 0xF7 && reg <= 0xFE:
		return c.data[reg-0xF7]
	}
	switch reg {
	case 0xD0:
		if c.f.wrongChip {
			return 0x58 // a BMP280, which has no humidity
		}
		return 0x60
	case 0xF2:
		return c.humNext
	case 0xF3:
		var s byte
		if c.pending || c.f.stuckStatus {
			s |= 1 << 3
		}
		if now < c.updated {
			s |= 1
		}
		return s
	case 0xF4:
		return c.ctrlMeas
	case 0xF5:
		return c.config
	}
	return 0
}

func trimByte(reg byte) byte {
	var b [26]byte
	put := func(i int, v uint16) { binary.LittleEndian.PutUint16(b[i:], v) }
	m := &bmeTrim
	put(0, m.t1)
	put(2, uint16(m.t2))
	put(4, uint16(m.t3))
	put(6, m.p1)
	for i, v := range m.p {
		put(8+2*i, uint16(v))
	}
	b[25] = m.h1
	if reg < 0xE1 {
		return b[reg-0x88]
	}
	h := [7]byte{byte(m.h2), byte(m.h2 >> 8), m.h3, byte(m.h4 >> 4), byte(m.h4&15) | byte(m.h5&15)<<4, byte(m.h5 >> 4), byte(m.h6)}
	return h[reg-0xE1]
}

// convert puts the world into the data registers.
func (c *bme280) convert() {
	if c.f.stuckValue {
		return
	}
	t, p, h := uint32(bmeSkippedTP), uint32(bmeSkippedTP), uint32(bmeSkippedH)
	if !math.IsNaN(c.t) && c.ctrlMeas>>5 != 0 {
		t = inverse(c.t, 1<<20, func(raw uint32) float64 { return trimFine(raw) / 5120 })
		if t == bmeSkippedTP {
			t++ // one step of 0.3 mK away from the word that means skipped
		}
		fine := trimFine(t)
		if !math.IsNaN(c.p) && c.ctrlMeas>>2&7 != 0 {
			// More counts, less pressure.
			p = 1<<20 - 1 - inverse(c.p, 1<<20, func(raw uint32) float64 { return trimPressure(1<<20-1-raw, fine) })
			if p == bmeSkippedTP {
				p++
			}
		}
		if !math.IsNaN(c.h) && c.ctrlHum != 0 {
			h = inverse(c.h, 1<<16, func(raw uint32) float64 { return trimHumidity(raw, fine) })
			if h == bmeSkippedH {
				h++
			}
		}
	}
	c.data = [8]byte{
		byte(p >> 12), byte(p >> 4), byte(p << 4),
		byte(t >> 12), byte(t >> 4), byte(t << 4),
		byte(h >> 8), byte(h),
	}
}

// inverse is the count in [0, n) at which a rising f is nearest to v.
func inverse(v float64, n uint32, f func(uint32) float64) uint32 {
	lo, hi := uint32(0), n-1
	for lo < hi {
		if mid := (lo + hi) / 2; f(mid) < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo > 0 && math.Abs(f(lo-1)-v) < math.Abs(f(lo)-v) {
		lo--
	}
	return lo
}

// trimFine, trimPressure and trimHumidity are the forward formulas of the
// datasheet's appendix A for this chip's calibration.
func trimFine(raw uint32) float64 {
	x, t1 := float64(raw), float64(bmeTrim.t1)
	d := x/131072 - t1/8192
	return (x/16384-t1/1024)*float64(bmeTrim.t2) + d*d*float64(bmeTrim.t3)
}

func trimPressure(raw uint32, fine float64) float64 {
	k := func(i int) float64 { return float64(bmeTrim.p[i-2]) } // P_i
	a := fine/2 - 64000
	b := (a*a*k(6)/32768+a*k(5)*2)/4 + k(4)*65536
	a = (1 + (k(3)*a*a/524288+k(2)*a)/524288/32768) * float64(bmeTrim.p1)
	p := (1048576 - float64(raw) - b/4096) * 6250 / a
	return p + (k(9)*p*p/2147483648+p*k(8)/32768+k(7))/16
}

func trimHumidity(raw uint32, fine float64) float64 {
	m := &bmeTrim
	d := fine - 76800
	x := float64(raw) - (float64(m.h4)*64 + float64(m.h5)/16384*d)
	x *= float64(m.h2) / 65536 * (1 + float64(m.h6)/67108864*d*(1+float64(m.h3)/67108864*d))
	return x * (1 - float64(m.h1)*x/524288)
}
