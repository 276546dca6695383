package sensor

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"fairwatt/model"
)

func parse(text string) (cfg Config, err error) {
	err = yaml.UnmarshalWithOptions([]byte(text), &cfg, yaml.Strict())
	return cfg, err
}

// A wrong value is refused with its field and what is right.
func TestConfigRefusesValues(t *testing.T) {
	const kinds = `none of ads1115, adxl345, anemometer, as3935, bh1750, bme280, ds18b20, ina219, lm75, mcp9808, modbus, mqtt, pzem, rain, s0, sht4x, sunspec, sysfs, tmp102`
	const ads, regs, said = "kind: ads1115\ninputs: ", "kind: modbus\nport: X\nregisters: ", "kind: mqtt\ntopic: a\nvalues: "
	for _, tt := range []struct{ yaml, want string }{
		{"kind: bme280\naddress: 0x80", "sensor bme280@0x80: address: 0x80 is no 7-bit device address"},
		{"kind: bme280\naddress: 0x07", "sensor bme280@0x07: address: 0x07 is no 7-bit device address"},
		{"kind: bme281\npin: X", `sensor bme281@0x00: kind: "bme281" is ` + kinds},
		{"kind: bme281\nname: roof", `sensor roof: kind: "bme281" is ` + kinds},
		{"bus: '1'", "sensor @0x00: kind: missing"},
		{"kind:", "sensor @0x00: kind: missing"},
		{"kind: ina219\nshunt_ohm: -1", "sensor ina219@0x40: shunt_ohm: -1 is not within 0.00001 and 100"},
		{"kind: ina219\nshunt_ohm: .nan", "sensor ina219@0x40: shunt_ohm: NaN is not within 0.00001 and 100"},
		{"kind: ina219\nmax_current_a: 1e9", "sensor ina219@0x40: max_current_a: 1e+09 A gives a calibration of 0, not within 1 and 65534"},
		{"kind: ina219\nvoltage_scale: 1e6", "sensor ina219@0x40: voltage_scale: 1e+06 is not within 0.001 and 100000"},
		{"kind: ads1115", "sensor ads1115@0x48: inputs: 0 of them, not 1 to 4"},
		{ads + "[{channel: temperature_c, input: '0', scale: 1}]", "sensor ads1115@0x48: inputs[0].channel: temperature_c is no voltage, current, leakage current or wind direction"},
		{ads + "[{channel: voltage_v, input: '0', scale: 1}, {channel: voltage_v, input: '1', scale: 1}]", "sensor ads1115@0x48: inputs[1].channel: voltage_v twice"},
		{ads + "[{channel: voltage_v, input: '4', scale: 1}]", `sensor ads1115@0x48: inputs[0].input: "4" is no input`},
		{ads + "[{channel: voltage_v, input: '0'}]", "sensor ads1115@0x48: inputs[0].scale: 0 is not within 0.000001 and 1000000"},
		{ads + "[{channel: voltage_v, input: '0', scale: 1, range_v: 3}]", "sensor ads1115@0x48: inputs[0].range_v: the chip has no range of 3 V"},
		{ads + "[{channel: voltage_v, input: '0', scale: 1}]\ncycles: 1", "sensor ads1115@0x48: cycles: 1 is not within 2 and 100"},
		{ads + "[{channel: voltage_v, input: '0', scale: 1}]\nnominal_frequency_hz: 9", "sensor ads1115@0x48: nominal_frequency_hz: 9 is not within 10 and 100"},
		{"kind: anemometer", "sensor anemometer@0x00: pin: missing"},
		{"kind: anemometer\npin: P\nwindow: 1s", "sensor anemometer@P: window: 1s is not within 3s and 1h"},
		{"kind: anemometer\npin: P\nmps_per_hz: 101", "sensor anemometer@P: mps_per_hz: 101 is not within 0.001 and 100"},
		{"kind: anemometer\npin: P\noffset_mps: 6", "sensor anemometer@P: offset_mps: 6 is not within -5 and 5"},
		{"kind: anemometer\npin: P\ndebounce: 2s", "sensor anemometer@P: debounce: 2s is not within 0 and 1s"},
		{"kind: anemometer\npin: P\ndebounce: 12ms", "sensor anemometer@P: debounce: 12ms hides pulses of a wind of 60 m/s; at most 11.111ms at mps_per_hz 0.6666666666666666"},
		{"kind: s0\npin: P\naddress: 3", "sensor s0@P: address: not for a pulse sensor"},
		{"kind: s0\npin: P\ndirection: up", `sensor s0@P: direction: "up" is neither export nor import`},
		{"kind: s0\npin: P\nimp_per_kwh: -1", "sensor s0@P: imp_per_kwh: -1 is not within 1 and 1000000"},
		{"kind: s0\npin: P\ndebounce: -1s", "sensor s0@P: debounce: -1s is not within 0 and 1s"},
		{"kind: tmp102\nmeasures: oven", `sensor tmp102@0x48: measures: "oven" is neither equipment nor air`},
		{"kind: mcp9808\nmeasures: oven", `sensor mcp9808@0x18: measures: "oven" is neither equipment nor air`},
		{"kind: ds18b20\nmeasures: oven", `sensor ds18b20@0x18: measures: "oven" is neither equipment nor air`},
		{"kind: ds18b20\nrom: 29-0316a279f5ff", `sensor ds18b20@0x18: rom: "29-0316a279f5ff" is no number of a DS18B20, such as 28-0316a279f5ff; leave it out where the sensor is alone`},
		{"kind: ds18b20\nrom: 28-16a279f5ff", `sensor ds18b20@0x18: rom: "28-16a279f5ff" is no number of a DS18B20, such as 28-0316a279f5ff; leave it out where the sensor is alone`},
		{"kind: lm75\nmeasures: oven", `sensor lm75@0x48: measures: "oven" is neither equipment nor air`},
		{"kind: lm75\nbits: 13", "sensor lm75@0x48: bits: 13 is not within 9 and 12"},
		{"kind: adxl345\naddress: 0x80", "sensor adxl345@0x80: address: 0x80 is no 7-bit device address"},
		{"kind: bh1750\nlux_per_wpm2: -1", "sensor bh1750@0x23: lux_per_wpm2: -1 is not within 1 and 1000"},
		{"kind: sht4x\naddress: 0x7F", "sensor sht4x@0x7f: address: 0x7f is no 7-bit device address"},
		{"kind: rain", "sensor rain@0x00: pin: missing"},
		{"kind: rain\npin: P\nmm_per_tip: -1", "sensor rain@P: mm_per_tip: -1 is not within 0.001 and 10"},
		{"kind: rain\npin: P\nwet_for: 1s", "sensor rain@P: wet_for: 1s is not within 1m and 24h"},
		{"kind: rain\npin: P\ndebounce: 2s", "sensor rain@P: debounce: 2s is not within 0 and 1s"},
		{"kind: as3935\naddress: 0x04", "sensor as3935@0x04: address: 0x04 is no 7-bit device address"},
		{"kind: as3935\ntuning_cap: 16", "sensor as3935@0x03: tuning_cap: 16 is not within 0 and 15"},
		{"kind: as3935\nmin_strikes: 2", "sensor as3935@0x03: min_strikes: 2 is none of 1, 5, 9, 16"},
		{"kind: pzem", "sensor pzem@0x01: port: missing"},
		{"kind: pzem\nport: X\nphase: d", `sensor pzem@X/0x01: phase: "d" is none of a, b, c`},
		{"kind: pzem\nport: X\naddress: 249", "sensor pzem@X/0xf9: address: 249 is not within 1 and 248"},
		{"kind: pzem\nport: X\ndirection: up", `sensor pzem@X/0x01: direction: "up" is neither export nor import`},
		{"kind: modbus", `sensor modbus@0x01: endpoint: "" is no host:port; or name a serial line with port`},
		{"kind: modbus\nport: X\nendpoint: h", "sensor modbus@X/0x01: endpoint: stands beside port; a device is on one of them"},
		{"kind: modbus\nport: X\nmap: sdm6300", `sensor modbus@X/0x01: map: "sdm6300" is none of ` + strings.Join(ReadyMaps(), ", ")},
		{"kind: modbus\nport: X\naddress: 248", "sensor modbus@X/0xf8: address: 248 is not within 1 and 247"},
		{"kind: modbus\nport: X\nrtu: true", "sensor modbus@X/0x01: rtu: is for a converter at an endpoint; a port speaks it always"},
		{"kind: modbus\nport: X\nbaudrate: 299", "sensor modbus@X/0x01: baudrate: 299 is not within 300 and 1000000"},
		{"kind: modbus\nport: X\ncomset: 7E1", `sensor modbus@X/0x01: comset: "7E1" is none of 8N1, 8N2, 8E1, 8E2, 8O1, 8O2`},
		{"kind: modbus\nport: X\ntimeout: 4s", "sensor modbus@X/0x01: timeout: 4s is not within 50ms and 3s"},
		{"kind: modbus\nport: X\nmap: abb-b23\nconnect_delay: 3s", "sensor modbus@X/0x01: connect_delay: 3s is not within 0 and 2s"},
		{"kind: modbus\nport: X", "sensor modbus@X/0x01: registers: missing; name a map, or write channel and register"},
		{"kind: modbus\nport: X\nmap: abb-b23\nmax_power_w: .nan", "sensor modbus@X/0x01: max_power_w: NaN is not within 1 and 1000000000"},
		{"kind: modbus\nport: X\nmap: abb-b23\nchannels: [rotor_rpm]", "sensor modbus@X/0x01: channels[0]: no register gives rotor_rpm"},
		{"kind: modbus\nport: X\nmap: abb-b23\nchannels: [power_w, power_w]", "sensor modbus@X/0x01: channels[1]: power_w twice"},
		{regs + "[{channel: rain_mm, register: {address: 1, type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[0].channel: rain_mm is not one number; this kind cannot give it"},
		{regs + "[{channel: power_w, register: {type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[0].register.address: missing"},
		{regs + "[{channel: power_w, register: {address: 1, type: writesingle, decode: int16}}]", `sensor modbus@X/0x01: registers[0].register.type: "writesingle" is none of holding, input, coil, discrete`},
		{regs + "[{channel: power_w, register: {address: 1, type: input, decode: int17}}]", `sensor modbus@X/0x01: registers[0].register.decode: "int17" is none of ` + numberForms},
		{regs + "[{channel: power_w, register: {address: 65535, type: input, decode: int32}}]", "sensor modbus@X/0x01: registers[0].register.address: 65535 and 2 registers go beyond 65535"},
		{regs + "[{channel: raining, register: {address: 1, type: coil, decode: bool8}}]", `sensor modbus@X/0x01: registers[0].register.decode: "bool8" has no sense for a coil; leave it out`},
		{regs + "[{channel: power_w, scale: .inf, register: {address: 1, type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[0].scale: +Inf is not within 1e-9 and 1e9, either sign"},
		{regs + "[{channel: power_w, offset: .nan, register: {address: 1, type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[0].offset: NaN is not within -1e9 and 1e9"},
		{regs + "[{channel: energy_export_wh, scale: -1, register: {address: 1, type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[0].scale: -1 with offset 0; an energy register counts up: write a scale above 0 and no offset"},
		{regs + "[{channel: power_w, register: {address: 1, type: input, decode: int16}}, {channel: power_w, register: {address: 2, type: input, decode: int16}}]", "sensor modbus@X/0x01: registers[1].channel: power_w twice"},
		{"kind: mqtt", `sensor mqtt@0x00: topic: "" is not one topic of 1 to 256 bytes, without + and #`},
		{"kind: mqtt\ntopic: a/+", `sensor mqtt@a/+: topic: "a/+" is not one topic of 1 to 256 bytes, without + and #`},
		{"kind: mqtt\ntopic: a\naddress: 1", "sensor mqtt@a: address: not for this kind"},
		{"kind: mqtt\ntopic: a", "sensor mqtt@a: values: 0 of them, not 1 to 32; write channel and pointer"},
		{"kind: mqtt\ntopic: a\nmax_age: 2h", "sensor mqtt@a: max_age: 2h0m0s is not within 1s and 1h"},
		{said + "[{channel: rain_mm}]", "sensor mqtt@a: values[0].channel: rain_mm is not one number; this kind cannot give it"},
		{said + "[{channel: power_w}, {channel: power_w}]", "sensor mqtt@a: values[1].channel: power_w twice"},
		{said + "[{channel: power_w, pointer: em:0}]", `sensor mqtt@a: values[0].pointer: "em:0" is no JSON pointer such as /em:0/a_voltage, of at most 16 keys`},
		{said + "[{channel: power_w, pointer: /a~2b}]", `sensor mqtt@a: values[0].pointer: "/a~2b": write ~0 for ~ and ~1 for / in a key (RFC 6901)`},
		{said + "[{channel: power_w, scale: 1e10}]", "sensor mqtt@a: values[0].scale: 1e+10 is not within 1e-9 and 1e9, either sign"},
		{said + "[{channel: power_w}]\nmax_power_w: 0.5", "sensor mqtt@a: max_power_w: 0.5 is not within 1 and 1000000000"},
		{"kind: sysfs", "sensor sysfs@0x00: files: 0 of them, not 1 to 16; write channel and path"},
		{"kind: sysfs\ntimeout: 3s", "sensor sysfs@0x00: timeout: 3s is not within 10ms and 2s"},
		{"kind: sysfs\nfiles: [{channel: temperature_c, path: /etc/passwd}]", `sensor sysfs@/etc/passwd: files[0].path: "/etc/passwd" is no path below /sys/, such as /sys/class/hwmon/hwmon*/temp1_input`},
		{"kind: sysfs\nfiles: [{channel: temperature_c, path: /sys/../x}]", `sensor sysfs@/sys/../x: files[0].path: "/sys/../x" is no path below /sys/, such as /sys/class/hwmon/hwmon*/temp1_input`},
		{"kind: sysfs\nfiles: [{channel: temperature_c, path: '/sys/['}]", `sensor sysfs@/sys/[: files[0].path: "/sys/[" is no path below /sys/, such as /sys/class/hwmon/hwmon*/temp1_input`},
		{"kind: sysfs\nfiles: [{channel: energy_export_wh, path: /sys/a}]", "sensor sysfs@/sys/a: files[0].channel: energy_export_wh begins at zero with the kernel; it is no meter"},
		{"kind: sysfs\nfiles: [{channel: temperature_c, path: /sys/a}, {channel: temperature_c, path: /sys/b}]", "sensor sysfs@/sys/a: files[1].channel: temperature_c twice"},
		{"kind: sunspec", `sensor sunspec@0x01: endpoint: "" is no host:port`},
		{"kind: sunspec\nendpoint: h\naddress: 248", "sensor sunspec@h:502/248: address: unit 248 is not within 1 and 247"},
		{"kind: sunspec\nendpoint: h\ntimeout: 1ms", "sensor sunspec@h:502/1: timeout: 1ms is not within 50ms and 10s"},
		{"kind: sunspec\nendpoint: h\nmax_power_w: -1", "sensor sunspec@h:502/1: max_power_w: -1 is not within 1 and 1000000000"},
		{"kind: sunspec\nendpoint: h\nchannels: [power_w, power_w]", "sensor sunspec@h:502/1: channels[1]: power_w twice"},
		{"kind: sunspec\nendpoint: h\nchannels: [rotor_rpm]", "sensor sunspec@h:502/1: channels[0]: no SunSpec model read here gives rotor_rpm"},
	} {
		cfg, err := parse(tt.yaml)
		if err != nil {
			t.Errorf("%q: %v", tt.yaml, err)
			continue
		}
		if err := cfg.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.yaml, err, tt.want)
		}
		if _, err := New(cfg, &fakeBuses{bus: &echoBus{}}); err == nil || err.Error() != tt.want {
			t.Errorf("New of %q: %v, want %s", tt.yaml, err, tt.want)
		}
	}
}

// A key that the kind does not have is refused with its place, its name and the
// kind, whatever its value: it would have no effect.
func TestConfigRefusesKeys(t *testing.T) {
	for _, tt := range []struct{ yaml, want string }{
		{"kind: bme280\nadress: 0x76", `[2:1] unknown field "adress" for kind bme280`},
		{"kind: bme280\nshunt_ohm: 1", `[2:1] unknown field "shunt_ohm" for kind bme280`},
		{"shunt_ohm: 0\nkind: bme280", `[1:1] unknown field "shunt_ohm" for kind bme280`},
		{"kind: bme280\nname: x\npin: X", `[3:1] unknown field "pin" for kind bme280`},
		{"kind: ina219\ndebounce: 1s", `[2:1] unknown field "debounce" for kind ina219`},
		{"kind: tmp102\npin: P", `[2:1] unknown field "pin" for kind tmp102`},
		{"kind: bme280\nmeasures: air", `[2:1] unknown field "measures" for kind bme280`},
		{"kind: mcp9808\npin: P", `[2:1] unknown field "pin" for kind mcp9808`},
		{"kind: ds18b20\npin: P", `[2:1] unknown field "pin" for kind ds18b20`},
		{"kind: lm75\npin: P", `[2:1] unknown field "pin" for kind lm75`},
		{"kind: adxl345\nmeasures: air", `[2:1] unknown field "measures" for kind adxl345`},
		{"kind: bh1750\nscale: 1", `[2:1] unknown field "scale" for kind bh1750`},
		{"kind: sht4x\nmm_per_tip: 1", `[2:1] unknown field "mm_per_tip" for kind sht4x`},
		{"kind: bme280\nendpoint: h", `[2:1] unknown field "endpoint" for kind bme280`},
		{"kind: bme280\nport: X", `[2:1] unknown field "port" for kind bme280`},
		{"kind: rain\npin: P\nindoor: true", `[3:1] unknown field "indoor" for kind rain`},
		{"kind: rain\npin: P\nopts: {}", `[3:1] unknown field "opts" for kind rain`},
		{"kind: ads1115\ninputs: [{channel: voltage_v, scal: 1}]", `[2:31] unknown field "scal" for kind ads1115`},
		{"kind: mqtt\ntopic: a\nport: X", `[3:1] unknown field "port" for kind mqtt`},
		{"kind: sysfs\npath: X", `[2:1] unknown field "path" for kind sysfs`},
		{"kind: modbus\nport: X\nid: 1", `[3:1] unknown field "id" for kind modbus`},
		{"kind: modbus\nport: X\nregisters: [{channel: power_w, register: {addres: 1}}]", `[3:43] unknown field "addres" for kind modbus`},
		{"kind: ina219\nshunt_ohm: much", "[2:12] cannot unmarshal string into Go struct field"},
		{"kind: [s0]", "[1:7] cannot unmarshal []interface {} into Go struct field"},
	} {
		_, err := parse(tt.yaml)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.yaml, err, tt.want)
		}
	}
}

// Every kind with all its keys, as a file has them, comes back the same from its
// YAML form. The form's order is part of a configuration's hash.
func TestConfigKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, want := range []string{
		"kind: bme280\nname: x\nbus: \"1\"\naddress: 119\n",
		"kind: ina219\nshunt_ohm: 0.01\nmax_current_a: 10.5\nvoltage_scale: 25.5\n",
		"kind: ads1115\ninputs:\n- channel: voltage_v\n  input: 0-1\n  scale: 325.5\n  range_v: 4.096\nready_pin: R\ncycles: 5\nnominal_frequency_hz: 60.0\n",
		"kind: anemometer\npin: P\ndebounce: 2ms\nmps_per_hz: 0.5\noffset_mps: 0.25\nwindow: 20s\n",
		"kind: s0\npin: P\ndebounce: 20ms\nimp_per_kwh: 800\ndirection: import\npower: true\n",
		"kind: tmp102\nmeasures: air\n",
		"kind: sht4x\nname: x\n",
		"kind: mcp9808\nmeasures: air\n",
		"kind: ds18b20\nrom: 28-0316a279f5ff\nmeasures: air\n",
		"kind: lm75\nmeasures: air\nbits: 12\n",
		"kind: adxl345\naddress: 29\n",
		"kind: bh1750\nlux_per_wpm2: 95.5\n",
		"kind: rain\npin: P\ndebounce: 50ms\nmm_per_tip: 0.2\nwet_for: 10m0s\n",
		"kind: as3935\ntuning_cap: 5\nindoor: true\nirq_pin: I\nmin_strikes: 5\n",
		"kind: pzem\naddress: 5\ndirection: import\nport: /dev/ttyUSB0\nphase: a\n",
		"kind: sunspec\naddress: 126\nendpoint: h:1502\nchannels:\n- power_w\n- voltage_v\ntimeout: 2s\nmax_power_w: 5000.0\n",
		"kind: modbus\naddress: 5\nmap: eastron-sdm630\nport: /dev/ttyUSB0\nbaudrate: 19200\ncomset: 8E1\ntimeout: 2s\nchannels:\n- power_w\nmax_power_w: 5000.0\n" +
			"registers:\n- channel: power_w\n  register:\n    address: 0\n    type: input\n    decode: float32s\n  scale: 0.5\n  offset: 1.5\n",
		"kind: mqtt\ntopic: shelly/events/rpc\nmax_age: 2m0s\nsole_witness: true\nmax_power_w: 5000.0\nvalues:\n- channel: power_w\n  pointer: /params/em:0/total_act_power\n  scale: -1.0\n  offset: 0.5\n",
		"kind: sysfs\ntimeout: 500ms\nfiles:\n- channel: temperature_c\n  path: /sys/class/hwmon/hwmon*/temp1_input\n  scale: 0.001\n  offset: -0.5\n",
		"kind: modbus\nmap: huawei-sun2000\nendpoint: h:502\nrtu: true\nconnect_delay: 1s\n",
	} {
		cfg, err := parse(want)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		seen[cfg.Kind] = true
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if b, err := yaml.Marshal(cfg); err != nil || string(b) != want {
			t.Errorf("YAML %s: %v, want %s", b, err, want)
		}
	}
	for kind, k := range kinds {
		if !seen[kind] {
			t.Errorf("no case for %s", kind)
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(k.none)) {
			if f.Tag.Get("yaml") == "" {
				t.Errorf("%s: %s has no key", kind, f.Name)
			}
		}
	}
}

// A setting that is left out has its default. Filling it in does not change the
// caller's own settings.
func TestConfigDefaults(t *testing.T) {
	shunt, five := 0.1, uint16(5)
	for _, tt := range []struct {
		cfg     Config
		name    string
		address uint16
		want    Opts
	}{
		{Config{Kind: KindBME280}, "bme280@0x76", 0x76, BME280Opts{}},
		{Config{Kind: KindINA219}, "ina219@0x40", 0x40, INA219Opts{ShuntOhm: shunt, MaxCurrentA: 0.32 / shunt, VoltageScale: 1}},
		{Config{Kind: KindADS1115}, "ads1115@0x48", 0x48, ADS1115Opts{Cycles: 10, NominalHz: 50}},
		{Config{Kind: KindAnemometer, Opts: AnemometerOpts{Pin: "P"}}, "anemometer@P", 0, AnemometerOpts{Pin: "P", Debounce: 10 * time.Millisecond, MPSPerHz: 2.4 / 3.6, Window: 10 * time.Second}},
		{Config{Kind: KindS0, Opts: S0Opts{Pin: "P"}}, "s0@P", 0, S0Opts{Pin: "P", Debounce: 15 * time.Millisecond, ImpPerKWh: 1000, Direction: "export"}},
		{Config{Kind: KindTMP102}, "tmp102@0x48", 0x48, TMP102Opts{Measures: "equipment"}},
		{Config{Kind: KindMCP9808}, "mcp9808@0x18", 0x18, MCP9808Opts{Measures: "equipment"}},
		{Config{Kind: KindDS18B20}, "ds18b20@0x18", 0x18, DS18B20Opts{Measures: "equipment"}},
		{Config{Kind: KindLM75}, "lm75@0x48", 0x48, LM75Opts{Measures: "equipment", Bits: 9}},
		{Config{Kind: KindADXL345}, "adxl345@0x53", 0x53, ADXL345Opts{}},
		{Config{Kind: KindBH1750}, "bh1750@0x23", 0x23, BH1750Opts{LuxPerWPM2: 120}},
		{Config{Kind: KindSHT4x}, "sht4x@0x44", 0x44, SHT4xOpts{}},
		{Config{Kind: KindRain, Opts: RainOpts{Pin: "P"}}, "rain@P", 0, RainOpts{Pin: "P", Debounce: 100 * time.Millisecond, MMPerTip: 0.2794, WetFor: 15 * time.Minute}},
		{Config{Kind: KindAS3935}, "as3935@0x03", 0x03, AS3935Opts{MinStrikes: 1}},
		{Config{Kind: KindPZEM, Opts: PZEMOpts{Port: "X"}}, "pzem@X/0x01", 1, PZEMOpts{Port: "X", Direction: "export"}},
		{Config{Kind: KindSunSpec, Opts: SunSpecOpts{Endpoint: "h"}}, "sunspec@h:502/1", 1, SunSpecOpts{
			Endpoint: "h:502", Channels: []model.Channel{model.PowerW, model.FrequencyHz, model.EnergyExportWh, model.InverterEvents}, Timeout: time.Second, MaxPowerW: 10e6,
		}},
		{Config{Kind: KindModbus, Opts: ModbusOpts{Map: "kipp-zonen-smp", Port: "X"}}, "modbus@X/0x01", 1, ModbusOpts{
			Map: "kipp-zonen-smp", Port: "X", Baudrate: 19200, Comset: "8E1", Timeout: 500 * time.Millisecond, MaxPowerW: 100e3, Channels: []model.Channel{model.IrradianceWPM2},
			Registers: []RegisterConfig{{Channel: model.IrradianceWPM2, Register: ModbusRegister{Address: &five, Type: "input", Decode: "int16"}, Scale: 1}},
		}},
		{Config{Kind: KindMQTT, Opts: MQTTOpts{Topic: "t", Values: []ValueConfig{{Channel: model.PowerW}}}}, "mqtt@t", 0, MQTTOpts{
			Topic: "t", MaxAge: time.Minute, MaxPowerW: 100e3, Values: []ValueConfig{{Channel: model.PowerW, Scale: 1}},
		}},
		{Config{Kind: KindSysfs, Opts: SysfsOpts{Files: []FileConfig{{Channel: model.TemperatureC, Path: "/sys/a"}}}}, "sysfs@/sys/a", 0, SysfsOpts{
			Timeout: time.Second, Files: []FileConfig{{Channel: model.TemperatureC, Path: "/sys/a", Scale: 1}},
		}},
		{Config{Kind: KindModbus, Opts: ModbusOpts{Endpoint: "h"}}, "modbus@h:502/1", 1, ModbusOpts{
			Endpoint: "h:502", Baudrate: 9600, Comset: "8N1", Timeout: time.Second, MaxPowerW: 100e3, Channels: []model.Channel{},
		}},
	} {
		got := tt.cfg.withDefaults()
		if got.Name != tt.name || got.Address != tt.address || !reflect.DeepEqual(got.Opts, tt.want) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	o := ADS1115Opts{Inputs: []InputConfig{{Channel: model.VoltageV, Input: "0", Scale: 1}}}
	if got := o.withDefaults().(ADS1115Opts); got.Inputs[0].RangeV != 2.048 || o.Inputs[0].RangeV != 0 {
		t.Errorf("range %g, the caller's %g", got.Inputs[0].RangeV, o.Inputs[0].RangeV)
	}
}

// Settings of one kind do not pass for those of another.
func TestConfigRefusesOptsOfAnotherKind(t *testing.T) {
	cfg := Config{Kind: KindINA219, Opts: TMP102Opts{}}
	if err := cfg.Validate(); err == nil || err.Error() != "sensor ina219@0x48: kind: ina219 does not take sensor.TMP102Opts" {
		t.Error(err)
	}
	if b, err := yaml.Marshal(cfg); err == nil {
		t.Errorf("written as %s", b)
	}
}

func TestStandardConfigs(t *testing.T) {
	for _, cfg := range StandardConfigs() {
		if err := cfg.Validate(); err != nil {
			t.Error(err)
		}
		if cfg.CountsPulses() != (cfg.Kind == KindAnemometer || cfg.Kind == KindS0) {
			t.Errorf("%s counts pulses: %v", cfg.Kind, cfg.CountsPulses())
		}
		if cfg.CountsPulses() {
			continue
		}
		if _, err := New(cfg, &fakeBuses{}); err == nil || !strings.Contains(err.Error(), "open bus") {
			t.Errorf("%s without a bus: %v", cfg.Kind, err)
		}
	}
}
