package view

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"fairwatt/agent/trade"
	"fairwatt/proto/wire"
)

// A Fleet is what the views of many agents say, as a watcher sees them. It is
// not safe for concurrent use.
type Fleet struct {
	devices map[string]*FleetDevice
	events  []string
	lost    string // why nothing can be heard; empty while the broker is there
	lostAt  time.Time
	heardAt time.Time // the last message
}

// A FleetDevice is one agent of a Fleet.
type FleetDevice struct {
	Site, Device string
	Since        time.Time         // as its gate view says
	Hazards      map[string]string // kind: level, without those that are ok
	Contactor    string            // what switches the power sold; empty: it has not said, or sells nothing
	gate         wire.Gate[wire.Cause]
	sight        wire.Sight
	any          bool // it is an agent: it has a gate, or has told of something
}

// Limits of a fleet: messages come from strangers.
const (
	maxFleet       = 4096
	maxFleetEvents = 256
)

// NewFleet returns an empty fleet.
func NewFleet() *Fleet { return &Fleet{devices: make(map[string]*FleetDevice)} }

// Lose has every device count as unknown until Regain: the watcher hears
// nothing. It returns a line for people when that is news.
func (f *Fleet) Lose(why string, now time.Time) string {
	if f.lost != "" {
		f.lost = why
		return ""
	}
	f.lost, f.lostAt = why, now
	return f.tell(now, "", why+": every gate counts as closed")
}

// Regain says that the watcher hears the broker.
func (f *Fleet) Regain(now time.Time) string {
	f.lost = ""
	return f.tell(now, "", "the broker is there")
}

// Lost says why and since when nothing can be heard; empty if it can.
func (f *Fleet) Lost() (string, time.Time) { return f.lost, f.lostAt }

// HeardAt is when the last message came; zero: none has.
func (f *Fleet) HeardAt() time.Time { return f.heardAt }

// tell keeps a line for people.
func (f *Fleet) tell(now time.Time, name, text string) string {
	line := now.Format(time.TimeOnly) + "  "
	if name != "" {
		line += name + "  "
	}
	line += text
	f.events = append(f.events, line)
	if len(f.events) > maxFleetEvents {
		f.events = f.events[1:]
	}
	return line
}

// Take takes one message. It returns a line for people when the message is
// news, and an error when it is no valid view. Other topics are passed over.
func (f *Fleet) Take(topic string, payload []byte, retained bool, now time.Time) (string, error) {
	parts := strings.Split(topic, "/")
	if len(parts) < 5 || parts[0] != "fairwatt" || parts[1] != "v1" || len(payload) == 0 {
		return "", nil
	}
	if len(payload) > wire.MaxViewBytes {
		return "", fmt.Errorf("%s: %d bytes is over %d", topic, len(payload), wire.MaxViewBytes)
	}
	f.heardAt = now
	name := parts[2] + "/" + parts[3]
	d := f.devices[name]
	if d == nil {
		if len(f.devices) >= maxFleet {
			return "", fmt.Errorf("%s: more than %d devices", topic, maxFleet)
		}
		d = &FleetDevice{Site: parts[2], Device: parts[3], Hazards: make(map[string]string)}
		f.devices[name] = d
	}
	line, err := d.take(parts[4:], payload, retained, now)
	if err != nil {
		return "", fmt.Errorf("%s: %w", topic, err)
	}
	if line == "" {
		return "", nil
	}
	return f.tell(now, name, line), nil
}

func (d *FleetDevice) take(class []string, payload []byte, retained bool, now time.Time) (string, error) {
	switch class[0] {
	case wire.ClassStatus:
		was := d.sight.Status
		d.sight.Told(printable(clip(string(payload))), now)
		if was == d.sight.Status {
			return "", nil
		}
		return d.sight.Status, nil
	case wire.ClassInfo:
		var v wire.Info
		if err := readView(payload, wire.SchemaInfo, &v, &v.Schema); err != nil {
			return "", err
		}
		d.any = true
		d.Contactor = printable(clip(v.Contactor))
		return "", nil
	case wire.ClassGate:
		var v wire.Gate[wire.Cause]
		if err := readView(payload, wire.SchemaGate, &v, &v.Schema); err != nil {
			return "", err
		}
		was := d.sight.State
		if !d.sight.Hear(printable(clip(v.State)), v.TS.Time, v.ValidUntil.Time, v.Seq, retained, now) {
			return "", nil
		}
		d.any, d.gate, d.Since = true, v, v.Since.Time
		d.gate.Causes = v.Causes[:min(len(v.Causes), wire.MaxCauses)]
		if was == d.sight.State {
			return "", nil
		}
		return "gate " + d.sight.State + "  " + strings.Join(d.Words(now), " "), nil
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

// Devices returns the agents by name. What has only a status, as a data
// aggregator has, is none.
func (f *Fleet) Devices() []*FleetDevice {
	var out []*FleetDevice
	for _, d := range f.devices {
		if d.any || len(d.Hazards) > 0 || d.sight.Status != "" && d.Site != "da" {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out
}

// Events returns the last lines Take returned, oldest first.
func (f *Fleet) Events() []string { return f.events }

// Name is site/device.
func (d *FleetDevice) Name() string { return d.Site + "/" + d.Device }

// Shown is what the gate counts as.
func (f *Fleet) Shown(d *FleetDevice, now time.Time) wire.Seen {
	sight := d.sight
	sight.Lost, sight.LostAt = f.lost, f.lostAt
	return sight.At(now)
}

// Words says in sentences why the gate is as the device says it is, in the
// watcher's local time.
func (d *FleetDevice) Words(now time.Time) []string {
	out := d.gate.Says(d.gate.Causes, now)
	for i := range out {
		out[i] = printable(clip(out[i]))
	}
	return out
}

// maxText bounds a text of a stranger's view.
const maxText = 300

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// HazardText lists the hazards that are not ok.
func (d *FleetDevice) HazardText() string {
	var out []string
	for kind, level := range d.Hazards {
		out = append(out, kind+" "+level)
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

// Trades is the payload of a trade topic: the owner's open trades.
type Trades struct {
	Schema    string                    `json:"schema"`
	Seq       uint64                    `json:"seq"`
	TS        wire.Time                 `json:"ts"`
	OfferID   string                    `json:"offer_id,omitempty"`
	OfferWh   int64                     `json:"offer_wh,omitempty"`
	Selling   []*trade.Sale             `json:"selling"`
	Buying    map[string]*trade.Circuit `json:"buying"`
	Orders    []*trade.Order            `json:"orders,omitempty"` // for slots
	Deals     []*trade.Deal             `json:"deals,omitempty"`  // that clearings of slots made
	Sell      *Side                     `json:"sell,omitempty"`
	Buy       *Side                     `json:"buy,omitempty"`
	Purse     *wire.Purse               `json:"purse,omitempty"`
	Simulated bool                      `json:"simulated"`
}

// The states of a side.
const (
	SideOn     = "on"
	SidePaused = "paused"
	SideDryRun = "dry_run"
	SideHours  = "hours" // not at this hour of the day
)

// A Side says how one side of the trades stands by the owner's wishes.
type Side struct {
	State            string       `json:"state"`                         // [SideOn] and so on
	PriceMicroPerKWh int64        `json:"price_micro_per_kwh,omitempty"` // now
	TodayWh          int64        `json:"today_wh"`                      // billed
	Wish             wire.Wish    `json:"wish,omitzero"`
	Would            *trade.Would `json:"would,omitempty"` // of a dry run
}

// A TradeLine is one open trade or offer of an agent.
type TradeLine struct {
	Device   string `json:"device"`
	Side     string `json:"side"` // offer, sell, buy; ask, bid: for a slot, whose begin is the ID
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
	var v Trades
	if err := readView(payload, wire.SchemaTrade, &v, &v.Schema); err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	parts := strings.Split(topic, "/")
	if len(parts) != 5 {
		return nil, fmt.Errorf("%s: no trade topic", topic)
	}
	device := parts[3]
	var out []TradeLine
	for side, s := range map[string]*Side{wire.SideSell: v.Sell, wire.SideBuy: v.Buy} {
		if s != nil && s.State != SideOn {
			out = append(out, TradeLine{Device: device, Side: side, Phase: printable(s.State)})
		}
	}
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
		if c == nil || c.Idle() {
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
	return append(out, slotLines(device, &v)...), nil
}

// slotLines are the orders for slots, and the trades that clearings made of them.
func slotLines(device string, v *Trades) (out []TradeLine) {
	for _, o := range v.Orders {
		if o == nil {
			continue
		}
		slot := time.UnixMilli(o.StartMs).UTC().Format("2006-01-02T15:04:05Z")
		side := "ask"
		if o.Side == wire.SideBuy {
			side = "bid"
		}
		out = append(out, TradeLine{Device: device, Side: side, ID: slot, Phase: printable(o.Phase), VolumeWh: o.Wh})
	}
	for _, d := range v.Deals {
		if d != nil {
			out = append(out, TradeLine{Device: device, Side: printable(d.Side), ID: printable(d.TradeID), With: printable(d.With), Phase: wire.StatusCleared, VolumeWh: d.VolumeWh})
		}
	}
	return out
}
