package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// An Entry is one thing that a block says. Money is in millionths.
type Entry struct {
	Height uint64 `json:"height"`
	TimeMs int64  `json:"time_ms"` // of the block
	Seq    uint32 `json:"seq"`     // in what was told of the block
	// Kind is what it is: record, status (of a trade), step (of credit, bond or list) or
	// move (of money). What says which.
	Kind  string `json:"kind"`
	What  string `json:"what"`
	Index int    `json:"index"`            // the record's place in the block; -1: its time did it
	ID    string `json:"record,omitempty"` // the record's id, hex
	Who   string `json:"who,omitempty"`    // the sender, or whom it happened to
	Other string `json:"other,omitempty"`
	Trade string `json:"trade,omitempty"`
	Code  string `json:"code,omitempty"` // why a record was refused
	Text  string `json:"text,omitempty"`
	// Unknown: what the rules said of the record was not kept here. Outcome is the
	// encoding of it otherwise, for proofs.
	Unknown     bool   `json:"unknown,omitempty"`
	Outcome     []byte `json:"outcome,omitempty"`
	AmountMicro int64  `json:"amount_micro,omitempty"`
	WalletMicro int64  `json:"wallet_micro,omitempty"` // of a move
	EscrowMicro int64  `json:"escrow_micro,omitempty"`
	BondMicro   int64  `json:"bond_micro,omitempty"`
	EnergyWh    int64  `json:"energy_wh,omitempty"`
	CreditE6    int64  `json:"credit_e6,omitempty"` // after a step
	UntilMs     int64  `json:"until_ms,omitempty"`
}

// The kinds of entries.
const (
	KindRecord = "record"
	KindStatus = "status"
	KindStep   = "step"
	KindMove   = "move"
)

// subjects are what an entry is found by.
func (e *Entry) subjects() []string {
	var out []string
	if e.Trade != "" {
		out = append(out, "t/"+e.Trade)
	}
	if e.Who != "" && e.Kind != KindStatus {
		out = append(out, "p/"+e.Who)
	}
	if e.ID != "" && e.Kind == KindRecord {
		out = append(out, "r/"+e.ID)
	}
	return out
}

func (e *Entry) place() []byte {
	return binary.BigEndian.AppendUint32(key(e.Height), e.Seq)
}

// Height is that of the newest block told; 0 before the first.
func (h *History) Height() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.height
}

// Tell adds what a block did. A block that was told is not taken again.
func (h *History) Tell(height uint64, entries []Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if height <= h.height {
		return
	}
	h.height = height
	for i, e := range entries {
		e.Height, e.Seq = height, uint32(i)
		h.waiting = append(h.waiting, e)
	}
}

// writeEntries writes what waits, and drops the oldest. h.mu is held.
func (h *History) writeEntries() error {
	if len(h.waiting) == 0 {
		return nil
	}
	err := h.db.Update(func(tx *bbolt.Tx) error {
		story, of, meta := tx.Bucket(bucketStory), tx.Bucket(bucketOf), tx.Bucket(bucketMeta)
		for i := range h.waiting {
			e := &h.waiting[i]
			value, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("encode entry: %w", err)
			}
			if err := story.Put(e.place(), value); err != nil {
				return err
			}
			for _, s := range e.subjects() {
				if err := of.Put(append([]byte(s+"\x00"), e.place()...), nil); err != nil {
					return err
				}
			}
		}
		kept := number(meta.Get(metaEntries)) + uint64(len(h.waiting))
		kept, err := forget(story, of, kept, uint64(h.bounds.Entries))
		if err != nil {
			return err
		}
		return errors.Join(meta.Put(metaEntries, key(kept)), meta.Put(metaHeight, key(h.height)))
	})
	if err == nil || len(h.waiting) > 10*h.bounds.Unwritten { // a disk that fails fills no memory
		h.waiting = nil
	}
	return err
}

// forget drops the oldest entries beyond a number.
func forget(story, of *bbolt.Bucket, kept, most uint64) (uint64, error) {
	c := story.Cursor()
	for k, v := c.First(); k != nil && kept > most; k, v = c.First() {
		var e Entry
		if err := json.Unmarshal(v, &e); err != nil {
			return kept, fmt.Errorf("decode entry: %w", err)
		}
		for _, s := range e.subjects() {
			if err := of.Delete(append([]byte(s+"\x00"), k...)); err != nil {
				return kept, err
			}
		}
		if err := story.Delete(slices.Clone(k)); err != nil {
			return kept, err
		}
		kept--
	}
	return kept, nil
}

// Of returns the newest entries of a subject before a height, newest first, up to a
// limit; before 0: the newest of all. The entries of one block stay together, so there
// may be more.
func (h *History) Of(subject string, before uint64, limit int) ([]Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Entry
	full := func(next uint64) bool { return len(out) >= limit && out[len(out)-1].Height != next }
	for _, e := range slices.Backward(h.waiting) {
		if (before == 0 || e.Height < before) && slices.Contains(e.subjects(), subject) {
			if full(e.Height) {
				return out, nil
			}
			out = append(out, e)
		}
	}
	err := h.db.View(func(tx *bbolt.Tx) error {
		prefix := []byte(subject + "\x00")
		end := append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, 12)...)
		if before > 0 {
			end = append(slices.Clone(prefix), key(before)...)
		}
		c := tx.Bucket(bucketOf).Cursor()
		k, _ := c.Seek(end)
		if k == nil {
			k, _ = c.Last()
		} else {
			k, _ = c.Prev()
		}
		for ; bytes.HasPrefix(k, prefix) && len(k) == len(prefix)+12; k, _ = c.Prev() {
			place := k[len(prefix):]
			if full(number(place[:8])) {
				return nil
			}
			var e Entry
			if err := json.Unmarshal(tx.Bucket(bucketStory).Get(place), &e); err != nil {
				return fmt.Errorf("decode entry: %w", err)
			}
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

// Block returns what is kept of a block, in its order.
func (h *History) Block(height uint64) ([]Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Entry
	err := h.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketStory).Cursor()
		for k, v := c.Seek(key(height)); k != nil && number(k[:8]) == height; k, v = c.Next() {
			var e Entry
			if err := json.Unmarshal(v, &e); err != nil {
				return fmt.Errorf("decode entry: %w", err)
			}
			out = append(out, e)
		}
		return nil
	})
	for _, e := range h.waiting {
		if e.Height == height {
			out = append(out, e)
		}
	}
	return out, err
}

// From returns the height of the oldest block of which entries are kept; 0: of none.
func (h *History) From() (from uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.db.View(func(tx *bbolt.Tx) error {
		if k, _ := tx.Bucket(bucketStory).Cursor().First(); k != nil {
			from = number(k[:8])
		}
		return nil
	})
	if from == 0 && len(h.waiting) > 0 {
		from = h.waiting[0].Height
	}
	return from, err
}
