package mc

import (
	"fmt"
	"path/filepath"
	"strings"

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

// deviceWrites are the classes of a device's topics that it may write.
var deviceWrites = []string{
	"up/#", wire.ClassStatus, wire.ClassInfo, wire.ClassTelemetry, wire.ClassGate, wire.ClassHazard + "#",
	wire.ClassAlert, wire.ClassAlertCAP, wire.ClassTrade, "cmd/result",
}

// mosquittoACL lets a device write below its own topics except what comes down
// to it, and an aggregator write its own receipts alone.
func mosquittoACL(c *Community) string {
	var b strings.Builder
	b.WriteString("# The user is the common name of the client's certificate.\n")
	device := wire.Topics{Site: "+", Device: "%u"}
	for _, class := range deviceWrites {
		fmt.Fprintf(&b, "pattern write %s\n", device.Of(class))
	}
	b.WriteString("pattern write homeassistant/device/%u/config\n")
	for _, class := range []string{"down/#", "cmd/#"} {
		fmt.Fprintf(&b, "pattern read %s\n", device.Of(class))
	}
	for _, da := range c.DAs {
		fmt.Fprintf(&b, "\nuser %s\ntopic read %s#\ntopic write %s\ntopic write %s\n",
			da.ID, wire.Root, wire.EveryDevice(wire.ClassReceipt+da.ID), wire.StatusOfDA(da.ID))
	}
	return b.String()
}
