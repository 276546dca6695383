package model_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// weatherAt is a made-up hour: a daily course and a storm every 20 days.
func weatherAt(s *model.Sample, hour int64) {
	day := math.Sin(2 * math.Pi * float64(hour%24) / 24)
	s.Set(model.TemperatureC, 12+8*day)
	s.Set(model.HumidityPct, 70-20*day)
	s.Set(model.PressureHPa, 1010+5*math.Sin(float64(hour)/40))
	wind := 5 + 3*day
	if hour%480 < 12 {
		wind = 19
	}
	s.Set(model.WindSpeedMPS, wind)
	s.Set(model.WindGustMPS, 1.6*wind)
	s.Set(model.RainMM, 0)
	s.Set(model.IrradianceWPM2, max(0, 600*day))
	s.Set(model.VoltageV, 230+2*day)
	s.Set(model.FrequencyHz, 50+0.02*day)
}

func BenchmarkJudgeStep(b *testing.B) {
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.StuckS = 0
	cfg.Required = []model.Channel{model.VoltageV, model.WindGustMPS}
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		b.Fatal(err)
	}
	var s model.Sample
	b.ReportAllocs()
	for b.Loop() {
		s.TimeMs += 1000
		weatherAt(&s, 100)
		j.Step(&s)
	}
}

// A year of hourly samples from the bytes of a trace to the events.
func BenchmarkReplayYear(b *testing.B) {
	text := yearTrace(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := trace.NewReader(bytes.NewReader(text), trace.Options{})
		if err != nil {
			b.Fatal(err)
		}
		cfg := model.DefaultConfig()
		trace.Configure(&cfg, r.Meta(), r.Channels())
		j, err := model.NewJudge(cfg, nil)
		if err != nil {
			b.Fatal(err)
		}
		var s model.Sample
		var line []byte
		n := 0
		for {
			err := r.Next(&s)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range j.Step(&s) {
				line = e.AppendJSON(line[:0])
				n++
			}
		}
		if n < 30 {
			b.Fatalf("%d events in a year with 18 storms", n)
		}
	}
}

func yearTrace(b *testing.B) []byte {
	b.Helper()
	channels := []model.Channel{
		model.TemperatureC, model.HumidityPct, model.PressureHPa, model.WindSpeedMPS, model.WindGustMPS,
		model.RainMM, model.IrradianceWPM2, model.VoltageV, model.FrequencyHz,
	}
	meta := trace.Meta{IntervalS: 3600, NominalVoltage: 230, NominalFreqHz: 50, Simulated: true}
	var out bytes.Buffer
	w, err := trace.NewWriter(&out, meta, channels, trace.WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for h := range int64(8784) {
		s := model.Sample{TimeMs: h * 3_600_000}
		weatherAt(&s, h)
		if err := w.Write(&s); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
