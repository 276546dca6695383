package experiment

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Plot is one picture: a figure under one overhead model with one pair of
// weights.
type Plot struct {
	Figure    Figure
	Overheads Overheads
	Weights   string // "1:1" or "3:2", the paper's (a) and (b)
}

// Name is the plot's file name without its ending.
func (p Plot) Name() string {
	return fmt.Sprintf("figure%s-%s-%c%c", p.Figure, p.Overheads, p.Weights[0], p.Weights[2])
}

// Plots are the pictures of a figure; the table has none.
func Plots(f Figure) (plots []Plot) {
	if f == Table2 {
		return nil
	}
	for _, model := range Models {
		for _, weights := range []string{"1:1", "3:2"} {
			plots = append(plots, Plot{f, model, weights})
		}
	}
	return plots
}

// shown lists the lines of a plot, in the order of its legend. Colour-blind
// people can tell the colours apart (Okabe and Ito).
var shown = []struct {
	method Method // of weights 1:1, where there are two
	label  string
	colour color.RGBA
	dashes []vg.Length
}{
	{WCT11, "WCT", color.RGBA{0, 114, 178, 255}, nil},
	{WCT11Normalised, "WCT, normalised", color.RGBA{86, 180, 233, 255}, []vg.Length{vg.Points(5), vg.Points(3)}},
	{LFT, "LFT", color.RGBA{213, 94, 0, 255}, nil},
	{TFT, "TFT", color.RGBA{0, 158, 115, 255}, nil},
	{OCT, "oct (ours)", color.RGBA{204, 121, 167, 255}, nil},
	{Random, "random tree", color.RGBA{110, 110, 110, 255}, []vg.Length{vg.Points(2), vg.Points(2)}},
	{Gossip, "gossip", color.RGBA{160, 130, 0, 255}, []vg.Length{vg.Points(2), vg.Points(2)}},
	{Star, "star", color.RGBA{0, 0, 0, 255}, []vg.Length{vg.Points(1), vg.Points(3)}},
	{LowerBound, "lower bound", color.RGBA{0, 0, 0, 255}, nil},
}

var figureTitles = map[Figure]struct{ title, axis string }{
	Figure6: {"overall trust", "trust"},
	Figure7: {"concurrent communication time", "ms"},
	Figure8: {"node concurrency", "transfers at once"},
}

// WritePlot draws one picture as "svg" or "png".
func (r *Results) WritePlot(w io.Writer, p Plot, format string) error {
	title := figureTitles[p.Figure]
	pl := plot.New()
	pl.Title.Text = fmt.Sprintf("Figure %s: %s, %s overheads, weights %s", p.Figure, title.title, p.Overheads, p.Weights)
	pl.X.Label.Text, pl.Y.Label.Text = "nodes", title.axis
	pl.X.Min = 0
	if p.Figure != Figure6 {
		pl.Y.Min = 0
	}
	pl.Legend.Top = p.Figure != Figure6
	pl.Legend.Left = p.Figure != Figure6
	pl.Legend.XOffs, pl.Legend.YOffs = vg.Points(8), vg.Points(-4)
	if p.Figure == Figure6 {
		pl.Legend.XOffs, pl.Legend.YOffs = vg.Points(-8), vg.Points(24)
	}
	pl.Legend.TextStyle.Font.Size = vg.Points(8)
	pl.Legend.ThumbnailWidth = vg.Points(24)
	pl.Add(plotter.NewGrid())
	metric := figureMetrics[p.Figure][0]
	for k, line := range shown {
		m := line.method
		if p.Weights == "3:2" && (m == WCT11 || m == WCT11Normalised) {
			m++
		}
		if p.Figure == Figure8 && m == Star {
			continue // n-1 by definition, and far above the rest
		}
		if err := r.addLine(pl, p.Overheads, m, metric, k); err != nil {
			return fmt.Errorf("plot %s: %w", p.Name(), err)
		}
	}
	to, err := pl.WriterTo(vg.Points(460), vg.Points(300), format)
	if err != nil {
		return fmt.Errorf("plot %s: %w", p.Name(), err)
	}
	if _, err := to.WriteTo(w); err != nil {
		return fmt.Errorf("write plot %s: %w", p.Name(), err)
	}
	return nil
}

// points are means over n with their intervals.
type points struct {
	plotter.XYs
	plotter.YErrors
}

// addLine draws the k-th of shown, as method m.
func (r *Results) addLine(pl *plot.Plot, model Overheads, m Method, metric Metric, k int) error {
	var p points
	for _, n := range r.Options.Sizes {
		s := summary(r.of(model, n), m, metric)
		if math.IsNaN(s.Mean) {
			continue
		}
		p.XYs = append(p.XYs, plotter.XY{X: float64(n), Y: s.Mean})
		p.YErrors = append(p.YErrors, struct{ Low, High float64 }{s.Mean - s.Low, s.High - s.Mean})
	}
	if len(p.XYs) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(p.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(p)
	if err != nil {
		return err
	}
	style := shown[k]
	line.Color, line.Width, line.Dashes = style.colour, vg.Points(1.2), style.dashes
	dots.GlyphStyle = draw.GlyphStyle{Color: style.colour, Radius: vg.Points(2), Shape: plotutil.Shape(k)}
	bars.Color = style.colour
	pl.Add(line, dots, bars)
	pl.Legend.Add(style.label, line, dots)
	return nil
}
