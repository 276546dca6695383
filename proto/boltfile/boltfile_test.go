package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"pgregory.net/rapid"
)

var options = &bbolt.Options{Timeout: LockTimeout}

// sound makes a file of some pages with a bucket in a bucket.
func sound(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		a, err := tx.CreateBucket([]byte("a"))
		if err != nil {
			return err
		}
		in, err := a.CreateBucket([]byte("in"))
		for i := range 300 {
			err = errors.Join(err, a.Put(fmt.Appendf(nil, "key %d", i), bytes.Repeat([]byte{byte(i)}, 100)), in.Put(fmt.Appendf(nil, "k%d", i), []byte("v")))
		}
		return errors.Join(err, a.Put([]byte("long"), make([]byte, 20_000)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A file that was cut, overwritten or is no bbolt file is an error, never a crash;
// one that opens can be read to its end.
func TestDamagedFile(t *testing.T) {
	whole := sound(t)
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(whole)
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
		case 1:
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			end := min(len(b), at+rapid.IntRange(1, 6000).Draw(t, "bytes"))
			for i := at; i < end; i++ {
				b[i] = 0
			}
		default:
			for range rapid.IntRange(1, 20).Draw(t, "flips") {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= rapid.Byte().Draw(t, "bits")
			}
		}
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, options)
		if err == nil {
			err = db.Close()
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("it is not told that the file is damaged: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCutAndEmptyAreDamaged(t *testing.T) {
	whole := sound(t)
	for _, n := range []int{0, 1, 4096, len(whole) / 2} {
		path := filepath.Join(t.TempDir(), "a.db")
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, options); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
		to, err := Aside(path)
		if b, readErr := os.ReadFile(to); err != nil || readErr != nil || len(b) != n {
			t.Errorf("put aside: %v, %v", err, readErr)
		}
		db, err := Open(path, options)
		if err != nil {
			t.Errorf("a new file in its place: %v", err)
			continue
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestInUseIsNotDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, &bbolt.Options{Timeout: 1}); !errors.Is(err, bbolterrors.ErrTimeout) || errors.Is(err, ErrDamaged) {
		t.Errorf("a second one: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A file that is cut while it is in use faults where it is mapped: that is an error of
// the transaction, of each one after it, and no end of the program.
func TestCutInUse(t *testing.T) {
	for name, use := range map[string]func(db *DB) error{
		"view": func(db *DB) error {
			return db.View(func(tx *bbolt.Tx) error { return readBucket(tx.Bucket([]byte("b")), 0) })
		},
		"update": func(db *DB) error {
			return db.Update(func(tx *bbolt.Tx) error {
				for k := range 200 {
					if err := tx.Bucket([]byte("b")).Put(fmt.Append(nil, k), []byte("new")); err != nil {
						return err
					}
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db, err := OpenUnread(path, options)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucket([]byte("b"))
				for k := 0; err == nil && k < 200; k++ {
					err = b.Put(fmt.Append(nil, k), make([]byte, 1000))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 2*int64(os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := use(db); !errors.Is(err, ErrDamaged) {
					t.Errorf("%v, want %v", err, ErrDamaged)
				}
			}
			if err := db.Close(); err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
		})
	}
}

// An error of the caller's own function is passed on, and spoils nothing.
func TestErrorsPass(t *testing.T) {
	db, err := OpenUnread(filepath.Join(t.TempDir(), "a.db"), options)
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	for _, run := range []func(func(*bbolt.Tx) error) error{db.View, db.Update, db.View, db.Update} {
		if err := run(func(*bbolt.Tx) error { return mine }); !errors.Is(err, mine) || errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
