package consensus

import (
	"fmt"
	"log/slog"
	"runtime"
)

// logger gives the library's messages to slog. Its warnings tell of things
// that are normal in a fail-over, so they go down one level; debug and info
// are not even formatted (that alone cost three quarters of the throughput).
type logger struct {
	log  *slog.Logger
	fail func(error)
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Infof(string, ...any)  {}
func (l *logger) Warnf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...), "from", "smartbft")
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...), "from", "smartbft")
}

// Panicf is how the library stops when it finds its own state impossible. The
// instance is given up and its goroutine ended, not the process.
func (l *logger) Panicf(format string, args ...any) {
	l.fail(fmt.Errorf("smartbft: "+format, args...))
	runtime.Goexit()
}
