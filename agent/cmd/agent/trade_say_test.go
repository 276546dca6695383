package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/agent/socket"
	"fairwatt/proto/wire"
)

func TestHoursOfTheDay(t *testing.T) {
	for text, want := range map[string]uint32{"all": 0, "0": 1, "23": 1 << 23, "8-10": 7 << 8, "22-1": 1<<22 | 1<<23 | 3, "1,3": 10} {
		if got, err := parseHours(text); err != nil || got != want {
			t.Errorf("%q: %x, %v; want %x", text, got, err, want)
		}
	}
	for _, text := range []string{"", "24", "8-", "-8", "8-24", "8,,9", "a", "8-9-10", "99999999999"} {
		if got, err := parseHours(text); err == nil {
			t.Errorf("%q: %x", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.Uint32Range(0, 1<<24-1).Draw(t, "mask")
		if got, err := parseHours(formatHours(mask)); err != nil || got != mask {
			t.Fatalf("%x is %q, which is %x: %v", mask, formatHours(mask), got, err)
		}
	})
}

// An owner's command line reaches the agent's socket as one command, and its answer is
// shown.
func TestTradesOverTheSocket(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	text := "site: farm-1\ndevice: pv-1\ndata: data\nsensors:\n  - {kind: s0, name: sold, pin: GPIO6}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	door, err := socket.Listen(filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	served := make(chan error, 1)
	trading := &wire.Trading{
		Wishes: wire.Wishes{Sell: wire.Wish{PriceMicroPerKWh: 310_000, Hours: 7 << 8, DailyWh: 5, ReserveW: 6}, Buy: wire.Wish{Paused: true, DryRun: true, ReserveMicro: 5_000_000}},
		Purse:  &wire.Purse{Height: 12, WalletMicro: 25_500_000, BondMicro: 5_000_000},
		Ended: []wire.PastTrade{{TS: wire.Time{Time: time.Unix(1_800_000_000, 0)}, Height: 9, Trade: "t-1", Side: "sell", With: "home-1", VolumeWh: 800,
			EnergyWh: 300, PriceMicroPerKWh: 200_000, PaidMicro: 60_000, ReturnedMicro: 100_000, Status: "settled_partly", Reason: "=1+1", Passed: "pv-2: its gate is not open"}},
	}
	go func() {
		served <- door.Serve(t.Context(), func(_ context.Context, line []byte) wire.Result {
			heard <- string(line)
			return wire.Result{Schema: wire.SchemaResult, OK: true, Text: "done", Trading: trading}
		})
	}()
	for _, c := range []struct {
		args, heard, said string
	}{
		{"price 0.31", `{"do":"trade","wish":{"side":"sell","price_micro_per_kwh":310000}}`, "sell: on, price 0.310000, hours 8-10, 5 Wh a day, 6 W kept\nbuy: paused, dry run, price as configured, hours all, 5.000000 kept\n"},
		{"price 0.4 --buy --hours 17-18", `{"do":"trade","wish":{"side":"buy","price_micro_per_kwh":400000,"price_hours":393216}}`, "sell: on"},
		{"price configured", `{"do":"trade","wish":{"side":"sell","price_micro_per_kwh":0}}`, "sell: on"},
		{"pause --buy", `{"do":"trade","wish":{"side":"buy","paused":true}}`, "sell: on"},
		{"resume", `{"do":"trade","wish":{"side":"sell","paused":false}}`, "sell: on"},
		{"sell", `{"do":"trade"}`, "sell: on"},
		{"sell --hours all --daily-wh 9 --reserve 500 --dry-run", `{"do":"trade","wish":{"side":"sell","dry_run":true,"hours":0,"daily_wh":9,"reserve":500}}`, "sell: on"},
		{"buy --reserve 5.5 --dry-run=false", `{"do":"trade","wish":{"side":"buy","dry_run":false,"reserve":5500000}}`, "sell: on"},
		{"buy --reserve 0", `{"do":"trade","wish":{"side":"buy","reserve":0}}`, "sell: on"},
		{"wallet", `{"do":"trade"}`, "wallet 25.500000, bond 5.000000, leaving the bond 0.000000, owed in fines 0.000000\nas of block 12"},
		{"history", `{"do":"history"}`, "ENDED"},
		{"export", `{"do":"history"}`, "ended,height,trade,side,with,volume_wh,energy_wh,price_per_kwh,paid,returned,status,reason\n" +
			"2027-01-15T08:00:00Z,9,t-1,sell,home-1,800,300,0.200000,0.060000,0.100000,settled_partly,'=1+1\n"},
		{"bond 5", `{"do":"bond","amount_micro":5000000}`, "done\n"},
		{"unbond 0.5", `{"do":"unbond","amount_micro":500000}`, "done\n"},
		{"withdraw 2 --payee DE02", `{"do":"out","amount_micro":2000000,"payee":"DE02"}`, "done\n"},
		{"appeal t-1 --why nothing", `{"do":"appeal","why":"nothing","trade":"t-1"}`, "done\n"},
	} {
		out, _ := agentSays(t, 0, append([]string{"trade"}, strings.Fields(c.args+" --config "+config)...)...)
		var got, want map[string]any
		select { // it has been heard before the command ended
		case line := <-heard:
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%s: the agent heard nothing", c.args)
		}
		if err := json.Unmarshal([]byte(c.heard), &want); err != nil {
			t.Fatal(err)
		}
		want["schema"] = wire.SchemaCommand
		a, _ := json.Marshal(got)
		if b, _ := json.Marshal(want); string(a) != string(b) {
			t.Errorf("%s: the agent heard %s, want %s", c.args, a, b)
		}
		if c.args == "history" && !strings.Contains(out, "t-1  passed over: pv-2: its gate is not open\n") {
			t.Errorf("history does not tell what was passed over: %q", out)
		}
		if !strings.HasPrefix(out, c.said) {
			t.Errorf("%s: said %q, want %q", c.args, out, c.said)
		}
	}
	for args, want := range map[string]string{
		"price":                      "0 arguments, want 1",
		"price x":                    `"x" is not an amount`,
		"price 1 --hours 24":         "use hours 0 to 23",
		"sell --reserve 1.5":         "use whole W",
		"buy --reserve x":            "use whole W of a seller, currency units of a buyer",
		"bond":                       "0 arguments, want 1",
		"bond -- -1":                 "is not an amount",
		"pause now":                  "1 arguments, want 0",
		"buy --daily-wh much":        "invalid argument",
		"appeal t-1 t-2 --why twice": "2 arguments, want 1",
	} {
		front, back, dashed := strings.Cut(args, " -- ")
		line := append([]string{"trade"}, strings.Fields(front+" --config "+config)...)
		if dashed {
			line = append(line, "--", back)
		}
		if _, said := agentSays(t, 2, line...); !strings.Contains(said, want) {
			t.Errorf("%s: %s", args, said)
		}
	}
	if err := door.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
