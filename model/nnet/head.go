package nnet

import (
	"math"

	"fairwatt/model"
)

// A Head is one trained network with all that its numbers mean.
type Head struct {
	Name     string // as in the configuration; a baseline adds "/logistic"
	Role     string // RoleNetwork or RoleLogistic
	Task     Task
	Kind     model.Kind
	Inputs   []string
	Required []string
	// EvaluationOnly heads are never used by Score.
	EvaluationOnly bool
	Split          Split
	// Warn is the lowest calibrated probability that warns. It was chosen on the
	// validation rows, where it costs at most FalseAlarms a site-day.
	Warn        float64
	FalseAlarms float64
	// Validation is what the head reached on the rows that chose its epoch,
	// calibration and threshold: optimistic, kept to recognise the weights.
	Validation Validation

	inputs   []int // indexes into model.Features
	required []int
	mean, sd []float32
	a, b     float64 // p = sigmoid(a*logit + b): Platt scaling
	net      mlp
	plain    *plain // net, laid out by prepare
	test     selfTest

	// Of a head with a base: the base, and what stands beside it as the file holds it.
	base, small *Head
}

// prepare lays the finished network out for scoring.
func (h *Head) prepare() { h.plain = newPlain(h.net) }

// A Validation is a head's result on its validation rows.
type Validation struct {
	Rows     int     `json:"rows"`
	Positive int     `json:"positive"`
	AUC      float64 `json:"roc_auc"`
	AP       float64 `json:"average_precision"`
}

// The roles of heads.
const (
	RoleNetwork  = "network"
	RoleLogistic = "logistic"
)

// clip bounds a standardised input: a value seven deviations out is beyond what
// was learnt, and must not change the score linearly.
const clip = 6

// ready says whether all required inputs are there.
func (h *Head) ready(f *model.Features) bool {
	for _, i := range h.required {
		if f.Missing[i] {
			return false
		}
	}
	return true
}

// encode writes 2*len(inputs) numbers: the standardised values, 0 where
// missing, then 1 for each missing one.
func (h *Head) encode(f *model.Features, x []float32) {
	n := len(h.inputs)
	for k, i := range h.inputs {
		if f.Missing[i] {
			x[k], x[n+k] = 0, 1
			continue
		}
		// float32 arithmetic in single steps: division is not fused.
		v := (f.X[i] - h.mean[k]) / h.sd[k]
		x[k], x[n+k] = min(max(v, -clip), clip), 0
	}
}

// Probability scores one vector with the plain pass, without the graph. ok is
// false when a required input is missing. It allocates nothing and is safe for
// concurrent use.
func (h *Head) Probability(f *model.Features) (p float64, ok bool) {
	if !h.ready(f) {
		return math.NaN(), false
	}
	var x [2 * model.NumFeatures]float32
	in := x[:2*len(h.inputs)]
	h.encode(f, in)
	return h.calibrated(h.plain.logit(in, math.Inf(-1), math.Inf(1))), true
}

func (h *Head) calibrated(z float64) float64 { return sigmoid(float64(h.a*z) + h.b) }

// explain returns the three inputs that moved the score most away from that of an
// ordinary hour, in units of the calibrated logit. It never names a missing
// input: the sensor rules do.
func (h *Head) explain(f *model.Features) []model.Contribution {
	n := len(h.inputs)
	x := make([]float32, 2*n)
	h.encode(f, x)
	ig := h.plain.integratedGradients(x)
	units := model.FeatureUnits()
	var top []model.Contribution
	for k, i := range h.inputs {
		if f.Missing[i] {
			continue
		}
		c := model.Contribution{
			Name: h.Inputs[k], Value: float64(f.X[i]), Unit: units[i],
			Contribution: h.a * (ig[k] + ig[n+k]),
		}
		at := len(top)
		for at > 0 && math.Abs(c.Contribution) > math.Abs(top[at-1].Contribution) {
			at--
		}
		if at < 3 {
			top = append(top[:at], append([]model.Contribution{c}, top[at:]...)...)
			top = top[:min(len(top), 3)]
		}
	}
	return top
}
