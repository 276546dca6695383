package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent/word"
	"fairwatt/proto/wire"
)

// tradeSays are the commands with which the owner speaks of trades, to the agent on this
// machine.
func tradeSays() []*cobra.Command {
	return []*cobra.Command{
		sayTrade(word.DoTrade, "price PRICE", "Set the price per kWh of sales, or the highest of purchases",
			"  agent trade price 0.25\n  agent trade price 0.31 --hours 17-21\n  agent trade price 0.40 --buy\n  agent trade price configured", 1),
		sayTrade(word.DoTrade, "pause", "Begin nothing new; what runs is finished", "  agent trade pause\n  agent trade pause --buy", 0),
		sayTrade(word.DoTrade, "resume", "Take a pause back", "  agent trade resume", 0),
		sayTrade(word.DoTrade, "sell", "Show or change when and how much is sold",
			"  agent trade sell\n  agent trade sell --hours 8-18 --daily-wh 20000 --reserve 500\n  agent trade sell --dry-run", 0),
		sayTrade(word.DoTrade, "buy", "Show or change when and how much is bought",
			"  agent trade buy --hours all --daily-wh 0 --reserve 5.00", 0),
		sayTrade(word.DoHistory, "history", "List the trades of this device that have ended, the newest last", "  agent trade history --json", 0),
		sayTrade(word.DoHistory, "export", "Write the trades that have ended as CSV", "  agent trade export >trades.csv", 0),
		sayTrade(word.DoTrade, "wallet", "Show the money of this device on the chain, as its data aggregators told it", "  agent trade wallet", 0),
		sayTrade(word.DoBond, "bond AMOUNT", "Put money of the wallet into the bond", "  agent trade bond 5.00", 1),
		sayTrade(word.DoUnbond, "unbond AMOUNT", "Ask for money of the bond back", "  agent trade unbond 5.00", 1),
		sayTrade(word.DoOut, "withdraw AMOUNT --payee ACCOUNT", "Ask for money of the wallet in the bank", "  agent trade withdraw 20.00 --payee DE02120300000000202051", 1),
		sayTrade(word.DoAppeal, "appeal TRADE --why TEXT", "Ask the arbiters to look at a trade that has ended",
			"  agent trade appeal t-house-1-0a1b2c --why \"nothing came\"", 1),
	}
}

// tradeFlags are those of the words about trades.
type tradeFlags struct {
	hours, reserve string
	dailyWh        int64
	dryRun, buy    bool
}

func sayTrade(do, use, short, example string, args int) *cobra.Command {
	s, t := &saying{command: wire.Command{Do: do}, blank: true}, &tradeFlags{}
	cmd := s.flags(&cobra.Command{
		Use: use, Short: short, Example: example,
		Long: short + ".\n\nIt speaks to the agent that runs on this machine, over the socket agent.sock in its data\ndirectory, and takes effect without a restart. It never opens or closes the gate.",
	})
	name, f := cmd.Name(), cmd.Flags()
	if name == "price" || name == "pause" || name == "resume" {
		f.BoolVar(&t.buy, "buy", false, "of the buying side instead")
	}
	if name == "price" || name == "sell" || name == "buy" {
		f.StringVar(&t.hours, "hours", "all", "hours of the local day, such as 8-17,22: from 8:00 until 18:00, and from 22:00 until 23:00")
	}
	if name == "sell" || name == "buy" {
		f.Int64Var(&t.dailyWh, "daily-wh", 0, "the most in a day, in Wh; 0 for no limit")
		f.BoolVar(&t.dryRun, "dry-run", false, "say what would be begun, and begin nothing; --dry-run=false ends it")
		what := "power that is kept from sale, in W"
		if name == "buy" {
			what = "money that stays in the wallet, in currency units"
		}
		f.StringVar(&t.reserve, "reserve", "0", what)
	}
	if name == "withdraw" {
		f.StringVar(&s.command.Payee, "payee", "", "the bank account, as the centre knows it; its hash goes on the chain (required)")
	}
	if name == "appeal" {
		f.StringVar(&s.command.Why, "why", "", "the reason; its hash goes on the chain (required)")
	}
	cmd.Args = func(_ *cobra.Command, got []string) error {
		if len(got) != args {
			return usagef("%s: %d arguments, want %d: agent trade %s", name, len(got), args, use)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := t.fill(cmd, &s.command, args); err != nil {
			return usageError{fmt.Errorf("trade %s: %w", name, err)}
		}
		s.print = func(out io.Writer, r *wire.Result) error { return printTrading(out, name, r) }
		return s.run(cmd.Context(), cmd.OutOrStdout())
	}
	return cmd
}

// fill puts what the command line says into a command.
func (t *tradeFlags) fill(cmd *cobra.Command, c *wire.Command, args []string) (err error) {
	w := &wire.WishChange{Side: wire.SideSell}
	if t.buy || cmd.Name() == wire.SideBuy {
		w.Side = wire.SideBuy
	}
	set := cmd.Flags().Changed
	var hours uint32
	if set("hours") {
		if hours, err = parseHours(t.hours); err != nil {
			return err
		}
	}
	switch cmd.Name() {
	case "price":
		var micro int64
		if args[0] != "configured" {
			micro, err = wire.ParseMoney(args[0])
		}
		w.PriceMicroPerKWh, w.PriceHours = &micro, hours
	case "pause", "resume":
		paused := cmd.Name() == "pause"
		w.Paused = &paused
	case "sell", "buy":
		if !set("hours") && !set("daily-wh") && !set("reserve") && !set("dry-run") {
			return nil
		}
		if set("hours") {
			w.Hours = &hours
		}
		if set("daily-wh") {
			w.DailyWh = &t.dailyWh
		}
		if set("dry-run") {
			w.DryRun = &t.dryRun
		}
		if set("reserve") {
			err = t.fillReserve(w)
		}
	case "bond", "unbond", "withdraw":
		c.AmountMicro, err = wire.ParseMoney(args[0])
		return err
	case "appeal":
		c.Trade = args[0]
		return nil
	default:
		return nil
	}
	c.Wish = w
	return err
}

func (t *tradeFlags) fillReserve(w *wire.WishChange) error {
	var v int64
	var err error
	switch {
	case w.Side == wire.SideSell:
		v, err = strconv.ParseInt(t.reserve, 10, 64)
	case t.reserve != "0":
		v, err = wire.ParseMoney(t.reserve)
	}
	if err != nil {
		return fmt.Errorf("--reserve %.60q: use whole W of a seller, currency units of a buyer", t.reserve)
	}
	w.Reserve = &v
	return nil
}

// parseHours reads hours of the day, "8-17,22" or "all".
func parseHours(text string) (mask uint32, err error) {
	if text == "all" {
		return 0, nil
	}
	for _, part := range strings.Split(text, ",") {
		from, to, span := strings.Cut(part, "-")
		a, err1 := strconv.ParseUint(from, 10, 5)
		b := a
		if span {
			if b, err = strconv.ParseUint(to, 10, 5); err != nil {
				b = 99
			}
		}
		if err1 != nil || a > 23 || b > 23 {
			return 0, fmt.Errorf("--hours %.60q: use hours 0 to 23, such as 8-17,22, or all", text)
		}
		for h := a; ; h = (h + 1) % 24 { // 22-5 goes over midnight
			if mask |= 1 << h; h == b {
				break
			}
		}
	}
	return mask, nil
}

// formatHours is the inverse of parseHours.
func formatHours(mask uint32) string {
	if mask == 0 {
		return "all"
	}
	var parts []string
	for h := 0; h < 24; h++ {
		if mask>>h&1 == 0 {
			continue
		}
		from := h
		for h < 23 && mask>>(h+1)&1 == 1 {
			h++
		}
		if part := strconv.Itoa(from); from == h {
			parts = append(parts, part)
		} else {
			parts = append(parts, part+"-"+strconv.Itoa(h))
		}
	}
	return strings.Join(parts, ",")
}

// printTrading shows the part of an answer that a command is about.
func printTrading(out io.Writer, name string, r *wire.Result) error {
	t := r.Trading
	if t == nil {
		return fmt.Errorf("the agent's answer says nothing of trades; it is of another version")
	}
	switch name {
	case "export":
		return exportTrades(out, t.Ended)
	case "history":
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ENDED\tSIDE\tWITH\tKWH\tPRICE\tPAID\tSTATUS\tTRADE")
		for _, e := range t.Ended {
			passed := ""
			if e.Passed != "" {
				passed = "  passed over: " + e.Passed
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\t%s\t%s\t%s%s\n", e.TS.Local().Format("2006-01-02 15:04"), e.Side, e.With,
				float64(e.EnergyWh)/1000, wire.FormatMoney(e.PriceMicroPerKWh), wire.FormatMoney(e.PaidMicro), e.Status, e.Trade, passed)
		}
		return w.Flush()
	case "wallet":
		p := t.Purse
		if p == nil {
			_, err := fmt.Fprintln(out, "nothing was heard of the wallet yet: it is told when money moves")
			return err
		}
		_, err := fmt.Fprintf(out, "wallet %s, bond %s, leaving the bond %s, owed in fines %s\nas of block %d, told %s\n",
			wire.FormatMoney(p.WalletMicro), wire.FormatMoney(p.BondMicro), wire.FormatMoney(p.LeavingMicro), wire.FormatMoney(p.OwedMicro),
			p.Height, p.TS.Local().Format("2006-01-02 15:04"))
		return err
	case "bond", "unbond", "withdraw", "appeal":
		_, err := fmt.Fprintln(out, r.Text)
		return err
	}
	_, err := fmt.Fprintf(out, "sell: %s\nbuy: %s\n", wishText(&t.Wishes.Sell, true), wishText(&t.Wishes.Buy, false))
	return err
}

func wishText(w *wire.Wish, sell bool) string {
	text := "on"
	if w.Paused {
		text = "paused"
	}
	if w.DryRun {
		text += ", dry run"
	}
	if w.PriceMicroPerKWh != 0 {
		text += ", price " + wire.FormatMoney(w.PriceMicroPerKWh)
	} else {
		text += ", price as configured"
	}
	for h, p := range w.ByHour {
		if p != 0 {
			text += fmt.Sprintf(", at %d h %s", h, wire.FormatMoney(p))
		}
	}
	text += ", hours " + formatHours(w.Hours)
	if w.DailyWh > 0 {
		text += fmt.Sprintf(", %d Wh a day", w.DailyWh)
	}
	if sell && w.ReserveW > 0 {
		text += fmt.Sprintf(", %d W kept", w.ReserveW)
	} else if !sell && w.ReserveMicro > 0 {
		text += ", " + wire.FormatMoney(w.ReserveMicro) + " kept"
	}
	return text
}

func exportTrades(out io.Writer, past []wire.PastTrade) error {
	w := csv.NewWriter(out)
	rows := [][]string{{"ended", "height", "trade", "side", "with", "volume_wh", "energy_wh", "price_per_kwh", "paid", "returned", "status", "reason"}}
	for _, e := range past {
		rows = append(rows, []string{
			e.TS.UTC().Format(time.RFC3339), strconv.FormatUint(e.Height, 10), e.Trade, e.Side, e.With, strconv.FormatInt(e.VolumeWh, 10), strconv.FormatInt(e.EnergyWh, 10),
			wire.FormatMoney(e.PriceMicroPerKWh), wire.FormatMoney(e.PaidMicro), wire.FormatMoney(e.ReturnedMicro), e.Status, spreadsheetSafe(e.Reason),
		})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write the trades: %w", err)
	}
	return nil
}

// spreadsheetSafe keeps a text from being run as a formula where the file is opened.
func spreadsheetSafe(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
