package trace

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fairwatt/model"
	"fairwatt/proto/brief"
)

// Limits of what is read. The reader's caller bounds the rows: streaming needs
// the memory of one row.
const (
	maxLineBytes = 1 << 20
	maxColumns   = 256
	maxMeta      = 1000
)

// version is the trace format's version; firstKey opens the first line.
const (
	version  = "1"
	firstKey = "fairwatt-trace"
)

// LabelPrefix begins the names of columns that hold truth for evaluation.
const LabelPrefix = "label_"

// LabelThunder is the label of thunder: 1 where it was observed, 0 where not.
const LabelThunder = LabelPrefix + "thunder"

// Meta is a trace's metadata: the known keys as fields, everything else in
// Extra. A zero number means that the key is absent.
type Meta struct {
	Site           string
	model.Position // where HasPosition
	HasPosition    bool
	IntervalS      float64
	NominalVoltage float64 // V
	NominalFreqHz  float64
	Source         string
	Licence        string
	Simulated      bool
	Composed       []string // channels that were computed, not recorded
	Note           string
	Extra          []KeyValue // unknown keys, in the order of the file
}

// A KeyValue is one metadata line.
type KeyValue struct{ Key, Value string }

// KeyValues lists the metadata in the order in which a Writer writes it.
func (m *Meta) KeyValues() []KeyValue {
	var out []KeyValue
	add := func(k, v string) {
		if v != "" {
			out = append(out, KeyValue{k, v})
		}
	}
	num := func(v float64) string {
		if v == 0 {
			return ""
		}
		return formatNumber(v)
	}
	add("site", m.Site)
	if m.HasPosition {
		add("latitude", formatNumber(m.Latitude))
		add("longitude", formatNumber(m.Longitude))
	}
	add("interval_s", num(m.IntervalS))
	add("nominal_voltage_v", num(m.NominalVoltage))
	add("nominal_frequency_hz", num(m.NominalFreqHz))
	add("source", m.Source)
	add("licence", m.Licence)
	if m.Simulated {
		add("simulated", "true")
	}
	add("composed", strings.Join(m.Composed, ","))
	add("note", m.Note)
	for _, kv := range m.Extra {
		add(kv.Key, kv.Value)
	}
	return out
}

// Set stores one metadata line. An unknown key goes to Extra.
func (m *Meta) Set(key, value string) error {
	positive := func(dst *float64) error {
		v, err := ParseNumber(value)
		if err == nil && v <= 0 {
			err = fmt.Errorf("must be above zero")
		}
		*dst = v
		return err
	}
	degrees := func(dst *float64, limit float64) error {
		v, err := ParseNumber(value)
		if err == nil && (v < -limit || v > limit) {
			err = fmt.Errorf("is outside -%v to %v", limit, limit)
		}
		*dst, m.HasPosition = v, true
		return err
	}
	var err error
	switch key {
	case "site":
		m.Site = value
	case "latitude":
		err = degrees(&m.Latitude, 90)
	case "longitude":
		err = degrees(&m.Longitude, 180)
	case "interval_s":
		err = positive(&m.IntervalS)
	case "nominal_voltage_v":
		err = positive(&m.NominalVoltage)
	case "nominal_frequency_hz":
		err = positive(&m.NominalFreqHz)
	case "source":
		m.Source = value
	case "licence":
		m.Licence = value
	case "simulated":
		m.Simulated, err = strconv.ParseBool(value)
	case "composed":
		m.Composed = nil
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				m.Composed = append(m.Composed, name)
			}
		}
	case "note":
		m.Note = value
	default:
		m.Extra = append(m.Extra, KeyValue{key, value})
	}
	if err != nil {
		return brief.Errorf("key %s: %q: %w", key, value, err)
	}
	return nil
}

// Check refuses metadata that a Writer could not write so that it reads back.
func (m *Meta) Check() error {
	for _, kv := range m.KeyValues() {
		if kv.Key == "" || kv.Key == firstKey || strings.ContainsAny(kv.Key, ":\r\n") || kv.Key != strings.TrimSpace(kv.Key) {
			return brief.Errorf("metadata key %q cannot be written", kv.Key)
		}
		if strings.ContainsAny(kv.Value, "\r\n") || kv.Value != strings.TrimSpace(kv.Value) || !utf8.ValidString(kv.Key+kv.Value) {
			return brief.Errorf("metadata key %s: value %q cannot be written", kv.Key, kv.Value)
		}
	}
	if m.HasPosition && !(m.Latitude >= -90 && m.Latitude <= 90 && m.Longitude >= -180 && m.Longitude <= 180) {
		return fmt.Errorf("metadata: position %v, %v is not on earth", m.Latitude, m.Longitude)
	}
	return nil
}

// A Row is one moment of a trace: the sample, which the judge sees, and the
// labels, which it never sees. The map lacks a label that the row leaves empty.
type Row struct {
	Sample model.Sample
	Labels map[string]float64
}

// A Trace is a whole trace in memory.
type Trace struct {
	Meta     Meta
	Channels []model.Channel // in the order of the header
	Labels   []string        // label columns, in the order of the header
	Rows     []Row
	// LeftOut is what an import passed over. It is not written.
	LeftOut []model.LeftOut
}

// CheckNominal returns an error if a trace has a voltage or a frequency and does not
// say what is nominal: it would be judged as 120 V and 60 Hz. The error names the
// key to add.
func (m *Meta) CheckNominal(channels []model.Channel) error {
	for _, n := range []struct {
		key, example string
		value        float64
		of           []model.Channel
	}{
		{"nominal_voltage_v", "230", m.NominalVoltage, []model.Channel{model.VoltageV, model.VoltageAV, model.VoltageBV, model.VoltageCV}},
		{"nominal_frequency_hz", "50", m.NominalFreqHz, []model.Channel{model.FrequencyHz}},
	} {
		i := slices.IndexFunc(channels, func(c model.Channel) bool { return slices.Contains(n.of, c) })
		if i >= 0 && n.value == 0 {
			return fmt.Errorf("trace: %s is missing, and there is %s; add the line \"# %s: %s\" with what is nominal there", n.key, channels[i], n.key, n.example)
		}
	}
	if f := m.NominalFreqHz; f != 0 {
		var c model.Config
		if c.SetNominal(0, f); c.Grid == "" {
			return fmt.Errorf("trace: nominal_frequency_hz: %v has no grid profile; there are 49 to 51 and 59 to 61", f)
		}
	}
	return nil
}

// Configure fits a judge's configuration to a trace. Interval, nominal values and
// position come from its metadata, the channels from its header. These channels
// are the required inputs if the configuration does not say; an empty list says that
// none is.
func Configure(cfg *model.Config, m Meta, channels []model.Channel) {
	if m.IntervalS > 0 {
		cfg.IntervalS = m.IntervalS
	}
	cfg.SetNominal(m.NominalVoltage, m.NominalFreqHz)
	if m.HasPosition {
		at := m.Position
		cfg.Position = &at
	}
	cfg.Channels = slices.Clone(channels)
	if cfg.Required == nil {
		cfg.Required = model.RequiredOf(channels)
	}
}

func cloneLabels(m map[string]float64) map[string]float64 {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// formatNumber writes the shortest text that reads back as v.
func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
