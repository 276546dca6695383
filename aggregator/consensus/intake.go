package consensus

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/pool"
)

// This file takes in the records that other members hand over.

// Bounds of what one member has handed over and no one has looked at.
const (
	handedFrames = 64
	handedBytes  = 8 << 20
)

// handed are the frames of records that wait for their check, a line for each
// member. The lines take turns, so that no member waits behind another's flood, and
// one frame of a line is looked at after the other, so that its order stays.
type handed struct {
	mu    sync.Mutex
	lines map[string]*handedLine
	turn  []*handedLine // those that have something
	wake  chan struct{}
}

type handedLine struct {
	from   string
	frames [][][]byte
	bytes  int
	inTurn bool // stands in turn, or is taken from
}

func newHanded() *handed {
	return &handed{lines: make(map[string]*handedLine), wake: make(chan struct{}, 1)}
}

func sizeOf(sealed [][]byte) (bytes int) {
	for _, s := range sealed {
		bytes += len(s)
	}
	return bytes
}

// put queues a frame and says whether there was room.
func (h *handed) put(from string, sealed [][]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lines[from]
	if l == nil {
		l = &handedLine{from: from}
		h.lines[from] = l
	}
	size := sizeOf(sealed)
	if len(l.frames) >= handedFrames || l.bytes+size > handedBytes {
		return false
	}
	l.frames = append(l.frames, sealed)
	l.bytes += size
	h.stand(l)
	return true
}

// stand puts a line that has something in turn; h.mu is held.
func (h *handed) stand(l *handedLine) {
	if len(l.frames) > 0 && !l.inTurn {
		l.inTurn = true
		h.turn = append(h.turn, l)
		h.signal()
	}
}

// take returns a frame of the line whose turn it is, nil for none. The line stands
// aside until done.
func (h *handed) take() (l *handedLine, sealed [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.turn) == 0 {
		return nil, nil
	}
	l = h.turn[0]
	h.turn = h.turn[1:]
	sealed = l.frames[0]
	l.frames[0] = nil // the array behind lives on
	l.frames = l.frames[1:]
	l.bytes -= sizeOf(sealed)
	if len(h.turn) > 0 {
		h.signal() // another goroutine may go on
	}
	return l, sealed
}

// done says that a frame of the line was looked at.
func (h *handed) done(l *handedLine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.inTurn = false
	h.stand(l)
}

func (h *handed) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// queueRecords queues records of a peer for the check and does not wait: the link
// must not stand still for signature checks.
func (n *Node) queueRecords(from string, sealed [][]byte) {
	if len(sealed) > chunkRecords {
		n.refuse(from, guard.Refused("oversized", "%d records in a frame", len(sealed)))
		return
	}
	if !n.intake.put(from, sealed) {
		n.count.droppedIntake.Add(uint64(len(sealed)))
	}
}

// takeIn checks records of peers and keeps them.
func (n *Node) takeIn(ctx context.Context) {
	for {
		line, sealed := n.intake.take()
		if line == nil {
			select {
			case <-ctx.Done():
				return
			case <-n.intake.wake:
			}
			continue
		}
		for _, s := range sealed {
			if ctx.Err() != nil {
				return
			}
			n.keepRecord(line.from, s)
		}
		n.intake.done(line)
	}
}

// keepRecord checks a record of a peer and keeps it.
func (n *Node) keepRecord(from string, sealed []byte) {
	if len(sealed) > n.cfg.RecordBytes {
		n.refuse(from, guard.Refused("oversized", "record of %d bytes", len(sealed)))
		return
	}
	id, sender, err := n.cfg.App.CheckRecord(sealed)
	var forged interface{ Forged() bool }
	switch {
	case errors.As(err, &forged) && forged.Forged():
		n.refuse(from, guard.Refused("forged_record", "%v", err))
		return
	case err != nil:
		return // after a change of leader decided records often come again: no one's fault
	}
	if err := n.pool.Add(id, sender, sealed, from, time.Now()); errors.Is(err, pool.ErrBusy) {
		n.count.droppedIntake.Add(1)
	}
}
