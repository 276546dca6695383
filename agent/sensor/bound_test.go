package sensor

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"fairwatt/model"
)

// A stoppedClock stands still and sleeps for no time.
type stoppedClock struct{}

func (stoppedClock) Now() time.Duration                         { return 0 }
func (stoppedClock) Sleep(context.Context, time.Duration) error { return nil }

// A chip that is never ready is asked limit/pause + 2 times, also by a clock
// that stands still: no driver hangs.
func TestPollEndsWithABrokenClock(t *testing.T) {
	for _, c := range []struct {
		pause, limit time.Duration
		want         int
	}{{2 * time.Millisecond, 10 * time.Millisecond, 7}, {3 * time.Millisecond, 10 * time.Millisecond, 5}, {time.Second, time.Millisecond, 2}} {
		one, asked := chip{clock: stoppedClock{}}, 0
		err := one.poll(t.Context(), "await", c.pause, c.limit, func() (bool, error) {
			asked++
			if asked > 1000 {
				return true, nil // the bound is gone
			}
			return false, nil
		})
		if !errors.Is(err, ErrNotReady) || asked != c.want {
			t.Errorf("every %s for %s: asked %d times, %v; want %d times", c.pause, c.limit, asked, err, c.want)
		}
	}
}

// With a clock that runs, a chip is asked until the limit, and once at it.
func TestPollEndsAtItsLimit(t *testing.T) {
	clock, asked := &fakeBuses{}, 0
	one := chip{clock: clock}
	err := one.poll(t.Context(), "await", 2*time.Millisecond, 10*time.Millisecond, func() (bool, error) {
		asked++
		clock.now += 2 * time.Millisecond // the transfer
		return false, nil
	})
	if !errors.Is(err, ErrNotReady) || asked != 3 || clock.now != 10*time.Millisecond {
		t.Errorf("asked %d times in %s: %v", asked, clock.now, err)
	}
}

// The converter's limits are saturation themselves: 32 V on the bus, 320 mV
// over the shunt either way. One step below them is a reading.
func TestINA219Saturation(t *testing.T) {
	for _, c := range []struct {
		name  string
		bus   uint16
		shunt int16
		ok    bool
	}{
		{"both just below", 7999, 31999, true}, {"the bus at its limit", 8000, 0, false}, {"the bus beyond it", 8191, 0, false},
		{"the shunt at its limit", 3000, 32000, false}, {"below it, backwards", 3000, -31999, true}, {"at it, backwards", 3000, -32000, false},
	} {
		ops := []i2ctest.IO{
			{Addr: 0x40, W: []byte{0, 0x80, 0}}, {Addr: 0x40, W: []byte{0}, R: []byte{0x39, 0x9F}},
			{Addr: 0x40, W: []byte{5, 0x10, 0x62}}, {Addr: 0x40, W: []byte{0, 0x3E, 0x67}},
			{Addr: 0x40, W: []byte{2}, R: []byte{byte(c.bus >> 5), byte(c.bus<<3) | inaReady}},
			{Addr: 0x40, W: []byte{1}, R: []byte{byte(uint16(c.shunt) >> 8), byte(c.shunt)}},
			{Addr: 0x40, W: []byte{4}, R: []byte{0x27, 0x10}},
			{Addr: 0x40, W: []byte{3}, R: []byte{0x17, 0x66}},
			{Addr: 0x40, W: []byte{5}, R: []byte{0x10, 0x62}}, {Addr: 0x40, W: []byte{0}, R: []byte{0x3E, 0x67}},
		}
		d, err := New(Config{Kind: KindINA219}, &fakeBuses{bus: &i2ctest.Playback{DontPanic: true, Ops: ops}})
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		err = d.Read(t.Context(), &s)
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrSaturated) {
			t.Errorf("%s: %v", c.name, err)
		}
		if v, valid := s.Get(model.DCVoltageV); valid != c.ok || valid && math.Abs(v-float64(c.bus)*0.004) > 1e-9 {
			t.Errorf("%s: %g V, valid %v", c.name, v, valid)
		}
	}
}
