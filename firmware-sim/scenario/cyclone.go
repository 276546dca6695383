package scenario

import "math"

// The tropical cyclone: a vortex with the radial profiles of Holland (1980,
// Monthly Weather Review 108, 1212-1218) that moves over the place. Its numbers
// are those of a typhoon that makes landfall.
const (
	cyclonePressureHPa = 40.0   // of the surroundings over that of the centre
	cycloneRadiusM     = 32e3   // of the greatest wind
	cycloneB           = 1.5    // how peaked the profile is
	cycloneSpeedMPS    = 6.0    // of the centre
	cycloneMissM       = 4e3    // by which the centre misses the place: the eye passes over it
	airDensity         = 1.15   // kg/m3
	coriolis           = 7.3e-5 // 1/s at 30 degrees north
	surfaceShare       = 0.7    // of the gradient wind that blows at 10 m over open land
)

// holland returns the pressure below that of the surroundings, in hPa, and the
// gradient wind in m/s at a distance from the centre.
func holland(distanceM float64) (deficitHPa, windMPS float64) {
	x := math.Pow(cycloneRadiusM/distanceM, cycloneB)
	deficitHPa = cyclonePressureHPa * (1 - math.Exp(-x))
	half := distanceM * coriolis / 2
	cyclostrophic := cycloneB / airDensity * x * cyclonePressureHPa * 100 * math.Exp(-x)
	return deficitHPa, math.Sqrt(cyclostrophic+half*half) - half
}

// cyclone is what the vortex does so many seconds after its centre was
// nearest. In the eye wind and rain fall away while the pressure is lowest.
func (e event) cyclone(sinceS float64) action {
	along := cycloneSpeedMPS * sinceS
	distance := math.Hypot(along, cycloneMissM)
	deficit, gradient := holland(distance)
	near := math.Exp(-distance / 250e3)
	wall := bell((distance - cycloneRadiusM) / 18e3)
	return action{
		cover:       0.97 * near,
		coolingK:    2.5 * near,
		pressureHPa: -deficit,
		// The breeze of other days gives way to the vortex.
		windMPS:   surfaceShare*gradient*(0.95+0.1*e.strength) - 5*near,
		gustiness: 0.1 * wall,
		veerDeg:   math.Atan2(along, cycloneMissM) * 180 / math.Pi,
		rainMMH:   (4*near + 30*wall) * rise((distance-0.35*cycloneRadiusM)/(0.4*cycloneRadiusM)),
	}
}
