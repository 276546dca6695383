package mc

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// writeConfigs writes a configuration next to each holder's keys, so that a
// fresh community starts without editing on one machine, or with o.StateDir as the
// packages' units start it.
func writeConfigs(dir string, c *Community, o Options) error {
	state := func(id, name string) string {
		if o.StateDir == "" {
			return name
		}
		return filepath.Join(o.StateDir, id, name)
	}
	for i, da := range c.DAs {
		text := fmt.Sprintf(daConfig, da.ID, state(da.ID, "data"), c.Genesis.Aggregators[i].Address, brokerHost(o), 8080+i)
		if err := writeNew(filepath.Join(dir, da.ID, "da.yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, c.Centre.ID, "mc.yaml"), []byte(fmt.Sprintf(mcConfig, c.Centre.ID, state(c.Centre.ID, "counter.db"))), 0o644); err != nil {
		return err
	}
	broker := filepath.Join(dir, "broker")
	conf, err := mosquittoConf(broker, o)
	if err != nil {
		return err
	}
	if err := WriteCertificate(filepath.Join(broker, CACertFile), c.Authority.cert); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(broker, "mosquitto.conf"), []byte(conf), 0o644); err != nil {
		return err
	}
	return writeNew(filepath.Join(broker, "acl"), []byte(mosquittoACL(c)), 0o644)
}

// brokerHost is where the aggregators find the broker.
func brokerHost(o Options) string {
	if len(o.BrokerHosts) == 0 {
		return "127.0.0.1"
	}
	return o.BrokerHosts[0]
}

// BrokerStateDir is where the broker's folder belongs on a machine with packages, and
// where Debian's Mosquitto keeps its database.
const (
	BrokerStateDir   = "/etc/mosquitto/fairwatt"
	mosquittoDataDir = "/var/lib/mosquitto"
)

// mosquittoConf is the broker's configuration for its folder. Mosquitto gives root up
// for the user that it names. The broker listens on loopback unless a host of its own
// was named.
func mosquittoConf(folder string, o Options) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("broker folder: %w", err)
	}
	who, data, bind := "mosquitto", mosquittoDataDir, " 127.0.0.1"
	if o.StateDir != "" {
		folder = BrokerStateDir
	} else {
		data = folder
		if u, err := user.Current(); err == nil { // the folder is this user's alone
			who = u.Username
		}
	}
	if len(o.BrokerHosts) > 0 {
		bind = ""
	}
	return strings.NewReplacer("BROKER", folder, "USER", who, "DATA", data, "BIND", bind).Replace(mosquittoConfig), nil
}

const daConfig = `# A data aggregator. Paths are relative to this file.
id: %s
genesis: ../genesis.json
seal_key: seal.key
data: %s
tls:
  ca: ../ca.crt
  cert: tls.crt
  key: tls.key
# Links to the other aggregators; they dial the address the genesis names.
listen: %s
mqtt:
  - tls://%s:8883
http: 127.0.0.1:%d
`

const mcConfig = `# The management centre. Paths are relative to this file.
id: %s
genesis: ../genesis.json
seal_key: seal.key
counter: %s
tls:
  ca: ../ca.crt
  cert: tls.crt
  key: tls.key
`

// The broker's configuration follows mosquitto.conf(5): no anonymous clients,
// the certificate's common name is the user, messages wait on disk for
// aggregators that are away.
const mosquittoConfig = `# Started by root, the broker becomes this user, who must own its folder.
user USER
per_listener_settings false
allow_anonymous false
# Without an address behind the port the broker listens on all of the machine's.
listener 8883BIND
cafile BROKER/ca.crt
certfile BROKER/tls.crt
keyfile BROKER/tls.key
require_certificate true
use_identity_as_username true
tls_version tlsv1.3
acl_file BROKER/acl
persistence true
persistence_location DATA/
max_inflight_messages 1000
max_queued_messages 100000
message_size_limit 1048576
`

// mosquittoACL lets a device write below its own topics except what comes down
// to it, and an aggregator write what it hands to devices alone. No one writes a device's
// commands before AdmitOwner.
func mosquittoACL(c *Community) string {
	var b strings.Builder
	b.WriteString("# The user is the common name of the client's certificate.\n")
	device := wire.Topics{Site: "+", Device: "%u"}
	for _, class := range wire.DeviceWrites {
		fmt.Fprintf(&b, "pattern write %s\n", device.Of(class))
	}
	b.WriteString("pattern write " + wire.Discovery("%u") + "\npattern read " + wire.HomeAssistantStatus + "\n")
	for _, class := range wire.DeviceReads {
		fmt.Fprintf(&b, "pattern read %s\n", device.Of(class))
	}
	for _, da := range c.DAs {
		fmt.Fprintf(&b, "\nuser %s\ntopic read %s#\n", da.ID, wire.Root)
		for _, topic := range wire.AggregatorWrites(da.ID) {
			fmt.Fprintf(&b, "topic write %s\n", topic)
		}
	}
	return b.String()
}

// ownerACL lets an owner hear the devices of a site and send them commands. That a
// command is the owner's is for the device to check: it is sealed.
func ownerACL(id, site string) string {
	devices := wire.Topics{Site: site, Device: "+"}
	text := "\nuser " + id + "\ntopic read " + devices.Of("#") + "\n"
	for _, class := range wire.Commands {
		text += "topic write " + devices.Of(class) + "\n"
	}
	return text
}

// viewerACL lets a person or a program read what devices show of themselves, at one
// site or at all, and write nothing but that Home Assistant has started.
func viewerACL(id, site string) string {
	if site == "" {
		site = "+"
	}
	devices := wire.Topics{Site: site, Device: "+"}
	text := "\nuser " + id + "\n"
	for _, class := range wire.DeviceShows {
		text += "topic read " + devices.Of(class) + "\n"
	}
	for _, topic := range []string{wire.StatusOfDA("+"), wire.ListOfDA("+"), wire.HomeAssistant + "#"} {
		text += "topic read " + topic + "\n"
	}
	// Home Assistant says so that it has started; devices describe themselves again.
	return text + "topic write " + wire.HomeAssistantStatus + "\n"
}

// AdmitOwner adds an owner of a site to the broker's access list in the community's
// folder. The broker has to read the list again.
func AdmitOwner(dir, id, site string) error {
	if !seal.ValidName(site) {
		return brief.Errorf("admit owner: site %q: use 1 to 64 of a-z, 0-9 and -", site)
	}
	return admit(dir, id, "admit owner", ownerACL(id, site))
}

// AdmitViewer adds one who only reads, at one site or at all (empty).
func AdmitViewer(dir, id, site string) error {
	if site != "" && !seal.ValidName(site) {
		return brief.Errorf("admit viewer: site %q: use 1 to 64 of a-z, 0-9 and -", site)
	}
	return admit(dir, id, "admit viewer", viewerACL(id, site))
}

// admit adds the lines of a new user.
func admit(dir, id, doing, lines string) error {
	if !seal.ValidName(id) {
		return brief.Errorf("%s: id %q: use 1 to 64 of a-z, 0-9 and -", doing, id)
	}
	path := filepath.Join(dir, "broker", "acl")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	for line := range strings.Lines(string(b)) {
		if slices.Equal(strings.Fields(line), []string{"user", id}) {
			return fmt.Errorf("%s: %s names %s already; take its lines out first", doing, path, id)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = f.WriteString(lines)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
