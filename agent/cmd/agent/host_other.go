//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
)

func pinOf(name string) gpio.PinIO { return gpioreg.ByName(name) }

func outputOf(_ string, p gpio.PinIO) gpio.PinOut { return p }

// Serial is for Linux only.
func (h *hostBuses) Serial(string) (io.ReadWriteCloser, error) {
	return nil, errors.New("serial ports are served on Linux only")
}

func setWatchdogTimeout(*os.File, time.Duration) error {
	return errors.New("hardware watchdogs are served on Linux only")
}
