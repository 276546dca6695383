package sensor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// KindMQTT is the kind of an [MQTT].
const KindMQTT = "mqtt"

// Topics is implemented by Buses that hear MQTT topics.
type Topics interface {
	// Hear has handle called with each message of a topic, on any goroutine.
	// retained says that the broker had kept the message: nobody knows since when.
	Hear(topic string, handle func(payload []byte, retained bool)) error
}

// MQTTOpts are the settings of a device that publishes its readings by MQTT, such as
// a Shelly or a weather station behind a program. It has no address.
type MQTTOpts struct {
	// Topic is where it publishes, without wildcards.
	Topic string `yaml:"topic,omitempty"`
	// MaxAge is after how long a message counts no more, default 1 min.
	MaxAge time.Duration `yaml:"max_age,omitempty"`
	// SoleWitness lets the gate open on what this device says alone. Without it a
	// device of the site's own has to give the same channel: whoever passes a message
	// on may change it.
	SoleWitness bool `yaml:"sole_witness,omitempty"`
	// MaxPowerW is more than the meter can ever have measured, default 100 kW.
	MaxPowerW float64 `yaml:"max_power_w,omitempty"`
	// Values say where the numbers are in a message.
	Values []ValueConfig `yaml:"values,omitempty"`
}

// A ValueConfig says how a channel comes from a message: Scale times the number, and
// Offset.
type ValueConfig struct {
	Channel model.Channel `yaml:"channel"`
	// Pointer is the number's place in a JSON message (RFC 6901), such as
	// /params/em:0/a_voltage; empty if the message is the number.
	Pointer string  `yaml:"pointer,omitempty"`
	Scale   float64 `yaml:"scale,omitempty"` // default 1
	Offset  float64 `yaml:"offset,omitempty"`
}

// Limits of a message.
const (
	maxTopicBytes   = 256
	maxPointerParts = 16
	maxMessageBytes = 64 << 10
	maxValues       = 32
)

func (o MQTTOpts) withDefaults() Opts {
	orDefault(&o.MaxAge, time.Minute)
	orDefault(&o.MaxPowerW, maxPowerW)
	o.Values = append([]ValueConfig(nil), o.Values...)
	for i := range o.Values {
		orDefault(&o.Values[i].Scale, 1)
	}
	return o
}

func (o MQTTOpts) place() place { return place{on: onName, at: o.Topic} }

func (o MQTTOpts) check() error {
	switch {
	case o.Topic == "" || len(o.Topic) > maxTopicBytes || strings.ContainsAny(o.Topic, "+#\x00"):
		return fmt.Errorf("topic: %s is not one topic of 1 to %d bytes, without + and #", brief.Quote(o.Topic), maxTopicBytes)
	case o.MaxAge < time.Second || o.MaxAge > time.Hour:
		return fmt.Errorf("max_age: %v is not within 1s and 1h", o.MaxAge)
	case len(o.Values) < 1 || len(o.Values) > maxValues:
		return fmt.Errorf("values: %d of them, not 1 to %d; write channel and pointer", len(o.Values), maxValues)
	}
	if err := checkMaxPower(o.MaxPowerW); err != nil {
		return err
	}
	for i, v := range o.Values {
		at := fmt.Sprintf("values[%d].", i)
		if err := checkQuantity(v.Channel); err != nil {
			return fmt.Errorf("%s%w", at, err)
		}
		for _, x := range o.Values[:i] {
			if x.Channel == v.Channel {
				return fmt.Errorf("%schannel: %s twice", at, v.Channel)
			}
		}
		if _, err := parsePointer(v.Pointer); err != nil {
			return fmt.Errorf("%spointer: %w", at, err)
		}
		if err := (linear{scale: v.Scale, offset: v.Offset}).check(v.Channel, at); err != nil {
			return err
		}
	}
	return nil
}

func (o MQTTOpts) open(cfg Config, buses Buses) (Sensor, error) { return newMQTT(o, cfg.Name, buses) }

// parsePointer splits a JSON pointer into its keys.
func parsePointer(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, "/")
	if parts[0] != "" || len(parts) > maxPointerParts+1 || len(s) > maxTopicBytes {
		return nil, fmt.Errorf("%s is no JSON pointer such as /em:0/a_voltage, of at most %d keys", brief.Quote(s), maxPointerParts)
	}
	parts = parts[1:]
	for i, p := range parts {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(p), "~") {
			return nil, fmt.Errorf("%s: write ~0 for ~ and ~1 for / in a key (RFC 6901)", brief.Quote(s))
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

// An MQTT takes a device's readings from the messages of a topic. Everything it gives
// was relayed: by the device's own program and by a broker.
//
// The newest message counts until it is too old. A message in which a pointer leads
// nowhere says nothing of that channel, as a Shelly's do in turn; one that has
// something else than a number there, or is no JSON, takes the old number away. What
// the broker had kept from before counts for nothing: it may be a year old.
type MQTT struct {
	register
	name, topic string
	channels    []model.Channel
	values      []messageValue
	maxAge      time.Duration
	sole        bool
	clock       Clock

	mu       sync.Mutex
	heard    []hearing // by value
	retained bool      // only such messages came
	halted   bool
}

type messageValue struct {
	channel model.Channel
	keys    []string
	linear
}

// A hearing is the newest that was heard of a value.
type hearing struct {
	raw   float64
	at    time.Duration
	err   error // why the newest message has no number
	fresh bool  // not read yet
	any   bool
}

func newMQTT(o MQTTOpts, name string, buses Buses) (*MQTT, error) {
	d := &MQTT{name: name, topic: o.Topic, maxAge: o.MaxAge, sole: o.SoleWitness, clock: clockOf(buses), heard: make([]hearing, len(o.Values))}
	d.register = register{clock: d.clock, maxPowerW: o.MaxPowerW}
	for _, v := range o.Values {
		keys, err := parsePointer(v.Pointer)
		if err != nil {
			return nil, err
		}
		d.channels = append(d.channels, v.Channel)
		d.values = append(d.values, messageValue{v.Channel, keys, linear{scale: v.Scale, offset: v.Offset}})
	}
	topics, ok := buses.(Topics)
	if !ok {
		return nil, d.fail("subscribe", errors.New("no broker here: write mqtt or sensor_broker"))
	}
	if err := topics.Hear(o.Topic, d.take); err != nil {
		return nil, d.fail("subscribe", err)
	}
	return d, nil
}

func (d *MQTT) fail(op string, err error) error {
	return fmt.Errorf("%s: %s topic %s: %w", d.name, op, brief.Text(d.topic), err)
}

// Name implements Sensor.
func (d *MQTT) Name() string { return d.name }

// Channels implements Sensor.
func (d *MQTT) Channels() []model.Channel { return d.channels }

// Relayed says that what the sensor gives was passed on by others, and whether the
// site takes their word alone.
func (d *MQTT) Relayed() (soleWitness bool) { return d.sole }

// Halt implements Sensor: messages are heeded no more.
func (d *MQTT) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = true
	return nil
}

// take hears a message.
func (d *MQTT) take(payload []byte, retained bool) {
	now := d.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halted {
		return
	}
	if retained {
		d.retained = true
		return
	}
	d.retained = false
	message, err := decodeMessage(payload)
	for i, v := range d.values {
		raw, there, bad := numberAt(message, v.keys, v.channel)
		if err == nil && !there {
			continue
		}
		d.heard[i] = hearing{raw: raw, at: now, err: errors.Join(err, bad), fresh: true, any: true}
	}
}

// decodeMessage reads JSON, in which a plain number is a message too.
func decodeMessage(payload []byte) (any, error) {
	if len(payload) > maxMessageBytes {
		return nil, fmt.Errorf("a message of %d bytes is longer than %d", len(payload), maxMessageBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var message any
	if err := decoder.Decode(&message); err != nil {
		return nil, fmt.Errorf("%s is no JSON: %w", brief.Quote(payload), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s has something behind its JSON", brief.Quote(payload))
	}
	return message, nil
}

// numberAt finds the number at a pointer. there is false if the pointer leads nowhere.
func numberAt(message any, keys []string, c model.Channel) (v float64, there bool, err error) {
	for _, key := range keys {
		switch in := message.(type) {
		case map[string]any:
			if message, there = in[key]; !there {
				return 0, false, nil
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(in) || strconv.Itoa(i) != key {
				return 0, false, nil
			}
			message = in[i]
		default:
			return 0, false, nil
		}
	}
	text := ""
	switch m := message.(type) {
	case bool:
		if c != model.Raining {
			return 0, true, fmt.Errorf("%w: %v is no number", ErrSkipped, m)
		}
		if m {
			v = 1
		}
		return v, true, nil
	case json.Number:
		text = m.String()
	case string: // Tasmota and others quote their numbers
		text = m
	default:
		return 0, true, fmt.Errorf("%w: %s is no number", ErrSkipped, brief.Text(fmt.Sprint(message)))
	}
	v, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || strings.ContainsAny(text, "xX_") {
		return 0, true, fmt.Errorf("%w: %s is no number", ErrSkipped, brief.Quote(text))
	}
	return v, true, nil
}

// ErrSilent: a topic has not said anything, or not for too long.
var ErrSilent = errors.New("no message")

// Read implements Sensor; it waits for nothing.
func (d *MQTT) Read(_ context.Context, s *model.Sample) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	var bad []error
	meter, bills := billing(d.channels)
	for i, v := range d.values {
		h := &d.heard[i]
		fresh := h.fresh
		h.fresh = false
		var err error
		switch age := now - h.at; {
		case !h.any && d.retained:
			err = fmt.Errorf("%w but one that the broker had kept: nobody knows how old it is", ErrSilent)
		case !h.any:
			err = fmt.Errorf("%w yet", ErrSilent)
		case h.err != nil:
			err = h.err
		case age > d.maxAge:
			err = fmt.Errorf("%w for %v, max_age is %v", ErrSilent, age.Round(time.Second), d.maxAge)
		case bills && v.channel == meter:
			if err = d.count(s, v, *h, fresh); err == nil {
				s.AgeMs[v.channel] = age.Milliseconds()
			}
		default:
			if err = v.set(s, v.channel, h.raw); err == nil {
				s.AgeMs[v.channel] = age.Milliseconds()
			}
		}
		if err != nil {
			s.Fail(v.channel, model.SensorError)
			bad = append(bad, fmt.Errorf("%s: %w", v.channel, err))
		}
	}
	if len(bad) > 0 {
		return d.fail("read", errors.Join(bad...))
	}
	return nil
}

// count takes the meter's register of a message, at the time when it came.
func (d *MQTT) count(s *model.Sample, v messageValue, h hearing, fresh bool) error {
	if fresh {
		if _, err := d.takeAt(h.raw*v.scale, h.at); err != nil {
			return err
		}
	}
	s.Set(v.channel, d.countWh)
	return nil
}
