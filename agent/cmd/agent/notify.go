package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// A notifier tells systemd how the service is; sd_notify(3). The zero value
// tells no one.
type notifier struct {
	socket string
	// slot is WatchdogSec of the unit; 0 for none.
	slot time.Duration
}

// newNotifier reads what systemd put into the environment.
func newNotifier(getenv func(string) string) (notifier, error) {
	n := notifier{socket: getenv("NOTIFY_SOCKET")}
	usec := getenv("WATCHDOG_USEC")
	if usec == "" || n.socket == "" {
		return n, nil
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil // meant for another process of the unit
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
		return n, fmt.Errorf("WATCHDOG_USEC %q is no number of microseconds", usec)
	}
	n.slot = time.Duration(us) * time.Microsecond
	return n, nil
}

// notifyTimeout bounds the sending of a state: a manager that does not read its
// socket must not hold up a loop for long.
const notifyTimeout = time.Second

// tell sends one state, such as READY=1.
func (n notifier) tell(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}
