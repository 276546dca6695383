package nnet

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"

	"fairwatt/model"
)

// shippedGz are the weights in the repository, packed; docs/model.md is their card.
// What a program does not use of these two files is not in it: an agent has the
// second only.
//
//go:embed weights/hazard-1.fwnn.gz
var shippedGz []byte

// unpack returns the weight file in a gzip file.
func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1)) // ParseWeights refuses what is longer
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	return data, nil
}

// shippedLive is what Live makes of them, packed: a board has little room.
//
//go:embed weights/hazard-1-live.fwnn.gz
var shippedLive []byte

// liveFile unpacks the weight file of the live heads.
func liveFile() ([]byte, error) { return unpack(shippedLive) }

// selfTestTolerance is how far this machine's probability may lie from the
// training machine's. Architectures fuse and order float32 sums differently, by
// some 1e-6 here; a wrong weight or input order is off by far more.
const selfTestTolerance = 1e-4

// A selfTest is one feature vector with the probability the training machine
// gave. It is in the order of model.Features, not of the head's inputs, so that
// a wrong order of inputs shows.
type selfTest struct {
	X []float32 `json:"x"` // model.NumFeatures numbers, none missing
	P float64   `json:"p"`
}

// newSelfTest makes a vector that moves every input off its mean, each by
// another number of deviations.
func newSelfTest(h *Head) selfTest {
	t := selfTest{X: make([]float32, model.NumFeatures)}
	for k, i := range h.inputs {
		step := float32(k%5-2)*0.5 + 0.25
		t.X[i] = h.mean[k] + float32(step*h.sd[k])
	}
	f := t.features()
	t.P, _ = h.Probability(&f)
	return t
}

func (t *selfTest) features() (f model.Features) {
	copy(f.X[:], t.X)
	return f
}

func (t *selfTest) check(h *Head) error {
	if len(t.X) != model.NumFeatures {
		return fmt.Errorf("self-test has %d features, want %d", len(t.X), model.NumFeatures)
	}
	f := t.features()
	p, ok := h.Probability(&f)
	if !ok || !(math.Abs(p-t.P) <= selfTestTolerance) {
		return fmt.Errorf("self-test gives %g, want %g", p, t.P)
	}
	return nil
}

// A Network scores features. It holds one Gorgonia graph for each head
// that may be used live; built with the tag lite, it scores by the plain pass. One
// goroutine owns it.
type Network struct {
	version string
	sum     [sha256.Size]byte // of the weight file
	live    []liveHead        // richest inputs first within a kind
}

// A liveHead is a head without what only training and files need: a board has
// little memory.
type liveHead struct {
	Head
	inf *inferencer
}

var _ model.Scorer = (*Network)(nil)

// Load parses a weight file, checks it (ParseWeights) and builds the inference
// graphs. Each graph must answer its head's self-test too.
func Load(data []byte) (*Network, error) {
	w, err := ParseWeights(data)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(w)
	if err != nil {
		return nil, err
	}
	n.sum = sha256.Sum256(data)
	return n, nil
}

// ShippedWeights parses the weights in the repository without building graphs.
func ShippedWeights() (*Weights, error) {
	data, err := unpack(shippedGz)
	if err != nil {
		return nil, err
	}
	return ParseWeights(data)
}

// LiveWeights parses the heads of them that are used live.
func LiveWeights() (*Weights, error) {
	b, err := liveFile()
	if err != nil {
		return nil, err
	}
	return ParseWeights(b)
}

// Live are the heads that may be used live, without the sites that they learnt from:
// all that an agent needs.
func (w *Weights) Live() *Weights {
	out := *w
	out.Heads, out.Yardsticks = nil, nil
	for _, h := range w.Heads {
		if !h.EvaluationOnly {
			one := *h
			one.Split = Split{}
			out.Heads = append(out.Heads, &one)
		}
	}
	return &out
}

// Shipped loads the weights of the repository that are used live.
func Shipped() (*Network, error) {
	b, err := liveFile()
	if err != nil {
		return nil, err
	}
	return Load(b)
}

// newNetwork builds a network from weights. It keeps no weight of w but those that
// it scores with.
func newNetwork(w *Weights) (*Network, error) {
	n := &Network{version: fmt.Sprintf("%s v%d", w.Name, w.Version)}
	for _, h := range w.Heads {
		if h.EvaluationOnly {
			continue
		}
		inf, err := newInferencer(h)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("head %q: %w", h.Name, err), n.Close())
		}
		l := liveHead{Head: *h, inf: inf}
		l.net, l.test, l.base, l.small = nil, selfTest{}, nil, nil
		at := len(n.live)
		for at > 0 && len(n.live[at-1].Inputs) < len(h.Inputs) {
			at--
		}
		n.live = append(n.live[:at], append([]liveHead{l}, n.live[at:]...)...)
		f := h.test.features()
		if p, err := l.score(&f); err != nil || math.Abs(p-h.test.P) > selfTestTolerance {
			err = fmt.Errorf("head %q: self-test by %s gives %g, want %g: %w", h.Name, Engine, p, h.test.P, errOrMismatch(err))
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

var errMismatch = errors.New("mismatch")

func errOrMismatch(err error) error {
	if err == nil {
		return errMismatch
	}
	return err
}

// Sum is the SHA-256 of the weight file.
func (n *Network) Sum() [sha256.Size]byte { return n.sum }

// Version names the weights in reports, as hazard-1.
func (n *Network) Version() string { return n.version }

// WarnThreshold is the lowest probability from which a warning of this kind is
// due, by any of the heads that Score may use for it; ok is false for kinds
// the network does not know.
func (n *Network) WarnThreshold(kind model.Kind) (p float64, ok bool) {
	for _, l := range n.live {
		if l.Kind == kind && (!ok || l.Warn < p) {
			p, ok = l.Warn, true
		}
	}
	return p, ok
}

// Score implements model.Scorer. For each kind the head with the most inputs
// scores, of those whose required inputs are present; a kind without such a head
// has no score. If a head warns (p at or above its threshold), Top explains the
// one furthest above its threshold. An explanation costs several scores
// (BenchmarkPlain), so there is none otherwise. A score that is no probability is an error.
func (n *Network) Score(f *model.Features) (model.Scores, error) {
	var s model.Scores
	worst, excess := -1, 1.0
	for i := range n.live {
		l := &n.live[i]
		if s.Has[l.Kind] || !l.ready(f) {
			continue
		}
		p, err := l.score(f)
		if err != nil {
			return model.Scores{}, fmt.Errorf("head %q: %w", l.Name, err)
		}
		s.P[l.Kind], s.Has[l.Kind] = p, true
		if r := p / l.Warn; r >= excess {
			worst, excess = i, r
		}
	}
	if worst >= 0 {
		s.Top = n.live[worst].explain(f)
	}
	return s, nil
}

func (l *liveHead) score(f *model.Features) (float64, error) {
	l.encode(f, l.inf.x)
	z, err := l.inf.run()
	if err != nil {
		return 0, err
	}
	p := l.calibrated(z)
	if !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("score is %g, which is no probability", p)
	}
	return p, nil
}

// Close releases the graphs. The network must not be used afterwards.
func (n *Network) Close() error {
	var err error
	for _, l := range n.live {
		err = errors.Join(err, l.inf.close())
	}
	n.live = nil
	return err
}
