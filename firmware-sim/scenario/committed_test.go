package scenario

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// committed lists the traces of configs/traces: days of minutes to replay, and
// four days of hours for a grid that runs at 3600 times real time. The hourly
// ones all drive a turbine, which gives power at night too.
func committed() map[string]Options {
	m := map[string]Options{}
	for i, name := range Names() {
		seed := uint64(i + 1) // else calm and sag would have the same weather
		minutes := DefaultOptions(name, seed)
		if name == HotBearing {
			minutes.Span = 22 * time.Hour // two columns more, no larger file
		}
		m[name+".csv"] = minutes
		hourly := DefaultOptions(name, seed)
		hourly.Interval, hourly.Span, hourly.Plant.Kind = time.Hour, 96*time.Hour, Wind
		switch name {
		case Cyclone:
			hourly.Span = 144 * time.Hour // days before it, for the usual pressure
		case LostString:
			hourly.Plant.Kind = PV
		}
		m[name+"-hourly.csv"] = hourly
	}
	return m
}

// TestCommittedTraces regenerates every committed trace and compares the bytes.
// With FAIRWATT_UPDATE=1 it writes them instead.
func TestCommittedTraces(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the bytes were made on amd64; elsewhere a last digit may be rounded otherwise")
	}
	dir := filepath.Join("..", "..", "configs", "traces")
	for file, o := range committed() {
		var want bytes.Buffer
		if err := Write(&want, o); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("FAIRWATT_UPDATE") == "1" {
			if err := os.WriteFile(filepath.Join(dir, file), want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not what the generator writes; make it again with FAIRWATT_UPDATE=1", file)
		}
		if len(got) >= 200_000 {
			t.Errorf("%s has %d bytes, want less than 200 kB", file, len(got))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := committed()[e.Name()]; !ok && filepath.Ext(e.Name()) == ".csv" {
			t.Errorf("%s is made by no scenario", e.Name())
		}
	}
}
