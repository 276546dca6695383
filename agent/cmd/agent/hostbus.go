package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"

	// The drivers of periph's that are of use here. Those of other boards' processors
	// want the machine's whole memory, which a service that is not root does not get;
	// their pins are there by the kernel. They would make the agent larger by 1 %.
	_ "periph.io/x/host/v3/gpioioctl"
	_ "periph.io/x/host/v3/rpi"
	_ "periph.io/x/host/v3/sysfs"
)

// A hostBuses is this machine: /dev/i2c-* and its GPIO pins by periph's names.
type hostBuses struct {
	began time.Time

	mu   sync.Mutex
	open map[string]i2c.BusCloser
}

// newHostBuses loads periph's drivers for this machine. A machine without
// buses is no error here; opening one is.
func newHostBuses() (*hostBuses, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("load bus drivers: %w", err)
	}
	return &hostBuses{began: time.Now(), open: make(map[string]i2c.BusCloser)}, nil
}

// I2C opens a bus by number or name; an empty name is the first there is.
func (h *hostBuses) I2C(name string) (i2c.Bus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if bus, ok := h.open[name]; ok {
		return bus, nil
	}
	bus, err := i2creg.Open(name)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("open I2C bus %q: %w (add the user to the group i2c)", name, err)
		}
		return nil, fmt.Errorf("open I2C bus %q: %w", name, err)
	}
	h.open[name] = bus
	return bus, nil
}

// Pin returns a GPIO pin by name, such as GPIO17, or by chip and line.
func (h *hostBuses) Pin(name string) (gpio.PinIn, error) {
	if pin := pinOf(name); pin != nil {
		return pin, nil
	}
	return nil, fmt.Errorf("GPIO pin %q: this machine has none of that name", name)
}

// PinOut returns a GPIO pin that can be driven.
func (h *hostBuses) PinOut(name string) (gpio.PinOut, error) {
	if pin := pinOf(name); pin != nil {
		return outputOf(name, pin), nil
	}
	return nil, fmt.Errorf("GPIO pin %q: this machine has none of that name", name)
}

// Close closes the buses.
func (h *hostBuses) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for name, bus := range h.open {
		if err := bus.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close I2C bus %q: %w", name, err))
		}
	}
	clear(h.open)
	return errors.Join(errs...)
}
