package agent

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"fairwatt/proto/wire"
)

// A Fleet is what the views of many agents say, as a watcher sees them. It is
// not safe for concurrent use.
type Fleet struct {
	devices map[string]*FleetDevice
	events  []string
}

// A FleetDevice is one agent of a Fleet.
type FleetDevice struct {
	Site, Device string
	Online       bool
	State        string // as its gate view says; see Shown
	Since        time.Time
	ValidUntil   time.Time
	Why          string
	Hazards      map[string]string // kind: level, without those that are ok
}

// Limits of a fleet: messages come from strangers.
const (
	maxFleet       = 4096
	maxFleetEvents = 256
)

// NewFleet returns an empty fleet.
func NewFleet() *Fleet { return &Fleet{devices: make(map[string]*FleetDevice)} }

// Take takes one message. It returns a line for people when the message is
// news, and an error when it is no valid view. Other topics are passed over.
func (f *Fleet) Take(topic string, payload []byte, now time.Time) (string, error) {
	parts := strings.Split(topic, "/")
	if len(parts) < 5 || parts[0] != "fairwatt" || parts[1] != "v1" || len(payload) == 0 {
		return "", nil
	}
	if len(payload) > wire.MaxViewBytes {
		return "", fmt.Errorf("%s: %d bytes is over %d", topic, len(payload), wire.MaxViewBytes)
	}
	name := parts[2] + "/" + parts[3]
	d := f.devices[name]
	if d == nil {
		if len(f.devices) >= maxFleet {
			return "", fmt.Errorf("%s: more than %d devices", topic, maxFleet)
		}
		d = &FleetDevice{Site: parts[2], Device: parts[3], Hazards: make(map[string]string)}
		f.devices[name] = d
	}
	line, err := d.take(parts[4:], payload)
	if err != nil {
		return "", fmt.Errorf("%s: %w", topic, err)
	}
	if line == "" {
		return "", nil
	}
	line = now.Format(time.TimeOnly) + "  " + name + "  " + line
	f.events = append(f.events, line)
	if len(f.events) > maxFleetEvents {
		f.events = f.events[1:]
	}
	return line, nil
}

func (d *FleetDevice) take(class []string, payload []byte) (string, error) {
	switch class[0] {
	case "status":
		was := d.Online
		d.Online = string(payload) == wire.Online
		if was == d.Online {
			return "", nil
		}
		return printable(string(payload)), nil
	case "gate":
		var v wire.Gate[wire.Cause]
		if err := readView(payload, wire.SchemaGate, &v, &v.Schema); err != nil {
			return "", err
		}
		was := d.State
		d.State, d.Since, d.ValidUntil, d.Why = printable(v.State), v.Since.Time, v.ValidUntil.Time, printable(v.Reason)
		if was == d.State {
			return "", nil
		}
		return "gate " + d.State + "  " + d.Why, nil
	case "hazard":
		var v wire.Hazard
		if err := readView(payload, wire.SchemaHazard, &v, &v.Schema); err != nil {
			return "", err
		}
		if v.Level == wire.LevelOK {
			delete(d.Hazards, v.Kind)
		} else if len(d.Hazards) < wire.MaxCauses {
			d.Hazards[printable(v.Kind)] = printable(v.Level)
		}
		return "", nil
	case "alert":
		if len(class) > 1 { // its CAP form is for other programs
			return "", nil
		}
		var v wire.Alert[wire.Cause]
		if err := readView(payload, wire.SchemaAlert, &v, &v.Schema); err != nil {
			return "", err
		}
		return printable(fmt.Sprintf("alert %s %s %s  %s", v.Action, v.Kind, v.Level, v.Headline)), nil
	}
	return "", nil
}

// readView parses a view and refuses another schema.
func readView(payload []byte, schema string, v any, got *string) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return err
	}
	if *got != schema {
		return fmt.Errorf("schema %q is unknown, want %q", *got, schema)
	}
	return nil
}

// printable takes control characters out: a view must not drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}

// Devices returns the devices by name.
func (f *Fleet) Devices() []*FleetDevice {
	var out []*FleetDevice
	for _, d := range f.devices {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out
}

// Events returns the last lines Take returned, oldest first.
func (f *Fleet) Events() []string { return f.events }

// Name is site/device.
func (d *FleetDevice) Name() string { return d.Site + "/" + d.Device }

// Shown is the gate state a reader may rely on: an agent that is offline or
// whose message has expired has none, and that means closed.
func (d *FleetDevice) Shown(now time.Time) string {
	switch {
	case !d.Online:
		return wire.Offline
	case d.State == "":
		return "unknown"
	case now.After(d.ValidUntil):
		return "expired"
	}
	return d.State
}

// HazardText lists the hazards that are not ok.
func (d *FleetDevice) HazardText() string {
	var out []string
	for kind, level := range d.Hazards {
		out = append(out, kind+" "+level)
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

// A TradeLine is one open trade or offer of an agent.
type TradeLine struct {
	Device   string `json:"device"`
	Side     string `json:"side"` // offer, sell, buy
	ID       string `json:"id"`
	With     string `json:"with,omitempty"`
	Phase    string `json:"phase"`
	VolumeWh int64  `json:"volume_wh"`
	DoneWh   int64  `json:"done_wh"`
}

// ParseTrades reads a trade view.
func ParseTrades(topic string, payload []byte) ([]TradeLine, error) {
	if len(payload) == 0 {
		return nil, nil
	}
	if len(payload) > wire.MaxViewBytes {
		return nil, fmt.Errorf("%s: %d bytes is over %d", topic, len(payload), wire.MaxViewBytes)
	}
	var v tradeView
	if err := readView(payload, wire.SchemaTrade, &v, &v.Schema); err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	parts := strings.Split(topic, "/")
	if len(parts) != 5 {
		return nil, fmt.Errorf("%s: no trade topic", topic)
	}
	device := parts[3]
	var out []TradeLine
	if v.OfferID != "" {
		out = append(out, TradeLine{Device: device, Side: "offer", ID: printable(v.OfferID), Phase: "standing", VolumeWh: v.OfferWh})
	}
	for _, t := range v.Selling {
		if t == nil {
			continue
		}
		out = append(out, TradeLine{device, "sell", printable(t.TradeID), printable(t.Buyer), printable(t.Phase), t.VolumeWh, t.DeliveredWh})
	}
	for _, c := range v.Buying {
		if c == nil || c.Phase == buyIdle {
			continue
		}
		line := TradeLine{Device: device, Side: "buy", ID: printable(c.RequestID), Phase: printable(c.Phase), DoneWh: c.BilledWh}
		if c.Token != nil {
			line.ID, line.VolumeWh = printable(c.Token.GetTokenId()), c.Token.GetVolumeWh()
		}
		for _, q := range c.Quotes {
			if q.OfferID == c.Offer {
				line.With = printable(q.Seller)
			}
		}
		out = append(out, line)
	}
	return out, nil
}
