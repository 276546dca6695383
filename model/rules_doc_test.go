package model_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// settings lists every setting of a configuration by its dotted YAML name.
func settings(c model.Config) map[string]string {
	out := map[string]string{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag.Get("yaml")
			if tag == ",inline" {
				walk(prefix, v.Field(i))
				continue
			}
			if tag == "" || tag == "-" {
				continue
			}
			switch f := v.Field(i); f.Kind() {
			case reflect.Struct:
				walk(prefix+tag+".", f)
			case reflect.Float64:
				out[prefix+tag] = strconv.FormatFloat(f.Float(), 'f', -1, 64)
			case reflect.Int, reflect.Bool:
				out[prefix+tag] = fmt.Sprint(f.Interface())
			}
		}
	}
	walk("", reflect.ValueOf(c))
	return out
}

// rulesManual writes the manual's page of rules from the rule table.
func rulesManual(t *testing.T) []byte {
	us, eu := model.DefaultConfig(), model.DefaultConfig()
	eu.SetNominal(230, 50)
	for _, c := range []*model.Config{&us, &eu} {
		l, err := c.GridLimits()
		if err != nil {
			t.Fatal(err)
		}
		c.Limits = l
	}
	inUS, inEU := settings(us), settings(eu)
	var b bytes.Buffer
	b.WriteString(rulesHead)
	list := model.Rules()
	slices.SortStableFunc(list, func(x, y model.RuleInfo) int { return strings.Compare(x.ID, y.ID) })
	for _, r := range list {
		hold := func(c *model.Config) string {
			s, err := c.HoldS(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			return strconv.FormatFloat(s, 'f', -1, 64)
		}
		var set []string
		for _, name := range r.Settings {
			v, ok := inUS[name]
			if !ok {
				t.Errorf("%s reads %s, which is no setting", r.ID, name)
			}
			set = append(set, "`"+name+"` "+both(v, inEU[name]))
		}
		var needs []string
		for _, group := range r.Needs {
			var names []string
			for _, c := range group {
				names = append(names, "`"+c.String()+"`")
			}
			needs = append(needs, strings.Join(names, " or "))
		}
		latch := ""
		if slices.Contains(us.Latch, r.ID) {
			latch = ", latches"
		}
		fmt.Fprintf(&b, "| %s | %s | %s%s | %s | %s | %s s | %s |\n", r.ID, r.Kind, r.Level, latch,
			strings.Join(needs, "; "), strings.Join(set, "; "), both(hold(&us), hold(&eu)), r.Source)
	}
	b.WriteString(sensorsHead)
	for _, r := range list {
		feeds(t, &b, r)
	}
	b.WriteString(unservedHead)
	for _, u := range model.NoChannel() {
		fmt.Fprintf(&b, "| %s | %s |\n", u.Rule, u.Why)
	}
	b.WriteString(sourcesTail)
	return b.Bytes()
}

// noSensor are the rules that no driver feeds yet, with what would.
var noSensor = map[string]string{
	"E07": "none of its own: a general kind that reads `thd_pct`, such as `modbus` with the map `eastron-sdm630` (phases), or a power analyser's recording",
}

// feeds writes which kinds of sensors give the channels of a rule, for each group of
// which it needs one. A rule that none feeds has to be said.
func feeds(t *testing.T, b *bytes.Buffer, r model.RuleInfo) {
	if len(r.Needs) == 0 {
		return
	}
	var parts []string
	blind := false
	for _, group := range r.Needs {
		var kinds []string
		for _, kind := range sensor.Kinds() {
			if !sensor.Generic(kind) && slices.ContainsFunc(group, func(c model.Channel) bool { return slices.Contains(sensor.Gives(kind), c) }) {
				kinds = append(kinds, "`"+kind+"`")
			}
		}
		blind = blind || len(kinds) == 0
		fed := max(0, slices.IndexFunc(group, func(c model.Channel) bool {
			return slices.ContainsFunc(sensor.Kinds(), func(kind string) bool {
				return !sensor.Generic(kind) && slices.Contains(sensor.Gives(kind), c)
			})
		}))
		parts = append(parts, "`"+group[fed].String()+"` from "+strings.Join(kinds, ", "))
	}
	said, ok := noSensor[r.ID]
	if ok != blind {
		t.Errorf("%s is fed by no sensor: %v; it is said to be so: %v", r.ID, blind, ok)
	}
	if blind {
		parts = []string{said}
	}
	fmt.Fprintf(b, "| %s | %s |\n", r.ID, strings.Join(parts, "; "))
}

// both writes the values of the two grid profiles, once where they are equal.
func both(us, eu string) string {
	if us == eu {
		return us
	}
	return us + " / " + eu
}

const rulesHead = `# Rules

The rules that may close the gate, as built, with their default settings. Where two values stand, the first is that of the
grid profile ` + "`ieee1547-60`" + `, the second that of ` + "`eu-50`" + `. Every setting may be changed per site under ` + "`judge:`" + ` in the agent's
configuration. This page is written from the rule table by a test of package ` + "`model`" + `
(` + "`FAIRWATT_UPDATE=1 go test ./model -run TestRulesManual`" + `), which fails when the two differ.

"Level" is the highest a rule may reach. A rule that *latches* holds the gate until a person acknowledges it by name, and only
after its condition is over; ` + "`judge.latch`" + ` lists which do. "Clears after" is how long it stands after its condition is
over; for W01 and W02 it counts from the last stroke in range, for the rest from the end of the condition. A cause whose sensor goes away stands.

The thresholds come from standards and usage as recalled or read in secondary sources. Nothing here claims conformity with
any standard: this is a trading interlock, not a protection relay, and must never be the only barrier to harm.

What may remove what: an acknowledgement never ends a cause that stands; the network adds blocks and removes none; an official
warning that ends lifts its own block and no other; a person who takes a block back lifts that block and no other.

| rule | hazard | level | channels | settings | clears after | condition and source |
|---|---|---|---|---|---|---|
`

const sensorsHead = `
## Sensors that feed the rules

Each rule that looks at measurements, with the kinds of sensors ([agent.md](agent.md#sensors)) that give what it needs. For each
thing that it needs, one of them is enough. The general kinds ` + "`modbus`, `mqtt` and `sysfs`" + ` are left out: each can give any of these channels but
` + "`lightning_km`" + ` and ` + "`inverter_events`" + `, if a device has it.

| rule | sensors |
|---|---|
`

const unservedHead = `
## Not served

| rule | why |
|---|---|
`

const sourcesTail = `
## Notes on sources

- M-*: only the kinds that the loaded network scores have a rule; the table shows those of the shipped one.
- P01: measured against expected power, after Sustainability 13(23) 13203. An irradiance that is not that of the modules' plane
  gives false warnings.
- S02: class 2 is that of IEC 62053-21 (recalled). The threshold is half of what the cross check of E16 refuses.
- T02: zone limits of VDI 3834-1 (recalled). A machine of another kind needs its maker's limits.
- T01: at a wind turbine it stands in the place of W03, which would close the gate in the wind that a turbine earns in.
- W08: the rule of the Mariner's Handbook (recalled). Dew point, gale and calm were chosen on a year of hours of 31 Taiwanese stations
  (Central Weather Administration). They take away 87 % of its blocked hours on lowland and 51 % on islets, and lose none of the 26
  spells with a gust of 24.5 m/s that it was closed in. A pressure fall over 24 h was tried and left out: it loses such spells.
- W09: severity Severe or Extreme together with urgency Immediate or Expected blocks; the block lasts until the warning expires or
  is cancelled.
`

func TestRulesManual(t *testing.T) {
	path := filepath.Join("..", "docs", "rules.md")
	want := rulesManual(t)
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the rule table says; run this test with FAIRWATT_UPDATE=1", path)
	}
}
