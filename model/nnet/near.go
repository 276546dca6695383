package nnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"fairwatt/model/nnet/skill"
)

// A head with a base is that head and a small network beside it: the logit is the
// base's calibrated one plus what the small network makes of its own inputs, here
// what neighbours say. The base's weights are not touched, so without neighbours
// the base answers as ever. The file holds the small network only; both are joined
// into one when it is read, so that graph, plain pass and explanation know one
// network.

// practiceSeed draws which neighbours fail in training rows.
const practiceSeed = 0x6e656172

// crossFolds is in how many parts the training rows are cut for the base's logits:
// on the rows that it learnt from, a base is surer than it is anywhere else, and what
// stands beside it would learn to say little.
const crossFolds = 2

// compose joins the base's network and the small one. Inputs are the base's
// followed by the small one's.
func compose(base *Head, small mlp) (mlp, error) {
	if len(base.net) != len(small) {
		return nil, fmt.Errorf("%d layers beside the base's %d: as many are wanted", len(small), len(base.net))
	}
	nb, ns := base.net[0].In/2, small[0].In/2
	shapes := base.net.shapes()
	for l, w := range small.shapes() {
		shapes[l] += w
	}
	last := len(small) - 1
	shapes[last+1] = 1
	for _, w := range shapes {
		if w > maxWidth {
			return nil, fmt.Errorf("width %d beside the base's is more than %d", w, maxWidth)
		}
	}
	m := newMLP(shapes)
	put := func(l int, from *dense, row func(int) int, column int, scale float64) {
		to := &m[l]
		for i := range from.In {
			for j := range from.Out {
				to.W[row(i)*to.Out+column+j] = float32(float64(from.W[i*from.Out+j]) * scale)
			}
		}
		for j, b := range from.B {
			to.B[column+j] += float32(float64(b) * scale)
		}
	}
	for l := range m {
		b, s := &base.net[l], &small[l]
		column, scale := b.Out, 1.0
		if l == last {
			column, scale = 0, base.a
		}
		rowB, rowS := func(i int) int { return i }, func(i int) int { return b.In + i }
		if l == 0 { // values first, then flags
			rowB = func(i int) int { return i + i/nb*ns }
			rowS = func(i int) int { return nb + i + i/ns*nb }
		}
		put(l, b, rowB, 0, scale)
		put(l, s, rowS, column, 1)
	}
	m[last].B[0] += float32(base.b)
	return m, nil
}

// join makes h the joined head of base and of what h is now, a small network on
// its own inputs.
func (h *Head) join(base *Head) error {
	if base.Task.Name != h.Task.Name || base.Role != RoleNetwork || base.base != nil {
		return fmt.Errorf("base %q: a network of the same task without a base is wanted", base.Name)
	}
	for _, in := range h.Inputs {
		if slices.Contains(base.Inputs, in) {
			return fmt.Errorf("input %q is the base's too", in)
		}
	}
	net, err := compose(base, h.net)
	if err != nil {
		return err
	}
	small := *h
	h.base, h.small, h.net = base, &small, net
	h.Inputs = slices.Concat(base.Inputs, small.Inputs)
	h.inputs = slices.Concat(base.inputs, small.inputs)
	h.Required = slices.Concat(base.Required, small.Required)
	h.required = slices.Concat(base.required, small.required)
	h.mean, h.sd = slices.Concat(base.mean, small.mean), slices.Concat(base.sd, small.sd)
	return nil
}

// HearsNeighbours says whether a head reads what neighbours say.
func (h *Head) HearsNeighbours() bool { return h.base != nil }

// stored is what a file holds of a head: with a base, the small network.
func (h *Head) stored() *Head {
	if h.small != nil {
		return h.small
	}
	return h
}

// trainNear trains the small network of a head beside its base, on logits of networks
// that baseConfig describes and that did not see the row. An empty baseConfig takes
// the base's own logits, which costs nothing and understates what stands beside it.
func trainNear(ctx context.Context, cfg Config, hc, baseConfig HeadConfig, base *Head, series []*Series, log *slog.Logger) (*Head, error) {
	h, err := newHead(hc, RoleNetwork)
	if err != nil {
		return nil, err
	}
	train, validate, err := nearRows(series, h, base, hc)
	if err != nil {
		return nil, err
	}
	if baseConfig.Name == "" {
		train.offset = base.calibratedLogits(train)
	} else if train.offset, err = crossLogits(ctx, cfg, baseConfig, train, validate, log); err != nil {
		return nil, fmt.Errorf("base %s: %w", base.Name, err)
	}
	validate.offset = base.calibratedLogits(validate)
	h.normalise(train)
	if h.net, err = h.members(ctx, cfg, hc, train, validate, log); err != nil {
		return nil, err
	}
	if err := h.join(base); err != nil {
		return nil, err
	}
	validate.offset = nil // it is in the network now
	h.finish(hc, validate)
	h.log(log, train)
	return h, nil
}

// nearRows are the rows that have what the base and the small network need.
// Training rows hear what they hear in practice: some of the neighbours.
func nearRows(series []*Series, h, base *Head, hc HeadConfig) (train, validate *rows, err error) {
	both := *h
	both.required = slices.Concat(base.required, h.required)
	if validate, err = collect(series, &both, PartValidate, true); err != nil {
		return nil, nil, err
	}
	training := Region{Practice: true, Seed: practiceSeed}
	if h.Split.ValidateFrom == "" { // by site: no other part may speak
		training.From = func(site string) bool { return hasSite(h.Split.TrainSites, site) }
	}
	heard := training.hear(series, nil)
	practice := make([]*Series, len(series))
	for i, s := range series {
		one := *s
		one.Features = nil
		if hasSite(slices.Concat(h.Split.TrainSites, h.Split.Sites), s.Site) {
			one.Features = slices.Clone(s.Features)
			for k := range one.Features {
				heard[i][k].apply(&one.Features[k])
			}
		} else {
			one.TimeMs = nil
		}
		practice[i] = &one
	}
	train, err = collect(practice, &both, PartTrain, hc.TrainLowland)
	if err == nil {
		err = bothKinds(train, validate)
	}
	return train, validate, err
}

// crossLogits are the base's calibrated logits of the training rows, each by
// networks that did not learn from its part: sites in turn, or where the split is
// by time, months.
func crossLogits(ctx context.Context, cfg Config, hc HeadConfig, train, validate *rows, log *slog.Logger) ([]float64, error) {
	fold := train.folds(hc.Split.ValidateFrom != "")
	out := make([]float64, len(train.f))
	hc.Members = 1
	for k := range crossFolds {
		h, err := newHead(hc, RoleNetwork)
		if err != nil {
			return nil, err
		}
		rest := train.where(func(i int) bool { return fold[i] != k })
		if err := bothKinds(rest, validate); err != nil {
			return nil, err
		}
		h.normalise(rest)
		if h.net, err = h.members(ctx, cfg, hc, rest, validate, log.With("fold", k)); err != nil {
			return nil, err
		}
		h.a, h.b = platt(validate.logits(h), validate.label)
		z := h.calibratedLogits(train)
		for i := range z {
			if fold[i] == k {
				out[i] = z[i]
			}
		}
	}
	return out, nil
}

const monthMs = 30 * skill.DayMs

// folds numbers the parts of rows.
func (r *rows) folds(byTime bool) []int {
	var out []int
	for t := range r.track {
		for _, at := range r.track[t].TimeMs {
			fold := t % crossFolds
			if byTime {
				fold = int(at/monthMs) % crossFolds
			}
			out = append(out, fold)
		}
	}
	return out
}

// where are the rows that keep wants, without their tracks.
func (r *rows) where(keep func(i int) bool) *rows {
	out := &rows{}
	for i := range r.f {
		if keep(i) {
			out.f, out.label = append(out.f, r.f[i]), append(out.label, r.label[i])
		}
	}
	return out
}

func (h *Head) calibratedLogits(r *rows) []float64 {
	z := (&rows{f: r.f}).logits(h)
	for i := range z {
		z[i] = h.a*z[i] + h.b
	}
	return z
}

// bothKinds refuses rows that teach nothing.
func bothKinds(train, validate *rows) error {
	for _, part := range []struct {
		name string
		r    *rows
	}{{"training", train}, {"validation", validate}} {
		if b := skill.BaseRate(part.r.label); !(b > 0 && b < 1) {
			return fmt.Errorf("%s rows: %d, of which a share of %g positive: need both kinds", part.name, len(part.r.f), b)
		}
	}
	return nil
}

// checkBase refuses a head whose base does not stand before it.
func (c Config) checkBase(i int) error {
	h := &c.Heads[i]
	if h.Base == "" {
		return nil
	}
	b, ok := c.base(h.Base)
	switch {
	case !ok || b.Base != "" || !slices.ContainsFunc(c.Heads[:i], func(o HeadConfig) bool { return o.Name == h.Base }):
		return fmt.Errorf("base: %q is no head before this one that has no base itself", h.Base)
	case b.Task != h.Task || b.HorizonH != h.HorizonH || b.GustMPS != h.GustMPS:
		return fmt.Errorf("base: %q answers another question", h.Base)
	case len(h.Hidden) != len(b.Hidden):
		return fmt.Errorf("hidden: %d layers beside %d of base %q: as many are wanted", len(h.Hidden), len(b.Hidden), h.Base)
	case len(h.Required) == 0:
		return errors.New("required: an input is wanted without which the base answers")
	}
	for l, w := range h.Hidden {
		if n := w*c.members(*h) + b.Hidden[l]*c.members(b); n > maxWidth {
			return fmt.Errorf("hidden: width %d with base %q is more than %d", n, h.Base, maxWidth)
		}
	}
	return nil
}

// base is the configuration of a head by name.
func (c Config) base(name string) (HeadConfig, bool) {
	i := slices.IndexFunc(c.Heads, func(h HeadConfig) bool { return h.Name == name })
	if i < 0 {
		return HeadConfig{}, false
	}
	return c.Heads[i], true
}

// logisticOn is the baseline of a head with a base: all inputs of both.
func (c Config) logisticOn(hc HeadConfig) HeadConfig {
	b, ok := c.base(hc.Base)
	if !ok {
		return hc
	}
	hc.Inputs = slices.Concat(b.Inputs, hc.Inputs)
	hc.Required = slices.Concat(b.Required, hc.Required)
	hc.Noise = b.Noise
	return hc
}
