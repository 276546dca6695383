package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"fairwatt/model/nnet"
)

func (o *evaluateOptions) path(dir string) string { return o.paths(dir)[0] }

// gate decides for every head that is used live.
func (e *evaluation) gate(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	read := map[string][]*recording{} // heads of one task judge the same rows
	for _, h := range w.Heads {
		if h.EvaluationOnly || h.HearsNeighbours() { // what neighbours say never blocks
			continue
		}
		dir := o.path("weather/cities")
		keep := func(site string) bool {
			return slices.ContainsFunc(h.Split.ValidateSites, func(s string) bool { return nnet.SiteKey(s) == nnet.SiteKey(site) })
		}
		from := int64(math.MinInt64)
		if h.Task.Name == nnet.TaskWind {
			dir, keep = o.path("weather/taiwan"), h.Split.Lowland
			at, err := time.Parse(time.RFC3339, h.Split.ValidateFrom)
			if err != nil {
				return fmt.Errorf("split of %s: %w", h.Name, err)
			}
			from = at.Add(-warmUp).UnixMilli()
		}
		of := fmt.Sprint(dir, from, h.Split.ValidateSites, h.Split.NotLowland)
		recs, ok := read[of]
		if !ok {
			var err error
			if recs, err = readRecordings(ctx, dir, from, keep); err != nil {
				return err
			}
			read[of] = recs
		}
		d, err := decide(h, recs)
		if err != nil {
			return err
		}
		e.Decisions = append(e.Decisions, d)
	}
	return nil
}

// warmUp is the part of a recording that is replayed before the first judged row:
// the longest memory of a feature is five days.
const warmUp = 10 * 24 * time.Hour

func (e *evaluation) robust(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	h, err := w.Head(nnet.TaskThunder, "rain")
	if err != nil {
		return err
	}
	recs, err := readRecordings(ctx, o.path("weather/cities"), math.MinInt64, func(site string) bool {
		return slices.ContainsFunc(h.Split.TestSites, func(s string) bool { return nnet.SiteKey(s) == nnet.SiteKey(site) })
	})
	if err != nil {
		return err
	}
	rows, err := measureRobustness(w, h.Name, h, recs, thunderSensors)
	if err != nil {
		return err
	}
	e.Robustness = append(e.Robustness, rows...)
	if h, err = w.Head(nnet.TaskWind, ""); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, h.Split.TestFrom)
	if err != nil {
		return fmt.Errorf("split of %s: %w", h.Name, err)
	}
	if recs, err = readRecordings(ctx, o.path("weather/taiwan"), at.Add(-warmUp).UnixMilli(), h.Split.Lowland); err != nil {
		return err
	}
	if rows, err = measureRobustness(w, h.Name, h, recs, windSensors); err != nil {
		return err
	}
	e.Robustness = append(e.Robustness, rows...)
	return nil
}

func (e *evaluation) printGate() error {
	if len(e.Decisions) == 0 {
		return nil
	}
	fmt.Fprintf(e.out, "== May the network block? (validation rows; events caught / hours blocked; a network may cost %.0f h an event)\n", priceHours)
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "head\tevents\tstation-months\trules block\trules warn or block\tnetwork\tat the rules' hours\tpresent gust\tdecision")
	for _, d := range e.Decisions {
		answer := "warns"
		if d.Blocks {
			answer = "may block"
		}
		s := func(x tally) string { return fmt.Sprintf("%d / %.0f", x.Caught, x.Hours) }
		gust := "-"
		if d.Yardstick != nil {
			gust = s(*d.Yardstick)
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s: %s\n", d.Task, d.Events, d.SiteMonths, s(d.RulesBlock), s(d.RulesWarn), s(d.Network), s(d.SameHours), gust, answer, d.Why)
	}
	return t.Flush()
}

func (e *evaluation) printRobust() error {
	if len(e.Robustness) == 0 {
		return nil
	}
	fmt.Fprintln(e.out, "\n== Robustness (test rows; sensors spoilt, truth as it was; the head that still has its inputs answers)")
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "head\tchange\tanswered\tROC AUC\tAP\tcaught\tfalse/station-month\talarm h/station-month")
	for _, r := range e.Robustness {
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%s\t%s\t%d of %d\t%.2f\t%.2f\n", r.Task, r.Change, r.Answered, number(r.AUC), number(r.AP), r.Caught, r.Events, r.False, r.Alarm)
	}
	return t.Flush()
}
