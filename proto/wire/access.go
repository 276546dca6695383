package wire

// DeviceWrites are the classes of its own topics that a device may write, and
// DeviceReads those that others write for it, as MQTT filters. A broker's access
// list says the same.
var (
	DeviceWrites = []string{
		"up/#", ClassStatus, ClassInfo, ClassTelemetry, ClassGate, ClassHazard + "#",
		ClassAlert, ClassAlertCAP, ClassTrade, ClassNowcast, ClassResult,
	}
	DeviceReads = []string{"down/#", "cmd/#"}
	// DeviceShows are those that anyone who may look at a site reads: no records, no
	// receipts, no commands.
	DeviceShows = []string{
		ClassStatus, ClassInfo, ClassTelemetry, ClassGate, ClassHazard + "#", ClassAlert, ClassAlertCAP, ClassTrade, ClassNowcast,
	}
)

// HomeAssistant begins the topics of Home Assistant's discovery. It says on
// HomeAssistantStatus that it has started.
const (
	HomeAssistant       = "homeassistant/"
	HomeAssistantStatus = HomeAssistant + "status"
)

// Warnings begins the topics of official warnings of the weather. A warner alone writes them,
// and every device may read them.
const Warnings = "met/"

// Discovery returns the topic where a device describes itself to Home Assistant. The
// broker allows it by the device's name alone, whatever its site.
func Discovery(device string) string { return HomeAssistant + "device/" + device + "/config" }

// AggregatorWrites are the topics that a data aggregator may write, as MQTT
// filters: what it hands to devices in its own name, and its status.
func AggregatorWrites(da string) []string {
	return []string{EveryDevice(ClassReceipt + da), EveryDevice(ClassNeighbours + da), StatusOfDA(da), ListOfDA(da)}
}
