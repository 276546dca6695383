package agent

import (
	"log/slog"
	"sync"
	"time"
)

// A Stage is one part of the agent's round that a watchdog depends on.
type Stage uint8

// The stages of a round, in order. A beat means that the stage is done.
const (
	StageSense   Stage = iota // all sensors were read
	StageJudge                // the sample was judged
	StageGate                 // contactor, traders and outbox have acted on it
	StagePublish              // every loop to a broker has gone round since
	numStages
)

// String names the stage.
func (s Stage) String() string {
	if s < numStages {
		return [...]string{"sense", "judge", "gate", "publish"}[s]
	}
	return "unknown"
}

// A Supervisor kicks a watchdog for each round whose stages were all done, in
// their order, within its slot. It has no timer: when a stage hangs, nothing
// comes round and nothing is kicked. All methods are safe for concurrent use.
type Supervisor struct {
	slot time.Duration
	now  func() time.Time // monotonic
	kick func() error
	log  *slog.Logger

	mu     sync.Mutex
	next   Stage     // what the round waits for; numStages: for a new round
	began  time.Time // of the round's first stage
	ready  time.Time // began of the newest round that only waits to be published; zero: none
	kicked time.Time
	failed bool // the last kick
	kicks  uint64
	missed uint64
}

// NewSupervisor returns a supervisor of rounds of at most slot. kick is called
// from the loop that ends a round; it is told once that it failed, and called
// again in the next round.
func NewSupervisor(slot time.Duration, now func() time.Time, kick func() error, log *slog.Logger) *Supervisor {
	return &Supervisor{slot: slot, now: now, kick: kick, log: log, next: numStages}
}

// kicksPerSlot is how often a watchdog is kicked within its slot at most.
const kicksPerSlot = 8

// Beat tells that a stage is done.
func (s *Supervisor) Beat(stage Stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case stage == StageSense:
		s.next, s.began = StageJudge, now
	case stage == StagePublish:
		s.publish(now)
	case stage != s.next:
		s.miss("out of order", stage)
		s.next = numStages
	case now.Sub(s.began) > s.slot:
		s.miss("too late", stage)
		s.next = numStages
	default:
		s.next++
		if stage == StageGate {
			s.ready = s.began
		}
	}
}

// publish ends the newest round that got as far. Rounds may overtake a slow
// broker; then the sign of life stands for the newest one.
func (s *Supervisor) publish(now time.Time) {
	if s.ready.IsZero() {
		return
	}
	began := s.ready
	s.ready = time.Time{}
	if now.Sub(began) > s.slot {
		s.miss("too late", StagePublish)
		return
	}
	if !s.kicked.IsZero() && !s.failed && now.Sub(s.kicked) < s.slot/kicksPerSlot {
		return
	}
	err := s.kick()
	if err != nil && !s.failed {
		s.log.Error("kick watchdog", "err", err)
	}
	s.failed = err != nil
	if err == nil {
		s.kicked = now
		s.kicks++
	}
}

func (s *Supervisor) miss(why string, stage Stage) {
	s.missed++
	s.log.Warn("watchdog not kicked for a round", "why", why, "stage", stage.String())
}

// Counts returns how often the watchdog was kicked, and how many rounds did not
// deserve it.
func (s *Supervisor) Counts() (kicks, missed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kicks, s.missed
}
