package neighbours

import (
	"errors"
	"fmt"
	"math"

	"fairwatt/proto/brief"
)

// Bounds of a nowcast and of the set. Values beyond them are refused, not cut: a
// sender that tells them is broken or lies.
const (
	MaxNeighbours = 64              // kept at most
	FreshMs       = 30 * 60_000     // older nowcasts do not count
	SkewMs        = 2 * 60_000      // how far a sender's clock may be ahead
	MaxValidMs    = 60 * 60_000     // a nowcast may claim to hold so long
	ThunderBackMs = 6 * 60 * 60_000 // older thunder is none
	MaxSender     = 64              // bytes of a sender's id
	MaxGustRatio  = 10.0            // in units of the sender's own 95 % quantile
	MaxChangeHPa  = 60.0            // either way; 3-hour changes on record stay below 40 (WMO-No. 8 gives 0.1 hPa as the unit)
	MaxStrokes    = 100_000         // in 3 hours
	earthKM       = 6371.0088       // mean radius
)

// The reasons of refusals.
var (
	ErrAbsurd   = errors.New("value out of bounds")
	ErrStale    = errors.New("too old")
	ErrFuture   = errors.New("made in the future")
	ErrReplayed = errors.New("not newer than the sender's last")
	ErrFar      = errors.New("too far away")
	ErrFull     = errors.New("64 nearer neighbours are kept")
	ErrOwn      = errors.New("own nowcast")
)

// A Position is a place in degrees, WGS 84. Senders round it to coarse steps.
type Position struct{ LatitudeDeg, LongitudeDeg float64 }

func (p Position) onEarth() bool {
	return math.Abs(p.LatitudeDeg) <= 90 && math.Abs(p.LongitudeDeg) <= 180 // false for NaN
}

// Coarse rounds a position to multiples of stepDeg, so that it does not name a
// house. A step that is not above 0 leaves it as it is.
func (p Position) Coarse(stepDeg float64) Position {
	if !(stepDeg > 0) {
		return p
	}
	return Position{
		min(max(math.Round(p.LatitudeDeg/stepDeg)*stepDeg, -90), 90),
		min(max(math.Round(p.LongitudeDeg/stepDeg)*stepDeg, -180), 180),
	}
}

// KM is the distance to another place along the great circle (haversine).
func (p Position) KM(o Position) float64 {
	const rad = math.Pi / 180
	sLat := math.Sin((o.LatitudeDeg - p.LatitudeDeg) * rad / 2)
	sLon := math.Sin((o.LongitudeDeg - p.LongitudeDeg) * rad / 2)
	h := float64(sLat*sLat) + float64(math.Cos(p.LatitudeDeg*rad)*math.Cos(o.LatitudeDeg*rad)*sLon*sLon)
	return 2 * earthKM * math.Asin(math.Sqrt(min(h, 1)))
}

// An Optional is a number that may be unknown.
type Optional struct {
	V  float64
	OK bool
}

// Some is a known number.
func Some(v float64) Optional { return Optional{v, true} }

// A Weather is what an agent tells of its own place. What it has no sensor for is
// unknown.
type Weather struct {
	GustRatio           Optional // highest gust of the last hour over the 95 % quantile of its hours
	PressureChange3hHPa Optional
	// Thunder says whether the agent has anything that notices thunder: a detector of
	// strokes, or a label in a recording.
	Thunder      bool
	ThunderAgoMs int64 // since the last stroke or thunder, ThunderBackMs or more: none in that time
	Strokes3h    int64 // of the last 3 hours
}

// A Nowcast is one neighbour's weather, as it stood when it was made.
type Nowcast struct {
	Sender       string // the id under which it is registered
	Position     Position
	MadeAtMs     int64 // Unix
	ValidUntilMs int64 // Unix
	Weather
}

// Check refuses a nowcast with a value that cannot be, naming field, value and
// bound. The error wraps ErrAbsurd.
func (n *Nowcast) Check() error {
	bad := func(field, bound string, value any) error {
		return fmt.Errorf("%w: %s %v: %s", ErrAbsurd, field, value, bound)
	}
	switch w := &n.Weather; {
	case n.Sender == "" || len(n.Sender) > MaxSender:
		return bad("sender", "1 to 64 bytes are wanted", brief.Quote(n.Sender))
	case !n.Position.onEarth():
		return bad("position", "degrees of latitude and longitude are wanted", n.Position)
	case n.MadeAtMs <= 0:
		return bad("made_at", "Unix milliseconds are wanted", n.MadeAtMs)
	case n.ValidUntilMs <= n.MadeAtMs || n.ValidUntilMs-n.MadeAtMs > MaxValidMs:
		return bad("valid_until", "up to 1 hour after made_at is wanted", n.ValidUntilMs)
	case w.GustRatio.OK && !(w.GustRatio.V >= 0 && w.GustRatio.V <= MaxGustRatio):
		return bad("gust_ratio", "0 to 10 is wanted", w.GustRatio.V)
	case w.PressureChange3hHPa.OK && !(math.Abs(w.PressureChange3hHPa.V) <= MaxChangeHPa):
		return bad("pressure_change_3h_hpa", "-60 to 60 is wanted", w.PressureChange3hHPa.V)
	case w.ThunderAgoMs < 0:
		return bad("thunder_ago", "0 or more is wanted", w.ThunderAgoMs)
	case w.Strokes3h < 0 || w.Strokes3h > MaxStrokes:
		return bad("strokes_3h", "0 to 100000 is wanted", w.Strokes3h)
	case !w.Thunder && w.Strokes3h > 0:
		return bad("strokes_3h", "none is wanted of a sender that notices no thunder", w.Strokes3h)
	}
	return nil
}

// Counts says whether a nowcast may be used at nowMs; the error wraps ErrStale or
// ErrFuture.
func (n *Nowcast) Counts(nowMs int64) error {
	switch age := nowMs - n.MadeAtMs; {
	case age < -SkewMs:
		return fmt.Errorf("%w: made_at is %d s ahead: set the sender's clock", ErrFuture, -age/1000)
	case age > FreshMs, nowMs >= n.ValidUntilMs:
		return fmt.Errorf("%w: made_at is %d s ago: 30 minutes and valid_until bound it", ErrStale, age/1000)
	}
	return nil
}
