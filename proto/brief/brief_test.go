package brief

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestQuoteKeepsWhatIsShort(t *testing.T) {
	for _, s := range []string{"", "12,5", strings.Repeat("a", Chars), strings.Repeat("ß", Chars), "a\x00b"} {
		if got := Quote(s); got != strconv.Quote(s) {
			t.Errorf("Quote(%q) = %s", s, got)
		}
		if got := Text(s); got != s {
			t.Errorf("Text(%q) = %s", s, got)
		}
	}
	if got, want := Quote(strings.Repeat("a", Chars+1)), strconv.Quote(strings.Repeat("a", Chars))+"... (61 bytes)"; got != want {
		t.Errorf("one character too many: %s, want %s", got, want)
	}
	if got, want := Text(strings.Repeat("a", Chars+1)), strings.Repeat("a", Chars)+"... (61 bytes)"; got != want {
		t.Errorf("one character too many: %s, want %s", got, want)
	}
}

// What is kept is the beginning of the text in at most Chars characters on the
// screen, whatever the bytes are: NUL bytes take four each.
func TestQuoteIsOneShortLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "one byte only") && len(b) > 0 {
			b = []byte(strings.Repeat(string(b[:1]), 300))
		}
		got := Quote(b)
		head, _, _ := strings.Cut(got, "... (")
		if len(b) > 0 && strings.HasPrefix(got, `""`) {
			t.Fatalf("nothing of %q is kept", b)
		}
		if n := utf8.RuneCountInString(head) - 2; n > Chars {
			t.Fatalf("%d characters are kept: %s", n, got)
		}
		kept, err := strconv.Unquote(head)
		if !strings.Contains(string(b), "... (") && (err != nil || !strings.HasPrefix(string(b), kept)) {
			t.Fatalf("%s is not the beginning of %q (%v)", head, b, err)
		}
	})
}

func TestErrorfCutsOnlyQuotations(t *testing.T) {
	long, cause := strings.Repeat("x", 100), errors.New("the cause")
	err := Errorf("column %s: %q, %-5q|%d|%5s|%v: %w", long, []byte(long), "ab", 7, "cd", long, cause)
	want := "column " + long + ": " + Quote(long) + `, "ab"|7|   cd|` + long + ": the cause"
	if err.Error() != want || !errors.Is(err, cause) {
		t.Errorf("%v\nwant %s", err, want)
	}
	if got := Sprintf("%q %s", long, "a"); got != Quote(long)+" a" {
		t.Errorf("%s", got)
	}
}
