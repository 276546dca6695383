package console

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// metricName finds metrics of ours in a rule or a panel.
var metricName = regexp.MustCompile(`\bfairwatt_[a-z0-9_]+\b`)

// Every metric says what it is and how it counts, once, before its lines, which stand
// together.
func TestMetricsSayWhatTheyAre(t *testing.T) {
	snap := sample(time.Now().UnixMilli())
	snap.CertificateEndsMs = snap.TimeMs + 1000
	snap.Agreement.Peers = []Peer{{ID: "da-2"}, {ID: "da-3"}}
	body := get(t, New(newFixed(snap), Options{}).Handler(), "/metrics").Body.String()
	done := make(map[string]bool)
	seen := make(map[string]bool)
	last, typed := "", ""
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if f := strings.Fields(line); len(f) > 3 && f[1] == "TYPE" {
			typed = f[2]
			if len(f) != 4 || f[3] != "gauge" && f[3] != "counter" && f[3] != "summary" {
				t.Errorf("%s", line)
			}
		}
		name := nameOf(line)
		if !strings.HasPrefix(name, "fairwatt_") {
			continue
		}
		if name != last {
			if done[name] {
				t.Errorf("%s stands in two places", name)
			}
			done[last], last = true, name
		}
		f, known := families[name]
		if !known || typed != name {
			t.Errorf("%s has no HELP and TYPE", name)
		}
		if (f.kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.kind)
		}
		seen[name] = true
	}
	for name := range families {
		if !seen[name] {
			t.Errorf("%s is explained and not there", name)
		}
	}
	promtool(t, body, "check", "metrics")
}

// promtool runs Prometheus' own check.
func promtool(t *testing.T, in string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus): its check is left out")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	for line := range bytes.Lines(out) { // it lints the metrics of the process too, which are the library's
		if bytes.Contains(line, []byte("fairwatt_da_certificate_days_left")) {
			continue // days, for those who have a rule on it; fairwatt_cert_expiry_seconds says the same
		}
		if bytes.Contains(line, []byte("fairwatt_")) || !bytes.Contains(line, []byte("no help text")) && !bytes.HasPrefix(line, []byte("go_")) && !bytes.HasPrefix(line, []byte("process_")) && len(bytes.TrimSpace(line)) > 0 && args[1] == "metrics" {
			t.Errorf("promtool: %s", line)
		}
	}
	if err != nil && args[1] != "metrics" {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

// The alert rules and the dashboard ask for metrics that exist, and Prometheus
// understands the rules.
func TestRulesAskForWhatThereIs(t *testing.T) {
	dir := filepath.Join("..", "..", "configs", "prometheus")
	for _, file := range []string{"fairwatt-rules.yaml", "fairwatt-dashboard.json"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(b), -1)
		if len(names) < 10 {
			t.Errorf("%s asks for %d metrics only", file, len(names))
		}
		for _, name := range names {
			if _, ok := families[name]; !ok {
				t.Errorf("%s asks for %s, which does not exist", file, name)
			}
		}
	}
	promtool(t, "", "check", "rules", filepath.Join(dir, "fairwatt-rules.yaml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "fairwatt-rules-test.yaml"))
}
