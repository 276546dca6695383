package cap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits on a message.
const (
	MaxBytes    = 1 << 20
	maxDepth    = 8
	maxElements = 20_000
	maxInfos    = 64
	maxAreas    = 1024
)

// Parse reads one CAP 1.2 message. Whatever is not one is refused with the
// element that is wrong; nothing outside the bytes is ever fetched.
func Parse(b []byte) (*Alert, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("read CAP: %d bytes are more than %d", len(b), MaxBytes)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("read CAP: not UTF-8")
	}
	p := parser{d: xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))}
	p.d.Strict = true
	p.d.Entity = nil // XML's own five only
	a, err := p.document()
	if err == nil {
		err = a.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("read CAP: %w", err)
	}
	return a, nil
}

// Read reads one message from r, and refuses more than MaxBytes without
// reading on.
func Read(r io.Reader) (*Alert, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read CAP: %w", err)
	}
	return Parse(b)
}

// A parser walks the elements itself rather than unmarshal into structs:
// encoding/xml would pass over unknown, misplaced and repeated elements.
type parser struct {
	d     *xml.Decoder
	depth int
	count int
	began bool // something other than the declaration was seen
}

// token returns the next start or end element or text, and refuses what CAP
// has no use for.
func (p *parser) token() (xml.Token, error) {
	for {
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, errors.New("document types and entities are refused")
		case xml.ProcInst:
			if t.Target != "xml" || p.began {
				return nil, fmt.Errorf("processing instruction %q is refused", t.Target)
			}
			p.began = true
			continue
		case xml.Comment:
			p.began = true
			continue
		case xml.StartElement:
			p.began = true
			if p.depth++; p.depth > maxDepth {
				return nil, fmt.Errorf("elements nest deeper than %d", maxDepth)
			}
			if p.count++; p.count > maxElements {
				return nil, fmt.Errorf("more than %d elements", maxElements)
			}
		case xml.EndElement:
			p.depth--
		}
		return t, nil
	}
}

func (p *parser) document() (*Alert, error) {
	var out *Alert
	for {
		t, err := p.token()
		if errors.Is(err, io.EOF) && out != nil {
			return out, nil
		}
		if err != nil {
			return nil, noEOF(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if out != nil || t.Name.Local != "alert" || t.Name.Space != Namespace {
				return nil, fmt.Errorf("element %s in %q: want one alert in %s", t.Name.Local, t.Name.Space, Namespace)
			}
			out = &Alert{}
			if err := p.alert(out); err != nil {
				return nil, err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text outside the alert")
			}
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// children calls each for every child element, which must consume it. Foreign
// elements (a signature) are passed over.
func (p *parser) children(parent string, once map[string]bool, each func(name string) error) error {
	seen := map[string]bool{}
	for {
		t, err := p.token()
		if err != nil {
			return noEOF(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return fmt.Errorf("%s: text between elements", parent)
			}
		case xml.StartElement:
			name := t.Name.Local
			if t.Name.Space != Namespace {
				if err := p.skip(); err != nil {
					return err
				}
				continue
			}
			if seen[name] && once[name] {
				return fmt.Errorf("%s: %s stands twice", parent, name)
			}
			seen[name] = true
			if err := each(name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
}

// skip passes over the element that was just opened.
func (p *parser) skip() error {
	for depth := p.depth; p.depth >= depth; {
		if _, err := p.token(); err != nil {
			return noEOF(err)
		}
	}
	return nil
}

// text reads the text of the element that was just opened.
func (p *parser) text() (string, error) {
	var b strings.Builder
	for {
		t, err := p.token()
		if err != nil {
			return "", noEOF(err)
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			return "", fmt.Errorf("element %s within text", t.Name.Local)
		case xml.EndElement:
			return strings.TrimSpace(b.String()), nil
		}
	}
}

func (p *parser) set(dst *string) error {
	s, err := p.text()
	*dst = s
	return err
}

func (p *parser) add(dst *[]string) error {
	s, err := p.text()
	*dst = append(*dst, s)
	return err
}

// timeLayout is CAP's: no fraction, and an offset that is never Z. Z is read
// all the same, because many senders write it.
const timeLayout = "2006-01-02T15:04:05-07:00"

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{timeLayout, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time of the form 2026-01-01T00:00:00-00:00", s)
}

func (p *parser) time(dst *time.Time) error {
	s, err := p.text()
	if err != nil {
		return err
	}
	*dst, err = parseTime(s)
	return err
}
