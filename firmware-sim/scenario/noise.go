package scenario

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// noise is an Ornstein-Uhlenbeck process of mean 0 and deviation 1: its value
// wanders and forgets over tauS seconds.
type noise struct {
	rng  *rand.Rand
	tauS float64
	x    float64
}

// newNoise starts a process. It draws its random numbers by its name, so that
// adding a process does not change the others.
func newNoise(seed uint64, name string, tauS float64) *noise {
	n := &noise{rng: newRand(seed, name), tauS: tauS}
	n.x = n.rng.NormFloat64()
	return n
}

// step lets dtS seconds pass; the discretisation is exact for any dtS.
func (n *noise) step(dtS float64) float64 {
	keep := math.Exp(-dtS / n.tauS)
	n.x = keep*n.x + math.Sqrt(1-keep*keep)*n.rng.NormFloat64()
	return n.x
}

// within is step, held within limit deviations.
func (n *noise) within(dtS, limit float64) float64 {
	return max(-limit, min(limit, n.step(dtS)))
}

func newRand(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// rise goes smoothly from 0 to 1 between 0 and 1.
func rise(x float64) float64 {
	x = max(0, min(1, x))
	return x * x * (3 - 2*x)
}

// bell is 1 at 0 and falls off with deviation 1.
func bell(x float64) float64 { return math.Exp(-x * x / 2) }

// round rounds to so many decimals.
func round(v float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(v*p) / p
}
