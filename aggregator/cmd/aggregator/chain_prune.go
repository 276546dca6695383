package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/snapshot"
	"fairwatt/aggregator/store"
	"fairwatt/proto/durable"
)

func chainPruneCommand() *cobra.Command {
	var data, archive string
	var keep uint64
	cmd := &cobra.Command{
		Use:   "prune --data DIR --archive FILE --keep EPOCHS",
		Short: "Move old blocks of a data aggregator into an archive",
		Long: `Move the blocks of old epochs out of the data directory of a data aggregator that is
stopped, into a new file. The archive is an export: chain verify, chain prove and the
market commands take it with --archive beside --data, several of them in order.

Of the blocks those of the present epoch and of as many whole epochs before as --keep
says stay, and all behind the newest snapshot: another data aggregator begins with that
snapshot and goes on with these blocks. The file of the chain keeps its size: new blocks
take the room.`,
		Example: "  aggregator chain prune --data community/da-1/data --archive da-1-2026.jsonl --keep 100",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case present(data, archive) != 2:
				return usagef("--data and --archive are required")
			case keep < 1:
				return usagef("--keep %d: keep 1 epoch at least", keep)
			}
			from, to, err := prune(data, archive, keep)
			if err != nil {
				return err
			}
			if to < from {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "nothing to prune: block %d is the oldest, and must stay\n", from)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "blocks %d to %d are in %s; keep it: no one can make it again\n", from, to, archive)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of a data aggregator that is stopped")
	cmd.Flags().StringVar(&archive, "archive", "", "file to write; it must not exist")
	cmd.Flags().Uint64Var(&keep, "keep", 0, "whole epochs before the present one whose blocks stay")
	return cmd
}

// prune returns which blocks it has moved; to is below from where it has moved none.
func prune(data, archive string, keep uint64) (from, to uint64, err error) {
	g, err := readGenesis(filepath.Join(data, genesisFile))
	if err != nil {
		return 0, 0, err
	}
	path := filepath.Join(data, chainFile)
	if _, err := os.Stat(path); err != nil {
		return 0, 0, fmt.Errorf("open store: %w", err) // it would be made
	}
	s, err := store.Open(path, g.ChainID())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, err := s.LoadState(g)
	if err != nil {
		return 0, 0, err
	}
	from = s.First()
	below, err := firstOfEpoch(s, state, keep)
	if err != nil {
		return 0, 0, err
	}
	newest, err := provenSnapshot(data, g)
	if err != nil {
		return 0, 0, err
	}
	if below = min(below, newest+1); below <= from {
		return from, from - 1, nil
	}
	if err := writeArchive(archive, g, s, from, below-1); err != nil {
		return 0, 0, err
	}
	turns, err := state.Turns()
	if err != nil {
		return 0, 0, err
	}
	heights := make([]uint64, len(turns))
	for i, to := range turns {
		heights[i] = to.Height()
	}
	return from, below - 1, s.Prune(below, heights)
}

// firstOfEpoch is the height of the first block of the oldest epoch that stays.
func firstOfEpoch(s *store.Store, state *ledger.State, keep uint64) (uint64, error) {
	for h := s.Height(); h >= s.First() && h > 0; h-- {
		cb, err := s.Block(h)
		if err != nil {
			return 0, err
		}
		header, _, _, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return 0, fmt.Errorf("block %d: %w", h, err)
		}
		if header.GetEpoch()+keep < state.Epoch() {
			return h + 1, nil
		}
	}
	return s.First(), nil
}

// provenSnapshot is the height of the newest snapshot, which must hold: it is what others
// begin with once the blocks are gone.
func provenSnapshot(data string, g *ledger.Genesis) (uint64, error) {
	folder := snapshot.Folder(filepath.Join(data, aggregator.SnapshotFolder))
	height, err := folder.Newest()
	if err != nil {
		return 0, err
	}
	if height == 0 {
		return 0, fmt.Errorf("%s holds no snapshot for others to begin with: let the data aggregator run until an epoch ends, and prune then", folder)
	}
	sn, err := folder.Read(height, g.ChainID())
	if err == nil {
		_, err = sn.Verify(g, nil, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("the newest snapshot, of block %d, does not hold: take it away, and let the data aggregator run until an epoch ends: %w", height, err)
	}
	return height, nil
}

// writeArchive writes blocks to a new file, synced before it has its name.
func writeArchive(path string, g *ledger.Genesis, s *store.Store, from, to uint64) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--archive %s exists: name a new file, an archive is never written over", path)
	}
	err = durable.Write(path, 0o600, func(w io.Writer) error { return exportChain(w, g, s, from, to) })
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}
