package replayplot

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// A group is the channels that one panel shows.
type group struct {
	unit     string
	channels []model.Channel
}

var groups = []group{
	{"wind, m/s", []model.Channel{model.WindSpeedMPS, model.WindGustMPS}},
	{"pressure, hPa", []model.Channel{model.PressureHPa}},
	{"lightning, km", []model.Channel{model.LightningKM}},
	{"rain, mm", []model.Channel{model.RainMM}},
	{"temperature, C", []model.Channel{model.TemperatureC, model.EquipmentTemperatureC}},
	{"humidity, %", []model.Channel{model.HumidityPct}},
	{"light, W/m2", []model.Channel{model.IrradianceWPM2}},
	{"voltage, V", []model.Channel{model.VoltageV, model.VoltageAV, model.VoltageBV, model.VoltageCV}},
	{"current, A", []model.Channel{model.CurrentA, model.CurrentAA, model.CurrentBA, model.CurrentCA}},
	{"frequency, Hz", []model.Channel{model.FrequencyHz}},
	{"power, W", []model.Channel{model.PowerW}},
	{"DC, V", []model.Channel{model.DCVoltageV}},
	{"DC, A", []model.Channel{model.DCCurrentA}},
	{"leakage, mA", []model.Channel{model.LeakageMA}},
	{"insulation, kohm", []model.Channel{model.InsulationKOhm}},
	{"vibration, m/s2", []model.Channel{model.VibrationMPS2}},
	{"voltage, V", []model.Channel{model.VoltageVInst, model.VoltageAVInst, model.VoltageBVInst, model.VoltageCVInst, model.VoltageNVInst}},
	{"current, A", []model.Channel{model.CurrentAInst, model.CurrentAAInst, model.CurrentBAInst, model.CurrentCAInst, model.CurrentNAInst}},
}

var lineColours = []color.RGBA{blue, vermilion, green, purple, orange, sky}

// farKM is what a lightning sensor gives for "out of range".
const farKM = 63

// channelPanels are the groups that have a column with values in the trace.
func (p *picture) channelPanels(t *trace.Trace) ([]*plot.Plot, error) {
	var out []*plot.Plot
	for _, g := range groups {
		var pl *plot.Plot
		for i, c := range g.channels {
			if !slices.Contains(t.Channels, c) {
				continue
			}
			runs := p.runs(t, c)
			if len(runs) == 0 {
				continue
			}
			if pl == nil {
				pl = newPanel(g.unit)
			}
			name := c.String()
			if len(g.channels) == 1 { // the axis says it
				name = ""
			}
			if err := addRuns(pl, runs, name, lineColours[i%len(lineColours)], c == model.LightningKM); err != nil {
				return nil, fmt.Errorf("draw %s: %w", c, err)
			}
		}
		if pl != nil {
			out = append(out, pl)
		}
	}
	return out, nil
}

func newPanel(unit string) *plot.Plot {
	pl := plot.New()
	pl.Add(plotter.NewGrid())
	pl.Y.Label.Text = unit
	pl.Y.Tick.Marker = plot.TickerFunc(plainTicks)
	pl.Y.Label.TextStyle.Font.Size = 10
	pl.Legend.Top = true
	pl.Legend.TextStyle.Font = font.From(plot.DefaultFont, 9)
	pl.Legend.ThumbnailWidth = vg.Points(14)
	return pl
}

// plainTicks are gonum's, with as many digits as tell them apart.
func plainTicks(lo, hi float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(lo, hi)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(math.Round(ticks[i].Value*1e6)/1e6, 'f', -1, 64)
		}
	}
	return ticks
}

// runs are the stretches of a channel between its gaps, as the lowest and
// highest value of each bit of the axis.
func (p *picture) runs(t *trace.Trace, c model.Channel) []plotter.XYs {
	gapS := 1.5*t.Meta.IntervalS + 0.001
	if t.Meta.IntervalS == 0 {
		gapS = math.Inf(1)
	}
	var out []plotter.XYs
	var run plotter.XYs
	var bit envelope
	end := func() {
		run = bit.into(run)
		if len(run) > 0 {
			out = append(out, run)
		}
		run = nil
	}
	last := math.Inf(-1)
	for i := range t.Rows {
		s := &t.Rows[i].Sample
		x := p.seconds(s.TimeMs)
		v, ok := s.Get(c)
		if c == model.LightningKM && v >= farKM {
			ok = false
		}
		if !ok || x-last > gapS {
			end()
		}
		if !ok {
			continue
		}
		last = x
		if n := int(x / p.endS * points); n != bit.number {
			run = bit.into(run)
			bit.number = n
		}
		bit.add(x, v)
	}
	end()
	return out
}

// An envelope is what is drawn of one bit of the axis.
type envelope struct {
	number    int
	any       bool
	low, high plotter.XY
}

func (e *envelope) add(x, v float64) {
	if !e.any || v < e.low.Y {
		e.low = plotter.XY{X: x, Y: v}
	}
	if !e.any || v > e.high.Y {
		e.high = plotter.XY{X: x, Y: v}
	}
	e.any = true
}

// into appends the two ends in order of time and empties the envelope.
func (e *envelope) into(run plotter.XYs) plotter.XYs {
	if !e.any {
		return run
	}
	e.any = false
	if e.low == e.high {
		return append(run, e.low)
	}
	ends := []plotter.XY{e.low, e.high}
	slices.SortStableFunc(ends, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
	return append(run, ends...)
}

func addRuns(pl *plot.Plot, runs []plotter.XYs, name string, colour color.RGBA, dotted bool) error {
	for i, run := range runs {
		if dotted || len(run) == 1 {
			dots, err := plotter.NewScatter(run)
			if err != nil {
				return err
			}
			dots.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{}}
			pl.Add(dots)
			if i == 0 && name != "" {
				pl.Legend.Add(name, dots)
			}
			continue
		}
		line, err := plotter.NewLine(run)
		if err != nil {
			return err
		}
		line.LineStyle = draw.LineStyle{Color: colour, Width: vg.Points(1)}
		pl.Add(line)
		if i == 0 && name != "" {
			pl.Legend.Add(name, line)
		}
	}
	return nil
}

// scorePanel shows the scores of each kind and, dashed, from where they warn;
// nil without scores.
func (p *picture) scorePanel(e *Events, thresholds map[string]float64) *plot.Plot {
	byKind := map[string]plotter.XYs{}
	top := 0.0
	for _, s := range e.scores {
		for kind, v := range s.p {
			byKind[kind] = append(byKind[kind], plotter.XY{X: p.at(s.at), Y: v})
			top = max(top, v)
		}
	}
	if len(byKind) == 0 {
		return nil
	}
	var kinds []string
	for k := range byKind {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	pl := newPanel("network's score")
	for i, k := range kinds {
		colour := lineColours[i%len(lineColours)]
		var run plotter.XYs
		var bit envelope
		for _, xy := range byKind[k] {
			if n := int(xy.X / p.endS * points); n != bit.number {
				run = bit.into(run)
				bit.number = n
			}
			bit.add(xy.X, xy.Y)
		}
		if err := addRuns(pl, []plotter.XYs{bit.into(run)}, k, colour, false); err != nil {
			continue // a score is a probability: finite, so this does not happen
		}
		if at, ok := thresholds[k]; ok {
			pl.Add(&plotter.Line{
				XYs:       plotter.XYs{{X: 0, Y: at}, {X: p.endS, Y: at}},
				LineStyle: draw.LineStyle{Color: colour, Width: vg.Points(0.7), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}},
			})
			top = max(top, at)
		}
	}
	pl.Y.Min, pl.Y.Max = 0, min(1, top*1.1)
	return pl
}
