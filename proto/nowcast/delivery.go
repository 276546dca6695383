package nowcast

import (
	"crypto"
	"encoding/json"
	"fmt"

	"fairwatt/model/neighbours"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// DeliverySchema is that of a delivery's payload.
const DeliverySchema = "neighbours/1"

// MaxDeliveryBytes bounds a delivery with its seal.
const MaxDeliveryBytes = 128 << 10

// A Vouched is a nowcast with the key that a data aggregator finds registered for
// its sender.
type Vouched struct {
	Key    seal.PublicKey `json:"key"`
	Sealed []byte         `json:"sealed"`
}

// delivery is the payload: what one data aggregator hands to one device.
type delivery struct {
	Schema     string    `json:"schema"`
	To         string    `json:"to"` // site/device
	AtMs       int64     `json:"at_ms"`
	Neighbours []Vouched `json:"neighbours"`
}

// SealDelivery makes the message that hands nowcasts to a device at a time, Unix
// milliseconds. There are at most neighbours.MaxNeighbours of them.
func SealDelivery(key crypto.Signer, da string, chain [32]byte, to wire.Topics, atMs int64, list []Vouched) ([]byte, error) {
	if len(list) == 0 || len(list) > neighbours.MaxNeighbours {
		return nil, fmt.Errorf("seal delivery: %d nowcasts, want 1 to %d", len(list), neighbours.MaxNeighbours)
	}
	b, err := json.Marshal(delivery{Schema: DeliverySchema, To: deviceOf(to), AtMs: atMs, Neighbours: list})
	if err != nil {
		return nil, fmt.Errorf("seal delivery: %w", err)
	}
	out, err := seal.Seal(key, da, seal.DomainNeighbours, chain, b)
	if err != nil {
		return nil, fmt.Errorf("seal delivery: %w", err)
	}
	if len(out) > MaxDeliveryBytes {
		return nil, fmt.Errorf("seal delivery: %d bytes, at most %d", len(out), MaxDeliveryBytes)
	}
	return out, nil
}

// OpenDelivery returns what data aggregator da hands to a device now. keys are the
// data aggregators', as the genesis names them. What the nowcasts are worth says
// [Open]. Its errors are Refusals.
func OpenDelivery(b []byte, da string, chain [32]byte, keys seal.Keys, to wire.Topics, nowMs int64) ([]Vouched, error) {
	if len(b) > MaxDeliveryBytes {
		return nil, Refuse(CodeMalformed, "delivery: %d bytes, at most %d", len(b), MaxDeliveryBytes)
	}
	signer, payload, err := seal.Open(b, seal.DomainNeighbours, chain, keys)
	if err != nil {
		return nil, sealed("delivery", err)
	}
	if signer != da {
		return nil, Refuse(CodeWrongTopic, "delivery of %s: on the topic of %q", signer, da)
	}
	var d delivery
	if err := json.Unmarshal(payload, &d); err != nil {
		return nil, Refuse(CodeMalformed, "delivery of %s: %v", signer, err)
	}
	switch {
	case d.Schema != DeliverySchema:
		return nil, Refuse(CodeMalformed, "delivery of %s: schema %q is not %s", signer, d.Schema, DeliverySchema)
	case d.To != deviceOf(to):
		return nil, Refuse(CodeWrongTopic, "delivery of %s: for %q, and this is %s", signer, d.To, deviceOf(to))
	case len(d.Neighbours) > neighbours.MaxNeighbours:
		return nil, Refuse(CodeMalformed, "delivery of %s: %d nowcasts, at most %d", signer, len(d.Neighbours), neighbours.MaxNeighbours)
	case d.AtMs < nowMs-neighbours.SkewMs:
		return nil, Refuse(CodeStale, "delivery of %s: %d s old, at most %d", signer, (nowMs-d.AtMs)/1000, neighbours.SkewMs/1000)
	case d.AtMs > nowMs+neighbours.SkewMs:
		return nil, Refuse(CodeFuture, "delivery of %s: %d s ahead: set its clock, or this one", signer, (d.AtMs-nowMs)/1000)
	}
	return d.Neighbours, nil
}
