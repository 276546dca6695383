package grid

import (
	"fmt"
	"slices"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/scenario"
	"fairwatt/model"
)

// The meter that counts a seller's deliveries, and the contactor they flow
// through.
const (
	sellerPin    = "S0-1"
	sellerMeter  = "delivery"
	contactorPin = "K1"
	feedbackPin  = "K1-FB"
)

// contactorConfig is the contactor of every generator.
var contactorConfig = drive.Config{Pin: contactorPin, Feedback: feedbackPin}

// withContactor adds the relay of contactorConfig to a board.
func withContactor(layout board.Config) board.Config {
	layout.Relays = append(layout.Relays, board.Relay{Pin: contactorPin, Feedback: feedbackPin})
	return layout
}

// Additional parts of a generator whose scenario is about a fault of the plant or
// of its meter.
const (
	thermometerAddress = 0x49
	meterPort          = "METER"
)

// Additional parts of a generator in a storm.
const (
	rainPin         = "RAIN"
	mmPerTip        = 0.2794
	detectorAddress = 0x03
	detectorPin     = "STROKE"
	detectorCap     = 5
)

// generatorBoard returns the standard board and its sensors, without the sensors
// whose quantities the weather does not have: a chip without a world does not
// answer, and would close the gate for ever. If the scenario is about a fault of
// the plant, there is a thermometer on it; if it is about a meter, that meter.
func generatorBoard(w weather) (board.Config, []sensor.Config) {
	var sensors []sensor.Config
	for _, c := range sensor.StandardConfigs() {
		switch c.Kind {
		case sensor.KindS0:
			if c.Describe().Address != sellerPin {
				continue
			}
			c.Name = sellerMeter
		case sensor.KindADS1115:
			o := c.Opts.(sensor.ADS1115Opts)
			o.ReadyPin = "RDY"
			c.Opts = o
		case sensor.KindINA219:
			if !w.has(model.DCVoltageV, model.DCCurrentA) {
				continue
			}
		case sensor.KindBME280:
			if !w.has(model.TemperatureC, model.HumidityPct, model.PressureHPa) {
				continue
			}
		case sensor.KindAnemometer:
			if !w.has(model.WindSpeedMPS) {
				continue
			}
		}
		sensors = append(sensors, c)
	}
	layout := withContactor(board.Standard())
	if w.about(scenario.LabelEquipment) && w.has(model.EquipmentTemperatureC) {
		layout.TMP102 = append(layout.TMP102, board.TMP102{Address: thermometerAddress, Channel: model.EquipmentTemperatureC})
		sensors = append(sensors, sensor.Config{Kind: sensor.KindTMP102, Address: thermometerAddress})
	}
	if w.about(scenario.LabelSensor) && w.has(model.PowerW, model.PowerFactor) {
		layout.PZEM = append(layout.PZEM, board.PZEM{Port: meterPort, Address: 1})
		sensors = append(sensors, sensor.Config{Kind: sensor.KindPZEM, Opts: sensor.PZEMOpts{Port: meterPort}})
	}
	if w.past == nil {
		return layout, sensors
	}
	// A storm's generators notice rain, and every second one lightning.
	layout.RainGauges = append(layout.RainGauges, board.RainGauge{Pin: rainPin, MMPerTip: mmPerTip})
	sensors = append(sensors, sensor.Config{Kind: sensor.KindRain, Opts: sensor.RainOpts{Pin: rainPin, MMPerTip: mmPerTip}})
	if w.has(model.LightningKM, model.LightningCount) {
		layout.AS3935 = append(layout.AS3935, board.AS3935{Address: detectorAddress, IRQPin: detectorPin, BestCap: detectorCap})
		sensors = append(sensors, sensor.Config{
			Kind: sensor.KindAS3935, Address: detectorAddress, Opts: sensor.AS3935Opts{IRQPin: detectorPin, TuningCap: detectorCap},
		})
	}
	return layout, sensors
}

// about says whether the weather has a column of truth.
func (w *weather) about(label string) bool { return slices.Contains(w.tr.Labels, label) }

// houseBoard returns a board with a meter for every circuit of a buyer, and
// nothing else.
func houseBoard() (board.Config, []sensor.Config) {
	var layout board.Config
	var sensors []sensor.Config
	for i := range circuitsPerHouse {
		pin, name := fmt.Sprintf("S0-%d", i+1), fmt.Sprintf("circuit-%d", i+1)
		layout.Meters = append(layout.Meters, board.Meter{Pin: pin, ImpPerKWh: 1000})
		sensors = append(sensors, sensor.Config{Kind: sensor.KindS0, Name: name, Opts: sensor.S0Opts{Pin: pin, Direction: "import"}})
	}
	return layout, sensors
}

// has says whether the weather has all of some channels.
func (w *weather) has(channels ...model.Channel) bool {
	for _, c := range channels {
		if !slices.Contains(w.tr.Channels, c) {
			return false
		}
	}
	return true
}

// measured lists the channels of the weather that a generator's sensors give. The
// judgement may require these.
func (w *weather) measured(sensors []sensor.Sensor) []model.Channel {
	var channels []model.Channel
	for _, s := range sensors {
		for _, c := range s.Channels() {
			// A meter counts, and an anemometer finds gusts, whatever the
			// weather's channels are.
			if w.has(c) || c == model.EnergyExportWh || c == model.WindGustMPS {
				channels = append(channels, c)
			}
		}
	}
	return channels
}
