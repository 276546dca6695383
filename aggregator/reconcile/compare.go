package reconcile

import (
	"cmp"
	"slices"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
)

// Options say how values are compared.
type Options struct {
	// ToleranceWh is by how much a slot may differ, MonthWh all of them together; on top
	// comes the meter's class of what it counted.
	ToleranceWh, MonthWh int64
	// Total: the values are all that a point measured, not what was allotted to the
	// community. Then the chain may have settled less, and must not have settled more.
	Total bool
	// Points names the meters of the chain behind a metering point that is called neither
	// as a meter nor by its serial number: one, or several that followed each other.
	Points map[string][]string
}

// What is wrong with a row; empty: nothing.
const (
	MoreMeasured = "more measured" // than the readings on the chain allow
	LessMeasured = "less measured" // likewise
	NoValue      = "no value"      // of a slot in which the chain settled energy
	NotOnChain   = "not on the chain"
)

// A Row is one slot of one metering point, or all of them. Energy is in whole Wh; the
// rows of a point add up to its total.
type Row struct {
	Point        string    `json:"point"`
	Direction    Direction `json:"direction"`
	BeginMs      int64     `json:"begin_ms"`
	SettledWh    int64     `json:"settled_wh"`
	AtLeastWh    int64     `json:"at_least_wh"`
	AtMostWh     int64     `json:"at_most_wh"`
	MeasuredWh   int64     `json:"measured_wh"`
	DifferenceWh int64     `json:"difference_wh"` // measured less settled
	Quality      string    `json:"quality,omitempty"`
	Wrong        string    `json:"wrong"` // "": within the tolerance
}

// A Total is a metering point's time.
type Total struct {
	Row
	Meters  []string `json:"meters"`
	Slots   int      `json:"slots"`   // there are
	Values  int      `json:"values"`  // in the file
	Differs int      `json:"differs"` // slots
}

// A Report is what a comparison found.
type Report struct {
	FromMs  int64   `json:"from_ms"`
	ToMs    int64   `json:"to_ms"`
	Height  uint64  `json:"height"` // of the newest block looked at
	Totals  []Total `json:"totals"`
	Rows    []Row   `json:"rows"` // slots with energy, or with something wrong
	Differs int     `json:"differs"`
}

// A joint is the two sides of one way of one metering point.
type joint struct {
	point  string
	way    Direction
	meters []string
	values []Value
}

// Compare holds the books against the operator's values. It fails where a value cannot
// be told to be of one way of a meter.
func (b *Books) Compare(values []Value, o *Options) (*Report, error) {
	joints, err := b.join(values, o)
	if err != nil {
		return nil, err
	}
	r := &Report{FromMs: b.fromMs, ToMs: b.toMs, Height: b.height, Totals: []Total{}, Rows: []Row{}}
	for _, j := range joints {
		b.compare(r, j, o)
	}
	return r, nil
}

// join finds the meters of each metering point, and takes in the points that have no value.
func (b *Books) join(values []Value, o *Options) ([]*joint, error) {
	serials := make(map[string][]string)
	for id, m := range b.meters {
		serials[m.serial] = append(serials[m.serial], id)
	}
	joints, of := make(map[series]*joint), make(map[series]*joint)
	open := func(point string, way Direction, meters []string) *joint {
		j := joints[series{point, way}]
		if j == nil {
			j = &joint{point: point, way: way, meters: meters}
			joints[series{point, way}] = j
		}
		for _, id := range meters {
			of[series{id, way}] = j
		}
		return j
	}
	for _, v := range values {
		meters := o.Points[v.Point]
		if _, is := b.meters[v.Point]; meters == nil && is {
			meters = []string{v.Point}
		}
		if meters == nil {
			meters = serials[v.Point]
			slices.Sort(meters)
		}
		way := v.Direction
		for _, id := range meters {
			m := b.meters[id]
			switch {
			case m == nil:
				return nil, brief.Errorf("metering point %q: the chain has no meter %q", v.Point, id)
			case way == "" && m.ways == fairwattpb.MeterDirection_METER_DIRECTION_IMPORT:
				way = Import
			case way == "" && m.ways == fairwattpb.MeterDirection_METER_DIRECTION_EXPORT:
				way = Export
			case way == "":
				return nil, brief.Errorf("line %d: meter %q counts both ways: say the direction of the values", v.Line, id)
			}
		}
		j := open(v.Point, way, meters)
		j.values = append(j.values, v)
	}
	for s := range b.whole {
		if of[s] == nil {
			open(s.meter, s.way, []string{s.meter})
		}
	}
	out := make([]*joint, 0, len(joints))
	for _, j := range joints {
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b *joint) int { return cmp.Or(cmp.Compare(a.point, b.point), cmp.Compare(a.way, b.way)) })
	return out, nil
}

func (b *Books) compare(r *Report, j *joint, o *Options) {
	slots := int((b.toMs - b.fromMs) / SlotMs)
	t := Total{Meters: j.meters, Slots: slots, Values: len(j.values)}
	t.Point, t.Direction, t.BeginMs = j.point, j.way, b.fromMs
	if j.meters == nil {
		t.Meters = []string{}
	}
	at := make(map[int64]*Value, len(j.values))
	for i := range j.values {
		at[j.values[i].BeginMs] = &j.values[i]
	}
	var all span
	var classE4, milli int64
	for _, id := range j.meters {
		if m := b.meters[id]; m != nil {
			classE4 = max(classE4, m.classE4)
		}
		if s := b.whole[series{id, j.way}]; s != nil {
			all.add(*s)
		}
	}
	for begin := b.fromMs; begin < b.toMs; begin += SlotMs {
		row := Row{Point: j.point, Direction: j.way, BeginMs: begin}
		var s span
		for _, id := range j.meters {
			if one := b.slots[place{series{id, j.way}, begin}]; one != nil {
				s.add(*one)
			}
		}
		v := at[begin]
		if v != nil {
			// Rounded so that the rows add up to the total, rounded.
			row.MeasuredWh, row.Quality = (milli+v.MilliWh+500)/1000-(milli+500)/1000, v.Quality
			milli += v.MilliWh
		}
		row.judge(s, o.ToleranceWh, classE4, o.Total)
		if v == nil && s.even > 0 {
			row.Wrong = NoValue
		}
		if row.Wrong != "" {
			t.Differs++
		}
		if row.SettledWh != 0 || row.MeasuredWh != 0 || row.Wrong != "" {
			r.Rows = append(r.Rows, row)
		}
	}
	t.MeasuredWh = (milli + 500) / 1000
	t.judge(all, o.MonthWh, classE4, o.Total)
	if len(j.meters) == 0 && t.Wrong != "" {
		t.Wrong = NotOnChain
	}
	if r.Totals = append(r.Totals, t); t.Wrong != "" || t.Differs > 0 {
		r.Differs++
	}
}

// judge compares what was measured with what the chain allows.
func (r *Row) judge(s span, toleranceWh, classE4 int64, total bool) {
	r.SettledWh, r.AtLeastWh, r.AtMostWh = s.even, s.least, s.most
	r.DifferenceWh = r.MeasuredWh - r.SettledWh
	toleranceWh += (max(r.MeasuredWh, r.SettledWh)*classE4 + 9_999) / 10_000
	switch {
	case r.MeasuredWh < s.least-toleranceWh:
		r.Wrong = LessMeasured
	case !total && r.MeasuredWh > s.most+toleranceWh:
		r.Wrong = MoreMeasured
	}
}
