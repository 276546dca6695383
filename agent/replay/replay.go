package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/model/waveform"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// A SampleSource gives samples in order and io.EOF at the end; a trace reader
// is one.
type SampleSource interface {
	Next(*model.Sample) error
}

// A Replay runs the judgement of a live agent over recorded samples.
type Replay struct {
	Judge *model.Judge
	// Events gets one JSON line an event and the summary last; nil for none.
	Events io.Writer
	// Scores also writes the network's scores.
	Scores bool
	// All gets every event, scores included; nil for none.
	All io.Writer
	// Speed is trace seconds per wall second; 0 is as fast as can be. The
	// events do not depend on it.
	Speed float64
	// Pipe gets the views a live agent would publish; nil for none.
	Pipe   mqtt.Pipe
	Topics wire.Topics
	// Simulated marks the views.
	Simulated bool
	// Waveform judges waveform samples, next to the judge; nil for none. SampleRate
	// gives the sampling rate (Hz) at the sample that the source gave last.
	Waveform   *waveform.Detector
	SampleRate func() float64
	// UnixTime says, once the first sample is there, whether the source's times
	// are Unix times rather than times since its start; nil is no. The time
	// of day serves the usual pressure of an hour and the sun's height.
	UnixTime func() bool
	// FillRMS hands the judge the RMS values and the frequency of the waveforms
	// if the trace has none.
	FillRMS bool
	// Words are what people say on the way, in the order of their times.
	Words []word.Line
	// LeftOut says, at the end, what was not judged or read; nil is nothing.
	LeftOut func() []model.LeftOut
	// Price is money for a kWh, for what rules cost; 0 for none.
	Price float64

	out     *bufio.Writer
	all     *bufio.Writer
	line    []byte
	summary model.Summary
	viewer  *view.Writer
	said    []said
}

// Run replays to the end of the source. The summary is complete also when it
// ends early by an error.
func (r *Replay) Run(ctx context.Context, source SampleSource) (*model.Summary, error) {
	if r.Events != nil {
		r.out = bufio.NewWriterSize(r.Events, 1<<16)
	}
	if r.Pipe != nil {
		r.viewer = &view.Writer{Device: r.Topics.Device, Simulated: r.Simulated, Set: func(class string, qos byte, retained bool, payload []byte) error {
			return r.Pipe.Publish(ctx, r.Topics.Of(class), qos, retained, payload)
		}}
	}
	if r.All != nil {
		r.all = bufio.NewWriterSize(r.All, 1<<16)
	}
	err := r.run(ctx, source)
	if r.all != nil {
		err = errors.Join(err, r.all.Flush())
	}
	if r.LeftOut != nil {
		r.summary.LeftOut = r.LeftOut()
	}
	r.summary.Cost, r.summary.EnergyFrom = r.Judge.Tolls()
	r.summary.Price = r.Price
	if err == nil && r.out != nil {
		_, err = r.out.Write(append(r.summary.AppendJSON(r.line[:0]), '\n'))
	}
	if r.out != nil {
		err = errors.Join(err, r.out.Flush())
	}
	return &r.summary, err
}

func (r *Replay) run(ctx context.Context, source SampleSource) error {
	var sample model.Sample
	var first, last int64
	pace := pacer{speed: r.Speed}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := source.Next(&sample)
		if errors.Is(err, io.EOF) {
			if r.summary.Samples == 0 {
				return nil
			}
			return r.lastWords(ctx, &pace, last)
		}
		if err != nil {
			return err
		}
		if r.summary.Samples == 0 {
			if err := r.timeWords(sample.TimeMs); err != nil {
				return err
			}
		}
		if err := r.until(ctx, &pace, sample.TimeMs); err != nil {
			return err
		}
		if err := pace.wait(ctx, sample.TimeMs); err != nil {
			return err
		}
		last = sample.TimeMs
		r.summary.Sample(last)
		waves := r.waveforms(&sample)
		if r.summary.Samples == 1 {
			first = sample.TimeMs
			if r.UnixTime != nil && r.UnixTime() {
				if err := r.Judge.SetWall(first, first); err != nil {
					return err
				}
			}
		}
		// The judge waits for the first values of the waveforms, or it would begin
		// with an alert that they are missing.
		if !r.FillRMS || sample.TimeMs-first >= warmUpMs {
			if err := r.events(r.Judge.Step(&sample)); err != nil {
				return err
			}
		}
		if err := r.events(waves); err != nil {
			return err
		}
	}
}

// warmUpMs is enough for the first window of waveforms to be complete.
const warmUpMs = 300

// waveforms returns what the waveforms say at a sample; nothing of it reaches
// the gate but the RMS values that FillRMS asks for.
func (r *Replay) waveforms(s *model.Sample) []model.Event {
	if r.Waveform == nil {
		return nil
	}
	events := r.Waveform.Push(s, r.SampleRate())
	if r.FillRMS {
		r.Waveform.Fill(s)
	}
	return events
}

func (r *Replay) events(events []model.Event) error {
	for i := range events {
		e := &events[i]
		if r.all != nil {
			r.line = append(e.AppendJSON(r.line[:0]), '\n')
			if _, err := r.all.Write(r.line); err != nil {
				return fmt.Errorf("write events: %w", err)
			}
		}
		if e.Type == model.EventScore && !r.Scores {
			continue
		}
		r.summary.Event(e)
		if r.out != nil {
			r.line = append(e.AppendJSON(r.line[:0]), '\n')
			if _, err := r.out.Write(r.line); err != nil {
				return fmt.Errorf("write events: %w", err)
			}
		}
		if r.viewer != nil {
			if err := r.publish(e); err != nil {
				return fmt.Errorf("publish replay: %w", err)
			}
		}
	}
	return nil
}

// publish shows an event as a live agent would; the trace's time is the time.
func (r *Replay) publish(e *model.Event) error {
	now := view.Moment{Wall: time.UnixMilli(e.TimeMs), Synced: true}
	judged := r.Judge.View()
	switch e.Type {
	case model.EventGate:
		r.viewer.GateWall = now.Wall
		return r.viewer.Gate(now, &judged, 0)
	case model.EventAck:
		return r.viewer.Show(wire.ClassAlert, 1, false, r.viewer.Alert(now, e, judged.ClearInMs))
	case model.EventAlert:
		if err := r.viewer.Show(wire.ClassAlert, 1, false, r.viewer.Alert(now, e, judged.ClearInMs)); err != nil {
			return err
		}
		return r.viewer.Hazards(now, &judged, false)
	}
	return nil
}

// A pacer maps trace time to wall time; with speed 0 it never waits.
type pacer struct {
	speed   float64
	began   bool
	startMs int64
	start   time.Time
}

func (p *pacer) wait(ctx context.Context, tMs int64) error {
	if p.speed == 0 {
		return nil
	}
	if !p.began {
		p.began, p.startMs, p.start = true, tMs, time.Now()
	}
	after := time.Duration(float64(tMs-p.startMs) / p.speed * float64(time.Millisecond))
	timer := time.NewTimer(time.Until(p.start.Add(after)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
