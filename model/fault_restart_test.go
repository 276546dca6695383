package model_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"fairwatt/model"
)

// again restarts the bench with another configuration.
func (b *faultBench) again(change func(*model.Config)) {
	cfg := faultConfig()
	if change != nil {
		change(&cfg)
	}
	j, err := model.NewJudge(cfg, nil)
	if err == nil {
		err = j.Restore(b.j.Snapshot(), b.nowS*1000)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.j = j
}

// said is the gate's state and what blocks it.
func (b *faultBench) said() string {
	state, rules := b.rule()
	return fmt.Sprintf("%v by %s", state, rules)
}

func hotPlace(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	places := func(hot float64) func(*model.Sample) {
		return func(s *model.Sample) {
			c := model.EquipmentTemperatureC
			var readings []model.Reading
			for _, v := range []float64{25, 25, hot} {
				readings = append(readings, model.Reading{Value: v, Validity: model.Valid})
			}
			s.SetVote(c, model.Vote(c, 0, readings))
		}
	}
	for range 3 {
		b.second(places(130))
	}
	said := b.said()
	for i := range 4000 {
		b.second(places(25))
		if state, _ := b.rule(); state == model.StateOpen {
			return fmt.Sprintf("%s at the third reading; OPEN %d s after the fault is over", said, i)
		}
	}
	return said + "; still closed an hour after"
}

func lateStep(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	leak := func(ma float64, lateMs int64) {
		b.second(func(s *model.Sample) {
			s.TimeMs += lateMs
			s.Set(model.LeakageMA, ma)
		})
	}
	leak(5, 0)
	leak(105, 400)
	return b.said() + ", until a person acknowledges it"
}

func restartBetweenStrokes(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	stroke := func(s *model.Sample) {
		s.Set(model.LightningKM, 6)
		s.Set(model.LightningCount, 1)
	}
	b.second(stroke)
	b.again(nil)
	b.second(stroke)
	said := b.said()
	if !strings.Contains(said, "W01") {
		return "forgotten: " + said
	}
	return "the first one still confirms the second: " + said
}

// restartWithout has a channel block, show another value, and be gone after a
// restart.
func restartWithout(c model.Channel, bad, after float64) func(t *testing.T) string {
	return func(t *testing.T) string {
		b := newFaultBench(t, nil, nil)
		for _, v := range []float64{bad, bad, after} {
			b.second(func(s *model.Sample) { s.Set(c, v) })
		}
		_, rules := b.rule()
		b.again(func(cfg *model.Config) {
			cfg.Channels = []model.Channel{model.WindGustMPS, model.WindSpeedMPS, model.PressureHPa, model.VoltageV, model.FrequencyHz}
		})
		for range 7200 {
			b.second(nil)
		}
		said := b.said()
		if err := b.j.Ack(rules, "ann"); err != nil {
			return err.Error()
		}
		b.second(nil)
		state, _ := b.rule()
		return fmt.Sprintf("two hours later %s; acknowledged by a person: %v", said, state)
	}
}

func restartWithoutClock(t *testing.T) string {
	hourly := func(cfg *model.Config) {
		cfg.IntervalS, cfg.Position = 3600, &model.Position{Latitude: 20}
		cfg.Required = []model.Channel{model.PressureHPa, model.WindSpeedMPS}
		cfg.Channels = cfg.Required
	}
	cfg := faultConfig()
	hourly(&cfg)
	j, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	const unixS = 1_800_000_000
	b := &faultBench{t: t, j: j}
	if err := j.SetWall(unixS*1000, 0); err != nil {
		t.Fatal(err)
	}
	hour := func(fall, wind float64) {
		b.nowS += 3600
		s := model.Sample{TimeMs: b.nowS * 1000}
		s.Set(model.PressureHPa, 1010+math.Sin(float64(b.nowS/3600)*math.Pi/12)-fall)
		s.Set(model.WindSpeedMPS, wind)
		b.j.Step(&s)
	}
	for range 24 * 8 {
		hour(0, 5)
	}
	for range 2 {
		b.again(hourly)
		for range 3 {
			hour(0, 5)
		}
	}
	if err := b.j.SetWall((unixS+b.nowS)*1000, b.nowS*1000); err != nil {
		return err.Error()
	}
	hour(20, 15)
	return "the usual pressure is kept over two such starts; when the clock is known " + b.said()
}
