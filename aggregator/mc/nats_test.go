package mc

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fairwatt/proto/wire"
)

// onBothBrokers makes the same community for either broker, with a device, an owner and
// two viewers admitted, and returns the two folders.
func onBothBrokers(t *testing.T) (mosquitto, nats string) {
	t.Helper()
	for _, dir := range []*string{&mosquitto, &nats} {
		*dir = filepath.Join(t.TempDir(), "c")
		o := Options{Name: "test", DAs: DefaultDAs(4, "127.0.0.1", 7051), Now: now}
		if dir == &nats {
			o.Broker = BrokerNATS
		}
		if _, err := InitDir(*dir, o); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			AdmitDevice(*dir, "pv-1"), AdmitDevice(*dir, "pv-2"), AdmitOwner(*dir, "ada", "harbour"),
			AdmitViewer(*dir, "eve", "harbour"), AdmitViewer(*dir, "ha", ""), AdmitAggregator(*dir, "da-5"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return mosquitto, nats
}

// list reads the list of a community's broker.
func list(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, BrokerList(dir)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	natsLine = regexp.MustCompile(`^  \{user: "CN=([a-z0-9-]+),OU=([a-z]+),O=fairwatt", allowed_connection_types: \[MQTT\], ` +
		`permissions: \{publish: \{(allow|deny): \[([^]]*)\]\}, subscribe: \{allow: \[([^]]*)\]\}\}\}$`)
	quoted = regexp.MustCompile(`"([^"]*)"`)
)

// allowedByNATS says what allowed says, of the list of the NATS servers.
func allowedByNATS(t *testing.T, users, user, do, topic string) bool {
	t.Helper()
	for line := range strings.Lines(users) {
		words := natsLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if words == nil || words[1] != user {
			continue
		}
		filters, allow := words[5], true
		if do == "write" {
			filters, allow = words[4], words[3] == "allow"
		}
		for _, filter := range quoted.FindAllStringSubmatch(filters, -1) {
			if subjectMatches(filter[1], strings.ReplaceAll(topic, "/", ".")) {
				return allow
			}
		}
		return !allow
	}
	return false
}

// subjectMatches is NATS's rule: * is one token, > is one or more at the end.
func subjectMatches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range f {
		switch {
		case i >= len(s):
			return false
		case token == ">":
			return true
		case token != "*" && token != s[i]:
			return false
		}
	}
	return len(f) == len(s)
}

// everyTopic are topics of each kind, of two devices at two sites and of two aggregators, and
// some that are no one's.
func everyTopic() (topics []string) {
	classes := []string{"", "nonsense", "up", "up/other", "down", "down/other", "cmd", "cmd/other", wire.ClassHazard + "wind", wire.ClassHazard + "wind/more"}
	for _, c := range []string{
		wire.ClassStatus, wire.ClassInfo, wire.ClassGate, wire.ClassAlert, wire.ClassAlertCAP, wire.ClassTelemetry, wire.ClassTrade, wire.ClassRecord,
		wire.ClassList, wire.ClassNowcast, wire.ClassResult,
	} {
		classes = append(classes, c, c+"/more")
	}
	classes = append(classes, wire.Commands...)
	for _, da := range []string{"da-1", "da-2", "da-5"} {
		classes = append(classes, wire.ClassReceipt+da, wire.ClassNeighbours+da)
	}
	for _, device := range []wire.Topics{
		{Site: "harbour", Device: "pv-1"}, {Site: "harbour", Device: "pv-2"}, {Site: "ridge", Device: "pv-1"}, {Site: "da", Device: "da-1"}, {Site: "da", Device: "da-2"},
	} {
		for _, class := range classes {
			topics = append(topics, strings.TrimSuffix(device.Of(class), "/"))
		}
	}
	for _, device := range []string{"pv-1", "pv-2"} {
		topics = append(topics, wire.HomeAssistant+"device/"+device+"/config", wire.HomeAssistant+"device/"+device)
	}
	return append(topics, wire.HomeAssistant+"status", "homeassistant", "fairwatt", "fairwatt/v1", "fairwatt/v1/harbour", "fairwatt/v2/harbour/pv-1/gate", "other")
}

// Both lists come from one source: each right of each user that Mosquitto's list gives or
// denies, that of the NATS servers gives or denies too.
func TestListsOfBothBrokersSayTheSame(t *testing.T) {
	mosquitto, nats := onBothBrokers(t)
	acl, users := list(t, mosquitto), list(t, nats)
	given := make(map[string]int)
	for _, user := range []string{"pv-1", "pv-2", "da-1", "da-2", "da-5", "ada", "eve", "ha"} {
		for _, topic := range everyTopic() {
			for _, do := range []string{"read", "write"} {
				// A pattern of Mosquitto's gives everyone a device's rights in their own name.
				want := allowed(acl, user, do, topic)
				if user[:2] != "pv" {
					want = allowedByUser(acl, user, do, topic)
				}
				if got := allowedByNATS(t, users, user, do, topic); got != want {
					t.Errorf("%s may %s %s: %v in NATS's list, %v in Mosquitto's", user, do, topic, got, want)
				}
				if want {
					given[user+" "+do]++
				}
			}
		}
	}
	for _, what := range []string{"pv-1 read", "pv-1 write", "da-5 read", "da-5 write", "ada read", "ada write", "eve read", "ha read"} {
		if given[what] == 0 {
			t.Errorf("no topic tries %q", what)
		}
	}
	if given["eve write"] != 1 || given["ha write"] != 1 || // that Home Assistant has started
		given["ha read"] <= given["eve read"] {
		t.Errorf("viewers: %v", given)
	}
}

// allowedByUser is allowed without the patterns for every user.
func allowedByUser(acl, user, do, topic string) bool {
	var own strings.Builder
	for line := range strings.Lines(acl) {
		if !strings.HasPrefix(line, "pattern ") {
			own.WriteString(line)
		}
	}
	return allowed(own.String(), user, do, topic)
}

// Who is revoked is named no more, and everyone else as before. What cannot be done
// leaves the list as it is.
func TestRevoke(t *testing.T) {
	mosquitto, nats := onBothBrokers(t)
	before := list(t, nats)
	for _, bad := range []error{
		Revoke(nats, "pv"), Revoke(nats, "pv-1,OU=agent"), Revoke(nats, ""), Revoke(mosquitto, ""), Revoke(mosquitto, "pv 1"),
		AdmitOwner(nats, "pv-1", "harbour"), AdmitViewer(nats, "ada", ""), AdmitDevice(nats, "da-1"), AdmitDevice(nats, `x"`),
	} {
		if bad == nil {
			t.Error("was not refused")
		}
	}
	if err := AdmitDevice(nats, "pv-1"); err != nil {
		t.Errorf("a second certificate: %v", err)
	}
	if list(t, nats) != before {
		t.Error("what was refused has changed the list")
	}
	if err := Revoke(nats, "pv-1"); err != nil {
		t.Fatal(err)
	}
	after := list(t, nats)
	if strings.Contains(after, "CN=pv-1,") || strings.Count(before, "\n") != strings.Count(after, "\n")+1 || !strings.Contains(after, "CN=pv-2,") {
		t.Errorf("the list is now\n%s", after)
	}
	if err := AdmitDevice(nats, "pv-1"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list(t, nats), "CN=pv-1,OU=agent,O=fairwatt") {
		t.Error("was not admitted again")
	}
	path := filepath.Join(nats, BrokerList(nats))
	if err := os.WriteFile(path, []byte(before+"# by hand\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := AdmitDevice(nats, "pv-9"); err == nil || !strings.Contains(err.Error(), "changed by hand") {
		t.Errorf("a list that is no list: %v", err)
	}
}

// TestReadmit: a device that was kept out for a while is named as it was before; one that
// was not is not named twice.
func TestReadmit(t *testing.T) {
	mosquitto, nats := onBothBrokers(t)
	for _, dir := range []string{mosquitto, nats} {
		before := list(t, dir)
		if err := Revoke(dir, "pv-1"); err != nil {
			t.Fatal(err)
		}
		if err := Readmit(dir, "pv-1"); err != nil {
			t.Fatal(err)
		}
		after := list(t, dir)
		for _, do := range []string{"read", "write"} {
			topic := wire.Topics{Site: "harbour", Device: "pv-1"}.Of(wire.ClassRecord)
			if dir == mosquitto && allowed(after, "pv-1", do, topic) != allowed(before, "pv-1", do, topic) {
				t.Errorf("pv-1 may not %s as before:\n%s", do, after)
			}
		}
		if strings.Count(after, "pv-1") != strings.Count(before, "pv-1") {
			t.Errorf("the list was\n%s\nand is\n%s", before, after)
		}
		if err := Readmit(dir, "PV"); err == nil {
			t.Error("an id that is none")
		}
	}
	if err := Readmit(mosquitto, "pv-2"); err == nil {
		t.Error("Mosquitto's list keeps pv-2 out by no line, and says so")
	}
}

// On three hosts the servers have the same ports; on one machine they follow each other.
// The aggregators are told of all three as of one broker.
func TestNATSConfiguration(t *testing.T) {
	for _, c := range []struct {
		o    Options
		conf []string // of the second server
		url  string
	}{
		{Options{}, []string{
			`server_name: nats-2`, `  listen: "127.0.0.1:8884"`, `  listen: "127.0.0.1:6223"`, `    tls://127.0.0.1:6224`, `http: "127.0.0.1:8223"`,
			`jetstream { store_dir: "jetstream", max_memory_store: 64MB, max_file_store: 4GB }`,
		}, "tls://127.0.0.1:8883,tls://127.0.0.1:8884,tls://127.0.0.1:8885"},
		{Options{BrokerHosts: []string{"a.example.org", "b.example.org", "c.example.org"}, StateDir: "/var/lib/fairwatt"}, []string{
			`server_name: nats-2`, `  listen: "0.0.0.0:8883"`, `  listen: "0.0.0.0:6222"`, `    tls://a.example.org:6222`, `    tls://c.example.org:6222`,
			`http: "127.0.0.1:8222"`, `listen: "127.0.0.1:4222"`, `  authorization { user: "CN=broker,OU=nats,O=fairwatt" }`,
			`jetstream { store_dir: "/var/lib/fairwatt/nats-2", max_memory_store: 64MB, max_file_store: 4GB }`,
		}, "tls://a.example.org:8883,tls://b.example.org:8883,tls://c.example.org:8883"},
	} {
		lines := "\n" + natsConf(natsServers(c.o), 1, c.o)
		for _, want := range c.conf {
			if !strings.Contains(lines, "\n"+want+"\n") {
				t.Errorf("%+v: no line %q in\n%s", c.o, want, lines)
			}
		}
		if got := natsURL(c.o); got != c.url {
			t.Errorf("%q, want %q", got, c.url)
		}
	}
	for hosts := range 5 {
		o := Options{Name: "test", DAs: DefaultDAs(4, "127.0.0.1", 7051), Broker: BrokerNATS, BrokerHosts: make([]string, hosts), Now: now}
		for i := range o.BrokerHosts {
			o.BrokerHosts[i] = fmt.Sprintf("h%d.example.org", i)
		}
		if _, err := NewCommunity(o); (err == nil) != (hosts == 0 || hosts == NATSServers) {
			t.Errorf("%d hosts: %v", hosts, err)
		}
	}
}
