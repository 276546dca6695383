package grid

import (
	"math"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"time"
)

func TestConfigValidate(t *testing.T) {
	ok := DefaultConfig()
	if err := ok.Validate(); err != nil {
		t.Fatalf("the default: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // in the error
	}{
		"negative length":        {func(c *Config) { c.For = -time.Second }, "for: -1s"},
		"too few aggregators":    {func(c *Config) { c.DAs = 3 }, "das: 3"},
		"too many aggregators":   {func(c *Config) { c.DAs = 51 }, "das: 51"},
		"no generators":          {func(c *Config) { c.Agents = 0 }, "agents: 0"},
		"too many generators":    {func(c *Config) { c.Agents = 201 }, "agents: 201"},
		"no buyers":              {func(c *Config) { c.Buyers = 0 }, "buyers: 0"},
		"too many buyers":        {func(c *Config) { c.Buyers = 201 }, "buyers: 201"},
		"slower than real":       {func(c *Config) { c.Speed = 0.5 }, "speed: 0.5"},
		"too fast":               {func(c *Config) { c.Speed = 36001 }, "speed: 36001"},
		"no number":              {func(c *Config) { c.Speed = math.NaN() }, "speed: NaN"},
		"unknown settlement":     {func(c *Config) { c.Settlement = "halves" }, `settlement: "halves"`},
		"unknown links":          {func(c *Config) { c.Links = "pigeon" }, `links: "pigeon"`},
		"negative kill":          {func(c *Config) { c.KillRootAfter = -1 }, "kill-root-after"},
		"members and a dropper":  {func(c *Config) { c.Members, c.Misbehave = true, []string{DropBlocks} }, "members: "},
		"members and a kill":     {func(c *Config) { c.Members, c.KillRootAfter = true, time.Second }, "members: "},
		"trace and scenario":     {func(c *Config) { c.Traces, c.Scenario = []string{"a.csv"}, "calm" }, "exclude each other"},
		"unknown scenario":       {func(c *Config) { c.Scenario = "flood" }, `scenario: "flood" is none of calm`},
		"more traces than wind":  {func(c *Config) { c.Traces, c.Agents = []string{"a.csv", "b.csv"}, 1 }, "agents: 1, want 2 or more"},
		"start that is no time":  {func(c *Config) { c.Start = "yesterday" }, `start: "yesterday"`},
		"start without a zone":   {func(c *Config) { c.Start = "2021-07-22T00:00:00" }, "start: "},
		"unknown misbehaviour":   {func(c *Config) { c.Misbehave = []string{"sulk"} }, `misbehave: "sulk" is none of drop-blocks`},
		"set other excuses":      {func(c *Config) { c.Set = []string{"excuses=luck"} }, `excuses: "luck"`},
		"set without a value":    {func(c *Config) { c.Set = []string{"credit"} }, `set: "credit", want NAME=VALUE`},
		"set of no name":         {func(c *Config) { c.Set = []string{"fine=1"} }, `set: "fine" is no number of this genesis, want one of attestation_max_ms`},
		"set of a word":          {func(c *Config) { c.Set = []string{"trust=1"} }, `set: "trust" is chosen by other flags`},
		"set to no number":       {func(c *Config) { c.Set = []string{"fine_e4=much"} }, `set: fine_e4="much", want a whole number`},
		"set out of bounds":      {func(c *Config) { c.Set = []string{"loss_e4=5001"} }, "set: loss_e4: 5001, want 0 to 5000"},
		"set by another credit":  {func(c *Config) { c.Set = []string{"credit=paper", "fine_e4=1"} }, `set: "fine_e4" is no number of this genesis`},
		"set to unknown credit":  {func(c *Config) { c.Set = []string{"credit=card"} }, `credit: "card"`},
		"set to unknown answers": {func(c *Config) { c.Set = []string{"answers=oracle"} }, `answers: "oracle"`},
		"an unknown mechanism":   {func(c *Config) { c.Set = []string{"mechanism=lottery"} }, `mechanism: "lottery", want bilateral, or auction or sharing`},
		"slots without robust":   {func(c *Config) { c.Set = []string{"mechanism=auction", "credit=paper"} }, `mechanism: "auction", want bilateral, or auction or sharing where credit is robust`},
		"slots of no auction":    {func(c *Config) { c.Set = []string{"slot_ms=20000"} }, `set: "slot_ms" is no number of this genesis`},
		"a slot's culprit":       {func(c *Config) { c.Misbehave = []string{SilentAsker} }, `misbehave: "silent-asker" is none of drop-blocks`},
		"a request's culprit":    {func(c *Config) { c.Set, c.Misbehave = []string{"mechanism=auction"}, []string{NoStart} }, `misbehave: "no-start" is none of drop-blocks`},
		"a known and an unknown": {func(c *Config) { c.Misbehave = []string{DropBlocks, ""} }, `misbehave: ""`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// What is set stands in the genesis, and nothing else changes.
func TestConfigSet(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Set = []string{"start_by_ms=77000", "credit=robust", "tree=wct", "fine_e4=1000"}
	for range 2 { // it may be validated again
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := cfg.params()
	if err != nil || p.StartByMs != 77_000 || p.FineE4 != 1000 || p.Tree != "wct" || cfg.Tree != "wct" {
		t.Errorf("%+v, %v", p, err)
	}
	cfg = DefaultConfig()
	want, err := cfg.params()
	want.StartByMs, want.FineE4, want.Tree = 77_000, 1000, "wct"
	if err != nil || p != want {
		t.Errorf("%+v, %v, want %+v", p, err, want)
	}
}

// A grid with slots has short ones, and others where it is told so.
func TestConfigSlots(t *testing.T) {
	for set, want := range map[string]int64{"credit=robust": 0, "mechanism=bilateral": 0, "mechanism=auction": slotMs, "mechanism=sharing": slotMs, "mechanism=auction slot_ms=60000": 60_000} {
		cfg := DefaultConfig()
		cfg.Set = strings.Fields(set)
		if err := cfg.Validate(); err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		if p, err := cfg.params(); err != nil || p.SlotMs != want || cfg.bySlots() != (want > 0) {
			t.Errorf("%s: %d ms, %v", set, p.SlotMs, err)
		}
	}
}

func TestConfigTraders(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Misbehave = []string{DropBlocks, Traders}
	if err := cfg.Validate(); err != nil || len(cfg.Misbehave) != 1+len(culpritKinds(false)) || cfg.Misbehave[0] != DropBlocks {
		t.Errorf("%q, %v", cfg.Misbehave, err)
	}
}

func TestConfigAllMisbehaviours(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Misbehave = []string{"all"}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range Misbehaviours() {
		if cfg.misbehaves(kind) == slices.Contains(culpritKinds(true), kind) {
			t.Errorf("all, without an auction: %v", cfg.Misbehave)
		}
	}
	auction := DefaultConfig()
	auction.Set, auction.Misbehave = []string{"mechanism=auction"}, []string{Traders}
	if err := auction.Validate(); err != nil || !slices.Equal(auction.Misbehave, culpritKinds(true)) {
		t.Errorf("traders of an auction: %v, %v", auction.Misbehave, err)
	}
	// The configuration's list is a copy: changing it does not change the kinds.
	cfg.Misbehave[0] = "changed"
	if Misbehaviours()[0] == "changed" {
		t.Error("the configuration shares the list of kinds")
	}
}

func TestPercentiles(t *testing.T) {
	upTo := func(n int) []float64 {
		ms := make([]float64, n)
		for i := range ms {
			ms[i] = float64(n - i) // falling: they are to be sorted
		}
		return ms
	}
	for _, c := range []struct {
		ms   []float64
		want Percentiles
	}{
		{nil, Percentiles{}},
		{[]float64{7}, Percentiles{7, 7, 7, 1}},
		{[]float64{9, 1}, Percentiles{1, 9, 9, 2}},
		{upTo(99), Percentiles{50, 95, 99, 99}},
		{upTo(100), Percentiles{50, 95, 99, 100}},
		{upTo(101), Percentiles{51, 96, 100, 101}},
		{upTo(200), Percentiles{100, 190, 198, 200}},
	} {
		if got := percentiles(c.ms); got != c.want {
			t.Errorf("of %d: %+v, want %+v", len(c.ms), got, c.want)
		}
	}
}

// The grid has what new communities have: keys that agree and witnessed excuses, unless it
// is told otherwise or the paper's credit knows of none.
func TestConfigExcuses(t *testing.T) {
	for set, want := range map[string]string{"credit=robust": ledger.ExcusesWitnessed, "excuses=quota_of_holds": ledger.ExcusesByHolds, "credit=paper": ledger.ExcusesFirst} {
		cfg := DefaultConfig()
		cfg.Set = []string{set}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		if p, err := cfg.params(); err != nil || p.Excuses != want || !p.Possession || p.WitnessActive != (want == ledger.ExcusesWitnessed) {
			t.Errorf("%s: %q, possession %v, %v", set, p.Excuses, p.Possession, err)
		}
	}
}
