package mc

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// allowed says whether the access list lets a user do something ("read",
// "write") to a topic. Rules of the form "pattern" hold for every user.
func allowed(acl, user, do, topic string) bool {
	mine := false
	if strings.Contains(acl, "\nuser "+user+"\ntopic deny #\n") {
		return false // a user's own lines come before the patterns
	}
	for line := range strings.Lines(acl) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "user":
			mine = words[1] == user
		case len(words) == 3 && words[1] == do && (words[0] == "pattern" || words[0] == "topic" && mine):
			if mqtt.TopicMatches(strings.ReplaceAll(words[2], "%u", user), topic) {
				return true
			}
		}
	}
	return false
}

// A device publishes every view and its records in its own name, and hears its
// commands and receipts. Another's topics and what comes down are not its to write.
func TestAccessListOfADevice(t *testing.T) {
	acl := mosquittoACL(&Community{DAs: []Identity{{ID: "da-1"}, {ID: "da-2"}}})
	own, other := wire.Topics{Site: "site", Device: "pv-1"}, wire.Topics{Site: "site", Device: "pv-2"}
	for _, class := range []string{
		wire.ClassStatus, wire.ClassInfo, wire.ClassGate, wire.ClassHazard + "wind", wire.ClassAlert, wire.ClassAlertCAP,
		wire.ClassTelemetry, wire.ClassTrade, wire.ClassRecord, wire.ClassNowcast, wire.ClassResult,
	} {
		if !allowed(acl, "pv-1", "write", own.Of(class)) {
			t.Errorf("a device may not write its own %s", class)
		}
		if allowed(acl, "pv-1", "write", other.Of(class)) {
			t.Errorf("a device may write another's %s", class)
		}
	}
	if !allowed(acl, "pv-1", "write", wire.Discovery("pv-1")) || allowed(acl, "pv-1", "write", wire.Discovery("pv-2")) {
		t.Error("a device tells Home Assistant of itself, and of no other")
	}
	if !allowed(acl, "pv-1", "read", wire.HomeAssistantStatus) || allowed(acl, "pv-1", "write", wire.HomeAssistantStatus) {
		t.Error("a device hears when Home Assistant begins, and does not say it")
	}
	if !allowed(acl, "pv-1", "read", wire.Warnings+"cap") || allowed(acl, "pv-1", "write", wire.Warnings+"cap") {
		t.Error("a device reads warnings of the weather, and writes none")
	}
	for _, topic := range []string{own.Receipt("da-1"), own.Neighbours("da-1"), own.Of(wire.ClassAck), own.Of(wire.ClassBlock)} {
		if !allowed(acl, "pv-1", "read", topic) || allowed(acl, "pv-1", "write", topic) {
			t.Errorf("%s: a device reads it and does not write it", topic)
		}
	}
}

// A data aggregator reads everything, and writes receipts, nowcasts of others and
// its status in its own name alone.
func TestAccessListOfAnAggregator(t *testing.T) {
	acl := mosquittoACL(&Community{DAs: []Identity{{ID: "da-1"}, {ID: "da-2"}}})
	device := wire.Topics{Site: "site", Device: "pv-1"}
	if !allowed(acl, "da-1", "read", device.Of(wire.ClassRecord)) {
		t.Error("a data aggregator does not hear records")
	}
	var may []string
	for _, topic := range []string{
		device.Receipt("da-1"), device.Neighbours("da-1"), wire.StatusOfDA("da-1"), device.Receipt("da-2"), device.Neighbours("da-2"),
		wire.StatusOfDA("da-2"), device.Of(wire.ClassRecord), device.Of(wire.ClassGate), device.Of(wire.ClassNowcast), wire.ListOfDA("da-1"), wire.ListOfDA("da-2"),
	} {
		if allowed(acl, "da-1", "write", topic) {
			may = append(may, topic)
		}
	}
	if want := []string{device.Receipt("da-1"), device.Neighbours("da-1"), wire.StatusOfDA("da-1"), wire.ListOfDA("da-1")}; !slices.Equal(may, want) {
		t.Errorf("da-1 may write %q, want %q", may, want)
	}
}

// An owner sends commands to the devices of one site and hears them; nobody else
// writes a command, and an owner writes nothing else.
func TestAccessListOfAnOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "broker", "acl")
	before := mosquittoACL(&Community{DAs: []Identity{{ID: "da-1"}}})
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(before), 0o644)); err != nil {
		t.Fatal(err)
	}
	for id, site := range map[string]string{"ada": "harbour", "bob": "ridge"} {
		if err := AdmitOwner(dir, id, site); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	acl := string(b)
	if !strings.HasPrefix(acl, before) {
		t.Error("what stood there is gone")
	}
	here, there := wire.Topics{Site: "harbour", Device: "pv-1"}, wire.Topics{Site: "ridge", Device: "pv-1"}
	for _, class := range wire.Commands {
		for _, user := range []string{"ada", "bob", "pv-1", "pv-2", "da-1", ""} {
			if got, want := allowed(acl, user, "write", here.Of(class)), user == "ada"; got != want {
				t.Errorf("%q writes %s: %v", user, here.Of(class), got)
			}
			if got, want := allowed(acl, user, "write", there.Of(class)), user == "bob"; got != want {
				t.Errorf("%q writes %s: %v", user, there.Of(class), got)
			}
		}
	}
	for _, class := range []string{wire.ClassResult, wire.ClassGate, wire.ClassAlert} {
		if !allowed(acl, "ada", "read", here.Of(class)) || allowed(acl, "ada", "read", there.Of(class)) || allowed(acl, "ada", "write", here.Of(class)) {
			t.Errorf("%s: ada reads it at her site, and does not write it", class)
		}
	}
	for _, bad := range [][2]string{{"ada", "harbour"}, {"da-1", "harbour"}, {"+", "harbour"}, {"eve", "#"}, {"eve\ntopic write #", "x"}} {
		if err := AdmitOwner(dir, bad[0], bad[1]); err == nil {
			t.Errorf("%q was admitted", bad)
		}
	}
	if err := AdmitOwner(t.TempDir(), "eve", "harbour"); err == nil {
		t.Error("an owner was admitted where there is no list")
	}
}

// mosquittoFolder is that of a community of one data aggregator, and its access list.
func mosquittoFolder(t *testing.T) (dir, list string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "broker"), 0o700); err != nil {
		t.Fatal(err)
	}
	list = filepath.Join(dir, "broker", "acl")
	if err := os.WriteFile(list, []byte(mosquittoACL(&Community{DAs: []Identity{{ID: "da-1"}}})), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, list
}

// A viewer reads what devices show, at one site or at all, and Home Assistant's
// discovery. Sealed records, receipts and commands are not its business, and it writes
// nothing but that Home Assistant has started.
func TestAccessListOfAViewer(t *testing.T) {
	dir, path := mosquittoFolder(t)
	for _, v := range [][2]string{{"ha", ""}, {"eve", "harbour"}} {
		if err := AdmitViewer(dir, v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	acl := string(b)
	here, there := wire.Topics{Site: "harbour", Device: "pv-1"}, wire.Topics{Site: "hill", Device: "pv-2"}
	shown := []string{
		wire.ClassStatus, wire.ClassInfo, wire.ClassTelemetry, wire.ClassGate, wire.ClassHazard + "wind", wire.ClassAlert, wire.ClassAlertCAP,
		wire.ClassTrade, wire.ClassNowcast,
	}
	for _, class := range shown {
		for _, c := range []struct {
			user, topic string
			may         bool
		}{{"ha", here.Of(class), true}, {"ha", there.Of(class), true}, {"eve", here.Of(class), true}, {"eve", there.Of(class), false}} {
			if got := allowed(acl, c.user, "read", c.topic); got != c.may {
				t.Errorf("%s reads %s: %v, want %v", c.user, c.topic, got, c.may)
			}
		}
	}
	for _, viewer := range []string{"ha", "eve"} {
		for _, topic := range []string{wire.StatusOfDA("da-1"), wire.ListOfDA("da-1"), wire.HomeAssistant + "device/pv-1/config"} {
			if !allowed(acl, viewer, "read", topic) {
				t.Errorf("%s may not read %s", viewer, topic)
			}
		}
		for _, topic := range []string{here.Of(wire.ClassRecord), here.Receipt("da-1"), here.Of(wire.ClassAck), here.Of(wire.ClassBlock)} {
			if allowed(acl, viewer, "read", topic) {
				t.Errorf("%s may read %s", viewer, topic)
			}
		}
		for _, topic := range []string{here.Of(wire.ClassAck), here.Of(wire.ClassGate), wire.StatusOfDA("da-1"), wire.Discovery("pv-1")} {
			if allowed(acl, viewer, "write", topic) {
				t.Errorf("%s may write %s", viewer, topic)
			}
		}
	}
	for _, user := range []string{"ha", "eve", "pv-1"} {
		if got := allowed(acl, user, "write", wire.HomeAssistantStatus); got != (user != "pv-1") {
			t.Errorf("%s may say that Home Assistant has started: %v", user, got)
		}
		if user == "pv-1" && !allowed(acl, user, "read", wire.HomeAssistantStatus) {
			t.Error("a device does not hear that Home Assistant has started")
		}
	}
	for _, bad := range [][2]string{{"ha", ""}, {"Bob", ""}, {"bob", "a/b"}, {"bob\ntopic write #", ""}} {
		if err := AdmitViewer(dir, bad[0], bad[1]); err == nil {
			t.Errorf("%q was admitted", bad)
		}
	}
}

// A warner writes warnings, and neither reads nor writes anything else; no other user writes any.
func TestAccessListOfAWarner(t *testing.T) {
	dir, path := mosquittoFolder(t)
	err := errors.Join(AdmitWarner(dir, "met-1"), AdmitViewer(dir, "ha", ""), AdmitOwner(dir, "ada", "harbour"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	acl := string(b)
	for user, may := range map[string]bool{"met-1": true, "ha": false, "ada": false, "pv-1": false, "da-1": false} {
		for _, topic := range []string{wire.Warnings + "cap", wire.Warnings + "harbour/cap"} {
			if got := allowed(acl, user, "write", topic); got != may {
				t.Errorf("%s writes %s: %v", user, topic, got)
			}
		}
	}
	here := wire.Topics{Site: "harbour", Device: "pv-1"}
	for _, topic := range []string{here.Of(wire.ClassGate), here.Of(wire.ClassAck), here.Of(wire.ClassAlertCAP), wire.StatusOfDA("da-1"), wire.HomeAssistantStatus, wire.Discovery("pv-1")} {
		if allowed(acl, "met-1", "write", topic) {
			t.Errorf("a warner may write %s", topic)
		}
	}
	if allowed(acl, "met-1", "read", here.Of(wire.ClassRecord)) || allowed(acl, "met-1", "read", here.Of(wire.ClassGate)) {
		t.Error("a warner reads what is of devices")
	}
	if err := AdmitWarner(dir, "met-1"); err == nil {
		t.Error("a warner was admitted twice")
	}
}

// A broker for a trial listens on loopback and stays its user's; one that was given a
// name listens on all addresses, and with a state folder the files are where the
// packages want them.
func TestBrokerConfiguration(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{}, []string{"listener 8883 127.0.0.1", "acl_file /c/broker/acl", "cafile /c/broker/ca.crt", "persistence_location /c/broker/"}},
		{Options{BrokerHosts: []string{"mqtt.example.org"}}, []string{"listener 8883"}},
		{Options{StateDir: "/var/lib/fairwatt"}, []string{
			"user mosquitto", "listener 8883 127.0.0.1", "acl_file /etc/mosquitto/fairwatt/acl",
			"keyfile /etc/mosquitto/fairwatt/tls.key", "persistence_location /var/lib/mosquitto/",
		}},
	} {
		conf, err := mosquittoConf("/c/broker", c.o)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(conf, "\n")
		for _, want := range c.want {
			if !slices.Contains(lines, want) {
				t.Errorf("%+v: no line %q in\n%s", c.o, want, conf)
			}
		}
	}
}

// Who is revoked may do nothing more at Mosquitto, and everyone else what they might
// before. A certificate issued by mistake does not bring anyone back.
func TestRevokeAtMosquitto(t *testing.T) {
	mosquitto, _ := onBothBrokers(t)
	before := list(t, mosquitto)
	device, topics := wire.Topics{Site: "harbour", Device: "pv-1"}, []string{}
	for _, class := range []string{wire.ClassGate, wire.ClassRecord, wire.ClassAck} {
		topics = append(topics, device.Of(class), wire.Topics{Site: "harbour", Device: "pv-2"}.Of(class))
	}
	topics = append(topics, device.Receipt("da-1"), device.Receipt("da-2"), wire.StatusOfDA("da-1"))
	for _, gone := range []string{"pv-1", "ha", "ada", "da-1"} {
		if err := Revoke(mosquitto, gone); err != nil {
			t.Fatal(err)
		}
		after := list(t, mosquitto)
		for _, user := range []string{"pv-1", "pv-2", "ha", "ada", "da-1", "da-2"} {
			for _, topic := range topics {
				for _, do := range []string{"read", "write"} {
					if got := allowed(after, user, do, topic); got != (user != gone && allowed(before, user, do, topic)) {
						t.Errorf("%s is revoked, and %s may %s %s: %v", gone, user, do, topic, got)
					}
				}
			}
		}
		if n := strings.Count(after, "user "+gone+"\n"); n != 1 {
			t.Errorf("the list names %s %d times:\n%s", gone, n, after)
		}
		if err := Revoke(mosquitto, gone); err != nil || list(t, mosquitto) != after {
			t.Errorf("%s twice: %v\n%s", gone, err, list(t, mosquitto))
		}
		for _, err := range []error{AdmitDevice(mosquitto, gone), AdmitViewer(mosquitto, gone, ""), AdmitOwner(mosquitto, gone, "harbour"), AdmitAggregator(mosquitto, gone)} {
			if err == nil || list(t, mosquitto) != after {
				t.Errorf("%s came back: %v", gone, err)
			}
		}
		if err := os.WriteFile(filepath.Join(mosquitto, BrokerList(mosquitto)), []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
