package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Function codes (application protocol V1.1b3, chapter 6). No register is ever
// written; one coil may be.
const (
	Coils     = 1 // read coils
	Discretes = 2 // read discrete inputs
	Holding   = 3 // read holding registers
	Input     = 4 // read input registers
	writeCoil = 5
	exception = 0x80 // added to the function in a refusal
	// MaxRead is how many registers fit in one request.
	MaxRead = 125
	maxPDU  = 253
)

// IllegalAddress is the exception of a register that a device does not have.
const IllegalAddress = 2

// The reasons why there is no answer to use, to be found with errors.Is.
var (
	// ErrSilent: no byte came.
	ErrSilent = errors.New("no answer")
	// ErrLate: the answer did not end in time.
	ErrLate = errors.New("answer not complete in time")
	// ErrChecksum: the bytes do not fit their checksum: noise on the line.
	ErrChecksum = errors.New("checksum does not fit")
	// ErrOtherUnit: another device answered.
	ErrOtherUnit = errors.New("another device answers")
	// ErrFrame: the answer is none.
	ErrFrame = errors.New("malformed modbus answer")
	// ErrPort: the port is broken, whoever is on the line.
	ErrPort = errors.New("serial port")
)

// An Exception is a device's refusal.
type Exception struct{ Function, Code byte }

var exceptions = map[byte]string{
	1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure",
	5: "acknowledge", 6: "device busy", 8: "memory parity error", 10: "gateway path unavailable", 11: "gateway target silent",
}

// Error implements error.
func (e *Exception) Error() string {
	text, ok := exceptions[e.Code]
	if !ok {
		text = "unknown code"
	}
	return fmt.Sprintf("modbus exception %d (%s) to function %d", e.Code, text, e.Function)
}

// A Request is what a device is asked, without its envelope.
type Request struct {
	pdu    []byte
	answer int // bytes of the answer's PDU that is no exception
}

// ReadRegisters asks for count registers, at most [MaxRead], with function
// [Holding] or [Input].
func ReadRegisters(function byte, start, count uint16) Request {
	return Request{request(function, start, count), 2 + 2*int(count)}
}

// ReadBit asks for one coil or discrete input, with function [Coils] or
// [Discretes].
func ReadBit(function byte, at uint16) Request { return Request{request(function, at, 1), 3} }

// WriteCoil switches a coil (6.5).
func WriteCoil(at uint16, on bool) Request {
	value := uint16(0)
	if on {
		value = 0xFF00
	}
	return Request{request(writeCoil, at, value), 5}
}

func request(function byte, a, b uint16) []byte {
	p := binary.BigEndian.AppendUint16([]byte{function}, a)
	return binary.BigEndian.AppendUint16(p, b)
}

// check looks at an answer's function and length.
func (r Request) check(b []byte) error {
	switch {
	case len(b) == 2 && b[0] == r.pdu[0]|exception:
		return &Exception{r.pdu[0], b[1]}
	case len(b) < 2 || b[0] != r.pdu[0]:
		return fmt.Errorf("%w: % .4x", ErrFrame, b)
	case len(b) != r.answer:
		return fmt.Errorf("%w: %d bytes, want %d", ErrFrame, len(b), r.answer)
	case r.pdu[0] == writeCoil && string(b) != string(r.pdu):
		return fmt.Errorf("%w: % x confirms another request", ErrFrame, b)
	case r.pdu[0] != writeCoil && int(b[1]) != len(b)-2:
		return fmt.Errorf("%w: %d bytes, said to be %d", ErrFrame, len(b)-2, b[1])
	}
	return nil
}

// Registers takes the registers out of an answer to ReadRegisters.
func (r Request) Registers(b []byte) ([]uint16, error) {
	if err := r.check(b); err != nil {
		return nil, err
	}
	regs := make([]uint16, (len(b)-2)/2)
	for i := range regs {
		regs[i] = binary.BigEndian.Uint16(b[2+2*i:])
	}
	return regs, nil
}

// Bit takes the bit out of an answer to ReadBit.
func (r Request) Bit(b []byte) (bool, error) {
	if err := r.check(b); err != nil {
		return false, err
	}
	return b[2]&1 != 0, nil
}

// Confirmed is nil if the answer to WriteCoil says that it was done.
func (r Request) Confirmed(b []byte) error { return r.check(b) }
