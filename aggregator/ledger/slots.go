package ledger

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// takesOrders refuses what is no slot, and one whose gate has closed or is not open yet.
func (x *execution) takesOrders(startMs int64) *Refusal {
	p := x.params
	switch closesMs := startMs - p.GateClosureMs; {
	case startMs%p.SlotMs != 0:
		return refuse(wire.CodeSlotWrong, "slot_start_ms: %d is no multiple of %d", startMs, p.SlotMs)
	case x.timeMs >= closesMs:
		return refuse(wire.CodeSlotClosed, "slot_start_ms: the slot takes no orders since %d ms", x.timeMs-closesMs)
	case closesMs-x.timeMs > SlotHorizon*p.SlotMs:
		return refuse(wire.CodeTooFar, "slot_start_ms: the slot's gate closes in %d ms, at most %d", closesMs-x.timeMs, SlotHorizon*p.SlotMs)
	}
	return nil
}

// order lets an ask or a bid stand in the place of the one that stood for its meter and slot, or
// takes that back. It counts in its sender's exposure from now on, so that no one can promise
// more in many slots than its bond bears, and fall out of those that suit it less.
func (x *execution) order(o *SlotOrder) *Refusal {
	if r := x.takesOrders(o.StartMs); r != nil {
		return r
	}
	way := fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
	if o.Buys {
		way = fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
	}
	m, r := x.ownMeter(o.Sender, o.Meter, way)
	if r != nil {
		return r
	}
	head := Slot{StartMs: o.StartMs}
	known := x.get(slotKey(o.StartMs, slotHead), &head)
	var old SlotOrder
	if x.get(orderKey(o.StartMs, o.Buys, o.Meter), &old) {
		x.dropOrder(&head, &old)
	}
	if o.EnergyWh > 0 {
		if r := x.mayOrder(o, &m, &head); r != nil {
			return r
		}
		if !known {
			known = true
			x.putBytes(deadlineKey(o.StartMs-x.params.GateClosureMs, dueOrders, strconv.FormatInt(o.StartMs, 10)), nil)
		}
		x.standOrder(&head, o)
	}
	if known {
		x.put(slotKey(o.StartMs, slotHead), &head)
	}
	return nil
}

// mayOrder refuses an order that its sender may not make, its meter cannot keep, or its money and
// bond do not bear. It says what the order promises.
func (x *execution) mayOrder(o *SlotOrder, m *meter, head *Slot) *Refusal {
	if r := x.refuseBlacklisted(o.Sender); r != nil {
		return r
	}
	const msPerHour = 3_600_000
	switch {
	case o.EnergyWh < x.params.MinLotWh:
		return refuse(wire.CodeVolumeWrong, "energy_wh: %d, at least %d are traded", o.EnergyWh, x.params.MinLotWh)
	case o.EnergyWh*msPerHour > m.RatedW*x.params.SlotMs:
		return refuse(wire.CodeOverRatedPower, "energy_wh: %d in a slot of %d ms, meter %q bears %d W", o.EnergyWh, x.params.SlotMs, o.Meter, m.RatedW)
	case x.has(orderKey(o.StartMs, !o.Buys, o.Meter)):
		return refuse(wire.CodeMeterBusy, "meter %q has an order on the other side of this slot: what it counts is sold or bought, not both", o.Meter)
	case head.Asks+head.Bids >= MaxSlotOrders:
		return refuse(wire.CodeSlotFull, "%d orders stand for the slot, at most %d may", head.Asks+head.Bids, MaxSlotOrders)
	}
	var err error
	if o.PromisedMicro, err = EscrowFor(o.EnergyWh, o.PriceMicroPerKWh); err != nil {
		x.fail(orderKey(o.StartMs, o.Buys, o.Meter), err) // the check has bounded both
	}
	if a, _ := x.account(o.Sender); o.Buys && a.WalletMicro < o.PromisedMicro {
		return refuse(wire.CodeInsufficientFunds, "the wallet of %q holds %d micro, the bid needs %d", o.Sender, a.WalletMicro, o.PromisedMicro)
	}
	return x.mayPromise(o.Sender, o.PromisedMicro)
}

// slotName is what a move of money for an order names in the place of a trade.
func slotName(startMs int64) string { return keySlot + strconv.FormatInt(startMs, 10) }

func (x *execution) standOrder(head *Slot, o *SlotOrder) {
	o.Height = x.state.meta.Height + 1
	x.put(orderKey(o.StartMs, o.Buys, o.Meter), o)
	a := x.faded(o.Sender)
	a.ExposureMicro += o.PromisedMicro
	if !o.Buys {
		x.put(keyAccount+o.Sender, &a)
		head.Asks++
		return
	}
	head.Bids++
	a.WalletMicro -= o.PromisedMicro
	x.put(keyAccount+o.Sender, &a)
	x.meta.WalletsMicro -= o.PromisedMicro
	x.meta.EscrowMicro += o.PromisedMicro
	x.move(Move{Who: o.Sender, What: MoveEscrowed, Trade: slotName(o.StartMs), WalletMicro: -o.PromisedMicro, EscrowMicro: o.PromisedMicro})
}

// dropOrder ends an order: what it promised it promises no more, and a bid's escrow goes back.
func (x *execution) dropOrder(head *Slot, o *SlotOrder) {
	x.remove(orderKey(o.StartMs, o.Buys, o.Meter))
	a := x.faded(o.Sender)
	a.ExposureMicro -= o.PromisedMicro
	x.put(keyAccount+o.Sender, &a)
	if !o.Buys {
		head.Asks--
		return
	}
	head.Bids--
	x.bidBack(o, o.PromisedMicro)
}

// bidBack gives money of a bid's escrow back.
func (x *execution) bidBack(o *SlotOrder, amountMicro int64) {
	x.meta.EscrowMicro -= amountMicro
	x.toWallet(amountMicro, Move{Who: o.Sender, What: MoveReturned, Trade: slotName(o.StartMs), EscrowMicro: -amountMicro})
}

// standing returns the orders of a slot that stand below the block, by meter. The sweep, which
// asks for them, comes in front of all records.
func (s *State) standingOrders(startMs int64) (asks, bids []SlotOrder) {
	var found []*item
	for key, it := range s.tree.kinds[slotKey(startMs, "")] {
		if hasPrefix(key, slotKey(startMs, slotAsk)) || hasPrefix(key, slotKey(startMs, slotBid)) {
			found = append(found, it)
		}
	}
	for _, o := range decodeSorted[SlotOrder](found) {
		if o.Buys {
			bids = append(bids, o)
		} else {
			asks = append(asks, o)
		}
	}
	return asks, bids
}

// isBid tells whether a key is that of a bid, which has money in escrow.
func isBid(key string) bool {
	rest, ok := strings.CutPrefix(key, keySlot)
	_, rest, inside := strings.Cut(rest, "/")
	return ok && inside && hasPrefix(rest, slotBid)
}

// starts are the slots in a list of 8 bytes each.
func starts(b []byte, _ bool) (out []int64) {
	for ; len(b) >= 8; b = b[8:] {
		out = append(out, int64(binary.BigEndian.Uint64(b)))
	}
	return out
}

func startsBytes(all ...int64) []byte {
	var b []byte
	for _, ms := range all {
		b = binary.BigEndian.AppendUint64(b, uint64(ms))
	}
	return b
}

// Slots returns the slots that have orders or trades, in the order of time.
func (s *State) Slots() []Slot {
	s.mu.RLock()
	var found []*item
	for kind, items := range s.tree.kinds {
		if it, ok := items[kind+slotHead]; ok && hasPrefix(kind, keySlot) {
			found = append(found, it)
		}
	}
	s.mu.RUnlock() // an item is never changed
	out := decodeSorted[Slot](found)
	slices.SortFunc(out, func(a, b Slot) int { return cmp.Compare(a.StartMs, b.StartMs) })
	return out
}

// Slot returns one slot, as long as it has orders or trades.
func (s *State) Slot(startMs int64) (Slot, bool) {
	var head Slot
	ok := s.lookup(slotKey(startMs, slotHead), &head)
	return head, ok
}

// SlotOrders returns the orders that stand for a slot, each side by meter.
func (s *State) SlotOrders(startMs int64) (asks, bids []SlotOrder) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.standingOrders(startMs)
}

// SlotMeter returns what a meter has shown at the borders of a slot in which it trades.
func (s *State) SlotMeter(startMs int64, meter string) (SlotMeter, bool) {
	var m SlotMeter
	ok := s.lookup(slotKey(startMs, slotMeters+meter), &m)
	return m, ok
}
