package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
)

// A snapshot is "FWJ3", a body, and the CRC-32C of both. The body holds, in
// uvarints: the alert counter; how long the gate must still wait at least; the
// ages of its last openings; the official warnings in force; W08's usual
// pressure by Unix hour; a person's block; then each rule that is not idle, with
// its id, level held, flags and remaining hold; then the ages of the strokes that
// may confirm another and the strong hours of the wind, as entries of the same form.
// "FWJ2" is the same without the block, and is read too. Ids instead of
// indexes survive a change of the rule table. Ages instead of times survive a
// restart of the clock: a monotonic one begins at zero.
const (
	snapshotMagic  = "FWJ3"
	snapshotBefore = "FWJ2"
)

const (
	flagActive  = 1 << iota // the condition stood
	flagLatched             // Ack was awaited
)

// maxSnapshot bounds what Restore accepts.
const maxSnapshot = 1 << 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot returns holds, latches and past openings as bytes for Restore. About
// 1 kB, plus 2 kB if W08 is served. Keep it on disk at every gate or alert
// event.
func (j *Judge) Snapshot() []byte {
	b := append([]byte(nil), snapshotMagic...)
	b = binary.AppendUvarint(b, uint64(j.counter))
	wait := int64(0)
	if at := j.gate.OpensAtMs(); at != never {
		wait = max(at-j.nowMs, 0)
	}
	if j.gate.hasFloor { // also while something else blocks
		wait = max(wait, j.gate.floorMs-j.nowMs)
	}
	b = binary.AppendUvarint(b, uint64(wait))
	n := min(j.gate.nOpen, maxReopens)
	b = binary.AppendUvarint(b, uint64(n))
	for i := range n {
		// Oldest first, so that Restore refills the ring in order.
		at := j.gate.openings[(j.gate.nOpen-n+i)%maxReopens]
		b = binary.AppendUvarint(b, uint64(max(j.nowMs-at, 0)))
	}
	b = j.ev.warnings.append(b, j.nowMs)
	b = j.ev.appendBaseline(b)
	b = j.ev.block.append(b, j.nowMs)
	for i := range j.rules {
		st, latched := &j.states[i], j.gate.Latched().Has(i)
		if i == ruleInit || (st.stands() == LevelNone && !latched) {
			continue
		}
		flags := byte(0)
		if st.level != LevelNone {
			flags |= flagActive
		}
		if latched {
			flags |= flagLatched
		}
		remaining := int64(0)
		if st.holding {
			remaining = max(st.holdUntil-j.nowMs, 0)
			if st.holdUntil == never { // restored, and no sample since
				remaining = j.resumeMs[i]
			}
		} else if st.level != LevelNone {
			// All of its hold is still to come, as it is configured now.
			remaining = max(seconds(j.rules[i].holdS(&j.ev)), st.owedMs)
		}
		b = appendEntry(b, j.rules[i].id, byte(st.stands()), flags, remaining)
	}
	b = j.ev.lightning.append(b, j.nowMs)
	if j.extractor != nil {
		b = j.extractor.place.gusts.append(b)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// appendEntry writes a rule, or what stands among the rules under a name that no
// rule has, so that older programs pass it over.
func appendEntry(b []byte, id string, level, flags byte, ms int64) []byte {
	b = append(b, byte(len(id)))
	b = append(b, id...)
	b = append(b, level, flags)
	return binary.AppendUvarint(b, uint64(ms))
}

var errSnapshot = errors.New("snapshot is damaged")

// Restore takes over holds, latches and past openings from a snapshot. nowMs is
// the present time of the sensing clock, which may have begun again. Every hold
// that ran runs again in full, or for what remained if that is longer: a restart
// never shortens one. The time between is not counted, nor is the time until the
// first sample. Implausible readings are forgotten: a start asks for valid ones
// again. Call it before the first Step. The usual pressure comes along as soon as
// SetWall is called, before or after. A judge whose Restore fails is unchanged.
//
// A rule that is not served any more, because its sensor or its setting is gone,
// is held for its time. Where it blocked, it is latched too: nothing that is
// measured can say that its cause is over, so a person has to. Its latch is found
// by its id, whether the site still has the rule or not.
func (j *Judge) Restore(snapshot []byte, nowMs int64) error {
	if j.any {
		return errors.New("restore judge: it has judged already")
	}
	body, version, err := openSnapshot(snapshot)
	if err != nil {
		return fmt.Errorf("restore judge: %w", err)
	}
	r := snapshotReader{b: body}
	counter, wait := r.number(), r.number()
	n := r.number()
	if n > maxReopens {
		return fmt.Errorf("restore judge: %w", errSnapshot)
	}
	openings := make([]int64, 0, maxReopens)
	for range n {
		openings = append(openings, nowMs-int64(r.number()))
	}
	inForce, err := r.warnings(nowMs)
	if err != nil {
		return fmt.Errorf("restore judge: %w", err)
	}
	base, err := r.baseline()
	if err != nil {
		return fmt.Errorf("restore judge: %w", err)
	}
	blocked := block{}
	if version != snapshotBefore {
		if blocked, err = r.block(); err != nil {
			return fmt.Errorf("restore judge: %w", err)
		}
	}
	past := newPast(j, int64(wait))
	strokes := newLightning()
	var gusts []byte
	for len(r.b) > 0 && !r.bad {
		id, held, flags, remaining := r.rule()
		if !r.bad && strokes.restore(id, byte(held), flags, nowMs-remaining) {
			continue
		}
		if piece, ok := strings.CutPrefix(id, gustEntry); ok && !r.bad {
			gusts = append(gusts, piece...)
			continue
		}
		if r.bad || held > LevelBlock || id == rules[ruleInit].id || !past.add(id, held, flags, remaining) {
			return fmt.Errorf("restore judge: %w", errSnapshot)
		}
	}
	if r.bad || counter > math.MaxInt32 {
		return fmt.Errorf("restore judge: %w", errSnapshot)
	}
	j.counter, j.rules, j.states, j.nowMs = int(counter), past.rules, past.states, nowMs
	j.sortStates()
	for len(j.begun) < len(j.rules) {
		j.begun = append(j.begun, never)
	}
	j.resumeMs, j.restoredMs = past.resumeMs, nowMs
	j.ev.warnings, j.ev.lightning = inForce, strokes
	if j.extractor != nil {
		j.extractor.place.gusts.restore(gusts)
	}
	j.ev.cyclone.restore(base, nowMs+j.ev.wallOffsetMs, j.ev.wallKnown)
	blocked.clockKnown, blocked.wallOffsetMs = j.ev.block.clockKnown, j.ev.block.wallOffsetMs
	j.ev.block = blocked
	for _, g := range [...]*Gate{j.gate, j.sober} {
		g.restore(openings, past.latched, nowMs+past.waitMs)
	}
	return nil
}

// resume starts at the first sample what a restart left to wait for. Before that
// nothing is known, and what is not known does not clear.
func (j *Judge) resume(tMs int64) {
	j.ev.block.resume(tMs)
	for i := range j.resumeMs {
		if st := &j.states[i]; st.holding && st.holdUntil == never {
			st.holdUntil = tMs + j.resumeMs[i]
		}
	}
	for _, g := range [...]*Gate{j.gate, j.sober} {
		if g.hasFloor {
			g.floorMs += max(tMs-j.restoredMs, 0)
		}
	}
	j.resumeMs = nil
}

// restore sets what outlives a restart of the gate.
func (g *Gate) restore(openings []int64, latched RuleSet, floorMs int64) {
	g.nOpen = copy(g.openings[:], openings)
	g.latched, g.floorMs, g.hasFloor = latched, floorMs, true
}

// openSnapshot returns the body and the version.
func openSnapshot(b []byte) (body []byte, version string, err error) {
	if len(b) < len(snapshotMagic)+4 || len(b) > maxSnapshot {
		return nil, "", errors.New("not a snapshot of this version")
	}
	if version = string(b[:len(snapshotMagic)]); version != snapshotMagic && version != snapshotBefore {
		return nil, "", errors.New("not a snapshot of this version")
	}
	end := len(b) - 4
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, "", errSnapshot
	}
	return b[len(snapshotMagic):end], version, nil
}

// A snapshotReader reads a body; bad is set at the first thing that is wrong.
type snapshotReader struct {
	b   []byte
	bad bool
}

// maxDuration bounds every time in a snapshot: ten years in milliseconds.
const maxDuration = 10 * 366 * 86400 * 1000

func (r *snapshotReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > maxDuration {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *snapshotReader) rule() (id string, held Level, flags byte, remainingMs int64) {
	if len(r.b) < 1 || len(r.b) < 1+int(r.b[0])+2 {
		r.bad = true
		return "", 0, 0, 0
	}
	n := 1 + int(r.b[0])
	id, held, flags = string(r.b[1:n]), Level(r.b[n]), r.b[n+1]
	r.b = r.b[n+2:]
	return id, held, flags, int64(r.number())
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
