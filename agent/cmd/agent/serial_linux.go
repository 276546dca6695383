package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"fairwatt/agent/modbus"
)

// Serial opens a serial line for Modbus RTU as a PZEM-004T speaks it, 9600 8N1.
func (h *hostBuses) Serial(name string) (io.ReadWriteCloser, error) {
	return h.SerialAt(name, modbus.DefaultLine)
}

// SerialAt opens a serial line for Modbus RTU: 8 data bits, no flow control, no
// echo (termios(3)). The descriptor does not block, so that Reads have deadlines.
func (h *hostBuses) SerialAt(name string, line modbus.Line) (io.ReadWriteCloser, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("open serial port %s: %w (add the user to the group dialout)", name, err)
	case err != nil:
		return nil, fmt.Errorf("open serial port %s: %w", name, err)
	}
	if err := setLine(fd, line); err != nil {
		return nil, errors.Join(fmt.Errorf("set up serial port %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// setLine makes a terminal a plain line of bytes.
func setLine(fd int, line modbus.Line) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		if errors.Is(err, unix.ENOTTY) {
			return errors.New("it is no serial port")
		}
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNPAR, 0, 0
	// BOTHER: the speed is a number, not one of a list.
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(line.Baud), uint32(line.Baud)
	switch line.Parity {
	case 'E':
		t.Cflag |= unix.PARENB
	case 'O':
		t.Cflag |= unix.PARENB | unix.PARODD
	}
	if line.Stop == 2 {
		t.Cflag |= unix.CSTOPB
	}
	// A Read waits for a byte, and takes what has come.
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, t); err != nil {
		return err
	}
	// Bytes that came before the first request answer nothing.
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
}
