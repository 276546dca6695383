package mqtt

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

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
