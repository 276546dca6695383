package scenario

import (
	"fmt"
	"io"
	"slices"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// Write writes a scenario as a trace (CSV, version 1), row by row.
func Write(w io.Writer, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	out, err := trace.NewWriter(w, o.meta(), o.Channels(), trace.WriterOptions{Labels: Labels(o.Name)})
	if err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	if err := Generate(o, func(r *Row) error { return out.WriteRow(&r.Sample, r.labels(o.Name)) }); err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	return out.Flush()
}

// New returns a scenario as a trace in memory.
func New(o Options) (*trace.Trace, error) {
	tr := &trace.Trace{Meta: o.meta(), Channels: o.Channels(), Labels: Labels(o.Name)}
	err := Generate(o, func(r *Row) error {
		tr.Rows = append(tr.Rows, trace.Row{Sample: r.Sample, Labels: r.labels(o.Name)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tr, nil
}

func (r *Row) labels(scenario string) map[string]float64 {
	truth := []bool{r.Thunder, r.Line, r.Special}
	m := map[string]float64{}
	for i, name := range Labels(scenario) {
		m[name] = boolean(truth[i])
	}
	return m
}

func (o Options) meta() trace.Meta {
	return trace.Meta{
		Site: "sim-" + o.Name, Position: model.Position{Latitude: latitude, Longitude: longitude}, HasPosition: true,
		IntervalS: o.Interval.Seconds(), NominalVoltage: o.Plant.NominalVoltageV, NominalFreqHz: o.Plant.NominalFrequencyHz,
		Source:  fmt.Sprintf("firmware-sim scenario %s, seed %d, %s plant", o.Name, o.Seed, o.Plant.Kind),
		Licence: "Apache-2.0", Simulated: true,
		Note: Describe(o.Name) + "; time is the end of the interval, gust its largest; lightning_km 63 is out of range",
	}
}

// Compose returns a copy of a recorded trace in which a plant stands in the
// recorded weather: every electrical channel that the trace has no column for
// is computed and listed in the metadata's composed key. Recorded columns stay
// as they are, gaps included. A PV plant needs irradiance and temperature, a
// turbine wind and temperature; a trace without them is an error that names
// the channel. The same trace and plant give the same result.
func Compose(tr *trace.Trace, plant Plant) (*trace.Trace, error) {
	needs := []model.Channel{model.TemperatureC, model.IrradianceWPM2}
	if plant.Kind == Wind {
		needs[1] = model.WindSpeedMPS
	}
	if !slices.Contains(tr.Channels, model.PowerW) {
		for _, n := range needs {
			if !slices.Contains(tr.Channels, n) {
				return nil, fmt.Errorf("compose a %s plant: the trace has no %s", plant.Kind, n)
			}
		}
	}
	composer, err := NewComposer(plant)
	if err != nil {
		return nil, err
	}
	out := &trace.Trace{Meta: tr.Meta, Labels: tr.Labels, Rows: make([]trace.Row, 0, len(tr.Rows))}
	out.Channels = slices.Clone(tr.Channels)
	out.Meta.Composed = slices.Clone(tr.Meta.Composed)
	for _, ch := range electrical {
		if !slices.Contains(tr.Channels, ch) {
			out.Channels = append(out.Channels, ch)
			out.Meta.Composed = append(out.Meta.Composed, ch.String())
		}
	}
	if out.Meta.NominalVoltage == 0 {
		out.Meta.NominalVoltage = plant.NominalVoltageV
	}
	if out.Meta.NominalFreqHz == 0 {
		out.Meta.NominalFreqHz = plant.NominalFrequencyHz
	}
	for i := range tr.Rows {
		row := trace.Row{Sample: tr.Rows[i].Sample, Labels: tr.Rows[i].Labels}
		if err := composer.Compose(&row.Sample); err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		for _, ch := range electrical { // an empty cell in a recorded column stays empty
			if tr.Rows[i].Sample.Validity[ch] == model.Absent && slices.Contains(tr.Channels, ch) {
				row.Sample.Values[ch], row.Sample.Validity[ch] = 0, model.Absent
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}
