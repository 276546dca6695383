package wct

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of an Input. They keep every sum below 2^63: a score is at most
// MaxWeight*(1e4 + MaxLinks*1e4), a time at most MaxNodes*(MaxOverheadUs+1).
const (
	MaxInputBytes = 256 << 20         // one case in JSON
	MaxNodes      = 1_000_000         // n
	MaxLinks      = 1_000_000         // l of one node
	MaxWeight     = 1_000_000         // wt, wl
	MaxOverheadUs = 1_000_000_000_000 // one edge, and the threshold: 11.5 days
	MaxIDBytes    = 256               // one id
	MaxMeasured   = 100_000_000       // edges of a sparse list
	FullTrustE4   = 10_000            // trust 1.0
)

// An Input is everything that a tree depends on (section 3.2: N, t, l, W, w_t,
// w_l and the two thresholds).
type Input struct {
	N int // nodes, numbered 0..N-1

	// IDs, if not nil, are the nodes' names, all different. Ties then go to the
	// lower id, and the order of the nodes does not matter. Without IDs, ties
	// go to the lower number.
	IDs []string

	TrustE4 []int64 // trust of each node, 0..10000 in steps of 1e-4
	Links   []int   // children that each node can serve at once, not counting its parent

	// Exactly one of the two is set. OverheadUs[i][j] is the time in
	// microseconds that sending from i to j takes. It need not be symmetric, and
	// its diagonal does not count. SparseOverheadUs lists single edges; an edge
	// not in the list counts as one microsecond over the threshold.
	OverheadUs       [][]int64
	SparseOverheadUs []Overhead

	TrustWeight         int64 // w_t
	LinkWeight          int64 // w_l
	TrustThresholdE4    int64 // a node of at least this trust is trusted
	OverheadThresholdUs int64 // an edge above this is too expensive
}

// An Overhead is the time that sending over one edge takes.
type Overhead struct {
	From, To int
	Us       int64
}

// wireInput is an Input in JSON. Pointers tell a missing field from a zero.
type wireInput struct {
	N      *int      `json:"n"`
	IDs    []string  `json:"ids"`
	Trust  []int64   `json:"t_e4"`
	Links  []int     `json:"l"`
	Dense  [][]int64 `json:"w_us"`
	Sparse [][]int64 `json:"w_sparse_us"`
	WT     *int64    `json:"wt"`
	WL     *int64    `json:"wl"`
	TThre  *int64    `json:"t_thre_e4"`
	WThre  *int64    `json:"w_thre_us"`
	Name   any       `json:"name"`     // a case may carry its name,
	Note   any       `json:"note"`     // a remark
	Answer any       `json:"expected"` // and the known answer
}

// ParseInput reads one JSON object with the fields n, t_e4, l, w_us or
// w_sparse_us (a list of [from, to, microseconds]), wt, wl, t_thre_e4 and
// w_thre_us. All are required. ids is optional; name, note and expected are
// allowed and ignored. Any other field is an error that names the field.
func ParseInput(b []byte) (*Input, error) {
	if len(b) > MaxInputBytes {
		return nil, fmt.Errorf("input of %d bytes, at most %d", len(b), MaxInputBytes)
	}
	var w wireInput
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no input")
		}
		return nil, fmt.Errorf("parse tree input: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse tree input: more after the object")
	}
	for _, f := range []struct {
		name   string
		absent bool
	}{
		{"n", w.N == nil},
		{"t_e4", w.Trust == nil},
		{"l", w.Links == nil},
		{"wt", w.WT == nil},
		{"wl", w.WL == nil},
		{"t_thre_e4", w.TThre == nil},
		{"w_thre_us", w.WThre == nil},
	} {
		if f.absent {
			return nil, fmt.Errorf("missing field %s", f.name)
		}
	}
	in := &Input{
		N: *w.N, IDs: w.IDs, TrustE4: w.Trust, Links: w.Links, OverheadUs: w.Dense,
		TrustWeight: *w.WT, LinkWeight: *w.WL, TrustThresholdE4: *w.TThre, OverheadThresholdUs: *w.WThre,
	}
	if w.Sparse != nil {
		in.SparseOverheadUs = make([]Overhead, len(w.Sparse))
		for k, e := range w.Sparse {
			if len(e) != 3 {
				return nil, fmt.Errorf("w_sparse_us[%d] has %d numbers, want [from, to, microseconds]", k, len(e))
			}
			// Checked before the conversion, so that a 32-bit int cannot wrap a
			// wrong index into a right one.
			if e[0] < 0 || e[0] >= MaxNodes || e[1] < 0 || e[1] >= MaxNodes {
				return nil, fmt.Errorf("w_sparse_us[%d]: no node %d or %d", k, e[0], e[1])
			}
			in.SparseOverheadUs[k] = Overhead{From: int(e[0]), To: int(e[1]), Us: e[2]}
		}
	}
	if err := in.Validate(); err != nil {
		return nil, err
	}
	return in, nil
}

// Validate reports the first thing wrong with the input, naming the field as
// in JSON. A nil error means that Build succeeds.
func (in *Input) Validate() error {
	if in.N < 1 || in.N > MaxNodes {
		return fmt.Errorf("n is %d, want 1 to %d", in.N, MaxNodes)
	}
	if len(in.TrustE4) != in.N {
		return fmt.Errorf("t_e4 has %d values for n = %d", len(in.TrustE4), in.N)
	}
	if len(in.Links) != in.N {
		return fmt.Errorf("l has %d values for n = %d", len(in.Links), in.N)
	}
	if err := in.validateIDs(); err != nil {
		return err
	}
	for i, t := range in.TrustE4 {
		if t < 0 || t > FullTrustE4 {
			return fmt.Errorf("t_e4[%d] is %d, want 0 to %d", i, t, FullTrustE4)
		}
	}
	for i, l := range in.Links {
		if l < 0 || l > MaxLinks {
			return fmt.Errorf("l[%d] is %d, want 0 to %d", i, l, MaxLinks)
		}
	}
	for _, f := range []struct {
		name     string
		val, max int64
	}{
		{"wt", in.TrustWeight, MaxWeight},
		{"wl", in.LinkWeight, MaxWeight},
		{"t_thre_e4", in.TrustThresholdE4, FullTrustE4},
		{"w_thre_us", in.OverheadThresholdUs, MaxOverheadUs},
	} {
		if f.val < 0 || f.val > f.max {
			return fmt.Errorf("%s is %d, want 0 to %d", f.name, f.val, f.max)
		}
	}
	return in.validateOverheads()
}

func (in *Input) validateIDs() error {
	if in.IDs == nil {
		return nil
	}
	if len(in.IDs) != in.N {
		return fmt.Errorf("ids has %d values for n = %d", len(in.IDs), in.N)
	}
	seen := make(map[string]int, in.N)
	for i, id := range in.IDs {
		if id == "" || len(id) > MaxIDBytes {
			return fmt.Errorf("ids[%d] has %d bytes, want 1 to %d", i, len(id), MaxIDBytes)
		}
		if k, there := seen[id]; there {
			return fmt.Errorf("ids[%d] and ids[%d] are both %q", k, i, id)
		}
		seen[id] = i
	}
	return nil
}

func (in *Input) validateOverheads() error {
	switch {
	case in.OverheadUs == nil && in.SparseOverheadUs == nil:
		return errors.New("missing field w_us (or w_sparse_us)")
	case in.OverheadUs != nil && in.SparseOverheadUs != nil:
		return errors.New("both w_us and w_sparse_us are given")
	case in.SparseOverheadUs != nil:
		return in.validateSparse()
	}
	if len(in.OverheadUs) != in.N {
		return fmt.Errorf("w_us has %d rows for n = %d", len(in.OverheadUs), in.N)
	}
	for i, row := range in.OverheadUs {
		if len(row) != in.N {
			return fmt.Errorf("w_us[%d] has %d values for n = %d", i, len(row), in.N)
		}
		for j, w := range row {
			if w < 0 || w > MaxOverheadUs {
				return fmt.Errorf("w_us[%d][%d] is %d, want 0 to %d", i, j, w, int64(MaxOverheadUs))
			}
		}
	}
	return nil
}

func (in *Input) validateSparse() error {
	if len(in.SparseOverheadUs) > MaxMeasured {
		return fmt.Errorf("w_sparse_us has %d edges, at most %d", len(in.SparseOverheadUs), MaxMeasured)
	}
	ends := make([]int32, in.N+1) // by sender, where its receivers end
	for k, e := range in.SparseOverheadUs {
		if e.From < 0 || e.From >= in.N || e.To < 0 || e.To >= in.N {
			return fmt.Errorf("w_sparse_us[%d]: no edge %d to %d with n = %d", k, e.From, e.To, in.N)
		}
		if e.Us < 0 || e.Us > MaxOverheadUs {
			return fmt.Errorf("w_sparse_us[%d] is %d us, want 0 to %d", k, e.Us, int64(MaxOverheadUs))
		}
		ends[e.From+1]++
	}
	for i := range in.N {
		ends[i+1] += ends[i]
	}
	to := make([]int32, len(in.SparseOverheadUs))
	for _, e := range in.SparseOverheadUs {
		to[ends[e.From]] = int32(e.To)
		ends[e.From]++
	}
	for i, begin := 0, int32(0); i < in.N; i++ {
		row := to[begin:ends[i]]
		begin = ends[i]
		slices.Sort(row)
		for k := 1; k < len(row); k++ {
			if row[k] == row[k-1] {
				return fmt.Errorf("w_sparse_us lists edge %d to %d twice", i, row[k])
			}
		}
	}
	return nil
}
