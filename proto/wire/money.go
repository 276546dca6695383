package wire

import (
	"errors"
	"fmt"
	"strings"
)

// ParseMoney reads a positive amount of currency units with up to six decimals, in
// millionths, without floats.
func ParseMoney(text string) (int64, error) {
	whole, part, point := strings.Cut(text, ".")
	if whole == "" || point && part == "" || len(part) > 6 || len(whole) > 12 {
		return 0, fmt.Errorf("%q is not an amount like 25.50, with up to 12 digits before and 6 after the point", text)
	}
	var micro int64
	for _, r := range whole + part + strings.Repeat("0", 6-len(part)) {
		if r < '0' || r > '9' {
			return 0, fmt.Errorf("%q is not an amount like 25.50", text)
		}
		micro = micro*10 + int64(r-'0')
	}
	if micro == 0 {
		return 0, errors.New("0 is no amount")
	}
	return micro, nil
}

// FormatMoney writes millionths as currency units.
func FormatMoney(micro int64) string {
	sign, abs := "", uint64(micro)
	if micro < 0 {
		sign, abs = "-", -abs
	}
	return fmt.Sprintf("%s%d.%06d", sign, abs/1_000_000, abs%1_000_000)
}
