package replayplot

import (
	"cmp"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"fairwatt/model/trace"
)

// Okabe and Ito's colours.
var (
	green     = color.RGBA{0, 158, 115, 255}
	orange    = color.RGBA{230, 159, 0, 255}
	vermilion = color.RGBA{213, 94, 0, 255}
	blue      = color.RGBA{0, 114, 178, 255}
	sky       = color.RGBA{86, 180, 233, 255}
	purple    = color.RGBA{204, 121, 167, 255}
	grey      = color.RGBA{150, 150, 150, 255}
	black     = color.RGBA{40, 40, 40, 255}
)

// A span is one stretch of a row.
type span struct {
	from, to float64 // seconds
	colour   color.RGBA
	text     string
}

// A row of the first panel.
type row struct {
	name  string
	spans []span
}

// rows are the gate, the alerts by kind, and the labels of the trace.
func (p *picture) rows(t *trace.Trace, e *Events) []row {
	rows := []row{{"gate", p.gateSpans(e)}}
	kinds := map[string]*row{}
	open := map[string]int{} // by kind, the span that has not ended: its index + 1
	for _, a := range e.alerts {
		r := kinds[a.kind]
		if r == nil {
			r = &row{name: "alert: " + a.kind}
			kinds[a.kind] = r
		}
		at := p.at(a.at)
		if n := open[a.kind]; n > 0 {
			r.spans[n-1].to = at
			open[a.kind] = 0
		}
		if a.action == "clear" {
			continue
		}
		if n := len(r.spans); n > 0 && r.spans[n-1].to == at && r.spans[n-1].text == a.rule && (r.spans[n-1].colour == vermilion) == (a.level == "block") {
			r.spans[n-1].to, open[a.kind] = p.endS, n
			continue
		}
		colour := orange
		if a.level == "block" {
			colour = vermilion
		}
		r.spans = append(r.spans, span{at, p.endS, colour, a.rule})
		open[a.kind] = len(r.spans)
	}
	var alerts []row
	for _, r := range kinds {
		alerts = append(alerts, *r)
	}
	slices.SortFunc(alerts, func(a, b row) int { return cmp.Compare(a.name, b.name) })
	rows = append(rows, alerts...)
	for _, label := range t.Labels {
		if r := p.labelRow(t, label); len(r.spans) > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}

func (p *picture) gateSpans(e *Events) []span {
	var out []span
	for i, g := range e.gate {
		to := p.endS
		if i+1 < len(e.gate) {
			to = p.at(e.gate[i+1].at)
		}
		s := span{p.at(g.at), to, grey, ""}
		switch g.state {
		case "OPEN":
			s.colour, s.text = green, "open"
		case "CLEARING":
			s.colour, s.text = orange, "clearing"
		case "BLOCKED":
			s.colour, s.text = vermilion, strings.Join(g.rules, " ")
		}
		// Causes that come and go while others stay would cut the row into pieces.
		if n := len(out); n > 0 && out[n-1].colour == s.colour && out[n-1].text == s.text {
			out[n-1].to = s.to
			continue
		}
		out = append(out, s)
	}
	return out
}

// labelRow is a label of the trace where it is not zero. A row's value covers the
// time before it.
func (p *picture) labelRow(t *trace.Trace, label string) row {
	r := row{name: "truth: " + strings.TrimPrefix(label, trace.LabelPrefix)}
	for i := range t.Rows {
		if v := t.Rows[i].Labels[label]; v == 0 {
			continue
		}
		to := p.seconds(t.Rows[i].Sample.TimeMs)
		from := to - t.Meta.IntervalS
		if n := len(r.spans); n > 0 && r.spans[n-1].to >= from {
			r.spans[n-1].to = to
			continue
		}
		r.spans = append(r.spans, span{max(from, 0), to, black, ""})
	}
	return r
}

// bands is the first panel.
func (p *picture) bands(rows []row) *plot.Plot {
	pl := plot.New()
	pl.Add(bandPlotter{rows})
	pl.Y.Min, pl.Y.Max = -0.5, float64(len(rows))-0.5
	pl.Y.Padding = 0
	pl.Y.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick {
		var out []plot.Tick
		for i, r := range rows {
			out = append(out, plot.Tick{Value: float64(len(rows) - 1 - i), Label: r.name})
		}
		return out
	})
	pl.Y.Tick.Length = 0
	return pl
}

// bandPlotter draws the rows, the first at the top.
type bandPlotter struct{ rows []row }

// Plot implements plot.Plotter.
func (b bandPlotter) Plot(c draw.Canvas, pl *plot.Plot) {
	x, y := pl.Transforms(&c)
	style := text.Style{
		Color: color.White, Font: font.From(plot.DefaultFont, 9), XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler,
	}
	for i, r := range b.rows {
		middle := float64(len(b.rows) - 1 - i)
		for _, s := range r.spans {
			left, right := max(x(s.from), c.Min.X), min(x(s.to), c.Max.X)
			// A span too short to be seen is drawn a point wide.
			right = max(right, left+vg.Points(1))
			low, high := y(middle-0.4), y(middle+0.4)
			c.FillPolygon(s.colour, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
			if s.text != "" && style.Width(s.text)+vg.Points(4) <= right-left {
				c.FillText(style, vg.Point{X: (left + right) / 2, Y: (low + high) / 2}, s.text)
			}
		}
	}
}
