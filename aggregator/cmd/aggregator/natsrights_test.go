package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// guest connects to a server with nothing of ours between.
func guest(url, id string, cert *tls.Config, lost func()) (paho.Client, error) {
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(id).SetTLSConfig(cert).SetOrderMatters(false).
		SetConnectTimeout(20 * time.Second).SetAutoReconnect(false).SetConnectionLostHandler(func(paho.Client, error) { lost() }))
	return c, done(c.Connect())
}

// admitted is guest for one who has to be let in. A server that is well may still want
// the others for its first session, and ends a connection until it has them.
func admitted(t *testing.T, url, id string, cert *tls.Config) paho.Client {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // nothing tells when it would
		c, err := guest(url, id, cert, func() {})
		if err == nil {
			return c
		}
		if time.Since(began) > natsPatience {
			t.Fatalf("%s at %s: %v", id, url, err)
		}
	}
}

func done(token paho.Token) error {
	if !token.WaitTimeout(natsPatience) {
		return fmt.Errorf("no answer in %s", natsPatience)
	}
	return token.Error()
}

// What the servers really let each user do is what the rights say: a filter is granted or
// not, a message is passed on or not, through another server than it came to.
func TestRightsOnNATS(t *testing.T) {
	program := natsServer(t)
	dir := filepath.Join(t.TempDir(), "c")
	command(t, "mc", "init", "--dir", dir, "--broker", "nats")
	issue := func(id, role string, more ...string) *tls.Config {
		own := filepath.Join(dir, id)
		command(t, append([]string{"mc", "issue", "--dir", dir, "--id", id, "--role", role, "--out", own}, more...)...)
		return certificate(t, dir, own)
	}
	certs := map[string]*tls.Config{
		"pv-1": issue("pv-1", "agent"), "pv-2": issue("pv-2", "agent"), "ada": issue("ada", "owner", "--site", "harbour"),
		"eve": issue("eve", "viewer", "--site", "harbour"), "ha-1": issue("ha-1", "viewer"), "broker": issue("broker", "agent"),
		"da-1": certificate(t, dir, filepath.Join(dir, "da-1")),
	}
	nodes := natsCluster(t, program, dir, freePorts(t, 12))
	mine, other, far := wire.Topics{Site: "harbour", Device: "pv-1"}, wire.Topics{Site: "harbour", Device: "pv-2"}, wire.Topics{Site: "ridge", Device: "pv-1"}

	for _, c := range []struct {
		user             string
		reads, readsNot  []string
		writes, mayWrite []string // of what it tries, what goes through
	}{
		{
			"pv-1", []string{mine.Receipt("+"), mine.Of("cmd/#"), far.Neighbours("+")},
			[]string{"#", "fairwatt/v1/#", other.Receipt("+"), mine.Of(wire.ClassRecord), "$MQTT/sub/#", "$MQTT/msgs/#", "$JS/API/#", "$SYS/#", "+/v1/harbour/pv-2/down/receipt/+"},
			[]string{
				mine.Of(wire.ClassRecord), mine.Of(wire.ClassGate), other.Of(wire.ClassGate), mine.Receipt("da-1"), mine.Of(wire.ClassAck), wire.StatusOfDA("da-1"),
				mine.Of(wire.ClassResult), other.Of(wire.ClassRecord),
			},
			[]string{mine.Of(wire.ClassRecord), mine.Of(wire.ClassGate), mine.Of(wire.ClassResult)},
		},
		{
			"da-1", []string{wire.EveryDevice(wire.ClassRecord), "fairwatt/v1/#"}, []string{"#", "homeassistant/#", "$MQTT/rmsgs/#"},
			[]string{mine.Receipt("da-1"), mine.Receipt("da-2"), wire.StatusOfDA("da-1"), wire.StatusOfDA("da-2"), mine.Of(wire.ClassRecord)},
			[]string{mine.Receipt("da-1"), wire.StatusOfDA("da-1")},
		},
		{
			"ada", []string{mine.Of("#"), wire.Topics{Site: "harbour", Device: "+"}.Of("#")}, []string{far.Of("#"), wire.EveryDevice(wire.ClassGate)},
			[]string{mine.Of(wire.ClassAck), far.Of(wire.ClassAck), mine.Of(wire.ClassGate), mine.Of(wire.ClassBlock)},
			[]string{mine.Of(wire.ClassAck), mine.Of(wire.ClassBlock)},
		},
		{
			"eve", []string{wire.Topics{Site: "harbour", Device: "+"}.Of(wire.ClassGate), wire.StatusOfDA("+"), "homeassistant/#"},
			[]string{far.Of(wire.ClassGate), wire.EveryDevice(wire.ClassGate), mine.Of(wire.ClassRecord), mine.Receipt("+"), mine.Of(wire.ClassAck)},
			[]string{mine.Of(wire.ClassGate), mine.Of(wire.ClassAck), "homeassistant/status"}, nil,
		},
		{"ha-1", []string{wire.EveryDevice(wire.ClassGate)}, []string{wire.EveryDevice("#"), mine.Of("up/#")}, []string{mine.Of(wire.ClassGate), "fairwatt/v1"}, nil},
	} {
		t.Run(c.user, func(t *testing.T) {
			for _, filter := range append(slices.Clone(c.reads), c.readsNot...) {
				client := admitted(t, nodes[0].mqtt, c.user+"-r", certs[c.user])
				token := client.Subscribe(filter, 1, nil)
				if err := done(token); err != nil && !strings.Contains(err.Error(), "QoS 128") && !strings.Contains(err.Error(), "SUBACK") {
					t.Errorf("%s: %v", filter, err)
				}
				granted := token.(*paho.SubscribeToken).Result()[filter] < 0x80
				if want := slices.Contains(c.reads, filter); granted != want {
					t.Errorf("%s reads %s: %v, want %v", c.user, filter, granted, want)
				}
				client.Disconnect(100)
			}
			if got := passed(t, nodes, certs, c.user, c.writes); !slices.Equal(got, c.mayWrite) {
				t.Errorf("%s has written %q, want %q", c.user, got, c.mayWrite)
			}
		})
	}
	t.Run("strangers", func(t *testing.T) { strangers(t, dir, nodes, certs["pv-1"], certs["broker"]) })
	t.Run("revoked", func(t *testing.T) { revoked(t, dir, nodes, certs["pv-2"]) })
}

// passed are those topics on which what a user writes reaches a data aggregator.
func passed(t *testing.T, nodes []*node, certs map[string]*tls.Config, user string, topics []string) (got []string) {
	t.Helper()
	heard := make(chan string, 64)
	witness := opened(t, mqtt.Config{URL: nodes[1].mqtt, ClientID: "da-1", TLS: certs["da-1"], Ordered: true},
		map[string]func(mqtt.Message){"fairwatt/v1/#": func(m mqtt.Message) { heard <- string(m.Payload) }})
	defer witness.Close()
	for _, topic := range topics {
		// A connection each: the server may end that of one who writes what it may not.
		client := admitted(t, nodes[0].mqtt, user+"-w", certs[user])
		_ = done(client.Publish(topic, 1, false, topic)) // what is not let through need not be acknowledged
		client.Disconnect(250)
		// A message that is let through, by another, comes after it.
		mark := admitted(t, nodes[0].mqtt, "mark", certs["pv-1"])
		if err := done(mark.Publish(wire.Topics{Site: "mark", Device: "pv-1"}.Of(wire.ClassRecord), 1, false, "mark of "+topic)); err != nil {
			t.Fatal(err)
		}
		mark.Disconnect(250)
		for through := false; ; {
			select {
			case m := <-heard:
				through = through || m == topic
				if m != "mark of "+topic {
					continue
				}
				if through {
					got = append(got, topic)
				}
			case <-time.After(natsPatience):
				t.Fatalf("the mark of %s was not heard", topic)
			}
			break
		}
	}
	return got
}

// strangers: without a certificate, as one of NATS's own clients, or as a further server,
// no one comes in; a device that is called as the servers are is none of them.
func strangers(t *testing.T, dir string, nodes []*node, device, namesake *tls.Config) {
	if c, err := guest(nodes[0].mqtt, "pv-1", &tls.Config{RootCAs: device.RootCAs}, func() {}); err == nil {
		c.Disconnect(0)
		t.Error("one without a certificate was let in")
	}
	unnamed, err := mc.OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := unnamed.IssueTLS("pv-9", mc.RoleAgent, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := guest(nodes[0].mqtt, "pv-9", &tls.Config{RootCAs: device.RootCAs, Certificates: []tls.Certificate{cert}}, func() {}); err == nil {
		c.Disconnect(0)
		t.Error("one with a certificate of the authority, whom the list does not name, was let in")
	}
	own := certificate(t, dir, nodes[1].dir)
	for _, c := range []struct {
		what, addr string
		cert       *tls.Config
		in         bool
	}{
		{"a device as a client of NATS", nodes[0].plain, device, false},
		{"a server as a client of NATS", nodes[0].plain, own, false},
		{"a device as a server", nodes[0].route, device, false},
		{"a device called broker as a server", nodes[0].route, namesake, false},
		{"a server", nodes[0].route, own, true},
	} {
		said, err := speaksNATS(c.addr, c.cert, c.addr == nodes[0].route)
		if in := err == nil && said == "PONG"; in != c.in {
			t.Errorf("%s: heard %q, %v", c.what, said, err)
		}
	}
}

// speaksNATS tries NATS's own protocol, and returns the first answer to a PING. Servers
// begin with TLS among themselves; to a client they speak in clear first.
func speaksNATS(addr string, cert *tls.Config, server bool) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, natsPatience)
	if err != nil {
		return "", err
	}
	defer conn.Close() // the answer is all
	if err := conn.SetDeadline(time.Now().Add(natsPatience)); err != nil {
		return "", err
	}
	config := cert.Clone()
	config.ServerName = "127.0.0.1"
	secure := tls.Client(conn, config)
	lines := bufio.NewReader(secure)
	from := lines
	if !server {
		from = bufio.NewReader(conn)
	}
	info, err := from.ReadString('\n')
	if err != nil {
		return "", err
	}
	var told struct {
		Cluster string `json:"cluster"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(info, "INFO ")), &told); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(secure, "CONNECT {\"verbose\":false,\"name\":\"x\",\"cluster\":%q,\"protocol\":1}\r\nPING\r\n", told.Cluster); err != nil {
		return "", err
	}
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSpace(line); err != nil || line == "PONG" || strings.HasPrefix(line, "-ERR") {
			return line, err
		}
	}
}

// revoked: who is taken out of the list loses the connection when the servers read it
// again, and is not let in any more.
func revoked(t *testing.T, dir string, nodes []*node, cert *tls.Config) {
	lost := make(chan struct{})
	if _, err := guest(nodes[2].mqtt, "pv-2", cert, func() { close(lost) }); err != nil {
		t.Fatal(err)
	}
	command(t, "mc", "revoke", "--dir", dir, "--id", "pv-2")
	for _, n := range nodes {
		n.hangUp()
	}
	select {
	case <-lost:
	case <-time.After(natsPatience):
		t.Fatal("the connection stands")
	}
	for _, n := range nodes {
		// Nothing tells when a server has read its list.
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			c, err := guest(n.mqtt, "pv-2", cert, func() {})
			if err != nil {
				break
			}
			c.Disconnect(0)
			if time.Since(began) > natsPatience {
				t.Fatalf("%s lets in one who was revoked", n.name)
			}
		}
	}
}
