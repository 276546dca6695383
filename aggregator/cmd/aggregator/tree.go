package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/brief"
)

// treeCommand is `aggregator tree`: the communication tree of a chain.
func treeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tree",
		Short: "Say why a data aggregator stands where it stands in the communication tree",
		Long: `Say why a data aggregator stands where it stands in the communication tree.

Trust, overheads and links follow from what the data aggregators report of each
other on the chain. docs/operator.md says by which rules.`,
		Args: noArgs,
		RunE: helpOnly,
	}
	cmd.AddCommand(treeWhyCommand())
	return cmd
}

func treeWhyCommand() *cobra.Command {
	var da, page, data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why --da ID (--page URL | --data DIR)",
		Short: "Show the trust of a data aggregator, what moved it and by which record",
		Long: `Show the trust of a data aggregator, what moved it and by which record, its
disputes, and what it and the others report of each other.

--page asks a running data aggregator, by the address of its page. --data reads
the data directory of one that is stopped; the tree is then that of the epoch's
first view. Nothing is verified; chain verify does that. The records named can
be looked at with chain show --height.`,
		Example: `  aggregator tree why --da da-2 --page http://127.0.0.1:8080
  aggregator tree why --da da-2 --data community/da-1/data --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if da == "" || (page == "") == (data == "") {
				return usagef("--da and one of --page and --data are required")
			}
			var w *ledger.Standing
			var err error
			if page != "" {
				w, err = askStanding(cmd.Context(), page, da)
			} else {
				w, err = readStanding(data, da)
			}
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(w)
			}
			return showStanding(cmd.OutOrStdout(), w)
		},
	}
	cmd.Flags().StringVar(&da, "da", "", "id of the data aggregator")
	cmd.Flags().StringVar(&page, "page", "", "address of the page of a running data aggregator")
	cmd.Flags().StringVar(&data, "data", "", "data directory of a stopped data aggregator")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readStanding reads it from the store of a stopped data aggregator.
func readStanding(dir, da string) (w *ledger.Standing, err error) {
	err = withChain(dir, func(g *ledger.Genesis, s *store.Store) error {
		state, err := s.LoadState(g)
		if err != nil {
			return err
		}
		var ok bool
		if w, ok = state.Why(da); !ok {
			return fmt.Errorf("da: %s is no data aggregator of this chain", brief.Quote(da))
		}
		parent, children, err := state.FirstTree()
		if err != nil {
			return err
		}
		w.Parent, w.Children = parent[da], append(w.Children, children[da]...)
		return nil
	})
	return w, err
}

// maxStandingBytes bounds an answer.
const maxStandingBytes = 4 << 20

// askStanding asks the page of a running data aggregator.
func askStanding(ctx context.Context, page, da string) (w *ledger.Standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	target := strings.TrimSuffix(page, "/") + "/api/v1/tree/why?da=" + url.QueryEscape(da)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the page: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxStandingBytes))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("ask the page: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the page: %s: %s", answer.Status, brief.Quote(string(body)))
	}
	w = &ledger.Standing{}
	if err := json.Unmarshal(body, w); err != nil || w.DA != da {
		return nil, fmt.Errorf("ask the page: %s is no word about %s: %w", target, brief.Quote(da), err)
	}
	return w, nil
}

func trust(e4 int64) string { return fmt.Sprintf("%d.%04d", e4/10_000, e4%10_000) }

func showStanding(out io.Writer, w *ledger.Standing) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	from := w.Parent
	if from == "" {
		from = "nobody: it is the root, or the root sends to it itself"
	}
	to := strings.Join(w.Children, ", ")
	if to == "" {
		to = "nobody"
	}
	fmt.Fprintf(t, "data aggregator\t%s, at height %d, epoch %d\n", w.DA, w.Height, w.Epoch)
	fmt.Fprintf(t, "place\t%d in the sequence, 0 is the accounting node\n", w.Place)
	fmt.Fprintf(t, "gets blocks from\t%s\nforwards to\t%s (%d links of %d)\n", from, to, w.Links, w.GenesisLinks)
	fmt.Fprintf(t, "trust\t%s; the tree counts with %s; it is trusted from %s on\n", trust(w.TrustE4), trust(w.TreeTrustE4), trust(w.ThresholdE4))
	if w.Rules != ledger.TrustByReports {
		fmt.Fprintf(t, "rules\ttrust is that of the genesis and never moves on this chain\n")
	} else {
		fmt.Fprintf(t, "made of\t%s of the genesis with the weight of %d epochs, %s epochs earned, %s lost\n",
			trust(w.GenesisE4), w.PriorE4/10_000, trust(int64(w.GoodE4)), trust(int64(w.BadE4)))
	}
	if w.GuiltyEpochs > 0 {
		fmt.Fprintf(t, "found out\tit signed two things for one place; its trust is nothing for %d epochs more on which a quorum reports\n", w.GuiltyEpochs)
	}
	if w.Condemned && (w.GuiltyEpochs == 0 || len(w.Disputes) > w.MaxFaulty) {
		fmt.Fprintf(t, "found out\tit is in dispute with more than %d others, who cannot all lie\n", w.MaxFaulty)
	}
	if w.FailedEpochs > 0 {
		fmt.Fprintf(t, "deposed\tas accounting node: it stands last for %d epochs, this one counted, and may vote all the same\n", w.FailedEpochs)
	}
	if w.SilentEpochs > 0 {
		fmt.Fprintf(t, "silent\tit has not reported on the last %d epochs or more\n", w.SilentEpochs)
	}
	if w.ProbationTo != "" {
		fmt.Fprintf(t, "probation\tit forwards to %s beside the tree, to earn trust\n", w.ProbationTo)
	}
	if w.RebuiltHeight > 0 {
		fmt.Fprintf(t, "tree built anew\tafter block %d: %s\n", w.RebuiltHeight, w.RebuiltReason)
	}
	for _, d := range w.Disputes {
		fmt.Fprintf(t, "dispute\twith %s, %d times; costs %s now, is forgotten in %d epochs; no block goes between them\n", d.With, d.Times, trust(d.CostE4), d.EpochsLeft)
	}
	fmt.Fprintf(t, "\nBLOCK\tTRUST BEFORE\tAFTER\tWHY\tREPORT\n")
	for _, s := range w.Steps {
		evidence := "-"
		if s.Record != "" {
			evidence = fmt.Sprintf("%.16s in block %d", s.Record, s.RecordHeight)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", s.Height, trust(s.BeforeE4), trust(s.AfterE4), s.Text, evidence)
	}
	fmt.Fprintf(t, "\nPEER\tIT SAYS: TAKEN LATE MISSED GIVEN US\t%s SAYS\tTREE US\n", strings.ToUpper(w.DA))
	say := func(s *ledger.Sighted) string {
		if s == nil {
			return "no report"
		}
		return fmt.Sprintf("%d %d %d %d %d (epoch %d)", s.Taken, s.Late, s.Missed, s.Given, s.OverheadUs, s.Epoch)
	}
	for _, p := range w.Peers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", p.DA, say(p.Theirs), say(p.Own), p.TreeUs)
	}
	return t.Flush()
}
