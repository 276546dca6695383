package agent

import (
	"slices"
	"strings"
	"time"

	"fairwatt/agent/view"
	"fairwatt/model"
	"fairwatt/proto/wire"
)

// Home Assistant MQTT device discovery (2024.11 and later): one retained
// message describes the device and where its values are. Source: the project's
// MQTT integration documentation, home-assistant.io.

// haComponent is one entity. Empty fields are left out.
type haComponent struct {
	Platform        string   `json:"platform"`
	UniqueID        string   `json:"unique_id"`
	DefaultEntityID string   `json:"default_entity_id,omitempty"`
	Name            string   `json:"name"`
	DeviceClass     string   `json:"device_class,omitempty"`
	StateClass      string   `json:"state_class,omitempty"`
	Unit            string   `json:"unit_of_measurement,omitempty"`
	EntityCategory  string   `json:"entity_category,omitempty"`
	StateTopic      string   `json:"state_topic"`
	ValueTemplate   string   `json:"value_template"`
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

// haChannels are the channels that Home Assistant shows as sensors: section of
// telemetry, name, device class and unit.
var haChannels = map[model.Channel][4]string{
	model.VoltageV:     {"ac", "AC voltage", "voltage", "V"},
	model.CurrentA:     {"ac", "AC current", "current", "A"},
	model.FrequencyHz:  {"ac", "Frequency", "frequency", "Hz"},
	model.PowerW:       {"ac", "Power", "power", "W"},
	model.TemperatureC: {"wx", "Temperature", "temperature", "°C"},
	model.HumidityPct:  {"wx", "Humidity", "humidity", "%"},
	model.PressureHPa:  {"wx", "Pressure", "atmospheric_pressure", "hPa"},
	model.WindSpeedMPS: {"wx", "Wind speed", "wind_speed", "m/s"},
	model.WindGustMPS:  {"wx", "Wind gust", "wind_speed", "m/s"},
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
	prefix := strings.ReplaceAll(id, "-", "_")
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
	for _, s := range a.deps.Sensors {
		for _, c := range s.Channels() {
			if h, ok := haChannels[c]; ok {
				d.Components[c.String()] = haComponent{
					Platform: "sensor", UniqueID: prefix + "_" + c.String(), Name: h[1], DeviceClass: h[2], Unit: h[3],
					StateClass: "measurement", StateTopic: topic(wire.ClassTelemetry),
					// A value that is missing becomes None, never 0.
					ValueTemplate: "{{ value_json." + h[0] + "." + view.TelemetryName(c) + " | default(None) }}",
					ExpireAfter:   int(3 * max(1, a.cfg.Telemetry.Seconds())),
				}
			}
		}
	}
	return d
}

// discoverTrades describes what the trade view says of each side, and of the wallet.
func (a *Agent) discoverTrades(to map[string]haComponent, prefix, topic string) {
	add := func(id, name, unit, template string) {
		to[id] = haComponent{Platform: "sensor", UniqueID: prefix + "_" + id, Name: name, Unit: unit, StateTopic: topic, ValueTemplate: "{{ " + template + " }}"}
	}
	if a.cfg.Sell != nil {
		add("sale_state", "Sale", "", "value_json.sell.state")
		add("sale_price", "Sale price", "/kWh", "value_json.sell.price_micro_per_kwh / 1000000")
		add("sold_today", "Sold today", "Wh", "value_json.sell.today_wh")
	}
	if a.cfg.Buy != nil {
		add("purchase_state", "Purchase", "", "value_json.buy.state")
		add("bought_today", "Bought today", "Wh", "value_json.buy.today_wh")
	}
	if a.cfg.Sell != nil || a.cfg.Buy != nil {
		add("wallet", "Wallet", "", "(value_json.purse.wallet_micro / 1000000) if value_json.purse is defined else None")
	}
}

func (a *Agent) haID() string { return a.cfg.Site + "-" + a.cfg.Device }

// publishDiscovery publishes the retained description.
func (a *Agent) publishDiscovery() error {
	b, err := view.Marshal(a.discovery())
	if err != nil {
		return err
	}
	a.publisher.setTopic(wire.HomeAssistant+"device/"+a.cfg.Device+"/config", 1, true, b)
	return nil
}
