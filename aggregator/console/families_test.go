package console

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
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
	src := newFixed(snap)
	src.measures = NewMeasures()
	src.measures.AuthorityEnds = time.UnixMilli(snap.TimeMs).Add(time.Hour)
	src.measures.Brokers = func() []Broker {
		return []Broker{{Name: "tls://one:8883", Connected: true, Connects: 3}, {Name: "two"}}
	}
	src.measures.Disk = func() (Disk, error) {
		return Disk{Bytes: map[string]int64{"chain.db": 1 << 40, "agreement": 0}, FreeBytes: 1 << 50, SizeBytes: 1 << 51}, nil
	}
	src.measures.BlockCommit.Observe(3 * time.Millisecond)
	h := New(src, Options{}).Handler()
	get(t, h, "/metrics")
	body := get(t, h, "/metrics").Body.String()
	for _, line := range []string{
		`fairwatt_da_block_commit_seconds_bucket{le="0.0025"} 0`, `fairwatt_da_block_commit_seconds_bucket{le="0.005"} 1`,
		`fairwatt_da_block_commit_seconds_bucket{le="+Inf"} 1`, `fairwatt_da_block_commit_seconds_sum 0.003`, `fairwatt_da_block_commit_seconds_count 1`,
		`fairwatt_da_broker_up{broker="tls://one:8883"} 1`, `fairwatt_da_broker_up{broker="two"} 0`,
		`fairwatt_da_broker_connects_total{broker="tls://one:8883"} 3`, `fairwatt_cert_expiry_seconds{id="ca"} 3600`,
		`fairwatt_da_data_bytes{file="chain.db"} 1099511627776`, `fairwatt_da_disk_free_bytes 1125899906842624`,
		`fairwatt_da_http_request_seconds_count{route="/metrics"} 1`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	done := make(map[string]bool)
	seen := make(map[string]bool)
	last, typed := "", ""
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if f := strings.Fields(line); len(f) > 3 && f[1] == "TYPE" {
			typed = f[2]
			if len(f) != 4 || f[3] != "gauge" && f[3] != "counter" && f[3] != "summary" && f[3] != "histogram" {
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
	asked := make(map[string]bool)
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
			name = nameOf(name)
			if _, ok := families[name]; !ok && !strings.HasPrefix(name, "fairwatt_agent_") {
				t.Errorf("%s asks for %s, which does not exist", file, name)
			}
			asked[name] = true
		}
	}
	for name, f := range families {
		if f.kind == "histogram" && !asked[name] {
			t.Errorf("no rule and no panel asks for %s", name)
		}
	}
	promtool(t, "", "check", "rules", filepath.Join(dir, "fairwatt-rules.yaml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "fairwatt-rules-test.yaml"))
}

// Buckets hold what their bounds say, a duration at a bound too; what is counted never
// depends on the order.
func TestHistogramBuckets(t *testing.T) {
	h := NewHistogram(time.Millisecond, time.Second)
	for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, time.Millisecond + 1, time.Second, time.Second + 1, time.Hour} {
		h.Observe(d)
	}
	var out bytes.Buffer
	h.write(&out, "x", `a="b"`)
	want := "x_bucket{a=\"b\",le=\"0.001\"} 3\nx_bucket{a=\"b\",le=\"1\"} 5\nx_bucket{a=\"b\",le=\"+Inf\"} 7\nx_sum{a=\"b\"} 3602.002000002\nx_count{a=\"b\"} 7\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	var none *Histogram
	none.Observe(time.Second)
	if none.write(&out, "y", ""); strings.Contains(out.String(), "y") {
		t.Error("none tells something")
	}
}

// Routes are as many as the console has; a stream is none.
func TestAnswersAreMeasuredByRoute(t *testing.T) {
	s := New(newFixed(sample(1)), Options{})
	h := s.Handler()
	for _, path := range []string{"/api/v1/trades/a", "/api/v1/trades/b", "/api/v1/snapshot", "/nowhere/1", "/nowhere/2"} {
		get(t, h, path)
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/snapshot", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	streamed := httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/events", nil)
	ctx, cancel := context.WithCancel(streamed.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), streamed.WithContext(ctx))
	var out bytes.Buffer
	s.answers.write(&out)
	for _, line := range []string{`{route="/api/v1/trades/{id}"} 2`, `{route="/api/v1/snapshot"} 1`, `{route="/"} 2`, `{route="other"} 1`} {
		if !strings.Contains(out.String(), "fairwatt_da_http_request_seconds_count"+line+"\n") {
			t.Errorf("no count %s", line)
		}
	}
	if n := strings.Count(out.String(), "_sum{"); n != 4 {
		t.Errorf("%d routes", n)
	}
}
