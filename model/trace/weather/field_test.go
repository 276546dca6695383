package weather

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// importCSV imports text through a map and returns the trace.
func importCSV(t *testing.T, mapText, text string) (*trace.Trace, error) {
	t.Helper()
	m, err := ParseMap([]byte(mapText))
	if err != nil {
		t.Fatalf("%s: %v", mapText, err)
	}
	return ImportCSV(strings.NewReader(text), m)
}

// A log in local time keeps every row over the nights when the clocks change, as
// long as it has a row within the hour that comes twice.
func TestCSVOverClockChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom([]struct {
			zone, from string // UTC, hours before a change
			shift      time.Duration
		}{
			{"Europe/Amsterdam", "2026-03-28T20:00:00Z", time.Hour}, {"Europe/Amsterdam", "2026-10-24T20:00:00Z", time.Hour},
			{"America/New_York", "2026-03-08T00:00:00Z", time.Hour}, {"America/New_York", "2026-11-01T00:00:00Z", time.Hour},
			{"Australia/Lord_Howe", "2026-04-04T09:00:00Z", 30 * time.Minute}, {"Australia/Lord_Howe", "2026-10-03T09:00:00Z", 30 * time.Minute},
			{"America/Sao_Paulo", "2018-02-17T20:00:00Z", time.Hour}, {"Africa/Casablanca", "2026-02-14T20:00:00Z", time.Hour},
		}).Draw(rt, "change")
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			rt.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			rt.Fatal(err)
		}
		at = at.Add(time.Duration(rapid.IntRange(0, 59).Draw(rt, "minute")) * time.Minute)
		step := time.Duration(rapid.IntRange(1, int(c.shift/time.Minute)).Draw(rt, "step")) * time.Minute
		var want []int64
		text := "t,r\n"
		for end := at.Add(14 * time.Hour); at.Before(end); at = at.Add(step) {
			want = append(want, at.UnixMilli())
			text += at.In(zone).Format("2006-01-02 15:04") + ",1\n"
		}
		m, err := ParseMap([]byte("time: {column: t, layout: \"2006-01-02 15:04\", zone: " + c.zone + "}\nchannels: {raining: {column: r}}\n"))
		if err != nil {
			rt.Fatal(err)
		}
		tr, err := ImportCSV(strings.NewReader(text), m)
		if err != nil {
			rt.Fatalf("%v in\n%s", err, text)
		}
		if len(tr.Rows) != len(want) || len(tr.LeftOut) != 0 {
			rt.Fatalf("%d of %d rows, left out %v", len(tr.Rows), len(want), tr.LeftOut)
		}
		for i := range want {
			if tr.Rows[i].Sample.TimeMs != want[i] {
				rt.Fatalf("row %d is %v, want %v", i, time.UnixMilli(tr.Rows[i].Sample.TimeMs).UTC(), time.UnixMilli(want[i]).UTC())
			}
		}
	})
}

// A log that does not know summer time names an hour that does not exist: its
// rows are left out and counted. A time that goes back is an error all the same.
func TestCSVHourThatDoesNotExist(t *testing.T) {
	const m = "time: {column: t, layout: \"2006-01-02 15:04\", zone: Europe/Amsterdam}\nchannels: {raining: {column: r}}\n"
	tr, err := importCSV(t, m, "t,r\n2026-03-29 01:30,1\n2026-03-29 02:00,1\n2026-03-29 02:30,1\n2026-03-29 03:00,1\n")
	if err != nil || len(tr.Rows) != 2 || len(tr.LeftOut) != 1 || tr.LeftOut[0].Count != 2 || !strings.Contains(tr.LeftOut[0].What, "Etc/GMT-1") {
		t.Errorf("%+v, %v", tr, err)
	}
	for _, back := range []string{
		"2026-10-25 02:30,1\n2026-10-25 02:10,1\n2026-10-25 02:05,1\n", "2026-10-25 03:30,1\n2026-10-25 02:30,1\n", "2026-06-01 02:30,1\n2026-06-01 02:00,1\n",
	} {
		if _, err := importCSV(t, m, "t,r\n"+back); err == nil || !strings.Contains(err.Error(), "is not after the row before") {
			t.Errorf("%q: %v", back, err)
		}
	}
	// With its offset a time is certain, whatever the zone.
	tr, err = importCSV(t, strings.Replace(m, "15:04", "15:04 -0700", 1), "t,r\n2026-10-25 02:30 +0100,1\n")
	if want := time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC); err != nil || tr.Rows[0].Sample.TimeMs != want.UnixMilli() {
		t.Errorf("with an offset: %v", err)
	}
}

func TestCSVTimeForms(t *testing.T) {
	want := time.Date(2026, 5, 9, 17, 45, 0, 0, time.UTC).UnixMilli()
	for _, c := range []struct{ time, header, cells string }{
		{`columns: [Date, Time], layout: "01/02/06 3:04 PM"`, "Date,Time", "05/09/26,5:45 PM"},
		{`columns: [Date, Time], layout: "01/02/06 3:04 PM"`, "Date,Time", " 05/09/26 ,5:45 pm"},
		{`columns: [Date, Time], layout: "01/02/06 3:04PM"`, "Time,Date", "5:45p,05/09/26"},
		{`columns: [Date, Time], layout: "01/02/06 3:04 PM"`, "Date,Time", "05/09/26,5:45 p.m."},
		{`columns: [y, m, d, t], layout: "2006 1 2 15:04"`, "y,m,d,t", "2026,5,9,17:45"},
		{`columns: [at], layout: "unix"`, "at", fmt.Sprint(want / 1000)},
		{`column: at, layout: "unix_ms"`, "at", fmt.Sprint(want)},
	} {
		tr, err := importCSV(t, "time: {"+c.time+"}\nchannels: {raining: {column: r}}\n", "r,"+c.header+"\n1,"+c.cells+"\n")
		if err != nil || len(tr.Rows) != 1 || tr.Rows[0].Sample.TimeMs != want {
			t.Errorf("%s of %s: %+v, %v", c.time, c.cells, tr, err)
		}
	}
	for text, want := range map[string]string{
		"column: a, columns: [b], layout: unix":         "leave out column, or columns",
		"columns: [a, b, c, d, e], layout: unix":        "want 1 to 4 names",
		"columns: [a, ''], layout: unix":                "want 1 to 4 names",
		"columns: [], layout: unix":                     "time.column: missing",
		"column: a, layout: unix}\ndecimal: 5\nmeta: {": `decimal: "5"`,
	} {
		_, err := ParseMap([]byte("time: {" + text + "}\nchannels: {raining: {column: r}}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := importCSV(t, "time: {columns: [d, e], layout: unix}\nchannels: {raining: {column: r}}\n", "r,d\n1,2\n"); err == nil || !strings.Contains(err.Error(), "column e: is not in the header") {
		t.Errorf("a missing time column: %v", err)
	}
}

func TestCSVDecimalComma(t *testing.T) {
	const rest = "separator: \";\"\ntime: {column: t, layout: unix}\nchannels: {temperature_c: {column: T, scale: 2}}\n"
	tr, err := importCSV(t, rest+"decimal: \",\"\n", "t;T;note\n1;14,25;a\n2;-3;b\n")
	if err != nil || tr.Rows[0].Sample.Values[model.TemperatureC] != 28.5 || tr.Rows[1].Sample.Values[model.TemperatureC] != -6 {
		t.Errorf("%+v, %v", tr, err)
	}
	if len(tr.LeftOut) != 1 || tr.LeftOut[0] != (model.LeftOut{What: "columns not read", Count: 1, Names: "note"}) {
		t.Errorf("left out: %+v", tr.LeftOut)
	}
	for cell, want := range map[string]string{"1.234,5": "with a decimal comma", "1,2,3": "is not a number", "14.25": "with a decimal comma"} {
		if _, err := importCSV(t, rest+"decimal: \",\"\n", "t;T\n1;"+cell+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", cell, err)
		}
	}
	if _, err := importCSV(t, rest, "t;T\n1;14,25\n"); err == nil || !strings.Contains(err.Error(), `write decimal: ","`) {
		t.Errorf("without the key: %v", err)
	}
}

// A spreadsheet's mark before a quoted header is no part of it.
func TestCSVMarkBeforeQuotes(t *testing.T) {
	tr, err := importCSV(t, "time: {column: t, layout: unix}\nchannels: {raining: {column: r}}\n", "\ufeff\"t\",\"r\"\n1,1\n2,0\n")
	if err != nil || len(tr.Rows) != 2 {
		t.Errorf("%v", err)
	}
}

func metarOf(t *testing.T, lines ...string) *metarReport {
	t.Helper()
	r, err := parseMETAR(strings.Join(lines, " "))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The hundreds of SLP are those nearest to the altimeter, whatever the weather.
func TestSeaLevelByItsWitness(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slp := rapid.IntRange(8700, 10900).Draw(rt, "tenths")
		qnh := slp + rapid.IntRange(-400, 400).Draw(rt, "difference")
		inches := int(math.Round(float64(qnh) / 10 / hPaPerInHg * 100))
		if qnh < 8200 || qnh > 10980 {
			return
		}
		text := fmt.Sprintf("METAR KZZD 181153Z 33004KT A%04d RMK AO2 SLP%03d", inches, slp%1000)
		r, err := parseMETAR(text)
		if err != nil || r.seaLevelHPa.v != float64(slp)/10 {
			rt.Fatalf("%s: %v hPa, want %v (%v)", text, r.seaLevelHPa.v, float64(slp)/10, err)
		}
	})
	for text, want := range map[string]float64{"SLP499": 1049.9, "SLP500": 950, "SLP000": 1000, "SLP999": 999.9} {
		if r := metarOf(t, "METAR KZZD 181153Z 33004KT RMK AO2", text); r.seaLevelHPa.v != want {
			t.Errorf("%s alone: %v hPa, want %v", text, r.seaLevelHPa.v, want)
		}
	}
}

// What a trend says is a forecast, however it begins.
func TestTrendsAreNotObserved(t *testing.T) {
	for _, word := range []string{
		"NOSIG", "TEMPO", "BECMG", "INTER", "FM2100", "TL0130", "AT1200", "FM2100Z", "FM152100", "PROB30", "PROB40", "GRADU", "RAPID",
	} {
		r := metarOf(t, "METAR YZZM 152000Z 14006KT 9999 SCT014 21/19 Q1017", word, "15040KT 8000 -TSRA BKN009 FM2300 RA RMK AO2 T02110193")
		if r.raining || r.thunder || r.windMPS.v > 5 || r.temperatureC.v != 21.1 {
			t.Errorf("%s: raining %v, thunder %v, wind %v, %v C", word, r.raining, r.thunder, r.windMPS, r.temperatureC)
		}
	}
	for _, word := range []string{"FM21", "AT120", "TLX130", "FMABCD", "9999", "PROB3"} {
		if r := metarOf(t, "METAR YZZM 152000Z 14006KT", word, "RA 21/19 Q1017"); !r.raining || !r.qnhHPa.ok {
			t.Errorf("%s ends the observation", word)
		}
	}
}

func TestPressureForms(t *testing.T) {
	for word, want := range map[string]float64{
		"Q1013": 1013, "Q0998": 998, "A2992": 1013.2, "QNH2995INS": 1014.2, "QNH2995": 1014.2, "A2992INS": 1013.2, "QNH1013": 1013, "QNH1013HPA": 1013,
		"Q////": 0, "QNH////INS": 0, "Q1101": 0, "Q0799": 0, "A2399": 0, "A3251": 0, "2995INS": 1014.2, "1013": 0, "2992": 0, "Q101": 0, "Q10130": 0, "QNH2995HPA": 1014.2,
		"Q2992": 0, "A1013": 0, "INS": 0, "QNH": 0,
	} {
		if r := metarOf(t, "METAR RZZT 110855Z 34008KT 9999", word); r.qnhHPa.v != want {
			t.Errorf("%s: %v hPa, want %v", word, r.qnhHPa.v, want)
		}
	}
}

// NIL stands for a report in several forms; it is counted and no error.
func TestNilAndEndings(t *testing.T) {
	for _, absent := range []string{"METAR EZZS NIL=", "METAR EZZS NIL", "EZZS NIL=", "METAR EZZS 071150Z NIL=", "METAR NIL=", "SPECI COR EZZS NIL", "2024-02-07 METAR EZZS NIL="} {
		for _, end := range []string{"", "=", "==", "= =", "=\"", "=,"} {
			tr, err := ImportMETAR(strings.NewReader(absent+"\nMETAR EZZS 071220Z 31014KT 9999 SCT025 09/03 Q1021"+end+"\n"), METAROptions{Month: "2024-02"})
			if err != nil || len(tr.Rows) != 1 || len(tr.LeftOut) != 1 || tr.LeftOut[0] != (model.LeftOut{What: "NIL reports", Count: 1}) {
				t.Errorf("%q, then ending %q: %+v, %v", absent, end, tr, err)
			}
		}
	}
	tr, err := ImportMETAR(strings.NewReader("METAR EZZS 071220Z 31014KT 09/03 QFE0990\nMETAR EZZS 071250Z 09/03 Q1021\n"), METAROptions{Month: "2024-02"})
	if err != nil || len(tr.LeftOut) != 2 || tr.LeftOut[0].What != "reports without a pressure that is read" || tr.LeftOut[1].What != "reports without a wind that is read" {
		t.Errorf("what the reports lack: %+v, %v", tr, err)
	}
}

// A station's file begins with plain text and blank lines, in whatever language;
// an observation before the names is refused all the same.
func TestKNMIStationFile(t *testing.T) {
	const names = "STN,YYYYMMDD,   HH,   FX,    T,   VV\n"
	const row = "  391,20240311,    3,   86,   98,   65\n"
	for _, head := range []string{
		"", "SOURCE: a service\nComment: for use, with care, and 2 commas\n\nYYYYMMDD  = date\nFX        = gust (in 0.1 m/s)\n\n",
		"# SOURCE\n# 391, 5.2, 52.1\n# ", "\ufeffBRON: een dienst\nSTN         LON(east)   LAT(north)\n391         5.2  52.1\n\n",
	} {
		tr, err := ImportKNMI(strings.NewReader(head + names + "\n" + row))
		if err != nil || len(tr.Rows) != 1 || tr.Rows[0].Sample.Values[model.WindGustMPS] != 8.6 {
			t.Errorf("%q: %+v, %v", head, tr, err)
			continue
		}
		if len(tr.LeftOut) != 1 || tr.LeftOut[0].Names != "VV" {
			t.Errorf("%q: left out %+v", head, tr.LeftOut)
		}
	}
	if _, err := ImportKNMI(strings.NewReader("text\n" + row + names)); err == nil || !strings.Contains(err.Error(), "line 2: an observation before") {
		t.Errorf("an observation before the names: %v", err)
	}
	if _, err := ImportKNMI(strings.NewReader("text, only, three, four\n")); err == nil || !strings.Contains(err.Error(), "no line that names the columns") {
		t.Errorf("no names: %v", err)
	}
}
