package sensor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/model"
)

// Registers and settings of the MCP9808 (Microchip DS25095A, section 5).
const (
	mcpConfig  = 1
	mcpAmbient = 5
	mcpMaker   = 6
	mcpDevice  = 7

	mcpMakerID  = 0x0054
	mcpDeviceID = 0x04 // the upper byte; the lower is the revision
	// mcpMark is a hysteresis of the alert that is not used. A chip that loses its
	// supply loses it too, and is found by that: its temperature is 0 C then.
	mcpMark      = 0x0200
	mcpConvert   = 250 * time.Millisecond // at the resolution after power-up, 0.0625 C
	mcpLowC      = -40
	mcpHighC     = 125
	mcpStepC     = 0.0625
	mcpSignBit   = 0x1000
	mcpMagnitude = 0x0FFF
)

// KindMCP9808 is the kind of an [MCP9808].
const KindMCP9808 = "mcp9808"

// MCP9808Opts are the settings of an MCP9808. Its default address is 0x18.
type MCP9808Opts struct {
	// Measures is "equipment" (default, equipment_temperature_c) or "air"
	// (temperature_c).
	Measures string `yaml:"measures,omitempty"`
}

func (o MCP9808Opts) withDefaults() Opts {
	orDefault(&o.Measures, "equipment")
	return o
}

func (MCP9808Opts) place() place { return atI2C(0x18) }

func (o MCP9808Opts) check() error { return checkMeasures(o.Measures) }

func (o MCP9808Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &MCP9808{c, []model.Channel{measuredChannel(o.Measures)}}, nil
}

// An MCP9808 measures the temperature of what it is glued to, within 0.5 C.
type MCP9808 struct {
	chip
	channels []model.Channel
}

// Channels implements Sensor.
func (d *MCP9808) Channels() []model.Channel { return d.channels }

// Read implements Sensor. The first takes 250 ms.
func (d *MCP9808) Read(ctx context.Context, s *model.Sample) error {
	t, err := d.measure(ctx)
	if errors.Is(err, ErrSaturated) {
		s.Saturate(d.channels[0], t > mcpHighC)
		return err
	}
	if err != nil {
		return failAll(s, d.channels, err)
	}
	s.SetStep(d.channels[0], t, mcpStepC)
	return nil
}

func (d *MCP9808) measure(ctx context.Context) (float64, error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return 0, err
		}
		d.ready = true
	}
	raw, err := d.read16("read temperature", mcpAmbient)
	if err != nil {
		return 0, err
	}
	// Behind the value: a restart before it shows.
	got, err := d.read16("read configuration", mcpConfig)
	if err != nil {
		return 0, err
	}
	if got != mcpMark {
		return 0, d.fail("read configuration", fmt.Errorf("%w: 0x%04x, was set to 0x%04x: the chip has restarted", ErrWrongChip, got, mcpMark))
	}
	t := float64(raw&mcpMagnitude) * mcpStepC
	if raw&mcpSignBit != 0 {
		t -= 256
	}
	if t < mcpLowC || t > mcpHighC {
		return t, d.fail("read temperature", fmt.Errorf("%w: %g C", ErrSaturated, t))
	}
	return t, nil
}

// setup identifies the chip, marks it, and awaits its first conversion.
func (d *MCP9808) setup(ctx context.Context) error {
	maker, err := d.read16("read id", mcpMaker)
	if err != nil {
		return err
	}
	device, err := d.read16("read id", mcpDevice)
	if err != nil {
		return err
	}
	if maker != mcpMakerID || device>>8 != mcpDeviceID {
		return d.fail("read id", fmt.Errorf("%w: maker 0x%04x, device 0x%04x", ErrWrongChip, maker, device))
	}
	if err := d.write16("configure", mcpConfig, mcpMark); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, mcpConvert); err != nil {
		return d.fail("await measurement", err)
	}
	return nil
}
