package scenario

import (
	"fmt"

	"fairwatt/model"
)

// electrical lists the channels a Composer fills, in the order of a header.
var electrical = []model.Channel{
	model.VoltageV, model.CurrentA, model.FrequencyHz, model.PowerW, model.PowerFactor,
	model.EnergyExportWh, model.DCVoltageV, model.DCCurrentA, model.EquipmentTemperatureC,
}

// A Composer computes electrical channels from a sample's weather. It does not
// change the channels that the sample has. The channels that it adds stay in
// normal range: voltage within 3 % of nominal, frequency within 0.1 Hz, current
// within rating. Hazards come from the weather, or from SetVoltagePU.
type Composer struct {
	plant     Plant
	voltagePU float64
	energyWh  float64
	lastMs    int64
	started   bool
	heatK     float64 // of the inverter over the air
	fault     plantFault

	voltage, frequency, factor, dc *noise
}

// NewComposer returns a composer whose energy register starts at 0 with the
// first sample.
func NewComposer(plant Plant) (*Composer, error) {
	if err := plant.Validate(); err != nil {
		return nil, err
	}
	return &Composer{
		plant: plant, voltagePU: 1, fault: plantFault{arrays: 1, meter: 1},
		voltage:   newNoise(plant.Seed, "voltage", 1200),
		frequency: newNoise(plant.Seed, "frequency", 300),
		factor:    newNoise(plant.Seed, "power factor", 900),
		dc:        newNoise(plant.Seed, "dc voltage", 300),
	}, nil
}

// SetVoltagePU sets the grid's voltage from the next sample on, in units of
// nominal; 1 is normal, 0.8 a sag.
func (c *Composer) SetVoltagePU(pu float64) { c.voltagePU = pu }

// Compose fills the electrical channels that s lacks. s.TimeMs rises from call to
// call by any amount. The power of a sample counts for the time since the sample
// before. If weather that the plant needs is missing, power, current and what
// follows from them stay missing: nothing is made up.
func (c *Composer) Compose(s *model.Sample) error {
	dtS := 0.0
	if c.started {
		if s.TimeMs < c.lastMs {
			return fmt.Errorf("compose: time goes back by %d ms", c.lastMs-s.TimeMs)
		}
		dtS = float64(s.TimeMs-c.lastMs) / 1000
	}
	c.started, c.lastMs = true, s.TimeMs
	p := c.plant
	put(s, model.VoltageV, round(p.NominalVoltageV*c.voltagePU*(1+0.008*c.voltage.within(dtS, 3)), 2))
	put(s, model.FrequencyHz, round(p.NominalFrequencyHz+0.02*c.frequency.within(dtS, 4), 3))
	wobble, dcWobble := c.factor.within(dtS, 3), c.dc.within(dtS, 3)

	wind, irradiance, tempC, ok := c.weather(s)
	if ok {
		put(s, model.PowerW, round(c.powerW(wind, irradiance, tempC), 1))
	}
	power, known := s.Get(model.PowerW)
	if !known {
		return nil // the register stands still: a gap in the weather is not output
	}
	load := max(0, min(1, power/p.RatedW))
	put(s, model.PowerFactor, round(min(1, 0.995-0.06*(1-load)*(1-load)+0.001*wobble), 4))
	c.current(s, power)
	power, _ = s.Get(model.PowerW)
	c.energyWh += max(0, power) * dtS / 3600
	put(s, model.EnergyExportWh, round(c.energyWh, 2))
	if !ok {
		return nil
	}
	dcPower := p.dcFor(power)
	dcVoltage := round(p.dcVoltageV(wind, irradiance, tempC)*(1+0.004*dcWobble), 2)
	put(s, model.DCVoltageV, dcVoltage)
	if dcVoltage > 0 {
		put(s, model.DCCurrentA, round(dcPower/dcVoltage, 3))
	} else {
		put(s, model.DCCurrentA, 0)
	}
	// An inverter's heat follows its load over about ten minutes.
	c.heatK += (3 + 22*load - c.heatK) * (dtS / (dtS + 600))
	put(s, model.EquipmentTemperatureC, round(tempC+c.heatK+c.fault.heatK, 2))
	return nil
}

// powerW is the AC power of the plant with its fault.
func (c *Composer) powerW(wind, irradiance, tempC float64) float64 {
	switch {
	case c.fault.stopped:
		return 0
	case c.fault.arrays < 1:
		dc := c.fault.arrays * c.plant.dcPowerW(wind, irradiance, tempC)
		return min(c.plant.RatedW, dc*c.plant.efficiency(dc))
	}
	return c.plant.PowerW(wind, irradiance, tempC)
}

// current sets the current at the sample's voltage, never more than rated: at low
// voltage an inverter gives less power, not more current.
func (c *Composer) current(s *model.Sample, power float64) {
	voltage, okV := s.Get(model.VoltageV)
	factor, okF := s.Get(model.PowerFactor)
	if !okV || !okF || voltage <= 0 || factor <= 0 {
		return
	}
	current := max(0, power) / (voltage * factor)
	if limit := 1.03 * c.plant.RatedCurrentA(); current > limit && s.Validity[model.CurrentA] == model.Absent {
		current = limit
		s.Set(model.PowerW, round(voltage*limit*factor, 1))
	}
	put(s, model.CurrentA, round(current, 3))
}

// weather returns the weather that the plant needs, and whether the sample has
// it.
func (c *Composer) weather(s *model.Sample) (wind, irradiance, tempC float64, ok bool) {
	tempC, okT := s.Get(model.TemperatureC)
	wind, okW := s.Get(model.WindSpeedMPS)
	irradiance, okI := s.Get(model.IrradianceWPM2)
	if !okW {
		wind = 1 // only cools the cells
	}
	if !okI {
		irradiance = 0
	}
	if c.plant.Kind == Wind {
		return wind, max(0, irradiance), tempC, okT && okW
	}
	return wind, max(0, irradiance), tempC, okT && okI
}

// dcFor is the DC power behind an AC power; the inverse of efficiency.
func (p Plant) dcFor(acW float64) float64 {
	lo, hi := 0.0, 1.2*p.RatedW
	for range 40 {
		mid := (lo + hi) / 2
		if mid*p.efficiency(mid) < acW {
			lo = mid
		} else {
			hi = mid
		}
	}
	if acW <= 0 {
		return 0
	}
	return (lo + hi) / 2
}

// put sets a channel that the sample lacks.
func put(s *model.Sample, ch model.Channel, v float64) {
	if s.Validity[ch] == model.Absent {
		s.Set(ch, v)
	}
}
