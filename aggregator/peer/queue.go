package peer

import "sync"

// queue holds the frames for one peer, bounded: the oldest make room for the
// newest, since agreement can do without an old message and not without all
// new ones. What is dropped is counted by whether the peer was connected.
type queue struct {
	mu        sync.Mutex
	frames    [][]byte
	head      int
	bytes     int
	maxFrames int
	maxBytes  int
	wake      chan struct{} // holds a token while there may be frames
	overran   bool          // live frames were dropped since it was last empty
	stats     LinkStats
}

func newQueue(maxFrames, maxBytes int) *queue {
	return &queue{maxFrames: maxFrames, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// push appends a frame and reports whether frames of a live link were dropped
// for the first time since the queue was last empty.
func (q *queue) push(frame []byte) (overrun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	for (len(q.frames)-q.head > q.maxFrames || q.bytes > q.maxBytes) && len(q.frames)-q.head > 1 {
		q.drop()
		if q.stats.Connected {
			q.stats.DroppedLive++
			overrun = overrun || !q.overran
			q.overran = true
		} else {
			q.stats.DroppedDown++
		}
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return overrun
}

func (q *queue) drop() []byte {
	frame := q.frames[q.head]
	q.frames[q.head] = nil
	q.head++
	q.bytes -= len(frame)
	if q.head == len(q.frames) {
		q.frames, q.head = q.frames[:0], 0
		q.overran = false
	} else if q.head > 1024 && q.head*2 > len(q.frames) {
		q.frames = append(q.frames[:0], q.frames[q.head:]...)
		q.head = 0
	}
	return frame
}

// pop returns the oldest frame, or nil.
func (q *queue) pop() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.frames) {
		return nil
	}
	return q.drop()
}

func (q *queue) sent(frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Sent++
	q.stats.SentBytes += uint64(len(frame))
}

func (q *queue) received() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Received++
}

func (q *queue) replaced() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Replaced++
}

func (q *queue) connected(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if yes && !q.stats.Connected {
		q.stats.Connects++
	}
	q.stats.Connected = yes
	select { // there may be frames the last connection did not come to
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) snapshot() LinkStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Queued = len(q.frames) - q.head
	return s
}
