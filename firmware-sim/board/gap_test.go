package board_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// jumpy lets the board's clock jump in the middle of a measurement. So does a
// board behind a socket when its world moves on between two transfers.
type jumpy struct {
	*board.Board
	edges int
	every int // edges between two jumps
	jumps int // so many at most
}

func (j *jumpy) Edges(name string) (simbus.EdgeLine, error) {
	line, err := j.Board.Edges(name)
	return jumpyLine{line, j}, err
}

type jumpyLine struct {
	simbus.EdgeLine
	j *jumpy
}

func (l jumpyLine) Await(timeout time.Duration) error {
	l.j.edges++
	if l.j.edges%l.j.every == 0 && l.j.jumps > 0 {
		l.j.jumps--
		if err := l.j.Sleep(context.Background(), 87*time.Millisecond); err != nil {
			return err
		}
	}
	return l.EdgeLine.Await(timeout)
}

// A gap in the samples costs a new window, not a false frequency; gap after gap
// is an error.
func TestADS1115WindowWithAGap(t *testing.T) {
	for _, test := range []struct {
		jumps int
		want  error
	}{{1, nil}, {3, nil}, {1000, sensor.ErrTooFewSamples}} {
		b, err := board.New(board.Standard())
		if err != nil {
			t.Fatal(err)
		}
		var world model.Sample
		world.Set(model.VoltageV, 230)
		world.Set(model.CurrentA, 10)
		world.Set(model.FrequencyHz, 50)
		b.Feed(&world)
		cfg := sensor.StandardConfigs()[2]
		ads := cfg.Opts.(sensor.ADS1115Opts)
		ads.ReadyPin = "RDY"
		cfg.Opts = ads
		d, err := sensor.New(cfg, &jumpy{Board: b, every: 60, jumps: test.jumps})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		if err := d.Read(t.Context(), &s); !errors.Is(err, test.want) {
			t.Errorf("%d jumps: %v, want %v", test.jumps, err, test.want)
		}
		hz, ok := s.Get(model.FrequencyHz)
		if ok != (test.want == nil) || ok && math.Abs(hz-50) > 0.05 {
			t.Errorf("%d jumps: %.3f Hz, %v", test.jumps, hz, ok)
		}
	}
}
