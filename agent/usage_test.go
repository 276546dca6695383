package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// What a message costs on the line beside its topic and payload: MQTT's own bytes with
// the acknowledgement, and TLS, TCP and IP around both.
const (
	mqttBytes   = 9 + 4
	aroundBytes = 2 * (29 + 40)
)

// A tap counts what goes over a broker, and keeps the newest payload by class.
type tap struct {
	mu       sync.Mutex
	messages int
	bytes    int64
	newest   map[string][]byte
}

func listen(t *testing.T, broker *mqtttest.Broker) *tap {
	t.Helper()
	all := &tap{newest: make(map[string][]byte)}
	p := broker.Pipe(mqtt.Will{})
	for _, below := range []string{"/+", "/+/+", "/+/+/+"} {
		p.Subscribe(wire.Root+"farm-1/pv-1"+below, func(m mqtt.Message) {
			all.mu.Lock()
			defer all.mu.Unlock()
			all.messages++
			all.bytes += int64(len(m.Topic) + len(m.Payload) + mqttBytes + aroundBytes)
			all.newest[m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]] = m.Payload
		})
	}
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	return all
}

// A seller on a quiet day costs its owner less than 20 MB of data; the manual says how
// much, and this is where the figure is from.
func TestDataUseOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.cfg.Network = DefaultConfig().Network
		s.open()
		defer func() { s.end() }()
		all := listen(t, s.broker)
		synctest.Wait()
		all.mu.Lock()
		all.messages, all.bytes = 0, 0 // what the broker kept came at once
		all.mu.Unlock()
		s.wait(time.Hour)
		all.mu.Lock()
		defer all.mu.Unlock()
		mb := float64(all.bytes) * 24 / 1e6
		for class, payload := range all.newest {
			t.Logf("%s: %d bytes", class, len(payload))
		}
		t.Logf("%d messages and %d bytes in an hour: %.1f MB a day", all.messages, all.bytes, mb)
		if mb > 20 || mb < 1 {
			t.Errorf("%.1f MB a day", mb)
		}
		manual, err := os.ReadFile(filepath.Join("..", "docs", "agent.md"))
		if err != nil {
			t.Fatal(err)
		}
		said := regexp.MustCompile(`about ([0-9.]+) MB a day`).FindSubmatch(manual)
		if said == nil {
			t.Fatal("docs/agent.md does not say what a day costs")
		}
		if figure, err := strconv.ParseFloat(string(said[1]), 64); err != nil || figure < 0.9*mb || figure > 1.1*mb {
			t.Errorf("docs/agent.md says %s MB a day; measured are %.1f", said[1], mb)
		}
		telegrafPaths(t, all.newest)
	})
}

// telegrafPaths sees that what configs/telegraf/fairwatt.conf reads stands in what the
// agent publishes. Telegraf is no package of Debian's: this is a check of topics and
// paths, and no run of Telegraf.
func telegrafPaths(t *testing.T, newest map[string][]byte) {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join("..", "configs", "telegraf", "fairwatt.conf"))
	if err != nil {
		t.Fatal(err)
	}
	topic, found, optional := "", 0, false
	for line := range strings.Lines(string(conf)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case strings.HasPrefix(key, "#"), !ok:
			continue
		case key == "topics":
			m := regexp.MustCompile(`^\["fairwatt/v1/\+/\+/([a-z]+)"\]$`).FindStringSubmatch(value)
			if m == nil {
				t.Fatalf("topics %s", value)
			}
			topic = m[1]
		case key == "optional":
			optional = value == "true"
		case key == "path", key == "timestamp_path":
			found++
			var v any
			if err := json.Unmarshal(newest[topic], &v); err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			for part := range strings.SplitSeq(strings.Split(value, `"`)[1], ".") {
				m, _ := v.(map[string]any)
				v = m[part]
			}
			if v == nil && !optional {
				t.Errorf("%s has no %s: %s", topic, value, newest[topic])
			}
			if _, whole := v.(map[string]any); whole != strings.Contains(line, "# object") && v != nil {
				t.Errorf("%s %s: an object or none", topic, value)
			}
			optional = false
		}
	}
	if found < 12 {
		t.Errorf("%d paths", found)
	}
}
