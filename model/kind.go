package model

import "fmt"

// A Kind is a class of hazard. Alerts are kept and counted by kind.
type Kind uint8

// The kinds of hazards. KindLine covers voltage, frequency, current and earth
// faults; KindSensor is the judge's own blindness.
const (
	KindThunderstorm Kind = iota
	KindWind
	KindCyclone
	KindRain
	KindHeat
	KindLine
	KindEquipment
	KindSensor
	KindExternal
	NumKinds // how many there are; not a kind
)

var kindNames = [NumKinds]string{
	"thunderstorm", "wind", "cyclone", "rain", "heat", "line", "equipment", "sensor", "external",
}

// String returns the kind's name in events and topics.
func (k Kind) String() string {
	if k < NumKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind returns the kind of that name.
func ParseKind(name string) (Kind, error) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("unknown hazard kind %q", name)
}

// MarshalText and UnmarshalText let kinds stand by name in YAML and JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error {
	v, err := ParseKind(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// A Level says what a hazard does to trading: nothing, a warning that people
// see, or a block that closes the gate.
type Level uint8

// The levels, in rising order.
const (
	LevelNone Level = iota
	LevelWarn
	LevelBlock
)

var levelNames = [...]string{"none", "warn", "block"}

// String returns the level's name in events.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// MarshalText lets levels stand by name in JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// A State is the state of the trade gate. Trading is allowed in StateOpen only.
type State uint8

// The states of the gate, in the order a start passes through them.
const (
	StateInit     State = iota // nothing has been judged yet
	StateBlocked               // a cause is active or a latch is set
	StateClearing              // no cause is active; the clear timers run
	StateOpen                  // trading is allowed
)

var stateNames = [...]string{"INIT", "BLOCKED", "CLEARING", "OPEN"}

// String returns the state's name in events.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText lets states stand by name in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
