package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTown runs the tool on a small module whose survivors are known.
func TestTown(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	args := []string{
		"--dir", "testdata/town", "--package", "toll", "--reasons", "testdata/reasons.txt", "--out", page,
	}
	var progress bytes.Buffer
	err := run(t.Context(), args, &progress, &progress)
	if err == nil || !strings.Contains(err.Error(), "59.5 % killed, want 85.0 %") {
		t.Errorf("run: %v, want a share below the floor\n%s", err, progress.String())
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatalf("no report: %v", err)
	}
	want, err := os.ReadFile("testdata/town.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("report differs from testdata/town.md (-want +got):\n%s", diff)
	}
	if !strings.Contains(progress.String(), "left out: TestBroken failed without any mutant") {
		t.Errorf("a test that fails by itself is not named:\n%s", progress.String())
	}
}

// TestNothingWritten sees that the module under test stays as it was.
func TestNothingWritten(t *testing.T) {
	var files []string
	err := filepath.WalkDir("testdata/town", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"testdata/town/go.mod", "testdata/town/toll/toll.go", "testdata/town/toll/toll_test.go"}
	if !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
}

func TestStrict(t *testing.T) {
	common := []string{"--dir", "testdata/town", "--package", "toll", "--reasons", "testdata/reasons.txt", "--floor", "0"}
	for _, c := range []struct {
		name, match, want string
		strict            bool
	}{
		{"a survivor with its reason", `Toll: sum \* 1`, "", true},
		{"a survivor without", `Class: height < 2.5 -> height <= 2.5`, "1 survivors without a reason", true},
		{"the same, not strict", `Class: height < 2.5 -> height <= 2.5`, "", false},
		{"a reason for a killed one", `Class: height < 1.5 -> height >= 1.5`, "2 reasons without a survivor", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			reasons := "testdata/reasons.txt"
			if c.want == "" && c.strict {
				text, err := os.ReadFile(reasons)
				if err != nil {
					t.Fatal(err)
				}
				reasons = filepath.Join(t.TempDir(), "reasons.txt")
				kept, _, _ := strings.Cut(string(text), "func Class")
				if err := os.WriteFile(reasons, []byte(kept), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := append(slices.Clone(common), "--match", c.match, "--reasons", reasons)
			if c.strict {
				args = append(args, "--strict")
			}
			var out bytes.Buffer
			err := run(t.Context(), args, &out, &out)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("run: %v\n%s", err, out.String())
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("run: %v, want %q\n%s", err, c.want, out.String())
			}
		})
	}
}

// TestNumbersAreStable sees that two searches find the same, and that shards and
// samples are parts of it.
func TestNumbersAreStable(t *testing.T) {
	list := func(more ...string) []string {
		var out bytes.Buffer
		args := append([]string{"--dir", "testdata/town", "--package", "toll", "--list"}, more...)
		if err := run(t.Context(), args, &out, &out); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	all := list()
	if again := list(); !slices.Equal(all, again) {
		t.Errorf("two searches differ:\n%s", cmp.Diff(all, again))
	}
	parts := append(list("--shard", "1/2"), list("--shard", "2/2")...)
	slices.Sort(parts)
	sorted := slices.Sorted(slices.Values(all))
	if !slices.Equal(parts, sorted) {
		t.Errorf("two shards are not the whole:\n%s", cmp.Diff(sorted, parts))
	}
	some := list("--sample", "5")
	if len(some) != 5 || !slices.Equal(some, list("--sample", "5")) || slices.Equal(some, list("--sample", "5", "--seed", "2")) {
		t.Errorf("a sample of 5 with one seed is %v", some)
	}
}

// TestDrawOutlivesNewCode sees that moved code keeps its draw, and that a new function
// displaces only as many of the drawn mutants as it puts in.
func TestDrawOutlivesNewCode(t *testing.T) {
	const bridge = "\n\nfunc bridge(a, b int) int {\n\tif a > b && a > 3 {\n\t\ta++\n\t}\n\treturn a - b\n}\n"
	toll, err := os.ReadFile("testdata/town/toll/toll.go")
	if err != nil {
		t.Fatal(err)
	}
	find := func(first, last string) []*mutant {
		t.Helper()
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": "module town\n\ngo 1.26\n", "a.go": first, "z.go": last} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := switched(t.Context(), dir, ".")
		if err != nil {
			t.Fatal(err)
		}
		return s.mutants
	}
	last := find("package toll\n", string(toll))
	first := find("// Moved.\n\n"+string(toll), "package toll\n")
	longer := find("package toll"+bridge, string(toll))
	const drawn = 12
	added := 0
	for seed := range uint64(20) {
		draw := func(all []*mutant) []string {
			o := &options{seed: seed, sample: drawn, shard: 1, shards: 1, match: regexp.MustCompile("")}
			var keys []string
			for _, m := range o.choose(all) {
				keys = append(keys, m.key())
			}
			if len(keys) != drawn {
				t.Fatalf("seed %d draws %d, want %d", seed, len(keys), drawn)
			}
			return slices.Sorted(slices.Values(keys))
		}
		before := draw(last)
		if moved := draw(first); !slices.Equal(before, moved) {
			t.Errorf("seed %d: moved to another file, the draw differs:\n%s", seed, cmp.Diff(before, moved))
		}
		for _, key := range draw(longer) {
			switch {
			case strings.Contains(key, "bridge"):
				added++
			case !slices.Contains(before, key):
				t.Errorf("seed %d: a new function draws %q of another one", seed, key)
			}
		}
	}
	if added == 0 {
		t.Error("no seed draws a change of the new function")
	}
}

// TestOutOfTime sees that what could not be tried is not counted as tried.
func TestOutOfTime(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"--dir", "testdata/town", "--package", "toll", "--for", "1ns", "--floor", "0"}, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "| `toll` | 0 | 0 | 0 | 0.0 % | 0 | 0 | 45 |") {
		t.Errorf("want nothing tried:\n%s", out.String())
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "name packages"},
		{[]string{"--package", "toll", "--shard", "3/2"}, "want i/n"},
		{[]string{"--package", "toll", "--shard", "x"}, "want i/n"},
		{[]string{"--package", "toll", "--workers", "0"}, "must be 1 or more"},
		{[]string{"--package", "toll", "--match", "("}, "--match"},
		{[]string{"--package", "toll", "--reasons", "testdata/none"}, "open reasons"},
		{[]string{"--package", "nowhere", "--dir", "testdata/town"}, "load ./nowhere"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), c.args, &out, &out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("mutate %v: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestReadReasons(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"package p\nfunc f\n- a\n+ b\n= why\n= and more\n", ""},
		{"func f\n- a\n+ b\n= why\n", "needs package"},
		{"package p\n- a\n+ b\n= why\n", "needs package"},
		{"package p\nfunc f\n+ b\n= why\n", "needs package"},
		{"package p\nfunc f\n- a\n= why\n", "needs a change"},
		{"package p\nfunc f\n- a\n+ b\n", "without a reason"},
		{"package p\nfunc f\n- a\n+ b\n= why\n- a\n+ b\n= why\n", "the change of line 4 again"},
		{"package p\nfunc f\n- a\n+\n", "nothing after"},
		{"package p\nbecause\n", "nothing after"},
		{"package p\nbecause of this\n", "none of package"},
	} {
		reasons, err := readReasons(strings.NewReader(c.text))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want %q", c.text, err, c.want)
			}
			continue
		}
		m := mutant{Package: "p", Function: "f", Before: "a", After: "b", Again: 1}
		if err != nil || len(reasons) != 1 || reasons[m.key()] == nil || reasons[m.key()].text != "why and more" {
			t.Errorf("%q: %v %v", c.text, reasons, err)
		}
	}
}

func TestReasonInAVariable(t *testing.T) {
	reasons, err := readReasons(strings.NewReader("package p\nvar f\n- a\n+ b\n= why\n"))
	m := mutant{Package: "p", Function: "var f", Before: "a", After: "b", Again: 1}
	if err != nil || reasons[m.key()] == nil {
		t.Errorf("%v %v", reasons, err)
	}
}

func TestSecondOfTheSame(t *testing.T) {
	reasons, err := readReasons(strings.NewReader("package p\nfunc f\n- a #2\n+ b\n= why\n"))
	m := mutant{Package: "p", Function: "f", Before: "a", After: "b", Again: 2}
	if err != nil || reasons[m.key()] == nil {
		t.Errorf("reasons %v, %v: want the second a", reasons, err)
	}
}

// TestHang sees that a run hangs by the time of a processor that it uses: one that is
// kept waiting does not, however long a machine with other work lets it wait.
func TestHang(t *testing.T) {
	for _, c := range []struct {
		name, script string
		limit        limits
		want         ending
	}{
		{"waits longer than it may compute", "sleep 2", limits{cpu: time.Second, wall: 5 * time.Minute}, passed},
		{"waits, and fails", "sleep 2; exit 1", limits{cpu: time.Second, wall: 5 * time.Minute}, failed},
		{"computes for ever", "while :; do :; done", limits{cpu: time.Second, wall: 5 * time.Minute}, hung},
		{"waits for ever", "sleep 600", limits{cpu: time.Second, wall: 100 * time.Millisecond}, hung},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "tests")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Parallel() // all are written first: a program that another fork holds open is "text file busy"
			b := &binary{path: path, dir: dir, scratch: dir}
			if r := b.run(t.Context(), []string{"Test"}, c.limit); r.end != c.want {
				t.Errorf("%v after %v, %v of a processor, want %v: %s", r.end, r.took, r.cpu, c.want, r.tail)
			}
		})
	}
	b := &binary{factor: 5, slack: 2 * time.Second}
	got := b.limit([]testCase{{took: 3 * time.Second, cpu: time.Second}, {took: time.Second, cpu: time.Second}})
	if want := (limits{cpu: 12 * time.Second, wall: 220 * time.Second}); got != want {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func TestBatches(t *testing.T) {
	ms := func(n ...int) []testCase {
		var list []testCase
		for _, n := range n {
			list = append(list, testCase{cpu: time.Duration(n) * time.Millisecond})
		}
		return list
	}
	for _, c := range []struct {
		tests []testCase
		want  []int
	}{
		{ms(10, 10), []int{2}},
		{ms(10, 200, 200), []int{2, 1}},
		{ms(10, 500, 600, 9000, 9000), []int{1, 2, 2}},
		{ms(10, 9000), []int{1, 1}},
		{ms(9000, 9000), []int{2}},
	} {
		var got []int
		for _, group := range batches(c.tests) {
			got = append(got, len(group))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("batches of %v: %v, want %v", c.tests, got, c.want)
		}
	}
}

// TestOriginal sees that places in the new text lead back to the old one.
func TestOriginal(t *testing.T) {
	old := []byte("if a < b {")
	edits := []edit{{at: 3, end: 3, text: "less("}, {at: 5, end: 6, text: ","}, {at: 8, end: 8, text: ")"}}
	changed := apply(old, edits)
	if want := "if less(a , b) {"; string(changed) != want {
		t.Fatalf("apply: %q, want %q", changed, want)
	}
	for _, word := range []string{"if", "a ", "b", "{"} {
		if got, want := original(edits, bytes.LastIndex(changed, []byte(word))), bytes.Index(old, []byte(word)); got != want {
			t.Errorf("original of %q: %d, want %d", word, got, want)
		}
	}
}

// TestReasonsOfTheProject reads the file that `make mutate` reads, which takes long enough that few run it before they commit.
func TestReasonsOfTheProject(t *testing.T) {
	file, err := os.Open("reasons.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := readReasons(file); err != nil {
		t.Error(err)
	}
}
