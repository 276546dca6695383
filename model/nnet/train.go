package nnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"

	"golang.org/x/sync/errgroup"

	"fairwatt/model"
	"fairwatt/model/nnet/skill"
)

// rows are the encoded rows of one part of a split, with their tracks.
type rows struct {
	f     []*model.Features
	label []bool
	track []skill.Track // P is filled by fill
	// offset is added to each row's logit; nil: nothing is.
	offset []float64
	site   []string // of each track
}

// collect gathers the rows of one part. Sites that are no rows of it leave no
// track.
func collect(series []*Series, h *Head, part Part, lowlandOnly bool) (*rows, error) {
	out := &rows{}
	for _, s := range series {
		if lowlandOnly && !h.Split.Lowland(s.Site) {
			continue
		}
		partOf, err := h.Split.of(s.Site)
		if err != nil {
			return nil, err
		}
		t := skill.Track{Onset: h.Task.Onsets(s)}
		for i, l := range h.Task.Labels(s) {
			if l < 0 || !h.ready(&s.Features[i]) {
				continue
			}
			if partOf(s.TimeMs[i]) != part {
				continue
			}
			out.f = append(out.f, &s.Features[i])
			out.label = append(out.label, l == 1)
			t.TimeMs = append(t.TimeMs, s.TimeMs[i])
		}
		if len(t.TimeMs) > 0 {
			out.track = append(out.track, t)
			out.site = append(out.site, s.Site)
		}
	}
	return out, nil
}

// logits returns the logits of all rows.
func (r *rows) logits(h *Head) []float64 {
	x := make([]float32, 2*len(h.inputs))
	z := make([]float64, len(r.f))
	p := newPlain(h.net) // gives the bits of the reference, in a third of its time
	for i, f := range r.f {
		h.encode(f, x)
		z[i] = p.logit(x, math.Inf(-1), math.Inf(1))
		if r.offset != nil {
			z[i] += r.offset[i]
		}
	}
	return z
}

// Train trains every head of the configuration and its logistic baseline from the
// series. It is deterministic: the same configuration, series in the same order
// and architecture give the same bits. It reads nothing from the test parts.
// Progress goes to log.
func Train(ctx context.Context, cfg Config, series []*Series, log *slog.Logger) (*Weights, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	w := &Weights{Name: cfg.Name, Version: cfg.Version, Seed: cfg.Seed, Credits: cfg.Credits}
	for _, hc := range cfg.Heads {
		for _, role := range []string{RoleNetwork, RoleLogistic} {
			var h *Head
			var err error
			switch base := w.named(hc.Base); {
			case base == nil:
				h, err = trainHead(ctx, cfg, hc, role, series, log)
			case role == RoleNetwork:
				b, _ := cfg.base(hc.Base)
				h, err = trainNear(ctx, cfg, hc, b, base, series, log)
			default:
				h, err = trainHead(ctx, cfg, cfg.logisticOn(hc), role, series, log)
			}
			if err != nil {
				return nil, fmt.Errorf("head %s (%s): %w", hc.Name, role, err)
			}
			w.Heads = append(w.Heads, h)
		}
		y, err := trainYardstick(hc, series)
		if err != nil {
			return nil, fmt.Errorf("head %s: %w", hc.Name, err)
		}
		if y != nil {
			w.Yardsticks = append(w.Yardsticks, *y)
		}
	}
	return w, nil
}

// named is the head of that name, nil if there is none.
func (w *Weights) named(name string) *Head {
	for _, h := range w.Heads {
		if name != "" && h.Name == name {
			return h
		}
	}
	return nil
}

// newHead makes an untrained head.
func newHead(hc HeadConfig, role string) (*Head, error) {
	in, err := featureIndexes(hc.Inputs)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	h := &Head{
		Name: hc.Name, Role: role, Task: hc.task(), Inputs: hc.Inputs, Required: hc.Required,
		EvaluationOnly: hc.EvaluationOnly || role != RoleNetwork, Split: hc.Split, FalseAlarms: hc.FalseAlarms,
		inputs: in, a: 1,
	}
	if role == RoleLogistic {
		h.Name += "/" + RoleLogistic
	}
	if h.Kind, err = h.Task.Kind(); err != nil {
		return nil, err
	}
	if len(hc.Required) > 0 {
		if h.required, err = featureIndexes(hc.Required); err != nil {
			return nil, fmt.Errorf("required: %w", err)
		}
	}
	return h, nil
}

func trainHead(ctx context.Context, cfg Config, hc HeadConfig, role string, series []*Series, log *slog.Logger) (*Head, error) {
	h, err := newHead(hc, role)
	if err != nil {
		return nil, err
	}
	train, err := collect(series, h, PartTrain, hc.TrainLowland)
	if err != nil {
		return nil, err
	}
	validate, err := collect(series, h, PartValidate, true)
	if err != nil {
		return nil, err
	}
	if err := bothKinds(train, validate); err != nil {
		return nil, err
	}
	h.normalise(train)
	if h.net, err = h.members(ctx, cfg, hc, train, validate, log); err != nil {
		return nil, err
	}
	h.finish(hc, validate)
	h.log(log, train)
	return h, nil
}

// members trains the networks that the head is the mean of.
func (h *Head) members(ctx context.Context, cfg Config, hc HeadConfig, train, validate *rows, log *slog.Logger) (mlp, error) {
	shapes := []int{2 * len(h.inputs)}
	if h.Role == RoleNetwork {
		shapes = append(shapes, hc.Hidden...)
	}
	shapes = append(shapes, 1)
	members := 1
	if h.Role == RoleNetwork {
		members = cfg.members(hc)
	}
	nets, noise := make([]mlp, members), h.noise(hc.Noise)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // each has its own graph, and the order does not matter
	for k := range nets {
		group.Go(func() error {
			one := *h
			one.net = newMLP(shapes)
			if err := one.fit(ctx, cfg, cfg.Seed+uint64(k), noise, train, validate, log.With("member", k)); err != nil {
				return err
			}
			nets[k] = one.net
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return mean(nets), nil
}

// finish lays the trained network out, and chooses calibration and threshold on
// the validation rows.
func (h *Head) finish(hc HeadConfig, validate *rows) {
	h.prepare()
	z := validate.logits(h)
	h.a, h.b = platt(z, validate.label)
	p := make([]float64, len(z))
	for i := range z {
		p[i] = h.calibrated(z[i])
	}
	validate.fill(p)
	h.Warn = skill.ThresholdFor(validate.track, hc.FalseAlarms, h.Task.HorizonMs)
	h.Validation = Validation{Rows: len(p), AUC: skill.AUC(p, validate.label), AP: skill.AveragePrecision(p, validate.label)}
	for _, l := range validate.label {
		if l {
			h.Validation.Positive++
		}
	}
	h.test = newSelfTest(h)
}

func (h *Head) log(log *slog.Logger, train *rows) {
	log.Info("head trained", "head", h.Name, "rows", len(train.f), "validation_auc", h.Validation.AUC,
		"validation_ap", h.Validation.AP, "platt_a", h.a, "platt_b", h.b, "warn", h.Warn)
}

// fill hands each track its share of the scores.
func (r *rows) fill(p []float64) {
	for i := range r.track {
		n := len(r.track[i].TimeMs)
		r.track[i].P, p = p[:n:n], p[n:]
	}
}

// normalise sets mean and standard deviation of every input from the training
// rows that have it. An input that never varies gets deviation 1.
func (h *Head) normalise(r *rows) {
	h.mean, h.sd = make([]float32, len(h.inputs)), make([]float32, len(h.inputs))
	for k, i := range h.inputs {
		n, sum, sq := 0.0, 0.0, 0.0
		for _, f := range r.f {
			if !f.Missing[i] {
				n++
				sum += float64(f.X[i])
			}
		}
		if n == 0 {
			h.sd[k] = 1
			continue
		}
		mean := sum / n
		for _, f := range r.f {
			if !f.Missing[i] {
				d := float64(f.X[i]) - mean
				sq += d * d
			}
		}
		h.mean[k], h.sd[k] = float32(mean), float32(math.Sqrt(sq/n))
		if !(h.sd[k] > 1e-6) {
			h.sd[k] = 1
		}
	}
}

// noise returns the deviation of each input's training noise in standardised
// units.
func (h *Head) noise(byName map[string]float64) []float32 {
	out := make([]float32, len(h.inputs))
	for k, name := range h.Inputs {
		out[k] = float32(byName[name]) / h.sd[k]
	}
	return out
}

// fit runs epochs until the validation score has not risen for cfg.Patience
// epochs, and keeps the best weights. The score is AUC + average precision: the
// first sees the whole order, the second its top, where warnings are.
func (h *Head) fit(ctx context.Context, cfg Config, seed uint64, noise []float32, train, validate *rows, log *slog.Logger) (err error) {
	rng := rand.New(rand.NewPCG(seed, uint64(len(h.Name))))
	initialise(h.net, rng)
	t, err := newTrainer(h.net, cfg, train.offset != nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	var pos, neg []int
	for i, l := range train.label {
		if l {
			pos = append(pos, i)
		} else {
			neg = append(neg, i)
		}
	}
	learning := h.net
	if cfg.AverageSteps > 0 {
		h.net = learning.clone()
	}
	draw := &drawing{rng: rng, train: train, pos: pos, neg: neg, noise: noise}
	best, bestScore, bestEpoch := h.net.clone(), math.Inf(-1), 0
	for epoch := 1; epoch <= cfg.Epochs && epoch-bestEpoch <= cfg.Patience; epoch++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		cost, err := h.epoch(cfg, t, draw, learning)
		if err != nil {
			return fmt.Errorf("epoch %d: %w", epoch, err)
		}
		z := validate.logits(h)
		auc, ap := skill.AUC(z, validate.label), skill.AveragePrecision(z, validate.label)
		log.Debug("epoch", "head", h.Name, "epoch", epoch, "cost", cost, "auc", auc, "ap", ap)
		if auc+ap > bestScore {
			best, bestScore, bestEpoch = h.net.clone(), auc+ap, epoch
		}
	}
	h.net = best
	return nil
}

// A drawing is where training rows come from.
type drawing struct {
	rng      *rand.Rand
	train    *rows
	pos, neg []int
	noise    []float32 // by input, in standardised units; 0: none
}

// row writes a random training row to x, with noise and with some inputs hidden. It
// returns which one.
func (d *drawing) row(h *Head, cfg Config, x []float32) int {
	n := len(h.inputs)
	from := d.neg
	if d.rng.Float64() < cfg.PositiveShare {
		from = d.pos
	}
	i := from[d.rng.IntN(len(from))]
	h.encode(d.train.f[i], x)
	for k := range n {
		if d.noise[k] > 0 && x[n+k] == 0 {
			x[k] += float32(float32(d.rng.NormFloat64()) * d.noise[k])
		}
		if d.rng.Float64() < cfg.InputDropout {
			x[k], x[n+k] = 0, 1
		}
	}
	return i
}

// epoch draws cfg.RowsPerEpoch rows with replacement and learns from them.
func (h *Head) epoch(cfg Config, t *trainer, draw *drawing, learning mlp) (float64, error) {
	width := 2 * len(h.inputs)
	steps, sum := cfg.RowsPerEpoch/cfg.Batch, 0.0
	for range steps {
		for r := range cfg.Batch {
			t.y[r] = 0
			i := draw.row(h, cfg, t.x[r*width:(r+1)*width])
			if draw.train.label[i] {
				t.y[r] = 1
			}
			if t.offset != nil {
				t.offset[r] = float32(draw.train.offset[i])
			}
		}
		c, err := t.step()
		if err != nil {
			return 0, err
		}
		if math.IsNaN(float64(c)) || math.IsInf(float64(c), 0) {
			return 0, fmt.Errorf("cost is %g: lower the learn rate", c)
		}
		sum += float64(c)
		if cfg.AverageSteps > 0 {
			h.net.approach(learning, 1/float32(cfg.AverageSteps))
		}
	}
	return sum / float64(steps), nil
}

// approach moves every weight of m by a share of the way to that of o.
func (m mlp) approach(o mlp, share float32) {
	for l := range m {
		for i, w := range o[l].W {
			m[l].W[i] += float32((w - m[l].W[i]) * share)
		}
		for i, b := range o[l].B {
			m[l].B[i] += float32((b - m[l].B[i]) * share)
		}
	}
}

// initialise draws Glorot-uniform weights from rng and zeroes the biases.
// Gorgonia's own initialisers seed from the clock.
func initialise(m mlp, rng *rand.Rand) {
	for l := range m {
		limit := math.Sqrt(6 / float64(m[l].In+m[l].Out))
		for i := range m[l].W {
			m[l].W[i] = float32((2*rng.Float64() - 1) * limit)
		}
		clear(m[l].B)
	}
}

// platt fits p = sigmoid(a*z + b) to the labels by Newton's method, with
// Platt's (1999) smoothed targets, and keeps a positive: calibration may not
// reverse the order.
func platt(z []float64, label []bool) (a, b float64) {
	pos := 0.0
	for _, l := range label {
		if l {
			pos++
		}
	}
	neg := float64(len(label)) - pos
	hi, lo := (pos+1)/(pos+2), 1/(neg+2)
	a, b = 1, math.Log((pos+1)/(neg+1))
	for range 100 {
		var ga, gb, haa, hab, hbb float64
		for i, v := range z {
			t := lo
			if label[i] {
				t = hi
			}
			p := sigmoid(a*v + b)
			d, w := p-t, max(p*(1-p), 1e-12)
			ga += d * v
			gb += d
			haa += w * v * v
			hab += w * v
			hbb += w
		}
		haa += 1e-9
		hbb += 1e-9
		det := haa*hbb - hab*hab
		if !(det > 0) {
			break
		}
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		// A damped step: far from the optimum Newton overshoots.
		scale := min(1, 2/max(math.Abs(da), math.Abs(db), 1e-12))
		a, b = max(a-scale*da, 1e-3), b-scale*db
		if math.Abs(da)+math.Abs(db) < 1e-10 {
			break
		}
	}
	return a, b
}

// A Yardstick is a baseline of one sensor and one threshold. A network that does
// not beat it is not worth its weights.
type Yardstick struct {
	Name      string  `json:"name"` // current_gust
	Head      string  `json:"head"`
	Input     string  `json:"input"`
	Threshold float64 `json:"threshold"`
}

// yardstickName is the wind task's: the gust of the last hour.
const yardstickName = "current_gust"

// trainYardstick chooses its threshold as the head's own was chosen.
func trainYardstick(hc HeadConfig, series []*Series) (*Yardstick, error) {
	if hc.Task != TaskWind {
		return nil, nil
	}
	h, err := newHead(hc, RoleNetwork)
	if err != nil {
		return nil, err
	}
	validate, err := collect(series, h, PartValidate, true)
	if err != nil {
		return nil, err
	}
	p := make([]float64, len(validate.f))
	for i, f := range validate.f {
		p[i] = float64(f.X[model.FeatureGust])
	}
	validate.fill(p)
	return &Yardstick{
		Name: yardstickName, Head: hc.Name, Input: model.FeatureNames()[model.FeatureGust],
		Threshold: skill.ThresholdFor(validate.track, hc.FalseAlarms, h.Task.HorizonMs),
	}, nil
}
