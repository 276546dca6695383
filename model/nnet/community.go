package nnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/model"
	"fairwatt/model/nnet/skill"
)

// NearInputs is the suffix of the heads that hear neighbours.
const NearInputs = "near"

// calibrationBins are of equal numbers of rows.
const calibrationBins = 10

// A Community is what agents that hear each other reach, against each for itself, on
// the same rows.
type Community struct {
	Rows, Positive int
	BaseRate       float64
	// Heard is the share of rows in which a neighbour spoke, Speakers how many
	// did on average.
	Heard         float64
	Alone, Near   Result
	AUCGain       skill.Interval // by a bootstrap of whole days
	APGain        skill.Interval
	AloneECE, ECE float64 // expected calibration errors, ten bins of equal numbers
}

// A Meeting is a question about recorded sites that may hear each other, put to one
// kind of region after the other on the same rows.
type Meeting struct {
	series      []*Series
	wanted      [][]bool // by series and row: is it judged?
	rows        *rows
	alone, near *Head
	horizonMs   int64
	p           []float64 // of the head alone
	of          Community // what does not depend on the region
}

// Meeting prepares q, asked of all rows that the head alone can answer.
func (w *Weights) Meeting(series []*Series, q Question) (*Meeting, error) {
	alone, near, err := w.pair(q)
	if err != nil {
		return nil, err
	}
	asked := *alone
	if q.HorizonMs > 0 {
		asked.Task.HorizonMs = q.HorizonMs
	}
	rows, err := collect(series, &asked, q.Part, q.Lowland)
	if err != nil {
		return nil, err
	}
	if len(rows.f) == 0 {
		return nil, ErrNoRows
	}
	m := &Meeting{series: series, rows: rows, alone: alone, near: near, horizonMs: asked.Task.HorizonMs, p: rows.probabilities(alone)}
	judged := make(map[*model.Features]bool, len(rows.f))
	for i, f := range rows.f {
		judged[f] = true
		if rows.label[i] {
			m.of.Positive++
		}
	}
	for _, s := range series {
		wanted := make([]bool, len(s.Features))
		for k := range wanted {
			wanted[k] = judged[&s.Features[k]]
		}
		m.wanted = append(m.wanted, wanted)
	}
	m.of.Rows, m.of.BaseRate = len(rows.f), skill.BaseRate(rows.label)
	m.of.Alone = rows.result(m.p, alone.Warn, m.horizonMs, true)
	m.of.AloneECE = skill.CalibrationError(m.p, rows.label, calibrationBins)
	return m, nil
}

// Community judges the rows in one kind of region. In each the head that hears
// neighbours answers where they speak, as live, else the head alone. The neighbours'
// features of the judged rows are overwritten.
func (m *Meeting) Community(r Region) *Community {
	for i, all := range r.hear(m.series, m.wanted) {
		for k, wanted := range m.wanted[i] {
			if wanted {
				all[k].apply(&m.series[i].Features[k])
			}
		}
	}
	c, rows := m.of, m.rows
	joint, alarm := slices.Clone(m.p), make([]float64, len(m.p))
	heard := 0
	for i, f := range rows.f {
		alarm[i] = joint[i] / m.alone.Warn
		if v, ok := m.near.Probability(f); ok {
			joint[i], alarm[i] = v, v/m.near.Warn
			heard++
		}
	}
	c.Heard = float64(heard) / float64(len(rows.f))
	c.Near = rows.result(joint, 1, m.horizonMs, true)
	rows.alarms(&c.Near, alarm, m.horizonMs)
	c.AUCGain, c.APGain = skill.BootstrapDifference(joint, m.p, rows.label, rows.days(), bootstrapDraws)
	c.ECE = skill.CalibrationError(joint, rows.label, calibrationBins)
	return &c
}

// Community is one Community of a Meeting.
func (w *Weights) Community(series []*Series, q Question, r Region) (*Community, error) {
	m, err := w.Meeting(series, q)
	if err != nil {
		return nil, err
	}
	return m.Community(r), nil
}

// pair are the head alone and the one that hears neighbours.
func (w *Weights) pair(q Question) (alone, near *Head, err error) {
	if near, err = w.Head(q.Task, NearInputs); err != nil {
		return nil, nil, err
	}
	if near.base == nil {
		return nil, nil, fmt.Errorf("head %q of the weights %s has no base to compare with", near.Name, w.Name)
	}
	return near.base, near, nil
}

// alarms counts warnings where each row has its own head's threshold: alarm is the
// probability in units of it.
func (r *rows) alarms(out *Result, alarm []float64, horizonMs int64) {
	a := r.result(alarm, 1, horizonMs, false)
	out.Caught, out.Events = a.Caught, a.Events
	out.FalseAlarmsPerSiteDay, out.AlarmHoursPerSiteDay = a.FalseAlarmsPerSiteDay, a.AlarmHoursPerSiteDay
	out.LeadMedianMs, out.LeadP10Ms = a.LeadMedianMs, a.LeadP10Ms
}

// A CrossValidation is what the wind heads reach over all months, each two months
// judged by networks that did not learn from them.
type CrossValidation struct {
	Blocks, Rows, Positive, Days int // days with a positive row
	Gust, Alone, Near            Result
	// Gains in average precision over the current gust, by a bootstrap of days.
	AloneGain, NearGain skill.Interval
	NearOverAlone       skill.Interval
}

// crossBlockMs is about the length of a block.
const crossBlockMs = 61 * skill.DayMs

// CrossValidate trains the wind heads anew for each block of two months before the
// split's test months: the next block with such gusts chooses the epoch, the others teach. Rows near
// a cut are left out. What hears neighbours learns beside the head's own logits, not
// those of networks that did not see the row: a third of the time, and no kinder.
func CrossValidate(ctx context.Context, cfg Config, series []*Series, log *slog.Logger) (*CrossValidation, error) {
	near, ok := cfg.base(TaskWind + "-" + NearInputs)
	if !ok {
		return nil, errors.New("the configuration has no head wind-near")
	}
	alone, ok := cfg.base(near.Base)
	if !ok {
		return nil, fmt.Errorf("the configuration has no head %q", near.Base)
	}
	all, err := newHead(alone, RoleNetwork)
	if err != nil {
		return nil, err
	}
	blocks, err := wholeBlocks(series, all)
	if err != nil {
		return nil, err
	}
	out := &CrossValidation{Blocks: blocks.n}
	judged := make([]judgedBlock, blocks.n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0)) // a block does not know of the others
	for b := range judged {
		group.Go(func() (err error) {
			if judged[b], err = blocks.judge(ctx, cfg, all, alone, near, series, b, log.With("block", b)); err != nil {
				return fmt.Errorf("block %d: %w", b, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	pooled := &rows{}
	var p, q []float64
	for _, j := range judged {
		pooled.f, pooled.label = append(pooled.f, j.f...), append(pooled.label, j.label...)
		pooled.track, pooled.site = append(pooled.track, j.track...), append(pooled.site, j.site...)
		p, q = append(p, j.alone...), append(q, j.near...)
	}
	gust := make([]float64, len(pooled.f))
	for i, f := range pooled.f {
		gust[i] = float64(f.X[model.FeatureGust])
	}
	days := pooled.days()
	positive := map[int]bool{}
	for i, l := range pooled.label {
		if l {
			out.Positive++
			positive[days[i]] = true
		}
	}
	out.Rows, out.Days = len(pooled.f), len(positive)
	for _, s := range []struct {
		to *Result
		p  []float64
	}{{&out.Gust, gust}, {&out.Alone, p}, {&out.Near, q}} {
		*s.to = Result{AUC: skill.AUC(s.p, pooled.label), AP: skill.AveragePrecision(s.p, pooled.label), Brier: math.NaN(), BrierSkill: math.NaN()}
	}
	_, out.AloneGain = skill.BootstrapDifference(p, gust, pooled.label, days, bootstrapDraws)
	_, out.NearGain = skill.BootstrapDifference(q, gust, pooled.label, days, bootstrapDraws)
	_, out.NearOverAlone = skill.BootstrapDifference(q, p, pooled.label, days, bootstrapDraws)
	return out, nil
}

// A blocks cuts the months before the test into parts of equal length.
type blocks struct {
	fromMs, toMs, purgeMs int64
	n                     int
}

// wholeBlocks finds the blocks of about two months between the first row and the
// split's test.
func wholeBlocks(series []*Series, h *Head) (blocks, error) {
	b := blocks{fromMs: math.MaxInt64, purgeMs: int64(h.Split.PurgeH) * skill.HourMs}
	for _, s := range series {
		if len(s.TimeMs) > 0 && hasSite(h.Split.Sites, s.Site) {
			b.fromMs = min(b.fromMs, s.TimeMs[0])
		}
	}
	to, err := time.Parse(time.RFC3339, h.Split.TestFrom)
	if err != nil {
		return b, fmt.Errorf("split: test_from: %w", err)
	}
	b.toMs = to.UnixMilli()
	if b.n = int((b.toMs - b.fromMs + crossBlockMs/2) / crossBlockMs); b.fromMs == math.MaxInt64 || b.n < 3 {
		return b, fmt.Errorf("%d blocks of two months before %s: three are needed", max(b.n, 0), h.Split.TestFrom)
	}
	return b, nil
}

// split is the split that judges one block, and chooses by another.
func (b blocks) split(s Split, judged, choosing int) Split {
	length := (b.toMs - b.fromMs) / int64(b.n)
	s.cut = func(timeMs int64) Part {
		since := timeMs - b.fromMs
		if since < 0 || timeMs >= b.toMs {
			return PartOther
		}
		k := min(int(since/length), b.n-1)
		at := since - int64(k)*length
		switch {
		case k == judged:
			return PartTest
		case at < b.purgeMs || at >= length-b.purgeMs:
			return PartPurged
		case k == choosing:
			return PartValidate
		}
		return PartTrain
	}
	return s
}

// choosing is the next block after the judged one that has rows of both kinds.
func (b blocks) choosing(series []*Series, near HeadConfig, judged int) (int, error) {
	for next := 1; next < b.n; next++ {
		k := (judged + next) % b.n
		near.Split = b.split(near.Split, judged, k)
		h, err := newHead(near, RoleNetwork)
		if err != nil {
			return 0, err
		}
		r, err := collect(series, h, PartValidate, true)
		if err != nil {
			return 0, err
		}
		if base := skill.BaseRate(r.label); base > 0 && base < 1 {
			return k, nil
		}
	}
	return 0, errors.New("no other block has rows of both kinds")
}

// A judgedBlock is the rows of one block with the probabilities of both heads.
type judgedBlock struct {
	rows
	alone, near []float64
}

// judge trains both heads for one block and asks them about it.
func (b blocks) judge(ctx context.Context, cfg Config, all *Head, alone, near HeadConfig, series []*Series, judged int, log *slog.Logger) (out judgedBlock, err error) {
	h, n, err := b.train(ctx, cfg, alone, near, series, judged, log)
	if err != nil {
		return out, err
	}
	asked := *all
	asked.Split = b.split(all.Split, judged, judged)
	r, err := collect(series, &asked, PartTest, true)
	if err != nil {
		return out, err
	}
	out.rows = *r
	for _, f := range r.f {
		one, _ := h.Probability(f)
		out.alone = append(out.alone, one)
		if v, ok := n.Probability(f); ok {
			one = v
		}
		out.near = append(out.near, one)
	}
	return out, nil
}

// train trains both heads for one block.
func (b blocks) train(ctx context.Context, cfg Config, alone, near HeadConfig, series []*Series, judged int, log *slog.Logger) (h, n *Head, err error) {
	choosing, err := b.choosing(series, near, judged)
	if err != nil {
		return nil, nil, err
	}
	alone.Split, near.Split = b.split(alone.Split, judged, choosing), b.split(near.Split, judged, choosing)
	alone.Members, near.Members = 1, 1
	if h, err = trainHead(ctx, cfg, alone, RoleNetwork, series, log); err != nil {
		return nil, nil, err
	}
	n, err = trainNear(ctx, cfg, near, HeadConfig{}, h, series, log)
	return h, n, err
}
