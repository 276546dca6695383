package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// agent check --tune finds the setting at which a detector's antenna is at 500
// kHz, leaves the other sensors alone, and says which detector has none.
func TestCheckTune(t *testing.T) {
	b, err := board.New(board.Config{AS3935: []board.AS3935{{Address: 3, IRQPin: "IRQ", BestCap: 6}, {Address: 2, IRQPin: "CUT"}}})
	if err != nil {
		t.Fatal(err)
	}
	var calm model.Sample
	calm.TimeMs = 60_000
	calm.Set(model.LightningCount, 0)
	b.Feed(&calm)
	if err := b.Inject(board.Fault{Part: "as3935@0x02", Kind: board.StuckStatus}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- board.Serve(ctx, l, b) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	check := func(sensors string, flags ...string) (string, error) {
		path := filepath.Join(t.TempDir(), "agent.yaml")
		text := "site: a\ndevice: b\nsimulated: true\nbus: sim://" + l.Addr().String() + "\nsensors:\n" + sensors
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := rootCommand()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"check", "--config", path, "--tune"}, flags...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	const good = "  - {kind: as3935, name: roof, irq_pin: IRQ}\n"
	const want = "roof: tuning_cap: 6 (antenna at "
	if out, err := check("  - {kind: bme280}\n" + good); err != nil || !strings.HasPrefix(out, want) {
		t.Errorf("%q, %v; want %s", out, err, want)
	}
	out, err := check("  - {kind: as3935, address: 2, irq_pin: CUT}\n" + good)
	if err == nil || !strings.Contains(err.Error(), "as3935 at 0x02: tune: ") || !strings.Contains(out, want) {
		t.Errorf("a cut wire: %q, %v", out, err)
	}
	if _, err := check("  - {kind: as3935}\n"); err == nil || !strings.Contains(err.Error(), "irq_pin") {
		t.Errorf("no pin: %v", err)
	}
	if _, err := check("  - {kind: bme280}\n"); err == nil || !strings.Contains(err.Error(), "no sensor of kind as3935") {
		t.Errorf("no detector: %v", err)
	}
	if _, err := check(good, "--json"); err == nil {
		t.Error("--json and --tune together pass")
	}
}
