package weather

import (
	"fmt"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// said fits an error to what it must say; an empty want means no error.
func said(err error, want string) bool {
	return (err == nil) == (want == "") && (err == nil || strings.Contains(err.Error(), want))
}

func TestKNMIBounds(t *testing.T) {
	const head = "# STN,YYYYMMDD,   HH,   DD,    T,   RH,    O\n"
	row := func(cells string) string { return head + "260,20000501," + cells + "\n" }
	wide := "STN,YYYYMMDD,HH" + strings.Repeat(",X", maxColumns-3)
	for _, c := range []struct{ text, want string }{
		{row("1,10,5,0,0"), ""},
		{row("24,10,5,0,1"), ""},
		{row("0,10,5,0,0"), `column HH: "0" is no hour from 1 to 24`},
		{row("x,10,5,0,0"), "column HH"},
		{row("1,10,5,0,2"), `column O: "2" is neither 0 nor 1`},
		{row("1,10,5.5,0,0"), `column T: "5.5" is not a whole number`},
		{row("1,10,2147483648,0,0"), "is not a whole number"},
		{row("1,10,2147483647,0,0"), ""},
		{row("2,10,5,0,0") + "260,20000501,2,10,5,0,0\n", "line 3, column HH: 20000501 2 is not after the row before"},
		{"# STN,YYYYMMDD,    H,    T\n260,20000501,1,5\n", ""},
		{wide + "\n260,20000501,1" + strings.Repeat(",1", maxColumns-3) + "\n", ""},
		{wide + ",X\n", "line 1: 257 columns; at most 256"},
		{head + strings.Repeat("1", maxLineBytes+1), "line 2"},
		{"\x1f\x8bno gzip", "import KNMI"},
	} {
		if _, err := ImportKNMI(strings.NewReader(c.text)); !said(err, c.want) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
	// Calm and variable winds have no direction, little rain is a trace, an empty
	// cell is missing, of a label too.
	tr, err := ImportKNMI(strings.NewReader(head + "260,20000501,1,0,,-1,\n260,20000501,2,990,1,0,1\n260,20000501,3,360,-1,5,0\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for i := range tr.Rows {
		for _, ch := range []model.Channel{model.WindDirectionDeg, model.TemperatureC, model.RainMM} {
			v, ok := tr.Rows[i].Sample.Get(ch)
			got += fmt.Sprint(v, ok, " ")
		}
		got += fmt.Sprint(tr.Rows[i].Labels, "; ")
	}
	if want := "0 false 0 false 0.05 true map[]; 0 false 0.1 true 0 true map[label_thunder:1]; 360 true -0.1 true 0.5 true map[label_thunder:0]; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestISDLiteBounds(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"1900 01 01 00 81 71 10021 210 60 8 -1 -9999", ""},
		{"2200 12 31 23 81 71 10021 210 60 8 -1 -9999", ""},
		{"1899 12 31 23 81 71 10021 210 60 8 -1 -9999", "is no date and hour"},
		{"2201 01 01 00 81 71 10021 210 60 8 -1 -9999", "is no date and hour"},
		{"2024 13 01 00 81 71 10021 210 60 8 -1 -9999", "is no date and hour"},
		{"2024 01 32 00 81 71 10021 210 60 8 -1 -9999", "is no date and hour"},
		{"2024 01 01 -1 81 71 10021 210 60 8 -1 -9999", "is no date and hour"},
		{"2024 01 01 00 81 71 10021 360 60 8 -1 -9999", ""},
		{"2024 01 01 00 81 71 10021 361 60 8 -1 -9999", "361 is outside 0 to 360"},
		{"2024 01 01 00 81 71 10021 -1 60 8 -1 -9999", "-1 is outside 0 to 360"},
		{"2024 01 01 00 81 71 10021 210 60 8 0 -9999", ""},
		{"2024 01 01 00 1499 1499 10021 210 60 8 0 -9999", ""},
		{"2024 01 01 00 1500 1499 10021 210 60 8 0 -9999", "not of this earth"},
		{"2024 01 01 00 1499 1500 10021 210 60 8 0 -9999", "not of this earth"},
		{"2024 01 01 00 -1499 -1499 10021 210 60 8 0 -9999", ""},
		{"2024 01 01 00 -1500 -1499 10021 210 60 8 0 -9999", "not of this earth"},
		{"2024 01 01 00 -1499 -1500 10021 210 60 8 0 -9999", "not of this earth"},
		{"2024 01 01 00 1500 -9999 10021 210 60 8 0 -9999", ""},
		{"2024 01 01 00 81 71 10021 210 60 8 2147483648 -9999", "precipitation 1 h"},
		{"2024 01 01 00 81 71 10021 210 60 8 0 0 0", "13 columns, want 12"},
	} {
		if _, err := ImportISDLite(strings.NewReader(c.line+"\n"), Place{}); !said(err, c.want) {
			t.Errorf("%s: %v, want %q", c.line, err, c.want)
		}
	}
}

// The place must be on earth, its bounds included.
func TestPlaceBounds(t *testing.T) {
	for _, c := range []struct {
		place Place
		want  string
	}{
		{Place{HasElevation: true, ElevationM: -450}, ""},
		{Place{HasElevation: true, ElevationM: 6000}, ""},
		{Place{HasElevation: true, ElevationM: -450.1}, "elevation -450.1 m is outside -450 to 6000"},
		{Place{HasElevation: true, ElevationM: 6000.1}, "is outside"},
		{Place{ElevationM: 9000}, ""},
		{Place{HasPosition: true, Position: model.Position{Latitude: -90, Longitude: 180}}, ""},
		{Place{HasPosition: true, Position: model.Position{Latitude: 90, Longitude: -180}}, ""},
		{Place{HasPosition: true, Position: model.Position{Latitude: 90.1}}, "is not on earth"},
		{Place{HasPosition: true, Position: model.Position{Longitude: -180.1}}, "is not on earth"},
		{Place{Position: model.Position{Latitude: 91}}, ""},
	} {
		_, err := ImportISDLite(strings.NewReader("2024 01 01 00 81 71 10021 210 60 8 -1 -9999\n"), c.place)
		if !said(err, c.want) {
			t.Errorf("%+v: %v, want %q", c.place, err, c.want)
		}
	}
}

func TestMETARBounds(t *testing.T) {
	const rest = " 22015KT 12/05 Q1013"
	for _, c := range []struct{ text, month, want string }{
		{"METAR EHAM 312359Z" + rest, "2024-01", ""},
		{"METAR EHAM 010000Z" + rest, "2024-01", ""},
		{"METAR EHAM 000000Z" + rest, "2024-01", "is no day and time"},
		{"METAR EHAM 320000Z" + rest, "2024-01", "is no day and time"},
		{"METAR EHAM 012400Z" + rest, "2024-01", "is no day and time"},
		{"METAR EHAM 010060Z" + rest, "2024-01", "is no day and time"},
		{"METAR EHAM 0100600" + rest, "2024-01", "is no day and time"},
		{"METAR EHAM 01006Z" + rest, "2024-01", "is no day and time"},
		{"METAR 1HAM 010000Z" + rest, "2024-01", "is no station"},
		{"METAR E1AM 010000Z" + rest, "2024-01", ""},
		{"METAR EH-M 010000Z" + rest, "2024-01", "is no station"},
		{"METAR EHAM 010000Z" + rest, "1930-01", ""},
		{"METAR EHAM 010000Z" + rest, "2200-01", ""},
		{"METAR EHAM 010000Z" + rest, "1929-12", "year 1929 is outside"},
		{"METAR EHAM 010000Z" + rest, "2201-01", "year 2201 is outside"},
		{"METAR EHAM 290000Z" + rest, "2023-02", "2023-02 has no day 29"},
		{"METAR EHAM 290000Z" + rest, "2024-02", ""},
		{"2024-01-03 12:00 METAR EHAM 020000Z" + rest, "", ""},
		{"2024-01-03 12:01 METAR EHAM 020000Z" + rest, "", "is far from its date"},
		{"2023-12-31 12:00 METAR EHAM 020000Z" + rest, "", ""},
		{"2023-12-31 11:59 METAR EHAM 020000Z" + rest, "", "is far from its date"},
	} {
		if _, err := ImportMETAR(strings.NewReader(c.text), METAROptions{Month: c.month}); !said(err, c.want) {
			t.Errorf("%s (%s): %v, want %q", c.text, c.month, err, c.want)
		}
	}
}

// Each group is read up to its bounds and is missing beyond them.
func TestMETARGroupBounds(t *testing.T) {
	for _, c := range []struct {
		body    string
		channel model.Channel
		want    string // empty: missing
	}{
		{"Q0800", model.PressureHPa, "800"},
		{"Q0799", model.PressureHPa, ""},
		{"Q1100", model.PressureHPa, "1100"},
		{"Q1101", model.PressureHPa, ""},
		{"A2400", model.PressureHPa, "812.7"},
		{"A2399", model.PressureHPa, ""},
		{"A3248", model.PressureHPa, "1099.9"},
		{"A3251", model.PressureHPa, ""},
		{"B1013", model.PressureHPa, ""},
		{"RMK SLP499", model.PressureHPa, "1049.9"},
		{"RMK SLP500", model.PressureHPa, "950"},
		{"RMK SLP50", model.PressureHPa, ""},
		{"36015KT", model.WindDirectionDeg, "360"},
		{"36115KT", model.WindDirectionDeg, ""},
		{"00115KT", model.WindDirectionDeg, "1"},
		{"00015KT", model.WindDirectionDeg, ""},
		{"36000KT", model.WindDirectionDeg, ""},
		{"36001MPS", model.WindDirectionDeg, "360"},
		{"3605MPS", model.WindSpeedMPS, ""},
		{"36005MPS", model.WindSpeedMPS, "5"},
		{"36005", model.WindSpeedMPS, ""},
		{"36005G05MPS", model.WindGustMPS, "5"},
		{"36005G04MPS", model.WindGustMPS, "5"},
		{"36005G06MPS", model.WindGustMPS, "6"},
		{"36010MPS RMK PK WND 18045/0305", model.WindGustMPS, "23.1"},
		{"36010MPS RMK PK WND 180045/0305", model.WindGustMPS, "23.1"},
		{"36010MPS RMK PK WND 1845/0305", model.WindGustMPS, "10"},
		{"36010MPS RMK PK WND 180450", model.WindGustMPS, "10"},
		{"36010MPS RMK XX WND 18045/0305", model.WindGustMPS, "10"},
		{"36010MPS RMK PK WND", model.WindGustMPS, "10"},
		{"M00/M00", model.TemperatureC, "0"},
		{"M9/M10", model.TemperatureC, ""},
		{"12/XX", model.TemperatureC, "12"},
		{"12/XY", model.TemperatureC, ""},
		{"12/05 RMK T01230051", model.TemperatureC, "12.3"},
		{"12/05 RMK T0123", model.TemperatureC, "12.3"},
		{"12/05 RMK T1123", model.TemperatureC, "-12.3"},
		{"12/05 RMK T2123", model.TemperatureC, "12"},
		{"12/05 RMK T01232051", model.TemperatureC, "12.3"},
		{"12/05 RMK T012300", model.TemperatureC, "12"},
		{"12/05 RMK T0120", model.HumidityPct, "62.3"},
		{"12/12 RMK T01200050", model.HumidityPct, "62.3"},
		{"36010MPS RMK P0100", model.RainMM, "25.4"},
		{"36010MPS RMK P0000", model.RainMM, "0.05"},
		{"36010MPS RMK P010", model.RainMM, ""},
		{"36010MPS RMK AO2", model.RainMM, ""}, // no report has an amount: no gauge is known
		{"36010MPS RMK AO2 P0001", model.RainMM, "0.254"},
		{"36010MPS RA", model.Raining, "1"},
		{"36010MPS VCRA", model.Raining, "0"},
		{"36010MPS RAXX", model.Raining, "0"},
		{"36010MPS RARARARA", model.Raining, "1"},
		{"36010MPS RARARARARA", model.Raining, "0"},
		{"36010MPS RMK PWINO", model.Raining, ""},
		{"36010MPS RA RMK PWINO", model.Raining, "1"},
	} {
		tr, err := ImportMETAR(strings.NewReader("METAR EHAM 020255Z "+c.body), METAROptions{Month: "2024-01"})
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		got := ""
		if v, ok := tr.Rows[0].Sample.Get(c.channel); ok {
			got = fmt.Sprint(v)
		}
		if got != c.want {
			t.Errorf("%s: %s %q, want %q", c.body, c.channel, got, c.want)
		}
	}
}

// Thunder is in the weather or in the times of the remarks, which need a digit.
func TestMETARThunderTimes(t *testing.T) {
	for body, want := range map[string]string{
		"RMK TSB05":       "1",
		"RMK TSE20":       "1",
		"RMK RAB05TSB05":  "1",
		"RMK TSB":         "0",
		"RMK TSBX":        "0",
		"RMK TSB/05":      "0",
		"RMK TSNO":        "",
		"RMK TSNO TSB05":  "1",
		"TS RMK TSNO":     "1",
		"//":              "",
		"NOSIG RMK TSB05": "1",
		"NOSIG TS":        "0",
	} {
		tr, err := ImportMETAR(strings.NewReader("METAR EHAM 020255Z 22015KT "+body), METAROptions{Month: "2024-01"})
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		got := ""
		if v, ok := tr.Rows[0].Labels[trace.LabelThunder]; ok {
			got = fmt.Sprint(v)
		}
		if got != want {
			t.Errorf("%s: thunder %q, want %q", body, got, want)
		}
	}
}

// A second report for a minute replaces the first, unless only the first is a
// correction.
func TestMETARCorrections(t *testing.T) {
	for _, c := range []struct {
		first, second string
		wind          float64
	}{
		{"", "", 2}, {"COR ", "", 1}, {"", "COR ", 2}, {"COR ", "COR ", 2}, {"CCA ", "", 1}, {"", "CCZ ", 2}, {"AUTO COR ", "AUTO ", 1},
	} {
		text := "METAR EHAM 020255Z " + c.first + "36001MPS\nMETAR EHAM 020255Z " + c.second + "36002MPS\n"
		tr, err := ImportMETAR(strings.NewReader(text), METAROptions{Month: "2024-01"})
		if err != nil || len(tr.Rows) != 1 {
			t.Fatalf("%+v: %v", c, err)
		}
		if v, _ := tr.Rows[0].Sample.Get(model.WindSpeedMPS); v != c.wind {
			t.Errorf("%+v: wind %v", c, v)
		}
	}
}

// The interval is the gap that occurs most often, of equals the longest, an
// hour where there is none of at most six hours.
func TestUsualGap(t *testing.T) {
	for _, c := range []struct {
		hours []int64
		want  float64
	}{
		{[]int64{0}, 3600},
		{[]int64{0, 3}, 3 * 3600},
		{[]int64{0, 6}, 6 * 3600},
		{[]int64{0, 7}, 3600},
		{[]int64{0, 1, 2, 5}, 3600},
		{[]int64{0, 1, 4}, 3 * 3600},
		{[]int64{0, 3, 4}, 3 * 3600},
		{[]int64{0, 3, 6, 7}, 3 * 3600},
	} {
		var rows []observed
		for _, h := range c.hours {
			rows = append(rows, observed{Row: trace.Row{Sample: model.Sample{TimeMs: h * 3_600_000}}})
		}
		if got := usualGapS(rows); got != c.want {
			t.Errorf("%v: %v s, want %v", c.hours, got, c.want)
		}
	}
}

func TestMapBounds(t *testing.T) {
	const channels = "\nchannels: {raining: {column: r}}\n"
	const unix = "time: {column: t, layout: unix}"
	for _, c := range []struct{ text, want string }{
		{unix + channels, ""},
		{unix + channels + "skip_lines: 1000", ""},
		{unix + channels + "skip_lines: 1001", "skip_lines: 1001 is outside 0 to 1000"},
		{unix + channels + "skip_lines: -1", "skip_lines: -1 is outside"},
		{unix + channels + `separator: "\""`, "cannot separate"},
		{unix + channels + `separator: "\n"`, "cannot separate"},
		{unix + channels + `separator: "\r"`, "cannot separate"},
		{unix + channels + `separator: "→"`, ""},
		{"time: {column: t}" + channels, "time.layout: missing"},
		{unix + channels + "labels: {label_x: {scale: 1}}", "labels.label_x.column: missing"},
		{unix + channels + "labels: {label_: {column: x}}", "must begin with label_"},
		{unix + channels + `labels: {"label_a,b": {column: x}}`, "must begin with label_"},
		{unix + channels + "meta: {interval_s: soon}", "meta: key interval_s"},
		{unix + channels + `meta: {note: " x"}`, "metadata key note"},
	} {
		if _, err := ParseMap([]byte(c.text)); !said(err, c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestCSVTimes(t *testing.T) {
	for _, c := range []struct{ layout, cell, want string }{
		{"unix", "1.5", "1500"},
		{"unix", "-62135596800", fmt.Sprint(int64(trace.MinTimeMs))},
		{"unix", "-62135596801", "out of range"},
		{"unix", "253402300799", fmt.Sprint(int64(trace.MaxTimeMs - 999))},
		{"unix", "253402300800", "out of range"},
		{"unix", "x", `"x" is not a number`},
		{"unix_ms", "1500", "1500"},
		{"unix_ms", "253402300799999", fmt.Sprint(int64(trace.MaxTimeMs))},
		{"unix_ms", "253402300800000", "out of range"},
		{"2006-01-02", "1970-01-02", "86400000"},
		{"2006-01-02", "0000-01-02", "out of range"},
		{"2006-01-02", "02.01.1970", "does not match the layout"},
	} {
		m, err := ParseMap([]byte("time: {column: t, layout: " + c.layout + "}\nchannels: {raining: {column: r}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		tr, err := ImportCSV(strings.NewReader("t,r\n"+c.cell+",1\n"), m)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line 2, column t") {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if got := fmt.Sprint(tr.Rows[0].Sample.TimeMs); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Lines of errors count what the map skips.
func TestCSVLines(t *testing.T) {
	m, err := ParseMap([]byte("skip_lines: 2\ntime: {column: t, layout: unix}\nchannels: {raining: {column: r}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"a\nb\nt,r\n1,0\n2,x\n":          `line 5, column r: "x" is not a number`,
		"a\nb\nt,r\n1,0\n1,0\n":          "line 5, column t",
		"a\nb\nt,q\n":                    "line 3, column r: is not in the header (wanted for raining)",
		"a\nb\n":                         "line 3",
		"a\n":                            "line 2",
		"a\nb\n\ufefft, r \n1,1\n2, 0\n": "",
	} {
		if _, err := ImportCSV(strings.NewReader(text), m); !said(err, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ImportCSV(strings.NewReader(""), Map{}); !said(err, "column map: time.column: missing") {
		t.Errorf("an empty map: %v", err)
	}
}
