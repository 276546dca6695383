package aggregator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/loopback"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// everyone may connect, publish and subscribe.
type everyone struct{ mochi.HookBase }

func (*everyone) ID() string { return "everyone" }

func (*everyone) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*everyone) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (*everyone) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// startMochi runs an MQTT broker in the process and returns its URL and how to
// stop it.
func startMochi(t testing.TB, addr string) (url string, stop func()) {
	t.Helper()
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending, caps.MaximumInflight, caps.ReceiveMaximum = 1<<18, 65535, 65535
	s := mochi.New(&mochi.Options{Capabilities: caps, Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(new(everyone), nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddListener(listeners.NewNet("tcp", l)); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	return "tcp://" + l.Addr().String(), func() { _ = s.Close() }
}

// mqttPipes makes each DA's pipe a client of a broker.
func (w *town) mqttPipes(url string) {
	w.pipe = func(id string) mqtt.Pipe {
		p, err := mqtt.New(aggregator.MQTTOf(id, mqtt.Config{URL: url}))
		if err != nil {
			w.t.Fatal(err)
		}
		return p
	}
}

func client(t testing.TB, url, id string) paho.Client {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(id).SetCleanSession(false).
		SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond).SetMaxReconnectInterval(200 * time.Millisecond))
	if token := c.Connect(); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatalf("connect: %v", token.Error())
	}
	return c
}

// Through a real broker, which is then stopped and started again: the DAs
// reconnect by themselves and answer.
func TestMQTTPipeReconnects(t *testing.T) {
	w := newTown(t, testGenesis())
	addr, err := loopback.FreeAddress() // it comes back there
	if err != nil {
		t.Fatal(err)
	}
	url, stop := startMochi(t, addr)
	w.mqttPipes(url)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	c := client(t, url, "seller-1")
	defer func() { c.Disconnect(100) }()
	topic := "fairwatt/v1/site-seller-1/seller-1/"
	listen := func() {
		token := c.Subscribe(topic+"down/receipt/+", 1, func(_ paho.Client, m paho.Message) {
			seller.receipt(mqtt.Message{Topic: m.Topic(), Payload: m.Payload()})
		})
		if !token.WaitTimeout(time.Minute) || token.Error() != nil {
			t.Fatalf("subscribe: %v", token.Error())
		}
	}
	// An agent sends again until it is answered: so does this.
	send := func(seq uint64) {
		t.Helper()
		sealed := seller.seal(seller.id, seq, seller.gate(seq, open))
		batch, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: [][]byte{sealed}})
		if err != nil {
			t.Fatal(err)
		}
		again := time.NewTicker(300 * time.Millisecond)
		defer again.Stop()
		deadline := time.After(patience)
		for {
			c.Publish(topic+"up/record", 1, false, batch)
			seller.mu.Lock()
			said, heard := seller.said[idOf(sealed)], seller.heard
			n := len(said)
			seller.mu.Unlock()
			if n >= 2 {
				e, _ := seller.wait(idOf(sealed))
				applied(t, "gate", e.GetOutcome())
				return
			}
			select {
			case <-heard:
			case <-again.C:
			case <-deadline:
				t.Fatalf("record %d: %d answers", seq, n)
			}
		}
	}
	listen()
	send(1)
	c.Disconnect(100)
	stop()
	_, stop = startMochi(t, addr)
	defer stop()
	c = client(t, url, "seller-1")
	listen()
	send(2)
	if n := w.da("da-1").Snapshot().Counters.Dropped; n != 0 {
		t.Errorf("%d dropped", n)
	}
	for _, da := range w.g.DAs() {
		w.halt(da.ID)
	}
}

// BenchmarkBroker is BenchmarkDoor with the records on their way through an
// embedded MQTT broker, published in batches of 16 by 10 clients.
func BenchmarkBroker(b *testing.B) {
	const clients, batch = 10, 16
	g := ledgertest.Genesis(4, clients, 0)
	w := newTown(b, g)
	url, stop := startMochi(b, "127.0.0.1:0")
	b.Cleanup(stop)
	w.mqttPipes(url)
	w.startAll()
	for _, da := range g.DAs() { // each says that it is online when it has subscribed
		online := make(chan struct{}, 1)
		c := client(b, url, "watch-"+da.ID)
		c.Subscribe(wire.StatusOfDA(da.ID), 1, func(_ paho.Client, m paho.Message) {
			if string(m.Payload()) == "online" {
				select {
				case online <- struct{}{}:
				default:
				}
			}
		})
		<-online
		c.Disconnect(100)
	}
	var conns []paho.Client
	for i := range clients {
		conns = append(conns, client(b, url, fmt.Sprintf("seller-%d", i+1)))
	}
	measure(b, w, clients, 2000, 0, batch, func(_ context.Context, sender int, sealed [][]byte) error {
		payload, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: sealed})
		if err != nil {
			return err
		}
		id := fmt.Sprintf("seller-%d", sender+1)
		token := conns[sender].Publish("fairwatt/v1/site-"+id+"/"+id+"/up/record", 1, false, payload)
		token.Wait()
		return token.Error()
	})
	for _, c := range conns {
		c.Disconnect(100)
	}
}
