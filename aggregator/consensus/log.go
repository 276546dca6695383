package consensus

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
)

// logger gives the library's messages to slog. Its warnings tell of things
// that are normal in a fail-over, so they go down one level; debug and info
// are not even formatted (that alone cost three quarters of the throughput).
// Four of them are signs that seize needs.
type logger struct {
	log   *slog.Logger
	fail  func(error)
	seize *seizure
}

func (l *logger) Debugf(format string, _ ...any) {
	switch format {
	case signAbort:
		l.seize.abort()
	case signDeliver:
		l.seize.delivering()
	}
}

func (l *logger) Infof(format string, args ...any) {
	switch format {
	case signDecide:
		if seq, ok := args[0].(uint64); ok {
			l.seize.deciding(seq)
		}
	case signStart:
		l.seize.started()
	}
}

func (l *logger) Warnf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...), "from", "smartbft")
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...), "from", "smartbft")
}

// Panicf is how the library stops when it finds its own state impossible. The
// instance is given up and its goroutine ended, not the process.
func (l *logger) Panicf(format string, args ...any) {
	l.fail(fmt.Errorf("smartbft: "+format, args...))
	runtime.Goexit()
}

// The signs, word for word as SmartBFT v1.0.1 logs them; a test fails when
// another version does not.
const (
	signAbort   = "Aborting current view with number %d"
	signStart   = "Starting view with number %d, sequence %d, and decisions %d"
	signDecide  = "Deciding on seq %d"
	signDeliver = "Delivering to app from Controller decide the last decision proposal"
)

// seizure foresees a deadlock of the library: its controller aborts a view
// whose decision is already queued; then it delivers that decision and waits
// for ever for the aborted view to take note. It happens when a leader is given
// up while blocks flow. Only the end of the instance frees it, and the only one
// who can still bring that about is Deliver.
type seizure struct {
	mu       sync.Mutex
	aborted  bool   // the controller's view, and no new one has begun
	decided  uint64 // newest sequence a view has decided
	doomed   uint64 // sequence whose delivery will not return
	delivers bool   // the controller is about to call Deliver
}

func (s *seizure) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted, s.doomed = true, s.decided
}

func (s *seizure) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = false
}

func (s *seizure) deciding(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decided = max(s.decided, seq)
	if s.aborted {
		s.doomed = s.decided
	}
}

func (s *seizure) delivering() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivers = true
}

// delivered is asked by Deliver whether it is the call that will not return.
func (s *seizure) delivered(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.delivers
	s.delivers = false
	return by && s.doomed == seq
}
