package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Report is what came of a run.
type Report struct {
	Seed   uint64 `json:"seed"`
	DAs    int    `json:"das"`
	Faulty int    `json:"faulty"` // at most at once
	Deeds  []Deed `json:"deeds"`
	// Broken are the promises that were not kept; none in a good run.
	Broken []string `json:"broken"`

	Height  uint64 `json:"height"`
	Sent    int    `json:"sent"`  // records
	Final   int    `json:"final"` // of them, by f + 1 receipts
	Lost    int    `json:"lost"`
	Doubled int    `json:"doubled"`
	// Verified chains were found good by `aggregator chain verify` too, or not.
	Verified int `json:"verified_by_program"`

	Availability  float64 `json:"availability"` // share of seconds in which records became final
	LongestStallS float64 `json:"longest_stall_s"`
	StallEndsS    float64 `json:"longest_stall_ends_s"`
	RecordsPerS   float64 `json:"records_per_s"`
	P50Ms         float64 `json:"p50_ms"`
	P99Ms         float64 `json:"p99_ms"`
	MaxMs         float64 `json:"max_ms"`
	ViewChanges   uint64  `json:"view_changes"` // the most that one saw since its last start
	SettledS      float64 `json:"settled_s"`    // how long all took to agree in the end

	RefusedAtDoor map[string]uint64 `json:"refused_at_door"`
	VandalSent    int               `json:"hostile_device_sent"`
}

// A Deed is one thing that was done to them.
type Deed struct {
	AtS  float64 `json:"at_s"`
	What string  `json:"what"`
}

// mostBroken bounds the lines of a run that went all wrong.
const mostBroken = 50

func (r *Report) breaks(format string, args ...any) {
	if len(r.Broken) < mostBroken {
		r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
	}
}

// JSON is the report for programs.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(b, '\n'), nil
}

// Print is the report for people.
func (r *Report) Print(w io.Writer) {
	kinds := make(map[string]int)
	for _, d := range r.Deeds {
		kind, _, _ := strings.Cut(d.What, " da-")
		kind, _, _ = strings.Cut(kind, ":")
		kinds[strings.TrimSuffix(strings.TrimSuffix(kind, " of"), " for 5 s")]++
	}
	fmt.Fprintf(w, "\nseed %d: %d data aggregators, at most %d faulty at once, %d deeds\n", r.Seed, r.DAs, r.Faulty, len(r.Deeds))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(w, "  %3d x %s\n", kinds[kind], kind)
	}
	fmt.Fprintf(w, "records       %d sent, %d final, %d lost, %d doubled; %.1f a second\n", r.Sent, r.Final, r.Lost, r.Doubled, r.RecordsPerS)
	fmt.Fprintf(w, "time to final p50 %.0f ms, p99 %.0f ms, longest %.0f ms\n", r.P50Ms, r.P99Ms, r.MaxMs)
	fmt.Fprintf(w, "availability  %.1f %% of seconds with final records; longest standstill %.1f s, until %.1f s\n", 100*r.Availability, r.LongestStallS, r.StallEndsS)
	fmt.Fprintf(w, "in the end    height %d, all agree after %.1f s\n", r.Height, r.SettledS)
	if len(r.Broken) == 0 {
		fmt.Fprintf(w, "kept: nothing lost, nothing doubled, one chain, each valid\n")
	}
	for _, b := range r.Broken {
		fmt.Fprintf(w, "BROKEN: %s\n", b)
	}
}
