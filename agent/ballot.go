package agent

import (
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A ballot is the vote of the sensors that give one channel.
type ballot struct {
	channel  model.Channel
	nominal  float64 // of voltages and frequency
	voters   []int   // indexes into the sensors
	readings []model.Reading
	outlier  int // index into voters; -1: none
}

// nominalOf returns what a voltage or frequency should be, 0 for all else.
func nominalOf(c model.Channel, judge model.Config) float64 {
	switch c {
	case model.VoltageV, model.VoltageAV, model.VoltageBV, model.VoltageCV:
		return judge.NominalVoltageV
	case model.FrequencyHz:
		return judge.NominalFreqHz
	}
	return 0
}

// vote joins what the sensors of a channel said. The judge tells that they
// disagree (rule S01); which one stands alone only the log and telemetry know.
func (s *Senses) vote(b *ballot, sample *model.Sample) {
	v := model.Vote(b.channel, b.nominal, b.readings)
	sample.SetVote(b.channel, v)
	if v.Outlier == b.outlier {
		return
	}
	b.outlier = v.Outlier
	if v.Outlier < 0 {
		s.log.Info("sensors agree again", "channel", b.channel.String())
		return
	}
	s.log.Warn("a sensor stands alone", "channel", b.channel.String(), "sensor", s.status[b.voters[v.Outlier]].Name,
		"value", b.readings[v.Outlier].Value, "others", v.Value)
}

// A Vote is what several sensors say of one channel.
type Vote struct {
	Channel model.Channel
	wire.Vote
}

// Votes returns the votes of the last Read, in the order of the channels.
func (s *Senses) Votes() []Vote {
	var out []Vote
	for i := range s.votes {
		b := &s.votes[i]
		v := model.Vote(b.channel, b.nominal, b.readings)
		vote := Vote{b.channel, wire.Vote{Disagree: v.Disagree, Sensors: make(map[string]*float64)}}
		if v.Validity == model.Valid {
			vote.Value = rounded(v.Value, 4)
		}
		for at, r := range b.readings {
			name := s.status[b.voters[at]].Name
			vote.Sensors[name] = nil
			if r.Validity == model.Valid {
				vote.Sensors[name] = rounded(r.Value, 4)
			}
		}
		if v.Outlier >= 0 {
			vote.Outlier = s.status[b.voters[v.Outlier]].Name
		}
		out = append(out, vote)
	}
	return out
}

// String says the vote in words.
func (v Vote) String() string {
	switch {
	case v.Outlier != "":
		return v.Outlier + " stands alone"
	case v.Disagree:
		return "disagree; the unsafe one counts"
	case v.Value == nil:
		return "no sensor gives a value"
	}
	return "ok"
}
