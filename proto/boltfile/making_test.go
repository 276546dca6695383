package boltfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// A file that another process makes this moment is empty for a while: it is waited
// for, and is not damaged. One that stays empty is.
func TestFileInTheMaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, &bbolt.Options{Timeout: 50 * time.Millisecond}); !errors.Is(err, ErrDamaged) {
		t.Errorf("an empty file: %v", err)
	}
	opened := make(chan error, 1)
	go func() {
		db, err := Open(path, &bbolt.Options{Timeout: time.Minute})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	db, err := bbolt.Open(path, 0o600, nil) // as the other process does, whether before or after the first look
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("a file that another made meanwhile: %v", err)
	}
}
