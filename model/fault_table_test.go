package model_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/faultdoc"
)

// A bench is a judge that has opened, with a world of quiet weather.
type faultBench struct {
	t    *testing.T
	j    *model.Judge
	nowS int64
}

type failingScorer struct{ broken bool }

func (f *failingScorer) Kinds() []model.Kind { return []model.Kind{model.KindWind} }

func (f *failingScorer) Score(*model.Features) (s model.Scores, err error) {
	s.Has[model.KindWind] = true
	if f.broken {
		err = errors.New("weights do not match their checksum")
	}
	return s, err
}

func faultConfig() model.Config {
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.Required = []model.Channel{model.WindGustMPS, model.WindSpeedMPS, model.PressureHPa, model.VoltageV, model.FrequencyHz}
	return cfg
}

func newFaultBench(t *testing.T, change func(*model.Config), scorer model.Scorer) *faultBench {
	cfg := faultConfig()
	if change != nil {
		change(&cfg)
	}
	j, err := model.NewJudge(cfg, scorer)
	if err != nil {
		t.Fatal(err)
	}
	b := &faultBench{t: t, j: j, nowS: 1000}
	for range 400 {
		b.second(nil)
	}
	if v := j.View(); v.State != model.StateOpen {
		t.Fatalf("before the fault %v: %s", v.State, v.Reason)
	}
	return b
}

// quiet is a live sensor's world: the last digits move.
func (b *faultBench) quiet() model.Sample {
	s := model.Sample{TimeMs: b.nowS * 1000}
	wobble := float64(b.nowS % 7)
	s.Set(model.WindGustMPS, 6+wobble/10)
	s.Set(model.WindSpeedMPS, 4+wobble/10)
	s.Set(model.PressureHPa, 1010+wobble/100)
	s.Set(model.VoltageV, 230+wobble/10)
	s.Set(model.FrequencyHz, 50+wobble/1000)
	return s
}

func (b *faultBench) second(spoil func(s *model.Sample)) {
	b.nowS++
	s := b.quiet()
	if spoil != nil {
		spoil(&s)
	}
	b.j.Step(&s)
}

// rule names what blocks, or what warns while the gate is open.
func (b *faultBench) rule() (state model.State, rules string) {
	v := b.j.View()
	var ids []string
	for _, c := range v.Causes {
		ids = append(ids, c.Rule)
	}
	if v.State == model.StateOpen {
		for _, a := range v.Alerts {
			for _, c := range a.Causes {
				ids = append(ids, c.Rule)
			}
		}
	}
	return v.State, strings.Join(ids, ", ")
}

// observe repeats a faulty second until the gate blocks, at most limit times,
// then ends the fault, and says what happened.
func (b *faultBench) observe(limit int, spoil func(s *model.Sample)) string {
	after := -1
	said := ""
	for i := range limit {
		b.second(spoil)
		state, rules := b.rule()
		if state == model.StateBlocked {
			after, said = i, rules
			break
		}
		if state == model.StateOpen && rules != "" && said == "" {
			said = rules
		}
	}
	if after < 0 && said == "" {
		return "stays OPEN, nothing is said"
	}
	if after < 0 {
		return "stays OPEN, warns " + said
	}
	when := "with the first faulty sample"
	if after > 0 {
		when = fmt.Sprintf("after %d s", after)
	}
	return fmt.Sprintf("BLOCKED by %s %s%s", said, when, b.recovery())
}

// recovery waits until the gate is open again.
func (b *faultBench) recovery() string {
	for i := range 4000 {
		b.second(nil)
		if state, _ := b.rule(); state == model.StateOpen {
			return fmt.Sprintf("; OPEN %d s after the fault is over", i)
		}
	}
	return "; still closed an hour after"
}

func TestFaultTable(t *testing.T) {
	gust := model.WindGustMPS
	fail := func(c model.Channel, v model.Validity) func(*model.Sample) {
		return func(s *model.Sample) { s.Fail(c, v) }
	}
	set := func(c model.Channel, v func(second int64) float64) func(*model.Sample) {
		return func(s *model.Sample) { s.Set(c, v(s.TimeMs/1000)) }
	}
	absent := func(c model.Channel) func(*model.Sample) {
		return func(s *model.Sample) { s.Validity[c] = model.Absent }
	}
	simple := func(limit int, spoil func(*model.Sample)) func(*testing.T) string {
		return func(t *testing.T) string { return newFaultBench(t, nil, nil).observe(limit, spoil) }
	}
	var rows []faultdoc.Row
	for _, f := range []struct {
		fault string
		run   func(t *testing.T) string
	}{
		{"chip missing or bus error: the driver returns an error", simple(10, fail(gust, model.SensorError))},
		{"not a number from a driver", simple(10, set(gust, func(int64) float64 { return math.NaN() }))},
		{"value outside what is physically possible", simple(10, set(model.PressureHPa, func(int64) float64 { return 1200 }))},
		{"noisy: pressure leaps by 5 hPa to and fro", simple(10, set(model.PressureHPa, func(s int64) float64 { return 1010 + 5*float64(s%2) }))},
		{"stuck: the very same pressure for half an hour", simple(2000, set(model.PressureHPa, func(int64) float64 { return 1010 }))},
		{"iced cups: gust stands at 1 m/s in a mean wind of 4 m/s", simple(1000, set(gust, func(int64) float64 { return 1 }))},
		{"silent: electrical meter gives nothing", simple(100, absent(model.VoltageV))},
		{"silent: wind gauge gives nothing", simple(300, absent(gust))},
		{"slow bus: values arrive six seconds old", simple(10, func(s *model.Sample) { s.AgeMs[model.VoltageV] = 6000 })},
		{"two sensors of a kind disagree, one calm, one at 12 m/s", simple(5, func(s *model.Sample) {
			s.SetVote(gust, model.Vote(gust, 0, []model.Reading{{Value: 6, Validity: model.Valid}, {Value: 12, Validity: model.Valid}}))
		})},
		{"two sensors of a kind disagree, one calm, one at 30 m/s", simple(5, func(s *model.Sample) {
			s.SetVote(gust, model.Vote(gust, 0, []model.Reading{{Value: 6, Validity: model.Valid}, {Value: 30, Validity: model.Valid}}))
		})},
		{"one of three sensors fails to 40 m/s", simple(5, func(s *model.Sample) {
			s.SetVote(gust, model.Vote(gust, 0, []model.Reading{{Value: 6, Validity: model.Valid}, {Value: 6.1, Validity: model.Valid}, {Value: 40, Validity: model.Valid}}))
		})},
		{"no samples at all", noSamples},
		{"sensing clock jumps ahead by a minute", clockAhead},
		{"sensing clock goes back by ten minutes", clockBack},
		{"wall clock jumps", wallJump},
		{"network's weights missing or damaged", weightsGone(false)},
		{"network's weights missing or damaged, `score.require` set", weightsGone(true)},
		{"restart during a block by a gust", restart},
		{"saved state damaged", damagedState},
		{"gust of 200 m/s, beyond what the channel can tell", simple(10, set(gust, func(int64) float64 { return 200 }))},
		{"cut cable: gust and wind stand at 0", simple(50_000, func(s *model.Sample) {
			s.Set(gust, 0)
			s.Set(model.WindSpeedMPS, 0)
		})},
		{"frozen driver: gust stands at 6 m/s", simple(20_000, set(gust, func(int64) float64 { return 6 }))},
		{"one of three thermometers at several places shows 130 C", hotPlace},
		{"leakage rises by 100 mA between samples 1.4 s apart", lateStep},
		{"restart between two strokes of lightning", restartBetweenStrokes},
		{"restart without the sensor of a latched rule", restartWithout(model.DCVoltageV, -50, 400)},
		{"restart without the sensor of a rule that blocks", restartWithout(model.VibrationMPS2, 30, 30)},
		{"restart without a wall clock, then a cyclone", restartWithoutClock},
	} {
		rows = append(rows, faultdoc.Row{Fault: f.fault, Reaction: f.run(t)})
	}
	for _, r := range rows {
		if strings.Contains(r.Reaction, "nothing is said") {
			t.Errorf("%s: %s", r.Fault, r.Reaction)
		}
	}
	if err := faultdoc.Check(filepath.Join("..", "docs", "fail-safe.md"), "model", rows); err != nil {
		t.Error(err)
	}
}

func noSamples(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	begin := b.nowS
	for b.nowS < begin+100 {
		b.nowS++
		b.j.Advance(b.nowS * 1000)
		if state, rules := b.rule(); state == model.StateBlocked {
			after := b.nowS - begin
			return fmt.Sprintf("BLOCKED by %s after %d s%s", rules, after, b.recovery())
		}
	}
	return "stays OPEN, nothing is said"
}

func clockAhead(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	b.nowS += 60
	s := b.quiet()
	for _, e := range b.j.Step(&s) {
		if e.Type == model.EventGate && e.State == model.StateBlocked {
			return "BLOCKED by " + e.Causes[0].Rule + ": the time between counts as silence" + b.recovery()
		}
	}
	return "stays OPEN, nothing is said"
}

func clockBack(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	now := b.nowS
	b.nowS -= 600
	back := 0
	for range 601 {
		b.nowS++
		s := b.quiet()
		for _, e := range b.j.Step(&s) {
			if e.TimeMs < now*1000 {
				back++
			}
		}
	}
	state, rules := b.rule()
	if rules != "" {
		rules = " by " + rules
	}
	return fmt.Sprintf("judged at the last time until the clock has caught up: %v%s, %d events in the past", state, rules, back)
}

// wallJump judges the same samples under two wall clocks.
func wallJump(t *testing.T) string {
	var lines [2]string
	for i := range lines {
		j, err := model.NewJudge(faultConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.SetWall(int64(i)*1e12, 0); err != nil {
			t.Fatal(err)
		}
		b := &faultBench{t: t, j: j}
		for range 800 {
			b.nowS++
			s := b.quiet()
			if b.nowS == 400 {
				s.Set(model.WindGustMPS, 30)
			}
			for _, e := range j.Step(&s) {
				lines[i] += string(e.AppendJSON(nil)) + "\n"
			}
		}
	}
	if lines[0] != lines[1] {
		return "changes what is judged, and nothing is said"
	}
	return "no transition changes: only the sensing clock counts"
}

func weightsGone(require bool) func(t *testing.T) string {
	return func(t *testing.T) string {
		f := &failingScorer{}
		b := newFaultBench(t, func(c *model.Config) { c.Score.Require = require }, f)
		f.broken = true
		said := b.observe(61, nil)
		if require { // the time to the next scoring is chance
			said, _, _ = strings.Cut(said, " after")
		}
		return said
	}
}

func restart(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	b.second(func(s *model.Sample) { s.Set(model.WindGustMPS, 30) })
	for range 700 {
		b.second(nil)
	}
	left := b.j.View().ClearInMs
	again, err := model.NewJudge(faultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(b.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	b.j, b.nowS = again, 0
	for i := range 10_000 {
		b.second(nil)
		if state, _ := b.rule(); state == model.StateOpen {
			if int64(i)*1000 < left {
				return "the hold is shortened, and nothing is said"
			}
			return fmt.Sprintf("closed; the clear time of W03 runs again in full, OPEN %d s after the restart", i)
		}
	}
	return "still closed after 10000 s"
}

func damagedState(t *testing.T) string {
	b := newFaultBench(t, nil, nil)
	snap := b.j.Snapshot()
	snap[len(snap)/2] ^= 1
	again, err := model.NewJudge(faultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = again.Restore(snap, 0)
	if err == nil {
		return "taken over, and nothing is said"
	}
	again.LostState()
	b.j, b.nowS = again, 0
	b.second(nil)
	state, rules := b.rule()
	for range 600 {
		b.second(nil)
	}
	later, latched := b.rule()
	if err := b.j.Ack("S04", "ann"); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("refused (%v); starts %v by %s; 600 s later %v by %s; acknowledged by a person%s", err, state, rules, later, latched, b.recovery())
}
