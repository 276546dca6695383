package comtrade

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"fairwatt/model"
)

// recording returns the path of a real recording, or skips.
func recording(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("FAIRWATT_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(root, "data", "comtrade", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real recording: %v", err)
	}
	return path
}

// The three recordings are of relays of three makers and have between them a
// revision year that no standard has, Cyrillic names in Windows-1251, blank
// lines, 83 sampling rates, none, and transformer ratios.
func TestReal(t *testing.T) {
	for _, c := range []struct {
		name     string
		samples  int
		spanS    float64
		channels int
		channel  model.Channel
		peak     float64 // largest value of the channel, from printing the file
	}{
		{"strathmore275kV_2017-03-31.cfg", 11001, 11, 8, model.CurrentCAInst, 3713},
		{"earthfault_UABC3U0_2017-05-25.cfg", 5316, 2.2115, 4, model.VoltageNVInst, 5823},
		{"ge_c60_2012-04-06.cfg", 1360, 1.698, 8, model.VoltageBVInst, 282e3},
	} {
		r, err := Open(recording(t, c.name), nil)
		if err != nil {
			t.Fatal(err)
		}
		var s model.Sample
		n, peak := 0, 0.0
		for {
			err := r.Next(&s)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := s.Get(c.channel); ok {
				peak = max(peak, v)
			}
			n++
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if span := r.Elapsed(); n != c.samples || span < c.spanS*.999 || span > c.spanS*1.001 || len(r.Channels()) != c.channels {
			t.Errorf("%s: %d samples, %v s, channels %v, left %v", c.name, n, span, r.Channels(), r.Unmapped())
		}
		if peak < c.peak*.98 || peak > c.peak*1.02 {
			t.Errorf("%s: %s reaches %v, want about %v", c.name, c.channel, peak, c.peak)
		}
	}
}
