package model

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every event bit blocks by E14 but the quiet ones; bits 0, 12 and 15 block by the
// rules that latch too, whatever is quiet.
func TestInverterBits(t *testing.T) {
	t.Parallel()
	for bit := range 33 {
		for _, quiet := range []float64{inverterQuiet, 0, inverterWhole} {
			r := newRig(t, nil, func(c *Config) { c.Equipment.InverterQuietBits = quiet })
			r.step(1000, map[Channel]float64{InverterEvents: float64(uint64(1) << bit)})
			for rule, want := range map[string]bool{
				"E10": bit == 0,
				"E11": bit == 12 || bit == 15,
				"E14": bit == 32 || uint64(quiet)&(1<<bit) == 0,
			} {
				i, _ := ruleIndex(r.j.rules, rule)
				if got := r.j.states[i].level == LevelBlock; got != want {
					t.Errorf("bit %d, quiet %b: %s blocks: %v, want %v", bit, uint64(quiet), rule, got, want)
				}
			}
		}
	}
}

// An inverter that is not heard any more leaves its faults standing, and says
// nothing of its health.
func TestInverterThatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	r.step(1000, map[Channel]float64{InverterEvents: 1<<0 | 1<<7 | 1<<12})
	for range 3600 {
		r.step(1000, map[Channel]float64{FrequencyHz: 50})
	}
	for _, rule := range []string{"E10", "E11", "E14"} {
		r.wantBlockedBy(rule)
	}
}

// What the inverter reports is said as long as it is reported, and that it is over.
func TestInverterSaysThatItIsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	r.step(1000, map[Channel]float64{InverterEvents: 1 << 7})
	if text := r.textOf("E14"); !strings.Contains(text, "the inverter reports ") || strings.Contains(text, "any more") {
		t.Errorf("text %q", text)
	}
	r.step(1000, map[Channel]float64{InverterEvents: 0})
	if text := r.textOf("E14"); !strings.HasPrefix(text, "the inverter reports no fault any more") {
		t.Errorf("text %q", text)
	}
}

// E10 has two witnesses. One that is well does not speak for one that is gone.
func TestInsulationHasTwoWitnesses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		bad, after map[Channel]float64
		want       Level
	}{
		{"both well", map[Channel]float64{InsulationKOhm: 1, InverterEvents: 0}, map[Channel]float64{InsulationKOhm: 900, InverterEvents: 0}, LevelNone},
		{"the meter gone", map[Channel]float64{InsulationKOhm: 1, InverterEvents: 0}, map[Channel]float64{InverterEvents: 0}, LevelBlock},
		{"the inverter gone", map[Channel]float64{InsulationKOhm: 900, InverterEvents: 1}, map[Channel]float64{InsulationKOhm: 900}, LevelBlock},
		{"the other finds it", map[Channel]float64{InsulationKOhm: 1, InverterEvents: 0}, map[Channel]float64{InsulationKOhm: 900, InverterEvents: 1}, LevelBlock},
		{"an inverter alone", map[Channel]float64{InverterEvents: 1}, map[Channel]float64{InverterEvents: 0}, LevelNone},
	} {
		r := newRig(t, nil, nil)
		r.step(1000, c.bad)
		for range 200 {
			r.step(1000, c.after)
		}
		i, _ := ruleIndex(r.j.rules, "E10")
		if got := r.j.states[i].level; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Of several inverters each fault counts, and the health of some is no word on one
// that is not heard.
func TestInvertersVote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, MaxVoters).Draw(rt, "inverters")
		var rs []Reading
		bits, lost := uint64(0), false
		for range n {
			r := Reading{Value: float64(rapid.SampledFrom([]uint64{0, 0, 1, 4, 1 << 12, InverterFault}).Draw(rt, "bits")), Validity: Valid}
			if rapid.IntRange(0, 3).Draw(rt, "lost") == 0 {
				r.Validity, lost = SensorError, true
			} else {
				bits |= uint64(r.Value)
			}
			rs = append(rs, r)
		}
		v := Vote(InverterEvents, 0, rs)
		switch {
		case bits != 0 && (v.Validity != Valid || v.Value != float64(bits)):
			rt.Fatalf("%v: %v", rs, v)
		case bits == 0 && lost == (v.Validity == Valid):
			rt.Fatalf("%v: %v", rs, v)
		}
	})
}

// An inverter that has fallen silent is named as what is missing.
func TestInverterSaysThatItIsSilent(t *testing.T) {
	t.Parallel()
	b := newBare(t, nil)
	x := explainer{e: b.evidence, tMs: bareMs, state: &ruleState{}, cause: &Cause{}}
	x.inverter(1)
	if len(x.cause.Inputs) != 1 || x.cause.Inputs[0].Name != InverterEvents.String() {
		t.Errorf("inputs %+v", x.cause.Inputs)
	}
}

// What an inverter reports is told with the reading it comes from.
func TestInverterSaysWhatItReports(t *testing.T) {
	t.Parallel()
	b := newBare(t, nil).set(map[Channel]float64{InverterEvents: 1})
	x := explainer{e: b.evidence, tMs: bareMs, state: &ruleState{}, cause: &Cause{}}
	x.inverter(1)
	if len(x.cause.Inputs) != 1 || x.cause.Inputs[0].Name != InverterEvents.String() || x.cause.Inputs[0].Value != 1 {
		t.Errorf("inputs %+v", x.cause.Inputs)
	}
}
