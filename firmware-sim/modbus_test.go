package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"fairwatt/firmware-sim/modbusdevice"
	"fairwatt/model"
)

// exported is what the register of an SDM120 says: Wh, from its kWh.
func exported(t *testing.T, d *modbusdevice.Device) float64 {
	t.Helper()
	ask := []byte{1, 4, 0, 0x4a, 0, 2}
	rest := uint16(0xFFFF)
	for _, b := range ask {
		rest ^= uint16(b)
		for range 8 {
			rest = rest>>1 ^ rest&1*0xA001
		}
	}
	answer := d.Frame(binary.LittleEndian.AppendUint16(ask, rest))
	if len(answer) != 9 {
		t.Fatalf("answer % x", answer)
	}
	return 1000 * float64(math.Float32frombits(binary.BigEndian.Uint32(answer[3:])))
}

// A simulated meter counts what its trace gives between the rows, never falls, and goes
// on where the trace begins again: a register that jumps back is billed by no one.
func TestModbusMeterCounts(t *testing.T) {
	device, err := modbusdevice.New("eastron-sdm120", 1)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]model.Sample, 3)
	for i, powerW := range []float64{6000, -500, 0} {
		samples[i].TimeMs = int64(i) * 60_000
		samples[i].Set(model.PowerW, powerW)
		samples[i].Set(model.EnergyExportWh, 17_178) // what stood in the trace
	}
	const speed = 4.0
	ctx, cancel := context.WithCancel(t.Context())
	var passed time.Duration
	var seen []float64
	wait := func(ctx context.Context, d time.Duration) error {
		seen = append(seen, exported(t, device))
		if passed += d; passed >= 2*2*time.Minute/speed {
			cancel()
		}
		return ctx.Err()
	}
	if err := feedDevice(ctx, device, samples, speed, wait); err != nil {
		t.Fatal(err)
	}
	for i, wh := range seen[1:] {
		if wh < seen[i] || wh > seen[i]+6000*speed*feedPause.Hours()+0.01 {
			t.Fatalf("the register goes from %g to %g Wh", seen[i], wh)
		}
	}
	if last := seen[len(seen)-1]; math.Abs(last-200) > 0.1 { // 6 kW for a minute, twice
		t.Errorf("%g Wh at the end, want 200", last)
	}
	if len(seen) != 2*2*60 {
		t.Errorf("%d steps", len(seen))
	}
}

func TestModbusMeterNeedsATrace(t *testing.T) {
	device, err := modbusdevice.New("eastron-sdm120", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := feedDevice(t.Context(), device, nil, 1, func(context.Context, time.Duration) error { return errors.New("waited") }); err == nil {
		t.Error("a meter without a world is fed")
	}
}
