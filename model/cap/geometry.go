package cap

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"fairwatt/proto/brief"
)

// A Point is a place in degrees, WGS 84, latitude first as CAP writes it.
type Point struct{ Lat, Lon float64 }

// A Polygon is a closed ring: its last point is its first.
type Polygon []Point

// A Circle is a place and a radius in km.
type Circle struct {
	Center   Point
	RadiusKM float64
}

// earthRadiusKM is the mean radius; half a percent of error does not matter to
// the border of a warning.
const earthRadiusKM = 6371.0

func (p Point) validate() error {
	if !(p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180) {
		return fmt.Errorf("%v,%v is no place on earth", p.Lat, p.Lon)
	}
	return nil
}

func (p Polygon) validate() error {
	if len(p) < 4 || p[0] != p[len(p)-1] {
		return errors.New("needs four points or more, the last like the first")
	}
	for _, q := range p {
		if err := q.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c Circle) validate() error {
	if !(c.RadiusKM >= 0 && c.RadiusKM <= 20100) {
		return fmt.Errorf("radius %v km is outside 0 to 20100", c.RadiusKM)
	}
	return c.Center.validate()
}

// Contains reports whether a place lies in the circle or on its edge. A radius
// of zero, which some senders give for "this place", counts as one kilometre.
func (c Circle) Contains(p Point) bool {
	rad := math.Pi / 180
	dLat, dLon := (p.Lat-c.Center.Lat)*rad/2, (p.Lon-c.Center.Lon)*rad/2
	h := math.Sin(dLat)*math.Sin(dLat) +
		math.Cos(p.Lat*rad)*math.Cos(c.Center.Lat*rad)*math.Sin(dLon)*math.Sin(dLon)
	return 2*earthRadiusKM*math.Asin(math.Sqrt(min(h, 1))) <= max(c.RadiusKM, 1)
}

// Contains reports whether a place lies in the ring, by the even-odd rule in
// the plane of latitude and longitude. The ring is followed from its first
// point by the shorter way round, so that one over the date line is whole.
func (p Polygon) Contains(at Point) bool {
	in := [3]bool{} // the place as it is, and once round the earth either way
	if len(p) == 0 {
		return false
	}
	ax := wrap(p[0].Lon - at.Lon)
	for i := 1; i < len(p); i++ {
		a, b := p[i-1], p[i]
		bx := ax + wrap(b.Lon-a.Lon)
		if (a.Lat > at.Lat) != (b.Lat > at.Lat) {
			cross := ax + (at.Lat-a.Lat)/(b.Lat-a.Lat)*(bx-ax)
			for turn := range in {
				if cross > float64(360*(turn-1)) {
					in[turn] = !in[turn]
				}
			}
		}
		ax = bx
	}
	return in[0] || in[1] || in[2]
}

// wrap brings a difference of longitudes into -180 to 180.
func wrap(d float64) float64 {
	switch {
	case d > 180:
		return d - 360
	case d < -180:
		return d + 360
	}
	return d
}

func parsePoint(s string) (Point, error) {
	lat, lon, ok := strings.Cut(s, ",")
	if !ok {
		return Point{}, fmt.Errorf("%s is no latitude,longitude", brief.Quote(s))
	}
	var p Point
	for _, f := range []struct {
		dst  *float64
		text string
	}{{&p.Lat, lat}, {&p.Lon, lon}} {
		v, err := strconv.ParseFloat(strings.TrimSpace(f.text), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return Point{}, fmt.Errorf("%s is no latitude,longitude", brief.Quote(s))
		}
		*f.dst = v
	}
	return p, p.validate()
}

func parsePolygon(s string) (Polygon, error) {
	var out Polygon
	for _, f := range strings.Fields(s) {
		p, err := parsePoint(f)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, out.validate()
}

func parseCircle(s string) (Circle, error) {
	f := strings.Fields(s)
	if len(f) != 2 {
		return Circle{}, fmt.Errorf("%s is no place and radius", brief.Quote(s))
	}
	p, err := parsePoint(f[0])
	if err != nil {
		return Circle{}, err
	}
	r, err := strconv.ParseFloat(f[1], 64)
	if err != nil {
		return Circle{}, fmt.Errorf("radius %s is no number", brief.Quote(f[1]))
	}
	c := Circle{p, r}
	return c, c.validate()
}

func (p Point) String() string { return degrees(p.Lat) + "," + degrees(p.Lon) }

func degrees(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (p Polygon) String() string {
	parts := make([]string, len(p))
	for i, q := range p {
		parts[i] = q.String()
	}
	return strings.Join(parts, " ")
}

func (c Circle) String() string { return c.Center.String() + " " + degrees(c.RadiusKM) }
