package reconcile

import (
	"errors"
	"strings"
	"time"

	"fairwatt/proto/brief"
)

// direction reads a direction, also by OBIS: the third value group is 1 of what is taken
// from the grid and 2 of what goes into it.
func direction(s string) Direction {
	switch strings.ToLower(s) {
	case "import", "consumption":
		return Import
	case "export", "generation":
		return Export
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		s = s[i+1:]
	}
	if s == "" || strings.Trim(s, "0123456789.*") != "" {
		return ""
	}
	switch group, _, more := strings.Cut(s, "."); {
	case group == "1" && more:
		return Import
	case group == "2" && more:
		return Export
	}
	return ""
}

// unitMilliWh is what one of a unit is in a quarter of an hour; 0 of no unit.
func unitMilliWh(unit string) int64 {
	switch strings.ToLower(unit) {
	case "kwh":
		return 1_000_000
	case "wh":
		return 1_000
	case "kw":
		return 250_000
	}
	return 0
}

// maxValue bounds a value before its decimals, in any unit: a million MW is no home's.
const maxValue = 1_000_000_000

// milliWh reads a value, in thousandths of a Wh. Beyond nine decimals it is cut: tables
// write 0.028250000000000001. Thousands are never grouped: in Wh, three digits behind a
// comma could be a group, so there the decimal sign must be named.
func milliWh(s, unit string, decimal byte) (int64, error) {
	whole, rest, has := s, "", false
	if i := strings.IndexAny(s, ".,"); i >= 0 {
		whole, rest, has = s[:i], s[i+1:], true
		switch {
		case decimal != 0 && s[i] != decimal:
			return 0, brief.Errorf("%q has a %q, the decimal sign is %q", s, s[i:i+1], string(decimal))
		case decimal == 0 && len(rest) == 3 && strings.EqualFold(unit, "wh"):
			return 0, brief.Errorf("%q may be a part or a thousand: name the decimal sign", s)
		}
	}
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !digits(whole) || has && !digits(rest) {
		return 0, brief.Errorf("%q is no amount: want digits, without a sign or groups of thousands", s)
	}
	var n, part int64
	for _, d := range whole {
		if n = n*10 + int64(d-'0'); n > maxValue {
			return 0, brief.Errorf("%q is more than any meter counts", s)
		}
	}
	for i := range 9 {
		part *= 10
		if i < len(rest) {
			part += int64(rest[i] - '0')
		}
	}
	factor := unitMilliWh(unit)
	return n*factor + (part*factor+500_000_000)/1_000_000_000, nil
}

// A clock reads the times of slots.
type clock struct {
	zone *time.Location
	last map[string]int64 // begin of each series' newest slot
	form string           // the one that the row before had
}

// The forms of times. Those of the second list have no zone: the layout names it.
var (
	zoned = [...]string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05 -07:00"}
	local = [...]string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "02.01.2006 15:04:05", "02.01.2006 15:04"}
)

var errNoTime = errors.New("want a time such as 2026-03-29T01:15:00Z, 2026-03-29 01:15 or 29.03.2026 01:15")

// begin returns when the slot of a cell begins.
func (c *clock) begin(series, cell string, isEnd bool) (int64, error) {
	cell, midnight := strings.CutSuffix(cell, " 24:00")
	if midnight {
		if !isEnd {
			return 0, brief.Errorf("%q 24:00 begins no slot", cell)
		}
		cell += " 00:00"
	}
	t, isLocal, err := c.parse(cell)
	if err != nil {
		return 0, err
	}
	if t.Year() < 1990 || t.Year() > 2200 {
		return 0, brief.Errorf("%q: the year is out of range", cell)
	}
	if midnight {
		t = t.AddDate(0, 0, 1)
	}
	before := int64(0)
	if isEnd {
		before = SlotMs
	}
	candidates := []int64{t.UnixMilli()}
	if isLocal {
		candidates = moments(t, c.zone)
	}
	if len(candidates) == 0 {
		return 0, brief.Errorf("%q does not exist in %s: summer time begins", cell, c.zone.String())
	}
	newest, any := c.last[series]
	for i, ms := range candidates {
		ms -= before
		if ms%SlotMs != 0 {
			return 0, brief.Errorf("%q is no bound of a quarter of an hour", cell)
		}
		// Of an hour that comes twice, the first is what the row before does not rule out.
		if len(candidates) == 1 || !any || ms > newest {
			c.last[series] = ms
			return ms, nil
		}
		if i == len(candidates)-1 {
			return 0, brief.Errorf("%q comes twice in %s, and is not behind the row before: sort the file by time", cell, c.zone.String())
		}
	}
	return 0, errNoTime // there is a candidate
}

// parse reads a time; one without a zone comes as if it were UTC.
func (c *clock) parse(cell string) (t time.Time, isLocal bool, err error) {
	if c.form != "" {
		if t, err := time.Parse(c.form, cell); err == nil {
			return t, !strings.Contains(c.form, "07:00"), nil
		}
	}
	for _, form := range append(zoned[:], local[:]...) {
		if t, err := time.Parse(form, cell); err == nil {
			c.form = form
			return t, !strings.Contains(form, "07:00"), nil
		}
	}
	return time.Time{}, false, brief.Errorf("%q: %w", cell, errNoTime)
}

// moments are the moments that a wall clock in the zone can mean, earliest first: two in
// the hour that comes twice, none in the one that does not exist.
func moments(wall time.Time, zone *time.Location) []int64 {
	// A day and two hours: no zone's clocks are put forward or back by more.
	_, before := wall.Add(-26 * time.Hour).In(zone).Zone()
	_, after := wall.Add(26 * time.Hour).In(zone).Zone()
	var out []int64
	for i, offset := range [...]int{max(before, after), min(before, after)} { // the greater is the earlier moment
		at := wall.Add(-time.Duration(offset) * time.Second)
		if _, is := at.In(zone).Zone(); is == offset && (i == 0 || before != after) {
			out = append(out, at.UnixMilli())
		}
	}
	return out
}
