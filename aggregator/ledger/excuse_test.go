package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func warned(area, kind string, fromMs, untilMs int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_WarningNotice{WarningNotice: &fairwattpb.WarningNotice{
		Area: area, Kind: kind, FromMs: fromMs, UntilMs: untilMs, SourceHash: make([]byte, 32)}}}
}

// closes is a gate change that says BLOCKED, of some kinds of hazards.
func closes(seq uint64, kinds ...string) record {
	r := gate(seq, blocked)
	for _, kind := range kinds {
		r.GetGateChange().Causes = append(r.GetGateChange().Causes, &fairwattpb.Cause{Rule: "W03", Kind: kind, Level: "block", Text: "gust"})
	}
	return r
}

// A hill is a chain whose two sellers have one site; seller-1 sells again and again.
type hill struct {
	*world
	trades int
	seq    uint64
	again  *ledger.State // the chain replayed, for what it tells
}

const neighbour = "seller-2"

func newHill(t testing.TB, excuses string, change ...func(*ledger.Genesis)) *hill {
	h := &hill{world: newRobust(t, func(g *ledger.Genesis) {
		for i := range g.Members {
			g.Members[i].Site = "hill"
		}
		g.Params = g.Params.WithExcuses(excuses)
		for _, c := range change {
			c(g)
		}
	}), seq: 1}
	h.must(mc, deposit(buyer, 100_000_000, "deposit-1"))
	h.must(seller, gate(1, open))
	return h
}

// begin has a trade of 2 kWh delivering.
func (h *hill) begin() *ledgertest.Deal {
	h.t.Helper()
	h.trades++
	d := &ledgertest.Deal{Chain: h.Chain, ID: fmt.Sprintf("t-%d", h.trades), Seller: seller, Buyer: buyer, VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	if err := d.Pay(); err != nil {
		h.t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *hill) change(r record) {
	h.t.Helper()
	h.seq++
	r.GetGateChange().GateSeq = h.seq
	h.must(seller, r)
}

// end bills so much, opens the gate, and says what excused the seller and what it paid.
func (h *hill) end(d *ledgertest.Deal, wh int64) (told string, fineMicro int64) {
	h.t.Helper()
	from := len(h.Blocks)
	if err := d.Bill(wh, 0); err != nil {
		h.t.Fatal(err)
	}
	if wh > 0 {
		if err := d.Confirm(wh); err != nil {
			h.t.Fatal(err)
		}
	}
	told = h.told(from)
	h.change(gate(0, open))
	trade, _ := h.State.Trade(d.ID)
	return told, trade.FineMicro
}

// told replays the chain for what was said of excuses from a block on.
func (h *hill) told(from int) string {
	h.t.Helper()
	if h.again == nil {
		s, err := ledger.NewState(h.Genesis)
		if err != nil {
			h.t.Fatal(err)
		}
		h.again = s
	}
	var out []string
	for i := int(h.again.Height()); i < len(h.Blocks); i++ {
		st, err := h.again.VerifyCertified(h.Blocks[i])
		if err == nil {
			err = h.again.Commit(st)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		for _, step := range st.Steps() {
			if i >= from && step.Kind == ledger.StepExcused {
				out = append(out, step.Text)
			}
		}
	}
	return strings.Join(out, "; ")
}

func (h *hill) earns(whole int) {
	for range whole {
		h.end(h.begin(), 2000)
	}
}

const window = 600_000

// Who bears a hold out excuses it fully, and who does not, or too late, or of another
// kind, does not. Nothing was delivered before, so there is no quota.
func TestWitnesses(t *testing.T) {
	holdsAt := func(h *hill) int64 { return h.State.TimeMs() + 1 }
	for name, c := range map[string]struct {
		before, after func(h *hill)
		kinds         []string
		want          string // of what is told
	}{
		"no one":                      {nil, nil, []string{"wind"}, ""},
		"a neighbour before":          {func(h *hill) { h.must(neighbour, closes(1, "wind")); h.NowMs += window - 1 }, nil, []string{"wind"}, "gate of seller-2"},
		"a neighbour long before":     {func(h *hill) { h.must(neighbour, closes(1, "wind")); h.NowMs += window }, nil, []string{"wind"}, ""},
		"a neighbour after":           {nil, func(h *hill) { h.NowMs += window - 1; h.must(neighbour, closes(1, "wind")) }, []string{"wind"}, "gate of seller-2"},
		"a neighbour long after":      {nil, func(h *hill) { h.NowMs += window; h.must(neighbour, closes(1, "wind")) }, []string{"wind"}, ""},
		"a neighbour of another kind": {func(h *hill) { h.must(neighbour, closes(1, "heat")) }, func(h *hill) { h.must(neighbour, closes(2, "rain")) }, []string{"wind"}, ""},
		"one kind of two":             {func(h *hill) { h.must(neighbour, closes(1, "heat", "wind")) }, nil, []string{"rain", "wind"}, "gate of seller-2"},
		"a buyer of the site":         {func(h *hill) { h.must(buyer, closes(1, "wind")) }, nil, []string{"wind"}, "gate of buyer-1"},
		"its own other change":        {nil, func(h *hill) { h.change(closes(0, "wind")) }, []string{"wind"}, ""},
		"a gate that opens":           {func(h *hill) { h.must(neighbour, gate(1, open)) }, nil, []string{"wind"}, ""},
		"a gate that waits": {func(h *hill) {
			r := closes(1, "wind")
			r.GetGateChange().State = fairwattpb.GateState_GATE_STATE_CLEARING
			h.must(neighbour, r)
		}, nil, []string{"wind"}, ""},
		"a sensor of its own":      {func(h *hill) { h.must(neighbour, closes(1, "sensor")) }, nil, []string{"sensor"}, ""},
		"its own equipment":        {func(h *hill) { h.must(neighbour, closes(1, "equipment")) }, nil, []string{"equipment"}, ""},
		"its owner's word":         {func(h *hill) { h.must(neighbour, closes(1, "external")) }, nil, []string{"external"}, ""},
		"a kind that is no name":   {func(h *hill) { h.must(neighbour, closes(1, "WIND/1")) }, nil, []string{"WIND/1"}, ""},
		"a fifth kind":             {func(h *hill) { h.must(neighbour, closes(1, "e")) }, nil, []string{"a", "b", "c", "d", "e"}, ""},
		"a fourth kind, one twice": {func(h *hill) { h.must(neighbour, closes(1, "d")) }, nil, []string{"a", "a", "b", "c", "d"}, "gate of seller-2"},
		"a second name with no bond": {func(h *hill) {
			w := h.registration("name-2", "name-2")
			w.GetRegistration().Site = "hill"
			h.must(mc, w)
			h.must("name-2", closes(1, "wind"))
		}, func(h *hill) { h.must("name-2", closes(2, "wind")) }, []string{"wind"}, ""},
		"a warning before": {func(h *hill) { h.must(mc, warned("hill", "wind", ledgertest.StartMs, h.NowMs+3_600_000)) }, nil, []string{"wind"}, "official warning of record"},
		"a warning after": {nil, func(h *hill) {
			h.NowMs += window - 1
			h.must(mc, warned("hill", "wind", ledgertest.StartMs, h.NowMs+2))
		}, []string{"wind"}, "official warning of record"},
		"one made up later": {nil, func(h *hill) {
			h.NowMs += window
			h.must(mc, warned("hill", "wind", ledgertest.StartMs, h.NowMs+3_600_000))
		}, []string{"wind"}, ""},
		"a warning of another area": {func(h *hill) { h.must(mc, warned("valley", "wind", ledgertest.StartMs, h.NowMs+3_600_000)) }, nil, []string{"wind"}, ""},
		"a warning of another kind": {func(h *hill) { h.must(mc, warned("hill", "heat", ledgertest.StartMs, h.NowMs+3_600_000)) }, nil, []string{"wind"}, ""},
		"a warning that is over":    {func(h *hill) { h.must(mc, warned("hill", "wind", ledgertest.StartMs, h.NowMs+2)); h.NowMs += 10 }, nil, []string{"wind"}, ""},
		"a warning to come":         {func(h *hill) { h.must(mc, warned("hill", "wind", h.NowMs+1_000_000, h.NowMs+3_600_000)) }, nil, []string{"wind"}, ""},
		"one to come, after":        {nil, func(h *hill) { h.must(mc, warned("hill", "wind", h.NowMs+1, h.NowMs+3_600_000)) }, []string{"wind"}, ""},
		"a warning from then on":    {nil, func(h *hill) { h.must(mc, warned("hill", "wind", h.State.TimeMs(), h.NowMs+3_600_000)) }, []string{"wind"}, "official warning of record"},
	} {
		h := newHill(t, ledger.ExcusesWitnessed)
		d := h.begin()
		if c.before != nil {
			c.before(h)
		}
		at := holdsAt(h)
		h.change(closes(0, c.kinds...))
		if c.after != nil {
			c.after(h)
		}
		told, fine := h.end(d, 0)
		if (c.want == "") != (told == "") || !strings.Contains(told, c.want) || (fine == 0) != (c.want != "") {
			t.Errorf("%s (hold at %d): told %q, fined %d, want %q", name, at, told, fine, c.want)
		}
	}
}

// A witness of one hold is none of a later one, and a gate that has opened since is no
// hazard that waits for a witness.
func TestWitnessIsOfItsHold(t *testing.T) {
	h := newHill(t, ledger.ExcusesWitnessed)
	h.must(neighbour, closes(1, "wind"))
	d := h.begin()
	h.change(closes(0, "wind"))
	h.change(gate(0, open))
	a, err := h.Attest(seller, h.seq, open, 60_000)
	if err != nil {
		t.Fatal(err)
	}
	h.must(seller, &fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{TradeId: d.ID, Attestation: a, Reading: at("seller-1-meter-2", 0)}}})
	h.NowMs += window
	h.change(closes(0, "wind"))
	if told, fine := h.end(d, 0); told != "" || fine == 0 {
		t.Errorf("told %q, fined %d", told, fine)
	}

	h = newHill(t, ledger.ExcusesWitnessed)
	h.change(closes(0, "wind"))
	h.change(gate(0, open))
	d = h.begin()
	h.must(neighbour, closes(1, "wind"))
	h.change(closes(0, "heat"))
	if told, _ := h.end(d, 0); told != "" {
		t.Errorf("told %q", told)
	}
}

// A trade that could not begin is excused by what keeps the gate closed.
func TestWitnessOfNoStart(t *testing.T) {
	for _, witness := range []bool{false, true} {
		w := newRobust(t, func(g *ledger.Genesis) { g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed) })
		w.toPaid()
		w.must(seller, closes(2, "wind"))
		if witness {
			w.must(mc, warned("site-seller-1", "wind", ledgertest.StartMs, w.NowMs+3_600_000))
		}
		st := w.wait(w.Genesis.Params.StartByMs)
		status, excused := wire.StatusFailed, 0
		if witness {
			status = wire.StatusRefunded
		}
		w.status(status)
		for _, s := range st.Steps() {
			if s.Kind == ledger.StepExcused && s.GateSeq == 2 {
				excused++
			}
		}
		if (excused == 1) != witness {
			t.Errorf("witness %v: %d excuses", witness, excused)
		}
	}
}

// Without a witness a tenth of what was delivered in a period is excused, as it slides by;
// beyond it a shortfall is a shortfall.
func TestQuotaOfEnergy(t *testing.T) {
	h := newHill(t, ledger.ExcusesWitnessed)
	p := &h.Genesis.Params
	h.NowMs += p.CreditPeriodMs - h.NowMs%p.CreditPeriodMs
	h.earns(5) // 10 kWh
	short := func(wh int64) (string, int64) {
		d := h.begin()
		h.change(closes(0, "wind"))
		return h.end(d, wh)
	}
	// 1900 Wh are whole. 1200 more are delivered: a tenth of 11200 is 1120.
	if told, fine := short(1200); told != "gate change 7 kept it from delivering, no one bears it out; excused 700 of 700 Wh, 420 Wh are left of its quota" || fine != 0 {
		t.Errorf("%s, fined %d", told, fine)
	}
	if told, fine := short(0); !strings.Contains(told, "excused 420 of 1900 Wh, 0 Wh are left") || fine != 1480*200/5 {
		t.Errorf("%s, fined %d", told, fine)
	}
	if told, fine := short(0); told != "" || fine != 1900*200/5 {
		t.Errorf("%s, fined %d", told, fine)
	}
	// Half a period on in the next one half of all that counts; 1120 of 11200 either way.
	h.NowMs += p.CreditPeriodMs
	h.NowMs += p.CreditPeriodMs/2 - h.NowMs%p.CreditPeriodMs
	if told, fine := short(0); told != "" || fine == 0 {
		t.Errorf("%s, fined %d", told, fine)
	}
	h.earns(1)
	if told, _ := short(1800); !strings.Contains(told, "excused 100 of 100 Wh, 280 Wh") {
		t.Errorf("%s", told)
	}
	// Two periods on nothing is left.
	h.NowMs += 2 * p.CreditPeriodMs
	if told, fine := short(0); told != "" || fine == 0 {
		t.Errorf("%s, fined %d", told, fine)
	}
}

// excuseRows are the refusals of warnings.
var excuseRows = []marketRow{
	{"a warning that is over", wire.CodeExpired, func(w *world) { *w = *newWorld(w.t, ledgertest.Witnessed) }, mc, func(w *world) record { return warned("hill", "wind", ledgertest.StartMs, w.State.TimeMs()+1) }},
}

// Only a centre warns, and only where a witness counts.
func TestWhoWarns(t *testing.T) {
	w := newWorld(t, ledgertest.TwoKeys)
	if _, err := w.State.CheckRecord(w.sealed(mc, 1, warned("hill", "wind", 1, 2))); err == nil || !strings.Contains(err.Error(), `this chain's excuses are ""`) {
		t.Errorf("%v", err)
	}
	w = newWorld(t, ledgertest.Witnessed)
	for _, sender := range []string{seller, buyer, "judge-1", ledgertest.Auditor, "da-2"} {
		if _, err := w.State.CheckRecord(w.sealed(sender, 1, warned("hill", "wind", 1, 2))); err == nil || !strings.Contains(err.Error(), "may not send") {
			t.Errorf("%s: %v", sender, err)
		}
	}
	w.must(mc, warned("hill", "wind", ledgertest.StartMs, w.NowMs+10))
}

// An excuseAttack is played with both kinds of excuses, by a seller that has delivered
// 20 kWh. It returns how many of its shortfalls are excused and what it pays.
type excuseAttack struct {
	id, what string
	honest   bool
	trades   int
	before   func(h *hill)
	after    func(h *hill)
}

var excuseAttacks = []excuseAttack{
	{"E01", "a seller holds whenever the price is better elsewhere, eight times", false, 8, nil, nil},
	{"E02", "the same, and its own gate closes a second time as its witness", false, 8, nil, func(h *hill) { h.change(closes(0, "wind")) }},
	{"E03", "the same, with a second name at its site that has no bond", false, 8, func(h *hill) {
		if _, ok := h.State.Participant("name-2"); !ok {
			r := h.registration("name-2", "name-2")
			r.GetRegistration().Site = "hill"
			h.must(mc, r)
		}
		g, _ := h.State.GateOf("name-2")
		h.must("name-2", closes(g.Seq+1, "wind"))
	}, nil},
	{"E04", "the same, with a warning for another area", false, 8, func(h *hill) { h.must(mc, warned("valley", "wind", h.NowMs-1, h.NowMs+3_600_000)) }, nil},
	{"E05", "the same, with a warning that the centre makes up ten minutes after", false, 8, nil, func(h *hill) {
		h.NowMs += window
		h.must(mc, warned("hill", "wind", h.NowMs-2*window, h.NowMs+60_000))
	}},
	{"E06", "an honest seller in eight gusts that its neighbour sees too", true, 8, func(h *hill) {
		g, _ := h.State.GateOf(neighbour)
		h.must(neighbour, closes(g.Seq+1, "wind"))
	}, nil},
	{"E07", "an honest seller in eight gusts that were warned of", true, 8, func(h *hill) { h.must(mc, warned("hill", "wind", h.NowMs-1, h.NowMs+3_600_000)) }, nil},
	{"E08", "an honest seller alone in one gust that takes a half", true, 1, nil, nil},
}

// What excuses a cheat by the old rule does not by the new one, and who is honest pays
// nothing. It writes the table of docs/market.md (FAIRWATT_UPDATE=1).
func TestExcuseAttacks(t *testing.T) {
	rows := "| id | who | `quota_of_holds`: excused, pays | `witnessed`: excused, pays |\n| --- | --- | --- | --- |\n"
	for _, a := range excuseAttacks {
		row := fmt.Sprintf("| %s | %s |", a.id, a.what)
		for _, mode := range []string{ledger.ExcusesByHolds, ledger.ExcusesWitnessed} {
			h := newHill(t, mode)
			h.earns(10)
			excused, paid := 0, int64(0)
			wh := int64(0)
			if a.trades == 1 {
				wh = 1000
			}
			for range a.trades {
				d := h.begin()
				if a.before != nil && mode == ledger.ExcusesWitnessed {
					a.before(h)
				}
				h.change(closes(0, "wind"))
				if a.after != nil && (mode == ledger.ExcusesWitnessed || a.id == "E02") {
					a.after(h)
				}
				told, fine := h.end(d, wh)
				if told != "" && fine == 0 {
					excused++
				}
				paid += fine
				for _, e := range h.State.Entries() {
					if strings.HasPrefix(string(e.Key), "witness/") {
						t.Errorf("%s: %s outlives its trade", a.id, e.Key)
					}
				}
				h.NowMs += 2 * window
			}
			row += fmt.Sprintf(" %d of %d, %s |", excused, a.trades, units(paid))
			if mode == ledger.ExcusesWitnessed && (a.honest && (excused != a.trades || paid != 0) || !a.honest && excused > 1) {
				t.Errorf("%s: %d of %d excused, pays %d", a.id, excused, a.trades, paid)
			}
		}
		rows += row + "\n"
	}
	writeSection(t, marketFile, "excuses", rows)
}

// Who is on the list bears no one out, whether it saw the hazard before or after.
func TestListedIsNoWitness(t *testing.T) {
	for _, after := range []bool{false, true} {
		h := newHill(t, ledger.ExcusesWitnessed, harsh)
		h.must(neighbour, gate(1, open))
		lapsed := &ledgertest.Deal{Chain: h.Chain, ID: "lapsed", Seller: neighbour, Buyer: buyer, VolumeWh: 2000, PriceMicroPerKWh: 200_000}
		if err := lapsed.Pay(); err != nil {
			t.Fatal(err)
		}
		h.wait(h.Genesis.Params.StartByMs)
		if a, _ := h.State.Account(neighbour); !a.Blacklisted {
			t.Fatalf("%+v", a)
		}
		d := h.begin()
		if !after {
			h.must(neighbour, closes(2, "wind"))
		}
		h.change(closes(0, "wind"))
		if after {
			h.must(neighbour, closes(2, "wind"))
		}
		if err := d.Bill(0, 0); err != nil {
			t.Fatal(err)
		}
		if trade, _ := h.State.Trade(d.ID); trade.FineMicro == 0 {
			t.Errorf("after %v: %+v", after, trade)
		}
	}
}

// Of a site the newest two count: one who closes again finds the neighbour of before, for
// witness_ms.
func TestNewestTwoAreKept(t *testing.T) {
	for later, want := range map[int64]string{window / 2: "the gate of seller-2", 2 * window: ""} {
		h := newHill(t, ledger.ExcusesWitnessed)
		h.must(neighbour, closes(1, "wind"))
		for n, expect := range []string{"the gate of seller-2", want} {
			d := h.begin()
			h.change(closes(0, "wind"))
			if told, _ := h.end(d, 0); (expect == "") != (told == "") || !strings.Contains(told, expect) {
				t.Errorf("%d ms on, hold %d: told %q, want %q", later, n, told, expect)
			}
			h.NowMs += later
		}
	}
}

// The first witness stays; a gate change of another kind meanwhile takes none over.
func TestFirstWitnessStays(t *testing.T) {
	h := newHill(t, ledger.ExcusesWitnessed)
	d := h.begin()
	h.change(closes(0, "wind"))
	h.must(neighbour, closes(1, "wind"))
	h.must(mc, warned("hill", "wind", ledgertest.StartMs, h.NowMs+3_600_000))
	h.must("buyer-2", closes(1, "wind"))
	if told, _ := h.end(d, 0); !strings.Contains(told, "the gate of seller-2 bears it out") {
		t.Errorf("told %q", told)
	}

	// It was closed by wind before, and is by heat now.
	h = newHill(t, ledger.ExcusesWitnessed)
	d = h.begin()
	h.change(closes(0, "wind"))
	h.change(closes(0, "heat"))
	h.must(neighbour, closes(1, "wind"))
	if told, _ := h.end(d, 0); told != "" {
		t.Errorf("told %q", told)
	}
}

// Chains with other excuses have nothing of all this in their state.
func TestOnlyWitnessedCounts(t *testing.T) {
	for excuses, want := range map[string]bool{ledger.ExcusesFirst: false, ledger.ExcusesByHolds: false, ledger.ExcusesWitnessed: true} {
		h := newHill(t, excuses)
		h.earns(1)
		h.change(closes(0, "wind"))
		h.must(neighbour, closes(1, "wind"))
		found := make(map[string]bool)
		for _, e := range h.State.Entries() {
			prefix, _, _ := strings.Cut(string(e.Key), "/")
			found[prefix] = true
		}
		for _, prefix := range []string{"earned", "hazard", "sighting"} {
			if found[prefix] != want {
				t.Errorf("%q: %s is there: %v", excuses, prefix, found[prefix])
			}
		}
		h.must(neighbour, gate(2, open))
		h.change(gate(0, open))
		for _, e := range h.State.Entries() {
			if strings.HasPrefix(string(e.Key), "hazard/") {
				t.Errorf("%q: %s stays when the gate opens", excuses, e.Key)
			}
		}
	}
}

// What was excused in the period before counts as long as what was delivered then.
func TestQuotaSlides(t *testing.T) {
	h := newHill(t, ledger.ExcusesWitnessed)
	period := h.Genesis.Params.CreditPeriodMs
	h.NowMs += period - h.NowMs%period
	h.earns(5) // 10 kWh
	short := func(wh int64) string {
		d := h.begin()
		h.change(closes(0, "wind"))
		told, _ := h.end(d, wh)
		return told
	}
	// Three quarters of the next period are over: a quarter of 10 kWh counts, and 1 kWh now.
	h.NowMs += period + period*3/4 - h.NowMs%period
	if told := short(1000); !strings.Contains(told, "excused 349 of 900 Wh") && !strings.Contains(told, "excused 350 of 900 Wh") {
		t.Errorf("told %q", told)
	}
}

// TestAWitnessThatIsOut: who is suspended or revoked bears no one out by what it saw before,
// but on chains that were made before witness_active, which go on as they began.
func TestAWitnessThatIsOut(t *testing.T) {
	const borneOut = "the gate of seller-2 bears it out"
	for name, c := range map[string]struct {
		out    []record // of the witness, behind its gate change
		active bool
		want   bool
	}{
		"active":                   {nil, true, true},
		"suspended":                {[]record{ledgertest.Suspend(neighbour)}, true, false},
		"revoked":                  {[]record{ledgertest.Revoke(neighbour)}, true, false},
		"reinstated":               {[]record{ledgertest.Suspend(neighbour), ledgertest.Reinstate(neighbour)}, true, true},
		"suspended, on old chains": {[]record{ledgertest.Suspend(neighbour)}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHill(t, ledger.ExcusesWitnessed, func(g *ledger.Genesis) { g.Params.WitnessActive = c.active })
			d := h.begin()
			h.must(neighbour, closes(1, "wind"))
			for _, r := range c.out {
				h.must(mc, r)
			}
			h.change(closes(0, "wind"))
			told, fine := h.end(d, 0)
			if got := strings.Contains(told, borneOut); got != c.want || (fine == 0) != c.want {
				t.Errorf("%q, fined %d", told, fine)
			}
		})
	}
}
