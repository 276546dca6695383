package page

import (
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/history"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// maxCaughtUp bounds the blocks that are read at the start because the history lacks
// them: after a crash a few, on an old chain very many.
const maxCaughtUp = 2000

// tell keeps what a block did.
func (p *Page) tell(st *ledger.Staged) {
	if p.cfg.History == nil {
		return
	}
	p.cfg.History.Tell(st.Header().GetHeight(), entriesOf(st))
}

// entriesOf says what a block did: its records with their outcomes, then trades'
// statuses, then what happened to participants.
func entriesOf(st *ledger.Staged) []history.Entry {
	timeMs := st.Header().GetTimeMs()
	out := make([]history.Entry, 0, 2*len(st.Records()))
	for i, c := range st.Records() {
		e := entryOf(c.Record, c.ID, i, timeMs)
		o := st.Outcomes()[i]
		e.Code, e.Text = o.GetCode(), clip(o.GetReason())
		if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(o); err == nil {
			e.Outcome = b
		}
		out = append(out, e)
	}
	recordID := func(index int) string {
		if index < 0 || index >= len(st.Records()) {
			return ""
		}
		return hex.EncodeToString(st.Records()[index].ID[:])
	}
	told := make(map[string]bool) // both sides are told of one change
	for _, n := range st.Notices() {
		if t := n.Trade; t != nil && !told[t.GetTradeId()+"/"+t.GetStatus()] {
			told[t.GetTradeId()+"/"+t.GetStatus()] = true
			out = append(out, history.Entry{
				TimeMs: timeMs, Kind: history.KindStatus, What: t.GetStatus(), Index: n.Index, ID: recordID(n.Index),
				Trade: t.GetTradeId(), Text: clip(t.GetReason()),
			})
		}
	}
	for _, s := range st.Steps() {
		out = append(out, history.Entry{
			TimeMs: timeMs, Kind: history.KindStep, What: s.Kind, Index: s.Index, ID: recordID(s.Index), Who: s.Who, Other: s.Other, Trade: s.Trade,
			Text: clip(s.Text), AmountMicro: s.AmountMicro, EnergyWh: s.GoodWh - s.BadWh, CreditE6: s.CreditE6, UntilMs: s.UntilMs,
		})
	}
	for _, m := range st.Moves() {
		out = append(out, history.Entry{
			TimeMs: timeMs, Kind: history.KindMove, What: m.What, Index: m.Index, ID: recordID(m.Index), Who: m.Who, Other: m.Other, Trade: m.Trade,
			WalletMicro: m.WalletMicro, EscrowMicro: m.EscrowMicro, BondMicro: m.BondMicro, EnergyWh: m.EnergyWh,
		})
	}
	return out
}

func entryOf(r *fairwattpb.Record, id [32]byte, index int, timeMs int64) history.Entry {
	e := history.Entry{TimeMs: timeMs, Kind: history.KindRecord, Index: index, ID: hex.EncodeToString(id[:]), Who: r.GetSender(), Trade: tradeOf(r)}
	m := r.ProtoReflect()
	if body := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); body != nil {
		e.What = string(body.Name())
	}
	switch b := r.GetBody().(type) {
	case *fairwattpb.Record_Deposit:
		e.Other, e.AmountMicro = b.Deposit.GetTo(), b.Deposit.GetAmountMicro()
	case *fairwattpb.Record_Pay:
		e.Other, e.AmountMicro, e.EnergyWh = b.Pay.GetSeller(), b.Pay.GetAmountMicro(), b.Pay.GetVolumeWh()
	case *fairwattpb.Record_Response:
		e.Other, e.AmountMicro, e.EnergyWh = b.Response.GetToken().GetBuyer(), b.Response.GetToken().GetEscrowMicro(), b.Response.GetToken().GetVolumeWh()
	case *fairwattpb.Record_Bill:
		e.AmountMicro, e.EnergyWh = b.Bill.GetAmountMicro(), b.Bill.GetEnergyWh()
	case *fairwattpb.Record_Confirm:
		e.EnergyWh = b.Confirm.GetEnergyWh()
	case *fairwattpb.Record_Registration:
		e.Other = b.Registration.GetId()
	}
	return e
}

// tradeOf is the trade that a record is about.
func tradeOf(r *fairwattpb.Record) string {
	switch b := r.GetBody().(type) {
	case *fairwattpb.Record_Response:
		return b.Response.GetToken().GetTokenId()
	case *fairwattpb.Record_Pay:
		return b.Pay.GetTokenId()
	case *fairwattpb.Record_Release:
		return b.Release.GetTokenId()
	case *fairwattpb.Record_Start:
		return b.Start.GetTradeId()
	case *fairwattpb.Record_Hold:
		return b.Hold.GetTradeId()
	case *fairwattpb.Record_Resume:
		return b.Resume.GetTradeId()
	case *fairwattpb.Record_Reading:
		return b.Reading.GetTradeId()
	case *fairwattpb.Record_Bill:
		return b.Bill.GetTradeId()
	case *fairwattpb.Record_Confirm:
		return b.Confirm.GetTradeId()
	case *fairwattpb.Record_Appeal:
		return b.Appeal.GetTradeId()
	case *fairwattpb.Record_Verdict:
		return b.Verdict.GetTradeId()
	default:
		return ""
	}
}

// catchUp tells the history of blocks that it lacks: a crash came before they were
// written there. Their outcomes are not known without a replay, and are left out.
func (p *Page) catchUp() error {
	if p.cfg.History == nil {
		return nil
	}
	top := p.store.Height()
	from := p.cfg.History.Height() + 1
	if top >= maxCaughtUp && from+maxCaughtUp <= top {
		from = top - maxCaughtUp + 1
	}
	if from = max(from, p.store.First()); from > top {
		return nil
	}
	return p.store.Blocks(from, top, func(height uint64, cb *fairwattpb.CertifiedBlock) error {
		entries, err := recordsOf(cb)
		if err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
		p.cfg.History.Tell(height, entries)
		return nil
	})
}

// recordsOf are the records of a block of the store, without what they did.
func recordsOf(cb *fairwattpb.CertifiedBlock) ([]history.Entry, error) {
	header, _, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return nil, err
	}
	out := make([]history.Entry, len(records))
	for i, sealed := range records {
		_, payload, err := seal.Peek(sealed)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		var r fairwattpb.Record
		if err := proto.Unmarshal(payload, &r); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		out[i] = entryOf(&r, seal.ID(sealed), i, header.GetTimeMs())
		out[i].Unknown, out[i].Height, out[i].Seq = true, header.GetHeight(), uint32(i)
	}
	return out, nil
}
