package model

// keptHazard is the judge's own past: holds and latches of the run before, which a
// damaged disk may take. What they were is not known then, so the gate stays closed
// until a person has looked.
var keptHazard = hazard{
	defaults: func(c *Config) { c.Latch = append(c.Latch, "S04") },
	rules: []rule{{
		id: "S04", place: 35, kind: KindSensor, level: LevelBlock,
		source: "the kept state of the run before is damaged: its latches and clear times are not known",
		holdS:  noHold,
		evaluate: func(e *evidence, _ int64, _ Level) Level {
			return keep(e.kept.lost, LevelBlock)
		},
		explain: func(x *explainer) {
			x.say("the kept state of the run before is damaged; look at the plant, then acknowledge")
		},
		note: func(e *evidence, _ int64, _ Level) { e.kept.lost = false },
	}},
}

// kept is what was told of the kept state.
type kept struct{ lost bool }

// LostState says that the kept state is there and cannot be read, so that latches
// and clear times of the run before are not known. The gate closes by S04, which
// latches by default. Call it instead of a Restore that failed.
func (j *Judge) LostState() { j.ev.kept.lost = true }
