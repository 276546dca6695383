package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A codec visits the fields of a state value in their fixed order. One fields
// method per value serves the encoder, the decoder and the description in
// docs/ledger-format.md, so the three cannot drift apart.
type codec interface {
	u32(name string, v *uint32) // 4 bytes, big endian
	u64(name string, v *uint64) // 8 bytes, big endian
	i64(name string, v *int64)  // 8 bytes, big endian, two's complement
	str(name string, v *string) // 2 bytes of length, big endian, then the bytes
	flag(name string, v *bool)  // 1 byte, 0 or 1
	// tail visits the last fields of a value that chains with the first rules do not
	// have: they stand only where said reports that one of them is not zero.
	tail(said func() bool, fields func())
}

// A value is what stands under a key of the state.
type value interface{ fields(c codec) }

func encodeValue(v value) []byte {
	e := encoder{b: make([]byte, 0, 96)}
	v.fields(&e)
	return e.b
}

func decodeValue(b []byte, v value) error {
	d := decoder{b: b}
	v.fields(&d)
	if d.err == nil && len(d.b) != 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.b))
	}
	return d.err
}

type encoder struct{ b []byte }

func (e *encoder) u32(_ string, v *uint32) { e.b = binary.BigEndian.AppendUint32(e.b, *v) }
func (e *encoder) u64(_ string, v *uint64) { e.b = binary.BigEndian.AppendUint64(e.b, *v) }
func (e *encoder) i64(_ string, v *int64)  { e.b = binary.BigEndian.AppendUint64(e.b, uint64(*v)) }

func (e *encoder) str(_ string, v *string) {
	e.b = binary.BigEndian.AppendUint16(e.b, uint16(len(*v))) // no text of the state reaches 64 KiB
	e.b = append(e.b, *v...)
}

func (e *encoder) flag(_ string, v *bool) {
	if *v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) tail(said func() bool, fields func()) {
	if said() {
		fields()
	}
}

var errCutOff = errors.New("cut off")

type decoder struct {
	b   []byte
	err error // the first one; fields behind it stay zero
}

func (d *decoder) take(n int, name string) []byte {
	if d.err == nil && len(d.b) < n {
		d.err = fmt.Errorf("%s: %w", name, errCutOff)
	}
	if d.err != nil {
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) u32(name string, v *uint32) {
	if b := d.take(4, name); b != nil {
		*v = binary.BigEndian.Uint32(b)
	}
}

func (d *decoder) u64(name string, v *uint64) {
	if b := d.take(8, name); b != nil {
		*v = binary.BigEndian.Uint64(b)
	}
}

func (d *decoder) i64(name string, v *int64) {
	if b := d.take(8, name); b != nil {
		*v = int64(binary.BigEndian.Uint64(b))
	}
}

func (d *decoder) str(name string, v *string) {
	if b := d.take(2, name); b != nil {
		if text := d.take(int(binary.BigEndian.Uint16(b)), name); text != nil {
			*v = string(text)
		}
	}
}

func (d *decoder) flag(name string, v *bool) {
	b := d.take(1, name)
	switch {
	case b == nil:
	case b[0] > 1:
		d.err = fmt.Errorf("%s: flag is %d", name, b[0])
	default:
		*v = b[0] == 1
	}
}

var errEmptyTail = errors.New("a tail of zeros, which the one form of a value leaves out")

func (d *decoder) tail(said func() bool, fields func()) {
	if d.err != nil || len(d.b) == 0 {
		return
	}
	if fields(); d.err == nil && !said() {
		d.err = errEmptyTail
	}
}
