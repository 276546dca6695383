package model

// A ContactorState is what the agent finds of the switch of the power.
type ContactorState uint8

// The states of a contactor.
const (
	ContactorUnknown   ContactorState = iota // nothing was told yet
	ContactorAgrees                          // its feedback is as commanded
	ContactorUnwatched                       // there is no feedback, or no contactor
	ContactorWelded                          // told open, its feedback says closed
	ContactorStuck                           // told closed, its feedback says open
	ContactorUnable                          // it cannot be commanded, or its feedback cannot be read
)

// contactorHazard is the switch of the power itself: without it the gate binds
// nothing.
var contactorHazard = hazard{
	defaults: func(c *Config) { c.Latch = append(c.Latch, "E17") },
	rules: []rule{
		{
			id: "E17", place: 182, kind: KindEquipment, level: LevelBlock,
			source: "contactor: its feedback has disagreed with the command for 1 s, welded (told open) or stuck (told closed)",
			holdS:  noHold,
			evaluate: func(e *evidence, _ int64, was Level) Level {
				switch e.contactor.state {
				case ContactorWelded, ContactorStuck:
					return LevelBlock
				case ContactorAgrees, ContactorUnwatched:
					return LevelNone
				case ContactorUnknown, ContactorUnable:
				}
				return was
			},
			explain: explainContactor,
		},
		{
			id: "E18", place: 184, kind: KindEquipment, level: LevelBlock,
			settings: "gate.valid_s",
			source:   "contactor: it could not be commanded, or its feedback not be read, for 1 s",
			holdS:    holdValid,
			evaluate: func(e *evidence, _ int64, was Level) Level {
				if e.contactor.state == ContactorUnknown {
					return was
				}
				return keep(e.contactor.state == ContactorUnable, LevelBlock)
			},
			explain: func(x *explainer) {
				switch x.e.contactor.state {
				case ContactorUnable:
					x.say("the contactor cannot be commanded, or its feedback not be read")
				case ContactorUnknown:
					x.say("the contactor has not been looked at yet")
				case ContactorAgrees, ContactorUnwatched, ContactorWelded, ContactorStuck:
					x.say("the contactor can be commanded again")
				}
			},
		},
	},
}

// contactor is what was told of the switch.
type contactor struct {
	state ContactorState
	wrong ContactorState // the last that E17 stood for
}

// Contactor tells what is found of the contactor. It counts from the next Step
// or Advance on. Until the first call, and while the contactor cannot be looked
// at, a cause that stands stays.
func (j *Judge) Contactor(state ContactorState) {
	c := &j.ev.contactor
	if c.state = state; state == ContactorWelded || state == ContactorStuck {
		c.wrong = state
	}
}

func explainContactor(x *explainer) {
	c := &x.e.contactor
	now := c.state == ContactorWelded || c.state == ContactorStuck
	switch {
	case now && c.wrong == ContactorWelded:
		x.say("the contactor is welded: told open, its feedback says closed")
	case now:
		x.say("the contactor is stuck: told closed, its feedback says open")
	case c.state == ContactorUnknown || c.state == ContactorUnable:
		x.say("the contactor's feedback disagreed with its command, and it cannot be looked at now")
		return
	case c.wrong == ContactorWelded:
		x.say("the contactor was welded (told open, its feedback said closed)")
	case c.wrong == ContactorStuck:
		x.say("the contactor was stuck (told closed, its feedback said open)")
	default:
		x.say("the contactor's feedback disagreed with its command before the restart")
	}
	if !now {
		return
	}
	told, felt := 0.0, 1.0
	if c.wrong == ContactorStuck {
		told, felt = 1, 0
	}
	x.cause.Inputs = append(x.cause.Inputs, Input{Name: "contactor_feedback", Value: felt, Op: "!=", Threshold: told, State: Valid})
}
