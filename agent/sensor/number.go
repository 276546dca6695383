package sensor

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// A number is how a device stores one in its registers.
type number struct {
	form  byte // 'i', 'u' or 'f'
	words int  // registers, 1, 2 or 4
	// swapWords has the low word first, swapBytes the low byte of each word.
	swapWords, swapBytes bool
}

// numberForms says what may be written, in evcc's words, and b for swapped bytes.
const numberForms = "int16, uint16, int32, uint32, float32, int64, uint64, float64; with s behind it for the low word first, b for the low byte first, sb for both, nan as evcc writes it"

// parseNumber reads evcc's name of a form, such as "float32" or "int32s". The
// ending nan is allowed and changes nothing: see value.
func parseNumber(name string) (number, error) {
	text, _ := strings.CutSuffix(name, "nan")
	for _, kind := range []string{"int", "uint", "float"} {
		rest, ok := strings.CutPrefix(text, kind)
		if !ok {
			continue
		}
		n := number{form: kind[0]}
		rest, n.swapBytes = strings.CutSuffix(rest, "b")
		rest, n.swapWords = strings.CutSuffix(rest, "s")
		n.words = map[string]int{"16": 1, "32": 2, "64": 4}[rest]
		if n.words > 1 || n.words == 1 && n.form != 'f' && !n.swapWords {
			return n, nil
		}
	}
	return number{}, fmt.Errorf("%.60q is none of %s", name, numberForms)
}

// errNoNumber is the reason for a register that says that it holds no number.
var errNoNumber = errors.New("the register says that it holds no value")

// value takes the number out of n.words registers. The ends of a whole number's
// range mean "not measured" to many makers (SunSpec, ABB, Huawei) and "beyond"
// to the others: they are no value either way. So are NaN and infinities.
func (n number) value(regs []uint16) (float64, error) {
	var u uint64
	for i := range n.words {
		w := regs[i]
		if n.swapWords {
			w = regs[n.words-1-i]
		}
		if n.swapBytes {
			w = w<<8 | w>>8
		}
		u = u<<16 | uint64(w)
	}
	bits := 16 * n.words
	switch n.form {
	case 'f':
		v := math.Float64frombits(u)
		if bits == 32 {
			v = float64(math.Float32frombits(uint32(u)))
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, fmt.Errorf("%w: %g", errNoNumber, v)
		}
		return v, nil
	case 'i':
		if most := uint64(1)<<(bits-1) - 1; u == most || u == most+1 {
			return 0, fmt.Errorf("%w: 0x%x", errNoNumber, u)
		}
		return float64(int64(u<<(64-bits)) >> (64 - bits)), nil
	}
	if u == math.MaxUint64>>(64-bits) {
		return 0, fmt.Errorf("%w: 0x%x", errNoNumber, u)
	}
	return float64(u), nil
}
