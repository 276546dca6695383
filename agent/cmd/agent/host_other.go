//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
	"time"
)

// Serial is for Linux only.
func (h *hostBuses) Serial(string) (io.ReadWriteCloser, error) {
	return nil, errors.New("serial ports are served on Linux only")
}

func setWatchdogTimeout(*os.File, time.Duration) error {
	return errors.New("hardware watchdogs are served on Linux only")
}
