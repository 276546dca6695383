package modbusdevice

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"fairwatt/model"
)

// A Fault is a way to misbehave.
type Fault string

// The ways to misbehave.
const (
	Silent      Fault = "silent"       // answers nothing
	Busy        Fault = "busy"         // refuses with exception 6
	WrongUnit   Fault = "wrong_unit"   // answers as another unit
	WrongAnswer Fault = "wrong_answer" // answers another request: half of the registers
	Cut         Fault = "cut"          // ends in the middle of an answer
	Garbled     Fault = "garbled"      // a bit of the answer is turned
	Unmeasured  Fault = "unmeasured"   // has no value at all
)

// A Device is a register map and its faults. It is safe for concurrent use.
type Device struct {
	unit  byte
	table table

	mu      sync.Mutex
	words   map[int]uint16 // by address
	faults  map[Fault]bool
	refused int
	asked   int
}

// Names lists the devices there are, by the names of their maps.
func Names() []string { return slices.Sorted(maps.Keys(tables)) }

// Channels lists what a device measures.
func Channels(name string) (out []model.Channel) {
	for _, e := range tables[name].entries {
		if e.channel < model.NumChannels {
			out = append(out, e.channel)
		}
	}
	return out
}

// New makes a device without a world. unit is 1 to 247.
func New(name string, unit byte) (*Device, error) {
	t, ok := tables[name]
	if !ok {
		return nil, fmt.Errorf("no device %.60q is simulated", name)
	}
	if unit < 1 || unit > 247 {
		return nil, fmt.Errorf("unit %d is not within 1 and 247", unit)
	}
	d := &Device{unit: unit, table: t, faults: map[Fault]bool{}}
	d.Feed(&model.Sample{})
	return d, nil
}

// Feed sets the world.
func (d *Device) Feed(world *model.Sample) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.words = map[int]uint16{}
	for _, e := range d.table.entries {
		v, ok := 0.0, false
		if e.channel < model.NumChannels {
			v, ok = world.Get(e.channel)
		}
		for i, w := range e.as(v, ok && !d.faults[Unmeasured]) {
			d.words[e.register-d.table.first+i] = w
		}
	}
}

// Inject sets or clears a fault. Unmeasured counts from the next Feed on.
func (d *Device) Inject(f Fault, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[f] = on
}

// Refused is how many requests were no reads of registers.
func (d *Device) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// Asked is how many requests came.
func (d *Device) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// perform carries out a request. Caller holds mu.
func (d *Device) perform(pdu []byte) []byte {
	d.asked++
	refuse := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	if pdu[0] != 3 && pdu[0] != 4 {
		d.refused++
	}
	switch {
	case pdu[0] != 3 && pdu[0] != 4, pdu[0] == 3 && !d.table.holding, pdu[0] == 4 && !d.table.input:
		return refuse(1)
	case len(pdu) != 5:
		return refuse(3)
	case d.faults[Busy]:
		return refuse(6)
	}
	start, n := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	if n < 1 || n > 125 {
		return refuse(3)
	}
	if d.faults[WrongAnswer] {
		n = max(n/2, 1)
	}
	out := []byte{pdu[0], byte(2 * n)}
	for a := start; a < start+n; a++ {
		w, there := d.words[a]
		if !there {
			return refuse(2)
		}
		out = binary.BigEndian.AppendUint16(out, w)
	}
	return out
}

// Frame answers a frame of a serial line; nil if it is damaged, or for another.
func (d *Device) Frame(w []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(w) < 4 || w[0] != d.unit || d.faults[Silent] || checksum(w) != 0 {
		return nil
	}
	unit := d.unit
	if d.faults[WrongUnit] {
		unit++
	}
	out := append([]byte{unit}, d.perform(w[1:len(w)-2])...)
	out = binary.LittleEndian.AppendUint16(out, checksum(out))
	switch {
	case d.faults[Garbled]:
		out[len(out)/2] ^= 0x10
	case d.faults[Cut]:
		out = out[:len(out)-1]
	}
	return out
}

// checksum is Modbus's CRC by division of the reflected message, bit by bit. It
// differs from the reader's code on purpose: of a whole frame it is 0.
func checksum(b []byte) uint16 {
	rest := uint16(0xFFFF)
	for i := range 8 * len(b) {
		bit := uint16(b[i/8]>>(i%8))&1 ^ rest&1
		rest = rest>>1 ^ bit*0xA001
	}
	return rest
}
