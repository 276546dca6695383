package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// scripted is a sensor whose errors a test sets.
type scripted struct {
	err   error
	lasts bool // for the second reading of the tick too
	reads int
}

func (*scripted) Name() string { return "scripted" }
func (*scripted) Channels() []model.Channel {
	return []model.Channel{model.VoltageV, model.FrequencyHz}
}
func (*scripted) Halt() error { return nil }
func (s *scripted) Read(_ context.Context, sample *model.Sample) error {
	s.reads++
	err := s.err
	if !s.lasts {
		s.err = nil
	}
	for i, c := range s.Channels() {
		if err != nil {
			sample.Fail(c, model.SensorError)
		} else {
			sample.Set(c, []float64{230, 50}[i]+0.01*float64(s.reads%7))
		}
	}
	return err
}

// lasting is an error of both readings of a tick.
type lasting struct{ error }

func twice(b bool, err error) error {
	if b {
		return lasting{err}
	}
	return nil
}

// gateOf judges readings every second, with errors as given, and returns how many
// seconds the gate was not open after the start.
func gateOf(t *testing.T, seconds int, errorAt func(s int) error) (closed int) {
	t.Helper()
	one := &scripted{}
	senses, err := NewSenses([]sensor.Sensor{one}, nil, model.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.Required = one.Channels()
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	const start = 400
	for i := range start + seconds {
		one.err = nil
		if i >= start {
			one.err = errorAt(i - start)
		}
		_, one.lasts = one.err.(lasting)
		s := model.Sample{TimeMs: int64(i) * 1000}
		senses.Read(context.Background(), &s)
		judge.Step(&s)
		if i >= start && judge.State() != model.StateOpen {
			closed++
		}
	}
	return closed
}

// A loose contact that costs one reading in five costs no trade; one that costs
// more, or lasts, closes the gate at once.
func TestOneErrorInFiveIsLetPass(t *testing.T) {
	nack := fmt.Errorf("read: %w", sensor.ErrNoChip)
	for _, c := range []struct {
		name   string
		at     func(s int) error
		closes bool
	}{
		{"one in all", func(s int) error { return when(s == 3, nack) }, false},
		{"one in five", func(s int) error { return when(s%5 == 0, nack) }, false},
		{"one in four", func(s int) error { return when(s%4 == 0, nack) }, true},
		{"two in a row", func(s int) error { return when(s == 3 || s == 4, nack) }, true},
		{"at both readings of a tick", func(s int) error { return twice(s == 3, nack) }, true},
		{"for good", func(s int) error { return twice(s >= 3, nack) }, true},
		{"a locked bus for a reading", func(s int) error { return when(s == 3, sensor.ErrBusLocked) }, false},
		{"beyond the range once", func(s int) error { return when(s == 3, sensor.ErrSaturated) }, true},
		{"deaf once", func(s int) error { return when(s == 3, sensor.ErrDegraded) }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			if closed := gateOf(t, 60, c.at); (closed > 0) != c.closes {
				t.Errorf("%s: closed for %d s", c.name, closed)
			}
		})
	}
}

func when(b bool, err error) error {
	if b {
		return err
	}
	return nil
}

// Whatever the errors and however far apart the readings: a failure is let pass
// only within three seconds of a good reading, and never two among five.
func TestPatienceEnds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var p patience
		tMs, goodMs, good := int64(0), int64(0), false
		var last []bool
		for range rapid.IntRange(1, 60).Draw(rt, "reads") {
			tMs += rapid.Int64Range(1, 2500).Draw(rt, "ms")
			failed := rapid.Bool().Draw(rt, "fails")
			took := time.Duration(rapid.IntRange(0, 1000).Draw(rt, "took")) * time.Millisecond
			let := p.again(when(failed, errors.New("nack")), tMs, took)
			last = append(last, failed)
			n := 0
			for _, f := range last[max(0, len(last)-patientReads):] {
				if f {
					n++
				}
			}
			if let && (!failed || !good || tMs-goodMs > patientMs || n > 1 || took > patientTook) {
				rt.Fatalf("at %d ms a failure is let pass: good %v at %d, %d of five failed", tMs, good, goodMs, n)
			}
			if !failed {
				good, goodMs = true, tMs
			}
		}
	})
}
