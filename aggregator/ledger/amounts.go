package ledger

import (
	"errors"
	"fmt"
	"math"
)

var errLimits = errors.New("outside the chain's limits")

// product returns energy × price in millionths of a millionth: 1000 times the
// amount.
func product(energyWh, priceMicroPerKWh int64) (int64, error) {
	if energyWh < 0 || energyWh > MaxEnergyWh || priceMicroPerKWh < 0 || priceMicroPerKWh > MaxPriceMicroPerKWh {
		return 0, fmt.Errorf("%d Wh at %d micro/kWh: %w", energyWh, priceMicroPerKWh, errLimits)
	}
	return energyWh * priceMicroPerKWh, nil // at most 1e18
}

// EscrowFor returns what a Token for volumeWh has to hold: volume times the
// highest price, rounded up, so that no payment can ever be short of it.
func EscrowFor(volumeWh, maxPriceMicroPerKWh int64) (int64, error) {
	p, err := product(volumeWh, maxPriceMicroPerKWh)
	return (p + 999) / 1000, err
}

// BillAmount returns price times energy, rounded half even to the millionth.
func BillAmount(energyWh, priceMicroPerKWh int64) (int64, error) {
	p, err := product(energyWh, priceMicroPerKWh)
	return halfEven(p, 1000), err
}

// exact reports whether amount is price times energy rounded to a neighbouring
// millionth, either way: less than one off.
func exact(amountMicro, energyWh, priceMicroPerKWh int64) bool {
	p, err := product(energyWh, priceMicroPerKWh)
	if err != nil || amountMicro < 0 || amountMicro > math.MaxInt64/1000 {
		return false
	}
	d := amountMicro*1000 - p
	return d > -1000 && d < 1000
}

// halfEven returns a/b rounded to the nearest, ties to even; a >= 0, b > 0.
func halfEven(a, b int64) int64 {
	q, r := a/b, a%b
	if 2*r > b || 2*r == b && q%2 == 1 {
		q++
	}
	return q
}
