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
	// Garbled: a bit of every answer that has a checksum is turned over.
	Garbled FaultKind = "garbled"
)

// A Fault breaks one part, named as Part.Name.
type Fault struct {
	Part  string
	Kind  FaultKind
	Delay time.Duration
}

// faults are those active at one part.
type faults struct {
	noAnswer, stuckValue, stuckStatus, wrongChip, garbled bool
	slow                                                  time.Duration
}

func (f *faults) delay() time.Duration { return f.slow }

// Inject breaks a part. Several faults of one part add up.
func (b *Board) Inject(f Fault) error {
	if f.Delay < 0 {
		return fmt.Errorf("fault of %s: delay %v", f.Part, f.Delay)
	}
	if f.Delay == 0 {
		f.Delay = 10 * time.Millisecond
	}
	return b.setFault(f, true)
}

// Remove mends what Inject broke; the delay is not looked at.
func (b *Board) Remove(f Fault) error { return b.setFault(f, false) }

func (b *Board) setFault(f Fault, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.faults[f.Part]
	if !ok {
		return fmt.Errorf("fault: board has no part %q", f.Part)
	}
	if b.pulses[f.Part] != nil && f.Kind != NoAnswer && f.Kind != StuckValue {
		return fmt.Errorf("fault of %s: a pin can not have %s", f.Part, f.Kind)
	}
	if chip, _, _ := strings.Cut(f.Part, "@"); f.Kind == Garbled && !slices.Contains([]string{"sht4x"}, chip) {
		return fmt.Errorf("fault of %s: %s has no checksum", f.Part, chip)
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
	case SlowBus:
		at.slow = 0
		if on {
			at.slow = f.Delay
		}
	default:
		return fmt.Errorf("fault of %s: unknown kind %q", f.Part, f.Kind)
	}
	return nil
}
