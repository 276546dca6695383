package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"

	"golang.org/x/sync/errgroup"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/nnet/skill"
)

// A distortion is one way in which a station's readings go wrong. start returns
// what is done to each sample in turn; it begins again for each site.
type distortion struct {
	name  string
	start func() func(*model.Sample)
}

const minuteMs = 60_000

// distortions are those of the robustness suite: every sensor missing, stuck
// (the value of the last midnight for a whole day, every second day) and 10 % too
// high or too low, the clock off by five minutes, and one reading in ten lost.
func distortions(sensors [][]model.Channel) []distortion {
	var out []distortion
	for _, group := range sensors {
		name := group[0].String()
		out = append(out,
			distortion{name + " missing", func() func(*model.Sample) {
				return each(group, func(s *model.Sample, c model.Channel) { s.Fail(c, model.Absent) })
			}},
			distortion{name + " stuck every second day", func() func(*model.Sample) { return stuck(group) }},
		)
		if group[0] == model.Raining {
			continue // yes or no has no gain
		}
		out = append(out,
			distortion{name + " +10 %", func() func(*model.Sample) { return scaled(group, 1.1) }},
			distortion{name + " -10 %", func() func(*model.Sample) { return scaled(group, 0.9) }},
		)
	}
	shift := func(ms int64) func() func(*model.Sample) {
		return func() func(*model.Sample) { return func(s *model.Sample) { s.TimeMs += ms } }
	}
	return append(out,
		distortion{"clock 5 min fast", shift(5 * minuteMs)},
		distortion{"clock 5 min slow", shift(-5 * minuteMs)},
		distortion{"10 % of readings lost", lossy},
	)
}

// each applies fn to the channels of a sensor that have a reading.
func each(group []model.Channel, fn func(*model.Sample, model.Channel)) func(*model.Sample) {
	return func(s *model.Sample) {
		for _, c := range group {
			if _, ok := s.Get(c); ok {
				fn(s, c)
			}
		}
	}
}

// scaled is a gain error; Set refuses what leaves the channel's range.
func scaled(group []model.Channel, by float64) func(*model.Sample) {
	return each(group, func(s *model.Sample, c model.Channel) { s.Set(c, s.Values[c]*by) })
}

func stuck(group []model.Channel) func(*model.Sample) {
	held := map[model.Channel]float64{}
	heldDay := int64(-1)
	return func(s *model.Sample) {
		day := s.TimeMs / skill.DayMs
		if day != heldDay {
			heldDay = day
			clear(held)
		}
		if day%2 != 0 {
			return
		}
		each(group, func(s *model.Sample, c model.Channel) {
			if v, ok := held[c]; ok {
				s.Set(c, v)
				return
			}
			held[c] = s.Values[c]
		})(s)
	}
}

// lossy loses every reading by itself, with the same seed at every site.
func lossy() func(*model.Sample) {
	rng := rand.New(rand.NewPCG(20261125, 1))
	return func(s *model.Sample) {
		for c := range model.NumChannels {
			if rng.Float64() < 0.1 {
				s.Fail(c, model.Absent)
			}
		}
	}
}

// The sensors of the recordings, by what one instrument gives.
var (
	thunderSensors = [][]model.Channel{
		{model.TemperatureC}, {model.HumidityPct}, {model.PressureHPa}, {model.WindSpeedMPS, model.WindDirectionDeg}, {model.Raining},
	}
	windSensors = [][]model.Channel{
		{model.TemperatureC}, {model.HumidityPct}, {model.PressureHPa}, {model.WindSpeedMPS, model.WindDirectionDeg},
		{model.WindGustMPS}, {model.RainMM},
	}
)

// A robustRow is the network under one distortion, on the rows of the recording as
// it was.
type robustRow struct {
	Task     string   `json:"task"`
	Change   string   `json:"change"`
	Answered float64  `json:"answered"` // share of the rows with a score; without one there is no alarm
	AUC      *float64 `json:"roc_auc"`
	AP       *float64 `json:"average_precision"`
	Events   int      `json:"events"`
	Caught   int      `json:"events_caught"`
	False    float64  `json:"false_alarms_per_station_month"`
	Alarm    float64  `json:"alarm_hours_per_station_month"`
}

// monthDays is a station-month.
const monthDays = 30.4375

// live scores as nnet.Network.Score does: by the head with the most inputs, of
// those that have all they require. alarm says whether that head warns.
func live(w *nnet.Weights, kind model.Kind, f *model.Features) (p float64, alarm, ok bool) {
	var best *nnet.Head
	for _, h := range w.Heads {
		if h.EvaluationOnly || h.Kind != kind || (best != nil && len(h.Inputs) <= len(best.Inputs)) {
			continue
		}
		if v, ready := h.Probability(f); ready {
			best, p, ok = h, v, true
			alarm = v >= h.Warn
		}
	}
	return p, alarm, ok
}

// measureRobustness measures every distortion over recordings of the test rows.
func measureRobustness(w *nnet.Weights, task string, head *nnet.Head, recs []*recording, sensors [][]model.Channel) ([]robustRow, error) {
	all := append([]distortion{{name: "as recorded"}}, distortions(sensors)...)
	out := make([]robustRow, len(all))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // each breaks copies of the samples
	for k := range all {
		group.Go(func() (err error) {
			out[k], err = measureDistortion(w, task, head, recs, all[k])
			return err
		})
	}
	return out, group.Wait()
}

func measureDistortion(w *nnet.Weights, task string, head *nnet.Head, recs []*recording, d distortion) (robustRow, error) {
	var change *distortion
	if d.start != nil {
		change = &d
	}
	var p []float64
	var labels []bool
	var tracks []skill.Track
	answered := 0
	for _, r := range recs {
		s, features := r.truth, r.features(change)
		t := skill.Track{Onset: head.Task.Onsets(s)}
		for i, l := range head.Task.Labels(s) {
			part, err := head.Split.Part(r.site, s.TimeMs[i])
			if err != nil {
				return robustRow{}, err
			}
			if l < 0 || part != nnet.PartTest {
				continue
			}
			v, alarm, ok := live(w, head.Kind, &features[i])
			if ok {
				answered++
			}
			p, labels = append(p, v), append(labels, l == 1)
			t.TimeMs = append(t.TimeMs, s.TimeMs[i])
			on := 0.0
			if alarm {
				on = 1
			}
			t.P = append(t.P, on)
		}
		if len(t.TimeMs) > 0 {
			tracks = append(tracks, t)
		}
	}
	if len(p) == 0 {
		return robustRow{}, fmt.Errorf("robustness of %s: %w", task, nnet.ErrNoRows)
	}
	a := skill.Judge(tracks, 1, head.Task.HorizonMs)
	return robustRow{
		Task: task, Change: d.name, Answered: float64(answered) / float64(len(p)),
		AUC: finite(skill.AUC(p, labels)), AP: finite(skill.AveragePrecision(p, labels)),
		Events: a.Events, Caught: a.Caught, False: a.FalseAlarmsPerSiteDay() * monthDays, Alarm: a.AlarmHours / a.SiteDays * monthDays,
	}, nil
}
