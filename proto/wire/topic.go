package wire

import (
	"fmt"
	"strings"

	"fairwatt/proto/seal"
)

// Root begins every topic.
const Root = "fairwatt/v1/"

// The classes of a device's topics: what follows site and device.
const (
	ClassStatus    = "status"        // online or offline, retained
	ClassInfo      = "info"          // what does not change while it runs, retained
	ClassGate      = "gate"          // [Gate], retained
	ClassHazard    = "hazard/"       // and a kind: [Hazard], retained
	ClassAlert     = "alert"         // [Alert]
	ClassAlertCAP  = "alert/cap"     // the same as CAP 1.2
	ClassTelemetry = "telemetry"     // [Telemetry], not retained
	ClassTrade     = "trade"         // the open trades, retained
	ClassRecord    = "up/record"     // sealed records
	ClassReceipt   = "down/receipt/" // and a data aggregator: its receipts
	ClassList      = "list"          // a data aggregator's: who may not trade, sealed, retained
	ClassNowcast   = "nowcast"       // what it tells its neighbours, sealed, retained
	// ClassNeighbours and a data aggregator: nowcasts of others, handed to it.
	ClassNeighbours = "down/neighbours/"
)

// CodeWrongTopic is the refusal of a record that was not published on its
// sender's own topic. No block holds one, so the ledger does not know it.
const CodeWrongTopic = "wrong_topic"

// Topics builds the topics of one device.
type Topics struct {
	Site, Device string
}

// Of returns the topic of a class.
func (t Topics) Of(class string) string { return Root + t.Site + "/" + t.Device + "/" + class }

// Receipt returns the topic of the receipts of one data aggregator.
func (t Topics) Receipt(da string) string { return t.Of(ClassReceipt + da) }

// Neighbours returns the topic on which one data aggregator hands over nowcasts.
func (t Topics) Neighbours(da string) string { return t.Of(ClassNeighbours + da) }

// EveryDevice returns the filter of a class over all devices.
func EveryDevice(class string) string { return Root + "+/+/" + class }

// StatusOfDA returns the topic where a data aggregator says, retained, whether
// it is online.
func StatusOfDA(da string) string { return Topics{"da", da}.Of(ClassStatus) }

// ListOfDA returns the topic where a data aggregator says, signed and retained, who may
// not trade.
func ListOfDA(da string) string { return Topics{"da", da}.Of(ClassList) }

// A Topic is a topic in its parts: fairwatt/v1/<site>/<device>/<class>.
type Topic struct {
	Topics
	Class string
}

// String returns the topic's text.
func (t Topic) String() string { return t.Of(t.Class) }

// ParseTopic reads a topic. It refuses ids that are not [a-z0-9-], because ids
// are shown and other topics are built of them.
func ParseTopic(s string) (Topic, error) {
	rest, ok := strings.CutPrefix(s, Root)
	if !ok {
		return Topic{}, fmt.Errorf("topic %.100q: not below %s", s, Root)
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) != 3 || !seal.ValidName(parts[0]) || !seal.ValidName(parts[1]) {
		return Topic{}, fmt.Errorf("topic %.100q: want %s<site>/<device>/<class> with ids of a-z, 0-9 and -", s, Root)
	}
	return Topic{Topics{parts[0], parts[1]}, parts[2]}, nil
}
