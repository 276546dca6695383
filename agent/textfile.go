package agent

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"fairwatt/model"
)

// metricsEvery is how often the file of metrics is written.
const metricsEvery = 15 * time.Second

// A textfile is a file of metrics for the textfile collector of node_exporter. It is
// written by a goroutine of its own: a folder that hangs holds up no judgement.
type textfile struct {
	path string
	text chan []byte // the newest
	last time.Time   // when one was made; the loop's
}

// newTextfile returns the file of that name; nil without one.
func newTextfile(path string) *textfile {
	if path == "" {
		return nil
	}
	return &textfile{path: path, text: make(chan []byte, 1)}
}

// tellMetrics hands the agent's figures over when they are due.
func (a *Agent) tellMetrics() {
	if f := a.textfile; f != nil && due(a.now.wall, &f.last, metricsEvery) {
		select {
		case f.text <- a.metrics():
		default: // the one before is not written yet: the folder hangs
		}
	}
}

// A metric is one line for Prometheus, and what it says.
type metric struct {
	name, help   string
	value        float64
	label, named string
}

// metrics are the agent's figures in the text format 0.0.4 of Prometheus. There are as
// many lines as sensors and brokers, and 12 more.
func (a *Agent) metrics() (out []byte) {
	s := a.deps.Outbox.Stats()
	lines := []metric{
		{"build_info", "Version; always 1.", 1, "version", a.deps.Version},
		{name: "written_timestamp_seconds", help: "When this was written.", value: float64(a.now.wallMs()) / 1000},
		{name: "gate_open", help: "1 if the gate is open.", value: one(a.judge.State() == model.StateOpen)},
		{name: "contactor_closed", help: "1 while the contactor is told closed.", value: one(a.power.sw.Trade() != "")},
		{name: "clock_synced", help: "1 if the wall clock is right.", value: one(a.now.synced)},
		{name: "outbox_records", help: "Records without an outcome.", value: float64(s.Records)},
		{name: "outbox_oldest_seconds", help: "Age of the oldest; 0 without.", value: a.oldestS(s.OldestMs)},
		{name: "outbox_dropped_total", help: "Records without room.", value: float64(s.Dropped)},
		{name: "records_final_total", help: "Records that took effect.", value: float64(a.counters.final)},
		{name: "records_refused_total", help: "Records refused.", value: float64(a.counters.refused)},
		{name: "commit_failures_total", help: "Writes that the disk refused.", value: float64(a.counters.commitFailures)},
	}
	for i, p := range a.deps.Pipes {
		lines = append(lines, metric{"broker_up", "1 while connected, by place in the configuration.", one(p.Connected()), "broker", strconv.Itoa(i + 1)})
	}
	for _, s := range a.senses.status {
		lines = append(lines, metric{"sensor_up", "1 if its newest reading went well.", one(s.OK), "sensor", s.Name})
	}
	if a.deps.CertificateEnds != nil {
		lines = append(lines, metric{name: "cert_expiry_seconds", help: "Time until the TLS certificate ends.", value: a.deps.CertificateEnds().Sub(a.now.wall).Seconds()})
	}
	last := ""
	for i := range lines {
		m := &lines[i]
		if m.name != last {
			last = m.name
			kind := "gauge"
			if strings.HasSuffix(last, "_total") {
				kind = "counter"
			}
			out = fmt.Appendf(out, "# HELP fairwatt_agent_%s %s\n# TYPE fairwatt_agent_%[1]s %[3]s\n", last, m.help, kind)
		}
		label := ""
		if m.label != "" {
			label = fmt.Sprintf(",%s=%q", m.label, m.named)
		}
		out = fmt.Appendf(out, "fairwatt_agent_%s{device=%q%s} %v\n", last, a.cfg.Device, label, m.value)
	}
	return out
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// oldestS is the age of what was made at a time, in seconds; 0 for never.
func (a *Agent) oldestS(madeMs int64) float64 {
	if madeMs == 0 {
		return 0
	}
	return float64(max(0, a.now.wallMs()-madeMs)) / 1000
}

// writeMetrics writes what the loop hands over until the context ends, and takes the
// file away then: nobody may take an agent that has stopped for one that runs.
func (a *Agent) writeMetrics(ctx context.Context) {
	f := a.textfile
	defer os.Remove(f.path) // it may not be there
	told := fmt.Sprint(nil)
	for {
		var text []byte
		select {
		case <-ctx.Done():
			return
		case text = <-f.text:
		}
		// The collector reads names that end in .prom, and whole files only.
		err := os.WriteFile(f.path+".new", text, 0o644)
		if err == nil {
			err = os.Rename(f.path+".new", f.path)
		}
		if why := fmt.Sprint(err); why != told {
			if told = why; err != nil {
				a.log.Warn("write metrics_file", "err", err)
			}
		}
	}
}

// unansweredAfterS is how long a record waits for its outcome until the log says so, and
// unansweredAgain how often it says it again.
const (
	unansweredAfterS = 60
	unansweredAgain  = 10 * time.Minute
)

// tellUnanswered logs that nobody answers records, and once that they are answered.
func (a *Agent) tellUnanswered() {
	s := a.deps.Outbox.Stats()
	age := a.oldestS(s.OldestMs)
	switch {
	case age < unansweredAfterS && !a.silentSince.IsZero():
		a.silentSince = time.Time{}
		a.log.Info("records are answered again", "waiting", s.Records)
	case age >= unansweredAfterS && due(a.now.wall, &a.silentSince, unansweredAgain):
		a.log.Warn("nobody answers records: is a broker connected, and the device registered with its site?", "count", s.Records, "oldest_s", int(age))
	}
}
