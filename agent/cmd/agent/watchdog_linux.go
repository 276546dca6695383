package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setWatchdogTimeout is WDIOC_SETTIMEOUT of linux/watchdog.h, in whole seconds.
func setWatchdogTimeout(f *os.File, timeout time.Duration) error {
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, int(timeout/time.Second))
}
