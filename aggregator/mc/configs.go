package mc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// writeConfigs writes a configuration next to each holder's keys, so that a
// fresh community starts without editing on one machine.
func writeConfigs(dir string, c *Community) error {
	for i, da := range c.DAs {
		text := fmt.Sprintf(daConfig, da.ID, c.Genesis.Aggregators[i].Address, 8080+i)
		if err := writeNew(filepath.Join(dir, da.ID, "da.yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, c.Centre.ID, "mc.yaml"), []byte(fmt.Sprintf(mcConfig, c.Centre.ID)), 0o644); err != nil {
		return err
	}
	broker := filepath.Join(dir, "broker")
	abs, err := filepath.Abs(broker)
	if err != nil {
		return fmt.Errorf("broker folder: %w", err)
	}
	if err := writeNew(filepath.Join(broker, "mosquitto.conf"), []byte(strings.ReplaceAll(mosquittoConfig, "BROKER", abs)), 0o644); err != nil {
		return err
	}
	return writeNew(filepath.Join(broker, "acl"), []byte(mosquittoACL(c)), 0o644)
}

const daConfig = `# A data aggregator. Paths are relative to this file.
id: %s
genesis: ../genesis.json
seal_key: seal.key
data: data
tls:
  ca: ../ca.crt
  cert: tls.crt
  key: tls.key
# Links to the other aggregators; they dial the address the genesis names.
listen: %s
mqtt:
  - tls://127.0.0.1:8883
http: 127.0.0.1:%d
`

const mcConfig = `# The management centre. Paths are relative to this file.
id: %s
genesis: ../genesis.json
seal_key: seal.key
counter: counter.db
tls:
  ca: ../ca.crt
  cert: tls.crt
  key: tls.key
`

// The broker's configuration follows mosquitto.conf(5): no anonymous clients,
// the certificate's common name is the user, messages wait on disk for
// aggregators that are away.
const mosquittoConfig = `per_listener_settings false
allow_anonymous false
listener 8883
cafile BROKER/../ca.crt
certfile BROKER/tls.crt
keyfile BROKER/tls.key
require_certificate true
use_identity_as_username true
tls_version tlsv1.3
acl_file BROKER/acl
persistence true
persistence_location BROKER/
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
	b.WriteString("pattern write homeassistant/device/%u/config\n")
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

// AdmitOwner adds an owner of a site to the broker's access list in the community's
// folder. The broker has to read the list again.
func AdmitOwner(dir, id, site string) error {
	for field, name := range map[string]string{"id": id, "site": site} {
		if !seal.ValidName(name) {
			return brief.Errorf("admit owner: %s %q: use 1 to 64 of a-z, 0-9 and -", field, name)
		}
	}
	path := filepath.Join(dir, "broker", "acl")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("admit owner: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if slices.Equal(strings.Fields(line), []string{"user", id}) {
			return fmt.Errorf("admit owner: %s names %s already; take its lines out first", path, id)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("admit owner: %w", err)
	}
	_, err = f.WriteString(ownerACL(id, site))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("admit owner: %w", err)
	}
	return nil
}
