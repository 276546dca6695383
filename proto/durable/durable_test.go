package durable_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/proto/durable"
)

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names returns what a folder has.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestWriteReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, want := range []string{"first", "the second is longer", "3"} {
		if err := durable.WriteBytes(path, 0o640, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Errorf("rights %v", info.Mode().Perm())
	}
	if got := names(t, dir); got != "state" {
		t.Errorf("the folder has %q", got)
	}
}

// While a file is written, and where that fails, the old one stands, and nothing is left
// beside it.
func TestAFailureLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := durable.WriteBytes(path, 0o600, []byte("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left on device")
	err := durable.Write(path, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, "half of the n")
		if got := content(t, path); got != "old" {
			t.Errorf("%q while it is written", got)
		}
		return errors.Join(err, full)
	})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("%q after a failure", got)
	}
	if got := names(t, dir); got != "state" {
		t.Errorf("the folder has %q", got)
	}
}

// What an interrupted write has left is neither read nor written into: someone may have
// opened it when its rights were others.
func TestALeftoverIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path+".new", []byte("a leftover that is longer"), 0o666); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := durable.WriteBytes(path, 0o600, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "secret" {
		t.Errorf("%q", got)
	}
	if b, err := io.ReadAll(reader); err != nil || string(b) != "a leftover that is longer" {
		t.Errorf("who had the leftover open reads %q, %v", b, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("rights %v", info.Mode().Perm())
	}
}

func TestWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone", "state")
	if err := durable.WriteBytes(gone, 0o600, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := durable.Rename(gone, filepath.Join(dir, "state")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := durable.SyncDirs(dir, filepath.Dir(gone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one of two folders is not there: %v", err)
	}
	// A folder stands where the file should be, or what is beside it.
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path+".new", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteBytes(path, 0o600, nil); err == nil {
		t.Error("written over a folder")
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "incoming"), filepath.Join(dir, "kept")
	if err := durable.WriteBytes(from, 0o600, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := durable.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "kept" {
		t.Errorf("the folder has %q", got)
	}
}

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.json")
	err = durable.Write(path, 0o600, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, `{"height":12}`)
		return err
	})
	b, _ := os.ReadFile(path)
	fmt.Print(string(b), err, "\n")
	// Output:
	// {"height":12}
	// <nil>
}
