package drive

import (
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"
)

// The levels of a configuration.
const (
	High = "high"
	Low  = "low"
)

// A Config says where a contactor is: "none", its pins, or its coil.
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
	// Endpoint is the "host:port" of a Modbus relay module on a network (port 502
	// if left out), Port the serial line of one; its Unit is 1 to 247, default 1.
	Endpoint, Port string
	Unit           byte
	// Coil drives the contactor there, instead of Pin, and the discrete input
	// FeedbackInput is the auxiliary contact, nil for none.
	Coil, FeedbackInput *uint16
	// Timeout of one exchange with the module, 0 for 300 ms.
	Timeout time.Duration
}

// yamlConfig is the mapping of a Config.
type yamlConfig struct {
	Pin            string `yaml:"pin"`
	Active         string `yaml:"active,omitempty"`
	Feedback       string `yaml:"feedback,omitempty"`
	FeedbackActive string `yaml:"feedback_active,omitempty"`

	Endpoint      string        `yaml:"endpoint,omitempty"`
	Port          string        `yaml:"port,omitempty"`
	Unit          byte          `yaml:"unit,omitempty"`
	Coil          *uint16       `yaml:"coil,omitempty"`
	FeedbackInput *uint16       `yaml:"feedback_input,omitempty"`
	Timeout       time.Duration `yaml:"timeout,omitempty"`
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
	*c = Config{
		Pin: y.Pin, Active: y.Active, Feedback: y.Feedback, FeedbackActive: y.FeedbackActive,
		Endpoint: y.Endpoint, Port: y.Port, Unit: y.Unit, Coil: y.Coil, FeedbackInput: y.FeedbackInput, Timeout: y.Timeout,
	}
	return nil
}

// MarshalYAML is the inverse of UnmarshalYAML.
func (c Config) MarshalYAML() (any, error) {
	if c.None {
		return none, nil
	}
	return yamlConfig{c.Pin, c.Active, c.Feedback, c.FeedbackActive, c.Endpoint, c.Port, c.Unit, c.Coil, c.FeedbackInput, c.Timeout}, nil
}

// A FieldError names the field that is wrong and what to write instead.
type FieldError struct{ Field, Fix string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Fix }

// OnModule says that a relay module on Modbus drives the contactor.
func (c Config) OnModule() bool { return c.Endpoint != "" || c.Port != "" || c.Coil != nil }

// Bounds of Timeout. An opening waits for it, and the judge's step with it.
const (
	defaultTimeout = 300 * time.Millisecond
	minTimeout     = 50 * time.Millisecond
	maxTimeout     = time.Second
)

// Validate names the first field that is wrong.
func (c Config) Validate() error {
	if c.None {
		return nil
	}
	check := c.validatePins
	if c.OnModule() {
		check = c.validateModule
	}
	if err := check(); err != nil {
		return err
	}
	for _, l := range []struct{ field, value string }{{"active", c.Active}, {"feedback_active", c.FeedbackActive}} {
		if l.value != "" && l.value != High && l.value != Low {
			return &FieldError{l.field, fmt.Sprintf("%.60q; use high or low", l.value)}
		}
	}
	return nil
}

func (c Config) validatePins() error {
	switch {
	case c.Pin == "":
		return &FieldError{"pin", "missing; name the GPIO that drives the contactor, or write contactor: none"}
	case c.Pin == c.Feedback:
		return &FieldError{"feedback", fmt.Sprintf("%.60q drives the contactor; use another pin", c.Feedback)}
	case c.Feedback == "" && c.FeedbackActive != "":
		return &FieldError{"feedback", "missing; feedback_active alone has no effect"}
	case c.FeedbackInput != nil:
		return &FieldError{"feedback_input", "it is an input of a Modbus module; with pin use feedback"}
	case c.Unit != 0:
		return &FieldError{"unit", "without endpoint or port it has no effect; leave it out"}
	case c.Timeout != 0:
		return &FieldError{"timeout", "without endpoint or port it has no effect; leave it out"}
	}
	return nil
}

func (c Config) validateModule() error {
	switch {
	case c.Endpoint == "" && c.Port == "":
		return &FieldError{"endpoint", "missing; coil needs endpoint (host:port), or port (a serial line)"}
	case c.Endpoint != "" && c.Port != "":
		return &FieldError{"port", fmt.Sprintf("%.60q; the module has an endpoint already, leave one of them out", c.Port)}
	case c.Coil == nil:
		return &FieldError{"coil", "missing; give the number of the coil that drives the contactor, counted from 0"}
	case c.Pin != "":
		return &FieldError{"pin", fmt.Sprintf("%.60q; coil drives the contactor already, leave one of them out", c.Pin)}
	case c.Feedback != "":
		return &FieldError{"feedback", fmt.Sprintf("%.60q; with coil use feedback_input", c.Feedback)}
	case c.FeedbackInput == nil && c.FeedbackActive != "":
		return &FieldError{"feedback_input", "missing; feedback_active alone has no effect"}
	case c.Unit > 247:
		return &FieldError{"unit", fmt.Sprintf("%d; use 1 to 247", c.Unit)}
	case c.Timeout != 0 && (c.Timeout < minTimeout || c.Timeout > maxTimeout):
		return &FieldError{"timeout", fmt.Sprintf("%v; use 50ms to 1s", c.Timeout)}
	}
	if c.Endpoint != "" {
		if _, _, err := net.SplitHostPort(c.address()); err != nil {
			return &FieldError{"endpoint", fmt.Sprintf("%.60q is no host:port", c.Endpoint)}
		}
	}
	return nil
}

// address is the endpoint with its port.
func (c Config) address() string {
	if !strings.Contains(c.Endpoint, ":") {
		return net.JoinHostPort(c.Endpoint, "502")
	}
	return c.Endpoint
}

// String says which contactor it is, for people.
func (c Config) String() string {
	switch {
	case c.None:
		return none
	case c.Coil != nil:
		text := fmt.Sprintf("coil %d of %s%s", *c.Coil, c.Endpoint, c.Port)
		if c.FeedbackInput == nil {
			return text + ", no feedback"
		}
		return fmt.Sprintf("%s, feedback input %d", text, *c.FeedbackInput)
	case c.Feedback == "":
		return c.Pin + ", no feedback"
	}
	return c.Pin + ", feedback " + c.Feedback
}
