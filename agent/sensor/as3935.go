package sensor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/model"
)

// Registers, fields and times of the AS3935 (ams datasheet 1-03, section 8).
const (
	asGain     = 0x00 // [5:1] AFE_GB, [0] PWD
	asTuning   = 0x08 // [7] DISP_LCO, [6] DISP_SRCO, [5] DISP_TRCO, [3:0] TUN_CAP
	asTRCO     = 0x3A // [7] done, [6] failed; SRCO is the next
	asPreset   = 0x3C
	asCalibRCO = 0x3D
	asCommand  = 0x96 // the word that carries out the two above

	asIndoor     = 0b10010
	asOutdoor    = 0b01110
	asSpare      = 0x80 // of register 2: reserved, reads as 1
	asClearStats = 0x40 // of register 2
	// asMark is LCO_FDIV of register 3. It matters for tuning only. A chip that
	// loses its supply loses it too, and is found by that.
	asMark     = 0xC0
	asDispSRCO = 0x40 // of register 8
	asDone     = 0x80 // of a calibration register
	asNotOK    = 0x40

	asNoise     = 0x1 // INT_NH
	asDisturber = 0x4 // INT_D
	asLightning = 0x8 // INT_L

	asOverhead   = 0x01 // distances that are not kilometers
	asOutOfRange = 0x3F

	asIRQWait = 2 * time.Millisecond // from the rise of IRQ to a valid register 3
	asSettle  = 2 * time.Millisecond // commands and oscillators
	asDeaf    = 1500 * time.Millisecond
)

// asReset are registers 0 to 2 after PRESET_DEFAULT, without the reserved bits.
var asReset = [3]byte{asIndoor << 1, 0x22, 0x42}

// asDistances are the values that the distance register knows, in km.
var asDistances = [...]byte{40, 37, 34, 31, 27, 24, 20, 17, 14, 12, 10, 8, 6, 5}

// How the driver adapts.
const (
	asStartLevel  = 2 // NF_LEV, WDTH and SREJ after a reset, and their least
	asMaxNoise    = 7
	asMaxReject   = 10 // of WDTH and SREJ: above, near strokes are lost too
	asManyPerMin  = 4  // disturbers a minute that raise the rejection
	asDeafPerMin  = 20 // disturbers a minute that keep it deaf half the time
	asDecay       = time.Hour
	asRecovery    = time.Minute // without noise, to be trusted again
	asCountedSpan = time.Hour
)

// ErrDegraded: the detector works, but it is deaf from noise. Its "no lightning"
// would mean nothing.
var ErrDegraded = errors.New("detector deaf from noise")

// ErrInvalid: the datasheet does not know the value that the chip gives.
var ErrInvalid = errors.New("value without a meaning")

var asChannels = []model.Channel{model.LightningKM, model.LightningCount}

// KindAS3935 is the kind of an [AS3935].
const KindAS3935 = "as3935"

// AS3935Opts are the settings of an AS3935. Its default address is 0x03.
type AS3935Opts struct {
	// TuningCap is the antenna's tuning in steps of 8 pF, 0 to 15. The module's
	// maker prints it.
	TuningCap int `yaml:"tuning_cap,omitempty"`
	// Indoor is the more sensitive setting for a detector in a house.
	Indoor bool `yaml:"indoor,omitempty"`
	// IRQPin is the GPIO wired to IRQ. Recommended: without it an event in the last
	// 2 ms before a Read may be lost.
	IRQPin string `yaml:"irq_pin,omitempty"`
	// MinStrikes within 15 minutes before the first is reported: 1 (default), 5, 9
	// or 16.
	MinStrikes int `yaml:"min_strikes,omitempty"`
}

func (o AS3935Opts) withDefaults() Opts {
	orDefault(&o.MinStrikes, 1)
	return o
}

// place has the chip's three addresses. They are among those that UM10204 reserves.
func (AS3935Opts) place() place { return place{onI2C, "", 0x03, 0x01, 0x03} }

func (o AS3935Opts) check() error {
	if o.TuningCap < 0 || o.TuningCap > 15 {
		return fmt.Errorf("tuning_cap: %d is not within 0 and 15", o.TuningCap)
	}
	if !slices.Contains([]int{1, 5, 9, 16}, o.MinStrikes) {
		return fmt.Errorf("min_strikes: %d is none of 1, 5, 9, 16", o.MinStrikes)
	}
	return nil
}

func (o AS3935Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return newAS3935(o, c, buses)
}

// An AS3935 is a single lightning detector. It hears strokes to 40 km, and
// inverters, displays and motors nearby as well. One event alone is a hint, not a
// proof: the judgement asks for a second one or another witness. No independent field test of it is known.
type AS3935 struct {
	chip
	irq        gpio.PinIn // nil: polled
	gain       byte
	cap        byte
	minStrikes byte // the field's code

	noise, watchdog, spikes byte // the levels set
	changed                 time.Duration
	lastNoise               time.Duration // at the highest level
	noisy                   bool          // lastNoise means something
	noises, disturbers      history
	strokes                 history
	distance                byte
}

// AS3935Health says how well the detector hears.
type AS3935Health struct {
	NoisePerHour, DisturbersPerHour, StrokesPerHour int
	// NoiseLevel is 0 to 7, WatchdogThreshold and SpikeRejection 0 to 15; each
	// step makes the chip deafer.
	NoiseLevel, WatchdogThreshold, SpikeRejection int
	Degraded                                      bool
	// StormKM is the chip's estimate of the distance to the storm's edge as of
	// the last event; false while it knows none.
	StormKM    float64
	StormKnown bool
}

func newAS3935(o AS3935Opts, c chip, buses Buses) (*AS3935, error) {
	d := &AS3935{chip: c, gain: asOutdoor, cap: byte(o.TuningCap), distance: asOutOfRange}
	if o.Indoor {
		d.gain = asIndoor
	}
	d.minStrikes = map[int]byte{1: 0, 5: 1, 9: 2, 16: 3}[o.MinStrikes]
	if o.IRQPin == "" {
		return d, nil
	}
	p, err := buses.Pin(o.IRQPin)
	if err != nil {
		return nil, &Error{c.kind, o.IRQPin, 0, "open pin", err}
	}
	if err := p.In(gpio.Float, gpio.NoEdge); err != nil {
		return nil, &Error{c.kind, o.IRQPin, 0, "set up pin", err}
	}
	d.irq = p
	return d, nil
}

// Channels implements Sensor.
func (d *AS3935) Channels() []model.Channel { return asChannels }

// Health returns the events of the last hour and the present settings.
func (d *AS3935) Health() AS3935Health {
	now := d.clock.Now()
	h := AS3935Health{
		NoisePerHour:      d.noises.within(now, asCountedSpan),
		DisturbersPerHour: d.disturbers.within(now, asCountedSpan),
		StrokesPerHour:    d.strokes.within(now, asCountedSpan),
		NoiseLevel:        int(d.noise), WatchdogThreshold: int(d.watchdog), SpikeRejection: int(d.spikes),
		Degraded: d.degraded(now) != nil,
	}
	km, known, err := asKilometers(d.distance)
	h.StormKM, h.StormKnown = km, known && err == nil
	return h
}

// Read implements Sensor. lightning_count is 1 when a stroke was heard since
// the last Read and 0 when not. The chip keeps one event at a time: read it every
// second or so. lightning_km is given with a stroke within range only. Without an
// IRQ pin an event in the last 2 ms before a Read may be lost.
func (d *AS3935) Read(ctx context.Context, s *model.Sample) error {
	event, err := d.event(ctx)
	if err != nil {
		return failAll(s, asChannels, err)
	}
	now := d.clock.Now()
	d.note(event, now)
	if err := d.adapt(event, now); err != nil {
		return failAll(s, asChannels, err)
	}
	if event != asLightning {
		if err := d.degraded(now); err != nil {
			// The chip is well set up: no reason to begin again.
			return failAll(s, asChannels, &Error{d.kind, d.busName, d.addr, "listen", err})
		}
		s.Set(model.LightningCount, 0)
		s.Fail(model.LightningKM, model.Absent)
		return nil
	}
	s.Set(model.LightningCount, 1)
	km, known, err := asKilometers(d.distance)
	switch {
	case err != nil:
		s.Fail(model.LightningKM, model.SensorError)
		return &Error{d.kind, d.busName, d.addr, "read distance", err}
	case known:
		s.Set(model.LightningKM, km)
	default:
		s.Fail(model.LightningKM, model.Absent)
	}
	return nil
}

// asKilometers returns the distance of a register's value; known is false out of
// range.
func asKilometers(v byte) (km float64, known bool, err error) {
	switch v {
	case asOverhead:
		return 0, true, nil
	case asOutOfRange:
		return 0, false, nil
	}
	for _, km := range asDistances {
		if v == km {
			return float64(v), true, nil
		}
	}
	return 0, false, fmt.Errorf("%w: distance 0x%02x", ErrInvalid, v)
}

// event reads the newest event, 0 for none, and checks that the chip still has
// its settings: they are its sign of life.
func (d *AS3935) event(ctx context.Context) (byte, error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return 0, err
		}
		d.ready = true
	}
	if d.irq != nil && d.irq.Read() == gpio.High {
		if err := d.clock.Sleep(ctx, asIRQWait); err != nil {
			return 0, d.fail("await event", err)
		}
	}
	var r [8]byte
	if err := d.tx("read event", []byte{asGain}, r[:]); err != nil {
		return 0, err
	}
	want := d.settings()
	if r[0]&0x3F != want[0] || r[1]&0x7F != want[1] || r[2]&0x7F != want[2]&0x7F || r[3]&0xE0 != asMark {
		return 0, d.fail("read event", fmt.Errorf("%w: settings % x, want % x %02x", ErrWrongChip, r[:4], want, asMark))
	}
	d.distance = r[7] & 0x3F
	switch event := r[3] & 0x0F; event {
	case 0, asNoise, asDisturber, asLightning:
		return event, nil
	default:
		return 0, d.fail("read event", fmt.Errorf("%w: event 0x%x", ErrInvalid, event))
	}
}

// settings are registers 0 to 2 as they should read.
func (d *AS3935) settings() [3]byte {
	return [3]byte{d.gain << 1, d.noise<<4 | d.watchdog, asSpare | asClearStats | d.minStrikes<<4 | d.spikes}
}

// note counts an event.
func (d *AS3935) note(event byte, now time.Duration) {
	switch event {
	case asNoise:
		d.noises.add(now)
		if d.noise == asMaxNoise {
			d.lastNoise, d.noisy = now, true
		}
	case asDisturber:
		d.disturbers.add(now)
	case asLightning:
		d.strokes.add(now)
	}
}

// adapt raises the noise floor when noise is reported, and the rejection of
// disturbers when there are many; after an hour without a change each comes
// back by a step.
func (d *AS3935) adapt(event byte, now time.Duration) error {
	before := d.settings()
	switch {
	case event == asNoise && d.noise < asMaxNoise:
		d.noise++
	case event == asDisturber && now-d.changed >= time.Minute/asManyPerMin && d.disturbers.within(now, time.Minute) >= asManyPerMin:
		if d.watchdog <= d.spikes {
			d.watchdog = min(d.watchdog+1, asMaxReject)
		} else {
			d.spikes = min(d.spikes+1, asMaxReject)
		}
	case now-d.changed >= asDecay:
		d.noise = max(d.noise-1, asStartLevel)
		d.watchdog = max(d.watchdog-1, asStartLevel)
		d.spikes = max(d.spikes-1, asStartLevel)
		d.changed = now
	}
	after := d.settings()
	if after == before {
		return nil
	}
	d.changed = now
	return d.write("adapt", asGain+1, after[1], after[2])
}

// degraded returns why "no lightning" can not be believed now: noise is above the
// highest floor, or disturbers keep the chip deaf half of the time.
func (d *AS3935) degraded(now time.Duration) error {
	if d.noisy && now-d.lastNoise < asRecovery {
		return fmt.Errorf("%w: above the highest noise floor", ErrDegraded)
	}
	if n := d.disturbers.within(now, time.Minute); n >= asDeafPerMin {
		return fmt.Errorf("%w: %d disturbers in a minute, each %v", ErrDegraded, n, asDeaf)
	}
	return nil
}

// setup resets, identifies, tunes and calibrates the chip, and clears its memory
// of an earlier storm.
func (d *AS3935) setup(ctx context.Context) error {
	if err := d.command(ctx, "reset", asPreset, asCommand); err != nil {
		return err
	}
	var r [3]byte
	if err := d.tx("read settings", []byte{asGain}, r[:]); err != nil {
		return err
	}
	// It has no id: its settings after a reset stand in for one.
	if r[0]&0x3F != asReset[0] || r[1]&0x7F != asReset[1] || r[2]&0x7F != asReset[2] {
		return d.fail("read settings", fmt.Errorf("%w: % x after reset, want % x", ErrWrongChip, r, asReset))
	}
	if err := d.command(ctx, "tune", asTuning, d.cap); err != nil {
		return err
	}
	if err := d.calibrate(ctx); err != nil {
		return err
	}
	if d.noise == 0 { // the first time; later what was learned stays
		d.noise, d.watchdog, d.spikes = asStartLevel, asStartLevel, asStartLevel
		d.changed = d.clock.Now()
	}
	set := d.settings()
	if err := d.write("configure", asGain, set[0], set[1], set[2], asMark); err != nil {
		return err
	}
	for _, v := range []byte{set[2] &^ asClearStats, set[2]} { // high, low, high
		if err := d.write("clear statistics", asGain+2, v); err != nil {
			return err
		}
	}
	return nil
}

// write writes registers from reg on, one transfer each: the chip counts its
// address up for reads, but nothing says so for writes.
func (d *AS3935) write(op string, reg byte, values ...byte) error {
	for i, v := range values {
		if err := d.tx(op, []byte{reg + byte(i), v}, nil); err != nil {
			return err
		}
	}
	return nil
}

// calibrate lets the chip compare its two RC oscillators with the antenna
// (section "RCO calibration"). It is volatile: due after every power-up.
func (d *AS3935) calibrate(ctx context.Context) error {
	for _, step := range [][2]byte{{asCalibRCO, asCommand}, {asTuning, d.cap | asDispSRCO}, {asTuning, d.cap}} {
		if err := d.command(ctx, "calibrate", step[0], step[1]); err != nil {
			return err
		}
	}
	var r [2]byte
	if err := d.tx("read calibration", []byte{asTRCO}, r[:]); err != nil {
		return err
	}
	for i, name := range []string{"TRCO", "SRCO"} {
		switch {
		case r[i]&asNotOK != 0:
			return d.fail("calibrate", fmt.Errorf("%w: %s failed; antenna out of tune, see tuning_cap", ErrNotReady, name))
		case r[i]&asDone == 0:
			return d.fail("calibrate", fmt.Errorf("%w: %s not done", ErrNotReady, name))
		}
	}
	return nil
}

// command writes one register and lets it take effect.
func (d *AS3935) command(ctx context.Context, op string, reg, v byte) error {
	if err := d.tx(op, []byte{reg, v}, nil); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, asSettle); err != nil {
		return d.fail(op, err)
	}
	return nil
}

// history is when the newest events of a kind were, oldest first.
type history []time.Duration

// maxHistory is more than an hour can hold with the chip's pauses.
const maxHistory = 4096

func (h *history) add(now time.Duration) {
	for len(*h) > 0 && (now-(*h)[0] > asCountedSpan || len(*h) >= maxHistory) {
		*h = (*h)[1:]
	}
	*h = append(*h, now)
}

func (h history) within(now, span time.Duration) int {
	n := 0
	for i := len(h) - 1; i >= 0 && now-h[i] <= span; i-- {
		n++
	}
	return n
}
