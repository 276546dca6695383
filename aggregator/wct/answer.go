package wct

import "encoding/json"

// An Answer is a tree with its metrics, as `aggregator wct build` prints it.
type Answer struct {
	Tree    *Tree
	Metrics Metrics
}

// wireAnswer is an Answer in JSON.
type wireAnswer struct {
	Algorithm        Algorithm `json:"algorithm"`
	Sequence         []int     `json:"sequence"`
	Root             int       `json:"root"`
	Edges            [][2]int  `json:"edges"`
	Unattached       []int     `json:"unattached"`
	TrustSumE4       int64     `json:"trust_sum_e4"`
	Trust            *float64  `json:"trust"`
	TimeLevelUs      int64     `json:"time_level_us"`
	TimeExactUs      int64     `json:"time_exact_us"`
	TimeBusyUs       *int64    `json:"time_busy_us"`
	ConcurrencyLevel int       `json:"concurrency_level"`
	ConcurrencyExact int       `json:"concurrency_exact"`
	Depth            int       `json:"depth"`
	EdgesOverWThre   int       `json:"edges_over_w_thre"`
	Coverage         *float64  `json:"coverage"`
	J                *int      `json:"j,omitempty"`
	ExpensiveDemoted *int      `json:"expensive_demoted,omitempty"`
}

// MarshalJSON writes the tree and its metrics as one flat object. Only a WCT has
// j and expensive_demoted.
func (a Answer) MarshalJSON() ([]byte, error) {
	t, m := a.Tree, a.Metrics
	w := wireAnswer{
		Algorithm: t.Algorithm, Sequence: t.Sequence, Root: t.Root, Edges: t.Edges, Unattached: t.Unattached,
		TrustSumE4: m.TrustSumE4, Trust: m.Trust,
		TimeLevelUs: m.TimeLevelUs, TimeExactUs: m.TimeExactUs, TimeBusyUs: m.TimeBusyUs,
		ConcurrencyLevel: m.ConcurrencyLevel, ConcurrencyExact: m.ConcurrencyExact, Depth: m.Depth,
		EdgesOverWThre: m.EdgesOverThreshold, Coverage: m.Coverage,
	}
	if t.Algorithm == WCT {
		w.J, w.ExpensiveDemoted = &t.J, &t.ExpensiveDemoted
	}
	return json.Marshal(w)
}
