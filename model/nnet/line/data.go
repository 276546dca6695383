package line

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits on what Read takes.
const (
	maxRows = 2_000_000
	maxAbs  = 1e9 // of a current or voltage
)

// A Row is one sample: three phase currents and voltages in the recording's
// own units, and whether there is a fault.
type Row struct {
	I, V  [3]float64
	Fault bool
}

// A Simulation is rows in order with one fault type, or none ("").
type Simulation struct {
	Type string
	Rows []Row
}

// A Set is one file.
type Set struct {
	Name        string
	Simulations []Simulation
}

// Read reads rows with the columns Ia, Ib, Ic, Va, Vb, Vc and either G, A, B,
// C (1 where the ground or phase is in the fault) or one column that begins
// with "Output" (1 for a fault). The rows have no time: they are taken as
// consecutive, and a simulation ends with its fault. If the columns do not name
// the fault's type, the currents above twice the largest normal one do; that name
// only keys the hold-out.
func Read(r io.Reader, name string) (*Set, error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	c, err := findColumns(head)
	if err != nil {
		return nil, err
	}
	set := &Set{Name: name}
	var cur Simulation
	last := ""
	for n := 2; ; n++ {
		rec, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if n > maxRows {
			return nil, fmt.Errorf("more than %d rows", maxRows)
		}
		row, kind, err := c.parse(rec)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		// A fault that ends or turns into another one ends the simulation.
		if last != "" && kind != last {
			set.Simulations = append(set.Simulations, cur)
			cur = Simulation{}
		}
		cur.Rows = append(cur.Rows, row)
		if kind != "" {
			cur.Type = kind
		}
		last = kind
	}
	if len(cur.Rows) > 0 {
		set.Simulations = append(set.Simulations, cur)
	}
	set.nameTypes()
	return set, nil
}

type columns struct {
	i, v   [3]int
	phases [4]int // G, A, B, C
	output int
}

func findColumns(head []string) (columns, error) {
	at := func(name string) int {
		return slices.IndexFunc(head, func(h string) bool { return strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")) == name })
	}
	var c columns
	for k, p := range []string{"a", "b", "c"} {
		if c.i[k], c.v[k] = at("I"+p), at("V"+p); c.i[k] < 0 || c.v[k] < 0 {
			return c, fmt.Errorf("columns I%s and V%s are needed, the header is %q", p, p, head)
		}
	}
	for k, p := range []string{"G", "A", "B", "C"} {
		c.phases[k] = at(p)
	}
	c.output = slices.IndexFunc(head, func(h string) bool { return strings.HasPrefix(strings.TrimPrefix(h, "\ufeff"), "Output") })
	if c.output < 0 && slices.Contains(c.phases[:], -1) {
		return c, fmt.Errorf("the fault is in columns G, A, B and C or in one that begins with Output, the header is %q", head)
	}
	return c, nil
}

// anyFault is the type of a fault without a column for its phases.
const anyFault = "fault"

func (c *columns) parse(rec []string) (row Row, kind string, err error) {
	for k := range 3 {
		if row.I[k], err = number(rec[c.i[k]]); err != nil {
			return row, "", err
		}
		if row.V[k], err = number(rec[c.v[k]]); err != nil {
			return row, "", err
		}
	}
	flag := func(i int) (bool, error) {
		switch s := strings.TrimSpace(rec[i]); s {
		case "0":
			return false, nil
		case "1":
			return true, nil
		default:
			return false, fmt.Errorf("label %q is not 0 or 1", s)
		}
	}
	if c.output >= 0 {
		on, err := flag(c.output)
		if on {
			kind = anyFault
		}
		row.Fault = on
		return row, kind, err
	}
	for k, p := range []string{"G", "A", "B", "C"} {
		on, err := flag(c.phases[k])
		if err != nil {
			return row, "", err
		}
		if on {
			kind += p
		}
	}
	row.Fault = kind != ""
	return row, kind, nil
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(math.Abs(v) <= maxAbs) {
		return 0, fmt.Errorf("%.30q is not a number up to %g", s, maxAbs)
	}
	return v, nil
}

// nameTypes names faults of unknown type by the phases that carry them and
// whether the currents do not add up to zero (ground).
func (s *Set) nameTypes() {
	normal := largestNormal(s.Simulations)
	for i := range s.Simulations {
		sim := &s.Simulations[i]
		if sim.Type != anyFault {
			continue
		}
		var peak [4]float64
		for _, r := range sim.Rows {
			if !r.Fault {
				continue
			}
			for k := range 3 {
				peak[k+1] = max(peak[k+1], math.Abs(r.I[k]))
			}
			peak[0] = max(peak[0], math.Abs(r.I[0]+r.I[1]+r.I[2]))
		}
		sim.Type = ""
		for k, p := range []string{"G", "A", "B", "C"} {
			if peak[k] > 2*normal {
				sim.Type += p
			}
		}
		if sim.Type == "" {
			sim.Type = anyFault
		}
	}
}

// largestNormal is the largest phase current in any row without a fault.
func largestNormal(sims []Simulation) float64 {
	most := 0.0
	for _, s := range sims {
		for _, r := range s.Rows {
			if !r.Fault {
				most = max(most, largest(r))
			}
		}
	}
	return most
}

func largest(r Row) float64 {
	return max(math.Abs(r.I[0]), math.Abs(r.I[1]), math.Abs(r.I[2]))
}
