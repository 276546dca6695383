package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/host/v3/gpioioctl"
)

// More of the request for a line (edges_linux.go): the attribute that says which
// level an output has from the moment on at which it becomes one.
const (
	gpioAtAttributes = 296 // how many
	gpioAtAttribute  = 320 // the first
	gpioAtLevel      = 328 // its value
	gpioAtMask       = 336 // the lines that it is for

	gpioSetLevels = 3<<30 | 16<<16 | 0xB4<<8 | 0x0F // GPIO_V2_LINE_SET_VALUES_IOCTL
	gpioOutput    = 1 << 3
	gpioLevels    = 2 // GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
)

// pinOf finds a pin by periph's name, such as GPIO17, or by the kernel's chip and
// the number of its line, such as gpiochip0/17 or 209c000.gpio/17: few boards name
// their lines. It is nil where there is none.
func pinOf(name string) gpio.PinIO {
	if chip, number, ok := strings.Cut(name, "/"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		i := slices.IndexFunc(gpioioctl.Chips, func(c *gpioioctl.GPIOChip) bool { return c.Name() == chip || c.Label() == chip })
		if err != nil || i < 0 || int(n) >= gpioioctl.Chips[i].LineCount() {
			return nil
		}
		return gpioioctl.Chips[i].Lines()[n]
	}
	return gpioreg.ByName(name)
}

// outputOf is the pin as an output. periph would ask the kernel for an output first
// and set its level then: a contactor that closes with a low level would be told to
// close for a moment at each start. A line of the kernel is asked for with its level.
func outputOf(name string, p gpio.PinIO) gpio.PinOut {
	if alias, is := p.(gpio.RealPin); is {
		p = alias.Real()
	}
	if _, is := p.(*gpioioctl.GPIOLine); !is {
		return p // in memory, or by sysfs: their drivers set both at once
	}
	path, offset, ok := gpioLine(name)
	if !ok {
		return p
	}
	return &kernelOutput{name: name, path: path, offset: offset}
}

// requestLine asks the kernel for a line. A line lives on without its chip's file.
func requestLine(name, path string, request *[gpioRequestSize]byte) (fd int, err error) {
	chip, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		return 0, fmt.Errorf("GPIO pin %q: %w (add the user to the group gpio)", name, err)
	}
	if err != nil {
		return 0, fmt.Errorf("GPIO pin %q: %w", name, err)
	}
	defer chip.Close()
	_, _, code := unix.Syscall(unix.SYS_IOCTL, chip.Fd(), gpioGetLine, uintptr(unsafe.Pointer(request)))
	if code != 0 {
		return 0, fmt.Errorf("GPIO pin %q: ask for line %d of %s: %w", name, binary.NativeEndian.Uint32(request[0:]), path, code)
	}
	return int(binary.NativeEndian.Uint32(request[gpioAtFD:])), nil
}

// lineRequest asks for one line.
func lineRequest(offset uint32, flags uint64) (b [gpioRequestSize]byte) {
	binary.NativeEndian.PutUint32(b[0:], offset)
	copy(b[gpioAtConsumer:gpioAtConsumer+31], "fairwatt")
	binary.NativeEndian.PutUint64(b[gpioAtFlags:], flags)
	binary.NativeEndian.PutUint32(b[gpioAtLines:], 1)
	return b
}

// outputRequest asks for a line that is an output of that level at once.
func outputRequest(offset uint32, l gpio.Level) [gpioRequestSize]byte {
	b := lineRequest(offset, gpioOutput)
	binary.NativeEndian.PutUint32(b[gpioAtAttributes:], 1)
	binary.NativeEndian.PutUint32(b[gpioAtAttribute:], gpioLevels)
	binary.NativeEndian.PutUint64(b[gpioAtLevel:], levelBit(l))
	binary.NativeEndian.PutUint64(b[gpioAtMask:], 1)
	return b
}

func levelBit(l gpio.Level) uint64 {
	if l {
		return 1
	}
	return 0
}

// A kernelOutput is a line of the kernel's that is driven. Only this process has it,
// and the kernel takes it back when the process ends.
type kernelOutput struct {
	name, path string
	offset     uint32

	mu sync.Mutex
	fd int // 0 before the first Out
}

// Out implements gpio.PinOut.
func (k *kernelOutput) Out(l gpio.Level) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fd == 0 {
		request := outputRequest(k.offset, l)
		fd, err := requestLine(k.name, k.path, &request)
		if err != nil {
			return err
		}
		unix.CloseOnExec(fd)
		k.fd = fd
		return nil
	}
	levels := [2]uint64{levelBit(l), 1} // bits, mask
	if _, _, code := unix.Syscall(unix.SYS_IOCTL, uintptr(k.fd), gpioSetLevels, uintptr(unsafe.Pointer(&levels[0]))); code != 0 {
		return fmt.Errorf("GPIO pin %q: set its level: %w", k.name, syscall.Errno(code))
	}
	return nil
}

// String implements conn.Resource.
func (k *kernelOutput) String() string { return k.name }

// Halt implements conn.Resource. The line is kept: what it switches stays as it is.
func (k *kernelOutput) Halt() error { return nil }

// Name implements pin.Pin.
func (k *kernelOutput) Name() string { return k.name }

// Number implements pin.Pin.
func (k *kernelOutput) Number() int { return int(k.offset) }

// Function implements pin.Pin.
func (k *kernelOutput) Function() string { return string(gpio.OUT) }

// PWM implements gpio.PinOut.
func (k *kernelOutput) PWM(gpio.Duty, physic.Frequency) error { return errors.ErrUnsupported }
