package comtrade

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairwatt/model/trace"
	"fairwatt/proto/brief"
)

// ReadConfig reads a .cfg. It accepts what real recorders write: blank lines,
// spaces around fields, a trailing 0x1A, missing last lines of older revisions,
// and names that are not UTF-8 (read as Latin-1). A count, a number or a format
// that makes no sense is an error with its line.
func ReadConfig(in io.Reader) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read comtrade cfg: %w", err)
	}
	return parseConfig(text)
}

func parseConfig(text []byte) (*Config, error) {
	if len(text) > maxText {
		return nil, &Error{File: "cfg", Err: fmt.Errorf("longer than %d bytes", maxText)}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	p := &cfgParser{rest: text, c: &Config{TimeMult: 1}}
	for _, part := range []func() error{p.station, p.channels, p.rates, p.times, p.tail} {
		if err := part(); err != nil {
			return nil, &Error{File: "cfg", Line: p.line, Err: err}
		}
	}
	return p.c, nil
}

type cfgParser struct {
	rest []byte
	line int64
	c    *Config
}

var errCfgEnds = errors.New("the configuration ends too early")

// fields returns the next line that is not blank, split and trimmed.
func (p *cfgParser) fields() ([]string, error) {
	for len(p.rest) > 0 {
		var line []byte
		line, p.rest, _ = bytes.Cut(p.rest, []byte{'\n'})
		p.line++
		line = bytes.TrimSpace(bytes.Trim(line, "\x1a\r"))
		if len(line) == 0 {
			continue
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		out := strings.Split(toUTF8(line), ",")
		for i := range out {
			out[i] = strings.TrimSpace(out[i])
		}
		return out, nil
	}
	return nil, errCfgEnds
}

// toUTF8 reads text that is not UTF-8 as Latin-1. The letters may be wrong but
// stay distinct, and no byte is lost.
func toUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

func (p *cfgParser) station() error {
	f, err := p.fields()
	if err != nil {
		return err
	}
	p.c.Station, p.c.Revision = f[0], 1991
	if len(f) > 1 {
		p.c.Device = f[1]
	}
	if len(f) > 2 && f[2] != "" {
		if p.c.Revision, err = strconv.Atoi(f[2]); err != nil || p.c.Revision < 1900 || p.c.Revision > 9999 {
			return brief.Errorf("revision %q is no year", f[2])
		}
	}
	return nil
}

func (p *cfgParser) channels() error {
	f, err := p.fields()
	if err != nil {
		return err
	}
	if len(f) < 3 {
		return fmt.Errorf("channel counts: %d fields; wanted total, analog A, digital D", len(f))
	}
	analogs, err := cfgCount(f[1], "A", maxAnalogs)
	if err != nil {
		return err
	}
	digitals, err := cfgCount(f[2], "D", maxDigitals)
	if err != nil {
		return err
	}
	if total, err := cfgCount(f[0], "", maxAnalogs+maxDigitals); err != nil || total != analogs+digitals {
		return fmt.Errorf("%s channels are not %d analog and %d digital ones", f[0], analogs, digitals)
	}
	for range analogs {
		if f, err = p.fields(); err != nil {
			return err
		}
		a, err := cfgAnalog(f)
		if err != nil {
			return err
		}
		p.c.Analogs = append(p.c.Analogs, a)
	}
	for range digitals {
		if f, err = p.fields(); err != nil {
			return err
		}
		d, err := cfgDigital(f)
		if err != nil {
			return err
		}
		p.c.Digitals = append(p.c.Digitals, d)
	}
	return nil
}

func cfgCount(field, suffix string, limit int) (int, error) {
	digits := field
	if suffix != "" {
		if digits = strings.TrimSuffix(strings.ToUpper(field), suffix); digits == field {
			return 0, brief.Errorf("channel count %q does not end in %s", field, suffix)
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil || n < 0 || n > limit {
		return 0, brief.Errorf("channel count %q is not a number from 0 to %d", field, limit)
	}
	return n, nil
}

func cfgAnalog(f []string) (Analog, error) {
	if len(f) < 10 {
		return Analog{}, fmt.Errorf("analog channel: %d fields; at least 10 are needed", len(f))
	}
	a := Analog{Name: f[1], Phase: f[2], Circuit: f[3], Unit: f[4], Primary: 1, SecondaryRated: 1}
	for i, dst := range []*float64{&a.A, &a.B, &a.SkewUS, &a.Min, &a.Max, &a.Primary, &a.SecondaryRated} {
		if 5+i >= len(f) || f[5+i] == "" && i >= 1 {
			continue
		}
		v, err := trace.ParseNumber(f[5+i])
		if err != nil {
			return a, brief.Errorf("analog channel %s, field %d: %q %w", a.Name, 6+i, f[5+i], err)
		}
		*dst = v
	}
	if len(f) > 12 {
		switch strings.ToUpper(f[12]) {
		case "S":
			a.Secondary = true
		case "P", "":
		default:
			return a, brief.Errorf("analog channel %s: %q is neither P nor S", a.Name, f[12])
		}
	}
	if a.Secondary && (a.SecondaryRated == 0) != (a.Primary == 0) {
		return a, fmt.Errorf("analog channel %s: ratio %v to %v", a.Name, a.Primary, a.SecondaryRated)
	}
	if v := a.Factor(); math.IsInf(v*a.A, 0) || math.IsInf(v*a.B, 0) {
		return a, fmt.Errorf("analog channel %s: its scale is out of range", a.Name)
	}
	return a, nil
}

// cfgDigital takes both forms: number, name, normal (1991) and number, name,
// phase, circuit, normal.
func cfgDigital(f []string) (Digital, error) {
	if len(f) < 2 {
		return Digital{}, fmt.Errorf("digital channel: %d fields; at least 2 are needed", len(f))
	}
	d := Digital{Name: f[1]}
	normal := ""
	switch {
	case len(f) >= 5:
		d.Phase, d.Circuit, normal = f[2], f[3], f[4]
	case len(f) >= 3:
		normal = f[len(f)-1]
	}
	if normal != "" && normal != "0" && normal != "1" {
		return d, brief.Errorf("digital channel %s: normal state %q is neither 0 nor 1", d.Name, normal)
	}
	d.Normal = normal == "1"
	return d, nil
}

func (p *cfgParser) rates() error {
	f, err := p.fields()
	if err != nil {
		return err
	}
	// The line frequency may be empty or missing (C37.111-1999, 5.3.6). The number of
	// rates stands alone in its line and a rate does not: what is before a rate is
	// the number.
	at, line := p.rest, p.line
	next, err := p.fields()
	if err != nil {
		return err
	}
	p.rest, p.line = at, line
	if lone := len(next) < 2 || strings.Join(next[1:], "") == ""; !lone {
		return p.rateList(f)
	}
	if f[0] != "" {
		if p.c.LineHz, err = trace.ParseNumber(f[0]); err != nil || p.c.LineHz < 0 || p.c.LineHz > 1000 {
			return brief.Errorf("line frequency %q is not a number from 0 to 1000", f[0])
		}
	}
	if f, err = p.fields(); err != nil {
		return err
	}
	return p.rateList(f)
}

// rateList reads the rates, whose number f is.
func (p *cfgParser) rateList(f []string) error {
	n, err := strconv.Atoi(f[0])
	if err != nil || n < 0 || n > maxRates {
		return brief.Errorf("number of sampling rates %q is not from 0 to %d", f[0], maxRates)
	}
	p.c.Timed = n == 0
	var before int64
	for range max(n, 1) { // one line follows even without a rate
		if f, err = p.fields(); err != nil {
			return err
		}
		if len(f) < 2 {
			return errors.New("sampling rate: wanted rate, last sample")
		}
		r := Rate{}
		if r.Hz, err = trace.ParseNumber(f[0]); err != nil || r.Hz < 0 || r.Hz > 1e9 {
			return brief.Errorf("sampling rate %q is not from 0 to 1e9 Hz", f[0])
		}
		if r.Last, err = strconv.ParseInt(f[1], 10, 64); err != nil || r.Last < before || r.Last > maxSamples {
			return brief.Errorf("last sample %q is not from %d to %d", f[1], before, int64(maxSamples))
		}
		if n > 0 && r.Hz < 1e-6 {
			if n > 1 {
				return brief.Errorf("sampling rate %q of several", f[0])
			}
			p.c.Timed = true // a single rate of zero also means: see the time stamps
		}
		if p.c.Timed {
			r.Hz = 0
		}
		before = r.Last
		p.c.Rates = append(p.c.Rates, r)
	}
	return nil
}

func (p *cfgParser) times() error {
	for _, dst := range []*time.Time{&p.c.Start, &p.c.Trigger} {
		f, err := p.fields()
		if err != nil {
			return err
		}
		at, nanos, err := cfgTime(f, p.c.Revision < 1999)
		if err != nil {
			return err
		}
		if dst == &p.c.Start {
			p.c.Nanoseconds = nanos
		}
		*dst = at
	}
	return nil
}

// cfgTime reads day, month and year of 1999 and later, month, day and year of
// 1991. If the month is above 12, the two are swapped, as several recorders write
// them. No date, or one of zeros, is the zero time.
func cfgTime(f []string, monthFirst bool) (at time.Time, nanos bool, err error) {
	text := strings.Join(f, ",")
	if strings.Trim(text, "0/:., ") == "" {
		return time.Time{}, false, nil
	}
	date, clock, ok := strings.Cut(text, ",")
	parts := strings.FieldsFunc(date, func(r rune) bool { return r == '/' || r == '-' || r == '.' })
	if !ok || len(parts) != 3 {
		return at, false, brief.Errorf("time %q: wanted day/month/year,hours:minutes:seconds", text)
	}
	var n [3]int
	for i, s := range parts {
		if n[i], err = strconv.Atoi(strings.TrimSpace(s)); err != nil || n[i] < 0 || n[i] > 9999 {
			return at, false, brief.Errorf("time %q: date", text)
		}
	}
	day, month, year := n[0], n[1], n[2]
	if monthFirst {
		day, month = month, day
	}
	if month > 12 {
		day, month = month, day
	}
	switch {
	case year < 70:
		year += 2000
	case year < 100:
		year += 1900
	}
	clock = strings.Join(strings.Fields(clock), "") // recorders pad with blanks
	leap := strings.HasPrefix(clock, "23:59:60")
	if leap {
		clock = "23:59:59" + clock[len("23:59:60"):]
	}
	_, fraction, _ := strings.Cut(clock, ".")
	nanos = len(fraction) > 6
	t, err := time.Parse("15:4:5", clock) // a fraction after the seconds is accepted
	if err != nil {
		return at, false, brief.Errorf("time %q: clock", text)
	}
	at = time.Date(year, time.Month(month), day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	if at.Day() != day || int(at.Month()) != month {
		return time.Time{}, false, brief.Errorf("time %q: no such day", text)
	}
	if leap {
		at = at.Add(time.Second)
	}
	return at, nanos, nil
}

// tail reads what follows the times: the format, and in newer revisions the time
// multiplier, the time codes and the clock's quality. These three may be missing.
func (p *cfgParser) tail() error {
	f, err := p.fields()
	if err != nil {
		return err
	}
	p.c.Format = Format(len(formats))
	for i, name := range formats {
		if strings.EqualFold(f[0], name) {
			p.c.Format = Format(i)
		}
	}
	if int(p.c.Format) == len(formats) {
		return brief.Errorf("data format %q is not one of %s", f[0], strings.Join(formats[:], ", "))
	}
	for line := range 3 {
		if f, err = p.fields(); errors.Is(err, errCfgEnds) {
			return nil
		}
		if err != nil {
			return err
		}
		second := ""
		if len(f) > 1 {
			second = f[1]
		}
		switch line {
		case 0:
			v, err := trace.ParseNumber(f[0])
			if err != nil || v <= 0 || v > 1e9 {
				return brief.Errorf("time multiplier %q is not above 0 and at most 1e9", f[0])
			}
			p.c.TimeMult = v
		case 1:
			p.c.TimeCode, p.c.LocalCode = f[0], second
			offset, err := cfgOffset(f[0])
			if err != nil {
				return err
			}
			for _, t := range []*time.Time{&p.c.Start, &p.c.Trigger} {
				if !t.IsZero() {
					*t = t.Add(-offset)
				}
			}
		case 2:
			p.c.Quality, p.c.LeapSecond = f[0], second
		}
	}
	return nil
}

// cfgOffset reads an offset from UTC: "-5h30", "+10", "0" or "x" for unknown.
func cfgOffset(code string) (time.Duration, error) {
	if code == "" || strings.EqualFold(code, "x") {
		return 0, nil
	}
	digits, negative := strings.CutPrefix(code, "-")
	digits = strings.TrimPrefix(digits, "+")
	h, m, hasMinutes := strings.Cut(strings.ToLower(digits), "h")
	hours, err := strconv.Atoi(h)
	minutes := 0
	if err == nil && hasMinutes && m != "" {
		minutes, err = strconv.Atoi(m)
	}
	if err != nil || hours < 0 || hours > 24 || minutes < 0 || minutes > 59 {
		return 0, brief.Errorf("time code %q is no offset such as -5h30", code)
	}
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if negative {
		d = -d
	}
	return d, nil
}
