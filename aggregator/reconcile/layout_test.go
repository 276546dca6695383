package reconcile

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

const allTime = int64(1) << 50

// One file, as operators write it in many ways, is the same values.
func TestReadForms(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	for name, c := range map[string]struct {
		layout func(*Layout)
		file   string
	}{
		"the layout":         {func(*Layout) {}, "point,begin,kwh\nAT1,2026-11-03T11:00:00Z,0.125\nAT1,2026-11-03T11:15:00Z,1\n"},
		"columns turned":     {func(*Layout) {}, "kwh,x,Begin,POINT\n0.125,,2026-11-03T11:00:00Z,AT1\n1.0,y,2026-11-03T12:15:00+01:00,AT1\n"},
		"of a spreadsheet":   {func(l *Layout) { l.Zone = vienna }, "\xef\xbb\xbfpoint;begin;kwh\r\nAT1;03.11.2026 12:00;0,125\r\nAT1;03.11.2026 12:15;1,000\r\n;;\r\n"},
		"tabs and quotes":    {func(*Layout) {}, "point\tbegin\tkwh\n\"AT1\"\t2026-11-03 11:00\t\"0,125\"\nAT1\t2026-11-03 11:15:00\t1\n"},
		"of one point":       {func(l *Layout) { l.PointColumn, l.Point = "", "AT1" }, "begin;kwh;\n2026-11-03T11:00;0,125;\n2026-11-03T11:15;1;\n"},
		"by the end":         {func(l *Layout) { l.TimeIsEnd = true }, "point,begin,kwh\nAT1,2026-11-03T11:15:00Z,0.125\nAT1,2026-11-03 11:30,1\n"},
		"in Wh":              {func(l *Layout) { l.Unit, l.ValueColumn = "Wh", "value" }, "point;begin;value\nAT1;2026-11-03 11:00;125\nAT1;2026-11-03 11:15;1000,0\n"},
		"as mean power":      {func(l *Layout) { l.Unit = "kW" }, "point;begin;kwh\nAT1;2026-11-03 11:00;0,5\nAT1;2026-11-03 11:15;4\n"},
		"of two columns":     {func(l *Layout) { l.TimeColumn = "day+from" }, "point;day;from;kwh\nAT1;2026-11-03;11:00;0,125\nAT1;2026-11-03;11:15;1\n"},
		"behind a title":     {func(l *Layout) { l.SkipLines = 2 }, "report of \"2026\nof us\npoint,begin,kwh\nAT1,2026-11-03T11:00:00Z,0.125\nAT1,2026-11-03T11:15:00Z,1\n"},
		"with long decimals": {func(*Layout) {}, "point,begin,kwh\nAT1,2026-11-03T11:00:00Z,0.1250000000000001\nAT1,2026-11-03T11:15:00Z,0.99999999999\n"},
	} {
		l := DefaultLayout()
		c.layout(&l)
		f, err := l.Read(strings.NewReader(c.file), 0, allTime)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		begin := time.Date(2026, 11, 3, 11, 0, 0, 0, time.UTC).UnixMilli()
		if len(f.Values) != 2 || f.Values[0].BeginMs != begin || f.Values[1].BeginMs != begin+SlotMs || f.Values[0].MilliWh != 125_000 || f.Values[1].MilliWh != 1_000_000 || f.Values[1].Point != "AT1" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// What is not understood is refused with its line, and nothing is guessed.
func TestReadRefuses(t *testing.T) {
	const head = "point,begin,kwh,way,q\n"
	for row, want := range map[string]string{
		"AT1,2026-11-03T11:00:00Z,-1":                                              `line 2, column kwh: "-1" is no amount`,
		"AT1,2026-11-03T11:00:00Z,1e3":                                             `"1e3" is no amount`,
		"AT1,2026-11-03T11:00:00Z,1.":                                              `"1." is no amount`,
		"AT1,2026-11-03T11:00:00Z,1.2.3":                                           `"1.2.3" is no amount`,
		`AT1,2026-11-03T11:00:00Z,"1.234,5"`:                                       `"1.234,5" is no amount`,
		"AT1,2026-11-03T11:00:00Z,1000000001":                                      "more than any meter counts",
		"AT1,2026-11-03T11:01:00Z,1":                                               "no bound of a quarter of an hour",
		"AT1,2026-11-03T11:00:00.5Z,1":                                             "no bound of a quarter of an hour",
		"AT1,03/11/2026 11:00,1":                                                   "want a time such as",
		"AT1,2026-11-03 24:00,1":                                                   "begins no slot",
		"AT1,1026-11-03T11:00:00Z,1":                                               "the year is out of range",
		",2026-11-03T11:00:00Z,1":                                                  "is no name of a metering point",
		strings.Repeat("A", 161) + ",2026-11-03T11:00:00Z,1":                       "is no name of a metering point",
		"AT\xff,2026-11-03T11:00:00Z,1":                                            "is no name of a metering point",
		"AT1,2026-11-03T11:00:00Z,1,up":                                            "is no direction",
		"AT1,2026-11-03T11:00:00Z,1,1-1:3.8.0":                                     "is no direction",
		"AT1,2026-11-03T11:00:00Z,1,import," + strings.Repeat("q", 33):             "is too long",
		"AT1,2026-11-03T11:00:00Z,1,import\nAT1,2026-11-03T12:00:00+01:00,2,1.8.0": "line 3: \"AT1\" has a value for this slot in line 2 already",
		"AT1,\"2026-11-03T11:00:00Z,1":                                             "line 2",
	} {
		l := DefaultLayout()
		if strings.Contains(row, ",1,") {
			l.DirectionColumn, l.QualityColumn = "way", "q"
		}
		if _, err := l.Read(strings.NewReader(head+row+"\n"), 0, allTime); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", row, err, want)
		}
	}
	l := DefaultLayout()
	for file, want := range map[string]string{
		"": "no header", "\xff\xfep\x00": "UTF-16", "p\x00o\x00": "UTF-16", "PK\x03\x04": "workbook", "point,begin,Kwh,kwh\n": `two columns "kwh"`, "point;begin\n": `no column "kwh"; there are "point, begin"`,
		"point" + strings.Repeat(",", 256): "257 columns",
	} {
		if _, err := l.Read(strings.NewReader(file), 0, allTime); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
	l.Unit = "Wh"
	if _, err := l.Read(strings.NewReader("point;begin;kwh\nAT1;2026-11-03 11:00;1,234\n"), 0, allTime); err == nil || !strings.Contains(err.Error(), "name the decimal sign") {
		t.Errorf("in Wh, 1,234: %v", err)
	}
	l.Decimal = '.'
	if _, err := l.Read(strings.NewReader("point;begin;kwh\nAT1;2026-11-03 11:00;1,234\n"), 0, allTime); err == nil || !strings.Contains(err.Error(), `the decimal sign is "."`) {
		t.Errorf("a comma where a point is named: %v", err)
	}
	l.SkipLines = 3
	if _, err := l.Read(strings.NewReader("a\nb\n"), 0, allTime); err == nil || !strings.Contains(err.Error(), "ends before its header") {
		t.Errorf("three lines of two: %v", err)
	}
}

func TestLayoutValidate(t *testing.T) {
	for want, change := range map[string]func(*Layout){
		"point:": func(l *Layout) { l.Point = "AT1" }, "point: ": func(l *Layout) { l.PointColumn = "" }, "columns:": func(l *Layout) { l.TimeColumn = "" },
		"columns: ": func(l *Layout) { l.ValueColumn = "" }, "direction:": func(l *Layout) { l.Direction = "up" }, "direction: want": func(l *Layout) { l.Direction, l.DirectionColumn = Import, "way" },
		"unit:": func(l *Layout) { l.Unit = "MWh" }, "decimal:": func(l *Layout) { l.Decimal = '\'' }, "separator:": func(l *Layout) { l.Separator = 'x' },
		"skip_lines: -1": func(l *Layout) { l.SkipLines = -1 }, "skip_lines: 101": func(l *Layout) { l.SkipLines = 101 }, "zone:": func(l *Layout) { l.Zone = nil },
	} {
		l := DefaultLayout()
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&l)
		if err := l.Validate(); err == nil || !strings.HasPrefix(err.Error()+" ", want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := l.Read(strings.NewReader("point,begin,kwh\n"), 0, allTime); err == nil {
			t.Errorf("%s: read", want)
		}
	}
}

// A day has 92 quarters where summer time begins and 100 where it ends, whether its
// quarters are named by their begin or their end, and each stands for its own.
func TestDaysOfSummerTime(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	for day, quarters := range map[string]int{"2026-03-29": 92, "2026-10-25": 100, "2026-11-03": 96} {
		from, err := time.ParseInLocation("2006-01-02", day, vienna)
		if err != nil {
			t.Fatal(err)
		}
		to := from.AddDate(0, 0, 1)
		for _, isEnd := range []bool{false, true} {
			var file strings.Builder
			file.WriteString("point;begin;kwh\n")
			for at := from; at.Before(to); at = at.Add(15 * time.Minute) {
				named := at
				if isEnd {
					named = at.Add(15 * time.Minute)
				}
				text := named.Format("02.01.2006 15:04")
				if isEnd && named.Equal(to) {
					text = at.Format("02.01.2006") + " 24:00"
				}
				fmt.Fprintf(&file, "AT1;%s;%d\n", text, at.Unix()%1000)
			}
			l := DefaultLayout()
			l.Zone, l.TimeIsEnd = vienna, isEnd
			f, err := l.Read(strings.NewReader(file.String()), from.UnixMilli(), to.UnixMilli())
			if err != nil || len(f.Values) != quarters || f.Outside != 0 {
				t.Fatalf("%s, end %v: %v, %+v", day, isEnd, err, f)
			}
			for i, v := range f.Values {
				at := from.Add(time.Duration(i) * 15 * time.Minute)
				if v.BeginMs != at.UnixMilli() || v.MilliWh != at.Unix()%1000*1_000_000 {
					t.Errorf("%s, end %v: value %d is of %s", day, isEnd, i, time.UnixMilli(v.BeginMs).In(vienna))
				}
			}
		}
	}
	l := DefaultLayout()
	l.Zone = vienna
	for row, want := range map[string]string{
		"AT1;29.03.2026 02:15;1": "does not exist in Europe/Vienna",
		"AT1;25.10.2026 02:15;1\nAT1;25.10.2026 02:15;1\nAT1;25.10.2026 02:15;1": "sort the file by time",
		"AT1;25.10.2026 04:00;1\nAT1;25.10.2026 02:15;1":                         "sort the file by time",
	} {
		if _, err := l.Read(strings.NewReader("point;begin;kwh\n"+row+"\n"), 0, allTime); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", row, err, want)
		}
	}
	// Two metering points have two clocks.
	f, err := l.Read(strings.NewReader("point;begin;kwh\nAT1;25.10.2026 02:15;1\nAT2;25.10.2026 02:15;1\n"), 0, allTime)
	if err != nil || f.Values[0].BeginMs != f.Values[1].BeginMs {
		t.Errorf("%v, %+v", err, f)
	}
}

// A file is bounded in bytes, whatever stands in it.
func TestReadIsBounded(t *testing.T) {
	l := DefaultLayout()
	head := "point,begin,kwh\nAT1,2026-11-03T11:00:00Z,1\n"
	endless := io.MultiReader(strings.NewReader(head), neverEnding{})
	table, err := l.open(&bounded{r: endless, left: 1 << 20})
	if err == nil {
		_, err = table.csv.Read()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err = table.csv.Read(); err == nil || !strings.Contains(table.wrap(err).Error(), "read values behind line 0: the file is larger than 128 MB") {
		t.Errorf("%v", err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func FuzzRead(f *testing.F) {
	f.Add([]byte("point,begin,kwh\nAT1,2026-11-03T11:00:00Z,0.125\n"), "kWh", "", false)
	f.Add([]byte("\xef\xbb\xbfpoint;begin;kwh;way\r\nAT1;25.10.2026 02:15;0,5;1-1:1.29.0\r\n"), "kW", "way", true)
	f.Add([]byte("point\tbegin\tkwh\n\"A\tT\"\t29.03.2026 24:00\t1,5\n"), "Wh", "", true)
	vienna := zone(f, "Europe/Vienna")
	f.Fuzz(func(t *testing.T, b []byte, unit, way string, isEnd bool) {
		l := DefaultLayout()
		l.Unit, l.DirectionColumn, l.TimeIsEnd, l.Zone = unit, way, isEnd, vienna
		file, err := l.Read(strings.NewReader(string(b)), 0, allTime)
		if err != nil {
			return
		}
		if len(file.Values)+file.Outside+file.Empty != file.Rows {
			t.Errorf("%+v", file)
		}
		for _, v := range file.Values {
			if v.BeginMs%SlotMs != 0 || v.MilliWh < 0 || v.Point == "" {
				t.Errorf("%+v", v)
			}
		}
	})
}
