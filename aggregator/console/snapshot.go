package console

import (
	"context"

	"fairwatt/aggregator/ledger"
)

// A Source is what the console shows.
type Source interface {
	// Snapshot returns the newest state. The value is never changed again.
	Snapshot() *Snapshot
	// Wait returns nil once the newest version differs from the one given, or
	// the context's error.
	Wait(ctx context.Context, version uint64) error
	// Blocks returns up to limit blocks from a height on, ascending. A height
	// above the chain gives none and no error.
	Blocks(from uint64, limit int) ([]Block, error)
	// Trade returns one trade by its id (the id of its Token).
	Trade(id string) (Trade, bool)
	// Standing says why a data aggregator stands where it stands in the tree of the running
	// view; false if there is none of that id.
	Standing(da string) (*ledger.Standing, bool)
	// TreeSVG draws the communication tree of the running view.
	TreeSVG() ([]byte, error)
	// Archive is what is kept beside the snapshot; nil: nothing is.
	Archive() Archive
	// Measures are for metrics alone; nil: there are none.
	Measures() *Measures
}

// A Snapshot is one moment of one data aggregator. Times are Unix
// milliseconds, UTC; money is in millionths of the currency unit; energy in Wh.
type Snapshot struct {
	Version   uint64 `json:"version"` // differs when anything else does
	TimeMs    int64  `json:"time_ms"`
	Name      string `json:"name"` // of the community, from the genesis
	DA        string `json:"da"`   // whose view this is
	Software  string `json:"software"`
	StartedMs int64  `json:"started_ms"`
	Simulated bool   `json:"simulated"` // some value shown comes from a simulation
	// CertificateEndsMs is when this DA's TLS certificate ends; 0: it has none.
	CertificateEndsMs int64          `json:"certificate_ends_ms,omitempty"`
	Fault             string         `json:"fault,omitempty"` // why this DA takes no part in agreement
	Generators        []Generator    `json:"generators"`
	Trades            []Trade        `json:"trades"` // newest first, bounded
	TradeCount        map[string]int `json:"trade_count"`
	Auction           *Auction       `json:"auction,omitempty"` // absent where the chain clears no slots
	Words             []Word         `json:"words"`             // of people to devices, newest first, bounded
	Nowcasts          Nowcasts       `json:"nowcasts"`
	Chain             Chain          `json:"chain"`
	Tree              Tree           `json:"tree"`
	Agreement         Agreement      `json:"agreement"`
	Counters          Counters       `json:"counters"`
}

// A Generator is what its agent last said of itself, over MQTT and on the chain.
type Generator struct {
	ID     string `json:"id"`
	Site   string `json:"site"`
	Online string `json:"online"` // online, offline (last will), unknown
	// State is what the gate counts as, one of wire.SeenStates: INIT BLOCKED
	// CLEARING OPEN, or OFFLINE EXPIRED UNKNOWN, which count as blocked. Why says
	// why it is not the agent's own word, and WhySinceMs since when.
	State      string `json:"state"`
	Why        string `json:"why,omitempty"`
	WhySinceMs int64  `json:"why_since_ms,omitempty"`
	// LapsesMs is when State becomes EXPIRED if nothing more is heard.
	LapsesMs int64 `json:"lapses_ms,omitempty"`
	// Said is the state in the agent's last gate view; what follows is of it too.
	Said         string  `json:"said,omitempty"`
	SinceMs      int64   `json:"since_ms"`
	ValidUntilMs int64   `json:"valid_until_ms"`
	ClearInS     float64 `json:"clear_in_s,omitempty"`
	// OpensAtMs is the earliest opening, also while causes stand; Waits says what
	// is waited for that no time brings.
	OpensAtMs  int64              `json:"opens_at_ms,omitempty"`
	Waits      string             `json:"waits,omitempty"`
	LastSeenMs int64              `json:"last_seen_ms"`
	Causes     []Cause            `json:"causes"`
	Hazards    []Hazard           `json:"hazards"`
	Scores     map[string]float64 `json:"scores,omitempty"` // by the network, 0 to 1
	OnChain    string             `json:"on_chain,omitempty"`
	// Costs is what each rule has cost since CostSinceMs, as the agent reckons it.
	Costs       []Cost `json:"costs,omitempty"`
	CostSinceMs int64  `json:"cost_since_ms,omitempty"`
	// Contactor is what switches the power sold, in the agent's words; none, or
	// empty where it has not said.
	Contactor string `json:"contactor,omitempty"`
	// ContactorOnChain is what its signed offers say: none, unwatched, watched, or
	// empty where they say nothing.
	ContactorOnChain string `json:"contactor_on_chain,omitempty"`
	Simulated        bool   `json:"simulated"`
	// Now is what it measured last, at most five minutes ago; Offer is what it asks now.
	Now   *Measured `json:"now,omitempty"`
	Offer *Offer    `json:"offer,omitempty"`
	Membership
}

// Measured is what a device measured at a moment; absent: not measured.
type Measured struct {
	TimeMs         int64            `json:"time_ms"` // when it was heard
	PowerW         *float64         `json:"power_w,omitempty"`
	WindMPS        *float64         `json:"wind_mps,omitempty"`
	GustMPS        *float64         `json:"gust_mps,omitempty"`
	TemperatureC   *float64         `json:"temperature_c,omitempty"`
	IrradianceWPM2 *float64         `json:"irradiance_w_per_m2,omitempty"`
	EnergyWh       map[string]int64 `json:"energy_wh,omitempty"` // registers, by meter
}

// Nowcasts is what agents tell each other of the weather through this DA.
type Nowcasts struct {
	Senders    []Nowcast         `json:"senders"` // whose newest one counts now, by id, bounded
	Count      int               `json:"count"`   // of them, all
	Taken      uint64            `json:"taken"`   // that held and were new
	Duplicates uint64            `json:"duplicates"`
	Refused    map[string]uint64 `json:"refused"`    // by code
	Dropped    uint64            `json:"dropped"`    // not looked at: the queue was full
	Deliveries uint64            `json:"deliveries"` // messages to devices
	Handed     uint64            `json:"handed"`     // nowcasts in them
	// LastRefused says what was refused last, and why.
	LastRefused   string `json:"last_refused,omitempty"`
	LastRefusedMs int64  `json:"last_refused_ms,omitempty"`
}

// A Nowcast is one agent's weather, from a place that it has rounded itself.
type Nowcast struct {
	ID        string   `json:"id"`
	Site      string   `json:"site"`
	Latitude  float64  `json:"latitude"`
	Longitude float64  `json:"longitude"`
	MadeMs    int64    `json:"made_ms"`
	GustRatio *float64 `json:"gust_ratio,omitempty"`             // of the hour's highest gust, to what is a strong hour there
	ChangeHPa *float64 `json:"pressure_change_3h_hpa,omitempty"` // absent: not measured
	// ThunderAgoMs is the time since the last thunder, when the nowcast was made;
	// absent: none in 6 h, or nothing to notice it.
	ThunderAgoMs *int64 `json:"thunder_ago_ms,omitempty"`
	Strokes3h    int64  `json:"strokes_3h,omitempty"`
	Simulated    bool   `json:"simulated"`
}

// A Cause is why a gate is not open, or a warning.
type Cause struct {
	Rule    string  `json:"rule"`
	Kind    string  `json:"kind"`
	Level   string  `json:"level"`
	Latched bool    `json:"latched,omitempty"`
	Holding bool    `json:"holding,omitempty"` // no longer so, and the time after it still runs
	Text    string  `json:"text"`
	Inputs  []Input `json:"inputs"`
	// Title, Says, Ends and the times say it in words for people, as in
	// wire.CauseWords.
	Title    string `json:"title,omitempty"`
	Says     string `json:"says,omitempty"`
	SinceMs  int64  `json:"since_ms,omitempty"`
	Ends     string `json:"ends,omitempty"`
	EndsAtMs int64  `json:"ends_at_ms,omitempty"`
}

// An Input is a measured value a cause stands on.
type Input struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value,omitempty"` // absent: nothing was measured
	Unit      string   `json:"unit,omitempty"`
	Op        string   `json:"op,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
	AgeS      *float64 `json:"age_s,omitempty"`
	State     string   `json:"state,omitempty"` // why the value is not valid: stale, ...
}

// A Cost is what one rule has cost, as in wire.Cost.
type Cost struct {
	Rule    string   `json:"rule"`
	Title   string   `json:"title,omitempty"`
	ClosedS float64  `json:"closed_s"`
	AloneS  float64  `json:"alone_s"`
	KWh     *float64 `json:"kwh,omitempty"`
	Money   *float64 `json:"money,omitempty"`
}

// A Hazard is the newest view of one kind of hazard.
type Hazard struct {
	Kind  string   `json:"kind"`
	Level string   `json:"level"`       // ok, warn, block
	P     *float64 `json:"p,omitempty"` // the network's score
}

// A Trade as the chain has it.
type Trade struct {
	ID               string `json:"id"`
	Status           string `json:"status"`
	Seller           string `json:"seller"`
	Buyer            string `json:"buyer"`
	VolumeWh         int64  `json:"volume_wh"`
	EnergyWh         int64  `json:"energy_wh"` // settled, else billed, else 0
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	EscrowMicro      int64  `json:"escrow_micro"`
	PaidMicro        int64  `json:"paid_micro"`
	ReturnedMicro    int64  `json:"returned_micro"`
	HeldByHazard     bool   `json:"held_by_hazard"` // ever
	Reason           string `json:"reason,omitempty"`
	Height           uint64 `json:"height"` // of its newest change
	UpdatedMs        int64  `json:"updated_ms"`
}

// An Auction is what stands of the slots of a chain that trades by them.
type Auction struct {
	// Shared: what is produced in a slot is divided by agreed parts when it is over, not by an
	// auction before.
	Shared bool  `json:"shared,omitempty"`
	SlotMs int64 `json:"slot_ms"`
	// GateClosureMs is how long before its start a slot takes no more orders.
	GateClosureMs int64  `json:"gate_closure_ms"`
	Slots         []Slot `json:"slots"` // by their start, bounded
}

// A Slot is the market of one slot: open takes orders, cleared has its price and waits for
// readings, ended is paid. Who ordered what is on the chain; here are sums.
type Slot struct {
	StartMs  int64  `json:"start_ms"`
	Status   string `json:"status"`    // open, cleared, ended
	ClosesMs int64  `json:"closes_ms"` // when it takes no more orders
	Asks     int    `json:"asks"`      // orders that stand; 0 when it is not open, or those that share it
	Bids     int    `json:"bids"`
	// Of an open slot that is among the next; absent: not summed up, or no order of that side.
	Asked *Orders `json:"asked,omitempty"`
	Bid   *Orders `json:"bid,omitempty"`
	// Of one that has been cleared.
	PriceMicroPerKWh int64 `json:"price_micro_per_kwh,omitempty"` // one for all
	SoldWh           int64 `json:"sold_wh,omitempty"`
	Trades           int   `json:"trades,omitempty"`
	Waiting          int   `json:"waiting,omitempty"`    // readings that are not known yet
	SettlesMs        int64 `json:"settles_ms,omitempty"` // at the latest
	PaidWh           int64 `json:"paid_wh,omitempty"`    // of one that has ended: what both meters bore out
}

// Orders are those of one side of a slot.
type Orders struct {
	EnergyWh int64 `json:"energy_wh"`
	// BestMicroPerKWh is the lowest price asked, or the highest bid.
	BestMicroPerKWh int64 `json:"best_micro_per_kwh"`
}

// A Word is what a named person said to a device about its gate, as the chain has it.
type Word struct {
	Device    string `json:"device"`
	Do        string `json:"do"`   // ack, block, unblock
	Rule      string `json:"rule"` // acknowledged; of a block, the block's own
	By        string `json:"by"`
	Why       string `json:"why,omitempty"`
	Owner     string `json:"owner,omitempty"`    // whose key sealed the command; empty: said on the machine
	UntilMs   int64  `json:"until_ms,omitempty"` // of a block
	TimeMs    int64  `json:"time_ms"`            // the device's clock
	Height    uint64 `json:"height"`
	Simulated bool   `json:"simulated"`
}

// A Chain is where the ledger stands.
type Chain struct {
	ID             string   `json:"id"` // hex
	Height         uint64   `json:"height"`
	TimeMs         int64    `json:"time_ms"`
	Epoch          uint64   `json:"epoch"`
	View           uint64   `json:"view"`
	AccountingNode string   `json:"accounting_node"`
	Records        uint64   `json:"records"` // in all blocks
	ViewChanges    uint64   `json:"view_changes"`
	Receipts       uint64   `json:"receipts"` // entries sent by this DA
	Order          []string `json:"order"`    // of this epoch
	Blocks         []Block  `json:"blocks"`   // newest first, bounded
}

// Agreement is this DA's part in it, and what it hears of the others.
type Agreement struct {
	Members int `json:"members"`
	Quorum  int `json:"quorum"` // members that a block needs
	// Reachable are the members heard within the last seconds, this DA included.
	Reachable  int   `json:"reachable"`
	Voting     bool  `json:"voting"`
	LastVoteMs int64 `json:"last_vote_ms"` // of this DA, for a block; 0: none since its start
	// Stuck says why no block can come; empty when one can.
	Stuck string `json:"stuck,omitempty"`
	Peers []Peer `json:"peers"` // by id
}

// A Peer is another member as this DA hears it. Times are 0 for never.
type Peer struct {
	ID       string `json:"id"`
	Height   uint64 `json:"height"`
	HeardMs  int64  `json:"heard_ms"`
	VotedMs  int64  `json:"voted_ms"`
	Refused  uint64 `json:"refused"`              // what it sent against the rules
	CutOffMs int64  `json:"cut_off_ms,omitempty"` // until when nothing of it is looked at
}

// A Block is a summary of one certified block.
type Block struct {
	Height         uint64 `json:"height"`
	Hash           string `json:"hash"` // hex, of the header
	TimeMs         int64  `json:"time_ms"`
	Epoch          uint64 `json:"epoch"`
	View           uint64 `json:"view"`
	AccountingNode string `json:"accounting_node"`
	Records        int    `json:"records"`
	Bytes          int    `json:"bytes"`
	Votes          int    `json:"votes"`
}

// A Tree is the communication tree of the running view.
type Tree struct {
	Algorithm  string   `json:"algorithm"`
	Nodes      []Node   `json:"nodes"` // in the order of the sequence
	Edges      []Edge   `json:"edges"`
	Unattached []string `json:"unattached,omitempty"`
}

// A Node of the tree is a data aggregator.
type Node struct {
	ID      string `json:"id"`
	TrustE4 int64  `json:"trust_e4"` // trust value t_i in 1e-4
	Links   int    `json:"links"`    // maximum linking number l_i
	// EarnedE4 is its trust now; the tree follows with some delay. Why says what moved it
	// last, at the block of WhyHeight.
	EarnedE4  int64  `json:"earned_e4"`
	Why       string `json:"why,omitempty"`
	WhyHeight uint64 `json:"why_height,omitempty"`
	Condemned bool   `json:"condemned,omitempty"` // in dispute with more others than can lie, or guilty of two statements for one place
	Disputes  int    `json:"disputes,omitempty"`
	Probation string `json:"probation,omitempty"` // whom it forwards to beside the tree, to earn trust
	Root      bool   `json:"root,omitempty"`
	Failed    bool   `json:"failed,omitempty"` // it was deposed as accounting node in this epoch, and may vote all the same
	Self      bool   `json:"self,omitempty"`
}

// An Edge carries blocks from parent to child.
type Edge struct {
	Parent     string `json:"parent"`
	Child      string `json:"child"`
	OverheadUs int64  `json:"overhead_us"` // communication overhead w, in microseconds
	// What this DA counted on the edge: forwarded at its upper end, pulled and
	// missed at its lower end. Edges between others stay 0.
	Forwarded uint64 `json:"forwarded"`
	Pulled    uint64 `json:"pulled"`
	Missed    uint64 `json:"missed"`
}

// Counters since this DA started.
type Counters struct {
	// Brokers are those configured, BrokersConnected those that are there now.
	Brokers          int `json:"brokers"`
	BrokersConnected int `json:"brokers_connected"`

	Received   uint64            `json:"received"`   // records over MQTT
	Accepted   uint64            `json:"accepted"`   // by the intake
	Duplicates uint64            `json:"duplicates"` // seen before
	Refused    map[string]uint64 `json:"refused"`    // by code, at the intake and in blocks
	Dropped    uint64            `json:"dropped"`    // not taken: queue full or over the rate; their senders send again
	PutOff     uint64            `json:"put_off"`    // answers that asked a sender to send again later
	Forwarded  uint64            `json:"forwarded"`  // blocks sent on to children
	Pulled     uint64            `json:"pulled"`     // blocks fetched because they did not come
	Missed     uint64            `json:"missed"`     // blocks the tree did not bring in time
	Pending    int               `json:"pending"`    // accepted, not yet in a block
	BadViews   uint64            `json:"bad_views"`  // gate, hazard or status messages that could not be read
	ATCT       Quantiles         `json:"atct_ms"`
}

// Quantiles of the time from a record's arrival at this DA until its block was
// synced here, over the newest records, in ms.
type Quantiles struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}
