package soak

import (
	"fmt"
	"time"

	"fairwatt/proto/wire"
)

// A Config says how long, how hard and with how many.
type Config struct {
	For     time.Duration
	Seed    uint64
	DAs     int
	Devices int
	Rate    float64 // records a second, of all devices together
	Dir     string  // for chains and logs; new or empty
	// Network, if not nil, gives each data aggregator an uplink of its own.
	Network *Network
	// Standstill is for how long the chain may stand still.
	Standstill time.Duration
	// Settle is for how long all may take to agree after the last deed.
	Settle time.Duration
}

// DefaultConfig is `make soak`.
func DefaultConfig() Config {
	return Config{For: 10 * time.Minute, Seed: 1, DAs: 7, Devices: 6, Rate: 60, Standstill: 10 * time.Second, Settle: 2 * time.Minute}
}

// Validate names the first wrong field and says what would be right.
func (c *Config) Validate() error {
	switch {
	case c.For < 10*time.Second || c.For > 24*time.Hour:
		return fmt.Errorf("for: %v, want 10s to 24h", c.For)
	case c.DAs < 4 || c.DAs > 16:
		return fmt.Errorf("das: %d, want 4 to 16", c.DAs)
	case c.Devices < 1 || c.Devices > 100:
		return fmt.Errorf("devices: %d, want 1 to 100", c.Devices)
	case !(c.Rate >= 1 && c.Rate <= 5000):
		return fmt.Errorf("rate: %g, want 1 to 5000 records a second", c.Rate)
	case c.Standstill < time.Second:
		return fmt.Errorf("standstill: %v, want 1s or more", c.Standstill)
	case c.Settle < time.Second:
		return fmt.Errorf("settle: %v, want 1s or more", c.Settle)
	case c.Network != nil && (c.Network.UplinkMbit < 1 || c.Network.UplinkMbit > 10_000):
		return fmt.Errorf("uplink-mbit: %d, want 1 to 10000", c.Network.UplinkMbit)
	case c.Network != nil && (c.Network.Delay < 0 || c.Network.Delay > time.Second):
		return fmt.Errorf("delay: %v, want 0s to 1s", c.Network.Delay)
	case c.Dir == "":
		return fmt.Errorf("dir: is required")
	}
	return nil
}

func (c *Config) faulty() int { return wire.Faulty(c.DAs) }
