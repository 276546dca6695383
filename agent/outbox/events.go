package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// putEvents appends events to the bucket and drops the oldest above
// maxEvents; it returns how many it dropped.
func putEvents(b *bolt.Bucket, wallMs int64, events []Event) (dropped int, err error) {
	for _, e := range events {
		seq, err := b.NextSequence()
		if err != nil {
			return 0, err
		}
		if err := b.Put(counterKey(seq), encodeEvent(wallMs, e)); err != nil {
			return 0, err
		}
	}
	if len(events) == 0 {
		return 0, nil
	}
	c := b.Cursor()
	last, _ := c.Last()
	for first, _ := c.First(); first != nil; first, _ = c.Next() {
		// Sequence numbers have gaps only at the old end, so their span bounds
		// the count without walking the bucket.
		if readUint64(last)-readUint64(first) < maxEvents {
			break
		}
		if err := c.Delete(); err != nil {
			return 0, err
		}
		dropped++
	}
	return dropped, nil
}

// Events returns the oldest queued events, at most max.
func (o *Outbox) Events(max int) ([]Event, error) {
	var out []Event
	err := o.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketEvents).Cursor()
		for k, v := c.First(); k != nil && len(out) < max; k, v = c.Next() {
			e, err := decodeEvent(v)
			if err != nil {
				return fmt.Errorf("event %d: %w", readUint64(k), err)
			}
			e.Seq = readUint64(k)
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read outbox events: %w", err)
	}
	return out, nil
}

// EventDone takes an event out: the broker has acknowledged it.
func (o *Outbox) EventDone(seq uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEvents)
		if b.Get(counterKey(seq)) == nil {
			return nil
		}
		o.events--
		return b.Delete(counterKey(seq))
	})
	if err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return nil
}

var errEvent = errors.New("damaged event")

// encodeEvent: creation time (8), topic length (2), topic, payload.
func encodeEvent(wallMs int64, e Event) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(wallMs))
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.Topic)))
	b = append(b, e.Topic...)
	return append(b, e.Payload...)
}

func decodeEvent(b []byte) (Event, error) {
	if len(b) < 10 {
		return Event{}, errEvent
	}
	n := int(binary.BigEndian.Uint16(b[8:]))
	if len(b) < 10+n {
		return Event{}, errEvent
	}
	return Event{
		CreatedMs: int64(binary.BigEndian.Uint64(b)),
		Topic:     string(b[10 : 10+n]),
		Payload:   append([]byte(nil), b[10+n:]...),
	}, nil
}
