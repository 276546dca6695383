package grid

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/wct"
	"fairwatt/firmware-sim/scenario"
)

// The kinds of trouble a run can be told to make (--misbehave).
const (
	// DropBlocks has one forwarder of the first tree drop every block that it
	// should pass on.
	DropBlocks = "drop-blocks"
	// BrokerOutage stops the broker for ten seconds in the middle of the run.
	BrokerOutage = "broker-outage"
	// ForgedRecords has a stranger send records with wrong signatures, records
	// in other names, and records that it has seen before.
	ForgedRecords = "forged-records"
	// Traders stands for all kinds of traders that lie.
	Traders = "traders"
)

// misbehavioursOf are all kinds of trouble on a chain with or without slots.
func misbehavioursOf(slots bool) []string {
	return append([]string{DropBlocks, BrokerOutage, ForgedRecords}, culpritKinds(slots)...)
}

// A Config says how large the grid is, what weather it plays and what goes
// wrong in it. DefaultConfig is the one `make run` uses.
type Config struct {
	For    time.Duration // 0: until stopped
	DAs    int
	Agents int // generators
	Buyers int
	Traces []string // trace files; none: the built-in scenarios
	// Storm has one storm cross a map on which the generators stand: squall or
	// cyclone. Then they tell each other their weather.
	Storm    string
	Scenario string // one built-in scenario instead of all of them
	// Start is where each trace begins: "" or "peak-36h" for 36 h before its
	// strongest gust, else an RFC 3339 time.
	Start string
	Seed  uint64
	Speed float64 // trace seconds a second
	HTTP  string  // address of the page; empty for none
	MQTT  string  // address of the broker's open, read-only listener; empty for none
	Links string  // grpc or memory
	Tree  string  // oct or wct: the tree that blocks go down
	// Settlement is what decides a payment: meters, or paper for the paper's rule.
	Settlement string
	// Answers is who answers requests: centre, or ledger. Empty is the ledger where meters
	// settle, and else the centre.
	Answers string
	// Credit is what makes credit: robust, or paper for the paper's formula. Empty is
	// robust where meters settle, and the paper's where its rule does.
	Credit string
	// Excuses is what excuses a gate that closed: witnessed, or quota_of_holds. Empty is
	// witnessed where credit is robust, and else what the paper has.
	Excuses string
	// Mechanism is how buyers and sellers find each other: bilateral, which empty is too,
	// auction, or sharing, where every buyer's meter has the same part. With the last two
	// honest agents trade by slots only, without contactors, and every house draws power all
	// the time.
	Mechanism string
	// Set changes numbers of the genesis, by their names there: "fine_e4=1000". settlement,
	// credit, excuses, mechanism and tree are those of the fields above.
	Set  []string
	Data string // folder for the DAs' chains; empty for a temporary one

	KillRootAfter time.Duration // 0: never
	// Members: one more data aggregator joins, one signs with another key, one leaves.
	Members   bool
	Misbehave []string
}

// DefaultConfig returns the grid of `make run`.
func DefaultConfig() Config {
	return Config{DAs: 4, Agents: 6, Buyers: 3, Start: "peak-36h", Seed: 1, Speed: 3600, Links: "grpc", Tree: string(wct.OCT), Settlement: ledger.SettleByMeters}
}

// Validate names the first wrong field and says what would be right. It expands
// "all" in Misbehave.
func (c *Config) Validate() error {
	if err := c.applySet(); err != nil {
		return err
	}
	switch {
	case c.For < 0:
		return fmt.Errorf("for: %v, want 0 or more", c.For)
	case c.DAs < 4 || c.DAs > 50:
		return fmt.Errorf("das: %d, want 4 to 50: agreement needs four to bear one that fails", c.DAs)
	case c.Agents < 1 || c.Agents > 200:
		return fmt.Errorf("agents: %d, want 1 to 200", c.Agents)
	case c.Buyers < 1 || c.Buyers > 200:
		return fmt.Errorf("buyers: %d, want 1 to 200", c.Buyers)
	case !(c.Speed >= 1 && c.Speed <= 36000):
		return fmt.Errorf("speed: %g, want 1 to 36000 trace seconds a second", c.Speed)
	case c.Links != "grpc" && c.Links != "memory":
		return fmt.Errorf("links: %q, want grpc or memory", c.Links)
	case c.Tree != string(wct.OCT) && c.Tree != string(wct.WCT):
		return fmt.Errorf("tree: %q, want oct or wct", c.Tree)
	case c.Settlement != ledger.SettleByMeters && c.Settlement != ledger.SettleByPaper:
		return fmt.Errorf("settlement: %q, want %s or %s", c.Settlement, ledger.SettleByMeters, ledger.SettleByPaper)
	case c.Answers != "" && c.Answers != ledger.AnswersByCentre && (c.Answers != ledger.AnswersByLedger || c.Settlement != ledger.SettleByMeters):
		return fmt.Errorf("answers: %q, want %s, or %s where settlement is %s", c.Answers, ledger.AnswersByCentre, ledger.AnswersByLedger, ledger.SettleByMeters)
	case c.Credit != "" && c.Credit != ledger.CreditPaper && (c.Credit != ledger.CreditRobust || c.Settlement != ledger.SettleByMeters):
		return fmt.Errorf("credit: %q, want %s, or %s where settlement is %s", c.Credit, ledger.CreditPaper, ledger.CreditRobust, ledger.SettleByMeters)
	case c.Mechanism != "" && c.Mechanism != ledger.MechanismBilateral && (!c.bySlots() || c.credit() != ledger.CreditRobust):
		return fmt.Errorf("mechanism: %q, want %s, or %s or %s where credit is %s", c.Mechanism, ledger.MechanismBilateral, ledger.MechanismAuction, ledger.MechanismSharing, ledger.CreditRobust)
	case c.KillRootAfter < 0:
		return fmt.Errorf("kill-root-after: %v, want 0 or more", c.KillRootAfter)
	case len(c.Traces) > 0 && c.Scenario != "":
		return fmt.Errorf("trace and scenario exclude each other")
	case c.Storm != "" && (len(c.Traces) > 0 || c.Scenario != "" || c.Start != "" && c.Start != "peak-36h"):
		return fmt.Errorf("storm is the weather of all generators, and when it begins; leave trace, scenario and start out")
	case c.Storm != "" && storms[c.Storm] == nil:
		return fmt.Errorf("storm: %q, want %s or %s", c.Storm, StormSquall, StormCyclone)
	case c.Storm != "" && c.Speed > maxStormSpeed:
		return fmt.Errorf("speed: %g, want at most %g with a storm: a nowcast holds for half an hour of it", c.Speed, maxStormSpeed)
	case len(c.Traces) > c.Agents:
		return fmt.Errorf("agents: %d, want %d or more: each trace drives a generator", c.Agents, len(c.Traces))
	case c.Scenario != "" && !slices.Contains(scenario.Names(), c.Scenario):
		return fmt.Errorf("scenario: %q is none of %s", c.Scenario, strings.Join(scenario.Names(), ", "))
	}
	if c.Start != "" && c.Start != "peak-36h" {
		if _, err := time.Parse(time.RFC3339, c.Start); err != nil {
			return fmt.Errorf("start: %q, want peak-36h or a time such as 2021-07-22T00:00:00Z", c.Start)
		}
	}
	if slices.Contains(c.Misbehave, "all") {
		c.Misbehave = misbehavioursOf(c.bySlots())
	}
	if i := slices.Index(c.Misbehave, Traders); i >= 0 {
		c.Misbehave = append(slices.Delete(slices.Clone(c.Misbehave), i, i+1), culpritKinds(c.bySlots())...)
	}
	for _, kind := range c.Misbehave {
		if known := misbehavioursOf(c.bySlots()); !slices.Contains(known, kind) {
			return fmt.Errorf("misbehave: %q is none of %s, traders, all", kind, strings.Join(known, ", "))
		}
	}
	if c.Members && (c.KillRootAfter > 0 || c.misbehaves(DropBlocks)) {
		return fmt.Errorf("members: leave kill-root-after and misbehave %s out: a run tells one of them", DropBlocks)
	}
	_, err := c.params()
	return err
}

func (c *Config) misbehaves(kind string) bool { return slices.Contains(c.Misbehave, kind) }

// bySlots says whether the grid trades by slots.
func (c *Config) bySlots() bool {
	return c.Mechanism == ledger.MechanismAuction || c.Mechanism == ledger.MechanismSharing
}

// answers is who answers requests on the chain.
func (c *Config) answers() string {
	switch {
	case c.Answers == ledger.AnswersByCentre, c.Answers == "" && c.Settlement != ledger.SettleByMeters:
		return ledger.AnswersFirst
	}
	return ledger.AnswersByLedger
}

// excuses is what excuses a gate that closed on the chain.
func (c *Config) excuses() string {
	if c.Excuses == "" && c.credit() == ledger.CreditRobust {
		return ledger.ExcusesWitnessed
	}
	return c.Excuses
}

// credit is the credit of the chain.
func (c *Config) credit() string {
	switch {
	case c.Credit != "":
		return c.Credit
	case c.Settlement == ledger.SettleByMeters:
		return ledger.CreditRobust
	}
	return ledger.CreditPaper
}

// Misbehaviours lists the kinds of trouble, those of an auction last.
func Misbehaviours() []string { return append(misbehavioursOf(false), culpritKinds(true)...) }
