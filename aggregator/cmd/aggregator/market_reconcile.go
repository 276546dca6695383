package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	_ "time/tzdata" // a container may have no zones of its own

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/reconcile"
)

// A reconciliation is a month of a chain beside the distribution operator's values.
type reconciliation struct {
	Month    string `json:"month"`
	Zone     string `json:"zone"`
	Chain    string `json:"chain"`
	File     string `json:"file"`
	FileRows int    `json:"file_rows"`
	Outside  int    `json:"outside"` // of other months
	Empty    int    `json:"empty"`   // without a value
	Compared string `json:"compared"`
	*reconcile.Report
	zone *time.Location
}

// What a file's values are.
const (
	valuesShare = "share"
	valuesTotal = "total"
)

// shownRows is how many differences are printed for people.
const shownRows = 40

type reconcileFlags struct {
	chainSource
	month, values, zone, are      string
	direction, separator, decimal string
	points                        []string
	asJSON, asCSV                 bool
	layout                        reconcile.Layout
	options                       reconcile.Options
}

func marketReconcileCommand() *cobra.Command {
	f := reconcileFlags{layout: reconcile.DefaultLayout()}
	cmd := &cobra.Command{
		Use:   "reconcile --month YYYY-MM --values FILE.csv [--csv|--json] (--export FILE|- | --data DIR)",
		Short: "Compare a month with the distribution operator's values of 15 minutes",
		Long: `Compare what the chain settled in a month with what the distribution operator measured, by
metering point and quarter of an hour.

The file is CSV with a header; the flags name its columns. A byte order mark, semicolons,
and a decimal comma are understood; local times are those of --zone, and days of 92 and 100
quarters are right. A metering point is called as a meter of the chain, as its serial
number, or is named by --point.

The chain knows registers at the moments of readings only: a quarter of an hour differs
where the value lies outside of what the readings allow, by more than --tolerance-wh and
the meter's class. The exit code is 1 where something differs, 2 for a wrong flag.`,
		Example: `  aggregator market reconcile --data community/da-1/data --month 2026-11 --values operator.csv
  aggregator market reconcile --export chain.jsonl --month 2026-11 --zone Europe/Vienna --values pv-1.csv \
    --one-point AT0010000000000000001000000000001 --point AT0010000000000000001000000000001=pv-1 --direction export \
    --time-column Messzeitpunkt --value-column "Eigendeckung (kWh)" --quality-column Qualität
  aggregator market reconcile --data community/da-1/data --month 2026-11 --values operator.csv --values-are total --csv > november.csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.run(cmd)
			if err == nil {
				err = r.write(cmd.OutOrStdout(), f.asCSV, f.asJSON)
			}
			if err == nil && r.Differs > 0 {
				err = fmt.Errorf("%d of %d metering points differ", r.Differs, len(r.Totals))
			}
			return err
		},
	}
	f.add(cmd)
	fl, l := cmd.Flags(), &f.layout
	fl.StringVar(&f.month, "month", "", "month in --zone, as 2026-11")
	fl.StringVar(&f.values, "values", "", "file of the distribution operator")
	fl.StringVar(&f.are, "values-are", valuesShare, "what the values are: share of the community, or total of the metering point")
	fl.StringVar(&f.zone, "zone", "UTC", "zone of the month and of times in the file that name none, as Europe/Vienna")
	fl.StringVar(&l.PointColumn, "point-column", l.PointColumn, "column of metering points")
	fl.StringVar(&l.TimeColumn, "time-column", l.TimeColumn, "column of times; DATE+TIME where there are two")
	fl.StringVar(&l.ValueColumn, "value-column", l.ValueColumn, "column of values")
	fl.StringVar(&l.DirectionColumn, "direction-column", "", "column of directions: import, export, or an OBIS code")
	fl.StringVar(&l.QualityColumn, "quality-column", "", "column that says how a value came about; it is shown only")
	fl.StringVar(&l.Point, "one-point", "", "the metering point of a file that has no column of them")
	fl.StringVar(&f.direction, "direction", "", "direction of all values: import or export")
	fl.StringArrayVar(&f.points, "point", nil, "POINT=METER: the meter of the chain behind a metering point; once more for its successor")
	fl.StringVar(&l.Unit, "unit", l.Unit, "unit of values: kWh, Wh, or kW (mean power)")
	fl.BoolVar(&l.TimeIsEnd, "time-is-end", false, "a quarter of an hour is named by its end")
	fl.IntVar(&l.SkipLines, "skip-lines", 0, "lines before the header")
	fl.StringVar(&f.separator, "separator", "", "separator of fields; the header's, by default")
	fl.StringVar(&f.decimal, "decimal", "", "decimal sign; a comma or a point, by default")
	fl.Int64Var(&f.options.ToleranceWh, "tolerance-wh", 10, "by how much a quarter of an hour may differ, beside the meter's class")
	fl.Int64Var(&f.options.MonthWh, "month-tolerance-wh", 100, "by how much a month may differ, beside the meter's class")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.BoolVar(&f.asCSV, "csv", false, "print CSV")
	return cmd
}

// finish checks the flags and returns the month.
func (f *reconcileFlags) finish(cmd *cobra.Command) (from, to time.Time, err error) {
	l := &f.layout
	if l.Zone, err = time.LoadLocation(f.zone); err != nil || f.zone == "Local" {
		return from, to, usagef("--zone %.60q: want a zone such as Europe/Vienna", f.zone)
	}
	from, err = time.ParseInLocation("2006-01", f.month, l.Zone)
	to = from.AddDate(0, 1, 0)
	switch {
	case err != nil || from.UnixMilli()%reconcile.SlotMs != 0 || to.UnixMilli()%reconcile.SlotMs != 0:
		return from, to, usagef("--month %.20q: want a month such as 2026-11", f.month)
	case f.values == "":
		return from, to, usagef("--values FILE is required")
	case f.asJSON && f.asCSV:
		return from, to, usagef("--json and --csv exclude each other")
	case f.are != valuesShare && f.are != valuesTotal:
		return from, to, usagef("--values-are %.20q: want %s or %s", f.are, valuesShare, valuesTotal)
	case f.options.ToleranceWh < 0 || f.options.MonthWh < 0 || f.options.ToleranceWh > ledger.MaxEnergyWh || f.options.MonthWh > ledger.MaxEnergyWh:
		return from, to, usagef("--tolerance-wh and --month-tolerance-wh: want 0 to %d", ledger.MaxEnergyWh)
	case len(f.separator) > 1 || len(f.decimal) > 1:
		return from, to, usagef("--separator and --decimal are one character each")
	}
	for _, c := range f.separator {
		l.Separator = c
	}
	if f.decimal != "" {
		l.Decimal = f.decimal[0]
	}
	if l.Point != "" && !cmd.Flags().Changed("point-column") {
		l.PointColumn = ""
	}
	l.Direction, f.options.Total, f.options.Points = reconcile.Direction(f.direction), f.are == valuesTotal, make(map[string][]string)
	for _, p := range f.points {
		i := strings.LastIndexByte(p, '=')
		if i < 1 || i == len(p)-1 {
			return from, to, usagef("--point %.60q: want POINT=METER", p)
		}
		f.options.Points[p[:i]] = append(f.options.Points[p[:i]], p[i+1:])
	}
	if err := l.Validate(); err != nil {
		return from, to, usagef("%w", err)
	}
	return from, to, nil
}

func (f *reconcileFlags) run(cmd *cobra.Command) (*reconciliation, error) {
	from, to, err := f.finish(cmd)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Clean(f.values))
	if err != nil {
		return nil, fmt.Errorf("open values: %w", err)
	}
	defer file.Close() // only read from
	values, err := f.layout.Read(file, from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(f.values), err)
	}
	var books *reconcile.Books
	state, err := f.replay(cmd, func(state *ledger.State, st *ledger.Staged) error {
		if books == nil {
			books = reconcile.NewBooks(state.Genesis(), from.UnixMilli(), to.UnixMilli())
		}
		books.Take(state, st)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if books == nil {
		books = reconcile.NewBooks(state.Genesis(), from.UnixMilli(), to.UnixMilli())
	}
	report, err := books.Compare(values.Values, &f.options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(f.values), err)
	}
	return &reconciliation{
		Month: f.month, Zone: f.zone, Chain: fmt.Sprintf("%x", state.ChainID()), File: filepath.Base(f.values), FileRows: values.Rows,
		Outside: values.Outside, Empty: values.Empty, Compared: f.are, Report: report, zone: f.layout.Zone,
	}, nil
}

func (r *reconciliation) write(out io.Writer, asCSV, asJSON bool) error {
	switch {
	case asJSON:
		return json.NewEncoder(out).Encode(r)
	case asCSV:
		return r.csv(out)
	}
	return r.print(out)
}

func (r *reconciliation) csv(out io.Writer) error {
	w := csv.NewWriter(out)
	rows := [][]string{{"point", "direction", "begin", "begin_ms", "settled_wh", "at_least_wh", "at_most_wh", "measured_wh", "difference_wh", "quality", "wrong"}}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	line := func(row *reconcile.Row, begin, ms string) {
		rows = append(rows, []string{row.Point, string(row.Direction), begin, ms, number(row.SettledWh), number(row.AtLeastWh), number(row.AtMostWh),
			number(row.MeasuredWh), number(row.DifferenceWh), row.Quality, row.Wrong})
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		line(row, time.UnixMilli(row.BeginMs).UTC().Format(time.RFC3339), number(row.BeginMs))
	}
	for i := range r.Totals {
		line(&r.Totals[i].Row, "total", "")
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write values: %w", err)
	}
	return nil
}

func (r *reconciliation) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	what := "the share of the community"
	if r.Compared == valuesTotal {
		what = "all that the metering points measured"
	}
	fmt.Fprintf(w, "month\t%s in %s, chain up to height %d\nfile\t%s: %d rows, %d of other months, %d without a value; %s\n\n", r.Month, r.Zone, r.Height, r.File, r.FileRows, r.Outside, r.Empty, what)
	fmt.Fprintf(w, "POINT\tWAY\tVALUES\tSETTLED WH\tMEASURED WH\tDIFFERENCE\tQUARTERS THAT DIFFER\tWRONG\n")
	kept := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	var settled, measured int64
	for _, t := range r.Totals {
		fmt.Fprintf(w, "%s\t%s\t%d of %d\t%d\t%d\t%+d\t%d\t%s\n", t.Point, kept(string(t.Direction)), t.Values, t.Slots, t.SettledWh, t.MeasuredWh, t.DifferenceWh, t.Differs, kept(t.Wrong))
		settled, measured = settled+t.SettledWh, measured+t.MeasuredWh
	}
	fmt.Fprintf(w, "all\t\t\t%d\t%d\t%+d\t\t\n", settled, measured, measured-settled)
	wrong := 0
	for _, row := range r.Rows {
		if row.Wrong == "" {
			continue
		}
		if wrong++; wrong == 1 {
			fmt.Fprintf(w, "\nPOINT\tWAY\tFROM\tSETTLED WH\tREADINGS ALLOW\tMEASURED WH\tQUALITY\tWRONG\n")
		}
		if wrong <= shownRows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d to %d\t%d\t%s\t%s\n", row.Point, kept(string(row.Direction)), time.UnixMilli(row.BeginMs).In(r.zone).Format("2006-01-02 15:04 MST"),
				row.SettledWh, row.AtLeastWh, row.AtMostWh, row.MeasuredWh, kept(row.Quality), row.Wrong)
		}
	}
	if wrong > shownRows {
		fmt.Fprintf(w, "and %d more: --csv has all\n", wrong-shownRows)
	}
	return w.Flush()
}
