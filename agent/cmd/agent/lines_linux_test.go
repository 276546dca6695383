package main

import (
	"encoding/binary"
	"testing"

	"periph.io/x/conn/v3/gpio"
)

// An output is asked for with its level, where the kernel's header has the fields: an
// output without one would be low until its level is set.
func TestOutputIsAskedForWithItsLevel(t *testing.T) {
	for _, level := range []gpio.Level{gpio.Low, gpio.High} {
		b := outputRequest(17, level)
		want := uint64(0)
		if level {
			want = 1
		}
		for at, v := range map[int]uint64{
			0: 17, 288: 1 << 3, 296: 1, // offsets[0], config.flags, config.num_attrs
			320: 2, 328: want, 336: 1, // config.attrs[0]: attr.id, attr.values, mask
			560: 1, // num_lines
		} {
			got := uint64(binary.NativeEndian.Uint32(b[at:]))
			if at == 288 || at == 328 || at == 336 {
				got = binary.NativeEndian.Uint64(b[at:])
			}
			if got != v {
				t.Errorf("level %v: %d at byte %d, want %d", level, got, at, v)
			}
		}
	}
}

// A pin that is nowhere is refused by its name, also by chip and line.
func TestPinThatIsNowhere(t *testing.T) {
	h := &hostBuses{}
	for _, name := range []string{"nowhere/3", "nowhere/x", "/", "gpiochip0/70000", "NOWHERE"} {
		if _, err := h.Pin(name); err == nil {
			t.Errorf("input %s is there", name)
		}
		if _, err := h.PinOut(name); err == nil {
			t.Errorf("output %s is there", name)
		}
		if _, err := h.Edges(name); err == nil {
			t.Errorf("edges of %s are there", name)
		}
	}
}
