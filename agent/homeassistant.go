package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// Home Assistant MQTT device discovery (2024.11 and later): one retained
// message describes the device and where its values are. Source: the project's
// MQTT integration documentation, home-assistant.io.

// haComponent is one entity. Empty fields are left out. One with a platform alone is
// an entity that is gone.
type haComponent struct {
	Platform        string   `json:"platform"`
	UniqueID        string   `json:"unique_id,omitempty"`
	DefaultEntityID string   `json:"default_entity_id,omitempty"`
	Name            string   `json:"name,omitempty"`
	DeviceClass     string   `json:"device_class,omitempty"`
	StateClass      string   `json:"state_class,omitempty"`
	Unit            string   `json:"unit_of_measurement,omitempty"`
	EntityCategory  string   `json:"entity_category,omitempty"`
	StateTopic      string   `json:"state_topic,omitempty"`
	ValueTemplate   string   `json:"value_template,omitempty"`
	AttributesTopic string   `json:"json_attributes_topic,omitempty"`
	ExpireAfter     int      `json:"expire_after,omitempty"` // seconds
	Options         []string `json:"options,omitempty"`
}

type haDevice struct {
	Device            map[string]any         `json:"device"`
	Origin            map[string]string      `json:"origin"`
	AvailabilityTopic string                 `json:"availability_topic"`
	QoS               int                    `json:"qos"`
	Components        map[string]haComponent `json:"components"`
}

// haNames are the channels whose name for people is not that of files without its unit.
var haNames = map[model.Channel]string{
	model.VoltageV: "AC voltage", model.CurrentA: "AC current", model.LightningKM: "Lightning distance",
	model.LeakageMA: "Leakage current", model.InverterEvents: "Inverter events, as a number",
}

// haForms are Home Assistant's device class and unit for a unit of a channel. Their
// pairs are fixed there: one that does not fit is refused with the whole entity.
var haForms = map[string][2]string{
	"V": {"voltage", "V"}, "A": {"current", "A"}, "mA": {"current", "mA"}, "Hz": {"frequency", "Hz"}, "W": {"power", "W"},
	"C": {"temperature", "°C"}, "hPa": {"atmospheric_pressure", "hPa"}, "m/s": {"wind_speed", "m/s"}, "km": {"distance", "km"},
	"W/m2": {"irradiance", "W/m²"}, "Wh": {"energy", "Wh"}, "%": {"", "%"}, "deg": {"", "°"}, "kohm": {"", "kΩ"},
	"m/s2": {"", "m/s²"}, "rpm": {"", "rpm"}, "mm": {"", "mm"},
}

// haGateSafe is OFF, safe, only while the gate says OPEN and its validity has
// not passed: the broker hands out an old message to a Home Assistant that
// starts.
const haGateSafe = "{{ 'OFF' if value_json.state == 'OPEN' and as_timestamp(value_json.valid_until | default('', true), 0) > as_timestamp(now()) else 'ON' }}"

// haGateState is the gate's state, unknown past its validity.
const haGateState = "{{ value_json.state if as_timestamp(value_json.valid_until | default('', true), 0) > as_timestamp(now()) else 'UNKNOWN' }}"

// haGateWhy says why in words. A state of Home Assistant has at most 255
// characters; the attributes have all of them.
const haGateWhy = "{{ (value_json.words | default([value_json.reason]) | join(' '))[:255] }}"

// haExpire is when Home Assistant takes a gate that says nothing more for
// unavailable, in seconds. A view that is about to end when it comes is not
// believed for longer than one repetition and a bit beyond its end.
const haExpire = int(wire.GateEvery/time.Second) + 10

// discovery describes the agent to Home Assistant. The gate is a safety
// sensor: ON means unsafe, and "unavailable" must be taken for unsafe too.
func (a *Agent) discovery() haDevice {
	topic, id := a.publisher.topics.Of, a.haID()
	prefix := haSlug(id)
	d := haDevice{
		Device: map[string]any{
			"identifiers": []string{id}, "name": a.cfg.Site + " " + a.cfg.Device, "manufacturer": "fairwatt",
			"model": "agent", "sw_version": a.deps.Version, "serial_number": a.cfg.Device,
		},
		Origin:            map[string]string{"name": "fairwatt", "sw_version": a.deps.Version},
		AvailabilityTopic: topic(wire.ClassStatus), QoS: 1,
		Components: map[string]haComponent{
			"gate": {
				Platform: "binary_sensor", UniqueID: prefix + "_gate", DefaultEntityID: "binary_sensor." + prefix + "_trade_gate",
				Name: "Trade gate", DeviceClass: "safety", StateTopic: topic(wire.ClassGate), AttributesTopic: topic(wire.ClassGate),
				ValueTemplate: haGateSafe, ExpireAfter: haExpire,
			},
			"gate_state": {
				Platform: "sensor", UniqueID: prefix + "_gate_state", Name: "Trade gate state", DeviceClass: "enum",
				Options: append(slices.Clone(wire.GateStates), wire.GateUnknown), StateTopic: topic(wire.ClassGate), AttributesTopic: topic(wire.ClassGate),
				ValueTemplate: haGateState, ExpireAfter: haExpire,
			},
			"gate_why": {
				Platform: "sensor", UniqueID: prefix + "_gate_why", Name: "Trade gate, why", StateTopic: topic(wire.ClassGate), AttributesTopic: topic(wire.ClassGate),
				ValueTemplate: haGateWhy, ExpireAfter: haExpire,
			},
			"gate_opens_at": {
				Platform: "sensor", UniqueID: prefix + "_gate_opens_at", Name: "Trade gate opens at the earliest", DeviceClass: "timestamp",
				StateTopic: topic(wire.ClassGate), ValueTemplate: "{{ value_json.opens_at | default(None) }}", ExpireAfter: haExpire,
			},
			"sensor_fault": {
				Platform: "binary_sensor", UniqueID: prefix + "_sensor_fault", Name: "Sensor fault", DeviceClass: "problem",
				EntityCategory: "diagnostic", StateTopic: topic(wire.ClassHazard + "sensor"),
				ValueTemplate: "{{ 'ON' if value_json.level != 'ok' else 'OFF' }}", ExpireAfter: int(wire.GateValid.Seconds()),
			},
		},
	}
	if a.cfg.Sell != nil {
		d.Components["contactor"] = haComponent{
			Platform: "sensor", UniqueID: prefix + "_contactor", Name: "Contactor", EntityCategory: "diagnostic",
			StateTopic: topic(wire.ClassInfo), ValueTemplate: "{{ value_json.contactor | default('unknown') }}",
		}
	}
	a.discoverTrades(d.Components, prefix, topic(wire.ClassTrade))
	for k := range model.NumKinds {
		name := k.String()
		d.Components["hazard_"+name] = haComponent{
			Platform: "sensor", UniqueID: prefix + "_hazard_" + name, Name: strings.ToUpper(name[:1]) + name[1:] + " hazard",
			StateTopic: topic(wire.ClassHazard + name), AttributesTopic: topic(wire.ClassHazard + name),
			ValueTemplate: "{{ value_json.level }}", ExpireAfter: int(wire.GateValid.Seconds()),
		}
	}
	a.discoverValues(d.Components, prefix, topic(wire.ClassTelemetry))
	return d
}

// haSlug makes of a name what an entity may be called.
func haSlug(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

// discoverValues describes the channels of all sensors and the registers of all meters.
func (a *Agent) discoverValues(to map[string]haComponent, prefix, topic string) {
	fresh := int(3 * max(1, a.cfg.Telemetry.Seconds()))
	for _, s := range a.deps.Sensors {
		for _, c := range s.Channels() {
			energy := c == model.EnergyExportWh || c == model.EnergyImportWh
			if c.Info().Group == model.GroupWaveform || energy && isMeter(s) {
				continue // samples of a wave; a meter's register has its own entity
			}
			e := haValue(c)
			e.UniqueID, e.StateTopic, e.ExpireAfter = prefix+"_"+c.String(), topic, fresh
			to[c.String()] = e
		}
	}
	for _, m := range a.meters {
		direction := "fed in"
		if slices.Contains(m.Channels(), model.EnergyImportWh) {
			direction = "drawn"
		}
		id := "energy_" + haSlug(m.name)
		to[id] = haComponent{
			Platform: "sensor", UniqueID: prefix + "_" + id, Name: "Energy " + direction + ", " + m.name,
			DeviceClass: "energy", StateClass: "total_increasing", Unit: "Wh", StateTopic: topic, ExpireAfter: fresh,
			// A register of 0 was not read yet: Home Assistant would count up from it.
			ValueTemplate: "{{ value_json.get('energy_wh', {}).get('" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(m.name) + "') or None }}",
		}
	}
}

// haOf is the template of a channel's value in telemetry. A section without a value is
// left out there.
func haOf(c model.Channel) string {
	return "{{ value_json.get('" + view.Section(c) + "', {}).get('" + view.TelemetryName(c) + "') }}"
}

// haValue is the entity of a channel, without where it stands.
func haValue(c model.Channel) haComponent {
	info := c.Info()
	form := haForms[info.Unit]
	e := haComponent{
		Platform: "sensor", Name: haNames[c], DeviceClass: form[0], Unit: form[1], StateClass: "measurement",
		// A value that is missing becomes None, never 0.
		ValueTemplate: haOf(c),
	}
	if e.Name == "" {
		name := info.Name
		if i := strings.LastIndexByte(name, '_'); i > 0 && info.Unit != "" {
			name = name[:i]
		}
		e.Name = strings.NewReplacer("Thd", "THD", "Dc", "DC").Replace(strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " "))
	}
	switch c {
	case model.HumidityPct:
		e.DeviceClass = "humidity"
	case model.PowerFactor, model.PowerFactorA, model.PowerFactorB, model.PowerFactorC:
		e.DeviceClass = "power_factor"
	case model.EnergyExportWh, model.EnergyImportWh:
		e.StateClass = "total_increasing"
	case model.WindDirectionDeg: // the mean of 359 and 1 is not 180
		e.StateClass = ""
	case model.InverterEvents:
		e.StateClass, e.EntityCategory = "", "diagnostic"
	case model.Raining:
		e.Platform, e.DeviceClass, e.StateClass = "binary_sensor", "moisture", ""
		e.ValueTemplate = strings.Replace(haOf(c), "{{ ", "{{ {0: 'OFF', 1: 'ON'}.get(", 1)
		e.ValueTemplate = strings.Replace(e.ValueTemplate, " }}", ") }}", 1)
	}
	return e
}

// discoverTrades describes what the trade view says of each side, and of the wallet.
func (a *Agent) discoverTrades(to map[string]haComponent, prefix, topic string) {
	add := func(id, name, unit, template string) {
		e := haComponent{Platform: "sensor", UniqueID: prefix + "_" + id, Name: name, Unit: unit, StateTopic: topic, ValueTemplate: "{{ " + template + " }}"}
		if unit == "Wh" {
			e.DeviceClass, e.StateClass = "energy", "total_increasing"
		}
		to[id] = e
	}
	if a.cfg.Sell != nil {
		add("sale_state", "Sale", "", "value_json.get('sell', {}).get('state')")
		add("sale_price", "Sale price", "/kWh", haMoney("'sell', {}).get('price_micro_per_kwh'"))
		add("sold_today", "Sold today", "Wh", "value_json.get('sell', {}).get('today_wh')")
		add("sales", "Sales under way", "", "(value_json.get('selling') or []) | count")
	}
	if a.cfg.Buy != nil {
		add("purchase_state", "Purchase", "", "value_json.get('buy', {}).get('state')")
		add("bought_today", "Bought today", "Wh", "value_json.get('buy', {}).get('today_wh')")
		add("purchases", "Purchases under way", "", "(value_json.get('buying') or {}) | count")
	}
	if a.cfg.Sell != nil || a.cfg.Buy != nil {
		add("wallet", "Wallet", "", haMoney("'purse', {}).get('wallet_micro'"))
	}
}

// haMoney is the template of an amount in millionths, which may not be told.
func haMoney(path string) string {
	amount := "value_json.get(" + path + ")"
	return "(" + amount + " / 1000000) if " + amount + " is number else None"
}

func (a *Agent) haID() string { return a.cfg.Site + "-" + a.cfg.Device }

// haMostGone bounds how many entities that are gone are kept in mind.
const haMostGone = 200

// restoreDiscovery reads which entities a former run described.
func (a *Agent) restoreDiscovery() error {
	return a.readState(stateHA, func(b []byte) error { return json.Unmarshal(b, &a.described) })
}

// publishDiscovery publishes the retained description. Entities of before that are no
// more are named with their platform alone, which is how Home Assistant removes them:
// it may be away now, so they stay in the description. Without home_assistant the
// whole device is taken back, if it was described before.
func (a *Agent) publishDiscovery() error {
	topic := wire.Discovery(a.cfg.Device)
	if !a.cfg.HomeAssistant {
		if len(a.described) > 0 {
			a.publisher.setTopic(topic, 1, true, nil)
			return a.keepDiscovery(map[string]string{})
		}
		return nil
	}
	d := a.discovery()
	described := len(d.Components)
	for id, platform := range a.described {
		if _, there := d.Components[id]; !there && len(d.Components) < described+haMostGone {
			d.Components[id] = haComponent{Platform: platform}
		}
	}
	now := make(map[string]string, len(d.Components))
	for id, c := range d.Components {
		now[id] = c.Platform
	}
	b, err := view.Marshal(d)
	if err != nil {
		return err
	}
	a.publisher.setTopic(topic, 1, true, b)
	return a.keepDiscovery(now)
}

// keepDiscovery notes which entities were described.
func (a *Agent) keepDiscovery(components map[string]string) error {
	b, err := json.Marshal(components)
	if err == nil {
		_, err = a.deps.Outbox.Commit(a.now.wall.UnixMilli(), outbox.Commit{State: map[string][]byte{stateHA: b}})
	}
	if err != nil {
		return fmt.Errorf("keep what Home Assistant was told: %w", err)
	}
	return nil
}

// subscribeBirth describes the agent again whenever Home Assistant says that it has
// started: a broker that lost what it retained has nothing for it.
func (a *Agent) subscribeBirth(pipe mqtt.Pipe) {
	if !a.cfg.HomeAssistant {
		return
	}
	pipe.Subscribe(wire.HomeAssistantStatus, func(m mqtt.Message) {
		if string(m.Payload) == "online" {
			a.publisher.again(wire.Discovery(a.cfg.Device))
		}
	})
}
