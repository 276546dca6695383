package mqtt

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"fairwatt/proto/loopback"
	"fairwatt/proto/wire"
)

// A rights hook lets clients do everything but read what is denied, and notes
// what they ask for.
type rights struct {
	mochi.HookBase
	mu     sync.Mutex
	denied map[string]int // filter: how often yet
	asked  []string       // filters, in order
	gone   chan string    // ids of clients that left; nil: not told
}

func (*rights) ID() string { return "rights" }

func (*rights) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnDisconnect
}

func (*rights) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (r *rights) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if write {
		return true
	}
	r.asked = append(r.asked, topic)
	r.denied[topic]--
	return r.denied[topic] < 0
}

func (r *rights) OnDisconnect(cl *mochi.Client, _ error, _ bool) {
	if r.gone != nil {
		r.gone <- cl.ID
	}
}

func (r *rights) times(filter string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.asked {
		if f == filter {
			n++
		}
	}
	return n
}

// startBroker runs a broker of this process and returns its URL.
func startBroker(t *testing.T, r *rights) string {
	t.Helper()
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(r, nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddListener(listeners.NewNet("tcp", l)); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test is over
	return "tcp://" + l.Addr().String()
}

// connect opens a client and waits until its subscriptions stand.
func connect(t *testing.T, cfg Config, subscribe func(*Client)) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{}, 8)
	c.OnUp(func() { up <- struct{}{} })
	if subscribe != nil {
		subscribe(c)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection", up)
	return c
}

const patience = time.Minute // of a loaded machine

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no sign of %s", what)
		panic("unreachable")
	}
}

func into(c chan Message) func(Message) { return func(m Message) { c <- m } }

// A client with a presence topic says online when its subscriptions stand, and
// offline when it closes.
func TestPresence(t *testing.T) {
	url := startBroker(t, &rights{denied: map[string]int{}})
	topic := wire.StatusOfDA("da-1")
	heard := make(chan Message, 8)
	watcher := connect(t, Config{URL: url, Ordered: true}, func(c *Client) { c.Subscribe(topic, into(heard)) })
	defer watcher.Close()
	c := connect(t, Config{URL: url, ClientID: "da-1", Presence: topic}, nil)
	if m := await(t, "online", heard); string(m.Payload) != wire.Online || m.Topic != topic {
		t.Errorf("heard %q on %s", m.Payload, m.Topic)
	}
	c.Close()
	m := await(t, "offline", heard)
	if m.Retained || string(m.Payload) == wire.Online {
		m = await(t, "offline", heard) // the broker sent online twice: as kept, and as it came
	}
	if string(m.Payload) != wire.Offline {
		t.Errorf("heard %q", m.Payload)
	}
	if c.Connected() {
		t.Error("a closed client is connected")
	}
}

// What the broker kept for a session while its client was away is delivered. (This
// broker keeps no order within a second.)
func TestSessionIsKept(t *testing.T) {
	r := &rights{denied: map[string]int{}, gone: make(chan string, 8)}
	url := startBroker(t, r)
	cfg := Config{URL: url, ClientID: "da-1", Ordered: true, Resend: true}
	connect(t, cfg, func(c *Client) { c.Subscribe("in/#", func(Message) {}) }).Close()
	await(t, "the client's leave", r.gone)
	sender := connect(t, Config{URL: url}, nil)
	defer sender.Close()
	var want []string
	for _, payload := range []string{"a", "b", "c", "d"} {
		if err := sender.Publish(t.Context(), "in/x", 1, false, []byte(payload)); err != nil {
			t.Fatal(err)
		}
		want = append(want, payload)
	}
	// This broker acknowledges a message before it has kept it, and takes the next
	// of a sender after that.
	if err := sender.Publish(t.Context(), "other", 1, false, []byte("x")); err != nil {
		t.Fatal(err)
	}
	heard := make(chan Message, 8)
	again := connect(t, cfg, func(c *Client) { c.Subscribe("in/#", into(heard)) })
	defer again.Close()
	var got []string
	for range want {
		got = append(got, string(await(t, "a kept message", heard).Payload))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
}

// A filter that the broker refuses is asked for again until it is granted; those
// that it granted are not, or their retained messages would come twice.
func TestRefusedSubscriptionIsTriedAgain(t *testing.T) {
	r := &rights{denied: map[string]int{"b/#": 2}}
	url := startBroker(t, r)
	heard := make(chan Message, 8)
	c := connect(t, Config{URL: url}, func(c *Client) {
		c.Subscribe("a/#", into(heard))
		c.Subscribe("b/#", into(heard))
	})
	defer c.Close()
	if a, b := r.times("a/#"), r.times("b/#"); a != 1 || b != 3 {
		t.Errorf("asked %d times for what was granted and %d times for what was refused twice", a, b)
	}
	for _, topic := range []string{"a/x", "b/x"} {
		if err := c.Publish(t.Context(), topic, 1, false, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if m := await(t, topic, heard); m.Topic != topic {
			t.Errorf("heard %s, want %s", m.Topic, topic)
		}
	}
}

// A client that closes while its subscription is refused stops asking.
func TestRefusedSubscriptionEndsWithTheConnection(t *testing.T) {
	r := &rights{denied: map[string]int{"a": 1 << 30}}
	c, err := New(Config{URL: startBroker(t, r)})
	if err != nil {
		t.Fatal(err)
	}
	lost, up := c.connection(), make(chan struct{}, 1)
	c.OnUp(func() { up <- struct{}{} })
	ended := make(chan struct{})
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection", up)
	go func() { c.Subscribe("a", func(Message) {}); close(ended) }()
	c.Close()
	await(t, "the end of the connection", lost)
	await(t, "the end of Subscribe", ended)
}

// A subscription made while connected stands when Subscribe returns.
func TestSubscribeWhileConnected(t *testing.T) {
	url := startBroker(t, &rights{denied: map[string]int{}})
	c := connect(t, Config{URL: url}, nil)
	defer c.Close()
	if err := c.Publish(t.Context(), "a", 1, true, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	heard := make(chan Message, 1)
	c.Subscribe("a", into(heard))
	if m := await(t, "the retained message", heard); !m.Retained || string(m.Payload) != "kept" {
		t.Errorf("heard %+v", m)
	}
}

// With Ordered, messages are handled one after another in the order of arrival.
func TestOrdered(t *testing.T) {
	url := startBroker(t, &rights{denied: map[string]int{}})
	heard := make(chan Message, 64)
	c := connect(t, Config{URL: url, ClientID: "da-1", Ordered: true}, func(c *Client) { c.Subscribe("in", into(heard)) })
	defer c.Close()
	for i := range byte(64) {
		if err := c.Publish(t.Context(), "in", 1, false, []byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range byte(64) {
		if m := await(t, "the next message", heard); m.Payload[0] != i {
			t.Fatalf("message %d came as number %d", m.Payload[0], i)
		}
	}
}

// Servers that are one broker stand in one URL. A client finds the one that answers,
// wherever in the list it stands, and clients of different names begin at different ones.
func TestServersOfOneBroker(t *testing.T) {
	var gone []string // addresses at which no one listens
	for range 2 {
		addr, err := loopback.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		gone = append(gone, "tcp://"+addr)
	}
	live := startBroker(t, &rights{})
	for _, urls := range [][]string{{live, gone[0], gone[1]}, {gone[0], live, gone[1]}, {gone[0], gone[1], live}} {
		c := connect(t, Config{URL: strings.Join(urls, ","), ClientID: "pv-1"}, nil)
		if err := c.Publish(t.Context(), "a", 1, false, []byte("x")); err != nil {
			t.Errorf("%q: %v", urls, err)
		}
		c.Close()
	}
	firsts := make(map[string]int)
	for i := range 30 {
		c, err := New(Config{URL: "tcp://a:1,tcp://b:1,tcp://c:1", ClientID: fmt.Sprintf("pv-%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		o := c.options()
		var all []string
		for _, u := range o.Servers {
			all = append(all, u.Host)
		}
		firsts[all[0]]++
		if slices.Sort(all); !slices.Equal(all, []string{"a:1", "b:1", "c:1"}) {
			t.Fatalf("pv-%d has the servers %q", i, all)
		}
	}
	for host, n := range firsts {
		if n < 5 || len(firsts) != 3 {
			t.Errorf("%d of 30 begin at %s, of %v", n, host, firsts)
		}
	}
}
