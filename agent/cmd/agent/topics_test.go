package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fairwatt/agent"
	"fairwatt/proto/mqtt"
)

// onePassword lets one user in.
type onePassword struct{ mochi.HookBase }

func (*onePassword) ID() string { return "one-password" }
func (*onePassword) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*onePassword) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) == "fairwatt" && string(pk.Connect.Password) == "secret"
}
func (*onePassword) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// `agent check` hears a device from a broker of its own, with a login of its own: what
// is published is read, and with a wrong password nothing is.
func TestCheckHearsADevice(t *testing.T) {
	addr := freeAddr(t)
	b := &embedded{hook: new(onePassword)}
	b.start(t, addr)
	defer b.stop(t)
	shelly, err := mqtt.New(mqtt.Config{URL: "tcp://" + addr, ClientID: "shelly", Username: "fairwatt", Password: "secret", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := shelly.Open(); err != nil {
		t.Fatal(err)
	}
	defer shelly.Close()
	stop, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-tick.C:
				_ = shelly.Publish(t.Context(), "shelly/status/em:0", 0, false, []byte(`{"a_voltage":231.5}`)) // until it is connected
			case <-stop:
				tick.Stop()
				return
			}
		}
	}()
	defer func() { close(stop); <-told }()
	dir := t.TempDir()
	for password, want := range map[string]bool{"secret\n": true, "guess": false} {
		if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "agent.yaml")
		text := "site: a\ndevice: b\nsensor_broker: {url: 'tcp://" + addr + "', username: fairwatt, password_file: pw}\nsensors:\n" +
			"- {kind: mqtt, name: shelly, topic: 'shelly/status/em:0', sole_witness: true, values: [{channel: voltage_v, pointer: /a_voltage}]}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := agent.LoadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := check(t.Context(), cfg)
		if err != nil || len(lines) != 1 {
			t.Fatalf("%v, %v", lines, err)
		}
		l := lines[0]
		if l.OK != want || want && *l.Value != 231.5 || !want && !strings.Contains(l.Why, "no message yet") || l.Address != "shelly/status/em:0" {
			t.Errorf("password %q: %+v", password, l)
		}
	}
}
