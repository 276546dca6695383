package sensor

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
)

// topicBus hands a sensor its messages, by a clock of the test.
type topicBus struct {
	fakeBuses
	say func(payload []byte, retained bool)
}

func (b *topicBus) Hear(_ string, handle func([]byte, bool)) error { b.say = handle; return nil }

func hearer(t *testing.T, text string) (*topicBus, *MQTT) {
	t.Helper()
	cfg, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	bus := &topicBus{}
	d, err := New(cfg, bus)
	if err != nil {
		t.Fatal(err)
	}
	return bus, d.(*MQTT)
}

// A Shelly 3EM and a weather station's bridge are read by their own messages: numbers
// by pointer, quoted numbers, a bare number, and nothing where there is none.
func TestMQTTReadsMessages(t *testing.T) {
	const shelly = "kind: mqtt\ntopic: s\nvalues: [{channel: voltage_a_v, pointer: '/params/em:0/a_voltage'}, {channel: power_w, pointer: '/params/em:0/total_act_power', scale: -1}]"
	for _, c := range []struct {
		name, config, message string
		want                  map[model.Channel]float64
		err                   error
	}{
		{"a Shelly's status", shelly, `{"src":"shellypro3em-a","method":"NotifyStatus","params":{"ts":1.0,"em:0":{"id":0,"a_voltage":231.2,"total_act_power":-812.5}}}`,
			map[model.Channel]float64{model.VoltageAV: 231.2, model.PowerW: 812.5}, nil},
		{"another of its messages", shelly, `{"method":"NotifyEvent","params":{"events":[]}}`, nil, ErrSilent},
		{"null", shelly, `{"params":{"em:0":{"a_voltage":null,"total_act_power":3}}}`, map[model.Channel]float64{model.PowerW: -3}, ErrSkipped},
		{"a text", shelly, `{"params":{"em:0":{"a_voltage":"unavailable","total_act_power":3}}}`, map[model.Channel]float64{model.PowerW: -3}, ErrSkipped},
		{"no JSON", shelly, `{"params":`, nil, errAny},
		{"nothing", shelly, ``, nil, errAny},
		{"two messages in one", shelly, `1 2`, nil, errAny},
		{"too long", shelly, `"` + strings.Repeat("x", maxMessageBytes) + `"`, nil, errAny},
		{"a bare number", "kind: mqtt\ntopic: s\nvalues: [{channel: wind_gust_mps, scale: 0.2777777777777778}]", "36", map[model.Channel]float64{model.WindGustMPS: 10}, nil},
		{"a quoted one, in a list", "kind: mqtt\ntopic: s\nvalues: [{channel: temperature_c, pointer: /1/t, offset: -273.15}]", `[{"t":1},{"t":"293.15"}]`, map[model.Channel]float64{model.TemperatureC: 20}, nil},
		{"a list's end", "kind: mqtt\ntopic: s\nvalues: [{channel: temperature_c, pointer: /2}]", `[1,2]`, nil, ErrSilent},
		{"a rate of rain", "kind: mqtt\ntopic: s\nvalues: [{channel: raining, pointer: /a~1b~0}]", `{"a/b~":0.4}`, map[model.Channel]float64{model.Raining: 1}, nil},
		{"rain as a bit", "kind: mqtt\ntopic: s\nvalues: [{channel: raining}]", `true`, map[model.Channel]float64{model.Raining: 1}, nil},
		{"power as a bit", "kind: mqtt\ntopic: s\nvalues: [{channel: power_w}]", `true`, nil, ErrSkipped},
		{"an endless number", "kind: mqtt\ntopic: s\nvalues: [{channel: power_w}]", `1e999`, nil, ErrSkipped},
		{"NaN in quotes", "kind: mqtt\ntopic: s\nvalues: [{channel: power_w}]", `"NaN"`, nil, ErrSkipped},
		{"a number that its scale makes endless", "kind: mqtt\ntopic: s\nvalues: [{channel: power_w, scale: 1e9}]", `1e305`, nil, errNoNumber},
	} {
		bus, d := hearer(t, c.config)
		bus.say([]byte(c.message), false)
		var s model.Sample
		for _, ch := range d.Channels() {
			s.Set(ch, 7) // an old value must not stay
		}
		err := d.Read(t.Context(), &s)
		if (c.err == nil) != (err == nil) || c.err != errAny && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		for _, ch := range d.Channels() {
			got, ok := s.Get(ch)
			want, there := c.want[ch]
			if ok != there || ok && math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %s is %g %v, want %g %v", c.name, ch, got, ok, want, there)
			}
		}
	}
}

var errAny = errors.New("any error")

// A message counts until it is too old, and says how old it is; what the broker had
// kept counts for nothing; a message without a number takes the old one away; a halted
// sensor hears no more.
func TestMQTTAge(t *testing.T) {
	bus, d := hearer(t, "kind: mqtt\ntopic: s\nmax_age: 30s\nvalues: [{channel: power_w}]")
	expect := func(step string, want float64, ageMs int64, err error) {
		t.Helper()
		var s model.Sample
		got := d.Read(t.Context(), &s)
		v, ok := s.Get(model.PowerW)
		if ok != (err == nil) || ok && (v != want || s.AgeMs[model.PowerW] != ageMs) || !errors.Is(got, err) {
			t.Errorf("%s: %g %v, %d ms old, %v", step, v, ok, s.AgeMs[model.PowerW], got)
		}
	}
	expect("at first", 0, 0, ErrSilent)
	bus.say([]byte("5"), true)
	expect("what was kept", 0, 0, ErrSilent)
	bus.say([]byte("6"), false)
	expect("a message", 6, 0, nil)
	bus.now += 30 * time.Second
	expect("as old as may be", 6, 30_000, nil)
	bus.say([]byte("9"), true)
	expect("kept again: a reconnection", 6, 30_000, nil)
	bus.now += time.Millisecond
	expect("too old", 0, 0, ErrSilent)
	bus.say([]byte("7"), false)
	expect("back", 7, 0, nil)
	bus.say([]byte(`"unavailable"`), false)
	expect("the device says that it knows nothing", 0, 0, ErrSkipped)
	bus.say([]byte("8"), false)
	if err := d.Halt(); err != nil {
		t.Error(err)
	}
	bus.say([]byte("9"), false)
	expect("halted", 8, 0, nil)
}

// A meter's register over MQTT counts by the times of its messages: one a minute that
// brings a minute's energy is no jump, and a jump is.
func TestMQTTRegister(t *testing.T) {
	bus, d := hearer(t, "kind: mqtt\ntopic: s\nmax_age: 2m\nmax_power_w: 10000\nvalues: [{channel: energy_import_wh, scale: 1000}]")
	expect := func(step string, after time.Duration, message string, want uint64, err error) {
		t.Helper()
		bus.now += after
		if message != "" {
			bus.say([]byte(message), false)
		}
		var s model.Sample
		got := d.Read(t.Context(), &s)
		if _, ok := s.Get(model.EnergyImportWh); ok != (err == nil) || d.EnergyWh() != want || !errors.Is(got, err) {
			t.Errorf("%s: %d Wh %v, %v", step, d.EnergyWh(), ok, got)
		}
	}
	expect("first", 0, "5", 5000, nil)
	expect("between", 30*time.Second, "", 5000, nil)
	expect("a minute at 9 kW", 30*time.Second, "5.15", 5150, nil)
	expect("the same message again", time.Second, "", 5150, nil)
	expect("a jump", time.Second, "9", 5150, ErrJump)
	expect("told once", time.Second, "", 5150, nil)
	expect("goes on", time.Minute, "9.1", 5250, nil)
	expect("silent", 3*time.Minute, "", 5250, ErrSilent)
}

// FuzzMQTTMessage: no message panics, and what is given is a number.
func FuzzMQTTMessage(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"2"}]}`, "1", "", "nul", `"1e400"`, "[[[[[[[["} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bus, d := hearer(t, "kind: mqtt\ntopic: s\nvalues: [{channel: power_w}, {channel: raining, pointer: /a}, {channel: energy_import_wh, pointer: /a/1/b}]")
		bus.say([]byte(text), false)
		var s model.Sample
		_ = d.Read(t.Context(), &s)
		for _, c := range d.Channels() {
			if v, ok := s.Get(c); ok && (math.IsNaN(v) || math.IsInf(v, 0)) {
				t.Fatalf("%q gives %s %g", text, c, v)
			}
		}
	})
}
