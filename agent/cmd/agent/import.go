package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/model/trace"
	"fairwatt/model/trace/weather"
)

type importFlags struct {
	format, mapFile, out, dir string
	month, elevation          string
	site, position            string
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --format knmi|csv|metar|isd-lite [--map FILE] FILE...",
		Short: "Turn other recordings into traces",
		Long: `Reads recordings in another format and writes them as traces.

  knmi  hourly observations as the Royal Netherlands Meteorological Institute
        publishes them
  csv   any CSV with a header row, through a column map in YAML (--map)
  metar airport reports (METAR and SPECI), one a line: alone (then --month
        names that of the first), with a date before each, or a CSV with the
        columns valid and metar
  isd-lite  hourly lines of NOAA's Integrated Surface Database

METAR gives a pressure at sea level (QNH); with --elevation it becomes that at
the station. A file may be gzipped, and - is standard input; to make one trace
of several files, string them together.

What an import passes over is said on stderr, with how many there are.

One file goes to --out (default stdout); several go to --dir, each under its own
name with the ending .csv. Files there are not overwritten.`,
		Example: `  agent import --format knmi uurgeg_260.txt --out de_bilt.csv
  agent import --format csv --map inverter.yaml --dir traces 2025-*.csv
  agent import --format metar --month 2024-07 --elevation -3 eham.txt --out eham.csv
  cat 062600-99999-20*.gz | agent import --format isd-lite --site "De Bilt" --position 52.1,5.18 - --out de_bilt.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.OutOrStdout(), args) },
	}
	cmd.Flags().StringVar(&f.format, "format", "", "knmi, csv, metar or isd-lite (required)")
	cmd.Flags().StringVar(&f.mapFile, "map", "", "column map, for csv")
	cmd.Flags().StringVar(&f.month, "month", "", "year and month of the first report, as 2024-07, for metar without dates")
	cmd.Flags().StringVar(&f.elevation, "elevation", "", "the station's height over sea level in metres, for metar")
	cmd.Flags().StringVar(&f.site, "site", "", "name of the place, for metar and isd-lite")
	cmd.Flags().StringVar(&f.position, "position", "", "degrees north and east, as 52.1,5.18, for metar and isd-lite")
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
		tellLeftOut(t.LeftOut, "file", path)
	}
	return nil
}

func (f *importFlags) parser() (func(io.Reader) (*trace.Trace, error), error) {
	if err := f.foreign(); err != nil {
		return nil, usageError{err}
	}
	place, err := f.place()
	if err != nil {
		return nil, usageError{err}
	}
	switch f.format {
	case "knmi":
		return weather.ImportKNMI, nil
	case "isd-lite":
		return func(r io.Reader) (*trace.Trace, error) { return weather.ImportISDLite(r, place) }, nil
	case "metar":
		o := weather.METAROptions{Month: f.month, Place: place}
		return func(r io.Reader) (*trace.Trace, error) { return weather.ImportMETAR(r, o) }, nil
	case "csv":
		if f.mapFile == "" {
			return nil, usageError{errors.New("import: csv needs --map")}
		}
		text, err := os.ReadFile(f.mapFile)
		if err != nil {
			return nil, fmt.Errorf("read column map: %w", err)
		}
		m, err := weather.ParseMap(text)
		if err != nil {
			return nil, fmt.Errorf("column map %s: %w", f.mapFile, err)
		}
		return func(r io.Reader) (*trace.Trace, error) { return weather.ImportCSV(r, m) }, nil
	}
	return nil, usageError{fmt.Errorf("import: --format %q: use knmi, csv, metar or isd-lite", f.format)}
}

// foreign names a flag that the format has no use for.
func (f *importFlags) foreign() error {
	for _, c := range []struct{ name, value, formats string }{
		{"map", f.mapFile, "csv"}, {"month", f.month, "metar"}, {"elevation", f.elevation, "metar"},
		{"site", f.site, "metar isd-lite"}, {"position", f.position, "metar isd-lite"},
	} {
		if c.value != "" && f.format != "" && !slices.Contains(strings.Fields(c.formats), f.format) {
			return fmt.Errorf("import: --%s is for %s", c.name, strings.Join(strings.Fields(c.formats), " and "))
		}
	}
	return nil
}

func (f *importFlags) place() (weather.Place, error) {
	p := weather.Place{Site: f.site}
	number := func(flag, text string, dst *float64) error {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return fmt.Errorf("import: --%s: %q is not a number", flag, text)
		}
		*dst = v
		return nil
	}
	if f.elevation != "" {
		p.HasElevation = true
		if err := number("elevation", f.elevation, &p.ElevationM); err != nil {
			return p, err
		}
	}
	if f.position != "" {
		north, east, ok := strings.Cut(f.position, ",")
		if !ok {
			return p, fmt.Errorf("import: --position %q: want degrees north and east, as 52.1,5.18", f.position)
		}
		p.HasPosition = true
		return p, errors.Join(number("position", north, &p.Latitude), number("position", east, &p.Longitude))
	}
	return p, nil
}

func importFile(path string, parse func(io.Reader) (*trace.Trace, error)) (*trace.Trace, error) {
	if path == "-" {
		return parse(os.Stdin)
	}
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
