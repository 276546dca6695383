package sensor

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"fairwatt/configs/meters"
)

// A modbusMap is a file of configs/meters: the registers of a type of device, and
// how its line is set at the factory.
type modbusMap struct {
	Device       string        `yaml:"device"` // maker and type, for people
	Baudrate     int           `yaml:"baudrate,omitempty"`
	Comset       string        `yaml:"comset,omitempty"`
	Timeout      time.Duration `yaml:"timeout,omitempty"`
	ConnectDelay time.Duration `yaml:"connect_delay,omitempty"`
	// Type and Decode are those of registers that do not say theirs.
	Type      string           `yaml:"type,omitempty"`
	Decode    string           `yaml:"decode,omitempty"`
	Registers []RegisterConfig `yaml:"registers"`
}

// readMap reads the map of that name, if there is one. The tests read all of them: one
// that cannot be read is not there.
func readMap(name string) (m modbusMap, ok bool) {
	text, ok := meters.Maps()[name]
	if !ok || yaml.UnmarshalWithOptions([]byte(text), &m, yaml.Strict()) != nil {
		return modbusMap{}, false
	}
	for i := range m.Registers {
		orDefault(&m.Registers[i].Register.Type, m.Type)
		orDefault(&m.Registers[i].Register.Decode, m.Decode)
	}
	return m, true
}

// mapsRead are the maps that were asked for: a configuration's defaults are filled in
// again and again.
var mapsRead sync.Map

// readyMap returns a map by its name.
func readyMap(name string) (modbusMap, bool) {
	if m, ok := mapsRead.Load(name); ok {
		return m.(modbusMap), true
	}
	m, ok := readMap(name)
	if ok {
		mapsRead.Store(name, m)
	}
	return m, ok
}

// ReadyMaps lists the names of the maps of Modbus devices, in order.
func ReadyMaps() []string { return slices.Sorted(maps.Keys(meters.Maps())) }
