package history

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// noon begins an hour and a slot.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	noSync = true
	os.Exit(m.Run())
}

type harness interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t harness, path string, b Bounds, now time.Time) *History {
	t.Helper()
	h, err := Open(path, b, now)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func series(t harness, h *History, name string, from, now time.Time, stepS int64) []Point {
	t.Helper()
	out, err := h.Series([]string{name}, from, now, stepS)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func power(w float64) Sample {
	s := Nothing()
	s.PowerW = w
	return s
}

// A slot says how long the gate was what, the mean power, the energy and the highest gust.
func TestSlot(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), File), Bounds{}, noon)
	gust := Nothing()
	for i := range 31 { // 300 s
		now := noon.Add(time.Duration(i) * 10 * time.Second)
		g := GateOpen
		if i > 20 {
			g = GateClosed
		}
		gust.PowerW, gust.GustMPS, gust.WindMPS = 1200, float64(i), math.NaN()
		h.Gate("s/pv-1", g, now)
		if i < 30 {
			h.Measured("s/pv-1", gust, now)
		}
	}
	end := noon.Add(300 * time.Second)
	if err := h.Turn(end); err != nil {
		t.Fatal(err)
	}
	p := series(t, h, "s/pv-1", noon, end, StepS)
	if len(p) != 2 || p[0].TimeS != noon.Unix() {
		t.Fatalf("got %+v", p)
	}
	if q := p[0]; q.OpenS != 200 || q.ClosedS != 100 || q.UnknownS != 0 || q.PowerW != 1200 || q.GustMPS != 29 || !math.IsNaN(q.WindMPS) {
		t.Errorf("got %+v", q)
	}
	if q := p[0].EnergyWh; math.Abs(q-1200*290./3600) > 0.01 {
		t.Errorf("1200 W for 290 s are %v Wh", q)
	}
	if other := series(t, h, "s/pv-2", noon, end, StepS); other[0].OpenS != 0 || !math.IsNaN(other[0].PowerW) {
		t.Errorf("a device of which nothing is known has %+v", other[0])
	}
}

// A pause, and a clock that was set back, count as nothing; the power before a pause
// stands for a minute at most.
func TestPauseCountsForNothing(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), File), Bounds{}, noon)
	for _, at := range []time.Duration{0, 200 * time.Second, 100 * time.Second} {
		h.Gate("s/pv-1", GateOpen, noon.Add(at))
		h.Measured("s/pv-1", power(3600), noon.Add(at))
	}
	p := series(t, h, "s/pv-1", noon, noon.Add(250*time.Second), StepS)[0]
	if p.OpenS != 0 || p.EnergyWh != 60 {
		t.Errorf("got %v s open and %v Wh", p.OpenS, p.EnergyWh)
	}
}

// Whatever the steps and the restarts, no second of a gate is lost or doubled, and the
// hours say what their slots said.
func TestNothingIsLostOrDoubled(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs))
		h := open(t, path, Bounds{}, noon)
		now := noon
		want := 0.0
		fresh := true // the first word of a gate counts for no time
		for range rapid.IntRange(1, 300).Draw(t, "words") {
			span := time.Duration(rapid.IntRange(1, MaxGapS).Draw(t, "span")) * time.Second
			now = now.Add(span)
			if err := h.Turn(now); err != nil {
				t.Fatal(err)
			}
			h.Gate("s/a", GateOpen, now)
			if !fresh {
				want += span.Seconds()
			}
			fresh = false
			if rapid.IntRange(0, 20).Draw(t, "restart") == 0 {
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
				h, fresh = open(t, path, Bounds{}, now), true
			}
		}
		for _, step := range []int64{StepS, 900, 3600, 4 * 3600} {
			got := 0.0
			for _, p := range series(t, h, "s/a", noon, now, step) {
				got += p.OpenS
			}
			if got != want {
				t.Fatalf("in steps of %d s: %v s open, want %v", step, got, want)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Slots and hours are dropped by their age and by their bytes.
func TestBounded(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), File), Bounds{FineSlots: 24, HourSlots: 100, HourBytes: 10 * rowBytes}, noon)
	now := noon
	for range 12 * 40 { // 40 hours
		h.Gate("s/a", GateOpen, now)
		h.Gate("s/a", GateOpen, now.Add(MaxGapS*time.Second))
		now = now.Add(StepS * time.Second)
		if err := h.Turn(now); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		step int64
		want int
	}{{StepS, 24}, {3600, 10}} {
		n := 0
		for _, p := range series(t, h, "s/a", noon, now, c.step) {
			if p.OpenS > 0 {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%d spans of %d s are kept, want %d", n, c.step, c.want)
		}
	}
}

// A clock that was ahead for a while hides nothing of what comes later.
func TestClockWasAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	h := open(t, path, Bounds{}, noon.AddDate(10, 0, 0))
	h.Measured("s/a", power(1), noon.AddDate(10, 0, 0))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, path, Bounds{}, noon)
	for i := range 13 {
		now := noon.Add(time.Duration(i) * StepS * time.Second)
		h.Measured("s/a", power(7), now)
		if err := h.Turn(now); err != nil {
			t.Fatal(err)
		}
	}
	if p := series(t, h, "s/a", noon, noon.Add(time.Hour), 3600); p[0].PowerW != 7 {
		t.Errorf("got %+v", p)
	}
}

// A damaged file, and one of another version, are put aside.
func TestDamagedFileIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	h := open(t, path, Bounds{}, noon)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	h = open(t, path, Bounds{}, noon)
	if h.Damaged() == "" {
		t.Error("it does not say where the damaged file is")
	}
	h.Measured("s/a", power(7), noon)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// What blocks did is found by trade, participant and record, newest first, in pages that
// do not cut a block, from memory and disk alike; the oldest is dropped.
func TestStory(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	h := open(t, path, Bounds{Entries: 60}, noon)
	tell := func(from, to uint64) {
		for n := from; n <= to; n++ {
			h.Tell(n, []Entry{
				{Kind: KindRecord, What: "pay", ID: fmt.Sprintf("%064x", n), Who: "house-1", Trade: "t-1", TimeMs: int64(n)},
				{Kind: KindStatus, What: "paid", Trade: "t-1"},
				{Kind: KindMove, What: "escrowed", Who: "house-2", Index: -1},
			})
		}
	}
	tell(1, 15)
	if err := h.Turn(noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	tell(14, 20) // 14 and 15 were told
	page := func(subject string, before uint64, limit int, want ...uint64) {
		t.Helper()
		got, err := h.Of(subject, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		var heights []uint64
		for _, e := range got {
			heights = append(heights, e.Height)
		}
		if fmt.Sprint(heights) != fmt.Sprint(want) {
			t.Errorf("%s before %d: got %v, want %v", subject, before, heights, want)
		}
	}
	look := func() {
		t.Helper()
		page("t/t-1", 0, 3, 20, 20, 19, 19)
		page("t/t-1", 16, 3, 15, 15, 14, 14)
		page("p/house-1", 3, 9, 2, 1)
		page("p/house-2", 0, 1, 20)
		page("p/house", 0, 9)
		page("r/"+fmt.Sprintf("%064x", 17), 0, 9, 17)
		if b, err := h.Block(16); err != nil || len(b) != 3 || b[0].What != "pay" || b[2].Who != "house-2" {
			t.Errorf("block 16: %+v, %v", b, err)
		}
	}
	look()
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		h = open(t, path, Bounds{Entries: 60}, noon)
		look()
	}
	if h.Height() != 20 {
		t.Errorf("height %d", h.Height())
	}
	tell(21, 25)
	if err := h.Turn(noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	page("p/house-1", 8, 9, 7, 6)
	if b, err := h.Block(5); err != nil || len(b) != 0 {
		t.Errorf("block 5: %+v, %v", b, err)
	}
}

// A day of a thousand devices, as the page asks for it.
func BenchmarkStrips(b *testing.B) {
	h := open(b, filepath.Join(b.TempDir(), File), Bounds{}, noon)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("s/pv-%d", i))
	}
	now := noon
	for range 288 {
		for _, n := range names {
			h.Measured(n, power(7), now)
		}
		now = now.Add(StepS * time.Second)
		if err := h.Turn(now); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := h.Series(names[:40], noon, now, 900); err != nil {
			b.Fatal(err)
		}
	}
}
