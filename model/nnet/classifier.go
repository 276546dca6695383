package nnet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// A Classifier is a small network with its normalisation for numbers that do
// not come from model.Features: the experiments of `model evaluate` train
// one and throw it away.
type Classifier struct {
	mean, sd []float32
	net      mlp
}

// TrainClassifier trains on rows of equal length for cfg.Epochs epochs, with the
// sampling, solver and seed of cfg. hidden may be empty (logistic regression).
// Without validation rows it does not stop early. cfg needs no heads.
func TrainClassifier(ctx context.Context, cfg Config, hidden []int, x [][]float32, label []bool) (_ *Classifier, err error) {
	if len(x) == 0 || len(x) != len(label) || len(x[0]) == 0 {
		return nil, fmt.Errorf("%d rows with %d labels", len(x), len(label))
	}
	var rows [2][]int
	for i, l := range label {
		k := 0
		if l {
			k = 1
		}
		rows[k] = append(rows[k], i)
	}
	if len(rows[0]) == 0 || len(rows[1]) == 0 {
		return nil, errors.New("rows of one kind only")
	}
	c := &Classifier{}
	c.normalise(x)
	width := len(c.mean)
	rng := rand.New(rand.NewPCG(cfg.Seed, uint64(len(hidden))))
	c.net = newMLP(append(append([]int{width}, hidden...), 1))
	initialise(c.net, rng)
	t, err := newTrainer(c.net, cfg, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	for range cfg.Epochs * (cfg.RowsPerEpoch / cfg.Batch) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for r := range cfg.Batch {
			k := 0
			if rng.Float64() < cfg.PositiveShare {
				k = 1
			}
			i := rows[k][rng.IntN(len(rows[k]))]
			c.encode(x[i], t.x[r*width:(r+1)*width])
			t.y[r] = float32(k)
		}
		cost, err := t.step()
		if err != nil {
			return nil, err
		}
		if math.IsNaN(float64(cost)) || math.IsInf(float64(cost), 0) {
			return nil, fmt.Errorf("cost is %g: lower the learn rate", cost)
		}
	}
	return c, nil
}

func (c *Classifier) normalise(x [][]float32) {
	width, n := len(x[0]), float64(len(x))
	c.mean, c.sd = make([]float32, width), make([]float32, width)
	for k := range width {
		sum, sq := 0.0, 0.0
		for _, row := range x {
			sum += float64(row[k])
		}
		for _, row := range x {
			d := float64(row[k]) - sum/n
			sq += d * d
		}
		c.mean[k], c.sd[k] = float32(sum/n), float32(math.Sqrt(sq/n))
		if !(c.sd[k] > 1e-6) {
			c.sd[k] = 1
		}
	}
}

func (c *Classifier) encode(row, x []float32) {
	for k, v := range row {
		x[k] = min(max((v-c.mean[k])/c.sd[k], -clip), clip)
	}
}

// Probability scores a row of the length trained on.
func (c *Classifier) Probability(row []float32) float64 {
	var buf [2 * maxWidth]float32
	x := buf[:len(c.mean)]
	c.encode(row, x)
	return sigmoid(c.net.logit(x))
}
