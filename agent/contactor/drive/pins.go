package drive

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"
)

// Outputs is implemented by buses that have output pins.
type Outputs interface {
	PinOut(name string) (gpio.PinOut, error)
}

// Inputs is implemented by buses that have input pins.
type Inputs interface {
	Pin(name string) (gpio.PinIn, error)
}

// pins are the GPIOs of a contactor.
type pins struct {
	out      gpio.PinOut
	feedback gpio.PinIn // nil without
}

func newPins(cfg Config, buses any) (*pins, error) {
	outputs, ok := buses.(Outputs)
	if !ok {
		return nil, errors.New("no output pins here")
	}
	out, err := outputs.PinOut(cfg.Pin)
	return &pins{out: out}, err
}

// watch sets up the feedback, if there is one.
func (p *pins) watch(cfg Config, buses any) (err error) {
	if cfg.Feedback == "" {
		return nil
	}
	inputs, ok := buses.(Inputs)
	if !ok {
		return errors.New("no input pins here")
	}
	if p.feedback, err = inputs.Pin(cfg.Feedback); err != nil {
		return err
	}
	// A cut wire has to read as the level that blocks: a mirror contact is low
	// while the contactor is closed, and the pull-down reads low without it.
	if err := p.feedback.In(gpio.PullDown, gpio.NoEdge); err != nil {
		return fmt.Errorf("set up feedback %s: %w", cfg.Feedback, err)
	}
	return nil
}

func (p *pins) name() string { return p.out.Name() }

func (p *pins) set(level bool) error { return p.out.Out(gpio.Level(level)) }

// keep has nothing to do: a pin keeps its level.
func (p *pins) keep() error { return nil }

func (p *pins) feel() (level, watched bool, err error) {
	if p.feedback == nil {
		return false, false, nil
	}
	if r, ok := p.feedback.(interface{ ReadLevel() (gpio.Level, error) }); ok {
		l, err := r.ReadLevel()
		return bool(l), true, err
	}
	return bool(p.feedback.Read()), true, nil
}
