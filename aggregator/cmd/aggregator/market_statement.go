package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
)

// A statement is a member's account of a month: what it had, what moved it, what it has.
type statement struct {
	Member    string    `json:"member"`
	Month     string    `json:"month"` // 2026-11, UTC
	Chain     string    `json:"chain"`
	Height    uint64    `json:"height"` // of the newest block looked at
	Opening   balance   `json:"opening"`
	Closing   balance   `json:"closing"`
	BoughtWh  int64     `json:"bought_wh"`
	SoldWh    int64     `json:"sold_wh"`
	PaidMicro int64     `json:"paid_micro"`   // for what was bought
	EarnMicro int64     `json:"earned_micro"` // by what was sold
	FineMicro int64     `json:"fines_micro"`  // paid and charged less received and returned
	FeeMicro  int64     `json:"fees_micro"`   // to the grid and into the fund, of what was sold
	Lines     []payment `json:"lines"`
}

// A balance is what a member has.
type balance struct {
	WalletMicro int64 `json:"wallet_micro"`
	EscrowMicro int64 `json:"escrow_micro"` // as a buyer
	BondMicro   int64 `json:"bond_micro"`   // with what was asked back of it
	OutMicro    int64 `json:"out_micro"`    // on its way to the bank
}

func (b *balance) add(m ledger.Move) {
	b.WalletMicro += m.WalletMicro
	b.EscrowMicro += m.EscrowMicro
	b.BondMicro += m.BondMicro
	b.OutMicro += m.OutMicro
}

// A payment is one line of a statement.
type payment struct {
	Height           uint64 `json:"height"`
	TimeMs           int64  `json:"time_ms"`
	SlotMs           int64  `json:"slot_ms"` // begin of the quarter of an hour
	Record           string `json:"record"`  // id; empty when the block's time did it
	What             string `json:"what"`
	Trade            string `json:"trade"`
	Other            string `json:"other"`
	EnergyWh         int64  `json:"energy_wh"`
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	FeeMicro         int64  `json:"fee_micro"`  // to the grid, of what was sold
	LevyMicro        int64  `json:"levy_micro"` // into the fund, likewise
	balance
}

const slotMs = 900_000

func marketStatementCommand() *cobra.Command {
	var source chainSource
	var member, month string
	var asJSON, asCSV bool
	cmd := &cobra.Command{
		Use:   "statement --member ID --month YYYY-MM [--csv|--json] (--export FILE|- | --data DIR)",
		Short: "Write a member's account of a month",
		Long: `Write a member's account of a month (UTC): its balances before and after, and every
movement of money between with energy, price, the other side, height and record.

The chain is replayed and verified. The movements add up to the balances of the
chain, or the command fails.`,
		Example: `  aggregator market statement --data community/da-1/data --member house-1 --month 2026-11
  aggregator market statement --export chain.jsonl --member house-1 --month 2026-11 --csv > house-1.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begin, err := time.Parse("2006-01", month)
			switch {
			case member == "":
				return usagef("--member ID is required")
			case err != nil:
				return usagef("--month %.20q: want a month such as 2026-11", month)
			case asJSON && asCSV:
				return usagef("--json and --csv exclude each other")
			}
			s, err := source.statement(cmd, member, begin)
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			case asCSV:
				return s.csv(cmd.OutOrStdout())
			}
			return s.print(cmd.OutOrStdout())
		},
	}
	source.add(cmd)
	cmd.Flags().StringVar(&member, "member", "", "id of the member")
	cmd.Flags().StringVar(&month, "month", "", "month, as 2026-11")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV, amounts in millionths")
	return cmd
}

func (c *chainSource) statement(cmd *cobra.Command, member string, begin time.Time) (*statement, error) {
	from, to := begin.UnixMilli(), begin.AddDate(0, 1, 0).UnixMilli()
	s := &statement{Member: member, Month: begin.Format("2006-01"), Lines: []payment{}}
	state, err := c.replay(cmd, func(state *ledger.State, st *ledger.Staged) error {
		ms := st.Header().GetTimeMs()
		if ms >= to {
			return nil
		}
		for _, m := range st.Moves() {
			if m.Who != member {
				continue
			}
			s.Closing.add(m)
			if ms < from {
				s.Opening.add(m)
				continue
			}
			s.line(st, m)
		}
		s.Height = state.Height()
		return s.check(state)
	})
	if err != nil {
		return nil, err
	}
	if _, ok := state.Account(member); !ok {
		return nil, fmt.Errorf("the chain has no participant %.60q with an account", member)
	}
	s.Chain = fmt.Sprintf("%x", state.ChainID())
	return s, nil
}

func (s *statement) line(st *ledger.Staged, m ledger.Move) {
	ms := st.Header().GetTimeMs()
	s.Lines = append(s.Lines, payment{
		Height: st.Header().GetHeight(), TimeMs: ms, SlotMs: ms - ms%slotMs, Record: recordOf(st, m.Index), What: m.What, Trade: m.Trade, Other: m.Other,
		EnergyWh: m.EnergyWh, PriceMicroPerKWh: m.PriceMicroPerKWh, FeeMicro: m.FeeMicro, LevyMicro: m.LevyMicro,
		balance: balance{m.WalletMicro, m.EscrowMicro, m.BondMicro, m.OutMicro},
	})
	switch sum := m.WalletMicro + m.EscrowMicro + m.BondMicro; m.What {
	case ledger.MoveBought:
		s.BoughtWh, s.PaidMicro = s.BoughtWh+m.EnergyWh, s.PaidMicro-sum
	case ledger.MoveSold:
		s.SoldWh, s.EarnMicro = s.SoldWh+m.EnergyWh, s.EarnMicro+sum
		s.FeeMicro += m.FeeMicro + m.LevyMicro
	case ledger.MoveFined, ledger.MoveCharged, ledger.MoveChargeOff, ledger.MoveMadeGood, ledger.MoveDue, ledger.MoveGap:
		s.FineMicro -= sum
	}
}

// check holds what the movements add up to against the account.
func (s *statement) check(state *ledger.State) error {
	a, ok := state.Account(s.Member)
	if !ok {
		return nil // not registered yet
	}
	if a.WalletMicro != s.Closing.WalletMicro || a.BondMicro+a.LeavingMicro != s.Closing.BondMicro {
		return fmt.Errorf("the account of %s holds %d and a bond of %d, its movements add up to %d and %d",
			s.Member, a.WalletMicro, a.BondMicro+a.LeavingMicro, s.Closing.WalletMicro, s.Closing.BondMicro)
	}
	return nil
}

func (s *statement) csv(out io.Writer) error {
	w := csv.NewWriter(out)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"height", "time_ms", "slot_ms", "record", "what", "trade", "other", "energy_wh", "price_micro_per_kwh", "wallet_micro", "escrow_micro", "bond_micro", "out_micro", "fee_micro", "levy_micro"}}
	end := func(what string, b balance) {
		rows = append(rows, []string{"", "", "", "", what, "", "", "", "", number(b.WalletMicro), number(b.EscrowMicro), number(b.BondMicro), number(b.OutMicro), "", ""})
	}
	end("opening", s.Opening)
	for _, l := range s.Lines {
		rows = append(rows, []string{strconv.FormatUint(l.Height, 10), number(l.TimeMs), number(l.SlotMs), l.Record, l.What, l.Trade, l.Other, number(l.EnergyWh),
			number(l.PriceMicroPerKWh), number(l.WalletMicro), number(l.EscrowMicro), number(l.BondMicro), number(l.OutMicro), number(l.FeeMicro), number(l.LevyMicro)})
	}
	end("closing", s.Closing)
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write statement: %w", err)
	}
	return nil
}

func (s *statement) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "member\t%s\nmonth\t%s (UTC), chain up to height %d\n", s.Member, s.Month, s.Height)
	fmt.Fprintf(w, "before\t%s in the wallet, %s in escrow, %s in the bond, %s on its way to the bank\n", money(s.Opening.WalletMicro), money(s.Opening.EscrowMicro), money(s.Opening.BondMicro), money(s.Opening.OutMicro))
	fmt.Fprintf(w, "after\t%s in the wallet, %s in escrow, %s in the bond, %s on its way to the bank\n", money(s.Closing.WalletMicro), money(s.Closing.EscrowMicro), money(s.Closing.BondMicro), money(s.Closing.OutMicro))
	fmt.Fprintf(w, "bought\t%.3f kWh for %s\nsold\t%.3f kWh for %s\nfees\t%s\nfines\t%s\n\n", float64(s.BoughtWh)/1000, money(s.PaidMicro), float64(s.SoldWh)/1000, money(s.EarnMicro), money(s.FeeMicro), money(s.FineMicro))
	fmt.Fprintf(w, "HEIGHT\tTIME\tRECORD\tWHAT\tTRADE\tOTHER\tWH\tWALLET\tESCROW\tBOND\n")
	for _, l := range s.Lines {
		record := "block time"
		if l.Record != "" {
			record = l.Record[:16]
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.Height, localTime(l.TimeMs), record, l.What, l.Trade, l.Other, l.EnergyWh,
			money(l.WalletMicro), money(l.EscrowMicro), money(l.BondMicro))
	}
	return w.Flush()
}
