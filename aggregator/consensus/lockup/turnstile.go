package lockup

import "sync/atomic"

// A Turnstile keeps the library's view changer from a send that nobody will take.
//
// The view changer tells the controller to abort a view, or to begin one, through
// channels of one place each, and waits without looking whether the controller still
// runs. The controller's goroutine can be gone: a log that cannot be written ends it,
// and so does a delivery that would not return. The view changer would then wait for
// good, and so would the library's Stop. A place is asked for here before the library
// sends, and given back when the controller has taken what was sent.
type Turnstile struct {
	abort, begin chan struct{}
	changes      bool // the controller's next "view for abort" is of a change of its own
	asked, taken [2]atomic.Uint64
}

// The signs, word for word as SmartBFT v1.0.1 logs them; a test fails when
// another version does not.
const (
	signAskAbort = "AbortView, the current view num is %d"             // by the view changer, before it sends
	signAskBegin = "ViewChanged, the new view is %d"                   // by the view changer, before it sends
	signTookAsk  = "get newView from viewChange"                       // by the controller, as the rest
	signRotates  = "Restarting view to rotate the leader"              // a change follows
	signSyncs    = "get msg from syncChan"                             // a change follows
	signOld      = "Got view change to %d but already at %d"           // no abort in it
	signRuns     = "Got view change to %d but view is already running" // no abort in it
	signToAbort  = "view for abort %d, current view %d"
)

// NewTurnstile is one for a new instance of the library.
func NewTurnstile() *Turnstile {
	return &Turnstile{abort: make(chan struct{}, 1), begin: make(chan struct{}, 1)}
}

// Pass reads a debug message of the library, on the goroutine that logs it. It says
// no, at once or after it waited, if the instance has ended and the caller must end
// its goroutine: what it is about to send would never be taken.
func (t *Turnstile) Pass(format string, ended <-chan struct{}) bool {
	switch format {
	case signAskAbort:
		t.asked[0].Add(1)
		return enter(t.abort, ended)
	case signAskBegin:
		t.asked[1].Add(1)
		return enter(t.begin, ended)
	case signTookAsk:
		t.taken[1].Add(leave(t.begin))
		t.changes = true
	case signRotates, signSyncs:
		t.changes = true
	case signOld, signRuns:
		t.changes = false
	case signToAbort:
		if !t.changes {
			t.taken[0].Add(leave(t.abort))
		}
		t.changes = false
	}
	return true
}

func enter(place chan<- struct{}, ended <-chan struct{}) bool {
	select {
	case <-ended:
		return false
	default:
	}
	select {
	case place <- struct{}{}:
		return true
	case <-ended:
		return false
	}
}

func leave(place <-chan struct{}) (taken uint64) {
	select {
	case <-place:
		return 1
	default: // asked for by nobody
		return 0
	}
}

// Passed is how often the view changer asked for an abort and for a new view, and
// how often the controller took what came: for the test that the library still
// gives the signs.
func (t *Turnstile) Passed() (asked, taken [2]uint64) {
	for k := range asked {
		asked[k], taken[k] = t.asked[k].Load(), t.taken[k].Load()
	}
	return asked, taken
}
