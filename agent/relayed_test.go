package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// A plainSensor gives one channel, or fails.
type plainSensor struct {
	name    string
	channel model.Channel
	value   float64
	failed  bool
}

func (p *plainSensor) Name() string              { return p.name }
func (p *plainSensor) Channels() []model.Channel { return []model.Channel{p.channel} }
func (p *plainSensor) Halt() error               { return nil }
func (p *plainSensor) Read(_ context.Context, s *model.Sample) error {
	if p.failed {
		s.Fail(p.channel, model.SensorError)
		return errors.New("gone")
	}
	s.Set(p.channel, p.value)
	return nil
}

type relayedPlain struct {
	plainSensor
	sole bool
}

func (r *relayedPlain) Relayed() bool { return r.sole }

// What others pass on counts only beside a sensor of the site's own that gives the
// same channel at that moment, unless the site takes it alone. It votes all the same:
// the unsafe reading counts.
func TestRelayedSensorNeverStandsAlone(t *testing.T) {
	wind, power := model.WindGustMPS, model.EnergyImportWh
	for _, c := range []struct {
		name    string
		own     *plainSensor
		relayed relayedPlain
		want    float64
		valid   bool
	}{
		{"alone", nil, relayedPlain{plainSensor{"m", wind, 3, false}, false}, 0, false},
		{"alone, as the site says", nil, relayedPlain{plainSensor{"m", wind, 3, false}, true}, 3, true},
		{"beside one", &plainSensor{"a", wind, 5, false}, relayedPlain{plainSensor{"m", wind, 3, false}, false}, 5, true},
		{"beside one, and unsafe", &plainSensor{"a", wind, 5, false}, relayedPlain{plainSensor{"m", wind, 30, false}, false}, 30, true},
		{"beside one that fails", &plainSensor{"a", wind, 5, true}, relayedPlain{plainSensor{"m", wind, 3, false}, false}, 0, false},
		{"beside one that fails, as the site says", &plainSensor{"a", wind, 5, true}, relayedPlain{plainSensor{"m", wind, 3, false}, true}, 3, true},
		{"it fails", &plainSensor{"a", wind, 5, false}, relayedPlain{plainSensor{"m", wind, 3, true}, false}, 5, true},
		{"what no rule looks at", nil, relayedPlain{plainSensor{"m", power, 3, false}, false}, 3, true},
	} {
		sensors := []sensor.Sensor{&c.relayed}
		if c.own != nil {
			sensors = append(sensors, c.own)
		}
		s, err := NewSenses(sensors, nil, model.DefaultConfig(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var sample model.Sample
		s.Read(t.Context(), &sample)
		if v, ok := sample.Get(c.relayed.channel); ok != c.valid || ok && v != c.want {
			t.Errorf("%s: %g %v, want %g %v", c.name, v, ok, c.want, c.valid)
		}
		if !s.status[0].Relayed || c.own != nil && s.status[1].Relayed {
			t.Errorf("%s: status %+v", c.name, s.status)
		}
	}
}

// A configuration that would open the gate on relayed readings alone is refused, with
// the fix; so is one without a broker, and a broker without use.
func TestRelayedConfigurations(t *testing.T) {
	const gust = "{kind: mqtt, name: roof, topic: w, values: [{channel: wind_gust_mps}]}"
	for _, c := range []struct{ yaml, want string }{
		{"mqtt: ['tcp://h:1'], sensors: [" + gust + "]", "sensors[0].sole_witness: wind_gust_mps comes over MQTT only, and may open the gate on what others say; add a sensor of the site's own, or write sole_witness: true"},
		{"mqtt: ['tcp://h:1'], sensors: [{kind: mqtt, topic: w, sole_witness: true, values: [{channel: wind_gust_mps}]}]", ""},
		{"mqtt: ['tcp://h:1'], sensors: [" + gust + ", {kind: anemometer, pin: P}]", ""},
		{"mqtt: ['tcp://h:1'], sensors: [{kind: mqtt, topic: w, values: [{channel: energy_import_wh}]}]", ""},
		{"sensors: [" + gust + ", {kind: anemometer, pin: P}]", "sensors[0].topic: there is no broker to hear it from; write sensor_broker: {url: tcp://host:1883} or mqtt"},
		{"sensor_broker: {url: 'tcp://h:1', username: u, password_file: p}, sensors: [" + gust + ", {kind: anemometer, pin: P}]", ""},
		{"sensor_broker: {url: 'tcp://h:1'}, sensors: [{kind: anemometer, pin: P}]", "sensor_broker: no sensor is of kind mqtt; add one, or leave it out"},
		{"sensor_broker: {url: h}, sensors: [" + gust + "]", `sensor_broker.url: "h"; use tcp://host:1883 or tls://host:8883`},
		{"sensor_broker: {url: 'tls://h:1'}, sensors: [" + gust + "]", "sensor_broker.ca: a tls:// broker needs the certificate authority's file"},
		{"sensor_broker: {url: 'tcp://u:p@h:1'}, sensors: [" + gust + "]", "sensor_broker.url: holds a password; use a password_file"},
		{"sensor_broker: {url: 'tcp://h:1', username: u}, sensors: [" + gust + "]", "sensor_broker: username and password_file belong together"},
		{"sensor_broker: {url: 'tcp://h:1', cert: c}, sensors: [" + gust + "]", "sensor_broker: cert and key belong together"},
	} {
		_, err := ParseConfig(strings.NewReader("{site: a, device: b, " + c.yaml + "}"))
		if want := "configuration: " + c.want; c.want == "" && err != nil || c.want != "" && fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", c.yaml, err, want)
		}
	}
}
