package lockup

import "sync"

// The signs, word for word as SmartBFT v1.0.1 logs them; a test fails when
// another version does not.
const (
	signAbort   = "Aborting current view with number %d"
	signStart   = "Starting view with number %d, sequence %d, and decisions %d"
	signDecide  = "Deciding on seq %d"
	signDeliver = "Delivering to app from Controller decide the last decision proposal"
)

// A Predictor foresees a deadlock of the library. Its controller aborts a view
// whose decision is already queued; then it delivers that decision and waits
// forever for the aborted view to take note. It happens when a leader is given up
// while blocks flow. Only the end of the instance frees it, and only Deliver can
// still end it.
type Predictor struct {
	mu       sync.Mutex
	aborted  bool   // the controller's view, and no new one has begun
	decided  uint64 // newest sequence a view has decided
	doomed   uint64 // sequence whose delivery will not return
	delivers bool   // the controller is about to call Deliver
}

func (p *Predictor) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborted, p.doomed = true, p.decided
}

func (p *Predictor) started() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborted = false
}

func (p *Predictor) deciding(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decided = max(p.decided, seq)
	if p.aborted {
		p.doomed = p.decided
	}
}

func (p *Predictor) delivering() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivers = true
}

// Delivered is asked by Deliver whether it is the call that will not return.
func (p *Predictor) Delivered(seq uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := p.delivers
	p.delivers = false
	return by && p.doomed == seq
}

// Debugf reads a debug message of the library.
func (p *Predictor) Debugf(format string) {
	switch format {
	case signAbort:
		p.abort()
	case signDeliver:
		p.delivering()
	}
}

// Infof reads an info message of the library.
func (p *Predictor) Infof(format string, args ...any) {
	switch format {
	case signDecide:
		if seq, ok := args[0].(uint64); ok {
			p.deciding(seq)
		}
	case signStart:
		p.started()
	}
}

// A State is what the signs have told so far.
type State struct {
	Aborted    bool   // the running view was aborted and no new one has begun
	Decided    uint64 // newest sequence decided
	Doomed     uint64 // sequence whose delivery will not return, 0 for none
	Delivering bool   // a delivery is about to begin
}

// State is for the test that the library still gives the signs.
func (p *Predictor) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Aborted: p.aborted, Decided: p.decided, Doomed: p.doomed, Delivering: p.delivers}
}
