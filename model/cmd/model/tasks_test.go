package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sharedData(t *testing.T, folder string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(sharedWeather(t)), folder)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	return dir
}

// The rules find every stale sample and nearly all interpolated ones; what is
// left are lone night zeros, which no value tells from measured ones.
func TestSensorGoals(t *testing.T) {
	code, out, stderr := runModel(t, "eval", "--task", "sensor", "--json", "--data", sharedData(t, "sensor"))
	if code != 0 {
		t.Fatal(stderr)
	}
	var got struct{ Series []sensorReport }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"stale": 1, "interpolated": 0.97}
	for _, s := range got.Series {
		if s.Rule.F1 < want[s.Fault] || s.Rule.F1 <= s.Baselines["plain"].F1 {
			t.Errorf("%s: F1 %.4f, the plain rule %.4f", s.Fault, s.Rule.F1, s.Baselines["plain"].F1)
		}
	}
	if len(got.Series) != 2 {
		t.Errorf("%d series", len(got.Series))
	}
}

func TestLineBeatsThePlainRule(t *testing.T) {
	code, out, stderr := runModel(t, "eval", "--task", "line", "--json", "--data", sharedData(t, "electrical"))
	if code != 0 {
		t.Fatal(stderr)
	}
	var got struct{ Folds, Pooled []lineReport }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Folds) != 10 || len(got.Pooled) != 2 {
		t.Fatalf("%d folds, %d pooled", len(got.Folds), len(got.Pooled))
	}
	for _, p := range got.Pooled {
		if plain := p.Baselines["largest_current"]; p.Network.Recall < 0.99 || p.Network.Precision < 0.97 || p.Network.Recall < plain.Recall {
			t.Errorf("%s: recall %.4f, precision %.4f; plain recall %.4f", p.Set, p.Network.Recall, p.Network.Precision, plain.Recall)
		}
	}
}

func TestMarkedSeriesRefusesWhatItCannotRead(t *testing.T) {
	for _, in := range []string{
		"", "timestamp,stale_data_mask\na,True\n", "timestamp,value,stale_data_mask\na,x,True\n",
		"timestamp,value,stale_data_mask\na,1,perhaps\n", "timestamp,value,stale_data_mask\na,Inf,True\n",
	} {
		if _, err := parseMarked(strings.NewReader(in), "x"); err == nil {
			t.Errorf("%q accepted", in)
		}
	}
	if s, err := parseMarked(strings.NewReader("timestamp,value\na,1\n"), "x"); s != nil || err != nil {
		t.Errorf("a series without a mask: %v, %v", s, err)
	}
}
