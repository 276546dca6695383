package agent

import (
	"fmt"
	"math"
	"strconv"

	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/model/waveform"
	"fairwatt/proto/wire"
)

// A waveWatch looks for disturbances within cycles in the windows that a sensor
// takes of one conductor. It warns, and has no say in the gate. Residual voltages and
// currents need all conductors at one moment, which a sensor with one converter does
// not have.
type waveWatch struct {
	source   sensor.Waver
	wave     int // its index there
	channel  model.Channel
	samples  model.Channel // of the waveform
	detector *waveform.Detector
	id       string // of the alert that stands
}

// newWaveWatches makes one for each conductor whose waveform is sampled.
func newWaveWatches(sensors []sensor.Sensor, judge model.Config) (out []waveWatch, err error) {
	for _, one := range sensors {
		w, ok := one.(sensor.Waver)
		if !ok {
			continue
		}
		for i, c := range w.WaveChannels() {
			samples, ok := waveOf(c)
			if !ok {
				continue
			}
			cfg := waveform.DefaultConfig()
			cfg.NominalHz, cfg.NominalV, cfg.RatedA = judge.NominalFreqHz, judge.NominalVoltageV, judge.RatedCurrentA
			d, err := waveform.New(cfg, []model.Channel{samples})
			if err != nil {
				return nil, fmt.Errorf("waveform of %s: %w", c, err)
			}
			out = append(out, waveWatch{source: w, wave: i, channel: c, samples: samples, detector: d})
		}
	}
	return out, nil
}

// waveOf is the channel of the samples of a conductor's voltage or current; the
// neutral's alone says nothing.
func waveOf(c model.Channel) (model.Channel, bool) {
	switch {
	case c >= model.VoltageV && c < model.VoltageNV:
		return model.VoltageVInst + c - model.VoltageV, true
	case c >= model.CurrentA && c < model.CurrentNA:
		return model.CurrentAInst + c - model.CurrentA, true
	}
	return 0, false
}

// look takes the window of the last Read, which ended at tMs. The events are the
// detector's until the next call.
func (w *waveWatch) look(tMs int64, tell func(*model.Event) error) error {
	values, rate := w.source.Wave(w.wave)
	w.detector.Gap() // however soon it comes, a window is not the last one's end
	var s model.Sample
	for i, v := range values {
		s.TimeMs = tMs - int64(math.Round(float64(len(values)-1-i)*1000/rate))
		s.Set(w.samples, v)
		events := w.detector.Push(&s, rate)
		for k := range events {
			if err := tell(&events[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchWaves tells what the waveforms of the last Read show.
func (a *Agent) watchWaves() error {
	for i := range a.waves {
		w := &a.waves[i]
		if err := w.look(a.sample.TimeMs, func(e *model.Event) error { return a.waveEvent(w, e) }); err != nil {
			return err
		}
	}
	return nil
}

// waveEvent publishes an alert of a waveform. Its id is its own over restarts.
func (a *Agent) waveEvent(w *waveWatch, e *model.Event) error {
	if e.Action == model.ActionRaise {
		w.id = a.cfg.Site + "-" + a.cfg.Device + "-" + w.channel.String() + "-" + strconv.FormatInt(a.now.wallMs(), 10)
	}
	e.ID = w.id
	a.summary.Event(e)
	judged := a.judge.View()
	v := a.viewer.Alert(a.now.view(), e, judged.ClearInMs)
	b, err := view.Marshal(v)
	if err != nil {
		return err
	}
	a.log.Info("alert", "id", e.ID, "action", v.Action, "kind", v.Kind, "level", v.Level, "headline", v.Headline)
	if len(a.pending.Events) < maxPending {
		a.pending.Events = append(a.pending.Events, outbox.Event{Topic: a.publisher.topics.Of(wire.ClassAlert), Payload: b})
	}
	return nil
}
