package trace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A metarReport is what a trace needs of one report.
type metarReport struct {
	station           string
	day, hour, minute int
	at                time.Time

	hasWind, hasDirection             bool
	windMPS, gustMPS, directionDeg    float64
	hasTemperature, hasDewPoint       bool
	temperatureC, dewPointC           float64
	hasQNH                            bool
	qnhHPa                            float64
	hasRain                           bool
	rainMM                            float64 // of the hour
	weatherKnown, raining, thunder    bool
	temperatureTenths, dewPointTenths bool // from the remark, finer than the body
}

// Conversions: the international knot and inch, and the conventional inch of
// mercury.
const (
	mpsPerKnot = 1852.0 / 3600
	mpsPerKmh  = 1 / 3.6
	hPaPerInHg = 33.86389
	mmPerInch  = 25.4
)

// parseMETAR reads one report. ok is false for one without observations (NIL).
// Groups it does not know are passed over: there are many, and most are of no
// use here. A forecast that follows (TEMPO, BECMG, NOSIG) is no observation.
func parseMETAR(text string) (r metarReport, ok bool, err error) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), "="))
	for len(words) > 0 && (words[0] == "METAR" || words[0] == "SPECI" || words[0] == "COR") {
		words = words[1:]
	}
	if len(words) < 2 {
		return r, false, errors.New("no METAR: want a station and a time, such as EDDF 010053Z")
	}
	r.station = words[0]
	if len(r.station) != 4 || !upperOrDigits(r.station) {
		return r, false, fmt.Errorf("no METAR: %.20q is no station of four letters", r.station)
	}
	if !r.time(words[1]) {
		return r, false, fmt.Errorf("no METAR: %.20q is no time such as 010053Z", words[1])
	}
	r.weatherKnown = true
	for i, w := range words[2:] {
		w = strings.TrimSuffix(w, "=")
		switch w {
		case "NIL":
			return r, false, nil
		case "TEMPO", "BECMG", "NOSIG":
			return r, true, nil
		case "RMK":
			for _, remark := range words[2+i+1:] {
				r.remark(strings.TrimSuffix(remark, "="))
			}
			return r, true, nil
		case "//": // an automatic station that cannot tell the weather
			r.weatherKnown = false
			continue
		}
		_ = r.wind(w) || r.temperature(w) || r.qnh(w) || r.weather(w)
	}
	return r, true, nil
}

func upperOrDigits(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// digits reads a whole number of exactly so many digits.
func digits(s string, n int) (v int, ok bool) {
	if len(s) != n {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = 10*v + int(c-'0')
	}
	return v, true
}

func (r *metarReport) time(w string) bool {
	v, ok := digits(strings.TrimSuffix(w, "Z"), 6)
	if !ok || w[len(w)-1] != 'Z' {
		return false
	}
	r.day, r.hour, r.minute = v/10000, v/100%100, v%100
	return r.day >= 1 && r.day <= 31 && r.hour < 24 && r.minute < 60
}

// wind reads dddff(f)Gff(f)KT, MPS or KMH; VRB and 00000 have no direction.
func (r *metarReport) wind(w string) bool {
	unit := 0.0
	for suffix, mps := range map[string]float64{"KT": mpsPerKnot, "MPS": 1, "KMH": mpsPerKmh} {
		if rest, found := strings.CutSuffix(w, suffix); found {
			w, unit = rest, mps
		}
	}
	if unit == 0 || len(w) < 5 {
		return false
	}
	direction, speed, variable := w[:3], w[3:], w[:3] == "VRB"
	degrees, ok := digits(direction, 3)
	if !variable && (!ok || degrees > 360) {
		return false // also ///
	}
	speed, gust, gusty := strings.Cut(speed, "G")
	mean, ok := windNumber(speed)
	if !ok {
		return false
	}
	r.hasWind, r.windMPS = true, tenth(mean*unit)
	r.hasDirection, r.directionDeg = !variable && mean > 0, float64(degrees)
	if v, ok := windNumber(gust); gusty && ok {
		r.gustMPS = tenth(v * unit)
	}
	return true
}

// windNumber reads two or three digits, with a P before them for "more than".
func windNumber(s string) (float64, bool) {
	s = strings.TrimPrefix(s, "P")
	if len(s) != 2 && len(s) != 3 {
		return 0, false
	}
	v, ok := digits(s, len(s))
	return float64(v), ok
}

// tenth rounds to what the code can carry: a knot is half a metre a second.
func tenth(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 1, 64), 64)
	if err != nil {
		return v // a number that was just written reads back
	}
	return rounded
}

// temperature reads 12/08, M02/M05 or 17/.
func (r *metarReport) temperature(w string) bool {
	t, d, found := strings.Cut(w, "/")
	if !found {
		return false
	}
	v, ok := wholeDegrees(t)
	if !ok {
		return false
	}
	if !r.temperatureTenths {
		r.temperatureC, r.hasTemperature = v, true
	}
	if v, ok := wholeDegrees(d); ok && !r.dewPointTenths {
		r.dewPointC, r.hasDewPoint = v, true
	}
	return true
}

func wholeDegrees(s string) (float64, bool) {
	rest, minus := strings.CutPrefix(s, "M")
	v, ok := digits(rest, 2)
	if minus {
		v = -v
	}
	return float64(v), ok
}

// qnh reads Q1013 (hPa) or A2992 (hundredths of an inch of mercury).
func (r *metarReport) qnh(w string) bool {
	if len(w) != 5 || w[0] != 'Q' && w[0] != 'A' {
		return false
	}
	v, ok := digits(w[1:], 4)
	if !ok {
		return false
	}
	hPa := float64(v)
	if w[0] == 'A' {
		hPa = tenth(hPa / 100 * hPaPerInHg)
	}
	if hPa < 800 || hPa > 1100 {
		return false
	}
	r.qnhHPa, r.hasQNH = hPa, true
	return true
}

// Codes of present weather (WMO code table 4678).
const (
	descriptors = "MI BC PR DR BL SH TS FZ "
	wet         = "DZ RA GR GS PL UP "
	others      = "SN SG IC BR FG FU VA DU SA HZ PY PO SQ FC SS DS "
)

// weather reads one group of present weather, such as -SHRA, +TSRAGR or VCTS.
// What is near (VC) does not rain here; RE is of the past.
func (r *metarReport) weather(w string) bool {
	w = strings.TrimLeft(w, "+-")
	codes, near := strings.CutPrefix(w, "VC")
	if len(codes) == 0 || len(codes)%2 != 0 || len(codes) > 10 {
		return false
	}
	raining, thunder := false, false
	for ; codes != ""; codes = codes[2:] {
		switch code := codes[:2] + " "; {
		case strings.Contains(descriptors, code):
			thunder = thunder || code == "TS "
		case strings.Contains(wet, code):
			raining = !near
		case !strings.Contains(others, code):
			return false
		}
	}
	r.raining, r.thunder = r.raining || raining, r.thunder || thunder
	return true
}

// remark reads what North American stations add: temperature and dew point in
// tenths (T01170083), rain of the hour in hundredths of an inch (P0012).
func (r *metarReport) remark(w string) {
	switch {
	case len(w) == 9 && w[0] == 'T':
		t, okT := tenthsOfDegrees(w[1:5])
		d, okD := tenthsOfDegrees(w[5:])
		if okT && okD {
			r.temperatureC, r.hasTemperature, r.temperatureTenths = t, true, true
			r.dewPointC, r.hasDewPoint, r.dewPointTenths = d, true, true
		}
	case len(w) == 5 && w[0] == 'P':
		if v, ok := digits(w[1:], 4); ok {
			r.rainMM, r.hasRain = tenth(float64(v)/100*mmPerInch), true
		}
	}
}

// tenthsOfDegrees reads sTTT, s being 1 for below zero.
func tenthsOfDegrees(s string) (float64, bool) {
	v, ok := digits(s, 4)
	if !ok || v >= 2000 {
		return 0, false
	}
	if v >= 1000 {
		return -float64(v-1000) / 10, true
	}
	return float64(v) / 10, true
}
