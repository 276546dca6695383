package model

import "encoding/binary"

// append writes the warnings in force with the time they have left.
func (x *external) append(b []byte, nowMs int64) []byte {
	live := 0
	for i := range x.n {
		if x.list[i].UntilMs > nowMs {
			live++
		}
	}
	b = binary.AppendUvarint(b, uint64(live))
	for i := range x.n {
		w := &x.list[i]
		if w.UntilMs <= nowMs {
			continue
		}
		for _, s := range [...]string{w.ID, w.Sender, w.Event, w.Severity, w.Urgency} {
			b = append(b, byte(len(s)))
			b = append(b, s...)
		}
		b = append(b, byte(w.Level))
		b = binary.AppendUvarint(b, uint64(min(w.UntilMs-nowMs, maxDuration)))
	}
	return b
}

// text reads a short text.
func (r *snapshotReader) text() string {
	if len(r.b) < 1 || len(r.b) < 1+int(r.b[0]) || int(r.b[0]) > maxWarningText {
		r.bad = true
		return ""
	}
	n := 1 + int(r.b[0])
	s := string(r.b[1:n])
	r.b = r.b[n:]
	return s
}

func (r *snapshotReader) octet() byte {
	if len(r.b) < 1 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// warnings reads what append wrote; each lasts for what it had left, anew.
func (r *snapshotReader) warnings(nowMs int64) (external, error) {
	var x external
	n := r.number()
	if n > maxWarnings {
		return x, errSnapshot
	}
	for range n {
		w := Warning{ID: r.text(), Sender: r.text(), Event: r.text(), Severity: r.text(), Urgency: r.text()}
		w.Level = Level(r.octet())
		left := r.number()
		if r.bad || w.ID == "" || w.Level > LevelBlock || left > maxDuration {
			return x, errSnapshot
		}
		w.UntilMs = nowMs + int64(left)
		if err := x.put(w); err != nil {
			return x, err
		}
	}
	return x, nil
}

// appendBaseline writes the usual pressure: the Unix hour of its newest entry
// and how many hours, then each as a step from the one before. Without a wall
// clock nothing is written: after a stop of unknown length nobody can say
// which hour of the day an entry belongs to.
func (e *evidence) appendBaseline(b []byte) []byte {
	base := &e.cyclone.base
	if !e.wallKnown || !base.any || base.hour < baselineHours {
		return binary.AppendUvarint(b, 0)
	}
	closed := *base
	closed.advance(base.hour + 1)
	first := closed.hour - baselineHours + 1
	for first < closed.hour && *closed.slot(first) == 0 {
		first++
	}
	b = binary.AppendUvarint(b, uint64(closed.hour))
	b = binary.AppendUvarint(b, uint64(closed.hour-first))
	last := int64(0)
	for h := first; h < closed.hour; h++ {
		v := int64(*closed.slot(h))
		b = binary.AppendVarint(b, v-last)
		last = v
	}
	return b
}

func (r *snapshotReader) baseline() (baseline, error) {
	var out baseline
	hour := int64(r.number())
	if r.bad || hour == 0 {
		return out, nil
	}
	n := int64(r.number())
	if r.bad || n >= baselineHours || hour < n {
		return out, errSnapshot
	}
	out.hour, out.any = hour, true
	last := int64(0)
	for h := hour - n; h < hour; h++ {
		d, size := binary.Varint(r.b)
		last += d
		// Nothing outside the channel's range was ever written.
		if size <= 0 || last < 0 || last > centi(channels[PressureHPa].Max) || last > 0 && last < centi(channels[PressureHPa].Min) {
			return out, errSnapshot
		}
		r.b = r.b[size:]
		*out.slot(h) = int32(last)
	}
	return out, nil
}
