package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// say has a word said now.
func (r *rig) say(w Word) ([]Event, error) {
	ev, err := r.j.Say(w, r.now)
	ev = slices.Clone(ev)
	r.ev = append(r.ev, ev...)
	return ev, err
}

func (r *rig) refused(w Word, code, text string) {
	r.t.Helper()
	_, err := r.say(w)
	var refusal *WordRefusal
	if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Text, text) {
		r.t.Errorf("%v: %v, want %s: %s", w, err, code, text)
	}
}

// latchRig has E12 latched by 620 V, its condition over and its clear time run.
func latchRig(t *testing.T) *rig {
	r := quietRig(t, func(c *Config) { c.Earth.MaxDCVoltageV = 600 })
	r.step(1000, map[Channel]float64{DCVoltageV: 400})
	r.step(600_000, map[Channel]float64{DCVoltageV: 400})
	r.step(1000, map[Channel]float64{DCVoltageV: 400})
	r.wantOpen()
	r.step(1000, map[Channel]float64{DCVoltageV: 620})
	r.wantBlockedBy("E12")
	return r
}

// An acknowledgement of a condition that stands is refused and says what stands; of
// one that is over it is told with its name, and the gate opens after its times.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	r := latchRig(t)
	ada := Word{Kind: WordAck, Rule: "E12", By: "Ada", Why: "string 2 was wired wrong"}
	r.refused(ada, WordStillActive, "acknowledge E12: its condition still stands: dc voltage v 620 V (> 600 V)")
	r.step(1000, map[Channel]float64{DCVoltageV: 400})
	ev, err := r.say(ada)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range ev {
		types = append(types, e.Type.String())
	}
	if got := strings.Join(types, " "); got != "ack gate alert" && got != "ack gate" {
		t.Errorf("told: %s", got)
	}
	if e := ev[0]; e.Word.By != "Ada" || e.Word.Why != ada.Why || e.Action != ActionAck || e.Kind != KindLine || e.ID == "" || e.Rev < 2 || len(e.Causes) != 1 || e.Causes[0].Rule != "E12" || e.Causes[0].Latched {
		t.Errorf("told: %+v", e)
	}
	if e := ev[1]; e.State != StateClearing || !strings.HasSuffix(e.Reason, "; E12 acknowledged by Ada") {
		t.Errorf("told: %v, %s", e.State, e.Reason)
	}
	r.refused(ada, WordNotLatched, "acknowledge E12: it is not latched; no rule waits for an acknowledgement")
	at, ok := r.j.NextDeadlineMs()
	if !ok {
		t.Fatal("the gate waits for nothing")
	}
	for r.state() != StateOpen {
		if at, ok = r.j.NextDeadlineMs(); !ok {
			t.Fatalf("never opens: %s", r.j.View().Reason)
		}
		r.j.Advance(at)
	}
	if got := at - r.now; got != 299_000 {
		t.Errorf("opens %d ms after the word, want the rest of the shortest block", got)
	}
}

// An alert stands as long as its latch, though the condition is over: a person who
// reads "clear" would not look.
func TestAlertStandsWithItsLatch(t *testing.T) {
	t.Parallel()
	r := latchRig(t)
	r.step(1000, map[Channel]float64{DCVoltageV: 400})
	r.step(hourMs, map[Channel]float64{DCVoltageV: 400})
	v := r.j.View()
	if len(v.Alerts) != 1 || v.Alerts[0].Level != LevelBlock || !strings.HasSuffix(v.Alerts[0].Causes[0].Text, "waits for acknowledgement") {
		t.Fatalf("alerts %+v", v.Alerts)
	}
	ev, err := r.say(Word{Kind: WordAck, Rule: "E12", By: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, e := range ev {
		if e.Type == EventAck || e.Type == EventAlert {
			alerts = append(alerts, e.ID+" "+e.Action.String())
		}
	}
	if got := strings.Join(alerts, ", "); got != "line-1 ack, line-1 clear" {
		t.Errorf("told: %s", got)
	}
}

// A word that can have no effect says so, with a code and what to do.
func TestWordsWithoutEffect(t *testing.T) {
	t.Parallel()
	r := latchRig(t)
	r.j.BlockClock(1_000_000_000_000, r.now, true)
	far := int64(1_000_000_000_000 + maxBlockMs + 1)
	for _, c := range []struct {
		w          Word
		code, text string
	}{
		{Word{Kind: WordAck, Rule: "E12"}, WordBadName, "no name given"},
		{Word{Kind: WordAck, Rule: "E12", By: strings.Repeat("x", 65)}, WordBadName, "at most 64"},
		{Word{Kind: WordAck, Rule: "E12", By: "Ada\n"}, WordBadName, "U+000A"},
		{Word{Kind: WordAck, Rule: "E12", By: "Ada", Why: "a\tb"}, WordBadWhy, "U+0009"},
		{Word{Kind: WordAck, Rule: "X99", By: "Ada"}, WordUnknownRule, `"X99": no such rule`},
		{Word{Kind: WordAck, Rule: "", By: "Ada"}, WordUnknownRule, "no such rule"},
		{Word{Kind: WordAck, Rule: strings.Repeat("é", 1e5), By: "Ada"}, WordUnknownRule, "no such rule"},
		{Word{Kind: WordAck, Rule: "e12", By: "Ada"}, WordUnknownRule, "no such rule"},
		{Word{Kind: WordAck, Rule: "E09", By: "Ada"}, WordNotLatched, "these wait for an acknowledgement: E12"},
		{Word{Kind: WordAck, Rule: "INIT", By: "Ada"}, WordNotLatched, "it is not latched"},
		{Word{Kind: WordAck, Rule: "B01", By: "Ada"}, WordNotLatched, "it is not latched"},
		{Word{Kind: WordUnblock, By: "Ada"}, WordNotBlocked, "no person has closed"},
		{Word{Kind: WordUnblock}, WordBadName, "no name given"},
		{Word{Kind: WordBlock, By: "Ada", ForMs: 1}, WordBadWhy, "no reason given"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x"}, WordBadUntil, "either until when or how long"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: 1, UntilUnixMs: 1}, WordBadUntil, "either until when or how long"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: -1}, WordBadUntil, "between 0 and 366 days"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: maxBlockMs + 1}, WordBadUntil, "between 0 and 366 days"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: 1_000_000_000_000}, WordBadUntil, "is past: it is 2001-09-09T01:46:40Z"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: -1}, WordBadUntil, "out of range"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: maxUnixMs + 1}, WordBadUntil, "out of range"},
		{Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: far}, WordBadUntil, "more than 366 days ahead"},
	} {
		r.refused(c.w, c.code, c.text)
		if _, err := r.say(c.w); err != nil && len(err.Error()) > 300 {
			t.Errorf("a refusal of %d bytes", len(err.Error()))
		}
	}
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: maxBlockMs}); err != nil {
		t.Error(err)
	}
	if _, err := r.say(Word{Kind: WordUnblock, By: "Ada"}); err != nil {
		t.Error(err)
	}
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: far - 1}); err != nil {
		t.Error(err)
	}
	fresh := quietRig(t, nil)
	fresh.refused(Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: 1000}, WordNotJudged, "try again")
	if fresh.state() != StateInit {
		t.Error("a word began the judgement")
	}
}

const wallMs = 1_700_000_000_000

// blockRig is open, and its wall clock reads wallMs at the sample's time 0.
func blockRig(t *testing.T) *rig {
	r := quietRig(t, nil)
	r.j.BlockClock(wallMs, 0, true)
	r.quiet(1000)
	r.quiet(600_000)
	r.quiet(1000)
	r.wantOpen()
	return r
}

func (r *rig) quiet(dtMs int64) { r.step(dtMs, map[Channel]float64{RainMM: 0}) }

// wall tells the judge its clock as it is, or leapt by ms.
func (r *rig) wall(leapMs int64, known bool) { r.j.BlockClock(wallMs+r.now+leapMs, r.now, known) }

// blockedFor returns how long the block stands from now on, stepping by stepMs.
func (r *rig) blockedFor(stepMs, limitMs, leapMs int64, known bool) int64 {
	from := r.now
	for r.levelOf(ruleBlock) == LevelBlock && r.now-from < limitMs {
		r.now += stepMs
		r.wall(leapMs, known)
		s := Sample{TimeMs: r.now}
		s.Set(RainMM, 0)
		r.j.Step(&s)
	}
	return r.now - from
}

func TestPersonsBlock(t *testing.T) {
	t.Parallel()
	r := blockRig(t)
	until := wallMs + r.now + 7_200_000
	ev, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "cleaning the modules", UntilUnixMs: until})
	if err != nil {
		t.Fatal(err)
	}
	if ev[0].Type != EventBlock || ev[0].Word.UntilUnixMs != until || ev[0].Word.Rule != "B01" || ev[1].Type != EventGate || ev[1].State != StateBlocked {
		t.Errorf("told: %+v", ev)
	}
	v := r.j.View()
	if len(v.Causes) != 1 || v.Causes[0].Kind != KindExternal || v.Causes[0].Text != "closed by Ada until "+clockText(until)+": cleaning the modules" {
		t.Errorf("causes %+v", v.Causes)
	}
	if at, ok := r.j.NextDeadlineMs(); !ok || at-r.now != 7_200_000 {
		t.Errorf("its end is due in %d ms", at-r.now)
	}
	// A longer one replaces it, a shorter one does not.
	bob := Word{Kind: WordBlock, By: "Bob", Why: "also", UntilUnixMs: until - 1}
	r.refused(bob, WordShorter, "Ada has it closed until "+clockText(until))
	r.refused(Word{Kind: WordBlock, By: "Bob", Why: "also", ForMs: 7_199_999}, WordShorter, "unblock")
	bob.UntilUnixMs = until + 1000
	if _, err := r.say(bob); err != nil {
		t.Fatal(err)
	}
	if got := r.blockedFor(1000, week*1000, 0, true); got != 7_201_000 {
		t.Errorf("stood for %d ms", got)
	}
	if v := r.j.View(); v.State != StateOpen {
		t.Errorf("after it %v: %s", v.State, v.Reason)
	}
	// Another person takes one back, by name; the shortest block still counts.
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "again", ForMs: 3_600_000}); err != nil {
		t.Fatal(err)
	}
	ev, err = r.say(Word{Kind: WordUnblock, By: "Eve", Why: "done"})
	if err != nil || ev[0].Type != EventUnblock || ev[0].Word.By != "Eve" || !strings.HasSuffix(ev[1].Reason, "block taken back by Eve") {
		t.Errorf("%v, told: %+v", err, ev)
	}
	if v := r.j.View(); v.State != StateClearing || v.ClearInMs != 300_000 {
		t.Errorf("taken back: %v for %d ms", v.State, v.ClearInMs)
	}
}

// No clock ends a block early, and none that cannot be trusted ends it at all.
func TestClocksEndNoBlock(t *testing.T) {
	t.Parallel()
	ada := Word{Kind: WordBlock, By: "Ada", Why: "x", UntilUnixMs: wallMs + 602_000 + 3_600_000}
	for _, c := range []struct {
		name   string
		leapMs int64
		known  bool
		want   int64
	}{
		{"a sound clock", 0, true, 3_600_000},
		{"a leap ahead", 1_800_000, true, 3_600_000},
		{"a leap back", -1_800_000, true, 5_400_000},
		{"not synchronised any more", 0, false, 36_000_000},
		{"not synchronised and ahead", 1e12, false, 36_000_000},
	} {
		r := blockRig(t)
		if _, err := r.say(ada); err != nil {
			t.Fatal(err)
		}
		if got := r.blockedFor(60_000, 36_000_000, c.leapMs, c.known); got != c.want {
			t.Errorf("%s: stood for %d ms, want %d", c.name, got, c.want)
		}
	}
	// Asked for without a clock, it stands until there is one, and then by it.
	r := blockRig(t)
	r.wall(-1e12, false)
	if _, err := r.say(ada); err != nil {
		t.Fatal(err)
	}
	if got := r.blockedFor(60_000, 36_000_000, -1e12, false); got != 36_000_000 {
		t.Errorf("without a clock it stood for %d ms", got)
	}
	if text := r.textOf(ruleBlock); !strings.Contains(text, "by a clock that can be trusted, which is not there") {
		t.Errorf("it says %q", text)
	}
	if got := r.blockedFor(1000, 3_600_000, -35_000_000, true); got != 2_600_000 {
		t.Errorf("with a clock it stood for %d ms more", got)
	}
	// A length counts from the word on, whatever the clock is set to later.
	r = blockRig(t)
	r.wall(0, false)
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: 3_600_000}); err != nil {
		t.Fatal(err)
	}
	if text := r.textOf(ruleBlock); text != "closed by Ada for 3600 s more: x" {
		t.Errorf("it says %q", text)
	}
	if got := r.blockedFor(60_000, 36_000_000, 1e9, true); got != 3_600_000 {
		t.Errorf("by its length it stood for %d ms", got)
	}
}

// again is the judge after a restart, downMs of which the machine was off.
func (r *rig) restart(t *testing.T) *rig {
	next := quietRig(t, nil)
	if err := next.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	return next
}

// A restart keeps a block with its name and reason. It ends at its time of day when
// the clock is known, and not before; by its length the time off does not count.
func TestBlockOutlivesRestarts(t *testing.T) {
	t.Parallel()
	r := blockRig(t)
	until := wallMs + r.now + 3_600_000
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "the roof", UntilUnixMs: until}); err != nil {
		t.Fatal(err)
	}
	r.now += 1_800_000
	r.j.Advance(r.now)
	next := r.restart(t).restart(t) // twice, the second before any sample
	next.j.BlockClock(0, 0, false)
	next.quiet(1000)
	next.quiet(36_000_000)
	if v := next.j.View(); v.State != StateBlocked || !strings.Contains(v.Reason, "closed by Ada until "+clockText(until)) || !strings.HasSuffix(v.Reason, "the roof") {
		t.Errorf("without a clock %v: %s", v.State, v.Reason)
	}
	next = r.restart(t)
	next.j.BlockClock(until-600_000, 0, true) // off for 20 minutes
	next.quiet(1000)
	if at := next.j.ev.block.untilMs; at != 600_000 {
		t.Errorf("ends at %d", at)
	}
	next = r.restart(t)
	next.j.BlockClock(until+5, 0, true) // off until after its end
	next.quiet(1000)
	if next.levelOf(ruleBlock) != LevelNone || next.j.ev.block.set {
		t.Error("it is over and stands")
	}
	if next.state() == StateOpen {
		t.Error("open at the first sample")
	}

	r = blockRig(t)
	r.wall(0, false)
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: 3_600_000}); err != nil {
		t.Fatal(err)
	}
	r.now += 600_000
	r.j.Advance(r.now)
	next = r.restart(t).restart(t)
	next.j.BlockClock(until+1e9, 0, true)
	next.quiet(5000)
	if left := next.j.ev.block.untilMs - next.now; left != 3_000_000 {
		t.Errorf("%d ms are left", left)
	}
	if _, err := next.say(Word{Kind: WordUnblock, By: "Ada"}); err != nil {
		t.Error(err)
	}
}

// A snapshot of a block is refused whole if any part is wrong, and one of before
// blocks were kept is read.
func TestSnapshotOfABlock(t *testing.T) {
	t.Parallel()
	empty := []byte{3, 0, 0, 0, 0} // counter, wait, openings, warnings, baseline
	text := func(b []byte, s ...string) []byte {
		for _, v := range s {
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		}
		return b
	}
	numbers := func(b []byte, n ...uint64) []byte {
		for _, v := range n {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	with := func(by, why string, n ...uint64) []byte {
		return numbers(text(append(bytes.Clone(empty), 1), by, why), n...)
	}
	for _, c := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"none", append(bytes.Clone(empty), 0), true},
		{"nothing said of it", empty, false},
		{"neither none nor one", append(bytes.Clone(empty), 2), false},
		{"one", with("Ada", "x", wallMs, 5), true},
		{"by its length", with("Ada", "x", 0, 5), true},
		{"the last day", with("Ada", "x", maxUnixMs, 5), true},
		{"after the last day", with("Ada", "x", maxUnixMs+1, 5), false},
		{"the longest", with("Ada", "x", 0, maxDuration), true},
		{"too long", with("Ada", "x", 0, maxDuration+1), false},
		{"no name", with("", "x", 0, 5), false},
		{"a name that moves the cursor", with("A\x1b", "x", 0, 5), false},
		{"a reason that does", with("Ada", "\x1b", 0, 5), false},
		{"a long reason", with("Ada", strings.Repeat("x", 256), 0, 5), true},
		{"too long a reason", with("Ada", strings.Repeat("x", 257), 0, 5), false},
		{"no end", with("Ada", "x"), false},
		{"no rest", with("Ada", "x", 5), false},
		{"a name cut short", append(bytes.Clone(empty), 1, 9, 'A'), false},
		{"no name at all", append(bytes.Clone(empty), 1), false},
	} {
		r := quietRig(t, nil)
		err := r.j.Restore(seal(c.body), 0)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (r.j.counter != 0 || r.j.ev.block.set) {
			t.Errorf("%s: refused, and taken in part", c.name)
		}
	}
	r := quietRig(t, nil)
	if err := r.j.Restore(sealAs("FWJ2", empty), 0); err != nil || r.j.counter != 3 || r.j.ev.block.set {
		t.Errorf("of before: %v", err)
	}
}

// Nothing that a person says opens the gate over a cause: over random weather,
// words, clocks and restarts.
func TestInvariantNoWordOpens(t *testing.T) {
	opened, acked, still, ended, runs := 0, 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		ms := drawMoments(t, 60)
		latching := func(fd *feed) {
			for _, id := range []string{"W03", "E01", "E13"} {
				i, _ := ruleIndex(fd.j.rules, id)
				fd.j.latches = fd.j.latches.With(i)
			}
		}
		fd := newFeed(t, ms, false, 0)
		latching(fd)
		// The model of the block: when it ends at the earliest by the sensing clock,
		// and by the wall clock if that was known. After a restart the latter counts,
		// once it is known again.
		blockedUntil, untilUnix, pending := int64(-1), int64(0), false
		known := true
		rules := rapid.SampledFrom([]string{"W03", "E01", "E13", "E16", "B01", "X99"})
		check := func(what string) {
			v := fd.j.View()
			if v.State != StateOpen {
				return
			}
			opened++
			for i := range fd.j.states {
				if st := &fd.j.states[i]; st.stands() == LevelBlock && fd.j.served.Has(i) {
					t.Fatalf("%s: open while %s stands", what, fd.j.rules[i].id)
				}
			}
			if fd.j.gate.Latched() != 0 {
				t.Fatalf("%s: open with latches %b", what, fd.j.gate.Latched())
			}
			if fd.now < blockedUntil {
				t.Fatalf("%s: open %d ms before a person's block ends", what, blockedUntil-fd.now)
			}
		}
		for _, m := range ms {
			known = rapid.IntRange(0, 4).Draw(t, "clock") > 0
			leap := rapid.SampledFrom([]int64{0, 0, 0, 3_600_000, -3_600_000}).Draw(t, "leap")
			unix := wallMs + fd.now + leap
			fd.j.BlockClock(unix, fd.now, known)
			if pending && known {
				blockedUntil, pending = fd.now+max(untilUnix-unix, 0), false
			}
			told := fd.now
			fd.step(m)
			unix += fd.now - told
			check("sample")
			w := Word{By: "Ada", Why: "x"}
			switch rapid.IntRange(0, 5).Draw(t, "word") {
			case 0, 1:
				w.Kind, w.Rule = WordAck, rules.Draw(t, "rule")
			case 2:
				w.Kind, w.ForMs = WordBlock, rapid.Int64Range(1, 20_000_000).Draw(t, "for")
			case 3:
				w.Kind = WordUnblock
			case 4: // a restart
				snap := fd.j.Snapshot()
				left := blockedUntil - fd.now
				next := newFeed(t, ms, false, 0)
				latching(next)
				if err := next.j.Restore(snap, 0); err != nil {
					t.Fatal(err)
				}
				fd = next
				switch {
				case left <= 0 && !pending:
					blockedUntil = -1
				case untilUnix != 0:
					blockedUntil, pending = never, true
				default:
					blockedUntil = left
				}
				continue
			default:
				continue
			}
			before := fd.j.View()
			_, err := fd.j.Say(w, fd.now)
			switch {
			case err == nil && w.Kind == WordAck:
				acked++
			case err == nil && w.Kind == WordBlock:
				if fd.now+w.ForMs < blockedUntil {
					t.Fatalf("a block of %d ms replaced one that is longer", w.ForMs)
				}
				blockedUntil, untilUnix, pending = fd.now+w.ForMs, 0, false
				if known {
					untilUnix = unix + w.ForMs
				}
				if fd.state() == StateOpen {
					t.Fatal("open after a block")
				}
			case err == nil:
				blockedUntil, untilUnix, pending = -1, 0, false
				ended++
			case strings.Contains(err.Error(), "still stands"):
				still++
			}
			if before.State != StateOpen && fd.state() == StateOpen && len(before.Causes) > 0 && w.Kind != WordAck && w.Kind != WordUnblock {
				t.Fatalf("%v opened it over %v", w, before.Causes)
			}
			check(w.Kind.String())
		}
	})
	if runs >= 50 && (opened == 0 || acked == 0 || still == 0 || ended == 0) { // rapid draws fewer where time is short
		t.Errorf("open %d times, acknowledged %d, refused %d, taken back %d: nothing was tried", opened, acked, still, ended)
	}
}

// The lines that a replay writes.
func TestWordLines(t *testing.T) {
	t.Parallel()
	r := latchRig(t)
	r.step(1000, map[Channel]float64{DCVoltageV: 400})
	if _, err := r.say(Word{Kind: WordAck, Rule: "E12", By: "Ada \"A\"", Why: "looked"}); err != nil {
		t.Fatal(err)
	}
	r.j.BlockClock(wallMs, r.now, true)
	for _, w := range []Word{{Kind: WordBlock, By: "Ada", Why: "roof", ForMs: 1500}, {Kind: WordUnblock, By: "Ada"}} {
		if _, err := r.say(w); err != nil {
			t.Fatal(err)
		}
	}
	r.ev = append(r.ev, Event{TimeMs: r.now, Type: EventRefused, Word: Word{Kind: WordAck, Rule: "X99", By: "Eve"}, Code: "unknown_rule", Reason: "no"})
	var got []string
	for i := range r.ev {
		if r.ev[i].Type >= EventAck {
			line := r.ev[i].AppendJSON(nil)
			if !json.Valid(line) {
				t.Errorf("no JSON: %s", line)
			}
			head, _, _ := strings.Cut(string(line), `,"causes"`)
			got = append(got, head)
		}
	}
	want := []string{
		`{"t":"1970-01-01T00:10:04.000Z","type":"ack","rule":"E12","kind":"line","by":"Ada \"A\"","why":"looked","id":"line-1","rev":2`,
		`{"t":"1970-01-01T00:10:04.000Z","type":"block","rule":"B01","kind":"external","by":"Ada","why":"roof","until":"2023-11-14T22:13:21.500Z","for_s":1.5}`,
		`{"t":"1970-01-01T00:10:04.000Z","type":"unblock","rule":"B01","kind":"external","by":"Ada"}`,
		`{"t":"1970-01-01T00:10:04.000Z","type":"refused","word":"ack","rule":"X99","by":"Eve","code":"unknown_rule","reason":"no"}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The words' names are those of commands and topics.
func TestWordKinds(t *testing.T) {
	t.Parallel()
	for k := range numWordKinds {
		if got, err := ParseWordKind(k.String()); err != nil || got != k {
			t.Errorf("%v is read as %v, %v", k, got, err)
		}
	}
	if _, err := ParseWordKind("open"); err == nil {
		t.Error("a person may open")
	}
}

// What stood before a restart stands until a sample says otherwise: no one can
// acknowledge it in between.
func TestNoAcknowledgementBetweenRestartAndSample(t *testing.T) {
	t.Parallel()
	r := latchRig(t) // 620 V stands
	next := quietRig(t, func(c *Config) { c.Earth.MaxDCVoltageV = 600 })
	if err := next.j.Restore(r.j.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	var refusal *WordRefusal
	if err := next.j.Ack("E12", "Ada"); !errors.As(err, &refusal) || refusal.Code != WordStillActive {
		t.Errorf("acknowledged before the first sample: %v", err)
	}
	next.refused(Word{Kind: WordAck, Rule: "E12", By: "Ada"}, WordNotJudged, "try again")
	next.step(1000, map[Channel]float64{DCVoltageV: 400})
	if _, err := next.say(Word{Kind: WordAck, Rule: "E12", By: "Ada"}); err != nil {
		t.Error(err)
	}
}

// A latch is acknowledged by its rule's id although the site has lost the rule, or
// the program does not know it any more.
func TestAcknowledgeWhatIsNotServedAnyMore(t *testing.T) {
	t.Parallel()
	r := latchRig(t)
	snap := r.j.Snapshot()
	gone := quietRig(t, func(c *Config) { c.Channels = []Channel{RainMM} }) // the string's sensor is lost
	unknown := quietRig(t, nil)
	for _, c := range []struct {
		id string
		r  *rig
		b  []byte
	}{{"E12", gone, snap}, {"X12", unknown, resealed(bytes.Replace(snap, []byte("\x03E12"), []byte("\x03X12"), 1))}} {
		if err := c.r.j.Restore(c.b, 0); err != nil {
			t.Fatal(err)
		}
		c.r.quiet(1000)
		c.r.quiet(hourMs)
		c.r.wantBlockedBy(c.id)
		ev, err := c.r.say(Word{Kind: WordAck, Rule: c.id, By: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		if e := ev[0]; e.Type != EventAck || e.Causes[0].Rule != c.id || e.Causes[0].Text == "" || e.ID == "" {
			t.Errorf("%s: told %+v", c.id, e)
		}
		c.r.wantOpen()
	}
}

// resealed is a snapshot whose body was changed.
func resealed(snap []byte) []byte { return seal(snap[len(snapshotMagic) : len(snap)-4]) }

// A wall clock that has leapt ahead makes a short block look long: it replaces none
// that ends later by the sensing clock.
func TestLeapDoesNotShortenABlock(t *testing.T) {
	t.Parallel()
	r := blockRig(t)
	if _, err := r.say(Word{Kind: WordBlock, By: "Ada", Why: "x", ForMs: 3_600_000}); err != nil {
		t.Fatal(err)
	}
	r.wall(7_200_000, true)
	r.refused(Word{Kind: WordBlock, By: "Bob", Why: "x", ForMs: 1000}, WordShorter, "Ada has it closed")
	if got := r.blockedFor(60_000, 36_000_000, 7_200_000, true); got != 3_600_000 {
		t.Errorf("stood for %d ms", got)
	}
}

// Where the clock is not known, both ends are times of day, and the later one stays.
func TestWithoutAClockTheLaterTimeOfDayStays(t *testing.T) {
	t.Parallel()
	r := blockRig(t)
	r.wall(0, false)
	until := func(by string, hours int64) Word {
		return Word{Kind: WordBlock, By: by, Why: "x", UntilUnixMs: wallMs + r.now + hours*3_600_000}
	}
	if _, err := r.say(until("Ada", 2)); err != nil {
		t.Fatal(err)
	}
	r.refused(until("Bob", 1), WordShorter, "Ada has it closed")
	if _, err := r.say(until("Eve", 3)); err != nil {
		t.Error(err)
	}
}
