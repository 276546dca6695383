package board_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

type samples []model.Sample

func (s *samples) Next(out *model.Sample) error {
	if len(*s) == 0 {
		return io.EOF
	}
	*out, *s = (*s)[0], (*s)[1:]
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestPlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, board.Standard())
		var src samples
		for i := range 25 {
			s := world(calm())
			s.TimeMs = int64(i) * 3_600_000
			src = append(src, *s)
		}
		start := time.Now()
		if err := board.Play(t.Context(), b, &src, 3600, sleep); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 24*time.Second {
			t.Errorf("a day at 3600 took %v", d)
		}
		if b.Now() != 24*time.Hour {
			t.Errorf("the board is at %v", b.Now())
		}
	})
}

func TestPlayRefuses(t *testing.T) {
	b := newBoard(t, board.Standard())
	back := samples{{TimeMs: 5}, {TimeMs: 4}}
	if err := board.Play(t.Context(), b, &back, 1, sleep); err == nil {
		t.Error("time that goes back was played")
	}
	if err := board.Play(t.Context(), b, &samples{}, 0, sleep); err == nil {
		t.Error("speed 0 was played")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := board.Play(ctx, b, &samples{{}, {TimeMs: 1e9}}, 1, sleep); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled play ended with %v", err)
	}
}

// Pins give real edges to code that knows no counters.
func TestEdges(t *testing.T) {
	b := newBoard(t, board.Standard())
	local, err := b.Pin("S0-1")
	if err != nil {
		t.Fatal(err)
	}
	far, err := serve(t, b).Pin("S0-2")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]gpio.PinIn{"S0-1": local, "S0-2": far} {
		if p.WaitForEdge(time.Millisecond) {
			t.Errorf("%s: an edge without energy", name)
		}
		if err := b.AddEnergyWh(name, 2.5); err != nil {
			t.Fatal(err)
		}
		n := 0
		for p.WaitForEdge(time.Millisecond) {
			n++
		}
		if n != 2 {
			t.Errorf("%s: %d edges for 2.5 Wh", name, n)
		}
	}
}

func ExampleBoard() {
	b, err := board.New(board.Standard())
	if err != nil {
		fmt.Println(err)
		return
	}
	weather, err := sensor.New(sensor.Config{Kind: sensor.KindBME280}, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	var world, seen model.Sample
	world.Set(model.TemperatureC, 21.5)
	world.Set(model.HumidityPct, 48)
	world.Set(model.PressureHPa, 1008.4)
	b.Feed(&world)
	b.Advance(time.Second)
	err = weather.Read(context.Background(), &seen)
	fmt.Printf("%.2f C %.1f %% %.1f hPa, %v\n", seen.Values[model.TemperatureC], seen.Values[model.HumidityPct], seen.Values[model.PressureHPa], err)

	if err := b.Inject(board.Fault{Part: "bme280@0x76", Kind: board.NoAnswer}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(weather.Read(context.Background(), &seen))
	// Output:
	// 21.50 C 48.0 % 1008.4 hPa, <nil>
	// bme280 at 0x76: start measurement: no chip answers: address 0x76 not acknowledged
}
