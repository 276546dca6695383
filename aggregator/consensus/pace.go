package consensus

import (
	"sync"
	"time"
)

// pace measures how long this node's own writes take. Patience with a leader follows
// from it: on slow disks an honest leader needs longer, and members that give up one
// after the other decide nothing. Nothing that another member does is measured, so a
// leader cannot earn patience by being slow.
type pace struct {
	mu      sync.Mutex
	entries average // of the log of agreement
	commits average // of decided blocks
}

// average is a moving average of writes of one kind.
type average struct {
	mean  time.Duration
	began time.Time // the oldest write under way, zero if there is none
}

// begin notes that a write begins; the caller calls done when it has ended.
func (p *pace) begin(a *average) (done func()) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.began.IsZero() {
		a.began = now
	}
	return func() {
		took := time.Since(now)
		p.mu.Lock()
		defer p.mu.Unlock()
		a.add(took)
		if a.began.Equal(now) {
			a.began = time.Time{}
		}
	}
}

// paceShare is the part of a new measurement in the average, one in so many.
const paceShare = 4

func (a *average) add(took time.Duration) {
	if a.mean == 0 {
		a.mean = took
		return
	}
	a.mean += (took - a.mean) / paceShare
}

// at is the average, or how long a write under way has lasted if that is more.
func (a *average) at(now time.Time) time.Duration {
	if a.began.IsZero() {
		return a.mean
	}
	return max(a.mean, now.Sub(a.began))
}

// block is how long the writes for one block take that have to follow each other:
// the leader's entry for its block, the entry of who takes it, the entry before the
// vote, and the block.
func (p *pace) block(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 3*p.entries.at(now) + p.commits.at(now)
}

// paceSlack times the own writes for a block is what another member may take for one:
// its disk may be slower, and the block before it is counted in.
const paceSlack = 2

// mostStretch bounds how many times a timeout grows, for slow writes and for
// complaints together.
const mostStretch = 8

// stretch is a timeout as it is on this machine: longer in proportion where its own
// writes take longer than the timeout of complaints allows for.
func (n *Node) stretch(timeout time.Duration, now time.Time) time.Duration {
	base := n.cfg.ComplainTimeout
	slow := min(paceSlack*n.pace.block(now), mostStretch*base)
	if slow <= base {
		return timeout
	}
	return time.Duration(float64(timeout) * (float64(slow) / float64(base)))
}
