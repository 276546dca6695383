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
	format, mapFile, out, dir, month string
	elevationM                       float64
	hasElevation                     bool
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --format knmi|csv|metar|isd-lite [--map FILE] FILE...",
		Short: "Turn somebody's recordings into traces",
		Long: `Reads recordings in another format and writes them as traces.

  knmi      hourly observations as the Royal Netherlands Meteorological Institute
            publishes them
  metar     aerodrome reports (METAR, SPECI) of one station, one a line: with a
            date before each, as a CSV with the columns valid and metar, or
            reports alone (--month says of which month the first is). The
            pressure is at sea level unless --elevation-m is given
  isd-lite  hourly weather as NOAA publishes it, fixed columns, a station a file
  csv       any CSV with a header row, through a column map in YAML (--map)

One file goes to --out (default stdout); several go to --dir, each under its own
name with the ending .csv. Files there are not overwritten.`,
		Example: `  agent import --format knmi uurgeg_260.txt --out de_bilt.csv
  agent import --format metar --month 2024-07 --elevation-m 112 reports.txt
  agent import --format isd-lite --dir traces 010010-99999-202*.gz
  agent import --format csv --map inverter.yaml --dir traces 2025-*.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.hasElevation = cmd.Flags().Changed("elevation-m")
			return f.run(cmd.OutOrStdout(), args)
		},
	}
	cmd.Flags().StringVar(&f.format, "format", "", "knmi, metar, isd-lite or csv (required)")
	cmd.Flags().StringVar(&f.month, "month", "", "month of the first report, as 2024-07, for metar without dates")
	cmd.Flags().Float64Var(&f.elevationM, "elevation-m", 0, "height of the station in metres, for metar")
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
	if f.format != "csv" && f.mapFile != "" {
		return nil, usageError{errors.New("import: --map is for csv")}
	}
	if f.format != "metar" && (f.month != "" || f.hasElevation) {
		return nil, usageError{errors.New("import: --month and --elevation-m are for metar")}
	}
	switch f.format {
	case "knmi":
		return trace.ImportKNMI, nil
	case "isd-lite":
		return trace.ImportISDLite, nil
	case "metar":
		if !(f.elevationM > -500 && f.elevationM < 9000) {
			return nil, usageError{fmt.Errorf("import: --elevation-m %g: want metres above the sea", f.elevationM)}
		}
		o := trace.METAROptions{Month: f.month, ElevationM: f.elevationM, HasElevation: f.hasElevation}
		return func(r io.Reader) (*trace.Trace, error) { return trace.ImportMETAR(r, o) }, nil
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
	return nil, usageError{fmt.Errorf("import: --format %q: use knmi, metar, isd-lite or csv", f.format)}
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
