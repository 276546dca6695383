package exchange

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/model/neighbours"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

var chain = [32]byte{3}

func keyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// A market is an exchange over a broker in memory, within a bubble. Devices whose
// names begin with x are not registered.
type market struct {
	t      *testing.T
	broker mqtttest.Broker
	in     mqtt.Pipe // of the devices
	e      *Exchange

	mu  sync.Mutex          // the exchange's goroutine hands over
	got map[string][]string // senders handed to each device, in order
}

func newMarket(t *testing.T, distanceKM float64) *market {
	m := &market{t: t, got: make(map[string][]string)}
	out := m.broker.Pipe(mqtt.Will{})
	m.in = m.broker.Pipe(mqtt.Will{})
	m.e = New(Config{
		DA: "da-1", Key: keyOf("da-1"), Chain: chain, Pipes: []mqtt.Pipe{out}, DistanceKM: distanceKM, Every: 10 * time.Minute,
		Participant: func(id string) (string, ed25519.PublicKey, bool) {
			return "s", keyOf(id).Public().(ed25519.PublicKey), !strings.HasPrefix(id, "x")
		},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	out.Subscribe(wire.EveryDevice(wire.ClassNowcast), m.e.Take)
	m.in.Subscribe(wire.EveryDevice(wire.ClassNeighbours+"+"), m.handed)
	for _, p := range []mqtt.Pipe{out, m.in} {
		if err := p.Open(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.e.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// handed opens a delivery as the device does.
func (m *market) handed(msg mqtt.Message) {
	topic, err := wire.ParseTopic(msg.Topic)
	if err != nil || msg.Retained || topic.Class != wire.ClassNeighbours+"da-1" {
		m.t.Errorf("delivery on %s, retained %v: %v", msg.Topic, msg.Retained, err)
	}
	keys := func(id string) (ed25519.PublicKey, bool) { return keyOf(id).Public().(ed25519.PublicKey), true }
	list, err := nowcast.OpenDelivery(msg.Payload, "da-1", chain, keys, topic.Topics, time.Now().UnixMilli())
	if err != nil {
		m.t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range list {
		got, err := nowcast.Open(v.Sealed, chain, keys)
		if err != nil || string(v.Key) != string(seal.FormatKey(keyOf(got.Sender).Public().(ed25519.PublicKey))) {
			m.t.Errorf("%v, key %s", err, v.Key)
			continue
		}
		m.got[topic.Device] = append(m.got[topic.Device], got.Sender)
	}
}

// sealedAt is a nowcast of a device at a longitude on the equator, where a degree is
// 111 km.
func sealedAt(t *testing.T, id string, lon float64, change func(*neighbours.Nowcast)) []byte {
	n := neighbours.Nowcast{
		Position: neighbours.Position{LongitudeDeg: lon}, MadeAtMs: time.Now().UnixMilli(), ValidUntilMs: time.Now().UnixMilli() + nowcast.ValidMs,
		Weather: neighbours.Weather{GustRatio: neighbours.Some(1)},
	}
	if change != nil {
		change(&n)
	}
	b, err := nowcast.Seal(keyOf(id), chain, wire.Topics{Site: "s", Device: id}, n, false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *market) publish(id string, payload []byte) {
	if err := m.in.Publish(m.t.Context(), wire.Topics{Site: "s", Device: id}.Of(wire.ClassNowcast), 1, true, payload); err != nil {
		m.t.Fatal(err)
	}
}

// tell publishes the nowcast of a device now.
func (m *market) tell(id string, lon float64) { m.publish(id, sealedAt(m.t, id, lon, nil)) }

// pass waits until what was told is handed on.
func (m *market) pass() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

func (m *market) want(what string, want map[string]string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, list := range want {
		if got := strings.Join(m.got[id], " "); got != list {
			m.t.Errorf("%s: %s was handed %q, want %q", what, id, got, list)
		}
	}
	for id := range m.got {
		if _, ok := want[id]; !ok {
			m.t.Errorf("%s: %s was handed %q", what, id, m.got[id])
		}
	}
	m.got = make(map[string][]string)
}

// Whoever tells is handed what those nearby tell, each of it once.
func TestHandsOnWithinTheDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t, 150)
		m.tell("a", 0)
		m.tell("b", 1)   // 111 km from a
		m.tell("c", 2.3) // 145 km from b, 256 km from a
		m.pass()
		m.want("at first", map[string]string{"a": "b", "b": "a c", "c": "b"})
		if s := m.e.Stats(); s.Deliveries != 3 {
			t.Errorf("%d deliveries for 3 devices", s.Deliveries)
		}
		m.pass()
		m.want("nothing new", nil)
		time.Sleep(10 * time.Minute)
		m.tell("b", 1)
		m.pass()
		m.want("b tells again", map[string]string{"a": "b", "c": "b"})
		// It may have missed something while it was away.
		m.e.Again(wire.Topics{Site: "s", Device: "b"})
		m.e.Again(wire.Topics{Site: "s", Device: "nobody"})
		m.pass()
		m.want("b came online", map[string]string{"b": "a c"})
		// Who withdraws is handed on no more, and handed nothing.
		m.publish("b", nil) // then a has no one near it
		m.tell("a", 0)
		m.e.Again(wire.Topics{Site: "s", Device: "b"})
		m.e.Again(wire.Topics{Site: "s", Device: "c"})
		m.pass()
		m.want("b has withdrawn", nil)
		// What is 30 minutes old is not handed on.
		m.tell("b", 1)
		time.Sleep(31 * time.Minute)
		m.want("b is back", map[string]string{"a": "b", "b": "a c", "c": "b"})
		m.tell("a", 0)
		m.pass()
		m.want("all others are stale", nil)
		if s := m.e.Stats(); s.Taken != 7 || s.Senders != 1 || len(m.e.Newest()) != 1 || s.Refused[nowcast.CodeFar] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// What does not hold is refused, counted and named, and no one is handed it.
func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name, code, names string
		topic             string // of s/
		payload           func(t *testing.T) []byte
	}{
		{"not registered", nowcast.CodeUnknown, "x-1", "x-1", func(t *testing.T) []byte { return sealedAt(t, "x-1", 0, nil) }},
		{"another site", nowcast.CodeUnknown, "other/b", "", func(t *testing.T) []byte { return sealedAt(t, "b", 0, nil) }},
		{"forged", nowcast.CodeBadSignature, "b", "b", func(t *testing.T) []byte {
			forged, err := seal.Seal(keyOf("thief"), "b", seal.DomainNowcast, chain, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			return forged
		}},
		{"in another's name", nowcast.CodeUnknown, "c", "b", func(t *testing.T) []byte { return sealedAt(t, "c", 0, nil) }},
		{"stale", nowcast.CodeStale, "ago", "b", func(t *testing.T) []byte {
			return sealedAt(t, "b", 0, func(n *neighbours.Nowcast) {
				n.MadeAtMs -= nowcast.ValidMs + 1
				n.ValidUntilMs = n.MadeAtMs + 3_600_000
			})
		}},
		{"past its validity", nowcast.CodeStale, "valid_until", "b", func(t *testing.T) []byte {
			return sealedAt(t, "b", 0, func(n *neighbours.Nowcast) { n.MadeAtMs -= 60_000; n.ValidUntilMs = n.MadeAtMs + 30_000 })
		}},
		{"from the future", nowcast.CodeFuture, "clock", "b", func(t *testing.T) []byte {
			return sealedAt(t, "b", 0, func(n *neighbours.Nowcast) {
				n.MadeAtMs += neighbours.SkewMs + 1000
				n.ValidUntilMs = n.MadeAtMs + 1000
			})
		}},
		{"replayed", nowcast.CodeReplayed, "made_ms", "b", func(t *testing.T) []byte {
			return sealedAt(t, "b", 0.1, func(n *neighbours.Nowcast) { n.MadeAtMs -= 1; n.ValidUntilMs -= 1 })
		}},
		{"of the same time", nowcast.CodeReplayed, "made_ms", "b", func(t *testing.T) []byte { return sealedAt(t, "b", 0.1, nil) }},
		{"no nowcast", nowcast.CodeMalformed, "sealed", "b", func(*testing.T) []byte { return []byte("{}") }},
		{"long", nowcast.CodeMalformed, "bytes", "b", func(*testing.T) []byte { return make([]byte, 1<<20) }},
		{"alone", nowcast.CodeFar, "150 km", "far-1", func(t *testing.T) []byte { return sealedAt(t, "far-1", 90, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMarket(t, 150)
				m.tell("a", 0)
				m.tell("b", 0.2)
				m.pass()
				m.want("at first", map[string]string{"a": "b", "b": "a"})
				bad := c.payload(t)
				if c.topic == "" {
					if err := m.in.Publish(t.Context(), "fairwatt/v1/other/b/nowcast", 1, true, bad); err != nil {
						t.Fatal(err)
					}
				} else {
					if strings.HasPrefix(c.code, nowcast.CodeReplayed) { // made at the very time of the first
						bad = sealedAt(t, "b", 0.1, func(n *neighbours.Nowcast) {
							n.MadeAtMs, n.ValidUntilMs = m.e.Newest()[1].MadeAtMs, m.e.Newest()[1].ValidUntilMs
							if c.name == "replayed" {
								n.MadeAtMs--
							}
						})
					}
					m.publish(c.topic, bad)
				}
				m.pass()
				s := m.e.Stats()
				if s.Refused[c.code] != 1 || len(s.Refused) != 1 || s.Last.Code != c.code || !strings.Contains(s.Last.Text, c.names) || len(s.Last.Text) > 300 {
					t.Errorf("%v, last %+v; want one %s that names %q", s.Refused, s.Last, c.code, c.names)
				}
				m.want("refused", nil)
			})
		})
	}
}

// A flood of one sender costs a few signatures, and the others nothing.
func TestFloodOfOneIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t, 150)
		m.tell("a", 0)
		for i := range 500 {
			m.publish("b", sealedAt(t, "b", 0.1, func(n *neighbours.Nowcast) { n.MadeAtMs += int64(i) }))
			synctest.Wait()
		}
		m.tell("c", 0.2)
		m.pass()
		s := m.e.Stats()
		if s.Refused[nowcast.CodeFlood] != 500-burst || s.Taken != burst+2 {
			t.Errorf("%+v", s)
		}
		m.want("after the flood", map[string]string{"a": "b c", "b": "a c", "c": "b a"})
		// A sender whose clock stands still a while is heard again.
		time.Sleep(10 * time.Minute)
		m.tell("b", 0.1)
		m.pass()
		m.want("later", map[string]string{"a": "b", "c": "b"})
	})
}

// Take never blocks: what finds no room is counted.
func TestFullQueue(t *testing.T) {
	e := New(Config{Every: time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	for range queued + 3 {
		e.Take(mqtt.Message{Topic: "x"})
	}
	if s := e.Stats(); s.Dropped != 3 {
		t.Errorf("%d dropped", s.Dropped)
	}
}

// The broker's old messages of devices that went are no one's fault.
func TestRetainedStaleIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t, 150)
		old := sealedAt(t, "b", 0, nil)
		time.Sleep(time.Hour)
		for _, retained := range []bool{true, false} {
			m.e.Take(mqtt.Message{Topic: "fairwatt/v1/s/b/nowcast", Payload: old, Retained: retained})
		}
		m.pass()
		if s := m.e.Stats(); s.Refused[nowcast.CodeStale] != 1 {
			t.Errorf("%v", s.Refused)
		}
	})
}

// Where more are near than a delivery holds, every place is heard.
func TestSpread(t *testing.T) {
	at := func(id string, lon, km float64) near {
		return near{&sender{newest: &nowcast.Signed{Nowcast: neighbours.Nowcast{Sender: id, Position: neighbours.Position{LongitudeDeg: lon}}}}, km}
	}
	var all []near
	for i := range 100 {
		all = append(all, at(fmt.Sprintf("village-%02d", i), 0, 1))
	}
	for i := range 10 {
		all = append(all, at(fmt.Sprintf("hill-%d", i), float64(1+i), float64(10*i+20)))
	}
	kept := spread(all, neighbours.MaxNeighbours)
	var ids []string
	for _, n := range kept {
		ids = append(ids, n.newest.Sender)
	}
	list := strings.Join(ids, " ")
	if len(kept) != neighbours.MaxNeighbours || strings.Count(list, "hill-") != 10 || !strings.HasPrefix(list, "village-00 hill-0 hill-1") {
		t.Errorf("%s", list)
	}
	if few := spread(all[:5], 5); len(few) != 5 || few[0].newest.Sender != "village-00" {
		t.Errorf("few: %d", len(few))
	}
}
