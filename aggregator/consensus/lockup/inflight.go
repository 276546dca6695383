package lockup

import "sync"

// The signs, word for word as SmartBFT v1.0.1 logs them; a test fails when
// another version does not.
const (
	signInFlight = "Waiting two ticks before starting in-flight view"
	signGivesUp  = "Timeout expired waiting on In-flight %d with latest sequence view to commit %d"
	signTells    = "Delivering to app from Decide the last decision proposal"
	signAsksSync = "Node %d is calling sync because the in flight proposal view has asked to sync"
	signHeard    = "In-flight view %d with latest sequence %d has committed a decision"
	signHeardToo = "In-flight view %d with latest sequence %d has asked to sync"
)

// InFlight sees another deadlock of the library. In a view change it finishes a block
// that was under way, in a view for that block alone. The view changer waits until that
// view tells it of the decision, and gives up after a time; then it waits for the view
// to end. A view that was just delivering its decision, which takes long on a slow disk,
// waits to be heard, and both wait for good. Only the end of the instance frees them.
//
// It also tells which block the view changer waits for. Where its timer has run out before it began,
// and the complaint of that is not looked at yet, it has none: it waits until votes come that
// no one gives any more.
type InFlight struct {
	mu             sync.Mutex
	gaveUp, speaks bool
	begun          uint64
	waits          bool
}

// Note reads a debug or info message of the library. It says yes once both wait for
// each other: the instance must be ended, from outside.
func (f *InFlight) Note(format string) (seized bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch format {
	case signInFlight:
		f.begun++
		f.gaveUp, f.speaks, f.waits = false, false, true
		return false
	case signHeard, signHeardToo:
		f.gaveUp, f.speaks, f.waits = false, false, false
		return false
	case signGivesUp:
		f.gaveUp, f.waits = true, false
	case signTells, signAsksSync:
		f.speaks = true
	default:
		return false
	}
	return f.gaveUp && f.speaks
}

// Waits is the number of the view for a block under way that is waited for, from 1; 0 while
// none is.
func (f *InFlight) Waits() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.waits {
		return 0
	}
	return f.begun
}
