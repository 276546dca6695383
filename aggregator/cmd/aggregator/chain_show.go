package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// shownBlocks is how many blocks `chain show` lists without --height.
const shownBlocks = 20

func chainShowCommand() *cobra.Command {
	var data string
	var height uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show --data DIR [--height N]",
		Short: "Show the newest blocks, or one block with its records",
		Long: `Show the newest blocks, or with --height one block with its records and votes.

Times are local. Nothing is verified; chain verify does that.`,
		Example: `  aggregator chain show --data community/da-1/data
  aggregator chain show --data community/da-1/data --height 42`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usagef("--data is required")
			}
			return withChain(data, func(g *ledger.Genesis, s *store.Store) error {
				if height > 0 {
					cb, err := s.Block(height)
					if err != nil {
						return err
					}
					return showBlock(cmd.OutOrStdout(), cb, asJSON)
				}
				return showChain(cmd.OutOrStdout(), g, s, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of a data aggregator")
	cmd.Flags().Uint64Var(&height, "height", 0, "show this block")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: the decoded form of an export, one block a line")
	return cmd
}

func localTime(ms int64) string {
	return time.UnixMilli(ms).Local().Format("2006-01-02 15:04:05.000 MST")
}

func showChain(out io.Writer, g *ledger.Genesis, s *store.Store, asJSON bool) error {
	last := s.Height()
	first := uint64(1)
	if last > shownBlocks {
		first = last - shownBlocks + 1
	}
	first = max(first, s.First())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintf(w, "%s: chain %x, height %d\n\nHEIGHT\tTIME\tEPOCH\tVIEW\tACCOUNTING NODE\tRECORDS\tHASH\n", g.Name, g.ChainID(), last)
	}
	err := s.Blocks(first, last, func(_ uint64, cb *fairwattpb.CertifiedBlock) error {
		if asJSON {
			return showBlock(out, cb, true)
		}
		h, hash, _, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%d\t%x\n", h.GetHeight(), localTime(h.GetTimeMs()), h.GetEpoch(), h.GetView(),
			h.GetAccountingNode(), h.GetRecordCount(), hash[:8])
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

func showBlock(out io.Writer, cb *fairwattpb.CertifiedBlock, asJSON bool) error {
	decoded, err := ledger.DecodedJSON(cb)
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(out, "%s\n", decoded)
		return err
	}
	h, hash, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return err
	}
	var view struct {
		Records []struct {
			Record map[string]json.RawMessage `json:"record"`
		} `json:"records"`
		Votes []string `json:"votes"`
	}
	if err := json.Unmarshal(decoded, &view); err != nil {
		return fmt.Errorf("decoded form: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "height\t%d\nhash\t%x\ntime\t%s\nepoch, view\t%d, %d\naccounting node\t%s\nstate root\t%x\nvotes\t%v\n\n",
		h.GetHeight(), hash, localTime(h.GetTimeMs()), h.GetEpoch(), h.GetView(), h.GetAccountingNode(), h.GetStateRoot(), view.Votes)
	fmt.Fprintf(w, "SENDER\tCOUNTER\tKIND\tID\tBODY\n")
	for i, r := range view.Records {
		kind, body := "", json.RawMessage(nil)
		for name, v := range r.Record {
			if len(v) > 0 && v[0] == '{' { // the body is the only message of a record
				kind, body = name, v
			}
		}
		id := seal.ID(records[i])
		fmt.Fprintf(w, "%s\t%s\t%s\t%x\t%s\n", r.Record["sender"], r.Record["counter"], kind, id[:8], body)
	}
	return w.Flush()
}
