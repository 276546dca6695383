package sensor

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"fairwatt/agent/modbus"

	"github.com/goccy/go-yaml"
)

// kinds are all kinds of sensors. A chip's settings, driver and place are in the
// chip's own file.
var kinds = map[string]kind{
	KindBME280:     kindOf[BME280Opts](),
	KindINA219:     kindOf[INA219Opts](),
	KindADS1115:    kindOf[ADS1115Opts](),
	KindAnemometer: kindOf[AnemometerOpts](),
	KindS0:         kindOf[S0Opts](),
	KindTMP102:     kindOf[TMP102Opts](),
	KindSHT4x:      kindOf[SHT4xOpts](),
	KindRain:       kindOf[RainOpts](),
	KindAS3935:     kindOf[AS3935Opts](),
	KindPZEM:       kindOf[PZEMOpts](),
	KindSunSpec:    kindOf[SunSpecOpts](),
	KindModbus:     kindOf[ModbusOpts](),
	KindMQTT:       kindOf[MQTTOpts](),
	KindSysfs:      kindOf[SysfsOpts](),
	KindADXL345:    kindOf[ADXL345Opts](),
	KindBH1750:     kindOf[BH1750Opts](),
	KindMCP9808:    kindOf[MCP9808Opts](),
	KindLM75:       kindOf[LM75Opts](),
	KindDS18B20:    kindOf[DS18B20Opts](),
}

// A Config describes one sensor. Zero means the default. Its YAML form is flat:
// the keys of Opts stand next to kind, name, bus and address. A key of another
// kind is an error.
type Config struct {
	Kind string
	// Name stands in messages; default kind@address or kind@pin.
	Name string
	// Bus is the I2C bus, as the application's Buses name it: "1" for
	// /dev/i2c-1, "sim://ADDR" for a board behind a socket.
	Bus string
	// Address is the 7-bit I2C address, the Modbus address of a pzem, or the unit
	// of a sunspec device. The kind has the default.
	Address uint16
	// Opts are the settings of the kind, such as [INA219Opts]; nil for the
	// defaults.
	Opts Opts
}

// Opts are the settings of one kind of sensor. Each driver's file has its own.
type Opts interface {
	// withDefaults returns the settings with the defaults for what was left out.
	withDefaults() Opts
	// place says where such a sensor is looked for.
	place() place
	// check returns an error that names the first setting that is wrong.
	check() error
	// open makes the sensor of a checked configuration.
	open(cfg Config, buses Buses) (Sensor, error)
}

// A place is where a sensor hangs, and which addresses it can have there.
type place struct {
	on         medium
	at         string // the pin, port or endpoint
	address    uint16 // the default
	first, end uint16 // the addresses it can have
	line       string // a pin beside the bus: ready or interrupt; "" without one
}

// withLine adds a ready or interrupt pin.
func (p place) withLine(pin string) place {
	p.line = pin
	return p
}

type medium uint8

const (
	onI2C medium = iota + 1
	onPin
	onSerial
	onNetwork
	onName
)

// atI2C is an address on the I2C bus. 0x00-0x07 and 0x78-0x7f are reserved
// (UM10204, table 3).
func atI2C(address uint16) place { return place{on: onI2C, address: address, first: 0x08, end: 0x77} }

func atPin(name string) place { return place{on: onPin, at: name} }

func atSerial(port string) place {
	return place{on: onSerial, at: port, address: 1, first: 1, end: modbus.Anyone}
}

func atNetwork(endpoint string) place {
	return place{on: onNetwork, at: endpoint, address: 1, first: 1, end: 247}
}

// check checks where the sensor is looked for. The endpoint's form is the
// chip's business.
func (p place) check(address uint16) error {
	outside := address < p.first || address > p.end
	switch {
	case p.on == onI2C && outside:
		return fmt.Errorf("address: 0x%02x is no 7-bit device address", address)
	case p.on == onPin && p.at == "":
		return errors.New("pin: missing")
	case p.on == onPin && outside:
		return errors.New("address: not for a pulse sensor")
	case p.on == onName && outside:
		return errors.New("address: not for this kind")
	case p.on == onSerial && p.at == "":
		return errors.New("port: missing")
	case p.on == onSerial && outside:
		return fmt.Errorf("address: %d is not within %d and %d", address, p.first, p.end)
	case p.on == onNetwork && outside:
		return fmt.Errorf("address: unit %d is not within %d and %d", address, p.first, p.end)
	}
	return nil
}

// name is the name of a sensor that was given none.
func (p place) name(kind string, address uint16) string {
	switch {
	case p.at == "":
		return fmt.Sprintf("%s@0x%02x", kind, address)
	case p.on == onPin, p.on == onName:
		return kind + "@" + p.at
	case p.on == onNetwork:
		return fmt.Sprintf("%s@%s/%d", kind, p.at, address)
	default:
		return fmt.Sprintf("%s@%s/0x%02x", kind, p.at, address)
	}
}

// A Description says where a sensor sits.
type Description struct{ Name, Chip, Bus, Address string }

// Describe returns where the sensor is looked for; for a pulse sensor the
// address is its pin.
func (c Config) Describe() Description {
	c = c.withDefaults()
	d := Description{Name: c.Name, Chip: c.Kind, Bus: c.Bus, Address: fmt.Sprintf("0x%02x", c.Address)}
	if c.Opts == nil {
		return d
	}
	switch p := c.Opts.place(); p.on {
	case onPin, onName:
		d.Address = p.at
	case onSerial, onNetwork:
		d.Bus = p.at
	}
	return d
}

// CountsPulses says whether the sensor counts pulses on a pin.
func (c Config) CountsPulses() bool {
	c = c.withDefaults()
	return c.Opts != nil && c.Opts.place().on == onPin
}

// Topic is the MQTT topic of a sensor of kind mqtt, else empty.
func (c Config) Topic() string {
	o, _ := c.withDefaults().Opts.(MQTTOpts)
	return o.Topic
}

// SoleWitness is false for a sensor whose word was relayed, unless the site takes it
// alone.
func (c Config) SoleWitness() bool {
	o, relayed := c.withDefaults().Opts.(MQTTOpts)
	return !relayed || o.SoleWitness
}

// OnI2C says whether the sensor is a chip on an I2C bus.
func (c Config) OnI2C() bool {
	c = c.withDefaults()
	return c.Opts != nil && c.Opts.place().on == onI2C
}

// SerialPort is the serial line of a sensor on one, else empty.
func (c Config) SerialPort() string {
	c = c.withDefaults()
	if c.Opts == nil {
		return ""
	}
	if p := c.Opts.place(); p.on == onSerial {
		return p.at
	}
	return ""
}

// SerialLine is how the serial line of a sensor on one is set; false if it is on none,
// or its settings are wrong.
func (c Config) SerialLine() (modbus.Line, bool) {
	c = c.withDefaults()
	if c.SerialPort() == "" {
		return modbus.Line{}, false
	}
	o, ok := c.Opts.(ModbusOpts)
	if !ok {
		return modbus.DefaultLine, true
	}
	line, err := modbus.ParseLine(o.Baudrate, o.Comset)
	return line, err == nil
}

// Pins returns the GPIO pins that the sensor takes for itself.
func (c Config) Pins() []string {
	c = c.withDefaults()
	if c.Opts == nil {
		return nil
	}
	var pins []string
	p := c.Opts.place()
	if p.on == onPin && p.at != "" {
		pins = append(pins, p.at)
	}
	if p.line != "" {
		pins = append(pins, p.line)
	}
	return pins
}

// orDefault sets a value that was left out.
func orDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (c Config) withDefaults() Config {
	if c.Opts == nil {
		c.Opts = kinds[c.Kind].none
	}
	var p place
	if c.Opts != nil {
		c.Opts = c.Opts.withDefaults()
		p = c.Opts.place()
	}
	orDefault(&c.Address, p.address)
	orDefault(&c.Name, p.name(c.Kind, c.Address))
	return c
}

// Validate returns an error that names the first field that is wrong.
func (c Config) Validate() error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("sensor %s: %w", c.Name, err)
	}
	return nil
}

func (c Config) validate() error {
	k, known := kinds[c.Kind]
	switch {
	case c.Kind == "":
		return errors.New("kind: missing")
	case !known:
		return fmt.Errorf("kind: %q is none of %s", c.Kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	case !k.has(c.Opts):
		return fmt.Errorf("kind: %s does not take %T", c.Kind, c.Opts)
	}
	if err := c.Opts.place().check(c.Address); err != nil {
		return err
	}
	return c.Opts.check()
}

// within reports whether v is a number in [lo, hi].
func within(v, lo, hi float64) bool { return v >= lo && v <= hi && !math.IsNaN(v) }

// checkDebounce checks the setting that all pulse sensors have.
func checkDebounce(d time.Duration) error {
	if d < 0 || d > time.Second {
		return fmt.Errorf("debounce: %v is not within 0 and 1s", d)
	}
	return nil
}

// checkDirection checks the setting that all energy meters have.
func checkDirection(s string) error {
	if s != "export" && s != "import" {
		return fmt.Errorf("direction: %q is neither export nor import", s)
	}
	return nil
}

// A kind is what the type of a kind's settings gives.
type kind struct {
	none   Opts // nothing set
	has    func(Opts) bool
	decode func(unmarshal func(any) error) (Config, error)
	encode func(Config) any
	form   reflect.Type
}

// A file is the YAML form of a sensor whose settings are an O.
type file[O Opts] struct {
	Kind    string `yaml:"kind"`
	Name    string `yaml:"name,omitempty"`
	Bus     string `yaml:"bus,omitempty"`
	Address uint16 `yaml:"address,omitempty"`
	Opts    O      `yaml:",inline"`
}

func kindOf[O Opts]() kind {
	var none O
	return kind{
		none: none,
		has:  func(o Opts) bool { _, ok := o.(O); return ok },
		decode: func(unmarshal func(any) error) (Config, error) {
			var f file[O]
			err := unmarshal(&f)
			return Config{f.Kind, f.Name, f.Bus, f.Address, f.Opts}, err
		},
		encode: func(c Config) any {
			o, _ := c.Opts.(O) // without settings: all are left out
			return file[O]{c.Kind, c.Name, c.Bus, c.Address, o}
		},
		form: reflect.TypeFor[file[O]](),
	}
}

// YAMLForm is the type of the keys that the kind has, for the check of their
// values before they are read.
func (Config) YAMLForm(text func(key string) string) reflect.Type {
	if k, ok := kinds[text("kind")]; ok {
		return k.form
	}
	return kinds[KindBME280].form // it has the keys that all kinds have
}

// UnmarshalYAML reads the keys that the kind has. A decoder that is strict
// refuses others.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	var keys map[string]any
	if err := unmarshal(&keys); err != nil {
		return err
	}
	name, ok := keys["kind"].(string)
	k, known := kinds[name]
	if !known && (ok || keys["kind"] == nil) {
		// Validate says that the kind is missing or unknown.
		given, _ := keys["name"].(string)
		*c = Config{Kind: name, Name: given}
		return nil
	}
	if !known { // no text: the decoder says so
		k = kinds[KindBME280]
	}
	var err error
	*c, err = k.decode(unmarshal)
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && known {
		unknown.Message += " for kind " + name
	}
	return err
}

// MarshalYAML writes the sensor as a file has it.
func (c Config) MarshalYAML() (any, error) {
	k, known := kinds[c.Kind]
	if !known || c.Opts != nil && !k.has(c.Opts) {
		return nil, c.Validate()
	}
	return k.encode(c), nil
}
