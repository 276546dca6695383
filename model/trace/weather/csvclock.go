package weather

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// maxTimeColumns bounds the columns that make a time.
const maxTimeColumns = 4

// A csvClock reads the times of a CSV's rows, each after the one before.
type csvClock struct {
	*TimeMap
	zone    *time.Location
	local   bool // the layout names no zone: the map's counts
	indexes []int
	lastMs  int64
	any     bool
	skipped int // rows at local times that do not exist
}

func (m *Map) newClock(header []string) (*csvClock, error) {
	zone, err := time.LoadLocation(m.Time.Zone)
	if err != nil {
		return nil, err
	}
	c := &csvClock{TimeMap: &m.Time, zone: zone}
	c.local = zone != time.UTC && !slices.ContainsFunc([]string{"Z07", "-07", "MST"}, func(z string) bool { return strings.Contains(c.Layout, z) })
	for _, name := range m.Time.columns() {
		i := slices.Index(header, name)
		if i < 0 {
			return nil, &trace.Error{Line: m.SkipLines + 1, Column: name, Err: errors.New("is not in the header")}
		}
		c.indexes = append(c.indexes, i)
	}
	return c, nil
}

// at returns a row's time in Unix milliseconds. It is not ok for a row that is to
// be left out.
func (c *csvClock) at(cells []string) (ms int64, ok bool, err error) {
	var parts []string
	for _, i := range c.indexes {
		parts = append(parts, strings.TrimSpace(cells[i]))
	}
	cell := strings.Join(parts, " ")
	candidates, err := c.candidates(cell)
	if err == nil && len(candidates) == 0 {
		c.skipped++
		return 0, false, nil
	}
	for _, t := range candidates {
		switch {
		case t < trace.MinTimeMs || t > trace.MaxTimeMs:
			err = brief.Errorf("%q is out of range", cell)
		case !c.any || t > c.lastMs:
			c.lastMs, c.any = t, true
			return t, true, nil
		}
	}
	if err == nil {
		err = brief.Errorf("%q is not after the row before", cell)
	}
	return 0, false, &trace.Error{Column: strings.Join(c.columns(), " "), Err: err}
}

// candidates are the moments that a cell can mean, earliest first: two in the hour
// that comes twice when summer time ends, none in the one that does not exist.
func (c *csvClock) candidates(cell string) ([]int64, error) {
	if c.Layout == "unix" || c.Layout == "unix_ms" {
		v, err := trace.ParseNumber(cell)
		if err != nil {
			return nil, brief.Errorf("%q %w", cell, err)
		}
		if c.Layout == "unix" {
			v *= 1000
		}
		if !(v >= trace.MinTimeMs && v <= trace.MaxTimeMs) {
			return nil, brief.Errorf("%q is out of range", cell)
		}
		return []int64{int64(math.Round(v))}, nil
	}
	at, err := time.ParseInLocation(c.Layout, cell, c.zone)
	if err != nil {
		at, err = time.ParseInLocation(c.Layout, meridiem(c.Layout, cell), c.zone)
	}
	if err != nil {
		return nil, brief.Errorf("%q does not match the layout %q", cell, c.Layout)
	}
	if !c.local {
		return []int64{at.UnixMilli()}, nil
	}
	// A day and two hours: no zone's clocks are put forward or back by more.
	_, before := at.Add(-26 * time.Hour).Zone()
	_, after := at.Add(26 * time.Hour).Zone()
	if before == after {
		return []int64{at.UnixMilli()}, nil
	}
	wall, err := time.Parse(c.Layout, cell)
	if err != nil {
		if wall, err = time.Parse(c.Layout, meridiem(c.Layout, cell)); err != nil {
			return nil, brief.Errorf("%q does not match the layout %q", cell, c.Layout)
		}
	}
	var out []int64
	for _, offset := range [...]int{max(before, after), min(before, after)} { // the greater is the earlier moment
		t := wall.Add(-time.Duration(offset) * time.Second)
		if _, is := t.In(c.zone).Zone(); is == offset {
			out = append(out, t.UnixMilli())
		}
	}
	return out, nil
}

// meridiem writes "5:45p", "5:45 pm" and "5:45 p.m." as the layout's PM wants it.
func meridiem(layout, cell string) string {
	if !strings.Contains(layout, "PM") {
		return cell
	}
	cell = strings.ReplaceAll(strings.ToUpper(cell), ".M.", "M")
	if strings.HasSuffix(cell, "A") || strings.HasSuffix(cell, "P") {
		cell += "M"
	}
	return cell
}

func (c *csvClock) leftOut(t *trace.Trace) {
	if c.skipped == 0 {
		return
	}
	t.LeftOut = append(t.LeftOut, model.LeftOut{
		What: "rows at local times that do not exist in " + brief.Text(c.Zone) +
			", because summer time begins (if the log keeps standard time all year, name a zone such as Etc/GMT-1)",
		Count: c.skipped,
	})
}
