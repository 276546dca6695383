package model

import "strings"

// InverterLimits are the settings of E14.
type InverterLimits struct {
	// InverterQuietBits are the event bits, as one number, that do not block. Those of
	// E10 and E11 block whatever stands here.
	InverterQuietBits float64 `yaml:"inverter_quiet_bits"`
}

// The channel inverter_events is one number: bits 0 to 31 are the inverter's own
// events as SunSpec numbers them (Evt1 of models 101 to 113, Alrm of 701), bit 32
// says that its state is FAULT (St, or InvSt, 7).
const (
	// InverterFault is bit 32 of the channel.
	InverterFault = 1 << 32

	inverterGround = 1 << 0                        // GROUND_FAULT
	inverterString = 1<<12 | 1<<15                 // BLOWN_STRING_FUSE, HW_TEST_FAILURE
	inverterQuiet  = 1<<13 | 1<<14                 // UNDER_TEMP, MEMORY_LOSS: it feeds in all the same
	inverterMost   = float64(InverterFault<<1 - 1) // all bits
	inverterWhole  = float64(1<<32 - 1)            // all events
)

// inverterWords are the events in words (SunSpec information models, 101 and 701).
var inverterWords = [...]string{
	"ground fault", "DC voltage too high", "AC disconnect open", "DC disconnect open", "grid disconnect open",
	"cabinet open", "shut down by hand", "too hot", "frequency too high", "frequency too low", "AC voltage too high",
	"AC voltage too low", "blown string fuse", "too cold", "memory lost", "hardware test failed",
}

// inverterHazard is what an inverter finds wrong with itself and with its grid.
var inverterHazard = hazard{
	defaults: func(c *Config) {
		c.Equipment.InverterQuietBits = inverterQuiet
		c.Latch = append(c.Latch, "E11")
	},
	fields: func(c *Config) []field {
		return []field{{"equipment.inverter_quiet_bits", c.Equipment.InverterQuietBits, 0, inverterWhole}}
	},
	rules: []rule{
		{
			id: "E11", place: 155, kind: KindLine, level: LevelBlock,
			source: "fault in a string, as the inverter reports it: SunSpec event bits 12 (blown string fuse) and 15 (hardware test failed, where arc detectors report)",
			needs:  [][]Channel{{InverterEvents}},
			holdS:  holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				return e.inverterSays(tMs, inverterString, was)
			},
			explain: func(x *explainer) { x.inverter(inverterString) },
		},
		{
			id: "E14", place: 165, kind: KindEquipment, level: LevelBlock,
			settings: "equipment.inverter_quiet_bits",
			source:   "the inverter's state is FAULT, or one of its event bits is set that is not among the quiet ones",
			needs:    [][]Channel{{InverterEvents}},
			holdS:    holdEnter,
			evaluate: func(e *evidence, tMs int64, was Level) Level {
				return e.inverterSays(tMs, e.cfg.inverterTrips(), was)
			},
			explain: func(x *explainer) { x.inverter(x.e.cfg.inverterTrips()) },
		},
	},
}

// inverterTrips are the bits of the channel that block by E14.
func (c *Config) inverterTrips() uint64 {
	return InverterFault | (1<<32-1)&^uint64(c.Equipment.InverterQuietBits)
}

// inverterBits returns which of some bits are set, and whether that is known.
func (e *evidence) inverterBits(tMs int64, of uint64) (uint64, bool) {
	v, ok := e.in.get(InverterEvents, tMs)
	return uint64(v) & of, ok
}

func (e *evidence) inverterSays(tMs int64, of uint64, was Level) Level {
	bits, ok := e.inverterBits(tMs, of)
	if !ok {
		return was
	}
	return keep(bits != 0, LevelBlock)
}

// inverter explains what the inverter reports.
func (x *explainer) inverter(of uint64) {
	bits, ok := x.e.inverterBits(x.tMs, of)
	switch {
	case !ok:
		x.channel(InverterEvents, "", 0)
	case bits == 0:
		x.say("the inverter reports no fault any more")
	default:
		x.channel(InverterEvents, "", 0)
		x.say("the inverter reports " + inverterText(bits))
	}
}

// inverterText says event bits in words.
func inverterText(bits uint64) string {
	var words []string
	for i := range 33 {
		switch {
		case bits&(1<<i) == 0:
		case i == 32:
			words = append(words, "its state FAULT")
		case i < len(inverterWords):
			words = append(words, inverterWords[i])
		default:
			words = append(words, "event bit "+number(float64(i)))
		}
	}
	return strings.Join(words, ", ")
}

// inverterVote joins the event bits of several inverters: each that is set counts.
func inverterVote(readings []Reading) AgreedReading {
	out := AgreedReading{Outlier: -1}
	bits, any := uint64(0), false
	for i := range min(len(readings), MaxVoters) {
		r := &readings[i]
		switch {
		case r.Validity != Valid:
			out.Validity = max(out.Validity, r.Validity)
		case !(r.Value >= 0 && r.Value <= inverterMost):
			out.Validity = max(out.Validity, OutOfRange)
		default:
			bits, any = bits|uint64(r.Value), true
			out.AgeMs = max(out.AgeMs, r.AgeMs)
		}
	}
	// An inverter that is not heard may have a fault. Faults of the others count all
	// the same; their health does not speak for it.
	if any && (out.Validity == Absent || bits != 0) {
		out.Validity, out.Value = Valid, float64(bits)
	}
	return out
}
