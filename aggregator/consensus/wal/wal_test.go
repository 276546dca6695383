package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// quiet is a log for the library that says nothing.
type quiet struct{ io.Writer }

func (quiet) Debugf(string, ...any)     {}
func (quiet) Infof(string, ...any)      {}
func (quiet) Warnf(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Panicf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a log, and writes a first entry where there is none.
func open(t *testing.T, d Dir, epoch, height uint64) (entries int, err error) {
	t.Helper()
	log, content, err := d.Open(quiet{}, epoch, height, false)
	if err != nil {
		return 0, err
	}
	if len(content) == 0 {
		must(t, log.Append([]byte("entry"), false))
	}
	must(t, log.Close())
	return len(content), nil
}

// A crash between the mark of an epoch and its log costs no vote: at each step on the
// way a log can be begun. Nor does a log half made count as one.
func TestCrashWhileALogBegins(t *testing.T) {
	for name, step := range map[string]func(t *testing.T, d Dir, epoch uint64){
		"nothing done":        func(*testing.T, Dir, uint64) {},
		"mark set":            func(t *testing.T, d Dir, epoch uint64) { put(t, beginMark(string(d), epoch), "") },
		"folder removed":      func(t *testing.T, d Dir, epoch uint64) { must(t, d.begin(epoch)) },
		"next epoch prepared": func(t *testing.T, d Dir, epoch uint64) { must(t, d.begin(epoch)); must(t, d.Prepare(epoch+1)) },
		"log half made": func(t *testing.T, d Dir, epoch uint64) {
			must(t, d.begin(epoch))
			must(t, os.MkdirAll(Folder(string(d), epoch), 0o700))
			put(t, filepath.Join(Folder(string(d), epoch), "0000000000000001.wal"), "half")
		},
	} {
		for _, epoch := range []uint64{1, 2} {
			t.Run(fmt.Sprintf("%s, epoch %d", name, epoch), func(t *testing.T) {
				d := Dir(t.TempDir())
				if epoch == 2 {
					if _, err := open(t, d, 1, 0); err != nil {
						t.Fatal(err)
					}
				}
				step(t, d, epoch)
				if whole, err := d.Whole(1); epoch == 2 && (!whole || err != nil) {
					t.Errorf("the log of epoch 1 counts no more: %v", err)
				}
				if n, err := open(t, d, epoch, 5*(epoch-1)); n != 0 || err != nil {
					t.Fatalf("%d entries, %v", n, err)
				}
				if n, err := open(t, d, epoch, 5*(epoch-1)); n != 1 || err != nil {
					t.Errorf("%d entries after a restart, %v", n, err)
				}
				must(t, os.RemoveAll(Folder(string(d), epoch)))
				if _, err := open(t, d, epoch, 5); !errors.Is(err, ErrLost) {
					t.Errorf("a log that was in use and is gone: %v", err)
				}
			})
		}
	}
}

// A log given up stays given up, in its epoch alone.
func TestLose(t *testing.T) {
	d := Dir(t.TempDir())
	if _, err := open(t, d, 1, 0); err != nil {
		t.Fatal(err)
	}
	must(t, d.Lose(1, fmt.Errorf("%w: others know better", ErrLost).Error()))
	_, err := open(t, d, 1, 3)
	if want := ErrLost.Error() + ": others know better"; !errors.Is(err, ErrLost) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if whole, err := d.Whole(1); whole || err != nil {
		t.Errorf("whole %v, %v", whole, err)
	}
	if _, err := open(t, d, 2, 3); err != nil {
		t.Errorf("the next epoch: %v", err)
	}
}
