package scenario

import (
	"fmt"
	"math"
)

// A PlantKind is a way to turn weather into power.
type PlantKind string

// The plants.
const (
	PV   PlantKind = "pv"
	Wind PlantKind = "wind"
)

// A Plant is a small generator behind one single-phase meter.
type Plant struct {
	Kind               PlantKind
	RatedW             float64 // AC power at 1000 W/m2 and 25 C cell temperature, or at 12 m/s and above
	NominalVoltageV    float64
	NominalFrequencyHz float64
	Seed               uint64 // of the small variations of voltage, frequency and power factor
}

// The wind turbine's curve, m/s of mean wind at hub height.
const (
	cutInMPS    = 3.0
	ratedMPS    = 12.0
	cutOutMPS   = 25.0
	refDensity  = 1.225 // kg/m3, for which the curve holds
	seaLevelPa  = 101325
	gasConstant = 287.05
)

// wakeWPM2 is the irradiance below which a PV inverter sleeps.
const wakeWPM2 = 1

// DefaultPlant returns a 5 kW plant on a 230 V, 50 Hz grid.
func DefaultPlant(kind PlantKind) Plant {
	return Plant{Kind: kind, RatedW: 5000, NominalVoltageV: 230, NominalFrequencyHz: 50, Seed: 1}
}

// Validate names the first wrong field. NaN fails its comparisons.
func (p Plant) Validate() error {
	switch {
	case p.Kind != PV && p.Kind != Wind:
		return fmt.Errorf("plant kind %q, want pv or wind", p.Kind)
	case !(p.RatedW >= 1 && p.RatedW <= 1e8):
		return fmt.Errorf("plant rated at %v W, want 1 to 1e8", p.RatedW)
	case !(p.NominalVoltageV >= 12 && p.NominalVoltageV <= 5e5):
		return fmt.Errorf("nominal voltage %v V, want 12 to 5e5", p.NominalVoltageV)
	case p.NominalFrequencyHz != 50 && p.NominalFrequencyHz != 60:
		return fmt.Errorf("nominal frequency %v Hz, want 50 or 60", p.NominalFrequencyHz)
	}
	return nil
}

// RatedCurrentA is the current at rated power, nominal voltage and a power factor
// of 1. Set an over-current rule to it.
func (p Plant) RatedCurrentA() float64 { return p.RatedW / p.NominalVoltageV }

// PowerW is the plant's AC power, from 0 to RatedW. PV power follows from the
// irradiance (W/m2), the air temperature (C) and the wind that cools the cells;
// wind power from the mean wind (m/s) and the air's density.
func (p Plant) PowerW(windMPS, irradiance, tempC float64) float64 {
	dc := p.dcPowerW(windMPS, irradiance, tempC)
	return min(p.RatedW, dc*p.efficiency(dc))
}

// cellTemperatureC is Faiman's model (2008) with a free-standing module's
// coefficients.
func cellTemperatureC(windMPS, irradiance, tempC float64) float64 {
	return tempC + irradiance/(25+6.84*windMPS)
}

func (p Plant) dcPowerW(windMPS, irradiance, tempC float64) float64 {
	if p.Kind == PV {
		if irradiance < wakeWPM2 {
			return 0
		}
		cell := cellTemperatureC(windMPS, irradiance, tempC)
		return max(0, p.RatedW*irradiance/1000*(1-0.004*(cell-25)))
	}
	if windMPS < cutInMPS || windMPS > cutOutMPS {
		return 0
	}
	cube := func(v float64) float64 { return v * v * v }
	share := (cube(windMPS) - cube(cutInMPS)) / (cube(ratedMPS) - cube(cutInMPS))
	share *= seaLevelPa / (gasConstant * (tempC + 273.15)) / refDensity
	// Over rated wind the blades turn, so that the converter gives no more than
	// its rated power.
	return min(share, 1.05) * p.RatedW
}

// efficiency is the inverter's at a DC power. Its losses are its own consumption,
// a part that grows with current, and one that grows with the square of current
// (Schmidt and Sauer 1996).
func (p Plant) efficiency(dcW float64) float64 {
	load := dcW / p.RatedW
	if load <= 0 {
		return 0
	}
	return load / (load + 0.006 + 0.014*load + 0.018*load*load)
}

// dcVoltageV is the maximum power point of a 380 V string, or a turbine's
// rectified bus.
func (p Plant) dcVoltageV(windMPS, irradiance, tempC float64) float64 {
	if p.Kind == Wind {
		return 400
	}
	if irradiance < wakeWPM2 {
		return 0
	}
	cell := cellTemperatureC(windMPS, irradiance, tempC)
	return 380 * (1 - 0.0032*(cell-25)) * (1 + 0.035*math.Log(irradiance/1000))
}
