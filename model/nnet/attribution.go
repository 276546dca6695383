package nnet

import "math"

// steps is how many points of the line from an ordinary hour to a row its
// attributions look at.
const steps = 32

// zeros are sums to begin with where there is no bias.
var zeros [maxWidth]float64

// integratedGradients attributes logit(x) - logit(0) to the inputs: the
// gradient averaged along the straight line from the baseline 0 to x, times x
// (Sundararajan, Taly and Yan 2017, equation 1), in 32 midpoint steps. 0 is
// the mean of the training data, so a contribution says what this input adds
// to an ordinary hour.
//
// On that line the first layer's sums are its biases and a share of what x
// adds to them, and a gradient is linear in the slopes of the first layer's
// units. So the widest layer is summed once on the way there and once on the
// way back, not once a step.
func (p *plain) integratedGradients(x []float32) []float64 {
	sum := make([]float64, len(x))
	if p.direct != nil {
		for i, v := range x {
			sum[i] = float64(v) * p.direct[i]
		}
		return sum
	}
	var w work
	w.take(x)
	at, value := w.at[:w.n], w.value[:w.n]
	var act [maxLayers][maxWidth]float64
	var added, slopes, part [maxWidth]float64
	for k := range p.members {
		m := &p.members[k]
		first := &m.hidden[0]
		n := len(first.b)
		first.sums(at, value, zeros[:n], added[:n])
		clear(slopes[:n])
		for s := range steps {
			share := (float64(s) + 0.5) / steps
			for j := range n {
				act[0][j] = math.Tanh(first.b[j] + float64(share*added[j]))
			}
			m.forward(&act)
			for j, d := range m.slopes(&act) {
				slopes[j] += d
			}
		}
		first.back(at, slopes[:n], part[:w.n])
		for j, i := range at {
			sum[i] += part[j]
		}
	}
	for k, i := range at {
		sum[i] *= value[k] / steps
	}
	return sum
}

// forward fills what the hidden layers behind the first answer.
func (m *member) forward(act *[maxLayers][maxWidth]float64) {
	for l := 1; l < len(m.hidden); l++ {
		h := &m.hidden[l]
		to := act[l][:len(h.b)]
		h.sums(every[:h.in], act[l-1][:h.in], h.b, to)
		for j, s := range to {
			to[j] = math.Tanh(s)
		}
	}
}

// slopes returns d logit / d sum of the first layer's units, and keeps them
// where their answers were. What stands for the units that fill a block means
// nothing: their weights are 0.
func (m *member) slopes(act *[maxLayers][maxWidth]float64) []float64 {
	last := len(m.hidden) - 1
	var up [maxWidth]float64
	copy(up[:], m.out)
	for l := last; ; l-- {
		h := &m.hidden[l]
		d := act[l][:len(h.b)]
		for j, a := range d {
			d[j] = up[j] * (1 - float64(a*a))
		}
		if l == 0 {
			return d
		}
		h.back(every[:h.in], d, up[:h.in])
	}
}
