package drive

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"fairwatt/agent/trade"
)

// board is buses of simulated pins.
type board map[string]*gpiotest.Pin

func (p board) PinOut(name string) (gpio.PinOut, error) { return p.find(name) }
func (p board) Pin(name string) (gpio.PinIn, error)     { return p.find(name) }

func (p board) find(name string) (*gpiotest.Pin, error) {
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
		p := board{"K": {N: "K", L: active}, "F": {N: "F"}}
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

type half struct{ board }

func (h half) Pin(string) (gpio.PinIn, error) { return errPin{h.board["K"]}, nil }

type outputsOnly struct{ p board }

func (o outputsOnly) PinOut(name string) (gpio.PinOut, error) { return o.p.PinOut(name) }

func TestLineTellsWhatFails(t *testing.T) {
	p := board{"K": {N: "K"}}
	for what, c := range map[string]struct {
		cfg   Config
		buses any
	}{
		"no output pins here":     {Config{Pin: "K"}, struct{}{}},
		"no such pin":             {Config{Pin: "X"}, p},
		"open contactor on K":     {Config{Pin: "K"}, errPin{p["K"]}},
		"no input pins here":      {Config{Pin: "K", Feedback: "F"}, outputsOnly{p}},
		"contactor: no such pin":  {Config{Pin: "K", Feedback: "F"}, p},
		"set up feedback F":       {Config{Pin: "K", Feedback: "F"}, half{p}},
		"contactor: pin: missing": {Config{}, p},
		"none is configured":      {Config{None: true}, p},
	} {
		if _, err := New(c.cfg, c.buses); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	to := &pins{out: p["K"]}
	l := &Line{to: to, active: true, feedbackActive: true}
	if _, watched, err := l.Feedback(); watched || err != nil {
		t.Errorf("without feedback: %v %v", watched, err)
	}
	to.feedback = errPin{p["K"]}
	if closed, watched, err := l.Feedback(); closed || !watched || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("feedback that fails: %v %v %v", closed, watched, err)
	}
}

func at(n uint16) *uint16 { return &n }

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

		`{endpoint: relay, coil: 0}`: {Config{Endpoint: "relay", Coil: at(0)}, "coil 0 of relay, no feedback", ""},
		`{port: /dev/ttyUSB1, unit: 9, coil: 3, feedback_input: 1, active: low, feedback_active: low, timeout: 200ms}`: {
			Config{Port: "/dev/ttyUSB1", Unit: 9, Coil: at(3), FeedbackInput: at(1), Active: Low, FeedbackActive: Low, Timeout: 200 * time.Millisecond},
			"coil 3 of /dev/ttyUSB1, feedback input 1", "",
		},
		`{endpoint: relay}`:                                {bad: "coil: missing"},
		`{coil: 1}`:                                        {bad: "endpoint: missing"},
		`{endpoint: "a:b:c", coil: 1}`:                     {bad: `endpoint: "a:b:c"`},
		`{endpoint: relay, port: tty, coil: 1}`:            {bad: `port: "tty"`},
		`{endpoint: relay, coil: 1, pin: A}`:               {bad: `pin: "A"`},
		`{endpoint: relay, coil: 1, feedback: A}`:          {bad: `feedback: "A"; with coil use feedback_input`},
		`{endpoint: relay, coil: 1, unit: 248}`:            {bad: "unit: 248"},
		`{endpoint: relay, coil: 1, timeout: 2s}`:          {bad: "timeout: 2s"},
		`{endpoint: relay, coil: 1, timeout: 1ms}`:         {bad: "timeout: 1ms"},
		`{endpoint: relay, coil: 1, feedback_active: low}`: {bad: "feedback_input: missing"},
		`{endpoint: relay, coil: 1, active: up}`:           {bad: `active: "up"`},
		`{pin: A, feedback_input: 1}`:                      {bad: "feedback_input: it is an input of a Modbus module"},
		`{pin: A, unit: 1}`:                                {bad: "unit: without endpoint"},
		`{pin: A, timeout: 100ms}`:                         {bad: "timeout: without endpoint"},
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
		if err != nil || !reflect.DeepEqual(*got.Contactor, want.cfg) || got.Contactor.String() != want.text {
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
		if err := yaml.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(*again.Contactor, want.cfg) {
			t.Errorf("%s became %s (%v)", text, b, err)
		}
	}
}
