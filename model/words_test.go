package model

import (
	"fmt"
	"strings"
	"testing"
)

// The words that files, topics and events use for levels, states and the like
// are those of testdata/words.txt: others read them.
func TestWords(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range uint8(6) {
		a, err := Level(i).MarshalText()
		s, err2 := State(i).MarshalText()
		fmt.Fprintf(&b, "%v %v %v %s %s %v %v\n", Level(i), State(i), Validity(i), a, s, err, err2)
	}
	for i := range uint8(3) {
		fmt.Fprintln(&b, EventType(i), Action(i))
	}
	for i := range uint8(11) {
		fmt.Fprintln(&b, Validity(i))
	}
	for k := range NumKinds + 1 {
		text, err := k.MarshalText()
		fmt.Fprintf(&b, "%v %s %v\n", k, text, err)
	}
	for c := range NumChannels {
		i := c.Info()
		fmt.Fprintln(&b, c, i.Name, i.Unit, i.Group, i.Min, i.Max)
	}
	fmt.Fprintln(&b, NumChannels)
	for i, name := range FeatureNames() {
		fmt.Fprintln(&b, name, FeatureUnits()[i])
	}
	fmt.Fprintf(&b, "%x\n", FeatureSchemaHash())
	golden(t, "words.txt", b.String())
}

func TestWordsAreRead(t *testing.T) {
	t.Parallel()
	for k := range NumKinds {
		var got Kind
		if err := got.UnmarshalText([]byte(k.String())); err != nil || got != k {
			t.Errorf("%v became %v (%v)", k, got, err)
		}
	}
	for c := range NumChannels {
		var got Channel
		if err := got.UnmarshalText([]byte(c.String())); err != nil || got != c {
			t.Errorf("%v became %v (%v)", c, got, err)
		}
		if text, err := c.MarshalText(); err != nil || string(text) != c.String() {
			t.Errorf("%v is written %s (%v)", c, text, err)
		}
	}
	k, c := KindHeat, RainMM
	if err := k.UnmarshalText([]byte("x")); err == nil || k != KindHeat {
		t.Errorf("an unknown kind: %v, %v", err, k)
	}
	if err := c.UnmarshalText([]byte("x")); err == nil || c != RainMM {
		t.Errorf("an unknown channel: %v, %v", err, c)
	}
}

func TestSampleRange(t *testing.T) {
	t.Parallel()
	var s Sample
	for v, ok := range map[float64]bool{0: true, 150: true, down(0): false, up(150): false} {
		s.AgeMs[WindGustMPS] = 7
		s.Set(WindGustMPS, v)
		got, valid := s.Get(WindGustMPS)
		if valid != ok || got != v || s.AgeMs[WindGustMPS] != 0 {
			t.Errorf("%v: %v, age %d", v, valid, s.AgeMs[WindGustMPS])
		}
	}
}

// A judge's view has what stands, and since when.
func TestViewOfAlerts(t *testing.T) {
	t.Parallel()
	r := quietRig(t, func(c *Config) { c.Prefix, c.IntervalS = "farm1-pv3", 600 })
	r.step(600_000, map[Channel]float64{WindSpeedMPS: 18})
	since := r.now
	r.step(600_000, map[Channel]float64{WindSpeedMPS: 18, EquipmentTemperatureC: 85})
	r.step(600_000, map[Channel]float64{WindSpeedMPS: 25, EquipmentTemperatureC: 85})
	v := r.j.View()
	if len(v.Alerts) != 2 {
		t.Fatalf("alerts %+v", v.Alerts)
	}
	a := v.Alerts[0]
	if a.ID != "farm1-pv3-wind-1" || a.Kind != KindWind || a.Level != LevelBlock || a.Rev != 2 || a.SinceMs != since || len(a.Causes) != 2 {
		t.Errorf("alert %+v", a)
	}
	if b := v.Alerts[1]; b.ID != "farm1-pv3-equipment-2" || b.Rev != 1 || b.Level != LevelWarn {
		t.Errorf("alert %+v", b)
	}
	if v.State != StateBlocked || v.SinceMs != r.now || v.ClearInMs != -1 || v.HasScores || len(v.Causes) != 1 || !strings.HasPrefix(v.Reason, "W05: ") {
		t.Errorf("view %+v", v)
	}
	var lines []byte
	for i := range r.ev {
		lines = append(r.ev[i].AppendJSON(lines), '\n')
	}
	r.step(600_000, map[Channel]float64{WindSpeedMPS: 2, EquipmentTemperatureC: 20})
	r.j.Advance(r.now + 600_000)
	ev := r.j.Advance(r.now + 3_600_000)
	for i := range ev {
		lines = append(ev[i].AppendJSON(lines), '\n')
	}
	golden(t, "alerts.txt", string(lines))
}

// What a network says, window by window: sets after two over a threshold,
// clears after two under its clear line, and says what moved it.
func TestNetworkWindows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		limit ScoreLimit
		p     []float64
		want  []Level
	}{
		{"warns", ScoreLimit{Warn: 0.5}, []float64{0.5, 0.5}, []Level{LevelNone, LevelWarn}},
		{"just under", ScoreLimit{Warn: 0.5}, []float64{down(0.5), down(0.5)}, []Level{LevelNone, LevelNone}},
		{"a break", ScoreLimit{Warn: 0.5}, []float64{0.6, 0.4, 0.6}, []Level{0, 0, 0}},
		{"clears", ScoreLimit{Warn: 0.5}, []float64{0.5, 0.5, 0.39, 0.39}, []Level{0, LevelWarn, LevelWarn, LevelNone}},
		{"stays", ScoreLimit{Warn: 0.5}, []float64{0.5, 0.5, 0.4, 0.4, 0.4}, []Level{0, LevelWarn, LevelWarn, LevelWarn, LevelWarn}},
		{"blocks", ScoreLimit{Warn: 0.5, Block: 0.75}, []float64{0.75, 0.75}, []Level{0, LevelBlock}},
		{"only warns", ScoreLimit{Warn: 0.5, Block: 0.75}, []float64{0.74, 0.74}, []Level{0, LevelWarn}},
		{"from block to warning", ScoreLimit{Warn: 0.5, Block: 0.75}, []float64{0.75, 0.75, 0.59, 0.59}, []Level{0, LevelBlock, LevelBlock, LevelWarn}},
		{"block stays", ScoreLimit{Warn: 0.5, Block: 0.75}, []float64{0.75, 0.75, 0.61, 0.61}, []Level{0, LevelBlock, LevelBlock, LevelBlock}},
		{"blocks without warning", ScoreLimit{Block: 0.75}, []float64{0.75, 0.75, 0.59, 0.59}, []Level{0, LevelBlock, LevelBlock, LevelNone}},
		{"blocks below its warning", ScoreLimit{Warn: 0.9, Block: 0.5}, []float64{0.5, 0.5}, []Level{0, LevelBlock}},
		{"nothing asked", ScoreLimit{}, []float64{1, 1, 1}, []Level{0, 0, 0}},
	} {
		f := &fakeScorer{}
		r := newRig(t, f, func(cfg *Config) {
			cfg.Score.HoldS = 0
			cfg.Score.Kinds = map[string]ScoreLimit{"thunderstorm": c.limit}
		})
		for i, p := range c.p {
			f.p = p
			r.step(60_000, map[Channel]float64{TemperatureC: 20})
			if got := r.levelOf("M-thunderstorm"); got != c.want[i] {
				t.Errorf("%s: window %d: %v, want %v", c.name, i+1, got, c.want[i])
			}
		}
	}
	f := &countingScorer{}
	r := newRig(t, f, func(c *Config) { c.Score.Kinds = map[string]ScoreLimit{"thunderstorm": {Warn: 0.5, Block: 0.9}} })
	f.p = 0.9
	r.step(1000, map[Channel]float64{TemperatureC: 20})
	r.step(59_999, map[Channel]float64{TemperatureC: 20})
	if f.n != 1 {
		t.Errorf("scored %d times within a minute", f.n)
	}
	r.step(1, map[Channel]float64{TemperatureC: 20})
	if f.n != 2 {
		t.Errorf("scored %d times, the minute is over", f.n)
	}
	if text := r.textOf("M-thunderstorm"); text != "network: thunderstorm likely (threshold 0.9), a 1 C, b 2 C, c 3 C" {
		t.Errorf("text %q", text)
	}
	// A block of the network is held, a warning is not.
	f.p = 0
	for range 2 {
		r.step(60_000, map[Channel]float64{TemperatureC: 20})
	}
	i, _ := ruleIndex(r.j.rules, "M-thunderstorm")
	if st := r.j.states[i]; st.held != LevelBlock || st.holdUntil != r.now+1_800_000 {
		t.Errorf("after a block %+v", st)
	}
	v := r.j.View()
	if !v.HasScores || v.Scores.P[KindThunderstorm] != 0 || !v.Scores.Has[KindThunderstorm] {
		t.Errorf("scores %+v", v.Scores)
	}
	for p, ok := range map[float64]bool{0: true, 1: true, up(1): false, down(0): false} {
		s := Scores{}
		s.Has[KindWind], s.P[KindWind] = true, p
		if k, got := s.check(); got != ok || !ok && k != KindWind {
			t.Errorf("probability %v: %v", p, got)
		}
	}
}

type countingScorer struct {
	fakeScorer
	n int
}

func (c *countingScorer) Score(f *Features) (Scores, error) {
	c.n++
	s, err := c.fakeScorer.Score(f)
	s.Top = []Contribution{{"a", 1, "C", 3}, {"b", 2, "C", 2}, {"c", 3, "C", 1}, {"d", 4, "C", 0}}
	return s, err
}

// A time is said in the largest unit that it is a whole number of.
func TestDurationInWords(t *testing.T) {
	t.Parallel()
	for ms, want := range map[int64]string{
		0: "0 s", 1: "1 s", 59_000: "59 s", 60_000: "1 min", 61_000: "61 s", 3_540_000: "59 min",
		3_600_000: "1 h", 3_660_000: "61 min", 5_400_000: "90 min", 7_200_000: "2 h", 7_200_001: "7201 s",
	} {
		if got := duration(ms); got != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
}
