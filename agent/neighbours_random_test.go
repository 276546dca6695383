package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/neighbours"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A hostileStep is what happens in a while: this place's own weather and grid, and
// what data aggregators and neighbours tell.
type hostileStep struct {
	after    time.Duration
	gust     float64
	voltage  float64
	messages []hostileMessage
}

// A hostileMessage is one delivery of liars and honest ones.
type hostileMessage struct {
	das      []string
	sender   byte
	kind     string
	weather  neighbours.Weather
	km       float64
	madeMs   int64 // from now
	garbage  []byte
	retained bool
}

var hostileKinds = []string{"true", "forged", "another key", "garbage", "not a delivery", "of another device"}

func drawSteps(t *rapid.T) []hostileStep {
	message := rapid.Custom(func(t *rapid.T) hostileMessage {
		m := hostileMessage{
			das:     rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"da-1", "da-2", "da-3", "da-4"}), 1, 4, rapid.ID[string]).Draw(t, "das"),
			sender:  rapid.ByteRange(1, 9).Draw(t, "sender"), // 1 is its own
			kind:    rapid.SampledFrom(hostileKinds).Draw(t, "kind"),
			km:      rapid.Float64Range(0, 900).Draw(t, "km"),
			madeMs:  rapid.SampledFrom([]int64{0, 0, 0, -1, -600_000, -1_900_000, 100_000, 130_000}).Draw(t, "made"),
			garbage: rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "garbage"), retained: rapid.Bool().Draw(t, "retained"),
		}
		m.weather.GustRatio = neighbours.Optional{V: rapid.Float64Range(0, neighbours.MaxGustRatio).Draw(t, "gust"), OK: rapid.Bool().Draw(t, "has gust")}
		m.weather.PressureChange3hHPa = neighbours.Optional{V: rapid.Float64Range(-60, 60).Draw(t, "change"), OK: rapid.Bool().Draw(t, "has change")}
		if m.weather.Thunder = rapid.Bool().Draw(t, "thunder"); m.weather.Thunder {
			m.weather.Strokes3h = rapid.Int64Range(0, neighbours.MaxStrokes).Draw(t, "strokes")
		}
		return m
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) hostileStep {
		return hostileStep{
			after:   time.Duration(rapid.IntRange(1, 900).Draw(t, "after")) * time.Second,
			gust:    rapid.SampledFrom([]float64{6, 6, 6, 14, 30}).Draw(t, "own gust"),
			voltage: rapid.SampledFrom([]float64{230, 230, 230, 265}).Draw(t, "voltage"),
			// More than a few in one step are a flood, which is another test's.
			messages: rapid.SliceOfN(message, 0, 5).Draw(t, "messages"),
		}
	}), 3, 8).Draw(t, "steps")
}

// tell hands one message over, as far as it can be made.
func (s *regionSite) tell(m *hostileMessage) {
	key, id := testKey(m.sender), fmt.Sprintf("pv-%d", m.sender)
	v := s.neighbour(id, key, func(n *neighbours.Nowcast) {
		n.Weather, n.Position.LatitudeDeg = m.weather, 20+m.km/111.2
		n.MadeAtMs += m.madeMs
		n.ValidUntilMs = n.MadeAtMs + nowcast.ValidMs
	})
	switch m.kind {
	case "forged":
		v.Sealed[len(v.Sealed)-1] ^= 1
	case "another key":
		v.Key = seal.PublicKey("ed25519:" + strings.Repeat("A", 43) + "=")
	case "garbage":
		v.Sealed = m.garbage
	}
	for _, da := range m.das {
		b := m.garbage
		if m.kind != "not a delivery" {
			to := s.own()
			if m.kind == "of another device" {
				to = wire.Topics{Site: "farm-1", Device: "pv-2"}
			}
			var err error
			if b, err = nowcast.SealDelivery(s.das[da], da, s.chain.ID, to, time.Now().UnixMilli(), []nowcast.Vouched{v}); err != nil {
				s.t.Fatal(err)
			}
		}
		s.publish(da, false, b)
	}
}

// play runs a device through the steps and returns every state of its gate with its
// time, and after each step what rules say; warned says whether the network warned.
func playHostile(t *testing.T, steps []hostileStep, told bool) (story []string, warned bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		s.cfg.Telemetry = time.Hour
		// The loop's goroutine writes, and the end of its run orders it before the test.
		var gates []string
		s.onGate = func(state model.State) {
			gates = append(gates, fmt.Sprintf("%s %v", time.Now().Format(time.TimeOnly), state))
		}
		s.open()
		for _, step := range steps {
			s.sensor("wind").become(steadily(model.WindGustMPS, step.gust))
			s.sensor("meter").become(steadily(model.VoltageV, step.voltage))
			for i := range step.messages {
				if told {
					s.tell(&step.messages[i])
				}
			}
			s.wait(step.after)
			var rules []string
			for _, alert := range s.agent.judge.View().Alerts {
				for _, c := range alert.Causes {
					if strings.HasPrefix(c.Rule, "M-") {
						warned = true
						continue
					}
					rules = append(rules, fmt.Sprintf("%s %v", c.Rule, c.Level))
				}
			}
			status := s.agent.Status()
			for _, c := range status.Causes {
				rules = append(rules, "gate "+c.Rule+" "+c.Text)
			}
			rules = append(rules, fmt.Sprintf("%v, closed for %g s", status.Gate, status.Summary.BlockedS()))
			slices.Sort(rules)
			story = append(story, strings.Join(rules, ", "))
		}
		s.end()
		story = append(story, gates...)
	})
	return story, warned
}

// No set of nowcasts, true or hostile, changes what a rule says, or when a gate opens
// or closes: the whole way from the broker to the gate.
func TestNoNowcastMovesARuleOrTheGate(t *testing.T) {
	warned := 0
	// A play costs a quarter of a second: so many seeds, and not rapid's hundred.
	scripts := rapid.Custom(drawSteps)
	for seed := range 12 {
		steps := scripts.Example(seed)
		alone, byItself := playHostile(t, steps, false)
		with, byNeighbours := playHostile(t, steps, true)
		if byItself {
			t.Fatal("the network warned without neighbours: the test would show nothing")
		}
		if byNeighbours {
			warned++
		}
		for i := range min(len(alone), len(with)) {
			if alone[i] != with[i] {
				t.Fatalf("script %d:\nalone: %s\nwith:  %s\n%+v", seed, alone[i], with[i], steps)
			}
		}
		if len(alone) != len(with) {
			t.Fatalf("script %d: %d moments alone, %d with neighbours", seed, len(alone), len(with))
		}
	}
	if warned == 0 {
		t.Error("no neighbour ever made the network warn: the test shows nothing")
	}
	t.Logf("neighbours made the network warn in %d of 12 scripts", warned)
}
