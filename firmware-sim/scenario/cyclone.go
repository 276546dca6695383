package scenario

import "math"

// A vortex is a tropical cyclone after Holland (1980): pressure
// p(r) = pc + dp exp(-(R/r)^B) and the gradient wind of that pressure. It moves
// on a straight line past the place.
type vortex struct {
	deficitHPa float64 // dp, of the centre below the surroundings
	radiusKM   float64 // R, where the wind is strongest
	shape      float64 // B, 1 to 2.5
	speedKMH   float64 // of the centre, towards the north-west
	missKM     float64 // least distance of the centre from the place, to its north-east
	galeKM     float64 // radius of the gale of Beaufort 8
}

const (
	airDensity   = 1.15 // kg/m3, warm and moist
	earthTurn    = 7.292e-5
	surfaceShare = 0.65 // of the gradient wind, as a 10-min mean at a coast
	inflowDeg    = 20   // of the surface wind towards the centre
	galeMPS      = 17.2
)

// newVortex returns a typhoon whose eye passes over the place within about an
// hour. A strength from 0 to 1 deepens it.
func newVortex(strength float64) vortex {
	v := vortex{deficitHPa: 50 + 10*strength, radiusKM: 40, shape: 1.4, speedKMH: 20, missKM: 3}
	near, far := v.radiusKM, 2000.0
	for range 50 {
		if middle := (near + far) / 2; v.surfaceMPS(middle) >= galeMPS {
			near = middle
		} else {
			far = middle
		}
	}
	v.galeKM = near
	return v
}

// belowHPa is the pressure at a distance less that of the surroundings. It is
// negative.
func (v vortex) belowHPa(km float64) float64 {
	return -v.deficitHPa * (1 - math.Exp(-math.Pow(v.radiusKM/max(km, 0.1), v.shape)))
}

// surfaceMPS is the wind at a distance, without the centre's own motion.
func (v vortex) surfaceMPS(km float64) float64 {
	r := max(km, 0.1) * 1000
	x := math.Pow(v.radiusKM*1000/r, v.shape)
	half := r * earthTurn * math.Sin(latitude*math.Pi/180) // r f / 2
	gradient := math.Sqrt(v.shape*v.deficitHPa*100/airDensity*x*math.Exp(-x)+half*half) - half
	return surfaceShare * gradient
}

// km is the centre's distance, hours from its closest.
func (v vortex) km(hours float64) float64 { return math.Hypot(v.speedKMH*hours, v.missKM) }

// at is the cyclone's action, hours from its closest.
func (v vortex) at(hours float64) action {
	// The centre, east and north of the place: it moves to the north-west and
	// passes in the north-east.
	const d = math.Sqrt2 / 2
	along := v.speedKMH * hours
	east, north := -d*along+d*v.missKM, d*along+d*v.missKM
	km := math.Hypot(east, north)
	speed := v.surfaceMPS(km)
	share := speed / v.surfaceMPS(v.radiusKM)
	// From the centre to the place, turned to the left and inwards.
	sin, cos := math.Sincos((90 + inflowDeg) * math.Pi / 180)
	x, y := -east/km, -north/km
	u, w := speed*(x*cos-y*sin), speed*(x*sin+y*cos)
	u -= d * v.speedKMH / 3.6 / 2 * share // its wind carries half of its motion
	w += d * v.speedKMH / 3.6 / 2 * share
	eye := 1 - rise((km/v.radiusKM-0.25)/0.25)
	return action{
		cover:       0.97 * rise((700-km)/500) * (1 - 0.6*eye),
		coolingK:    3 * share,
		pressureHPa: v.belowHPa(km),
		windMPS:     math.Hypot(u, w) * rise((900-km)/300),
		calms:       rise((300 - km) / 200),
		fromDeg:     math.Mod(math.Atan2(-u, -w)*180/math.Pi+360, 360),
		turns:       rise((500 - km) / 200),
		rainMMH:     18 * math.Pow(share, 1.5) * rise((400-km)/200) * (1 - eye),
	}
}
