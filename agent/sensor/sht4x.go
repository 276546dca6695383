package sensor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"fairwatt/model"
)

// Commands and times of the SHT4x (Sensirion, datasheet version 6.6, sections 3
// and 4).
const (
	shtMeasure = 0xFD // high repeatability
	shtReset   = 0x94
	shtSerial  = 0x89
	shtTime    = 7 * time.Millisecond // typical; 8.3 ms at most
	shtShort   = time.Millisecond     // reset and serial number
	shtPause   = time.Millisecond
	shtLimit   = 50 * time.Millisecond
)

var shtChannels = []model.Channel{model.TemperatureC, model.HumidityPct}

// KindSHT4x is the kind of an [SHT4x].
const KindSHT4x = "sht4x"

// SHT4xOpts are the settings of an SHT4x: none. Its default address is 0x44.
type SHT4xOpts struct{}

func (o SHT4xOpts) withDefaults() Opts { return o }

func (SHT4xOpts) place() place { return atI2C(0x44) }

func (SHT4xOpts) check() error {
	return nil
}

func (SHT4xOpts) open(cfg Config, buses Buses) (Sensor, error) {
	c, err := openChip(cfg, buses)
	if err != nil {
		return nil, err
	}
	return &SHT4x{chip: c}, nil
}

// An SHT4x measures temperature and humidity, each with a checksum.
type SHT4x struct {
	chip
	serial uint32
}

// Channels implements Sensor.
func (d *SHT4x) Channels() []model.Channel { return shtChannels }

// Serial is the chip's serial number, 0 before the first good Read.
func (d *SHT4x) Serial() uint32 { return d.serial }

// Read implements Sensor; it takes about 8 ms.
func (d *SHT4x) Read(ctx context.Context, s *model.Sample) error {
	t, h, err := d.measure(ctx)
	if err != nil {
		return failAll(s, shtChannels, err)
	}
	// Section 4.6. At the ends the formula gives up to 6 % too much, to be cut.
	s.SetStep(model.TemperatureC, -45+175*float64(t)/65535, 175.0/65535)
	s.SetStep(model.HumidityPct, min(max(-6+125*float64(h)/65535, 0), 100), 125.0/65535)
	return nil
}

func (d *SHT4x) measure(ctx context.Context) (t, h uint16, err error) {
	if !d.ready {
		if err := d.setup(ctx); err != nil {
			return 0, 0, err
		}
		d.ready = true
	}
	return d.command(ctx, "measurement", shtMeasure, shtTime)
}

// setup resets the chip and reads its serial number. That two words come with
// their checksums stands in for an id.
func (d *SHT4x) setup(ctx context.Context) error {
	if err := d.tx("reset", []byte{shtReset}, nil); err != nil {
		return err
	}
	if err := d.clock.Sleep(ctx, shtShort); err != nil {
		return d.fail("reset", err)
	}
	hi, lo, err := d.command(ctx, "serial number", shtSerial, shtShort)
	if err != nil {
		return err
	}
	d.serial = uint32(hi)<<16 | uint32(lo)
	return nil
}

// command sends one and reads its two words. The chip does not acknowledge a
// read while it is busy (4.4), so that a missing acknowledge here is "not yet".
func (d *SHT4x) command(ctx context.Context, what string, cmd byte, takes time.Duration) (a, b uint16, err error) {
	if err := d.tx("start "+what, []byte{cmd}, nil); err != nil {
		return 0, 0, err
	}
	if err := d.clock.Sleep(ctx, takes); err != nil {
		return 0, 0, d.fail("await "+what, err)
	}
	var r [6]byte
	err = d.poll(ctx, "read "+what, shtPause, shtLimit, func() (bool, error) {
		err := d.tx("read "+what, nil, r[:])
		if errors.Is(err, ErrNoChip) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return 0, 0, err
	}
	if a, b, err = shtWords(r); err != nil {
		return 0, 0, d.fail("read "+what, err)
	}
	return a, b, nil
}

// shtWords takes two words out of an answer and checks both checksums.
func shtWords(r [6]byte) (a, b uint16, err error) {
	for i := 0; i < 6; i += 3 {
		if got := shtCRC(r[i : i+2]); got != r[i+2] {
			return 0, 0, fmt.Errorf("%w: word %d has 0x%02x, want 0x%02x", ErrChecksum, i/3, r[i+2], got)
		}
	}
	return binary.BigEndian.Uint16(r[0:]), binary.BigEndian.Uint16(r[3:]), nil
}

// shtCRC is the CRC-8 of section 4.4: polynomial 0x31, initially 0xFF.
func shtCRC(b []byte) byte {
	crc := byte(0xFF)
	for _, v := range b {
		crc ^= v
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
