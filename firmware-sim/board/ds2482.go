package board

import (
	"fmt"
	"math"
	"time"

	"fairwatt/model"
)

// A DS2482 drives a 1-Wire line with thermometers.
type DS2482 struct {
	Address uint16
	Sensors []DS18B20
}

// A DS18B20 measures one temperature of the world. Its part has the name that Linux
// gives it, such as 28-0000000000a1.
type DS18B20 struct {
	Serial  uint64        // 48 bits
	Channel model.Channel // equipment_temperature_c or temperature_c
	// Parasitic: it lives from its data line.
	Parasitic bool
}

// Name is the sensor's name.
func (c DS18B20) Name() string { return fmt.Sprintf("28-%012x", c.Serial) }

// ds2482 is the bridge (Maxim 19-4930), at standard speed.
type ds2482 struct {
	cfg  DS2482
	f    *faults
	line []*ds18b20

	pointer, config, data byte
	status                byte // without its busy bit
	idleAt                time.Duration
}

// Bits of the bridge's status, and its times.
const (
	oneBusy      = 0x01
	onePresence  = 0x02
	oneWasReset  = 0x10
	oneBit       = 0x20
	oneSecond    = 0x40
	oneTaken     = 0x80
	oneAtStatus  = 0xF0
	oneAtData    = 0xE1
	oneAtConfig  = 0xC3
	oneResetTime = 1130 * time.Microsecond
	oneSlot      = 70 * time.Microsecond
)

func newDS2482(cfg DS2482, f *faults) (*ds2482, error) {
	c := &ds2482{cfg: cfg, f: f}
	seen := map[uint64]bool{}
	for _, s := range cfg.Sensors {
		if s.Serial >= 1<<48 || seen[s.Serial] {
			return nil, fmt.Errorf("%s: two sensors of one number, or of more than 48 bits", s.Name())
		}
		if s.Channel != model.EquipmentTemperatureC && s.Channel != model.TemperatureC {
			return nil, fmt.Errorf("%s: %s is no temperature", s.Name(), s.Channel)
		}
		seen[s.Serial] = true
		d := &ds18b20{cfg: s, f: &faults{}}
		d.powerUp()
		c.line = append(c.line, d)
	}
	c.powerUp(0)
	return c, nil
}

func (c *ds2482) info() Part { return Part{Chip: "ds2482", Address: c.cfg.Address} }

func (c *ds2482) feed(s *model.Sample) {
	for _, d := range c.line {
		d.t, d.present = s.Get(d.cfg.Channel)
	}
}

// powerUp starts the sensors again too: they have the bridge's supply.
func (c *ds2482) powerUp(time.Duration) {
	c.reset()
	for _, d := range c.line {
		d.powerUp()
	}
}

func (c *ds2482) reset() {
	c.pointer, c.config, c.data, c.status, c.idleAt = oneAtStatus, 0, 0, oneWasReset, 0
}

func (c *ds2482) tx(now time.Duration, w, r []byte) bool {
	if len(w) > 0 && !c.command(now, w) {
		return false
	}
	for i := range r {
		switch c.pointer {
		case oneAtData:
			r[i] = c.data
		case oneAtConfig:
			r[i] = c.config
		default:
			r[i] = c.status
			if now < c.idleAt || c.f.stuckStatus {
				r[i] |= oneBusy
			}
			if c.f.wrongChip {
				r[i] = 0x04
			}
		}
	}
	return true
}

// command carries out one command. One for the line is not acknowledged while the line
// is busy.
func (c *ds2482) command(now time.Duration, w []byte) bool {
	var argument byte
	if len(w) > 1 {
		argument = w[1]
	}
	switch w[0] {
	case 0xF0:
		c.reset()
		return true
	case 0xD2:
		if argument>>4 == ^argument&0x0F {
			c.config = argument & 0x0F
		}
		c.status &^= oneWasReset
		c.pointer = oneAtConfig
		return true
	case 0xE1:
		c.pointer = argument
		return true
	}
	if now < c.idleAt {
		return false
	}
	c.pointer = oneAtStatus
	takes := 8 * oneSlot
	switch w[0] {
	case 0xB4:
		c.status &^= onePresence
		for _, d := range c.line {
			if d.hears() {
				d.begin()
				c.status |= onePresence
			}
		}
		takes = oneResetTime
	case 0xA5:
		for _, d := range c.line {
			if d.hears() {
				d.take(now, argument)
			}
		}
	case 0x96:
		c.data = 0xFF
		for _, d := range c.line { // the line is low if one of them pulls it down
			if d.hears() {
				c.data &= d.give()
			}
		}
	case 0x87:
		c.status |= oneBit
		for _, d := range c.line {
			if argument&0x80 != 0 && d.hears() && !d.slot(now) {
				c.status &^= oneBit
			}
		}
		takes = oneSlot
	case 0x78:
		c.triplet(argument&0x80 != 0)
		takes = 3 * oneSlot
	default:
		return false
	}
	c.idleAt = now + takes
	return true
}

// triplet is one step of a search: a bit of the numbers of those that are still asked,
// its complement, and the way that is taken.
func (c *ds2482) triplet(way bool) {
	bit, second := true, true
	for _, d := range c.line {
		if d.hears() && d.state == oneSearch {
			bit, second = bit && d.romBit(), second && !d.romBit()
		}
	}
	taken := way
	if bit != second { // no choice
		taken = bit
	}
	for _, d := range c.line {
		if d.state == oneSearch && d.romBit() != taken {
			d.state = oneOut
		}
		d.at++
	}
	c.status &^= oneBit | oneSecond | oneTaken
	for mask, on := range map[byte]bool{oneBit: bit, oneSecond: second, oneTaken: taken} {
		if on {
			c.status |= mask
		}
	}
}

// ds18b20 is a thermometer (Maxim 19-7487) at 12 bits.
type ds18b20 struct {
	cfg DS18B20
	f   *faults

	present   bool
	t         float64
	scratch   [8]byte
	converts  bool
	startedAt time.Duration

	state oneState
	at    int  // bytes, or bits of a search, since the state began
	wrong bool // its number was not the one that is matched
}

// A oneState is where a sensor stands in a message.
type oneState uint8

const (
	oneOut    oneState = iota // not asked
	oneROM                    // awaits a command about numbers
	oneMatch                  // compares its number
	oneSearch                 // is searched for
	oneAsked                  // awaits a command
	oneRead                   // gives its memory
	oneWrite                  // takes settings
	onePower                  // says how it is supplied
	oneWaited                 // says whether it converts
)

const dsConversion = 700 * time.Millisecond

func (d *ds18b20) hears() bool { return d.present && !d.f.noAnswer && !d.f.hung }

func (d *ds18b20) powerUp() {
	d.scratch = [8]byte{0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10} // 85 C
	d.converts, d.state = false, oneOut
	d.f.hung = false
}

func (d *ds18b20) rom() (r [8]byte) {
	r[0] = 0x28
	for i := range 6 {
		r[1+i] = byte(d.cfg.Serial >> (8 * i))
	}
	r[7] = crcOneWire(r[:7])
	return r
}

func (d *ds18b20) romBit() bool { r := d.rom(); return r[d.at/8%8]>>(d.at%8)&1 != 0 }

func (d *ds18b20) begin() { d.become(oneROM) }

func (d *ds18b20) become(s oneState) { d.state, d.at, d.wrong = s, 0, false }

// settle ends a conversion whose time has passed.
func (d *ds18b20) settle(now time.Duration) {
	if !d.converts || now-d.startedAt < dsConversion {
		return
	}
	d.converts = false
	if d.f.stuckValue {
		return
	}
	v := uint16(int16(math.Round(min(max(d.t, -55), 125.9) * 16)))
	d.scratch[0], d.scratch[1] = byte(v), byte(v>>8)
}

// take takes a byte from the line.
func (d *ds18b20) take(now time.Duration, b byte) {
	d.settle(now)
	switch d.state {
	case oneROM:
		d.become(map[byte]oneState{0x55: oneMatch, 0xCC: oneAsked, 0xF0: oneSearch}[b])
	case oneMatch:
		d.wrong = d.wrong || d.rom()[d.at] != b
		if d.at++; d.at < 8 {
			return
		}
		if d.wrong {
			d.become(oneOut)
			return
		}
		d.become(oneAsked)
	case oneAsked:
		d.become(map[byte]oneState{0x44: oneWaited, 0xBE: oneRead, 0x4E: oneWrite, 0xB4: onePower}[b])
		// A conversion takes more than the data line carries.
		if d.state == oneWaited && !d.f.stuckStatus {
			d.converts, d.startedAt = true, now
			if d.cfg.Parasitic {
				d.powerUp()
				d.become(oneWaited)
			}
		}
	case oneWrite:
		if d.at < 3 {
			d.scratch[2+d.at] = b
		}
		d.at++
	}
}

// give gives the next byte of the memory; all ones if it is not asked for that.
func (d *ds18b20) give() byte {
	if d.state != oneRead {
		return 0xFF
	}
	b := crcOneWire(d.scratch[:])
	if d.f.garbled {
		b ^= 0x08
	}
	if d.at < 8 {
		b = d.scratch[d.at]
	}
	d.at++
	return b
}

// slot is one bit read: false if the sensor pulls the line down.
func (d *ds18b20) slot(now time.Duration) bool {
	d.settle(now)
	return !(d.state == onePower && d.cfg.Parasitic || d.state == oneWaited && d.converts)
}

// crcOneWire is the checksum of 1-Wire by its polynomial, bit by bit.
func crcOneWire(b []byte) (crc byte) {
	for _, v := range b {
		for i := range 8 {
			feedback := (crc ^ v>>i) & 1
			crc >>= 1
			if feedback != 0 {
				crc ^= 0x8C
			}
		}
	}
	return crc
}

// addDS2482 adds a bridge and the sensors on its line.
func (b *Board) addDS2482(c DS2482) error {
	f := &faults{}
	bridge, err := newDS2482(c, f)
	if err != nil {
		return err
	}
	if err := b.addChip(bridge, f); err != nil {
		return err
	}
	for _, d := range bridge.line {
		name := d.cfg.Name()
		if b.faults[name] != nil {
			return fmt.Errorf("%s: two parts", name)
		}
		b.faults[name], b.oneWire[name] = d.f, d
		b.parts = append(b.parts, Part{Chip: "ds18b20", Pin: name, Channels: []model.Channel{d.cfg.Channel}})
	}
	return nil
}
