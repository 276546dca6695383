package consensus

import "sync"

// tasks are the goroutines of an instance. What begins one (the watchdog, a timer, a message)
// does not know when the instance stops, and a sync.WaitGroup may not grow from nothing
// while it is waited for: none begins once they have been ended.
type tasks struct {
	mu    sync.Mutex
	ended bool
	group sync.WaitGroup
}

// begin counts one task more, which done is to be called for; false once they are ended.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.group.Add(1)
	}
	return !t.ended
}

func (t *tasks) done() { t.group.Done() }

// run has a goroutine do what it is given, unless the tasks are ended.
func (t *tasks) run(do func()) {
	if !t.begin() {
		return
	}
	go func() {
		defer t.done()
		do()
	}()
}

// end lets no further task begin.
func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// wait returns when all tasks are done, once they were ended.
func (t *tasks) wait() { t.group.Wait() }
