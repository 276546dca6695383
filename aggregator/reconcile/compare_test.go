package reconcile

import (
	"testing"

	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// begin is a slot's begin some days behind the chain's.
const begin = ledgertest.StartMs - ledgertest.StartMs%SlotMs + 96*SlotMs

// play plays trades on a chain and returns its books of a day from begin on.
func play(t testing.TB, change func(*ledger.Genesis), trades func(c *ledgertest.Chain, do func(error))) *Books {
	t.Helper()
	g := ledgertest.Genesis(1, 2, 1)
	if change != nil {
		change(g)
	}
	c, err := ledgertest.New(g)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	send := func(sender string, r *fairwattpb.Record) {
		o, err := c.Send(sender, r)
		if err != nil || !o.Applied {
			t.Fatalf("%v, %v", o, err)
		}
	}
	send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1e9, Reference: "r"}}})
	for _, seller := range []string{"seller-1", "seller-2"} {
		send(seller, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}})
	}
	trades(c, do)

	state, err := ledger.NewState(g)
	do(err)
	b := NewBooks(g, begin, begin+96*SlotMs)
	for _, cb := range c.Blocks {
		st, err := state.VerifyCertified(cb)
		do(err)
		do(state.Commit(st))
		b.Take(state, st)
	}
	return b
}

func deal(c *ledgertest.Chain, id string) *ledgertest.Deal {
	return &ledgertest.Deal{Chain: c, ID: id, Seller: "seller-1", Buyer: "buyer-1", VolumeWh: 1000, PriceMicroPerKWh: 200_000}
}

const (
	soldAt   = "seller-1-meter-2"
	boughtAt = "buyer-1-meter"
)

func milli(wh int64) int64 { return wh * 1000 }

// An hour's delivery lies in the slots that it was in, and adds up to what was paid;
// between two readings the slots may hold anything, and outside nothing.
func TestSettledBySlot(t *testing.T) {
	b := play(t, nil, func(c *ledgertest.Chain, do func(error)) {
		d := deal(c, "t-1")
		c.NowMs = begin + 5*60_000
		do(d.Pay())
		do(d.Start())
		c.NowMs = begin + 65*60_000
		do(d.Bill(1000, 0))
		do(d.Confirm(1000))
	})
	r, err := b.Compare(nil, &Options{})
	if err != nil || len(r.Totals) != 2 {
		t.Fatalf("%v, %+v", err, r)
	}
	for i, want := range []struct {
		point string
		way   Direction
	}{{boughtAt, Import}, {soldAt, Export}} {
		total := r.Totals[i]
		if total.Point != want.point || total.Direction != want.way || total.SettledWh != 1000 || total.AtLeastWh != 1000 || total.AtMostWh != 1000 || total.Wrong != LessMeasured || total.Slots != 96 || total.Differs != 5 {
			t.Errorf("%+v", total)
		}
		sum := int64(0)
		for k, row := range r.Rows[i*5 : i*5+5] {
			sum += row.SettledWh
			wantWh := []int64{166, 250, 250, 250, 83}[k]
			if row.BeginMs != begin+int64(k)*SlotMs || max(row.SettledWh-wantWh, wantWh-row.SettledWh) > 1 || row.AtLeastWh != 0 || row.AtMostWh != 1000 || row.Wrong != NoValue {
				t.Errorf("%+v, want %d Wh", row, wantWh)
			}
		}
		if sum != 1000 {
			t.Errorf("the slots add up to %d", sum)
		}
	}
	if len(r.Rows) != 10 || r.Differs != 2 {
		t.Errorf("%d rows, %d differ", len(r.Rows), r.Differs)
	}
}

// What the operator measured differs only outside of what the readings allow, by more
// than the tolerance.
func TestCompareJudges(t *testing.T) {
	b := play(t, nil, func(c *ledgertest.Chain, do func(error)) {
		d := deal(c, "t-1")
		c.NowMs = begin + 1_000
		do(d.Pay())
		do(d.Start())
		c.NowMs = begin + SlotMs - 2_000
		do(d.Bill(1000, 0))
		do(d.Confirm(1000))
	})
	b.meters[soldAt].classE4 = 0
	value := func(point string, way Direction, slot, milliWh int64) Value {
		return Value{Point: point, Direction: way, BeginMs: begin + slot*SlotMs, MilliWh: milliWh, Line: 2}
	}
	share, total := &Options{ToleranceWh: 10, MonthWh: 20}, &Options{ToleranceWh: 10, MonthWh: 20, Total: true}
	for name, c := range map[string]struct {
		o            *Options
		values       []Value
		first, whole string
	}{
		"the same":              {share, []Value{value(soldAt, Export, 0, milli(1000))}, "", ""},
		"at the tolerance":      {share, []Value{value(soldAt, Export, 0, milli(1010))}, "", ""},
		"beyond the tolerance":  {share, []Value{value(soldAt, Export, 0, milli(1011))}, MoreMeasured, ""},
		"beyond both":           {share, []Value{value(soldAt, Export, 0, milli(1021))}, MoreMeasured, MoreMeasured},
		"too little":            {share, []Value{value(soldAt, Export, 0, milli(900))}, LessMeasured, LessMeasured},
		"a total may be more":   {total, []Value{value(soldAt, Export, 0, milli(5000))}, "", ""},
		"a total is not less":   {total, []Value{value(soldAt, Export, 0, milli(900))}, LessMeasured, LessMeasured},
		"another way":           {share, []Value{value(soldAt, Import, 0, milli(1000)), value(soldAt, Export, 0, milli(1000))}, "", ""},
		"energy in other slots": {share, []Value{value(soldAt, Export, 0, milli(1000)), value(soldAt, Export, 9, milli(500))}, "", MoreMeasured},
	} {
		r, err := b.Compare(c.values, c.o)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, sum := range r.Totals {
			if sum.Point == soldAt && sum.Direction == Export {
				found++
				if sum.Wrong != c.whole {
					t.Errorf("%s: %+v, want %q", name, sum, c.whole)
				}
			}
		}
		for _, row := range r.Rows {
			if row.Point == soldAt && row.Direction == Export && row.BeginMs == begin {
				found++
				if row.Wrong != c.first {
					t.Errorf("%s: %+v, want %q", name, row, c.first)
				}
			}
		}
		if found != 2 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// The class of the meter comes on top.
	b.meters[soldAt].classE4 = 100
	if r, err := b.Compare([]Value{value(soldAt, Export, 0, milli(1020))}, share); err != nil || r.Totals[1].Differs != 0 {
		t.Errorf("%v, %+v", err, r.Totals[1])
	}
}

// A metering point is a meter by its id, by its serial number, or as the caller says; one
// that none of these finds is not on the chain.
func TestCompareFindsMeters(t *testing.T) {
	b := play(t, nil, func(c *ledgertest.Chain, do func(error)) {
		c.NowMs = begin
		do(deal(c, "t-1").Whole())
	})
	o := &Options{ToleranceWh: 10, MonthWh: 10, Points: map[string][]string{"AT1": {"seller-2-meter", soldAt}}}
	for _, point := range []string{soldAt, "no-" + soldAt, "AT1"} {
		r, err := b.Compare([]Value{{Point: point, Direction: Export, BeginMs: begin, MilliWh: milli(1000)}, {Point: boughtAt, Direction: Import, BeginMs: begin, MilliWh: milli(1000)}}, o)
		if err != nil || r.Differs != 0 || len(r.Totals) != 2 {
			t.Errorf("%s: %v, %+v", point, err, r)
		}
	}
	r, err := b.Compare([]Value{{Point: "AT2", Direction: Export, BeginMs: begin, MilliWh: milli(11)}}, o)
	if err != nil || r.Totals[0].Wrong != NotOnChain || r.Differs != 3 {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := b.Compare([]Value{{Point: soldAt, BeginMs: begin, Line: 7}}, o); err == nil || err.Error() != `line 7: meter "seller-1-meter-2" counts both ways: say the direction of the values` {
		t.Errorf("%v", err)
	}
	o.Points["AT1"] = []string{"stranger"}
	if _, err := b.Compare([]Value{{Point: "AT1", BeginMs: begin}}, o); err == nil {
		t.Error("a meter that the chain does not have")
	}
	b.meters[soldAt].ways, b.meters[boughtAt].ways = fairwattpb.MeterDirection_METER_DIRECTION_EXPORT, fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
	r, err = b.Compare([]Value{{Point: soldAt, BeginMs: begin, MilliWh: milli(1000)}, {Point: boughtAt, BeginMs: begin, MilliWh: milli(1000)}}, o)
	if err != nil || r.Differs != 0 {
		t.Errorf("meters of one way: %v, %+v", err, r)
	}
}

// Behind a lossy line less reaches the buyer, and a silent buyer's meter took it at some
// time until it was settled.
func TestSettledBehindALine(t *testing.T) {
	b := play(t, func(g *ledger.Genesis) { g.Params.LossE4, g.Params.SilenceMs = 1000, 3_600_000 }, func(c *ledgertest.Chain, do func(error)) {
		d := deal(c, "t-1")
		c.NowMs = begin
		do(d.Pay())
		do(d.Start())
		do(d.Bill(1000, 0))
		for range 2 {
			c.NowMs += 3_600_000
			_, err := c.Advance()
			do(err)
		}
	})
	r, err := b.Compare(nil, &Options{})
	if err != nil || len(r.Totals) != 2 || r.Totals[0].SettledWh != 900 || r.Totals[1].SettledWh != 1000 {
		t.Fatalf("%v, %+v", err, r)
	}
	for _, row := range r.Rows {
		if row.Point == boughtAt && (row.AtLeastWh != 0 || row.AtMostWh != 900) {
			t.Errorf("%+v", row)
		}
	}
}

// What the seller's meter counts in a hold is none of the trade's.
func TestHoldIsNotSettled(t *testing.T) {
	gate := func(c *ledgertest.Chain, seq uint64, state fairwattpb.GateState) error {
		_, err := c.Send("seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: seq, State: state}}})
		return err
	}
	b := play(t, nil, func(c *ledgertest.Chain, do func(error)) {
		d := deal(c, "t-1")
		c.NowMs = begin - 1000
		do(d.Pay())
		do(d.Start())
		do(gate(c, 2, fairwattpb.GateState_GATE_STATE_BLOCKED))
		c.NowMs = begin + 2*SlotMs
		do(gate(c, 3, fairwattpb.GateState_GATE_STATE_OPEN))
		a, err := c.Attest("seller-1", 3, fairwattpb.GateState_GATE_STATE_OPEN, 60_000)
		do(err)
		_, err = c.Send("seller-1", &fairwattpb.Record{Body: &fairwattpb.Record_Resume{Resume: &fairwattpb.Resume{
			TradeId: "t-1", Attestation: a, Reading: &fairwattpb.MeterReading{Meter: soldAt, RegisterWh: 0}}}})
		do(err)
		c.NowMs = begin + 3*SlotMs - 1000
		do(d.Bill(1000, 0))
		do(d.Confirm(1000))
	})
	r, err := b.Compare(nil, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Point == soldAt && (row.BeginMs != begin+2*SlotMs || row.SettledWh != 1000 || row.AtLeastWh != 1000) {
			t.Errorf("%+v", row)
		}
	}
}

// Whatever the readings: the slots add up to what was settled, lie within their bounds,
// and an operator whose slots are true to the same meter never differs.
func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 5*SlotMs).Draw(t, "start")
		f := newFlow("m", ms, 0)
		register := int64(0)
		truth := make(map[int64]int64) // by slot: all flows in the millisecond before a reading
		for range rapid.IntRange(1, 8).Draw(t, "readings") {
			ms += rapid.Int64Range(1, 2*SlotMs).Draw(t, "later")
			rise := rapid.Int64Range(0, 5000).Draw(t, "rise")
			register += rise
			truth[(ms-1)/SlotMs] += rise
			f.read(ms, register, true)
		}
		if register == 0 {
			return
		}
		energy := rapid.Int64Range(1, register).Draw(t, "energy")
		sum := int64(0)
		for slot := int64(0); slot*SlotMs <= ms; slot++ {
			s := f.share(energy, slot*SlotMs, (slot+1)*SlotMs)
			if s.even < s.least-1 || s.even > s.most+1 || s.even < 0 {
				t.Fatalf("slot %d: %+v", slot, s)
			}
			if energy == register && (truth[slot] < s.least || truth[slot] > s.most) {
				t.Fatalf("slot %d: %+v, %d Wh flowed", slot, s, truth[slot])
			}
			sum += s.even
		}
		if sum != energy {
			t.Fatalf("%d of %d Wh", sum, energy)
		}
	})
}

// The rows of a point add up to its total, however the operator rounds.
func TestRowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBooks(ledgertest.Genesis(1, 1, 1), begin, begin+96*SlotMs)
		var values []Value
		for i := range rapid.IntRange(1, 96).Draw(t, "values") {
			values = append(values, Value{Point: soldAt, Direction: Export, BeginMs: begin + int64(i)*SlotMs, MilliWh: rapid.Int64Range(0, 5_000).Draw(t, "value")})
		}
		r, err := b.Compare(values, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		sum, off := int64(0), int64(0)
		for _, row := range r.Rows {
			sum += row.MeasuredWh
		}
		for _, v := range values {
			off += v.MilliWh
		}
		off -= 1000 * sum
		if sum != r.Totals[0].MeasuredWh || max(off, -off) > 500 {
			t.Fatalf("%d, the total is %d, %d mWh off", sum, r.Totals[0].MeasuredWh, off)
		}
	})
}
