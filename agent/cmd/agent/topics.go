package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"fairwatt/agent"
	"fairwatt/agent/sensor"
	"fairwatt/proto/mqtt"
)

// A topicBuses hears the topics of sensors of kind mqtt, on connections of its own: the
// agent's are for its records, and a check has none. The topics are known before they
// are opened.
type topicBuses struct {
	sensor.Buses
	pipes []mqtt.Pipe
}

// Hear implements sensor.Topics. Of several brokers the newest message counts.
func (t *topicBuses) Hear(topic string, handle func(payload []byte, retained bool)) error {
	for _, p := range t.pipes {
		p.Subscribe(topic, func(m mqtt.Message) { handle(m.Payload, m.Retained) })
	}
	return nil
}

func (t *topicBuses) open() error {
	for _, p := range t.pipes {
		if err := p.Open(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements io.Closer.
func (t *topicBuses) Close() error {
	for _, p := range t.pipes {
		p.Close()
	}
	return nil
}

// newTopics prepares the connections to the brokers of the sensors; nil if no sensor
// is of kind mqtt.
func newTopics(cfg *agent.Config, log *slog.Logger) (*topicBuses, error) {
	heard := false
	for _, s := range cfg.Sensors {
		heard = heard || s.Topic() != ""
	}
	if !heard {
		return nil, nil
	}
	links := brokerLinks{URLs: cfg.MQTT, Auth: cfg.MQTTAuth, TLS: cfg.TLS}
	if b := cfg.SensorBroker; b != nil {
		links = brokerLinks{
			URLs: []string{b.URL}, Auth: agent.MQTTAuthConfig{Username: b.Username, PasswordFile: b.PasswordFile},
			TLS: agent.TLSConfig{CA: b.CA, Cert: b.Cert, Key: b.Key},
		}
	}
	pipes, _, err := links.prepare(mqtt.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("sensors over MQTT: %w", err)
	}
	return &topicBuses{pipes: pipes}, nil
}

// brokerLinks are brokers with one login and one TLS configuration.
type brokerLinks struct {
	URLs []string
	Auth agent.MQTTAuthConfig
	TLS  agent.TLSConfig
}

// password reads the login's password.
func (l brokerLinks) password() (string, error) {
	if l.Auth.PasswordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(l.Auth.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read MQTT password: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
