package trace

import (
	"bytes"
	"strings"
	"testing"
)

func written(t *testing.T, tr *Trace) string {
	t.Helper()
	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Made-up reports with every group that is read, in and out of order, with a
// correction, a special between the hours and the turn of a month.
const metarText = `# made up
METAR EDXX 302350Z 24015G28KT 9999 FEW030CB 21/17 Q1009 NOSIG=
METAR EDXX 010050Z VRB02KT 9000 VCTS BKN040 M01/M03 Q1010 TEMPO +TSRA=
SPECI EDXX 010107Z 27022G41KT 240V310 2000 +TSRAGR BKN020CB 14/13 Q1012=
METAR EDXX 010150Z 00000KT CAVOK 13/ Q1013=
METAR EDXX 010250Z NIL=
METAR EDXX 010350Z AUTO /////KT //// // ////// ///// Q////=
METAR EDXX 010450Z 36003MPS 5000 RETS BR 12/12 Q1013=
METAR COR EDXX 010450Z 36004MPS 5000 -DZ BR 12/12 Q1014=
`

func TestImportMETAR(t *testing.T) {
	tr, err := ImportMETAR(strings.NewReader(metarText), METAROptions{Month: "2024-06"})
	if err != nil {
		t.Fatal(err)
	}
	want := `# fairwatt-trace: 1
# site: EDXX
# interval_s: 3600
# source: METAR reports of EDXX
# composed: humidity_pct,wind_gust_mps
# note: pressure is the QNH, at sea level; where no gust was reported the mean wind stands for it
time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_gust_mps,wind_direction_deg,rain_mm,raining,label_thunder
2024-06-30T23:50:00Z,21,78,1009,7.7,14.4,240,,0,0
2024-07-01T00:50:00Z,-1,86,1010,1,1,,,0,1
2024-07-01T01:07:00Z,14,94,1012,11.3,21.1,270,,1,1
2024-07-01T01:50:00Z,13,,1013,0,0,,,0,0
2024-07-01T03:50:00Z,,,,,,,,,
2024-07-01T04:50:00Z,12,100,1014,4,4,360,,1,0
`
	if got := written(t, tr); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Every layout of a line gives the same trace. North American units and
// remarks; the rain of a special would be counted twice and is left out.
func TestImportMETARLayouts(t *testing.T) {
	reports := []string{
		"KXXX 312353Z 18010KT 10SM -RA BKN015 18/17 A2992 RMK AO2 SLP132 P0012 T01830172",
		"KXXX 010020Z 18010P99KT 1 1/2SM TSRA BKN015 18/17 A2990 RMK AO2 P0030 T01830172",
		"KXXX 010053Z 20012KT 10SM FEW015 M05/M11 A3001 RMK AO2 T10561111",
	}
	times := []string{"2023-12-31 23:53", "2024-01-01 00:20", "2024-01-01 00:53"}
	want := `2023-12-31T23:53:00Z,18.3,93,1013.2,5.1,5.1,180,3,1,0
2024-01-01T00:20:00Z,18.3,93,1012.5,,,,,1,1
2024-01-01T00:53:00Z,-5.6,65,1016.3,6.2,6.2,200,,0,0
`
	layouts := map[string]func(i int) string{
		"csv":    func(i int) string { return `KXXX,"` + times[i] + `",5.00,` + reports[i] },
		"dashes": func(i int) string { return times[i] + " METAR " + reports[i] },
		"ogimet": func(i int) string {
			return strings.NewReplacer("-", "", ":", "", " ", "").Replace(times[i]) + " METAR " + reports[i] + "="
		},
		"two lines": func(i int) string { return strings.ReplaceAll(times[i], "-", "/") + "\n" + reports[i] },
		"day only":  func(i int) string { return times[i][:11] + "12:00 " + reports[i] },
	}
	for name, layout := range layouts {
		text := ""
		if name == "csv" {
			text = "station,valid,p01i,metar\n"
		}
		for i := range reports {
			text += layout(i) + "\n"
		}
		tr, err := ImportMETAR(strings.NewReader(text), METAROptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := written(t, tr); !strings.HasSuffix(got, "\n"+want) {
			t.Errorf("%s: got\n%s\nwant at the end\n%s", name, got, want)
		}
	}
}

// QNH is what the station's pressure is at sea level: 1013.25 hPa there is
// 954.6 hPa at 500 m in the standard atmosphere.
func TestMETARPressureAtTheStation(t *testing.T) {
	tr, err := ImportMETAR(strings.NewReader("EDXX 010050Z 00000KT 10/10 Q1013"), METAROptions{Month: "2024-07", ElevationM: 500, HasElevation: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, tr); !strings.Contains(got, ",954.4,") || !strings.Contains(got, "composed: humidity_pct,wind_gust_mps,pressure_hpa") {
		t.Errorf("got\n%s", got)
	}
}

func TestImportMETARRefuses(t *testing.T) {
	const ok = "2024-07-01 00:50 EDXX 010050Z 00000KT\n"
	for _, c := range []struct{ name, text, month, want string }{
		{"nothing", "# a remark\n", "", "line 2: no report"},
		{"no date", "EDXX 010050Z 00000KT\n", "", "line 1: no line names a date: give the month"},
		{"month", ok, "July", `month "July": want 2024-07`},
		{"prose", ok + "no data for this period\n", "", `line 2: no METAR: "no" is no station`},
		{"time", ok + "EDXX 1Z 00000KT\n", "", `line 2: no METAR: "1Z" is no time`},
		{"hour", ok + "EDXX 012450Z 00000KT\n", "", `line 2: no METAR: "012450Z" is no time`},
		{"station", ok + "EDYY 010150Z 00000KT\n", "", "line 2: station EDYY after EDXX"},
		{"no such day", "EDXX 310050Z 00000KT\n", "2024-02", "310050Z is no time near 2024-02"},
		{"columns", "station,valid,metar\nEDXX,2024-07-01 00:50\n", "", "line 2: 2 columns, the header has 3"},
		{"csv time", "station,valid,metar\nEDXX,yesterday,EDXX 010050Z\n", "", `column valid: "yesterday" is no time`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ImportMETAR(strings.NewReader(c.text), METAROptions{Month: c.month})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Whatever comes in, there is an error or a trace that reads back.
func FuzzImportMETAR(f *testing.F) {
	f.Add(metarText, "2024-06")
	f.Add("station,valid,metar\nKXXX,2024-01-01 00:53,KXXX 010053Z 20012KT M05/M11 A3001 RMK P0001 T10561111\n", "")
	f.Add("202401010053 METAR KXXX 010053Z VRBP99G99KMH +TSRAGRGSPL // 99/M99 Q9999=\n", "")
	f.Fuzz(func(t *testing.T, text, month string) {
		tr, err := ImportMETAR(strings.NewReader(text), METAROptions{Month: month})
		if err == nil {
			readsBack(t, tr)
		}
	})
}

func readsBack(t *testing.T, tr *Trace) {
	t.Helper()
	text := written(t, tr)
	again, err := Read(strings.NewReader(text), Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(again.Rows) != len(tr.Rows) {
		t.Fatalf("%d rows, were %d", len(again.Rows), len(tr.Rows))
	}
}

const isdText = `2024 01 01 00   117   106 10132   360    20     8    12 -9999
2024 01 01 01   -12   -35 10125     0     0     8    -1 -9999

2024 01 01 03 -9999    50 -9999 -9999 -9999 -9999 -9999    15
`

func TestImportISDLite(t *testing.T) {
	tr, err := ImportISDLite(strings.NewReader(isdText))
	if err != nil {
		t.Fatal(err)
	}
	want := `# fairwatt-trace: 1
# interval_s: 3600
# source: NOAA National Centers for Environmental Information, ISD-Lite
# composed: humidity_pct
# note: pressure is at sea level; rain 0.05 stands for a trace
time,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,wind_direction_deg,rain_mm
2024-01-01T00:00:00Z,11.7,93,1013.2,2,360,1.2
2024-01-01T01:00:00Z,-1.2,84,1012.5,0,,0.05
2024-01-01T03:00:00Z,,,,,,
`
	if got := written(t, tr); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestImportISDLiteRefuses(t *testing.T) {
	const ok = "2024 01 01 00   117   106 10132   360    20     8    12 -9999\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "\n", "line 2: no observation"},
		{"short", "2024 01 01 00 117\n", "line 1: 5 numbers, a line of ISD-Lite has 12"},
		{"word", strings.Replace(ok, "117", "hot", 1), `number 5: "hot" is not a whole number`},
		{"day", strings.Replace(ok, "01 01", "02 30", 1), "2024 02 30 00 is no hour of a day"},
		{"hour", strings.Replace(ok, "01 00 ", "01 24 ", 1), "2024 01 01 24 is no hour of a day"},
		{"order", ok + ok, "line 2: not after the line before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ImportISDLite(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzImportISDLite(f *testing.F) {
	f.Add(isdText)
	f.Fuzz(func(t *testing.T, text string) {
		if tr, err := ImportISDLite(strings.NewReader(text)); err == nil {
			readsBack(t, tr)
		}
	})
}
