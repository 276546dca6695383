package model

// ruleScoreFailed is the id of the rule that says the network gave no usable
// score. It warns; a site may ask for a block instead.
const ruleScoreFailed = "M00"

// scoreState counts consecutive windows over and under each kind's
// thresholds.
type scoreState struct {
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

func newScoreState(c *Config) scoreState {
	var s scoreState
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
func (s *scoreState) take(scores Scores, clearRatio float64) {
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
func (s *scoreState) fail(why string) { s.failure = why }

func run(n int, more bool) int {
	if !more {
		return 0
	}
	return min(n+1, 1<<20)
}

// scoreRules makes one rule for every hazard kind a network may score, and one
// for a network that fails.
func scoreRules() []rule {
	out := []rule{{
		id: ruleScoreFailed, kind: KindSensor, level: LevelBlock,
		source: "the hazard network gave no usable score; the rules judge alone",
		holdS:  func(*evidence) float64 { return 0 },
		evaluate: func(e *evidence, _ int64, _ Level) Level {
			switch {
			case e.score.failure == "":
				return LevelNone
			case e.cfg.Score.Require:
				return LevelBlock
			}
			return LevelWarn
		},
		explain: func(x *explainer) { x.say("hazard network failed: " + x.e.score.failure) },
	}}
	for k := range NumKinds {
		out = append(out, rule{
			id: "M-" + k.String(), kind: k, level: LevelBlock,
			source: "hazard network over its threshold in consecutive windows",
			holdS: func(e *evidence) float64 {
				if e.score.limits[k].Block == 0 {
					return 0
				}
				return e.cfg.Score.HoldS
			},
			evaluate: func(e *evidence, _ int64, was Level) Level { return e.score.level(k, was, e.cfg.Score.Windows) },
			explain:  func(x *explainer) { x.score(k) },
		})
	}
	return out
}

// level returns what the scores of a kind say, given what they said before.
func (s *scoreState) level(k Kind, was Level, windows int) Level {
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
