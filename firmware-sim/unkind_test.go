package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

func TestKernelOfFlags(t *testing.T) {
	u := unkindFlags{stalls: "300ms/1s", nacks: "500/2", edges: 16, busHz: 1e5, brownOut: time.Minute, seed: 7}
	k, err := u.kernel()
	want := board.Kernel{
		EdgesOnly: true, QueueEdges: 16, StallFor: 300 * time.Millisecond, StallEvery: time.Second,
		BusHz: 1e5, NackEvery: 500, NackBurst: 2, BrownOutEvery: time.Minute, Seed: 7,
	}
	if err != nil || k != want {
		t.Errorf("%+v, %v", k, err)
	}
	for _, bad := range []unkindFlags{{stalls: "1s"}, {stalls: "x/1s"}, {stalls: "2s/1s"}, {nacks: "5"}, {nacks: "5/x"}, {edges: -1}, {busHz: 1}, {brownOut: -1}} {
		if _, err := bad.kernel(); err == nil && bad.edges >= 0 {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestScriptIsRead(t *testing.T) {
	got, err := parseScript(strings.NewReader("# the roof\n\n10s bme280@0x76 no_answer 5s\n2s i2c brown_out\n"))
	if err != nil || len(got) != 3 || got[0].fault.Part != "i2c" || got[1].at != 10*time.Second || got[1].ends || got[2].at != 15*time.Second || !got[2].ends {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"10s bme280@0x76":       "line 1: \"10s bme280@0x76\"; use TIME PART FAULT [HOW-LONG]",
		"\nsoon i2c locked":     "line 2: time \"soon\"",
		"1s i2c locked forever": "line 1: \"forever\"; use how long it lasts",
		"1s i2c locked -1s":     "use how long it lasts",
		"-1s i2c locked":        "time \"-1s\"",
	} {
		if _, err := parseScript(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, f := range []board.Fault{{Part: "oven", Kind: board.NoAnswer}, {Part: "i2c", Kind: "melted"}} {
		if err := rehearse([]scripted{{fault: f}}, boardLayout(board.Kernel{})); err == nil {
			t.Errorf("%v is taken", f)
		}
	}
}

// A script breaks and mends at its moments of the board's clock.
func TestScriptIsPlayed(t *testing.T) {
	b, err := board.New(boardLayout(board.Kernel{}))
	if err != nil {
		t.Fatal(err)
	}
	var s model.Sample
	s.Set(model.EquipmentTemperatureC, 40)
	b.Feed(&s)
	script, err := parseScript(strings.NewReader("10s tmp102@0x49 no_answer 5s"))
	if err != nil {
		t.Fatal(err)
	}
	bus, err := b.I2C("")
	if err != nil {
		t.Fatal(err)
	}
	answers := func() bool { return bus.Tx(0x49, []byte{1}, make([]byte, 2)) == nil }
	var told strings.Builder
	for _, step := range []struct {
		advance time.Duration
		answers bool
	}{{9 * time.Second, true}, {time.Second, false}, {4 * time.Second, false}, {time.Second, true}} {
		b.Advance(step.advance)
		// One due step is taken at once; the wait for the next ends with the context.
		for len(script) > 0 && b.Now() >= script[0].at {
			if err := playScript(context.Background(), b, script[:1], &told); err != nil {
				t.Fatal(err)
			}
			script = script[1:]
		}
		if answers() != step.answers {
			t.Errorf("at %v it answers: %v", b.Now(), !step.answers)
		}
	}
	if !strings.Contains(told.String(), "fault no_answer of tmp102@0x49 begins") || !strings.Contains(told.String(), "ends") {
		t.Errorf("told %q", told.String())
	}
}
