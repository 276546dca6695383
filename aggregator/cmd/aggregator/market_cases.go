package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// maxGrounds bounds the text that a verdict gives.
const maxGrounds = 1 << 20

// openCases is what no one has decided yet, and who may not trade.
type openCases struct {
	Height      uint64       `json:"height"`
	FundMicro   int64        `json:"fund_micro"`
	HeldMicro   int64        `json:"held_micro"` // for the cases
	Cases       []openCase   `json:"cases"`
	ListVersion uint64       `json:"list_version"`
	List        []listedUser `json:"list"`
	Out         []outUser    `json:"out"` // members that are suspended or revoked, by id
}

type openCase struct {
	Trade       string `json:"trade"`
	Seller      string `json:"seller"`
	Buyer       string `json:"buyer"`
	BilledWh    int64  `json:"billed_wh"`   // of the seller's meter
	ReceivedWh  int64  `json:"received_wh"` // by the buyer's
	MissingWh   int64  `json:"missing_wh"`  // of a whole delivery
	AvailableWh int64  `json:"available_wh"`
	GapMicro    int64  `json:"gap_micro"`
	SellerMicro int64  `json:"charged_seller_micro"`
	BuyerMicro  int64  `json:"charged_buyer_micro"`
	UntilMs     int64  `json:"until_ms"`
	AppealedBy  string `json:"appealed_by,omitempty"`
}

type listedUser struct {
	ID      string `json:"id"`
	Trade   string `json:"trade"`
	Reason  string `json:"reason"`
	SinceMs int64  `json:"since_ms"`
	UntilMs int64  `json:"until_ms"`
}

type outUser struct {
	ID             string `json:"id"`
	Standing       string `json:"standing"` // suspended, revoked
	StandingHeight uint64 `json:"standing_height"`
	StandingReason string `json:"standing_reason"`
}

func casesOf(s *ledger.State) *openCases {
	t := s.Totals()
	out := &openCases{Height: s.Height(), FundMicro: t.FundMicro, HeldMicro: t.HeldMicro, Cases: []openCase{}, List: []listedUser{}, Out: []outUser{}}
	for _, k := range s.Cases() {
		trade, _ := s.Trade(k.Trade)
		out.Cases = append(out.Cases, openCase{
			Trade: k.Trade, Seller: trade.Seller, Buyer: trade.Buyer, BilledWh: trade.BilledWh, ReceivedWh: trade.BuyerMeteredWh, MissingWh: trade.MissingWh,
			AvailableWh: trade.AvailableWh, GapMicro: k.GapMicro, SellerMicro: k.SellerMicro, BuyerMicro: k.BuyerMicro, UntilMs: k.UntilMs, AppealedBy: k.By,
		})
	}
	list, version := s.List()
	out.ListVersion = version
	for _, l := range list {
		out.List = append(out.List, listedUser{l.ID, l.Trade, l.Reason, l.SinceMs, l.UntilMs})
	}
	for _, p := range s.Participants() {
		if p.Standing != ledger.Active {
			out.Out = append(out.Out, outUser{p.ID, p.Standing.String(), p.StandingAt, p.Reason})
		}
	}
	return out
}

func (c *openCases) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "height\t%d\nfund\t%s, %s of it held for %d cases\n\n", c.Height, money(c.FundMicro), money(c.HeldMicro), len(c.Cases))
	fmt.Fprintf(w, "TRADE\tSELLER\tBUYER\tBILLED\tRECEIVED\tMISSING\tREADY\tGAP\tUNTIL\tAPPEALED BY\n")
	for _, k := range c.Cases {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d Wh\t%d Wh\t%d Wh\t%d Wh\t%s\t%s\t%s\n", k.Trade, k.Seller, k.Buyer, k.BilledWh, k.ReceivedWh, k.MissingWh,
			k.AvailableWh, money(k.GapMicro), localTime(k.UntilMs), k.AppealedBy)
	}
	fmt.Fprintf(w, "\nLISTED\tTRADE\tUNTIL\tREASON\n")
	for _, l := range c.List {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.ID, l.Trade, localTime(l.UntilMs), l.Reason)
	}
	if len(c.Out) > 0 {
		fmt.Fprintf(w, "\nOUT\tSTANDING\tSINCE BLOCK\tREASON\n")
	}
	for _, o := range c.Out {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", o.ID, o.Standing, o.StandingHeight, o.StandingReason)
	}
	return w.Flush()
}

func marketCasesCommand() *cobra.Command {
	var source chainSource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cases [--genesis FILE] (--export FILE|- | --data DIR)",
		Short: "Show the open cases, and who may not trade",
		Long: `Show the open cases that arbiters may decide, what the fund holds for them, the list
of those who may not trade, and the members that are suspended or revoked.`,
		Example: "  aggregator market cases --data community/da-1/data",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := source.replay(cmd, func(*ledger.State, *ledger.Staged) error { return nil })
			if err != nil {
				return err
			}
			c := casesOf(state)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
			}
			return c.print(cmd.OutOrStdout())
		},
	}
	source.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

var findings = map[string]fairwattpb.Finding{
	"seller": fairwattpb.Finding_FINDING_SELLER, "buyer": fairwattpb.Finding_FINDING_BUYER, "neither": fairwattpb.Finding_FINDING_NEITHER,
}

func marketVerdictCommand() *cobra.Command {
	var by judgeFlags
	var trade, finding, grounds string
	cmd := &cobra.Command{
		Use:   "verdict --config FILE --arbiter ID --key FILE --trade ID --finding seller|buyer|neither --grounds FILE",
		Short: "Say as an arbiter who is at fault in a case",
		Long: `Say as an arbiter who is at fault in a case: the seller, the buyer, or neither. It takes
effect when a second arbiter finds the same. The hash of the grounds goes on the chain,
the file itself does not: keep it.`,
		Example: "  aggregator market verdict --config mc.yaml --arbiter ada --key ada.key --trade t-house-1-0a1b2c --finding seller --grounds visit.txt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, ok := findings[finding]
			switch {
			case by.id == "" || by.key == "" || trade == "" || grounds == "":
				return usagef("--arbiter, --key, --trade and --grounds are required")
			case !ok:
				return usagef("--finding %.60q: seller, buyer or neither", finding)
			}
			hash, err := hashOf(grounds, "grounds", maxGrounds)
			if err != nil {
				return err
			}
			key, err := mc.ReadKey(by.key)
			if err != nil {
				return err
			}
			v := &fairwattpb.Verdict{TradeId: trade, Finding: found, TextHash: hash}
			return by.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Verdict(ctx, by.id, key, v) })
		},
	}
	by.add(cmd, "arbiter")
	cmd.Flags().StringVar(&trade, "trade", "", "id of the trade")
	cmd.Flags().StringVar(&finding, "finding", "", "who is at fault: seller, buyer or neither")
	cmd.Flags().StringVar(&grounds, "grounds", "", "file with the grounds")
	return cmd
}

// hashOf is the SHA-256 of a file of at most so many bytes, which errors call what.
func hashOf(file, what string, most int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", what, err)
	}
	defer f.Close() // only read from
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", what, err)
	case len(b) == 0 || int64(len(b)) > most:
		return nil, fmt.Errorf("%s %s: %d bytes or more, want 1 to %d", what, file, len(b), most)
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

func marketGrantCommand() *cobra.Command {
	var by judgeFlags
	var to, amount, reference string
	cmd := &cobra.Command{
		Use:   "grant --config FILE --arbiter ID --key FILE --to ID --amount AMOUNT --reference TEXT",
		Short: "Grant money of the fund as an arbiter",
		Long: `Grant a member money of the fund that no case is open about. It takes effect when a
second arbiter says the same.`,
		Example: "  aggregator market grant --config mc.yaml --arbiter ada --key ada.key --to house-1 --amount 0.40 --reference case-17",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if by.id == "" || by.key == "" || to == "" || reference == "" {
				return usagef("--arbiter, --key, --to and --reference are required")
			}
			micro, err := wire.ParseMoney(amount)
			if err != nil {
				return usagef("--amount: %w", err)
			}
			key, err := mc.ReadKey(by.key)
			if err != nil {
				return err
			}
			g := &fairwattpb.Grant{Reference: reference, To: to, AmountMicro: micro}
			return by.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Grant(ctx, by.id, key, g) })
		},
	}
	by.add(cmd, "arbiter")
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "whose wallet")
	f.StringVar(&amount, "amount", "", "amount in currency units, up to six decimals")
	f.StringVar(&reference, "reference", "", "what both arbiters call it; used once on a chain")
	return cmd
}

func marketKeyCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "key --out FILE",
		Short: "Make an arbiter's key",
		Long: `Make an arbiter's key, and print its public half for mc init --arbiter. The file stays
with the arbiter. Nothing that exists is overwritten.`,
		Example: "  aggregator market key --out ada.key",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("--out FILE is required")
			}
			public, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return fmt.Errorf("make key: %w", err)
			}
			if err := mc.WriteKey(out, key); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), seal.FormatKey(public))
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write, new")
	return cmd
}
