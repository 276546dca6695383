package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"fairwatt/proto/wire"
)

// Config is one broker connection.
type Config struct {
	URL      string // tcp://host:port or tls://host:port; of servers that are one broker, with commas between
	ClientID string // of the session; empty: the broker keeps none
	Username string
	Password string
	TLS      *tls.Config // for tls://, with the client certificate
	// Will is the last will; empty with Presence.
	Will Will
	// Presence is a topic where the client says, retained, online after each
	// connection and offline when it closes. The last will says offline too.
	Presence string
	// Ordered has handlers called one after another, in the order of arrival.
	Ordered bool
	// Resend has paho send unacknowledged publications again after a
	// reconnect. Without it only the caller sends anything again.
	Resend bool
	// KeepAlive bounds how late the last will comes: 1.5 times it. Zero is 20 s.
	KeepAlive time.Duration
	// PublishTimeout bounds one publication. Zero is 10 s.
	PublishTimeout time.Duration
	Logger         *slog.Logger
}

// A Client is a Pipe over a paho client.
type Client struct {
	cfg    Config
	client paho.Client

	mu   sync.Mutex
	subs []subscription
	onUp []func()
	lost chan struct{} // closed when the present connection ends

	refusal string // why the last attempt to connect failed; empty: it did not
}

type subscription struct {
	filter string
	handle func(Message)
}

// New prepares a connection; nothing is dialled before Open.
func New(cfg Config) (*Client, error) {
	for _, one := range strings.Split(cfg.URL, ",") {
		u, err := url.Parse(one)
		if err != nil {
			return nil, fmt.Errorf("broker %q: %w", one, err)
		}
		switch u.Scheme {
		case "tcp", "mqtt":
		case "tls", "ssl", "mqtts":
			if cfg.TLS == nil {
				return nil, fmt.Errorf("broker %q: no TLS configuration", one)
			}
		default:
			return nil, fmt.Errorf("broker %q: scheme must be tcp or tls", one)
		}
	}
	if cfg.Presence != "" {
		if cfg.ClientID == "" {
			return nil, fmt.Errorf("broker %q: a client id is needed to keep the session", cfg.URL)
		}
		cfg.Will = Will{Topic: cfg.Presence, Payload: wire.Offline}
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
	c := &Client{cfg: cfg, lost: make(chan struct{})}
	c.client = paho.NewClient(c.options())
	return c, nil
}

// Redacted is a broker's URL without a password, for logs and metrics.
func Redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "unreadable" // New refuses it
	}
	return u.Redacted()
}

func (c *Client) options() *paho.ClientOptions {
	o := paho.NewClientOptions().SetClientID(c.cfg.ClientID).
		SetUsername(c.cfg.Username).SetPassword(c.cfg.Password).SetTLSConfig(c.cfg.TLS).
		SetProtocolVersion(4).SetKeepAlive(c.cfg.KeepAlive).SetPingTimeout(c.cfg.KeepAlive / 2).
		SetConnectTimeout(10 * time.Second).SetWriteTimeout(c.cfg.PublishTimeout).
		SetConnectRetry(true).SetConnectRetryInterval(time.Second).
		SetAutoReconnect(true).SetMaxReconnectInterval(10 * time.Second).
		SetOrderMatters(c.cfg.Ordered).SetCleanSession(c.cfg.ClientID == "").SetResumeSubs(false).
		SetDefaultPublishHandler(c.deliver)
	// paho tries the servers of a broker in order: each client in one of its own, so that
	// they do not all come to the first.
	servers := strings.Split(c.cfg.URL, ",")
	first := 0
	for _, b := range []byte(c.cfg.ClientID) {
		first += int(b)
	}
	for i := range servers {
		o.AddBroker(servers[(first+i)%len(servers)])
	}
	if c.cfg.Resend {
		o.SetStore(copies{paho.NewMemoryStore()})
	} else {
		o.SetStore(noStore{})
	}
	if c.cfg.Will.Topic != "" {
		o.SetWill(c.cfg.Will.Topic, c.cfg.Will.Payload, 1, true)
	}
	o.SetConnectionNotificationHandler(func(_ paho.Client, n paho.ConnectionNotification) {
		if failed, ok := n.(paho.ConnectionNotificationFailed); ok {
			c.refused(failed.Reason)
		}
	})
	o.SetOnConnectHandler(func(paho.Client) { c.up() })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) {
		c.cfg.Logger.Warn("broker lost", "broker", c.cfg.URL, "err", err)
		c.down()
	})
	return o
}

// refused tells of an attempt that failed: the first, and each with another
// reason than the one before.
func (c *Client) refused(why error) {
	text := "no answer"
	if why != nil {
		text = why.Error()
	}
	c.mu.Lock()
	told := c.refusal == text
	c.refusal = text
	c.mu.Unlock()
	if !told {
		c.cfg.Logger.Warn("broker not reached, trying on", "broker", c.cfg.URL, "err", text)
	}
}

// down ends every wait on the present connection.
func (c *Client) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.lost)
	c.lost = make(chan struct{})
}

func (c *Client) connection() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// up runs on paho's goroutine after each connection: subscriptions first.
func (c *Client) up() {
	c.cfg.Logger.Info("broker connected", "broker", c.cfg.URL)
	c.mu.Lock()
	c.refusal = ""
	var filters []string
	for _, s := range c.subs {
		filters = append(filters, s.filter)
	}
	ups := slices.Clone(c.onUp)
	c.mu.Unlock()
	c.persist(filters)
	if c.cfg.Presence != "" {
		c.announce(wire.Online, c.cfg.PublishTimeout)
	}
	for _, f := range ups {
		f()
	}
}

// announce publishes the client's presence.
func (c *Client) announce(status string, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := c.Publish(ctx, c.cfg.Presence, 1, true, []byte(status)); err != nil {
		c.cfg.Logger.Error("announce", "broker", c.cfg.URL, "status", status, "err", err)
	}
}

// persist subscribes until the broker has granted every filter or the
// connection is lost.
func (c *Client) persist(filters []string) {
	for len(filters) > 0 {
		lost := c.connection()
		var err error
		if filters, err = c.subscribe(filters); err == nil {
			return
		}
		c.cfg.Logger.Error("subscribe", "broker", c.cfg.URL, "err", err)
		retry := time.NewTimer(subscribeRetry) // nothing tells when the broker would agree
		select {
		case <-retry.C:
		case <-lost:
			retry.Stop()
			return
		}
		if !c.Connected() {
			return
		}
	}
}

const subscribeRetry = time.Second

var (
	errNoAnswer   = errors.New("no answer from the broker")
	errNotGranted = errors.New("the broker does not grant it; see its access list")
	errNoAck      = errors.New("no acknowledgement")
)

// subscribe returns the filters that the broker has not granted, and why.
func (c *Client) subscribe(filters []string) ([]string, error) {
	qos := make(map[string]byte)
	for _, f := range filters {
		qos[f] = 1
	}
	token := c.client.SubscribeMultiple(qos, nil)
	if !token.WaitTimeout(c.cfg.PublishTimeout) {
		return filters, errNoAnswer
	}
	if err := token.Error(); err != nil {
		return filters, err
	}
	t, ok := token.(*paho.SubscribeToken)
	if !ok {
		return nil, nil
	}
	return notGranted(filters, t.Result())
}

// notGranted reads the codes of a SUBACK: 0x80 is a refusal (MQTT 3.1.1,
// 3.9.3), and mochi says why in codes above it.
func notGranted(filters []string, codes map[string]byte) ([]string, error) {
	var left []string
	var errs []error
	for _, f := range filters {
		if code := codes[f]; code >= 0x80 {
			left = append(left, f)
			errs = append(errs, fmt.Errorf("%s: %w (code 0x%02x)", f, errNotGranted, code))
		}
	}
	return left, errors.Join(errs...)
}

// deliver hands a message to every subscription that matches it.
func (c *Client) deliver(_ paho.Client, msg paho.Message) {
	c.mu.Lock()
	subs := slices.Clone(c.subs)
	c.mu.Unlock()
	for _, s := range subs {
		if TopicMatches(s.filter, msg.Topic()) {
			s.handle(Message{Topic: msg.Topic(), Payload: msg.Payload(), Retained: msg.Retained()})
		}
	}
}

// Subscribe implements Pipe.
func (c *Client) Subscribe(filter string, handle func(Message)) {
	c.mu.Lock()
	c.subs = append(c.subs, subscription{filter, handle})
	c.mu.Unlock()
	if c.Connected() { // otherwise up subscribes
		c.persist([]string{filter})
	}
}

// OnUp implements Pipe.
func (c *Client) OnUp(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onUp = append(c.onUp, f)
}

// Open implements Pipe. A broker that cannot be reached is no error: the
// client keeps trying.
func (c *Client) Open() error {
	token := c.client.Connect()
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("connect to %s: %w", c.cfg.URL, err)
		}
	default:
	}
	return nil
}

// Connected implements Pipe. IsConnected would also be true while
// reconnecting.
func (c *Client) Connected() bool { return c.client.IsConnectionOpen() }

// Publish implements Pipe.
func (c *Client) Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error {
	if !c.Connected() {
		return ErrNotConnected
	}
	lost := c.connection()
	if c.cfg.Resend {
		lost = nil // paho completes the publication after the reconnect
	}
	token := c.client.Publish(topic, qos, retained, payload)
	timer := time.NewTimer(c.cfg.PublishTimeout)
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
		return fmt.Errorf("publish on %s: %w in %s", topic, errNoAck, c.cfg.PublishTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// disconnectMs is how long Close lets paho finish what it is writing.
const disconnectMs = 250

// Close implements Pipe: a DISCONNECT, which makes the broker drop the will. A
// client with a presence topic says offline first.
func (c *Client) Close() {
	if c.cfg.Presence != "" && c.Connected() {
		c.announce(wire.Offline, time.Second)
	}
	c.client.Disconnect(disconnectMs)
	c.down()
}

// copies is paho's store in memory, which hands out copies. Right after a connection
// paho marks what it finds in the store as a repetition, while the sender of the same
// packet may be writing it.
type copies struct{ *paho.MemoryStore }

func (s copies) Put(key string, p packets.ControlPacket) { s.MemoryStore.Put(key, copyOf(p)) }
func (s copies) Get(key string) packets.ControlPacket    { return copyOf(s.MemoryStore.Get(key)) }

func copyOf(p packets.ControlPacket) packets.ControlPacket {
	switch p := p.(type) {
	case *packets.PublishPacket:
		c := *p
		return &c
	case *packets.PubrelPacket:
		c := *p
		return &c
	case *packets.SubscribePacket:
		c := *p
		return &c
	case *packets.UnsubscribePacket:
		c := *p
		return &c
	}
	return p
}

// noStore is a paho store that keeps nothing. paho's own stores send again
// after a reconnect, next to a caller who does so too.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
