package model

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// again restarts a rig with another configuration.
func (r *rig) again(scorer Scorer, change func(*Config)) *rig {
	r.t.Helper()
	out := newRig(r.t, scorer, func(c *Config) {
		c.StuckS = 0
		c.Stale = StaleLimits{week, week, week, week, week}
		if change != nil {
			change(c)
		}
	})
	out.now = r.now
	if err := out.j.Restore(r.j.Snapshot(), r.now); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func only(channels ...Channel) func(*Config) {
	return func(c *Config) { c.Channels = channels }
}

// A latch outlives the sensor of its rule, and every further restart; a person
// ends it by the rule's id.
func TestLatchOutlivesItsSensor(t *testing.T) {
	t.Parallel()
	calm := map[Channel]float64{TemperatureC: 20}
	r := quietRig(t, nil)
	r.run(400, map[Channel]float64{DCVoltageV: 400, TemperatureC: 20})
	r.wantOpen()
	r.step(1000, map[Channel]float64{DCVoltageV: -50, TemperatureC: 20})
	r.run(100, map[Channel]float64{DCVoltageV: 400, TemperatureC: 20})
	r.wantBlockedBy("E12")
	for range 3 {
		r = r.again(nil, only(TemperatureC))
		r.run(4000, calm)
		r.wantBlockedBy("E12")
	}
	const want = "E12: it stood before a restart and cannot be judged any more (no channel dc_voltage_v); look at the plant, then acknowledge"
	if v := r.j.View(); v.Reason != want || !v.Causes[0].Latched || v.Causes[0].Level != LevelBlock {
		t.Errorf("it says %q of %+v", v.Reason, v.Causes)
	}
	if err := r.j.Ack("E12", "Ada"); err != nil {
		t.Fatal(err)
	}
	r.run(400, calm)
	r.wantOpen()
	r = r.again(nil, only(TemperatureC))
	r.run(4000, calm)
	r.wantOpen()
}

// A cause that stands while its sensor goes in a restart is latched; after a
// person's word its clear time and its window still run in full.
func TestCauseOutlivesARestartWithoutItsSensor(t *testing.T) {
	t.Parallel()
	calm := map[Channel]float64{TemperatureC: 20}
	r := quietRig(t, nil)
	r.run(400, map[Channel]float64{WindGustMPS: 5, TemperatureC: 20})
	r.step(1000, map[Channel]float64{WindGustMPS: 35, TemperatureC: 20})
	short := func(c *Config) { c.Channels, c.Weather.GustHoldS = []Channel{TemperatureC}, 10 } // an edit shortens nothing
	r = r.again(nil, short)
	r.run(4000, calm)
	r.wantBlockedBy("W03")
	r = r.again(nil, short)
	r.step(1000, calm)
	r.wantBlockedBy("W03")
	began := r.now
	if err := r.j.Ack("W03", "Ada"); err != nil {
		t.Fatal(err)
	}
	for r.state() != StateOpen {
		r.step(1000, calm)
		if r.now-began > 2*hourMs {
			t.Fatal("it does not open again")
		}
	}
	if got, want := r.now-began, int64(1_800_000+tenMinutesMs); got != want {
		t.Errorf("open %d ms after the word, want the hold and the window, %d", got, want)
	}
}

// A hold that a restart left is not lost when its cause comes again and ends by a
// time that was shortened meanwhile.
func TestHoldOutlivesItsCauseComingAgain(t *testing.T) {
	t.Parallel()
	hourly := func(c *Config) { c.IntervalS = 600 }
	r := newRig(t, nil, hourly)
	for _, gust := range []float64{5, 40, 5} {
		r.step(600_000, map[Channel]float64{WindGustMPS: gust})
	}
	r = r.again(nil, func(c *Config) { hourly(c); c.Weather.GustHoldS, c.Gate.MinBlockS = 0, 0 })
	began := r.now
	for _, gust := range []float64{40, 5, 5, 5} {
		r.step(600_000, map[Channel]float64{WindGustMPS: gust})
		if open := r.state() == StateOpen; open != (r.now-began >= 600_000+1_800_000) {
			t.Errorf("%d s after the restart %v", (r.now-began)/1000, r.state())
		}
	}
}

// The floor that a restart left is not lost in a second restart while something
// else blocks.
func TestSecondRestartKeepsTheFloor(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	r.step(1000, map[Channel]float64{WindGustMPS: 35, DCVoltageV: 400})
	r = r.again(nil, only(DCVoltageV))
	r.step(1000, map[Channel]float64{DCVoltageV: -50})
	if err := r.j.Ack("W03", "Ada"); err != nil {
		t.Fatal(err)
	}
	r.step(1000, map[Channel]float64{DCVoltageV: -50})
	r.wantBlockedBy("E12")
	r = r.again(nil, only(DCVoltageV))
	if got, want := r.j.gate.floorMs-r.now, int64(1_800_000+tenMinutesMs-1000); got != want {
		t.Errorf("the gate waits %d ms, want %d", got, want)
	}
}

// A block by the network stays although the network, or its threshold, is gone.
func TestNetworkBlockOutlivesTheNetwork(t *testing.T) {
	t.Parallel()
	block := func(c *Config) {
		c.IntervalS = 60
		c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Block: 0.5}}
	}
	for name, restart := range map[string]func(r *rig) *rig{
		"no network": func(r *rig) *rig { return r.again(nil, every(60)) },
		"no threshold": func(r *rig) *rig {
			return r.again(&fakeScorer{}, func(c *Config) {
				c.IntervalS = 60
				c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.9}}
			})
		},
	} {
		r := newRig(t, &fakeScorer{p: 1}, block)
		for range 3 {
			r.step(60_000, map[Channel]float64{TemperatureC: 20})
		}
		r.wantBlockedBy("M-thunderstorm")
		r = restart(r)
		for range 200 {
			r.step(60_000, map[Channel]float64{TemperatureC: 20})
		}
		if v := r.j.View(); v.State != StateBlocked || !strings.HasPrefix(v.Reason, "M-thunderstorm: ") {
			t.Errorf("%s: %v, %s", name, v.State, v.Reason)
			continue
		}
		if err := r.j.Ack("M-thunderstorm", "Ada"); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.step(60_000, map[Channel]float64{TemperatureC: 20})
		}
		r.wantOpen()
	}
}

// A snapshot with more rules than a table holds is damaged, not cut.
func TestMoreRulesThanATable(t *testing.T) {
	t.Parallel()
	body := make([]byte, 6)
	n := 0
	for len(rules)+n <= maxRules {
		if err := quietRig(t, nil).j.Restore(seal(body), 0); err != nil {
			t.Fatalf("%d rules: %v", n, err)
		}
		n++
		body = append(body, 3)
		body = append(body, fmt.Sprintf("X%02d", n)...)
		body = append(body, byte(LevelBlock), flagActive, 0)
	}
	if err := quietRig(t, nil).j.Restore(seal(body), 0); err == nil {
		t.Errorf("%d rules more were taken", n)
	}
}

// Over random weather, restarts, lost channels and edited settings the gate is
// never open while a block or a latch of before a restart has neither run its
// clear time nor been acknowledged.
func TestInvariantRestartsKeepCauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &ledgerOfCauses{t: t, owed: map[string]int64{}, channels: drawn}
		g.fresh(nil)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				g.restart()
			case 2:
				g.ack()
			default:
				g.step()
			}
			g.check()
		}
	})
}

// A ledgerOfCauses keeps its own books of what blocked.
type ledgerOfCauses struct {
	t        *rapid.T
	j        *Judge
	now      int64
	owed     map[string]int64 // by rule: the shortest time that the gate must still be closed
	channels []Channel        // of the present site
}

func (g *ledgerOfCauses) fresh(snapshot []byte) {
	cfg := DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.IntervalS, cfg.StuckS = 60, 0
	cfg.Stale = StaleLimits{week, week, week, week, week}
	cfg.Channels = g.channels
	cfg.Latch = []string{"E15", "W05"}
	if rapid.Bool().Draw(g.t, "edited") {
		cfg.Weather.GustHoldS, cfg.Weather.MeanBlockHoldS, cfg.Equipment.TemperatureHoldS, cfg.Latch = 0, 0, 0, nil
	}
	j, err := NewJudge(cfg, nil)
	if err == nil && snapshot != nil {
		err = j.Restore(snapshot, g.now)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.j = j
}

// restart books what stands, and starts a site with other channels.
func (g *ledgerOfCauses) restart() {
	for i := range g.j.rules {
		r, st := &g.j.rules[i], &g.j.states[i]
		if i == ruleInit {
			continue
		}
		if st.level == LevelBlock {
			g.owed[r.id] = max(g.owed[r.id], seconds(r.holdS(&g.j.ev)))
		} else if st.holding && st.held == LevelBlock && st.holdUntil != never {
			g.owed[r.id] = max(g.owed[r.id], st.holdUntil-g.now)
		}
	}
	snapshot := g.j.Snapshot()
	g.channels = nil
	for _, c := range drawn {
		if rapid.IntRange(0, 3).Draw(g.t, c.String()) != 0 {
			g.channels = append(g.channels, c)
		}
	}
	if g.channels == nil {
		g.channels = drawn[:1]
	}
	g.fresh(snapshot)
}

func (g *ledgerOfCauses) ack() {
	latched := g.j.gate.Latched()
	for i := range g.j.rules {
		if latched.Has(i) && rapid.Bool().Draw(g.t, "ack") {
			if err := g.j.Ack(g.j.rules[i].id, "Ada"); err == nil {
				g.j.Advance(g.now)
			}
		}
	}
}

func (g *ledgerOfCauses) step() {
	ms := rapid.SampledFrom([]int64{60_000, 600_000, 3_000_000}).Draw(g.t, "ms")
	storm := rapid.IntRange(0, 3).Draw(g.t, "storm") == 0
	g.now += ms
	s := Sample{TimeMs: g.now}
	calm := map[Channel]float64{
		VoltageV: 230, FrequencyHz: 50, EquipmentTemperatureC: 30, WindSpeedMPS: 4, WindGustMPS: 6, PressureHPa: 1000, TemperatureC: 20,
	}
	rough := map[Channel]float64{
		VoltageV: 10, FrequencyHz: 48, EquipmentTemperatureC: 99, WindSpeedMPS: 30, WindGustMPS: 40, PressureHPa: 1000, TemperatureC: 20,
	}
	for _, c := range g.channels {
		v := calm[c]
		if storm {
			v = rough[c]
		}
		s.Set(c, v)
	}
	first := !g.j.any
	g.j.Step(&s)
	for id, left := range g.owed {
		if first { // what passed before the first sample does not count
			continue
		}
		if left -= ms; left <= 0 {
			delete(g.owed, id)
		} else {
			g.owed[id] = left
		}
	}
}

func (g *ledgerOfCauses) check() {
	if s, _ := g.j.gate.State(); s != StateOpen {
		return
	}
	for id, left := range g.owed {
		g.t.Fatalf("open, and %s has %d ms of before the restart to run", id, left)
	}
	if g.j.gate.Latched() != 0 {
		g.t.Fatalf("open with latches %b", g.j.gate.Latched())
	}
	for i := range g.j.states {
		if g.j.states[i].stands() == LevelBlock {
			g.t.Fatalf("open while %s stands", g.j.rules[i].id)
		}
	}
}

// What blocked before a restart and cannot be judged any more, since its rule or its
// sensor is gone, still has the time that was left of its hold; a warning has none.
func TestHoldOfAGoneRuleIsServed(t *testing.T) {
	t.Parallel()
	const hour = 3_600_000
	for name, c := range map[string]struct {
		rule   string
		held   Level
		leftMs int64
		wantMs int64
	}{
		"a rule that is gone":        {"X01", LevelBlock, hour, hour},
		"a warning that is gone":     {"X01", LevelWarn, hour, 0},
		"a sensor that is gone":      {"W03", LevelBlock, hour, hour},
		"never less than its hold":   {"W03", LevelBlock, 0, 1_800_000},
		"a warning without a sensor": {"W03", LevelWarn, hour, 0},
	} {
		r := quietRig(t, only(TemperatureC))
		body := append(make([]byte, 6), byte(len(c.rule)))
		body = append(body, c.rule...)
		body = binary.AppendUvarint(append(body, byte(c.held), 0), uint64(c.leftMs))
		if err := r.j.Restore(seal(body), 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := r.j.gate.floorMs; got != c.wantMs {
			t.Errorf("%s: the gate waits %d ms, want %d", name, got, c.wantMs)
		}
	}
}
