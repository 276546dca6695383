package wire

import (
	"strings"
	"time"
)

// Moment says a time for people: the time of day, and the day too where that is
// not the day of now. The zone is now's.
func Moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format("2 Jan 15:04")
}

// Sentence says the cause in one sentence: what it is, what was measured, since
// when, and what ends it. Times are in now's zone. A cause without words, as an
// older agent sends it, says its text.
func (c *Cause) Sentence(now time.Time) string {
	if c.Title == "" {
		return c.Rule + ": " + c.Text + "."
	}
	var b strings.Builder
	b.WriteString(c.Title + " (" + c.Rule + ")")
	if c.Says != "" {
		b.WriteString(": " + c.Says)
	}
	if !c.Since.IsZero() {
		b.WriteString(", since " + Moment(c.Since.Time, now))
	}
	if c.Ends != "" {
		b.WriteString("; ends " + c.Ends)
		if !c.EndsAt.IsZero() {
			b.WriteString(" at " + Moment(c.EndsAt.Time, now))
		}
	}
	return b.String() + "."
}

// Says says the gate in sentences: its state, and each cause once. Times are in
// now's zone.
func (g *Gate[C]) Says(causes []Cause, now time.Time) []string {
	out := []string{g.sentence(now)}
	for i := range causes {
		out = append(out, causes[i].Sentence(now))
	}
	return out
}

func (g *Gate[C]) sentence(now time.Time) string {
	since := ""
	if !g.Since.IsZero() {
		since = " since " + Moment(g.Since.Time, now)
	}
	switch g.State {
	case GateOpen:
		return "Trading is open" + since + "."
	case GateInit:
		return "Nothing has been judged yet."
	case GateBlocked, GateClearing:
		text := "Trading is blocked" + since
		if g.State == GateClearing {
			text = "No cause is left" + since
		}
		switch {
		case g.Waits != "":
			return text + "; it waits for " + g.Waits + "."
		case g.OpensAt.IsZero():
			return text + "."
		case g.State == GateClearing:
			return text + "; it opens at " + Moment(g.OpensAt.Time, now) + " if nothing new happens."
		}
		return text + "; it opens at " + Moment(g.OpensAt.Time, now) + " at the earliest."
	}
	return ""
}
