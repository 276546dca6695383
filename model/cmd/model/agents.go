package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"text/tabwriter"

	"fairwatt/model/nnet"
	"fairwatt/model/nnet/skill"
)

// A regionRow is what a community reaches in one kind of region, as JSON.
type regionRow struct {
	Task     string      `json:"task"`
	Split    string      `json:"split"`
	Region   string      `json:"region"`
	Rows     int         `json:"rows"`
	Positive int         `json:"positive"`
	Heard    float64     `json:"heard"` // share of rows in which a neighbour spoke
	Alone    result      `json:"alone"`
	Near     result      `json:"near"`
	AUCGain  [2]*float64 `json:"roc_auc_gain_90"`
	APGain   [2]*float64 `json:"average_precision_gain_90"`
	AloneECE float64     `json:"alone_calibration_error"`
	ECE      float64     `json:"near_calibration_error"`
}

// A crossRow is the block cross-validation of the wind heads, as JSON.
type crossRow struct {
	Blocks        int         `json:"blocks"`
	Rows          int         `json:"rows"`
	Positive      int         `json:"positive"`
	Days          int         `json:"positive_days"`
	Gust          result      `json:"current_gust"`
	Alone         result      `json:"alone"`
	Near          result      `json:"near"`
	AloneGain     [2]*float64 `json:"alone_average_precision_gain_90"`
	NearGain      [2]*float64 `json:"near_average_precision_gain_90"`
	NearOverAlone [2]*float64 `json:"near_over_alone_90"`
}

// todayECE is the expected calibration error of the head without neighbours and clock,
// thunder-rain of v3, on the test cities.
const todayECE = 0.0089

// agentParts are the parts of evaluate that --network-of-agents asks for.
var agentParts = []string{"network of agents", "cross-validation"}

// regions are the communities that are measured.
var regions = []struct {
	name string
	nnet.Region
}{
	{"all", nnet.Region{}},
	{"within 40 km", nnet.Region{WithinKM: 40}},
	{"within 80 km", nnet.Region{WithinKM: 80}},
	{"within 150 km", nnet.Region{WithinKM: 150}},
	{"within 300 km", nnet.Region{WithinKM: 300}},
	{"the nearest", nnet.Region{Most: 1}},
	{"the 2 nearest", nnet.Region{Most: 2}},
	{"the 4 nearest", nnet.Region{Most: 4}},
	{"the 8 nearest", nnet.Region{Most: 8}},
	{"a quarter fails", nnet.Region{Keep: 0.75, Seed: 1}},
	{"half fail", nnet.Region{Keep: 0.5, Seed: 2}},
	{"nine of ten fail", nnet.Region{Keep: 0.1, Seed: 3}},
	{"the nearest cries storm", nnet.Region{Lie: nnet.CriesStorm}},
	{"the nearest says calm", nnet.Region{Lie: nnet.SaysCalm}},
	{"all absent", nnet.Region{From: func(string) bool { return false }}},
}

// agents measures the recorded sites as agents that hear each other.
func (e *evaluation) agents(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	for _, task := range []struct {
		dir string
		q   nnet.Question
	}{
		{"weather/cities", nnet.Question{Task: nnet.TaskThunder, HorizonMs: 3 * hourMs}},
		{"weather/taiwan", nnet.Question{Task: nnet.TaskWind, HorizonMs: 6 * hourMs, Lowland: true}},
	} {
		if _, err := w.Head(task.q.Task, nnet.NearInputs); err != nil {
			e.Skipped = append(e.Skipped, agentParts[0]+", "+task.q.Task)
			fmt.Fprintf(e.out, "SKIPPED network of agents, %s: %v\n\n", task.q.Task, err)
			continue
		}
		series, err := e.series(ctx, o, task.dir)
		if err != nil {
			return err
		}
		for _, split := range o.agentSplits() {
			task.q.Part = splitParts[split]
			if err := e.community(ctx, w, series, task.q, split); err != nil {
				return fmt.Errorf("%s, %s: %w", task.q.Task, split, err)
			}
		}
	}
	return nil
}

func (o *evaluateOptions) agentSplits() []string {
	if o.network {
		return []string{o.split}
	}
	return []string{"validate", "test"}
}

func (e *evaluation) community(ctx context.Context, w *nnet.Weights, series []*nnet.Series, q nnet.Question, split string) error {
	meeting, err := w.Meeting(series, q)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, r := range regions {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := meeting.Community(r.Region)
		row := regionRow{
			Task: q.Task, Split: split, Region: r.name, Rows: c.Rows, Positive: c.Positive, Heard: c.Heard,
			Alone: newResult(c.Alone), Near: newResult(c.Near), AUCGain: ends(c.AUCGain), APGain: ends(c.APGain), AloneECE: c.AloneECE, ECE: c.ECE,
		}
		e.Regions = append(e.Regions, row)
		if i == 0 {
			fmt.Fprintf(e.out, "== %s as a network of agents, %s: %d rows, %d positive, base rate %.5f\n", q.Task, split, c.Rows, c.Positive, c.BaseRate)
			fmt.Fprintln(t, "neighbours\theard\tROC AUC\tAP\tgain AUC, 90 %\tgain AP, 90 %\tcalibration error\tcaught\tfalse/station-month\tlead median\t")
			printAgents(t, "each alone", 0, row.Alone, "", "", c.AloneECE)
			e.agentGoals(q, split, row)
		}
		printAgents(t, r.name, c.Heard, row.Near, gain(c.AUCGain), gain(c.APGain), c.ECE)
		if r.name == "all absent" {
			e.add(goal{Task: q.Task + " of agents", Figure: "AP, all absent", Rows: split, Value: value(row.Near.AP), Goal: value(row.Alone.AP), Beside: "each alone"})
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out)
	return err
}

func printAgents(t *tabwriter.Writer, name string, heard float64, r result, auc, ap string, ece float64) {
	fmt.Fprintf(t, "%s\t%.3f\t%s\t%s\t%s\t%s\t%.4f\t%d\t%.2f\t%s\t\n", name, heard, number(r.AUC), number(r.AP), auc, ap, ece,
		r.Caught, r.FalseMonth, seconds(r.LeadMedianS))
}

func gain(i skill.Interval) string { return fmt.Sprintf("%+.3f to %+.3f", i.Low, i.High) }

// agentGoals adds what a community with all its neighbours should reach.
func (e *evaluation) agentGoals(q nnet.Question, split string, r regionRow) {
	alone := func(v *float64) string { return "each alone " + number(v) }
	switch {
	case q.Task == nnet.TaskThunder && split == "test":
		e.add(goal{Task: "thunder 3 h of agents", Figure: "ROC AUC", Rows: "test cities", Value: value(r.Near.AUC), Goal: 0.80, Beside: alone(r.Alone.AUC)})
		e.add(goal{Task: "thunder 3 h of agents", Figure: "AP", Rows: "test cities", Value: value(r.Near.AP), Goal: 0.115, Beside: alone(r.Alone.AP)})
		e.add(goal{Task: "thunder 3 h of agents", Figure: "calibration error", Rows: "test cities", Value: r.ECE, Goal: todayECE / 2, AtMost: true,
			Beside: fmt.Sprintf("each alone %.4f, v3 %.4f", r.AloneECE, todayECE)})
	case q.Task == nnet.TaskWind && split == "validate":
		e.add(goal{Task: "wind 6 h of agents", Figure: "AP", Rows: "validation", Value: value(r.Near.AP), Goal: 0.33, Beside: alone(r.Alone.AP)})
	}
}

// cross prints the block cross-validation of the wind heads.
func (e *evaluation) cross(ctx context.Context, o *evaluateOptions, _ *nnet.Weights) error {
	if !o.crossValidate {
		return nil
	}
	cfg, err := readConfig(o.config)
	if errors.Is(err, fs.ErrNotExist) {
		e.Skipped = append(e.Skipped, "cross-validation")
		_, err = fmt.Fprintf(e.out, "SKIPPED cross-validation: no training configuration %s (--config)\n\n", o.config)
		return err
	}
	if err != nil {
		return err
	}
	series, err := e.series(ctx, o, "weather/taiwan")
	if err != nil {
		return err
	}
	v, err := nnet.CrossValidate(ctx, cfg, series, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	e.Cross = &crossRow{
		Blocks: v.Blocks, Rows: v.Rows, Positive: v.Positive, Days: v.Days, Gust: newResult(v.Gust), Alone: newResult(v.Alone), Near: newResult(v.Near),
		AloneGain: ends(v.AloneGain), NearGain: ends(v.NearGain), NearOverAlone: ends(v.NearOverAlone),
	}
	fmt.Fprintf(e.out, "== wind 6 h, lowland: %d blocks of two months, each judged by networks trained on the others: %d rows, %d positive on %d days\n",
		v.Blocks, v.Rows, v.Positive, v.Days)
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "score\tROC AUC\tAP\tgain AP over the gust, 90 %\tover the network alone\t")
	fmt.Fprintf(t, "current gust\t%.4f\t%.4f\t\t\t\n", v.Gust.AUC, v.Gust.AP)
	fmt.Fprintf(t, "network alone\t%.4f\t%.4f\t%s\t\t\n", v.Alone.AUC, v.Alone.AP, gain(v.AloneGain))
	fmt.Fprintf(t, "with neighbours\t%.4f\t%.4f\t%s\t%s\t\n", v.Near.AUC, v.Near.AP, gain(v.NearGain), gain(v.NearOverAlone))
	e.add(goal{Task: "wind 6 h of agents", Figure: "AP", Rows: "block cross-validation", Value: v.Near.AP, Goal: 0.34, Beside: fmt.Sprintf("alone %.4f, current gust %.4f", v.Alone.AP, v.Gust.AP)})
	e.add(goal{Task: "wind 6 h of agents", Figure: "AP less current gust's, low end", Rows: "block cross-validation", Value: v.NearGain.Low, Goal: 0, Beside: "90 % " + gain(v.NearGain)})
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out)
	return err
}
