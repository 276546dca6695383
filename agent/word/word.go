package word

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"fairwatt/model"
	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// DoStatus asks for the gate's state and changes nothing.
const DoStatus = "status"

// What the machine's own user may say of trades.
const (
	DoTrade   = "trade"   // changes a wish, or asks how things stand
	DoHistory = "history" // asks which trades have ended
	DoBond    = "bond"    // wallet to bond
	DoUnbond  = "unbond"  // asks for money of the bond
	DoOut     = "out"     // asks for money of the wallet in the bank
	DoAppeal  = "appeal"  // asks arbiters to look at a trade
)

// OfTrades says whether a command is about trades.
func OfTrades(do string) bool {
	switch do {
	case DoTrade, DoHistory, DoBond, DoUnbond, DoOut, DoAppeal:
		return true
	}
	return false
}

// A Refusal says why a command comes to nothing.
type Refusal struct {
	Code string
	Text string
}

func (r *Refusal) Error() string { return r.Text }

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{code, brief.Sprintf(format, args...)}
}

// Parse reads a command from JSON. An unknown field is an error: it may be a
// misspelt end of a block.
func Parse(b []byte) (wire.Command, error) {
	var c wire.Command
	if len(b) > wire.MaxCommandBytes {
		return c, refuse(wire.CommandMalformed, "command: %d bytes; at most %d", len(b), wire.MaxCommandBytes)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, refuse(wire.CommandMalformed, "command: %s", brief.Text(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, refuse(wire.CommandMalformed, "command: something follows the object; send one a line")
	}
	if c.Schema != wire.SchemaCommand {
		return c, refuse(wire.CommandMalformed, "command: schema %q is not %s", c.Schema, wire.SchemaCommand)
	}
	return c, nil
}

// Of returns the word that a command says. A status is none.
func Of(c *wire.Command) (model.Word, error) {
	kind, err := model.ParseWordKind(c.Do)
	if err != nil {
		return model.Word{}, refuse(wire.CommandMalformed, "command: do: %v", err)
	}
	w := model.Word{Kind: kind, Rule: c.Rule, By: c.By, Why: c.Why, UntilUnixMs: c.UntilMs, ForMs: c.ForMs}
	switch {
	case c.Wish != nil || c.AmountMicro != 0 || c.Trade != "" || c.Payee != "":
		return w, refuse(wire.CommandMalformed, "command: wish, amount_micro, trade and payee do not go with %s; leave them out", c.Do)
	case kind != model.WordAck && c.Rule != "":
		return w, refuse(wire.CommandMalformed, "command: rule %q does not go with %s; leave it out", c.Rule, c.Do)
	case kind != model.WordBlock && (c.UntilMs != 0 || c.ForMs != 0):
		return w, refuse(wire.CommandMalformed, "command: only a block has an end; leave it out of %s", c.Do)
	}
	return w, nil
}

// noChain stands for the chain in the seal of a command.
var noChain [32]byte

// Seal signs a command in an owner's name.
func Seal(key crypto.Signer, owner string, c *wire.Command) ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("seal command: %w", err)
	}
	sealed, err := seal.Seal(key, owner, seal.DomainCommand, noChain, b)
	if err != nil {
		return nil, fmt.Errorf("seal command: %w", err)
	}
	if len(sealed) > wire.MaxCommandBytes {
		return nil, fmt.Errorf("seal command: %d bytes; at most %d", len(sealed), wire.MaxCommandBytes)
	}
	return sealed, nil
}

// ID is that of a sealed command, as its result names it.
func ID(sealed []byte) string {
	id := seal.ID(sealed)
	return hex.EncodeToString(id[:])
}

// Open returns the command of a sealed message and the owner who signed it. device
// is site/device, class the class of the topic it came on. Its errors are Refusals.
func Open(sealed []byte, keys seal.Keys, device, class string) (c wire.Command, owner string, err error) {
	if len(sealed) > wire.MaxCommandBytes {
		return c, "", refuse(wire.CommandMalformed, "command: %d bytes; at most %d", len(sealed), wire.MaxCommandBytes)
	}
	owner, payload, err := seal.Open(sealed, seal.DomainCommand, noChain, keys)
	var unknown *seal.UnknownSignerError
	var invalid *seal.InvalidSignatureError
	switch {
	case errors.As(err, &unknown):
		return c, "", refuse(wire.CommandUnknownOwner, "command: %q is no owner of this device; name it and its key under owners", unknown.Signer)
	case errors.As(err, &invalid):
		return c, "", refuse(wire.CommandBadSignature, "command: not signed with the key that owners names for %q", invalid.Signer)
	case err != nil:
		return c, "", refuse(wire.CommandMalformed, "command: not a sealed message: %v", err)
	}
	if c, err = Parse(payload); err != nil {
		return c, owner, err
	}
	switch {
	case c.Device != device:
		return c, owner, refuse(wire.CommandWrongDevice, "command: for device %q, and this is %q", c.Device, device)
	case "cmd/"+c.Do != class:
		return c, owner, refuse(wire.CommandWrongTopic, "command: %q came on %q; publish it on cmd/ and its own name", c.Do, class)
	case c.IssuedMs <= 0:
		return c, owner, refuse(wire.CommandMalformed, "command: issued_ms %d; use Unix milliseconds", c.IssuedMs)
	}
	return c, owner, nil
}

// KeysOf returns the keys of owners by their names.
func KeysOf(owners map[string]ed25519.PublicKey) seal.Keys {
	return func(name string) (ed25519.PublicKey, bool) {
		key, ok := owners[name]
		return key, ok
	}
}

// ParseDevice checks a site/device.
func ParseDevice(text string) (wire.Topics, error) {
	site, device, ok := strings.Cut(text, "/")
	if !ok || !seal.ValidName(site) || !seal.ValidName(device) {
		return wire.Topics{}, brief.Errorf("device %q; use site/device with ids of a-z, 0-9 and -", text)
	}
	return wire.Topics{Site: site, Device: device}, nil
}

// DeviceOf is the inverse of ParseDevice.
func DeviceOf(t wire.Topics) string { return t.Site + "/" + t.Device }
