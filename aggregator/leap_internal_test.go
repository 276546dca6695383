package aggregator

import (
	"errors"
	"path/filepath"
	"testing"

	"fairwatt/aggregator/snapshot"
)

// A snapshot that this machine's disk does not give back is not its sender's fault.
func TestOwnDiskIsNoLie(t *testing.T) {
	var wrong *wrongSnapshot
	_, err := snapshot.Open(filepath.Join(t.TempDir(), "gone"), [32]byte{})
	if err == nil || errors.As(blame(err), &wrong) {
		t.Errorf("blame(%v) blames the sender", err)
	}
	if err := blame(errors.New("state root is another")); !errors.As(err, &wrong) {
		t.Errorf("blame: %v blames no one", err)
	}
}
