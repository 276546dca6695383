package modbus

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestCRC(t *testing.T) {
	// The request for ten registers, as the manual has it for addresses 1 and
	// 0xF8, and the one that resets the energy.
	for _, frame := range [][]byte{
		{0x01, 0x04, 0x00, 0x00, 0x00, 0x0A, 0x70, 0x0D},
		{0xF8, 0x04, 0x00, 0x00, 0x00, 0x0A, 0x64, 0x64},
		{0xF8, 0x42, 0xC2, 0x41},
	} {
		if got := rtuFrame(frame[0], frame[1:len(frame)-2]); !bytes.Equal(got, frame) {
			t.Errorf("% x, want % x", got, frame)
		}
	}
}

func rtu(b []byte) []byte { return rtuFrame(b[0], b[1:]) }

func registers(r Request, frame []byte) ([]uint16, error) {
	pdu, err := parseRTU(1, frame)
	if err != nil {
		return nil, err
	}
	return r.Registers(pdu)
}

// The requests and answers of the specification's examples (6.1, 6.2, 6.5),
// and answers that fit another request.
func TestCoils(t *testing.T) {
	on := WriteCoil(0xAC, true)
	if want := []byte{5, 0, 0xAC, 0xFF, 0}; !bytes.Equal(on.pdu, want) {
		t.Errorf("write: % x, want % x", on.pdu, want)
	}
	if off := WriteCoil(0xAC, false); !bytes.Equal(off.pdu, []byte{5, 0, 0xAC, 0, 0}) {
		t.Errorf("write off: % x", off.pdu)
	}
	if err := on.Confirmed([]byte{5, 0, 0xAC, 0xFF, 0}); err != nil {
		t.Error(err)
	}
	for name, answer := range map[string][]byte{
		"off": {5, 0, 0xAC, 0, 0}, "another coil": {5, 0, 0xAD, 0xFF, 0}, "short": {5, 0, 0xAC, 0xFF}, "none": {}, "a reading": {1, 1, 1},
	} {
		if err := on.Confirmed(answer); !errors.Is(err, ErrFrame) {
			t.Errorf("%s confirms: %v", name, err)
		}
	}
	var refused *Exception
	if err := on.Confirmed([]byte{0x85, 2}); !errors.As(err, &refused) || refused.Code != IllegalAddress {
		t.Errorf("exception: %v", err)
	}
	ask := ReadBit(Discretes, 0xC4)
	if want := []byte{2, 0, 0xC4, 0, 1}; !bytes.Equal(ask.pdu, want) {
		t.Errorf("read: % x, want % x", ask.pdu, want)
	}
	for answer, want := range map[string]bool{"\x02\x01\x01": true, "\x02\x01\x00": false, "\x02\x01\xfe": false} {
		if got, err := ask.Bit([]byte(answer)); err != nil || got != want {
			t.Errorf("% x: %v %v", answer, got, err)
		}
	}
	for _, answer := range []string{"\x01\x01\x01", "\x02\x02\x01", "\x02\x01", "\x02\x01\x01\x01", "\x82\x04"} {
		if _, err := ask.Bit([]byte(answer)); err == nil {
			t.Errorf("% x is taken", answer)
		}
	}
}

// A device on a network that says nothing costs the timeout, and one that
// answers another request is not believed.
func TestOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		ask := WriteCoil(3, true)
		begin := time.Now()
		go func() { _, _ = there.Read(make([]byte, 64)) }()
		if _, err := OverTCP(t.Context(), here, time.Second, 1, 1, ask); !errors.Is(err, ErrLate) || time.Since(begin) != time.Second {
			t.Errorf("silence: %v after %v", err, time.Since(begin))
		}
		for transaction, want := range map[uint16]error{2: nil, 9: ErrFrame} {
			here, there := net.Pipe() // what is left of a wrong answer would be the next one's head
			go func() {
				_, _ = there.Read(make([]byte, 64))
				_, _ = there.Write(mbapFrame(transaction, 1, ask.pdu))
			}()
			answer, err := OverTCP(t.Context(), here, time.Second, 2, 1, ask)
			if !errors.Is(err, want) {
				t.Errorf("transaction %d: %v", transaction, err)
			}
			if want == nil && ask.Confirmed(answer) != nil {
				t.Errorf("% x", answer)
			}
			_, _ = here.Close(), there.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := OverTCP(ctx, here, time.Second, 3, 1, ask); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// FuzzParseRTU: what passes has the checksum, the address and the length asked
// for; and what a meter would send is read back.
func FuzzParseRTU(f *testing.F) {
	f.Add(rtu(append([]byte{1, 4, 20}, make([]byte, 20)...)))
	f.Add(rtu([]byte{1, 0x84, 2}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		ask := ReadRegisters(Input, 0, 10)
		regs, err := registers(ask, b)
		if err == nil && (len(regs) != 10 || len(b) != 25 || b[0] != 1) {
			t.Fatalf("% x gives %v", b, regs)
		}
		if len(b) < 20 {
			return
		}
		whole := rtu(append([]byte{1, 4, 20}, b[:20]...))
		if regs, err = registers(ask, whole); err != nil || regs[9] != uint16(b[18])<<8|uint16(b[19]) {
			t.Fatalf("% x: %v %v", whole, regs, err)
		}
	})
}

// FuzzReadMBAP: what passes belongs to the request and has the length asked
// for.
func FuzzReadMBAP(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 7, 1, 3, 4, 0x53, 0x75, 0x6E, 0x53})
	f.Add([]byte{0, 1, 0, 0, 0, 3, 1, 0x83, 2})
	f.Add([]byte{0, 1, 0, 0, 0xFF, 0xFF, 1, 3})
	f.Add([]byte("HTTP/1.1 400"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pdu, err := readMBAP(bytes.NewReader(data), 1, 1)
		if err != nil {
			return
		}
		if len(pdu) > maxPDU || data[1] != 1 || data[6] != 1 {
			t.Fatalf("% x passes", data)
		}
		if regs, err := ReadRegisters(Holding, 0, 2).Registers(pdu); err == nil && (len(regs) != 2 || len(pdu) != 6) {
			t.Fatalf("% x gives %v", pdu, regs)
		}
	})
}
