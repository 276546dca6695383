package agent

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// The file says what the agent knows, in a form that Prometheus' own check takes, and
// is gone when the agent stops. The alert rules ask for nothing else.
func TestMetricsFile(t *testing.T) {
	var text string
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t)
		cfg := testConfig(t, "pv-1")
		cfg.MetricsFile = filepath.Join(t.TempDir(), "pv-1.prom")
		broker := &mqtttest.Broker{}
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), nil, nil, broker.Pipe(mqtt.Will{}))
		a.deps.CertificateEnds = func() time.Time { return time.Now().Add(time.Hour) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if a.Status().Gate != model.StateOpen {
			t.Fatalf("the gate is %v", a.Status().Reason)
		}
		b, err := os.ReadFile(cfg.MetricsFile)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
		if age := time.Since(fileTime(t, text)); age < 0 || age > metricsEvery+cfg.Tick {
			t.Errorf("it was written %v ago", age)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(cfg.MetricsFile), "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	for _, line := range []string{
		`fairwatt_agent_build_info{device="pv-1",version="test"} 1`, `fairwatt_agent_gate_open{device="pv-1"} 1`,
		`fairwatt_agent_outbox_records{device="pv-1"} 0`, `fairwatt_agent_broker_up{device="pv-1",broker="1"} 1`,
		`fairwatt_agent_contactor_closed{device="pv-1"} 0`, "# TYPE fairwatt_agent_records_final_total counter",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if !regexp.MustCompile(`fairwatt_agent_cert_expiry_seconds\{device="pv-1"\} 3[56]\d\d`).MatchString(text) {
		t.Errorf("no end of the certificate in\n%s", text)
	}
	if n := strings.Count(text, "fairwatt_agent_sensor_up{"); n < 4 || len(text) > 8<<10 {
		t.Errorf("%d sensors in %d bytes", n, len(text))
	}
	rules, err := os.ReadFile(filepath.Join("..", "configs", "prometheus", "fairwatt-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`fairwatt_agent_[a-z_]+`).FindAllString(string(rules), -1)
	if len(asked) < 5 {
		t.Errorf("the rules ask for %v", asked)
	}
	for _, name := range asked {
		if !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("the rules ask for %s, which does not exist", name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus): its check is left out")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

// fileTime is when a file says it was written.
func fileTime(t *testing.T, text string) time.Time {
	t.Helper()
	m := regexp.MustCompile(`written_timestamp_seconds\{device="pv-1"\} (\S+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no time in\n%s", text)
	}
	seconds, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}

// A folder that is not there costs one line of the log, and the agent nothing.
func TestMetricsFileCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dir := filepath.Join(t.TempDir(), "gone")
		a := &Agent{log: slog.New(slog.NewJSONHandler(&log, nil)), textfile: newTextfile(filepath.Join(dir, "a.prom"))}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.writeMetrics(ctx); close(done) }()
		for range 3 {
			a.textfile.text <- []byte("x 1\n")
			synctest.Wait()
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		a.textfile.text <- []byte("x 2\n")
		synctest.Wait()
		b, err := os.ReadFile(a.textfile.path)
		if err != nil || string(b) != "x 2\n" {
			t.Errorf("%q, %v", b, err)
		}
		if info, err := os.Stat(a.textfile.path); err != nil || info.Mode().Perm()&0o004 == 0 {
			t.Errorf("the collector cannot read it: %v, %v", info, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		a.textfile.text <- []byte("x 3\n")
		synctest.Wait()
		stop()
		<-done
		if n := strings.Count(log.String(), `"level":"WARN","msg":"write metrics_file"`); n != 2 {
			t.Errorf("%d lines for two losses:\n%s", n, log.String())
		}
	})
}

// Records without an answer are told after a minute, again every ten minutes, and once
// when they are answered.
func TestUnansweredIsTold(t *testing.T) {
	var log bytes.Buffer
	db, err := outbox.Open(filepath.Join(t.TempDir(), "a.db"), outbox.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	start := time.UnixMilli(1_800_000_000_000)
	defer func() {
		if err := db.Close(start.UnixMilli()); err != nil {
			t.Error(err)
		}
	}()
	a := &Agent{log: slog.New(slog.NewTextHandler(&log, nil)), deps: Deps{Outbox: db}, publisher: newPublisher(nil, db, wire.Topics{}, nil)}
	entry := outbox.Entry{Build: func(counter uint64) ([]byte, error) { return []byte{byte(counter)}, nil }}
	sealed, err := db.Commit(start.UnixMilli(), outbox.Commit{Record: []outbox.Entry{entry, entry}})
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	for s := range 1300 {
		a.now.wall = start.Add(time.Duration(s) * time.Second)
		log.Reset()
		if s == 1290 {
			db.Done(sealed[0].ID)
			db.Done(sealed[1].ID)
		}
		a.tellUnanswered()
		for line := range strings.Lines(log.String()) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
			told += time.Duration(s*int(time.Second)).String() + " " + line + "\n"
		}
	}
	ask := ` msg="nobody answers records: is a broker connected, and the device registered with its site?" count=2 oldest_s=`
	want := "1m0s level=WARN" + ask + "60\n11m0s level=WARN" + ask + "660\n21m0s level=WARN" + ask + "1260\n21m30s level=INFO msg=\"records are answered again\" waiting=0\n"
	if told != want {
		t.Errorf("%s\nwant\n%s", told, want)
	}
}
