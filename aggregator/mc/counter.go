package mc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"fairwatt/proto/boltfile"
)

// reserve is how many counters one write to the file sets aside. The chain's
// replay window is 1024 wide, so what a crash skips does no harm; a span that others
// have overtaken is given up.
const reserve = 64

var (
	counterBucket = []byte("counter")
	counterKey    = []byte("reserved")
)

// A counter numbers the centre's records. A number is never given out twice:
// not after a crash, and not by another process with the same file (the running
// centre, and a command that registers a participant meanwhile). Each process
// reserves its own span under the file's lock. Its owner's lock guards it.
type counter struct {
	path string
	last uint64 // given out
	end  uint64 // counters up to here are ours
	seen uint64 // newest on the chain
}

func openCounter(path string) (*counter, error) {
	c := &counter{path: path}
	if path == "" {
		return c, nil
	}
	// A file that cannot be written is found out now, not at the first request.
	return c, c.update(func(reserved uint64) uint64 { return reserved })
}

func (c *counter) sawOnChain(n uint64) { c.seen = max(c.seen, n) }

func (c *counter) next() (uint64, error) {
	switch {
	case c.path == "":
		c.last = max(c.last, c.seen) + 1
		return c.last, nil
	case c.last >= c.end, c.seen > c.end:
		// Where others have gone beyond this span, it falls out of the chain's window.
		err := c.update(func(reserved uint64) uint64 {
			c.last = max(reserved, c.seen)
			return c.last + reserve
		})
		if err != nil {
			return 0, err
		}
		c.end = c.last + reserve
	}
	c.last++
	return c.last, nil
}

// update replaces the reserved number under the file's lock, synced.
func (c *counter) update(f func(reserved uint64) uint64) error {
	db, err := boltfile.Open(c.path, &bbolt.Options{Timeout: 5 * time.Second})
	switch {
	case errors.Is(err, boltfile.ErrDamaged):
		return fmt.Errorf("open record counter %s: %w; move it away, and the centre goes on behind its newest record on the chain", c.path, err)
	case err != nil:
		return fmt.Errorf("open record counter %s: %w", c.path, err)
	}
	defer db.Close() // every write is synced by then
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(counterBucket)
		if err != nil {
			return err
		}
		var old uint64
		switch v := b.Get(counterKey); {
		case len(v) == 8:
			old = binary.BigEndian.Uint64(v)
		case v != nil:
			return fmt.Errorf("%w: %d bytes in place of 8", boltfile.ErrDamaged, len(v))
		}
		return b.Put(counterKey, binary.BigEndian.AppendUint64(nil, f(old)))
	})
	if err != nil {
		return fmt.Errorf("reserve record counters in %s: %w", c.path, err)
	}
	return nil
}
