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
type chainSource struct {
	genesis, export, data string
	archives              []string
}

func (c *chainSource) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.genesis, "genesis", "", "the trusted genesis")
	cmd.Flags().StringVar(&c.export, "export", "", "export to read; - is standard input")
	cmd.Flags().StringVar(&c.data, "data", "", "data directory of a data aggregator to read")
	c.addArchives(cmd)
}

func (c *chainSource) addArchives(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&c.archives, "archive", nil, "archive of blocks that were pruned, read before --data; in order where there are several")
}

// with calls do with the chain.
func (c *chainSource) with(in io.Reader, do func(*ledger.Genesis, chainReader) error) error {
	if present(c.export, c.data) != 1 {
		return usagef("give one of --export and --data")
	}
	if c.data != "" {
		return c.withStore(func(g *ledger.Genesis, _ *store.Store, next chainReader) error { return do(g, next) })
	}
	if len(c.archives) > 0 {
		return usagef("--archive goes with --data; an archive alone is an export: give it with --export")
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

// storeReader reads the blocks of a store from a height on.
func storeReader(s *store.Store, from uint64) chainReader {
	height, last := from-1, s.Height()
	return func() (*fairwattpb.CertifiedBlock, error) {
		if height >= last {
			return nil, nil
		}
		if first := s.First(); height+1 < first {
			return nil, fmt.Errorf("blocks %d to %d are not kept here: give their archive with --archive, or ask a data aggregator that keeps all", height+1, first-1)
		}
		height++
		return s.Block(height)
	}
}

// withStore opens the data directory, with the archives of its older blocks. Whoever
// executes the blocks sees by their hashes that one follows the other.
func (c *chainSource) withStore(do func(*ledger.Genesis, *store.Store, chainReader) error) error {
	return withChain(c.data, func(g *ledger.Genesis, s *store.Store) error {
		next := storeReader(s, 1)
		for i := len(c.archives) - 1; i >= 0; i-- {
			file, err := os.Open(filepath.Clean(c.archives[i]))
			if err != nil {
				return fmt.Errorf("open archive: %w", err)
			}
			defer file.Close() // only read from
			own, blocks, err := readExport(file)
			if err != nil {
				return fmt.Errorf("archive %s: %w", c.archives[i], err)
			}
			if own.ChainID() != g.ChainID() {
				return fmt.Errorf("archive %s is of chain %x, not %x", c.archives[i], own.ChainID(), g.ChainID())
			}
			behind := next
			if i == len(c.archives)-1 {
				behind = nil
			}
			next = c.joined(c.archives[i], blocks, behind, s)
		}
		return do(g, s, next)
	})
}

// joined reads the blocks of an archive, and then those behind it: of the next archive,
// or, where that is nil, of the store.
func (c *chainSource) joined(name string, blocks, behind chainReader, s *store.Store) chainReader {
	height, over := uint64(0), false
	return func() (*fairwattpb.CertifiedBlock, error) {
		if !over {
			cb, err := blocks()
			if err != nil {
				return nil, fmt.Errorf("archive %s: %w", name, err)
			}
			if cb != nil {
				header, _, _, err := ledger.DecodeBlock(cb.GetBlock())
				height = header.GetHeight()
				return cb, err
			}
			if over = true; behind == nil {
				behind = storeReader(s, height+1)
			}
		}
		return behind()
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
