package comtrade

import (
	"math"
	"strings"
	"testing"

	"fairwatt/model"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, phase, unit string
		want              model.Channel
		known             bool
	}{
		{"UA", "", "V", model.VoltageAVInst, true},
		{"3U0", "", "V", model.VoltageNVInst, true},
		{"IL1", "", "A", model.CurrentAAInst, true},
		{"I2", "", "A", 0, false},
		{"LINE SUM ILC", "", "A", model.CurrentCAInst, true},
		{"LINE UN", "", "V", model.VoltageNVInst, true},
		{"F4-IG", "G", "A", model.CurrentNAInst, true},
		{"SRC 1 Vag Mag", "_", "kV", 0, false},
		{"SRC 1 Vag", "_", "kV", model.VoltageAVInst, true},
		{"I DIFF LA", "", "one", 0, false},
		{"UAB", "", "V", 0, false},
		{"Line", "AB", "V", 0, false},
		{"Line", "C", "kV", model.VoltageCVInst, true},
		{"Ток IВ", "", "", model.CurrentBAInst, true},
		{"U", "", "V", model.VoltageVInst, true},
		{"VT", "T", "V", model.VoltageCVInst, true},
		{"Angle", "A", "deg", 0, false},
		{"3I", "", "A", 0, false},
		{"", "", "", 0, false},
	} {
		a := Analog{Name: c.name, Phase: c.phase, Unit: c.unit}
		got, known := a.channel(false)
		if known != c.known || known && got != c.want {
			t.Errorf("%+v: %v %v, want %v %v", a, got, known, c.want, c.known)
		}
	}
	a := Analog{Name: "U2", Unit: "V"}
	if got, _ := a.channel(true); got != model.VoltageBVInst {
		t.Errorf("U2 beside U3 is %v", got)
	}
}

func TestMapAndScale(t *testing.T) {
	cfg, err := ReadConfig(strings.NewReader(strings.NewReplacer("VA,A,,V,0.1,0,0,-32767,32767,1,1,P", "x\xe0y,,,kV,0.1,0,0,-9,9,20,2,S", "2013", "2007").Replace(vectorCfg)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMap([]byte("channels:\n  voltage_b_v_inst: {number: 1, scale: 2}\n  current_n_a_inst: {name: IA}\nneutral_conductor: true\nnominal_voltage_v: 230\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(cfg, strings.NewReader("1,0,1,1,0\n2,0,1,1,0\n3,0,1,1,0\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, r)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := got[0].Get(model.VoltageBVInst)
	i, _ := got[0].Get(model.CurrentNAInst)
	if math.Abs(v-.1*10*1000*2) > 1e-9 || i != .01 || r.Meta().NominalVoltage != 230 || !r.NeutralConductor() || cfg.Analogs[0].Name != "xày" {
		t.Errorf("%v V, %v A, %+v, %q", v, i, r.Meta(), cfg.Analogs[0].Name)
	}
	for _, bad := range []string{"channels: {no_such: {number: 1}}", "channels: {voltage_v_inst: {}}", "nominal_voltage_v: -1", "x: 1", "channels: ["} {
		if _, err := ParseMap([]byte(bad)); err == nil {
			t.Errorf("map %q was accepted", bad)
		}
	}
}

// A map may name a channel by number (from 1) or by name, not by neither, both,
// or one that the recording lacks.
func TestMapChannels(t *testing.T) {
	for _, c := range []struct {
		channel Selector
		want    string
	}{
		{Selector{Number: 1}, "VA"},
		{Selector{Number: 2}, "IA"},
		{Selector{Name: "IA"}, "IA"},
		{Selector{Number: 3}, "no analog channel"},
		{Selector{Number: -1}, "no analog channel"},
		{Selector{Name: "ia"}, `no analog channel "ia"`},
	} {
		out, left, err := vector(t).sources(&Map{Only: true, Channels: map[string]Selector{"voltage_b_v_inst": c.channel}})
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.channel, err, c.want)
			}
			continue
		}
		if len(out) != 1 || out[0].channel != model.VoltageBVInst || vector(t).Analogs[out[0].index].Name != c.want || len(left) != 1 || left[0] == c.want {
			t.Errorf("%+v: %+v, left %v", c.channel, out, left)
		}
	}
	for text, want := range map[string]string{
		"channels: {voltage_v_inst: {number: 1, name: VA}}":   "give either number or name",
		"channels: {voltage_v_inst: {}}":                      "give either number or name",
		"channels: {no_such: {number: 1}}":                    `unknown channel "no_such"`,
		"nominal_voltage_v: -1":                               "out of range",
		"nominal_voltage_v: .nan":                             "is no number",
		"nominal_frequency_hz: -1":                            "out of range",
		"nominal_frequency_hz: 400.1":                         "out of range",
		"nominal_frequency_hz: 400":                           "",
		"nominal_voltage_v: 0":                                "",
		"only: true\nchannels: {voltage_v_inst: {number: 1}}": "",
	} {
		if _, err := ParseMap([]byte(text)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Of two channels of one kind the first counts, and what the map names goes
// before.
func TestFirstChannelCounts(t *testing.T) {
	cfg := vector(t)
	cfg.Analogs = []Analog{{Name: "VA", Unit: "V", A: 1}, {Name: "UA", Unit: "kV", A: 1}}
	for _, c := range []struct {
		m     *Map
		scale float64
		left  string
	}{
		{nil, 1, "UA"},
		{&Map{Channels: map[string]Selector{"voltage_a_v_inst": {Number: 2}}}, 1000, "VA"},
		{&Map{Channels: map[string]Selector{"voltage_a_v_inst": {Number: 2, Scale: -1}}}, -1000, "VA"},
	} {
		out, left, err := cfg.sources(c.m)
		if err != nil || len(out) != 1 || out[0].scale != c.scale || len(left) != 1 || left[0] != c.left {
			t.Errorf("%+v: %+v, left %v, %v", c.m, out, left, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for unit, want := range map[string]float64{
		"V": 1, "A": 1, "kV": 1e3, "KV": 1e3, "kv": 1e3, " kA ": 1e3, "KA": 1e3, "ka": 1e3, "mV": 1e-3, "mA": 1e-3, "MV": 1e6, "MA": 1e6, "": 1,
	} {
		if got := unitScale(unit); got != want {
			t.Errorf("%q: %v, want %v", unit, got, want)
		}
	}
}
