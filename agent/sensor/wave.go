package sensor

import "fairwatt/model"

// A Waver is a sensor that samples waveforms. What it gives with each Read is a
// window of each, not all of the time.
type Waver interface {
	// WaveChannels are the channels whose waveforms it samples, AC voltages and
	// currents, in a fixed order.
	WaveChannels() []model.Channel
	// Wave is the window of the i-th of them as of the last Read, in the channel's
	// unit and evenly spaced; empty if the Read gave none. It is the sensor's own
	// until the next Read.
	Wave(i int) (values []float64, rateHz float64)
}

// WaveChannels implements Waver.
func (d *ADS1115) WaveChannels() []model.Channel {
	var out []model.Channel
	for _, in := range d.inputs {
		out = append(out, in.Channel)
	}
	return out
}

// Wave implements Waver. An input for DC has none.
func (d *ADS1115) Wave(i int) (values []float64, rateHz float64) { return d.waves[i], d.rates[i] }

// keepWave keeps the window of input i. Conversions that were lost are drawn in by
// straight lines.
func (d *ADS1115) keepWave(i int, in InputConfig) {
	p := d.samples
	if isSteady(in.Channel) {
		return
	}
	span := p[len(p)-1].t - p[0].t
	n := len(p)
	if d.rdy != nil {
		n = int(span/d.period.Seconds()+0.5) + 1
	}
	scale := in.Scale / d.droop(d.nominal)
	d.rates[i] = float64(n-1) / span
	at := 0
	for k := range n {
		t := p[0].t + span*float64(k)/float64(n-1)
		for at < len(p)-2 && p[at+1].t < t {
			at++
		}
		a, b := p[at], p[at+1]
		d.waves[i] = append(d.waves[i], scale*(a.v+(b.v-a.v)*(t-a.t)/(b.t-a.t)))
	}
}
