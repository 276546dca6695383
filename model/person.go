package model

import (
	"encoding/binary"
	"strconv"
	"time"

	"fairwatt/proto/person"
)

// personHazard is a person who wants the gate closed, for whatever reason. Only the
// person and the clock end it; nothing measured does.
var personHazard = hazard{
	deadline: func(e *evidence, tMs int64) int64 { return e.block.deadline(tMs) },
	rules: []rule{{
		id: ruleBlock, place: 15, kind: KindExternal, level: LevelBlock,
		source: "a named person closes the gate until a time, or until it is taken back; without a clock that can be trusted it stays",
		holdS:  noHold,
		evaluate: func(e *evidence, tMs int64, _ Level) Level {
			return keep(e.block.stands(tMs), LevelBlock)
		},
		explain: explainBlock,
		note: func(e *evidence, _ int64, level Level) {
			if level == LevelNone {
				e.block.clear()
			}
		},
	}},
}

// ruleBlock is the id of a person's block.
const ruleBlock = "B01"

// maxBlockMs is the longest that a person may close the gate at once: a year.
const maxBlockMs = 366 * 86400 * 1000

// A block is a person's block, and what is known of the wall clock that ends it.
type block struct {
	set     bool
	by, why string
	// untilUnixMs is the time of day at which it ends; 0 if the clock was not known
	// when it was asked for by its length. Then the sensing clock alone counts.
	untilUnixMs int64
	// untilMs is when it ends at the earliest by the sensing clock; never until that
	// is known.
	untilMs int64
	leftMs  int64 // what a restart left, until the first sample

	clockKnown   bool
	wallOffsetMs int64 // Unix time less the sensing clock
}

func (b *block) clear() {
	*b = block{clockKnown: b.clockKnown, wallOffsetMs: b.wallOffsetMs}
}

// stands reports whether the gate is to be closed. What ends at a time of day does
// not end while no one knows the time of day.
func (b *block) stands(tMs int64) bool {
	return b.set && (tMs < b.untilMs || b.untilUnixMs != 0 && !b.clockKnown)
}

func (b *block) deadline(tMs int64) int64 {
	if !b.set || b.untilMs <= tMs || b.untilUnixMs != 0 && !b.clockKnown {
		return never
	}
	return b.untilMs
}

// clock takes what the wall clock says. It ends nothing earlier than was known
// before: a clock that leaps ahead opens nothing.
func (b *block) clock(unixMs, tMs int64, known bool) {
	b.clockKnown, b.wallOffsetMs = known, unixMs-tMs
	if !known || !b.set || b.untilUnixMs == 0 {
		return
	}
	at := tMs + max(b.untilUnixMs-unixMs, 0)
	if b.untilMs == never {
		b.untilMs = at
		return
	}
	b.untilMs = max(b.untilMs, at)
}

// resume begins what a restart left at the first sample.
func (b *block) resume(tMs int64) {
	if b.set && b.untilUnixMs == 0 && b.untilMs == never {
		b.untilMs = tMs + b.leftMs
	}
}

// ends says until when, for people.
func (b *block) ends(tMs int64) string {
	switch {
	case b.untilUnixMs != 0:
		return "until " + time.UnixMilli(b.untilUnixMs).UTC().Format(time.RFC3339)
	case b.untilMs == never:
		return "for " + wholeSeconds(b.leftMs) + " s from the first sample"
	}
	return "for " + wholeSeconds(max(b.untilMs-tMs, 0)) + " s more"
}

func explainBlock(x *explainer) {
	b := &x.e.block
	if !b.set {
		x.say("a person's block is over")
		return
	}
	x.cause.Person = "agent unblock --by NAME"
	if until := b.deadline(x.tMs); until == never {
		x.endsAt(never, "by "+x.cause.Person)
	} else {
		x.endsAt(until, "by "+x.cause.Person+", or")
	}
	text := "closed by " + b.by + " " + b.ends(x.tMs)
	if b.untilUnixMs != 0 && !b.clockKnown {
		text += " by a clock that can be trusted, which is not there"
	}
	x.say(text + ": " + b.why)
}

// ask takes a checked word that asks for a block at tMs, or refuses it.
func (b *block) ask(w *Word, tMs int64) error {
	next := *b
	next.set, next.by, next.why, next.leftMs = true, w.By, w.Why, 0
	unixMs := tMs + b.wallOffsetMs
	switch {
	case w.ForMs != 0:
		next.untilMs, next.untilUnixMs = tMs+w.ForMs, 0
		if b.clockKnown {
			next.untilUnixMs = unixMs + w.ForMs
		}
	case !b.clockKnown:
		next.untilMs, next.untilUnixMs = never, w.UntilUnixMs
	case w.UntilUnixMs <= unixMs:
		return refuse(WordBadUntil, "until %s is past: it is %s", clockText(w.UntilUnixMs), clockText(unixMs))
	case w.UntilUnixMs-unixMs > maxBlockMs:
		return refuse(WordBadUntil, "until %s is more than 366 days ahead; take a nearer time", clockText(w.UntilUnixMs))
	default:
		next.untilMs, next.untilUnixMs = tMs+w.UntilUnixMs-unixMs, w.UntilUnixMs
	}
	if b.stands(tMs) && next.shorter(b) {
		return refuse(WordShorter, "%s has it closed %s, which is longer; take that back first (unblock)", b.by, b.ends(tMs))
	}
	*b = next
	return nil
}

// shorter reports whether the block would end before another, by either clock: a
// wall clock that has leapt ahead between the two makes a short one look long.
func (b *block) shorter(than *block) bool {
	return b.untilMs < than.untilMs || b.untilUnixMs != 0 && than.untilUnixMs != 0 && b.untilUnixMs < than.untilUnixMs
}

func clockText(unixMs int64) string { return time.UnixMilli(unixMs).UTC().Format(time.RFC3339) }

// maxUnixMs bounds a time of day in a snapshot and in a word: the year 9999.
const maxUnixMs = 253402300799999

// append writes the block with what is left of it.
func (b *block) append(out []byte, nowMs int64) []byte {
	if !b.set {
		return append(out, 0)
	}
	out = append(out, 1)
	for _, s := range [...]string{b.by, b.why} {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	left := b.leftMs
	if b.untilMs != never {
		left = max(b.untilMs-nowMs, 0)
	}
	out = binary.AppendUvarint(out, uint64(b.untilUnixMs))
	return binary.AppendUvarint(out, uint64(left))
}

// block reads what append wrote. Until a sample, or the clock, it stands.
func (r *snapshotReader) block() (block, error) {
	switch r.octet() {
	case 0:
		return block{}, nil
	case 1:
	default:
		r.bad = true
	}
	b := block{set: true, untilMs: never}
	b.by, b.why = r.long(), r.long()
	until, n := binary.Uvarint(r.b)
	if n <= 0 || until > maxUnixMs {
		return block{}, errSnapshot
	}
	r.b = r.b[n:]
	b.untilUnixMs, b.leftMs = int64(until), int64(r.number())
	if r.bad || person.CheckName(b.by) != nil || person.CheckWhy(b.why) != nil {
		return block{}, errSnapshot
	}
	return b, nil
}

// long reads a text with its length before it.
func (r *snapshotReader) long() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > person.MaxWhyBytes || n > uint64(len(r.b)-size) {
		r.bad = true
		return ""
	}
	s := string(r.b[size : size+int(n)])
	r.b = r.b[size+int(n):]
	return s
}

// BlockClock tells what the wall clock reads at tMs of the sensing clock, and
// whether it can be trusted. A person's block until a time of day ends by it alone;
// while it cannot be trusted, and after a restart until it can, the block stays.
// Call it before each Step; in a replay once.
func (j *Judge) BlockClock(unixMs, tMs int64, known bool) { j.ev.block.clock(unixMs, tMs, known) }

// appendUntil writes until when a word asked for a block.
func (w *Word) appendUntil(b []byte) []byte {
	if w.UntilUnixMs != 0 {
		b = append(b, `,"until":"`...)
		b = time.UnixMilli(w.UntilUnixMs).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
		b = append(b, '"')
	}
	if w.ForMs != 0 {
		b = append(b, `,"for_s":`...)
		b = strconv.AppendFloat(b, float64(w.ForMs)/1000, 'f', -1, 64)
	}
	return b
}
