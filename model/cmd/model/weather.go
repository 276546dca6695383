package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
	"fairwatt/model/nnet/skill"
)

func (o *evaluateOptions) question() nnet.Question {
	q := nnet.Question{
		Task: o.task, HorizonMs: o.horizon.Milliseconds(), Part: splitParts[o.split], Lowland: o.stations == "lowland",
	}
	q.Inputs = o.inputs
	if o.task == nnet.TaskThunder {
		if q.Inputs == "" {
			q.Inputs = "rain"
		}
	} else {
		q.GustMPS = o.threshold
		q.Lowland = o.stations != "all"
	}
	return q
}

func (o *evaluateOptions) runWeather(cmd *cobra.Command) error {
	w, err := loadWeights(o.weights)
	if err != nil {
		return err
	}
	series, err := loadSeries(cmd.Context(), o.data, progress(cmd.ErrOrStderr(), "reading traces"))
	if err != nil {
		return err
	}
	if o.inputs == "history" {
		for _, s := range series {
			s.FillHistory()
		}
	}
	reports, scores, err := ask(w, series, o.question(), o.split)
	if err != nil {
		return fmt.Errorf("evaluate %s: %w", o.task, err)
	}
	if o.scores != "" {
		if err := writeScores(o.scores, scores); err != nil {
			return fmt.Errorf("write scores: %w", err)
		}
	}
	if o.reliability != "" {
		if err := writeReliability(o.reliability, reports[0]); err != nil {
			return fmt.Errorf("draw reliability: %w", err)
		}
	}
	if o.json {
		reports[0].External = reports[1:]
		reports[0].Weights = fmt.Sprintf("%s v%d", w.Name, w.Version)
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(reports[0])
	}
	return printTable(cmd.OutOrStdout(), reports)
}

func loadWeights(path string) (*nnet.Weights, error) {
	if path == "" {
		w, err := nnet.ShippedWeights()
		if err != nil {
			return nil, fmt.Errorf("built-in weights: %w", err)
		}
		return w, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	w, err := nnet.ParseWeights(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// ask evaluates the question for its split and, with the test split, for each
// site outside all splits. If the data has outside sites only, they are reported
// alone, so that one can ask about an unseen trace.
func ask(w *nnet.Weights, series []*nnet.Series, q nnet.Question, split string) ([]report, []nnet.RowScore, error) {
	var reports []report
	var scores []nnet.RowScore
	add := func(group string, q nnet.Question) error {
		e, err := w.Evaluate(series, q)
		if errors.Is(err, nnet.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		reports = append(reports, newReport(group, q, e))
		scores = append(scores, e.Scores...)
		return nil
	}
	if err := add(split, q); err != nil {
		return nil, nil, err
	}
	if split == "test" {
		seen := map[string]bool{}
		for _, s := range series {
			if key := nnet.SiteKey(s.Site); !seen[key] {
				seen[key] = true
				q.Part, q.Site = nnet.PartOther, s.Site
				if err := add("external: "+s.Site, q); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	if len(reports) == 0 {
		return nil, nil, fmt.Errorf("%w of the %s split: the data lack the label, or the weights learnt from them (see --split)",
			nnet.ErrNoRows, split)
	}
	return reports, scores, nil
}

// A report is one evaluation as JSON. Times are in seconds, undefined numbers
// null.
type report struct {
	Weights   string   `json:"weights,omitempty"`
	Group     string   `json:"group"`
	Task      string   `json:"task"`
	Head      string   `json:"head"`
	Stations  string   `json:"stations"`
	Rows      int      `json:"rows"`
	Sites     int      `json:"sites"`
	SiteDays  float64  `json:"site_days"`
	BaseRate  float64  `json:"base_rate"`
	Result    result   `json:"network"`
	result             // the network's figures are at the top level too
	Baselines baseline `json:"baselines"`
	External  []report `json:"external,omitempty"`

	AUC90           [2]*float64 `json:"roc_auc_90"` // by a bootstrap of whole days
	AP90            [2]*float64 `json:"average_precision_90"`
	Reliability     []skill.Bin `json:"reliability"`
	Warnings        int         `json:"warning_rows"`
	ExplanationHeld int         `json:"explanation_held"` // of these, score falls without the named inputs
}

type baseline map[string]result

type result struct {
	AUC         *float64 `json:"roc_auc"`
	AP          *float64 `json:"average_precision"`
	Brier       *float64 `json:"brier"`
	BrierSkill  *float64 `json:"brier_skill"`
	Threshold   float64  `json:"threshold"`
	Events      int      `json:"events"`
	Caught      int      `json:"events_caught"`
	FalseAlarms float64  `json:"false_alarms_per_site_day"`
	AlarmHours  float64  `json:"alarm_hours_per_site_day"`
	FalseMonth  float64  `json:"false_alarms_per_station_month"`
	HoursMonth  float64  `json:"alarm_hours_per_station_month"` // what a block would cost
	LeadMedianS int64    `json:"lead_median_s"`
	LeadP10S    int64    `json:"lead_p10_s"`
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func newResult(r nnet.Result) result {
	return result{
		AUC: finite(r.AUC), AP: finite(r.AP), Brier: finite(r.Brier), BrierSkill: finite(r.BrierSkill), Threshold: r.Threshold, Events: r.Events,
		Caught: r.Caught, FalseAlarms: r.FalseAlarmsPerSiteDay, AlarmHours: r.AlarmHoursPerSiteDay,
		FalseMonth: r.FalseAlarmsPerSiteDay * monthDays, HoursMonth: r.AlarmHoursPerSiteDay * monthDays,
		LeadMedianS: r.LeadMedianMs / 1000, LeadP10S: r.LeadP10Ms / 1000,
	}
}

func ends(i skill.Interval) [2]*float64 { return [2]*float64{finite(i.Low), finite(i.High)} }

func newReport(group string, q nnet.Question, e *nnet.Evaluation) report {
	r := report{
		Group: group, Task: q.Task, Head: e.Head, Stations: "all", Rows: e.Rows, Sites: e.Sites, SiteDays: e.SiteDays,
		BaseRate: e.BaseRate, Result: newResult(e.Network), Baselines: baseline{},
		AUC90: ends(e.AUC90), AP90: ends(e.AP90), Reliability: e.Reliability, Warnings: e.Warnings, ExplanationHeld: e.ExplainedDown,
	}
	if q.Lowland {
		r.Stations = "lowland"
	}
	r.result = r.Result
	for name, b := range e.Baselines {
		r.Baselines[name] = newResult(b)
	}
	return r
}

func printTable(out io.Writer, reports []report) error {
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s, %s (%s stations): %d rows, %d sites, %.0f site-days, base rate %.5f, %d events\n",
			r.Group, r.Head, r.Stations, r.Rows, r.Sites, r.SiteDays, r.BaseRate, r.Result.Events)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "score\tROC AUC\tAP\tBrier\tskill\tthreshold\tcaught\tfalse/site-day\t/station-month\talarm h/station-month\tlead median\tlead p10\t")
		row := func(name string, x result) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.4g\t%d\t%.4f\t%.2f\t%.2f\t%s\t%s\t\n", name, number(x.AUC), number(x.AP), number(x.Brier), number(x.BrierSkill),
				x.Threshold, x.Caught, x.FalseAlarms, x.FalseMonth, x.HoursMonth, seconds(x.LeadMedianS), seconds(x.LeadP10S))
		}
		row("network", r.Result)
		names := make([]string, 0, len(r.Baselines))
		for name := range r.Baselines {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			row(name, r.Baselines[name])
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(out, "network, 90%% by days: ROC AUC %s to %s, AP %s to %s; %d warned hours, in %d of them the score falls without the named inputs\n",
			number(r.AUC90[0]), number(r.AUC90[1]), number(r.AP90[0]), number(r.AP90[1]), r.Warnings, r.ExplanationHeld)
	}
	return nil
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', 4, 64)
}

func seconds(s int64) string { return (time.Duration(s) * time.Second).String() }

// writeScores writes one line a row: site,time,label,p,baseline.
func writeScores(path string, scores []nnet.RowScore) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	err = w.Write([]string{"site", "time", "label", "p", "baseline"})
	for _, s := range scores {
		if err != nil {
			break
		}
		label := "0"
		if s.Label {
			label = "1"
		}
		err = w.Write([]string{
			s.Site, time.UnixMilli(s.TimeMs).UTC().Format(time.RFC3339), label,
			strconv.FormatFloat(s.P, 'g', 9, 64), strconv.FormatFloat(s.Baseline, 'g', 9, 64),
		})
	}
	w.Flush()
	return errors.Join(err, w.Error(), f.Close())
}
