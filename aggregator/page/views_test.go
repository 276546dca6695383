package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

const gateJSON = `{"schema":"gate/1","id":"x","seq":4182,"ts":"2026-01-01T00:00:00.000Z","clock_synced":true,
 "state":"BLOCKED","since":"2026-01-01T00:00:00.000Z","valid_until":"2026-01-01T00:01:30.000Z","clear_in_s":1800,
 "causes":[{"rule":"W01","kind":"thunderstorm","level":"block","latched":false,"text":"lightning 8 km (<= 10 km)",
            "inputs":[{"name":"lightning_distance","value":8,"unit":"km","age_s":1.2,"threshold":10,"op":"<="}]}],
 "model":{"name":"hazard-mlp","sha256":"5f2c","p":{"thunderstorm":0.83,"wind":null},"top":[]}}`

func everyone(string, string) bool { return true }

func TestViewsShowWhatAgentsSay(t *testing.T) {
	var v views
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	for topic, payload := range map[string]string{
		"fairwatt/v1/farm/pv-3/gate":                gateJSON,
		"fairwatt/v1/farm/pv-3/status":              "online",
		"fairwatt/v1/farm/pv-3/info":                `{"schema":"info/1","contactor":"GPIO22, feedback GPIO27"}`,
		"fairwatt/v1/farm/pv-3/hazard/thunderstorm": `{"level":"block","p":0.83}`,
		"fairwatt/v1/farm/pv-3/hazard/heat":         `{"level":"ok"}`,
	} {
		if _, _, err := v.take(mqtt.Message{Topic: topic, Payload: []byte(payload)}, now, everyone); err != nil {
			t.Fatal(err)
		}
	}
	list := v.list(now, "", time.Time{})
	if len(list) != 1 {
		t.Fatalf("%d generators", len(list))
	}
	g := list[0]
	if g.State != "BLOCKED" || g.Online != "online" || g.Contactor != "GPIO22, feedback GPIO27" || g.LastSeenMs != now.UnixMilli() || g.ClearInS != 1800 || len(g.Hazards) != 2 ||
		g.Hazards[1].Kind != "thunderstorm" || g.Scores["thunderstorm"] != 0.83 || len(g.Scores) != 1 {
		t.Errorf("%+v", g)
	}
	in := g.Causes[0].Inputs[0]
	if in.Name != "lightning_distance" || *in.Value != 8 || *in.Threshold != 10 || in.Op != "<=" {
		t.Errorf("%+v", in)
	}
	// Past its validity it counts as blocked, whatever it said.
	if late := v.list(now.Add(time.Hour), "", time.Time{}); late[0].State != "EXPIRED" || late[0].Said != "BLOCKED" {
		t.Errorf("an hour later: %s", late[0].State)
	}
}

func TestViewsRefuse(t *testing.T) {
	long := strings.Repeat("x", wire.MaxViewBytes+1)
	var causes strings.Builder
	for range wire.MaxCauses + 1 {
		causes.WriteString(`{"rule":"W01"},`)
	}
	for topic, payload := range map[string]string{
		"fairwatt/v1/farm/PV_3/gate":         gateJSON,
		"fairwatt/v1/farm/<b>/gate":          gateJSON,
		"other/v1/farm/pv-3/gate":            gateJSON,
		"fairwatt/v1/farm/pv-3":              gateJSON,
		"fairwatt/v1/farm/pv-3/gate":         `{"state":"AJAR"}`,
		"fairwatt/v1/farm/pv-4/gate":         `{"schema":"gate/2","state":"OPEN"}`,
		"fairwatt/v1/farm/pv-5/gate":         `{`,
		"fairwatt/v1/farm/pv-6/gate":         `{"state":"OPEN","causes":[` + strings.TrimSuffix(causes.String(), ",") + `]}`,
		"fairwatt/v1/farm/pv-7/gate":         long,
		"fairwatt/v1/farm/pv-2/gate":         `{"state":"OPEN","cost":[{"rule":"W03","closed_s":5,"alone_s":6}]}`,
		"fairwatt/v1/farm/pv-1/gate":         `{"state":"OPEN","cost":[` + strings.Repeat(`{"rule":"W03"},`, maxCosts) + `{}]}`,
		"fairwatt/v1/farm/pv-3/status":       "perhaps",
		"fairwatt/v1/farm/pv-3/hazard/wind":  `{"level":"huge"}`,
		"fairwatt/v1/farm/pv-3/hazard/rain":  `{"level":"ok","p":7}`,
		"fairwatt/v1/farm/pv-3/hazard/a/b":   `{"level":"ok"}`,
		"fairwatt/v1/farm/pv-3/trade":        `{}`,
		"fairwatt/v1/farm/pv-3/telemetry":    `{"schema":"telemetry/2"}`,
		"fairwatt/v1/farm/pv-4/telemetry":    `{"energy_wh":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}}`,
		"fairwatt/v1/farm/pv-5/telemetry":    `[]`,
		"fairwatt/v1/farm/pv-8/info":         `{`,
		"fairwatt/v1/farm/pv-9/info":         `{"schema":"info/2","contactor":"none"}`,
		"fairwatt/v1/farm/pv-3/hazard/storm": `[]`,
	} {
		var v views
		if _, _, err := v.take(mqtt.Message{Topic: topic, Payload: []byte(payload)}, time.Now(), everyone); err == nil {
			t.Errorf("%s %.60s was taken", topic, payload)
		}
		if v.badCount() != 1 || len(v.list(time.Now(), "", time.Time{})) != 0 {
			t.Errorf("%s: %d counted, %d shown", topic, v.badCount(), len(v.list(time.Now(), "", time.Time{})))
		}
	}
	var v views
	no := func(string, string) bool { return false }
	if _, _, err := v.take(mqtt.Message{Topic: "fairwatt/v1/farm/pv-3/gate", Payload: []byte(gateJSON)}, time.Now(), no); err == nil || len(v.byID) != 0 {
		t.Errorf("a device that is not registered is shown: %v", err)
	}
}

// A retained message is old news: it does not make its sender alive.
func TestRetainedIsNotSeen(t *testing.T) {
	var v views
	if _, _, err := v.take(mqtt.Message{Topic: "fairwatt/v1/farm/pv-3/gate", Payload: []byte(gateJSON), Retained: true}, time.Now(), everyone); err != nil {
		t.Fatal(err)
	}
	if g := v.list(time.Now(), "", time.Time{})[0]; g.LastSeenMs != 0 {
		t.Errorf("last seen %d", g.LastSeenMs)
	}
}

// openAt is the gate of an agent that is open, as it says at a time.
func openAt(now time.Time, seq int) []byte {
	return fmt.Appendf(nil, `{"schema":"gate/1","seq":%d,"ts":%q,"state":"OPEN","since":"2026-01-01T00:00:00Z","valid_until":%q,"causes":[]}`,
		seq, now.Format(time.RFC3339Nano), now.Add(wire.GateValid).Format(time.RFC3339Nano))
}

// Only an agent that is there, online and heard of is open, through the
// aggregator's own broker.
func TestViewsOfAnAgentThatIsGone(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		after          time.Duration
		class, payload string
		retained       bool
		lost           string
		want           string
	}
	for name, steps := range map[string][]step{
		"live":               {{0, "status", "online", false, "", ""}, {0, "gate", "", false, "", "OPEN"}, {89 * time.Second, "", "", false, "", "OPEN"}},
		"killed: last will":  {{0, "status", "online", false, "", ""}, {0, "gate", "", false, "", "OPEN"}, {time.Second, "status", "offline", false, "", "OFFLINE"}},
		"gone without will":  {{0, "status", "online", false, "", ""}, {0, "gate", "", false, "", "OPEN"}, {91 * time.Second, "", "", false, "", "EXPIRED"}},
		"no status":          {{0, "gate", "", false, "", "UNKNOWN"}},
		"broker lost":        {{0, "status", "online", false, "", ""}, {0, "gate", "", false, "", "OPEN"}, {time.Second, "", "", false, "no connection to a broker", "UNKNOWN"}},
		"back after a death": {{0, "status", "offline", true, "", ""}, {0, "gate", "", true, "", "OFFLINE"}, {time.Second, "status", "online", false, "", "OPEN"}},
		"kept by the broker": {{0, "status", "online", true, "", ""}, {0, "gate", "", true, "", "OPEN"}, {80 * time.Second, "gate", "again", true, "", "OPEN"}, {91 * time.Second, "gate", "again", true, "", "EXPIRED"}},
	} {
		var v views
		for i, s := range steps {
			now := began.Add(s.after)
			payload := []byte(s.payload)
			if s.class == "gate" {
				payload = openAt(began, 1)
			}
			if s.class != "" {
				if _, _, err := v.take(mqtt.Message{Topic: "fairwatt/v1/farm/pv-3/" + s.class, Payload: payload, Retained: s.retained}, now, everyone); err != nil {
					t.Fatal(err)
				}
			}
			list := v.list(now, s.lost, now)
			if s.want == "" {
				continue
			}
			if len(list) != 1 || list[0].State != s.want || (list[0].Why == "") != (s.want == "OPEN") || (list[0].LapsesMs != 0) != (s.want == "OPEN") {
				t.Errorf("%s, step %d: %+v, want %s", name, i, list, s.want)
			}
		}
	}
}

// An old message that a broker repeats does not open a gate that has closed.
func TestViewsAreNotTurnedBack(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 10, 0, time.UTC)
	blocked := strings.Replace(string(openAt(now, 8)), "OPEN", "BLOCKED", 1)
	var v views
	for _, p := range []string{blocked, string(openAt(now.Add(-time.Second), 7))} {
		if _, _, err := v.take(mqtt.Message{Topic: "fairwatt/v1/farm/pv-3/gate", Payload: []byte(p)}, now, everyone); err != nil {
			t.Fatal(err)
		}
	}
	if g := v.list(now, "", now)[0]; g.Said != "BLOCKED" || g.Causes == nil {
		t.Errorf("%+v", g)
	}
}

// Whatever a device publishes, the page's JSON can be made, and is bounded.
func FuzzViews(f *testing.F) {
	f.Add("gate", []byte(gateJSON))
	f.Add("hazard/wind", []byte(`{"level":"warn","p":0.5}`))
	f.Add("status", []byte("offline"))
	f.Fuzz(func(t *testing.T, class string, payload []byte) {
		var v views
		now := time.Unix(1_800_000_000, 0)
		_, _, _ = v.take(mqtt.Message{Topic: "fairwatt/v1/farm/pv-3/" + class, Payload: payload}, now, everyone)
		b, err := json.Marshal(v.list(now, "", time.Time{}))
		if err != nil {
			t.Fatalf("%s %q: %v", class, payload, err)
		}
		if len(b) > 16*wire.MaxViewBytes {
			t.Fatalf("%d bytes from %d", len(b), len(payload))
		}
	})
}

// A card shows what was measured last. What cannot be true is not shown, and what a
// broker has kept says nothing of now.
func TestViewsShowWhatIsMeasured(t *testing.T) {
	var v views
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	const topic = "fairwatt/v1/farm/pv-3/"
	for _, m := range []mqtt.Message{
		{Topic: topic + "gate", Payload: []byte(gateJSON)},
		{Topic: topic + "telemetry", Payload: []byte(`{"schema":"telemetry/1","ac":{"power":4200.5},"wx":{"wind_gust":1e12,"temperature":-3},"energy_wh":{"sold":12345}}`)},
		{Topic: topic + "telemetry", Payload: []byte(`{"ac":{"power":1}}`), Retained: true},
	} {
		if _, _, err := v.take(m, now, everyone); err != nil {
			t.Fatal(err)
		}
	}
	m := v.list(now, "", time.Time{})[0].Now
	if m == nil || *m.PowerW != 4200.5 || m.GustMPS != nil || *m.TemperatureC != -3 || m.EnergyWh["sold"] != 12345 || m.TimeMs != now.UnixMilli() {
		t.Errorf("%+v", m)
	}
	if m := v.list(now.Add(6*time.Minute), "", time.Time{})[0].Now; m != nil {
		t.Errorf("after six minutes it still measures %+v", m)
	}
}

// A thousand generators: what a version costs before it is encoded.
func BenchmarkListThousand(b *testing.B) {
	var v views
	now := time.Now()
	for i := range 1000 {
		for class, payload := range map[string]string{
			"gate": gateJSON, "status": "online", "hazard/wind": `{"level":"ok","p":0.1}`, "hazard/rain": `{"level":"warn"}`,
			"telemetry": `{"ac":{"power":4200.5},"wx":{"wind_gust":12},"energy_wh":{"sold":12345}}`,
		} {
			if _, _, err := v.take(mqtt.Message{Topic: fmt.Sprintf("fairwatt/v1/farm/pv-%d/%s", i, class), Payload: []byte(payload)}, now, everyone); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if n := len(v.list(now, "", time.Time{})); n != 1000 {
			b.Fatal(n)
		}
	}
}

// A device is often started before the centre has admitted it. What it says once, as it
// connects, is not said again, so that it is kept until then: of few devices, one site
// each, and it shows no device that is not admitted.
func TestWhatWasSaidBeforeAdmission(t *testing.T) {
	var v views
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	admitted := false
	known := func(site, device string) bool { return admitted && site == "farm" }
	say := func(topic, payload string) {
		t.Helper()
		_, _, err := v.take(mqtt.Message{Topic: "fairwatt/v1/" + topic, Payload: []byte(payload)}, now, known)
		if (err == nil) != (admitted && strings.HasPrefix(topic, "farm/")) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	say("farm/pv-3/info", `{"schema":"info/1","contactor":"K1"}`)
	say("farm/pv-3/status", "online")
	say("farm/pv-4/status", "online")
	say("farm/pv-4/status", "offline")
	say("farm/pv-5/status", "online")
	say("elsewhere/pv-5/status", "online")
	say("farm/pv-6/info", `{"schema":"info/1","contactor":"K1"}`+strings.Repeat(" ", maxEarlyBytes)) // too long to be kept
	if len(v.list(now, "", time.Time{})) != 0 {
		t.Fatal("a device is shown that is not admitted")
	}
	admitted = true
	for _, id := range []string{"pv-3", "pv-4", "pv-5", "pv-6"} {
		say("farm/"+id+"/gate", strings.Replace(gateJSON, "BLOCKED", "OPEN", 1))
	}
	for i, want := range []struct{ online, state, contactor string }{
		{"online", "OPEN", "K1"}, {"offline", "OFFLINE", ""}, {"unknown", "UNKNOWN", ""}, {"unknown", "UNKNOWN", ""},
	} {
		if g := v.list(now, "", time.Time{})[i]; g.Online != want.online || g.State != want.state || g.Contactor != want.contactor {
			t.Errorf("%s: %s, %s, %q, want %+v", g.ID, g.Online, g.State, g.Contactor, want)
		}
	}
	admitted = false
	for i := range 2 * maxEarly {
		say(fmt.Sprintf("farm/new-%d/status", i), "online")
	}
	if len(v.early) != maxEarly {
		t.Errorf("%d devices that are not admitted are kept, at most %d", len(v.early), maxEarly)
	}
}
