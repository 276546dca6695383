package grid

import (
	"crypto/tls"
	"log/slog"
)

// A Broker is the MQTT broker of the grid, for other simulations: with a
// certificate, and rights by its common name.
type Broker = broker

// What the holder of a certificate may do at a Broker.
const (
	RoleDevice = roleDevice
	RoleDA     = roleDA
)

// NewBroker makes a broker that Start opens on a free port of loopback.
func NewBroker(config *tls.Config, log *slog.Logger) *Broker { return newBroker(config, "", log) }
