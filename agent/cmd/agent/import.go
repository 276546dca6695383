package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/model/trace"
)

type importFlags struct {
	format, mapFile, out, dir string
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --format knmi|csv [--map FILE] FILE...",
		Short: "Turn somebody's recordings into traces",
		Long: `Reads recordings in another format and writes them as traces.

  knmi  hourly observations as the Royal Netherlands Meteorological Institute
        publishes them
  csv   any CSV with a header row, through a column map in YAML (--map)

One file goes to --out (default stdout); several go to --dir, each under its own
name with the ending .csv. Files there are not overwritten.`,
		Example: `  agent import --format knmi uurgeg_260.txt --out de_bilt.csv
  agent import --format csv --map inverter.yaml --dir traces 2025-*.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.OutOrStdout(), args) },
	}
	cmd.Flags().StringVar(&f.format, "format", "", "knmi or csv (required)")
	cmd.Flags().StringVar(&f.mapFile, "map", "", "column map, for csv")
	cmd.Flags().StringVar(&f.out, "out", "-", "trace to write; - is stdout")
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory of the traces, for several files")
	return cmd
}

func (f *importFlags) run(stdout io.Writer, files []string) error {
	if len(files) == 0 {
		return usageError{errors.New("import: no file named")}
	}
	if len(files) > 1 && f.dir == "" {
		return usageError{errors.New("import: several files need --dir")}
	}
	parse, err := f.parser()
	if err != nil {
		return err
	}
	for _, path := range files {
		t, err := importFile(path, parse)
		if err != nil {
			return fmt.Errorf("import %s: %w", path, err)
		}
		if err := f.write(stdout, path, t); err != nil {
			return fmt.Errorf("import %s: %w", path, err)
		}
	}
	return nil
}

func (f *importFlags) parser() (func(io.Reader) (*trace.Trace, error), error) {
	switch f.format {
	case "knmi":
		if f.mapFile != "" {
			return nil, usageError{errors.New("import: --map is for csv")}
		}
		return trace.ImportKNMI, nil
	case "csv":
		if f.mapFile == "" {
			return nil, usageError{errors.New("import: csv needs --map")}
		}
		text, err := os.ReadFile(f.mapFile)
		if err != nil {
			return nil, fmt.Errorf("read column map: %w", err)
		}
		m, err := trace.ParseMap(text)
		if err != nil {
			return nil, fmt.Errorf("column map %s: %w", f.mapFile, err)
		}
		return func(r io.Reader) (*trace.Trace, error) { return trace.ImportCSV(r, m) }, nil
	}
	return nil, usageError{fmt.Errorf("import: --format %q: use knmi or csv", f.format)}
}

func importFile(path string, parse func(io.Reader) (*trace.Trace, error)) (*trace.Trace, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := parse(in)
	return t, errors.Join(err, in.Close())
}

func (f *importFlags) write(stdout io.Writer, source string, t *trace.Trace) error {
	target := f.out
	if f.dir != "" {
		name := strings.TrimSuffix(filepath.Base(source), ".gz")
		target = filepath.Join(f.dir, strings.TrimSuffix(name, filepath.Ext(name))+".csv")
	}
	if target == "-" {
		return t.Write(stdout)
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(t.Write(out), out.Close())
}
