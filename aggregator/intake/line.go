package intake

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// Bounds of what waits to be looked at.
const (
	queueBytes     = 64 << 20 // of all devices
	deviceMessages = 64
	deviceBytes    = 2 << 20
	tokenBytes     = 1 << 10 // a record takes a token for each begun so many
)

// Times after which a sender is to try again.
const (
	retrySoon = 100 * time.Millisecond // what is missing is mostly under way
	retryRoom = 500 * time.Millisecond // a few blocks
	retryMost = 5 * time.Second
	toldEvery = 50 * time.Millisecond // below every retry, so that the next refusal is told
)

// A line holds what one device brings: its messages that were not looked at, and
// how far its records were taken. The intake's lock guards it.
type line struct {
	to       wire.Topics // where the newest message came from
	messages []mqtt.Message
	bytes    int
	inRing   bool
	lost     bool // messages found no room since the last round

	rate *Bucket
	top  uint64    // the greatest counter that was taken
	stop uint64    // of this round: the counter that found no room, 0 for none
	told time.Time // when the sender was last put off
}

// lineOf returns the line of a device, nil when there are too many; in.mu is
// held.
func (in *Intake) lineOf(device string) *line {
	l := in.lines[device]
	if l == nil && len(in.lines) < maxDevices {
		l = &line{rate: NewBucket(in.cfg.Now(), float64(in.cfg.Burst))}
		in.lines[device] = l
	}
	return l
}

// Take is the handler of the records' topics. It never blocks: the pipe keeps
// the order of its messages by calling it from one goroutine.
func (in *Intake) Take(m mqtt.Message) {
	t, err := wire.ParseTopic(m.Topic)
	if err != nil || len(m.Payload) > wire.MaxBatchBytes {
		why := fmt.Sprintf("%d bytes, at most %d", len(m.Payload), wire.MaxBatchBytes)
		if err != nil {
			why = err.Error()
		}
		in.warn(in.refused(wire.CodeMalformed), m.Topic, wire.CodeMalformed, why)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	l := in.lineOf(t.Device)
	if l == nil {
		in.stats.Dropped++
		return
	}
	l.to = t.Topics
	if len(l.messages) < deviceMessages && l.bytes+len(m.Payload) <= deviceBytes && in.makeRoom(l, len(m.Payload)) {
		l.messages = append(l.messages, m)
		l.bytes += len(m.Payload)
		in.queued++
		in.queuedBytes += len(m.Payload)
	} else {
		l.lost = true
		in.stats.Dropped++
	}
	if !l.inRing {
		l.inRing = true
		in.ring = append(in.ring, l)
	}
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// makeRoom says whether a message fits. When all is full, the device with the
// longest line loses its newest message to one with a shorter line.
func (in *Intake) makeRoom(l *line, size int) bool {
	for in.queued >= in.cfg.QueueMessages || in.queuedBytes+size > queueBytes {
		longest := l
		for _, other := range in.ring {
			if other.bytes > longest.bytes {
				longest = other
			}
		}
		n := len(longest.messages)
		if longest == l || n == 0 || longest.bytes < l.bytes+size {
			return false
		}
		in.dequeued(longest, longest.messages[n-1])
		longest.messages[n-1] = mqtt.Message{}
		longest.messages = longest.messages[:n-1]
		longest.lost = true
		in.stats.Dropped++
	}
	return true
}

func (in *Intake) dequeued(l *line, m mqtt.Message) {
	l.bytes -= len(m.Payload)
	in.queued--
	in.queuedBytes -= len(m.Payload)
}

// round takes one message of each device that has any. lost are the devices of
// which messages found no room before.
func (in *Intake) round() (messages []mqtt.Message, lost []*line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for range min(len(in.ring), gather) {
		l := in.ring[0]
		in.ring[0] = nil // the array behind the ring lives on
		in.ring = in.ring[1:]
		if len(l.messages) > 0 {
			m := l.messages[0]
			l.messages[0] = mqtt.Message{}
			l.messages = l.messages[1:]
			in.dequeued(l, m)
			messages = append(messages, m)
		}
		if l.inRing = len(l.messages) > 0; l.inRing {
			in.ring = append(in.ring, l)
		} else if l.messages = nil; l.lost {
			l.lost = false
			lost = append(lost, l)
		}
	}
	return messages, lost
}

// next is the counter up to which all of a sender's records were taken, or will
// never come, and one more; in.mu is held.
func (in *Intake) next(l *line, device string, oldest uint64) uint64 {
	known := l.top
	if in.needs.Last != nil {
		known = max(known, in.needs.Last(device))
	}
	return max(known+1, oldest)
}

// putOff tells a sender to send again from a counter on; in.mu is held. It is not
// told with each record: it sends all of them again.
func (in *Intake) putOff(l *line, from uint64, after time.Duration) {
	now := in.cfg.Now()
	if d := now.Sub(l.told); d >= 0 && d < toldEvery {
		return
	}
	l.told = now
	in.stats.PutOff++
	in.needs.Receipts.PutOff(l.to, from, min(max(after, retrySoon), retryMost))
}

// counterOf reads the counter of a sealed record, unverified: only who may write
// on the device's topic can have put it there. 0 when there is none.
func counterOf(sealed []byte) uint64 {
	_, b, err := seal.Peek(sealed)
	if err != nil {
		return 0
	}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0
		}
		b = b[n:]
		if field == counterField && kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return 0
			}
			return v
		}
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return 0
		}
		b = b[n:]
	}
	return 0
}

var counterField = new(fairwattpb.Record).ProtoReflect().Descriptor().Fields().ByName("counter").Number()
