package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// A snapshot is "FWJ3", a body, and the CRC-32C of both. The body holds, in
// uvarints: the alert counter; how long the gate must still wait at least; the
// ages of its last openings; the official warnings in force; W08's usual
// pressure by Unix hour, if the wall clock is known; a person's block; then each
// rule that is not idle, with its id, level held, flags and remaining hold. "FWJ2"
// is the same without the block, and is read too. Ids instead of
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
		}
		b = append(b, byte(len(j.rules[i].id)))
		b = append(b, j.rules[i].id...)
		b = append(b, byte(st.stands()), flags)
		b = binary.AppendUvarint(b, uint64(remaining))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errSnapshot = errors.New("snapshot is damaged")

// Restore takes over holds, latches and past openings from a snapshot. nowMs is
// the present time of the sensing clock, which may have begun again. Every hold
// that ran runs again in full, or for what remained if that is longer: a restart
// never shortens one. The time between is not counted, nor is the time until the
// first sample. Implausible readings are forgotten: a start asks for valid ones
// again. Call it before the first Step, and after SetWall if the usual pressure
// is to come along. A judge whose Restore fails is unchanged. A rule that the
// site no longer has is held for its time and then dropped.
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
	states, resume := make([]ruleState, len(j.rules)), make([]int64, len(j.rules))
	copy(states, j.states)
	latched, restWait := RuleSet(0), int64(wait)
	for len(r.b) > 0 && !r.bad {
		id, held, flags, remaining := r.rule()
		i, known := ruleIndex(j.rules, id)
		if r.bad || held > LevelBlock || i == ruleInit {
			return fmt.Errorf("restore judge: %w", errSnapshot)
		}
		if !known || !j.served.Has(i) {
			restWait = max(restWait, remaining)
			continue
		}
		full := max(remaining, seconds(j.rules[i].holdS(&j.ev)))
		states[i] = ruleState{held: held, holding: true, holdUntil: never}
		resume[i] = full
		if flags&flagActive != 0 {
			// It stands until fresh data says that it is over. The windows behind
			// it are lost, so the gate waits for them as well.
			states[i] = ruleState{level: held, held: held}
			if held == LevelBlock {
				restWait = max(restWait, full+j.rules[i].windowMs)
			}
		}
		if flags&flagLatched != 0 {
			latched = latched.With(i)
		}
	}
	if r.bad || counter > math.MaxInt32 {
		return fmt.Errorf("restore judge: %w", errSnapshot)
	}
	j.counter, j.states, j.nowMs = int(counter), states, nowMs
	j.resumeMs, j.restoredMs = resume, nowMs
	j.ev.warnings, j.ev.lightning.quietMs = inForce, longAgo
	blocked.clockKnown, blocked.wallOffsetMs = j.ev.block.clockKnown, j.ev.block.wallOffsetMs
	j.ev.block = blocked
	if j.ev.wallKnown {
		j.ev.cyclone.base = base
	}
	for _, g := range [...]*Gate{j.gate, j.sober} {
		g.restore(openings, latched, nowMs+restWait)
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
