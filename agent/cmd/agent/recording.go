package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"fairwatt/agent"
	"fairwatt/agent/replay"
	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/model/trace/comtrade"
	"fairwatt/model/waveform"
	"fairwatt/proto/brief"
)

// A recording is what a replay reads: a trace or a COMTRADE recording.
type recording interface {
	replay.SampleSource
	io.Closer
	Meta() trace.Meta
	Channels() []model.Channel
}

func (f *replayFlags) open() (recording, error) {
	if !comtrade.IsRecording(f.trace) {
		if f.mapFile != "" {
			return nil, usageError{errors.New("replay: --map is for COMTRADE recordings (.cfg, .cff)")}
		}
		return trace.Open(f.trace, trace.Options{IgnoreUnknown: f.ignoreUnknown, TakeCut: true})
	}
	var channels *comtrade.Map
	if f.mapFile != "" {
		text, err := os.ReadFile(f.mapFile)
		if err != nil {
			return nil, fmt.Errorf("read recording map: %w", err)
		}
		if channels, err = comtrade.ParseMap(text); err != nil {
			return nil, fmt.Errorf("%s: %w", f.mapFile, err)
		}
	}
	return comtrade.Open(f.trace, channels)
}

// waveforms is how a replay judges waveforms; the detector is nil where there
// are none.
type waveforms struct {
	detector *waveform.Detector
	rate     func() float64
	fill     bool
}

// waveforms fits the judge's configuration to the recording, and makes a
// detector for its waveforms. The nominal voltage is that of the trace or of the
// recording's map, and for a trace the configuration's; a recording is of another
// place than the agent's. Without one dips are judged against the voltage before,
// and the gate's rules get no RMS values, for they know only nominal.
func (f *replayFlags) waveforms(cfg *agent.Config, source recording) (w waveforms, err error) {
	meta, channels := source.Meta(), source.Channels()
	if _, isTrace := source.(*trace.Reader); isTrace && f.config == "" {
		if err := meta.CheckNominal(channels); err != nil {
			return w, fmt.Errorf("%w, or use --config", err)
		}
	}
	if !waveform.Has(channels) {
		trace.Configure(&cfg.Judge, meta, channels)
		return w, nil
	}
	c := waveform.DefaultConfig()
	fault, isComtrade := source.(*comtrade.Reader)
	if f.config != "" && !isComtrade {
		c.NominalHz, c.NominalV, c.RatedA = cfg.Judge.NominalFreqHz, cfg.Judge.NominalVoltageV, cfg.Judge.RatedCurrentA
	}
	if isComtrade {
		c.NeutralConductor = fault.NeutralConductor()
	}
	if meta.NominalFreqHz > 0 {
		c.NominalHz = meta.NominalFreqHz
	}
	if meta.NominalVoltage > 0 {
		c.NominalV = meta.NominalVoltage
	}
	if isComtrade && meta.NominalFreqHz == 0 {
		logger(slog.LevelInfo).Warn("the recording says no line frequency; a map can (nominal_frequency_hz)", "taken_hz", c.NominalHz)
	}
	if w.detector, err = waveform.New(c, channels); err != nil {
		return w, fmt.Errorf("waveforms of %s: %w", f.trace, err)
	}
	if w.fill = c.NominalV > 0; w.fill {
		for _, ch := range w.detector.Composed() {
			channels = appendOnce(channels, ch)
		}
	}
	trace.Configure(&cfg.Judge, meta, channels)
	if isComtrade {
		w.rate = fault.SampleRateHz
		return w, nil
	}
	rate := 0.0
	if meta.IntervalS > 0 {
		rate = 1 / meta.IntervalS
	}
	w.rate = func() float64 { return rate }
	return w, nil
}

// leftOut is what of a recording was not judged or not read, once it is read.
func leftOut(source recording, w *waveforms) (out []model.LeftOut) {
	add := func(count int, names []string, what string) {
		if count > 0 {
			out = append(out, model.LeftOut{What: what, Count: count, Names: someNames(names)})
		}
	}
	switch r := source.(type) {
	case *comtrade.Reader:
		add(len(r.Unmapped()), r.Unmapped(), "analog channels not judged (a map can name them)")
		add(len(r.Config().Digitals), nil, "status channels not judged")
	case *trace.Reader:
		add(r.Skipped(), nil, "columns not read: no channel")
		if err := r.Cut(); err != nil {
			add(1, []string{err.Error()}, "last line left out: it has no line end")
		}
	}
	if w.detector != nil {
		add(int(w.detector.Skipped()), nil, "waveform samples not judged: the sampling rate is unknown, below 8 samples a cycle or above 100 kHz")
	}
	return out
}

// someNames lists the first few names.
func someNames(names []string) string {
	const some = 8
	var out []string
	for _, n := range names[:min(len(names), some)] {
		out = append(out, brief.Text(n))
	}
	if len(names) > some {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}

// tellLeftOut says on stderr what was left out.
func tellLeftOut(list []model.LeftOut, of ...any) {
	log := logger(slog.LevelInfo).With(of...)
	for _, l := range list {
		log.Warn("left out", "what", l.What, "count", l.Count, "names", l.Names)
	}
}

func appendOnce(channels []model.Channel, c model.Channel) []model.Channel {
	for _, have := range channels {
		if have == c {
			return channels
		}
	}
	return append(channels, c)
}
