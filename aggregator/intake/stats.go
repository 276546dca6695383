package intake

import (
	"maps"
	"slices"
	"time"

	"fairwatt/proto/brief"
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
	if in.cfg.Took != nil {
		in.cfg.Took(took)
	}
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

func (in *Intake) refused(code string) (n uint64) {
	in.count(func(s *Stats) { n = s.refuse(code) })
	return n
}

// refuse counts a refusal and returns how many there are of its code.
func (s *Stats) refuse(code string) uint64 {
	if _, ok := s.Refused[code]; !ok && len(s.Refused) >= maxCodes {
		code = "other"
	}
	s.Refused[code]++
	return s.Refused[code]
}

// warn logs a refusal: of each code the first, the second, the fourth and so on, so
// that no sender fills the log. n is how many there are.
func (in *Intake) warn(n uint64, sender, code, reason string) {
	if n&(n-1) == 0 {
		in.cfg.Log.Warn("record refused", "from", brief.Text(sender), "code", code, "reason", brief.Text(reason), "refused", n)
	}
}

// unanswered counts records that found no block in time. It says when they are to be
// logged: at most once in unansweredEvery. The caller holds mu.
func (in *Intake) unanswered(now time.Time, count int, oldest time.Duration) (say forgotten, told bool) {
	in.forgot.count += count
	in.forgot.oldest = max(in.forgot.oldest, oldest)
	if in.forgot.count == 0 || now.Sub(in.forgot.at) < unansweredEvery {
		return forgotten{}, false
	}
	say, in.forgot = in.forgot, forgotten{at: now}
	return say, true
}

// unansweredEvery bounds how often that is logged.
const unansweredEvery = time.Minute

// forgotten are the records that found no block since that was logged last.
type forgotten struct {
	at     time.Time
	count  int
	oldest time.Duration
}
