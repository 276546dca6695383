package person

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"fairwatt/proto/brief"
)

// Limits of a name and of a reason, in bytes of UTF-8.
const (
	MaxNameBytes = 64
	MaxWhyBytes  = 256
)

// CheckName returns why a person may not be called so, or nil. The error quotes the
// name and says what to do.
func CheckName(name string) error {
	if blank(name) {
		return errors.New("no name given; say who speaks")
	}
	return check("name", name, MaxNameBytes)
}

// CheckWhy returns why a text may not stand as a reason, or nil. An empty one may.
func CheckWhy(why string) error {
	if why == "" {
		return nil
	}
	if blank(why) {
		return errors.New("reason is blank; write it, or leave it out")
	}
	return check("reason", why, MaxWhyBytes)
}

func check(what, s string, most int) error {
	switch {
	case len(s) > most:
		return brief.Errorf("%s %q has %d bytes; use at most %d", what, s, len(s), most)
	case !utf8.ValidString(s):
		return brief.Errorf("%s %q is not valid UTF-8; write it in UTF-8", what, s)
	case strings.HasPrefix(s, " ") || strings.HasSuffix(s, " "):
		return brief.Errorf("%s %q begins or ends with a space; leave that out", what, s)
	}
	for _, r := range s {
		if control(r) {
			return fmt.Errorf("%s %s has the control character U+%04X; leave it out", what, brief.Quote(s), r)
		}
	}
	return nil
}

// blank reports a text of nothing but spaces. U+3000 stands between the parts of
// some names, so it counts as a space and not as a control character.
func blank(s string) bool {
	return strings.Trim(s, " \t\u3000") == ""
}

// control reports the characters that are not seen or change how others are seen:
// C0, C1, spaces that look like others or like nothing, letters without a shape
// (fillers, the blank of Braille), line and paragraph separators, marks of direction,
// the byte order mark. The two joiners (U+200C and U+200D) are part of names in some
// scripts.
func control(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0xa0:
		return true
	case r >= 0x2000 && r <= 0x200b, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202f, r >= 0x205f && r <= 0x206f:
		return true
	case r == 0x115f, r == 0x1160, r == 0x1680, r == 0x2800, r == 0x3164, r == 0xffa0:
		return true
	}
	return r == 0xfeff || r == 0x00ad || r == 0x061c || r == 0x180e || r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe007f
}
