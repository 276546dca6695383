package replayplot

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"fairwatt/model/trace"
)

// Options say how a replay is drawn.
type Options struct {
	// Format is svg or png.
	Format string
	// Zone is the time zone of the axis; nil is UTC.
	Zone *time.Location
	// Thresholds are, by hazard kind, the scores from which the network warns.
	Thresholds map[string]float64
}

// Measures of the picture.
const (
	width       = 26 * vg.Centimeter
	rowHeight   = 0.62 * vg.Centimeter // of the first panel
	panelHeight = 3.1 * vg.Centimeter
	edges       = 1.9 * vg.Centimeter // title and time axis
	points      = 1400                // bits of the axis a line is drawn in
)

// ErrEmpty is returned for a trace without rows.
var ErrEmpty = errors.New("the trace has no rows")

// Draw writes the picture. The trace's times may be points in time or seconds from
// its start.
func Draw(w io.Writer, t *trace.Trace, e *Events, o Options) error {
	if len(t.Rows) == 0 {
		return ErrEmpty
	}
	if o.Format != "svg" && o.Format != "png" {
		return fmt.Errorf("format %q: use svg or png", o.Format)
	}
	p := newPicture(t, o)
	rows := p.rows(t, e)
	panels := []*plot.Plot{p.bands(rows)}
	if scores := p.scorePanel(e, o.Thresholds); scores != nil {
		panels = append(panels, scores)
	}
	channels, err := p.channelPanels(t)
	if err != nil {
		return err
	}
	panels = append(panels, channels...)
	p.finish(panels, t)
	height := edges + vg.Length(len(rows))*rowHeight + vg.Length(len(panels)-1)*panelHeight
	if o.Format == "svg" {
		c := vgsvg.New(width, height)
		p.compose(draw.New(c), panels, len(rows))
		_, err := c.WriteTo(w)
		return err
	}
	c := vgimg.New(width, height)
	p.compose(draw.New(c), panels, len(rows))
	_, err = vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// A picture knows the axis of time that all panels share: seconds from the
// trace's first row.
type picture struct {
	zone     *time.Location
	absolute bool // the trace's times are points in time
	startMs  int64
	endS     float64
}

// earliestMs tells points in time from seconds since a start: 1990.
const earliestMs = 631_152_000_000

func newPicture(t *trace.Trace, o Options) *picture {
	p := &picture{zone: o.Zone, startMs: t.Rows[0].Sample.TimeMs}
	if p.zone == nil {
		p.zone = time.UTC
	}
	p.absolute = p.startMs >= earliestMs
	p.endS = p.seconds(t.Rows[len(t.Rows)-1].Sample.TimeMs)
	if p.endS <= 0 {
		p.endS = max(t.Meta.IntervalS, 1)
	}
	return p
}

func (p *picture) seconds(ms int64) float64 { return float64(ms-p.startMs) / 1000 }

func (p *picture) at(t time.Time) float64 { return p.seconds(t.UnixMilli()) }

// finish gives all panels one axis; only the last shows its labels.
func (p *picture) finish(panels []*plot.Plot, t *trace.Trace) {
	title := t.Meta.Site
	if p.absolute {
		from := time.UnixMilli(p.startMs).In(p.zone)
		title += ", from " + from.Format("2 January 2006")
	}
	if t.Meta.Simulated {
		title += " (simulated)"
	}
	panels[0].Title.Text = title
	panels[0].Title.TextStyle.Font.Size = 13
	panels[0].Title.Padding = vg.Points(6)
	for i, panel := range panels {
		panel.X.Min, panel.X.Max = 0, p.endS
		panel.X.Tick.Marker = plot.TickerFunc(p.ticks)
		panel.X.Padding = 0
		if i < len(panels)-1 {
			panel.X.Tick.Marker = plot.TickerFunc(func(lo, hi float64) []plot.Tick {
				ticks := p.ticks(lo, hi)
				for i := range ticks {
					ticks[i].Label = " " // with a label, or it would have no grid line
				}
				return ticks
			})
			continue
		}
		panel.X.Label.Text = p.axisName()
		panel.X.Label.TextStyle.Font.Size = 10
	}
}

func (p *picture) axisName() string {
	if !p.absolute {
		return "seconds from the start"
	}
	name := p.zone.String()
	if name == "Local" {
		name = "local time, UTC" + time.UnixMilli(p.startMs).In(p.zone).Format("-07:00")
	}
	return "time (" + name + ")"
}

// compose draws the panels below each other. The first is as high as its rows.
func (p *picture) compose(c draw.Canvas, panels []*plot.Plot, rows int) {
	// A column of panels with aligned axes. Align makes them equally high; then
	// each gets its own height.
	grid := make([][]*plot.Plot, len(panels))
	for i := range panels {
		grid[i] = []*plot.Plot{panels[i]}
	}
	aligned := plot.Align(grid, draw.Tiles{Rows: len(panels), Cols: 1, PadLeft: vg.Points(12), PadRight: vg.Points(14)}, c)
	top := c.Max.Y
	for i := range panels {
		height := panelHeight
		if i == 0 {
			height = vg.Length(rows)*rowHeight + edges/2
		}
		if i == len(panels)-1 {
			height += edges / 2
		}
		tile := aligned[i][0]
		tile.Max.Y, tile.Min.Y = top, max(top-height, c.Min.Y)
		top -= height
		panels[i].Draw(tile)
	}
}

// ticks are round moments of the zone's calendar, as many as there is room for.
func (p *picture) ticks(_, _ float64) []plot.Tick {
	if !p.absolute || p.endS < 2 {
		return plot.DefaultTicks{}.Ticks(0, p.endS)
	}
	steps := []struct {
		every  time.Duration
		layout string
	}{
		{time.Second, "15:04:05"}, {5 * time.Second, "15:04:05"}, {15 * time.Second, "15:04:05"}, {time.Minute, "15:04"},
		{5 * time.Minute, "15:04"}, {15 * time.Minute, "15:04"}, {time.Hour, "15:04"}, {3 * time.Hour, "15:04"},
		{6 * time.Hour, "2 Jan 15:04"}, {12 * time.Hour, "2 Jan 15:04"}, {24 * time.Hour, "2 Jan"}, {48 * time.Hour, "2 Jan"},
		{7 * 24 * time.Hour, "2 Jan"}, {14 * 24 * time.Hour, "2 Jan"}, {28 * 24 * time.Hour, "2 Jan 2006"}, {91 * 24 * time.Hour, "Jan 2006"},
	}
	i := slices.IndexFunc(steps, func(s struct {
		every  time.Duration
		layout string
	},
	) bool {
		return p.endS/s.every.Seconds() <= float64(130/len(s.layout)) // as many as there is room for
	})
	if i < 0 {
		i = len(steps) - 1
	}
	step := steps[i]
	start := time.UnixMilli(p.startMs).In(p.zone)
	at := time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, p.zone)
	var out []plot.Tick
	for n := 0; n < 4000; n++ {
		x := p.at(at)
		if x > p.endS {
			break
		}
		if x >= 0 {
			out = append(out, plot.Tick{Value: x, Label: at.Format(step.layout)})
		}
		if step.every >= 24*time.Hour { // a day is not always 24 hours
			at = at.AddDate(0, 0, int(step.every/(24*time.Hour)))
		} else {
			at = at.Add(step.every)
		}
	}
	return out
}
