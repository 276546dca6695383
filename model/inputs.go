package model

// A pace is how far a channel may move in a time: delta within basisMs, and
// in proportion beyond. A shorter time allows the same delta, because sensor
// noise and resolution do not shrink with the sampling interval.
type pace struct {
	delta   float64
	basisMs int64
}

// paces are the rate limits of the hazard notes, section 4 item 3. They catch
// a wire that falls off or a sun-heated housing, not weather.
var paces = [NumChannels]pace{
	TemperatureC: {5, 60_000},
	PressureHPa:  {2, 60_000},
	HumidityPct:  {20, 60_000},
	FrequencyHz:  {2, 1_000},
}

// noisy are the channels whose last digit must move, with the largest step of a
// sensor that still shows it: a value that stays the same for longer than weather
// or grid do comes from a frozen sensor or driver. A coarser sensor repeats itself
// in good health: a quiet grid stays within one step of 0.1 Hz for hours.
var noisy = [...]struct {
	channel Channel
	step    float64
}{{PressureHPa, 0.1}, {FrequencyHz, 0.01}, {VoltageV, 0.2}, {VoltageAV, 0.2}, {VoltageBV, 0.2}, {VoltageCV, 0.2}}

// SetStep is Set for a sensor whose readings come in steps of that size. Where they
// are too coarse to show the noise of what is measured, a value that stays the same
// says nothing, and is not taken for stuck.
func (s *Sample) SetStep(c Channel, v, step float64) {
	s.Set(c, v)
	s.Coarse &^= 1 << c
	for _, n := range noisy {
		if n.channel == c && step > n.step {
			s.Coarse = s.Coarse.With(c)
		}
	}
}

// windy are the channels of a cup or vane: a cut cable, ice and a frozen driver
// look like a calm or a steady wind.
var windy = [...]Channel{WindGustMPS, WindSpeedMPS}

// slow are channels that move in a day at any rate, but for a zero of those that
// may well be zero for long: no rain, no light, a machine that rests.
var slow = [...]Channel{TemperatureC, EquipmentTemperatureC, RainMM, IrradianceWPM2, VibrationMPS2}

// A sticking says after how long one and the same value is a frozen sensor's; 0 is
// never.
type sticking struct {
	afterMs int64 // any value but zero,
	n       int   // over so many readings
	zeroMs  int64 // zero,
	zeroN   int   // over so many readings
}

// calmReadings is how many readings of zero make a calm that is none. Over 38
// years of hourly peak gusts at 8 stations the longest run of zeros was 3 h.
const calmReadings = 4

// stickings are those of a configuration.
func stickings(c *Config) (out [NumChannels]sticking) {
	out[WindGustMPS] = sticking{zeroMs: seconds(c.StuckCalmS), zeroN: calmReadings}
	// A meter that reports every quarter of an hour may well repeat itself, and an
	// hour's mean wind may be reported as calm all night.
	if c.IntervalS > 60 {
		return out
	}
	ms := seconds(c.StuckS)
	for _, n := range noisy {
		out[n.channel] = sticking{ms, c.StuckReadings, ms, c.StuckReadings}
	}
	for _, ch := range windy {
		out[ch] = sticking{seconds(c.StuckWindS), c.StuckReadings, seconds(c.StuckCalmS), calmReadings}
	}
	for _, ch := range slow {
		out[ch] = sticking{afterMs: seconds(c.StuckSlowS), n: c.StuckReadings}
	}
	for _, ch := range [...]Channel{TemperatureC, EquipmentTemperatureC} { // 0 C is a temperature as any other
		out[ch].zeroMs, out[ch].zeroN = out[ch].afterMs, out[ch].n
	}
	return out
}

// stuck reports whether a value that stands for ms and n readings is a frozen one.
func (s *sticking) stuck(v float64, ms int64, n int) bool {
	after, least := s.afterMs, s.n
	if v == 0 {
		after, least = s.zeroMs, s.zeroN
	}
	return after > 0 && ms >= after && n >= least
}

// A reading is what is known of one channel.
type reading struct {
	value      float64
	measuredMs int64    // of value
	seen       bool     // value has been valid once
	state      Validity // of the last report
	fresh      bool     // the present sample brought it
	sameMs     int64    // since when the raw value has not moved
	sameN      int      // over how many readings
}

// inputs judge what sensors report: range, rate of change, stuck values, age.
// They hold each channel's last good reading, which counts until it is stale
// or the sensor reports anything else.
type inputs struct {
	r         [NumChannels]reading
	staleMs   [NumChannels]int64
	sticks    [NumChannels]sticking
	silenceMs int64 // without any sample
	lastMs    int64 // of the last sample
	any       bool
}

func newInputs(c *Config) inputs {
	in := inputs{sticks: stickings(c)}
	byInterval := seconds(float64(1.5 * c.IntervalS))
	for ch := range NumChannels {
		in.staleMs[ch] = max(seconds(c.Stale.of(ch.Info().Group)), byInterval)
	}
	in.silenceMs = max(seconds(c.Stale.ElectricalS), byInterval)
	return in
}

// take judges a sample at tMs and writes what it finds into its validities.
func (in *inputs) take(s *Sample, tMs int64) {
	in.lastMs, in.any = tMs, true
	for c := range NumChannels {
		r := &in.r[c]
		r.fresh = false
		switch s.Validity[c] {
		case Absent: // the sensor had no turn; the last reading ages
		case Valid, Saturated, Partial:
			in.accept(s, c, tMs)
		default:
			r.state = s.Validity[c]
		}
	}
}

// huge bounds a reading beyond its range: farther than every threshold.
const huge = 1e12

func (in *inputs) accept(s *Sample, c Channel, tMs int64) {
	r, v := &in.r[c], s.Values[c]
	info := &channels[c]
	measured := tMs - max(s.AgeMs[c], 0)
	// Beyond the range where a hazard goes on, saturated is not invalid: the rules
	// have it, and the gate asks for better all the same.
	inRange := v >= info.Min && v <= info.Max // NaN fails the comparison
	saturated := c.beyond(v) || inRange && s.Validity[c] == Saturated
	if saturated {
		v = min(max(v, -huge), huge) // no sum of it may become NaN
	}
	switch {
	case !inRange && !saturated:
		r.state = OutOfRange
	case r.seen && (measured < r.measuredMs || measured == r.measuredMs && v == r.value):
		// The same measurement again, or an older one: it has been judged.
		if r.state != Valid {
			s.Fail(c, r.state)
		}
		return
	case r.seen && !saturated && paces[c].exceeded(v-r.value, measured-r.measuredMs):
		r.state = Jumped
	default:
		if !r.seen || v != r.value {
			r.sameMs, r.sameN = measured, 0
		}
		r.sameN++
		r.value, r.measuredMs, r.seen, r.fresh, r.state = v, measured, true, true, Valid
		switch {
		case saturated:
			r.state = Saturated
		case s.Validity[c] == Partial:
			r.state = Partial
		case !s.Coarse.Has(c) && in.sticks[c].stuck(v, measured-r.sameMs, r.sameN):
			r.state, r.fresh = Stuck, false
		}
	}
	if r.state != Valid {
		s.Fail(c, r.state)
	}
}

func (p pace) exceeded(change float64, ms int64) bool {
	if p.basisMs == 0 {
		return false
	}
	if change < 0 {
		change = -change
	}
	return change > p.delta*float64(max(ms, p.basisMs))/float64(p.basisMs)
}

// validity returns the channel's state at tMs.
func (in *inputs) validity(c Channel, tMs int64) Validity {
	r := &in.r[c]
	if r.state.counts() && tMs-r.measuredMs > in.staleMs[c] {
		return Stale
	}
	return r.state
}

// get returns the channel's value at tMs and whether it may be used.
func (in *inputs) get(c Channel, tMs int64) (float64, bool) {
	return in.r[c].value, in.validity(c, tMs).counts()
}

// ageS returns how old the channel's value is, or 0 when there is none.
func (in *inputs) ageS(c Channel, tMs int64) float64 {
	if !in.r[c].seen {
		return 0
	}
	return float64(tMs-in.r[c].measuredMs) / 1000
}

// silent reports whether no sample came for too long, or none at all yet.
func (in *inputs) silent(tMs int64) bool {
	return !in.any || tMs-in.lastMs > in.silenceMs
}

// deadline returns the first moment after tMs at which a reading, or the whole
// stream of samples, becomes stale.
func (in *inputs) deadline(tMs int64) int64 {
	at := int64(never)
	if in.any && in.lastMs+in.silenceMs >= tMs {
		at = in.lastMs + in.silenceMs + 1
	}
	for c := range in.r {
		r := &in.r[c]
		if r.state.counts() {
			if d := r.measuredMs + in.staleMs[c] + 1; d > tMs {
				at = min(at, d)
			}
		}
	}
	return at
}
