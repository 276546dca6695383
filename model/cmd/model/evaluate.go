package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
)

// A goal is one figure that the network or a rule is to reach.
type goal struct {
	Task    string  `json:"task"`
	Figure  string  `json:"figure"`
	Rows    string  `json:"rows"` // which rows it was measured on
	Value   float64 `json:"value"`
	Goal    float64 `json:"goal"`
	AtMost  bool    `json:"at_most,omitempty"` // else at least
	Met     bool    `json:"met"`
	Beside  string  `json:"beside"` // baselines, in words
	Skipped string  `json:"skipped,omitempty"`
}

func (g *goal) judge() {
	if g.AtMost {
		g.Met = g.Value <= g.Goal
	} else {
		g.Met = g.Value >= g.Goal
	}
}

// A verdict says whether the network may block for a task, and why.
type verdict struct {
	Task            string  `json:"task"`
	Blocks          bool    `json:"blocks"`
	Why             string  `json:"why"`
	NetworkCaught   int     `json:"network_caught"`
	RulesCaught     int     `json:"rules_caught"`
	Events          int     `json:"events"`
	NetworkHours    float64 `json:"network_hours_per_site_month"`
	RulesHours      float64 `json:"rules_hours_per_site_month"`
	PriceHours      float64 `json:"price_hours_per_site_month"`
	GustCaught      int     `json:"current_gust_caught"`
	GustHours       float64 `json:"current_gust_hours_per_site_month"`
	rulesComparable bool
}

// evaluation gathers all that evaluate prints.
type evaluation struct {
	Weights    string         `json:"weights"`
	Goals      []goal         `json:"goals"`
	Verdicts   []verdict      `json:"verdicts"`
	Weather    []report       `json:"weather"`
	Line       []lineReport   `json:"line"`
	Sensor     []sensorReport `json:"sensor"`
	Recordings []flagged      `json:"recordings"`
	Robustness []robustness   `json:"robustness"`
	Skipped    []string       `json:"skipped"`

	out      io.Writer
	progress func(what string)
}

type evaluateOptions struct {
	data, weights, out, reliability string
	robust                          bool
}

func evaluateCommand() *cobra.Command {
	var o evaluateOptions
	cmd := &cobra.Command{
		Use:   "evaluate --data DIR",
		Short: "Measure everything beside its baselines and its goals",
		Long: `Evaluate runs every evaluation there is data for and ends with a table of goals:
what was aimed at, what was reached, and what plain baselines reach on the same
rows. DIR holds weather/{cities,knmi,montreal,taiwan}, electrical, sensor and
comtrade; what is missing is skipped with a reason.

The network may block only for a task in which it catches more events than the
rules on the validation rows, at a price in blocked hours that is printed.`,
		Example: `  model evaluate --data ../shared/data --out build/evaluate.json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.data == "" {
				return usageError{errors.New("--data is needed")}
			}
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "folder of the recordings (required)")
	f.StringVar(&o.weights, "weights", "", "weight file (default: the built-in weights)")
	f.StringVar(&o.out, "out", "", "also write the figures as JSON to this file")
	f.StringVar(&o.reliability, "reliability", "", "draw the reliability of thunder-rain on the test cities into this SVG file")
	f.BoolVar(&o.robust, "robust", true, "also measure with sensors dropped, frozen, biased and readings lost")
	return cmd
}

func (o *evaluateOptions) run(cmd *cobra.Command) error {
	w, err := loadWeights(o.weights)
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	e := &evaluation{Weights: fmt.Sprintf("%s v%d", w.Name, w.Version), out: cmd.OutOrStdout(), progress: func(what string) {
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r\033[K%s", what)
		}
	}}
	ctx := cmd.Context()
	parts := []struct {
		name string
		dirs []string
		run  func(context.Context, *evaluateOptions, *nnet.Weights) error
	}{
		{"thunder", []string{"weather/cities", "weather/knmi", "weather/montreal"}, e.thunder},
		{"wind", []string{"weather/taiwan", "weather/knmi"}, e.wind},
		{"line faults", []string{"electrical"}, e.line},
		{"sensors", []string{"sensor"}, e.sensor},
		{"fault recordings", []string{"comtrade"}, e.recordings},
		{"robustness", []string{"weather/cities", "weather/taiwan"}, e.robustness},
	}
	ran := 0
	for _, p := range parts {
		if p.name == "robustness" && !o.robust {
			continue
		}
		if dir, missing := o.missing(p.dirs); missing {
			e.Skipped = append(e.Skipped, p.name)
			fmt.Fprintf(e.out, "SKIPPED %s: no folder %s\n\n", p.name, dir)
			continue
		}
		e.progress(p.name + " ...")
		if err := p.run(ctx, o, w); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		ran++
	}
	e.progress("")
	if ran > 0 {
		if err := e.print(); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode evaluation: %w", err)
	}
	return os.WriteFile(o.out, append(b, '\n'), 0o644)
}

// missing returns the first folder that is not there.
func (o *evaluateOptions) missing(dirs []string) (string, bool) {
	for _, d := range dirs {
		path := filepath.Join(o.data, filepath.FromSlash(d))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return path, true
		}
	}
	return "", false
}

func (o *evaluateOptions) paths(dirs ...string) []string {
	var out []string
	for _, d := range dirs {
		out = append(out, filepath.Join(o.data, filepath.FromSlash(d)))
	}
	return out
}

func (e *evaluation) add(g goal) {
	g.judge()
	e.Goals = append(e.Goals, g)
}

// measure evaluates a question, prints its tables and keeps them.
func (e *evaluation) measure(w *nnet.Weights, series []*nnet.Series, q nnet.Question, split string) ([]report, error) {
	reports, _, err := evaluate(w, series, q, split)
	if err != nil {
		return nil, err
	}
	e.Weather = append(e.Weather, reports...)
	fmt.Fprintf(e.out, "== %s, within %s\n", reports[0].Head, time.Duration(q.HorizonMs)*time.Millisecond)
	if err := printTable(e.out, reports); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(e.out)
	return reports, err
}

func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

const hourMs = 3_600_000

func (e *evaluation) thunder(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	series, err := loadSeries(ctx, o.paths("weather/cities", "weather/knmi", "weather/montreal"), func(int, int) {})
	if err != nil {
		return err
	}
	for _, s := range series {
		s.FillHistory()
	}
	goals := map[string][2]float64{"rain": {0.78, 0.115}, "history": {0.81, 0.15}}
	for _, inputs := range []string{"base", "rain", "history"} {
		q := nnet.Question{Task: nnet.TaskThunder, HorizonMs: 3 * hourMs, Inputs: inputs, Part: nnet.PartTest}
		reports, err := e.measure(w, series, q, "test")
		if err != nil {
			return err
		}
		r := reports[0]
		l := r.Baselines["logistic"]
		if g, ok := goals[inputs]; ok {
			e.add(goal{Task: "thunder 3 h, " + inputs, Figure: "ROC AUC", Rows: "test cities", Value: value(r.Result.AUC), Goal: g[0], Beside: "logistic " + number(l.AUC)})
			e.add(goal{Task: "thunder 3 h, " + inputs, Figure: "AP", Rows: "test cities", Value: value(r.Result.AP), Goal: g[1], Beside: "logistic " + number(l.AP)})
		}
		if inputs != "rain" {
			continue
		}
		if o.reliability != "" {
			if err := writeReliability(o.reliability, r); err != nil {
				return fmt.Errorf("draw reliability: %w", err)
			}
		}
		for _, x := range reports[1:] {
			if strings.Contains(x.Group, "De Bilt") {
				e.add(goal{Task: "thunder 3 h, rain", Figure: "ROC AUC", Rows: "De Bilt 2000, whole", Value: value(x.Result.AUC), Goal: 0.77,
					Beside: "logistic " + number(x.Baselines["logistic"].AUC)})
			}
		}
		v, err := w.Evaluate(series, nnet.Question{Task: nnet.TaskThunder, HorizonMs: 3 * hourMs, Inputs: inputs, Part: nnet.PartValidate})
		if err != nil {
			return err
		}
		e.decide("thunder 3 h", newReport("validate", q, v))
	}
	return nil
}

func (e *evaluation) wind(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	series, err := loadSeries(ctx, o.paths("weather/taiwan", "weather/knmi"), func(int, int) {})
	if err != nil {
		return err
	}
	for _, hours := range []int64{6, 3} {
		q := nnet.Question{Task: nnet.TaskWind, HorizonMs: hours * hourMs, GustMPS: 20.8, Lowland: true, Part: nnet.PartValidate}
		validate, err := e.measure(w, series, q, "validate")
		if err != nil {
			return err
		}
		q.Part = nnet.PartTest
		test, err := e.measure(w, series, q, "test")
		if err != nil {
			return err
		}
		q.Lowland = false
		if _, err := e.measure(w, series, q, "test"); err != nil {
			return err
		}
		task := fmt.Sprintf("wind %d h, lowland", hours)
		if hours == 6 {
			e.decide("wind 6 h", validate[0])
			e.ratio(task, "test", test[0], 1.5)
			continue
		}
		e.ratio(task, "validation", validate[0], 1)
		e.ratio(task, "test", test[0], 1)
	}
	return nil
}

// ratio is the network's AP in units of the current gust's.
func (e *evaluation) ratio(task, rows string, r report, want float64) {
	gust := value(r.Baselines["current_gust"].AP)
	g := goal{Task: task, Figure: "AP / current gust's AP", Rows: rows, Value: value(r.Result.AP) / gust, Goal: want,
		Beside: fmt.Sprintf("network %s, current gust %.4f, logistic %s", number(r.Result.AP), gust, number(r.Baselines["logistic"].AP))}
	e.add(g)
}

// priceHours are the blocked hours a site-month that a block by the network
// may cost at most.
const priceHours = 10

// hoursPerMonth turns hours a site-day into hours a site-month.
func hoursPerMonth(perDay float64) float64 { return perDay * 30.44 }

// decide says whether the network may block for a task, from validation rows.
func (e *evaluation) decide(task string, r report) {
	rules, comparable := r.Baselines[nnet.RulesName]
	v := verdict{
		Task: task, Events: r.Result.Events, NetworkCaught: r.Result.Caught, RulesCaught: rules.Caught, PriceHours: priceHours,
		NetworkHours: hoursPerMonth(r.Result.AlarmHours), RulesHours: hoursPerMonth(rules.AlarmHours), rulesComparable: comparable,
	}
	gust, ok := r.Baselines["current_gust"]
	if ok {
		v.GustCaught, v.GustHours = gust.Caught, hoursPerMonth(gust.AlarmHours)
	}
	switch {
	case !comparable:
		v.Why = "warns: the rules for this hazard need a lightning sensor, which the recordings lack, so it cannot be shown to beat them"
	case v.NetworkCaught <= v.RulesCaught:
		v.Why = "warns: it catches no more events than the rules"
	case ok && v.NetworkCaught <= v.GustCaught:
		v.Why = "warns: it catches no more events than a threshold on the present gust"
	case v.NetworkHours > priceHours:
		v.Why = fmt.Sprintf("warns: blocking would cost more than %d hours a site-month", priceHours)
	default:
		v.Blocks, v.Why = true, "may block"
	}
	e.Verdicts = append(e.Verdicts, v)
}

func (e *evaluation) print() error {
	fmt.Fprintln(e.out, "== May the network block? (validation rows; hours a site-month)")
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "task\tevents\tnetwork catches\tblocked h\trules catch\tblocked h\tgust catches\tblocked h\tverdict")
	for _, v := range e.Verdicts {
		rules, gust := "-\t-", "-\t-"
		if v.rulesComparable {
			rules = fmt.Sprintf("%d\t%.1f", v.RulesCaught, v.RulesHours)
			gust = fmt.Sprintf("%d\t%.1f", v.GustCaught, v.GustHours)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%s\t%s\t%s\n", v.Task, v.Events, v.NetworkCaught, v.NetworkHours, rules, gust, v.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "\n== Goals (%s)\n", e.Weights)
	t = tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "task\tfigure\trows\treached\tgoal\t\tbeside")
	for _, g := range e.Goals {
		word, sign := "short", ">="
		if g.Met {
			word = "met"
		}
		if g.AtMost {
			sign = "<="
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.4f\t%s %g\t%s\t%s\n", g.Task, g.Figure, g.Rows, g.Value, sign, g.Goal, word, g.Beside)
	}
	return t.Flush()
}
