package agent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"fairwatt/agent/receipt"
	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// maxEnded is how many trades that have ended are kept.
const maxEnded = 300

// terms are an owner's at this moment, and the number of the local day.
func (a *Agent) terms(w *wire.Wish) (trade.Terms, int64) {
	local := a.now.wall.Local()
	_, offset := local.Zone()
	return trade.TermsOf(w, local.Hour()), (local.Unix() + int64(offset)) / 86_400
}

// side shows how a side of the trades stands. A buyer's circuits have prices of their own.
func (a *Agent) side(side string, w *wire.Wish, price, todayWh int64) *view.Side {
	t, _ := a.terms(w)
	s := &view.Side{State: view.SideOn, PriceMicroPerKWh: cmp.Or(t.PriceMicroPerKWh, price), TodayWh: todayWh, Wish: *w}
	switch {
	case w.Paused:
		s.State = view.SidePaused
	case t.Stop:
		s.State = view.SideHours
	case t.DryRun:
		s.State = view.SideDryRun
		for i := range a.trade.would {
			if a.trade.would[i].Side == side {
				s.Would = &a.trade.would[i]
			}
		}
	}
	return s
}

// wouldHave notes what a dry run did not do.
func (a *Agent) wouldHave(w trade.Would) {
	a.log.Info("dry run", "side", w.Side, "volume_wh", w.VolumeWh, "price_micro_per_kwh", w.PriceMicroPerKWh)
	a.trade.would = append(slices.DeleteFunc(a.trade.would, func(o trade.Would) bool { return o.Side == w.Side }), w)
}

// purse takes what f+1 data aggregators say of the account. They tell of a block once,
// and not in order.
func (a *Agent) purse(o receipt.Outcome) {
	if p := a.saved.Purse; p != nil && p.Height >= o.Height {
		return
	}
	n := o.Entry.GetAccount()
	a.saved.Purse = &wire.Purse{
		Height: o.Height, TS: wire.Time{Time: a.now.wall}, WalletMicro: n.GetWalletMicro(), BondMicro: n.GetBondMicro(),
		LeavingMicro: n.GetLeavingMicro(), OwedMicro: n.GetFinesDueMicro(),
	}
	a.judged = true // it is part of the kept state
}

// restoreEnded reads which trades have ended. They are for the owner only.
func (a *Agent) restoreEnded() error {
	return a.readState(stateEnded, func(b []byte) error { return json.Unmarshal(b, &a.trade.ended) })
}

// withEnded adds the trades that ended to what is kept of them, and to a commit.
func (a *Agent) withEnded(actions []trade.Action, state map[string][]byte) ([]wire.PastTrade, error) {
	past := a.trade.ended
	for _, action := range actions {
		if action.Ended != nil {
			e := *action.Ended
			e.TS = wire.Time{Time: a.now.wall}
			past = append(past[:len(past):len(past)], e)
		}
	}
	if len(past) == len(a.trade.ended) {
		return past, nil
	}
	past = past[max(0, len(past)-maxEnded):]
	b, err := json.Marshal(past)
	if err != nil {
		return nil, fmt.Errorf("marshal ended trades: %w", err)
	}
	state[stateEnded] = b
	return past, nil
}

// tradeWord obeys the machine's own user in what is about trades. No word of these moves
// the gate.
func (a *Agent) tradeWord(c *wire.Command) wire.Result {
	text, err := a.obeyTrade(c)
	if err != nil {
		return a.refusedResult(c, err)
	}
	a.words.done.Add(1)
	r := a.result(c)
	r.OK, r.Text, r.State = true, text, a.judge.State().String()
	r.Trading = &wire.Trading{Wishes: a.saved.Wishes, Purse: a.saved.Purse}
	if c.Do == word.DoHistory {
		r.Trading.Ended = a.trade.ended
	}
	return r
}

func notTrading(format string, args ...any) error {
	return &word.Refusal{Code: wire.CommandNotTrading, Text: brief.Sprintf(format, args...)}
}

func badValue(format string, args ...any) error {
	return &word.Refusal{Code: wire.CommandBadValue, Text: brief.Sprintf(format, args...)}
}

func (a *Agent) obeyTrade(c *wire.Command) (string, error) {
	if a.trade.seller == nil && a.trade.buyer == nil {
		return "", notTrading("this device does not trade: its configuration has neither sell nor buy")
	}
	switch c.Do {
	case word.DoHistory:
		return fmt.Sprintf("%d trades have ended", len(a.trade.ended)), nil
	case word.DoTrade:
		if c.Wish == nil {
			return "as it stands", nil
		}
		return a.wish(c.Wish)
	case word.DoAppeal:
		if !validTradeID(c.Trade) || c.Why == "" || len(c.Why) > wire.MaxTextBytes {
			return "", badValue("appeal: name the trade, %q, and say why in 1 to %d bytes", c.Trade, wire.MaxTextBytes)
		}
		hash := sha256.Sum256([]byte(c.Why))
		a.log.Info("appeal", "trade", c.Trade, "why", c.Why)
		return a.queueRecord(&fairwattpb.Record{Body: &fairwattpb.Record_Appeal{Appeal: &fairwattpb.Appeal{TradeId: c.Trade, TextHash: hash[:]}}})
	}
	if c.AmountMicro <= 0 || c.AmountMicro > 1e18 {
		return "", badValue("amount_micro: %d; use 1 to 1000000000000000000", c.AmountMicro)
	}
	switch c.Do {
	case word.DoOut:
		if c.Payee == "" || len(c.Payee) > wire.MaxTextBytes {
			return "", badValue("payee: %q; name the bank account in 1 to %d bytes", c.Payee, wire.MaxTextBytes)
		}
		hash := sha256.Sum256([]byte(c.Payee))
		id := fmt.Sprintf("out-%d", a.now.wallMs())
		text, err := a.queueRecord(&fairwattpb.Record{Body: &fairwattpb.Record_Withdrawal{Withdrawal: &fairwattpb.Withdrawal{
			WithdrawalId: id, AmountMicro: c.AmountMicro, PayeeHash: hash[:]}}})
		return "withdrawal " + id + " is " + text, err
	case word.DoBond:
		return a.queueRecord(&fairwattpb.Record{Body: &fairwattpb.Record_Bond{Bond: &fairwattpb.Bond{AmountMicro: c.AmountMicro}}})
	case word.DoUnbond:
		return a.queueRecord(&fairwattpb.Record{Body: &fairwattpb.Record_Unbond{Unbond: &fairwattpb.Unbond{AmountMicro: c.AmountMicro}}})
	}
	return "", notTrading("do: %q is no word of trades", c.Do)
}

// validTradeID says whether a record may name such a trade.
func validTradeID(id string) bool {
	return id != "" && len(id) <= 160 && !bytes.ContainsFunc([]byte(id), func(r rune) bool { return r <= ' ' || r > '~' })
}

// queueRecord puts a record on its way to the chain.
func (a *Agent) queueRecord(r *fairwattpb.Record) (string, error) {
	if len(a.pending.Record) >= maxPending {
		return "", notTrading("too many records wait for the disk; try again")
	}
	a.pending.Record = append(a.pending.Record, a.entry(r, false))
	return "on its way to the chain; agent trade wallet shows what came of it", nil
}

// wish changes what the owner wants. The traders act on it in this very step.
func (a *Agent) wish(c *wire.WishChange) (string, error) {
	w := &a.saved.Wishes.Sell
	switch {
	case c.Side == wire.SideSell && a.trade.seller != nil:
	case c.Side == wire.SideBuy && a.trade.buyer != nil:
		w = &a.saved.Wishes.Buy
	case c.Side != wire.SideSell && c.Side != wire.SideBuy:
		return "", badValue("side: %q; use sell or buy", c.Side)
	default:
		return "", notTrading("this device does not %s: its configuration has no section %s", c.Side, c.Side)
	}
	if err := trade.Change(w, c); err != nil {
		return "", badValue("%v", err)
	}
	a.judged = true // it is part of the kept state
	a.log.Info("trades", "side", c.Side, "wish", *w)
	return c.Side + ": " + a.side(c.Side, w, 0, 0).State, nil
}
