package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/sharing"
)

// The table of the market's page is what the command prints of generated days.
func TestMarketCompareGenerated(t *testing.T) {
	out, err := runMarket("market", "compare", "--days", "30")
	if err != nil || !strings.HasPrefix(out, "data   generated, seed 1\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	quote(t, "compare", out)
}

// traceOf writes a trace of hours that end from begin on; row makes each one's values.
func traceOf(t *testing.T, dir, name, columns string, begin time.Time, hours int, row func(hour int) string) {
	t.Helper()
	text := "# fairwatt-trace: 1\n# site: x\n# latitude: 24\n# longitude: 120\n# interval_s: 3600\n# simulated: true\ntime," + columns + "\n"
	for h := range hours {
		text += begin.Add(time.Duration(h+1)*time.Hour).Format(time.RFC3339) + "," + row(h) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Plants by traces: power counts as it is, irradiance is a roof, wind a turbine; all begin on
// the first day that all have; an hour without a value exports nothing and is told.
func TestMarketCompareTraces(t *testing.T) {
	dir := t.TempDir()
	day := time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC)
	traceOf(t, dir, "power.csv", "power_w", day.Add(-5*time.Hour), 80, func(h int) string {
		switch {
		case h == 29+6: // 6 o'clock of the 21st
			return ""
		case h == 29+7:
			return "-500" // consumes
		}
		return "1000"
	})
	traceOf(t, dir, "sky.csv", "temperature_c,wind_speed_mps,irradiance_wpm2", day.Add(12*time.Hour), 60, func(int) string { return "25,12,1000" })
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("no trace"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := runMarket("market", "compare", "--data", dir, "--days", "2", "--json")
	var c comparison
	if jsonErr := json.Unmarshal([]byte(text), &c); err != nil || jsonErr != nil {
		t.Fatalf("%v, %v\n%s", err, jsonErr, text)
	}
	if c.Source != "traces" || c.From != "2026-06-21" || c.Plants != 3 || c.Homes != 6 || c.Gaps != 4 || len(c.Ways) != 6 || len(c.Members) != 9 {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.Members[:3], []string{"power", "sky-pv", "sky-wind"}) {
		t.Errorf("%v", c.Members)
	}
	// 46 kWh by power, 240 kWh of a turbine of 5 kW at its rated wind, less its losses, and a
	// roof in full sun of which some is lost as heat.
	if c.ExportWh < 46_000+230_000+190_000 || c.ExportWh > 46_000+240_000+240_000 {
		t.Errorf("%d Wh", c.ExportWh)
	}
	out, err := runMarket("market", "compare", "--data", dir, "--days", "1", "--homes", "2", "--from", "2026-06-22", "--fee", "0")
	if err != nil || !strings.Contains(out, "plants by traces from 2026-06-22 on, 0 quarters of an hour without a value") || !strings.Contains(out, "2 homes") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Power is spread over the quarters of an hour that it lies in.
func TestSpreadOverSlots(t *testing.T) {
	got := map[int64]float64{}
	spread(got, -slotMs/3, 2*slotMs+slotMs/2, 4000)
	wh := ""
	for s := int64(-1); s <= 3; s++ {
		wh += fmt.Sprintf("%.1f ", got[s]/3_600_000)
	}
	if wh != "333.3 1000.0 1000.0 500.0 0.0 " {
		t.Error(wh)
	}
}

// A trace without an interval counts from row to row, an hour at most.
func TestReadPlantWithoutInterval(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.csv")
	text := "# fairwatt-trace: 1\n# site: x\ntime,power_w\n2026-06-20T00:00:00Z,9000\n2026-06-20T00:15:00Z,1000\n2026-06-20T03:00:00Z,2000\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &plants{from: 0, to: 1 << 40}
	if err := p.read(file, "p"); err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC).UnixMilli() / slotMs
	producers, _ := p.producers(first, 1)
	if got := producers[0].ExportWh[:13]; !slices.Equal(got, []int64{250, 0, 0, 0, 0, 0, 0, 0, 500, 500, 500, 500, 0}) {
		t.Error(got)
	}
	if p.from != first || p.to != first+12 {
		t.Errorf("from %s to %s", slotBegin(p.from), slotBegin(p.to))
	}
}

// Where the sun stands decides when homes cook: a day of UTC begins in the morning at 120 E.
func TestNoon(t *testing.T) {
	for longitude, want := range map[float64]int{0: 0, 120: 32, -90: 72, 179.9: 48} {
		if got := (&plants{longitude: longitude}).noon(); got != want || got >= sharing.SlotsADay {
			t.Errorf("%v: %d, want %d", longitude, got, want)
		}
	}
}

func TestMarketCompareRefuses(t *testing.T) {
	empty, short := t.TempDir(), t.TempDir()
	traceOf(t, short, "a.csv", "power_w", time.Date(2026, 6, 20, 1, 0, 0, 0, time.UTC), 30, func(int) string { return "1" })
	for want, args := range map[string][]string{
		"--days 0: want 1 to 400":   {"--days", "0"},
		"--days 401":                {"--days", "401"},
		"--homes 0: want 1 to 1000": {"--homes", "0", "--data", short},
		"--homes 1001":              {"--homes", "1001", "--data", short},
		"go with --data":            {"--homes", "3"},
		"--from and --homes":        {"--from", "2026-06-21"},
		"--price":                   {"--price", "0"},
		"--fee":                     {"--fee", "-1"},
		"too many, at most 5000000": {"--days", "400", "--homes", "1000", "--data", short},
		"want 0 to 1000000000":      {"--price", "2000"},
		"no trace in":               {"--data", empty},
		"read folder of traces":     {"--data", filepath.Join(empty, "none")},
		`--from "June"`:             {"--data", short, "--from", "June"},
		"they have 2026-06-20 01:00 to 2026-06-21 07:00 in common": {"--data", short, "--days", "1"},
		"from 2026-06-20 00:00 on":                                 {"--data", short, "--days", "1", "--from", "2026-06-20"},
	} {
		if out, err := runMarket(append([]string{"market", "compare"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
