package model

import (
	"crypto/sha256"
	"math"

	"fairwatt/model/neighbours"
)

// The features of the hazard network, in the order of Features.X. They are the
// weather features of the hazard notes (section 3.2) that a station with a
// thermometer, a hygrometer, a barometer, an anemometer, a rain gauge and a
// pyranometer can compute. Absolute pressure (altitude) and wind direction (local
// orography) are left out on purpose: they tell one station from another more than
// they tell weather. Hour and season are those of the sun over the place, and
// missing where position or wall clock are unknown: the sensing clock of a live
// agent is monotonic.
const (
	FeatureTemperature = iota
	FeatureHumidity
	FeatureDewPoint
	FeatureDewPointDepression
	FeatureTemperatureChange1h
	FeatureTemperatureChange3h
	FeatureDewPointChange3h
	FeaturePressureChange1h
	FeaturePressureChange3h
	FeaturePressureChange6h
	FeatureWindSpeed
	FeatureWindChange1h
	FeatureWindChange3h
	FeatureGust
	FeatureGustMax3h
	FeatureGustMax6h
	FeatureGustChange1h
	FeatureGustFactor
	FeatureDirectionChangeSin
	FeatureDirectionChangeCos
	FeatureRain1h
	FeatureRain3h
	FeatureRaining
	FeatureIrradiance
	FeatureLightning6h

	// Against the station's own past days (features_days.go).
	FeatureTemperatureChange6h
	FeatureTemperatureChange24h
	FeatureDewPointChange6h
	FeatureDewPointChange24h
	FeaturePressureChange12h
	FeaturePressureChange24h
	FeatureTemperatureAnomaly
	FeatureDewPointAnomaly
	FeaturePressureAnomaly
	FeatureWindAnomaly
	FeatureTemperatureScore
	FeatureDewPointScore
	FeaturePressureScore
	FeatureWindScore
	FeatureAboveMinimum24h
	FeatureBelowMaximum24h
	FeatureTemperatureMean
	FeatureDewPointMean
	FeatureTemperatureSpread
	FeaturePressureSpread
	FeatureRainHours24h

	// Of the place (features_place.go).
	FeatureGustRatio
	FeatureSunSine
	FeatureSolarTimeSin
	FeatureSolarTimeCos
	FeatureDeclination

	// What neighbours say, in the order of neighbours.Heard.X.
	FeatureNeighbours
	FeatureNeighbourGustMean       = FeatureNeighbours + neighbours.GustMean
	FeatureNeighbourPressureLowest = FeatureNeighbours + neighbours.PressureLowest
	FeatureNeighbourGustRegion     = FeatureNeighbours + neighbours.GustRegion
	FeatureNeighbourThunder3h      = FeatureNeighbours + neighbours.Thunder3h
	FeatureNeighbourThunder6h      = FeatureNeighbours + neighbours.Thunder6h
	NumFeatures                    = FeatureNeighbours + neighbours.NumNumbers // how many there are; not a feature
)

// featureVersion goes into the schema hash. Raise it when the meaning of a
// feature changes while its name stays, so that old weights are refused.
const featureVersion = "fairwatt-features-3"

var features = [NumFeatures]struct{ name, unit string }{
	FeatureTemperature:          {"temperature_c", "C"},
	FeatureHumidity:             {"humidity_pct", "%"},
	FeatureDewPoint:             {"dew_point_c", "C"},
	FeatureDewPointDepression:   {"dew_point_depression_c", "C"},
	FeatureTemperatureChange1h:  {"temperature_change_1h_c", "C"},
	FeatureTemperatureChange3h:  {"temperature_change_3h_c", "C"},
	FeatureDewPointChange3h:     {"dew_point_change_3h_c", "C"},
	FeaturePressureChange1h:     {"pressure_change_1h_hpa", "hPa"},
	FeaturePressureChange3h:     {"pressure_change_3h_hpa", "hPa"},
	FeaturePressureChange6h:     {"pressure_change_6h_hpa", "hPa"},
	FeatureWindSpeed:            {"wind_speed_mps", "m/s"},
	FeatureWindChange1h:         {"wind_speed_change_1h_mps", "m/s"},
	FeatureWindChange3h:         {"wind_speed_change_3h_mps", "m/s"},
	FeatureGust:                 {"wind_gust_1h_mps", "m/s"},
	FeatureGustMax3h:            {"wind_gust_3h_mps", "m/s"},
	FeatureGustMax6h:            {"wind_gust_6h_mps", "m/s"},
	FeatureGustChange1h:         {"wind_gust_change_1h_mps", "m/s"},
	FeatureGustFactor:           {"gust_factor", ""},
	FeatureDirectionChangeSin:   {"wind_direction_change_3h_sin", ""},
	FeatureDirectionChangeCos:   {"wind_direction_change_3h_cos", ""},
	FeatureRain1h:               {"rain_1h_mm", "mm"},
	FeatureRain3h:               {"rain_3h_mm", "mm"},
	FeatureRaining:              {"raining", ""},
	FeatureIrradiance:           {"irradiance_1h_wpm2", "W/m2"},
	FeatureLightning6h:          {"lightning_6h", ""},
	FeatureTemperatureChange6h:  {"temperature_change_6h_c", "C"},
	FeatureTemperatureChange24h: {"temperature_change_24h_c", "C"},
	FeatureDewPointChange6h:     {"dew_point_change_6h_c", "C"},
	FeatureDewPointChange24h:    {"dew_point_change_24h_c", "C"},
	FeaturePressureChange12h:    {"pressure_change_12h_hpa", "hPa"},
	FeaturePressureChange24h:    {"pressure_change_24h_hpa", "hPa"},
	FeatureTemperatureAnomaly:   {"temperature_anomaly_5d_c", "C"},
	FeatureDewPointAnomaly:      {"dew_point_anomaly_5d_c", "C"},
	FeaturePressureAnomaly:      {"pressure_anomaly_5d_hpa", "hPa"},
	FeatureWindAnomaly:          {"wind_speed_anomaly_5d_mps", "m/s"},
	FeatureTemperatureScore:     {"temperature_score_5d", ""},
	FeatureDewPointScore:        {"dew_point_score_5d", ""},
	FeaturePressureScore:        {"pressure_score_5d", ""},
	FeatureWindScore:            {"wind_speed_score_5d", ""},
	FeatureAboveMinimum24h:      {"temperature_above_minimum_24h_c", "C"},
	FeatureBelowMaximum24h:      {"temperature_below_maximum_24h_c", "C"},
	FeatureTemperatureMean:      {"temperature_mean_5d_c", "C"},
	FeatureDewPointMean:         {"dew_point_mean_5d_c", "C"},
	FeatureTemperatureSpread:    {"temperature_spread_5d_c", "C"},
	FeaturePressureSpread:       {"pressure_spread_5d_hpa", "hPa"},
	FeatureRainHours24h:         {"rain_hours_24h", "h"},

	FeatureGustRatio:    {"wind_gust_ratio_1h", ""},
	FeatureSunSine:      {"sun_height_sine", ""},
	FeatureSolarTimeSin: {"solar_time_sin", ""},
	FeatureSolarTimeCos: {"solar_time_cos", ""},
	FeatureDeclination:  {"sun_declination_deg", "deg"},

	FeatureNeighbours:              {"neighbour_gust_ratio_highest", ""},
	FeatureNeighbourGustMean:       {"neighbour_gust_ratio_mean", ""},
	FeatureNeighbourPressureLowest: {"neighbour_pressure_change_3h_lowest_hpa", "hPa"},
	FeatureNeighbourGustRegion:     {"neighbour_gust_ratio_region", ""},
	FeatureNeighbourThunder3h:      {"neighbour_thunder_3h", ""},
	FeatureNeighbourThunder6h:      {"neighbour_thunder_6h", ""},
}

// FeatureNames returns the features' names in the order of Features.X, units
// in the name as in trace headers.
func FeatureNames() [NumFeatures]string {
	var out [NumFeatures]string
	for i := range features {
		out[i] = features[i].name
	}
	return out
}

// FeatureUnits returns the units in the order of Features.X, empty for a pure
// number.
func FeatureUnits() [NumFeatures]string {
	var out [NumFeatures]string
	for i := range features {
		out[i] = features[i].unit
	}
	return out
}

// FeatureSchemaHash is the SHA-256 over the schema's version and every name
// and unit in order. Weights carry it; a network refuses to load under another
// one, because numbers in another order answer nonsense without an error.
func FeatureSchemaHash() [32]byte {
	h := sha256.New()
	h.Write([]byte(featureVersion + "\n"))
	for _, f := range features {
		h.Write([]byte(f.name + "\t" + f.unit + "\n"))
	}
	return [32]byte(h.Sum(nil))
}

// Features is the network's input at one moment. X[i] is 0 and means nothing
// where Missing[i] is true: no sensor gives it, the reading was not Valid, or
// the past reaches back too little.
type Features struct {
	X       [NumFeatures]float32
	Missing [NumFeatures]bool
}

// Bucket sizes. Six hours of five-minute buckets bound the memory whatever the
// sampling rate; the slack lets a lag of six hours be met by a sample that came
// up to a quarter of an hour early or late.
const (
	bucketMs     = 5 * 60 * 1000
	bucketsHour  = 12
	bucketsNow   = 2 // "now" is the mean of the last 5 to 10 minutes (10-min mean wind: WMO-No. 8)
	bucketsSlack = 3
	numBuckets   = 6*bucketsHour + bucketsNow + bucketsSlack
	// A vane in less wind than this points anywhere, and stations write 0 for calm.
	calmMPS = 0.5
	// Below this mean wind the gust factor is a quotient of two noises.
	gustFactorMinMPS = 1.0
)

// The quantities that are averaged over a bucket.
const (
	meanTemperature = iota
	meanHumidity
	meanPressure
	meanWind
	meanIrradiance
	meanSin
	meanCos
	numMeans
)

// A bucket is what came in during five minutes.
type bucket struct {
	index        int64 // TimeMs / bucketMs; a slot with another index is empty
	sum          [numMeans]float64
	n            [numMeans]int32
	gust         float64
	rain         float64
	hasGust      bool
	hasRain      bool // rain is known (perhaps none fell)
	hasRaining   bool
	raining      bool
	hasLightning bool
	lightning    bool
	strokes      float64
}

// An Extractor turns samples at any rate from one a second to one an hour into
// Features. All windows are in time, not in samples. It has a fixed size
// (about 27 kB), allocates nothing after NewExtractor and is owned by one
// goroutine.
type Extractor struct {
	ring   [numBuckets]bucket
	last   int64 // index of the newest bucket
	any    bool
	days   days
	rainMs int64 // when the last counted rain amount was measured
	hasMs  bool
	place  place
}

// NewExtractor returns an Extractor that knows nothing.
func NewExtractor() *Extractor { return &Extractor{} }

// Reset forgets everything, as after a change of the sensing clock.
func (e *Extractor) Reset() { *e = Extractor{} }

// floorDiv rounds towards minus infinity, so that traces from before 1970 have
// buckets of equal length too.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Push adds a sample. Readings that are not Valid are left out. A sample
// older than the newest bucket is ignored: the sensing clock never goes back.
func (e *Extractor) Push(s *Sample) {
	index := floorDiv(s.TimeMs, bucketMs)
	if e.any && index < e.last {
		return
	}
	b := e.slot(index)
	if !e.any || b.index != index {
		*b = bucket{index: index}
	}
	if !e.any {
		// Slots of a fresh ring carry index 0; move them where no lag reaches.
		for i := range e.ring {
			if &e.ring[i] != b {
				e.ring[i].index = index - 2*numBuckets
			}
		}
	}
	e.any, e.last = true, index
	e.days.push(s)
	e.place.gusts.push(s)
	e.place.newestMs = s.TimeMs
	b.add(meanTemperature, s, TemperatureC)
	b.add(meanHumidity, s, HumidityPct)
	b.add(meanPressure, s, PressureHPa)
	b.add(meanWind, s, WindSpeedMPS)
	b.add(meanIrradiance, s, IrradianceWPM2)
	b.addDirection(s)
	if v, ok := s.Get(WindGustMPS); ok && (!b.hasGust || v > b.gust) {
		b.gust, b.hasGust = v, true
	}
	e.addRain(b, s)
	e.addStrokes(b, s)
}

func (e *Extractor) slot(index int64) *bucket {
	return &e.ring[((index%numBuckets)+numBuckets)%numBuckets] // also before 1970
}

func (b *bucket) add(m int, s *Sample, c Channel) {
	if v, ok := s.Get(c); ok {
		b.sum[m] += v
		b.n[m]++
	}
}

func (b *bucket) addDirection(s *Sample) {
	d, ok := s.Get(WindDirectionDeg)
	if !ok {
		return
	}
	if w, known := s.Get(WindSpeedMPS); known && w < calmMPS {
		return
	}
	sin, cos := math.Sincos(d * (math.Pi / 180))
	b.sum[meanSin] += sin
	b.n[meanSin]++
	b.sum[meanCos] += cos
	b.n[meanCos]++
}

// addRain counts an amount once: a sample may repeat the gauge's last reading
// with a growing age.
func (e *Extractor) addRain(b *bucket, s *Sample) {
	if v, ok := s.Get(RainMM); ok {
		measured := s.TimeMs - s.AgeMs[RainMM]
		if !e.hasMs || measured > e.rainMs {
			b.rain += v
			e.rainMs, e.hasMs = measured, true
		}
		b.hasRain, b.hasRaining = true, true
		b.raining = b.raining || v > 0
	}
	if v, ok := s.Get(Raining); ok {
		b.hasRaining, b.raining = true, b.raining || v > 0
	}
}
