package sensor

import (
	"slices"
	"testing"

	"fairwatt/model"
)

// What a sensor gives is among what its kind can give, for every kind.
func TestGives(t *testing.T) {
	seen := map[string]bool{}
	for _, text := range []string{
		"kind: bme280", "kind: ina219", "kind: sht4x", "kind: adxl345", "kind: bh1750", "kind: as3935",
		"kind: tmp102", "kind: tmp102\nmeasures: air", "kind: mcp9808", "kind: mcp9808\nmeasures: air",
		"kind: ds18b20", "kind: ds18b20\nmeasures: air", "kind: lm75", "kind: lm75\nmeasures: air",
		"kind: anemometer\npin: P", "kind: rain\npin: P", "kind: s0\npin: P\npower: true", "kind: s0\npin: P\ndirection: import",
		"kind: ads1115\ninputs: [{channel: voltage_a_v, input: '0', scale: 1}, {channel: dc_voltage_v, input: '1', scale: 1}, {channel: current_n_a, input: '2', scale: 1}]",
		"kind: pzem\nport: X", "kind: pzem\nport: X\nphase: b", "kind: pzem\nport: X\ndirection: import",
		"kind: modbus\nport: X\nmap: eastron-sdm630", "kind: modbus\nendpoint: h\nmap: huawei-sun2000",
		"kind: mqtt\ntopic: a\nvalues: [{channel: raining}, {channel: power_w, pointer: /a}]", "kind: sysfs\nfiles: [{channel: temperature_c, path: /sys/a}]",
		"kind: sunspec\nendpoint: h", "kind: sunspec\nendpoint: h\nchannels: [irradiance_wpm2, dc_voltage_v, wind_direction_deg]",
	} {
		cfg, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		channels, err := cfg.Channels()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		seen[cfg.Kind] = true
		for _, c := range channels {
			if !slices.Contains(Gives(cfg.Kind), c) {
				t.Errorf("%q gives %s, which its kind does not", text, c)
			}
		}
	}
	for _, kind := range Kinds() {
		if !seen[kind] || len(Gives(kind)) == 0 {
			t.Errorf("no case for %s, which gives %v", kind, Gives(kind))
		}
	}
	if Gives("oven") != nil || !slices.IsSorted(Gives(KindSunSpec)) || slices.Contains(Gives(KindTMP102), model.PowerW) {
		t.Error("a kind gives what it should not")
	}
}
