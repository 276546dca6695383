package agent

import (
	"fmt"
	"slices"

	"fairwatt/agent/sensor"
	"fairwatt/model"
	"fairwatt/proto/brief"
)

// A relayedSensor gives what others passed on: whoever holds the device's network, its
// program or the broker may write what they like.
type relayedSensor interface{ Relayed() (soleWitness bool) }

func relayed(one sensor.Sensor) bool {
	_, ok := one.(relayedSensor)
	return ok
}

// mayNotStandAlone says whether a sensor gives a channel that a rule of the gate looks
// at, on the word of others, and the site does not take that alone.
func mayNotStandAlone(one sensor.Sensor, c model.Channel) bool {
	r, ok := one.(relayedSensor)
	return ok && !r.Relayed() && model.Guards(c) && slices.Contains(one.Channels(), c)
}

// guard takes a channel away that only relayed sensors give at this moment. A sensor of
// the site's own that fails leaves its vote to no one else then.
func (s *Senses) guard(c model.Channel, sample *model.Sample) {
	b := slices.IndexFunc(s.votes, func(b ballot) bool { return b.Channel == c })
	if b < 0 { // at most one sensor gives it, and that is the relayed one
		sample.Fail(c, model.SensorError)
		return
	}
	vote := &s.votes[b]
	stands := func(v model.Validity) bool { return v == model.Valid || v == model.Saturated }
	for at, i := range vote.voters {
		if stands(vote.readings[at].Validity) && !mayNotStandAlone(s.sensors[i], c) {
			return
		}
	}
	for at := range vote.readings {
		vote.readings[at].Validity = model.SensorError
	}
}

// validateRelayed refuses a channel of the gate that only relayed sensors give.
func (c *Config) validateRelayed() error {
	own := map[model.Channel]bool{}
	for i, s := range c.Sensors {
		channels, err := s.Channels()
		if err != nil {
			return &ConfigError{fmt.Sprintf("sensors[%d]", i), err.Error()}
		}
		for _, ch := range channels {
			own[ch] = own[ch] || s.SoleWitness()
		}
	}
	for i, s := range c.Sensors {
		if s.Topic() == "" {
			continue
		}
		field := fmt.Sprintf("sensors[%d]", i)
		if len(c.MQTT) == 0 && c.SensorBroker == nil {
			return &ConfigError{field + ".topic", "there is no broker to hear it from; write sensor_broker: {url: tcp://host:1883} or mqtt"}
		}
		channels, err := s.Channels()
		if err != nil {
			return &ConfigError{field, err.Error()}
		}
		for _, ch := range channels {
			if model.Guards(ch) && !own[ch] {
				return &ConfigError{field + ".sole_witness", fmt.Sprintf("%s comes over MQTT only, and may open the gate on what others say; add a sensor of the site's own, or write sole_witness: true", ch)}
			}
		}
	}
	return nil
}

// SensorBrokerConfig is the broker of the sensors of kind mqtt, such as the one of a
// home. Without it they are heard from the agent's own brokers.
type SensorBrokerConfig struct {
	URL          string `yaml:"url"` // tcp://host:1883 or tls://host:8883
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
	CA           string `yaml:"ca"` // of a tls:// broker
	Cert         string `yaml:"cert"`
	Key          string `yaml:"key"`
}

// files are the paths of the broker's files.
func (b *SensorBrokerConfig) files() []*string {
	if b == nil {
		return nil
	}
	return []*string{&b.PasswordFile, &b.CA, &b.Cert, &b.Key}
}

// validate names the first field that is wrong.
func (b *SensorBrokerConfig) validate(c *Config) error {
	if b == nil {
		return nil
	}
	if !slices.ContainsFunc(c.Sensors, func(s sensor.Config) bool { return s.Topic() != "" }) {
		return &ConfigError{"sensor_broker", "no sensor is of kind mqtt; add one, or leave it out"}
	}
	if err := checkBroker("sensor_broker.url", b.URL, b.CA); err != nil {
		if err.Field == "" {
			err.Field = "sensor_broker.ca"
		}
		return err
	}
	switch {
	case (b.Cert == "") != (b.Key == ""):
		return &ConfigError{"sensor_broker", "cert and key belong together"}
	case (b.Username == "") != (b.PasswordFile == ""):
		return &ConfigError{"sensor_broker", "username and password_file belong together"}
	case len(b.Username) > 256:
		return &ConfigError{"sensor_broker.username", brief.Sprintf("%q is longer than 256 bytes", b.Username)}
	}
	return nil
}
