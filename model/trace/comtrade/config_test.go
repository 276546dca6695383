package comtrade

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// replaced is the vector's configuration with one place changed.
func replaced(t *testing.T, from, to string) string {
	t.Helper()
	text := strings.Replace(vectorCfg, from, to, 1)
	if text == vectorCfg {
		t.Fatalf("%q is not in the vector, or is %q", from, to)
	}
	return text
}

// Each rule of a configuration has a row that breaks it, just so where it is a
// bound; the error names the line.
func TestConfigRefuses(t *testing.T) {
	const start = "01/01/2026,00:00:00.000000"
	for _, c := range []struct{ from, to, want string }{
		{"2013", "x", `line 1: revision "x" is no year`},
		{"2013", "1899", "is no year"},
		{"2013", "10000", "is no year"},
		{"3,2A,1D", "3,2A", "line 2: channel counts: 2 fields"},
		{"3,2A,1D", "3,2A,2D", "3 channels are not 2 analog and 2 digital ones"},
		{"3,2A,1D", "x,2A,1D", "x channels are not 2 analog"},
		{"3,2A,1D", "2000000001,2000000000A,1D", "2000000000A"},
		{"3,2A,1D", "4098,4097A,1D", "not a number from 0 to 4096"},
		{"3,2A,1D", "16387,2A,16385D", "not a number from 0 to 16384"},
		{"3,2A,1D", "1,2A,-1D", "not a number from 0 to"},
		{"3,2A,1D", "3,2,1D", "does not end in A"},
		{"3,2A,1D", "3,2A,1", "does not end in D"},
		{"V,0.1,0,0,-32767,32767,1,1,P", "V,0.1,0,0,-32767", "line 3: analog channel: 9 fields"},
		{"0.1,0", "0x1,0", `analog channel VA, field 6: "0x1" is not a number`},
		{"0.1,0,0,", ",0,0,", `field 6: "" is not a number`},
		{"32767,1,1,P", "32767,1,one,P", `field 12: "one" is not a number`},
		{"1,1,P", "1,1,X", `"X" is neither P nor S`},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-32767,32767,1,0,S", "ratio 1 to 0"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-32767,32767,0,1,S", "ratio 0 to 1"},
		{"0.1,0,0,-32767,32767,1,1,P", "1e200,0,0,-32767,32767,1e200,1,S", "its scale is out of range"},
		{"0.1,0,0,-32767,32767,1,1,P", "1,1e200,0,-32767,32767,1e200,1,S", "its scale is out of range"},
		{"1,TRIP,,,0", "1", "line 5: digital channel: 1 fields"},
		{"1,TRIP,,,0", "1,TRIP,,,2", `digital channel TRIP: normal state "2"`},
		{"\n50\n", "\nNaN\n", "line 6: line frequency"},
		{"\n50\n", "\n-1\n", "not a number from 0 to 1000"},
		{"\n50\n", "\n1000.1\n", "not a number from 0 to 1000"},
		{"\n1\n1000", "\nx\n1000", "line 7: number of sampling rates"},
		{"\n1\n1000", "\n-1\n1000", "not from 0 to 10000"},
		{"\n1\n1000", "\n10001\n1000", "not from 0 to 10000"},
		{"\n1\n1000", "\n10000\n1000", `line 9: sampling rate "01/01/2026"`},
		{"1000,3", "1000", "line 8: sampling rate: wanted rate, last sample"},
		{"1000,3", "fast,3", `sampling rate "fast" is not`},
		{"1000,3", "-1,3", "not from 0 to 1e9 Hz"},
		{"1000,3", "1000000001,3", "not from 0 to 1e9 Hz"},
		{"1000,3", "1000,-3", "last sample"},
		{"1000,3", "1000,2147483649", `last sample "2147483649" is not from 0 to 2147483648`},
		{"1000,3", "1000,99999999999999999999", "last sample"},
		{"1\n1000,3", "2\n1000,3\n1000,2", `line 9: last sample "2" is not from 3`},
		{"1\n1000,3", "2\n0,1\n1000,3", `sampling rate "0" of several`},
		{start, "01/01/2026", "line 9: time \"01/01/2026\": wanted day/month/year"},
		{start, "01/2026,00:00:00", "wanted day/month/year"},
		{start, "01/x/2026,00:00:00", "date"},
		{start, "01/01/10000,00:00:00", "date"},
		{start, "01/01/2026,25:00:00", "clock"},
		{start, "31/02/2026,00:00:00", "no such day"},
		{start, "32/01/2026,00:00:00", "no such day"},
		{start, "01/00/2026,00:00:00", "no such day"},
		{"ASCII", "UTF-16", `line 11: data format "UTF-16" is not one of ASCII, BINARY, BINARY32, FLOAT32`},
		{"ASCII\n1\n", "ASCII\n-1\n", "line 12: time multiplier"},
		{"ASCII\n1\n", "ASCII\n0\n", "not above 0"},
		{"ASCII\n1\n", "ASCII\n1e10\n", "at most 1e9"},
		{"ASCII\n1\n0,0", "ASCII\n1\nnoon,0", `line 13: time code "noon"`},
		{"ASCII\n1\n0,0", "ASCII\n1\n25,0", "time code"},
		{"ASCII\n1\n0,0", "ASCII\n1\n1h60,0", "time code"},
		{"ASCII\n1\n0,0", "ASCII\n1\n1hx,0", "time code"},
		{"\nASCII\n1\n0,0\n0,0\n", "\n", "ends too early"},
		{"SITE", strings.Repeat("x", maxLine-len(",AGENT,2013")+1), "line 1: longer than 65536 bytes"},
		{"50\n", "50\n" + strings.Repeat("\n", maxText-len(vectorCfg)+1), "longer than 4194304 bytes"},
	} {
		_, err := ReadConfig(strings.NewReader(replaced(t, c.from, c.to)))
		var at *Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q for %q: %v, want %q", c.to, c.from, err, c.want)
		}
	}
}

// What stands just within a bound, or is written by real recorders, is read.
func TestConfigAccepts(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     func(*Config) string
		is       string
	}{
		{"2013", "1900", func(c *Config) string { return fmt.Sprint(c.Revision) }, "1900"},
		{"2013", "9999", func(c *Config) string { return fmt.Sprint(c.Revision) }, "9999"},
		{",2013", "", func(c *Config) string { return fmt.Sprint(c.Revision) }, "1991"},
		{"3,2A,1D", "3, 2a ,1d", func(c *Config) string { return fmt.Sprint(len(c.Analogs), len(c.Digitals)) }, "2 1"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,,,,", func(c *Config) string { return fmt.Sprint(c.Analogs[0].A, c.Analogs[0].B, c.Analogs[0].Factor()) }, "0.1 0 1"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,,7,,9", func(c *Config) string { return fmt.Sprint(c.Analogs[0].B, c.Analogs[0].SkewUS, c.Analogs[0].Max) }, "0 7 9"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-9,9,20,2", func(c *Config) string { return fmt.Sprint(c.Analogs[0].Factor()) }, "1"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-9,9,20,2,s", func(c *Config) string { return fmt.Sprint(c.Analogs[0].Factor()) }, "10"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-9,9,20,2,P", func(c *Config) string { return fmt.Sprint(c.Analogs[0].Factor()) }, "1"},
		{"0.1,0,0,-32767,32767,1,1,P", "0.1,0,0,-9,9,0,0,S", func(c *Config) string { return fmt.Sprint(c.Analogs[0].Factor()) }, "1"},
		{"1,TRIP,,,0", "1,TRIP,1", func(c *Config) string { return fmt.Sprint(c.Digitals[0]) }, "{TRIP   true}"},
		{"1,TRIP,,,0", "1,TRIP", func(c *Config) string { return fmt.Sprint(c.Digitals[0]) }, "{TRIP   false}"},
		{"1,TRIP,,,0", "1,TRIP,A,L1,1", func(c *Config) string { return fmt.Sprint(c.Digitals[0]) }, "{TRIP A L1 true}"},
		{"\n50\n", "\n,\n", func(c *Config) string { return fmt.Sprint(c.LineHz) }, "0"},
		{"\n50\n", "\n1000\n", func(c *Config) string { return fmt.Sprint(c.LineHz) }, "1000"},
		{"1000,3", "1e9,2147483648", func(c *Config) string { return fmt.Sprint(c.Rates) }, "[{1e+09 2147483648}]"},
		{"1\n1000,3", "2\n1000,3\n50,3", func(c *Config) string { return fmt.Sprint(c.Rates, c.Timed) }, "[{1000 3} {50 3}] false"},
		{"1\n1000,3", "0\n1000,3", func(c *Config) string { return fmt.Sprint(c.Rates, c.Timed) }, "[{0 3}] true"},
		{"1\n1000,3", "1\n0,3", func(c *Config) string { return fmt.Sprint(c.Rates, c.Timed) }, "[{0 3}] true"},
		{"1\n1000,3", "1\n1e-6,3", func(c *Config) string { return fmt.Sprint(c.Rates, c.Timed) }, "[{1e-06 3}] false"},
		{"01/01/2026,00:00:00.000000", "01/01/2026,00:00:00.000000001", func(c *Config) string { return fmt.Sprint(c.Nanoseconds) }, "true"},
		{"ASCII", "float32", func(c *Config) string { return c.Format.String() }, "FLOAT32"},
		{"ASCII\n1\n", "ASCII\n1e9\n", func(c *Config) string { return fmt.Sprint(c.TimeMult) }, "1e+09"},
		{"ASCII\n1\n0,0\n0,0\n", "ASCII\n", func(c *Config) string { return fmt.Sprint(c.TimeMult) }, "1"},
		{"ASCII\n1\n0,0", "ASCII\n1\n-5h30,x", func(c *Config) string { return c.Start.Format(time.RFC3339) }, "2026-01-01T05:30:00Z"},
		{"ASCII\n1\n0,0", "ASCII\n1\n+24h59,x", func(c *Config) string { return c.Start.Format(time.RFC3339) }, "2025-12-30T23:01:00Z"},
		{"ASCII\n1\n0,0", "ASCII\n1\nX,x", func(c *Config) string { return c.Start.Format(time.RFC3339) }, "2026-01-01T00:00:00Z"},
		{"0,0\n0,0\n", "0,0\nB,3\n", func(c *Config) string { return c.Quality + c.LeapSecond }, "B3"},
		{"SITE,AGENT,2013", "SITE", func(c *Config) string { return c.Station + c.Device }, "SITE"},
		{"SITE", strings.Repeat("x", maxLine-len(",AGENT,2013")), func(c *Config) string { return c.Device }, "AGENT"},
		{"50\n", "50\n" + strings.Repeat("\n", maxText-len(vectorCfg)), func(c *Config) string { return c.Device }, "AGENT"},
		{"SITE", "\ufeff\r\n\n SITE ", func(c *Config) string { return c.Station }, "SITE"},
		{"SITE", "S\xdcD", func(c *Config) string { return c.Station }, "SÜD"},
		{"0,0\n0,0\n", "0,0\n0,0\n\x1a", func(c *Config) string { return c.Station }, "SITE"},
	} {
		cfg, err := ReadConfig(strings.NewReader(replaced(t, c.from, c.to)))
		if err != nil {
			t.Errorf("%q for %q: %v", c.to, c.from, err)
		} else if got := c.want(cfg); got != c.is {
			t.Errorf("%q for %q: %s, want %s", c.to, c.from, got, c.is)
		}
	}
}

func TestCounts(t *testing.T) {
	for field, want := range map[string]int{"0A": 0, "4096A": 4096, "4097A": -1, "-1A": -1, "A": -1, "4096 a": 4096} {
		if n, err := cfgCount(field, "A", maxAnalogs); (err == nil) != (want >= 0) || err == nil && n != want {
			t.Errorf("%q: %d, %v", field, n, err)
		}
	}
}

// A configuration may end after the data format, and nowhere before.
func TestConfigMayEndAfterItsFormat(t *testing.T) {
	lines := strings.SplitAfter(vectorCfg, "\n")
	for n := range len(lines) {
		_, err := ReadConfig(strings.NewReader(strings.Join(lines[:n], "")))
		if whole := n >= 11; whole != (err == nil) || !whole && !errors.Is(err, errCfgEnds) {
			t.Errorf("the first %d lines: %v", n, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		text  string
		month bool
		want  string
	}{
		{"25/05/2017,08:13:16.587000", false, "2017-05-25T08:13:16.587Z"},
		{"05/25/91,08:13:16.5", true, "1991-05-25T08:13:16.5Z"},
		{"25/05/91,08:13:16", true, "1991-05-25T08:13:16Z"},
		{"05/25/2001,8:3:6.123456789", false, "2001-05-25T08:03:06.123456789Z"},
		{"12/11/2001,08:00:00", false, "2001-11-12T08:00:00Z"},
		{"05/25/00,08:00:00", true, "2000-05-25T08:00:00Z"},
		{"31/12/9999,08:00:00", false, "9999-12-31T08:00:00Z"},
		{"12/11/69,08:00:00", true, "2069-12-11T08:00:00Z"},
		{"12/11/100,08:00:00", false, "0100-11-12T08:00:00Z"},
		{"12-11-70,08:00:00", true, "1970-12-11T08:00:00Z"},
		{"12.11.99,08:00:00", true, "1999-12-11T08:00:00Z"},
		{"00/00/0000,00:00:00.000", false, "0001-01-01T00:00:00Z"},
	} {
		at, _, err := cfgTime(strings.Split(c.text, ","), c.month)
		if err != nil || at.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%s: %v, %v", c.text, at.Format(time.RFC3339Nano), err)
		}
	}
}
