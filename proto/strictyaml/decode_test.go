package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type place struct {
	Latitude  float64 `yaml:"latitude"`
	Longitude float64 `yaml:"longitude"`
}

type probe struct {
	Kind    string `yaml:"kind"`
	Address uint16 `yaml:"address"`
	Offset  int8   `yaml:"offset"`
}

type settings struct {
	Site    string            `yaml:"site"`
	On      bool              `yaml:"on"`
	Tick    time.Duration     `yaml:"tick"`
	Where   *place            `yaml:"where"`
	Probes  []probe           `yaml:"probes"`
	Names   []string          `yaml:"names"`
	Numbers []float64         `yaml:"numbers"`
	Meta    map[string]string `yaml:"meta"`
}

func decode(text string) (settings, error) {
	s := settings{Site: "before"}
	err := Decode([]byte(text), &s)
	return s, err
}

func TestTextKeepsItsOwnForm(t *testing.T) {
	for _, text := range []string{
		"010", "0x1F", "1_000", "1.50", "1e3", "true", "~x", "null", ".inf", ".nan", "+5", "0o17", "2026-01-01", "1:20", "-0",
	} {
		want := text
		s, err := decode("site: " + text + "\nnames: [" + text + "]\nmeta: {a: " + text + "}")
		if text == "null" {
			if err == nil {
				t.Errorf("site: null is %q, want an error", s.Site)
			}
			continue
		}
		if err != nil || s.Site != want || s.Names[0] != want || s.Meta["a"] != want {
			t.Errorf("site: %s is %q %q (%v)", text, s.Site, s.Names, err)
		}
	}
	if s, err := decode("site: &x 010\nnames: [*x]"); err != nil || s.Site != "010" || s.Names[0] != "010" {
		t.Errorf("anchored: %+v (%v)", s, err)
	}
	if s, err := decode("names: [&x 010]\nmeta: {a: *x}\nsite: !!str 010"); err != nil || s.Names[0] != "010" || s.Meta["a"] != "010" || s.Site != "010" {
		t.Errorf("by tag: %+v (%v)", s, err)
	}
}

func TestWhatIsTaken(t *testing.T) {
	s, err := decode("on: true\ntick: 15m\nwhere: {latitude: -5, longitude: 1e1}\nnumbers: [052.5, 1_000]\n" +
		"probes:\n  - {kind: a, address: 0x76, offset: -128}\n  - kind: b\nmeta:\n")
	want := settings{Site: "before", On: true, Tick: 15 * time.Minute, Where: &place{-5, 10}, Numbers: []float64{52.5, 1000},
		Probes: []probe{{"a", 0x76, -128}, {"b", 0, 0}}}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("%+v (%v)\nwant %+v", s, err, want)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "null"} {
		if s, err := decode(empty); err != nil || s.Site != "before" {
			t.Errorf("%q: %+v, %v", empty, s, err)
		}
	}
}

// Every refusal names the line, the key and the fix, in words for people.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"on: true\nwhere: {latitude: 52,1, longitude: 5}": `[2:22] where: "1" is no key; is latitude 52.1? Write a point, not a comma`,
		"where:\n  latitude: 52,1":                        `[2:13] where.latitude: "52,1" is no number; write one with a decimal point, not a comma`,
		"where: {latitude: , longitude: 5}":               `where.latitude: has no value`,
		"where: {true: 1}":                                `where: "true" is no key`,
		"where: 5":                                        `[1:8] where: "5" stands where keys with values belong`,
		"1: x":                                            `[1:1] "1" is no key`,
		"site:":                                           `site: has no value; give one, or take the key out`,
		"site: [a]":                                       `site: a list or keys stand where a single value belongs`,
		"probes: [{address: \"0x77\"}]":                   `[1:20] probes[0].address: "0x77" is no whole number; write one without quotes, such as 118 or 0x76`,
		"probes: [{address: 1.5}]":                        `probes[0].address: "1.5" is no whole number`,
		"probes: [{address: 65536}]":                      `probes[0].address: "65536" is outside 0 to 65535`,
		"probes: [{address: -1}]":                         `probes[0].address: "-1" is outside 0 to 65535`,
		"probes: [{offset: 128}]":                         `probes[0].offset: "128" is outside -128 to 127`,
		"probes: [{address: 010}]":                        `probes[0].address: "010" begins with 0; write the number without it`,
		"numbers: [010]":                                  `numbers[0]: "010" begins with 0`,
		"numbers: [.nan]":                                 `numbers[0]: ".nan" is no number`,
		"numbers: [inf]":                                  `numbers[0]: "inf" is no number`,
		"numbers: 5":                                      `numbers: "5" stands where a list belongs`,
		"on: yes":                                         `on: "yes" is neither true nor false`,
		"on: \"true\"":                                    `on: "true" is neither true nor false`,
		"tick: 5":                                         `tick: "5" is no time; write a number with a unit, such as 1s, 15m or 24h`,
		"site: a\nsitte: b":                               `[2:1] unknown field "sitte"`,
		"site: a\nsite: b":                                `"site" already defined`,
		"site: a\n---\nsite: b":                           `a second document`,
		"site: *x":                                        `names no value before it`,
		"site: {":                                         `[1:`,
		"site: " + strings.Repeat("[", 100):               `[1:`,
		"names: {a: " + strings.Repeat("x", 500) + "}": `... (`,
	} {
		_, err := decode(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v\nwant ... %s", text, err, want)
			continue
		}
		e := (*Error)(nil)
		if !errors.As(err, &e) || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q: not one short line: %v", text, err)
		}
		for _, word := range []string{"Go ", "unmarshal", "uint", "float64", "struct"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%.80q: %q speaks of %q", text, err, word)
			}
		}
	}
}

type nest []nest

// Anchors that name each other are bounded.
func TestManyAliases(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [[],[],[],[],[],[],[],[],[],[]]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	var deep map[string]nest
	if err := Decode([]byte(b.String()), &deep); err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("ten to the power of twelve values: %v", err)
	}
}

// leaves lists every single value of a structure by its path.
func leaves(v reflect.Value, path string, out map[string]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			leaves(v.Elem(), path, out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			leaves(v.MapIndex(k), path+"."+k.String(), out)
		}
	default:
		out[path] = fmt.Sprintf("%v %v", v.Kind(), v.Interface())
	}
}

// The decimal comma: wherever ",1" slips into a file, it is refused, or it
// shows in a text as it stands. No number, switch or time changes with it.
func TestCommaChangesNoNumber(t *testing.T) {
	const file = "site: demo\non: true\ntick: 15m\nwhere: {latitude: 52.5, longitude: 5.25}\nprobes:\n" +
		"  - {kind: bme280, address: 0x76, offset: -4}\n  - kind: ina219\n    address: 64\n" +
		"names: [alpha, beta]\nmeta: {note: a b, unit: kV}\n"
	whole, err := decode(file)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	leaves(reflect.ValueOf(whole), "", before)
	taken := 0
	for i := range len(file) + 1 {
		text := file[:i] + ",1" + file[i:]
		s, err := decode(text)
		if err != nil {
			continue
		}
		taken++
		after := map[string]string{}
		leaves(reflect.ValueOf(s), "", after)
		for path, was := range before {
			if strings.HasPrefix(path, ".Meta.") {
				continue // its keys are free: the digit may stand in one
			}
			is, there := after[path]
			if is != was && (!strings.HasPrefix(was, "string ") || !there || !strings.Contains(is, "1") && !strings.Contains(path, "Names")) {
				t.Fatalf("%s was %s, is %s, in\n%s", path, was, is, text)
			}
		}
	}
	if taken == 0 {
		t.Error("nothing was taken: the property was not tried")
	}
}

// A switch is a target that takes a word or keys, and reads itself.
type switched struct {
	off bool
	pin string
}

func (*switched) YAMLWords() []string { return []string{"none"} }

func (*switched) YAMLForm(func(string) string) reflect.Type {
	return reflect.TypeFor[struct {
		Pin string `yaml:"pin"`
	}]()
}

func (s *switched) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) == nil {
		s.off = true
		return nil
	}
	var keys struct {
		Pin string `yaml:"pin"`
	}
	err := unmarshal(&keys)
	s.pin = keys.Pin
	return err
}

// A word stands in place of keys where the target names it, and nowhere else.
func TestWordInPlaceOfKeys(t *testing.T) {
	for text, want := range map[string]string{
		"contactor: none":        "{true }",
		"contactor: {pin: 010}":  "{false 010}",
		"contactor: off":         `"off" stands where keys with values belong`,
		"contactor: {pim: x}":    `unknown field "pim"`,
		"contactor: {pin: [17]}": "contactor.pin: a list or keys stand where a single value belongs",
	} {
		var s struct {
			Contactor switched `yaml:"contactor"`
		}
		got := ""
		if err := Decode([]byte(text), &s); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(s.Contactor)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
