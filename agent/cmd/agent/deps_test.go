package main

import (
	"os/exec"
	"strings"
	"testing"
)

// forbidden packages with the reason why the agent must not link them; a
// prefix ends with a slash or is a whole path.
var forbidden = map[string]string{
	"google.golang.org/grpc":          "links between aggregators only; +5.7 MB",
	"github.com/mochi-mqtt/":          "the agent is a client; a broker belongs on another machine",
	"gonum.org/v1/plot":               "figures are drawn elsewhere; +7.1 MB",
	"fairwatt/aggregator/":            "the two sides share only what is in the middle of the house",
	"fairwatt/proto/peerpb":           "the service between aggregators",
	"fairwatt/firmware-sim/":          "simulated boards and grids; the agent's end of a board is sensor/simbus",
	"github.com/hyperledger-labs/":    "agreement is the aggregators' business",
	"github.com/VictoriaMetrics/":     "the agent's figures are in its telemetry",
	"github.com/charmbracelet/":       "agent monitor draws its own table",
	"go.uber.org/zap":                 "the agent logs with log/slog",
	"github.com/transparency-dev/":    "Merkle trees are built by aggregators",
	"testing":                         "no test code in a program",
	"github.com/prometheus/":          "+2.7 MB",
	"filippo.io/age":                  "only the management centre encrypts a register",
	"github.com/rogpeppe/go-internal": "test tool",
	"pgregory.net/rapid":              "test tool",
	"golang.org/x/tools":              "a build tool",
	"gopkg.in/":                       "no second YAML",
}

// linked names every module outside the standard library that the agent may
// link, with what it is there for. A new one is a decision, made here.
var linked = map[string]string{
	"github.com/eclipse/paho.mqtt.golang":     "MQTT client",
	"github.com/gorilla/websocket":            "of paho",
	"golang.org/x/net":                        "of paho (proxies)",
	"github.com/goccy/go-yaml":                "configuration, strict and with line numbers",
	"github.com/spf13/cobra":                  "command line",
	"github.com/spf13/pflag":                  "of cobra",
	"go.etcd.io/bbolt":                        "outbox",
	"golang.org/x/sys":                        "serial ports, watchdog; of bbolt",
	"golang.org/x/sync":                       "errgroup",
	"google.golang.org/protobuf":              "records",
	"github.com/oasisprotocol/curve25519-voi": "one semantics of signatures on both sides",
	"golang.org/x/crypto":                     "of curve25519-voi",
	"periph.io/x/conn":                        "buses",
	"periph.io/x/host":                        "the buses of this machine",
}

// graphs names the modules that come with Gorgonia. A program built with the tag
// lite links none of them.
var graphs = map[string]string{
	"gorgonia.org/gorgonia":                "hazard network",
	"gorgonia.org/tensor":                  "of gorgonia",
	"gorgonia.org/vecf32":                  "of gorgonia",
	"gorgonia.org/vecf64":                  "of gorgonia",
	"gorgonia.org/dawson":                  "of gorgonia",
	"go4.org/unsafe/assume-no-moving-gc":   "of gorgonia",
	"gonum.org/v1/gonum":                   "of gorgonia",
	"github.com/apache/arrow":              "of gorgonia's tensor",
	"github.com/awalterschulze/gographviz": "of gorgonia",
	"github.com/chewxy/hm":                 "of gorgonia",
	"github.com/chewxy/math32":             "of gorgonia",
	"github.com/gogo/protobuf":             "of gorgonia's tensor",
	"github.com/golang/protobuf":           "of gorgonia's tensor",
	"github.com/google/flatbuffers":        "of gorgonia's tensor",
	"github.com/leesper/go_rng":            "of gorgonia",
	"github.com/pkg/errors":                "of gorgonia",
	"github.com/xtgo/set":                  "of gorgonia",
	"golang.org/x/xerrors":                 "of gorgonia's tensor",
}

// own names every package of this project that the agent links, with what it is
// there for.
var own = map[string]string{
	"fairwatt/agent":                 "the loop",
	"fairwatt/agent/cmd/agent":       "the program",
	"fairwatt/agent/contactor":       "when the power may be switched on",
	"fairwatt/agent/contactor/drive": "its pins, or its coil",
	"fairwatt/agent/modbus":          "meters and relay modules",
	"fairwatt/agent/outbox":          "records until their outcome",
	"fairwatt/agent/receipt":         "when an outcome is certain",
	"fairwatt/agent/replay":          "agent replay",
	"fairwatt/agent/sensor":          "drivers",
	"fairwatt/agent/sensor/simbus":   "bus: sim://",
	"fairwatt/agent/trade":           "seller and buyer",
	"fairwatt/configs/meters":        "register maps of meters",
	"fairwatt/agent/socket":          "words on this machine",
	"fairwatt/agent/word":            "people's words",
	"fairwatt/proto/person":          "people's names",
	"fairwatt/agent/view":            "what is shown, and agent monitor",
	"fairwatt/model":                 "the judge",
	"fairwatt/model/cap":             "official warnings, alerts as CAP",
	"fairwatt/model/neighbours":      "what neighbours say of the weather",
	"fairwatt/model/nnet":            "hazard network",
	"fairwatt/model/nnet/skill":      "of nnet",
	"fairwatt/model/trace":           "agent record and replay",
	"fairwatt/model/trace/comtrade":  "replays of fault recordings",
	"fairwatt/model/trace/weather":   "agent import: KNMI, METAR, ISD-Lite, CSV tables",
	"fairwatt/model/waveform":        "waveforms, recorded and live",
	"fairwatt/proto/fairwattpb":      "records; frames of sim://",
	"fairwatt/proto/members":         "who the data aggregators are",
	"fairwatt/proto/mqtt":            "broker connection",
	"fairwatt/proto/nowcast":         "what neighbours say, sealed",
	"fairwatt/proto/seal":            "signatures",
	"fairwatt/proto/wire":            "topics, views, words",
	"fairwatt/proto/boltfile":        "damaged files of the outbox",
	"fairwatt/proto/durable":         "files that a power cut leaves whole",
	"fairwatt/proto/certfile":        "a renewed certificate without a restart",
	"fairwatt/proto/brief":           "quotations in messages",
	"fairwatt/proto/strictyaml":      "configuration",
	"fairwatt/proto/systemd":         "tells the service manager",
}

// builds says what the programs of each set of build tags may link.
var builds = []struct {
	name, tags string
	modules    []map[string]string
}{
	{"agent", "", []map[string]string{linked, graphs}},
	{"agent-lite", "lite", []map[string]string{linked}},
}

func TestLinkedPackages(t *testing.T) {
	for _, b := range builds {
		t.Run(b.name, func(t *testing.T) { checkLinked(t, b.tags, b.modules) })
	}
}

func checkLinked(t *testing.T, tags string, modules []map[string]string) {
	out, err := exec.Command("go", "list", "-tags="+tags, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{else}}std {{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(strings.ReplaceAll(string(out), "std ", "std:"))
	if len(packages) < 100 {
		t.Fatalf("go list names %d packages only", len(packages))
	}
	seen := make(map[string]bool)
	for _, p := range packages {
		path, standard := strings.CutPrefix(p, "std:")
		for prefix, why := range forbidden {
			if path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/") && prefix != "testing" {
				t.Errorf("the agent links %s: %s", path, why)
			}
		}
		if standard {
			continue
		}
		if path == "fairwatt" || strings.HasPrefix(path, "fairwatt/") {
			if own[path] == "" {
				t.Errorf("the agent links %s: add it to the list, with the reason, or do without", path)
			}
			seen[path] = true
			continue
		}
		known := false
		for _, list := range modules {
			for module := range list {
				if path == module || strings.HasPrefix(path, module+"/") {
					known, seen[module] = true, true
				}
			}
		}
		if !known {
			t.Errorf("the agent links %s: add its module to the list, with the reason, or do without", path)
		}
	}
	for _, list := range append(modules[:len(modules):len(modules)], own) {
		for name, why := range list {
			if !seen[name] {
				t.Errorf("%s (%s) is listed and not linked", name, why)
			}
		}
	}
}
