package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"fairwatt/model/nnet"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"model": func() { os.Exit(program()) }})
}

func runModel(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("name: x\nlearning_rate: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, 0, ""},
		{[]string{"frobnicate"}, 2, "unknown command"},
		{[]string{"eval"}, 2, "--data is needed"},
		{[]string{"evaluate"}, 2, "--data is needed"},
		{[]string{"eval", "--task", "hail", "--data", dir}, 2, "unknown task"},
		{[]string{"eval", "--task", "wind"}, 2, "--data"},
		{[]string{"eval", "--task", "wind", "--data", dir, "--stations", "hills"}, 2, "stations"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--inputs", "snow"}, 2, "unknown inputs"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--split", "best"}, 2, "unknown split"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--horizon", "90m"}, 2, "whole hours"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--horizon", "-1h"}, 2, "whole hours"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--horizon", "49h"}, 2, "whole hours"},
		{[]string{"eval", "--task", "thunder", "--data", dir, "--horizon", "48h"}, 1, "no traces"},
		{[]string{"eval", "--task", "wind", "--data", dir, "--threshold", "0"}, 2, "not in (0, 150)"},
		{[]string{"eval", "--task", "wind", "--data", dir, "--threshold", "150"}, 2, "not in (0, 150)"},
		{[]string{"evaluate", "--data", dir, "--network-of-agents", "--split", "best"}, 2, "unknown split"},
		{[]string{"evaluate", "--data", dir, "--split", "test"}, 2, "--split is for one task"},
		{[]string{"evaluate", "--task", "wind", "--data", dir, "--network-of-agents"}, 2, "--network-of-agents is for all goals"},
		{[]string{"evaluate", "--task", "wind", "--data", dir, "--inputs", "rain"}, 2, "one of ratio, near"},
		{[]string{"evaluate", "--data", dir, "--network-of-agents"}, 0, ""},
		{[]string{"evaluate", "--data", dir, "--json"}, 2, "--json is for one task"},
		{[]string{"evaluate", "--data", dir, "--horizon", "3h"}, 2, "--horizon is for one task"},
		{[]string{"evaluate", "--data", dir, "--data", bad}, 2, "one folder holds"},
		{[]string{"evaluate", "--task", "wind", "--data", dir, "--out", "x"}, 2, "--out is for all goals"},
		{[]string{"evaluate", "--task", "wind", "--data", dir, "--robust=false"}, 2, "--robust is for all goals"},
		{[]string{"eval", "--task", "line", "--data", dir}, 1, "no traces"},
		{[]string{"eval", "--task", "sensor", "--data", dir}, 1, "no traces"},
		{[]string{"eval", "--task", "wind", "--data", dir}, 1, "no traces"},
		{[]string{"eval", "--task", "wind", "--data", filepath.Join(dir, "none")}, 1, "no such file"},
		{[]string{"eval", "--nonsense"}, 2, "nonsense"},
		{[]string{"train"}, 2, "--config"},
		{[]string{"train", "--config", bad, "--out", filepath.Join(dir, "w")}, 1, "learning_rate"},
		{[]string{"version", "x"}, 2, "unexpected"},
		{[]string{"version"}, 0, ""},
	} {
		code, _, stderr := runModel(t, tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.says) {
			t.Errorf("model %s: exit %d, %q; want %d and %q", strings.Join(tt.args, " "), code, stderr, tt.code, tt.says)
		}
		if code != 0 && strings.Count(strings.TrimSpace(stderr), "\n") > 0 && tt.code == 2 {
			t.Errorf("model %s: more than one line: %q", strings.Join(tt.args, " "), stderr)
		}
	}
}

// gale is a generated trace with a storm a week in.
func gale(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# fairwatt-trace: 1\n# site: Testville\n# interval_s: 3600\n# simulated: true\n")
	b.WriteString("time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_gust_mps,wind_direction_deg,rain_mm\n")
	at := time.Date(2022, 9, 1, 0, 0, 0, 0, time.UTC)
	for h := range 300 {
		storm := math.Exp(-math.Pow(float64(h-170)/12, 2))
		fmt.Fprintf(&b, "%s,%.1f,%.0f,%.1f,%.1f,%.1f,%d,%.1f\n", at.Add(time.Duration(h)*time.Hour).Format(time.RFC3339),
			20-3*storm, 60+30*storm, 1010-25*storm, 4+14*storm, 7+22*storm, (180+h)%360, 4*storm)
	}
	path := filepath.Join(t.TempDir(), "gale.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEvalOnAnUnseenTrace(t *testing.T) {
	scores := filepath.Join(t.TempDir(), "scores.csv")
	code, out, stderr := runModel(t, "eval", "--task", "wind", "--data", gale(t), "--scores", scores, "--json", "--reliability", scores+".svg")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Rows < 200 || r.Result.Events != 1 || r.Result.AUC == nil || *r.Result.AUC < 0.9 {
		t.Errorf("one gale in 300 h: %+v", r)
	}
	for _, b := range []string{"logistic", "current_gust"} {
		if _, ok := r.Baselines[b]; !ok {
			t.Errorf("no baseline %s", b)
		}
	}
	if svg, err := os.ReadFile(scores + ".svg"); err != nil || strings.Count(string(svg), "<circle") != 10 {
		t.Errorf("reliability: %v, %d points, want 10", err, strings.Count(string(svg), "<circle"))
	}
	f, err := os.Open(scores)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != r.Rows+1 || strings.Join(rows[0], ",") != "site,time,label,p,baseline" {
		t.Errorf("%d lines of scores, %v", len(rows), err)
	}
	code, out, _ = runModel(t, "eval", "--task", "wind", "--data", gale(t))
	if code != 0 || !strings.Contains(out, "current_gust") || !strings.Contains(out, "external: Testville") {
		t.Errorf("exit %d, table:\n%s", code, out)
	}
	if _, long, _ := runModel(t, "evaluate", "--task", "wind", "--data", gale(t)); long != out {
		t.Errorf("eval and evaluate differ:\n%s\n%s", out, long)
	}
	// The trace has no thunder label: there is nothing to measure.
	if code, _, stderr := runModel(t, "eval", "--task", "thunder", "--data", gale(t)); code != 1 || !strings.Contains(stderr, "no rows") {
		t.Errorf("thunder without truth: exit %d, %s", code, stderr)
	}
}

// sharedWeather finds the recordings, or skips.
func sharedWeather(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("FAIRWATT_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "weather")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the recorded weather is not here (set FAIRWATT_SHARED): %v", err)
	}
	return dir
}

// The shipped weights reach on the validation rows what their header says:
// features, loader, splits and weights belong together.
func TestShippedWeightsReproduceTheirFigures(t *testing.T) {
	dir := filepath.Join(sharedWeather(t), "cities")
	w, err := nnet.ShippedWeights()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, c := range []string{"boston", "montreal", "new_york", "philadelphia", "pittsburgh", "toronto"} {
		files = append(files, filepath.Join(dir, c+".csv.gz"))
	}
	series, err := loadSeries(context.Background(), files, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, inputs := range []string{"base", "rain"} {
		h, err := w.Head(nnet.TaskThunder, inputs)
		if err != nil {
			t.Fatal(err)
		}
		e, err := w.Evaluate(series, nnet.Question{Task: nnet.TaskThunder, Inputs: inputs, Part: nnet.PartValidate})
		if err != nil {
			t.Fatal(err)
		}
		if e.Rows != h.Validation.Rows || math.Abs(e.Network.AUC-h.Validation.AUC) > 0.005 {
			t.Errorf("%s: %d rows, AUC %.4f; the header says %d, %.4f", h.Name, e.Rows, e.Network.AUC, h.Validation.Rows, h.Validation.AUC)
		}
	}
}

// Training again gives the shipped bytes on amd64. It takes minutes.
func TestTrainReproducesShippedBytes(t *testing.T) {
	if os.Getenv("FAIRWATT_LONG") == "" {
		t.Skip("takes minutes: set FAIRWATT_LONG=1")
	}
	dir := sharedWeather(t)
	out := filepath.Join(t.TempDir(), "w.fwnn")
	root := filepath.Join("..", "..", "..")
	code, _, stderr := runModel(t, "train", "--config", filepath.Join(root, "configs", "model", "hazard-1.yaml"), "--data", dir, "--out", out)
	if code != 0 {
		t.Fatal(stderr)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.Open(filepath.Join(root, "model", "nnet", "weights", "hazard-1.fwnn.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close() // only read from
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes than the shipped weights")
	}
}

// A picture of a replay is written; what is wrong is said before.
func TestPlot(t *testing.T) {
	dir := t.TempDir()
	events, out := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "gale.svg")
	lines := `{"t":"2022-09-01T00:05:00.000Z","type":"gate","state":"OPEN","reason":"x","causes":[]}
{"t":"2022-09-08T02:00:00.000Z","type":"score","p":{"wind":0.5}}
{"type":"summary","samples":300}
`
	if err := os.WriteFile(events, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	trace := gale(t)
	if code, _, stderr := runModel(t, "plot", "--trace", trace, "--events", events, "--out", out, "--zone", "UTC"); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if svg, err := os.ReadFile(out); err != nil || !strings.Contains(string(svg), "Testville, from 1 September 2022 (simulated)") {
		t.Errorf("%v, %.300s", err, svg)
	}
	for want, args := range map[string][]string{
		"name it .svg or .png":   {"--out", filepath.Join(dir, "gale.pdf")},
		"--zone":                 {"--out", out, "--zone", "Atlantis/Harbour"},
		"are needed":             {},
		"events line 1: no type": {"--out", out, "--events", trace + ".none"},
	} {
		all := append([]string{"plot", "--trace", trace, "--events", events}, args...)
		if want == "events line 1: no type" {
			if err := os.WriteFile(trace+".none", []byte("{}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, stderr := runModel(t, all...); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %s, want %q", args, code, stderr, want)
		}
	}
}

// Without recordings evaluate says what it skipped, and does not fail.
func TestEvaluateSkipsWhatIsNotThere(t *testing.T) {
	out := filepath.Join(t.TempDir(), "evaluate.json")
	code, text, stderr := runModel(t, "evaluate", "--data", t.TempDir(), "--out", out)
	if code != 0 || strings.Count(text, "SKIPPED ") != 9 {
		t.Errorf("exit %d, %s\n%s", code, stderr, text)
	}
	b, err := os.ReadFile(out)
	var e evaluation
	if err != nil || json.Unmarshal(b, &e) != nil || len(e.Skipped) != 9 || len(e.Goals) != 0 {
		t.Errorf("%v: %s", err, b)
	}
}
