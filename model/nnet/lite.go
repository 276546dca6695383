//go:build lite

package nnet

import "errors"

// Engine names what scores in this program: Gorgonia, or plain in a program
// built with the tag lite.
const Engine = "plain"

// settled is the calibrated logit beyond which a probability lies within 1e-7
// of 0 or 1, and so do all beyond it: members that could only move it further
// are not asked.
const settled = 16.2

// An inferencer answers one row at a time by the plain pass. It is not safe for
// concurrent use.
type inferencer struct {
	x         []float32
	net       *plain
	low, high float64 // logits beyond which the probability is settled
}

func newInferencer(h *Head) (*inferencer, error) {
	return &inferencer{
		x: make([]float32, 2*len(h.inputs)), net: h.plain,
		low: (-settled - h.b) / h.a, high: (settled - h.b) / h.a,
	}, nil
}

// run returns the logit of x.
func (inf *inferencer) run() (float64, error) { return inf.net.logit(inf.x, inf.low, inf.high), nil }

func (inf *inferencer) close() error { return nil }

// A trainer needs gradients of batches, which only Gorgonia's graph gives.
type trainer struct{ x, y, offset []float32 }

var errLite = errors.New("this program was built with the tag lite, which scores and does not train: build it without the tag")

func newTrainer(mlp, Config, bool) (*trainer, error) { return nil, errLite }

func (t *trainer) step() (float32, error) { return 0, errLite }

func (t *trainer) close() error { return nil }
