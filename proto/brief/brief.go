// Package brief cuts what a message quotes, so that a message stays one line.
//
// A file that was damaged may hold a cell of a megabyte, or a block of NUL bytes.
// An error that quotes it whole fills a screen and hides its own text. Every error
// that quotes a file, a frame or an answer quotes it through this package. A limit
// in the logger was refused: it would cut the end of the message, where the cause
// stands.
package brief

import (
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Chars is how many characters of a quotation are kept.
const Chars = 60

// A quotable is text or bytes.
type quotable interface{ ~string | ~[]byte }

// Quote quotes s as %q does. Of a long s it keeps as many characters as make at
// most Chars of quoted text, and says how long s is.
func Quote[T quotable](s T) string {
	kept, width := 0, 0
	for kept < len(s) {
		r, size := utf8.DecodeRuneInString(string(s[kept:min(len(s), kept+utf8.UTFMax)]))
		one := strconv.Quote(string(s[kept : kept+size]))
		if r != utf8.RuneError && r > 0x7f && strconv.IsPrint(r) {
			width++
		} else {
			width += len(one) - 2
		}
		if width > Chars {
			return strconv.Quote(string(s[:kept])) + "... (" + strconv.Itoa(len(s)) + " bytes)"
		}
		kept += size
	}
	return strconv.Quote(string(s))
}

// Text is s, or its first Chars characters and how long it is. It is for names
// that stand in a message without quotation marks.
func Text[T quotable](s T) string {
	n := 0
	for i := range string(s) {
		if n == Chars {
			return string(s[:i]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
		}
		n++
	}
	return string(s)
}

// A quoted string prints itself as Quote does under %q, and whole under others.
type quoted string

// Format implements fmt.Formatter.
func (q quoted) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		io.WriteString(f, Quote(q)) // a fmt.State keeps no error
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), string(q))
}

func cut(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case string:
			out[i] = quoted(v)
		case []byte:
			out[i] = quoted(v)
		default:
			out[i] = a
		}
	}
	return out
}

// Errorf is fmt.Errorf with %q of strings and bytes cut as Quote does.
func Errorf(format string, args ...any) error { return fmt.Errorf(format, cut(args)...) }

// Sprintf is fmt.Sprintf with %q of strings and bytes cut as Quote does.
func Sprintf(format string, args ...any) string { return fmt.Sprintf(format, cut(args)...) }
