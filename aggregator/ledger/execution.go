package ledger

import (
	"fmt"
	"slices"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// An execution runs one block over a state: first what is due, then the
// records in order. It writes into an overlay and never into the state.
type execution struct {
	state   *State
	params  *Params
	timeMs  int64
	meta    meta
	overlay map[string][]byte // nil: deleted
	notices []Notice
	steps   []Step
	moves   []Move
	index   int   // of the record being applied; -1 in the sweep
	swept   int   // deadlines that the sweep has ended
	dueMs   int64 // the deadline that the sweep is at; 0 outside it
	record  *Checked
	// endsEpoch: a record, or the time, makes this block the last of its epoch.
	endsEpoch bool
	// newKeys: a signer has another key, or is one no more, from the next block on.
	newKeys bool
	// newMember: a member has another key, or none, from the next block on.
	newMember bool
	page      page // of the book of offers
	// For undoing a record that turns out to be refused half way.
	undo []undo
	// err is the first sign that the state itself is damaged. No record can
	// cause it; the block cannot be executed.
	err error
}

type undo struct {
	key   string
	value []byte
	had   bool
}

func (s *State) newExecution(timeMs int64) *execution {
	return &execution{state: s, params: &s.genesis.Params, timeMs: timeMs, meta: s.meta, overlay: make(map[string][]byte), index: -1}
}

func (x *execution) fail(key string, err error) {
	if x.err == nil {
		x.err = fmt.Errorf("state entry %q: %w", key, err)
	}
}

func (x *execution) bytes(key string) ([]byte, bool) {
	if b, ok := x.overlay[key]; ok {
		return b, b != nil
	}
	return x.state.tree.get(key)
}

// get reads the value under key into v and reports whether there is one.
func (x *execution) get(key string, v value) bool {
	b, ok := x.bytes(key)
	if !ok {
		return false
	}
	if err := decodeValue(b, v); err != nil {
		x.fail(key, err)
		return false
	}
	return true
}

func (x *execution) put(key string, v value) { x.putBytes(key, encodeValue(v)) }

func (x *execution) putBytes(key string, b []byte) {
	old, had := x.overlay[key]
	x.undo = append(x.undo, undo{key, old, had})
	if b == nil {
		b = []byte{}
	}
	x.overlay[key] = b
	x.touch(key)
}

func (x *execution) remove(key string) {
	old, had := x.overlay[key]
	x.undo = append(x.undo, undo{key, old, had})
	x.overlay[key] = nil
	x.touch(key)
}

// changes returns the overlay as changes in key order, without those that
// leave everything as it was.
func (x *execution) changes() []Change {
	out := make([]Change, 0, len(x.overlay))
	for key, v := range x.overlay {
		old, had := x.state.tree.get(key)
		if v == nil && !had || v != nil && had && string(old) == string(v) {
			continue
		}
		out = append(out, Change{Key: []byte(key), Value: v, Delete: v == nil})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return out
}

// apply lets a checked record have its effect. It returns a refusal of code
// CodeReplayed when the record may not stand in this block at all; any other
// refusal is its outcome. Either way nothing but the sender's replay window is
// left of a refused record.
func (x *execution) apply(index int, c *Checked) *Refusal {
	key := windowKey(c.Record)
	w, err := decodeWindow(x.bytes(key))
	if err != nil {
		x.fail(key, err)
	}
	if !w.Accept(c.Record.Counter) {
		return replayed(&w, c)
	}
	b, err := w.MarshalBinary()
	if err != nil {
		x.fail(key, err)
	}
	x.putBytes(key, b)
	x.meta.Records++

	x.undo = x.undo[:0]
	x.index, x.record = index, c
	before, notices, steps, moves := x.meta, len(x.notices), len(x.steps), len(x.moves)
	refusal := x.dispatch(c.Record)
	if refusal != nil {
		for i := len(x.undo) - 1; i >= 0; i-- {
			if u := x.undo[i]; u.had {
				x.overlay[u.key] = u.value
			} else {
				delete(x.overlay, u.key)
			}
			x.touch(x.undo[i].key)
		}
		x.meta = before
		clear(x.notices[notices:])
		x.notices = x.notices[:notices]
		x.steps, x.moves = x.steps[:steps], x.moves[:moves]
	}
	return refusal
}

func (x *execution) dispatch(r *fairwattpb.Record) *Refusal {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Registration:
		return x.register(b.Registration)
	case *fairwattpb.Record_MeterRegistration:
		return x.registerMeter(b.MeterRegistration)
	case *fairwattpb.Record_MeterChange:
		return x.changeMeter(b.MeterChange)
	case *fairwattpb.Record_MeterRetire:
		return x.retireMeter(b.MeterRetire.Meter, b.MeterRetire.EndWh)
	case *fairwattpb.Record_Deposit:
		return x.deposit(b.Deposit)
	case *fairwattpb.Record_Approval:
		return x.approve(b.Approval)
	case *fairwattpb.Record_Reversal:
		return x.contest(b.Reversal)
	case *fairwattpb.Record_Withdrawal:
		return x.withdraws(r.Sender, b.Withdrawal)
	case *fairwattpb.Record_Payout:
		return x.paidOut(b.Payout)
	case *fairwattpb.Record_WarningNotice:
		return x.warn(b.WarningNotice)
	case *fairwattpb.Record_GateChange:
		return x.gateChange(r.Sender, b.GateChange)
	case *fairwattpb.Record_Word:
		return nil // it stands in its block; what the gate does then is a gate change
	case *fairwattpb.Record_Tick:
		if x.swept == 0 {
			return refuse(wire.CodeNothingDue, "nothing has run out by block time")
		}
		return nil
	case *fairwattpb.Record_Rejoin:
		return x.rejoin(r.Sender, b.Rejoin)
	case *fairwattpb.Record_Report:
		return x.report(r.Sender, b.Report)
	case *fairwattpb.Record_Equivocation:
		return x.equivocation(b.Equivocation)
	case *fairwattpb.Record_Admit:
		return x.admit(b.Admit)
	case *fairwattpb.Record_Retire:
		return x.retire(b.Retire.Id)
	case *fairwattpb.Record_Rekey:
		return x.rekey(b.Rekey)
	case *fairwattpb.Record_Move:
		return x.moveTo(b.Move)
	case *fairwattpb.Record_Offer:
		return x.offer(r.Sender, b.Offer)
	case *fairwattpb.Record_Request:
		return x.request(r.Sender, b.Request)
	case *fairwattpb.Record_Response:
		return x.response(b.Response)
	case *fairwattpb.Record_Release:
		return x.release(r.Sender, b.Release)
	case *fairwattpb.Record_Pay:
		return x.pay(r.Sender, b.Pay)
	case *fairwattpb.Record_Start:
		return x.start(r.Sender, b.Start)
	case *fairwattpb.Record_Hold:
		return x.hold(r.Sender, b.Hold)
	case *fairwattpb.Record_Resume:
		return x.resume(r.Sender, b.Resume)
	case *fairwattpb.Record_Reading:
		return x.reading(r.Sender, b.Reading)
	case *fairwattpb.Record_Bill:
		return x.bill(r.Sender, b.Bill)
	case *fairwattpb.Record_Confirm:
		return x.confirm(r.Sender, b.Confirm)
	case *fairwattpb.Record_Bond:
		return x.bond(r.Sender, b.Bond)
	case *fairwattpb.Record_Unbond:
		return x.unbond(r.Sender, b.Unbond)
	case *fairwattpb.Record_Appeal:
		return x.appeal(r.Sender, b.Appeal)
	case *fairwattpb.Record_Verdict:
		return x.verdict(r.Sender, b.Verdict)
	case *fairwattpb.Record_Grant:
		return x.grant(r.Sender, b.Grant)
	}
	return x.dispatchKeys(r)
}

// A Notice tells what a block did: someone other than the sender of a record,
// or the sender itself where a trade changed its status.
type Notice struct {
	To string
	// Index is the record's place in the block; -1 when the block's time did
	// it and no record.
	Index int
	// Record is the sealed record; nil when To is its sender or Index is -1.
	Record []byte
	// Trade is set when a trade of To's changed its status.
	Trade *fairwattpb.TradeNotice
}

// tell gives to the record being applied.
func (x *execution) tell(to string, t *Trade) {
	n := Notice{To: to, Index: x.index}
	if x.record != nil && x.record.Record.Sender != to {
		n.Record = x.record.Sealed
	}
	if t != nil {
		n.Trade = &fairwattpb.TradeNotice{
			TradeId: t.ID, Status: t.Status, PaidMicro: t.PaidMicro,
			ReturnedMicro: t.ReturnedMicro, Reason: t.Reason,
		}
		if t.Status == wire.StatusCleared {
			startMs, _ := SlotOf(t.ID)
			n.Trade.Lot = &fairwattpb.Lot{
				Seller: t.Seller, Buyer: t.Buyer, SellerMeter: t.SellerMeter, BuyerMeter: t.BuyerMeter,
				SlotStartMs: startMs, VolumeWh: t.VolumeWh, PriceMicroPerKwh: t.PriceMicroPerKWh,
			}
		}
		if x.params.byLedger() && t.Status == wire.StatusPaid {
			n.Trade.Lot = &fairwattpb.Lot{
				Seller: t.Seller, Buyer: t.Buyer, BuyerMeter: t.BuyerMeter, OfferId: t.OfferID,
				VolumeWh: t.VolumeWh, PriceMicroPerKwh: t.PriceMicroPerKWh, PayId: []byte(t.PayID),
			}
		}
	}
	x.notices = append(x.notices, n)
}

// turn gives the trade a status, tells both sides, and sets when the status
// ends by itself (0: never).
func (x *execution) turn(t *Trade, status, reason string, deadlineMs int64) {
	x.setDeadline(t, deadlineMs)
	t.Status, t.Reason = status, reason
	if x.params.byLedger() && (status == wire.StatusBilled || deadlineMs == 0) {
		x.freeSeller(t)
	}
	if deadlineMs == 0 && x.params.robust() {
		x.ended(t)
	}
	x.tell(t.Buyer, t)
	if t.Seller != "" {
		x.tell(t.Seller, t)
	}
}

func (x *execution) setDeadline(t *Trade, deadlineMs int64) {
	if t.DeadlineMs != 0 {
		x.remove(deadlineKey(t.DeadlineMs, dueTrade, t.ID))
	}
	if deadlineMs != 0 {
		x.putBytes(deadlineKey(deadlineMs, dueTrade, t.ID), nil)
	}
	t.DeadlineMs = deadlineMs
}

// after is when a status ends that begins now and lasts so long. One that the sweep
// begins lasts from the deadline that was due, however late this block is.
func (x *execution) after(ms int64) int64 {
	if x.dueMs == 0 || x.params.Settlement == SettleFirst {
		return x.timeMs + ms
	}
	return x.dueMs + ms
}

func (x *execution) account(id string) (Account, bool) {
	var a Account
	ok := x.get(keyAccount+id, &a)
	return a, ok
}

// toEscrow moves money from the buyer's wallet into the trade. The caller has
// checked that the wallet holds it.
func (x *execution) toEscrow(t *Trade, amountMicro int64) {
	a, _ := x.account(t.Buyer)
	a.WalletMicro -= amountMicro
	x.put(keyAccount+t.Buyer, &a)
	t.EscrowMicro += amountMicro
	x.move(Move{Who: t.Buyer, What: MoveEscrowed, Trade: t.ID, WalletMicro: -amountMicro, EscrowMicro: amountMicro})
	x.meta.WalletsMicro -= amountMicro
	x.meta.EscrowMicro += amountMicro
}

// fromEscrow takes money out of the trade.
func (x *execution) fromEscrow(t *Trade, amountMicro int64, what Move) {
	t.EscrowMicro -= amountMicro
	x.meta.EscrowMicro -= amountMicro
	what.Who, what.Trade, what.EscrowMicro = t.Buyer, t.ID, -amountMicro
	x.move(what)
}

// payOut pays the seller for an energy.
func (x *execution) payOut(t *Trade, amountMicro, energyWh int64) {
	t.PaidMicro += amountMicro
	m := Move{What: MoveBought, Other: t.Seller, EnergyWh: energyWh, PriceMicroPerKWh: t.PriceMicroPerKWh}
	x.fromEscrow(t, amountMicro, m)
	m.Who, m.What, m.Trade, m.Other = t.Seller, MoveSold, t.ID, t.Buyer
	m.FeeMicro, m.LevyMicro = x.fees(t, amountMicro, energyWh)
	x.meta.FeesMicro += m.FeeMicro
	x.meta.FundMicro += m.LevyMicro
	x.toWallet(amountMicro-m.FeeMicro-m.LevyMicro, m)
}

func (x *execution) giveBack(t *Trade, amountMicro int64) {
	t.ReturnedMicro += amountMicro
	x.fromEscrow(t, amountMicro, Move{What: MoveReturned})
	x.toWallet(amountMicro, Move{Who: t.Buyer, What: MoveReturned, Trade: t.ID})
}

// readMeter checks a reading of owner's meter and stores it. A meter belongs
// to its first user, or to whom it is registered for; its register never falls, and
// while it measures one trade it measures no other.
func (x *execution) readMeter(owner, trade string, gives bool, r *fairwattpb.MeterReading) *Refusal {
	if x.params.byMeters() {
		return x.readRegistered(owner, trade, gives, r)
	}
	var m meter
	if x.get(keyMeter+r.Meter, &m) {
		switch {
		case m.Owner != owner:
			return refuse(wire.CodeMeterNotYours, "meter %q is %q's", r.Meter, m.Owner)
		case r.RegisterWh < m.RegisterWh:
			return refuse(wire.CodeRegisterBack, "register of meter %q is %d Wh, was %d Wh", r.Meter, r.RegisterWh, m.RegisterWh)
		case m.Trade != "" && m.Trade != trade:
			return refuse(wire.CodeMeterBusy, "meter %q measures trade %q", r.Meter, m.Trade)
		}
	}
	m = meter{Owner: owner, RegisterWh: r.RegisterWh, Trade: trade}
	x.put(keyMeter+r.Meter, &m)
	return nil
}

// releaseMeter lets a meter measure another trade.
func (x *execution) releaseMeter(id, trade string) {
	var m meter
	if id != "" && x.get(keyMeter+id, &m) && m.Trade == trade {
		m.Trade = ""
		x.put(keyMeter+id, &m)
	}
}
