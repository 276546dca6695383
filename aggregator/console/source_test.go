package console

import (
	"context"
	"sync"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/wct"
)

// hostile is text that would act if it ever became markup.
const hostile = `<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>`

// fixed is a Source whose snapshot a test sets.
type fixed struct {
	mu   sync.Mutex
	snap *Snapshot
	ch   chan struct{}
	kept Archive

	measures *Measures
}

func newFixed(s *Snapshot) *fixed {
	return &fixed{snap: s, ch: make(chan struct{}), kept: kept{s.TimeMs}}
}

func (f *fixed) Snapshot() *Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}

func (f *fixed) set(change func(*Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.snap
	next.Version++
	change(&next)
	f.snap = &next
	close(f.ch)
	f.ch = make(chan struct{})
}

func (f *fixed) Wait(ctx context.Context, version uint64) error {
	f.mu.Lock()
	now, ch := f.snap.Version, f.ch
	f.mu.Unlock()
	if now != version {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fixed) Blocks(from uint64, limit int) ([]Block, error) {
	var out []Block
	for h := from; h <= f.Snapshot().Chain.Height && len(out) < limit; h++ {
		out = append(out, Block{Height: h})
	}
	return out, nil
}

func (f *fixed) Trade(id string) (Trade, bool) {
	for _, t := range f.Snapshot().Trades {
		if t.ID == id {
			return t, true
		}
	}
	return Trade{}, false
}

func (f *fixed) Standing(da string) (*ledger.Standing, bool) {
	for _, n := range f.Snapshot().Tree.Nodes {
		if n.ID == da {
			return &ledger.Standing{DA: da, TrustE4: n.EarnedE4, Steps: []ledger.TrustStep{{Cause: "dispute", Other: "da-2", Text: n.Why}}}, true
		}
	}
	return nil, false
}

// TreeSVG draws the tree of the sample.
func (f *fixed) TreeSVG() ([]byte, error) {
	in := &wct.Input{
		N: 4, IDs: []string{"da-3", "da-2", "da-4", "da-1"}, TrustE4: []int64{8500, 8500, 8200, 7900}, Links: []int{2, 1, 1, 1},
		OverheadUs:  [][]int64{{0, 2000, 14000, 5000}, {2000, 0, 4000, 3100}, {14000, 4000, 0, 6000}, {5000, 3100, 6000, 0}},
		TrustWeight: 1, LinkWeight: 1, TrustThresholdE4: 8000, OverheadThresholdUs: 8000,
	}
	t, err := wct.BuildLed(in, wct.WCT, []int{0, 1, 2, 3})
	if err != nil {
		return nil, err
	}
	return wct.SVG(in, t, map[int]string{0: "root", 1: "this one", 3: "deposed"})
}

func number(v float64) *float64 { return &v }

func millis(v int64) *int64 { return &v }

// sample is a community in the middle of a storm, seen at nowMs.
func sample(nowMs int64) *Snapshot {
	s := &Snapshot{
		Version: 7, TimeMs: nowMs, Name: "Seaside community", DA: "da-1", Software: "0.1.0", StartedMs: nowMs - 3600e3, Simulated: true,
		Words: []Word{
			{Device: "pv-1", Do: "block", Rule: "B01", By: "Bob", Why: "the roof", UntilMs: nowMs + 3600e3, TimeMs: nowMs - 60e3, Height: 41},
			{Device: "pv-1", Do: "ack", Rule: "E12", By: "Ada Lovelace", Why: hostile, Owner: "ada", TimeMs: nowMs - 120e3, Height: 40},
		},
		Nowcasts: Nowcasts{
			Count: 3, Taken: 71, Handed: 140, Deliveries: 88, Refused: map[string]uint64{"replayed": 2}, LastRefused: "nowcast of pv-1: " + hostile, LastRefusedMs: nowMs - 5000,
			Senders: []Nowcast{
				{ID: "pv-1", Site: "harbour", Latitude: 30, Longitude: 119.2, MadeMs: nowMs - 120e3, GustRatio: number(0.62), Simulated: true},
				{
					ID: "wind-2", Site: "ridge", Latitude: 30.3, Longitude: 120.4, MadeMs: nowMs - 60e3, GustRatio: number(1.91), ChangeHPa: number(-3.1),
					ThunderAgoMs: millis(420e3), Strokes3h: 31, Simulated: true,
				},
				{ID: "pv-4", Site: hostile, Latitude: 29.8, Longitude: 119.9, MadeMs: nowMs - 90e3, ChangeHPa: number(0.4), Simulated: true},
			},
		},
		Generators: []Generator{
			{
				ID: "pv-1", Site: "harbour", Online: "online", State: "OPEN", Said: "OPEN", SinceMs: nowMs - 1800e3, ValidUntilMs: nowMs + 60e3, LapsesMs: nowMs + 60e3,
				LastSeenMs: nowMs - 900, Simulated: true, OnChain: "OPEN", Contactor: "GPIO22, feedback GPIO27", ContactorOnChain: "watched",
				Hazards: []Hazard{{Kind: "thunderstorm", Level: "ok", P: number(0.031)}, {Kind: "wind", Level: "ok", P: number(0.12)}},
				Scores:  map[string]float64{"thunderstorm": 0.031, "wind": 0.12, "rain": 0.004, "heat": 0.4},
				Offer:   &Offer{VolumeWh: 8000, PriceMicroPerKWh: 150_000, ExpiresMs: nowMs + 3600e3},
				Now:     &Measured{TimeMs: nowMs - 2000, PowerW: number(4210.5), GustMPS: number(7.2), TemperatureC: number(21.4), IrradianceWPM2: number(640), EnergyWh: map[string]int64{"sold": 1234567}},
			},
			{
				ID: "wind-2", Site: "ridge", Online: "online", State: "BLOCKED", Said: "BLOCKED", SinceMs: nowMs - 300e3, ValidUntilMs: nowMs + 60e3, LapsesMs: nowMs + 60e3,
				LastSeenMs: nowMs - 2100, Simulated: true, OnChain: "BLOCKED", Waits: "a named person: agent ack --rule E10 --by NAME", Contactor: "none",
				CostSinceMs: nowMs - 86400e3, Costs: []Cost{
					{Rule: "W03", Title: "Gusts are strong", ClosedS: 9000, AloneS: 1800, KWh: number(12.34), Money: number(1.481)},
					{Rule: hostile, Title: hostile, ClosedS: 60},
				},
				Causes: []Cause{
					{
						Rule: "W03", Kind: "wind", Level: "block", Text: "gust 31.4 m/s (>= 25 m/s)",
						Title: "Gusts are strong", Says: "gust 31.4 m/s, limit 25 m/s", SinceMs: nowMs - 300e3, Ends: "30 min after it is over",
						Inputs: []Input{{Name: "wind_gust", Value: number(31.4), Unit: "m/s", Op: ">=", Threshold: number(25), AgeS: number(1.2)}},
					},
					{
						Rule: "E10", Kind: "equipment", Level: "block", Latched: true, Text: "insulation 41 kohm (< 100 kohm)",
						Title: "The insulation is too low", Says: "insulation 41 kohm, limit 100 kohm", SinceMs: nowMs - 86400e3,
						Ends:   "when it is over and a named person has acknowledged it: agent ack --rule E10 --by NAME",
						Inputs: []Input{{Name: "insulation", Value: number(41), Unit: "kohm", Op: "<", Threshold: number(100), AgeS: number(30)}},
					},
					{Rule: "W05", Kind: "rain", Level: "warn", Text: hostile, Title: hostile, Says: hostile, Ends: hostile},
					{Rule: "X99", Kind: "rain", Level: "warn", Text: "a text of an older agent"},
				},
				Hazards: []Hazard{{Kind: "wind", Level: "block", P: number(0.93)}, {Kind: "rain", Level: "warn"}, {Kind: "heat", Level: "ok"}},
				Scores:  map[string]float64{"wind": 0.931},
			},
			{
				ID: "wind-3", Site: "ridge", Online: "offline", State: "OFFLINE", Said: "OPEN", Why: "the agent is offline; it last said OPEN",
				WhySinceMs: nowMs - 40e3, SinceMs: nowMs - 86400e3, ValidUntilMs: nowMs - 40e3,
				LastSeenMs: nowMs - 130e3, Hazards: []Hazard{{Kind: "sensor", Level: "warn"}},
			},
			{
				ID: "pv-4", Site: "harbour", Online: "online", State: "CLEARING", Said: "CLEARING", SinceMs: nowMs - 20e3, ValidUntilMs: nowMs + 80e3,
				LapsesMs: nowMs + 80e3, OpensAtMs: nowMs + 280e3, LastSeenMs: nowMs - 500, ClearInS: 280, Simulated: true,
				Now: &Measured{TimeMs: nowMs - 2000, PowerW: number(310), WindMPS: number(3.1)},
			},
		},
		TradeCount: map[string]int{"settled": 118, "settled_partly": 6, "held": 1, "delivering": 2, "disputed": 1, "refunded": 9},
		Trades: []Trade{
			{
				ID: "t-house-2-42", Status: "held", Seller: "wind-2", Buyer: "house-2", VolumeWh: 4000, PriceMicroPerKWh: 182000,
				HeldByHazard: true, Reason: "W03: gust 31.4 m/s (>= 25 m/s)", Height: 480, UpdatedMs: nowMs - 300e3,
			},
			{
				ID: "t-house-1-41", Status: "settled", Seller: "pv-1", Buyer: "house-1", VolumeWh: 2500, EnergyWh: 2491,
				PriceMicroPerKWh: 150000, PaidMicro: 373650, ReturnedMicro: 1350, Height: 470, UpdatedMs: nowMs - 400e3,
			},
			{
				ID: "t-house-3-40", Status: "disputed", Seller: "pv-4", Buyer: "house-3", VolumeWh: 1000, EnergyWh: 990,
				PriceMicroPerKWh: 160000, Reason: hostile, Height: 466, UpdatedMs: nowMs - 500e3,
			},
			{ID: "t-house-1-39", Status: "escrowed", Buyer: "house-1", VolumeWh: 3000, Height: 465, UpdatedMs: nowMs - 520e3},
		},
		Auction: &Auction{SlotMs: 900e3, GateClosureMs: 300e3, Slots: []Slot{
			{StartMs: nowMs - 1900e3, Status: "ended", ClosesMs: nowMs - 2200e3, PriceMicroPerKWh: 171000, SoldWh: 5200, PaidWh: 4987, Trades: 3},
			{StartMs: nowMs - 1000e3, Status: "cleared", ClosesMs: nowMs - 1300e3, PriceMicroPerKWh: 183500, SoldWh: 6100, Trades: 4, Waiting: 3, SettlesMs: nowMs + 500e3},
			{
				StartMs: nowMs + 800e3, Status: "open", ClosesMs: nowMs + 500e3, Asks: 2, Bids: 1,
				Asked: &Orders{EnergyWh: 3400, BestMicroPerKWh: 150000}, Bid: &Orders{EnergyWh: 1250, BestMicroPerKWh: 240000},
			},
			{StartMs: nowMs + 1700e3, Status: "open", ClosesMs: nowMs + 1400e3, Bids: 7},
		}},
		Chain: Chain{
			ID: "5f2c9a0be1d44c17aa01bb239f7e6c558d2e4a6f70918b3cd2e1f0a9b8c7d6e5", Height: 482, TimeMs: nowMs - 700, Epoch: 24, View: 1,
			AccountingNode: "da-3", Records: 20411, ViewChanges: 1, Receipts: 30113, Order: []string{"da-1", "da-3", "da-2", "da-4"},
		},
		Agreement: Agreement{Members: 4, Quorum: 3, Reachable: 4, Voting: true, LastVoteMs: nowMs - 700},
		Tree: Tree{
			Algorithm: "wct",
			Nodes: []Node{
				{ID: "da-3", TrustE4: 8500, Links: 2, Root: true},
				{ID: "da-2", TrustE4: 8500, Links: 1, Self: true},
				{ID: "da-4", TrustE4: 8200, Links: 1},
				{ID: "da-1", TrustE4: 7900, Links: 1, Failed: true, EarnedE4: 4250, Condemned: true, Disputes: 2, Why: hostile, WhyHeight: 481},
			},
			Edges: []Edge{
				{Parent: "da-3", Child: "da-2", OverheadUs: 2000, Forwarded: 12},
				{Parent: "da-3", Child: "da-4", OverheadUs: 14000},
				{Parent: "da-2", Child: "da-1", OverheadUs: 3100, Forwarded: 480, Missed: 2, Pulled: 2},
			},
		},
		Counters: Counters{
			Brokers: 2, BrokersConnected: 2,
			Received: 20500, Accepted: 20420, Duplicates: 61, Refused: map[string]uint64{"replayed": 3, "invalid_signature": 2},
			Forwarded: 480, Pulled: 2, Missed: 2, Pending: 9, ATCT: Quantiles{N: 8192, P50: 18.4, P95: 41.25, P99: 88.1},
		},
	}
	for i := range uint64(8) {
		s.Chain.Blocks = append(s.Chain.Blocks, Block{
			Height: 482 - i, TimeMs: nowMs - 700 - int64(i)*1100, Epoch: 24, View: 1,
			AccountingNode: "da-3", Records: int(41 + i), Votes: 3, Bytes: 12000,
		})
	}
	return s
}

func (f *fixed) Archive() Archive { return f.kept }

func (f *fixed) Measures() *Measures { return f.measures }
