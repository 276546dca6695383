package model

import (
	"slices"
	"sort"
)

// A rule is one entry of the table: its name, its kind, its source, what it
// needs, and two functions. evaluate gets the level that the rule has at the
// moment, so that a rule clears at another threshold than it sets (hysteresis),
// and must keep that level while it knows nothing new: a sensor that goes away
// never opens the gate. explain fills the cause's inputs; it runs only when
// something is told. Neither changes the evidence.
type rule struct {
	id string
	// place orders the table, and so the causes in an event. It never changes:
	// events of old and new programs must be alike. A rule that reads what
	// another one notes stands after it.
	place    int
	kind     Kind
	level    Level // the highest it may reach
	source   string
	settings string      // the settings it reads, besides its clear time
	needs    [][]Channel // of every group at least one channel
	holdS    func(e *evidence) float64
	windowMs int64 // how much of the past its clear condition looks at
	evaluate func(e *evidence, tMs int64, was Level) Level
	explain  func(x *explainer)
	only     Generator // only for this generator; empty: all
	// absent says why a configuration cannot serve the rule, or ""; nil: it can.
	absent func(c *Config) string
	// note writes into the memory what evaluate found, where a later rule or the
	// clear time needs it; nil for most.
	note func(e *evidence, tMs int64, level Level)
	// until says when the clear time ends, where it counts from something that
	// happened rather than from the end of the condition.
	until   func(e *evidence) (tMs int64, known bool)
	network bool // the network speaks, not a sensor
	// blocks says whether the rule can reach its level as it is configured; nil: it
	// can.
	blocks func(e *evidence) bool
}

// ruleInit is the index of INIT, the first of the table.
const ruleInit = 0

// maxRules bounds a judge's table: a RuleSet has one bit a rule. A rule beyond
// it would be in no set and never block.
const maxRules = 64

var _ [64 - maxRules]struct{} // a RuleSet holds 64

// rules is the table but for the rules of a network (networkRules), which
// depend on the kinds that it scores.
var rules = func() []rule {
	var out []rule
	for i := range hazards {
		out = append(out, hazards[i].rules...)
	}
	return inPlace(out)
}()

func inPlace(table []rule) []rule {
	sort.SliceStable(table, func(i, j int) bool { return table[i].place < table[j].place })
	return table
}

func ruleIndex(table []rule, id string) (int, bool) {
	i := slices.IndexFunc(table, func(r rule) bool { return r.id == id })
	return i, i >= 0
}

// An Unserved rule cannot fire at this site, with the reason.
type Unserved struct {
	Rule string
	Why  string
}

// noChannel lists the rules of the hazard tables, and the parts of rules, that
// no channel can feed at any site.
func noChannel() []Unserved {
	var out []Unserved
	for i := range hazards {
		out = append(out, hazards[i].absent...)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Rule < out[j].Rule })
	return out
}

// unserved returns why a rule cannot be served, or "".
func (r *rule) unserved(c *Config) string {
	if r.only != "" && r.only != c.Generator {
		return "only for a generator of kind " + string(r.only)
	}
	if r.absent != nil {
		if why := r.absent(c); why != "" {
			return why
		}
	}
	if c.Channels == nil {
		return ""
	}
	for _, group := range r.needs {
		if !slices.ContainsFunc(group, func(ch Channel) bool { return slices.Contains(c.Channels, ch) }) {
			return "no channel " + group[0].String()
		}
	}
	return ""
}

// A ruleState is where one rule stands. level is what its condition says now;
// held is what it still stands for while its clear time runs.
type ruleState struct {
	level     Level
	held      Level
	holding   bool
	holdUntil int64
	owedMs    int64 // hold of a rule that stood before a restart and is not served since
}

// stands is the level that the rule has: its condition's, or the held one.
func (s *ruleState) stands() Level { return max(s.level, s.held) }

// update moves the state to level at tMs.
func (s *ruleState) update(r *rule, e *evidence, level Level, tMs int64) {
	s.level = level
	if level >= s.held {
		s.held, s.holding = level, false
		return
	}
	untilMs, known := int64(0), false
	if r.until != nil {
		untilMs, known = r.until(e)
	}
	switch {
	case s.holding && known:
		s.holdUntil = max(s.holdUntil, untilMs)
	case known:
		s.holding, s.holdUntil = true, untilMs
	case !s.holding:
		s.holding, s.holdUntil = true, tMs+seconds(r.holdS(e))
	}
	if tMs >= s.holdUntil {
		s.held, s.holding = level, false
	}
}

func holdConst(pick func(c *Config) float64) func(*evidence) float64 {
	return func(e *evidence) float64 { return pick(&e.cfg) }
}

// noHold is the clear time of a rule that has none.
func noHold(*evidence) float64 { return 0 }

// keep returns the level while a condition stands.
func keep(stands bool, level Level) Level {
	if stands {
		return level
	}
	return LevelNone
}

// A bound is a threshold that is crossed at its value, or only above it.
type bound struct {
	v      float64
	strict bool
}

func from(v float64) bound { return bound{v, false} }
func over(v float64) bound { return bound{v, true} }

func (b bound) crossed(v float64) bool { return v > b.v || v == b.v && !b.strict }

// above is the shape of most rules on a figure: set by crossing one bound, kept
// while beyond the other, and kept while the channel is unknown.
func above(e *evidence, tMs int64, c Channel, f figure, was, level Level, set, stay bound) Level {
	if !e.usable(tMs, c) || !f.ok {
		return min(was, level)
	}
	if was != LevelNone {
		set = stay
	}
	return keep(set.crossed(f.v), level)
}

// Guards says whether a rule that may block looks at the channel.
func Guards(c Channel) bool {
	for _, r := range rules {
		if r.level != LevelBlock {
			continue
		}
		for _, group := range r.needs {
			if slices.Contains(group, c) {
				return true
			}
		}
	}
	return false
}
