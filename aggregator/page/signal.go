package page

import (
	"context"
	"sync"
)

// A signal is a number that rises, and those who wait for it to rise.
type signal struct {
	mu sync.Mutex
	n  uint64
	ch chan struct{} // closed at the next rise
}

func newSignal() *signal { return &signal{n: 1, ch: make(chan struct{})} }

func (s *signal) rise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	close(s.ch)
	s.ch = make(chan struct{})
}

func (s *signal) value() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *signal) wait(ctx context.Context, seen uint64) error {
	s.mu.Lock()
	n, ch := s.n, s.ch
	s.mu.Unlock()
	if n != seen {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
