package weather

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// The layout of KNMI's hourly files, with made-up values.
const knmiText = `# BRON: KONINKLIJK NEDERLANDS METEOROLOGISCH INSTITUUT (KNMI)
#
# STN      LON(east)   LAT(north)  ALT(m)  NAME
# 260      5.180       52.100      1.90    De Bilt
#
# FH       : Uurgemiddelde windsnelheid (in 0.1 m/s)
#
# STN,YYYYMMDD,   HH,   DD,   FH,   FF,   FX,    T,  T10N,   TD,   SQ,    Q,   DR,   RH,    P,   VV,    N,    U,   WW,   IX,    M,    R,    S,    O,    Y

  260,20000501,    1,  360,   20,   20,   40,  -12,     ,  107,    0,    0,   10,   -1,10221,   50,    8,   92,   61,    7,    0,    1,    0,    0,    0
  260,20000501,    2,  990,   30,   30,  123,  119,     ,  106,    0,   36,   10,   12,10219,   50,    8,   92,   61,    7,    0,    1,    0,    1,    0
  260,20000501,   24,    0,     ,   30,   60,  119,     ,  106,    0,    0,   10,    0,     ,   50,    8,   92,   61,    7,    0,    0,    0,    0,    0
`

func TestImportKNMI(t *testing.T) {
	tr, err := ImportKNMI(strings.NewReader(knmiText))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `# fairwatt-trace: 1
# site: KNMI 260
# interval_s: 3600
# source: Royal Netherlands Meteorological Institute (KNMI), hourly data
# licence: CC BY 4.0; credit KNMI
# note: time is the end of the hour, UTC; rain 0.05 stands for a trace
time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_gust_mps,wind_direction_deg,rain_mm,raining,irradiance_wpm2,label_thunder
2000-05-01T01:00:00Z,-1.2,92,1022.1,2,4,360,0.05,1,0,0
2000-05-01T02:00:00Z,11.9,92,1021.9,3,12.3,,1.2,1,100,1
2000-05-02T00:00:00Z,11.9,92,,,6,,0,0,0,0
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestImportKNMIRefuses(t *testing.T) {
	const head = "# STN,YYYYMMDD,   HH,    T\n"
	for _, c := range []struct{ name, text, want string }{
		{"no header", "260,20000501,1,5\n", "line 1: an observation before the line that names the columns"},
		{"nothing", head, "no observations"},
		{"daily", "# STN,YYYYMMDD,   TG\n# STN,YYYYMMDD,   TG,  TN\n260,20000501,5,6\n", "only hourly data"},
		{"short", head + "260,20000501,1\n", "line 2: 3 columns, the header has 4"},
		{"hour", head + "260,20000501,25,5\n", "line 2, column HH"},
		{"date", head + "260,20001301,1,5\n", "line 2, column YYYYMMDD"},
		{"value", head + "260,20000501,1,warm\n", `line 2, column T: "warm" is not a whole number`},
		{"station", head + "260,20000501,1,5\n270,20000501,2,5\n", "line 3, column STN"},
		{"order", head + "260,20000501,2,5\n260,20000501,1,5\n", "line 3, column HH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ImportKNMI(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

const mapText = `
separator: ";"
skip_lines: 1
time: {column: When, layout: "02.01.2006 15:04", zone: Europe/Amsterdam}
missing: ["-", "-999"]
channels:
  temperature_c: {column: Temp F, scale: 0.5555555555555556, offset: -17.77777777777778}
  wind_gust_mps: {column: Gust, missing: [calm]}
labels:
  label_thunder: {column: TS}
meta: {site: barn, interval_s: "3600"}
`

func ExampleImportCSV() {
	m, err := ParseMap([]byte(mapText))
	if err != nil {
		fmt.Println(err)
		return
	}
	tr, err := ImportCSV(strings.NewReader("exported by a logger\nWhen;Temp F;Gust;TS;other\n"+
		"01.07.2020 14:00;50;3.5;0;x\n01.07.2020 15:00;-999;calm;1;y\n"), m)
	if err != nil {
		fmt.Println(err)
		return
	}
	var b strings.Builder
	if err := tr.Write(&b); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(b.String())
	// Output:
	// # fairwatt-trace: 1
	// # site: barn
	// # interval_s: 3600
	// time,temperature_c,wind_gust_mps,label_thunder
	// 2020-07-01T12:00:00Z,10,3.5,0
	// 2020-07-01T13:00:00Z,,,1
}

func TestParseMapRefuses(t *testing.T) {
	const rest = "time: {column: t, layout: unix}\n"
	for name, c := range map[string][2]string{
		"unknown key":     {rest + "chanels: {}\n", "chanels"},
		"unknown channel": {rest + "channels: {warmth: {column: x}}\n", `unknown channel "warmth"`},
		"no column":       {rest + "channels: {raining: {scale: 2}}\n", "channels.raining.column: missing"},
		"no channels":     {rest, "channels: none"},
		"no time":         {"channels: {raining: {column: x}}\n", "time.column: missing"},
		"zone":            {"time: {column: t, layout: unix, zone: Mars/Base}\nchannels: {raining: {column: x}}\n", "time.zone"},
		"label":           {rest + "channels: {raining: {column: x}}\nlabels: {thunder: {column: y}}\n", "must begin with label_"},
		"odd tag":         {rest + "missing: !0 000\n", "a list belongs"},
		"separator":       {rest + "separator: ab\nchannels: {raining: {column: x}}\n", "more than one character"},
	} {
		if _, err := ParseMap([]byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: error %v, want %q", name, err, c[1])
		}
	}
}

func TestImportCSVRefuses(t *testing.T) {
	m, err := ParseMap([]byte("time: {column: t, layout: unix}\nchannels: {raining: {column: r}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"no column": {"t,x\n1,0\n", "column r: is not in the header"},
		"no time":   {"s,r\n1,0\n", "column t: is not in the header"},
		"number":    {"t,r\n1,wet\n", `line 2, column r: "wet" is not a number`},
		"time":      {"t,r\n1,0\n1,0\n", "line 3, column t"},
		"short":     {"t,r\n1\n", "wrong number of fields"},
		"range":     {"t,r\n1e300,0\n", "out of range"},
		"empty":     {"", "line 1"},
	} {
		if _, err := ImportCSV(strings.NewReader(c[0]), m); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: error %v, want %q", name, err, c[1])
		}
	}
}

func FuzzImportKNMI(f *testing.F) {
	f.Add([]byte(knmiText))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		tr, err := ImportKNMI(bytes.NewReader(b))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := tr.Write(&out); err != nil {
			return // a station name that is no metadata value
		}
		if _, err := trace.Read(&out, trace.Options{}); err != nil {
			t.Fatalf("what was imported cannot be read: %v", err)
		}
	})
}

func FuzzImportCSV(f *testing.F) {
	f.Add([]byte("t,r\n1,0\n"), []byte("time: {column: t, layout: unix}\nchannels: {raining: {column: r}}\n"))
	f.Add([]byte("a\nWhen;Gust\n01.07.2020 14:00;3\n"), []byte(strings.Replace(mapText, "Temp F", "Gust", 1)))
	f.Fuzz(func(t *testing.T, b, mapping []byte) {
		if len(b) > 1<<16 {
			return
		}
		m, err := ParseMap(mapping)
		if err != nil {
			return
		}
		tr, err := ImportCSV(bytes.NewReader(b), m)
		if err != nil {
			return
		}
		for i := range tr.Rows {
			for _, c := range tr.Channels {
				if _, ok := tr.Rows[i].Sample.Get(c); !ok && tr.Rows[i].Sample.Validity[c] == model.Valid {
					t.Fatal("a valid value that cannot be had")
				}
			}
		}
	})
}
