package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/modbus"
	"fairwatt/agent/outbox"
	"fairwatt/agent/sensor"
	"fairwatt/model"
	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/strictyaml"
	"fairwatt/proto/wire"
)

// A Config is an agent's configuration file. Unknown keys are errors.
type Config struct {
	Site   string `yaml:"site"`   // [a-z0-9-]
	Device string `yaml:"device"` // [a-z0-9-]; also the MQTT client id and the participant id
	// Simulated marks everything this agent says, to the chain.
	Simulated bool `yaml:"simulated"`
	// Data is the agent's directory: key, outbox and state. Relative paths of
	// the file are relative to the file.
	Data string `yaml:"data"`
	// Genesis is the chain's genesis.json; without it the agent judges and
	// publishes, but seals no record and trades nothing.
	Genesis string `yaml:"genesis"`
	// MQTT are broker URLs, tcp:// or tls://, the preferred one first. Servers that are one
	// broker stand in one entry, with commas between.
	MQTT     []string       `yaml:"mqtt"`
	MQTTAuth MQTTAuthConfig `yaml:"mqtt_auth"`
	TLS      TLSConfig      `yaml:"tls"`
	// SensorBroker is the broker of sensors of kind mqtt, if it is another one.
	SensorBroker *SensorBrokerConfig `yaml:"sensor_broker"`
	// Bus is where the sensors are: empty for this machine, sim://host:port
	// for a simulated board.
	Bus string `yaml:"bus"`
	// PowerCycle cuts the supply of the chips when they do not answer.
	PowerCycle *PowerCycleConfig `yaml:"power_cycle"`
	Tick       time.Duration     `yaml:"tick"`    // between samples
	Sensors    []sensor.Config   `yaml:"sensors"` // read in this order
	Judge      model.Config      `yaml:"judge"`
	// Network is "shipped" for the hazard network in this binary, or "none".
	Network   string        `yaml:"network"`
	Telemetry time.Duration `yaml:"telemetry"` // between telemetry messages
	Outbox    outbox.Limits `yaml:"outbox"`
	Sell      *SellConfig   `yaml:"sell"`
	// Contactor switches the power sold, or says that nothing does.
	Contactor *drive.Config   `yaml:"contactor"`
	Buy       *BuyConfig      `yaml:"buy"`
	Location  *LocationConfig `yaml:"location"`
	// Warnings are official warnings that the judge heeds.
	Warnings *WarningsConfig `yaml:"warnings"`
	// Neighbours says what is told to neighbours of this place's weather.
	Neighbours *NeighboursConfig `yaml:"neighbours"`
	// CAPAlerts has the alerts told as CAP 1.2 too.
	CAPAlerts *CAPAlertsConfig `yaml:"cap_alerts"`
	Watchdog  WatchdogConfig   `yaml:"watchdog"`
	// Owners may acknowledge and block over MQTT, by commands that they seal.
	Owners []OwnerConfig `yaml:"owners"`
	// HomeAssistant publishes MQTT discovery for home automation.
	HomeAssistant bool `yaml:"home_assistant"`
	// MetricsFile is a file of metrics for node_exporter, NAME.prom; empty for none.
	MetricsFile string `yaml:"metrics_file"`
	// Clock says whether the wall clock is synchronised: kernel (default), or trusted
	// where something sets it that the kernel does not know of.
	Clock string `yaml:"clock"`
}

// ClockTrusted is a Config's Clock that needs no word of the kernel.
const ClockTrusted = "trusted"

// MQTTAuthConfig is for brokers that ask for a password.
type MQTTAuthConfig struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
}

// TLSConfig names the files of tls:// connections. The certificate's common
// name is the device id.
type TLSConfig struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// LocationConfig is where the device is, in degrees: for alerts, official
// warnings, and the rules that need it (W08; light at night). It is also the
// judge's position, unless that is configured by itself.
type LocationConfig struct {
	Latitude  float64 `yaml:"latitude"`
	Longitude float64 `yaml:"longitude"`
}

// WatchdogConfig is a hardware watchdog. systemd's needs no configuration.
type WatchdogConfig struct {
	// Device is the watchdog's file, such as /dev/watchdog; empty for none.
	Device string `yaml:"device"`
	// Timeout is after how long without a kick the machine restarts; default
	// 15s, the most a Raspberry Pi's can.
	Timeout time.Duration `yaml:"timeout"`
}

// watchdogSlack is how much longer than a tick a round may take: a publication
// to a dead broker ends after 10 s.
const watchdogSlack = 11 * time.Second

// SlotTooShort says whether a watchdog of that timeout would bite an agent that
// is well.
func (c *Config) SlotTooShort(timeout time.Duration) bool { return timeout < c.Tick+watchdogSlack }

// SellConfig makes the device a seller.
type SellConfig struct {
	Meter            string        `yaml:"meter"` // sensor with one energy register, which bills
	PriceMicroPerKWh int64         `yaml:"price_micro_per_kwh"`
	MinWh            int64         `yaml:"min_wh"`
	MaxWh            int64         `yaml:"max_wh"`
	DeliveryH        float64       `yaml:"delivery_h"` // what a delivery is meant to last, hours of the sensing clock
	OfferTTL         time.Duration `yaml:"offer_ttl"`
	// Care is how careful it is by slots: in how many of its last eight it would have delivered
	// what it asks for. 1 keeps back a tenth, unless all of them fell short by more.
	Care int `yaml:"care"`
}

// BuyConfig makes the device a buyer.
type BuyConfig struct {
	Circuits     []BuyCircuit  `yaml:"circuits"`
	RequestTTL   time.Duration `yaml:"request_ttl"`
	RequestEvery time.Duration `yaml:"request_every"` // pause of a circuit between trades
	// MeterClassE4 is the accuracy class of the two meters together, 1e-4.
	MeterClassE4 int64 `yaml:"meter_class_e4"`
}

// A BuyCircuit is a circuit with its own meter.
type BuyCircuit struct {
	Name                string `yaml:"name"`
	Meter               string `yaml:"meter"` // sensor with one energy register
	VolumeWh            int64  `yaml:"volume_wh"`
	MaxPriceMicroPerKWh int64  `yaml:"max_price_micro_per_kwh"`
}

// DefaultConfig is what a file starts from.
func DefaultConfig() Config {
	return Config{
		Data: "data", Tick: time.Second, Telemetry: 10 * time.Second, Network: "shipped",
		Judge: model.DefaultConfig(), Outbox: outbox.DefaultLimits(),
	}
}

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// ParseConfig reads a configuration: defaults, then the file, then Validate.
// A key it does not know is an error that names it and its line.
func ParseConfig(r io.Reader) (*Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(b) > maxConfigBytes {
		return nil, fmt.Errorf("configuration: over %d bytes", maxConfigBytes)
	}
	cfg := DefaultConfig()
	if err := strictyaml.Decode(b, &cfg); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	cfg.fill()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &cfg, nil
}

// LoadConfig reads a configuration file; its relative paths become relative
// to the file's directory.
func LoadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close()
	cfg, err := ParseConfig(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	paths := []*string{&cfg.Data, &cfg.Genesis, &cfg.TLS.CA, &cfg.TLS.Cert, &cfg.TLS.Key, &cfg.MQTTAuth.PasswordFile, &cfg.MetricsFile, cfg.warningsFile()}
	for _, p := range append(paths, cfg.SensorBroker.files()...) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return cfg, nil
}

// warningsFile is the path of the warnings' file, empty for none.
func (c *Config) warningsFile() *string {
	if c.Warnings == nil {
		return new(string)
	}
	return &c.Warnings.File
}

// fill gives the optional sections their defaults.
func (c *Config) fill() {
	if l := c.Location; l != nil && c.Judge.Position == nil {
		c.Judge.Position = &model.Position{Latitude: l.Latitude, Longitude: l.Longitude}
	}
	if w := c.Warnings; w != nil && w.StaleAfter == 0 {
		w.StaleAfter = 15 * time.Minute
	}
	if w := &c.Watchdog; w.Device != "" && w.Timeout == 0 {
		w.Timeout = 15 * time.Second
	}
	if c.Neighbours != nil {
		c.Neighbours.fill()
	}
	if c.CAPAlerts != nil {
		c.CAPAlerts.fill(c)
	}
	if c.PowerCycle != nil {
		c.PowerCycle.fill()
	}
	if s := c.Sell; s != nil {
		if s.DeliveryH == 0 {
			s.DeliveryH = 1
		}
		if s.OfferTTL == 0 {
			s.OfferTTL = 15 * time.Minute
		}
		if s.MinWh == 0 {
			s.MinWh = 10
		}
		if s.Care == 0 {
			s.Care = 6
		}
	}
	if b := c.Buy; b != nil {
		if b.RequestTTL == 0 {
			b.RequestTTL = 5 * time.Minute
		}
		if b.RequestEvery == 0 {
			b.RequestEvery = time.Minute
		}
		if b.MeterClassE4 == 0 {
			b.MeterClassE4 = 200 // two meters of class 1
		}
	}
}

// A ConfigError names the field that is wrong and what to write instead.
type ConfigError struct {
	Field string
	Fix   string
}

func (e *ConfigError) Error() string { return "configuration: " + e.Field + ": " + e.Fix }

// Validate names the first field that is wrong.
func (c *Config) Validate() error {
	for _, id := range []struct{ field, value string }{{"site", c.Site}, {"device", c.Device}} {
		if !seal.ValidName(id.value) {
			return &ConfigError{id.field, fmt.Sprintf("%q is not an id; use 1 to 64 of a-z, 0-9 and -", id.value)}
		}
	}
	if c.Data == "" {
		return &ConfigError{"data", "name a directory for key, outbox and state"}
	}
	if c.Tick < 10*time.Millisecond || c.Tick > time.Hour {
		return &ConfigError{"tick", fmt.Sprintf("%s; use 10ms to 1h", c.Tick)}
	}
	if c.Telemetry < c.Tick {
		return &ConfigError{"telemetry", fmt.Sprintf("%s is shorter than tick %s", c.Telemetry, c.Tick)}
	}
	if c.Network != "shipped" && c.Network != "none" {
		return &ConfigError{"network", fmt.Sprintf("%q; use shipped or none", c.Network)}
	}
	if c.Clock != "" && c.Clock != "kernel" && c.Clock != ClockTrusted {
		return &ConfigError{"clock", fmt.Sprintf("%.60q; use kernel or trusted", c.Clock)}
	}
	if err := c.validateBrokers(); err != nil {
		return err
	}
	if err := c.validateBuses(); err != nil {
		return err
	}
	if err := c.SensorBroker.validate(c); err != nil {
		return err
	}
	if err := c.validateRelayed(); err != nil {
		return err
	}
	if err := c.validateLocation(); err != nil {
		return err
	}
	if err := c.Judge.Validate(); err != nil {
		return &ConfigError{"judge", err.Error()}
	}
	if err := c.Judge.Extreme(); err != nil {
		return &ConfigError{"judge", err.Error()}
	}
	if c.Warnings != nil {
		if err := c.Warnings.validate(c.Location); err != nil {
			return err
		}
	}
	if c.Neighbours != nil {
		if err := c.Neighbours.validate(c); err != nil {
			return err
		}
	}
	if c.CAPAlerts != nil {
		if err := c.CAPAlerts.validate(c); err != nil {
			return err
		}
	}
	if err := c.validateWatchdog(); err != nil {
		return err
	}
	if o := c.Outbox; o.MaxRecords < wire.MaxBatchRecords || o.MaxBytes < 1<<16 || o.MaxAge < time.Minute || o.Resend < 100*time.Millisecond {
		return &ConfigError{"outbox", "max_records is 64 or more, max_bytes 65536 or more, max_age 1m or more, resend 100ms or more"}
	}
	if c.PowerCycle != nil {
		if err := c.PowerCycle.validate(c); err != nil {
			return err
		}
	}
	if err := c.validateOwners(); err != nil {
		return err
	}
	if err := c.validateTrade(); err != nil {
		return err
	}
	return c.validateContactor()
}

func (c *Config) validateWatchdog() error {
	if w := c.Watchdog; w.Device != "" && (c.SlotTooShort(w.Timeout) || w.Timeout > time.Hour || w.Timeout%time.Second != 0) {
		return &ConfigError{"watchdog.timeout", fmt.Sprintf("%s; use whole seconds, at least the tick and %s, at most 1h", w.Timeout, watchdogSlack)}
	} else if w.Device == "" && w.Timeout != 0 {
		return &ConfigError{"watchdog.device", "missing; a timeout alone has no effect"}
	}
	return nil
}

// validateContactor asks a seller to say what switches the power: a gate that
// switches nothing has to be wanted.
func (c *Config) validateContactor() error {
	k := c.Contactor
	switch {
	case k == nil && c.Sell != nil:
		return &ConfigError{"contactor", "missing; sell needs {pin: GPIO17, ...} or {endpoint: host:port, coil: 0, ...}, or contactor: none if nothing switches the power sold"}
	case k == nil:
		return nil
	case c.Sell == nil && !k.None:
		return &ConfigError{"contactor", "without sell it would stay open for ever; add sell, or leave it out"}
	}
	var field *drive.FieldError
	if err := k.Validate(); errors.As(err, &field) {
		return &ConfigError{"contactor." + field.Field, field.Fix}
	}
	for i, s := range c.Sensors {
		for _, pin := range s.Pins() {
			if pin == k.Pin || pin == k.Feedback {
				return &ConfigError{"contactor", fmt.Sprintf("pin %.60q belongs to sensors[%d]; use another one", pin, i)}
			}
		}
		// An opening must not wait for a meter, nor its answer be taken for one's.
		if port := s.SerialPort(); port != "" && port == k.Port {
			return &ConfigError{"contactor.port", fmt.Sprintf("%.60q belongs to sensors[%d]; give the relay module a line of its own", port, i)}
		}
	}
	return nil
}

// validateLocation refuses two places for one device.
func (c *Config) validateLocation() error {
	l := c.Location
	if l == nil {
		return nil
	}
	// The comparisons are written so that NaN fails them.
	if !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
		return &ConfigError{"location", "latitude is -90 to 90, longitude -180 to 180"}
	}
	if p := c.Judge.Position; p != nil && (p.Latitude != l.Latitude || p.Longitude != l.Longitude) {
		return &ConfigError{"judge.position", "is another place than location; leave one of them out"}
	}
	return nil
}

// maxBrokers bounds the broker list.
const maxBrokers = 8

// checkBroker checks the address of a broker; the error's field is empty if ca is
// missing.
func checkBroker(field, broker, ca string) *ConfigError {
	for _, one := range strings.Split(broker, ",") {
		u, err := url.Parse(one)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "tcp" && u.Scheme != "tls"):
			return &ConfigError{field, brief.Sprintf("%q; use tcp://host:1883 or tls://host:8883", one)}
		case u.User != nil:
			return &ConfigError{field, "holds a password; use a password_file"}
		case u.Scheme == "tls" && ca == "":
			return &ConfigError{"", "a tls:// broker needs the certificate authority's file"}
		}
	}
	return nil
}

func (c *Config) validateBrokers() error {
	if c.MetricsFile != "" && filepath.Ext(c.MetricsFile) != ".prom" {
		return &ConfigError{"metrics_file", fmt.Sprintf("%.60q; node_exporter reads names that end in .prom", c.MetricsFile)}
	}
	if len(c.MQTT) > maxBrokers {
		return &ConfigError{"mqtt", fmt.Sprintf("%d brokers; at most %d", len(c.MQTT), maxBrokers)}
	}
	for i, broker := range c.MQTT {
		if err := checkBroker(fmt.Sprintf("mqtt[%d]", i), broker, c.TLS.CA); err != nil {
			if err.Field == "" { // the one file of all brokers
				err.Field = "tls.ca"
			}
			return err
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return &ConfigError{"tls", "cert and key belong together"}
	}
	if (c.MQTTAuth.Username == "") != (c.MQTTAuth.PasswordFile == "") {
		return &ConfigError{"mqtt_auth", "username and password_file belong together"}
	}
	return nil
}

// SimScheme is the scheme of a simulated board's address.
const SimScheme = "sim://"

func (c *Config) validateBuses() error {
	if c.Bus != "" && !strings.HasPrefix(c.Bus, SimScheme) {
		return &ConfigError{"bus", fmt.Sprintf("%q; leave it out for this machine's buses, or use sim://host:port", c.Bus)}
	}
	if c.Bus != "" && !c.Simulated {
		return &ConfigError{"simulated", "a sim:// bus gives simulated values; write simulated: true"}
	}
	if len(c.Sensors) == 0 {
		return &ConfigError{"sensors", "none; a gate without sensors never opens"}
	}
	seen, lines := make(map[string]bool), make(map[string]modbus.Line)
	for i, s := range c.Sensors {
		if err := s.Validate(); err != nil {
			return &ConfigError{fmt.Sprintf("sensors[%d]", i), err.Error()}
		}
		name := s.Describe().Name
		if seen[name] {
			return &ConfigError{fmt.Sprintf("sensors[%d].name", i), fmt.Sprintf("%q stands twice; give each sensor a name", name)}
		}
		seen[name] = true
		// One line has one speed: the sensors would turn it under each other.
		if line, on := s.SerialLine(); on {
			if other, ok := lines[s.SerialPort()]; ok && other != line {
				return &ConfigError{fmt.Sprintf("sensors[%d].baudrate", i), fmt.Sprintf("%s is %s here and %s before; set all devices of a line alike", s.SerialPort(), line, other)}
			}
			lines[s.SerialPort()] = line
		}
	}
	return nil
}

// billing refuses a meter whose register cannot bill.
func (c *Config) billing(name string) error {
	i := slices.IndexFunc(c.Sensors, func(s sensor.Config) bool { return s.Describe().Name == name })
	if i < 0 {
		return fmt.Errorf("%s is the name of no sensor; name one with an energy register", brief.Quote(name))
	}
	if err := c.Sensors[i].Bills(); err != nil {
		return fmt.Errorf("%s %w", brief.Quote(name), err)
	}
	return nil
}

func (c *Config) validateTrade() error {
	if s := c.Sell; s != nil {
		if err := c.billing(s.Meter); err != nil {
			return &ConfigError{"sell.meter", err.Error()}
		}
		switch {
		case s.PriceMicroPerKWh <= 0 || s.PriceMicroPerKWh > 1e9:
			return &ConfigError{"sell.price_micro_per_kwh", "use 1 to 1000000000 (millionths per kWh)"}
		case s.MinWh < 1 || s.MaxWh < s.MinWh || s.MaxWh > 1e9:
			return &ConfigError{"sell.max_wh", "use min_wh to 1000000000"}
		case s.DeliveryH <= 0 || s.DeliveryH > 24:
			return &ConfigError{"sell.delivery_h", "use a number above 0, up to 24"}
		case s.OfferTTL < time.Second || s.OfferTTL > 24*time.Hour:
			return &ConfigError{"sell.offer_ttl", "use 1s to 24h"}
		case s.Care < 0 || s.Care > 8:
			return &ConfigError{"sell.care", "use 1 to 8, of the last eight slots"}
		}
	}
	if b := c.Buy; b != nil {
		if len(b.Circuits) == 0 || len(b.Circuits) > 64 {
			return &ConfigError{"buy.circuits", "use 1 to 64 circuits"}
		}
		if b.RequestTTL < time.Second || b.RequestTTL > 24*time.Hour || b.RequestEvery < 0 || b.MeterClassE4 < 0 || b.MeterClassE4 > 1000 {
			return &ConfigError{"buy", "request_ttl is 1s to 24h, request_every not negative, meter_class_e4 0 to 1000"}
		}
		seen := make(map[string]bool)
		for i, circuit := range b.Circuits {
			field := fmt.Sprintf("buy.circuits[%d]", i)
			meter := c.billing(circuit.Meter)
			switch {
			case !seal.ValidName(circuit.Name) || seen[circuit.Name]:
				return &ConfigError{field + ".name", fmt.Sprintf("%q; use an id that no other circuit has", circuit.Name)}
			case meter != nil:
				return &ConfigError{field + ".meter", meter.Error()}
			case circuit.VolumeWh < 1 || circuit.VolumeWh > 1e9:
				return &ConfigError{field + ".volume_wh", "use 1 to 1000000000"}
			case circuit.MaxPriceMicroPerKWh < 1 || circuit.MaxPriceMicroPerKWh > 1e9:
				return &ConfigError{field + ".max_price_micro_per_kwh", "use 1 to 1000000000"}
			}
			seen[circuit.Name] = true
		}
	}
	return nil
}

// Hash identifies the configuration in what the agent publishes: the SHA-256
// of its YAML form, in hexadecimal.
func (c *Config) Hash() (string, error) {
	b, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("marshal configuration: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
