package grid

import (
	"encoding/json"
	"slices"
)

// A Report is the result of a run. Every number comes from the chain of a data
// aggregator that was not killed, from the counters of the running parts, or from
// the simulated meters. Nothing is estimated.
type Report struct {
	DAs     int    `json:"das"`
	Agents  int    `json:"agents"`
	Buyers  int    `json:"buyers"`
	Height  uint64 `json:"height"`
	Records uint64 `json:"records"` // in blocks
	Refused uint64 `json:"refused"` // of those, refused by a rule of the ledger

	Trades Trades         `json:"trades"`
	Slots  *Slots         `json:"slots,omitempty"` // of an auction; absent without one
	Alerts map[string]int `json:"alerts"`          // raised, by hazard kind
	// GateClosedS is the time for which gates of generators were not open,
	// summed, on the sensing clock (trace seconds).
	GateClosedS int64 `json:"gate_closed_s"`

	// ContactorViolations counts the spans in which a contactor was closed while
	// the gate of its agent was not open, by the relays' own logs.
	ContactorViolations int `json:"contactor_violations"`

	AccountingNodes map[string]uint64 `json:"accounting_nodes"` // blocks by DA
	Epochs          uint64            `json:"epochs"`
	ViewChanges     uint64            `json:"view_changes"`
	// ViewChangeMs is the time from killing the root until the first block of
	// another accounting node was stored; 0 if no root was killed.
	ViewChangeMs int64  `json:"view_change_ms"`
	Tree         string `json:"tree"`       // oct or wct
	Settlement   string `json:"settlement"` // meters or paper
	Relay        Relay  `json:"relay"`
	// Trust is that of each DA at the end, in 1e-4; FoundOut are those in dispute with more
	// others than can lie.
	Trust      map[string]int64 `json:"trust_e4"`
	FoundOut   []string         `json:"found_out"`
	Dropped    uint64           `json:"dropped"`    // by outboxes and by the broker
	Unanswered uint64           `json:"unanswered"` // records still without a final receipt at the end
	Forged     uint64           `json:"forged"`     // submissions of a stranger that were refused
	Door       Door             `json:"door"`

	// Storm says how far ahead each generator was warned; without a storm it is absent.
	Storm *Storm `json:"storm,omitempty"`

	// Members tells the changes of the data aggregators; absent where none was to be.
	Members *Members `json:"members,omitempty"`

	Credit   string    `json:"credit"`             // robust or paper
	Culprits []Culprit `json:"culprits,omitempty"` // traders that lied
	Honest   []Honest  `json:"honest"`
	Payments Payments  `json:"payments"`
	// Broken are promises of participants who keep the rules that count as broken. What
	// counted so until a verdict cleared them of it BrokenCleared counts, and Excused by cause
	// those that the chain excused.
	Broken        []Broken       `json:"broken,omitempty"`
	BrokenCleared int            `json:"broken_cleared"`
	Excused       map[string]int `json:"excused"`

	ATCTMs          Percentiles `json:"atct_ms"`
	MoneyConserved  bool        `json:"money_conserved"`
	EnergyConserved bool        `json:"energy_conserved"`
	ChainVerified   bool        `json:"chain_verified"`
	Problems        []string    `json:"problems,omitempty"` // reasons why one of the three is false
	Simulated       bool        `json:"simulated"`
	Composed        []string    `json:"composed,omitempty"` // channels computed, not recorded
}

// Trades counts trades by their end. Held counts those that a hazard ever held.
type Trades struct {
	Requested     int `json:"requested"`
	Settled       int `json:"settled"`
	Held          int `json:"held_by_hazard"`
	SettledPartly int `json:"settled_partly"`
	Refunded      int `json:"refunded"`
	Disputed      int `json:"disputed"`
	Failed        int `json:"failed"`
	Open          int `json:"open"`
}

// Relay counts blocks that a parent forwarded, and blocks that a child pulled
// because its parent did not forward them.
type Relay struct {
	Forwarded uint64 `json:"forwarded"`
	Pulled    uint64 `json:"pulled"`
}

// Door counts the records that the shown DA's intake accepted and refused.
type Door struct {
	Accepted uint64            `json:"accepted"`
	Refused  map[string]uint64 `json:"refused"` // by code
}

// Percentiles of a set of times in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	N   int     `json:"n"`
}

// percentiles sorts its argument. The p-th percentile of n values is the
// ceil(p*n)-th smallest.
func percentiles(ms []float64) Percentiles {
	if len(ms) == 0 {
		return Percentiles{}
	}
	slices.Sort(ms)
	at := func(percent int) float64 { return ms[(percent*len(ms)+99)/100-1] }
	return Percentiles{P50: at(50), P95: at(95), P99: at(99), N: len(ms)}
}

// JSON returns the report as one indented object and a newline.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}
