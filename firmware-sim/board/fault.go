package board

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A FaultKind is a way to break.
type FaultKind string

// The ways to break.
const (
	// NoAnswer: a chip does not acknowledge, a pin gives an error.
	NoAnswer FaultKind = "no_answer"
	// StuckValue: the measured value, or the pulse count, stays as it is.
	StuckValue FaultKind = "stuck_value"
	// StuckStatus: a conversion is never reported done.
	StuckStatus FaultKind = "stuck_status"
	// WrongChip: another chip sits at the address.
	WrongChip FaultKind = "wrong_chip"
	// SlowBus: every transfer with the part takes Fault.Delay of the board's
	// time (clock stretching); 10 ms if 0.
	SlowBus FaultKind = "slow_bus"
	// Garbled: one bit is wrong in every answer that has a checksum.
	Garbled FaultKind = "garbled"
	// Noise: an AS3935 hears Fault.Value more microvolts of noise; 3000, above
	// every floor, if 0.
	Noise FaultKind = "noise"
	// Disturbers: an AS3935 hears Fault.Value more an hour; 1800 if 0.
	Disturbers FaultKind = "disturbers"
	// Welded: a relay's contact does not open again.
	Welded FaultKind = "welded"
	// NoPullIn: a relay's contact does not close.
	NoPullIn FaultKind = "no_pull_in"
	// Bounces: a relay's contact bounces for Fault.Delay after each move.
	Bounces FaultKind = "bounces"
	// FeedbackLost: the wire of a relay's feedback is cut.
	FeedbackLost FaultKind = "feedback_lost"
	// BrownOut: the supply of a chip dips for a moment, and it starts again; with
	// the part BusPart all chips do. There is nothing to remove.
	BrownOut FaultKind = "brown_out"
	// Hung: a chip does not acknowledge until its supply has been away.
	Hung FaultKind = "hung"
	// Locked: a chip holds a line of the I2C bus down, and no transfer gets through.
	// Its part is BusPart. It ends too when the supply has been away.
	Locked FaultKind = "locked"
)

// A Fault breaks one part, named as Part.Name.
type Fault struct {
	Part  string
	Kind  FaultKind
	Delay time.Duration
	Value float64 // of Noise and Disturbers
}

// onlyChips lists the chips that can have a special fault.
var onlyChips = map[FaultKind][]string{
	Garbled: {"sht4x", "pzem", "ds18b20"}, Noise: {"as3935"}, Disturbers: {"as3935"}, Locked: {BusPart},
}

// busFaults are those of the bus, and its only ones.
var busFaults = []FaultKind{Locked, BrownOut}

// relayFaults are those of a relay, and its only ones.
var relayFaults = []FaultKind{Welded, NoPullIn, Bounces, FeedbackLost}

// valueIf is a fault's value, or its default, or 0 after its removal.
func valueIf(on bool, v, byDefault float64) float64 {
	switch {
	case !on:
		return 0
	case v == 0:
		return byDefault
	}
	return v
}

// faults are those active at one part.
type faults struct {
	noAnswer, stuckValue, stuckStatus, wrongChip, garbled, hung bool
	welded, noPullIn, feedbackLost, locked                      bool
	slow, bounces                                               time.Duration
	noiseUV, disturbersPerHour                                  float64
}

func (f *faults) delay() time.Duration { return f.slow }

// Inject breaks a part. Several faults of one part add up.
func (b *Board) Inject(f Fault) error {
	if f.Delay < 0 {
		return fmt.Errorf("fault of %s: delay %v", f.Part, f.Delay)
	}
	if !(f.Value >= 0 && f.Value <= 1e5) {
		return fmt.Errorf("fault of %s: value %g is not within 0 and 100000", f.Part, f.Value)
	}
	if f.Delay == 0 {
		f.Delay = 10 * time.Millisecond
	}
	return b.setFault(f, true)
}

// Remove ends a fault. It ignores Delay and Value.
func (b *Board) Remove(f Fault) error { return b.setFault(f, false) }

func (b *Board) setFault(f Fault, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.faults[f.Part]
	if !ok {
		return fmt.Errorf("fault: board has no part %q", f.Part)
	}
	if (b.relays[f.Part] != nil) != slices.Contains(relayFaults, f.Kind) {
		return fmt.Errorf("fault of %s: it can not have %s", f.Part, f.Kind)
	}
	if b.pulses[f.Part] != nil && f.Kind != NoAnswer && f.Kind != StuckValue {
		return fmt.Errorf("fault of %s: a pin can not have %s", f.Part, f.Kind)
	}
	if f.Part == BusPart && !slices.Contains(busFaults, f.Kind) {
		return fmt.Errorf("fault of %s: it can not have %s", f.Part, f.Kind)
	}
	chip, _, _ := strings.Cut(f.Part, "@")
	if b.oneWire[f.Part] != nil {
		chip = "ds18b20"
	}
	if only, ok := onlyChips[f.Kind]; ok && !slices.Contains(only, chip) {
		return fmt.Errorf("fault of %s: %s can not have %s", f.Part, chip, f.Kind)
	}
	switch f.Kind {
	case NoAnswer:
		at.noAnswer = on
	case StuckValue:
		at.stuckValue = on
	case StuckStatus:
		at.stuckStatus = on
	case WrongChip:
		at.wrongChip = on
	case Garbled:
		at.garbled = on
	case Noise:
		at.noiseUV = valueIf(on, f.Value, 3000)
	case Disturbers:
		at.disturbersPerHour = valueIf(on, f.Value, 1800)
	case Welded:
		at.welded = on
	case NoPullIn:
		at.noPullIn = on
	case FeedbackLost:
		at.feedbackLost = on
	case Bounces:
		at.bounces = 0
		if on {
			at.bounces = f.Delay
		}
	case Hung:
		at.hung = on
	case Locked:
		at.locked = on
	case BrownOut:
		return b.dip(f.Part, on)
	case SlowBus:
		at.slow = 0
		if on {
			at.slow = f.Delay
		}
	default:
		return fmt.Errorf("fault of %s: unknown kind %q", f.Part, f.Kind)
	}
	if r := b.relays[f.Part]; r != nil {
		r.settle(b.now)
	}
	return nil
}

// dip lets the supply of one chip, or of all, dip for a moment.
func (b *Board) dip(part string, on bool) error {
	if !on { // it is over
		return nil
	}
	if part == BusPart {
		b.brownOut()
		return nil
	}
	if d := b.oneWire[part]; d != nil {
		d.powerUp()
		return nil
	}
	for _, c := range b.chips {
		if c.info().Name() == part {
			b.powerUp(c)
			return nil
		}
	}
	return fmt.Errorf("fault of %s: no chip with a supply of its own", part)
}
