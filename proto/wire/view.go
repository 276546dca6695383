package wire

import "time"

// The schemas of views, each with its version.
const (
	SchemaGate      = "gate/1"
	SchemaHazard    = "hazard/1"
	SchemaAlert     = "alert/1"
	SchemaTelemetry = "telemetry/1"
	SchemaInfo      = "info/1"
	SchemaTrade     = "trade/1"
)

// The payloads of a status topic; they are plain text, not JSON.
const (
	Online  = "online"
	Offline = "offline"
)

// The states of a gate. Only an open gate lets energy be traded.
const (
	GateInit     = "INIT"
	GateBlocked  = "BLOCKED"
	GateClearing = "CLEARING"
	GateOpen     = "OPEN"
)

// GateStates are all states of a gate.
var GateStates = []string{GateInit, GateBlocked, GateClearing, GateOpen}

// The levels of a hazard view. A cause has LevelWarn or LevelBlock.
const (
	LevelOK    = "ok"
	LevelWarn  = "warn"
	LevelBlock = "block"
)

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// A Time is a moment as views write it: RFC 3339 in UTC with milliseconds. It
// reads any RFC 3339 time.
type Time struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+timeFormat+`"`), nil
}

// A Gate is the payload of a gate topic. C is the type of its causes: [Cause]
// for a reader.
type Gate[C any] struct {
	Schema      string   `json:"schema"`
	ID          string   `json:"id"`
	Seq         uint64   `json:"seq"`
	TS          Time     `json:"ts"`
	ClockSynced bool     `json:"clock_synced"`
	State       string   `json:"state"`
	Reason      string   `json:"reason"`
	Since       Time     `json:"since"`
	ValidUntil  Time     `json:"valid_until"`
	ClearInS    *float64 `json:"clear_in_s"` // null while a cause is active
	Causes      []C      `json:"causes"`
	GateSeq     uint64   `json:"gate_seq"` // of the newest gate record
	Simulated   bool     `json:"simulated"`
	Model       *Model   `json:"model,omitempty"`
	// OpensAt is the earliest opening, also while causes stand: when the gate
	// would open if all of them were over now. It is absent when the gate is open
	// and where Waits says what is waited for.
	OpensAt Time   `json:"opens_at,omitzero"`
	Waits   string `json:"waits,omitempty"`
	// Words say state and causes in sentences for people, in the device's local
	// time; see Says.
	Words []string `json:"words,omitempty"`
	// Cost is what each rule has cost since CostSince, in the last 30 days.
	Cost      []Cost `json:"cost,omitempty"`
	CostSince Time   `json:"cost_since,omitzero"`
}

// A Cost is what one rule has cost: for how long it kept the gate closed, and for
// how much of that alone; the energy that was not sold, where it is known, and what
// that would have earned.
type Cost struct {
	Rule    string   `json:"rule"` // its id, or gate: the gate's own times
	Title   string   `json:"title"`
	ClosedS float64  `json:"closed_s"`
	AloneS  float64  `json:"alone_s"`
	KWh     *float64 `json:"kwh,omitempty"`
	Money   *float64 `json:"money,omitempty"`
}

// A Cause is a rule that holds, with its inputs, as a reader sees it.
type Cause struct {
	Rule    string  `json:"rule"`
	Kind    string  `json:"kind"`
	Level   string  `json:"level"`
	Latched bool    `json:"latched"`
	Holding bool    `json:"holding,omitempty"` // no longer so, and its clear time still runs
	Text    string  `json:"text"`
	Inputs  []Input `json:"inputs"`
	CauseWords
}

// CauseWords say a cause in words for people; see [Cause.Sentence].
type CauseWords struct {
	Title  string `json:"title,omitempty"`  // what it is
	Says   string `json:"says,omitempty"`   // what was measured, and its limit
	Since  Time   `json:"since,omitzero"`   // absent: since before the start
	Ends   string `json:"ends,omitempty"`   // what ends it
	EndsAt Time   `json:"ends_at,omitzero"` // when, if that is known
}

// An Input is a reading as a rule used it.
type Input struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value"` // null: nothing was measured
	Unit      string   `json:"unit"`
	AgeS      *float64 `json:"age_s"`
	Op        string   `json:"op,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
	State     string   `json:"state,omitempty"` // why the value is not valid
}

// A Model is what the hazard network says.
type Model struct {
	Name   string              `json:"name"`
	SHA256 string              `json:"sha256"` // of the weights
	P      map[string]*float64 `json:"p"`      // by kind
	Top    []Contribution      `json:"top,omitempty"`
}

// A Contribution is the share of one feature in a score.
type Contribution struct {
	Name         string   `json:"name"`
	Value        *float64 `json:"value"`
	Unit         string   `json:"unit"`
	Contribution *float64 `json:"contribution"`
}

// A Hazard is the payload of a hazard topic.
type Hazard struct {
	Schema string   `json:"schema"`
	ID     string   `json:"id"`
	Seq    uint64   `json:"seq"`
	TS     Time     `json:"ts"`
	Kind   string   `json:"kind"`
	Level  string   `json:"level"`
	P      *float64 `json:"p"` // null where the network does not score the kind
	Rules  []string `json:"rules"`
	Text   string   `json:"text"`
}

// An Alert is the payload of an alert topic. C is the type of its causes.
type Alert[C any] struct {
	Schema      string    `json:"schema"`
	ID          string    `json:"id"`
	Rev         int       `json:"rev"`
	Action      string    `json:"action"`
	TS          Time      `json:"ts"`
	Kind        string    `json:"kind"`
	Level       string    `json:"level"`
	Urgency     string    `json:"urgency"`
	Severity    string    `json:"severity"`
	Certainty   string    `json:"certainty"`
	Headline    string    `json:"headline"`
	By          string    `json:"by,omitempty"`  // who acknowledged
	Why         string    `json:"why,omitempty"` // with what reason
	Instruction string    `json:"instruction"`
	Expires     Time      `json:"expires,omitzero"`
	Rules       []string  `json:"rules"`
	Causes      []C       `json:"causes"`
	Location    *Location `json:"location,omitempty"`
	Simulated   bool      `json:"simulated"`
}

// A Location is where a device is, in degrees.
type Location struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// An Info is the payload of an info topic.
type Info struct {
	Schema       string   `json:"schema"`
	Serial       string   `json:"serial"`
	Site         string   `json:"site"`
	Device       string   `json:"device"`
	Version      string   `json:"version"`
	ConfigHash   string   `json:"config_sha256"`
	ModelHash    string   `json:"model_sha256"` // empty: rules only
	ChainID      string   `json:"chain_id,omitempty"`
	Capabilities []string `json:"capabilities"`
	Sensors      []Sensor `json:"sensors"`
	// Contactor is what switches the power sold: its pins, or none; empty at a
	// device that does not sell.
	Contactor string `json:"contactor,omitempty"`
	// Loosened are the settings that let the gate open more easily than its grid
	// profile's, each with both values.
	Loosened  []string `json:"loosened,omitempty"`
	Simulated bool     `json:"simulated"`
}

// A Sensor is the health of one configured sensor.
type Sensor struct {
	Name     string  `json:"name"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
	Failures uint64  `json:"failures"`
	TookMS   float64 `json:"took_ms"` // of the last read
	// Relayed says that others passed on what it gives, over MQTT.
	Relayed bool `json:"relayed,omitempty"`
}

// A Telemetry is the payload of a telemetry topic: the readings of one sample
// by section, and the agent's own figures.
type Telemetry struct {
	Schema    string                     `json:"schema"`
	Seq       uint64                     `json:"seq"`
	TS        Time                       `json:"ts"`
	Simulated bool                       `json:"simulated"`
	AC        map[string]float64         `json:"ac,omitempty"`
	DC        map[string]float64         `json:"dc,omitempty"`
	Equipment map[string]float64         `json:"equipment,omitempty"`
	WX        map[string]float64         `json:"wx,omitempty"`
	Energy    map[string]int64           `json:"energy_wh,omitempty"` // registers, by meter
	Invalid   map[string]string          `json:"invalid,omitempty"`   // channel: why it has no value
	Votes     map[string]Vote            `json:"votes,omitempty"`     // by channel that several sensors give
	Outbox    *Outbox                    `json:"outbox,omitempty"`
	Sensors   map[string]SensorTelemetry `json:"sensors,omitempty"`
	Counters  map[string]uint64          `json:"counters,omitempty"`
}

// A Vote shows what several sensors say of one channel.
type Vote struct {
	Value    *float64 `json:"value"` // the agreed reading; null when none can be used
	Disagree bool     `json:"disagree"`
	// Outlier is the sensor that stands alone among three or more.
	Outlier string `json:"outlier,omitempty"`
	// Sensors are their values by name; null for one that gives none.
	Sensors map[string]*float64 `json:"sensors"`
}

// An Outbox is the state of an agent's outbox.
type Outbox struct {
	Records  int    `json:"records"`
	Bytes    int64  `json:"bytes"`
	Events   int    `json:"events"`
	OldestMs int64  `json:"oldest_ms,omitempty"` // creation of the oldest record
	Counter  uint64 `json:"counter"`             // last sender counter given out
	Dropped  uint64 `json:"dropped"`             // since the file was made
}

// A SensorTelemetry is how the last read of a sensor went.
type SensorTelemetry struct {
	Success    int     `json:"success"`
	DurationMS float64 `json:"duration_ms"`
	Failures   uint64  `json:"failures"`
}
