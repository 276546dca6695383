package comtrade

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"fairwatt/model"
	"fairwatt/proto/brief"
	"fairwatt/proto/strictyaml"
)

// A Map says which channel of a recording is which channel of the model, if the
// recording's names do not, and what no recording says. It is written in YAML;
// docs/waveforms.md has an example.
type Map struct {
	Channels map[string]Selector `yaml:"channels"`
	// Only leaves out every channel that the map does not name.
	Only bool `yaml:"only"`
	// NominalVoltageV is the nominal phase-to-neutral RMS voltage on the primary
	// side. Without it dips are judged against the voltage before.
	NominalVoltageV float64 `yaml:"nominal_voltage_v"`
	// NominalFrequencyHz is used if it is given, or if the configuration has no
	// line frequency.
	NominalFrequencyHz float64 `yaml:"nominal_frequency_hz"`
	// NeutralConductor says that current N is that of the neutral conductor of
	// four wires, not the sum of the phases.
	NeutralConductor bool `yaml:"neutral_conductor"`
}

// A Selector names a channel of the recording by its number among the
// analog ones (from 1) or by its name; Scale multiplies its value (0: 1).
type Selector struct {
	Number int     `yaml:"number"`
	Name   string  `yaml:"name"`
	Scale  float64 `yaml:"scale"`
}

// ParseMap reads a map. Unknown keys and channels are errors.
func ParseMap(text []byte) (*Map, error) {
	m := &Map{}
	if err := strictyaml.Decode(text, m); err != nil {
		return nil, fmt.Errorf("recording map: %w", err)
	}
	for name, s := range m.Channels {
		if _, err := model.ParseChannel(name); err != nil {
			return nil, fmt.Errorf("recording map: channels: %w", err)
		}
		if (s.Number == 0) == (s.Name == "") {
			return nil, fmt.Errorf("recording map: channels.%s: give either number or name", name)
		}
	}
	if !(m.NominalVoltageV >= 0) || !(m.NominalFrequencyHz >= 0 && m.NominalFrequencyHz <= 400) {
		return nil, fmt.Errorf("recording map: nominal voltage %v V or frequency %v Hz is out of range", m.NominalVoltageV, m.NominalFrequencyHz)
	}
	return m, nil
}

// A source is a model channel with its place in a record.
type source struct {
	channel model.Channel
	index   int
	scale   float64
}

// sources decides which analog channel becomes which channel of the model: those
// of the map first, then the first of each phase and quantity in the order of the
// file. It also returns the names of the analog channels left over.
func (c *Config) sources(m *Map) (out []source, left []string, err error) {
	var taken [model.NumChannels]bool
	used := make([]bool, len(c.Analogs))
	add := func(ch model.Channel, i int, scale float64) {
		taken[ch], used[i] = true, true
		out = append(out, source{ch, i, float64(scale * c.Analogs[i].Factor())})
	}
	if m != nil {
		for ch := range model.NumChannels {
			s, ok := m.Channels[ch.String()]
			if !ok {
				continue
			}
			i := s.Number - 1
			if s.Name != "" {
				i = slices.IndexFunc(c.Analogs, func(a Analog) bool { return a.Name == s.Name })
			}
			if i < 0 || i >= len(c.Analogs) {
				return nil, nil, brief.Errorf("recording map: channels.%s: the recording has no analog channel %q, number %d", ch, s.Name, s.Number)
			}
			_, unit, err := parseUnit(c.Analogs[i].Unit)
			switch {
			case err != nil && s.Scale == 0:
				return nil, nil, fmt.Errorf("analog channel %s: %w", brief.Text(c.Analogs[i].Name), err)
			case err != nil:
				unit = 1 // the map says it
			case s.Scale == 0:
				s.Scale = 1
			}
			add(ch, i, float64(s.Scale*unit))
		}
	}
	digits := c.countsPhases()
	for i := range c.Analogs {
		if m != nil && m.Only {
			break
		}
		ch, ok := c.Analogs[i].channel(digits)
		if !ok || taken[ch] || used[i] {
			continue
		}
		_, unit, err := parseUnit(c.Analogs[i].Unit)
		if err != nil {
			return nil, nil, &Error{File: "cfg", Err: fmt.Errorf("analog channel %s: %w; name it in a map, with its scale", brief.Text(c.Analogs[i].Name), err)}
		}
		add(ch, i, unit)
	}
	for i := range c.Analogs {
		if !used[i] {
			left = append(left, c.Analogs[i].Name)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].channel < out[j].channel })
	return out, left, nil
}

const (
	quantityNone = iota
	quantityVoltage
	quantityCurrent
)

// channel says what an analog channel is. Its unit gives the quantity and its
// phase field the phase, else its name does. digits allows U1, U2, U3 as phases.
func (a *Analog) channel(digits bool) (model.Channel, bool) {
	words := nameWords(a.Name)
	for _, w := range words {
		// A quantity that a device computed is no waveform.
		switch w {
		case "MAG", "ANG", "ANGLE", "PHASE", "RMS", "DIFF", "BIAS", "FREQ", "THD", "RES1", "DC":
			return 0, false
		}
	}
	quantity, _, err := parseUnit(a.Unit)
	if err == nil && quantity == quantityNone && strings.TrimSpace(a.Unit) != "" {
		return 0, false
	}
	phase, fromField := fieldPhase(a.Phase)
	named, namedQuantity := byte(0), quantityNone
	for i := len(words) - 1; i >= 0 && named == 0; i-- {
		named, namedQuantity = wordPhase(words[i], digits)
	}
	if !fromField {
		if strings.ContainsAny(a.Phase, "ABC123") { // a field that says AB: between phases
			return 0, false
		}
		phase = named
	}
	if quantity == quantityNone {
		quantity = namedQuantity
	}
	if quantity == quantityNone || phase == 0 {
		return 0, false
	}
	base := model.VoltageVInst
	if quantity == quantityCurrent {
		base = model.CurrentAInst
	}
	return base + model.Channel(strings.IndexByte("1ABCN", phase)), true
}

// countsPhases says whether the names number the phases: if U3 or I3 occurs, U1
// is no positive sequence.
func (c *Config) countsPhases() bool {
	for i := range c.Analogs {
		for _, w := range nameWords(c.Analogs[i].Name) {
			if len(w) == 2 && w[1] == '3' && strings.IndexByte("UVIE", w[0]) >= 0 {
				return true
			}
		}
	}
	return false
}

// lookalikes are Cyrillic letters that recorders write for Latin ones.
var lookalikes = strings.NewReplacer("А", "A", "В", "B", "С", "C", "І", "I", "Е", "E", "К", "K", "М", "M", "О", "O")

func nameWords(name string) []string {
	return strings.FieldsFunc(lookalikes.Replace(strings.ToUpper(name)), func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	})
}

// fieldPhase reads a phase field. Phase "1" to "3" and R, S, T are A, B, C.
func fieldPhase(field string) (byte, bool) {
	switch strings.ToUpper(strings.TrimSpace(field)) {
	case "A", "AN", "R", "L1", "1", "RN", "L1N":
		return 'A', true
	case "B", "BN", "S", "L2", "2", "SN", "L2N":
		return 'B', true
	case "C", "CN", "T", "L3", "3", "TN", "L3N":
		return 'C', true
	case "N", "G", "E", "0", "NG":
		return 'N', true
	}
	return 0, false
}

// wordPhase reads a word such as UA, IL1, VAN, 3U0, IN, U.
func wordPhase(w string, digits bool) (phase byte, quantity int) {
	tripled := strings.HasPrefix(w, "3")
	w = strings.TrimPrefix(w, "3")
	if w == "" {
		return 0, quantityNone
	}
	switch w[0] {
	case 'U', 'V', 'E':
		quantity = quantityVoltage
	case 'I':
		quantity = quantityCurrent
	default:
		return 0, quantityNone
	}
	rest := w[1:]
	if len(rest) == 2 && rest[0] == 'L' && rest[1] >= 'A' && rest[1] <= 'C' {
		rest = rest[1:] // ULA
	}
	switch {
	case tripled && rest != "0" && rest != "O":
		return 0, quantityNone
	case rest == "":
		if w[0] == 'E' {
			return 0, quantityNone
		}
		return '1', quantity
	case rest == "0", rest == "O", rest == "N", rest == "G", rest == "E", rest == "NE", rest == "NG", rest == "RES":
		return 'N', quantity
	case len(rest) == 1 && rest[0] >= '1' && rest[0] <= '3' && !digits:
		return 0, quantityNone // a sequence component as likely as a phase
	}
	if p, ok := fieldPhase(strings.TrimSuffix(rest, "G")); ok && p != 'N' {
		return p, quantity
	}
	return 0, quantityNone
}
