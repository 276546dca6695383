package neighbours

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const noon = int64(1_700_000_000_000)

var here = Position{25, 121}

// at is a place km north of here.
func at(km float64) Position { return Position{here.LatitudeDeg + km/111.195, here.LongitudeDeg} }

func nowcast(sender string, km float64, w Weather) Nowcast {
	return Nowcast{Sender: sender, Position: at(km), MadeAtMs: noon - 60_000, ValidUntilMs: noon + 600_000, Weather: w}
}

func gust(v float64) Weather { return Weather{GustRatio: Some(v)} }

func thunder(agoMs int64) Weather { return Weather{Thunder: true, ThunderAgoMs: agoMs} }

func TestDistances(t *testing.T) {
	for _, c := range []struct {
		a, b Position
		km   float64
	}{
		{Position{52.1, 5.18}, Position{52.1, 5.18}, 0},
		{Position{40.7128, -74.0060}, Position{42.3601, -71.0589}, 306}, // New York to Boston
		{Position{0, 179.5}, Position{0, -179.5}, 111.2},                // over the date line
		{Position{90, 0}, Position{-90, 0}, 20015.1},
	} {
		if got := c.a.KM(c.b); math.Abs(got-c.km) > 0.5 {
			t.Errorf("%v to %v is %.1f km, want %.1f", c.a, c.b, got, c.km)
		}
	}
}

func TestCoarseHidesTheHouse(t *testing.T) {
	if got := (Position{24.997647, 121.442017}).Coarse(0.05); math.Abs(got.LatitudeDeg-25) > 1e-9 || math.Abs(got.LongitudeDeg-121.45) > 1e-9 {
		t.Errorf("rounded to %v", got)
	}
	if got := (Position{89.99, 179.99}).Coarse(0.7); !got.onEarth() {
		t.Errorf("%v is not on earth", got)
	}
}

func TestSilenceIsNoNumber(t *testing.T) {
	h := NewSet("me", here, 0).Heard(noon)
	if h.Has != [NumNumbers]bool{} || h.Speakers != 0 {
		t.Errorf("nobody spoke, and heard is %+v", h)
	}
}

func TestSixNumbers(t *testing.T) {
	h := Listen("me", here, noon, []Nowcast{
		nowcast("a", 50, Weather{GustRatio: Some(1.5), PressureChange3hHPa: Some(-2)}),
		nowcast("b", 140, Weather{GustRatio: Some(0.5), PressureChange3hHPa: Some(-5)}),
		nowcast("c", 300, Weather{GustRatio: Some(3), PressureChange3hHPa: Some(-20)}),
		nowcast("d", 100, thunder(4*3_600_000)),
		nowcast("e", 200, thunder(3_600_000)),
	})
	want := [NumNumbers]float64{1.5, 1, -5, 3, math.Exp(-1), math.Exp(-0.5)}
	for i := range want {
		if !h.Has[i] || math.Abs(h.X[i]-want[i]) > 1e-3 {
			t.Errorf("number %d is %g (%v), want %g", i, h.X[i], h.Has[i], want[i])
		}
	}
	for i, names := range []string{"a b", "a b", "b a", "c a b", "e", "d e"} {
		if got := strings.Join(h.By[i], " "); got != names {
			t.Errorf("number %d is said by %q, want %q", i, got, names)
		}
	}
	if h.Speakers != 5 {
		t.Errorf("%d spoke, want 5", h.Speakers)
	}
}

func TestNoThunderIsKnown(t *testing.T) {
	h := Listen("me", here, noon, []Nowcast{nowcast("a", 50, thunder(ThunderBackMs)), nowcast("b", 20, gust(1))})
	if !h.Has[Thunder3h] || h.X[Thunder3h] != 0 || h.By[Thunder3h] != nil {
		t.Errorf("a neighbour without thunder says %v %v %v", h.Has[Thunder3h], h.X[Thunder3h], h.By[Thunder3h])
	}
	h = Listen("me", here, noon, []Nowcast{nowcast("b", 20, gust(1))})
	if h.Has[Thunder3h] {
		t.Error("a neighbour without a detector says that there was no thunder")
	}
}

// Thunder grows older on the way.
func TestThunderAges(t *testing.T) {
	n := nowcast("a", 0, thunder(3*3_600_000-5*60_000))
	s := NewSet("me", here, 0)
	if err := s.Put(n, noon); err != nil {
		t.Fatal(err)
	}
	if h := s.Heard(noon); h.X[Thunder3h] != 1 {
		t.Errorf("thunder of 2 h 56 min ago says %g", h.X[Thunder3h])
	}
	if h := s.Heard(noon + 5*60_000); h.X[Thunder3h] != 0 || h.X[Thunder6h] != 1 {
		t.Errorf("thunder of 3 h 1 min ago says %g and %g", h.X[Thunder3h], h.X[Thunder6h])
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(n *Nowcast)
		why    error
	}{
		"nothing":           {func(*Nowcast) {}, nil},
		"own":               {func(n *Nowcast) { n.Sender = "me" }, ErrOwn},
		"no sender":         {func(n *Nowcast) { n.Sender = "" }, ErrAbsurd},
		"long sender":       {func(n *Nowcast) { n.Sender = strings.Repeat("x", 65) }, ErrAbsurd},
		"not on earth":      {func(n *Nowcast) { n.Position.LatitudeDeg = 91 }, ErrAbsurd},
		"nowhere":           {func(n *Nowcast) { n.Position.LongitudeDeg = math.NaN() }, ErrAbsurd},
		"no time":           {func(n *Nowcast) { n.MadeAtMs = 0 }, ErrAbsurd},
		"never valid":       {func(n *Nowcast) { n.ValidUntilMs = n.MadeAtMs }, ErrAbsurd},
		"valid for ever":    {func(n *Nowcast) { n.ValidUntilMs = math.MaxInt64 }, ErrAbsurd},
		"gust not a number": {func(n *Nowcast) { n.GustRatio = Some(math.NaN()) }, ErrAbsurd},
		"gust of a bomb":    {func(n *Nowcast) { n.GustRatio = Some(11) }, ErrAbsurd},
		"gust below zero":   {func(n *Nowcast) { n.GustRatio = Some(-1) }, ErrAbsurd},
		"pressure":          {func(n *Nowcast) { n.PressureChange3hHPa = Some(math.Inf(-1)) }, ErrAbsurd},
		"thunder ahead":     {func(n *Nowcast) { n.ThunderAgoMs = -1 }, ErrAbsurd},
		"strokes":           {func(n *Nowcast) { n.Thunder, n.Strokes3h = true, MaxStrokes+1 }, ErrAbsurd},
		"strokes unheard":   {func(n *Nowcast) { n.Strokes3h = 1 }, ErrAbsurd},
		"stale":             {func(n *Nowcast) { n.MadeAtMs = noon - FreshMs - 1; n.ValidUntilMs = noon + 1 }, ErrStale},
		"run out":           {func(n *Nowcast) { n.ValidUntilMs = noon }, ErrStale},
		"ahead":             {func(n *Nowcast) { n.MadeAtMs = noon + SkewMs + 1; n.ValidUntilMs = noon + FreshMs }, ErrFuture},
		"far":               {func(n *Nowcast) { n.Position = at(601) }, ErrFar},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSet("me", here, 0)
			n := nowcast("a", 10, gust(1))
			c.change(&n)
			if err := s.Put(n, noon); !errors.Is(err, c.why) {
				t.Errorf("says %v, want %v", err, c.why)
			}
			if want := map[bool]int{true: 1}[c.why == nil]; s.Len() != want {
				t.Errorf("%d are kept, want %d", s.Len(), want)
			}
		})
	}
}

func TestReplayIsRefused(t *testing.T) {
	s := NewSet("me", here, 0)
	n := nowcast("a", 10, gust(1))
	older := n
	older.MadeAtMs--
	older.GustRatio = Some(9)
	for i, c := range []struct {
		n   Nowcast
		why error
	}{{n, nil}, {n, ErrReplayed}, {older, ErrReplayed}} {
		if err := s.Put(c.n, noon); !errors.Is(err, c.why) {
			t.Errorf("message %d: %v, want %v", i, err, c.why)
		}
	}
	if h := s.Heard(noon); h.X[GustHighest] != 1 {
		t.Errorf("a replay moved the highest gust to %g", h.X[GustHighest])
	}
}

func TestTheNearestSixtyFourAreKept(t *testing.T) {
	s := NewSet("me", here, 0)
	for i := range MaxNeighbours {
		if err := s.Put(nowcast(fmt.Sprintf("n%02d", i), float64(100+i), gust(1)), noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(nowcast("further", 200, gust(9)), noon); !errors.Is(err, ErrFull) {
		t.Errorf("a further one: %v", err)
	}
	if err := s.Put(nowcast("nearer", 50, gust(2)), noon); err != nil {
		t.Errorf("a nearer one: %v", err)
	}
	if _, kept := s.find("n63"); kept || s.Len() != MaxNeighbours {
		t.Errorf("the furthest is kept: %v; %d are kept", kept, s.Len())
	}
	// What ran out makes room.
	n := nowcast("further", 200, gust(9))
	n.MadeAtMs, n.ValidUntilMs = noon+20*60_000, noon+30*60_000
	if err := s.Put(n, noon+20*60_000); err != nil || s.Len() != 1 {
		t.Errorf("after all ran out: %v, %d kept", err, s.Len())
	}
}

// drawNowcasts draws honest neighbours with distinct ids.
func drawNowcasts(t *rapid.T, least, most int) []Nowcast {
	n := rapid.IntRange(least, most).Draw(t, "neighbours")
	out := make([]Nowcast, n)
	for i := range out {
		km := rapid.Float64Range(0, 140).Draw(t, "km")
		out[i] = nowcast(fmt.Sprintf("n%02d", i), km, Weather{
			GustRatio:           Some(rapid.Float64Range(0, 3).Draw(t, "ratio")),
			PressureChange3hHPa: Some(rapid.Float64Range(-6, 6).Draw(t, "change")),
			Thunder:             true, ThunderAgoMs: rapid.Int64Range(0, 2*ThunderBackMs).Draw(t, "ago"),
		})
	}
	return out
}

func TestOneLiarMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		honest := drawNowcasts(t, crowd-1, 20)
		liar := nowcast("liar", rapid.Float64Range(0, 140).Draw(t, "liar's km"), Weather{
			GustRatio:           Some(rapid.SampledFrom([]float64{0, MaxGustRatio}).Draw(t, "lie")),
			PressureChange3hHPa: Some(rapid.SampledFrom([]float64{-MaxChangeHPa, MaxChangeHPa}).Draw(t, "pressure lie")),
			Thunder:             true, ThunderAgoMs: rapid.SampledFrom([]int64{0, ThunderBackMs * 2}).Draw(t, "thunder lie"),
		})
		with := Listen("me", here, noon, append(slices.Clone(honest), liar))
		for i := range NumNumbers {
			lo, hi := math.Inf(1), math.Inf(-1)
			for _, n := range honest {
				alone := Listen("me", here, noon, []Nowcast{n})
				lo, hi = min(lo, alone.X[i]), max(hi, alone.X[i])
			}
			if with.X[i] < lo-1e-12 || with.X[i] > hi+1e-12 {
				t.Fatalf("number %d: one liar among %d moves it to %g; the others say %g to %g", i, len(honest), with.X[i], lo, hi)
			}
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawNowcasts(t, 0, 12)
		a := Listen("me", here, noon, all)
		b := Listen("me", here, noon, rapid.Permutation(all).Draw(t, "order"))
		if a.X != b.X || a.Has != b.Has || fmt.Sprint(a.By) != fmt.Sprint(b.By) {
			t.Fatalf("%+v\nin another order\n%+v", a, b)
		}
	})
}

// A circle that is asked again and again gives each time what a new set gives.
func TestCircleIsListen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Circle
		for range rapid.IntRange(1, 4).Draw(t, "moments") {
			all := drawNowcasts(t, 0, 12)
			var km []float64
			for _, n := range all {
				km = append(km, here.KM(n.Position))
			}
			want, got := Listen("me", here, noon, all), c.Numbers(noon, all, km)
			if got.X != want.X || got.Has != want.Has || got.Speakers != want.Speakers {
				t.Fatalf("the circle hears %+v, the set %+v", got, want)
			}
		}
	})
}

// Whatever is said, what comes out is finite and within its bounds.
func TestAnythingMayBeSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSet("me", here, rapid.Float64().Draw(t, "within"))
		now := noon
		for range rapid.IntRange(0, 100).Draw(t, "messages") {
			now += rapid.Int64Range(0, 600_000).Draw(t, "step")
			anyNumber := func(name string) Optional {
				return Optional{rapid.Float64().Draw(t, name), rapid.Bool().Draw(t, name+" known")}
			}
			n := Nowcast{
				Sender:   rapid.StringN(0, 3, 70).Draw(t, "sender"),
				Position: Position{rapid.Float64Range(20, 30).Draw(t, "lat"), rapid.Float64Range(110, 130).Draw(t, "lon")},
				MadeAtMs: now + rapid.Int64Range(-3_600_000, 600_000).Draw(t, "age"),
			}
			n.ValidUntilMs = n.MadeAtMs + rapid.Int64Range(0, 7_200_000).Draw(t, "valid")
			n.GustRatio, n.PressureChange3hHPa = anyNumber("ratio"), anyNumber("change")
			n.Thunder, n.ThunderAgoMs = rapid.Bool().Draw(t, "thunder"), rapid.Int64().Draw(t, "ago")
			_ = s.Put(n, now) // refused or not
			h := s.Heard(now)
			bounds := [NumNumbers][2]float64{{0, MaxGustRatio}, {0, MaxGustRatio}, {-MaxChangeHPa, MaxChangeHPa}, {0, MaxGustRatio}, {0, 1}, {0, 1}}
			for i, x := range h.X {
				if !(x >= bounds[i][0] && x <= bounds[i][1]) {
					t.Fatalf("number %d is %g", i, x)
				}
				if len(h.By[i]) > maxNames {
					t.Fatalf("number %d names %q", i, h.By[i])
				}
			}
			if s.Len() > MaxNeighbours || h.Speakers > s.Len() {
				t.Fatalf("%d kept, %d spoke", s.Len(), h.Speakers)
			}
		}
	})
}

func TestQuantileFindsTheStrongHours(t *testing.T) {
	var q Quantile
	for i := range quantileKnown - 1 {
		q.Push(float64(i % 20))
	}
	if m := q.MPS(); m.OK {
		t.Errorf("known after %d hours: %v", quantileKnown-1, m)
	}
	for i := range 2000 {
		q.Push(float64(i % 20)) // 0 to 19 m/s alike: the strongest hour of twenty begins at 19
	}
	if m := q.MPS(); !m.OK || math.Abs(m.V-19) > 0.6 {
		t.Errorf("quantile %v, want 19", m)
	}
	if r := q.Ratio(38); !r.OK || math.Abs(r.V-2) > 0.1 {
		t.Errorf("38 m/s are %v, want 2", r)
	}
	// The station moves to a windier place: the quantile follows.
	for i := range 12000 {
		q.Push(float64(20 + i%20))
	}
	if m := q.MPS(); math.Abs(m.V-39) > 0.6 {
		t.Errorf("quantile %v after a year at a windier place, want 39", m)
	}
	if r := q.Ratio(1e9); r.V != MaxGustRatio {
		t.Errorf("ratio %v is not bounded", r)
	}
}

func TestQuantileOfACalmPlaceIsNotZero(t *testing.T) {
	var q Quantile
	for range 500 {
		q.Push(0.4)
		q.Push(math.NaN())
		q.Push(-1)
	}
	if m := q.MPS(); m.V != lowestMPS {
		t.Errorf("quantile %v, want %v", m, lowestMPS)
	}
}

func TestQuantileOutlivesARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q, back Quantile
		for _, g := range rapid.SliceOfN(rapid.Float64Range(0, 70), 0, 400).Draw(t, "gusts") {
			q.Push(g)
		}
		b := append(q.Append(nil), 7)
		rest, err := back.Restore(b)
		if err != nil || len(rest) != 1 || back != q {
			t.Fatalf("came back otherwise: %v, %d bytes left", err, len(rest))
		}
		for cut := range b[:len(b)-1] {
			was := back
			if _, err := back.Restore(b[:cut]); err == nil || back != was {
				t.Fatalf("a state cut after %d bytes was taken", cut)
			}
		}
	})
}

func FuzzQuantileRestore(f *testing.F) {
	var q Quantile
	q.Push(3)
	f.Add(q.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Quantile
		if _, err := q.Restore(b); err != nil {
			return
		}
		for range 300 {
			q.Push(10)
		}
		if m := q.MPS(); m.OK && !(m.V >= lowestMPS && m.V <= 64) {
			t.Errorf("quantile %v", m)
		}
	})
}
