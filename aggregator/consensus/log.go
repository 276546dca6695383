package consensus

import (
	"fmt"
	"log/slog"
	"runtime"

	"fairwatt/aggregator/consensus/lockup"
)

// logger gives the library's messages to slog. Its warnings tell of things
// that are normal in a fail-over, so they go down one level; debug and info
// are not even formatted (that alone cost three quarters of the throughput).
// The lockup predictor reads some of them.
type logger struct {
	log   *slog.Logger
	fail  func(error)
	signs *lockup.Predictor
}

func (l *logger) Debugf(format string, _ ...any) { l.signs.Debugf(format) }

func (l *logger) Infof(format string, args ...any) { l.signs.Infof(format, args...) }

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
