package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `name: trial
x-one: &one
  user: ${WHO:-1000:1000}
  network_mode: service:broker
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  restart: unless-stopped
services:
  a-house: {<<: *one, image: agent, depends_on: [meter], command: [run, --key, "${KEY}"], volumes: ["data:/data:ro"]}
  meter: {<<: *one, image: agent, depends_on: [broker], command: [read, /data/m.conf], volumes: ["data:/data"], healthcheck: {test: [CMD, /agent, status]}}
  broker:
    <<: *one
    image: mosquitto
    network_mode: ""
    command: [mosquitto]
    ports: ["127.0.0.1:8080:8080"]
`

// read runs it over a compose file in a folder with data/m.conf.
func read(t *testing.T, text, env string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"c.yaml": text, ".env": env, "data/m.conf": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := run(&out, filepath.Join(dir, ".env"), filepath.Join(dir, "c.yaml"))
	return strings.ReplaceAll(out.String(), dir, "DIR"), err
}

func TestServicesInOrderWithTheirArguments(t *testing.T) {
	out, err := read(t, good, "KEY=it's\n")
	if err != nil {
		t.Fatal(err)
	}
	const all = "'--user' '1000:1000' '--read-only' '--restart' 'unless-stopped' '--cap-drop' 'ALL' '--security-opt' 'no-new-privileges' "
	want := "broker\tmosquitto\t'--name' 'broker' " + all + "'mosquitto' 'mosquitto'\n" +
		"meter\tagent\t'--name' 'meter' " + all + "'--volume' 'DIR/data:/data' '--health-cmd' '[\"/agent\",\"status\"]' 'agent' 'read' '/data/m.conf'\n" +
		"a-house\tagent\t'--name' 'a-house' " + all + `'--volume' 'DIR/data:/data:ro' 'agent' 'run' '--key' 'it'\''s'` + "\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ old, now, why string }{
		{"name: trial", "nam: trial", `"nam" is not known`},
		{"restart: unless-stopped", "restart: no\n  privileged: true", `"privileged"`},
		{"${WHO:-1000:1000}", "0:0", "root"},
		{"${WHO:-1000:1000}", "root", "root"},
		{"  user: ${WHO:-1000:1000}\n", "", "root"},
		{"read_only: true", "read_only: false", "read_only"},
		{"cap_drop: [ALL]", "cap_drop: [NET_RAW]", "cap_drop"},
		{`["no-new-privileges:true"]`, "[]", "no-new-privileges"},
		{"network_mode: service:broker", "network_mode: host", "network_mode"},
		{`network_mode: ""`, "network_mode: service:broker", "network_mode"},
		{"127.0.0.1:8080:8080", "8080:8080", "loopback"},
		{"depends_on: [broker]", "depends_on: [a-house]", "depends on itself"},
		{"depends_on: [broker]", "depends_on: [brocker]", `"brocker" is not there`},
		{"/data/m.conf", "/data/n.conf", "n.conf"},
		{`"data:/data"`, `"date:/data"`, "date"},
		{`"data:/data:ro"`, `"data:/data:z"`, `mode "z"`},
		{"${KEY}", "${KEI}", "KEI is not set"},
		{"[CMD, /agent, status]", "[CMD-SHELL, agent status]", "healthcheck"},
		{"image: mosquitto", "build: {context: none, dockerfile: F, target: x}\n    image: mosquitto", "none"},
		{"image: mosquitto", "tag: mosquitto", `"tag"`},
	} {
		text := strings.Replace(good, c.old, c.now, 1)
		if text == good {
			t.Fatalf("%q does not stand in the file", c.old)
		}
		if _, err := read(t, text, "KEY=k\n"); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q for %q: error %v, want one with %q", c.now, c.old, err, c.why)
		}
	}
	if _, err := read(t, good, "KEY\n"); err == nil {
		t.Error("a line of variables without = is taken")
	}
}
