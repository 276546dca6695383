package consensus

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Whoever begins tasks while they are ended and waited for, and as often as it likes: what has
// begun is done when the wait is over, and nothing begins afterwards.
func TestTasksEnd(t *testing.T) {
	for range 200 {
		var work tasks
		var begun, done atomic.Int64
		var others sync.WaitGroup
		started := make(chan struct{})
		for range 4 {
			others.Go(func() {
				<-started
				for range 20 {
					work.run(func() {
						begun.Add(1)
						runtime.Gosched()
						done.Add(1)
					})
				}
			})
		}
		others.Go(func() {
			<-started
			work.end()
			work.wait()
			if b, d := begun.Load(), done.Load(); b != d {
				t.Errorf("%d tasks begun, %d done", b, d)
			}
			n := begun.Load()
			work.run(func() { begun.Add(1) })
			if work.begin() || begun.Load() != n {
				t.Error("a task began behind the end")
			}
		})
		close(started)
		others.Wait()
	}
}
