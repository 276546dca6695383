package nnet

import "math"

// A dense layer: out = act(in*W + B). W is row-major, In rows of Out numbers.
type dense struct {
	In, Out int
	W, B    []float32
}

// An mlp is layers with tanh between them and one linear output, a logit.
type mlp []dense

// shapes lists the layer widths from input to output.
func (m mlp) shapes() []int {
	out := []int{m[0].In}
	for _, l := range m {
		out = append(out, l.Out)
	}
	return out
}

func newMLP(shapes []int) mlp {
	m := make(mlp, len(shapes)-1)
	for i := range m {
		in, out := shapes[i], shapes[i+1]
		m[i] = dense{In: in, Out: out, W: make([]float32, in*out), B: make([]float32, out)}
	}
	return m
}

// clone copies all weights.
func (m mlp) clone() mlp {
	out := newMLP(m.shapes())
	for i := range m {
		copy(out[i].W, m[i].W)
		copy(out[i].B, m[i].B)
	}
	return out
}

// mean joins networks of the same shapes side by side, without a weight between
// them. Its logit is the mean of their logits.
func mean(nets []mlp) mlp {
	if len(nets) == 1 {
		return nets[0]
	}
	shapes := nets[0].shapes()
	last := len(shapes) - 1
	for l := 1; l < last; l++ {
		shapes[l] *= len(nets)
	}
	m := newMLP(shapes)
	share := 1 / float32(len(nets))
	for k, one := range nets {
		for l := range m {
			from, to := &one[l], &m[l]
			row, column, scale := k*from.In, k*from.Out, float32(1)
			if l == 0 {
				row = 0
			}
			if l == last-1 {
				column, scale = 0, share
			}
			for i := range from.In {
				for j := range from.Out {
					to.W[(row+i)*to.Out+column+j] += float32(scale * from.W[i*from.Out+j])
				}
			}
			for j := range from.Out {
				to.B[column+j] += float32(scale * from.B[j])
			}
		}
	}
	return m
}

// logit is the reference for the Gorgonia graph and the plain pass (plain.go):
// float64 and plain loops over all weights. Tests compare both others with it.
func (m mlp) logit(x []float32) float64 {
	var buf [2][maxWidth]float64
	var in []float64
	for l := range m {
		d := &m[l]
		out := buf[l%2][:d.Out]
		for j := range out {
			out[j] = float64(d.B[j])
		}
		for i := range d.In {
			v := 0.0
			if l == 0 {
				v = float64(x[i])
			} else {
				v = in[i]
			}
			if v == 0 {
				continue
			}
			row := d.W[i*d.Out : (i+1)*d.Out]
			for j, w := range row {
				// Rounded before it is added: no fused multiply-add (features_vector.go).
				out[j] += float64(v * float64(w))
			}
		}
		if l < len(m)-1 {
			for j := range out {
				out[j] = math.Tanh(out[j])
			}
		}
		in = out
	}
	return in[0]
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }
