package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// MQTTConfig is one broker connection.
type MQTTConfig struct {
	URL      string // tcp://host:port or tls://host:port
	ClientID string // the device id: a second connection with it ends the first
	Username string
	Password string
	TLS      *tls.Config // for tls://, with the client certificate
	Will     Will
	// KeepAlive bounds how late the last will comes: 1.5 times it. Zero is 20 s.
	KeepAlive time.Duration
	// PublishTimeout bounds one publication. Zero is 10 s.
	PublishTimeout time.Duration
	Logger         *slog.Logger
}

// An MQTT is a Pipe over a paho client. It keeps a session at the broker (so
// that receipts published while it is away are not lost) but nothing of its
// own: what must survive is in the Outbox.
type MQTT struct {
	cfg    MQTTConfig
	client paho.Client

	mu   sync.Mutex
	subs []subscription
	onUp []func()
	lost chan struct{} // closed when the present connection ends
}

// NewMQTT prepares a connection; nothing is dialled before Open.
func NewMQTT(cfg MQTTConfig) (*MQTT, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("broker %q: %w", cfg.URL, err)
	}
	switch u.Scheme {
	case "tcp", "mqtt":
	case "tls", "ssl", "mqtts":
		if cfg.TLS == nil {
			return nil, fmt.Errorf("broker %q: no TLS configuration", cfg.URL)
		}
	default:
		return nil, fmt.Errorf("broker %q: scheme must be tcp or tls", cfg.URL)
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 20 * time.Second
	}
	if cfg.PublishTimeout == 0 {
		cfg.PublishTimeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &MQTT{cfg: cfg, lost: make(chan struct{})}
	m.client = paho.NewClient(m.options())
	return m, nil
}

func (m *MQTT) options() *paho.ClientOptions {
	o := paho.NewClientOptions().AddBroker(m.cfg.URL).SetClientID(m.cfg.ClientID).
		SetUsername(m.cfg.Username).SetPassword(m.cfg.Password).SetTLSConfig(m.cfg.TLS).
		SetProtocolVersion(4).SetKeepAlive(m.cfg.KeepAlive).SetPingTimeout(m.cfg.KeepAlive / 2).
		SetConnectTimeout(10 * time.Second).SetWriteTimeout(m.cfg.PublishTimeout).
		SetConnectRetry(true).SetConnectRetryInterval(time.Second).
		SetAutoReconnect(true).SetMaxReconnectInterval(15 * time.Second).
		// Handlers hand over to a channel; ordered delivery would stall the
		// client's own acknowledgements behind them.
		SetOrderMatters(false).SetCleanSession(m.cfg.ClientID == "").SetResumeSubs(false).
		// paho's stores resend on their own after a reconnect, beside our
		// outbox, which alone decides what is sent again.
		SetStore(noStore{})
	if m.cfg.Will.Topic != "" {
		o.SetWill(m.cfg.Will.Topic, m.cfg.Will.Payload, 1, true)
	}
	o.SetOnConnectHandler(func(paho.Client) { m.up() })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		m.cfg.Logger.Warn("broker lost", "broker", m.cfg.URL, "err", err)
		m.mu.Lock()
		close(m.lost)
		m.lost = make(chan struct{})
		m.mu.Unlock()
	})
	return o
}

// up runs on paho's goroutine after each connection: subscriptions first.
func (m *MQTT) up() {
	m.cfg.Logger.Info("broker connected", "broker", m.cfg.URL)
	m.mu.Lock()
	subs, ups := append([]subscription{}, m.subs...), append([]func(){}, m.onUp...)
	m.mu.Unlock()
	for _, s := range subs {
		m.persist(s)
	}
	for _, f := range ups {
		f()
	}
}

// persist subscribes until the broker grants it or the connection goes: a
// receipt that is not heard of would be waited for without end.
func (m *MQTT) persist(s subscription) {
	for {
		err := m.subscribe(s)
		if err == nil {
			return
		}
		m.cfg.Logger.Error("subscribe", "broker", m.cfg.URL, "filter", s.filter, "err", err)
		m.mu.Lock()
		lost := m.lost
		m.mu.Unlock()
		retry := time.NewTimer(subscribeRetry) // nothing tells when the broker would agree
		select {
		case <-retry.C:
		case <-lost:
			retry.Stop()
			return
		}
		if !m.Connected() {
			return
		}
	}
}

const subscribeRetry = time.Second

func (m *MQTT) subscribe(s subscription) error {
	token := m.client.Subscribe(s.filter, 1, func(_ paho.Client, msg paho.Message) {
		s.handle(Message{Topic: msg.Topic(), Payload: msg.Payload(), Retained: msg.Retained()})
	})
	if !token.WaitTimeout(m.cfg.PublishTimeout) {
		return errors.New("no answer from the broker")
	}
	if err := token.Error(); err != nil {
		return err
	}
	// 0x80 is a refusal (MQTT 3.1.1, 3.9.3); some brokers say why in codes above
	// it, and one of them (mochi v2.7.9) refuses for a moment.
	if t, ok := token.(*paho.SubscribeToken); ok && t.Result()[s.filter] >= 0x80 {
		return fmt.Errorf("the broker does not grant it; see its access list (code 0x%02x)", t.Result()[s.filter])
	}
	return nil
}

// Subscribe implements Pipe.
func (m *MQTT) Subscribe(filter string, handle func(Message)) {
	s := subscription{filter, handle}
	m.mu.Lock()
	m.subs = append(m.subs, s)
	m.mu.Unlock()
	if !m.Connected() {
		return // up subscribes
	}
	m.persist(s)
}

// OnUp implements Pipe.
func (m *MQTT) OnUp(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onUp = append(m.onUp, f)
}

// Open implements Pipe. A broker that cannot be reached is no error: the
// client keeps trying.
func (m *MQTT) Open() error {
	token := m.client.Connect()
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("connect to %s: %w", m.cfg.URL, err)
		}
	default:
	}
	return nil
}

// Connected implements Pipe. IsConnected would also be true while
// reconnecting.
func (m *MQTT) Connected() bool { return m.client.IsConnectionOpen() }

// Publish implements Pipe.
func (m *MQTT) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	if !m.Connected() {
		return ErrNotConnected
	}
	m.mu.Lock()
	lost := m.lost
	m.mu.Unlock()
	token := m.client.Publish(topic, qos, retained, payload)
	timer := time.NewTimer(m.cfg.PublishTimeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("publish on %s: %w", topic, err)
		}
		return nil
	case <-lost:
		return fmt.Errorf("publish on %s: %w", topic, ErrNotConnected)
	case <-timer.C:
		return fmt.Errorf("publish on %s: no acknowledgement in %s", topic, m.cfg.PublishTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// disconnectMs is how long Close lets paho finish what it is writing.
const disconnectMs = 250

// Close implements Pipe: a DISCONNECT, which makes the broker drop the will.
func (m *MQTT) Close() { m.client.Disconnect(disconnectMs) }

// noStore is a paho store that keeps nothing.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
