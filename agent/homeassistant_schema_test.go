package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// haKeys are the keys that a component may have here, by its platform; the first ones
// it must have. Home Assistant refuses an entity with another key or a wrong value
// (github.com/home-assistant/core, homeassistant/components/mqtt/sensor.py,
// binary_sensor.py and schemas.py as of 2025).
var haKeys = map[string][]string{
	"sensor": {
		"platform", "unique_id", "name", "state_topic", "value_template", "default_entity_id", "device_class", "state_class",
		"unit_of_measurement", "entity_category", "json_attributes_topic", "expire_after", "options",
	},
	"binary_sensor": {
		"platform", "unique_id", "name", "state_topic", "value_template", "default_entity_id", "device_class",
		"entity_category", "json_attributes_topic", "expire_after",
	},
}

const haNeeded = 5 // of the keys

// haClasses are the units and state classes that go with a device class of a sensor
// (homeassistant/components/sensor/const.py, DEVICE_CLASS_UNITS and
// DEVICE_CLASS_STATE_CLASSES, at 00eb6680fbf6bdf7af2499095f2e74fca980a148), as far as they are used here.
var haClasses = map[string]struct{ units, states []string }{
	"atmospheric_pressure": {[]string{"hPa", "Pa", "mbar"}, []string{"measurement"}},
	"current":              {[]string{"A", "mA"}, []string{"measurement"}},
	"distance":             {[]string{"km", "m", "mm"}, []string{"measurement", "total", "total_increasing"}},
	"energy":               {[]string{"Wh", "kWh", "MWh"}, []string{"total", "total_increasing"}},
	"enum":                 {[]string{""}, nil},
	"frequency":            {[]string{"Hz", "kHz"}, []string{"measurement"}},
	"humidity":             {[]string{"%"}, []string{"measurement"}},
	"irradiance":           {[]string{"W/m²"}, []string{"measurement"}},
	"power":                {[]string{"W", "kW"}, []string{"measurement"}},
	"power_factor":         {[]string{"", "%"}, []string{"measurement"}},
	"temperature":          {[]string{"°C", "°F", "K"}, []string{"measurement"}},
	"timestamp":            {[]string{""}, nil},
	"voltage":              {[]string{"V", "mV"}, []string{"measurement"}},
	"wind_speed":           {[]string{"m/s", "km/h", "kn"}, []string{"measurement"}},
}

var haBinaryClasses = []string{"safety", "problem", "moisture"}

// haRefuses says why Home Assistant would refuse a component, or nothing.
func haRefuses(c map[string]any) error {
	text := func(key string) string { s, _ := c[key].(string); return s }
	keys, ok := haKeys[text("platform")]
	if !ok {
		return fmt.Errorf("platform %q", text("platform"))
	}
	if len(c) == 1 {
		return nil // an entity that is gone
	}
	for _, key := range keys[:haNeeded] {
		if text(key) == "" {
			return fmt.Errorf("no %s", key)
		}
	}
	for key := range c {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s is no key of a %s", key, text("platform"))
		}
	}
	if n, given := c["expire_after"]; given && (n.(float64) < 1 || n.(float64) != float64(int(n.(float64)))) {
		return fmt.Errorf("expire_after %v", n)
	}
	if !slices.Contains([]string{"", "diagnostic"}, text("entity_category")) {
		return fmt.Errorf("entity_category %q", text("entity_category"))
	}
	class, unit, state := text("device_class"), text("unit_of_measurement"), text("state_class")
	if text("platform") == "binary_sensor" {
		if !slices.Contains(haBinaryClasses, class) {
			return fmt.Errorf("binary sensor of class %q", class)
		}
		return nil
	}
	options, enum := c["options"].([]any)
	if enum != (class == "enum") || enum && (len(options) == 0 || unit != "" || state != "") {
		return fmt.Errorf("options %v with class %q, unit %q and state class %q", options, class, unit, state)
	}
	if !slices.Contains([]string{"", "measurement", "total", "total_increasing"}, state) {
		return fmt.Errorf("state class %q", state)
	}
	if class == "" {
		return nil
	}
	rules, ok := haClasses[class]
	if !ok || !slices.Contains(rules.units, unit) || state != "" && !slices.Contains(rules.states, state) {
		return fmt.Errorf("class %q with unit %q and state class %q", class, unit, state)
	}
	return nil
}

// asJSON is a value as a reader of JSON has it.
func asJSON(t *testing.T, v any) (out map[string]any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Home Assistant takes the entity of every channel, and its template gives the value
// that telemetry has, or None: never an error, whatever is left out.
func TestHomeAssistantTakesEveryChannel(t *testing.T) {
	type c struct {
		Template string         `json:"template"`
		Value    map[string]any `json:"value"`
		want     string
	}
	var cases []c
	names := map[string]model.Channel{}
	for ch := range model.NumChannels {
		if ch.Info().Group == model.GroupWaveform {
			continue // no entity
		}
		e := haValue(ch)
		if other, twice := names[e.Name]; twice {
			t.Errorf("%s and %s are both called %q", ch, other, e.Name)
		}
		names[e.Name] = ch
		e.UniqueID, e.StateTopic = "a_"+ch.String(), "x"
		if err := haRefuses(asJSON(t, e)); err != nil {
			t.Errorf("%s: %v", ch, err)
		}
		energy := ch == model.EnergyExportWh || ch == model.EnergyImportWh
		if energy != (e.StateClass == "total_increasing" && e.DeviceClass == "energy" && e.Unit == "Wh") {
			t.Errorf("%s: %+v", ch, e)
		}
		var s model.Sample
		s.Set(ch, 1)
		want := "1"
		switch ch {
		case model.Raining:
			want = "ON"
		case model.PressureHPa:
			s.Set(ch, 1000)
			want = "1000"
		}
		var told wire.Telemetry
		view.Fill(&told, &s)
		cases = append(cases, c{e.ValueTemplate, asJSON(t, told), want}, c{e.ValueTemplate, map[string]any{}, "None"})
	}
	got := render(t, cases, len(cases))
	for i, c := range cases {
		if got[i] != c.want {
			t.Errorf("%s of %v: %q, want %q", c.Template, c.Value, got[i], c.want)
		}
	}
}

// A houseOfHA is what Home Assistant hears of an agent.
type houseOfHA struct {
	mu       sync.Mutex
	messages int
	views    map[string]map[string]any // by topic, the newest
}

func (h *houseOfHA) hear(m mqtt.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Topic == wire.Discovery("pv-1") {
		h.messages++
	}
	var v map[string]any
	if json.Unmarshal(m.Payload, &v) == nil {
		h.views[m.Topic] = v
	}
}

func (h *houseOfHA) heard() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages
}

// What a running agent says of itself is taken whole, its meters can be billed, and
// every template gives something of what the agent shows. Home Assistant's start and
// the broker's are answered with the description.
func TestHomeAssistantMeetsAnAgent(t *testing.T) {
	type c struct {
		Template string         `json:"template"`
		Value    map[string]any `json:"value"`
		unit, id string
	}
	var cases []c
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		house := &houseOfHA{views: map[string]map[string]any{}}
		ha := s.broker.Pipe(mqtt.Will{})
		ha.Subscribe("#", house.hear)
		if err := ha.Open(); err != nil {
			t.Fatal(err)
		}
		s.open()
		if n := house.heard(); n != 1 {
			t.Errorf("described %d times", n)
		}
		for payload, more := range map[string]int{"offline": 0, "online": 1, "": 0} {
			before := house.heard()
			if err := ha.Publish(t.Context(), wire.HomeAssistantStatus, 0, false, []byte(payload)); err != nil {
				t.Fatal(err)
			}
			s.wait(time.Second)
			if got := house.heard() - before; got != more {
				t.Errorf("after %q described %d times, want %d", payload, got, more)
			}
		}
		before := house.heard()
		s.broker.SetDown(true) // what it retained is gone
		s.wait(time.Minute)
		s.broker.SetDown(false)
		s.wait(time.Minute)
		if house.heard() == before || len(s.broker.Retained(wire.Discovery("pv-1"))) == 0 {
			t.Error("a broker that began again knows no description")
		}
		house.mu.Lock()
		components, _ := house.views[wire.Discovery("pv-1")]["components"].(map[string]any)
		ids := map[any]string{}
		for id, v := range components {
			e := v.(map[string]any)
			if err := haRefuses(e); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if other, twice := ids[e["unique_id"]]; twice {
				t.Errorf("%s and %s are both %v", id, other, e["unique_id"])
			}
			ids[e["unique_id"]] = id
			shown, ok := house.views[e["state_topic"].(string)]
			if !ok {
				t.Errorf("%s: nothing was shown on %v", id, e["state_topic"])
				continue
			}
			if registers, ok := shown["energy_wh"].(map[string]any); ok { // they stand still here, at nothing
				for name := range registers {
					registers[name] = 1234
				}
			}
			unit, _ := e["unit_of_measurement"].(string)
			cases = append(cases, c{e["value_template"].(string), shown, unit, id}, c{e["value_template"].(string), map[string]any{}, "", id})
		}
		meter, _ := components["energy_"+haSlug(s.cfg.Sell.Meter)].(map[string]any)
		if meter["device_class"] != "energy" || meter["state_class"] != "total_increasing" || meter["unit_of_measurement"] != "Wh" {
			t.Errorf("the meter is %v", meter)
		}
		house.mu.Unlock()
		s.end()
	})
	for i, got := range render(t, cases, len(cases)) {
		if strings.HasPrefix(cases[i].id, "energy_") && len(cases[i].Value) > 0 && got != "1234" {
			t.Errorf("%s gives %q of 1234 Wh", cases[i].id, got)
		}
		if cases[i].unit == "" || got == "None" {
			continue
		}
		if _, err := strconv.ParseFloat(got, 64); err != nil {
			t.Errorf("%s gives %q of %v", cases[i].id, got, cases[i].Value)
		}
	}
}

// Entities that are gone are taken back by name, also over restarts; without
// home_assistant the whole device is.
func TestHomeAssistantForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		described := func() map[string]any {
			var d map[string]any
			b := s.broker.Retained(wire.Discovery("pv-1"))
			if err := json.Unmarshal(b, &d); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
			return d["components"].(map[string]any)
		}
		s.open()
		all := described()
		s.end()
		for range 2 { // the second time they are still told: Home Assistant may have been away
			s.cfg.Sell = nil
			s.start(false)
			s.wait(time.Minute)
			left := described()
			for _, id := range []string{"sale_state", "sale_price", "sold_today", "sales", "wallet", "contactor"} {
				if got := fmt.Sprint(left[id]); got != "map[platform:sensor]" {
					t.Errorf("%s is %s", id, got)
				}
			}
			if len(left) != len(all) {
				t.Errorf("%v of %v", slices.Sorted(maps.Keys(left)), slices.Sorted(maps.Keys(all)))
			}
			s.end()
		}
		s.cfg.HomeAssistant = false
		s.start(false)
		s.wait(time.Minute)
		if b := s.broker.Retained(wire.Discovery("pv-1")); b != nil {
			t.Errorf("still described: %s", b)
		}
		s.end()
		s.cfg.HomeAssistant = true
		s.start(false)
		s.wait(time.Minute)
		if _, there := described()["sale_state"]; there {
			t.Error("what was taken back as a whole is told again")
		}
		s.end()
	})
}
