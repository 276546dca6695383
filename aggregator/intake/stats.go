package intake

import (
	"maps"
	"slices"
	"time"
)

const (
	tookSamples = 8192 // times to final that are kept
	maxCodes    = 64
)

// Stats count what came in since the start.
type Stats struct {
	Received   uint64
	Accepted   uint64            // handed to agreement
	Duplicates uint64            // waiting or final already
	Refused    map[string]uint64 // by code, here and in blocks
	Dropped    uint64            // not taken; their senders send again
	PutOff     uint64            // answers that asked a sender to send again later
	Pending    int               // accepted, not yet in a block
	// FinalMs are the sorted times from a record's arrival until its block was
	// synced here, in ms, of the newest records.
	FinalMs []float64
}

// Quantile is the nearest-rank quantile of the times to final; 0 of none.
func (s *Stats) Quantile(q float64) float64 {
	if len(s.FinalMs) == 0 {
		return 0
	}
	return s.FinalMs[min(len(s.FinalMs)-1, int(q*float64(len(s.FinalMs))))]
}

// Stats returns a copy of the counters.
func (in *Intake) Stats() Stats {
	in.mu.Lock()
	s := in.stats
	s.Refused = maps.Clone(in.stats.Refused)
	s.Pending = len(in.waiting)
	s.FinalMs = slices.Clone(in.took)
	in.mu.Unlock()
	slices.Sort(s.FinalMs)
	return s
}

// noteFinal keeps how long a record took; the caller holds mu.
func (in *Intake) noteFinal(took time.Duration) {
	ms := float64(took.Microseconds()) / 1000
	if len(in.took) < tookSamples {
		in.took = append(in.took, ms)
		return
	}
	in.took[in.tookAt] = ms
	in.tookAt = (in.tookAt + 1) % tookSamples
}

func (in *Intake) count(f func(*Stats)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f(&in.stats)
}

func (in *Intake) refused(code string) { in.count(func(s *Stats) { s.refuse(code) }) }

func (s *Stats) refuse(code string) {
	if _, ok := s.Refused[code]; !ok && len(s.Refused) >= maxCodes {
		code = "other"
	}
	s.Refused[code]++
}
