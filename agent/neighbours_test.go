package agent

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/receipt/receipttest"
	"fairwatt/model"
	"fairwatt/model/neighbours"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// An ear is a network that warns of wind when the neighbours tell of strong gusts,
// and keeps what it heard last.
type ear struct {
	gust, thunder atomic.Uint64 // bits of the highest ratio and of the nearness; NaN: nobody said
}

func newEar() *ear {
	e := &ear{}
	e.gust.Store(math.Float64bits(math.NaN()))
	e.thunder.Store(math.Float64bits(math.NaN()))
	return e
}

func (e *ear) Kinds() []model.Kind { return []model.Kind{model.KindWind} }

func (e *ear) Score(f *model.Features) (model.Scores, error) {
	said := func(i int) float64 {
		if f.Missing[i] {
			return math.NaN()
		}
		return float64(f.X[i])
	}
	gust := said(model.FeatureNeighbours)
	e.gust.Store(math.Float64bits(gust))
	e.thunder.Store(math.Float64bits(said(model.FeatureNeighbourThunder3h)))
	var s model.Scores
	s.Has[model.KindWind] = true
	if gust >= 1.5 {
		s.P[model.KindWind] = 0.99
	}
	return s, nil
}

// heard is what the network was told last of gusts; NaN for nothing.
func (e *ear) heard() float64 { return math.Float64frombits(e.gust.Load()) }

// A region of one device, whose data aggregators the test plays.
type regionSite struct {
	*liveSite
	ear *ear
	das map[string]ed25519.PrivateKey
	out mqtt.Pipe
}

func newRegionSite(t *testing.T, share string) *regionSite {
	list, keys := receipttest.DAs(4)
	s := &regionSite{liveSite: newLiveSite(t), ear: newEar(), das: make(map[string]ed25519.PrivateKey)}
	for _, da := range list {
		s.das[da.ID] = da.Key
	}
	s.cfg.Genesis, s.chain, s.key = "genesis.json", &Chain{ID: receipttest.Chain, DAs: keys}, testKey(1)
	s.cfg.Neighbours = &NeighboursConfig{Share: share}
	s.cfg.fill()
	s.cfg.Judge.Score.PeriodS = 1
	s.cfg.Judge.Score.Kinds = map[string]model.ScoreLimit{"wind": {Warn: 0.5}}
	s.scorer = s.ear
	s.out = s.broker.Pipe(mqtt.Will{})
	if err := s.out.Open(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *regionSite) own() wire.Topics { return wire.Topics{Site: "farm-1", Device: "pv-1"} }

// neighbour seals the nowcast of another device, 11 km to the north, in strong wind.
func (s *regionSite) neighbour(id string, key ed25519.PrivateKey, change func(n *neighbours.Nowcast)) nowcast.Vouched {
	n := neighbours.Nowcast{
		Position: neighbours.Position{LatitudeDeg: 20.1}, MadeAtMs: time.Now().UnixMilli(), ValidUntilMs: time.Now().UnixMilli() + nowcast.ValidMs,
		Weather: neighbours.Weather{GustRatio: neighbours.Some(2)},
	}
	if change != nil {
		change(&n)
	}
	sealed, err := nowcast.Seal(key, s.chain.ID, wire.Topics{Site: "farm-2", Device: id}, n, true)
	if err != nil {
		s.t.Fatal(err)
	}
	return nowcast.Vouched{Key: seal.FormatKey(key.Public().(ed25519.PublicKey)), Sealed: sealed}
}

// deliver has a data aggregator hand nowcasts to the device.
func (s *regionSite) deliver(da string, list ...nowcast.Vouched) {
	b, err := nowcast.SealDelivery(s.das[da], da, s.chain.ID, s.own(), time.Now().UnixMilli(), list)
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish(da, false, b)
}

func (s *regionSite) publish(da string, retained bool, b []byte) {
	if err := s.out.Publish(s.t.Context(), s.own().Neighbours(da), 0, retained, b); err != nil {
		s.t.Fatal(err)
	}
}

// refused are the refusals so far, by code.
func (s *regionSite) refused() map[string]uint64 {
	counters := make(map[string]uint64)
	l := s.agent.region.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	for code, n := range l.refused {
		counters[code] = n
	}
	return counters
}

// retained is the nowcast that the broker keeps of the device; nil for none.
func (s *regionSite) retained() *nowcast.Signed {
	s.t.Helper()
	var kept []byte
	watcher := s.broker.Pipe(mqtt.Will{})
	watcher.Subscribe(s.own().Of(wire.ClassNowcast), func(m mqtt.Message) {
		if m.Retained {
			kept = m.Payload
		}
	})
	if err := watcher.Open(); err != nil {
		s.t.Fatal(err)
	}
	defer watcher.Close()
	if len(kept) == 0 {
		return nil
	}
	n, err := nowcast.Open(kept, s.chain.ID, func(id string) (ed25519.PublicKey, bool) {
		return testKey(1).Public().(ed25519.PublicKey), id == "pv-1"
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// It tells its weather every ten minutes, from a rounded position, and takes it back
// when it stops.
func TestTellsItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		s.cfg.Location = &LocationConfig{Latitude: 20.0123, Longitude: -0.0312}
		s.cfg.Judge.Position = &model.Position{Latitude: 20.0123, Longitude: -0.0312}
		s.sensors = append(s.sensors, steady("lightning", model.LightningCount, 3))
		told := s.collect(wire.ClassNowcast)
		s.start()
		s.wait(5 * time.Second)
		first := s.retained()
		if first == nil || first.From != s.own() || !first.Simulated || first.Position.KM(neighbours.Position{LatitudeDeg: 20, LongitudeDeg: -0.05}) > 0.001 ||
			first.ValidUntilMs-first.MadeAtMs != nowcast.ValidMs || !first.Thunder || first.Strokes3h == 0 {
			t.Fatalf("%+v", first)
		}
		s.wait(10*time.Minute - time.Second)
		if n := len(told()); n != 2 {
			t.Errorf("%d nowcasts in ten minutes", n)
		}
		if second := s.retained(); second.MadeAtMs-first.MadeAtMs != nowcast.EveryMs {
			t.Errorf("%d ms between two", second.MadeAtMs-first.MadeAtMs)
		}
		s.end()
		if kept := s.retained(); kept != nil {
			t.Errorf("a stopped device still says %+v", kept)
		}
	})
}

// The switch: position tells no weather; off tells nothing, and takes back what
// was told before.
func TestPrivacySwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, SharePosition)
		s.start()
		s.wait(5 * time.Second)
		if n := s.retained(); n == nil || n.GustRatio.OK || n.PressureChange3hHPa.OK || n.Thunder {
			t.Errorf("position tells %+v", n)
		}
		s.end()
		for _, cfg := range []*NeighboursConfig{{Share: ShareOff}, nil} {
			b := s.neighbour("pv-1", testKey(1), nil) // as a run that was killed leaves it
			if err := s.out.Publish(t.Context(), s.own().Of(wire.ClassNowcast), 1, true, b.Sealed); err != nil {
				t.Fatal(err)
			}
			s.cfg.Neighbours = cfg
			told := s.collect(wire.ClassNowcast)
			s.start()
			s.wait(30 * time.Minute)
			got := told()
			if len(got) < 2 || strings.Join(got[1:], "") != "" {
				t.Errorf("%+v: it told %q", cfg, got)
			}
			s.deliver("da-1", s.neighbour("pv-7", testKey(7), nil))
			s.deliver("da-2", s.neighbour("pv-7", testKey(7), nil))
			s.wait(3 * time.Second)
			if v := s.ear.heard(); !math.IsNaN(v) {
				t.Errorf("%+v: it hears %v", cfg, v)
			}
			s.end()
		}
	})
}

// A clock that is not known tells nothing and believes nothing.
func TestNeighboursNeedAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		var synced atomic.Bool
		s.synced = synced.Load
		s.start()
		s.wait(5 * time.Second)
		hand := func() {
			v := s.neighbour("pv-7", testKey(7), nil)
			s.deliver("da-1", v)
			s.deliver("da-2", v)
			s.wait(3 * time.Second)
		}
		hand()
		if n := s.retained(); n != nil || !math.IsNaN(s.ear.heard()) || s.refused()[nowcast.CodeClockUnknown] != 2 {
			t.Errorf("without a clock: told %+v, heard %v, refused %v", n, s.ear.heard(), s.refused())
		}
		synced.Store(true)
		hand()
		if s.retained() == nil || s.ear.heard() != 2 {
			t.Errorf("with one: heard %v", s.ear.heard())
		}
		synced.Store(false) // now no one knows how old it is
		s.wait(3 * time.Second)
		if v := s.ear.heard(); !math.IsNaN(v) {
			t.Errorf("heard %v", v)
		}
		s.end()
	})
}

// One data aggregator is not believed; two of four are. The warning names who spoke,
// and goes when the nowcast is stale.
func TestHearsItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		s.open()
		v := s.neighbour("pv-7", testKey(7), nil)
		s.deliver("da-1", v)
		s.wait(3 * time.Second)
		if h := s.ear.heard(); !math.IsNaN(h) || len(s.refused()) != 0 {
			t.Errorf("one data aggregator made it hear %v, refused %v", h, s.refused())
		}
		s.deliver("da-2", v)
		s.deliver("da-3", v)
		s.wait(3 * time.Second)
		if h := s.ear.heard(); h != 2 || s.rules() != "M-wind" || s.agent.Status().Gate != model.StateOpen {
			t.Errorf("heard %v, rules %q, gate %v", h, s.rules(), s.agent.Status().Gate)
		}
		var telemetry wire.Telemetry
		s.lastJSON("telemetry", &telemetry)
		if c := telemetry.Counters; c["nowcasts_taken"] != 1 || c["neighbours"] != 1 || c["nowcasts_told"] != 1 {
			t.Errorf("counters %v", c)
		}
		s.wait(31 * time.Minute)
		if h := s.ear.heard(); !math.IsNaN(h) || s.rules() != "" {
			t.Errorf("half an hour later: heard %v, rules %q", h, s.rules())
		}
		s.end()
	})
}

// lastJSON waits for the next message of a class.
func (s *regionSite) lastJSON(class string, into any) {
	s.t.Helper()
	seen := s.collect(class)
	s.wait(s.cfg.Telemetry)
	got := seen()
	if len(got) == 0 {
		s.t.Fatalf("no %s", class)
	}
	if err := json.Unmarshal([]byte(got[len(got)-1]), into); err != nil {
		s.t.Fatal(err)
	}
}

// What does not hold is counted by its reason, and nobody hears of it.
func TestRefusesNowcasts(t *testing.T) {
	both := func(s *regionSite, list ...nowcast.Vouched) {
		s.deliver("da-1", list...)
		s.deliver("da-2", list...)
	}
	for name, c := range map[string]struct {
		code string
		do   func(s *regionSite)
	}{
		"forged": {nowcast.CodeBadSignature, func(s *regionSite) {
			v := s.neighbour("pv-7", testKey(8), nil)
			v.Key = seal.FormatKey(testKey(7).Public().(ed25519.PublicKey))
			both(s, v)
		}},
		"a key that one data aggregator makes up": {nowcast.CodeUnvouched, func(s *regionSite) {
			for range 3 {
				s.deliver("da-1", s.neighbour("made-up", testKey(9), nil))
				s.wait(40 * time.Second)
			}
		}},
		"stale": {nowcast.CodeStale, func(s *regionSite) {
			both(s, s.neighbour("pv-7", testKey(7), func(n *neighbours.Nowcast) { n.MadeAtMs -= nowcast.ValidMs + 1; n.ValidUntilMs -= 1 }))
		}},
		"early": {nowcast.CodeFuture, func(s *regionSite) {
			both(s, s.neighbour("pv-7", testKey(7), func(n *neighbours.Nowcast) { n.MadeAtMs += neighbours.SkewMs + 5000; n.ValidUntilMs += 600_000 }))
		}},
		"far": {nowcast.CodeFar, func(s *regionSite) {
			both(s, s.neighbour("pv-7", testKey(7), func(n *neighbours.Nowcast) { n.Position.LongitudeDeg = 90 }))
		}},
		"its own":       {nowcast.CodeOwn, func(s *regionSite) { both(s, s.neighbour("pv-1", testKey(1), nil)) }},
		"no key":        {nowcast.CodeMalformed, func(s *regionSite) { v := s.neighbour("pv-7", testKey(7), nil); v.Key = "x"; both(s, v) }},
		"no nowcast":    {nowcast.CodeMalformed, func(s *regionSite) { v := s.neighbour("pv-7", testKey(7), nil); v.Sealed = []byte("x"); both(s, v) }},
		"no delivery":   {nowcast.CodeMalformed, func(s *regionSite) { s.publish("da-1", false, []byte("{}")) }},
		"of a stranger": {nowcast.CodeUnknown, func(s *regionSite) { s.publish("da-9", false, []byte("{}")) }},
		"retained":      {nowcast.CodeStale, func(s *regionSite) { s.publishRetained("da-1") }},
		"a flood": {nowcast.CodeFlood, func(s *regionSite) {
			for range 3 * deliveriesAtOnce {
				s.publish("da-1", false, []byte("{}"))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRegionSite(t, ShareOn)
				s.start()
				s.wait(5 * time.Second)
				c.do(s)
				s.wait(3 * time.Second)
				if n := s.refused()[c.code]; n == 0 {
					t.Errorf("refused %v, want %s", s.refused(), c.code)
				}
				if v := s.ear.heard(); !math.IsNaN(v) {
					t.Errorf("it hears %v", v)
				}
				s.end()
			})
		})
	}
}

func (s *regionSite) publishRetained(da string) {
	s.agent.region.listener.post(mqtt.Message{Topic: s.own().Neighbours(da), Retained: true})
}

// Simulated weather is not for a real device.
func TestRealDeviceRefusesSimulatedWeather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		s.cfg.Simulated = false
		s.start()
		s.wait(5 * time.Second)
		v := s.neighbour("pv-7", testKey(7), nil)
		s.deliver("da-1", v)
		s.deliver("da-2", v)
		s.wait(3 * time.Second)
		if s.refused()[nowcast.CodeSimulated] != 1 || !math.IsNaN(s.ear.heard()) {
			t.Errorf("refused %v, heard %v", s.refused(), s.ear.heard())
		}
		s.end()
	})
}

func TestNeighboursConfig(t *testing.T) {
	good := func() Config {
		cfg := testConfig(t, "pv-1")
		cfg.Genesis, cfg.Location, cfg.Neighbours = "genesis.json", &LocationConfig{Latitude: 20}, &NeighboursConfig{Share: ShareOn}
		cfg.fill()
		return cfg
	}
	cfg := good()
	if err := cfg.Validate(); err != nil || cfg.Neighbours.StepDeg != 0.05 || cfg.Neighbours.WithinKM != 600 {
		t.Fatalf("%v, %+v", err, cfg.Neighbours)
	}
	for name, c := range map[string]struct {
		field  string // empty: it is fine
		change func(c *Config)
	}{
		"no share":            {"neighbours.share", func(c *Config) { c.Neighbours.Share = "" }},
		"another word":        {"neighbours.share", func(c *Config) { c.Neighbours.Share = strings.Repeat("yes", 40) }},
		"an exact place":      {"neighbours.step_deg", func(c *Config) { c.Neighbours.StepDeg = 0.009 }},
		"a place of no use":   {"neighbours.step_deg", func(c *Config) { c.Neighbours.StepDeg = 1.01 }},
		"a step that is none": {"neighbours.step_deg", func(c *Config) { c.Neighbours.StepDeg = math.NaN() }},
		"too far":             {"neighbours.within_km", func(c *Config) { c.Neighbours.WithinKM = 601 }},
		"no place":            {"neighbours", func(c *Config) { c.Location = nil }},
		"no chain":            {"neighbours", func(c *Config) { c.Genesis = "" }},
		"a network that blocks": {"neighbours", func(c *Config) {
			c.Judge.Score.Kinds = map[string]model.ScoreLimit{"wind": {Warn: 0.5, Block: 0.9}}
		}},
		"off needs neither": {"", func(c *Config) {
			c.Neighbours.Share, c.Location, c.Genesis, c.Judge.Position = ShareOff, nil, "", nil
		}},
	} {
		cfg := good()
		c.change(&cfg)
		err := cfg.Validate()
		var wrong *ConfigError
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &wrong) || wrong.Field != c.field || len(err.Error()) > 200) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := "site: a\ndevice: b\nsimulated: true\ngenesis: g\nlocation: {latitude: 1, longitude: 2}\nsensors: [{kind: bme280, address: 0x76}]\nneighbours: {share: %s}\n"
	for _, word := range []string{"on", "off", "position"} { // on and off are words, not booleans
		if _, err := ParseConfig(strings.NewReader(fmt.Sprintf(text, word))); err != nil {
			t.Errorf("share: %s: %v", word, err)
		}
	}
}
