package comtrade

import (
	"strings"
	"testing"
	"time"
)

// The line frequency may be empty, blank or missing; what stands is read in each
// form, and the number of rates is never taken for it.
func TestLineFrequencyMayBeMissing(t *testing.T) {
	for rates, n := range map[string]int{"1\n1000,3": 1, "2\n500,1\n1000,3": 2, "0\n0,3": 1, "1,\n1000,3": 1} {
		for hz, want := range map[string]float64{
			"50\n": 50, "60.5\n": 60.5, "\n50\n\n": 50, "\n": 0, "": 0, " \n": 0, "\r\n": 0, ",\n": 0, "50,\n": 50, "0\n": 0,
		} {
			text := strings.Replace(vectorCfg, "\n50\n1\n1000,3", "\n"+hz+rates, 1)
			c, err := parseConfig([]byte(text))
			if err != nil || c.LineHz != want || len(c.Rates) != n || c.Samples() != 3 || c.Format != ASCII {
				t.Errorf("%q before %q: %+v, %v", hz, rates, c, err)
			}
		}
	}
}

// Blanks carry no meaning, and a second 60 is the one that follows.
func TestClockForms(t *testing.T) {
	want := time.Date(2026, 3, 14, 9, 20, 5, 250_000_000, time.UTC)
	for _, text := range []string{
		"14/03/2026,09:20:05.250000", "14/03/2026,09 : 20:05.250000", " 14 / 03 / 2026 , 9: 20 : 5 .25", "14/03/2026,\t09:20:\t05.25",
	} {
		if at, _, err := cfgTime(strings.Split(text, ","), false); err != nil || !at.Equal(want) {
			t.Errorf("%q: %v, %v", text, at, err)
		}
	}
	leap := time.Date(2017, 1, 1, 0, 0, 0, 500_000_000, time.UTC)
	if at, _, err := cfgTime([]string{"31/12/2016", "23:59:60.5"}, false); err != nil || !at.Equal(leap) {
		t.Errorf("a leap second: %v, %v", at, err)
	}
	for _, text := range []string{"14/03/2026,12:00:60", "14/03/2026,09 20:05", "14/03/2026,23:59:61", "14/03/2026,23:59:600"} {
		if _, _, err := cfgTime(strings.Split(text, ","), false); err == nil {
			t.Errorf("%q is a time", text)
		}
	}
}
