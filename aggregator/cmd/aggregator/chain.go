package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// The files of a data aggregator's data directory that hold its chain.
const (
	chainFile   = "chain.db"
	genesisFile = "genesis.json"
)

// maxExportLine bounds one line of an export.
const maxExportLine = 256 << 20

// chainCommand is `aggregator chain`: looking at, exporting and checking what a
// data aggregator stored.
func chainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Show, export, verify and prune a chain, and prove a record",
		Long: `Show, export and verify a chain, and prove a record of it to others.

A data directory (--data) holds chain.db and genesis.json. A running data
aggregator has its chain.db open; stop it first, or export from another one.
docs/ledger-format.md describes every byte.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(chainShowCommand(), chainExportCommand(), chainVerifyCommand(), chainProveCommand(), chainPruneCommand())
	return cmd
}

// readGenesis reads a genesis from a file.
func readGenesis(path string) (*ledger.Genesis, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open genesis: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, ledger.MaxGenesisBytes+2))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read genesis %s: %w", path, err)
	}
	g, err := ledger.ParseGenesis(b)
	if err != nil {
		return nil, fmt.Errorf("genesis %s: %w", path, err)
	}
	return g, nil
}

// withChain opens a data directory to read.
func withChain(dir string, fn func(g *ledger.Genesis, s *store.Store) error) (err error) {
	g, err := readGenesis(filepath.Join(dir, genesisFile))
	if err != nil {
		return err
	}
	s, err := store.OpenReadOnly(filepath.Join(dir, chainFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	id, err := s.ChainID()
	if err != nil {
		return err
	}
	if id != g.ChainID() {
		return fmt.Errorf("%s holds chain %x, %s is of %x", chainFile, id, genesisFile, g.ChainID())
	}
	return fn(g, s)
}

func chainExportCommand() *cobra.Command {
	var data string
	var light bool
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "export --data DIR [--from H] [--to H] [--light]",
		Short: "Write a chain as JSON lines",
		Long: `Write a chain as JSON lines to standard output.

The first line is the canonical genesis. Every further line is one block:
{"height":H,"block":"<base64>","certificate":"<base64>","decoded":{...}}. Block
and certificate are what was agreed on, byte by byte; the decoded form is made
from them for people and scripts, and chain verify checks that it is theirs. An
export can be verified if it starts at height 1, the default.`,
		Example: `  aggregator chain export --data community/da-1/data > chain.jsonl
  aggregator chain export --data community/da-1/data --from 100 --to 120`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usagef("--data is required")
			}
			if from < 1 || to < from {
				return usagef("--from %d --to %d: want 1 <= from <= to", from, to)
			}
			return withChain(data, func(g *ledger.Genesis, s *store.Store) error {
				if light {
					return exportLight(cmd.OutOrStdout(), g, s)
				}
				return exportChain(cmd.OutOrStdout(), g, s, from, to)
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of a data aggregator")
	cmd.Flags().BoolVar(&light, "light", false, "the changes of the members and the newest header alone")
	cmd.Flags().Uint64Var(&from, "from", 1, "first height")
	cmd.Flags().Uint64Var(&to, "to", ^uint64(0), "last height")
	return cmd
}

func exportChain(out io.Writer, g *ledger.Genesis, s *store.Store, from, to uint64) error {
	w := bufio.NewWriterSize(out, 1<<16)
	b, err := g.Marshal()
	if err != nil {
		return err
	}
	if _, err := w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	err = s.Blocks(from, to, func(height uint64, cb *fairwattpb.CertifiedBlock) error {
		line, err := ledger.EncodeExportLine(cb)
		if err != nil {
			return fmt.Errorf("height %d: %w", height, err)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write export: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return nil
}

// A chainReader hands out the certified blocks of a chain, and nil after the
// last.
type chainReader func() (*fairwattpb.CertifiedBlock, error)

// readExport reads the genesis line of an export and returns a reader of the
// blocks behind it.
func readExport(r io.Reader) (*ledger.Genesis, chainReader, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxExportLine)
	lines.Split(wholeLines)
	if !lines.Scan() {
		return nil, nil, errors.Join(errors.New("export: no genesis line"), lines.Err())
	}
	g, err := ledger.ParseGenesis(lines.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("export: line 1: %w", err)
	}
	return g, func() (*fairwattpb.CertifiedBlock, error) {
		if !lines.Scan() {
			return nil, lines.Err()
		}
		return ledger.DecodeExportLine(lines.Bytes())
	}, nil
}

// wholeLines splits at newlines only, and wants one behind the last line too:
// an export that was cut off inside a line shows.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("the last line is cut off")
	}
	return 0, nil, nil
}
