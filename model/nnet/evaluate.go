package nnet

import (
	"errors"
	"fmt"
	"math"

	"fairwatt/model"
	"fairwatt/model/nnet/skill"
)

// A Question is what Evaluate measures. Zero values mean the head's horizon
// and threshold.
type Question struct {
	Task      string
	HorizonMs int64
	GustMPS   float64
	Inputs    string // thunder: base, rain or history, the suffix of the head's name
	Lowland   bool   // leave out the sites the split names as mountains and islets
	Part      Part   // rows of this part of the split
	Site      string // only this site; empty: all
}

// A Result is the skill of one score on one set of rows.
type Result struct {
	AUC                   float64
	AP                    float64
	Brier                 float64 // NaN for a score that is no probability
	BrierSkill            float64 // against the base rate of the same rows
	Threshold             float64
	Events                int
	Caught                int
	FalseAlarmsPerSiteDay float64
	AlarmHoursPerSiteDay  float64
	LeadMedianMs          int64
	LeadP10Ms             int64
}

// An Evaluation is the result of a Question: the network and its baselines on the
// same rows.
type Evaluation struct {
	Head      string
	Rows      int
	Sites     int
	SiteDays  float64
	BaseRate  float64
	Network   Result
	Baselines map[string]Result
	Scores    []RowScore
	// AUC90 and AP90 are the network's central 90 % over a bootstrap of whole
	// days. Reliability compares its probabilities with what came, in ten bins of
	// equal numbers of rows.
	AUC90, AP90 skill.Interval
	Reliability []skill.Bin
	// Warnings counts the rows at or above the threshold. ExplainedDown counts
	// those of them whose score falls if the three named inputs are set to their
	// means.
	Warnings, ExplainedDown int
}

// bootstrapDraws bounds the cost: an interval's ends need no third digit.
const bootstrapDraws = 200

// A RowScore is one evaluated row.
type RowScore struct {
	Site     string
	TimeMs   int64
	Label    bool
	P        float64
	Baseline float64 // of the yardstick where there is one, else of the logistic
}

// ErrNoRows is returned by Evaluate when nothing fits the question.
var ErrNoRows = errors.New("no rows to evaluate")

// Head returns the network head that answers a task with the named inputs;
// inputs may be empty where the task has one head only.
func (w *Weights) Head(task, inputs string) (*Head, error) {
	name := task
	if inputs != "" {
		name += "-" + inputs
	}
	for _, h := range w.Heads {
		if h.Role == RoleNetwork && h.Task.Name == task && (inputs == "" || h.Name == name) {
			return h, nil
		}
	}
	return nil, fmt.Errorf("the weights %s have no head %q", w.Name, name)
}

// Evaluate measures the network and its baselines. Every score is judged on the
// rows of the network head, so that all can be compared.
func (w *Weights) Evaluate(series []*Series, q Question) (*Evaluation, error) {
	h, err := w.Head(q.Task, q.Inputs)
	if err != nil {
		return nil, err
	}
	asked := *h // the same network, asked about another horizon or gust
	if q.HorizonMs > 0 {
		asked.Task.HorizonMs = q.HorizonMs
	}
	if q.GustMPS > 0 {
		asked.Task.GustMPS = q.GustMPS
	}
	if q.Site != "" {
		series = onlySite(series, q.Site)
	}
	r, err := collect(series, &asked, q.Part, q.Lowland)
	if err != nil {
		return nil, err
	}
	if len(r.f) == 0 {
		return nil, ErrNoRows
	}
	e := &Evaluation{
		Head: h.Name, Rows: len(r.f), Sites: len(r.track), BaseRate: skill.BaseRate(r.label),
		Baselines: map[string]Result{},
	}
	horizon := asked.Task.HorizonMs
	p := r.probabilities(h)
	e.Network = r.result(p, h.Warn, horizon, true)
	baseline := p
	for _, o := range w.Heads {
		if o.Name == h.Name+"/"+RoleLogistic {
			baseline = r.probabilities(o)
			e.Baselines[RoleLogistic] = r.result(baseline, o.Warn, horizon, true)
		}
	}
	for _, y := range w.Yardsticks {
		if y.Head != h.Name || y.Input != model.FeatureNames()[model.FeatureGust] {
			continue
		}
		baseline = make([]float64, len(r.f))
		for i, f := range r.f {
			baseline[i] = float64(f.X[model.FeatureGust])
		}
		e.Baselines[y.Name] = r.result(baseline, y.Threshold, horizon, false)
	}
	if q.Task == TaskWind {
		e.Baselines[RulesName] = r.result(r.byRules(), 0.5, horizon, false)
	}
	e.Warnings, e.ExplainedDown = r.explained(h, p)
	e.Reliability = skill.Reliability(p, r.label, 10)
	e.AUC90, e.AP90 = skill.Bootstrap(p, r.label, r.days(), bootstrapDraws)
	i := 0
	for t := range r.track {
		e.SiteDays += float64(len(r.track[t].TimeMs)) / 24
		for _, at := range r.track[t].TimeMs {
			e.Scores = append(e.Scores, RowScore{Site: r.site[t], TimeMs: at, Label: r.label[i], P: p[i], Baseline: baseline[i]})
			i++
		}
	}
	return e, nil
}

// RulesName is the baseline of the wind task that approximates the gate's rules
// from hourly features: W03 (gust), W04 and W05 (mean wind) and W07 (fall of
// pressure), each at its default threshold. Their clear times are left out, which
// counts fewer blocked hours for them.
const RulesName = "rules"

// byRules is 1 where one of these rules holds, else 0.
func (r *rows) byRules() []float64 {
	w := model.DefaultConfig().Weather
	p := make([]float64, len(r.f))
	for i, f := range r.f {
		holds := func(feature int, at float64) bool { return !f.Missing[feature] && float64(f.X[feature]) >= at }
		if holds(model.FeatureGust, w.GustBlockMPS) || holds(model.FeatureWindSpeed, w.MeanWarnMPS) ||
			!f.Missing[model.FeaturePressureChange3h] && float64(f.X[model.FeaturePressureChange3h]) < -w.FallWarnHPa {
			p[i] = 1
		}
	}
	return p
}

// days numbers the rows' days. A day is one block over all sites: a front
// reaches several of them.
func (r *rows) days() []int {
	var out []int
	for _, t := range r.track {
		for _, at := range t.TimeMs {
			out = append(out, int(at/skill.DayMs))
		}
	}
	return out
}

// explained counts the warned rows, and those whose score falls if the inputs of
// the explanation are set to their means.
func (r *rows) explained(h *Head, p []float64) (warned, down int) {
	for i, f := range r.f {
		if p[i] < h.Warn {
			continue
		}
		warned++
		neutral := *f
		for _, c := range h.explain(f) {
			for k, name := range h.Inputs {
				if name == c.Name {
					neutral.X[h.inputs[k]] = h.mean[k]
				}
			}
		}
		if q, ok := h.Probability(&neutral); ok && q < p[i] {
			down++
		}
	}
	return warned, down
}

func onlySite(series []*Series, site string) []*Series {
	var out []*Series
	for _, s := range series {
		if SiteKey(s.Site) == SiteKey(site) {
			out = append(out, s)
		}
	}
	return out
}

// probabilities scores all rows. No required input is missing: collect asked for
// them, and the logistic baseline requires the same ones.
func (r *rows) probabilities(h *Head) []float64 {
	p := make([]float64, len(r.f))
	for i, f := range r.f {
		p[i], _ = h.Probability(f)
	}
	return p
}

func (r *rows) result(p []float64, threshold float64, horizonMs int64, probability bool) Result {
	r.fill(p)
	a := skill.Judge(r.track, threshold, horizonMs)
	out := Result{
		AUC: skill.AUC(p, r.label), AP: skill.AveragePrecision(p, r.label), Brier: math.NaN(), BrierSkill: math.NaN(), Threshold: threshold,
		Events: a.Events, Caught: a.Caught, FalseAlarmsPerSiteDay: a.FalseAlarmsPerSiteDay(),
		AlarmHoursPerSiteDay: a.AlarmHours / a.SiteDays,
		LeadMedianMs:         a.LeadQuantileMs(0.5), LeadP10Ms: a.LeadQuantileMs(0.1),
	}
	if probability {
		out.Brier = skill.Brier(p, r.label)
		out.BrierSkill = skill.BrierSkill(p, r.label)
	}
	return out
}
