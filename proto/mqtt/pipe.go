package mqtt

import (
	"context"
	"errors"
	"strings"
)

// A Message is what a subscription delivers.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// A Pipe is one connection to one broker. It reconnects by itself and
// subscribes again when it does. All methods are safe for concurrent use.
type Pipe interface {
	// Subscribe adds a subscription at QoS 1. handle runs on a goroutine of
	// the pipe.
	Subscribe(filter string, handle func(Message))
	// OnUp has f called after every successful connection, once all
	// subscriptions stand. Call it before Open.
	OnUp(f func())
	// Open starts connecting and returns at once; the pipe keeps trying until
	// Close.
	Open() error
	// Connected says whether a publication has a chance now.
	Connected() bool
	// Publish returns nil when the broker has the message (QoS 1:
	// acknowledged; QoS 0: written). The pipe bounds its time.
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
	// Close disconnects without the last will being sent.
	Close()
}

// A Will is the message the broker publishes, retained, when the connection
// ends without a disconnect.
type Will struct {
	Topic   string
	Payload string
}

// ErrNotConnected is returned by Publish while a pipe has no broker.
var ErrNotConnected = errors.New("not connected to the broker")

// TopicMatches says whether a filter with + and # covers a topic (MQTT 3.1.1,
// section 4.7).
func TopicMatches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || (level != "+" && level != t[i]) {
			return false
		}
	}
	return len(f) == len(t)
}
