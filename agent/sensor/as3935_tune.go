package sensor

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Tuning an AS3935: the chip shows its antenna's oscillation on IRQ, divided by
// 128. The pulses are counted for a while at each setting of the capacitors.
const (
	asAntennaHz = 500_000
	asTolerance = 0.035 // the chip can not calibrate beyond (datasheet, "antenna tuning")
	asDispLCO   = 0x80  // of register 8
	asDivideBy  = 128   // LCO_FDIV 11
	asCountFor  = 200 * time.Millisecond
	asCaps      = 16
)

// TuneAS3935 finds the tuning_cap that brings the antenna nearest to 500 kHz,
// and the frequency it then has. It needs the IRQ pin, takes 4 s, and leaves the
// detector deaf until a sensor sets it up again. A busy machine may miss
// some of 4000 edges a second; the frequency is then too low at every setting.
func TuneAS3935(ctx context.Context, cfg Config, buses Buses) (setting int, hz float64, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return 0, 0, err
	}
	o, ok := cfg.Opts.(AS3935Opts)
	if !ok || o.IRQPin == "" {
		return 0, 0, fmt.Errorf("sensor %s: irq_pin: needed to tune an as3935", cfg.Name)
	}
	c, err := openChip(cfg, buses)
	if err != nil {
		return 0, 0, err
	}
	d := &AS3935{chip: c}
	counter, stop, err := counterOf(cfg.Kind, o.IRQPin, 0, buses)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()
	if err := d.command(ctx, "tune", asGain+3, asMark); err != nil {
		return 0, 0, err
	}
	for step := range asCaps {
		got, err := d.antenna(ctx, o.IRQPin, byte(step), counter)
		if err != nil {
			return 0, 0, err
		}
		if math.Abs(got-asAntennaHz) < math.Abs(hz-asAntennaHz) {
			setting, hz = step, got
		}
	}
	if err := d.command(ctx, "tune", asTuning, byte(setting)); err != nil {
		return 0, 0, err
	}
	if math.Abs(hz-asAntennaHz) > asTolerance*asAntennaHz {
		return setting, hz, d.fail("tune", fmt.Errorf("%w: antenna at %.0f Hz at best, not within 3.5 %% of %d", ErrNotReady, hz, asAntennaHz))
	}
	return setting, hz, nil
}

// antenna measures the antenna's frequency at one setting.
func (d *AS3935) antenna(ctx context.Context, pin string, setting byte, counter Counters) (float64, error) {
	if err := d.command(ctx, "tune", asTuning, asDispLCO|setting); err != nil {
		return 0, err
	}
	before, _, err := counter.PulseCount(pin)
	if err != nil {
		return 0, d.fail("tune", err)
	}
	start := d.clock.Now()
	if err := d.clock.Sleep(ctx, asCountFor); err != nil {
		return 0, d.fail("tune", err)
	}
	after, _, err := counter.PulseCount(pin)
	if err != nil {
		return 0, d.fail("tune", err)
	}
	return float64(after-before) * asDivideBy / (d.clock.Now() - start).Seconds(), nil
}
