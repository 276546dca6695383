package grid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fairwatt/agent"
	"fairwatt/agent/outbox"
	"fairwatt/agent/trade"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
)

// soonSlot is the length of slots with which a grid that is up in a few seconds has traded one
// soonest: slots are counted from 1970, so some begin when it is up.
func soonSlot(now time.Time) (slotMs int64) {
	const up, shortest, longest = 5_000, 10_000, 16_000
	best := int64(0)
	for ms := int64(shortest); ms <= longest; ms += 1_000 {
		end := 2*ms - now.UnixMilli()%ms
		if end-ms < up {
			end += ms
		}
		if best == 0 || end < best {
			best, slotMs = end, ms
		}
	}
	return slotMs
}

// knowsItsLoad leaves a house the state of an agent that ran before, and counted slots of so
// much: without it a house bids nothing before it has counted a slot.
func knowsItsLoad(t *testing.T, cfg *Config, house int, slotMs int64) {
	t.Helper()
	id := fmt.Sprint("home-", house)
	path := filepath.Join(cfg.Data, "agents", id, "outbox.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	kept := trade.NewAuction(trade.AuctionConfig{})
	_, sensors := houseBoard()
	for _, s := range sensors {
		wh := int64(houseDrawW * cfg.Speed * float64(slotMs) / 3_600_000)
		kept.Meters[agent.MeterID(id, s.Name)] = &trade.Counted{SlotsWh: []int64{wh, wh}}
	}
	b, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	o, err := outbox.Open(path, outbox.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Commit(time.Now().UnixMilli(), outbox.Commit{State: map[string][]byte{"auction": b}})
	if err := errors.Join(err, o.Close(time.Now().UnixMilli())); err != nil {
		t.Fatal(err)
	}
}

// steadyWind is weather for two turbines in which what a slot brings is foreseen well.
func steadyWind(t *testing.T) []string {
	t.Helper()
	path := writeTrace(t, "steady.csv", traceStart, slices.Repeat([]float64{8}, 100), nil)
	return []string{path, path}
}

// A neighbourhood on a chain with an auction, for one slot: sellers and houses that keep the
// rules order it, tell its borders, and are paid, and no one is fined or loses money.
func TestWholeSystemOfSlots(t *testing.T) { wholeSystemOfSlots(t, ledger.MechanismAuction) }

// The same where the slot is shared by agreed parts.
func TestWholeSystemThatShares(t *testing.T) { wholeSystemOfSlots(t, ledger.MechanismSharing) }

func wholeSystemOfSlots(t *testing.T, mechanism string) {
	seen := make(chan error, 1)
	people := make(chan []*participant, 1)
	r := playWith(t, func(c *Config) {
		c.For, c.Buyers, c.Links, c.HTTP, c.Speed = 0, 2, "memory", "127.0.0.1:0", 600
		c.Traces = steadyWind(t)
		slotMs := soonSlot(time.Now())
		c.Set = []string{"mechanism=" + mechanism, "gate_closure_ms=2000", fmt.Sprint("slot_ms=", slotMs)}
		for i := range c.Buyers {
			knowsItsLoad(t, c, i+1, slotMs)
		}
	}, func(ctx context.Context, page <-chan string, stop func()) {
		defer stop()
		seen <- func() error {
			select {
			case <-ctx.Done():
				return errors.New("no page in time")
			case url := <-page:
				// What has been cleared is to end, and nothing more to begin.
				if _, err := look(ctx, url, func(s *console.Snapshot) bool { return s.TradeCount["cleared"] > 0 }); err != nil {
					return fmt.Errorf("nothing was cleared: %w", err)
				}
				for _, p := range <-people {
					p.agent.StopRequests()
				}
				_, err := look(ctx, url, func(s *console.Snapshot) bool { return s.TradeCount["cleared"] == 0 })
				return err
			}
		}()
	}, func(all []*participant) { people <- all })
	if err := <-seen; err != nil {
		t.Fatalf("the page: %v", err)
	}
	t.Logf("\n%s", r.Market())
	s := r.Slots
	if s == nil || s.Cleared == 0 || s.Settled != s.Cleared || s.Open != 0 || s.Trades < 2 || s.PaidWh == 0 || s.PaidMicro == 0 {
		t.Fatalf("%+v, want slots of which every trade has ended", s)
	}
	if s.UnpaidWh*50 > s.TradedWh || s.ShortWh+s.HeldWh+s.UntakenWh != s.UnpaidWh {
		t.Errorf("%d of %d Wh unpaid in steady weather: %+v", s.UnpaidWh, s.TradedWh, s)
	}
	if len(r.Broken) > 0 || r.Trades.Disputed > 0 || r.Trades.Settled == 0 {
		t.Errorf("%+v, broken %+v", r.Trades, r.Broken)
	}
	for _, h := range r.Honest {
		if h.LossMicro > 0 || h.Fined > 0 || h.Barred || h.Open > 0 {
			t.Errorf("%+v", h)
		}
	}
}

// Those that lie about slots, beside honest ones: none of them gains, and no honest member loses
// by it. Where slots are shared, a meter that is silent has no part.
func TestWholeSystemSlotCulprits(t *testing.T) {
	long(t)
	for _, mechanism := range []string{ledger.MechanismAuction, ledger.MechanismSharing} {
		r := play(t, func(c *Config) {
			c.For, c.Speed, c.Set, c.Misbehave = 45*time.Second, 600, []string{"mechanism=" + mechanism}, []string{Traders}
			c.Traces = steadyWind(t)
		}, nil)
		t.Logf("\n%s", r.Market())
		if len(r.Culprits) != len(culpritKinds(true)) || r.Slots == nil || r.Slots.Cleared == 0 || r.Slots.Settled != r.Slots.Cleared {
			t.Fatalf("%s: %+v, %+v", mechanism, r.Culprits, r.Slots)
		}
		for _, c := range r.Culprits {
			silent := mechanism == ledger.MechanismSharing && (c.Kind == SilentAsker || c.Kind == SilentBidder)
			if (c.Trades == 0) != silent || c.GainMicro > 0 || c.LossMicro > 0 || c.BrokenHonest > 0 || c.Open > 0 {
				t.Errorf("%s: %+v", mechanism, c)
			}
		}
		for _, h := range r.Honest {
			if h.LossMicro > 0 || h.Fined > 0 || h.Barred {
				t.Errorf("%s: %+v", mechanism, h)
			}
		}
	}
}
