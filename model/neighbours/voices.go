package neighbours

import (
	"math"
	"sort"
)

// A voice is what one neighbour says to a number.
type voice struct {
	v      float64
	sender string
}

// voices are what all neighbours say, by number.
type voices [NumNumbers][]voice

func (vs *voices) say(n *Nowcast, km float64, nowMs int64) {
	say := func(number int, v float64) { vs[number] = append(vs[number], voice{v, n.Sender}) }
	if g := n.GustRatio; g.OK && km <= RegionKM {
		say(GustRegion, g.V)
		if km <= WindKM {
			say(GustHighest, g.V)
			say(GustMean, g.V)
		}
	}
	if p := n.PressureChange3hHPa; p.OK && km <= WindKM {
		say(PressureLowest, p.V)
	}
	if n.Thunder && km <= ThunderKM {
		near := math.Exp(-km / FadeKM)
		ago := n.ThunderAgoMs + max(nowMs-n.MadeAtMs, 0)
		say(Thunder3h, sometimes(near, ago <= ThunderBackMs/2))
		say(Thunder6h, sometimes(near, ago <= ThunderBackMs))
	}
}

func sometimes(v float64, yes bool) float64 {
	if yes {
		return v
	}
	return 0
}

// strongest sorts a number's voices, the strongest first; of equals by name.
func strongest(number int, v []voice) {
	lowest := number == PressureLowest
	// Not slices.SortFunc: a copy of it for this type is as large as all of this package.
	sort.Slice(v, func(i, j int) bool {
		a, b := v[i], v[j]
		if a.v == b.v {
			return a.sender < b.sender
		}
		return (a.v < b.v) == lowest
	})
}

// number is what sorted voices make together.
func number(i int, v []voice) float64 {
	skip := 0
	if len(v) >= crowd {
		skip = 1
	}
	if i == GustMean {
		return mean(v[skip : len(v)-skip])
	}
	return v[skip].v
}

func (vs *voices) heard(speakers int) Heard {
	h := Heard{Speakers: speakers}
	for i, v := range vs {
		if len(v) == 0 {
			continue
		}
		strongest(i, v)
		h.X[i], h.Has[i] = number(i, v), true
		for _, one := range v[:min(len(v), maxNames)] {
			if (i == Thunder3h || i == Thunder6h) && one.v == 0 {
				break // it heard no thunder
			}
			h.By[i] = append(h.By[i], one.sender)
		}
	}
	return h
}

func mean(v []voice) float64 {
	sum := 0.0
	for _, one := range v {
		sum += one.v
	}
	return sum / float64(len(v))
}

// A Circle makes the six numbers of the same senders again and again, for
// measurements over many rows. It keeps memory from one to the next; the zero value
// is ready.
type Circle struct{ voices voices }

// Numbers returns what Listen does of up to 64 nowcasts, each of another sender, which
// are km away, count at nowMs and would be taken. It names nobody.
func (c *Circle) Numbers(nowMs int64, told []Nowcast, km []float64) Heard {
	for i := range c.voices {
		c.voices[i] = c.voices[i][:0]
	}
	for i := range told {
		c.voices.say(&told[i], km[i], nowMs)
	}
	h := Heard{Speakers: len(told)}
	for i, v := range c.voices {
		if len(v) == 0 {
			continue
		}
		strongest(i, v)
		h.X[i], h.Has[i] = number(i, v), true
	}
	return h
}
