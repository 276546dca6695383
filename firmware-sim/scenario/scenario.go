package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// maxRows bounds a trace: a year of quarter minutes.
const maxRows = 4 * 60 * 24 * 366

// Options say what to make.
type Options struct {
	Name     string // one of Names
	Seed     uint64
	Start    time.Time     // of the first interval; midnight of mean solar time is 16:00 UTC of the day before
	Interval time.Duration // of the rows, a whole number of milliseconds
	Span     time.Duration // of the trace
	Plant    Plant
}

// DefaultOptions is a day of minutes from local midnight (five days of five
// minutes for a cyclone), with the plant that suits the scenario: a turbine
// where wind is what happens.
func DefaultOptions(name string, seed uint64) Options {
	kind := PV
	if name == Squall || name == Storm || name == Cyclone || name == HotBearing {
		kind = Wind
	}
	plant := DefaultPlant(kind)
	plant.Seed = seed
	o := Options{
		Name: name, Seed: seed, Start: time.Date(2026, 6, 20, 16, 0, 0, 0, time.UTC),
		Interval: time.Minute, Span: 24 * time.Hour, Plant: plant,
	}
	if name == Cyclone { // it is known by what days before it were like
		o.Interval, o.Span = 5*time.Minute, 5*24*time.Hour
	}
	return o
}

// Validate names the first option that is wrong.
func (o Options) Validate() error {
	switch {
	case !slices.Contains(Names(), o.Name):
		return fmt.Errorf("no scenario %q: there are %s", o.Name, strings.Join(Names(), ", "))
	case o.Interval < 100*time.Millisecond || o.Interval > 6*time.Hour || o.Interval%time.Millisecond != 0:
		return fmt.Errorf("interval %v, want whole milliseconds from 100ms to 6h", o.Interval)
	case o.Span < o.Interval || o.Span/o.Interval > maxRows:
		return fmt.Errorf("a span of %v in intervals of %v, want 1 to %d rows", o.Span, o.Interval, maxRows)
	case o.Start.Year() < 1990 || o.Start.Year() > 2100:
		return fmt.Errorf("start %v, want a year from 1990 to 2100", o.Start)
	}
	return o.Plant.Validate()
}

// The labels: truth for evaluation, shown to no rule and no network.
const (
	LabelThunder = "label_thunder" // lightning in the interval
	LabelLine    = "label_line"    // the grid's voltage is disturbed
	LabelPlant   = "label_plant"   // something is wrong with the plant or its meter
)

// Labels lists the label columns of a scenario.
func (o Options) Labels() []string {
	labels := []string{LabelThunder, LabelLine}
	if o.faulty() {
		labels = append(labels, LabelPlant)
	}
	return labels
}

// faulty scenarios are about the plant, not the weather.
func (o Options) faulty() bool {
	return o.Name == LostString || o.Name == HotBearing || o.Name == MeterDrift
}

// A Row is one interval; the sample's TimeMs is the Unix time of its end.
type Row struct {
	Sample  model.Sample
	Thunder bool
	Line    bool
	Plant   bool
}

// Channels lists the channels of every row, in the order of a header.
func (o Options) Channels() []model.Channel {
	out := slices.Clone(electrical)
	if o.Name == HotBearing {
		out = append(out, model.VibrationMPS2, model.RotorRPM)
	}
	return append(out, model.TemperatureC, model.HumidityPct, model.PressureHPa,
		model.WindSpeedMPS, model.WindGustMPS, model.WindDirectionDeg, model.RainMM, model.Raining,
		model.IrradianceWPM2, model.LightningKM, model.LightningCount)
}

// Generate makes the rows one after the other and hands each to emit; an error
// of emit stops it and is returned. The same options give the same rows.
func Generate(o Options, emit func(*Row) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	e := newEvent(o)
	sky := newWeather(o, e)
	composer, err := NewComposer(o.Plant)
	if err != nil {
		return err
	}
	// The weather steps at a minute or finer and meets every row's end.
	steps := int64((o.Interval + time.Minute - 1) / time.Minute)
	dt := o.Interval / time.Duration(steps)
	for since := o.Interval; since <= o.Span; since += o.Interval {
		gathered := newTally()
		for k := steps - 1; k >= 0; k-- {
			t := o.Start.Add(since - time.Duration(k)*dt)
			gathered.add(sky.at(t, dt.Seconds()), dt.Seconds())
		}
		var row Row
		row.Sample.TimeMs = o.Start.Add(since).UnixMilli()
		gathered.into(&row.Sample)
		pu := e.voltagePU(since, o.Interval)
		composer.SetVoltagePU(pu)
		fault := e.plantFault(since.Seconds())
		composer.SetFault(fault)
		if err := composer.Compose(&row.Sample); err != nil {
			return err
		}
		if o.Name == HotBearing {
			composer.machinery(&row.Sample, o.Interval.Seconds())
		}
		row.Thunder, row.Line, row.Plant = gathered.sum.flashes > 0, pu != 1, fault.any()
		if err := emit(&row); err != nil {
			return err
		}
	}
	return nil
}
