package cap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// declared matches the encoding of an XML declaration.
var declared = regexp.MustCompile(`^<\?xml[^>]*\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// toUTF8 turns a message into UTF-8 without a byte order mark. Every XML reader
// must know UTF-8 and UTF-16 (XML 1.0, 4.3.3); Latin-1 and its relatives are
// read too, because their letters decide nothing.
func toUTF8(b []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order, b = binary.LittleEndian, b[2:]
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order, b = binary.BigEndian, b[2:]
	case bytes.HasPrefix(b, []byte{'<', 0}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0, '<'}):
		order = binary.BigEndian
	}
	if order != nil {
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = order.Uint16(b[2*i:])
		}
		if len(b)%2 != 0 { // cut within a character
			units = append(units, utf8.RuneError)
		}
		return []byte(string(utf16.Decode(units))), nil
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if utf8.Valid(b) {
		return b, nil
	}
	if m := declared.FindSubmatch(b); m != nil && isLatin(string(m[1])) {
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return []byte(string(runes)), nil
	}
	return nil, errors.New("neither UTF-8 nor UTF-16")
}

// isLatin knows the encodings that are read as Latin-1.
func isLatin(name string) bool {
	name = strings.ToLower(name)
	return name == "us-ascii" || name == "iso-8859-1" || name == "iso-8859-15" || name == "windows-1252" || name == "latin1"
}
