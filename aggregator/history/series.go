package history

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// StepS is the length of a slot, in seconds.
	StepS = 300
	// MaxGapS is for how long one word of a gate, or one measured power, stands for
	// what follows it, in seconds.
	MaxGapS = 60

	hourSlots = 3600 / StepS
	rowBytes  = 36
)

// A Gate is what a gate counts as.
type Gate int

// What a gate may count as.
const (
	GateUnknown Gate = iota
	GateOpen
	GateClosed
)

// A Sample is what was measured at a moment; NaN: not measured.
type Sample struct {
	PowerW, WindMPS, GustMPS, TemperatureC, IrradianceWPM2 float64
}

// Nothing is a Sample without a value.
func Nothing() Sample {
	n := math.NaN()
	return Sample{n, n, n, n, n}
}

// A Point is what is known of a span of time. NaN: nothing was measured in it. Power,
// wind, temperature and irradiance are means, the gust is the highest.
type Point struct {
	TimeS                    int64 // when the span begins, Unix seconds
	OpenS, ClosedS, UnknownS float64
	EnergyWh                 float64 // of the power measured, not of a meter's register
	Sample
	n float64 // measurements
}

// slotOf adds up one device's running slot.
type slotOf struct{ Point }

// last is what a device said last, and when.
type last struct {
	gateAt, powerAt time.Time
	powerW          float64
}

func slotAt(t time.Time) int64 { return t.Unix() / StepS }

func blank(slot int64) Point { return Point{TimeS: slot * StepS, Sample: Nothing()} }

// deviceAt returns a device's running slot; nil when too many are known. h.mu is held.
func (h *History) deviceAt(name string) (*slotOf, *last) {
	n, ok := h.numbers[name]
	if !ok {
		if len(h.numbers) >= h.bounds.MaxDevices {
			return nil, nil
		}
		n = uint32(len(h.numbers) + 1)
		h.numbers[name] = n
	}
	s := h.now[n]
	if s == nil {
		s = &slotOf{blank(h.slot)}
		h.now[n] = s
	}
	l := h.seen[n]
	if l == nil {
		l = &last{powerW: math.NaN()}
		h.seen[n] = l
	}
	return s, l
}

// Gate counts the time since the gate of a device was told last as what it is now.
func (h *History) Gate(name string, g Gate, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, l := h.deviceAt(name)
	if s == nil {
		return
	}
	span := now.Sub(l.gateAt).Seconds()
	l.gateAt = now
	if !(span > 0 && span <= MaxGapS) {
		return // the first word, a pause, or a clock that was set
	}
	switch g {
	case GateOpen:
		s.OpenS += span
	case GateClosed:
		s.ClosedS += span
	default:
		s.UnknownS += span
	}
}

// Measured adds what a device measured.
func (h *History) Measured(name string, m Sample, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, l := h.deviceAt(name)
	if s == nil {
		return
	}
	if span := now.Sub(l.powerAt).Seconds(); span > 0 && !math.IsNaN(l.powerW) {
		s.EnergyWh += l.powerW * min(span, MaxGapS) / 3600
	}
	l.powerAt, l.powerW = now, m.PowerW
	s.add(Point{Sample: m, n: 1})
}

// add joins two spans.
func (p *Point) add(o Point) {
	p.OpenS, p.ClosedS, p.UnknownS, p.EnergyWh = p.OpenS+o.OpenS, p.ClosedS+o.ClosedS, p.UnknownS+o.UnknownS, p.EnergyWh+o.EnergyWh
	p.PowerW = mean(p.PowerW, p.n, o.PowerW, o.n)
	p.WindMPS = mean(p.WindMPS, p.n, o.WindMPS, o.n)
	p.TemperatureC = mean(p.TemperatureC, p.n, o.TemperatureC, o.n)
	p.IrradianceWPM2 = mean(p.IrradianceWPM2, p.n, o.IrradianceWPM2, o.n)
	if !(p.GustMPS >= o.GustMPS) && !math.IsNaN(o.GustMPS) {
		p.GustMPS = o.GustMPS
	}
	p.n += o.n
}

func mean(a, n, b, m float64) float64 {
	switch {
	case math.IsNaN(a) || n == 0:
		return b
	case math.IsNaN(b) || m == 0:
		return a
	default:
		return (a*n + b*m) / (n + m)
	}
}

// resume takes up a slot that an orderly end left in the middle.
func (h *History) resume(now time.Time) error {
	h.slot = slotAt(now)
	if err := h.db.View(func(tx *bbolt.Tx) error {
		for n, p := range rows(tx.Bucket(bucketFine).Get(key(uint64(h.slot)))) {
			p.TimeS = h.slot * StepS
			h.now[n] = &slotOf{p}
		}
		return nil
	}); err != nil {
		return err
	}
	return h.db.Update(func(tx *bbolt.Tx) error {
		// A clock that was once ahead would hide all that comes until then.
		if err := dropAfter(tx.Bucket(bucketFine), h.slot); err != nil {
			return err
		}
		if err := dropAfter(tx.Bucket(bucketHours), h.slot/hourSlots); err != nil {
			return err
		}
		return h.fold(tx)
	})
}

// dropAfter deletes what is of a later slot.
func dropAfter(b *bbolt.Bucket, newest int64) error {
	c := b.Cursor()
	for k, _ := c.Last(); k != nil && int64(number(k)) > newest; k, _ = c.Last() {
		if err := b.Delete(slices.Clone(k)); err != nil {
			return err
		}
	}
	return nil
}

// writeSlot writes the running slot and begins the next one. h.mu is held.
func (h *History) writeSlot(next int64) error {
	ended := h.slot
	value := encode(h.now)
	if next != ended {
		h.slot, h.now = next, make(map[uint32]*slotOf)
	}
	return h.db.Update(func(tx *bbolt.Tx) error {
		devices := tx.Bucket(bucketDevices)
		if devices.Stats().KeyN < len(h.numbers) {
			for name, n := range h.numbers {
				if err := devices.Put([]byte(name), key(uint64(n))); err != nil {
					return err
				}
			}
		}
		if len(value) > 0 {
			if err := tx.Bucket(bucketFine).Put(key(uint64(ended)), value); err != nil {
				return err
			}
		}
		return h.fold(tx)
	})
}

// fold makes the hours that are over of their slots, and drops what is too old.
func (h *History) fold(tx *bbolt.Tx) error {
	fine, hours := tx.Bucket(bucketFine), tx.Bucket(bucketHours)
	done := int64(-1)
	if k, _ := hours.Cursor().Last(); k != nil {
		done = int64(number(k))
	}
	sums := make(map[int64]map[uint32]*slotOf)
	c := fine.Cursor()
	for k, v := c.Seek(key(uint64(max(0, (done+1)*hourSlots)))); k != nil; k, v = c.Next() {
		hour := int64(number(k)) / hourSlots
		if hour >= h.slot/hourSlots {
			break
		}
		if sums[hour] == nil {
			sums[hour] = make(map[uint32]*slotOf)
		}
		for n, p := range rows(v) {
			if s := sums[hour][n]; s != nil {
				s.add(p)
			} else {
				sums[hour][n] = &slotOf{p}
			}
		}
	}
	for hour, devices := range sums {
		if err := hours.Put(key(uint64(hour)), encode(devices)); err != nil {
			return err
		}
	}
	return errors.Join(drop(fine, h.slot-int64(h.bounds.FineSlots), h.bounds.FineBytes),
		drop(hours, h.slot/hourSlots-int64(h.bounds.HourSlots), h.bounds.HourBytes))
}

// drop deletes what is older than a key, and the oldest beyond a number of bytes.
func drop(b *bbolt.Bucket, oldest int64, most int) error {
	total := 0
	var gone [][]byte
	c := b.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if total += len(v); int64(number(k)) < oldest || total > most {
			gone = append(gone, slices.Clone(k))
		}
	}
	for _, k := range gone {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// encode writes one slot, in the order of the devices' numbers.
func encode(devices map[uint32]*slotOf) []byte {
	numbers := make([]uint32, 0, len(devices))
	for n := range devices {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	out := make([]byte, 0, rowBytes*len(numbers))
	for _, n := range numbers {
		p := &devices[n].Point
		out = binary.BigEndian.AppendUint32(out, n)
		for _, s := range []float64{p.OpenS, p.ClosedS, p.UnknownS, p.n} {
			out = binary.BigEndian.AppendUint16(out, uint16(min(max(math.Round(s), 0), math.MaxUint16)))
		}
		for _, v := range []float64{p.EnergyWh, p.PowerW, p.WindMPS, p.GustMPS, p.TemperatureC, p.IrradianceWPM2} {
			out = binary.BigEndian.AppendUint32(out, math.Float32bits(float32(v)))
		}
	}
	return out[:len(out):len(out)]
}

func decode(b []byte) (n uint32, p Point) {
	part := func(i int) float64 { return float64(binary.BigEndian.Uint16(b[4+2*i:])) }
	value := func(i int) float64 { return float64(math.Float32frombits(binary.BigEndian.Uint32(b[12+4*i:]))) }
	return binary.BigEndian.Uint32(b), Point{
		OpenS: part(0), ClosedS: part(1), UnknownS: part(2), n: part(3), EnergyWh: value(0),
		Sample: Sample{PowerW: value(1), WindMPS: value(2), GustMPS: value(3), TemperatureC: value(4), IrradianceWPM2: value(5)},
	}
}

// rows ranges over the devices of a slot.
func rows(b []byte) func(func(uint32, Point) bool) {
	return func(yield func(uint32, Point) bool) {
		for ; len(b) >= rowBytes; b = b[rowBytes:] {
			if n, p := decode(b); !yield(n, p) {
				return
			}
		}
	}
}

// rowOf finds one device in a slot.
func rowOf(b []byte, n uint32) (Point, bool) {
	count := len(b) / rowBytes
	lo, hi := 0, count
	for lo < hi {
		mid := (lo + hi) / 2
		if binary.BigEndian.Uint32(b[mid*rowBytes:]) < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == count || binary.BigEndian.Uint32(b[lo*rowBytes:]) != n {
		return Point{}, false
	}
	_, p := decode(b[lo*rowBytes:])
	return p, true
}

// Series returns what is known of devices from a time to now, in spans of step seconds,
// one list a name; step is a multiple of [StepS], and of an hour where from is more than
// two days ago. Spans of which nothing is known are blank.
func (h *History) Series(names []string, from, now time.Time, stepS int64) ([][]Point, error) {
	stepS = max(stepS-stepS%StepS, StepS)
	first, end := from.Unix()/stepS, now.Unix()/stepS
	count := int(max(0, end-first+1))
	out := make([][]Point, len(names))
	h.mu.Lock()
	defer h.mu.Unlock()
	numbers := make([]uint32, len(names))
	for i, name := range names {
		out[i] = make([]Point, count)
		for k := range out[i] {
			out[i][k] = Point{TimeS: (first + int64(k)) * stepS, Sample: Nothing()}
		}
		numbers[i] = h.numbers[name]
	}
	take := func(timeS int64, of func(uint32) (Point, bool)) {
		k := int(timeS/stepS - first)
		if k < 0 || k >= count {
			return
		}
		for i, n := range numbers {
			if p, ok := of(n); ok && n != 0 {
				out[i][k].add(p)
			}
		}
	}
	err := h.db.View(func(tx *bbolt.Tx) error {
		begin := first * stepS
		if stepS%3600 == 0 {
			c := tx.Bucket(bucketHours).Cursor()
			for k, v := c.Seek(key(uint64(begin / 3600))); k != nil; k, v = c.Next() {
				take(int64(number(k))*3600, func(n uint32) (Point, bool) { return rowOf(v, n) })
			}
			begin = max(begin, h.slot/hourSlots*3600) // the running hour is no hour yet
		}
		c := tx.Bucket(bucketFine).Cursor()
		for k, v := c.Seek(key(uint64(begin / StepS))); k != nil; k, v = c.Next() {
			if int64(number(k)) < h.slot {
				take(int64(number(k))*StepS, func(n uint32) (Point, bool) { return rowOf(v, n) })
			}
		}
		return nil
	})
	take(h.slot*StepS, func(n uint32) (Point, bool) {
		if s := h.now[n]; s != nil {
			return s.Point, true
		}
		return Point{}, false
	})
	return out, err
}
