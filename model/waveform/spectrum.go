package waveform

import (
	"math"
	"math/cmplx"
)

// MaxHarmonic is the highest order that counts as distortion (IEC 61000-4-7).
const MaxHarmonic = 40

// RMS returns the root of the mean square of x; NaN for none.
func RMS(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v * v)
	}
	return math.Sqrt(sum / float64(len(x)))
}

// Crest returns the highest magnitude of x over its RMS value: 1.414 for a
// sine; NaN where x is zero throughout.
func Crest(x []float64) float64 {
	peak := 0.0
	for _, v := range x {
		peak = max(peak, math.Abs(v))
	}
	return peak / RMS(x)
}

// Phasor returns the component of x at f (Hz), sampled at rate (Hz), as an RMS
// value with its phase at the first sample. x should span whole cycles of f.
func Phasor(x []float64, rate, f float64) complex128 {
	return phasor(x, rate, f, func(int) float64 { return 1 })
}

func phasor(x []float64, rate, f float64, weight func(int) float64) complex128 {
	step := cmplx.Rect(1, -2*math.Pi*f/rate)
	turn := complex(1, 0)
	var sum complex128
	var weights float64
	for i, v := range x {
		w := weight(i)
		sum += complex(v*w, 0) * turn
		weights += w
		turn *= step
	}
	return sum * complex(math.Sqrt2/weights, 0)
}

// Frequency measures the frequency of x near nominal (within 8 %), from how far
// the phase of the fundamental turns between the two halves of x: about 1 mHz
// in 10 cycles of a clean sine. It is false where x is too short or has
// almost no fundamental.
func Frequency(x []float64, rate, nominal float64) (hz float64, ok bool) {
	half := len(x) / 2
	if float64(half)*nominal < 3*rate {
		return 0, false
	}
	// A Hann window keeps the mirror image at the negative frequency out.
	hann := func(i int) float64 { return .5 - .5*math.Cos(2*math.Pi*(float64(i)+.5)/float64(half)) }
	a, b := phasor(x[:half], rate, nominal, hann), phasor(x[half:2*half], rate, nominal, hann)
	if rms := RMS(x); !(cmplx.Abs(a) > rms/4 && cmplx.Abs(b) > rms/4) {
		return 0, false
	}
	// The second half began half/rate later; nominal would have turned so far.
	expected := 2 * math.Pi * nominal * float64(half) / rate
	turned := math.Remainder(cmplx.Phase(b)-cmplx.Phase(a)-expected, 2*math.Pi)
	hz = nominal + turned*rate/(2*math.Pi*float64(half))
	return hz, math.Abs(hz-nominal) <= .08*nominal
}

// THD returns the harmonics 2 to MaxHarmonic (those below half the rate) of the
// fundamental f as a part of it: 0.08 is 8 %. x should span whole cycles of f.
func THD(x []float64, rate, f float64) float64 {
	fundamental := cmplx.Abs(Phasor(x, rate, f))
	var sum float64
	for h := 2.0; h <= MaxHarmonic && h*f < rate/2; h++ {
		m := cmplx.Abs(Phasor(x, rate, h*f))
		sum += m * m
	}
	return math.Sqrt(sum) / fundamental
}

// Symmetrical splits the phasors of three phases into zero, positive and
// negative sequence (Fortescue).
func Symmetrical(a, b, c complex128) (zero, positive, negative complex128) {
	turn := cmplx.Rect(1, 2*math.Pi/3)
	back := cmplx.Conj(turn)
	return (a + b + c) / 3, (a + turn*b + back*c) / 3, (a + back*b + turn*c) / 3
}
