package agent

import (
	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// A ballot is the vote of the sensors that give one channel.
type ballot struct {
	model.Ballot
	voters   []int // indexes into the sensors
	readings []model.Reading
	outlier  int // index into voters; -1: none
}

// vote joins the readings of a channel. The judge tells that they disagree
// (rule S01); only the log and telemetry tell which one stands alone.
func (s *Senses) vote(b *ballot, sample *model.Sample) {
	v := b.Vote(b.readings)
	sample.SetVote(b.Channel, v)
	if v.Outlier == b.outlier {
		return
	}
	b.outlier = v.Outlier
	if v.Outlier < 0 {
		s.log.Info("sensors agree again", "channel", b.Channel.String())
		return
	}
	s.log.Warn("a sensor stands alone", "channel", b.Channel.String(), "sensor", s.status[b.voters[v.Outlier]].Name,
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
		v := b.Vote(b.readings)
		vote := Vote{b.Channel, wire.Vote{Disagree: v.Disagree, Sensors: make(map[string]*float64)}}
		if v.Validity == model.Valid {
			vote.Value = view.Rounded(v.Value, 4)
		}
		for at, r := range b.readings {
			name := s.status[b.voters[at]].Name
			vote.Sensors[name] = nil
			if r.Validity == model.Valid {
				vote.Sensors[name] = view.Rounded(r.Value, 4)
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
