package aggregator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fairwatt/proto/seal"
)

// A Message came in on a subscription.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// A Pipe is a connection to one broker. It reconnects by itself and subscribes
// again when it does. All methods are safe for concurrent use.
type Pipe interface {
	// Subscribe has handle called for each message that matches the filter, in
	// the order of arrival, from a goroutine of the pipe; handle does not
	// block. Call it before Open.
	Subscribe(filter string, handle func(Message))
	// Open begins to connect and returns at once.
	Open() error
	// Connected says whether a publication has a chance now.
	Connected() bool
	// Publish returns nil when the broker has acknowledged the message.
	Publish(ctx context.Context, topic string, qos byte, retained bool, payload []byte) error
	// Close disconnects.
	Close()
}

// ErrNotConnected is returned by Publish while a pipe has no broker.
var ErrNotConnected = errors.New("not connected to the broker")

// Limits of what comes in over MQTT.
const (
	maxBatchBytes   = 1 << 20 // one RecordBatch
	maxBatchRecords = 64
	maxViewBytes    = 64 << 10 // one gate, hazard or status message
)

const topicRoot = "fairwatt/v1/"

// A topic is fairwatt/v1/<site>/<device>/<class>.
type topic struct{ site, device, class string }

// parseTopic refuses ids that are not [a-z0-9-]: they are shown, and used to
// build other topics.
func parseTopic(s string) (topic, error) {
	rest, ok := strings.CutPrefix(s, topicRoot)
	if !ok {
		return topic{}, fmt.Errorf("topic %.100q: not below %s", s, topicRoot)
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) != 3 || !seal.ValidName(parts[0]) || !seal.ValidName(parts[1]) {
		return topic{}, fmt.Errorf("topic %.100q: want %s<site>/<device>/<class> with ids of a-z, 0-9 and -", s, topicRoot)
	}
	return topic{site: parts[0], device: parts[1], class: parts[2]}, nil
}

func receiptTopic(site, device, da string) string {
	return topicRoot + site + "/" + device + "/down/receipt/" + da
}

// StatusTopic is where an aggregator says, retained, whether it is online.
func StatusTopic(da string) string { return topicRoot + "da/" + da + "/status" }

// topicMatches says whether a topic matches a filter (MQTT 3.1.1, 4.7).
func topicMatches(filter, name string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(n) || level != "+" && level != n[i]:
			return false
		}
	}
	return len(f) == len(n)
}
