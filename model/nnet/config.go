package nnet

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fairwatt/model"
)

// A Config is everything that decides the weights, as a value: the same Config,
// data and architecture give the same bytes. It is the YAML of
// `model train --config`.
type Config struct {
	Name    string `yaml:"name"`    // of the weights, e.g. hazard-1
	Version int    `yaml:"version"` // raised with every release of weights
	Seed    uint64 `yaml:"seed"`    // of weights, shuffling and input dropout

	Batch        int     `yaml:"batch"`          // rows a step
	RowsPerEpoch int     `yaml:"rows_per_epoch"` // drawn again each epoch; validation follows each
	Epochs       int     `yaml:"epochs"`         // at most
	Patience     int     `yaml:"patience"`       // epochs without a better validation score before stopping
	LearnRate    float64 `yaml:"learn_rate"`     // of Adam
	WeightDecay  float64 `yaml:"weight_decay"`   // L2, on every weight
	InputDropout float64 `yaml:"input_dropout"`  // share of inputs shown as missing while training
	// AverageSteps, when not 0, keeps an exponential average of the weights over
	// about so many steps; the average is validated and shipped (Polyak and
	// Juditsky 1992). It replaces an ensemble at the cost of one network.
	AverageSteps int `yaml:"average_steps"`
	// Members is how many networks, each with another seed, a head is the mean of
	// (default 1). The logistic baseline has one.
	Members int `yaml:"members"`
	// PositiveShare of the rows drawn are positive ones (class weighting by
	// sampling); calibration undoes it.
	PositiveShare float64 `yaml:"positive_share"`

	Heads []HeadConfig `yaml:"heads"`
	// Credits are printed with the weights: who gave the data, under what
	// licence.
	Credits []string `yaml:"credits"`
}

// A HeadConfig is one small network: one task, one set of inputs. Heads share no
// weights. No recording has the inputs and labels of both tasks, so a shared
// layer would learn to tell the data sets apart by what is missing.
type HeadConfig struct {
	Name     string   `yaml:"name"`
	Task     string   `yaml:"task"` // thunder or wind
	HorizonH int      `yaml:"horizon_h"`
	GustMPS  float64  `yaml:"gust_mps"` // wind only
	Inputs   []string `yaml:"inputs"`   // feature names
	Required []string `yaml:"required"` // of these, without which there is no score
	Hidden   []int    `yaml:"hidden"`   // widths; none is logistic regression
	// EvaluationOnly heads use truth that no live station has.
	EvaluationOnly bool `yaml:"evaluation_only"`
	// FalseAlarms a site-day that the warning threshold may cost on the
	// validation rows.
	FalseAlarms float64 `yaml:"false_alarms_per_site_day"`
	Split       Split   `yaml:"split"`
	// TrainLowland leaves the split's not_lowland sites out of training too, not
	// only out of validation and the figures.
	TrainLowland bool `yaml:"train_lowland"`
	// Noise is the standard deviation of what is added to an input while training,
	// by input and in its unit. Without it recordings in whole numbers would teach
	// steps that a finer sensor does not have.
	Noise map[string]float64 `yaml:"noise"`
	// Members overrides the configuration's; 0 keeps that.
	Members int `yaml:"members"`
	// Base names a head before this one. This head is then the base and a small
	// network on Inputs beside it, trained where Required is there; both add up.
	Base string `yaml:"base"`
}

// Limits on shapes, for configurations and for weight files.
const (
	maxHeads   = 16
	maxLayers  = 4
	maxWidth   = 256
	maxMembers = 16
)

// Task returns the head's task.
func (h HeadConfig) task() Task {
	return Task{Name: h.Task, HorizonMs: int64(h.HorizonH) * 3_600_000, GustMPS: h.GustMPS}
}

// Validate returns an error naming the first field that cannot be right.
func (c Config) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("name: missing")
	case c.Version < 1:
		return fmt.Errorf("version: %d is not positive", c.Version)
	case c.Batch < 2 || c.Batch > 4096:
		return fmt.Errorf("batch: %d is not in 2..4096", c.Batch)
	case c.RowsPerEpoch < c.Batch || c.RowsPerEpoch > 10_000_000:
		return fmt.Errorf("rows_per_epoch: %d is not in batch..1e7", c.RowsPerEpoch)
	case c.Epochs < 1 || c.Epochs > 10_000:
		return fmt.Errorf("epochs: %d is not in 1..10000", c.Epochs)
	case c.Patience < 1:
		return fmt.Errorf("patience: %d is not positive", c.Patience)
	case !(c.LearnRate > 0 && c.LearnRate < 1):
		return fmt.Errorf("learn_rate: %g is not in (0, 1)", c.LearnRate)
	case !(c.WeightDecay >= 0 && c.WeightDecay < 1):
		return fmt.Errorf("weight_decay: %g is not in [0, 1)", c.WeightDecay)
	case !(c.InputDropout >= 0 && c.InputDropout < 1):
		return fmt.Errorf("input_dropout: %g is not in [0, 1)", c.InputDropout)
	case c.AverageSteps < 0 || c.AverageSteps > 1_000_000:
		return fmt.Errorf("average_steps: %d is not in 0..1e6", c.AverageSteps)
	case c.Members < 0 || c.Members > maxMembers:
		return fmt.Errorf("members: %d is not in 0..%d", c.Members, maxMembers)
	case !(c.PositiveShare > 0 && c.PositiveShare < 1):
		return fmt.Errorf("positive_share: %g is not in (0, 1)", c.PositiveShare)
	case len(c.Heads) == 0 || len(c.Heads) > maxHeads:
		return fmt.Errorf("heads: %d are not 1..%d", len(c.Heads), maxHeads)
	}
	names := map[string]bool{}
	for i, h := range c.Heads {
		if err := h.validate(); err != nil {
			return fmt.Errorf("heads[%d] %q: %w", i, h.Name, err)
		}
		for _, width := range h.Hidden {
			if n := c.members(h); width*n > maxWidth {
				return fmt.Errorf("heads[%d] %q: hidden: %d members of width %d are more than %d", i, h.Name, n, width, maxWidth)
			}
		}
		if names[h.Name] {
			return fmt.Errorf("heads[%d]: name %q is taken", i, h.Name)
		}
		names[h.Name] = true
		if err := c.checkBase(i); err != nil {
			return fmt.Errorf("heads[%d] %q: %w", i, h.Name, err)
		}
	}
	return nil
}

// members is how many networks a head is the mean of.
func (c Config) members(h HeadConfig) int {
	if h.Members > 0 {
		return h.Members
	}
	return max(c.Members, 1)
}

func (h HeadConfig) validate() error {
	if h.Name == "" {
		return errors.New("name: missing")
	}
	if _, err := h.task().Kind(); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	if h.HorizonH < 1 || h.HorizonH > 48 {
		return fmt.Errorf("horizon_h: %d is not in 1..48", h.HorizonH)
	}
	if h.Task == TaskWind && !(h.GustMPS > 0 && h.GustMPS < 150) {
		return fmt.Errorf("gust_mps: %g is not in (0, 150)", h.GustMPS)
	}
	if _, err := featureIndexes(h.Inputs); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	for _, r := range h.Required {
		if !slices.Contains(h.Inputs, r) {
			return fmt.Errorf("required: %q is not an input", r)
		}
	}
	if h.Members < 0 || h.Members > maxMembers {
		return fmt.Errorf("members: %d is not in 0..%d", h.Members, maxMembers)
	}
	for name, v := range h.Noise {
		if !slices.Contains(h.Inputs, name) {
			return fmt.Errorf("noise: %q is not an input", name)
		}
		if !(v > 0 && v < 100) {
			return fmt.Errorf("noise: %s: %g is not in (0, 100)", name, v)
		}
	}
	if len(h.Hidden) > maxLayers-1 {
		return fmt.Errorf("hidden: more than %d layers", maxLayers-1)
	}
	for _, w := range h.Hidden {
		if w < 1 || w > maxWidth {
			return fmt.Errorf("hidden: width %d is not in 1..%d", w, maxWidth)
		}
	}
	if !(h.FalseAlarms > 0) {
		return fmt.Errorf("false_alarms_per_site_day: %g is not positive", h.FalseAlarms)
	}
	for _, t := range []string{h.Split.ValidateFrom, h.Split.TestFrom} {
		if t == "" {
			continue
		}
		if _, err := time.Parse(time.RFC3339, t); err != nil {
			return fmt.Errorf("split: %w", err)
		}
	}
	if (h.Split.ValidateFrom == "") != (h.Split.TestFrom == "") {
		return errors.New("split: validate_from and test_from go together")
	}
	return nil
}

// featureIndexes turns names into indexes of model.Features.
func featureIndexes(names []string) ([]int, error) {
	if len(names) == 0 || len(names) > model.NumFeatures {
		return nil, fmt.Errorf("%d features are not 1..%d", len(names), model.NumFeatures)
	}
	all := model.FeatureNames()
	out := make([]int, 0, len(names))
	seen := map[string]bool{}
	for _, n := range names {
		i := 0
		for i < len(all) && all[i] != n {
			i++
		}
		if i == len(all) {
			return nil, fmt.Errorf("unknown feature %q", n)
		}
		if seen[n] {
			return nil, fmt.Errorf("feature %q twice", n)
		}
		seen[n] = true
		out = append(out, i)
	}
	return out, nil
}
