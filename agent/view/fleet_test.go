package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairwatt/proto/wire"
)

// The CAP form of an alert is for other programs; a watcher has the alert.
func TestFleetPassesOverCAP(t *testing.T) {
	f := NewFleet()
	if line, err := f.Take("fairwatt/v1/farm-1/pv-1/alert/cap", []byte("<?xml version=\"1.0\"?><alert/>"), false, time.Unix(0, 0)); err != nil || line != "" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := f.Take("fairwatt/v1/farm-1/pv-1/alert", []byte("<alert/>"), false, time.Unix(0, 0)); err == nil {
		t.Error("XML passes for an alert's view")
	}
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func take(t *testing.T, f *Fleet, class, payload string, retained bool, now time.Time) string {
	t.Helper()
	line, err := f.Take("fairwatt/v1/farm-1/pv-1/"+class, []byte(payload), retained, now)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func openGate(at time.Time, seq int) string {
	return fmt.Sprintf(`{"schema":"gate/1","seq":%d,"ts":%q,"state":"OPEN","since":%q,"valid_until":%q}`,
		seq, at.Format(time.RFC3339), at.Format(time.RFC3339), at.Add(wire.GateValid).Format(time.RFC3339))
}

// A watcher shows a gate as open only while it hears the agent through a broker
// that is there.
func TestFleetNeverShowsAGoneAgentOpen(t *testing.T) {
	f := NewFleet()
	shown := func(now time.Time, want string) {
		t.Helper()
		if got := f.Shown(f.Devices()[0], now); got.State != want || (got.Why == "") != (want == wire.GateOpen) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	take(t, f, "gate", openGate(noon, 1), false, noon)
	shown(noon, wire.GateUnknown)
	take(t, f, "status", "online", true, noon)
	shown(noon, wire.GateOpen)
	if line := f.Lose("no connection to the broker", noon.Add(time.Second)); !strings.Contains(line, "every gate counts as closed") {
		t.Errorf("lost: %q", line)
	}
	shown(noon.Add(time.Second), wire.GateUnknown)
	if again := f.Lose("still none", noon.Add(2*time.Second)); again != "" {
		t.Errorf("it is no news any more: %q", again)
	}
	if _, at := f.Lost(); !at.Equal(noon.Add(time.Second)) {
		t.Errorf("lost since %v", at)
	}
	f.Regain(noon.Add(10 * time.Second))
	take(t, f, "gate", openGate(noon, 1), true, noon.Add(10*time.Second)) // from the broker's memory
	shown(noon.Add(10*time.Second), wire.GateOpen)
	shown(noon.Add(wire.GateValid+time.Second), wire.GateExpired)
	take(t, f, "gate", openGate(noon.Add(100*time.Second), 2), false, noon.Add(100*time.Second))
	shown(noon.Add(100*time.Second), wire.GateOpen)
	take(t, f, "status", "offline", false, noon.Add(101*time.Second))
	shown(noon.Add(101*time.Second), wire.GateOffline)
}

// A data aggregator has a status too, and is no agent.
func TestFleetShowsAgentsOnly(t *testing.T) {
	f := NewFleet()
	if _, err := f.Take("fairwatt/v1/da/da-1/status", []byte("online"), true, noon); err != nil || len(f.Devices()) != 0 {
		t.Errorf("%v, %d devices", err, len(f.Devices()))
	}
	take(t, f, "info", `{"schema":"info/1","contactor":"GPIO22\u001b[2J"}`, true, noon)
	if d := f.Devices(); len(d) != 1 || d[0].Contactor != "GPIO22[2J" {
		t.Errorf("%+v", d)
	}
}
