package experiment

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// A Summary is the mean over the seeds, with its 95 % interval.
type Summary struct {
	Mean, Low, High float64
	Seeds           int
}

// summarise leaves NaN out. The interval is Student's; for one value it is that
// value.
func summarise(values []float64) Summary {
	var kept []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return Summary{Mean: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	mean, sd := stat.MeanStdDev(kept, nil)
	half := 0.0
	if len(kept) > 1 {
		n := float64(len(kept))
		half = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975) * sd / math.Sqrt(n)
	}
	return Summary{mean, mean - half, mean + half, len(kept)}
}

// of returns the measured networks of one model and size, in seed order.
func (r *Results) of(model Overheads, n int) []Network {
	for k, net := range r.Networks {
		if net.Overheads == model && net.N == n {
			return r.Networks[k : k+r.Options.Seeds]
		}
	}
	return nil
}

// summary is the summary of one metric.
func summary(networks []Network, m Method, metric Metric) Summary {
	values := make([]float64, len(networks))
	for k := range networks {
		values[k] = networks[k].Values[m][metric]
	}
	return summarise(values)
}

// ratio is the summary of one metric over that of the WCT, network by network.
func ratio(networks []Network, m Method, metric Metric) Summary {
	values := make([]float64, len(networks))
	for k := range networks {
		values[k] = networks[k].Values[m][metric] / networks[k].Values[WCT11][metric]
	}
	return summarise(values)
}

// A Figure is one of the paper's.
type Figure string

// The figures and the table of section 4.
const (
	Figure6 Figure = "6"      // overall trust
	Figure7 Figure = "7"      // concurrent communication time
	Figure8 Figure = "8"      // node concurrency
	Table2  Figure = "table2" // all together
)

// Figures are all of them.
var Figures = []Figure{Figure6, Figure7, Figure8, Table2}

var figureMetrics = map[Figure][]Metric{
	Figure6: {Trust, Coverage},
	Figure7: {ExactMs, LevelMs, BusyMs},
	Figure8: {ConcurrencyExact, ConcurrencyLevel},
	Table2:  {Trust, Coverage, ExactMs, LevelMs, BusyMs, ConcurrencyExact, ConcurrencyLevel, EdgesOver, Depth},
}

func number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

// WriteCSV writes a figure's numbers: a line for each overhead model, size,
// method and metric. ratio_to_wct is the mean of the networks' ratios.
func (r *Results) WriteCSV(w io.Writer, f Figure) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"overheads", "n", "algorithm", "weights", "scaling", "metric",
		"mean", "ci95_low", "ci95_high", "ratio_to_wct", "seeds"}}
	for _, model := range Models {
		for _, n := range r.Options.Sizes {
			if f == Table2 && n != bestNodes && n != 200 {
				continue
			}
			networks := r.of(model, n)
			for m := range numMethods {
				for _, metric := range figureMetrics[f] {
					s := summary(networks, m, metric)
					if s.Seeds == 0 {
						continue
					}
					rows = append(rows, []string{string(model), strconv.Itoa(n), m.Name(), m.Weights(), m.Scaling(), metric.String(),
						number(s.Mean), number(s.Low), number(s.High), number(ratio(networks, m, metric).Mean), strconv.Itoa(s.Seeds)})
				}
			}
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// A claim is a statement about one network.
type claim struct {
	name  string
	holds func(n *Network) bool
}

func better(a, b Method, metric Metric) func(*Network) bool {
	return func(n *Network) bool { return n.Values[a][metric] > n.Values[b][metric] }
}

var claims = []claim{
	{"trust of wct over lft", better(WCT11, LFT, Trust)},
	{"trust of wct within 0.003 of tft", func(n *Network) bool { return n.Values[TFT][Trust]-n.Values[WCT11][Trust] <= 0.003 }},
	{"exact time of wct under tft", better(TFT, WCT11, ExactMs)},
	{"level time of wct under tft", better(TFT, WCT11, LevelMs)},
	{"exact time of lft under wct", better(WCT11, LFT, ExactMs)},
	{"exact concurrency of wct over tft", better(WCT11, TFT, ConcurrencyExact)},
	{"exact concurrency of lft over tft", better(LFT, TFT, ConcurrencyExact)},
	{"weights 1:1 and 3:2 give the same tree, raw", func(n *Network) bool { return n.SameRaw }},
	{"weights 1:1 and 3:2 give the same tree, normalised", func(n *Network) bool { return n.SameNormalised }},
	{"an edge of wct exceeds the threshold", func(n *Network) bool { return n.Values[WCT11][EdgesOver] > 0 }},
	{"oct under wct in exact time", better(WCT11, OCT, ExactMs)},
	{"oct worse than wct in some metric", octWorse},
}

// octWorse says whether oct is worse than the WCT in trust, coverage, either
// time, either concurrency or edges over the threshold. Coverage is a sum of
// floats: only a difference above their rounding counts.
func octWorse(n *Network) bool {
	o, w := &n.Values[OCT], &n.Values[WCT11]
	return o[Trust] < w[Trust] || o[Coverage] < w[Coverage]-1e-12 || o[ExactMs] > w[ExactMs] || o[LevelMs] > w[LevelMs] ||
		o[ConcurrencyLevel] < w[ConcurrencyLevel] || o[ConcurrencyExact] < w[ConcurrencyExact] || o[EdgesOver] > w[EdgesOver]
}

// WriteClaims writes, for each model and size, in how many networks each
// statement holds.
func (r *Results) WriteClaims(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"overheads", "n", "statement", "networks", "of"}}
	for _, model := range Models {
		for _, n := range r.Options.Sizes {
			networks := r.of(model, n)
			for _, c := range claims {
				count := 0
				for k := range networks {
					if c.holds(&networks[k]) {
						count++
					}
				}
				rows = append(rows, []string{string(model), strconv.Itoa(n), c.name, strconv.Itoa(count), strconv.Itoa(len(networks))})
			}
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write claims: %w", err)
	}
	return nil
}
