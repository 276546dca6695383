package drive

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"fairwatt/agent/trade"
)

// pins are buses of simulated pins.
type pins map[string]*gpiotest.Pin

func (p pins) PinOut(name string) (gpio.PinOut, error) { return p.find(name) }
func (p pins) Pin(name string) (gpio.PinIn, error)     { return p.find(name) }

func (p pins) find(name string) (*gpiotest.Pin, error) {
	if pin := p[name]; pin != nil {
		return pin, nil
	}
	return nil, errors.New("no such pin")
}

// New de-energises the contactor, whatever the pin was before.
func TestLineDrivesItsPin(t *testing.T) {
	for _, active := range []gpio.Level{gpio.High, gpio.Low} {
		cfg := Config{Pin: "K", Feedback: "F"}
		if active == gpio.Low {
			cfg.Active, cfg.FeedbackActive = Low, Low
		}
		p := pins{"K": {N: "K", L: active}, "F": {N: "F"}}
		l, err := New(cfg, p)
		if err != nil {
			t.Fatal(err)
		}
		if p["K"].L != !active || p["F"].P != gpio.PullDown {
			t.Errorf("active %v: at the start %v, feedback pulled %v", active, p["K"].L, p["F"].P)
		}
		p["F"].L = !active
		if err := l.Close(trade.Delivery{TradeID: "t"}); err != nil || p["K"].L != active {
			t.Errorf("active %v: closed it is %v (%v)", active, p["K"].L, err)
		}
		if closed, watched, err := l.Feedback(); closed || !watched || err != nil {
			t.Errorf("active %v: feels %v %v %v", active, closed, watched, err)
		}
		p["F"].L = active
		if closed, watched, err := l.Feedback(); !closed || !watched || err != nil {
			t.Errorf("active %v: feels %v %v %v", active, closed, watched, err)
		}
		if err := l.Halt(); err != nil || p["K"].L != !active {
			t.Errorf("active %v: halted it is %v (%v)", active, p["K"].L, err)
		}
	}
}

// errPin is a pin that fails.
type errPin struct{ *gpiotest.Pin }

func (errPin) Out(gpio.Level) error                 { return io.ErrClosedPipe }
func (errPin) ReadLevel() (gpio.Level, error)       { return gpio.High, io.ErrClosedPipe }
func (errPin) In(gpio.Pull, gpio.Edge) error        { return io.ErrClosedPipe }
func (p errPin) PinOut(string) (gpio.PinOut, error) { return p, nil }

type half struct{ pins }

func (h half) Pin(string) (gpio.PinIn, error) { return errPin{h.pins["K"]}, nil }

type outputsOnly struct{ p pins }

func (o outputsOnly) PinOut(name string) (gpio.PinOut, error) { return o.p.PinOut(name) }

func TestLineTellsWhatFails(t *testing.T) {
	p := pins{"K": {N: "K"}}
	for what, c := range map[string]struct {
		cfg   Config
		buses any
	}{
		"no output pins here":      {Config{Pin: "K"}, struct{}{}},
		"no such pin":              {Config{Pin: "X"}, p},
		"open contactor on K":      {Config{Pin: "K"}, errPin{p["K"]}},
		"no input pins here":       {Config{Pin: "K", Feedback: "F"}, outputsOnly{p}},
		"contactor: no such pin":   {Config{Pin: "K", Feedback: "F"}, p},
		"set up feedback F":        {Config{Pin: "K", Feedback: "F"}, half{p}},
		"contactor: pin: missing":  {Config{}, p},
		"contactor: no output pin": {Config{None: true}, p},
	} {
		if _, err := New(c.cfg, c.buses); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	l := &Line{out: p["K"]}
	if _, watched, err := l.Feedback(); watched || err != nil {
		t.Errorf("without feedback: %v %v", watched, err)
	}
	l.feedback = errPin{p["K"]}
	if closed, watched, err := l.Feedback(); closed || !watched || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("feedback that fails: %v %v %v", closed, watched, err)
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]struct {
		cfg  Config
		text string
		bad  string
	}{
		`none`:                           {Config{None: true}, "none", ""},
		`{pin: GPIO17}`:                  {Config{Pin: "GPIO17"}, "GPIO17, no feedback", ""},
		`{pin: A, active: low}`:          {Config{Pin: "A", Active: "low"}, "A, no feedback", ""},
		`{pin: A, active: up}`:           {bad: `active: "up"; use high or low`},
		`{pin: A, feedback: A}`:          {bad: `feedback: "A" drives the contactor`},
		`{active: high}`:                 {bad: "pin: missing"},
		`{pin: A, pim: B}`:               {bad: "pim"},
		`yes`:                            {bad: `"yes"; use none`},
		`{pin: A, feedback_active: low}`: {bad: "feedback: missing"},
		`{pin: A, feedback: B, feedback_active: low}`: {Config{Pin: "A", Feedback: "B", FeedbackActive: "low"}, "A, feedback B", ""},
		`{pin: A, feedback: B, feedback_active: x}`:   {bad: `feedback_active: "x"`},
	} {
		var got struct {
			Contactor *Config `yaml:"contactor"`
		}
		err := yaml.NewDecoder(strings.NewReader("contactor: "+text), yaml.Strict()).Decode(&got)
		if err == nil {
			err = got.Contactor.Validate()
		}
		if want.bad != "" {
			if err == nil || !strings.Contains(err.Error(), want.bad) {
				t.Errorf("%s: %v, want %s", text, err, want.bad)
			}
			continue
		}
		if err != nil || *got.Contactor != want.cfg || got.Contactor.String() != want.text {
			t.Errorf("%s: %+v, %v", text, got.Contactor, err)
			continue
		}
		b, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again struct {
			Contactor *Config `yaml:"contactor"`
		}
		if err := yaml.Unmarshal(b, &again); err != nil || *again.Contactor != want.cfg {
			t.Errorf("%s became %s (%v)", text, b, err)
		}
	}
}
