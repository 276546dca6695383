package sensor

import (
	"maps"
	"slices"
	"sort"

	"fairwatt/model"
)

// Kinds lists the kinds of sensors, in order of their names.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Gives lists every channel that a sensor of a kind can give by its settings, in
// the order of the channels; nil for a kind that is none.
func Gives(kind string) []model.Channel {
	out := slices.Clone(fixed[kind])
	switch kind {
	case KindADS1115:
		for c := range model.NumChannels {
			if canMeasure(c) {
				out = append(out, c)
			}
		}
		out = append(out, model.FrequencyHz)
	case KindPZEM:
		for _, ch := range pzemPhases {
			out = append(out, ch[:]...)
		}
		out = append(out, model.FrequencyHz, model.EnergyExportWh, model.EnergyImportWh)
	case KindModbus, KindMQTT, KindSysfs:
		out = append(out, quantities()...)
	case KindSunSpec:
		for _, points := range sunModels {
			for _, p := range points {
				out = append(out, p.channel)
			}
		}
		out = append(out, model.InverterEvents)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return slices.Compact(out)
}

// fixed are the channels of the kinds that have always the same, or one of a few.
var fixed = map[string][]model.Channel{
	KindBME280:     bmeChannels,
	KindINA219:     inaChannels,
	KindAnemometer: windChannels,
	KindS0:         {model.EnergyExportWh, model.EnergyImportWh, model.PowerW},
	KindTMP102:     {model.EquipmentTemperatureC, model.TemperatureC},
	KindMCP9808:    {model.EquipmentTemperatureC, model.TemperatureC},
	KindLM75:       {model.EquipmentTemperatureC, model.TemperatureC},
	KindDS18B20:    {model.EquipmentTemperatureC, model.TemperatureC},
	KindSHT4x:      shtChannels,
	KindRain:       rainChannels,
	KindAS3935:     asChannels,
	KindADXL345:    adxlChannels,
	KindBH1750:     bhChannels,
}
