package drive

import (
	"errors"
	"fmt"
	"sync"

	"fairwatt/agent/trade"
)

// A wire is what leads to the contactor: pins, or a relay module.
type wire interface {
	// set drives the coil.
	set(level bool) error
	// keep is called in every round while the contactor is told closed.
	keep() error
	// feel reads the auxiliary contact; watched is false without one.
	feel() (level, watched bool, err error)
	// name is where the coil is.
	name() string
}

// A Line drives a contactor. It implements trade.Contactor.
type Line struct {
	mu                     sync.Mutex
	to                     wire
	active, feedbackActive bool // the levels that mean closed
	closed                 bool // told closed
}

func levelOf(name string) bool { return name != Low }

// New opens the contactor and then sets up its feedback. For pins, buses has to
// be Outputs, and Inputs if there is feedback; for a module on a serial line, it
// has to be Serials.
func New(cfg Config, buses any) (*Line, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	if cfg.None {
		return nil, errors.New("contactor: none is configured")
	}
	l := &Line{active: levelOf(cfg.Active), feedbackActive: levelOf(cfg.FeedbackActive)}
	if cfg.OnModule() {
		m, err := newModule(cfg, buses)
		if err != nil {
			return nil, fmt.Errorf("contactor: %w", err)
		}
		l.to = m
		return l, l.Open("")
	}
	p, err := newPins(cfg, buses)
	if err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	l.to = p
	if err := l.Open(""); err != nil {
		return nil, err
	}
	if err := p.watch(cfg, buses); err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	return l, nil
}

func (l *Line) tell(verb string, closed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = false // a closing that failed is kept up by no one
	if err := l.to.set(closed == l.active); err != nil {
		return fmt.Errorf("%s contactor on %s: %w", verb, l.to.name(), err)
	}
	l.closed = closed
	return nil
}

// Close implements trade.Contactor.
func (l *Line) Close(trade.Delivery) error { return l.tell("close", true) }

// Open implements trade.Contactor.
func (l *Line) Open(string) error { return l.tell("open", false) }

// Halt opens the contactor for good.
func (l *Line) Halt() error { return l.Open("") }

// Feedback says whether the contactor is closed, by its feedback; watched is
// false without one. It also keeps a closed contactor up; where that fails, no
// one knows where the contactor is, and that is an error of the feedback.
func (l *Line) Feedback() (closed, watched bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		if err := l.to.keep(); err != nil {
			return false, true, fmt.Errorf("hold contactor on %s: %w", l.to.name(), err)
		}
	}
	level, watched, err := l.to.feel()
	if err != nil {
		return false, true, fmt.Errorf("read feedback of %s: %w", l.to.name(), err)
	}
	return watched && level == l.feedbackActive, watched, nil
}
