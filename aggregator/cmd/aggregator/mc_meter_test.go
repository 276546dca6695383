package main

import (
	"strings"
	"testing"

	"fairwatt/proto/fairwattpb"
)

// A meter of a seller counts what it gives, of a buyer what it takes, of one who is
// both, both.
func TestMetersOfARegistration(t *testing.T) {
	const sells, buys = fairwattpb.Role_ROLE_SELLER, fairwattpb.Role_ROLE_BUYER
	for _, c := range []struct {
		roles []fairwattpb.Role
		want  fairwattpb.MeterDirection
	}{
		{[]fairwattpb.Role{sells}, fairwattpb.MeterDirection_METER_DIRECTION_EXPORT},
		{[]fairwattpb.Role{buys}, fairwattpb.MeterDirection_METER_DIRECTION_IMPORT},
		{[]fairwattpb.Role{sells, buys}, fairwattpb.MeterDirection_METER_DIRECTION_BOTH},
	} {
		r := &fairwattpb.Registration{Id: "pv-1", Site: "harbour", Roles: c.roles, MeterClassE4: 50}
		meters, err := metersOf(r, []string{"sold", "car"}, 8000)
		if err != nil || len(meters) != 2 {
			t.Fatalf("%v, %v", meters, err)
		}
		if m := meters[1]; m.GetMeter() != "pv-1-car" || m.GetOwner() != "pv-1" || m.GetSite() != "harbour" || m.GetDirection() != c.want ||
			m.GetRatedW() != 8000 || m.GetClassE4() != 50 || m.GetSerial() == meters[0].GetSerial() {
			t.Errorf("%v", m)
		}
	}
	for _, rated := range []int64{0, -1, 1_000_000_000_001} {
		if _, err := metersOf(&fairwattpb.Registration{}, nil, rated); err == nil {
			t.Errorf("%d W", rated)
		}
	}
}

// A meter that has counted before is registered with its register: from zero, its first
// reading would be more than its branch can carry.
func TestMeterThatHasCounted(t *testing.T) {
	r := &fairwattpb.Registration{Id: "house-1", Site: "harbour", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}}
	meters, err := metersOf(r, []string{"car", "kitchen=2866831", "cellar=0"}, 8000)
	if err != nil || len(meters) != 3 {
		t.Fatalf("%v, %v", meters, err)
	}
	for i, want := range []struct {
		id      string
		startWh int64
	}{{"house-1-car", 0}, {"house-1-kitchen", 2866831}, {"house-1-cellar", 0}} {
		if m := meters[i]; m.GetMeter() != want.id || m.GetSerial() != want.id || m.GetStartWh() != want.startWh {
			t.Errorf("%v, want %v", m, want)
		}
	}
	for _, bad := range []string{"car=", "car=-1", "car=1.5", "car=1 kWh", "car=9223372036854775808"} {
		if _, err := metersOf(r, []string{bad}, 8000); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What is wrong with a meter's flags is said before anything is sent.
func TestMeterFlags(t *testing.T) {
	good := meterFlags{owner: "pv-1", meter: "pv-1-sold", site: "harbour", direction: "export", rated: 1, class: 1}
	if r, err := good.registration(); err != nil || r.GetSerial() != "pv-1-sold" || r.GetClassE4() != 100 {
		t.Errorf("%v, %v", r, err)
	}
	for name, change := range map[string]func(*meterFlags){
		"no owner":     func(m *meterFlags) { m.owner = "" },
		"no meter":     func(m *meterFlags) { m.meter = "" },
		"no site":      func(m *meterFlags) { m.site = "" },
		"no direction": func(m *meterFlags) { m.direction = "" },
		"no power":     func(m *meterFlags) { m.rated = 0 },
		"class 6":      func(m *meterFlags) { m.class = 6 },
		"class 0":      func(m *meterFlags) { m.class = 0 },
		"register":     func(m *meterFlags) { m.start = -1 },
	} {
		m := good
		change(&m)
		if _, err := m.registration(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
