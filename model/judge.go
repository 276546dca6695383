package model

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairwatt/model/neighbours"
)

// A Judge turns samples into a gate state: plausibility and age, windows,
// rules, the network's scores, the gate. It is a state machine on one clock
// (the samples' TimeMs) with one owner: no goroutine, no lock, no file. The
// same samples give the same events, whenever and however often Advance is
// called between them.
type Judge struct {
	ev      evidence
	rules   []rule // the table, with the rules of its network
	states  []ruleState
	begun   []int64 // since when each stands; never: not, or since before the start
	served  RuleSet
	latches RuleSet
	missing []Unserved

	standing RuleSet // the rules whose state stands, served or not
	holding  RuleSet // those of them that only a hold keeps

	gate  *Gate
	sober *Gate // the gate as it would be without the network; see step
	shown RuleSet
	note  string // of an acknowledgement, for the next gate event

	scorer    Scorer
	extractor *Extractor
	features  Features

	tolls tolls // what rules have cost

	resumeMs   []int64 // by rule: the hold that a restart left, until the first sample
	restoredMs int64

	sample Sample // the judged copy of the last sample
	nowMs  int64
	any    bool

	alerts  [NumKinds]alert
	counter int // of alert ids
	events  []Event
}

// An alert is a hazard kind's standing alert.
type alert struct {
	level Level
	rules RuleSet
	id    string
	rev   int
	since int64
}

// NewJudge returns a judge in INIT. A nil scorer means rules only. The
// configuration is checked and copied.
func NewJudge(cfg Config, scorer Scorer) (*Judge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("judge configuration: %w", err)
	}
	limits, err := cfg.GridLimits()
	if err != nil {
		return nil, fmt.Errorf("judge configuration: %w", err)
	}
	cfg.Required, cfg.Redundant = slices.Clone(cfg.Required), slices.Clone(cfg.Redundant)
	j := &Judge{
		ev: newEvidence(&cfg, limits), rules: rules,
		gate: NewGate(cfg.Gate), sober: NewGate(cfg.Gate), scorer: scorer,
	}
	if scorer != nil {
		if err := checkScorer(scorer); err != nil {
			return nil, fmt.Errorf("judge: %w", err)
		}
		j.rules = inPlace(slices.Concat(rules, networkRules(scorer.Kinds())))
		j.extractor = NewExtractor()
		if cfg.Position != nil {
			j.extractor.SetPosition(*cfg.Position)
		}
	}
	j.states, j.begun = make([]ruleState, len(j.rules)), make([]int64, len(j.rules))
	for i := range j.rules {
		j.begun[i] = never
		why := j.rules[i].unserved(&cfg)
		if j.rules[i].network && scorer == nil {
			continue // no network is a choice, not a missing channel
		}
		if why != "" {
			j.missing = append(j.missing, Unserved{j.rules[i].id, why})
			continue
		}
		j.served = j.served.With(i)
	}
	j.missing = append(j.missing, noChannel()...)
	for _, id := range cfg.Latch {
		if i, ok := ruleIndex(j.rules, id); ok { // else a kind that no network scores
			j.latches = j.latches.With(i)
		}
	}
	j.states[ruleInit] = ruleState{level: LevelBlock, held: LevelBlock}
	j.sortStates()
	j.tolls.ratingW = cfg.RatedPowerW
	return j, nil
}

// Unserved lists the rules that cannot fire at this site, with the reason.
func (j *Judge) Unserved() []Unserved { return slices.Clone(j.missing) }

// Step judges one sample and returns what changed, in order. Timers due before
// the sample run first, each at its own deadline. The returned slice and the
// causes in it are the caller's until the next call. A sample whose TimeMs lies
// before the last one is judged at the last one's time: the clock of the
// judgement never goes back.
func (j *Judge) Step(s *Sample) []Event {
	j.events = j.events[:0]
	tMs := s.TimeMs
	if j.any {
		tMs = max(tMs, j.nowMs)
		j.runTimers(tMs - 1)
	}
	j.nowMs, j.any = tMs, true
	if j.resumeMs != nil {
		j.resume(tMs)
	}
	j.sample = *s
	j.sample.TimeMs = tMs
	j.ev.take(&j.sample, tMs)
	j.score(tMs)
	j.judge(tMs)
	j.runTimers(tMs)
	return j.events
}

// Advance lets time pass without a sample: holds end and readings grow stale,
// each at its own moment up to and including tMs.
func (j *Judge) Advance(tMs int64) []Event {
	j.events = j.events[:0]
	if !j.any {
		j.any = true
		j.nowMs = tMs
		j.judge(tMs)
	}
	j.runTimers(tMs)
	j.nowMs = max(j.nowMs, tMs)
	return j.events
}

// runTimers judges at every deadline up to and including tMs.
func (j *Judge) runTimers(tMs int64) {
	for {
		at, ok := j.NextDeadlineMs()
		if !ok || at > tMs {
			return
		}
		j.nowMs = max(j.nowMs, at)
		j.judge(j.nowMs)
	}
}

// NextDeadlineMs returns the next moment at which Advance would change
// anything, and whether there is one.
func (j *Judge) NextDeadlineMs() (int64, bool) {
	if !j.any {
		return 0, false
	}
	at := j.ev.deadline(j.nowMs)
	for i := range j.holding.Rules {
		at = min(at, j.states[i].holdUntil)
	}
	if j.note != "" {
		at = j.nowMs
	}
	for _, g := range [...]*Gate{j.gate, j.sober} {
		if s, _ := g.State(); s == StateClearing {
			at = min(at, max(g.OpensAtMs(), j.nowMs))
		}
	}
	return at, at != never
}

// judge evaluates every rule at tMs and moves gate and alerts.
func (j *Judge) judge(tMs int64) {
	j.tolls.passed(tMs)
	var in, sober GateInput
	standing, holding := j.standing&^j.served, j.holding&^j.served
	for i := range j.served.Rules {
		st, r := &j.states[i], &j.rules[i]
		was := st.stands()
		level := r.evaluate(&j.ev, tMs, was)
		if r.note != nil {
			r.note(&j.ev, tMs, level)
		}
		if level == LevelNone && was == LevelNone && j.begun[i] == never {
			continue // as it was, which is most rules most of the time
		}
		st.update(r, &j.ev, level, tMs)
		now := st.stands()
		j.begins(i, was, now, tMs)
		if now == LevelNone {
			continue
		}
		standing = standing.With(i)
		var mine GateInput
		if st.level == LevelBlock {
			mine.Active = mine.Active.With(i)
		}
		mine.Latching = j.latches & mine.Active
		if st.holding {
			holding = holding.With(i)
			if st.held == LevelBlock {
				mine.HoldUntilMs = st.holdUntil
			}
		}
		in.add(mine)
		if !r.network {
			sober.add(mine)
		}
	}
	j.standing, j.holding = standing, holding
	j.moveGate(tMs, in, sober)
	j.moveAlerts(tMs)
	j.count(tMs)
}

// sortStates finds which rules stand and which hold, after their states were set.
func (j *Judge) sortStates() {
	j.standing, j.holding = 0, 0
	for i := range j.states {
		if j.states[i].stands() != LevelNone {
			j.standing = j.standing.With(i)
		}
		if j.states[i].holding {
			j.holding = j.holding.With(i)
		}
	}
}

func (in *GateInput) add(other GateInput) {
	in.Active |= other.Active
	in.Latching |= other.Latching
	in.HoldUntilMs = max(in.HoldUntilMs, other.HoldUntilMs)
}

// moveGate steps the gate until it stands still. A second gate sees the rules
// without the network, and the first may open only when the second may: else
// a block by the network could save an opening that the limit on reopenings
// would count, and the gate would open earlier than without the network.
func (j *Judge) moveGate(tMs int64, in, sober GateInput) {
	for j.sober.Step(tMs, sober) {
	}
	if s, _ := j.sober.State(); s == StateClearing {
		in.HoldUntilMs = max(in.HoldUntilMs, j.sober.OpensAtMs())
	}
	told := false
	for j.gate.Step(tMs, in) {
		j.tellGate(tMs)
		told = true
	}
	state, _ := j.gate.State()
	if !told && (j.note != "" || state == StateBlocked && j.shown != j.blocking()) {
		j.tellGate(tMs)
	}
	j.note = ""
}

// blocking returns the rules that hold the gate: active or latched.
func (j *Judge) blocking() RuleSet {
	out := j.gate.Latched()
	for i := range (j.standing & j.served).Rules {
		if j.states[i].level == LevelBlock {
			out = out.With(i)
		}
	}
	return out
}

// tellGate appends a gate event with its reasons.
func (j *Judge) tellGate(tMs int64) {
	state, _ := j.gate.State()
	e := Event{TimeMs: tMs, Type: EventGate, State: state, ClearInMs: j.clearInMs(tMs)}
	e.Causes = j.causes(tMs)
	e.Reason = j.reason(e.Causes, tMs)
	j.shown = j.blocking()
	j.events = append(j.events, e)
}

func (j *Judge) clearInMs(tMs int64) int64 {
	at := j.gate.OpensAtMs()
	if at == never {
		return -1
	}
	return max(at-tMs, 0)
}

// causes lists what blocks the gate or holds it closed; none when it is open.
func (j *Judge) causes(tMs int64) []Cause {
	if state, _ := j.gate.State(); state == StateOpen {
		return nil
	}
	var out []Cause
	for i := range j.rules {
		st, latched := &j.states[i], j.gate.Latched().Has(i)
		blocks := st.stands() == LevelBlock && j.served.Has(i)
		if blocks || latched {
			out = append(out, j.cause(i, tMs))
		}
	}
	return out
}

// reason puts the gate's state into one sentence.
func (j *Judge) reason(causes []Cause, tMs int64) string {
	state, _ := j.gate.State()
	text := ""
	switch state {
	case StateInit:
		text = "nothing judged yet"
	case StateBlocked:
		var parts []string
		for _, c := range causes {
			parts = append(parts, c.Rule+": "+c.Text)
		}
		text = strings.Join(parts, "; ")
		if text == "" {
			text = "start"
		}
	case StateClearing:
		text = "no cause is active; opens in " + wholeSeconds(j.clearInMs(tMs)) + " s"
		var ids []string
		for _, c := range causes {
			ids = append(ids, c.Rule)
		}
		if ids != nil {
			text += "; held by " + strings.Join(ids, ", ")
		}
	case StateOpen:
		text = "no cause is active and every clear time has run"
	}
	if j.note != "" {
		text += "; " + j.note
	}
	return text
}

// moveAlerts raises, updates and clears one alert per hazard kind.
func (j *Judge) moveAlerts(tMs int64) {
	var level [NumKinds]Level
	var by [NumKinds]RuleSet
	for i := range j.rules {
		l := j.states[i].stands()
		if !j.served.Has(i) {
			l = LevelNone
		}
		if j.gate.Latched().Has(i) { // it is not over before a person says so
			l = LevelBlock
		}
		if l != LevelNone && i != ruleInit {
			level[j.rules[i].kind] = max(level[j.rules[i].kind], l)
			by[j.rules[i].kind] = by[j.rules[i].kind].With(i)
		}
	}
	for k := range NumKinds {
		a := &j.alerts[k]
		action := ActionUpdate
		switch {
		case level[k] == a.level && by[k] == a.rules:
			continue
		case a.level == LevelNone:
			action = ActionRaise
			j.counter++
			a.id, a.rev, a.since = j.alertID(k), 0, tMs
		case level[k] == LevelNone:
			action = ActionClear
		}
		told := by[k]
		e := Event{TimeMs: tMs, Type: EventAlert, Action: action, Kind: k, Level: level[k], ID: a.id}
		if action == ActionClear {
			told, e.Level = a.rules, a.level
		}
		a.rev++
		e.Rev, e.Causes = a.rev, j.explainSet(told, tMs)
		for i := range e.Causes {
			if e.Causes[i].Level == LevelNone { // it went: tell what the alert had
				e.Causes[i].Level = e.Level
			}
		}
		a.level, a.rules = level[k], by[k]
		j.events = append(j.events, e)
	}
}

func (j *Judge) alertID(k Kind) string {
	id := k.String() + "-" + strconv.Itoa(j.counter)
	if j.ev.cfg.Prefix != "" {
		id = j.ev.cfg.Prefix + "-" + id
	}
	return id
}

func (j *Judge) explainSet(set RuleSet, tMs int64) []Cause {
	var out []Cause
	for i := range j.rules {
		if set.Has(i) {
			out = append(out, j.cause(i, tMs))
		}
	}
	return out
}

// An AlertView is one standing alert.
type AlertView struct {
	ID      string
	Kind    Kind
	Level   Level
	Rev     int
	SinceMs int64
	Causes  []Cause
}

// A View is what the judge holds at the moment, for status pages and retained
// messages.
type View struct {
	State     State
	SinceMs   int64
	ClearInMs int64 // as in Event
	OpensInMs int64 // the earliest opening, also while causes stand; -1: a person or a first sample is waited for
	Reason    string
	Causes    []Cause
	Scores    Scores
	HasScores bool
	Alerts    []AlertView
	// What each rule has cost, as Tolls gives it.
	Tolls      []Toll
	EnergyFrom string
}

// View returns the present state with fresh explanations.
func (j *Judge) View() View {
	v := View{ClearInMs: j.clearInMs(j.nowMs), Causes: j.causes(j.nowMs), Scores: j.ev.network.scores, HasScores: j.ev.network.known}
	v.State, v.SinceMs = j.gate.State()
	v.Reason = j.reason(v.Causes, j.nowMs)
	v.OpensInMs = j.opensInMs(v.Causes, j.nowMs)
	v.Tolls, v.EnergyFrom = j.Tolls()
	for k := range NumKinds {
		if a := &j.alerts[k]; a.level != LevelNone {
			v.Alerts = append(v.Alerts, AlertView{a.id, k, a.level, a.rev, a.since, j.explainSet(a.rules, j.nowMs)})
		}
	}
	return v
}

// SetWall tells once that the wall clock read unixMs when the sensing clock read tMs
// (equal in a replay). It serves what needs the time of day: the usual pressure of
// W08 over a restart, and whether it is night. Call it when the wall clock can be
// trusted, at the start or later; what was kept and measured until then is put on
// its hours. The wall clock is not asked again, so its jumps change nothing.
func (j *Judge) SetWall(unixMs, tMs int64) error {
	if j.ev.wallKnown {
		return errors.New("set wall clock: it is known already")
	}
	j.ev.wallOffsetMs, j.ev.wallKnown = unixMs-tMs, true
	j.ev.cyclone.setHours(unixMs - tMs)
	if j.extractor != nil {
		j.extractor.SetClock(unixMs, tMs)
	}
	return nil
}

// Hear tells what the neighbours say of the weather when the sensing clock reads
// tMs; it counts for 10 minutes. Call it before Step. The network reads it and
// nothing else does: it may warn sooner or later by it, and no rule changes. A judge
// without a network has no use for it.
func (j *Judge) Hear(tMs int64, h *neighbours.Heard) {
	if j.extractor != nil {
		j.extractor.Hear(tMs, h)
	}
}

// Nowcast is what this station may tell its neighbours of its weather, as judged at
// the last sample. A judge without a network computes no features and tells nothing.
func (j *Judge) Nowcast() neighbours.Weather {
	if j.extractor == nil {
		return neighbours.Weather{ThunderAgoMs: neighbours.ThunderBackMs}
	}
	return j.extractor.Weather()
}

// State returns the gate's state: that of View, without its explanations.
func (j *Judge) State() State {
	s, _ := j.gate.State()
	return s
}

// Sample returns the last sample as judged: what is implausible or stuck is
// marked so. It is valid until the next Step.
func (j *Judge) Sample() *Sample { return &j.sample }
