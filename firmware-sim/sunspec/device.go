package sunspec

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"fairwatt/model"
)

// A Config describes the device.
type Config struct {
	Unit   byte // Modbus unit, 1 to 247
	Base   int  // address of "SunS": 40000, 0 or 50000
	Models []uint16
	// Extra models, unknown to readers, stand before the others: the number of
	// registers of each. Their IDs are 64900 and up.
	Extra  []int
	Serial string
}

// A Fault is a way to misbehave.
type Fault string

// The ways to misbehave.
const (
	Silent        Fault = "silent"        // accepts connections, answers nothing
	Busy          Fault = "busy"          // refuses with exception 6
	NoMarker      Fault = "no_marker"     // another map
	NoEnd         Fault = "no_end"        // models for ever
	Cut           Fault = "cut"           // closes in the middle of an answer
	WrongLength   Fault = "wrong_length"  // answers with half of the registers
	WrongAnswer   Fault = "wrong_answer"  // answers another transaction
	Garbage       Fault = "garbage"       // answers something that is no Modbus
	BadScale      Fault = "bad_scale"     // scale factor 11
	Unimplemented Fault = "unimplemented" // has no value at all
	Moved         Fault = "moved"         // a firmware update moved the models
	Slow          Fault = "slow"          // answers after a second
	slowBy              = 1 * time.Second // of Slow
	unknownFirst        = 64900           // ID of the first extra model
	maxExtra            = 1000            // registers of one
)

var faults = []Fault{Silent, Busy, NoMarker, NoEnd, Cut, WrongLength, WrongAnswer, Garbage, BadScale, Unimplemented, Moved, Slow}

// A Device is a register map and its faults. It is safe for concurrent use.
type Device struct {
	cfg Config

	mu      sync.Mutex
	world   model.Sample
	regs    []uint16 // from cfg.Base on
	faults  map[Fault]bool
	refused int
}

// New makes a device without a world.
func New(cfg Config) (*Device, error) {
	if cfg.Unit < 1 || cfg.Unit > 247 {
		return nil, fmt.Errorf("unit %d is not within 1 and 247", cfg.Unit)
	}
	if !slices.Contains([]int{40000, 0, 50000}, cfg.Base) {
		return nil, fmt.Errorf("base %d is none of 40000, 0, 50000", cfg.Base)
	}
	for _, id := range cfg.Models {
		if _, ok := layouts[id]; !ok {
			return nil, fmt.Errorf("model %d is not simulated", id)
		}
	}
	for _, n := range cfg.Extra {
		if n < 0 || n > maxExtra {
			return nil, fmt.Errorf("extra model of %d registers", n)
		}
	}
	if len(cfg.Models)+len(cfg.Extra) > 16 {
		return nil, fmt.Errorf("%d models are more than 16", len(cfg.Models)+len(cfg.Extra))
	}
	d := &Device{cfg: cfg, faults: map[Fault]bool{}}
	d.build()
	return d, nil
}

// Feed sets the world.
func (d *Device) Feed(s *model.Sample) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.world = *s
	d.build()
}

// Inject makes the device misbehave until Remove. Several faults add up.
func (d *Device) Inject(f Fault) error { return d.set(f, true) }

// Remove ends a fault.
func (d *Device) Remove(f Fault) error { return d.set(f, false) }

func (d *Device) set(f Fault, on bool) error {
	if !slices.Contains(faults, f) {
		return fmt.Errorf("unknown fault %q", f)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[f] = on
	d.build()
	return nil
}

// Refused counts the requests for another function than reading.
func (d *Device) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// build makes the register map. Caller holds mu.
func (d *Device) build() {
	r := []uint16{0x5375, 0x6E53}
	if d.faults[NoMarker] {
		r = []uint16{0x1234, 0x5678}
	}
	common := make([]uint16, 68)
	common[0], common[1] = 1, 66
	putText(common[2:18], "Fairwatt")
	putText(common[18:34], "Simulated inverter")
	putText(common[42:50], "1.0")
	putText(common[50:66], d.cfg.Serial)
	common[66] = uint16(d.cfg.Unit)
	r = append(r, common...)
	extra := d.cfg.Extra
	if d.faults[Moved] {
		extra = append(slices.Clone(extra), 7)
	}
	for i, n := range extra {
		m := make([]uint16, n+2)
		m[0], m[1] = unknownFirst+uint16(i), uint16(n)
		r = append(r, m...)
	}
	for _, id := range d.cfg.Models {
		r = append(r, d.model(id)...)
	}
	if d.faults[NoEnd] {
		for len(r) < 65536-d.cfg.Base {
			r = append(r, unknownFirst, 0)
		}
		d.regs = r[:65536-d.cfg.Base]
		return
	}
	d.regs = append(r, 0xFFFF, 0)
}

// model encodes one model. Scale factors come first: they depend on all values
// that share them.
func (d *Device) model(id uint16) []uint16 {
	l := layouts[id]
	regs := make([]uint16, l.length+2)
	regs[0], regs[1] = id, uint16(l.length)
	scales := map[int]int{}
	for _, p := range l.points {
		if p.scale > 0 {
			scales[p.scale] = max(scale(scales, p), p.finest(d.value(p)))
		}
	}
	for at, sf := range scales {
		if d.faults[BadScale] {
			sf = 11
		}
		regs[at] = uint16(int16(sf))
	}
	for _, p := range l.points {
		p.put(regs[p.offset:], d.value(p), scales[p.scale])
	}
	for _, at := range l.unused {
		regs[at] = 0x8000
	}
	if id == 302 { // the four irradiances that it does not measure
		for _, at := range []int{2, 4, 5, 6} {
			regs[at] = 0xFFFF
		}
	}
	if id == 160 {
		d.inputs(regs)
	}
	d.events(l.events, regs)
	return regs
}

// inputs writes the rest of model 160: its number of inputs and what they say of
// themselves. Events of the world are the last input's, as an inverter tells them of
// the string that has them.
func (d *Device) inputs(regs []uint16) {
	n := (len(regs) - 10) / 20
	regs[8] = uint16(n)
	v, _ := d.world.Get(model.InverterEvents)
	for i := range n {
		r := regs[10+20*i:]
		r[0], r[17] = uint16(i+1), 4
		putText(r[1:9], fmt.Sprintf("String %d", i+1))
		if i == n-1 && v > 0 {
			r[18], r[19] = uint16(uint64(v)>>16), uint16(uint64(v))
			if uint64(v)&model.InverterFault != 0 {
				r[17] = 7
			}
		}
		if d.faults[Unimplemented] {
			r[17], r[18], r[19] = 0xFFFF, 0xFFFF, 0xFFFF
		}
	}
	if d.faults[Unimplemented] {
		regs[6], regs[7] = 0xFFFF, 0xFFFF
	}
}

// events writes the state and the event bits. The world's bit 32 is the state FAULT;
// a world without inverter_events has an inverter that runs.
func (d *Device) events(at eventsAt, regs []uint16) {
	if at.state == 0 {
		return
	}
	v, _ := d.world.Get(model.InverterEvents)
	bits := uint64(0)
	if v > 0 {
		bits = uint64(v)
	}
	regs[at.state] = at.running
	if bits&model.InverterFault != 0 {
		regs[at.state] = at.fault
	}
	regs[at.bits], regs[at.bits+1] = uint16(bits>>16), uint16(bits)
	if d.faults[Unimplemented] {
		regs[at.state], regs[at.bits], regs[at.bits+1] = 0xFFFF, 0xFFFF, 0xFFFF
	}
}

// scale is a scale factor so far.
func scale(scales map[int]int, p point) int {
	if sf, ok := scales[p.scale]; ok {
		return sf
	}
	return -3
}

// value is the point's number in its own unit, NaN when there is none.
func (d *Device) value(p point) float64 {
	v, ok := d.world.Get(p.channel)
	if !ok || d.faults[Unimplemented] {
		return math.NaN()
	}
	return v * p.factor
}

func putText(r []uint16, s string) {
	for i := range r {
		var c [2]byte
		copy(c[:], s[min(2*i, len(s)):])
		r[i] = uint16(c[0])<<8 | uint16(c[1])
	}
}
