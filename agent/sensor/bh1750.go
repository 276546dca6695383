package sensor

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"fairwatt/model"
)

// Commands and times of the BH1750FVI (ROHM, technical note 2011.11 rev. D).
const (
	bhPowerOn  = 0x01
	bhOnce     = 0x20 // one measurement in high resolution, then power down
	bhTimeHigh = 0x40 // with bits 7 to 5 of MTreg
	bhTimeLow  = 0x60 // with bits 4 to 0
	// The shortest measuring time that the chip has: full daylight is beyond the
	// others.
	bhTime     = 31
	bhTypical  = 69
	bhMeasure  = 120 * time.Millisecond * bhTime / bhTypical
	bhSlowest  = 180 * time.Millisecond * bhTime / bhTypical
	bhPerLux   = 1.2
	bhOverflow = 0xFFFF
)

// KindBH1750 is the kind of a [BH1750].
const KindBH1750 = "bh1750"

// BH1750Opts are the settings of a BH1750. Its default address is 0x23.
type BH1750Opts struct {
	// LuxPerWPM2 is the light of a W/m2, default 120 (daylight). A dome over the chip
	// makes it less: compare with a pyranometer or with the plant on a clear day.
	LuxPerWPM2 float64 `yaml:"lux_per_wpm2,omitempty"`
}

func (o BH1750Opts) withDefaults() Opts {
	orDefault(&o.LuxPerWPM2, 120)
	return o
}

func (BH1750Opts) place() place { return atI2C(0x23) }

func (o BH1750Opts) check() error {
	if !within(o.LuxPerWPM2, 1, 1000) {
		return fmt.Errorf("lux_per_wpm2: %g is not within 1 and 1000", o.LuxPerWPM2)
	}
	return nil
}

func (o BH1750Opts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &BH1750{c, o.LuxPerWPM2}, nil
}

var bhChannels = []model.Channel{model.IrradianceWPM2}

// A BH1750 measures light, and irradiance as far as daylight has always the same
// colours: within some ten per cent. It ends at 121 klx, about 1000 W/m2 without a
// dome. Mount it in the plane of the modules.
type BH1750 struct {
	chip
	luxPerWPM2 float64
}

// Channels implements Sensor.
func (d *BH1750) Channels() []model.Channel { return bhChannels }

// Read implements Sensor; it takes about 85 ms.
func (d *BH1750) Read(ctx context.Context, s *model.Sample) error {
	raw, err := d.measure(ctx)
	// The chip has no register that could be read back. One that has just restarted
	// gives 0, and so does the night: what is 0 is measured again.
	if err == nil && raw == 0 {
		raw, err = d.measure(ctx)
	}
	if err == nil && raw == bhOverflow {
		err = d.fail("read light", ErrSaturated)
	}
	if err != nil {
		return failAll(s, bhChannels, err)
	}
	const luxStep = 1 / bhPerLux * bhTypical / bhTime
	s.SetStep(model.IrradianceWPM2, float64(raw)*luxStep/d.luxPerWPM2, luxStep/d.luxPerWPM2)
	return nil
}

// measure sets the chip up each time, because it cannot be asked whether it still
// is.
func (d *BH1750) measure(ctx context.Context) (uint16, error) {
	for _, c := range [...]byte{bhPowerOn, bhTimeHigh | bhTime>>5, bhTimeLow | bhTime&0x1F, bhOnce} {
		if err := d.tx("start measurement", []byte{c}, nil); err != nil {
			return 0, err
		}
	}
	if err := d.clock.Sleep(ctx, bhSlowest); err != nil {
		return 0, d.fail("await measurement", err)
	}
	var b [2]byte
	if err := d.tx("read light", nil, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b[:]), nil
}
