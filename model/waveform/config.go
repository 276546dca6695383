package waveform

import "fmt"

// A Config sets what is a disturbance. Shares are parts of one: 0.9 is 90 %.
type Config struct {
	NominalHz float64 `yaml:"nominal_hz"` // 50 or 60, or what the network runs at (15 to 400)
	// NominalV is the nominal phase-to-neutral RMS voltage. Zero: the reference
	// is the voltage before.
	NominalV float64 `yaml:"nominal_v"`
	// RatedA is the current that is never too high; zero: not known.
	RatedA float64 `yaml:"rated_a"`

	Dip             float64 `yaml:"dip"`
	Swell           float64 `yaml:"swell"`
	Interruption    float64 `yaml:"interruption"`
	Hysteresis      float64 `yaml:"hysteresis"`       // of the reference, for all of voltage
	ResidualVoltage float64 `yaml:"residual_voltage"` // zero-sequence voltage (a third of the sum) of the reference
	ResidualCurrent float64 `yaml:"residual_current"` // rise of the sum, of the mean phase current before
	OverCurrent     float64 `yaml:"over_current"`     // of the current before
	// MinA is the least current that counts, in A: below it nothing is a residual
	// current or an over-current.
	MinA float64 `yaml:"min_a"`

	LearnCycles     int     `yaml:"learn_cycles"`      // steady cycles that make a first reference
	ReferenceS      float64 `yaml:"reference_s"`       // time constant of the reference
	CurrentRelearnS float64 `yaml:"current_relearn_s"` // after so long, over-current alone is a new load
	ClearCycles     int     `yaml:"clear_cycles"`      // a disturbance is over after so many good cycles
	// NeutralConductor says that current N is that of the neutral conductor
	// (four wires): residual is then the sum of all four.
	NeutralConductor bool `yaml:"neutral_conductor"`
}

// DefaultConfig returns the thresholds of the package comment at 50 Hz.
func DefaultConfig() Config {
	return Config{
		NominalHz: 50, Dip: .9, Swell: 1.1, Interruption: .05, Hysteresis: .02,
		ResidualVoltage: .1, ResidualCurrent: .2, OverCurrent: 2, MinA: 1,
		LearnCycles: 2, ReferenceS: 60, CurrentRelearnS: 10, ClearCycles: 10,
	}
}

// Validate names the first field that makes no sense.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name        string
		v, min, max float64
	}{
		{"nominal_hz", c.NominalHz, 15, 400},
		{"nominal_v", c.NominalV, 0, 1e6},
		{"rated_a", c.RatedA, 0, 1e6},
		{"dip", c.Dip, c.Interruption, 1},
		{"swell", c.Swell, 1, 10},
		{"interruption", c.Interruption, 0, .5},
		{"hysteresis", c.Hysteresis, 0, .1},
		{"residual_voltage", c.ResidualVoltage, c.Hysteresis + 1e-9, 2},
		{"residual_current", c.ResidualCurrent, 1e-3, 100},
		{"over_current", c.OverCurrent, 1.01, 1000},
		{"min_a", c.MinA, 0, 1e6},
		{"learn_cycles", float64(c.LearnCycles), 1, 1000},
		{"reference_s", c.ReferenceS, .1, 1e6},
		{"current_relearn_s", c.CurrentRelearnS, .1, 1e6},
		{"clear_cycles", float64(c.ClearCycles), 1, 1e5},
	} {
		if !(f.v >= f.min && f.v <= f.max) {
			return fmt.Errorf("waveform.%s: %v is outside %v to %v", f.name, f.v, f.min, f.max)
		}
	}
	return nil
}
