package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/trade"
	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// A shop is a seller that runs, with its town and the owner beside it.
type shop struct {
	t      *testing.T
	broker *mqtttest.Broker
	town   *town
	cfg    Config
	db     string
	agent  *Agent
	done   chan error
	end    func()
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, broker: &mqtttest.Broker{}, cfg: testConfig(t, "pv-1"), db: filepath.Join(t.TempDir(), "a.db")}
	s.cfg.HomeAssistant = true
	s.cfg.Sell = &SellConfig{Meter: meterName(t), PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
	s.town = newTown(t, s.broker.Pipe(mqtt.Will{}))
	s.town.open()
	return s
}

// open runs the agent until its gate is open.
func (s *shop) open() {
	s.t.Helper()
	s.start(true)
	s.wait(10 * time.Minute)
	if got := s.agent.Status(); got.Gate != model.StateOpen {
		s.t.Fatalf("the gate is %v: %s", got.Gate, got.Reason)
	}
}

// start runs the agent, with something to switch where it sells.
func (s *shop) start(sells bool) {
	s.t.Helper()
	p := newPlant(s.t)
	var contactor trade.Contactor
	if sells {
		contactor = &spyContactor{plant: p, pin: "S0-1"}
	}
	s.agent = liveAgent(s.t, s.cfg, p, s.db, s.town.chain, contactor, s.broker.Pipe(WillOf(&s.cfg)))
	ctx, stop := context.WithCancel(s.t.Context())
	s.done = make(chan error, 1)
	go p.run(ctx)
	go func(a *Agent) { s.done <- a.Run(ctx) }(s.agent)
	s.end = func() {
		stop()
		if err := <-s.done; err != nil {
			s.t.Errorf("run: %v", err)
		}
	}
}

func (s *shop) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *shop) ask(c wire.Command) wire.Result {
	s.t.Helper()
	c.Schema = wire.SchemaCommand
	line, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.agent.Ask(s.t.Context(), line)
	synctest.Wait()
	return r
}

// said asks and wants it done.
func (s *shop) said(c wire.Command) wire.Result {
	s.t.Helper()
	r := s.ask(c)
	if !r.OK || r.Trading == nil {
		s.t.Fatalf("%+v: %+v", c, r)
	}
	return r
}

func (s *shop) wish(c wire.WishChange) {
	s.t.Helper()
	s.said(wire.Command{Do: word.DoTrade, Wish: &c})
	s.wait(2 * time.Second)
}

// offers are those that the town has, the newest last.
func (s *shop) offers() []*fairwattpb.Offer {
	s.town.mu.Lock()
	defer s.town.mu.Unlock()
	var out []*fairwattpb.Offer
	for _, r := range s.town.log {
		if o := r.GetOffer(); o != nil {
			out = append(out, o)
		}
	}
	return out
}

func (s *shop) view() (v view.Trades) {
	s.t.Helper()
	if err := json.Unmarshal(s.broker.Retained("fairwatt/v1/farm-1/pv-1/trade"), &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

// What the owner says holds at once, without a restart and without a move of the gate,
// is shown, and is kept.
func TestOwnerSteersTrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.open()
		last := func() *fairwattpb.Offer { o := s.offers(); return o[len(o)-1] }
		if o := last(); o.GetPriceMicroPerKwh() != 200_000 || o.GetVolumeWh() != 1000 {
			t.Fatalf("offered %v", o)
		}
		seq := s.agent.Status().GateSeq
		s.wish(wire.WishChange{Side: wire.SideSell, PriceMicroPerKWh: ptr(int64(310_000))})
		if o := s.offers(); o[len(o)-2].GetVolumeWh() != 0 || last().GetPriceMicroPerKwh() != 310_000 || last().GetVolumeWh() != 1000 {
			t.Errorf("after the price: %v", o[len(o)-2:])
		}
		s.wish(wire.WishChange{Side: wire.SideSell, DailyWh: ptr(int64(300))})
		if o := last(); o.GetVolumeWh() != 300 {
			t.Errorf("a daily amount: %v", o)
		}
		s.wish(wire.WishChange{Side: wire.SideSell, Paused: ptr(true)})
		if o := last(); o.GetVolumeWh() != 0 || s.view().Sell.State != view.SidePaused {
			t.Errorf("paused: %v, %+v", o, s.view().Sell)
		}
		if got := s.agent.Status().GateSeq; got != seq {
			t.Errorf("the gate moved: change %d after %d", got, seq)
		}
		count := len(s.offers())
		s.end()
		s.open() // ten minutes
		if n := len(s.offers()); n != count {
			t.Errorf("a pause did not outlive the restart: %v", s.offers()[count:])
		}
		if w := s.said(wire.Command{Do: word.DoTrade}).Trading.Wishes.Sell; !w.Paused || w.DailyWh != 300 || w.PriceMicroPerKWh != 310_000 {
			t.Errorf("kept: %+v", w)
		}
		seq = s.agent.Status().GateSeq
		s.wish(wire.WishChange{Side: wire.SideSell, Paused: ptr(false), DryRun: ptr(true)})
		if v := s.view().Sell; len(s.offers()) != count || v.State != view.SideDryRun || v.Would == nil || v.Would.VolumeWh != 300 || v.Would.PriceMicroPerKWh != 310_000 {
			t.Errorf("a dry run: %v, %+v", s.offers()[count:], v)
		}
		hour := time.Now().Local().Hour()
		s.wish(wire.WishChange{Side: wire.SideSell, DryRun: ptr(false), Hours: ptr(uint32(1) << ((hour + 1) % 24))})
		if v := s.view().Sell; len(s.offers()) != count || v.State != view.SideHours {
			t.Errorf("before its hours: %v, %+v", s.offers()[count:], v)
		}
		if got := s.agent.Status(); got.Gate != model.StateOpen || got.GateSeq != seq {
			t.Errorf("the gate moved: %v, change %d after %d", got.Gate, got.GateSeq, seq)
		}
		s.wish(wire.WishChange{Side: wire.SideSell, Hours: ptr(uint32(1) << hour)})
		if o := last(); len(s.offers()) == count || o.GetVolumeWh() != 300 || s.view().Sell.State != view.SideOn {
			t.Errorf("in its hours: %v, %+v", o, s.view().Sell)
		}
		if got := s.agent.Status(); got.Gate != model.StateOpen || got.GateSeq != seq {
			t.Errorf("the gate moved: %v, change %d after %d", got.Gate, got.GateSeq, seq)
		}
		ha := string(s.broker.Retained(wire.Discovery("pv-1")))
		for _, want := range []string{"farm_1_pv_1_sale_state", "farm_1_pv_1_sale_price", "farm_1_pv_1_wallet"} {
			if !strings.Contains(ha, want) {
				t.Errorf("Home Assistant hears nothing of %s", want)
			}
		}
		s.end()
	})
}

// A trade that was paid is delivered through a pause, and its end is told with what the
// wallet has then. Both are known after a restart.
func TestTradesEndAndWalletIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.open()
		if p := s.said(wire.Command{Do: word.DoTrade}).Trading.Purse; p != nil {
			t.Errorf("a wallet that no one told of: %+v", p)
		}
		offer := s.offers()[0]
		s.town.tell("pv-1", payRecord("token-1", offer.GetOfferId(), 800), &fairwattpb.TradeNotice{TradeId: "token-1", Status: wire.StatusPaid})
		s.wish(wire.WishChange{Side: wire.SideSell, Paused: ptr(true)})
		s.wait(5 * time.Second)
		if kinds := s.town.kinds(); !strings.Contains(fmt.Sprint(kinds), "Start") {
			t.Fatalf("a paid trade did not start: %v", kinds)
		}
		s.town.tell("pv-1", nil, &fairwattpb.TradeNotice{TradeId: "token-1", Status: wire.StatusSettledPartly, PaidMicro: 60_000, ReturnedMicro: 100_000})
		account := func(device string, height uint64, wallet int64) {
			s.town.mu.Lock()
			s.town.height = height
			s.town.answer("fairwatt/v1/farm-1/pv-1/up/record", &fairwattpb.ReceiptEntry{
				Sender: device, Account: &fairwattpb.AccountNotice{WalletMicro: wallet, BondMicro: 2, LeavingMicro: 3, FinesDueMicro: 4}})
			s.town.mu.Unlock()
			s.wait(2 * time.Second)
		}
		account("pv-1", 100, 7)
		account("pv-1", 99, 8)  // told late
		account("pv-2", 101, 9) // of another
		check := func() {
			t.Helper()
			r := s.said(wire.Command{Do: word.DoHistory})
			p := *r.Trading.Purse
			p.TS = wire.Time{}
			if p != (wire.Purse{Height: 100, WalletMicro: 7, BondMicro: 2, LeavingMicro: 3, OwedMicro: 4}) {
				t.Errorf("purse %+v", p)
			}
			if len(r.Trading.Ended) != 1 {
				t.Fatalf("ended %+v", r.Trading.Ended)
			}
			if e := r.Trading.Ended[0]; e.Trade != "token-1" || e.EnergyWh != 300 || e.VolumeWh != 800 || e.PaidMicro != 60_000 || e.Side != wire.SideSell || e.TS.IsZero() {
				t.Errorf("ended %+v", e)
			}
			if got := s.view().Purse; got == nil || got.WalletMicro != 7 {
				t.Errorf("the view's purse %+v", got)
			}
		}
		check()
		s.end()
		s.open()
		check()
		s.end()
	})
}

// What an owner cannot mean is refused, names the field, and sends nothing; what it can
// goes to the chain.
func TestWordsOfTrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.open()
		before := len(s.town.kinds())
		for want, c := range map[string]wire.Command{
			"bad_value side: \"hire\"":          {Do: word.DoTrade, Wish: &wire.WishChange{Side: "hire"}},
			"not_trading this device does not":  {Do: word.DoTrade, Wish: &wire.WishChange{Side: wire.SideBuy}},
			"bad_value price_micro_per_kwh: -1": {Do: word.DoTrade, Wish: &wire.WishChange{Side: wire.SideSell, PriceMicroPerKWh: ptr(int64(-1))}},
			"bad_value amount_micro: 0":         {Do: word.DoBond},
			"bad_value amount_micro: -5":        {Do: word.DoUnbond, AmountMicro: -5},
			"bad_value appeal: name the trade":  {Do: word.DoAppeal, Trade: "a b", Why: "x"},
			"bad_value appeal: name the trade,": {Do: word.DoAppeal, Trade: "t"},
			"bad_value payee: \"\"":             {Do: word.DoOut, AmountMicro: 1},
			"malformed command: wish, amount":   {Do: "unblock", By: "Ada", AmountMicro: 1},
		} {
			if r := s.ask(c); r.OK || !strings.HasPrefix(r.Code+" "+r.Text, want) {
				t.Errorf("%s: %+v", want, r)
			}
		}
		if n := len(s.town.kinds()); n != before {
			t.Errorf("refused words sent %v", s.town.kinds()[before:])
		}
		s.said(wire.Command{Do: word.DoBond, AmountMicro: 5})
		s.said(wire.Command{Do: word.DoUnbond, AmountMicro: 4})
		s.said(wire.Command{Do: word.DoOut, AmountMicro: 3, Payee: "DE02"})
		s.said(wire.Command{Do: word.DoAppeal, Trade: "t-1", Why: "nothing came"})
		s.wait(2 * time.Second)
		s.town.mu.Lock()
		sent := s.town.log[before:]
		if len(sent) != 4 || sent[0].GetBond().GetAmountMicro() != 5 || sent[1].GetUnbond().GetAmountMicro() != 4 ||
			sent[2].GetWithdrawal().GetAmountMicro() != 3 || len(sent[2].GetWithdrawal().GetPayeeHash()) != 32 ||
			sent[3].GetAppeal().GetTradeId() != "t-1" || len(sent[3].GetAppeal().GetTextHash()) != 32 {
			t.Errorf("sent %v", sent)
		}
		s.town.mu.Unlock()
		s.end()
	})
}

// A device without trades says so.
func TestNoTradesToSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.open()
		if r := s.ask(wire.Command{Do: word.DoTrade}); r.OK || r.Code != wire.CommandNotTrading {
			t.Errorf("%+v", r)
		}
		s.end()
	})
}
