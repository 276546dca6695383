package simbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"fairwatt/model"
	pb "fairwatt/proto/fairwattpb"
)

// clientTimeout bounds one exchange: a board that is slower is gone.
const clientTimeout = 10 * time.Second

// edgePoll is how often a client asks for a pulse pin's edges in real time.
const edgePoll = 10 * time.Millisecond

// A Client uses a board's buses over a socket: it implements sensor.Buses,
// Clock and Counters. It is safe for concurrent use. After a broken exchange
// every call dials again first, so a board that comes back is found again.
//
// Sleeps are handed over with the next request, so that a sleep costs no
// exchange; Now is the board's clock as of the last reply, plus these.
type Client struct {
	addr string

	mu    sync.Mutex
	conn  net.Conn
	r     *bufio.Reader
	now   time.Duration
	sleep time.Duration // owed to the board
	done  bool
}

// ErrClosed is returned by a Client after Close.
var ErrClosed = errors.New("client closed")

// Dial connects to a board served at addr, "host:port" or "sim://host:port".
func Dial(ctx context.Context, addr string) (*Client, error) {
	c := &Client{addr: strings.TrimPrefix(addr, "sim://")}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	if _, err := c.exchange(&pb.BusRequest{}); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

func (c *Client) dial(ctx context.Context) error {
	d := net.Dialer{Timeout: clientTimeout}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("board %s: %w", c.addr, err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	return nil
}

func (c *Client) drop() {
	if c.conn != nil {
		_ = c.conn.Close() // broken or given up; its error says nothing more
		c.conn = nil
	}
}

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.drop()
	return nil
}

// do sends a request with the owed sleep, and returns the reply or the error
// that it carries.
func (c *Client) do(req *pb.BusRequest) (*pb.BusReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return nil, fmt.Errorf("board %s: %w", c.addr, ErrClosed)
	}
	if c.conn == nil {
		if err := c.dial(context.Background()); err != nil {
			return nil, err
		}
	}
	rep, err := c.exchange(req)
	if err != nil {
		c.drop()
		return nil, err
	}
	if e := rep.Error; e != nil {
		return nil, replyError(req, e)
	}
	return rep, nil
}

// exchange is one request and its reply. Caller holds mu.
func (c *Client) exchange(req *pb.BusRequest) (*pb.BusReply, error) {
	req.SleepUs = uint64(min(c.sleep.Microseconds(), MaxSleepUs))
	rep := &pb.BusReply{}
	err := c.conn.SetDeadline(time.Now().Add(clientTimeout))
	if err == nil {
		err = WriteFrame(c.conn, req)
	}
	if err == nil {
		err = ReadFrame(c.r, rep)
	}
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", c.addr, err)
	}
	// What is less than a microsecond stays owed.
	c.sleep -= us(int64(req.SleepUs))
	// A restarted board begins at zero; this clock may not go back.
	c.now = max(c.now, us(rep.NowUs))
	return rep, nil
}

// replyError makes the error of the board's side again, so that errors.Is and
// errors.As say the same on both sides.
func replyError(req *pb.BusRequest, e *pb.BusError) error {
	switch e.Kind {
	case pb.BusError_KIND_NOT_ACKNOWLEDGED:
		if t := req.GetI2C(); t != nil {
			return &NotAcknowledgedError{uint16(t.Address)}
		}
		return &remoteError{e.Text, syscall.ENXIO}
	case pb.BusError_KIND_NO_SUCH_PIN:
		return &remoteError{e.Text, ErrNoSuchPin}
	case pb.BusError_KIND_NO_SUCH_PORT:
		return &remoteError{e.Text, ErrNoSuchPort}
	case pb.BusError_KIND_TIMEOUT:
		return &remoteError{e.Text, os.ErrDeadlineExceeded}
	}
	if unsupported := errors.ErrUnsupported; strings.HasSuffix(e.Text, unsupported.Error()) {
		return &remoteError{e.Text, unsupported}
	}
	return fmt.Errorf("board: %s", e.Text)
}

// remoteError has the board's words and the cause they stand for.
type remoteError struct {
	text  string
	cause error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.cause }

// Now implements sensor.Clock.
func (c *Client) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now + c.sleep
}

// Sleep implements sensor.Clock: it returns at once, in the board's time.
func (c *Client) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sleep += max(d, 0)
	return nil
}

// I2C returns the board's bus, whatever the name.
func (c *Client) I2C(string) (i2c.Bus, error) { return clientBus{c}, nil }

// Pin returns a pin of the board.
func (c *Client) Pin(name string) (gpio.PinIn, error) {
	if len(name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: %.16q, cut off", ErrNoSuchPin, name)
	}
	if _, err := c.edge(name, 0); err != nil {
		return nil, err
	}
	return NewPin(name, c.waitEdge, c.level), nil
}

// level asks for a pin's level.
func (c *Client) level(name string) (gpio.Level, error) {
	rep, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_PinRead{PinRead: &pb.PinRead{Pin: name}}})
	if err != nil {
		return gpio.Low, err
	}
	return gpio.Level(rep.High), nil
}

// PinOut returns an output of the board. It floats when the client's connection
// ends, until the next Out.
func (c *Client) PinOut(name string) (gpio.PinOut, error) {
	if len(name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: %.16q, cut off", ErrNoSuchPin, name)
	}
	return NewPinOut(name, c.setPin), nil
}

func (c *Client) setPin(name string, l gpio.Level) error {
	_, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_PinSet{PinSet: &pb.PinSet{Pin: name, High: bool(l)}}})
	return err
}

func (c *Client) edge(name string, timeout time.Duration) (bool, error) {
	rep, err := c.askEdge(name, timeout)
	if err != nil {
		return false, err
	}
	return rep.Edge, nil
}

// askEdge awaits an edge, with its time and its number.
func (c *Client) askEdge(name string, timeout time.Duration) (*pb.BusReply, error) {
	op := &pb.PinEdge{Pin: name, TimeoutUs: uint64(timeout.Microseconds())}
	return c.do(&pb.BusRequest{Op: &pb.BusRequest_PinEdge{PinEdge: op}})
}

// Edges gives the edges of a pulse pin or of a ready output, with the board's times
// (sensor.EdgeLines).
func (c *Client) Edges(name string) (EdgeLine, error) {
	if len(name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: %.16q, cut off", ErrNoSuchPin, name)
	}
	e := &remoteEdges{c: c, name: name}
	if _, err := e.ask(0); err != nil {
		return nil, err
	}
	return e, nil
}

// remoteEdges are the edges of a pin of the board.
type remoteEdges struct {
	c    *Client
	name string

	mu     sync.Mutex
	come   []*pb.BusReply // asked for, not taken
	closed bool
}

// ask asks the board once, and says whether an edge is there. The connection is
// one, so that those who ask do it one after the other.
func (e *remoteEdges) ask(timeout time.Duration) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return false, os.ErrClosed
	case len(e.come) > 0:
		return true, nil
	}
	rep, err := e.c.askEdge(e.name, timeout)
	if err != nil {
		return false, err
	}
	if rep.Edge {
		e.come = append(e.come, rep)
	}
	return rep.Edge, nil
}

// Await implements EdgeLine. It asks once for a ready output, whose board lets the
// time pass at once, and again and again for a pulse pin.
func (e *remoteEdges) Await(timeout time.Duration) error {
	before, start := e.c.Now(), time.Now()
	for {
		there, err := e.ask(min(timeout, time.Second))
		if there || err != nil {
			return err
		}
		left := timeout - max(time.Since(start), e.c.Now()-before)
		if left <= 0 {
			return nil
		}
		time.Sleep(min(edgePoll, left))
	}
}

// Take implements EdgeLine.
func (e *remoteEdges) Take() (at time.Duration, seq uint32, ok bool, err error) {
	there, err := e.ask(0)
	if !there || err != nil {
		return 0, 0, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.come) == 0 { // another took it
		return 0, 0, false, nil
	}
	rep := e.come[0]
	e.come = e.come[1:]
	return us(rep.LastUs), uint32(rep.Pulses), true, nil
}

// Close implements EdgeLine.
func (e *remoteEdges) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

// waitEdge asks once for a ready output, whose board lets the time pass at
// once, and again and again for a pulse pin.
func (c *Client) waitEdge(name string, timeout time.Duration) bool {
	if timeout < 0 {
		timeout = 1<<63 - 1
	}
	before := c.Now()
	start := time.Now()
	for {
		ok, err := c.edge(name, min(timeout, time.Second))
		if ok || err != nil {
			return ok
		}
		left := timeout - max(time.Since(start), c.Now()-before)
		if left <= 0 {
			return false
		}
		time.Sleep(min(edgePoll, left))
	}
}

// Serial opens a serial line of the board (sensor.Serials).
func (c *Client) Serial(name string) (io.ReadWriteCloser, error) {
	if len(name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: %.16q, cut off", ErrNoSuchPort, name)
	}
	if _, err := c.readSerial(name, nil, 0); err != nil {
		return nil, err
	}
	return NewPort(name, c.readSerial, c.writeSerial), nil
}

func (c *Client) readSerial(name string, p []byte, timeout time.Duration) (int, error) {
	op := &pb.SerialRead{Port: name, Max: uint32(min(len(p), MaxTransferBytes)), TimeoutUs: uint64(timeout.Microseconds())}
	rep, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_SerialRead{SerialRead: op}})
	if err != nil {
		return 0, err
	}
	if len(rep.R) > len(p) {
		return 0, fmt.Errorf("board %s: %d bytes read, want up to %d", c.addr, len(rep.R), len(p))
	}
	return copy(p, rep.R), nil
}

func (c *Client) writeSerial(name string, w []byte) error {
	op := &pb.SerialWrite{Port: name, Data: w}
	_, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_SerialWrite{SerialWrite: op}})
	return err
}

// PulseCount implements sensor.Counters.
func (c *Client) PulseCount(pin string) (total uint64, last time.Duration, err error) {
	rep, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_PinCount{PinCount: &pb.PinCount{Pin: pin}}})
	if err != nil {
		return 0, 0, err
	}
	return rep.Pulses, us(rep.LastUs), nil
}

// PulseBins implements sensor.Counters.
func (c *Client) PulseBins(pin string, since time.Duration) (bins []uint32, end time.Duration, err error) {
	op := &pb.PinBins{Pin: pin, SinceUs: since.Microseconds()}
	rep, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_PinBins{PinBins: op}})
	if err != nil {
		return nil, 0, err
	}
	return rep.Bins, us(rep.EndUs), nil
}

// Describe lists the parts of the board.
func (c *Client) Describe() ([]Part, error) {
	rep, err := c.do(&pb.BusRequest{Op: &pb.BusRequest_Describe{Describe: &pb.Describe{}}})
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, p := range rep.Parts {
		part := Part{Chip: p.Chip, Address: uint16(p.Address), Pin: p.Pin, Port: p.Port}
		for _, name := range p.Channels {
			ch, err := model.ParseChannel(name)
			if err != nil {
				return nil, fmt.Errorf("board %s: %w", c.addr, err)
			}
			part.Channels = append(part.Channels, ch)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

type clientBus struct{ c *Client }

func (u clientBus) String() string                { return "sim://" + u.c.addr }
func (clientBus) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus.
func (u clientBus) Tx(addr uint16, w, r []byte) error {
	if len(w) > MaxTransferBytes || len(r) > MaxTransferBytes {
		return fmt.Errorf("transfer longer than %d bytes", MaxTransferBytes)
	}
	op := &pb.I2CTransfer{Address: uint32(addr), W: w, Read: uint32(len(r))}
	rep, err := u.c.do(&pb.BusRequest{Op: &pb.BusRequest_I2C{I2C: op}})
	if err != nil {
		return err
	}
	if len(rep.R) != len(r) {
		return fmt.Errorf("board %s: %d bytes read, want %d", u.c.addr, len(rep.R), len(r))
	}
	copy(r, rep.R)
	return nil
}

func us(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
