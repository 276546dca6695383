package modbus

import (
	"fmt"
	"time"
)

// A Line says how a serial line is set.
type Line struct {
	Baud   int
	Parity byte // 'N', 'E' or 'O'
	Stop   int  // stop bits, 1 or 2
}

// DefaultLine is 9600 8N1, as a PZEM-004T speaks.
var DefaultLine = Line{9600, 'N', 1}

// The speeds that a line can have.
const (
	MinBaud = 300
	MaxBaud = 1_000_000
)

// ParseLine reads a speed and a form such as "8N1". Modbus RTU has always 8 data
// bits (serial line V1.02, 2.5.1).
func ParseLine(baud int, comset string) (Line, error) {
	if baud < MinBaud || baud > MaxBaud {
		return Line{}, fmt.Errorf("baudrate: %d is not within %d and %d", baud, MinBaud, MaxBaud)
	}
	for _, parity := range "NEO" {
		for stop := 1; stop <= 2; stop++ {
			if comset == fmt.Sprintf("8%c%d", parity, stop) {
				return Line{baud, byte(parity), stop}, nil
			}
		}
	}
	return Line{}, fmt.Errorf("comset: %.60q is none of 8N1, 8N2, 8E1, 8E2, 8O1, 8O2", comset)
}

// String is such as "9600 8N1".
func (l Line) String() string { return fmt.Sprintf("%d 8%c%d", l.Baud, l.Parity, l.Stop) }

// character is how long one takes: a start bit, 8 data bits, the parity or a
// second stop bit, a stop bit (2.5.1).
func (l Line) character() time.Duration { return 11 * time.Second / time.Duration(l.Baud) }

// silence is how long the line is quiet before a frame: 3.5 characters, and from
// 19200 Bd on 1.75 ms (2.5.1.1).
func (l Line) silence() time.Duration {
	return max(l.character()*7/2, 1750*time.Microsecond)
}

// quiet is after how long without a byte the line counts as silent: 1.5
// characters (2.5.1.1), and what a converter to USB may hold back.
func (l Line) quiet() time.Duration { return max(l.character()*3/2, 2*time.Millisecond) }
