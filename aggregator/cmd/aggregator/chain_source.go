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

// chainSource says which chain a command looks at.
type chainSource struct{ genesis, export, data string }

func (c *chainSource) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.genesis, "genesis", "", "the trusted genesis")
	cmd.Flags().StringVar(&c.export, "export", "", "export to read; - is standard input")
	cmd.Flags().StringVar(&c.data, "data", "", "data directory of a data aggregator to read")
}

// with calls do with the chain.
func (c *chainSource) with(in io.Reader, do func(*ledger.Genesis, chainReader) error) error {
	if present(c.export, c.data) != 1 {
		return usagef("give one of --export and --data")
	}
	if c.data != "" {
		return withChain(c.data, func(g *ledger.Genesis, s *store.Store) error { return do(g, storeReader(s)) })
	}
	if c.export != "-" {
		file, err := os.Open(filepath.Clean(c.export))
		if err != nil {
			return fmt.Errorf("open export: %w", err)
		}
		defer file.Close() // only read from
		in = file
	}
	g, next, err := readExport(in)
	if err != nil {
		return err
	}
	return do(g, next)
}

// trusts refuses a chain that is not that of the trusted genesis, if one is given.
func (c *chainSource) trusts(own *ledger.Genesis) error {
	if c.genesis == "" {
		return nil
	}
	trusted, err := readGenesis(c.genesis)
	if err != nil {
		return err
	}
	if trusted.ChainID() != own.ChainID() {
		return fmt.Errorf("genesis: the chain is %x, the trusted genesis is of %x", own.ChainID(), trusted.ChainID())
	}
	return nil
}

// unvouched is what a command says that is told of no trusted genesis.
const unvouched = "warning: no --genesis given; the chain vouches for its own beginning"

// replay verifies the chain block by block. seen gets each block when it is
// committed to the state. Without a trusted genesis it warns.
func (c *chainSource) replay(cmd *cobra.Command, seen func(*ledger.State, *ledger.Staged) error) (state *ledger.State, err error) {
	err = c.with(cmd.InOrStdin(), func(g *ledger.Genesis, next chainReader) error {
		if err := c.trusts(g); err != nil {
			return err
		}
		if c.genesis == "" {
			fmt.Fprintln(cmd.ErrOrStderr(), unvouched)
		}
		state, err = execute(g, next, func(state *ledger.State, st *ledger.Staged, _ *fairwattpb.CertifiedBlock) (bool, error) {
			return true, seen(state, st)
		})
		return err
	})
	return state, err
}

// execute verifies blocks and commits them, from the genesis on. seen gets each one
// then, and says whether to go on.
func execute(g *ledger.Genesis, next chainReader, seen func(*ledger.State, *ledger.Staged, *fairwattpb.CertifiedBlock) (more bool, err error)) (*ledger.State, error) {
	state, err := ledger.NewState(g)
	if err != nil {
		return nil, err
	}
	for more := true; more; {
		height := state.Height() + 1
		cb, err := next()
		if err != nil {
			return nil, fmt.Errorf("height %d: %w", height, err)
		}
		if cb == nil {
			break
		}
		staged, err := state.VerifyCertified(cb)
		if err == nil {
			err = state.Commit(staged)
		}
		if err == nil {
			more, err = seen(state, staged, cb)
		}
		if err != nil {
			return nil, fmt.Errorf("height %d: %w", height, err)
		}
	}
	return state, nil
}

func storeReader(s *store.Store) chainReader {
	height, last := uint64(0), s.Height()
	return func() (*fairwattpb.CertifiedBlock, error) {
		if height >= last {
			return nil, nil
		}
		height++
		return s.Block(height)
	}
}

// present counts the flags that were given.
func present(flags ...string) (given int) {
	for _, f := range flags {
		if f != "" {
			given++
		}
	}
	return given
}
