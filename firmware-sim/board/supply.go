package board

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor/simbus"
)

// A Supply is a switch in the supply of all chips on the I2C bus, behind an output
// pin. While it is off no chip answers; what held the bus down is off too, and a chip
// that hung starts again with the others when it is back. A floating pin leaves it on.
type Supply struct {
	Pin       string
	ActiveLow bool // low cuts the supply
}

// A SupplyEvent is a move of the switch.
type SupplyEvent struct {
	At   time.Duration // on the board's clock
	Wall time.Time
	On   bool
}

// dischargeTime is how long the capacitors of a board hold the chips up.
const dischargeTime = 50 * time.Millisecond

type supplySwitch struct {
	cfg    Supply
	client any // who drives the pin
	off    bool
	// offAt is when it was switched off, on the board's clock; fedAt the same in the
	// time that was let pass, which drivers on a slow bus are ahead of.
	offAt, fedAt time.Duration
	log          []SupplyEvent
}

func (b *Board) addSupply(c Supply) error {
	if c.Pin == "" {
		return fmt.Errorf("supply: no pin named")
	}
	if b.hasPin(c.Pin) || b.relays[c.Pin] != nil || b.supply != nil {
		return fmt.Errorf("supply on pin %s: two parts, or two supplies", c.Pin)
	}
	b.supply = &supplySwitch{cfg: c}
	b.parts = append(b.parts, Part{Chip: "supply", Pin: c.Pin})
	return nil
}

// isSupply says whether a pin switches the supply.
func (b *Board) isSupply(pin string) bool { return b.supply != nil && b.supply.cfg.Pin == pin }

// set moves the switch. A gap that is too short for the capacitors is none. Caller
// holds the board's lock.
func (s *supplySwitch) set(b *Board, client any, off bool) {
	s.client = client
	if off == s.off {
		return
	}
	s.off = off
	s.log = append(s.log, SupplyEvent{b.now, time.Now(), !off})
	if off {
		s.offAt, s.fedAt = b.now, b.target
		return
	}
	if max(b.now-s.offAt, b.target-s.fedAt) < dischargeTime {
		return
	}
	b.bus.locked = false
	b.brownOut()
}

// unpowered says whether the chips are without supply. Caller holds the lock.
func (b *Board) unpowered() bool { return b.supply != nil && b.supply.off }

// SupplyLog returns every move of the switch of the chips' supply, oldest first. It
// is on before the first.
func (b *Board) SupplyLog() []SupplyEvent {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.supply == nil {
		return nil
	}
	return append([]SupplyEvent(nil), b.supply.log...)
}

// driveSupply moves the switch for a client.
func (b *Board) driveSupply(client any, l gpio.Level) {
	b.supply.set(b, client, bool(l) != b.supply.cfg.ActiveLow)
}

// supplyOut returns the output that drives the switch.
func (b *Board) supplyOut(name string) gpio.PinOut {
	return simbus.NewPinOut(name, func(name string, l gpio.Level) error { return b.setPin(b, name, l) })
}
