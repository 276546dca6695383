package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// What the store hands out is its own: marked as a repetition, it changes neither what
// is being sent nor what is kept.
func TestStoreHandsOutCopies(t *testing.T) {
	for _, sent := range []packets.ControlPacket{
		&packets.PublishPacket{TopicName: "t"}, &packets.PubrelPacket{}, &packets.SubscribePacket{}, &packets.UnsubscribePacket{},
	} {
		s := copies{paho.NewMemoryStore()}
		s.Open()
		s.Put("o.1", sent)
		first, second := s.Get("o.1"), s.Get("o.1")
		if first == nil || first == sent || second == sent || first == second || first.Details() != sent.Details() {
			t.Errorf("%T: %p and %p of %p", sent, first, second, sent)
		}
	}
	s := copies{paho.NewMemoryStore()}
	s.Open()
	sent := &packets.PublishPacket{TopicName: "t"}
	s.Put("o.1", sent)
	s.Get("o.1").(*packets.PublishPacket).Dup = true
	if sent.Dup || s.Get("o.1").(*packets.PublishPacket).Dup {
		t.Error("the mark has reached what is sent or kept")
	}
	if sent.TopicName = "other"; s.Get("o.1").(*packets.PublishPacket).TopicName != "t" {
		t.Error("what the sender writes has reached what is kept")
	}
	if s.Get("o.2") != nil {
		t.Error("a packet that was never put")
	}
}

func TestTopicMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/+/c", "a/b/c", true}, {"a/+/c", "a/b/d", false}, {"a/#", "a/b/c", true}, {"a/b", "a/b/c", false}, {"a/b/c", "a/b", false},
		{"+/+", "a/b", true}, {"#", "a", true}, {"+", "a/b", false}, {"a/+", "a", false}, {"a/#", "b/c", false}, {"a", "a", true}, {"", "a", false},
	} {
		if got := TopicMatches(c.filter, c.topic); got != c.want {
			t.Errorf("TopicMatches(%q, %q) = %v", c.filter, c.topic, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{URL: "http://h:1"}, "scheme must be tcp or tls"},
		{Config{URL: "::"}, "missing protocol scheme"},
		{Config{URL: "tls://h:1"}, "no TLS configuration"},
		{Config{URL: "tcp://h:1,tls://h:2"}, `"tls://h:2": no TLS configuration`},
		{Config{URL: "tcp://h:1,"}, "scheme must be tcp or tls"},
		{Config{URL: "tcp://h:1", Presence: "status"}, "a client id is needed"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	if c, err := New(Config{URL: "tcp://127.0.0.1:1"}); err != nil || c.Connected() {
		t.Errorf("a client is connected before Open: %v", err)
	} else if err := c.Publish(t.Context(), "a", 1, false, nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("publish before Open: %v", err)
	}
}

// What a SUBACK refuses is tried again, and what it grants is not: a second
// subscription would bring every retained message again.
func TestNotGranted(t *testing.T) {
	filters := []string{"a", "b", "c", "d"}
	left, err := notGranted(filters, map[string]byte{"a": 1, "b": 0x80, "c": 0x7f, "d": 0x97})
	if !slices.Equal(left, []string{"b", "d"}) {
		t.Errorf("left: %v", left)
	}
	if !errors.Is(err, errNotGranted) || !strings.Contains(err.Error(), "b: ") || !strings.Contains(err.Error(), "(code 0x97)") {
		t.Errorf("refused as: %v", err)
	}
	if left, err := notGranted(filters, maps.Collect(maps.All(map[string]byte{"a": 0}))); len(left) != 0 || err != nil {
		t.Errorf("all granted: %v, %v", left, err)
	}
}

// lineLog keeps the messages of a logger.
type lineLog struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, text)
	return nil
}

// A broker that is never reached is told of by its first failure, and again only
// when the reason is another one.
func TestRefusalIsToldOnce(t *testing.T) {
	log := &lineLog{Handler: slog.DiscardHandler}
	c, err := New(Config{URL: "tcp://broker.example:1", Logger: slog.New(toldAll{log})})
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"refused", "refused", "no route", "no route", "refused"} {
		c.refused(errors.New(why))
	}
	c.refused(nil)
	want := []string{"refused", "no route", "refused", "no answer"}
	for i, w := range want {
		want[i] = "broker not reached, trying on broker=tcp://broker.example:1 err=" + w
	}
	if !slices.Equal(log.lines, want) {
		t.Errorf("told %q\nwant %q", log.lines, want)
	}
}

// An attempt that fails reaches the log by itself.
func TestFailedAttemptIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lineLog{Handler: slog.DiscardHandler}
	c, err := New(Config{URL: "tcp://" + l.Addr().String(), Logger: slog.New(toldAll{log})})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second attempt comes after the first was told of
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	log.mu.Lock()
	lines := slices.Clone(log.lines)
	log.mu.Unlock()
	if len(lines) == 0 || !strings.Contains(lines[0], "broker not reached") {
		t.Errorf("told %q", lines)
	}
	c.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// toldAll passes every level on.
type toldAll struct{ *lineLog }

func (toldAll) Enabled(context.Context, slog.Level) bool { return true }
