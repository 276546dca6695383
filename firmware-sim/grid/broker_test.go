package grid

import (
	"crypto/tls"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fairwatt/aggregator"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/mqtt"
)

func TestMayUse(t *testing.T) {
	const down, cmd = "fairwatt/v1/site-1/pv-1/down/receipt/", "fairwatt/v1/site-1/pv-1/cmd/ack"
	for _, c := range []struct {
		role        role
		id, topic   string
		read, write bool
	}{
		// A device: its own topics.
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/up/record", true, true},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/gate", true, true},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/hazard/wind", true, true},
		{roleDevice, "pv-1", down + "da-1", true, false},
		{roleDevice, "pv-1", down + "+", true, false},
		{roleDevice, "pv-1", cmd, true, false},
		// Another's.
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-2/up/record", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/pv-1/pv-2/up/record", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-2/down/receipt/da-1", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/da/da-1/status", false, false},
		// Filters that reach further than its own.
		{roleDevice, "pv-1", "fairwatt/v1/+/+/up/record", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/+/gate", false, false},
		{roleDevice, "pv-1", "fairwatt/#", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/#", false, false},
		{roleDevice, "pv-1", "#", false, false},
		{roleDevice, "pv-1", "+/v1/site-1/pv-1/gate", false, false},
		{roleDevice, "pv-1", "", false, false},
		{roleDevice, "pv-1", "fairwatt/v2/site-1/pv-1/gate", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1", false, false},
		// Home automation: it announces its own, and hears the restart.
		{roleDevice, "pv-1", "homeassistant/sensor/pv-1/config", false, true},
		{roleDevice, "pv-1", "homeassistant/sensor/pv-2/config", false, false},
		{roleDevice, "pv-1", "homeassistant/status", true, false},
		// A data aggregator reads all and answers in its own name.
		{roleDA, "da-1", "fairwatt/v1/+/+/up/record", true, false},
		{roleDA, "da-1", "fairwatt/#", true, false},
		{roleDA, "da-1", down + "da-1", true, true},
		{roleDA, "da-1", down + "da-2", true, false},
		{roleDA, "da-1", down + "da-1/more", true, false},
		{roleDA, "da-1", "fairwatt/v1/site-1/pv-1/down/neighbours/da-1", true, true},
		{roleDA, "da-1", "fairwatt/v1/site-1/pv-1/down/neighbours/da-2", true, false},
		{roleDA, "da-1", "fairwatt/v1/site-1/pv-1/nowcast", true, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/nowcast", true, true},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-2/nowcast", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/down/neighbours/da-1", true, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/made-up", true, false},
		{roleDA, "da-1", "fairwatt/v1/da/da-1/status", true, true},
		{roleDA, "da-1", "fairwatt/v1/da/da-2/status", true, false},
		{roleDA, "da-1", "fairwatt/v1/site-1/pv-1/gate", true, false},
		{roleDA, "da-1", cmd, true, false},
		{roleDA, "da-1", "homeassistant/status", false, false},
		{roleDA, "da-1", "#", false, false},
		// An owner sends commands and nothing else; results are the device's.
		{roleOwner, "ada", cmd, true, true},
		{roleOwner, "ada", "fairwatt/v1/site-1/pv-1/cmd/block", true, true},
		{roleOwner, "ada", "fairwatt/v1/site-1/pv-1/cmd/unblock", true, true},
		{roleOwner, "ada", "fairwatt/v1/site-1/pv-1/cmd/result", true, false},
		{roleOwner, "ada", "fairwatt/v1/site-1/pv-1/cmd/ack/x", true, false},
		{roleOwner, "ada", "fairwatt/v1/site-1/pv-1/gate", true, false},
		{roleOwner, "ada", "fairwatt/v1/+/pv-1/cmd/ack", true, false},
		{roleOwner, "ada", down + "da-1", true, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/cmd/block", true, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-2/cmd/block", false, false},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-1/cmd/result", true, true},
		{roleDevice, "pv-1", "fairwatt/v1/site-1/pv-2/cmd/result", false, false},
		{roleDA, "da-1", "fairwatt/v1/site-1/pv-1/cmd/block", true, false},
		// The open listener, which has no identity, only looks.
		{0, "", "fairwatt/#", true, false},
		{0, "", "fairwatt/v1/site-1/pv-1/gate", true, false},
		{0, "", "fairwatt/v1/site-1//gate", true, false},
		{0, "", "fairwatt/v1/da//status", true, false},
		{0, "", "homeassistant/status", false, false},
		{0, "", "#", false, false},
		{0, "", "$SYS/#", false, false},
	} {
		if got := mayUse(c.role, c.id, c.topic, false); got != c.read {
			t.Errorf("role %d %q reads %q: %v, want %v", c.role, c.id, c.topic, got, c.read)
		}
		if got := mayUse(c.role, c.id, c.topic, true); got != c.write {
			t.Errorf("role %d %q writes %q: %v, want %v", c.role, c.id, c.topic, got, c.write)
		}
	}
}

// A brokerTown is a community and its broker, with a client for every device.
type brokerTown struct {
	t         *testing.T
	community *mc.Community
	broker    *broker
}

func newBrokerTown(t *testing.T) *brokerTown {
	t.Helper()
	community, err := mc.NewCommunity(mc.Options{Name: "test", DAs: mc.DefaultDAs(4, "127.0.0.1", 1), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(brokerTLS(community), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	b.Admit("da-1", roleDA)
	b.Admit("pv-1", roleDevice)
	b.Admit("pv-2", roleDevice)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &brokerTown{t: t, community: community, broker: b}
}

// certificate is a fresh one of an authority.
func (w *brokerTown) certificate(by *mc.Authority, id string) []tls.Certificate {
	w.t.Helper()
	cert, err := by.IssueTLS(id, mc.RoleAgent, nil, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return []tls.Certificate{cert}
}

// dial connects with the given certificates, or to the open listener if the URL
// is that one's.
func (w *brokerTown) dial(url, clientID string, certs []tls.Certificate) (paho.Client, error) {
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(clientID).SetAutoReconnect(false).SetConnectTimeout(time.Minute).
		SetTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: w.community.Authority.Pool(), Certificates: certs}))
	token := c.Connect()
	if !token.WaitTimeout(time.Minute) {
		w.t.Fatalf("connect %s: no answer", clientID)
	}
	return c, token.Error()
}

// connect is a dial that must succeed; the client is gone at the test's end.
func (w *brokerTown) connect(url, clientID string, certs []tls.Certificate) paho.Client {
	w.t.Helper()
	c, err := w.dial(url, clientID, certs)
	if err != nil {
		w.t.Fatalf("connect %s: %v", clientID, err)
	}
	w.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// subscribe returns the messages that arrive under a filter, and whether the
// broker granted it.
func (w *brokerTown) subscribe(c paho.Client, filter string) (<-chan paho.Message, bool) {
	w.t.Helper()
	got := make(chan paho.Message, 16)
	token := c.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) { got <- m })
	if !token.WaitTimeout(time.Minute) {
		w.t.Fatalf("subscribe %s: no answer", filter)
	}
	code := token.(*paho.SubscribeToken).Result()[filter]
	return got, code < 0x80
}

func publish(t *testing.T, c paho.Client, topic, payload string) {
	t.Helper()
	token := c.Publish(topic, 1, false, payload)
	if !token.WaitTimeout(time.Minute) && c.IsConnected() {
		t.Fatalf("publish %s: no answer", topic)
	}
}

// arrives waits for a message and returns its topic.
func arrives(t *testing.T, got <-chan paho.Message) string {
	t.Helper()
	select {
	case m := <-got:
		return m.Topic()
	case <-time.After(time.Minute):
		t.Fatal("nothing arrived")
		return ""
	}
}

func TestBrokerKeepsDevicesApart(t *testing.T) {
	w := newBrokerTown(t)
	authority := w.community.Authority
	da := w.connect(w.broker.URL(), "da-1", []tls.Certificate{w.community.DAs[0].TLS})
	records, ok := w.subscribe(da, "fairwatt/v1/+/+/up/record")
	if !ok {
		t.Fatal("a data aggregator may not read records")
	}
	device := w.connect(w.broker.URL(), "pv-1", w.certificate(authority, "pv-1"))
	// The client id is only a name: the certificate says who it is.
	for _, id := range []string{"pv-1", "pv-9"} {
		impostor := w.connect(w.broker.URL(), id+"-of-another", w.certificate(authority, "pv-2"))
		publish(t, impostor, "fairwatt/v1/site-1/"+id+"/up/record", "forged")
	}
	other := w.connect(w.broker.URL(), "pv-2", w.certificate(authority, "pv-2"))
	publish(t, other, "fairwatt/v1/site-1/pv-2/up/record", "own")
	if topic := arrives(t, records); topic != "fairwatt/v1/site-1/pv-2/up/record" {
		t.Errorf("first came %s, want only what pv-2 may write", topic)
	}
	if _, ok := w.subscribe(device, "fairwatt/v1/+/+/up/record"); ok {
		t.Error("a device may read all records")
	}
	if _, ok := w.subscribe(device, "fairwatt/v1/site-1/pv-2/down/receipt/+"); ok {
		t.Error("a device may read another's receipts")
	}
	receipts, ok := w.subscribe(device, "fairwatt/v1/site-1/pv-1/down/receipt/+")
	if !ok {
		t.Fatal("a device may not read its receipts")
	}
	// The broker ends the connection of a client that writes to a forbidden
	// topic.
	liar := w.connect(w.broker.URL(), "da-1-again", []tls.Certificate{w.community.DAs[0].TLS})
	publish(t, liar, "fairwatt/v1/site-1/pv-1/down/receipt/da-2", "in another's name")
	publish(t, da, "fairwatt/v1/site-1/pv-1/down/receipt/da-1", "receipt")
	if topic := arrives(t, receipts); topic != "fairwatt/v1/site-1/pv-1/down/receipt/da-1" {
		t.Errorf("first came %s, want da-1's receipt", topic)
	}
}

func TestBrokerRefusesStrangers(t *testing.T) {
	w := newBrokerTown(t)
	foreign, err := mc.NewAuthority("foreign", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, certs := range map[string][]tls.Certificate{
		"no certificate":                      nil,
		"a certificate of another authority":  w.certificate(foreign, "pv-1"),
		"a certificate of an unknown device":  w.certificate(w.community.Authority, "pv-3"),
		"the broker's own, which is a server": {w.community.Broker},
	} {
		if c, err := w.dial(w.broker.URL(), "pv-1", certs); err == nil {
			c.Disconnect(0)
			t.Errorf("%s may connect", name)
		}
	}
	// Plain text at the TLS listener.
	if c, err := w.dial(strings.Replace(w.broker.URL(), "tls://", "tcp://", 1), "pv-1", nil); err == nil {
		c.Disconnect(0)
		t.Error("a client without TLS may connect to the TLS listener")
	}
}

func TestBrokerOpenListenerOnlyReads(t *testing.T) {
	w := newBrokerTown(t)
	watcher := w.connect("tcp://"+w.broker.openAddr, "watcher", nil)
	got, ok := w.subscribe(watcher, "fairwatt/#")
	if !ok {
		t.Fatal("the open listener may not read")
	}
	// In the name of a device: there is no certificate, so no identity.
	guest := w.connect("tcp://"+w.broker.openAddr, "pv-1", nil)
	publish(t, guest, "fairwatt/v1/site-1/pv-1/gate", "OPEN")
	device := w.connect(w.broker.URL(), "pv-1-device", w.certificate(w.community.Authority, "pv-1"))
	publish(t, device, "fairwatt/v1/site-1/pv-1/up/record", "own")
	if topic := arrives(t, got); topic != "fairwatt/v1/site-1/pv-1/up/record" {
		t.Errorf("first came %s, want what the device wrote", topic)
	}
}

// A connection that comes while the broker stops is neither counted nor served.
func TestNoConnectionEntersAStoppedBroker(t *testing.T) {
	var clients sync.WaitGroup
	e := &entries{clients: &clients}
	if !e.enter() {
		t.Fatal("a running broker takes no connection")
	}
	e.end()
	if e.enter() {
		t.Error("a stopped broker takes a connection")
	}
	clients.Done()
	clients.Wait() // hangs if the second was counted
}

func TestBrokerComesBackOnItsPorts(t *testing.T) {
	w := newBrokerTown(t)
	url, open := w.broker.URL(), w.broker.openAddr
	if err := w.broker.Start(); err == nil {
		t.Error("a running broker starts again")
	}
	for range 2 { // the second stop does nothing
		if err := w.broker.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.dial("tcp://"+open, "watcher", nil); err == nil {
		t.Error("a stopped broker answers")
	}
	if err := w.broker.Start(); err != nil {
		t.Fatal(err)
	}
	if w.broker.URL() != url || w.broker.openAddr != open {
		t.Errorf("on %s and %s, before on %s and %s", w.broker.URL(), w.broker.openAddr, url, open)
	}
	w.connect(url, "pv-1", w.certificate(w.community.Authority, "pv-1"))
}

// Every data aggregator hears every class of message, even if retained messages
// of the others arrive between its subscriptions. (In one of two starts the
// broker refused a data aggregator's third subscription.)
func TestEveryAggregatorHearsEveryClass(t *testing.T) {
	classes := []string{"up/record", "status", "gate", "hazard/wind"}
	for range 8 {
		w := newBrokerTown(t)
		heard := make(chan string, 1024)
		missing := make(map[string]bool)
		for _, da := range w.community.DAs {
			w.broker.Admit(da.ID, roleDA)
			pipe, err := mqtt.New(aggregator.MQTTOf(da.ID, mqtt.Config{
				URL: w.broker.URL(),
				TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: w.community.Authority.Pool(), Certificates: []tls.Certificate{da.TLS}},
			}))
			if err != nil {
				t.Fatal(err)
			}
			for _, filter := range []string{"fairwatt/v1/+/+/up/record", "fairwatt/v1/+/+/status", "fairwatt/v1/+/+/gate", "fairwatt/v1/+/+/hazard/+"} {
				pipe.Subscribe(filter, func(m mqtt.Message) {
					if class, ok := strings.CutPrefix(m.Topic, "fairwatt/v1/site-1/pv-1/"); ok {
						heard <- da.ID + " " + class
					}
				})
			}
			for _, class := range classes {
				missing[da.ID+" "+class] = true
			}
			if err := pipe.Open(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pipe.Close)
		}
		device := w.connect(w.broker.URL(), "pv-1", w.certificate(w.community.Authority, "pv-1"))
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		deadline := time.After(time.Minute)
		for len(missing) > 0 {
			select {
			case what := <-heard:
				delete(missing, what)
			case <-again.C:
				for _, class := range classes {
					publish(t, device, "fairwatt/v1/site-1/pv-1/"+class, "x")
				}
			case <-deadline:
				t.Fatalf("never heard: %v", slices.Sorted(maps.Keys(missing)))
			}
		}
	}
}
