package neighbours

import (
	"encoding/binary"
	"errors"
)

// A Quantile follows the 95 % quantile of a station's hourly highest gusts: what is
// a strong hour there. It is a histogram in steps of half a metre a second that
// forgets slowly, in integers, so that every machine has the same. The zero value
// knows nothing.
type Quantile struct {
	n    [quantileBins]uint32 // hours, in units of one
	sum  uint64
	seen uint32 // hours ever, up to quantileKnown
}

const (
	quantileBins  = 128 // the last one holds all from 63.5 m/s on
	quantileStep  = 0.5 // m/s
	one           = 1 << 18
	quantileShift = 12     // an hour weighs 1/e after 4096 hours
	quantileKnown = 7 * 24 // fewer hours give no quantile
	lowestMPS     = 3.0    // below it a quotient says little of a storm
)

// Push books the highest gust of one hour in m/s. What is no gust is left out.
func (q *Quantile) Push(gustMPS float64) {
	if !(gustMPS >= 0 && gustMPS < 150) {
		return
	}
	q.sum = 0
	for i := range q.n {
		q.n[i] -= q.n[i] >> quantileShift
		q.sum += uint64(q.n[i])
	}
	q.n[min(int(gustMPS/quantileStep), quantileBins-1)] += one
	q.sum += one
	q.seen = min(q.seen+1, quantileKnown)
}

// MPS is the quantile in m/s, at least 3; unknown before a week of hours.
func (q *Quantile) MPS() Optional {
	if q.seen < quantileKnown || q.sum == 0 {
		return Optional{}
	}
	want := q.sum - q.sum/20
	below := uint64(0)
	for i, n := range q.n {
		if below+uint64(n) >= want {
			share := float64(want-below) / float64(n)
			return Some(max((float64(i)+share)*quantileStep, lowestMPS))
		}
		below += uint64(n)
	}
	return Optional{} // not reached: the sum of all is more than what is wanted
}

// Ratio is a gust in units of the quantile, at most MaxGustRatio.
func (q *Quantile) Ratio(gustMPS float64) Optional {
	m := q.MPS()
	if !m.OK || !(gustMPS >= 0) {
		return Optional{}
	}
	return Some(min(gustMPS/m.V, MaxGustRatio))
}

// Append writes the state for Restore: at most 650 bytes, some 150 as a rule.
func (q *Quantile) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(q.seen))
	last := quantileBins
	for last > 0 && q.n[last-1] == 0 {
		last--
	}
	b = binary.AppendUvarint(b, uint64(last))
	for _, n := range q.n[:last] {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

var errState = errors.New("state of the gust quantile is damaged")

// Restore reads what Append wrote and returns what follows it. A state that Append
// cannot have written is refused, and q is unchanged.
func (q *Quantile) Restore(b []byte) (rest []byte, err error) {
	var out Quantile
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			err = errState
			return 0
		}
		b = b[n:]
		return v
	}
	out.seen = uint32(number(quantileKnown))
	last := number(quantileBins)
	for i := range last {
		if err != nil {
			break
		}
		out.n[i] = uint32(number(one << (quantileShift + 1)))
		out.sum += uint64(out.n[i])
	}
	if err != nil {
		return nil, err
	}
	*q = out
	return b, nil
}
