package sensor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fairwatt/model"
)

// Registers and settings of the ADS1115 (SBAS444D, section 9.6).
const (
	adsConversion = 0
	adsConfig     = 1
	adsLow        = 2
	adsHigh       = 3
	adsStart      = 1 << 15 // writing: start; reading: no conversion is running
	adsSingle     = 1 << 8
	adsRate860    = 7 << 5
	adsNoAlert    = 3
	adsPeriod     = time.Second / 860
	adsLimit      = 20 * time.Millisecond
	adsPause      = 100 * time.Microsecond
	// adsMaxSamples bounds a window: 100 cycles at 10 Hz at 860 SPS.
	adsMaxSamples = 10000
	// adsPatience bounds, in windows, how long one without a gap is looked for.
	adsPatience = 6
	// adsLate is how much longer than the quickest a transfer may take before the
	// moment of its conversion is in doubt.
	adsLate = 200 * time.Microsecond
	// adsLost bounds how many conversions of a window a loose contact may take.
	adsLost = 5
	// adsStale bounds how many edges of before are thrown away.
	adsStale = 64
)

// KindADS1115 is the kind of an [ADS1115].
const KindADS1115 = "ads1115"

// ADS1115Opts are the settings of an ADS1115. Its default address is 0x48.
type ADS1115Opts struct {
	// Inputs are the signals on AIN0..AIN3. One of voltage_* gives the frequency.
	Inputs []InputConfig `yaml:"inputs,omitempty"`
	// ReadyPin is the GPIO wired to ALERT/RDY. With it the chip runs continuously
	// while it is read, and each conversion has the time of its edge; without it each
	// conversion is started and polled (about 650 a second on a 400 kHz bus).
	ReadyPin string `yaml:"ready_pin,omitempty"`
	// Cycles is the measuring window, default 10 (200 ms at 50 Hz, IEC
	// 61000-4-30).
	Cycles int `yaml:"cycles,omitempty"`
	// NominalHz sizes the window: 50 (default) or 60.
	NominalHz float64 `yaml:"nominal_frequency_hz,omitempty"`
}

func (o ADS1115Opts) withDefaults() Opts {
	orDefault(&o.Cycles, 10)
	orDefault(&o.NominalHz, 50)
	o.Inputs = slices.Clone(o.Inputs)
	for i := range o.Inputs {
		o.Inputs[i].withVaneDefaults()
		orDefault(&o.Inputs[i].RangeV, 2.048)
	}
	return o
}

func (o ADS1115Opts) place() place { return atI2C(0x48).withLine(o.ReadyPin) }

func (o ADS1115Opts) check() error {
	if len(o.Inputs) == 0 || len(o.Inputs) > 4 {
		return fmt.Errorf("inputs: %d of them, not 1 to 4", len(o.Inputs))
	}
	seen := map[model.Channel]bool{}
	for i, in := range o.Inputs {
		if !canMeasure(in.Channel) {
			return fmt.Errorf("inputs[%d].channel: %s is no voltage, current, leakage current or wind direction", i, in.Channel)
		}
		if seen[in.Channel] {
			return fmt.Errorf("inputs[%d].channel: %s twice", i, in.Channel)
		}
		seen[in.Channel] = true
		if _, ok := adsMux[in.Input]; !ok {
			return fmt.Errorf("inputs[%d].input: %q is no input", i, in.Input)
		}
		if _, ok := adsRange[in.RangeV]; !ok {
			return fmt.Errorf("inputs[%d].range_v: the chip has no range of %g V", i, in.RangeV)
		}
		if err := in.checkVane(); err != nil {
			return fmt.Errorf("inputs[%d].%w", i, err)
		}
		if !within(in.Scale, 1e-6, 1e6) {
			return fmt.Errorf("inputs[%d].scale: %g is not within 0.000001 and 1000000", i, in.Scale)
		}
	}
	if o.Cycles < 2 || o.Cycles > 100 {
		return fmt.Errorf("cycles: %d is not within 2 and 100", o.Cycles)
	}
	if !within(o.NominalHz, 10, 100) {
		return fmt.Errorf("nominal_frequency_hz: %g is not within 10 and 100", o.NominalHz)
	}
	return nil
}

func (o ADS1115Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return newADS1115(o, c, buses)
}

// An InputConfig is one input of an ADS1115.
type InputConfig struct {
	// Channel is what is measured: voltage_v, current_a or one of a phase as RMS;
	// dc_voltage_v or dc_current_a as mean, with its sign; leakage_ma as RMS, of a
	// transformer around all live conductors; wind_direction_deg of a vane whose
	// resistance changes with its direction.
	Channel model.Channel `yaml:"channel"`
	// Input is "0" to "3" against ground, or "0-1", "0-3", "1-3", "2-3".
	Input string `yaml:"input"`
	// Scale is volts (or amperes, or mA of leakage) at the line for a volt at the
	// input, so that a clamp of 100 A : 1 V has 100.
	Scale float64 `yaml:"scale"`
	// RangeV is the converter's range: 6.144, 4.096, 2.048 (default), 1.024,
	// 0.512 or 0.256 V.
	RangeV float64 `yaml:"range_v,omitempty"`
	// PullupOhm is the resistor from the supply to a vane, and SupplyV the supply: 10
	// kohm and 3.3 V if left out. A vane needs no scale; its range is 4.096 V.
	PullupOhm float64 `yaml:"pullup_ohm,omitempty"`
	SupplyV   float64 `yaml:"supply_v,omitempty"`
}

// stepV is the converter's step at the input.
func (in InputConfig) stepV() float64 { return in.RangeV / 32768 }

var adsMux = map[string]uint16{"0-1": 0, "0-3": 1, "1-3": 2, "2-3": 3, "0": 4, "1": 5, "2": 6, "3": 7}

var adsRange = map[float64]uint16{6.144: 0, 4.096: 1, 2.048: 2, 1.024: 3, 0.512: 4, 0.256: 5}

// An ADS1115 samples AC voltages and currents and reduces them to RMS values
// and frequency over whole cycles.
type ADS1115 struct {
	chip
	inputs    []InputConfig
	channels  []model.Channel
	frequency int // index of the input that gives the frequency, -1 for none
	cycles    int
	nominal   float64
	rdy       EdgeLine      // nil: polled
	samples   []point       // kept for reuse
	low       bool          // the input clipped at its negative end
	begun     time.Duration // when the chip was set to the present input
	carried   edgeSeen      // an edge whose conversion is still to be read
	quickest  time.Duration // transfer that started a conversion
	waves     [][]float64   // of the inputs, as of the last Read
	rates     []float64     // their samples a second
	period    time.Duration // of a conversion, as measured on the last window
}

func isACVoltage(c model.Channel) bool {
	return c == model.VoltageV || c >= model.VoltageAV && c <= model.VoltageNV
}

func isACCurrent(c model.Channel) bool { return c >= model.CurrentA && c <= model.CurrentNA }

func isDC(c model.Channel) bool { return c == model.DCVoltageV || c == model.DCCurrentA }

// canMeasure are the channels that an input may have.
func canMeasure(c model.Channel) bool {
	return isACVoltage(c) || isACCurrent(c) || isSteady(c) || c == model.LeakageMA
}

// isSteady says of a channel that its input does not alternate.
func isSteady(c model.Channel) bool { return isDC(c) || c == model.WindDirectionDeg }

func newADS1115(o ADS1115Opts, c chip, buses Buses) (*ADS1115, error) {
	d := &ADS1115{chip: c, frequency: -1, cycles: o.Cycles, nominal: o.NominalHz}
	// Voltages first: the frequency found on them sets the windows of the rest.
	for _, voltage := range []bool{true, false} {
		for _, in := range o.Inputs {
			if isACVoltage(in.Channel) != voltage {
				continue
			}
			if voltage && d.frequency < 0 && in.Channel != model.VoltageNV {
				d.frequency = len(d.inputs)
			}
			d.inputs = append(d.inputs, in)
			d.channels = append(d.channels, in.Channel)
		}
	}
	if d.frequency >= 0 {
		d.channels = append(d.channels, model.FrequencyHz)
	}
	d.waves, d.rates = make([][]float64, len(d.inputs)), make([]float64, len(d.inputs))
	if o.ReadyPin == "" {
		return d, nil
	}
	line, err := openEdges(c.kind, o.ReadyPin, buses)
	if err != nil {
		return nil, err
	}
	d.rdy = line
	return d, nil
}

// Halt implements Sensor: it gives the ready pin back.
func (d *ADS1115) Halt() error {
	if d.rdy == nil {
		return nil
	}
	return d.rdy.Close()
}

// Channels implements Sensor.
func (d *ADS1115) Channels() []model.Channel { return d.channels }

// Read implements Sensor; it takes a window of cycles+1.5 periods for each
// input. A line without voltage reads 0 V and has no frequency: the channel
// is then absent, which is no error of the sensor.
func (d *ADS1115) Read(ctx context.Context, s *model.Sample) error {
	for _, ch := range d.channels {
		s.Fail(ch, model.SensorError)
	}
	for i := range d.waves {
		d.waves[i] = d.waves[i][:0]
	}
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return err
		}
		d.ready = true
	}
	var first error
	var hz float64
	for i, in := range d.inputs {
		err := d.sample(ctx, in)
		if err == nil && in.Channel == model.WindDirectionDeg {
			if err = d.pointTo(s, in); err == nil {
				continue
			}
		}
		if err == nil {
			d.keepWave(i, in)
			hz = d.take(s, i, in, hz)
			continue
		}
		if errors.Is(err, ErrSaturated) && in.Channel != model.WindDirectionDeg {
			s.Saturate(in.Channel, !d.low || !isDC(in.Channel))
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", in.Channel, err)
		}
		if !d.ready && ctx.Err() != nil {
			break
		}
	}
	return first
}

// take sets what a window of input i says, and returns the line's frequency as far
// as it is known, 0 if it is not.
func (d *ADS1115) take(s *model.Sample, i int, in InputConfig, hz float64) float64 {
	assumed := hz
	if assumed == 0 {
		assumed = d.nominal
	}
	if isDC(in.Channel) {
		s.SetStep(in.Channel, analyse(d.samples, d.cycles, assumed).mean*in.Scale, in.stepV()*in.Scale)
		return hz
	}
	w := analyse(d.samples, d.cycles, hz)
	if i == d.frequency {
		// Below one per cent of the range it is noise that crosses zero.
		if w.rms < in.RangeV/100 || w.hz == 0 {
			s.Fail(model.FrequencyHz, model.Absent)
		} else {
			hz, assumed = w.hz, w.hz
			s.Set(model.FrequencyHz, hz)
		}
	}
	s.SetStep(in.Channel, w.rms*in.Scale/d.droop(assumed), in.stepV()*in.Scale/math.Sqrt(float64(len(d.samples))))
	return hz
}

// setup checks that registers keep what is written: the chip has no id.
func (d *ADS1115) setup(ctx context.Context) error {
	low, high := uint16(0x8000), uint16(0x7FFF)
	if d.rdy != nil {
		// High threshold's top bit 1 and low threshold's 0 turn ALERT into a
		// conversion-ready output (9.3.8).
		low, high = 0, 0x8000
	}
	for _, r := range []struct {
		op  string
		reg byte
		v   uint16
	}{{"set low threshold", adsLow, low}, {"set high threshold", adsHigh, high}} {
		if err := d.write16(r.op, r.reg, r.v); err != nil {
			return err
		}
		got, err := d.read16(r.op, r.reg)
		if err != nil {
			return err
		}
		if got != r.v {
			return d.fail(r.op, fmt.Errorf("%w: register %d holds 0x%04x, want 0x%04x", ErrWrongChip, r.reg, got, r.v))
		}
	}
	return ctx.Err()
}
