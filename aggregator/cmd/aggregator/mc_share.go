package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/slot"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

func mcShareCommand() *cobra.Command {
	var centre centreFlags
	var price string
	var shares []string
	cmd := &cobra.Command{
		Use:   "share --config FILE --price PRICE --share METER=PERCENT...",
		Short: "Say how the energy of slots is shared",
		Long: `Say how the energy of slots is shared, on a chain that shares (mc init --mechanism
sharing): at which price for all, and which part of what the community produces each
buyer's meter may take. Together the parts are 100 at most; what one does not use goes
to no one else. It holds for all slots whose gate has not closed, and takes the place of all
that was said before.

Members say at which price at the worst they take part: one whose price the community's
does not reach is left out of a slot, and its money is back.`,
		Example: `  aggregator mc share --config community/mc-1/mc.yaml --price 0.15 --share home-1-circuit-1=60 --share home-2-circuit-1=40
  aggregator mc share --config community/mc-1/mc.yaml --price 0.18 --share home-1-circuit-1=33.34 --share home-2-circuit-1=33.33 --share bakery-mains=33.33`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := termsOf(price, shares)
			if err != nil {
				return err
			}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Share(ctx, t) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&price, "price", "", "price of a kWh for all, in currency units; buyers pay the fee for the grid above it")
	f.StringArrayVar(&shares, "share", nil, "part of one meter, METER=PERCENT with two decimals at most; once for each")
	return cmd
}

// termsOf reads the terms as people write them.
func termsOf(price string, shares []string) (*fairwattpb.SharingTerms, error) {
	if price == "" || len(shares) == 0 {
		return nil, usagef("--price and --share are required")
	}
	micro, err := wire.ParseMoney(price)
	if err != nil {
		return nil, usagef("--price: %w", err)
	}
	t := &fairwattpb.SharingTerms{PriceMicroPerKwh: micro}
	sum := uint32(0)
	for _, one := range shares {
		meter, percent, found := strings.Cut(one, "=")
		e4, err := parsePercent(percent)
		if !found || err != nil {
			return nil, usagef("--share %.60q: want METER=PERCENT, such as home-1-circuit-1=33.33", one)
		}
		if slices.ContainsFunc(t.Shares, func(s *fairwattpb.Share) bool { return s.Meter == meter }) {
			return nil, usagef("--share %.60q: meter %s has a part already", one, meter)
		}
		t.Shares = append(t.Shares, &fairwattpb.Share{Meter: meter, ShareE4: e4})
		if sum += e4; sum > slot.WholeE4 {
			return nil, usagef("--share %.60q: with it the parts are more than 100 together", one)
		}
	}
	slices.SortFunc(t.Shares, func(a, b *fairwattpb.Share) int { return strings.Compare(a.Meter, b.Meter) })
	return t, nil
}

// parsePercent reads a part of a hundred, above 0, with two decimals at most, as 1e-4.
func parsePercent(text string) (uint32, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if len(decimals) > 2 || len(whole) > 3 {
		return 0, fmt.Errorf("%.20q is no part of a hundred", text)
	}
	n, err := strconv.ParseUint(whole+(decimals + "00")[:2], 10, 32)
	if err != nil || n < 1 || n > slot.WholeE4 {
		return 0, fmt.Errorf("%.20q is no part of a hundred", text)
	}
	return uint32(n), nil
}

// A termsView is how a community shares, for people and programs.
type termsView struct {
	Height           uint64            `json:"height"` // of the block that says so; 0: no one has
	PriceMicroPerKWh int64             `json:"price_micro_per_kwh"`
	ShareE4          map[string]uint32 `json:"share_e4"` // by meter
}

func marketTermsCommand() *cobra.Command {
	var source chainSource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "terms [--genesis FILE] (--export FILE|- | --data DIR)",
		Short: "Show how the energy of slots is shared",
		Long: `Show how the energy of slots is shared: the price for all, and the part of each meter, as
a centre has said it last (mc share).`,
		Example: "  aggregator market terms --data community/da-1/data",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := source.replay(cmd, func(*ledger.State, *ledger.Staged) error { return nil })
			if err != nil {
				return err
			}
			if m := state.Genesis().Params.Mechanism; m != ledger.MechanismSharing {
				return fmt.Errorf("this chain shares no slots: its mechanism is %q", m)
			}
			terms, _ := state.SharingTerms()
			view := termsView{terms.Height, terms.PriceMicroPerKWh, terms.ByMeter()}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(view)
			}
			out := cmd.OutOrStdout()
			if view.Height == 0 {
				_, err := fmt.Fprintln(out, "no centre has said yet how energy is shared (aggregator mc share)")
				return err
			}
			text := fmt.Sprintf("since block %d, at %s per kWh:\n", view.Height, money(view.PriceMicroPerKWh))
			left := int64(slot.WholeE4)
			for _, meter := range slices.Sorted(maps.Keys(view.ShareE4)) {
				e4 := int64(view.ShareE4[meter])
				left -= e4
				text += fmt.Sprintf("%6d.%02d %%  %s\n", e4/100, e4%100, meter)
			}
			_, err = fmt.Fprintf(out, "%s%6d.%02d %%  no one's\n", text, left/100, left%100)
			return err
		},
	}
	source.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
