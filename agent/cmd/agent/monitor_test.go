package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fairwatt/agent/view"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// gateJSON is an agent's gate view at a time.
func gateJSON(state string, seq int, now time.Time) []byte {
	return fmt.Appendf(nil, `{"schema":"gate/1","seq":%d,"ts":%q,"state":%q,"since":%q,"valid_until":%q,"opens_at":%q,
 "causes":[{"rule":"W03","title":"Gusts are strong","says":"gust 31 m/s, limit 25.7 m/s","ends":"30 min after it is over"}]}`,
		seq, now.Format(time.RFC3339), state, now.Format(time.RFC3339), now.Add(wire.GateValid).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
}

// The monitor waits for a broker and says so; it says when it hears nothing, and
// when it has lost the broker.
func TestMonitorSaysWhatItWaitsFor(t *testing.T) {
	addr := freeAddr(t) // nobody answers there now
	var out logBuffer
	var why lastWarning
	m := &monitor{url: "tcp://" + addr, out: &out, why: &why, fleet: view.NewFleet()}
	pipe, err := watchPipe(m.url, "", "", "", slog.New(&why))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx, pipe) }()
	says := func(text string) {
		t.Helper()
		eventually(t, text, func() bool { return strings.Contains(out.String(), text) })
	}
	says("waiting for a broker at tcp://" + addr)
	broker := &embedded{}
	broker.start(t, addr)
	says("the broker is there")
	says("connected, waiting for a message")

	agent, err := mqtt.New(mqtt.Config{URL: m.url, ClientID: "pv-1", Presence: "fairwatt/v1/farm-1/pv-1/status"})
	if err != nil {
		t.Fatal(err)
	}
	if err := awaitBroker(t.Context(), agent, m.url); err != nil {
		t.Fatal(err)
	}
	if err := agent.Publish(t.Context(), "fairwatt/v1/farm-1/pv-1/gate", 1, true, gateJSON("BLOCKED", 1, time.Now())); err != nil {
		t.Fatal(err)
	}
	says("farm-1/pv-1  gate BLOCKED  Trading is blocked since ")
	says("Gusts are strong (W03): gust 31 m/s, limit 25.7 m/s; ends 30 min after it is over.")
	says("farm-1/pv-1  online")
	broker.stop(t)
	says("no connection to the broker: every gate counts as closed")
	agent.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// With a site the monitor asks for what a certificate of that site may read, and no more:
// NATS refuses a wider filter whole.
func TestMonitorOfASite(t *testing.T) {
	var broker mqtttest.Broker
	pipe := &asked{Pipe: broker.Pipe(mqtt.Will{})}
	var out logBuffer
	m := &monitor{url: "tcp://b", site: "farm-1", out: &out, why: &lastWarning{}, fleet: view.NewFleet()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx, pipe) }()
	agent := broker.Pipe(mqtt.Will{})
	if err := agent.Open(); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"farm-2", "farm-1"} { // in order: what the second brings came after the first
		if err := agent.Publish(ctx, "fairwatt/v1/"+site+"/pv-1/gate", 1, true, gateJSON("BLOCKED", 1, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the gate of farm-1", func() bool { return strings.Contains(out.String(), "farm-1/pv-1  gate BLOCKED") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "farm-2") {
		t.Errorf("another site is shown:\n%s", out.String())
	}
	if len(pipe.filters) != len(wire.DeviceShows) {
		t.Errorf("%q, want one for each of %q", pipe.filters, wire.DeviceShows)
	}
	for _, f := range pipe.filters {
		if !strings.HasPrefix(f, "fairwatt/v1/farm-1/+/") {
			t.Errorf("it asks for %s", f)
		}
	}
}

func TestMonitorOfABadSite(t *testing.T) {
	cmd := monitorCommand()
	cmd.SetArgs([]string{"--mqtt", "tcp://127.0.0.1:1", "--site", "+"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), `--site "+"`) {
		t.Errorf("a site with a wildcard: %v", err)
	}
}

// asked remembers the filters.
type asked struct {
	mqtt.Pipe
	filters []string // written before Open, read after the end
}

func (a *asked) Subscribe(filter string, handle func(mqtt.Message)) {
	a.filters = append(a.filters, filter)
	a.Pipe.Subscribe(filter, handle)
}

// The table shows what counts, and never an old OPEN.
func TestMonitorTable(t *testing.T) {
	now := time.Now()
	fleet := view.NewFleet()
	take := func(class string, payload []byte) {
		t.Helper()
		if _, err := fleet.Take("fairwatt/v1/farm-1/pv-1/"+class, payload, false, now); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(at time.Time, waits string, want ...string) {
		t.Helper()
		table := renderFleet(fleet, at, "tcp://b", waits)
		for _, w := range want {
			if !strings.Contains(table, w) {
				t.Errorf("%q is not in\n%s", w, table)
			}
		}
		if open := strings.Contains(table, green); open != (len(want) > 0 && strings.Contains(want[0], "OPEN")) {
			t.Errorf("green %v in\n%s", open, table)
		}
	}
	shows(now, "waiting for a broker", yellow+"waiting for a broker"+reset)
	take("info", []byte(`{"schema":"info/1","contactor":"GPIO22, no feedback"}`))
	take("status", []byte("online"))
	take("gate", gateJSON("BLOCKED", 1, now))
	shows(now, "", red+"BLOCKED", "GPIO22, no feedback", "at the earliest.", "Gusts are strong (W03): gust 31 m/s, limit 25.7 m/s; ends 30 min after it is over.")
	take("gate", gateJSON("OPEN", 2, now))
	shows(now, "", green+"OPEN", "Trading is open since ")
	shows(now.Add(wire.GateValid+2*time.Second), "", red+"EXPIRED", "it said OPEN")
	fleet.Lose("no connection to the broker", now)
	shows(now, "", red+"UNKNOWN", "no connection to the broker")
}
