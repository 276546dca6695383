package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairwatt/agent/socket"
	"fairwatt/proto/wire"
)

// agentSays runs a command of the agent in this process.
func agentSays(t *testing.T, code int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := run(t.Context(), args, strings.NewReader(""), &o, &e); got != code {
		t.Errorf("agent %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, &o, &e)
	}
	return o.String(), e.String()
}

// People speak to a running agent, over its socket and over a broker, in front of
// it and after it was killed.
func TestWordsToARunningAgent(t *testing.T) {
	for name, b := range map[string]testBroker{"embedded": &embedded{}, "mosquitto": &mosquitto{path: mosquittoPath()}} {
		t.Run(name, func(t *testing.T) {
			if m, ok := b.(*mosquitto); ok && m.path == "" {
				t.Skip("mosquitto is not installed")
			}
			testWords(t, b)
		})
	}
}

func testWords(t *testing.T, b testBroker) {
	addr := freeAddr(t)
	b.start(t, addr)
	defer b.stop(t)
	p := startPlant(t)
	dir := siteDir(t, addr, p.addr)
	config, ada, eve := filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "ada.key"), filepath.Join(dir, "eve.key")
	owners, _ := agentSays(t, 0, "owner-key", "--name", "ada", "--out", ada)
	agentSays(t, 0, "owner-key", "--name", "ada", "--out", eve) // of the same name, and not the same key
	agentSays(t, 1, "owner-key", "--name", "ada", "--out", ada)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(append(text, owners...), "clock: trusted\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	w := watch(t, addr)
	defer w.pipe.Close()
	here := func(code int, args ...string) (string, string) {
		t.Helper()
		return agentSays(t, code, append(args, "--config", config)...)
	}
	afar := func(code int, key string, args ...string) (string, string) {
		t.Helper()
		return agentSays(t, code, append(args, "--mqtt", "tcp://"+addr, "--device", "farm-1/pv-1", "--owner-key", key)...)
	}
	gate := func(state string) func() bool {
		return func() bool { return strings.Contains(w.last("gate"), `"state":"`+state+`"`) }
	}
	if _, said := here(1, "status"); !strings.Contains(said, "no agent runs on") {
		t.Errorf("before the start: %s", said)
	}
	cmd, _ := startAgent(t, dir)
	eventually(t, "gate OPEN", gate("OPEN"))
	eventually(t, "status OPEN", func() bool { // as of the end of the tick
		said, _ := here(0, "status")
		return strings.HasPrefix(said, "the gate is OPEN\n")
	})
	if info, err := os.Stat(filepath.Join(dir, "data", socket.File)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if said, _ := here(0, "block", "--by", "Ada Lovelace", "--until", "1h", "--why", "the roof"); !strings.HasPrefix(said, "closed by Ada Lovelace; the gate is BLOCKED\nB01: closed by Ada Lovelace until ") {
		t.Errorf("block: %s", said)
	}
	eventually(t, "gate BLOCKED", gate("BLOCKED"))
	if _, said := here(1, "block", "--by", "Bob", "--until", "30m", "--why", "x"); !strings.Contains(said, "agent: refused (shorter): ") {
		t.Errorf("a shorter block: %s", said)
	}
	said, line := here(1, "ack", "--rule", "E12", "--by", "Bob", "--json")
	var r wire.Result
	if err := json.Unmarshal([]byte(said), &r); err != nil || r.Code != "not_latched" || r.State != "BLOCKED" || strings.Count(line, "\n") != 1 {
		t.Errorf("as JSON: %s, %s", said, line)
	}
	if _, said := afar(1, eve, "unblock"); !strings.Contains(said, "refused (bad_signature)") {
		t.Errorf("with another key: %s", said)
	}

	// Killed, it leaves its socket behind; the next one has the block and the place.
	kill(t, cmd)
	if _, said := here(1, "status"); !strings.Contains(said, "no agent runs on") {
		t.Errorf("after a kill: %s", said)
	}
	second, _ := startAgent(t, dir)
	eventually(t, "the socket answers again", func() bool {
		var out, errOut bytes.Buffer // whether or not someone answers
		run(t.Context(), []string{"status", "--config", config}, strings.NewReader(""), &out, &errOut)
		return strings.Contains(out.String(), "B01: closed by Ada Lovelace until ")
	})
	if said, _ := afar(0, ada, "unblock", "--why", "it is done"); !strings.HasPrefix(said, "block taken back by ada; the gate is ") {
		t.Errorf("unblock: %s", said)
	}
	eventually(t, "gate OPEN again", gate("OPEN"))
	if err := second.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("clean stop: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "data", socket.File)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a clean stop the socket is there: %v", err)
	}
}

// Two days at a sample a second with three minutes of 620 V on a string of 600 V:
// blocked, acknowledged by a name, open again after its clear time.
func TestTwoDaysWithAWord(t *testing.T) {
	dir := t.TempDir()
	const samples, from, to = 172_741, 3600, 3780
	trace := filepath.Join(dir, "dc.csv")
	f, err := os.Create(trace)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	fmt.Fprintf(out, "# fairwatt-trace: 1\n# interval_s: 1\n# simulated: true\ntime,dc_voltage_v\n")
	for i := range samples {
		v := 400 + float64(i%7)/10
		if i >= from && i < to {
			v = 620
		}
		fmt.Fprintf(out, "%d,%g\n", i, v)
	}
	config, words := filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "words.jsonl")
	if err := errors.Join(out.Flush(), f.Close(),
		os.WriteFile(config, []byte("site: farm-1\ndevice: pv-1\nnetwork: none\nsensors: [{kind: ina219}]\njudge:\n  required: [dc_voltage_v]\n  earth: {max_dc_voltage_v: 600}\n"), 0o600),
		os.WriteFile(words, []byte(`{"t":3700,"ack":"E12","by":"Eve"}`+"\n"+`{"t":90000,"ack":"E12","by":"Ada","why":"string 2 was wired wrong"}`+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	lines, _ := agentSays(t, 0, "replay", "--trace", trace, "--config", config, "--word", words)
	type event struct {
		T, Type, State, By, Code, Rule string
		SpanS                          float64 `json:"span_s"`
		BlockedS                       float64 `json:"blocked_s"`
	}
	var got []string
	var last event
	for line := range strings.Lines(lines) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != "alert" && e.Type != "summary" {
			got = append(got, strings.TrimSpace(strings.Join([]string{strings.TrimSuffix(e.T, ".000Z"), e.Type, e.State + e.Code, e.Rule, e.By}, " ")))
		}
		last = e
	}
	want := []string{
		"1970-01-01T00:00:00 gate BLOCKED", "1970-01-01T00:00:00 gate CLEARING", "1970-01-01T00:05:00 gate OPEN",
		"1970-01-01T01:00:00 gate BLOCKED",
		"1970-01-01T01:01:40 refused still_active E12 Eve",
		"1970-01-02T01:00:00 ack  E12 Ada", "1970-01-02T01:00:00 gate CLEARING", "1970-01-02T01:00:00 gate OPEN",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if last.Type != "summary" || last.SpanS != 172_740 || last.BlockedS != 300+86_400 {
		t.Errorf("summary %+v", last)
	}
	// Without a word it stays closed to the end.
	lines, _ = agentSays(t, 0, "replay", "--trace", trace, "--config", config)
	if !strings.Contains(lines, fmt.Sprintf(`"blocked_s":%d`, 300+172_740-3600)) {
		t.Error("without a word it opened")
	}
}

// A status says what rules have cost, with what is known of it.
func TestStatusSaysTheCost(t *testing.T) {
	kwh, money := 4.5, 0.54
	r := wire.Result{Text: "the gate is OPEN", Cost: []wire.Cost{
		{Rule: "W03", Title: "Gusts are strong", ClosedS: 7200, AloneS: 3600, KWh: &kwh, Money: &money},
		{Rule: "INIT", Title: "The agent has just started", ClosedS: 360},
	}}
	for _, since := range []wire.Time{{}, {Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)}} {
		want := "the gate is OPEN\nrules have kept it closed for:\n"
		if r.CostSince = since; !since.IsZero() {
			want = "the gate is OPEN\nsince 2026-05-01 12:00 rules have kept it closed for:\n"
		}
		want += "  Gusts are strong (W03) 2.0 h, 1.0 h of them alone; 4.5 kWh not sold, worth 0.54\n  The agent has just started (INIT) 0.1 h, 0.0 h of them alone\n"
		if got := resultText(&r); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
