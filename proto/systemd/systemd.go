package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// A Notifier tells systemd how the service is; sd_notify(3). The zero value
// tells no one.
type Notifier struct {
	// Socket is NOTIFY_SOCKET; empty without systemd.
	Socket string
	// Slot is WatchdogSec of the unit; 0 for none.
	Slot time.Duration
}

// New reads what systemd put into the environment.
func New(getenv func(string) string) (Notifier, error) {
	n := Notifier{Socket: getenv("NOTIFY_SOCKET")}
	usec := getenv("WATCHDOG_USEC")
	if usec == "" || n.Socket == "" {
		return n, nil
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil // meant for another process of the unit
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
		return n, fmt.Errorf("WATCHDOG_USEC %q is no number of microseconds", usec)
	}
	n.Slot = time.Duration(us) * time.Microsecond
	return n, nil
}

// notifyTimeout bounds the sending of a state: a manager that does not read its
// socket must not hold up a loop for long.
const notifyTimeout = time.Second

// Tell sends one state, such as READY=1.
func (n Notifier) Tell(state string) error {
	if n.Socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.Socket, Net: "unixgram"})
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
