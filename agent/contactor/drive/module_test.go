package drive

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/trade"
)

// A relayModule is a Modbus TCP relay module with one contactor on coil 5 and
// its auxiliary contact on input 2. It opens by itself when its master has been
// silent for a second, as such modules do.
type relayModule struct {
	mu      sync.Mutex
	coil    bool
	welded  bool
	silent  bool
	refuse  byte // exception to every request
	dials   int
	log     []bool // the coil, at each change
	conns   []net.Conn
	patient *time.Timer
}

func (m *relayModule) DialContext(context.Context, string, string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dials++
	here, there := net.Pipe()
	m.conns = append(m.conns, there)
	go m.serve(there)
	return here, nil
}

func (m *relayModule) serve(c net.Conn) {
	for {
		var b [12]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		answer := m.answer(b[7:])
		if answer == nil {
			continue
		}
		frame := append([]byte{b[0], b[1], 0, 0, 0, byte(len(answer) + 1), b[6]}, answer...)
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

func (m *relayModule) answer(pdu []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := binary.BigEndian.Uint16(pdu[1:])
	switch {
	case m.silent:
		return nil
	case m.refuse != 0:
		return []byte{pdu[0] | 0x80, m.refuse}
	case pdu[0] == 5 && at == 5:
		m.switchTo(pdu[3] == 0xFF)
		return pdu
	case pdu[0] == 2 && at == 2:
		if m.coil || m.welded {
			return []byte{2, 1, 1}
		}
		return []byte{2, 1, 0}
	}
	return []byte{pdu[0] | 0x80, 2}
}

func (m *relayModule) switchTo(on bool) {
	if on != m.coil {
		m.coil = on
		m.log = append(m.log, on)
	}
	if m.patient != nil {
		m.patient.Stop()
	}
	if on {
		m.patient = time.AfterFunc(time.Second, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.switchTo(false)
		})
	}
}

func (m *relayModule) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
}

func (m *relayModule) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *relayModule) closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.coil
}

// moves are the coil's changes so far.
func (m *relayModule) moves() []bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

func (m *relayModule) connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dials
}

func newLine(t *testing.T, m *relayModule) *Line {
	l, err := New(Config{Endpoint: "relay:502", Coil: at(5), FeedbackInput: at(2)}, m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A coil switches as a pin does, is opened at the start, and its feedback tells
// a welded contact.
func TestModuleDrivesItsCoil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &relayModule{coil: true, log: []bool{true}}
		defer m.drop()
		l := newLine(t, m)
		if m.closed() {
			t.Fatal("closed after the start")
		}
		want := func(step string, want bool) {
			t.Helper()
			if closed, watched, err := l.Feedback(); closed != want || !watched || err != nil {
				t.Errorf("%s: %v %v %v, want %v", step, closed, watched, err, want)
			}
		}
		want("open", false)
		if err := l.Close(trade.Delivery{}); err != nil {
			t.Fatal(err)
		}
		want("closed", true)
		m.change(func() { m.welded = true })
		if err := l.Halt(); err != nil {
			t.Fatal(err)
		}
		want("welded", true)
		if !slices.Equal(m.moves(), []bool{true, false, true, false}) {
			t.Errorf("the coil went %v", m.moves())
		}
	})
}

// A module that opens by itself without its master stays closed while it is
// asked in every round, and opens when the agent is dead.
func TestModuleIsKeptUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &relayModule{}
		defer m.drop()
		l := newLine(t, m)
		if err := l.Close(trade.Delivery{}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(900 * time.Millisecond)
			if closed, _, err := l.Feedback(); !closed || err != nil {
				t.Fatalf("kept up, it is closed %v (%v)", closed, err)
			}
		}
		time.Sleep(2 * time.Second)
		if m.closed() {
			t.Error("closed without a master")
		}
		// Told open, it is not kept up.
		if err := l.Open(""); err != nil {
			t.Fatal(err)
		}
		n := len(m.moves())
		if _, _, err := l.Feedback(); err != nil || len(m.moves()) != n {
			t.Errorf("switched %v (%v)", m.moves()[n:], err)
		}
	})
}

// A connection that the module has closed costs nothing: the opening is asked
// for again on a new one.
func TestModuleIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &relayModule{}
		defer m.drop()
		l := newLine(t, m)
		if err := l.Close(trade.Delivery{}); err != nil {
			t.Fatal(err)
		}
		m.drop()
		if err := l.Open(""); err != nil || m.closed() {
			t.Errorf("after the connection broke: %v, closed %v", err, m.closed())
		}
		if m.connections() != 2 {
			t.Errorf("%d connections, want 2", m.connections())
		}
	})
}

// A module that refuses, or says nothing, is an error of every command, and of
// the feedback while the contactor is told closed; in bounded time.
func TestModuleThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func(*relayModule){
			"silent": func(m *relayModule) { m.silent = true }, "refusing": func(m *relayModule) { m.refuse = 4 },
		} {
			m := &relayModule{}
			l := newLine(t, m)
			if err := l.Close(trade.Delivery{}); err != nil {
				t.Fatal(err)
			}
			m.change(func() { fail(m) })
			begin := time.Now()
			if _, watched, err := l.Feedback(); !watched || err == nil || !strings.Contains(err.Error(), "hold contactor on coil 5 of relay:502") {
				t.Errorf("%s: feedback %v, %v", name, watched, err)
			}
			if err := l.Open(""); err == nil || !strings.Contains(err.Error(), "open contactor on coil 5 of relay:502") {
				t.Errorf("%s: opened, %v", name, err)
			}
			if took := time.Since(begin); took > 700*time.Millisecond {
				t.Errorf("%s: took %v", name, took)
			}
			m.change(func() { m.silent, m.refuse = false, 0 })
			if err := l.Open(""); err != nil || m.closed() {
				t.Errorf("%s, mended: %v, closed %v", name, err, m.closed())
			}
			m.drop()
		}
		m := &relayModule{refuse: 2}
		defer m.drop()
		if _, err := New(Config{Endpoint: "relay", Coil: at(5)}, m); err == nil {
			t.Error("a contactor that cannot be opened is taken")
		}
	})
}

// A module on a serial line: the frames are those of Modbus RTU.
func TestModuleOnASerialLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		var asked []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				b := make([]byte, 8)
				if _, err := io.ReadFull(there, b); err != nil {
					return
				}
				asked = append(asked, string(b))
				if _, err := there.Write(b); err != nil { // the confirmation of a coil is its request
					return
				}
			}
		}()
		l, err := New(Config{Port: "tty", Unit: 17, Coil: at(0xAC)}, serialLine{here})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(trade.Delivery{}); err != nil {
			t.Fatal(err)
		}
		if closed, watched, err := l.Feedback(); closed || watched || err != nil {
			t.Errorf("without feedback: %v %v %v", closed, watched, err)
		}
		_ = here.Close()
		<-done
		// The specification's example of function 5 is for coil 0xAC of device 17.
		on, off := "\x11\x05\x00\xac\xff\x00\x4e\x8b", "\x11\x05\x00\xac\x00\x00\x0f\x7b"
		if !slices.Equal(asked, []string{off, on, on}) {
			t.Errorf("asked %x", asked)
		}
	})
	if _, err := New(Config{Port: "tty", Coil: at(1)}, board{}); err == nil {
		t.Error("a serial line of buses that have none")
	}
}

type serialLine struct{ net.Conn }

func (s serialLine) Serial(string) (io.ReadWriteCloser, error) { return s.Conn, nil }
