package consensus

import "time"

// A machine that is too busy, or was stopped for a while, gives a node few turns. Time
// that passes without a turn says nothing of the others: what they sent waits here to
// be looked at. So silence is measured by turns. Each counts for the time since the one
// before, and for no more than mostTurn.

// Where one view after the other ends without a block the turns are too short as well:
// each of them does less than on a machine with time. Then fair time runs slower, until
// a block comes.

// mostTurn is what one turn counts for at most: a tick that is half a tick late.
const mostTurn = tick + tick/2

// Fair time runs at half its pace for each failedPart views in a row without a block.
// Liars that lead one after the other can use that: f of them together get a node to
// wait for the pace of f/failedPart halvings, and for no more than mostSlower.
const (
	failedPart = 2
	mostSlower = 4
)

// fairTime is a clock that runs by turns.
type fairTime struct{ seen, now time.Time }

// turn notes a turn and returns the fair time: a part of what has passed, by how many
// views have failed, or the whole of it.
func (f *fairTime) turn(now time.Time, whole bool, failed uint64) time.Time {
	gone := now.Sub(f.seen)
	switch {
	case f.now.IsZero():
		f.now = now
	case whole:
		f.now = f.now.Add(gone)
	default:
		f.now = f.now.Add(min(gone, mostTurn) >> min(failed/failedPart, mostSlower))
	}
	f.seen = now
	return f.now
}

// seen is when something that is marked with the time was first seen, in fair time.
type seen struct {
	mark int64
	at   time.Time
}

// past is how long ago, in fair time, the newest mark was first seen.
func (s *seen) past(mark int64, fair time.Time) time.Duration {
	if s.mark != mark {
		s.mark, s.at = mark, fair
	}
	return fair.Sub(s.at)
}

// progressed notes that a block has come, or that an instance has begun.
func (n *Node) progressed(now time.Time) {
	n.progress.Store(now.UnixNano())
	n.quiet.Store(0)
}

// pulse hands the library its time, the next tick when it has taken the one before. So
// it counts turns of the goroutine that takes them: one that gets none does not take
// the others for silent.
type pulse struct {
	c          chan time.Time
	stop, done chan struct{}
}

// newPulse starts a pulse. While whole says so all time counts: who leads owes the
// others its heartbeats by their clocks.
func (n *Node) newPulse(whole func() bool) *pulse {
	p := &pulse{c: make(chan time.Time), stop: make(chan struct{}), done: make(chan struct{})}
	ticks, end := n.ticks()
	go func() {
		defer close(p.done)
		defer end()
		f := fairTime{}
		for {
			select {
			case <-p.stop:
				return
			case <-ticks:
			}
			select {
			case <-p.stop:
				return
			case p.c <- f.turn(time.Now(), whole(), n.failed.Load()):
			}
		}
	}()
	return p
}

// end stops the pulse and waits until it has stopped.
func (p *pulse) end() {
	close(p.stop)
	<-p.done
}

// newTicks are the ticks of the system's clock.
func newTicks() (ticks <-chan time.Time, end func()) {
	t := time.NewTicker(tick)
	return t.C, t.Stop
}
