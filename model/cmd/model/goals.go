package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
)

// A goal is one figure that the network or a rule should reach.
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

// evaluation gathers all that evaluate prints without a task.
type evaluation struct {
	Weights    string         `json:"weights"`
	Goals      []goal         `json:"goals"`
	Decisions  []gateDecision `json:"verdicts"`
	Weather    []report       `json:"weather"`
	Line       []lineReport   `json:"line"`
	Sensor     []sensorReport `json:"sensor"`
	Recordings []flagged      `json:"recordings"`
	Robustness []robustRow    `json:"robustness"`
	Regions    []regionRow    `json:"network_of_agents"`
	Cross      *crossRow      `json:"cross_validation,omitempty"`
	Skipped    []string       `json:"skipped"`

	out      io.Writer
	progress func(what string)
	read     map[string][]*nnet.Series // by folder: each is read once
}

func (o *evaluateOptions) runGoals(cmd *cobra.Command) error {
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
		{"gate decisions", []string{"weather/cities", "weather/taiwan"}, e.gate},
		{"robustness", []string{"weather/cities", "weather/taiwan"}, e.robust},
		{agentParts[0], []string{"weather/cities", "weather/taiwan"}, e.agents},
		{agentParts[1], []string{"weather/taiwan"}, e.cross},
	}
	ran := 0
	for _, p := range parts {
		if p.name == "robustness" && !o.robust || o.network && !slices.Contains(agentParts, p.name) {
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
		path := filepath.Join(o.data[0], filepath.FromSlash(d))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return path, true
		}
	}
	return "", false
}

func (o *evaluateOptions) paths(dirs ...string) []string {
	var out []string
	for _, d := range dirs {
		out = append(out, filepath.Join(o.data[0], filepath.FromSlash(d)))
	}
	return out
}

func (e *evaluation) add(g goal) {
	g.judge()
	e.Goals = append(e.Goals, g)
}

// measure evaluates a question, prints its tables and keeps them.
func (e *evaluation) measure(w *nnet.Weights, series []*nnet.Series, q nnet.Question, split string) ([]report, error) {
	reports, _, err := ask(w, series, q, split)
	if err != nil {
		return nil, err
	}
	e.Weather = append(e.Weather, reports...)
	for _, r := range reports {
		e.explained(r, q)
	}
	fmt.Fprintf(e.out, "== %s, within %s\n", reports[0].Head, time.Duration(q.HorizonMs)*time.Millisecond)
	if err := printTable(e.out, reports); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(e.out)
	return reports, err
}

// explained adds the check of the explanations: in every warned hour the score
// falls if the named inputs are set to their training means.
func (e *evaluation) explained(r report, q nnet.Question) {
	if r.Warnings == 0 {
		return
	}
	e.add(goal{Task: fmt.Sprintf("%s %d h", r.Head, q.HorizonMs/hourMs), Figure: "explanations that hold", Rows: fmt.Sprintf("%s, %s", r.Group, r.Stations),
		Value: float64(r.ExplanationHeld) / float64(r.Warnings), Goal: 1, Beside: fmt.Sprintf("%d of %d warned hours", r.ExplanationHeld, r.Warnings)})
}

func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

const hourMs = 3_600_000

// series are the sites of some folders, which hear each other.
func (e *evaluation) series(ctx context.Context, o *evaluateOptions, dirs ...string) ([]*nnet.Series, error) {
	var out []*nnet.Series
	for _, dir := range dirs {
		s, ok := e.read[dir]
		if !ok {
			var err error
			if s, err = loadApart(ctx, o.paths(dir), func(int, int) {}); err != nil {
				return nil, err
			}
			if e.read == nil {
				e.read = map[string][]*nnet.Series{}
			}
			e.read[dir] = s
		}
		out = append(out, s...)
	}
	nnet.Region{}.Meet(out)
	return out, nil
}

func (e *evaluation) thunder(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	series, err := e.series(ctx, o, "weather/cities", "weather/knmi", "weather/montreal")
	if err != nil {
		return err
	}
	for _, s := range series {
		s.FillHistory()
	}
	goals := map[string][2]float64{"rain": {0.78, 0.115}, "history": {0.81, 0.15}}
	for _, inputs := range []string{"base", "rain", "clock", "history"} {
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
		q.HorizonMs = hourMs // the same head, trained for three hours
		if _, err := e.measure(w, series, q, "test"); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) wind(ctx context.Context, o *evaluateOptions, w *nnet.Weights) error {
	series, err := e.series(ctx, o, "weather/taiwan", "weather/knmi")
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
			e.ratio(task, "test", test[0], 1.5)
			continue
		}
		e.ratio(task, "validation", validate[0], above1)
		e.ratio(task, "test", test[0], above1)
	}
	return nil
}

// above1 is the goal of being better at all.
var above1 = math.Nextafter(1, 2)

// ratio is the network's AP in units of the current gust's.
func (e *evaluation) ratio(task, rows string, r report, want float64) {
	gust := value(r.Baselines["current_gust"].AP)
	g := goal{Task: task, Figure: "AP / current gust's AP", Rows: rows, Value: value(r.Result.AP) / gust, Goal: want,
		Beside: fmt.Sprintf("network %s, current gust %.4f, logistic %s", number(r.Result.AP), gust, number(r.Baselines["logistic"].AP))}
	e.add(g)
}

func (e *evaluation) print() error {
	if err := e.printGate(); err != nil {
		return err
	}
	if err := e.printRobust(); err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(e.out, "\n== Goals (%s)\n", e.Weights)
	fmt.Fprintln(t, "task\tfigure\trows\treached\tgoal\t\tbeside")
	for _, g := range e.Goals {
		word, sign := "short", ">="
		if g.Met {
			word = "met"
		}
		if g.AtMost {
			sign = "<="
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.4f\t%s %.4g\t%s\t%s\n", g.Task, g.Figure, g.Rows, g.Value, sign, g.Goal, word, g.Beside)
	}
	return t.Flush()
}
