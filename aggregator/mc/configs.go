package mc

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
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
		text := fmt.Sprintf(daConfig, da.ID, state(da.ID, "data"), c.Genesis.Aggregators[i].Address, brokerURL(o), 8080+i)
		if err := writeNew(filepath.Join(dir, da.ID, "da.yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, c.Centre.ID, "mc.yaml"), []byte(fmt.Sprintf(mcConfig, c.Centre.ID, state(c.Centre.ID, "counter.db"))), 0o644); err != nil {
		return err
	}
	broker := filepath.Join(dir, brokerFolder)
	if o.Broker == BrokerNATS {
		return writeNATS(broker, c, o)
	}
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
	return writeNew(filepath.Join(broker, aclFile), []byte(mosquittoACL(c)), 0o644)
}

// brokerURL is where the aggregators find the broker.
func brokerURL(o Options) string {
	switch {
	case o.Broker == BrokerNATS:
		return natsURL(o)
	case len(o.BrokerHosts) == 0:
		return "tls://127.0.0.1:8883"
	}
	return "tls://" + o.BrokerHosts[0] + ":8883"
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
  - %s
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
