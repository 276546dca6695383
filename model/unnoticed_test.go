package model

import (
	"math"
	"strings"
	"testing"
)

// What two channels say of each other counts only while all of them can be believed:
// the last value of one that is lost contradicts nobody.
func TestLostChannelsContradictNobody(t *testing.T) {
	t.Parallel()
	for _, lost := range []Channel{PowerW, VoltageV, CurrentA} {
		b := newBare(t, nil).set(map[Channel]float64{PowerW: 9000, VoltageV: 230, CurrentA: 1})
		if !b.powerContradicts(bareMs) {
			t.Fatal("9 kW at 230 VA is no contradiction")
		}
		if b.lose(lost).powerContradicts(bareMs) {
			t.Errorf("without %v: still a contradiction", lost)
		}
	}
	b := newBare(t, func(c *Config) { c.Position = &Position{Latitude: 24, Longitude: 0} })
	b.set(map[Channel]float64{IrradianceWPM2: 500})
	b.wallKnown, b.wallOffsetMs = true, 20_000*dayMs-bareMs // midnight
	if !b.sunAtNight(bareMs) {
		t.Fatal("the sun at midnight is no contradiction")
	}
	if b.lose(IrradianceWPM2).sunAtNight(bareMs) {
		t.Error("a pyranometer that is lost sees the sun at night")
	}
	for _, lost := range []Channel{TemperatureC, HumidityPct} {
		b := newBare(t, nil).set(map[Channel]float64{TemperatureC: 20, HumidityPct: 50})
		if _, ok := b.dewPoint(bareMs); !ok {
			t.Fatal("no dew point")
		}
		if dew, ok := b.lose(lost).dewPoint(bareMs); ok {
			t.Errorf("without %v the dew point is %v", lost, dew)
		}
	}
}

// The sun stands in the zenith at noon of midsummer under the tropic, and highest at
// the noon of its own meridian.
func TestSunAtNoon(t *testing.T) {
	t.Parallel()
	const midsummer = 19_895 * dayMs // 2024-06-21
	for _, c := range []struct {
		longitude float64
		hour      int64
		want      float64
	}{
		{0, 12, 1}, {90, 6, 1}, {-90, 18, 1}, {0, 0, -0.684},
	} {
		var s sun
		if got := s.sine(&Position{Latitude: 23.44, Longitude: c.longitude}, midsummer+c.hour*hourMs); math.Abs(got-c.want) > 0.005 {
			t.Errorf("at %v east, %d h: %v, want %v", c.longitude, c.hour, got, c.want)
		}
	}
}

// A baseline that a restart has brought, and no reading fell into its hour, goes on.
func TestBaselineAfterAnHourWithoutAReading(t *testing.T) {
	t.Parallel()
	b := baseline{hour: 10, any: true}
	*b.slot(9) = 101_300
	b.push(12*hourMs, 1000)
	b.push(13*hourMs, 1001)
	if b.hour != 13 || *b.slot(9) != 101_300 || *b.slot(10) != 0 || *b.slot(11) != 0 || *b.slot(12) != 100_000 {
		t.Errorf("hour %d: %d, %d, %d, %d", b.hour, *b.slot(9), *b.slot(10), *b.slot(11), *b.slot(12))
	}
}

// A distance with a count of none is no stroke.
func TestADistanceWithoutAStroke(t *testing.T) {
	t.Parallel()
	for count, want := range map[float64]Level{0: LevelNone, 1: LevelWarn, 2: LevelBlock} {
		r := quietRig(t, nil)
		r.step(1000, map[Channel]float64{RainMM: 0})
		r.step(1000, map[Channel]float64{LightningKM: 8, LightningCount: count})
		if l := r.levelOf("W01"); l != want {
			t.Errorf("%v strokes: %v, want %v", count, l, want)
		}
	}
}

// The inverter's bits in words, one after the other.
func TestInverterText(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint64]string{
		0: "", 1: inverterWords[0], 1 << 32: "its state FAULT", 1<<32 | 1: inverterWords[0] + ", its state FAULT",
		1 << 31: "event bit 31",
	} {
		if got := inverterText(bits); got != want {
			t.Errorf("%b: %q, want %q", bits, got, want)
		}
	}
	r := newRig(t, nil, nil)
	r.step(1000, map[Channel]float64{InverterEvents: 1 << 7})
	for range 120 {
		r.step(1000, map[Channel]float64{FrequencyHz: 50})
	}
	if text := r.textOf("E14"); !strings.Contains(text, "inverter") || !strings.Contains(text, "stale") {
		t.Errorf("of one that is not heard any more: %q", text)
	}
}

// Event bits are a number from 0 to all of them.
func TestInverterBitsOutOfRange(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]Validity{-1: OutOfRange, 0: Valid, inverterMost: Valid, inverterMost + 1: OutOfRange} {
		if got := inverterVote([]Reading{{Value: value, Validity: Valid}}); got.Validity != want {
			t.Errorf("%v: %v, want %v", value, got.Validity, want)
		}
	}
}

// The limit on openings is one that the gate can count.
func TestGateBoundsItsReopenings(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{-1: 1, 0: 1, 1: 1, maxReopens: maxReopens, maxReopens + 1: maxReopens} {
		if got := NewGate(GateTimes{MaxReopens: asked}).times.MaxReopens; got != want {
			t.Errorf("%d openings: %d, want %d", asked, got, want)
		}
	}
}

// A gate that is closed does not say when it opens.
func TestAClosedGateHasNoClearTime(t *testing.T) {
	t.Parallel()
	r := quietRig(t, nil)
	told := 0
	for _, e := range r.step(1000, map[Channel]float64{WindGustMPS: 40}) {
		if e.Type == EventGate && e.State == StateBlocked {
			if told++; e.ClearInMs != -1 {
				t.Errorf("blocked, and clears in %d ms", e.ClearInMs)
			}
		}
	}
	if told == 0 {
		t.Error("no event of a closed gate")
	}
}

// A text that is longer than what is left of a snapshot is damage.
func TestSnapshotTextCutOff(t *testing.T) {
	t.Parallel()
	whole := append([]byte{5}, "abcde"...)
	for n := range len(whole) + 1 {
		r := snapshotReader{b: whole[:n]}
		if text := r.long(); r.bad != (n < len(whole)) || !r.bad && text != "abcde" {
			t.Errorf("%d of %d bytes: %q, bad %v", n, len(whole), text, r.bad)
		}
	}
}

// The worst of the distortions is that of its phase, and without any it is the sum's.
func TestWorstDistortion(t *testing.T) {
	t.Parallel()
	b := newBare(t, nil)
	if got := b.thdChannel(bareMs); got != THDPct {
		t.Errorf("of none: %v", got)
	}
	b.set(map[Channel]float64{THDPct: 3, THDAPct: 4, THDBPct: 9, THDCPct: 5})
	if got := b.thdChannel(bareMs); got != THDBPct {
		t.Errorf("the worst is %v, want %v", got, THDBPct)
	}
}

// An input is said without its unit, which stands behind the number.
func TestSpoken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"humidity_pct": "humidity", "irradiance_wpm2": "irradiance", "lightning_km": "lightning at", "some_thing": "some thing",
	} {
		if got := spoken(name); got != want {
			t.Errorf("%q is said as %q, want %q", name, got, want)
		}
	}
}
