package model

import (
	"math"
	"slices"
)

// A Reading is what one of several sensors of a kind says of a channel.
type Reading struct {
	Value    float64
	Validity Validity
	AgeMs    int64
}

// MaxVoters bounds how many sensors of a kind vote.
const MaxVoters = 8

// agreement is how far two sensors of a kind may lie apart: the larger of an
// absolute difference and a share of the larger value. It is about the sum of
// two cheap sensors' errors; zero values compare exactly.
type agreement struct{ abs, share float64 }

var agreements = [NumChannels]agreement{
	VoltageV: {2, 0.02}, VoltageAV: {2, 0.02}, VoltageBV: {2, 0.02}, VoltageCV: {2, 0.02}, VoltageNV: {2, 0.02},
	CurrentA: {0.2, 0.05}, CurrentAA: {0.2, 0.05}, CurrentBA: {0.2, 0.05}, CurrentCA: {0.2, 0.05}, CurrentNA: {0.2, 0.05},
	PowerFactor: {0.05, 0}, PowerFactorA: {0.05, 0}, PowerFactorB: {0.05, 0}, PowerFactorC: {0.05, 0},
	FrequencyHz: {0.05, 0}, PowerW: {20, 0.05}, PowerAW: {20, 0.05}, PowerBW: {20, 0.05}, PowerCW: {20, 0.05},
	THDPct: {1, 0.1}, THDAPct: {1, 0.1}, THDBPct: {1, 0.1}, THDCPct: {1, 0.1},
	DCVoltageV: {5, 0.02}, DCCurrentA: {0.2, 0.05}, InsulationKOhm: {5, 0.2}, LeakageMA: {3, 0.1},
	EquipmentTemperatureC: {3, 0}, VibrationMPS2: {0.5, 0.2}, RotorRPM: {2, 0.03},
	TemperatureC: {1.5, 0}, HumidityPct: {8, 0}, PressureHPa: {2, 0},
	WindSpeedMPS: {1, 0.15}, WindGustMPS: {1.5, 0.15}, WindDirectionDeg: {30, 0},
	RainMM: {0.5, 0.2}, IrradianceWPM2: {50, 0.15}, LightningKM: {7, 0}, LightningCount: {1, 0.5},
}

func (a agreement) holds(d, x, y float64) bool {
	return d <= max(a.abs, float64(a.share*max(x, y, -x, -y)))
}

// apartBy returns how far two values of a channel lie apart; directions are 2
// degrees apart across north, not 358.
func apartBy(c Channel, x, y float64) float64 {
	d := max(x-y, y-x)
	if c == WindDirectionDeg {
		d = min(d, 360-d)
	}
	return d
}

// An AgreedReading is what several sensors of a kind say together.
type AgreedReading struct {
	Reading       // what counts
	Disagree bool // not all that can be read say the same
	Outlier  int  // of three or more, the one that stands alone; else -1
}

// A Ballot says how several sensors of one channel vote at a site.
type Ballot struct {
	Channel Channel
	// Low and High are the thresholds on either side: the reading nearest to one, or
	// farthest beyond it, is the unsafe one. Without a threshold they are infinite.
	Low, High float64
	// Redundant sensors stand at one place. Sensors of a channel that tells of places
	// (apart) do not, unless the configuration says so.
	Redundant bool
}

// apart are the channels of which a site has several sensors because there are
// several places to watch: the middle one of three bearings, strings or storms is
// the wrong one to look at.
var apart = [...]Channel{
	LightningKM, LightningCount, EquipmentTemperatureC, VibrationMPS2, LeakageMA, InsulationKOhm, DCVoltageV, DCCurrentA,
}

// Ballot returns how sensors of a channel vote under a configuration.
func (c *Config) Ballot(ch Channel) Ballot {
	b := defaultBallot(ch, 0)
	b.Redundant = b.Redundant || slices.Contains(c.Redundant, ch)
	switch l := c.limitsInForce(); ch {
	case VoltageV, VoltageAV, VoltageBV, VoltageCV:
		b.Low, b.High = float64(l.VoltageLowPU*c.NominalVoltageV), float64(l.VoltageHighPU*c.NominalVoltageV)
	case FrequencyHz:
		b.Low, b.High = l.FrequencyLowHz, l.FrequencyHighHz
	case DCVoltageV:
		b.Low, b.High = -c.Earth.ReversedDCV, math.Inf(1)
		if c.Earth.MaxDCVoltageV > 0 {
			b.High = c.Earth.MaxDCVoltageV
		}
	}
	return b
}

// defaultBallot knows no more of a site than the nominal value of a voltage or
// frequency.
func defaultBallot(c Channel, nominal float64) Ballot {
	b := Ballot{c, math.Inf(-1), 0, !slices.Contains(apart[:], c)}
	switch c {
	case InsulationKOhm, LightningKM, PressureHPa:
		b.Low, b.High = 0, math.Inf(1)
	case VoltageV, VoltageAV, VoltageBV, VoltageCV, FrequencyHz:
		b.Low, b.High = nominal, nominal
	}
	return b
}

// margin is how far a value lies from the nearest threshold, negative beyond it.
func (b *Ballot) margin(v float64) float64 { return min(v-b.Low, b.High-v) }

// Vote joins what sensors of a kind say where no more is known of the site than the
// nominal value of a voltage or frequency.
func Vote(c Channel, nominal float64, readings []Reading) AgreedReading {
	b := defaultBallot(c, nominal)
	return b.Vote(readings)
}

// Vote joins what sensors of a kind say. One usable sensor counts by itself. Of two
// the unsafe one counts, that of the smaller margin to a threshold: the lower
// insulation, distance of lightning, and pressure; the larger of all else. Of three
// or more at one place the middle one counts; an even number has two middle ones,
// and the unsafe one of them counts. The reading that is farthest from it is named
// when it disagrees. Of sensors at several places the unsafe one always counts,
// and the result is Partial where one of them failed.
// Directions have no order: the one nearest to all the others counts. Where none is
// usable, the result is not usable either. Sensors after the eighth are not looked
// at.
//
// Event bits of inverters are no reading of one thing: all that are set count, and
// the health of some does not speak for one that cannot be asked.
//
// The caller puts the result into its sample with Sample.SetVote.
func (b *Ballot) Vote(readings []Reading) AgreedReading {
	c := b.Channel
	if c == InverterEvents {
		return inverterVote(readings)
	}
	var index [MaxVoters]int
	n := 0
	for i := range min(len(readings), MaxVoters) {
		r := &readings[i]
		inRange := r.Value >= channels[c].Min && r.Value <= channels[c].Max
		if r.Validity.counts() && (inRange || c.beyond(r.Value)) {
			index[n] = i
			n++
		}
	}
	if n == 0 {
		out := AgreedReading{Outlier: -1}
		for _, r := range readings {
			v := r.Validity
			if v == Valid {
				v = OutOfRange
			}
			out.Validity = max(out.Validity, v)
		}
		return out
	}
	usable := index[:n]
	for i := range usable { // they are few
		for j := i; j > 0 && readings[usable[j]].Value < readings[usable[j-1]].Value; j-- {
			usable[j], usable[j-1] = usable[j-1], usable[j]
		}
	}
	at := b.pick(readings, usable)
	out := AgreedReading{Reading: readings[at], Outlier: -1}
	switch {
	case c.beyond(out.Value):
		out.Validity = Saturated
	case !b.Redundant && out.Validity == Valid && missing(readings, usable):
		out.Validity = Partial
	}
	worst := -1.0
	for _, i := range usable {
		d := apartBy(c, readings[i].Value, out.Value)
		if !agreements[c].holds(d, readings[i].Value, out.Value) && d > worst {
			worst, out.Disagree = d, true
			if n >= 3 && b.Redundant {
				out.Outlier = i
			}
		}
	}
	return out
}

// pick returns the index of the reading that counts. usable holds indexes in
// the order of their values.
func (b *Ballot) pick(readings []Reading, usable []int) int {
	n := len(usable)
	at := usable[n/2]
	switch {
	case b.Channel == WindDirectionDeg:
		least := -1.0
		for _, i := range usable {
			sum := 0.0
			for _, k := range usable {
				sum += apartBy(b.Channel, readings[i].Value, readings[k].Value)
			}
			if least < 0 || sum < least {
				least, at = sum, i
			}
		}
	case !b.Redundant:
		for _, i := range usable {
			if b.unsafer(readings[i].Value, readings[at].Value) {
				at = i
			}
		}
	case n%2 == 0 && b.unsafer(readings[usable[n/2-1]].Value, readings[at].Value):
		at = usable[n/2-1]
	}
	return at
}

// unsafer reports whether x is the more dangerous of two values.
func (b *Ballot) unsafer(x, y float64) bool { return b.margin(x) < b.margin(y) }

// missing reports whether a sensor failed: at a place of its own no other stands in
// for it. One that had no turn, or nothing to tell, did not fail.
func missing(readings []Reading, usable []int) bool {
	for i := range min(len(readings), MaxVoters) {
		if readings[i].Validity != Absent && !slices.Contains(usable, i) {
			return true
		}
	}
	return false
}

// A ChannelSet is a set of channels.
type ChannelSet uint64

// Has reports whether c is in the set.
func (s ChannelSet) Has(c Channel) bool { return s&(1<<c) != 0 }

// With returns the set with c added.
func (s ChannelSet) With(c Channel) ChannelSet { return s | 1<<c }

// SetVote stores what several sensors said together. Their disagreement is
// kept with the value, and rule S01 tells of it.
func (s *Sample) SetVote(c Channel, v AgreedReading) {
	if v.Validity.counts() {
		s.Values[c], s.Validity[c], s.AgeMs[c] = v.Value, v.Validity, v.AgeMs
	} else {
		s.Fail(c, v.Validity)
	}
	if v.Disagree {
		s.Disagree = s.Disagree.With(c)
	}
}
