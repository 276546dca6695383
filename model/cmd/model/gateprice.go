package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/nnet/skill"
)

// priceHours is the highest price of a block: for each event it catches on the
// validation rows, the network may close the gate for so many hours. A trade lasts
// an hour or two; a price above a day would close the market in good weather.
const priceHours = 24.0

// A tally is what one way of closing the gate costs and catches on validation rows.
type tally struct {
	Caught int     `json:"events_caught"`
	Hours  float64 `json:"blocked_hours"`
}

// A gateDecision says whether a network may block for a task, from validation
// rows alone.
type gateDecision struct {
	Task       string  `json:"task"`
	Rows       int     `json:"rows"`
	Events     int     `json:"events"`
	SiteMonths float64 `json:"station_months"`
	RulesBlock tally   `json:"rules_that_block"`
	RulesWarn  tally   `json:"rules_that_warn_or_block"`
	Network    tally   `json:"network_at_its_threshold"`
	// SameHours is the network at the lowest threshold that costs no more blocked
	// hours than the rules that warn or block.
	SameHours tally `json:"network_at_the_rules_hours"`
	// Yardstick is a threshold on the present gust at no more blocked hours than
	// the network's: the simplest rule there is (wind only).
	Yardstick *tally `json:"current_gust_at_the_networks_hours,omitempty"`
	// RulesFed is false if the recordings lack the sensor of the hazard's rules:
	// then nothing can be shown to beat them.
	RulesFed   bool    `json:"rules_fed"`
	PriceHours float64 `json:"blocked_hours_per_event_allowed"`
	Blocks     bool    `json:"network_may_block"`
	Why        string  `json:"why"`
}

// ruleLevels replays a recording through the rules (no network, no input
// required) and returns the level of the weather alerts after each sample. kinds
// are the alerts that count as predicting the task.
func ruleLevels(r *recording, kinds ...model.Kind) ([]model.Level, error) {
	cfg := model.DefaultConfig()
	cfg.IntervalS = 3600
	cfg.StuckS = 0 // hourly values may well repeat
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		return nil, err
	}
	var now [model.NumKinds]model.Level
	out := make([]model.Level, len(r.samples))
	for i := range r.samples {
		for _, e := range j.Step(&r.samples[i]) {
			switch {
			case e.Type != model.EventAlert:
			case e.Action == model.ActionClear:
				now[e.Kind] = model.LevelNone
			default:
				now[e.Kind] = e.Level
			}
		}
		for _, k := range kinds {
			out[i] = max(out[i], now[k])
		}
	}
	return out, nil
}

// taskKinds are the alerts that count as predicting a task. A squall or a deep low
// counts for thunder too, in the rules' favour.
func taskKinds(task string) []model.Kind {
	if task == nnet.TaskWind {
		return []model.Kind{model.KindWind, model.KindCyclone}
	}
	return []model.Kind{model.KindThunderstorm, model.KindWind, model.KindCyclone}
}

// decide compares network and rules on the validation rows of a head.
func decide(h *nnet.Head, recs []*recording) (gateDecision, error) {
	d := gateDecision{Task: h.Name, PriceHours: priceHours}
	var tracks []skill.Track
	var levels, gusts [][]float64
	for _, r := range recs {
		if !h.Split.Lowland(r.site) {
			continue
		}
		s := r.truth
		level, err := ruleLevels(r, taskKinds(h.Task.Name)...)
		if err != nil {
			return d, fmt.Errorf("rules on %s: %w", r.site, err)
		}
		t := skill.Track{Onset: h.Task.Onsets(s)}
		var l, g []float64
		for i, label := range h.Task.Labels(s) {
			part, err := h.Split.Part(r.site, s.TimeMs[i])
			if err != nil {
				return d, err
			}
			p, ok := h.Probability(&s.Features[i])
			if label < 0 || part != nnet.PartValidate || !ok {
				continue
			}
			t.TimeMs, t.P = append(t.TimeMs, s.TimeMs[i]), append(t.P, p)
			l = append(l, float64(level[i]))
			g = append(g, float64(s.Features[i].X[model.FeatureGust]))
			d.RulesFed = d.RulesFed || fed(h.Kind, &r.samples[i])
		}
		if len(l) > 0 {
			d.Rows += len(l)
			tracks, levels, gusts = append(tracks, t), append(levels, l), append(gusts, g)
		}
	}
	if d.Rows == 0 {
		return d, fmt.Errorf("gate decision of %s: %w", h.Name, nnet.ErrNoRows)
	}
	horizon := h.Task.HorizonMs
	at := func(tr []skill.Track, threshold float64) tally {
		a := skill.Judge(tr, threshold, horizon)
		d.Events, d.SiteMonths = a.Events, a.SiteDays/monthDays
		return tally{a.Caught, a.AlarmHours}
	}
	rules, gust := make([]skill.Track, len(tracks)), make([]skill.Track, len(tracks))
	for i, t := range tracks {
		rules[i] = skill.Track{TimeMs: t.TimeMs, P: levels[i], Onset: t.Onset}
		gust[i] = skill.Track{TimeMs: t.TimeMs, P: gusts[i], Onset: t.Onset}
	}
	d.RulesBlock, d.RulesWarn = at(rules, float64(model.LevelBlock)), at(rules, float64(model.LevelWarn))
	d.Network = at(tracks, h.Warn)
	d.SameHours = at(tracks, thresholdForHours(tracks, d.RulesWarn.Hours))
	if h.Task.Name == nnet.TaskWind {
		y := at(gust, thresholdForHours(gust, d.Network.Hours))
		d.Yardstick = &y
	}
	d.conclude()
	return d, nil
}

// fed says whether a sample has what the rules of a hazard need.
func fed(kind model.Kind, s *model.Sample) bool {
	sensors := []model.Channel{model.WindGustMPS, model.WindSpeedMPS}
	if kind == model.KindThunderstorm {
		sensors = []model.Channel{model.LightningKM, model.LightningCount}
	}
	for _, c := range sensors {
		if _, ok := s.Get(c); ok {
			return true
		}
	}
	return false
}

// conclude decides. The network may block if it catches more than the rules and
// more than the yardstick at equal blocked hours, and costs no more than the price
// at its threshold. Any event caught beats rules that block no hour at all.
func (d *gateDecision) conclude() {
	perEvent := math.Inf(1)
	if d.Network.Caught > 0 {
		perEvent = d.Network.Hours / float64(d.Network.Caught)
	}
	beats := d.SameHours.Caught > d.RulesWarn.Caught || (d.RulesWarn.Hours == 0 && d.Network.Caught > 0)
	switch {
	case !d.RulesFed:
		d.Why = fmt.Sprintf("the rules for this hazard need a sensor that the recordings lack, so it cannot be shown to beat them (%.1f blocked hours an event)", perEvent)
	case !beats:
		d.Why = fmt.Sprintf("at the rules' %.0f blocked hours it catches %d events, the rules %d", d.RulesWarn.Hours, d.SameHours.Caught, d.RulesWarn.Caught)
	case d.Yardstick != nil && d.Network.Caught <= d.Yardstick.Caught:
		d.Why = fmt.Sprintf("a threshold on the present gust catches %d events for %.0f blocked hours", d.Yardstick.Caught, d.Yardstick.Hours)
	case perEvent > d.PriceHours:
		d.Why = fmt.Sprintf("it catches more than the rules, but for %.1f blocked hours an event; %.0f are allowed", perEvent, d.PriceHours)
	default:
		d.Blocks, d.Why = true, fmt.Sprintf("it catches more than the rules for %.1f blocked hours an event; %.0f are allowed", perEvent, d.PriceHours)
	}
}

// thresholdForHours is the lowest score at which no more than hours rows are at
// or above it.
func thresholdForHours(tracks []skill.Track, hours float64) float64 {
	var all []float64
	for _, t := range tracks {
		all = append(all, t.P...)
	}
	return lowestWithin(all, int(hours))
}

// lowestWithin is the lowest of the scores that at most n of them reach.
func lowestWithin(scores []float64, n int) float64 {
	sorted := slices.Clone(scores)
	slices.SortFunc(sorted, func(a, b float64) int { return cmp.Compare(b, a) })
	if n <= 0 || len(sorted) == 0 {
		return math.Inf(1)
	}
	if n >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	// Scores equal to the first one left out would be more than n.
	for n > 0 && sorted[n-1] == sorted[n] {
		n--
	}
	if n == 0 {
		return math.Inf(1)
	}
	return sorted[n-1]
}
