package comtrade

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// A Reader reads a recording as a trace of waveform channels, on the
// primary side, in the memory of two records.
type Reader struct {
	cfg     *Config
	dec     *Decoder
	sources []source
	left    []string
	meta    trace.Meta
	neutral bool // current N is that of a conductor
	closer  io.Closer

	recs    [2]Record // the sample to give next, and the one given last
	errs    [2]error  // why there is no such sample
	cur     int
	given   int64   // samples given
	segment int     // index into Rates
	startMs float64 // Unix ms of the first sample
	ns      float64 // from the first sample to the one given last
	firstNS float64 // time stamp of the first sample
	rateHz  float64
}

// NewReader reads data as cfg describes it; m may be nil.
func NewReader(cfg *Config, data io.Reader, m *Map) (*Reader, error) {
	if len(cfg.Rates) == 0 {
		return nil, &Error{File: "cfg", Err: errors.New("no sampling rate and no sample count")}
	}
	sources, left, err := cfg.sources(m)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, &Error{File: "cfg", Err: fmt.Errorf("no channel is known by phase and quantity (there are: %s); name them in a map",
			strings.Join(left[:min(len(left), 10)], ", "))}
	}
	r := &Reader{cfg: cfg, dec: NewDecoder(cfg, data), sources: sources, left: left}
	if !cfg.Start.IsZero() {
		r.startMs = float64(cfg.Start.UnixMicro()) / 1000
	}
	if m == nil {
		m = &Map{}
	}
	r.neutral = m.NeutralConductor
	r.fillMeta(m)
	r.errs[0] = r.dec.Next(&r.recs[0])
	return r, nil
}

func (r *Reader) fillMeta(m *Map) {
	clean := func(s string) string {
		return strings.TrimSpace(strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return ' '
			}
			return c
		}, s))
	}
	c := r.cfg
	r.meta = trace.Meta{
		Site: clean(c.Station), NominalFreqHz: c.LineHz, NominalVoltage: m.NominalVoltageV,
		Source: clean("COMTRADE " + strconv.Itoa(c.Revision) + " " + c.Format.String() + ", device " + c.Device),
	}
	if c.LineHz == 0 || m.NominalFrequencyHz > 0 {
		r.meta.NominalFreqHz = m.NominalFrequencyHz
	}
	if !c.Timed && c.Rates[0].Hz > 0 {
		r.meta.IntervalS = 1 / c.Rates[0].Hz
	}
	if !c.Trigger.IsZero() {
		r.meta.Extra = append(r.meta.Extra, trace.KeyValue{Key: "trigger", Value: c.Trigger.Format("2006-01-02T15:04:05.999999999Z")})
	}
}

// Config returns what the recording says of itself. It belongs to the reader.
func (r *Reader) Config() *Config { return r.cfg }

// Meta returns the metadata of the recording as a trace's.
func (r *Reader) Meta() trace.Meta { return r.meta }

// Channels returns the channels that the samples fill.
func (r *Reader) Channels() []model.Channel {
	var out []model.Channel
	for _, s := range r.sources {
		out = append(out, s.channel)
	}
	return out
}

// NeutralConductor says whether, by the map, current N is that of the neutral
// conductor.
func (r *Reader) NeutralConductor() bool { return r.neutral }

// Unmapped returns the names of the analog channels that the samples leave out.
func (r *Reader) Unmapped() []string { return slices.Clone(r.left) }

// SampleRateHz is the sampling rate at the newest sample: that of the
// configuration, or measured between time stamps.
func (r *Reader) SampleRateHz() float64 { return r.rateHz }

// Elapsed returns the seconds from the first sample to the newest one, finer than
// the milliseconds of a Sample.
func (r *Reader) Elapsed() float64 { return r.ns / 1e9 }

// Record returns the record of the newest sample: every analog channel in its own
// unit, and the status channels.
func (r *Reader) Record() *Record { return &r.recs[1-r.cur] }

// Close closes the file that Open opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Next reads the next sample into s. It returns io.EOF at the end. Where the
// recording is malformed or ends early it returns an error, which later calls
// repeat. A missing value leaves its channel Absent.
func (r *Reader) Next(s *model.Sample) error {
	if err := r.errs[r.cur]; err != nil {
		return err
	}
	now, ahead := &r.recs[r.cur], &r.recs[1-r.cur]
	before := ahead.Stamp // of the sample given before; about to be overwritten
	if r.cfg.Timed && r.given > 0 && ahead.HasStamp {
		before = r.stampNS(ahead)
	}
	r.errs[1-r.cur] = r.dec.Next(ahead)
	if err := r.clock(now, ahead, before); err != nil {
		r.errs[r.cur] = &Error{File: "dat", Line: r.given + 1, Err: err}
		return r.errs[r.cur]
	}
	*s = model.Sample{TimeMs: int64(math.Floor(r.startMs + r.ns/1e6))}
	if s.TimeMs < trace.MinTimeMs || s.TimeMs > trace.MaxTimeMs {
		r.errs[r.cur] = &Error{File: "dat", Line: r.given + 1, Err: errors.New("its time is out of range")}
		return r.errs[r.cur]
	}
	for _, src := range r.sources {
		if v := now.Analogs[src.index]; !math.IsNaN(v) {
			s.Set(src.channel, float64(v*src.scale))
		}
	}
	r.given++
	r.cur = 1 - r.cur
	return nil
}

// stampNS is a record's time stamp in nanoseconds.
func (r *Reader) stampNS(rec *Record) float64 {
	unit := 1000.0
	if r.cfg.Nanoseconds {
		unit = 1
	}
	return float64(rec.Stamp * float64(r.cfg.TimeMult*unit))
}

// clock sets time and rate of the sample now. before is the previous sample's time
// stamp in nanoseconds.
func (r *Reader) clock(now, ahead *Record, before float64) error {
	if !r.cfg.Timed {
		for r.segment+1 < len(r.cfg.Rates) && r.given >= r.cfg.Rates[r.segment].Last {
			r.segment++
		}
		if r.rateHz = r.cfg.Rates[r.segment].Hz; r.rateHz <= 0 {
			return errors.New("its sampling rate is zero")
		}
		if r.given > 0 {
			r.ns += 1e9 / r.rateHz
		}
		return nil
	}
	if !now.HasStamp {
		return errors.New("no time stamp, and the configuration gives no sampling rate")
	}
	at := r.stampNS(now)
	if r.given == 0 {
		r.firstNS = at
		if r.errs[1-r.cur] == nil && ahead.HasStamp {
			if step := r.stampNS(ahead) - at; step > 0 {
				r.rateHz = 1e9 / step
			}
		}
		return nil
	}
	if at <= before {
		return fmt.Errorf("time stamp %v is not after the one before", now.Stamp)
	}
	r.ns, r.rateHz = at-r.firstNS, 1e9/(at-before)
	return nil
}
