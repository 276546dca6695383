package ledger

import (
	"fmt"
	"slices"
	"strconv"

	"fairwatt/aggregator/ledger/slot"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// slotReadings takes what a meter showed at borders of slots in which it trades. A border is said
// once: a second word, the same or another, is refused.
func (x *execution) slotReadings(owner string, r *fairwattpb.SlotReading) *Refusal {
	m, refusal := x.ownMeter(owner, r.Readings[0].Meter, fairwattpb.MeterDirection_METER_DIRECTION_BOTH)
	if refusal != nil {
		return refusal
	}
	for _, one := range r.Readings {
		if r := x.atBorder(&m, one); r != nil {
			return r
		}
	}
	x.put(keyMeter+r.Readings[0].Meter, &m)
	return nil
}

// atBorder takes one reading, as the end of one slot and the begin of the next.
func (x *execution) atBorder(m *meter, r *fairwattpb.MeterReading) *Refusal {
	p := x.params
	switch {
	case r.TimeMs%p.SlotMs != 0:
		return refuse(wire.CodeReadingTime, "reading of meter %q: %d is no border of slots of %d ms", r.Meter, r.TimeMs, p.SlotMs)
	case r.TimeMs > x.timeMs:
		return refuse(wire.CodeReadingTime, "reading of meter %q: its border is %d ms ahead of block time", r.Meter, r.TimeMs-x.timeMs)
	case x.timeMs-r.TimeMs > p.SlotReadingsMs:
		return refuse(wire.CodeExpired, "reading of meter %q: its border was %d ms ago, at most %d", r.Meter, x.timeMs-r.TimeMs, p.SlotReadingsMs)
	}
	var ends, begins SlotMeter
	inOld := x.get(slotKey(r.TimeMs-p.SlotMs, slotMeters+r.Meter), &ends)
	inNew := x.get(slotKey(r.TimeMs, slotMeters+r.Meter), &begins)
	switch {
	case !inOld && !inNew:
		return refuse(wire.CodeSlotUnknown, "meter %q trades in no slot that begins or ends at %d", r.Meter, r.TimeMs)
	case inOld && ends.Ended || inNew && begins.Began:
		return refuse(wire.CodeReadingExists, "what meter %q showed at %d is known", r.Meter, r.TimeMs)
	}
	if r := x.fits(m, r, &ends, &begins); r != nil {
		return r
	}
	if r.TimeMs >= m.ReadMs {
		m.RegisterWh, m.ReadMs = r.RegisterWh, r.TimeMs
	}
	if inOld {
		ends.Ended, ends.EndWh = true, r.RegisterWh
		x.heard(r.TimeMs-p.SlotMs, &ends)
	}
	if inNew {
		begins.Began, begins.StartWh = true, r.RegisterWh
		x.heard(r.TimeMs, &begins)
	}
	return nil
}

// fits refuses a register that falls, or rises by more than its branch can carry, against the
// newest reading of the meter and the other border of either slot.
func (x *execution) fits(m *meter, r *fairwattpb.MeterReading, ends, begins *SlotMeter) *Refusal {
	type known struct{ ms, wh int64 }
	near := []known{{m.ReadMs, m.RegisterWh}}
	if ends.Began {
		near = append(near, known{r.TimeMs - x.params.SlotMs, ends.StartWh})
	}
	if begins.Ended {
		near = append(near, known{r.TimeMs + x.params.SlotMs, begins.EndWh})
	}
	for _, k := range near {
		first, last := k, known{r.TimeMs, r.RegisterWh}
		if k.ms > r.TimeMs {
			first, last = last, first
		}
		rise := &meter{RegisterWh: first.wh, ReadMs: first.ms, RatedW: m.RatedW}
		switch {
		case last.wh < first.wh:
			return refuse(wire.CodeRegisterBack, "register of meter %q falls from %d Wh at %d to %d Wh at %d", r.Meter, first.wh, first.ms, last.wh, last.ms)
		case x.tooFast(rise, &fairwattpb.MeterReading{RegisterWh: last.wh, TimeMs: last.ms}):
			return refuse(wire.CodeOverRatedPower, "meter %q: %d Wh between %d and %d, at %d W rated", r.Meter, last.wh-first.wh, first.ms, last.ms, m.RatedW)
		}
	}
	return nil
}

// heard keeps a meter's border, and lets the slot be settled in the next block when it was the last.
func (x *execution) heard(startMs int64, m *SlotMeter) {
	x.put(slotKey(startMs, slotMeters+m.Meter), m)
	head, id := Slot{}, strconv.FormatInt(startMs, 10)
	if !x.get(slotKey(startMs, slotHead), &head) {
		x.fail(slotName(startMs), fmt.Errorf("a meter trades in no slot"))
		return
	}
	if head.Waiting--; head.Waiting == 0 {
		x.remove(deadlineKey(head.SettleMs, dueSlot, id))
		head.SettleMs = min(head.SettleMs, x.timeMs)
		x.putBytes(deadlineKey(head.SettleMs, dueSlot, id), nil)
	}
	x.put(slotKey(startMs, slotHead), &head)
}

// taken returns the newest slot in which a meter trades and that is not settled: until then it
// measures nothing else.
func (x *execution) taken(id string) (startMs int64, is bool) {
	all := starts(x.bytes(keySlotted + id))
	if len(all) == 0 {
		return 0, false
	}
	return all[0], true
}

// notesClosure notes with a seller's slots that its gate was not OPEN from its newest change until
// now, when another one takes its place.
func (x *execution) notesClosure(device string, g *Gate) {
	if !x.params.bySlots() || g.State == fairwattpb.GateState_GATE_STATE_OPEN {
		return
	}
	for _, startMs := range starts(x.bytes(keyInSlots + device)) {
		if startMs >= x.timeMs || startMs+x.params.SlotMs <= g.ChangedMs {
			continue
		}
		var s slotSeller
		key := slotKey(startMs, slotGate+device)
		x.get(key, &s)
		s.closes(g.Seq, x.bornOut(device, g.Seq))
		x.put(key, &s)
	}
}

// bornOut is who bears a gate change out, if anyone does.
func (x *execution) bornOut(device string, seq uint64) string {
	var h hazard
	if x.get(keyHazard+device, &h) && h.Seq == seq {
		return h.Witness
	}
	return ""
}

// closes notes one closure more: all of them must be borne out, or a seller that closes its gate
// as it likes would wait for a gust to be excused.
func (s *slotSeller) closes(seq uint64, witness string) {
	if s.Closed && s.Witness == "" {
		witness = ""
	}
	s.Closed, s.Seq, s.Witness = true, seq, witness
}

// settleSlot says what of each trade of a slot is paid for, by the borders that are known; each
// trade then ends by its own deadline, which is this one's, so that max_sweep bounds a block.
func (x *execution) settleSlot(id string) {
	startMs, err := strconv.ParseInt(id, 10, 64)
	var head Slot
	if err != nil || !x.get(slotKey(startMs, slotHead), &head) {
		x.fail(slotName(startMs), fmt.Errorf("settled is no slot: %v", err))
		return
	}
	s := &settling{x: x, startMs: startMs, sides: map[string]int{}, sellers: map[string]slotSeller{}}
	if head.Shared {
		s.share(&head)
		return
	}
	for n := range head.Trades {
		t := &Trade{}
		if !x.get(keyTrade+SlotTradeID(startMs, int(n)+1), t) {
			x.fail(slotName(startMs), fmt.Errorf("no trade %d", n+1))
			return
		}
		s.add(t)
	}
	sold, taken, err := slot.Shares(s.pairs, s.exports, s.imports)
	if err != nil {
		x.fail(slotName(startMs), err)
		return
	}
	for i, t := range s.trades {
		gate := s.sellers[t.Seller]
		t.BilledWh, t.AvailableWh, t.SellerMeteredWh, t.BuyerMeteredWh = sold[i], sold[i], sold[i], taken[i]
		t.Held, t.HoldSeq = gate.Closed, gate.Seq
		if gate.Witness != "" {
			x.putBytes(keyWitness+t.ID, []byte(gate.Witness))
		}
		x.setDeadline(t, x.dueMs)
		x.put(keyTrade+t.ID, t)
	}
	s.forget()
}

// A settling is a slot whose readings are looked at.
type settling struct {
	x                *execution
	startMs          int64
	trades           []*Trade
	pairs            []slot.Trade
	sides            map[string]int // meter: its place in exports or imports
	exports, imports []int64
	sellers          map[string]slotSeller
}

// add takes a trade with what its meters counted. A buyer whose meter is silent counts as one that
// took all, as where it does not confirm: its silence must not cost the seller.
func (s *settling) add(t *Trade) {
	x := s.x
	if _, known := s.sellers[t.Seller]; !known {
		s.sellers[t.Seller] = x.gateIn(s.startMs, t.Seller)
	}
	exported, heard := s.counted(t.SellerMeter)
	t.Unbilled = !heard
	if s.sellers[t.Seller].Closed {
		exported = 0
	}
	imported, heard := s.counted(t.BuyerMeter)
	t.Late = !heard
	if t.Late {
		imported = MaxEnergyWh
	}
	s.pairs = append(s.pairs, slot.Trade{Ask: s.place(t.SellerMeter, &s.exports, exported), Bid: s.place(t.BuyerMeter, &s.imports, x.params.sentFor(imported)), Wh: t.VolumeWh})
	s.trades = append(s.trades, t)
}

// counted is what a meter counted in the slot; false where it has not said so.
func (s *settling) counted(meter string) (int64, bool) {
	var m SlotMeter
	s.x.get(slotKey(s.startMs, slotMeters+meter), &m)
	if !m.Began || !m.Ended {
		return 0, false
	}
	return m.EndWh - m.StartWh, true
}

func (s *settling) place(meter string, all *[]int64, wh int64) int {
	if _, known := s.sides[meter]; !known {
		s.sides[meter] = len(*all)
		*all = append(*all, wh)
	}
	return s.sides[meter]
}

// gateIn is what a seller's gate was in a slot, by the chain.
func (x *execution) gateIn(startMs int64, seller string) slotSeller {
	var s slotSeller
	var g Gate
	x.get(slotKey(startMs, slotGate+seller), &s)
	x.get(keyGate+seller, &g)
	if g.State != fairwattpb.GateState_GATE_STATE_OPEN && g.ChangedMs < startMs+x.params.SlotMs {
		s.closes(g.Seq, x.bornOut(seller, g.Seq))
	}
	return s
}

// forget removes what was known of the slot: its trades know the rest.
func (s *settling) forget() {
	x := s.x
	x.remove(slotKey(s.startMs, slotHead))
	for meter := range s.sides {
		x.remove(slotKey(s.startMs, slotMeters+meter))
		if newest, _ := x.taken(meter); newest == s.startMs {
			x.remove(keySlotted + meter)
		}
	}
	for seller := range s.sellers {
		x.remove(slotKey(s.startMs, slotGate+seller))
		left := slices.DeleteFunc(starts(x.bytes(keyInSlots+seller)), func(ms int64) bool { return ms == s.startMs })
		if len(left) == 0 {
			x.remove(keyInSlots + seller)
		} else {
			x.putBytes(keyInSlots+seller, startsBytes(left...))
		}
	}
}

// paySlot ends a trade of a slot that was settled. What the seller delivered the buyer pays: to the
// seller what both meters bear out, and the rest into the fund. To give the rest back would pay a buyer for
// drawing less, or for saying so; to give it to the seller would pay a seller for what its meter
// alone has seen. An appeal can bring it to the seller.
func (x *execution) paySlot(t *Trade) {
	energy := t.BuyerMeteredWh // BilledWh at most
	amount := x.price(t, energy)
	gap := x.price(t, t.BilledWh) - amount
	x.payOut(t, amount, energy)
	x.toFund(t, gap)
	x.giveBack(t, t.EscrowMicro)
	reason := ""
	if t.Unbilled {
		reason = "no readings of the seller's meter in time"
	}
	switch {
	case t.Held:
		reason = "the seller's gate was not open all the while"
	case t.Late && energy > 0:
		reason = "the buyer's meter was silent; settled by the seller's"
		x.lose(t.Buyer, t, energy, true, "its meter was silent")
	case t.Late:
	default:
		x.gain(t.Buyer, t.Seller, t, energy)
		if energy*10_000 < t.BilledWh*x.params.SettleWholeE4 {
			reason = "the buyer drew less than it had bought"
			x.lose(t.Buyer, t, t.BilledWh-energy, false, reason)
		}
	}
	x.sold(t, energy, reason)
}

// bySellerAlone tells of a trade of a slot that no meter but the seller's bears out.
func (t *Trade) bySellerAlone() bool { return t.Status == wire.StatusCleared && t.Late }

// closedNow tells whether a hazard keeps a trade's seller from delivering now. Of a slot only
// what was in it counts.
func (x *execution) closedNow(t *Trade) bool {
	var g Gate
	return t.Status != wire.StatusCleared && x.get(keyGate+t.Seller, &g) && g.State != fairwattpb.GateState_GATE_STATE_OPEN
}
