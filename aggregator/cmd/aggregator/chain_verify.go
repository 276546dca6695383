package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// A chainVerdict is what verifying a chain found out.
type chainVerdict struct {
	Chain          string         `json:"chain"`
	GenesisTrusted bool           `json:"genesis_trusted"` // came from --genesis, not from the export
	Height         uint64         `json:"height"`
	Blocks         uint64         `json:"blocks"`
	Records        uint64         `json:"records"`
	Refused        uint64         `json:"refused"` // records that stand in a block without effect
	StateRoot      string         `json:"state_root"`
	DepositedMicro int64          `json:"deposited_micro"`
	WalletsMicro   int64          `json:"wallets_micro"`
	EscrowMicro    int64          `json:"escrow_micro"`
	FundMicro      int64          `json:"fund_micro"`
	HeldMicro      int64          `json:"held_micro"` // the part of the fund that open cases are about
	BondsMicro     int64          `json:"bonds_micro"`
	MoneyConserved bool           `json:"money_conserved"`
	Trades         map[string]int `json:"trades"`
}

type verifyFlags struct {
	chainSource
	proof  string
	height uint64
	json   bool
	light  bool
}

func chainVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [--genesis FILE] (--export FILE|- | --data DIR | --proof FILE|-)",
		Short: "Check a chain or a proof offline",
		Long: `Check a chain offline, from its genesis to its last block.

It decodes strictly and executes every block again: chain id, heights and
previous hashes, every record's signature, the roots over records, outcomes and
state, the accounting node of each view, and that a quorum of data aggregators
signed each block. Balances, credit and penalties are part of the state, so
they are checked with it. The first thing that is wrong is told with its height.

Trust starts from the genesis: give the one you trust with --genesis. Without
it, the export's own first line (or the data directory's genesis.json) is taken,
with a warning. A chain that was cut off behind a whole block is a valid,
shorter chain; --height says how far it must reach.

--light follows the members alone over a light export (chain export --light): each
change of the members is signed by a quorum of those before, from the genesis on, and
the newest block by those of now. No record is looked at.

A proof (chain prove) is checked with the genesis alone: a quorum of its data
aggregators signed the block, and record and outcome stand under the block's roots.`,
		Example: `  aggregator chain verify --genesis genesis.json --export chain.jsonl
  aggregator chain verify --genesis genesis.json --data community/da-1/data --json
  aggregator chain verify --genesis genesis.json --archive 2026.jsonl --data community/da-1/data
  aggregator chain verify --genesis genesis.json --light --export light.jsonl
  aggregator chain verify --genesis genesis.json --proof proof.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if given := present(f.export, f.data, f.proof); given != 1 {
				return usagef("give one of --export, --data and --proof")
			}
			if len(f.archives) > 0 && f.data == "" {
				return usagef("--archive goes with --data; an archive alone is an export: give it with --export")
			}
			if f.light {
				v, err := f.verifyLight(cmd.InOrStdin())
				if err != nil {
					return fmt.Errorf("chain not valid: %w", err)
				}
				return v.print(cmd.OutOrStdout(), f.json)
			}
			if f.proof != "" {
				return f.verifyProof(cmd.InOrStdin(), cmd.OutOrStdout())
			}
			v, err := f.verify(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return fmt.Errorf("chain not valid: %w", err)
			}
			return v.print(cmd.OutOrStdout(), f.json)
		},
	}
	cmd.Flags().StringVar(&f.genesis, "genesis", "", "the trusted genesis")
	cmd.Flags().StringVar(&f.export, "export", "", "export to verify; - is standard input")
	cmd.Flags().StringVar(&f.data, "data", "", "data directory to verify")
	f.addArchives(cmd)
	cmd.Flags().StringVar(&f.proof, "proof", "", "proof of one record to verify; - is standard input")
	cmd.Flags().BoolVar(&f.light, "light", false, "follow the members alone, over a light export")
	cmd.Flags().Uint64Var(&f.height, "height", 0, "height the chain must reach at least")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *verifyFlags) verify(in io.Reader, warn io.Writer) (v *chainVerdict, err error) {
	verify := func(g *ledger.Genesis, next chainReader) error {
		v, err = f.verifyBlocks(g, next, warn)
		return err
	}
	if f.data == "" {
		err = f.with(in, verify)
		return v, err
	}
	err = f.withStore(func(g *ledger.Genesis, s *store.Store, next chainReader) error {
		if err := verify(g, next); err != nil {
			return err
		}
		// What a restarted aggregator would go on from.
		_, err := s.LoadState(g)
		return err
	})
	return v, err
}

// verifyBlocks runs the chain of genesis own, which must be the trusted one if
// there is one.
func (f *verifyFlags) verifyBlocks(own *ledger.Genesis, next chainReader, warn io.Writer) (*chainVerdict, error) {
	if err := f.trusts(own); err != nil {
		return nil, err
	}
	if f.genesis == "" {
		fmt.Fprintln(warn, unvouched)
	}
	v := &chainVerdict{GenesisTrusted: f.genesis != ""}
	state, err := execute(own, next, func(_ *ledger.State, st *ledger.Staged, _ *fairwattpb.CertifiedBlock) (bool, error) {
		for _, o := range st.Outcomes() {
			if !o.GetApplied() {
				v.Refused++
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return v.complete(state, f.height)
}

func (v *chainVerdict) complete(state *ledger.State, want uint64) (*chainVerdict, error) {
	chain, root, totals := state.ChainID(), state.Root(), state.Totals()
	v.Chain, v.StateRoot = hex.EncodeToString(chain[:]), hex.EncodeToString(root[:])
	v.Height, v.Blocks, v.Records = state.Height(), state.Height(), totals.Records
	v.DepositedMicro, v.WalletsMicro, v.EscrowMicro, v.FundMicro = totals.DepositedMicro, totals.WalletsMicro, totals.EscrowMicro, totals.FundMicro
	v.HeldMicro, v.BondsMicro = totals.HeldMicro, totals.BondsMicro
	v.MoneyConserved, v.Trades = totals.Conserved, totals.TradesByStatus
	if v.Height < want {
		return nil, fmt.Errorf("height %d: the chain ends, it must reach %d", v.Height, want)
	}
	if !v.MoneyConserved {
		return nil, fmt.Errorf("height %d: money is not conserved: %d deposited, %d in wallets, %d in escrow, %d in bonds, %d in the fund",
			v.Height, v.DepositedMicro, v.WalletsMicro, v.EscrowMicro, v.BondsMicro, v.FundMicro)
	}
	return v, nil
}

func (v *chainVerdict) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "valid\tyes\nchain\t%s\nheight\t%d\nrecords\t%d, %d of them refused by the rules\nstate root\t%s\n",
		v.Chain, v.Height, v.Records, v.Refused, v.StateRoot)
	fund := ""
	if v.BondsMicro > 0 {
		fund = fmt.Sprintf(" + %s in bonds", money(v.BondsMicro))
	}
	if v.FundMicro > 0 {
		fund += fmt.Sprintf(" + %s in the fund", money(v.FundMicro))
	}
	fmt.Fprintf(w, "money\t%s deposited = %s in wallets + %s in escrow%s\n", money(v.DepositedMicro), money(v.WalletsMicro), money(v.EscrowMicro), fund)
	statuses := make([]string, 0, len(v.Trades))
	for s := range v.Trades {
		statuses = append(statuses, s)
	}
	sort.Strings(statuses)
	for _, s := range statuses {
		fmt.Fprintf(w, "trades %s\t%d\n", s, v.Trades[s])
	}
	return w.Flush()
}

// money writes millionths as units.
func money(micro int64) string {
	sign := ""
	if micro < 0 {
		sign, micro = "-", -micro
	}
	return fmt.Sprintf("%s%d.%06d", sign, micro/1_000_000, micro%1_000_000)
}
