package drive

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/trade"
)

// The levels of a configuration.
const (
	High = "high"
	Low  = "low"
)

// A Config says where a contactor is: "none", or its pins.
type Config struct {
	// None says that the plant has no contactor.
	None bool
	// Pin is the GPIO that drives it; Active is the level that closes it, high
	// (default) or low.
	Pin, Active string
	// Feedback is the GPIO of an auxiliary contact, empty for none;
	// FeedbackActive is its level while the contactor is closed, high (default)
	// or low.
	Feedback, FeedbackActive string
}

// yamlConfig is the mapping of a Config.
type yamlConfig struct {
	Pin            string `yaml:"pin"`
	Active         string `yaml:"active,omitempty"`
	Feedback       string `yaml:"feedback,omitempty"`
	FeedbackActive string `yaml:"feedback_active,omitempty"`
}

const none = "none"

// YAMLWords and YAMLForm tell package strictyaml what stands in a file: the word
// none, or the keys of a mapping.
func (*Config) YAMLWords() []string { return []string{none} }

// YAMLForm returns the type of the mapping.
func (*Config) YAMLForm(func(string) string) reflect.Type { return reflect.TypeFor[yamlConfig]() }

// UnmarshalYAML takes the word none, or a mapping.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if err := unmarshal(&word); err == nil {
		if word != none {
			return fmt.Errorf("contactor: %.60q; use none, or {pin: GPIO17}", word)
		}
		*c = Config{None: true}
		return nil
	}
	var y yamlConfig
	if err := unmarshal(&y); err != nil {
		return err
	}
	*c = Config{Pin: y.Pin, Active: y.Active, Feedback: y.Feedback, FeedbackActive: y.FeedbackActive}
	return nil
}

// MarshalYAML is the inverse of UnmarshalYAML.
func (c Config) MarshalYAML() (any, error) {
	if c.None {
		return none, nil
	}
	return yamlConfig{c.Pin, c.Active, c.Feedback, c.FeedbackActive}, nil
}

// A FieldError names the field that is wrong and what to write instead.
type FieldError struct{ Field, Fix string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Fix }

// Validate names the first field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.None:
		return nil
	case c.Pin == "":
		return &FieldError{"pin", "missing; name the GPIO that drives the contactor, or write contactor: none"}
	case c.Pin == c.Feedback:
		return &FieldError{"feedback", fmt.Sprintf("%.60q drives the contactor; use another pin", c.Feedback)}
	case c.Feedback == "" && c.FeedbackActive != "":
		return &FieldError{"feedback", "missing; feedback_active alone has no effect"}
	}
	for _, l := range []struct{ field, value string }{{"active", c.Active}, {"feedback_active", c.FeedbackActive}} {
		if l.value != "" && l.value != High && l.value != Low {
			return &FieldError{l.field, fmt.Sprintf("%.60q; use high or low", l.value)}
		}
	}
	return nil
}

// String says which contactor it is, for people.
func (c Config) String() string {
	switch {
	case c.None:
		return none
	case c.Feedback == "":
		return c.Pin + ", no feedback"
	}
	return c.Pin + ", feedback " + c.Feedback
}

// Outputs is implemented by buses that have output pins.
type Outputs interface {
	PinOut(name string) (gpio.PinOut, error)
}

// Inputs is implemented by buses that have input pins.
type Inputs interface {
	Pin(name string) (gpio.PinIn, error)
}

// A Line is a contactor on pins. It implements trade.Contactor.
type Line struct {
	mu             sync.Mutex
	out            gpio.PinOut
	feedback       gpio.PinIn // nil without
	active         gpio.Level
	feedbackActive gpio.Level
}

func levelOf(name string) gpio.Level { return name != Low }

// New opens the contactor and then sets up its feedback. buses has to be
// Outputs, and Inputs if there is feedback.
func New(cfg Config, buses any) (*Line, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	outputs, ok := buses.(Outputs)
	if cfg.None || !ok {
		return nil, errors.New("contactor: no output pins here")
	}
	out, err := outputs.PinOut(cfg.Pin)
	if err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	l := &Line{out: out, active: levelOf(cfg.Active), feedbackActive: levelOf(cfg.FeedbackActive)}
	if err := l.Open(""); err != nil {
		return nil, err
	}
	if cfg.Feedback == "" {
		return l, nil
	}
	inputs, ok := buses.(Inputs)
	if !ok {
		return nil, errors.New("contactor: no input pins here")
	}
	if l.feedback, err = inputs.Pin(cfg.Feedback); err != nil {
		return nil, fmt.Errorf("contactor: %w", err)
	}
	// A cut wire has to read as the level that blocks: a mirror contact is low
	// while the contactor is closed, and the pull-down reads low without it.
	if err := l.feedback.In(gpio.PullDown, gpio.NoEdge); err != nil {
		return nil, fmt.Errorf("contactor: set up feedback %s: %w", cfg.Feedback, err)
	}
	return l, nil
}

func (l *Line) tell(verb string, level gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.out.Out(level); err != nil {
		return fmt.Errorf("%s contactor on %s: %w", verb, l.out.Name(), err)
	}
	return nil
}

// Close implements trade.Contactor.
func (l *Line) Close(trade.Delivery) error { return l.tell("close", l.active) }

// Open implements trade.Contactor.
func (l *Line) Open(string) error { return l.tell("open", !l.active) }

// Halt opens the contactor for good.
func (l *Line) Halt() error { return l.Open("") }

// Feedback says whether the contactor is closed, by its feedback; watched is
// false without one.
func (l *Line) Feedback() (closed, watched bool, err error) {
	if l.feedback == nil {
		return false, false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	level := gpio.Low
	if p, ok := l.feedback.(interface{ ReadLevel() (gpio.Level, error) }); ok {
		if level, err = p.ReadLevel(); err != nil {
			return false, true, fmt.Errorf("read feedback %s: %w", l.feedback.Name(), err)
		}
	} else {
		level = l.feedback.Read()
	}
	return level == l.feedbackActive, true, nil
}
