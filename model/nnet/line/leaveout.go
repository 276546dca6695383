package line

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"fairwatt/model/nnet/skill"
)

// A Fit trains a classifier on standardisable features and returns its
// probability of a fault.
type Fit func(ctx context.Context, x [][]float32, fault []bool) (probability func(x []float32) float64, err error)

// Config decides a measurement.
type Config struct {
	Seed uint64
	// LoadMin and LoadMax bound the factor on a simulation's currents, drawn
	// log-uniformly.
	LoadMin, LoadMax float64
	TrainDraws       int // copies of each training simulation, each at another load
	TestDraws        int // of the left-out one
}

// DefaultConfig draws loads from half to twice.
func DefaultConfig() Config {
	return Config{Seed: 20261123, LoadMin: 0.5, LoadMax: 2, TrainDraws: 4, TestDraws: 10}
}

// A Score counts one detector's rows.
type Score struct {
	TruePositive, FalsePositive, FalseNegative int
	AUC, AP                                    float64
}

// Recall is the share of fault rows found; 1 where there are none.
func (s Score) Recall() float64 { return share(s.TruePositive, s.TruePositive+s.FalseNegative) }

// Precision is the share of alarms that are faults; 1 without an alarm.
func (s Score) Precision() float64 { return share(s.TruePositive, s.TruePositive+s.FalsePositive) }

func share(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// A Result is one fault type held out.
type Result struct {
	Set, LeftOut string
	Rows, Faults int
	Brier        float64
	Detector     Score
	Plain        Score
	Threshold    float64 // of the detector, chosen on the training rows
	PlainAmps    float64 // the largest normal current in training, at its loads
}

// ErrTooFew is returned for a set with fewer than two fault types.
var ErrTooFew = errors.New("fewer than two fault types: none can be left out")

// LeaveOneOut trains on all fault types but one, measures on that one, and so
// for each. A normal stretch without a fault is cut into as many pieces as
// there are types; one is measured with each.
func LeaveOneOut(ctx context.Context, set *Set, cfg Config, fit Fit) ([]Result, error) {
	var types []string
	for _, s := range set.Simulations {
		if s.Type != "" && !slices.Contains(types, s.Type) {
			types = append(types, s.Type)
		}
	}
	if len(types) < 2 {
		return nil, ErrTooFew
	}
	slices.Sort(types)
	var out []Result
	for fold, left := range types {
		train, test := divide(set, left, fold, len(types))
		r, err := measure(ctx, set.Name, left, train, test, cfg, fit)
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", left, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func divide(set *Set, left string, fold, folds int) (train, test []Simulation) {
	for _, s := range set.Simulations {
		switch s.Type {
		case left:
			test = append(test, s)
		case "":
			n := len(s.Rows)
			for k := range folds {
				piece := Simulation{Rows: s.Rows[k*n/folds : (k+1)*n/folds]}
				if k == fold {
					test = append(test, piece)
				} else {
					train = append(train, piece)
				}
			}
		default:
			train = append(train, s)
		}
	}
	return train, test
}

// load returns a copy of the simulation with its currents scaled.
func (s Simulation) load(factor float64) Simulation {
	out := Simulation{Type: s.Type, Rows: slices.Clone(s.Rows)}
	for i := range out.Rows {
		for p := range 3 {
			out.Rows[i].I[p] *= factor
		}
	}
	return out
}

func rescaled(sims []Simulation, draws int, cfg Config, rng *rand.Rand) []Simulation {
	var out []Simulation
	for range draws {
		for _, s := range sims {
			u := rng.Float64()
			out = append(out, s.load(cfg.LoadMin*math.Pow(cfg.LoadMax/cfg.LoadMin, u)))
		}
	}
	return out
}

func measure(ctx context.Context, name, left string, train, test []Simulation, cfg Config, fit Fit) (Result, error) {
	perCycle := rowsPerCycle(train)
	if !(perCycle > 4) {
		return Result{}, errors.New("the normal voltages show no power frequency")
	}
	train = rescaled(train, cfg.TrainDraws, cfg, rand.New(rand.NewPCG(cfg.Seed, 1)))
	test = rescaled(test, cfg.TestDraws, cfg, rand.New(rand.NewPCG(cfg.Seed, 2)))
	x, y := flatten(train, perCycle)
	p, err := fit(ctx, x, y)
	if err != nil {
		return Result{}, err
	}
	res := Result{Set: name, LeftOut: left, PlainAmps: largestNormal(train)}
	res.Threshold = bestThreshold(apply(p, x), y)
	tx, ty := flatten(test, perCycle)
	probability := apply(p, tx)
	current := make([]float64, 0, len(tx))
	for _, s := range test {
		for _, r := range s.Rows {
			current = append(current, largest(r))
		}
	}
	res.Rows = len(ty)
	res.Brier = skill.Brier(probability, ty)
	res.Detector = count(probability, ty, res.Threshold)
	// Strictly above the largest normal one.
	res.Plain = count(current, ty, math.Nextafter(res.PlainAmps, math.Inf(1)))
	res.Faults = res.Detector.TruePositive + res.Detector.FalseNegative
	return res, nil
}

func flatten(sims []Simulation, perCycle float64) (x [][]float32, fault []bool) {
	for _, s := range sims {
		x = append(x, features(s, perCycle)...)
		for _, r := range s.Rows {
			fault = append(fault, r.Fault)
		}
	}
	return x, fault
}

func apply(p func([]float32) float64, x [][]float32) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = p(x[i])
	}
	return out
}

func count(p []float64, fault []bool, threshold float64) Score {
	s := Score{AUC: skill.AUC(p, fault), AP: skill.AveragePrecision(p, fault)}
	for i, f := range fault {
		switch alarm := p[i] >= threshold; {
		case alarm && f:
			s.TruePositive++
		case alarm:
			s.FalsePositive++
		case f:
			s.FalseNegative++
		}
	}
	return s
}

// bestThreshold is the middle of the thresholds at which the training rows'
// F1 is highest: the middle, since a fault type not seen may lie nearer.
func bestThreshold(p []float64, fault []bool) float64 {
	best, from, to := -1.0, 0.5, 0.5
	for k := 1; k < 100; k++ {
		t := float64(k) / 100
		s := f1At(p, fault, t)
		switch {
		case s > best:
			best, from, to = s, t, t
		case s == best:
			to = t
		}
	}
	return (from + to) / 2
}

// f1At is the F1 at a threshold.
func f1At(p []float64, fault []bool, threshold float64) float64 {
	tp, wrong := 0, 0
	for i, f := range fault {
		switch alarm := p[i] >= threshold; {
		case alarm && f:
			tp++
		case alarm != f:
			wrong++
		}
	}
	return float64(2*tp) / float64(2*tp+wrong)
}
