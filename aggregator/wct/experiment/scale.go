package experiment

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"fairwatt/aggregator/wct"
)

// GenerateSparse draws a network as Generate does, but each node measures only
// so many receivers, at 1 to 10 ms.
func GenerateSparse(n int, seed uint64, measured int) *wct.Input {
	in, rng := generateNodes(n, seed)
	in.SparseOverheadUs = make([]wct.Overhead, 0, n*measured)
	seen := make([]int, n) // by node, one more than the sender that drew it last
	for i := range n {
		for left := min(measured, n-1); left > 0; {
			j := rng.below(n)
			if j == i || seen[j] == i+1 {
				continue
			}
			seen[j] = i + 1
			in.SparseOverheadUs = append(in.SparseOverheadUs, wct.Overhead{From: i, To: j, Us: int64(1000 + rng.below(9001))})
			left--
		}
	}
	return in
}

// A ScalePoint is the time that building one tree took.
type ScalePoint struct {
	Algorithm wct.Algorithm
	N         int
	Measured  int // receivers a node
	Took      time.Duration
	Exact     float64 // time of the tree in milliseconds
}

// scaleSizes are the sizes of the scale figure.
var scaleSizes = []int{1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000}

// Scale builds trees of ever more nodes with 16 measured receivers each. It reads
// the clock before and after each build.
func Scale(ctx context.Context, now func() time.Time) ([]ScalePoint, error) {
	var points []ScalePoint
	for _, n := range scaleSizes {
		in := GenerateSparse(n, 1, 16)
		for _, a := range []wct.Algorithm{wct.WCT, wct.OCT} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			begin := now()
			t, err := wct.Build(in, a)
			if err != nil {
				return nil, err
			}
			took := now().Sub(begin)
			points = append(points, ScalePoint{a, n, 16, took, float64(wct.Measure(in, t).TimeExactUs) / 1000})
		}
	}
	return points, nil
}

// WriteScaleCSV writes the points, a line each.
func WriteScaleCSV(w io.Writer, points []ScalePoint) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"algorithm", "n", "measured", "build_ms", "us_per_node", "time_exact_ms"}}
	for _, p := range points {
		us := float64(p.Took.Nanoseconds()) / 1000
		rows = append(rows, []string{string(p.Algorithm), strconv.Itoa(p.N), strconv.Itoa(p.Measured),
			strconv.FormatFloat(us/1000, 'f', 2, 64), strconv.FormatFloat(us/float64(p.N), 'f', 3, 64), strconv.FormatFloat(p.Exact, 'f', 1, 64)})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write scale: %w", err)
	}
	return nil
}

// WriteScalePlot draws the points, both axes logarithmic, as "svg" or "png".
func WriteScalePlot(w io.Writer, points []ScalePoint, format string) error {
	pl := plot.New()
	pl.Title.Text = "Time to build a tree, 16 measured receivers a node"
	pl.X.Label.Text, pl.Y.Label.Text = "nodes", "ms"
	pl.X.Scale, pl.Y.Scale = plot.LogScale{}, plot.LogScale{}
	pl.X.Tick.Marker, pl.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	pl.Legend.Top, pl.Legend.Left = true, true
	pl.Legend.XOffs = vg.Points(8)
	pl.Add(plotter.NewGrid())
	var series []any
	for _, a := range []wct.Algorithm{wct.WCT, wct.OCT} {
		var xys plotter.XYs
		for _, p := range points {
			if p.Algorithm == a {
				xys = append(xys, plotter.XY{X: float64(p.N), Y: max(0.001, float64(p.Took.Nanoseconds())/1e6)})
			}
		}
		series = append(series, string(a), xys)
	}
	if err := plotutil.AddLinePoints(pl, series...); err != nil {
		return fmt.Errorf("plot scale: %w", err)
	}
	to, err := pl.WriterTo(vg.Points(460), vg.Points(300), format)
	if err != nil {
		return fmt.Errorf("plot scale: %w", err)
	}
	if _, err := to.WriteTo(w); err != nil {
		return fmt.Errorf("write plot of scale: %w", err)
	}
	return nil
}
