package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/proto/boltfile"
)

// A file that is cut while it is open: reading and writing fail with an error, and the
// program goes on.
func TestDamagedInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	o, err := Open(path, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		commit(t, o, entryOf(string(make([]byte, 500)), false))
	}
	if err := os.Truncate(path, 2*int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Due(time.Now()); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	for range 2 {
		if _, err := o.Commit(1000, Commit{Record: []Entry{entryOf("x", false)}}); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("write: %v", err)
		}
	}
	if err := o.Close(0); err != nil && !errors.Is(err, boltfile.ErrDamaged) {
		t.Error(err)
	}
}
