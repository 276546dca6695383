package waveform

import (
	"math"
	"math/cmplx"

	"fairwatt/model"
)

// A Window sums up 10 cycles at 50 Hz, 12 at 60 Hz (about 200 ms). Quantities
// that are not known are NaN. Arrays are by waveform channel from
// model.VoltageVInst.
type Window struct {
	TimeMs      int64   // its last sample
	FrequencyHz float64 // of the first voltage that shows one, else of a current
	RMS         [10]float64
	THD         [10]float64 // part of the fundamental
	Crest       [10]float64
	// ZeroV, PositiveV and NegativeV are the symmetrical components of the
	// voltages, RMS; Unbalance is negative over positive. Currents likewise.
	ZeroV, PositiveV, NegativeV, UnbalanceV float64
	ZeroA, PositiveA, NegativeA             float64
	// Flagged windows contain a disturbance or a missing sample and are not for
	// statistics (IEC 61000-4-30, 4.7).
	Flagged bool
}

// windowState counts towards the next window.
type windowState struct {
	n       int
	flagged bool
	last    Window
	has     bool
	scratch []float64
}

func (w *windowState) restart() { w.n, w.flagged = 0, false }

func (w *windowState) flag(healthy bool) { w.flagged = w.flagged || !healthy }

// cycles of a window: the number that is nearest to 200 ms.
func (d *Detector) cycles() float64 { return min(windowCycles, max(1, math.Round(d.cfg.NominalHz/5))) }

func (w *windowState) count(d *Detector) {
	if w.n++; float64(w.n) < d.cycles()*d.perCycle {
		return
	}
	w.last, w.has = d.summarise(min(w.n, len(w.scratch)), w.flagged), true
	w.restart()
}

// Window returns the newest window, and whether there is one.
func (d *Detector) Window() (Window, bool) { return d.window.last, d.window.has }

// samples copies the last n samples of a signal in order of time.
func (d *Detector) samples(s signal, n int) []float64 {
	out := d.window.scratch[:n]
	for i := range out {
		out[i] = d.back(s, n-1-i)
	}
	return out
}

func (d *Detector) summarise(n int, flagged bool) Window {
	nan := math.NaN()
	w := Window{
		TimeMs: d.lastMs, FrequencyHz: nan, Flagged: flagged,
		ZeroV: nan, PositiveV: nan, NegativeV: nan, UnbalanceV: nan, ZeroA: nan, PositiveA: nan, NegativeA: nan,
	}
	f := d.cfg.NominalHz
	for _, s := range append(d.phasesV[:len(d.phasesV):len(d.phasesV)], d.phasesI...) {
		if hz, ok := Frequency(d.samples(s, n), d.rate, f); ok {
			w.FrequencyHz, f = hz, hz
			break
		}
	}
	var fundamental [numChannels]complex128
	cycles := min(int(math.Round(d.cycles()*d.rate/f)), n) // whole cycles of the real frequency
	for s := range numChannels {
		w.RMS[s], w.THD[s], w.Crest[s] = nan, nan, nan
		if !d.has[s] {
			continue
		}
		x := d.samples(s, n)[n-cycles:]
		w.RMS[s], w.THD[s], w.Crest[s] = RMS(x), THD(x, d.rate, f), Crest(x)
		fundamental[s] = Phasor(x, d.rate, f)
		w.Flagged = w.Flagged || math.IsNaN(w.RMS[s])
	}
	parts := func(one signal) (zero, positive, negative float64) {
		z, p, m := Symmetrical(fundamental[one+1], fundamental[one+2], fundamental[one+3])
		return cmplx.Abs(z), cmplx.Abs(p), cmplx.Abs(m)
	}
	if len(d.phasesV) == 3 {
		w.ZeroV, w.PositiveV, w.NegativeV = parts(voltage1)
		w.UnbalanceV = w.NegativeV / w.PositiveV
	}
	if len(d.phasesI) == 3 {
		w.ZeroA, w.PositiveA, w.NegativeA = parts(current1)
	}
	return w
}

// Fill sets the RMS channels that belong to the waveform channels, and the
// frequency, in a sample that lacks them, for the slower rules.
func (d *Detector) Fill(s *model.Sample) {
	set := func(c model.Channel, v float64) {
		if s.Validity[c] == model.Absent && !math.IsNaN(v) {
			s.Set(c, v)
		}
	}
	if d.hasHalf {
		for i := range numChannels {
			if d.has[i] {
				set(composed(i), d.half.RMS[i])
			}
		}
	}
	if d.window.has {
		set(model.FrequencyHz, d.window.last.FrequencyHz)
	}
}

func composed(s signal) model.Channel {
	if s < current1 {
		return model.VoltageV + model.Channel(s)
	}
	return model.CurrentA + model.Channel(s-current1)
}

// Composed lists the channels that Fill sets.
func (d *Detector) Composed() []model.Channel {
	var out []model.Channel
	for i := range numChannels {
		if d.has[i] {
			out = append(out, composed(i))
		}
	}
	return append(out, model.FrequencyHz)
}
