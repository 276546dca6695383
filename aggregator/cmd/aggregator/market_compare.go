package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/sharing"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/wire"
)

// What bounds a comparison's memory and time.
const (
	maxCompareDays   = 400
	maxCompareHomes  = 1000
	maxCompareValues = 5_000_000
)

// A comparison is what each way of dividing the same days brings.
type comparison struct {
	Source   string            `json:"source"` // generated, or traces
	From     string            `json:"from,omitempty"`
	Days     int               `json:"days"`
	Plants   int               `json:"plants"`
	Homes    int               `json:"homes"`
	Seed     uint64            `json:"seed"`
	Price    int64             `json:"price_micro_per_kwh"`
	Fee      int64             `json:"fee_micro_per_kwh"`
	ExportWh int64             `json:"export_wh"`
	ImportWh int64             `json:"import_wh"`
	Gaps     int               `json:"gaps"` // slots of a plant without a value; it exports nothing in them
	Members  []string          `json:"members"`
	Ways     []sharing.Outcome `json:"ways"`
}

type compareFlags struct {
	data, from, price, fee string
	days, homes            int
	seed                   uint64
	asJSON                 bool
}

func marketCompareCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare [--data DIR] [--from YYYY-MM-DD] [--days N] [--homes N] [--json]",
		Short: "Compare trades of two, an auction and sharing keys on the same days",
		Long: `Compare what a community's members pay and earn on the same days by trades of two
members each, by an auction of each quarter of an hour, and by a static and a dynamic key of
energy sharing. No chain is asked. Chains trade bilaterally; auction and keys are not
implemented on them.

Without --data all is generated. With it each trace of the folder (*.csv, *.csv.gz) is a
plant: by its power, or a roof of 5 kW by its irradiance and a turbine of 5 kW by its wind. Homes
are generated always. Members state what their own supplier takes or pays.`,
		Example: `  aggregator market compare
  aggregator market compare --data traces --from 2026-06-21 --days 3 --homes 12 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.run(cmd.Flags().Changed("homes"))
			if err != nil {
				return err
			}
			if f.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
			}
			return c.print(cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", "", "folder of traces")
	fl.StringVar(&f.from, "from", "", "first day of the traces, UTC; by default the first that all have")
	fl.IntVar(&f.days, "days", 7, "how many days")
	fl.IntVar(&f.homes, "homes", 12, "how many homes beside traces; by default twelve, or two for each plant")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of what is generated")
	fl.StringVar(&f.price, "price", "0.15", "what a kWh costs within the community, by a key, and at least in trades of two")
	fl.StringVar(&f.fee, "fee", "0.02", "what a buyer pays beside, for each kWh; 0 is none")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON, with the gain of each member")
	return cmd
}

func (f *compareFlags) run(homesGiven bool) (*comparison, error) {
	price, err := wire.ParseMoney(f.price)
	if err != nil {
		return nil, usagef("--price: %w", err)
	}
	var fee int64
	if f.fee != "0" {
		if fee, err = wire.ParseMoney(f.fee); err != nil {
			return nil, usagef("--fee: %w", err)
		}
	}
	switch {
	case f.days < 1 || f.days > maxCompareDays:
		return nil, usagef("--days %d: want 1 to %d", f.days, maxCompareDays)
	case f.homes < 1 || f.homes > maxCompareHomes:
		return nil, usagef("--homes %d: want 1 to %d", f.homes, maxCompareHomes)
	case f.data == "" && (f.from != "" || homesGiven):
		return nil, usagef("--from and --homes go with --data")
	}
	out := &comparison{Source: "generated", Days: f.days, Seed: f.seed, Price: price, Fee: fee}
	var c *sharing.Community
	if f.data == "" {
		c = sharing.Generate(f.seed, f.days)
	} else {
		p, err := readPlants(f.data)
		if err != nil {
			return nil, err
		}
		if !homesGiven {
			f.homes = 2 * len(p.ids)
		}
		if values := f.days * sharing.SlotsADay * (f.homes + len(p.ids)); values > maxCompareValues {
			return nil, usagef("%d values of %d members are too many, at most %d: take fewer days or homes", values, f.homes+len(p.ids), maxCompareValues)
		}
		from, err := p.first(f.from, f.days)
		if err != nil {
			return nil, err
		}
		producers, gaps := p.producers(from, f.days)
		out.Source, out.From, out.Gaps = "traces", time.UnixMilli(from*slotMs).UTC().Format(time.DateOnly), gaps
		c = sharing.New(producers, f.homes, f.seed, p.noon())
	}
	c.PriceMicroPerKWh, c.FeeMicroPerKWh = price, fee
	if out.Ways, err = c.Compare(); err != nil {
		return nil, err
	}
	out.Homes, out.Plants = f.homes, len(c.Members)-f.homes
	for _, m := range c.Members {
		out.Members = append(out.Members, m.ID)
		for s := range c.Slots {
			out.ExportWh, out.ImportWh = out.ExportWh+m.ExportWh[s], out.ImportWh+m.ImportWh[s]
		}
	}
	return out, nil
}

func (c *comparison) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	source := fmt.Sprintf("generated, seed %d", c.Seed)
	if c.From != "" {
		source = fmt.Sprintf("plants by traces from %s on, %d quarters of an hour without a value; homes generated, seed %d", c.From, c.Gaps, c.Seed)
	}
	kWh := func(wh int64) string { return fmt.Sprintf("%.1f", float64(wh)/1000) }
	units := func(micro int64) string { return fmt.Sprintf("%.2f", float64(micro)/1e6) }
	fmt.Fprintf(w, "data\t%s\ndays\t%d, %d plants export %s kWh, %d homes consume %s kWh\nprice\t%s per kWh within, fee %s\n\n",
		source, c.Days, c.Plants, kWh(c.ExportWh), c.Homes, kWh(c.ImportWh), money(c.Price), money(c.Fee))
	fmt.Fprintf(w, "WAY\tTRADED KWH\tCONSUMERS PAY\tPRODUCERS EARN\tFEES\tGAIN\tMEMBERS THAT GAIN\n")
	for _, o := range c.Ways {
		gaining := 0
		for _, g := range o.ByMemberMicro {
			if g > 0 {
				gaining++
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d of %d\n", o.Way, kWh(o.TradedWh), units(o.CostMicro), units(o.IncomeMicro), units(o.FeeMicro), units(o.GainMicro), gaining, len(o.ByMemberMicro))
	}
	return w.Flush()
}

// plants are what traces say of generators, by quarter of an hour since 1970.
type plants struct {
	ids       []string
	wattMs    []map[int64]float64
	from, to  int64   // slots that all have
	longitude float64 // of the first trace that has one
	placed    bool
}

// readPlants reads each trace of a folder, in the order of names.
func readPlants(dir string) (*plants, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder of traces: %w", err)
	}
	p := &plants{from: math.MinInt64, to: math.MaxInt64}
	for _, e := range entries {
		name, isCSV := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".csv")
		if e.IsDir() || !isCSV {
			continue
		}
		if err := p.read(filepath.Join(dir, e.Name()), name); err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
	}
	if len(p.ids) == 0 {
		return nil, fmt.Errorf("no trace in %s (*.csv, *.csv.gz) has power, irradiance or wind", dir)
	}
	return p, nil
}

// A source turns samples into power; it has none where the sample lacks what it needs.
type source struct {
	suffix string
	powerW func(*model.Sample) (float64, bool)
}

// sources are the plants that a trace stands for.
func sources(channels []model.Channel) []source {
	has := map[model.Channel]bool{}
	for _, c := range channels {
		has[c] = true
	}
	if has[model.PowerW] {
		return []source{{"", func(s *model.Sample) (float64, bool) { return s.Get(model.PowerW) }}}
	}
	var out []source
	weather := func(kind scenario.PlantKind, needs model.Channel) func(*model.Sample) (float64, bool) {
		plant := scenario.DefaultPlant(kind)
		return func(s *model.Sample) (float64, bool) {
			_, known := s.Get(needs)
			wind, _ := s.Get(model.WindSpeedMPS) // without: cells cool worse, by some percent
			irradiance, _ := s.Get(model.IrradianceWPM2)
			temperature, warm := s.Get(model.TemperatureC)
			if !warm {
				temperature = 15
			}
			return plant.PowerW(wind, irradiance, temperature), known
		}
	}
	if has[model.IrradianceWPM2] {
		out = append(out, source{"-pv", weather(scenario.PV, model.IrradianceWPM2)})
	}
	if has[model.WindSpeedMPS] {
		out = append(out, source{"-wind", weather(scenario.Wind, model.WindSpeedMPS)})
	}
	return out
}

// read adds a trace. A row stands for the interval that ends with it.
func (p *plants) read(file, name string) error {
	r, err := trace.Open(file, trace.Options{IgnoreUnknown: true})
	if err != nil {
		return err
	}
	defer r.Close() // only read from
	of := sources(r.Channels())
	if len(of) == 0 {
		return nil
	}
	if m := r.Meta(); m.HasPosition && !p.placed {
		p.longitude, p.placed = m.Longitude, true
	}
	interval := int64(r.Meta().IntervalS * 1000)
	sums := make([]map[int64]float64, len(of))
	for i, o := range of {
		sums[i] = map[int64]float64{}
		p.ids = append(p.ids, name+o.suffix)
	}
	p.wattMs = append(p.wattMs, sums...)
	var s model.Sample
	begin, last, rows := int64(math.MaxInt64), int64(0), 0
	for {
		if err := r.Next(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		since := s.TimeMs - interval
		if rows > 0 && (interval == 0 || since < last) {
			since = max(last, s.TimeMs-time.Hour.Milliseconds())
		}
		last, begin, rows = s.TimeMs, min(begin, since), rows+1
		for i, o := range of {
			if watts, known := o.powerW(&s); known {
				spread(sums[i], since, s.TimeMs, max(0, watts))
			}
		}
	}
	if rows == 0 {
		return errors.New("the trace has no rows")
	}
	p.from, p.to = max(p.from, -floorDiv(-begin, slotMs)), min(p.to, floorDiv(last, slotMs))
	return nil
}

// floorDiv is a/b, rounded down; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// spread adds power over a time to the slots that it lies in.
func spread(sum map[int64]float64, from, to int64, watts float64) {
	for from < to {
		slot := floorDiv(from, slotMs)
		end := min(to, (slot+1)*slotMs)
		sum[slot] += watts * float64(end-from)
		from = end
	}
}

// first is the slot in which a day begins, from which on all traces have so many days.
func (p *plants) first(day string, days int) (int64, error) {
	from := -floorDiv(-p.from, sharing.SlotsADay) * sharing.SlotsADay
	if day != "" {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return 0, usagef("--from %.20q: want a day such as 2026-06-21", day)
		}
		from = t.UnixMilli() / slotMs
	}
	if from < p.from || from+int64(days)*sharing.SlotsADay > p.to {
		return 0, fmt.Errorf("the traces have no %d days together from %s on: they have %s to %s in common", days,
			slotBegin(from), slotBegin(p.from), slotBegin(p.to))
	}
	return from, nil
}

// slotBegin writes the begin of a slot.
func slotBegin(slot int64) string {
	return time.UnixMilli(slot * slotMs).UTC().Format("2006-01-02 15:04")
}

// producers are the plants in a part of their time, with how many values they lack.
func (p *plants) producers(from int64, days int) (out []sharing.Producer, gaps int) {
	for i, id := range p.ids {
		producer := sharing.Producer{ID: id}
		for s := range int64(days) * sharing.SlotsADay {
			v, known := p.wattMs[i][from+s]
			if !known {
				gaps++
			}
			producer.ExportWh = append(producer.ExportWh, int64(math.Round(v/float64(time.Hour.Milliseconds()))))
		}
		out = append(out, producer)
	}
	return out, gaps
}

// noon is the slot of the local day, by the sun, in which a day of UTC begins.
func (p *plants) noon() int {
	return (int(math.Round(p.longitude/360*sharing.SlotsADay)) + sharing.SlotsADay) % sharing.SlotsADay
}
