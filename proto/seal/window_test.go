package seal_test

import (
	"bytes"
	"testing"

	"fairwatt/proto/seal"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	const n = seal.WindowSize
	var w seal.Window
	for i, c := range []struct {
		counter uint64
		accept  bool
	}{
		{0, false},
		{1, true},
		{1, false},
		{3, true},
		{2, true},
		{2, false},
		{64, true},
		{65, true},
		{63, true},
		{63, false},
		{n, true},
		{4, true},
		{n + 5, true},
		{5, false}, // n back: too old to tell
		{6, true},
		{6, false},
		{3 * n, true},
		{2 * n, false},
		{2*n + 1, true},
		{3*n - 1, true},
		{3*n - 1, false},
		{1<<64 - 1, true},
		{1<<64 - 1, false},
		{1<<64 - 2, true},
		{1<<64 - n, true},
		{1<<64 - n - 1, false},
		{3*n + 1, false},
	} {
		if w.Accepts(c.counter) != c.accept || w.Accept(c.counter) != c.accept {
			t.Errorf("step %d: counter %d: want %v", i, c.counter, c.accept)
		}
	}
}

// TestWindowModel compares a window with a set of everything accepted, and its
// encoding with itself.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w seal.Window
		seen, greatest := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			c := greatest + uint64(rapid.IntRange(0, 1500).Draw(t, "ahead"))
			c -= min(c, uint64(rapid.IntRange(0, 1300).Draw(t, "back")))
			want := c > 0 && !seen[c] && c+seal.WindowSize > greatest
			if got := w.Accept(c); got != want {
				t.Fatalf("counter %d after %d: %v, want %v", c, greatest, got, want)
			}
			if want {
				seen[c] = true
				greatest = max(greatest, c)
			}
			b, err := w.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var again seal.Window
			if err := again.UnmarshalBinary(b); err != nil || again != w {
				t.Fatalf("encoding %x of counter %d: %v", b, greatest, err)
			}
		}
	})
}

func TestWindowOfAnOrderlySender(t *testing.T) {
	var w seal.Window
	for c := uint64(1); c <= 3000; c++ {
		w.Accept(c)
		if b, err := w.MarshalBinary(); err != nil || len(b) != 8 {
			t.Fatalf("after %d: %x, %v", c, b, err)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 2})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var w seal.Window
		if w.UnmarshalBinary(b) != nil {
			return
		}
		again, err := w.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x (%v)", b, again, err)
		}
	})
}
