package nnet

import (
	"math"

	"fairwatt/model"
)

// A plain is a network laid out to score and explain one row at a time, with
// the sums of mlp.logit in the same order, so that it gives the same bits. It
// leaves out what is 0: the weights between the members of a head (half of
// them in a mean of five), and inputs that are 0, as most missing flags are.
// It is never changed and safe for concurrent use.
type plain struct {
	direct  []float64 // weights of the inputs on the logit, of a network without hidden layers
	bias    float64
	members []member
	rest    []float64 // by member: how far it and those after it can move the logit, either way
}

// A member is a part of the hidden units that no weight links with the others.
type member struct {
	hidden []layer
	out    []float64 // weights of the last hidden units on the logit
}

// lanes is how many units are summed at a time: as many sums as a processor
// keeps in registers and adds without waiting for the last one.
const lanes = 4

// A layer's weights stand in blocks of some lanes of units: those of the first
// input, those of the second and so on. The last block is filled with zeros.
type layer struct {
	in, out int
	w, b    []float64
}

// newPlain lays m out.
func newPlain(m mlp) *plain {
	last := &m[len(m)-1]
	p := &plain{bias: float64(last.B[0])}
	if len(m) == 1 {
		for _, w := range last.W {
			p.direct = append(p.direct, float64(w))
		}
		return p
	}
	for _, units := range m.parts() {
		p.members = append(p.members, newMember(m, units))
	}
	p.rest = make([]float64, len(p.members))
	sum := 0.0
	for k := len(p.members) - 1; k >= 0; k-- {
		for _, w := range p.members[k].out {
			sum += math.Abs(w) // a unit answers -1 to 1
		}
		p.rest[k] = sum
	}
	return p
}

// parts divides the hidden units into those that weights link: by part and by
// hidden layer, in rising order. A part without a unit in the last layer says
// nothing and is left out. The units of a single hidden layer are one part.
func (m mlp) parts() [][][]int {
	hidden := len(m) - 1
	part := make([][]int, hidden) // by layer and unit
	for l := range part {
		part[l] = make([]int, m[l].Out)
	}
	found := 0
	for j := range part[hidden-1] {
		if part[hidden-1][j] != 0 {
			continue
		}
		found++
		if hidden == 1 {
			for k := range part[0] {
				part[0][k] = found
			}
			break
		}
		m.mark(part, hidden-1, j, found)
	}
	out := make([][][]int, found)
	for k := range out {
		out[k] = make([][]int, hidden)
	}
	for l := range part {
		for j, k := range part[l] {
			if k > 0 {
				out[k-1][l] = append(out[k-1][l], j)
			}
		}
	}
	return out
}

// mark puts a unit and all that weights link with it into a part.
func (m mlp) mark(part [][]int, l, j, k int) {
	if part[l][j] == k {
		return
	}
	part[l][j] = k
	if l > 0 {
		for i := range m[l].In {
			if m[l].W[i*m[l].Out+j] != 0 {
				m.mark(part, l-1, i, k)
			}
		}
	}
	if l+1 < len(part) {
		for i, w := range m[l+1].W[j*m[l+1].Out : (j+1)*m[l+1].Out] {
			if w != 0 {
				m.mark(part, l+1, i, k)
			}
		}
	}
}

// newMember lays out some units of m, given by layer.
func newMember(m mlp, units [][]int) member {
	var mem member
	from := make([]int, m[0].In)
	for i := range from {
		from[i] = i
	}
	for l, to := range units {
		mem.hidden = append(mem.hidden, newLayer(&m[l], from, to))
		from = to
	}
	for _, i := range from {
		mem.out = append(mem.out, float64(m[len(m)-1].W[i]))
	}
	return mem
}

func newLayer(d *dense, from, to []int) layer {
	padded := (len(to) + lanes - 1) / lanes * lanes
	l := layer{in: len(from), out: len(to), w: make([]float64, padded*len(from)), b: make([]float64, padded)}
	for j, unit := range to {
		l.b[j] = float64(d.B[unit])
		block := l.w[j/lanes*lanes*l.in:]
		for i, input := range from {
			block[i*lanes+j%lanes] = float64(d.W[input*d.Out+unit])
		}
	}
	return l
}

// A work holds what is computed on the way to a score. Its place is the stack.
type work struct {
	at    [2 * model.NumFeatures]int32 // inputs that are not 0
	value [2 * model.NumFeatures]float64
	n     int
	act   [2][maxWidth]float64
}

// every numbers the units of a layer.
var every = func() (at [maxWidth]int32) {
	for i := range at {
		at[i] = int32(i)
	}
	return at
}()

func (w *work) take(x []float32) {
	w.n = 0
	for i, v := range x {
		if v != 0 {
			w.at[w.n], w.value[w.n] = int32(i), float64(v)
			w.n++
		}
	}
}

// logit answers a row of at most 2*model.NumFeatures numbers. It stops early,
// and its answer stands for all beyond, where the members that are left cannot
// bring the logit up to low or down to high.
func (p *plain) logit(x []float32, low, high float64) float64 {
	var w work
	w.take(x)
	at, value := w.at[:w.n], w.value[:w.n]
	z := p.bias
	if p.direct != nil {
		for k, i := range at {
			z += float64(value[k] * p.direct[i])
		}
		return z
	}
	for k := range p.members {
		if z+p.rest[k] < low || z-p.rest[k] > high {
			break
		}
		m := &p.members[k]
		from, v := at, value
		for l := range m.hidden {
			h := &m.hidden[l]
			to := w.act[l%2][:len(h.b)]
			h.sums(from, v, h.b, to)
			to = to[:h.out]
			for j, s := range to {
				to[j] = math.Tanh(s)
			}
			from, v = every[:h.out], to
		}
		for j, out := range m.out {
			z += float64(v[j] * out)
		}
	}
	return z
}

// sums adds the values of the inputs at, each times its weight, to begin, by
// unit. begin and to have the length of l.b.
func (l *layer) sums(at []int32, value, begin, to []float64) {
	value = value[:len(at)] // checked here, not for each number
	for j := 0; j+lanes <= len(to); j += lanes {
		b := (*[lanes]float64)(begin[j:])
		s0, s1, s2, s3 := b[0], b[1], b[2], b[3]
		block := l.w[j*l.in : (j+lanes)*l.in]
		for k, i := range at {
			v, w := value[k], (*[lanes]float64)(block[int(i)*lanes:])
			// Rounded before it is added: no fused multiply-add (features_vector.go).
			s0 += float64(v * w[0])
			s1 += float64(v * w[1])
			s2 += float64(v * w[2])
			s3 += float64(v * w[3])
		}
		o := (*[lanes]float64)(to[j:])
		o[0], o[1], o[2], o[3] = s0, s1, s2, s3
	}
}

// back adds up, for each of the inputs at, what its units' slopes make of it.
func (l *layer) back(at []int32, slope, to []float64) {
	for k, i := range at {
		s := 0.0
		for j := 0; j+lanes <= len(slope); j += lanes {
			d, w := (*[lanes]float64)(slope[j:]), (*[lanes]float64)(l.w[j*l.in+int(i)*lanes:])
			s += float64(d[0]*w[0]) + float64(d[1]*w[1]) + float64(d[2]*w[2]) + float64(d[3]*w[3])
		}
		to[k] = s
	}
}
