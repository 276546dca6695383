package model

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

// The six invariants of the gate (see Gate), here for the whole judge. What is
// drawn is weather and electricity that wanders over every threshold.

// moment is one drawn sample.
type moment struct {
	dtMs   int64
	values map[Channel]float64
	p      float64
}

var drawn = []Channel{VoltageV, FrequencyHz, EquipmentTemperatureC, WindSpeedMPS, WindGustMPS, PressureHPa, TemperatureC}

func drawMoments(t *rapid.T, n int) []moment {
	interval := rapid.SampledFrom([]int64{1_000, 60_000, 600_000, 3_600_000}).Draw(t, "interval")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) moment {
		m := moment{dtMs: interval, values: map[Channel]float64{}, p: rapid.Float64Range(0, 1).Draw(t, "p")}
		if rapid.IntRange(0, 15).Draw(t, "gap") == 0 {
			m.dtMs *= 3
		}
		storm := rapid.IntRange(0, 3).Draw(t, "storm") == 0
		pick := func(calm, low, high float64) float64 {
			if storm {
				return rapid.Float64Range(low, high).Draw(t, "value")
			}
			return calm
		}
		m.values[VoltageV] = pick(230, 0, 300)
		m.values[FrequencyHz] = pick(50, 47, 52)
		m.values[EquipmentTemperatureC] = pick(30, 70, 100)
		m.values[WindSpeedMPS] = pick(4, 10, 35)
		m.values[WindGustMPS] = pick(6, 15, 40)
		m.values[PressureHPa] = pick(1000, 985, 1005)
		m.values[TemperatureC] = pick(20, 5, 30)
		return m
	}), 2, n).Draw(t, "moments")
}

// feed is a judge that follows moments.
type feed struct {
	j   *Judge
	now int64
	f   *fakeScorer
}

func newFeed(t *rapid.T, ms []moment, block bool, startMs int64) *feed {
	cfg := DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.IntervalS = float64(ms[0].dtMs) / 1000
	cfg.Required = drawn
	fd := &feed{now: startMs}
	var scorer Scorer
	if block {
		cfg.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.3, Block: 0.5}}
		fd.f = &fakeScorer{}
		scorer = fd.f
	}
	j, err := NewJudge(cfg, scorer)
	if err != nil {
		t.Fatal(err)
	}
	fd.j = j
	return fd
}

func (fd *feed) step(m moment, without ...Channel) []Event {
	fd.now += m.dtMs
	s := Sample{TimeMs: fd.now}
	for _, c := range drawn { // in a fixed order
		s.Set(c, m.values[c])
	}
	for _, c := range without {
		s.Fail(c, SensorError)
	}
	if fd.f != nil {
		fd.f.p = m.p
	}
	return fd.j.Step(&s)
}

func (fd *feed) state() State { s, _ := fd.j.gate.State(); return s }

func gateLines(b []byte, events []Event) []byte {
	for i := range events {
		if events[i].Type != EventScore {
			b = append(events[i].AppendJSON(b), '\n')
		}
	}
	return b
}

// (a) After any history, calm weather opens the gate in the end.
func TestInvariantOpensInTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 30)
		fd := newFeed(t, ms, false, 0)
		for _, m := range ms {
			fd.step(m)
		}
		calm := moment{dtMs: ms[0].dtMs, values: map[Channel]float64{
			VoltageV: 230, FrequencyHz: 50, EquipmentTemperatureC: 30, WindSpeedMPS: 4, WindGustMPS: 6, PressureHPa: 1000, TemperatureC: 20,
		}}
		// Long enough for every window (3 h), hold (1 h) and the reopening limit.
		end := fd.now + 6*hourMs
		calm.dtMs = max(calm.dtMs, 4000) // as seldom as a live sensor may speak: it is a long calm
		for i := 0; fd.now < end; i++ {
			// A live sensor's last digit moves.
			calm.values[VoltageV], calm.values[FrequencyHz] = 230+float64(i%2), 50+float64(i%2)/100
			calm.values[PressureHPa] = 1000 + float64(i%2)/10
			calm.values[WindSpeedMPS], calm.values[WindGustMPS] = 4+float64(i%2)/10, 6+float64(i%2)/10
			fd.step(calm)
		}
		fd.j.Advance(fd.now + 1)
		if v := fd.j.View(); v.State != StateOpen {
			t.Fatalf("%v: %s", v.State, v.Reason)
		}
	})
}

// (b) At no moment is the gate open while a blocking rule stands or holds.
func TestInvariantNeverOpenWithCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 40)
		fd := newFeed(t, ms, true, 0)
		for _, m := range ms {
			fd.step(m)
			for i := range fd.j.states {
				st := &fd.j.states[i]
				if fd.state() == StateOpen && max(st.level, st.held) == LevelBlock {
					t.Fatalf("open while %s stands", fd.j.rules[i].id)
				}
			}
		}
	})
}

// (c) A required sensor that fails never opens the gate, and while it is gone
// the gate is not open.
func TestInvariantRemovingSensorNeverOpens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 40)
		gone := rapid.SampledFrom(drawn).Draw(t, "gone")
		from := rapid.IntRange(0, len(ms)-1).Draw(t, "from")
		fd := newFeed(t, ms, false, 0)
		for i, m := range ms {
			if i < from {
				fd.step(m)
				continue
			}
			for _, e := range fd.step(m, gone) {
				if e.Type == EventGate && e.State == StateOpen && e.TimeMs == fd.now {
					t.Fatalf("opened without %v", gone)
				}
			}
			if fd.state() == StateOpen {
				t.Fatalf("open without %v", gone)
			}
		}
	})
}

// (c) also for a sensor that is not required: a cause that stands does not go
// away with its sensor.
func TestCauseOutlivesItsSensor(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS = 3600 })
	r.step(3_600_000, map[Channel]float64{WindGustMPS: 5, TemperatureC: 20})
	r.step(3_600_000, map[Channel]float64{WindGustMPS: 30, TemperatureC: 20})
	for range 100 {
		r.step(3_600_000, map[Channel]float64{TemperatureC: 20})
	}
	r.wantBlockedBy("W03")
}

// (d) With a network added, the gate is never open where it would not be open
// without.
func TestInvariantScoreNeverOpens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 60)
		with, without := newFeed(t, ms, true, 0), newFeed(t, ms, false, 0)
		for _, m := range ms {
			with.step(m)
			without.step(m)
			if with.state() == StateOpen && without.state() != StateOpen {
				t.Fatalf("at %d the network opened the gate", with.now)
			}
		}
	})
}

// (e) Only differences of the sensing clock count, and passing time in more
// steps than needed changes nothing.
func TestInvariantClockOriginAndExtraAdvances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 40)
		shift := rapid.Int64Range(0, 1<<20).Draw(t, "hours") * hourMs
		a, b := newFeed(t, ms, false, 0), newFeed(t, ms, false, shift)
		var la, lb []byte
		for _, m := range ms {
			cut := rapid.Int64Range(0, m.dtMs-1).Draw(t, "cut")
			ea := a.step(m)
			for i := range ea {
				ea[i].TimeMs += shift
			}
			la = gateLines(la, ea)
			if b.j.any {
				lb = gateLines(lb, b.j.Advance(b.now+cut))
			}
			lb = gateLines(lb, b.step(m))
		}
		if !bytes.Equal(la, lb) {
			t.Fatalf("events differ:\n%s\n%s", la, lb)
		}
	})
}

// (f) A restart never lets the gate open earlier than it would have without.
// What is compared ends with the opening that the restart had to wait for: a
// block that begins later has its own shortest time.
func TestInvariantRestartNeverShortensHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := drawMoments(t, 40)
		for _, m := range ms {
			// No jumps: what was implausible is forgotten, and not a hold.
			m.values[PressureHPa], m.values[TemperatureC] = 1000, 20
			m.values[FrequencyHz] = min(max(m.values[FrequencyHz], 49), 50.5)
		}
		at := rapid.IntRange(1, len(ms)-1).Draw(t, "restart")
		kept, again := newFeed(t, ms, false, 0), newFeed(t, ms, false, 0)
		for i, m := range ms {
			if i == at {
				snap := again.j.Snapshot()
				fresh := newFeed(t, ms, false, again.now)
				if err := fresh.j.Restore(snap, again.now); err != nil {
					t.Fatal(err)
				}
				again = fresh
			}
			keptAt, againAt := firstOpening(kept.step(m)), firstOpening(again.step(m))
			if i < at {
				continue
			}
			if againAt < keptAt && kept.state() != StateOpen {
				t.Fatalf("the restart opened the gate at %d: %s", againAt, kept.j.View().Reason)
			}
			if keptAt != never || kept.state() == StateOpen {
				return
			}
		}
	})
}

// firstOpening returns when the gate first opened in events.
func firstOpening(events []Event) int64 {
	for i := range events {
		if events[i].Type == EventGate && events[i].State == StateOpen {
			return events[i].TimeMs
		}
	}
	return never
}

// The window behind a cause is lost in a restart; its length is waited for.
func TestRestartWaitsForLostWindow(t *testing.T) {
	gust := func(r *rig, v float64) { r.step(60_000, map[Channel]float64{WindGustMPS: v}) }
	minute := func(c *Config) { c.IntervalS = 60 }
	r := newRig(t, nil, minute)
	for _, v := range []float64{5, 30, 5} {
		gust(r, v)
	}
	again := newRig(t, nil, minute)
	again.now = r.now
	if err := again.j.Restore(r.j.Snapshot(), r.now); err != nil {
		t.Fatal(err)
	}
	for r.state() != StateOpen {
		gust(r, 5)
		gust(again, 5)
		if again.state() == StateOpen && r.state() != StateOpen {
			t.Fatalf("the restarted judge opened first, at %d", again.now)
		}
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.IntervalS, c.Latch = 3600, []string{"W03"} })
	for _, g := range []float64{5, 30, 5} {
		r.step(3_600_000, map[Channel]float64{WindGustMPS: g})
	}
	snap := r.j.Snapshot()
	if len(snap) > 1024 {
		t.Errorf("snapshot of %d bytes", len(snap))
	}
	for i := range snap {
		bad := bytes.Clone(snap)
		bad[i] ^= 1
		if err := newRig(t, nil, nil).j.Restore(bad, 0); err == nil {
			t.Fatalf("byte %d changed and accepted", i)
		}
		if err := newRig(t, nil, nil).j.Restore(snap[:i], 0); err == nil {
			t.Fatalf("cut to %d bytes and accepted", i)
		}
	}
	if err := r.j.Restore(snap, 0); err == nil {
		t.Error("a judge that has judged took a snapshot")
	}
	fresh := newRig(t, nil, func(c *Config) { c.IntervalS, c.Latch = 3600, []string{"W03"} })
	if err := fresh.j.Restore(snap, 0); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		fresh.step(3_600_000, map[Channel]float64{WindGustMPS: 5})
	}
	fresh.wantBlockedBy("W03") // the latch came along
	if err := fresh.j.Ack("W03", "Ada"); err != nil {
		t.Fatal(err)
	}
}

func FuzzRestore(f *testing.F) {
	r := newRig(f, nil, nil)
	f.Add(r.j.Snapshot())
	r.step(1000, map[Channel]float64{WindGustMPS: 30})
	f.Add(r.j.Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		g := newRig(t, nil, nil)
		if g.j.Restore(b, 0) != nil {
			// With the checksum mended, the body itself must be refused or safe.
			g = newRig(t, nil, nil)
			if g.j.Restore(seal(b), 0) != nil {
				return
			}
		}
		g.step(1000, map[Channel]float64{WindGustMPS: 5})
		if g.state() == StateOpen {
			t.Fatal("open at the first sample after a restart")
		}
	})
}

// seal wraps a body into a snapshot with a right checksum.
func seal(body []byte) []byte { return sealAs(snapshotMagic, body) }

func sealAs(version string, body []byte) []byte {
	b := append([]byte(version), body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A network's block must not save the openings that the limit on reopenings
// counts: the gate would open earlier with the network than without.
func TestNetworkCannotSaveReopenings(t *testing.T) {
	f := &fakeScorer{}
	change := func(c *Config) {
		c.IntervalS, c.Required, c.Score.HoldS = 60, []Channel{WindGustMPS}, 0
		c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Block: 0.5}}
	}
	with, without := newRig(t, f, change), newRig(t, nil, change)
	early := 0
	for minute := range 150 {
		f.p = 0
		if minute < 19 {
			f.p = 1
		}
		gust := 5.0
		if minute > 5 && minute < 22 && minute%6 == 1 {
			gust = -1 // implausible: a sensor block of the shortest kind
		}
		for _, r := range []*rig{with, without} {
			r.step(60_000, map[Channel]float64{WindGustMPS: gust})
		}
		if without.state() == StateOpen && minute < 19 {
			early++
		}
		if with.state() == StateOpen && without.state() != StateOpen {
			t.Fatalf("minute %d: open with the network, not without", minute)
		}
	}
	if early == 0 {
		t.Error("the gate never opened without the network: nothing was tested")
	}
	with.wantOpen()
}
