package aggregator

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
)

// MQTTConfig is one broker connection of an aggregator.
type MQTTConfig struct {
	URL      string // tcp://host:port or tls://host:port
	ClientID string // the DA's id; a second connection with it ends the first
	Username string
	Password string
	TLS      *tls.Config // for tls://
	Logger   *slog.Logger
}

// Times of a broker connection.
const (
	keepAlive      = 20 * time.Second
	publishTimeout = 10 * time.Second
	subscribeRetry = time.Second
)

// An MQTT is a Pipe over a paho client. Its session stays at the broker, so
// that what senders publish at QoS 1 while the aggregator is away waits there.
type MQTT struct {
	cfg    MQTTConfig
	client paho.Client

	mu   sync.Mutex
	subs []mqttSubscription
}

type mqttSubscription struct {
	filter string
	handle func(Message)
}

// NewMQTT prepares a connection; Open dials.
func NewMQTT(cfg MQTTConfig) (*MQTT, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("broker %q: %w", cfg.URL, err)
	}
	switch u.Scheme {
	case "tcp", "mqtt":
	case "tls", "ssl", "mqtts":
		if cfg.TLS == nil {
			return nil, fmt.Errorf("broker %q: no certificate configured for it", cfg.URL)
		}
	default:
		return nil, fmt.Errorf("broker %q: the scheme must be tcp or tls", cfg.URL)
	}
	if cfg.ClientID == "" {
		return nil, fmt.Errorf("broker %q: a client id is needed to keep the session", cfg.URL)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &MQTT{cfg: cfg}
	o := paho.NewClientOptions().AddBroker(cfg.URL).SetClientID(cfg.ClientID).
		SetUsername(cfg.Username).SetPassword(cfg.Password).SetTLSConfig(cfg.TLS).
		SetProtocolVersion(4).SetCleanSession(false).SetResumeSubs(false).
		SetKeepAlive(keepAlive).SetPingTimeout(keepAlive/2).
		SetConnectTimeout(10*time.Second).SetWriteTimeout(publishTimeout).
		SetConnectRetry(true).SetConnectRetryInterval(time.Second).
		SetAutoReconnect(true).SetMaxReconnectInterval(10*time.Second).
		// A sender's records must reach the pool in the order it sent them (a
		// gate change before the start that needs it). Handlers only put a
		// message into a queue and never block, so that order costs nothing.
		SetOrderMatters(true).
		SetDefaultPublishHandler(m.stray).
		SetWill(StatusTopic(cfg.ClientID), "offline", 1, true)
	o.SetOnConnectHandler(func(paho.Client) { m.up() })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		cfg.Logger.Warn("broker lost", "broker", cfg.URL, "err", err)
	})
	m.client = paho.NewClient(o)
	return m, nil
}

// up runs on a goroutine of paho's after each connection.
func (m *MQTT) up() {
	m.cfg.Logger.Info("broker connected", "broker", m.cfg.URL)
	for !m.subscribe() && m.client.IsConnectionOpen() {
		time.Sleep(subscribeRetry) // nothing tells when the broker would agree
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := m.Publish(ctx, StatusTopic(m.cfg.ClientID), 1, true, []byte("online")); err != nil {
		m.cfg.Logger.Error("announce", "broker", m.cfg.URL, "err", err)
	}
}

// subscribe says whether the broker granted every subscription. They go out in
// one packet: retained messages of the first would come before the second, and
// a broker (mochi v2.7.9) refuses a subscription whose packet number is that of
// a message it has not got acknowledged, though the two count for themselves
// (MQTT 3.1.1, 2.3.1).
func (m *MQTT) subscribe() bool {
	filters := make(map[string]byte)
	m.mu.Lock()
	for _, s := range m.subs {
		filters[s.filter] = 1
	}
	m.mu.Unlock()
	if len(filters) == 0 {
		return true
	}
	token := m.client.SubscribeMultiple(filters, m.stray)
	err := errNoAnswer
	if token.WaitTimeout(publishTimeout) {
		if err = token.Error(); err == nil {
			err = refusedFilter(token)
		}
	}
	if err != nil {
		m.cfg.Logger.Error("subscribe", "broker", m.cfg.URL, "err", err)
	}
	return err == nil
}

var (
	errNoAnswer   = errors.New("no answer from the broker")
	errNotGranted = errors.New("the broker does not grant it; see its access list")
)

// refusedFilter reads the codes of the SUBACK: 0x80 is a refusal (MQTT 3.1.1,
// 3.9.3), and mochi says why in codes above it.
func refusedFilter(token paho.Token) error {
	t, ok := token.(*paho.SubscribeToken)
	if !ok {
		return nil
	}
	for filter, code := range t.Result() {
		if code >= 0x80 {
			return fmt.Errorf("%s: %w (code 0x%02x)", filter, errNotGranted, code)
		}
	}
	return nil
}

// stray hands a message to the subscription it matches. It takes, too, what the
// broker kept for this session before the subscriptions of this connection
// stand: after a restart that comes at once.
func (m *MQTT) stray(_ paho.Client, msg paho.Message) {
	m.mu.Lock()
	subs := append([]mqttSubscription(nil), m.subs...)
	m.mu.Unlock()
	for _, s := range subs {
		if topicMatches(s.filter, msg.Topic()) {
			s.handle(message(msg))
			return
		}
	}
}

func message(msg paho.Message) Message {
	return Message{Topic: msg.Topic(), Payload: msg.Payload(), Retained: msg.Retained()}
}

// Subscribe implements Pipe.
func (m *MQTT) Subscribe(filter string, handle func(Message)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs = append(m.subs, mqttSubscription{filter, handle})
}

// Open implements Pipe. A broker that cannot be reached is no error: the client
// keeps trying.
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

// Connected implements Pipe.
func (m *MQTT) Connected() bool { return m.client.IsConnectionOpen() }

// Publish implements Pipe.
func (m *MQTT) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	if !m.Connected() {
		return ErrNotConnected
	}
	token := m.client.Publish(topic, qos, retained, payload)
	t := time.NewTimer(publishTimeout)
	defer t.Stop()
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("publish to %s: %w", m.cfg.URL, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return fmt.Errorf("publish to %s: %w", m.cfg.URL, errNoAck)
	}
}

var errNoAck = errors.New("no acknowledgement")

// Close implements Pipe. The last will is for those who die: who leaves says so
// itself.
func (m *MQTT) Close() {
	if m.Connected() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := m.Publish(ctx, StatusTopic(m.cfg.ClientID), 1, true, []byte("offline")); err != nil {
			m.cfg.Logger.Warn("say goodbye", "broker", m.cfg.URL, "err", err)
		}
	}
	m.client.Disconnect(250)
}
