package board

import (
	"fmt"
	"io"
	"os"
	"time"

	"fairwatt/agent/sensor/simbus"
)

const (
	serialByte  = 10 * time.Second / 9600 // 8N1
	serialChunk = 8                       // bytes that a Read gives at most
	maxPending  = 4096                    // bytes that nobody fetches
)

// line is a serial line with meters on it.
type line struct {
	meters  []*pzem
	pending []byte
	ready   time.Duration // when pending has come whole
}

// write is one frame sent at now. Meters that feel meant answer, and talk into
// each other if they are several.
func (l *line) write(now time.Duration, w []byte) {
	var answer []byte
	var thinks time.Duration
	for _, m := range l.meters {
		a := m.answer(w)
		if len(answer) == 0 {
			answer, thinks = a, pzemThinks+m.f.delay()
			continue
		}
		for i := range min(len(a), len(answer)) {
			answer[i] &= a[i] // an open-collector line
		}
	}
	if len(answer) == 0 || len(l.pending)+len(answer) > maxPending {
		return
	}
	l.pending = append(l.pending, answer...)
	l.ready = now + time.Duration(len(w)+len(answer))*serialByte + thinks
}

// readSerial awaits bytes in the board's time.
func (b *Board) readSerial(name string, p []byte, timeout time.Duration) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[name]
	if l == nil {
		return 0, fmt.Errorf("%w: %s", simbus.ErrNoSuchPort, name)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(l.pending) == 0 || l.ready > b.now+timeout {
		b.run(timeout)
		return 0, os.ErrDeadlineExceeded
	}
	b.run(max(l.ready-b.now, 0))
	n := copy(p[:min(len(p), serialChunk)], l.pending)
	l.pending = l.pending[n:]
	return n, nil
}

func (b *Board) writeSerial(name string, w []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[name]
	if l == nil {
		return fmt.Errorf("%w: %s", simbus.ErrNoSuchPort, name)
	}
	l.write(b.now, w)
	return nil
}

// Serial opens a serial line (sensor.Serials). Several may be open; they see
// the same bytes.
func (b *Board) Serial(name string) (io.ReadWriteCloser, error) {
	if b.lines[name] == nil {
		return nil, fmt.Errorf("%w: %s", simbus.ErrNoSuchPort, name)
	}
	return simbus.NewPort(name, b.readSerial, b.writeSerial), nil
}
