package model

// evidence is all that the rules look at: the inputs, what the hazards
// remember, and the configuration. take changes it with a sample; between
// samples only a rule's note does (see rule). What the rules read besides is
// the time.
type evidence struct {
	memory
	cfg          Config
	limits       GridLimits
	required     []Channel
	in           inputs
	wallOffsetMs int64 // Unix time less the sensing clock, as told at the start
	wallKnown    bool
	sun          sun // over the site
}

func newEvidence(c *Config, limits GridLimits) evidence {
	e := evidence{cfg: *c, limits: limits, required: c.Required, in: newInputs(c)}
	for i := range hazards {
		if start := hazards[i].start; start != nil {
			start(&e)
		}
	}
	return e
}

// take judges a sample and updates what the hazards remember. What it finds of
// each channel is written into the sample.
func (e *evidence) take(s *Sample, tMs int64) {
	e.in.take(s, tMs)
	for i := range hazards {
		if take := hazards[i].take; take != nil {
			take(e, s, tMs)
		}
	}
}

// deadline returns the next moment after tMs at which a rule may say something
// else although no sample comes.
func (e *evidence) deadline(tMs int64) int64 {
	at := e.in.deadline(tMs)
	for i := range hazards {
		if deadline := hazards[i].deadline; deadline != nil {
			at = min(at, deadline(e, tMs))
		}
	}
	return at
}

// push adds a reading of this sample to a history.
func (e *evidence) push(h *history, c Channel) {
	if r := &e.in.r[c]; r.fresh {
		h.push(r.measuredMs, r.value)
	}
}

// since returns since when a condition stands, given what it was before.
func since(was int64, stands bool, tMs int64) int64 {
	if !stands {
		return never
	}
	return min(was, tMs)
}

// lasted reports whether a condition has stood for s seconds.
func lasted(sinceMs, tMs int64, s float64) bool {
	return sinceMs != never && tMs-sinceMs >= seconds(s)
}

// lastsAt returns when a condition will have stood for s seconds, or never
// when it does not stand or that moment is not after tMs.
func lastsAt(sinceMs, tMs int64, s float64) int64 {
	if sinceMs == never || sinceMs+seconds(s) <= tMs {
		return never
	}
	return sinceMs + seconds(s)
}

// pulseEndsAt returns when something that acts at its own moment only is over,
// one millisecond later, or never when it is over already.
func pulseEndsAt(pulseMs, tMs int64) int64 {
	if pulseMs < tMs {
		return never
	}
	return pulseMs + 1
}

// extreme returns the lowest or highest usable value among channels.
func (e *evidence) extreme(cs []Channel, tMs int64, lowest bool) (Channel, float64, bool) {
	var at Channel
	var best float64
	found := false
	for _, c := range cs {
		v, ok := e.in.get(c, tMs)
		if ok && (!found || (lowest && v < best) || (!lowest && v > best)) {
			at, best, found = c, v, true
		}
	}
	return at, best, found
}

// usable reports whether every one of the channels can be used.
func (e *evidence) usable(tMs int64, cs ...Channel) bool {
	for _, c := range cs {
		if !e.in.validity(c, tMs).counts() {
			return false
		}
	}
	return true
}

func (e *evidence) seenAny(cs []Channel) bool {
	for _, c := range cs {
		if e.in.r[c].seen {
			return true
		}
	}
	return false
}
