package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fairwatt/model/neighbours"
)

// A ScoreLimit says what a network score does for one hazard kind.
type ScoreLimit struct {
	Warn  float64 `yaml:"warn"`  // probability from which it warns; 0: never
	Block float64 `yaml:"block"` // probability from which it blocks; 0: never
}

// ScoreLimits bind the network's scores to alerts. By default the network
// warns and never blocks: a kind may block only where the network beat the
// rules on validation data at a stated price in blocked hours.
type ScoreLimits struct {
	Kinds      map[string]ScoreLimit `yaml:"kinds"`       // by kind name
	Windows    int                   `yaml:"windows"`     // windows in a row over the threshold, of period_s each; see tally
	PeriodS    float64               `yaml:"period_s"`    // at most one window in this time
	ClearRatio float64               `yaml:"clear_ratio"` // cleared below ratio x threshold
	HoldS      float64               `yaml:"hold_s"`      // clear time of a block
	Require    bool                  `yaml:"require"`     // a failed network blocks instead of warning
}

// check refuses unknown kinds and thresholds that are no probability.
func (l *ScoreLimits) check() error {
	for name, s := range l.Kinds {
		if _, err := ParseKind(name); err != nil {
			return fmt.Errorf("score.kinds: %w", err)
		}
		for _, p := range []float64{s.Warn, s.Block} {
			if !(p >= 0 && p <= 1) {
				return fmt.Errorf("score.kinds.%s: %v is not a probability", name, p)
			}
		}
	}
	return nil
}

// networkHazard is what the hazard network says. Its rules stand in a judge's
// table only for the kinds that its Scorer names (networkRules).
var networkHazard = hazard{
	defaults: func(c *Config) {
		c.Score.Windows, c.Score.PeriodS, c.Score.ClearRatio, c.Score.HoldS = 2, 60, 0.8, 1800
	},
	fields: func(c *Config) []field {
		return []field{
			{"score.windows", float64(c.Score.Windows), 1, 1000},
			{"score.period_s", c.Score.PeriodS, 0, week},
			{"score.clear_ratio", c.Score.ClearRatio, 0, 1},
			{"score.hold_s", c.Score.HoldS, 0, week},
		}
	},
	start: func(e *evidence) { e.network = newNetwork(&e.cfg) },
	rules: []rule{{
		id: "M00", place: 300, kind: KindSensor, level: LevelBlock, network: true,
		source: "the hazard network gave no usable score; the rules judge alone",
		holdS:  noHold,
		evaluate: func(e *evidence, _ int64, _ Level) Level {
			switch {
			case e.network.failure == "":
				return LevelNone
			case e.cfg.Score.Require:
				return LevelBlock
			}
			return LevelWarn
		},
		explain: func(x *explainer) { x.say("hazard network failed: " + x.e.network.failure) },
	}},
}

// networkRules makes one rule for each hazard kind that a network scores.
func networkRules(kinds []Kind) []rule {
	var out []rule
	for _, k := range kinds {
		out = append(out, rule{
			id: networkRuleID(k), place: 310 + int(k), kind: k, level: LevelBlock, network: true,
			source: "hazard network over its threshold for score.windows windows of score.period_s",
			holdS: func(e *evidence) float64 {
				if e.network.limits[k].Block == 0 {
					return 0
				}
				return e.cfg.Score.HoldS
			},
			blocks:   func(e *evidence) bool { return e.network.limits[k].Block > 0 },
			evaluate: func(e *evidence, _ int64, was Level) Level { return e.network.level(k, was) },
			explain:  func(x *explainer) { x.score(k) },
		})
	}
	return out
}

func networkRuleID(k Kind) string { return "M-" + k.String() }

// checkScorer refuses kinds that are none or stand twice: each makes a rule.
func checkScorer(s Scorer) error {
	var seen [NumKinds]bool
	for _, k := range s.Kinds() {
		if k >= NumKinds {
			return fmt.Errorf("network: no such hazard kind %d", k)
		}
		if seen[k] {
			return fmt.Errorf("network: it names the kind %v twice", k)
		}
		seen[k] = true
	}
	return nil
}

// Scores are the network's hazard probabilities of one window.
type Scores struct {
	P   [NumKinds]float64 // 0 to 1, by kind
	Has [NumKinds]bool    // whether the network scores the kind at all
	Top []Contribution    // what moved the score most, largest first
}

// A Contribution is one feature's share in a score, against the station's
// baseline.
type Contribution struct {
	Name         string
	Value        float64
	Unit         string
	Contribution float64
}

// A Scorer turns features into hazard probabilities. It is called by the
// judge's owner only, and may keep the Top slice for the next call.
type Scorer interface {
	// Kinds are the hazard kinds that it may score, always the same.
	Kinds() []Kind
	Score(f *Features) (Scores, error)
}

// appendJSON writes the scored kinds, rounded to 1e-3: scores differ in their
// last bits between architectures.
func (s *Scores) appendJSON(b []byte) []byte {
	b = append(b, '{')
	first := true
	for k := range NumKinds {
		if !s.Has[k] {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, k.String())
		b = append(b, ':')
		b = appendNumber(b, s.P[k])
	}
	return append(b, '}')
}

// check refuses what cannot be a probability.
func (s *Scores) check() (Kind, bool) {
	for k := range NumKinds {
		if s.Has[k] && !(s.P[k] >= 0 && s.P[k] <= 1) || s.Has[k] && math.IsNaN(s.P[k]) {
			return k, false
		}
	}
	return 0, true
}

// network tallies each kind's windows over and under its thresholds.
type network struct {
	scores    Scores
	heard     neighbours.Heard // with the scores
	known     bool
	failure   string
	overWarn  [NumKinds]tally
	overBlock [NumKinds]tally
	under     [NumKinds]tally // below the clear line of the lowest threshold
	blockLow  [NumKinds]tally // below the clear line of the block threshold
	limits    [NumKinds]ScoreLimit
	nextMs    int64
	scoredMs  [NumKinds]int64 // when each kind was scored last
	needMs    int64           // windows in a row are enough from here on
	firstMs   int64           // how much the first window of a row counts
	mostMs    int64           // how much any other window counts at most
}

// rowS is the interval from which a sample stands for all of the time
// since the last one, as the rows of hourly weather do. Of more frequent
// samples each is a moment.
const rowS = 600

func newNetwork(c *Config) network {
	var s network
	for name, l := range c.Score.Kinds {
		if k, err := ParseKind(name); err == nil { // Validate has refused the rest
			s.limits[k] = l
		}
	}
	window := max(seconds(c.Score.PeriodS), 1000) // without a period windows are a second long
	s.needMs = int64(c.Score.Windows) * window
	s.firstMs = window
	s.mostMs = max(window, seconds(c.IntervalS))
	if c.IntervalS >= rowS {
		s.firstMs = s.mostMs
	}
	return s
}

// A tally is for how long a condition has held in every window of a row, in
// milliseconds. It counts time, not windows: two rows an hour apart are two
// hours, and with the default limits the first of them is enough (as one reading
// is for E01).
type tally int64

// add books a window that came stepMs after the last one of its kind.
func (t *tally) add(holds bool, firstMs, stepMs int64) {
	switch {
	case !holds:
		*t = 0
	case *t == 0:
		*t = tally(firstMs)
	default:
		*t += tally(stepMs)
	}
}

// lowest returns the threshold below which nothing is said about a kind.
func (l ScoreLimit) lowest() float64 {
	if l.Warn == 0 || l.Block != 0 && l.Block < l.Warn {
		return l.Block
	}
	return l.Warn
}

// take books the scores of one window at tMs. The time in which a kind was not
// scored counts as one window at most: nothing is known of it. own are the scores
// without the neighbours, by which alone it blocks.
func (s *network) take(tMs int64, scores, own *Scores, clearRatio float64) {
	s.scores, s.known, s.failure = *scores, true, ""
	for k := range NumKinds {
		if !scores.Has[k] {
			continue
		}
		l, p := s.limits[k], scores.P[k]
		alone := own.Has[k]
		step := min(tMs-s.scoredMs[k], s.mostMs)
		s.scoredMs[k] = tMs
		s.overWarn[k].add(l.Warn > 0 && p >= l.Warn, s.firstMs, step)
		s.overBlock[k].add(l.Block > 0 && alone && own.P[k] >= l.Block, s.firstMs, step)
		s.under[k].add(p < l.lowest()*clearRatio, s.firstMs, step)
		s.blockLow[k].add(alone && own.P[k] < l.Block*clearRatio, s.firstMs, step)
	}
}

// fail books a window without a usable score: what the network said before
// stands, and M00 says that nothing newer is known.
func (s *network) fail(why string) { s.failure = why }

// level returns what the scores of a kind say, given what they said before.
func (s *network) level(k Kind, was Level) Level {
	enough := tally(s.needMs)
	switch {
	case s.limits[k] == ScoreLimit{}:
		return LevelNone
	case s.overBlock[k] >= enough, was == LevelBlock && s.limits[k].Block > 0 && s.blockLow[k] < enough:
		return LevelBlock
	case s.limits[k].Warn == 0:
		return LevelNone
	case s.overWarn[k] >= enough, was != LevelNone && s.under[k] < enough:
		return LevelWarn
	}
	return LevelNone
}

// score explains a network score by the measured inputs that moved it. The
// probability itself is left to score events: its last digit differs between
// architectures, and gate and alert events must not.
func (x *explainer) score(k Kind) {
	l := x.e.network.limits[k]
	limit := l.Warn
	if x.state.held == LevelBlock || x.state.level == LevelBlock {
		limit = l.Block
	}
	x.say("network: " + k.String() + " likely (threshold " + number(limit) + ")")
	var by []string
	for i, t := range x.e.network.scores.Top {
		if i == 3 {
			break
		}
		x.input(t.Name, t.Value, t.Unit, 0, "", 0)
		for n, names := range x.e.network.heard.By {
			if t.Name != features[FeatureNeighbours+n].name {
				continue
			}
			for _, name := range names {
				if !slices.Contains(by, name) {
					by = append(by, name)
				}
			}
		}
	}
	if by != nil {
		x.say("as told by " + strings.Join(by, ", "))
	}
}

// blocks says whether any score may block at this site.
func (s *network) blocks() bool {
	for k := range s.limits {
		if s.limits[k].Block > 0 {
			return true
		}
	}
	return false
}

// ask returns the scores, or why there are none that can be used.
func (j *Judge) ask(f *Features) (s Scores, why string) {
	s, err := j.scorer.Score(f)
	if err != nil {
		return s, err.Error()
	}
	if k, ok := s.check(); !ok {
		return s, k.String() + " score is no probability"
	}
	return s, ""
}

// score runs the network when its period has passed. Where a site lets it block,
// it is asked a second time, without what the neighbours say: they may warn only.
func (j *Judge) score(tMs int64) {
	if j.scorer == nil {
		return
	}
	j.extractor.Push(&j.sample)
	sc := &j.ev.network
	if tMs < sc.nextMs && (sc.known || sc.failure != "") {
		return
	}
	sc.nextMs = tMs + seconds(j.ev.cfg.Score.PeriodS)
	j.extractor.Features(&j.features)
	own, why := Scores{}, ""
	apart := sc.blocks() && j.features.hears()
	if apart {
		alone := j.features
		alone.forgetNeighbours()
		own, why = j.ask(&alone)
	}
	var scores Scores
	if why == "" {
		scores, why = j.ask(&j.features)
	}
	if why != "" {
		sc.fail(why)
		return
	}
	if !apart {
		own = scores
	}
	sc.take(tMs, &scores, &own, j.ev.cfg.Score.ClearRatio)
	sc.heard = j.extractor.place.heard
	j.events = append(j.events, Event{TimeMs: tMs, Type: EventScore, Scores: scores})
}
