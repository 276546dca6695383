package weather

import (
	"math"
	"strconv"
	"strings"

	"fairwatt/proto/brief"
)

// A quantity is a value that a report may lack.
type quantity struct {
	v  float64
	ok bool
}

func known(v float64) quantity { return quantity{v, true} }

// A metarReport is what this package reads of one report.
type metarReport struct {
	station           string
	kind              string // METAR, SPECI, or "" where the report does not say
	corrected, absent bool   // COR; NIL
	day, hour, minute int

	windMPS, gustMPS, directionDeg quantity
	temperatureC, dewC             quantity
	qnhHPa, seaLevelHPa            quantity
	automated                      bool // says AO1 or AO2: FMH-1 defines its remarks
	weatherUnknown                 bool // the station could not tell
	thunderUnknown                 bool
	raining, thunder               bool
	rainMM                         quantity // of the hour, from the group P
	rainGauge                      bool     // the station has one: without a group P there was no rain
}

// parseMETAR reads one report: wind, temperature, pressure and weather up to the
// forecast trend, and the figures that the United States put into the remarks.
// Everything else is skipped. A group that is not understood is a missing value,
// because stations send odd ones.
func parseMETAR(text string) (*metarReport, error) {
	r := &metarReport{}
	words := strings.Fields(strings.ToUpper(text))
	words, err := r.head(words)
	if err != nil {
		return nil, err
	}
	part := r.body
	for i, w := range words {
		switch {
		case w == "RMK":
			r.remarks(words[i+1:])
			return r, nil
		case isTrend(w):
			part = nil // a forecast is no observation
		case part != nil:
			part(w)
		}
	}
	return r, nil
}

// head reads kind, station, time and modifiers, and returns the rest.
func (r *metarReport) head(words []string) ([]string, error) {
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		return words[0]
	}
	for next() == "METAR" || next() == "SPECI" || next() == "COR" {
		if next() == "COR" {
			r.corrected = true
		} else {
			r.kind = next()
		}
		words = words[1:]
	}
	if next() == "NIL" {
		r.absent = true
		return nil, nil
	}
	if !isStation(next()) {
		return nil, brief.Errorf("%q is no station: want METAR or SPECI, four letters, day and time, as in METAR EHAM 020255Z", next())
	}
	r.station, words = next(), words[1:]
	if next() == "NIL" { // a bulletin says so without a time
		r.absent = true
		return nil, nil
	}
	if !r.time(next()) {
		return nil, brief.Errorf("%q is no day and time: want them as 020255Z", next())
	}
	words = words[1:]
	for {
		w := next()
		switch {
		case w == "NIL":
			r.absent = true
		case w == "COR", len(w) == 3 && w[:2] == "CC" && w[2] >= 'A' && w[2] <= 'Z':
			r.corrected = true
		case w != "AUTO":
			return words, nil
		}
		words = words[1:]
	}
}

func isStation(w string) bool {
	if len(w) != 4 || w[0] < 'A' || w[0] > 'Z' {
		return false
	}
	for i := range len(w) {
		if !(w[i] >= 'A' && w[i] <= 'Z' || isDigit(w[i])) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// digits reads a number of digits alone.
func digits(w string) (int, bool) {
	if w == "" || len(w) > 8 {
		return 0, false
	}
	for i := range len(w) {
		if !isDigit(w[i]) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(w)
	return n, err == nil
}

func isTime(w string) bool {
	_, ok := digits(strings.TrimSuffix(w, "Z"))
	return ok && len(w) == 7 && w[6] == 'Z'
}

func (r *metarReport) time(w string) bool {
	if !isTime(w) {
		return false
	}
	n, _ := digits(w[:6])
	r.day, r.hour, r.minute = n/10000, n/100%100, n%100
	return r.day >= 1 && r.day <= 31 && r.hour < 24 && r.minute < 60
}

func isTrend(w string) bool {
	switch w {
	case "NOSIG", "TEMPO", "BECMG", "INTER", "GRADU", "RAPID":
		return true
	}
	// FM2100, TL0130, AT1200 begin a change themselves in some countries' trends.
	for _, word := range [...]struct {
		text   string
		digits int
	}{{"FM", 4}, {"TL", 4}, {"AT", 4}, {"FM", 6}, {"PROB", 2}} {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(w, "Z"), word.text)
		if _, number := digits(rest); ok && number && len(rest) == word.digits {
			return true
		}
	}
	return false
}

func (r *metarReport) body(w string) {
	switch {
	case w == "//":
		r.weatherUnknown = true
	case r.wind(w), r.temperatures(w), r.qnh(w):
	default:
		r.weather(w)
	}
}

// wind reads 22015G27KT and its like. Only the first group counts.
func (r *metarReport) wind(w string) bool {
	scale := 0.0
	for _, unit := range [...]struct {
		name string
		mps  float64
	}{{"KT", mpsPerKnot}, {"MPS", 1}, {"KMH", 1 / 3.6}} {
		if text, ok := strings.CutSuffix(w, unit.name); ok {
			w, scale = text, unit.mps
			break
		}
	}
	if scale == 0 || len(w) < 5 || r.windMPS.ok {
		return false
	}
	direction, rest := w[:3], w[3:]
	mean, gust, _ := strings.Cut(rest, "G")
	// P marks a value that is off the scale: it is at least that.
	n, ok := digits(strings.TrimPrefix(mean, "P"))
	if !ok || len(mean) < 2 {
		return strings.HasPrefix(rest, "//")
	}
	r.windMPS = known(tenths(float64(n) * scale))
	if g, ok := digits(strings.TrimPrefix(gust, "P")); ok {
		r.gustMPS = known(tenths(float64(g) * scale))
	}
	if d, ok := digits(direction); ok && d <= 360 && n > 0 && d > 0 {
		r.directionDeg = known(float64(d))
	}
	return true
}

// temperatures reads 12/M01; either may be missing.
func (r *metarReport) temperatures(w string) bool {
	t, dew, ok := strings.Cut(w, "/")
	if !ok || r.temperatureC.ok {
		return false
	}
	air, okT := celsius(t)
	if !okT {
		return false
	}
	switch d, okD := celsius(dew); {
	case okD:
		r.temperatureC, r.dewC = known(air), known(d)
	case dew == "" || dew == "//" || dew == "XX":
		r.temperatureC = known(air)
	default:
		return false
	}
	return true
}

func celsius(w string) (float64, bool) {
	text, minus := strings.CutPrefix(w, "M")
	n, ok := digits(text)
	if !ok || len(text) != 2 {
		return 0, false
	}
	if minus {
		n = -n
	}
	return float64(n), true
}

// qnh reads Q1013 (hPa), A2992 (hundredths of an inch of mercury), and QNH2992INS
// as military stations have it.
func (r *metarReport) qnh(w string) bool {
	if r.qnhHPa.ok {
		return false
	}
	text, inches := strings.CutSuffix(w, "INS")
	text, either := strings.CutPrefix(text, "QNH")
	text, hecto := strings.CutPrefix(strings.TrimSuffix(text, "HPA"), "Q")
	if !either && !hecto {
		var a bool
		text, a = strings.CutPrefix(text, "A")
		inches = inches || a
	}
	if len(text) != 4 || !either && !hecto && !inches {
		return false
	}
	n, ok := digits(text)
	switch {
	case !ok:
		return false
	case (hecto || either) && !inches && n >= 800 && n <= 1100:
		r.qnhHPa = known(float64(n))
	case (inches || either) && n >= 2400 && n <= 3250:
		r.qnhHPa = known(tenths(float64(n) / 100 * hPaPerInHg))
	default:
		return false
	}
	return true
}

// weatherCodes are the abbreviations of table 4678 (WMO manual on codes).
const weatherCodes = " MI BC PR DR BL SH TS FZ DZ RA SN SG IC PL GR GS UP BR FG FU VA DU SA HZ PY PO SQ FC SS DS "

// weather reads +TSRA, VCTS, RERA and the like. Thunder in the vicinity counts as
// thunder, because it is heard; rain in the vicinity is not here. Recent weather
// belongs to the time before the report.
func (r *metarReport) weather(w string) {
	code := strings.TrimLeft(w, "+-")
	near := false
	if c, ok := strings.CutPrefix(code, "VC"); ok {
		code, near = c, true
	} else if c, ok := strings.CutPrefix(code, "RE"); ok {
		code = c
	}
	if len(code) < 2 || len(code) > 8 || len(code)%2 != 0 {
		return
	}
	raining, thunder := false, false
	for i := 0; i < len(code); i += 2 {
		pair := code[i : i+2]
		if !strings.Contains(weatherCodes, " "+pair+" ") {
			return
		}
		thunder = thunder || pair == "TS"
		raining = raining || pair == "RA" || pair == "DZ" || pair == "UP"
	}
	r.thunder = r.thunder || thunder
	r.raining = r.raining || raining && !near
}

// remarks reads the figures that follow RMK in North America.
func (r *metarReport) remarks(words []string) {
	noGauge := false
	for i, w := range words {
		switch {
		case w == "AO1":
			r.automated = true
		case w == "AO2" || w == "AO2A":
			r.rainGauge, r.automated = true, true
		case w == "PNO":
			noGauge = true
		case w == "PWINO":
			r.weatherUnknown = true
		case w == "TSNO":
			r.thunderUnknown = true
		case w == "WND" && i > 0 && words[i-1] == "PK" && i+1 < len(words):
			r.peakWind(words[i+1])
		case r.seaLevel(w), r.exact(w), r.rain(w):
		case thunderTimes(w):
			r.thunder = true
		}
	}
	r.rainGauge = r.rainGauge && !noGauge
}

// peakWind reads 28045/1955: the strongest wind since the last report, in
// knots.
func (r *metarReport) peakWind(w string) {
	w, _, ok := strings.Cut(w, "/")
	if n, okN := digits(w); ok && okN && (len(w) == 5 || len(w) == 6) {
		r.gustMPS = known(max(r.gustMPS.v, tenths(float64(n%1000)*mpsPerKnot)))
	}
}

// seaLevel reads SLP134, the last three digits of 1013.4 hPa (FMH-1, 12.7.1). The
// hundreds are those nearest to the altimeter setting; without one the pressure
// lies between 950 and 1050 hPa.
func (r *metarReport) seaLevel(w string) bool {
	text, ok := strings.CutPrefix(w, "SLP")
	n, okN := digits(text)
	if !ok || !okN || len(text) != 3 {
		return false
	}
	near := 1000.0
	if r.qnhHPa.ok {
		near = r.qnhHPa.v
	}
	hundreds := math.Ceil((near*10-float64(n))/1000 - 0.5)
	r.seaLevelHPa = known((hundreds*1000 + float64(n)) / 10)
	return true
}

// exact reads T00831044: temperature and dew point in tenths, 1 for minus.
func (r *metarReport) exact(w string) bool {
	text, ok := strings.CutPrefix(w, "T")
	if _, okN := digits(text); !ok || !okN || len(text) != 4 && len(text) != 8 {
		return false
	}
	value := func(s string) (quantity, bool) {
		n, _ := digits(s[1:])
		switch s[0] {
		case '0':
			return known(float64(n) / 10), true
		case '1':
			return known(float64(-n) / 10), true
		}
		return quantity{}, false
	}
	t, ok := value(text[:4])
	if !ok {
		return false
	}
	r.temperatureC = t
	if len(text) == 8 {
		if d, ok := value(text[4:]); ok {
			r.dewC = d
		}
	}
	return true
}

// rain reads P0012: hundredths of an inch since the last routine report; 0 is
// a trace.
func (r *metarReport) rain(w string) bool {
	text, ok := strings.CutPrefix(w, "P")
	n, okN := digits(text)
	if !ok || !okN || len(text) != 4 {
		return false
	}
	r.rainMM = known(rainTraceMM)
	if n > 0 {
		r.rainMM = known(float64(254*n) / 1000) // an inch is 25.4 mm
	}
	return true
}

// thunderTimes recognises TSB05E20, alone or behind the times of other
// weather: thunder began or ended within the hour.
func thunderTimes(w string) bool {
	for i := range len(w) {
		if !(w[i] >= 'A' && w[i] <= 'Z' || isDigit(w[i])) {
			return false
		}
	}
	for _, mark := range [...]string{"TSB", "TSE"} {
		if i := strings.Index(w, mark); i >= 0 && i+3 < len(w) && isDigit(w[i+3]) {
			return true
		}
	}
	return false
}
