package cap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"fairwatt/proto/brief"
)

// Limits on a message.
const (
	MaxBytes    = 1 << 20
	maxDepth    = 8
	maxElements = 20_000
	maxInfos    = 64
	maxAreas    = 1024
)

// Parse reads one CAP 1.2 message. It refuses what a decision hangs on and cannot
// be read, with the element that is wrong, and passes over the rest; the alert's
// Oddities say what. Nothing outside the bytes is ever fetched.
func Parse(b []byte) (*Alert, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("read CAP: %d bytes are more than %d", len(b), MaxBytes)
	}
	text, err := toUTF8(b)
	if err != nil {
		return nil, fmt.Errorf("read CAP: %w", err)
	}
	p := parser{d: xml.NewDecoder(bytes.NewReader(text))}
	p.d.Strict = true
	p.d.Entity = nil // XML's own five only
	p.d.CharsetReader = func(name string, r io.Reader) (io.Reader, error) {
		if !isLatin(name) && !strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return nil, fmt.Errorf("encoding %s is neither UTF-8 nor UTF-16", brief.Quote(name))
		}
		return r, nil // toUTF8 has done it
	}
	a, err := p.document()
	if err == nil {
		a.mend()
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
	out   *Alert
}

// token returns the next start or end element or text, and refuses what CAP
// has no use for.
func (p *parser) token() (xml.Token, error) {
	for {
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case xml.Directive:
			return nil, errors.New("document types and entities are refused")
		case xml.ProcInst:
			continue // a stylesheet, an editor's mark: no part of the content
		case xml.Comment:
			continue
		case xml.StartElement:
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
	for {
		t, err := p.token()
		if errors.Is(err, io.EOF) && p.out != nil {
			return p.out, nil
		}
		if err != nil {
			return nil, noEOF(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if p.out != nil || t.Name.Local != "alert" || t.Name.Space != Namespace {
				return nil, fmt.Errorf("element %s in %s: want one alert in %s", brief.Text(t.Name.Local), brief.Quote(t.Name.Space), Namespace)
			}
			p.out = &Alert{}
			if err := p.alert(p.out); err != nil {
				return nil, err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text outside the alert")
			}
		}
	}
}

// decides are the elements that stand once and on which a decision hangs.
var decides = once("identifier", "sender", "sent", "status", "msgType", "references", "urgency", "severity", "certainty",
	"expires", "onset", "effective", "value")

// errUnknown is the answer to the name of an element that the standard does not
// have.
var errUnknown = errors.New("unknown element")

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
				p.out.odd("%s: text between elements: %s", parent, brief.Quote(bytes.TrimSpace(t)))
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
				if decides[name] {
					return fmt.Errorf("%s: %s stands twice", parent, name)
				}
				p.out.odd("%s: %s stands twice", parent, name)
				if err := p.skip(); err != nil {
					return err
				}
				continue
			}
			seen[name] = true
			switch err := each(name); {
			case errors.Is(err, errUnknown):
				p.out.odd("%s: unknown element %s", parent, brief.Text(name))
				if err := p.skip(); err != nil {
					return err
				}
			case err != nil:
				return fmt.Errorf("%s: %w", brief.Text(name), err)
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
	for _, layout := range []string{timeLayout, time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is no time of the form 2026-01-01T00:00:00-00:00", brief.Quote(s))
}

func (p *parser) time(dst *time.Time) error {
	s, err := p.text()
	if err != nil {
		return err
	}
	*dst, err = parseTime(s)
	return err
}

// timeOrNone reads a time without which a warning holds at once: one that cannot
// be read is passed over.
func (p *parser) timeOrNone(name string, dst *time.Time) error {
	s, err := p.text()
	if err != nil {
		return err
	}
	if *dst, err = parseTime(s); err != nil {
		p.out.odd("%s: %v", name, err)
	}
	return nil
}
