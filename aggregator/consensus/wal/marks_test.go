package wal

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// What is known of others outlasts the process, and a file that is torn costs no more than
// its own turn.
func TestMarks(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "consensus"))
	got, err := d.Marks()
	must(t, err)
	if got[0] != nil || got[1] != nil {
		t.Fatalf("marks of no folder: %v", got)
	}
	older := map[string][]byte{"da2": []byte("two"), "da3": bytes.Repeat([]byte("three"), 100)}
	newer := map[string][]byte{"da2": []byte("two, later")}
	must(t, d.PutMarks(0, older))
	must(t, d.PutMarks(1, older))
	must(t, d.PutMarks(2, newer)) // shorter than what stands there
	got, err = d.Marks()
	must(t, err)
	for turn, want := range []map[string][]byte{newer, older} {
		if !maps.EqualFunc(got[turn], want, bytes.Equal) {
			t.Errorf("turn %d: %q, want %q", turn, got[turn], want)
		}
	}
	whole, err := os.ReadFile(d.marks(0))
	must(t, err)
	for name, raw := range map[string][]byte{
		"empty":   {},
		"cut":     whole[:marksHead+3],
		"no body": whole[:marksHead-1],
		"flipped": append(append(bytes.Clone(whole[:marksHead+5]), whole[marksHead+5]^1), whole[marksHead+6:]...),
	} {
		t.Run(name, func(t *testing.T) {
			put(t, d.marks(0), string(raw))
			got, err := d.Marks()
			must(t, err)
			if got[0] != nil || !maps.EqualFunc(got[1], older, bytes.Equal) {
				t.Errorf("%q", got)
			}
		})
	}
	if err := d.PutMarks(0, map[string][]byte{"da2": make([]byte, maxMarks)}); err == nil {
		t.Error("marks without an end")
	}
}

// A file that cannot be read or written is told.
func TestMarksThatCannotBeKept(t *testing.T) {
	d := Dir(t.TempDir())
	must(t, os.Mkdir(d.marks(1), 0o700))
	if _, err := d.Marks(); err == nil {
		t.Error("a folder was read")
	}
	if err := d.PutMarks(1, nil); err == nil {
		t.Error("a folder was written")
	}
	put(t, filepath.Join(string(d), "file"), "")
	if err := Dir(filepath.Join(string(d), "file")).PutMarks(0, nil); err == nil {
		t.Error("a folder below a file was made")
	}
}

func FuzzMarks(f *testing.F) {
	raw, err := encodeMarks(map[string][]byte{"da2": []byte("mark")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:marksHead])
	f.Add(append(raw, "rest"...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		marks := decodeMarks(raw)
		if marks == nil {
			return
		}
		again, err := encodeMarks(marks)
		must(t, err)
		if got := decodeMarks(again); !maps.EqualFunc(got, marks, bytes.Equal) {
			t.Errorf("%q became %q", marks, got)
		}
	})
}
