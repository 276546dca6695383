package sensor

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"fairwatt/model"
)

// vaneOhm are the resistances of the common wind vane, from north in steps of 22.5
// degrees: Argent Data Systems, "Weather Sensor Assembly p/n 80422", section "Wind
// Vane". Its magnet closes one switch, or two neighbours between whose directions it
// stands.
var vaneOhm = [...]float64{33e3, 6570, 8200, 891, 1e3, 688, 2200, 1410, 3900, 3140, 16e3, 14120, 120e3, 42120, 64900, 21880}

// The circuit of that data sheet, at the supply of a Raspberry Pi.
const (
	vanePullupOhm = 10e3
	vaneSupplyV   = 3.3
	vaneRangeV    = 4.096
	vaneStep      = 22.5
)

// errVane is the reason for a voltage at which no switch of a vane is closed: a cable
// that is cut shows the supply, a short circuit nothing.
var errVane = errors.New("no position of a wind vane")

// withVaneDefaults sets what a vane's input leaves out. Others get nothing.
func (in *InputConfig) withVaneDefaults() {
	if in.Channel != model.WindDirectionDeg {
		return
	}
	orDefault(&in.PullupOhm, vanePullupOhm)
	orDefault(&in.SupplyV, vaneSupplyV)
	orDefault(&in.RangeV, vaneRangeV)
	orDefault(&in.Scale, 1)
}

// checkVane checks the settings that only a vane's input has.
func (in *InputConfig) checkVane() error {
	switch {
	case in.Channel != model.WindDirectionDeg && in.PullupOhm == 0 && in.SupplyV == 0:
		return nil
	case in.Channel != model.WindDirectionDeg:
		return fmt.Errorf("pullup_ohm and supply_v are for %s, not for %s", model.WindDirectionDeg, in.Channel)
	case !within(in.PullupOhm, 1e3, 1e5):
		return fmt.Errorf("pullup_ohm: %g is not within 1000 and 100000", in.PullupOhm)
	case !within(in.SupplyV, 1.8, 5.5):
		return fmt.Errorf("supply_v: %g is not within 1.8 and 5.5", in.SupplyV)
	case in.RangeV < in.SupplyV:
		return fmt.Errorf("range_v: %g is below supply_v, %g: a cable that is cut could not be told", in.RangeV, in.SupplyV)
	}
	return nil
}

// vane returns where a vane points, in degrees, by the share of the supply at it. A
// share belongs to the nearest position if it lies within half of the gap to the next.
func vane(share, pullupOhm float64) (float64, error) {
	nearest, off := 0, math.Inf(1)
	for i := range vaneOhm {
		if d := math.Abs(share - vaneShare(i, pullupOhm)); d < off {
			nearest, off = i, d
		}
	}
	gap := math.Inf(1)
	for i := range vaneOhm {
		if i != nearest {
			gap = min(gap, math.Abs(vaneShare(i, pullupOhm)-vaneShare(nearest, pullupOhm)))
		}
	}
	if !(off <= gap/2) {
		return 0, fmt.Errorf("%w: %.3f of the supply; look for a cable that is cut, a short circuit, another pullup_ohm or supply_v", errVane, share)
	}
	return float64(nearest) * vaneStep, nil
}

func vaneShare(i int, pullupOhm float64) float64 { return vaneOhm[i] / (vaneOhm[i] + pullupOhm) }

// pointTo sets the direction by the middle one of a window's conversions: while the
// vane turns, some lie between two positions.
func (d *ADS1115) pointTo(s *model.Sample, in InputConfig) error {
	volts := make([]float64, len(d.samples))
	for i, p := range d.samples {
		volts[i] = p.v
	}
	slices.Sort(volts)
	deg, err := vane(volts[len(volts)/2]/in.SupplyV, in.PullupOhm)
	if err != nil {
		err = d.fail("read vane", err)
		d.ready = true // the chip is in order
		return err
	}
	s.SetStep(in.Channel, deg, vaneStep)
	return nil
}
