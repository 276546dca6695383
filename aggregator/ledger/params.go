package ledger

import (
	"fmt"

	"fairwatt/aggregator/wct"
	"fairwatt/proto/brief"
)

// Limits that hold on every chain, so that no product of two of them leaves 64
// bits: volume × price is at most 1e18.
const (
	// MaxEnergyWh bounds a traded volume: 1 GWh.
	MaxEnergyWh = 1_000_000_000
	// MaxPriceMicroPerKWh bounds a price: 1000 currency units a kWh.
	MaxPriceMicroPerKWh = 1_000_000_000
	// MaxMoneyMicro bounds the sum of all deposits: 1e12 currency units.
	MaxMoneyMicro = 1_000_000_000_000_000_000
	// MaxRegisterWh bounds a meter's register: 1 PWh.
	MaxRegisterWh = 1_000_000_000_000_000
	// MaxTimeMs bounds a time: the year 9999.
	MaxTimeMs = 253_402_300_799_999
	// MaxMeterClassE4 bounds an accuracy class: class 5.
	MaxMeterClassE4 = 500
	// MaxRatedW bounds a meter's rated power: 1 TW.
	MaxRatedW = 1_000_000_000_000
	// MaxQuotes bounds the sellers named in a response.
	MaxQuotes = 64
)

// minEpochMs is the shortest epoch by time: a minute.
const minEpochMs = 60_000

// Params are the rules of one chain that are numbers, and how its trees are
// built. They stand in the genesis and never change. Durations are in milliseconds of block time.
type Params struct {
	// EpochBlocks is E: an epoch ends, and the next tree is built, after so
	// many blocks.
	EpochBlocks uint64 `json:"epoch_blocks"`
	// EpochMs ends an epoch of fewer blocks so long after it began; 0 for never, as on
	// chains that were made before there was a choice.
	EpochMs int64 `json:"epoch_ms,omitempty"`
	// SkewMs is how far a block's time may be from a voter's own clock
	// ([CheckSkew]).
	SkewMs int64 `json:"skew_ms"`
	// MaxRecordsPerBlock and MaxRecordBytes bound a block. The check refuses a
	// record that is larger than MaxRecordBytes when sealed.
	MaxRecordsPerBlock int `json:"max_records_per_block"`
	MaxRecordBytes     int `json:"max_record_bytes"`

	// The tree (paper, section 3.3): weights of trust and links in the score,
	// the trust threshold in 1e-4 and the overhead threshold in microseconds.
	WeightTrust int64 `json:"weight_trust"`
	WeightLinks int64 `json:"weight_links"`
	TThreE4     int64 `json:"t_thre_e4"`
	WThreUs     int64 `json:"w_thre_us"`
	// Tree is how a block is passed on from the accounting node: "oct", the
	// overhead-aware tree, or "wct", the paper's. The sequence of accounting
	// nodes is the paper's in both.
	Tree string `json:"tree"`

	// Credibility (paper, formula 8): credit ± w·volume. CreditWeightE6 is w
	// in 1e-6 a kWh; credit starts at CreditStartE6 and a participant whose
	// credit falls below BlacklistBelowE6 is blacklisted.
	CreditWeightE6   int64 `json:"credit_weight_e6"`
	CreditStartE6    int64 `json:"credit_start_e6"`
	BlacklistBelowE6 int64 `json:"blacklist_below_e6"`
	// Of every HoldQuotaTrades sales a seller ends, HoldQuota may fall short
	// because of a hazard without harm to its credit; more count as broken.
	HoldQuota       uint64 `json:"hold_quota"`
	HoldQuotaTrades uint64 `json:"hold_quota_trades"`

	// SettleWholeE4 is the part of the volume, in 1e-4, from which a delivery
	// counts as whole.
	SettleWholeE4 int64 `json:"settle_whole_e4"`
	// LossE4 is the part of the energy, in 1e-4, that may be lost on the line
	// between the two meters; RegisterStepWh is the resolution of a register.
	// Together with both meters' classes they say how far the meters may
	// differ ([Params.ToleranceWh]).
	LossE4         int64 `json:"loss_e4"`
	RegisterStepWh int64 `json:"register_step_wh"`

	// MaxStandingMs is how far ahead an offer, request or Token may expire.
	MaxStandingMs int64 `json:"max_standing_ms"`
	// StartByMs after the payment, DeliverByMs after the start (a hold's time
	// does not count), ResumeByMs after a hold, ConfirmByMs after the bill,
	// DisputeMs after a confirmation that the meters belie.
	StartByMs   int64 `json:"start_by_ms"`
	DeliverByMs int64 `json:"deliver_by_ms"`
	ResumeByMs  int64 `json:"resume_by_ms"`
	ConfirmByMs int64 `json:"confirm_by_ms"`
	DisputeMs   int64 `json:"dispute_ms"`
	// AttestationMaxMs is the longest validity of a gate attestation.
	AttestationMaxMs int64 `json:"attestation_max_ms"`

	// Settlement names the rules by which a delivery runs and is paid:
	// [SettleByMeters], [SettleByPaper], or [SettleFirst] of a chain that was
	// made before there was a choice. The numbers below belong to the first two and
	// are left out of a genesis where they are 0.
	Settlement string `json:"settlement,omitempty"`
	// HoldReadingMs is how long after a hold the seller may state what its meter
	// showed when it stopped; MaxHolds is how often a delivery may be held.
	HoldReadingMs int64 `json:"hold_reading_ms,omitempty"`
	MaxHolds      int64 `json:"max_holds,omitempty"`
	// SilenceMs is how long after ConfirmByMs a bill waits for the buyer's meter.
	SilenceMs int64 `json:"silence_ms,omitempty"`
	// ReadingSkewMs is how far a meter reading's time may be from block time.
	ReadingSkewMs int64 `json:"reading_skew_ms,omitempty"`
	// MinLotWh is the least that is paid for in one trade.
	MinLotWh int64 `json:"min_lot_wh,omitempty"`
	// MaxSweep is how many deadlines end in one block at most; more wait for the
	// next one.
	MaxSweep int64 `json:"max_sweep,omitempty"`
	// MaxRequests is how many requests of one buyer may stand unanswered.
	MaxRequests int64 `json:"max_requests,omitempty"`

	// Credit names the rules by which promises make credit: [CreditRobust],
	// [CreditPaper], or [CreditFirst] of a chain that was made before there was a choice.
	Credit string `json:"credit,omitempty"`
	RobustCredit
	// Trust names what trust, links and overheads are: [TrustByReports], or
	// [TrustFixed] of a chain that was made before there was a choice.
	Trust string `json:"trust,omitempty"`
	// Answers names who answers a request: [AnswersByLedger], [AnswersByCentre], or
	// [AnswersFirst] of a chain that was made before there was a choice.
	Answers string `json:"answers,omitempty"`
	LedgerAnswers
	// Possession: who is registered has shown that it has its key.
	Possession bool `json:"possession,omitempty"`
	// Excuses names what excuses a shortfall by a hazard: [ExcusesWitnessed],
	// [ExcusesByHolds], or [ExcusesFirst] of a chain that was made before there was a choice.
	// The numbers belong to the first and are left out elsewhere: WitnessMs is how far two
	// gates may close apart for one to bear the other out, and ExcusedE4 the part of what a
	// seller delivered in the last credit_period_ms, in 1e-4, that may be excused without a
	// witness.
	Excuses   string `json:"excuses,omitempty"`
	WitnessMs int64  `json:"witness_ms,omitempty"`
	ExcusedE4 int64  `json:"excused_e4,omitempty"`
	// WitnessActive: who is suspended or revoked bears no one out from then on, whatever it saw before.
	WitnessActive bool `json:"witness_active,omitempty"`
	// Mechanism names how buyers and sellers find each other: [MechanismAuction] beside requests
	// and offers, or these alone by [MechanismBilateral], and by [MechanismFirst] on a chain that
	// was made before there was a choice.
	Mechanism string `json:"mechanism,omitempty"`
	SlotRules
}

// What trust, links and overheads are.
const (
	// TrustFixed: what the genesis says, for ever.
	TrustFixed = ""
	// TrustByReports: what the data aggregators report of each other on the chain; the
	// genesis says what they begin with.
	TrustByReports = "reports"
)

// The rules by which a delivery runs and is paid.
const (
	// SettleFirst are the rules of chains made before the others: the seller's own
	// word on its gate, half of what the meters differ by.
	SettleFirst = ""
	// SettleByPaper are the paper's own: the buyer's word pays, or nothing does.
	SettleByPaper = "paper"
	// SettleByMeters: the gate on the chain decides what may flow, and what both
	// meters bear out is paid.
	SettleByMeters = "meters"
)

// DefaultParams returns the parameters `aggregator mc init` starts from.
func DefaultParams() Params {
	const minute = 60_000
	return Params{
		EpochBlocks:        100,
		SkewMs:             5_000,
		MaxRecordsPerBlock: 2_000,
		MaxRecordBytes:     16 << 10,
		WeightTrust:        1,
		WeightLinks:        1,
		TThreE4:            8_000,
		WThreUs:            8_000,
		Tree:               string(wct.OCT),
		CreditWeightE6:     10_000,
		CreditStartE6:      1_000_000,
		BlacklistBelowE6:   0,
		HoldQuota:          3,
		HoldQuotaTrades:    10,
		SettleWholeE4:      9_500,
		LossE4:             0,
		RegisterStepWh:     1,
		MaxStandingMs:      24 * 60 * minute,
		StartByMs:          15 * minute,
		DeliverByMs:        6 * 60 * minute,
		ResumeByMs:         60 * minute,
		ConfirmByMs:        15 * minute,
		DisputeMs:          24 * 60 * minute,
		AttestationMaxMs:   90_000,
		Settlement:         SettleByMeters,
		HoldReadingMs:      minute,
		MaxHolds:           10,
		SilenceMs:          7 * 24 * 60 * minute,
		ReadingSkewMs:      2 * minute,
		MinLotWh:           10,
		MaxSweep:           1_000,
		MaxRequests:        8,
		Credit:             CreditRobust,
		RobustCredit:       defaultRobust(),
		Trust:              TrustByReports,
	}
}

// Validate names the first parameter outside its limits.
func (p *Params) Validate() error {
	const year = 366 * 24 * 3600 * 1000
	for _, c := range []struct {
		name           string
		value, low, up int64
	}{
		{"epoch_blocks", int64(min(p.EpochBlocks, 1<<62)), 1, 1_000_000},
		{"skew_ms", p.SkewMs, 1, 3_600_000},
		{"max_records_per_block", int64(p.MaxRecordsPerBlock), 1, 100_000},
		{"max_record_bytes", int64(p.MaxRecordBytes), 1 << 10, 1 << 20},
		{"weight_trust", p.WeightTrust, 0, 1_000_000},
		{"weight_links", p.WeightLinks, 0, 1_000_000},
		{"t_thre_e4", p.TThreE4, 0, 10_000},
		{"w_thre_us", p.WThreUs, 0, 1 << 31},
		{"credit_weight_e6", p.CreditWeightE6, 1, 1_000_000_000},
		{"credit_start_e6", p.CreditStartE6, -1_000_000_000_000, 1_000_000_000_000},
		{"blacklist_below_e6", p.BlacklistBelowE6, -1_000_000_000_000, p.CreditStartE6},
		{"hold_quota", int64(min(p.HoldQuota, 1<<62)), 0, 1_000_000},
		{"hold_quota_trades", int64(min(p.HoldQuotaTrades, 1<<62)), 1, 1_000_000},
		{"settle_whole_e4", p.SettleWholeE4, 1, 10_000},
		{"loss_e4", p.LossE4, 0, 5_000},
		{"register_step_wh", p.RegisterStepWh, 1, 10_000},
		{"max_standing_ms", p.MaxStandingMs, 1, year},
		{"start_by_ms", p.StartByMs, 1, year},
		{"deliver_by_ms", p.DeliverByMs, 1, year},
		{"resume_by_ms", p.ResumeByMs, 1, year},
		{"confirm_by_ms", p.ConfirmByMs, 1, year},
		{"dispute_ms", p.DisputeMs, 1, year},
		{"attestation_max_ms", p.AttestationMaxMs, 1, 3_600_000},
	} {
		if c.value < c.low || c.value > c.up {
			return fmt.Errorf("%s: %d, want %d to %d", c.name, c.value, c.low, c.up)
		}
	}
	if err := p.validateSettlement(year); err != nil {
		return err
	}
	if err := p.validateCredit(year); err != nil {
		return err
	}
	if err := p.validateAnswers(year); err != nil {
		return err
	}
	if err := p.validateExcuses(); err != nil {
		return err
	}
	if err := p.validateMechanism(); err != nil {
		return err
	}
	if p.Trust != TrustFixed && p.Trust != TrustByReports {
		return fmt.Errorf("trust: %s, want %q, or none for that of the genesis", brief.Quote(p.Trust), TrustByReports)
	}
	if p.Tree != string(wct.OCT) && p.Tree != string(wct.WCT) {
		return fmt.Errorf("tree: %q, want %q or %q", p.Tree, wct.OCT, wct.WCT)
	}
	return nil
}

// validateSettlement checks the rules of delivery and the numbers that belong to
// them. The first rules know none of these.
func (p *Params) validateSettlement(year int64) error {
	first := p.Settlement == SettleFirst
	if !first && p.Settlement != SettleByPaper && p.Settlement != SettleByMeters {
		return fmt.Errorf("settlement: %s, want %q or %q", brief.Quote(p.Settlement), SettleByMeters, SettleByPaper)
	}
	for _, c := range []struct {
		name           string
		value, low, up int64
	}{
		{"hold_reading_ms", p.HoldReadingMs, 1, 3_600_000},
		{"max_holds", p.MaxHolds, 1, 1_000},
		{"silence_ms", p.SilenceMs, 1, year},
		{"reading_skew_ms", p.ReadingSkewMs, 1, 3_600_000},
		{"min_lot_wh", p.MinLotWh, 1, MaxEnergyWh},
		{"max_sweep", p.MaxSweep, 1, 100_000},
		{"max_requests", p.MaxRequests, 1, 100_000},
		{"epoch_ms", p.EpochMs, 0, year}, // who leads asks for the block by a tick, which the first rules do not know
	} {
		if first {
			c.low, c.up = 0, 0
		}
		if c.value < c.low || c.value > c.up {
			return fmt.Errorf("%s: %d, want %d to %d with settlement %q", c.name, c.value, c.low, c.up, p.Settlement)
		}
	}
	if p.EpochMs > 0 && p.EpochMs < minEpochMs {
		return fmt.Errorf("epoch_ms: %d, want 0 for never, or %d or more", p.EpochMs, minEpochMs)
	}
	return nil
}

// byMeters tells whether the chain's gates and both meters decide.
func (p *Params) byMeters() bool { return p.Settlement == SettleByMeters }

// ToleranceWh returns by how much two meters of the given accuracy classes
// (1e-4) may differ over energyWh: line loss, both classes, and one register
// step at the start and at the end, rounded up.
func (p *Params) ToleranceWh(energyWh int64, classE4A, classE4B uint32) int64 {
	parts := energyWh * (p.LossE4 + int64(classE4A) + int64(classE4B))
	return (parts+9_999)/10_000 + 2*p.RegisterStepWh
}

// CheckSkew tells whether a block of time blockMs may be voted for by a data
// aggregator whose wall clock says nowMs. The rules cannot check it: they have
// no clock, and a verifier years later has no use for it.
func (p *Params) CheckSkew(blockMs, nowMs int64) error {
	if d := blockMs - nowMs; d > p.SkewMs || -d > p.SkewMs {
		return fmt.Errorf("block time is %d ms from this clock, at most %d allowed (skew_ms)", d, p.SkewMs)
	}
	return nil
}
