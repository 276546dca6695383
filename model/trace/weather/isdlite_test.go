package weather

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"fairwatt/model"
)

// Lines in ISD-Lite's layout, with made-up values.
const isdText = `2024 01 01 00    81    71 10021   210    60     8    -1 -9999
2024 01 01 01    -1   -12 -9999     0     0     8    12    12

2023 12 31 23    81 -9999 10021   360    60 -9999 -9999 -9999
`

func TestImportISDLite(t *testing.T) {
	var zipped bytes.Buffer
	for part := range strings.SplitSeq(isdText, "\n\n") { // two files strung together
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write([]byte(part + "\n")); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := `# fairwatt-trace: 1
# site: De Bilt
# latitude: 52.1
# longitude: 5.18
# interval_s: 3600
# source: NOAA NCEI, Integrated Surface Database, ISD-Lite
# composed: humidity_pct
# note: pressure is that at sea level; humidity is computed from the dew point; rain 0.05 stands for a trace; no gusts
time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_direction_deg,rain_mm
2023-12-31T23:00:00Z,8.1,,1002.1,6,360,
2024-01-01T00:00:00Z,8.1,93.4,1002.1,6,210,0.05
2024-01-01T01:00:00Z,-0.1,92.3,,0,,1.2
`
	for name, text := range map[string]string{"plain": isdText, "gzip": zipped.String(), "CRLF": strings.ReplaceAll(isdText, "\n", "\r\n")} {
		tr, err := ImportISDLite(strings.NewReader(text), Place{Site: "De Bilt", Position: model.Position{Latitude: 52.1, Longitude: 5.18}, HasPosition: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b bytes.Buffer
		if err := tr.Write(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, b.String(), want)
		}
	}
}

// A column without any value is no column, and no humidity was composed.
func TestISDLiteLeavesOutEmptyColumns(t *testing.T) {
	tr, err := ImportISDLite(strings.NewReader("2024 01 01 00 81 -9999 -9999 -9999 -9999 -9999 -9999 -9999\n"), Place{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Channels) != 1 || len(tr.Meta.Composed) != 0 {
		t.Errorf("channels %v, composed %v", tr.Channels, tr.Meta.Composed)
	}
}

func TestImportISDLiteRefuses(t *testing.T) {
	const good = "2024 01 01 00 81 71 10021 210 60 8 -1 -9999\n"
	for name, c := range map[string][2]string{
		"nothing":   {"\n", "no observations"},
		"cut off":   {good + "2024 01 01 01 81", "line 2: 5 columns, want 12 (year, month, day, hour, ...)"},
		"word":      {strings.Replace(good, "10021", "high", 1), `line 1, column sea level pressure: "high" is not a whole number`},
		"no date":   {strings.Replace(good, "01 01", "02 30", 1), "2024 02 30 00 is no date and hour"},
		"hour":      {strings.Replace(good, "01 00 81", "01 24 81", 1), "2024 01 01 24 is no date and hour"},
		"direction": {strings.Replace(good, " 210 ", " 999 ", 1), "999 is outside 0 to 360 degrees"},
		"rain":      {strings.Replace(good, " -1 ", " -2 ", 1), "-2 is less than nothing"},
		"dew point": {strings.Replace(good, " 71 ", " -2431 ", 1), "not of this earth"},
		"twice":     {good + good, "line 2: the hour of line 1 again"},
		"no values": {"2024 01 01 00 -9999 -9999 -9999 -9999 -9999 8 -9999 -9999\n", "no value in any line"},
		"long line": {good + strings.Repeat("1 ", 4000), "line 2"},
	} {
		if _, err := ImportISDLite(strings.NewReader(c[0]), Place{}); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: error %v, want %q", name, err, c[1])
		}
	}
}

// Vectors of Magnus' formula: 25 C at 60 % has its dew point at 16.698 C, 30 C
// at 80 % at 26.171 C.
func TestDewHumidity(t *testing.T) {
	for _, c := range [][3]float64{{25, 16.698, 60}, {30, 26.171, 80}, {10, 10, 100}, {10, 11, 100}} {
		if got := dewHumidityPct(c[0], c[1]); got != c[2] {
			t.Errorf("%v C, dew point %v C: %v %%, want %v", c[0], c[1], got, c[2])
		}
	}
}

func FuzzImportISDLite(f *testing.F) {
	f.Add([]byte(isdText))
	f.Add([]byte("1900 01 01 00 0 0 0 0 0 0 0 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		tr, err := ImportISDLite(bytes.NewReader(b), Place{})
		if err != nil {
			return
		}
		checkImported(t, tr)
	})
}
