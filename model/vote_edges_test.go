package model

import (
	"math"
	"testing"
	"time"
)

// Of two sensors that disagree the unsafe one counts: the lower of what is
// dangerous when low, the farther from nominal of voltage and frequency, the
// larger of all else.
func TestUnsafeOfTwoCounts(t *testing.T) {
	t.Parallel()
	for c := range NumChannels {
		nominal, low, high := 50.0, 20.0, 90.0 // 90 lies farther from 50
		want := high
		switch c {
		case InsulationKOhm, LightningKM, PressureHPa:
			want = low
		case WindDirectionDeg, InverterEvents:
			continue // no order
		}
		if c == PressureHPa {
			low, high = 900, 1000
			want = low
		}
		if info := c.Info(); high > info.Max {
			low, high = info.Min, info.Max
			want = high
		}
		for _, order := range [][]float64{{low, high}, {high, low}} {
			if got := Vote(c, nominal, readings(order...)); got.Value != want {
				t.Errorf("%v: of %v %v counts, want %v", c, order, got.Value, want)
			}
		}
		if b := defaultBallot(c, nominal); b.unsafer(high, high) {
			t.Errorf("%v: a value is unsafer than itself", c)
		}
	}
	for _, c := range []Channel{VoltageV, VoltageAV, VoltageBV, VoltageCV, FrequencyHz} {
		for _, v := range [][3]float64{{10, 60, 10}, {45, 80, 80}, {20, 30, 20}, {60, 90, 90}} {
			if got := Vote(c, 50, readings(v[0], v[1])); got.Value != v[2] {
				t.Errorf("%v: of %v counts %v", c, v[:2], got.Value)
			}
		}
	}
}

// Two sensors agree up to the larger of a difference and a share of the larger
// value, and not beyond.
func TestAgreementEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		channel Channel
		a, b    float64
		agree   bool
	}{
		{VoltageV, 10, 12, true},
		{VoltageV, 10, 12.01, false},
		{VoltageV, 980, 1000, true},
		{VoltageV, 979.9, 1000, false},
		{PowerW, -1000, -950, true},
		{PowerW, -1000, -949.9, false},
		{Raining, 0, 0, true},
		{Raining, 0, 1, false},
		{WindDirectionDeg, 345, 15, true},
		{WindDirectionDeg, 344.9, 15, false},
		{WindDirectionDeg, 15, 345, true},
	} {
		if got := Vote(c.channel, 230, readings(c.a, c.b)); got.Disagree == c.agree {
			t.Errorf("%v: %v and %v disagree %v", c.channel, c.a, c.b, got.Disagree)
		}
	}
}

func TestVoteEdges(t *testing.T) {
	t.Parallel()
	// The age of the reading that counts comes along.
	in := readings(5, 30)
	in[0].AgeMs, in[1].AgeMs = 10, 20
	if got := Vote(WindGustMPS, 0, in); got.AgeMs != 20 {
		t.Errorf("age %d, want 20", got.AgeMs)
	}
	// At the ends of the range a reading votes, beyond it where a hazard goes on.
	for v, want := range map[float64]Validity{0: Valid, 150: Valid, down(0): OutOfRange, up(150): Saturated} {
		if got := Vote(WindGustMPS, 0, readings(v)); got.Validity != want {
			t.Errorf("%v m/s: %v", v, got.Validity)
		}
	}
	// The worst reason stands where none is usable.
	if got := Vote(WindGustMPS, 0, []Reading{{Validity: SensorError}, {Validity: Stale}, {Validity: Absent}}); got.Validity != SensorError || got.Outlier != -1 {
		t.Errorf("three dead sensors: %+v", got)
	}
	// Eight vote, the ninth is not looked at.
	if got := Vote(WindGustMPS, 0, readings(1, 1, 1, 1, 9, 9, 9, 9, 1)); got.Value != 9 || !got.Disagree {
		t.Errorf("nine sensors: %+v", got)
	}
	// Of several that stand apart the farthest is named.
	if got := Vote(WindGustMPS, 0, readings(10, 20, 10, 40, 10)); got.Outlier != 3 {
		t.Errorf("outlier %d, want 3", got.Outlier)
	}
	if got := Vote(WindGustMPS, 0, readings(10, 40, 10, 20, 10)); got.Outlier != 1 {
		t.Errorf("outlier %d, want 1", got.Outlier)
	}
	var s Sample
	s.SetVote(WindGustMPS, Vote(WindGustMPS, 0, in))
	s.SetVote(WindSpeedMPS, Vote(WindSpeedMPS, 0, readings(5)))
	s.SetVote(RainMM, Vote(RainMM, 0, nil))
	if s.Values[WindGustMPS] != 30 || s.AgeMs[WindGustMPS] != 20 || s.Disagree != ChannelSet(0).With(WindGustMPS) || s.Validity[RainMM] != Absent ||
		!math.IsNaN(s.Values[RainMM]) || s.Validity[WindSpeedMPS] != Valid {
		t.Errorf("the sample has %+v", s.Disagree)
	}
}

// The cross checks at their edges: a tenth, and 50 W.
func TestCrossCheckEdges(t *testing.T) {
	t.Parallel()
	meter := func(p, v, i float64) map[Channel]float64 {
		return map[Channel]float64{PowerW: p, VoltageV: v, CurrentA: i}
	}
	factor := func(p, f float64) map[Channel]float64 {
		return map[Channel]float64{PowerW: p, VoltageV: 200, CurrentA: 5, PowerFactor: f}
	}
	phases := func(p, a, b, c float64) map[Channel]float64 {
		return map[Channel]float64{PowerW: p, PowerAW: a, PowerBW: b, PowerCW: c}
	}
	without := func(m map[Channel]float64, c Channel) map[Channel]float64 {
		delete(m, c)
		return m
	}
	for _, c := range []struct {
		name   string
		values map[Channel]float64
		want   bool
	}{
		{"power at 1.1 times and 50 W", meter(1150, 200, 5), false},
		{"a watt more", meter(1151, 200, 5), true},
		{"delivered as well", meter(-1151, 200, 5), true},
		{"no voltage", without(meter(5000, 200, 5), VoltageV), false},
		{"no current", without(meter(5000, 200, 5), CurrentA), false},
		{"no power", without(meter(5000, 200, 5), PowerW), false},
		{"a factor's share less a tenth and 50 W", factor(750, 0.9), false},
		{"a watt less", factor(749, 0.9), true},
		{"a negative factor", factor(-749, -0.9), true},
		{"phases a tenth and 50 W apart", phases(1000, 200, 300, 350), false},
		{"a watt more apart", phases(1000, 200, 300, 349), true},
		{"apart the other way", phases(1000, 400, 400, 351), true},
		{"negative power", phases(-1000, -200, -300, -349), true},
		{"a phase not known", without(phases(1000, 0, 0, 0), PowerCW), false},
		{"another phase not known", without(phases(1000, 0, 0, 0), PowerAW), false},
		{"a third phase not known", without(phases(1000, 0, 0, 0), PowerBW), false},
	} {
		r := quietRig(t, nil)
		r.run(3, c.values)
		if got := r.j.Sample().Validity[PowerW] == Disagrees; got != c.want {
			t.Errorf("%s: refused %v", c.name, got)
		}
	}
	// A gust below 0.9 of the mean less half a metre a second.
	for _, c := range []struct {
		gust float64
		want bool
	}{{8.5, false}, {8.49, true}} {
		r := quietRig(t, every(600))
		for range 3 {
			r.step(600_000, map[Channel]float64{WindSpeedMPS: 10, WindGustMPS: c.gust})
		}
		if got := r.j.Sample().Validity[WindGustMPS] == Disagrees; got != c.want {
			t.Errorf("gust %v: refused %v", c.gust, got)
		}
	}
	// One reading that agrees begins the count again.
	r := quietRig(t, nil)
	r.run(2, meter(5000, 200, 5))
	r.run(1, meter(1000, 200, 5))
	r.run(2, meter(5000, 200, 5))
	if got := r.j.Sample().Validity[PowerW]; got != Valid {
		t.Errorf("%v after two in a row", got)
	}
	r.run(1, meter(5000, 200, 5))
	if r.j.ev.in.r[PowerW].fresh {
		t.Error("what is refused is fresh")
	}
}

// Light at night is refused above 20 W/m2, with a wall clock and a position,
// and only where it is night at both ends of the interval.
func TestLightAtNightEdges(t *testing.T) {
	t.Parallel()
	night := time.Date(2026, 7, 1, 23, 30, 0, 0, time.UTC)
	dusk := time.Date(2026, 6, 21, 20, 35, 0, 0, time.UTC) // the sun is some 8 degrees down
	for _, c := range []struct {
		name     string
		at       time.Time
		light    float64
		interval float64
		wall     bool
		position *Position
		want     bool
	}{
		{"night", night, 21, 1, true, &Position{50, 8}, true},
		{"little light", night, 20, 1, true, &Position{50, 8}, false},
		{"no wall clock", night, 300, 1, false, &Position{50, 8}, false},
		{"no position", night, 300, 1, true, nil, false},
		{"day elsewhere", night, 300, 1, true, &Position{50, -172}, false},
		{"dusk", dusk, 300, 1, true, &Position{50, 8}, true},
		{"a mean that began before dusk", dusk, 300, 3600, true, &Position{50, 8}, false},
	} {
		r := quietRig(t, func(cfg *Config) { cfg.Position, cfg.IntervalS = c.position, c.interval })
		if c.wall {
			if err := r.j.SetWall(c.at.UnixMilli(), 0); err != nil {
				t.Fatal(err)
			}
		}
		r.run(3, map[Channel]float64{IrradianceWPM2: c.light})
		if got := r.j.Sample().Validity[IrradianceWPM2] == Disagrees; got != c.want {
			t.Errorf("%s: refused %v", c.name, got)
		}
	}
}

// The sun's height over a year and a day, to five digits: what is compared must
// not depend on the machine.
func TestSunSineVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unixMs   int64
		lat, lon float64
	}{
		{1_782_043_200_000, 51.5, 0}, {1_797_854_400_000, 51.5, 0}, {1_774_008_000_000, 0, 0},
		{-86_400_000, 10, 20}, {1_234_567_890_123, -33, 151}, {1_234_567_890_123, 33, -151},
	} {
		day := float64(floorDiv(c.unixMs, 86_400_000)*10_000%3_652_425)/1e4 + 1
		turn := (day - 81) * 360 / 365 * math.Pi / 180
		decl := 23.45 * math.Sin(turn) * math.Pi / 180
		eot := 9.87*math.Sin(2*turn) - 7.53*math.Cos(turn) - 1.5*math.Sin(turn)
		minutes := float64(c.unixMs-floorDiv(c.unixMs, 86_400_000)*86_400_000) / 60_000
		hour := ((minutes+eot-720)/4 + c.lon) * math.Pi / 180
		lat := c.lat * math.Pi / 180
		want := math.Sin(lat)*math.Sin(decl) + math.Cos(lat)*math.Cos(decl)*math.Cos(hour)
		if got := new(sun).sine(&Position{c.lat, c.lon}, c.unixMs); math.Abs(got-want) > 1e-5 {
			t.Errorf("%d at %v, %v: %v, want %v", c.unixMs, c.lat, c.lon, got, want)
		}
	}
	if nightSine < math.Sin(-6*math.Pi/180)-1e-8 || nightSine > math.Sin(-6*math.Pi/180)+1e-8 {
		t.Errorf("civil twilight ends at %v", nightSine)
	}
}
