package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/agent/receipt"
	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// trading is the agent's share in trades: the two state machines and their
// last state on disk, to go back to when a commit fails.
type trading struct {
	seller      *trade.Seller
	buyer       *trade.Buyer
	sellerState []byte
	buyerState  []byte
	// auction is the share in an auction of slots, nil on a chain without one. Where it is,
	// seller and buyer end what they have begun and begin nothing.
	auction      *trade.Auction
	auctionState []byte
	ended        []wire.PastTrade // the newest last
	would        []trade.Would    // of the dry runs, the newest by side
}

// sellerConfig joins the owner's wishes with the chain's deadlines.
func (a *Agent) sellerConfig() trade.SellerConfig {
	s, p := a.cfg.Sell, a.deps.Chain.Params
	return trade.SellerConfig{
		Device: a.cfg.Device, Meter: MeterID(a.cfg.Device, s.Meter), PriceMicroPerKWh: s.PriceMicroPerKWh,
		Contactor: contactorPB(a.cfg.Contactor),
		MinWh:     s.MinWh, MaxWh: s.MaxWh, DeliveryMs: int64(s.DeliveryH * 3_600_000),
		OfferTTLMs: s.OfferTTL.Milliseconds(), StartWindowMs: p.StartByMs,
		// Billed before the ledger's own deadline, which would fail the trade.
		ResumeWindowMs: p.ResumeByMs * 8 / 10, DeliverWindowMs: p.DeliverByMs * 8 / 10,
		RetryMs: retryMs, GiveUpMs: p.ConfirmByMs + p.ResumeByMs,
	}
}

func (a *Agent) buyerConfig() trade.BuyerConfig {
	b, p := a.cfg.Buy, a.deps.Chain.Params
	cfg := trade.BuyerConfig{
		Device: a.cfg.Device, RequestTTLMs: b.RequestTTL.Milliseconds(), RequestEveryMs: b.RequestEvery.Milliseconds(),
		DisputeAfterMs: p.ConfirmByMs / 2, SettleMs: min(2*a.cfg.Tick.Milliseconds(), 5000), LossE4: p.LossE4, ClassE4: b.MeterClassE4,
		ToleranceWh: 2 * max(1, p.RegisterStepWh), RetryMs: retryMs,
		GiveUpMs: p.StartByMs + p.ResumeByMs + p.ConfirmByMs + tradeMaxMs, ByLedger: p.Answers == answersByLedger,
	}
	for _, c := range b.Circuits {
		cfg.Circuits = append(cfg.Circuits, trade.CircuitConfig{
			Name: c.Name, Meter: MeterID(a.cfg.Device, c.Meter), VolumeWh: c.VolumeWh, MaxPriceMicroPerKWh: c.MaxPriceMicroPerKWh,
		})
	}
	return cfg
}

// answersByLedger is the genesis' name for answers that the ledger makes.
const answersByLedger = "ledger"

const (
	retryMs    = 1000                // between attempts at a refused record
	tradeMaxMs = 24 * 60 * 60 * 1000 // no delivery is waited for longer
)

// restoreTrading makes the traders and gives them back their states.
func (a *Agent) restoreTrading() error {
	if err := a.restoreEnded(); err != nil {
		return err
	}
	if err := a.restoreAuction(); err != nil {
		return err
	}
	if a.cfg.Sell != nil {
		a.trade.seller = trade.NewSeller(a.sellerConfig())
		if err := a.readState(stateSeller, func(b []byte) error {
			kept := trade.NewSeller(a.sellerConfig())
			err := json.Unmarshal(b, kept)
			if err == nil {
				a.trade.seller, a.trade.sellerState = kept, b
			}
			return err
		}); err != nil {
			return err
		}
		register, _ := a.register(a.cfg.Sell.Meter)
		a.trade.seller.Restarted(register)
	}
	if a.cfg.Buy != nil {
		a.trade.buyer = trade.NewBuyer(a.buyerConfig())
		return a.readState(stateBuyer, func(b []byte) error {
			kept := trade.NewBuyer(a.buyerConfig())
			err := json.Unmarshal(b, kept)
			if err == nil {
				a.trade.buyer, a.trade.buyerState = kept, b
			}
			return err
		})
	}
	return nil
}

// rollback returns the traders to their state on disk.
func (a *Agent) rollback() error {
	if a.trade.seller != nil {
		a.trade.seller = trade.NewSeller(a.sellerConfig())
		if len(a.trade.sellerState) > 0 {
			if err := json.Unmarshal(a.trade.sellerState, a.trade.seller); err != nil {
				return fmt.Errorf("roll seller back: %w", err)
			}
		}
	}
	if a.trade.buyer != nil {
		a.trade.buyer = trade.NewBuyer(a.buyerConfig())
		if len(a.trade.buyerState) > 0 {
			if err := json.Unmarshal(a.trade.buyerState, a.trade.buyer); err != nil {
				return fmt.Errorf("roll buyer back: %w", err)
			}
		}
	}
	return a.rollbackAuction()
}

// actRounds bounds how often a step may call for another: opening a contactor
// asks for the reading after it.
const actRounds = 4

// act lets the traders act on what is new and commits it with everything else
// that waits. A disk that refuses leaves all of it for the next time.
func (a *Agent) act(ctx context.Context) error {
	a.reflex()
	for range actRounds {
		a.readMeters(ctx)
		again, err := a.actOnce()
		if err != nil || !again {
			return err
		}
	}
	return nil
}

func (a *Agent) actOnce() (again bool, err error) {
	actions := a.stepTraders()
	// Opening is the safe direction and needs no record first; and what flowed
	// while the disk works would be delivered and never billed.
	a.reflex()
	commit := a.pending
	for _, action := range actions {
		if action.Record != nil {
			commit.Record = append(commit.Record[:len(commit.Record):len(commit.Record)], a.entry(action.Record, action.Attest))
		}
	}
	if len(actions) == 0 && len(a.outcomes) == 0 && !a.judged && commit.Empty() {
		return false, nil
	}
	state, err := a.states()
	if err != nil {
		return false, err
	}
	if err := a.marshalTraders(state); err != nil {
		return false, err
	}
	past, err := a.withEnded(actions, state)
	if err != nil {
		return false, err
	}
	commit.State = state
	sealed, err := a.deps.Outbox.Commit(a.now.wallMs(), commit)
	if err != nil {
		a.diskRefused("nothing was sent; the disk refused", err)
		return false, a.rollback()
	}
	a.pending, a.outcomes, a.judged = outbox.Commit{}, nil, false
	a.trade.ended = past
	a.trade.sellerState, a.trade.buyerState, a.trade.auctionState = state[stateSeller], state[stateBuyer], state[stateAuction]
	a.publisher.wakeQueue()
	for _, r := range sealed {
		a.log.Debug("sealed", "counter", r.Counter, "id", fmt.Sprintf("%x", r.ID[:8]))
	}
	return a.execute(actions), a.publishTrades()
}

// stepTraders runs the state machines on the present moment.
func (a *Agent) stepTraders() []trade.Action {
	judged := a.judge.View()
	actions := a.stepAuction(judged.State == model.StateOpen)
	if s := a.trade.seller; s != nil {
		register, ok := a.register(a.cfg.Sell.Meter)
		in := trade.SellerInput{
			SensingMs: a.now.sensingMs, WallMs: a.now.wallMs(), ClockSynced: a.now.synced,
			GateOpen: judged.State == model.StateOpen, GateSeq: a.saved.GateSeq, Causes: causesPB(judged.Causes),
			Interrupted: a.interrupted(),
			RegisterWh:  register, MeterOK: ok, Outcomes: a.outcomes,
		}
		in.Terms, in.Day = a.terms(&a.saved.Wishes.Sell)
		in.Terms.Stop = in.Terms.Stop || a.trade.auction != nil
		if p, ok := powerW(&a.sample); ok && p > 0 {
			// Persistence forecast: as much power as now, for one delivery.
			in.ExpectedWh = int64(min(p*a.cfg.Sell.DeliveryH, 1e9))
		}
		actions = append(actions, s.Step(in)...)
	}
	if b := a.trade.buyer; b != nil {
		in := trade.BuyerInput{
			WallMs: a.now.wallMs(), ClockSynced: a.now.synced, NoRequests: a.noRequests.Load() || a.trade.auction != nil,
			Registers: make(map[string]int64), Outcomes: a.outcomes,
		}
		in.Terms, in.Day = a.terms(&a.saved.Wishes.Buy)
		if p := a.saved.Purse; p != nil {
			in.WalletMicro = &p.WalletMicro
		}
		for _, c := range a.cfg.Buy.Circuits {
			if wh, ok := a.register(c.Meter); ok {
				in.Registers[c.Name] = wh
			}
		}
		actions = append(actions, b.Step(in)...)
	}
	return actions
}

func (a *Agent) marshalTraders(state map[string][]byte) error {
	for key, trader := range map[string]any{stateSeller: a.trade.seller, stateBuyer: a.trade.buyer, stateAuction: a.trade.auction} {
		b, err := json.Marshal(trader)
		if err != nil {
			return fmt.Errorf("marshal %s: %w", key, err)
		}
		if string(b) != "null" {
			state[key] = b
		}
	}
	return nil
}

// execute does what needs no disk; it says whether the traders want to see
// the meter again.
func (a *Agent) execute(actions []trade.Action) (again bool) {
	for _, action := range actions {
		switch {
		case action.CloseFor != nil:
			a.closeFor(*action.CloseFor)
		case action.OpenFor != "":
			again = true // it is open already; the reading after that is wanted
		}
		if w := action.Would; w != nil {
			a.wouldHave(*w)
		}
		if w := action.Why; w != nil && w.Chosen != "" {
			a.log.Info("seller chosen", "request", w.RequestID, "offer", w.Chosen, "of", len(w.Candidates), "by", w.Rule)
		} else if w != nil {
			a.log.Info("no seller chosen", "request", w.RequestID, "of", len(w.Candidates), "by", w.Rule)
		}
	}
	return again
}

// entry is the outbox entry that seals a record.
func (a *Agent) entry(record *fairwattpb.Record, attest bool) outbox.Entry {
	return outbox.Entry{Build: func(counter uint64) ([]byte, error) {
		record.ChainId, record.Sender = a.deps.Chain.ID[:], a.cfg.Device
		record.Counter, record.TimeMs, record.Simulated = counter, a.now.wallMs(), a.cfg.Simulated
		if attest {
			attestation, err := a.attest()
			if err != nil {
				return nil, err
			}
			switch body := record.Body.(type) {
			case *fairwattpb.Record_Start:
				body.Start.Attestation = attestation
			case *fairwattpb.Record_Resume:
				body.Resume.Attestation = attestation
			}
		}
		payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
		if err != nil {
			return nil, fmt.Errorf("marshal record: %w", err)
		}
		return seal.Seal(a.deps.Key, a.cfg.Device, seal.DomainRecord, a.deps.Chain.ID, payload)
	}}
}

var errNotOpen = errors.New("attest: the gate is not open")

// attest seals the agent's word that its gate is open now.
func (a *Agent) attest() ([]byte, error) {
	if a.judge.View().State != model.StateOpen {
		return nil, errNotOpen
	}
	valid := wire.GateValid.Milliseconds()
	if limit := a.deps.Chain.Params.AttestationMaxMs; limit > 0 {
		valid = min(valid, limit)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.GateAttestation{
		ChainId: a.deps.Chain.ID[:], Device: a.cfg.Device, GateSeq: a.saved.GateSeq,
		State: fairwattpb.GateState_GATE_STATE_OPEN, IssuedMs: a.now.wallMs(), ValidUntilMs: a.now.wallMs() + valid,
	})
	if err != nil {
		return nil, fmt.Errorf("marshal attestation: %w", err)
	}
	return seal.Seal(a.deps.Key, a.cfg.Device, seal.DomainAttestation, a.deps.Chain.ID, payload)
}

// decode turns an outcome into what the traders see, and takes the device's
// own record out of the outbox.
func (a *Agent) decode(v receipt.Outcome) (trade.Outcome, error) {
	out := trade.Outcome{
		Height: v.Height, Applied: v.Entry.GetOutcome().GetApplied(),
		Code: v.Entry.GetOutcome().GetCode(), Reason: cut(v.Entry.GetOutcome().GetReason()), Trade: v.Entry.GetTrade(),
	}
	copy(out.ID[:], v.Entry.GetRecordId())
	sealed := v.Entry.GetRecord()
	if v.Entry.GetSender() == a.cfg.Device && len(v.Entry.GetRecordId()) > 0 {
		own, ok, err := a.deps.Outbox.Get(out.ID)
		if err != nil {
			return out, err
		}
		if !ok {
			return out, nil // settled before; its trade notice may be new
		}
		if v.Height == 0 && out.Code == wire.CodeReplayed {
			// If it stands in a block, that block's receipt says what became of it. If
			// in none, it is lost, and no one may say that it was not.
			a.counters.doubted++
			a.deps.Outbox.Doubt(out.ID, a.publisher.now())
			a.log.Warn("record's counter was used; waiting for its block's receipt", "counter", own.Counter)
			return trade.Outcome{ID: out.ID, Trade: out.Trade}, nil
		}
		a.deps.Outbox.Done(out.ID)
		out.Own, sealed = true, own.Sealed
		if out.Applied {
			a.counters.final++
		} else if a.counters.refused++; out.Code == wire.CodeSlotUnknown {
			a.log.Debug("no trade of that slot", "counter", own.Counter, "height", v.Height)
		} else {
			a.log.Warn("record refused", "counter", own.Counter, "height", v.Height, "code", out.Code, "reason", out.Reason)
		}
	}
	if len(sealed) == 0 {
		return out, nil
	}
	// f+1 aggregators vouch for the bytes; checkEntry has tied them to the id.
	record, err := recordOf(sealed)
	if err != nil {
		return out, err
	}
	out.Record = record
	return out, nil
}

// causesPB is the record form of causes. Numbers become text, rounded for
// people: aggregators never compare floats.
func causesPB(causes []model.Cause) []*fairwattpb.Cause {
	var out []*fairwattpb.Cause
	for _, c := range causes[:min(len(causes), wire.MaxCauses)] {
		pb := &fairwattpb.Cause{Rule: c.Rule, Kind: c.Kind.String(), Level: c.Level.String(), Text: cut(c.Text)}
		for _, in := range c.Inputs[:min(len(c.Inputs), wire.MaxCauseInputs)] {
			input := &fairwattpb.CauseInput{Name: in.Name, Unit: in.Unit, Value: formatValue(in.Value)}
			if in.Op != "" {
				input.Threshold = in.Op + " " + formatValue(in.Threshold)
			}
			pb.Inputs = append(pb.Inputs, input)
		}
		out = append(out, pb)
	}
	return out
}

func cut(text string) string {
	if len(text) > wire.MaxTextBytes {
		text = text[:wire.MaxTextBytes]
	}
	return strings.ToValidUTF8(text, "")
}

func formatValue(v float64) string {
	if r := view.Rounded(v, 3); r != nil {
		return strconv.FormatFloat(*r, 'f', -1, 64)
	}
	return "none"
}
