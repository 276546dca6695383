package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExampleConfigurations(t *testing.T) {
	files, err := filepath.Glob("../configs/agent/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, path := range files {
		cfg, err := LoadConfig(path)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if cfg.Tick != time.Second || cfg.Outbox.MaxRecords == 0 {
			t.Errorf("%s: defaults are missing: %+v", path, cfg)
		}
		hash, err := cfg.Hash()
		if err != nil || len(hash) != 64 {
			t.Errorf("%s: hash %q, %v", path, hash, err)
		}
		if !filepath.IsAbs(cfg.Data) && !strings.HasPrefix(cfg.Data, "../configs/agent") {
			t.Errorf("%s: data %q is not relative to the file", path, cfg.Data)
		}
	}
}

func TestValidateNamesTheField(t *testing.T) {
	onI2C := `{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}, {kind: bme280}], `
	base := `{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}], `
	sells := `sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99}`
	for _, c := range []struct{ yaml, field string }{
		{`{site: A, device: b}`, "site"},
		{`{site: a, device: b+}`, "device"},
		{base + `data: ""}`, "data"},
		{base + `tick: 1ms}`, "tick"},
		{base + `telemetry: 10ms}`, "telemetry"},
		{base + `network: mine}`, "network"},
		{base + `mqtt: ["http://x"]}`, "mqtt[0]"},
		{base + `mqtt: ["tcp://u:p@x:1"]}`, "mqtt[0]"},
		{base + `mqtt: ["tls://x:1"]}`, "tls.ca"},
		{base + `mqtt: ["tcp://x:1,tls://y:1"]}`, "tls.ca"},
		{base + `mqtt: ["tcp://x:1,y:1"]}`, "mqtt[0]"},
		{base + `mqtt: ["tcp://x:1,"]}`, "mqtt[0]"},
		{base + `tls: {cert: c}}`, "tls"},
		{base + `mqtt_auth: {username: u}}`, "mqtt_auth"},
		{base + `bus: "i2c-1"}`, "bus"},
		{base + `bus: "sim://x"}`, "simulated"},
		{`{site: a, device: b}`, "sensors"},
		{`{site: a, device: b, sensors: [{kind: s1}]}`, "sensors[0]"},
		{base + `judge: {interval_s: -1}}`, "judge"},
		{base + `location: {latitude: 91}}`, "location"},
		{base + `location: {latitude: 90.1}}`, "location"},
		{base + `location: {latitude: 1}, judge: {position: {latitude: 2}}}`, "judge.position"},
		{base + `warnings: {}}`, "warnings"},
		{base + `warnings: {topic: "a/#/b"}}`, "warnings.topic"},
		{base + `warnings: {topic: "a+/b"}}`, "warnings.topic"},
		{base + `location: {latitude: 1, longitude: 2}, warnings: {file: f, stale_after: 1s}}`, "warnings.stale_after"},
		{base + `warnings: {file: f, statuses: [Real]}}`, "warnings"},
		{base + `simulated: true, cap_alerts: {status: Actual}}`, "cap_alerts.status"},
		{base + `cap_alerts: {status: Real}}`, "cap_alerts"},
		{base + `cap_alerts: {sender: "a b"}}`, "cap_alerts"},
		{base + `cap_alerts: {radius_km: -1}}`, "cap_alerts.radius_km"},
		{base + `cap_alerts: {valid_for: 1s}}`, "cap_alerts.valid_for"},
		{base + `watchdog: {timeout: 15s}}`, "watchdog.device"},
		{base + `watchdog: {device: /dev/watchdog, timeout: 5s}}`, "watchdog.timeout"},
		{base + `watchdog: {device: /dev/watchdog}, tick: 1m, telemetry: 1m}`, "watchdog.timeout"},
		{base + `outbox: {max_records: 1}}`, "outbox"},
		{base + `sell: {meter: x}}`, "sell.meter"},
		{base + `sell: {meter: m}}`, "sell.price_micro_per_kwh"},
		{base + `sell: {meter: m, price_micro_per_kwh: 1}}`, "sell.max_wh"},
		{base + `sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99, delivery_h: 25}}`, "sell.delivery_h"},
		{base + `sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99, care: 9}}`, "sell.care"},
		{base + `sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99, care: -1}}`, "sell.care"},
		{base + sells + `}`, "contactor"},
		{base + `contactor: {pin: K}}`, "contactor"},
		{base + `power_cycle: {pin: V}}`, "power_cycle"},
		{onI2C + `power_cycle: {}}`, "power_cycle.pin"},
		{onI2C + `power_cycle: {pin: V, active: up}}`, "power_cycle.active"},
		{onI2C + `power_cycle: {pin: V, off: 20s}}`, "power_cycle.off"},
		{onI2C + `power_cycle: {pin: V, off: 20ms}}`, "power_cycle.off"},
		{onI2C + `power_cycle: {pin: V, after: 2}}`, "power_cycle.after"},
		{onI2C + `power_cycle: {pin: V, every: 30s}}`, "power_cycle.every"},
		{onI2C + `power_cycle: {pin: P}}`, "power_cycle.pin"},
		{onI2C + sells + `, contactor: {pin: V}, power_cycle: {pin: V}}`, "power_cycle.pin"},
		{onI2C + sells + `, contactor: {pin: K, feedback: V}, power_cycle: {pin: V}}`, "power_cycle.pin"},
		{base + sells + `, contactor: {}}`, "contactor.pin"},
		{base + sells + `, contactor: {pin: K, active: on}}`, "contactor.active"},
		{base + sells + `, contactor: {pin: K, feedback: K}}`, "contactor.feedback"},
		{base + sells + `, contactor: {pin: K, feedback: F, feedback_active: up}}`, "contactor.feedback_active"},
		{base + sells + `, contactor: {pin: P}}`, "contactor"},
		{base + sells + `, contactor: {pin: K, feedback: P}}`, "contactor"},
		{base + sells + `, contactor: {endpoint: relay, coil: 1, unit: 248}}`, "contactor.unit"},
		{`{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}, {kind: pzem, port: tty}], ` + sells + `, contactor: {port: tty, coil: 1}}`, "contactor.port"},
		{`{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}, {kind: as3935, irq_pin: I}], ` + sells + `, contactor: {pin: I}}`, "contactor"},
		{`{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}, {kind: ads1115, ready_pin: R, inputs: [{channel: voltage_v, input: "0", scale: 1}]}], ` + sells + `, contactor: {pin: R}}`, "contactor"},
		{base + `buy: {}}`, "buy.circuits"},
		{base + `buy: {circuits: [{name: k, meter: x}]}}`, "buy.circuits[0].meter"},
		{base + `buy: {circuits: [{name: k, meter: m}]}}`, "buy.circuits[0].volume_wh"},
		{base + `buy: {circuits: [{name: k, meter: m, volume_wh: 1}]}}`, "buy.circuits[0].max_price_micro_per_kwh"},
	} {
		_, err := ParseConfig(strings.NewReader(c.yaml))
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Field != c.field || wrong.Fix == "" {
			t.Errorf("%s: %v, want the field %s", c.yaml, err, c.field)
		}
	}
}

// A seller says what switches its power, and nothing is an answer only when it
// is written.
func TestSellerNamesItsContactor(t *testing.T) {
	base := `{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}], sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99}, contactor: `
	hashes := map[string]bool{}
	for yaml, want := range map[string]string{
		`none`:                  "none",
		`{pin: K}`:              "K, no feedback",
		`{pin: K, active: low}`: "K, no feedback",
		`{pin: K, feedback: F, feedback_active: low}`: "K, feedback F",
	} {
		cfg, err := ParseConfig(strings.NewReader(base + yaml + `}`))
		if err != nil || cfg.Contactor.String() != want {
			t.Errorf("%s: %v, %v", yaml, cfg, err)
			continue
		}
		hash, err := cfg.Hash()
		if err != nil || hashes[hash] {
			t.Errorf("%s: hash %s, %v", yaml, hash, err)
		}
		hashes[hash] = true
	}
	_, err := ParseConfig(strings.NewReader(base + `{pin: K, relay: 1}}`))
	if err == nil || !strings.Contains(err.Error(), "relay") {
		t.Errorf("a key that no one knows: %v", err)
	}
}

func TestLocationAndDefaultsOfOptionalSections(t *testing.T) {
	cfg, err := ParseConfig(strings.NewReader(`{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}], location: {latitude: 20, longitude: 110},
		warnings: {file: w.xml}, cap_alerts: {}, watchdog: {device: /dev/watchdog}}`))
	if err != nil {
		t.Fatal(err)
	}
	if p := cfg.Judge.Position; p == nil || p.Latitude != 20 || p.Longitude != 110 {
		t.Errorf("the judge's position is %v", p)
	}
	if cfg.Warnings.StaleAfter != 15*time.Minute || cfg.CAPAlerts.Status != "Test" || cfg.CAPAlerts.Sender != "fairwatt:a:b" || cfg.Watchdog.Timeout != 15*time.Second {
		t.Errorf("defaults: %+v, %+v, %+v", cfg.Warnings, cfg.CAPAlerts, cfg.Watchdog)
	}
}

func TestParseConfigNamesUnknownKeyAndLine(t *testing.T) {
	_, err := ParseConfig(strings.NewReader("site: a\ndevice: b\nsensors:\n  - kind: bme280\n    adress: 0x76\n"))
	if err == nil || !strings.Contains(err.Error(), `"adress"`) || !strings.Contains(err.Error(), "[5:") {
		t.Errorf("err %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	files, err := filepath.Glob("../configs/agent/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := ParseConfig(strings.NewReader(text))
		if err == nil && cfg.Validate() != nil {
			t.Fatal("ParseConfig returned a configuration that is not valid")
		}
	})
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	public, err := Enroll(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeyFile)
	key, err := LoadKey(path)
	if err != nil || !public.Equal(key.Public()) {
		t.Fatalf("LoadKey: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "lets others read it") {
		t.Errorf("a key others may read: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("junk"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "not a PEM block") {
		t.Errorf("junk: %v", err)
	}
}

func TestParseChainRefuses(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{`, "unexpected end"},
		{`{"version":2}`, "version: 2"},
		{`{"version":1}`, "aggregators: none"},
		{`{"version":1,"aggregators":[{"id":"da-1","public_key":"x"}]}`, "aggregators: da-1: public_key"},
	} {
		if _, err := ParseChain([]byte(c.json)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.json, err)
		}
	}
}

// The keys of a sensor's kind are checked as all other keys are.
func TestParseConfigChecksValuesOfSensors(t *testing.T) {
	for text, want := range map[string]string{
		"kind: ina219\n    shunt_ohm: 0,1":                                      "[5:16] sensors[0].shunt_ohm: \"0,1\" is no number; write one with a decimal point, not a comma",
		"kind: ina219\n    shunt_ohm:":                                          "sensors[0].shunt_ohm: has no value; give one, or take the key out",
		"kind: anemometer\n    pin: P\n    window: 20":                          "sensors[0].window: \"20\" is no time",
		"shunt_ohm: x\n    kind: ina219":                                        "[4:16] sensors[0].shunt_ohm: \"x\" is no number",
		"kind: ads1115\n    inputs: [{channel: voltage_v, input: 0, scale: x}]": "sensors[0].inputs[0].scale: \"x\" is no number",
		"kind: bme280\n    shunt_ohm: 1":                                        "[5:5] unknown field \"shunt_ohm\" for kind bme280",
	} {
		_, err := ParseConfig(strings.NewReader("site: a\ndevice: b\nsensors:\n  - " + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	cfg, err := ParseConfig(strings.NewReader("site: a\ndevice: b\nsensors:\n  - kind: s0\n    pin: 010\n"))
	if err != nil || cfg.Sensors[0].Describe().Address != "010" {
		t.Errorf("a pin's own text: %+v, %v", cfg, err)
	}
}

// A seller is as careful as six of its last eight slots ask for, or as its owner says.
func TestConfigCare(t *testing.T) {
	for care, want := range map[string]int{"": 6, ", care: 0": 6, ", care: 1": 1, ", care: 8": 8} {
		c, err := ParseConfig(strings.NewReader(`{site: a, device: b, sensors: [{kind: s0, name: m, pin: P}], contactor: none, sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99` + care + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		if c.Sell.Care != want {
			t.Errorf("%q: care %d, want %d", care, c.Sell.Care, want)
		}
	}
}
