package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const communityConfig = `name: made-up
version: 1
seed: 3
batch: 64
rows_per_epoch: 1024
epochs: 3
patience: 3
learn_rate: 0.01
weight_decay: 0.0001
input_dropout: 0.02
positive_share: 0.3
heads:
  - name: thunder-rain
    task: thunder
    horizon_h: 3
    inputs: [temperature_c, humidity_pct]
    required: [temperature_c]
    hidden: [4, 3]
    false_alarms_per_site_day: 0.2
    split: {train_sites: [a, b], validate_sites: [c], test_sites: [d]}
  - name: thunder-near
    base: thunder-rain
    task: thunder
    horizon_h: 3
    inputs: [neighbour_thunder_3h, neighbour_thunder_6h]
    required: [neighbour_thunder_3h]
    hidden: [4, 3]
    false_alarms_per_site_day: 0.2
    split: {train_sites: [a, b], validate_sites: [c], test_sites: [d]}
  - name: wind
    task: wind
    horizon_h: 6
    gust_mps: 20.8
    inputs: [wind_gust_1h_mps]
    required: [wind_gust_1h_mps]
    hidden: [4, 3]
    false_alarms_per_site_day: 0.2
    split: &months {sites: [a, b, c, d], validate_from: 2021-05-01T00:00:00Z, test_from: 2021-07-01T00:00:00Z, purge_h: 12}
  - name: wind-near
    base: wind
    task: wind
    horizon_h: 6
    gust_mps: 20.8
    inputs: [neighbour_gust_ratio_highest]
    required: [neighbour_gust_ratio_highest]
    hidden: [4, 3]
    false_alarms_per_site_day: 0.2
    split: *months
`

// squallLines writes 8 months of four sites 40 km apart, over which squalls pass an
// hour apart, as cities and as stations.
func squallLines(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(9, 1))
	const hours = 8 * 30 * 24
	start := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	var text [4]strings.Builder
	for k := range text {
		fmt.Fprintf(&text[k], "# fairwatt-trace: 1\n# site: %c\n# latitude: 25\n# longitude: %.1f\n# interval_s: 3600\n# simulated: true\ntime,temperature_c,humidity_pct,pressure_hpa,wind_gust_mps,label_thunder\n",
			'a'+k, 121+0.4*float64(k))
	}
	gone := -100
	for h := range hours {
		if h-gone > 12 && rng.Float64() < 0.03 {
			gone = h
		}
		for k := range text {
			gust, thunder := 6+rng.Float64(), 0
			if h == gone+k {
				gust, thunder = 24, 1
			}
			fmt.Fprintf(&text[k], "%s,%.1f,%.0f,%.1f,%.1f,%d\n", start.Add(time.Duration(h)*time.Hour).Format(time.RFC3339),
				15+rng.NormFloat64(), 60+5*rng.Float64(), 1000+rng.NormFloat64(), gust, thunder)
		}
	}
	dir := t.TempDir()
	for _, folder := range []string{"cities", "taiwan"} {
		at := filepath.Join(dir, "weather", folder)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for k := range text {
			if err := os.WriteFile(filepath.Join(at, fmt.Sprintf("%c.csv", 'a'+k)), []byte(text[k].String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// cannotTrain skips in a program that only scores.
func cannotTrain(t *testing.T, stderr string) {
	t.Helper()
	if !strings.Contains(stderr, "built with the tag lite") {
		t.Fatal(stderr)
	}
	t.Skip(stderr)
}

// What passes over sites in a row is seen by those that hear each other, and the
// tables say so: neighbours help, fewer of them less, and none at all changes nothing.
func TestNetworkOfAgents(t *testing.T) {
	dir := squallLines(t)
	config, weights, out := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "w.fwnn"), filepath.Join(dir, "e.json")
	if err := os.WriteFile(config, []byte(communityConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runModel(t, "train", "--config", config, "--data", filepath.Join(dir, "weather", "cities"), "--out", weights); code != 0 {
		cannotTrain(t, stderr)
	}
	code, text, stderr := runModel(t, "evaluate", "--network-of-agents", "--data", dir, "--weights", weights, "--config", config, "--out", out)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{"== thunder as a network of agents, test:", "== wind as a network of agents, test:", "within 40 km", "all absent", "blocks of two months", "with neighbours"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	b, err := os.ReadFile(out)
	var e evaluation
	if err != nil || json.Unmarshal(b, &e) != nil {
		t.Fatalf("%v: %.300s", err, b)
	}
	ap := map[string]float64{}
	for _, r := range e.Regions {
		ap[r.Task+" "+r.Region], ap[r.Task+" alone"] = value(r.Near.AP), value(r.Alone.AP)
		if r.Region == "all absent" && (r.Heard != 0 || value(r.Near.AP) != value(r.Alone.AP)) {
			t.Errorf("%s: all absent reach %+v", r.Task, r)
		}
	}
	for _, task := range []string{"thunder", "wind"} {
		all, few, alone := ap[task+" all"], ap[task+" nine of ten fail"], ap[task+" alone"]
		if !(all > alone+0.05 && few < all && few > alone-0.02) {
			t.Errorf("%s: AP %.3f with all, %.3f where nine of ten fail, %.3f alone", task, all, few, alone)
		}
	}
	if e.Cross == nil || e.Cross.Blocks != 3 || value(e.Cross.Near.AP) < value(e.Cross.Alone.AP) {
		t.Errorf("cross-validation %+v", e.Cross)
	}
	// Without the configuration there is no cross-validation, and it says why.
	_, text, _ = runModel(t, "evaluate", "--network-of-agents", "--data", dir, "--weights", weights, "--config", filepath.Join(dir, "none"))
	if !strings.Contains(text, "SKIPPED cross-validation: no training configuration") {
		t.Errorf("without a configuration:\n%s", text)
	}
}

func TestWeightsThatHearNobodyAreSkipped(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"cities", "taiwan"} {
		if err := os.MkdirAll(filepath.Join(dir, "weather", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	deaf := filepath.Join(dir, "deaf.fwnn")
	config := filepath.Join(dir, "c.yaml")
	text := communityConfig[:strings.Index(communityConfig, "  - name: thunder-near")]
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := squallLines(t)
	if code, _, stderr := runModel(t, "train", "--config", config, "--data", filepath.Join(lines, "weather", "cities"), "--out", deaf); code != 0 {
		cannotTrain(t, stderr)
	}
	code, text, stderr := runModel(t, "evaluate", "--network-of-agents", "--data", dir, "--weights", deaf, "--cross-validate=false")
	if code != 0 || strings.Count(text, "SKIPPED network of agents") != 2 {
		t.Errorf("exit %d, %s\n%s", code, stderr, text)
	}
}
