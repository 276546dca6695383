package sensor

import (
	"fmt"
	"math"

	"fairwatt/model"
)

// checkQuantity refuses channels that a plain number cannot give: waveforms, what
// came since the last sample (rain_mm, lightning), and bits.
func checkQuantity(c model.Channel) error {
	switch {
	case c >= model.NumChannels:
		return fmt.Errorf("channel: missing")
	case c == model.RainMM || c == model.LightningCount || c == model.LightningKM || c == model.InverterEvents || c.Info().Group == model.GroupWaveform:
		return fmt.Errorf("channel: %s is not one number; this kind cannot give it", c)
	}
	return nil
}

// Generic says whether a kind reads any device, so that its settings alone say what
// it gives.
func Generic(kind string) bool { return kind == KindModbus || kind == KindMQTT || kind == KindSysfs }

// quantities are the channels that a plain number can give.
func quantities() (out []model.Channel) {
	for c := range model.NumChannels {
		if checkQuantity(c) == nil {
			out = append(out, c)
		}
	}
	return out
}

// A linear turns a device's number into a channel's: scale times it, and offset.
type linear struct {
	scale, offset float64
	step          float64 // of the device's number; 0: unknown
}

// check checks the two; fields is the prefix of their names in messages.
func (l linear) check(c model.Channel, fields string) error {
	energy := c == model.EnergyExportWh || c == model.EnergyImportWh
	switch {
	case !within(math.Abs(l.scale), 1e-9, 1e9):
		return fmt.Errorf("%sscale: %g is not within 1e-9 and 1e9, either sign", fields, l.scale)
	case !within(l.offset, -1e9, 1e9):
		return fmt.Errorf("%soffset: %g is not within -1e9 and 1e9", fields, l.offset)
	case energy && (l.scale < 0 || l.offset != 0):
		return fmt.Errorf("%sscale: %g with offset %g; an energy register counts up: write a scale above 0 and no offset", fields, l.scale, l.offset)
	}
	return nil
}

// set puts a device's number into the sample. What is no number fails. Raining is
// told by any amount above 0.
func (l linear) set(s *model.Sample, c model.Channel, raw float64) error {
	v := raw*l.scale + l.offset
	if math.IsNaN(v) || math.IsInf(v, 0) {
		s.Fail(c, model.SensorError)
		return fmt.Errorf("%s: %w: %g", c, errNoNumber, v)
	}
	if c == model.Raining {
		wet := 0.0
		if v > 0 {
			wet = 1
		}
		v = wet
	}
	s.SetStep(c, v, l.step*math.Abs(l.scale))
	return nil
}
