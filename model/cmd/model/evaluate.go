package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
)

// evaluateOptions are the flags of evaluate. Some are for one task, some for
// all goals; check refuses the others.
type evaluateOptions struct {
	task                    string
	data                    []string
	weights, reliability    string
	inputs, stations, split string // one task
	scores                  string
	horizon                 time.Duration
	threshold               float64
	json                    bool
	out                     string // all goals
	robust                  bool
	network, crossValidate  bool // all goals
	config                  string
}

// The flags that only one task, or only the goals, have a use for.
var (
	taskFlags = []string{"horizon", "inputs", "stations", "split", "threshold", "scores", "json"}
	goalFlags = []string{"out", "robust", "network-of-agents", "cross-validate", "config"}
)

// The tasks that are no hazard of the network.
const (
	taskLine   = "line"
	taskSensor = "sensor"
)

var splitParts = map[string]nnet.Part{
	"test": nnet.PartTest, "validate": nnet.PartValidate, "train": nnet.PartTrain, "other": nnet.PartOther,
}

func evaluateCommand() *cobra.Command {
	var o evaluateOptions
	cmd := &cobra.Command{
		Use:     "evaluate [--task thunder|wind|line|sensor] --data DIR|FILE",
		Aliases: []string{"eval"},
		Short:   "Measure network and rules against their baselines and goals",
		Long: `Evaluate measures network and rules on recordings, and baselines on the same
rows. With --task it prints the table of one task. Without, it runs every task
that has data and ends with a table of goals: the aim and what was reached. Then --data is one folder that holds weather/{cities,knmi,montreal,taiwan},
electrical, sensor and comtrade; what is missing is skipped with a reason.

Rows that the weights learnt or chose from are left out: what counts is the test
split, and each site that no split names ("external"). A threshold is the one
chosen on the validation split. The network may block only for a task in which
it catches more events than the rules at equal blocked hours on the validation
rows, at a price that is printed.

thunder: onset within the horizon, no thunder now. wind: a gust of at least
--threshold within the horizon, none such in the last 3 h. An event merges
positive hours over gaps of up to 6 h. --inputs history uses whether it
thundered in the last 6 h, from the label: a stand-in for a lightning sensor.

--network-of-agents lets the recorded sites play agents that tell each other the
weather: by distance and number of neighbours, with agents failing, with one that
lies, and with all absent. It also judges every two months of wind by networks that
are trained anew on the others; --cross-validate=false leaves that out, which takes
minutes. Without it these are two of the tasks.

line: simulated three-phase rows (columns Ia..Vc and G,A,B,C or Output). A small
network is trained without one fault type and judged on it, for each type; loads
are rescaled per simulation. sensor: recorded series with marked stale or
interpolated stretches; the rules that find them are compared with plain ones.`,
		Example: `  model evaluate --data ../shared/data --out build/evaluate.json
  model evaluate --task thunder --data ../shared/data/weather
  model evaluate --task wind --data ../shared/data/weather/taiwan --stations all --json
  model evaluate --network-of-agents --split validate --data ../shared/data
  model evaluate --task line --data ../shared/data/electrical
  model evaluate --task sensor --data ../shared/data/sensor
  model evaluate --task thunder --inputs base --data de_bilt_260.csv.gz --scores scores.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed); err != nil {
				return usageError{err}
			}
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.task, "task", "", "thunder, wind, line or sensor (default: all, with the goals)")
	f.StringSliceVar(&o.data, "data", nil, "folder or trace file; may be repeated with --task")
	f.StringVar(&o.weights, "weights", "", "weight file (default: the built-in weights)")
	f.StringVar(&o.reliability, "reliability", "", "draw the reliability of the task's first group, else of thunder-rain on the test cities, into this SVG file")
	f.DurationVar(&o.horizon, "horizon", 0, "with --task: how far ahead (default 3h for thunder, 6h for wind)")
	f.StringVar(&o.inputs, "inputs", "", "with --task: base, rain (default), clock, history or near for thunder; ratio or near for wind")
	f.StringVar(&o.stations, "stations", "", "with --task: lowland or all (default lowland for wind, all for thunder)")
	f.StringVar(&o.split, "split", "test", "with --task or --network-of-agents: rows to judge: test, validate, train or other")
	f.Float64Var(&o.threshold, "threshold", 20.8, "with --task wind: the gust that counts, in m/s")
	f.StringVar(&o.scores, "scores", "", "with --task: write site,time,label,p,baseline to this CSV file")
	f.BoolVar(&o.json, "json", false, "with --task: print JSON")
	f.StringVar(&o.out, "out", "", "without --task: also write the figures as JSON to this file")
	f.BoolVar(&o.robust, "robust", true, "without --task: also measure with sensors dropped, frozen, biased and readings lost")
	f.BoolVar(&o.network, "network-of-agents", false, "without --task: only measure the sites as agents that hear each other, on --split")
	f.BoolVar(&o.crossValidate, "cross-validate", true, "without --task: also train anew for each two months of wind")
	f.StringVar(&o.config, "config", "configs/model/hazard-1.yaml", "without --task: training configuration for --cross-validate")
	return cmd
}

// check answers wrong usage before any work. changed tells whether a flag was
// given.
func (o *evaluateOptions) check(changed func(flag string) bool) error {
	switch o.task {
	case nnet.TaskThunder, nnet.TaskWind, taskLine, taskSensor:
		return o.checkTask(changed)
	case "":
		return o.checkGoals(changed)
	}
	return fmt.Errorf("unknown task %q: thunder, wind, line or sensor", o.task)
}

func (o *evaluateOptions) checkGoals(changed func(flag string) bool) error {
	if i := slices.IndexFunc(taskFlags, func(flag string) bool { return changed(flag) && !(flag == "split" && o.network) }); i >= 0 {
		return fmt.Errorf("--%s is for one task: --task thunder, wind, line or sensor is needed", taskFlags[i])
	}
	if _, ok := splitParts[o.split]; !ok {
		return fmt.Errorf("unknown split %q: test, validate, train or other", o.split)
	}
	switch len(o.data) {
	case 1:
		return nil
	case 0:
		return errors.New("--data is needed")
	}
	return fmt.Errorf("%d folders (%s): one folder holds the data of all goals", len(o.data), strings.Join(o.data, ", "))
}

func (o *evaluateOptions) checkTask(changed func(flag string) bool) error {
	if i := slices.IndexFunc(goalFlags, changed); i >= 0 {
		return fmt.Errorf("--%s is for all goals: leave --task out", goalFlags[i])
	}
	if len(o.data) == 0 {
		return errors.New("--data is needed")
	}
	known := []string{"", "base", "rain", "clock", "history", nnet.NearInputs}
	if o.task == nnet.TaskWind {
		known = []string{"", "ratio", nnet.NearInputs}
	}
	if !slices.Contains(known, o.inputs) {
		return fmt.Errorf("unknown inputs %q for %s: one of %s", o.inputs, o.task, strings.TrimPrefix(strings.Join(known, ", "), ", "))
	}
	if !slices.Contains([]string{"", "lowland", "all"}, o.stations) {
		return fmt.Errorf("unknown stations %q: lowland or all", o.stations)
	}
	if _, ok := splitParts[o.split]; !ok {
		return fmt.Errorf("unknown split %q: test, validate, train or other", o.split)
	}
	if o.horizon < 0 || o.horizon > 48*time.Hour || o.horizon%time.Hour != 0 {
		return fmt.Errorf("horizon %s: whole hours up to 48h are wanted", o.horizon)
	}
	if !(o.threshold > 0 && o.threshold < 150) {
		return fmt.Errorf("threshold %g m/s is not in (0, 150)", o.threshold)
	}
	return nil
}

func (o *evaluateOptions) run(cmd *cobra.Command) error {
	switch o.task {
	case "":
		return o.runGoals(cmd)
	case taskLine:
		return o.runLine(cmd)
	case taskSensor:
		return o.runSensor(cmd)
	}
	return o.runWeather(cmd)
}
