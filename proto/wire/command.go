package wire

// The classes of commands: what a person says to a device over MQTT, sealed with an
// owner's key. None is ever retained.
const (
	ClassAck     = "cmd/ack"     // [Command], sealed
	ClassBlock   = "cmd/block"   // the same
	ClassUnblock = "cmd/unblock" // the same
	ClassResult  = "cmd/result"  // [Result], by the device
)

// Commands are the classes that an owner writes.
var Commands = []string{ClassAck, ClassBlock, ClassUnblock}

// The schemas of a command and of its result.
const (
	SchemaCommand = "cmd/1"
	SchemaResult  = "cmd-result/1"
)

// MaxCommandBytes bounds a command with its seal, and a line on the agent's socket.
const MaxCommandBytes = 4096

// CommandSkewMs is how far a sealed command's time may be from the device's clock.
const CommandSkewMs = 120_000

// A Command is what a person asks of one device. Over the device's own socket it
// stands as it is; over MQTT it is sealed in the name of an owner.
type Command struct {
	Schema string `json:"schema"`
	Do     string `json:"do"`             // ack, block, unblock; on the socket also the words of trades
	Rule   string `json:"rule,omitempty"` // of an ack
	By     string `json:"by,omitempty"`   // who speaks
	Why    string `json:"why,omitempty"`
	// A block ends at UntilMs, Unix milliseconds, or after ForMs.
	UntilMs int64 `json:"until_ms,omitempty"`
	ForMs   int64 `json:"for_ms,omitempty"`
	// Of words about trades, on the socket only: what changes, how much, which trade.
	Wish        *WishChange `json:"wish,omitempty"`
	AmountMicro int64       `json:"amount_micro,omitempty"`
	Trade       string      `json:"trade,omitempty"`
	Payee       string      `json:"payee,omitempty"` // the bank account; its hash goes on the chain
	// Device is site/device, and IssuedMs the owner's clock, Unix milliseconds; it
	// rises with each command of an owner. Both are of sealed commands only.
	Device   string `json:"device,omitempty"`
	IssuedMs int64  `json:"issued_ms,omitempty"`
}

// A Result is what became of a command. ID is the SHA-256 of the sealed command, in
// hexadecimal; empty on the socket.
type Result struct {
	Schema string `json:"schema"`
	ID     string `json:"id,omitempty"`
	TS     Time   `json:"ts"`
	Do     string `json:"do,omitempty"`
	OK     bool   `json:"ok"`
	Code   string `json:"code,omitempty"` // why not, for programs
	Text   string `json:"text"`           // what became of it, for people
	// State is the gate's after the command, and Latched are the rules that wait for
	// an acknowledgement.
	State     string   `json:"state,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Latched   []string `json:"latched,omitempty"`
	Simulated bool     `json:"simulated"`
	// Cost are the rules that have cost most, as in a gate view; in an answer to
	// status only.
	Cost      []Cost `json:"cost,omitempty"`
	CostSince Time   `json:"cost_since,omitzero"`
	// Trading answers a word about trades.
	Trading *Trading `json:"trading,omitempty"`
}

// The codes of commands that no word came of; those of words are package model's.
const (
	CommandMalformed    = "malformed"     // not a sealed command, or of another schema
	CommandUnknownOwner = "unknown_owner" // the configuration names no such owner
	CommandBadSignature = "bad_signature" // not signed with that owner's key
	CommandWrongDevice  = "wrong_device"  // for another device
	CommandWrongTopic   = "wrong_topic"   // not what its topic says
	CommandRetained     = "retained"      // kept by the broker: no one knows since when
	CommandExpired      = "expired"       // not of the last two minutes
	CommandNotTrading   = "not_trading"   // the device does not trade on this side
	CommandBadValue     = "bad_value"     // a field of a word about trades is wrong
	CommandReplayed     = "replayed"      // one of this owner with this or a later time was taken
	CommandClockUnknown = "clock_unknown" // the device cannot tell an old command from a new one
)
