package person_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"fairwatt/proto/person"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"Ada", "Ada Lovelace", "O'Brien-Smith", "Jörg", "李小龙", "山田　太郎", "می\u200cخواهم", "a", strings.Repeat("x", person.MaxNameBytes),
	} {
		if err := person.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"":       "no name given",
		"  ":     "no name given",
		"\u3000": "no name given",
		strings.Repeat("x", person.MaxNameBytes+1): "has 65 bytes; use at most 64",
		strings.Repeat("é", 33):                    "has 66 bytes; use at most 64",
		" Ada":                                     "begins or ends with a space",
		"Ada ":                                     "begins or ends with a space",
		"Ada\nBob":                                 "U+000A",
		"Ada\x1b[2J":                               "U+001B",
		"Ada\x7f":                                  "U+007F",
		"Ada\u0085":                                "U+0085",
		"Ada\u00a0B":                               "U+00A0",
		"Ada\u2028B":                               "U+2028",
		"Ada\u202eB":                               "U+202E",
		"Ada\u2066B":                               "U+2066",
		"\ufeffAda":                                "U+FEFF",
		"Ada\u200bB":                               "U+200B",
		"\u1680":                                   "U+1680",
		"\u2800":                                   "U+2800",
		"\u3164":                                   "U+3164",
		"Ada\xff":                                  "not valid UTF-8",
		"Ada\x00" + strings.Repeat("\x00", 1<<20): "bytes; use at most 64",
	} {
		err := person.CheckName(bad)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: %v, want %q", bad, err, says)
		} else if len(err.Error()) > 200 {
			t.Errorf("%.20q: an error of %d bytes", bad, len(err.Error()))
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "cleaning the modules", strings.Repeat("x", person.MaxWhyBytes)} {
		if err := person.CheckWhy(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{" ", "a\nb", strings.Repeat("x", person.MaxWhyBytes+1)} {
		if person.CheckWhy(bad) == nil {
			t.Errorf("%.20q may be a reason", bad)
		}
	}
}

// Of all characters that are spaces, only two stand in a name, and no name is made of
// them alone. The property below draws such a character too rarely to be relied on.
func TestEverySpace(t *testing.T) {
	t.Parallel()
	for r := range unicode.MaxRune + 1 {
		if !unicode.IsSpace(r) && !unicode.Is(unicode.Z, r) {
			continue
		}
		if person.CheckName(string(r)) == nil {
			t.Errorf("a name of nothing but U+%04X passed", r)
		}
		if within := person.CheckName("A" + string(r) + "B"); (within == nil) != (r == ' ' || r == 0x3000) {
			t.Errorf("U+%04X within a name: %v", r, within)
		}
	}
}

// Whatever passes is safe on a terminal, in one line, and fits its place.
func TestNamesAreSafeToShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "name")
		if person.CheckName(s) != nil {
			return
		}
		if len(s) > person.MaxNameBytes || !utf8.ValidString(s) || strings.TrimSpace(s) == "" {
			t.Fatalf("%q passed", s)
		}
		for _, r := range s {
			if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
				unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q passed with U+%04X", s, r)
			}
		}
	})
}

// The characters that no name has, each range by its ends, and what stands beside them,
// which a name may have.
func TestEveryRefusedCharacter(t *testing.T) {
	t.Parallel()
	for _, r := range [][2]rune{
		{0, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad}, {0x61c, 0x61c}, {0x115f, 0x1160}, {0x1680, 0x1680}, {0x180e, 0x180e},
		{0x2000, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x2800, 0x2800}, {0x3164, 0x3164},
		{0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	} {
		for c := r[0]; c <= r[1]; c++ {
			if person.CheckName("A"+string(c)+"B") == nil {
				t.Errorf("U+%04X passed", c)
			}
		}
		for _, c := range []rune{r[0] - 1, r[1] + 1} {
			if err := person.CheckName("A" + string(c) + "B"); c >= 0 && err != nil {
				t.Errorf("U+%04X: %v", c, err)
			}
		}
	}
}
