package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
)

// Spreadsheets put the mark U+FEFF before UTF-8, gzipped or not.
func TestMarkIsTakenOff(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, "\ufeff"+small); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plain": "\ufeff" + small, "gzip": packed.String()} {
		if tr, err := Read(strings.NewReader(text), Options{}); err != nil || len(tr.Rows) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, short := range []string{"", "\xef", "\xef\xbb"} {
		if _, err := Read(strings.NewReader(short), Options{}); err == nil {
			t.Errorf("%q is a trace", short)
		}
	}
}

// RFC 3339: T and Z in either case, and the leap second 23:59:60 UTC.
func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-05-01t00:00:00z":         "2026-05-01T00:00:00Z",
		"2026-05-01T02:00:00.5+02:00":  "2026-05-01T00:00:00.5Z",
		"2016-12-31T23:59:60Z":         "2016-12-31T23:59:59.999Z",
		"2016-12-31T23:59:60.5Z":       "2016-12-31T23:59:59.9995Z",
		"2017-01-01t00:59:60+01:00":    "2016-12-31T23:59:59.999Z",
		"2016-12-31T18:59:60-05:00":    "2016-12-31T23:59:59.999Z",
		"2026-05-01T12:00:60Z":         "",
		"2026-05-01T22:59:60Z":         "",
		"2026-05-01T00:59:60Z":         "",
		"2016-12-31T23:59:61Z":         "",
		"2016-12-31T23:59:60":          "",
		"2016-12-31T23:59:6":           "",
		"2016-12-31":                   "",
		"1h":                           "",
		"2016-12-31T23:59:60.5.5Z":     "",
		"2016-13-31T23:59:60Z":         "",
		"2016-12-31T23:59:60Zulu time": "",
	} {
		at, err := ParseTime(text)
		if got := at.UTC().Format(time.RFC3339Nano); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %s (%v), want %q", text, got, err, want)
		}
	}
	const rows = "# fairwatt-trace: 1\ntime,raining\n2016-12-31T23:59:59Z,1\n2016-12-31T23:59:60Z,1\n2016-12-31T23:59:60.25Z,1\n2017-01-01T00:00:00Z,1\n"
	if tr, err := Read(strings.NewReader(rows), Options{}); err != nil || len(tr.Rows) != 4 {
		t.Errorf("rows around a leap second: %v", err)
	}
}

// A trace that is cut at any byte behind its header gives its whole rows. What
// follows them is told; without the option it is an error.
func TestCutAnywhere(t *testing.T) {
	const head = "# fairwatt-trace: 1\n# interval_s: 1\ntime,raining,temperature_c\n"
	rows := []string{"0,1,12.5\n", "1,,-3\n", "2,0,\n", "3,1,7.25\n"}
	whole := head + strings.Join(rows, "")
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(len(head), len(whole)).Draw(t, "bytes")
		text := whole[:n] + rapid.SampledFrom([]string{"", "\x00", strings.Repeat("\x00", 5000)}).Draw(t, "behind")
		lines := strings.Count(text[len(head):], "\n")
		rest := text[strings.LastIndex(text, "\n")+1:]
		r, err := NewReader(strings.NewReader(text), Options{TakeCut: true})
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		var s model.Sample
		for {
			if err := r.Next(&s); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			read++
		}
		if err := r.Next(&s); !errors.Is(err, io.EOF) {
			t.Fatalf("behind the end: %v", err)
		}
		// A rest that is a row by itself is taken for one: editors leave out the
		// last line end.
		cut := r.Cut() != nil
		if read+b2i(cut) != lines+b2i(rest != "") || cut && rest == "" {
			t.Fatalf("%q: %d rows, cut: %v", text, read, r.Cut())
		}
		if cut && len(r.Cut().Error()) > 200 {
			t.Fatalf("it is told in %d characters", len(r.Cut().Error()))
		}
		if _, err := Read(strings.NewReader(text), Options{}); (err != nil) != cut {
			t.Fatalf("%q: without the option: %v", text, err)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A line that ends is never taken for cut, nor is a file that cannot be read on.
func TestCutIsNoExcuse(t *testing.T) {
	const head = "# fairwatt-trace: 1\ntime,raining\n0,1\n"
	end := func(in io.Reader) error {
		r, err := NewReader(in, Options{TakeCut: true})
		for err == nil {
			err = r.Next(&model.Sample{})
		}
		return err
	}
	if err := end(strings.NewReader(head + "1\n")); errors.Is(err, io.EOF) {
		t.Error("a short row with an end is taken for cut")
	}
	if err := end(strings.NewReader(head + "x,1\n2,1")); errors.Is(err, io.EOF) {
		t.Error("a bad row before the last is taken for cut")
	}
	broken := errors.New("broken")
	if err := end(io.MultiReader(strings.NewReader(head+"1"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a disk that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// However damaged the file, the error is one short line.
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("\x00", 10_000)
	for _, text := range []string{
		long, "# fairwatt-trace: " + long, "# fairwatt-trace: 1\n# latitude: " + long + "\n", "# fairwatt-trace: 1\n" + long + "\n",
		"# fairwatt-trace: 1\ntime," + long + "\n", "# fairwatt-trace: 1\ntime,raining\n" + long + "\n",
		"# fairwatt-trace: 1\ntime,raining\n0," + long + "\n", "# fairwatt-trace: 1\ntime,raining\n2016-12-31T23:59:60" + long + "\n",
	} {
		if _, err := Read(strings.NewReader(text), Options{}); err == nil || len(err.Error()) > 400 {
			t.Errorf("%.60q...: an error of %d characters", text, len(err.Error()))
		}
	}
}

// What a Writer hands on is whole lines, so that a caller can take back what a
// full disk cut. After an error it stays quiet.
func TestWriterHandsOnWholeLines(t *testing.T) {
	var out lines
	w, err := NewWriter(&out, Meta{Note: strings.Repeat("n", 5000)}, []model.Channel{model.Raining}, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		s := model.Sample{TimeMs: int64(i)}
		s.Set(model.Raining, 1)
		if err := w.Write(&s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil || out.halves > 0 || out.writes < 3 {
		t.Errorf("%d writes, %d of half lines (%v)", out.writes, out.halves, err)
	}
	out.err = errors.New("full")
	s := model.Sample{TimeMs: 5000}
	if err := errors.Join(w.Write(&s), w.Flush()); !errors.Is(err, out.err) {
		t.Errorf("a full disk: %v", err)
	}
	was := out.writes
	out.err = nil
	for range 1000 {
		s.TimeMs++
		if err := errors.Join(w.Write(&s), w.Flush()); err == nil {
			t.Fatal("it writes on behind a lost row")
		}
	}
	if out.writes != was {
		t.Error("it writes on after an error")
	}
}

type lines struct {
	writes, halves int
	err            error
}

func (l *lines) Write(b []byte) (int, error) {
	l.writes++
	if !bytes.HasSuffix(b, []byte("\n")) {
		l.halves++
	}
	return len(b), l.err
}
