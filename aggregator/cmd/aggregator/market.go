package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

func marketCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "market",
		Short: "Ask a chain about credit, fines and money, and decide cases",
		Long: `Ask a chain about credit, fines and money, and decide cases.

why and statement replay and verify a chain, from an export or a data aggregator's
folder, and say what they found with height and record. verdict and grant are the
arbiters'.`,
		Example: "  aggregator market why --export chain.jsonl --user pv-1",
		Args:    noArgs,
		RunE:    helpOnly,
	}
	cmd.AddCommand(marketWhyCommand(), marketStatementCommand(), marketCasesCommand(), marketVerdictCommand(), marketGrantCommand(), marketKeyCommand())
	return cmd
}

// chainSource says which chain a command looks at.
type chainSource struct{ genesis, export, data string }

func (c *chainSource) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.genesis, "genesis", "", "the trusted genesis")
	cmd.Flags().StringVar(&c.export, "export", "", "export to read; - is standard input")
	cmd.Flags().StringVar(&c.data, "data", "", "data directory of a data aggregator to read")
}

// replay verifies the chain block by block. seen gets each block when it is
// committed to the state.
func (c *chainSource) replay(in io.Reader, seen func(*ledger.State, *ledger.Staged) error) (*ledger.State, error) {
	if (c.export == "") == (c.data == "") {
		return nil, usagef("give one of --export and --data")
	}
	if c.data != "" {
		var state *ledger.State
		err := withChain(c.data, func(g *ledger.Genesis, s *store.Store) (err error) {
			state, err = c.replayBlocks(g, storeReader(s), seen)
			return err
		})
		return state, err
	}
	if c.export != "-" {
		file, err := os.Open(filepath.Clean(c.export))
		if err != nil {
			return nil, fmt.Errorf("open export: %w", err)
		}
		defer file.Close() // only read from
		in = file
	}
	g, next, err := readExport(in)
	if err != nil {
		return nil, err
	}
	return c.replayBlocks(g, next, seen)
}

func (c *chainSource) replayBlocks(g *ledger.Genesis, next chainReader, seen func(*ledger.State, *ledger.Staged) error) (*ledger.State, error) {
	if c.genesis != "" {
		trusted, err := readGenesis(c.genesis)
		if err != nil {
			return nil, err
		}
		if trusted.ChainID() != g.ChainID() {
			return nil, fmt.Errorf("genesis: the chain is %x, the trusted genesis is of %x", g.ChainID(), trusted.ChainID())
		}
	}
	state, err := ledger.NewState(g)
	if err != nil {
		return nil, err
	}
	for {
		cb, err := next()
		if err != nil {
			return nil, fmt.Errorf("height %d: %w", state.Height()+1, err)
		}
		if cb == nil {
			return state, nil
		}
		if err := replayBlock(state, cb, seen); err != nil {
			return nil, err
		}
	}
}

func replayBlock(state *ledger.State, cb *fairwattpb.CertifiedBlock, seen func(*ledger.State, *ledger.Staged) error) error {
	staged, err := state.VerifyCertified(cb)
	if err == nil {
		err = state.Commit(staged)
	}
	if err == nil {
		err = seen(state, staged)
	}
	if err != nil {
		return fmt.Errorf("height %d: %w", staged.Header().GetHeight(), err)
	}
	return nil
}

// recordOf names the record that did something in a block; empty when the block's time
// did it.
func recordOf(st *ledger.Staged, index int) string {
	if ids := st.RecordIDs(); index >= 0 && index < len(ids) {
		return fmt.Sprintf("%x", ids[index])
	}
	return ""
}
