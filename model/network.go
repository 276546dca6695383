package model

import (
	"fmt"
	"math"
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
	Windows    int                   `yaml:"windows"`     // consecutive windows over the threshold
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
			source: "hazard network over its threshold in consecutive windows",
			holdS: func(e *evidence) float64 {
				if e.network.limits[k].Block == 0 {
					return 0
				}
				return e.cfg.Score.HoldS
			},
			blocks:   func(e *evidence) bool { return e.network.limits[k].Block > 0 },
			evaluate: func(e *evidence, _ int64, was Level) Level { return e.network.level(k, was, e.cfg.Score.Windows) },
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

// network counts consecutive windows over and under each kind's
// thresholds.
type network struct {
	scores    Scores
	known     bool
	failure   string
	overWarn  [NumKinds]int
	overBlock [NumKinds]int
	under     [NumKinds]int // below the clear line of the lowest threshold
	blockLow  [NumKinds]int // below the clear line of the block threshold
	limits    [NumKinds]ScoreLimit
	nextMs    int64
}

func newNetwork(c *Config) network {
	var s network
	for name, l := range c.Score.Kinds {
		if k, err := ParseKind(name); err == nil { // Validate has refused the rest
			s.limits[k] = l
		}
	}
	return s
}

// lowest returns the threshold below which nothing is said about a kind.
func (l ScoreLimit) lowest() float64 {
	if l.Warn == 0 || l.Block != 0 && l.Block < l.Warn {
		return l.Block
	}
	return l.Warn
}

// take books one window's scores.
func (s *network) take(scores Scores, clearRatio float64) {
	s.scores, s.known, s.failure = scores, true, ""
	for k := range NumKinds {
		if !scores.Has[k] {
			continue
		}
		l, p := s.limits[k], scores.P[k]
		s.overWarn[k] = run(s.overWarn[k], l.Warn > 0 && p >= l.Warn)
		s.overBlock[k] = run(s.overBlock[k], l.Block > 0 && p >= l.Block)
		s.under[k] = run(s.under[k], p < l.lowest()*clearRatio)
		s.blockLow[k] = run(s.blockLow[k], p < l.Block*clearRatio)
	}
}

// fail books a window without a usable score: what the network said before
// stands, and M00 says that nothing newer is known.
func (s *network) fail(why string) { s.failure = why }

func run(n int, more bool) int {
	if !more {
		return 0
	}
	return min(n+1, 1<<20)
}

// level returns what the scores of a kind say, given what they said before.
func (s *network) level(k Kind, was Level, windows int) Level {
	switch {
	case s.limits[k] == ScoreLimit{}:
		return LevelNone
	case s.overBlock[k] >= windows, was == LevelBlock && s.limits[k].Block > 0 && s.blockLow[k] < windows:
		return LevelBlock
	case s.limits[k].Warn == 0:
		return LevelNone
	case s.overWarn[k] >= windows, was != LevelNone && s.under[k] < windows:
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
	for i, t := range x.e.network.scores.Top {
		if i == 3 {
			break
		}
		x.input(t.Name, t.Value, t.Unit, 0, "", 0)
	}
}

// score runs the network when its period has passed.
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
	scores, err := j.scorer.Score(&j.features)
	if err != nil {
		sc.fail(err.Error())
		return
	}
	if k, ok := scores.check(); !ok {
		sc.fail(k.String() + " score is no probability")
		return
	}
	sc.take(scores, j.ev.cfg.Score.ClearRatio)
	j.events = append(j.events, Event{TimeMs: tMs, Type: EventScore, Scores: scores})
}
