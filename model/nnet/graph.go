//go:build !lite

package nnet

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	// Gorgonia's tensors hold Go pointers through unsafe; the package that checks
	// that the collector does not move them must know this Go version.
	_ "go4.org/unsafe/assume-no-moving-gc"
)

// The library's pool of tensors is a channel that it looks into before it sends: two
// trainers at once that find its last place free wait there for good. It gains nothing
// here, where the tensors of a graph stay for the whole training.
func init() { tensor.DontUsePool() }

// Engine names what scores in this program: Gorgonia, or plain in a program
// built with the tag lite.
const Engine = "Gorgonia"

// maybe is an error monad: the graph is written as a formula, the first error
// sticks and is checked once.
type maybe struct{ err error }

func (m *maybe) do(f func() (*G.Node, error)) *G.Node {
	if m.err != nil {
		return nil
	}
	n, err := f()
	m.err = err
	return n
}

// A graphNet is the layers in one expression graph.
type graphNet struct {
	graph  *G.ExprGraph
	x      *G.Node // batch x In
	logit  *G.Node // batch x 1
	w, b   []*G.Node
	layers []operations
}

// operations are the nodes of one layer: its product, its sum and, but for the
// last layer, its answer.
type operations struct{ product, sum, tanh *G.Node }

// newGraphNet builds the forward graph for a fixed batch, over tensors backed
// by m's own slices: training changes m in place.
func newGraphNet(m mlp, batch int) (*graphNet, error) {
	g := G.NewGraph()
	n := &graphNet{graph: g}
	n.x = G.NewMatrix(g, tensor.Float32, G.WithShape(batch, m[0].In), G.WithName("x"),
		G.WithValue(tensor.New(tensor.WithShape(batch, m[0].In), tensor.Of(tensor.Float32))))
	var mb maybe
	h := n.x
	for l := range m {
		w := G.NewMatrix(g, tensor.Float32, G.WithShape(m[l].In, m[l].Out), G.WithName(fmt.Sprintf("w%d", l)),
			G.WithValue(tensor.New(tensor.WithShape(m[l].In, m[l].Out), tensor.WithBacking(m[l].W))))
		b := G.NewMatrix(g, tensor.Float32, G.WithShape(1, m[l].Out), G.WithName(fmt.Sprintf("b%d", l)),
			G.WithValue(tensor.New(tensor.WithShape(1, m[l].Out), tensor.WithBacking(m[l].B))))
		n.w, n.b = append(n.w, w), append(n.b, b)
		in := h
		z := mb.do(func() (*G.Node, error) { return G.Mul(in, w) })
		// Broadcasting over one row is refused by Gorgonia; a plain sum does there.
		if batch == 1 {
			h = mb.do(func() (*G.Node, error) { return G.Add(z, b) })
		} else {
			h = mb.do(func() (*G.Node, error) { return G.BroadcastAdd(z, b, nil, []byte{0}) })
		}
		layer := operations{product: z, sum: h}
		if l < len(m)-1 {
			layer.tanh = mb.do(func() (*G.Node, error) { return G.Tanh(layer.sum) })
			h = layer.tanh
		}
		n.layers = append(n.layers, layer)
	}
	if mb.err != nil {
		return nil, fmt.Errorf("build graph: %w", mb.err)
	}
	n.logit = h
	return n, nil
}

// An inferencer does the operations of one head's graph on one row, in their
// order. A tape machine does the same on a thread of its own: handing a row over
// and waiting costs several times what the operations do, and it compiles the
// graph first. An inferencer owns its input and is not safe for concurrent use.
type inferencer struct {
	x     []float32 // the input tensor's backing
	steps []func() error
	out   []float32
}

func newInferencer(h *Head) (*inferencer, error) {
	m := h.net.clone()
	n, err := newGraphNet(m, 1)
	if err != nil {
		return nil, err
	}
	inf := &inferencer{x: n.x.Value().Data().([]float32)}
	in := n.x.Value()
	for l, layer := range n.layers {
		// The product is written here, and what follows overwrites it.
		inf.out = make([]float32, m[l].Out)
		at := tensor.New(tensor.WithShape(1, m[l].Out), tensor.WithBacking(inf.out))
		product, ok := layer.product.Op().(G.UsePreallocDoer)
		if !ok {
			return nil, fmt.Errorf("build graph: %v cannot write into a tensor", layer.product.Op())
		}
		from, w := in, n.w[l].Value()
		inf.steps = append(inf.steps, func() error {
			_, err := product.UsePreallocDo(at, from, w)
			return err
		})
		if err := inf.inPlace(layer.sum, at, n.b[l].Value()); err != nil {
			return nil, err
		}
		if layer.tanh != nil {
			if err := inf.inPlace(layer.tanh, at); err != nil {
				return nil, err
			}
		}
		in = at
	}
	return inf, nil
}

// inPlace adds a step whose operation overwrites its first input.
func (inf *inferencer) inPlace(n *G.Node, inputs ...G.Value) error {
	op, ok := n.Op().(G.UnsafeDoer)
	if !ok {
		return fmt.Errorf("build graph: %v cannot overwrite its input", n.Op())
	}
	inf.steps = append(inf.steps, func() error {
		out, err := op.UnsafeDo(inputs...)
		if err == nil && out != inputs[0] {
			err = fmt.Errorf("%v answers elsewhere", n.Op())
		}
		return err
	})
	return nil
}

// run returns the logit of x.
func (inf *inferencer) run() (float64, error) {
	for _, step := range inf.steps {
		if err := step(); err != nil {
			return 0, fmt.Errorf("run graph: %w", err)
		}
	}
	return float64(inf.out[0]), nil
}

func (inf *inferencer) close() error { return nil }

// A trainer is the training graph with its gradients and solver.
type trainer struct {
	net    *graphNet
	x, y   []float32
	offset []float32 // added to each row's logit; nil: nothing is
	cost   G.Value
	vm     G.VM
	solver *G.AdamSolver
	params []G.ValueGrad
}

// newTrainer builds the cost mean(softplus(z) - y*z), the cross-entropy of
// sigmoid(z) in the form that does not overflow, over m's own weights.
func newTrainer(m mlp, cfg Config, offset bool) (*trainer, error) {
	n, err := newGraphNet(m, cfg.Batch)
	if err != nil {
		return nil, err
	}
	yv := tensor.New(tensor.WithShape(cfg.Batch, 1), tensor.Of(tensor.Float32))
	y := G.NewMatrix(n.graph, tensor.Float32, G.WithShape(cfg.Batch, 1), G.WithName("y"), G.WithValue(yv))
	var mb maybe
	z, added := n.logit, []float32(nil)
	if offset {
		ov := tensor.New(tensor.WithShape(cfg.Batch, 1), tensor.Of(tensor.Float32))
		added = ov.Data().([]float32)
		o := G.NewMatrix(n.graph, tensor.Float32, G.WithShape(cfg.Batch, 1), G.WithName("offset"), G.WithValue(ov))
		z = mb.do(func() (*G.Node, error) { return G.Add(n.logit, o) })
	}
	sp := mb.do(func() (*G.Node, error) { return G.Softplus(z) })
	yz := mb.do(func() (*G.Node, error) { return G.HadamardProd(y, z) })
	d := mb.do(func() (*G.Node, error) { return G.Sub(sp, yz) })
	cost := mb.do(func() (*G.Node, error) { return G.Mean(d) })
	if mb.err != nil {
		return nil, fmt.Errorf("build cost: %w", mb.err)
	}
	params := make(G.Nodes, 0, 2*len(n.w))
	for l := range n.w {
		params = append(params, n.w[l], n.b[l])
	}
	if _, err := G.Grad(cost, params...); err != nil {
		return nil, fmt.Errorf("differentiate cost: %w", err)
	}
	t := &trainer{
		net: n, x: n.x.Value().Data().([]float32), y: yv.Data().([]float32), offset: added,
		solver: G.NewAdamSolver(G.WithLearnRate(cfg.LearnRate), G.WithL2Reg(cfg.WeightDecay)),
		params: G.NodesToValueGrads(params),
	}
	G.Read(cost, &t.cost)
	t.vm = G.NewTapeMachine(n.graph, G.BindDualValues(params...))
	return t, nil
}

// step learns from the rows in x and y and returns their mean cost.
func (t *trainer) step() (float32, error) {
	defer t.vm.Reset()
	if err := t.vm.RunAll(); err != nil {
		return 0, fmt.Errorf("training step: %w", err)
	}
	if err := t.solver.Step(t.params); err != nil {
		return 0, fmt.Errorf("solver step: %w", err)
	}
	c, ok := t.cost.Data().(float32)
	if !ok {
		return 0, fmt.Errorf("training step: cost is %T", t.cost.Data())
	}
	return c, nil
}

func (t *trainer) close() error { return t.vm.Close() }
