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

// One table says both what a unit measures and its factor, blind to case but for M
// and m (C37.111-1999, 5.3.4: names or abbreviations of IEEE Std 260.1).
func TestUnits(t *testing.T) {
	const v, a, none = quantityVoltage, quantityCurrent, quantityNone
	for unit, want := range map[string]struct {
		quantity int
		scale    float64
	}{
		"V": {v, 1}, "v": {v, 1}, "A": {a, 1}, "a": {a, 1}, " kA ": {a, 1e3}, "k A": {a, 1e3},
		"MV": {v, 1e6}, "Mv": {v, 1e6}, "MA": {a, 1e6}, "mV": {v, 1e-3}, "mv": {v, 1e-3}, "mA": {a, 1e-3}, "ma": {a, 1e-3},
		"uV": {v, 1e-6}, "µA": {a, 1e-6}, "GV": {v, 1e9}, "nA": {a, 1e-9},
		"volt": {v, 1}, "Volts": {v, 1}, "VOLT": {v, 1}, "amp": {a, 1}, "Amps": {a, 1}, "ampere": {a, 1}, "Amperes": {a, 1},
		"kilovolt": {v, 1e3}, "KILOVOLTS": {v, 1e3}, "kVolt": {v, 1e3}, "kiloampere": {a, 1e3}, "megavolt": {v, 1e6}, "milliamp": {a, 1e-3},
		"Mvolt": {v, 1e6}, "mvolt": {v, 1e-3}, "microampere": {a, 1e-6},
		"В": {v, 1}, "кВ": {v, 1e3}, "А": {a, 1}, "кА": {a, 1e3}, "МВ": {v, 1e6}, "мА": {a, 1e-3},
		"": {none, 1}, "VA": {none, 1}, "kVA": {none, 1}, "MVA": {none, 1}, "Pa": {none, 1}, "kPa": {none, 1}, "Hz": {none, 1}, "%": {none, 1}, "deg": {none, 1}, "W": {none, 1},
	} {
		if q, scale, err := parseUnit(unit); q != want.quantity || scale != want.scale || err != nil {
			t.Errorf("%q: %d, %v (%v), want %+v", unit, q, scale, err, want)
		}
	}
	for _, base := range []string{"V", "A", "volt", "ampere"} {
		for _, k := range []string{"k", "K"} {
			if _, scale, err := parseUnit(k + base); scale != 1e3 || err != nil {
				t.Errorf("%s%s: %v, %v", k, base, scale, err)
			}
		}
	}
}

// A prefix that is not known is refused, unless a map gives the scale.
func TestUnknownPrefix(t *testing.T) {
	c := &Config{Analogs: []Analog{{Name: "UA", Phase: "A", Unit: "hV", Primary: 1, SecondaryRated: 1}}, Rates: []Rate{{1000, 1}}}
	if _, _, err := c.sources(nil); err == nil || !strings.Contains(err.Error(), `analog channel UA: unit "hV" has a prefix that is not known`) {
		t.Errorf("taken: %v", err)
	}
	if _, _, err := c.sources(&Map{Channels: map[string]Selector{"voltage_a_v_inst": {Number: 1}}}); err == nil {
		t.Error("taken by a map without a scale")
	}
	out, _, err := c.sources(&Map{Channels: map[string]Selector{"voltage_a_v_inst": {Number: 1, Scale: 100}}})
	if err != nil || len(out) != 1 || out[0].scale != 100 {
		t.Errorf("with a scale: %+v, %v", out, err)
	}
	c.Analogs[0].Name, c.Analogs[0].Phase = "pressure", ""
	if out, left, err := c.sources(nil); err != nil || len(out) != 0 || len(left) != 1 {
		t.Errorf("a channel that is not judged: %+v %v %v", out, left, err)
	}
}
