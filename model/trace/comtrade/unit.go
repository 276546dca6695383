package comtrade

import (
	"strings"

	"fairwatt/proto/brief"
)

// unitBases are the names and abbreviations of volt and ampere (IEEE Std 260.1,
// which C37.111 5.3.4 asks for), and the Cyrillic ones. Longer ones come first.
var unitBases = [...]struct {
	name     string
	quantity int
}{
	{"amperes", quantityCurrent}, {"ampere", quantityCurrent}, {"amps", quantityCurrent}, {"amp", quantityCurrent},
	{"volts", quantityVoltage}, {"volt", quantityVoltage},
	{"a", quantityCurrent}, {"v", quantityVoltage}, {"а", quantityCurrent}, {"в", quantityVoltage},
}

// unitPrefixes are read without regard to case, but for M and m.
var unitPrefixes = map[string]float64{
	"": 1, "k": 1e3, "kilo": 1e3, "к": 1e3, "mega": 1e6, "milli": 1e-3, "micro": 1e-6, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "g": 1e9,
}

// parseUnit says what a unit measures, and how many volts or amperes it is. A unit
// that is neither is quantityNone and 1. A prefix before volt or ampere that is not
// known is an error: a factor of a thousand must not be guessed.
func parseUnit(unit string) (quantity int, scale float64, err error) {
	unit = strings.TrimSpace(unit)
	lower := strings.ToLower(unit)
	for _, base := range unitBases {
		prefix, ok := strings.CutSuffix(lower, base.name)
		if !ok {
			continue
		}
		// ToLower keeps the length of these letters, but not of all: cut from behind.
		written := strings.TrimSpace(unit[:max(0, len(unit)-len(base.name))])
		switch prefix = strings.Trim(prefix, " -"); {
		case written == "M" || written == "М":
			return base.quantity, 1e6, nil
		case written == "m" || written == "м":
			return base.quantity, 1e-3, nil
		case len([]rune(base.name)) == 1 && len([]rune(prefix)) > 1 && unitPrefixes[prefix] == 0,
			base.name == "a" && (prefix == "v" || prefix == "p"):
			return quantityNone, 1, nil // VA, Pa, a word that ends so
		}
		if scale, ok = unitPrefixes[prefix]; !ok {
			return base.quantity, 1, brief.Errorf("unit %q has a prefix that is not known", unit)
		}
		return base.quantity, scale, nil
	}
	return quantityNone, 1, nil
}
