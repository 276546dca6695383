package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// A dog counts kicks and remembers the longest time between two.
type dog struct {
	kicks   int
	last    time.Time
	longest time.Duration
	err     error
}

func (d *dog) kick() error {
	if d.err != nil {
		return d.err
	}
	now := time.Now()
	if d.kicks++; d.kicks > 1 {
		d.longest = max(d.longest, now.Sub(d.last))
	}
	d.last = now
	return nil
}

func (d *dog) supervisor(log *slog.Logger) *Supervisor {
	return NewSupervisor(15*time.Second, time.Now, d.kick, log)
}

func TestSupervisorKicksOnlyForWholeRounds(t *testing.T) {
	const sense, judge, gate, publish = StageSense, StageJudge, StageGate, StagePublish
	for _, c := range []struct {
		name   string
		beats  []Stage
		pause  time.Duration // before the last beat
		kicks  int
		missed uint64
	}{
		{"a round", []Stage{sense, judge, gate, publish}, 0, 1, 0},
		{"not published", []Stage{sense, judge, gate, sense, judge, gate}, 0, 0, 0},
		{"not judged", []Stage{sense, gate, publish}, 0, 0, 1},
		{"gate before judge", []Stage{sense, gate, judge, publish}, 0, 0, 2},
		{"judged twice", []Stage{sense, judge, judge, gate, publish}, 0, 0, 2},
		{"nothing sensed", []Stage{judge, gate, publish}, 0, 0, 2},
		{"a timer alone", []Stage{publish, publish, publish}, 0, 0, 0},
		{"just in time", []Stage{sense, judge, gate, publish}, 15 * time.Second, 1, 0},
		{"published too late", []Stage{sense, judge, gate, publish}, 16 * time.Second, 0, 1},
		{"acted too late", []Stage{sense, judge, gate}, 16 * time.Second, 0, 1},
		{"one round overtakes the publisher", []Stage{sense, judge, gate, sense, judge, gate, publish}, 0, 1, 0},
		{"published once, told twice", []Stage{sense, judge, gate, publish, publish}, 2 * time.Second, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &dog{}
			s := d.supervisor(slog.New(slog.DiscardHandler))
			for i, b := range c.beats {
				if i == len(c.beats)-1 {
					time.Sleep(c.pause)
				}
				s.Beat(b)
			}
			if _, missed := s.Counts(); d.kicks != c.kicks || missed != c.missed {
				t.Errorf("%s: %d kicks, %d missed; want %d, %d", c.name, d.kicks, missed, c.kicks, c.missed)
			}
		})
	}
}

// Whatever the beats: a kick stands for sense, judge and gate one right after
// the other, at most a slot ago, that no kick has stood for before.
func TestSupervisorProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1000, 0)
		var beats []Stage // but for publish, with their times
		var at []time.Time
		used := make(map[int]bool)
		s := NewSupervisor(time.Second, func() time.Time { return now }, func() error {
			for i := len(beats) - 3; i >= 0; i-- {
				if beats[i] == StageSense && beats[i+1] == StageJudge && beats[i+2] == StageGate && now.Sub(at[i]) <= time.Second && !used[i] {
					used[i] = true
					return nil
				}
			}
			rt.Fatalf("kicked after %v", beats)
			return nil
		}, slog.New(slog.DiscardHandler))
		for range 60 {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(rt, "ms")) * time.Millisecond)
			b := Stage(rapid.IntRange(0, int(StagePublish)).Draw(rt, "stage"))
			if b != StagePublish {
				beats, at = append(beats, b), append(at, now)
			}
			s.Beat(b)
		}
	})
}

func TestSupervisorTellsOnceThatKickingFails(t *testing.T) {
	log := &logLines{}
	d := &dog{err: errors.New("no such device")}
	s := d.supervisor(slog.New(slog.NewTextHandler(log, nil)))
	round := func() {
		for b := range numStages {
			s.Beat(b)
		}
	}
	round()
	round()
	if log.count("no such device") != 1 || d.kicks != 0 {
		t.Errorf("log %v", log.lines)
	}
	d.err = nil
	round()
	if d.kicks != 1 {
		t.Error("not kicked again")
	}
}

// hung returns a Read that never ends, context or not, until it is let go.
func hung(release <-chan struct{}) func(context.Context, *model.Sample) error {
	return func(context.Context, *model.Sample) error {
		<-release
		return errors.New("it hung")
	}
}

// A stuckPipe is connected, and its publications do not end while it is stuck.
type stuckPipe struct {
	*mqtttest.Pipe
	mu    sync.Mutex
	stuck chan struct{} // nil: it works; closed: let go
}

func (p *stuckPipe) stick(on chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = on
}

func (p *stuckPipe) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	p.mu.Lock()
	stuck := p.stuck
	p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	return p.Pipe.Publish(ctx, topic, qos, retained, payload)
}

func TestAgentKicksWhileItGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		d := &dog{}
		s.super = d.supervisor(slog.New(slog.DiscardHandler))
		telemetry := s.collect("telemetry")
		s.open()
		if d.kicks < 100 || d.longest > 3*time.Second {
			t.Fatalf("%d kicks in 7 minutes, %s between two", d.kicks, d.longest)
		}
		// A broker that is away is no reason to restart the machine.
		s.broker.SetDown(true)
		s.wait(5 * time.Minute)
		s.broker.SetDown(false)
		s.wait(20 * time.Second)
		if d.longest > 3*time.Second {
			t.Errorf("without a broker %s between two kicks", d.longest)
		}
		if last := telemetry()[len(telemetry())-1]; !strings.Contains(last, `"watchdog_kicks":`) {
			t.Errorf("telemetry %s", last)
		}
		release := make(chan struct{})
		s.sensor("wind").become(hung(release))
		s.wait(2 * time.Second)
		before := d.kicks
		s.wait(time.Minute)
		if d.kicks != before {
			t.Errorf("%d kicks while a driver hangs", d.kicks-before)
		}
		close(release)
		s.end()
	})
}

func TestAgentIsNotKickedWhenPublishingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		d := &dog{}
		s.super = d.supervisor(slog.New(slog.DiscardHandler))
		pipe := &stuckPipe{Pipe: s.broker.Pipe(mqtt.Will{})}
		s.pipe = pipe
		s.open()
		stuck := make(chan struct{})
		pipe.stick(stuck)
		s.wait(31 * time.Second) // the next gate view
		before := d.kicks
		s.wait(time.Minute)
		if d.kicks != before {
			t.Errorf("%d kicks while publishing hangs", d.kicks-before)
		}
		pipe.stick(nil)
		close(stuck)
		s.end()
	})
}
