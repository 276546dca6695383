package agent

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// costOf is what a rule has cost by the newest gate view.
func costOf(t *testing.T, views []string, rule string) (hours float64, since time.Time) {
	t.Helper()
	if len(views) == 0 {
		t.Fatal("no gate view")
	}
	var g wire.Gate[wire.Cause]
	if err := json.Unmarshal([]byte(views[len(views)-1]), &g); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Cost {
		if c.Rule == rule {
			return c.ClosedS / 3600, g.CostSince.Time
		}
	}
	return 0, g.CostSince.Time
}

// What a rule has cost is told over restarts, and for 30 days.
func TestCostsOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		begin := time.Now()
		s.open()
		gates := s.collect(wire.ClassGate)
		wind := model.WindGustMPS
		s.sensor("wind").become(steadily(wind, 30))
		s.wait(2 * time.Hour)
		s.sensor("wind").become(steadily(wind, 6))
		s.wait(2 * time.Hour)
		before, _ := costOf(t, gates(), "W03")
		if r := s.agent.statusResult(); len(r.Cost) == 0 || r.Cost[0].Rule != "W03" || r.Cost[0].ClosedS/3600 != before || r.CostSince.IsZero() {
			t.Errorf("status says %+v", r)
		}
		if before < 2.5 || before > 3 { // two hours, and 40 minutes until it is over
			t.Fatalf("W03 has cost %g h", before)
		}
		s.end()
		s.start()
		s.wait(2 * time.Hour)
		after, since := costOf(t, gates(), "W03")
		if after < before || after > before+0.1 || since.Sub(begin).Abs() > time.Minute {
			t.Errorf("W03 had cost %g h and after a restart %g h since %v; the agent began at %v", before, after, since, begin)
		}
		s.end()
	})
}

// A book of costs that cannot be read is put aside and told, and closes nothing.
func TestDamagedCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.open()
		s.end()
		o, err := outbox.Open(s.db, outbox.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Commit(time.Now().UnixMilli(), outbox.Commit{State: map[string][]byte{stateCosts: []byte(`{"days":3}`)}})
		if err := errors.Join(err, o.Close(time.Now().UnixMilli())); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.wait(30 * time.Minute)
		if got := s.agent.Status().Gate; got != model.StateOpen || s.log.count("what rules have cost before is damaged") != 1 {
			t.Errorf("the gate is %s by %s; told: %v", got, s.rules(), s.log.lines)
		}
		s.end()
		if o, err = outbox.Open(s.db, outbox.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		b, err := o.State(damaged(stateCosts))
		if err := errors.Join(err, o.Close(time.Now().UnixMilli())); err != nil || string(b) != `{"days":3}` {
			t.Errorf("put aside: %q, %v", b, err)
		}
	})
}
