package nowcast

import (
	"crypto"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"fairwatt/model/neighbours"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Schema is that of a nowcast's payload.
const Schema = "nowcast/1"

// MaxBytes bounds a nowcast with its seal; an honest one has about 350.
const MaxBytes = 1024

// EveryMs is how often an agent tells a nowcast, and ValidMs how long one holds.
const (
	EveryMs = 10 * 60_000
	ValidMs = 30 * 60_000
)

// A Signed is a nowcast that its sender has signed.
type Signed struct {
	neighbours.Nowcast
	From wire.Topics // the sender's site and id
	// Simulated says that its weather is not of this world.
	Simulated bool
	Sealed    []byte // as its sender made it
}

// message is the payload. A value that is not measured is left out.
type message struct {
	Schema       string   `json:"schema"`
	Device       string   `json:"device"` // site/device
	MadeMs       int64    `json:"made_ms"`
	ValidUntilMs int64    `json:"valid_until_ms"`
	Latitude     *float64 `json:"latitude"`
	Longitude    *float64 `json:"longitude"`
	GustRatio    *float64 `json:"gust_ratio,omitempty"`
	ChangeHPa    *float64 `json:"pressure_change_3h_hpa,omitempty"`
	// ThunderAgoS is the time since the last thunder; absent where nothing notices
	// thunder.
	ThunderAgoS *int64 `json:"thunder_ago_s,omitempty"`
	Strokes3h   int64  `json:"strokes_3h,omitempty"`
	Simulated   bool   `json:"simulated,omitempty"`
}

// Seal makes the message of a device's nowcast. The sender is the device. It
// refuses what Open would.
func Seal(key crypto.Signer, chain [32]byte, from wire.Topics, n neighbours.Nowcast, simulated bool) ([]byte, error) {
	n.Sender = from.Device
	if err := n.Check(); err != nil {
		return nil, fmt.Errorf("seal nowcast: %w", err)
	}
	m := message{
		Schema: Schema, Device: deviceOf(from), MadeMs: n.MadeAtMs, ValidUntilMs: n.ValidUntilMs,
		Latitude: rounded(n.Position.LatitudeDeg, 1e5), Longitude: rounded(n.Position.LongitudeDeg, 1e5),
		Strokes3h: n.Strokes3h, Simulated: simulated,
	}
	if g := n.GustRatio; g.OK {
		m.GustRatio = rounded(g.V, 1e3)
	}
	if p := n.PressureChange3hHPa; p.OK {
		m.ChangeHPa = rounded(p.V, 1e2)
	}
	if n.Thunder {
		s := min(n.ThunderAgoMs, neighbours.ThunderBackMs) / 1000
		m.ThunderAgoS = &s
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("seal nowcast: %w", err)
	}
	out, err := seal.Seal(key, from.Device, seal.DomainNowcast, chain, b)
	if err != nil {
		return nil, fmt.Errorf("seal nowcast: %w", err)
	}
	if len(out) > MaxBytes {
		return nil, fmt.Errorf("seal nowcast: %d bytes, at most %d: shorten site and device", len(out), MaxBytes)
	}
	return out, nil
}

// rounded cuts digits that no sensor gives, and those of a coarse position.
func rounded(v, steps float64) *float64 {
	r := math.Round(v*steps) / steps
	return &r
}

// Open returns the nowcast of a sealed message whose sender keys knows. Its errors
// are Refusals, or wrap an error of package neighbours.
func Open(b []byte, chain [32]byte, keys seal.Keys) (*Signed, error) {
	if len(b) > MaxBytes {
		return nil, Refuse(CodeMalformed, "nowcast: %d bytes, at most %d", len(b), MaxBytes)
	}
	signer, payload, err := seal.Open(b, seal.DomainNowcast, chain, keys)
	if err != nil {
		return nil, sealed("nowcast", err)
	}
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, Refuse(CodeMalformed, "nowcast of %s: %v", signer, err)
	}
	if m.Schema != Schema {
		return nil, Refuse(CodeMalformed, "nowcast of %s: schema %q is not %s", signer, m.Schema, Schema)
	}
	from, err := parseDevice(m.Device)
	if err != nil {
		return nil, Refuse(CodeMalformed, "nowcast of %s: %v", signer, err)
	}
	switch {
	case from.Device != signer:
		return nil, Refuse(CodeWrongTopic, "nowcast of %s: it names the device %q", signer, m.Device)
	case m.Latitude == nil || m.Longitude == nil:
		return nil, Refuse(CodeMalformed, "nowcast of %s: no position; it needs latitude and longitude", signer)
	}
	out := &Signed{From: from, Simulated: m.Simulated, Sealed: b, Nowcast: neighbours.Nowcast{
		Sender: signer, Position: neighbours.Position{LatitudeDeg: *m.Latitude, LongitudeDeg: *m.Longitude},
		MadeAtMs: m.MadeMs, ValidUntilMs: m.ValidUntilMs,
		Weather: neighbours.Weather{GustRatio: optional(m.GustRatio), PressureChange3hHPa: optional(m.ChangeHPa), Strokes3h: m.Strokes3h},
	}}
	if s := m.ThunderAgoS; s != nil {
		if *s < 0 || *s > math.MaxInt64/1000 {
			return nil, Refuse(CodeAbsurd, "nowcast of %s: thunder_ago_s %d: 0 or more is wanted", signer, *s)
		}
		out.Thunder, out.ThunderAgoMs = true, *s*1000
	}
	if err := out.Check(); err != nil {
		return nil, fmt.Errorf("nowcast of %s: %w", signer, err)
	}
	return out, nil
}

func optional(v *float64) neighbours.Optional {
	if v == nil {
		return neighbours.Optional{}
	}
	return neighbours.Some(*v)
}

func deviceOf(t wire.Topics) string { return t.Site + "/" + t.Device }

func parseDevice(text string) (wire.Topics, error) {
	site, device, ok := strings.Cut(text, "/")
	if !ok || !seal.ValidName(site) || !seal.ValidName(device) {
		return wire.Topics{}, Refuse(CodeMalformed, "device %q; use site/device with ids of a-z, 0-9 and -", text)
	}
	return wire.Topics{Site: site, Device: device}, nil
}
