package scenario

import (
	"math"
	"time"
)

// sinElevation is the sine of the sun's height over the horizon at a place
// (degrees, north and east positive). Declination and equation of time are
// Spencer's series (1971); the error is below 0.1 degree.
func sinElevation(t time.Time, latitude, longitude float64) float64 {
	t = t.UTC()
	hours := float64(t.Hour()) + float64(t.Minute())/60 + float64(t.Second())/3600
	g := 2 * math.Pi * (float64(t.YearDay()-1) + hours/24) / 365
	declination := 0.006918 - 0.399912*math.Cos(g) + 0.070257*math.Sin(g) -
		0.006758*math.Cos(2*g) + 0.000907*math.Sin(2*g) -
		0.002697*math.Cos(3*g) + 0.00148*math.Sin(3*g)
	equationMin := 229.18 * (0.000075 + 0.001868*math.Cos(g) - 0.032077*math.Sin(g) -
		0.014615*math.Cos(2*g) - 0.040849*math.Sin(2*g))
	solarHours := hours + longitude/15 + equationMin/60
	angle := (solarHours - 12) * math.Pi / 12
	phi := latitude * math.Pi / 180
	return math.Sin(phi)*math.Sin(declination) + math.Cos(phi)*math.Cos(declination)*math.Cos(angle)
}

// clearSkyWPM2 is the global irradiance under a clear sky (Haurwitz 1945).
func clearSkyWPM2(sinElev float64) float64 {
	if sinElev <= 0 {
		return 0
	}
	return 1098 * sinElev * math.Exp(-0.059/sinElev)
}

// cloudFactor is the share of irradiance that passes a cloud cover of 0..1
// (Kasten and Czeplak 1980).
func cloudFactor(cover float64) float64 { return 1 - 0.75*math.Pow(cover, 3.4) }

// humidityPct is Magnus' formula over water (17.62, 243.12).
func humidityPct(temperatureC, dewC float64) float64 {
	return 100 * math.Exp(17.62*dewC/(243.12+dewC)-17.62*temperatureC/(243.12+temperatureC))
}
