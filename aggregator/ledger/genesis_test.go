package ledger_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
)

type genesis = *ledger.Genesis

// genesisRules each change one thing of a valid genesis; want is how the error
// begins, "" that there is none.
var genesisRules = []struct {
	change func(genesis)
	want   string
}{
	{func(genesis) {}, ""},
	{func(g genesis) { g.Version = 0 }, "version: 0"},
	{func(g genesis) { g.Version = 2 }, "version: 2"},
	{func(g genesis) { g.Name = "" }, "name: "},
	{func(g genesis) { g.Name = strings.Repeat("x", 64) }, ""},
	{func(g genesis) { g.Name = strings.Repeat("x", 65) }, "name: "},
	{func(g genesis) { g.Name = "azAZ09 ._-" }, ""},
	{func(g genesis) { g.Name = "a/b" }, "name: "},
	{func(g genesis) { g.Name = "`" }, "name: "},
	{func(g genesis) { g.Name = "{" }, "name: "},
	{func(g genesis) { g.Name = "@" }, "name: "},
	{func(g genesis) { g.Name = "[" }, "name: "},
	{func(g genesis) { g.Name = ":" }, "name: "},
	{func(g genesis) { g.Name = "é" }, "name: "},
	{func(g genesis) { g.CreatedMs = -1 }, "created_ms: -1"},
	{func(g genesis) { g.CreatedMs = 0 }, ""},
	{func(g genesis) { g.CreatedMs = ledger.MaxTimeMs }, ""},
	{func(g genesis) { g.CreatedMs = ledger.MaxTimeMs + 1 }, "created_ms: "},
	{func(g genesis) { g.Params.EpochBlocks = 0 }, "params: epoch_blocks: 0"},

	{func(g genesis) { g.Aggregators, g.OverheadUs = nil, nil }, "aggregators: 0 of them"},
	{func(g genesis) { *g = *ledgertest.Genesis(ledger.MaxDAs, 0, 0) }, ""},
	{func(g genesis) { *g = *ledgertest.Genesis(ledger.MaxDAs+1, 0, 0) }, "aggregators: 201 of them"},
	{func(g genesis) { g.Aggregators[1].ID = "DA" }, "aggregators[1]: id: "},
	{func(g genesis) { g.Aggregators[1].ID = "da-1" }, `aggregators[1]: id: "da-1" stands twice`},
	{func(g genesis) { g.Aggregators[1].PublicKey = "ed25519:x" }, "aggregators[1]: public_key: "},
	{func(g genesis) { g.Aggregators[1].PublicKey = ledgertest.PublicKey("da-1") }, "aggregators[1]: public_key: "},
	{func(g genesis) { g.Aggregators[1].Address = "" }, "aggregators[1].address: "},
	{func(g genesis) { g.Aggregators[1].Address = "[fe80::1%eth0]:7_" }, ""},
	{func(g genesis) { g.Aggregators[1].Address = "azAZ09.-_:[]%" }, ""},
	{func(g genesis) { g.Aggregators[1].Address = strings.Repeat("x", 255) }, ""},
	{func(g genesis) { g.Aggregators[1].Address = strings.Repeat("x", 256) }, "aggregators[1].address: "},
	{func(g genesis) { g.Aggregators[1].Address = "a b:1" }, "aggregators[1].address: "},
	{func(g genesis) { g.Aggregators[1].Address = "é:1" }, "aggregators[1].address: "},
	{func(g genesis) { g.Aggregators[1].Links = -1 }, "aggregators[1].links: -1"},
	{func(g genesis) { g.Aggregators[1].Links = 0 }, ""},
	{func(g genesis) { g.Aggregators[1].Links = ledger.MaxDAs }, ""},
	{func(g genesis) { g.Aggregators[1].Links = ledger.MaxDAs + 1 }, "aggregators[1].links: "},
	{func(g genesis) { g.Aggregators[1].TrustE4 = -1 }, "aggregators[1].trust_e4: -1"},
	{func(g genesis) { g.Aggregators[1].TrustE4 = 0 }, ""},
	{func(g genesis) { g.Aggregators[1].TrustE4 = 10_000 }, ""},
	{func(g genesis) { g.Aggregators[1].TrustE4 = 10_001 }, "aggregators[1].trust_e4: "},
	{func(g genesis) { g.OverheadUs = g.OverheadUs[1:] }, "overhead_us: 3 rows"},
	{func(g genesis) { g.OverheadUs[2] = g.OverheadUs[2][1:] }, "overhead_us[2]: 3 columns"},
	{func(g genesis) { g.OverheadUs[2][1] = -1 }, "overhead_us[2][1]: -1"},
	{func(g genesis) { g.OverheadUs[2][1] = 0 }, ""},
	{func(g genesis) { g.OverheadUs[2][1] = math.MaxInt32 }, ""},
	{func(g genesis) { g.OverheadUs[2][1] = math.MaxInt32 + 1 }, "overhead_us[2][1]: "},
	{func(g genesis) { g.OverheadUs[2][2] = 1 }, "overhead_us[2][2]: 1"},

	{func(g genesis) { g.Params.EpochMs = 59_999 }, "params: epoch_ms: 59999"},
	{func(g genesis) { g.Params.EpochMs = 60_000 }, ""},
	{func(g genesis) { g.Params = g.Params.WithExcuses("luck") }, `params: excuses: "luck"`},
	{func(g genesis) { g.Params = g.Params.WithExcuses(ledger.ExcusesByHolds) }, `params: excuses: "quota_of_holds", want none with credit "paper"`},
	{func(g genesis) { g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed) }, `params: excuses: "witnessed" needs credit "robust", not "paper"`},
	{ledgertest.Witnessed, ""},
	{func(g genesis) { ledgertest.Robust(g); g.Params = g.Params.WithExcuses(ledger.ExcusesByHolds) }, ""},
	{func(g genesis) { g.Params.VerdictClears = true }, `params: credit: "paper", and numbers that belong to "robust"`},
	{func(g genesis) { ledgertest.Robust(g); g.Params.VerdictClears = false }, ""},
	{func(g genesis) { ledgertest.Robust(g); g.Params.WitnessMs = 1 }, `params: excuses: "", and numbers`},
	{func(g genesis) { ledgertest.Robust(g); g.Params.ExcusedE4 = 1 }, `params: excuses: "", and numbers`},
	{func(g genesis) { ledgertest.Robust(g); g.Params.WitnessActive = true }, `params: excuses: "", and numbers`},
	{func(g genesis) {
		ledgertest.Witnessed(g)
		g.Params = g.Params.WithCredit(ledger.CreditPaper)
		g.Arbiters, g.Money = nil, nil
	}, ""},

	{func(g genesis) { g.Params.Trust = "" }, ""},
	{func(g genesis) { g.Params.Trust = "hearsay" }, `params: trust: "hearsay"`},
	{func(g genesis) { g.Params = g.Params.WithAnswers(ledger.AnswersByLedger) }, ""},
	{func(g genesis) { g.Params = g.Params.WithAnswers(ledger.AnswersByCentre) }, ""},
	{func(g genesis) { g.Params = g.Params.WithAnswers("oracle") }, `params: answers: "oracle", want "ledger" or "centre"`},
	{func(g genesis) { g.Params.TokenMs = 1 }, `params: answers: "", and numbers that belong to "ledger"`},
	{func(g genesis) {
		g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
		g.Params.Answers = ledger.AnswersByCentre
	}, `params: answers: "centre", and numbers`},
	{func(g genesis) { ledgertest.FirstRules(g); g.Params.Answers = ledger.AnswersByCentre }, `params: answers: "centre", want none with the first rules`},
	{func(g genesis) {
		g.Params = g.Params.WithAnswers(ledger.AnswersByLedger)
		g.Params.Settlement, g.Meters = ledger.SettleByPaper, nil
	}, `params: answers: "ledger" needs settlement "meters", not "paper"`},

	{func(g genesis) { g.Params = g.Params.WithMechanism("lottery") }, `params: mechanism: "lottery", want "bilateral", "auction" or "sharing"`},
	{func(g genesis) { g.Params = g.Params.WithMechanism(ledger.MechanismBilateral) }, ""},
	{func(g genesis) { ledgertest.FirstRules(g); g.Params.Mechanism = ledger.MechanismBilateral }, `params: mechanism: "bilateral", want none with the first rules`},
	{func(g genesis) { g.Params.SlotMs = 1 }, `params: mechanism: "", and numbers that belong to "auction"`},
	{func(g genesis) { g.Params.Mechanism, g.Params.GateClosureMs = ledger.MechanismBilateral, 1 }, `params: mechanism: "bilateral", and numbers`},
	{func(g genesis) { g.Params = g.Params.WithMechanism(ledger.MechanismAuction) }, `params: mechanism: "auction" needs credit "robust", not "paper"`},
	{ledgertest.Auction, ""},
	{ledgertest.Sharing, ""},
	{func(g genesis) { g.Params = g.Params.WithMechanism(ledger.MechanismSharing) }, `params: mechanism: "sharing" needs credit "robust", not "paper"`},
	{func(g genesis) { ledgertest.Sharing(g); g.Params.GateClosureMs = 0 }, "params: gate_closure_ms: 0"},
	{func(g genesis) { ledgertest.Auction(g); g.Params.SlotMs = 900_500 }, "params: slot_ms: want a whole number of seconds"},

	{func(g genesis) { g.Centres = nil }, "centres: 0 of them"},
	{func(g genesis) { g.Centres = centres(16) }, ""},
	{func(g genesis) { g.Centres = centres(17) }, "centres: 17 of them"},
	{func(g genesis) { g.Centres[0].ID = "da-1" }, "centres[0]: id: "},
	{func(g genesis) { g.Centres[0].PublicKey = ledgertest.PublicKey("da-1") }, "centres[0]: public_key: "},
	{func(g genesis) { g.Members = make([]ledger.Member, ledger.MaxMembers+1) }, "members: 10001 of them"},
	{func(g genesis) { g.Members = make([]ledger.Member, ledger.MaxMembers) }, "members[0]: id: "}, // not too many
	{func(g genesis) { g.Members[1].ID = "mc" }, "members[1]: id: "},
	{func(g genesis) { g.Members[1].Site = "Site" }, "members[1]: site: "},
	{func(g genesis) { g.Members[1].Roles = nil }, "members[1]: roles: none"},
	{func(g genesis) { g.Members[1].Roles = []string{"owner"} }, `members[1]: roles: "owner"`},
	{func(g genesis) { g.Members[1].Roles = []string{"seller", "buyer"} }, ""},
	{func(g genesis) { g.Members[1].Roles = []string{"buyer", "seller"} }, "members[1]: roles: not ascending"},
	{func(g genesis) { g.Members[1].Roles = []string{"buyer", "buyer"} }, "members[1]: roles: not ascending"},
	{func(g genesis) { g.Members[1].MeterClassE4 = ledger.MaxMeterClassE4 }, ""},
	{func(g genesis) { g.Members[1].MeterClassE4 = ledger.MaxMeterClassE4 + 1 }, "members[1]: meter_class_e4: "},
}

// TestGenesisRules: what is refused names the field, and what stands at a limit
// is accepted.
func TestGenesisRules(t *testing.T) {
	for _, c := range genesisRules {
		g := ledgertest.Genesis(4, 1, 1)
		c.change(g)
		err := g.Validate()
		if (c.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func centres(n int) (list []ledger.Centre) {
	for i := range n {
		id := fmt.Sprintf("mc-%d", i)
		list = append(list, ledger.Centre{ID: id, PublicKey: ledgertest.PublicKey(id)})
	}
	return list
}

// TestParamsHaveLimits takes each parameter to both ends of its range and one
// beyond; none is forgotten.
func TestParamsHaveLimits(t *testing.T) {
	const year, trillion = 366 * 24 * 3600 * 1000, 1_000_000_000_000
	limits := map[string][2]int64{
		"epoch_blocks": {1, 1_000_000}, "skew_ms": {1, 3_600_000}, "max_records_per_block": {1, 100_000},
		"max_record_bytes": {1024, 1 << 20}, "weight_trust": {0, 1_000_000}, "weight_links": {0, 1_000_000},
		"t_thre_e4": {0, 10_000}, "w_thre_us": {0, 1 << 31}, "credit_weight_e6": {1, 1_000_000_000},
		"credit_start_e6": {-trillion, trillion}, "blacklist_below_e6": {-trillion, 1_000_000}, // up to the start
		"hold_quota": {0, 1_000_000}, "hold_quota_trades": {1, 1_000_000}, "settle_whole_e4": {1, 10_000},
		"loss_e4": {0, 5_000}, "register_step_wh": {1, 10_000}, "max_standing_ms": {1, year}, "start_by_ms": {1, year},
		"deliver_by_ms": {1, year}, "resume_by_ms": {1, year}, "confirm_by_ms": {1, year}, "dispute_ms": {1, year},
		"attestation_max_ms": {1, 3_600_000}, "hold_reading_ms": {1, 3_600_000}, "max_holds": {1, 1000}, "silence_ms": {1, year}, "reading_skew_ms": {1, 3_600_000},
		"credit_prior_wh": {1, ledger.MaxEnergyWh}, "credit_period_ms": {1, year}, "vouch_wh_per_unit": {0, ledger.MaxEnergyWh},
		"trade_cap_wh": {1, ledger.MaxEnergyWh}, "pair_cap_wh": {1, ledger.MaxEnergyWh}, "charge_e4": {2_000, 10_000}, // from the fine on
		"fine_e4": {0, 2_500}, "list_below_e6": {0, 1_000_000}, "list_ms": {1, year}, "verdict_ms": {1, year},
		"token_ms": {15_000, year}, "keep_ms": {0, 120_000}, // from keep_ms on, and up to token_ms
		"min_lot_wh": {1, ledger.MaxEnergyWh}, "max_sweep": {1, 100_000}, "max_requests": {1, 100_000},
		"epoch_ms":   {0, year},
		"witness_ms": {1, 24 * 3_600_000}, "excused_e4": {0, 10_000},
		"slot_ms": {10_000, 3_600_000}, "gate_closure_ms": {1_000, 24 * 3_600_000}, "slot_readings_ms": {1_000, 3_600_000},
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[ledger.Params]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "tree" || name == "settlement" || name == "credit" || name == "trust" || name == "answers" || name == "possession" || name == "excuses" || name == "witness_active" || name == "verdict_clears" || name == "mechanism" || field.Anonymous {
			continue
		}
		l, ok := limits[name]
		if !ok {
			t.Errorf("no limits for %s", name)
			continue
		}
		for v, good := range map[int64]bool{l[0] - 1: false, l[0]: true, l[1]: true, l[1] + 1: false} {
			p := ledger.DefaultParams().WithAnswers(ledger.AnswersByLedger).WithExcuses(ledger.ExcusesWitnessed).WithMechanism(ledger.MechanismAuction)
			if name == "credit_start_e6" {
				p.BlacklistBelowE6 = -trillion
			}
			switch f := reflect.ValueOf(&p).Elem().FieldByIndex(field.Index); {
			case f.CanInt():
				f.SetInt(v)
			case v < 0:
				continue // an unsigned parameter
			default:
				f.SetUint(uint64(v))
			}
			named := func(err error) bool { // the fine is at most the charge
				return strings.HasPrefix(err.Error(), name+": ") || name == "charge_e4" && strings.HasPrefix(err.Error(), "fine_e4: ") ||
					name == "token_ms" && strings.HasPrefix(err.Error(), "keep_ms: ")
			}
			if err := p.Validate(); good != (err == nil) || err != nil && !named(err) {
				t.Errorf("%s of %d: %v", name, v, err)
			}
		}
	}
	for tree, good := range map[string]bool{"oct": true, "wct": true, "lft": false, "": false} {
		p := ledger.DefaultParams()
		p.Tree = tree
		if err := p.Validate(); good != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), "tree: ") {
			t.Errorf("tree %q: %v", tree, err)
		}
	}
	for ms, good := range map[int64]bool{0: false, 1: true} {
		p := ledger.DefaultParams().WithAnswers(ledger.AnswersByLedger)
		p.TokenMs, p.KeepMs = ms, 0
		if err := p.Validate(); good != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), "token_ms: ") {
			t.Errorf("token_ms of %d: %v", ms, err)
		}
	}
	for settlement, good := range map[string]bool{"meters": true, "paper": true, "": false, "halves": false} {
		p := ledger.DefaultParams().WithCredit(ledger.CreditFirst)
		p.Settlement = settlement
		if err := p.Validate(); good != (err == nil) || err != nil && settlement != "" && !strings.HasPrefix(err.Error(), "settlement: ") {
			t.Errorf("settlement %q: %v", settlement, err)
		}
	}
	// The first rules know none of the numbers that came with the others.
	g := ledgertest.Genesis(1, 0, 0)
	ledgertest.FirstRules(g)
	if err := g.Validate(); err != nil {
		t.Error(err)
	}
	g.Params.MaxHolds = 1
	if err := g.Validate(); err == nil || !strings.Contains(err.Error(), "max_holds: 1") {
		t.Errorf("max_holds with the first rules: %v", err)
	}
	for _, huge := range []uint64{1 << 62, math.MaxUint64} {
		p := ledger.DefaultParams()
		p.EpochBlocks = huge
		q := ledger.DefaultParams()
		q.HoldQuota = huge
		if p.Validate() == nil || q.Validate() == nil {
			t.Errorf("%d is within the limits", huge)
		}
	}
}

// TestGenesisForm: one form of a genesis is read, with or without a newline,
// and its id is the hash of that form.
func TestGenesisForm(t *testing.T) {
	made := ledgertest.Genesis(4, 1, 1)
	b, err := made.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{b, append(bytes.Clone(b), '\n')} {
		g, err := ledger.ParseGenesis(form)
		if err != nil || g.ChainID() != made.ChainID() || g.Quorum() != 3 || g.Faulty() != 1 {
			t.Errorf("%v", err)
		}
	}
	spaced := new(bytes.Buffer)
	if err := json.Indent(spaced, b, "", " "); err != nil {
		t.Fatal(err)
	}
	for want, form := range map[string][]byte{
		"not in canonical form":       spaced.Bytes(),
		"more behind the JSON object": append(bytes.Clone(b), "{}"...),
		"bytes, at most":              make([]byte, ledger.MaxGenesisBytes+1),
		"unknown field":               append([]byte(`{"more":1,`), b[1:]...),
		"EOF":                         b[:len(b)-1],
		"version: 7":                  bytes.Replace(bytes.Clone(b), []byte(`"version":1`), []byte(`"version":7`), 1),
		"two newlines":                append(bytes.Clone(b), "\n\n"...),
	} {
		if want == "two newlines" {
			want = "not in canonical form"
		}
		if _, err := ledger.ParseGenesis(form); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := ledger.ParseGenesis(make([]byte, ledger.MaxGenesisBytes)); err == nil || strings.Contains(err.Error(), "at most") {
		t.Errorf("%v: the longest that may be is not too long", err)
	}
	// Two quorums share an honest aggregator.
	for n, want := range map[int][2]int{1: {0, 1}, 3: {0, 2}, 4: {1, 3}, 5: {1, 4}, 6: {1, 4}, 7: {2, 5}, 10: {3, 7}} {
		g := ledgertest.Genesis(n, 0, 0)
		if g.Faulty() != want[0] || g.Quorum() != want[1] {
			t.Errorf("%d aggregators: f %d, quorum %d; want %v", n, g.Faulty(), g.Quorum(), want)
		}
	}
}

// Credit is robust or the paper's, and each has the numbers that belong to it; robust
// credit needs settlement by meters, and two arbiters or none.
func TestCreditOfTheGenesis(t *testing.T) {
	for name, c := range map[string]struct {
		change func(genesis)
		want   string
	}{
		"robust":                      {ledgertest.Robust, ""},
		"the paper's":                 {func(g genesis) { g.Params = g.Params.WithCredit(ledger.CreditPaper) }, ""},
		"not said":                    {func(g genesis) { g.Params = g.Params.WithCredit(ledger.CreditFirst) }, ""},
		"another":                     {func(g genesis) { g.Params.Credit = "stars" }, `params: credit: "stars"`},
		"robust numbers of the paper": {func(g genesis) { g.Params.VerdictMs = 1 }, `params: credit: "paper"`},
		"robust without meters": {func(g genesis) {
			ledgertest.Robust(g)
			g.Params.Settlement, g.Meters = ledger.SettleByPaper, nil
		}, `params: credit: "robust" needs settlement "meters"`},
		"the paper's with the first rules": {func(g genesis) { ledgertest.FirstRules(g); g.Params.Credit = ledger.CreditPaper }, `params: credit: "paper"`},
		"no arbiters":                      {func(g genesis) { ledgertest.Robust(g); g.Arbiters = nil }, ""},
		"one arbiter":                      {func(g genesis) { ledgertest.Robust(g); g.Arbiters = g.Arbiters[:1] }, "arbiters: 1 of them"},
		"an arbiter that trades":           {func(g genesis) { ledgertest.Robust(g); g.Arbiters[1].ID = "seller-1" }, "arbiters[1]: id: "},
		"arbiters of the paper's": {func(g genesis) {
			ledgertest.Robust(g)
			g.Params = g.Params.WithCredit(ledger.CreditPaper)
		}, "arbiters: 3 of them, want none"},
	} {
		g := ledgertest.Genesis(4, 1, 1)
		c.change(g)
		if err := g.Validate(); (c.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
