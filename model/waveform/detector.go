package waveform

import (
	"fmt"
	"math"

	"fairwatt/model"
)

// A signal is a place in the rings: the ten waveform channels in the order of
// model (one phase, A, B, C, N; voltage, then current), then the two sums.
type signal int

const (
	voltage1 signal = iota
	voltageA
	voltageB
	voltageC
	voltageN
	current1
	currentA
	currentB
	currentC
	currentN
	sumVoltage
	sumCurrent
	numSignals

	numChannels = sumVoltage
)

const (
	minPerCycle  = 8
	maxRateHz    = 100e3
	foldAt       = 1 << 19 // samples; several times what the rings hold
	windowCycles = 12      // kept of each signal
)

func (s signal) channel() model.Channel { return model.VoltageVInst + model.Channel(s) }

// A HalfCycle is what is known after each half cycle.
type HalfCycle struct {
	TimeMs int64
	// RMS of the last whole cycle by waveform channel (RMS[c-model.VoltageVInst]);
	// NaN where it is not recorded or a sample was missing.
	RMS [10]float64
	// ResidualV and ResidualA are the RMS values of the sums of the phases, or
	// of the recorded neutral; NaN where unknown.
	ResidualV, ResidualA float64
}

// A Detector finds disturbances in sampled voltages and currents.
type Detector struct {
	cfg     Config
	has     [numSignals]bool // recorded, or computed
	used    []signal
	sumV    []signal // what the sums are made of
	sumI    []signal
	phasesV []signal
	phasesI []signal

	rate     float64
	perCycle float64
	ring     [numSignals][]float64
	at       int     // where the next sample goes
	filled   int     // samples since the windows were emptied
	nextHalf float64 // filled at the next half cycle
	lastMs   int64
	any      bool
	skipped  int64

	half    HalfCycle
	hasHalf bool
	window  windowState
	refs    [numSignals]reference
	conds   []condition
	alert   alertState
}

// New returns a detector for the waveform channels among channels. It is an
// error where there is none, or the configuration makes no sense.
func New(cfg Config, channels []model.Channel) (*Detector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	d := &Detector{cfg: cfg}
	for _, c := range channels {
		if c >= model.VoltageVInst && c <= model.CurrentNAInst {
			d.has[c-model.VoltageVInst] = true
		}
	}
	d.phasesV, d.sumV = d.phases(voltage1)
	d.phasesI, d.sumI = d.phases(current1)
	if cfg.NeutralConductor && d.has[currentN] && len(d.sumI) == 3 {
		d.sumI = append(d.sumI, currentN)
	}
	if cfg.NeutralConductor && len(d.sumI) == 1 { // the neutral alone is no residual
		d.sumI = nil
	}
	d.has[sumVoltage], d.has[sumCurrent] = len(d.sumV) > 0, len(d.sumI) > 0
	for s := range numSignals {
		if d.has[s] {
			d.used = append(d.used, s)
		}
	}
	if len(d.used) == 0 {
		return nil, fmt.Errorf("no waveform channel among %v", channels)
	}
	for i := range d.half.RMS {
		d.half.RMS[i] = math.NaN()
	}
	d.half.ResidualV, d.half.ResidualA = math.NaN(), math.NaN()
	d.watch()
	return d, nil
}

// phases returns the phases that are recorded of a quantity, and what its
// residual is made of: all three phases, else the neutral.
func (d *Detector) phases(one signal) (phases, sum []signal) {
	for s := one + 1; s <= one+3; s++ {
		if d.has[s] {
			phases = append(phases, s)
		}
	}
	if len(phases) == 3 {
		sum = append(sum, phases...)
	} else if d.has[one+4] {
		sum = []signal{one + 4}
	}
	if len(phases) == 0 && d.has[one] {
		phases = []signal{one}
	}
	return phases, sum
}

// Has says whether a trace with these channels has waveforms to judge.
func Has(channels []model.Channel) bool {
	for _, c := range channels {
		if c >= model.VoltageVInst && c <= model.CurrentNAInst {
			return true
		}
	}
	return false
}

// Skipped returns how many samples were not judged because their sampling rate
// is unknown, below 8 samples a cycle or above 100 kHz.
func (d *Detector) Skipped() int64 { return d.skipped }

// Half returns the newest half cycle, and whether there is one.
func (d *Detector) Half() (HalfCycle, bool) { return d.half, d.hasHalf }

// Push takes the next sample, at a sampling rate of rateHz, and returns what
// changed. Most samples return nothing.
func (d *Detector) Push(s *model.Sample, rateHz float64) []model.Event {
	if !(rateHz >= minPerCycle*d.cfg.NominalHz && rateHz <= maxRateHz) {
		d.skipped++
		d.filled = 0
		return nil
	}
	d.tune(rateHz)
	// Milliseconds are coarse; a gap is more than a cycle and the rounding.
	if d.any && s.TimeMs-d.lastMs > int64(1000/d.cfg.NominalHz)+2 {
		d.empty()
	}
	d.any, d.lastMs = true, s.TimeMs
	for _, i := range d.used {
		if i < numChannels {
			v, ok := s.Get(i.channel())
			if !ok {
				v = math.NaN()
			}
			d.ring[i][d.at] = v
		}
	}
	d.sum(sumVoltage, d.sumV)
	d.sum(sumCurrent, d.sumI)
	if d.at++; d.at == len(d.ring[d.used[0]]) {
		d.at = 0
	}
	d.filled++
	d.window.count(d)
	if float64(d.filled) < d.nextHalf {
		return nil
	}
	d.nextHalf += d.perCycle / 2
	if d.filled > foldAt { // on a 32-bit board the count would overflow within days
		d.filled -= foldAt / 2
		d.nextHalf -= foldAt / 2
	}
	d.measure(s.TimeMs)
	return d.judge()
}

func (d *Detector) sum(into signal, of []signal) {
	if len(of) == 0 {
		return
	}
	total := 0.0
	for _, s := range of {
		total += d.ring[s][d.at]
	}
	d.ring[into][d.at] = total
}

// tune follows the sampling rate. Recorders that lock it to the mains change
// it by parts of a percent; more than that is another recording.
func (d *Detector) tune(rateHz float64) {
	switch change := math.Abs(rateHz/d.rate - 1); {
	case d.rate > 0 && change < .005:
		return
	case d.rate > 0 && change < .05:
		d.rate, d.perCycle = rateHz, rateHz/d.cfg.NominalHz
		return
	}
	d.rate, d.perCycle = rateHz, rateHz/d.cfg.NominalHz
	size := int(d.perCycle*windowCycles*1.06) + 2
	// The content of the rings is overwritten before it is read again, so they are
	// reused: a rate that jumps at every sample costs no memory.
	for _, s := range d.used {
		d.ring[s] = resize(d.ring[s], size)
	}
	d.window.scratch = resize(d.window.scratch, size)
	d.empty()
}

func resize(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}

func (d *Detector) empty() {
	d.at, d.filled, d.nextHalf = 0, 0, d.perCycle
	d.window.restart()
}

// Gap says that the next sample does not follow the last: nothing is judged across.
// A gap of more than a cycle shows in the samples' times by itself.
func (d *Detector) Gap() {
	if d.rate > 0 {
		d.empty()
	}
}

// back returns the sample of a signal that is i samples old.
func (d *Detector) back(s signal, i int) float64 {
	at := d.at - 1 - i
	if at < 0 {
		at += len(d.ring[s])
	}
	return d.ring[s][at]
}

// cycleRMS is the RMS value of the last cycle; the oldest sample counts with
// the fraction by which the cycle is longer than whole samples.
func (d *Detector) cycleRMS(s signal) float64 {
	whole := int(d.perCycle)
	sum := 0.0
	for i := range whole {
		v := d.back(s, i)
		sum += float64(v * v)
	}
	if part := d.perCycle - float64(whole); part > 0 && d.filled > whole {
		v := d.back(s, whole)
		sum += float64(part * float64(v*v))
	}
	return math.Sqrt(sum / d.perCycle)
}

func (d *Detector) measure(tMs int64) {
	d.half.TimeMs, d.hasHalf = tMs, true
	for _, s := range d.used {
		switch v := d.cycleRMS(s); s {
		case sumVoltage:
			d.half.ResidualV = v
		case sumCurrent:
			d.half.ResidualA = v
		default:
			d.half.RMS[s] = v
		}
	}
}
