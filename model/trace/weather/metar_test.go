package weather

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// rowsOf imports reports and returns the trace's text without metadata.
func rowsOf(t *testing.T, text string, o METAROptions) string {
	t.Helper()
	tr, err := ImportMETAR(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, rows, ok := strings.Cut(b.String(), "\ntime,")
	if !ok {
		t.Fatalf("no header in %s", b.String())
	}
	return "time," + rows
}

// Made-up reports in the form of the real ones: a change of the month, a
// special report in two lines, an automatic one that sees nothing, one that is
// corrected, one that is nil.
const metarText = `# from a friend
METAR EHAM 312325Z 22015G27KT 190V250 9999 -RA SCT012 BKN020 12/M01 Q1013 TEMPO 4000 TSRA=
METAR EHAM 312355Z VRB03KT CAVOK 10/10 Q0998 NOSIG=
SPECI EHAM 010010Z 23025G40KT 3000 +TSRAGR SCT012CB
     14/12 Q0997 BECMG 9999=

METAR EHAM 010025Z AUTO /////KT //// // ////// 12/// Q////=
METAR EHAM 010055Z COR 00000MPS 9999 RETS 12/09 A2992=
METAR EHAM 010055Z 00000KT 9999 12/09 A2992=
METAR EHAM 010125Z NIL=
METAR EHAM 010125Z 36072KMH 9999 NSC M00/M05 Q1013=
`

func TestImportMETAR(t *testing.T) {
	tr, err := ImportMETAR(strings.NewReader(metarText), METAROptions{Month: "2024-07"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `# fairwatt-trace: 1
# site: METAR EHAM
# interval_s: 1800
# source: METAR and SPECI reports of EHAM
# composed: humidity_pct
# note: pressure is QNH, a pressure at sea level in whole steps, not that at the station; humidity is computed from the dew point; where no gust is reported it is the mean; rain 0.05 stands for a trace
# metar: 6 reports, 1 NIL, 1 replaced
time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_gust_mps,wind_direction_deg,raining,label_thunder
2024-07-31T23:25:00Z,12,40.6,1013,7.7,13.9,220,1,0
2024-07-31T23:55:00Z,10,100,998,1.5,1.5,,0,0
2024-08-01T00:10:00Z,14,87.7,997,12.9,20.6,230,1,1
2024-08-01T00:25:00Z,12,,,,,,,
2024-08-01T00:55:00Z,12,81.9,1013.2,0,0,,0,1
2024-08-01T01:25:00Z,0,69.1,1013,20,20,360,0,0
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// The remarks of North America: peak wind, tenths of degrees, rain, times of
// thunder; and the columns of the Iowa Environmental Mesonet.
func TestImportMETARFromCSV(t *testing.T) {
	const text = `#DEBUG,
station,valid,lon,lat,elevation,metar
KDEN,2024-01-02 02:53,-104.65,39.84,1655.0,"KDEN 020253Z 17004KT 10SM FEW080 M01/M07 A3012 RMK AO2 SLP213 T10061067 53001"
KDEN,2024-01-02 03:53,-104.65,39.84,1655.0,KDEN 020353Z 17014G21KT 2SM -RA BKN080 01/M01 A3011 RMK AO2 PK WND 18045/0305 RAB05TSB05E20 SLP211 P0012 T00061006
KDEN,2024-01-02 04:10,-104.65,39.84,1655.0,KDEN 020410Z AUTO 17014KT 2SM BKN080 01/M01 A3011 RMK AO2 TSNO P0001
KDEN,2024-01-02 04:53,-104.65,39.84,1655.0,KDEN 020453Z AUTO 17014KT 10SM UP CLR 01/M01 A3011 RMK AO2 P0000
KDEN,2024-01-02 05:53,-104.65,39.84,1655.0,KDEN 020553Z AUTO 17014KT 10SM CLR 01/M01 A3011 RMK AO2 PNO PWINO
KDEN,2024-01-02 06:53,-104.65,39.84,1655.0,M
`
	want := `time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_gust_mps,wind_direction_deg,rain_mm,raining,label_thunder
2024-01-02T02:53:00Z,-0.6,63.4,835.3,2.1,2.1,170,0,0,0
2024-01-02T03:53:00Z,0.6,91.7,835,7.2,23.1,170,3.048,1,1
2024-01-02T04:10:00Z,1,86.5,835,7.2,7.2,170,,0,
2024-01-02T04:53:00Z,1,86.5,835,7.2,7.2,170,0.05,1,0
2024-01-02T05:53:00Z,1,86.5,835,7.2,7.2,170,,,
`
	if got := rowsOf(t, text, METAROptions{}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Every layout of a line says the same.
func TestMETARLayouts(t *testing.T) {
	const report = "METAR EHAM 020255Z 22015KT 9999 12/05 Q1013"
	want := rowsOf(t, report, METAROptions{Month: "2024-01"})
	for name, text := range map[string]string{
		"date and time":        "2024-01-02 03:00," + report + "=",
		"date alone":           "2024-01-02 " + report,
		"slashes":              "2024/01/02 02:55 " + report,
		"on a line before":     "2024/01/02 02:55\n" + report,
		"digits":               "202401020255 " + report + "=",
		"ISO 8601":             "2024-01-02T02:55Z;" + report,
		"numbers":              "EHAM,2024,01,02,02,55," + report + "=",
		"quoted":               `2024-01-02 02:55,"` + report + `"`,
		"without its kind":     "2024-01-02 02:55 EHAM 020255Z 22015KT 9999 12/05 Q1013",
		"small letters":        strings.ToLower("2024-01-02 02:55 " + report),
		"a date after newyear": "2024-01-03 00:10 " + report,
		"CSV":                  "station,valid,metar\nEHAM,2024-01-02 02:55," + report,
		"CSV in quotes":        "valid,metar,remark\n2024-01-02 02:55,\"" + report + "\",x",
		"a comma in it":        "station,valid,metar\nEHAM,2024-01-02 02:55," + report + " RMK AO2, odd",
		"two lines":            "2024-01-02 METAR EHAM 020255Z\r\n  22015KT 9999 12/05 Q1013=\r\n",
	} {
		if got := rowsOf(t, text, METAROptions{}); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestMETARGroups(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		body                       string
		wind, gust, dir, temp, hPa float64 // NaN: missing
		raining, thunder           float64
		noWeather                  bool // raining and thunder are missing
	}{
		{body: "22015G27KT 9999 12/05 Q1013", wind: 7.7, gust: 13.9, dir: 220, temp: 12, hPa: 1013},
		{body: "220P99GP99KT 12/05 Q1013", wind: 50.9, gust: 50.9, dir: 220, temp: 12, hPa: 1013},
		{body: "22010G18MPS 12/05 Q1013", wind: 10, gust: 18, dir: 220, temp: 12, hPa: 1013},
		{body: "22015KT 31008KT 12/05 11/04 Q1013 Q0999", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013},
		{body: "///15KT 12/05 Q1013", wind: 7.7, gust: 7.7, dir: nan, temp: 12, hPa: 1013},
		{body: "/////KT ///// Q1013", wind: nan, gust: nan, dir: nan, temp: nan, hPa: 1013},
		{body: "22015KT R06/1200 1/2SM 12/ Q9999", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: nan},
		{body: "22015KT M12/M15 A2800", wind: 7.7, gust: 7.7, dir: 220, temp: -12, hPa: 948.2},
		{body: "22015KT VCTS 12/05 Q1013", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013, thunder: 1},
		{body: "22015KT VCSH VCRA SHSN 12/05 Q1013", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013},
		{body: "22015KT +TSRAGR 12/05 Q1013", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013, raining: 1, thunder: 1},
		{body: "22015KT FZDZ 12/05 Q1013 RERA", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013, raining: 1},
		{body: "22015KT FZRASN 12/05 Q1013", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013, raining: 1},
		{body: "22015KT 12/05 Q1013 TEMPO 01008KT TSRA Q0900", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013},
		{body: "22015KT // 12/05 Q1013", wind: 7.7, gust: 7.7, dir: 220, temp: 12, hPa: 1013, noWeather: true},
	} {
		tr, err := ImportMETAR(strings.NewReader("METAR EHAM 020255Z "+c.body), METAROptions{Month: "2024-01"})
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		row := &tr.Rows[0]
		for _, v := range []struct {
			channel model.Channel
			want    float64
		}{
			{model.WindSpeedMPS, c.wind}, {model.WindGustMPS, c.gust}, {model.WindDirectionDeg, c.dir},
			{model.TemperatureC, c.temp}, {model.PressureHPa, c.hPa},
		} {
			if got, ok := row.Sample.Get(v.channel); ok == math.IsNaN(v.want) || ok && got != v.want {
				t.Errorf("%s: %s %v (%v), want %v", c.body, v.channel, got, ok, v.want)
			}
		}
		if got, ok := row.Sample.Get(model.Raining); ok == c.noWeather || ok && got != c.raining {
			t.Errorf("%s: raining %v (%v), want %v", c.body, got, ok, c.raining)
		}
		if got, ok := row.Labels[trace.LabelThunder]; ok == c.noWeather || ok && got != c.thunder {
			t.Errorf("%s: thunder %v (%v), want %v", c.body, got, ok, c.thunder)
		}
	}
}

// Without an elevation, SLP where most reports have it and FMH-1 defines it, and
// then only there.
func TestMETARPressureIsOfOneKind(t *testing.T) {
	const text = `METAR KAAA 020253Z 17004KT 01/M01 A3012 RMK AO2 SLP213
SPECI KAAA 020310Z 17004KT 01/M01 A3012
METAR KAAA 020353Z 17004KT 01/M01 A3012 RMK AO1 SLP998
`
	tr, err := ImportMETAR(strings.NewReader(text), METAROptions{Month: "2024-01"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range tr.Rows {
		v, ok := tr.Rows[i].Sample.Get(model.PressureHPa)
		got = append(got, fmt.Sprint(v, ok))
	}
	if fmt.Sprint(got) != "[1021.3 true 0 false 999.8 true]" || !strings.Contains(tr.Meta.Note, "at sea level (SLP)") {
		t.Errorf("pressures %v; %s", got, tr.Meta.Note)
	}
	tr, err = ImportMETAR(strings.NewReader(text), METAROptions{Month: "2024-01", Place: Place{ElevationM: 0, HasElevation: true}})
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := tr.Rows[1].Sample.Get(model.PressureHPa); v != 1020 {
		t.Errorf("at sea level the station has %v hPa, want QNH", v)
	}
}

// SLP of remarks that FMH-1 does not define is taken only where there is no QNH.
func TestMETARForeignSeaLevel(t *testing.T) {
	for text, want := range map[string]string{
		"METAR CZZQ 052100Z 24011KT 15SM 01/M02 A2970 RMK SC2AC4 SLP061=\nMETAR CZZQ 052200Z 25013KT 15SM 00/M03 A2972 RMK SC3AC4 SLP068==\n": "1005.8 1006.4",
		"METAR CZZQ 052100Z 24011KT 15SM 01/M02 RMK SLP061\nMETAR CZZQ 052200Z 25013KT 15SM 00/M03 RMK SLP068\n":                              "1006.1 1006.8",
		"METAR KZZQ 052100Z 24011KT 01/M02 A2970 RMK AO1 SLP061\nMETAR KZZQ 052200Z 25013KT 00/M03 A2972 RMK AO2 SLP068\n":                    "1006.1 1006.8",
	} {
		tr, err := ImportMETAR(strings.NewReader(text), METAROptions{Month: "2024-02"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range tr.Rows {
			got = append(got, fmt.Sprint(tr.Rows[i].Sample.Values[model.PressureHPa]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %v hPa, want %s", text, got, want)
		}
	}
}

// The ICAO standard atmosphere: 1013.25 hPa at sea level, 898.75 at 1000 m,
// 795.0 at 2000 m.
func TestStationPressure(t *testing.T) {
	for _, c := range []struct{ m, want float64 }{{0, 1013.25}, {1000, 898.75}, {2000, 794.95}, {-3, 1013.61}} {
		if got := stationHPa(1013.25, c.m); math.Abs(got-c.want) > 0.05 {
			t.Errorf("%v m: %v hPa, want %v", c.m, got, c.want)
		}
	}
}

func TestImportMETARRefuses(t *testing.T) {
	const good = "METAR EHAM 020255Z 22015KT 9999 12/05 Q1013"
	long := "METAR EHAM 020255Z " + strings.Repeat("FEW010 ", 600)
	for name, c := range map[string]struct{ text, month, want string }{
		"no date":       {good, "", "line 1: the report has no year and month: name that of the first by --month 2024-07"},
		"month":         {good, "July", `month "July": want a year and a month`},
		"month's year":  {good, "0000-01", "year 0 is outside"},
		"no such day":   {"METAR EHAM 310255Z 22015KT", "2024-06", "2024-06 has no day 31"},
		"nothing":       {"# x\n", "2024-01", "no reports"},
		"only nil":      {"METAR EHAM 020255Z NIL=", "2024-01", "no reports"},
		"garbage":       {good + "\n<pre>hello</pre>", "2024-01", `line 2: "<pre>hello</pre>" is no METAR or SPECI report`},
		"a forecast":    {"TAF EHAM 020255Z 0203/0309 22015KT", "2024-01", `"TAF" before the report is no date`},
		"two in a line": {good + "= " + good, "2024-01", "line 1: more than one report in a line"},
		"two stations":  {good + "\nMETAR EHRD 020325Z 22015KT", "2024-01", "line 2: station EHRD after EHAM: one file, one station"},
		"time":          {"METAR EHAM 322555Z 22015KT", "2024-01", `"322555Z" is no day and time`},
		"no station":    {"METAR 020255Z 22015KT", "2024-01", `"020255Z" is no station`},
		"date far off":  {"2024-01-09 03:00 " + good, "", "day 2 of the report is far from its date 2024-01-09"},
		"date":          {"2024-13-02 03:00 " + good, "", `"2024-13-02 03:00" before the report is no date`},
		"year":          {"1066-01-02 03:00 " + good, "", "year 1066"},
		"no values":     {"METAR EHAM 020255Z AUTO // RMK X", "2024-01", "no report has a wind"},
		"long line":     {good + "\n" + long, "2024-01", "line 2"},
		"long report":   {strings.ReplaceAll(long, " FEW010 FEW010 FEW010 FEW010", "\n FEW010 FEW010 FEW010 FEW010"), "2024-01", "a report of more than 4096 characters"},
		"short CSV row": {"station,valid,metar\nEHAM,2024-01-02 02:55\n", "", "line 2: 2 columns, the header has 3"},
		"CSV date":      {"station,valid,metar\nEHAM,yesterday," + good, "", "line 2: column valid"},
		"CSV quote":     {"station,valid,metar\nEHAM,2024-01-02 02:55,\"" + good, "", "line 2: CSV"},
		"CSV elevation": {"valid,elevation,metar\n2024-01-02 02:55,99999," + good, "", "elevation 99999 m is outside"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ImportMETAR(strings.NewReader(c.text), METAROptions{Month: c.month})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	for _, p := range []Place{{HasElevation: true, ElevationM: math.NaN()}, {HasPosition: true, Position: model.Position{Latitude: 91}}} {
		if _, err := ImportMETAR(strings.NewReader(good), METAROptions{Month: "2024-01", Place: p}); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
}

// Reports without dates keep their times through any number of months, in
// either order, as long as no two are two weeks apart.
func TestMETARMonthsFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(rapid.IntRange(1990, 2030).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")),
			rapid.IntRange(1, 28).Draw(t, "day"), 0, 30, 0, 0, time.UTC)
		month := at.Format("2006-01")
		sign := rapid.SampledFrom([]int{1, -1}).Draw(t, "order")
		var b strings.Builder
		want := map[int64]bool{}
		for _, hours := range rapid.SliceOfN(rapid.IntRange(1, 14*24-1), 1, 60).Draw(t, "gaps") {
			fmt.Fprintf(&b, "METAR EHAM %sZ 22015KT\n", at.Format("021504"))
			want[at.UnixMilli()] = true
			at = at.Add(time.Duration(sign*hours) * time.Hour)
		}
		tr, err := ImportMETAR(strings.NewReader(b.String()), METAROptions{Month: month})
		if err != nil {
			t.Fatal(err)
		}
		if len(tr.Rows) != len(want) {
			t.Fatalf("%d rows, want %d", len(tr.Rows), len(want))
		}
		for i := range tr.Rows {
			if !want[tr.Rows[i].Sample.TimeMs] {
				t.Fatalf("%v was never", time.UnixMilli(tr.Rows[i].Sample.TimeMs).UTC())
			}
		}
	})
}

func FuzzImportMETAR(f *testing.F) {
	f.Add([]byte(metarText), "2024-07")
	f.Add([]byte("station,valid,lon,lat,elevation,metar\nKDEN,2024-01-02 02:53,-104.65,39.84,1655.0,KDEN 020253Z 17004KT A3012 RMK AO2 SLP213 P0001 T10061067\n"), "")
	f.Add([]byte("2024/01/02 02:55\nEHAM 020255Z 22015G27KT 12/M01 Q1013=\n"), "")
	f.Fuzz(func(t *testing.T, b []byte, month string) {
		if len(b) > 1<<16 {
			return
		}
		tr, err := ImportMETAR(bytes.NewReader(b), METAROptions{Month: month})
		if err != nil {
			return
		}
		checkImported(t, tr)
	})
}

// checkImported demands that what was imported is a trace.
func checkImported(t *testing.T, tr *trace.Trace) {
	var out bytes.Buffer
	if err := tr.Write(&out); err != nil {
		t.Fatalf("cannot be written: %v", err)
	}
	again, err := trace.Read(&out, trace.Options{})
	if err != nil || len(again.Rows) != len(tr.Rows) {
		t.Fatalf("cannot be read: %v", err)
	}
}
