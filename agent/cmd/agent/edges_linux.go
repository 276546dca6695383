package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"

	"fairwatt/agent/sensor"
)

// The request for a line of the kernel's GPIO character device, version 2
// (include/uapi/linux/gpio.h): where its fields stand, and what they hold. periph
// asks for such lines too, but gives neither the times of edges nor their numbers,
// and its queue holds 16.
const (
	gpioRequestSize = 592
	gpioAtConsumer  = 256
	gpioAtFlags     = 288
	gpioAtLines     = 560
	gpioAtQueue     = 564
	gpioAtFD        = 588

	gpioGetLine     = 3<<30 | gpioRequestSize<<16 | 0xB4<<8 | 0x07 // GPIO_V2_GET_LINE_IOCTL
	gpioInput       = 1 << 2
	gpioFallingEdge = 1 << 5
	gpioPullUp      = 1 << 8

	// gpioQueue is how many edges are kept: the most the kernel does. A wind of 60
	// m/s fills it in 11 s.
	gpioQueue     = 1024
	gpioEventSize = 48
)

// Now is the kernel's monotonic clock, by which it times edges (sensor.Clock).
func (h *hostBuses) Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return time.Since(h.began) // no Linux is without it
	}
	return time.Duration(t.Nano())
}

// Sleep implements sensor.Clock.
func (h *hostBuses) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Edges gives the falling edges of a pin with the kernel's times
// (sensor.EdgeLines). A pin that is no line of the kernel's is not supported here.
func (h *hostBuses) Edges(name string) (sensor.EdgeLine, error) {
	path, offset, ok := gpioLine(name)
	if !ok {
		return nil, fmt.Errorf("GPIO pin %q: %w", name, errors.ErrUnsupported)
	}
	request := gpioRequest(offset)
	fd, err := requestLine(name, path, &request)
	if err != nil {
		return nil, err
	}
	return newKernelEdges(fd, name)
}

// gpioRequest asks for the falling edges of a line.
func gpioRequest(offset uint32) [gpioRequestSize]byte {
	b := lineRequest(offset, gpioInput|gpioFallingEdge|gpioPullUp)
	binary.NativeEndian.PutUint32(b[gpioAtQueue:], gpioQueue)
	return b
}

// gpioLine finds the kernel's line of a pin.
func gpioLine(name string) (path string, offset uint32, ok bool) {
	p := pinOf(name)
	if p == nil {
		return "", 0, false
	}
	if alias, is := p.(gpio.RealPin); is {
		p = alias.Real()
	}
	for _, chip := range gpioioctl.Chips {
		for _, line := range chip.Lines() {
			if p == gpio.PinIO(line) {
				return chip.Path(), uint32(line.Number()), true
			}
			// periph puts the chip's name before one that another driver has too.
			if line.Name() != "" && line.Name() == p.Name() || line.Name() == chip.Name()+"-"+p.Name() {
				return chip.Path(), uint32(line.Number()), true
			}
		}
		// A Raspberry Pi's kernel without names has its lines by their numbers.
		if strings.HasPrefix(chip.Label(), "pinctrl-bcm") && p.Number() >= 0 && p.Number() < chip.LineCount() {
			return chip.Path(), uint32(p.Number()), true
		}
	}
	return "", 0, false
}

// kernelEdges is a line's queue in the kernel.
type kernelEdges struct {
	name   string
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool
}

func newKernelEdges(fd int, name string) (*kernelEdges, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("GPIO pin %q: %w", name, err), unix.Close(fd))
	}
	k := &kernelEdges{name: name, file: os.NewFile(uintptr(fd), "gpio "+name)}
	var err error
	if k.raw, err = k.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("GPIO pin %q: %w", name, err), k.file.Close())
	}
	return k, nil
}

func (k *kernelEdges) fail(op string, err error) error {
	if k.closed.Load() {
		return os.ErrClosed
	}
	return fmt.Errorf("GPIO pin %q: %s: %w", k.name, op, err)
}

// Await implements sensor.EdgeLine.
func (k *kernelEdges) Await(timeout time.Duration) error {
	if err := k.file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return k.fail("await edge", err)
	}
	var broken error
	err := k.raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			return false
		case err != nil:
			broken = err
		case n > 0 && poll[0].Revents&unix.POLLIN == 0:
			broken = fmt.Errorf("the line is gone (poll 0x%x)", poll[0].Revents)
		}
		return broken != nil || n > 0
	})
	switch {
	case broken != nil:
		return k.fail("await edge", broken)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err != nil:
		return k.fail("await edge", err)
	}
	return nil
}

// Take implements sensor.EdgeLine. It does not go through the file's Read, which
// an Await that waits holds.
func (k *kernelEdges) Take() (at time.Duration, seq uint32, ok bool, err error) {
	var event [gpioEventSize]byte
	var n int
	var code error
	err = k.raw.Control(func(fd uintptr) { n, code = unix.Read(int(fd), event[:]) })
	switch {
	case err != nil:
		return 0, 0, false, k.fail("read edge", err)
	case errors.Is(code, unix.EAGAIN), errors.Is(code, unix.EINTR):
		return 0, 0, false, nil
	case code != nil:
		return 0, 0, false, k.fail("read edge", code)
	case n != len(event):
		return 0, 0, false, k.fail("read edge", fmt.Errorf("%d bytes, want %d", n, len(event)))
	}
	// timestamp_ns, id, offset, seqno, line_seqno
	at = time.Duration(binary.NativeEndian.Uint64(event[0:]))
	return at, binary.NativeEndian.Uint32(event[20:]), true, nil
}

// Close implements sensor.EdgeLine.
func (k *kernelEdges) Close() error {
	k.closed.Store(true)
	if err := k.file.Close(); err != nil {
		return fmt.Errorf("GPIO pin %q: %w", k.name, err)
	}
	return nil
}
