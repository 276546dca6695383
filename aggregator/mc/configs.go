package mc

import (
	"fmt"
	"path/filepath"
	"strings"
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
// to it, and an aggregator write its own receipts alone.
func mosquittoACL(c *Community) string {
	var b strings.Builder
	b.WriteString(`# The user is the common name of the client's certificate.
pattern write fairwatt/v1/+/%u/up/#
pattern write fairwatt/v1/+/%u/status
pattern write fairwatt/v1/+/%u/info
pattern write fairwatt/v1/+/%u/telemetry
pattern write fairwatt/v1/+/%u/gate
pattern write fairwatt/v1/+/%u/hazard/#
pattern write fairwatt/v1/+/%u/alert
pattern write fairwatt/v1/+/%u/alert/cap
pattern write fairwatt/v1/+/%u/cmd/result
pattern write homeassistant/device/%u/config
pattern read fairwatt/v1/+/%u/down/#
pattern read fairwatt/v1/+/%u/cmd/#
`)
	for _, da := range c.DAs {
		fmt.Fprintf(&b, "\nuser %[1]s\ntopic read fairwatt/v1/#\ntopic write fairwatt/v1/+/+/down/receipt/%[1]s\n"+
			"topic write fairwatt/v1/da/%[1]s/status\n", da.ID)
	}
	return b.String()
}
