package grid

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent"
	"fairwatt/agent/trade"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

const hourMs = 3_600_000

// power is an hourly trace of a generator's power; NaN is a missing value.
func power(watts ...float64) []model.Sample {
	rows := make([]model.Sample, len(watts))
	for i, w := range watts {
		rows[i].TimeMs = 1_600_000_000_000 + int64(i)*hourMs
		if !math.IsNaN(w) {
			rows[i].Set(model.PowerW, w)
		}
	}
	return rows
}

// A testWorld is one whose clock stands still until the test moves it.
type testWorld struct {
	*world
	at time.Time
}

func newTestWorld(speed float64) *testWorld {
	w := &testWorld{world: newWorld(speed, slog.New(slog.DiscardHandler)), at: time.Unix(1_700_000_000, 0)}
	w.now = func() time.Time { return w.at }
	return w
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
}

func (w *testWorld) addSite(t fataler, id string, rows []model.Sample) contactor {
	t.Helper()
	b, err := board.New(withContactor(board.Standard()))
	if err != nil {
		t.Fatal(err)
	}
	last := rows[len(rows)-1].TimeMs
	s := &site{id: id, board: b, meter: sellerPin, rows: rows, beginMs: rows[0].TimeMs, spanMs: last - rows[0].TimeMs + 3*hourMs, world: w.world}
	w.sites = append(w.sites, s)
	c, err := newContactor(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *testWorld) addHouse(t fataler, id string) {
	t.Helper()
	layout, _ := houseBoard()
	b, err := board.New(layout)
	if err != nil {
		t.Fatal(err)
	}
	pins := make(map[string]string)
	for _, m := range layout.Meters {
		pins[agent.MeterID(id, m.Pin)] = m.Pin
	}
	w.houses[id] = &house{id: id, board: b, pins: pins}
}

// pulses counts a meter's S0 pulses: one a Wh.
func pulses(t fataler, b *board.Board, pin string) int64 {
	t.Helper()
	n, _, err := b.PulseCount(pin)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

// pass lets wall time pass, in steps as the running world takes them.
func (w *testWorld) pass(d time.Duration) {
	for d > 0 {
		step := min(d, worldStep)
		w.at = w.at.Add(step)
		d -= step
		w.mu.Lock()
		w.advance()
		w.mu.Unlock()
	}
}

// energyWh is the integral of a trace's power over trace time, gaps included:
// each row holds until the next, the last for an interval; then come two
// intervals of nothing, then the rows again. It does not use the world's code.
func energyWh(rows []model.Sample, from, to time.Duration) float64 {
	sum := 0.0
	round := len(rows) + 2
	for h := int(from / time.Hour); ; h++ {
		lo, hi := max(from, time.Duration(h)*time.Hour), min(to, time.Duration(h+1)*time.Hour)
		if lo >= to {
			return sum
		}
		if i := h % round; i < len(rows) {
			if p, ok := rows[i].Get(model.PowerW); ok {
				sum += max(0, p) * (hi - lo).Hours()
			}
		}
	}
}

// Contactors close and open at random moments while traces with missing values
// end and begin again. The sellers' meters count what their generators gave while
// a contactor was closed, the buyers' meters that less the loss, and no delivery
// exceeds its volume.
func TestWorldConservesEnergy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTestWorld(3600)
		watts := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-500, 6000), rapid.Just(math.NaN()), rapid.Just(0.0)), 2, 6)
		sellers := []contactor{
			w.addSite(t, "turbine-1", power(watts.Draw(t, "watts of turbine-1")...)),
			w.addSite(t, "solar-2", power(watts.Draw(t, "watts of solar-2")...)),
		}
		w.addHouse(t, "home-1")
		w.begin()
		given := make([]float64, len(sellers)) // what the sites gave over closed contactors
		open := make([]string, len(sellers))
		volumes := make(map[string]int64)
		trades := 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			k := rapid.IntRange(0, len(sellers)-1).Draw(t, "seller")
			if open[k] == "" {
				trades++
				volumes[tradeID(trades)] = rapid.Int64Range(1, 1<<40).Draw(t, "volume")
				open[k] = tradeID(trades)
			}
			id := open[k]
			d := trade.Delivery{TradeID: id, Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", fmt.Sprint("S0-", k+1)), VolumeWh: volumes[id]}
			if err := sellers[k].Close(d); err != nil {
				t.Fatal(err)
			}
			from := w.traceNow()
			w.pass(time.Duration(rapid.Int64Range(1, int64(3*time.Second)).Draw(t, "closed for")))
			before, _, _ := w.delivered(id)
			if err := sellers[k].Open(id); err != nil {
				t.Fatal(err)
			}
			after, _, _ := w.delivered(id)
			if before != after {
				t.Fatalf("%g Wh moved at the moment of opening", after-before)
			}
			given[k] += energyWh(sellers[k].site.rows, from, w.traceNow())
			if rapid.Bool().Draw(t, "done") {
				open[k] = ""
			}
			w.pass(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "open for")))
		}
		var sold, received float64
		soldBy := make(map[*site]float64)
		for id, f := range w.flows {
			if f.soldWh > float64(volumes[id])+1e-6 {
				t.Fatalf("%s: %g Wh flowed, paid for %d", id, f.soldWh, volumes[id])
			}
			soldBy[f.site] += f.soldWh
			sold, received = sold+f.soldWh, received+f.receivedWh
		}
		if want := sold * (1 - float64(lineLossE4)/10_000); math.Abs(received-want) > 1e-6*(1+want) {
			t.Fatalf("%g Wh received, want %g", received, want)
		}
		counted := int64(0)
		for k, c := range sellers {
			limit := given[k]
			if soldBy[c.site] > limit+1e-6*(1+limit) {
				t.Fatalf("%s sold %g Wh, gave %g", c.site.id, soldBy[c.site], limit)
			}
			if n := pulses(t, c.site.board, sellerPin); math.Abs(float64(n)-soldBy[c.site]) > 1 {
				t.Fatalf("%s counted %d Wh, sold %g", c.site.id, n, soldBy[c.site])
			}
			counted += pulses(t, w.houses["home-1"].board, fmt.Sprint("S0-", k+1))
		}
		if math.Abs(float64(counted)-received) > 2 {
			t.Fatalf("the house counted %d Wh, received %g", counted, received)
		}
	})
}

func tradeID(n int) string { return fmt.Sprint("trade-", n) }

// Without a limit of volume, a site sells all that it gave while a contactor was
// closed: no energy is lost between two steps, two rows or two rounds.
func TestWorldLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTestWorld(3600)
		rows := power(rapid.SliceOfN(rapid.Float64Range(-500, 6000), 2, 6).Draw(t, "watts")...)
		c := w.addSite(t, "turbine-1", rows)
		w.addHouse(t, "home-1")
		w.begin()
		d := trade.Delivery{TradeID: "trade-1", Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", "S0-1"), VolumeWh: 1 << 40}
		want := 0.0
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			w.pass(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "open for")))
			if err := c.Close(d); err != nil {
				t.Fatal(err)
			}
			from := w.traceNow()
			// The moment lies between two steps of the world.
			w.pass(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "closed for")))
			w.at = w.at.Add(time.Duration(rapid.Int64Range(0, int64(worldStep)).Draw(t, "and for")))
			if err := c.Open("trade-1"); err != nil {
				t.Fatal(err)
			}
			want += energyWh(rows, from, w.traceNow())
		}
		if got, _, _ := w.delivered("trade-1"); math.Abs(got-want) > 1e-6*(1+want) {
			t.Fatalf("sold %g Wh, the generator gave %g", got, want)
		}
	})
}

func TestWorldCutsOffAtTheVolume(t *testing.T) {
	w := newTestWorld(3600)
	c := w.addSite(t, "turbine-1", power(2000, 2000, 2000, 2000))
	w.addHouse(t, "home-1")
	w.begin()
	d := trade.Delivery{TradeID: "trade-1", Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", "S0-2"), VolumeWh: 1500}
	if err := c.Close(d); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second) // two hours at 2 kW
	sold, received, _ := w.delivered("trade-1")
	if sold != 1500 || math.Abs(received-1470) > 1e-9 {
		t.Errorf("sold %g, received %g Wh, want 1500 and 1470", sold, received)
	}
	if n := pulses(t, c.site.board, sellerPin); n < 1499 || n > 1500 {
		t.Errorf("the seller's meter counted %d, want 1500", n)
	}
	if n := pulses(t, w.houses["home-1"].board, "S0-2"); n < 1469 || n > 1470 {
		t.Errorf("the buyer's meter counted %d, want 1470", n)
	}
}

// A generator delivers one trade at a time, and what its register counts while
// the contactor is closed is that trade's.
func TestWorldDeliversOneTradeAtATime(t *testing.T) {
	w := newTestWorld(3600)
	c := w.addSite(t, "turbine-1", power(3000, 3000, 3000, 3000))
	w.addHouse(t, "home-1")
	w.begin()
	delivery := func(i int) trade.Delivery {
		return trade.Delivery{TradeID: tradeID(i), Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", fmt.Sprint("S0-", i+1)), VolumeWh: 1 << 20}
	}
	if err := c.Close(delivery(0)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(delivery(1)); err == nil {
		t.Error("closed for two trades")
	}
	w.pass(time.Second)
	if err := c.Open(tradeID(0)); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	if err := c.Close(delivery(1)); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second / 2)
	if err := c.Open(tradeID(1)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{3000, 1500} {
		if sold, _, counted := w.delivered(tradeID(i)); math.Abs(sold-want) > 1e-6 || math.Abs(float64(counted)-want) > 1 {
			t.Errorf("%s: %g Wh, counted %d, want %g", tradeID(i), sold, counted, want)
		}
	}
}

// A welded contact lets energy flow, whatever it is told.
func TestWorldFlowsThroughAWeldedContact(t *testing.T) {
	w := newTestWorld(3600)
	c := w.addSite(t, "turbine-1", power(3000, 3000, 3000))
	w.addHouse(t, "home-1")
	w.begin()
	d := trade.Delivery{TradeID: "t", Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", "S0-1"), VolumeWh: 1 << 20}
	err := c.Close(d)
	if err == nil {
		err = c.site.board.Inject(board.Fault{Part: contactorPin, Kind: board.Welded})
	}
	if err == nil {
		err = c.Open("t")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	if sold, _, _ := w.delivered("t"); math.Abs(sold-3000) > 1e-6 {
		t.Errorf("%g Wh flowed through a welded contact", sold)
	}
	if closed, watched, err := c.Feedback(); !closed || !watched || err != nil {
		t.Errorf("its feedback: %v %v %v", closed, watched, err)
	}
}

func TestContactorKnowsItsLines(t *testing.T) {
	w := newTestWorld(3600)
	c := w.addSite(t, "turbine-1", power(1000, 1000))
	w.addHouse(t, "home-1")
	w.begin()
	if err := c.Close(trade.Delivery{TradeID: "t", Buyer: "home-2"}); err == nil {
		t.Error("there is a line to a house that does not exist")
	}
	if err := c.Close(trade.Delivery{TradeID: "t", Buyer: "home-1", BuyerMeter: "home-1/cellar"}); err == nil {
		t.Error("there is a line to a meter that does not exist")
	}
	if err := c.Open("t"); err != nil {
		t.Errorf("opening a contactor that never closed: %v", err)
	}
	w.pass(time.Second)
	if n := pulses(t, c.site.board, sellerPin); n != 0 {
		t.Errorf("%d Wh flowed over no line", n)
	}
}

// The rows of a trace with a hole in it, and the gap between its end and its
// beginning.
func TestSiteRows(t *testing.T) {
	at := func(h float64) int64 { return int64(h * hourMs) }
	rows := power(1, 2, 3, 4)
	rows[2].TimeMs += 4 * hourMs // rows at 0, 1, 6 and 7 h
	rows[3].TimeMs += 4 * hourMs
	s := &site{rows: rows, beginMs: rows[0].TimeMs, spanMs: at(7 + 3)}
	for _, c := range []struct {
		hour float64
		row  int
		next float64 // change
	}{
		{0, 0, 1}, {0.999, 0, 1}, {1, 1, 6}, {5.9, 1, 6}, {6, 2, 7}, {7, 3, 8}, {7.99, 3, 8},
		{8, -1, 10}, {9.99, -1, 10},
	} {
		if got := s.rowAt(at(c.hour)); got != c.row {
			t.Errorf("row at %g h is %d, want %d", c.hour, got, c.row)
		}
		for round := range 3 {
			start := time.Duration(round*10) * time.Hour
			now := start + time.Duration(at(c.hour))*time.Millisecond
			if got, want := s.nextChange(now), start+time.Duration(at(c.next))*time.Millisecond; got != want {
				t.Errorf("after %v the row changes at %v, want %v", now, got, want)
			}
		}
	}
}

// In the gap the board has no weather: its chips do not answer.
func TestSiteGap(t *testing.T) {
	w := newTestWorld(3600)
	c := w.addSite(t, "turbine-1", power(1000, 1000))
	w.begin()
	for i, want := range []int{0, 1, -1, -1, 0, 1, -1} {
		if c.site.fed != want {
			t.Errorf("in hour %d the board shows row %d, want %d", i, c.site.fed, want)
		}
		if (c.site.powerW > 0) != (want >= 0) {
			t.Errorf("in hour %d the power is %g W", i, c.site.powerW)
		}
		w.pass(time.Second)
	}
}

// The world moves by itself on the wall's clock, and ends with its context.
func TestWorldRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &testWorld{world: newWorld(3600, slog.New(slog.DiscardHandler))}
		c := w.addSite(t, "turbine-1", power(2000, 2000, 2000))
		w.addHouse(t, "home-1")
		w.begin()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.run(ctx) }()
		d := trade.Delivery{TradeID: "trade-1", Buyer: "home-1", BuyerMeter: agent.MeterID("home-1", "S0-1"), VolumeWh: 1 << 20}
		if err := c.Close(d); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if sold, _, _ := w.delivered("trade-1"); math.Abs(sold-2000) > 2000*worldStep.Seconds() {
			t.Errorf("%g Wh in an hour at 2 kW", sold)
		}
		if got := w.sinceStart(); got != time.Hour {
			t.Errorf("%v of trace time in a second, want an hour", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
