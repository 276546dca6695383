package model

import (
	"errors"
	"math"
	"math/bits"
)

// A RuleSet is a set of rules by their index in the rule table.
type RuleSet uint64

// Has reports whether rule r is in the set.
func (s RuleSet) Has(r int) bool { return s&(1<<r) != 0 }

// Rules yields the rules of the set in their order.
func (s RuleSet) Rules(yield func(int) bool) {
	for ; s != 0; s &= s - 1 {
		if !yield(bits.TrailingZeros64(uint64(s))) {
			return
		}
	}
}

// With returns the set with rule r added.
func (s RuleSet) With(r int) RuleSet { return s | 1<<r }

// maxReopens bounds GateTimes.MaxReopens, so that the gate's memory is fixed.
const maxReopens = 16

// never is a time that does not come.
const never = math.MaxInt64

// GateTimes are the gate's own timers.
type GateTimes struct {
	MinBlockS    float64 `yaml:"min_block_s"`    // shortest block
	ValidS       float64 `yaml:"valid_s"`        // required inputs valid, at start and after E16
	MaxReopens   int     `yaml:"max_reopens"`    // openings an hour before...
	ReopenClearS float64 `yaml:"reopen_clear_s"` // ...this much clear time is asked for
}

// GateInput is what the gate is told at one moment.
type GateInput struct {
	Active      RuleSet // blocking causes whose condition stands
	Latching    RuleSet // those of them that stay until Ack
	HoldUntilMs int64   // when the last clear time of a cause that is over ends
}

// A Gate is the state machine alone: INIT, BLOCKED, CLEARING, OPEN. Causes are
// only names to it; what makes one and how long it must be clear is the rules'
// business. Its own are the latches, the shortest block and the limit on
// reopenings. It knows no wall clock and allocates nothing.
//
// The six invariants (no cause opens in the end; a cause never leaves it open;
// taking a sensor away never opens; a score never opens; wall-clock jumps do
// nothing; a restart never shortens a hold) are property tests.
type Gate struct {
	times    GateTimes
	state    State
	sinceMs  int64
	blockMs  int64 // when the present block began
	clearMs  int64 // when CLEARING began
	strict   bool  // this CLEARING must last ReopenClearS
	active   RuleSet
	latched  RuleSet
	openings [maxReopens]int64 // times of the last openings, a ring
	nOpen    int               // how many there have been
	holdMs   int64             // last GateInput.HoldUntilMs
	floorMs  int64             // what a restart has still to wait for
	hasFloor bool
}

// NewGate returns a gate in INIT. The first Step takes it to BLOCKED.
func NewGate(times GateTimes) *Gate {
	times.MaxReopens = min(max(times.MaxReopens, 1), maxReopens)
	return &Gate{times: times}
}

// State returns the state and since when it lasts.
func (g *Gate) State() (State, int64) { return g.state, g.sinceMs }

// Latched returns the rules that wait for Ack.
func (g *Gate) Latched() RuleSet { return g.latched }

// Step tells the gate what stands at tMs and returns whether its state
// changed. One call makes at most one change: BLOCKED never becomes OPEN at
// once, but a second call at the same tMs may open it when nothing remains to
// be waited for. tMs must not go back.
func (g *Gate) Step(tMs int64, in GateInput) bool {
	g.active = in.Active
	g.latched |= in.Active & in.Latching
	g.holdMs = in.HoldUntilMs
	blocked := g.active|g.latched != 0
	switch {
	case g.state == StateInit:
		g.blockMs = tMs
		g.enter(StateBlocked, tMs)
	case blocked && g.state == StateBlocked:
		return false
	case blocked:
		// A cause during CLEARING continues the block it interrupts.
		if g.state == StateOpen {
			g.blockMs = tMs
		}
		g.enter(StateBlocked, tMs)
	case g.state == StateBlocked:
		g.clearMs, g.strict = tMs, g.openedWithin(tMs, hourMs) >= g.times.MaxReopens
		g.enter(StateClearing, tMs)
	case g.state == StateClearing && tMs >= g.OpensAtMs():
		g.openings[g.nOpen%maxReopens] = tMs
		g.nOpen++
		g.hasFloor = false
		g.enter(StateOpen, tMs)
	default:
		return false
	}
	return true
}

func (g *Gate) enter(s State, tMs int64) { g.state, g.sinceMs = s, tMs }

// OpensAtMs returns the moment at which the gate opens if nothing new happens,
// which is past when it is open and never comes while a cause stands.
func (g *Gate) OpensAtMs() int64 {
	switch g.state {
	case StateOpen:
		return g.sinceMs
	case StateClearing:
		at := max(g.clearMs, g.holdMs, g.blockMs+seconds(g.times.MinBlockS))
		if g.strict {
			at = max(at, g.clearMs+seconds(g.times.ReopenClearS))
		}
		if g.hasFloor {
			at = max(at, g.floorMs)
		}
		return at
	}
	return never
}

// openedWithin counts the openings in the last ms before tMs.
func (g *Gate) openedWithin(tMs, ms int64) int {
	n := 0
	for i := range min(g.nOpen, maxReopens) {
		if tMs-g.openings[i] < ms {
			n++
		}
	}
	return n
}

// errors of Ack.
var (
	errStillActive = errors.New("its condition still stands")
	errNotLatched  = errors.New("it is not latched")
)

// Ack removes a latch. It fails while the rule's condition stands: an
// acknowledgement never clears an active cause.
func (g *Gate) Ack(rule int) error {
	if !g.latched.Has(rule) {
		return errNotLatched
	}
	if g.active.Has(rule) {
		return errStillActive
	}
	g.latched &^= 1 << rule
	return nil
}

// seconds converts a configured time to milliseconds, rounding to the nearest:
// the conversion rounds the product, so that no target fuses it.
func seconds(s float64) int64 { return int64(math.Round(float64(s * 1000))) }
