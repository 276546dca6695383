package model

import "slices"

// A past is what a snapshot says of the rules, before a judge takes it over.
type past struct {
	j        *Judge
	rules    []rule // the judge's, and those that it does not know any more
	states   []ruleState
	resumeMs []int64 // by rule: the hold that is left
	latched  RuleSet
	waitMs   int64 // what the gate must wait for at least
}

func newPast(j *Judge, waitMs int64) *past {
	return &past{
		j: j, rules: slices.Clone(j.rules), states: slices.Clone(j.states), resumeMs: make([]int64, len(j.rules)), waitMs: waitMs,
	}
}

// add takes one rule of a snapshot. It fails when there are more than a table
// holds.
func (p *past) add(id string, held Level, flags byte, remainingMs int64) bool {
	active, latched := flags&flagActive != 0, flags&flagLatched != 0
	i, known := ruleIndex(p.rules, id)
	if !known {
		if held == LevelBlock {
			p.waitMs = max(p.waitMs, remainingMs)
		}
		if !latched && !(active && held == LevelBlock) {
			return true
		}
		if len(p.rules) == maxRules {
			return false
		}
		i = len(p.rules)
		p.rules, p.states, p.resumeMs = append(p.rules, goneRule(id)), append(p.states, ruleState{}), append(p.resumeMs, 0)
	}
	r := &p.rules[i]
	full := max(remainingMs, seconds(r.holdS(&p.j.ev)))
	if latched {
		p.latched = p.latched.With(i)
	}
	switch mute := !p.j.served.Has(i) || r.blocks != nil && !r.blocks(&p.j.ev); {
	case mute && held == LevelBlock && active:
		p.latched = p.latched.With(i)
		p.waitMs = max(p.waitMs, full+r.windowMs)
		p.states[i] = ruleState{level: held, held: held, owedMs: full}
	case mute && held == LevelBlock:
		p.waitMs = max(p.waitMs, full)
	case mute: // a warning that nobody can take back is not worth keeping
	case active:
		// It stands until fresh data says that it is over. The windows behind
		// it are lost, so the gate waits for them as well.
		p.states[i] = ruleState{level: held, held: held}
		if held == LevelBlock {
			p.waitMs = max(p.waitMs, full+r.windowMs)
		}
	default:
		p.states[i] = ruleState{held: held, holding: true, holdUntil: never}
		p.resumeMs[i] = full
		if held == LevelBlock { // also if the cause comes again, and ends by a shorter time of its own
			p.waitMs = max(p.waitMs, full)
		}
	}
	return true
}

// goneRule stands for a rule that blocked and that no table of this judge has: of
// a network that is not loaded, or of another program. It is never served, and has
// no more than its latch.
func goneRule(id string) rule {
	return rule{
		id: id, kind: KindSensor, level: LevelBlock, source: "a rule of before the restart that is not known any more",
		holdS: noHold, evaluate: func(_ *evidence, _ int64, was Level) Level { return was }, explain: func(*explainer) {},
	}
}

// explain is evidence.explain for a rule that may not be served.
func (j *Judge) explain(i int, tMs int64) Cause {
	st, latched := &j.states[i], j.gate.Latched().Has(i)
	c := j.ev.explain(&j.rules[i], st, latched, tMs)
	if !j.served.Has(i) {
		c.Text = "it stood before a restart and cannot be judged any more (" + j.whyMute(i) + "); look at the plant, then acknowledge"
		c.Says = c.Text
	}
	return c
}

// whyMute says why a rule is not served.
func (j *Judge) whyMute(i int) string {
	if n := slices.IndexFunc(j.missing, func(u Unserved) bool { return u.Rule == j.rules[i].id }); n >= 0 {
		return j.missing[n].Why
	}
	return "no network is loaded that has this rule"
}
