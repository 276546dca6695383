package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
)

// maxRows bounds a trace: a year of quarter minutes.
const maxRows = 4 * 60 * 24 * 366

// Bounds of where one event is played: a day's way of a squall line, and the gales of
// a cyclone.
const (
	maxLate     = 48 * time.Hour
	maxBesideKM = 500.0
)

// Options say what to make.
type Options struct {
	Name     string // one of Names
	Seed     uint64
	Start    time.Time     // of the first interval; midnight of mean solar time is 16:00 UTC of the day before
	Interval time.Duration // of the rows, a whole number of milliseconds
	Span     time.Duration // of the trace
	Plant    Plant
	// Late is how much later than usual the event comes, and BesideKM how far the
	// place lies to the north-east of the usual one, across a cyclone's track: with
	// them one event crosses many places. 0 is the usual.
	Late     time.Duration
	BesideKM float64
}

// DefaultOptions returns a day of minutes from local midnight, with the plant
// that suits the scenario: a turbine if the scenario is about wind. A cyclone has
// six days in steps of ten minutes, because its rule compares with the pressure
// of the days before.
func DefaultOptions(name string, seed uint64) Options {
	kind := PV
	switch name {
	case Squall, Storm, Cyclone, HotBearing:
		kind = Wind
	}
	plant := DefaultPlant(kind)
	plant.Seed = seed
	o := Options{
		Name: name, Seed: seed, Start: time.Date(2026, 6, 20, 16, 0, 0, 0, time.UTC),
		Interval: time.Minute, Span: 24 * time.Hour, Plant: plant,
	}
	if name == Cyclone {
		o.Interval, o.Span = 10*time.Minute, 6*24*time.Hour
	}
	return o
}

// Validate names the first wrong option.
func (o Options) Validate() error {
	switch {
	case !slices.Contains(Names(), o.Name):
		return fmt.Errorf("no scenario %q: there are %s", o.Name, strings.Join(Names(), ", "))
	case o.Interval < 100*time.Millisecond || o.Interval > 6*time.Hour || o.Interval%time.Millisecond != 0:
		return fmt.Errorf("interval %v, want whole milliseconds from 100ms to 6h", o.Interval)
	case o.Span < o.Interval || o.Span/o.Interval > maxRows:
		return fmt.Errorf("a span of %v in intervals of %v, want 1 to %d rows", o.Span, o.Interval, maxRows)
	case o.Late < 0 || o.Late > maxLate || !(math.Abs(o.BesideKM) <= maxBesideKM):
		return fmt.Errorf("%v late and %g km beside, want 0 to %v and -%g to %g", o.Late, o.BesideKM, maxLate, maxBesideKM, maxBesideKM)
	case o.Start.Year() < 1990 || o.Start.Year() > 2100:
		return fmt.Errorf("start %v, want a year from 1990 to 2100", o.Start)
	}
	return o.Plant.Validate()
}

// The labels are truth for evaluation. No rule and no network sees them.
const (
	LabelThunder = "label_thunder" // lightning in the interval
	LabelLine    = "label_line"    // the grid's voltage is disturbed

	LabelCyclone   = "label_cyclone"   // within the gales around a cyclone's centre, or in its eye
	LabelEquipment = "label_equipment" // the plant has a fault, up to its repair
	LabelSensor    = "label_sensor"    // a sensor or meter is wrong
)

// Labels lists the label columns of a scenario: thunder, line, and the scenario's
// own label if it has another.
func Labels(name string) []string {
	labels := []string{LabelThunder, LabelLine}
	switch name {
	case Cyclone:
		return append(labels, LabelCyclone)
	case LostString, HotBearing:
		return append(labels, LabelEquipment)
	case MeterDrift:
		return append(labels, LabelSensor)
	}
	return labels
}

// A Row is one interval; the sample's TimeMs is the Unix time of its end.
type Row struct {
	Sample  model.Sample
	Thunder bool
	Line    bool
	Special bool // the third of Labels, if there is one
}

// Channels lists the channels of every row, in the order of a header. Only the
// scenario about a turbine's bearing has the bearing's channels.
func (o Options) Channels() []model.Channel {
	channels := slices.Clone(electrical)
	if o.bearing() {
		channels = append(channels, model.VibrationMPS2, model.RotorRPM)
	}
	return append(channels, model.TemperatureC, model.HumidityPct, model.PressureHPa,
		model.WindSpeedMPS, model.WindGustMPS, model.WindDirectionDeg, model.RainMM, model.Raining,
		model.IrradianceWPM2, model.LightningKM, model.LightningCount)
}

func (o Options) bearing() bool { return o.Name == HotBearing && o.Plant.Kind == Wind }

// Generate makes the rows one after the other and hands each to emit. It stops at
// emit's first error and returns it. The same options give the same rows.
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
	shaking := newNoise(o.Seed, "vibration", 60)
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
		composer.fault = e.faultAt(since.Seconds(), o.Plant.Kind)
		if err := composer.Compose(&row.Sample); err != nil {
			return err
		}
		if o.bearing() {
			composer.shake(&row.Sample, shaking.within(o.Interval.Seconds(), 3))
		}
		composer.misread(&row.Sample)
		row.Thunder, row.Line = gathered.sum.flashes > 0, pu != 1
		row.Special = composer.fault.active
		if o.Name == Cyclone {
			row.Special = e.vortex.km((since.Seconds()-e.startS)/3600) <= e.vortex.galeKM
		}
		if err := emit(&row); err != nil {
			return err
		}
	}
	return nil
}
