package grid

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	client "fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A role says what the holder of a certificate may do at the broker.
type role uint8

const (
	roleDevice role = iota + 1 // an agent: its own topics, nothing else
	roleDA                     // reads everything, writes its receipts and its status
	roleOwner                  // reads everything, writes devices' commands
)

// A broker is the grid's MQTT broker. On its TLS listener the certificate's
// common name is the identity. An optional plain listener on loopback only reads.
// A stopped broker starts again on the same ports, as after a failure, and has
// lost everything it held.
type broker struct {
	tls      *tls.Config
	openAddr string // plain read-only listener; empty for none
	log      *slog.Logger

	// Dropped counts messages that the broker threw away because a subscriber's
	// queue was full. A single one is a fault of the run.
	Dropped atomic.Int64

	mu      sync.Mutex
	addr    string // of the TLS listener, fixed after the first start
	server  *mqtt.Server
	entries *entries // of server

	access sync.RWMutex // of roles; connections are judged while mu is held
	roles  map[string]role
}

func newBroker(config *tls.Config, openAddr string, log *slog.Logger) *broker {
	return &broker{tls: config, openAddr: openAddr, addr: "127.0.0.1:0", log: log, roles: make(map[string]role)}
}

// Admit lets the holder of a certificate with this common name connect.
func (b *broker) Admit(id string, r role) {
	b.access.Lock()
	defer b.access.Unlock()
	b.roles[id] = r
}

// roleOf is 0 for an id that was not admitted.
func (b *broker) roleOf(id string) role {
	b.access.RLock()
	defer b.access.RUnlock()
	return b.roles[id]
}

// Start opens the listeners.
func (b *broker) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return errors.New("start broker: already running")
	}
	limits := mqtt.NewDefaultServerCapabilities()
	// The defaults drop messages silently once 8192 wait for one subscriber.
	limits.MaximumClientWritesPending = 1 << 18
	limits.MaximumInflight = 65535
	limits.MaximumPacketSize = 1 << 20
	server := mqtt.New(&mqtt.Options{
		Capabilities: limits,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err := server.AddHook(&brokerHook{broker: b}, nil); err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	guarded := &entries{clients: &server.Listeners.ClientsWg}
	secure := listeners.NewTCP(listeners.Config{ID: "tls", Address: b.addr, TLSConfig: b.tls})
	if err := server.AddListener(guardedListener{secure, guarded}); err != nil {
		return fmt.Errorf("start broker on %s: %w", b.addr, err)
	}
	b.addr = secure.Address()
	if b.openAddr != "" {
		open := listeners.NewTCP(listeners.Config{ID: "open", Address: b.openAddr})
		if err := server.AddListener(guardedListener{open, guarded}); err != nil {
			return errors.Join(fmt.Errorf("start broker on %s: %w", b.openAddr, err), server.Close())
		}
		b.openAddr = open.Address()
	}
	if err := server.Serve(); err != nil {
		return errors.Join(fmt.Errorf("start broker: %w", err), server.Close())
	}
	b.server, b.entries = server, guarded
	return nil
}

// Stop closes the listeners and every connection. Stopping a stopped broker
// does nothing.
func (b *broker) Stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil
	}
	b.entries.end()
	err := b.server.Close()
	b.server = nil
	return err
}

// entries counts a connection before the server does. The server counts it in
// the connection's own goroutine: if Close comes first, it does not wait for the
// connection, and its wait and the count race.
type entries struct {
	mu      sync.Mutex
	ended   bool
	clients *sync.WaitGroup // the server's
}

// enter counts a connection. False after end.
func (e *entries) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false
	}
	e.clients.Add(1)
	return true
}

func (e *entries) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// A guardedListener gives the server only connections that entered.
type guardedListener struct {
	*listeners.TCP
	entries *entries
}

// Serve implements listeners.Listener.
func (l guardedListener) Serve(establish listeners.EstablishFn) {
	l.TCP.Serve(func(id string, conn net.Conn) error {
		if !l.entries.enter() {
			return conn.Close()
		}
		defer l.entries.clients.Done()
		return establish(id, conn)
	})
}

// URL is where clients with a certificate connect.
func (b *broker) URL() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return "tls://" + b.addr
}

// brokerHook decides who may connect and which topics they may use.
type brokerHook struct {
	mqtt.HookBase
	broker *broker
}

func (h *brokerHook) ID() string { return "fairwatt-access" }

func (h *brokerHook) Provides(b byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublishDropped}, []byte{b})
}

// identity is the common name of the client's verified certificate, or "" for
// a client of the open listener.
func identity(cl *mqtt.Client) string {
	conn, ok := cl.Net.Conn.(*tls.Conn)
	if !ok {
		return ""
	}
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return ""
	}
	return certs[0].Subject.CommonName
}

func (h *brokerHook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	if cl.Net.Listener == "open" {
		return true
	}
	return h.broker.roleOf(identity(cl)) != 0
}

func (h *brokerHook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	id := identity(cl)
	allowed := mayUse(h.broker.roleOf(id), id, topic, write)
	if !allowed {
		h.broker.log.Warn("broker refused a topic", "client", cl.ID, "identity", id, "topic", topic, "write", write)
	}
	return allowed
}

func (h *brokerHook) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	h.broker.Dropped.Add(1)
	h.broker.log.Error("broker dropped a message", "subscriber", cl.ID, "topic", pk.TopicName)
}

// mayUse is the access rule. A device reads below its own id and writes what
// package wire lets it write there. A DA reads everything and writes what it hands
// to devices, and its status, in its own name. An owner reads everything and writes
// commands, which the device checks. The open listener only reads.
func mayUse(r role, id, topic string, write bool) bool {
	parts := strings.Split(topic, "/")
	if parts[0] == "homeassistant" {
		return r == roleDevice && (write && len(parts) == 4 && parts[2] == id || !write && topic == "homeassistant/status")
	}
	if parts[0] != "fairwatt" {
		return false
	}
	if r != roleDevice && !write {
		return true
	}
	if len(parts) < 5 || parts[1] != "v1" {
		return false
	}
	switch r {
	case roleDevice:
		return parts[3] == id && (!write || slices.ContainsFunc(wire.DeviceWrites, func(class string) bool {
			return fits(wire.Topics{Site: "+", Device: id}.Of(class), topic)
		}))
	case roleDA:
		return slices.ContainsFunc(wire.AggregatorWrites(id), func(filter string) bool { return fits(filter, topic) })
	case roleOwner:
		return slices.Contains(wire.Commands, strings.Join(parts[4:], "/")) && seal.ValidName(parts[2]) && seal.ValidName(parts[3])
	}
	return false
}

// fits says whether a filter covers a topic that names no filter itself.
func fits(filter, topic string) bool {
	return !strings.ContainsAny(topic, "+#") && client.TopicMatches(filter, topic)
}
