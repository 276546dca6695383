package scenario

import (
	"math"

	"fairwatt/model"
)

// A plantFault is the state of a fault of the plant or its meter at one moment.
type plantFault struct {
	active    bool    // truth: from the first sign to the repair
	arrays    float64 // share of a PV plant's strings that give power
	heatK     float64 // of a bearing, on top of the heat of its load
	shakeMPS2 float64 // added to the vibration
	stopped   bool
	meter     float64 // the meter's power as a share of the true power
}

// The sizes of the faults.
const (
	pvStrings      = 3    // of a PV plant; one of them is lost
	bearingHeatK   = 75   // before the turbine is stopped
	bearingMPS2    = 18   // of vibration
	bearingCoolS   = 1800 // to cool to a third
	bearingStopped = 0.5  // duration of the stop, as a share of the time of heating
	meterDrift     = 0.25 // of the meter, at its worst
	meterSwapped   = 9. / 7
)

// faultAt is the plant's state at a row's end.
func (e event) faultAt(sinceS float64, kind PlantKind) plantFault {
	f := plantFault{arrays: 1, meter: 1}
	x := (sinceS - e.startS) / e.lengthS
	switch {
	case e.name == LostString && kind == PV && x > 0 && x <= 1:
		f.active, f.arrays = true, (pvStrings-1.)/pvStrings
	case e.name == HotBearing && kind == Wind && x > 0 && x <= 1:
		// Friction heats, and heat takes the lubricant: slowly first, then fast.
		worse := math.Expm1(3*x) / math.Expm1(3)
		f.active, f.heatK, f.shakeMPS2 = true, bearingHeatK*worse, bearingMPS2*worse
	case e.name == HotBearing && kind == Wind && x > 1 && x <= 1+bearingStopped:
		f.active, f.stopped = true, true
		f.heatK = bearingHeatK * math.Exp(-(x-1)*e.lengthS/bearingCoolS)
	case e.name == MeterDrift && x > 0 && x <= meterSwapped:
		f.active, f.meter = true, 1+meterDrift*min(x, 1)
	}
	return f
}

// ratedRPM is the turbine's speed at its rated wind.
const ratedRPM = 250

// shake sets the vibration and speed of a turbine's bearing. Vibration rises with
// load. noise has deviation 1.
func (c *Composer) shake(s *model.Sample, noise float64) {
	power, ok := s.Get(model.PowerW)
	wind, okW := s.Get(model.WindSpeedMPS)
	if !ok || !okW {
		return
	}
	turns := power > 0
	vibration, rpm := 0.05, 0.0
	if turns {
		vibration, rpm = 0.4+2*power/c.plant.RatedW+c.fault.shakeMPS2, ratedRPM*min(1, wind/ratedMPS)
	}
	s.Set(model.VibrationMPS2, round(vibration*(1+0.05*noise), 2))
	s.Set(model.RotorRPM, round(rpm, 0))
}

// misread makes the meter's power wrong. The energy register stays right: it is
// another part.
func (c *Composer) misread(s *model.Sample) {
	if power, ok := s.Get(model.PowerW); ok && c.fault.meter != 1 {
		s.Set(model.PowerW, round(power*c.fault.meter, 1))
	}
}
