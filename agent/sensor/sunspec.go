package sensor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"fairwatt/agent/modbus"
	"fairwatt/model"
)

// Limits of a SunSpec device.
const (
	sunMarkerHi, sunMarkerLo = 0x5375, 0x6E53 // "SunS"
	sunEnd                   = 0xFFFF
	sunMaxModels             = 64
	sunCommonLen             = 66 // registers behind the common model's header
	sunRetry                 = 5 * time.Second
	sunPatience              = 3 // failures in a row before a pause
)

// sunBases are where the marker may stand, in the order to look.
var sunBases = []int{40000, 0, 50000}

// Dialers is implemented by Buses that reach devices over a network in their
// own way; without it the system's is used.
type Dialers interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// KindSunSpec is the kind of a [SunSpec].
const KindSunSpec = "sunspec"

// SunSpecOpts are the settings of a SunSpec device. Its address is its unit, 1 (default) to 247,
// often 126.
type SunSpecOpts struct {
	// Endpoint is "host:port"; port 502 if left out.
	Endpoint string `yaml:"endpoint,omitempty"`
	// Channels are those to be read of what the device has. Default power_w,
	// frequency_hz, energy_export_wh and inverter_events.
	Channels []model.Channel `yaml:"channels,omitempty"`
	// Timeout of one exchange, default 1 s, 50 ms to 10 s.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// MaxPowerW is more than the device can ever have measured, default 10 MW: its
	// energy register goes no faster.
	MaxPowerW float64 `yaml:"max_power_w,omitempty"`
	// Invert turns the sign of powers and power factors. The standard leaves it to a
	// meter whether energy that is fed in or drawn is positive.
	Invert bool `yaml:"invert,omitempty"`
}

// sunMaxPowerW is a plant of a kind that SunSpec devices stand in.
const sunMaxPowerW = 10e6

func (o SunSpecOpts) withDefaults() Opts {
	orDefault(&o.Timeout, time.Second)
	orDefault(&o.MaxPowerW, sunMaxPowerW)
	if len(o.Channels) == 0 {
		o.Channels = []model.Channel{model.PowerW, model.FrequencyHz, model.EnergyExportWh, model.InverterEvents}
	}
	if o.Endpoint != "" && !strings.Contains(o.Endpoint, ":") {
		o.Endpoint += ":502"
	}
	return o
}

func (o SunSpecOpts) place() place { return atNetwork(o.Endpoint) }

func (o SunSpecOpts) check() error {
	if _, _, err := net.SplitHostPort(o.Endpoint); err != nil {
		return fmt.Errorf("endpoint: %q is no host:port", o.Endpoint)
	}
	if o.Timeout < 50*time.Millisecond || o.Timeout > 10*time.Second {
		return fmt.Errorf("timeout: %v is not within 50ms and 10s", o.Timeout)
	}
	if err := checkMaxPower(o.MaxPowerW); err != nil {
		return err
	}
	for i, ch := range o.Channels {
		if slices.Contains(o.Channels[:i], ch) {
			return fmt.Errorf("channels[%d]: %s twice", i, ch)
		}
		known := ch == model.InverterEvents
		for _, points := range sunModels {
			known = known || slices.ContainsFunc(points, func(p sunPoint) bool { return p.channel == ch })
		}
		if !known {
			return fmt.Errorf("channels[%d]: no SunSpec model read here gives %s", i, ch)
		}
	}
	return nil
}

func (o SunSpecOpts) open(cfg Config, buses Buses) (Sensor, error) {
	return newSunSpec(o, cfg, buses), nil
}

// A SunSpec reads an inverter, a meter or a weather station that speaks SunSpec over
// Modbus TCP: models 101 to 103, 111 to 113, 160, 201 to 204, 302, 307 and 701. It only
// ever reads.
//
// Its time limits are those of the network and so of the wall's clock.
type SunSpec struct {
	register
	name, endpoint string
	unit           byte
	timeout        time.Duration
	invert         bool
	channels       []model.Channel
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
	clock          Clock // of register too

	conn    net.Conn // nil when there is none
	next    uint16   // transaction
	walk    *sunWalk // discovery under way
	found   []sunFound
	device  SunSpecDevice
	fails   int           // in a row
	failed  error         // why there is no connection
	retryAt time.Duration // not before this
}

// A sunWalk is how far discovery has come. It goes on after a time-out, so that
// a slow device with many models is found through in several Reads.
type sunWalk struct {
	next   int // register of the next model
	found  []sunFound
	device SunSpecDevice
}

// A sunFound is a model in the device.
type sunFound struct {
	id    uint16
	start int // register of the ID
	size  int // registers, with the header
}

// A SunSpecDevice says what answered.
type SunSpecDevice struct {
	Manufacturer, Model, Version, Serial string
	Models                               []uint16 // all, in their order
	// State and Events are the inverter's own as of the last Read: St and Evt1
	// of models 101 to 113, InvSt and Alrm of 701. Bits 0 (ground fault), 12
	// (blown string fuse) and 15 (hardware test failure) ask for a person.
	State  uint16
	Events uint32
}

func newSunSpec(o SunSpecOpts, cfg Config, buses Buses) *SunSpec {
	d := &SunSpec{
		name: cfg.Name, endpoint: o.Endpoint, unit: byte(cfg.Address), timeout: o.Timeout, invert: o.Invert,
		channels: slices.Clone(o.Channels), clock: clockOf(buses), dial: (&net.Dialer{}).DialContext,
	}
	d.register = register{clock: d.clock, maxPowerW: o.MaxPowerW}
	if b, ok := buses.(Dialers); ok {
		d.dial = b.DialContext
	}
	return d
}

// Name implements Sensor.
func (d *SunSpec) Name() string { return d.name }

// Channels implements Sensor.
func (d *SunSpec) Channels() []model.Channel { return d.channels }

// Device tells what answered; empty before the first good Read.
func (d *SunSpec) Device() SunSpecDevice { return d.device }

// Halt implements Sensor: it closes the connection.
func (d *SunSpec) Halt() error {
	if d.conn == nil {
		return nil
	}
	err := d.conn.Close()
	d.conn = nil
	if err != nil {
		return d.fail("close", err)
	}
	return nil
}

func (d *SunSpec) fail(op string, err error) error {
	return &Error{KindSunSpec, d.endpoint, uint16(d.unit), op, err}
}

// Read implements Sensor. A channel that no model of the device implements is
// failed with ErrSkipped, the others are given. After a failed connection, or
// three failures in a row, the next attempt is made 5 s later, so that a device
// that is off at night does not hold up the other sensors.
func (d *SunSpec) Read(ctx context.Context, s *model.Sample) error {
	values, err := d.measure(ctx)
	if err != nil {
		d.giveUp(err)
		return failAll(s, d.channels, err)
	}
	d.fails = 0
	var missing []string
	var jumped error
	meter, bills := billing(d.channels)
	for _, ch := range d.channels {
		v, ok := values[ch]
		if ok && bills && ch == meter {
			d.stepWh = v.step
			jumped = d.set(s, ch, v.v)
			continue
		}
		if ok {
			s.SetStep(ch, v.v, v.step)
			continue
		}
		s.Fail(ch, model.SensorError)
		missing = append(missing, ch.String())
	}
	if missing != nil {
		return d.fail("read", fmt.Errorf("%w: %s, models %v", ErrSkipped, strings.Join(missing, " "), d.device.Models))
	}
	if jumped != nil {
		return d.fail("read", jumped)
	}
	return nil
}

// giveUp ends a connection that has failed; one that works and carries refusals
// stays.
func (d *SunSpec) giveUp(err error) {
	var refused *modbus.Exception
	if errors.As(err, &refused) || d.conn == nil {
		return
	}
	_ = d.conn.Close() // given up; its error says nothing more
	d.conn = nil
	if d.fails++; d.fails >= sunPatience {
		d.failed, d.retryAt = err, d.clock.Now()+sunRetry
	}
}

func (d *SunSpec) measure(ctx context.Context) (map[model.Channel]sunValue, error) {
	if err := d.connect(ctx); err != nil {
		return nil, err
	}
	values := map[model.Channel]sunValue{}
	for _, m := range d.found {
		points := m.points()
		regs, err := d.content(ctx, m, m.needed(points))
		if err != nil {
			return nil, d.fail(fmt.Sprintf("read model %d", m.id), err)
		}
		if regs[0] != m.id || int(regs[1])+2 != m.size {
			d.found = nil // its map has changed; the next Read looks through it again
			return nil, d.fail("read", fmt.Errorf("%w: model %d of %d registers where %d was", ErrWrongChip, regs[0], regs[1], m.id))
		}
		if err := d.take(values, points, regs); err != nil {
			return nil, d.fail(fmt.Sprintf("read model %d", m.id), err)
		}
		if at, ok := sunEvents[m.id]; ok && at.events+2 <= len(regs) {
			d.device.State, d.device.Events = regs[at.state], uint32(sunUint(regs[at.events:], 2))
			d.events(values, at.fault)
		}
		if bits, told := sunInputEvents(regs); told && m.id == sunMPPT {
			values[model.InverterEvents] = sunValue{v: float64(bits | uint64(values[model.InverterEvents].v))}
		}
	}
	return values, nil
}

// content reads the first n registers of a model, in as many requests as they take.
func (d *SunSpec) content(ctx context.Context, m sunFound, n int) ([]uint16, error) {
	regs := make([]uint16, 0, n)
	for len(regs) < n {
		part, err := d.registers(ctx, m.start+len(regs), min(n-len(regs), modbus.MaxRead))
		if err != nil {
			return nil, err
		}
		regs = append(regs, part...)
	}
	return regs, nil
}

// events adds what the inverter says of itself. One that gives neither a state nor
// event bits says nothing. Several models each have their word.
func (d *SunSpec) events(values map[model.Channel]sunValue, fault uint16) {
	state, events := d.device.State, d.device.Events
	if state == sunNoState && events == sunNoEvents {
		return
	}
	var bits uint64
	if events != sunNoEvents {
		bits = uint64(events)
	}
	if state == fault {
		bits |= model.InverterFault
	}
	bits |= uint64(values[model.InverterEvents].v)
	values[model.InverterEvents] = sunValue{v: float64(bits)}
}

// take adds a model's values to those of the models before it, which go first.
func (d *SunSpec) take(values map[model.Channel]sunValue, points []sunPoint, regs []uint16) error {
	own := map[model.Channel]sunValue{}
	for _, p := range points {
		v, ok, err := p.value(regs)
		if err != nil {
			return fmt.Errorf("%s: %w", p.channel, err)
		}
		if d.invert && signed(p.channel) {
			v.v = -v.v
		}
		before, twice := own[p.channel]
		switch {
		case !ok:
		case twice && p.channel == model.DCCurrentA:
			own[p.channel] = sunValue{before.v + v.v, v.step}
		case !twice || v.v > before.v:
			own[p.channel] = v
		}
	}
	for ch, v := range own {
		if _, known := values[ch]; !known {
			values[ch] = v
		}
	}
	return nil
}

// signed says whether a channel has the sign of the flow of power.
func signed(c model.Channel) bool {
	return c >= model.PowerW && c <= model.PowerCW || c >= model.PowerFactor && c <= model.PowerFactorC
}

// needed is how much of a model its points need.
func (m sunFound) needed(points []sunPoint) int {
	n := 2
	for _, p := range points {
		n = max(n, p.offset+p.form.registers(), p.scale+1)
	}
	if at, ok := sunEvents[m.id]; ok {
		n = max(n, at.events+2)
	}
	if m.id == sunMPPT {
		n = m.size // events stand behind the points
	}
	return min(n, m.size)
}

// connect dials and looks the device through, if that is not done.
func (d *SunSpec) connect(ctx context.Context) error {
	if d.conn == nil {
		if d.failed != nil && d.clock.Now() < d.retryAt {
			return d.failed
		}
		dial, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		conn, err := d.dial(dial, "tcp", d.endpoint)
		if err != nil {
			d.failed, d.retryAt = d.fail("connect", fmt.Errorf("%w: %w", ErrNoChip, err)), d.clock.Now()+sunRetry
			return d.failed
		}
		d.conn, d.failed, d.found = conn, nil, nil
	}
	if d.found != nil {
		return nil
	}
	if err := d.discover(ctx); err != nil {
		var refused *modbus.Exception
		if !errors.Is(err, ErrNotReady) && !errors.As(err, &refused) {
			d.walk = nil // begins again
		}
		return d.fail("discover", err)
	}
	d.found, d.device, d.walk = d.walk.found, d.walk.device, nil
	return nil
}

// discover finds the marker and walks from model to model.
func (d *SunSpec) discover(ctx context.Context) error {
	if d.walk == nil {
		start, err := d.marker(ctx)
		if err != nil {
			return err
		}
		d.walk = &sunWalk{next: start}
	}
	w := d.walk
	for len(w.device.Models) < sunMaxModels {
		if w.next+2 > 0x10000 {
			return fmt.Errorf("%w: models beyond the last register", modbus.ErrFrame)
		}
		head, err := d.registers(ctx, w.next, 2)
		// Some devices have no end model: the list ends where they refuse the
		// address, or at a model 0. Behind a known model that is believed.
		var refused *modbus.Exception
		if errors.As(err, &refused) && refused.Code == modbus.IllegalAddress && len(w.found) > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		m := sunFound{head[0], w.next, int(head[1]) + 2}
		if m.id == sunEnd || m.id == 0 && len(w.found) > 0 {
			if len(w.found) == 0 {
				return fmt.Errorf("%w: none of its models %v can be read", ErrWrongChip, w.device.Models)
			}
			return nil
		}
		if err := d.visit(ctx, m); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: no end after %d models", modbus.ErrFrame, sunMaxModels)
}

// visit notes a model and steps to the next.
func (d *SunSpec) visit(ctx context.Context, m sunFound) error {
	w := d.walk
	if m.start+m.size > 0x10000 {
		return fmt.Errorf("%w: model %d of %d registers at %d", modbus.ErrFrame, m.id, m.size-2, m.start)
	}
	if m.id == 1 && m.size >= sunCommonLen {
		r, err := d.registers(ctx, m.start, sunCommonLen)
		if err != nil {
			return err
		}
		w.device.Manufacturer, w.device.Model = sunText(r[2:18]), sunText(r[18:34])
		w.device.Version, w.device.Serial = sunText(r[42:50]), sunText(r[50:66])
	}
	if _, ok := sunModels[m.id]; ok {
		w.found = append(w.found, m)
	}
	w.device.Models = append(w.device.Models, m.id)
	w.next += m.size
	return nil
}

// marker returns the register behind "SunS". A base that the device refuses is
// not it.
func (d *SunSpec) marker(ctx context.Context) (int, error) {
	var refused, other *modbus.Exception
	for _, base := range sunBases {
		r, err := d.registers(ctx, base, 2)
		switch {
		case errors.As(err, &refused):
			if refused.Code != modbus.IllegalAddress {
				other = refused // busy, or failed: no sign of another device
			}
		case err != nil:
			return 0, err
		case r[0] == sunMarkerHi && r[1] == sunMarkerLo:
			return base + 2, nil
		}
	}
	if other != nil {
		return 0, fmt.Errorf("%w: no SunSpec marker was read: %w", ErrNotReady, other)
	}
	return 0, fmt.Errorf("%w: no SunSpec marker at %v", ErrWrongChip, sunBases)
}

// registers is one exchange.
func (d *SunSpec) registers(ctx context.Context, start, count int) ([]uint16, error) {
	d.next++
	ask := modbus.ReadRegisters(modbus.Holding, uint16(start), uint16(count))
	answer, err := modbus.OverTCP(ctx, d.conn, d.timeout, d.next, d.unit, ask)
	if err != nil {
		return nil, modbusClass(err)
	}
	return ask.Registers(answer)
}
