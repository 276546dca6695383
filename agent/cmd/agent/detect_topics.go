package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fairwatt/proto/brief"
	"fairwatt/proto/mqtt"
)

// said are keys of messages that devices publish, and the channels that they mean: a
// Shelly's, Tasmota's, and those of programs for weather stations.
var said = map[string]string{
	"voltage": "voltage_v", "a_voltage": "voltage_a_v", "b_voltage": "voltage_b_v", "c_voltage": "voltage_c_v",
	"current": "current_a", "a_current": "current_a_a", "b_current": "current_b_a", "c_current": "current_c_a",
	"power": "power_w", "apower": "power_w", "total_act_power": "power_w", "freq": "frequency_hz", "a_freq": "frequency_hz",
	"total_act": "energy_import_wh", "total_act_ret": "energy_export_wh",
	"temperature": "temperature_c", "temperature_c": "temperature_c", "tc": "temperature_c", "humidity": "humidity_pct", "rh": "humidity_pct",
	"pressure_hpa": "pressure_hpa", "pressure": "pressure_hpa", "wind_max_m_s": "wind_gust_mps", "wind_avg_m_s": "wind_speed_mps",
	"wind_dir_deg": "wind_direction_deg", "solarradiation": "irradiance_wpm2", "irradiance": "irradiance_wpm2",
}

// Bounds of what is kept of a broker.
const (
	maxHeardTopics = 200
	maxDepth       = 6
)

// listen hears a broker for a while and notes the topics that seem to be sensors'.
func (s *search) listen(ctx context.Context, links brokerLinks, long time.Duration) error {
	pipes, _, err := links.prepare(mqtt.Config{Logger: unheard()})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	heard := map[string][]string{}
	up := false
	pipe := pipes[0]
	pipe.OnUp(func() { mu.Lock(); defer mu.Unlock(); up = true })
	pipe.Subscribe("#", func(m mqtt.Message) {
		var message any
		if len(m.Payload) > 64<<10 || json.Unmarshal(m.Payload, &message) != nil || strings.HasPrefix(m.Topic, "fairwatt/") || strings.HasPrefix(m.Topic, "homeassistant/") {
			return
		}
		values := valuesIn(message, "", maxDepth, map[string]bool{})
		mu.Lock()
		defer mu.Unlock()
		if len(values) > 0 && len(heard) < maxHeardTopics {
			heard[m.Topic] = values
		}
	})
	if err := pipe.Open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	<-ctx.Done()
	cancel()
	pipe.Close()
	mu.Lock()
	defer mu.Unlock()
	if !up {
		s.notes = append(s.notes, fmt.Sprintf("the broker %s did not let us in, or is not there", links.URLs[0]))
		return nil
	}
	if len(heard) > 0 {
		s.notes = append(s.notes, "heard from the broker, and relayed: take what you need into sensors, with\n"+
			fmt.Sprintf("sensor_broker: {url: %s}", links.URLs[0])+". None may be the only witness before the gate.")
	}
	for _, topic := range slices.Sorted(maps.Keys(heard)) {
		s.notes = append(s.notes, fmt.Sprintf("  - {kind: mqtt, topic: %s, values: [%s]}", brief.Quote(topic), strings.Join(heard[topic], ", ")))
	}
	return nil
}

// valuesIn finds the numbers in a message whose keys are known, each channel once.
func valuesIn(message any, pointer string, depth int, taken map[string]bool) (out []string) {
	in, ok := message.(map[string]any)
	if !ok || depth == 0 {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := pointer + "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
		channel := said[strings.ToLower(key)]
		if _, number := in[key].(float64); number && channel != "" && !taken[channel] {
			taken[channel] = true
			out = append(out, fmt.Sprintf("{channel: %s, pointer: %s}", channel, brief.Quote(at)))
		}
		out = append(out, valuesIn(in[key], at, depth-1, taken)...)
	}
	return out
}
